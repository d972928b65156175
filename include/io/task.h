/*
 * QIOTask: work that finishes later, with a callback for its result.
 *
 * A task belongs to a source object, which it keeps alive. It ends, and frees itself, when
 * qio_task_complete() has called back; either directly or, for work in a thread, from the main
 * context that was given.
 *
 * SPDX-License-Identifier: GPL-2.0-or-later
 */
#ifndef IO_TASK_H
#define IO_TASK_H

#include "qom/object.h"

typedef struct QIOTask QIOTask;

/* The result has come: ask the task for it. */
typedef void (*QIOTaskFunc)(QIOTask *task, gpointer opaque);
/* The work itself, in its own thread: ends by setting an error or a result, or neither. */
typedef void (*QIOTaskWorker)(QIOTask *task, gpointer opaque);

/* @destroy frees @opaque when the task ends; may be NULL. */
QIOTask *qio_task_new(Object *source, QIOTaskFunc func, gpointer opaque, GDestroyNotify destroy);

/* Runs @worker in a new thread; the task completes in @context (NULL: the main one). */
void qio_task_run_in_thread(QIOTask *task, QIOTaskWorker worker, gpointer opaque,
                            GDestroyNotify destroy, GMainContext *context);

/* Joins a thread that was started, then completes the task here and now, without a main loop. */
void qio_task_wait_thread(QIOTask *task);

/* Calls back and frees the task. */
void qio_task_complete(QIOTask *task);

/* Hands an error to the task, which owns it then; the first one counts. */
void qio_task_set_error(QIOTask *task, Error *err);

/* Moves the task's error, if any, to @errp. True if there was one. */
bool qio_task_propagate_error(QIOTask *task, Error **errp);

void qio_task_set_result_pointer(QIOTask *task, gpointer result, GDestroyNotify notify);
gpointer qio_task_get_result_pointer(QIOTask *task);

/* Borrowed reference. */
Object *qio_task_get_source(QIOTask *task);

#endif /* IO_TASK_H */
