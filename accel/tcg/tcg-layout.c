/*
 * Where libunicorn keeps what its interface does not show.
 *
 * A vCPU's state has parts that no uc_reg_write() reaches: the hidden bases, limits and rights of
 * segment registers, the privilege level, what kind of code CS holds, the error code of an
 * exception. They are in the library's uc_context, an opaque copy of the CPU's state of which only
 * the size is public. Instead of assuming its layout this file finds it out at start-up: it writes
 * a register in two ways, looks which bytes of the context changed, and derives the rest from
 * neighbours whose order is confirmed in the same way; then it runs small pieces of code and
 * checks that what they do follows from the bytes it found. A library that behaves differently is
 * refused with a reason, not misused.
 *
 * Found this way with libunicorn 2.0.1 (Debian 12): with paging on, that version checks the page
 * tables but then uses the linear address as the physical one. tcg_layout.translates says so, and
 * tcg-event.c stops a guest whose mapping is not one to one.
 *
 * SPDX-License-Identifier: GPL-2.0-or-later
 */
#include "qemu/osdep.h"
#include "accel/tcg/tcg-internal.h"

TCGLayout tcg_layout;

#define PROBE_RAM  0x400000u

typedef struct Probe {
    uc_engine *uc;
    uint8_t *ram;
    uint8_t *a, *b;             /* contexts */
    size_t size;
    int vector;                 /* of the last exception, -1: none */
    uint32_t code;              /* where the last piece of code lies */
} Probe;

static void on_interrupt(uc_engine *uc, uint32_t vector, void *opaque)
{
    Probe *p = opaque;

    p->vector = vector;
    uc_emu_stop(uc);
}

static bool save(Probe *p, uint8_t *context)
{
    return uc_context_save(p->uc, (uc_context *)context) == UC_ERR_OK;
}

/*
 * The offset of @len bytes at @value in the context after @regid was set to @first and then to
 * @second: the one place where either is found. 0 (which is the library's header): none or
 * several.
 */
static size_t find_value(Probe *p, const void *first, const void *second, size_t len)
{
    size_t found = 0;

    for (size_t i = sizeof(uint64_t); i + len <= p->size; i++) {
        if (!memcmp(p->a + i, first, len) && !memcmp(p->b + i, second, len)) {
            if (found) {
                return 0;
            }
            found = i;
        }
    }
    return found;
}

static size_t find_reg(Probe *p, int regid)
{
    uint64_t first = 0x123456789abcdef0, second = 0x0fedcba987654321;

    if (uc_reg_write(p->uc, regid, &first) || !save(p, p->a) ||
        uc_reg_write(p->uc, regid, &second) || !save(p, p->b)) {
        return 0;
    }
    return find_value(p, &first, &second, 8);
}

/* Of the table registers: where the base is. */
static size_t find_table(Probe *p, int regid)
{
    uc_x86_mmr first = {.base = 0x13579bdf02468ace, .limit = 0x1234};
    uc_x86_mmr second = {.base = 0x0246813579ace8bd, .limit = 0x4321};

    if (uc_reg_write(p->uc, regid, &first) || !save(p, p->a) ||
        uc_reg_write(p->uc, regid, &second) || !save(p, p->b)) {
        return 0;
    }
    return find_value(p, &first.base, &second.base, 8);
}

/* In the order of the encoding, one behind the other. */
static const int gpr_ids[CPU_NB_REGS] = {
    UC_X86_REG_RAX, UC_X86_REG_RCX, UC_X86_REG_RDX, UC_X86_REG_RBX,
    UC_X86_REG_RSP, UC_X86_REG_RBP, UC_X86_REG_RSI, UC_X86_REG_RDI,
    UC_X86_REG_R8, UC_X86_REG_R9, UC_X86_REG_R10, UC_X86_REG_R11,
    UC_X86_REG_R12, UC_X86_REG_R13, UC_X86_REG_R14, UC_X86_REG_R15,
};

