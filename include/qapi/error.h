/*
 * Error: why something failed, as an object that travels up to somebody who can show it.
 *
 * Contract: a function that can fail takes `Error **errp` as its last parameter and says so by its
 * result too (false, NULL, negative).  errp may be
 *  - NULL: the caller does not care why;
 *  - &error_abort: failing is a bug, abort with the message;
 *  - &error_fatal: print and exit(1) (start-up only);
 *  - the address of an Error * that is NULL: set on failure; then the caller owns the Error.
 * Setting an error where one is set already is a bug and aborts.
 *
 * A message is one phrase without a full stop or newline.  A hint (one or more lines, each with
 * its newline) is for people at a terminal and is not sent over QMP.
 *
 * SPDX-License-Identifier: GPL-2.0-or-later
 */
#ifndef QAPI_ERROR_H
#define QAPI_ERROR_H

#include "qemu/compiler.h"
#include "qemu/typedefs.h"

/* QMP's error classes; names as they stand on the wire are in ErrorClass_str(). */
typedef enum ErrorClass {
    ERROR_CLASS_GENERIC_ERROR,
    ERROR_CLASS_COMMAND_NOT_FOUND,
    ERROR_CLASS_DEVICE_NOT_ACTIVE,
    ERROR_CLASS_DEVICE_NOT_FOUND,
    ERROR_CLASS_KVM_MISSING_CAP,
} ErrorClass;
const char *ErrorClass_name(ErrorClass c);

extern Error *error_abort;
extern Error *error_fatal;
extern Error *error_warn;

#define error_setg(errp, fmt, ...) \
    error_setg_internal((errp), __FILE__, __LINE__, __func__, (fmt), ##__VA_ARGS__)
#define error_setg_errno(errp, os_error, fmt, ...) \
    error_setg_errno_internal((errp), __FILE__, __LINE__, __func__, (os_error), (fmt), \
                              ##__VA_ARGS__)
#define error_set(errp, err_class, fmt, ...) \
    error_set_internal((errp), __FILE__, __LINE__, __func__, (err_class), (fmt), ##__VA_ARGS__)
#define error_setg_file_open(errp, os_errno, filename) \
    error_setg_errno(errp, os_errno, "Could not open '%s'", filename)

void error_setg_internal(Error **errp, const char *src, int line, const char *func,
                         const char *fmt, ...) GCC_FMT_ATTR(5, 6);
/* Appends ": " and strerror(os_error); errno itself is left as it was. */
void error_setg_errno_internal(Error **errp, const char *src, int line, const char *func,
                               int os_error, const char *fmt, ...) GCC_FMT_ATTR(6, 7);
void error_set_internal(Error **errp, const char *src, int line, const char *func,
                        ErrorClass err_class, const char *fmt, ...) GCC_FMT_ATTR(6, 7);

/* Give @local_err (may be NULL) to @dst_errp, or free it where the caller does not care. */
void error_propagate(Error **dst_errp, Error *local_err);
void error_propagate_prepend(Error **dst_errp, Error *local_err, const char *fmt, ...)
    GCC_FMT_ATTR(3, 4);
/* Put text before the message of *errp (which must be set). */
void error_prepend(Error *const *errp, const char *fmt, ...) GCC_FMT_ATTR(2, 3);
void error_vprepend(Error *const *errp, const char *fmt, va_list ap) GCC_FMT_ATTR(2, 0);
void error_append_hint(Error *const *errp, const char *fmt, ...) GCC_FMT_ATTR(2, 3);

const char *error_get_pretty(const Error *err);
const char *error_get_hint(const Error *err); /* NULL where there is none */
ErrorClass error_get_class(const Error *err);
Error *error_copy(const Error *err);
void error_free(Error *err);
void error_free_or_abort(Error **errp); /* tests: an error must have been set */
/* Print to where people look (monitor or stderr) and free. */
void error_report_err(Error *err);
void warn_report_err(Error *err);
void error_reportf_err(Error *err, const char *fmt, ...) GCC_FMT_ATTR(2, 3);
void warn_reportf_err(Error *err, const char *fmt, ...) GCC_FMT_ATTR(2, 3);
bool warn_report_err_once_cond(bool *printed, Error *err);

/*
 * ERRP_GUARD(): first thing in a function that looks at *errp or prepends to it.  Afterwards errp
 * is never NULL and never &error_fatal, so that *errp tells whether something failed.
 */
typedef struct ErrorPropagator {
    Error *local_err;
    Error **errp;
} ErrorPropagator;
static inline void error_propagator_cleanup(ErrorPropagator *prop)
{
    error_propagate(prop->errp, prop->local_err);
}
G_DEFINE_AUTO_CLEANUP_CLEAR_FUNC(ErrorPropagator, error_propagator_cleanup);
#define ERRP_GUARD()                                              \
    g_auto(ErrorPropagator) _auto_errp_prop = {.errp = errp};      \
    do {                                                          \
        if (!errp || errp == &error_fatal) {                      \
            errp = &_auto_errp_prop.local_err;                    \
        }                                                         \
    } while (0)

G_DEFINE_AUTOPTR_CLEANUP_FUNC(Error, error_free)

#endif
