/*
 * What a CPU is: models, features, and the CPUID leaves that follow from them.
 *
 * A feature is a bit of a CPUID output word (FeatureWord). A CPU has the bits of its model, changed
 * by options (+feat, -feat, feat=on|off), and limited to what the accelerator and the host can give.
 * "host" and "max" start from all of these. Leaves that describe structure (caches, topology, XSAVE)
 * are computed from the configuration; where the host's hypervisor has more to say about a leaf, the
 * accelerator merges it (kvm/kvm-cpuid.c).
 *
 * SPDX-License-Identifier: GPL-2.0-or-later
 */
#include "qemu/osdep.h"
#include <cpuid.h>
#include "cpu.h"
#include "hw/boards.h"
#include "kvm/kvm_i386.h"
#include "qemu/bitops.h"
#include "qemu/bswap.h"
#include "qemu/cutils.h"
#include "qemu/error-report.h"
#include "system/kvm.h"

typedef struct FeatureWordInfo {
    uint32_t leaf, subleaf;
    int reg;                    /* 0 EAX, 1 EBX, 2 ECX, 3 EDX */
    const char *names[32];
} FeatureWordInfo;

static const FeatureWordInfo feature_words[FEATURE_WORDS] = {
    [FEAT_1_EDX] = { 1, 0, 3, {
        "fpu", "vme", "de", "pse", "tsc", "msr", "pae", "mce",
        "cx8", "apic", NULL, "sep", "mtrr", "pge", "mca", "cmov",
        "pat", "pse36", "pn", "clflush", NULL, "ds", "acpi", "mmx",
        "fxsr", "sse", "sse2", "ss", "ht", "tm", "ia64", "pbe" } },
    [FEAT_1_ECX] = { 1, 0, 2, {
        "pni", "pclmulqdq", "dtes64", "monitor", "ds-cpl", "vmx", "smx", "est",
        "tm2", "ssse3", "cid", NULL, "fma", "cx16", "xtpr", "pdcm",
        NULL, "pcid", "dca", "sse4.1", "sse4.2", "x2apic", "movbe", "popcnt",
        "tsc-deadline", "aes", "xsave", NULL, "avx", "f16c", "rdrand", "hypervisor" } },
    [FEAT_6_EAX] = { 6, 0, 0, { NULL, NULL, "arat" } },
    [FEAT_7_0_EBX] = { 7, 0, 1, {
        "fsgsbase", "tsc-adjust", "sgx", "bmi1", "hle", "avx2", NULL, "smep",
        "bmi2", "erms", "invpcid", "rtm", NULL, NULL, "mpx", NULL,
        "avx512f", "avx512dq", "rdseed", "adx", "smap", "avx512ifma", "pcommit", "clflushopt",
        "clwb", "intel-pt", "avx512pf", "avx512er", "avx512cd", "sha-ni", "avx512bw",
        "avx512vl" } },
    [FEAT_7_0_ECX] = { 7, 0, 2, {
        NULL, "avx512vbmi", "umip", "pku", NULL, "waitpkg", "avx512vbmi2", NULL,
        "gfni", "vaes", "vpclmulqdq", "avx512vnni", "avx512bitalg", NULL, "avx512-vpopcntdq",
        NULL,
        "la57", NULL, NULL, NULL, NULL, NULL, "rdpid", NULL,
        "bus-lock-detect", "cldemote", NULL, "movdiri", "movdir64b", NULL, "sgxlc", "pks" } },
    [FEAT_7_0_EDX] = { 7, 0, 3, {
        NULL, NULL, "avx512-4vnniw", "avx512-4fmaps", "fsrm", NULL, NULL, NULL,
        "avx512-vp2intersect", NULL, "md-clear", NULL, NULL, NULL, "serialize", NULL,
        "tsx-ldtrk", NULL, NULL, "arch-lbr", NULL, NULL, "amx-bf16", "avx512-fp16",
        "amx-tile", "amx-int8", "spec-ctrl", "stibp", "flush-l1d", "arch-capabilities",
        "core-capability", "ssbd" } },
    [FEAT_7_1_EAX] = { 7, 1, 0, {
        "sha512", "sm3", "sm4", NULL, "avx-vnni", "avx512-bf16", NULL, "cmpccxadd",
        NULL, NULL, "fzrm", "fsrs", "fsrc", NULL, NULL, NULL,
        NULL, NULL, NULL, "wrmsrns", NULL, "amx-fp16", NULL, "avx-ifma",
        NULL, NULL, "lam" } },
    [FEAT_8000_0001_EDX] = { 0x80000001, 0, 3, {
        /* The rest repeats leaf 1's on AMD and is filled in from there. */
        [11] = "syscall", [20] = "nx", [22] = "mmxext", [25] = "fxsr-opt", [26] = "pdpe1gb",
        [27] = "rdtscp", [29] = "lm", [30] = "3dnowext", [31] = "3dnow" } },
    [FEAT_8000_0001_ECX] = { 0x80000001, 0, 2, {
        "lahf-lm", "cmp-legacy", "svm", "extapic", "cr8legacy", "abm", "sse4a", "misalignsse",
        "3dnowprefetch", "osvw", "ibs", "xop", "skinit", "wdt", NULL, "lwp",
        "fma4", "tce", NULL, "nodeid-msr", NULL, "tbm", "topoext", "perfctr-core",
        "perfctr-nb" } },
    [FEAT_8000_0007_EBX] = { 0x80000007, 0, 1, { "overflow-recov", "succor" } },
    [FEAT_8000_0007_EDX] = { 0x80000007, 0, 3, { [8] = "invtsc" } },
    [FEAT_8000_0008_EBX] = { 0x80000008, 0, 1, {
        [0] = "clzero", [2] = "xsaveerptr", [9] = "wbnoinvd", [12] = "ibpb", [14] = "ibrs",
        [15] = "amd-stibp", [17] = "stibp-always-on", [24] = "amd-ssbd", [25] = "virt-ssbd",
        [26] = "amd-no-ssb", [28] = "amd-psfd" } },
    [FEAT_8000_000A_EDX] = { 0x8000000a, 0, 3, {
        "npt", "lbrv", "svm-lock", "nrip-save", "tsc-scale", "vmcb-clean", "flushbyasid",
        "decodeassists", NULL, NULL, "pause-filter", NULL, "pfthreshold", "avic", NULL,
        "v-vmsave-vmload", "vgif", [20] = "svme-addr-chk", [25] = "vnmi" } },
    [FEAT_XSAVE] = { 0xd, 1, 0, { "xsaveopt", "xsavec", "xgetbv1", "xsaves", "xfd" } },
    [FEAT_KVM] = { 0x40000001, 0, 0, {
        "kvmclock", "kvm-nopiodelay", "kvm-mmu", "kvmclock2", "kvm-asyncpf", "kvm-steal-time",
        "kvm-pv-eoi", "kvm-pv-unhalt", NULL, "kvm-pv-tlb-flush", "kvm-asyncpf-vmexit",
        "kvm-pv-ipi", "kvm-poll-control", "kvm-pv-sched-yield", "kvm-asyncpf-int",
        "kvm-msi-ext-dest-id", [24] = "kvmclock-stable-bit" } },
};

