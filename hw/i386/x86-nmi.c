/*
 * The NMI button: a wire to pin LINT1 of every CPU's local APIC.
 *
 * What comes of it is the guest's choice: the pin's entry in the local vector table says whether it
 * means an NMI, and it is masked from reset on. Without the APIC the pin is the CPU's own NMI pin.
 *
 * Locking: BQL.
 *
 * SPDX-License-Identifier: GPL-2.0-or-later
 */
#include "qemu/osdep.h"
#include "hw/i386/apic.h"
#include "hw/i386/x86.h"
#include "hw/intc/apic_common.h"
#include "system/cpus.h"
#include "target/i386/cpu.h"

static bool pin_means_nmi(const APICCommonState *s)
{
    uint32_t lint1 = s->lvt[APIC_LVT_LINT1];

    if (!(s->apicbase & MSR_IA32_APICBASE_ENABLE)) {
        return true;
    }
    return !(lint1 & APIC_LVT_MASKED) && (lint1 >> 8 & 7) == APIC_DM_NMI;
}

void x86_inject_nmi(MachineState *ms)
{
    CPUState *cs;

    CPU_FOREACH(cs) {
        X86CPU *cpu = X86_CPU(cs);

        cpu_synchronize_state(cs); /* the APIC may be in the kernel */
        if (!cpu->apic_state || pin_means_nmi(APIC_COMMON(cpu->apic_state))) {
            cpu_interrupt(cs, CPU_INTERRUPT_NMI);
        }
    }
}
