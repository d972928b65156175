/*
 * Names of RAM blocks in the stream, and which of them migrate.
 *
 * SPDX-License-Identifier: GPL-2.0-or-later
 */
#include "qemu/osdep.h"
#include "migration/vmstate.h"
#include "system/memory.h"
#include "system/ramblock.h"

void vmstate_register_ram(MemoryRegion *mr, DeviceState *dev)
{
    VMStateIf *vmif = dev ? (VMStateIf *)object_dynamic_cast(OBJECT(dev), TYPE_VMSTATE_IF) : NULL;
    g_autofree char *path = vmstate_if_get_id(vmif);

    qemu_ram_set_idstr(mr->ram_block, memory_region_name(mr), path);
    qemu_ram_set_migratable(mr->ram_block);
}

void vmstate_unregister_ram(MemoryRegion *mr, DeviceState *dev)
{
    qemu_ram_unset_idstr(mr->ram_block);
    qemu_ram_unset_migratable(mr->ram_block);
}

void vmstate_register_ram_global(MemoryRegion *mr)
{
    vmstate_register_ram(mr, NULL);
}
