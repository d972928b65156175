/*
 * VMState: every kind of field to bytes and back, versions, subsections, and streams that lie.
 *
 * SPDX-License-Identifier: GPL-2.0-or-later
 */
#include "qemu/osdep.h"
#include "io/channel-buffer.h"
#include "migration/json-writer.h"
#include "migration/qemu-file.h"
#include "migration/vmstate.h"
#include "qapi/error.h"
#include "qemu/module.h"
#include "qemu/timer.h"

/* A stream in memory. */
static QIOChannelBuffer *stream;

static QEMUFile *open_write(void)
{
    if (stream) {
        object_unref(OBJECT(stream));
    }
    stream = qio_channel_buffer_new(4096);
    object_ref(OBJECT(stream));
    return qemu_file_new_output(QIO_CHANNEL(stream));
}

static QEMUFile *open_read(const void *data, size_t len)
{
    QIOChannelBuffer *bioc = qio_channel_buffer_new(len + 1);

    if (len) {
        qio_channel_write_all(QIO_CHANNEL(bioc), data, len, &error_abort);
    }
    bioc->offset = 0;
    return qemu_file_new_input(QIO_CHANNEL(bioc));
}

static void save(const VMStateDescription *vmsd, void *opaque)
{
    QEMUFile *f = open_write();

    g_assert_cmpint(vmstate_save_state(f, vmsd, opaque, NULL), ==, 0);
    g_assert_cmpint(qemu_fclose(f), ==, 0);
}

static void assert_bytes(const void *want, size_t len)
{
    g_assert_cmpmem(stream->data, stream->usage, want, len);
}

static int load(const VMStateDescription *vmsd, void *opaque, int version, const void *data,
                size_t len, Error **errp)
{
    /* As in a stream, something follows: the engine looks ahead for subsections. */
    g_autofree uint8_t *more = g_malloc0(len + 1);
    QEMUFile *f;
    int ret;

    memcpy(more, data, len);
    more[len] = 0x7e;
    f = open_read(more, len + 1);
    ret = vmstate_load_state_err(f, vmsd, opaque, version, errp);

    qemu_fclose(f);
    return ret;
}

typedef struct Simple {
    bool b;
    uint8_t u8;
    int8_t i8;
    uint16_t u16;
    uint32_t u32;
    int32_t i32;
    uint64_t u64;
    uint16_t arr[3];
    uint8_t buf[4];
} Simple;

static const VMStateDescription vmstate_simple = {
    .name = "simple",
    .version_id = 2,
    .minimum_version_id = 1,
    .fields = (const VMStateField[]){
        VMSTATE_BOOL(b, Simple),
        VMSTATE_UINT8(u8, Simple),
        VMSTATE_INT8(i8, Simple),
        VMSTATE_UINT16(u16, Simple),
        VMSTATE_UNUSED(2),
        VMSTATE_UINT32(u32, Simple),
        VMSTATE_INT32(i32, Simple),
        VMSTATE_UINT64_V(u64, Simple, 2),
        VMSTATE_UINT16_ARRAY(arr, Simple, 3),
        VMSTATE_BUFFER(buf, Simple),
        VMSTATE_END_OF_LIST()
    },
};

static const Simple simple = {
    true, 0xfe, -3, 0x1234, 0xdeadbeef, -2, 0x1122334455667788ull, {1, 2, 0xffff}, {9, 8, 7, 6},
};

static const uint8_t simple_wire[] = {
    1, 0xfe, 0xfd, 0x12, 0x34, 0, 0, 0xde, 0xad, 0xbe, 0xef, 0xff, 0xff, 0xff, 0xfe,
    0x11, 0x22, 0x33, 0x44, 0x55, 0x66, 0x77, 0x88, 0, 1, 0, 2, 0xff, 0xff, 9, 8, 7, 6,
};

