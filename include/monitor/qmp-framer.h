/*
 * Cuts a byte stream into JSON texts, so that each can be parsed as a whole and nonsense costs no
 * more than the text it stands in.
 *
 * No locking: one stream, one thread.
 *
 * SPDX-License-Identifier: GPL-2.0-or-later
 */
#ifndef MONITOR_QMP_FRAMER_H
#define MONITOR_QMP_FRAMER_H

#include "qemu/osdep.h"

#define QMP_MESSAGE_SIZE_MAX (64 << 20)
#define QMP_MESSAGE_DEPTH_MAX 1024

typedef enum QmpFramerState {
    QMP_FRAMER_IDLE,    /* between texts */
    QMP_FRAMER_INSIDE,  /* of an object or array */
    QMP_FRAMER_SCALAR,  /* of a number or word */
    QMP_FRAMER_STRING,
    QMP_FRAMER_RECOVER, /* after an error: skip to something that can begin a text */
    QMP_FRAMER_SKIP_LINE,
} QmpFramerState;

typedef struct QmpFramer {
    QmpFramerState state;
    GString *text;
    int depth;        /* of open braces and brackets */
    char quote;       /* that the string began with */
    bool escaped;     /* the character before was a backslash */
} QmpFramer;

typedef enum QmpFramerResult {
    QMP_FRAMER_MORE,    /* all input is used up */
    QMP_FRAMER_MESSAGE, /* framer->text is a whole text; valid until the next call */
    QMP_FRAMER_ERROR,   /* the text was dropped; @why says why */
} QmpFramerResult;

void qmp_framer_init(QmpFramer *f);
void qmp_framer_reset(QmpFramer *f);
void qmp_framer_destroy(QmpFramer *f);

/* Takes input from *@p, at most to @end, moving *@p on. @why: freed by the caller. */
QmpFramerResult qmp_framer_feed(QmpFramer *f, const uint8_t **p, const uint8_t *end, char **why);

#endif
