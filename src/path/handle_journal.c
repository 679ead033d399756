/* The journal of the handle table: an append-only file of records.
 *
 *   +------------+------+-------------+-------------------------------------+
 *   | size (16)  | kind | payload     | first 4 bytes of SHA-256 of all of  |
 *   | of payload | (8)  |             | what stands before it in the record |
 *   +------------+------+-------------+-------------------------------------+
 *
 *   BEGIN  "ocala handles", version (8), last id given (32)      the first record of every journal
 *   PUT    a whole handle: replaces what is known under its id
 *   TOUCH  id (32), last use (64)
 *   GONE   id (32)
 *
 * Every record stands for itself and replay may end after any of them: a newer handle that takes a
 * name does so in its own PUT, so nothing depends on two records being written together.  The
 * checksum is against torn writes, not against people: who can write the file can write whatever
 * they like. */
#include "path/handle_table.h"

#include <string.h>

#include "base/cursor.h"
#include "crypto/crypto.h"

#define MAGIC         "ocala handles"
#define VERSION       1
#define CHECK_SIZE    4
#define RECORD_HEADER 3
#define PAYLOAD_MAX   8192
#define RECORD_MAX    (RECORD_HEADER + PAYLOAD_MAX + CHECK_SIZE)

/* Beyond this many bytes for each handle that lives (and some for the start) a snapshot is worth
 * it. */
#define BYTES_PER_HANDLE 512
#define BYTES_MIN        65536

enum record_kind { RECORD_BEGIN = 1, RECORD_PUT = 2, RECORD_TOUCH = 3, RECORD_GONE = 4 };

#define FLAG_NAMED 1
#define FLAG_V4    2
#define FLAG_V6    4
#define FLAG_WAY   8
#define FLAG_TAKEN 16

/* ---- writing ---- */

static void bytes_add(struct handle_bytes *b, const void *bytes, size_t size)
{
    if (b->room - b->size < size) {
        b->room = 2 * b->room + size;
        b->at = base_realloc(b->at, b->room);
    }
    memcpy(b->at + b->size, bytes, size);
    b->size += size;
}

static struct writer record_begin(uint8_t record[RECORD_MAX], enum record_kind kind)
{
    struct writer w = writer_over(record, RECORD_MAX - CHECK_SIZE);
    write_u16(&w, 0);
    write_u8(&w, (uint8_t)kind);
    return w;
}

static void record_end(struct writer *w, struct handle_bytes *to)
{
    if (!expect(!w->failed))
        return;
    struct writer size = writer_over(w->start, 2);
    write_u16(&size, (uint16_t)(writer_size(w) - RECORD_HEADER));
    uint8_t hash[32];
    crypto_sha256(w->start, writer_size(w), hash);
    w->end += CHECK_SIZE;
    write_bytes(w, hash, CHECK_SIZE);
    bytes_add(to, w->start, writer_size(w));
}

/* A record for the file; when the host has not been able to write for long, the pending ones give
 * way. */
static void journal_append(struct handle_table *table, struct writer *w)
{
    if (table->given_up)
        return;
    size_t before = table->pending.size;
    record_end(w, &table->pending);
    table->file_size += table->pending.size - before;
    if (table->pending.size > HANDLE_PENDING_MAX)
        handle_journal_lost(table);
}

void handle_journal_lost(struct handle_table *table)
{
    table->pending.size = 0;
    table->given_up = true;
}

static struct writer begin_write(const struct handle_table *table, uint8_t record[RECORD_MAX])
{
    struct writer w = record_begin(record, RECORD_BEGIN);
    write_bytes(&w, MAGIC, sizeof MAGIC - 1);
    write_u8(&w, VERSION);
    write_u32(&w, table->last_id);
    return w;
}

static struct writer put_write(const struct handle_entry *e, uint8_t record[RECORD_MAX])
{
    const struct handle *h = &e->h;
    struct writer w = record_begin(record, RECORD_PUT);
    write_u32(&w, h->id);
    write_u8(&w, h->state);
    write_u8(&w, (uint8_t)((h->named ? FLAG_NAMED : 0) | (h->v4.family ? FLAG_V4 : 0) |
                           (h->v6.family ? FLAG_V6 : 0) | (e->way ? FLAG_WAY : 0) |
                           (h->taken_wall ? FLAG_TAKEN : 0)));
    write_u32(&w, h->owner_user);
    write_u64(&w, (uint64_t)h->last_used_wall);
    write_bytes(&w, h->key, sizeof h->key);
    if (h->v4.family)
        write_bytes(&w, h->v4.bytes, 4);
    if (h->v6.family)
        write_bytes(&w, h->v6.bytes, 16);
    size_t length = strlen(h->name.text);
    write_u8(&w, (uint8_t)length);
    write_bytes(&w, h->name.text, length);
    if (e->way) {
        length = strlen(e->way);
        write_u16(&w, (uint16_t)length);
        write_bytes(&w, e->way, length);
    }
    if (h->taken_wall)
        write_u64(&w, (uint64_t)h->taken_wall);
    return w;
}

