/*
 * Memory regions: making them, linking them into trees, asking about them.
 *
 * Relies on system/physmem.c for the RAM below, and on system/memory-view.c to render trees.
 * Trees belong to the holder of the BQL. A region that is embedded in its owner lives as long as
 * the owner does; flat views keep the owner alive while they show the region.
 *
 * SPDX-License-Identifier: GPL-2.0-or-later
 */
#include "qemu/osdep.h"
#include "hw/vmstate-if.h"
#include "memory-internal.h"
#include "qapi/visitor.h"
#include "qemu/error-report.h"
#include "qom/object.h"

static uint64_t region_last(const MemoryRegion *mr)
{
    return mr->size == UINT64_MAX ? UINT64_MAX : mr->size - 1;
}

void memory_region_ref(MemoryRegion *mr)
{
    if (mr && mr->owner) {
        object_ref(mr->owner);
    }
}

void memory_region_unref(MemoryRegion *mr)
{
    if (mr && mr->owner) {
        object_unref(mr->owner);
    }
}

/* Property names are path components: no slash in them. */
static char *child_property_name(const char *name)
{
    char *prop = g_strdup_printf("%s[*]", name);

    g_strdelimit(prop, "/", '_');
    return prop;
}

void memory_region_init(MemoryRegion *mr, Object *owner, const char *name, uint64_t size)
{
    object_initialize(mr, sizeof(*mr), TYPE_MEMORY_REGION);
    mr->size = size;
    mr->name = g_strdup(name);
    mr->owner = owner;
    if (owner && name) {
        g_autofree char *prop = child_property_name(name);

        object_property_add_child(owner, prop, OBJECT(mr));
        object_unref(OBJECT(mr));
    }
}

static uint64_t empty_read(void *opaque, hwaddr addr, unsigned size)
{
    return 0;
}

static void empty_write(void *opaque, hwaddr addr, uint64_t data, unsigned size)
{
}

static bool empty_accepts(void *opaque, hwaddr addr, unsigned size, bool is_write, MemTxAttrs attrs)
{
    return false;
}

/* For regions whose maker gave no operations: nobody answers. */
static const MemoryRegionOps empty_ops = {
    .read = empty_read,
    .write = empty_write,
    .valid.accepts = empty_accepts,
};

void memory_region_init_io(MemoryRegion *mr, Object *owner, const MemoryRegionOps *ops,
                           void *opaque, const char *name, uint64_t size)
{
    memory_region_init(mr, owner, name, size);
    mr->ops = ops ? ops : &empty_ops;
    mr->opaque = opaque;
    mr->terminates = true;
}

/* -- RAM ------------------------------------------------------------------------------------- */

static bool adopt_block(MemoryRegion *mr, RAMBlock *block)
{
    if (!block) {
        /* The region stays a valid, empty one: its owner will be finalized with it. */
        mr->size = 0;
        return false;
    }
    mr->ram = true;
    mr->terminates = true;
    mr->ram_owned = true;
    mr->ram_block = block;
    return true;
}

bool memory_region_init_ram_flags_nomigrate(MemoryRegion *mr, Object *owner, const char *name,
                                            uint64_t size, uint32_t ram_flags, Error **errp)
{
    memory_region_init(mr, owner, name, size);
    return adopt_block(mr, qemu_ram_alloc(size, ram_flags, mr, errp));
}

bool memory_region_init_ram_nomigrate(MemoryRegion *mr, Object *owner, const char *name,
                                      uint64_t size, Error **errp)
{
    return memory_region_init_ram_flags_nomigrate(mr, owner, name, size, 0, errp);
}

void memory_region_init_ram_ptr(MemoryRegion *mr, Object *owner, const char *name, uint64_t size,
                                void *ptr)
{
    memory_region_init(mr, owner, name, size);
    adopt_block(mr, qemu_ram_alloc_from_ptr(size, ptr, mr, &error_abort));
}

bool memory_region_init_ram_from_fd(MemoryRegion *mr, Object *owner, const char *name,
                                    uint64_t size, uint32_t ram_flags, int fd, ram_addr_t offset,
                                    Error **errp)
{
    memory_region_init(mr, owner, name, size);
    mr->readonly = ram_flags & RAM_READONLY;
    return adopt_block(mr, qemu_ram_alloc_from_fd(size, mr, ram_flags, fd, offset, errp));
}

