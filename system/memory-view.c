/*
 * From trees to flat views; address spaces and those who listen to them; the dirty log's switch.
 *
 * Rendering walks a tree once, the highest priority first, and lets every region that answers fill
 * what is still empty within the window that its containers and aliases leave it. The result is
 * compared with the view before, and listeners are told the difference.
 *
 * Locking: everything is done under the BQL, but for taking a reference to a view
 * (address_space_get_flatview), for which view_lock guards AddressSpace.current_map.
 *
 * SPDX-License-Identifier: GPL-2.0-or-later
 */
#include "qemu/osdep.h"
#include "memory-internal.h"
#include "qemu/atomic.h"
#include "qemu/main-loop.h"
#include "system/address-spaces.h"

/* Positions may lie outside 0…2^64 while aliases are followed. */
__extension__ typedef __int128 Position;

GList *address_spaces;
unsigned int global_dirty_tracking;

static GList *listeners;            /* all of them, lowest priority first */
static unsigned transaction_depth;
static bool update_pending;
static GMutex view_lock;

/* -- Rendering ------------------------------------------------------------------------------- */

static Position region_size(const MemoryRegion *mr)
{
    return mr->size == UINT64_MAX ? (Position)1 << 64 : (Position)mr->size;
}

/* Let @mr, whose offset 0 is at @base, have what is empty in [lo, hi). */
static void fill(GArray *ranges, MemoryRegion *mr, Position base, Position lo, Position hi,
                 bool readonly)
{
    Position pos = lo;
    unsigned i = 0;

    while (pos < hi) {
        FlatRange *fr = i < ranges->len ? &g_array_index(ranges, FlatRange, i) : NULL;
        Position end;
        FlatRange new;

        if (fr && fr->start <= pos) {
            pos = MAX(pos, (Position)fr->last + 1);
            i++;
            continue;
        }
        end = fr ? MIN(hi, (Position)fr->start) : hi;
        new = (FlatRange) {
            .start = pos,
            .last = end - 1,
            .mr = mr,
            .offset = pos - base,
            .readonly = readonly,
            .dirty_log_mask = mr->dirty_log_mask,
        };
        g_array_insert_val(ranges, i, new);
        i++;
        pos = end;
    }
}

/* @base: where @mr's offset 0 lies. [lo, hi): what is to be seen of it. */
static void render(GArray *ranges, MemoryRegion *mr, Position base, Position lo, Position hi,
                   bool readonly)
{
    MemoryRegion *sub;

    if (!mr->enabled) {
        return;
    }
    lo = MAX(lo, base);
    hi = MIN(hi, base + region_size(mr));
    if (lo >= hi) {
        return;
    }
    readonly |= mr->readonly;
    if (mr->alias) {
        render(ranges, mr->alias, base - mr->alias_offset, lo, hi, readonly);
        return;
    }
    QTAILQ_FOREACH(sub, &mr->subregions, subregions_link) {
        render(ranges, sub, base + sub->addr, lo, hi, readonly);
    }
    if (mr->terminates) {
        fill(ranges, mr, base, lo, hi, readonly);
    }
}

static bool continues(const FlatRange *a, const FlatRange *b)
{
    return a->last + 1 == b->start && a->mr == b->mr
        && a->offset + (a->last - a->start) + 1 == b->offset
        && a->readonly == b->readonly && a->dirty_log_mask == b->dirty_log_mask;
}

static FlatView *generate_view(MemoryRegion *root)
{
    FlatView *view = g_new0(FlatView, 1);
    GArray *ranges = g_array_new(FALSE, FALSE, sizeof(FlatRange));
    unsigned i;

    view->ref = 1;
    view->root = root;
    if (root) {
        render(ranges, root, 0, 0, (Position)1 << 64, false);
    }
    /* What was filled around others may turn out to be of one piece. */
    view->ranges = g_new(FlatRange, ranges->len);
    for (i = 0; i < ranges->len; i++) {
        const FlatRange *fr = &g_array_index(ranges, FlatRange, i);

        if (view->nr && continues(&view->ranges[view->nr - 1], fr)) {
            view->ranges[view->nr - 1].last = fr->last;
        } else {
            view->ranges[view->nr++] = *fr;
            memory_region_ref(fr->mr);
        }
    }
    g_array_free(ranges, TRUE);
    return view;
}

/* -- Views ----------------------------------------------------------------------------------- */

