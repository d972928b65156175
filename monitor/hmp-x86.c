/*
 * HMP about what only x86 machines have: interrupt controllers, page tables, registers by name.
 *
 * Where the kernel has the state, it is fetched first.
 *
 * SPDX-License-Identifier: GPL-2.0-or-later
 */
#include "qemu/osdep.h"
#include "hmp-parse.h"
#include "hw/intc/apic_common.h"
#include "hw/intc/i8259_common.h"
#include "hw/intc/ioapic_common.h"
#include "monitor/hmp.h"
#include "system/cpus.h"
#include "system/memory.h"
#include "target/i386/cpu.h"

/* ---- registers by name ---- */

/* "eax", "pc", "cs.base" of the vCPU that the monitor looks at. */
static bool get_register(const char *name, int64_t *value)
{
    static const struct {
        const char *name;
        size_t offset;
    } names[] = {
#define GENERAL(name, reg) { name, offsetof(CPUX86State, regs[reg]) }
        GENERAL("eax", R_EAX), GENERAL("ecx", R_ECX), GENERAL("edx", R_EDX),
        GENERAL("ebx", R_EBX), GENERAL("esp", R_ESP), GENERAL("sp", R_ESP),
        GENERAL("ebp", R_EBP), GENERAL("fp", R_EBP), GENERAL("esi", R_ESI),
        GENERAL("edi", R_EDI), GENERAL("r8", 8), GENERAL("r9", 9), GENERAL("r10", 10),
        GENERAL("r11", 11), GENERAL("r12", 12), GENERAL("r13", 13), GENERAL("r14", 14),
        GENERAL("r15", 15),
#undef GENERAL
        { "eflags", offsetof(CPUX86State, eflags) }, { "eip", offsetof(CPUX86State, eip) },
    };
    static const char segments[6][3] = { "es", "cs", "ss", "ds", "fs", "gs" };
    CPUState *cs = monitor_cur() ? monitor_get_cpu(monitor_cur()) : NULL;
    CPUX86State *env;

    if (!cs || !object_dynamic_cast(OBJECT(cs), TYPE_X86_CPU)) {
        return false;
    }
    cpu_synchronize_state(cs);
    env = cpu_env(cs);
    for (size_t i = 0; i < ARRAY_SIZE(names); i++) {
        if (g_str_equal(names[i].name, name)) {
            *value = *(uint64_t *)((char *)env + names[i].offset);
            if (!(env->hflags & HF_CS64_MASK)) {
                *value = (uint32_t)*value;
            }
            return true;
        }
    }
    for (int i = 0; i < 6; i++) {
        if (strncmp(name, segments[i], 2) == 0) {
            if (!name[2]) {
                *value = env->segs[i].selector;
                return true;
            } else if (g_str_equal(name + 2, ".limit")) {
                *value = env->segs[i].limit;
                return true;
            } else if (g_str_equal(name + 2, ".base")) {
                *value = env->segs[i].base;
                return true;
            }
        }
    }
    if (g_str_equal(name, "pc")) {
        *value = env->eip + env->segs[R_CS].base;
        return true;
    }
    return false;
}

static void __attribute__((constructor)) offer_registers(void)
{
    hmp_register_value = get_register;
}

/* ---- interrupt controllers ---- */

static void print_pic(Monitor *mon, PICCommonState *s)
{
    PICCommonClass *k = PIC_COMMON_GET_CLASS(s);

    if (k->pre_save) {
        k->pre_save(s);
    }
    monitor_printf(mon, "pic%d: irr=%02x imr=%02x isr=%02x hprio=%d irq_base=%02x rr_sel=%d "
                   "elcr=%02x fnm=%d\n", s->master ? 0 : 1, s->irr, s->imr, s->isr,
                   s->priority_add, s->irq_base, s->read_reg_select, s->elcr,
                   s->special_fully_nested_mode);
}

static void print_pins(Monitor *mon, const char *title, const IOAPICCommonState *s, uint64_t bit,
                       uint32_t lines)
{
    bool any = false;

    monitor_printf(mon, "  %-8s", title);
    for (int i = 0; i < IOAPIC_NUM_PINS; i++) {
        if (bit ? !!(s->ioredtbl[i] & bit) : lines >> i & 1) {
            monitor_printf(mon, " %d", i);
            any = true;
        }
    }
    monitor_puts(mon, any ? "\n" : " (none)\n");
}