bool memory_region_init_ram_from_file(MemoryRegion *mr, Object *owner, const char *name,
                                      uint64_t size, uint64_t align, uint32_t ram_flags,
                                      const char *path, ram_addr_t offset, Error **errp)
{
    memory_region_init(mr, owner, name, size);
    if (align && (!is_power_of_2(align) || !QEMU_IS_ALIGNED(offset, align))) {
        error_setg(errp, "memory '%s': alignment 0x%" PRIx64 " is not a power of two that divides "
                   "the offset", name, align);
        mr->size = 0;
        return false;
    }
    mr->readonly = ram_flags & RAM_READONLY;
    return adopt_block(mr, qemu_ram_alloc_from_file(size, mr, ram_flags, path, offset, errp));
}

/* Give the block its name in the stream: the owner's path, if it has one, and the region's name. */
static void make_migratable(MemoryRegion *mr)
{
    g_autofree char *path = NULL;

    if (mr->owner && object_dynamic_cast(mr->owner, TYPE_VMSTATE_IF)) {
        path = vmstate_if_get_id(VMSTATE_IF(mr->owner));
    }
    qemu_ram_set_idstr(mr->ram_block, mr->name, path);
    qemu_ram_set_migratable(mr->ram_block);
}

bool memory_region_init_ram(MemoryRegion *mr, Object *owner, const char *name, uint64_t size,
                            Error **errp)
{
    if (!memory_region_init_ram_nomigrate(mr, owner, name, size, errp)) {
        return false;
    }
    make_migratable(mr);
    return true;
}

bool memory_region_init_rom_nomigrate(MemoryRegion *mr, Object *owner, const char *name,
                                      uint64_t size, Error **errp)
{
    if (!memory_region_init_ram_nomigrate(mr, owner, name, size, errp)) {
        return false;
    }
    mr->readonly = true;
    return true;
}

bool memory_region_init_rom(MemoryRegion *mr, Object *owner, const char *name, uint64_t size,
                            Error **errp)
{
    if (!memory_region_init_rom_nomigrate(mr, owner, name, size, errp)) {
        return false;
    }
    make_migratable(mr);
    return true;
}

bool memory_region_init_resizeable_ram(MemoryRegion *mr, Object *owner, const char *name,
                                       uint64_t size, uint64_t max,
                                       void (*resized)(const char *, uint64_t, void *),
                                       Error **errp)
{
    memory_region_init(mr, owner, name, size);
    if (!adopt_block(mr, qemu_ram_alloc_resizeable(size, max, resized, mr, errp))) {
        return false;
    }
    make_migratable(mr);
    return true;
}

void memory_region_init_alias(MemoryRegion *mr, Object *owner, const char *name, MemoryRegion *orig,
                              hwaddr offset, uint64_t size)
{
    memory_region_init(mr, owner, name, size);
    mr->alias = orig;
    mr->alias_offset = offset;
    orig->mapped_via_alias++;
}

/* -- Questions ------------------------------------------------------------------------------- */

Object *memory_region_owner(MemoryRegion *mr)
{
    return mr->owner;
}

uint64_t memory_region_size(MemoryRegion *mr)
{
    return mr->size;
}

const char *memory_region_name(const MemoryRegion *mr)
{
    return mr->name ? mr->name : "";
}

bool memory_region_is_mapped(MemoryRegion *mr)
{
    return mr->container || mr->mapped_via_alias;
}

void *memory_region_get_ram_ptr(MemoryRegion *mr)
{
    uint64_t offset = 0;

    while (mr->alias) {
        offset += mr->alias_offset;
        mr = mr->alias;
    }
    assert(mr->ram_block);
    return mr->ram_block->host + offset;
}

ram_addr_t memory_region_get_ram_addr(MemoryRegion *mr)
{
    return mr->ram_block ? mr->ram_block->offset : RAM_ADDR_INVALID;
}

int memory_region_get_fd(MemoryRegion *mr)
{
    while (mr->alias) {
        mr = mr->alias;
    }
    return mr->ram_block ? mr->ram_block->fd : -1;
}

