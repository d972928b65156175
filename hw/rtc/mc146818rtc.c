/*
 * The real-time clock of a PC, section "mc146818rtc".
 *
 * The time is not counted but computed: base_rtc is the clock's time (seconds since 1970) at the
 * moment last_update of the clock rtc_clock.  Timers run only for interrupts somebody has enabled:
 * one at the next second for update and alarm, one for the periodic rate.
 *
 * Locking: BQL.
 *
 * SPDX-License-Identifier: GPL-2.0-or-later
 */
#include "qemu/osdep.h"
#include "hw/rtc/mc146818rtc.h"
#include "hw/sysbus.h"
#include "migration/vmstate.h"
#include "qapi/error.h"
#include "qemu/timer.h"
#include "system/address-spaces.h"
#include "system/rtc.h"
#include "system/runstate.h"

OBJECT_DECLARE_SIMPLE_TYPE(RTCState, MC146818_RTC)

enum {
    REG_SECONDS, REG_SECONDS_ALARM, REG_MINUTES, REG_MINUTES_ALARM, REG_HOURS, REG_HOURS_ALARM,
    REG_DAY_OF_WEEK, REG_DAY_OF_MONTH, REG_MONTH, REG_YEAR, REG_A, REG_B, REG_C, REG_D,
    REG_CENTURY = 0x32,
};

#define A_UIP 0x80         /* an update is about to happen */
#define A_RATE 0x0f
#define A_DIVIDER 0x70
#define A_DIVIDER_32K 0x20 /* the only one with which time passes */
#define B_24H 0x02
#define B_BINARY 0x04
#define B_UPDATE_IRQ 0x10
#define B_ALARM_IRQ 0x20
#define B_PERIODIC_IRQ 0x40
#define B_SET 0x80         /* time stands still while it is set */
#define C_UPDATE 0x10
#define C_ALARM 0x20
#define C_PERIODIC 0x40
#define C_IRQ 0x80
#define D_VALID 0x80

#define ALARM_ANY 0xc0     /* an alarm byte with these bits matches always */
#define UIP_NS 244000      /* how long before an update UIP is seen */
#define CLOCK_HZ 32768

struct RTCState {
    SysBusDevice parent_obj;

    MemoryRegion ports;
    qemu_irq irq;
    uint8_t cmos_data[128];
    uint8_t cmos_index;
    QEMUTimer *periodic_timer;
    int64_t next_periodic_time; /* ns, rtc_clock */
    uint32_t irq_coalesced, period; /* only in the stream */
    uint16_t irq_reinject_on_ack_count; /* likewise */
    uint64_t base_rtc;          /* s */
    uint64_t last_update;       /* ns, rtc_clock */
    int64_t offset;             /* ns, added to the time */
    QEMUTimer *update_timer;
    uint64_t next_alarm_time;   /* only in the stream */
};

static int64_t clock_now(void)
{
    return qemu_clock_get_ns(rtc_clock);
}

/* -- Time -------------------------------------------------------------------------------------- */

static bool time_runs(const RTCState *s)
{
    return !(s->cmos_data[REG_B] & B_SET) &&
           (s->cmos_data[REG_A] & A_DIVIDER) == A_DIVIDER_32K;
}

/* The clock's time, in ns since 1970. */
static int64_t guest_ns(const RTCState *s)
{
    return (int64_t)s->base_rtc * NANOSECONDS_PER_SECOND + s->offset +
           (int64_t)(clock_now() - s->last_update);
}

static uint8_t to_register(const RTCState *s, int v)
{
    return s->cmos_data[REG_B] & B_BINARY ? v : v / 10 << 4 | v % 10;
}

/* -1 for what is no number in the chosen form. */
static int from_register(const RTCState *s, uint8_t v)
{
    if (s->cmos_data[REG_B] & B_BINARY) {
        return v;
    }
    return (v & 0xf) > 9 || v >> 4 > 9 ? -1 : (v >> 4) * 10 + (v & 0xf);
}

static uint8_t hour_to_register(const RTCState *s, int hour)
{
    if (s->cmos_data[REG_B] & B_24H) {
        return to_register(s, hour);
    }
    return to_register(s, hour % 12 ? hour % 12 : 12) | (hour >= 12 ? 0x80 : 0);
}

static int hour_from_register(const RTCState *s, uint8_t v)
{
    int hour;

    if (s->cmos_data[REG_B] & B_24H) {
        return from_register(s, v);
    }
    hour = from_register(s, v & 0x7f);
    return hour < 0 ? hour : hour % 12 + (v & 0x80 ? 12 : 0);
}

