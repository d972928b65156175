/*
 * Interrupt controllers and interval timer of this program (hw/intc, hw/timer/i8254.c), driven
 * through their registers and lines, with two CPUs that execute nothing and a clock that moves on
 * command.
 *
 * SPDX-License-Identifier: GPL-2.0-or-later
 */
#include "qemu/osdep.h"
#include "hw/boards.h"
#include "hw/i386/apic.h"
#include "qemu/main-loop.h"
#include "qemu/module.h"
#include "qemu/timer.h"
#include "system/accel.h"
#include "system/address-spaces.h"
#include "system/cpus.h"
#include "system/ioport.h"
#include "system/kvm.h"
#include "system/reset.h"
#include "target/i386/cpu.h"

#define APIC_BASE 0xfee00000u
#define IOAPIC_BASE 0xfec00000u

/* ---- what target/i386 and KVM would supply ---- */

#ifdef CONFIG_KVM
bool kvm_allowed;
#endif

DeviceState *(*x86_cpu_apic_create)(X86CPU *cpu);

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

bool cpu_is_bsp(X86CPU *cpu)
{
    return cpu->apic_id == 0;
}

/* ---- the machine ---- */

static CPUState *cpus[2];
static qemu_irq *gsi;
static DeviceState *ioapic;

static void machine_start(void)
{
    MachineState *ms = g_new0(MachineState, 1);

    module_call_init(MODULE_INIT_QOM);
    type_register_static_array(test_cpu_types, ARRAY_SIZE(test_cpu_types));
    qemu_init_main_loop(&error_abort);
    qemu_init_cpu_loop();
    memory_map_init();
    ms->smp.cpus = ms->smp.max_cpus = 2;
    accel_option_add("qtest", &error_abort);
    accel_configure(ms, &error_abort);
    for (int i = 0; i < 2; i++) {
        cpus[i] = CPU(object_new("test-cpu"));
        cpus[i]->cc = CPU_GET_CLASS(cpus[i]);
        cpu_list_add(cpus[i]);
        X86_CPU(cpus[i])->apic_id = i;
        qemu_init_vcpu(cpus[i]);
        x86_cpu_apic_create(X86_CPU(cpus[i]));
    }
    ioapic = ioapic_create(IOAPIC_BASE);
    i8259_create();
    gsi = soft_gsi_allocate(ioapic, IOAPIC_NUM_PINS);
    i8254_create(gsi[0]);
    bus_cold_reset(sysbus_get_default());
    qemu_devices_reset(RESET_TYPE_COLD);
}

static uint32_t apic_read(int cpu, unsigned reg)
{
    uint32_t value;

    current_cpu = cpus[cpu];
    value = address_space_ldl(&address_space_memory, APIC_BASE + reg, MEMTXATTRS_UNSPECIFIED, NULL);
    current_cpu = NULL;
    return value;
}

static void apic_write(int cpu, unsigned reg, uint32_t value)
{
    current_cpu = cpus[cpu];
    address_space_stl(&address_space_memory, APIC_BASE + reg, value, MEMTXATTRS_UNSPECIFIED, NULL);
    current_cpu = NULL;
}

static uint32_t ioapic_reg(unsigned reg)
{
    address_space_stl(&address_space_memory, IOAPIC_BASE, reg, MEMTXATTRS_UNSPECIFIED, NULL);
    return address_space_ldl(&address_space_memory, IOAPIC_BASE + 0x10, MEMTXATTRS_UNSPECIFIED,
                             NULL);
}

static void ioapic_set(unsigned reg, uint32_t value)
{
    address_space_stl(&address_space_memory, IOAPIC_BASE, reg, MEMTXATTRS_UNSPECIFIED, NULL);
    address_space_stl(&address_space_memory, IOAPIC_BASE + 0x10, value, MEMTXATTRS_UNSPECIFIED,
                      NULL);
}

static bool wants(int cpu)
{
    return cpus[cpu]->interrupt_request & CPU_INTERRUPT_HARD;
}

static int take(int cpu)
{
    return wants(cpu) ? cpu_get_pic_interrupt(cpu_env(cpus[cpu])) : -1;
}

static void enable_apics(void)
{
    apic_write(0, 0xf0, 0x1ff);
    apic_write(1, 0xf0, 0x1ff);
}

/* ---- PIC ---- */

