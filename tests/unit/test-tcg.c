/*
 * The TCG accelerator with small guests of its own: modes, exceptions, system calls, interrupts,
 * several vCPUs, registers in and out, code that changes while the machine stands, and both kinds
 * of dirty tracking.
 *
 * What target/i386 supplies is replaced by the little that these guests need. A process can have
 * one machine, so each test runs in a child.
 *
 * SPDX-License-Identifier: GPL-2.0-or-later
 */
#include "qemu/osdep.h"
#include "accel/tcg/tcg-internal.h"
#include "hw/boards.h"
#include "qemu/main-loop.h"
#include "qemu/module.h"
#include "qemu/timer.h"
#include "system/accel.h"
#include "system/address-spaces.h"
#include "system/cpus.h"
#include "system/dirty-wp.h"
#include "system/kvm.h"
#include "system/runstate.h"
#include "test-tcg-guests.h"

#define PAGE      TARGET_PAGE_SIZE
#define RAM_PAGES 1024u
#define ENTRY     0x1000
#define DEVICE    0x90000
#define ROM       0xa0000

/* ---- what target/i386 and KVM would supply ---- */

#ifdef CONFIG_KVM
bool kvm_allowed;
#endif

static const TypeInfo test_cpu_types[] = {
    {
        .name = TYPE_X86_CPU,
        .parent = TYPE_CPU,
        .instance_size = sizeof(X86CPU),
        .abstract = true,
    },
    {
        .name = "test-cpu",
        .parent = TYPE_X86_CPU,
    },
};

void x86_cpu_update_hflags(CPUX86State *env)
{
    uint32_t h = env->hflags & HF_INHIBIT_IRQ_MASK;

    h |= env->segs[R_SS].flags >> DESC_DPL_SHIFT & HF_CPL_MASK;
    h |= env->cr[0] & CR0_PE_MASK ? HF_PE_MASK : 0;
    h |= env->cr[0] << 8 & (HF_MP_MASK | HF_EM_MASK | HF_TS_MASK);
    h |= env->cr[4] & CR4_OSFXSR_MASK ? HF_OSFXSR_MASK : 0;
    h |= env->efer & MSR_EFER_LMA ? HF_LMA_MASK : 0;
    if (h & HF_LMA_MASK && env->segs[R_CS].flags & DESC_L_MASK) {
        h |= HF_CS32_MASK | HF_SS32_MASK | HF_CS64_MASK;
    } else {
        h |= env->segs[R_CS].flags & DESC_B_MASK ? HF_CS32_MASK : 0;
        h |= env->segs[R_SS].flags & DESC_B_MASK ? HF_SS32_MASK : 0;
        if (!(env->cr[0] & CR0_PE_MASK) || !(h & HF_CS32_MASK) || env->segs[R_DS].base ||
            env->segs[R_ES].base || env->segs[R_SS].base) {
            h |= HF_ADDSEG_MASK;
        }
    }
    env->hflags = h;
}

void cpu_x86_cpuid(CPUX86State *env, uint32_t index, uint32_t count, uint32_t *eax, uint32_t *ebx,
                   uint32_t *ecx, uint32_t *edx)
{
    *eax = *ecx = *edx = 0;
    *ebx = index + 1;
}

void do_cpu_init(X86CPU *cpu)
{
}

void do_cpu_sipi(X86CPU *cpu)
{
}

static int irq_acks;

int cpu_get_pic_interrupt(CPUX86State *env)
{
    g_assert_true(bql_locked());
    irq_acks++;
    return 0x30;
}

/* ---- the machine ---- */

static MemoryRegion ram, rom, device, port;
static CPUState *cpus[2];
static uint8_t *host;
static int rounds;              /* seen at port 0x10 (BQL) */
static int wrong;               /* values there that the device did not give */
static uint8_t given, stored;   /* by the device's last read, last write */
static int step;                /* the last at port 0x11 */
static bool steps_in_order = true;
static int answer;              /* the last at port 0x13 */
static int answers;

static uint64_t device_read(void *opaque, hwaddr addr, unsigned size)
{
    g_assert_true(bql_locked());
    given = stored ^ 0x5a;
    return addr == 4 ? given : 0;
}

