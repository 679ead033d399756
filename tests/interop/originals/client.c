/* A client around the original's library, told what to do by lines on standard input, as the model of a client is
 * (../i3_original_client.py): insert ID [ID...], prefix ID BITS, remove ID, send ID[,ID...] TEXT.
 *
 *     i3_client OWN_IP PORT SERVER_IP...
 *
 * It takes the place of the original's reader of configuration files too (i3_config.c), which needs a library for XML. */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <arpa/inet.h>
#include <unistd.h>

#include "i3.h"
#include "i3_fun.h"
#include "i3_client_api.h"

enum { LINE_MAX_SIZE = 8192, TRIGGERS_MAX = 1000 };

static Key test_key; /* of all triggers that lead to this client; the tests' too */

/* ---- configuration ---- */

static char **servers;
static int server_count;

void read_parameters(char *path)
{
    (void)path;
}

void release_params(void)
{
}

void read_string_par(char *path, char *ret, int required)
{
    (void)path, (void)required;
    *ret = 0;
}

/* No server chosen by its round trip, no TCP. */
void read_ushort_par(char *path, unsigned short *ret, int required)
{
    (void)path, (void)required;
    *ret = 0;
}

char **read_strings_par(char *path, int *ret_count)
{
    (void)path;
    char **list = calloc(server_count, sizeof *list);
    for (int i = 0; i < server_count; i++) {
        list[i] = malloc(200);
        snprintf(list[i], 200, "%s 5610 %040x", servers[i], 7 * i + 1);
    }
    *ret_count = server_count;
    return list;
}

/* ---- what it has heard ---- */

static void print_id(const ID *id)
{
    for (int i = 0; i < ID_LEN; i++)
        printf("%02x", id->x[i]);
}

static void event(const char *word, const ID *id)
{
    printf("%s ", word);
    print_id(id);
    printf("\n");
    fflush(stdout);
}

static void on_inserted(i3_trigger *t, void *data)
{
    (void)data;
    event("inserted", &t->id);
}

static void on_constraint(i3_trigger *t, void *data)
{
    (void)data;
    event("constraint", &t->id);
}

static void on_failed(i3_trigger *t, void *data)
{
    (void)data;
    event("failed", &t->id);
}

static void on_absent(ID *id, void *data)
{
    (void)data;
    event("absent", id);
}

static void on_packet(i3_trigger *t, i3_header *header, cl_buf *buf, void *data)
{
    (void)t, (void)data;
    printf("got ");
    for (int i = 0; header->stack && i < header->stack->len; i++) {
        if (i)
            printf(",");
        print_id(&header->stack->ids[i]);
    }
    printf(" %.*s\n", (int)buf->data_len, buf->data);
    fflush(stdout);
}

/* ---- what it is told ---- */

static i3_trigger *triggers[TRIGGERS_MAX];
static int trigger_count;

static int parse_id(const char *text, ID *ret)
{
    for (int i = 0; i < ID_LEN; i++) {
        unsigned byte;
        if (sscanf(text + 2 * i, "%2x", &byte) != 1)
            return 0;
        ret->x[i] = byte;
    }
    return 1;
}

/* Identifiers, as many as there are, with anything between them. */
static int parse_ids(const char *text, ID *ret, int max)
{
    int count = 0;
    while (count < max && strlen(text) >= 2 * ID_LEN && parse_id(text, &ret[count])) {
        count++;
        text += 2 * ID_LEN;
        text += strspn(text, " ,\n");
    }
    return count;
}

static void keep(i3_trigger *t)
{
    if (!t || trigger_count >= TRIGGERS_MAX)
        return;
    triggers[trigger_count++] = t;
    /* One for all triggers would never be called. */
    cl_register_trigger_callback(t, CL_CBK_RECEIVE_PACKET, on_packet, NULL);
}

