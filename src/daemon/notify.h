/* Tells the service manager (systemd) about our state, when there is one. */
#ifndef OCALA_DAEMON_NOTIFY_H
#define OCALA_DAEMON_NOTIFY_H

/* "READY=1", "STOPPING=1", ... */
void daemon_notify(const char *state);

#endif