MemoryRegion *memory_region_from_host(void *ptr, ram_addr_t *offset)
{
    RAMBlock *block = qemu_ram_block_from_host(ptr, offset);

    return block ? block->mr : NULL;
}

/* -- Trees ----------------------------------------------------------------------------------- */

void memory_region_add_subregion_overlap(MemoryRegion *mr, hwaddr offset, MemoryRegion *subregion,
                                         int priority)
{
    MemoryRegion *other;

    assert(!subregion->container);
    memory_region_transaction_begin();
    memory_region_ref(subregion);
    subregion->container = mr;
    subregion->addr = offset;
    subregion->priority = priority;

    /* Of equals the one that came last shows. */
    QTAILQ_FOREACH(other, &mr->subregions, subregions_link) {
        if (subregion->priority >= other->priority) {
            QTAILQ_INSERT_BEFORE(other, subregion, subregions_link);
            goto done;
        }
    }
    QTAILQ_INSERT_TAIL(&mr->subregions, subregion, subregions_link);
done:
    memory_region_update_needed();
    memory_region_transaction_commit();
}

void memory_region_add_subregion(MemoryRegion *mr, hwaddr offset, MemoryRegion *subregion)
{
    memory_region_add_subregion_overlap(mr, offset, subregion, 0);
}

void memory_region_del_subregion(MemoryRegion *mr, MemoryRegion *subregion)
{
    assert(subregion->container == mr);
    memory_region_transaction_begin();
    subregion->container = NULL;
    QTAILQ_REMOVE(&mr->subregions, subregion, subregions_link);
    memory_region_update_needed();
    memory_region_transaction_commit();
    memory_region_unref(subregion);
}

void memory_region_set_enabled(MemoryRegion *mr, bool enabled)
{
    if (mr->enabled != enabled) {
        memory_region_transaction_begin();
        mr->enabled = enabled;
        memory_region_update_needed();
        memory_region_transaction_commit();
    }
}

void memory_region_set_address(MemoryRegion *mr, hwaddr addr)
{
    if (mr->addr != addr) {
        memory_region_transaction_begin();
        mr->addr = addr;
        if (mr->container) {
            memory_region_update_needed();
        }
        memory_region_transaction_commit();
    }
}

void memory_region_set_size(MemoryRegion *mr, uint64_t size)
{
    if (mr->size != size) {
        memory_region_transaction_begin();
        mr->size = size;
        memory_region_update_needed();
        memory_region_transaction_commit();
    }
}

void memory_region_set_alias_offset(MemoryRegion *mr, hwaddr offset)
{
    assert(mr->alias);
    if (mr->alias_offset != offset) {
        memory_region_transaction_begin();
        mr->alias_offset = offset;
        memory_region_update_needed();
        memory_region_transaction_commit();
    }
}

void memory_region_set_readonly(MemoryRegion *mr, bool readonly)
{
    if (mr->readonly != readonly) {
        memory_region_transaction_begin();
        mr->readonly = readonly;
        memory_region_update_needed();
        memory_region_transaction_commit();
    }
}

void memory_region_clear_global_locking(MemoryRegion *mr)
{
    mr->global_locking = false;
}

void memory_region_set_log(MemoryRegion *mr, bool log, unsigned client)
{
    uint8_t bit = 1u << client;
    uint8_t mask = log ? mr->dirty_log_mask | bit : mr->dirty_log_mask & ~bit;

    assert(client < 8 && mr->ram);
    if (mask != mr->dirty_log_mask) {
        memory_region_transaction_begin();
        mr->dirty_log_mask = mask;
        memory_region_update_needed();
        memory_region_transaction_commit();
    }
}

void memory_region_set_dirty(MemoryRegion *mr, hwaddr addr, hwaddr size)
{
    assert(mr->ram_block);
    ram_block_set_dirty(mr->ram_block, addr, size);
}

/* -- The QOM type ---------------------------------------------------------------------------- */

static void get_addr(Object *obj, Visitor *v, const char *name, void *opaque, Error **errp)
{
    uint64_t value = MEMORY_REGION(obj)->addr;

    visit_type_uint64(v, name, &value, errp);
}

