/*
 * The main loop, the BQL, bottom halves and descriptor handlers: see qemu/main-loop.h.
 *
 * SPDX-License-Identifier: GPL-2.0-or-later
 */
#include "qemu/osdep.h"
#include "qemu/main-loop.h"
#include "qemu/atomic.h"
#include "qemu/timer.h"
#include <glib-unix.h>

static pthread_mutex_t bql = PTHREAD_MUTEX_INITIALIZER;
static __thread bool bql_is_mine;
static QemuThread main_thread;
static bool main_thread_known;

void bql_lock(void)
{
    assert(!bql_is_mine);
    pthread_mutex_lock(&bql);
    bql_is_mine = true;
}

void bql_unlock(void)
{
    assert(bql_is_mine);
    bql_is_mine = false;
    pthread_mutex_unlock(&bql);
}

bool bql_locked(void)
{
    return bql_is_mine;
}

void qemu_cond_wait_bql(QemuCond *cond)
{
    bql_is_mine = false;
    pthread_cond_wait(&cond->cond, &bql);
    bql_is_mine = true;
}

bool qemu_cond_timedwait_bql(QemuCond *cond, int ms)
{
    QemuMutex *m = container_of(&bql, QemuMutex, lock);
    bool ret;

    bql_is_mine = false;
    ret = qemu_cond_timedwait(cond, m, ms);
    bql_is_mine = true;
    return ret;
}

bool qemu_in_main_thread(void)
{
    return !main_thread_known || qemu_thread_is_self(&main_thread);
}

void qemu_notify_event(void)
{
    g_main_context_wakeup(NULL);
}

/* The one place where the main thread lets go of the BQL. */
static int poll_without_bql(GPollFD *fds, guint nfds, int timeout)
{
    int ret;

    if (!bql_is_mine || timeout == 0) {
        return g_poll(fds, nfds, timeout);
    }
    bql_unlock();
    ret = g_poll(fds, nfds, timeout);
    bql_lock();
    return ret;
}

void main_loop_wait(int nonblocking)
{
    g_main_context_iteration(NULL, !nonblocking);
    if (nonblocking && bql_is_mine) {
        /* A caller that spins must not starve the vCPUs of the lock. */
        bql_unlock();
        bql_lock();
    }
}

/* Bottom halves. */

struct QEMUBH {
    QEMUBHFunc *cb;
    void *opaque;
    bool scheduled; /* wants to run; under bh_lock, like the rest */
    bool queued;    /* sits in bh_queue */
    bool deleted;   /* free when it leaves the queue, or after its callback */
    bool running;
    QEMUBH *next;
};

static pthread_mutex_t bh_lock = PTHREAD_MUTEX_INITIALIZER;
static QEMUBH *bh_queue, **bh_queue_tail = &bh_queue;

QEMUBH *qemu_bh_new(QEMUBHFunc *cb, void *opaque)
{
    QEMUBH *bh = g_new0(QEMUBH, 1);

    bh->cb = cb;
    bh->opaque = opaque;
    return bh;
}

static void bh_enqueue(QEMUBH *bh, bool delete)
{
    bool wake = false;

    pthread_mutex_lock(&bh_lock);
    bh->scheduled = true;
    bh->deleted |= delete;
    if (!bh->queued) {
        bh->queued = true;
        bh->next = NULL;
        qatomic_set(bh_queue_tail, bh);
        bh_queue_tail = &bh->next;
        wake = true;
    }
    pthread_mutex_unlock(&bh_lock);
    if (wake) {
        qemu_notify_event();
    }
}

void qemu_bh_schedule(QEMUBH *bh)
{
    bh_enqueue(bh, false);
}

void qemu_bh_schedule_oneshot(QEMUBHFunc *cb, void *opaque)
{
    bh_enqueue(qemu_bh_new(cb, opaque), true);
}

void qemu_bh_cancel(QEMUBH *bh)
{
    pthread_mutex_lock(&bh_lock);
    bh->scheduled = false;
    pthread_mutex_unlock(&bh_lock);
}

void qemu_bh_delete(QEMUBH *bh)
{
    bool now;

    pthread_mutex_lock(&bh_lock);
    bh->scheduled = false;
    bh->deleted = true;
    now = !bh->queued && !bh->running;
    pthread_mutex_unlock(&bh_lock);
    if (now) {
        g_free(bh);
    }
}

