/*
 * What every source file needs from the host: included first, everywhere.
 *
 * SPDX-License-Identifier: GPL-2.0-or-later
 */
#ifndef QEMU_OSDEP_H
#define QEMU_OSDEP_H

#include "config-host.h"

#include <assert.h>
#include <ctype.h>
#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <limits.h>
#include <math.h>
#include <signal.h>
#include <stdarg.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <sys/time.h>
#include <sys/types.h>
#include <sys/uio.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#include <glib.h>

#include "qemu/compiler.h"
#include "qemu/typedefs.h"

#define ARRAY_SIZE(x) (sizeof(x) / sizeof((x)[0]))

#ifndef container_of
#define container_of(ptr, type, member) \
    ((type *)((char *)(1 ? (ptr) : &((type *)0)->member) - offsetof(type, member)))
#endif
#define typeof_field(type, field) typeof(((type *)0)->field)
#define sizeof_field(type, field) sizeof(((type *)0)->field)

#define DIV_ROUND_UP(n, d) (((n) + (d) - 1) / (d))
#define QEMU_ALIGN_DOWN(n, m) ((n) / (m) * (m))
#define QEMU_ALIGN_UP(n, m) QEMU_ALIGN_DOWN((n) + (m) - 1, (m))
#define QEMU_IS_ALIGNED(n, m) (((n) % (m)) == 0)
#define QEMU_PTR_IS_ALIGNED(p, m) QEMU_IS_ALIGNED((uintptr_t)(p), (m))
#define QEMU_ALIGN_PTR_DOWN(p, m) ((typeof(p))QEMU_ALIGN_DOWN((uintptr_t)(p), (m)))
#define QEMU_ALIGN_PTR_UP(p, m) ((typeof(p))QEMU_ALIGN_UP((uintptr_t)(p), (m)))
/* Powers of two only. */
#define ROUND_DOWN(n, d) ((n) & ~((typeof(n))(d) - 1))
#define ROUND_UP(n, d) ROUND_DOWN((n) + (typeof(n))(d) - 1, (d))

#ifndef ENOTSUP
#define ENOTSUP 4096
#endif
#define TFR(expr) TEMP_FAILURE_RETRY(expr)
#define RETRY_ON_EINTR(expr) TEMP_FAILURE_RETRY(expr)

static inline bool is_power_of_2(uint64_t v)
{
    return v && !(v & (v - 1));
}
static inline uint64_t pow2ceil(uint64_t v)
{
    return v <= 1 ? 1 : 1ull << (64 - __builtin_clzll(v - 1));
}
static inline uint64_t pow2floor(uint64_t v)
{
    return v ? 1ull << (63 - __builtin_clzll(v)) : 0;
}

/* Page size of the host, read once at start. */
size_t qemu_real_host_page_size(void);

/* Memory aligned to @alignment; aborts when there is none (the try_ form returns NULL). */
void *qemu_memalign(size_t alignment, size_t size);
void *qemu_try_memalign(size_t alignment, size_t size);
void qemu_vfree(void *p);

/*
 * Descriptors.  All open close-on-exec.  qemu_open understands /dev/fdset/N where fd sets are
 * built in; it returns -1 and sets errp with the file's name.
 */
int qemu_open(const char *name, int flags, Error **errp);
int qemu_create(const char *name, int flags, mode_t mode, Error **errp);
int qemu_open_old(const char *name, int flags, ...);
int qemu_close(int fd);
int qemu_dup(int fd);
bool qemu_set_cloexec(int fd);
bool qemu_set_blocking(int fd, bool block, Error **errp);
int qemu_pipe(int pipefd[2]);
bool qemu_write_pidfile(const char *path, Error **errp);
/* Write everything, retrying short writes and EINTR; the count written (short only on error). */
ssize_t qemu_write_full(int fd, const void *buf, size_t count);
/* The same for reading; short only at end of file or on error. */
ssize_t qemu_read_full(int fd, void *buf, size_t count);

/* /dev/fdset/N: floor 7 keeps the sets; qemu_open and qemu_close ask through these. */
typedef struct FdsetOps {
    int (*dup_fd_add)(int64_t fdset_id, int flags, Error **errp); /* new fd, or -1 */
    void (*dup_fd_remove)(int dup_fd);
} FdsetOps;
void qemu_set_fdset_ops(const FdsetOps *ops);

pid_t qemu_get_thread_id(void);
const char *qemu_get_exec_dir(void);
void qemu_init_exec_dir(const char *argv0);

#endif
