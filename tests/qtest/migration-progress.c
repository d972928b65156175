/*
 * How long it takes: bandwidth and downtime limits, and memory that changes meanwhile.
 *
 * SPDX-License-Identifier: GPL-2.0-or-later
 */
#include "migration-helpers.h"
#include "migration-tests.h"
#include <string.h>

static void fill_random(QTestState *s, size_t megabytes)
{
    g_autofree uint8_t *buf = g_malloc(MIB);
    g_autoptr(GRand) rand = g_rand_new_with_seed(1);

    for (size_t i = 0; i < MIB; i += 4) {
        guint32 v = g_rand_int(rand);

        memcpy(buf + i, &v, 4);
    }
    for (size_t i = 0; i < megabytes; i++) {
        buf[i] ^= 1;
        ram_write(s, i * MIB, buf, MIB);
    }
}

static int64_t transferred(QTestState *s)
{
    json_object *info = migrate_query(s);
    int64_t n = qtest_get(info, "ram/transferred") ? qtest_get_int(info, "ram/transferred") : 0;

    json_object_put(info);
    return n;
}

/* What goes through in some seconds is what was allowed, and a new limit counts at once. */
static void test_bandwidth(void)
{
    MigratePair p = migrate_pair_start(NULL, NULL);
    g_autofree char *uri = NULL;
    int64_t begin, bytes, ms;
    double rate;

    fill_random(p.src, 20);
    migrate_set_int(p.src, "max-bandwidth", 5 * MIB);
    uri = migrate_listen_tcp(p.dst);
    migrate(p.src, uri);
    migrate_wait(p.src, "active");
    g_usleep(200000);
    begin = qtest_now_ms();
    bytes = transferred(p.src);
    g_usleep(1500000);
    bytes = transferred(p.src) - bytes;
    ms = qtest_now_ms() - begin;
    rate = (double)bytes / MIB * 1000 / ms;
    g_test_message("%.2f MiB/s of 5 allowed", rate);
    g_assert_cmpfloat(rate, >, 0.5); /* a machine may be busy */
    g_assert_cmpfloat(rate, <, 6.5);

    /* The rest would take two minutes at the one limit, and less than a second at the other. */
    migrate_set_int(p.src, "max-bandwidth", 64 * 1024);
    begin = qtest_now_ms();
    migrate_set_int(p.src, "max-bandwidth", 1024 * MIB);
    migrate_wait_done(&p);
    g_assert_cmpint(qtest_now_ms() - begin, <, 60000);
    migrate_pair_end(&p);
}

/* 0 is no limit. */
static void test_bandwidth_unlimited(void)
{
    MigratePair p = migrate_pair_start(NULL, NULL);
    g_autofree char *uri = NULL;

    fill_random(p.src, 20);
    migrate_set_int(p.src, "max-bandwidth", 0);
    uri = migrate_listen_tcp(p.dst);
    migrate(p.src, uri);
    migrate_wait_done(&p);
    migrate_pair_end(&p);
}

/* Memory changes faster than it may travel: it goes on until more time or room is given. */
static void check_converges(bool by_downtime)
{
    MigratePair p = migrate_pair_start(NULL, NULL);
    g_autofree char *uri = NULL;
    g_autofree char *status = NULL;
    json_object *info;
    int64_t begin;
    uint8_t value = 0;

    fill_random(p.src, 4);
    migrate_set_int(p.src, "max-bandwidth", 3 * 1000 * 1000);
    migrate_set_int(p.src, "downtime-limit", 1);
    uri = migrate_listen_tcp(p.dst);
    migrate(p.src, uri);
    migrate_wait(p.src, "active");
    for (begin = qtest_now_ms(); qtest_now_ms() - begin < 4000;) {
        value = value % 255 + 1; /* never zero: that would be cheap to send */
        qtest_memset(p.src, MIB, value, 4 * MIB);
    }
    status = migrate_status(p.src);
    g_assert_cmpstr(status, ==, "active");
    info = migrate_query(p.src);
    g_assert_cmpint(qtest_get_int(info, "ram/dirty-sync-count"), >, 1);
    json_object_put(info);

    if (by_downtime) {
        migrate_set_int(p.src, "downtime-limit", 30000);
    } else {
        migrate_set_int(p.src, "max-bandwidth", 1024 * MIB);
        migrate_set_int(p.src, "downtime-limit", 300);
    }
    /* The machine is stopped at some point; writing by qtest would go on, so stop it here. */
    migrate_wait(p.src, "completed");
    info = migrate_query(p.src);
    g_test_message("downtime %d ms", (int)qtest_get_int(info, "downtime"));
    g_assert_cmpint(qtest_get_int(info, "downtime"), <, by_downtime ? 30000 : 1000);
    json_object_put(info);
    migrate_wait_done(&p);
    migrate_pair_end(&p);
}

