/*
 * The recorded streams of real QEMU load, byte for byte; and whatever is done to them (cut short
 * anywhere, a byte changed anywhere) ends in an error that names a place, or in a load, but
 * never in a crash or in a write outside the RAM block, which lies between guard pages.
 *
 * By default page contents are sampled, since a cut or a change there is the same everywhere;
 * GODWIT_TEST_THOROUGH=1 leaves nothing out.
 *
 * SPDX-License-Identifier: GPL-2.0-or-later
 */
#include "qemu/osdep.h"
#include <zlib.h>
#include "io/channel-buffer.h"
#include "migration/global_state.h"
#include "migration/misc.h"
#include "migration/qemu-file.h"
#include "migration/vmstate.h"
#include "qapi/error.h"
#include "qemu/main-loop.h"
#include "qemu/module.h"
#include "qemu/timer.h"
#include "qemu/units.h"
#include "system/cpus.h"
#include "system/ramblock.h"
#include "../../migration/migration.h"
#include "../../migration/savevm.h"

#define RAM_SIZE (2 * MiB)

static uint8_t *ram;
static bool thorough;

static const VMStateDescription vmstate_timers = {
    .name = "timer",
    .version_id = 2,
    .minimum_version_id = 1,
    .fields = (const VMStateField[]){
        VMSTATE_INT64(cpu_ticks_offset, TimersState),
        VMSTATE_UNUSED(8),
        VMSTATE_INT64_V(cpu_clock_offset, TimersState, 2),
        VMSTATE_END_OF_LIST()
    },
};

