/*
 * Model-specific registers under KVM, as a table: number, where the CPU's state keeps it, and
 * when it is written.
 *
 * Which of them work depends on the host and on the CPU's features. A new vCPU is asked for each
 * once; those that can't be read are left alone from then on. Writing stops at the first that the
 * kernel refuses: if its value is zero that is no loss, otherwise the state can't be had here,
 * and that is an error.
 *
 * SPDX-License-Identifier: GPL-2.0-or-later
 */
#include "qemu/osdep.h"
#include "../cpu.h"
#include "kvm_i386.h"
#include "qemu/error-report.h"
#include "system/runstate.h"

#define TSC            0x10
#define FEATURE_CONTROL 0x3a
#define TSC_DEADLINE   0x6e0
#define XFD            0x1c4
#define AMD_TSC_RATIO  0xc0000104

/* When a register is written; reading is always of all. */
enum {
    RUNTIME = KVM_PUT_RUNTIME_STATE,    /* the guest's own */
    RESET = KVM_PUT_RESET_STATE,        /* what only a reset or an incoming machine changes */
    EARLY = 100,                        /* with kvm_x86_put_early_msrs() */
    LATE,                               /* with kvm_x86_put_late_msrs() */
};

typedef enum MSRKind {
    WORD64,
    WORD32,
    MTRR_MASK,                          /* the bits beyond physical addresses travel as ones */
} MSRKind;

typedef struct MSRInfo {
    uint32_t index;
    uint32_t offset;                    /* in CPUX86State */
    uint16_t level;
    uint16_t kind;
} MSRInfo;

#define M(index_, field_, level_) { index_, offsetof(CPUX86State, field_), level_, WORD64 }
#define M32(index_, field_, level_) { index_, offsetof(CPUX86State, field_), level_, WORD32 }
#define MTRR_VAR(n)                                                                                \
    M(0x200 + 2 * (n), mtrr_var[n].base, RESET),                                                   \
    { 0x201 + 2 * (n), offsetof(CPUX86State, mtrr_var[n].mask), RESET, MTRR_MASK }
#define BANK(n)                                                                                    \
    M(0x400 + 4 * (n), mce_banks[4 * (n)], RESET),                                                 \
    M(0x401 + 4 * (n), mce_banks[4 * (n) + 1], RESET),                                             \
    M(0x402 + 4 * (n), mce_banks[4 * (n) + 2], RESET),                                             \
    M(0x403 + 4 * (n), mce_banks[4 * (n) + 3], RESET)
#define GP_COUNTER(n)                                                                              \
    M(0xc1 + (n), msr_gp_counters[n], RUNTIME), M(0x186 + (n), msr_gp_evtsel[n], RUNTIME)

#define LBR(n)                                                                                     \
    M(0x1500 + (n), lbr_records[n].from, RESET),                                                   \
    M(0x1600 + (n), lbr_records[n].to, RESET),                                                     \
    M(0x1200 + (n), lbr_records[n].info, RESET)

