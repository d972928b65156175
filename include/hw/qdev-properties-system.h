/*
 * Properties of devices whose values belong to the floor of system/: drives.
 *
 * SPDX-License-Identifier: GPL-2.0-or-later
 */
#ifndef HW_QDEV_PROPERTIES_SYSTEM_H
#define HW_QDEV_PROPERTIES_SYSTEM_H

#include "hw/qdev-properties.h"
#include "system/blockdev.h"

/* A drive by its id, which is the device's from then on. The field is a `BlockBackend *`. */
extern const PropertyInfo qdev_prop_drive;
#define DEFINE_PROP_DRIVE(_n, _s, _f) DEFINE_PROP(_n, _s, _f, qdev_prop_drive, BlockBackend *)

/* For boards: the device takes @blk, which is nobody's. */
bool qdev_prop_set_drive_err(DeviceState *dev, const char *name, BlockBackend *blk, Error **errp);

#endif
