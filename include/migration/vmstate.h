/*
 * VMState: device state as data.  A VMStateDescription lists the fields of a struct in the order in
 * which they stand in the stream; one engine (migration/vmstate.c) saves, loads and describes them.
 *
 * Wire form: see docs/stream-format.md, "VMState".  All functions run under the BQL.
 *
 * SPDX-License-Identifier: GPL-2.0-or-later
 */
#ifndef MIGRATION_VMSTATE_H
#define MIGRATION_VMSTATE_H

#include "migration/vmstate-if.h"

typedef struct VMStateInfo VMStateInfo;

/*
 * How one value goes to the stream and back.  @pv: the value; @size: its size in bytes; both return
 * 0 or -errno.  @get may leave a reason with qemu_file_set_error_obj().
 */
struct VMStateInfo {
    const char *name; /* the type's name in the vmdescription */
    int (*get)(QEMUFile *f, void *pv, size_t size, const VMStateField *field);
    int (*put)(QEMUFile *f, void *pv, size_t size, const VMStateField *field, JSONWriter *vmdesc);
};

/* What a field is; combinations that make sense are those the VMSTATE_ macros make. */
enum VMStateFlags {
    VMS_SINGLE = 0x001,
    VMS_POINTER = 0x002,           /* the struct holds a pointer to the value */
    VMS_ARRAY = 0x004,             /* num elements */
    VMS_STRUCT = 0x008,            /* vmsd describes the value */
    VMS_VARRAY_INT32 = 0x010,      /* the count is an int32_t at num_offset */
    VMS_BUFFER = 0x020,
    VMS_ARRAY_OF_POINTER = 0x040,  /* elements are pointers */
    VMS_VARRAY_UINT16 = 0x080,
    VMS_VBUFFER = 0x100,           /* the size is an int32_t at size_offset */
    VMS_MULTIPLY = 0x200,          /* that size counts units of @size */
    VMS_VARRAY_UINT8 = 0x400,
    VMS_VARRAY_UINT32 = 0x800,
    VMS_MUST_EXIST = 0x1000,       /* field_exists false is an error when loading */
    VMS_ALLOC = 0x2000,            /* loading allocates what the pointer points at */
    VMS_MULTIPLY_ELEMENTS = 0x4000, /* the count at num_offset counts groups of @num */
    VMS_VSTRUCT = 0x8000,          /* as VMS_STRUCT, at struct_version_id */
    VMS_END = 0x10000,
};

typedef enum {
    MIG_PRI_UNINITIALIZED = 0,
    MIG_PRI_DEFAULT = 0,
    MIG_PRI_POST_LOAD,  /* higher ones are saved and loaded before lower ones */
    MIG_PRI_IOMMU,
    MIG_PRI_VIRTIO_MEM,
    MIG_PRI_GICV3_ITS,
    MIG_PRI_GICV3,
    MIG_PRI_MAX,
} MigrationPriority;

struct VMStateField {
    const char *name;
    const char *err_hint;
    size_t offset;      /* of the value in the struct, bytes */
    size_t size;        /* of one element, bytes */
    size_t start;       /* offset into a buffer */
    int num;            /* elements */
    size_t num_offset;
    size_t size_offset;
    const VMStateInfo *info;
    enum VMStateFlags flags;
    const VMStateDescription *vmsd;
    int version_id;     /* first version that has the field */
    int struct_version_id;
    bool (*field_exists)(void *opaque, int version_id);
};

struct VMStateDescription {
    const char *name;
    bool unmigratable;
    bool early_setup;
    int version_id;
    int minimum_version_id;
    MigrationPriority priority;
    int (*pre_load)(void *opaque);
    int (*post_load)(void *opaque, int version_id);
    int (*pre_save)(void *opaque);
    int (*post_save)(void *opaque);
    bool (*needed)(void *opaque);
    bool (*dev_unplug_pending)(void *opaque);
    const VMStateField *fields;                     /* up to VMSTATE_END_OF_LIST() */
    const VMStateDescription *const *subsections;   /* NULL-terminated */
};

extern const VMStateInfo vmstate_info_bool;
extern const VMStateInfo vmstate_info_int8;
extern const VMStateInfo vmstate_info_int16;
extern const VMStateInfo vmstate_info_int32;
extern const VMStateInfo vmstate_info_int64;
extern const VMStateInfo vmstate_info_uint8_equal;
extern const VMStateInfo vmstate_info_uint16_equal;
extern const VMStateInfo vmstate_info_int32_equal;
extern const VMStateInfo vmstate_info_uint32_equal;
extern const VMStateInfo vmstate_info_uint64_equal;
extern const VMStateInfo vmstate_info_int32_le; /* non-negative and at most the present value */
extern const VMStateInfo vmstate_info_uint8;
extern const VMStateInfo vmstate_info_uint16;
extern const VMStateInfo vmstate_info_uint32;
extern const VMStateInfo vmstate_info_uint64;
extern const VMStateInfo vmstate_info_nullptr;  /* stands for a NULL in an array of pointers */
extern const VMStateInfo vmstate_info_cpudouble;
extern const VMStateInfo vmstate_info_timer;
extern const VMStateInfo vmstate_info_buffer;
extern const VMStateInfo vmstate_info_unused_buffer;
extern const VMStateInfo vmstate_info_tmp;
extern const VMStateInfo vmstate_info_bitmap;

