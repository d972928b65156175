/*
 * CPU models: names for sets of features that do not change, so that a guest can move between hosts
 * that have them. The feature words of a model are an interface: a guest must find the same CPU
 * after it moved, whatever program it moved to.
 *
 * SPDX-License-Identifier: GPL-2.0-or-later
 */
#include "qemu/osdep.h"
#include "cpu.h"
#include "cpu-models.h"

/* Leaf 1 EDX */
#define SSE_SSE2    (1u << 25 | 1u << 26)
#define PPRO_X86_64 (1u << 0 | 1u << 2 | 1u << 3 | 1u << 4 | 1u << 5 | 1u << 6 | 1u << 7 | 1u << 8 \
                     | 1u << 9 | 1u << 11 | 1u << 12 | 1u << 13 | 1u << 14 | 1u << 15 | 1u << 16 \
                     | 1u << 17 | 1u << 19 | 1u << 23 | 1u << 24 | SSE_SSE2)

#define ECX_SSE3    (1u << 0)
#define ECX_SSSE3   (1u << 9)
#define ECX_CX16    (1u << 13)
#define ECX_SSE41   (1u << 19)
#define ECX_SSE42   (1u << 20)
#define ECX_POPCNT  (1u << 23)
#define ECX_HYPERVISOR (1u << 31)

#define EXT_SYSCALL (1u << 11)
#define EXT_NX      (1u << 20)
#define EXT_LM      (1u << 29)
#define EXT_LAHF    (1u << 0)
#define EXT_SVM     (1u << 2)

static const X86CPUDefinition models[] = {
    {
        .name = "qemu64",
        .level = 0xd,
        .xlevel = 0x8000000a,
        .vendor = "AuthenticAMD",
        .family = 15, .model = 107, .stepping = 1,
        .model_id = "QEMU Virtual CPU version 2.5+",
        .features = {
            [FEAT_1_EDX] = PPRO_X86_64,
            [FEAT_1_ECX] = ECX_SSE3 | ECX_CX16 | ECX_HYPERVISOR,
            [FEAT_8000_0001_EDX] = EXT_LM | EXT_SYSCALL | EXT_NX,
            [FEAT_8000_0001_ECX] = EXT_LAHF | EXT_SVM,
        },
    },
    {
        .name = "kvm64",
        .level = 0xd,
        .xlevel = 0x80000008,
        .vendor = "GenuineIntel",
        .family = 15, .model = 6, .stepping = 1,
        .model_id = "Common KVM processor",
        .features = {
            [FEAT_1_EDX] = PPRO_X86_64 | 1u << 1,
            [FEAT_1_ECX] = ECX_SSE3 | ECX_CX16 | ECX_HYPERVISOR,
            [FEAT_8000_0001_EDX] = EXT_LM | EXT_SYSCALL | EXT_NX,
        },
    },
    {
        .name = "qemu32",
        .level = 4,
        .xlevel = 0x80000004,
        .vendor = "GenuineIntel",
        .family = 6, .model = 6, .stepping = 3,
        .model_id = "QEMU Virtual CPU version 2.5+",
        .features = {
            [FEAT_1_EDX] = PPRO_X86_64 & ~(1u << 19),
            [FEAT_1_ECX] = ECX_SSE3 | ECX_HYPERVISOR,
        },
    },
    {
        .name = "Nehalem",
        .level = 11,
        .xlevel = 0x80000008,
        .vendor = "GenuineIntel",
        .family = 6, .model = 26, .stepping = 3,
        .model_id = "Intel Core i7 9xx (Nehalem Class Core i7)",
        .features = {
            [FEAT_1_EDX] = PPRO_X86_64 | 1u << 1,
            [FEAT_1_ECX] = ECX_SSE3 | ECX_SSSE3 | ECX_CX16 | ECX_SSE41 | ECX_SSE42 | ECX_POPCNT
                | ECX_HYPERVISOR,
            [FEAT_8000_0001_EDX] = EXT_LM | EXT_SYSCALL | EXT_NX,
            [FEAT_8000_0001_ECX] = EXT_LAHF,
        },
    },
};

const X86CPUDefinition *x86_cpu_models(unsigned *nr)
{
    *nr = ARRAY_SIZE(models);
    return models;
}
