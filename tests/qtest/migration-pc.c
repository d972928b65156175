/*
 * The PC machines, started as QEMU's own migration tests start them: a boot sector that counts in
 * memory (tests/guest/bootsect.S), two processes that have its disk open at once, memory checked
 * byte by byte over the qtest protocol. Suspended guests too.
 *
 * SPDX-License-Identifier: GPL-2.0-or-later
 */
#include "migration-helpers.h"
#include "migration-tests.h"
#include <fcntl.h>
#include <glib/gstdio.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <unistd.h>

#define GUEST_START MIB
#define PAGE 4096
#define PARAMETERS 0x1e0        /* of the boot sector: start, end, rounds a letter, flags */
#define FLAG_SUSPEND 2

typedef enum Way {
    BY_UNIX, BY_TCP, BY_FD, BY_EXEC, BY_FILE,
} Way;

typedef struct PcCase {
    const char *name;
    const char *machine;
    const char *accel;
    Way way;
    unsigned end_mib;           /* where the guest's range ends */
    unsigned every;             /* rounds to a letter, and to falling asleep; 0: 1 */
    bool suspend;
    bool paused;                /* `stop` before it moves */
    bool dst_stopped;           /* the destination has -S */
    bool hmp;
    const char *more;           /* options of both sides */
    void (*during)(QTestState *src, QTestState *dst, const struct PcCase *c);
} PcCase;

typedef struct Pc {
    QTestState *s;
    char *serial;
} Pc;

/* ---- the guest ---- */

static char *make_disk(const PcCase *c)
{
    g_autofree char *from = g_build_filename(getenv("QTEST_GUEST_DIR"), "bootsect.bin", NULL);
    char *to = qtest_tmpfile("disk");
    g_autofree char *data = NULL;
    uint32_t parameters[] = {
        GUINT32_TO_LE(GUEST_START), GUINT32_TO_LE(c->end_mib * MIB),
        GUINT32_TO_LE(MAX(c->every, 1)), GUINT32_TO_LE(c->suspend ? FLAG_SUSPEND : 0),
    };
    gsize size;

    g_assert_true(g_file_get_contents(from, &data, &size, NULL));
    g_assert_cmpuint(size, ==, 512);
    memcpy(data + PARAMETERS, parameters, sizeof(parameters));
    g_assert_true(g_file_set_contents(to, data, size, NULL));
    return to;
}

static Pc pc_start(const PcCase *c, const char *disk, bool incoming)
{
    Pc pc = { .serial = qtest_tmpfile(incoming ? "serial-dst" : "serial-src") };
    g_autofree char *args = NULL;

    unlink(pc.serial);
    args = g_strdup_printf(
        "-machine %s, -name %s,debug-threads=on -m 150M -serial file:%s "
        "-drive if=none,id=d0,file=%s,format=raw -device ide-hd,drive=d0,secs=1,cyls=1,heads=1 "
        "%s %s %s %s", c->machine, incoming ? "target" : "source", pc.serial, disk, c->accel,
        c->more ? c->more : "", incoming ? "-incoming defer" : "-S",
        incoming && c->dst_stopped ? "-S" : "");
    pc.s = qtest_init_with_env(incoming ? "QTEST_QEMU_BINARY_DST" : "QTEST_QEMU_BINARY_SRC", args);
    return pc;
}

static void pc_end(Pc *pc)
{
    qtest_quit(pc->s);
    g_free(pc->serial);
}

static size_t count_letters(const Pc *pc, char letter)
{
    g_autofree char *text = NULL;
    size_t n = 0;
    gsize size;

    if (!g_file_get_contents(pc->serial, &text, &size, NULL)) {
        return 0;
    }
    for (gsize i = 0; i < size; i++) {
        if (text[i] != 'A' && text[i] != 'B') {
            g_error("the serial port has 0x%02x at %zu", (uint8_t)text[i], (size_t)i);
        }
        n += text[i] == letter;
    }
    return n;
}