/* Bits of 0x80000001 EDX that AMD processors repeat from leaf 1's EDX. */
#define EDX_REPEATED 0x0183f3ffu

/* Other spellings that people use. */
static const struct {
    const char *alias, *name;
} feature_aliases[] = {
    { "sse3", "pni" }, { "sse4-1", "sse4.1" }, { "sse4-2", "sse4.2" }, { "xd", "nx" },
    { "i64", "lm" }, { "ffxsr", "fxsr-opt" }, { "cmp-legacy", "cmp-legacy" }, { "avx512-vbmi2",
    "avx512vbmi2" }, { "avx512-vnni", "avx512vnni" }, { "avx512-bitalg", "avx512bitalg" },
    { "clwb", "clwb" }, { "pclmuldq", "pclmulqdq" }, { "ssse3", "ssse3" },
};

const char *x86_feature_name(FeatureWord w, int bit)
{
    return feature_words[w].names[bit];
}

void x86_feature_word_location(FeatureWord w, uint32_t *leaf, uint32_t *subleaf, int *reg)
{
    *leaf = feature_words[w].leaf;
    *subleaf = feature_words[w].subleaf;
    *reg = feature_words[w].reg;
}

bool x86_feature_by_name(const char *name, FeatureWord *w, int *bit)
{
    g_autofree char *wanted = g_strdelimit(g_strdup(name), "_", '-');

    for (size_t i = 0; i < ARRAY_SIZE(feature_aliases); i++) {
        if (g_str_equal(wanted, feature_aliases[i].alias)) {
            g_free(wanted);
            wanted = g_strdup(feature_aliases[i].name);
        }
    }
    for (int i = 0; i < FEATURE_WORDS; i++) {
        for (int b = 0; b < 32; b++) {
            if (feature_words[i].names[b] && g_str_equal(feature_words[i].names[b], wanted)) {
                *w = i;
                *bit = b;
                return true;
            }
        }
    }
    return false;
}

