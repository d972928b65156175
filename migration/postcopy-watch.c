/*
 * Postcopy at the source: does the destination hang up while pages that it asked for are being
 * sent?
 *
 * The thread that reads the return path sends these pages itself, and waits there for as long as
 * the destination does not read, or another writer has the channel. What it does not read
 * meanwhile, this one looks at: once nothing more will come by the return path nothing is gained by
 * writing, and all channels are shut down, which ends the wait.
 *
 * It does not look while that thread reads, since then it hears the end itself, with all that was
 * said before. Both sides look at the other's mark behind setting their own, so that a page which
 * is asked for as the connection ends finds one of them awake.
 *
 * SPDX-License-Identifier: GPL-2.0-or-later
 */
#include "qemu/osdep.h"
#include <poll.h>
#include <sys/eventfd.h>
#include "postcopy.h"
#include "qapi/error.h"
#include "qemu/atomic.h"
#include "qemu/error-report.h"
#include "qemu/trace.h"

TRACE_EVENT(postcopy_hung_up);

/* The migration thread's. */
static QemuThread thread;
static bool created;
static int stop_fd = -1;

static bool is_answering; /* atomic: the return-path thread is busy with a request */

/* Of a page that must still go it is said too early; all others may be asked for again. */
static bool is_too_early(MigrationState *s)
{
    return !qatomic_mb_read(&s->postcopy.end_sent);
}

static void *watch_thread(void *opaque)
{
    MigrationState *s = opaque;
    QIOChannel *ioc = qemu_file_get_ioc(s->rp_state.from_dst_file);
    struct pollfd fds[] = {
        {.fd = stop_fd, .events = POLLIN},
        /* Of a TLS channel it is the connection below. POLLHUP and POLLERR come unasked. */
        {.fd = QIO_CHANNEL_GET_CLASS(ioc)->io_poll_fd(ioc, G_IO_IN), .events = POLLRDHUP},
    };

    RETRY_ON_EINTR(poll(fds, ARRAY_SIZE(fds), -1));
    if (!fds[0].revents && qatomic_mb_read(&is_answering) && is_too_early(s)) {
        trace(postcopy_hung_up, "while pages are sent");
        postcopy_shut_down_channels(s, POSTCOPY_HUNG_UP);
    }
    return NULL;
}

bool postcopy_watch_begin_answer(MigrationState *s, Error **errp)
{
    qatomic_mb_set(&is_answering, true);
    if (qemu_file_hung_up(s->rp_state.from_dst_file) && is_too_early(s)) {
        trace(postcopy_hung_up, "before pages are sent");
        error_setg(errp, "%s", POSTCOPY_HUNG_UP);
        return false;
    }
    return true;
}

void postcopy_watch_end_answer(void)
{
    qatomic_mb_set(&is_answering, false);
}

void postcopy_watch_start(MigrationState *s)
{
    is_answering = false;
    stop_fd = eventfd(0, EFD_CLOEXEC);
    if (stop_fd < 0) {
        warn_report("postcopy does not notice a destination that hangs up while it does not read: "
                    "%s", strerror(errno));
        return;
    }
    qemu_thread_create(&thread, "mig/src/watch", watch_thread, s, QEMU_THREAD_JOINABLE);
    created = true;
}

void postcopy_watch_stop(void)
{
    uint64_t one = 1;

    if (created) {
        if (write(stop_fd, &one, sizeof(one)) < 0) {
            abort(); /* an empty counter takes it */
        }
        qemu_thread_join(&thread);
        created = false;
        close(stop_fd);
    }
}