static void wait_letters(const Pc *pc, char letter, size_t n)
{
    int64_t begin = qtest_now_ms();

    while (count_letters(pc, letter) < n) {
        if (qtest_timed_out(begin) || !qtest_probe_child(pc->s)) {
            g_error("the guest does not get on: no %zu letters '%c'", n, letter);
        }
        g_usleep(5000);
    }
}

/* The first bytes of all pages are equal, but for one step down by one where the guest stood. */
static void check_pages(QTestState *s, const PcCase *c)
{
    uint8_t first = qtest_readb(s, GUEST_START), last = first;
    bool stepped = false;

    for (uint64_t addr = GUEST_START; addr < (uint64_t)c->end_mib * MIB; addr += PAGE) {
        uint8_t b = qtest_readb(s, addr);

        if (b == last) {
            continue;
        }
        if ((uint8_t)(b + 1) != last || stepped) {
            g_error("page at 0x%" G_GINT64_MODIFIER "x has %u behind %u", addr, b, last);
        }
        stepped = true;
        last = b;
    }
}

static void wait_suspended(const Pc *pc)
{
    qtest_qmp_eventwait(pc->s, "SUSPEND");
    assert_run_state(pc->s, "suspended");
}

static size_t take_events(QTestState *s, const char *name)
{
    json_object *all = qtest_qmp_events_take(s);
    size_t n = 0;

    for (size_t i = 0; i < json_object_array_length(all); i++) {
        n += g_str_equal(qtest_get_str(json_object_array_get_idx(all, i), "event"), name);
    }
    json_object_put(all);
    return n;
}

/* ---- the ways ---- */

static void pass_fd(QTestState *s, int fd)
{
    qtest_qmp_fds_assert_success(s, &fd, 1, "{'execute': 'getfd', 'arguments': "
                                            "{'fdname': 'fd-mig'}}");
    close(fd);
}

static void move(const PcCase *c, Pc *src, Pc *dst)
{
    g_autofree char *path = qtest_tmpfile("stream");
    g_autofree char *uri = NULL;
    g_autofree char *dst_uri = NULL;
    int fds[2];

    unlink(path);
    switch (c->way) {
    case BY_TCP:
        uri = migrate_listen_tcp(dst->s);
        break;
    case BY_FD:
        g_assert_cmpint(socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, fds), ==, 0);
        pass_fd(src->s, fds[0]);
        pass_fd(dst->s, fds[1]);
        migrate_incoming(dst->s, "fd:fd-mig");
        uri = g_strdup("fd:fd-mig");
        break;
    case BY_EXEC:
        g_assert_cmpint(mkfifo(path, 0600), ==, 0);
        dst_uri = g_strdup_printf("exec:cat <%s", path);
        migrate_incoming(dst->s, dst_uri);
        uri = g_strdup_printf("exec:cat >%s", path);
        break;
    case BY_FILE:
        uri = g_strdup_printf("file:%s", path);
        break;
    default:
        uri = migrate_listen_unix(dst->s);
        break;
    }
    if (c->hmp) {
        g_autofree char *command = g_strdup_printf("migrate -d %s", uri);
        g_autofree char *reply = qtest_hmp(src->s, "%s", command);

        g_assert_cmpstr(reply, ==, "");
    } else {
        migrate(src->s, uri);
    }
    if (c->during) {
        c->during(src->s, dst->s, c);
    }
    migrate_wait(src->s, "completed");
    if (c->way == BY_FILE) {
        migrate_incoming(dst->s, uri);
    }
    migrate_wait(dst->s, "completed");
    unlink(path);
}

/* ---- what happens meanwhile ---- */

static void slow(QTestState *src)
{
    migrate_set_int(src, "max-bandwidth", 3000000);
    migrate_set_int(src, "downtime-limit", 1);
}

static void fast(QTestState *src)
{
    migrate_set_int(src, "max-bandwidth", 0);
    migrate_set_int(src, "downtime-limit", 30000);
}

static void wait_passes(QTestState *src, int64_t passes)
{
    int64_t begin = qtest_now_ms();
    bool done = false;

    while (!done) {
        json_object *info = migrate_query(src);
        json_object *n = qtest_get(info, "ram/dirty-sync-count");

        g_assert_cmpstr(qtest_get_str(info, "status"), !=, "completed");
        g_assert_cmpstr(qtest_get_str(info, "status"), !=, "failed");
        done = n && json_object_get_int64(n) >= passes;
        json_object_put(info);
        g_assert_false(qtest_timed_out(begin));
        g_usleep(10000);
    }
}

