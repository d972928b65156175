/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * The hopping guest: machine state that is set once and has to stay: control and debug registers,
 * MSRs, descriptor tables, CPUID; and KVM's clock. All of it runs at level 0.
 */
#include "hop.h"
#include "lib.h"

#define MSR_EFER 0xc0000080
#define MSR_FS_BASE 0xc0000100
#define MSR_GS_BASE 0xc0000101
#define MSR_KERNEL_GS_BASE 0xc0000102
#define MSR_TSC_AUX 0xc0000103
#define MSR_KVM_SYSTEM_TIME 0x4b564d01
#define KVM_LEAF 0x40000000

/* Written once. A value of 0 in `keep` bits stays as it was found. */
static const struct {
    u32 number;
    u64 value;
} patterns[] = {
    { 0x174, SEL_CODE0 },                       /* SYSENTER: CS, ESP, EIP */
    { 0x175, 0x0000123456789ab0 },
    { 0x176, 0x00000fedcba98760 },
    { 0xc0000083, 0x00007fffdeadbee0 },         /* CSTAR */
    { MSR_TSC_AUX, 0x51a70000 },                /* the vCPU's number is added */
    { 0x277, 0x0007010600070406 },              /* PAT: none of what the page tables use changes */
    { 0x200, 0x00000000c0000000 },              /* MTRR: 1 GiB from 3 GiB, uncached … */
    { 0x201, 0x000000ffc0000800 },
    { 0x202, 0x0000000080000006 },              /* … and a range that is not in use */
    { 0x203, 0x000000fff0000000 },
    { 0x250, 0x0606060606060606 },
    { 0x258, 0x0606060606060606 },
    { 0x268, 0x0505050505050505 },
    { 0x26f, 0x0606060606060606 },
    { 0x2ff, 0x0000000000000c06 },
};

#define MSRS_A_TURN 12                          /* an access takes its time where KVM is nested */

/* Read, where there are such, and compared from then on. */
static const u32 constants[] = {
    0x1b, 0x3b, 0xfe, 0x1a0, 0x1d9, 0x179, 0x17a, 0x17b, 0x48, 0xda0, 0xe1, 0x122,
    MSR_EFER, 0xc0000081, 0xc0000082, 0xc0000084, MSR_GS_BASE, MSR_KERNEL_GS_BASE,
    0xc001001f, 0xc0010015, 0xc0010117, 0xc001011f,
    0x204, 0x206, 0x208, 0x20a, 0x20c, 0x20e, 0x205, 0x207, 0x209, 0x20b, 0x20d, 0x20f,
    0x259, 0x269, 0x26a, 0x26b, 0x26c, 0x26d, 0x26e,
    0x400, 0x404, 0x408, 0x40c, 0x424,
    0x4b564d00, MSR_KVM_SYSTEM_TIME, 0x4b564d02, 0x4b564d03, 0x4b564d04, 0x4b564d05, 0x4b564d06,
};

static const u32 cpuid_leaves[] = {
    0, 1, 2, 4, 5, 6, 7, 0xd, 0x14, 0x15, 0x80000000, 0x80000001, 0x80000002, 0x80000003,
    0x80000004, 0x80000005, 0x80000006, 0x80000007, 0x80000008, 0x8000000a, 0x8000001d,
    KVM_LEAF, KVM_LEAF + 1,
};
#define LEAVES (sizeof(cpuid_leaves) / sizeof(cpuid_leaves[0]))
static u32 cpuid_found[MAX_HOP_VCPUS][LEAVES][4];

static u32 tss[MAX_HOP_VCPUS][26 + 2050] __attribute__((aligned(128)));
static u64 ldt[4] = { 0, 0x00cff3000000ffff, 0x00cf93000000ffff, 0 };
static u64 idt[256][2] __attribute__((aligned(16)));

/* What KVM writes by itself is in this page, so that all others are the guest's alone. */
static u8 written_by_kvm[MAX_HOP_VCPUS][2][64] __attribute__((section(".control"), aligned(4096)))
    = { { { 0 } } };

struct table {
    u16 limit;
    u64 base;
} __attribute__((packed));

