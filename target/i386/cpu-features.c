/*
 * What features a CPU has: those of its model, changed by the accelerator and by options, limited
 * to what the accelerator and the host can give. "host" and "max" start from all of these, "base"
 * from none.
 *
 * Which bit a name is, and which bits a model has, stands in cpu-tables.c; how features show in
 * CPUID in cpu-cpuid.c; options in cpu-properties.c.
 *
 * SPDX-License-Identifier: GPL-2.0-or-later
 */
#include "qemu/osdep.h"
#include "cpu-models.h"
#include "hw/boards.h"
#include "kvm/kvm_i386.h"
#include "qapi/qapi-builtin-types.h"
#include "qapi/util.h"
#include "qemu/bswap.h"
#include "qemu/error-report.h"
#include "system/kvm.h"

/* Bits of 0x80000001 EDX that AMD processors repeat from leaf 1's EDX. */
#define EDX_REPEATED 0x0183f3ffu

#define X2APIC  (1u << 21)
#define MONITOR (1u << 3)
#define ACPI    (1u << 22)
#define SVM     (1u << 2)
#define VME     (1u << 1)
#define TOPOEXT (1u << 22)
/* kvmclock (twice), nopiodelay, asyncpf, steal-time, pv-eoi, and the clock's stable bit. */
#define KVM_DEFAULTS 0x0100007bu
#define KVM_MSI_EXT_DEST_ID (1u << 15)

/* ---- names ---- */

const char *x86_feature_name(FeatureWord w, int bit)
{
    return x86_feature_words[w].names[bit];
}

static bool same_name(const char *a, const char *b)
{
    for (; *a && (*a == *b || (*a == '_' && *b == '-') || (*a == '-' && *b == '_')); a++, b++) {
    }
    return *a == *b;
}

bool x86_feature_by_name(const char *name, FeatureWord *w, int *bit, const char **canonical)
{
    for (const X86FeatureAlias *a = x86_feature_aliases; a->alias; a++) {
        if (same_name(name, a->alias)) {
            name = a->name;
            break;
        }
    }
    for (int i = 0; i < FEATURE_WORDS; i++) {
        for (int b = 0; b < 32; b++) {
            const char *it = x86_feature_words[i].names[b];

            if (it && same_name(name, it)) {
                *w = i;
                *bit = b;
                if (canonical) {
                    *canonical = it;
                }
                return true;
            }
        }
    }
    return false;
}

char *x86_feature_description(FeatureWord w, int bit)
{
    static const char *const regs[4] = { "EAX", "EBX", "ECX", "EDX" };
    const X86FeatureWordInfo *info = &x86_feature_words[w];
    const char *name = info->names[bit];

    if (info->msr) {
        return g_strdup_printf("MSR(%XH)%s%s [bit %d]", info->msr, name ? "." : "",
                               name ? name : "", bit);
    }
    return g_strdup_printf("CPUID.%02XH:%s%s%s [bit %d]", info->leaf, regs[info->reg],
                           name ? "." : "", name ? name : "", bit);
}

bool x86_cpu_is_amd(const CPUX86State *env)
{
    char vendor[13];

    x86_cpu_vendor_string(env, vendor);
    return g_str_equal(vendor, "AuthenticAMD") || g_str_equal(vendor, "HygonGenuine");
}

void x86_cpu_vendor_string(const CPUX86State *env, char *out)
{
    stl_le_p(out, env->cpuid_vendor[0]);
    stl_le_p(out + 4, env->cpuid_vendor[1]);
    stl_le_p(out + 8, env->cpuid_vendor[2]);
    out[12] = '\0';
}

/* ---- what can be had ---- */

/*
 * Without KVM: what libunicorn 2.0 executes, found by trying. It lacks PCLMULQDQ, POPCNT, MOVBE,
 * AVX, XSAVE; VME and x2APIC are not emulated here.
 */
static const FeatureWordArray tcg_features = {
    [FEAT_1_EDX] = 0x078bfbfd,
    [FEAT_1_ECX] = 0x02182201 | 1u << 31,
    [FEAT_6_EAX] = 0x4,
    [FEAT_7_0_EBX] = 0x00080308,
    [FEAT_8000_0001_EDX] = 0x28100800,
    [FEAT_8000_0001_ECX] = 0x00000021,
};

