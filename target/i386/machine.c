/*
 * The x86 CPU's state in the stream: section "cpu", version 12, and its subsections.
 *
 * The order, widths and names of the fields here are an interface (see docs/stream-format.md and
 * tests/data/microvm-device-state.txt, which tests/qtest/test_device_state.py holds against this
 * file). A field may be added in a subsection only, and only where its value is not the one that a
 * reset leaves: readers who do not know it refuse the stream.
 *
 * Some fields travel in another form than the one we keep: fpus with the stack's top in it, the
 * tags as bits "in use". They are made in pre_save and taken apart in post_load.
 *
 * SPDX-License-Identifier: GPL-2.0-or-later
 */
#include "qemu/osdep.h"
#include "qemu/cutils.h"
#include "qemu/error-report.h"
#include "cpu.h"
#include "migration/vmstate.h"
#include "system/kvm.h"

static const VMStateDescription vmstate_segment = {
    .name = "segment",
    .version_id = 1,
    .minimum_version_id = 1,
    .fields = (const VMStateField[]) {
        VMSTATE_UINT32(selector, SegmentCache),
        VMSTATE_UINT64(base, SegmentCache),
        VMSTATE_UINT32(limit, SegmentCache),
        VMSTATE_UINT32(flags, SegmentCache),
        VMSTATE_END_OF_LIST()
    },
};

#define VMSTATE_SEGMENT(_f) VMSTATE_STRUCT(_f, X86CPU, 0, vmstate_segment, SegmentCache)

/* One quarter of a vector register. The words' numbers become part of their fields' names. */
#define DEFINE_VECTOR_QUARTER(_var, _name, _first, _second)             \
    static const VMStateDescription _var = {                            \
        .name = _name,                                                  \
        .version_id = 1,                                                \
        .minimum_version_id = 1,                                        \
        .fields = (const VMStateField[]) {                              \
            VMSTATE_UINT64(_q_ZMMReg[_first], ZMMReg),                  \
            VMSTATE_UINT64(_q_ZMMReg[_second], ZMMReg),                 \
            VMSTATE_END_OF_LIST()                                       \
        },                                                              \
    }

DEFINE_VECTOR_QUARTER(vmstate_xmm_reg, "xmm_reg", 0, 1);
DEFINE_VECTOR_QUARTER(vmstate_ymmh_reg, "ymmh_reg", 2, 3);

static const VMStateDescription vmstate_zmmh_reg = {
    .name = "zmmh_reg",
    .version_id = 1,
    .minimum_version_id = 1,
    .fields = (const VMStateField[]) {
        VMSTATE_UINT64(_q_ZMMReg[4], ZMMReg),
        VMSTATE_UINT64(_q_ZMMReg[5], ZMMReg),
        VMSTATE_UINT64(_q_ZMMReg[6], ZMMReg),
        VMSTATE_UINT64(_q_ZMMReg[7], ZMMReg),
        VMSTATE_END_OF_LIST()
    },
};

static const VMStateDescription vmstate_hi16_zmm_reg = {
    .name = "hi16_zmm_reg",
    .version_id = 1,
    .minimum_version_id = 1,
    .fields = (const VMStateField[]) {
        VMSTATE_UINT64(_q_ZMMReg[0], ZMMReg),
        VMSTATE_UINT64(_q_ZMMReg[1], ZMMReg),
        VMSTATE_UINT64(_q_ZMMReg[2], ZMMReg),
        VMSTATE_UINT64(_q_ZMMReg[3], ZMMReg),
        VMSTATE_UINT64(_q_ZMMReg[4], ZMMReg),
        VMSTATE_UINT64(_q_ZMMReg[5], ZMMReg),
        VMSTATE_UINT64(_q_ZMMReg[6], ZMMReg),
        VMSTATE_UINT64(_q_ZMMReg[7], ZMMReg),
        VMSTATE_END_OF_LIST()
    },
};

