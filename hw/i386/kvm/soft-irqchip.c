/*
 * PICs and I/O APICs of this program with local APICs in the kernel: kernel-irqchip=split, and a
 * second I/O APIC beside the kernel's.
 *
 * An I/O APIC's message is a write to the local APICs, as a device's would be. That an interrupt
 * which came by level has been handled, the kernel tells only for those that its routing table
 * lists as such (split only): redirection entries go there as they change. GSI n of the table is
 * pin n, and pins of the second I/O APIC follow those of the first.
 *
 * The kernel's word may be under way when a machine stops, or have been when another program saved
 * it. No section has it, and without it the pin would wait for ever. So whenever the machine stops
 * or starts, a pin that waits for the end of an interrupt which no local APIC has any more is told.
 *
 * The PICs' output is a bit of the first CPU's interrupt_request. When the CPU can take it
 * (target/i386/kvm/kvm.c), it fetches the vector.
 *
 * SPDX-License-Identifier: GPL-2.0-or-later
 */
#include "qemu/osdep.h"
#include "hw/core/cpu.h"
#include "hw/i386/apic.h"
#include "hw/i386/kvm_irqchip.h"
#include "hw/intc/apic_common.h"
#include "hw/intc/ioapic_common.h"
#include "qemu/error-report.h"
#include "system/cpus.h"
#include "system/kvm_int.h"
#include "system/runstate.h"
#include "target/i386/cpu.h"
#include "target/i386/kvm/kvm_i386.h"

QEMU_BUILD_BUG_ON(KVM_SPLIT_IRQCHIP_PINS < 2 * IOAPIC_NUM_PINS);

#define ENTRY_LEVEL (1ull << 15)
#define NR_VECTORS  256

static uint64_t msi_address(uint8_t dest, bool logical)
{
    return APIC_DEFAULT_ADDRESS | (uint32_t)dest << 12 | (logical ? 1u << 2 : 0);
}

static uint32_t msi_data(unsigned mode, uint8_t vector, bool level)
{
    return vector | (mode & 7) << 8 | (level ? 1u << 14 | 1u << 15 : 0);
}

static void deliver(uint8_t dest, bool logical, unsigned mode, uint8_t vector, bool level)
{
    int ret = kvm_irqchip_send_msi_raw(kvm_state, msi_address(dest, logical),
                                       msi_data(mode, vector, level));

    if (ret < 0) {
        error_report_once("KVM does not take an interrupt from the I/O APIC: %s", strerror(-ret));
    }
}

static void entries_changed(unsigned n, const uint64_t *entries)
{
    bool changed = false;

    for (int pin = 0; pin < IOAPIC_NUM_PINS; pin++) {
        uint64_t e = entries[pin];

        /* Masked ones too: an interrupt that is being handled may be masked meanwhile. */
        changed |= kvm_irqchip_set_msi_route(kvm_state, n * IOAPIC_NUM_PINS + pin,
                                             msi_address(e >> 56, e & 1u << 11),
                                             msi_data(e >> 8, e, e & ENTRY_LEVEL));
    }
    if (changed) {
        kvm_irqchip_commit_routes(kvm_state);
    }
}

/* Is @vector on its way to a CPU, or being handled by one? A vCPU's thread. */
static void find_vectors(CPUState *cpu, run_on_cpu_data data)
{
    uint32_t *set = data.host_ptr;
    struct kvm_lapic_state k;

    if (kvm_vcpu_ioctl(cpu, KVM_GET_LAPIC, &k) < 0) {
        memset(set, 0xff, NR_VECTORS / 8);
        return;
    }
    for (int i = 0; i < NR_VECTORS / 32; i++) {
        uint32_t irr, isr;

        memcpy(&irr, k.regs + APIC_REG_IRR + 16 * i, sizeof(irr));
        memcpy(&isr, k.regs + APIC_REG_ISR + 16 * i, sizeof(isr));
        set[i] |= irr | isr;
    }
}

static void fetch_again(CPUState *cpu, run_on_cpu_data data)
{
    if (cpu->vcpu_dirty) {
        kvm_x86_get_lapic(X86_CPU(cpu));
    }
}

static void find_lost_ends(void *opaque, bool running, RunState state)
{
    uint32_t waiting[NR_VECTORS / 32] = { 0 }, alive[NR_VECTORS / 32] = { 0 };
    CPUState *cpu;
    bool any = false;

    if (!ioapic_waiting_vectors(waiting)) {
        return;
    }
    CPU_FOREACH(cpu) {
        run_on_cpu(cpu, find_vectors, RUN_ON_CPU_HOST_PTR(alive));
    }
    for (int v = 0; v < NR_VECTORS; v++) {
        if ((waiting[v / 32] & ~alive[v / 32]) >> (v % 32) & 1) {
            ioapic_eoi_broadcast(v);
            any = true;
        }
    }
    if (any) { /* what that sent is in the kernel; to be saved it has to be in the devices, too */
        CPU_FOREACH(cpu) {
            run_on_cpu(cpu, fetch_again, RUN_ON_CPU_NULL);
        }
    }
}

static void pic_wire(bool level)
{
    if (level) {
        cpu_interrupt(first_cpu, CPU_INTERRUPT_HARD);
    } else {
        cpu_reset_interrupt(first_cpu, CPU_INTERRUPT_HARD);
    }
}

static const IOAPICBus split_bus = {
    .deliver = deliver, .tells_eoi = true, .entries_changed = entries_changed,
};
static const IOAPICBus kernel_bus = { .deliver = deliver };

void kvm_soft_irqchip_wire(void)
{
    if (kvm_irqchip_is_split()) {
        ioapic_bus = &split_bus;
        apic_pic_wire = pic_wire;
        qemu_add_vm_change_state_handler(find_lost_ends, NULL);
    } else if (kvm_irqchip_in_kernel()) {
        ioapic_bus = &kernel_bus;
    }
}