static void pic_init(void)
{
    static const struct {
        uint16_t port;
        uint8_t value;
    } words[] = {
        { 0x20, 0x11 }, { 0xa0, 0x11 }, { 0x21, 0x20 }, { 0xa1, 0x28 }, { 0x21, 0x04 },
        { 0xa1, 0x02 }, { 0x21, 0x01 }, { 0xa1, 0x01 }, { 0x21, 0x00 }, { 0xa1, 0x00 },
    };

    for (int i = 0; i < ARRAY_SIZE(words); i++) {
        cpu_outb(words[i].port, words[i].value);
    }
}

static void test_pic(void)
{
    machine_start();
    pic_init();
    g_assert_false(wants(0));

    /* An edge is remembered when the line goes down again. */
    qemu_irq_pulse(gsi[4]);
    g_assert_true(wants(0));
    g_assert_false(wants(1));
    g_assert_cmphex(cpu_inb(0x20), ==, 0x10);
    g_assert_cmphex(take(0), ==, 0x24);
    g_assert_false(wants(0));
    /* Of the lines behind it, only the more important get through until its end. */
    qemu_irq_pulse(gsi[6]);
    g_assert_false(wants(0));
    qemu_irq_pulse(gsi[3]);
    g_assert_cmphex(take(0), ==, 0x23);
    cpu_outb(0x20, 0x0b);
    g_assert_cmphex(cpu_inb(0x20), ==, 0x18);
    cpu_outb(0x20, 0x20);       /* ends 3 */
    g_assert_false(wants(0));
    cpu_outb(0x20, 0x64);       /* ends 4 by name */
    g_assert_cmphex(take(0), ==, 0x26);
    cpu_outb(0x20, 0x20);

    /* The second one, through line 2. */
    qemu_irq_pulse(gsi[12]);
    g_assert_cmphex(take(0), ==, 0x2c);
    qemu_irq_pulse(gsi[9]);     /* more important there, but the first waits for its end */
    g_assert_false(wants(0));
    cpu_outb(0xa0, 0x20);
    cpu_outb(0x20, 0x20);
    g_assert_cmphex(take(0), ==, 0x29);
    cpu_outb(0xa0, 0x20);
    cpu_outb(0x20, 0x20);
    g_assert_false(wants(0));

    /* Masks. */
    cpu_outb(0x21, 0x20);
    qemu_irq_pulse(gsi[5]);
    g_assert_false(wants(0));
    g_assert_cmphex(cpu_inb(0x21), ==, 0x20);
    cpu_outb(0x21, 0);
    g_assert_cmphex(take(0), ==, 0x25);
    cpu_outb(0x20, 0x20);

    /* Levels ask again until they are gone. */
    cpu_outb(0x4d0, 0xff);
    g_assert_cmphex(cpu_inb(0x4d0), ==, 0xf8);
    qemu_irq_raise(gsi[5]);
    g_assert_cmphex(take(0), ==, 0x25);
    cpu_outb(0x20, 0x20);
    g_assert_cmphex(take(0), ==, 0x25);
    qemu_irq_lower(gsi[5]);
    cpu_outb(0x20, 0x20);
    g_assert_false(wants(0));
    cpu_outb(0x4d0, 0);

    /* Rotation: what was served becomes the least important. */
    qemu_irq_pulse(gsi[1]);
    g_assert_cmphex(take(0), ==, 0x21);
    cpu_outb(0x20, 0xa0);
    qemu_irq_pulse(gsi[1]);
    qemu_irq_pulse(gsi[7]);
    g_assert_cmphex(take(0), ==, 0x27);
    cpu_outb(0x20, 0x20);
    g_assert_cmphex(take(0), ==, 0x21);
    cpu_outb(0x20, 0x20);

    /* Polling. */
    cpu_outb(0x20, 0x0c);
    g_assert_cmphex(cpu_inb(0x20), ==, 0);
    qemu_irq_pulse(gsi[3]);
    cpu_outb(0x20, 0x0c);
    g_assert_cmphex(cpu_inb(0x20), ==, 0x83);
    cpu_outb(0x20, 0x20);

    /* A CPU that comes too late. */
    g_assert_cmphex(pic_read_irq(), ==, 0x27);

    /* Only while LINT0 lets them in. */
    apic_write(0, 0xf0, 0x1ff);
    apic_write(0, 0x350, 0x10700);
    qemu_irq_pulse(gsi[3]);
    g_assert_false(wants(0));
    apic_write(0, 0x350, 0x700);
    g_assert_cmphex(take(0), ==, 0x23);
}

/* ---- I/O APIC ---- */

