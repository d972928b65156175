/*
 * Strings and numbers: see qemu/cutils.h.
 *
 * SPDX-License-Identifier: GPL-2.0-or-later
 */
#include "qemu/osdep.h"
#include "qemu/cutils.h"

void pstrcpy(char *buf, int buf_size, const char *str)
{
    if (buf_size > 0) {
        g_strlcpy(buf, str, buf_size);
    }
}

char *pstrcat(char *buf, int buf_size, const char *s)
{
    g_strlcat(buf, s, buf_size);
    return buf;
}

int strstart(const char *str, const char *val, const char **ptr)
{
    size_t len = strlen(val);

    if (strncmp(str, val, len)) {
        return 0;
    }
    if (ptr) {
        *ptr = str + len;
    }
    return 1;
}

static int no_number(const char *nptr, const char **endptr)
{
    if (endptr) {
        *endptr = nptr;
    }
    return -EINVAL;
}

/* What all strto* wrappers do at the end: no digits, trailing text, range. */
static int number_end(const char *nptr, const char *end, const char **endptr, int err)
{
    if (endptr) {
        *endptr = end;
    }
    if (end == nptr || (!endptr && *end)) {
        return -EINVAL;
    }
    return -err;
}

int qemu_strtoi64(const char *nptr, const char **endptr, int base, int64_t *result)
{
    char *end;

    *result = 0;
    if (!nptr) {
        return no_number(nptr, endptr);
    }
    errno = 0;
    *result = strtoll(nptr, &end, base);
    return number_end(nptr, end, endptr, errno == ERANGE ? ERANGE : 0);
}

int qemu_strtou64(const char *nptr, const char **endptr, int base, uint64_t *result)
{
    char *end;

    *result = 0;
    if (!nptr) {
        return no_number(nptr, endptr);
    }
    errno = 0;
    *result = strtoull(nptr, &end, base);
    return number_end(nptr, end, endptr, errno == ERANGE ? ERANGE : 0);
}

int qemu_strtol(const char *nptr, const char **endptr, int base, long *result)
{
    int64_t v;
    int ret = qemu_strtoi64(nptr, endptr, base, &v);

    *result = v;
    return ret;
}

int qemu_strtoul(const char *nptr, const char **endptr, int base, unsigned long *result)
{
    uint64_t v;
    int ret = qemu_strtou64(nptr, endptr, base, &v);

    *result = v;
    return ret;
}

int qemu_strtoi(const char *nptr, const char **endptr, int base, int *result)
{
    int64_t v;
    int ret = qemu_strtoi64(nptr, endptr, base, &v);

    *result = CLAMP(v, INT_MIN, INT_MAX);
    return ret ? ret : *result != v ? -ERANGE : 0;
}

int qemu_strtoui(const char *nptr, const char **endptr, int base, unsigned int *result)
{
    int64_t v;
    int ret = qemu_strtoi64(nptr, endptr, base, &v);

    if (!ret && v < 0 && v >= -(int64_t)UINT_MAX) {
        *result = v; /* wraps, as strtoul does */
        return 0;
    }
    *result = CLAMP(v, 0, (int64_t)UINT_MAX);
    return ret ? ret : *result != v ? -ERANGE : 0;
}

int qemu_strtod(const char *nptr, const char **endptr, double *result)
{
    char *end;

    *result = 0;
    if (!nptr) {
        return no_number(nptr, endptr);
    }
    errno = 0;
    *result = g_ascii_strtod(nptr, &end);
    return number_end(nptr, end, endptr, errno == ERANGE ? ERANGE : 0);
}

int qemu_strtod_finite(const char *nptr, const char **endptr, double *result)
{
    double v;
    int ret = qemu_strtod(nptr, endptr, &v);

    if (!isfinite(v)) {
        *result = 0;
        return no_number(nptr, endptr);
    }
    *result = v;
    return ret;
}

int parse_uint(const char *s, const char **endptr, int base, uint64_t *value)
{
    const char *p = s;

    *value = 0;
    while (p && g_ascii_isspace(*p)) {
        p++;
    }
    if (!p || *p == '-' || *p == '+') {
        if (endptr) {
            *endptr = s;
        }
        return -EINVAL;
    }
    return qemu_strtou64(s, endptr, base, value);
}

int parse_uint_full(const char *s, int base, uint64_t *value)
{
    int ret = parse_uint(s, NULL, base, value);

    if (ret == -EINVAL) {
        *value = 0;
    }
    return ret;
}

