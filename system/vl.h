/*
 * Start and end of the program.
 *
 * SPDX-License-Identifier: GPL-2.0-or-later
 */
#ifndef SYSTEM_VL_H
#define SYSTEM_VL_H

/* Makes what the command line asks for; the caller runs the main loop then. Holds the BQL on return.
 * On an error, prints it and exits with 1. */
void qemu_init(int argc, char **argv);
void qemu_cleanup(int status);

/* Registers the clocks for migration; before any device is. */
void cpu_timers_init(void);

#endif
