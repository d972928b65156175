/*
 * The generic half of the KVM accelerator, with a guest of a dozen real-mode instructions and the
 * smallest possible architecture half: exits, starting and stopping, slots that change under the
 * guest, the dirty log as a bitmap and as a ring.
 *
 * A process can have one VM, so each test runs in a child. Skipped where /dev/kvm can't be opened.
 *
 * SPDX-License-Identifier: GPL-2.0-or-later
 */
#include "qemu/osdep.h"
#include "hw/boards.h"
#include "hw/core/cpu.h"
#include "qemu/main-loop.h"
#include "qemu/module.h"
#include "system/address-spaces.h"
#include "system/cpus.h"
#include "system/kvm_int.h"
#include "system/runstate.h"

#define TYPE_TEST_CPU "test-cpu"
#define PAGE TARGET_PAGE_SIZE
#define RAM_PAGES 256
#define ENTRY 0x1000
#define DEVICE 0x8f000

/*
 * For ever: increment the first byte of every second page from 0x10000 to 0x1ffff, store a count in
 * the device at 0x8f000, load a byte from offset 4 of it, and put that out to port 0x10.
 */
static const uint8_t guest_code[] = {
    0xb8, 0x00, 0x10,       /* mov ax, 0x1000 */
    0x8e, 0xd8,             /* mov ds, ax */
    0xb8, 0x00, 0x8f,       /* mov ax, 0x8f00 */
    0x8e, 0xc0,             /* mov es, ax */
    0x31, 0xc9,             /* xor cx, cx */
    0x31, 0xff,             /* round: xor di, di */
    0xfe, 0x05,             /* page: inc byte [di] */
    0x81, 0xc7, 0x00, 0x20, /* add di, 0x2000 */
    0x75, 0xf8,             /* jnz page */
    0x41,                   /* inc cx */
    0x88, 0xc8,             /* mov al, cl */
    0x26, 0xa2, 0x00, 0x00, /* mov es:[0], al */
    0x26, 0xa0, 0x04, 0x00, /* mov al, es:[4] */
    0xe6, 0x10,             /* out 0x10, al */
    0xeb, 0xe7,             /* jmp round */
};
#define FIRST_PAGE 16
#define GUEST_PAGES 0x55550000u /* 16, 18 … 30 */

/* -- The architecture's half ----------------------------------------------------------------- */

const KVMCapabilityInfo kvm_arch_required_capabilities[] = { KVM_CAP_LAST_INFO };

int kvm_arch_init(MachineState *ms, KVMState *s)
{
    uint64_t identity = 0xfeffc000;

    kvm_vm_ioctl(s, KVM_SET_IDENTITY_MAP_ADDR, &identity);
    return kvm_vm_ioctl(s, KVM_SET_TSS_ADDR, (uintptr_t)identity + 0x1000);
}

int kvm_arch_irqchip_create(KVMState *s)
{
    return 0;
}

void kvm_arch_init_irq_routing(KVMState *s)
{
    int i;

    for (i = 0; i < 16; i++) {
        kvm_irqchip_add_irq_route(s, i, KVM_IRQCHIP_IOAPIC, i);
    }
}

unsigned long kvm_arch_vcpu_id(CPUState *cpu)
{
    return cpu->cpu_index;
}

int kvm_arch_init_vcpu(CPUState *cpu)
{
    return 0;
}

int kvm_arch_destroy_vcpu(CPUState *cpu)
{
    return 0;
}

static struct kvm_regs seen;

int kvm_arch_get_registers(CPUState *cpu, Error **errp)
{
    return kvm_vcpu_ioctl(cpu, KVM_GET_REGS, &seen);
}

