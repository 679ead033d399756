#include <stdarg.h>
#include <setjmp.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>

#include <errno.h>
#include <netinet/in.h>
#include <poll.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include "base/check.h"
#include "io/udp.h"
#include "tests/support/seeded.h"

/* Datagrams that are given to the kernel together, and runs that it gives to us, over loopback:
 * what arrives is what was sent, one by one and in order. */

#define TARGETS  2
#define EXPECTED 8192

struct datagram {
    uint8_t first; /* all its bytes follow from it */
    size_t size;
};

struct fixture {
    struct packet_pool *pool;
    struct drop_counters drops;
    struct endpoint from_at, at[TARGETS];
    int from, to[TARGETS];
    bool trains;
    struct udp_result result;
    struct forward_out out[UDP_BATCH];
    unsigned outs;
    struct datagram expected[TARGETS][EXPECTED];
    unsigned sent[TARGETS], got[TARGETS];
    uint8_t next;
};

static void script(const int *many, const int *one);

static int opened(struct endpoint *ret_at)
{
    require(endpoint_parse("127.0.0.1:1", 0, ret_at));
    ret_at->port = 0;
    int fd = udp_open(ret_at, false);
    require(fd >= 0 && udp_local(fd, ret_at));
    return fd;
}

static int set_up(void **state)
{
    struct fixture *f = calloc(1, sizeof *f);
    f->pool = packet_pool_new(400);
    f->from = opened(&f->from_at);
    for (unsigned i = 0; i < TARGETS; i++)
        f->to[i] = opened(&f->at[i]);
    f->trains = udp_can_segment(f->from);
    script(NULL, NULL);
    *state = f;
    return 0;
}

static int tear_down(void **state)
{
    struct fixture *f = *state;
    close(f->from);
    for (unsigned i = 0; i < TARGETS; i++)
        close(f->to[i]);
    packet_pool_free(f->pool);
    free(f);
    return 0;
}

static void fill(uint8_t *bytes, size_t size, uint8_t first)
{
    for (size_t i = 0; i < size; i++)
        bytes[i] = (uint8_t)(first + i * 13);
}

/* Adds an output of `count` datagrams of `size` bytes, the last of them of `last`. */
static void add(struct fixture *f, unsigned target, unsigned count, size_t size, size_t last)
{
    struct packet *p = packet_take(f->pool);
    require(p && f->outs < UDP_BATCH);
    p->run = count > 1 ? (uint16_t)size : 0;
    for (unsigned i = 0; i < count; i++) {
        size_t this = i + 1 < count ? size : last;
        require(p->size + this <= PACKET_SIZE && f->sent[target] < EXPECTED);
        fill(p->data + p->size, this, f->next);
        f->expected[target][f->sent[target]++] = (struct datagram){f->next++, this};
        p->size += this;
    }
    f->out[f->outs++] =
        (struct forward_out){.kind = FORWARD_SEND, .packet = p, .remote = f->at[target]};
}

static void send_all(struct fixture *f)
{
    udp_send(f->from, &f->trains, f->out, f->outs, &f->result, &f->drops);
    for (unsigned i = 0; i < f->outs; i++)
        packet_give_back(f->out[i].packet);
    f->outs = 0;
}

static void assert_datagram(struct fixture *f, unsigned target, const uint8_t *bytes, size_t size)
{
    static uint8_t wanted[PACKET_SIZE];
    assert_true(f->got[target] < f->sent[target]);
    const struct datagram *d = &f->expected[target][f->got[target]++];
    assert_int_equal(size, d->size);
    fill(wanted, size, d->first);
    assert_memory_equal(bytes, wanted, size);
}

/* Reads what was sent so far.  Returns how many of the packets were runs. */
static unsigned receive_all(struct fixture *f, unsigned target)
{
    struct pollfd poll_fd = {.fd = f->to[target], .events = POLLIN};
    struct packet *batch[UDP_BATCH];
    unsigned runs = 0;
    while (f->got[target] < f->sent[target] && poll(&poll_fd, 1, 5000) > 0) {
        unsigned got = udp_receive(f->to[target], 3, f->pool, batch, UDP_BATCH, &f->drops);
        for (unsigned i = 0; i < got; i++) {
            struct packet *p = batch[i];
            size_t unit = p->run ? p->run : p->size;
            assert_true(!p->run || p->run < p->size);
            assert_int_equal(p->arrival.remote.port, f->from_at.port);
            runs += p->run > 0;
            for (size_t at = 0; at == 0 || at < p->size; at += unit ? unit : 1)
                assert_datagram(f, target, p->data + at, p->size - at < unit ? p->size - at : unit);
            packet_give_back(p);
        }
    }
    assert_int_equal(f->got[target], f->sent[target]);
    return runs;
}

static uint64_t all_drops(const struct fixture *f)
{
    uint64_t sum = 0;
    for (unsigned i = 0; i < DROP_COUNT; i++)
        sum += drop_read(&f->drops, i);
    return sum;
}

