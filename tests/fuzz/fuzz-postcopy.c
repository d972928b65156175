/*
 * What a destination in postcopy reads: the main stream before and behind LISTEN, the preempt
 * channel, and both again after a pause, by the threads that read them in the program. First byte:
 * capabilities postcopy-preempt (1) and postcopy-blocktime (4); what comes up to the block list is
 * given (2), else the input is the stream from its first byte on. Then parts (fuzz-pipe.h):
 *   m  the main channel's next bytes; so the first part without a mark
 *   k  the same in a package, with its length as it should be
 *   p  the preempt channel's; P  the same, and what follows is read beside it
 *   y  the channels are shut down (yank); no bytes
 *   r  a new connection, once this one is given up; its first bytes
 * The machine has a device that reads guest memory as it is loaded.
 *
 * With FUZZ_TELL set it says what became of the input.
 *
 * Needs userfaultfd, in the form that everybody may have: nothing here faults in the kernel.
 *
 * SPDX-License-Identifier: GPL-2.0-or-later
 */
#include "fuzz-pipe.h"
#include <linux/userfaultfd.h>
#include <sys/syscall.h>
#include "migration/vmstate.h"
#include "../../migration/migration.h"
#include "../../migration/multifd.h"
#include "../../migration/postcopy-incoming-internal.h"
#include "../../migration/ram.h"
#include "../../migration/savevm.h"

long __real_syscall(long number, ...);
long __wrap_syscall(long number, ...);
void __wrap_migration_incoming_start_guest(void);

/* Of one input. */
static struct {
    QemuThread thread;
    bool loaded;         /* atomic: the load thread has ended… */
    int ret;             /* …with this, for this reason */
    char *why;
    bool waits;          /* atomic: the device is at guest memory, and may wait for it */
    unsigned starts;     /* of the guest */
    GPtrArray *pipes;
    FuzzPipe *main, *preempt;
} run;

static RAMBlock *large;
static uint8_t *ram;
static GByteArray *beginning;

/* --- seams --- */

#ifndef UFFD_USER_MODE_ONLY
#define UFFD_USER_MODE_ONLY 1
#endif

/* Reads more arguments than there may be. */
__attribute__((no_sanitize("address")))
long __wrap_syscall(long number, ...)
{
    long a[6];
    va_list ap;

    va_start(ap, number);
    for (size_t i = 0; i < ARRAY_SIZE(a); i++) {
        a[i] = va_arg(ap, long);
    }
    va_end(ap);
    if (number == SYS_userfaultfd) {
        a[0] |= UFFD_USER_MODE_ONLY;
    }
    return __real_syscall(number, a[0], a[1], a[2], a[3], a[4], a[5]);
}

/* There is no guest. */
void __wrap_migration_incoming_start_guest(void)
{
    run.starts++;
}

/* --- the device --- */

typedef struct Device {
    uint32_t touch;
    uint8_t seen;
} Device;

static Device device;

static int device_post_load(void *opaque, int version_id)
{
    qatomic_mb_set(&run.waits, true);
    fuzz_wake();
    device.seen = qatomic_read(&ram[device.touch % FUZZ_RAM_SIZE]);
    qatomic_mb_set(&run.waits, false);
    return 0;
}

static const VMStateDescription vmstate_device = {
    .name = "fuzz",
    .version_id = 1,
    .minimum_version_id = 1,
    .post_load = device_post_load,
    .fields = (const VMStateField[]){
        VMSTATE_UINT32(touch, Device),
        VMSTATE_END_OF_LIST()
    },
};

/* --- what is behind "begins with the block list" --- */

static void make_beginning(void)
{
    FuzzPipe *pipe = fuzz_pipe_new();
    QEMUFile *f = qemu_file_new_output(fuzz_pipe_channel(pipe));
    RAMBlock *rb;

    qemu_savevm_state_header(f);
    qemu_savevm_send_open_return_path(f);
    qemu_savevm_send_postcopy_advise(f);
    qemu_put_byte(f, QEMU_VM_SECTION_START);
    qemu_put_be32(f, 2);
    qemu_put_counted_string(f, "ram");
    qemu_put_be32(f, 0);
    qemu_put_be32(f, RAM_SAVE_VERSION);
    qemu_put_be64(f, (FUZZ_RAM_SIZE + FUZZ_LARGE_SIZE) | RAM_SAVE_FLAG_MEM_SIZE);
    RAMBLOCK_FOREACH_MIGRATABLE(rb) {
        qemu_put_counted_string(f, rb->idstr);
        qemu_put_be64(f, rb->used_length);
        if (rb->page_size != qemu_real_host_page_size()) {
            qemu_put_be64(f, rb->page_size);
        }
    }
    qemu_put_be64(f, RAM_SAVE_FLAG_EOS);
    qemu_put_byte(f, QEMU_VM_SECTION_FOOTER);
    qemu_put_be32(f, 2);
    qemu_fclose(f);
    beginning = g_byte_array_ref(pipe->out);
    fuzz_pipe_free(pipe);
}

