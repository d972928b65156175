/*
 * Capabilities and parameters: setting, checking and asking; and the properties of -global
 * migration.*.  A capability whose feature is not built in is known by name and refused.
 *
 * SPDX-License-Identifier: GPL-2.0-or-later
 */
#include "qemu/osdep.h"
#include "dirtylimit.h"
#include "migration.h"
#include "options.h"
#include "postcopy-ram.h"
#include "qapi/clone-visitor.h"
#include "qapi/error.h"
#include "qapi/qapi-commands-migration.h"
#include "qapi/qapi-visit-migration.h"
#include "qapi/visitor.h"
#include "qemu/units.h"
#include "qom/object.h"
#include "ram.h"
#include "system/runstate.h"

#define MAX_MIGRATE_DOWNTIME_SECONDS 2000
#define MAX_MIGRATE_DOWNTIME (MAX_MIGRATE_DOWNTIME_SECONDS * 1000)

/* What a capability needs that this program does not have (yet); NULL: it works. */
static const char *const capability_unbuilt[MIGRATION_CAPABILITY__MAX] = {
    [MIGRATION_CAPABILITY_RDMA_PIN_ALL] = "RDMA",
    [MIGRATION_CAPABILITY_ZERO_BLOCKS] = "block migration",
    [MIGRATION_CAPABILITY_X_COLO] = "COLO",
    [MIGRATION_CAPABILITY_DIRTY_BITMAPS] = "migration of dirty bitmaps",
    [MIGRATION_CAPABILITY_BACKGROUND_SNAPSHOT] = "taking a snapshot while the guest runs",
    [MIGRATION_CAPABILITY_MAPPED_RAM] = "the mapped-ram file format",
};

bool migrate_capability(MigrationCapability cap)
{
    return migrate_get_current()->capabilities[cap];
}

#define DEFINE_CAPABILITY(fn, CAP) \
    bool migrate_##fn(void) { return migrate_capability(MIGRATION_CAPABILITY_##CAP); }
DEFINE_CAPABILITY(events, EVENTS)
DEFINE_CAPABILITY(return_path, RETURN_PATH)
DEFINE_CAPABILITY(pause_before_switchover, PAUSE_BEFORE_SWITCHOVER)
DEFINE_CAPABILITY(validate_uuid, VALIDATE_UUID)
DEFINE_CAPABILITY(release_ram, RELEASE_RAM)
DEFINE_CAPABILITY(switchover_ack, SWITCHOVER_ACK)
DEFINE_CAPABILITY(ignore_shared, X_IGNORE_SHARED)
DEFINE_CAPABILITY(late_block_activate, LATE_BLOCK_ACTIVATE)
DEFINE_CAPABILITY(multifd, MULTIFD)
DEFINE_CAPABILITY(postcopy_ram, POSTCOPY_RAM)
DEFINE_CAPABILITY(postcopy_preempt, POSTCOPY_PREEMPT)
DEFINE_CAPABILITY(postcopy_blocktime, POSTCOPY_BLOCKTIME)
DEFINE_CAPABILITY(mapped_ram, MAPPED_RAM)
DEFINE_CAPABILITY(zero_copy_send, ZERO_COPY_SEND)
DEFINE_CAPABILITY(xbzrle, XBZRLE)
DEFINE_CAPABILITY(compress, COMPRESS)
DEFINE_CAPABILITY(auto_converge, AUTO_CONVERGE)
DEFINE_CAPABILITY(dirty_limit, DIRTY_LIMIT)

#define DEFINE_GLOBAL(type, fn, field) \
    type migrate_##fn(void) { return migrate_get_current()->field; }
