/*
 * The arithmetic of convergence: how hard to throttle, what a vCPU owes for what it wrote, which
 * pages a measurement looks at and what it makes of them, and how a bandwidth is smoothed.
 *
 * SPDX-License-Identifier: GPL-2.0-or-later
 */
#include "qemu/osdep.h"
#include "../../migration/cpu-throttle.h"
#include "../../migration/dirtylimit.h"
#include "../../migration/dirtyrate.h"
#include "../../migration/migration.h"
#include "qapi/error.h"
#include "qemu/bitmap.h"
#include "qemu/main-loop.h"
#include "qemu/module.h"
#include "qemu/timer.h"
#include "qemu/units.h"
#include "system/memory.h"

#define SECOND NANOSECONDS_PER_SECOND

static MigrationParameters *parameters(void)
{
    return &migrate_get_current()->parameters;
}

/* Of slice and sleep, the sleep is the percentage. */
static void test_sleep(void)
{
    for (int p = 1; p <= 99; p++) {
        double sleep = cpu_throttle_sleep_ns(p);

        g_assert_cmpfloat_with_epsilon(100 * sleep / (sleep + CPU_THROTTLE_SLICE_NS), p, 0.01);
    }
}

static void test_steps(void)
{
    MigrationParameters *p = parameters();

    p->cpu_throttle_initial = 20;
    p->cpu_throttle_increment = 30;
    p->max_cpu_throttle = 90;
    p->cpu_throttle_tailslow = false;
    g_assert_cmpint(cpu_throttle_next_percentage(0, 100, 50), ==, 20);
    g_assert_cmpint(cpu_throttle_next_percentage(20, 100, 50), ==, 50);
    g_assert_cmpint(cpu_throttle_next_percentage(50, 100, 50), ==, 80);
    g_assert_cmpint(cpu_throttle_next_percentage(80, 100, 50), ==, 90);
    g_assert_cmpint(cpu_throttle_next_percentage(90, 100, 50), ==, 90);
    /* Changed while it runs: both count from the next step on. */
    p->max_cpu_throttle = 95;
    p->cpu_throttle_increment = 2;
    g_assert_cmpint(cpu_throttle_next_percentage(90, 100, 50), ==, 92);
    p->max_cpu_throttle = 20;
    g_assert_cmpint(cpu_throttle_next_percentage(0, 100, 50), ==, 20);
}

/* It never goes further than what brings the writing down to the threshold, nor further than a step. */
static void test_tailslow(void)
{
    MigrationParameters *p = parameters();

    p->cpu_throttle_initial = 20;
    p->cpu_throttle_increment = 10;
    p->max_cpu_throttle = 99;
    p->cpu_throttle_tailslow = true;
    /* It runs 80 %; to write 95 % of what it writes it may run 76 %. */
    g_assert_cmpint(cpu_throttle_next_percentage(20, 100, 95), ==, 24);
    g_assert_cmpint(cpu_throttle_next_percentage(20, 100, 50), ==, 30);
    g_assert_cmpint(cpu_throttle_next_percentage(20, 1000, 999), ==, 21);
    g_assert_cmpint(cpu_throttle_next_percentage(0, 1000, 999), ==, 20);
    g_assert_cmpint(cpu_throttle_next_percentage(98, 1000, 1), ==, 99);
    p->cpu_throttle_tailslow = false;
}

/* Whoever pays for each stretch writes at the limit, however long the stretches are. */
static void test_debt(void)
{
    DirtyDebt debt = {.limit = 8 * MiB};
    int64_t begin = 1000 * SECOND, now = begin;
    g_autoptr(GRand) rand = g_rand_new_with_seed(1);
    uint64_t total = 0;

    debt.until = now;
    while (total < 400 * MiB) {
        uint64_t bytes = g_rand_int_range(rand, 1, MiB);
        int64_t until;

        now += g_rand_int_range(rand, 0, 10 * SCALE_MS); /* it runs for so long */
        until = dirtylimit_debt_add(&debt, bytes, now);
        total += bytes;
        now = MAX(now, until); /* and sleeps */
    }
    g_assert_cmpfloat_with_epsilon((double)total / debt.limit, (double)(now - begin) / SECOND, 0.3);
}