/* Marks of a pointer field and of a NULL element. */
#define VMS_NULLPTR_MARKER (0x30U)
#define VMS_PTR_MARKER (0x31U)

/* Offsets that fail to compile when the member has another type. */
#define type_check(t1, t2) \
    (sizeof(char[__builtin_types_compatible_p(t1, t2) ? 1 : -1]) - 1)
#define type_check_array(t1, t2, n) type_check(t1[n], t2)
#define type_check_pointer(t1, t2) type_check(t1 *, t2)
#define vmstate_offset_value(_state, _field, _type) \
    (offsetof(_state, _field) + type_check(_type, typeof_field(_state, _field)))
#define vmstate_offset_pointer(_state, _field, _type) \
    (offsetof(_state, _field) + type_check_pointer(_type, typeof_field(_state, _field)))
#define vmstate_offset_array(_state, _field, _type, _num) \
    (offsetof(_state, _field) + type_check_array(_type, typeof_field(_state, _field), _num))
#define vmstate_offset_2darray(_state, _field, _type, _n1, _n2) \
    (offsetof(_state, _field) + type_check(_type[_n1][_n2], typeof_field(_state, _field)))
#define vmstate_offset_sub_array(_state, _field, _type, _start) \
    vmstate_offset_value(_state, _field[_start], _type)
#define vmstate_offset_buffer(_state, _field) \
    vmstate_offset_array(_state, _field, uint8_t, sizeof(typeof_field(_state, _field)))

/*
 * Every macro is a VMSTATE_ENTRY_ with the version, the existence test and the shape filled in.
 * The families: NAME(f, s) for all versions, NAME_V(f, s, v) since version v, NAME_TEST(f, s,
 * test).
 */
#define VMSTATE_ENTRY_(_name, _v, _test, ...) \
    {.name = (_name), .version_id = (_v), .field_exists = (_test), __VA_ARGS__}

#define VMSTATE_SINGLE_FULL(_f, _s, _test, _v, _sv, _info, _type, _hint)      \
    VMSTATE_ENTRY_(stringify(_f), _v, _test, .struct_version_id = (_sv),     \
                   .size = sizeof(_type), .info = &(_info), .flags = VMS_SINGLE, \
                   .err_hint = (_hint), .offset = vmstate_offset_value(_s, _f, _type))
#define VMSTATE_SINGLE_TEST(_f, _s, _test, _v, _info, _type) \
    VMSTATE_SINGLE_FULL(_f, _s, _test, _v, 0, _info, _type, NULL)
#define VMSTATE_SINGLE(_f, _s, _v, _info, _type) \
    VMSTATE_SINGLE_TEST(_f, _s, NULL, _v, _info, _type)

#define VMSTATE_POINTER_TEST(_f, _s, _test, _info, _type)                    \
    VMSTATE_ENTRY_(stringify(_f), 0, _test, .info = &(_info), .size = sizeof(_type), \
                   .flags = VMS_SINGLE | VMS_POINTER,                        \
                   .offset = vmstate_offset_value(_s, _f, _type))
#define VMSTATE_POINTER(_f, _s, _v, _info, _type)                            \
    VMSTATE_ENTRY_(stringify(_f), _v, NULL, .info = &(_info), .size = sizeof(_type), \
                   .flags = VMS_SINGLE | VMS_POINTER,                        \
                   .offset = vmstate_offset_value(_s, _f, _type))

#define VMSTATE_ARRAY(_f, _s, _num, _v, _info, _type)                        \
    VMSTATE_ENTRY_(stringify(_f), _v, NULL, .num = (_num), .info = &(_info), \
                   .size = sizeof(_type), .flags = VMS_ARRAY,                \
                   .offset = vmstate_offset_array(_s, _f, _type, _num))
#define VMSTATE_ARRAY_TEST(_f, _s, _num, _test, _info, _type)                \
    VMSTATE_ENTRY_(stringify(_f), 0, _test, .num = (_num), .info = &(_info), \
                   .size = sizeof(_type), .flags = VMS_ARRAY,                \
                   .offset = vmstate_offset_array(_s, _f, _type, _num))
#define VMSTATE_2DARRAY(_f, _s, _n1, _n2, _v, _info, _type)                  \
    VMSTATE_ENTRY_(stringify(_f), _v, NULL, .num = (_n1) * (_n2), .info = &(_info), \
                   .size = sizeof(_type), .flags = VMS_ARRAY,                \
                   .offset = vmstate_offset_2darray(_s, _f, _type, _n1, _n2))
#define VMSTATE_SUB_ARRAY(_f, _s, _start, _num, _v, _info, _type)            \
    VMSTATE_ENTRY_(stringify(_f), _v, NULL, .num = (_num), .info = &(_info), \
                   .size = sizeof(_type), .flags = VMS_ARRAY,                \
                   .offset = vmstate_offset_sub_array(_s, _f, _type, _start))