static const MSRInfo msrs[] = {
    M(FEATURE_CONTROL, msr_ia32_feature_control, EARLY),
    M32(0x174, sysenter_cs, RUNTIME),
    M(0x175, sysenter_esp, RUNTIME),
    M(0x176, sysenter_eip, RUNTIME),
    M(0x277, pat, RUNTIME),
    M(0xc0000081, star, RUNTIME),
    M(0xc0000082, lstar, RUNTIME),
    M(0xc0000083, cstar, RUNTIME),
    M(0xc0000084, fmask, RUNTIME),
    M(0xc0000102, kernelgsbase, RUNTIME),
    M(0xc0000103, tsc_aux, RUNTIME),
    M(0x3b, tsc_adjust, RUNTIME),
    M(0x1a0, msr_ia32_misc_enable, RUNTIME),
    M(0xd90, msr_bndcfgs, RUNTIME),
    M(0xda0, xss, RUNTIME),
    M32(0xe1, umwait, RUNTIME),
    M32(0x6e1, pkrs, RUNTIME),
    M(0x48, spec_ctrl, RUNTIME),
    M32(0x122, tsx_ctrl, RUNTIME),
    M(0xc001011f, virt_ssbd, RUNTIME),
    M(AMD_TSC_RATIO, amd_tsc_scale_msr, RUNTIME),
    M(0xc0010015, msr_hwcr, RUNTIME),
    M(0xc0010117, vm_hsave, RUNTIME),
    M(XFD, msr_xfd, RUNTIME),
    M(0x1c5, msr_xfd_err, RUNTIME),
    M(0x1cc, fred_rsp0, RUNTIME),
    M(0x1cd, fred_rsp1, RUNTIME),
    M(0x1ce, fred_rsp2, RUNTIME),
    M(0x1cf, fred_rsp3, RUNTIME),
    M(0x1d0, fred_stklvls, RUNTIME),
    M(0x1d1, fred_ssp1, RUNTIME),
    M(0x1d2, fred_ssp2, RUNTIME),
    M(0x1d3, fred_ssp3, RUNTIME),
    M(0x1d4, fred_config, RUNTIME),

    M(TSC, tsc, RESET),
    M(0x34, msr_smi_count, RESET),
    M32(0x9e, smbase, RESET),
    M(0x4b564d01, system_time_msr, RESET),
    M(0x4b564d00, wall_clock_msr, RESET),
    M(0x4b564d06, async_pf_int_msr, RESET),
    M(0x4b564d02, async_pf_en_msr, RESET),
    M(0x4b564d03, steal_time_msr, RESET),
    M(0x4b564d04, pv_eoi_en_msr, RESET),
    M(0x4b564d05, poll_control_msr, RESET),
    M(0x2ff, mtrr_deftype, RESET),
    M(0x250, mtrr_fixed[0], RESET),
    M(0x258, mtrr_fixed[1], RESET),
    M(0x259, mtrr_fixed[2], RESET),
    M(0x268, mtrr_fixed[3], RESET),
    M(0x269, mtrr_fixed[4], RESET),
    M(0x26a, mtrr_fixed[5], RESET),
    M(0x26b, mtrr_fixed[6], RESET),
    M(0x26c, mtrr_fixed[7], RESET),
    M(0x26d, mtrr_fixed[8], RESET),
    M(0x26e, mtrr_fixed[9], RESET),
    M(0x26f, mtrr_fixed[10], RESET),
    MTRR_VAR(0), MTRR_VAR(1), MTRR_VAR(2), MTRR_VAR(3),
    MTRR_VAR(4), MTRR_VAR(5), MTRR_VAR(6), MTRR_VAR(7),
    M(0x17a, mcg_status, RESET),
    M(0x17b, mcg_ctl, RESET),
    M(0x4d0, mcg_ext_ctl, RESET),
    BANK(0), BANK(1), BANK(2), BANK(3), BANK(4),
    BANK(5), BANK(6), BANK(7), BANK(8), BANK(9),
    M(0x8c, msr_ia32_sgxlepubkeyhash[0], RESET),
    M(0x8d, msr_ia32_sgxlepubkeyhash[1], RESET),
    M(0x8e, msr_ia32_sgxlepubkeyhash[2], RESET),
    M(0x8f, msr_ia32_sgxlepubkeyhash[3], RESET),

    M(0x14cf, msr_lbr_depth, RESET),    /* before its control: a new depth clears all records */
    LBR(0), LBR(1), LBR(2), LBR(3), LBR(4), LBR(5), LBR(6), LBR(7),
    LBR(8), LBR(9), LBR(10), LBR(11), LBR(12), LBR(13), LBR(14), LBR(15),
    LBR(16), LBR(17), LBR(18), LBR(19), LBR(20), LBR(21), LBR(22), LBR(23),
    LBR(24), LBR(25), LBR(26), LBR(27), LBR(28), LBR(29), LBR(30), LBR(31),
    M(0x14ce, msr_lbr_ctl, RESET),
    M(0x560, msr_rtit_output_base, RESET),
    M(0x561, msr_rtit_output_mask, RESET),
    M(0x571, msr_rtit_status, RESET),
    M(0x572, msr_rtit_cr3_match, RESET),
    M(0x580, msr_rtit_addrs[0], RESET), M(0x581, msr_rtit_addrs[1], RESET),
    M(0x582, msr_rtit_addrs[2], RESET), M(0x583, msr_rtit_addrs[3], RESET),
    M(0x584, msr_rtit_addrs[4], RESET), M(0x585, msr_rtit_addrs[5], RESET),
    M(0x586, msr_rtit_addrs[6], RESET), M(0x587, msr_rtit_addrs[7], RESET),
    M(0x570, msr_rtit_ctrl, RESET),     /* after all that it would make run */

    /*
     * Hyper-V's: a guest of this program is not offered any, so what comes in a stream of them can
     * only be refused, by name.
     */
    M(0x40000000, msr_hv_guest_os_id, RESET),
    M(0x40000001, msr_hv_hypercall, RESET),
    M(0x40000073, msr_hv_vapic, RESET),
    M(0x40000021, msr_hv_tsc, RESET),
    M(0x40000010, msr_hv_runtime, RESET),
    M(0x40000080, msr_hv_synic_control, RESET),
    M(0x40000082, msr_hv_synic_evt_page, RESET),
    M(0x40000083, msr_hv_synic_msg_page, RESET),
    M(0x400000b0, msr_hv_stimer_config[0], RESET),
    M(0x400000b2, msr_hv_stimer_config[1], RESET),
    M(0x400000b4, msr_hv_stimer_config[2], RESET),
    M(0x400000b6, msr_hv_stimer_config[3], RESET),
    M(0x40000106, msr_hv_reenlightenment_control, RESET),
    M(0x40000107, msr_hv_tsc_emulation_control, RESET),

    /* The counters' controls go last, so that nothing counts while they are set. */
    M(0x38d, msr_fixed_ctr_ctrl, RUNTIME),
    M(0x309, msr_fixed_counters[0], RUNTIME),
    M(0x30a, msr_fixed_counters[1], RUNTIME),
    M(0x30b, msr_fixed_counters[2], RUNTIME),
    GP_COUNTER(0), GP_COUNTER(1), GP_COUNTER(2), GP_COUNTER(3),
    GP_COUNTER(4), GP_COUNTER(5), GP_COUNTER(6), GP_COUNTER(7),
    M(0x38e, msr_global_status, RUNTIME),
    M(0x390, msr_global_ovf_ctrl, RUNTIME),
    M(0x38f, msr_global_ctrl, RUNTIME),

    M(TSC_DEADLINE, tsc_deadline, LATE),
};

