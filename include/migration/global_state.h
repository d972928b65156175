/*
 * The machine's run state as part of its migrated state (section "globalstate").
 *
 * SPDX-License-Identifier: GPL-2.0-or-later
 */
#ifndef MIGRATION_GLOBAL_STATE_H
#define MIGRATION_GLOBAL_STATE_H

#include "qapi/qapi-types-run-state.h"

void register_global_state(void);
/* Remember the run state as it is now, to be sent. */
void global_state_store(void);
/* The same for a machine that has been stopped since, and was in @state. */
void global_state_store_state(RunState state);
/* The same, as running, whatever it is. */
void global_state_store_running(void);
/* Did one arrive, and what does it say? */
bool global_state_received(void);
RunState global_state_get_runstate(void);

#endif