static void converge_at_last(QTestState *src, QTestState *dst, const PcCase *c)
{
    wait_passes(src, 3);
    fast(src);
}

static void fall_asleep(QTestState *src, QTestState *dst, const PcCase *c)
{
    qtest_qmp_eventwait(src, "SUSPEND");
    assert_run_state(src, "suspended");
    fast(src);
}

/* ---- tests ---- */

static bool cannot_run(const PcCase *c)
{
    if (!getenv("QTEST_GUEST_DIR")) {
        g_test_skip("QTEST_GUEST_DIR does not name the test guests");
        return true;
    }
    if (strstr(c->accel, "kvm") && g_access("/dev/kvm", R_OK | W_OK)) {
        g_test_skip("/dev/kvm cannot be used");
        return true;
    }
    return false;
}

static void start_guest(const PcCase *c, Pc *src)
{
    bool late = c->suspend && c->during;

    qtest_qmp_assert_success(src->s, "{'execute': 'cont'}");
    wait_letters(src, 'A', 1);
    if (c->suspend && !late) {
        wait_suspended(src);
        /* Asleep, but as far as clients know it was never stopped. */
        g_assert_cmpuint(take_events(src->s, "STOP"), ==, 0);
    }
    if (c->during) {
        slow(src->s);
    } else {
        fast(src->s);
    }
    if (c->paused) {
        qtest_qmp_assert_success(src->s, "{'execute': 'stop'}");
        assert_run_state(src->s, "paused");
    }
}

static void check_arrival(const PcCase *c, Pc *dst)
{
    bool starts = !c->dst_stopped && !c->paused;
    const char *goal = c->suspend ? "suspended" : "running";

    if (starts) {
        qtest_qmp_eventwait(dst->s, "RESUME");
    } else {
        assert_run_state(dst->s, "paused");
        g_assert_cmpuint(take_events(dst->s, "RESUME"), ==, 0);
        qtest_qmp_assert_success(dst->s, "{'execute': 'cont'}");
        qtest_qmp_eventwait(dst->s, "RESUME");
    }
    wait_run_state(dst->s, goal);
    if (c->suspend) {
        check_pages(dst->s, c);
        g_assert_cmpuint(count_letters(dst, 'A'), ==, 0);
        qtest_qmp_assert_success(dst->s, "{'execute': 'system_wakeup'}");
        qtest_qmp_eventwait(dst->s, "WAKEUP");
        wait_letters(dst, 'A', 1);      /* from its boot sector again */
    }
    wait_letters(dst, 'B', 1);
    qtest_qmp_assert_success(dst->s, "{'execute': 'stop'}");
    check_pages(dst->s, c);
}

static void run_case(gconstpointer data)
{
    const PcCase *c = data;
    g_autofree char *disk = NULL;
    Pc src, dst;

    if (cannot_run(c)) {
        return;
    }
    disk = make_disk(c);
    src = pc_start(c, disk, false);
    dst = pc_start(c, disk, true);
    start_guest(c, &src);
    move(c, &src, &dst);
    assert_run_state(src.s, "postmigrate");
    if (!c->paused) {
        qtest_qmp_eventwait(src.s, "STOP");
    }
    check_arrival(c, &dst);
    pc_end(&src);
    pc_end(&dst);
}