int kvm_arch_put_registers(CPUState *cpu, int level, Error **errp)
{
    struct kvm_regs regs = { .rip = ENTRY, .rflags = 2 };
    struct kvm_sregs sregs;

    if (level < KVM_PUT_RESET_STATE) {
        return kvm_vcpu_ioctl(cpu, KVM_SET_REGS, &seen);
    }
    kvm_vcpu_ioctl(cpu, KVM_GET_SREGS, &sregs);
    sregs.cs.base = 0;
    sregs.cs.selector = 0;
    kvm_vcpu_ioctl(cpu, KVM_SET_SREGS, &sregs);
    return kvm_vcpu_ioctl(cpu, KVM_SET_REGS, &regs);
}

void kvm_arch_pre_run(CPUState *cpu, struct kvm_run *run)
{
}

MemTxAttrs kvm_arch_post_run(CPUState *cpu, struct kvm_run *run)
{
    return MEMTXATTRS_UNSPECIFIED;
}

int kvm_arch_settle(CPUState *cpu, struct kvm_run *run, int ret)
{
    return ret;
}

int kvm_arch_handle_exit(CPUState *cpu, struct kvm_run *run)
{
    return -1;
}

int kvm_arch_process_async_events(CPUState *cpu)
{
    return 0;
}

bool kvm_arch_stop_on_emulation_error(CPUState *cpu)
{
    return true;
}

static const TypeInfo test_cpu_type = {
    .name = TYPE_TEST_CPU,
    .parent = TYPE_CPU,
    .instance_size = sizeof(CPUState),
};

/* -- The machine ----------------------------------------------------------------------------- */

static MemoryRegion ram, device, port;
static CPUState *cpu;
static int rounds;              /* seen at the port (BQL) */
static int wrong;               /* values at the port that the device did not give */
static uint8_t given;           /* by the device's last read */
static uint8_t stored;

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
    rounds++;
    wrong += data != given;
}

static uint64_t port_read(void *opaque, hwaddr addr, unsigned size)
{
    return 0;
}

static const MemoryRegionOps device_ops = { .read = device_read, .write = device_write };
static const MemoryRegionOps port_ops = { .read = port_read, .write = port_write };

static void machine_start(const char *accel)
{
    MachineState *ms = g_new0(MachineState, 1);

    g_assert_cmpuint(sizeof(guest_code), ==, 0x25);
    module_call_init(MODULE_INIT_QOM);
    type_register_static(&test_cpu_type);
    qemu_init_main_loop(&error_abort);
    memory_map_init();
    memory_region_init_ram_nomigrate(&ram, NULL, "ram", RAM_PAGES * PAGE, &error_abort);
    memory_region_add_subregion(get_system_memory(), 0, &ram);
    memory_region_init_io(&device, NULL, &device_ops, NULL, "device", PAGE);
    memory_region_add_subregion_overlap(get_system_memory(), DEVICE, &device, 1);
    memory_region_init_io(&port, NULL, &port_ops, NULL, "port", 1);
    memory_region_add_subregion(get_system_io(), 0x10, &port);
    address_space_write(&address_space_memory, ENTRY, MEMTXATTRS_UNSPECIFIED, guest_code,
                        sizeof(guest_code));

    ms->smp.cpus = ms->smp.max_cpus = 1;
    accel_option_add(accel, &error_abort);
    accel_configure(ms, &error_abort);
    g_assert_true(kvm_enabled());
    g_assert_cmpstr(current_accel_name(), ==, "kvm");

    cpu = CPU(object_new(TYPE_TEST_CPU));
    cpu->cc = CPU_GET_CLASS(cpu);
    cpu_list_add(cpu);
    qemu_init_vcpu(cpu);
    cpu_synchronize_all_post_reset();
}

static void wait_rounds(int n)
{
    int until = rounds + n;
    int64_t deadline = g_get_monotonic_time() + 20 * G_USEC_PER_SEC;

    while (rounds < until && g_get_monotonic_time() < deadline) {
        bql_unlock();
        g_usleep(500);
        bql_lock();
    }
    g_assert_cmpint(rounds, >=, until);
}