static void host_cpuid(uint32_t leaf, uint32_t subleaf, uint32_t out[4])
{
    __cpuid_count(leaf, subleaf, out[0], out[1], out[2], out[3]);
}

/*
 * What may be given without KVM: what libunicorn 2.0 executes, found by trying. It lacks PCLMULQDQ,
 * POPCNT, MOVBE, AVX, XSAVE; VME and x2APIC are not emulated here.
 */
static const FeatureWordArray tcg_features = {
    [FEAT_1_EDX] = 0x078bfbfd,
    [FEAT_1_ECX] = 0x02182201 | 1u << 31,
    [FEAT_6_EAX] = 0x4,
    [FEAT_7_0_EBX] = 0x00080308,
    [FEAT_8000_0001_EDX] = 0x28100800,
    [FEAT_8000_0001_ECX] = 0x00000021,
};

void x86_cpu_supported_features(FeatureWordArray out)
{
    if (kvm_enabled()) {
        for (int w = 0; w < FEATURE_WORDS; w++) {
            const FeatureWordInfo *fi = &feature_words[w];

            out[w] = kvm_arch_get_supported_cpuid(kvm_state, fi->leaf, fi->subleaf, fi->reg);
        }
        out[FEAT_8000_0001_EDX] &= ~EDX_REPEATED;
    } else {
        memcpy(out, tcg_features, sizeof(FeatureWordArray));
    }
}

static void apply_host_identity(CPUX86State *env)
{
    uint32_t r[4];

    host_cpuid(0, 0, r);
    env->cpuid_vendor[0] = r[1];
    env->cpuid_vendor[1] = r[2];
    env->cpuid_vendor[2] = r[3];
    host_cpuid(1, 0, r);
    env->cpuid_version = r[0];
    for (int i = 0; i < 3; i++) {
        host_cpuid(0x80000002 + i, 0, &env->cpuid_model[4 * i]);
    }
    if (kvm_enabled()) {
        env->cpuid_level = kvm_arch_get_supported_cpuid(kvm_state, 0, 0, 0);
        env->cpuid_xlevel = kvm_arch_get_supported_cpuid(kvm_state, 0x80000000, 0, 0);
    } else {
        env->cpuid_level = 0xd;
        env->cpuid_xlevel = 0x80000008;
    }
}

static void apply_model_identity(CPUX86State *env, const X86CPUDefinition *m)
{
    char name[48] = { 0 };
    uint32_t family = m->family;

    env->cpuid_level = m->level;
    env->cpuid_xlevel = m->xlevel;
    if (kvm_enabled()) {
        /* Guests pick code by vendor, and the host's CPU runs that code. */
        uint32_t r[4];

        host_cpuid(0, 0, r);
        env->cpuid_vendor[0] = r[1];
        env->cpuid_vendor[1] = r[2];
        env->cpuid_vendor[2] = r[3];
    } else {
        env->cpuid_vendor[0] = ldl_le_p(m->vendor);
        env->cpuid_vendor[2] = ldl_le_p(m->vendor + 4);
        env->cpuid_vendor[1] = ldl_le_p(m->vendor + 8);
    }
    env->cpuid_version = (m->stepping & 0xf) | (m->model & 0xf) << 4 |
                         (m->model & 0xf0) << 12 | MIN(family, 15) << 8 |
                         (family > 15 ? (family - 15) << 20 : 0);
    pstrcpy(name, sizeof(name), m->model_id);
    for (int i = 0; i < 12; i++) {
        env->cpuid_model[i] = ldl_le_p(name + 4 * i);
    }
}

/* "sse4.1, avx" for the bits in @missing; NULL where nothing has a name. */
static char *feature_list(const FeatureWordArray missing)
{
    GString *s = g_string_new(NULL);

    for (int w = 0; w < FEATURE_WORDS; w++) {
        for (int b = 0; b < 32; b++) {
            if ((missing[w] >> b & 1) && x86_feature_name(w, b)) {
                g_string_append_printf(s, "%s%s", s->len ? ", " : "", x86_feature_name(w, b));
            }
        }
    }
    return g_string_free(s, s->len == 0);
}

