/*
 * A nested hypervisor's state in the stream: subsection "cpu/nested_state" of section "cpu".
 *
 * The kernel hands it out as one block (struct kvm_nested_state); on the way it is split into a
 * header, and one or two pages where there is a guest within the guest. Its layout follows from
 * format: 0 for VMX, 1 for SVM.
 *
 * Relies on X86CPU.env.nested_state: there where the kernel can keep such state for this CPU, NULL
 * where it can't.
 *
 * SPDX-License-Identifier: GPL-2.0-or-later
 */
#include "qemu/osdep.h"
#include "qemu/error-report.h"
#include "cpu.h"
#include "migration/vmstate.h"

static bool nested_vmcs12_needed(void *opaque)
{
    X86NestedState *n = opaque;

    return n->size > X86_NESTED_HDR_SIZE;
}

static bool nested_shadow_needed(void *opaque)
{
    X86NestedState *n = opaque;

    return n->size > X86_NESTED_HDR_SIZE + 4096;
}

static bool nested_vmx_needed(void *opaque)
{
    return ((X86NestedState *)opaque)->format == 0;
}

static bool nested_svm_needed(void *opaque)
{
    X86NestedState *n = opaque;

    return n->format == 1;
}

/*
 * The header begins with the fields that travel: for VMX two addresses (vmxon, vmcs12) and 16 bits
 * of SMM flags, for SVM one address (vmcb). Their places are the kernel's ABI.
 */
typedef struct NestedTmp {
    X86NestedState *parent;
    uint64_t addr[2];
    uint16_t smm_flags;
} NestedTmp;

static int nested_tmp_pre_save(void *opaque)
{
    NestedTmp *t = opaque;

    memcpy(t->addr, t->parent->hdr, sizeof(t->addr));
    memcpy(&t->smm_flags, t->parent->hdr + 16, 2);
    return 0;
}

static int nested_vmx_tmp_post_load(void *opaque, int version_id)
{
    NestedTmp *t = opaque;

    memcpy(t->parent->hdr, t->addr, sizeof(t->addr));
    memcpy(t->parent->hdr + 16, &t->smm_flags, 2);
    return 0;
}

static int nested_svm_tmp_post_load(void *opaque, int version_id)
{
    NestedTmp *t = opaque;

    memcpy(t->parent->hdr, &t->addr[0], sizeof(t->addr[0]));
    return 0;
}

static const VMStateDescription vmstate_nested_vmx_tmp = {
    .name = "vmx-header",
    .pre_save = nested_tmp_pre_save,
    .post_load = nested_vmx_tmp_post_load,
    .fields = (const VMStateField[]) {
        VMSTATE_UINT64(addr[0], NestedTmp),
        VMSTATE_UINT64(addr[1], NestedTmp),
        VMSTATE_UINT16(smm_flags, NestedTmp),
        VMSTATE_END_OF_LIST()
    },
};

static const VMStateDescription vmstate_nested_svm_tmp = {
    .name = "svm-header",
    .pre_save = nested_tmp_pre_save,
    .post_load = nested_svm_tmp_post_load,
    .fields = (const VMStateField[]) {
        VMSTATE_UINT64(addr[0], NestedTmp),
        VMSTATE_END_OF_LIST()
    },
};

static const VMStateDescription vmstate_nested_vmcs12 = {
    .name = "cpu/kvm_nested_state/vmx/vmcs12",
    .version_id = 1,
    .minimum_version_id = 1,
    .needed = nested_vmcs12_needed,
    .fields = (const VMStateField[]) {
        VMSTATE_UINT8_SUB_ARRAY(data, X86NestedState, 0, 4096),
        VMSTATE_END_OF_LIST()
    },
};

static const VMStateDescription vmstate_nested_shadow = {
    .name = "cpu/kvm_nested_state/vmx/shadow_vmcs12",
    .version_id = 1,
    .minimum_version_id = 1,
    .needed = nested_shadow_needed,
    .fields = (const VMStateField[]) {
        VMSTATE_UINT8_SUB_ARRAY(data, X86NestedState, 4096, 4096),
        VMSTATE_END_OF_LIST()
    },
};