static void test_converge_downtime(void)
{
    check_converges(true);
}

static void test_converge_bandwidth(void)
{
    check_converges(false);
}

/* What was written during the migration arrives, to the last byte. */
static void test_dirtying(void)
{
    MigratePair p = migrate_pair_start(NULL, NULL);
    g_autofree char *uri = NULL;
    json_object *info;

    ram_fill(p.src);
    migrate_set_int(p.src, "max-bandwidth", 16 * MIB);
    uri = migrate_listen_tcp(p.dst);
    migrate_set_capability(p.src, "pause-before-switchover", true);
    migrate(p.src, uri);
    migrate_wait(p.src, "active");
    for (unsigned i = 0; i < 400; i++) {
        qtest_writeb(p.src, (i * 7919ull * 4096 + i) % RAM_SIZE, i);
        qtest_writeq(p.src, (i * 104729ull * 8) % RAM_SIZE, i * 0x0101010101010101ull);
    }
    qtest_memset(p.src, 3 * MIB + 5, 0xee, 12345);
    migrate_wait(p.src, "pre-switchover");
    /* Stopped already; devices might still write. */
    qtest_memset(p.src, 9 * MIB - 3, 0xdd, 7);
    qtest_qmp_assert_success(p.src, "{'execute': 'migrate-continue',"
                             " 'arguments': {'state': 'pre-switchover'}}");
    migrate_wait_done(&p);
    info = migrate_query(p.src);
    g_assert_cmpint(qtest_get_int(info, "ram/dirty-sync-count"), >, 1);
    json_object_put(info);
    migrate_pair_end(&p);
}

/* Pages that were sent with content and are zero now have to be zero over there. */
static void test_becomes_zero(void)
{
    MigratePair p = migrate_pair_start(NULL, NULL);
    g_autofree char *uri = NULL;

    fill_random(p.src, 8);
    migrate_set_int(p.src, "max-bandwidth", 40 * MIB);
    migrate_set_capability(p.src, "pause-before-switchover", true);
    uri = migrate_listen_tcp(p.dst);
    migrate(p.src, uri);
    migrate_wait(p.src, "pre-switchover");
    qtest_memset(p.src, 2 * MIB, 0, 3 * MIB);
    qtest_qmp_assert_success(p.src, "{'execute': 'migrate-continue',"
                             " 'arguments': {'state': 'pre-switchover'}}");
    migrate_wait_done(&p);
    migrate_pair_end(&p);
}

/* A destination whose memory is not pristine: zero pages must be made zero. */
static void test_used_destination(void)
{
    MigratePair p = migrate_pair_start(NULL, NULL);
    g_autofree char *uri = NULL;

    ram_set(p.dst, 0, 0xff, RAM_SIZE);
    ram_fill(p.src);
    uri = migrate_listen_tcp(p.dst);
    migrate(p.src, uri);
    migrate_wait_done(&p);
    migrate_pair_end(&p);
}

/* RAM that other memory than anonymous backs. */
static void check_backend(const char *object)
{
    g_autofree char *args = g_strdup_printf("-object %s,id=mem0,size=%dM -machine "
                                            "memory-backend=mem0", object, RAM_MIB);
    MigratePair p;
    g_autofree char *uri = NULL;

    p = migrate_pair_start(args, args);
    ram_fill(p.src);
    uri = migrate_listen_tcp(p.dst);
    migrate(p.src, uri);
    migrate_wait_done(&p);
    migrate_pair_end(&p);
}

static void test_backend_ram(void)
{
    check_backend("memory-backend-ram,prealloc=on");
}

static void test_backend_memfd(void)
{
    check_backend("memory-backend-memfd,share=on");
}

static void test_backend_file(void)
{
    g_autofree char *object = g_strdup_printf("memory-backend-file,share=off,mem-path=%s",
                                              qtest_tmpdir());

    check_backend(object);
}

void add_progress_tests(void)
{
    g_test_add_func("/migration/bandwidth/limit", test_bandwidth);
    g_test_add_func("/migration/bandwidth/unlimited", test_bandwidth_unlimited);
    migrate_add_test_tracked("/migration/converge/downtime-limit", test_converge_downtime);
    migrate_add_test_tracked("/migration/converge/max-bandwidth", test_converge_bandwidth);
    migrate_add_test_tracked("/migration/memory/dirtying", test_dirtying);
    migrate_add_test_tracked("/migration/memory/becomes-zero", test_becomes_zero);
    g_test_add_func("/migration/memory/used-destination", test_used_destination);
    migrate_add_test_tracked("/migration/memory/backend-ram", test_backend_ram);
    migrate_add_test_tracked("/migration/memory/backend-memfd", test_backend_memfd);
    migrate_add_test_tracked("/migration/memory/backend-file", test_backend_file);
}
