/*
 * What several channel tests share: streams of known bytes, and a peer in a thread.
 *
 * SPDX-License-Identifier: GPL-2.0-or-later
 */
#ifndef TESTS_UNIT_IO_HELPERS_H
#define TESTS_UNIT_IO_HELPERS_H

#include "qemu/osdep.h"
#include "qapi/error.h"
#include "io/channel.h"

/* Byte @i of the test stream: any shift or loss shows. */
static inline uint8_t test_byte(size_t i)
{
    return (i * 2654435761u) >> 13;
}

static inline void test_fill(uint8_t *buf, size_t size)
{
    for (size_t i = 0; i < size; i++) {
        buf[i] = test_byte(i);
    }
}

static inline void test_check(const uint8_t *buf, size_t size)
{
    for (size_t i = 0; i < size; i++) {
        if (buf[i] != test_byte(i)) {
            g_error("byte %zu of %zu is wrong", i, size);
        }
    }
}

/* Cuts @buf into elements of uneven lengths, some of them empty. */
static inline struct iovec *test_iov(uint8_t *buf, size_t size, size_t *niov)
{
    GArray *a = g_array_new(FALSE, FALSE, sizeof(struct iovec));
    size_t done = 0;

    for (size_t i = 0; done < size; i++) {
        size_t want = i % 7 == 3 ? 0 : i % 5 == 1 ? 1 : 257 + i * 31 % 4096;
        struct iovec v = { buf + done, MIN(want, size - done) };

        g_array_append_val(a, v);
        done += v.iov_len;
    }
    *niov = a->len;
    return (struct iovec *)g_array_free(a, FALSE);
}

typedef struct TestWriter {
    QIOChannel *ioc;
    size_t size;
    bool shut; /* end the direction afterwards */
} TestWriter;

static inline gpointer test_writer_thread(gpointer opaque)
{
    TestWriter *w = opaque;
    g_autofree uint8_t *buf = g_malloc(w->size);
    g_autofree struct iovec *iov = NULL;
    size_t niov;

    test_fill(buf, w->size);
    iov = test_iov(buf, w->size, &niov);
    qio_channel_writev_all(w->ioc, iov, niov, &error_abort);
    if (w->shut) {
        qio_channel_shutdown(w->ioc, QIO_CHANNEL_SHUTDOWN_WRITE, &error_abort);
    }
    return NULL;
}

/* @size bytes from @src, written in a thread, to @dst, read here. */
static inline void test_transfer(QIOChannel *src, QIOChannel *dst, size_t size, bool shut)
{
    TestWriter w = { src, size, shut };
    g_autofree uint8_t *buf = g_malloc0(size);
    g_autofree struct iovec *iov = NULL;
    size_t niov;
    GThread *t = g_thread_new("writer", test_writer_thread, &w);

    iov = test_iov(buf, size, &niov);
    g_assert_cmpint(qio_channel_readv_all(dst, iov, niov, &error_abort), ==, 0);
    test_check(buf, size);
    if (shut) {
        char c;

        g_assert_cmpint(qio_channel_read_all_eof(dst, &c, 1, &error_abort), ==, 0);
    }
    g_thread_join(t);
}

/* Expects that an error was set and that its text has @what in it; frees it. */
static inline void test_expect_error(Error **err, const char *what)
{
    g_assert_nonnull(*err);
    if (!strstr(error_get_pretty(*err), what)) {
        g_error("error is '%s', expected '%s'", error_get_pretty(*err), what);
    }
    error_free(*err);
    *err = NULL;
}

#endif /* TESTS_UNIT_IO_HELPERS_H */
