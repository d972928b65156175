/*
 * Cutting a byte stream into JSON texts: see monitor/qmp-framer.h.
 *
 * Only quoting and nesting matter here; the JSON parser judges the rest. Strings may stand in
 * single quotes too, which people like to type.
 *
 * SPDX-License-Identifier: GPL-2.0-or-later
 */
#include "qemu/osdep.h"
#include "monitor/qmp-framer.h"

void qmp_framer_init(QmpFramer *f)
{
    *f = (QmpFramer){ .text = g_string_new(NULL) };
}

void qmp_framer_reset(QmpFramer *f)
{
    /* A client that once sent a huge message shall not cost its memory for ever. */
    if (f->text->allocated_len > (1 << 20)) {
        g_string_free(f->text, true);
        f->text = g_string_new(NULL);
    }
    g_string_truncate(f->text, 0);
    f->state = QMP_FRAMER_IDLE;
    f->depth = 0;
    f->escaped = false;
}

void qmp_framer_destroy(QmpFramer *f)
{
    g_string_free(f->text, true);
    f->text = NULL;
}

static QmpFramerResult fail(QmpFramer *f, QmpFramerState then, char **why, char *message)
{
    qmp_framer_reset(f);
    f->state = then;
    *why = message;
    return QMP_FRAMER_ERROR;
}

static QmpFramerResult stray(QmpFramer *f, uint8_t c, char **why)
{
    QmpFramerState then = c == '\n' ? QMP_FRAMER_IDLE : QMP_FRAMER_RECOVER;

    if (c >= 0x20 && c < 0x7f) {
        return fail(f, then, why, g_strdup_printf("JSON parse error, stray '%c'", c));
    }
    return fail(f, then, why, g_strdup_printf("JSON parse error, stray byte 0x%02x", c));
}

static bool is_space(uint8_t c)
{
    return c == ' ' || c == '\t' || c == '\r' || c == '\n';
}

static bool is_word(uint8_t c)
{
    return g_ascii_isalnum(c) || c == '-' || c == '+' || c == '.';
}

/* One character of a string; true when it ended. */
static bool string_char(QmpFramer *f, uint8_t c)
{
    g_string_append_c(f->text, c);
    if (f->escaped) {
        f->escaped = false;
    } else if (c == '\\') {
        f->escaped = true;
    } else {
        return c == f->quote;
    }
    return false;
}

static void begin_string(QmpFramer *f, uint8_t quote)
{
    f->state = QMP_FRAMER_STRING;
    f->quote = quote;
    f->escaped = false;
    g_string_append_c(f->text, quote);
}

/* A character outside of strings, of an object or array (depth > 0) or before any text. */
static QmpFramerResult plain_char(QmpFramer *f, uint8_t c, char **why)
{
    switch (c) {
    case '"':
    case '\'':
        begin_string(f, c);
        return QMP_FRAMER_MORE;
    case '{':
    case '[':
        if (++f->depth > QMP_MESSAGE_DEPTH_MAX) {
            return fail(f, QMP_FRAMER_SKIP_LINE, why,
                        g_strdup("JSON nesting depth limit exceeded"));
        }
        f->state = QMP_FRAMER_INSIDE;
        g_string_append_c(f->text, c);
        return QMP_FRAMER_MORE;
    case '}':
    case ']':
        if (f->depth == 0) {
            return fail(f, QMP_FRAMER_RECOVER, why,
                        g_strdup("JSON parse error, expecting value"));
        }
        g_string_append_c(f->text, c);
        return --f->depth == 0 ? QMP_FRAMER_MESSAGE : QMP_FRAMER_MORE;
    case ':':
    case ',':
        if (f->depth == 0) {
            return fail(f, QMP_FRAMER_RECOVER, why,
                        g_strdup("JSON parse error, expecting value"));
        }
        g_string_append_c(f->text, c);
        return QMP_FRAMER_MORE;
    }
    if (is_space(c)) {
        if (f->depth) {
            g_string_append_c(f->text, c);
        }
        return QMP_FRAMER_MORE;
    }
    if (!is_word(c)) {
        return stray(f, c, why);
    }
    if (f->depth == 0) {
        f->state = QMP_FRAMER_SCALAR;
    }
    g_string_append_c(f->text, c);
    return QMP_FRAMER_MORE;
}

static QmpFramerResult feed_char(QmpFramer *f, uint8_t c, bool *again, char **why)
{
    switch (f->state) {
    case QMP_FRAMER_IDLE:
    case QMP_FRAMER_INSIDE:
        return plain_char(f, c, why);
    case QMP_FRAMER_SCALAR:
        if (is_word(c)) {
            g_string_append_c(f->text, c);
            return QMP_FRAMER_MORE;
        }
        *again = !is_space(c);
        return QMP_FRAMER_MESSAGE;
    case QMP_FRAMER_STRING:
        if (c < 0x20) {
            return fail(f, c == '\n' ? QMP_FRAMER_IDLE : QMP_FRAMER_RECOVER, why,
                        g_strdup("JSON parse error, control character in a string"));
        }
        if (string_char(f, c)) {
            f->state = QMP_FRAMER_INSIDE;
            return f->depth ? QMP_FRAMER_MORE : QMP_FRAMER_MESSAGE;
        }
        return QMP_FRAMER_MORE;
    case QMP_FRAMER_RECOVER:
        *again = c == '{' || c == '[';
        if (*again || c == '\n') {
            f->state = QMP_FRAMER_IDLE;
        }
        return QMP_FRAMER_MORE;
    case QMP_FRAMER_SKIP_LINE:
        if (c == '\n') {
            f->state = QMP_FRAMER_IDLE;
        }
        return QMP_FRAMER_MORE;
    }
    return QMP_FRAMER_MORE;
}

QmpFramerResult qmp_framer_feed(QmpFramer *f, const uint8_t **p, const uint8_t *end, char **why)
{
    /* The text of the message before this call was valid until now. */
    if (f->state == QMP_FRAMER_IDLE || (f->state == QMP_FRAMER_INSIDE && !f->depth)) {
        qmp_framer_reset(f);
    }
    while (*p < end) {
        bool again = false;
        QmpFramerResult ret = feed_char(f, **p, &again, why);

        *p += !again;
        if (ret == QMP_FRAMER_MESSAGE) {
            f->state = QMP_FRAMER_IDLE;
        }
        if (ret != QMP_FRAMER_MORE) {
            return ret;
        }
        if (f->text->len > QMP_MESSAGE_SIZE_MAX) {
            return fail(f, QMP_FRAMER_SKIP_LINE, why,
                        g_strdup_printf("JSON message size limit of %d MiB exceeded",
                                        QMP_MESSAGE_SIZE_MAX >> 20));
        }
    }
    return QMP_FRAMER_MORE;
}
