/*
 * What x86 code finds of KVM in a build without it.
 *
 * SPDX-License-Identifier: GPL-2.0-or-later
 */
#include "qemu/osdep.h"
#include "kvm_i386.h"

uint32_t kvm_arch_get_supported_cpuid(KVMState *s, uint32_t leaf, uint32_t subleaf, int reg)
{
    return 0;
}

uint64_t kvm_arch_get_supported_msr_feature(KVMState *s, uint32_t msr)
{
    return 0;
}

void kvm_arch_reset_vcpu(X86CPU *cpu)
{
}
