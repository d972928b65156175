/*
 * Device properties that stand for things outside of the device. They are in qdev-properties.h;
 * this name is kept for devices that include it.
 *
 * SPDX-License-Identifier: GPL-2.0-or-later
 */
#ifndef HW_QDEV_PROPERTIES_SYSTEM_H
#define HW_QDEV_PROPERTIES_SYSTEM_H

#include "hw/qdev-properties.h"

#endif
