/*
 * The x86 CPU as a device: types and options, making one, reset and start-up IPIs, and what follows
 * from its registers (hflags, translation of addresses, a dump of them).
 *
 * SPDX-License-Identifier: GPL-2.0-or-later
 */
#include "qemu/osdep.h"
#include "cpu.h"
#include "cpu-models.h"
#include "hw/boards.h"
#include "hw/i386/kvm_irqchip.h"
#include "hw/qdev-properties.h"
#include "kvm/kvm_i386.h"
#include "qapi/visitor.h"
#include "qemu/bitops.h"
#include "qemu/cutils.h"
#include "qemu/error-report.h"
#include "system/cpus.h"
#include "system/kvm.h"

/* -- State ----------------------------------------------------------------------------------- */

void x86_cpu_update_hflags(CPUX86State *env)
{
    uint32_t keep = HF_INHIBIT_IRQ_MASK | HF_SMM_MASK | HF_SVME_MASK | HF_GUEST_MASK;
    uint32_t f = env->hflags & keep;
    bool pe = env->cr[0] & CR0_PE_MASK, vm = env->eflags & VM_MASK;

    f |= (env->segs[R_SS].flags >> DESC_DPL_SHIFT) & HF_CPL_MASK;
    if (pe) {
        f |= HF_PE_MASK;
    } else {
        f &= ~HF_CPL_MASK;
    }
    /* MP, EM and TS stand next to each other in both words. */
    f |= (env->cr[0] & (CR0_MP_MASK | CR0_EM_MASK | CR0_TS_MASK)) << 8;
    f |= env->eflags & (TF_MASK | VM_MASK | IOPL_MASK);
    if (env->cr[4] & CR4_OSFXSR_MASK) {
        f |= HF_OSFXSR_MASK;
    }
    if (env->efer & MSR_EFER_LMA) {
        f |= HF_LMA_MASK;
    }
    if ((f & HF_LMA_MASK) && (env->segs[R_CS].flags & DESC_L_MASK)) {
        f |= HF_CS32_MASK | HF_SS32_MASK | HF_CS64_MASK;
    } else {
        f |= env->segs[R_CS].flags & DESC_B_MASK ? HF_CS32_MASK : 0;
        f |= env->segs[R_SS].flags & DESC_B_MASK ? HF_SS32_MASK : 0;
        if (!pe || vm || !(f & HF_CS32_MASK)) {
            f |= HF_ADDSEG_MASK;
        } else if (env->segs[R_DS].base || env->segs[R_ES].base || env->segs[R_SS].base) {
            f |= HF_ADDSEG_MASK;
        }
    }
    env->hflags = f;
}

void cpu_x86_load_seg_cache(CPUX86State *env, int seg, unsigned selector, uint64_t base,
                            uint32_t limit, uint32_t flags)
{
    env->segs[seg] = (SegmentCache) {
        .selector = selector,
        .base = base,
        .limit = limit,
        .flags = flags,
    };
    x86_cpu_update_hflags(env);
}

bool cpu_is_bsp(X86CPU *cpu)
{
    return cpu->apic_id == 0;
}

void x86_cpu_set_a20(X86CPU *cpu, bool on)
{
    int32_t mask = on ? -1 : ~(1 << 20);

    if (cpu->env.a20_mask != mask) {
        cpu->env.a20_mask = mask;
        cpu_exit(CPU(cpu));
    }
}