int LLVMFuzzerInitialize(int *argc, char ***argv)
{
    MigrationState *s;
    Error *err = NULL;

    large = fuzz_postcopy_machine();
    ram = qemu_ram_block_by_name("ram")->host;
    vmstate_register(NULL, 0, &vmstate_device, &device);
    s = migrate_get_current();
    s->capabilities[MIGRATION_CAPABILITY_POSTCOPY_RAM] = true;
    if (!postcopy_ram_supported(&err)) {
        printf("SKIP: %s\n", error_get_pretty(err));
        exit(0);
    }
    make_beginning();
    return 0;
}

/* --- what it has said --- */

/* Bytes of the message at @p, of which @left are there; 0: it is cut off. Aborts if it is none. */
static size_t message_length(const uint8_t *p, size_t left)
{
    static const int lengths[] = {-1, 4, 4, -1, 12, -1, 4, 0};
    unsigned type, len;

    if (left < 4) {
        return 0;
    }
    type = lduw_be_p(p);
    len = lduw_be_p(p + 2);
    if (!type || type >= ARRAY_SIZE(lengths) || (lengths[type] >= 0 && len != lengths[type])) {
        abort();
    }
    if (left < 4 + len) {
        return 0;
    }
    if (type == 3 && (len < 14 || len != 13 + p[16])) {
        abort();
    }
    if ((type == 3 || type == 4) && (ldq_be_p(p + 4) >= FUZZ_RAM_SIZE || !ldl_be_p(p + 12))) {
        abort();
    }
    if (type == 5) {
        uint64_t bytes = left < 4 + len + 8 ? 0 : ldq_be_p(p + 4 + len);

        if (len != 1 + p[4] || (bytes != FUZZ_RAM_SIZE / TARGET_PAGE_SIZE / 8 && bytes != 8)) {
            abort();
        }
        len += 8 + bytes + 8;
    }
    return left < 4 + len ? 0 : 4 + len;
}

/* A page is asked for by message @p; over one connection that happens once. */
static void note_request(GHashTable *asked, char **block, const uint8_t *p)
{
    if (lduw_be_p(p) == 3) {
        g_free(*block);
        *block = g_strndup((const char *)p + 17, p[16]);
    }
    if (!*block ||
        !g_hash_table_add(asked, g_strdup_printf("%s %" PRIx64, *block, ldq_be_p(p + 4)))) {
        abort();
    }
}

static void check_messages(void *opaque, void *unused)
{
    g_autoptr(GHashTable) asked = g_hash_table_new_full(g_str_hash, g_str_equal, g_free, NULL);
    const FuzzPipe *pipe = opaque;
    g_autofree char *block = NULL;
    size_t n;

    for (size_t at = 0; at < pipe->out->len; at += n) {
        const uint8_t *p = pipe->out->data + at;

        n = message_length(p, pipe->out->len - at);
        if (!n) {
            abort();            /* here all of a message is written, or nothing */
        }
        if (lduw_be_p(p) == 3 || lduw_be_p(p) == 4) {
            note_request(asked, &block, p);
        }
    }
}

/* --- as incoming.c does it --- */

static void *load_thread(void *opaque)
{
    MigrationIncomingState *mis = opaque;
    Error *err = NULL;

    run.ret = qemu_loadvm_state(mis->from_src_file, &err);
    if ((run.ret < 0) != !!err) {
        abort();                /* each refusal has its reason */
    }
    if (run.ret == LOADVM_QUIT) {
        postcopy_incoming_load_thread_done();
    } else if (run.ret < 0) {
        postcopy_incoming_load_failed();
    }
    run.why = err ? g_strdup(error_get_pretty(err)) : NULL;
    error_free(err);
    qatomic_mb_set(&run.loaded, true);
    fuzz_wake();
    return NULL;
}

static void connect_preempt(void)
{
    if (migrate_get_current()->capabilities[MIGRATION_CAPABILITY_POSTCOPY_PREEMPT]) {
        QIOChannel *ioc;

        run.preempt = fuzz_pipe_new();
        g_ptr_array_add(run.pipes, run.preempt);
        ioc = fuzz_pipe_channel(run.preempt);
        if (!postcopy_incoming_take_preempt(ioc, NULL)) {
            abort();            /* the one before was given up */
        }
        object_unref(OBJECT(ioc));
    }
}

static void begin(MigrationIncomingState *mis)
{
    mis->state = MIGRATION_STATUS_ACTIVE;
    run.pipes = g_ptr_array_new();
    run.main = fuzz_pipe_new();
    run.preempt = NULL;
    g_ptr_array_add(run.pipes, run.main);
    connect_preempt();
    mis->from_src_file = qemu_file_new_input(fuzz_pipe_channel(run.main));
    run.loaded = run.waits = false;
    run.starts = 0;
    bql_unlock();
    qemu_thread_create(&run.thread, "load", load_thread, mis, QEMU_THREAD_JOINABLE);
}