#define VMSTATE_VARRAY_(_f, _s, _nf, _ntype, _v, _info, _type, _flag, _off)  \
    VMSTATE_ENTRY_(stringify(_f), _v, NULL,                                  \
                   .num_offset = vmstate_offset_value(_s, _nf, _ntype),      \
                   .info = &(_info), .size = sizeof(_type), .flags = (_flag), .offset = (_off))
#define VMSTATE_VARRAY_INT32(_f, _s, _nf, _v, _info, _type)                  \
    VMSTATE_VARRAY_(_f, _s, _nf, int32_t, _v, _info, _type, VMS_VARRAY_INT32 | VMS_POINTER, \
                    vmstate_offset_pointer(_s, _f, _type))
#define VMSTATE_VARRAY_UINT32(_f, _s, _nf, _v, _info, _type)                 \
    VMSTATE_VARRAY_(_f, _s, _nf, uint32_t, _v, _info, _type, VMS_VARRAY_UINT32 | VMS_POINTER, \
                    vmstate_offset_pointer(_s, _f, _type))
#define VMSTATE_VARRAY_UINT32_ALLOC(_f, _s, _nf, _v, _info, _type)           \
    VMSTATE_VARRAY_(_f, _s, _nf, uint32_t, _v, _info, _type,                 \
                    VMS_VARRAY_UINT32 | VMS_POINTER | VMS_ALLOC,             \
                    vmstate_offset_pointer(_s, _f, _type))
#define VMSTATE_VARRAY_UINT16_UNSAFE(_f, _s, _nf, _v, _info, _type)          \
    VMSTATE_VARRAY_(_f, _s, _nf, uint16_t, _v, _info, _type, VMS_VARRAY_UINT16, \
                    offsetof(_s, _f))
#define VMSTATE_VARRAY_MULTIPLY(_f, _s, _nf, _mul, _info, _type)             \
    VMSTATE_ENTRY_(stringify(_f), 0, NULL,                                   \
                   .num_offset = vmstate_offset_value(_s, _nf, uint32_t), .num = (_mul), \
                   .info = &(_info), .size = sizeof(_type),                  \
                   .flags = VMS_VARRAY_UINT32 | VMS_MULTIPLY_ELEMENTS,       \
                   .offset = offsetof(_s, _f))

#define VMSTATE_STRUCT_TEST(_f, _s, _test, _v, _vmsd, _type)                 \
    VMSTATE_ENTRY_(stringify(_f), _v, _test, .vmsd = &(_vmsd), .size = sizeof(_type), \
                   .flags = VMS_STRUCT, .offset = vmstate_offset_value(_s, _f, _type))
#define VMSTATE_STRUCT(_f, _s, _v, _vmsd, _type) \
    VMSTATE_STRUCT_TEST(_f, _s, NULL, _v, _vmsd, _type)
#define VMSTATE_VSTRUCT_TEST(_f, _s, _test, _v, _vmsd, _type, _sv)           \
    VMSTATE_ENTRY_(stringify(_f), _v, _test, .struct_version_id = (_sv), .vmsd = &(_vmsd), \
                   .size = sizeof(_type), .flags = VMS_VSTRUCT,              \
                   .offset = vmstate_offset_value(_s, _f, _type))
#define VMSTATE_VSTRUCT(_f, _s, _vmsd, _type, _sv) \
    VMSTATE_VSTRUCT_TEST(_f, _s, NULL, 0, _vmsd, _type, _sv)
#define VMSTATE_STRUCT_POINTER_V(_f, _s, _v, _vmsd, _type) \
    VMSTATE_STRUCT_POINTER_TEST_V(_f, _s, NULL, _v, _vmsd, _type)
#define VMSTATE_STRUCT_POINTER_TEST_V(_f, _s, _test, _v, _vmsd, _type)       \
    VMSTATE_ENTRY_(stringify(_f), _v, _test, .vmsd = &(_vmsd), .size = sizeof(_type *), \
                   .flags = VMS_STRUCT | VMS_POINTER,                        \
                   .offset = vmstate_offset_pointer(_s, _f, _type))
#define VMSTATE_STRUCT_POINTER(_f, _s, _vmsd, _type) \
    VMSTATE_STRUCT_POINTER_V(_f, _s, 0, _vmsd, _type)
#define VMSTATE_STRUCT_POINTER_TEST(_f, _s, _test, _vmsd, _type) \
    VMSTATE_STRUCT_POINTER_TEST_V(_f, _s, _test, 0, _vmsd, _type)
#define VMSTATE_STRUCT_ARRAY_TEST(_f, _s, _num, _test, _v, _vmsd, _type)     \
    VMSTATE_ENTRY_(stringify(_f), _v, _test, .num = (_num), .vmsd = &(_vmsd), \
                   .size = sizeof(_type), .flags = VMS_STRUCT | VMS_ARRAY,   \
                   .offset = vmstate_offset_array(_s, _f, _type, _num))