static bool find_general(Probe *p, TCGLayout *l)
{
    l->regs = find_reg(p, gpr_ids[0]);
    l->eip = find_reg(p, UC_X86_REG_RIP);
    for (int i = 0; i < CPU_NB_REGS; i++) {
        if (find_reg(p, gpr_ids[i]) != l->regs + i * 8) {
            return false;
        }
    }
    return l->regs && l->eip;
}

static bool find_segments(Probe *p, TCGLayout *l)
{
    const size_t stride = sizeof(TCGSegment), base = offsetof(TCGSegment, base);
    size_t fs = find_reg(p, UC_X86_REG_FS_BASE), gs = find_reg(p, UC_X86_REG_GS_BASE);
    size_t ldt = find_table(p, UC_X86_REG_LDTR), tr = find_table(p, UC_X86_REG_TR);
    size_t gdt = find_table(p, UC_X86_REG_GDTR), idt = find_table(p, UC_X86_REG_IDTR);

    if (!fs || gs != fs + stride || ldt != gs + stride || tr != ldt + stride ||
        gdt != tr + stride || idt != gdt + stride || fs < base + R_FS * stride) {
        return false;
    }
    l->segs = fs - base - R_FS * stride;
    return true;
}

/* A flat 32-bit machine at level 0, with paging off: what PVH entry gives. */
static void set_flat32(Probe *p, const TCGLayout *l)
{
    TCGSegment *seg = (TCGSegment *)(p->a + l->segs);
    uint64_t cr0 = CR0_PE_MASK | CR0_ET_MASK, eflags = 2;
    uint32_t hflags = HF_PE_MASK | HF_CS32_MASK | HF_SS32_MASK | HF_OSFXSR_MASK;

    uc_reg_write(p->uc, UC_X86_REG_CR0, &cr0);
    uc_reg_write(p->uc, UC_X86_REG_EFLAGS, &eflags);
    save(p, p->a);
    for (int i = 0; i < 6; i++) {
        seg[i] = (TCGSegment) {
            .selector = i == R_CS ? 8 : 16, .limit = UINT32_MAX,
            .flags = i == R_CS ? 0xcf9b00 : 0xcf9300,
        };
    }
    seg[8].base = seg[8].limit = 0;     /* no GDT: every selector is a bad one */
    memcpy(p->a + l->hflags, &hflags, sizeof(hflags));
    memset(p->a + l->efer, 0, 8);
    uc_context_restore(p->uc, (uc_context *)p->a);
}

/* Run @code until it halts or faults; the context is in a afterwards. */
static bool run(Probe *p, const void *code, size_t len)
{
    /* Each in a page of its own: forgetting a translation takes the library seconds. */
    p->code += 0x1000;
    memcpy(p->ram + p->code, code, len);
    p->vector = -1;
    return uc_emu_start(p->uc, p->code, UINT64_MAX, 0, 0) == UC_ERR_OK && save(p, p->a);
}

static uint32_t get32(const uint8_t *p)
{
    uint32_t v;

    memcpy(&v, p, sizeof(v));
    return v;
}

static uint64_t probe_reg(Probe *p, int regid)
{
    uint64_t v = 0;

    uc_reg_read(p->uc, regid, &v);
    return v;
}