DEFINE_GLOBAL(bool, send_configuration, send_configuration)
DEFINE_GLOBAL(bool, send_section_footer, send_section_footer)
DEFINE_GLOBAL(bool, send_switchover_start, send_switchover_start)
DEFINE_GLOBAL(bool, store_global_state, store_global_state)
DEFINE_GLOBAL(bool, should_send_vmdesc, send_vmdesc)
DEFINE_GLOBAL(uint8_t, clear_bitmap_shift, clear_bitmap_shift)
DEFINE_GLOBAL(bool, multifd_flush_after_each_section, multifd_flush_after_each_section)
DEFINE_GLOBAL(uint64_t, max_bandwidth, parameters.max_bandwidth)
DEFINE_GLOBAL(uint64_t, max_postcopy_bandwidth, parameters.max_postcopy_bandwidth)
DEFINE_GLOBAL(uint64_t, avail_switchover_bandwidth, parameters.avail_switchover_bandwidth)
DEFINE_GLOBAL(uint64_t, downtime_limit, parameters.downtime_limit)
DEFINE_GLOBAL(uint64_t, xbzrle_cache_size, parameters.xbzrle_cache_size)
DEFINE_GLOBAL(int, throttle_trigger_threshold, parameters.throttle_trigger_threshold)
DEFINE_GLOBAL(int, cpu_throttle_initial, parameters.cpu_throttle_initial)
DEFINE_GLOBAL(int, cpu_throttle_increment, parameters.cpu_throttle_increment)
DEFINE_GLOBAL(bool, cpu_throttle_tailslow, parameters.cpu_throttle_tailslow)
DEFINE_GLOBAL(int, max_cpu_throttle, parameters.max_cpu_throttle)
DEFINE_GLOBAL(uint64_t, vcpu_dirty_limit, parameters.vcpu_dirty_limit)
DEFINE_GLOBAL(uint64_t, vcpu_dirty_limit_period, parameters.x_vcpu_dirty_limit_period)
DEFINE_GLOBAL(int, compress_level, parameters.compress_level)
DEFINE_GLOBAL(int, compress_threads, parameters.compress_threads)
DEFINE_GLOBAL(int, decompress_threads, parameters.decompress_threads)
DEFINE_GLOBAL(bool, compress_wait_thread, parameters.compress_wait_thread)
DEFINE_GLOBAL(int, multifd_channels, parameters.multifd_channels)
DEFINE_GLOBAL(MultiFDCompression, multifd_compression, parameters.multifd_compression)
DEFINE_GLOBAL(int, multifd_zlib_level, parameters.multifd_zlib_level)
DEFINE_GLOBAL(int, multifd_zstd_level, parameters.multifd_zstd_level)
DEFINE_GLOBAL(ZeroPageDetection, zero_page_detection, parameters.zero_page_detection)

/* Texts are read by any thread, when a channel is made. A leaf. */
static GMutex texts_lock;

#define DEFINE_TEXT(name)                                                          \
    char *migrate_##name(void)                                                     \
    {                                                                              \
        g_autoptr(GMutexLocker) locker = g_mutex_locker_new(&texts_lock);          \
        const char *text = migrate_get_current()->parameters.name;                 \
                                                                                   \
        return text && *text ? g_strdup(text) : NULL;                              \
    }
DEFINE_TEXT(tls_creds)
DEFINE_TEXT(tls_hostname)
DEFINE_TEXT(tls_authz)

/* Capabilities */

/* What reads guest memory after the call that sent it can neither be compressed nor encrypted. */
static bool check_zero_copy(const bool *caps, const MigrationParameters *p, Error **errp)
{
    if (caps[MIGRATION_CAPABILITY_ZERO_COPY_SEND] &&
        (!caps[MIGRATION_CAPABILITY_MULTIFD] || caps[MIGRATION_CAPABILITY_XBZRLE] ||
         p->multifd_compression != MULTIFD_COMPRESSION_NONE || *p->tls_creds)) {
        error_setg(errp, "Zero copy only available for non-compressed non-TLS multifd migration");
        return false;
    }
    return true;
}

/*
 * Combinations that QEMU refuses, in its words. They come before the question whether a capability
 * is built in: they are wrong in every version.
 */
