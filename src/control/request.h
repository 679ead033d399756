/* One line of a client: JSON, command, permission, arguments.  Private to control/. */
#ifndef OCALA_CONTROL_REQUEST_H
#define OCALA_CONTROL_REQUEST_H

#include "control/control.h"

#define CONTROL_ID_MAX 128 /* characters of a text id */

struct control_request {
    json_t *id; /* NULL when there is none */
    enum control_command command;
    json_t *args; /* whole: canonical names, defaults filled in */
    /* When it is refused: */
    enum control_error code;
    char message[256], hint[384];
};

/* False when it is refused; `id` may be there then, `args` is not.  Either way the caller ends it
 * with control_request_done(). */
bool control_request_read(const char *line, size_t size, enum control_level level,
                          struct control_request *ret);
void control_request_done(struct control_request *r);

#endif
