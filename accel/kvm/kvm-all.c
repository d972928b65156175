/*
 * The KVM accelerator: the VM, its vCPUs, and what to do when the kernel hands one back to us.
 *
 * Relies on target/<arch>/kvm/ for registers and everything else that depends on the architecture
 * (kvm_arch_*), on kvm-slots.c for memory, kvm-irq.c for interrupts, kvm-dirty-ring.c for the ring.
 * A vCPU's ioctls are made by its own thread. A signal (SIG_IPI) makes it leave the guest: its
 * handler sets kvm_run->immediate_exit, so that a kick that comes just before KVM_RUN is not
 * lost.
 *
 * SPDX-License-Identifier: GPL-2.0-or-later
 */
#include "qemu/osdep.h"
#include <sys/ioctl.h>
#include "hw/boards.h"
#include "hw/core/cpu.h"
#include "kvm-internal.h"
#include "qapi/visitor.h"
#include "qemu/atomic.h"
#include "qemu/error-report.h"
#include "qemu/main-loop.h"
#include "system/address-spaces.h"
#include "system/cpus.h"
#include "system/runstate.h"

KVMState *kvm_state;
bool kvm_allowed;
bool kvm_readonly_mem_allowed;

static const KVMCapabilityInfo required_capabilities[] = {
    KVM_CAP_INFO(USER_MEMORY),
    KVM_CAP_INFO(DESTROY_MEMORY_REGION_WORKS),
    KVM_CAP_INFO(JOIN_MEMORY_REGIONS_WORKS),
    KVM_CAP_INFO(IMMEDIATE_EXIT),
    KVM_CAP_LAST_INFO
};

/* -- ioctls ---------------------------------------------------------------------------------- */

#define DEFINE_IOCTL(fd_)                                                                          \
    {                                                                                              \
        va_list ap;                                                                                \
        void *arg;                                                                                 \
        int ret;                                                                                   \
                                                                                                   \
        va_start(ap, type);                                                                        \
        arg = va_arg(ap, void *);                                                                  \
        va_end(ap);                                                                                \
        ret = ioctl((fd_), type, arg);                                                             \
        return ret == -1 ? -errno : ret;                                                           \
    }

int kvm_ioctl(KVMState *s, unsigned long type, ...)
DEFINE_IOCTL(s->fd)

int kvm_vm_ioctl(KVMState *s, unsigned long type, ...)
DEFINE_IOCTL(s->vmfd)

int kvm_vcpu_ioctl(CPUState *cpu, unsigned long type, ...)
DEFINE_IOCTL(cpu->kvm_fd)

int kvm_check_extension(KVMState *s, unsigned int extension)
{
    int ret = kvm_ioctl(s, KVM_CHECK_EXTENSION, (uintptr_t)extension);

    return MAX(ret, 0);
}

int kvm_vm_check_extension(KVMState *s, unsigned int extension)
{
    int ret = kvm_vm_ioctl(s, KVM_CHECK_EXTENSION, (uintptr_t)extension);

    /* Kernels that don't know it of a VM know it of /dev/kvm. */
    return ret < 0 ? kvm_check_extension(s, extension) : ret;
}

static struct kvm_enable_cap make_cap(unsigned int capability, const uint64_t *args, int nargs)
{
    struct kvm_enable_cap cap = { .cap = capability };

    assert(nargs <= (int)ARRAY_SIZE(cap.args));
    if (nargs) {
        memcpy(cap.args, args, nargs * sizeof(args[0]));
    }
    return cap;
}

int kvm_vm_enable_cap_args(KVMState *s, unsigned int capability, const uint64_t *args, int nargs)
{
    struct kvm_enable_cap cap = make_cap(capability, args, nargs);

    return kvm_vm_ioctl(s, KVM_ENABLE_CAP, &cap);
}

int kvm_vcpu_enable_cap_args(CPUState *cpu, unsigned int capability, const uint64_t *args,
                             int nargs)
{
    struct kvm_enable_cap cap = make_cap(capability, args, nargs);

    return kvm_vcpu_ioctl(cpu, KVM_ENABLE_CAP, &cap);
}

