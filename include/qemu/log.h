/*
 * The log: lines for whoever debugs a guest or this program (-d, -D; HMP's log and logfile).
 *
 *     qemu_log_mask(LOG_GUEST_ERROR, "rtc: register %u does not exist\n", index);
 *
 * costs one relaxed load when the item is off. Any thread may log; lines do not mix.
 *
 * SPDX-License-Identifier: GPL-2.0-or-later
 */
#ifndef QEMU_LOG_H
#define QEMU_LOG_H

#include "qemu/atomic.h"
#include "qemu/compiler.h"
#include "qemu/trace.h"

#define CPU_LOG_RESET (1 << 0)
#define LOG_UNIMP (1 << 1)
#define LOG_GUEST_ERROR (1 << 2)
#define LOG_INVALID_MEM (1 << 3)
#define LOG_PER_THREAD (1 << 4)

extern int qemu_loglevel; /* atomic: the items that are on */

#define qemu_loglevel_mask(mask) unlikely(qatomic_read(&qemu_loglevel) & (mask))
#define qemu_log_mask(mask, ...) do {           \
        if (qemu_loglevel_mask(mask)) {         \
            qemu_log(__VA_ARGS__);              \
        }                                       \
    } while (0)

void qemu_log(const char *fmt, ...) GCC_FMT_ATTR(1, 2);
/* As it is; what one call writes stays together. */
void qemu_log_text(const char *text);

/* Items of a list "a,b,trace:PATTERN"; traces are switched on at once. */
bool qemu_str_to_log_mask(const char *text, int *mask, Error **errp);
void qemu_set_log(int mask);
void qemu_print_log_usage(FILE *f);
/* Where lines go from now on; "%d" in it stands for the process's id, with item "tid" for that of
   the thread. */
bool qemu_set_log_filename(const char *path, Error **errp);
/* Once items and file are both known: do they go together? */
bool qemu_log_check(Error **errp);

#endif