static bool check_combinations(const bool *caps, Error **errp)
{
    static const struct {
        MigrationCapability cap, other;
        bool needed; /* @other has to be on; else it must be off */
        const char *text;
    } rules[] = {
#define CAP(name) MIGRATION_CAPABILITY_##name
        {CAP(POSTCOPY_RAM), CAP(X_IGNORE_SHARED), false,
         "Postcopy is not compatible with ignore-shared"},
        {CAP(POSTCOPY_PREEMPT), CAP(POSTCOPY_RAM), true, "Postcopy preempt requires postcopy-ram"},
        {CAP(BACKGROUND_SNAPSHOT), CAP(POSTCOPY_RAM), false,
         "Background-snapshot is not compatible with postcopy-ram"},
        {CAP(BACKGROUND_SNAPSHOT), CAP(RETURN_PATH), false,
         "Background-snapshot is not compatible with return-path"},
        {CAP(BACKGROUND_SNAPSHOT), CAP(RELEASE_RAM), false,
         "Background-snapshot is not compatible with release-ram"},
        {CAP(BACKGROUND_SNAPSHOT), CAP(LATE_BLOCK_ACTIVATE), false,
         "Background-snapshot is not compatible with late-block-activate"},
        {CAP(BACKGROUND_SNAPSHOT), CAP(VALIDATE_UUID), false,
         "Background-snapshot is not compatible with validate-uuid"},
        {CAP(BACKGROUND_SNAPSHOT), CAP(PAUSE_BEFORE_SWITCHOVER), false,
         "Background-snapshot is not compatible with pause-before-switchover"},
        {CAP(BACKGROUND_SNAPSHOT), CAP(MULTIFD), false,
         "Background-snapshot is not compatible with multifd"},
        {CAP(BACKGROUND_SNAPSHOT), CAP(AUTO_CONVERGE), false,
         "Background-snapshot is not compatible with auto-converge"},
        {CAP(SWITCHOVER_ACK), CAP(RETURN_PATH), true,
         "Capability 'switchover-ack' requires capability 'return-path'"},
        {CAP(MAPPED_RAM), CAP(XBZRLE), false, "Mapped-ram migration is incompatible with xbzrle"},
        {CAP(MAPPED_RAM), CAP(POSTCOPY_RAM), false,
         "Mapped-ram migration is incompatible with postcopy"},
#undef CAP
    };

    for (size_t i = 0; i < ARRAY_SIZE(rules); i++) {
        if (caps[rules[i].cap] && caps[rules[i].other] != rules[i].needed) {
            error_setg(errp, "%s", rules[i].text);
            return false;
        }
    }
    return true;
}

static bool check_capabilities(const bool *caps, Error **errp)
{
    const MigrationParameters *params = &migrate_get_current()->parameters;

    if (!check_combinations(caps, errp)) {
        return false;
    }
    for (int i = 0; i < MIGRATION_CAPABILITY__MAX; i++) {
        if (caps[i] && capability_unbuilt[i]) {
            error_setg(errp, "Capability '%s' is not available: %s is not built in",
                       MigrationCapability_str(i), capability_unbuilt[i]);
            return false;
        }
    }
    if (caps[MIGRATION_CAPABILITY_MULTIFD] && caps[MIGRATION_CAPABILITY_XBZRLE]) {
        error_setg(errp, "Multifd is not compatible with xbzrle");
        return false;
    }
    if (caps[MIGRATION_CAPABILITY_COMPRESS] && caps[MIGRATION_CAPABILITY_POSTCOPY_PREEMPT]) {
        error_setg(errp, "Postcopy preempt not compatible with compress");
        return false;
    }
    if (caps[MIGRATION_CAPABILITY_COMPRESS] &&
        (caps[MIGRATION_CAPABILITY_MULTIFD] || caps[MIGRATION_CAPABILITY_XBZRLE])) {
        error_setg(errp, "%s is not compatible with compress",
                   caps[MIGRATION_CAPABILITY_MULTIFD] ? "Multifd" : "Xbzrle");
        return false;
    }
    if (caps[MIGRATION_CAPABILITY_DIRTY_LIMIT]) {
        if (caps[MIGRATION_CAPABILITY_AUTO_CONVERGE]) {
            error_setg(errp, "dirty-limit conflicts with auto-converge either of then available "
                       "currently");
            return false;
        }
        if (!dirtylimit_available()) {
            error_setg(errp, "dirty-limit requires KVM with accelerator property 'dirty-ring-size' "
                       "set");
            return false;
        }
    }
    return check_zero_copy(caps, params, errp);
}

/* Not of the source, which needs nothing of this kind. */
static bool check_destination(const bool *caps, Error **errp)
{
    if (caps[MIGRATION_CAPABILITY_POSTCOPY_RAM] && runstate_check(RUN_STATE_INMIGRATE) &&
        !migrate_postcopy_ram() && !postcopy_ram_host_supported(errp)) {
        error_prepend(errp, "Postcopy is not supported: ");
        return false;
    }
    return true;
}

