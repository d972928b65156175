/*
 * What the commands and events of the test schema leave behind for tests to look at.
 *
 * SPDX-License-Identifier: GPL-2.0-or-later
 */
#ifndef TEST_QAPI_CALLS_H
#define TEST_QAPI_CALLS_H

/* Number of commands that ran. */
extern unsigned test_calls;
/* JSON text of the latest event's data. */
extern char *test_last_event;

#endif