static void device_write(void *opaque, hwaddr addr, uint64_t data, unsigned size)
{
    g_assert_cmphex(addr, ==, 0);
    g_assert_cmpuint(size, ==, 1);
    stored = data;
}

static void port_write(void *opaque, hwaddr addr, uint64_t data, unsigned size)
{
    switch (addr) {
    case 0:
        rounds++;
        wrong += data != given;
        break;
    case 1:
        steps_in_order &= (int)data == step + 1;
        step = data;
        break;
    case 3:
        answer = data;
        answers++;
        break;
    }
}

static uint64_t port_read(void *opaque, hwaddr addr, unsigned size)
{
    return 0;
}

static const MemoryRegionOps device_ops = { .read = device_read, .write = device_write };
static const MemoryRegionOps port_ops = { .read = port_read, .write = port_write };

static bool test_has_work(CPUState *cs)
{
    return cs->interrupt_request & CPU_INTERRUPT_HARD && cpu_env(cs)->eflags & IF_MASK;
}

#define GDT 0x2000
static const uint64_t gdt[] = {
    0,
    0x00cf9b000000ffff,     /* 08 code, level 0 */
    0x00cf93000000ffff,     /* 10 data, level 0 */
    0x00cffb000000ffff,     /* 18 code, level 3 */
    0x00cff3000000ffff,     /* 20 data, level 3 */
    0x0000890040000067,     /* 28 TSS at 0x4000 */
    0x00009b000000ffff,     /* 30 code, 16 bits */
    0x000093000000ffff,     /* 38 data, 16 bits */
    0x00af9b000000ffff,     /* 40 code, 64 bits */
};

/* As a PVH loader leaves it. */
static void flat32(CPUX86State *env)
{
    env->eip = ENTRY;
    env->eflags = 2;
    env->cr[0] = CR0_PE_MASK | CR0_ET_MASK;
    for (int i = 0; i < 6; i++) {
        env->segs[i] = (SegmentCache) {
            .selector = i == R_CS ? 8 : 16,
            .limit = UINT32_MAX,
            .flags = i == R_CS ? 0xcf9b00 : 0xcf9300,
        };
    }
    env->tr = (SegmentCache) { .limit = 0x67, .flags = 0x8b00 };
    env->gdt = (SegmentCache) { .base = GDT, .limit = sizeof(gdt) - 1 };
    env->idt.limit = 0xffff;
    env->fpuc = 0x37f;
    env->mxcsr = 0x1f80;
    env->dr[6] = DR6_FIXED_1;
    env->dr[7] = DR7_FIXED_1;
    memset(env->fptags, 1, sizeof(env->fptags));
}

static void load(uint64_t at, const uint8_t *code, const uint8_t *end)
{
    memcpy(host + at, code, end - code);
}

static void machine_start(const char *accel, int ncpus, const uint8_t *code, const uint8_t *end)
{
    MachineState *ms = g_new0(MachineState, 1);

    module_call_init(MODULE_INIT_QOM);
    type_register_static_array(test_cpu_types, ARRAY_SIZE(test_cpu_types));
    qemu_init_main_loop(&error_abort);
    memory_map_init();
    memory_region_init_ram_nomigrate(&ram, NULL, "ram", RAM_PAGES * PAGE, &error_abort);
    memory_region_add_subregion(get_system_memory(), 0, &ram);
    memory_region_init_io(&device, NULL, &device_ops, NULL, "device", PAGE);
    memory_region_add_subregion_overlap(get_system_memory(), DEVICE, &device, 1);
    memory_region_init_rom_nomigrate(&rom, NULL, "rom", PAGE, &error_abort);
    memory_region_add_subregion_overlap(get_system_memory(), ROM, &rom, 1);
    memory_region_init_io(&port, NULL, &port_ops, NULL, "port", 4);
    memory_region_add_subregion(get_system_io(), 0x10, &port);
    host = memory_region_get_ram_ptr(&ram);
    load(ENTRY, code, end);

    ms->smp.cpus = ms->smp.max_cpus = ncpus;
    accel_option_add(accel, &error_abort);
    accel_configure(ms, &error_abort);
    g_assert_true(tcg_enabled());
    for (int i = 0; i < ARRAY_SIZE(gdt); i++) {
        stq_le_p(host + GDT + i * 8, gdt[i]);
    }
    for (int i = 0; i < ncpus; i++) {
        cpus[i] = CPU(object_new("test-cpu"));
        cpus[i]->cc = CPU_GET_CLASS(cpus[i]);
        cpus[i]->cc->has_work = test_has_work;
        cpu_list_add(cpus[i]);
        flat32(cpu_env(cpus[i]));
        cpu_env(cpus[i])->regs[R_EBX] = 0x20010 + i * 4;
        qemu_init_vcpu(cpus[i]);
    }
    cpu_synchronize_all_post_init();
}

