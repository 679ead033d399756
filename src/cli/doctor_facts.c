/* The machine as its programs see it: the same files, the same C library, the same servers. */
#include "cli/doctor.h"

#include <arpa/inet.h>
#include <errno.h>
#include <ifaddrs.h>
#include <netdb.h>
#include <netinet/in.h>
#include <poll.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include "cli/field.h"
#include "linux/files.h"
#include "linux/resolved.h"
#include "linux/spawn.h"

#define PATIENCE_MS   1500
#define QUESTION_SIZE 300
#define NSSWITCH      "/etc/nsswitch.conf"
#define NSSWITCH_SIZE 65536

/* ---- questions ---- */

/* An A question for the name; 0 when it is no name. */
static size_t question_write(const char *name, uint8_t out[QUESTION_SIZE])
{
    static const uint8_t head[12] = {0x6f, 0x63, 1, 0, 0, 1};
    size_t used = sizeof head;
    memcpy(out, head, sizeof head);
    while (*name) {
        size_t length = strcspn(name, ".");
        if (length == 0 || length > 63 || used + length + 6 > QUESTION_SIZE)
            return 0;
        out[used++] = (uint8_t)length;
        memcpy(out + used, name, length);
        used += length;
        name += length + (name[length] == '.');
    }
    static const uint8_t tail[5] = {0, 0, 1, 0, 1};
    memcpy(out + used, tail, sizeof tail);
    return used + sizeof tail;
}

static socklen_t address_of(const struct endpoint *e, struct sockaddr_storage *ret)
{
    memset(ret, 0, sizeof *ret);
    if (e->ip.family == 4) {
        struct sockaddr_in *in = (struct sockaddr_in *)ret;
        in->sin_family = AF_INET;
        in->sin_port = htons(e->port);
        memcpy(&in->sin_addr, e->ip.bytes, 4);
        return sizeof *in;
    }
    struct sockaddr_in6 *in6 = (struct sockaddr_in6 *)ret;
    in6->sin6_family = AF_INET6;
    in6->sin6_port = htons(e->port);
    memcpy(&in6->sin6_addr, e->ip.bytes, 16);
    return sizeof *in6;
}

static bool ready(int fd, short events)
{
    struct pollfd watch = {.fd = fd, .events = events};
    return poll(&watch, 1, PATIENCE_MS) == 1;
}

/* An answer with at least one record is what we want: only ocalad knows this name. */
static enum doctor_probe answer_judge(const uint8_t *answer, ssize_t size)
{
    if (size < 12 || answer[0] != 0x6f || answer[1] != 0x63)
        return DOCTOR_WRONG;
    return (answer[3] & 15) == 0 && (answer[6] || answer[7]) ? DOCTOR_ANSWERED : DOCTOR_WRONG;
}

static enum doctor_probe failure(int error)
{
    return error == ECONNREFUSED ? DOCTOR_REFUSED : DOCTOR_SILENT;
}

static enum doctor_probe exchange(int fd, bool tcp, const uint8_t *question, size_t size)
{
    uint8_t bytes[QUESTION_SIZE + 2] = {(uint8_t)(size >> 8), (uint8_t)size}, answer[2048];
    memcpy(bytes + 2, question, size);
    int error = 0;
    socklen_t length = sizeof error;
    if (tcp &&
        (!ready(fd, POLLOUT) || getsockopt(fd, SOL_SOCKET, SO_ERROR, &error, &length) || error))
        return failure(error);
    if (send(fd, tcp ? bytes : bytes + 2, tcp ? size + 2 : size, MSG_NOSIGNAL) < 0)
        return failure(errno);
    if (!ready(fd, POLLIN))
        return DOCTOR_SILENT;
    ssize_t n = recv(fd, answer, sizeof answer, 0);
    if (n < 0)
        return failure(errno);
    return tcp && n >= 2 ? answer_judge(answer + 2, n - 2) : answer_judge(answer, n);
}

static enum doctor_probe ask(const struct endpoint *server, bool tcp, const char *name)
{
    struct sockaddr_storage at;
    uint8_t question[QUESTION_SIZE];
    size_t size = question_write(name, question);
    socklen_t length = address_of(server, &at);
    int type = (tcp ? SOCK_STREAM : SOCK_DGRAM) | SOCK_CLOEXEC | SOCK_NONBLOCK;
    int fd = size ? socket(at.ss_family, type, 0) : -1;
    if (fd < 0)
        return DOCTOR_NOT_TRIED;
    enum doctor_probe result;
    if (connect(fd, (struct sockaddr *)&at, length) && errno != EINPROGRESS)
        result = failure(errno);
    else
        result = exchange(fd, tcp, question, size);
    close(fd);
    return result;
}

static enum doctor_probe ask_library(const char *name)
{
    struct addrinfo hints = {.ai_family = AF_INET, .ai_socktype = SOCK_STREAM}, *found = NULL;
    int error = getaddrinfo(name, NULL, &hints, &found);
    if (!error)
        freeaddrinfo(found);
    return !error ? DOCTOR_ANSWERED : error == EAI_AGAIN ? DOCTOR_SILENT : DOCTOR_WRONG;
}

