/*
 * The interface lives on migration's floor; devices know it by this name.
 *
 * SPDX-License-Identifier: GPL-2.0-or-later
 */
#include "migration/vmstate-if.h"
