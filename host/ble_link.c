/* SPDX-License-Identifier: Apache-2.0 */
#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include "host/att.h"
#include "host/ble_parts.h"
#include "host/clock.h"

#define PAIR_MS 30000u
#define LEAVE_MS 3000u
#define REASON_MS 500u
#define DRAIN_MS 1u /* nothing tells when a descriptor has been read empty */
/* bluetoothd up to 5.66 at least refuses values longer than this as a server. */
#define MTU_MAX 512u

/* ---- what comes from the device -----------------------------------------------------------------
 */

static void hand_on(struct otter_ble_link *link, size_t index, const uint8_t *data, size_t len)
{
    if (link->handlers.received != NULL) {
        link->handlers.received(link->handlers.ctx, index, data, len);
    }
}

/* Opens the variant of one property of a PropertiesChanged signal, whose interface is read. */
static bool find_changed(sd_bus_message *m, const char *wanted)
{
    const char *name;

    if (sd_bus_message_enter_container(m, 'a', "{sv}") < 0) {
        return false;
    }
    while (sd_bus_message_enter_container(m, 'e', "sv") > 0) {
        if (sd_bus_message_read(m, "s", &name) < 0) {
            return false;
        }
        if (strcmp(name, wanted) == 0) {
            return true;
        }
        if (sd_bus_message_skip(m, "v") < 0 || sd_bus_message_exit_container(m) < 0) {
            return false;
        }
    }
    return false;
}

static void take_value(struct otter_ble_link *link, sd_bus_message *m, const char *path)
{
    const void *data;
    size_t len;

    for (size_t i = 0; i < link->count; i++) {
        /* What comes through a descriptor is told here, too, by some versions. */
        if (strcmp(link->chars[i].path, path) == 0 && link->chars[i].in < 0 &&
            find_changed(m, "Value") && sd_bus_message_enter_container(m, 'v', "ay") >= 0 &&
            sd_bus_message_read_array(m, 'y', &data, &len) >= 0) {
            hand_on(link, i, data, len);
            return;
        }
    }
}

static void on_signal(void *ctx, sd_bus_message *m)
{
    struct otter_ble_link *link = ctx;
    const char *path = sd_bus_message_get_path(m);
    const char *interface;
    const char *gone;
    int connected = 1;

    if (sd_bus_message_is_signal(m, "org.freedesktop.DBus.ObjectManager", "InterfacesRemoved") >
        0) {
        if (sd_bus_message_read(m, "o", &gone) >= 0 && strcmp(gone, link->device) == 0) {
            otter_ble_lose(link, "the device is gone, or the adapter is");
        }
        return;
    }
    if (link->device[0] == '\0' || path == NULL ||
        sd_bus_message_is_signal(m, OTTER_BLE_PROPERTIES, "PropertiesChanged") <= 0 ||
        sd_bus_message_read(m, "s", &interface) < 0) {
        return;
    }
    if (strcmp(interface, OTTER_BLE_CHAR) == 0) {
        take_value(link, m, path);
    } else if (strcmp(interface, OTTER_BLE_DEVICE) == 0 && strcmp(path, link->device) == 0 &&
               find_changed(m, "Connected") && sd_bus_message_read(m, "v", "b", &connected) >= 0 &&
               connected == 0) {
        otter_ble_lose(link, "the connection is lost");
    }
}

/* ---- connecting ---------------------------------------------------------------------------------
 */

void otter_ble_drop_fd(int *fd)
{
    if (*fd >= 0) {
        close(*fd);
        *fd = -1;
    }
}

static void forget(struct otter_ble_link *link)
{
    for (size_t i = 0; i < link->count; i++) {
        otter_ble_drop_fd(&link->chars[i].in);
        otter_ble_drop_fd(&link->chars[i].out);
    }
    link->slot = sd_bus_slot_unref(link->slot);
    link->asking = OTTER_BLE_IDLE;
    link->again = OTTER_BLE_IDLE;
    link->barrier = false;
    link->full = false;
    link->hung_up = false;
    link->tried_to_pair = false;
    link->count = 0;
}

