/*
 * CPUID: what each leaf holds for a CPU whose features are settled.
 *
 * Leaves that describe structure (caches, topology, XSAVE) are computed from the configuration.
 * Which
 * leaves have sub-leaves, and the hypervisor's own leaves, is for the accelerator
 * (kvm/kvm-cpuid.c). Where processors leave room for choice, the values are those that guests find
 * in QEMU: tests/interop/test_cpuid.py compares.
 *
 * SPDX-License-Identifier: GPL-2.0-or-later
 */
#include "qemu/osdep.h"
#include <cpuid.h>
#include "cpu-models.h"
#include "hw/boards.h"
#include "kvm/kvm_i386.h"
#include "qapi/error.h"
#include "qemu/bitops.h"
#include "system/kvm.h"

void x86_host_cpuid(uint32_t leaf, uint32_t subleaf, uint32_t out[4])
{
    __cpuid_count(leaf, subleaf, out[0], out[1], out[2], out[3]);
}

typedef struct Topology {
    unsigned threads;           /* of a core */
    unsigned cores;             /* of a die */
    unsigned dies;
    unsigned cpus;              /* of a package */
    unsigned core_offset, die_offset, package_offset; /* bits of the APIC id below each */
} Topology;

/* Bits that number @n things. */
static unsigned id_bits(unsigned n)
{
    return n <= 1 ? 0 : 32 - __builtin_clz(n - 1);
}

static Topology topology(void)
{
    MachineState *ms = current_machine;
    Topology t = {
        .threads = ms ? MAX(ms->smp.threads, 1) : 1,
        .cores = ms ? MAX(ms->smp.cores, 1) : 1,
        .dies = ms ? MAX(ms->smp.dies, 1) : 1,
    };

    t.cpus = t.threads * t.cores * t.dies;
    t.core_offset = id_bits(t.threads);
    t.die_offset = t.core_offset + id_bits(t.cores);
    t.package_offset = t.die_offset + id_bits(t.dies);
    return t;
}

/* ---- caches ---- */

/* What all models have that have no caches of their own; two descriptions that do not agree. */
static const X86CacheInfo intel_caches[4] = {
    { CACHE_DATA, 1, 64, 1, 8, 64, 1, 1, 1, 0, 0 },
    { CACHE_INSTRUCTION, 1, 64, 1, 8, 64, 1, 1, 1, 0, 0 },
    { CACHE_UNIFIED, 2, 64, 1, 16, 4096, 1, 1, 1, 0, 0 },
    { CACHE_UNIFIED, 3, 64, 1, 16, 16384, 1, 1, 0, 1, 1 },
};
static const X86CacheInfo amd_caches[4] = {
    { CACHE_DATA, 1, 64, 1, 2, 512, 1, 1, 1, 0, 0 },
    { CACHE_INSTRUCTION, 1, 64, 1, 2, 512, 1, 1, 1, 0, 0 },
    { CACHE_UNIFIED, 2, 64, 1, 16, 512, 1, 0, 0, 0, 0 },
    { CACHE_UNIFIED, 3, 64, 1, 16, 16384, 1, 1, 0, 1, 0 },
};

static const X86CacheInfo *caches_of(X86CPU *cpu, bool amd)
{
    const X86CPUDefinition *m = x86_cpu_class_model(X86_CPU_GET_CLASS(cpu));

    if (!cpu->legacy_cache && m && m->caches) {
        return m->caches;
    }
    return amd ? amd_caches : intel_caches;
}

static uint32_t cache_size(const X86CacheInfo *c)
{
    return (uint32_t)c->line_size * c->partitions * c->ways * c->sets;
}

/* Leaf 4; 0x8000001d is alike but for the number of cores. */
static void cache_leaf(X86CPU *cpu, bool amd, uint32_t count, uint32_t r[4])
{
    const X86CacheInfo *c;
    Topology t = topology();
    unsigned bits;

    if (count > (cpu->l3_cache ? 3 : 2)) {
        return;
    }
    c = &caches_of(cpu, amd)[count];
    /* Ids that may share it: of a core, for the last of a die. */
    bits = c->level == 3 ? t.die_offset : t.core_offset;
    r[0] = c->type | c->level << 5 | c->self_init << 8 | ((1u << bits) - 1) << 14;
    if (!amd && t.cpus > 1) {
        r[0] |= ((1u << (t.package_offset - t.core_offset)) - 1) << 26;
    }
    r[1] = (c->line_size - 1) | (c->partitions - 1) << 12 | (uint32_t)(c->ways - 1) << 22;
    r[2] = c->sets - 1;
    r[3] = c->no_invd_sharing | c->inclusive << 1;
    if (!amd) {
        r[3] |= c->complex_indexing << 2;
    }
}

