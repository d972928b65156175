/*
 * libqtest's QMP: commands from formats, replies, events, and what is in them.
 *
 * SPDX-License-Identifier: GPL-2.0-or-later
 */
#include "libqtest-internal.h"
#include <poll.h>
#include <stdlib.h>
#include <string.h>

/* --- JSON --- */

static void append_json_string(GString *out, const char *text)
{
    json_object *o = json_object_new_string(text);

    g_string_append(out, json_object_to_json_string_ext(o, JSON_C_TO_STRING_PLAIN));
    json_object_put(o);
}

json_object *qtest_json_v(const char *fmt, va_list ap)
{
    g_autoptr(GString) out = g_string_new(NULL);
    json_object *result;

    for (const char *p = fmt; *p; p++) {
        int longs = 0;
        char number[G_ASCII_DTOSTR_BUF_SIZE];

        if (*p == '\'') {
            g_string_append_c(out, '"');
            continue;
        }
        if (*p != '%') {
            g_string_append_c(out, *p);
            continue;
        }
        while (*++p == 'l') {
            longs++;
        }
        switch (*p) {
        case 's':
            append_json_string(out, va_arg(ap, const char *));
            break;
        case 'i':
            g_string_append(out, va_arg(ap, int) ? "true" : "false");
            break;
        case 'd':
            g_string_append_printf(out, "%lld", longs > 1    ? va_arg(ap, long long)
                                                : longs == 1 ? va_arg(ap, long)
                                                             : va_arg(ap, int));
            break;
        case 'u':
            g_string_append_printf(out, "%llu", longs > 1    ? va_arg(ap, unsigned long long)
                                                : longs == 1 ? va_arg(ap, unsigned long)
                                                             : va_arg(ap, unsigned int));
            break;
        case 'f':
            g_string_append(out, g_ascii_dtostr(number, sizeof(number), va_arg(ap, double)));
            break;
        case 'p': {
            json_object *o = va_arg(ap, json_object *);

            g_string_append(out, json_object_to_json_string_ext(o, JSON_C_TO_STRING_PLAIN));
            json_object_put(o);
            break;
        }
        case '%':
            g_string_append_c(out, '%');
            break;
        default:
            g_error("unknown place %%%c in '%s'", *p, fmt);
        }
    }
    result = json_tokener_parse(out->str);
    if (!result) {
        g_error("not JSON: %s", out->str);
    }
    return result;
}

json_object *qtest_json(const char *fmt, ...)
{
    json_object *o;
    va_list ap;

    va_start(ap, fmt);
    o = qtest_json_v(fmt, ap);
    va_end(ap);
    return o;
}

json_object *qtest_get(json_object *o, const char *path)
{
    g_auto(GStrv) names = g_strsplit(path, "/", -1);

    for (char **n = names; *n && o; n++) {
        json_object *next = NULL;

        if (json_object_is_type(o, json_type_array)) {
            next = json_object_array_get_idx(o, atoi(*n));
        } else if (json_object_is_type(o, json_type_object)) {
            json_object_object_get_ex(o, *n, &next);
        }
        o = next;
    }
    return o;
}

static json_object *must_get(json_object *o, const char *path, json_type type)
{
    json_object *v = qtest_get(o, path);

    if (!v || !json_object_is_type(v, type)) {
        g_error("no %s '%s' in %s", json_type_to_name(type), path, json_object_to_json_string(o));
    }
    return v;
}

const char *qtest_get_str(json_object *o, const char *path)
{
    return json_object_get_string(must_get(o, path, json_type_string));
}

int64_t qtest_get_int(json_object *o, const char *path)
{
    return json_object_get_int64(must_get(o, path, json_type_int));
}

bool qtest_get_bool(json_object *o, const char *path)
{
    return json_object_get_boolean(must_get(o, path, json_type_boolean));
}

/* --- QMP --- */

json_object *qtest_qmp_receive(QTestState *s, bool wait)
{
    g_autofree char *line = qtest_receive_line(s, s->qmp_fd, s->qmp_in, wait);
    json_object *o;

    if (!line) {
        return NULL;
    }
    g_test_message("qmp <- %s", line);
    o = json_tokener_parse(line);
    if (!json_object_is_type(o, json_type_object)) {
        g_error("QMP: not an object: %s", line);
    }
    return o;
}