static void flatview_free(void *opaque)
{
    FlatView *view = opaque;
    unsigned i;

    for (i = 0; i < view->nr; i++) {
        memory_region_unref(view->ranges[i].mr);
    }
    g_free(view->ranges);
    g_free(view);
}

void flatview_ref(FlatView *view)
{
    qatomic_inc(&view->ref);
}

void flatview_unref(FlatView *view)
{
    if (qatomic_fetch_dec(&view->ref) != 1) {
        return;
    }
    /* With it owners of regions may go, whose finalizers expect the BQL. */
    if (bql_locked()) {
        flatview_free(view);
    } else {
        qemu_bh_schedule_oneshot(flatview_free, view);
    }
}

FlatView *address_space_get_flatview(AddressSpace *as)
{
    FlatView *view;

    g_mutex_lock(&view_lock);
    view = as->current_map;
    flatview_ref(view);
    g_mutex_unlock(&view_lock);
    return view;
}

static void publish_view(AddressSpace *as, FlatView *view)
{
    FlatView *old;

    g_mutex_lock(&view_lock);
    old = as->current_map;
    as->current_map = view;
    g_mutex_unlock(&view_lock);
    if (old) {
        flatview_unref(old);
    }
}

const FlatRange *flatview_lookup(const FlatView *view, hwaddr addr, hwaddr *next)
{
    unsigned lo = 0, hi = view->nr;

    /* The first range that ends at or after addr. */
    while (lo < hi) {
        unsigned mid = lo + (hi - lo) / 2;

        if (view->ranges[mid].last < addr) {
            lo = mid + 1;
        } else {
            hi = mid;
        }
    }
    if (lo < view->nr && view->ranges[lo].start <= addr) {
        if (next) {
            *next = lo + 1 < view->nr ? view->ranges[lo + 1].start : UINT64_MAX;
        }
        return &view->ranges[lo];
    }
    if (next) {
        *next = lo < view->nr ? view->ranges[lo].start : UINT64_MAX;
    }
    return NULL;
}

MemoryRegionSection flat_range_section(const FlatRange *fr, FlatView *view)
{
    uint64_t length = fr->last - fr->start;

    return (MemoryRegionSection) {
        .mr = fr->mr,
        .fv = view,
        .offset_within_region = fr->offset,
        .offset_within_address_space = fr->start,
        .size = length == UINT64_MAX ? length : length + 1,
        .readonly = fr->readonly,
    };
}

bool flatview_for_each_section(FlatView *view, flatview_cb cb, void *opaque)
{
    unsigned i;

    for (i = 0; i < view->nr; i++) {
        MemoryRegionSection section = flat_range_section(&view->ranges[i], view);

        if (cb(&section, opaque)) {
            return true;
        }
    }
    return false;
}

/* -- Telling listeners ----------------------------------------------------------------------- */

static bool same_range(const FlatRange *a, const FlatRange *b)
{
    return a->start == b->start && a->last == b->last && a->mr == b->mr
        && a->offset == b->offset && a->readonly == b->readonly;
}

static void tell_add(AddressSpace *as, MemoryRegionSection section)
{
    GList *l;

    for (l = as->listeners; l; l = l->next) {
        MemoryListener *ml = l->data;

        if (ml->region_add) {
            ml->region_add(ml, &section);
        }
    }
}

static void tell_del(AddressSpace *as, MemoryRegionSection section)
{
    GList *l;

    for (l = g_list_last(as->listeners); l; l = l->prev) {
        MemoryListener *ml = l->data;

        if (ml->region_del) {
            ml->region_del(ml, &section);
        }
    }
}

static void tell_nop(AddressSpace *as, MemoryRegionSection section)
{
    GList *l;

    for (l = as->listeners; l; l = l->next) {
        MemoryListener *ml = l->data;

        if (ml->region_nop) {
            ml->region_nop(ml, &section);
        }
    }
}

static void listener_tell_log(MemoryListener *ml, MemoryRegionSection *section, int old, int new)
{
    if (new & ~old && ml->log_start) {
        ml->log_start(ml, section, old, new);
    }
    if (old & ~new && ml->log_stop) {
        ml->log_stop(ml, section, old, new);
    }
}

static void tell_log(AddressSpace *as, MemoryRegionSection section, int old, int new)
{
    GList *l;

    for (l = as->listeners; l; l = l->next) {
        listener_tell_log(l->data, &section, old, new);
    }
}

