/*
 * Guest memory as KVM knows it: slots, and their dirty bitmaps.
 *
 * A MemoryListener gathers what comes and goes in a transaction and applies it at its commit,
 * removals first. Where a change touches memory that stays mapped in part, no vCPU executes guest
 * code meanwhile: it would miss the memory between removal and addition.
 *
 * The dirty log is the kernel's bitmap, one bit a page of a slot. A sync reads it whole (KVM copies
 * words) and ORs it into the RAM block's; with manual protection the kernel's bits stay until
 * log_clear() clears a chunk of them, just before the pages are read, so that a guest's page is
 * write-protected (and its next write slow) only once it is about to be sent. dirty_bmap keeps what
 * the kernel said last: log_clear() clears these bits and no others, because later ones have not
 * been published yet.
 *
 * Locking: slots, their bitmaps and flags belong to slots_lock, a leaf but for the kernel, taken
 * with the BQL or without.
 *
 * SPDX-License-Identifier: GPL-2.0-or-later
 */
#include "qemu/osdep.h"
#include "hw/core/cpu.h"
#include "kvm-internal.h"
#include "qemu/atomic.h"
#include "qemu/error-report.h"
#include "qemu/main-loop.h"
#include "system/address-spaces.h"
#include "system/cpus.h"

#define PAGES_PER_WORD 64   /* KVM counts in 64-bit words, whatever a long is */

static QemuMutex slots_lock;
static bool logging;        /* somebody called log_global_start (atomic) */

static void __attribute__((constructor)) slots_lock_init(void)
{
    qemu_mutex_init(&slots_lock);
}

void kvm_slots_lock(void)
{
    qemu_mutex_lock(&slots_lock);
}

void kvm_slots_unlock(void)
{
    qemu_mutex_unlock(&slots_lock);
}

bool kvm_slots_logging(void)
{
    return qatomic_read(&logging);
}

static KVMMemoryListener *kml_of(MemoryListener *listener)
{
    return container_of(listener, KVMMemoryListener, listener);
}

/* -- Slots ----------------------------------------------------------------------------------- */

static uint64_t slot_pages(const KVMSlot *slot)
{
    return slot->memory_size / TARGET_PAGE_SIZE;
}

/*
 * Tell the kernel. A slot's read-only flag can't change while it exists, which never happens here:
 * such a change reaches us as removal and addition.
 */
static void set_region(KVMMemoryListener *kml, KVMSlot *slot)
{
    struct kvm_userspace_memory_region mem = {
        .slot = slot->slot | (kml->as_id << 16),
        .flags = slot->memory_size ? slot->flags : 0,
        .guest_phys_addr = slot->start_addr,
        .memory_size = slot->memory_size,
        .userspace_addr = (uintptr_t)slot->ram,
    };
    int ret = kvm_vm_ioctl(kvm_state, KVM_SET_USER_MEMORY_REGION, &mem);

    if (ret < 0) {
        /* There is no machine without its memory, and no way back half-way through a commit. */
        error_report("KVM refuses guest memory at 0x%" PRIx64 " (0x%" PRIx64 " bytes, slot %d): %s",
                     slot->start_addr, slot->memory_size, slot->slot, strerror(-ret));
        abort();
    }
}

static void ensure_bitmap(KVMSlot *slot)
{
    if (!slot->dirty_bmap && !kvm_state->dirty_ring_size) {
        slot->dirty_bmap_size = DIV_ROUND_UP(slot_pages(slot), PAGES_PER_WORD) * sizeof(uint64_t);
        slot->dirty_bmap = g_malloc0(slot->dirty_bmap_size);
    }
}

/* Log if anybody wants it, unless the guest can't write there. */
static void update_slot_logging(KVMMemoryListener *kml, KVMSlot *slot)
{
    bool want = (logging || slot->log_mask) && !(slot->flags & KVM_MEM_READONLY);
    uint32_t flags = want ? slot->flags | KVM_MEM_LOG_DIRTY_PAGES
                          : slot->flags & ~KVM_MEM_LOG_DIRTY_PAGES;

    if (want) {
        ensure_bitmap(slot);
    }
    if (flags != slot->flags) {
        slot->flags = flags;
        set_region(kml, slot);
    }
    if (!want) {
        g_clear_pointer(&slot->dirty_bmap, g_free);
    }
}

