/*
 * TLS channels: see io/channel-tls.h.
 *
 * Records are as large as they can be, whatever the pieces are that the content comes in, and
 * several of them go to the master in one write; it is read from in large portions too. The
 * content of a record is encrypted where it lies and decrypted content copied to where it belongs
 * once.
 *
 * On a channel that does not block, records go out one by one, so that what was accepted was sent.
 *
 * A session lets one thread in at a time. So nobody waits for the master in there: what is written
 * goes to a buffer that has the room, what is read comes from one that was filled before. And a
 * record is never left half way in the session: a change of keys that comes in between spoils it.
 *
 * SPDX-License-Identifier: GPL-2.0-or-later
 */
#include "qemu/osdep.h"
#include "crypto/tlskernel.h"
#include "io/channel-socket.h"
#include "io/channel-tls.h"
#include "qapi/error.h"
#include "qemu/atomic.h"
#include "qemu/iov.h"
#include "qemu/lockable.h"
#include "qemu/module.h"
#include "qemu/trace.h"
#include <poll.h>

TRACE_EVENT(qio_channel_tls_handshake_complete);
TRACE_EVENT(qio_channel_tls_kernel);

#define OUT_SIZE (128 * 1024)
#define IN_SIZE (128 * 1024)
/* What a record takes at most, and a change of keys before it: no record is left half way. */
#define RECORD_ROOM (20 * 1024)
/* How long a failed writer waits for the alert that tells why, ms. */
#define ALERT_WAIT_MS 500

/* --- between session and master --- */

/* Sends all that is in the buffer: 0, -1, or ERR_BLOCK where the channel does not block. */
static int flush(QIOChannelTLS *tioc)
{
    while (tioc->out_pos < tioc->out_used) {
        ssize_t ret = qio_channel_write(tioc->master, (char *)tioc->out + tioc->out_pos,
                                        tioc->out_used - tioc->out_pos,
                                        tioc->push_err ? NULL : &tioc->push_err);

        if (ret == QIO_CHANNEL_ERR_BLOCK && !tioc->blocking) {
            return ret;
        }
        if (ret == QIO_CHANNEL_ERR_BLOCK) {
            qio_channel_wait(tioc->master, G_IO_OUT);
        } else if (ret < 0) {
            tioc->out_pos = tioc->out_used = 0;
            return -1;
        } else {
            tioc->out_pos += ret;
        }
    }
    tioc->out_pos = tioc->out_used = 0;
    return 0;
}

static ssize_t push_at_once(QIOChannelTLS *tioc, const struct iovec *iov, size_t niov)
{
    ssize_t ret = qio_channel_writev(tioc->master, iov, niov,
                                     tioc->push_err ? NULL : &tioc->push_err);

    if (ret == QIO_CHANNEL_ERR_BLOCK) {
        errno = EAGAIN;
        return -1;
    }
    if (ret < 0) {
        errno = EIO;
    }
    return ret;
}

static ssize_t push(const struct iovec *iov, size_t niov, void *opaque)
{
    QIOChannelTLS *tioc = opaque;
    size_t total = 0;

    if (tioc->kernel_sends) {
        /* Some message of the protocol. It would go out encrypted twice. */
        if (!tioc->push_err) {
            error_setg(&tioc->push_err, "the kernel sends on this connection");
        }
        errno = EIO;
        return -1;
    }
    if (tioc->handshaking) {
        return push_at_once(tioc, iov, niov);
    }
    for (size_t i = 0; i < niov; i++) {
        total += iov[i].iov_len;
    }
    if (!tioc->out) {
        tioc->out = g_malloc(OUT_SIZE);
    }
    if (tioc->out_used + total > OUT_SIZE) {
        errno = EAGAIN; /* there was room for more than one record */
        return -1;
    }
    for (size_t i = 0; i < niov; i++) {
        memcpy(tioc->out + tioc->out_used, iov[i].iov_base, iov[i].iov_len);
        tioc->out_used += iov[i].iov_len;
    }
    return total;
}