/* What INIT clears as well as power-on. */
static void reset_core(CPUX86State *env)
{
    uint32_t data = DESC_P_MASK | DESC_S_MASK | DESC_W_MASK | DESC_A_MASK;
    int i;

    env->hflags = 0;
    env->hflags2 = HF2_GIF_MASK | HF2_VGIF_MASK;
    memset(env->regs, 0, sizeof(env->regs));
    env->regs[R_EDX] = env->cpuid_version;
    env->eip = 0xfff0;
    env->eflags = 2;

    env->cr[0] = 0x60000010;
    env->cr[2] = env->cr[3] = env->cr[4] = 0;
    env->efer = 0;
    env->gdt = env->idt = (SegmentCache) { .limit = 0xffff };
    env->ldt = (SegmentCache) { .limit = 0xffff, .flags = DESC_P_MASK | 2 << DESC_TYPE_SHIFT };
    env->tr = (SegmentCache) { .limit = 0xffff, .flags = DESC_P_MASK | 11 << DESC_TYPE_SHIFT };
    for (i = 0; i < 6; i++) {
        env->segs[i] = (SegmentCache) { .limit = 0xffff, .flags = data };
    }
    env->segs[R_CS].selector = 0xf000;
    env->segs[R_CS].base = 0xffff0000;
    env->segs[R_CS].flags |= DESC_CS_MASK;

    memset(env->dr, 0, sizeof(env->dr));
    env->dr[6] = DR6_FIXED_1;
    env->dr[7] = DR7_FIXED_1;
    env->pdptrs_valid = false;

    env->interrupt_injected = -1;
    env->soft_interrupt = 0;
    env->exception_nr = -1;
    env->exception_pending = env->exception_injected = 0;
    env->exception_has_payload = env->has_error_code = 0;
    env->exception_payload = 0;
    env->error_code = 0;
    env->nmi_injected = env->nmi_pending = env->triple_fault_pending = 0;
    env->sipi_vector = 0;
    x86_cpu_update_hflags(env);
}

void x86_cpu_reset_state(X86CPU *cpu)
{
    CPUX86State *env = &cpu->env;
    int i;

    reset_core(env);
    env->a20_mask = -1;
    env->smbase = 0x30000;

    env->fpstt = 0;
    env->fpus = 0;
    env->fpuc = 0x37f;
    env->fpop = 0;
    env->fpip = env->fpdp = 0;
    memset(env->fptags, 1, sizeof(env->fptags));
    memset(env->fpregs, 0, sizeof(env->fpregs));
    env->mxcsr = 0x1f80;
    memset(env->xmm_regs, 0, sizeof(env->xmm_regs));
    memset(env->opmask_regs, 0, sizeof(env->opmask_regs));
    memset(env->bnd_regs, 0, sizeof(env->bnd_regs));
    memset(&env->bndcs_regs, 0, sizeof(env->bndcs_regs));
    env->pkru = env->pkrs = 0;
    memset(env->xtilecfg, 0, sizeof(env->xtilecfg));
    memset(env->xtiledata, 0, sizeof(env->xtiledata));
    env->xcr0 = XSTATE_FP_MASK;
    env->xstate_bv = 0;

    env->sysenter_cs = 0;
    env->sysenter_esp = env->sysenter_eip = 0;
    env->star = env->lstar = env->cstar = env->fmask = env->kernelgsbase = 0;
    env->vm_hsave = 0;
    env->pat = 0x0007040600070406ull;
    /* KVM takes a write of 0 for an attempt to keep CPUs in step: it begins with 1 there. */
    env->tsc = kvm_enabled();
    env->tsc_adjust = env->tsc_deadline = env->tsc_aux = env->xss = 0;
    env->tsc_valid = true;
    env->system_time_msr = env->wall_clock_msr = env->steal_time_msr = 0;
    env->async_pf_en_msr = env->async_pf_int_msr = env->pv_eoi_en_msr = 0;
    env->poll_control_msr = kvm_enabled(); /* a halted CPU may poll the first while */
    env->msr_ia32_misc_enable = MSR_IA32_MISC_ENABLE_DEFAULT
        | (env->features[FEAT_1_ECX] & (1u << 3) ? MSR_IA32_MISC_ENABLE_MWAIT : 0);
    env->msr_ia32_feature_control = env->msr_smi_count = 0;
    env->msr_fixed_ctr_ctrl = env->msr_global_ctrl = env->msr_global_status = 0;
    env->msr_global_ovf_ctrl = 0;
    memset(env->msr_fixed_counters, 0, sizeof(env->msr_fixed_counters));
    memset(env->msr_gp_counters, 0, sizeof(env->msr_gp_counters));
    memset(env->msr_gp_evtsel, 0, sizeof(env->msr_gp_evtsel));
    env->msr_bndcfgs = 0;
    env->msr_xfd = env->msr_xfd_err = 0;
    env->spec_ctrl = env->virt_ssbd = env->msr_hwcr = 0;
    env->tsx_ctrl = env->umwait = 0;
    memset(env->mtrr_fixed, 0, sizeof(env->mtrr_fixed));
    memset(env->mtrr_var, 0, sizeof(env->mtrr_var));
    env->mtrr_deftype = 0;
    env->mcg_status = 0;
    if (env->mcg_cap) {
        env->mcg_ctl = UINT64_MAX;
        for (i = 0; i < MCE_BANKS_DEF; i++) {
            env->mce_banks[4 * i] = UINT64_MAX;
            env->mce_banks[4 * i + 1] = 0;
        }
    }
    env->mcg_ext_ctl = 0;

    env->vm_vmcb = env->tsc_offset = env->intercept = env->nested_cr3 = 0;
    env->intercept_cr_read = env->intercept_cr_write = 0;
    env->intercept_dr_read = env->intercept_dr_write = 0;
    env->intercept_exceptions = env->nested_pg_mode = env->int_ctl = 0;
    env->v_tpr = 0;

    env->mp_state = X86_MP_STATE_RUNNABLE;
    CPU(cpu)->halted = !cpu_is_bsp(cpu);
    if (kvm_enabled()) {
        kvm_arch_reset_vcpu(cpu);
    }
}

