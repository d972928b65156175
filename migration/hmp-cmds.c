/*
 * HMP commands of migration: the words and figures that a person at a monitor sees.
 *
 * Built into the monitor's library, for it prints there; it knows no more of migration than QMP
 * clients and the options do.
 *
 * SPDX-License-Identifier: GPL-2.0-or-later
 */
#include "qemu/osdep.h"
#include <json-c/json.h>
#include "migration/misc.h"
#include "migration/options.h"
#include "monitor/hmp.h"
#include "qapi/error.h"
#include "qapi/qapi-commands-migration.h"
#include "qapi/qapi-visit-migration.h"
#include "qapi/qobject-input-visitor.h"
#include "qapi/util.h"
#include "qemu/cutils.h"
#include "qemu/sockets.h"
#include "qemu/timer.h"

/* ---- info ---- */

static const char *on_off(bool on)
{
    return on ? "on" : "off";
}

static void print_globals(Monitor *mon)
{
    monitor_puts(mon, "globals:\n");
    monitor_printf(mon, "store-global-state: %s\n", on_off(migrate_store_global_state()));
    monitor_printf(mon, "only-migratable: %s\n", on_off(only_migratable));
    monitor_printf(mon, "send-configuration: %s\n", on_off(migrate_send_configuration()));
    monitor_printf(mon, "send-section-footer: %s\n", on_off(migrate_send_section_footer()));
    monitor_printf(mon, "send-switchover-start: %s\n", on_off(migrate_send_switchover_start()));
    monitor_printf(mon, "clear-bitmap-shift: %u\n", migrate_clear_bitmap_shift());
}

static void print_if(Monitor *mon, const char *name, uint64_t value, const char *unit)
{
    if (value) {
        monitor_printf(mon, "%s: %" PRIu64 "%s\n", name, value, unit);
    }
}

static void print_ram(Monitor *mon, const MigrationStats *ram)
{
    monitor_printf(mon, "transferred ram: %" PRIu64 " kbytes\n", ram->transferred >> 10);
    monitor_printf(mon, "throughput: %0.2f mbps\n", ram->mbps);
    monitor_printf(mon, "remaining ram: %" PRIu64 " kbytes\n", ram->remaining >> 10);
    monitor_printf(mon, "total ram: %" PRIu64 " kbytes\n", ram->total >> 10);
    monitor_printf(mon, "duplicate: %" PRIu64 " pages\n", ram->duplicate);
    monitor_printf(mon, "normal: %" PRIu64 " pages\n", ram->normal);
    monitor_printf(mon, "normal bytes: %" PRIu64 " kbytes\n", ram->normal_bytes >> 10);
    monitor_printf(mon, "dirty sync count: %" PRIu64 "\n", ram->dirty_sync_count);
    monitor_printf(mon, "page size: %" PRIu64 " kbytes\n", ram->page_size >> 10);
    monitor_printf(mon, "multifd bytes: %" PRIu64 " kbytes\n", ram->multifd_bytes >> 10);
    monitor_printf(mon, "pages-per-second: %" PRIu64 "\n", ram->pages_per_second);
    print_if(mon, "dirty pages rate", ram->dirty_pages_rate, " pages");
    print_if(mon, "postcopy request count", ram->postcopy_requests, "");
    print_if(mon, "precopy ram", ram->precopy_bytes >> 10, " kbytes");
    print_if(mon, "downtime ram", ram->downtime_bytes >> 10, " kbytes");
    print_if(mon, "postcopy ram", ram->postcopy_bytes >> 10, " kbytes");
    print_if(mon, "Zero-copy-send fallbacks happened", ram->dirty_sync_missed_zero_copy,
             " times");
}

static void print_xbzrle(Monitor *mon, const XBZRLECacheStats *stats)
{
    monitor_printf(mon, "cache size: %" PRIu64 " bytes\n", stats->cache_size);
    monitor_printf(mon, "xbzrle transferred: %" PRIu64 " kbytes\n", stats->bytes >> 10);
    monitor_printf(mon, "xbzrle pages: %" PRIu64 " pages\n", stats->pages);
    monitor_printf(mon, "xbzrle cache miss: %" PRIu64 " pages\n", stats->cache_miss);
    monitor_printf(mon, "xbzrle cache miss rate: %0.2f\n", stats->cache_miss_rate);
    monitor_printf(mon, "xbzrle encoding rate: %0.2f\n", stats->encoding_rate);
    monitor_printf(mon, "xbzrle overflow: %" PRIu64 "\n", stats->overflow);
}