/* struct kvm_msrs without its entries, so that a fixed number of them may follow. */
typedef struct MSRHeader {
    uint32_t nmsrs;
    uint32_t pad;
} MSRHeader;

QEMU_BUILD_BUG_ON(sizeof(MSRHeader) != sizeof(struct kvm_msrs));

typedef struct MSRBuffer {
    MSRHeader info;
    struct kvm_msr_entry entries[ARRAY_SIZE(msrs)];
} MSRBuffer;

/* Above this number is nothing that a processor has. */
#define IS_HYPERV(index) ((index) >= 0x40000000u && (index) < 0x40000200u)

static uint64_t load(CPUX86State *env, const MSRInfo *m)
{
    void *p = (uint8_t *)env + m->offset;

    switch (m->kind) {
    case WORD32:
        return *(uint32_t *)p;
    case MTRR_MASK:
        return *(uint64_t *)p & ~env_archcpu(env)->kvm->mtrr_fill;
    default:
        return *(uint64_t *)p;
    }
}

static void store(CPUX86State *env, const MSRInfo *m, uint64_t value)
{
    void *p = (uint8_t *)env + m->offset;

    switch (m->kind) {
    case WORD32:
        *(uint32_t *)p = value;
        break;
    case MTRR_MASK:
        *(uint64_t *)p = value | env_archcpu(env)->kvm->mtrr_fill;
        break;
    default:
        *(uint64_t *)p = value;
        break;
    }
}

/* Features without which the kernel may have a register all the same; nobody may count on it. */
static const struct {
    uint32_t first, last;
    FeatureWord word;
    uint32_t feature;
} of_feature[] = {
    { AMD_TSC_RATIO, AMD_TSC_RATIO, FEAT_8000_000A_EDX, 1u << 4 },
    { 0x122, 0x122, FEAT_ARCH_CAPABILITIES, 1u << 7 },          /* tsx-ctrl */
    { 0x8c, 0x8f, FEAT_7_0_ECX, 1u << 30 },                     /* sgxlc */
    { XFD, 0x1c5, FEAT_XSAVE, 1u << 4 },                        /* xfd */
    { 0x1cc, 0x1d4, FEAT_7_1_EAX, 1u << 17 },                   /* fred */
    { 0x560, 0x587, FEAT_7_0_EBX, 1u << 25 },                   /* intel-pt */
    { 0x14ce, 0x14cf, FEAT_7_0_EDX, 1u << 19 },                 /* arch-lbr, and its records */
    { 0x1200, 0x161f, FEAT_7_0_EDX, 1u << 19 },
    { 0xe1, 0xe1, FEAT_7_0_ECX, 1u << 5 },                      /* waitpkg */
    { 0x6e1, 0x6e1, FEAT_7_0_ECX, 1u << 31 },                   /* pks */
    { 0xd90, 0xd90, FEAT_7_0_EBX, 1u << 14 },                   /* mpx */
};

