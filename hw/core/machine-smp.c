/*
 * CPU topology: from what `-smp` says to a full set of numbers whose product is maxcpus.
 *
 * Levels from the outside in: drawers, books, sockets, dies, clusters, modules, cores, threads.
 * What is left out is worked out: the outer and middle levels are 1; of sockets, cores and
 * threads one takes what remains of maxcpus (cores, unless the machine prefers sockets).
 *
 * SPDX-License-Identifier: GPL-2.0-or-later
 */
#include "qemu/osdep.h"
#include <json-c/json.h>
#include "hw/boards.h"
#include "qapi/error.h"
#include "qapi/qapi-visit-machine.h"
#include "qapi/qobject-input-visitor.h"
#include "qapi/visitor.h"
#include "qemu/keyval.h"

/* More CPUs than any machine has; keeps products far from overflow. */
#define SMP_LIMIT 65536u

/* "sockets (2) * cores (4) * threads (1)": the levels that this machine has; g_free it. */
static char *describe(const MachineClass *mc, const CpuTopology *t)
{
    const SMPCompatProps *has = &mc->smp_props;
    GString *s = g_string_new(NULL);

    if (has->drawers_supported) {
        g_string_append_printf(s, "drawers (%u) * ", t->drawers);
    }
    if (has->books_supported) {
        g_string_append_printf(s, "books (%u) * ", t->books);
    }
    g_string_append_printf(s, "sockets (%u)", t->sockets);
    if (has->dies_supported) {
        g_string_append_printf(s, " * dies (%u)", t->dies);
    }
    if (has->clusters_supported) {
        g_string_append_printf(s, " * clusters (%u)", t->clusters);
    }
    if (has->modules_supported) {
        g_string_append_printf(s, " * modules (%u)", t->modules);
    }
    g_string_append_printf(s, " * cores (%u) * threads (%u)", t->cores, t->threads);
    return g_string_free(s, FALSE);
}

/* @value where @present, else 0; false on what can't be a count. */
static bool take(const char *name, bool present, int64_t value, unsigned *out, Error **errp)
{
    *out = 0;
    if (!present) {
        return true;
    }
    if (value <= 0) {
        error_setg(errp, "Invalid CPU topology: CPU topology parameters must be greater than "
                   "zero, but '%s' is %" PRId64, name, value);
        return false;
    }
    if (value > SMP_LIMIT) {
        error_setg(errp, "Invalid CPU topology: '%s' is %" PRId64 ", more than %u", name, value,
                   SMP_LIMIT);
        return false;
    }
    *out = value;
    return true;
}

static bool level_supported(const char *name, bool supported, unsigned value, Error **errp)
{
    if (!supported && value > 1) {
        error_setg(errp, "%s > 1 not supported by this machine's CPU topology", name);
        return false;
    }
    return true;
}

/* What of @max_cpus is left for the level that was not given; at least 1. */
static unsigned remaining(unsigned max_cpus, uint64_t rest)
{
    return MAX(1, max_cpus / MAX(rest, 1));
}

static void fill_in(const MachineClass *mc, CpuTopology *t)
{
    uint64_t middle;

    t->drawers = t->drawers ?: 1;
    t->books = t->books ?: 1;
    t->dies = t->dies ?: 1;
    t->clusters = t->clusters ?: 1;
    t->modules = t->modules ?: 1;
    middle = (uint64_t)t->drawers * t->books * t->dies * t->clusters * t->modules;

    if (!t->cpus && !t->max_cpus) {
        t->sockets = t->sockets ?: 1;
        t->cores = t->cores ?: 1;
        t->threads = t->threads ?: 1;
    } else {
        t->max_cpus = t->max_cpus ?: t->cpus;
        if (mc->smp_props.prefer_sockets && !t->sockets) {
            t->cores = t->cores ?: 1;
            t->threads = t->threads ?: 1;
            t->sockets = remaining(t->max_cpus, middle * t->cores * t->threads);
        } else if (!mc->smp_props.prefer_sockets && !t->cores) {
            t->sockets = t->sockets ?: 1;
            t->threads = t->threads ?: 1;
            t->cores = remaining(t->max_cpus, middle * t->sockets * t->threads);
        } else if (!t->cores) {
            t->threads = t->threads ?: 1;
            t->cores = remaining(t->max_cpus, middle * t->sockets * t->threads);
        } else if (!t->sockets) {
            t->threads = t->threads ?: 1;
            t->sockets = remaining(t->max_cpus, middle * t->cores * t->threads);
        }
        t->threads = t->threads ?: remaining(t->max_cpus, middle * t->sockets * t->cores);
    }
}

