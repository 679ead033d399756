#include "io/mtu.h"

#include <netinet/in.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#define OVERHEAD4 28 /* IPv4 and UDP headers */
#define OVERHEAD6 48

size_t mtu_payload(const struct endpoint *remote)
{
    bool v4 = remote->ip.family == 4;
    struct sockaddr_in to4 = {.sin_family = AF_INET, .sin_port = htons(remote->port)};
    struct sockaddr_in6 to6 = {
        .sin6_family = AF_INET6, .sin6_port = htons(remote->port), .sin6_scope_id = remote->scope};
    int mtu = 0;
    socklen_t size = sizeof mtu;

    memcpy(&to4.sin_addr, remote->ip.bytes, 4);
    memcpy(&to6.sin6_addr, remote->ip.bytes, 16);
    int fd = socket(v4 ? AF_INET : AF_INET6, SOCK_DGRAM | SOCK_CLOEXEC, 0);
    if (fd < 0)
        return 0;
    bool known =
        connect(fd, v4 ? (struct sockaddr *)&to4 : (struct sockaddr *)&to6,
                v4 ? sizeof to4 : sizeof to6) == 0 &&
        getsockopt(fd, v4 ? IPPROTO_IP : IPPROTO_IPV6, v4 ? IP_MTU : IPV6_MTU, &mtu, &size) == 0;
    close(fd);
    int overhead = v4 ? OVERHEAD4 : OVERHEAD6;
    return known && mtu > overhead ? (size_t)(mtu - overhead) : 0;
}
