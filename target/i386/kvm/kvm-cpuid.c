/*
 * CPUID under KVM: what the kernel can give, and giving a vCPU its own.
 *
 * cpu_x86_cpuid() says what a leaf holds; this file knows which leaves have sub-leaves and how
 * many, adds the hypervisor's own leaves, and hands the table to the kernel.
 *
 * SPDX-License-Identifier: GPL-2.0-or-later
 */
#include "qemu/osdep.h"
#include <linux/kvm_para.h>
#include "../cpu.h"
#include "hw/boards.h"
#include "kvm_i386.h"
#include "qemu/error-report.h"

#define MAX_ENTRIES 100
#define SIGNATURE_LEAF 0x40000000u
#define FEATURES_LEAF  0x40000001u
#define TIMING_LEAF    0x40000010u  /* the TSC's rate and the APIC bus's, in kHz */
#define APIC_BUS_KHZ   1000000

static struct kvm_cpuid2 *alloc_table(unsigned nr)
{
    struct kvm_cpuid2 *table = g_malloc0(sizeof(*table) + nr * sizeof(table->entries[0]));

    table->nent = nr;
    return table;
}

/* What this kernel supports; asked once. NULL if it does not say. */
static const struct kvm_cpuid2 *supported(KVMState *s)
{
    static struct kvm_cpuid2 *table;
    unsigned nr;

    for (nr = 64; !table && nr <= 4096; nr *= 2) {
        struct kvm_cpuid2 *t = alloc_table(nr);
        int ret = kvm_ioctl(s, KVM_GET_SUPPORTED_CPUID, t);

        if (ret == 0) {
            table = t;
            break;
        }
        g_free(t);
        if (ret != -E2BIG) {
            break;
        }
    }
    return table;
}

static uint32_t entry_reg(const struct kvm_cpuid_entry2 *e, int reg)
{
    switch (reg) {
    case 0:
        return e->eax;
    case 1:
        return e->ebx;
    case 2:
        return e->ecx;
    default:
        return e->edx;
    }
}

/* Bits that the kernel emulates, but does not list because they depend on how it is used. */
static uint32_t adjust(KVMState *s, uint32_t leaf, uint32_t subleaf, int reg, uint32_t value)
{
    if (leaf == 1 && reg == 2) {
        value |= 1u << 31;                              /* hypervisor */
        if (kvm_irqchip_in_kernel()) {
            value |= 1u << 21;                          /* x2APIC */
            if (kvm_check_extension(s, KVM_CAP_TSC_DEADLINE_TIMER)) {
                value |= 1u << 24;
            }
        } else {
            value &= ~(1u << 21);
        }
        value &= ~(1u << 3);                            /* MONITOR/MWAIT exit too much */
    } else if (leaf == 1 && reg == 3) {
        value |= 1u << 12;                              /* MTRRs are ours to keep */
    } else if (leaf == 7 && subleaf == 0 && reg == 1) {
        value |= 1u << 9;                               /* ERMS: how fast, not whether */
    } else if (leaf == 7 && subleaf == 0 && reg == 3) {
        value |= 1u << 4;                               /* FSRM: likewise */
    } else if (leaf == 6 && reg == 0) {
        value |= 1u << 2;                               /* ARAT: the timer does not stop */
    } else if (leaf == FEATURES_LEAF && reg == 0) {
        /* Wide destinations of MSIs are the machine's to give, not the kernel's. */
        if (kvm_irqchip_in_kernel()) {
            value |= 1u << KVM_FEATURE_MSI_EXT_DEST_ID;
        } else {
            value &= ~(1u << KVM_FEATURE_PV_UNHALT | 1u << KVM_FEATURE_MSI_EXT_DEST_ID);
        }
    } else if (leaf == 0x80000007 && reg == 1) {
        uint32_t r[4];

        x86_host_cpuid(0, 0, r);
        if (r[2] == 0x444d4163) {
            value |= 3;                                 /* overflow-recov, succor: as above */
        }
    }
    return value;
}

uint32_t kvm_arch_get_supported_cpuid(KVMState *s, uint32_t leaf, uint32_t subleaf, int reg)
{
    const struct kvm_cpuid2 *table = supported(s);
    uint32_t value = 0;
    unsigned i;

    for (i = 0; table && i < table->nent; i++) {
        const struct kvm_cpuid_entry2 *e = &table->entries[i];

        if (e->function == leaf
            && (e->index == subleaf || !(e->flags & KVM_CPUID_FLAG_SIGNIFCANT_INDEX))) {
            value = entry_reg(e, reg);
            break;
        }
    }
    return adjust(s, leaf, subleaf, reg, value);
}

uint64_t kvm_arch_get_supported_msr_feature(KVMState *s, uint32_t msr)
{
    struct {
        struct kvm_msrs info;
        struct kvm_msr_entry entry;
    } one = { .info.nmsrs = 1, .entry.index = msr };

    return kvm_ioctl(s, KVM_GET_MSRS, &one) == 1 ? one.entry.data : 0;
}

/* -- A vCPU's table -------------------------------------------------------------------------- */

static struct kvm_cpuid_entry2 *add(struct kvm_cpuid2 *table, uint32_t leaf, uint32_t subleaf,
                                    uint32_t flags)
{
    struct kvm_cpuid_entry2 *e;

    if (table->nent == MAX_ENTRIES) {
        return NULL;
    }
    e = &table->entries[table->nent++];
    e->function = leaf;
    e->index = subleaf;
    e->flags = flags;
    return e;
}