/* Time without writing is not saved up, and debts end somewhere. */
static void test_debt_bounds(void)
{
    DirtyDebt debt = {.limit = MiB};
    int64_t now = 1000 * SECOND;

    g_assert_cmpint(dirtylimit_debt_add(&debt, MiB, now), >, now + SECOND * 9 / 10);
    now += 100 * SECOND;
    g_assert_cmpint(dirtylimit_debt_add(&debt, MiB, now), >, now + SECOND * 9 / 10);
    now += 100 * SECOND;
    g_assert_cmpint(dirtylimit_debt_add(&debt, UINT64_MAX, now), >, now);
    g_assert_cmpint(debt.until, <=, now + 10 * SECOND);
    /* No limit costs nothing. */
    debt = (DirtyDebt){0};
    g_assert_cmpint(dirtylimit_debt_add(&debt, UINT64_MAX, now), <=, now);
}

static void test_sample_count(void)
{
    g_assert_cmpuint(dirty_sample_count(GiB / TARGET_PAGE_SIZE, 512), ==, 512);
    g_assert_cmpuint(dirty_sample_count(8 * GiB / TARGET_PAGE_SIZE, 128), ==, 1024);
    g_assert_cmpuint(dirty_sample_count(TiB / TARGET_PAGE_SIZE, 16384), ==, 1024 * 16384);
    /* Small blocks are looked at too, never beyond their end. */
    g_assert_cmpuint(dirty_sample_count(10, 512), ==, 10);
    g_assert_cmpuint(dirty_sample_count(0, 512), ==, 0);
    g_assert_cmpuint(dirty_sample_count(1000, 512), ==, 64);
}

static void test_sample_choice(void)
{
    g_autoptr(GRand) rand = g_rand_new_with_seed(1);

    for (int i = 0; i < 500; i++) {
        DirtySample s = {.block_pages = g_rand_int_range(rand, 1, 100000)};

        s.count = dirty_sample_count(s.block_pages, 16384);
        s.page = g_new(uint64_t, s.count);
        dirty_sample_choose(&s, rand);
        for (uint32_t p = 0; p < s.count; p++) {
            g_assert_cmpuint(s.page[p], <, s.block_pages);
            g_assert_true(!p || s.page[p] > s.page[p - 1]);
        }
        g_free(s.page);
    }
}

static void test_sample_result(void)
{
    DirtySample s = {.block_pages = 262144, .count = 512};

    g_assert_cmpfloat(dirty_sample_bytes(&s, 0), ==, 0);
    g_assert_cmpfloat_with_epsilon(dirty_sample_bytes(&s, 512), GiB, 1);
    g_assert_cmpfloat_with_epsilon(dirty_sample_bytes(&s, 128), GiB / 4, 1);
    g_assert_cmpint(dirty_rate_mb(GiB, 1000), ==, 1024);
    g_assert_cmpint(dirty_rate_mb(GiB, 2000), ==, 512);
    g_assert_cmpint(dirty_rate_mb(MiB * 0.6, 1000), ==, 1);
    g_assert_cmpint(dirty_rate_mb(MiB * 0.4, 1000), ==, 0);
    g_assert_cmpint(dirty_rate_mb(MiB, 0), >, 0);
    s.count = 0;
    g_assert_cmpfloat(dirty_sample_bytes(&s, 0), ==, 0);
}

/* Any byte that changes is seen. */
static void test_hash(void)
{
    g_autofree uint8_t *page = g_malloc0(TARGET_PAGE_SIZE);
    uint32_t zero = dirty_sample_hash(page);

    for (size_t i = 0; i < TARGET_PAGE_SIZE; i++) {
        page[i] = 1;
        g_assert_cmpuint(dirty_sample_hash(page), !=, zero);
        page[i] = 0;
    }
    g_assert_cmpuint(dirty_sample_hash(page), ==, zero);
}

