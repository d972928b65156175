/*
 * Guest RAM: what is dirty and in which order it goes (ram.c), and how pages are written and
 * read (ram-stream.c).
 *
 * SPDX-License-Identifier: GPL-2.0-or-later
 */
#ifndef MIGRATION_RAM_H
#define MIGRATION_RAM_H

#include "migration/qemu-file.h"
#include "qapi/qapi-types-migration.h"
#include "system/ramblock.h"

/* Flags in the low bits of a record's offset; see docs/stream-format.md, "RAM". */
#define RAM_SAVE_FLAG_ZERO 0x02
#define RAM_SAVE_FLAG_MEM_SIZE 0x04
#define RAM_SAVE_FLAG_PAGE 0x08
#define RAM_SAVE_FLAG_EOS 0x10
#define RAM_SAVE_FLAG_CONTINUE 0x20
#define RAM_SAVE_FLAG_XBZRLE 0x40
#define RAM_SAVE_FLAG_HOOK 0x80
#define RAM_SAVE_FLAG_COMPRESS_PAGE 0x100
#define RAM_SAVE_FLAG_MULTIFD_FLUSH 0x200

#define RAM_SAVE_VERSION 4

#define RAMBLOCK_FOREACH_MIGRATABLE(rb) \
    RAMBLOCK_FOREACH(rb)                \
        if (!qemu_ram_is_migratable(rb)) {} else

/* x-ignore-shared: the destination has the block already, for it maps the same file. */
bool migrate_ram_is_ignored(const RAMBlock *rb);
/* Those whose pages go. */
#define RAMBLOCK_FOREACH_NOT_IGNORED(rb) \
    RAMBLOCK_FOREACH(rb)                 \
        if (migrate_ram_is_ignored(rb)) {} else

/*
 * How runs of pages leave.  Chosen at setup; all called on the migration thread, but for cleanup,
 * which the main thread calls after it.  Results: 0 or -errno, with the reason in the file.  All
 * but save_run may be missing.
 */
typedef struct RAMEncoder {
    const char *name;
    int (*setup)(QEMUFile *f, Error **errp);
    /* The list of blocks has gone, the section's EOS has not. */
    int (*start)(QEMUFile *f);
    /*
     * Pages [first, first+npages) of @rb; @maybe_untouched: the run may hold memory that the host
     * never gave out.
     */
    int (*save_run)(QEMUFile *f, RAMBlock *rb, uint64_t first, uint64_t npages,
                    bool maybe_untouched);
    /*
     * What has been handed over goes out now. Waits for it, but no longer than @max_us, since the
     * peer may not read. Called where nothing more is dirty, and at the end of a window's share.
     */
    int (*settle)(QEMUFile *f, int64_t max_us);
    /* All blocks have been gone through: what comes now may be newer content of pages that went. */
    int (*pass_end)(QEMUFile *f);
    /* Before the EOS of a section, but for the last one. */
    int (*section_end)(QEMUFile *f);
    /*
     * At the start of the last section: what has been handed over is out when it returns, and
     * precedes whatever the main stream carries from here on. Where it is there, all further runs
     * go to ram_stream_encoder.
     */
    int (*complete)(QEMUFile *f);
    void (*cleanup)(void);
} RAMEncoder;

extern const RAMEncoder ram_stream_encoder;
/* Records in the main stream, for encoders which write others besides, or elsewhere. */
void ram_stream_save_zero_pages(QEMUFile *f, RAMBlock *rb, uint64_t first, uint64_t npages);
void ram_stream_save_normal_page(QEMUFile *f, RAMBlock *rb, uint64_t page);
/* A record's header; what belongs to @flag must follow. */
void ram_stream_put_header(QEMUFile *f, RAMBlock *rb, uint64_t page, uint64_t flag);

/* ram-xbzrle.c */
extern const RAMEncoder ram_xbzrle_encoder;
/* The record's rest: changes the page at @host. False with the reason in errp, or in the file. */
bool ram_xbzrle_load_page(QEMUFile *f, uint8_t *host, Error **errp);
/* NULL: XBZRLE was not used. */
XBZRLECacheStats *xbzrle_cache_stats(void);
void xbzrle_stats_reset(void);
/* That went as differences. */
uint64_t xbzrle_pages_sent(void);
/* Once in a while, on the migration thread; at the end for all of the run. */
void xbzrle_update_rates(bool whole_run);

/* Reader of the pages: placing them into @rb.  See ram-stream.c. */
int ram_stream_load(QEMUFile *f, int version_id);
int ram_stream_load_setup(QEMUFile *f, Error **errp);
void ram_stream_load_cleanup(void);
/* The stream has ended: no block was left out by the source that is not shared here. */
bool ram_stream_check_arrived(Error **errp);
/* For postcopy: the list of blocks has come; the block of the last record, or NULL. */
bool ram_stream_blocks_loaded(void);
RAMBlock *ram_stream_last_block(void);
/* The block that pages have come for; any thread that loads. */
RAMBlock *ram_stream_find_block(const char *name, Error **errp);
/* A zero page has come for @rb. Any thread that loads. False: it has no room (ram-room.h). */
bool ram_place_zero_page(RAMBlock *rb, uint64_t page, Error **errp);

/* Register the handlers; once. */
void ram_mig_init(void);

/* ram-compress.c */
extern const RAMEncoder ram_compress_encoder;
/*
 * The record's rest goes to a thread, which makes the page of it sooner or later. False with the
 * reason in errp, or in the file.
 */
bool ram_compress_load_page(QEMUFile *f, RAMBlock *rb, uint64_t page, Error **errp);
/* The same at once, and to other memory: a page that is not the guest's yet. */
bool ram_compress_load_page_to(QEMUFile *f, uint8_t *to, Error **errp);
/* Compressed pages have come: before another record writes a page, it must be asked for. */
bool ram_compress_pending(void);
/* No thread works on the page when it returns. */
bool ram_compress_load_settle(RAMBlock *rb, uint64_t page, Error **errp);
/* All pages that came are there when it returns. */
bool ram_compress_load_flush(Error **errp);
void ram_compress_load_cleanup(void);
/* NULL: it was not used. */
CompressionStats *compress_stats(void);
void compress_stats_reset(void);
/* That went compressed. */
uint64_t compress_pages_sent(void);
void compress_update_rates(bool whole_run);

/* Where the block lies in the guest's memory, as x-ignore-shared has it in the stream. */
uint64_t ram_block_address(const RAMBlock *rb);
uint64_t ram_bytes_remaining(void);
/* With what multifd's channels have been given and not sent yet. */
uint64_t ram_bytes_unsent(void);
/*
 * For ram-postcopy.c, to which the bitmaps belong from the switch on. Were all blocks gone through
 * once?  More (or less) is dirty: any thread. What an encoder that may lag still has: a section's
 * payload.
 */
bool ram_is_first_pass(void);
void ram_add_dirty_pages(int64_t npages);
bool ram_encoder_may_lag(void);
int ram_finish_encoder(QEMUFile *f);
/* Written pages that migrations have found so far, since the program began. */
/* Of all blocks that go. */
uint64_t ram_bytes_to_migrate(void);
/* Ask for the dirty pages now.  @last_stage: the guest is stopped.  Without the BQL. */
void migration_bitmap_sync(bool last_stage);

#endif
