/*
 * Multifd's packets and compressions: what is written is read again, and what makes no sense is
 * refused with the field in the error.
 *
 * SPDX-License-Identifier: GPL-2.0-or-later
 */
#include "qemu/osdep.h"
#include "../../migration/migration.h"
#include "../../migration/multifd.h"
#include "../../migration/options.h"
#include "qapi/error.h"
#include "qemu/bswap.h"
#include "qemu/main-loop.h"
#include "qemu/module.h"
#include "system/cpus.h"

#define ALL_PAGES (MULTIFD_PACKET_PAGES * TARGET_PAGE_SIZE)

static void sample(MultiFDPacket *p)
{
    *p = (MultiFDPacket){
        .flags = MULTIFD_FLAG_SYNC | MULTIFD_FLAG_ZSTD,
        .normal_num = 3,
        .zero_num = 2,
        .next_packet_size = 12345,
        .packet_num = 0x123456789abcdefull,
        .block = "pc.ram",
        .offset = { 0x1000, 0x5000, 0x6000, 0, 0xfffffffff000ull },
    };
}

static void test_init(void)
{
    MultiFDInit init = { .uuid.data = { 1, 2, 3, [15] = 9 }, .id = 77 }, read;
    uint8_t buf[MULTIFD_INIT_SIZE];
    static const struct { int at; const char *text; } damage[] = {
        { 0, "0x10223344" }, { 3, "0x11223345" }, { 7, "version 0" },
    };

    multifd_init_write(buf, &init);
    g_assert_true(multifd_init_parse(&read, buf, &error_abort));
    g_assert_cmpmem(&read.uuid, 16, &init.uuid, 16);
    g_assert_cmpuint(read.id, ==, 77);
    for (size_t i = 0; i < G_N_ELEMENTS(damage); i++) {
        Error *err = NULL;

        multifd_init_write(buf, &init);
        buf[damage[i].at] ^= 1;
        g_assert_false(multifd_init_parse(&read, buf, &err));
        g_assert_nonnull(strstr(error_get_pretty(err), damage[i].text));
        error_free(err);
    }
}

static void test_packet(void)
{
    MultiFDPacket p, read;
    uint8_t buf[MULTIFD_PACKET_SIZE];

    sample(&p);
    memset(buf, 0xff, sizeof(buf));
    multifd_packet_write(buf, &p);
    g_assert_true(multifd_packet_parse(&read, buf, &error_abort));
    g_assert_cmphex(read.flags, ==, p.flags);
    g_assert_cmpuint(read.normal_num, ==, 3);
    g_assert_cmpuint(read.zero_num, ==, 2);
    g_assert_cmpuint(read.next_packet_size, ==, 12345);
    g_assert_cmphex(read.packet_num, ==, p.packet_num);
    g_assert_cmpstr(read.block, ==, "pc.ram");
    g_assert_cmpmem(read.offset, 5 * 8, p.offset, 5 * 8);
    for (size_t i = MULTIFD_HEADER_SIZE + 5 * 8; i < sizeof(buf); i++) {
        g_assert_cmpuint(buf[i], ==, 0);
    }
}

/* A full packet, either way it is filled. */
static void test_full_packet(void)
{
    for (uint32_t normal = 0; normal <= MULTIFD_PACKET_PAGES; normal += MULTIFD_PACKET_PAGES / 2) {
        MultiFDPacket p = { .normal_num = normal, .zero_num = MULTIFD_PACKET_PAGES - normal,
                            .next_packet_size = normal ? normal * 4096 : 0, .block = "x" }, read;
        uint8_t buf[MULTIFD_PACKET_SIZE];

        for (uint32_t i = 0; i < MULTIFD_PACKET_PAGES; i++) {
            p.offset[i] = (uint64_t)i << TARGET_PAGE_BITS;
        }
        multifd_packet_write(buf, &p);
        g_assert_true(multifd_packet_parse(&read, buf, &error_abort));
        g_assert_cmpmem(read.offset, sizeof(read.offset), p.offset, sizeof(p.offset));
    }
}

/* What an older sender leaves in the size field of a packet without pages is not a size. */
static void test_size_without_pages(void)
{
    MultiFDPacket p = { .flags = MULTIFD_FLAG_SYNC }, read;
    uint8_t buf[MULTIFD_PACKET_SIZE];

    multifd_packet_write(buf, &p);
    stl_be_p(buf + 20, 524288);
    g_assert_true(multifd_packet_parse(&read, buf, &error_abort));
    g_assert_cmpuint(read.next_packet_size, ==, 0);
}

static void test_refused(void)
{
    static const struct { int at; uint32_t value; const char *text; } damage[] = {
        { 0, 0x51454d55, "begins with 0x51454d55, expected 0x11223344" },
        { 4, 2, "has version 2, expected 1" },
        { 12, MULTIFD_PACKET_PAGES + 1, "room for 129, expected at most 128" },
        { 16, MULTIFD_PACKET_PAGES, "has 130 pages" },
        { 16, 0xffffffff, "has 4294967297 pages" },
        { 32, 0xffffffff, "has 4294967298 pages" },
        { 20, 0, "announces 0 bytes for 3 pages" },
        { 20, MULTIFD_PAYLOAD_MAX + 1, "announces 1048577 bytes" },
        { 320 + 12, 0x5001, "offset 0x5001 in block 'pc.ram' is not that of a page" },
    };

    for (size_t i = 0; i < G_N_ELEMENTS(damage); i++) {
        MultiFDPacket p, read;
        uint8_t buf[MULTIFD_PACKET_SIZE];
        Error *err = NULL;

        sample(&p);
        multifd_packet_write(buf, &p);
        stl_be_p(buf + damage[i].at, damage[i].value);
        g_assert_false(multifd_packet_parse(&read, buf, &err));
        g_assert_nonnull(strstr(error_get_pretty(err), "packet 81985529216486895"));
        if (!strstr(error_get_pretty(err), damage[i].text)) {
            g_error("'%s' does not say '%s'", error_get_pretty(err), damage[i].text);
        }
        error_free(err);
    }
}