static void end(MigrationIncomingState *mis)
{
    uint64_t missing;

    postcopy_incoming_stop();
    qemu_thread_join(&run.thread);
    bql_lock();
    if (postcopy_phase() == PHASE_ENDED && (run.ret != LOADVM_QUIT || postcopy_ram_missing())) {
        abort();
    }
    missing = postcopy_ram_missing();
    main_loop_wait(true);
    if (getenv("FUZZ_TELL")) {
        printf("load: %d, %s; %s, %s; %u starts, %" PRIu64 " pages missing\n", run.ret,
               run.why ? run.why : "well", MigrationStatus_str(mis->state),
               mis->error ? error_get_pretty(mis->error) : "well", run.starts, missing);
    }
    g_clear_pointer(&run.why, g_free);
    if (run.starts > 1 || (mis->state == MIGRATION_STATUS_COMPLETED && !run.starts)) {
        abort();
    }
    postcopy_incoming_cleanup();
    multifd_recv_cleanup();
    qemu_loadvm_state_cleanup();
    migration_incoming_close_return_path(mis);
    g_clear_pointer(&mis->from_src_file, qemu_fclose);
    g_clear_pointer(&mis->error, error_free);
    g_ptr_array_foreach(run.pipes, check_messages, NULL);
    g_ptr_array_foreach(run.pipes, (GFunc)fuzz_pipe_free, NULL);
    g_ptr_array_unref(run.pipes);
    madvise(ram, FUZZ_RAM_SIZE, MADV_DONTNEED);
    madvise(large->host, FUZZ_LARGE_SIZE, MADV_DONTNEED);
}

/* --- an input --- */

static bool paused(MigrationIncomingState *mis)
{
    return qatomic_read(&mis->state) == MIGRATION_STATUS_POSTCOPY_PAUSED;
}

/* Nobody will read any more, unless there is a new connection. */
static bool over(MigrationIncomingState *mis)
{
    return paused(mis) || postcopy_phase() == PHASE_ENDED ||
           (qatomic_mb_read(&run.loaded) && run.ret != LOADVM_QUIT);
}

/* The main stream has ended, but pages may still come by the other. */
static bool finishing(void)
{
    bool is;

    postcopy_lock();
    is = postcopy_in.finishing;
    postcopy_unlock();
    return is;
}

static void wait_until_read(MigrationIncomingState *mis)
{
    while (!over(mis) && !finishing() && !fuzz_pipe_idle(run.main)) {
        fuzz_wait();
    }
    /* The package is loaded, or waits for memory. */
    while (!over(mis) && postcopy_incoming_listening() && !qatomic_mb_read(&run.loaded) &&
           !qatomic_mb_read(&run.waits)) {
        fuzz_wait();
    }
    while (!over(mis) && postcopy_incoming_listening() && run.preempt &&
           !fuzz_pipe_idle(run.preempt)) {
        fuzz_wait();
    }
}

static void end_connection(MigrationIncomingState *mis)
{
    fuzz_pipe_end(run.main);
    if (run.preempt) {
        fuzz_pipe_end(run.preempt);
    }
    while (!over(mis)) {
        fuzz_wait();
    }
}

static void put_package(const FuzzPart *part)
{
    uint8_t head[] = {QEMU_VM_COMMAND, 0, 7, 0, 4, 0, 0, 0, 0};

    stl_be_p(head + 5, part->size);
    fuzz_pipe_put(run.main, head, sizeof(head));
    fuzz_pipe_put(run.main, part->data, part->size);
}

/* False: there can be none. */
static bool reconnect(MigrationIncomingState *mis)
{
    QIOChannel *ioc;
    FuzzPipe *next;

    end_connection(mis);
    if (!paused(mis)) {
        return false;
    }
    next = fuzz_pipe_new();
    g_ptr_array_add(run.pipes, next);
    ioc = fuzz_pipe_channel(next);
    connect_preempt();
    run.main = next;
    if (!postcopy_incoming_take_main(ioc, NULL)) {
        abort();
    }
    object_unref(OBJECT(ioc));
    return true;
}

static bool play(MigrationIncomingState *mis, const FuzzPart *part)
{
    if (part->kind == 'r' && !reconnect(mis)) {
        return false;
    }
    switch (part->kind) {
    case 'k':
        put_package(part);
        break;
    case 'p':
    case 'P':
        if (run.preempt) {
            fuzz_pipe_put(run.preempt, part->data, part->size);
        }
        break;
    case 'y':
        postcopy_incoming_pause(NULL);
        break;
    default:
        fuzz_pipe_put(run.main, part->data, part->size);
        break;
    }
    if (part->kind != 'P') {
        wait_until_read(mis);
    }
    return true;
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    MigrationIncomingState *mis = migration_incoming_get_current();
    bool going = true;
    bool *capabilities = migrate_get_current()->capabilities;
    uint8_t options;

    if (!size) {
        return 0;
    }
    options = *data++;
    size--;
    capabilities[MIGRATION_CAPABILITY_POSTCOPY_PREEMPT] = options & 1;
    capabilities[MIGRATION_CAPABILITY_POSTCOPY_BLOCKTIME] = options & 4;
    begin(mis);
    if (options & 2) {
        fuzz_pipe_put(run.main, beginning->data, beginning->len);
    }
    while (size && going) {
        FuzzPart part = fuzz_next_part(&data, &size, 'm');

        going = play(mis, &part);
    }
    end_connection(mis);
    end(mis);
    return 0;
}