static ssize_t starve(QIOChannelTLS *tioc)
{
    tioc->starved = true;
    errno = EAGAIN;
    return -1;
}

static bool master_has_data(QIOChannelTLS *tioc)
{
    struct pollfd pfd = {
        .fd = QIO_CHANNEL_GET_CLASS(tioc->master)->io_poll_fd(tioc->master, G_IO_IN),
        .events = POLLIN,
    };

    return pfd.fd >= 0 && RETRY_ON_EINTR(poll(&pfd, 1, 0)) > 0;
}

/* Records from the master, into the empty buffer. False: there are none now. */
static bool fill(QIOChannelTLS *tioc)
{
    ssize_t ret;

    if (tioc->do_not_wait || (tioc->probing && !master_has_data(tioc))) {
        return false;
    }
    if (!tioc->in) {
        tioc->in = g_malloc(IN_SIZE);
    }
    ret = qio_channel_read(tioc->master, (char *)tioc->in, IN_SIZE,
                           tioc->pull_err ? NULL : &tioc->pull_err);
    if (ret == QIO_CHANNEL_ERR_BLOCK) {
        return false;
    }
    tioc->master_ended = ret <= 0;
    tioc->in_pos = 0;
    tioc->in_end = MAX(ret, 0);
    return true;
}

static ssize_t pull(void *buf, size_t len, void *opaque)
{
    QIOChannelTLS *tioc = opaque;
    size_t n;

    if (tioc->in_pos == tioc->in_end && !tioc->master_ended &&
        (!tioc->handshaking || !fill(tioc))) {
        return starve(tioc);
    }
    if (tioc->in_pos == tioc->in_end) {
        errno = EIO;
        return tioc->pull_err ? -1 : 0;
    }
    n = MIN(len, tioc->in_end - tioc->in_pos);
    memcpy(buf, tioc->in + tioc->in_pos, n);
    tioc->in_pos += n;
    return n;
}

/* The reason that the master gave is better than "error in the push function". */
static void take_reason(Error **reason, const char *what, Error **errp)
{
    if (*reason) {
        if (errp) {
            error_free(*errp);
            *errp = NULL;
        }
        error_propagate_prepend(errp, *reason, "%s: ", what);
        *reason = NULL;
    }
}

/* --- reading --- */

/* Has content in plain. 1, or what a read returns. Under read_lock. */
static ssize_t next_record(QIOChannelTLS *tioc, Error **errp)
{
    Error *err = NULL;
    ssize_t ret;

    do {
        tioc->starved = false;
        ret = qcrypto_tls_session_read(tioc->session, &tioc->plain, &err);
        /* A message of the protocol itself may have come instead of content. */
    } while (ret == QCRYPTO_TLS_SESSION_ERR_BLOCK && (!tioc->starved || fill(tioc)));
    if (ret > 0) {
        tioc->plain_len = ret;
        return 1;
    }
    if (ret == QCRYPTO_TLS_SESSION_ERR_BLOCK) {
        return QIO_CHANNEL_ERR_BLOCK;
    }
    if (ret == QCRYPTO_TLS_SESSION_PREMATURE) {
        tioc->premature = true;
    } else if (ret < 0) {
        take_reason(&tioc->pull_err, "Cannot read from TLS channel", &err);
        error_propagate(errp, err);
    }
    return ret < 0 ? -1 : 0;
}

static ssize_t at_end(QIOChannelTLS *tioc, int flags, Error **errp)
{
    if (tioc->read_err) {
        error_propagate(errp, error_copy(tioc->read_err));
        return -1;
    }
    if (flags & QIO_CHANNEL_READ_FLAG_RELAXED_EOF || qatomic_read(&tioc->shut)) {
        return 0;
    }
    error_setg(errp,
               "Cannot read from TLS channel: the peer closed the connection in the middle of "
               "the stream, without saying good-bye");
    errno = ECONNRESET;
    return -1;
}

