/*
 * ACPI power management registers, section "acpi-pm" (include/hw/acpi/pm.h).
 *
 * The timer is not counted but computed from the virtual clock; one timer of the host's is armed
 * while the guest wants an interrupt for it. Registers are handled a byte at a time, but for the
 * timer, so that a guest may access them in any width.
 *
 * Events raise the SCI whether or not the guest has switched ACPI on (SCI_EN), as there is no
 * system management mode that could have them otherwise.
 *
 * Locking: BQL.
 *
 * SPDX-License-Identifier: GPL-2.0-or-later
 */
#include "qemu/osdep.h"
#include "hw/acpi/acpi_dev_interface.h"
#include "hw/acpi/pm.h"
#include "hw/sysbus.h"
#include "migration/vmstate.h"
#include "qapi/error.h"
#include "qapi/qapi-events-run-state.h"
#include "qemu/timer.h"
#include "system/address-spaces.h"
#include "system/runstate.h"

OBJECT_DECLARE_SIMPLE_TYPE(ACPIPMState, ACPI_PM)

/* Event block: status and enable have the same bits, but for WAK, which only status has. */
#define EVT_TIMER     0x0001
#define EVT_GLOBAL    0x0020
#define EVT_POWER     0x0100
#define EVT_RTC       0x0400
#define EVT_WAKE      0x8000
#define EVT_RAISES    (EVT_TIMER | EVT_GLOBAL | EVT_POWER | EVT_RTC)

#define CNT_SCI_EN    0x0001
#define CNT_SLP_TYP(cnt) ((cnt) >> 10 & 7)
#define CNT_SLP_EN    0x2000    /* write only */

enum { SLEEP_S5 = 0, SLEEP_S3 = 1, SLEEP_S4 = 2 };

#define TIMER_HZ      3579545
#define TIMER_BITS    24
/* Its highest bit changes every so many ticks, which is what EVT_TIMER tells. */
#define TIMER_HALF    (UINT64_C(1) << (TIMER_BITS - 1))

#define GPE_MAX       8
#define APM_PORT      0xb2
#define ICH9_SMI_PORT (ACPI_PM_BASE + 0x30)

typedef struct PMLayout {
    uint16_t gpe_port;
    uint8_t gpe_bytes;          /* of status, and as many of enable bits */
    uint8_t enable, disable;    /* what the guest writes to APM_PORT */
    bool has_smi;
} PMLayout;

static const PMLayout layouts[] = {
    [ACPI_PM_PIIX4] = { .gpe_port = 0xafe0, .gpe_bytes = 2, .enable = 0xf1, .disable = 0xf0 },
    [ACPI_PM_ICH9] = {
        .gpe_port = ACPI_PM_BASE + 0x20, .gpe_bytes = 8, .enable = 2, .disable = 3, .has_smi = true,
    },
};

struct ACPIPMState {
    SysBusDevice parent_obj;

    const PMLayout *layout;
    MemoryRegion evt, cnt, tmr, gpe, smi, apm;
    qemu_irq sci;
    QEMUTimer *timer;
    Notifier powerdown, wakeup;

    uint16_t pm1_sts, pm1_en, pm1_cnt;
    uint64_t next_half;         /* the tick at which EVT_TIMER comes up next */
    uint8_t gpe_sts[GPE_MAX], gpe_en[GPE_MAX];
    uint8_t apmc, apms;
    uint32_t smi_en, smi_sts;
};

/* -- Events ------------------------------------------------------------------------------------ */

static uint64_t ticks_now(void)
{
    return (unsigned __int128)qemu_clock_get_ns(QEMU_CLOCK_VIRTUAL) * TIMER_HZ /
           NANOSECONDS_PER_SECOND;
}

/* The first nanosecond of a tick. */
static int64_t tick_to_ns(uint64_t tick)
{
    return (unsigned __int128)tick * NANOSECONDS_PER_SECOND / TIMER_HZ + 1;
}

static void expect_half(ACPIPMState *s)
{
    s->next_half = (ticks_now() / TIMER_HALF + 1) * TIMER_HALF;
}