static const VMStateDescription vmstate_bnd_regs = {
    .name = "bnd_regs",
    .version_id = 1,
    .minimum_version_id = 1,
    .fields = (const VMStateField[]) {
        VMSTATE_UINT64(lb, BNDReg),
        VMSTATE_UINT64(ub, BNDReg),
        VMSTATE_END_OF_LIST()
    },
};

static const VMStateDescription vmstate_mtrr_var = {
    .name = "mtrr_var",
    .version_id = 1,
    .minimum_version_id = 1,
    .fields = (const VMStateField[]) {
        VMSTATE_UINT64(base, MTRRVar),
        VMSTATE_UINT64(mask, MTRRVar),
        VMSTATE_END_OF_LIST()
    },
};

static const VMStateDescription vmstate_lbr_records = {
    .name = "lbr_records_var",
    .version_id = 1,
    .minimum_version_id = 1,
    .fields = (const VMStateField[]) {
        VMSTATE_UINT64(from, LBREntry),
        VMSTATE_UINT64(to, LBREntry),
        VMSTATE_UINT64(info, LBREntry),
        VMSTATE_END_OF_LIST()
    },
};

/* An x87 register goes through a temporary, which is part of how it describes itself. */
typedef struct FPRegTmp {
    FPReg *parent;
    uint64_t tmp_mant;
    uint16_t tmp_exp;
} FPRegTmp;

static int fpreg_tmp_pre_save(void *opaque)
{
    FPRegTmp *t = opaque;

    t->tmp_mant = t->parent->mant;
    t->tmp_exp = t->parent->exp;
    return 0;
}

static int fpreg_tmp_post_load(void *opaque, int version_id)
{
    FPRegTmp *t = opaque;

    t->parent->mant = t->tmp_mant;
    t->parent->exp = t->tmp_exp;
    return 0;
}

static const VMStateDescription vmstate_fpreg_tmp = {
    .name = "fpreg_tmp",
    .pre_save = fpreg_tmp_pre_save,
    .post_load = fpreg_tmp_post_load,
    .fields = (const VMStateField[]) {
        VMSTATE_UINT64(tmp_mant, FPRegTmp),
        VMSTATE_UINT16(tmp_exp, FPRegTmp),
        VMSTATE_END_OF_LIST()
    },
};

static const VMStateDescription vmstate_fpreg = {
    .name = "fpreg",
    .fields = (const VMStateField[]) {
        VMSTATE_WITH_TMP(FPReg, FPRegTmp, vmstate_fpreg_tmp),
        VMSTATE_END_OF_LIST()
    },
};

/*
 * Most subsections hold a few plain words and are needed when one of them is not what it is after
 * a reset. SUBSECTION() makes such a description with its test.
 */
#define SUBSECTION(_id, _name, _when, ...)                              \
    static bool _id##_needed(void *opaque)                              \
    {                                                                   \
        X86CPU *cpu = opaque;                                           \
        CPUX86State *env = &cpu->env;                                   \
        (void)env;                                                      \
        return _when;                                                   \
    }                                                                   \
    static const VMStateDescription vmstate_##_id = {                   \
        .name = "cpu/" _name,                                           \
        .version_id = 1,                                                \
        .minimum_version_id = 1,                                        \
        .needed = _id##_needed,                                         \
        .fields = (const VMStateField[]) {                              \
            __VA_ARGS__,                                                \
            VMSTATE_END_OF_LIST()                                       \
        },                                                              \
    }
#define U64(_f) VMSTATE_UINT64(env._f, X86CPU)
#define U32(_f) VMSTATE_UINT32(env._f, X86CPU)
#define U16(_f) VMSTATE_UINT16(env._f, X86CPU)
#define U8(_f)  VMSTATE_UINT8(env._f, X86CPU)
#define U64_ARRAY(_f, _n) VMSTATE_UINT64_ARRAY(env._f, X86CPU, _n)

static bool nonzero(const void *p, size_t len)
{
    return !buffer_is_zero(p, len);
}
#define NONZERO(_f) nonzero(&env->_f, sizeof(env->_f))