/* Leaf 2 names a cache by a byte; 0xff: see leaf 4. */
static uint8_t descriptor(const X86CacheInfo *c)
{
    static const struct {
        uint8_t byte, type, level, ways;
        uint16_t kib;
    } known[] = {
        { 0x2c, CACHE_DATA, 1, 8, 32 }, { 0x30, CACHE_INSTRUCTION, 1, 8, 32 },
        { 0x7d, CACHE_UNIFIED, 2, 8, 2048 }, { 0x80, CACHE_UNIFIED, 2, 8, 512 },
        { 0x87, CACHE_UNIFIED, 2, 8, 1024 }, { 0x4b, CACHE_UNIFIED, 3, 16, 8192 },
        { 0x4d, CACHE_UNIFIED, 3, 16, 16384 },
    };

    for (size_t i = 0; i < ARRAY_SIZE(known); i++) {
        if (known[i].type == c->type && known[i].level == c->level && known[i].ways == c->ways &&
            known[i].kib * 1024u == cache_size(c)) {
            return known[i].byte;
        }
    }
    return 0xff;
}

static bool has_amd_topology(const CPUX86State *env)
{
    return x86_cpu_is_amd(env) || (env->features[FEAT_8000_0001_ECX] & (1u << 22));
}

/* AMD's short form of an associativity. */
static uint32_t amd_associativity(unsigned ways)
{
    switch (ways) {
    case 1:
    case 2:
    case 4:
        return ways;
    case 8:
        return 6;
    case 16:
        return 8;
    case 32:
        return 0xa;
    case 48:
        return 0xb;
    case 64:
        return 0xc;
    default:
        return 0xf;
    }
}

static uint32_t amd_l1(const X86CacheInfo *c)
{
    return (cache_size(c) / 1024) << 24 | (uint32_t)c->ways << 16 | c->lines_per_tag << 8 |
        c->line_size;
}

/* ---- XSAVE ---- */

uint64_t x86_cpu_xcr0_supported(CPUX86State *env)
{
    return env->features[FEAT_XSAVE_XCR0_LO] | (uint64_t)env->features[FEAT_XSAVE_XCR0_HI] << 32;
}