static KVMSlot *new_slot(KVMMemoryListener *kml)
{
    unsigned i;

    for (i = 0; i < kml->nr_slots; i++) {
        if (!kml->slots[i].memory_size) {
            return &kml->slots[i];
        }
    }
    if (kml->nr_slots < kvm_state->max_nr_slots) {
        unsigned grown = MIN(MAX(kml->nr_slots * 2, 16), kvm_state->max_nr_slots);

        kml->slots = g_renew(KVMSlot, kml->slots, grown);
        memset(kml->slots + kml->nr_slots, 0, (grown - kml->nr_slots) * sizeof(KVMSlot));
        for (i = kml->nr_slots; i < grown; i++) {
            kml->slots[i].slot = i;
        }
        i = kml->nr_slots;
        kml->nr_slots = grown;
        return &kml->slots[i];
    }
    error_report("no free slot for guest memory: KVM has %u", kvm_state->max_nr_slots);
    abort();
}

KVMSlot *kvm_slot_by_id(KVMState *s, unsigned int id)
{
    KVMMemoryListener *kml = &s->memory_listener;

    if (id >> 16 != (unsigned)kml->as_id || (id & 0xffff) >= kml->nr_slots
        || !kml->slots[id & 0xffff].memory_size) {
        return NULL;
    }
    return &kml->slots[id & 0xffff];
}

/*
 * The whole pages of a section, as addresses of the guest; false where there are none. Whoever maps
 * half a page gets it through MMIO exits instead, slowly but right.
 */
static bool whole_pages(const MemoryRegionSection *section, hwaddr *start, uint64_t *size,
                        uint64_t *skipped)
{
    hwaddr end = section->offset_within_address_space + section->size;

    *start = ROUND_UP(section->offset_within_address_space, TARGET_PAGE_SIZE);
    *skipped = *start - section->offset_within_address_space;
    end = ROUND_DOWN(end, TARGET_PAGE_SIZE);
    if (section->size <= *skipped || end <= *start) {
        return false;
    }
    *size = end - *start;
    /* The same holds for the host's side of it. */
    return QEMU_IS_ALIGNED(section->offset_within_region + *skipped, TARGET_PAGE_SIZE);
}

static bool is_mapped(const MemoryRegionSection *section)
{
    if (!section->mr->ram) {
        return false;
    }
    /* Without read-only slots ROM is read, and executed, through exits; there are no such hosts. */
    return !section->readonly || kvm_readonly_mem_allowed;
}

static void add_section(KVMMemoryListener *kml, const MemoryRegionSection *section)
{
    uint64_t size, skipped;
    KVMSlot *slot;
    hwaddr start;

    if (!is_mapped(section) || !whole_pages(section, &start, &size, &skipped)) {
        return;
    }
    slot = new_slot(kml);
    slot->start_addr = start;
    slot->memory_size = size;
    slot->block = section->mr->ram_block;
    slot->block_offset = section->offset_within_region + skipped;
    slot->ram = slot->block->host + slot->block_offset;
    slot->log_mask = section->mr->dirty_log_mask;
    slot->flags = section->readonly ? KVM_MEM_READONLY : 0;
    if ((logging || slot->log_mask) && !section->readonly) {
        slot->flags |= KVM_MEM_LOG_DIRTY_PAGES;
        ensure_bitmap(slot);
    }
    kml->nr_used++;
    set_region(kml, slot);
}

static void sync_slot_bitmap(KVMMemoryListener *kml, KVMSlot *slot)
{
    struct kvm_dirty_log log = {
        .slot = slot->slot | (kml->as_id << 16),
        .dirty_bitmap = slot->dirty_bmap,
    };
    int ret = kvm_vm_ioctl(kvm_state, KVM_GET_DIRTY_LOG, &log);

    if (ret < 0) {
        error_report_once("KVM's dirty log of slot %d can't be read: %s", slot->slot,
                          strerror(-ret));
        /* Then everything may have been written. */
        ram_block_set_dirty(slot->block, slot->block_offset, slot->memory_size);
        return;
    }
    ram_block_or_dirty(slot->block, slot->block_offset / TARGET_PAGE_SIZE, slot_pages(slot),
                       slot->dirty_bmap);
}

static void del_section(KVMMemoryListener *kml, const MemoryRegionSection *section)
{
    uint64_t size, skipped;
    hwaddr start;
    unsigned i;

    if (!is_mapped(section) || !whole_pages(section, &start, &size, &skipped)) {
        return;
    }
    for (i = 0; i < kml->nr_slots; i++) {
        KVMSlot *slot = &kml->slots[i];

        if (slot->memory_size != size || slot->start_addr != start) {
            continue;
        }
        /* Its dirty pages would be forgotten with it. */
        if (slot->flags & KVM_MEM_LOG_DIRTY_PAGES) {
            if (kvm_state->dirty_ring_size) {
                kvm_dirty_ring_reap_locked(kvm_state, NULL);
            } else {
                sync_slot_bitmap(kml, slot);
            }
        }
        slot->memory_size = 0;
        set_region(kml, slot);
        g_clear_pointer(&slot->dirty_bmap, g_free);
        slot->block = NULL;
        slot->ram = NULL;
        slot->flags = 0;
        kml->nr_used--;
        return;
    }
}

