/*
 * Options of QEMU 7.2 and 10.0 that there is nothing behind here.
 *
 * They are known so that a user hears why they do not work, rather than that they do not exist,
 * and so that none of them is swallowed. An option that becomes supported moves to
 * cmdline-options.c, which is looked at first.
 *
 * SPDX-License-Identifier: GPL-2.0-or-later
 */
#include "qemu/osdep.h"
#include "cmdline.h"

#define NO_AUDIO "there is no sound"
#define NO_DISPLAY "there is no display"
#define NO_ICOUNT "there is no counter of instructions"
#define NO_XEN "there is no support for Xen"
#define NO_PFLASH "there is no memory of that kind"
#define NO_BLOCK "there are no disks of that kind"
#define NO_P9 "guests cannot share files with the host"
#define NO_TABLES "tables of the firmware are made by the machine alone"
#define NO_TCG_OUTPUT "libunicorn, which executes the guest, does not offer it"
#define GONE "QEMU 10.0 has it no longer either"

const RefusedOption cmdline_refused[] = {
    { "acpitable", true, NO_TABLES },
    { "audio-help", false, NO_AUDIO },
    { "debugcon", true, "there is no debug console" },
    { "dfilter", true, NO_TCG_OUTPUT },
    { "dtb", true, "x86 machines have no device tree" },
    { "enable-sync-profile", false, "locks are not profiled" },
    { "cdrom", true, "there are no CD-ROM drives" },
    { "fda", true, NO_BLOCK },
    { "fdb", true, NO_BLOCK },
    { "blockdev", true, NO_BLOCK },
    { "mtdblock", true, NO_PFLASH },
    { "pflash", true, NO_PFLASH },
    { "sd", true, NO_BLOCK },
    { "iscsi", true, NO_BLOCK },
    { "fsdev", true, NO_P9 },
    { "virtfs", true, NO_P9 },
    { "full-screen", false, NO_DISPLAY },
    { "spice", true, NO_DISPLAY },
    { "vnc", true, NO_DISPLAY },
    { "portrait", false, NO_DISPLAY },
    { "rotate", true, NO_DISPLAY },
    { "gdb", true, "there is no server for a debugger" },
    { "s", false, "there is no server for a debugger" },
    { "icount", true, NO_ICOUNT },
    { "singlestep", false, NO_TCG_OUTPUT },
    { "jitdump", false, NO_TCG_OUTPUT },
    { "perfmap", false, NO_TCG_OUTPUT },
    { "plugin", true, NO_TCG_OUTPUT },
    { "seed", true, "nothing here is random" },
    { "semihosting", false, "x86 guests have none" },
    { "semihosting-config", true, "x86 guests have none" },
    { "loadvm", true, "there are no snapshots inside disk images" },
    { "no-fd-bootchk", false, "there is no firmware that would look at it" },
    { "no-hpet", false, GONE ", and there is no HPET" },
    { "option-rom", true, "there is no firmware that would run it" },
    { "shim", true, "there is no firmware that would run it" },
    { "smbios", true, NO_TABLES },
    { "tpmdev", true, "there is no TPM" },
    { "usbdevice", true, "there is no USB" },
    { "win2k-hack", false, "disks have no such workaround" },
    { "xen-attach", false, NO_XEN },
    { "xen-domid", true, NO_XEN },
    { "xen-domid-restrict", false, NO_XEN },
    { "writeconfig", true, GONE },
    { "enable-fips", false, GONE },
    { "preconfig", false, "the machine is made from the command line alone" },
    { "prom-env", true, "x86 machines have none" },
    { "old-param", false, "x86 machines have none" },
    { NULL }
};