static void print_ioapic(Monitor *mon, IOAPICCommonState *s, int index)
{
    static const char *const modes[8] = { "fixed", "lowest", "SMI", "...", "NMI", "INIT", "...",
                                          "extINT" };
    IOAPICCommonClass *k = IOAPIC_COMMON_GET_CLASS(s);

    if (k->pre_save) {
        k->pre_save(s);
    }
    monitor_printf(mon, "ioapic%d: ver=0x%x id=0x%02x sel=0x%02x", index, 0x20, s->id, s->ioregsel);
    if (s->ioregsel >= 0x10) {
        monitor_printf(mon, " (redir[%u])", (s->ioregsel - 0x10u) >> 1);
    }
    monitor_puts(mon, "\n");
    for (int i = 0; i < IOAPIC_NUM_PINS; i++) {
        uint64_t e = s->ioredtbl[i];

        monitor_printf(mon, "  pin %-2d 0x%016" PRIx64 " dest=%x vec=%-3u %s %-5s %-6s %-6s %s\n",
                       i, e, (unsigned)(e >> 56), (unsigned)(e & 0xff),
                       e >> 13 & 1 ? "active-lo" : "active-hi", e >> 15 & 1 ? "level" : "edge",
                       e & IOAPIC_ENTRY_MASKED ? "masked" : "", modes[e >> 8 & 7],
                       e >> 11 & 1 ? "logical" : "physical");
    }
    print_pins(mon, "IRR", s, 0, s->irr);
    print_pins(mon, "Remote IRR", s, 1u << 14, 0);
}

typedef struct Found {
    GPtrArray *pics, *ioapics;
} Found;

static int find_controllers(Object *obj, void *opaque)
{
    Found *found = opaque;

    if (object_dynamic_cast(obj, TYPE_PIC_COMMON)) {
        g_ptr_array_add(found->pics, obj);
    } else if (object_dynamic_cast(obj, TYPE_IOAPIC_COMMON)) {
        g_ptr_array_add(found->ioapics, obj);
    }
    return 0;
}

void hmp_info_pic(Monitor *mon, const QDict *qdict)
{
    Found found = { g_ptr_array_new(), g_ptr_array_new() };

    object_child_foreach_recursive(object_get_root(), find_controllers, &found);
    /* The second PIC first, as people know it. */
    for (int master = 0; master < 2; master++) {
        for (guint i = 0; i < found.pics->len; i++) {
            PICCommonState *s = g_ptr_array_index(found.pics, i);

            if (s->master == master) {
                print_pic(mon, s);
            }
        }
    }
    for (guint i = 0; i < found.ioapics->len; i++) {
        print_ioapic(mon, g_ptr_array_index(found.ioapics, i), i);
    }
    g_ptr_array_free(found.pics, true);
    g_ptr_array_free(found.ioapics, true);
}

static void print_lvt(Monitor *mon, const char *name, uint32_t lvt, bool is_timer)
{
    static const char *const modes[8] = { "Fixed", "...", "SMI", "...", "NMI", "INIT", "...",
                                          "ExtINT" };
    static const char *const timer_modes[4] = { "one-shot", "periodic", "tsc-deadline", "..." };

    monitor_printf(mon, "%s\t 0x%08x %s %-5s %-6s %-7s %-12s %-6s", name, lvt,
                   lvt & 1u << 13 ? "active-lo" : "active-hi", lvt & 1u << 15 ? "level" : "edge",
                   lvt & APIC_LVT_MASKED ? "masked" : "", lvt & 1u << 12 ? "pending" : "",
                   is_timer ? timer_modes[lvt >> 17 & 3] : "", modes[lvt >> 8 & 7]);
    if ((lvt >> 8 & 7) != 4) {
        monitor_printf(mon, " (vec %u)", lvt & 0xff);
    }
    monitor_puts(mon, "\n");
}

static void print_vectors(Monitor *mon, const char *name, const uint32_t *set, const uint32_t *tmr)
{
    bool any = false;

    monitor_printf(mon, "%s\t ", name);
    for (int i = 0; i < 256; i++) {
        if (set[i / 32] >> i % 32 & 1) {
            monitor_printf(mon, "%d%s ", i, tmr && (tmr[i / 32] >> i % 32 & 1) ? "(level)" : "");
            any = true;
        }
    }
    monitor_puts(mon, any ? "\n" : "(none)\n");
}

static void print_icr(Monitor *mon, const APICCommonState *s, bool x2apic)
{
    static const char *const shorthands[4] = { "no-shorthand", "self", "all-self", "all" };
    uint32_t icr = s->icr[0], dest = s->icr[1];

    monitor_printf(mon, "ICR\t 0x%08x %s %s %s %s\n", icr,
                   icr & 1u << 11 ? "logical" : "physical", icr & 1u << 15 ? "level" : "edge",
                   icr & 1u << 14 ? "assert" : "de-assert", shorthands[icr >> 18 & 3]);
    monitor_printf(mon, "ICR2\t 0x%08x", dest);
    if (!(icr >> 18 & 3)) {
        dest = x2apic ? dest : dest >> 24;
        if (icr & 1u << 11) {
            monitor_printf(mon, " mask %08x", dest);
        } else {
            monitor_printf(mon, " cpu %u (%sAPIC ID)", dest, x2apic ? "X2" : "");
        }
    }
    monitor_puts(mon, "\n");
}

