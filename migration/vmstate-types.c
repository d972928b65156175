/*
 * VMStateInfo of the basic types: each reader beside its writer.
 *
 * SPDX-License-Identifier: GPL-2.0-or-later
 */
#include "qemu/osdep.h"
#include "migration/json-writer.h"
#include "migration/qemu-file.h"
#include "migration/vmstate.h"
#include "qapi/error.h"
#include "qemu/bitmap.h"
#include "qemu/timer.h"

/* Integers: TYPE in memory, PUT/GET on the wire. */
#define DEFINE_INT_INFO(id, ctype, wire, mask)                                              \
    static int get_##id(QEMUFile *f, void *pv, size_t size, const VMStateField *field)      \
    {                                                                                       \
        *(ctype *)pv = qemu_get_##wire(f);                                                  \
        return 0;                                                                           \
    }                                                                                       \
    static int put_##id(QEMUFile *f, void *pv, size_t size, const VMStateField *field,      \
                        JSONWriter *vmdesc)                                                 \
    {                                                                                       \
        qemu_put_##wire(f, *(ctype *)pv);                                                   \
        return 0;                                                                           \
    }                                                                                       \
    const VMStateInfo vmstate_info_##id = {.name = #id, .get = get_##id, .put = put_##id};

DEFINE_INT_INFO(int8, int8_t, byte, 0xff)
DEFINE_INT_INFO(int16, int16_t, be16, 0xffff)
DEFINE_INT_INFO(int32, int32_t, be32, 0xffffffff)
DEFINE_INT_INFO(int64, int64_t, be64, ~0ull)
DEFINE_INT_INFO(uint8, uint8_t, byte, 0xff)
DEFINE_INT_INFO(uint16, uint16_t, be16, 0xffff)
DEFINE_INT_INFO(uint32, uint32_t, be32, 0xffffffff)
DEFINE_INT_INFO(uint64, uint64_t, be64, ~0ull)

static int get_bool(QEMUFile *f, void *pv, size_t size, const VMStateField *field)
{
    *(bool *)pv = qemu_get_byte(f) != 0;
    return 0;
}

static int put_bool(QEMUFile *f, void *pv, size_t size, const VMStateField *field,
                    JSONWriter *vmdesc)
{
    qemu_put_byte(f, *(bool *)pv);
    return 0;
}

const VMStateInfo vmstate_info_bool = {.name = "bool", .get = get_bool, .put = put_bool};

/* Values that must be what this machine has: loading compares. */
static int refuse_value(QEMUFile *f, uint64_t came, uint64_t want)
{
    Error *err = NULL;

    error_setg(&err, "%" PRIu64 " (0x%" PRIx64 ") came, but %" PRIu64 " (0x%" PRIx64
               ") is expected", came, came, want, want);
    qemu_file_set_error_obj(f, -EINVAL, err);
    return -EINVAL;
}

#define DEFINE_EQUAL_INFO(id, ctype, wire, base)                                              \
    static int get_##id##_equal(QEMUFile *f, void *pv, size_t size, const VMStateField *field) \
    {                                                                                         \
        ctype v = qemu_get_##wire(f), want = *(ctype *)pv;                                    \
                                                                                              \
        return v == want || qemu_file_get_error(f) ? 0 : refuse_value(f, v, want);            \
    }                                                                                         \
    const VMStateInfo vmstate_info_##id##_equal = {                                           \
        .name = #base " equal", .get = get_##id##_equal, .put = put_##id,                     \
    };

DEFINE_EQUAL_INFO(uint8, uint8_t, byte, uint8)
DEFINE_EQUAL_INFO(uint16, uint16_t, be16, uint16)
DEFINE_EQUAL_INFO(int32, int32_t, be32, int32)
DEFINE_EQUAL_INFO(uint32, uint32_t, be32, uint32)
DEFINE_EQUAL_INFO(uint64, uint64_t, be64, int64)

static int get_int32_le(QEMUFile *f, void *pv, size_t size, const VMStateField *field)
{
    int32_t v = qemu_get_be32(f), most = *(int32_t *)pv;

    if (v < 0 || v > most) {
        return refuse_value(f, v, most);
    }
    *(int32_t *)pv = v;
    return 0;
}

const VMStateInfo vmstate_info_int32_le = {
    .name = "int32 le", .get = get_int32_le, .put = put_int32,
};

static int get_nullptr(QEMUFile *f, void *pv, size_t size, const VMStateField *field)
{
    int marker = qemu_get_byte(f);

    return marker == VMS_NULLPTR_MARKER || qemu_file_get_error(f)
               ? 0 : refuse_value(f, marker, VMS_NULLPTR_MARKER);
}