SUBSECTION(async_pf_msr, "async_pf_msr", env->async_pf_en_msr != 0, U64(async_pf_en_msr));
SUBSECTION(async_pf_int_msr, "async_pf_int_msr", env->async_pf_int_msr != 0,
           U64(async_pf_int_msr));
SUBSECTION(pv_eoi_msr, "async_pv_eoi_msr", env->pv_eoi_en_msr != 0, U64(pv_eoi_en_msr));
SUBSECTION(steal_time_msr, "steal_time_msr", env->steal_time_msr != 0, U64(steal_time_msr));
/* Polling is allowed (1) after reset. */
SUBSECTION(poll_control_msr, "poll_control_msr", env->poll_control_msr != 1,
           U64(poll_control_msr));
SUBSECTION(fpop_ip_dp, "fpop_ip_dp", env->fpop || env->fpip || env->fpdp,
           U16(fpop), U64(fpip), U64(fpdp));
SUBSECTION(msr_tsc_adjust, "msr_tsc_adjust", env->tsc_adjust != 0, U64(tsc_adjust));
SUBSECTION(msr_tscdeadline, "msr_tscdeadline", env->tsc_deadline != 0, U64(tsc_deadline));
SUBSECTION(misc_enable, "msr_ia32_misc_enable",
           env->msr_ia32_misc_enable != MSR_IA32_MISC_ENABLE_DEFAULT,
           U64(msr_ia32_misc_enable));
SUBSECTION(feature_control, "msr_ia32_feature_control", env->msr_ia32_feature_control != 0,
           U64(msr_ia32_feature_control));
SUBSECTION(pmu, "msr_architectural_pmu",
           env->msr_fixed_ctr_ctrl || env->msr_global_ctrl || env->msr_global_status ||
           env->msr_global_ovf_ctrl || NONZERO(msr_fixed_counters) || NONZERO(msr_gp_counters) ||
           NONZERO(msr_gp_evtsel),
           U64(msr_fixed_ctr_ctrl), U64(msr_global_ctrl), U64(msr_global_status),
           U64(msr_global_ovf_ctrl), U64_ARRAY(msr_fixed_counters, MAX_FIXED_COUNTERS),
           U64_ARRAY(msr_gp_counters, MAX_GP_COUNTERS),
           U64_ARRAY(msr_gp_evtsel, MAX_GP_COUNTERS));
SUBSECTION(mpx, "mpx",
           NONZERO(bnd_regs) || env->bndcs_regs.cfgu || env->bndcs_regs.sts || env->msr_bndcfgs,
           VMSTATE_STRUCT_ARRAY(env.bnd_regs, X86CPU, 4, 0, vmstate_bnd_regs, BNDReg),
           U64(bndcs_regs.cfgu), U64(bndcs_regs.sts), U64(msr_bndcfgs));

static bool avx512_in_use(const CPUX86State *env)
{
    if (nonzero(env->opmask_regs, sizeof(env->opmask_regs)) ||
        nonzero(&env->xmm_regs[16], 16 * sizeof(ZMMReg))) {
        return true;
    }
    for (int i = 0; i < 16; i++) {
        if (nonzero(&env->xmm_regs[i]._q_ZMMReg[4], 32)) {
            return true;
        }
    }
    return false;
}
SUBSECTION(avx512, "avx512", avx512_in_use(env),
           U64_ARRAY(opmask_regs, 8),
           VMSTATE_STRUCT_SUB_ARRAY(env.xmm_regs, X86CPU, 0, 16, 0, vmstate_zmmh_reg, ZMMReg),
           VMSTATE_STRUCT_SUB_ARRAY(env.xmm_regs, X86CPU, 16, 16, 0, vmstate_hi16_zmm_reg,
                                    ZMMReg));
SUBSECTION(xss, "xss", env->xss != 0, U64(xss));
SUBSECTION(umwait, "umwait", env->umwait != 0, U32(umwait));
SUBSECTION(pkru, "pkru", env->pkru != 0, U32(pkru));
SUBSECTION(pkrs, "pkrs", env->pkrs != 0, U32(pkrs));
SUBSECTION(tsc_khz, "tsc_khz", env->tsc_khz != 0, VMSTATE_INT64(env.tsc_khz, X86CPU));
SUBSECTION(mcg_ext_ctl, "mcg_ext_ctl", (env->mcg_cap & MCG_LMCE_P) && env->mcg_ext_ctl,
           U64(mcg_ext_ctl));
