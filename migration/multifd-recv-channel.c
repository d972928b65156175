/*
 * A multifd channel on the way in: says who it is, then brings packets, whose pages are put where
 * they belong. All of it may be wrong, and is looked at before it is used.
 *
 * Everything here is the channel's thread's; where it waits for the others (multifd-recv.c), at a
 * packet with SYNC, that is under multifd_recv_lock.
 *
 * SPDX-License-Identifier: GPL-2.0-or-later
 */
#include "qemu/osdep.h"
#include "migration.h"
#include "multifd-recv.h"
#include "qapi/error.h"
#include "qemu/atomic.h"
#include "qemu/bitmap.h"
#include "qemu/cutils.h"
#include "qemu/trace.h"
#include "ram-room.h"

TRACE_EVENT(multifd_recv_packet);
TRACE_EVENT(multifd_recv_sync);

static bool hear_hello(RecvState *s, RecvChannel *c, Error **errp)
{
    uint8_t buf[MULTIFD_INIT_SIZE];
    MultiFDInit init;
    bool ok = false;

    if (qio_channel_read_all(c->ioc, (char *)buf, sizeof(buf), errp) < 0 ||
        !multifd_init_parse(&init, buf, errp)) {
        return false;
    }
    if (memcmp(&init.uuid, &qemu_uuid, sizeof(qemu_uuid))) {
        g_autofree char *theirs = qemu_uuid_unparse_strdup(&init.uuid);
        g_autofree char *ours = qemu_uuid_unparse_strdup(&qemu_uuid);

        error_setg(errp, "channel %u is of the guest with UUID %s, this is %s", init.id, theirs,
                   ours);
        return false;
    }
    g_mutex_lock(&multifd_recv_lock);
    if (init.id >= s->count) {
        error_setg(errp, "it says that it is number %u, but only %u channels (multifd-channels) "
                   "are expected", init.id, s->count);
    } else if (s->seen[init.id]) {
        error_setg(errp, "it says that it is number %u, which is there already", init.id);
    } else {
        s->seen[init.id] = true;
        c->id = init.id;
        ok = true;
    }
    g_mutex_unlock(&multifd_recv_lock);
    return ok;
}

/* What the packet says of its block: it exists, and every page is in it. */
static RAMBlock *packet_block(const MultiFDPacket *p, Error **errp)
{
    RAMBlock *rb = ram_stream_find_block(p->block, errp);

    if (!rb) {
        error_prepend(errp, "packet %" PRIu64 ": ", p->packet_num);
        return NULL;
    }
    for (uint32_t i = 0; i < p->normal_num + p->zero_num; i++) {
        if (!offset_in_ramblock(rb, p->offset[i])) {
            error_setg(errp, "packet %" PRIu64 ": offset 0x%" PRIx64 " is outside block '%s' of 0x%"
                       PRIx64 " bytes", p->packet_num, p->offset[i], p->block, rb->used_length);
            return NULL;
        }
    }
    return rb;
}

/* The pages' memory as few vectors as there are runs; @into: other memory, for comparison. */
static void make_iov(RecvChannel *c, RAMBlock *rb, uint8_t *into)
{
    const MultiFDPacket *p = &c->packet;

    c->niov = 0;
    if (into) {
        c->iov[c->niov++] = (struct iovec){into, p->normal_num * TARGET_PAGE_SIZE};
        return;
    }
    for (uint32_t i = 0; i < p->normal_num; i++) {
        if (i && p->offset[i] == p->offset[i - 1] + TARGET_PAGE_SIZE) {
            c->iov[c->niov - 1].iov_len += TARGET_PAGE_SIZE;
        } else {
            c->iov[c->niov++] = (struct iovec){rb->host + p->offset[i], TARGET_PAGE_SIZE};
        }
    }
}