static void update(ACPIPMState *s)
{
    bool raised;

    if (ticks_now() >= s->next_half) {
        s->pm1_sts |= EVT_TIMER;
    }
    raised = s->pm1_sts & s->pm1_en & EVT_RAISES;
    for (int i = 0; i < s->layout->gpe_bytes; i++) {
        raised |= s->gpe_sts[i] & s->gpe_en[i];
    }
    qemu_set_irq(s->sci, raised);

    if ((s->pm1_en & EVT_TIMER) && !(s->pm1_sts & EVT_TIMER)) {
        timer_mod_ns(s->timer, tick_to_ns(s->next_half));
    } else {
        timer_del(s->timer);
    }
}

static void timer_half(void *opaque)
{
    update(opaque);
    qemu_system_wakeup_request(QEMU_WAKEUP_REASON_PMTIMER, NULL);
}

static void power_button(Notifier *n, void *data)
{
    ACPIPMState *s = container_of(n, ACPIPMState, powerdown);

    if (s->pm1_en & EVT_POWER) {
        s->pm1_sts |= EVT_POWER;
        update(s);
    }
}

/* After the reset that leaving S3 is: what woke the machine up. */
static void woken_up(Notifier *n, void *data)
{
    ACPIPMState *s = container_of(n, ACPIPMState, wakeup);
    WakeupReason reason = *(WakeupReason *)data;

    switch (reason) {
    case QEMU_WAKEUP_REASON_RTC:
        s->pm1_sts |= EVT_WAKE | EVT_RTC;
        break;
    case QEMU_WAKEUP_REASON_PMTIMER:
        s->pm1_sts |= EVT_WAKE | EVT_TIMER;
        break;
    case QEMU_WAKEUP_REASON_OTHER:
        /* Whoever asked from outside is taken for somebody at the power button. */
        s->pm1_sts |= EVT_WAKE | EVT_POWER;
        break;
    default:
        break;
    }
    update(s);
}

/* -- Registers --------------------------------------------------------------------------------- */

static uint8_t byte_of(uint16_t reg, hwaddr addr)
{
    return reg >> (addr & 1) * 8;
}

static void set_byte(uint16_t *reg, hwaddr addr, uint8_t value)
{
    unsigned shift = (addr & 1) * 8;

    *reg = (*reg & ~(0xff << shift)) | value << shift;
}

static uint64_t evt_read(void *opaque, hwaddr addr, unsigned size)
{
    ACPIPMState *s = opaque;

    update(s);
    return byte_of(addr < 2 ? s->pm1_sts : s->pm1_en, addr);
}

static void evt_write(void *opaque, hwaddr addr, uint64_t value, unsigned size)
{
    ACPIPMState *s = opaque;

    if (addr < 2) {
        uint16_t cleared = (value & 0xff) << addr * 8;

        update(s);
        if (cleared & s->pm1_sts & EVT_TIMER) {
            expect_half(s);
        }
        s->pm1_sts &= ~cleared;
    } else {
        set_byte(&s->pm1_en, addr, value);
        qemu_system_wakeup_enable(QEMU_WAKEUP_REASON_RTC, s->pm1_en & EVT_RTC);
        qemu_system_wakeup_enable(QEMU_WAKEUP_REASON_PMTIMER, s->pm1_en & EVT_TIMER);
    }
    update(s);
}

static void fall_asleep(unsigned type)
{
    switch (type) {
    case SLEEP_S5:
        qemu_system_shutdown_request(SHUTDOWN_CAUSE_GUEST_SHUTDOWN);
        break;
    case SLEEP_S3:
        qemu_system_suspend_request();
        break;
    case SLEEP_S4:
        /* The guest has put its memory on a disk; what is left to do is to switch off. */
        qapi_event_send_suspend_disk();
        qemu_system_shutdown_request(SHUTDOWN_CAUSE_GUEST_SHUTDOWN);
        break;
    default:
        break;                  /* no such state */
    }
}

