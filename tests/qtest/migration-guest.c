/*
 * A running guest moves: it keeps counting, and no write of it is lost. The guests and their
 * checker are in tests/guest; QTEST_GUEST_DIR and QTEST_GUEST_CHECK name them.
 *
 * SPDX-License-Identifier: GPL-2.0-or-later
 */
#include "migration-helpers.h"
#include "migration-tests.h"
#include <glib/gstdio.h>
#include <string.h>
#include <unistd.h>

#define GUEST_MIB 64

typedef struct GuestCase {
    const char *accel;     /* "kvm" or "tcg" */
    const char *image;
    int vcpus;
    const char *append;    /* options of the guest */
    const char *capability; /* or NULL */
    bool pause;            /* the guest is paused before it moves */
    int hops;
} GuestCase;

typedef struct Guest {
    QTestState *s;
    char *serial;
} Guest;

static bool can_use_kvm(void)
{
    return g_access("/dev/kvm", R_OK | W_OK) == 0;
}

static Guest guest_start(const GuestCase *c, const char *var, int n, bool incoming)
{
    Guest g = { .serial = qtest_tmpfile("serial-%d", n) };
    g_autofree char *args = NULL;

    unlink(g.serial);
    args = g_strdup_printf(
        "-M microvm,acpi=off,pic=off,pit=off,rtc=off -accel %s -m %dM -smp %d -nodefaults "
        "-serial file:%s -kernel %s/%s.elf "
        "-append 'vcpus=%d %s' %s", c->accel, GUEST_MIB, c->vcpus, g.serial,
        getenv("QTEST_GUEST_DIR"), c->image, c->vcpus, c->append,
        incoming ? "-incoming defer" : "");
    g.s = qtest_init_with_env(var, args);
    return g;
}

static size_t serial_length(const Guest *g)
{
    g_autofree char *text = NULL;
    gsize n = 0;

    return g_file_get_contents(g->serial, &text, &n, NULL) ? n : 0;
}

/* The guest has got @n characters further on the serial port. */
static void wait_rounds(const Guest *g, size_t n)
{
    int64_t begin = qtest_now_ms();
    size_t goal = serial_length(g) + n;

    while (serial_length(g) < goal) {
        if (qtest_timed_out(begin)) {
            g_error("the guest does not get on: %zu of %zu characters", serial_length(g), goal);
        }
        if (!qtest_probe_child(g->s)) {
            g_error("the emulator ended");
        }
        g_usleep(5000);
    }
}

/* Stops the guest and has its memory and all serial output so far checked. */
static void check_guest(QTestState *s, GPtrArray *serials)
{
    g_autofree char *ram = qtest_tmpfile("guest-ram");
    g_autoptr(GPtrArray) argv = g_ptr_array_new();
    g_autofree char *out = NULL;
    g_autofree char *err = NULL;
    int status;

    qtest_qmp_assert_success(s, "{'execute': 'stop'}");
    qtest_qmp_assert_success(s, "{'execute': 'pmemsave', 'arguments': {'val': 0, 'size': %d, "
                             "'filename': %s}}", GUEST_MIB * MIB, ram);
    g_ptr_array_add(argv, (char *)"python3");
    g_ptr_array_add(argv, getenv("QTEST_GUEST_CHECK"));
    g_ptr_array_add(argv, (char *)"--file");
    g_ptr_array_add(argv, ram);
    for (guint i = 0; i < serials->len; i++) {
        g_ptr_array_add(argv, (char *)"--serial");
        g_ptr_array_add(argv, g_ptr_array_index(serials, i));
    }
    g_ptr_array_add(argv, NULL);
    g_assert_true(g_spawn_sync(NULL, (char **)argv->pdata, NULL, G_SPAWN_SEARCH_PATH, NULL, NULL,
                               &out, &err, &status, NULL));
    g_test_message("checker: %s%s", out, err);
    if (status) {
        g_error("the guest's memory is wrong: %s%s", out, err);
    }
    unlink(ram);
}

