/* A request as a daemon that was taken over might send it: what is accepted is in range and ends.
 */
#include "tests/fuzz/fuzz.h"

#include <string.h>

#include "base/check.h"
#include "helper/helper_msg.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct helper_request q = {0};
    const char *reason = NULL;
    memcpy(&q, data, size < sizeof q ? size : sizeof q);
    /* The first bytes of a whole message are not left to chance alone. */
    if (size > 0 && data[0] & 0x80) {
        q.version = HELPER_MSG_VERSION;
        q.verb %= HELPER_VERB_COUNT;
        size = sizeof q;
    }
    if (helper_request_check(&q, size, &reason) < 0) {
        require(reason);
        return 0;
    }
    if (q.verb == HELPER_TUN_OPEN)
        require(strlen(q.tun.name) < sizeof q.tun.name && q.tun.queues <= HELPER_FDS_MAX &&
                q.tun.pool4.length <= 32 && q.tun.pool6.length <= 128);
    if (q.verb == HELPER_LISTEN)
        require(q.listen.transport < HELPER_TRANSPORT_COUNT);
    if (q.verb == HELPER_FILE_OPEN)
        require(strlen(q.file.path) < sizeof q.file.path);
    return 0;
}
