/*
 * Threads, locks and events: see qemu/thread.h.
 *
 * SPDX-License-Identifier: GPL-2.0-or-later
 */
#include "qemu/osdep.h"
#include "qemu/thread.h"
#include <sched.h>
#include <sys/syscall.h>
#include "qemu/atomic.h"

static bool name_threads;

/* A pthread call fails only through a bug of ours: say which and stop. */
static void check(int err, const char *what)
{
    if (err) {
        fprintf(stderr, "godwit: %s: %s\n", what, strerror(err));
        abort();
    }
}

void qemu_mutex_init(QemuMutex *m)
{
    check(pthread_mutex_init(&m->lock, NULL), __func__);
}

void qemu_mutex_destroy(QemuMutex *m)
{
    check(pthread_mutex_destroy(&m->lock), __func__);
}

void qemu_mutex_lock(QemuMutex *m)
{
    check(pthread_mutex_lock(&m->lock), __func__);
}

int qemu_mutex_trylock(QemuMutex *m)
{
    return pthread_mutex_trylock(&m->lock) ? -EBUSY : 0;
}

void qemu_mutex_unlock(QemuMutex *m)
{
    check(pthread_mutex_unlock(&m->lock), __func__);
}

void qemu_rec_mutex_init(QemuRecMutex *m)
{
    pthread_mutexattr_t attr;

    pthread_mutexattr_init(&attr);
    pthread_mutexattr_settype(&attr, PTHREAD_MUTEX_RECURSIVE);
    check(pthread_mutex_init(&m->lock, &attr), __func__);
    pthread_mutexattr_destroy(&attr);
}

void qemu_rec_mutex_destroy(QemuRecMutex *m)
{
    check(pthread_mutex_destroy(&m->lock), __func__);
}

void qemu_rec_mutex_lock(QemuRecMutex *m)
{
    check(pthread_mutex_lock(&m->lock), __func__);
}

void qemu_rec_mutex_unlock(QemuRecMutex *m)
{
    check(pthread_mutex_unlock(&m->lock), __func__);
}

void qemu_cond_init(QemuCond *c)
{
    pthread_condattr_t attr;

    pthread_condattr_init(&attr);
    pthread_condattr_setclock(&attr, CLOCK_MONOTONIC);
    check(pthread_cond_init(&c->cond, &attr), __func__);
    pthread_condattr_destroy(&attr);
}

void qemu_cond_destroy(QemuCond *c)
{
    check(pthread_cond_destroy(&c->cond), __func__);
}

void qemu_cond_signal(QemuCond *c)
{
    check(pthread_cond_signal(&c->cond), __func__);
}

void qemu_cond_broadcast(QemuCond *c)
{
    check(pthread_cond_broadcast(&c->cond), __func__);
}

void qemu_cond_wait(QemuCond *c, QemuMutex *m)
{
    check(pthread_cond_wait(&c->cond, &m->lock), __func__);
}

static struct timespec deadline_after(int ms)
{
    struct timespec ts;

    clock_gettime(CLOCK_MONOTONIC, &ts);
    ts.tv_sec += ms / 1000;
    ts.tv_nsec += (ms % 1000) * 1000000L;
    if (ts.tv_nsec >= 1000000000L) {
        ts.tv_sec++;
        ts.tv_nsec -= 1000000000L;
    }
    return ts;
}

static bool cond_wait_until(QemuCond *c, QemuMutex *m, const struct timespec *deadline)
{
    int err = pthread_cond_timedwait(&c->cond, &m->lock, deadline);

    if (err && err != ETIMEDOUT) {
        check(err, __func__);
    }
    return err != ETIMEDOUT;
}

bool qemu_cond_timedwait(QemuCond *c, QemuMutex *m, int ms)
{
    struct timespec deadline = deadline_after(ms);

    return cond_wait_until(c, m, &deadline);
}

void qemu_sem_init(QemuSemaphore *s, unsigned init)
{
    qemu_mutex_init(&s->mutex);
    qemu_cond_init(&s->cond);
    s->count = init;
}

void qemu_sem_destroy(QemuSemaphore *s)
{
    qemu_cond_destroy(&s->cond);
    qemu_mutex_destroy(&s->mutex);
}

void qemu_sem_post(QemuSemaphore *s)
{
    qemu_mutex_lock(&s->mutex);
    s->count++;
    qemu_cond_signal(&s->cond);
    qemu_mutex_unlock(&s->mutex);
}

void qemu_sem_wait(QemuSemaphore *s)
{
    qemu_mutex_lock(&s->mutex);
    while (!s->count) {
        qemu_cond_wait(&s->cond, &s->mutex);
    }
    s->count--;
    qemu_mutex_unlock(&s->mutex);
}

