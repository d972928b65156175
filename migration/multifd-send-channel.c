/*
 * Multifd on the way out: a channel's thread, which makes packets of the batches that it is given.
 *
 * The thread takes a batch by swapping pointers, so that the next can be put down while it works.
 * It looks for zero pages, compresses, writes, and behind the last batch of a pass it sends SYNC.
 * It takes multifd_send_lock only between batches, and never the BQL.
 *
 * SPDX-License-Identifier: GPL-2.0-or-later
 */
#include "qemu/osdep.h"
#include "migration-stats.h"
#include "multifd-send.h"
#include "qapi/error.h"
#include "qemu/atomic.h"
#include "qemu/cutils.h"
#include "qemu/trace.h"
#include "threadinfo.h"
#include "tls.h"

TRACE_EVENT(multifd_send_packet);
TRACE_EVENT(multifd_send_sync);

/* Packets without payload are gathered and written together. */
#define ZERO_PACKETS_AT_ONCE 32

static void count_sent(size_t bytes)
{
    stat64_add(&mig_stats.multifd_bytes, bytes);
    migration_stats_count_ram(bytes);
}

static bool write_out(SendChannel *c, size_t header, Error **errp)
{
    SendState *s = c->s;
    size_t bytes = header;

    c->iov[0] = (struct iovec){c->buffer, header};
    for (unsigned i = 1; i < c->niov; i++) {
        bytes += c->iov[i].iov_len;
    }
    if (s->zero_copy && c->niov > 1) {
        /* The header's buffer is used again at once; only guest memory may be borrowed. */
        if (qio_channel_writev_full_all(c->ioc, c->iov, 1, NULL, 0, 0, errp) < 0 ||
            qio_channel_writev_full_all(c->ioc, c->iov + 1, c->niov - 1, NULL, 0,
                                        QIO_CHANNEL_WRITE_FLAG_ZERO_COPY, errp) < 0) {
            return false;
        }
    } else if (qio_channel_writev_full_all(c->ioc, c->iov, c->niov, NULL, 0, 0, errp) < 0) {
        return false;
    }
    count_sent(bytes);
    return true;
}

static void begin_packet(SendChannel *c, const Batch *b)
{
    /* QEMU 10.0 wants to see the method in packets without payload too. */
    c->packet.flags = b && c->s->codec ? c->s->codec->flag : 0;
    c->packet.normal_num = c->packet.zero_num = 0;
    c->packet.next_packet_size = 0;
    c->packet.packet_num = qatomic_fetch_add(&c->s->packet_num, 1);
    g_strlcpy(c->packet.block, b ? b->block->idstr : "", sizeof(c->packet.block));
    c->niov = 1;
}

/* A run that was never given out: as many packets as it takes. */
static bool send_untouched(SendChannel *c, const Batch *b, Error **errp)
{
    uint64_t page = b->runs[0].first, end = page + b->npages;
    size_t used = 0;

    while (page < end) {
        begin_packet(c, b);
        c->packet.zero_num = MIN(end - page, MULTIFD_PACKET_PAGES);
        for (uint32_t i = 0; i < c->packet.zero_num; i++) {
            c->packet.offset[i] = page++ << TARGET_PAGE_BITS;
        }
        multifd_packet_write(c->buffer + used, &c->packet);
        used += MULTIFD_PACKET_SIZE;
        if (page == end || used == ZERO_PACKETS_AT_ONCE * MULTIFD_PACKET_SIZE) {
            if (!write_out(c, used, errp)) {
                return false;
            }
            used = 0;
        }
    }
    stat64_add(&mig_stats.zero_pages, b->npages);
    return true;
}

static void add_normal_page(SendChannel *c, RAMBlock *rb, uint64_t page)
{
    uint8_t *host = rb->host + (page << TARGET_PAGE_BITS);
    struct iovec *last = &c->iov[c->niov - 1];

    c->packet.offset[c->packet.normal_num++] = page << TARGET_PAGE_BITS;
    if (c->niov > 1 && (uint8_t *)last->iov_base + last->iov_len == host) {
        last->iov_len += TARGET_PAGE_SIZE;
    } else {
        c->iov[c->niov++] = (struct iovec){host, TARGET_PAGE_SIZE};
    }
}

/* The guest may go on writing to its pages, which no compression is made for: a copy is taken. */
static bool compress_payload(SendChannel *c, Error **errp)
{
    size_t len = 0;
    ssize_t size;

    for (unsigned i = 1; i < c->niov; i++) {
        memcpy(c->copy + len, c->iov[i].iov_base, c->iov[i].iov_len);
        len += c->iov[i].iov_len;
    }
    size = c->s->codec->encode(c->encoder, c->copy, len, c->payload, MULTIFD_PAYLOAD_MAX, errp);
    if (size < 0) {
        return false;
    }
    c->packet.next_packet_size = size;
    c->iov[1] = (struct iovec){c->payload, size};
    c->niov = 2;
    return true;
}

