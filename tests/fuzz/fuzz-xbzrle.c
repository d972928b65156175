/*
 * XBZRLE. The input as encoded data: it changes the page or is refused, and writes nowhere else. The input
 * as two pages: what the encoder makes of them gives back the second, in each vector form alike.
 *
 * SPDX-License-Identifier: GPL-2.0-or-later
 */
#include "fuzz.h"
#include "../../migration/xbzrle.h"

#define LEN 4096

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    g_autofree uint8_t *page = g_malloc0(LEN), *old = g_malloc0(LEN), *new = g_malloc0(LEN);
    g_autofree uint8_t *encoded = g_malloc(LEN), *again = g_malloc(LEN);
    int len = -2;

    if (xbzrle_decode_buffer(data, MIN(size, LEN), page, LEN) > LEN) {
        abort();
    }
    memcpy(old, data, MIN(size / 2, LEN));
    memcpy(new, data + size / 2, MIN(size - size / 2, LEN));
    for (int form = 0; form < 3; form++) {
        int n;

        if (!xbzrle_use(form)) {
            continue;
        }
        n = xbzrle_encode_buffer(old, new, LEN, form ? again : encoded, LEN);
        if (len == -2) {
            len = n;
        } else if (n != len || (n > 0 && memcmp(encoded, again, n))) {
            abort();
        }
    }
    if (len >= 0) {
        if (xbzrle_decode_buffer(encoded, len, old, LEN) < 0 || memcmp(old, new, LEN)) {
            abort();
        }
    }
    return 0;
}
