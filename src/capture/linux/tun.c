/* A TUN opened with IFF_VNET_HDR: each read and write carries a virtio_net_hdr in front of the IP
 * packet.  It travels in a piece of its own (readv, writev), so that the packet's bytes lie where
 * the packet's buffer has them.
 *
 * The kernel leaves to us what it would leave to a network card: checksums, cutting up what programs
 * send.  What it does not know is refused as a whole, so less is asked for until it agrees. */
#include "capture/linux/tun.h"

#include <assert.h>
#include <errno.h>
#include <fcntl.h>
#include <linux/if_tun.h>
#include <linux/virtio_net.h>
#include <net/if.h>
#include <stdio.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/uio.h>
#include <unistd.h>

#include "capture/vnet.h"

/* linux/if_tun.h of Linux 6.2. */
#ifndef TUN_F_USO4
#define TUN_F_USO4 0x20
#define TUN_F_USO6 0x40
#endif

static_assert(sizeof(struct virtio_net_hdr) == VNET_HEADER_SIZE, "the header's first form");
static_assert(TUN_NAME_SIZE == IFNAMSIZ, "a name of an interface");

static int device_open(char *err, size_t size)
{
    int fd = open(TUN_DEVICE, O_RDWR | O_NONBLOCK | O_CLOEXEC);
    if (fd >= 0)
        return fd;
    int r = -errno;
    switch (r) {
    case -ENOENT:
    case -ENXIO:
    case -ENODEV:
        snprintf(err, size,
                 "there is no " TUN_DEVICE
                 "; load the kernel module (modprobe tun), in a container "
                 "pass the device in (--device " TUN_DEVICE ")");
        return -ENODEV;
    case -EACCES:
    case -EPERM:
        snprintf(err, size,
                 "no permission to open " TUN_DEVICE
                 "; it is usually open to all (chmod 0666 " TUN_DEVICE
                 "), in a container pass the device in (--device " TUN_DEVICE ")");
        return r;
    default:
        snprintf(err, size, "cannot open " TUN_DEVICE ": %s", strerror(-r));
        return r;
    }
}

static int device_name(int fd, struct ifreq *request, char *err, size_t size)
{
    if (ioctl(fd, TUNSETIFF, request) == 0)
        return 0;
    int r = -errno;
    switch (r) {
    case -EBUSY:  /* a TUN of this name, with IFF_TUN_EXCL             */
    case -EEXIST: /* a device of another kind that takes the name      */
    case -EINVAL:
        if (if_nametoindex(request->ifr_name)) {
            snprintf(
                err, size,
                "there is already a network interface %s; remove it or set another tun name in "
                "the configuration",
                request->ifr_name);
            return -EEXIST;
        }
        snprintf(err, size, "cannot create the TUN %s: %s", request->ifr_name, strerror(-r));
        return r;
    case -EPERM:
        snprintf(
            err, size,
            "not allowed to create the TUN %s: this needs root (CAP_NET_ADMIN); for one program "
            "without root use `ocala run`",
            request->ifr_name);
        return r;
    default:
        snprintf(err, size, "cannot create the TUN %s: %s", request->ifr_name, strerror(-r));
        return r;
    }
}

/* A persistent TUN that somebody made in advance is refused as well (IFF_TUN_EXCL): its addresses
 * would not be ours. */
static int queue_open(struct tun_device *device, char *err, size_t size)
{
    int fd = device_open(err, size);
    if (fd < 0)
        return fd;
    struct ifreq request = {.ifr_flags = IFF_TUN | IFF_NO_PI | IFF_VNET_HDR};
    if (device->queues > 1)
        request.ifr_flags |= IFF_MULTI_QUEUE;
    if (device->fd[0] < 0)
        request.ifr_flags |= (short)IFF_TUN_EXCL;
    memcpy(request.ifr_name, device->name, sizeof request.ifr_name);
    int r = device_name(fd, &request, err, size);
    if (r < 0) {
        close(fd);
        return r;
    }
    memcpy(device->name, request.ifr_name, sizeof device->name);
    device->name[sizeof device->name - 1] = '\0';
    return fd;
}

