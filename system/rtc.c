/*
 * -rtc: what the guest's clock begins with, and which of the host's clocks moves it.
 *
 * SPDX-License-Identifier: GPL-2.0-or-later
 */
#include "qemu/osdep.h"
#include "qapi/error.h"
#include "system/rtc.h"

QEMUClockType rtc_clock = QEMU_CLOCK_HOST;

static enum { BASE_UTC, BASE_LOCALTIME, BASE_DATE } base;
static time_t base_date; /* BASE_DATE: what the guest reads at start */

/* "2006-06-17" or "2006-06-17T16:01:21", as UTC; -1 for anything else. */
static time_t parse_date(const char *text)
{
    struct tm tm = { 0 };
    const char *end = strptime(text, "%Y-%m-%d", &tm);
    int day;
    time_t t;

    if (end && *end == 'T') {
        end = strptime(end + 1, "%H:%M:%S", &tm);
    }
    if (!end || *end) {
        return -1;
    }
    day = tm.tm_mday;
    t = timegm(&tm);
    /* timegm() made the 1st of July of the 31st of June. */
    return t >= 0 && tm.tm_mday == day ? t : -1;
}

bool rtc_set_base(const char *text, Error **errp)
{
    time_t date;

    if (g_str_equal(text, "utc")) {
        base = BASE_UTC;
    } else if (g_str_equal(text, "localtime")) {
        base = BASE_LOCALTIME;
    } else {
        date = parse_date(text);
        if (date < 0) {
            error_setg(errp, "invalid datetime format");
            error_append_hint(errp, "valid formats: '2006-06-17T16:01:21' or '2006-06-17'; or utc, "
                              "or localtime\n");
            return false;
        }
        base = BASE_DATE;
        base_date = date;
    }
    return true;
}

bool rtc_set_clock(const char *text, Error **errp)
{
    if (g_str_equal(text, "host")) {
        rtc_clock = QEMU_CLOCK_HOST;
    } else if (g_str_equal(text, "rt")) {
        rtc_clock = QEMU_CLOCK_REALTIME;
    } else if (g_str_equal(text, "vm")) {
        rtc_clock = QEMU_CLOCK_VIRTUAL;
    } else {
        error_setg(errp, "invalid option value '%s': clock is host, rt or vm", text);
        return false;
    }
    return true;
}

int64_t rtc_start_ns(void)
{
    int64_t now = qemu_clock_get_ns(QEMU_CLOCK_HOST);
    time_t seconds = now / NANOSECONDS_PER_SECOND;
    struct tm tm;

    switch (base) {
    case BASE_DATE:
        return base_date * NANOSECONDS_PER_SECOND;
    case BASE_LOCALTIME:
        localtime_r(&seconds, &tm);
        return now + tm.tm_gmtoff * NANOSECONDS_PER_SECOND;
    default:
        return now;
    }
}