#define VMSTATE_STRUCT_ARRAY(_f, _s, _num, _v, _vmsd, _type) \
    VMSTATE_STRUCT_ARRAY_TEST(_f, _s, _num, NULL, _v, _vmsd, _type)
#define VMSTATE_STRUCT_SUB_ARRAY(_f, _s, _start, _num, _v, _vmsd, _type)     \
    VMSTATE_ENTRY_(stringify(_f), _v, NULL, .num = (_num), .vmsd = &(_vmsd), \
                   .size = sizeof(_type), .flags = VMS_STRUCT | VMS_ARRAY,   \
                   .offset = vmstate_offset_sub_array(_s, _f, _type, _start))
#define VMSTATE_STRUCT_2DARRAY(_f, _s, _n1, _n2, _v, _vmsd, _type)           \
    VMSTATE_ENTRY_(stringify(_f), _v, NULL, .num = (_n1) * (_n2), .vmsd = &(_vmsd), \
                   .size = sizeof(_type), .flags = VMS_STRUCT | VMS_ARRAY,   \
                   .offset = vmstate_offset_2darray(_s, _f, _type, _n1, _n2))
#define VMSTATE_STRUCT_VARRAY_(_f, _s, _nf, _ntype, _v, _vmsd, _type, _flags, _off) \
    VMSTATE_ENTRY_(stringify(_f), _v, NULL,                                  \
                   .num_offset = vmstate_offset_value(_s, _nf, _ntype), .vmsd = &(_vmsd), \
                   .size = sizeof(_type), .flags = VMS_STRUCT | (_flags), .offset = (_off))
#define VMSTATE_STRUCT_VARRAY_UINT8(_f, _s, _nf, _v, _vmsd, _type)           \
    VMSTATE_STRUCT_VARRAY_(_f, _s, _nf, uint8_t, _v, _vmsd, _type, VMS_VARRAY_UINT8, \
                           offsetof(_s, _f))
#define VMSTATE_STRUCT_VARRAY_INT32(_f, _s, _nf, _v, _vmsd, _type)           \
    VMSTATE_STRUCT_VARRAY_(_f, _s, _nf, int32_t, _v, _vmsd, _type, VMS_VARRAY_INT32, \
                           offsetof(_s, _f))
#define VMSTATE_STRUCT_VARRAY_UINT32(_f, _s, _nf, _v, _vmsd, _type)          \
    VMSTATE_STRUCT_VARRAY_(_f, _s, _nf, uint32_t, _v, _vmsd, _type, VMS_VARRAY_UINT32, \
                           offsetof(_s, _f))
#define VMSTATE_STRUCT_VARRAY_POINTER_INT32(_f, _s, _nf, _vmsd, _type)       \
    VMSTATE_STRUCT_VARRAY_(_f, _s, _nf, int32_t, 0, _vmsd, _type,            \
                           VMS_POINTER | VMS_VARRAY_INT32,                   \
                           vmstate_offset_pointer(_s, _f, _type))
#define VMSTATE_STRUCT_VARRAY_POINTER_UINT32(_f, _s, _nf, _vmsd, _type)      \
    VMSTATE_STRUCT_VARRAY_(_f, _s, _nf, uint32_t, 0, _vmsd, _type,           \
                           VMS_POINTER | VMS_VARRAY_UINT32,                  \
                           vmstate_offset_pointer(_s, _f, _type))
#define VMSTATE_STRUCT_VARRAY_POINTER_UINT16(_f, _s, _nf, _vmsd, _type)      \
    VMSTATE_STRUCT_VARRAY_(_f, _s, _nf, uint16_t, 0, _vmsd, _type,           \
                           VMS_POINTER | VMS_VARRAY_UINT16,                  \
                           vmstate_offset_pointer(_s, _f, _type))
#define VMSTATE_STRUCT_VARRAY_ALLOC(_f, _s, _nf, _v, _vmsd, _type)           \
    VMSTATE_STRUCT_VARRAY_(_f, _s, _nf, int32_t, _v, _vmsd, _type,           \
                           VMS_VARRAY_INT32 | VMS_ALLOC | VMS_POINTER,       \
                           vmstate_offset_pointer(_s, _f, _type))
#define VMSTATE_ARRAY_OF_POINTER(_f, _s, _num, _v, _info, _type)             \
    VMSTATE_ENTRY_(stringify(_f), _v, NULL, .num = (_num), .info = &(_info), \
                   .size = sizeof(_type), .flags = VMS_ARRAY | VMS_ARRAY_OF_POINTER, \
                   .offset = vmstate_offset_array(_s, _f, _type, _num))
#define VMSTATE_ARRAY_OF_POINTER_TO_STRUCT(_f, _s, _num, _v, _vmsd, _type)   \
    VMSTATE_ENTRY_(stringify(_f), _v, NULL, .num = (_num), .vmsd = &(_vmsd), \
                   .size = sizeof(_type *),                                  \
                   .flags = VMS_ARRAY | VMS_STRUCT | VMS_ARRAY_OF_POINTER,   \
                   .offset = vmstate_offset_array(_s, _f, _type *, _num))

