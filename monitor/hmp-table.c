/*
 * The HMP commands, as data.
 *
 * SPDX-License-Identifier: GPL-2.0-or-later
 */
#include "qemu/osdep.h"
#include "monitor/hmp.h"

#define STR(key) { .name = key, .type = HMP_ARG_STRING }
#define OPT_STR(key) { .name = key, .type = HMP_ARG_STRING, .optional = true }
#define FILENAME(key) { .name = key, .type = HMP_ARG_FILENAME }
#define REST(key) { .name = key, .type = HMP_ARG_REST, .optional = true }
#define INT(key) { .name = key, .type = HMP_ARG_INT }
#define OPT_INT(key) { .name = key, .type = HMP_ARG_INT, .optional = true }
#define BOOL(key) { .name = key, .type = HMP_ARG_BOOL }
#define FLAG(key, letter) { .name = key, .type = HMP_ARG_FLAG, .flag = letter, .optional = true }
#define FORMAT { .name = "fmt", .type = HMP_ARG_FORMAT, .optional = true }

const HMPCommand hmp_cmds[] = {
    { "help|?", { REST("name") }, "[cmd]", "list the commands, or explain one", hmp_help },
    { "info", { REST("item") }, "[subcommand]",
      "show part of the machine's state; without an item, list the items",
      hmp_info_help, .sub_table = hmp_info_cmds },
    { "quit|q", {{0}}, "", "end the program", hmp_quit },
    { "stop|s", {{0}}, "", "pause the guest", hmp_stop },
    { "cont|c", {{0}}, "", "let a paused guest go on", hmp_cont },
    { "system_reset", {{0}}, "", "reset the machine", hmp_system_reset },
    { "system_powerdown", {{0}}, "", "press the power button", hmp_system_powerdown },
    { "system_wakeup", {{0}}, "", "wake a suspended guest", hmp_system_wakeup },

    { "migrate", { FLAG("detach", 'd'), FLAG("resume", 'r'), STR("uri") }, "[-d] [-r] uri",
      "move the guest to URI\n"
      "\t\t\t -d to have the prompt back at once rather than at the end\n"
      "\t\t\t -r to go on with a postcopy migration that was interrupted", hmp_migrate },
    { "migrate_cancel", {{0}}, "", "give up the migration that runs; the guest stays here",
      hmp_migrate_cancel },
    { "migrate_continue", { STR("state") }, "state",
      "let a migration go on that waits in this state",
      hmp_migrate_continue },
    { "migrate_incoming", { STR("uri") }, "uri",
      "listen for a migration (started with -incoming defer)", hmp_migrate_incoming },
    { "migrate_recover", { STR("uri") }, "uri",
      "listen again for a postcopy migration that was interrupted",
      hmp_migrate_recover },
    { "migrate_pause", {{0}}, "", "interrupt a migration in its postcopy phase",
      hmp_migrate_pause },
    { "migrate_start_postcopy", {{0}}, "",
      "go over to postcopy: the guest starts at the destination, its pages follow "
      "(wants capability postcopy-ram on both sides)", hmp_migrate_start_postcopy },
    { "migrate_set_capability", { STR("capability"), BOOL("state") }, "capability state",
      "switch a capability of migration on or off", hmp_migrate_set_capability,
      .completion = migrate_set_capability_completion },
    { "migrate_set_parameter", { STR("parameter"), STR("value") }, "parameter value",
      "set a parameter of migration", hmp_migrate_set_parameter,
      .completion = migrate_set_parameter_completion },

    { "cpu", { INT("index") }, "index", "choose the vCPU that other commands look at", hmp_cpu },
    { "x", { FORMAT, INT("addr") }, "/fmt addr",
      "print memory as the vCPU sees it; fmt is a count, a format (x d u o c) and a size (b h w g)",
      hmp_memory_dump },
    { "xp", { FORMAT, INT("addr") }, "/fmt addr",
      "print physical memory; fmt as for x", hmp_physical_memory_dump },
    { "print|p", { FORMAT, INT("val") }, "/fmt expr", "print the value of an expression",
      hmp_print },
    { "sum", { INT("start"), INT("size") }, "addr size",
      "checksum of a range of physical memory", hmp_sum },
    { "i", { FORMAT, INT("addr") }, "/fmt addr", "read an I/O port", hmp_ioport_read },
    { "o", { FORMAT, INT("addr"), INT("val") }, "/fmt addr value", "write an I/O port",
      hmp_ioport_write },
    { "memsave", { INT("val"), INT("size"), FILENAME("filename") }, "addr size file",
      "write memory as the vCPU sees it to a file", hmp_memsave },
    { "pmemsave", { INT("val"), INT("size"), FILENAME("filename") }, "addr size file",
      "write physical memory to a file", hmp_pmemsave },

    { "getfd", { STR("fdname") }, "getfd name",
      "keep a descriptor that comes with the command (SCM_RIGHTS) under a name", hmp_getfd },
    { "closefd", { STR("fdname") }, "closefd name",
      "close a descriptor kept by getfd", hmp_closefd },
    { "chardev-add", { STR("args") }, "args", "make a character device", hmp_chardev_add },
    { "chardev-remove", { STR("id") }, "id", "remove a character device", hmp_chardev_remove,
      .completion = chardev_remove_completion },
    { "ringbuf_write", { STR("device"), STR("data") }, "device data",
      "write text to a ring buffer", hmp_ringbuf_write },
    { "ringbuf_read", { STR("device"), INT("size") }, "device size",
      "read and remove text from a ring buffer", hmp_ringbuf_read },
    { "object_add", { REST("object") }, "[qom-type=]type,id=str[,prop=value][,...]",
      "make an object", hmp_object_add },
    { "object_del", { STR("id") }, "id", "remove an object", hmp_object_del,
      .completion = object_del_completion },
    { "qom-list", { OPT_STR("path") }, "path", "list the properties of an object in the tree",
      hmp_qom_list },
    { "qom-get", { STR("path"), STR("property") }, "path property", "print a property",
      hmp_qom_get },
    { "qom-set", { FLAG("json", 'j'), STR("path"), STR("property"), REST("value") },
      "[-j] path property value",
      "set a property\n\t\t\t -j: the value is JSON", hmp_qom_set },
    { "trace-event", { STR("name"), BOOL("option"), OPT_INT("vcpu") }, "name on|off [vcpu]",
      "switch trace events on or off (a name, or a pattern with *)",
      hmp_trace_event },
    { "logfile", { FILENAME("filename") }, "filename",
      "write log and trace lines to a file", hmp_logfile },
    { NULL }
};