static gboolean bh_source_prepare(GSource *source, int *timeout)
{
    *timeout = -1;
    return qatomic_read(&bh_queue) != NULL;
}

static gboolean bh_source_check(GSource *source)
{
    return qatomic_read(&bh_queue) != NULL;
}

static gboolean bh_source_dispatch(GSource *source, GSourceFunc fn, gpointer data)
{
    QEMUBH *last;

    pthread_mutex_lock(&bh_lock);
    /* Those queued from now on wait for the next iteration: other sources must get their turn. */
    last = bh_queue ? container_of(bh_queue_tail, QEMUBH, next) : NULL;
    while (last) {
        QEMUBH *bh = bh_queue;
        bool run = bh->scheduled, done = bh == last;

        qatomic_set(&bh_queue, bh->next);
        if (!bh_queue) {
            bh_queue_tail = &bh_queue;
        }
        bh->queued = false;
        bh->scheduled = false;
        if (run) {
            bh->running = true;
            pthread_mutex_unlock(&bh_lock);
            bh->cb(bh->opaque);
            pthread_mutex_lock(&bh_lock);
            bh->running = false;
        }
        if (bh->deleted && !bh->queued) {
            g_free(bh);
        }
        if (done) {
            break;
        }
    }
    pthread_mutex_unlock(&bh_lock);
    return G_SOURCE_CONTINUE;
}

static GSourceFuncs bh_source_funcs = {
    .prepare = bh_source_prepare,
    .check = bh_source_check,
    .dispatch = bh_source_dispatch,
};

int qemu_init_main_loop(Error **errp)
{
    GSource *source = g_source_new(&bh_source_funcs, sizeof(GSource));

    qemu_thread_get_self(&main_thread);
    main_thread_known = true;
    g_source_set_priority(source, G_PRIORITY_DEFAULT);
    g_source_set_name(source, "bottom-halves");
    g_source_attach(source, NULL);
    g_source_unref(source);
    timer_init_main_loop();
    g_main_context_set_poll_func(NULL, poll_without_bql);
    bql_lock();
    return 0;
}

/* Descriptor handlers. */

typedef struct FdHandler {
    IOHandler *read, *write;
    void *opaque;
    guint tag;
} FdHandler;

static GHashTable *fd_handlers; /* fd -> FdHandler; under the BQL */

static gboolean fd_ready(int fd, GIOCondition cond, gpointer data)
{
    FdHandler *h = data;

    if ((cond & (G_IO_IN | G_IO_HUP | G_IO_ERR)) && h->read) {
        h->read(h->opaque);
        /* The callback may have changed or removed the handler. */
        h = g_hash_table_lookup(fd_handlers, GINT_TO_POINTER(fd));
        if (h != data) {
            return G_SOURCE_REMOVE;
        }
    }
    if ((cond & (G_IO_OUT | G_IO_ERR)) && h->write) {
        h->write(h->opaque);
        if (g_hash_table_lookup(fd_handlers, GINT_TO_POINTER(fd)) != data) {
            return G_SOURCE_REMOVE;
        }
    }
    return G_SOURCE_CONTINUE;
}

void qemu_set_fd_handler(int fd, IOHandler *fd_read, IOHandler *fd_write, void *opaque)
{
    FdHandler *h;

    if (!fd_handlers) {
        fd_handlers = g_hash_table_new(NULL, NULL);
    }
    h = g_hash_table_lookup(fd_handlers, GINT_TO_POINTER(fd));
    if (h) {
        g_hash_table_remove(fd_handlers, GINT_TO_POINTER(fd));
        g_source_remove(h->tag); /* frees h by its destroy notify */
    }
    if (fd_read || fd_write) {
        GIOCondition cond = (fd_read ? G_IO_IN | G_IO_HUP | G_IO_ERR : 0) |
                            (fd_write ? G_IO_OUT | G_IO_ERR : 0);

        h = g_new0(FdHandler, 1);
        h->read = fd_read;
        h->write = fd_write;
        h->opaque = opaque;
        h->tag = g_unix_fd_add_full(G_PRIORITY_DEFAULT, fd, cond, fd_ready, h, g_free);
        g_hash_table_insert(fd_handlers, GINT_TO_POINTER(fd), h);
    }
}
