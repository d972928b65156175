/*
 * `info mtree`: what memory looks like, as text.
 *
 * SPDX-License-Identifier: GPL-2.0-or-later
 */
#include "qemu/osdep.h"
#include "memory-internal.h"

static const char *region_type(const MemoryRegion *mr, bool readonly)
{
    return mr->ram ? (readonly ? "rom" : "ram") : "i/o";
}

static hwaddr region_end(hwaddr start, const MemoryRegion *mr)
{
    return mr->size == UINT64_MAX ? UINT64_MAX : start + (mr->size ? mr->size - 1 : 0);
}

static void put_owner(GString *out, const MemoryRegion *mr, bool owner)
{
    if (owner && mr->owner) {
        g_autofree char *path = object_get_canonical_path(mr->owner);

        g_string_append_printf(out, " owner:{%s}", path ? path : object_get_typename(mr->owner));
    }
}

static void put_region(GString *out, const MemoryRegion *mr, hwaddr base, int depth, bool owner,
                       bool disabled)
{
    MemoryRegion *sub;
    hwaddr start = base + mr->addr;

    if (mr->enabled || disabled) {
        g_string_append_printf(out, "%*s" HWADDR_FMT_plx "-" HWADDR_FMT_plx " (prio %d, %s): ",
                               depth * 2, "", start, region_end(start, mr), mr->priority,
                               region_type(mr->alias ? mr->alias : mr, mr->readonly));
        if (mr->alias) {
            g_string_append_printf(out, "alias %s @%s " HWADDR_FMT_plx "-" HWADDR_FMT_plx,
                                   memory_region_name(mr), memory_region_name(mr->alias),
                                   mr->alias_offset, region_end(mr->alias_offset, mr));
        } else {
            g_string_append(out, memory_region_name(mr));
        }
        g_string_append(out, mr->enabled ? "" : " [disabled]");
        put_owner(out, mr, owner);
        g_string_append_c(out, '\n');
        depth++;
    }
    QTAILQ_FOREACH(sub, &mr->subregions, subregions_link) {
        put_region(out, sub, start, depth, owner, disabled);
    }
}

static void put_view(GString *out, const FlatView *view, bool owner)
{
    unsigned i;

    for (i = 0; i < view->nr; i++) {
        const FlatRange *fr = &view->ranges[i];

        g_string_append_printf(out, "  " HWADDR_FMT_plx "-" HWADDR_FMT_plx " (prio %d, %s): %s",
                               fr->start, fr->last, fr->mr->priority,
                               region_type(fr->mr, fr->readonly), memory_region_name(fr->mr));
        if (fr->offset) {
            g_string_append_printf(out, " @" HWADDR_FMT_plx, fr->offset);
        }
        put_owner(out, fr->mr, owner);
        g_string_append_c(out, '\n');
    }
    if (!view->nr) {
        g_string_append(out, "  No rendered FlatView\n");
    }
}

void mtree_info(GString *out, bool flatview, bool owner, bool disabled)
{
    GList *l;

    for (l = address_spaces; l; l = l->next) {
        AddressSpace *as = l->data;

        if (flatview) {
            FlatView *view = address_space_get_flatview(as);

            g_string_append_printf(out, "FlatView\n AS \"%s\", root: %s\n", as->name,
                                   as->root ? memory_region_name(as->root) : "(none)");
            put_view(out, view, owner);
            flatview_unref(view);
        } else {
            g_string_append_printf(out, "address-space: %s\n", as->name);
            if (as->root) {
                put_region(out, as->root, 0, 1, owner, disabled);
            }
        }
        g_string_append_c(out, '\n');
    }
}