#define READ_CR(_n) ({ u64 v_; __asm__ volatile("mov %%cr" #_n ", %0" : "=r"(v_)); v_; })
#define WRITE_CR(_n, _v) __asm__ volatile("mov %0, %%cr" #_n : : "r"((u64)(_v)) : "memory")
#define READ_DR(_n) ({ u64 v_; __asm__ volatile("mov %%dr" #_n ", %0" : "=r"(v_)); v_; })
#define WRITE_DR(_n, _v) __asm__ volatile("mov %0, %%dr" #_n : : "r"((u64)(_v)) : "memory")

static void system_descriptor(u64 *at, u64 base, u32 limit, u64 type)
{
    at[0] = (limit & 0xffff) | (base & 0xffffff) << 16 | type << 40 | (base >> 24 & 0xff) << 56;
    at[1] = base >> 32;
}

static void load_tables(struct hop *h)
{
    struct table gdtr = { GDT_ENTRIES * 8 - 1, (uptr)gdt };
    struct table idtr = { sizeof(idt) - 1, (uptr)idt };
    u32 *t = tss[h->index];

    for (u32 i = 0; i < 256 && !h->tss_base; i++) {
        u64 to = (uptr)interrupt_entries + i * 16;

        idt[i][0] = (to & 0xffff) | SEL_CODE0_64 << 16 | (to >> 16 & 0xffff) << 48
                    | (i == IRQ_CALL ? 0xeeull : 0x8eull) << 40;
        idt[i][1] = to >> 32;
    }
    *(u64 *)(t + 1) = h->area[0].stack;
    t[25] = 104 << 16;                          /* ports are open to level 3: no bit is set … */
    ((u8 *)t)[104 + 8192] = 0xff;               /* … but those of the end mark */
    system_descriptor(gdt + SEL_LDT / 8, (uptr)ldt, sizeof(ldt) - 1, 0x82);
    system_descriptor(gdt + SEL_TSS / 8 + 2 * h->index, (uptr)t, 104 + 8192, 0x89);
    __asm__ volatile("lgdt %0" : : "m"(gdtr));
    __asm__ volatile("lidt %0" : : "m"(idtr));
    __asm__ volatile("lldt %w0" : : "r"(SEL_LDT));
    __asm__ volatile("ltr %w0" : : "r"(SEL_TSS + 16 * h->index));
    h->tss_base = (uptr)t;
}

/* XCR0 and CR4, as far as this CPU has what they turn on. */
static void choose_vectors(struct hop *h)
{
    u32 r[4], seven[4] = { 0 };
    u64 cr4 = READ_CR(4) | 0x600;               /* FXSR, SSE exceptions */
    u32 vectors = VECTORS_SSE;

    cpuid(0, r);
    if (r[0] >= 7) {
        cpuid(7, seven);
    }
    WRITE_CR(0, (READ_CR(0) & ~0xeull) | 0x22);    /* no EM, no TS; MP, NE */
    cpuid(1, r);
    if (seven[1] & 1) {
        cr4 |= 1u << 16;                        /* RDFSBASE and its kin */
    }
    if (seven[2] & 1 << 3) {
        cr4 |= 1u << 22;                        /* protection keys */
    }
    if (r[2] & 1u << 26) {
        cr4 |= 1u << 18;                        /* XSAVE */
    }
    WRITE_CR(4, cr4);
    if (cr4 & 1u << 18) {
        u32 d[4], want = 3;

        cpuid(0xd, d);
        if (option.avx && r[2] & 1u << 28 && d[0] & 4) {
            want |= 4;
            vectors = VECTORS_AVX;
            if (option.avx > 1 && seven[1] & 1u << 16 && seven[1] & 1u << 30
                && (d[0] & 0xe0) == 0xe0) {
                want |= 0xe0;
                vectors = VECTORS_AVX512;
            }
        }
        if (seven[2] & 1 << 3 && d[0] & 0x200) {
            want |= 0x200;
        }
        __asm__ volatile("xsetbv" : : "a"(want), "d"(0), "c"(0));
        h->xcr0 = want;
    }
    h->area[1].vectors = vectors;
}

static void remember(struct hop *h, u32 number)
{
    u64 value;

    if (h->msrs < MAX_MSRS && msr_read(number, &value)) {
        h->msr[h->msrs].number = number;
        h->msr[h->msrs++].value = value;
    }
}

