#include "cli/doctor.h"

#include <stdarg.h>
#include <stdio.h>
#include <string.h>

struct judge {
    void (*each)(void *context, const struct doctor_finding *finding);
    void *context;
    char what[500], remedy[500];
};

static void tell(struct judge *j, bool problem, const char *id, const char *why, const char *remedy,
                 const char *format, ...) __attribute__((format(printf, 6, 7)));

static void tell(struct judge *j, bool problem, const char *id, const char *why, const char *remedy,
                 const char *format, ...)
{
    va_list arguments;
    va_start(arguments, format);
    vsnprintf(j->what, sizeof j->what, format, arguments);
    va_end(arguments);
    struct doctor_finding finding = {problem, id, j->what, why, remedy};
    j->each(j->context, &finding);
}

/* How to make these programs leave resolv.conf alone, or go along with us. */
static const struct {
    const char *who, *remedy;
} writers[] = {
    {"NetworkManager",
     "write \"[main]\" and \"dns=systemd-resolved\" (where systemd-resolved runs) or \"rc-manager="
     "unmanaged\" into /etc/NetworkManager/conf.d/ocala.conf, and run: nmcli general reload"},
    {"Tailscale", "run: tailscale set --accept-dns=false (names of the tailnet are then not "
                  "resolved), or let both use systemd-resolved"},
    {"NetBird", "switch its DNS management off for this peer, or let both use systemd-resolved"},
    {"dhclient", "write \"make_resolv_conf() { :; }\" into an executable file in "
                 "/etc/dhcp/dhclient-enter-hooks.d/, or use systemd-resolved"},
    {"dhcpcd", "write \"nohook resolv.conf\" into /etc/dhcpcd.conf, or use systemd-resolved"},
    {"resolvconf", "set `dns.mode: intercept`, or remove the package resolvconf (or openresolv)"},
    {"systemd-resolved", "set `dns.mode: resolved`, which works with it and not against it"},
    {"vpnc-script", "start the other VPN with a script that leaves DNS alone, or use "
                    "systemd-resolved"},
    {"ConnMan", "start connmand with --nodnsproxy, or set `dns.mode: intercept`"},
    {"WSL", "write \"[network]\" and \"generateResolvConf = false\" into /etc/wsl.conf"},
    {"Proxmox", "set `dns.mode: intercept`: it writes the file of containers at each start"},
};

static const char *writer_remedy(const char *who)
{
    for (size_t i = 0; i < sizeof writers / sizeof *writers; i++)
        if (strcmp(who, writers[i].who) == 0)
            return writers[i].remedy;
    return "find out who writes it (`auditctl -w /etc/resolv.conf -p wa`) and make him stop, let "
           "both use systemd-resolved, or set `dns.mode: intercept`";
}

static const char *named(const char *who)
{
    return who[0] ? who : "another program";
}

static bool mode_is(const struct doctor_facts *f, const char *mode)
{
    return strcmp(f->mode, mode) == 0;
}

/* ---- can we be asked at all? ---- */

static void judge_listener(struct judge *j, const struct doctor_facts *f)
{
    if (f->udp == DOCTOR_SILENT || f->tcp == DOCTOR_SILENT)
        tell(j, true, "listener-silent",
             "programs wait for seconds and then find no name at all, neither ours nor others",
             "let packets over the interface lo pass first of all in the firewall (nft: \"iifname "
             "lo "
             "accept\", ufw does so by itself); `nft list ruleset` shows what drops them",
             "ocalad does not answer at %s over %s: a firewall drops packets to port 53 of this "
             "machine, or ocalad hangs",
             f->listen, f->udp == DOCTOR_SILENT ? "UDP" : "TCP");
    if (f->udp == DOCTOR_REFUSED || f->tcp == DOCTOR_REFUSED)
        tell(j, true, "listener-refused", "programs find no name at all",
             "look at the log of ocalad, and restart it",
             "nobody listens at %s, where ocalad says that it answers", f->listen);
    if (f->udp == DOCTOR_WRONG || f->tcp == DOCTOR_WRONG)
        tell(j, true, "listener-wrong", "overlay names are answered by somebody who knows none",
             "`ss -lunp sport = :53` shows who has the port; stop it or set `dns.listen`",
             "somebody else answers at %s, or leads questions away from it", f->listen);
    if (!strstr(f->listen, "127.0.0.1:53") && f->listen[0] && !mode_is(f, "none"))
        tell(j, false, "port-taken",
             "nothing is wrong with that; but whoever asks 127.0.0.1 asks that other resolver",
             "let the other resolver send our domains here, or stop it, or leave it so",
             "ocalad answers at %s and not at 127.0.0.1:53: another resolver may have that port",
             f->listen);
}

/* ---- does a question get here? ---- */