int tun_open(const char *name, unsigned queues, struct tun_device *ret, char *err, size_t err_size)
{
    char ignored[8];
    if (!err) {
        err = ignored;
        err_size = sizeof ignored;
    }
    struct tun_device device = {.queues = queues};
    for (unsigned i = 0; i < TUN_QUEUES_MAX; i++)
        device.fd[i] = -1;
    if (strlen(name) >= sizeof device.name || name[0] == '\0' || queues < 1 ||
        queues > TUN_QUEUES_MAX) {
        snprintf(err, err_size, "cannot create the TUN %s: the name takes 1 to 15 characters",
                 name);
        return -EINVAL;
    }
    snprintf(device.name, sizeof device.name, "%s", name);
    for (unsigned i = 0; i < queues; i++) {
        int fd = queue_open(&device, err, err_size);
        if (fd < 0) {
            tun_close(&device);
            return fd;
        }
        device.fd[i] = fd;
    }
    struct tun_offload offload;
    tun_offload_set(device.fd[0], &offload);
    device.checksum_offload = offload.checksum;
    *ret = device;
    return 0;
}

void tun_offload_set(int fd, struct tun_offload *ret)
{
    const unsigned tcp = TUN_F_TSO4 | TUN_F_TSO6 | TUN_F_TSO_ECN, udp = TUN_F_USO4 | TUN_F_USO6;
    *ret = (struct tun_offload){.checksum = true, .tcp = true, .udp = true};
    if (ioctl(fd, TUNSETOFFLOAD, TUN_F_CSUM | tcp | udp) == 0)
        return;
    ret->udp = false;
    if (ioctl(fd, TUNSETOFFLOAD, TUN_F_CSUM | tcp) == 0)
        return;
    ret->tcp = false;
    ret->checksum = ioctl(fd, TUNSETOFFLOAD, TUN_F_CSUM) == 0;
    if (!ret->checksum)
        ioctl(fd, TUNSETOFFLOAD, 0);
}

void tun_close(struct tun_device *device)
{
    for (unsigned i = 0; i < device->queues; i++) {
        if (device->fd[i] >= 0)
            close(device->fd[i]);
        device->fd[i] = -1;
    }
    device->queues = 0;
}

int tun_read(int fd, struct packet *p)
{
    uint8_t header[VNET_HEADER_SIZE];
    packet_reset(p, PACKET_HEADROOM);
    struct iovec piece[2] = {
        {.iov_base = header, .iov_len = sizeof header},
        {.iov_base = p->data, .iov_len = PACKET_SIZE},
    };
    ssize_t n;
    do {
        n = readv(fd, piece, 2);
    } while (n < 0 && errno == EINTR);
    if (n < 0)
        return errno == EWOULDBLOCK ? -EAGAIN : -errno;
    if (n <= VNET_HEADER_SIZE)
        return -EBADMSG;
    p->size = (size_t)n - VNET_HEADER_SIZE;
    return capture_vnet_parse(header, p->data, p->size, &p->offload);
}

int tun_write(int fd, const struct packet *p)
{
    uint8_t header[VNET_HEADER_SIZE];
    int r = capture_vnet_build(&p->offload, p->size, header);
    if (r < 0)
        return r;
    struct iovec piece[2] = {
        {.iov_base = header, .iov_len = sizeof header},
        {.iov_base = p->data, .iov_len = p->size},
    };
    ssize_t n;
    do {
        n = writev(fd, piece, 2);
    } while (n < 0 && errno == EINTR);
    if (n >= 0)
        return 0;
    /* All of these mean "not now": the kernel has no room or no memory for it, or the link is down.
     */
    if (errno == EWOULDBLOCK || errno == ENOBUFS || errno == ENOMEM || errno == EIO)
        return -EAGAIN;
    return -errno;
}

static int queue_read(struct capture *self, struct packet *p)
{
    return tun_read(((struct tun_queue *)self)->fd, p);
}

static int queue_write(struct capture *self, const struct packet *p)
{
    return tun_write(((struct tun_queue *)self)->fd, p);
}

static_assert(offsetof(struct tun_queue, capture) == 0, "cast above");

void tun_queue_init(struct tun_queue *q, int fd)
{
    *q = (struct tun_queue){.capture = {.read = queue_read, .write = queue_write}, .fd = fd};
}