static void link_close(void *ctx)
{
    struct otter_ble_link *link = ctx;

    forget(link);
    if (link->bus.bus != NULL && !link->bus.gone) {
        const volatile sig_atomic_t *cancel = link->bus.cancel;

        link->bus.cancel = NULL; /* who stopped does not want to stay connected */
        /* A connection that was there before stays. bluetoothd 5.66 crashes if it sees the end of
         * this program before the ends of its descriptors: an answer means that it has seen them.
         */
        (void)!(link->ours ? otter_ble_bus_do(&link->bus, link->device, OTTER_BLE_DEVICE,
                                              "Disconnect", LEAVE_MS)
                           : otter_ble_bus_do(&link->bus, "/org/bluez", "org.freedesktop.DBus.Peer",
                                              "Ping", LEAVE_MS));
        link->bus.cancel = cancel;
    }
    link->ours = false;
    link->device[0] = '\0';
    otter_ble_bus_close(&link->bus);
}

/* ---- what the device offers ---------------------------------------------------------------------
 */

static void take_char(struct otter_ble_link *link, const struct otter_gatt_uuid *service,
                      const struct otter_ble_object *o)
{
    struct otter_ble_char *c = &link->chars[link->count];

    link->found[link->count++] =
        (struct otter_gatt_found){.service = *service, .uuid = o->uuid, .props = o->props};
    *c = (struct otter_ble_char){
        .out = -1,
        .in = -1,
        .may_acquire =
            !link->calls && o->can_acquire_write && (o->props & OTTER_GATT_WRITE_COMMAND) != 0,
        .may_listen = !link->calls && o->can_acquire_notify && (o->props & OTTER_GATT_NOTIFY) != 0,
    };
    snprintf(c->path, sizeof(c->path), "%s", o->path);
    if (o->mtu > link->mtu) {
        link->mtu = o->mtu;
    }
}

static otter_err find_chars(struct otter_ble_link *link)
{
    const struct otter_ble_object *service = NULL;
    struct otter_ble_tree tree;
    otter_err err = otter_ble_tree_load(&tree, &link->bus);

    link->mtu = 0;
    for (size_t i = 0; i < tree.count && link->count < OTTER_BLE_CHARS; i++) {
        const struct otter_ble_object *o = &tree.objects[i];

        if (!otter_ble_inside(o->path, link->device)) {
            continue;
        }
        if (o->kind == OTTER_BLE_IS_SERVICE) {
            service = o;
        } else if (o->kind == OTTER_BLE_IS_CHAR && service != NULL &&
                   otter_ble_inside(o->path, service->path)) {
            take_char(link, &service->uuid, o);
        }
    }
    otter_ble_tree_free(&tree);
    link->found[link->count] = (struct otter_gatt_found){.service = otter_att_uuid16(0x1800),
                                                         .uuid = otter_att_uuid16(0x2A00),
                                                         .props = OTTER_GATT_READ};
    return err;
}

static size_t link_found(void *ctx, const struct otter_gatt_found **found)
{
    struct otter_ble_link *link = ctx;

    *found = link->found;
    return link->count + 1;
}

static uint16_t link_mtu(void *ctx)
{
    return ((struct otter_ble_link *)ctx)->mtu;
}

/* ---- reading and subscribing --------------------------------------------------------------------
 */

sd_bus_message *otter_ble_char_call(struct otter_ble_link *link, size_t index, const char *member)
{
    sd_bus_message *m =
        otter_ble_bus_message(&link->bus, link->chars[index].path, OTTER_BLE_CHAR, member);

    if (m != NULL && sd_bus_message_append(m, "a{sv}", 0) < 0) {
        return sd_bus_message_unref(m);
    }
    return m;
}

static otter_err pair(struct otter_ble_link *link)
{
    return otter_ble_bus_do(&link->bus, link->device, OTTER_BLE_DEVICE, "Pair", PAIR_MS);
}

static otter_err link_read(void *ctx, size_t index, uint8_t *value, size_t cap, size_t *len)
{
    struct otter_ble_link *link = ctx;
    sd_bus_message *reply = NULL;
    const void *data = link->name;
    size_t size = strlen(link->name);
    otter_err err = OTTER_OK;

    if (index < link->count) {
        err = otter_ble_bus_call(&link->bus, otter_ble_char_call(link, index, "ReadValue"),
                                 OTTER_BLE_ANSWER_MS, &reply);
        if (err == OTTER_OK && sd_bus_message_read_array(reply, 'y', &data, &size) < 0) {
            err = OTTER_ERR_PROTOCOL;
        }
    }
    if (err == OTTER_OK) {
        *len = size < cap ? size : cap;
        memcpy(value, data, *len);
    }
    sd_bus_message_unref(reply);
    return err;
}