static void test_name_without_end(void)
{
    MultiFDPacket p, read;
    uint8_t buf[MULTIFD_PACKET_SIZE];
    Error *err = NULL;

    sample(&p);
    multifd_packet_write(buf, &p);
    memset(buf + 64, 'x', 256);
    g_assert_false(multifd_packet_parse(&read, buf, &err));
    g_assert_nonnull(strstr(error_get_pretty(err), "name without an end"));
    error_free(err);
}

/* --- compression --- */

static void fill(uint8_t *data, size_t len, int kind)
{
    GRand *rand = g_rand_new_with_seed(kind + 1);

    for (size_t i = 0; i < len; i++) {
        data[i] = kind == 0 ? 0 : kind == 1 ? g_rand_int(rand)
                : "the bird flies on and on "[(i + i / 4096) % 25];
    }
    g_rand_free(rand);
}

/* Many packets of one stream, of all sizes, into uneven vectors. */
static void test_codec(gconstpointer opaque)
{
    const MultiFDCodec *codec = opaque;
    g_autofree uint8_t *data = g_malloc(ALL_PAGES), *packed = g_malloc(MULTIFD_PAYLOAD_MAX);
    g_autofree uint8_t *out = g_malloc(ALL_PAGES);
    void *encoder = codec->encoder_new(&error_abort);
    void *decoder = codec->decoder_new(&error_abort);

    for (int i = 0; i < 60; i++) {
        size_t len = (size_t)(i % 6 == 5 ? MULTIFD_PACKET_PAGES : 1 + i) * TARGET_PAGE_SIZE;
        size_t cut = len > TARGET_PAGE_SIZE ? len / TARGET_PAGE_SIZE / 2 * TARGET_PAGE_SIZE : 0;
        struct iovec iov[] = { { out, cut }, { out + cut, len - cut } };
        ssize_t size;

        fill(data, len, i % 3);
        size = codec->encode(encoder, data, len, packed, MULTIFD_PAYLOAD_MAX, &error_abort);
        g_assert_cmpint(size, >, 0);
        if (i % 3 == 2) {
            g_assert_cmpint(size, <, len);
        }
        memset(out, 0x5a, ALL_PAGES);
        g_assert_true(codec->decode(decoder, packed, size, cut ? iov : iov + 1, cut ? 2 : 1,
                                    &error_abort));
        g_assert_cmpmem(out, len, data, len);
    }
    codec->encoder_free(encoder);
    codec->decoder_free(decoder);
}

/* More or fewer pages than announced, a part of the data, other bytes: never written beyond. */
static void test_codec_damage(gconstpointer opaque)
{
    const MultiFDCodec *codec = opaque;
    size_t len = 8 * TARGET_PAGE_SIZE;
    g_autofree uint8_t *data = g_malloc(len), *packed = g_malloc(MULTIFD_PAYLOAD_MAX);
    g_autofree uint8_t *out = g_malloc(ALL_PAGES);
    unsigned refused = 0;

    fill(data, len, 2);
    for (int i = 0; i < 400; i++) {
        void *encoder = codec->encoder_new(&error_abort);
        void *decoder = codec->decoder_new(&error_abort);
        ssize_t size = codec->encode(encoder, data, len, packed, MULTIFD_PAYLOAD_MAX, &error_abort);
        size_t room = i == 0 ? len + TARGET_PAGE_SIZE : i == 1 ? len - TARGET_PAGE_SIZE : len;
        struct iovec iov = { out, room };
        Error *err = NULL;
        bool ok;

        memset(out, 0x5a, ALL_PAGES);
        if (i >= 2 && i < 20) {
            size = size * (i - 2) / 18;
        } else if (i >= 20) {
            packed[(size_t)(i - 20) * size / 380] ^= 1 << (i % 8);
        }
        ok = codec->decode(decoder, packed, size, &iov, 1, &err);
        if (i < 20) {
            g_assert_false(ok);
        }
        refused += !ok;
        g_assert_true(ok == !err);
        error_free(err);
        for (size_t at = room; at < ALL_PAGES; at++) {
            g_assert_cmpuint(out[at], ==, 0x5a);
        }
        codec->encoder_free(encoder);
        codec->decoder_free(decoder);
    }
    g_assert_cmpuint(refused, >=, 20);
}

int main(int argc, char **argv)
{
    g_test_init(&argc, &argv, NULL);
    qemu_init_main_loop(&error_abort);
    qemu_init_cpu_loop();
    module_call_init(MODULE_INIT_QOM);
    migration_object_init();
    g_test_add_func("/multifd/init", test_init);
    g_test_add_func("/multifd/packet", test_packet);
    g_test_add_func("/multifd/packet/full", test_full_packet);
    g_test_add_func("/multifd/packet/size-without-pages", test_size_without_pages);
    g_test_add_func("/multifd/packet/refused", test_refused);
    g_test_add_func("/multifd/packet/name", test_name_without_end);
    g_test_add_data_func("/multifd/zlib", &multifd_zlib, test_codec);
    g_test_add_data_func("/multifd/zstd", &multifd_zstd, test_codec);
    g_test_add_data_func("/multifd/zlib/damage", &multifd_zlib, test_codec_damage);
    g_test_add_data_func("/multifd/zstd/damage", &multifd_zstd, test_codec_damage);
    return g_test_run();
}
