/* The control socket's protocol: one JSON request per line in, one JSON reply per line out
 * (doc/protocol/control.md).
 *
 * An engine: whoever owns the socket feeds bytes and pulls what is to be sent and done.  It checks
 * lines, JSON, command names, arguments and permissions, so that CONTROL_OUT_REQUEST carries only
 * requests that are whole, with every argument present (defaults filled in) and of its kind.  Each
 * request must be answered by control_reply() or control_fail(); a stream is several
 * control_reply() with `more`. */
#ifndef OCALA_CONTROL_CONTROL_H
#define OCALA_CONTROL_CONTROL_H

#include <jansson.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/entropy.h"
#include "base/instant.h"

#define CONTROL_LINE_MAX    65536 /* longest request, without its line end         */
#define CONTROL_DEPTH_MAX   8     /* nesting of a request                          */
#define CONTROL_CLIENTS_MAX 64
#define CONTROL_PENDING_MAX 16           /* unanswered requests of one client             */
#define CONTROL_IDLE        (5 * MINUTE) /* a client with nothing pending is closed */

/* What a client may do: root changes, group `ocala` reads (the socket's owner decides from
 * SO_PEERCRED). */
enum control_level { CONTROL_READ, CONTROL_CHANGE };

/* id, name, level needed, description. */
#define CONTROL_COMMANDS(X)                                                                        \
    X(STATUS, "status", READ, "everything at a glance")                                            \
    X(EXPLAIN, "explain", READ, "how a name is reached, or why it is not")                         \
    X(PING, "ping", READ, "measure the path to a name")                                            \
    X(PATH, "path", READ, "list paths")                                                            \
    X(PATH_CLOSE, "path.close", CHANGE, "close the paths to a name")                               \
    X(HANDLE, "handle", READ, "list handle addresses")                                             \
    X(OVERLAY, "overlay", READ, "list overlays, members and links")                                \
    X(KEY, "key", READ, "list the keys that names are bound to")                                   \
    X(KEY_FORGET, "key.forget", CHANGE, "forget the key that a name is bound to")                  \
    X(DNS, "dns", READ, "how programs' questions for names come here")                             \
    X(I3, "i3", READ, "the i3 server of this process: ring, triggers, counters")                   \
    X(LOG, "log", READ, "how much is logged, by area")                                             \
    X(LOG_SET, "log.set", CHANGE, "log more or less from now on")                                  \
    X(DROPS, "drops", READ, "dropped packets by reason")                                           \
    X(METRICS, "metrics", READ, "all counters")                                                    \
    X(CONFIG, "config", READ, "the configuration as understood")                                   \
    X(VERSION, "version", READ, "version of the daemon")                                           \
    X(RELOAD, "reload", CHANGE, "read the configuration file again")                               \
    X(STOP, "stop", CHANGE, "end the daemon")

enum control_command {
#define CONTROL_COMMAND_ENUM(id, name, level, text) CONTROL_##id,
    CONTROL_COMMANDS(CONTROL_COMMAND_ENUM)
#undef CONTROL_COMMAND_ENUM
        CONTROL_COMMAND_COUNT
};

/* Codes of error replies: id, name, meaning. */
#define CONTROL_ERRORS(X)                                                                          \
    X(BAD_JSON, "bad-json", "the line is not one JSON object")                                     \
    X(TOO_LONG, "too-long", "the line is longer than a request may be; the connection is closed")  \
    X(BAD_REQUEST, "bad-request", "the object is not a request")                                   \
    X(UNKNOWN_COMMAND, "unknown-command", "there is no such command")                              \
    X(MISSING_ARGUMENT, "missing-argument", "the command needs an argument that is not there")     \
    X(UNKNOWN_ARGUMENT, "unknown-argument", "the command has no such argument")                    \
    X(BAD_ARGUMENT, "bad-argument", "an argument's type or value is wrong")                        \
    X(DENIED, "denied", "this client may read but not change")                                     \
    X(BUSY, "busy", "too many clients, or too many requests without an answer")                    \
    X(NOT_FOUND, "not-found", "what the request names does not exist")                             \
    X(FAILED, "failed", "the command was tried and failed")                                        \
    X(STOPPING, "stopping", "the daemon is about to end")

enum control_error {
#define CONTROL_ERROR_ENUM(id, name, text) CONTROL_ERROR_##id,
    CONTROL_ERRORS(CONTROL_ERROR_ENUM)
#undef CONTROL_ERROR_ENUM
        CONTROL_ERROR_COUNT
};

const char *control_error_name(enum control_error code);
const char *control_command_name(enum control_command command);

/* Arguments of commands, for the engine's checks and for usage texts. */
enum control_kind {
    CONTROL_ARGUMENT_NAME,  /* text: an overlay name or chain          */
    CONTROL_ARGUMENT_HOST,  /* text: one overlay name                  */
    CONTROL_ARGUMENT_TEXT,  /* text of up to 64 printable characters   */
    CONTROL_ARGUMENT_COUNT, /* integer from `least` to `most`          */
};

struct control_argument {
    const char *name; /* NULL ends the list */
    enum control_kind kind;
    bool required;
    int64_t least, most, standard; /* COUNT; `standard` when it is left out */
    const char *text;
};

/* The arguments that a command takes, ended by one without name. */
const struct control_argument *control_command_arguments(enum control_command command);

enum control_out_kind {
    CONTROL_OUT_REQUEST, /* answer this                                                        */
    CONTROL_OUT_CANCEL,  /* the client of this request is gone: stop; no answer is needed      */
    CONTROL_OUT_SEND,    /* bytes for the client                                               */
    CONTROL_OUT_CLOSE,   /* close the client's connection once what was sent before has left;
                            the engine has forgotten it already                                */
};

/* Pointers stay the engine's and are valid until the next call of any function on it. */
struct control_out {
    enum control_out_kind kind;
    uint64_t client;
    uint64_t serial;              /* REQUEST, CANCEL          */
    enum control_command command; /* REQUEST                  */
    enum control_level level;     /* REQUEST: of the client   */
    json_t *args;                 /* REQUEST: object; take a reference (json_incref) to keep it */
    const char *bytes;            /* SEND                     */
    size_t size;
};

struct control_server;
/* Seeds jansson's hash tables from `entropy` (so that the library does not look for randomness
 * itself). */
struct control_server *control_new(struct entropy *entropy);
void control_free(struct control_server *s); /* accepts NULL */

/* A connection under a number that the caller chooses and does not use twice.  When there are too
 * many, an error reply and a CLOSE come out. */
void control_connect(struct control_server *s, instant now, uint64_t client,
                     enum control_level level);
/* The connection ended; CANCEL comes out for each of its unanswered requests. */
void control_disconnect(struct control_server *s, instant now, uint64_t client);
/* Bytes from the client, cut anywhere.  Bytes of an unknown client are ignored. */
void control_input(struct control_server *s, instant now, uint64_t client, const void *bytes,
                   size_t size);
void control_advance(struct control_server *s, instant now);
instant control_deadline(const struct control_server *s);
bool control_output(struct control_server *s, struct control_out *ret);

/* Answers.  `result` is taken always.  Answers to requests that were cancelled are ignored.  After
 * the last one (`more` false, or a failure) the serial is done. */
void control_reply(struct control_server *s, instant now, uint64_t client, uint64_t serial,
                   json_t *result, bool more);
/* `hint` says what to do, or NULL. */
void control_fail(struct control_server *s, instant now, uint64_t client, uint64_t serial,
                  enum control_error code, const char *message, const char *hint);

#endif