static unsigned processor_priority(const APICCommonState *s)
{
    unsigned in_service = 0;

    for (int i = 0; i < 256; i++) {
        if (s->isr[i / 32] >> i % 32 & 1) {
            in_service = i;
        }
    }
    return (s->tpr >> 4) >= (in_service >> 4) ? s->tpr : in_service & 0xf0;
}

void hmp_info_lapic(Monitor *mon, const QDict *qdict)
{
    static const char *const names[6] = { "LVT0", "LVT1", "LVTPC", "LVTERR", "LVTTHMR", "LVTT" };
    static const int order[6] = { APIC_LVT_LINT0, APIC_LVT_LINT1, APIC_LVT_PERFORM, APIC_LVT_ERROR,
                                  APIC_LVT_THERMAL, APIC_LVT_TIMER };
    int64_t id = qdict_get_try_int(qdict, "apic-id", -1);
    CPUState *cs = id < 0 ? monitor_get_cpu(mon) : NULL, *each;
    APICCommonState *s;
    bool x2apic;

    CPU_FOREACH(each) {
        if (id >= 0 && each->cc->get_arch_id && each->cc->get_arch_id(each) == id) {
            cs = each;
        }
    }
    if (!cs || !object_dynamic_cast(OBJECT(cs), TYPE_X86_CPU) || !X86_CPU(cs)->apic_state) {
        monitor_puts(mon, "No CPU available\n");
        return;
    }
    cpu_synchronize_state(cs);
    s = APIC_COMMON(X86_CPU(cs)->apic_state);
    x2apic = cpu_env(cs)->features[FEAT_1_ECX] & 1u << 21;
    monitor_printf(mon, "dumping local APIC state for CPU %-2" PRIu32 "\n\n",
                   (uint32_t)s->initial_id);
    for (int i = 0; i < 6; i++) {
        print_lvt(mon, names[i], s->lvt[order[i]], order[i] == APIC_LVT_TIMER);
    }
    monitor_printf(mon, "Timer\t DCR=0x%x (divide by %u) initial_count = %u current_count = %u\n",
                   s->divide_conf & 0xb,
                   1u << apic_common_count_shift(s->divide_conf), s->initial_count,
                   apic_common_timer_count(s));
    monitor_printf(mon, "SPIV\t 0x%08x APIC %s, focus=%s, spurious vec %u\n", s->spurious_vec,
                   s->spurious_vec & 0x100 ? "enabled" : "disabled",
                   s->spurious_vec & 0x200 ? "on" : "off", s->spurious_vec & 0xff);
    print_icr(mon, s, x2apic);
    monitor_printf(mon, "ESR\t 0x%08x\n", s->esr);
    print_vectors(mon, "ISR", s->isr, NULL);
    print_vectors(mon, "IRR", s->irr, s->tmr);
    monitor_printf(mon, "\nAPR 0x%02x TPR 0x%02x DFR 0x%02x LDR 0x%02x", s->arb_id, s->tpr,
                   s->dest_mode, s->log_dest);
    if (s->dest_mode == 0) {
        monitor_printf(mon, "(cluster %u: id %u)", s->log_dest >> 4, s->log_dest & 0xf);
    }
    monitor_printf(mon, " PPR 0x%02x\n", processor_priority(s));
}

/* ---- page tables ---- */

#define PTE_PRESENT 1u
#define PTE_LARGE 0x80u
#define FRAME_MASK UINT64_C(0x000ffffffffff000)

/* Called for each page that is mapped, in order: @size is 1 << shift. */
typedef void PageFn(void *opaque, uint64_t virt, uint64_t size, uint64_t entry, uint64_t rights);

typedef struct Walk {
    CPUState *cs;
    bool pae, lma;
    int bits, top; /* of an index; shift of the first table */
    int64_t left;  /* entries that may still be looked at: tables of a hostile guest have no end */
    PageFn *fn;
    void *opaque;
} Walk;

#define WALK_ENTRIES_MAX (16 << 20)