/* Machine check registers exist only where there are machine checks. */
static bool is_wanted(const X86CPU *cpu, const MSRInfo *m)
{
    const CPUX86State *env = &cpu->env;
    bool mce = (m->index >= 0x400 && m->index < 0x480) || m->index == 0x17a || m->index == 0x17b;
    bool pmu = (m->index >= 0xc1 && m->index < 0xe0) || (m->index >= 0x186 && m->index < 0x198)
        || (m->index >= 0x309 && m->index <= 0x30b) || (m->index >= 0x38d && m->index <= 0x390);

    if (IS_HYPERV(m->index)) {
        return false;
    }
    for (size_t i = 0; i < ARRAY_SIZE(of_feature); i++) {
        if (m->index >= of_feature[i].first && m->index <= of_feature[i].last) {
            return env->features[of_feature[i].word] & of_feature[i].feature;
        }
    }
    return (!mce || env->mcg_cap) && (!pmu || cpu->enable_pmu);
}

/* What feature MSRs say; they do not change, so they are given once. */
static int put_feature_msrs(X86CPU *cpu)
{
    CPUX86State *env = &cpu->env;
    struct {
        MSRHeader info;
        struct kvm_msr_entry entry;
    } one = { .info.nmsrs = 1, .entry.index = 0x10a };
    int ret;

    if (!(env->features[FEAT_7_0_EDX] & (1u << 29))) {
        return 0;
    }
    one.entry.data = env->features[FEAT_ARCH_CAPABILITIES];
    ret = kvm_vcpu_ioctl(CPU(cpu), KVM_SET_MSRS, &one);
    if (ret != 1) {
        /* The guest finds the kernel's own value then, as it would without the feature's bits. */
        warn_report_once("KVM does not take 0x%" PRIx64 " for IA32_ARCH_CAPABILITIES (MSR 0x10a); "
                         "-cpu …,arch-capabilities=off avoids it",
                         (uint64_t)one.entry.data);
    }
    return 0;
}

static void set_mtrr_fill(X86CPU *cpu)
{
    uint32_t bits = CLAMP(x86_cpu_effective_phys_bits(cpu, NULL), 32, 52);

    if (cpu->fill_mtrr_mask) {
        cpu->kvm->mtrr_fill = ((UINT64_C(1) << 52) - 1) & ~((UINT64_C(1) << bits) - 1);
    }
}

int kvm_x86_init_msrs(X86CPU *cpu)
{
    MSRBuffer *list = g_new0(MSRBuffer, 1);
    uint16_t *which = g_new0(uint16_t, ARRAY_SIZE(msrs));
    bool *usable = g_new0(bool, ARRAY_SIZE(msrs));
    unsigned i, tsc = 0;

    cpu->kvm->msr_usable = usable;
    cpu->kvm->msr_read = list;
    cpu->kvm->msr_read_which = which;
    set_mtrr_fill(cpu);
    for (i = 0; i < ARRAY_SIZE(msrs); i++) {
        struct {
            MSRHeader info;
            struct kvm_msr_entry entry;
        } one = { .info.nmsrs = 1, .entry.index = msrs[i].index };

        usable[i] = is_wanted(cpu, &msrs[i])
            && kvm_vcpu_ioctl(CPU(cpu), KVM_GET_MSRS, &one) == 1;
        if (usable[i] && msrs[i].index == TSC) {
            tsc = i;
        } else if (usable[i]) {
            which[list->info.nmsrs] = i;
            list->entries[list->info.nmsrs++].index = msrs[i].index;
        }
    }
    /* Last, so that it can be left out. */
    which[list->info.nmsrs] = tsc;
    list->entries[list->info.nmsrs].index = TSC;
    return put_feature_msrs(cpu);
}

