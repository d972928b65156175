/*
 * Threads, locks and events on pthreads.
 *
 * SPDX-License-Identifier: GPL-2.0-or-later
 */
#ifndef QEMU_THREAD_H
#define QEMU_THREAD_H

#include <pthread.h>
#include <semaphore.h>

typedef struct QemuMutex {
    pthread_mutex_t lock;
} QemuMutex;
typedef struct QemuRecMutex {
    pthread_mutex_t lock;
} QemuRecMutex;
typedef struct QemuCond {
    pthread_cond_t cond; /* on CLOCK_MONOTONIC */
} QemuCond;
typedef struct QemuSemaphore {
    QemuMutex mutex;
    QemuCond cond;
    unsigned count;
} QemuSemaphore;
typedef struct QemuEvent {
    QemuMutex mutex;
    QemuCond cond;
    bool set;
} QemuEvent;
struct QemuThread {
    pthread_t thread;
};

#define QEMU_THREAD_JOINABLE 0
#define QEMU_THREAD_DETACHED 1

void qemu_mutex_init(QemuMutex *m);
void qemu_mutex_destroy(QemuMutex *m);
void qemu_mutex_lock(QemuMutex *m);
int qemu_mutex_trylock(QemuMutex *m); /* 0 when it was taken */
void qemu_mutex_unlock(QemuMutex *m);

void qemu_rec_mutex_init(QemuRecMutex *m);
void qemu_rec_mutex_destroy(QemuRecMutex *m);
void qemu_rec_mutex_lock(QemuRecMutex *m);
void qemu_rec_mutex_unlock(QemuRecMutex *m);

void qemu_cond_init(QemuCond *c);
void qemu_cond_destroy(QemuCond *c);
void qemu_cond_signal(QemuCond *c);
void qemu_cond_broadcast(QemuCond *c);
void qemu_cond_wait(QemuCond *c, QemuMutex *m);
bool qemu_cond_timedwait(QemuCond *c, QemuMutex *m, int ms); /* false on timeout */

void qemu_sem_init(QemuSemaphore *s, unsigned init);
void qemu_sem_destroy(QemuSemaphore *s);
void qemu_sem_post(QemuSemaphore *s);
void qemu_sem_wait(QemuSemaphore *s);
int qemu_sem_timedwait(QemuSemaphore *s, int ms); /* 0, or -1 on timeout */

/* A flag that threads wait for; stays set until reset. */
void qemu_event_init(QemuEvent *ev, bool init);
void qemu_event_destroy(QemuEvent *ev);
void qemu_event_set(QemuEvent *ev);
void qemu_event_reset(QemuEvent *ev);
void qemu_event_wait(QemuEvent *ev);
bool qemu_event_timedwait(QemuEvent *ev, int ms); /* false on timeout */

/* -name debug-threads=on: threads carry their names in the kernel (15 characters). */
void qemu_thread_naming(bool enable);
/* New threads block all signals but those of crashes; aborts when the kernel has no thread left. */
void qemu_thread_create(QemuThread *thread, const char *name, void *(*fn)(void *), void *arg,
                        int mode);
void *qemu_thread_join(QemuThread *thread);
/*
 * The calling thread works for some microseconds at a time, and others wait for what it does: it wants
 * to run at once rather than long. A hint; kernels before 6.12 do not take it.
 */
void qemu_thread_be_prompt(void);
void qemu_thread_get_self(QemuThread *thread);
bool qemu_thread_is_self(QemuThread *thread);

#endif