void qmp_migrate_set_capabilities(MigrationCapabilityStatusList *params, Error **errp)
{
    MigrationState *s = migrate_get_current();
    bool caps[MIGRATION_CAPABILITY__MAX];

    if (migration_is_running() || migration_incoming_in_use()) {
        error_setg(errp, "There's a migration process in progress");
        return;
    }
    memcpy(caps, s->capabilities, sizeof(caps));
    for (MigrationCapabilityStatusList *l = params; l; l = l->next) {
        caps[l->value->capability] = l->value->state;
    }
    if (check_capabilities(caps, errp) && check_destination(caps, errp)) {
        memcpy(s->capabilities, caps, sizeof(caps));
    }
}

MigrationCapabilityStatusList *qmp_query_migrate_capabilities(Error **errp)
{
    MigrationCapabilityStatusList *head = NULL, **tail = &head;

    for (int i = 0; i < MIGRATION_CAPABILITY__MAX; i++) {
        MigrationCapabilityStatus *cap = g_new0(MigrationCapabilityStatus, 1);

        cap->capability = i;
        cap->state = migrate_capability(i);
        QAPI_LIST_APPEND(tail, cap);
    }
    return head;
}

/* Parameters */

void migrate_params_init(MigrationParameters *p)
{
    *p = (MigrationParameters){
        .announce_initial = 50,
        .announce_max = 550,
        .announce_rounds = 5,
        .announce_step = 100,
        .compress_level = 1,
        .compress_threads = 8,
        .decompress_threads = 2,
        .compress_wait_thread = true,
        .throttle_trigger_threshold = 50,
        .cpu_throttle_initial = 20,
        .cpu_throttle_increment = 10,
        .tls_creds = g_strdup(""),
        .tls_hostname = g_strdup(""),
        .tls_authz = g_strdup(""),
        .max_bandwidth = 128 * MiB,
        .downtime_limit = 300,
        .x_checkpoint_delay = 20000,
        .multifd_channels = 2,
        .xbzrle_cache_size = 64 * MiB,
        .max_cpu_throttle = 99,
        .multifd_compression = MULTIFD_COMPRESSION_NONE,
        .multifd_zlib_level = 1,
        .multifd_qatzip_level = 1,
        .multifd_zstd_level = 1,
        .x_vcpu_dirty_limit_period = 1000,
        .vcpu_dirty_limit = 1,
        .mode = MIG_MODE_NORMAL,
        .zero_page_detection = ZERO_PAGE_DETECTION_MULTIFD,
    };
    /* Every member is present in query-migrate-parameters, but for the lists. */
#define PRESENT(x) p->has_##x = true
    PRESENT(announce_initial);
    PRESENT(announce_max);
    PRESENT(announce_rounds);
    PRESENT(announce_step);
    PRESENT(compress_level);
    PRESENT(compress_threads);
    PRESENT(compress_wait_thread);
    PRESENT(decompress_threads);
    PRESENT(throttle_trigger_threshold);
    PRESENT(cpu_throttle_initial);
    PRESENT(cpu_throttle_increment);
    PRESENT(cpu_throttle_tailslow);
    PRESENT(max_bandwidth);
    PRESENT(avail_switchover_bandwidth);
    PRESENT(downtime_limit);
    PRESENT(x_checkpoint_delay);
    PRESENT(multifd_channels);
    PRESENT(xbzrle_cache_size);
    PRESENT(max_postcopy_bandwidth);
    PRESENT(max_cpu_throttle);
    PRESENT(multifd_compression);
    PRESENT(multifd_zlib_level);
    PRESENT(multifd_qatzip_level);
    PRESENT(multifd_zstd_level);
    PRESENT(x_vcpu_dirty_limit_period);
    PRESENT(vcpu_dirty_limit);
    PRESENT(mode);
    PRESENT(zero_page_detection);
    PRESENT(direct_io);
#undef PRESENT
}

/*
 * Clients and test suites read these texts: they are QEMU's, which are of two kinds, and mostly
 * have the parameter's name with underscores.
 */
static bool check_range(const char *name, uint64_t v, uint64_t min, uint64_t max, Error **errp)
{
    if (v < min || v > max) {
        error_setg(errp, "Parameter '%s' expects an integer in the range of %" PRIu64
                   " to %" PRIu64, name, min, max);
        return false;
    }
    return true;
}

