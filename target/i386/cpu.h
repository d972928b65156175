/*
 * The x86 CPU: its registers as this program keeps them while the CPU is stopped, its features, and
 * the functions with which accelerators and machines handle them.
 *
 * The layout in memory is ours; what travels in the stream is laid down in machine.c alone.
 * CPUX86State is accelerator-neutral: kvm/ fills it from the kernel, accel/tcg/ from libunicorn.
 *
 * Locking: as CPUState's (hw/core/cpu.h): the vCPU's thread while it runs, the BQL while it stands.
 *
 * SPDX-License-Identifier: GPL-2.0-or-later
 */
#ifndef TARGET_I386_CPU_H
#define TARGET_I386_CPU_H

#include "qemu/osdep.h"
#include "hw/core/cpu.h"

#define TYPE_X86_CPU "x86_64-cpu"
#define X86_CPU_TYPE_SUFFIX "-" TYPE_X86_CPU
#define X86_CPU_TYPE_NAME(name) (name X86_CPU_TYPE_SUFFIX)
#define CPU_RESOLVING_TYPE TYPE_X86_CPU
OBJECT_DECLARE_TYPE(X86CPU, X86CPUClass, X86_CPU)

/* General registers, in the order of the instruction encoding. */
enum {
    R_EAX, R_ECX, R_EDX, R_EBX, R_ESP, R_EBP, R_ESI, R_EDI,
    R_R8, R_R9, R_R10, R_R11, R_R12, R_R13, R_R14, R_R15,
    CPU_NB_REGS,
};
enum { R_ES, R_CS, R_SS, R_DS, R_FS, R_GS };

/* Segment flags: the upper word of a descriptor. */
#define DESC_G_MASK    (1u << 23)
#define DESC_B_MASK    (1u << 22)
#define DESC_L_MASK    (1u << 21)
#define DESC_AVL_MASK  (1u << 20)
#define DESC_P_MASK    (1u << 15)
#define DESC_DPL_SHIFT 13
#define DESC_DPL_MASK  (3u << DESC_DPL_SHIFT)
#define DESC_S_MASK    (1u << 12)
#define DESC_TYPE_SHIFT 8
#define DESC_TYPE_MASK (15u << DESC_TYPE_SHIFT)
#define DESC_A_MASK    (1u << 8)
#define DESC_W_MASK    (1u << 9)
#define DESC_R_MASK    (1u << 9)
#define DESC_CS_MASK   (1u << 11)

/* eflags */
#define CC_C    0x00000001u
#define TF_MASK 0x00000100u
#define IF_MASK 0x00000200u
#define DF_MASK 0x00000400u
#define IOPL_MASK 0x00003000u
#define RF_MASK 0x00010000u
#define VM_MASK 0x00020000u
#define AC_MASK 0x00040000u

/* hflags: derived from the registers (x86_cpu_update_hflags); the numbers travel in the stream. */
#define HF_CPL_MASK         (3u << 0)
#define HF_INHIBIT_IRQ_MASK (1u << 3)
#define HF_CS32_MASK        (1u << 4)
#define HF_SS32_MASK        (1u << 5)
#define HF_ADDSEG_MASK      (1u << 6)
#define HF_PE_MASK          (1u << 7)
#define HF_TF_MASK          (1u << 8)
#define HF_MP_MASK          (1u << 9)
#define HF_EM_MASK          (1u << 10)
#define HF_TS_MASK          (1u << 11)
#define HF_IOPL_MASK        (3u << 12)
#define HF_LMA_MASK         (1u << 14)
#define HF_CS64_MASK        (1u << 15)
#define HF_RF_MASK          (1u << 16)
#define HF_VM_MASK          (1u << 17)
#define HF_AC_MASK          (1u << 18)
#define HF_SMM_MASK         (1u << 19)
#define HF_SVME_MASK        (1u << 20)
#define HF_GUEST_MASK       (1u << 21)
#define HF_OSFXSR_MASK      (1u << 22)
#define HF_SMAP_MASK        (1u << 23)
#define HF_UMIP_MASK        (1u << 27)
#define HF_AVX_EN_MASK      (1u << 28)

