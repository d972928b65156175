/*
 * Multifd: pages travel over channels of their own, beside the main stream.
 *
 * multifd-packet.c is the wire form, multifd-send*.c and multifd-recv*.c are the two ends, and
 * multifd-zlib.c and multifd-zstd.c the compressions. docs/stream-format.md, "Multifd", describes
 * the packets.
 *
 * SPDX-License-Identifier: GPL-2.0-or-later
 */
#ifndef MIGRATION_MULTIFD_H
#define MIGRATION_MULTIFD_H

#include "io/channel.h"
#include "qapi/qapi-types-migration.h"
#include "qemu/uuid.h"
#include "ram.h"

/* --- wire form --- */

#define MULTIFD_MAGIC 0x11223344u
#define MULTIFD_VERSION 1

#define MULTIFD_FLAG_SYNC (1u << 0)
#define MULTIFD_FLAG_COMPRESSION_MASK (0x1fu << 1)
#define MULTIFD_FLAG_NOCOMP (0u << 1)
#define MULTIFD_FLAG_ZLIB (1u << 1)
#define MULTIFD_FLAG_ZSTD (2u << 1)

/* Pages in a packet: both programs' 512 KiB. */
#define MULTIFD_PACKET_PAGES ((512 * 1024) / TARGET_PAGE_SIZE)
#define MULTIFD_INIT_SIZE 64
#define MULTIFD_HEADER_SIZE 320
/* The offsets are always there, used or not. */
#define MULTIFD_PACKET_SIZE (MULTIFD_HEADER_SIZE + MULTIFD_PACKET_PAGES * 8)
/* More than any compression makes of a packet's pages. */
#define MULTIFD_PAYLOAD_MAX (2 * MULTIFD_PACKET_PAGES * TARGET_PAGE_SIZE)

/* What a channel says first. */
typedef struct MultiFDInit {
    QemuUUID uuid;              /* of the guest */
    uint8_t id;
} MultiFDInit;

/* A packet, without its payload. */
typedef struct MultiFDPacket {
    uint32_t flags;
    uint32_t normal_num, zero_num;
    uint32_t next_packet_size;  /* bytes of payload that follow; 0 without normal pages */
    uint64_t packet_num;
    char block[256];
    uint64_t offset[MULTIFD_PACKET_PAGES]; /* bytes; normal pages first, then the zero pages */
} MultiFDPacket;

void multifd_init_write(uint8_t buf[MULTIFD_INIT_SIZE], const MultiFDInit *init);
bool multifd_init_parse(MultiFDInit *init, const uint8_t buf[MULTIFD_INIT_SIZE], Error **errp);
void multifd_packet_write(uint8_t buf[MULTIFD_PACKET_SIZE], const MultiFDPacket *packet);
/* Everything that can be said without knowing the block is checked. */
bool multifd_packet_parse(MultiFDPacket *packet, const uint8_t buf[MULTIFD_PACKET_SIZE],
                          Error **errp);

/* --- compression --- */

/*
 * One stream per channel and direction for the whole migration; each packet is flushed. Both sides
 * belong to their channel's thread.
 */
typedef struct MultiFDCodec {
    uint32_t flag;
    void *(*encoder_new)(Error **errp);
    /*
     * @len bytes at @in, which do not change meanwhile, to @out with @room bytes. The bytes
     * written, or -1.
     */
    ssize_t (*encode)(void *encoder, const uint8_t *in, size_t len, uint8_t *out, size_t room,
                      Error **errp);
    void (*encoder_free)(void *encoder);
    void *(*decoder_new)(Error **errp);
    /* The packet's @len bytes at @in become exactly what @iov has room for, or it is an error. */
    bool (*decode)(void *decoder, const uint8_t *in, size_t len, const struct iovec *iov,
                   unsigned niov, Error **errp);
    void (*decoder_free)(void *decoder);
} MultiFDCodec;

extern const MultiFDCodec multifd_zlib, multifd_zstd;
/* NULL: pages go as they are. */
const MultiFDCodec *multifd_codec(MultiFDCompression compression);

/* --- sending; multifd-send.c --- */

extern const RAMEncoder ram_multifd_encoder;
/* Make all that waits here return. Any thread. */
void multifd_send_shutdown(void);
/* The most that channels will send of what they were given. The migration thread. */
uint64_t multifd_send_bytes_in_hand(void);

/* --- receiving; multifd-recv.c --- */

/* When the first channel comes, whichever it is; again does nothing. BQL. */
void multifd_recv_setup(void);
/* Another channel than the main one has come; it gets a thread. Main thread. */
bool multifd_recv_new_channel(QIOChannel *ioc, Error **errp);
/* As many as were agreed on have come… */
bool multifd_recv_has_all(void);
/* …and it is certain that there are no more. */
bool multifd_recv_all_channels_created(void);
/*
 * On the load thread, where the main stream says so: waits until every channel has come to the same
 * point, and lets them go on. False with the reason in errp.
 */
bool multifd_recv_sync_main(QEMUFile *f, Error **errp);
/*
 * The main stream has ended, or gone over to postcopy: from here on no page may come. False if one
 * has, behind the last synchronisation. On the load thread.
 */
bool multifd_recv_finish(Error **errp);
/* Any thread. */
void multifd_recv_shutdown(void);
/* The stream has been loaded, or not. BQL. */
void multifd_recv_cleanup(void);

#endif