static bool check_between(const char *name, uint64_t v, uint64_t min, uint64_t max, Error **errp)
{
    if (v < min || v > max) {
        error_setg(errp, "Parameter '%s' expects a value between %" PRIu64 " and %" PRIu64, name,
                   min, max);
        return false;
    }
    return true;
}

/* The next two in QEMU's words, of which the first speaks of a 0 that it refuses too. */
static bool check_step(uint64_t v, Error **errp)
{
    if (v < 1 || v > 10000) {
        error_setg(errp, "Parameter 'announce_step' expects a value between 0 and 10000");
        return false;
    }
    return true;
}

static bool check_downtime(uint64_t v, Error **errp)
{
    if (v > MAX_MIGRATE_DOWNTIME) {
        error_setg(errp, "Parameter 'downtime_limit' expects an integer in the range of 0 to "
                   "(%d * 1000) ms", MAX_MIGRATE_DOWNTIME_SECONDS);
        return false;
    }
    return true;
}

static bool unbuilt_value(const char *name, const char *value, const char *what, Error **errp)
{
    error_setg(errp, "Parameter '%s' cannot be '%s': %s is not built in", name, value, what);
    return false;
}

static bool check_parameters(const MigrationParameters *p, Error **errp)
{
    if (!check_between("announce_initial", p->announce_initial, 0, 100000, errp) ||
        !check_between("announce_max", p->announce_max, 0, 100000, errp) ||
        !check_between("announce_rounds", p->announce_rounds, 0, 1000, errp) ||
        !check_step(p->announce_step, errp) ||
        !check_range("compress_level", p->compress_level, 0, 9, errp) ||
        !check_range("compress_threads", p->compress_threads, 1, 255, errp) ||
        !check_range("decompress_threads", p->decompress_threads, 1, 255, errp) ||
        !check_range("throttle_trigger_threshold", p->throttle_trigger_threshold, 1, 100, errp) ||
        !check_range("cpu_throttle_initial", p->cpu_throttle_initial, 1, 99, errp) ||
        !check_range("cpu_throttle_increment", p->cpu_throttle_increment, 1, 99, errp) ||
        !check_downtime(p->downtime_limit, errp) ||
        !check_between("multifd_channels", p->multifd_channels, 1, 255, errp) ||
        !check_between("multifd_zlib_level", p->multifd_zlib_level, 0, 9, errp) ||
        !check_between("multifd_qatzip_level", p->multifd_qatzip_level, 1, 9, errp) ||
        !check_between("multifd_zstd_level", p->multifd_zstd_level, 0, 20, errp) ||
        !check_between("x-vcpu-dirty-limit-period", p->x_vcpu_dirty_limit_period, 1, 1000, errp)) {
        return false;
    }
    if (p->max_cpu_throttle < p->cpu_throttle_initial || p->max_cpu_throttle > 99) {
        error_setg(errp, "Parameter 'max_cpu_throttle' expects an integer in the range of "
                   "cpu_throttle_initial to 99");
        return false;
    }
    if (p->vcpu_dirty_limit < 1 || p->vcpu_dirty_limit > INT64_MAX / MiB) {
        error_setg(errp, p->vcpu_dirty_limit ?
                   "Parameter 'vcpu_dirty_limit' is too large" :
                   "Parameter 'vcpu_dirty_limit' must be greater than 1 MB/s");
        return false;
    }
    if (p->xbzrle_cache_size < qemu_target_page_size() || !is_power_of_2(p->xbzrle_cache_size)) {
        error_setg(errp, "Parameter 'xbzrle_cache_size' expects a power of two no less than the "
                   "target page size");
        return false;
    }
    if (!check_zero_copy(migrate_get_current()->capabilities, p, errp)) {
        return false;
    }
    if (p->mode != MIG_MODE_NORMAL) {
        return unbuilt_value("mode", MigMode_str(p->mode), "CPR", errp);
    }
    if (p->direct_io) {
        return unbuilt_value("direct-io", "on", "direct I/O", errp);
    }
    if (p->has_block_bitmap_mapping) {
        return unbuilt_value("block-bitmap-mapping", "...", "migration of dirty bitmaps", errp);
    }
    return true;
}

static void set_string(char **dst, const StrOrNull *src)
{
    if (src) {
        g_free(*dst);
        *dst = g_strdup(src->type == QTYPE_QSTRING ? src->u.s : "");
    }
}