#define HF2_GIF_MASK            (1u << 0)
#define HF2_HIF_MASK            (1u << 1)
#define HF2_NMI_MASK            (1u << 2)
#define HF2_VINTR_MASK          (1u << 3)
#define HF2_SMM_INSIDE_NMI_MASK (1u << 4)
#define HF2_NPT_MASK            (1u << 6)
#define HF2_VGIF_MASK           (1u << 8)

#define CR0_PE_MASK (1u << 0)
#define CR0_MP_MASK (1u << 1)
#define CR0_EM_MASK (1u << 2)
#define CR0_TS_MASK (1u << 3)
#define CR0_ET_MASK (1u << 4)
#define CR0_NE_MASK (1u << 5)
#define CR0_WP_MASK (1u << 16)
#define CR0_AM_MASK (1u << 18)
#define CR0_NW_MASK (1u << 29)
#define CR0_CD_MASK (1u << 30)
#define CR0_PG_MASK (1u << 31)
#define CR4_PAE_MASK     (1u << 5)
#define CR4_OSFXSR_MASK  (1u << 9)
#define CR4_UMIP_MASK    (1u << 11)
#define CR4_LA57_MASK    (1u << 12)
#define CR4_OSXSAVE_MASK (1u << 18)
#define CR4_SMAP_MASK    (1u << 21)

#define DR6_FIXED_1 0xffff0ff0u
#define DR7_FIXED_1 0x00000400u

#define MSR_EFER_SCE  (1u << 0)
#define MSR_EFER_LME  (1u << 8)
#define MSR_EFER_LMA  (1u << 10)
#define MSR_EFER_NXE  (1u << 11)
#define MSR_EFER_SVME (1u << 12)

#define MSR_IA32_APICBASE_BSP    (1u << 8)
#define MSR_IA32_APICBASE_EXTD   (1u << 10)
#define MSR_IA32_APICBASE_ENABLE (1u << 11)
#define APIC_DEFAULT_ADDRESS     0xfee00000u
#define APIC_SPACE_SIZE          0x100000u

#define MSR_IA32_MISC_ENABLE_DEFAULT 1
#define MSR_IA32_MISC_ENABLE_MWAIT   (1ull << 18)

#define MSR_MTRRcap_VCNT 8
#define MCE_BANKS_DEF 10
#define MCG_CTL_P (1ull << 8)
#define MCG_SER_P (1ull << 24)
#define MCG_LMCE_P (1ull << 27)
#define MCE_CAP_DEF (MCG_CTL_P | MCG_SER_P)

#define MAX_FIXED_COUNTERS 3
#define MAX_GP_COUNTERS    18
#define MAX_RTIT_ADDRS     8
#define ARCH_LBR_NR_ENTRIES 32

#define CPU_INTERRUPT_POLL CPU_INTERRUPT_TGT_EXT_1
#define CPU_INTERRUPT_SMI  CPU_INTERRUPT_TGT_EXT_2
#define CPU_INTERRUPT_NMI  CPU_INTERRUPT_TGT_EXT_3
#define CPU_INTERRUPT_MCE  CPU_INTERRUPT_TGT_EXT_4
#define CPU_INTERRUPT_VIRQ CPU_INTERRUPT_TGT_INT_0
#define CPU_INTERRUPT_SIPI CPU_INTERRUPT_TGT_INT_1
#define CPU_INTERRUPT_TPR  CPU_INTERRUPT_TGT_INT_2
#define CPU_INTERRUPT_INIT CPU_INTERRUPT_RESET

/* mp_state; the numbers are KVM's and travel in the stream. */
#define X86_MP_STATE_RUNNABLE      0
#define X86_MP_STATE_UNINITIALIZED 1
#define X86_MP_STATE_INIT_RECEIVED 2
#define X86_MP_STATE_HALTED        3
#define X86_MP_STATE_SIPI_RECEIVED 4

