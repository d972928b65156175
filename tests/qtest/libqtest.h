/*
 * libqtest: starts emulators and drives them over QMP and the qtest protocol.
 *
 * Every wait is bounded (QTEST_TIMEOUT seconds, 60 by default); a wait that runs out, a reply
 * that is not what a _success function expects and any failed g_assert end the test program with
 * SIGABRT, after all children were killed and what they wrote to standard error was shown.
 *
 * Formats: commands are JSON texts with printf-like places: %s a string (quoted and escaped here),
 * %d %u %ld %lu %lld %llu numbers, %f a double, %i a boolean, %p a json_object (its reference is
 * taken over), %% a percent sign. Single quotes do for double ones.
 *
 * Results of type json_object * are the caller's: json_object_put().
 *
 * SPDX-License-Identifier: GPL-2.0-or-later
 */
#ifndef LIBQTEST_H
#define LIBQTEST_H

#include <glib.h>
#include <json-c/json.h>
#include <stdbool.h>
#include <stdint.h>
#include <sys/types.h>

typedef struct QTestState QTestState;

/* Once, at the start of main(): the temporary directory, and cleaning up after a failure. */
void qtest_setup(const char *name);
void qtest_teardown(void);

/* A directory of this test program's own; its files are removed at the end. */
const char *qtest_tmpdir(void);
char *qtest_tmpfile(const char *fmt, ...) G_GNUC_PRINTF(1, 2);

/* The binary that variable @var names, or else QTEST_QEMU_BINARY; NULL: @var is not looked at. */
const char *qtest_qemu_binary(const char *var);

/* Starts the emulator, with sockets for QMP and qtest; @args is shell text. Capabilities are
 * negotiated. */
QTestState *qtest_init_with_env(const char *var, const char *args);
QTestState *qtest_init(const char *args);
QTestState *qtest_initf(const char *fmt, ...) G_GNUC_PRINTF(1, 2);

/* Whether that binary has the accelerator `qtest`. One without gets `tcg` instead, and may not
 * offer memory by the qtest protocol on a machine without a CPU. */
bool qtest_has_accel(const char *var);

/* Starts a program that ends by itself: its status as from waitpid(), its standard error in
 * *@errors (to g_free()). */
int qtest_run(const char *var, const char *args, char **errors);

/* SIGTERM, then the exit status has to be as expected (0). */
void qtest_quit(QTestState *s);
void qtest_set_expected_status(QTestState *s, int status);
/* Waits until it exits by itself, with the expected status; qtest_quit() then only frees. */
void qtest_wait_qemu(QTestState *s);
bool qtest_probe_child(QTestState *s); /* still running? */
pid_t qtest_pid(QTestState *s);
/* What it wrote to standard error so far; to g_free(). */
char *qtest_stderr(QTestState *s);
/* 702 for 7.2, 1000 for 10.0. */
int qtest_version(QTestState *s);

/* --- QMP --- */

json_object *qtest_json(const char *fmt, ...);
json_object *qtest_json_v(const char *fmt, va_list ap);

/* The reply, with either "return" or "error". Events that come meanwhile are queued. */
json_object *qtest_qmp(QTestState *s, const char *fmt, ...);
json_object *qtest_vqmp_fds(QTestState *s, int *fds, size_t nfds, const char *fmt, va_list ap);
/* The value of "return"; an error is a failure. */
json_object *qtest_qmp_assert_success_ref(QTestState *s, const char *fmt, ...);
void qtest_qmp_assert_success(QTestState *s, const char *fmt, ...);
void qtest_qmp_fds_assert_success(QTestState *s, int *fds, size_t nfds, const char *fmt, ...);
/* The error's description (to g_free()); success is a failure. */
char *qtest_qmp_assert_failure(QTestState *s, const char *fmt, ...);

/* The next event of that name, taking earlier ones of it from the queue. */
json_object *qtest_qmp_eventwait_ref(QTestState *s, const char *event);
void qtest_qmp_eventwait(QTestState *s, const char *event);
/* Whether one is there by now; removes it. NULL if not. */
json_object *qtest_qmp_event_poll(QTestState *s, const char *event);
/* All queued events, oldest first, as a JSON array; the queue is empty then. */
json_object *qtest_qmp_events_take(QTestState *s);

/* Human monitor; to g_free(). */
char *qtest_hmp(QTestState *s, const char *fmt, ...) G_GNUC_PRINTF(2, 3);

/* Members by path, "ram/remaining"; missing ones are a failure. */
const char *qtest_get_str(json_object *o, const char *path);
int64_t qtest_get_int(json_object *o, const char *path);
bool qtest_get_bool(json_object *o, const char *path);
/* NULL where it is missing. Borrowed. */
json_object *qtest_get(json_object *o, const char *path);

/* --- qtest protocol --- */

uint8_t qtest_inb(QTestState *s, uint16_t addr);
uint16_t qtest_inw(QTestState *s, uint16_t addr);
uint32_t qtest_inl(QTestState *s, uint16_t addr);
void qtest_outb(QTestState *s, uint16_t addr, uint8_t value);
void qtest_outw(QTestState *s, uint16_t addr, uint16_t value);
void qtest_outl(QTestState *s, uint16_t addr, uint32_t value);
uint8_t qtest_readb(QTestState *s, uint64_t addr);
uint16_t qtest_readw(QTestState *s, uint64_t addr);
uint32_t qtest_readl(QTestState *s, uint64_t addr);
uint64_t qtest_readq(QTestState *s, uint64_t addr);
void qtest_writeb(QTestState *s, uint64_t addr, uint8_t value);
void qtest_writew(QTestState *s, uint64_t addr, uint16_t value);
void qtest_writel(QTestState *s, uint64_t addr, uint32_t value);
void qtest_writeq(QTestState *s, uint64_t addr, uint64_t value);
void qtest_memread(QTestState *s, uint64_t addr, void *data, size_t size);
void qtest_memwrite(QTestState *s, uint64_t addr, const void *data, size_t size);
/* As base64: less text for large ranges. */
void qtest_bufread(QTestState *s, uint64_t addr, void *data, size_t size);
void qtest_bufwrite(QTestState *s, uint64_t addr, const void *data, size_t size);
void qtest_memset(QTestState *s, uint64_t addr, uint8_t pattern, size_t size);
int64_t qtest_clock_step(QTestState *s, int64_t ns);
int64_t qtest_clock_step_next(QTestState *s);
int64_t qtest_clock_set(QTestState *s, int64_t ns);
/* One line sent, one line back, whatever it says; to g_free(). */
char *qtest_command(QTestState *s, const char *fmt, ...) G_GNUC_PRINTF(2, 3);

/* Now, in ms, and whether a wait that began at @begin is out of time. */
int64_t qtest_now_ms(void);
bool qtest_timed_out(int64_t begin);

#endif /* LIBQTEST_H */