static void test_ioapic(void)
{
    machine_start();
    enable_apics();
    cpu_outb(0x21, 0xff);
    cpu_outb(0xa1, 0xff);
    g_assert_cmphex(ioapic_reg(1), ==, 0x00170020);
    g_assert_cmphex(ioapic_reg(0x10), ==, 0x10000);
    ioapic_set(0, 0x0f000000);
    g_assert_cmphex(ioapic_reg(0), ==, 0x0f000000);

    /* An edge, to the second CPU. */
    ioapic_set(0x10 + 2 * 4, 0x41);
    ioapic_set(0x11 + 2 * 4, 0x01000000);
    qemu_irq_pulse(gsi[4]);
    g_assert_false(wants(0));
    g_assert_cmphex(take(1), ==, 0x41);
    apic_write(1, 0xb0, 0);
    g_assert_false(wants(1));

    /* A masked edge is lost, as it is in QEMU. */
    ioapic_set(0x10 + 2 * 4, 0x10041);
    qemu_irq_pulse(gsi[4]);
    g_assert_false(wants(1));
    ioapic_set(0x10 + 2 * 4, 0x41);
    g_assert_false(wants(1));

    /* A level: once, and again after its end while it is up. */
    ioapic_set(0x10 + 2 * 10, 0x8000 | 0x51);
    ioapic_set(0x11 + 2 * 10, 0);
    qemu_irq_raise(gsi[10]);
    g_assert_cmphex(ioapic_reg(0x10 + 2 * 10), ==, 0xc051);
    g_assert_cmphex(take(0), ==, 0x51);
    g_assert_cmphex(apic_read(0, 0x100 + 0x20), ==, 1u << 17);
    g_assert_cmphex(apic_read(0, 0x180 + 0x20), ==, 1u << 17);
    qemu_irq_raise(gsi[10]);
    g_assert_false(wants(0));
    apic_write(0, 0xb0, 0);
    g_assert_cmphex(take(0), ==, 0x51);
    qemu_irq_lower(gsi[10]);
    apic_write(0, 0xb0, 0);
    g_assert_false(wants(0));
    g_assert_cmphex(ioapic_reg(0x10 + 2 * 10), ==, 0x8051);

    /* The timer's line is pin 2. */
    ioapic_set(0x10 + 2 * 2, 0x61);
    qemu_irq_pulse(gsi[0]);
    g_assert_cmphex(take(0), ==, 0x61);
    apic_write(0, 0xb0, 0);

    /* Beyond the last pin there is nothing. */
    ioapic_set(0x40, 0x77);
    g_assert_cmphex(ioapic_reg(0x40), ==, 0);
    g_assert_cmphex(ioapic_reg(0xff), ==, 0);
}

/* ---- a second I/O APIC, and local APICs that are not ours ---- */

#define IOAPIC2_BASE 0xfec10000u

static void ioapic2_set(unsigned reg, uint32_t value)
{
    address_space_stl(&address_space_memory, IOAPIC2_BASE, reg, MEMTXATTRS_UNSPECIFIED, NULL);
    address_space_stl(&address_space_memory, IOAPIC2_BASE + 0x10, value, MEMTXATTRS_UNSPECIFIED,
                      NULL);
}

static void test_second_ioapic(void)
{
    machine_start();
    gsi = soft_gsi_extend(gsi, IOAPIC_NUM_PINS, ioapic_create(IOAPIC2_BASE));
    enable_apics();

    /* Lines beyond the first one's, counted from 0; no line is moved here. */
    ioapic2_set(0x10 + 2 * 0, 0x45);
    ioapic2_set(0x10 + 2 * 23, 0x8000 | 0x46);
    qemu_irq_pulse(gsi[24]);
    g_assert_cmphex(take(0), ==, 0x45);
    apic_write(0, 0xb0, 0);
    qemu_irq_raise(gsi[47]);
    g_assert_cmphex(take(0), ==, 0x46);
    apic_write(0, 0xb0, 0);         /* still up */
    g_assert_cmphex(take(0), ==, 0x46);
    qemu_irq_lower(gsi[47]);
    apic_write(0, 0xb0, 0);
    g_assert_false(wants(0));

    /* The first one's are still there. */
    ioapic_set(0x10 + 2 * 5, 0x47);
    qemu_irq_pulse(gsi[5]);
    g_assert_cmphex(take(0), ==, 0x47);
}

static struct {
    unsigned messages, changes, which;
    uint8_t dest, vector;
    unsigned mode;
    bool logical, level;
    uint64_t last_entry;
    bool wire;
} seen;

