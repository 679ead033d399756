/* The journal of handle addresses.
 *
 * With an odd first byte the rest is a journal as it is; otherwise the rest are records without
 * checksums, which are added here: without them nothing behind the checksum would be reached.
 * Checked for every input: the part that replayed replays alone to the same table, a snapshot does
 * too, and what the table says of a handle agrees. */
#include "tests/fuzz/fuzz.h"

#include <stdlib.h>
#include <string.h>

#include "base/check.h"
#include "base/cursor.h"
#include "crypto/crypto.h"
#include "path/handle.h"

static void count_up(struct entropy *self, void *out, size_t size)
{
    static uint8_t next;
    for (size_t i = 0; i < size; i++)
        ((uint8_t *)out)[i] = next++;
}

static struct entropy counting = {.fill = count_up};

static struct handle_table *load(const uint8_t *bytes, size_t size, struct handle_loaded *ret)
{
    struct handle_settings settings;
    const char *reason;
    handle_settings_init(&settings);
    settings.v6 = (struct ip_prefix){.ip = {6, {0xfd, 0x12, 0x34, 0x56, 0x78, 0x9a}}, .length = 48};
    struct handle_table *table = handle_table_new(&settings, &counting, &reason);
    require(table);
    handle_load(table, bytes, size, ret);
    return table;
}

/* Records get their checksums; the journal is malloc'd. */
static uint8_t *complete(const uint8_t *data, size_t size, size_t *ret_size)
{
    size_t room = 3 * size + 16;
    uint8_t *out = malloc(room);
    require(out);
    struct reader r = reader_over(data, size);
    struct writer w = writer_over(out, room);
    while (reader_left(&r)) {
        const uint8_t *start = r.at;
        uint16_t payload = read_u16(&r);
        read_u8(&r);
        if (!read_bytes(&r, payload)) {
            write_bytes(&w, start, (size_t)(data + size - start)); /* a torn record */
            break;
        }
        uint8_t hash[32];
        crypto_sha256(start, (size_t)(r.at - start), hash);
        write_bytes(&w, start, (size_t)(r.at - start));
        write_bytes(&w, hash, 4);
    }
    require(!w.failed);
    *ret_size = writer_size(&w);
    return out;
}

static void check_table(const struct handle_table *table)
{
    unsigned pass = 0, count = 0;
    for (const struct handle *h; (h = handle_next(table, &pass)); count++) {
        require(handle_by_id(table, h->id) == h);
        require(h->v4.family == 4 && handle_pool_holds(table, &h->v4));
        require(h->v6.family == 6 && handle_pool_holds(table, &h->v6));
        require(handle_by_address(table, &h->v4) == h && handle_by_address(table, &h->v6) == h);
        require(handle_by_peer(table, &h->name, h->key) == h);
        require(!h->named || (h->state == HANDLE_LIVE && handle_by_name(table, &h->name) == h));
    }
    require(count == handle_count(table));
}

static void check_same(const struct handle_table *a, const struct handle_table *b)
{
    unsigned pass = 0;
    require(handle_count(a) == handle_count(b));
    for (const struct handle *h; (h = handle_next(a, &pass));) {
        const struct handle *other = handle_by_id(b, h->id);
        require(other && other->state == h->state && other->named == h->named);
        require(other->last_used_wall == h->last_used_wall && other->owner_user == h->owner_user);
        require(ip_address_equal(&other->v4, &h->v4) && overlay_name_equal(&other->name, &h->name));
        require((other->way == NULL) == (h->way == NULL));
        require(!h->way || strcmp(h->way, other->way) == 0);
    }
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    if (!size)
        return 0;
    uint8_t *made = NULL;
    const uint8_t *journal = data + 1;
    size_t journal_size = size - 1;
    if (!(data[0] & 1))
        journal = made = complete(data + 1, size - 1, &journal_size);

    struct handle_loaded loaded, again;
    struct handle_table *table = load(journal, journal_size, &loaded);
    require(loaded.good <= journal_size);
    require((loaded.trouble == NULL) == (loaded.good == journal_size));
    check_table(table);
    struct handle_table *other = load(journal, loaded.good, &again);
    require(!again.trouble && again.good == loaded.good && again.records == loaded.records);
    check_same(table, other);
    handle_table_free(other);

    size_t snapshot_size;
    uint8_t *snapshot = handle_snapshot(table, &snapshot_size);
    other = load(snapshot, snapshot_size, &again);
    require(!again.trouble && again.outside == 0);
    check_same(table, other);
    handle_table_free(other);
    free(snapshot);
    handle_table_free(table);
    free(made);
    return 0;
}
