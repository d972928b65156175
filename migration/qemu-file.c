/*
 * QEMUFile: see migration/qemu-file.h.
 *
 * Output: a vector of up to OUT_IOV pieces that point into the small-item buffer or straight at
 * guest memory, so that a run of pages leaves in one system call without being copied.
 * Input: a read-ahead buffer; a large item first takes what is buffered, then is read straight
 * to where it belongs, with the rest of the same system call refilling the buffer.
 *
 * SPDX-License-Identifier: GPL-2.0-or-later
 */
#include "qemu/osdep.h"
#include <poll.h>
#include "io/channel.h"
#include "migration/qemu-file.h"
#include "qapi/error.h"
#include "qemu/atomic.h"
#include "qemu/bswap.h"
#include "qemu/iov.h"
#include "qemu/lockable.h"
#include "qemu/main-loop.h"

#define OUT_BUF_SIZE (64 * 1024)
#define OUT_IOV 1024 /* the kernel's limit a call */
#define IN_BUF_SIZE (256 * 1024)

struct QEMUFile {
    QIOChannel *ioc;
    bool is_writable;

    /* Guards the error, which any thread may set. */
    QemuMutex error_lock;
    int last_error; /* also read without the lock */
    Error *last_error_obj;

    bool peer_gone; /* atomic; input only */
    bool shut_down; /* atomic */
    uint64_t transferred; /* bytes put or taken; written by the owner, read by anybody */
    Stat64 *counter; /* of bytes written out; or NULL */

    uint8_t *buf;
    size_t buf_size;
    /* Output: bytes used in buf, all of them referenced by the vector. */
    size_t out_used;
    struct iovec *iov;
    unsigned iovcnt;
    uint8_t *may_free; /* bit i: the pages of iov[i] may be given back after the write */
    /* Input: what is read and not taken is buf[in_pos, in_end). */
    size_t in_pos, in_end;
};

static QEMUFile *qemu_file_new(QIOChannel *ioc, bool is_writable)
{
    QEMUFile *f = g_new0(QEMUFile, 1);

    f->ioc = ioc;
    f->is_writable = is_writable;
    f->buf_size = is_writable ? OUT_BUF_SIZE : IN_BUF_SIZE;
    f->buf = g_malloc(f->buf_size);
    if (is_writable) {
        f->iov = g_new(struct iovec, OUT_IOV);
        f->may_free = g_new0(uint8_t, OUT_IOV);
    }
    qemu_mutex_init(&f->error_lock);
    return f;
}

QEMUFile *qemu_file_new_input(QIOChannel *ioc)
{
    return qemu_file_new(ioc, false);
}

QEMUFile *qemu_file_new_output(QIOChannel *ioc)
{
    return qemu_file_new(ioc, true);
}

QEMUFile *qemu_file_get_return_path(QEMUFile *f)
{
    object_ref(OBJECT(f->ioc));
    return qemu_file_new(f->ioc, !f->is_writable);
}

QIOChannel *qemu_file_get_ioc(QEMUFile *f)
{
    return f->ioc;
}

bool qemu_file_is_shut_down(QEMUFile *f)
{
    return qatomic_mb_read(&f->shut_down);
}

bool qemu_file_peer_gone(QEMUFile *f)
{
    return qatomic_read(&f->peer_gone);
}

bool qemu_file_hung_up(QEMUFile *f)
{
    /* Of a TLS channel it is the connection below. One without a descriptor has -1. */
    struct pollfd pfd = {
        .fd = QIO_CHANNEL_GET_CLASS(f->ioc)->io_poll_fd(f->ioc, G_IO_IN),
        .events = POLLRDHUP,
    };

    return qemu_file_peer_gone(f) ||
           (RETRY_ON_EINTR(poll(&pfd, 1, 0)) > 0 && pfd.revents & (POLLRDHUP | POLLHUP | POLLERR));
}

int qemu_file_get_error(QEMUFile *f)
{
    return qatomic_read(&f->last_error);
}

int qemu_file_get_error_obj(QEMUFile *f, Error **errp)
{
    QEMU_LOCK_GUARD(&f->error_lock);

    if (f->last_error && errp) {
        if (f->last_error_obj) {
            *errp = error_copy(f->last_error_obj);
        } else {
            error_setg_errno(errp, -f->last_error, "Channel error");
        }
    }
    return f->last_error;
}