static void test_single_packets_travel_together(void **state)
{
    struct fixture *f = *state;
    for (unsigned i = 0; i < 20; i++)
        add(f, 0, 1, 1000, 1000);
    add(f, 0, 1, 0, 300);
    add(f, 0, 1, 0, 301);
    send_all(f);
    assert_int_equal(f->result.sent, 22);
    unsigned runs = receive_all(f, 0);
    if (f->trains)
        assert_int_equal(runs, 1);
}

static void test_runs(void **state)
{
    struct fixture *f = *state;
    add(f, 0, 40, 1432, 1432);
    add(f, 0, 3, 1432, 7);    /* has no room in the train of the first */
    add(f, 0, 1, 0, 1432);    /* behind a short one                    */
    add(f, 0, 120, 500, 500); /* more than the kernel takes together   */
    add(f, 0, 2, 32000, 1);
    add(f, 0, 1, 0, 65507);
    add(f, 0, 1, 0, 0);
    add(f, 0, 1, 0, 1);
    send_all(f);
    assert_int_equal(f->result.sent, 40 + 3 + 1 + 120 + 2 + 1 + 1 + 1);
    receive_all(f, 0);
    assert_int_equal(all_drops(f), 0);
}

static void random_batches(struct fixture *f, struct entropy *e, unsigned rounds)
{
    for (unsigned round = 0; round < rounds; round++) {
        unsigned outs = 1 + entropy_below(e, UDP_BATCH);
        size_t bytes = 0, size = 1 + entropy_below(e, 1500);
        for (unsigned i = 0; i < outs && bytes < 400000; i++) {
            unsigned target = entropy_below(e, 8) == 0;
            if (entropy_below(e, 4) == 0)
                size = 1 + entropy_below(e, 1500);
            size_t last = entropy_below(e, 3) ? size : 1 + entropy_below(e, (uint32_t)size);
            unsigned count = entropy_below(e, 4) ? 1 : 1 + entropy_below(e, 43);
            add(f, target, count, size, last);
            bytes += count * size;
        }
        send_all(f);
        receive_all(f, 0);
        receive_all(f, 1);
        f->sent[0] = f->sent[1] = f->got[0] = f->got[1] = 0;
    }
    assert_int_equal(all_drops(f), 0);
}

static void test_random(void **state)
{
    struct fixture *f = *state;
    struct seeded seeded;
    seeded_init(&seeded, 9);
    random_batches(f, &seeded.entropy, 150);
    f->trains = false;
    random_batches(f, &seeded.entropy, 50);
}

/* A kernel that refuses to cut (here because the socket wants no checksums, elsewhere because the
 * device cannot make them) loses nothing, and is not asked again. */
static void test_refused(void **state)
{
    struct fixture *f = *state;
    int on = 1;
    if (!f->trains)
        skip();
    assert_int_equal(setsockopt(f->from, SOL_SOCKET, SO_NO_CHECK, &on, sizeof on), 0);
    add(f, 0, 30, 700, 7);
    add(f, 0, 1, 0, 8);
    for (unsigned i = 0; i < 20; i++)
        add(f, i & 1, 2, 100, 100);
    send_all(f);
    assert_false(f->trains);
    assert_int_equal(f->result.sent, 31 + 40);
    assert_int_equal(all_drops(f), 0);
    receive_all(f, 0);
    receive_all(f, 1);
    add(f, 0, 10, 700, 7);
    send_all(f);
    receive_all(f, 0);
}

/* One target that cannot be reached does not change how the others are sent. */
static void test_failures_are_counted_for_each(void **state)
{
    struct fixture *f = *state;
    bool before = f->trains;
    add(f, 0, 5, 100, 50);
    add(f, 1, 6, 100, 50);
    add(f, 0, 2, 100, 50);
    struct endpoint broadcast = f->at[1];
    memset(broadcast.ip.bytes, 255, 4); /* needs an option of the socket */
    f->out[1].remote = broadcast;
    f->sent[1] = 0;
    send_all(f);
    assert_int_equal(f->result.sent, 7);
    assert_int_equal(drop_read(&f->drops, DROP_SEND_FAILED), 6);
    assert_int_equal(f->trains, before);
    receive_all(f, 0);
}

/* ---- a kernel that answers as the test wants ---- */

/* What the next calls of sendmmsg() and of sendmsg() give: so many messages are really sent, or a
 * negative errno; 0: from here on all. */
static int many_answers[16], one_answers[16];
static unsigned many_next, one_next;

static int answer_of(const int *answers, unsigned *next, unsigned wanted)
{
    int answer = answers[*next];
    if (!answer)
        return (int)wanted;
    ++*next;
    if (answer < 0) {
        errno = -answer;
        return -1;
    }
    return answer < (int)wanted ? answer : (int)wanted;
}

int __real_sendmmsg(int fd, struct mmsghdr *messages, unsigned count, int flags);
int __wrap_sendmmsg(int fd, struct mmsghdr *messages, unsigned count, int flags);
int __wrap_sendmmsg(int fd, struct mmsghdr *messages, unsigned count, int flags)
{
    int most = answer_of(many_answers, &many_next, count);
    return most < 0 ? -1 : __real_sendmmsg(fd, messages, (unsigned)most, flags);
}