static void test_simple(void)
{
    Simple copy = simple, in;

    save(&vmstate_simple, &copy);
    assert_bytes(simple_wire, sizeof(simple_wire));
    memset(&in, 0, sizeof(in));
    g_assert_cmpint(load(&vmstate_simple, &in, 2, simple_wire, sizeof(simple_wire), &error_abort),
                    ==, 0);
    g_assert_cmpint(in.i8, ==, -3);
    g_assert_cmphex(in.u64, ==, simple.u64);
    g_assert_cmpmem(in.arr, sizeof(in.arr), simple.arr, sizeof(simple.arr));
    g_assert_cmpmem(in.buf, 4, simple.buf, 4);
    g_assert_true(in.b);
}

static void test_truncated(void)
{
    for (size_t len = 0; len < sizeof(simple_wire); len++) {
        Error *err = NULL;
        Simple in = {};

        QEMUFile *f = open_read(simple_wire, len);

        g_assert_cmpint(vmstate_load_state_err(f, &vmstate_simple, &in, 2, &err), <, 0);
        qemu_fclose(f);
        g_assert_nonnull(strstr(error_get_pretty(err), "simple"));
        error_free(err);
    }
}

static void test_versions(void)
{
    uint8_t v1[sizeof(simple_wire) - 8];
    Simple in = {.u64 = 77};
    Error *err = NULL;

    memcpy(v1, simple_wire, 15);
    memcpy(v1 + 15, simple_wire + 23, sizeof(simple_wire) - 23);
    g_assert_cmpint(load(&vmstate_simple, &in, 1, v1, sizeof(v1), &error_abort), ==, 0);
    g_assert_cmpint(in.u64, ==, 77);
    g_assert_cmpint(in.buf[3], ==, 6);

    g_assert_cmpint(load(&vmstate_simple, &in, 3, v1, sizeof(v1), &err), ==, -EINVAL);
    g_assert_nonnull(strstr(error_get_pretty(err), "too new"));
    error_free(err);
    err = NULL;
    g_assert_cmpint(load(&vmstate_simple, &in, 0, v1, sizeof(v1), &err), ==, -EINVAL);
    g_assert_nonnull(strstr(error_get_pretty(err), "too old"));
    error_free(err);
}

/* Structs, pointers, arrays of pointers, counted arrays, allocation */

typedef struct Leaf {
    uint16_t v;
} Leaf;

static const VMStateDescription vmstate_leaf = {
    .name = "leaf",
    .version_id = 1,
    .minimum_version_id = 1,
    .fields = (const VMStateField[]){VMSTATE_UINT16(v, Leaf), VMSTATE_END_OF_LIST()},
};

typedef struct Tree {
    Leaf one;
    Leaf *pointed;
    Leaf many[2];
    Leaf *maybe[3];
    uint32_t n;
    uint32_t *alloced;
    uint32_t len;
    uint8_t *bytes;
    uint32_t same;
} Tree;

static const VMStateDescription vmstate_tree = {
    .name = "tree",
    .version_id = 1,
    .minimum_version_id = 1,
    .fields = (const VMStateField[]){
        VMSTATE_STRUCT(one, Tree, 1, vmstate_leaf, Leaf),
        VMSTATE_STRUCT_POINTER(pointed, Tree, vmstate_leaf, Leaf),
        VMSTATE_STRUCT_ARRAY(many, Tree, 2, 1, vmstate_leaf, Leaf),
        VMSTATE_ARRAY_OF_POINTER_TO_STRUCT(maybe, Tree, 3, 1, vmstate_leaf, Leaf),
        VMSTATE_UINT32(n, Tree),
        VMSTATE_VARRAY_UINT32_ALLOC(alloced, Tree, n, 1, vmstate_info_uint32, uint32_t),
        VMSTATE_UINT32(len, Tree),
        VMSTATE_VBUFFER_ALLOC_UINT32(bytes, Tree, 1, NULL, len),
        VMSTATE_UINT32_EQUAL(same, Tree, "the hint"),
        VMSTATE_END_OF_LIST()
    },
};

static const uint8_t tree_wire[] = {
    0, 1, 0, 2, 0, 3, 0, 4, 0, 5, 0x30, 0, 6, 0, 0, 0, 2, 0, 0, 0, 7, 0, 0, 0, 8,
    0, 0, 0, 3, 'a', 'b', 'c', 0, 0, 0, 42,
};

