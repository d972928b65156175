/*
 * Messages to a person: see qemu/error-report.h.
 *
 * SPDX-License-Identifier: GPL-2.0-or-later
 */
#include "qemu/osdep.h"
#include "qemu/error-report.h"

bool message_with_timestamp;
bool error_with_guestname;
const char *error_guest_name;

static const char *program_name = "godwit";
static MonitorVprintfHook *monitor_hook;

void error_init(const char *argv0)
{
    const char *slash = strrchr(argv0, '/');

    program_name = slash ? slash + 1 : argv0;
}

void error_set_monitor_hook(MonitorVprintfHook *hook)
{
    monitor_hook = hook;
}

int error_vprintf(const char *fmt, va_list ap)
{
    if (monitor_hook) {
        va_list copy;
        bool done;

        va_copy(copy, ap);
        done = monitor_hook(fmt, copy);
        va_end(copy);
        if (done) {
            return 0;
        }
    }
    return vfprintf(stderr, fmt, ap);
}

int error_printf(const char *fmt, ...)
{
    va_list ap;
    int ret;

    va_start(ap, fmt);
    ret = error_vprintf(fmt, ap);
    va_end(ap);
    return ret;
}

static bool probe_monitor(const char *fmt, ...)
{
    va_list ap;
    bool ret;

    va_start(ap, fmt);
    ret = monitor_hook(fmt, ap);
    va_end(ap);
    return ret;
}

/* Printing nothing tells whether a monitor would take it. */
static bool on_monitor(void)
{
    return monitor_hook && probe_monitor("%s", "");
}

/* One message is one write, so that threads and processes sharing a stderr do not mix lines. */
static void report(const char *kind, const char *fmt, va_list ap)
{
    g_autoptr(GString) line = g_string_new(NULL);

    if (message_with_timestamp) {
        g_autoptr(GDateTime) now = g_date_time_new_now_utc();
        g_autofree char *stamp = g_date_time_format_iso8601(now);

        g_string_append_printf(line, "%s ", stamp);
    }
    if (error_with_guestname && error_guest_name) {
        g_string_append_printf(line, "%s ", error_guest_name);
    }
    if (!on_monitor()) {
        g_string_append_printf(line, "%s: ", program_name);
    }
    g_string_append(line, kind);
    g_string_append_vprintf(line, fmt, ap);
    g_string_append_c(line, '\n');
    error_printf("%s", line->str);
}

void error_vreport(const char *fmt, va_list ap)
{
    report("", fmt, ap);
}

#define DEFINE_REPORT(name, kind)          \
    void name(const char *fmt, ...)        \
    {                                      \
        va_list ap;                        \
                                           \
        va_start(ap, fmt);                 \
        report(kind, fmt, ap);             \
        va_end(ap);                        \
    }
DEFINE_REPORT(error_report, "")
DEFINE_REPORT(warn_report, "warning: ")
DEFINE_REPORT(info_report, "info: ")