/* Let the guest run until *@value has reached @at_least. */
static void wait_for(volatile int *value, int at_least)
{
    int64_t deadline = g_get_monotonic_time() + 20 * G_USEC_PER_SEC;

    while (*value < at_least && g_get_monotonic_time() < deadline) {
        bql_unlock();
        g_usleep(500);
        bql_lock();
    }
    g_assert_cmpint(*value, >=, at_least);
}

static void pause_for(int ms)
{
    bql_unlock();
    g_usleep(ms * 1000);
    bql_lock();
}

static void run_some(void)
{
    vm_start();
    wait_for(&rounds, rounds + 3);
    vm_stop(RUN_STATE_PAUSED);
}

static uint32_t word(uint64_t at)
{
    return ldl_le_p(host + at);
}

/* ---- tests, in the child ---- */

static void test_exits(void)
{
    uint64_t eip;
    int before;

    machine_start("tcg", 1, guest_loop, guest_loop_end);
    run_some();
    before = rounds;
    g_assert_cmpint(wrong, ==, 0);
    /* A byte counts the rounds: it may have gone round itself where this thread had to wait. */
    g_assert_true(before > UINT8_MAX || host[FIRST_PAGE * PAGE] >= 3);
    g_assert_cmpint(host[(FIRST_PAGE + 1) * PAGE], ==, 0);
    g_assert_true(cpu_is_stopped(cpus[0]));

    /* Stopped means stopped. */
    pause_for(20);
    g_assert_cmpint(rounds, ==, before);

    /* And it goes on from where it was, registers having been here in between. */
    for (int i = 0; i < 20; i++) {
        cpu_synchronize_all_states();
        g_assert_true(cpus[0]->vcpu_dirty);
        eip = cpu_env(cpus[0])->eip;
        g_assert_cmphex(eip, >=, ENTRY);
        g_assert_cmphex(eip, <, ENTRY + (guest_loop_end - guest_loop));
        run_some();
    }
    g_assert_cmpint(wrong, ==, 0);
    g_assert_cmpuint((uint8_t)(stored - rounds) + 1, <=, 2);
    /* No page was visited twice or not at all in any round. */
    for (int i = FIRST_PAGE + 2; i < 32; i += 2) {
        uint8_t step_down = host[(i - 2) * PAGE] - host[i * PAGE];

        g_assert_cmpuint(step_down, <=, 1);
    }
}

/* How quickly a running guest stops. */
static void test_stop(void)
{
    int64_t worst = 0;

    machine_start("tcg", 1, guest_loop, guest_loop_end);
    for (int i = 0; i < 50; i++) {
        int64_t start;

        vm_start();
        pause_for(2);
        start = g_get_monotonic_time();
        vm_stop(RUN_STATE_PAUSED);
        worst = MAX(worst, g_get_monotonic_time() - start);
    }
    g_test_message("slowest of 50 stops: %" PRIi64 " us", worst);
    g_assert_cmpint(worst, <, 2 * G_USEC_PER_SEC);
}

static void set_gate32(unsigned vector, const uint8_t *handler, const uint8_t *base, unsigned dpl)
{
    uint32_t at = ENTRY + (handler - base);

    stl_le_p(host + 0x3000 + vector * 8, 8 << 16 | (at & 0xffff));
    stl_le_p(host + 0x3004 + vector * 8, (at & 0xffff0000) | 0x8e00 | dpl << 13);
}

static void set_gate64(unsigned vector, const uint8_t *handler)
{
    uint32_t at = ENTRY + (handler - guest_modes);

    stl_le_p(host + 0x5000 + vector * 16, 0x40 << 16 | (at & 0xffff));
    stl_le_p(host + 0x5004 + vector * 16, (at & 0xffff0000) | 0x8e00);
    stl_le_p(host + 0x5008 + vector * 16, 0);
}