/* The batch's next packet, from what @run and @page say, which go on. */
static bool send_packet(SendChannel *c, const Batch *b, const PageRun **run, uint64_t *page,
                        Error **errp)
{
    const PageRun *end = b->runs + b->nruns;
    uint64_t zeroes[MULTIFD_PACKET_PAGES];
    MultiFDPacket *p = &c->packet;
    unsigned untouched = 0;

    begin_packet(c, b);
    while (*run < end && p->normal_num + p->zero_num < MULTIFD_PACKET_PAGES) {
        untouched += (*run)->untouched;
        if ((*run)->untouched ||
            (c->s->detect_zero && buffer_is_zero(b->block->host + (*page << TARGET_PAGE_BITS),
                                                 TARGET_PAGE_SIZE))) {
            zeroes[p->zero_num++] = *page << TARGET_PAGE_BITS;
        } else {
            add_normal_page(c, b->block, *page);
        }
        if (++*page == (*run)->first + (*run)->npages && ++*run < end) {
            *page = (*run)->first;
        }
    }
    memcpy(p->offset + p->normal_num, zeroes, p->zero_num * sizeof(zeroes[0]));
    p->next_packet_size = p->normal_num * TARGET_PAGE_SIZE;
    if (c->s->codec && p->normal_num && !compress_payload(c, errp)) {
        return false;
    }
    multifd_packet_write(c->buffer, p);
    if (!write_out(c, MULTIFD_PACKET_SIZE, errp)) {
        return false;
    }
    stat64_add(&mig_stats.normal_pages, p->normal_num);
    stat64_add(&mig_stats.zero_pages, p->zero_num);
    qatomic_sub(&c->s->pages_in_hand, p->normal_num + p->zero_num - untouched);
    trace(multifd_send_packet, "channel %u packet %" PRIu64 " block '%s' normal %u zero %u size %u",
          c->id, p->packet_num, p->block, p->normal_num, p->zero_num, p->next_packet_size);
    return true;
}

static bool send_pages(SendChannel *c, const Batch *b, Error **errp)
{
    const PageRun *run = b->runs;
    uint64_t page = run->first;

    while (run < b->runs + b->nruns) {
        if (!send_packet(c, b, &run, &page, errp)) {
            return false;
        }
    }
    return true;
}

static bool send_sync(SendChannel *c, Error **errp)
{
    if (c->s->zero_copy) {
        int ret = qio_channel_flush(c->ioc, errp);

        if (ret < 0) {
            return false;
        }
        if (ret > 0) {
            stat64_add(&mig_stats.dirty_sync_missed_zero_copy, 1);
        }
    }
    begin_packet(c, NULL);
    c->packet.flags = MULTIFD_FLAG_SYNC;
    multifd_packet_write(c->buffer, &c->packet);
    trace(multifd_send_sync, "channel %u packet %" PRIu64, c->id, c->packet.packet_num);
    return write_out(c, MULTIFD_PACKET_SIZE, errp);
}

static bool say_hello(SendChannel *c, Error **errp)
{
    MultiFDInit init = {.uuid = qemu_uuid, .id = c->id};

    multifd_init_write(c->buffer, &init);
    if (qio_channel_write_all(c->ioc, (char *)c->buffer, MULTIFD_INIT_SIZE, errp) < 0) {
        return false;
    }
    count_sent(MULTIFD_INIT_SIZE);
    return true;
}

static bool prepare(SendChannel *c, Error **errp)
{
    const MultiFDCodec *codec = c->s->codec;

    c->buffer = g_malloc(ZERO_PACKETS_AT_ONCE * MULTIFD_PACKET_SIZE);
    if (codec) {
        c->encoder = codec->encoder_new(errp);
        if (!c->encoder) {
            return false;
        }
        c->copy = g_malloc(MULTIFD_PACKET_PAGES * TARGET_PAGE_SIZE);
        c->payload = g_malloc(MULTIFD_PAYLOAD_MAX);
    }
    return say_hello(c, errp);
}

static bool work(SendChannel *c, Error **errp)
{
    SendState *s = c->s;

    if (!prepare(c, errp)) {
        return false;
    }
    g_mutex_lock(&multifd_send_lock);
    while (!s->quit) {
        bool ok = true, batch = c->queued, sync = c->sync, last = c->last;

        if (!batch && !sync) {
            g_cond_wait(&c->wake, &multifd_send_lock);
            continue;
        }
        if (batch) {
            Batch *taken = c->batch;

            c->batch = c->working;
            c->working = taken;
            c->queued = false;
            c->busy = true;
            g_cond_signal(&s->changed);
        }
        g_mutex_unlock(&multifd_send_lock);
        if (batch) {
            ok = c->working->nruns == 1 && c->working->runs[0].untouched
                ? send_untouched(c, c->working, errp) : send_pages(c, c->working, errp);
        }
        if (ok && sync) {
            ok = send_sync(c, errp);
        }
        if (ok && sync && last && s->clean_end) {
            migration_tls_channel_end(c->ioc);
        }
        if (!ok) {
            return false;
        }
        g_mutex_lock(&multifd_send_lock);
        /* What was asked for meanwhile is still to be done. */
        c->busy = false;
        if (sync) {
            c->sync = false;
        }
        g_cond_signal(&s->changed);
    }
    g_mutex_unlock(&multifd_send_lock);
    return true;
}

void *multifd_send_channel_thread(void *opaque)
{
    SendChannel *c = opaque;
    g_autofree char *name = g_strdup_printf("mig/src/send_%u", c->id);
    MigrationThread *info = migration_threads_add(name, qemu_get_thread_id());
    Error *err = NULL;

    if (!work(c, &err)) {
        multifd_send_channel_failed(c, err);
    }
    migration_threads_remove(info);
    return NULL;
}
