/* TUN on Linux: opening the device, and struct capture over one of its queues.
 *
 * The device lives as long as one of its descriptors is open: it vanishes with the process that
 * holds them, and with it its addresses and routes.  Packets carry virtio_net_hdr (IFF_VNET_HDR),
 * so that checksums cross open; see vnet.h. */
#ifndef OCALA_CAPTURE_LINUX_TUN_H
#define OCALA_CAPTURE_LINUX_TUN_H

#include <stdbool.h>
#include <stddef.h>

#include "capture/capture.h"

#define TUN_QUEUES_MAX 16
#define TUN_NAME_SIZE  16 /* IFNAMSIZ */
#define TUN_DEVICE     "/dev/net/tun"

/* What a network card would do for the kernel, and now we do. */
struct tun_offload {
    bool checksum; /* checksums of what programs send stay open, and may be open in what they get */
    bool tcp;      /* TCP comes and goes in super-packets  */
    bool udp;      /* UDP too (Linux 6.2)                  */
};

struct tun_device {
    char name[TUN_NAME_SIZE]; /* as the kernel has it ("ocala%d" is filled in) */
    unsigned queues;
    int fd[TUN_QUEUES_MAX]; /* non-blocking, close-on-exec                   */
    bool checksum_offload;  /* false: the kernel completes every checksum    */
};

/* Creates the device; an existing one of that name is never joined.  On failure nothing stays open
 * and `err` holds a line for the user: -EEXIST the name is taken, -ENODEV no usable /dev/net/tun,
 * -EPERM or -EACCES not allowed, else the errno. */
int tun_open(const char *name, unsigned queues, struct tun_device *ret, char *err, size_t err_size);
void tun_close(struct tun_device *device);

/* Takes over, for the device that `fd` is a queue of, as much as this kernel lets us. */
void tun_offload_set(int fd, struct tun_offload *ret);

/* The operations of struct capture on a bare descriptor; see capture.h for what they return. */
int tun_read(int fd, struct packet *p);
int tun_write(int fd, const struct packet *p);

/* A queue as struct capture.  The descriptor stays the caller's. */
struct tun_queue {
    struct capture capture;
    int fd;
};
void tun_queue_init(struct tun_queue *q, int fd);

#endif