#define VMSTATE_STATIC_BUFFER(_f, _s, _v, _test, _start, _size)              \
    VMSTATE_ENTRY_(stringify(_f), _v, _test, .size = (_size) - (_start),     \
                   .info = &vmstate_info_buffer, .flags = VMS_BUFFER,        \
                   .offset = vmstate_offset_buffer(_s, _f) + (_start))
#define VMSTATE_BUFFER_START_MIDDLE_V(_f, _s, _start, _v) \
    VMSTATE_STATIC_BUFFER(_f, _s, _v, NULL, _start, sizeof(typeof_field(_s, _f)))
#define VMSTATE_PARTIAL_BUFFER(_f, _s, _size) VMSTATE_STATIC_BUFFER(_f, _s, 0, NULL, 0, _size)
#define VMSTATE_BUFFER_TEST(_f, _s, _test) \
    VMSTATE_STATIC_BUFFER(_f, _s, 0, _test, 0, sizeof(typeof_field(_s, _f)))
#define VMSTATE_BUFFER_V(_f, _s, _v) \
    VMSTATE_STATIC_BUFFER(_f, _s, _v, NULL, 0, sizeof(typeof_field(_s, _f)))
#define VMSTATE_BUFFER(_f, _s) VMSTATE_BUFFER_V(_f, _s, 0)
#define VMSTATE_BUFFER_MULTIPLY(_f, _s, _v, _test, _size_f, _mul)            \
    VMSTATE_ENTRY_(stringify(_f), _v, _test,                                 \
                   .size_offset = vmstate_offset_value(_s, _size_f, uint32_t), \
                   .size = (_mul), .info = &vmstate_info_buffer,             \
                   .flags = VMS_VBUFFER | VMS_POINTER | VMS_MULTIPLY, .offset = offsetof(_s, _f))
#define VMSTATE_VBUFFER(_f, _s, _v, _test, _size_f)                          \
    VMSTATE_ENTRY_(stringify(_f), _v, _test,                                 \
                   .size_offset = vmstate_offset_value(_s, _size_f, int32_t), \
                   .info = &vmstate_info_buffer, .flags = VMS_VBUFFER | VMS_POINTER, \
                   .offset = offsetof(_s, _f))
#define VMSTATE_VBUFFER_UINT32(_f, _s, _v, _test, _size_f)                   \
    VMSTATE_ENTRY_(stringify(_f), _v, _test,                                 \
                   .size_offset = vmstate_offset_value(_s, _size_f, uint32_t), \
                   .info = &vmstate_info_buffer, .flags = VMS_VBUFFER | VMS_POINTER, \
                   .offset = offsetof(_s, _f))
#define VMSTATE_VBUFFER_ALLOC_UINT32(_f, _s, _v, _test, _size_f)             \
    VMSTATE_ENTRY_(stringify(_f), _v, _test,                                 \
                   .size_offset = vmstate_offset_value(_s, _size_f, uint32_t), \
                   .info = &vmstate_info_buffer,                             \
                   .flags = VMS_VBUFFER | VMS_POINTER | VMS_ALLOC, .offset = offsetof(_s, _f))
#define VMSTATE_BUFFER_UNSAFE_INFO_TEST(_f, _s, _test, _v, _info, _size)     \
    VMSTATE_ENTRY_(stringify(_f), _v, _test, .size = (_size), .info = &(_info), \
                   .flags = VMS_BUFFER, .offset = offsetof(_s, _f))
#define VMSTATE_BUFFER_UNSAFE_INFO(_f, _s, _v, _info, _size) \
    VMSTATE_BUFFER_UNSAFE_INFO_TEST(_f, _s, NULL, _v, _info, _size)
#define VMSTATE_BUFFER_UNSAFE(_f, _s, _v, _size) \
    VMSTATE_BUFFER_UNSAFE_INFO(_f, _s, _v, vmstate_info_buffer, _size)
#define VMSTATE_BITMAP(_f, _s, _v, _size_f)                                  \
    VMSTATE_ENTRY_(stringify(_f), _v, NULL,                                  \
                   .size_offset = vmstate_offset_value(_s, _size_f, int32_t), \
                   .info = &vmstate_info_bitmap, .flags = VMS_VBUFFER | VMS_POINTER, \
                   .offset = offsetof(_s, _f))
#define VMSTATE_UNUSED_BUFFER(_test, _v, _size)                              \
    VMSTATE_ENTRY_("unused", _v, _test, .size = (_size), .info = &vmstate_info_unused_buffer, \
                   .flags = VMS_BUFFER)
#define VMSTATE_UNUSED_TEST(_test, _size) VMSTATE_UNUSED_BUFFER(_test, 0, _size)
#define VMSTATE_UNUSED_V(_v, _size) VMSTATE_UNUSED_BUFFER(NULL, _v, _size)
#define VMSTATE_UNUSED(_size) VMSTATE_UNUSED_V(0, _size)
/*
 * A struct of its own, made only to be saved or loaded: @_tmp_type begins with a pointer to @_s
 * named parent.
 */