/*
 * Reads no more than has come, and leaves all of it for the next read. Under read_lock.
 *
 * What is looked at may come in several records, of which the session keeps only the latest.
 */
static ssize_t peek(QIOChannelTLS *tioc, const struct iovec *iov, size_t niov, int flags,
                    Error **errp)
{
    size_t want = iov_size(iov, niov);
    ssize_t ret = 1;

    tioc->probing = true;
    while (tioc->plain_len < want && ret > 0 && !tioc->premature && !tioc->read_err) {
        GByteArray *held = g_byte_array_new();

        g_byte_array_append(held, tioc->plain, tioc->plain_len);
        tioc->plain_len = 0;
        ret = next_record(tioc, &tioc->read_err);
        g_byte_array_append(held, tioc->plain, tioc->plain_len);
        tioc->plain = held->data;
        tioc->plain_len = held->len;
        g_clear_pointer(&tioc->held, g_byte_array_unref);
        tioc->held = held;
    }
    tioc->probing = false;
    if (tioc->plain_len) {
        return iov_from_buf(iov, niov, 0, tioc->plain, MIN(want, tioc->plain_len));
    }
    return tioc->premature || tioc->read_err ? at_end(tioc, flags, errp) : ret;
}

static ssize_t tls_readv(QIOChannel *ioc, const struct iovec *iov, size_t niov, int **fds,
                         size_t *nfds, int flags, Error **errp)
{
    QIOChannelTLS *tioc = QIO_CHANNEL_TLS(ioc);
    size_t total = 0, offset = 0;
    g_autoptr(GMutexLocker) locker = g_mutex_locker_new(&tioc->read_lock);

    if (flags & QIO_CHANNEL_READ_FLAG_MSG_PEEK) {
        return peek(tioc, iov, niov, flags, errp);
    }
    while (niov) {
        size_t n;

        if (!tioc->plain_len) {
            ssize_t ret = -1;

            if (tioc->premature || tioc->read_err) {
                return total ? (ssize_t)total : at_end(tioc, flags, errp);
            }
            if (total && tioc->in_pos == tioc->in_end) {
                break;
            }
            tioc->do_not_wait = total > 0;
            ret = next_record(tioc, &tioc->read_err);
            tioc->do_not_wait = false;
            if (ret == -1) {
                continue;       /* to its end */
            }
            if (ret <= 0) {
                return total ? (ssize_t)total : ret;
            }
        }
        n = MIN(tioc->plain_len, iov->iov_len - offset);
        memcpy((char *)iov->iov_base + offset, tioc->plain, n);
        tioc->plain += n;
        tioc->plain_len -= n;
        offset += n;
        total += n;
        if (offset == iov->iov_len) {
            iov++;
            niov--;
            offset = 0;
        }
    }
    return total;
}

static bool tls_pending(QIOChannel *ioc)
{
    QIOChannelTLS *tioc = QIO_CHANNEL_TLS(ioc);

    return tioc->plain_len || tioc->in_pos != tioc->in_end || tioc->premature || tioc->read_err;
}

/* --- writing --- */

/*
 * The connection broke, and the peer may have said why before: its alert lies in the socket, or the
 * reading thread is about to find it.
 */
static void find_alert(QIOChannelTLS *tioc, Error **errp)
{
    const char *alert = NULL;

    for (int ms = 0; ms < ALERT_WAIT_MS && !alert && !qatomic_read(&tioc->shut); ms += 10) {
        if (g_mutex_trylock(&tioc->read_lock)) {
            if (!tioc->plain_len && !tioc->read_err && !tioc->premature) {
                tioc->probing = true;
                next_record(tioc, &tioc->read_err);
                tioc->probing = false;
            }
            g_mutex_unlock(&tioc->read_lock);
            alert = qcrypto_tls_session_alert(tioc->session);
            break;
        }
        alert = qcrypto_tls_session_alert(tioc->session);
        if (!alert) {
            g_usleep(10 * 1000);
        }
    }
    if (alert && errp) {
        error_free(*errp);
        *errp = NULL;
        error_setg(errp, "Cannot write to TLS channel: the peer refused it with TLS alert '%s'",
                   alert);
    }
}