static void tell_difference(AddressSpace *as, FlatView *old, FlatView *new)
{
    unsigned i, j;

    /* Removals first, so that an accelerator never sees two owners of one address. */
    for (i = 0, j = 0; i < old->nr; i++) {
        while (j < new->nr && new->ranges[j].start < old->ranges[i].start) {
            j++;
        }
        if (j == new->nr || !same_range(&old->ranges[i], &new->ranges[j])) {
            tell_del(as, flat_range_section(&old->ranges[i], old));
        }
    }
    for (i = 0, j = 0; j < new->nr; j++) {
        const FlatRange *fr = &new->ranges[j];

        while (i < old->nr && old->ranges[i].start < fr->start) {
            i++;
        }
        if (i < old->nr && same_range(&old->ranges[i], fr)) {
            tell_nop(as, flat_range_section(fr, new));
            tell_log(as, flat_range_section(fr, new), old->ranges[i].dirty_log_mask,
                     fr->dirty_log_mask);
        } else {
            tell_add(as, flat_range_section(fr, new));
            tell_log(as, flat_range_section(fr, new), 0, fr->dirty_log_mask);
        }
    }
}

static void update_address_space(AddressSpace *as)
{
    FlatView *old = address_space_get_flatview(as);
    FlatView *new = generate_view(as->root);

    tell_difference(as, old, new);
    publish_view(as, new);
    flatview_unref(old);
}

void memory_region_update_needed(void)
{
    update_pending = true;
}

void memory_region_transaction_begin(void)
{
    transaction_depth++;
}

void memory_region_transaction_commit(void)
{
    GList *l;

    assert(transaction_depth);
    if (--transaction_depth || !update_pending) {
        return;
    }
    update_pending = false;
    for (l = listeners; l; l = l->next) {
        MemoryListener *ml = l->data;

        if (ml->begin) {
            ml->begin(ml);
        }
    }
    for (l = address_spaces; l; l = l->next) {
        update_address_space(l->data);
    }
    for (l = listeners; l; l = l->next) {
        MemoryListener *ml = l->data;

        if (ml->commit) {
            ml->commit(ml);
        }
    }
}

/* -- Listeners coming and going -------------------------------------------------------------- */

static int by_priority(gconstpointer a, gconstpointer b)
{
    const MemoryListener *x = a, *y = b;

    /* x is the newcomer: it goes before the first for which this is not positive, so behind its
     * equals. */
    return x->priority >= y->priority ? 1 : -1;
}

static void listener_catch_up(MemoryListener *ml, AddressSpace *as)
{
    FlatView *view = address_space_get_flatview(as);
    unsigned i;

    if (ml->begin) {
        ml->begin(ml);
    }
    if (global_dirty_tracking && ml->log_global_start) {
        /* Somebody is logging already, and this listener's RAM would escape: no way back. */
        ml->log_global_start(ml, &error_abort);
    }
    for (i = 0; i < view->nr; i++) {
        MemoryRegionSection section = flat_range_section(&view->ranges[i], view);

        if (ml->region_add) {
            ml->region_add(ml, &section);
        }
        listener_tell_log(ml, &section, 0, view->ranges[i].dirty_log_mask);
    }
    if (ml->commit) {
        ml->commit(ml);
    }
    flatview_unref(view);
}

void memory_listener_register(MemoryListener *ml, AddressSpace *as)
{
    assert(!ml->address_space && !transaction_depth);
    ml->address_space = as;
    listeners = g_list_insert_sorted(listeners, ml, by_priority);
    as->listeners = g_list_insert_sorted(as->listeners, ml, by_priority);
    listener_catch_up(ml, as);
}

void memory_listener_unregister(MemoryListener *ml)
{
    AddressSpace *as = ml->address_space;
    FlatView *view;
    unsigned i;

    if (!as) {
        return;
    }
    view = address_space_get_flatview(as);
    if (ml->begin) {
        ml->begin(ml);
    }
    for (i = view->nr; i--;) {
        MemoryRegionSection section = flat_range_section(&view->ranges[i], view);

        listener_tell_log(ml, &section, view->ranges[i].dirty_log_mask, 0);
        if (ml->region_del) {
            ml->region_del(ml, &section);
        }
    }
    if (ml->commit) {
        ml->commit(ml);
    }
    flatview_unref(view);
    listeners = g_list_remove(listeners, ml);
    as->listeners = g_list_remove(as->listeners, ml);
    ml->address_space = NULL;
}

/* -- Address spaces -------------------------------------------------------------------------- */

