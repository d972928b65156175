/*
 * The groups of migration tests; each function adds its own to the suite.
 *
 * SPDX-License-Identifier: GPL-2.0-or-later
 */
#ifndef MIGRATION_TESTS_H
#define MIGRATION_TESTS_H

void add_transport_tests(void);
void add_cancel_tests(void);
void add_error_tests(void);
void add_option_tests(void);
void add_progress_tests(void);
void add_guest_tests(void);
void add_pc_tests(void);
void add_tls_tests(void);
void remove_tls_files(void);

#endif /* MIGRATION_TESTS_H */
