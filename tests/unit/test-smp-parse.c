/*
 * -smp and -m: what is worked out from what was given, and what is refused.
 *
 * SPDX-License-Identifier: GPL-2.0-or-later
 */
#include "qemu/osdep.h"
#include "hw/boards.h"
#include "qapi/error.h"
#include "qemu/module.h"
#include "qemu/units.h"

static void small_machine(MachineClass *mc)
{
    mc->max_cpus = 512;
    mc->smp_props.dies_supported = true;
    mc->default_ram_size = 128 * MiB;
}
DEFINE_MACHINE("test-cores", small_machine)

static void sockets_machine(MachineClass *mc)
{
    mc->max_cpus = 512;
    mc->smp_props.prefer_sockets = true;
    mc->default_ram_size = 0;
}
DEFINE_MACHINE("test-sockets", sockets_machine)

static MachineState *machine(const char *name)
{
    g_autofree char *type = g_strdup_printf("%s-machine", name);

    return MACHINE(object_new(type));
}

static void test_good(void)
{
    static const struct {
        const char *type, *text;
        unsigned cpus, sockets, dies, cores, threads, max_cpus;
    } cases[] = {
        { "test-cores", "1", 1, 1, 1, 1, 1, 1 },
        { "test-cores", "8", 8, 1, 1, 8, 1, 8 },
        { "test-cores", "cpus=8", 8, 1, 1, 8, 1, 8 },
        { "test-cores", "8,sockets=2", 8, 2, 1, 4, 1, 8 },
        { "test-cores", "8,cores=4", 8, 2, 1, 4, 1, 8 },
        { "test-cores", "8,threads=2", 8, 1, 1, 4, 2, 8 },
        { "test-cores", "8,sockets=2,cores=2", 8, 2, 1, 2, 2, 8 },
        { "test-cores", "8,sockets=2,threads=2", 8, 2, 1, 2, 2, 8 },
        { "test-cores", "8,maxcpus=16", 8, 1, 1, 16, 1, 16 },
        { "test-cores", "maxcpus=16", 16, 1, 1, 16, 1, 16 },
        { "test-cores", "sockets=2,cores=4,threads=2", 16, 2, 1, 4, 2, 16 },
        { "test-cores", "sockets=2,dies=2,cores=2,threads=2,maxcpus=16", 16, 2, 2, 2, 2, 16 },
        { "test-cores", "16,dies=2", 16, 1, 2, 8, 1, 16 },
        { "test-cores", "8,dies=1,maxcpus=8", 8, 1, 1, 8, 1, 8 },
        { "test-cores", "512", 512, 1, 1, 512, 1, 512 },
        { "test-sockets", "8", 8, 8, 1, 1, 1, 8 },
        { "test-sockets", "8,cores=4", 8, 2, 1, 4, 1, 8 },
        { "test-sockets", "8,threads=2", 8, 4, 1, 1, 2, 8 },
        { "test-sockets", "8,sockets=2", 8, 2, 1, 4, 1, 8 },
    };

    for (size_t i = 0; i < ARRAY_SIZE(cases); i++) {
        MachineState *ms = machine(cases[i].type);

        g_test_message("%s: %s", cases[i].type, cases[i].text);
        g_assert_true(machine_parse_smp_text(ms, cases[i].text, &error_abort));
        g_assert_cmpuint(ms->smp.cpus, ==, cases[i].cpus);
        g_assert_cmpuint(ms->smp.sockets, ==, cases[i].sockets);
        g_assert_cmpuint(ms->smp.dies, ==, cases[i].dies);
        g_assert_cmpuint(ms->smp.cores, ==, cases[i].cores);
        g_assert_cmpuint(ms->smp.threads, ==, cases[i].threads);
        g_assert_cmpuint(ms->smp.max_cpus, ==, cases[i].max_cpus);
        g_assert_cmpuint(machine_topo_get_threads_per_socket(ms) * ms->smp.sockets, ==,
                         ms->smp.max_cpus);
        object_unref(ms);
    }
}