SUBSECTION(spec_ctrl, "spec_ctrl", env->spec_ctrl != 0, U64(spec_ctrl));
SUBSECTION(virt_ssbd, "virt_ssbd", env->virt_ssbd != 0, U64(virt_ssbd));
SUBSECTION(amd_tsc_scale, "amd_tsc_scale_msr", env->amd_tsc_scale_msr != 0,
           U64(amd_tsc_scale_msr));
SUBSECTION(smi_count, "msr_smi_count", env->msr_smi_count != 0, U64(msr_smi_count));
SUBSECTION(hwcr, "msr_hwcr", env->msr_hwcr != 0, U64(msr_hwcr));
SUBSECTION(tsx_ctrl, "msr_tsx_ctrl", env->tsx_ctrl != 0, U32(tsx_ctrl));
SUBSECTION(svm_npt, "svn_npt", env->hflags2 & HF2_NPT_MASK,
           U64(nested_cr3), U32(nested_pg_mode));
SUBSECTION(svm_guest, "svm_guest", env->int_ctl != 0, U32(int_ctl));
SUBSECTION(intel_pt, "intel_pt",
           env->msr_rtit_ctrl || env->msr_rtit_status || env->msr_rtit_output_base ||
           env->msr_rtit_output_mask || env->msr_rtit_cr3_match || NONZERO(msr_rtit_addrs),
           U64(msr_rtit_ctrl), U64(msr_rtit_status), U64(msr_rtit_output_base),
           U64(msr_rtit_output_mask), U64(msr_rtit_cr3_match),
           U64_ARRAY(msr_rtit_addrs, MAX_RTIT_ADDRS));
SUBSECTION(sgx, "intel_sgx", NONZERO(msr_ia32_sgxlepubkeyhash),
           U64_ARRAY(msr_ia32_sgxlepubkeyhash, 4));
SUBSECTION(xfd, "msr_xfd", env->msr_xfd || env->msr_xfd_err, U64(msr_xfd), U64(msr_xfd_err));
SUBSECTION(amx, "intel_amx_xtile", NONZERO(xtilecfg) || NONZERO(xtiledata),
           VMSTATE_UINT8_ARRAY(env.xtilecfg, X86CPU, 64),
           VMSTATE_UINT8_ARRAY(env.xtiledata, X86CPU, 8192));
SUBSECTION(arch_lbr, "arch_lbr", env->msr_lbr_ctl != 0,
           U64(msr_lbr_ctl), U64(msr_lbr_depth),
           VMSTATE_STRUCT_ARRAY(env.lbr_records, X86CPU, ARCH_LBR_NR_ENTRIES, 1,
                                vmstate_lbr_records, LBREntry));
SUBSECTION(hv_hypercall, "msr_hyperv_hypercall",
           env->msr_hv_guest_os_id != 0 || env->msr_hv_hypercall != 0,
           U64(msr_hv_guest_os_id), U64(msr_hv_hypercall));
SUBSECTION(hv_vapic, "msr_hyperv_vapic", env->msr_hv_vapic != 0, U64(msr_hv_vapic));
SUBSECTION(hv_time, "msr_hyperv_time", env->msr_hv_tsc != 0, U64(msr_hv_tsc));
SUBSECTION(hv_crash, "msr_hyperv_crash", NONZERO(msr_hv_crash_params),
           U64_ARRAY(msr_hv_crash_params, 5));
SUBSECTION(hv_runtime, "msr_hyperv_runtime", env->msr_hv_runtime != 0, U64(msr_hv_runtime));
SUBSECTION(hv_synic, "msr_hyperv_synic",
           env->msr_hv_synic_control || env->msr_hv_synic_evt_page || env->msr_hv_synic_msg_page ||
           NONZERO(msr_hv_synic_sint),
           U64(msr_hv_synic_control), U64(msr_hv_synic_evt_page), U64(msr_hv_synic_msg_page),
           U64_ARRAY(msr_hv_synic_sint, 16));