static void see_message(uint8_t dest, bool logical, unsigned mode, uint8_t vector, bool level)
{
    seen.messages++;
    seen.dest = dest;
    seen.logical = logical;
    seen.mode = mode;
    seen.vector = vector;
    seen.level = level;
}

static void see_entries(unsigned n, const uint64_t *entries)
{
    seen.changes++;
    seen.which = n;
    seen.last_entry = entries[IOAPIC_NUM_PINS - 1];
}

static void see_wire(bool level)
{
    seen.wire = level;
}

static void test_bus(void)
{
    static const IOAPICBus tells = {
        .deliver = see_message, .tells_eoi = true, .entries_changed = see_entries,
    }, silent = { .deliver = see_message };

    machine_start();
    gsi = soft_gsi_extend(gsi, IOAPIC_NUM_PINS, ioapic_create(IOAPIC2_BASE));
    ioapic_bus = &tells;
    apic_pic_wire = see_wire;
    pic_init();

    ioapic2_set(0x11 + 2 * 23, 0x03000000);
    ioapic2_set(0x10 + 2 * 23, 0x8000 | 0x800 | 0x100 | 0x91);
    g_assert_cmpuint(seen.changes, ==, 2);
    g_assert_cmpuint(seen.which, ==, 1);
    g_assert_cmphex(seen.last_entry, ==, UINT64_C(0x0300000000008991));
    qemu_irq_raise(gsi[47]);
    g_assert_cmpuint(seen.messages, ==, 1);
    g_assert_cmphex(seen.dest, ==, 3);
    g_assert_true(seen.logical && seen.level);
    g_assert_cmpuint(seen.mode, ==, APIC_DM_LOWPRI);
    g_assert_cmphex(seen.vector, ==, 0x91);

    /* By level: not again before its end, and then as the line is still up. */
    qemu_irq_raise(gsi[47]);
    g_assert_cmpuint(seen.messages, ==, 1);
    ioapic_eoi_broadcast(0x90);
    g_assert_cmpuint(seen.messages, ==, 1);
    ioapic_eoi_broadcast(0x91);
    g_assert_cmpuint(seen.messages, ==, 2);
    qemu_irq_lower(gsi[47]);
    ioapic_eoi_broadcast(0x91);
    g_assert_cmpuint(seen.messages, ==, 2);
    ioapic_set(0x10, 0x10000);
    g_assert_cmpuint(seen.which, ==, 0);

    /* Where nobody tells of ends, every rise is a message. */
    ioapic_bus = &silent;
    for (unsigned i = 3; i < 5; i++) {
        qemu_irq_raise(gsi[47]);
        g_assert_cmpuint(seen.messages, ==, i);
        qemu_irq_lower(gsi[47]);
    }

    /* The PICs' output leads elsewhere; what they have is fetched as ever. */
    g_assert_false(seen.wire);
    qemu_irq_raise(gsi[3]);
    g_assert_true(seen.wire);
    g_assert_cmphex(pic_read_irq(), ==, 0x23);
    g_assert_false(seen.wire);
}

/* ---- local APIC ---- */