static void test_tree(void)
{
    Leaf p = {2}, a = {5}, b = {6}, p2 = {}, a2 = {}, b2 = {};
    uint32_t nums[] = {7, 8};
    Tree t = {{1}, &p, {{3}, {4}}, {&a, NULL, &b}, 2, nums, 3, (uint8_t *)"abc", 42};
    Tree in = {.pointed = &p2, .maybe = {&a2, NULL, &b2}, .same = 42};
    Error *err = NULL;

    save(&vmstate_tree, &t);
    assert_bytes(tree_wire, sizeof(tree_wire));
    g_assert_cmpint(load(&vmstate_tree, &in, 1, tree_wire, sizeof(tree_wire), &error_abort), ==, 0);
    g_assert_cmpint(p2.v, ==, 2);
    g_assert_cmpint(in.many[1].v, ==, 4);
    g_assert_cmpint(b2.v, ==, 6);
    g_assert_cmpint(in.alloced[1], ==, 8);
    g_assert_cmpmem(in.bytes, 3, "abc", 3);

    /* A value that must be equal and is not. */
    in.same = 41;
    g_assert_cmpint(load(&vmstate_tree, &in, 1, tree_wire, sizeof(tree_wire), &err), <, 0);
    g_assert_nonnull(strstr(error_get_pretty(err), "same"));
    g_assert_nonnull(strstr(error_get_pretty(err), "41"));
    g_assert_nonnull(strstr(error_get_hint(err), "the hint"));
    error_free(err);
    err = NULL;

    /* Something where NULL stands here. */
    uint8_t bad[sizeof(tree_wire)];
    memcpy(bad, tree_wire, sizeof(bad));
    bad[10] = 0x31;
    g_assert_cmpint(load(&vmstate_tree, &in, 1, bad, sizeof(bad), &err), <, 0);
    g_assert_nonnull(strstr(error_get_pretty(err), "maybe"));
    error_free(err);
    err = NULL;

    /* A count that would take all memory. */
    memcpy(bad, tree_wire, sizeof(bad));
    memset(bad + 13, 0xff, 4);
    g_assert_cmpint(load(&vmstate_tree, &in, 1, bad, sizeof(bad), &err), <, 0);
    g_assert_nonnull(strstr(error_get_pretty(err), "alloced"));
    error_free(err);
    g_free(in.alloced);
    g_free(in.bytes);
}

/* Subsections */

typedef struct Sub {
    uint8_t main, extra, deep;
    int post_loads;
} Sub;

static bool extra_needed(void *opaque)
{
    return ((Sub *)opaque)->extra != 0;
}

static bool deep_needed(void *opaque)
{
    return ((Sub *)opaque)->deep != 0;
}

static int sub_post_load(void *opaque, int version_id)
{
    ((Sub *)opaque)->post_loads++;
    return ((Sub *)opaque)->main == 99 ? -EINVAL : 0;
}

static const VMStateDescription vmstate_deep = {
    .name = "sub/extra/deep",
    .version_id = 1,
    .minimum_version_id = 1,
    .needed = deep_needed,
    .fields = (const VMStateField[]){VMSTATE_UINT8(deep, Sub), VMSTATE_END_OF_LIST()},
};

static const VMStateDescription vmstate_extra = {
    .name = "sub/extra",
    .version_id = 1,
    .minimum_version_id = 1,
    .needed = extra_needed,
    .fields = (const VMStateField[]){VMSTATE_UINT8(extra, Sub), VMSTATE_END_OF_LIST()},
    .subsections = (const VMStateDescription *const[]){&vmstate_deep, NULL},
};

static const VMStateDescription vmstate_sub = {
    .name = "sub",
    .version_id = 1,
    .minimum_version_id = 1,
    .post_load = sub_post_load,
    .fields = (const VMStateField[]){VMSTATE_UINT8(main, Sub), VMSTATE_END_OF_LIST()},
    .subsections = (const VMStateDescription *const[]){&vmstate_extra, NULL},
};