static struct kvm_cpuid_entry2 *add_ours(struct kvm_cpuid2 *table, CPUX86State *env, uint32_t leaf,
                                         uint32_t subleaf, uint32_t flags)
{
    struct kvm_cpuid_entry2 *e = add(table, leaf, subleaf, flags);

    if (e) {
        cpu_x86_cpuid(env, leaf, subleaf, &e->eax, &e->ebx, &e->ecx, &e->edx);
    }
    return e;
}

/*
 * A leaf that says nothing is left out: where the kernel cannot hide a leaf from the guest, what
 * the guest finds there depends on it.
 */
static void drop_if_empty(struct kvm_cpuid2 *table)
{
    struct kvm_cpuid_entry2 *e = table->nent ? &table->entries[table->nent - 1] : NULL;

    if (e && !e->eax && !e->ebx && !e->ecx && !e->edx) {
        memset(e, 0, sizeof(*e));
        table->nent--;
    }
}

static bool has_dies(void)
{
    return current_machine && current_machine->smp.dies > 1;
}

/* Leaves with sub-leaves: add them up to the one that ends the list, which is given as well. */
static bool add_subleaves(struct kvm_cpuid2 *table, CPUX86State *env, uint32_t leaf)
{
    uint32_t i, last = 63;

    for (i = 0; i <= last; i++) {
        struct kvm_cpuid_entry2 *e = add_ours(table, env, leaf, i,
                                              KVM_CPUID_FLAG_SIGNIFCANT_INDEX);

        if (!e) {
            return false;
        }
        switch (leaf) {
        case 7:
            last = i == 0 ? MIN(e->eax, 63) : last;
            break;
        case 0xb:
        case 0x1f:
            if (!(e->ecx & 0xff00)) {
                return true;
            }
            break;
        case 0x12:
            last = 2;
            drop_if_empty(table);
            break;
        case 0x1d:
            last = i == 0 ? MIN(e->eax, 63) : last;
            drop_if_empty(table);
            break;
        case 0xd:
            drop_if_empty(table); /* components are sparse */
            break;
        default:
            if (!(e->eax & 31)) {
                return true;
            }
            break;
        }
    }
    return true;
}

static bool add_range(struct kvm_cpuid2 *table, CPUX86State *env, uint32_t first)
{
    uint32_t limit, b, c, d, leaf;

    cpu_x86_cpuid(env, first, 0, &limit, &b, &c, &d);
    for (leaf = first; leaf <= limit && leaf - first < 64; leaf++) {
        bool ok;

        switch (leaf) {
        case 0x1f:
            ok = !has_dies() || add_subleaves(table, env, leaf);
            break;
        case 4:
        case 7:
        case 0xb:
        case 0xd:
        case 0x12:
        case 0x1d:
        case 0x8000001d:
            ok = add_subleaves(table, env, leaf);
            break;
        case 2:
            ok = add_ours(table, env, leaf, 0, 0);
            break;
        default:
            ok = add_ours(table, env, leaf, 0, 0);
            drop_if_empty(table);
            break;
        }
        if (!ok) {
            return false;
        }
    }
    return true;
}

/* Only a TSC that never changes its rate has one that can be told for good. */
static bool tells_timing(const X86CPU *cpu)
{
    return cpu->vmware_cpuid_freq && kvm_irqchip_in_kernel() && cpu->env.tsc_khz > 0
        && (cpu->env.features[FEAT_8000_0007_EDX] & (1u << 8));
}

int kvm_x86_set_cpuid(X86CPU *cpu)
{
    CPUX86State *env = &cpu->env;
    g_autofree struct kvm_cpuid2 *table = alloc_table(MAX_ENTRIES);
    bool ok = true;
    int ret;

    table->nent = 0;
    if (cpu->expose_kvm) {
        struct kvm_cpuid_entry2 *e = add(table, SIGNATURE_LEAF, 0, 0);

        e->eax = tells_timing(cpu) ? TIMING_LEAF : FEATURES_LEAF;
        memcpy(&e->ebx, "KVMK", 4);
        memcpy(&e->ecx, "VMKV", 4);
        memcpy(&e->edx, "M\0\0\0", 4);
        e = add(table, FEATURES_LEAF, 0, 0);
        e->eax = env->features[FEAT_KVM];
        e->edx = env->features[FEAT_KVM_HINTS];
        if (tells_timing(cpu)) {
            e = add(table, TIMING_LEAF, 0, 0);
            e->eax = env->tsc_khz;
            e->ebx = APIC_BUS_KHZ;
        }
    }
    ok = add_range(table, env, 0) && add_range(table, env, 0x80000000u)
        && (!env->cpuid_xlevel2 || add_range(table, env, 0xc0000000u));
    if (!ok) {
        error_report("CPU %d has more CPUID leaves than there is room for (%d)",
                     CPU(cpu)->cpu_index, MAX_ENTRIES);
        return -E2BIG;
    }
    ret = kvm_vcpu_ioctl(CPU(cpu), KVM_SET_CPUID2, table);
    if (ret < 0) {
        error_report("KVM does not take the CPUID of CPU %d: %s", CPU(cpu)->cpu_index,
                     strerror(-ret));
    }
    return ret;
}
