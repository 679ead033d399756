/* What the helper does on request: one function per verb, run in the helper process.
 *
 * Each returns 0 or a negative errno and then has put a line for the user into reply->text;
 * descriptors for the daemon go into `fds` and are counted in reply->fds. */
#ifndef OCALA_HELPER_ACT_H
#define OCALA_HELPER_ACT_H

#include "helper/helper.h"
#include "helper/helper_msg.h"
#include "helper/journal.h"

struct act {
    char *runtime_dir, *config_dir, *resolvconf_path; /* config_dir may be NULL */
    struct journal *journal;
};

int act_tun_open(struct act *a, const struct helper_tun_request *q, struct helper_reply *reply,
                 int *fds);
int act_route_check(struct act *a, const struct helper_route_request *q,
                    struct helper_reply *reply);
int act_listen(struct act *a, const struct helper_listen_request *q, struct helper_reply *reply,
               int *fds);
int act_control_listen(struct act *a, struct helper_reply *reply, int *fds);
int act_file_open(struct act *a, const char *path, struct helper_reply *reply, int *fds);
int act_dns_set(struct act *a, const struct helper_dns_request *q, struct helper_reply *reply);
int act_dns_unset(struct act *a, struct helper_reply *reply);
int act_dns_upstreams(struct act *a, struct helper_reply *reply);
int act_dns_sockets(struct act *a, const struct helper_sockets_request *q,
                    struct helper_reply *reply, int *fds);

#endif