void handle_journal_begin(struct handle_table *table)
{
    uint8_t record[RECORD_MAX];
    struct writer w = begin_write(table, record);
    journal_append(table, &w);
}

void handle_journal_put(struct handle_table *table, struct handle_entry *e)
{
    uint8_t record[RECORD_MAX];
    struct writer w = put_write(e, record);
    journal_append(table, &w);
    e->journaled_wall = e->h.last_used_wall;
}

void handle_journal_touch(struct handle_table *table, struct handle_entry *e)
{
    uint8_t record[RECORD_MAX];
    struct writer w = record_begin(record, RECORD_TOUCH);
    write_u32(&w, e->h.id);
    write_u64(&w, (uint64_t)e->h.last_used_wall);
    journal_append(table, &w);
    e->journaled_wall = e->h.last_used_wall;
}

void handle_journal_gone(struct handle_table *table, uint32_t id)
{
    uint8_t record[RECORD_MAX];
    struct writer w = record_begin(record, RECORD_GONE);
    write_u32(&w, id);
    journal_append(table, &w);
}

bool handle_journal_output(struct handle_table *table, const uint8_t **ret_bytes, size_t *ret_size)
{
    if (table->pending.size == 0)
        return false;
    *ret_bytes = table->pending.at;
    *ret_size = table->pending.size;
    return true;
}

void handle_journal_written(struct handle_table *table, size_t size)
{
    struct handle_bytes *p = &table->pending;
    if (size > p->size)
        size = p->size;
    if (size)
        memmove(p->at, p->at + size, p->size - size);
    p->size -= size;
}

bool handle_wants_snapshot(const struct handle_table *table)
{
    return table->given_up ||
           table->file_size > BYTES_MIN + (size_t)BYTES_PER_HANDLE * table->count;
}

uint8_t *handle_snapshot(struct handle_table *table, size_t *ret_size)
{
    uint8_t record[RECORD_MAX];
    struct handle_bytes all = {0};
    struct writer w = begin_write(table, record);
    record_end(&w, &all);
    for (unsigned i = 0; i < table->slot_count; i++) {
        if (!table->slots[i])
            continue;
        w = put_write(table->slots[i], record);
        record_end(&w, &all);
    }
    *ret_size = all.size;
    return all.at;
}

void handle_snapshot_written(struct handle_table *table, size_t size)
{
    table->pending.size = 0;
    table->given_up = false;
    table->file_size = size;
    for (unsigned i = 0; i < table->slot_count; i++)
        if (table->slots[i])
            table->slots[i]->journaled_wall = table->slots[i]->h.last_used_wall;
}

/* ---- replay ---- */

/* A record is read whole before anything is changed. */
static bool whole(const struct reader *r)
{
    return !r->failed && reader_left(r) == 0;
}

static bool begin_read(struct handle_table *table, struct reader *r)
{
    const uint8_t *magic = read_bytes(r, sizeof MAGIC - 1);
    uint8_t version = read_u8(r);
    uint32_t last_id = read_u32(r);
    if (!whole(r) || memcmp(magic, MAGIC, sizeof MAGIC - 1) != 0 || version != VERSION)
        return false;
    if (last_id > table->last_id)
        table->last_id = last_id;
    return true;
}

static bool text_read(struct reader *r, size_t length, char *out, size_t room)
{
    const uint8_t *p = length < room ? read_bytes(r, length) : NULL;
    if (!p || memchr(p, 0, length))
        return false;
    memcpy(out, p, length);
    out[length] = '\0';
    return true;
}

static bool put_parse(struct reader *r, struct handle *h, char *way, size_t way_room)
{
    *h = (struct handle){0};
    h->id = read_u32(r);
    h->state = read_u8(r);
    uint8_t flags = read_u8(r);
    h->owner_user = read_u32(r);
    h->last_used_wall = (int64_t)read_u64(r);
    read_copy(r, h->key, sizeof h->key);
    h->named = flags & FLAG_NAMED;
    if (flags & FLAG_V4) {
        h->v4.family = 4;
        read_copy(r, h->v4.bytes, 4);
    }
    if (flags & FLAG_V6) {
        h->v6.family = 6;
        read_copy(r, h->v6.bytes, 16);
    }
    const char *reason;
    way[0] = '\0';
    if (!text_read(r, read_u8(r), h->name.text, sizeof h->name.text) ||
        !labels_valid(h->name.text, &reason))
        return false;
    if (flags & FLAG_WAY && !text_read(r, read_u16(r), way, way_room))
        return false;
    if (flags & FLAG_TAKEN)
        h->taken_wall = (int64_t)read_u64(r);
    return whole(r) && h->id != 0 && h->state <= HANDLE_QUARANTINED &&
           !(h->named && h->state == HANDLE_QUARANTINED);
}