static uint64_t take(unsigned long *map)
{
    bitmap_zero(map, RAM_PAGES);
    return ram_block_take_dirty(ram.ram_block, 0, RAM_PAGES, map);
}

static void run_some(void)
{
    vm_start();
    wait_rounds(3);
    vm_stop(RUN_STATE_PAUSED);
}

/* -- Tests, in the child --------------------------------------------------------------------- */

static void test_exits(void)
{
    uint8_t *host;
    int before;

    machine_start("kvm");
    host = memory_region_get_ram_ptr(&ram);
    run_some();
    before = rounds;
    g_assert_cmpint(wrong, ==, 0);
    g_assert_cmpint(host[FIRST_PAGE * PAGE], >=, 3);
    g_assert_cmpint(host[(FIRST_PAGE + 1) * PAGE], ==, 0);
    g_assert_true(cpu_is_stopped(cpu));

    /* Stopped means stopped. */
    bql_unlock();
    g_usleep(20000);
    bql_lock();
    g_assert_cmpint(rounds, ==, before);

    /* And it goes on from where it was, registers having been here in between. */
    cpu_synchronize_all_states();
    g_assert_true(cpu->vcpu_dirty);
    g_assert_cmphex(seen.rip, >=, ENTRY);
    g_assert_cmphex(seen.rip, <, ENTRY + sizeof(guest_code));
    run_some();
    g_assert_cmpint(wrong, ==, 0);
    g_assert_cmpuint((uint8_t)(stored - rounds) + 1, <=, 2);
}

static void set_ran(CPUState *where, run_on_cpu_data data)
{
    g_assert_true(current_cpu == where && bql_locked());
    *(int *)data.host_ptr += 1;
}

static void set_ran_alone(CPUState *where, run_on_cpu_data data)
{
    g_assert_true(current_cpu == where && !bql_locked());
    *(int *)data.host_ptr += 1;
}

/* Memory that comes and goes under a running guest, and work for its thread. */
static void test_layout(void)
{
    MemoryRegion more;
    uint32_t value;
    int ran = 0, i;

    machine_start("kvm");
    memory_region_init_ram_nomigrate(&more, NULL, "more", 16 * PAGE, &error_abort);
    vm_start();
    wait_rounds(2);
    for (i = 0; i < 20; i++) {
        /* Over RAM that the guest does not use: its slot is split, and mended. */
        memory_region_add_subregion_overlap(get_system_memory(), 0x60000, &more, 2);
        wait_rounds(1);
        value = 0x01020304 + i;
        address_space_write(&address_space_memory, 0x60000, MEMTXATTRS_UNSPECIFIED, &value, 4);
        memory_region_del_subregion(get_system_memory(), &more);
        wait_rounds(1);
        run_on_cpu(cpu, set_ran, RUN_ON_CPU_HOST_PTR(&ran));
        async_safe_run_on_cpu(cpu, set_ran_alone, RUN_ON_CPU_HOST_PTR(&ran));
    }
    wait_rounds(2);
    vm_stop(RUN_STATE_PAUSED);
    g_assert_cmpint(wrong, ==, 0);
    g_assert_cmpint(ran, ==, 40);
    g_assert_cmphex(*(uint32_t *)memory_region_get_ram_ptr(&more), ==, value);
}

