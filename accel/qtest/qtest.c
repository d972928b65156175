/*
 * The accelerator "qtest": vCPUs that never execute anything, and a virtual clock that stands
 * still until a client of the qtest protocol moves it.
 *
 * Each vCPU has a thread all the same, so that stopping, resuming and work queued for a vCPU
 * take the same way as under the other accelerators. Registers live in the CPU object alone.
 *
 * Relies on system/cpus.c for the threads' life and on util/timer.c for the clock.
 *
 * SPDX-License-Identifier: GPL-2.0-or-later
 */
#include "qemu/osdep.h"
#include "qemu/main-loop.h"
#include "qemu/module.h"
#include "qemu/timer.h"
#include "system/accel.h"
#include "system/accel-ops.h"
#include "system/cpus.h"
#include "system/qtest.h"

bool qtest_allowed;

static int qtest_init_machine(MachineState *ms)
{
    qemu_clock_set_qtest(true);
    return 0;
}

static void *qtest_vcpu_thread(void *arg)
{
    CPUState *cpu = arg;

    bql_lock();
    cpu_thread_enter(cpu);
    cpu_thread_signal_created(cpu);
    while (!cpu->unplug) {
        /* Running or not makes no difference to it: it waits for requests alone. */
        while (!cpu->stop && !cpu->unplug && cpu_work_list_empty(cpu)) {
            qemu_cond_wait_bql(cpu->halt_cond);
        }
        qemu_wait_io_event_common(cpu);
    }
    cpu_thread_signal_destroyed(cpu);
    current_cpu = NULL;
    bql_unlock();
    return NULL;
}

static void qtest_create_vcpu_thread(CPUState *cpu)
{
    char *name = g_strdup_printf("CPU %d/DUMMY", cpu->cpu_index);

    qemu_thread_create(cpu->thread, name, qtest_vcpu_thread, cpu, QEMU_THREAD_JOINABLE);
    g_free(name);
}

/* Sleeping in halt_cond is all that these threads do; whoever wants one signals that. */
static void qtest_kick_vcpu_thread(CPUState *cpu)
{
    qemu_cond_broadcast(cpu->halt_cond);
}

static void qtest_accel_class_init(ObjectClass *oc, void *data)
{
    AccelClass *ac = ACCEL_CLASS(oc);

    ac->name = "QTest";
    ac->init_machine = qtest_init_machine;
    ac->allowed = &qtest_allowed;
}

static void qtest_accel_ops_class_init(ObjectClass *oc, void *data)
{
    AccelOpsClass *ops = ACCEL_OPS_CLASS(oc);

    ops->create_vcpu_thread = qtest_create_vcpu_thread;
    ops->kick_vcpu_thread = qtest_kick_vcpu_thread;
    ops->get_virtual_clock = qtest_get_virtual_clock;
    ops->set_virtual_clock = qtest_clock_warp;
}

static const TypeInfo qtest_accel_types[] = {
    {
        .name = ACCEL_CLASS_NAME("qtest"),
        .parent = TYPE_ACCEL,
        .class_init = qtest_accel_class_init,
    },
    {
        .name = ACCEL_OPS_NAME("qtest"),
        .parent = TYPE_ACCEL_OPS,
        .class_init = qtest_accel_ops_class_init,
    },
};

DEFINE_TYPES(qtest_accel_types)