/* A data breakpoint on the canary, where the CPU (or who plays it) does such things. */
static void start_watch(struct hop *h)
{
    WRITE_DR(0, 0x0000111122223330 + h->index * 16);
    WRITE_DR(1, 0x0000222233334440 + h->index * 16);
    WRITE_DR(2, 0x0000333344445550 + h->index * 16);
    WRITE_DR(3, (uptr)&h->canary);
    WRITE_DR(6, 0xffff0ff0);
    WRITE_DR(7, 0x400 | 0x80 | 0xdull << 28);   /* four bytes, written */
    h->canary = 1;
    h->watch = h->traps == 1;
    if (!h->watch) {
        WRITE_DR(7, 0x400);
    }
    h->traps_expected = h->traps;
    for (u32 i = 0; i < 8; i++) {
        h->dr[i] = i == 0 ? READ_DR(0) : i == 1 ? READ_DR(1) : i == 2 ? READ_DR(2)
                   : i == 3 ? READ_DR(3) : i == 6 ? READ_DR(6) : i == 7 ? READ_DR(7) : 0;
    }
}

static u32 kvm_features(void)
{
    u32 r[4];

    cpuid(KVM_LEAF, r);
    if (r[1] != 0x4b4d564b || r[2] != 0x564b4d56) {
        return 0;
    }
    cpuid(KVM_LEAF + 1, r);
    return r[0];
}

static void read_cpuid(u32 i, u32 r[4])
{
    cpuid(cpuid_leaves[i], r);
    if (cpuid_leaves[i] == 1) {
        r[1] &= 0xffffff;                       /* the vCPU's number */
    }
}

void state_start(struct hop *h)
{
    u32 features = kvm_features();
    u64 efer;

    h->clock = written_by_kvm[h->index][0];
    h->steal = written_by_kvm[h->index][1];
    load_tables(h);
    choose_vectors(h);
    msr_read(MSR_EFER, &efer);
    msr_write(MSR_EFER, efer | 1);              /* SYSCALL */
    msr_write(0xc0000081, (u64)(SEL_STAR3 << 16 | SEL_CODE0_64) << 32);
    msr_write(0xc0000082, (uptr)syscall_entry);
    msr_write(0xc0000084, 0x700);               /* FMASK: IF, DF, TF */
    msr_write(MSR_FS_BASE, (uptr)&h->fs_cells[0]);
    msr_write(MSR_GS_BASE, (uptr)&h->area[0]);
    msr_write(MSR_KERNEL_GS_BASE, (uptr)&h->area[1]);
    for (u32 i = 0; i < sizeof(patterns) / sizeof(patterns[0]); i++) {
        u64 add = patterns[i].number == MSR_TSC_AUX ? h->index : 0;

        if (msr_write(patterns[i].number, patterns[i].value + add)) {
            remember(h, patterns[i].number);
        }
    }
    if (option.clock && features & 1 << 3) {
        msr_write(MSR_KVM_SYSTEM_TIME, (uptr)h->clock | 1);
        h->clock_on = 1;
    }
    if (features & 1 << 5) {
        msr_write(0x4b564d03, (uptr)h->steal | 1);
    }
    if (features & 1 << 12) {
        msr_write(0x4b564d05, 0);               /* no polling by the host */
    }
    if (features & 1 << 14) {
        msr_write(0x4b564d06, IRQ_SPURIOUS - 1);
    }
    for (u32 i = 0; i < sizeof(constants) / sizeof(constants[0]); i++) {
        remember(h, constants[i]);
    }
    start_watch(h);
    h->cr0 = READ_CR(0);
    h->cr3 = READ_CR(3);
    h->cr4 = READ_CR(4);
    WRITE_CR(8, 1);                             /* priority: above what nobody uses */
    h->cr8 = READ_CR(8);
    for (u32 i = 0; i < LEAVES; i++) {
        read_cpuid(i, cpuid_found[h->index][i]);
    }
}

static void same(struct hop *h, const char *what, u64 where, u64 expected, u64 found)
{
    if (expected != found) {
        fail(h, what, where, expected, found);
    }
}

static void check_tables(struct hop *h)
{
    struct table t;
    u64 selector = 0;

    __asm__ volatile("sgdt %0" : "=m"(t));
    same(h, "gdt base", 0, (uptr)gdt, t.base);
    same(h, "gdt limit", 0, GDT_ENTRIES * 8 - 1, t.limit);
    __asm__ volatile("sidt %0" : "=m"(t));
    same(h, "idt base", 0, (uptr)idt, t.base);
    same(h, "idt limit", 0, sizeof(idt) - 1, t.limit);
    __asm__ volatile("str %w0" : "+r"(selector));
    same(h, "tr", 0, SEL_TSS + 16 * h->index, selector & 0xffff);
    selector = 0;
    __asm__ volatile("sldt %w0" : "+r"(selector));
    same(h, "ldt", 0, SEL_LDT, selector & 0xffff);
    /* The LDT's first entry loads, and has no base: what one reads through it is at its place. */
    __asm__ volatile("mov %w1, %%fs\n\t mov %%fs, %w0\n\t mov %w2, %%fs"
                     : "=&r"(selector) : "r"(4 | 8 | 3), "r"(0));
    same(h, "ldt entry", 0, 4 | 8 | 3, selector & 0xffff);
}