/* Bits of XCR0 and of an XSAVE header. */
#define XSTATE_FP_BIT         0
#define XSTATE_SSE_BIT        1
#define XSTATE_YMM_BIT        2
#define XSTATE_BNDREGS_BIT    3
#define XSTATE_BNDCSR_BIT     4
#define XSTATE_OPMASK_BIT     5
#define XSTATE_ZMM_Hi256_BIT  6
#define XSTATE_Hi16_ZMM_BIT   7
#define XSTATE_PKRU_BIT       9
#define XSTATE_XTILE_CFG_BIT  17
#define XSTATE_XTILE_DATA_BIT 18
#define XSTATE_FP_MASK (1ull << XSTATE_FP_BIT)
#define XSTATE_SSE_MASK (1ull << XSTATE_SSE_BIT)
#define XSTATE_YMM_MASK (1ull << XSTATE_YMM_BIT)
#define X86_XSAVE_COMPONENTS 19

typedef struct SegmentCache {
    uint32_t selector;
    uint64_t base;
    uint32_t limit;             /* bytes - 1, granularity applied */
    uint32_t flags;             /* DESC_* */
} SegmentCache;

typedef struct {
    uint64_t mant;
    uint16_t exp;               /* sign in bit 15 */
} FPReg;

typedef struct {
    uint64_t _q_ZMMReg[8];      /* lowest 64 bits first */
} ZMMReg;

typedef struct {
    uint64_t base, mask;
} MTRRVar;

typedef struct {
    uint64_t lb, ub;
} BNDReg;

typedef struct {
    uint64_t cfgu, sts;
} BNDCSReg;

typedef struct {
    uint64_t from, to, info;
} LBREntry;

/* Words of feature bits; which CPUID output or MSR each is stands in cpu-tables.c. */
typedef enum {
    FEAT_1_EDX, FEAT_1_ECX, FEAT_7_0_EBX, FEAT_7_0_ECX, FEAT_7_0_EDX, FEAT_7_1_EAX,
    FEAT_8000_0001_EDX, FEAT_8000_0001_ECX, FEAT_8000_0007_EBX, FEAT_8000_0007_EDX,
    FEAT_8000_0008_EBX, FEAT_8000_0021_EAX, FEAT_8000_0021_EBX, FEAT_8000_0022_EAX,
    FEAT_C000_0001_EDX, FEAT_KVM, FEAT_KVM_HINTS, FEAT_8000_000A_EDX, FEAT_XSAVE, FEAT_6_EAX,
    FEAT_XSAVE_XCR0_LO, FEAT_XSAVE_XCR0_HI, FEAT_ARCH_CAPABILITIES, FEAT_CORE_CAPABILITY,
    FEAT_PERF_CAPABILITIES, FEAT_14_0_ECX, FEAT_SGX_12_0_EAX, FEAT_SGX_12_0_EBX,
    FEAT_SGX_12_1_EAX, FEAT_XSAVE_XSS_LO, FEAT_XSAVE_XSS_HI, FEAT_7_1_EDX, FEAT_7_2_EDX,
    FEAT_24_0_EBX,
    FEATURE_WORDS,
} FeatureWord;
typedef uint32_t FeatureWordArray[FEATURE_WORDS];

/* A nested hypervisor's state as the kernel hands it out; freed with the CPU. */
typedef struct X86NestedState {
    uint16_t flags;
    uint16_t format;            /* 0 VMX, 1 SVM */
    uint32_t size;              /* bytes in use, the header's 128 among them */
    uint8_t hdr[120];
    uint8_t data[2 * 4096];
} X86NestedState;
#define X86_NESTED_HDR_SIZE 128u
#define X86_NESTED_GUEST_MODE  (1u << 0)    /* numbers of the kernel's ABI */
#define X86_NESTED_KNOWN_FLAGS 0x10fu       /* guest mode, run pending, evmcs, mtf, GIF */

