/*
 * The run state of the machine, who may change it to what, and the requests (shutdown, reset,
 * suspend, wakeup, powerdown, stop) that the main loop carries out.
 *
 * Locking: the state and the handlers belong to the BQL. runstate_check(), runstate_get() and
 * runstate_is_running() may be asked from any thread. The *_request() functions may be called
 * from any thread, with the BQL or without; what they ask for happens in the main loop.
 *
 * SPDX-License-Identifier: GPL-2.0-or-later
 */
#ifndef SYSTEM_RUNSTATE_H
#define SYSTEM_RUNSTATE_H

#include "qapi/qapi-types-run-state.h"
#include "qemu/notify.h"
#include "system/reset.h"

/* ---- state ---------------------------------------------------------------------------- */

bool runstate_check(RunState state);
RunState runstate_get(void);
/* Aborts on a transition that the table does not have: that is a bug, not an input error. */
void runstate_set(RunState new_state);
/* What the table in runstate.c says, for those who need to ask first. */
bool runstate_transition_allowed(RunState from, RunState to);
/* Running: vCPUs execute. */
bool runstate_is_running(void);
/* Live: running, or suspended by the guest itself. */
bool runstate_is_live(RunState state);
bool runstate_needs_reset(void);
/* Writes the state's name; false when @size is too small. */
bool runstate_store(char *str, size_t size);

/**
 * VMChangeStateHandler: the machine starts (@running) or stops; @state is the new run state.
 * Handlers run lowest priority first on start, highest first on stop. One may remove itself. BQL.
 */
typedef void VMChangeStateHandler(void *opaque, bool running, RunState state);
typedef struct VMChangeStateEntry VMChangeStateEntry;

VMChangeStateEntry *qemu_add_vm_change_state_handler(VMChangeStateHandler *cb, void *opaque);
VMChangeStateEntry *qemu_add_vm_change_state_handler_prio(VMChangeStateHandler *cb, void *opaque,
                                                          int priority);
/* @prepare_cb (may be NULL) is called in a first pass, before every @cb. */
VMChangeStateEntry *qemu_add_vm_change_state_handler_prio_full(VMChangeStateHandler *cb,
                                                               VMChangeStateHandler *prepare_cb,
                                                               void *opaque, int priority);
void qemu_del_vm_change_state_handler(VMChangeStateEntry *e);
/*
 * For devices (hw/core/qdev.c): a device is told of a start after the one whose bus it sits on, and
 * of a stop before it.
 */
VMChangeStateEntry *qdev_add_vm_change_state_handler(DeviceState *dev, VMChangeStateHandler *cb,
                                                     void *opaque);
void vm_state_notify(bool running, RunState state);

/* ---- starting and stopping (system/cpus.c) -------------------------------------------- */

void vm_start(void);
/* The same without the event: when the program starts, nothing goes on that had been stopped. */
void vm_start_first(void);
/**
 * vm_prepare_start: everything that vm_start() does but resuming the vCPUs.
 * Returns -1 when the machine is running already, else 0.
 */
int vm_prepare_start(bool step_pending);
/* From a vCPU's thread the stop is only requested. Results: 0 or -errno of the disk flush. */
int vm_stop(RunState state);
/* Changes the state also when the machine is stopped already. */
int vm_stop_force_state(RunState state);
/* Stops without telling anybody that will restart it: the program is about to end. */
int vm_shutdown(void);
/* Starts, or goes to @state without starting. */
void vm_resume(RunState state);
/* Whether a stopped machine was suspended by its guest, to return there on `cont`. */
void vm_set_suspended(bool suspended);
bool vm_get_suspended(void);

/* ---- requests ------------------------------------------------------------------------- */

typedef enum WakeupReason {
    QEMU_WAKEUP_REASON_NONE = 0,
    QEMU_WAKEUP_REASON_RTC,
    QEMU_WAKEUP_REASON_PMTIMER,
    QEMU_WAKEUP_REASON_OTHER,
} WakeupReason;

static inline bool shutdown_caused_by_guest(ShutdownCause cause)
{
    return cause >= SHUTDOWN_CAUSE_GUEST_SHUTDOWN;
}

void qemu_system_reset_request(ShutdownCause reason);
/* While held, a reset that is asked for waits: the guest's memory is being taken elsewhere.  BQL. */
void qemu_system_reset_hold(bool hold);
/* What waits was meant for a guest that is not here any more.  BQL. */
void qemu_system_reset_forget(void);
void qemu_system_shutdown_request(ShutdownCause reason);
void qemu_system_shutdown_request_with_code(ShutdownCause reason, int exit_code);
void qemu_system_powerdown_request(void);
void qemu_system_suspend_request(void);
void qemu_system_wakeup_request(WakeupReason reason, Error **errp);
void qemu_system_wakeup_enable(WakeupReason reason, bool enabled);
void qemu_system_debug_request(void);
/*
 * For whoever stops the machine: what the guest asked for (suspend) or was promised (wake-up) before
 * its CPUs stood still happens now, so that the state that is saved has it. They must stand. BQL.
 */
void qemu_system_settle_sleep(void);
/* Two steps, so that a vCPU thread can take note before it leaves its loop. */
void qemu_system_vmstop_request_prepare(void);
void qemu_system_vmstop_request(RunState reason);
bool qemu_vmstop_requested(RunState *r);
ShutdownCause qemu_shutdown_requested_get(void);
ShutdownCause qemu_reset_requested_get(void);
/* From a signal handler or its watcher: end the program with status 0. */
void qemu_system_killed(int signal, pid_t pid);
/* The main loop has not come to that yet, and will not: who asks ends the program, and has said why. */
bool qemu_system_claim_kill(void);
/* Does what panic_action says, and sends the event. */
void qemu_system_guest_panicked(void);

void qemu_register_powerdown_notifier(Notifier *notifier);
void qemu_register_shutdown_notifier(Notifier *notifier);
void qemu_register_suspend_notifier(Notifier *notifier);
void qemu_register_wakeup_notifier(Notifier *notifier);
/* The machine can be woken by itself: system_wakeup is worth trying. */
void qemu_register_wakeup_support(void);
bool qemu_wakeup_suspend_enabled(void);

/* Resets the machine now (vCPUs are stopped). @reason NONE sends no event. BQL. */
void qemu_system_reset(ShutdownCause reason);

/**
 * MachineHooks: what the floor above supplies. Set once, by the machine.
 * @reset: resets all devices; NULL: qemu_devices_reset().
 * @wakeup: leaves the suspended state; NULL: reset with RESET_TYPE_WAKEUP.
 */
typedef struct MachineHooks {
    void (*reset)(ResetType type);
    void (*wakeup)(void);
} MachineHooks;
void qemu_set_machine_hooks(const MachineHooks *hooks);

/* ---- what to do when ------------------------------------------------------------------ */

extern RebootAction reboot_action;
extern ShutdownAction shutdown_action;
extern PanicAction panic_action;
extern WatchdogAction watchdog_action;
/* `-S` clears it; `cont` while a stream comes in sets it. Read at the end of the load. BQL. */
extern int autostart;

/* ---- main loop ------------------------------------------------------------------------ */

/* Catches SIGTERM, SIGINT and SIGHUP; call before any thread is created. */
void os_setup_early_signal_handling(void);
void os_setup_signal_handling(void);
/* Runs until the program should end; the exit status. BQL. */
int qemu_main_loop(void);
/* One look at the requests: true (and *status) when the loop should end. BQL. */
bool main_loop_should_exit(int *status);

#endif