/* Cancelled on the way, the guest goes on where it was, or sleeps on; then it moves after all. */
static void run_cancel(gconstpointer data)
{
    const PcCase *c = data;
    const char *state = c->suspend ? "suspended" : "running";
    g_autofree char *disk = NULL;
    g_autofree char *uri = NULL;
    Pc src, dst;

    if (cannot_run(c)) {
        return;
    }
    disk = make_disk(c);
    src = pc_start(c, disk, false);
    start_guest(c, &src);
    slow(src.s);
    if (c->suspend) {
        migrate_set_capability(src.s, "pause-before-switchover", true);
        migrate_set_int(src.s, "max-bandwidth", 0);
    }
    dst = pc_start(c, disk, true);
    uri = migrate_listen_unix(dst.s);
    migrate(src.s, uri);
    if (c->suspend) {
        migrate_wait(src.s, "pre-switchover");
        assert_run_state(src.s, "finish-migrate");
    } else {
        wait_passes(src.s, 2);
    }
    migrate_cancel(src.s);
    migrate_wait(src.s, "cancelled");
    wait_run_state(src.s, state);
    migrate_destination_failed(dst.s);
    g_free(dst.serial);

    if (c->suspend) {
        migrate_set_capability(src.s, "pause-before-switchover", false);
    } else {
        wait_letters(&src, 'B', count_letters(&src, 'B') + 1);
    }
    take_events(src.s, "STOP");
    dst = pc_start(c, disk, true);
    fast(src.s);
    move(c, &src, &dst);
    check_arrival(c, &dst);
    pc_end(&src);
    pc_end(&dst);
}

/* `stop` and `cont`, system_reset and system_wakeup, without moving. */
static void run_suspend(gconstpointer data)
{
    const PcCase *c = data;
    g_autofree char *disk = NULL;
    g_autofree char *text = NULL;
    json_object *info;
    Pc pc;

    if (cannot_run(c)) {
        return;
    }
    disk = make_disk(c);
    pc = pc_start(c, disk, false);
    info = qtest_qmp_assert_success_ref(pc.s, "{'execute': 'query-current-machine'}");
    g_assert_true(qtest_get_bool(info, "wakeup-suspend-support"));
    json_object_put(info);
    text = qtest_qmp_assert_failure(pc.s, "{'execute': 'system_wakeup'}");
    g_assert_cmpstr(text, ==, "Unable to wake up: guest is not in suspended state");
    start_guest(c, &pc);

    qtest_qmp_assert_success(pc.s, "{'execute': 'cont'}");
    assert_run_state(pc.s, "suspended");
    g_assert_cmpuint(take_events(pc.s, "RESUME"), ==, 0);

    qtest_qmp_assert_success(pc.s, "{'execute': 'stop'}");
    qtest_qmp_eventwait(pc.s, "STOP");
    assert_run_state(pc.s, "paused");
    g_free(qtest_qmp_assert_failure(pc.s, "{'execute': 'system_wakeup'}"));
    qtest_qmp_assert_success(pc.s, "{'execute': 'cont'}");
    qtest_qmp_eventwait(pc.s, "RESUME");
    assert_run_state(pc.s, "suspended");

    qtest_qmp_assert_success(pc.s, "{'execute': 'system_wakeup'}");
    qtest_qmp_eventwait(pc.s, "WAKEUP");
    wait_run_state(pc.s, "running");
    wait_letters(&pc, 'A', 2);
    wait_letters(&pc, 'B', 2);
    pc_end(&pc);
}

/* A reset wakes nobody: the machine is as before its start. */
static void run_suspend_reset(gconstpointer data)
{
    const PcCase *c = data;
    g_autofree char *disk = NULL;
    Pc pc;

    if (cannot_run(c)) {
        return;
    }
    disk = make_disk(c);
    pc = pc_start(c, disk, false);
    start_guest(c, &pc);
    qtest_qmp_assert_success(pc.s, "{'execute': 'system_reset'}");
    qtest_qmp_eventwait(pc.s, "RESET");
    wait_run_state(pc.s, "prelaunch");
    qtest_qmp_assert_success(pc.s, "{'execute': 'cont'}");
    assert_run_state(pc.s, "running");
    wait_letters(&pc, 'A', 2);
    pc_end(&pc);
}

#define Q35 "pc-q35-10.0"
#define PC "pc-i440fx-10.0"
#define KVM "-accel kvm -accel tcg"
#define TCG "-accel tcg"

