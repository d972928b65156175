/*
 * What callers of KVM find in a build without it: nothing is enabled, and everything fails quietly.
 *
 * SPDX-License-Identifier: GPL-2.0-or-later
 */
#include "qemu/osdep.h"
#include "system/kvm.h"

KVMState *kvm_state;

int kvm_ioctl(KVMState *s, unsigned long type, ...)
{
    return -ENOSYS;
}

int kvm_vm_ioctl(KVMState *s, unsigned long type, ...)
{
    return -ENOSYS;
}

int kvm_vcpu_ioctl(CPUState *cpu, unsigned long type, ...)
{
    return -ENOSYS;
}

int kvm_check_extension(KVMState *s, unsigned int extension)
{
    return 0;
}

int kvm_vm_check_extension(KVMState *s, unsigned int extension)
{
    return 0;
}

int kvm_vm_enable_cap_args(KVMState *s, unsigned int capability, const uint64_t *args, int nargs)
{
    return -ENOSYS;
}

int kvm_vcpu_enable_cap_args(CPUState *cpu, unsigned int capability, const uint64_t *args,
                             int nargs)
{
    return -ENOSYS;
}

int kvm_init_vcpu(CPUState *cpu, Error **errp)
{
    error_setg(errp, "this binary was built without KVM");
    return -ENOSYS;
}

void kvm_destroy_vcpu(CPUState *cpu)
{
}

int kvm_cpu_exec(CPUState *cpu)
{
    return -ENOSYS;
}

void kvm_cpu_synchronize_state(CPUState *cpu)
{
}

void kvm_cpu_synchronize_post_reset(CPUState *cpu)
{
}

void kvm_cpu_synchronize_post_init(CPUState *cpu)
{
}

void kvm_cpu_synchronize_pre_loadvm(CPUState *cpu)
{
}

int kvm_set_irq(KVMState *s, int irq, int level)
{
    return -ENOSYS;
}

void kvm_irqchip_add_irq_route(KVMState *s, int gsi, int irqchip, int pin)
{
}

bool kvm_irqchip_set_msi_route(KVMState *s, int gsi, uint64_t address, uint32_t data)
{
    return false;
}

void kvm_irqchip_commit_routes(KVMState *s)
{
}

int kvm_irqchip_send_msi_raw(KVMState *s, uint64_t address, uint32_t data)
{
    return -ENOSYS;
}

uint32_t kvm_dirty_ring_size(void)
{
    return 0;
}

bool kvm_dirty_ring_enabled(void)
{
    return false;
}

unsigned int kvm_max_vcpus(KVMState *s)
{
    return 0;
}