int qemu_sem_timedwait(QemuSemaphore *s, int ms)
{
    struct timespec deadline = deadline_after(ms);
    int ret = 0;

    qemu_mutex_lock(&s->mutex);
    while (!s->count && cond_wait_until(&s->cond, &s->mutex, &deadline)) {
        /* woken, perhaps for somebody else */
    }
    if (s->count) {
        s->count--;
    } else {
        ret = -1;
    }
    qemu_mutex_unlock(&s->mutex);
    return ret;
}

void qemu_event_init(QemuEvent *ev, bool init)
{
    qemu_mutex_init(&ev->mutex);
    qemu_cond_init(&ev->cond);
    ev->set = init;
}

void qemu_event_destroy(QemuEvent *ev)
{
    qemu_cond_destroy(&ev->cond);
    qemu_mutex_destroy(&ev->mutex);
}

void qemu_event_set(QemuEvent *ev)
{
    qemu_mutex_lock(&ev->mutex);
    ev->set = true;
    qemu_cond_broadcast(&ev->cond);
    qemu_mutex_unlock(&ev->mutex);
}

void qemu_event_reset(QemuEvent *ev)
{
    qemu_mutex_lock(&ev->mutex);
    ev->set = false;
    qemu_mutex_unlock(&ev->mutex);
}

void qemu_event_wait(QemuEvent *ev)
{
    qemu_mutex_lock(&ev->mutex);
    while (!ev->set) {
        qemu_cond_wait(&ev->cond, &ev->mutex);
    }
    qemu_mutex_unlock(&ev->mutex);
}

bool qemu_event_timedwait(QemuEvent *ev, int ms)
{
    struct timespec deadline = deadline_after(ms);
    bool set;

    qemu_mutex_lock(&ev->mutex);
    while (!ev->set && cond_wait_until(&ev->cond, &ev->mutex, &deadline)) {
        /* woken early */
    }
    set = ev->set;
    qemu_mutex_unlock(&ev->mutex);
    return set;
}

void qemu_thread_naming(bool enable)
{
    name_threads = enable;
}

typedef struct ThreadStart {
    void *(*fn)(void *);
    void *arg;
    char *name;
} ThreadStart;

static void *thread_start(void *opaque)
{
    ThreadStart start = *(ThreadStart *)opaque;

    g_free(opaque);
    if (start.name) {
        char name[16];

        g_strlcpy(name, start.name, sizeof(name));
        pthread_setname_np(pthread_self(), name);
        g_free(start.name);
    }
    return start.fn(start.arg);
}

void qemu_thread_create(QemuThread *thread, const char *name, void *(*fn)(void *), void *arg,
                        int mode)
{
    ThreadStart *start = g_new(ThreadStart, 1);
    pthread_attr_t attr;
    sigset_t all, old;

    start->fn = fn;
    start->arg = arg;
    start->name = name_threads ? g_strdup(name) : NULL;

    pthread_attr_init(&attr);
    if (mode == QEMU_THREAD_DETACHED) {
        pthread_attr_setdetachstate(&attr, PTHREAD_CREATE_DETACHED);
    }
    /* Asynchronous signals are the main thread's; a fault must stay this thread's own. */
    sigfillset(&all);
    sigdelset(&all, SIGSEGV);
    sigdelset(&all, SIGFPE);
    sigdelset(&all, SIGILL);
    sigdelset(&all, SIGBUS);
    pthread_sigmask(SIG_SETMASK, &all, &old);
    check(pthread_create(&thread->thread, &attr, thread_start, start), __func__);
    pthread_sigmask(SIG_SETMASK, &old, NULL);
    pthread_attr_destroy(&attr);
}

void qemu_thread_be_prompt(void)
{
    /* The C library has no such struct where it has no such call. */
    struct {
        uint32_t size, policy;
        uint64_t flags;
        int32_t nice;
        uint32_t priority;
        uint64_t runtime, deadline, period;
    } attr = {.size = sizeof(attr)};

    if (syscall(SYS_sched_getattr, 0, &attr, sizeof(attr), 0) == 0 && attr.policy == SCHED_OTHER) {
        attr.runtime = 100000; /* ns; of this policy the length of a turn, the shortest there is */
        syscall(SYS_sched_setattr, 0, &attr, 0);
    }
}

void *qemu_thread_join(QemuThread *thread)
{
    void *ret;

    check(pthread_join(thread->thread, &ret), __func__);
    return ret;
}

void qemu_thread_get_self(QemuThread *thread)
{
    thread->thread = pthread_self();
}

bool qemu_thread_is_self(QemuThread *thread)
{
    return pthread_equal(pthread_self(), thread->thread);
}