/* @dest: as it is now, with what @src sets changed. */
static void apply_parameters(MigrationParameters *dest, const MigrateSetParameters *src)
{
#define APPLY(x)                  \
    if (src->has_##x) {           \
        dest->x = src->x;         \
    }
    APPLY(announce_initial)
    APPLY(announce_max)
    APPLY(announce_rounds)
    APPLY(announce_step)
    APPLY(compress_level)
    APPLY(compress_threads)
    APPLY(compress_wait_thread)
    APPLY(decompress_threads)
    APPLY(throttle_trigger_threshold)
    APPLY(cpu_throttle_initial)
    APPLY(cpu_throttle_increment)
    APPLY(cpu_throttle_tailslow)
    set_string(&dest->tls_creds, src->tls_creds);
    set_string(&dest->tls_hostname, src->tls_hostname);
    set_string(&dest->tls_authz, src->tls_authz);
    APPLY(max_bandwidth)
    APPLY(avail_switchover_bandwidth)
    APPLY(downtime_limit)
    APPLY(x_checkpoint_delay)
    APPLY(multifd_channels)
    APPLY(xbzrle_cache_size)
    APPLY(max_postcopy_bandwidth)
    APPLY(max_cpu_throttle)
    APPLY(multifd_compression)
    APPLY(multifd_zlib_level)
    APPLY(multifd_qatzip_level)
    APPLY(multifd_zstd_level)
    if (src->has_block_bitmap_mapping) {
        dest->has_block_bitmap_mapping = true; /* refused by the check */
    }
    APPLY(x_vcpu_dirty_limit_period)
    APPLY(vcpu_dirty_limit)
    APPLY(mode)
    APPLY(zero_page_detection)
    APPLY(direct_io)
#undef APPLY
}

void qmp_migrate_set_parameters(MigrateSetParameters *params, Error **errp)
{
    MigrationState *s = migrate_get_current();
    MigrationParameters *now = QAPI_CLONE(MigrationParameters, &s->parameters);

    apply_parameters(now, params);
    if (check_parameters(now, errp)) {
        /* Numbers take effect at once; the strings are only read when a channel is made. */
        MigrationParameters old = s->parameters;

        g_mutex_lock(&texts_lock);
        s->parameters = *now;
        g_mutex_unlock(&texts_lock);
        *now = old;
        migration_rate_reset(s);
        dirtylimit_migration_update();
    }
    now->has_block_bitmap_mapping = false;
    qapi_free_MigrationParameters(now);
}

MigrationParameters *qmp_query_migrate_parameters(Error **errp)
{
    return QAPI_CLONE(MigrationParameters, &migrate_get_current()->parameters);
}

bool migrate_options_check(Error **errp)
{
    MigrationState *s = migrate_get_current();

    return check_capabilities(s->capabilities, errp) && check_parameters(&s->parameters, errp) &&
           check_range("x-clear-bitmap-shift", s->clear_bitmap_shift, 6, 31, errp);
}

/* -global migration.NAME=VALUE: each property is a member of MigrationState. */

/* An input visitor stores what it reads, an output visitor shows it: the same calls serve both. */
typedef bool (*VisitField)(Visitor *v, const char *name, void *field, Error **errp);

#define DEFINE_VISIT(fn, ctype) \
    static bool option_##fn(Visitor *v, const char *name, void *field, Error **errp) \
    { \
        return visit_type_##fn(v, name, (ctype *)field, errp); \
    }
DEFINE_VISIT(bool, bool)
DEFINE_VISIT(uint8, uint8_t)
DEFINE_VISIT(uint32, uint32_t)
DEFINE_VISIT(uint64, uint64_t)
DEFINE_VISIT(size, uint64_t)
DEFINE_VISIT(MigMode, MigMode)
DEFINE_VISIT(MultiFDCompression, MultiFDCompression)
DEFINE_VISIT(ZeroPageDetection, ZeroPageDetection)

static bool option_str(Visitor *v, const char *name, void *field, Error **errp)
{
    char **text = field, *old = *text;

    if (!visit_type_str(v, name, text, errp)) {
        *text = old;
        return false;
    }
    if (*text != old) {
        g_free(old);
    }
    return true;
}

typedef struct OptionProperty {
    const char *name, *type;
    VisitField visit;
    size_t offset;
} OptionProperty;