static int put_nullptr(QEMUFile *f, void *pv, size_t size, const VMStateField *field,
                       JSONWriter *vmdesc)
{
    assert(!pv);
    qemu_put_byte(f, VMS_NULLPTR_MARKER);
    return 0;
}

const VMStateInfo vmstate_info_nullptr = {
    .name = "nullptr", .get = get_nullptr, .put = put_nullptr,
};

/* A double, as its 64 bits. */
static int get_cpudouble(QEMUFile *f, void *pv, size_t size, const VMStateField *field)
{
    uint64_t bits = qemu_get_be64(f);

    memcpy(pv, &bits, sizeof(bits));
    return 0;
}

static int put_cpudouble(QEMUFile *f, void *pv, size_t size, const VMStateField *field,
                         JSONWriter *vmdesc)
{
    uint64_t bits;

    memcpy(&bits, pv, sizeof(bits));
    qemu_put_be64(f, bits);
    return 0;
}

const VMStateInfo vmstate_info_cpudouble = {
    .name = "CPU_Double_U", .get = get_cpudouble, .put = put_cpudouble,
};

/* A timer: when it expires (ns), or all ones when it is not armed. */
static int get_timer(QEMUFile *f, void *pv, size_t size, const VMStateField *field)
{
    uint64_t expires = qemu_get_be64(f);

    if (expires == UINT64_MAX) {
        timer_del(pv);
    } else {
        timer_mod_ns(pv, expires);
    }
    return 0;
}

static int put_timer(QEMUFile *f, void *pv, size_t size, const VMStateField *field,
                     JSONWriter *vmdesc)
{
    qemu_put_be64(f, timer_expire_time_ns(pv));
    return 0;
}

const VMStateInfo vmstate_info_timer = {.name = "timer", .get = get_timer, .put = put_timer};

static int get_buffer(QEMUFile *f, void *pv, size_t size, const VMStateField *field)
{
    qemu_get_buffer(f, pv, size);
    return 0;
}

static int put_buffer(QEMUFile *f, void *pv, size_t size, const VMStateField *field,
                      JSONWriter *vmdesc)
{
    qemu_put_buffer(f, pv, size);
    return 0;
}

const VMStateInfo vmstate_info_buffer = {.name = "buffer", .get = get_buffer, .put = put_buffer};

/* Room that older or newer versions use: skipped, and written as zeroes. */
static int get_unused_buffer(QEMUFile *f, void *pv, size_t size, const VMStateField *field)
{
    qemu_file_skip(f, size);
    return 0;
}

static int put_unused_buffer(QEMUFile *f, void *pv, size_t size, const VMStateField *field,
                             JSONWriter *vmdesc)
{
    for (size_t i = 0; i < size; i++) {
        qemu_put_byte(f, 0);
    }
    return 0;
}

const VMStateInfo vmstate_info_unused_buffer = {
    .name = "unused_buffer", .get = get_unused_buffer, .put = put_unused_buffer,
};

/* A struct made for the purpose, whose first member points back at the real one. */
static int get_tmp(QEMUFile *f, void *pv, size_t size, const VMStateField *field)
{
    g_autofree void *tmp = g_malloc0(size);

    *(void **)tmp = pv;
    return vmstate_load_state(f, field->vmsd, tmp, field->version_id);
}

static int put_tmp(QEMUFile *f, void *pv, size_t size, const VMStateField *field,
                   JSONWriter *vmdesc)
{
    g_autofree void *tmp = g_malloc0(size);

    *(void **)tmp = pv;
    return vmstate_save_state(f, field->vmsd, tmp, vmdesc);
}

const VMStateInfo vmstate_info_tmp = {.name = "tmp", .get = get_tmp, .put = put_tmp};

/* @size bits, as 64-bit words of which each goes as two big-endian halves, low one first. */
static int get_bitmap(QEMUFile *f, void *pv, size_t size, const VMStateField *field)
{
    unsigned long *map = pv;

    for (size_t w = 0; w < BITS_TO_LONGS(size); w++) {
        uint64_t v = qemu_get_be32(f);

        map[w] = v | (uint64_t)qemu_get_be32(f) << 32;
    }
    return 0;
}

static int put_bitmap(QEMUFile *f, void *pv, size_t size, const VMStateField *field,
                      JSONWriter *vmdesc)
{
    const unsigned long *map = pv;

    for (size_t w = 0; w < BITS_TO_LONGS(size); w++) {
        qemu_put_be32(f, map[w]);
        qemu_put_be32(f, map[w] >> 32);
    }
    return 0;
}

const VMStateInfo vmstate_info_bitmap = {.name = "bitmap", .get = get_bitmap, .put = put_bitmap};