static void print_times(Monitor *mon, const MigrationInfo *info)
{
    if (info->has_total_time) {
        monitor_printf(mon, "total time: %" PRIu64 " ms\n", info->total_time);
    }
    if (info->has_expected_downtime) {
        monitor_printf(mon, "expected downtime: %" PRIu64 " ms\n", info->expected_downtime);
    }
    if (info->has_downtime) {
        monitor_printf(mon, "downtime: %" PRIu64 " ms\n", info->downtime);
    }
    if (info->has_setup_time) {
        monitor_printf(mon, "setup: %" PRIu64 " ms\n", info->setup_time);
    }
}

static void print_latencies(Monitor *mon, const MigrationInfo *info)
{
    const char *separator = "";
    int bucket = 0;

    monitor_printf(mon, "postcopy latency: %" PRIu64 " ns\n", info->postcopy_latency);
    monitor_printf(mon, "postcopy non-vcpu latency: %" PRIu64 " ns\n",
                   info->postcopy_non_vcpu_latency);
    monitor_puts(mon, "postcopy vcpu latency (ns): ");
    for (uint64List *l = info->postcopy_vcpu_latency; l; l = l->next) {
        monitor_printf(mon, "%s%" PRIu64, separator, l->value);
        separator = ",";
    }
    monitor_puts(mon, "\npostcopy latency distribution:\n");
    for (uint64List *l = info->postcopy_latency_dist; l; l = l->next, bucket++) {
        if (l->value) {
            monitor_printf(mon, "  %" PRIu64 " us to %" PRIu64 " us: %" PRIu64 "\n",
                           UINT64_C(1) << bucket, UINT64_C(2) << bucket, l->value);
        }
    }
}

static void print_blocktime(Monitor *mon, const MigrationInfo *info)
{
    const char *separator = "";

    if (info->has_postcopy_blocktime) {
        monitor_printf(mon, "postcopy blocktime: %u\n", info->postcopy_blocktime);
    }
    if (info->postcopy_vcpu_blocktime) {
        monitor_puts(mon, "postcopy vcpu blocktime: ");
        for (uint32List *l = info->postcopy_vcpu_blocktime; l; l = l->next) {
            monitor_printf(mon, "%s%u", separator, l->value);
            separator = ",";
        }
        monitor_puts(mon, "\n");
    }
    if (info->has_postcopy_latency) {
        print_latencies(mon, info);
    }
}

/* Not QEMU's: one line, behind all that is. */
static void print_downtime(Monitor *mon, const MigrationDowntime *d)
{
    const struct {
        const char *name;
        bool known;
        uint64_t us;
    } steps[] = {
        { "stop", d->has_stop, d->stop },
        { "pause", d->has_pause, d->pause },
        { "ram", d->has_ram, d->ram },
        { "devices", d->has_devices, d->devices },
        { "transfer", d->has_transfer, d->transfer },
        { "end", d->has_end, d->end },
        { "load-devices", d->has_load_devices, d->load_devices },
        { "start", d->has_start, d->start },
    };
    const char *separator = "downtime steps: ";

    for (size_t i = 0; i < ARRAY_SIZE(steps); i++) {
        if (steps[i].known) {
            monitor_printf(mon, "%s%s %" PRIu64 " us", separator, steps[i].name, steps[i].us);
            separator = ", ";
        }
    }
    monitor_puts(mon, "\n");
}