typedef struct CPUArchState {
    /* ---- general ---- */
    uint64_t regs[CPU_NB_REGS];
    uint64_t eip;
    uint64_t eflags;
    uint32_t hflags;            /* derived: HF_* */
    uint32_t hflags2;
    SegmentCache segs[6];
    SegmentCache ldt, tr, gdt, idt; /* gdt, idt: only base and limit */
    uint64_t cr[5];             /* 1 is unused */
    uint64_t dr[8];
    int32_t a20_mask;
    uint64_t pdptrs[4];
    bool pdptrs_valid;

    /* ---- FPU, vectors ---- */
    uint32_t fpstt;             /* top of the stack */
    uint16_t fpus;              /* without the top */
    uint16_t fpuc;
    uint8_t fptags[8];          /* 0 valid, 1 empty; by physical register */
    FPReg fpregs[8];            /* by physical register */
    uint16_t fpop;
    uint64_t fpip, fpdp;
    uint32_t mxcsr;
    ZMMReg xmm_regs[32];
    uint64_t opmask_regs[8];
    BNDReg bnd_regs[4];
    BNDCSReg bndcs_regs;
    uint32_t pkru, pkrs;
    uint8_t xtilecfg[64];
    uint8_t xtiledata[8192];
    uint64_t xcr0, xstate_bv;

    /* ---- as they travel; filled by machine.c only ---- */
    uint16_t fpus_vmstate, fptag_vmstate, fpregs_format_vmstate;

    /* ---- MSRs ---- */
    uint32_t sysenter_cs;
    uint64_t sysenter_esp, sysenter_eip;
    uint64_t efer, star, lstar, cstar, fmask, kernelgsbase;
    uint64_t vm_hsave, pat;
    uint64_t tsc, tsc_adjust, tsc_deadline, tsc_aux, xss;
    bool tsc_valid;             /* taken since the machine stopped: stands still until it goes on */
    uint64_t system_time_msr, wall_clock_msr, steal_time_msr;
    uint64_t async_pf_en_msr, async_pf_int_msr, pv_eoi_en_msr, poll_control_msr;
    uint64_t msr_ia32_misc_enable, msr_ia32_feature_control, msr_smi_count;
    uint64_t msr_fixed_ctr_ctrl, msr_global_ctrl, msr_global_status, msr_global_ovf_ctrl;
    uint64_t msr_fixed_counters[MAX_FIXED_COUNTERS];
    uint64_t msr_gp_counters[MAX_GP_COUNTERS];
    uint64_t msr_gp_evtsel[MAX_GP_COUNTERS];
    uint64_t msr_bndcfgs;
    uint64_t msr_rtit_ctrl, msr_rtit_status, msr_rtit_output_base, msr_rtit_output_mask;
    uint64_t msr_rtit_cr3_match, msr_rtit_addrs[MAX_RTIT_ADDRS];
    uint64_t msr_lbr_ctl, msr_lbr_depth;
    LBREntry lbr_records[ARCH_LBR_NR_ENTRIES];
    uint64_t msr_xfd, msr_xfd_err;
    uint64_t fred_rsp0, fred_rsp1, fred_rsp2, fred_rsp3, fred_stklvls;
    uint64_t fred_ssp1, fred_ssp2, fred_ssp3, fred_config;
    uint64_t msr_hv_guest_os_id, msr_hv_hypercall, msr_hv_vapic, msr_hv_tsc, msr_hv_runtime;
    uint64_t msr_hv_crash_params[5];
    uint64_t msr_hv_synic_control, msr_hv_synic_evt_page, msr_hv_synic_msg_page;
    uint64_t msr_hv_synic_sint[16];
    uint64_t msr_hv_stimer_config[4], msr_hv_stimer_count[4];
    uint64_t msr_hv_reenlightenment_control;
    uint64_t msr_hv_tsc_emulation_control, msr_hv_tsc_emulation_status;
    uint64_t msr_ia32_sgxlepubkeyhash[4];
    uint64_t spec_ctrl, virt_ssbd, amd_tsc_scale_msr, msr_hwcr;
    uint32_t tsx_ctrl, umwait, smbase;
    uint64_t mtrr_fixed[11], mtrr_deftype;
    MTRRVar mtrr_var[MSR_MTRRcap_VCNT];
    uint64_t mcg_cap, mcg_status, mcg_ctl, mcg_ext_ctl;
    uint64_t mce_banks[MCE_BANKS_DEF * 4]; /* ctl, status, addr, misc of each */

    /* ---- nested virtualisation of TCG's kind: kept for the stream's sake ---- */
    uint64_t vm_vmcb, tsc_offset, intercept, nested_cr3;
    uint32_t nested_pg_mode, int_ctl;
    uint16_t intercept_cr_read, intercept_cr_write, intercept_dr_read, intercept_dr_write;
    uint32_t intercept_exceptions;
    uint8_t v_tpr;

    /* ---- events under way ---- */
    int32_t interrupt_injected; /* vector, -1: none */
    uint8_t soft_interrupt;
    uint32_t mp_state;          /* X86_MP_STATE_* */
    int32_t exception_nr;       /* -1: none */
    uint8_t exception_pending, exception_injected, has_error_code, exception_has_payload;
    uint32_t error_code;
    uint64_t exception_payload;
    uint8_t nmi_injected, nmi_pending, triple_fault_pending;
    uint32_t sipi_vector;
    uint32_t ins_len;
    X86NestedState *nested_state; /* NULL: the kernel has none */

    /* ---- set when the CPU is realized, constant afterwards ---- */
    int64_t tsc_khz;            /* 0: not known. The stream may bring it */
    int64_t user_tsc_khz;       /* from the command line; 0: not given */
    uint32_t cpuid_level, cpuid_xlevel, cpuid_xlevel2; /* UINT32_MAX: not set; realize sets them */
    uint32_t cpuid_min_level, cpuid_min_xlevel, cpuid_min_xlevel2, cpuid_level_func7;
    uint32_t cpuid_version;     /* leaf 1's EAX: family, model, stepping */
    uint32_t cpuid_vendor[3];   /* EBX, EDX, ECX */
    uint32_t cpuid_model[12];   /* the model's name */
    FeatureWordArray features;
    FeatureWordArray user_features; /* which bits the user set or cleared */
} CPUX86State;