static void test_subsections(void)
{
    static const char full[] = "\x01"
                               "\x05\x09sub/extra\0\0\0\x01\x02"
                               "\x05\x0esub/extra/deep\0\0\0\x01\x03";
    Sub s = {1}, in = {.extra = 50};
    Error *err = NULL;
    char bad[sizeof(full)];

    save(&vmstate_sub, &s);
    assert_bytes("\x01", 1);
    g_assert_cmpint(load(&vmstate_sub, &in, 1, "\x01\x7e", 2, &error_abort), ==, 0);
    g_assert_cmpint(in.extra, ==, 50);
    g_assert_cmpint(in.post_loads, ==, 1);

    s = (Sub){1, 2, 3};
    save(&vmstate_sub, &s);
    assert_bytes(full, sizeof(full) - 1);
    /* A byte follows, as the footer does: the engine peeks for further subsections. */
    memcpy(bad, full, sizeof(full));
    bad[sizeof(full) - 1] = 0x7e;
    g_assert_cmpint(load(&vmstate_sub, &in, 1, bad, sizeof(bad), &error_abort), ==, 0);
    g_assert_cmpint(in.deep, ==, 3);

    memcpy(bad, full, sizeof(full));
    bad[11] = 'X'; /* sub/extrX */
    g_assert_cmpint(load(&vmstate_sub, &in, 1, bad, sizeof(bad), &err), <, 0);
    g_assert_nonnull(strstr(error_get_pretty(err), "unknown subsection 'sub/extrX'"));
    error_free(err);
    err = NULL;

    g_assert_cmpint(load(&vmstate_sub, &in, 1, "\x63\x7e", 2, &err), ==, -EINVAL);
    g_assert_nonnull(strstr(error_get_pretty(err), "post_load"));
    error_free(err);
}

/* The description tells what was put. */
static void test_description(void)
{
    g_autoptr(JSONWriter) w = json_writer_new(false);
    QEMUFile *f = open_write();
    Simple copy = simple;

    json_writer_start_object(w, NULL);
    g_assert_cmpint(vmstate_save_state(f, &vmstate_simple, &copy, w), ==, 0);
    json_writer_end_object(w);
    qemu_fclose(f);
    g_assert_cmpstr(json_writer_get(w), ==,
        "{\"vmsd_name\": \"simple\", \"version\": 2, \"fields\": ["
        "{\"name\": \"b\", \"type\": \"bool\", \"size\": 1}, "
        "{\"name\": \"u8\", \"type\": \"uint8\", \"size\": 1}, "
        "{\"name\": \"i8\", \"type\": \"int8\", \"size\": 1}, "
        "{\"name\": \"u16\", \"type\": \"uint16\", \"size\": 2}, "
        "{\"name\": \"unused\", \"type\": \"unused_buffer\", \"size\": 2}, "
        "{\"name\": \"u32\", \"type\": \"uint32\", \"size\": 4}, "
        "{\"name\": \"i32\", \"type\": \"int32\", \"size\": 4}, "
        "{\"name\": \"u64\", \"type\": \"uint64\", \"size\": 8}, "
        "{\"name\": \"arr\", \"array_len\": 3, \"type\": \"uint16\", \"size\": 2}, "
        "{\"name\": \"buf\", \"type\": \"buffer\", \"size\": 4}]}");
}

/* Timers: armed and not. */
typedef struct T {
    QEMUTimer *t, *idle;
} T;

static const VMStateDescription vmstate_t = {
    .name = "t",
    .version_id = 1,
    .minimum_version_id = 1,
    .fields = (const VMStateField[]){
        VMSTATE_TIMER_PTR(t, T), VMSTATE_TIMER_PTR(idle, T), VMSTATE_END_OF_LIST()
    },
};