#define FLAG(name, field) {name, "bool", option_bool, offsetof(MigrationState, field)}
#define PARAM(name, field, type) \
    {name, #type, option_##type, offsetof(MigrationState, parameters.field)}

static const OptionProperty option_properties[] = {
    FLAG("store-global-state", store_global_state),
    FLAG("send-configuration", send_configuration),
    FLAG("send-section-footer", send_section_footer),
    FLAG("send-switchover-start", send_switchover_start),
    FLAG("multifd-flush-after-each-section", multifd_flush_after_each_section),
    FLAG("multifd-clean-tls-termination", multifd_clean_tls_termination),
    FLAG("x-preempt-pre-7-2", preempt_pre_7_2),
    {"x-clear-bitmap-shift", "uint8", option_uint8, offsetof(MigrationState, clear_bitmap_shift)},
    PARAM("x-compress-level", compress_level, uint8),
    PARAM("x-compress-threads", compress_threads, uint8),
    PARAM("x-compress-wait-thread", compress_wait_thread, bool),
    PARAM("x-decompress-threads", decompress_threads, uint8),
    PARAM("x-throttle-trigger-threshold", throttle_trigger_threshold, uint8),
    PARAM("x-cpu-throttle-initial", cpu_throttle_initial, uint8),
    PARAM("x-cpu-throttle-increment", cpu_throttle_increment, uint8),
    PARAM("x-cpu-throttle-tailslow", cpu_throttle_tailslow, bool),
    PARAM("x-max-bandwidth", max_bandwidth, size),
    PARAM("avail-switchover-bandwidth", avail_switchover_bandwidth, size),
    PARAM("x-downtime-limit", downtime_limit, uint64),
    PARAM("x-checkpoint-delay", x_checkpoint_delay, uint32),
    PARAM("multifd-channels", multifd_channels, uint8),
    PARAM("multifd-compression", multifd_compression, MultiFDCompression),
    PARAM("multifd-zlib-level", multifd_zlib_level, uint8),
    PARAM("multifd-qatzip-level", multifd_qatzip_level, uint8),
    PARAM("multifd-zstd-level", multifd_zstd_level, uint8),
    PARAM("xbzrle-cache-size", xbzrle_cache_size, size),
    PARAM("max-postcopy-bandwidth", max_postcopy_bandwidth, size),
    PARAM("max-cpu-throttle", max_cpu_throttle, uint8),
    PARAM("announce-initial", announce_initial, size),
    PARAM("announce-max", announce_max, size),
    PARAM("announce-rounds", announce_rounds, size),
    PARAM("announce-step", announce_step, size),
    PARAM("tls-creds", tls_creds, str),
    PARAM("tls-hostname", tls_hostname, str),
    PARAM("tls-authz", tls_authz, str),
    PARAM("x-vcpu-dirty-limit-period", x_vcpu_dirty_limit_period, uint64),
    PARAM("vcpu-dirty-limit", vcpu_dirty_limit, uint64),
    PARAM("mode", mode, MigMode),
    PARAM("zero-page-detection", zero_page_detection, ZeroPageDetection),
    FLAG("mapped-ram", capabilities[MIGRATION_CAPABILITY_MAPPED_RAM]),
};

static void visit_option(Object *obj, Visitor *v, const char *name, void *opaque, Error **errp)
{
    const OptionProperty *p = opaque;

    p->visit(v, name, (char *)obj + p->offset, errp);
}

void migration_options_class_init(ObjectClass *klass)
{
    for (size_t i = 0; i < ARRAY_SIZE(option_properties); i++) {
        const OptionProperty *p = &option_properties[i];

        object_class_property_add(klass, p->name, p->type, visit_option, visit_option, NULL,
                                  (void *)p);
    }
    /* Each capability as x-NAME (x-colo keeps its single x). */
    for (int i = 0; i < MIGRATION_CAPABILITY__MAX; i++) {
        const char *cap = MigrationCapability_str(i);
        OptionProperty *p = g_new0(OptionProperty, 1);

        p->name = g_str_has_prefix(cap, "x-") ? g_strdup(cap) : g_strconcat("x-", cap, NULL);
        p->visit = option_bool;
        p->offset = offsetof(MigrationState, capabilities) + i * sizeof(bool);
        object_class_property_add(klass, p->name, "bool", visit_option, visit_option, NULL, p);
    }
}
