#include "helper/run_remedy.h"

#include <errno.h>

const char *run_remedy(int error, const struct run_switches *switches)
{
    if (error != -EPERM && error != -EACCES && error != -ENOSPC && error != -EUSERS)
        return "";
    if (switches->apparmor > 0)
        return "; AppArmor restricts user namespaces here: allow them with `sudo sysctl -w "
               "kernel.apparmor_restrict_unprivileged_userns=0`, or give ocalad an AppArmor "
               "profile with `userns,`";
    if (switches->userns_clone == 0)
        return "; user namespaces are switched off here: allow them with `sudo sysctl -w "
               "kernel.unprivileged_userns_clone=1`";
    if (switches->max_user == 0)
        return "; user namespaces are switched off here: allow them with `sudo sysctl -w "
               "user.max_user_namespaces=10000`";
    if (error == -ENOSPC || error == -EUSERS)
        return "; the limit on namespaces is reached: raise user.max_user_namespaces and "
               "user.max_net_namespaces with `sudo sysctl -w`";
    return "; this system or container does not let ordinary users make namespaces: allow it "
           "there, or run ocalad as root";
}