static void test_modes(void)
{
    machine_start("tcg", 1, guest_modes, guest_modes_end);
    set_gate32(0x80, modes_int80, guest_modes, 0);
    set_gate32(0x81, modes_int81, guest_modes, 3);
    set_gate32(0, modes_de, guest_modes, 0);
    set_gate32(13, modes_gp, guest_modes, 0);
    set_gate32(6, modes_ud, guest_modes, 0);
    set_gate64(0x82, modes_int82);
    set_gate64(14, modes_pf);
    vm_start();
    for (int i = 0; i < 5000 && step < 23; i++) {
        pause_for(1);
    }
    vm_stop(RUN_STATE_PAUSED);
    g_assert_cmpint(step, ==, 23);
    g_assert_true(steps_in_order);
    cpu_synchronize_all_states();
    g_assert_cmphex(cpu_env(cpus[0])->regs[R_R15], ==, 0x123456789abcdef0);
    g_assert_cmphex(cpu_env(cpus[0])->efer & MSR_EFER_LMA, !=, 0);
    g_assert_cmphex(cpu_env(cpus[0])->segs[R_CS].selector, ==, 0x40);
}

static void test_halt_and_interrupts(void)
{
    machine_start("tcg", 1, guest_irq, guest_irq_end);
    set_gate32(0x30, irq_handler, guest_irq, 0);
    vm_start();
    for (int i = 1; i <= 100; i++) {
        int64_t deadline = g_get_monotonic_time() + 5 * G_USEC_PER_SEC;

        cpu_interrupt(cpus[0], CPU_INTERRUPT_HARD);
        while (word(0x20000) < i && g_get_monotonic_time() < deadline) {
            bql_unlock();
            g_usleep(50);
            bql_lock();
        }
        g_assert_cmpuint(word(0x20000), ==, i);
    }
    pause_for(5);
    g_assert_true(cpus[0]->halted);
    vm_stop(RUN_STATE_PAUSED);
    g_assert_cmpint(irq_acks, ==, 100);
    g_assert_cmpuint(word(0x20004), >=, 1);
    g_assert_cmpuint(word(0x20004), <=, 100);
    /* Halted when it was stopped, halted when it goes on. */
    vm_start();
    pause_for(5);
    g_assert_true(cpus[0]->halted);
    cpu_interrupt(cpus[0], CPU_INTERRUPT_HARD);
    pause_for(20);
    vm_stop(RUN_STATE_PAUSED);
    g_assert_cmpuint(word(0x20000), ==, 101);
}

static void test_interrupt_window(void)
{
    machine_start("tcg", 1, guest_irq_busy, guest_irq_busy_end);
    set_gate32(0x30, irqb_handler, guest_irq_busy, 0);
    vm_start();
    for (int i = 1; i <= 200; i++) {
        int64_t deadline = g_get_monotonic_time() + 5 * G_USEC_PER_SEC;

        cpu_interrupt(cpus[0], CPU_INTERRUPT_HARD);
        while (word(0x20000) < i && g_get_monotonic_time() < deadline) {
            bql_unlock();
            g_usleep(20);
            bql_lock();
        }
        g_assert_cmpuint(word(0x20000), ==, i);
    }
    vm_stop(RUN_STATE_PAUSED);
    g_assert_cmpuint(word(0x2000c), ==, 0); /* never taken while they were off */
}

static void test_smp(void)
{
    uint32_t a, b;

    machine_start("tcg,thread=multi", 2, guest_smp, guest_smp_end);
    for (int i = 0; i < 10; i++) {
        vm_start();
        pause_for(30);
        vm_stop(RUN_STATE_PAUSED);
    }
    a = word(0x20010);
    b = word(0x20014);
    g_test_message("%u and %u rounds", a, b);
    g_assert_cmpuint(a, >, 1000);
    g_assert_cmpuint(b, >, 1000);
    /* Each may have been stopped between its two additions. */
    g_assert_cmpuint(word(0x20000) - (a + b), <=, 2);
}

/* The host writes code that has been translated. */
static void test_new_code(void)
{
    machine_start("tcg", 1, guest_answer1, guest_answer1_end);
    for (int i = 0; i < 6; i++) {
        vm_start();
        wait_for(&answers, answers + 10);
        vm_stop(RUN_STATE_PAUSED);
        g_assert_cmpint(answer, ==, i % 2 ? 2 : 1);
        load(ENTRY, i % 2 ? guest_answer1 : guest_answer2,
             i % 2 ? guest_answer1_end : guest_answer2_end);
    }
}