static void walk_table(Walk *w, uint64_t table, int shift, uint64_t base, uint64_t rights)
{
    int bits = w->pae && !w->lma && shift == 30 ? 2 : w->bits, size = w->pae ? 8 : 4;

    for (uint64_t i = 0; i < 1u << bits && w->left > 0; i++, w->left--) {
        hwaddr at = table + i * size;
        uint64_t e = w->pae ? address_space_ldq(w->cs->as, at, MEMTXATTRS_UNSPECIFIED, NULL)
            : address_space_ldl(w->cs->as, at, MEMTXATTRS_UNSPECIFIED, NULL);
        uint64_t virt = base | i << shift, now;
        bool pdpt = w->pae && !w->lma && shift == 30; /* has no rights of its own */

        if (!(e & PTE_PRESENT)) {
            continue;
        }
        if (w->lma && shift == w->top && i >> (bits - 1)) {
            virt |= ~UINT64_C(0) << (shift + bits); /* the upper half of the addresses */
        }
        now = pdpt ? rights : (rights & e & 6) | ((rights | e) & UINT64_C(1) << 63);
        if (shift == 12 || ((e & PTE_LARGE) && shift <= 30 && !pdpt)) {
            w->fn(w->opaque, virt, UINT64_C(1) << shift, e, now);
        } else {
            walk_table(w, e & FRAME_MASK, shift - w->bits, virt, now);
        }
    }
}

static bool walk_pages(Monitor *mon, PageFn *fn, void *opaque)
{
    CPUState *cs = monitor_get_cpu(mon);
    CPUX86State *env;
    Walk w;

    if (!cs || !object_dynamic_cast(OBJECT(cs), TYPE_X86_CPU)) {
        monitor_puts(mon, "No CPU available\n");
        return false;
    }
    cpu_synchronize_state(cs);
    env = cpu_env(cs);
    if (!(env->cr[0] & CR0_PG_MASK)) {
        monitor_puts(mon, "PG disabled\n");
        return false;
    }
    w = (Walk){ .cs = cs, .lma = env->efer & MSR_EFER_LMA, .fn = fn, .opaque = opaque,
                  .left = WALK_ENTRIES_MAX };
    w.pae = (env->cr[4] & CR4_PAE_MASK) || w.lma;
    w.bits = w.pae ? 9 : 10;
    w.top = !w.pae ? 22 : !w.lma ? 30 : env->cr[4] & CR4_LA57_MASK ? 48 : 39;
    walk_table(&w, env->cr[3] & (!w.pae ? 0xfffff000u : !w.lma ? 0xffffffe0u : FRAME_MASK), w.top,
               0, 6);
    if (w.left <= 0) {
        monitor_puts(mon, "(there are too many page tables to look at them all)\n");
    }
    return true;
}

static void print_page(void *opaque, uint64_t virt, uint64_t size, uint64_t e, uint64_t rights)
{
    static const char letters[] = "XGPDACTUW";
    static const int bits[] = { 63, 8, 7, 6, 5, 4, 3, 2, 1 };
    Monitor *mon = opaque;
    char flags[10];

    for (int i = 0; i < 9; i++) {
        flags[i] = e >> bits[i] & 1 ? letters[i] : '-';
    }
    flags[9] = 0;
    monitor_printf(mon, "%016" PRIx64 ": %016" PRIx64 " %s\n", virt, e & FRAME_MASK & ~(size - 1),
                   flags);
}

void hmp_info_tlb(Monitor *mon, const QDict *qdict)
{
    walk_pages(mon, print_page, mon);
}

typedef struct Range {
    Monitor *mon;
    bool open;
    int width; /* digits of an address */
    uint64_t start, end, rights;
} Range;

static void close_range_of(Range *r)
{
    int width = r->width;

    if (r->open) {
        monitor_printf(r->mon, "%0*" PRIx64 "-%0*" PRIx64 " %0*" PRIx64 " %c%c%c\n", width,
                       r->start, width, r->end, width, r->end - r->start,
                       r->rights & 4 ? 'u' : '-', 'r', r->rights & 2 ? 'w' : '-');
    }
    r->open = false;
}

static void add_page(void *opaque, uint64_t virt, uint64_t size, uint64_t e, uint64_t rights)
{
    Range *r = opaque;

    rights &= 6;
    if (!r->open || r->end != virt || r->rights != rights) {
        close_range_of(r);
        r->open = true;
        r->start = virt;
        r->rights = rights;
    }
    r->end = virt + size;
}

void hmp_info_mem(Monitor *mon, const QDict *qdict)
{
    CPUState *cs = monitor_get_cpu(mon);
    Range r = { .mon = mon, .width = 8 };

    if (cs && object_dynamic_cast(OBJECT(cs), TYPE_X86_CPU)) {
        cpu_synchronize_state(cs);
        r.width = cpu_env(cs)->efer & MSR_EFER_LMA ? 16 : 8;
    }
    if (walk_pages(mon, add_page, &r)) {
        close_range_of(&r);
    }
}