void hmp_info_migrate(Monitor *mon, const QDict *qdict)
{
    Error *err = NULL;
    g_autoptr(MigrationInfo) info = qmp_query_migrate(&err);

    if (hmp_handle_error(mon, err)) {
        return;
    }
    print_globals(mon);
    for (strList *l = info->blocked_reasons; l; l = l->next) {
        if (l == info->blocked_reasons) {
            monitor_puts(mon, "Outgoing migration blocked:\n");
        }
        monitor_printf(mon, "  %s\n", l->value);
    }
    if (info->has_status) {
        monitor_printf(mon, "Migration status: %s", MigrationStatus_str(info->status));
        if (info->status == MIGRATION_STATUS_FAILED && info->error_desc) {
            monitor_printf(mon, " (%s)", info->error_desc);
        }
        monitor_puts(mon, "\n");
        print_times(mon, info);
    }
    if (info->ram) {
        print_ram(mon, info->ram);
    }
    if (info->xbzrle_cache) {
        print_xbzrle(mon, info->xbzrle_cache);
    }
    if (info->has_cpu_throttle_percentage) {
        monitor_printf(mon, "cpu throttle percentage: %" PRIu64 "\n",
                       (uint64_t)info->cpu_throttle_percentage);
    }
    if (info->has_dirty_limit_throttle_time_per_round) {
        monitor_printf(mon, "dirty-limit throttle time: %" PRIu64 " us\n",
                       info->dirty_limit_throttle_time_per_round);
    }
    if (info->has_dirty_limit_ring_full_time) {
        monitor_printf(mon, "dirty-limit ring full time: %" PRIu64 " us\n",
                       info->dirty_limit_ring_full_time);
    }
    print_blocktime(mon, info);
    if (info->socket_address) {
        monitor_puts(mon, "socket address: [\n");
        for (SocketAddressList *l = info->socket_address; l; l = l->next) {
            g_autofree char *text = socket_uri(l->value);

            monitor_printf(mon, "\t%s\n", text);
        }
        monitor_puts(mon, "]\n");
    }
    if (info->x_downtime) {
        print_downtime(mon, info->x_downtime);
    }
}

void hmp_info_migrate_capabilities(Monitor *mon, const QDict *qdict)
{
    g_autoptr(MigrationCapabilityStatusList) list = qmp_query_migrate_capabilities(NULL);

    for (MigrationCapabilityStatusList *l = list; l; l = l->next) {
        monitor_printf(mon, "%s: %s\n", MigrationCapability_str(l->value->capability),
                       on_off(l->value->state));
    }
}

static void print_mapping(Monitor *mon, const BitmapMigrationNodeAliasList *list)
{
    if (!list) {
        return;
    }
    monitor_puts(mon, "block-bitmap-mapping:\n");
    for (; list; list = list->next) {
        const BitmapMigrationNodeAlias *node = list->value;

        monitor_printf(mon, "  '%s' -> '%s'\n", node->node_name, node->alias);
        for (BitmapMigrationBitmapAliasList *b = node->bitmaps; b; b = b->next) {
            monitor_printf(mon, "    '%s' -> '%s'\n", b->value->name, b->value->alias);
        }
    }
}

void hmp_info_migrate_parameters(Monitor *mon, const QDict *qdict)
{
    g_autoptr(MigrationParameters) p = qmp_query_migrate_parameters(NULL);
    const struct {
        const char *name;
        uint64_t value;
        const char *unit;
    } first[] = {
        { "announce-initial", p->announce_initial, " ms" },
        { "announce-max", p->announce_max, " ms" },
        { "announce-rounds", p->announce_rounds, "" },
        { "announce-step", p->announce_step, " ms" },
        { "throttle-trigger-threshold", p->throttle_trigger_threshold, "" },
        { "cpu-throttle-initial", p->cpu_throttle_initial, "" },
        { "cpu-throttle-increment", p->cpu_throttle_increment, "" },
    }, second[] = {
        { "max-bandwidth", p->max_bandwidth, " bytes/second" },
        { "avail-switchover-bandwidth", p->avail_switchover_bandwidth, " bytes/second" },
        { "downtime-limit", p->downtime_limit, " ms" },
        { "x-checkpoint-delay", p->x_checkpoint_delay, " ms" },
        { "multifd-channels", p->multifd_channels, "" },
    }, third[] = {
        { "xbzrle-cache-size", p->xbzrle_cache_size, " bytes" },
        { "max-postcopy-bandwidth", p->max_postcopy_bandwidth, "" },
    }, fourth[] = {
        { "x-vcpu-dirty-limit-period", p->x_vcpu_dirty_limit_period, " ms" },
        { "vcpu-dirty-limit", p->vcpu_dirty_limit, " MB/s" },
    };
#define PRINT(table)                                                                          \
    for (size_t i = 0; i < ARRAY_SIZE(table); i++) {                                          \
        monitor_printf(mon, "%s: %" PRIu64 "%s\n", table[i].name, table[i].value, table[i].unit); \
    }

    PRINT(first);
    monitor_printf(mon, "cpu-throttle-tailslow: %s\n", on_off(p->cpu_throttle_tailslow));
    monitor_printf(mon, "max-cpu-throttle: %u\n", p->max_cpu_throttle);
    monitor_printf(mon, "tls-creds: '%s'\n", p->tls_creds ?: "");
    monitor_printf(mon, "tls-hostname: '%s'\n", p->tls_hostname ?: "");
    PRINT(second);
    monitor_printf(mon, "multifd-compression: %s\n",
                   MultiFDCompression_str(p->multifd_compression));
    monitor_printf(mon, "zero-page-detection: %s\n",
                   ZeroPageDetection_str(p->zero_page_detection));
    PRINT(third);
    monitor_printf(mon, "tls-authz: '%s'\n", p->tls_authz ?: "");
    print_mapping(mon, p->block_bitmap_mapping);
    PRINT(fourth);
    monitor_printf(mon, "mode: %s\n", MigMode_str(p->mode));
    monitor_printf(mon, "direct-io: %s\n", on_off(p->direct_io));
#undef PRINT
}