void do_cpu_init(X86CPU *cpu)
{
    CPUState *cs = CPU(cpu);
    int sipi = cs->interrupt_request & CPU_INTERRUPT_SIPI;

    reset_core(&cpu->env);
    cs->interrupt_request = sipi;
    cs->exception_index = -1;
    cs->halted = !cpu_is_bsp(cpu);
}

void do_cpu_sipi(X86CPU *cpu)
{
    CPUState *cs = CPU(cpu);
    CPUX86State *env = &cpu->env;

    cpu_reset_interrupt(cs, CPU_INTERRUPT_SIPI);
    if (!cs->halted) {
        return;
    }
    env->eip = 0;
    cpu_x86_load_seg_cache(env, R_CS, env->sipi_vector << 8, (uint64_t)env->sipi_vector << 12,
                           env->segs[R_CS].limit, env->segs[R_CS].flags);
    cs->halted = 0;
}

/* -- For whoever looks at a stopped CPU ------------------------------------------------------ */

/* Walk the guest's page tables. HWADDR_MAX where nothing is mapped. */
static hwaddr x86_cpu_get_phys_page_debug(CPUState *cs, vaddr addr)
{
    CPUX86State *env = cpu_env(cs);
    bool lma = env->efer & MSR_EFER_LMA, pae = env->cr[4] & CR4_PAE_MASK || lma;
    int bits = pae ? 9 : 10, entry = pae ? 8 : 4;
    int shift = !pae ? 22 : !lma ? 30 : env->cr[4] & CR4_LA57_MASK ? 48 : 39;
    uint64_t frame = UINT64_C(0x000ffffffffff000);
    uint64_t table = env->cr[3] & (!pae ? 0xfffff000u : !lma ? 0xffffffe0u : frame);

    if (!(env->cr[0] & CR0_PG_MASK)) {
        return addr & env->a20_mask & TARGET_PAGE_MASK;
    }
    if (!lma) {
        addr = (uint32_t)addr;
    }
    for (;; shift -= bits) {
        unsigned index = addr >> shift & ((1u << (pae && !lma && shift == 30 ? 2 : bits)) - 1);
        hwaddr at = table + index * entry;
        uint64_t e = pae ? address_space_ldq(cs->as, at, MEMTXATTRS_UNSPECIFIED, NULL)
                         : address_space_ldl(cs->as, at, MEMTXATTRS_UNSPECIFIED, NULL);
        uint64_t page = (UINT64_C(1) << shift) - 1;

        if (!(e & 1)) {
            return HWADDR_MAX;
        }
        /* A large page: everywhere below the top, but for 1 GiB in PAE's own top level. */
        if (shift == 12 || ((e & 0x80) && shift <= 30 && !(pae && !lma && shift == 30))) {
            return ((e & frame & ~page) | (addr & page)) & TARGET_PAGE_MASK;
        }
        table = e & frame;
    }
}

static int64_t x86_cpu_get_arch_id(CPUState *cs)
{
    return X86_CPU(cs)->apic_id;
}

static void x86_cpu_set_pc(CPUState *cs, vaddr value)
{
    cpu_env(cs)->eip = value;
}

