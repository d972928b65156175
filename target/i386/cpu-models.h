/*
 * The tables of CPU features and models: between cpu-tables.c, which a script makes, and the files
 * that use them.
 *
 * SPDX-License-Identifier: GPL-2.0-or-later
 */
#ifndef TARGET_I386_CPU_MODELS_H
#define TARGET_I386_CPU_MODELS_H

#include "cpu.h"

/** A word of features: an output of CPUID, or an MSR (@msr not zero). */
typedef struct X86FeatureWordInfo {
    uint32_t leaf, subleaf;
    int reg;                    /* 0 EAX, 1 EBX, 2 ECX, 3 EDX */
    uint32_t msr;
    const char *names[32];      /* NULL: a bit without a name */
} X86FeatureWordInfo;

/** Other spellings of a name; the last has NULL. */
typedef struct X86FeatureAlias {
    const char *alias, *name;
} X86FeatureAlias;

enum { CACHE_DATA = 1, CACHE_INSTRUCTION, CACHE_UNIFIED };

/** A cache, in the terms of CPUID leaves 4 and 0x8000001d. Three of them: L1 (two), L2, L3. */
typedef struct X86CacheInfo {
    uint8_t type, level;
    uint16_t line_size, partitions, ways;
    uint32_t sets;
    uint8_t lines_per_tag;
    bool self_init, no_invd_sharing, inclusive, complex_indexing;
} X86CacheInfo;

/** A model, of a version: what CPUID says of it before features are changed. */
struct X86CPUDefinition {
    const char *name;           /* NAME-vN */
    uint32_t level, xlevel, xlevel2; /* at least */
    const char *vendor;         /* twelve characters */
    uint32_t family, model, stepping;
    const char *model_id;
    uint8_t avx10_version;
    const X86CacheInfo *caches; /* four; NULL: those that all models had once */
    FeatureWordArray features;
};

/**
 * Another name of a model. @fixed: always that one; NULL: the version that the machine wants, which
 * is -v1, or the latest.
 */
typedef struct X86CPUAlias {
    const char *name, *fixed;
} X86CPUAlias;

extern const X86FeatureWordInfo x86_feature_words[FEATURE_WORDS];
extern const X86FeatureAlias x86_feature_aliases[];
extern const X86CPUAlias x86_cpu_aliases[];
/** Features of nested VMX that are MSRs; known by name only. The last is NULL. */
extern const char *const x86_vmx_feature_names[];

const X86CPUDefinition *x86_cpu_models(unsigned *nr);
const X86CPUDefinition *x86_cpu_model_by_name(const char *name);
/**
 * What "NAME" stands for: itself where it is a model of a version, NULL where there is no such
 * model. @latest: what the machine wants of names that do not say the version.
 */
const char *x86_cpu_resolve_alias(const char *name, bool latest);

#endif