unsigned int kvm_max_vcpus(KVMState *s)
{
    int max = kvm_check_extension(s, KVM_CAP_MAX_VCPUS);

    if (!max) {
        max = kvm_check_extension(s, KVM_CAP_NR_VCPUS);
    }
    return max ? max : 4;
}

/* -- The VM ---------------------------------------------------------------------------------- */

static int open_device(KVMState *s)
{
    int version;

    s->fd = qemu_open_old(s->device ? s->device : "/dev/kvm", O_RDWR);
    if (s->fd < 0) {
        int err = errno;

        error_report("Could not access KVM kernel module: %s", strerror(err));
        return -err;
    }
    version = kvm_ioctl(s, KVM_GET_API_VERSION, 0);
    if (version != KVM_API_VERSION) {
        if (version >= 0) {
            error_report("KVM's interface is version %d, not %d", version, KVM_API_VERSION);
            version = -EINVAL;
        } else {
            error_report("%s is not KVM: %s", s->device ? s->device : "/dev/kvm",
                         strerror(-version));
        }
        return version;
    }
    return 0;
}

static int check_capabilities(KVMState *s, const KVMCapabilityInfo *list)
{
    for (; list->name; list++) {
        if (!kvm_check_extension(s, list->value)) {
            error_report("this KVM lacks %s: it needs a newer kernel", list->name);
            return -EINVAL;
        }
    }
    return 0;
}

static int check_vcpu_number(KVMState *s, MachineState *ms)
{
    unsigned int hard = kvm_max_vcpus(s);
    int soft = kvm_check_extension(s, KVM_CAP_NR_VCPUS);

    if (ms->smp.max_cpus > hard) {
        error_report("Number of SMP cpus requested (%u) exceeds the maximum cpus supported by KVM "
                     "(%u)", ms->smp.max_cpus, hard);
        return -EINVAL;
    }
    if (soft > 0 && ms->smp.cpus > (unsigned)soft) {
        warn_report("Number of SMP cpus requested (%u) exceeds the recommended cpus supported by "
                    "KVM (%d)", ms->smp.cpus, soft);
    }
    return 0;
}

static int create_vm(KVMState *s)
{
    int ret;

    do {
        ret = kvm_ioctl(s, KVM_CREATE_VM, 0);
    } while (ret == -EINTR);
    if (ret < 0) {
        error_report("KVM can't create a VM: %s", strerror(-ret));
        return ret;
    }
    s->vmfd = ret;
    return 0;
}

static int init_dirty_log(KVMState *s)
{
    uint64_t flags;
    int ret;

    if (s->dirty_ring_size) {
        return kvm_dirty_ring_init(s);
    }
    flags = kvm_vm_check_extension(s, KVM_CAP_MANUAL_DIRTY_LOG_PROTECT2)
        & (KVM_DIRTY_LOG_MANUAL_PROTECT_ENABLE | KVM_DIRTY_LOG_INITIALLY_SET);
    if (!(flags & KVM_DIRTY_LOG_MANUAL_PROTECT_ENABLE)) {
        return 0;
    }
    ret = kvm_vm_enable_cap(s, KVM_CAP_MANUAL_DIRTY_LOG_PROTECT2, flags);
    if (ret < 0) {
        warn_report("KVM's manual dirty log protection does not work (%s): migration will slow "
                    "the guest down more", strerror(-ret));
        return 0;
    }
    s->manual_dirty_log_protect = flags;
    return 0;
}

static void undo_init(KVMState *s)
{
    if (s->vmfd >= 0) {
        close(s->vmfd);
        s->vmfd = -1;
    }
    if (s->fd >= 0) {
        close(s->fd);
        s->fd = -1;
    }
    kvm_kernel_irqchip = kvm_split_irqchip = kvm_gsi_routing_allowed = false;
    g_clear_pointer(&s->irq_routes, g_free);
    kvm_state = NULL;
}

