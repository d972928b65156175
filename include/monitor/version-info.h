/*
 * The release of QEMU whose interface the program has, as query-version and -version tell it.
 *
 * SPDX-License-Identifier: GPL-2.0-or-later
 */
#ifndef MONITOR_VERSION_INFO_H
#define MONITOR_VERSION_INFO_H

#define QEMU_VERSION_MAJOR 10
#define QEMU_VERSION_MINOR 0
#define QEMU_VERSION_MICRO 2
#define QEMU_INTERFACE_VERSION "10.0.2"
#define GODWIT_PACKAGE "Godwit " GODWIT_VERSION

#endif
