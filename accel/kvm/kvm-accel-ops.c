/*
 * vCPU threads under KVM: one thread a vCPU, all its life.
 *
 * SPDX-License-Identifier: GPL-2.0-or-later
 */
#include "qemu/osdep.h"
#include "hw/core/cpu.h"
#include "kvm-internal.h"
#include "qemu/atomic.h"
#include "qemu/error-report.h"
#include "qemu/main-loop.h"
#include "system/accel-ops.h"
#include "system/cpus.h"

static void kvm_ipi_handler(int sig)
{
    if (current_cpu && current_cpu->kvm_run) {
        qatomic_set(&current_cpu->kvm_run->immediate_exit, 1);
    }
}

static void *kvm_vcpu_thread(void *arg)
{
    CPUState *cpu = arg;
    Error *err = NULL;

    cpu_thread_enter(cpu);
    bql_lock();
    if (kvm_init_vcpu(cpu, &err) < 0) {
        /* Machines make their CPUs at start-up, and none works without one. */
        error_report_err(err);
        exit(EXIT_FAILURE);
    }
    cpu_thread_signal_created(cpu);
    do {
        if (cpu_can_run(cpu)) {
            kvm_cpu_exec(cpu);
        }
        qemu_wait_io_event(cpu);
    } while (!cpu->unplug || cpu_can_run(cpu));
    kvm_destroy_vcpu(cpu);
    cpu_thread_signal_destroyed(cpu);
    bql_unlock();
    return NULL;
}

static void kvm_create_vcpu_thread(CPUState *cpu)
{
    g_autofree char *name = g_strdup_printf("CPU %d/KVM", cpu->cpu_index);

    qemu_thread_create(cpu->thread, name, kvm_vcpu_thread, cpu, QEMU_THREAD_JOINABLE);
}

/* With the APIC in the kernel a halted vCPU sleeps there. */
static bool kvm_thread_is_idle(CPUState *cpu)
{
    return !kvm_irqchip_in_kernel();
}

static void kvm_ops_init(AccelOpsClass *ops)
{
    struct sigaction act = { .sa_handler = kvm_ipi_handler };

    sigaction(SIG_IPI, &act, NULL);
}

static void kvm_accel_ops_class_init(ObjectClass *oc, void *data)
{
    AccelOpsClass *ops = ACCEL_OPS_CLASS(oc);

    ops->ops_init = kvm_ops_init;
    ops->create_vcpu_thread = kvm_create_vcpu_thread;
    ops->cpu_thread_is_idle = kvm_thread_is_idle;
    ops->synchronize_post_reset = kvm_cpu_synchronize_post_reset;
    ops->synchronize_post_init = kvm_cpu_synchronize_post_init;
    ops->synchronize_state = kvm_cpu_synchronize_state;
    ops->dirty_ring_size = kvm_dirty_ring_size;
    ops->count_dirty_pages = kvm_dirty_ring_count;
    ops->synchronize_pre_loadvm = kvm_cpu_synchronize_pre_loadvm;
}

static const TypeInfo kvm_accel_ops_type = {
    .name = ACCEL_OPS_NAME("kvm"),
    .parent = TYPE_ACCEL_OPS,
    .class_init = kvm_accel_ops_class_init,
};

static void kvm_accel_ops_register_types(void)
{
    type_register_static(&kvm_accel_ops_type);
}
type_init(kvm_accel_ops_register_types)
