/*
 * The run state: the one table of legal transitions, and those who are told of changes.
 *
 * Requests and the main loop are in runstate-action.c; starting and stopping vCPUs in cpus.c.
 *
 * SPDX-License-Identifier: GPL-2.0-or-later
 */
#include "qemu/osdep.h"
#include "qemu/atomic.h"
#include "qemu/error-report.h"
#include "qemu/trace.h"
#include "system/runstate.h"

TRACE_EVENT(runstate_set);
TRACE_EVENT(vm_state_notify);

/* Written under the BQL; read by any thread. */
static RunState current_run_state = RUN_STATE_PRELAUNCH;

int autostart = 1;

#define TO(state) (1u << RUN_STATE_##state)

/* What can stop a machine, or be found out about one that was stopped when it was moved. */
#define TROUBLE (TO(INTERNAL_ERROR) | TO(IO_ERROR) | TO(WATCHDOG) | TO(GUEST_PANICKED))

/*
 * From each state (index) to which others. Nearly all can be migrated away (FINISH_MIGRATE) and
 * reset (PRELAUNCH). Staying in a state is always allowed.
 */
static const uint32_t transitions[RUN_STATE__MAX] = {
    [RUN_STATE_PRELAUNCH] = TO(INMIGRATE) | TO(RUNNING) | TO(SUSPENDED) | TO(FINISH_MIGRATE),
    /* The source's own state arrives with the stream, whatever it was. */
    [RUN_STATE_INMIGRATE] = TO(RUNNING) | TO(PAUSED) | TO(SUSPENDED) | TO(SHUTDOWN) | TROUBLE |
                            TO(FINISH_MIGRATE) | TO(POSTMIGRATE) | TO(PRELAUNCH) | TO(COLO),
    [RUN_STATE_RUNNING] = TO(PAUSED) | TO(DEBUG) | TO(SHUTDOWN) | TO(SUSPENDED) | TROUBLE |
                          TO(FINISH_MIGRATE) | TO(SAVE_VM) | TO(RESTORE_VM) | TO(COLO),
    [RUN_STATE_PAUSED] = TO(RUNNING) | TO(SUSPENDED) | TO(FINISH_MIGRATE) | TO(POSTMIGRATE) |
                         TO(PRELAUNCH) | TO(COLO),
    [RUN_STATE_SUSPENDED] = TO(RUNNING) | TO(PAUSED) | TO(SHUTDOWN) | TO(FINISH_MIGRATE) |
                            TO(PRELAUNCH) | TO(SAVE_VM) | TO(RESTORE_VM) | TO(COLO),
    /* A failed migration puts back whatever was there before. */
    [RUN_STATE_FINISH_MIGRATE] = TO(RUNNING) | TO(PAUSED) | TO(SUSPENDED) | TO(SHUTDOWN) |
                                 TO(DEBUG) | TROUBLE | TO(POSTMIGRATE) | TO(PRELAUNCH) |
                                 TO(COLO),
    [RUN_STATE_POSTMIGRATE] = TO(RUNNING) | TO(SUSPENDED) | TO(FINISH_MIGRATE) | TO(PRELAUNCH),
    [RUN_STATE_SAVE_VM] = TO(RUNNING) | TO(SUSPENDED),
    [RUN_STATE_RESTORE_VM] = TO(RUNNING) | TO(SUSPENDED) | TO(PRELAUNCH),
    [RUN_STATE_SHUTDOWN] = TO(PAUSED) | TO(FINISH_MIGRATE) | TO(PRELAUNCH) | TO(COLO),
    [RUN_STATE_DEBUG] = TO(RUNNING) | TO(SUSPENDED) | TO(FINISH_MIGRATE) | TO(PRELAUNCH),
    [RUN_STATE_INTERNAL_ERROR] = TO(PAUSED) | TO(FINISH_MIGRATE) | TO(PRELAUNCH),
    [RUN_STATE_IO_ERROR] = TO(RUNNING) | TO(FINISH_MIGRATE) | TO(PRELAUNCH),
    [RUN_STATE_WATCHDOG] = TO(RUNNING) | TO(FINISH_MIGRATE) | TO(PRELAUNCH) | TO(COLO),
    [RUN_STATE_GUEST_PANICKED] = TO(RUNNING) | TO(FINISH_MIGRATE) | TO(PRELAUNCH),
    [RUN_STATE_COLO] = TO(RUNNING) | TO(PRELAUNCH) | TO(SHUTDOWN),
};