int qemu_file_get_error_obj_any(QEMUFile *f1, QEMUFile *f2, Error **errp)
{
    int ret = f1 ? qemu_file_get_error_obj(f1, errp) : 0;

    return ret || !f2 ? ret : qemu_file_get_error_obj(f2, errp);
}

void qemu_file_set_error_obj(QEMUFile *f, int ret, Error *err)
{
    QEMU_LOCK_GUARD(&f->error_lock);

    if (!f->last_error && ret) {
        f->last_error_obj = err;
        qatomic_set(&f->last_error, ret);
    } else if (f->last_error && !f->last_error_obj && err && f->last_error == ret) {
        f->last_error_obj = err; /* a reason for the error that had none */
    } else {
        error_free(err);
    }
}

void qemu_file_set_error(QEMUFile *f, int ret)
{
    qemu_file_set_error_obj(f, ret, NULL);
}

int qemu_file_shutdown(QEMUFile *f)
{
    Error *err = NULL;

    /*
     * The error comes first: the owner, woken by the shutdown, must not mistake what it then reads
     * for a clean end of file.
     */
    qatomic_mb_set(&f->shut_down, true);
    error_setg(&err, "Channel was shut down");
    qemu_file_set_error_obj(f, -EIO, err);
    if (!qio_channel_has_feature(f->ioc, QIO_CHANNEL_FEATURE_SHUTDOWN)) {
        return -ENOSYS;
    }
    return qio_channel_shutdown(f->ioc, QIO_CHANNEL_SHUTDOWN_BOTH, NULL) < 0 ? -EIO : 0;
}

void qemu_file_set_blocking(QEMUFile *f, bool block, Error **errp)
{
    qio_channel_set_blocking(f->ioc, block, errp);
}

int qemu_fclose(QEMUFile *f)
{
    int ret;

    if (f->is_writable) {
        qemu_fflush(f);
    }
    ret = qemu_file_get_error(f);
    object_unref(OBJECT(f->ioc));
    error_free(f->last_error_obj);
    qemu_mutex_destroy(&f->error_lock);
    g_free(f->buf);
    g_free(f->iov);
    g_free(f->may_free);
    g_free(f);
    return ret;
}

uint64_t qemu_file_transferred(QEMUFile *f)
{
    return qatomic_read(&f->transferred);
}

uint64_t qemu_file_position(QEMUFile *f)
{
    return f->transferred;
}

void qemu_file_set_counter(QEMUFile *f, Stat64 *counter)
{
    f->counter = counter;
}

static void count(QEMUFile *f, size_t n)
{
    qatomic_set(&f->transferred, f->transferred + n);
}

/* Output */

/* Memory that was sent and that the guest will not need here again (release-ram). */
static void release_sent(QEMUFile *f)
{
    for (unsigned i = 0; i < f->iovcnt; i++) {
        if (!f->may_free[i]) {
            continue;
        }
        f->may_free[i] = 0;
        madvise(f->iov[i].iov_base, f->iov[i].iov_len, MADV_DONTNEED);
    }
}

int qemu_fflush(QEMUFile *f)
{
    bool written = false;

    assert(f->is_writable);
    if (f->iovcnt && !qemu_file_get_error(f)) {
        size_t bytes = iov_size(f->iov, f->iovcnt);
        Error *err = NULL;

        if (qio_channel_writev_all(f->ioc, f->iov, f->iovcnt, &err) < 0) {
            qemu_file_set_error_obj(f, -EIO, err);
        } else {
            if (f->counter) {
                stat64_add(f->counter, bytes);
            }
            release_sent(f);
            written = true;
        }
    }
    memset(f->may_free, 0, f->iovcnt);
    f->iovcnt = 0;
    f->out_used = 0;
    return written ? 0 : qemu_file_get_error(f);
}