/* -- The listener: layout -------------------------------------------------------------------- */

static void kvm_region_add(MemoryListener *listener, MemoryRegionSection *section)
{
    memory_region_ref(section->mr);
    g_array_append_val(kml_of(listener)->to_add, *section);
}

static void kvm_region_del(MemoryListener *listener, MemoryRegionSection *section)
{
    g_array_append_val(kml_of(listener)->to_del, *section);
}

static bool overlap(const MemoryRegionSection *a, const MemoryRegionSection *b)
{
    hwaddr a_last = a->offset_within_address_space + (a->size - 1);
    hwaddr b_last = b->offset_within_address_space + (b->size - 1);

    return a->offset_within_address_space <= b_last && b->offset_within_address_space <= a_last;
}

static bool changes_in_place(const KVMMemoryListener *kml)
{
    unsigned i, j;

    for (i = 0; i < kml->to_del->len; i++) {
        for (j = 0; j < kml->to_add->len; j++) {
            if (overlap(&g_array_index(kml->to_del, MemoryRegionSection, i),
                        &g_array_index(kml->to_add, MemoryRegionSection, j))) {
                return true;
            }
        }
    }
    return false;
}

static void kvm_region_commit(MemoryListener *listener)
{
    KVMMemoryListener *kml = kml_of(listener);
    bool exclusive;
    unsigned i;

    if (!kml->to_add->len && !kml->to_del->len) {
        return;
    }
    exclusive = first_cpu && changes_in_place(kml);
    if (exclusive) {
        start_exclusive();
    }
    kvm_slots_lock();
    for (i = 0; i < kml->to_del->len; i++) {
        del_section(kml, &g_array_index(kml->to_del, MemoryRegionSection, i));
    }
    for (i = 0; i < kml->to_add->len; i++) {
        add_section(kml, &g_array_index(kml->to_add, MemoryRegionSection, i));
    }
    kvm_slots_unlock();
    if (exclusive) {
        end_exclusive();
    }
    for (i = 0; i < kml->to_del->len; i++) {
        memory_region_unref(g_array_index(kml->to_del, MemoryRegionSection, i).mr);
    }
    g_array_set_size(kml->to_add, 0);
    g_array_set_size(kml->to_del, 0);
}

/* -- The listener: dirty log ----------------------------------------------------------------- */

static void kvm_log_change(MemoryListener *listener, MemoryRegionSection *section, int old, int new)
{
    KVMMemoryListener *kml = kml_of(listener);
    uint64_t size, skipped;
    hwaddr start;
    unsigned i;

    if (!is_mapped(section) || !whole_pages(section, &start, &size, &skipped)) {
        return;
    }
    kvm_slots_lock();
    for (i = 0; i < kml->nr_slots; i++) {
        KVMSlot *slot = &kml->slots[i];

        if (slot->memory_size && slot->start_addr == start) {
            slot->log_mask = new;
            update_slot_logging(kml, slot);
        }
    }
    kvm_slots_unlock();
}

static void update_all_logging(KVMMemoryListener *kml, bool on)
{
    unsigned i;

    kvm_slots_lock();
    qatomic_set(&logging, on);
    for (i = 0; i < kml->nr_slots; i++) {
        if (kml->slots[i].memory_size) {
            update_slot_logging(kml, &kml->slots[i]);
        }
    }
    kvm_slots_unlock();
}

static bool kvm_log_global_start(MemoryListener *listener, Error **errp)
{
    update_all_logging(kml_of(listener), true);
    return true;
}

static void kvm_log_global_stop(MemoryListener *listener)
{
    update_all_logging(kml_of(listener), false);
}

void kvm_slots_sync_bitmaps(KVMState *s)
{
    KVMMemoryListener *kml = &s->memory_listener;
    unsigned i;

    for (i = 0; i < kml->nr_slots; i++) {
        if (kml->slots[i].memory_size && kml->slots[i].dirty_bmap) {
            sync_slot_bitmap(kml, &kml->slots[i]);
        }
    }
}