#define VMSTATE_WITH_TMP_TEST(_s, _test, _tmp_type, _vmsd)                   \
    VMSTATE_ENTRY_("tmp", 0, _test,                                          \
                   .size = sizeof(_tmp_type) +                               \
                           QEMU_BUILD_BUG_ON_ZERO(offsetof(_tmp_type, parent) != 0) + \
                           type_check_pointer(_s, typeof_field(_tmp_type, parent)), \
                   .vmsd = &(_vmsd), .info = &vmstate_info_tmp)
#define VMSTATE_WITH_TMP(_s, _tmp_type, _vmsd) \
    VMSTATE_WITH_TMP_TEST(_s, NULL, _tmp_type, _vmsd)

/* Integers and bool: for each type T the whole family. */
#define VMSTATE_BOOL_V(_f, _s, _v) VMSTATE_SINGLE(_f, _s, _v, vmstate_info_bool, bool)
#define VMSTATE_INT8_V(_f, _s, _v) VMSTATE_SINGLE(_f, _s, _v, vmstate_info_int8, int8_t)
#define VMSTATE_INT16_V(_f, _s, _v) VMSTATE_SINGLE(_f, _s, _v, vmstate_info_int16, int16_t)
#define VMSTATE_INT32_V(_f, _s, _v) VMSTATE_SINGLE(_f, _s, _v, vmstate_info_int32, int32_t)
#define VMSTATE_INT64_V(_f, _s, _v) VMSTATE_SINGLE(_f, _s, _v, vmstate_info_int64, int64_t)
#define VMSTATE_UINT8_V(_f, _s, _v) VMSTATE_SINGLE(_f, _s, _v, vmstate_info_uint8, uint8_t)
#define VMSTATE_UINT16_V(_f, _s, _v) VMSTATE_SINGLE(_f, _s, _v, vmstate_info_uint16, uint16_t)
#define VMSTATE_UINT32_V(_f, _s, _v) VMSTATE_SINGLE(_f, _s, _v, vmstate_info_uint32, uint32_t)
#define VMSTATE_UINT64_V(_f, _s, _v) VMSTATE_SINGLE(_f, _s, _v, vmstate_info_uint64, uint64_t)
#define VMSTATE_BOOL(_f, _s) VMSTATE_BOOL_V(_f, _s, 0)
#define VMSTATE_INT8(_f, _s) VMSTATE_INT8_V(_f, _s, 0)
#define VMSTATE_INT16(_f, _s) VMSTATE_INT16_V(_f, _s, 0)
#define VMSTATE_INT32(_f, _s) VMSTATE_INT32_V(_f, _s, 0)
#define VMSTATE_INT64(_f, _s) VMSTATE_INT64_V(_f, _s, 0)
#define VMSTATE_UINT8(_f, _s) VMSTATE_UINT8_V(_f, _s, 0)
#define VMSTATE_UINT16(_f, _s) VMSTATE_UINT16_V(_f, _s, 0)
#define VMSTATE_UINT32(_f, _s) VMSTATE_UINT32_V(_f, _s, 0)
#define VMSTATE_UINT64(_f, _s) VMSTATE_UINT64_V(_f, _s, 0)
#define VMSTATE_BOOL_TEST(_f, _s, _t) \
    VMSTATE_SINGLE_TEST(_f, _s, _t, 0, vmstate_info_bool, bool)
#define VMSTATE_INT8_TEST(_f, _s, _t) \
    VMSTATE_SINGLE_TEST(_f, _s, _t, 0, vmstate_info_int8, int8_t)
#define VMSTATE_INT16_TEST(_f, _s, _t) \
    VMSTATE_SINGLE_TEST(_f, _s, _t, 0, vmstate_info_int16, int16_t)
#define VMSTATE_INT32_TEST(_f, _s, _t) \
    VMSTATE_SINGLE_TEST(_f, _s, _t, 0, vmstate_info_int32, int32_t)
#define VMSTATE_INT64_TEST(_f, _s, _t) \
    VMSTATE_SINGLE_TEST(_f, _s, _t, 0, vmstate_info_int64, int64_t)
#define VMSTATE_UINT8_TEST(_f, _s, _t) \
    VMSTATE_SINGLE_TEST(_f, _s, _t, 0, vmstate_info_uint8, uint8_t)
#define VMSTATE_UINT16_TEST(_f, _s, _t) \
    VMSTATE_SINGLE_TEST(_f, _s, _t, 0, vmstate_info_uint16, uint16_t)
#define VMSTATE_UINT32_TEST(_f, _s, _t) \
    VMSTATE_SINGLE_TEST(_f, _s, _t, 0, vmstate_info_uint32, uint32_t)
#define VMSTATE_UINT64_TEST(_f, _s, _t) \
    VMSTATE_SINGLE_TEST(_f, _s, _t, 0, vmstate_info_uint64, uint64_t)

#define VMSTATE_UINT8_EQUAL(_f, _s, _hint) \
    VMSTATE_SINGLE_FULL(_f, _s, NULL, 0, 0, vmstate_info_uint8_equal, uint8_t, _hint)