void state_check(struct hop *h)
{
    u64 value;

    same(h, "cr", 0, h->cr0, READ_CR(0));
    same(h, "cr", 3, h->cr3, READ_CR(3));
    same(h, "cr", 4, h->cr4, READ_CR(4));
    same(h, "cr", 8, h->cr8, READ_CR(8));
    same(h, "dr", 0, h->dr[0], READ_DR(0));
    same(h, "dr", 1, h->dr[1], READ_DR(1));
    same(h, "dr", 2, h->dr[2], READ_DR(2));
    same(h, "dr", 3, h->dr[3], READ_DR(3));
    same(h, "dr", 6, h->dr[6], READ_DR(6));
    same(h, "dr", 7, h->dr[7], READ_DR(7));
    for (u32 n = 0; n < MSRS_A_TURN; n++) {
        struct msr_value *m = &h->msr[h->msr_next];

        if (!msr_read(m->number, &value)) {
            fail(h, "msr gone", m->number, m->value, 0);
        }
        same(h, "msr", m->number, m->value, value);
        h->msr_next = (h->msr_next + 1) % h->msrs;
    }
    check_tables(h);
    /* FS wanders, so that no value of before will do. check_tables() has cleared it. */
    h->fs_cell = (h->fs_cell + 1) % 16;
    msr_write(MSR_FS_BASE, (uptr)&h->fs_cells[h->fs_cell]);
}

void cpuid_check(struct hop *h)
{
    u32 r[4];

    for (u32 i = 0; i < LEAVES; i++) {
        read_cpuid(i, r);
        for (u32 j = 0; j < 4; j++) {
            same(h, "cpuid", (u64)cpuid_leaves[i] << 4 | j, cpuid_found[h->index][i][j], r[j]);
        }
    }
}

/* Faults that show only in what this file looks after. */
void state_fault(struct hop *h)
{
    if (fault("msr")) {
        msr_write(0xc0000083, 1);
    }
    if (fault("dr")) {
        WRITE_DR(0, h->dr[0] + 1);
    }
    if (fault("cr4")) {
        WRITE_CR(4, h->cr4 ^ 4);                /* TSD: level 3 reads no time stamps */
    }
    if (fault("clock")) {
        h->clock_last += 1000ull * 1000 * 1000 * 3600;
    }
}

/* Nanoseconds by KVM's clock: what its page says, and the TSC since. Any level. */
u64 clock_read(struct hop *h)
{
    volatile struct {
        u32 version, pad;
        u64 tsc, nanoseconds;
        u32 multiplier;
        signed char shift;
        u8 flags, more[2];
    } *page = (void *)h->clock;
    u64 now;
    u32 version;

    do {
        u64 delta;

        version = page->version;
        __asm__ volatile("lfence" : : : "memory");
        delta = rdtsc() - page->tsc;
        delta = page->shift < 0 ? delta >> -page->shift : delta << page->shift;
        now = page->nanoseconds + (u64)((unsigned __int128)delta * page->multiplier >> 32);
        __asm__ volatile("lfence" : : : "memory");
    } while (version & 1 || version != page->version);
    return now;
}

/* It never goes back, and goes on no faster than the TSC, give or take `jump`. */
void clock_check(struct hop *h, u64 tsc)
{
    u64 now, limit;

    if (!h->clock_on) {
        return;
    }
    now = clock_read(h);
    if (h->clock_last) {
        if (now < h->clock_last) {
            fail(h, "kvmclock back", 0, h->clock_last, now);
        }
        limit = (tsc - h->clock_tsc) / khz * 1000000 + (u64)option.jump * 1000000;
        if (now - h->clock_last > limit) {
            fail(h, "kvmclock jump", 0, limit, now - h->clock_last);
        }
    }
    h->clock_last = now;
    h->clock_tsc = tsc;
}