static void test_dirty_bitmap(void)
{
    DECLARE_BITMAP(map, RAM_PAGES);
    bool manual;

    machine_start("kvm");
    manual = kvm_state->manual_dirty_log_protect;
    run_some();
    memory_global_dirty_log_start(GLOBAL_DIRTY_MIGRATION, &error_abort);
    memory_global_dirty_log_sync(false);
    take(map);
    if (kvm_state->manual_dirty_log_protect & KVM_DIRTY_LOG_INITIALLY_SET) {
        g_assert_cmpuint(bitmap_count_one(map, DEVICE / PAGE), ==, DEVICE / PAGE);
        g_assert_true(test_bit(RAM_PAGES - 1, map));
    }
    memory_region_clear_dirty_bitmap(&ram, 0, RAM_PAGES * PAGE);
    memory_global_dirty_log_sync(false);
    g_assert_cmpuint(take(map), ==, 0);

    run_some();
    memory_global_dirty_log_sync(false);
    g_assert_cmpuint(take(map), ==, 8);
    g_assert_cmphex(map[0], ==, GUEST_PAGES);

    /* What was not cleared is reported again; ends that are no whole words are respected. */
    memory_region_clear_dirty_bitmap(&ram, 0, 20 * PAGE);
    memory_region_clear_dirty_bitmap(&ram, 26 * PAGE, PAGE);
    memory_global_dirty_log_sync(false);
    take(map);
    g_assert_cmphex(map[0], ==, manual ? GUEST_PAGES & ~(0xfffffu | 1u << 26) : 0);
    memory_region_clear_dirty_bitmap(&ram, 0, RAM_PAGES * PAGE);

    /* A slot that goes takes its dirty pages along into the block. */
    run_some();
    memory_region_del_subregion(get_system_memory(), &ram);
    g_assert_cmpuint(take(map), ==, 8);
    g_assert_cmphex(map[0], ==, GUEST_PAGES);
    memory_region_add_subregion(get_system_memory(), 0, &ram);

    memory_global_dirty_log_stop(GLOBAL_DIRTY_MIGRATION);
    take(map);
    run_some();
    memory_global_dirty_log_sync(false);
    g_assert_cmpuint(take(map), ==, 0);
}

static void test_dirty_ring(void)
{
    DECLARE_BITMAP(map, RAM_PAGES);
    int i;

    machine_start("kvm,dirty-ring-size=1024");
    g_assert_cmpuint(kvm_dirty_ring_size(), ==, 1024);
    run_some();
    memory_global_dirty_log_start(GLOBAL_DIRTY_MIGRATION, &error_abort);
    memory_global_dirty_log_sync(false);
    take(map);
    for (i = 0; i < 3; i++) {
        run_some();
        memory_global_dirty_log_sync(false);
        g_assert_cmpuint(take(map), ==, 8);
        g_assert_cmphex(map[0], ==, GUEST_PAGES);
        memory_global_dirty_log_sync(false);
        g_assert_cmpuint(take(map), ==, 0);
    }
    g_assert_cmpuint(cpu->dirty_pages, >=, 24);

    /* With the guest running: what it writes while we look is found by then or the next time. */
    vm_start();
    for (i = 0; i < 5; i++) {
        wait_rounds(2);
        memory_global_dirty_log_sync(false);
        take(map);
        g_assert_cmphex(map[0] & ~(unsigned long)GUEST_PAGES, ==, 0);
    }
    vm_stop(RUN_STATE_PAUSED);
    memory_global_dirty_log_stop(GLOBAL_DIRTY_MIGRATION);
}

static void in_child(gconstpointer data)
{
    void (*test)(void) = (void (*)(void))data;

    if (g_test_subprocess()) {
        test();
        /* Threads of the VM are about: no orderly end. */
        _exit(0);
    }
    if (access("/dev/kvm", R_OK | W_OK)) {
        g_autofree char *why = g_strdup_printf("/dev/kvm can't be opened: %s", strerror(errno));

        g_test_skip(why);
        return;
    }
    g_test_trap_subprocess(NULL, 60 * G_USEC_PER_SEC, G_TEST_SUBPROCESS_INHERIT_STDERR);
    g_test_trap_assert_passed();
}

int main(int argc, char **argv)
{
    g_test_init(&argc, &argv, NULL);
    g_test_add_data_func("/kvm/exits", test_exits, in_child);
    g_test_add_data_func("/kvm/layout", test_layout, in_child);
    g_test_add_data_func("/kvm/dirty-bitmap", test_dirty_bitmap, in_child);
    g_test_add_data_func("/kvm/dirty-ring", test_dirty_ring, in_child);
    return g_test_run();
}