static void test_rom_and_nothing(void)
{
    uint64_t tsc;

    machine_start("tcg", 1, guest_rom, guest_rom_end);
    memset(memory_region_get_ram_ptr(&rom), 0xaa, PAGE);
    vm_start();
    wait_for(&rounds, 1);
    vm_stop(RUN_STATE_PAUSED);
    g_assert_cmphex(word(0x20000), ==, 0xaaaaaaaa);
    g_assert_cmphex(word(0x20004), ==, 0);
    g_assert_cmphex(word(0x20010), ==, 0x1235);
    /* The time stamp counter is the machine's, which began a moment ago, not the host's. */
    tsc = ldq_le_p(host + 0x20008);
    g_assert_cmpuint(tsc, <=, cpu_get_ticks());
}

static void check_registers(CPUState *cpu, run_on_cpu_data data)
{
    TCGVcpu *v = tcg_vcpu(cpu);
    g_autofree CPUX86State *want = g_new0(CPUX86State, 1);
    CPUX86State *env = cpu_env(cpu);
    GRand *rand = g_rand_new_with_seed(*(int *)data.host_ptr);

    for (int i = 0; i < CPU_NB_REGS; i++) {
        env->regs[i] = (uint64_t)g_rand_int(rand) << 32 | g_rand_int(rand);
    }
    env->eip = 0x123456789;
    env->eflags = 2 | (g_rand_int(rand) & (0x8d5 | DF_MASK | IF_MASK | IOPL_MASK | AC_MASK));
    for (int i = 0; i < 6; i++) {
        env->segs[i].selector = g_rand_int_range(rand, 0, 0x10000);
        env->segs[i].base = g_rand_int(rand);
    }
    env->ldt = (SegmentCache) { 0x50, g_rand_int(rand), 0xfff, 0x8200 };
    env->tr = (SegmentCache) { 0x60, g_rand_int(rand), 0x67, 0x8b00 };
    env->gdt = (SegmentCache) { 0, g_rand_int(rand), 0x1ff, 0 };
    env->idt = (SegmentCache) { 0, g_rand_int(rand), 0x7ff, 0 };
    env->cr[2] = (uint64_t)g_rand_int(rand) << 32 | g_rand_int(rand);
    env->cr[3] = g_rand_int(rand) & ~0xfff;
    env->cr[4] = CR4_PAE_MASK | CR4_OSFXSR_MASK;
    env->fpstt = g_rand_int_range(rand, 0, 8);
    env->fpus = g_rand_int(rand) & 0x4700;
    env->fpuc = 0x27f;
    env->mxcsr = 0x1fa1;
    for (int i = 0; i < 8; i++) {
        env->fpregs[i].mant = 1ull << 63 | g_rand_int(rand);
        env->fpregs[i].exp = 0x3fff + g_rand_int_range(rand, 0, 100);
        env->fptags[i] = g_rand_boolean(rand);
    }
    for (int i = 0; i < 16; i++) {
        env->xmm_regs[i]._q_ZMMReg[0] = (uint64_t)g_rand_int(rand) << 32 | i;
        env->xmm_regs[i]._q_ZMMReg[1] = (uint64_t)g_rand_int(rand) << 32 | ~i;
    }
    env->dr[0] = g_rand_int(rand);
    env->sysenter_cs = 8;
    env->sysenter_esp = g_rand_int(rand);
    env->sysenter_eip = g_rand_int(rand);
    env->star = (uint64_t)g_rand_int(rand) << 32;
    env->lstar = g_rand_int(rand);
    env->cstar = g_rand_int(rand);
    env->fmask = g_rand_int(rand);
    env->kernelgsbase = g_rand_int(rand);
    env->tsc_aux = g_rand_int(rand);
    env->pat = 0x0007040600070406;
    env->mtrr_deftype = 0x806;
    for (int i = 0; i < 11; i++) {
        env->mtrr_fixed[i] = (uint64_t)g_rand_int(rand) << 32 | i;
    }
    for (int i = 0; i < MSR_MTRRcap_VCNT; i++) {
        env->mtrr_var[i].base = g_rand_int(rand);
        env->mtrr_var[i].mask = g_rand_int(rand);
    }
    *want = *env;
    tcg_engine_close(v);
    tcg_engine_open(v, &error_abort);
    tcg_put_registers(v);
    memset(env, 0x55, sizeof(*env));
    env->hflags = 0;
    tcg_get_registers(v);

    g_assert_cmpmem(env->regs, sizeof(env->regs), want->regs, sizeof(env->regs));
    g_assert_cmphex(env->eip, ==, want->eip);
    g_assert_cmphex(env->eflags, ==, want->eflags);
    for (int i = 0; i < 6; i++) {
        g_assert_cmphex(env->segs[i].selector, ==, want->segs[i].selector);
        g_assert_cmphex(env->segs[i].base, ==, want->segs[i].base);
        g_assert_cmphex(env->segs[i].limit, ==, want->segs[i].limit);
        g_assert_cmphex(env->segs[i].flags, ==, want->segs[i].flags);
    }
    g_assert_cmphex(env->ldt.base, ==, want->ldt.base);
    g_assert_cmphex(env->tr.selector, ==, want->tr.selector);
    g_assert_cmphex(env->tr.flags, ==, want->tr.flags);
    g_assert_cmphex(env->gdt.base, ==, want->gdt.base);
    g_assert_cmphex(env->idt.base, ==, want->idt.base);
    g_assert_cmphex(env->idt.limit, ==, want->idt.limit);
    for (int i = 0; i < 5; i++) {
        if (i != 1) {
            g_assert_cmphex(env->cr[i], ==, want->cr[i]);
        }
    }
    g_assert_cmphex(env->fpstt, ==, want->fpstt);
    g_assert_cmphex(env->fpus, ==, want->fpus);
    g_assert_cmphex(env->fpuc, ==, want->fpuc);
    g_assert_cmphex(env->mxcsr, ==, want->mxcsr);
    for (int i = 0; i < 8; i++) {
        g_assert_cmphex(env->fpregs[i].mant, ==, want->fpregs[i].mant);
        g_assert_cmphex(env->fpregs[i].exp, ==, want->fpregs[i].exp);
        g_assert_cmphex(env->fptags[i], ==, want->fptags[i]);
    }
    for (int i = 0; i < 16; i++) {
        g_assert_cmpmem(&env->xmm_regs[i], 16, &want->xmm_regs[i], 16);
    }
    g_assert_cmphex(env->dr[0], ==, want->dr[0]);
    g_assert_cmphex(env->dr[6], ==, want->dr[6]);
    g_assert_cmphex(env->dr[7], ==, want->dr[7]);
    g_assert_cmphex(env->sysenter_cs, ==, want->sysenter_cs);
    g_assert_cmphex(env->sysenter_esp, ==, want->sysenter_esp);
    g_assert_cmphex(env->sysenter_eip, ==, want->sysenter_eip);
    g_assert_cmphex(env->star, ==, want->star);
    g_assert_cmphex(env->lstar, ==, want->lstar);
    g_assert_cmphex(env->cstar, ==, want->cstar);
    g_assert_cmphex(env->fmask, ==, want->fmask);
    g_assert_cmphex(env->kernelgsbase, ==, want->kernelgsbase);
    g_assert_cmphex(env->tsc_aux, ==, want->tsc_aux);
    g_assert_cmphex(env->pat, ==, want->pat);
    g_assert_cmphex(env->mtrr_deftype, ==, want->mtrr_deftype);
    g_assert_cmpmem(env->mtrr_fixed, sizeof(env->mtrr_fixed), want->mtrr_fixed,
                    sizeof(env->mtrr_fixed));
    g_assert_cmpmem(env->mtrr_var, sizeof(env->mtrr_var), want->mtrr_var, sizeof(env->mtrr_var));
    g_rand_free(rand);
}