ssize_t __real_sendmsg(int fd, const struct msghdr *message, int flags);
ssize_t __wrap_sendmsg(int fd, const struct msghdr *message, int flags);
ssize_t __wrap_sendmsg(int fd, const struct msghdr *message, int flags)
{
    return answer_of(one_answers, &one_next, 1) < 0 ? -1 : __real_sendmsg(fd, message, flags);
}

static void script(const int *many, const int *one)
{
    memset(many_answers, 0, sizeof many_answers);
    memset(one_answers, 0, sizeof one_answers);
    many_next = one_next = 0;
    for (unsigned i = 0; many && many[i]; i++)
        many_answers[i] = many[i];
    for (unsigned i = 0; one && one[i]; i++)
        one_answers[i] = one[i];
}

/* Three trains and one alone, to target 0. */
static void add_some(struct fixture *f)
{
    add(f, 0, 5, 100, 50);
    add(f, 0, 4, 200, 200);
    add(f, 0, 3, 300, 7);
    add(f, 0, 1, 0, 9);
}

static void test_interrupted_and_in_parts(void **state)
{
    struct fixture *f = *state;
    script((int[]){-EINTR, 1, -EINTR, 2, -ECONNREFUSED, 0}, NULL);
    add_some(f);
    send_all(f);
    assert_int_equal(f->result.sent, 13);
    assert_int_equal(all_drops(f), 0);
    receive_all(f, 0);
}

/* EIO is what a device without checksum offload says.  It is said once. */
static void test_device_refuses(void **state)
{
    struct fixture *f = *state;
    if (!f->trains)
        skip();
    script((int[]){1, -EIO, 0}, NULL);
    add_some(f);
    send_all(f);
    assert_false(f->trains);
    assert_int_equal(f->result.sent, 13);
    assert_int_equal(all_drops(f), 0);
    receive_all(f, 0);
}

/* A train that is too large says nothing against trains. */
static void test_too_large(void **state)
{
    struct fixture *f = *state;
    bool before = f->trains;
    static const int sizes[] = {-EMSGSIZE, -EINVAL}; /* kernels differ */
    for (unsigned i = 0; i < 2; i++) {
        script((int[]){sizes[i], 0},
               (int[]){-EMSGSIZE, -EMSGSIZE, -EMSGSIZE, -EMSGSIZE, -EMSGSIZE, 0});
        f->sent[0] = f->got[0] = 0;
        add(f, 0, 5, 100, 50);
        f->sent[0] = 0; /* will not arrive */
        add(f, 0, 4, 200, 200);
        send_all(f);
        assert_int_equal(f->result.sent, 4);
        assert_int_equal(f->result.oversized_count, 5);
        for (unsigned n = 0; n < 5; n++) {
            const struct udp_oversized *o = &f->result.oversized[n];
            assert_int_equal(o->size, n < 4 ? 100 : 50);
            if (n)
                assert_ptr_equal(o->bytes, o[-1].bytes + 100);
        }
        assert_int_equal(drop_read(&f->drops, DROP_OVERSIZED), 0);
        assert_int_equal(f->trains, before);
        receive_all(f, 0);
    }
}

/* A full queue of the kernel drops what it does not take, and nothing overtakes. */
static void test_full_queue(void **state)
{
    struct fixture *f = *state;
    static const int full[] = {-EAGAIN, -ENOBUFS};
    for (unsigned i = 0; i < 2; i++) {
        script((int[]){1, full[i], 0}, NULL);
        f->sent[0] = f->got[0] = 0;
        add_some(f);
        f->sent[0] = 5;
        send_all(f);
        assert_int_equal(f->result.sent, 5);
        assert_int_equal(drop_read(&f->drops, DROP_SOCKET_FULL), 8 * (i + 1));
        receive_all(f, 0);
    }
    /* The same between datagrams of a train that go alone. */
    script((int[]){-EIO, 0}, (int[]){1, 1, -EAGAIN, 0});
    f->sent[0] = f->got[0] = 0;
    add_some(f);
    f->sent[0] = 2;
    send_all(f);
    assert_int_equal(f->result.sent, 2);
    assert_int_equal(drop_read(&f->drops, DROP_SOCKET_FULL), 16 + 11);
    assert_int_equal(all_drops(f), 16 + 11);
    receive_all(f, 0);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(test_single_packets_travel_together, set_up, tear_down),
        cmocka_unit_test_setup_teardown(test_runs, set_up, tear_down),
        cmocka_unit_test_setup_teardown(test_random, set_up, tear_down),
        cmocka_unit_test_setup_teardown(test_refused, set_up, tear_down),
        cmocka_unit_test_setup_teardown(test_failures_are_counted_for_each, set_up, tear_down),
        cmocka_unit_test_setup_teardown(test_interrupted_and_in_parts, set_up, tear_down),
        cmocka_unit_test_setup_teardown(test_device_refuses, set_up, tear_down),
        cmocka_unit_test_setup_teardown(test_too_large, set_up, tear_down),
        cmocka_unit_test_setup_teardown(test_full_queue, set_up, tear_down),
    };
    return cmocka_run_group_tests_name("io_udp_run", tests, NULL, NULL);
}