static bool have_room(RecvChannel *c, RAMBlock *rb, Error **errp)
{
    for (unsigned i = 0; i < c->niov && rb->roommap; i++) {
        uint64_t offset = (uint8_t *)c->iov[i].iov_base - rb->host;

        if (!ram_have_room(rb, offset >> TARGET_PAGE_BITS, c->iov[i].iov_len >> TARGET_PAGE_BITS,
                           errp)) {
            error_prepend(errp, "packet %" PRIu64 ": ", c->packet.packet_num);
            return false;
        }
    }
    return true;
}

static void mark_received(RecvChannel *c, RAMBlock *rb)
{
    for (unsigned i = 0; i < c->niov; i++) {
        uint64_t offset = (uint8_t *)c->iov[i].iov_base - rb->host;

        bitmap_set_atomic(rb->touchedmap, offset >> TARGET_PAGE_BITS,
                          c->iov[i].iov_len >> TARGET_PAGE_BITS);
    }
}

static bool read_payload(RecvState *s, RecvChannel *c, Error **errp)
{
    const MultiFDPacket *p = &c->packet;
    uint32_t method = p->flags & MULTIFD_FLAG_COMPRESSION_MASK;
    uint32_t ours = s->codec ? s->codec->flag : MULTIFD_FLAG_NOCOMP;

    if (method != ours) {
        error_setg(errp, "packet %" PRIu64 " is compressed by method %u, expected %u "
                   "(multifd-compression)", p->packet_num, method >> 1, ours >> 1);
        return false;
    }
    if (!s->codec) {
        if (p->next_packet_size != p->normal_num * TARGET_PAGE_SIZE) {
            error_setg(errp, "packet %" PRIu64 " has %u bytes for %u pages", p->packet_num,
                       p->next_packet_size, p->normal_num);
            return false;
        }
        return qio_channel_readv_all(c->ioc, c->iov, c->niov, errp) == 0;
    }
    if (!c->payload) {
        c->payload = g_malloc(MULTIFD_PAYLOAD_MAX);
    }
    if (qio_channel_read_all(c->ioc, (char *)c->payload, p->next_packet_size, errp) < 0) {
        return false;
    }
    if (!s->codec->decode(c->decoder, c->payload, p->next_packet_size, c->iov, c->niov, errp)) {
        error_prepend(errp, "packet %" PRIu64 ", block '%s': ", p->packet_num, p->block);
        return false;
    }
    return true;
}

/* Memory that nobody can write must have the content that comes. */
static bool compare_pages(RecvState *s, RecvChannel *c, RAMBlock *rb, Error **errp)
{
    const MultiFDPacket *p = &c->packet;

    if (!c->compare) {
        c->compare = g_malloc(MULTIFD_PACKET_PAGES * TARGET_PAGE_SIZE);
    }
    if (p->normal_num) {
        make_iov(c, rb, c->compare);
        if (!read_payload(s, c, errp)) {
            return false;
        }
    }
    for (uint32_t i = 0; i < p->normal_num + p->zero_num; i++) {
        const uint8_t *host = rb->host + p->offset[i];

        if (i < p->normal_num ? memcmp(c->compare + i * TARGET_PAGE_SIZE, host, TARGET_PAGE_SIZE)
                              : !buffer_is_zero(host, TARGET_PAGE_SIZE)) {
            error_setg(errp, "packet %" PRIu64 ": block '%s' is read-only here, and has other "
                       "content at 0x%" PRIx64, p->packet_num, p->block, p->offset[i]);
            return false;
        }
    }
    return true;
}

static bool place_pages(RecvState *s, RecvChannel *c, Error **errp)
{
    const MultiFDPacket *p = &c->packet;
    RAMBlock *rb = packet_block(p, errp);

    if (!rb) {
        return false;
    }
    if (rb->flags & RAM_READONLY) {
        return compare_pages(s, c, rb, errp);
    }
    if (p->normal_num) {
        make_iov(c, rb, NULL);
        if (!have_room(c, rb, errp)) {
            return false;
        }
        /* Before they are there: a zero page that comes later must not take them for untouched. */
        mark_received(c, rb);
        if (!read_payload(s, c, errp)) {
            return false;
        }
    }
    for (uint32_t i = p->normal_num; i < p->normal_num + p->zero_num; i++) {
        if (!ram_place_zero_page(rb, p->offset[i] >> TARGET_PAGE_BITS, errp)) {
            error_prepend(errp, "packet %" PRIu64 ": ", p->packet_num);
            return false;
        }
    }
    return true;
}

