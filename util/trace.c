/*
 * Trace events: see qemu/trace.h.
 *
 * SPDX-License-Identifier: GPL-2.0-or-later
 */
#include "qemu/osdep.h"
#include "qemu/log.h"
#include "qemu/timer.h"
#include "qemu/trace.h"

static TraceEvent *events;

void trace_event_register(TraceEvent *ev)
{
    ev->next = events;
    events = ev;
}

TraceEvent *trace_event_first(void)
{
    return events;
}

int trace_enable_events(const char *pattern, bool enable)
{
    int n = 0;

    if (pattern[0] == '-') {
        enable = !enable;
        pattern++;
    }
    for (TraceEvent *ev = events; ev; ev = ev->next) {
        if (g_pattern_match_simple(pattern, ev->name)) {
            qatomic_set(&ev->enabled, enable);
            n++;
        }
    }
    return n;
}

void trace_event_log(const TraceEvent *ev, const char *fmt, ...)
{
    int64_t now = qemu_clock_get_us(QEMU_CLOCK_HOST);
    g_autofree char *text = NULL, *line = NULL;
    va_list ap;

    va_start(ap, fmt);
    text = g_strdup_vprintf(fmt, ap);
    va_end(ap);
    line = g_strdup_printf("%d@%" PRId64 ".%06" PRId64 ":%s %s\n", (int)qemu_get_thread_id(),
                           now / 1000000, now % 1000000, ev->name, text);
    qemu_log_text(line);
}