bool runstate_transition_allowed(RunState from, RunState to)
{
    if (from >= RUN_STATE__MAX || to >= RUN_STATE__MAX) {
        return false;
    }
    return from == to || (transitions[from] & (1u << to));
}

RunState runstate_get(void)
{
    return qatomic_read(&current_run_state);
}

bool runstate_check(RunState state)
{
    return runstate_get() == state;
}

void runstate_set(RunState new_state)
{
    RunState old = runstate_get();

    g_assert(new_state < RUN_STATE__MAX);
    if (old == new_state) {
        return;
    }
    trace(runstate_set, "%s -> %s", RunState_str(old), RunState_str(new_state));
    if (!runstate_transition_allowed(old, new_state)) {
        error_report("invalid runstate transition: '%s' -> '%s'", RunState_str(old),
                     RunState_str(new_state));
        abort();
    }
    qatomic_set(&current_run_state, new_state);
}

bool runstate_is_running(void)
{
    return runstate_check(RUN_STATE_RUNNING);
}

bool runstate_is_live(RunState state)
{
    return state == RUN_STATE_RUNNING || state == RUN_STATE_SUSPENDED;
}

bool runstate_needs_reset(void)
{
    return runstate_check(RUN_STATE_INTERNAL_ERROR) || runstate_check(RUN_STATE_SHUTDOWN);
}

bool runstate_store(char *str, size_t size)
{
    return g_strlcpy(str, RunState_str(runstate_get()), size) < size;
}

/* ---- who is told ---------------------------------------------------------------------- */

struct VMChangeStateEntry {
    VMChangeStateHandler *cb;
    VMChangeStateHandler *prepare_cb;
    void *opaque;
    int priority;
};

static GList *handlers;                 /* by ascending priority */

static gint compare_priority(gconstpointer a, gconstpointer b)
{
    const VMChangeStateEntry *ea = a, *eb = b;

    return ea->priority < eb->priority ? -1 : ea->priority > eb->priority;
}

VMChangeStateEntry *qemu_add_vm_change_state_handler_prio_full(VMChangeStateHandler *cb,
                                                               VMChangeStateHandler *prepare_cb,
                                                               void *opaque, int priority)
{
    VMChangeStateEntry *e = g_new0(VMChangeStateEntry, 1);

    e->cb = cb;
    e->prepare_cb = prepare_cb;
    e->opaque = opaque;
    e->priority = priority;
    handlers = g_list_sort(g_list_append(handlers, e), compare_priority); /* a stable sort */
    return e;
}

VMChangeStateEntry *qemu_add_vm_change_state_handler_prio(VMChangeStateHandler *cb, void *opaque,
                                                          int priority)
{
    return qemu_add_vm_change_state_handler_prio_full(cb, NULL, opaque, priority);
}

VMChangeStateEntry *qemu_add_vm_change_state_handler(VMChangeStateHandler *cb, void *opaque)
{
    return qemu_add_vm_change_state_handler_prio(cb, opaque, 0);
}

void qemu_del_vm_change_state_handler(VMChangeStateEntry *e)
{
    handlers = g_list_remove(handlers, e);
    g_free(e);
}

static void notify_pass(bool running, RunState state, bool prepare)
{
    GList *next;

    /* A handler may remove itself, but no other. */
    for (GList *l = running ? g_list_first(handlers) : g_list_last(handlers); l; l = next) {
        VMChangeStateEntry *e = l->data;
        VMChangeStateHandler *cb = prepare ? e->prepare_cb : e->cb;

        next = running ? l->next : l->prev;
        if (cb) {
            cb(e->opaque, running, state);
        }
    }
}

void vm_state_notify(bool running, RunState state)
{
    trace(vm_state_notify, "running %d state %s", running, RunState_str(state));
    notify_pass(running, state, true);
    notify_pass(running, state, false);
}
