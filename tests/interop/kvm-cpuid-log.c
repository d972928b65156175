/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * To be preloaded (LD_PRELOAD) into an emulator: writes the CPUID table that it gives to KVM for
 * its first vCPU to the file that CPUID_LOG names, a line an entry:
 *
 *     LEAF SUBLEAF FLAGS EAX EBX ECX EDX
 *
 * What a guest sees of it depends on the kernel too; this is what the emulator meant. MSRs that
 * CPUID has taken for features (0x10a and its kin) follow as "msr INDEX VALUE".
 */
#include <dlfcn.h>
#include <linux/kvm.h>
#include <stdarg.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>

__attribute__((visibility("default"))) int ioctl(int fd, unsigned long request, ...)
{
    static int (*real)(int, unsigned long, ...);
    static int tables;
    const char *path = getenv("CPUID_LOG");
    va_list ap;
    void *arg;

    va_start(ap, request);
    arg = va_arg(ap, void *);
    va_end(ap);
    if (!real) {
        real = (int (*)(int, unsigned long, ...))(uintptr_t)dlsym(RTLD_NEXT, "ioctl");
    }
    if (request == KVM_SET_CPUID2 && path && !tables++) {
        const struct kvm_cpuid2 *table = arg;
        FILE *f = fopen(path, "w");

        for (uint32_t i = 0; f && i < table->nent; i++) {
            const struct kvm_cpuid_entry2 *e = &table->entries[i];

            fprintf(f, "%08x %08x %x %08x %08x %08x %08x\n", e->function,
                    e->flags & KVM_CPUID_FLAG_SIGNIFCANT_INDEX ? e->index : 0, e->flags,
                    e->eax, e->ebx, e->ecx, e->edx);
        }
        if (f) {
            fclose(f);
        }
    }
    return real(fd, request, arg);
}