static bool find_mode(Probe *p, TCGLayout *l)
{
    /* In the order of the instruction: the flags that are kept apart, then what is derived. */
    static const uint8_t mov_cr0[] = {
        0x0f, 0x20, 0xc0,       /* mov %cr0,%eax */
        0x83, 0xf0, 0x08,       /* xor $CR0_TS,%eax */
        0x0f, 0x22, 0xc0,       /* mov %eax,%cr0 */
        0xf4,                   /* hlt */
    };
    uc_x86_msr efer = {.rid = 0xc0000080};
    uint64_t first, second;

    /* EFER.LME is the one bit that every CPU of the library lets us write. */
    if (uc_reg_read(p->uc, UC_X86_REG_MSR, &efer)) {
        return false;
    }
    first = efer.value;
    if (!save(p, p->a)) {
        return false;
    }
    efer.value ^= MSR_EFER_LME;
    if (uc_reg_write(p->uc, UC_X86_REG_MSR, &efer) || !save(p, p->b)) {
        return false;
    }
    uc_reg_read(p->uc, UC_X86_REG_MSR, &efer);
    second = efer.value;
    l->efer = first != second ? find_value(p, &first, &second, 8) : 0;
    /* The mode stands before the segments. That these are its bytes, running code confirms. */
    l->hflags = l->segs - 8;
    l->hflags2 = l->segs - 4;
    if (!l->efer) {
        return false;
    }
    set_flat32(p, l);
    return run(p, mov_cr0, sizeof(mov_cr0)) && p->vector == -1 &&
           (get32(p->a + l->hflags) & ~HF_OSFXSR_MASK) ==
               (HF_PE_MASK | HF_CS32_MASK | HF_SS32_MASK | HF_TS_MASK);
}

static bool find_exception(Probe *p, TCGLayout *l)
{
    static const uint8_t bad_selector[] = {
        0xb9, 0xa8, 0x35, 0, 0, /* mov $0x35a8,%ecx */
        0x8e, 0xd9,             /* mov %cx,%ds */
    };
    static const uint8_t divide[] = {
        0x31, 0xd2,             /* xor %edx,%edx */
        0xf7, 0xf2,             /* div %edx */
    };
    static const uint8_t interrupt[] = {0xcd, 0x55}; /* int $0x55 */
    size_t dr0 = find_reg(p, UC_X86_REG_DR0);
    uint64_t zero = 0;

    /* Left as they were found: break points would slow the engine down, or stop it. */
    uc_reg_write(p->uc, UC_X86_REG_DR0, &zero);
    if (dr0 < 16) {
        return false;
    }
    l->error_code = dr0 - 16;
    l->exception_is_int = dr0 - 12;
    set_flat32(p, l);
    if (!run(p, bad_selector, sizeof(bad_selector)) || p->vector != 13 ||
        get32(p->a + l->error_code) != 0x35a8 || get32(p->a + l->exception_is_int) != 0 ||
        probe_reg(p, UC_X86_REG_RIP) != p->code + 5) {
        return false;
    }
    /*
     * After the debug registers there is a number that is 13 now; with it put right a fault stays
     * a fault.
     */
    for (size_t i = dr0 + 64; i < dr0 + 192 && i + 4 <= p->size; i += 4) {
        if (get32(p->a + i) == 13) {
            l->old_exception = i;
            break;
        }
    }
    if (!l->old_exception) {
        return false;
    }
    set_flat32(p, l);
    memset(p->a + l->old_exception, 0xff, 4);
    uc_context_restore(p->uc, (uc_context *)p->a);
    if (!run(p, divide, sizeof(divide)) || p->vector != 0 ||
        get32(p->a + l->old_exception) != 0) {
        return false;
    }
    set_flat32(p, l);
    memset(p->a + l->old_exception, 0xff, 4);
    uc_context_restore(p->uc, (uc_context *)p->a);
    if (!run(p, interrupt, sizeof(interrupt)) || p->vector != 0x55 ||
        get32(p->a + l->exception_is_int) != 1 ||
        probe_reg(p, UC_X86_REG_RIP) != p->code + 2) {
        return false;
    }

    /*
     * The counter's offset lies behind; not finding it only means that the counter is the host's.
     */
    static const uint8_t rdtsc[] = {0x0f, 0x31, 0xf4}; /* rdtsc; hlt */
    uint64_t minus_now = -(uint64_t)__builtin_ia32_rdtsc();

    for (size_t i = l->old_exception + 8; i <= l->old_exception + 24 && !l->tsc_offset; i += 8) {
        uint64_t old;

        set_flat32(p, l);
        memcpy(&old, p->a + i, 8);
        memcpy(p->a + i, &minus_now, 8);
        uc_context_restore(p->uc, (uc_context *)p->a);
        if (run(p, rdtsc, sizeof(rdtsc)) && p->vector == -1 &&
            probe_reg(p, UC_X86_REG_RDX) < 64) {
            l->tsc_offset = i;
        }
        memcpy(p->a + i, &old, 8);
        uc_context_restore(p->uc, (uc_context *)p->a);
    }
    return true;
}