static ssize_t write_failed(QIOChannelTLS *tioc, Error *err, Error **errp)
{
    take_reason(&tioc->push_err, "Cannot write to TLS channel", &err);
    find_alert(tioc, &err);
    error_propagate(errp, err);
    return -1;
}

/* What goes into the next record: contiguous, at most @max bytes. */
static const void *gather(QIOChannelTLS *tioc, const struct iovec *iov, size_t niov, size_t offset,
                          size_t max, size_t *len)
{
    const char *first = (const char *)iov->iov_base + offset;
    size_t n = iov->iov_len - offset;
    size_t used = 0;

    if ((n >= max || niov == 1) && qcrypto_tls_session_may_borrow(tioc->session)) {
        *len = MIN(n, max);
        return first;
    }
    if (!tioc->gathered) {
        tioc->gathered = g_malloc(max);
    }
    for (; niov && used < max; iov++, niov--, offset = 0) {
        n = MIN(iov->iov_len - offset, max - used);
        memcpy(tioc->gathered + used, (const char *)iov->iov_base + offset, n);
        used += n;
    }
    *len = used;
    return tioc->gathered;
}

/* The kernel makes records of it. */
static ssize_t write_to_kernel(QIOChannelTLS *tioc, const struct iovec *iov, size_t niov,
                               Error **errp)
{
    ssize_t ret = qio_channel_writev(tioc->master, iov, niov,
                                     tioc->push_err ? NULL : &tioc->push_err);

    return ret == -1 ? write_failed(tioc, NULL, errp) : ret;
}

static ssize_t tls_writev(QIOChannel *ioc, const struct iovec *iov, size_t niov, int *fds,
                          size_t nfds, int flags, Error **errp)
{
    QIOChannelTLS *tioc = QIO_CHANNEL_TLS(ioc);
    size_t max = qcrypto_tls_session_record_size(tioc->session);
    size_t total = 0, offset = 0;
    Error *err = NULL;
    int done;

    if (tioc->kernel_sends) {
        return write_to_kernel(tioc, iov, niov, errp);
    }
    done = flush(tioc);
    if (done < 0) {
        return done == -1 ? write_failed(tioc, NULL, errp) : done;
    }
    tioc->credit += tioc->unsent;
    tioc->unsent = 0;
    for (;;) {
        const void *record;
        size_t len;
        ssize_t ret;

        while (niov && (offset >= iov->iov_len || tioc->credit)) {
            size_t n = MIN(tioc->credit, iov->iov_len - MIN(offset, iov->iov_len));

            tioc->credit -= n;
            total += n;
            offset += n;
            if (offset >= iov->iov_len) {
                offset -= iov->iov_len;
                iov++;
                niov--;
            }
        }
        if (!niov) {
            break;
        }
        if (tioc->out_used > OUT_SIZE - RECORD_ROOM && flush(tioc) < 0) {
            return write_failed(tioc, NULL, errp);
        }
        record = gather(tioc, iov, niov, offset, max, &len);
        ret = qcrypto_tls_session_write(tioc->session, record, len, &err);
        if (ret == QCRYPTO_TLS_SESSION_ERR_BLOCK) {
            error_setg(&err, "Cannot write to TLS channel: a record is larger than it may be");
        }
        if (ret < 0) {
            return write_failed(tioc, err, errp);
        }
        if (!tioc->blocking) {
            done = flush(tioc);
            if (done == -1) {
                return write_failed(tioc, NULL, errp);
            }
            if (done == QIO_CHANNEL_ERR_BLOCK) {
                tioc->unsent = ret;
                return total ? (ssize_t)total : QIO_CHANNEL_ERR_BLOCK;
            }
        }
        tioc->credit = ret;
    }
    return flush(tioc) < 0 ? write_failed(tioc, NULL, errp) : (ssize_t)total;
}

