/*
 * Option strings of the form "a=1,b.c=2,list.0=x": from a command line to an object whose values
 * are all strings, as a keyval visitor (qobject-input-visitor.h) wants them.
 *
 * SPDX-License-Identifier: GPL-2.0-or-later
 */
#ifndef QEMU_KEYVAL_H
#define QEMU_KEYVAL_H

#include "qapi/qobject.h"

/*
 * Parse PARAMS.  Keys are names joined by '.'; a level all of whose keys are 0, 1, 2 … becomes an
 * array.  ",," in a value stands for a comma.  Where a key comes twice, the last one counts.
 *
 * IMPLIED_KEY, if not NULL, is the key of a first part that has no '='.
 * HELP, if not NULL, is set to whether a part was "help" or "?"; such parts are otherwise errors.
 *
 * Returns an object that the caller owns, or NULL with an error set.
 */
QDict *keyval_parse(const char *params, const char *implied_key, bool *help, Error **errp);

/*
 * The same, but starting with what is in QDICT, which is changed and returned.  On failure QDICT
 * may hold a part of PARAMS.
 */
QDict *keyval_parse_into(QDict *qdict, const char *params, const char *implied_key, bool *help,
                         Error **errp);

/*
 * Move everything in NEW over into OLD: what both have, NEW's wins; objects are merged, arrays
 * appended to.  Both must come from keyval_parse().
 */
void keyval_merge(QDict *old, const QDict *new_values, Error **errp);

#endif