/* The power of @unit that a suffix stands for, or 0 when @c is none. */
static uint64_t suffix_factor(char c, uint64_t unit)
{
    static const char suffixes[] = "BKMGTPE";
    const char *pos = c ? strchr(suffixes, g_ascii_toupper(c)) : NULL;
    uint64_t factor = 1;

    if (!pos) {
        return 0;
    }
    for (long i = pos - suffixes; i > 0; i--) {
        factor *= unit;
    }
    return factor;
}

/*
 * What follows a whole number: a point and any number of digits.  No exponent: an E behind the
 * digits is a suffix.
 */
static double parse_fraction(const char *point, const char **end)
{
    size_t digits = strspn(point + 1, "0123456789");
    g_autofree char *text = g_strndup(point, digits + 1);

    *end = point + 1 + digits;
    return digits ? g_ascii_strtod(text, NULL) : 0;
}

/*
 * The whole part and the fraction are kept apart, so that sizes up to 2^64-1 are exact and only
 * a fraction is ever rounded.
 */
static int parse_size(const char *nptr, const char **endptr, uint64_t default_factor,
                      uint64_t unit, uint64_t *result)
{
    const char *p = nptr, *end = nptr;
    uint64_t whole = 0, factor, fraction_bytes = 0;
    double fraction = 0;
    bool hex;
    int ret = -EINVAL;

    *result = 0;
    if (!nptr) {
        goto out;
    }
    while (g_ascii_isspace(*p)) {
        p++;
    }
    if (!g_ascii_isdigit(p[*p == '.'])) {
        goto out;
    }
    hex = p[0] == '0' && (p[1] == 'x' || p[1] == 'X');
    if (*p == '.') { /* ".5k" */
        ret = 0;
        end = p;
    } else {
        ret = qemu_strtou64(p, &end, hex ? 16 : 10, &whole);
    }
    if (!hex && ret == 0 && *end == '.') {
        fraction = parse_fraction(end, &end);
    }
    factor = suffix_factor(*end, unit);
    if (factor) {
        if (hex) {
            ret = -EINVAL; /* is the B a digit or a suffix? */
            end = nptr;
            goto out;
        }
        end++;
    } else {
        factor = default_factor;
    }
    if (fraction > 0) {
        if (factor == 1) {
            ret = -EINVAL; /* parts of a byte */
            end = nptr;
            goto out;
        }
        fraction_bytes = fraction * factor + 0.5;
    }
    if (ret == 0 && (__builtin_mul_overflow(whole, factor, result) ||
                     __builtin_add_overflow(*result, fraction_bytes, result))) {
        ret = -ERANGE;
    }
out:
    if (endptr) {
        *endptr = end;
    } else if (ret != -EINVAL && *end) {
        ret = -EINVAL;
    }
    if (ret) {
        *result = ret == -ERANGE ? UINT64_MAX : 0;
    }
    return ret;
}

int qemu_strtosz(const char *nptr, const char **end, uint64_t *result)
{
    return parse_size(nptr, end, 1, 1024, result);
}

int qemu_strtosz_MiB(const char *nptr, const char **end, uint64_t *result)
{
    return parse_size(nptr, end, 1024 * 1024, 1024, result);
}

int qemu_strtosz_metric(const char *nptr, const char **end, uint64_t *result)
{
    return parse_size(nptr, end, 1, 1000, result);
}

char *size_to_str(uint64_t val)
{
    static const char *const suffixes[] = {"", "Ki", "Mi", "Gi", "Ti", "Pi", "Ei"};
    double v = val;
    int i = 0;

    while (v >= 1000 && i + 1 < (int)ARRAY_SIZE(suffixes)) {
        v /= 1024;
        i++;
    }
    return g_strdup_printf("%0.3g %sB", v, suffixes[i]);
}

char *freq_to_str(uint64_t freq_hz)
{
    static const char *const suffixes[] = {"", "K", "M", "G", "T", "P", "E"};
    double v = freq_hz;
    int i = 0;

    while (v >= 1000 && i + 1 < (int)ARRAY_SIZE(suffixes)) {
        v /= 1000;
        i++;
    }
    return g_strdup_printf("%0.3g %sHz", v, suffixes[i]);
}

bool qemu_parse_bool_str(const char *str, bool *val)
{
    static const char *const yes[] = {"on", "yes", "true", "y"};
    static const char *const no[] = {"off", "no", "false", "n"};

    for (int i = 0; i < (int)ARRAY_SIZE(yes); i++) {
        if (g_str_equal(str, yes[i])) {
            *val = true;
            return true;
        }
        if (g_str_equal(str, no[i])) {
            *val = false;
            return true;
        }
    }
    return false;
}