struct X86CPU {
    CPUState parent_obj;

    CPUX86State env;

    /* Properties. */
    uint32_t apic_id;           /* UINT32_MAX: not set */
    bool enforce_cpuid, check_cpuid, expose_kvm, migratable, kvm_pv_eoi;
    bool enable_pmu, enable_lmce, l3_cache, legacy_cache, full_cpuid_auto_level, host_phys_bits;
    bool force_features, cpuid_0xb, vmware_cpuid_freq, fill_mtrr_mask;
    uint32_t phys_bits, guest_phys_bits, host_phys_bits_limit; /* 0, UINT32_MAX: not set */
    uint8_t avx10_version;
    FeatureWordArray filtered_features; /* asked for, and not to be had: not in env.features */
    bool features_expanded;

    /* A local APIC, in the kernel or ours; NULL: none. Set when realized. */
    DeviceState *apic_state;

    /* kvm/ keeps its lists here. */
    struct X86KVMState *kvm;
};

typedef struct X86CPUDefinition X86CPUDefinition; /* cpu-models.h */

struct X86CPUClass {
    CPUClass parent_class;
    const X86CPUDefinition *model; /* NULL: "base", or what the accelerator has */
    const char *alias_of;       /* a name that stands for a model: x86_cpu_class_model() */
    bool host_features;         /* "max" and "host" */
    bool host_cpuid_required;
    DeviceRealize parent_realize;
    ResettablePhases parent_phases;
};

static inline CPUX86State *cpu_env(CPUState *cs)
{
    return &X86_CPU(cs)->env;
}
#define env_archcpu(e) container_of((e), X86CPU, env)
#define env_cpu(e)     ((CPUState *)env_archcpu(e))

/* ---- cpu.c ---- */

/** The state after power-on; the caller tells the accelerator. */
void x86_cpu_reset_state(X86CPU *cpu);
/** After INIT: like reset, but FPU, MTRR and MSRs stay; APs wait for a start-up IPI. */
void do_cpu_init(X86CPU *cpu);
/** Start-up IPI: run at @cpu->env.sipi_vector. */
void do_cpu_sipi(X86CPU *cpu);
/** Recompute env->hflags from segments, cr0, cr4, efer and eflags. */
void x86_cpu_update_hflags(CPUX86State *env);
/** Is this the CPU that starts by itself? */
bool cpu_is_bsp(X86CPU *cpu);
/** CPUClass.dump_state (cpu-dump.c). */
void x86_cpu_dump_state(CPUState *cs, GString *out, int flags);
/** Load a segment register's hidden part. Keeps hflags in step. */
void cpu_x86_load_seg_cache(CPUX86State *env, int seg, unsigned selector, uint64_t base,
                            uint32_t limit, uint32_t flags);