static void judge_file(struct judge *j, const struct doctor_facts *f)
{
    if (mode_is(f, "resolvconf") && !f->file.ours)
        tell(j, true, "resolvconf-lost", "programs ask somebody who does not know overlay names",
             writer_remedy(f->file.writer), "/etc/resolv.conf is not ours any more: %s wrote it",
             named(f->file.writer));
    if (f->fight || f->taken_back > 2)
        tell(j, f->fight, "resolvconf-fight",
             "names are not found for moments, each time until ours is put back",
             writer_remedy(f->fighter),
             "%s keeps writing /etc/resolv.conf (%u times since the start)", named(f->fighter),
             f->taken_back);
    if (mode_is(f, "resolved") && !f->file.stub && !f->nsswitch.resolve)
        tell(j, true, "stub-not-used",
             "systemd-resolved knows our domains, but programs do not ask it",
             "run: ln -sf ../run/systemd/resolve/stub-resolv.conf /etc/resolv.conf, or set "
             "`dns.mode: auto`",
             "/etc/resolv.conf does not lead to systemd-resolved (it has %u servers%s%s)",
             f->servers.count, f->file.writer[0] ? ", written by " : "", f->file.writer);
    if (mode_is(f, "resolvconf") && f->resolved_runs && f->nsswitch.resolve &&
        (!f->nsswitch.dns || f->nsswitch.resolve < f->nsswitch.dns))
        tell(j, true, "resolve-before-dns",
             "programs ask systemd-resolved, which asks its own servers beside us and takes the "
             "first answer",
             "set `dns.mode: resolved` (or auto, with resolv.conf a link to "
             "/run/systemd/resolve/stub-resolv.conf)",
             "nsswitch.conf asks \"resolve\" before \"dns\", and ocalad is in resolv.conf only");
    if (mode_is(f, "none"))
        tell(j, false, "mode-none", "programs find overlay names only if somebody sends them there",
             "set `dns.mode: auto`, or let your resolver send our domains to ocalad",
             "dns.mode is none: nothing leads programs to %s", f->listen);
}

static void judge_library(struct judge *j, const struct doctor_facts *f)
{
    if (!f->nsswitch.found || (!f->nsswitch.dns && !f->nsswitch.resolve))
        tell(j, f->nsswitch.found, "nsswitch-without-dns",
             "the C library asks no name server, so that no program finds any name",
             "write \"hosts: files dns\" into /etc/nsswitch.conf",
             "nsswitch.conf has no \"dns\" in its line \"hosts:\" (%s)",
             f->nsswitch.found ? f->nsswitch.line : "there is none; the built-in one is used");
    if (f->nscd_runs)
        tell(
            j, f->library == DOCTOR_WRONG, "nscd",
            "it keeps \"no such name\" from before ocalad ran, and addresses from before a restart",
            "run: nscd -i hosts after a change, or write \"enable-cache hosts no\" into "
            "/etc/nscd.conf",
            "nscd caches names");
    if (f->settings.ndots > 2 && f->settings.search_count)
        tell(j, false, "ndots",
             "each overlay name is first asked with each of these domains behind it: slower, and "
             "their server sees the name",
             "write names with a final dot (beta.west.ip.), or lower ndots",
             "resolv.conf has ndots:%u and the search list \"%s\"", f->settings.ndots,
             f->settings.search);
    if (mode_is(f, "resolved") && f->link_dnssec[0] && strcmp(f->link_dnssec, "no") != 0)
        tell(j, true, "dnssec", "overlay names are signed by nobody, so their answers are refused",
             "run: resolvectl dnssec TUN no (with the name of ocalad's TUN), or restart ocalad",
             "systemd-resolved validates on ocalad's link (DNSSEC=%s)", f->link_dnssec);
    if (f->library == DOCTOR_WRONG || f->library == DOCTOR_SILENT)
        tell(
            j, true, "not-found", "programs that use the C library do not find overlay names",
            "the other findings say why; if there is none: `getent hosts` and `dig` with this name "
            "tell the C library from the servers",
            "the C library does not find this host's own name %s", f->own_name);
}

/* ---- who else is there? ---- */

static void judge_others(struct judge *j, const struct doctor_facts *f)
{
    if (f->vpn[0])
        tell(j, false, "two-vpns",
             "whoever of both comes last is asked first, and both may want the same addresses",
             "let both use systemd-resolved, which keeps them apart; else start ocalad last, and "
             "switch the other one's DNS off",
             "another VPN is on this machine: %s", f->vpn);
    if (f->clash[0])
        tell(j, true, "range-clash",
             "packets to some of our addresses go elsewhere, or packets for elsewhere come to us",
             "restart ocalad, which then takes another range (or set `handles.ipv4`)", "%s",
             f->clash);
    if (f->browser[0])
        tell(
            j, false, "doh",
            "a browser with DNS over HTTPS asks a server on the Internet and finds no overlay name",
            "in the browser's settings switch \"secure DNS\" (DNS over HTTPS) off, or to the "
            "system's resolver",
            "a browser runs: %s", f->browser);
    if (f->trouble[0])
        tell(j, true, "trouble", "ocalad itself says so", "see the log of ocalad", "%s",
             f->trouble);
}

void doctor_judge(const struct doctor_facts *f,
                  void (*each)(void *context, const struct doctor_finding *finding), void *context)
{
    struct judge j = {.each = each, .context = context};
    if (!f->daemon)
        tell(&j, true, "no-daemon", "nobody answers for overlay names",
             "start ocalad, or name its control socket with --socket", "ocalad does not answer");
    judge_listener(&j, f);
    judge_file(&j, f);
    judge_library(&j, f);
    judge_others(&j, f);
}