static void test_timer(void)
{
    T t = {timer_new_ns(QEMU_CLOCK_VIRTUAL, NULL, NULL), timer_new_ns(QEMU_CLOCK_VIRTUAL, NULL, NULL)};
    static const char wire[] = "\0\0\0\0\0\0\x12\x34\xff\xff\xff\xff\xff\xff\xff\xff";

    timer_mod_ns(t.t, 0x1234);
    save(&vmstate_t, &t);
    assert_bytes(wire, 16);
    timer_del(t.t);
    timer_mod_ns(t.idle, 5);
    g_assert_cmpint(load(&vmstate_t, &t, 1, wire, 17, &error_abort), ==, 0);
    g_assert_cmpint(timer_expire_time_ns(t.t), ==, 0x1234);
    g_assert_false(timer_pending(t.idle));
    timer_free(t.t);
    timer_free(t.idle);
}

/* QEMUFile itself: sizes around its buffers, peeking, positions, errors that stick. */
static void test_file(void)
{
    const size_t big = 700 * 1024;
    g_autofree uint8_t *data = g_malloc(big), *back = g_malloc(big);
    QEMUFile *f = open_write();
    uint8_t *p;

    for (size_t i = 0; i < big; i++) {
        data[i] = i * 7 + (i >> 11);
    }
    qemu_put_byte(f, 0xab);
    for (size_t at = 0, n = 1; at < big; at += n, n = n * 3 + 1) {
        n = MIN(n, big - at);
        if (n & 1) {
            qemu_put_buffer(f, data + at, n);
        } else {
            qemu_put_buffer_async(f, data + at, n, false);
        }
    }
    qemu_put_be64(f, 0x0102030405060708ull);
    qemu_put_counted_string(f, "name");
    g_assert_cmpint(qemu_file_transferred(f), ==, 1 + big + 8 + 5);
    g_assert_cmpint(qemu_fclose(f), ==, 0);
    g_assert_cmpint(stream->usage, ==, 1 + big + 8 + 5);

    f = open_read(stream->data, stream->usage);
    g_assert_cmpint(qemu_peek_byte(f, 0), ==, 0xab);
    g_assert_cmpint(qemu_peek_buffer(f, &p, 16, 1), ==, 16);
    g_assert_cmpmem(p, 16, data, 16);
    g_assert_cmpint(qemu_get_byte(f), ==, 0xab);
    for (size_t at = 0, n = 5; at < big; at += n, n = n * 2 + 3) {
        n = MIN(n, big - at);
        g_assert_cmpint(qemu_get_buffer(f, back + at, n), ==, n);
    }
    g_assert_cmpmem(data, big, back, big);
    g_assert_cmpint(qemu_file_position(f), ==, 1 + big);
    g_assert_cmphex(qemu_get_be64(f), ==, 0x0102030405060708ull);
    char name[256];
    g_assert_cmpint(qemu_get_counted_string(f, name), ==, 4);
    g_assert_cmpstr(name, ==, "name");
    g_assert_cmpint(qemu_file_get_error(f), ==, 0);

    g_assert_cmpint(qemu_get_be32(f), ==, 0);
    Error *err = NULL;
    g_assert_cmpint(qemu_file_get_error_obj(f, &err), ==, -EIO);
    g_assert_nonnull(strstr(error_get_pretty(err), "end of the stream"));
    error_free(err);
    qemu_file_set_error(f, -EINVAL);
    g_assert_cmpint(qemu_file_get_error(f), ==, -EIO); /* the first one stays */
    g_assert_cmpint(qemu_fclose(f), ==, -EIO);
}

int main(int argc, char **argv)
{
    g_test_init(&argc, &argv, NULL);
    module_call_init(MODULE_INIT_QOM);
    g_test_add_func("/vmstate/simple", test_simple);
    g_test_add_func("/vmstate/truncated", test_truncated);
    g_test_add_func("/vmstate/versions", test_versions);
    g_test_add_func("/vmstate/tree", test_tree);
    g_test_add_func("/vmstate/subsections", test_subsections);
    g_test_add_func("/vmstate/description", test_description);
    g_test_add_func("/vmstate/timer", test_timer);
    g_test_add_func("/qemu-file/buffers", test_file);
    return g_test_run();
}
