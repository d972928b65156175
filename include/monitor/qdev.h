/*
 * Devices that a user adds by name: -device, device_add; and takes out again: device_del.
 *
 * Locking: BQL.
 *
 * SPDX-License-Identifier: GPL-2.0-or-later
 */
#ifndef MONITOR_QDEV_H
#define MONITOR_QDEV_H

#include "hw/qdev-core.h"
#include "qapi/qobject.h"

/* @opts: "driver", and optionally "id" and "bus"; everything else is a property. Values are text
 * where @from_keyval. NULL with @errp set. */
DeviceState *qdev_device_add_from_qdict(const QDict *opts, bool from_keyval, Error **errp);
/* "TYPE,id=ID,PROP=VALUE" or JSON. False with @errp set, or without when help was printed. */
bool qdev_add_from_text(const char *text, Error **errp);

/* QMP. Its arguments are the device's properties, so that no schema can list them. */
void qmp_device_add(QDict *args, QObject **ret, Error **errp);

#endif