static void test_apic(void)
{
    machine_start();
    g_assert_cmphex(apic_read(0, 0x20), ==, 0);
    g_assert_cmphex(apic_read(1, 0x20), ==, 0x01000000);
    g_assert_cmphex(apic_read(0, 0x30), ==, 0x50014);
    g_assert_cmphex(apic_read(0, 0xf0), ==, 0xff);
    enable_apics();

    /* To oneself, to all others, to all. */
    apic_write(0, 0x300, 0x40040);
    g_assert_cmphex(take(0), ==, 0x40);
    g_assert_false(wants(1));
    apic_write(0, 0x300, 0xc0041);
    g_assert_cmphex(take(1), ==, 0x41);
    apic_write(0, 0x300, 0x80050);
    g_assert_cmphex(take(0), ==, 0x50);
    g_assert_cmphex(take(1), ==, 0x50);
    apic_write(1, 0xb0, 0);
    apic_write(1, 0xb0, 0);

    /* Priorities: 0x50 is in service, 0x5f waits with it, 0x60 does not. */
    apic_write(1, 0x310, 0);
    apic_write(1, 0x300, 0x5f);
    g_assert_false(wants(0));
    apic_write(1, 0x300, 0x60);
    g_assert_cmphex(take(0), ==, 0x60);
    g_assert_cmphex(apic_read(0, 0xa0), ==, 0x60);
    apic_write(0, 0xb0, 0);     /* ends 60 */
    apic_write(0, 0xb0, 0);     /* ends 50 */
    g_assert_cmphex(take(0), ==, 0x5f);
    apic_write(0, 0xb0, 0);
    apic_write(0, 0xb0, 0);     /* ends 40 */
    g_assert_cmphex(apic_read(0, 0xa0), ==, 0);

    /* The CPU's own priority holds back. */
    apic_write(0, 0x80, 0x70);
    apic_write(0, 0x300, 0x40070);
    g_assert_false(wants(0));
    g_assert_cmphex(apic_read(0, 0x200 + 0x30), ==, 1u << 16);
    apic_write(0, 0x80, 0x60);
    g_assert_cmphex(take(0), ==, 0x70);
    apic_write(0, 0xb0, 0);
    apic_write(0, 0x80, 0);

    /* Logical destinations, flat and in clusters. */
    apic_write(0, 0xd0, 0x01000000);
    apic_write(1, 0xd0, 0x02000000);
    apic_write(0, 0x310, 0x02000000);
    apic_write(0, 0x300, 0x0842);
    g_assert_false(wants(0));
    g_assert_cmphex(take(1), ==, 0x42);
    apic_write(1, 0xb0, 0);
    apic_write(0, 0xe0, 0x0fffffff);
    apic_write(1, 0xe0, 0x0fffffff);
    apic_write(1, 0xd0, 0x31000000);
    apic_write(0, 0x310, 0x31000000);
    apic_write(0, 0x300, 0x0843);
    g_assert_false(wants(0));
    g_assert_cmphex(take(1), ==, 0x43);
    apic_write(1, 0xb0, 0);

    /* A device's message. */
    address_space_stl(&address_space_memory, APIC_BASE + 0x1000, 0x44, MEMTXATTRS_UNSPECIFIED,
                      NULL);
    g_assert_cmphex(take(1), ==, 0x44);
    apic_write(1, 0xb0, 0);

    /* Vectors below 16 are errors. */
    apic_write(0, 0x300, 0x40005);
    g_assert_cmphex(apic_read(0, 0x280), ==, 0x40);

    /* INIT and start-up, of which only the first counts. */
    apic_write(0, 0x310, 0x01000000);
    apic_write(0, 0x300, 0x4500);
    g_assert_true(cpus[1]->interrupt_request & CPU_INTERRUPT_INIT);
    g_assert_cmphex(apic_read(1, 0xf0), ==, 0xff);
    cpu_reset_interrupt(cpus[1], CPU_INTERRUPT_INIT);
    apic_write(0, 0x300, 0x4608);
    g_assert_true(cpus[1]->interrupt_request & CPU_INTERRUPT_SIPI);
    g_assert_cmphex(cpu_env(cpus[1])->sipi_vector, ==, 8);
    cpu_reset_interrupt(cpus[1], CPU_INTERRUPT_SIPI);
    apic_write(0, 0x300, 0x4609);
    g_assert_false(cpus[1]->interrupt_request & CPU_INTERRUPT_SIPI);
    g_assert_cmphex(cpu_env(cpus[1])->sipi_vector, ==, 8);
    apic_write(0, 0x300, 0x4400);
    g_assert_true(cpus[1]->interrupt_request & CPU_INTERRUPT_NMI);

    /* Switched off: nothing gets in. */
    apic_write(0, 0xf0, 0xff);
    apic_write(0, 0x300, 0x40040);
    g_assert_false(wants(0));
}

static void test_apic_timer(void)
{
    machine_start();
    enable_apics();
    apic_write(0, 0x3e0, 0xb);          /* divided by 1: nanoseconds */
    g_assert_cmphex(apic_read(0, 0x3e0), ==, 0xb);
    apic_write(0, 0x320, 0x40);         /* once */
    apic_write(0, 0x380, 1000);
    qtest_clock_warp(qtest_get_virtual_clock() + 400);
    g_assert_cmpuint(apic_read(0, 0x390), ==, 600);
    g_assert_false(wants(0));
    qtest_clock_warp(qtest_get_virtual_clock() + 600);
    g_assert_cmphex(take(0), ==, 0x40);
    g_assert_cmpuint(apic_read(0, 0x390), ==, 0);
    apic_write(0, 0xb0, 0);
    qtest_clock_warp(qtest_get_virtual_clock() + 10000);
    g_assert_false(wants(0));

    apic_write(0, 0x3e0, 0x3);          /* divided by 16, periodic */
    apic_write(0, 0x320, 0x20041);
    apic_write(0, 0x380, 100);
    for (int i = 0; i < 5; i++) {
        qtest_clock_warp(qtest_get_virtual_clock() + 1599);
        g_assert_false(wants(0));
        qtest_clock_warp(qtest_get_virtual_clock() + 1);
        g_assert_cmphex(take(0), ==, 0x41);
        apic_write(0, 0xb0, 0);
    }
    apic_write(0, 0x320, 0x30041);      /* masked */
    qtest_clock_warp(qtest_get_virtual_clock() + 100000);
    g_assert_false(wants(0));
    apic_write(0, 0x320, 0x20041);
    apic_write(0, 0x380, 0);            /* stopped */
    qtest_clock_warp(qtest_get_virtual_clock() + 100000);
    g_assert_false(wants(0));
}

