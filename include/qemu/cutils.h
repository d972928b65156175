/*
 * Strings and numbers: parsing with full checks, and printing for people.
 *
 * SPDX-License-Identifier: GPL-2.0-or-later
 */
#ifndef QEMU_CUTILS_H
#define QEMU_CUTILS_H

/* Copy with truncation, always terminated. */
void pstrcpy(char *buf, int buf_size, const char *str);
char *pstrcat(char *buf, int buf_size, const char *s);
/* True (and *ptr behind it) where @str begins with @val. */
int strstart(const char *str, const char *val, const char **ptr);

/*
 * Numbers.  0, or -EINVAL (no number, or trailing text where @endptr is NULL), or -ERANGE (the
 * value is then the nearest representable one).  Unlike strtol, negative text is no unsigned number
 * unless it wraps by design of strtoul; base as strtol's.
 */
int qemu_strtoi(const char *nptr, const char **endptr, int base, int *result);
int qemu_strtoui(const char *nptr, const char **endptr, int base, unsigned int *result);
int qemu_strtol(const char *nptr, const char **endptr, int base, long *result);
int qemu_strtoul(const char *nptr, const char **endptr, int base, unsigned long *result);
int qemu_strtoi64(const char *nptr, const char **endptr, int base, int64_t *result);
int qemu_strtou64(const char *nptr, const char **endptr, int base, uint64_t *result);
int qemu_strtod(const char *nptr, const char **endptr, double *result);
int qemu_strtod_finite(const char *nptr, const char **endptr, double *result);
/* Unsigned only: a sign is -EINVAL. */
int parse_uint(const char *s, const char **endptr, int base, uint64_t *value);
int parse_uint_full(const char *s, int base, uint64_t *value);

/*
 * Sizes: decimal (with a fraction when a suffix follows) or hexadecimal without suffix; suffixes
 * B K M G T P E in either case, powers of 1024.  The _MiB form counts bare numbers in MiB, the
 * _metric one uses powers of 1000.
 */
int qemu_strtosz(const char *nptr, const char **end, uint64_t *result);
int qemu_strtosz_MiB(const char *nptr, const char **end, uint64_t *result);
int qemu_strtosz_metric(const char *nptr, const char **end, uint64_t *result);
char *size_to_str(uint64_t val); /* "1.5 GiB"; caller frees */
char *freq_to_str(uint64_t freq_hz);

/* "on"/"yes"/"true"/"y" and their opposites; false when it is neither. */
bool qemu_parse_bool_str(const char *str, bool *val);

/* True when all @len bytes are zero. Any alignment; fastest from 256 bytes up. */
bool buffer_is_zero(const void *buf, size_t len);
/* Which implementation runs: "avx512", "avx2", "sse2", "int"; and choose the next slower one. */
const char *buffer_is_zero_accel_name(void);
bool test_buffer_is_zero_next_accel(void);

#endif