/* ---- the machine ---- */

static const char *const vpn_names[] = {
    "tailscale",      "wt",   "wg",     "zt",    "nebula", "nordlynx", "proton", "tun",     "utun",
    "CloudflareWARP", "Meta", "mihomo", "clash", "sing",   "ppp",      "gpd",    "cscotun", "vpn"};

/* A name of the list with nothing but a number (or "-" and more) behind it. */
static bool is_vpn(const char *interface)
{
    for (size_t i = 0; i < sizeof vpn_names / sizeof *vpn_names; i++) {
        size_t length = strlen(vpn_names[i]);
        char next = strncmp(interface, vpn_names[i], length) ? 'x' : interface[length];
        if (next == '\0' || next == '-' || (next >= '0' && next <= '9') ||
            (next != 'x' && strcmp(vpn_names[i], "zt") == 0))
            return true;
    }
    return false;
}

static void vpns_find(char *out, size_t size)
{
    struct ifaddrs *all;
    out[0] = '\0';
    if (getifaddrs(&all))
        return;
    for (const struct ifaddrs *a = all; a; a = a->ifa_next) {
        size_t used = strlen(out);
        if (is_vpn(a->ifa_name) && !strstr(out, a->ifa_name))
            snprintf(out + used, size - used, "%s%s", used ? ", " : "", a->ifa_name);
    }
    freeifaddrs(all);
}

static void browser_find(char *out, size_t size)
{
    static const char *const names[] = {"firefox", "firefox-esr", "chrome",      "chromium",
                                        "brave",   "msedge",      "vivaldi-bin", "opera"};
    out[0] = '\0';
    for (size_t i = 0; i < sizeof names / sizeof *names && !out[0]; i++)
        if (linux_process_runs(names[i]))
            snprintf(out, size, "%s", names[i]);
}

static void link_dnssec(const char *tun, char *out, size_t size)
{
    char said[LINUX_SPAWN_SAID], *text = NULL;
    const char *const argv[] = {"resolvectl", "--no-pager", "dnssec", tun, NULL};
    if (linux_spawn(argv, NULL, 3000, &text, said) == 0) {
        const char *colon = strrchr(text, ':');
        snprintf(out, size, "%s", colon ? colon + 1 + strspn(colon + 1, " ") : "");
        out[strcspn(out, " \n")] = '\0';
    }
    free(text);
}

static void files_look(struct doctor_facts *ret)
{
    char *text;
    size_t size;
    linux_resolver_look(RESOLVCONF_DEFAULT, &ret->file);
    ret->settings.ndots = 1;
    if (linux_file_read(RESOLVCONF_DEFAULT, LINUX_FILE_PLAIN, RESOLVCONF_SIZE, &text, &size, NULL,
                        0) == 0) {
        linux_resolvconf_parse(text, size, &ret->servers);
        linux_resolver_settings(text, size, &ret->settings);
        free(text);
    }
    if (linux_file_read(NSSWITCH, LINUX_FILE_PLAIN, NSSWITCH_SIZE, &text, &size, NULL, 0) == 0) {
        linux_nsswitch_parse(text, size, &ret->nsswitch);
        free(text);
    }
}

static void copy(const json_t *object, const char *key, char *out, size_t size)
{
    const char *text = json_string_value(json_object_get(object, key));
    snprintf(out, size, "%s", text ? text : "");
}

static void daemon_look(const json_t *dns, struct doctor_facts *ret)
{
    const json_t *file = json_object_get(dns, "resolvconf");
    const char *own = json_string_value(json_array_get(json_object_get(dns, "own_names"), 0));
    struct endpoint listen;
    char tun[16];
    ret->daemon = true;
    copy(dns, "mode", ret->mode, sizeof ret->mode);
    copy(dns, "listen", ret->listen, sizeof ret->listen);
    copy(dns, "trouble", ret->trouble, sizeof ret->trouble);
    copy(dns, "clash", ret->clash, sizeof ret->clash);
    copy(dns, "tun", tun, sizeof tun);
    copy(file, "writer", ret->fighter, sizeof ret->fighter);
    ret->fight = json_is_true(json_object_get(file, "fight"));
    ret->taken_back = (unsigned)field_number(file, "taken_back");
    snprintf(ret->own_name, sizeof ret->own_name, "%s", own ? own : "");
    if (!own || !endpoint_parse(ret->listen, 53, &listen))
        return;
    ret->udp = ask(&listen, false, own);
    ret->tcp = ask(&listen, true, own);
    if (strcmp(ret->mode, "none") != 0)
        ret->library = ask_library(own);
    if (strcmp(ret->mode, "resolved") == 0)
        link_dnssec(tun, ret->link_dnssec, sizeof ret->link_dnssec);
}

void doctor_look(const json_t *dns, struct doctor_facts *ret)
{
    *ret = (struct doctor_facts){0};
    files_look(ret);
    ret->resolved_runs = linux_resolved_runs();
    ret->nscd_runs = linux_process_runs("nscd");
    vpns_find(ret->vpn, sizeof ret->vpn);
    browser_find(ret->browser, sizeof ret->browser);
    if (dns)
        daemon_look(dns, ret);
}
