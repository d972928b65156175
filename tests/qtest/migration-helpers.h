/*
 * What the migration tests share: pairs of emulators, the QMP of migration, and memory whose
 * content can be checked afterwards.
 *
 * SPDX-License-Identifier: GPL-2.0-or-later
 */
#ifndef MIGRATION_HELPERS_H
#define MIGRATION_HELPERS_H

#include "libqtest.h"

#define MIB (1024 * 1024)

/* RAM of the machines without a guest. */
#define RAM_MIB 24
#define RAM_SIZE ((size_t)RAM_MIB * MIB)

/* Looks at the binaries, once; the tests that they cannot pass are not added. */
void migrate_probe(void);
/* A test of what came with @version, 1000 for 10.0. */
void migrate_add_test_since(int version, const char *path, void (*test)(void));
/* A test that writes memory while it migrates, which needs the accelerator qtest. */
void migrate_add_test_tracked(const char *path, void (*test)(void));

/* Whether a side is older than 8.0, which has neither the options nor the messages that came then. */
bool migrate_is_old_source(void);
bool migrate_is_old_destination(void);
bool migrate_with_older(void);

typedef struct MigratePair {
    QTestState *src;
    QTestState *dst;
} MigratePair;

/* Source and destination: -M none with RAM_MIB, and more arguments each (NULL: none). The
 * destination has "-incoming defer" unless its arguments have an -incoming of their own. */
MigratePair migrate_pair_start(const char *src_args, const char *dst_args);
QTestState *migrate_start_source(const char *args);
QTestState *migrate_start_destination(const char *args);
void migrate_pair_end(MigratePair *p);

/* A destination whose load failed: it exits with 1 by itself. */
void migrate_destination_failed(QTestState *dst);

void migrate_set_capability(QTestState *s, const char *name, bool on);
void migrate_set_int(QTestState *s, const char *parameter, int64_t value);
void migrate_set_str(QTestState *s, const char *parameter, const char *value);
void migrate_incoming(QTestState *dst, const char *uri);
void migrate(QTestState *src, const char *uri);
void migrate_cancel(QTestState *src);
/* query-migrate; the caller's. */
json_object *migrate_query(QTestState *s);
/* Its status, or "none"; to g_free(). */
char *migrate_status(QTestState *s);
/* The URI of the first socket that @dst listens on; to g_free(). */
char *migrate_listen_uri(QTestState *dst);
/* Listens on a free TCP port or a unix socket; the URI to g_free(). */
char *migrate_listen_tcp(QTestState *dst);
char *migrate_listen_unix(QTestState *dst);

/* Polls query-migrate for @goal; any other end of a migration is a failure. */
void migrate_wait(QTestState *s, const char *goal);
/* The error-desc of a migration that failed; to g_free(). */
char *migrate_wait_failed(QTestState *s);
/* Completed on both sides and the destination running, with the memory equal. */
void migrate_wait_done(MigratePair *p);

/* "running", "paused"…; to g_free(). */
char *run_state(QTestState *s);
void assert_run_state(QTestState *s, const char *expected);
void wait_run_state(QTestState *s, const char *expected);

/* By the qtest protocol, or through a file that backs the RAM where the binary cannot do that:
 * then its dirty tracking sees nothing of it. */
void ram_write(QTestState *s, uint64_t addr, const void *data, size_t size);
void ram_read(QTestState *s, uint64_t addr, void *data, size_t size);
void ram_set(QTestState *s, uint64_t addr, uint8_t pattern, size_t size);

/* Random, text, zero, one byte a page, and repeated bytes, a part of RAM each. */
void ram_fill(QTestState *s);
/* Byte for byte, up to the smaller of the machines' RAM. */
void ram_compare(QTestState *a, QTestState *b);

/* The statuses that MIGRATION events told, joined by spaces; to g_free(). Empties the queue. */
char *migration_events(QTestState *s);

/* Expects that @text, which is freed, has @part in it. */
void assert_text_has(char *text, const char *part);

#endif /* MIGRATION_HELPERS_H */
