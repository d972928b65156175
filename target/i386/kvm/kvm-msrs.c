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

static uint64_t beyond_physical(CPUX86State *env)
{
    uint32_t a, b, c, d;

    cpu_x86_cpuid(env, 0x80000008, 0, &a, &b, &c, &d);
    a = CLAMP(a & 0xff, 32, 52);
    return ((UINT64_C(1) << 52) - 1) & ~((UINT64_C(1) << a) - 1);
}

static uint64_t load(CPUX86State *env, const MSRInfo *m)
{
    void *p = (uint8_t *)env + m->offset;

    switch (m->kind) {
    case WORD32:
        return *(uint32_t *)p;
    case MTRR_MASK:
        return *(uint64_t *)p & ~beyond_physical(env);
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
        *(uint64_t *)p = value | beyond_physical(env);
        break;
    default:
        *(uint64_t *)p = value;
        break;
    }
}

/*
 * Machine check registers exist only where there are machine checks. The kernel gives the ratio
 * of a nested guest's TSC to CPUs without the feature too, but others who read the stream know it
 * of CPUs with it only.
 */
static bool is_wanted(const CPUX86State *env, const MSRInfo *m)
{
    bool mce = (m->index >= 0x400 && m->index < 0x480) || m->index == 0x17a || m->index == 0x17b;

    if (m->index == AMD_TSC_RATIO) {
        return env->features[FEAT_8000_000A_EDX] & (1u << 4);
    }
    return !mce || env->mcg_cap;
}

int kvm_x86_init_msrs(X86CPU *cpu)
{
    unsigned i;

    cpu->kvm->msr_usable = g_new0(bool, ARRAY_SIZE(msrs));
    for (i = 0; i < ARRAY_SIZE(msrs); i++) {
        struct {
            MSRHeader info;
            struct kvm_msr_entry entry;
        } one = { .info.nmsrs = 1, .entry.index = msrs[i].index };

        cpu->kvm->msr_usable[i] = is_wanted(&cpu->env, &msrs[i])
            && kvm_vcpu_ioctl(CPU(cpu), KVM_GET_MSRS, &one) == 1;
    }
    return 0;
}

int kvm_x86_get_msrs(X86CPU *cpu, Error **errp)
{
    CPUX86State *env = &cpu->env;
    MSRBuffer buf = { .info.nmsrs = 0 };
    unsigned which[ARRAY_SIZE(msrs)], i;
    int ret;

    for (i = 0; i < ARRAY_SIZE(msrs); i++) {
        if (!cpu->kvm->msr_usable[i] || (msrs[i].index == TSC && env->tsc_valid)) {
            continue;
        }
        which[buf.info.nmsrs] = i;
        buf.entries[buf.info.nmsrs++].index = msrs[i].index;
    }
    ret = kvm_vcpu_ioctl(CPU(cpu), KVM_GET_MSRS, &buf);
    if (ret < 0 || (unsigned)ret != buf.info.nmsrs) {
        error_setg(errp, "KVM can't read MSR 0x%x",
                   ret < 0 ? buf.entries[0].index : buf.entries[ret].index);
        return ret < 0 ? ret : -EINVAL;
    }
    for (i = 0; i < buf.info.nmsrs; i++) {
        store(env, &msrs[which[i]], buf.entries[i].data);
    }
    /* While the machine stands the TSC is read once, and stands too. */
    env->tsc_valid = !runstate_is_running();
    return 0;
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
            error_setg_errno(errp, -ret, "KVM does not take MSRs");
            return ret;
        }
        done += ret;
        if (done < buf.info.nmsrs) {
            const struct kvm_msr_entry *e = &buf.entries[done];

            if (e->data) {
                error_setg(errp, "KVM refuses the value 0x%" PRIx64 " for MSR 0x%x",
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