void address_space_init(AddressSpace *as, MemoryRegion *root, const char *name)
{
    memory_region_ref(root);
    *as = (AddressSpace) {
        .name = g_strdup(name ? name : "anonymous"),
        .root = root,
    };
    as->current_map = generate_view(NULL);
    address_spaces = g_list_append(address_spaces, as);
    memory_region_transaction_begin();
    memory_region_update_needed();
    memory_region_transaction_commit();
}

void address_space_destroy(AddressSpace *as)
{
    MemoryRegion *root = as->root;

    as->root = NULL;
    memory_region_transaction_begin();
    memory_region_update_needed();
    memory_region_transaction_commit();
    assert(!as->listeners);
    address_spaces = g_list_remove(address_spaces, as);
    flatview_unref(as->current_map);
    as->current_map = NULL;
    g_clear_pointer(&as->name, g_free);
    memory_region_unref(root);
}

/* -- Dirty log ------------------------------------------------------------------------------- */

bool memory_global_dirty_log_start(unsigned int flags, Error **errp)
{
    GList *l;

    assert(flags && !(flags & ~GLOBAL_DIRTY_MASK) && !(flags & global_dirty_tracking));
    if (global_dirty_tracking) {
        qatomic_set(&global_dirty_tracking, global_dirty_tracking | flags);
        return true;
    }
    /* Before the listeners are told, so that what asks meanwhile errs on the safe side. */
    qatomic_set(&global_dirty_tracking, flags);
    for (l = listeners; l; l = l->next) {
        MemoryListener *ml = l->data;

        if (ml->log_global_start && !ml->log_global_start(ml, errp)) {
            while ((l = l->prev)) {
                ml = l->data;
                if (ml->log_global_stop) {
                    ml->log_global_stop(ml);
                }
            }
            qatomic_set(&global_dirty_tracking, 0);
            return false;
        }
    }
    return true;
}

void memory_global_dirty_log_stop(unsigned int flags)
{
    GList *l;

    assert(flags && !(flags & ~global_dirty_tracking));
    qatomic_set(&global_dirty_tracking, global_dirty_tracking & ~flags);
    if (global_dirty_tracking) {
        return;
    }
    for (l = g_list_last(listeners); l; l = l->prev) {
        MemoryListener *ml = l->data;

        if (ml->log_global_stop) {
            ml->log_global_stop(ml);
        }
    }
}

static bool is_logged(const FlatRange *fr)
{
    return fr->mr->ram_block && !fr->readonly;
}

void memory_global_dirty_log_sync(bool last_stage)
{
    GList *l;
    unsigned i;

    for (l = listeners; l; l = l->next) {
        MemoryListener *ml = l->data;

        if (ml->log_sync_global) {
            ml->log_sync_global(ml, last_stage);
        } else if (ml->log_sync) {
            FlatView *view = address_space_get_flatview(ml->address_space);

            for (i = 0; i < view->nr; i++) {
                if (is_logged(&view->ranges[i])) {
                    MemoryRegionSection section = flat_range_section(&view->ranges[i], view);

                    ml->log_sync(ml, &section);
                }
            }
            flatview_unref(view);
        }
    }
}

void memory_global_after_dirty_log_sync(void)
{
    GList *l;

    for (l = listeners; l; l = l->next) {
        MemoryListener *ml = l->data;

        if (ml->log_global_after_sync) {
            ml->log_global_after_sync(ml);
        }
    }
}

void memory_region_clear_dirty_bitmap(MemoryRegion *mr, hwaddr start, hwaddr len)
{
    GList *l;
    unsigned i;

    for (l = listeners; len && l; l = l->next) {
        MemoryListener *ml = l->data;
        FlatView *view;

        if (!ml->log_clear) {
            continue;
        }
        view = address_space_get_flatview(ml->address_space);
        for (i = 0; i < view->nr; i++) {
            const FlatRange *fr = &view->ranges[i];
            hwaddr fr_end = fr->offset + (fr->last - fr->start);
            hwaddr from = MAX(start, fr->offset);
            hwaddr to = MIN(start + (len - 1), fr_end);

            if (fr->mr == mr && from <= to && is_logged(fr)) {
                MemoryRegionSection section = flat_range_section(fr, view);

                section.offset_within_region = from;
                section.offset_within_address_space = fr->start + (from - fr->offset);
                section.size = to - from + 1;
                ml->log_clear(ml, &section);
            }
        }
        flatview_unref(view);
    }
}
