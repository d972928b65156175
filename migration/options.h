/*
 * Capabilities and parameters: what was asked for, checked.
 *
 * SPDX-License-Identifier: GPL-2.0-or-later
 */
#ifndef MIGRATION_OPTIONS_H
#define MIGRATION_OPTIONS_H

#include "qapi/qapi-types-migration.h"

/* Capabilities. */
bool migrate_capability(MigrationCapability cap);
bool migrate_events(void);
bool migrate_return_path(void);
bool migrate_pause_before_switchover(void);
bool migrate_validate_uuid(void);
bool migrate_release_ram(void);
bool migrate_switchover_ack(void);
bool migrate_ignore_shared(void);
bool migrate_late_block_activate(void);
bool migrate_multifd(void);
bool migrate_postcopy_ram(void);
bool migrate_postcopy_preempt(void);
bool migrate_postcopy_blocktime(void);
bool migrate_mapped_ram(void);
bool migrate_zero_copy_send(void);
bool migrate_xbzrle(void);
bool migrate_compress(void);
bool migrate_auto_converge(void);
bool migrate_dirty_limit(void);

/* Globals (-global migration.NAME). */
bool migrate_send_configuration(void);
bool migrate_send_section_footer(void);
bool migrate_send_switchover_start(void);
bool migrate_store_global_state(void);
bool migrate_should_send_vmdesc(void);
uint8_t migrate_clear_bitmap_shift(void);
bool migrate_multifd_flush_after_each_section(void);

/* Parameters. */
uint64_t migrate_max_bandwidth(void);
uint64_t migrate_max_postcopy_bandwidth(void);
uint64_t migrate_avail_switchover_bandwidth(void);
uint64_t migrate_downtime_limit(void); /* ms */
uint64_t migrate_xbzrle_cache_size(void);
int migrate_throttle_trigger_threshold(void); /* percentages */
int migrate_cpu_throttle_initial(void);
int migrate_cpu_throttle_increment(void);
bool migrate_cpu_throttle_tailslow(void);
int migrate_max_cpu_throttle(void);
uint64_t migrate_vcpu_dirty_limit(void); /* MiB/s */
uint64_t migrate_vcpu_dirty_limit_period(void); /* ms */
int migrate_compress_level(void);
int migrate_compress_threads(void);
int migrate_decompress_threads(void);
bool migrate_compress_wait_thread(void);
int migrate_multifd_channels(void);
MultiFDCompression migrate_multifd_compression(void);
int migrate_multifd_zlib_level(void);
int migrate_multifd_zstd_level(void);
ZeroPageDetection migrate_zero_page_detection(void);
/* Copies, or NULL where nothing is said. Any thread. */
char *migrate_tls_creds(void);
char *migrate_tls_hostname(void);
char *migrate_tls_authz(void);

/* For the object of type "migration" (migration.c). */
void migrate_params_init(MigrationParameters *params);
void migration_options_class_init(ObjectClass *klass);
/* Before a migration starts, on either side: do the options make sense together? */
bool migrate_options_check(Error **errp);

#endif