static int flush_all(QIOChannelTLS *tioc)
{
    int ret;

    while ((ret = flush(tioc)) == QIO_CHANNEL_ERR_BLOCK) {
        qio_channel_wait(tioc->master, G_IO_OUT);
    }
    return ret;
}

int qio_channel_tls_bye(QIOChannelTLS *tioc, Error **errp)
{
    int ret;

    if (tioc->kernel_sends) {
        ret = qcrypto_tls_kernel_bye(QIO_CHANNEL_SOCKET(tioc->master)->fd);
        if (ret < 0) {
            error_setg_errno(errp, -ret, "Cannot say good-bye on TLS channel");
        }
        return ret < 0 ? -1 : 0;
    }
    ret = flush_all(tioc);
    if (ret == 0) {
        ret = qcrypto_tls_session_bye(tioc->session, errp);
        if (ret == QCRYPTO_TLS_SESSION_ERR_BLOCK) {
            error_setg(errp, "Cannot say good-bye on TLS channel: there is no room for it");
        }
        ret = ret < 0 ? -1 : flush_all(tioc);
    }
    if (ret < 0) {
        take_reason(&tioc->push_err, "Cannot say good-bye on TLS channel", errp);
    }
    return ret;
}

/* --- the handshake --- */

static void handshake_step(QIOTask *task, GMainContext *context);

typedef struct HandshakeWait {
    QIOTask *task;
    GMainContext *context;
} HandshakeWait;

static gboolean handshake_ready(QIOChannel *master, GIOCondition condition, gpointer opaque)
{
    HandshakeWait wait = *(HandshakeWait *)opaque;

    g_free(opaque);
    handshake_step(wait.task, wait.context);
    if (wait.context) {
        g_main_context_unref(wait.context);
    }
    return G_SOURCE_REMOVE;
}

/* Where much is going to be written the kernel may do it, if it can. */
static void offer_to_kernel(QIOChannelTLS *tioc)
{
    QIOChannelSocket *sioc = (QIOChannelSocket *)object_dynamic_cast(OBJECT(tioc->master),
                                                                     TYPE_QIO_CHANNEL_SOCKET);

    if (sioc && sioc->bulk && sioc->local_addr.ss_family != AF_UNIX && tioc->blocking) {
        tioc->kernel_sends = qcrypto_tls_kernel_start(tioc->session, sioc->fd);
    }
    trace(qio_channel_tls_kernel, "sending is done by %s",
          tioc->kernel_sends ? "the kernel" : "GnuTLS");
}

static void handshake_end(QIOTask *task, QIOChannelTLS *tioc, Error *err)
{
    Error *local = NULL;

    tioc->handshaking = false;
    if (!err) {
        offer_to_kernel(tioc);
    }
    if (!err && qio_channel_set_blocking(tioc->master, tioc->blocking, &local) < 0) {
        err = local;
    }
    if (err) {
        qio_task_set_error(task, err);
    }
    qio_task_complete(task);
}

