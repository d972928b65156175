/*
 * Devices and buses: made, configured by properties, realized; wired by named GPIO lines; reset
 * and saved with the machine.
 *
 * A device is made with qdev_new() (the caller has a reference), configured, and realized by
 * qdev_realize_and_unref(), which leaves it to its bus. Devices without a bus are driven by
 * whoever made them.
 *
 * Locking: BQL.
 *
 * SPDX-License-Identifier: GPL-2.0-or-later
 */
#ifndef HW_QDEV_CORE_H
#define HW_QDEV_CORE_H

#include "hw/irq.h"
#include "hw/resettable.h"
#include "qemu/bitmap.h"
#include "qemu/queue.h"
#include "qom/object.h"

typedef struct VMStateDescription VMStateDescription;
typedef struct Property Property;
typedef struct PropertyInfo PropertyInfo;

#define TYPE_DEVICE "device"
OBJECT_DECLARE_TYPE(DeviceState, DeviceClass, DEVICE)
#define TYPE_BUS "bus"
typedef struct BusState BusState;
typedef struct BusClass BusClass;
DECLARE_OBJ_CHECKERS(BusState, BusClass, BUS, TYPE_BUS)

typedef enum DeviceCategory {
    DEVICE_CATEGORY_BRIDGE,
    DEVICE_CATEGORY_USB,
    DEVICE_CATEGORY_STORAGE,
    DEVICE_CATEGORY_NETWORK,
    DEVICE_CATEGORY_INPUT,
    DEVICE_CATEGORY_DISPLAY,
    DEVICE_CATEGORY_SOUND,
    DEVICE_CATEGORY_MISC,
    DEVICE_CATEGORY_CPU,
    DEVICE_CATEGORY_WATCHDOG,
    DEVICE_CATEGORY_MAX
} DeviceCategory;

typedef void (*DeviceRealize)(DeviceState *dev, Error **errp);
typedef void (*DeviceUnrealize)(DeviceState *dev);
typedef void (*DeviceReset)(DeviceState *dev);
typedef void (*BusRealize)(BusState *bus, Error **errp);
typedef void (*BusUnrealize)(BusState *bus);

/**
 * DeviceClass:
 * @props_: the class's own static properties; set with device_class_set_props().
 * @user_creatable: `-device` may make it.
 * @legacy_reset (also @reset): resets the device in the hold phase; children are done already.
 * @realize: may fail; then everything that it did must be undone by it.
 * @vmsd: how the state is saved; NULL: none.
 * @bus_type: the type of bus that the device sits on; NULL: no bus.
 */
struct DeviceClass {
    ObjectClass parent_class;

    DECLARE_BITMAP(categories, DEVICE_CATEGORY_MAX);
    const char *fw_name;
    const char *desc;
    const Property *props_;
    uint16_t props_count_;
    bool user_creatable;
    bool hotpluggable;

    union {
        DeviceReset legacy_reset;
        DeviceReset reset;
    };
    DeviceRealize realize;
    DeviceUnrealize unrealize;
    const VMStateDescription *vmsd;
    const char *bus_type;
};

typedef struct NamedGPIOList {
    char *name;                         /* NULL: the unnamed lines */
    qemu_irq *in;
    int num_in;
    int num_out;
    QLIST_ENTRY(NamedGPIOList) node;
} NamedGPIOList;

struct DeviceState {
    Object parent_obj;

    char *id;                           /* what the user named it; NULL: nothing */
    char *canonical_path;               /* set when realized */
    bool realized;
    bool pending_deleted_event;
    int64_t pending_deleted_expires_ms;
    int hotplugged;
    bool allow_unplug_during_migration;
    BusState *parent_bus;               /* holds a reference on it */
    QLIST_HEAD(, NamedGPIOList) gpios;
    QLIST_HEAD(, BusState) child_bus;
    int num_child_bus;
    int instance_id_alias;              /* -1: none */
    int alias_required_for_version;
    ResettableState reset;
    GSList *unplug_blockers;            /* of Error * */
    Error *init_error;                  /* a bad -global; makes realizing fail */
};

typedef struct BusChild {
    DeviceState *child;
    int index;
    QTAILQ_ENTRY(BusChild) sibling;
} BusChild;

/**
 * BusClass:
 * @get_dev_path: the device's place, unique in the machine and stable over versions: it becomes
 * part of the ids of its saved state. g_free the result; NULL: no path.
 * @get_fw_dev_path: the same for firmware.
 * @check_address: whether the device may be put on the bus as it is configured.
 * @max_dev: 0: no limit.
 */
struct BusClass {
    ObjectClass parent_class;
    char *(*get_dev_path)(DeviceState *dev);
    char *(*get_fw_dev_path)(DeviceState *dev);
    bool (*check_address)(BusState *bus, DeviceState *dev, Error **errp);
    BusRealize realize;
    BusUnrealize unrealize;
    int max_dev;
    int automatic_ids;
};

struct BusState {
    Object obj;
    DeviceState *parent;                /* NULL: the top bus */
    char *name;
    Object *hotplug_handler;            /* NULL: nothing can be plugged once the machine runs */
    int max_index;
    bool realized;
    bool full;
    int num_children;
    QTAILQ_HEAD(, BusChild) children;
    QLIST_ENTRY(BusState) sibling;
    ResettableState reset;
};

#define QDEV_HOTPLUG_HANDLER_PROPERTY "hotplug-handler"

/* ---- devices -------------------------------------------------------------------------- */