static const PcCase cases[] = {
    { "kvm/q35/tcp", Q35, KVM, BY_TCP, 100 },
    { "kvm/q35/unix", Q35, KVM, BY_UNIX, 24 },
    { "kvm/q35/fd", Q35, KVM, BY_FD, 24 },
    { "kvm/q35/exec", Q35, KVM, BY_EXEC, 24 },
    { "kvm/q35/file", Q35, KVM, BY_FILE, 24 },
    { "kvm/q35/hmp", Q35, KVM, BY_UNIX, 24, .hmp = true },
    { "kvm/q35/uuid", Q35, KVM, BY_UNIX, 24,
      .more = "-uuid 11111111-1111-1111-1111-111111111111" },
    { "kvm/q35/memfd", Q35 ",memory-backend=m", KVM, BY_UNIX, 24,
      .more = "-object memory-backend-memfd,id=m,size=150M,share=on" },
    { "kvm/q35/numa", Q35, KVM, BY_UNIX, 24,
      .more = "-object memory-backend-memfd,id=mem0,size=150M,share=on -numa node,memdev=mem0" },
    { "kvm/q35/converge", Q35, KVM, BY_TCP, 8, .during = converge_at_last },
    { "kvm/q35/suspend/not-live", Q35, KVM, BY_UNIX, 8, .suspend = true },
    { "kvm/q35/suspend/live", Q35, KVM, BY_UNIX, 8, .every = 40, .suspend = true,
      .during = fall_asleep },
    { "kvm/q35/suspend/stopped-destination", Q35, KVM, BY_UNIX, 8, .suspend = true,
      .dst_stopped = true },
    { "kvm/q35/suspend/paused", Q35, KVM, BY_UNIX, 8, .suspend = true, .paused = true },
    { "kvm/q35/suspend/file", Q35, KVM, BY_FILE, 8, .suspend = true },
    { "kvm/pc/tcp", PC, KVM, BY_TCP, 24 },
    { "kvm/pc/file", PC, KVM, BY_FILE, 24 },
    { "kvm/pc/converge", PC, KVM, BY_UNIX, 8, .during = converge_at_last },
    { "kvm/pc/suspend/not-live", PC, KVM, BY_UNIX, 8, .suspend = true },
    { "kvm/pc/suspend/stopped-destination", PC, KVM, BY_UNIX, 8, .suspend = true,
      .dst_stopped = true },
    { "tcg/q35/unix", Q35, TCG, BY_UNIX, 4 },
    { "tcg/q35/suspend/not-live", Q35, TCG, BY_UNIX, 4, .suspend = true },
    { "tcg/pc/unix", PC, TCG, BY_UNIX, 4 },
};

static const PcCase cancel_cases[] = {
    { "kvm/q35/cancel", Q35, KVM, BY_UNIX, 8 },
    { "kvm/q35/suspend/cancel", Q35, KVM, BY_UNIX, 8, .suspend = true },
    { "kvm/pc/cancel", PC, KVM, BY_UNIX, 8 },
};

static const PcCase suspend_cases[] = {
    { "kvm/q35/suspend/stop-cont-wakeup", Q35, KVM, BY_UNIX, 8, .suspend = true },
    { "kvm/pc/suspend/stop-cont-wakeup", PC, KVM, BY_UNIX, 8, .suspend = true },
    { "tcg/q35/suspend/stop-cont-wakeup", Q35, TCG, BY_UNIX, 4, .suspend = true },
};

static const PcCase reset_cases[] = {
    { "kvm/q35/suspend/reset", Q35, KVM, BY_UNIX, 8, .suspend = true },
};

static void add_cases(const PcCase *list, size_t n, void (*run)(gconstpointer))
{
    for (size_t i = 0; i < n; i++) {
        g_autofree char *path = g_strdup_printf("/migration/pc/%s", list[i].name);

        g_test_add_data_func(path, &list[i], run);
    }
}

void add_pc_tests(void)
{
    add_cases(cases, G_N_ELEMENTS(cases), run_case);
    add_cases(cancel_cases, G_N_ELEMENTS(cancel_cases), run_cancel);
    add_cases(suspend_cases, G_N_ELEMENTS(suspend_cases), run_suspend);
    add_cases(reset_cases, G_N_ELEMENTS(reset_cases), run_suspend_reset);
}