/* Components of XSAVE, and the feature that each belongs to. */
static const struct {
    uint64_t bits;
    FeatureWord word;
    uint32_t feature;
} xsave_components[] = {
    { 0x3, FEAT_1_ECX, 1u << 26 },          /* x87, SSE: xsave */
    { 0x4, FEAT_1_ECX, 1u << 28 },          /* avx */
    { 0x18, FEAT_7_0_EBX, 1u << 14 },       /* mpx */
    { 0xe0, FEAT_7_0_EBX, 1u << 16 },       /* avx512f */
    { 0x200, FEAT_7_0_ECX, 1u << 3 },       /* pku */
    { 0x60000, FEAT_7_0_EDX, 1u << 24 },    /* amx-tile */
};
/* The same, that only a supervisor sees. */
#define XSS_ARCH_LBR (1u << 15)

/* Words that say nothing unless a feature is there. */
static const struct {
    FeatureWord word, of;
    uint32_t feature;
} dependent_words[] = {
    { FEAT_8000_000A_EDX, FEAT_8000_0001_ECX, SVM },
    { FEAT_XSAVE, FEAT_1_ECX, 1u << 26 },
    { FEAT_SGX_12_0_EAX, FEAT_7_0_EBX, 1u << 2 },
    { FEAT_SGX_12_0_EBX, FEAT_7_0_EBX, 1u << 2 },
    { FEAT_SGX_12_1_EAX, FEAT_7_0_EBX, 1u << 2 },
    { FEAT_14_0_ECX, FEAT_7_0_EBX, 1u << 25 },
    { FEAT_24_0_EBX, FEAT_7_1_EDX, 1u << 19 },
    { FEAT_ARCH_CAPABILITIES, FEAT_7_0_EDX, 1u << 29 },
    { FEAT_CORE_CAPABILITY, FEAT_7_0_EDX, 1u << 30 },
    { FEAT_PERF_CAPABILITIES, FEAT_1_ECX, 1u << 15 },
};

void x86_cpu_supported_features(FeatureWordArray out)
{
    if (!kvm_enabled()) {
        memcpy(out, tcg_features, sizeof(FeatureWordArray));
        return;
    }
    for (int w = 0; w < FEATURE_WORDS; w++) {
        const X86FeatureWordInfo *info = &x86_feature_words[w];

        out[w] = info->msr ? kvm_arch_get_supported_msr_feature(kvm_state, info->msr)
            : kvm_arch_get_supported_cpuid(kvm_state, info->leaf, info->subleaf, info->reg);
    }
}

/* ---- a new instance ---- */

static void set_vendor(CPUX86State *env, const char *vendor)
{
    env->cpuid_vendor[0] = ldl_le_p(vendor);
    env->cpuid_vendor[1] = ldl_le_p(vendor + 4);
    env->cpuid_vendor[2] = ldl_le_p(vendor + 8);
}

static void set_host_vendor(CPUX86State *env)
{
    uint32_t r[4];

    x86_host_cpuid(0, 0, r);
    env->cpuid_vendor[0] = r[1];
    env->cpuid_vendor[1] = r[3];
    env->cpuid_vendor[2] = r[2];
}

static void load_host(X86CPU *cpu)
{
    CPUX86State *env = &cpu->env;
    uint32_t r[4];

    set_host_vendor(env);
    x86_host_cpuid(1, 0, r);
    env->cpuid_version = r[0];
    for (int i = 0; i < 3; i++) {
        x86_host_cpuid(0x80000002 + i, 0, &env->cpuid_model[4 * i]);
    }
    if (kvm_enabled()) {
        env->cpuid_min_level = kvm_arch_get_supported_cpuid(kvm_state, 0, 0, 0);
        env->cpuid_min_xlevel = kvm_arch_get_supported_cpuid(kvm_state, 0x80000000, 0, 0);
        env->cpuid_min_xlevel2 = kvm_arch_get_supported_cpuid(kvm_state, 0xc0000000, 0, 0);
        cpu->host_phys_bits = true;
        cpu->enable_pmu = true;
    } else {
        env->cpuid_min_level = 0xd;
        env->cpuid_min_xlevel = 0x80000008;
    }
}