static const VMStateDescription vmstate_nested_vmx = {
    .name = "cpu/kvm_nested_state/vmx",
    .version_id = 1,
    .minimum_version_id = 1,
    .needed = nested_vmx_needed,
    .fields = (const VMStateField[]) {
        VMSTATE_WITH_TMP(X86NestedState, NestedTmp, vmstate_nested_vmx_tmp),
        VMSTATE_END_OF_LIST()
    },
    .subsections = (const VMStateDescription *const[]) {
        &vmstate_nested_vmcs12,
        &vmstate_nested_shadow,
        NULL
    },
};

static const VMStateDescription vmstate_nested_svm = {
    .name = "cpu/kvm_nested_state/svm",
    .version_id = 1,
    .minimum_version_id = 1,
    .needed = nested_svm_needed,
    .fields = (const VMStateField[]) {
        VMSTATE_WITH_TMP(X86NestedState, NestedTmp, vmstate_nested_svm_tmp),
        VMSTATE_UINT8_SUB_ARRAY(data, X86NestedState, 0, 4096),
        VMSTATE_END_OF_LIST()
    },
};

static const VMStateDescription vmstate_nested_state_data = {
    .name = "cpu/kvm_nested_state",
    .version_id = 1,
    .minimum_version_id = 1,
    .fields = (const VMStateField[]) {
        VMSTATE_UINT16(flags, X86NestedState),
        VMSTATE_UINT16(format, X86NestedState),
        VMSTATE_UINT32(size, X86NestedState),
        VMSTATE_END_OF_LIST()
    },
    .subsections = (const VMStateDescription *const[]) {
        &vmstate_nested_vmx,
        &vmstate_nested_svm,
        NULL
    },
};

static bool nested_state_needed(void *opaque)
{
    X86CPU *cpu = opaque;
    X86NestedState *n = cpu->env.nested_state;

    /* Worth sending where virtualisation was turned on: flags, or more than an empty header. */
    return n && (n->size > X86_NESTED_HDR_SIZE || n->flags || (cpu->env.hflags & HF_GUEST_MASK));
}

/* Only where it can be kept: a stream must not decide what is allocated. */
static int nested_state_pre_load(void *opaque)
{
    X86CPU *cpu = opaque;
    X86NestedState *n = cpu->env.nested_state;

    if (!n) {
        error_report("cpu %d: the stream has a nested hypervisor's state (cpu/nested_state), but "
                     "this CPU has no virtualisation: its features vmx or svm, and a host with "
                     "nested KVM, are needed", CPU(cpu)->cpu_index);
        return -ENOTSUP;
    }
    memset(n, 0, sizeof(*n));
    return 0;
}

static int nested_state_post_load(void *opaque, int version_id)
{
    X86CPU *cpu = opaque;
    const X86NestedState *n = cpu->env.nested_state;
    bool svm = cpu->env.features[FEAT_8000_0001_ECX] & (1u << 2);
    uint32_t max = X86_NESTED_HDR_SIZE + (svm ? 4096u : (uint32_t)sizeof(n->data));

    if (n->format != svm) {
        error_report("cpu %d: nested state: format %u (0 VMX, 1 SVM) came, and this CPU has "
                     "%s: %u was expected", CPU(cpu)->cpu_index, n->format,
                     svm ? "SVM" : "VMX", svm);
        return -EINVAL;
    }
    if (n->size < X86_NESTED_HDR_SIZE || n->size > max) {
        error_report("cpu %d: nested state: size %u, expected %u to %u", CPU(cpu)->cpu_index,
                     n->size, X86_NESTED_HDR_SIZE, max);
        return -EINVAL;
    }
    if (n->flags & ~X86_NESTED_KNOWN_FLAGS) {
        error_report("cpu %d: nested state: flags 0x%x, of which 0x%x are known",
                     CPU(cpu)->cpu_index, n->flags, X86_NESTED_KNOWN_FLAGS);
        return -EINVAL;
    }
    return 0;
}

const VMStateDescription vmstate_x86_nested_state = {
    .name = "cpu/nested_state",
    .version_id = 1,
    .minimum_version_id = 1,
    .needed = nested_state_needed,
    .pre_load = nested_state_pre_load,
    .post_load = nested_state_post_load,
    .fields = (const VMStateField[]) {
        VMSTATE_STRUCT_POINTER(env.nested_state, X86CPU, vmstate_nested_state_data,
                               X86NestedState),
        VMSTATE_END_OF_LIST()
    },
};