/* Whatever is dirty for a migration, and whatever it takes: what is written is noted, none lost. */
static void test_log(void)
{
    RAMBlock *rb = qemu_ram_alloc(200 * TARGET_PAGE_SIZE, 0, NULL, &error_abort);
    RAMBlock *other = qemu_ram_alloc(100 * TARGET_PAGE_SIZE, 0, NULL, &error_abort);
    unsigned long from_kernel[BITS_TO_LONGS(200)] = {0}, bmap[BITS_TO_LONGS(200)] = {0};

    qemu_ram_set_idstr(rb, "ram", NULL);
    qemu_ram_set_migratable(rb);
    g_assert_true(memory_global_dirty_log_start(GLOBAL_DIRTY_MIGRATION, &error_abort));
    /* The first pass: all is dirty. */
    ram_block_set_dirty(rb, 0, rb->used_length);
    for (int i = 0; i < 2; i++) {
        g_assert_true(dirty_log_begin(&error_abort));
        ram_block_set_dirty(rb, 10 * TARGET_PAGE_SIZE, 5 * TARGET_PAGE_SIZE);
        bitmap_set(from_kernel, 12, 100);
        ram_block_or_dirty(rb, 0, 200, from_kernel);
        ram_block_set_dirty(other, 0, other->used_length); /* is not migrated */
        g_assert_cmpuint(ram_block_take_dirty(rb, 0, 200, bmap), ==, i ? 0 : 200);
        ram_block_set_dirty(rb, 199 * TARGET_PAGE_SIZE, 1);
        ram_block_set_dirty(rb, 10 * TARGET_PAGE_SIZE, 1);
        g_assert_cmpuint(dirty_log_end(), ==, 112 - 10 + 1);
        /* What came since it took is still there for it. */
        g_assert_cmpuint(bitmap_count_one(rb->dirty, 200), ==, 2);
    }
    ram_block_set_dirty(rb, 0, rb->used_length);
    g_assert_true(dirty_log_begin(&error_abort));
    g_assert_cmpuint(dirty_log_end(), ==, 0);
    g_assert_cmpuint(bitmap_count_one(rb->dirty, 200), ==, 200);
    memory_global_dirty_log_stop(GLOBAL_DIRTY_MIGRATION);
    qemu_ram_free(other);
    qemu_ram_free(rb);
}

static void test_bandwidth(void)
{
    uint64_t b = migration_smooth_bandwidth(0, 1000000);

    /* The first counts whole; one that is odd by a quarter; what lasts is believed. */
    g_assert_cmpuint(b, ==, 1000000);
    g_assert_cmpuint(migration_smooth_bandwidth(b, 0), ==, 750000);
    g_assert_cmpuint(migration_smooth_bandwidth(b, 2000000), ==, 1250000);
    for (int i = 0; i < 30; i++) {
        b = migration_smooth_bandwidth(b, 5000000);
    }
    g_assert_cmpuint(b, >, 4990000);
    g_assert_cmpuint(b, <=, 5000000);
    g_assert_cmpuint(migration_smooth_bandwidth(UINT64_MAX / 2, UINT64_MAX / 2), <=, UINT64_MAX / 2);
}

int main(int argc, char **argv)
{
    g_test_init(&argc, &argv, NULL);
    qemu_init_main_loop(&error_abort);
    module_call_init(MODULE_INIT_QOM);
    migration_object_init();
    g_test_add_func("/throttle/sleep", test_sleep);
    g_test_add_func("/throttle/steps", test_steps);
    g_test_add_func("/throttle/tailslow", test_tailslow);
    g_test_add_func("/dirtylimit/debt", test_debt);
    g_test_add_func("/dirtylimit/bounds", test_debt_bounds);
    g_test_add_func("/dirtyrate/count", test_sample_count);
    g_test_add_func("/dirtyrate/choice", test_sample_choice);
    g_test_add_func("/dirtyrate/result", test_sample_result);
    g_test_add_func("/dirtyrate/hash", test_hash);
    g_test_add_func("/dirtyrate/log", test_log);
    g_test_add_func("/bandwidth/smooth", test_bandwidth);
    return g_test_run();
}