bool x86_cpu_expand_features(X86CPU *cpu, Error **errp)
{
    CPUX86State *env = &cpu->env;
    const X86CPUClass *xcc = X86_CPU_GET_CLASS(cpu);
    FeatureWordArray supported, missing;
    g_autofree char *list = NULL;

    if (xcc->host_cpuid_required && !kvm_enabled()) {
        error_setg(errp, "CPU model 'host' needs KVM (-accel kvm); '-cpu max' works without");
        return false;
    }
    x86_cpu_supported_features(supported);
    if (xcc->model) {
        apply_model_identity(env, xcc->model);
        memcpy(env->features, xcc->model->features, sizeof(env->features));
        if (kvm_enabled() && cpu->expose_kvm) {
            /* What the hypervisor offers beyond the CPU is the same for all models. */
            env->features[FEAT_KVM] = supported[FEAT_KVM];
        }
        if (kvm_enabled()) {
            env->features[FEAT_1_ECX] |= 1u << 21 | 1u << 31; /* x2apic, hypervisor */
        }
    } else if (cpu->host_features) {
        apply_host_identity(env);
        memcpy(env->features, supported, sizeof(env->features));
        if (cpu->migratable) {
            env->features[FEAT_8000_0007_EDX] = 0; /* invtsc pins the guest to one TSC */
        }
        if (!cpu->enable_pmu) {
            env->features[FEAT_1_ECX] &= ~(1u << 15); /* pdcm */
            env->features[FEAT_8000_0001_ECX] &= ~(3u << 23);
        }
    }
    if (!cpu->expose_kvm) {
        env->features[FEAT_KVM] = 0;
    }

    for (int w = 0; w < FEATURE_WORDS; w++) {
        env->features[w] |= cpu->plus_features[w];
        env->features[w] &= ~cpu->minus_features[w];
        env->user_features[w] = cpu->plus_features[w] | cpu->minus_features[w];
        missing[w] = env->features[w] & ~supported[w];
        env->features[w] &= supported[w];
    }
    list = feature_list(missing);
    if (list && cpu->enforce_cpuid) {
        error_setg(errp, "this host and accelerator can't give the CPU the features %s, and "
                   "'enforce' is on", list);
        return false;
    }
    for (int w = 0; w < FEATURE_WORDS; w++) {
        missing[w] &= cpu->plus_features[w];
    }
    g_free(list);
    list = feature_list(missing);
    if (list && CPU(cpu)->cpu_index <= 0) {
        warn_report("-cpu: features that were asked for are not available here: %s", list);
    }

    /* AMD's leaf repeats leaf 1; only vendors that do so have it. */
    if (env->cpuid_vendor[0] == 0x68747541 || env->cpuid_vendor[0] == 0x6f677948) {
        env->features[FEAT_8000_0001_EDX] &= ~EDX_REPEATED;
        env->features[FEAT_8000_0001_EDX] |= env->features[FEAT_1_EDX] & EDX_REPEATED;
    }
    /* Raise the levels to what the features need. */
    if (env->features[FEAT_7_0_EBX] | env->features[FEAT_7_0_ECX] | env->features[FEAT_7_0_EDX]) {
        env->cpuid_level = MAX(env->cpuid_level, 7);
    }
    if (env->features[FEAT_1_ECX] & (1u << 26)) {
        env->cpuid_level = MAX(env->cpuid_level, 0xd);
    }
    if (env->features[FEAT_8000_0008_EBX]) {
        env->cpuid_xlevel = MAX(env->cpuid_xlevel, 0x80000008);
    }
    return true;
}

/* ---- structure ---- */

static void topology(CPUX86State *env, unsigned *cores, unsigned *threads, unsigned *cpus)
{
    MachineState *ms = current_machine;

    *cores = ms ? MAX(ms->smp.cores * MAX(ms->smp.dies, 1), 1) : 1;
    *threads = ms ? MAX(ms->smp.threads, 1) : 1;
    *cpus = *cores * *threads;
}

/* Bits that number @n things. */
static unsigned id_bits(unsigned n)
{
    return n <= 1 ? 0 : 32 - __builtin_clz(n - 1);
}

static bool vendor_is_amd(const CPUX86State *env)
{
    return env->cpuid_vendor[0] == 0x68747541 || env->cpuid_vendor[0] == 0x6f677948;
}

