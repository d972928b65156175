/*
 * QIOTask: see io/task.h. A task in a thread is joined either by its completion source, in the
 * context it was given, or by qio_task_wait_thread(); both run on the thread that owns the task.
 *
 * SPDX-License-Identifier: GPL-2.0-or-later
 */
#include "qemu/osdep.h"
#include "qapi/error.h"
#include "qemu/thread.h"
#include "io/task.h"

struct QIOTask {
    Object *source;
    QIOTaskFunc func;
    gpointer opaque;
    GDestroyNotify destroy;
    Error *err;
    gpointer result;
    GDestroyNotify result_notify;

    /* Of a task that runs in a thread. */
    bool threaded;
    QemuThread thread;
    QIOTaskWorker worker;
    gpointer worker_opaque;
    GDestroyNotify worker_destroy;
    GMainContext *context;
    GSource *completion; /* made by the thread as its last act */
};

QIOTask *qio_task_new(Object *source, QIOTaskFunc func, gpointer opaque, GDestroyNotify destroy)
{
    QIOTask *task = g_new0(QIOTask, 1);

    task->source = object_ref(source);
    task->func = func;
    task->opaque = opaque;
    task->destroy = destroy;
    return task;
}

static void qio_task_free(QIOTask *task)
{
    if (task->worker_destroy) {
        task->worker_destroy(task->worker_opaque);
    }
    if (task->destroy) {
        task->destroy(task->opaque);
    }
    if (task->result_notify) {
        task->result_notify(task->result);
    }
    error_free(task->err);
    if (task->completion) {
        g_source_unref(task->completion);
    }
    if (task->context) {
        g_main_context_unref(task->context);
    }
    object_unref(task->source);
    g_free(task);
}

void qio_task_complete(QIOTask *task)
{
    task->func(task, task->opaque);
    qio_task_free(task);
}

static gboolean thread_finished(gpointer opaque)
{
    QIOTask *task = opaque;

    qemu_thread_join(&task->thread);
    qio_task_complete(task);
    return G_SOURCE_REMOVE;
}

static void *task_thread(void *opaque)
{
    QIOTask *task = opaque;

    task->worker(task, task->worker_opaque);
    task->completion = g_idle_source_new();
    g_source_set_priority(task->completion, G_PRIORITY_DEFAULT);
    g_source_set_callback(task->completion, thread_finished, task, NULL);
    g_source_attach(task->completion, task->context);
    /* Whoever completes the task joins this thread before freeing it. */
    return NULL;
}

void qio_task_run_in_thread(QIOTask *task, QIOTaskWorker worker, gpointer opaque,
                            GDestroyNotify destroy, GMainContext *context)
{
    task->threaded = true;
    task->worker = worker;
    task->worker_opaque = opaque;
    task->worker_destroy = destroy;
    task->context = context ? g_main_context_ref(context) : NULL;
    qemu_thread_create(&task->thread, "io-task-worker", task_thread, task,
                       QEMU_THREAD_JOINABLE);
}

void qio_task_wait_thread(QIOTask *task)
{
    g_assert(task->threaded);
    qemu_thread_join(&task->thread);
    g_source_destroy(task->completion);
    qio_task_complete(task);
}

void qio_task_set_error(QIOTask *task, Error *err)
{
    error_propagate(&task->err, err);
}

bool qio_task_propagate_error(QIOTask *task, Error **errp)
{
    if (!task->err) {
        return false;
    }
    error_propagate(errp, task->err);
    task->err = NULL;
    return true;
}

void qio_task_set_result_pointer(QIOTask *task, gpointer result, GDestroyNotify notify)
{
    task->result = result;
    task->result_notify = notify;
}

gpointer qio_task_get_result_pointer(QIOTask *task)
{
    return task->result;
}

Object *qio_task_get_source(QIOTask *task)
{
    return task->source;
}