static int kvm_init(MachineState *ms)
{
    KVMState *s = KVM_STATE(current_accel());
    int ret;

    kvm_state = s;
    ret = open_device(s);
    if (ret == 0) {
        ret = check_capabilities(s, required_capabilities);
    }
    if (ret == 0) {
        ret = check_capabilities(s, kvm_arch_required_capabilities);
    }
    if (ret == 0) {
        ret = check_vcpu_number(s, ms);
    }
    if (ret == 0) {
        ret = create_vm(s);
    }
    if (ret < 0) {
        undo_init(s);
        return ret;
    }

    s->max_nr_slots = kvm_check_extension(s, KVM_CAP_NR_MEMSLOTS);
    if (!s->max_nr_slots) {
        s->max_nr_slots = 32;
    }
    kvm_readonly_mem_allowed = kvm_vm_check_extension(s, KVM_CAP_READONLY_MEM) > 0;
    s->irq_set_ioctl = kvm_check_extension(s, KVM_CAP_IRQ_INJECT_STATUS) ? KVM_IRQ_LINE_STATUS
                                                                         : KVM_IRQ_LINE;
    s->vcpu_mmap_size = kvm_ioctl(s, KVM_GET_VCPU_MMAP_SIZE, 0);
    ret = s->vcpu_mmap_size;
    if (ret > 0) {
        ret = init_dirty_log(s);
    } else {
        error_report("KVM does not say how large a vCPU's control block is");
        ret = -EINVAL;
    }
    if (ret == 0) {
        ret = kvm_arch_init(ms, s);
    }
    if (ret >= 0) {
        ret = kvm_irqchip_init(ms, s);
    }
    if (ret < 0) {
        undo_init(s);
        return ret;
    }
    kvm_slots_init(s);
    if (s->dirty_ring_size) {
        kvm_dirty_ring_start_reaper(s);
    }
    return 0;
}

/* -- vCPUs ----------------------------------------------------------------------------------- */

int kvm_init_vcpu(CPUState *cpu, Error **errp)
{
    KVMState *s = kvm_state;
    int ret = kvm_vm_ioctl(s, KVM_CREATE_VCPU, kvm_arch_vcpu_id(cpu));

    if (ret < 0) {
        error_setg_errno(errp, -ret, "KVM can't create CPU %d", cpu->cpu_index);
        return ret;
    }
    cpu->kvm_fd = ret;
    cpu->kvm_state = s;
    cpu->vcpu_dirty = true;
    cpu->kvm_run = mmap(NULL, s->vcpu_mmap_size, PROT_READ | PROT_WRITE, MAP_SHARED, cpu->kvm_fd,
                        0);
    if (cpu->kvm_run == MAP_FAILED) {
        ret = -errno;
        cpu->kvm_run = NULL;
        error_setg_errno(errp, -ret, "the control block of CPU %d can't be mapped",
                         cpu->cpu_index);
        return ret;
    }
    ret = kvm_dirty_ring_map(cpu, errp);
    if (ret < 0) {
        return ret;
    }
    ret = kvm_arch_init_vcpu(cpu);
    if (ret < 0) {
        error_setg_errno(errp, -ret, "CPU %d can't be set up for KVM", cpu->cpu_index);
        return ret;
    }
    return 0;
}

void kvm_destroy_vcpu(CPUState *cpu)
{
    kvm_arch_destroy_vcpu(cpu);
    kvm_dirty_ring_unmap(cpu);
    if (cpu->kvm_run) {
        munmap(cpu->kvm_run, kvm_state->vcpu_mmap_size);
        cpu->kvm_run = NULL;
    }
    if (cpu->kvm_fd >= 0) {
        close(cpu->kvm_fd);
        cpu->kvm_fd = -1;
    }
}

/* A CPU whose registers can't be read or written has lost its guest: stop, and say so. */
static void registers_failed(CPUState *cpu, Error *err)
{
    cpu_set_register_error(cpu, err);
    error_report("%s", error_get_pretty(cpu->register_error));
    vm_stop(RUN_STATE_INTERNAL_ERROR);
}