SUBSECTION(hv_stimer, "msr_hyperv_stimer",
           NONZERO(msr_hv_stimer_config) || NONZERO(msr_hv_stimer_count),
           U64_ARRAY(msr_hv_stimer_config, 4), U64_ARRAY(msr_hv_stimer_count, 4));
SUBSECTION(hv_reenlightenment, "msr_hyperv_reenlightenment",
           env->msr_hv_reenlightenment_control || env->msr_hv_tsc_emulation_control ||
           env->msr_hv_tsc_emulation_status,
           U64(msr_hv_reenlightenment_control), U64(msr_hv_tsc_emulation_control),
           U64(msr_hv_tsc_emulation_status));
SUBSECTION(fred, "fred",
           env->fred_rsp0 || env->fred_rsp1 || env->fred_rsp2 || env->fred_rsp3 ||
           env->fred_stklvls || env->fred_ssp1 || env->fred_ssp2 || env->fred_ssp3 ||
           env->fred_config,
           U64(fred_rsp0), U64(fred_rsp1), U64(fred_rsp2), U64(fred_rsp3), U64(fred_stklvls),
           U64(fred_ssp1), U64(fred_ssp2), U64(fred_ssp3), U64(fred_config));
SUBSECTION(triple_fault, "triple_fault", env->triple_fault_pending, U8(triple_fault_pending));
/*
 * Without it a reader takes an exception number for an exception that was injected and has no
 * payload, which is all that older ones know.
 */
SUBSECTION(exception_info, "exception_info",
           env->exception_nr >= 0 && (env->exception_pending || env->exception_has_payload),
           U8(exception_pending), U8(exception_injected), U8(exception_has_payload),
           U64(exception_payload));

static bool pdptrs_needed(void *opaque)
{
    return ((X86CPU *)opaque)->env.pdptrs_valid;
}

static int pdptrs_post_load(void *opaque, int version_id)
{
    ((X86CPU *)opaque)->env.pdptrs_valid = true;
    return 0;
}

static const VMStateDescription vmstate_pdptrs = {
    .name = "cpu/pdptrs",
    .version_id = 1,
    .minimum_version_id = 1,
    .needed = pdptrs_needed,
    .post_load = pdptrs_post_load,
    .fields = (const VMStateField[]) {
        U64_ARRAY(pdptrs, 4),
        VMSTATE_END_OF_LIST()
    },
};

/* ---- the section itself ---- */

static int cpu_pre_save(void *opaque)
{
    X86CPU *cpu = opaque;
    CPUX86State *env = &cpu->env;

    env->fpus_vmstate = (env->fpus & ~0x3800) | (env->fpstt & 7) << 11;
    env->fptag_vmstate = 0;
    for (int i = 0; i < 8; i++) {
        env->fptag_vmstate |= (env->fptags[i] ? 0 : 1) << i;
    }
    env->fpregs_format_vmstate = 0; /* 80 bit registers; nothing else was ever common */
    x86_cpu_update_hflags(env);
    return 0;
}

static int cpu_pre_load(void *opaque)
{
    X86CPU *cpu = opaque;
    CPUX86State *env = &cpu->env;

    /* Subsections that do not come mean these values. */
    env->poll_control_msr = 1;
    env->msr_ia32_misc_enable = MSR_IA32_MISC_ENABLE_DEFAULT;
    env->pdptrs_valid = false;
    env->msr_lbr_ctl = env->msr_lbr_depth = 0;
    env->exception_pending = env->exception_injected = env->exception_has_payload = 0;
    env->exception_payload = 0;
    env->triple_fault_pending = 0;
    return 0;
}