/* Bring the registers up to date. */
static void show_time(RTCState *s)
{
    time_t t = guest_ns(s) / NANOSECONDS_PER_SECOND;
    struct tm tm;

    if (!time_runs(s)) {
        return;
    }
    gmtime_r(&t, &tm);
    s->cmos_data[REG_SECONDS] = to_register(s, tm.tm_sec);
    s->cmos_data[REG_MINUTES] = to_register(s, tm.tm_min);
    s->cmos_data[REG_HOURS] = hour_to_register(s, tm.tm_hour);
    s->cmos_data[REG_DAY_OF_WEEK] = to_register(s, tm.tm_wday + 1);
    s->cmos_data[REG_DAY_OF_MONTH] = to_register(s, tm.tm_mday);
    s->cmos_data[REG_MONTH] = to_register(s, tm.tm_mon + 1);
    s->cmos_data[REG_YEAR] = to_register(s, (tm.tm_year + 1900) % 100);
    s->cmos_data[REG_CENTURY] = to_register(s, (tm.tm_year + 1900) / 100);
}

/* The guest changed the registers: from now on that is the time. */
static void take_time(RTCState *s)
{
    int century = from_register(s, s->cmos_data[REG_CENTURY]);
    int year = from_register(s, s->cmos_data[REG_YEAR]);
    struct tm tm = {
        .tm_sec = from_register(s, s->cmos_data[REG_SECONDS] & 0x7f),
        .tm_min = from_register(s, s->cmos_data[REG_MINUTES] & 0x7f),
        .tm_hour = hour_from_register(s, s->cmos_data[REG_HOURS]),
        .tm_mday = from_register(s, s->cmos_data[REG_DAY_OF_MONTH]),
        .tm_mon = from_register(s, s->cmos_data[REG_MONTH]) - 1,
        .tm_year = (century < 19 ? 20 : century) * 100 + MAX(year, 0) - 1900,
    };

    s->base_rtc = timegm(&tm);
    s->last_update = clock_now();
    s->offset = 0;
}

/* -- Interrupts -------------------------------------------------------------------------------- */

static void raise_flags(RTCState *s, uint8_t flags)
{
    s->cmos_data[REG_C] |= flags;
    if (s->cmos_data[REG_C] & s->cmos_data[REG_B] &
        (B_UPDATE_IRQ | B_ALARM_IRQ | B_PERIODIC_IRQ)) {
        s->cmos_data[REG_C] |= C_IRQ;
        qemu_irq_raise(s->irq);
    }
}

/* Ticks of the 32 kHz crystal from one periodic interrupt to the next; 0: none. */
static uint32_t periodic_ticks(const RTCState *s)
{
    int rate = s->cmos_data[REG_A] & A_RATE;

    if (!rate || !(s->cmos_data[REG_B] & B_PERIODIC_IRQ)) {
        return 0;
    }
    return 1u << ((rate <= 2 ? rate + 7 : rate) - 1);
}

static void arm_periodic(RTCState *s)
{
    uint32_t ticks = periodic_ticks(s);
    int64_t period, now = clock_now();

    s->period = ticks;
    if (!ticks) {
        timer_del(s->periodic_timer);
        return;
    }
    period = ticks * NANOSECONDS_PER_SECOND / CLOCK_HZ;
    s->next_periodic_time = (now / period + 1) * period;
    timer_mod_ns(s->periodic_timer, s->next_periodic_time);
}

static void periodic_tick(void *opaque)
{
    RTCState *s = opaque;

    raise_flags(s, C_PERIODIC);
    arm_periodic(s);
}

static void arm_update(RTCState *s)
{
    int64_t into_second = guest_ns(s) % NANOSECONDS_PER_SECOND;

    if (time_runs(s) && s->cmos_data[REG_B] & (B_UPDATE_IRQ | B_ALARM_IRQ)) {
        timer_mod_ns(s->update_timer, clock_now() + NANOSECONDS_PER_SECOND - into_second);
    } else {
        timer_del(s->update_timer);
    }
}

static bool alarm_byte_matches(const RTCState *s, int alarm, int reg)
{
    return (s->cmos_data[alarm] & ALARM_ANY) == ALARM_ANY ||
           s->cmos_data[alarm] == s->cmos_data[reg];
}