const HMPCommand hmp_info_cmds[] = {
    { "chardev", {{0}}, "", "character devices", hmp_info_chardev },
    { "cpus", {{0}}, "", "vCPUs and their threads", hmp_info_cpus },
    { "history", {{0}}, "", "lines typed before", hmp_info_history },
    { "iothreads", {{0}}, "", "threads that serve devices", hmp_info_iothreads },
    { "kvm", {{0}}, "", "whether KVM runs the guest", hmp_info_kvm },
    { "memdev", {{0}}, "", "memory back ends", hmp_info_memdev },
    { "memory_size_summary", {{0}}, "",
      "bytes of memory, at start and plugged", hmp_info_memory_size_summary },
    { "migrate", {{0}}, "", "how the migration goes", hmp_info_migrate },
    { "migrate_capabilities", {{0}}, "", "capabilities of migration, on or off",
      hmp_info_migrate_capabilities },
    { "migrate_parameters", {{0}}, "", "parameters of migration", hmp_info_migrate_parameters },
    { "mtree", { FLAG("flatview", 'f'), FLAG("owner", 'o'), FLAG("disabled", 'D') },
      "[-f][-o][-D]", "regions of the address spaces (-f: as they resolve; -o: with owners; "
      "-D: disabled ones too)", hmp_info_mtree },
    { "name", {{0}}, "", "name of the guest", hmp_info_name },
    { "qom-tree", { OPT_STR("path") }, "[path]", "tree of objects", hmp_info_qom_tree },
    { "qtree", {{0}}, "", "devices on their buses", hmp_info_qtree },
    { "ramblock", {{0}}, "", "RAM blocks", hmp_info_ramblock },
    { "registers", { FLAG("cpustate_all", 'a'), OPT_INT("vcpu") }, "[-a|vcpu]",
      "registers of the chosen vCPU (-a: of all; vcpu: of this one)", hmp_info_registers },
    { "status", {{0}}, "", "whether the guest runs", hmp_info_status },
    { "trace-events", { OPT_STR("name") }, "[name]",
      "trace events, and which are on (name: a pattern)", hmp_info_trace_events },
    { "uuid", {{0}}, "", "UUID of the guest", hmp_info_uuid },
    { "version", {{0}}, "", "version of the program", hmp_info_version },
    { NULL }
};