static vaddr x86_cpu_get_pc(CPUState *cs)
{
    CPUX86State *env = cpu_env(cs);

    return env->eip + env->segs[R_CS].base;
}

static bool x86_cpu_has_work(CPUState *cs)
{
    CPUX86State *env = cpu_env(cs);
    uint32_t request = cs->interrupt_request;

    return ((request & (CPU_INTERRUPT_HARD | CPU_INTERRUPT_POLL)) && (env->eflags & IF_MASK))
        || (request & (CPU_INTERRUPT_NMI | CPU_INTERRUPT_INIT | CPU_INTERRUPT_SIPI
                       | CPU_INTERRUPT_MCE))
        || ((request & CPU_INTERRUPT_SMI) && !(env->hflags & HF_SMM_MASK));
}

static struct CpuInstanceProperties *x86_cpu_get_props(CPUState *cs)
{
    MachineState *ms = current_machine;
    CpuInstanceProperties *props = g_new0(CpuInstanceProperties, 1);
    unsigned threads = ms ? MAX(ms->smp.threads, 1) : 1, cores = ms ? MAX(ms->smp.cores, 1) : 1;

    props->has_socket_id = props->has_core_id = props->has_thread_id = true;
    props->thread_id = cs->cpu_index % threads;
    props->core_id = cs->cpu_index / threads % cores;
    props->socket_id = cs->cpu_index / (threads * cores);
    return props;
}

DeviceState *(*x86_cpu_apic_create)(X86CPU *cpu);

/* -- Making one ------------------------------------------------------------------------------ */

static void x86_cpu_realize(DeviceState *dev, Error **errp)
{
    ERRP_GUARD();
    CPUState *cs = CPU(dev);
    X86CPU *cpu = X86_CPU(dev);
    X86CPUClass *xcc = X86_CPU_GET_CLASS(dev);
    MachineState *ms = current_machine;
    bool verbose;

    if (cpu->apic_id == UINT32_MAX) {
        error_setg(errp, "'apic-id' was not set: CPUs are made by the machine");
        return;
    }
    if (ms) {
        cs->nr_cores = ms->smp.cores;
        cs->nr_threads = ms->smp.threads;
    }
    if (xcc->host_cpuid_required && !kvm_enabled()) {
        error_setg(errp, "CPU model 'host' requires KVM or HVF: use -accel kvm, or '-cpu max', "
                   "which works without");
        return;
    }
    if (!x86_cpu_expand_features(cpu, errp) || !x86_cpu_effective_phys_bits(cpu, errp)) {
        return;
    }
    verbose = cpu_is_bsp(cpu) && (cpu->check_cpuid || cpu->enforce_cpuid);
    if (!x86_cpu_filter_features(cpu, verbose) && cpu->enforce_cpuid) {
        error_setg(errp, "%s doesn't support requested features",
                   kvm_enabled() ? "Host" : "TCG");
        return;
    }
    if (!cpu_exec_realizefn(cs, errp)) {
        return;
    }
    if (kvm_irqchip_in_kernel()) {
        kvm_apic_create(cpu);
    } else if (x86_cpu_apic_create) {
        cpu->apic_state = x86_cpu_apic_create(cpu);
    }
    qemu_init_vcpu(cs);
    cpu_reset(cs);
    xcc->parent_realize(dev, errp);
}

static void x86_cpu_unrealize(DeviceState *dev)
{
    X86CPU *cpu = X86_CPU(dev);

    cpu_exec_unrealizefn(CPU(dev));
    if (cpu->apic_state) {
        object_unparent(OBJECT(cpu->apic_state));
        cpu->apic_state = NULL;
    }
}

static void x86_cpu_reset_hold(Object *obj, ResetType type)
{
    X86CPUClass *xcc = X86_CPU_GET_CLASS(obj);

    if (xcc->parent_phases.hold) {
        xcc->parent_phases.hold(obj, type);
    }
    x86_cpu_reset_state(X86_CPU(obj));
}

/* -- Types ----------------------------------------------------------------------------------- */

static ObjectClass *x86_cpu_class_by_name(const char *model)
{
    g_autofree char *name = g_str_has_suffix(model, X86_CPU_TYPE_SUFFIX)
        ? g_strdup(model) : g_strdup_printf("%s" X86_CPU_TYPE_SUFFIX, model);

    return object_class_by_name(name);
}