static void test_registers(void)
{
    machine_start("tcg", 1, guest_loop, guest_loop_end);
    for (int seed = 1; seed < 20; seed++) {
        run_on_cpu(cpus[0], check_registers, RUN_ON_CPU_HOST_PTR(&seed));
    }
}

static uint64_t take(unsigned long *map)
{
    bitmap_zero(map, RAM_PAGES);
    return ram_block_take_dirty(ram.ram_block, 0, RAM_PAGES, map);
}

static void dirty_pages(const char *accel)
{
    DECLARE_BITMAP(map, RAM_PAGES);

    machine_start(accel, 1, guest_loop, guest_loop_end);
    madvise(host, RAM_PAGES * PAGE, MADV_NOHUGEPAGE);
    run_some();
    memory_global_dirty_log_start(GLOBAL_DIRTY_MIGRATION, &error_abort);
    memory_global_dirty_log_sync(false);
    take(map);
    for (int i = 0; i < 5; i++) {
        run_some();
        memory_global_dirty_log_sync(false);
        g_assert_cmpuint(take(map), ==, 8);
        g_assert_cmphex(map[0], ==, GUEST_PAGES);
        memory_global_dirty_log_sync(false);
        g_assert_cmpuint(take(map), ==, 0);
    }

    /* With the guest running: what it writes while we look is found by then or the next time. */
    vm_start();
    for (int i = 0; i < 10; i++) {
        wait_for(&rounds, rounds + 2);
        memory_global_dirty_log_sync(false);
        g_assert_cmpuint(take(map), >, 0);
        g_assert_cmphex(map[0] & ~(unsigned long)GUEST_PAGES, ==, 0);
    }
    /* Logging goes away and comes back under the running guest. */
    memory_global_dirty_log_stop(GLOBAL_DIRTY_MIGRATION);
    memory_global_dirty_log_sync(false);
    take(map);
    wait_for(&rounds, rounds + 2);
    memory_global_dirty_log_start(GLOBAL_DIRTY_MIGRATION, &error_abort);
    wait_for(&rounds, rounds + 2);
    memory_global_dirty_log_sync(false);
    g_assert_cmpuint(take(map), ==, 8);
    vm_stop(RUN_STATE_PAUSED);
    memory_global_dirty_log_sync(true);
    take(map);
    memory_global_dirty_log_stop(GLOBAL_DIRTY_MIGRATION);
    run_some();
    memory_global_dirty_log_sync(false);
    g_assert_cmpuint(take(map), ==, 0);
    g_assert_cmpint(wrong, ==, 0);
}