static void get_size(Object *obj, Visitor *v, const char *name, void *opaque, Error **errp)
{
    uint64_t value = MEMORY_REGION(obj)->size;

    visit_type_uint64(v, name, &value, errp);
}

static void get_priority(Object *obj, Visitor *v, const char *name, void *opaque, Error **errp)
{
    int32_t value = MEMORY_REGION(obj)->priority;

    visit_type_int32(v, name, &value, errp);
}

static char *get_container(Object *obj, Error **errp)
{
    MemoryRegion *mr = MEMORY_REGION(obj);

    return mr->container ? object_get_canonical_path(OBJECT(mr->container)) : g_strdup("");
}

static void memory_region_instance_init(Object *obj)
{
    MemoryRegion *mr = MEMORY_REGION(obj);

    mr->enabled = true;
    mr->global_locking = true;
    mr->ops = &empty_ops;
    QTAILQ_INIT(&mr->subregions);
}

static void memory_region_finalize(Object *obj)
{
    MemoryRegion *mr = MEMORY_REGION(obj);

    assert(!mr->container);
    /*
     * Children that outlive their container fall out of the tree. They can't be seen (the flat
     * views would have kept this region's owner alive), so there is nothing to render.
     */
    while (!QTAILQ_EMPTY(&mr->subregions)) {
        MemoryRegion *sub = QTAILQ_FIRST(&mr->subregions);

        sub->container = NULL;
        QTAILQ_REMOVE(&mr->subregions, sub, subregions_link);
        memory_region_unref(sub);
    }
    if (mr->alias) {
        mr->alias->mapped_via_alias--;
    }
    if (mr->ram_owned) {
        qemu_ram_free(mr->ram_block);
    }
    g_free(mr->name);
}

static void memory_region_class_init(ObjectClass *oc, void *data)
{
    object_class_property_add(oc, "addr", "uint64", get_addr, NULL, NULL, NULL);
    object_class_property_add(oc, "size", "uint64", get_size, NULL, NULL, NULL);
    object_class_property_add(oc, "priority", "int32", get_priority, NULL, NULL, NULL);
    object_class_property_add_str(oc, "container", get_container, NULL);
}

static const TypeInfo memory_region_info = {
    .name = TYPE_MEMORY_REGION,
    .parent = TYPE_OBJECT,
    .instance_size = sizeof(MemoryRegion),
    .instance_init = memory_region_instance_init,
    .instance_finalize = memory_region_finalize,
    .class_init = memory_region_class_init,
};

static void memory_register_types(void)
{
    type_register_static(&memory_region_info);
}
type_init(memory_register_types)

/* -- Finding --------------------------------------------------------------------------------- */

MemoryRegionSection memory_region_find(MemoryRegion *mr, hwaddr addr, uint64_t size)
{
    MemoryRegionSection none = { .mr = NULL }, found;
    MemoryRegion *root = mr;
    AddressSpace *as = NULL;
    const FlatRange *fr;
    FlatView *view;
    hwaddr at = addr, last, next;
    GList *l;

    while (root->container) {
        at += root->addr;
        root = root->container;
    }
    for (l = address_spaces; l; l = l->next) {
        if (((AddressSpace *)l->data)->root == root) {
            as = l->data;
            break;
        }
    }
    if (!as || !size || addr > region_last(mr)) {
        return none;
    }
    last = size - 1 > UINT64_MAX - at ? UINT64_MAX : at + size - 1;

    view = address_space_get_flatview(as);
    fr = flatview_lookup(view, at, &next);
    if (!fr && next <= last && next > at) {
        fr = flatview_lookup(view, next, NULL);
    }
    if (!fr) {
        flatview_unref(view);
        return none;
    }
    found = flat_range_section(fr, NULL);
    at = MAX(at, fr->start);
    found.offset_within_region = fr->offset + (at - fr->start);
    found.offset_within_address_space = at;
    last = MIN(last, fr->last);
    found.size = last - at == UINT64_MAX ? UINT64_MAX : last - at + 1;
    memory_region_ref(fr->mr);
    flatview_unref(view);
    return found;
}
