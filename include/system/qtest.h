/*
 * qtest: a machine driven from outside instead of by a guest.
 *
 * Two parts that are used together but do not need each other: the accelerator "qtest", which
 * executes nothing and whose virtual clock moves only on command (accel/qtest/), and the protocol
 * server, through which a test reads and writes guest memory and ports, moves that clock and
 * watches interrupt lines (system/qtest.c).
 *
 * SPDX-License-Identifier: GPL-2.0-or-later
 */
#ifndef SYSTEM_QTEST_H
#define SYSTEM_QTEST_H

#include "qapi/error.h"

/** Set when the machine runs under the accelerator "qtest". */
extern bool qtest_allowed;

static inline bool qtest_enabled(void)
{
    return qtest_allowed;
}

/** Does a client drive this machine, under whatever accelerator? */
bool qtest_driver(void);

/**
 * Start the protocol server on the character device that @qtest_chrdev describes (what -serial
 * takes: "unix:PATH" connects as a client, "unix:PATH,server=on,wait=off" listens). What is said
 * is copied to the file @qtest_log; "none" for no copy, NULL for standard error. Once, under the
 * BQL, before the machine is made: `endianness` is answered from then on. False and an error if it
 * can't be.
 */
bool qtest_server_init(const char *qtest_chrdev, const char *qtest_log, Error **errp);

/** Close the connection and the log. */
void qtest_server_shutdown(void);

#endif