bool machine_parse_smp_config(MachineState *ms, const SMPConfiguration *config, Error **errp)
{
    MachineClass *mc = MACHINE_GET_CLASS(ms);
    const SMPCompatProps *has = &mc->smp_props;
    g_autofree char *text = NULL;
    uint64_t total = 1;
    CpuTopology t;

    if (!take("cpus", config->has_cpus, config->cpus, &t.cpus, errp) ||
        !take("drawers", config->has_drawers, config->drawers, &t.drawers, errp) ||
        !take("books", config->has_books, config->books, &t.books, errp) ||
        !take("sockets", config->has_sockets, config->sockets, &t.sockets, errp) ||
        !take("dies", config->has_dies, config->dies, &t.dies, errp) ||
        !take("clusters", config->has_clusters, config->clusters, &t.clusters, errp) ||
        !take("modules", config->has_modules, config->modules, &t.modules, errp) ||
        !take("cores", config->has_cores, config->cores, &t.cores, errp) ||
        !take("threads", config->has_threads, config->threads, &t.threads, errp) ||
        !take("maxcpus", config->has_maxcpus, config->maxcpus, &t.max_cpus, errp)) {
        return false;
    }
    if (!level_supported("dies", has->dies_supported, t.dies, errp) ||
        !level_supported("clusters", has->clusters_supported, t.clusters, errp) ||
        !level_supported("modules", has->modules_supported, t.modules, errp) ||
        !level_supported("books", has->books_supported, t.books, errp) ||
        !level_supported("drawers", has->drawers_supported, t.drawers, errp)) {
        return false;
    }

    /* Each level is at most 2^16; stopping at the first product beyond 2^32 keeps it in 64 bits. */
    const unsigned *const levels[] = {
        &t.drawers, &t.books, &t.sockets, &t.dies, &t.clusters, &t.modules, &t.cores, &t.threads,
    };
    for (size_t i = 0; i < ARRAY_SIZE(levels); i++) {
        total *= MAX(*levels[i], 1u);
        if (total > UINT32_MAX) {
            error_setg(errp, "Invalid CPU topology: the product of its levels is too large");
            return false;
        }
    }

    fill_in(mc, &t);
    total = 1;
    for (size_t i = 0; i < ARRAY_SIZE(levels); i++) {
        total *= *levels[i];
    }
    if (total > UINT32_MAX) {
        error_setg(errp, "Invalid CPU topology: the product of its levels is too large");
        return false;
    }
    t.max_cpus = t.max_cpus ?: total;
    t.cpus = t.cpus ?: t.max_cpus;
    text = describe(mc, &t);

    if (total != t.max_cpus) {
        error_setg(errp, "Invalid CPU topology: product of the hierarchy must match maxcpus: "
                   "%s != maxcpus (%u)", text, t.max_cpus);
        return false;
    }
    if (t.max_cpus < t.cpus) {
        error_setg(errp, "Invalid CPU topology: maxcpus must be equal to or greater than smp: "
                   "%s == maxcpus (%u) < smp_cpus (%u)", text, t.max_cpus, t.cpus);
        return false;
    }
    if (t.cpus < (unsigned)mc->min_cpus) {
        error_setg(errp, "Invalid SMP CPUs %u. The min CPUs supported by machine '%s' is %d",
                   t.cpus, mc->name, mc->min_cpus);
        return false;
    }
    if (t.max_cpus > (unsigned)mc->max_cpus) {
        error_setg(errp, "Invalid SMP CPUs %u. The max CPUs supported by machine '%s' is %d",
                   t.max_cpus, mc->name, mc->max_cpus);
        return false;
    }
    ms->smp = t;
    return true;
}

bool machine_parse_smp_text(MachineState *ms, const char *text, Error **errp)
{
    SMPConfiguration *config = NULL;
    QObject *args = keyval_parse(text, "cpus", NULL, errp);
    Visitor *v;
    bool ok;

    if (!args) {
        return false;
    }
    v = qobject_input_visitor_new_keyval(args);
    ok = visit_type_SMPConfiguration(v, NULL, &config, errp) &&
         machine_parse_smp_config(ms, config, errp);
    visit_free(v);
    json_object_put(args);
    qapi_free_SMPConfiguration(config);
    return ok;
}

unsigned int machine_topo_get_cores_per_socket(const MachineState *ms)
{
    return ms->smp.cores * ms->smp.modules * ms->smp.clusters * ms->smp.dies;
}

unsigned int machine_topo_get_threads_per_socket(const MachineState *ms)
{
    return ms->smp.threads * machine_topo_get_cores_per_socket(ms);
}