#define VMSTATE_UINT16_EQUAL(_f, _s, _hint) \
    VMSTATE_SINGLE_FULL(_f, _s, NULL, 0, 0, vmstate_info_uint16_equal, uint16_t, _hint)
#define VMSTATE_UINT16_EQUAL_V(_f, _s, _v, _hint) \
    VMSTATE_SINGLE_FULL(_f, _s, NULL, _v, 0, vmstate_info_uint16_equal, uint16_t, _hint)
#define VMSTATE_INT32_EQUAL(_f, _s, _hint) \
    VMSTATE_SINGLE_FULL(_f, _s, NULL, 0, 0, vmstate_info_int32_equal, int32_t, _hint)
#define VMSTATE_UINT32_EQUAL_V(_f, _s, _v, _hint) \
    VMSTATE_SINGLE_FULL(_f, _s, NULL, _v, 0, vmstate_info_uint32_equal, uint32_t, _hint)
#define VMSTATE_UINT32_EQUAL(_f, _s, _hint) VMSTATE_UINT32_EQUAL_V(_f, _s, 0, _hint)
#define VMSTATE_UINT64_EQUAL_V(_f, _s, _v, _hint) \
    VMSTATE_SINGLE_FULL(_f, _s, NULL, _v, 0, vmstate_info_uint64_equal, uint64_t, _hint)
#define VMSTATE_UINT64_EQUAL(_f, _s, _hint) VMSTATE_UINT64_EQUAL_V(_f, _s, 0, _hint)
#define VMSTATE_INT32_POSITIVE_LE(_f, _s) \
    VMSTATE_SINGLE(_f, _s, 0, vmstate_info_int32_le, int32_t)

#define VMSTATE_BOOL_ARRAY_V(_f, _s, _n, _v) \
    VMSTATE_ARRAY(_f, _s, _n, _v, vmstate_info_bool, bool)
#define VMSTATE_INT8_ARRAY_V(_f, _s, _n, _v) \
    VMSTATE_ARRAY(_f, _s, _n, _v, vmstate_info_int8, int8_t)
#define VMSTATE_INT16_ARRAY_V(_f, _s, _n, _v) \
    VMSTATE_ARRAY(_f, _s, _n, _v, vmstate_info_int16, int16_t)
#define VMSTATE_INT32_ARRAY_V(_f, _s, _n, _v) \
    VMSTATE_ARRAY(_f, _s, _n, _v, vmstate_info_int32, int32_t)
#define VMSTATE_INT64_ARRAY_V(_f, _s, _n, _v) \
    VMSTATE_ARRAY(_f, _s, _n, _v, vmstate_info_int64, int64_t)
#define VMSTATE_UINT8_ARRAY_V(_f, _s, _n, _v) \
    VMSTATE_ARRAY(_f, _s, _n, _v, vmstate_info_uint8, uint8_t)
#define VMSTATE_UINT16_ARRAY_V(_f, _s, _n, _v) \
    VMSTATE_ARRAY(_f, _s, _n, _v, vmstate_info_uint16, uint16_t)
#define VMSTATE_UINT32_ARRAY_V(_f, _s, _n, _v) \
    VMSTATE_ARRAY(_f, _s, _n, _v, vmstate_info_uint32, uint32_t)
#define VMSTATE_UINT64_ARRAY_V(_f, _s, _n, _v) \
    VMSTATE_ARRAY(_f, _s, _n, _v, vmstate_info_uint64, uint64_t)
#define VMSTATE_BOOL_ARRAY(_f, _s, _n) VMSTATE_BOOL_ARRAY_V(_f, _s, _n, 0)
#define VMSTATE_INT8_ARRAY(_f, _s, _n) VMSTATE_INT8_ARRAY_V(_f, _s, _n, 0)
#define VMSTATE_INT16_ARRAY(_f, _s, _n) VMSTATE_INT16_ARRAY_V(_f, _s, _n, 0)
#define VMSTATE_INT32_ARRAY(_f, _s, _n) VMSTATE_INT32_ARRAY_V(_f, _s, _n, 0)
#define VMSTATE_INT64_ARRAY(_f, _s, _n) VMSTATE_INT64_ARRAY_V(_f, _s, _n, 0)
#define VMSTATE_UINT8_ARRAY(_f, _s, _n) VMSTATE_UINT8_ARRAY_V(_f, _s, _n, 0)
#define VMSTATE_UINT16_ARRAY(_f, _s, _n) VMSTATE_UINT16_ARRAY_V(_f, _s, _n, 0)
#define VMSTATE_UINT32_ARRAY(_f, _s, _n) VMSTATE_UINT32_ARRAY_V(_f, _s, _n, 0)
#define VMSTATE_UINT64_ARRAY(_f, _s, _n) VMSTATE_UINT64_ARRAY_V(_f, _s, _n, 0)
#define VMSTATE_UINT8_SUB_ARRAY(_f, _s, _start, _n) \
    VMSTATE_SUB_ARRAY(_f, _s, _start, _n, 0, vmstate_info_uint8, uint8_t)