static void handshake_step(QIOTask *task, GMainContext *context)
{
    QIOChannelTLS *tioc = QIO_CHANNEL_TLS(qio_task_get_source(task));
    HandshakeWait *wait;
    Error *err = NULL;
    QCryptoTLSHandshake status;

    do {
        tioc->starved = false;
        status = qcrypto_tls_session_handshake(tioc->session, &err);
        /* It may want to go on with what has been read from the master already. */
    } while (status == QCRYPTO_TLS_HANDSHAKE_RECVING && !tioc->starved);
    switch (status) {
    case QCRYPTO_TLS_HANDSHAKE_COMPLETE:
        if (qcrypto_tls_session_check_credentials(tioc->session, &err)) {
            g_autofree char *text = qcrypto_tls_session_describe(tioc->session);

            trace(qio_channel_tls_handshake_complete, "%s peer '%s'", text,
                  qcrypto_tls_session_peer_name(tioc->session) ?: "");
        }
        handshake_end(task, tioc, err);
        return;
    case QCRYPTO_TLS_HANDSHAKE_ERROR:
        take_reason(&tioc->pull_err, "TLS handshake failed", &err);
        take_reason(&tioc->push_err, "TLS handshake failed", &err);
        if (qatomic_read(&tioc->shut)) {
            error_free(err);
            err = NULL;
            error_setg(&err, "TLS handshake failed: the channel was shut down");
        }
        handshake_end(task, tioc, err);
        return;
    default:
        break;
    }
    wait = g_new(HandshakeWait, 1);
    *wait = (HandshakeWait){ task, context ? g_main_context_ref(context) : NULL };
    qio_channel_add_watch_full(tioc->master,
                               status == QCRYPTO_TLS_HANDSHAKE_SENDING ? G_IO_OUT : G_IO_IN,
                               handshake_ready, wait, NULL, context);
}

void qio_channel_tls_handshake(QIOChannelTLS *tioc, QIOTaskFunc func, gpointer opaque,
                               GDestroyNotify destroy, GMainContext *context)
{
    QIOTask *task = qio_task_new(OBJECT(tioc), func, opaque, destroy);
    Error *err = NULL;

    tioc->handshaking = true;
    if (qio_channel_set_blocking(tioc->master, false, &err) < 0) {
        handshake_end(task, tioc, err);
        return;
    }
    handshake_step(task, context);
}

/* --- control --- */

static int tls_set_blocking(QIOChannel *ioc, bool enabled, Error **errp)
{
    QIOChannelTLS *tioc = QIO_CHANNEL_TLS(ioc);

    tioc->blocking = enabled;
    /* During a handshake the master does not block; afterwards it does as was said here. */
    return tioc->handshaking ? 0 : qio_channel_set_blocking(tioc->master, enabled, errp);
}

static int tls_shutdown(QIOChannel *ioc, QIOChannelShutdown how, Error **errp)
{
    QIOChannelTLS *tioc = QIO_CHANNEL_TLS(ioc);

    qatomic_set(&tioc->shut, true);
    return qio_channel_shutdown(tioc->master, how, errp);
}

static int tls_close(QIOChannel *ioc, Error **errp)
{
    return qio_channel_close(QIO_CHANNEL_TLS(ioc)->master, errp);
}

static void tls_set_cork(QIOChannel *ioc, bool enabled)
{
    qio_channel_set_cork(QIO_CHANNEL_TLS(ioc)->master, enabled);
}

static void tls_bound_send_queue(QIOChannel *ioc, size_t bytes)
{
    qio_channel_bound_send_queue(QIO_CHANNEL_TLS(ioc)->master, bytes);
}

static void tls_bound_receive_queue(QIOChannel *ioc, size_t bytes, uint64_t bytes_per_second)
{
    qio_channel_bound_receive_queue(QIO_CHANNEL_TLS(ioc)->master, bytes, bytes_per_second);
}

static void tls_set_delay(QIOChannel *ioc, bool enabled)
{
    qio_channel_set_delay(QIO_CHANNEL_TLS(ioc)->master, enabled);
}

static int tls_poll_fd(QIOChannel *ioc, GIOCondition condition)
{
    QIOChannel *master = QIO_CHANNEL_TLS(ioc)->master;

    return QIO_CHANNEL_GET_CLASS(master)->io_poll_fd(master, condition);
}