/* Reference @size bytes at @p; adjacent pieces become one.  The vector has room for one more. */
static void add_piece(QEMUFile *f, const void *p, size_t size, bool may_free)
{
    struct iovec *last = f->iovcnt ? &f->iov[f->iovcnt - 1] : NULL;

    if (last && (uint8_t *)last->iov_base + last->iov_len == p &&
        f->may_free[f->iovcnt - 1] == may_free) {
        last->iov_len += size;
    } else {
        f->may_free[f->iovcnt] = may_free;
        f->iov[f->iovcnt++] = (struct iovec){.iov_base = (void *)p, .iov_len = size};
    }
    count(f, size);
    if (f->iovcnt == OUT_IOV) {
        qemu_fflush(f);
    }
}

uint8_t *qemu_file_claim(QEMUFile *f, size_t size)
{
    assert(f->is_writable && size <= QEMU_FILE_CLAIM_MAX);
    if (f->buf_size - f->out_used < size) {
        qemu_fflush(f);
    }
    return f->buf + f->out_used;
}

void qemu_file_commit(QEMUFile *f, size_t size)
{
    uint8_t *p = f->buf + f->out_used;

    f->out_used += size;
    add_piece(f, p, size, false);
}

void qemu_put_buffer(QEMUFile *f, const void *buf, size_t size)
{
    const uint8_t *p = buf;

    while (size && !qemu_file_get_error(f)) {
        size_t n = MIN(size, QEMU_FILE_CLAIM_MAX);

        memcpy(qemu_file_claim(f, n), p, n);
        qemu_file_commit(f, n);
        p += n;
        size -= n;
    }
}

void qemu_put_buffer_async(QEMUFile *f, const void *buf, size_t size, bool may_free)
{
    if (size && !qemu_file_get_error(f)) {
        add_piece(f, buf, size, may_free);
    }
}

void qemu_put_byte(QEMUFile *f, int v)
{
    *qemu_file_claim(f, 1) = v;
    qemu_file_commit(f, 1);
}

void qemu_put_be16(QEMUFile *f, unsigned int v)
{
    stw_be_p(qemu_file_claim(f, 2), v);
    qemu_file_commit(f, 2);
}

void qemu_put_be32(QEMUFile *f, unsigned int v)
{
    stl_be_p(qemu_file_claim(f, 4), v);
    qemu_file_commit(f, 4);
}

void qemu_put_be64(QEMUFile *f, uint64_t v)
{
    stq_be_p(qemu_file_claim(f, 8), v);
    qemu_file_commit(f, 8);
}

void qemu_put_counted_string(QEMUFile *f, const char *name)
{
    size_t len = strlen(name);

    assert(len < 256);
    qemu_put_byte(f, len);
    qemu_put_buffer(f, name, len);
}

/* Input */

/*
 * Reading can take for ever when the peer stalls.  The load thread lets go of the BQL meanwhile, in
 * the middle of a device's state too: monitors, yank and signals must get through.
 */
static ssize_t read_without_bql(QEMUFile *f, struct iovec *iov, unsigned iovcnt, Error **errp)
{
    bool unlock = bql_locked() && qio_channel_has_feature(f->ioc, QIO_CHANNEL_FEATURE_SHUTDOWN);
    ssize_t n;

    if (unlock) {
        bql_unlock();
    }
    n = qio_channel_readv(f->ioc, iov, iovcnt, errp);
    if (n == 0 || (n < 0 && errno == ECONNRESET)) {
        qatomic_set(&f->peer_gone, true);
    }
    if (unlock) {
        bql_lock();
    }
    return n;
}

/*
 * Read at least one byte into @iov (more where it comes at once).  The bytes read, 0 with the
 * file's error set.
 */
static size_t read_some(QEMUFile *f, struct iovec *iov, unsigned iovcnt)
{
    for (;;) {
        Error *err = NULL;
        ssize_t n;

        if (qemu_file_get_error(f)) {
            return 0;
        }
        n = read_without_bql(f, iov, iovcnt, &err);
        if (n > 0) {
            return n;
        }
        if (n == QIO_CHANNEL_ERR_BLOCK) {
            qio_channel_wait(f->ioc, G_IO_IN);
            continue;
        }
        if (n == 0) {
            error_setg(&err, "Unexpected end of the stream after %" PRIu64 " bytes",
                       f->transferred + (f->in_end - f->in_pos));
        }
        qemu_file_set_error_obj(f, -EIO, err);
        return 0;
    }
}