static void update_tick(void *opaque)
{
    RTCState *s = opaque;
    bool alarm;

    show_time(s);
    alarm = alarm_byte_matches(s, REG_SECONDS_ALARM, REG_SECONDS) &&
            alarm_byte_matches(s, REG_MINUTES_ALARM, REG_MINUTES) &&
            alarm_byte_matches(s, REG_HOURS_ALARM, REG_HOURS);
    raise_flags(s, C_UPDATE | (alarm ? C_ALARM : 0));
    if (alarm && (s->cmos_data[REG_B] & B_ALARM_IRQ)) {
        qemu_system_wakeup_request(QEMU_WAKEUP_REASON_RTC, NULL);
    }
    arm_update(s);
}

/* -- Registers --------------------------------------------------------------------------------- */

static bool is_time_register(uint8_t reg)
{
    return reg == REG_CENTURY || (reg <= REG_YEAR && reg != REG_SECONDS_ALARM &&
                                  reg != REG_MINUTES_ALARM && reg != REG_HOURS_ALARM);
}

static void write_register(RTCState *s, uint8_t reg, uint8_t v)
{
    uint8_t old_b = s->cmos_data[REG_B];

    switch (reg) {
    case REG_A:
        show_time(s);
        s->cmos_data[REG_A] = v & ~A_UIP;
        take_time(s);
        break;
    case REG_B:
        show_time(s);
        s->cmos_data[REG_B] = v & B_SET ? v & ~B_UPDATE_IRQ : v;
        if ((old_b ^ v) & (B_BINARY | B_24H)) {
            s->cmos_data[REG_B] = v; /* a new form; the guest rewrites what it had */
        }
        if (old_b & B_SET && !(v & B_SET)) {
            take_time(s);
        }
        raise_flags(s, 0);
        break;
    case REG_C:
    case REG_D:
        return; /* read-only */
    default:
        if (is_time_register(reg)) {
            show_time(s);
            s->cmos_data[reg] = v;
            if (time_runs(s)) {
                take_time(s);
            }
        } else {
            s->cmos_data[reg] = v;
        }
        break;
    }
    arm_periodic(s);
    arm_update(s);
}

static uint8_t read_register(RTCState *s, uint8_t reg)
{
    uint8_t v;

    switch (reg) {
    case REG_A:
        v = s->cmos_data[REG_A];
        if (time_runs(s) && guest_ns(s) % NANOSECONDS_PER_SECOND >= NANOSECONDS_PER_SECOND - UIP_NS) {
            v |= A_UIP;
        }
        return v;
    case REG_C:
        v = s->cmos_data[REG_C];
        s->cmos_data[REG_C] = 0;
        qemu_irq_lower(s->irq);
        return v;
    default:
        if (is_time_register(reg)) {
            show_time(s);
        }
        return s->cmos_data[reg];
    }
}

static uint64_t rtc_read(void *opaque, hwaddr addr, unsigned size)
{
    RTCState *s = opaque;

    return addr ? read_register(s, s->cmos_index) : 0xff;
}

static void rtc_write(void *opaque, hwaddr addr, uint64_t v, unsigned size)
{
    RTCState *s = opaque;

    if (addr) {
        write_register(s, s->cmos_index, v);
    } else {
        s->cmos_index = v & 0x7f; /* bit 7 masks NMIs, which nobody raises */
    }
}

static const MemoryRegionOps rtc_ops = {
    .read = rtc_read,
    .write = rtc_write,
    .impl = {.min_access_size = 1, .max_access_size = 1},
    .endianness = DEVICE_LITTLE_ENDIAN,
};

/* -- State ------------------------------------------------------------------------------------- */

static int rtc_pre_save(void *opaque)
{
    show_time(opaque);
    return 0;
}

static int rtc_post_load(void *opaque, int version_id)
{
    RTCState *s = opaque;

    s->cmos_index &= 0x7f;
    if (version_id < 3) {
        take_time(s);
    }
    arm_periodic(s);
    arm_update(s);
    return 0;
}

static int rtc_pre_load(void *opaque)
{
    RTCState *s = opaque;

    s->irq_reinject_on_ack_count = 0;
    return 0;
}

static bool reinject_needed(void *opaque)
{
    return ((RTCState *)opaque)->irq_reinject_on_ack_count != 0;
}

/*
 * How often a lost tick has been made up for at once.  Here none is lost, but one who makes up for
 * them may have sent it, and gets it back.
 */