static void obey_insert(const char *rest)
{
    ID ids[I3_MAX_STACK_LEN + 1];
    int count = parse_ids(rest, ids, I3_MAX_STACK_LEN + 1);
    if (count == 1) {
        keep(cl_insert_trigger_key(&ids[0], ID_LEN_BITS, &test_key));
    } else if (count > 1) {
        i3_stack *stack = alloc_i3_stack();
        init_i3_stack(stack, &ids[1], count - 1);
        keep(cl_insert_trigger_stack(&ids[0], ID_LEN_BITS, stack));
    }
}

static void obey_prefix(const char *rest)
{
    ID id;
    if (parse_id(rest, &id))
        keep(cl_insert_trigger_key(&id, atoi(rest + 2 * ID_LEN), &test_key));
}

static void obey_remove(const char *rest)
{
    ID id;
    if (!parse_id(rest, &id))
        return;
    for (int i = 0; i < trigger_count; i++) {
        if (triggers[i] && !memcmp(&triggers[i]->id, &id, sizeof id)) {
            cl_remove_trigger(triggers[i]);
            triggers[i] = NULL;
        }
    }
}

static void obey_send(const char *rest)
{
    ID ids[I3_MAX_STACK_LEN];
    const char *text = strchr(rest, ' ');
    int count = parse_ids(rest, ids, I3_MAX_STACK_LEN);
    if (!text || !count)
        return;
    text++;
    i3_stack *stack = alloc_i3_stack();
    cl_buf *buf = cl_alloc_buf(LINE_MAX_SIZE);
    init_i3_stack(stack, ids, count);
    buf->data_len = strlen(text);
    memcpy(buf->data, text, buf->data_len);
    cl_send_to_stack(stack, buf);
    cl_free_buf(buf);
    free_i3_stack(stack);
}

static void obey(char *line)
{
    static const struct {
        const char *word;
        void (*obey)(const char *rest);
    } commands[] = {
        {"insert ", obey_insert}, {"prefix ", obey_prefix}, {"remove ", obey_remove}, {"send ", obey_send}};
    for (size_t i = 0; i < sizeof commands / sizeof commands[0]; i++) {
        size_t size = strlen(commands[i].word);
        if (!strncmp(line, commands[i].word, size)) {
            commands[i].obey(line + size);
            return;
        }
    }
    fprintf(stderr, "unknown command: %s\n", line);
    exit(2);
}

/* False at the end of the input. */
static int obey_lines(void)
{
    static char text[LINE_MAX_SIZE];
    static size_t have;
    ssize_t n = read(STDIN_FILENO, text + have, sizeof text - 1 - have);
    if (n <= 0)
        return 0;
    have += n;
    text[have] = 0;
    char *end;
    while ((end = strchr(text, '\n'))) {
        *end = 0;
        obey(text);
        have -= end + 1 - text;
        memmove(text, end + 1, have + 1);
    }
    return 1;
}

int main(int argc, char **argv)
{
    if (argc < 4)
        return 2;
    struct in_addr own = {ntohl(inet_addr(argv[1]))}; /* the library wants it in the order of the host */
    servers = argv + 3;
    server_count = argc - 3;
    memcpy(test_key.x, "this is test key", sizeof test_key.x);
    aeshash_init();
    cl_init(&own, atoi(argv[2]));
    cl_register_callback(CL_CBK_TRIGGER_INSERTED, on_inserted, NULL);
    cl_register_callback(CL_CBK_TRIGGER_CONSTRAINT_FAILED, on_constraint, NULL);
    cl_register_callback(CL_CBK_TRIGGER_REFRESH_FAILED, on_failed, NULL);
    cl_register_callback(CL_CBK_TRIGGER_NOT_FOUND, on_absent, NULL);
    printf("ready\n");
    fflush(stdout);
    for (;;) {
        fd_set readable;
        struct timeval wait = {0, 100000};
        FD_ZERO(&readable);
        FD_SET(STDIN_FILENO, &readable);
        int n = cl_select(STDIN_FILENO + 1, &readable, NULL, NULL, &wait);
        if (n > 0 && FD_ISSET(STDIN_FILENO, &readable) && !obey_lines())
            return 0;
    }
}