static void load_definition(X86CPU *cpu, const X86CPUDefinition *m)
{
    CPUX86State *env = &cpu->env;
    char name[48] = { 0 };

    env->cpuid_min_level = m->level;
    env->cpuid_min_xlevel = m->xlevel;
    env->cpuid_min_xlevel2 = m->xlevel2;
    env->cpuid_version = (m->stepping & 0xf) | (m->model & 0xf) << 4 | (m->model & 0xf0) << 12 |
        MIN(m->family, 15) << 8 | (m->family > 15 ? (m->family - 15) << 20 : 0);
    memcpy(name, m->model_id, MIN(strlen(m->model_id), sizeof(name)));
    for (int i = 0; i < 12; i++) {
        env->cpuid_model[i] = ldl_le_p(name + 4 * i);
    }
    set_vendor(env, m->vendor);
    cpu->avx10_version = m->avx10_version;
    cpu->legacy_cache = !m->caches;
    memcpy(env->features, m->features, sizeof(env->features));
    /* The table has what is computed from these as well, where a model says so. */
    if (kvm_enabled()) {
        /* Guests pick code by vendor, and the host's CPU runs that code. */
        set_host_vendor(env);
        env->features[FEAT_KVM] |= KVM_DEFAULTS;
        env->features[FEAT_1_EDX] &= ~ACPI;
        env->features[FEAT_1_ECX] &= ~MONITOR;
        env->features[FEAT_8000_0001_ECX] &= ~SVM;
        if (kvm_irqchip_in_kernel()) {
            env->features[FEAT_1_ECX] |= X2APIC;
        }
    } else {
        env->features[FEAT_1_EDX] &= ~VME;
    }
    env->features[FEAT_8000_0001_EDX] &= ~EDX_REPEATED;
}

void x86_cpu_load_model(X86CPU *cpu)
{
    X86CPUClass *xcc = X86_CPU_GET_CLASS(cpu);
    const X86CPUDefinition *m = x86_cpu_class_model(xcc);

    if (m) {
        load_definition(cpu, m);
    } else if (xcc->host_features) {
        load_host(cpu);
    }
}

bool x86_machine_is_microvm(void)
{
    return current_machine && object_dynamic_cast(OBJECT(current_machine), "microvm-machine");
}

/* What the machine or "everything that there is" adds, but for bits that the user decided on. */
static void add_defaults(X86CPU *cpu)
{
    CPUX86State *env = &cpu->env;
    X86CPUClass *xcc = X86_CPU_GET_CLASS(cpu);
    FeatureWordArray all;

    if (x86_machine_is_microvm() && kvm_enabled()) {
        /* Its I/O APIC is made for more than 255 CPUs. */
        if (x86_cpu_class_model(xcc)) {
            env->features[FEAT_KVM] |= KVM_MSI_EXT_DEST_ID & ~env->user_features[FEAT_KVM];
        }
    }
    if (!xcc->host_features) {
        return;
    }
    x86_cpu_supported_features(all);
    all[FEAT_XSAVE_XCR0_LO] = all[FEAT_XSAVE_XCR0_HI] = 0;
    all[FEAT_XSAVE_XSS_LO] = all[FEAT_XSAVE_XSS_HI] = 0;
    all[FEAT_KVM_HINTS] = 0;
    all[FEAT_8000_0001_ECX] &= ~TOPOEXT; /* only where it was asked for */
    if (!x86_machine_is_microvm()) {
        all[FEAT_KVM] &= ~KVM_MSI_EXT_DEST_ID;
    }
    if (cpu->migratable) {
        all[FEAT_8000_0007_EDX] = 0; /* invtsc pins the guest to one TSC */
        for (int w = 0; w < FEATURE_WORDS; w++) {
            uint32_t named = 0;

            for (int b = 0; b < 32; b++) {
                named |= x86_feature_name(w, b) ? 1u << b : 0;
            }
            all[w] &= named;
        }
    }
    if (!cpu->enable_pmu) {
        all[FEAT_1_ECX] &= ~(1u << 15); /* pdcm */
        all[FEAT_8000_0022_EAX] = 0;
    }
    for (int w = 0; w < FEATURE_WORDS; w++) {
        env->features[w] |= all[w] & ~env->user_features[w];
    }
    env->features[FEAT_8000_0001_EDX] &= ~(EDX_REPEATED & ~env->user_features[FEAT_8000_0001_EDX]);
}

static void raise_level(uint32_t *level, uint32_t to)
{
    *level = MAX(*level, to);
}