/* The machine that the streams come from: 2 MiB of RAM and nothing else. */
static void set_up_machine(void)
{
    size_t guard = 16 * qemu_real_host_page_size();
    uint8_t *area = mmap(NULL, RAM_SIZE + 2 * guard, PROT_NONE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
    RAMBlock *rb;

    g_assert(area != MAP_FAILED);
    ram = area + guard;
    g_assert_cmpint(mprotect(ram, RAM_SIZE, PROT_READ | PROT_WRITE), ==, 0);
    rb = qemu_ram_alloc_from_ptr(RAM_SIZE, ram, NULL, &error_abort);
    qemu_ram_set_idstr(rb, "ram", NULL);
    qemu_ram_set_migratable(rb);
    migration_object_init();
    register_global_state();
    migration_set_machine_name("none");
    vmstate_register(NULL, 0, &vmstate_timers, &timers_state);
}

static int load(const uint8_t *data, size_t len, Error **errp)
{
    MigrationIncomingState *mis = migration_incoming_get_current();
    QIOChannelBuffer *bioc = qio_channel_buffer_new(len + 1);
    int ret;

    if (len) {
        qio_channel_write_all(QIO_CHANNEL(bioc), (const char *)data, len, &error_abort);
    }
    bioc->offset = 0;
    mis->from_src_file = qemu_file_new_input(QIO_CHANNEL(bioc));
    bql_unlock(); /* loading is a thread's work */
    ret = qemu_loadvm_state(mis->from_src_file, errp);
    bql_lock();
    qemu_loadvm_state_cleanup();
    qemu_fclose(mis->from_src_file);
    mis->from_src_file = NULL;
    if (mis->to_src_file) {
        qemu_fclose(mis->to_src_file);
        mis->to_src_file = NULL;
    }
    return ret;
}

static void read_data(const char *name, uint8_t **data, size_t *len)
{
    g_autofree char *path = g_test_build_filename(G_TEST_DIST, "../data", name, NULL);
    GError *err = NULL;

    if (!g_file_get_contents(path, (char **)data, len, &err)) {
        g_error("%s", err->message);
    }
}

static void test_recorded(const void *opaque)
{
    g_autofree uint8_t *stream = NULL, *want = NULL;
    size_t len, want_len;

    read_data(opaque, &stream, &len);
    read_data("ram-2m.bin", &want, &want_len);
    g_assert_cmpint(want_len, ==, RAM_SIZE);
    for (int fill = 0; fill < 256; fill += 0xa5) {
        /* Over zeroes, and over memory that was full of something. */
        memset(ram, fill, RAM_SIZE);
        g_assert_cmpint(load(stream, len, &error_abort), ==, 0);
        g_assert_true(memcmp(ram, want, RAM_SIZE) == 0);
        g_assert_true(global_state_received());
        g_assert_cmpint(global_state_get_runstate(), ==, RUN_STATE_RUNNING);
    }
}

/*
 * Which bytes are page contents?  Found by walking the records of the one RAM block, as simply as
 * the format allows.
 */
static bool *find_payload(const uint8_t *s, size_t len)
{
    bool *payload = g_new0(bool, len);
    size_t end = len;

    for (size_t i = 0; i + 8 <= end;) {
        uint64_t head = ldq_be_p(s + i), flags = head & 0xfff, offset = head & ~0xfffull;
        size_t name = flags & 0x20 ? 0 : 4;

        if ((flags & ~0x20ull) == 0x08 && offset < RAM_SIZE && i + 8 + name + 4096 <= len &&
            (!name || !memcmp(s + i + 8, "\3ram", 4))) {
            memset(payload + i + 8 + name, true, 4096);
            i += 8 + name + 4096;
        } else {
            i++;
        }
    }
    return payload;
}

static bool interesting(const bool *payload, size_t i)
{
    return thorough || !payload[i] || i % 1021 == 0;
}

static void test_prefixes(const void *opaque)
{
    g_autofree uint8_t *stream = NULL;
    g_autofree bool *payload = NULL;
    size_t len, end;

    read_data(opaque, &stream, &len);
    payload = find_payload(stream, len);
    /* The description at the end may be cut: nobody needs it. */
    end = (uint8_t *)memmem(stream, len, "globalstate", 11) - stream + 200;
    for (size_t i = end; i-- > 0;) {
        if (stream[i] == 0x7e && ldl_be_p(stream + i + 1) < 16) {
            end = i + 5; /* the last footer, then the end mark */
            break;
        }
    }
    for (size_t i = 0; i <= end; i++) {
        Error *err = NULL;

        if (!interesting(payload, i)) {
            continue;
        }
        if (load(stream, i, &err) == 0) {
            g_error("a stream of %zu bytes out of %zu loads", i, len);
        }
        g_assert_nonnull(err);
        error_free(err);
    }
}

static void test_changes(const void *opaque)
{
    g_autofree uint8_t *stream = NULL;
    g_autofree bool *payload = NULL;
    unsigned refused = 0, loaded = 0;
    size_t len;

    read_data(opaque, &stream, &len);
    payload = find_payload(stream, len);
    for (size_t i = 0; i < len; i++) {
        uint8_t old = stream[i];
        const uint8_t values[] = {old ^ 1, old ^ 0x80, old + 1, 0xff, 0};

        if (!interesting(payload, i)) {
            continue;
        }
        for (size_t v = 0; v < ARRAY_SIZE(values); v++) {
            Error *err = NULL;

            /* One in five where only page offsets vary: the record headers are all alike. */
            if (values[v] == old || (!thorough && i > 4096 && (i + v) % 5)) {
                continue;
            }
            stream[i] = values[v];
            if (load(stream, len, &err) == 0) {
                loaded++;
            } else {
                g_assert_nonnull(err);
                refused++;
            }
            error_free(err);
        }
        stream[i] = old;
    }
    g_test_message("%u refused, %u loaded", refused, loaded);
    g_assert_cmpint(refused, >, 1000);
}

static void refuse_like(const uint8_t *stream, size_t len, const char *what)
{
    Error *err = NULL;

    g_assert_cmpint(load(stream, len, &err), <, 0);
    if (!strstr(error_get_pretty(err), what)) {
        g_error("'%s' does not say '%s'", error_get_pretty(err), what);
    }
    error_free(err);
}

/* Errors that name what and where. */
static void test_messages(void)
{
    static const char *const name = "qemu-7.2-none-2m.bin";
    g_autofree uint8_t *s = NULL;
    size_t len;

    read_data(name, &s, &len);
#define BROKEN(at, value, what)             \
    do {                                    \
        uint8_t old_ = s[at];               \
        s[at] = value;                      \
        refuse_like(s, len, what);          \
        s[at] = old_;                       \
    } while (0)
    BROKEN(0, 'X', "\"QEVM\"");
    BROKEN(7, 2, "obsolete");
    BROKEN(7, 4, "version 4");
    BROKEN(8, 6, "Configuration section missing");
    BROKEN(9, 1, "machine type name of 16777220 bytes");
    BROKEN(13, 'q', "Machine type received is 'qone' and local is 'none'");
    BROKEN(0x11, 9, "Unknown savevm section type 0x09");
    BROKEN(0x11, 9, "offset 0x11");
    BROKEN(0x17, 'x', "'xam' 0");
    BROKEN(0x1d, 7, "'ram' 7");
    BROKEN(0x21, 5, "version 5 is too new");
    BROKEN(0x27, 0x10, "block 'ram' has 0x200000 bytes, but only");
    BROKEN(0x2b, 'x', "block 'xam'");
    BROKEN(0x33, 0x40, "block 'ram'");
    BROKEN(0x3e, 0x7d, "Missing section footer at offset 0x3e: found 0x7d, expected 0x7e");
    BROKEN(0x42, 3, "Mismatched section id in the footer");
    BROKEN(0x47, 3, "Unknown section id 3");
    BROKEN(0x4d, 0x30, "outside block 'ram'");
    BROKEN(0x4f, 0x0c, "unknown combination of flags 0xc");
    BROKEN(0x4f, 0x48, "unknown combination of flags 0x48");
    BROKEN(0x4f, 0x28, "none was named");
}

/* Where the first section of pages begins in the stream of 7.2. */
#define RECORDS_AT 0x48

/* The stream with @record in front of its first pages. */
static uint8_t *with_record(const uint8_t *s, size_t len, const void *record, size_t size)
{
    uint8_t *out = g_malloc(len + size);

    memcpy(out, s, RECORDS_AT);
    memcpy(out + RECORDS_AT, record, size);
    memcpy(out + RECORDS_AT + size, s + RECORDS_AT, len - RECORDS_AT);
    return out;
}

/* Differences, compressed pages and multifd's marks that make no sense. */
static void test_records(void)
{
#define RECORD(bytes, what) { bytes, sizeof(bytes) - 1, what }
#define XBZRLE "\0\0\0\0\0\0\x10\x40\3ram"
#define COMPRESS "\0\0\0\0\0\0\x11\0\3ram"
    static const struct { const char *bytes; size_t size; const char *what; } records[] = {
        RECORD(XBZRLE "\2\0\3\0\1x", "XBZRLE data has encoding 2, expected 1"),
        RECORD(XBZRLE "\1\x10\1", "XBZRLE data has 4097 bytes"),
        RECORD(XBZRLE "\1\xff\xff", "XBZRLE data has 65535 bytes"),
        RECORD(XBZRLE "\1\0\3\0\2x", "3 bytes of XBZRLE data are not the difference"),
        RECORD(XBZRLE "\1\0\2\0\0", "2 bytes of XBZRLE data are not the difference"),
        RECORD(XBZRLE "\1\0\1\x80", "1 bytes of XBZRLE data are not the difference"),
        RECORD(XBZRLE "\1\0\4\xff\x1f\2x", "4 bytes of XBZRLE data are not the difference"),
        RECORD("\0\0\0\0\0\x20\0\x40\3ram\1\0\3\0\1x", "has no place in block 'ram'"),
        RECORD("\0\0\0\0\0\0\0\x40\3rom\1\0\3\0\1x", "block 'rom' does not exist"),
        RECORD("\0\0\0\0\0\0\0\x60\1\0\3\0\1x", "none was named yet"),
        RECORD(COMPRESS "\0\0\0\0", "a compressed page has 0 bytes"),
        RECORD(COMPRESS "\0\1\0\0", "a compressed page has 65536 bytes"),
        RECORD(COMPRESS "\xff\xff\xff\xff", "a compressed page has 4294967295 bytes"),
        RECORD(COMPRESS "\0\0\0\4xxxx", "block 'ram', offset 0x1000: its 4 bytes do not decompress"),
        /* zlib's form of nothing: it ends well, but it is no page. */
        RECORD(COMPRESS "\0\0\0\x08\x78\x9c\3\0\0\0\0\1", "its 8 bytes do not decompress"),
        RECORD("\0\0\0\0\0\x20\1\0\3ram\0\0\0\4xxxx", "has no place in block 'ram'"),
        RECORD("\0\0\0\0\0\0\2\0", "multifd, which is not switched on here"),
        RECORD("\0\0\0\0\0\0\0\x80", "RDMA"),
        RECORD("\0\0\0\0\0\x20\0\4", "the list of blocks comes a second time"),
    };
    g_autofree uint8_t *s = NULL;
    size_t len;

    read_data("qemu-7.2-none-2m.bin", &s, &len);
    for (size_t i = 0; i < ARRAY_SIZE(records); i++) {
        g_autofree uint8_t *bad = with_record(s, len, records[i].bytes, records[i].size);

        refuse_like(bad, len + records[i].size, records[i].what);
        /* Cut off within the record: an error too, whichever. */
        for (size_t cut = 1; cut < records[i].size; cut++) {
            Error *err = NULL;

            g_assert_cmpint(load(bad, RECORDS_AT + cut, &err), <, 0);
            g_assert_nonnull(err);
            error_free(err);
        }
    }
}

/* A page that is in work with a thread, and then comes again in another form: the last one counts. */
static void test_made_twice(void)
{
    g_autofree uint8_t *s = NULL, *both = NULL;
    uint8_t page[4096], packed[8192];
    uLongf packed_len = sizeof(packed);
    g_autoptr(GByteArray) record = g_byte_array_new();
    size_t len;
    uint8_t size[4];

    read_data("qemu-7.2-none-2m.bin", &s, &len);
    for (size_t i = 0; i < sizeof(page); i++) {
        page[i] = i * 7 / 5;
    }
    g_assert_cmpint(compress2(packed, &packed_len, page, sizeof(page), 1), ==, Z_OK);
    stl_be_p(size, packed_len);
    for (int i = 0; i < 100; i++) {
        g_byte_array_append(record, (const uint8_t *)COMPRESS, 12);
        g_byte_array_append(record, size, 4);
        g_byte_array_append(record, packed, packed_len);
        g_byte_array_append(record, (const uint8_t *)"\0\0\0\0\0\0\x10\x60\1\0\3\5\1y", 14);
    }
    /* What follows in the stream is over it, so the stream ends here: nothing is complete, but RAM shows. */
    both = with_record(s, len, record->data, record->len);
    memset(ram, 0xee, RAM_SIZE);
    g_assert_cmpint(load(both, RECORDS_AT + record->len, NULL), <, 0);
    page[5] = 'y';
    g_assert_cmpmem(ram + 4096, 4096, page, sizeof(page));
}

/* Run states that no guest arrives in: the destination could do nothing with them. */
static void test_run_states(void)
{
    static const char *const states[] = {"debug", "inmigrate", "finish-migrate", "save-vm", "xyz"};
    g_autofree uint8_t *s = NULL;
    uint8_t *name;
    size_t len;

    read_data("qemu-10.0-none-2m.bin", &s, &len);
    name = memmem(s, len, "running", 7);
    for (size_t i = 0; i < ARRAY_SIZE(states); i++) {
        memset(name, 0, 32);
        strcpy((char *)name, states[i]);
        refuse_like(s, len, states[i]);
    }
    strcpy((char *)name, "paused");
    memset(name + 6, 0, 26);
    g_assert_cmpint(load(s, len, &error_abort), ==, 0);
    g_assert_cmpint(global_state_get_runstate(), ==, RUN_STATE_PAUSED);
}

/* RAM that began must also end. */
static void test_half(void)
{
    g_autofree uint8_t *s = NULL;
    size_t len;

    read_data("qemu-7.2-none-2m.bin", &s, &len);
    g_assert_cmpint(s[0x43], ==, 2); /* behind the START section: a PART */
    s[0x43] = 0;
    refuse_like(s, 0x44, "'ram' has not ended");
}

int main(int argc, char **argv)
{
    static const char *const streams[] = {"qemu-7.2-none-2m.bin", "qemu-10.0-none-2m.bin"};

    g_test_init(&argc, &argv, NULL);
    thorough = g_getenv("GODWIT_TEST_THOROUGH") != NULL;
    qemu_init_main_loop(&error_abort);
    qemu_init_cpu_loop();
    module_call_init(MODULE_INIT_QOM);
    set_up_machine();
    for (size_t i = 0; i < ARRAY_SIZE(streams); i++) {
        g_autofree char *a = g_strdup_printf("/loadvm/recorded/%s", streams[i]);
        g_autofree char *b = g_strdup_printf("/loadvm/prefixes/%s", streams[i]);
        g_autofree char *c = g_strdup_printf("/loadvm/changes/%s", streams[i]);

        g_test_add_data_func(a, streams[i], test_recorded);
        g_test_add_data_func(b, streams[i], test_prefixes);
        g_test_add_data_func(c, streams[i], test_changes);
    }
    g_test_add_func("/loadvm/messages", test_messages);
    g_test_add_func("/loadvm/records", test_records);
    g_test_add_func("/loadvm/made-twice", test_made_twice);
    g_test_add_func("/loadvm/run-states", test_run_states);
    g_test_add_func("/loadvm/half", test_half);
    return g_test_run();
}
