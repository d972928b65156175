/*
 * TCG, as machines and devices see it: guest code translated by libunicorn (accel/tcg/).
 *
 * SPDX-License-Identifier: GPL-2.0-or-later
 */
#ifndef SYSTEM_TCG_H
#define SYSTEM_TCG_H

#include "qemu/osdep.h"

#define TYPE_TCG_ACCEL "tcg-accel"

#ifdef CONFIG_TCG
extern bool tcg_allowed;
/** Does TCG execute the guest? */
#define tcg_enabled() (tcg_allowed)
#else
#define tcg_enabled() (false)
#endif

#endif
