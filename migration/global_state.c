/*
 * The run state as migrated state: a paused guest arrives paused.  Section "globalstate".
 *
 * SPDX-License-Identifier: GPL-2.0-or-later
 */
#include "qemu/osdep.h"
#include "migration/global_state.h"
#include "migration/qemu-file.h"
#include "migration/vmstate.h"
#include "options.h"
#include "qapi/error.h"
#include "qapi/util.h"
#include "system/runstate.h"

typedef struct GlobalState {
    uint32_t size;             /* of the text, its NUL included */
    uint8_t runstate[32];
    /* Whether vm_was_suspended means something: old sources send zeroes here. */
    uint8_t has_vm_was_suspended;
    uint8_t vm_was_suspended;
    uint8_t unused[66];
    RunState state;            /* parsed */
    bool received;
} GlobalState;

static GlobalState global_state;

/* @suspended: a stopped guest that goes back to sleep when it is continued. */
static void store(const char *name, bool suspended)
{
    memset(global_state.runstate, 0, sizeof(global_state.runstate));
    g_strlcpy((char *)global_state.runstate, name, sizeof(global_state.runstate));
    global_state.has_vm_was_suspended = true;
    global_state.vm_was_suspended = suspended;
    memset(global_state.unused, 0, sizeof(global_state.unused));
}

void global_state_store(void)
{
    global_state_store_state(runstate_get());
}

void global_state_store_state(RunState state)
{
    /* To one that is suspended, or runs, it says nothing that the name doesn't. */
    store(RunState_str(state), !runstate_is_live(state) && vm_get_suspended());
}

void global_state_store_running(void)
{
    store(RunState_str(RUN_STATE_RUNNING), false);
}

bool global_state_received(void)
{
    return global_state.received;
}

RunState global_state_get_runstate(void)
{
    return global_state.state;
}

static bool global_state_needed(void *opaque)
{
    const char *name = (const char *)global_state.runstate;

    if (migrate_store_global_state()) {
        return true;
    }
    /* Without it a destination runs: so it is only needed where that would be wrong. */
    return !g_str_equal(name, RunState_str(RUN_STATE_RUNNING)) &&
           !g_str_equal(name, RunState_str(RUN_STATE_PAUSED));
}

static int global_state_pre_save(void *opaque)
{
    GlobalState *s = opaque;

    s->size = strlen((char *)s->runstate) + 1;
    return 0;
}

static int global_state_post_load(void *opaque, int version_id)
{
    GlobalState *s = opaque;

    s->received = true;
    s->state = qapi_enum_parse(&RunState_lookup, (char *)s->runstate, -1, &error_abort);
    /* Starting a guest that was suspended leaves it asleep, whether it had been stopped or not. */
    vm_set_suspended(s->state == RUN_STATE_SUSPENDED ||
                     (s->has_vm_was_suspended && s->vm_was_suspended));
    return 0;
}

/* Some states are those of a moment: no machine can be put into them when the stream ends. */
static bool state_can_arrive(RunState state)
{
    return state != RUN_STATE_INMIGRATE && state != RUN_STATE_FINISH_MIGRATE &&
           runstate_transition_allowed(RUN_STATE_INMIGRATE, state);
}

/* The name as the 32 bytes it is on the wire; one that is no run state is refused here. */
static int get_runstate(QEMUFile *f, void *pv, size_t size, const VMStateField *field)
{
    const char *name = pv;
    Error *err = NULL;

    qemu_get_buffer(f, pv, size);
    if (qemu_file_get_error(f)) {
        return -EIO;
    }
    if (!memchr(name, 0, size) || qapi_enum_parse(&RunState_lookup, name, -1, NULL) < 0) {
        g_autofree char *copy = g_strndup(name, size);
        g_autofree char *text = g_strescape(copy, NULL);

        error_setg(&err, "unknown run state '%s'", text);
        qemu_file_set_error_obj(f, -EINVAL, err);
        return -EINVAL;
    }
    if (!state_can_arrive(qapi_enum_parse(&RunState_lookup, name, -1, NULL))) {
        error_setg(&err, "a guest cannot arrive in run state '%s'", name);
        qemu_file_set_error_obj(f, -EINVAL, err);
        return -EINVAL;
    }
    return 0;
}

static int put_runstate(QEMUFile *f, void *pv, size_t size, const VMStateField *field,
                        JSONWriter *vmdesc)
{
    qemu_put_buffer(f, pv, size);
    return 0;
}

static const VMStateInfo vmstate_info_runstate = {
    .name = "buffer", .get = get_runstate, .put = put_runstate,
};

static const VMStateDescription vmstate_globalstate = {
    .name = "globalstate",
    .version_id = 1,
    .minimum_version_id = 1,
    .needed = global_state_needed,
    .pre_save = global_state_pre_save,
    .post_load = global_state_post_load,
    .fields = (const VMStateField[]){
        VMSTATE_UINT32(size, GlobalState),
        VMSTATE_BUFFER_UNSAFE_INFO(runstate, GlobalState, 0, vmstate_info_runstate, 32),
        VMSTATE_UINT8(has_vm_was_suspended, GlobalState),
        VMSTATE_UINT8(vm_was_suspended, GlobalState),
        VMSTATE_BUFFER(unused, GlobalState),
        VMSTATE_END_OF_LIST()
    },
};

void register_global_state(void)
{
    memset(&global_state, 0, sizeof(global_state));
    store(RunState_str(RUN_STATE_RUNNING), false);
    vmstate_register(NULL, 0, &vmstate_globalstate, &global_state);
}