/**
 * Makes a CPU's local APIC where the kernel does not: set by the machine before it makes CPUs. The
 * result becomes apic_state.
 */
extern DeviceState *(*x86_cpu_apic_create)(X86CPU *cpu);
/** The model that a class stands for on this machine; NULL for base, max and host. */
const X86CPUDefinition *x86_cpu_class_model(const X86CPUClass *xcc);
/** Set every A20 mask (-1, or ~(1 << 20)). */
void x86_cpu_set_a20(X86CPU *cpu, bool on);

extern const VMStateDescription vmstate_x86_cpu;
/* Part of it: a nested hypervisor's state, in machine-nested.c. */
extern const VMStateDescription vmstate_x86_nested_state;

/* ---- cpu-features.c ---- */

/** "sse2", or NULL for a bit without a name. */
const char *x86_feature_name(FeatureWord w, int bit);
/** Finds a feature by its name or another spelling of it; NULL @canonical: not wanted. */
bool x86_feature_by_name(const char *name, FeatureWord *w, int *bit, const char **canonical);
/** Features that this accelerator and host can give. */
void x86_cpu_supported_features(FeatureWordArray out);
/** microvm takes the latest version of models, and the host's physical address bits. */
bool x86_machine_is_microvm(void);
/** Names of what was asked for and can't be had (expanded and filtered CPUs). To be freed. */
struct strList *x86_cpu_unavailable_features(X86CPU *cpu);
/** The state of a new instance: the model's, with what the accelerator changes of it. */
void x86_cpu_load_model(X86CPU *cpu);
/** Settles what follows from properties: dependent words, levels. Does not ask the host. */
bool x86_cpu_expand_features(X86CPU *cpu, Error **errp);
/**
 * Moves what can't be had here to filtered_features. @verbose: says so for each. True: nothing
 * was missing.
 */
bool x86_cpu_filter_features(X86CPU *cpu, bool verbose);
/** How errors and warnings name a bit: "CPUID.01H:ECX.sse3 [bit 0]". To be freed. */
char *x86_feature_description(FeatureWord w, int bit);
/** AMD's processors and those made after them. */
bool x86_cpu_is_amd(const CPUX86State *env);
/** "AuthenticAMD" etc.; @out has 13 bytes. */
void x86_cpu_vendor_string(const CPUX86State *env, char *out);

/* ---- cpu-properties.c ---- */

/** Adds a class's properties for features and identity. */
void x86_cpu_add_properties(ObjectClass *oc);
/** -cpu MODEL,@str: what stands behind the model's name. */
void x86_cpu_parse_features(const char *typename, char *str, Error **errp);

/* ---- cpu-cpuid.c ---- */

/** The bits that the guest may set in XCR0; 0 without XSAVE. */
uint64_t x86_cpu_xcr0_supported(CPUX86State *env);
/** CPUID as a guest of this CPU sees it. @count: sub-leaf (ECX). */
void cpu_x86_cpuid(CPUX86State *env, uint32_t index, uint32_t count, uint32_t *eax, uint32_t *ebx,
                   uint32_t *ecx, uint32_t *edx);
/** The processor that runs this program: EAX, EBX, ECX, EDX. Costly under virtualisation. */
void x86_host_cpuid(uint32_t leaf, uint32_t subleaf, uint32_t out[4]);
/** Physical address bits, as the CPU's owner wants them. 0 and @errp: can't be. */
uint32_t x86_cpu_effective_phys_bits(X86CPU *cpu, Error **errp);

/* ---- interrupts, where they are not the kernel's: hw/i386 and hw/intc ---- */

/**
 * The vector that the CPU takes now, local APIC's or PIC's, acknowledged; -1: none after all.
 * BQL.
 */
int cpu_get_pic_interrupt(CPUX86State *env);

#endif
