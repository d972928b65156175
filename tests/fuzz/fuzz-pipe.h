/*
 * Channels whose other end is the fuzz target's, and inputs in parts: what a part says is read, and
 * acted on, before the next one comes. So an input does the same each time, whatever threads read
 * it.
 *
 * SPDX-License-Identifier: GPL-2.0-or-later
 */
#ifndef TESTS_FUZZ_PIPE_H
#define TESTS_FUZZ_PIPE_H

#include "fuzz.h"
#include "qemu/atomic.h"
#include "qemu/bswap.h"
#include "qemu/lockable.h"
#include "qemu/thread.h"

/* --- channels --- */

/* The target's end. */
typedef struct FuzzPipe {
    GByteArray *in;      /* what the program reads… */
    size_t at;           /* …and how far it is */
    bool ended;          /* nothing comes behind that */
    bool reading;        /* somebody waits for more */
    bool shut;           /* the program has shut its end down: who reads has the end, too… */
    bool gone;           /* …and has given it back */
    GByteArray *out;     /* what the program writes */
} FuzzPipe;

#define TYPE_FUZZ_CHANNEL "fuzz-channel"
OBJECT_DECLARE_SIMPLE_TYPE(FuzzChannel, FUZZ_CHANNEL)

struct FuzzChannel {
    QIOChannel parent;
    FuzzPipe *pipe;
};

/* Guards all pipes. */
static QemuMutex fuzz_lock;
static QemuCond fuzz_changed;

static ssize_t fuzz_readv(QIOChannel *ioc, const struct iovec *iov, size_t niov, int **fds,
                          size_t *nfds, int flags, Error **errp)
{
    FuzzPipe *pipe = FUZZ_CHANNEL(ioc)->pipe;
    size_t total = 0;
    QEMU_LOCK_GUARD(&fuzz_lock);

    while (pipe->at == pipe->in->len && !pipe->ended && !pipe->shut) {
        pipe->reading = true;
        qemu_cond_broadcast(&fuzz_changed);
        qemu_cond_wait(&fuzz_changed, &fuzz_lock);
    }
    pipe->reading = false;
    for (size_t i = 0; i < niov && !pipe->shut && pipe->at < pipe->in->len; i++) {
        size_t n = MIN(iov[i].iov_len, pipe->in->len - pipe->at);

        memcpy(iov[i].iov_base, pipe->in->data + pipe->at, n);
        pipe->at += n;
        total += n;
    }
    return total;
}

static ssize_t fuzz_writev(QIOChannel *ioc, const struct iovec *iov, size_t niov, int *fds,
                           size_t nfds, int flags, Error **errp)
{
    FuzzPipe *pipe = FUZZ_CHANNEL(ioc)->pipe;
    size_t total = 0;
    QEMU_LOCK_GUARD(&fuzz_lock);

    if (pipe->shut) {
        error_setg(errp, "shut down");
        return -1;
    }
    for (size_t i = 0; i < niov; i++) {
        g_byte_array_append(pipe->out, iov[i].iov_base, iov[i].iov_len);
        total += iov[i].iov_len;
    }
    return total;
}

static int fuzz_shutdown(QIOChannel *ioc, QIOChannelShutdown how, Error **errp)
{
    QEMU_LOCK_GUARD(&fuzz_lock);

    FUZZ_CHANNEL(ioc)->pipe->shut = true;
    qemu_cond_broadcast(&fuzz_changed);
    return 0;
}

static int fuzz_set_blocking(QIOChannel *ioc, bool enabled, Error **errp)
{
    return 0;
}

static int fuzz_close(QIOChannel *ioc, Error **errp)
{
    return fuzz_shutdown(ioc, QIO_CHANNEL_SHUTDOWN_BOTH, errp);
}

static int fuzz_poll_fd(QIOChannel *ioc, GIOCondition condition)
{
    return -1;
}

static void fuzz_channel_init(Object *obj)
{
    qio_channel_set_feature(QIO_CHANNEL(obj), QIO_CHANNEL_FEATURE_SHUTDOWN);
}

static void fuzz_channel_finalize(Object *obj)
{
    QEMU_LOCK_GUARD(&fuzz_lock);

    FUZZ_CHANNEL(obj)->pipe->gone = true;
    qemu_cond_broadcast(&fuzz_changed);
}

static void fuzz_channel_class_init(ObjectClass *klass, void *class_data)
{
    QIOChannelClass *ioc_klass = QIO_CHANNEL_CLASS(klass);

    ioc_klass->io_readv = fuzz_readv;
    ioc_klass->io_writev = fuzz_writev;
    ioc_klass->io_shutdown = fuzz_shutdown;
    ioc_klass->io_set_blocking = fuzz_set_blocking;
    ioc_klass->io_close = fuzz_close;
    ioc_klass->io_poll_fd = fuzz_poll_fd;
}