/* Aborts when the type is unknown or no device. */
DeviceState *qdev_new(const char *name);
/* NULL instead. */
DeviceState *qdev_try_new(const char *name);
/* @bus NULL only for devices that need none. False and an error on failure. */
bool qdev_realize(DeviceState *dev, BusState *bus, Error **errp);
bool qdev_realize_and_unref(DeviceState *dev, BusState *bus, Error **errp);
void qdev_unrealize(DeviceState *dev);
bool qdev_is_realized(DeviceState *dev);
bool qdev_set_parent_bus(DeviceState *dev, BusState *bus, Error **errp);
BusState *qdev_get_parent_bus(const DeviceState *dev);
BusState *qdev_get_child_bus(DeviceState *dev, const char *name);
/* Takes @id (owned by the device from here on). Puts the device in the tree; NULL on error. */
const char *qdev_set_id(DeviceState *dev, char *id, Error **errp);
DeviceState *qdev_find_recursive(BusState *bus, const char *id);
void qdev_set_legacy_instance_id(DeviceState *dev, int alias_id, int required_for_version);
const VMStateDescription *qdev_get_vmsd(DeviceState *dev);
const char *qdev_fw_name(DeviceState *dev);
/* Parents first: "/main-system-bus/…"; g_free it. NULL: no path. */
char *qdev_get_dev_path(DeviceState *dev);
void qdev_add_unplug_blocker(DeviceState *dev, Error *reason);
void qdev_del_unplug_blocker(DeviceState *dev, Error *reason);
bool qdev_unplug_blocked(DeviceState *dev, Error **errp);
/* Ends the part of the program's life in which devices are made without hotplug. */
void qdev_machine_creation_done(void);
bool qdev_machine_modified(void);
extern bool qdev_hotplug;

void device_cold_reset(DeviceState *dev);
bool device_is_in_reset(DeviceState *dev);

/* @props is an array, not a pointer. */
#define device_class_set_props(dc, props) \
    device_class_set_props_n((dc), (props), ARRAY_SIZE(props))
void device_class_set_props_n(DeviceClass *dc, const Property *props, size_t n);
void device_class_set_legacy_reset(DeviceClass *dc, DeviceReset dev_reset);
void device_class_set_parent_realize(DeviceClass *dc, DeviceRealize dev_realize,
                                     DeviceRealize *parent_realize);
void device_class_set_parent_unrealize(DeviceClass *dc, DeviceUnrealize dev_unrealize,
                                       DeviceUnrealize *parent_unrealize);

/* Called about every device that is realized or unrealized. */
typedef struct DeviceListener DeviceListener;
struct DeviceListener {
    void (*realize)(DeviceListener *listener, DeviceState *dev);
    void (*unrealize)(DeviceListener *listener, DeviceState *dev);
    QTAILQ_ENTRY(DeviceListener) link;
};
void device_listener_register(DeviceListener *listener);
void device_listener_unregister(DeviceListener *listener);

/* ---- GPIO lines ----------------------------------------------------------------------- */

void qdev_init_gpio_in(DeviceState *dev, qemu_irq_handler handler, int n);
void qdev_init_gpio_out(DeviceState *dev, qemu_irq *pins, int n);
void qdev_init_gpio_in_named(DeviceState *dev, qemu_irq_handler handler, const char *name, int n);
void qdev_init_gpio_in_named_with_opaque(DeviceState *dev, qemu_irq_handler handler,
                                         void *opaque, const char *name, int n);
void qdev_init_gpio_out_named(DeviceState *dev, qemu_irq *pins, const char *name, int n);
qemu_irq qdev_get_gpio_in(DeviceState *dev, int n);
qemu_irq qdev_get_gpio_in_named(DeviceState *dev, const char *name, int n);
void qdev_connect_gpio_out(DeviceState *dev, int n, qemu_irq pin);
void qdev_connect_gpio_out_named(DeviceState *dev, const char *name, int n, qemu_irq pin);
qemu_irq qdev_get_gpio_out_connector(DeviceState *dev, const char *name, int n);
/* Puts @icpt in front of output @n; returns what was connected, for passing on. For qtest. */
qemu_irq qdev_intercept_gpio_out(DeviceState *dev, qemu_irq icpt, const char *name, int n);
/* @dev gives its children's lines as its own. */
void qdev_pass_gpios(DeviceState *dev, DeviceState *container, const char *name);

/* ---- buses ---------------------------------------------------------------------------- */


/* @name NULL: made from the parent's id or the type. */
BusState *qbus_new(const char *typename, DeviceState *parent, const char *name);
void qbus_init(void *bus, size_t size, const char *typename, DeviceState *parent,
               const char *name);
bool qbus_realize(BusState *bus, Error **errp);
void qbus_unrealize(BusState *bus);
void qbus_set_hotplug_handler(BusState *bus, Object *handler);
bool qbus_is_hotpluggable(BusState *bus);
bool qbus_is_full(BusState *bus);
void bus_cold_reset(BusState *bus);
BusState *qbus_find(const char *path, Error **errp);

typedef int (qbus_walkerfn)(BusState *bus, void *opaque);
typedef int (qdev_walkerfn)(DeviceState *dev, void *opaque);
int qbus_walk_children(BusState *bus, qdev_walkerfn *pre_devfn, qbus_walkerfn *pre_busfn,
                       qdev_walkerfn *post_devfn, qbus_walkerfn *post_busfn, void *opaque);

/* The bus at the top; made on first use. */
BusState *sysbus_get_default(void);
/* "/machine", or a stand-in for it where no machine was made (tests). */
Object *qdev_get_machine(void);
/* "/machine/NAME": "unattached", "peripheral", "peripheral-anon". */
Object *machine_get_container(const char *name);

#endif