static int cpu_post_load(void *opaque, int version_id)
{
    X86CPU *cpu = opaque;
    CPUX86State *env = &cpu->env;

    if (env->fpregs_format_vmstate != 0) {
        error_report("cpu %d: x87 registers come in form %u, only 0 (80 bits) is known",
                     CPU(cpu)->cpu_index, env->fpregs_format_vmstate);
        return -EINVAL;
    }
    if (env->tsc_khz < 0 || (env->user_tsc_khz && env->tsc_khz &&
                             env->user_tsc_khz != env->tsc_khz)) {
        error_report("cpu %d: the guest's TSC runs at %" PRId64 " kHz, but tsc-frequency says %"
                     PRId64 " kHz here", CPU(cpu)->cpu_index, env->tsc_khz, env->user_tsc_khz);
        return -EINVAL;
    }
    /* Whoever uses the register numbers below as an index counts on their being in range. */
    if (env->interrupt_injected < -1 || env->interrupt_injected > 255 ||
        env->exception_nr < -1 || env->exception_nr > 31 ||
        env->sipi_vector > 255 || env->mp_state > 10) {
        error_report("cpu %d: event numbers out of range (interrupt %d, exception %d, start-up "
                     "vector %u, state %u)", CPU(cpu)->cpu_index, env->interrupt_injected,
                     env->exception_nr, env->sipi_vector, env->mp_state);
        return -EINVAL;
    }

    if ((env->hflags & HF_GUEST_MASK) &&
        !(env->nested_state && (env->nested_state->flags & X86_NESTED_GUEST_MODE))) {
        error_report("cpu %d: hflags 0x%x say that a nested guest runs, but no nested state "
                     "(cpu/nested_state) came with it", CPU(cpu)->cpu_index, env->hflags);
        return -EINVAL;
    }
    if (env->msr_lbr_depth > ARCH_LBR_NR_ENTRIES) {
        error_report("cpu %d: arch_lbr: msr_lbr_depth is %" PRIu64 ", expected at most %d",
                     CPU(cpu)->cpu_index, env->msr_lbr_depth, ARCH_LBR_NR_ENTRIES);
        return -EINVAL;
    }
    if (env->exception_pending > 1 || env->exception_injected > 1 ||
        env->exception_has_payload > 1 || env->triple_fault_pending > 1) {
        error_report("cpu %d: exception_info, triple_fault: flags %u %u %u %u, expected 0 or 1",
                     CPU(cpu)->cpu_index, env->exception_pending, env->exception_injected,
                     env->exception_has_payload, env->triple_fault_pending);
        return -EINVAL;
    }

    env->fpstt = (env->fpus_vmstate >> 11) & 7;
    env->fpus = env->fpus_vmstate & ~0x3800;
    for (int i = 0; i < 8; i++) {
        env->fptags[i] = (env->fptag_vmstate >> i & 1) ? 0 : 1;
    }
    if (env->exception_nr >= 0 && !env->exception_pending) {
        env->exception_injected = 1; /* no exception_info came: all that there used to be */
    }
    env->tsc_valid = true;
    x86_cpu_update_hflags(env);
    return 0;
}

