/*
 * Trace events and the log file: see qemu/trace.h.
 *
 * SPDX-License-Identifier: GPL-2.0-or-later
 */
#include "qemu/osdep.h"
#include "qapi/error.h"
#include "qemu/timer.h"
#include "qemu/trace.h"

static TraceEvent *events;
static FILE *log_file;

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

/* One write a line: threads do not mix. */
static void log_line(const char *prefix, const char *fmt, va_list ap)
{
    g_autofree char *text = g_strdup_vprintf(fmt, ap);
    FILE *f = log_file ? log_file : stderr;

    fprintf(f, "%s%s", prefix, text);
    fflush(f);
}

void trace_event_log(const TraceEvent *ev, const char *fmt, ...)
{
    int64_t now = qemu_clock_get_us(QEMU_CLOCK_HOST);
    g_autofree char *prefix = g_strdup_printf("%d@%" PRId64 ".%06" PRId64 ":%s ",
                                              (int)qemu_get_thread_id(), now / 1000000,
                                              now % 1000000, ev->name);
    g_autofree char *line = g_strconcat(fmt, "\n", NULL);
    va_list ap;

    va_start(ap, fmt);
#pragma GCC diagnostic push
#pragma GCC diagnostic ignored "-Wformat-nonliteral"
    log_line(prefix, line, ap);
#pragma GCC diagnostic pop
    va_end(ap);
}

void qemu_log(const char *fmt, ...)
{
    va_list ap;

    va_start(ap, fmt);
    log_line("", fmt, ap);
    va_end(ap);
}

bool qemu_set_log_filename(const char *path, Error **errp)
{
    FILE *f = fopen(path, "we");

    if (!f) {
        error_setg_file_open(errp, errno, path);
        return false;
    }
    if (log_file) {
        fclose(log_file);
    }
    log_file = f;
    return true;
}
