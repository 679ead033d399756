/* `ocala dns doctor`: what stands between programs and overlay names on this machine.
 *
 * Facts are gathered in doctor_facts.c; doctor.c judges them without looking at anything else. */
#ifndef OCALA_CLI_DOCTOR_H
#define OCALA_CLI_DOCTOR_H

#include <stdbool.h>

#include <jansson.h>

#include "linux/resolver.h"

enum doctor_probe {
    DOCTOR_NOT_TRIED,
    DOCTOR_ANSWERED, /* with the address that it should be */
    DOCTOR_WRONG,    /* with something else, or "no such name" */
    DOCTOR_SILENT,
    DOCTOR_REFUSED,
};

struct doctor_facts {
    bool daemon; /* it answers on its control socket; else the next ones are nothing */
    char mode[16], listen[ENDPOINT_TEXT], own_name[256], trouble[300], clash[300];
    bool fight;
    unsigned taken_back;
    char fighter[32];

    struct linux_resolver_file file;
    struct linux_resolvconf servers;
    struct linux_resolver_settings settings;
    struct linux_nsswitch nsswitch;
    bool resolved_runs, nscd_runs;
    char link_dnssec[16]; /* of the TUN at systemd-resolved: "yes", "no", "allow-downgrade", "" */
    char vpn[128];        /* interfaces of other VPNs */
    char browser[32];     /* one that runs */

    enum doctor_probe udp, tcp; /* our own name, asked at `listen`        */
    enum doctor_probe library;  /* our own name, as programs look it up   */
};

struct doctor_finding {
    bool problem; /* else worth knowing */
    const char *id, *what, *why, *remedy;
};

/* Calls `each` for every finding, the gravest first; the texts live as long as the call. */
void doctor_judge(const struct doctor_facts *f,
                  void (*each)(void *context, const struct doctor_finding *finding), void *context);

/* From the reply to `dns` (NULL: the daemon does not answer) and this machine. */
void doctor_look(const json_t *dns, struct doctor_facts *ret);

#endif
