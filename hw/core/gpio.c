/*
 * Named GPIO lines of devices. Inputs are IRQ objects, children of the device; outputs are pointers
 * in the device, seen as links, so that the tree shows what is wired to what.
 *
 * SPDX-License-Identifier: GPL-2.0-or-later
 */
#include "qemu/osdep.h"
#include "hw/qdev-core.h"
#include "qapi/error.h"

static NamedGPIOList *gpio_list(DeviceState *dev, const char *name, bool make)
{
    NamedGPIOList *list;

    QLIST_FOREACH(list, &dev->gpios, node) {
        if (g_strcmp0(list->name, name) == 0) {
            return list;
        }
    }
    if (!make) {
        return NULL;
    }
    list = g_new0(NamedGPIOList, 1);
    list->name = g_strdup(name);
    QLIST_INSERT_HEAD(&dev->gpios, list, node);
    return list;
}

static char *line_name(const char *name, const char *kind, int n)
{
    return name ? g_strdup_printf("%s[%d]", name, n)
                : g_strdup_printf("unnamed-gpio-%s[%d]", kind, n);
}

/* ---- declared by the device ----------------------------------------------------------- */

void qdev_init_gpio_in_named_with_opaque(DeviceState *dev, qemu_irq_handler handler,
                                         void *opaque, const char *name, int n)
{
    NamedGPIOList *list = gpio_list(dev, name, true);

    g_assert(list->num_out == 0 || !name);
    list->in = qemu_extend_irqs(list->in, list->num_in, handler, opaque, n);
    for (int i = list->num_in; i < list->num_in + n; i++) {
        g_autofree char *property = line_name(name, "in", i);

        object_property_add_child(OBJECT(dev), property, OBJECT(list->in[i]));
        object_unref(list->in[i]);
    }
    list->num_in += n;
}

void qdev_init_gpio_in_named(DeviceState *dev, qemu_irq_handler handler, const char *name, int n)
{
    qdev_init_gpio_in_named_with_opaque(dev, handler, dev, name, n);
}

void qdev_init_gpio_in(DeviceState *dev, qemu_irq_handler handler, int n)
{
    qdev_init_gpio_in_named(dev, handler, NULL, n);
}

void qdev_init_gpio_out_named(DeviceState *dev, qemu_irq *pins, const char *name, int n)
{
    NamedGPIOList *list = gpio_list(dev, name, true);

    g_assert(list->num_in == 0 || !name);
    for (int i = 0; i < n; i++) {
        g_autofree char *property = line_name(name, "out", list->num_out + i);

        pins[i] = NULL;
        object_property_add_link(OBJECT(dev), property, TYPE_IRQ, (Object **)&pins[i],
                                 object_property_allow_set_link, OBJ_PROP_LINK_STRONG);
    }
    list->num_out += n;
}

void qdev_init_gpio_out(DeviceState *dev, qemu_irq *pins, int n)
{
    qdev_init_gpio_out_named(dev, pins, NULL, n);
}

/* ---- used by the board ---------------------------------------------------------------- */

qemu_irq qdev_get_gpio_in_named(DeviceState *dev, const char *name, int n)
{
    NamedGPIOList *list = gpio_list(dev, name, false);

    g_assert(list && n >= 0 && n < list->num_in);
    return list->in[n];
}

qemu_irq qdev_get_gpio_in(DeviceState *dev, int n)
{
    return qdev_get_gpio_in_named(dev, NULL, n);
}

qemu_irq qdev_get_gpio_out_connector(DeviceState *dev, const char *name, int n)
{
    g_autofree char *property = line_name(name, "out", n);
    Object *pin = object_property_get_link(OBJECT(dev), property, NULL);

    return pin ? IRQ(pin) : NULL;
}

void qdev_connect_gpio_out_named(DeviceState *dev, const char *name, int n, qemu_irq pin)
{
    g_autofree char *property = line_name(name, "out", n);

    /* A link needs its target in the tree; lines that belong to no device go to the side. */
    if (pin && !OBJECT(pin)->parent) {
        object_property_add_child(machine_get_container("unattached"), "non-qdev-gpio[*]",
                                  OBJECT(pin));
    }
    object_property_set_link(OBJECT(dev), property, OBJECT(pin), &error_abort);
}

void qdev_connect_gpio_out(DeviceState *dev, int n, qemu_irq pin)
{
    qdev_connect_gpio_out_named(dev, NULL, n, pin);
}

qemu_irq qdev_intercept_gpio_out(DeviceState *dev, qemu_irq icpt, const char *name, int n)
{
    qemu_irq before = qdev_get_gpio_out_connector(dev, name, n);

    /* The link lets go of what was connected, but levels are still passed on to it. */
    object_ref(before);
    qdev_connect_gpio_out_named(dev, name, n, icpt);
    return before;
}

void qdev_pass_gpios(DeviceState *dev, DeviceState *container, const char *name)
{
    NamedGPIOList *list = gpio_list(dev, name, false);

    g_assert(list);
    for (int i = 0; i < list->num_in + list->num_out; i++) {
        bool in = i < list->num_in;
        g_autofree char *property = line_name(name, in ? "in" : "out",
                                              in ? i : i - list->num_in);

        object_property_add_alias(OBJECT(container), property, OBJECT(dev), property);
    }
    QLIST_REMOVE(list, node);
    QLIST_INSERT_HEAD(&container->gpios, list, node);
}