/* Two pages swapped by a page table: does a write go where the table says? */
static void find_translation(Probe *p, TCGLayout *l)
{
    static const uint8_t code[] = {
        0xb8, 0x00, 0x00, 0x10, 0,      /* mov $0x100000,%eax */
        0x0f, 0x22, 0xd8,               /* mov %eax,%cr3 */
        0x0f, 0x20, 0xc0,               /* mov %cr0,%eax */
        0x0d, 0, 0, 0, 0x80,            /* or $CR0_PG,%eax */
        0x0f, 0x22, 0xc0,               /* mov %eax,%cr0 */
        0xc6, 0x05, 0, 0, 0x20, 0, 0x55, /* movb $0x55,0x200000 */
        0xf4,
    };
    uint32_t *directory = (uint32_t *)(p->ram + 0x100000);
    uint32_t *table = (uint32_t *)(p->ram + 0x101000);

    directory[0] = 0x101003;
    for (unsigned i = 0; i < PROBE_RAM >> 12; i++) {
        table[i] = i << 12 | 3;
    }
    table[0x200] = 0x201003;
    set_flat32(p, l);
    l->translates = run(p, code, sizeof(code)) && p->vector == -1 && p->ram[0x201000] == 0x55;
}

bool tcg_layout_probe(Error **errp)
{
    static bool done;
    unsigned major = 0, minor = 0;
    uc_context *contexts[2] = { NULL, NULL };
    Probe p = { 0 };
    TCGLayout l = { 0 };
    const char *what = NULL;
    uc_hook hook;

    if (done) {
        return true;
    }
    uc_version(&major, &minor);
    if (uc_open(UC_ARCH_X86, UC_MODE_64, &p.uc) != UC_ERR_OK) {
        error_setg(errp, "libunicorn %u.%u cannot emulate x86", major, minor);
        return false;
    }
    p.ram = qemu_memalign(4096, PROBE_RAM);
    memset(p.ram, 0, PROBE_RAM);
    if (uc_mem_map_ptr(p.uc, 0, PROBE_RAM, UC_PROT_ALL, p.ram) ||
        uc_hook_add(p.uc, &hook, UC_HOOK_INTR, on_interrupt, &p, 1, 0) ||
        uc_context_alloc(p.uc, &contexts[0]) || uc_context_alloc(p.uc, &contexts[1])) {
        what = "memory and contexts";
        goto out;
    }
    p.a = (uint8_t *)contexts[0];
    p.b = (uint8_t *)contexts[1];
    p.size = uc_context_size(p.uc);
    if (!find_general(&p, &l)) {
        what = "general registers";
    } else if (!find_segments(&p, &l)) {
        what = "segment registers";
    } else if (!find_mode(&p, &l)) {
        what = "the processor's mode";
    } else if (!find_exception(&p, &l)) {
        what = "exceptions";
    } else {
        find_translation(&p, &l);
        tcg_layout = l;
        done = true;
    }
out:
    if (what) {
        error_setg(errp, "libunicorn %u.%u is of an unknown kind: it does not keep %s as 2.0 does",
                   major, minor, what);
    }
    for (int i = 0; i < 2; i++) {
        if (contexts[i]) {
            uc_context_free(contexts[i]);
        }
    }
    uc_close(p.uc);
    qemu_vfree(p.ram);
    return done;
}