static void do_synchronize_state(CPUState *cpu, run_on_cpu_data arg)
{
    Error *err = NULL;

    if (cpu->vcpu_dirty) {
        return;
    }
    if (kvm_arch_get_registers(cpu, &err) < 0) {
        registers_failed(cpu, err);
    }
    cpu->vcpu_dirty = true;
}

void kvm_cpu_synchronize_state(CPUState *cpu)
{
    if (!cpu->vcpu_dirty) {
        run_on_cpu(cpu, do_synchronize_state, RUN_ON_CPU_NULL);
    }
}

static void do_put(CPUState *cpu, run_on_cpu_data arg)
{
    Error *err = NULL;

    if (kvm_arch_put_registers(cpu, arg.host_int, &err) < 0) {
        registers_failed(cpu, err);
        return;
    }
    cpu->vcpu_dirty = false;
}

void kvm_cpu_synchronize_post_reset(CPUState *cpu)
{
    run_on_cpu(cpu, do_put, RUN_ON_CPU_HOST_INT(KVM_PUT_RESET_STATE));
}

void kvm_cpu_synchronize_post_init(CPUState *cpu)
{
    run_on_cpu(cpu, do_put, RUN_ON_CPU_HOST_INT(KVM_PUT_FULL_STATE));
}

static void do_pre_loadvm(CPUState *cpu, run_on_cpu_data arg)
{
    cpu->vcpu_dirty = true;
}

void kvm_cpu_synchronize_pre_loadvm(CPUState *cpu)
{
    run_on_cpu(cpu, do_pre_loadvm, RUN_ON_CPU_NULL);
}

/* -- Exits ----------------------------------------------------------------------------------- */

/* @count accesses to one port, their data one behind the other (INS and OUTS). */
static void handle_io(const struct kvm_run *run, MemTxAttrs attrs)
{
    uint8_t *data = (uint8_t *)run + run->io.data_offset;
    bool is_write = run->io.direction == KVM_EXIT_IO_OUT;
    uint32_t i;

    for (i = 0; i < run->io.count; i++) {
        address_space_rw(&address_space_io, run->io.port, attrs, data, run->io.size, is_write);
        data += run->io.size;
    }
}

static int handle_internal_error(CPUState *cpu, const struct kvm_run *run)
{
    uint32_t i;

    error_report("KVM internal error on CPU %d: suberror %u%s", cpu->cpu_index,
                 run->internal.suberror,
                 run->internal.suberror == KVM_INTERNAL_ERROR_EMULATION
                 ? " (an instruction that it can't emulate)" : "");
    for (i = 0; i < MIN(run->internal.ndata, ARRAY_SIZE(run->internal.data)); i++) {
        error_printf("extra data[%u]: 0x%016" PRIx64 "\n", i, (uint64_t)run->internal.data[i]);
    }
    if (run->internal.suberror == KVM_INTERNAL_ERROR_EMULATION
        && !kvm_arch_stop_on_emulation_error(cpu)) {
        return EXCP_INTERRUPT;
    }
    return -1;
}

static int handle_system_event(CPUState *cpu, const struct kvm_run *run)
{
    switch (run->system_event.type) {
    case KVM_SYSTEM_EVENT_SHUTDOWN:
        qemu_system_shutdown_request(SHUTDOWN_CAUSE_GUEST_SHUTDOWN);
        return EXCP_INTERRUPT;
    case KVM_SYSTEM_EVENT_RESET:
        qemu_system_reset_request(SHUTDOWN_CAUSE_GUEST_RESET);
        return EXCP_INTERRUPT;
    case KVM_SYSTEM_EVENT_CRASH:
        kvm_cpu_synchronize_state(cpu);
        bql_lock();
        cpu->crash_occurred = true;
        qemu_system_guest_panicked();
        bql_unlock();
        return 0;
    default:
        return kvm_arch_handle_exit(cpu, (struct kvm_run *)run);
    }
}

