/*
 * vCPU threads under TCG.
 *
 * Every vCPU has a thread and an engine, but only one executes guest code at a time: libunicorn
 * makes the guest's locked instructions atomic within one engine only. A thread takes its turn
 * from a queue; when others wait, it is asked to give it up after a slice of time.
 *
 * Lock order: the turn's lock is innermost. A thread never waits for its turn with the BQL held,
 * but takes the BQL during its turn, when the guest touches a device.
 *
 * SPDX-License-Identifier: GPL-2.0-or-later
 */
#include "qemu/osdep.h"
#include "accel/tcg/tcg-internal.h"
#include "qemu/atomic.h"
#include "qemu/error-report.h"
#include "qemu/main-loop.h"
#include "qemu/module.h"
#include "system/accel-ops.h"
#include "system/cpus.h"
#include "system/runstate.h"

#define SLICE_MS 2

static struct {
    QemuMutex lock;
    QemuCond changed;
    uint64_t next_ticket, serving;
    TCGVcpu *owner;
} turn;

static void turn_take(TCGVcpu *v)
{
    uint64_t ticket;

    qemu_mutex_lock(&turn.lock);
    ticket = turn.next_ticket++;
    while (turn.serving != ticket) {
        if (!qemu_cond_timedwait(&turn.changed, &turn.lock, SLICE_MS) && turn.owner) {
            qatomic_or(&turn.owner->attention, ATT_YIELD);
        }
    }
    turn.owner = v;
    qemu_mutex_unlock(&turn.lock);
}

static void turn_give(TCGVcpu *v)
{
    qemu_mutex_lock(&turn.lock);
    turn.owner = NULL;
    turn.serving++;
    qemu_cond_broadcast(&turn.changed);
    qemu_mutex_unlock(&turn.lock);
}

/* Run guest code until something else is to be done. BQL. */
static void tcg_cpu_exec(TCGVcpu *v)
{
    CPUState *cpu = v->cpu;
    Error *err = NULL;
    TCGExit why;

    /*
     * Cleared before anything is looked at: whoever asks for attention from now on is seen by
     * the first block of code.
     */
    qatomic_set(&v->attention, 0);
    qatomic_set(&cpu->exit_request, false);
    if (!tcg_handle_interrupts(v)) {
        return;
    }
    if (!tcg_engine_prepare(v, &err)) {
        error_reportf_err(err, "tcg: CPU %d: ", cpu->cpu_index);
        vm_stop(RUN_STATE_INTERNAL_ERROR);
        return;
    }
    if (cpu->interrupt_request & CPU_INTERRUPT_HARD) {
        qatomic_or(&v->attention, ATT_IRQ);
    }
    bql_unlock();
    turn_take(v);
    cpu_exec_start(cpu);
    why = qatomic_read(&v->attention) & ATT_KICK ? TCG_EXIT_STOP : tcg_engine_run(v);
    cpu_exec_end(cpu);
    turn_give(v);
    bql_lock();
    if (!tcg_handle_exit(v, why)) {
        vm_stop(RUN_STATE_INTERNAL_ERROR);
    }
}

static void *tcg_vcpu_thread(void *arg)
{
    CPUState *cpu = arg;
    TCGVcpu *v = tcg_vcpu(cpu);

    bql_lock();
    cpu_thread_enter(cpu);
    cpu_thread_signal_created(cpu);
    do {
        if (cpu_can_run(cpu)) {
            tcg_cpu_exec(v);
        }
        qemu_wait_io_event(cpu);
    } while (!cpu->unplug || cpu_can_run(cpu));

    tcg_engine_close(v);
    cpu->accel = NULL;
    g_free(v);
    cpu_thread_signal_destroyed(cpu);
    current_cpu = NULL;
    bql_unlock();
    return NULL;
}

static void tcg_create_vcpu_thread(CPUState *cpu)
{
    TCGVcpu *v = g_new0(TCGVcpu, 1);
    g_autofree char *name = g_strdup_printf("CPU %d/TCG", cpu->cpu_index);

    v->cpu = cpu;
    cpu->accel = v;
    /* Until the engine has them the registers are the CPU object's. */
    cpu->vcpu_dirty = true;
    qemu_thread_create(cpu->thread, name, tcg_vcpu_thread, cpu, QEMU_THREAD_JOINABLE);
}

static void tcg_kick_vcpu_thread(CPUState *cpu)
{
    TCGVcpu *v = tcg_vcpu(cpu);

    if (v) {
        qatomic_or(&v->attention, ATT_KICK);
    }
}

/*
 * From its own thread: a device that the guest has just touched. It looks when the guest lets it.
 */
static void tcg_handle_interrupt(CPUState *cpu, int mask)
{
    qatomic_or(&cpu->interrupt_request, mask);
    if (!qemu_cpu_is_self(cpu)) {
        qemu_cpu_kick(cpu);
    } else if (cpu->accel) {
        qatomic_or(&tcg_vcpu(cpu)->attention, mask == CPU_INTERRUPT_HARD ? ATT_IRQ : ATT_KICK);
    }
}

static void do_get_registers(CPUState *cpu, run_on_cpu_data data)
{
    TCGVcpu *v = tcg_vcpu(cpu);

    if (!cpu->vcpu_dirty && v->uc) {
        tcg_get_registers(v);
        cpu->vcpu_dirty = true;
    }
}

static void tcg_synchronize_state(CPUState *cpu)
{
    if (!cpu->vcpu_dirty) {
        run_on_cpu(cpu, do_get_registers, RUN_ON_CPU_NULL);
    }
}

/* The registers were set wholesale: begin with a new engine. */
static void do_new_registers(CPUState *cpu, run_on_cpu_data data)
{
    tcg_engine_close(tcg_vcpu(cpu));
    cpu->vcpu_dirty = true;
}

static void tcg_synchronize_post(CPUState *cpu)
{
    run_on_cpu(cpu, do_new_registers, RUN_ON_CPU_NULL);
}

static void tcg_synchronize_pre_loadvm(CPUState *cpu)
{
    cpu->vcpu_dirty = true;
}

static void tcg_ops_init(AccelOpsClass *ops)
{
    qemu_mutex_init(&turn.lock);
    qemu_cond_init(&turn.changed);
}

static void tcg_accel_ops_class_init(ObjectClass *oc, void *data)
{
    AccelOpsClass *ops = ACCEL_OPS_CLASS(oc);

    ops->ops_init = tcg_ops_init;
    ops->create_vcpu_thread = tcg_create_vcpu_thread;
    ops->kick_vcpu_thread = tcg_kick_vcpu_thread;
    ops->handle_interrupt = tcg_handle_interrupt;
    ops->synchronize_state = tcg_synchronize_state;
    ops->synchronize_post_reset = tcg_synchronize_post;
    ops->synchronize_post_init = tcg_synchronize_post;
    ops->synchronize_pre_loadvm = tcg_synchronize_pre_loadvm;
}

static const TypeInfo tcg_accel_ops_type = {
    .name = ACCEL_OPS_NAME("tcg"),
    .parent = TYPE_ACCEL_OPS,
    .class_init = tcg_accel_ops_class_init,
};

static void tcg_register_ops(void)
{
    type_register_static(&tcg_accel_ops_type);
}
type_init(tcg_register_ops)