/* Intel's leaf 4 or AMD's 0x8000001d: three caches of common sizes. */
static void cache_leaf(uint32_t count, unsigned share_l1, unsigned share_l3, unsigned cores,
                       uint32_t r[4])
{
    static const struct {
        int type, level, ways, sets;
    } caches[] = {
        { 1, 1, 8, 64 }, { 2, 1, 8, 64 }, { 3, 2, 16, 1024 }, { 3, 3, 16, 16384 },
    };

    memset(r, 0, 16);
    if (count >= ARRAY_SIZE(caches)) {
        return;
    }
    r[0] = caches[count].type | caches[count].level << 5 | 1 << 8 |
           ((caches[count].level == 3 ? share_l3 : share_l1) - 1) << 14 | (cores - 1) << 26;
    r[1] = 63 | (caches[count].ways - 1) << 22;
    r[2] = caches[count].sets - 1;
}

/* XSAVE's layout is the processor's: sizes and offsets are asked of it. */
static void xsave_leaf(CPUX86State *env, uint32_t count, uint32_t r[4])
{
    uint64_t mask, supervisor = 0;

    memset(r, 0, 16);
    if (!(env->features[FEAT_1_ECX] & (1u << 26))) {
        return;
    }
    mask = x86_cpu_xcr0_supported(env);
    if (count == 0) {
        uint32_t size = 576;

        for (int i = 2; i < 63; i++) {
            uint32_t c[4];

            if (mask >> i & 1) {
                host_cpuid(0xd, i, c);
                size = MAX(size, c[0] + c[1]);
            }
        }
        r[0] = mask;
        r[1] = size; /* the kernel keeps this in step with XCR0 */
        r[2] = size;
        r[3] = mask >> 32;
    } else if (count == 1) {
        r[0] = env->features[FEAT_XSAVE];
        r[1] = 576;
        r[2] = supervisor;
        r[3] = supervisor >> 32;
    } else if (count < 63 && (mask >> count & 1)) {
        host_cpuid(0xd, count, r);
    }
}

uint64_t x86_cpu_xcr0_supported(CPUX86State *env)
{
    uint64_t mask = XSTATE_FP_MASK | XSTATE_SSE_MASK;

    if (!(env->features[FEAT_1_ECX] & (1u << 26))) {
        return 0;
    }
    if (env->features[FEAT_1_ECX] & (1u << 28)) {
        mask |= XSTATE_YMM_MASK;
    }
    if (env->features[FEAT_7_0_EBX] & (1u << 14)) {
        mask |= 3ull << XSTATE_BNDREGS_BIT;
    }
    if (env->features[FEAT_7_0_EBX] & (1u << 16)) {
        mask |= 7ull << XSTATE_OPMASK_BIT;
    }
    if (env->features[FEAT_7_0_ECX] & (1u << 3)) {
        mask |= 1ull << XSTATE_PKRU_BIT;
    }
    if (env->features[FEAT_7_0_EDX] & (1u << 24)) {
        mask |= 3ull << XSTATE_XTILE_CFG_BIT;
    }
    if (kvm_enabled()) {
        mask &= kvm_arch_get_supported_cpuid(kvm_state, 0xd, 0, 0) |
                (uint64_t)kvm_arch_get_supported_cpuid(kvm_state, 0xd, 0, 3) << 32;
    }
    return mask;
}