static void tls_wait(QIOChannel *ioc, GIOCondition condition)
{
    qio_channel_wait(QIO_CHANNEL_TLS(ioc)->master, condition);
}

/* --- life --- */

static QIOChannelTLS *tls_new(QIOChannel *master, QCryptoTLSCreds *creds, const char *hostname,
                              const char *authzid, Error **errp)
{
    QCryptoTLSSession *session = qcrypto_tls_session_new(creds, hostname, authzid, errp);
    QIOChannelTLS *tioc;

    if (!session) {
        return NULL;
    }
    tioc = QIO_CHANNEL_TLS(object_new(TYPE_QIO_CHANNEL_TLS));
    tioc->master = master;
    object_ref(OBJECT(master));
    tioc->session = session;
    qcrypto_tls_session_set_callbacks(session, push, pull, tioc);
    qio_channel_set_feature(QIO_CHANNEL(tioc), QIO_CHANNEL_FEATURE_READ_MSG_PEEK);
    if (qio_channel_has_feature(master, QIO_CHANNEL_FEATURE_SHUTDOWN)) {
        qio_channel_set_feature(QIO_CHANNEL(tioc), QIO_CHANNEL_FEATURE_SHUTDOWN);
    }
    return tioc;
}

QIOChannelTLS *qio_channel_tls_new_client(QIOChannel *master, QCryptoTLSCreds *creds,
                                          const char *hostname, Error **errp)
{
    return tls_new(master, creds, hostname, NULL, errp);
}

QIOChannelTLS *qio_channel_tls_new_server(QIOChannel *master, QCryptoTLSCreds *creds,
                                          const char *authzid, Error **errp)
{
    return tls_new(master, creds, NULL, authzid, errp);
}

static void tls_init(Object *obj)
{
    QIOChannelTLS *tioc = QIO_CHANNEL_TLS(obj);

    tioc->blocking = true;
    g_mutex_init(&tioc->read_lock);
}

static void tls_finalize(Object *obj)
{
    QIOChannelTLS *tioc = QIO_CHANNEL_TLS(obj);

    qcrypto_tls_session_free(tioc->session);
    if (tioc->master) {
        object_unref(OBJECT(tioc->master));
    }
    error_free(tioc->push_err);
    error_free(tioc->pull_err);
    error_free(tioc->read_err);
    g_free(tioc->out);
    g_free(tioc->in);
    g_free(tioc->gathered);
    g_clear_pointer(&tioc->held, g_byte_array_unref);
    g_mutex_clear(&tioc->read_lock);
}

static void tls_class_init(ObjectClass *klass, void *class_data)
{
    QIOChannelClass *ioc_klass = QIO_CHANNEL_CLASS(klass);

    ioc_klass->io_readv = tls_readv;
    ioc_klass->io_writev = tls_writev;
    ioc_klass->io_set_blocking = tls_set_blocking;
    ioc_klass->io_close = tls_close;
    ioc_klass->io_shutdown = tls_shutdown;
    ioc_klass->io_set_cork = tls_set_cork;
    ioc_klass->io_set_delay = tls_set_delay;
    ioc_klass->io_bound_send_queue = tls_bound_send_queue;
    ioc_klass->io_bound_receive_queue = tls_bound_receive_queue;
    ioc_klass->io_poll_fd = tls_poll_fd;
    ioc_klass->io_pending = tls_pending;
    ioc_klass->io_wait = tls_wait;
}

static const TypeInfo qio_channel_tls_info = {
    .name = TYPE_QIO_CHANNEL_TLS,
    .parent = TYPE_QIO_CHANNEL,
    .instance_size = sizeof(QIOChannelTLS),
    .instance_init = tls_init,
    .instance_finalize = tls_finalize,
    .class_init = tls_class_init,
};

static void qio_channel_tls_register_types(void)
{
    type_register_static(&qio_channel_tls_info);
}

type_init(qio_channel_tls_register_types)