json_object *qtest_vqmp_fds(QTestState *s, int *fds, size_t nfds, const char *fmt, va_list ap)
{
    json_object *request = qtest_json_v(fmt, ap);
    g_autofree char *text =
        g_strconcat(json_object_to_json_string_ext(request, JSON_C_TO_STRING_PLAIN), "\n", NULL);
    json_object *reply;

    g_test_message("qmp -> %s", json_object_to_json_string_ext(request, JSON_C_TO_STRING_PLAIN));
    json_object_put(request);
    qtest_send(s, s->qmp_fd, text, strlen(text), fds, nfds);
    for (;;) {
        reply = qtest_qmp_receive(s, true);
        if (!qtest_get(reply, "event")) {
            return reply;
        }
        g_queue_push_tail(&s->events, reply);
    }
}

static json_object *vqmp_success(QTestState *s, int *fds, size_t nfds, const char *fmt,
                                 va_list ap)
{
    json_object *reply = qtest_vqmp_fds(s, fds, nfds, fmt, ap);
    json_object *result = qtest_get(reply, "return");

    if (!result) {
        g_error("QMP command '%s' failed: %s", fmt, json_object_to_json_string(reply));
    }
    json_object_get(result);
    json_object_put(reply);
    return result;
}

json_object *qtest_qmp(QTestState *s, const char *fmt, ...)
{
    json_object *reply;
    va_list ap;

    va_start(ap, fmt);
    reply = qtest_vqmp_fds(s, NULL, 0, fmt, ap);
    va_end(ap);
    return reply;
}

json_object *qtest_qmp_assert_success_ref(QTestState *s, const char *fmt, ...)
{
    json_object *result;
    va_list ap;

    va_start(ap, fmt);
    result = vqmp_success(s, NULL, 0, fmt, ap);
    va_end(ap);
    return result;
}

void qtest_qmp_assert_success(QTestState *s, const char *fmt, ...)
{
    va_list ap;

    va_start(ap, fmt);
    json_object_put(vqmp_success(s, NULL, 0, fmt, ap));
    va_end(ap);
}

void qtest_qmp_fds_assert_success(QTestState *s, int *fds, size_t nfds, const char *fmt, ...)
{
    va_list ap;

    va_start(ap, fmt);
    json_object_put(vqmp_success(s, fds, nfds, fmt, ap));
    va_end(ap);
}

char *qtest_qmp_assert_failure(QTestState *s, const char *fmt, ...)
{
    json_object *reply;
    char *desc;
    va_list ap;

    va_start(ap, fmt);
    reply = qtest_vqmp_fds(s, NULL, 0, fmt, ap);
    va_end(ap);
    desc = g_strdup(qtest_get_str(reply, "error/desc"));
    g_assert_cmpstr(qtest_get_str(reply, "error/class"), !=, "");
    json_object_put(reply);
    return desc;
}

static void receive_events(QTestState *s)
{
    json_object *o;

    while ((o = qtest_qmp_receive(s, false))) {
        g_assert_nonnull(qtest_get(o, "event"));
        g_queue_push_tail(&s->events, o);
    }
}

json_object *qtest_qmp_event_poll(QTestState *s, const char *event)
{
    receive_events(s);
    for (GList *l = s->events.head; l; l = l->next) {
        json_object *o = l->data;

        if (g_str_equal(qtest_get_str(o, "event"), event)) {
            g_queue_delete_link(&s->events, l);
            return o;
        }
    }
    return NULL;
}

json_object *qtest_qmp_eventwait_ref(QTestState *s, const char *event)
{
    int64_t begin = qtest_now_ms();
    json_object *o;

    while (!(o = qtest_qmp_event_poll(s, event))) {
        struct pollfd pfd = { .fd = s->qmp_fd, .events = POLLIN };

        if (qtest_timed_out(begin)) {
            g_error("event %s did not come in time", event);
        }
        if (!qtest_probe_child(s)) {
            g_error("the emulator ended while event %s was awaited", event);
        }
        poll(&pfd, 1, 100);
    }
    return o;
}

void qtest_qmp_eventwait(QTestState *s, const char *event)
{
    json_object_put(qtest_qmp_eventwait_ref(s, event));
}

json_object *qtest_qmp_events_take(QTestState *s)
{
    json_object *all = json_object_new_array();
    json_object *o;

    receive_events(s);
    while ((o = g_queue_pop_head(&s->events))) {
        json_object_array_add(all, o);
    }
    return all;
}

char *qtest_hmp(QTestState *s, const char *fmt, ...)
{
    g_autofree char *line = NULL;
    json_object *out;
    char *text;
    va_list ap;

    va_start(ap, fmt);
    line = g_strdup_vprintf(fmt, ap);
    va_end(ap);
    out = qtest_qmp_assert_success_ref(s, "{'execute': 'human-monitor-command',"
                                          " 'arguments': {'command-line': %s}}", line);
    text = g_strdup(json_object_get_string(out));
    json_object_put(out);
    return text;
}