static uint64_t cnt_read(void *opaque, hwaddr addr, unsigned size)
{
    ACPIPMState *s = opaque;

    return byte_of(s->pm1_cnt, addr);
}

static void cnt_write(void *opaque, hwaddr addr, uint64_t value, unsigned size)
{
    ACPIPMState *s = opaque;
    bool sleep;

    set_byte(&s->pm1_cnt, addr, value);
    sleep = s->pm1_cnt & CNT_SLP_EN;
    s->pm1_cnt &= ~CNT_SLP_EN;
    if (sleep) {
        fall_asleep(CNT_SLP_TYP(s->pm1_cnt));
    }
}

static uint64_t tmr_read(void *opaque, hwaddr addr, unsigned size)
{
    return ticks_now() & (2 * TIMER_HALF - 1);
}

static void tmr_write(void *opaque, hwaddr addr, uint64_t value, unsigned size)
{
    /* It can't be set. */
}

static uint64_t gpe_read(void *opaque, hwaddr addr, unsigned size)
{
    ACPIPMState *s = opaque;
    unsigned n = s->layout->gpe_bytes;

    return addr < n ? s->gpe_sts[addr] : s->gpe_en[addr - n];
}

static void gpe_write(void *opaque, hwaddr addr, uint64_t value, unsigned size)
{
    ACPIPMState *s = opaque;
    unsigned n = s->layout->gpe_bytes;

    if (addr < n) {
        s->gpe_sts[addr] &= ~value;
    } else {
        s->gpe_en[addr - n] = value;
    }
    update(s);
}

/* Kept for those who look: there is no system management mode that they would switch on. */
static uint64_t smi_read(void *opaque, hwaddr addr, unsigned size)
{
    ACPIPMState *s = opaque;

    return addr ? s->smi_sts : s->smi_en;
}

static void smi_write(void *opaque, hwaddr addr, uint64_t value, unsigned size)
{
    ACPIPMState *s = opaque;

    if (addr) {
        s->smi_sts &= ~value;
    } else {
        s->smi_en = value;
    }
}

static uint64_t apm_read(void *opaque, hwaddr addr, unsigned size)
{
    ACPIPMState *s = opaque;

    return addr ? s->apms : s->apmc;
}

static void apm_write(void *opaque, hwaddr addr, uint64_t value, unsigned size)
{
    ACPIPMState *s = opaque;

    if (addr) {
        s->apms = value;
        return;
    }
    s->apmc = value;
    if (value == s->layout->enable) {
        s->pm1_cnt |= CNT_SCI_EN;
    } else if (value == s->layout->disable) {
        s->pm1_cnt &= ~CNT_SCI_EN;
    }
}

#define OPS(name, width)                                                                           \
    static const MemoryRegionOps name##_ops = {                                                    \
        .read = name##_read,                                                                       \
        .write = name##_write,                                                                     \
        .endianness = DEVICE_LITTLE_ENDIAN,                                                        \
        .impl = { .min_access_size = (width), .max_access_size = (width) },                        \
    }
OPS(evt, 1);
OPS(cnt, 1);
OPS(tmr, 4);
OPS(gpe, 1);
OPS(smi, 4);
OPS(apm, 1);

/* -- State ------------------------------------------------------------------------------------- */

static int pm_post_load(void *opaque, int version_id)
{
    ACPIPMState *s = opaque;

    if (s->next_half % TIMER_HALF) {
        return -EINVAL;
    }
    qemu_system_wakeup_enable(QEMU_WAKEUP_REASON_RTC, s->pm1_en & EVT_RTC);
    qemu_system_wakeup_enable(QEMU_WAKEUP_REASON_PMTIMER, s->pm1_en & EVT_TIMER);
    update(s);
    return 0;
}