/* ---- migrating ---- */

/* `migrate` without -d: the prompt comes back when the migration has ended. */
typedef struct MigrateWait {
    Monitor *mon;
    QEMUTimer *timer;
} MigrateWait;

#define MIGRATE_WAIT_MS 50

static bool has_ended(MigrationStatus status)
{
    return status == MIGRATION_STATUS_COMPLETED || status == MIGRATION_STATUS_FAILED ||
           status == MIGRATION_STATUS_CANCELLED || status == MIGRATION_STATUS_POSTCOPY_PAUSED ||
           status == MIGRATION_STATUS_NONE;
}

static void migrate_wait(void *opaque)
{
    MigrateWait *w = opaque;
    g_autoptr(MigrationInfo) info = qmp_query_migrate(NULL);

    if (info && info->has_status && !has_ended(info->status)) {
        timer_mod(w->timer, qemu_clock_get_ms(QEMU_CLOCK_REALTIME) + MIGRATE_WAIT_MS);
        return;
    }
    if (info && info->error_desc && info->status == MIGRATION_STATUS_FAILED) {
        monitor_printf(w->mon, "Error: %s\n", info->error_desc);
    }
    monitor_resume(w->mon);
    timer_free(w->timer);
    g_free(w);
}

void hmp_migrate(Monitor *mon, const QDict *qdict)
{
    bool detach = qdict_get_try_bool(qdict, "detach", false);
    bool resume = qdict_get_try_bool(qdict, "resume", false);
    Error *err = NULL;
    MigrateWait *w;

    qmp_migrate(qdict_get_str(qdict, "uri"), false, NULL, true, false, true, resume, &err);
    if (hmp_handle_error(mon, err) || detach) {
        return;
    }
    if (monitor_suspend(mon) < 0) {
        monitor_puts(mon, "terminal does not allow synchronous migration, continuing detached\n");
        return;
    }
    w = g_new0(MigrateWait, 1);
    w->mon = mon;
    w->timer = timer_new_ms(QEMU_CLOCK_REALTIME, migrate_wait, w);
    timer_mod(w->timer, qemu_clock_get_ms(QEMU_CLOCK_REALTIME) + 1);
}

void hmp_migrate_cancel(Monitor *mon, const QDict *qdict)
{
    qmp_migrate_cancel(NULL);
}

void hmp_migrate_continue(Monitor *mon, const QDict *qdict)
{
    const char *name = qdict_get_str(qdict, "state");
    Error *err = NULL;
    int state = qapi_enum_parse(&MigrationStatus_lookup, name, -1, &err);

    if (state >= 0) {
        qmp_migrate_continue(state, &err);
    }
    hmp_handle_error(mon, err);
}

void hmp_migrate_incoming(Monitor *mon, const QDict *qdict)
{
    Error *err = NULL;

    qmp_migrate_incoming(qdict_get_str(qdict, "uri"), false, NULL, true, true, &err);
    hmp_handle_error(mon, err);
}

