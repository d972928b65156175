/*
 * What -rtc says, for devices that keep the time of day.
 *
 * Main thread, before devices are made; read only afterwards.
 *
 * SPDX-License-Identifier: GPL-2.0-or-later
 */
#ifndef SYSTEM_RTC_H
#define SYSTEM_RTC_H

#include "qemu/timer.h"

extern QEMUClockType rtc_clock; /* the clock by which the guest's time goes on */

bool rtc_set_base(const char *text, Error **errp);  /* utc, localtime or a date */
bool rtc_set_clock(const char *text, Error **errp); /* host, rt or vm */
/* What a clock of the guest that is made now shows: ns since 1970. */
int64_t rtc_start_ns(void);

#endif