static const TypeInfo fuzz_channel_info = {
    .name = TYPE_FUZZ_CHANNEL,
    .parent = TYPE_QIO_CHANNEL,
    .instance_size = sizeof(FuzzChannel),
    .instance_init = fuzz_channel_init,
    .instance_finalize = fuzz_channel_finalize,
    .class_init = fuzz_channel_class_init,
};

static inline FuzzPipe *fuzz_pipe_new(void)
{
    FuzzPipe *pipe = g_new0(FuzzPipe, 1);

    pipe->in = g_byte_array_new();
    pipe->out = g_byte_array_new();
    return pipe;
}

/* The program's end; once. */
static inline QIOChannel *fuzz_pipe_channel(FuzzPipe *pipe)
{
    FuzzChannel *ch = FUZZ_CHANNEL(object_new(TYPE_FUZZ_CHANNEL));

    ch->pipe = pipe;
    return QIO_CHANNEL(ch);
}

static inline void fuzz_pipe_put(FuzzPipe *pipe, const void *data, size_t size)
{
    QEMU_LOCK_GUARD(&fuzz_lock);

    if (size) {
        g_byte_array_append(pipe->in, data, size);
    }
    qemu_cond_broadcast(&fuzz_changed);
}

static inline void fuzz_pipe_end(FuzzPipe *pipe)
{
    QEMU_LOCK_GUARD(&fuzz_lock);

    pipe->ended = true;
    qemu_cond_broadcast(&fuzz_changed);
}

/* All that was put is read and acted on, or will never be read. */
static inline bool fuzz_pipe_idle(FuzzPipe *pipe)
{
    QEMU_LOCK_GUARD(&fuzz_lock);

    return pipe->gone || (pipe->reading && pipe->at == pipe->in->len);
}

/* What the program has written so far is of no interest. */
static inline void fuzz_pipe_forget_out(FuzzPipe *pipe)
{
    QEMU_LOCK_GUARD(&fuzz_lock);

    g_byte_array_set_size(pipe->out, 0);
}

static inline void fuzz_pipe_free(FuzzPipe *pipe)
{
    if (pipe) {
        if (!pipe->gone) {
            abort();            /* a channel was not given back */
        }
        g_byte_array_unref(pipe->in);
        g_byte_array_unref(pipe->out);
        g_free(pipe);
    }
}

/*
 * Until something happens to a pipe, or fuzz_wake() was called; but not for long, for not all that
 * is waited for does either.
 */
static inline void fuzz_wait(void)
{
    QEMU_LOCK_GUARD(&fuzz_lock);

    qemu_cond_timedwait(&fuzz_changed, &fuzz_lock, 1);
}

static inline void fuzz_wake(void)
{
    QEMU_LOCK_GUARD(&fuzz_lock);

    qemu_cond_broadcast(&fuzz_changed);
}

/* --- parts --- */

/* Before each part but the first; a letter that says what it is follows. */
#define FUZZ_MARK "\xf5\x5a\x23"
#define FUZZ_MARK_LEN 3

typedef struct FuzzPart {
    char kind;
    const uint8_t *data;
    size_t size;
} FuzzPart;

/* The first part of [@data, @data+@size), which becomes the rest. @kind: of one without a mark. */
static inline FuzzPart fuzz_next_part(const uint8_t **data, size_t *size, char kind)
{
    FuzzPart part = {kind, *data, *size};
    const uint8_t *mark;

    if (*size >= FUZZ_MARK_LEN && !memcmp(*data, FUZZ_MARK, FUZZ_MARK_LEN)) {
        size_t n = MIN(*size, FUZZ_MARK_LEN + 1);

        part.kind = n > FUZZ_MARK_LEN ? (*data)[FUZZ_MARK_LEN] : kind;
        part.data += n;
        part.size -= n;
    }
    mark = part.size ? memmem(part.data, part.size, FUZZ_MARK, FUZZ_MARK_LEN) : NULL;
    if (mark) {
        part.size = mark - part.data;
    }
    *size -= part.data + part.size - *data;
    *data = part.data + part.size;
    return part;
}

/* --- the machine --- */

/* Beside fuzz_machine()'s: 128 KiB in pages of 16 KiB, as hugetlbfs has them. */
#define FUZZ_LARGE_SIZE (128 * KiB)
#define FUZZ_LARGE_PAGE (16 * KiB)

/* Returns the large one. */
static inline RAMBlock *fuzz_postcopy_machine(void)
{
    RAMBlock *rb;
    void *p = mmap(NULL, FUZZ_LARGE_SIZE, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1,
                   0);

    g_assert(p != MAP_FAILED);
    qemu_mutex_init(&fuzz_lock);
    qemu_cond_init(&fuzz_changed);
    fuzz_machine();
    type_register_static(&fuzz_channel_info);
    rb = qemu_ram_alloc_from_ptr(FUZZ_LARGE_SIZE, p, NULL, &error_abort);
    rb->page_size = FUZZ_LARGE_PAGE;
    qemu_ram_set_idstr(rb, "large", NULL);
    qemu_ram_set_migratable(rb);
    return rb;
}

#endif