/* XSAVE's layout is the processor's: sizes and offsets are asked of it. */
static void xsave_leaf(CPUX86State *env, uint32_t count, uint32_t r[4])
{
    uint64_t mask = x86_cpu_xcr0_supported(env);
    uint64_t supervisor = env->features[FEAT_XSAVE_XSS_LO] |
        (uint64_t)env->features[FEAT_XSAVE_XSS_HI] << 32;
    uint32_t c[4];

    if (!(env->features[FEAT_1_ECX] & (1u << 26))) {
        return;
    }
    if (count == 0) {
        uint32_t size = 576;

        for (int i = 2; i < 63; i++) {
            if (mask >> i & 1) {
                x86_host_cpuid(0xd, i, c);
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
    } else if (count < 63 && ((mask | supervisor) >> count & 1)) {
        x86_host_cpuid(0xd, count, r);
    }
}

/* ---- addresses ---- */

uint32_t x86_cpu_effective_phys_bits(X86CPU *cpu, Error **errp)
{
    bool lm = cpu->env.features[FEAT_8000_0001_EDX] & (1u << 29);
    uint32_t host = 36, r[4];

    if (!lm) {
        return 36;
    }
    if (cpu->phys_bits && (cpu->phys_bits < 32 || cpu->phys_bits > 52)) {
        error_setg(errp, "phys-bits should be between 32 and 52 (but is %u)", cpu->phys_bits);
        return 0;
    }
    if (!kvm_enabled()) {
        return cpu->phys_bits ? cpu->phys_bits : 40;
    }
    if (!cpu->host_phys_bits && !x86_machine_is_microvm()) {
        return cpu->phys_bits ? cpu->phys_bits : 40;
    }
    x86_host_cpuid(0x80000000, 0, r);
    if (r[0] >= 0x80000008) {
        x86_host_cpuid(0x80000008, 0, r);
        host = MIN(r[0] & 0xff, 52);
    }
    return cpu->host_phys_bits_limit ? MIN(host, cpu->host_phys_bits_limit) : host;
}

static void topology_leaf(X86CPU *cpu, uint32_t index, uint32_t count, uint32_t r[4])
{
    /* Kinds of level: 1 thread, 2 core, 5 die. */
    Topology t = topology();

    r[2] = count & 0xff;
    r[3] = cpu->apic_id;
    if (count == 0) {
        r[0] = t.core_offset;
        r[1] = t.threads;
        r[2] |= 1 << 8;
    } else if (count == 1) {
        r[0] = index == 0xb ? t.package_offset : t.die_offset;
        r[1] = index == 0xb ? t.cpus : t.threads * t.cores;
        r[2] |= 2 << 8;
    } else if (count == 2 && index == 0x1f && t.dies > 1) {
        r[0] = t.package_offset;
        r[1] = t.cpus;
        r[2] |= 5 << 8;
    }
}

/* ---- all of it ---- */

static void basic_leaf(X86CPU *cpu, uint32_t index, uint32_t count, uint32_t r[4])
{
    CPUX86State *env = &cpu->env;
    const X86CacheInfo *c;
    Topology t = topology();

    switch (index) {
    case 0:
        r[0] = env->cpuid_level;
        r[1] = env->cpuid_vendor[0];
        r[2] = env->cpuid_vendor[2];
        r[3] = env->cpuid_vendor[1];
        break;
    case 1:
        r[0] = env->cpuid_version;
        r[1] = cpu->apic_id << 24 | 8 << 8; /* CLFLUSH: 64 bytes */
        r[2] = env->features[FEAT_1_ECX];
        r[3] = env->features[FEAT_1_EDX];
        if (t.cpus > 1) {
            r[1] |= MIN(1u << t.package_offset, 255) << 16;
            r[3] |= 1 << 28;
        }
        if ((env->cr[4] & CR4_OSXSAVE_MASK) && (r[2] & (1u << 26))) {
            r[2] |= 1 << 27;
        }
        break;
    case 2:
        if (!x86_cpu_is_amd(env)) {
            bool own = caches_of(cpu, false) != intel_caches;

            c = caches_of(cpu, false);
            r[0] = 1;
            r[2] = cpu->l3_cache ? descriptor(&c[3]) : 0;
            /* The second level of the old description has 2 MiB here, and 4 in leaf 4. */
            r[3] = descriptor(&c[0]) << 16 | descriptor(&c[1]) << 8 |
                (own ? descriptor(&c[2]) : 0x7d);
        }
        break;
    case 4:
        if (!x86_cpu_is_amd(env)) {
            cache_leaf(cpu, false, count, r);
        }
        break;
    case 5:
        r[2] = 3; /* MONITOR's sizes would stand here; what there is of them is told */
        break;
    case 6:
        r[0] = env->features[FEAT_6_EAX];
        break;
    case 7:
        if (count == 0) {
            r[0] = env->cpuid_level_func7;
            r[1] = env->features[FEAT_7_0_EBX];
            r[2] = env->features[FEAT_7_0_ECX];
            r[3] = env->features[FEAT_7_0_EDX];
        } else if (count == 1) {
            r[0] = env->features[FEAT_7_1_EAX];
            r[3] = env->features[FEAT_7_1_EDX];
        } else if (count == 2) {
            r[3] = env->features[FEAT_7_2_EDX];
        }
        break;
    case 0xa:
        if (cpu->enable_pmu && kvm_enabled()) {
            for (int i = 0; i < 4; i++) {
                r[i] = kvm_arch_get_supported_cpuid(kvm_state, 0xa, 0, i);
            }
        }
        break;
    case 0xb:
        if (cpu->cpuid_0xb) {
            topology_leaf(cpu, index, count, r);
        }
        break;
    case 0x1f:
        if (t.dies > 1) {
            topology_leaf(cpu, index, count, r);
        }
        break;
    case 0xd:
        xsave_leaf(env, count, r);
        break;
    case 0x1d:
    case 0x1e:
        /* AMX: what the processor's tiles are. */
        if (env->features[FEAT_7_0_EDX] & (1u << 24)) {
            x86_host_cpuid(index, count, r);
        }
        break;
    case 0x24:
        if ((env->features[FEAT_7_1_EDX] & (1u << 19)) && count == 0) {
            r[1] = env->features[FEAT_24_0_EBX] | cpu->avx10_version;
        }
        break;
    case 0x80000000:
        r[0] = env->cpuid_xlevel;
        r[1] = env->cpuid_vendor[0];
        r[2] = env->cpuid_vendor[2];
        r[3] = env->cpuid_vendor[1];
        break;
    case 0x80000001:
        r[0] = env->cpuid_version;
        r[2] = env->features[FEAT_8000_0001_ECX];
        r[3] = env->features[FEAT_8000_0001_EDX];
        if (t.cpus > 1 && x86_cpu_is_amd(env)) {
            r[2] |= 1 << 1; /* cmp-legacy */
        }
        break;
    case 0x80000002 ... 0x80000004:
        memcpy(r, &env->cpuid_model[(index - 0x80000002) * 4], 16);
        break;
    case 0x80000005:
        c = caches_of(cpu, true);
        r[0] = r[1] = 0x01ff01ff; /* translation caches: 255 entries each */
        r[2] = amd_l1(&c[0]);
        r[3] = amd_l1(&c[1]);
        break;
    case 0x80000006:
        c = caches_of(cpu, true);
        r[1] = 0x42004200;
        r[2] = (cache_size(&c[2]) / 1024) << 16 | amd_associativity(c[2].ways) << 12 |
            c[2].lines_per_tag << 8 | c[2].line_size;
        if (cpu->l3_cache) {
            r[3] = (cache_size(&c[3]) / (512 * 1024)) << 18 | amd_associativity(c[3].ways) << 12 |
                c[3].lines_per_tag << 8 | c[3].line_size;
        }
        break;
    case 0x80000007:
        r[1] = env->features[FEAT_8000_0007_EBX];
        r[3] = env->features[FEAT_8000_0007_EDX];
        break;
    case 0x80000008: {
        bool lm = env->features[FEAT_8000_0001_EDX] & (1u << 29);

        r[0] = x86_cpu_effective_phys_bits(cpu, NULL);
        if (lm) {
            r[0] |= (env->features[FEAT_7_0_ECX] & (1u << 16) ? 57 : 48) << 8;
            if (cpu->guest_phys_bits != UINT32_MAX) {
                r[0] |= cpu->guest_phys_bits << 16;
            }
        }
        r[1] = env->features[FEAT_8000_0008_EBX];
        if (t.cpus > 1) {
            r[2] = t.package_offset << 12 | (t.cpus - 1);
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
        if (has_amd_topology(env)) {
            cache_leaf(cpu, true, count, r);
        }
        break;
    case 0x8000001e:
        if (has_amd_topology(env)) {
            r[0] = cpu->apic_id;
            r[1] = (t.threads - 1) << 8 |
                (cpu->apic_id >> t.core_offset & ((1u << (t.package_offset - t.core_offset)) - 1));
            r[2] = (t.dies - 1) << 8 | (cpu->apic_id >> t.die_offset & 0xff);
        }
        break;
    case 0x80000021:
        r[0] = env->features[FEAT_8000_0021_EAX];
        r[1] = env->features[FEAT_8000_0021_EBX];
        break;
    case 0x80000022:
        r[0] = cpu->enable_pmu ? env->features[FEAT_8000_0022_EAX] : 0;
        break;
    case 0xc0000000:
        r[0] = env->cpuid_xlevel2;
        break;
    case 0xc0000001:
        r[0] = env->cpuid_version;
        r[3] = env->features[FEAT_C000_0001_EDX];
        break;
    }
}

void cpu_x86_cpuid(CPUX86State *env, uint32_t index, uint32_t count, uint32_t *eax, uint32_t *ebx,
                   uint32_t *ecx, uint32_t *edx)
{
    uint32_t limit = index >= 0xc0000000 ? env->cpuid_xlevel2
        : index >= 0x80000000 ? env->cpuid_xlevel : env->cpuid_level;
    uint32_t r[4] = { 0 };

    if (index > limit) {
        index = env->cpuid_level; /* what Intel's do; nobody relies on it */
    }
    basic_leaf(env_archcpu(env), index, count, r);
    *eax = r[0];
    *ebx = r[1];
    *ecx = r[2];
    *edx = r[3];
}