#define VMSTATE_UINT32_SUB_ARRAY(_f, _s, _start, _n) \
    VMSTATE_SUB_ARRAY(_f, _s, _start, _n, 0, vmstate_info_uint32, uint32_t)
#define VMSTATE_UINT64_SUB_ARRAY(_f, _s, _start, _n) \
    VMSTATE_SUB_ARRAY(_f, _s, _start, _n, 0, vmstate_info_uint64, uint64_t)
#define VMSTATE_UINT8_2DARRAY(_f, _s, _n1, _n2) \
    VMSTATE_2DARRAY(_f, _s, _n1, _n2, 0, vmstate_info_uint8, uint8_t)
#define VMSTATE_UINT32_2DARRAY(_f, _s, _n1, _n2) \
    VMSTATE_2DARRAY(_f, _s, _n1, _n2, 0, vmstate_info_uint32, uint32_t)
#define VMSTATE_UINT64_2DARRAY(_f, _s, _n1, _n2) \
    VMSTATE_2DARRAY(_f, _s, _n1, _n2, 0, vmstate_info_uint64, uint64_t)

#define VMSTATE_TIMER_TEST(_f, _s, _t) \
    VMSTATE_SINGLE_TEST(_f, _s, _t, 0, vmstate_info_timer, QEMUTimer)
#define VMSTATE_TIMER_V(_f, _s, _v) VMSTATE_SINGLE(_f, _s, _v, vmstate_info_timer, QEMUTimer)
#define VMSTATE_TIMER(_f, _s) VMSTATE_TIMER_V(_f, _s, 0)
#define VMSTATE_TIMER_PTR_TEST(_f, _s, _t) \
    VMSTATE_POINTER_TEST(_f, _s, _t, vmstate_info_timer, QEMUTimer *)
#define VMSTATE_TIMER_PTR_V(_f, _s, _v) \
    VMSTATE_POINTER(_f, _s, _v, vmstate_info_timer, QEMUTimer *)
#define VMSTATE_TIMER_PTR(_f, _s) VMSTATE_TIMER_PTR_V(_f, _s, 0)

/* Values validated when loading: the test says whether the state is acceptable. */
#define VMSTATE_VALIDATE(_name, _test)                                       \
    VMSTATE_ENTRY_(_name, 0, _test, .flags = VMS_ARRAY | VMS_MUST_EXIST, .num = 0)

#define VMSTATE_END_OF_LIST() {.flags = VMS_END}

/*
 * Save or load one struct.  @vmdesc may be NULL.  @version_id: what the stream says.  0 or
 * -errno; the _err forms also say why, naming section and field.
 */
int vmstate_load_state(QEMUFile *f, const VMStateDescription *vmsd, void *opaque, int version_id);
int vmstate_load_state_err(QEMUFile *f, const VMStateDescription *vmsd, void *opaque,
                           int version_id, Error **errp);
int vmstate_save_state(QEMUFile *f, const VMStateDescription *vmsd, void *opaque,
                       JSONWriter *vmdesc);
int vmstate_save_state_with_err(QEMUFile *f, const VMStateDescription *vmsd, void *opaque,
                                JSONWriter *vmdesc, Error **errp);
int vmstate_save_state_v(QEMUFile *f, const VMStateDescription *vmsd, void *opaque,
                         JSONWriter *vmdesc, int version_id, Error **errp);
bool vmstate_section_needed(const VMStateDescription *vmsd, void *opaque);

/*
 * Register a device's state: section "ID/NAME" where @obj has an id, NAME otherwise.  instance_id
 * VMSTATE_INSTANCE_ID_ANY takes the next free one.  0, or -1 with errp (-only-migratable).
 */
#define VMSTATE_INSTANCE_ID_ANY (-1)
int vmstate_register_with_alias_id(VMStateIf *obj, uint32_t instance_id,
                                   const VMStateDescription *vmsd, void *base, int alias_id,
                                   int required_for_version, Error **errp);
static inline int vmstate_register(VMStateIf *obj, int instance_id,
                                   const VMStateDescription *vmsd, void *opaque)
{
    return vmstate_register_with_alias_id(obj, instance_id, vmsd, opaque, -1, 0, NULL);
}
static inline int vmstate_register_any(VMStateIf *obj, const VMStateDescription *vmsd,
                                       void *opaque)
{
    return vmstate_register_with_alias_id(obj, VMSTATE_INSTANCE_ID_ANY, vmsd, opaque, -1, 0, NULL);
}
void vmstate_unregister(VMStateIf *obj, const VMStateDescription *vmsd, void *opaque);

/* Name a region's RAM block in the stream and make it migrate ("DEVPATH/NAME" or NAME). */
void vmstate_register_ram(MemoryRegion *mr, DeviceState *dev);
void vmstate_unregister_ram(MemoryRegion *mr, DeviceState *dev);
void vmstate_register_ram_global(MemoryRegion *mr);

bool vmstate_check_only_migratable(const VMStateDescription *vmsd);
/* -dump-vmstate: every device type's description as JSON. */
void dump_vmstate_json_to_file(FILE *out);

#endif