int otter_ble_take_fd(sd_bus_message *answer, uint16_t *mtu)
{
    int fd = -1;

    /* The message owns the one in it. */
    return sd_bus_message_read(answer, "hq", &fd, mtu) < 0 ? -1 : fcntl(fd, F_DUPFD_CLOEXEC, 3);
}

/* A descriptor of this characteristic. */
static otter_err acquire(struct otter_ble_link *link, size_t index, const char *member, int *fd,
                         uint16_t *mtu)
{
    sd_bus_message *reply = NULL;
    otter_err err = otter_ble_bus_call(&link->bus, otter_ble_char_call(link, index, member),
                                       OTTER_BLE_ANSWER_MS, &reply);

    if (err == OTTER_OK) {
        *fd = otter_ble_take_fd(reply, mtu);
        err = *fd >= 0 ? OTTER_OK : OTTER_ERR_PROTOCOL;
    }
    sd_bus_message_unref(reply);
    return err;
}

/* bluetoothd before 5.62 tells the MTU with a descriptor only. */
static uint16_t learn_mtu(struct otter_ble_link *link)
{
    uint16_t mtu = OTTER_GATT_MTU_MIN;

    for (size_t i = 0; i < link->count; i++) {
        struct otter_ble_char *c = &link->chars[i];

        if (c->may_acquire && acquire(link, i, "AcquireWrite", &c->out, &mtu) == OTTER_OK) {
            break;
        }
    }
    return mtu;
}

static otter_err look_around(struct otter_ble_link *link, uint16_t mtu)
{
    otter_err err = find_chars(link);

    if (err == OTTER_OK && link->mtu == 0) {
        link->mtu = learn_mtu(link);
    }
    /* bluetoothd asks for what its own configuration says: what is wanted here can only be less. */
    link->mtu = link->mtu < mtu ? link->mtu : mtu;
    link->mtu = link->mtu < MTU_MAX ? link->mtu : MTU_MAX;
    return err;
}

static otter_err link_open(void *ctx, const char *text, uint16_t mtu, uint32_t timeout_ms)
{
    struct otter_ble_link *link = ctx;
    struct otter_ble_address address;
    uint32_t begun = otter_clock_ms();

    link_close(link);
    link->lost = false;
    link->message[0] = '\0';
    if (otter_ble_address_parse(&address, text) != OTTER_OK) {
        snprintf(link->message, sizeof(link->message),
                 "\"%.100s\" is neither an address nor a name", text);
        return OTTER_ERR_ARG;
    }
    if (address.adapter[0] == '\0') {
        snprintf(address.adapter, sizeof(address.adapter), "%s", link->wanted_adapter);
    }
    if (link->known[0] != '\0') {
        snprintf(address.device, sizeof(address.device), "%s", link->known);
    }
    otter_err err = otter_ble_bus_open(&link->bus);
    if (err == OTTER_OK) {
        err = otter_ble_find(link, &address, timeout_ms);
    }
    if (err == OTTER_OK) {
        /* Without an agent bluetoothd can pair only what asks for nothing. */
        (void)!otter_ble_bus_agent(&link->bus, false);
        uint32_t spent = otter_clock_ms() - begun;
        err = otter_ble_connect(link, spent < timeout_ms ? timeout_ms - spent : 0);
    }
    if (err == OTTER_OK) {
        err = look_around(link, mtu);
    }
    if (err != OTTER_OK) {
        link_close(link);
        snprintf(link->message, sizeof(link->message), "%.60s: %.250s", text, link->bus.why);
        return err == OTTER_ERR_ARG ? OTTER_ERR_LINK : err;
    }
    return OTTER_OK;
}

static otter_err link_subscribe(void *ctx, size_t index, uint16_t cccd)
{
    struct otter_ble_link *link = ctx;
    uint16_t mtu;
    bool by_fd =
        index < link->count && link->chars[index].may_listen && cccd == OTTER_GATT_CCCD_NOTIFY;

    for (unsigned tries = 0;; tries++) {
        otter_err err = index >= link->count ? OTTER_ERR_UNSUPPORTED
                        : by_fd
                            ? acquire(link, index, "AcquireNotify", &link->chars[index].in, &mtu)
                            : otter_ble_bus_do(&link->bus, link->chars[index].path, OTTER_BLE_CHAR,
                                               "StartNotify", OTTER_BLE_ANSWER_MS);
        if (err == OTTER_ERR_REFUSED && link->bus.not_paired && tries == 0 &&
            (err = pair(link)) == OTTER_OK) {
            continue;
        }
        if (err != OTTER_OK) {
            snprintf(link->message, sizeof(link->message), "%s", link->bus.why);
        }
        return err;
    }
}
/* ---- waiting ------------------------------------------------------------------------------------
 */

