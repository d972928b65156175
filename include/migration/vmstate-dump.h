/*
 * A VMStateDescription as JSON.
 *
 * SPDX-License-Identifier: GPL-2.0-or-later
 */
#ifndef MIGRATION_VMSTATE_DUMP_H
#define MIGRATION_VMSTATE_DUMP_H

#include "migration/vmstate.h"

/* One object named @name (NULL in an array). */
void vmstate_dump_description(JSONWriter *w, const char *name, const VMStateDescription *vmsd);

#endif