const X86CPUDefinition *x86_cpu_class_model(const X86CPUClass *xcc)
{
    if (xcc->alias_of) {
        return x86_cpu_model_by_name(x86_cpu_resolve_alias(xcc->alias_of,
                                                           x86_machine_is_microvm()));
    }
    return xcc->model;
}

static void x86_cpu_initfn(Object *obj)
{
    x86_cpu_load_model(X86_CPU(obj));
}

static void x86_cpu_class_init(ObjectClass *oc, void *data)
{
    X86CPUClass *xcc = X86_CPU_CLASS(oc);
    CPUClass *cc = CPU_CLASS(oc);
    DeviceClass *dc = DEVICE_CLASS(oc);
    ResettableClass *rc = RESETTABLE_CLASS(oc);

    device_class_set_parent_realize(dc, x86_cpu_realize, &xcc->parent_realize);
    dc->unrealize = x86_cpu_unrealize;
    resettable_class_set_parent_phases(rc, NULL, x86_cpu_reset_hold, NULL, &xcc->parent_phases);
    x86_cpu_add_properties(oc);

    cc->class_by_name = x86_cpu_class_by_name;
    cc->parse_features = x86_cpu_parse_features;
    cc->has_work = x86_cpu_has_work;
    cc->dump_state = x86_cpu_dump_state;
    cc->get_arch_id = x86_cpu_get_arch_id;
    cc->set_pc = x86_cpu_set_pc;
    cc->get_pc = x86_cpu_get_pc;
    cc->get_phys_page_debug = x86_cpu_get_phys_page_debug;
    cc->get_props = x86_cpu_get_props;
    cc->legacy_vmsd = &vmstate_x86_cpu;
}

static void model_class_init(ObjectClass *oc, void *data)
{
    X86_CPU_CLASS(oc)->model = data;
}

static void alias_class_init(ObjectClass *oc, void *data)
{
    X86_CPU_CLASS(oc)->alias_of = data;
}

static const Property max_properties[] = {
    DEFINE_PROP_BOOL("migratable", X86CPU, migratable, true),
};

static void max_class_init(ObjectClass *oc, void *data)
{
    X86_CPU_CLASS(oc)->host_features = true;
    device_class_set_props(DEVICE_CLASS(oc), max_properties);
}

static void host_class_init(ObjectClass *oc, void *data)
{
    X86_CPU_CLASS(oc)->host_features = true;
    X86_CPU_CLASS(oc)->host_cpuid_required = true;
}

static const TypeInfo x86_cpu_types[] = {
    {
        .name = TYPE_X86_CPU,
        .parent = TYPE_CPU,
        .instance_size = sizeof(X86CPU),
        .instance_init = x86_cpu_initfn,
        .abstract = true,
        .class_size = sizeof(X86CPUClass),
        .class_init = x86_cpu_class_init,
    },
    {
        .name = X86_CPU_TYPE_NAME("base"),
        .parent = TYPE_X86_CPU,
    },
    {
        .name = X86_CPU_TYPE_NAME("max"),
        .parent = TYPE_X86_CPU,
        .class_init = max_class_init,
    },
    {
        .name = X86_CPU_TYPE_NAME("host"),
        .parent = X86_CPU_TYPE_NAME("max"),
        .class_init = host_class_init,
    },
};

static void register_model(const char *model, void (*init)(ObjectClass *, void *),
                           const void *data)
{
    g_autofree char *name = g_strdup_printf("%s" X86_CPU_TYPE_SUFFIX, model);
    TypeInfo info = {
        .name = name,
        .parent = TYPE_X86_CPU,
        .class_init = init,
        .class_data = (void *)data,
    };

    type_register(&info);
}

static void x86_cpu_register_types(void)
{
    unsigned nr, i;
    const X86CPUDefinition *models = x86_cpu_models(&nr);
    const X86CPUAlias *alias;

    type_register_static_array(x86_cpu_types, ARRAY_SIZE(x86_cpu_types));
    for (i = 0; i < nr; i++) {
        register_model(models[i].name, model_class_init, &models[i]);
    }
    for (alias = x86_cpu_aliases; alias->name; alias++) {
        register_model(alias->name, alias_class_init, alias->name);
    }
}
type_init(x86_cpu_register_types)
