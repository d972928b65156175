/*
 * Registration at start: a file says type_init(fn), and module_call_init(MODULE_INIT_QOM)
 * calls every such fn once, in link order.
 *
 * SPDX-License-Identifier: GPL-2.0-or-later
 */
#ifndef QEMU_MODULE_H
#define QEMU_MODULE_H

typedef enum {
    MODULE_INIT_MIGRATION,
    MODULE_INIT_BLOCK,
    MODULE_INIT_OPTS,
    MODULE_INIT_QOM,
    MODULE_INIT_TRACE,
    MODULE_INIT_MAX
} module_init_type;

void register_module_init(void (*fn)(void), module_init_type type);
void module_call_init(module_init_type type);

#define module_init(function, type)                                    \
    static void __attribute__((constructor)) do_module_init_##function(void) \
    {                                                                  \
        register_module_init(function, type);                          \
    }
#define type_init(function) module_init(function, MODULE_INIT_QOM)
#define opts_init(function) module_init(function, MODULE_INIT_OPTS)
#define migration_init(function) module_init(function, MODULE_INIT_MIGRATION)
#define trace_init(function) module_init(function, MODULE_INIT_TRACE)

#endif
