/*
 * Section "kvm-tpr-opt": the state of a scheme by which 32-bit guests with a certain option ROM
 * change their task priority without leaving guest code. There is no such ROM here, so nothing
 * ever happens;
 * but machines of the same kind elsewhere have the section, and streams carry it.
 *
 * SPDX-License-Identifier: GPL-2.0-or-later
 */
#include "qemu/osdep.h"
#include "hw/i386/kvm_irqchip.h"
#include "hw/sysbus.h"
#include "migration/vmstate.h"

OBJECT_DECLARE_SIMPLE_TYPE(KVMVAPICState, KVM_VAPIC)

typedef struct Handlers {
    uint32_t set_tpr, set_tpr_eax, get_tpr[8], get_tpr_stack;
} Handlers;

typedef struct ROMState {
    uint32_t vaddr, fixup_start, fixup_end, vapic_vaddr, vapic_size, vcpu_shift, real_tpr_addr;
    Handlers up, mp;
} ROMState;

struct KVMVAPICState {
    SysBusDevice parent_obj;

    ROMState rom_state;
    uint32_t state;             /* 0: not in use */
    uint32_t real_tpr_addr, rom_state_vaddr, vapic_paddr, rom_state_paddr;
};

static const VMStateDescription vmstate_handlers = {
    .name = "kvmvapic-handlers",
    .version_id = 1,
    .minimum_version_id = 1,
    .fields = (const VMStateField[]) {
        VMSTATE_UINT32(set_tpr, Handlers),
        VMSTATE_UINT32(set_tpr_eax, Handlers),
        VMSTATE_UINT32_ARRAY(get_tpr, Handlers, 8),
        VMSTATE_UINT32(get_tpr_stack, Handlers),
        VMSTATE_END_OF_LIST()
    },
};

static const VMStateDescription vmstate_rom_state = {
    .name = "kvmvapic-guest-rom",
    .version_id = 1,
    .minimum_version_id = 1,
    .fields = (const VMStateField[]) {
        VMSTATE_UNUSED(8),
        VMSTATE_UINT32(vaddr, ROMState),
        VMSTATE_UINT32(fixup_start, ROMState),
        VMSTATE_UINT32(fixup_end, ROMState),
        VMSTATE_UINT32(vapic_vaddr, ROMState),
        VMSTATE_UINT32(vapic_size, ROMState),
        VMSTATE_UINT32(vcpu_shift, ROMState),
        VMSTATE_UINT32(real_tpr_addr, ROMState),
        VMSTATE_STRUCT(up, ROMState, 0, vmstate_handlers, Handlers),
        VMSTATE_STRUCT(mp, ROMState, 0, vmstate_handlers, Handlers),
        VMSTATE_END_OF_LIST()
    },
};

static const VMStateDescription vmstate_vapic = {
    .name = "kvm-tpr-opt",
    .version_id = 1,
    .minimum_version_id = 1,
    .fields = (const VMStateField[]) {
        VMSTATE_STRUCT(rom_state, KVMVAPICState, 0, vmstate_rom_state, ROMState),
        VMSTATE_UINT32(state, KVMVAPICState),
        VMSTATE_UINT32(real_tpr_addr, KVMVAPICState),
        VMSTATE_UINT32(rom_state_vaddr, KVMVAPICState),
        VMSTATE_UINT32(vapic_paddr, KVMVAPICState),
        VMSTATE_UINT32(rom_state_paddr, KVMVAPICState),
        VMSTATE_END_OF_LIST()
    },
};

static void vapic_reset(DeviceState *dev)
{
    KVMVAPICState *s = KVM_VAPIC(dev);

    memset(&s->rom_state, 0, sizeof(s->rom_state));
    s->state = s->real_tpr_addr = s->rom_state_vaddr = s->vapic_paddr = s->rom_state_paddr = 0;
}

static void vapic_class_init(ObjectClass *oc, void *data)
{
    DeviceClass *dc = DEVICE_CLASS(oc);

    device_class_set_legacy_reset(dc, vapic_reset);
    dc->vmsd = &vmstate_vapic;
    dc->user_creatable = false;
}

static const TypeInfo vapic_types[] = {
    {
        .name = TYPE_KVM_VAPIC,
        .parent = TYPE_SYS_BUS_DEVICE,
        .instance_size = sizeof(KVMVAPICState),
        .class_init = vapic_class_init,
    },
};
DEFINE_TYPES(vapic_types)
