/*
 * The accelerator "tcg": guest code translated by libunicorn, on any host and without rights.
 *
 * Options: dirty-tracking=auto|wp-async|hooks (tcg-dirty.c). thread= and tb-size= are accepted
 * because command lines carry them; vCPUs take turns whatever thread= says, and the library sizes
 * its own buffers.
 *
 * SPDX-License-Identifier: GPL-2.0-or-later
 */
#include "qemu/osdep.h"
#include "accel/tcg/tcg-internal.h"
#include "qapi/visitor.h"
#include "qemu/error-report.h"
#include "qemu/module.h"
#include "system/accel.h"
#include "system/runstate.h"

typedef struct TCGState {
    AccelState parent_obj;
    char *thread;
    uint32_t tb_size;           /* MiB; kept for whoever asks */
} TCGState;

DECLARE_INSTANCE_CHECKER(TCGState, TCG_STATE, TYPE_TCG_ACCEL)

bool tcg_allowed;

static const char *const tracking_names[] = {
    [TCG_DIRTY_AUTO] = "auto",
    [TCG_DIRTY_WP_ASYNC] = "wp-async",
    [TCG_DIRTY_HOOKS] = "hooks",
};

/*
 * While the machine stood, its memory may have been loaded, restored or written by a debugger:
 * translations made before are not to be trusted.
 */
static void tcg_vm_state_changed(void *opaque, bool running, RunState state)
{
    if (running) {
        tcg_flush_code();
    }
}

static int tcg_init_machine(MachineState *ms)
{
    Error *err = NULL;

    if (!tcg_layout_probe(&err) || !tcg_dirty_init(&err)) {
        error_reportf_err(err, "tcg: ");
        return -ENOTSUP;
    }
    tcg_memory_init();
    qemu_add_vm_change_state_handler(tcg_vm_state_changed, NULL);
    return 0;
}

static char *tcg_get_thread(Object *obj, Error **errp)
{
    return g_strdup(TCG_STATE(obj)->thread);
}

static void tcg_set_thread(Object *obj, const char *value, Error **errp)
{
    TCGState *s = TCG_STATE(obj);

    if (!g_str_equal(value, "single") && !g_str_equal(value, "multi")) {
        error_setg(errp, "Invalid 'thread' setting %s: expected single or multi", value);
        return;
    }
    g_free(s->thread);
    s->thread = g_strdup(value);
}

static char *tcg_get_dirty_tracking(Object *obj, Error **errp)
{
    return g_strdup(tracking_names[tcg_dirty_tracking]);
}

static void tcg_set_dirty_tracking(Object *obj, const char *value, Error **errp)
{
    for (int i = 0; i < ARRAY_SIZE(tracking_names); i++) {
        if (g_str_equal(value, tracking_names[i])) {
            tcg_dirty_tracking = i;
            return;
        }
    }
    error_setg(errp, "Invalid 'dirty-tracking' setting %s: expected auto, wp-async or hooks",
               value);
}

static void tcg_get_tb_size(Object *obj, Visitor *v, const char *name, void *opaque, Error **errp)
{
    visit_type_uint32(v, name, &TCG_STATE(obj)->tb_size, errp);
}

static void tcg_set_tb_size(Object *obj, Visitor *v, const char *name, void *opaque, Error **errp)
{
    visit_type_uint32(v, name, &TCG_STATE(obj)->tb_size, errp);
}

static void tcg_accel_instance_init(Object *obj)
{
    TCG_STATE(obj)->thread = g_strdup("single");
}

static void tcg_accel_instance_finalize(Object *obj)
{
    g_free(TCG_STATE(obj)->thread);
}

static void tcg_accel_class_init(ObjectClass *oc, void *data)
{
    AccelClass *ac = ACCEL_CLASS(oc);

    ac->name = "tcg";
    ac->init_machine = tcg_init_machine;
    ac->allowed = &tcg_allowed;
    object_class_property_add_str(oc, "thread", tcg_get_thread, tcg_set_thread);
    object_class_property_set_description(oc, "thread",
                                          "single or multi; vCPUs take turns in either case");
    object_class_property_add(oc, "tb-size", "int", tcg_get_tb_size, tcg_set_tb_size, NULL, NULL);
    object_class_property_set_description(oc, "tb-size", "accepted and not used");
    object_class_property_add_str(oc, "dirty-tracking", tcg_get_dirty_tracking,
                                  tcg_set_dirty_tracking);
    object_class_property_set_description(oc, "dirty-tracking",
                                          "how written pages are found: auto, wp-async (by the "
                                          "host kernel), hooks (on every store)");
}

static const TypeInfo tcg_accel_type = {
    .name = TYPE_TCG_ACCEL,
    .parent = TYPE_ACCEL,
    .instance_size = sizeof(TCGState),
    .instance_init = tcg_accel_instance_init,
    .instance_finalize = tcg_accel_instance_finalize,
    .class_init = tcg_accel_class_init,
};

static void tcg_register_types(void)
{
    type_register_static(&tcg_accel_type);
}
type_init(tcg_register_types)