/* Have @want bytes in the buffer, if the stream has them.  What there is, up to a whole buffer. */
static size_t fill(QEMUFile *f, size_t want)
{
    assert(!f->is_writable && want <= f->buf_size);
    if (f->in_end - f->in_pos >= want) {
        return f->in_end - f->in_pos;
    }
    memmove(f->buf, f->buf + f->in_pos, f->in_end - f->in_pos);
    f->in_end -= f->in_pos;
    f->in_pos = 0;
    while (f->in_end < want) {
        struct iovec iov = {.iov_base = f->buf + f->in_end, .iov_len = f->buf_size - f->in_end};
        size_t n = read_some(f, &iov, 1);

        if (!n) {
            break;
        }
        f->in_end += n;
    }
    return f->in_end;
}

static void take(QEMUFile *f, size_t n)
{
    f->in_pos += n;
    count(f, n);
}

size_t qemu_file_buffered(QEMUFile *f, const uint8_t **buf)
{
    *buf = f->buf + f->in_pos;
    return f->in_end - f->in_pos;
}

void qemu_file_skip(QEMUFile *f, size_t size)
{
    while (size) {
        size_t n = MIN(fill(f, MIN(size, f->buf_size)), size);

        if (!n) {
            break;
        }
        take(f, n);
        size -= n;
    }
}

size_t qemu_peek_buffer(QEMUFile *f, uint8_t **buf, size_t size, size_t offset)
{
    size_t have = fill(f, offset + size);

    if (have <= offset) {
        return 0;
    }
    *buf = f->buf + f->in_pos + offset;
    return MIN(have - offset, size);
}

int qemu_peek_byte(QEMUFile *f, int offset)
{
    uint8_t *p;

    return qemu_peek_buffer(f, &p, 1, offset) ? *p : 0;
}

size_t qemu_get_buffer(QEMUFile *f, void *vbuf, size_t size)
{
    uint8_t *buf = vbuf;
    size_t done = MIN(f->in_end - f->in_pos, size);

    if (done) {
        memcpy(buf, f->buf + f->in_pos, done);
        take(f, done);
    }
    while (done < size) {
        /* The buffer is empty: the item's rest goes where it belongs, what follows ahead. */
        struct iovec iov[2] = {
            {.iov_base = buf + done, .iov_len = size - done},
            {.iov_base = f->buf, .iov_len = f->buf_size},
        };
        size_t n = read_some(f, iov, 2), mine = MIN(n, size - done);

        if (!n) {
            memset(buf + done, 0, size - done);
            return done;
        }
        f->in_pos = 0;
        f->in_end = n - mine;
        done += mine;
        count(f, mine);
    }
    return size;
}

/* A small item, in one piece at the returned address; zeroes at the end of the stream. */
static const uint8_t *get_small(QEMUFile *f, size_t size)
{
    static const uint8_t zeroes[8];
    const uint8_t *p;

    if (unlikely(fill(f, size) < size)) {
        take(f, f->in_end - f->in_pos);
        return zeroes;
    }
    p = f->buf + f->in_pos;
    take(f, size);
    return p;
}

int qemu_get_byte(QEMUFile *f)
{
    return *get_small(f, 1);
}

unsigned int qemu_get_be16(QEMUFile *f)
{
    return lduw_be_p(get_small(f, 2));
}

unsigned int qemu_get_be32(QEMUFile *f)
{
    return ldl_be_p(get_small(f, 4));
}

uint64_t qemu_get_be64(QEMUFile *f)
{
    return ldq_be_p(get_small(f, 8));
}

size_t qemu_get_counted_string(QEMUFile *f, char buf[256])
{
    size_t len = qemu_get_byte(f);
    size_t got = qemu_get_buffer(f, buf, len);

    buf[got] = 0;
    if (got != len) {
        return 0;
    }
    if (memchr(buf, 0, len)) {
        /* Compared as C strings, it would pass for another name. */
        Error *err = NULL;

        error_setg(&err, "a name of %zu bytes has a zero byte in it", len);
        qemu_file_set_error_obj(f, -EINVAL, err);
        return 0;
    }
    return len;
}