void cpu_x86_cpuid(CPUX86State *env, uint32_t index, uint32_t count, uint32_t *eax, uint32_t *ebx,
                   uint32_t *ecx, uint32_t *edx)
{
    X86CPU *cpu = env_archcpu(env);
    uint32_t limit = index >= 0x80000000 ? env->cpuid_xlevel : env->cpuid_level;
    unsigned cores, threads, cpus;
    uint32_t r[4] = { 0 };

    topology(env, &cores, &threads, &cpus);
    if (index > limit) {
        index = env->cpuid_level; /* what Intel's do; nobody relies on it */
        count = 0;
    }
    switch (index) {
    case 0:
        r[0] = env->cpuid_level;
        r[1] = env->cpuid_vendor[0];
        r[2] = env->cpuid_vendor[1];
        r[3] = env->cpuid_vendor[2];
        break;
    case 1:
        r[0] = env->cpuid_version;
        r[1] = cpu->apic_id << 24 | 8 << 8; /* CLFLUSH: 64 bytes */
        r[2] = env->features[FEAT_1_ECX];
        r[3] = env->features[FEAT_1_EDX];
        if (cpus > 1) {
            r[1] |= MIN(cpus, 255) << 16;
            r[3] |= 1 << 28;
        }
        if ((env->cr[4] & CR4_OSXSAVE_MASK) && (r[2] & (1u << 26))) {
            r[2] |= 1 << 27;
        }
        break;
    case 2:
        r[0] = 1; /* nothing that leaf 4 does not say better */
        r[1] = 0xff;
        break;
    case 4:
        if (!vendor_is_amd(env)) {
            cache_leaf(count, threads, cpus, cores, r);
        }
        break;
    case 6:
        r[0] = env->features[FEAT_6_EAX];
        break;
    case 7:
        if (count == 0) {
            r[0] = env->features[FEAT_7_1_EAX] ? 1 : 0;
            r[1] = env->features[FEAT_7_0_EBX];
            r[2] = env->features[FEAT_7_0_ECX];
            r[3] = env->features[FEAT_7_0_EDX];
        } else if (count == 1) {
            r[0] = env->features[FEAT_7_1_EAX];
        }
        break;
    case 0xb:
        r[2] = count & 0xff;
        r[3] = cpu->apic_id;
        if (count == 0) {
            r[0] = id_bits(threads);
            r[1] = threads;
            r[2] |= 1 << 8;
        } else if (count == 1) {
            r[0] = id_bits(threads) + id_bits(cores);
            r[1] = cpus;
            r[2] |= 2 << 8;
        }
        break;
    case 0xd:
        xsave_leaf(env, count, r);
        break;
    case 0x80000000:
        r[0] = env->cpuid_xlevel;
        if (vendor_is_amd(env)) {
            r[1] = env->cpuid_vendor[0];
            r[2] = env->cpuid_vendor[1];
            r[3] = env->cpuid_vendor[2];
        }
        break;
    case 0x80000001:
        r[0] = env->cpuid_version;
        r[2] = env->features[FEAT_8000_0001_ECX];
        r[3] = env->features[FEAT_8000_0001_EDX];
        if (cpus > 1 && vendor_is_amd(env)) {
            r[2] |= 1 << 1; /* cmp-legacy */
        }
        break;
    case 0x80000002 ... 0x80000004:
        memcpy(r, &env->cpuid_model[(index - 0x80000002) * 4], 16);
        break;
    case 0x80000005:
        r[0] = r[1] = 0x01ff01ff;
        r[2] = r[3] = 32 << 24 | 8 << 16 | 1 << 8 | 64;
        break;
    case 0x80000006:
        r[2] = 1024 << 16 | 8 << 12 | 1 << 8 | 64;
        r[3] = 32 << 18 | 8 << 12 | 1 << 8 | 64;
        break;
    case 0x80000007:
        r[1] = env->features[FEAT_8000_0007_EBX];
        r[3] = env->features[FEAT_8000_0007_EDX];
        break;
    case 0x80000008: {
        bool lm = env->features[FEAT_8000_0001_EDX] & (1u << 29);
        uint32_t phys = 40, h[4];

        if (kvm_enabled() || cpu->host_features) {
            host_cpuid(0x80000000, 0, h);
            if (h[0] >= 0x80000008) {
                host_cpuid(0x80000008, 0, h);
                phys = MIN(h[0] & 0xff, 52);
            }
        }
        r[0] = lm ? (phys | (env->features[FEAT_7_0_ECX] & (1u << 16) ? 57 : 48) << 8) : 36;
        r[1] = env->features[FEAT_8000_0008_EBX];
        if (cpus > 1) {
            r[2] = id_bits(cpus) << 12 | (cpus - 1);
        }
        break;
    }
    case 0x8000000a:
        if (env->features[FEAT_8000_0001_ECX] & (1u << 2)) {
            r[0] = 1;
            r[1] = 16;
            r[3] = env->features[FEAT_8000_000A_EDX];
        }
        break;
    case 0x8000001d:
        if (env->features[FEAT_8000_0001_ECX] & (1u << 22)) {
            cache_leaf(count, threads, cpus, 1, r);
        }
        break;
    case 0x8000001e:
        if (env->features[FEAT_8000_0001_ECX] & (1u << 22)) {
            r[0] = cpu->apic_id;
            r[1] = (threads - 1) << 8 | (cpu->apic_id >> id_bits(threads));
            r[2] = cpu->apic_id >> (id_bits(threads) + id_bits(cores));
        }
        break;
    }
    *eax = r[0];
    *ebx = r[1];
    *ecx = r[2];
    *edx = r[3];
}
