/*
 * The interrupt controller in the kernel: making it, routing lines to its pins, driving them.
 *
 * Locking: BQL, but for kvm_set_irq() and MSIs, which the kernel takes from any thread.
 *
 * SPDX-License-Identifier: GPL-2.0-or-later
 */
#include "qemu/osdep.h"
#include "hw/boards.h"
#include "kvm-internal.h"
#include "qemu/error-report.h"

bool kvm_kernel_irqchip;
bool kvm_split_irqchip;
bool kvm_gsi_routing_allowed;

int kvm_irqchip_init(MachineState *ms, KVMState *s)
{
    ObjectClass *oc = object_get_class(OBJECT(ms));
    int ret;

    if (s->irqchip_mode == KVM_IRQCHIP_OFF) {
        return 0;
    }
    if (s->irqchip_mode == KVM_IRQCHIP_DEFAULT && oc
        && MACHINE_CLASS(oc)->default_kernel_irqchip_split
        && kvm_check_extension(s, KVM_CAP_SPLIT_IRQCHIP)) {
        s->irqchip_mode = KVM_IRQCHIP_SPLIT;
    }
    if (!kvm_check_extension(s, KVM_CAP_IRQCHIP)) {
        if (s->irqchip_mode == KVM_IRQCHIP_DEFAULT) {
            return 0;
        }
        error_report("this KVM has no interrupt controller of its own: use kernel-irqchip=off");
        return -ENOTSUP;
    }
    /*
     * Split and other peculiarities are the architecture's; otherwise one ioctl makes everything.
     */
    ret = kvm_arch_irqchip_create(s);
    if (ret < 0) {
        return ret;
    }
    if (ret == 0) {
        ret = kvm_vm_ioctl(s, KVM_CREATE_IRQCHIP);
        if (ret < 0) {
            error_report("KVM can't create its interrupt controller: %s", strerror(-ret));
            return ret;
        }
    }
    kvm_kernel_irqchip = true;
    kvm_split_irqchip = s->irqchip_mode == KVM_IRQCHIP_SPLIT;
    if (kvm_check_extension(s, KVM_CAP_IRQ_ROUTING) > 0) {
        s->irq_routes = g_malloc0(sizeof(*s->irq_routes));
        kvm_gsi_routing_allowed = true;
        kvm_arch_init_irq_routing(s);
        kvm_irqchip_commit_routes(s);
    }
    return 0;
}

int kvm_set_irq(KVMState *s, int irq, int level)
{
    struct kvm_irq_level event = { .irq = irq, .level = level };
    bool status = s->irq_set_ioctl == KVM_IRQ_LINE_STATUS;
    int ret;

    assert(kvm_kernel_irqchip);
    ret = kvm_vm_ioctl(s, s->irq_set_ioctl, &event);
    if (ret < 0) {
        error_report_once("KVM does not take interrupt line %d: %s", irq, strerror(-ret));
        return ret;
    }
    return status ? event.status : 1;
}

static void add_route(KVMState *s, const struct kvm_irq_routing_entry *entry)
{
    struct kvm_irq_routing *routes = s->irq_routes;

    if (routes->nr == (unsigned)s->nr_allocated_irq_routes) {
        s->nr_allocated_irq_routes = MAX(64, s->nr_allocated_irq_routes * 2);
        routes = g_realloc(routes, sizeof(*routes) + s->nr_allocated_irq_routes
                           * sizeof(routes->entries[0]));
        s->irq_routes = routes;
    }
    routes->entries[routes->nr++] = *entry;
}

void kvm_irqchip_add_irq_route(KVMState *s, int gsi, int irqchip, int pin)
{
    struct kvm_irq_routing_entry entry = {
        .gsi = gsi,
        .type = KVM_IRQ_ROUTING_IRQCHIP,
        .u.irqchip = { .irqchip = irqchip, .pin = pin },
    };

    if (s->irq_routes) {
        add_route(s, &entry);
    }
}

bool kvm_irqchip_set_msi_route(KVMState *s, int gsi, uint64_t address, uint32_t data)
{
    struct kvm_irq_routing_entry entry = {
        .gsi = gsi,
        .type = KVM_IRQ_ROUTING_MSI,
        .u.msi = { .address_lo = (uint32_t)address, .address_hi = address >> 32, .data = data },
    };

    if (!s->irq_routes) {
        return false;
    }
    for (unsigned i = 0; i < s->irq_routes->nr; i++) {
        struct kvm_irq_routing_entry *old = &s->irq_routes->entries[i];

        if (old->gsi == entry.gsi && old->type == KVM_IRQ_ROUTING_MSI) {
            if (old->u.msi.address_lo == entry.u.msi.address_lo
                && old->u.msi.address_hi == entry.u.msi.address_hi
                && old->u.msi.data == entry.u.msi.data) {
                return false;
            }
            *old = entry;
            return true;
        }
    }
    add_route(s, &entry);
    return true;
}

void kvm_irqchip_commit_routes(KVMState *s)
{
    int ret;

    if (!s->irq_routes) {
        return;
    }
    ret = kvm_vm_ioctl(s, KVM_SET_GSI_ROUTING, s->irq_routes);
    if (ret < 0) {
        error_report("KVM does not take %u interrupt routes: %s", s->irq_routes->nr,
                     strerror(-ret));
    }
}

int kvm_irqchip_send_msi_raw(KVMState *s, uint64_t address, uint32_t data)
{
    struct kvm_msi msi = {
        .address_lo = (uint32_t)address,
        .address_hi = address >> 32,
        .data = data,
    };

    return kvm_vm_ioctl(s, KVM_SIGNAL_MSI, &msi);
}
