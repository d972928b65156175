/*
 * Capability release-ram: see ram-release.h.
 *
 * SPDX-License-Identifier: GPL-2.0-or-later
 */
#include "qemu/osdep.h"
#include "options.h"
#include "qapi/error.h"
#include "qemu/atomic.h"
#include "qemu/error-report.h"
#include "qemu/trace.h"
#include "ram-release.h"

TRACE_EVENT(ram_release);

/* The destination is asked after so many pages. */
#define QUESTION_PAGES 2048
/* PINGs and PONGs of these questions; the low bits are their number. */
#define QUESTION_BASE 0x52000000u
#define QUESTION_MASK 0x00ffffffu

typedef struct SentRun {
    RAMBlock *rb;
    uint64_t first, npages;
} SentRun;

static struct {
    bool wanted;
    GArray *sent;        /* of SentRun: since the last question */
    uint64_t sent_pages;
    GQueue open;         /* of GArray *: what each open question is about */
    uint32_t first_open; /* its number */
    uint32_t asked;      /* number of the next question */
    uint32_t answered;   /* atomic: the highest number that was answered, and 1 */
    GHashTable *gone;    /* RAMBlock * -> bitmap of the pages that were given back */
} rr;

static GArray *new_runs(void)
{
    return g_array_new(false, false, sizeof(SentRun));
}

void ram_release_begin(void)
{
    ram_release_cleanup();
    rr.wanted = migrate_release_ram();
    if (rr.wanted) {
        rr.sent = new_runs();
        rr.gone = g_hash_table_new_full(NULL, NULL, NULL, g_free);
    }
}

void ram_release_cleanup(void)
{
    ram_release_forget_unconfirmed();
    g_clear_pointer(&rr.sent, g_array_unref);
    g_clear_pointer(&rr.gone, g_hash_table_unref);
    rr.wanted = false;
    rr.first_open = rr.asked = 0;
    qatomic_set(&rr.answered, 0);
}

void ram_release_forget_unconfirmed(void)
{
    GArray *runs;

    while ((runs = g_queue_pop_head(&rr.open))) {
        g_array_unref(runs);
    }
    rr.first_open = rr.asked;
    if (rr.sent) {
        g_array_set_size(rr.sent, 0);
    }
    rr.sent_pages = 0;
}

bool ram_release_note(RAMBlock *rb, uint64_t first, uint64_t npages)
{
    SentRun *last;

    if (!rr.wanted) {
        return false;
    }
    last = rr.sent->len ? &g_array_index(rr.sent, SentRun, rr.sent->len - 1) : NULL;
    if (last && last->rb == rb && last->first + last->npages == first) {
        last->npages += npages;
    } else {
        SentRun run = {rb, first, npages};

        g_array_append_val(rr.sent, run);
    }
    rr.sent_pages += npages;
    return rr.sent_pages >= QUESTION_PAGES;
}

uint32_t ram_release_question(void)
{
    g_queue_push_tail(&rr.open, rr.sent);
    rr.sent = new_runs();
    rr.sent_pages = 0;
    return QUESTION_BASE | (rr.asked++ & QUESTION_MASK);
}

void ram_release_confirmed(uint32_t pong)
{
    if ((pong & ~QUESTION_MASK) == QUESTION_BASE) {
        qatomic_mb_set(&rr.answered, (pong & QUESTION_MASK) + 1);
    }
}

static void give_back(const SentRun *run)
{
    unsigned long *gone = g_hash_table_lookup(rr.gone, run->rb);
    Error *err = NULL;

    if (!gone) {
        gone = bitmap_try_new(run->rb->max_length >> TARGET_PAGE_BITS);
        if (!gone) {
            return; /* it stays, then */
        }
        g_hash_table_insert(rr.gone, run->rb, gone);
    }
    if (ram_block_discard_range(run->rb, run->first << TARGET_PAGE_BITS,
                                run->npages << TARGET_PAGE_BITS, &err) < 0) {
        warn_report_err(err);
        return;
    }
    bitmap_set(gone, run->first, run->npages);
    trace(ram_release, "'%s' 0x%" PRIx64 "+0x%" PRIx64, run->rb->idstr, run->first, run->npages);
}

void ram_release_run(void)
{
    uint32_t answered;

    if (!rr.wanted) {
        return;
    }
    answered = qatomic_mb_read(&rr.answered);
    /* An answer that belongs to no open question says nothing. */
    while (!g_queue_is_empty(&rr.open) &&
           ((answered - 1 - rr.first_open) & QUESTION_MASK) < g_queue_get_length(&rr.open)) {
        GArray *runs = g_queue_pop_head(&rr.open);

        for (unsigned i = 0; i < runs->len; i++) {
            give_back(&g_array_index(runs, SentRun, i));
        }
        g_array_unref(runs);
        rr.first_open++;
    }
}

bool ram_release_is_gone(RAMBlock *rb, const unsigned long *map)
{
    const unsigned long *gone = rr.gone ? g_hash_table_lookup(rr.gone, rb) : NULL;

    for (uint64_t i = 0; gone && i < BITS_TO_LONGS(ram_block_pages(rb)); i++) {
        if (gone[i] & map[i]) {
            return true;
        }
    }
    return false;
}