void hmp_migrate_recover(Monitor *mon, const QDict *qdict)
{
    Error *err = NULL;

    qmp_migrate_recover(qdict_get_str(qdict, "uri"), &err);
    hmp_handle_error(mon, err);
}

void hmp_migrate_pause(Monitor *mon, const QDict *qdict)
{
    Error *err = NULL;

    qmp_migrate_pause(&err);
    hmp_handle_error(mon, err);
}

void hmp_migrate_start_postcopy(Monitor *mon, const QDict *qdict)
{
    Error *err = NULL;

    qmp_migrate_start_postcopy(&err);
    hmp_handle_error(mon, err);
}

/* ---- options ---- */

void hmp_migrate_set_capability(Monitor *mon, const QDict *qdict)
{
    MigrationCapabilityStatus status = { .state = qdict_get_bool(qdict, "state") };
    MigrationCapabilityStatusList list = { .value = &status };
    Error *err = NULL;
    int cap = qapi_enum_parse(&MigrationCapability_lookup, qdict_get_str(qdict, "capability"),
                              -1, &err);

    if (cap >= 0) {
        status.capability = cap;
        qmp_migrate_set_capabilities(&list, &err);
    }
    hmp_handle_error(mon, err);
}

/* Bandwidths are in MiB where no unit is given: in bytes, as text, for the visitor. */
static char *mebibytes(const char *text, Error **errp)
{
    uint64_t bytes;

    if (qemu_strtosz_MiB(text, NULL, &bytes) < 0 || bytes > INT64_MAX) {
        error_setg(errp, "Invalid size %s", text);
        return NULL;
    }
    return g_strdup_printf("%" PRIu64, bytes);
}

static MigrateSetParameters *parse_parameter(const char *name, const char *text, Error **errp)
{
    g_autofree char *value = NULL;
    MigrateSetParameters *params = NULL;
    QDict *dict;
    Visitor *v;

    if (qapi_enum_parse(&MigrationParameter_lookup, name, -1, errp) < 0) {
        return NULL;
    }
    if (g_str_equal(name, "block-bitmap-mapping")) {
        error_setg(errp, "The block-bitmap-mapping parameter can only be set through QMP");
        return NULL;
    }
    if (g_str_equal(name, "max-bandwidth") || g_str_equal(name, "avail-switchover-bandwidth")) {
        value = mebibytes(text, errp);
        if (!value) {
            return NULL;
        }
    } else {
        value = g_strdup(text);
    }
    dict = qdict_new();
    qdict_put_str(dict, name, value);
    v = qobject_input_visitor_new_keyval(dict);
    visit_type_MigrateSetParameters(v, NULL, &params, errp);
    visit_free(v);
    qobject_unref(dict);
    return params;
}

void hmp_migrate_set_parameter(Monitor *mon, const QDict *qdict)
{
    Error *err = NULL;
    g_autoptr(MigrateSetParameters) params = NULL;

    params = parse_parameter(qdict_get_str(qdict, "parameter"), qdict_get_str(qdict, "value"),
                             &err);
    if (params) {
        qmp_migrate_set_parameters(params, &err);
    }
    hmp_handle_error(mon, err);
}

/* ---- completion ---- */

static void complete_enum(ReadLineState *rs, const QEnumLookup *lookup, const char *str)
{
    readline_set_completion_index(rs, strlen(str));
    for (int i = 0; i < lookup->size; i++) {
        readline_add_completion_of(rs, str, qapi_enum_lookup(lookup, i));
    }
}

void migrate_set_capability_completion(ReadLineState *rs, int nb_args, const char *str)
{
    if (nb_args == 2) {
        complete_enum(rs, &MigrationCapability_lookup, str);
    } else if (nb_args == 3) {
        readline_set_completion_index(rs, strlen(str));
        readline_add_completion_of(rs, str, "on");
        readline_add_completion_of(rs, str, "off");
    }
}

void migrate_set_parameter_completion(ReadLineState *rs, int nb_args, const char *str)
{
    if (nb_args == 2) {
        complete_enum(rs, &MigrationParameter_lookup, str);
    }
}