int kvm_x86_get_msrs(X86CPU *cpu, Error **errp)
{
    CPUX86State *env = &cpu->env;
    MSRBuffer *list = cpu->kvm->msr_read;
    unsigned i, nr = list->info.nmsrs + !env->tsc_valid;
    int ret;

    i = list->info.nmsrs;
    list->info.nmsrs = nr;
    ret = kvm_vcpu_ioctl(CPU(cpu), KVM_GET_MSRS, list);
    list->info.nmsrs = i;
    if (ret < 0 || (unsigned)ret != nr) {
        error_setg(errp, "KVM_GET_MSRS: KVM can't read MSR 0x%x",
                   list->entries[MAX(ret, 0)].index);
        return ret < 0 ? ret : -EINVAL;
    }
    for (i = 0; i < nr; i++) {
        store(env, &msrs[cpu->kvm->msr_read_which[i]], list->entries[i].data);
    }
    /* While the machine stands the TSC is read once, and stands too. */
    env->tsc_valid = !runstate_is_running();
    return 0;
}

/*
 * What came with a machine for registers that this CPU or host does not have: nothing but what they
 * are after a reset can be dropped. Of machine check registers other programs send what they would
 * hold; without machine checks they do not matter.
 */
static bool check_unusable(X86CPU *cpu, Error **errp)
{
    for (unsigned i = 0; i < ARRAY_SIZE(msrs); i++) {
        uint32_t index = msrs[i].index;
        uint64_t value;

        if (cpu->kvm->msr_usable[i] || (index >= 0x400 && index < 0x480) || index == 0x17a
            || index == 0x17b) {
            continue;
        }
        value = load(&cpu->env, &msrs[i]);
        if (value && value != (index == 0x1a0 || index == 0x4b564d05)
            && !(index == 0x9e && value == 0x30000)) {
            error_setg(errp, "MSR 0x%x came with the value 0x%" PRIx64 ", but %s; expected 0",
                       index, value, is_wanted(cpu, &msrs[i])
                       ? "KVM on this host does not have it" : "this CPU has not the feature");
            return false;
        }
    }
    return true;
}

static int put_where(X86CPU *cpu, bool (*chosen)(const MSRInfo *m, int level), int level,
                     Error **errp)
{
    MSRBuffer buf = { .info.nmsrs = 0 };
    unsigned i, done = 0;

    for (i = 0; i < ARRAY_SIZE(msrs); i++) {
        if (cpu->kvm->msr_usable[i] && chosen(&msrs[i], level)) {
            buf.entries[buf.info.nmsrs].index = msrs[i].index;
            buf.entries[buf.info.nmsrs++].data = load(&cpu->env, &msrs[i]);
        }
    }
    while (done < buf.info.nmsrs) {
        MSRBuffer rest = { .info.nmsrs = buf.info.nmsrs - done };
        int ret;

        memcpy(rest.entries, buf.entries + done, rest.info.nmsrs * sizeof(rest.entries[0]));
        ret = kvm_vcpu_ioctl(CPU(cpu), KVM_SET_MSRS, &rest);
        if (ret < 0) {
            error_setg_errno(errp, -ret, "KVM_SET_MSRS");
            return ret;
        }
        done += ret;
        if (done < buf.info.nmsrs) {
            const struct kvm_msr_entry *e = &buf.entries[done];

            if (e->data) {
                error_setg(errp, "KVM_SET_MSRS: KVM refuses the value 0x%" PRIx64 " for MSR 0x%x",
                           (uint64_t)e->data, e->index);
                return -EINVAL;
            }
            done++;
        }
    }
    return 0;
}

static bool is_early(const MSRInfo *m, int level)
{
    return m->level == EARLY;
}

static bool is_late(const MSRInfo *m, int level)
{
    return m->level == LATE;
}

static bool is_at_level(const MSRInfo *m, int level)
{
    return m->level <= level;
}

int kvm_x86_put_early_msrs(X86CPU *cpu, Error **errp)
{
    if (!check_unusable(cpu, errp)) {
        return -ENOTSUP;
    }
    return put_where(cpu, is_early, 0, errp);
}

int kvm_x86_put_late_msrs(X86CPU *cpu, Error **errp)
{
    return put_where(cpu, is_late, 0, errp);
}

int kvm_x86_put_msrs(X86CPU *cpu, int level, Error **errp)
{
    return put_where(cpu, is_at_level, level, errp);
}