/* Without the BQL. 0: back into the guest. */
static int handle_exit(CPUState *cpu, struct kvm_run *run, MemTxAttrs attrs)
{
    switch (run->exit_reason) {
    case KVM_EXIT_IO:
        handle_io(run, attrs);
        return 0;
    case KVM_EXIT_MMIO:
        address_space_rw(&address_space_memory, run->mmio.phys_addr, attrs, run->mmio.data,
                         run->mmio.len, run->mmio.is_write);
        return 0;
    case KVM_EXIT_INTR:
    case KVM_EXIT_IRQ_WINDOW_OPEN:
        return EXCP_INTERRUPT;
    case KVM_EXIT_SHUTDOWN:
        /* The triple fault by which guests reset themselves, too. */
        qemu_system_reset_request(SHUTDOWN_CAUSE_GUEST_RESET);
        return EXCP_INTERRUPT;
    case KVM_EXIT_UNKNOWN:
        error_report("KVM: CPU %d left the guest for an unknown hardware reason 0x%" PRIx64,
                     cpu->cpu_index, (uint64_t)run->hw.hardware_exit_reason);
        return -1;
    case KVM_EXIT_INTERNAL_ERROR:
        return handle_internal_error(cpu, run);
    case KVM_EXIT_DIRTY_RING_FULL:
        kvm_dirty_ring_reap(kvm_state, cpu);
        return EXCP_INTERRUPT; /* a chance to have it sleep, where what it writes is limited */
    case KVM_EXIT_SYSTEM_EVENT:
        return handle_system_event(cpu, run);
    default:
        return kvm_arch_handle_exit(cpu, run);
    }
}

/* The kick was seen: the next KVM_RUN enters the guest unless another one comes. */
static void take_kick(CPUState *cpu)
{
    qatomic_set(&cpu->kvm_run->immediate_exit, 0);
    /* The flag goes before the loop looks at what the kick was for. */
    smp_mb();
}

static int run_once(CPUState *cpu)
{
    struct kvm_run *run = cpu->kvm_run;
    MemTxAttrs attrs;
    int ret;

    if (cpu->vcpu_dirty) {
        Error *err = NULL;

        if (kvm_arch_put_registers(cpu, KVM_PUT_RUNTIME_STATE, &err) < 0) {
            error_prepend(&err, "CPU %d: ", cpu->cpu_index);
            error_report_err(err);
            return -1;
        }
        cpu->vcpu_dirty = false;
    }
    kvm_arch_pre_run(cpu, run);
    if (qatomic_read(&cpu->exit_request)) {
        /* Finish what an exit left half done (a device read's result), but run no further. */
        qatomic_set(&run->immediate_exit, 1);
    }
    cpu_exec_start(cpu);
    ret = kvm_arch_settle(cpu, run, kvm_vcpu_ioctl(cpu, KVM_RUN, 0));
    cpu_exec_end(cpu);
    attrs = kvm_arch_post_run(cpu, run);
    if (ret == -EINTR || ret == -EAGAIN) {
        take_kick(cpu);
        return EXCP_INTERRUPT;
    }
    if (ret < 0) {
        error_report("KVM can't run CPU %d: %s", cpu->cpu_index, strerror(-ret));
        return -1;
    }
    return handle_exit(cpu, run, attrs);
}

int kvm_cpu_exec(CPUState *cpu)
{
    int ret;

    if (kvm_arch_process_async_events(cpu)) {
        qatomic_set(&cpu->exit_request, false);
        return EXCP_HLT;
    }
    bql_unlock();
    do {
        ret = run_once(cpu);
    } while (ret == 0);
    bql_lock();
    if (ret < 0) {
        GString *text = g_string_new(NULL);

        cpu_synchronize_state(cpu);
        if (cpu->cc->dump_state) {
            cpu->cc->dump_state(cpu, text, 0);
            error_printf("%s", text->str);
        }
        g_string_free(text, TRUE);
        vm_stop(RUN_STATE_INTERNAL_ERROR);
    }
    qatomic_set(&cpu->exit_request, false);
    return ret;
}

/* -- The QOM type: options ------------------------------------------------------------------- */