static void evict(struct handle_table *table, struct handle_entry *e)
{
    if (e)
        handle_entry_remove(table, e);
}

static bool put_read(struct handle_table *table, struct reader *r)
{
    struct handle h;
    char way[PAYLOAD_MAX];
    if (!put_parse(r, &h, way, sizeof way))
        return false;
    if (h.id > table->last_id)
        table->last_id = h.id;
    evict(table, handle_entry_find(table, h.id));
    /* The latest record is right about whose an address is and which address a peer has. */
    evict(table, handle_entry_at(table, &h.v4));
    evict(table, handle_entry_at(table, &h.v6));
    evict(table, handle_entry_peer(table, &h.name, h.key));
    struct handle_entry *e = base_calloc(1, sizeof *e);
    e->h = h;
    e->journaled_wall = h.last_used_wall;
    if (way[0])
        handle_entry_way(e, way);
    handle_entry_add(table, e);
    return true;
}

static bool record_apply(struct handle_table *table, uint8_t kind, struct reader *r)
{
    if (kind == RECORD_BEGIN)
        return begin_read(table, r);
    if (kind == RECORD_PUT)
        return put_read(table, r);
    if (kind != RECORD_TOUCH && kind != RECORD_GONE)
        return false;
    struct handle_entry *e = handle_entry_find(table, read_u32(r));
    int64_t wall = kind == RECORD_TOUCH ? (int64_t)read_u64(r) : 0;
    if (!whole(r))
        return false;
    if (kind == RECORD_GONE)
        evict(table, e);
    else if (e)
        e->h.last_used_wall = e->journaled_wall = wall;
    return true;
}

/* The next record's payload and kind, or NULL with the reason. */
static const char *record_read(struct reader *r, struct reader *ret_payload, uint8_t *ret_kind)
{
    const uint8_t *start = r->at;
    size_t size = read_u16(r);
    *ret_kind = read_u8(r);
    const uint8_t *payload = read_bytes(r, size), *check = read_bytes(r, CHECK_SIZE);
    if (!check)
        return "the journal ends inside a record";
    uint8_t hash[32];
    crypto_sha256(start, RECORD_HEADER + size, hash);
    if (memcmp(hash, check, CHECK_SIZE) != 0)
        return "a record's checksum does not match";
    *ret_payload = reader_over(payload, size);
    return NULL;
}

/* Whether a handle of the journal fits the pools of today: an address of each pool and none
 * elsewhere. */
static bool fits(const struct handle_table *table, const struct handle *h)
{
    const struct handle_settings *s = &table->settings;
    if ((h->v4.family != 0) != (s->v4.ip.family != 0) ||
        (h->v6.family != 0) != (s->v6.ip.family != 0))
        return false;
    return (h->v4.family == 0 || handle_address_allowed(table, &h->v4)) &&
           (h->v6.family == 0 || handle_address_allowed(table, &h->v6));
}

/* Handles of other pools are forgotten in the file too: it must not bring them back some day. */
static unsigned drop_outside(struct handle_table *table)
{
    unsigned outside = 0;
    for (unsigned i = 0; i < table->slot_count; i++) {
        struct handle_entry *e = table->slots[i];
        if (!e || fits(table, &e->h))
            continue;
        uint32_t id = e->h.id;
        handle_entry_remove(table, e);
        handle_journal_gone(table, id);
        outside++;
    }
    return outside;
}

void handle_load(struct handle_table *table, const void *bytes, size_t size,
                 struct handle_loaded *ret)
{
    struct handle_loaded loaded = {0};
    struct reader r = reader_over(bytes, size);
    require(table->count == 0);
    while (reader_left(&r) && !loaded.trouble) {
        struct reader payload;
        uint8_t kind;
        loaded.trouble = record_read(&r, &payload, &kind);
        if (loaded.trouble)
            break;
        if ((loaded.records == 0) != (kind == RECORD_BEGIN)) {
            loaded.trouble = "not a journal of handles";
        } else if (!record_apply(table, kind, &payload)) {
            loaded.trouble = kind == RECORD_BEGIN ? "a journal of handles of another version"
                                                  : "a record that makes no sense";
        } else {
            loaded.records++;
            loaded.good = size - reader_left(&r);
        }
    }
    if (loaded.good) {
        /* The file has its beginning already. */
        table->pending.size = 0;
        table->file_size = loaded.good;
        loaded.outside = drop_outside(table);
    }
    *ret = loaded;
}
