/*
 * A library to be loaded before the emulator (LD_PRELOAD): where threads meet, and where they talk to
 * the world, one of them now and then waits for a while. What depends on who comes first shows sooner.
 *
 * DELAYS says how many waits there are in a million unlockings (the rarer calls count more); DELAYS_US
 * how long they take at most, but for one in twenty, which takes five times as long; DELAYS_TELL has
 * their number told at the end. Only the program with the name DELAYS_PROGRAM waits
 * [godwit-system-x86_64]: the tests that start it, and other emulators, go on as ever.
 *
 * SPDX-License-Identifier: GPL-2.0-or-later
 */
#include <dlfcn.h>
#include <errno.h>
#include <poll.h>
#include <pthread.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <time.h>

#define OFTEN 5    /* a message, a wake-up */
#define ALWAYS 200 /* a thread's beginning: there are few */

static bool enabled;
static unsigned per_million = 500, longest_us = 30000, waits;
static __thread uint64_t state;

static uint64_t next_random(void)
{
    if (!state) {
        struct timespec now;

        clock_gettime(CLOCK_MONOTONIC, &now);
        state = now.tv_nsec * UINT64_C(2654435761) + now.tv_sec + (uintptr_t)&state;
    }
    state ^= state << 13;
    state ^= state >> 7;
    state ^= state << 17;
    return state;
}

static void maybe_wait(unsigned weight)
{
    int error = errno;

    if (enabled && next_random() % 1000000 < (uint64_t)per_million * weight) {
        uint64_t us = next_random() % longest_us * (next_random() % 20 ? 1 : 5);
        struct timespec time = { us / 1000000, us % 1000000 * 1000 };

        __atomic_fetch_add(&waits, 1, __ATOMIC_RELAXED);
        nanosleep(&time, NULL);
    }
    errno = error;
}

__attribute__((constructor)) static void begin(void)
{
    const char *program = getenv("DELAYS_PROGRAM"), *value;

    /* The kernel's name of a thread is shorter; this one is whole. */
    enabled = !strcmp(program_invocation_short_name, program ? program : "godwit-system-x86_64");
    if ((value = getenv("DELAYS"))) {
        per_million = strtoul(value, NULL, 10);
    }
    if ((value = getenv("DELAYS_US")) && strtoul(value, NULL, 10)) {
        longest_us = strtoul(value, NULL, 10);
    }
}

__attribute__((destructor)) static void end(void)
{
    if (enabled && getenv("DELAYS_TELL")) {
        fprintf(stderr, "delays: %u\n", waits);
    }
}

/* The function of that name behind ours. */
#define REAL(name)                                                                                 \
    static __typeof__(name) *real;                                                                 \
    if (!real) {                                                                                   \
        *(void **)&real = dlsym(RTLD_NEXT, #name);                                                 \
    }

int pthread_mutex_unlock(pthread_mutex_t *mutex)
{
    int ret;

    REAL(pthread_mutex_unlock)
    ret = real(mutex);
    maybe_wait(1);
    return ret;
}

int pthread_cond_signal(pthread_cond_t *cond)
{
    int ret;

    REAL(pthread_cond_signal)
    ret = real(cond);
    maybe_wait(OFTEN);
    return ret;
}

int poll(struct pollfd *fds, nfds_t nfds, int timeout)
{
    int ret;

    REAL(poll)
    ret = real(fds, nfds, timeout);
    maybe_wait(OFTEN);
    return ret;
}

ssize_t sendmsg(int fd, const struct msghdr *msg, int flags)
{
    ssize_t ret;

    REAL(sendmsg)
    maybe_wait(OFTEN);
    ret = real(fd, msg, flags);
    maybe_wait(OFTEN);
    return ret;
}

ssize_t recvmsg(int fd, struct msghdr *msg, int flags)
{
    ssize_t ret;

    REAL(recvmsg)
    ret = real(fd, msg, flags);
    maybe_wait(OFTEN);
    return ret;
}

typedef struct Start {
    void *(*function)(void *);
    void *argument;
} Start;

static void *begin_late(void *opaque)
{
    Start start = *(Start *)opaque;

    free(opaque);
    maybe_wait(ALWAYS);
    return start.function(start.argument);
}

int pthread_create(pthread_t *thread, const pthread_attr_t *attr, void *(*function)(void *),
                   void *argument)
{
    Start *start;
    int ret;

    REAL(pthread_create)
    start = malloc(sizeof(*start));
    if (!start) {
        return EAGAIN;
    }
    *start = (Start){ function, argument };
    ret = real(thread, attr, begin_late, start);
    if (ret) {
        free(start);
    }
    maybe_wait(ALWAYS);
    return ret;
}