const VMStateDescription vmstate_x86_cpu = {
    .name = "cpu",
    .version_id = 12,
    .minimum_version_id = 11,
    .pre_save = cpu_pre_save,
    .pre_load = cpu_pre_load,
    .post_load = cpu_post_load,
    .fields = (const VMStateField[]) {
        U64_ARRAY(regs, CPU_NB_REGS),
        U64(eip),
        U64(eflags),
        U32(hflags),
        U16(fpuc),
        U16(fpus_vmstate),
        U16(fptag_vmstate),
        U16(fpregs_format_vmstate),
        VMSTATE_STRUCT_ARRAY(env.fpregs, X86CPU, 8, 0, vmstate_fpreg, FPReg),
        VMSTATE_STRUCT_ARRAY(env.segs, X86CPU, 6, 0, vmstate_segment, SegmentCache),
        VMSTATE_SEGMENT(env.ldt),
        VMSTATE_SEGMENT(env.tr),
        VMSTATE_SEGMENT(env.gdt),
        VMSTATE_SEGMENT(env.idt),
        U32(sysenter_cs),
        U64(sysenter_esp),
        U64(sysenter_eip),
        U64(cr[0]),
        U64(cr[2]),
        U64(cr[3]),
        U64(cr[4]),
        U64_ARRAY(dr, 8),
        VMSTATE_INT32(env.a20_mask, X86CPU),
        U32(mxcsr),
        VMSTATE_STRUCT_SUB_ARRAY(env.xmm_regs, X86CPU, 0, 16, 0, vmstate_xmm_reg, ZMMReg),
        U64(efer),
        U64(star),
        U64(lstar),
        U64(cstar),
        U64(fmask),
        U64(kernelgsbase),
        U32(smbase),
        U64(pat),
        U32(hflags2),
        U64(vm_hsave),
        U64(vm_vmcb),
        U64(tsc_offset),
        U64(intercept),
        U16(intercept_cr_read),
        U16(intercept_cr_write),
        U16(intercept_dr_read),
        U16(intercept_dr_write),
        U32(intercept_exceptions),
        U8(v_tpr),
        U64_ARRAY(mtrr_fixed, 11),
        U64(mtrr_deftype),
        VMSTATE_STRUCT_ARRAY(env.mtrr_var, X86CPU, MSR_MTRRcap_VCNT, 8, vmstate_mtrr_var,
                             MTRRVar),
        VMSTATE_INT32(env.interrupt_injected, X86CPU),
        U32(mp_state),
        U64(tsc),
        VMSTATE_INT32(env.exception_nr, X86CPU),
        U8(soft_interrupt),
        U8(nmi_injected),
        U8(nmi_pending),
        U8(has_error_code),
        U32(sipi_vector),
        U64(mcg_cap),
        U64(mcg_status),
        U64(mcg_ctl),
        U64_ARRAY(mce_banks, MCE_BANKS_DEF * 4),
        U64(tsc_aux),
        U64(system_time_msr),
        U64(wall_clock_msr),
        VMSTATE_UINT64_V(env.xcr0, X86CPU, 12),
        VMSTATE_UINT64_V(env.xstate_bv, X86CPU, 12),
        VMSTATE_STRUCT_SUB_ARRAY(env.xmm_regs, X86CPU, 0, 16, 12, vmstate_ymmh_reg, ZMMReg),
        VMSTATE_END_OF_LIST()
    },
    /* Their order is what other programs write; readers take them in any. */
    .subsections = (const VMStateDescription *const[]) {
        &vmstate_exception_info,
        &vmstate_async_pf_msr,
        &vmstate_async_pf_int_msr,
        &vmstate_pv_eoi_msr,
        &vmstate_steal_time_msr,
        &vmstate_poll_control_msr,
        &vmstate_fpop_ip_dp,
        &vmstate_msr_tsc_adjust,
        &vmstate_msr_tscdeadline,
        &vmstate_misc_enable,
        &vmstate_feature_control,
        &vmstate_pmu,
        &vmstate_mpx,
        &vmstate_hv_hypercall,
        &vmstate_hv_vapic,
        &vmstate_hv_time,
        &vmstate_hv_crash,
        &vmstate_hv_runtime,
        &vmstate_hv_synic,
        &vmstate_hv_stimer,
        &vmstate_hv_reenlightenment,
        &vmstate_avx512,
        &vmstate_xss,
        &vmstate_umwait,
        &vmstate_tsc_khz,
        &vmstate_smi_count,
        &vmstate_pkru,
        &vmstate_pkrs,
        &vmstate_spec_ctrl,
        &vmstate_amd_tsc_scale,
        &vmstate_mcg_ext_ctl,
        &vmstate_intel_pt,
        &vmstate_virt_ssbd,
        &vmstate_svm_npt,
        &vmstate_svm_guest,
        &vmstate_x86_nested_state,
        &vmstate_tsx_ctrl,
        &vmstate_sgx,
        &vmstate_pdptrs,
        &vmstate_xfd,
        &vmstate_hwcr,
        &vmstate_fred,
        &vmstate_amx,
        &vmstate_arch_lbr,
        &vmstate_triple_fault,
        NULL
    },
};