static const VMStateDescription vmstate_rtc_reinject = {
    .name = "mc146818rtc/irq_reinject_on_ack_count",
    .version_id = 1,
    .minimum_version_id = 1,
    .needed = reinject_needed,
    .fields = (const VMStateField[]){
        VMSTATE_UINT16(irq_reinject_on_ack_count, RTCState),
        VMSTATE_END_OF_LIST()
    },
};

static const VMStateDescription vmstate_rtc = {
    .name = "mc146818rtc",
    .version_id = 3,
    .minimum_version_id = 1,
    .pre_save = rtc_pre_save,
    .pre_load = rtc_pre_load,
    .post_load = rtc_post_load,
    .fields = (const VMStateField[]){
        VMSTATE_BUFFER(cmos_data, RTCState),
        VMSTATE_UINT8(cmos_index, RTCState),
        VMSTATE_UNUSED(7 * 4),
        VMSTATE_TIMER_PTR(periodic_timer, RTCState),
        VMSTATE_INT64(next_periodic_time, RTCState),
        VMSTATE_UNUSED(3 * 8),
        VMSTATE_UINT32_V(irq_coalesced, RTCState, 2),
        VMSTATE_UINT32_V(period, RTCState, 2),
        VMSTATE_UINT64_V(base_rtc, RTCState, 3),
        VMSTATE_UINT64_V(last_update, RTCState, 3),
        VMSTATE_INT64_V(offset, RTCState, 3),
        VMSTATE_TIMER_PTR_V(update_timer, RTCState, 3),
        VMSTATE_UINT64_V(next_alarm_time, RTCState, 3),
        VMSTATE_END_OF_LIST()
    },
    .subsections = (const VMStateDescription *const[]) { &vmstate_rtc_reinject, NULL },
};

/* The battery keeps time and memory: a reset only ends interrupts. */
static void rtc_reset(DeviceState *dev)
{
    RTCState *s = MC146818_RTC(dev);

    s->cmos_data[REG_B] &= ~(B_PERIODIC_IRQ | B_ALARM_IRQ | B_UPDATE_IRQ);
    s->cmos_data[REG_C] = 0;
    s->irq_reinject_on_ack_count = 0;
    qemu_irq_lower(s->irq);
    arm_periodic(s);
    arm_update(s);
}

static void rtc_realize(DeviceState *dev, Error **errp)
{
    RTCState *s = MC146818_RTC(dev);
    int64_t now = clock_now(), start = rtc_start_ns();

    memory_region_init_io(&s->ports, OBJECT(s), &rtc_ops, s, "rtc", 2);
    memory_region_add_subregion(get_system_io(), 0x70, &s->ports);
    s->periodic_timer = timer_new_ns(rtc_clock, periodic_tick, s);
    s->update_timer = timer_new_ns(rtc_clock, update_tick, s);
    s->cmos_data[REG_A] = A_DIVIDER_32K | 6; /* 1024 Hz */
    s->cmos_data[REG_B] = B_24H;
    s->cmos_data[REG_D] = D_VALID;
    s->base_rtc = start / NANOSECONDS_PER_SECOND;
    s->offset = start % NANOSECONDS_PER_SECOND;
    s->last_update = now;
}

static void rtc_class_init(ObjectClass *oc, void *data)
{
    DeviceClass *dc = DEVICE_CLASS(oc);

    dc->realize = rtc_realize;
    dc->vmsd = &vmstate_rtc;
    device_class_set_legacy_reset(dc, rtc_reset);
}

void mc146818_rtc_set_cmos(DeviceState *dev, uint8_t reg, uint8_t value)
{
    g_assert(reg > REG_D && reg < sizeof(MC146818_RTC(dev)->cmos_data) && reg != REG_CENTURY);
    MC146818_RTC(dev)->cmos_data[reg] = value;
}

DeviceState *mc146818_rtc_create(qemu_irq irq)
{
    DeviceState *dev = qdev_new(TYPE_MC146818_RTC);

    MC146818_RTC(dev)->irq = irq;
    sysbus_realize_and_unref(SYS_BUS_DEVICE(dev), &error_abort);
    return dev;
}

static const TypeInfo rtc_types[] = {
    {
        .name = TYPE_MC146818_RTC,
        .parent = TYPE_SYS_BUS_DEVICE,
        .instance_size = sizeof(RTCState),
        .class_init = rtc_class_init,
    },
};
DEFINE_TYPES(rtc_types)