/* True: go on; false: nobody wants us any more. */
static bool wait_for_others(RecvState *s, RecvChannel *c)
{
    uint64_t before;
    bool go_on;

    trace(multifd_recv_sync, "channel %d packet %" PRIu64, c->id, c->packet.packet_num);
    g_mutex_lock(&multifd_recv_lock);
    before = s->releases;
    c->at_sync = true;
    g_cond_signal(&s->changed);
    while (s->releases == before && !s->quit) {
        g_cond_wait(&s->go_on, &multifd_recv_lock);
    }
    go_on = !s->quit;
    g_mutex_unlock(&multifd_recv_lock);
    return go_on;
}

/* Pages come only while the main stream is where they belong. */
static bool pages_may_come(RecvState *s, RecvChannel *c, Error **errp)
{
    const char *when;

    g_mutex_lock(&multifd_recv_lock);
    when = !s->synced ? "before the main stream has announced them"
         : s->finished ? "behind the end of the main stream" : NULL;
    c->placing = true;
    g_mutex_unlock(&multifd_recv_lock);
    if (when) {
        error_setg(errp, "packet %" PRIu64 " has pages %s", c->packet.packet_num, when);
    }
    return !when;
}

static bool prepare(RecvState *s, RecvChannel *c, Error **errp)
{
    if (!hear_hello(s, c, errp)) {
        return false;
    }
    if (s->codec) {
        c->decoder = s->codec->decoder_new(errp);
        return c->decoder;
    }
    return true;
}

/* multifd_recv_finish() asks whether it is here. */
static void wait_for_packet(RecvChannel *c)
{
    QIOChannelClass *klass = QIO_CHANNEL_GET_CLASS(c->ioc);

    if (!klass->io_pending || !klass->io_pending(c->ioc)) {
        qatomic_inc(&c->waits);
        qio_channel_wait(c->ioc, G_IO_IN);
        qatomic_inc(&c->waits);
    }
}

/* True: it ended as it should. */
static bool work(RecvState *s, RecvChannel *c, Error **errp)
{
    uint8_t buf[MULTIFD_PACKET_SIZE];
    struct iovec iov = {buf, sizeof(buf)};
    int flags = migrate_get_current()->multifd_clean_tls_termination
        ? 0 : QIO_CHANNEL_READ_FLAG_RELAXED_EOF;

    if (!prepare(s, c, errp)) {
        return false;
    }
    for (;;) {
        const MultiFDPacket *p = &c->packet;
        int ret;

        wait_for_packet(c);
        ret = qio_channel_readv_full_all_eof(c->ioc, &iov, 1, NULL, NULL, flags, errp);
        if (ret <= 0) {
            return ret == 0;
        }
        if (!multifd_packet_parse(&c->packet, buf, errp)) {
            return false;
        }
        if (p->normal_num || p->zero_num) {
            if (!pages_may_come(s, c, errp) || !place_pages(s, c, errp)) {
                return false;
            }
        }
        qatomic_set(&c->packets, c->packets + 1);
        trace(multifd_recv_packet, "channel %d packet %" PRIu64 " block '%s' normal %u zero %u",
              c->id, p->packet_num, p->block, p->normal_num, p->zero_num);
        if ((p->flags & MULTIFD_FLAG_SYNC) && !wait_for_others(s, c)) {
            return true;
        }
    }
}

bool multifd_recv_channel_run(RecvState *s, RecvChannel *c, Error **errp)
{
    if (work(s, c, errp)) {
        return true;
    }
    if (c->id >= 0) {
        error_prepend(errp, "multifd channel %d, behind packet %" PRIu64 " of it: ", c->id,
                      qatomic_read(&c->packets));
    } else {
        error_prepend(errp, "multifd channel that has not said its number: ");
    }
    return false;
}
