/*
 * Multifd's zstd compression: one stream per channel, flushed at the end of each packet.
 *
 * SPDX-License-Identifier: GPL-2.0-or-later
 */
#include "qemu/osdep.h"
#include <zstd.h>
#include "multifd.h"
#include "options.h"
#include "qapi/error.h"
#include "qemu/units.h"

/*
 * Levels above this one would look back many megabytes, with tables to match, in each channel. They
 * may look back four packets.
 */
#define LEVEL_MODEST_MAX 8
#define MEMORY_LOG 21

/* Of a receiver: in each channel, and in all of them. */
#define WINDOW_LOG_MAX 25
#define WINDOWS_MAX (1 * GiB)

static void *encoder_new(Error **errp)
{
    static const ZSTD_cParameter modest[] = {ZSTD_c_windowLog, ZSTD_c_hashLog, ZSTD_c_chainLog};
    ZSTD_CStream *zcs = ZSTD_createCStream();
    size_t ret;

    if (!zcs) {
        error_setg(errp, "no memory for zstd");
        return NULL;
    }
    ret = ZSTD_initCStream(zcs, migrate_multifd_zstd_level());
    for (size_t i = 0; !ZSTD_isError(ret) && migrate_multifd_zstd_level() > LEVEL_MODEST_MAX &&
                       i < G_N_ELEMENTS(modest); i++) {
        ret = ZSTD_CCtx_setParameter(zcs, modest[i], MEMORY_LOG);
    }
    if (ZSTD_isError(ret)) {
        error_setg(errp, "zstd cannot be set up: %s", ZSTD_getErrorName(ret));
        ZSTD_freeCStream(zcs);
        return NULL;
    }
    return zcs;
}

static ssize_t encode(void *encoder, const uint8_t *in, size_t len, uint8_t *out, size_t room,
                      Error **errp)
{
    ZSTD_inBuffer input = {in, len, 0};
    ZSTD_outBuffer output = {out, room, 0};
    size_t left;

    do {
        left = ZSTD_compressStream2(encoder, &output, &input, ZSTD_e_flush);
    } while (!ZSTD_isError(left) && left && output.pos < output.size);
    if (left) {
        error_setg(errp, "zstd cannot compress %zu bytes to less than %zu: %s", len, room,
                   ZSTD_isError(left) ? ZSTD_getErrorName(left) : "no room");
        return -1;
    }
    return output.pos;
}

static void encoder_free(void *encoder)
{
    ZSTD_freeCStream(encoder);
}

/*
 * How far back a sender may look, as a power of two: it is memory of ours. 25 is the window of
 * level 20, the highest. Of many channels each gets its part of a budget, but never less than our
 * own senders need.
 */
static int window_log(void)
{
    int log = WINDOW_LOG_MAX;

    while (log > MEMORY_LOG && (uint64_t)migrate_multifd_channels() << log > WINDOWS_MAX) {
        log--;
    }
    return log;
}

static void *decoder_new(Error **errp)
{
    ZSTD_DStream *zds = ZSTD_createDStream();
    size_t ret;

    if (!zds) {
        error_setg(errp, "no memory for zstd");
        return NULL;
    }
    ret = ZSTD_initDStream(zds);
    if (!ZSTD_isError(ret)) {
        ret = ZSTD_DCtx_setParameter(zds, ZSTD_d_windowLogMax, window_log());
    }
    if (ZSTD_isError(ret)) {
        error_setg(errp, "zstd cannot be set up: %s", ZSTD_getErrorName(ret));
        ZSTD_freeDStream(zds);
        return NULL;
    }
    return zds;
}

/* Fills @output, unless the input ends first. */
static bool decompress(ZSTD_DStream *zds, ZSTD_outBuffer *output, ZSTD_inBuffer *input,
                       Error **errp)
{
    for (;;) {
        size_t in_before = input->pos, out_before = output->pos;
        size_t ret = ZSTD_decompressStream(zds, output, input);

        if (ZSTD_isError(ret)) {
            error_setg(errp, "zstd: %s", ZSTD_getErrorName(ret));
            return false;
        }
        if (output->pos == output->size ||
            (input->pos == in_before && output->pos == out_before)) {
            return true;
        }
    }
}

static bool decode(void *decoder, const uint8_t *in, size_t len, const struct iovec *iov,
                   unsigned niov, Error **errp)
{
    ZSTD_inBuffer input = {in, len, 0};
    uint8_t excess;
    ZSTD_outBuffer output;

    for (unsigned i = 0; i < niov; i++) {
        output = (ZSTD_outBuffer){iov[i].iov_base, iov[i].iov_len, 0};
        if (!decompress(decoder, &output, &input, errp)) {
            return false;
        }
        if (output.pos < output.size) {
            error_setg(errp, "its %zu bytes of zstd data decompress to less than its pages", len);
            return false;
        }
    }
    output = (ZSTD_outBuffer){&excess, 1, 0};
    if (!decompress(decoder, &output, &input, errp)) {
        return false;
    }
    if (output.pos || input.pos < input.size) {
        error_setg(errp, "its %zu bytes of zstd data decompress to more than its pages", len);
        return false;
    }
    return true;
}

static void decoder_free(void *decoder)
{
    ZSTD_freeDStream(decoder);
}

const MultiFDCodec multifd_zstd = {
    .flag = MULTIFD_FLAG_ZSTD,
    .encoder_new = encoder_new,
    .encode = encode,
    .encoder_free = encoder_free,
    .decoder_new = decoder_new,
    .decode = decode,
    .decoder_free = decoder_free,
};
