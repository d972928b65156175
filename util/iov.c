/*
 * Scatter-gather vectors: see qemu/iov.h.
 *
 * SPDX-License-Identifier: GPL-2.0-or-later
 */
#include "qemu/osdep.h"
#include "qemu/iov.h"

size_t iov_size(const struct iovec *iov, unsigned int cnt)
{
    size_t len = 0;

    for (unsigned int i = 0; i < cnt; i++) {
        len += iov[i].iov_len;
    }
    return len;
}

/* Call @fn for the pieces of [offset, offset+bytes); returns the bytes covered. */
typedef void PieceFunc(void *piece, size_t done, size_t len, void *opaque);

static size_t iov_walk(const struct iovec *iov, unsigned int cnt, size_t offset, size_t bytes,
                       PieceFunc *fn, void *opaque)
{
    size_t done = 0;

    for (unsigned int i = 0; i < cnt && done < bytes; i++) {
        size_t len;

        if (offset >= iov[i].iov_len) {
            offset -= iov[i].iov_len;
            continue;
        }
        len = MIN(iov[i].iov_len - offset, bytes - done);
        fn((char *)iov[i].iov_base + offset, done, len, opaque);
        done += len;
        offset = 0;
    }
    return done;
}

static void piece_from_buf(void *piece, size_t done, size_t len, void *opaque)
{
    memcpy(piece, (const char *)opaque + done, len);
}

static void piece_to_buf(void *piece, size_t done, size_t len, void *opaque)
{
    memcpy((char *)opaque + done, piece, len);
}

static void piece_memset(void *piece, size_t done, size_t len, void *opaque)
{
    memset(piece, *(int *)opaque, len);
}

size_t iov_from_buf(const struct iovec *iov, unsigned int cnt, size_t offset, const void *buf,
                    size_t bytes)
{
    return iov_walk(iov, cnt, offset, bytes, piece_from_buf, (void *)buf);
}

size_t iov_to_buf(const struct iovec *iov, unsigned int cnt, size_t offset, void *buf,
                  size_t bytes)
{
    return iov_walk(iov, cnt, offset, bytes, piece_to_buf, buf);
}

size_t iov_memset(const struct iovec *iov, unsigned int cnt, size_t offset, int fill,
                  size_t bytes)
{
    return iov_walk(iov, cnt, offset, bytes, piece_memset, &fill);
}

typedef struct CopyState {
    struct iovec *dst;
    unsigned int cnt, max;
} CopyState;

static void piece_copy(void *piece, size_t done, size_t len, void *opaque)
{
    CopyState *c = opaque;

    if (c->cnt < c->max) {
        c->dst[c->cnt++] = (struct iovec){.iov_base = piece, .iov_len = len};
    }
}

unsigned int iov_copy(struct iovec *dst, unsigned int dst_cnt, const struct iovec *iov,
                      unsigned int cnt, size_t offset, size_t bytes)
{
    CopyState c = {.dst = dst, .max = dst_cnt};

    iov_walk(iov, cnt, offset, bytes, piece_copy, &c);
    return c.cnt;
}

size_t iov_discard_front(struct iovec **iov, unsigned int *cnt, size_t bytes)
{
    size_t left = bytes;

    while (*cnt && left >= (*iov)->iov_len) {
        left -= (*iov)->iov_len;
        (*iov)++;
        (*cnt)--;
    }
    if (*cnt && left) {
        (*iov)->iov_base = (char *)(*iov)->iov_base + left;
        (*iov)->iov_len -= left;
        left = 0;
    }
    return bytes - left;
}

size_t iov_discard_back(struct iovec *iov, unsigned int *cnt, size_t bytes)
{
    size_t left = bytes;

    while (*cnt && left >= iov[*cnt - 1].iov_len) {
        left -= iov[--*cnt].iov_len;
    }
    if (*cnt && left) {
        iov[*cnt - 1].iov_len -= left;
        left = 0;
    }
    return bytes - left;
}
