/*
 * Multifd's zlib compression: one deflate stream per channel, flushed to a byte boundary at the end
 * of each packet, so that a packet can be inflated when it has come.
 *
 * SPDX-License-Identifier: GPL-2.0-or-later
 */
#include "qemu/osdep.h"
#include <zlib.h>
#include "multifd.h"
#include "options.h"
#include "qapi/error.h"

static void *encoder_new(Error **errp)
{
    z_stream *zs = g_new0(z_stream, 1);
    int ret = deflateInit(zs, migrate_multifd_zlib_level());

    if (ret != Z_OK) {
        error_setg(errp, "zlib cannot be set up: %s", zError(ret));
        g_free(zs);
        return NULL;
    }
    return zs;
}

static ssize_t encode(void *encoder, const uint8_t *in, size_t len, uint8_t *out, size_t room,
                      Error **errp)
{
    z_stream *zs = encoder;
    int ret;

    zs->next_in = (Bytef *)in;
    zs->avail_in = len;
    zs->next_out = out;
    zs->avail_out = room;
    ret = deflate(zs, Z_SYNC_FLUSH);
    if (ret != Z_OK || zs->avail_in || !zs->avail_out) {
        error_setg(errp, "zlib cannot compress %zu bytes to less than %zu: %s", len, room,
                   zError(ret));
        return -1;
    }
    return room - zs->avail_out;
}

static void encoder_free(void *encoder)
{
    deflateEnd(encoder);
    g_free(encoder);
}

static void *decoder_new(Error **errp)
{
    z_stream *zs = g_new0(z_stream, 1);
    int ret = inflateInit(zs);

    if (ret != Z_OK) {
        error_setg(errp, "zlib cannot be set up: %s", zError(ret));
        g_free(zs);
        return NULL;
    }
    return zs;
}

/* Inflate until @zs has no room left, or no input. */
static bool inflate_some(z_stream *zs, Error **errp)
{
    int ret = inflate(zs, Z_SYNC_FLUSH);

    /* A call that could do nothing is what the end of input or room looks like. */
    if (ret == Z_OK || ret == Z_BUF_ERROR) {
        return true;
    }
    error_setg(errp, "zlib: %s", zs->msg ? zs->msg : zError(ret));
    return false;
}

static bool decode(void *decoder, const uint8_t *in, size_t len, const struct iovec *iov,
                   unsigned niov, Error **errp)
{
    z_stream *zs = decoder;
    uint8_t excess;

    zs->next_in = (Bytef *)in;
    zs->avail_in = len;
    for (unsigned i = 0; i < niov; i++) {
        zs->next_out = iov[i].iov_base;
        zs->avail_out = iov[i].iov_len;
        if (!inflate_some(zs, errp)) {
            return false;
        }
        if (zs->avail_out) {
            error_setg(errp, "its %zu bytes of zlib data inflate to less than its pages", len);
            return false;
        }
    }
    /* What is left is the flush, and makes no bytes; the stream needs to have seen it. */
    zs->next_out = &excess;
    zs->avail_out = 1;
    if (!inflate_some(zs, errp)) {
        return false;
    }
    if (!zs->avail_out || zs->avail_in) {
        error_setg(errp, "its %zu bytes of zlib data inflate to more than its pages", len);
        return false;
    }
    return true;
}

static void decoder_free(void *decoder)
{
    inflateEnd(decoder);
    g_free(decoder);
}

const MultiFDCodec multifd_zlib = {
    .flag = MULTIFD_FLAG_ZLIB,
    .encoder_new = encoder_new,
    .encode = encode,
    .encoder_free = encoder_free,
    .decoder_new = decoder_new,
    .decode = decode,
    .decoder_free = decoder_free,
};
