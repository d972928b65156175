/*
 * Scatter-gather vectors against one flat buffer, cut into pieces of all kinds, empty ones too.
 *
 * SPDX-License-Identifier: GPL-2.0-or-later
 */
#include "qemu/osdep.h"
#include "qemu/iov.h"

#define MAX_PIECES 9

typedef struct Vec {
    struct iovec iov[MAX_PIECES];
    unsigned cnt;
    size_t size;
    uint8_t *flat; /* what the pieces lie in: end to end, so that it shows every write */
} Vec;

static void vec_init(Vec *v, uint32_t seed)
{
    g_autoptr(GRand) rand = g_rand_new_with_seed(seed);
    size_t pos = 0;

    v->cnt = g_rand_int_range(rand, 0, MAX_PIECES + 1);
    v->flat = g_malloc0(MAX_PIECES * 8 + 1);
    for (unsigned i = 0; i < v->cnt; i++) {
        size_t len = g_rand_int_range(rand, 0, 8);

        v->iov[i] = (struct iovec){v->flat + pos, len};
        pos += len;
    }
    v->size = pos;
    for (size_t i = 0; i < pos; i++) {
        v->flat[i] = i + 1;
    }
}

static void test_copy_bytes(void)
{
    for (uint32_t seed = 0; seed < 60; seed++) {
        Vec v;

        vec_init(&v, seed);
        g_assert_cmpint(iov_size(v.iov, v.cnt), ==, v.size);
        for (size_t offset = 0; offset <= v.size + 2; offset++) {
            for (size_t bytes = 0; bytes <= v.size + 2; bytes++) {
                size_t want = offset < v.size ? MIN(bytes, v.size - offset) : 0;
                uint8_t buf[MAX_PIECES * 8 + 8], before[sizeof(buf)];

                memset(buf, 0xee, sizeof(buf));
                g_assert_cmpint(iov_to_buf(v.iov, v.cnt, offset, buf, bytes), ==, want);
                g_assert_true(!memcmp(buf, v.flat + offset, want));
                g_assert_cmphex(buf[want], ==, 0xee);

                memcpy(before, v.flat, v.size);
                memset(buf, 0xaa, sizeof(buf));
                g_assert_cmpint(iov_from_buf(v.iov, v.cnt, offset, buf, bytes), ==, want);
                for (size_t i = 0; i < v.size; i++) {
                    bool in = i >= offset && i < offset + want;

                    g_assert_cmphex(v.flat[i], ==, in ? 0xaa : before[i]);
                }
                g_assert_cmpint(iov_memset(v.iov, v.cnt, offset, 0x55, bytes), ==, want);
                for (size_t i = 0; i < v.size; i++) {
                    bool in = i >= offset && i < offset + want;

                    g_assert_cmphex(v.flat[i], ==, in ? 0x55 : before[i]);
                }
                memcpy(v.flat, before, v.size);
            }
        }
        g_free(v.flat);
    }
}

static void test_copy_vector(void)
{
    for (uint32_t seed = 0; seed < 60; seed++) {
        Vec v;

        vec_init(&v, seed);
        for (size_t offset = 0; offset <= v.size; offset++) {
            for (size_t bytes = 0; bytes <= v.size - offset; bytes++) {
                struct iovec part[MAX_PIECES + 1], few[2];
                unsigned n = iov_copy(part, MAX_PIECES, v.iov, v.cnt, offset, bytes);
                uint8_t buf[MAX_PIECES * 8];

                part[n] = (struct iovec){NULL, 0};
                g_assert_cmpint(iov_size(part, n), ==, bytes);
                g_assert_cmpint(iov_to_buf(part, n, 0, buf, bytes), ==, bytes);
                g_assert_true(!memcmp(buf, v.flat + offset, bytes));
                /* A short vector takes what it can hold. */
                g_assert_cmpint(iov_copy(few, 2, v.iov, v.cnt, offset, bytes), ==, MIN(n, 2));
            }
        }
        g_free(v.flat);
    }
}

static void test_discard(void)
{
    for (uint32_t seed = 0; seed < 60; seed++) {
        Vec v;

        vec_init(&v, seed);
        for (size_t bytes = 0; bytes <= v.size + 3; bytes++) {
            size_t want = MIN(bytes, v.size);
            uint8_t buf[MAX_PIECES * 8];
            Vec w = v;
            struct iovec *p = w.iov;

            g_assert_cmpint(iov_discard_front(&p, &w.cnt, bytes), ==, want);
            g_assert_cmpint(iov_size(p, w.cnt), ==, v.size - want);
            iov_to_buf(p, w.cnt, 0, buf, sizeof(buf));
            g_assert_true(!memcmp(buf, v.flat + want, v.size - want));

            w = v;
            g_assert_cmpint(iov_discard_back(w.iov, &w.cnt, bytes), ==, want);
            g_assert_cmpint(iov_size(w.iov, w.cnt), ==, v.size - want);
            iov_to_buf(w.iov, w.cnt, 0, buf, sizeof(buf));
            g_assert_true(!memcmp(buf, v.flat, v.size - want));
        }
        g_free(v.flat);
    }
}

int main(int argc, char **argv)
{
    g_test_init(&argc, &argv, NULL);
    g_test_add_func("/iov/copy-bytes", test_copy_bytes);
    g_test_add_func("/iov/copy-vector", test_copy_vector);
    g_test_add_func("/iov/discard", test_discard);
    return g_test_run();
}