static void run_guest(gconstpointer data)
{
    const GuestCase *c = data;
    g_autoptr(GPtrArray) serials = g_ptr_array_new_with_free_func(g_free);
    Guest src, dst = { 0 };

    if (!getenv("QTEST_GUEST_DIR") || !getenv("QTEST_GUEST_CHECK")) {
        g_test_skip("QTEST_GUEST_DIR and QTEST_GUEST_CHECK do not name the test guests");
        return;
    }
    if (g_str_equal(c->accel, "kvm") && !can_use_kvm()) {
        g_test_skip("/dev/kvm cannot be used");
        return;
    }
    src = guest_start(c, "QTEST_QEMU_BINARY_SRC", 0, false);
    g_ptr_array_add(serials, g_strdup(src.serial));
    wait_rounds(&src, 4);

    for (int hop = 1; hop <= MAX(c->hops, 1); hop++) {
        g_autofree char *uri = NULL;
        json_object *info;

        dst = guest_start(c, "QTEST_QEMU_BINARY_DST", hop, true);
        g_ptr_array_add(serials, g_strdup(dst.serial));
        if (c->capability) {
            migrate_set_capability(src.s, c->capability, true);
            migrate_set_capability(dst.s, c->capability, true);
        }
        migrate_set_int(src.s, "max-bandwidth", 0);
        if (c->pause) {
            qtest_qmp_assert_success(src.s, "{'execute': 'stop'}");
        }
        uri = migrate_listen_unix(dst.s);
        migrate(src.s, uri);
        migrate_wait(src.s, "completed");
        migrate_wait(dst.s, "completed");
        info = migrate_query(src.s);
        g_test_message("downtime %d ms, total %d ms, %d passes",
                       (int)qtest_get_int(info, "downtime"),
                       (int)qtest_get_int(info, "total-time"),
                       (int)qtest_get_int(info, "ram/dirty-sync-count"));
        json_object_put(info);
        if (c->pause) {
            wait_run_state(dst.s, "paused");
            qtest_qmp_assert_success(dst.s, "{'execute': 'cont'}");
        }
        wait_run_state(dst.s, "running");
        wait_rounds(&dst, 4);
        qtest_quit(src.s);
        g_free(src.serial);
        src = dst;
    }
    check_guest(dst.s, serials);
    qtest_quit(dst.s);
    g_free(dst.serial);
}

/* A guest that comes back to a source that failed to send it goes on there. */
static void run_failed(gconstpointer data)
{
    const GuestCase *c = data;
    g_autoptr(GPtrArray) serials = g_ptr_array_new_with_free_func(g_free);
    Guest src;

    if (!getenv("QTEST_GUEST_DIR") || !can_use_kvm()) {
        g_test_skip("/dev/kvm or the test guests cannot be used");
        return;
    }
    src = guest_start(c, "QTEST_QEMU_BINARY_SRC", 0, false);
    g_ptr_array_add(serials, g_strdup(src.serial));
    wait_rounds(&src, 4);
    for (int i = 0; i < 2; i++) {
        migrate(src.s, i ? "exec:head -c 10000000 >/dev/null" : "unix:/nonexistent/sock");
        g_free(migrate_wait_failed(src.s));
        wait_run_state(src.s, "running");
        wait_rounds(&src, 4);
    }
    check_guest(src.s, serials);
    qtest_quit(src.s);
    g_free(src.serial);
}

/* Level 0 is slow where KVM itself runs in a guest: little memory there. */
static const GuestCase cases[] = {
    { "kvm", "dirty64", 1, "size=32M ring=3", NULL, false, 1 },
    { "kvm", "dirty64", 1, "size=32M ring=3", "return-path", false, 1 },
    { "kvm", "dirty64", 2, "size=32M ring=3", NULL, false, 1 },
    { "kvm", "dirty64", 1, "size=32M ring=3 fill=random words=64", NULL, false, 1 },
    { "kvm", "dirty64", 1, "size=32M ring=3", NULL, true, 1 },
    { "kvm", "dirty64", 1, "size=32M ring=3", NULL, false, 3 },
    { "kvm", "dirty32", 1, "size=1M ring=0", NULL, false, 1 },
    { "kvm", "dirty32", 1, "size=8M ring=3", NULL, false, 1 },
    { "tcg", "dirty32", 1, "size=2M", NULL, false, 1 },
    { "tcg", "dirty32", 1, "size=2M", "return-path", false, 2 },
    { "tcg", "dirty32", 2, "size=2M", NULL, false, 1 },
    { "tcg", "dirty32", 1, "size=2M ring=3", NULL, false, 1 },
    { "tcg", "dirty64", 1, "size=2M", NULL, false, 1 },
};

static const char *const names[] = {
    "kvm/plain", "kvm/return-path", "kvm/smp", "kvm/random", "kvm/paused", "kvm/hops",
    "kvm/32-bit", "kvm/32-bit-ring3",
    "tcg/plain", "tcg/return-path-hops", "tcg/smp", "tcg/ring3", "tcg/64-bit",
};
G_STATIC_ASSERT(G_N_ELEMENTS(cases) == G_N_ELEMENTS(names));

void add_guest_tests(void)
{
    for (size_t i = 0; i < G_N_ELEMENTS(cases); i++) {
        g_autofree char *path = g_strdup_printf("/migration/guest/%s", names[i]);

        g_test_add_data_func(path, &cases[i], run_guest);
    }
    g_test_add_data_func("/migration/guest/kvm/failed", &cases[0], run_failed);
}