/* ---- interval timer ---- */

static int ticks_in(int64_t ns)
{
    int64_t end = qtest_get_virtual_clock() + ns;
    int n = 0;

    while (qtest_get_virtual_clock() < end) {
        qtest_clock_warp(MIN(qtest_get_virtual_clock() + 100000, end));
        while (take(0) == 0x20) {
            n++;
            cpu_outb(0x20, 0x20);
        }
    }
    return n;
}

static void test_pit(void)
{
    int n;

    machine_start();
    pic_init();

    cpu_outb(0x43, 0x34);               /* rate generator, 1000 Hz */
    cpu_outb(0x40, 1193 & 0xff);
    cpu_outb(0x40, 1193 >> 8);
    ticks_in(1000000);
    n = ticks_in(NANOSECONDS_PER_SECOND / 10);
    g_assert_cmpint(n, >=, 99);
    g_assert_cmpint(n, <=, 101);

    cpu_outb(0x43, 0x36);               /* square wave, 100 Hz */
    cpu_outb(0x40, 11932 & 0xff);
    cpu_outb(0x40, 11932 >> 8);
    ticks_in(1000000);
    n = ticks_in(NANOSECONDS_PER_SECOND / 2);
    g_assert_cmpint(n, >=, 49);
    g_assert_cmpint(n, <=, 51);

    cpu_outb(0x43, 0x30);               /* once */
    cpu_outb(0x40, 0x00);
    cpu_outb(0x40, 0x10);               /* 4096 ticks: 3.4 ms */
    ticks_in(100000);
    g_assert_cmpint(ticks_in(3000000), ==, 0);
    g_assert_cmpint(ticks_in(1000000), ==, 1);
    g_assert_cmpint(ticks_in(100000000), ==, 0);

    /* Reading: the latched count stands still; channel 2 counts down from 65536. */
    cpu_outb(0x43, 0xb4);
    cpu_outb(0x42, 0);
    cpu_outb(0x42, 0);
    qtest_clock_warp(qtest_get_virtual_clock() + 1000000);  /* 1193 ticks */
    cpu_outb(0x43, 0x80);
    qtest_clock_warp(qtest_get_virtual_clock() + 1000000);
    n = cpu_inb(0x42);
    n |= cpu_inb(0x42) << 8;
    g_assert_cmpint(n, ==, 65536 - 1193);
    n = cpu_inb(0x42);
    n |= cpu_inb(0x42) << 8;
    g_assert_cmpint(n, ==, 65536 - 2386);
    /* Status by read back: mode 2, both bytes. */
    cpu_outb(0x43, 0xe8);
    g_assert_cmphex(cpu_inb(0x42) & 0x3f, ==, 0x34);
    cpu_inb(0x43);
}

static void in_child(gconstpointer data)
{
    if (g_test_subprocess()) {
        ((void (*)(void))data)();
        fflush(NULL);
        _exit(0);
    }
    g_test_trap_subprocess(NULL, 60 * G_USEC_PER_SEC, G_TEST_SUBPROCESS_INHERIT_STDERR);
    g_test_trap_assert_passed();
}

int main(int argc, char **argv)
{
    g_test_init(&argc, &argv, NULL);
    g_test_add_data_func("/intc/pic", test_pic, in_child);
    g_test_add_data_func("/intc/ioapic", test_ioapic, in_child);
    g_test_add_data_func("/intc/second-ioapic", test_second_ioapic, in_child);
    g_test_add_data_func("/intc/bus", test_bus, in_child);
    g_test_add_data_func("/intc/apic", test_apic, in_child);
    g_test_add_data_func("/intc/apic-timer", test_apic_timer, in_child);
    g_test_add_data_func("/intc/pit", test_pit, in_child);
    return g_test_run();
}