static void test_dirty_wp(void)
{
    dirty_pages("tcg,dirty-tracking=wp-async");
}

static void test_dirty_hooks(void)
{
    dirty_pages("tcg,dirty-tracking=hooks");
}

static void test_dirty_auto(void)
{
    dirty_pages("tcg");
}

static void in_child(gconstpointer data)
{
    void (*test)(void) = (void (*)(void))data;

    if (g_test_subprocess()) {
        test();
        /* vCPU threads are about: no orderly end. */
        fflush(NULL);
        _exit(0);
    }
    if (test == test_dirty_wp) {
        Error *err = NULL;

        if (!dirty_wp_available(&err)) {
            g_test_skip(error_get_pretty(err));
            error_free(err);
            return;
        }
    }
    g_test_trap_subprocess(NULL, 60 * G_USEC_PER_SEC,
                           G_TEST_SUBPROCESS_INHERIT_STDERR | G_TEST_SUBPROCESS_INHERIT_STDOUT);
    g_test_trap_assert_passed();
}

int main(int argc, char **argv)
{
    g_test_init(&argc, &argv, NULL);
    g_test_add_data_func("/tcg/exits", test_exits, in_child);
    g_test_add_data_func("/tcg/stop", test_stop, in_child);
    g_test_add_data_func("/tcg/modes", test_modes, in_child);
    g_test_add_data_func("/tcg/registers", test_registers, in_child);
    g_test_add_data_func("/tcg/halt-and-interrupts", test_halt_and_interrupts, in_child);
    g_test_add_data_func("/tcg/interrupt-window", test_interrupt_window, in_child);
    g_test_add_data_func("/tcg/smp", test_smp, in_child);
    g_test_add_data_func("/tcg/new-code", test_new_code, in_child);
    g_test_add_data_func("/tcg/rom-and-nothing", test_rom_and_nothing, in_child);
    g_test_add_data_func("/tcg/dirty-wp", test_dirty_wp, in_child);
    g_test_add_data_func("/tcg/dirty-hooks", test_dirty_hooks, in_child);
    g_test_add_data_func("/tcg/dirty-auto", test_dirty_auto, in_child);
    return g_test_run();
}