/* Whatever is refused leaves the machine with the one CPU that it started with. */
static void test_bad(void)
{
    static const struct {
        const char *type, *text;
        const char *error;              /* NULL: any */
    } cases[] = {
        { "test-cores", "0", NULL },
        { "test-cores", "-1", NULL },
        { "test-cores", "x", NULL },
        { "test-cores", "8,sockets=0", "Invalid CPU topology: CPU topology parameters must be "
                                       "greater than zero, but 'sockets' is 0" },
        { "test-cores", "8,wings=2", NULL },
        { "test-cores", "8,sockets=3", "Invalid CPU topology: product of the hierarchy must "
          "match maxcpus: sockets (3) * dies (1) * cores (2) * threads (1) != maxcpus (8)" },
        { "test-sockets", "8,dies=2", "dies > 1 not supported by this machine's CPU topology" },
        { "test-cores", "8,clusters=2",
          "clusters > 1 not supported by this machine's CPU topology" },
        { "test-cores", "8,drawers=2", NULL },
        { "test-cores", "8,maxcpus=4", "Invalid CPU topology: maxcpus must be equal to or "
          "greater than smp: sockets (1) * dies (1) * cores (4) * threads (1) == maxcpus (4) < "
          "smp_cpus (8)" },
        { "test-cores", "513", "Invalid SMP CPUs 513. The max CPUs supported by machine "
          "'test-cores' is 512" },
        { "none", "2", "Invalid SMP CPUs 2. The max CPUs supported by machine 'none' is 1" },
        { "test-cores", "99999999999", NULL },
        { "test-cores", "9223372036854775807,sockets=9223372036854775807", NULL },
        { "test-cores", "sockets=65536,cores=65536,threads=65536,dies=65536", NULL },
        { "test-cores", "65536,sockets=65536,cores=65536", NULL },
    };

    for (size_t i = 0; i < ARRAY_SIZE(cases); i++) {
        MachineState *ms = machine(cases[i].type);
        Error *err = NULL;

        g_test_message("%s: %s", cases[i].type, cases[i].text);
        g_assert_false(machine_parse_smp_text(ms, cases[i].text, &err));
        g_assert_nonnull(err);
        if (cases[i].error) {
            g_assert_cmpstr(error_get_pretty(err), ==, cases[i].error);
        }
        g_assert_cmpuint(ms->smp.cpus, ==, 1);
        g_assert_cmpuint(ms->smp.max_cpus, ==, 1);
        error_free(err);
        object_unref(ms);
    }
}

static void test_memory(void)
{
    static const struct {
        const char *text;
        uint64_t size, max_size, slots;
    } good[] = {
        { "150M", 150 * MiB, 150 * MiB, 0 },
        { "64", 64 * MiB, 64 * MiB, 0 },
        { "size=2G", 2 * GiB, 2 * GiB, 0 },
        { "1.5G", 1536 * MiB, 1536 * MiB, 0 },
        { "0", 128 * MiB, 128 * MiB, 0 },
        { "1G,maxmem=4G,slots=3", GiB, 4 * GiB, 3 },
        { "1G,maxmem=1G", GiB, GiB, 0 },
        { "maxmem=1G", 128 * MiB, GiB, 0 },
    };
    static const char *const bad[] = {
        "x", "-1", "1Q", "1G,slots=2", "1G,maxmem=512M", "1G,maxmem=1G,slots=1", "1G,slots=x",
        "1G,maxmem=x", "1G,wings=2", "16E", "8E", "1G,maxmem=4G,slots=-1",
    };

    for (size_t i = 0; i < ARRAY_SIZE(good); i++) {
        MachineState *ms = machine("test-cores");

        g_test_message("-m %s", good[i].text);
        g_assert_true(machine_parse_memory_text(ms, good[i].text, &error_abort));
        g_assert_cmpuint(ms->ram_size, ==, good[i].size);
        g_assert_cmpuint(ms->maxram_size, ==, good[i].max_size);
        g_assert_cmpuint(ms->ram_slots, ==, good[i].slots);
        object_unref(ms);
    }
    for (size_t i = 0; i < ARRAY_SIZE(bad); i++) {
        MachineState *ms = machine("test-cores");
        Error *err = NULL;

        g_test_message("-m %s", bad[i]);
        g_assert_false(machine_parse_memory_text(ms, bad[i], &err));
        g_assert_nonnull(err);
        error_free(err);
        g_assert_cmpuint(ms->ram_size, ==, 128 * MiB);
        object_unref(ms);
    }
}

static void test_find(void)
{
    Error *err = NULL;

    g_assert_cmpstr(machine_find_class("none", &error_abort)->name, ==, "none");
    g_assert_null(machine_find_class("toaster", &err));
    g_assert_cmpstr(error_get_pretty(err), ==, "unsupported machine type: \"toaster\"");
    error_free(err);
}

int main(int argc, char **argv)
{
    g_test_init(&argc, &argv, NULL);
    module_call_init(MODULE_INIT_QOM);

    g_test_add_func("/smp-parse/good", test_good);
    g_test_add_func("/smp-parse/bad", test_bad);
    g_test_add_func("/smp-parse/memory", test_memory);
    g_test_add_func("/smp-parse/find", test_find);
    return g_test_run();
}
