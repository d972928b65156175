/*
 * Messages to a person: the current monitor where an HMP command runs, standard error otherwise.
 *
 * SPDX-License-Identifier: GPL-2.0-or-later
 */
#ifndef QEMU_ERROR_REPORT_H
#define QEMU_ERROR_REPORT_H

#include "qemu/compiler.h"

void error_report(const char *fmt, ...) GCC_FMT_ATTR(1, 2);
void warn_report(const char *fmt, ...) GCC_FMT_ATTR(1, 2);
void info_report(const char *fmt, ...) GCC_FMT_ATTR(1, 2);
void error_vreport(const char *fmt, va_list ap) GCC_FMT_ATTR(1, 0);
int error_printf(const char *fmt, ...) GCC_FMT_ATTR(1, 2);
int error_vprintf(const char *fmt, va_list ap) GCC_FMT_ATTR(1, 0);

#define error_report_once(fmt, ...) report_once_(error_report, fmt, ##__VA_ARGS__)
#define warn_report_once(fmt, ...) report_once_(warn_report, fmt, ##__VA_ARGS__)
#define report_once_(fn, fmt, ...) do {            \
        static bool printed_;                      \
        if (!printed_) {                           \
            printed_ = true;                       \
            fn(fmt, ##__VA_ARGS__);                \
        }                                          \
    } while (0)

/*
 * Floor 7 registers how to print on the current HMP monitor: returns false when there is none
 * (then the text goes to standard error).
 */
typedef bool MonitorVprintfHook(const char *fmt, va_list ap);
void error_set_monitor_hook(MonitorVprintfHook *hook);

/* Program name for standard error; -msg timestamp=on, guest-name=on. */
void error_init(const char *argv0);
extern bool message_with_timestamp;
extern bool error_with_guestname;
extern const char *error_guest_name;

#endif