/* All that came through a descriptor. */
static void take_notifications(struct otter_ble_link *link, size_t index)
{
    uint8_t data[OTTER_GATT_MTU_MAX];
    ssize_t len;

    while (link->chars[index].in >= 0 &&
           (len = recv(link->chars[index].in, data, sizeof(data), MSG_DONTWAIT)) > 0) {
        hand_on(link, index, data, (size_t)len);
    }
}

static size_t gather(const struct otter_ble_link *link, struct pollfd *fds, size_t *owner)
{
    size_t n = 0;

    for (size_t i = 0; i < link->count; i++) {
        const struct otter_ble_char *c = &link->chars[i];

        if (c->in >= 0 && n < OTTER_BLE_MORE_FDS) {
            owner[n] = i;
            fds[n++] = (struct pollfd){.fd = c->in, .events = POLLIN};
        }
        if (c->out >= 0 && n < OTTER_BLE_MORE_FDS) {
            owner[n] = i;
            fds[n++] = (struct pollfd){.fd = c->out, .events = link->full ? POLLOUT : 0};
        }
    }
    return n;
}

/* A descriptor has ended, with the connection or with bluetoothd: the bus says which, soon. */
static otter_err await_reason(struct otter_ble_link *link)
{
    uint32_t begun = otter_clock_ms();

    while (!link->lost && otter_clock_ms() - begun < REASON_MS) {
        otter_err err = otter_ble_bus_wait(&link->bus, NULL, 0, REASON_MS);
        if (err != OTTER_OK) {
            return err;
        }
    }
    otter_ble_lose(link, "the connection is lost");
    return OTTER_OK;
}

static otter_err link_wait(void *ctx, uint32_t timeout_ms)
{
    struct otter_ble_link *link = ctx;
    struct pollfd fds[OTTER_BLE_MORE_FDS];
    size_t owner[OTTER_BLE_MORE_FDS];

    otter_ble_write_step(link);
    if (link->lost || link->bus.bus == NULL) {
        return OTTER_ERR_LINK;
    }
    if ((link->barrier || link->full || link->hung_up || link->again != OTTER_BLE_IDLE) &&
        timeout_ms > DRAIN_MS) {
        timeout_ms = DRAIN_MS;
    }
    size_t count = gather(link, fds, owner);
    otter_err err = otter_ble_bus_wait(&link->bus, fds, count, timeout_ms);
    link->full = false;
    for (size_t i = 0; i < count; i++) {
        if ((fds[i].revents & POLLIN) != 0) {
            take_notifications(link, owner[i]);
        }
        link->hung_up |= (fds[i].revents & (POLLHUP | POLLERR)) != 0;
    }
    if (err == OTTER_OK && link->hung_up) {
        err = await_reason(link);
    }
    if (err != OTTER_OK) {
        otter_ble_lose(link, link->bus.why);
    }
    return link->lost ? OTTER_ERR_LINK : OTTER_OK;
}

static const struct otter_gatt_link_ops link_ops = {
    .open = link_open,
    .found = link_found,
    .mtu = link_mtu,
    .read = link_read,
    .subscribe = link_subscribe,
    .write = otter_ble_write,
    .wait = link_wait,
    .close = link_close,
};

void otter_ble_lose(struct otter_ble_link *link, const char *why)
{
    if (!link->lost) {
        snprintf(link->message, sizeof(link->message), "%s", why);
    }
    link->lost = true;
}

struct otter_gatt_link otter_ble_link_init(struct otter_ble_link *link,
                                           const struct otter_gatt_handlers *handlers,
                                           const struct otter_target_options *options,
                                           const volatile sig_atomic_t *cancel)
{
    *link = (struct otter_ble_link){.bus = {.cancel = cancel, .heard = on_signal, .ctx = link},
                                    .handlers = *handlers};
    if (options != NULL) {
        link->forget = options->forget;
        link->calls = options->calls;
        snprintf(link->wanted_adapter, sizeof(link->wanted_adapter), "%s",
                 options->adapter != NULL ? options->adapter : "");
    }
    return (struct otter_gatt_link){.ops = &link_ops, .link = link, .message = link->message};
}