static void get_dirty_ring_size(Object *obj, Visitor *v, const char *name, void *opaque,
                                Error **errp)
{
    uint32_t value = KVM_STATE(obj)->dirty_ring_size;

    visit_type_uint32(v, name, &value, errp);
}

static void set_dirty_ring_size(Object *obj, Visitor *v, const char *name, void *opaque,
                                Error **errp)
{
    KVMState *s = KVM_STATE(obj);
    uint32_t value;

    if (s->fd != -1) {
        error_setg(errp, "Cannot set properties after the accelerator has been initialized");
        return;
    }
    if (!visit_type_uint32(v, name, &value, errp)) {
        return;
    }
    if (value && !is_power_of_2(value)) {
        error_setg(errp, "dirty-ring-size must be a power of two.");
        return;
    }
    s->dirty_ring_size = value;
}

static char *get_irqchip(Object *obj, Error **errp)
{
    switch (KVM_STATE(obj)->irqchip_mode) {
    case KVM_IRQCHIP_OFF:
        return g_strdup("off");
    case KVM_IRQCHIP_SPLIT:
        return g_strdup("split");
    default:
        return g_strdup("on");
    }
}

static void set_irqchip(Object *obj, const char *value, Error **errp)
{
    KVMState *s = KVM_STATE(obj);

    if (s->fd != -1) {
        error_setg(errp, "Cannot set properties after the accelerator has been initialized");
    } else if (g_str_equal(value, "on") || g_str_equal(value, "yes")) {
        s->irqchip_mode = KVM_IRQCHIP_ON;
    } else if (g_str_equal(value, "off") || g_str_equal(value, "no")) {
        s->irqchip_mode = KVM_IRQCHIP_OFF;
    } else if (g_str_equal(value, "split")) {
        s->irqchip_mode = KVM_IRQCHIP_SPLIT;
    } else {
        error_setg(errp, "Parameter 'kernel-irqchip' expects 'on', 'off' or 'split'");
    }
}

static char *get_device(Object *obj, Error **errp)
{
    KVMState *s = KVM_STATE(obj);

    return g_strdup(s->device ? s->device : "/dev/kvm");
}

static void set_device(Object *obj, const char *value, Error **errp)
{
    KVMState *s = KVM_STATE(obj);

    if (s->fd != -1) {
        error_setg(errp, "Cannot set properties after the accelerator has been initialized");
        return;
    }
    g_free(s->device);
    s->device = g_strdup(value);
}

static void kvm_accel_instance_init(Object *obj)
{
    KVMState *s = KVM_STATE(obj);

    s->fd = -1;
    s->vmfd = -1;
}

static void kvm_accel_instance_finalize(Object *obj)
{
    g_free(KVM_STATE(obj)->device);
}

static void kvm_accel_class_init(ObjectClass *oc, void *data)
{
    AccelClass *ac = ACCEL_CLASS(oc);
    ObjectProperty *prop;

    ac->name = "KVM";
    ac->init_machine = kvm_init;
    ac->allowed = &kvm_allowed;

    prop = object_class_property_add(oc, "dirty-ring-size", "uint32", get_dirty_ring_size,
                                     set_dirty_ring_size, NULL, NULL);
    prop->description = g_strdup("entries of each vCPU's dirty ring, a power of two (0: use the "
                                 "bitmap)");
    prop = object_class_property_add_str(oc, "kernel-irqchip", get_irqchip, set_irqchip);
    prop->description = g_strdup("interrupt controllers in the kernel: on, off or split");
    prop = object_class_property_add_str(oc, "device", get_device, set_device);
    prop->description = g_strdup("path of KVM's device file (default: /dev/kvm)");
}

static const TypeInfo kvm_accel_type = {
    .name = TYPE_KVM_ACCEL,
    .parent = TYPE_ACCEL,
    .instance_size = sizeof(KVMState),
    .instance_init = kvm_accel_instance_init,
    .instance_finalize = kvm_accel_instance_finalize,
    .class_init = kvm_accel_class_init,
};

static void kvm_register_types(void)
{
    type_register_static(&kvm_accel_type);
}
type_init(kvm_register_types)