/* The highest leaves that the features need. */
static void settle_levels(X86CPU *cpu)
{
    CPUX86State *env = &cpu->env;
    const uint32_t *f = env->features;

    if (cpu->full_cpuid_auto_level) {
        static const struct {
            FeatureWord word;
            uint32_t leaf;
        } needs[] = {
            { FEAT_1_EDX, 1 }, { FEAT_1_ECX, 1 }, { FEAT_6_EAX, 6 },
            { FEAT_7_0_EBX, 7 }, { FEAT_7_0_ECX, 7 }, { FEAT_7_0_EDX, 7 },
            { FEAT_7_1_EAX, 7 }, { FEAT_7_1_EDX, 7 }, { FEAT_7_2_EDX, 7 }, { FEAT_XSAVE, 0xd },
            { FEAT_8000_0001_EDX, 0x80000001 }, { FEAT_8000_0001_ECX, 0x80000001 },
            { FEAT_8000_0007_EBX, 0x80000007 }, { FEAT_8000_0007_EDX, 0x80000007 },
            { FEAT_8000_0008_EBX, 0x80000008 }, { FEAT_8000_0021_EAX, 0x80000021 },
            { FEAT_8000_0021_EBX, 0x80000021 }, { FEAT_8000_0022_EAX, 0x80000022 },
        };

        for (size_t i = 0; i < ARRAY_SIZE(needs); i++) {
            if (f[needs[i].word]) {
                raise_level(needs[i].leaf >> 31 ? &env->cpuid_min_xlevel : &env->cpuid_min_level,
                      needs[i].leaf);
            }
        }
        if (current_machine && current_machine->smp.cores * current_machine->smp.threads > 1) {
            raise_level(&env->cpuid_min_level, 1); /* leaf 1 says so */
        }
        if (f[FEAT_C000_0001_EDX]) {
            raise_level(&env->cpuid_min_xlevel2, 0xc0000001);
        }
        if (f[FEAT_8000_0001_ECX] & SVM) {
            raise_level(&env->cpuid_min_xlevel, 0x8000000a);
        }
        if (f[FEAT_7_0_EBX] & (1u << 25)) {
            raise_level(&env->cpuid_min_level, 0x14);
        }
        if (f[FEAT_7_0_EBX] & (1u << 2)) {
            raise_level(&env->cpuid_min_level, 0x12);
        }
        if (f[FEAT_7_0_EDX] & (1u << 24)) {
            raise_level(&env->cpuid_min_level, 0x1e);
        }
        if (f[FEAT_7_1_EDX] & (1u << 19)) {
            raise_level(&env->cpuid_min_level, 0x24);
        }
        if (current_machine && current_machine->smp.dies > 1 && !x86_cpu_is_amd(env)) {
            raise_level(&env->cpuid_min_level, 0x1f);
        }
    }
    env->cpuid_level_func7 = f[FEAT_7_2_EDX] ? 2 : f[FEAT_7_1_EAX] || f[FEAT_7_1_EDX] ? 1 : 0;
    if (env->cpuid_level == UINT32_MAX) {
        env->cpuid_level = env->cpuid_min_level;
    }
    if (env->cpuid_xlevel == UINT32_MAX) {
        env->cpuid_xlevel = env->cpuid_min_xlevel;
    }
    if (env->cpuid_xlevel2 == UINT32_MAX) {
        env->cpuid_xlevel2 = env->cpuid_min_xlevel2;
    }
}

bool x86_cpu_expand_features(X86CPU *cpu, Error **errp)
{
    CPUX86State *env = &cpu->env;
    const X86CPUClass *xcc = X86_CPU_GET_CLASS(cpu);
    const X86CPUDefinition *m = x86_cpu_class_model(xcc);
    uint64_t xcr0 = 0;

    if (!cpu->legacy_cache && !(m && m->caches) && !xcc->host_features) {
        error_setg(errp, "CPU model '%s' doesn't support legacy-cache=off: it has no caches of "
                   "its own", m ? m->name : "base");
        return false;
    }
    add_defaults(cpu);
    for (size_t i = 0; i < ARRAY_SIZE(dependent_words); i++) {
        if (!(env->features[dependent_words[i].of] & dependent_words[i].feature)) {
            env->features[dependent_words[i].word] = 0;
        }
    }
    if (!cpu->expose_kvm) {
        env->features[FEAT_KVM] = env->features[FEAT_KVM_HINTS] = 0;
    }
    if (env->features[FEAT_1_ECX] & (1u << 26)) {
        for (size_t i = 0; i < ARRAY_SIZE(xsave_components); i++) {
            if (env->features[xsave_components[i].word] & xsave_components[i].feature) {
                xcr0 |= xsave_components[i].bits;
            }
        }
        if ((env->features[FEAT_7_0_EDX] & (1u << 19)) && (env->features[FEAT_XSAVE] & 8)) {
            env->features[FEAT_XSAVE_XSS_LO] = XSS_ARCH_LBR;
        }
    }
    env->features[FEAT_XSAVE_XCR0_LO] = xcr0;
    env->features[FEAT_XSAVE_XCR0_HI] = xcr0 >> 32;
    settle_levels(cpu);
    cpu->features_expanded = true;
    return true;
}