static void kvm_log_sync_global(MemoryListener *listener, bool last_stage)
{
    if (kvm_state->dirty_ring_size) {
        kvm_dirty_ring_flush();
        kvm_dirty_ring_reap(kvm_state, NULL);
        return;
    }
    kvm_slots_lock();
    kvm_slots_sync_bitmaps(kvm_state);
    kvm_slots_unlock();
}

/*
 * Clear pages [@first, @first + @npages) of the slot. The kernel takes whole words only; what the
 * range does not cover of the words at its ends is left alone by not being set in what it is given.
 */
static void clear_slot(KVMMemoryListener *kml, KVMSlot *slot, uint64_t first, uint64_t npages)
{
    uint64_t w0 = first / PAGES_PER_WORD;
    uint64_t w1 = DIV_ROUND_UP(first + npages, PAGES_PER_WORD);
    uint64_t head = first % PAGES_PER_WORD, tail = (first + npages) % PAGES_PER_WORD;
    uint64_t *words = (uint64_t *)slot->dirty_bmap + w0;
    uint64_t nr = w1 - w0, i;
    g_autofree uint64_t *copy = NULL;
    struct kvm_clear_dirty_log clear = {
        .slot = slot->slot | (kml->as_id << 16),
        .first_page = w0 * PAGES_PER_WORD,
        .num_pages = MIN(nr * PAGES_PER_WORD, slot_pages(slot) - w0 * PAGES_PER_WORD),
    };
    int ret;

    if (head || tail) {
        copy = g_memdup2(words, nr * sizeof(uint64_t));
        copy[0] &= UINT64_MAX << head;
        if (tail) {
            copy[nr - 1] &= (UINT64_C(1) << tail) - 1;
        }
    }
    for (i = 0; i < nr && !(copy ? copy : words)[i]; i++) {
        /* Look for a bit. */
    }
    if (i == nr) {
        return;
    }
    clear.dirty_bitmap = copy ? copy : words;
    ret = kvm_vm_ioctl(kvm_state, KVM_CLEAR_DIRTY_LOG, &clear);
    if (ret < 0) {
        /* The pages stay dirty in the kernel: they are sent again, which is slow but right. */
        error_report_once("KVM's dirty log of slot %d can't be cleared (page %" PRIu64 ", %" PRIu64
                          " pages): %s", slot->slot, first, npages, strerror(-ret));
        return;
    }
    if (copy) {
        for (i = 0; i < nr; i++) {
            words[i] &= ~copy[i];
        }
    } else {
        memset(words, 0, nr * sizeof(uint64_t));
    }
}

static void kvm_log_clear(MemoryListener *listener, MemoryRegionSection *section)
{
    KVMMemoryListener *kml = kml_of(listener);
    hwaddr start = section->offset_within_address_space;
    hwaddr end = start + section->size;
    unsigned i;

    if (!kvm_state->manual_dirty_log_protect || kvm_state->dirty_ring_size) {
        /* The kernel cleared its log when it was read. */
        return;
    }
    kvm_slots_lock();
    for (i = 0; i < kml->nr_slots; i++) {
        KVMSlot *slot = &kml->slots[i];
        hwaddr from = MAX(start, slot->start_addr);
        hwaddr to = MIN(end, slot->start_addr + slot->memory_size);

        if (slot->memory_size && slot->dirty_bmap && from < to) {
            uint64_t first = (from - slot->start_addr) / TARGET_PAGE_SIZE;
            uint64_t last = DIV_ROUND_UP(to - slot->start_addr, TARGET_PAGE_SIZE);

            clear_slot(kml, slot, first, last - first);
        }
    }
    kvm_slots_unlock();
}

void kvm_slots_init(KVMState *s)
{
    KVMMemoryListener *kml = &s->memory_listener;

    kml->to_add = g_array_new(FALSE, FALSE, sizeof(MemoryRegionSection));
    kml->to_del = g_array_new(FALSE, FALSE, sizeof(MemoryRegionSection));
    kml->listener = (MemoryListener) {
        .name = "kvm-memory",
        .priority = MEMORY_LISTENER_PRIORITY_ACCEL,
        .region_add = kvm_region_add,
        .region_del = kvm_region_del,
        .commit = kvm_region_commit,
        .log_start = kvm_log_change,
        .log_stop = kvm_log_change,
        .log_global_start = kvm_log_global_start,
        .log_global_stop = kvm_log_global_stop,
        .log_sync_global = kvm_log_sync_global,
        .log_clear = kvm_log_clear,
    };
    memory_listener_register(&kml->listener, &address_space_memory);
}