static const VMStateDescription vmstate_pm = {
    .name = TYPE_ACPI_PM,
    .version_id = 1,
    .minimum_version_id = 1,
    .post_load = pm_post_load,
    .fields = (const VMStateField[]) {
        VMSTATE_UINT16(pm1_sts, ACPIPMState),
        VMSTATE_UINT16(pm1_en, ACPIPMState),
        VMSTATE_UINT16(pm1_cnt, ACPIPMState),
        VMSTATE_UINT64(next_half, ACPIPMState),
        VMSTATE_UINT8_ARRAY(gpe_sts, ACPIPMState, GPE_MAX),
        VMSTATE_UINT8_ARRAY(gpe_en, ACPIPMState, GPE_MAX),
        VMSTATE_UINT8(apmc, ACPIPMState),
        VMSTATE_UINT8(apms, ACPIPMState),
        VMSTATE_UINT32(smi_en, ACPIPMState),
        VMSTATE_UINT32(smi_sts, ACPIPMState),
        VMSTATE_END_OF_LIST()
    },
};

static void pm_reset(DeviceState *dev)
{
    ACPIPMState *s = ACPI_PM(dev);

    s->pm1_sts = s->pm1_en = s->pm1_cnt = 0;
    memset(s->gpe_sts, 0, sizeof(s->gpe_sts));
    memset(s->gpe_en, 0, sizeof(s->gpe_en));
    s->apmc = s->apms = 0;
    s->smi_en = s->smi_sts = 0;
    expect_half(s);
    qemu_system_wakeup_enable(QEMU_WAKEUP_REASON_RTC, false);
    qemu_system_wakeup_enable(QEMU_WAKEUP_REASON_PMTIMER, false);
    update(s);
}

static void add_ports(ACPIPMState *s, MemoryRegion *mr, const MemoryRegionOps *ops,
                      const char *name, uint16_t port, unsigned size)
{
    memory_region_init_io(mr, OBJECT(s), ops, s, name, size);
    memory_region_add_subregion(get_system_io(), port, mr);
}

static void pm_realize(DeviceState *dev, Error **errp)
{
    ACPIPMState *s = ACPI_PM(dev);

    add_ports(s, &s->evt, &evt_ops, "acpi-evt", ACPI_PM_BASE, 4);
    add_ports(s, &s->cnt, &cnt_ops, "acpi-cnt", ACPI_PM_BASE + 4, 2);
    add_ports(s, &s->tmr, &tmr_ops, "acpi-tmr", ACPI_PM_BASE + 8, 4);
    add_ports(s, &s->gpe, &gpe_ops, "acpi-gpe0", s->layout->gpe_port, 2 * s->layout->gpe_bytes);
    add_ports(s, &s->apm, &apm_ops, "apm-io", APM_PORT, 2);
    if (s->layout->has_smi) {
        add_ports(s, &s->smi, &smi_ops, "acpi-smi", ICH9_SMI_PORT, 8);
    }
    s->timer = timer_new_ns(QEMU_CLOCK_VIRTUAL, timer_half, s);
    s->powerdown.notify = power_button;
    qemu_register_powerdown_notifier(&s->powerdown);
    s->wakeup.notify = woken_up;
    qemu_register_wakeup_notifier(&s->wakeup);
    qemu_register_wakeup_support();
}

static void pm_class_init(ObjectClass *oc, void *data)
{
    DeviceClass *dc = DEVICE_CLASS(oc);

    dc->realize = pm_realize;
    dc->vmsd = &vmstate_pm;
    dc->user_creatable = false;
    device_class_set_legacy_reset(dc, pm_reset);
}

DeviceState *acpi_pm_create(ACPIPMKind kind, qemu_irq sci)
{
    DeviceState *dev = qdev_new(TYPE_ACPI_PM);

    ACPI_PM(dev)->layout = &layouts[kind];
    ACPI_PM(dev)->sci = sci;
    sysbus_realize_and_unref(SYS_BUS_DEVICE(dev), &error_abort);
    return dev;
}

static const TypeInfo pm_types[] = {
    {
        .name = TYPE_ACPI_PM,
        .parent = TYPE_SYS_BUS_DEVICE,
        .instance_size = sizeof(ACPIPMState),
        .class_init = pm_class_init,
        .interfaces = (InterfaceInfo[]) {
            { TYPE_ACPI_DEVICE_IF },
            { NULL },
        },
    },
};
DEFINE_TYPES(pm_types)