/* XSAVE's components follow from features, which are told instead. */
static bool x86_feature_derived(int w)
{
    return w == FEAT_XSAVE_XCR0_LO || w == FEAT_XSAVE_XCR0_HI || w == FEAT_XSAVE_XSS_LO ||
        w == FEAT_XSAVE_XSS_HI;
}

bool x86_cpu_filter_features(X86CPU *cpu, bool verbose)
{
    CPUX86State *env = &cpu->env;
    FeatureWordArray supported;
    bool complete = true;

    x86_cpu_supported_features(supported);
    for (int w = 0; w < FEATURE_WORDS; w++) {
        uint32_t missing = env->features[w] & ~supported[w];

        if (w == FEAT_8000_0001_EDX) {
            missing &= ~EDX_REPEATED;
        }
        cpu->filtered_features[w] = missing;
        if (!cpu->force_features) {
            env->features[w] &= ~missing;
        }
        for (int b = 0; b < 32; b++) {
            if (!(missing >> b & 1)) {
                continue;
            }
            complete = complete && x86_feature_derived(w);
            /* Models were made for processors; of what TCG lacks only what was asked for counts. */
            if (verbose && !x86_feature_derived(w) &&
                (kvm_enabled() || cpu->enforce_cpuid || (env->user_features[w] >> b & 1))) {
                g_autofree char *what = x86_feature_description(w, b);

                warn_report("%s doesn't support requested feature: %s",
                            kvm_enabled() ? "host" : "TCG", what);
            }
        }
    }
    if (!cpu->force_features) {
        /* What depended on a feature that is gone is gone too. */
        for (size_t i = 0; i < ARRAY_SIZE(dependent_words); i++) {
            if (!(env->features[dependent_words[i].of] & dependent_words[i].feature)) {
                env->features[dependent_words[i].word] = 0;
            }
        }
    }
    /* AMD's leaf repeats leaf 1; only vendors that do so have it. */
    if (x86_cpu_is_amd(env)) {
        env->features[FEAT_8000_0001_EDX] &= ~EDX_REPEATED;
        env->features[FEAT_8000_0001_EDX] |= env->features[FEAT_1_EDX] & EDX_REPEATED;
    }
    return complete;
}

strList *x86_cpu_unavailable_features(X86CPU *cpu)
{
    strList *list = NULL, **tail = &list;

    for (int w = 0; w < FEATURE_WORDS; w++) {
        for (int b = 0; b < 32; b++) {
            const char *name = x86_feature_name(w, b);

            if (name && (cpu->filtered_features[w] >> b & 1)) {
                QAPI_LIST_APPEND(tail, g_strdup(name));
            }
        }
    }
    return list;
}

/* ---- models by name ---- */

const X86CPUDefinition *x86_cpu_model_by_name(const char *name)
{
    unsigned nr;
    const X86CPUDefinition *models = x86_cpu_models(&nr);

    for (unsigned i = 0; i < nr; i++) {
        if (g_str_equal(models[i].name, name)) {
            return &models[i];
        }
    }
    return NULL;
}

const char *x86_cpu_resolve_alias(const char *name, bool latest)
{
    const X86CPUDefinition *m = x86_cpu_model_by_name(name);

    for (const X86CPUAlias *a = x86_cpu_aliases; !m && a->name; a++) {
        if (!g_str_equal(a->name, name)) {
            continue;
        }
        if (a->fixed) {
            return a->fixed;
        }
        for (int version = 1; ; version++) {
            g_autofree char *full = g_strdup_printf("%s-v%d", name, version);
            const X86CPUDefinition *next = x86_cpu_model_by_name(full);

            if (!next) {
                break;
            }
            m = next;
            if (!latest) {
                break;
            }
        }
    }
    return m ? m->name : NULL;
}
