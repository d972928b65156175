/*
 * Multifd's decompressors: packets of any bytes into pages that lie anywhere. First byte: which codec,
 * and how many pages a packet has; then packets, each behind its length (be16).
 *
 * SPDX-License-Identifier: GPL-2.0-or-later
 */
#include "fuzz.h"
#include "qemu/bswap.h"
#include "../../migration/multifd.h"

int LLVMFuzzerInitialize(int *argc, char ***argv)
{
    fuzz_machine();
    return 0;
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    const MultiFDCodec *codec;
    g_autofree uint8_t *pages = NULL;
    struct iovec iov[8];
    unsigned niov;
    void *decoder;

    if (size < 1) {
        return 0;
    }
    codec = data[0] & 1 ? &multifd_zstd : &multifd_zlib;
    niov = 1 + (data[0] >> 1) % 8;
    pages = g_malloc(niov * TARGET_PAGE_SIZE);
    for (unsigned i = 0; i < niov; i++) {       /* backwards: no two are neighbours */
        iov[i] = (struct iovec){pages + (niov - 1 - i) * TARGET_PAGE_SIZE, TARGET_PAGE_SIZE};
    }
    decoder = codec->decoder_new(&error_abort);
    for (size_t at = 1; at + 2 < size;) {
        size_t len = MIN((size_t)lduw_be_p(data + at), size - at - 2);
        g_autofree uint8_t *in = g_memdup2(data + at + 2, len);
        Error *err = NULL;
        bool ok = codec->decode(decoder, in, len, iov, niov, &err);

        if (ok != !err) {
            abort();
        }
        error_free(err);
        if (!ok) {
            break;
        }
        at += 2 + len;
    }
    codec->decoder_free(decoder);
    return 0;
}
