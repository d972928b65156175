/*
 * See migration-helpers.h.
 *
 * SPDX-License-Identifier: GPL-2.0-or-later
 */
#include "migration-helpers.h"
#include <fcntl.h>
#include <limits.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

/* --- what the binaries can do --- */

static int oldest; /* the older one's version */
static int versions[2]; /* source, destination */
static bool tracked;

void migrate_probe(void)
{
    static const char *const vars[] = { "QTEST_QEMU_BINARY_SRC", "QTEST_QEMU_BINARY_DST" };

    oldest = INT_MAX;
    tracked = true;
    for (size_t i = 0; i < G_N_ELEMENTS(vars); i++) {
        QTestState *s = qtest_init_with_env(vars[i], "-M none -nodefaults");

        versions[i] = qtest_version(s);
        oldest = MIN(oldest, versions[i]);
        tracked = tracked && qtest_has_accel(vars[i]);
        qtest_quit(s);
    }
}

bool migrate_is_old_source(void)
{
    return versions[0] < 800;
}

bool migrate_is_old_destination(void)
{
    return versions[1] < 800;
}

bool migrate_with_older(void)
{
    return oldest < 800;
}

void migrate_add_test_since(int version, const char *path, void (*test)(void))
{
    if (oldest >= version) {
        g_test_add_func(path, test);
    }
}

void migrate_add_test_tracked(const char *path, void (*test)(void))
{
    if (tracked) {
        g_test_add_func(path, test);
    }
}

/* --- starting and ending --- */

/* The RAM of machines that have it in a file, by machine. */
static GHashTable *mappings; /* QTestState * -> uint8_t * */

static QTestState *start(const char *var, const char *args, const char *more)
{
    static unsigned counter;
    const char *size_option = args ? strstr(args, "-m ") : NULL;
    size_t size = (size_option ? atoi(size_option + 3) : RAM_MIB) * (size_t)MIB;
    g_autofree char *backend = NULL;
    g_autofree char *all = NULL;
    uint8_t *map = NULL;
    QTestState *s;

    if (!qtest_has_accel(var) && !(args && strstr(args, "memory-backend"))) {
        /* Its name gives the RAM block the name that it would have had anyway. */
        g_autofree char *path = qtest_tmpfile("ram-%u", counter++);
        int fd = open(path, O_CREAT | O_RDWR | O_CLOEXEC, 0600);

        g_assert_cmpint(ftruncate(fd, size), ==, 0);
        map = mmap(NULL, size, PROT_READ | PROT_WRITE, MAP_SHARED, fd, 0);
        g_assert_true(map != MAP_FAILED);
        close(fd);
        backend = g_strdup_printf("-object memory-backend-file,id=ram,share=on,mem-path=%s,"
                                  "size=%zu -machine memory-backend=ram", path, size);
    }
    all = g_strdup_printf("-M none -m %dM -nodefaults %s %s %s", RAM_MIB,
                          backend ? backend : "", args ? args : "", more);
    s = qtest_init_with_env(var, all);
    if (!mappings) {
        mappings = g_hash_table_new(NULL, NULL);
    }
    if (map) {
        g_hash_table_insert(mappings, s, map);
    } else {
        g_hash_table_remove(mappings, s); /* a predecessor at the same address */
    }
    return s;
}

QTestState *migrate_start_source(const char *args)
{
    return start("QTEST_QEMU_BINARY_SRC", args, "");
}

QTestState *migrate_start_destination(const char *args)
{
    return start("QTEST_QEMU_BINARY_DST", args,
                 args && strstr(args, "-incoming") ? "" : "-incoming defer");
}

MigratePair migrate_pair_start(const char *src_args, const char *dst_args)
{
    MigratePair p = {
        .src = migrate_start_source(src_args),
        .dst = migrate_start_destination(dst_args),
    };

    return p;
}

void migrate_pair_end(MigratePair *p)
{
    qtest_quit(p->src);
    qtest_quit(p->dst);
}

void migrate_destination_failed(QTestState *dst)
{
    qtest_set_expected_status(dst, 1);
    qtest_wait_qemu(dst);
    qtest_quit(dst);
}

/* --- commands --- */

void migrate_set_capability(QTestState *s, const char *name, bool on)
{
    qtest_qmp_assert_success(s, "{'execute': 'migrate-set-capabilities', 'arguments': "
                                "{'capabilities': [{'capability': %s, 'state': %i}]}}", name, on);
}

void migrate_set_int(QTestState *s, const char *parameter, int64_t value)
{
    json_object *args = json_object_new_object();

    json_object_object_add(args, parameter, json_object_new_int64(value));
    qtest_qmp_assert_success(s, "{'execute': 'migrate-set-parameters', 'arguments': %p}", args);
}

void migrate_set_str(QTestState *s, const char *parameter, const char *value)
{
    json_object *args = json_object_new_object();

    json_object_object_add(args, parameter, json_object_new_string(value));
    qtest_qmp_assert_success(s, "{'execute': 'migrate-set-parameters', 'arguments': %p}", args);
}

void migrate_incoming(QTestState *dst, const char *uri)
{
    qtest_qmp_assert_success(dst, "{'execute': 'migrate-incoming', 'arguments': {'uri': %s}}",
                             uri);
}

void migrate(QTestState *src, const char *uri)
{
    qtest_qmp_assert_success(src, "{'execute': 'migrate', 'arguments': {'uri': %s}}", uri);
}

void migrate_cancel(QTestState *src)
{
    qtest_qmp_assert_success(src, "{'execute': 'migrate_cancel'}");
}

json_object *migrate_query(QTestState *s)
{
    return qtest_qmp_assert_success_ref(s, "{'execute': 'query-migrate'}");
}

char *migrate_status(QTestState *s)
{
    json_object *info = migrate_query(s);
    json_object *status = qtest_get(info, "status");
    char *text = g_strdup(status ? json_object_get_string(status) : "none");

    json_object_put(info);
    return text;
}

char *migrate_listen_uri(QTestState *dst)
{
    json_object *info = migrate_query(dst);
    json_object *addr = qtest_get(info, "socket-address/0");
    const char *type;
    char *uri;

    g_assert_nonnull(addr);
    type = qtest_get_str(addr, "type");
    if (g_str_equal(type, "unix")) {
        uri = g_strdup_printf("unix:%s", qtest_get_str(addr, "path"));
    } else {
        const char *host = qtest_get_str(addr, "host");

        g_assert_cmpstr(type, ==, "inet");
        uri = g_strdup_printf(strchr(host, ':') ? "tcp:[%s]:%s" : "tcp:%s:%s", host,
                              qtest_get_str(addr, "port"));
    }
    json_object_put(info);
    return uri;
}

char *migrate_listen_tcp(QTestState *dst)
{
    migrate_incoming(dst, "tcp:127.0.0.1:0");
    return migrate_listen_uri(dst);
}

char *migrate_listen_unix(QTestState *dst)
{
    static unsigned counter;
    g_autofree char *path = qtest_tmpfile("migrate-%u.sock", counter++);
    g_autofree char *uri = g_strdup_printf("unix:%s", path);

    migrate_incoming(dst, uri);
    return g_steal_pointer(&uri);
}

/* --- waiting --- */

void migrate_wait(QTestState *s, const char *goal)
{
    static const char *const ends[] = { "completed", "failed", "cancelled", "postcopy-paused" };
    int64_t begin = qtest_now_ms();
    bool started = false;

    for (;;) {
        json_object *info = migrate_query(s);
        json_object *o = qtest_get(info, "status");
        const char *status = o ? json_object_get_string(o) : "none";
        bool reached = g_str_equal(status, goal);

        for (size_t i = 0; !reached && i < G_N_ELEMENTS(ends); i++) {
            if (g_str_equal(status, ends[i]) && started) {
                g_error("migration is %s, expected to become %s: %s", status, goal,
                        json_object_to_json_string(info));
            }
        }
        /* What an earlier migration came to does not count, but only right at the start. */
        started = true;
        json_object_put(info);
        if (reached) {
            return;
        }
        if (qtest_timed_out(begin)) {
            g_error("migration did not become %s in time", goal);
        }
        g_usleep(2000);
    }
}

char *migrate_wait_failed(QTestState *s)
{
    json_object *info;
    json_object *desc;
    char *text;

    migrate_wait(s, "failed");
    info = migrate_query(s);
    desc = qtest_get(info, "error-desc");
    g_assert_nonnull(desc);
    text = g_strdup(json_object_get_string(desc));
    g_assert_cmpstr(text, !=, "");
    json_object_put(info);
    return text;
}

void migrate_wait_done(MigratePair *p)
{
    migrate_wait(p->src, "completed");
    migrate_wait(p->dst, "completed");
    wait_run_state(p->dst, "running");
    assert_run_state(p->src, "postmigrate");
    ram_compare(p->src, p->dst);
}

char *run_state(QTestState *s)
{
    json_object *o = qtest_qmp_assert_success_ref(s, "{'execute': 'query-status'}");
    char *state = g_strdup(qtest_get_str(o, "status"));

    g_assert_cmpint(qtest_get_bool(o, "running"), ==, g_str_equal(state, "running"));
    json_object_put(o);
    return state;
}

void assert_run_state(QTestState *s, const char *expected)
{
    g_autofree char *state = run_state(s);

    g_assert_cmpstr(state, ==, expected);
}

void wait_run_state(QTestState *s, const char *expected)
{
    int64_t begin = qtest_now_ms();

    for (;;) {
        g_autofree char *state = run_state(s);

        if (g_str_equal(state, expected)) {
            return;
        }
        if (qtest_timed_out(begin)) {
            g_error("run state is %s, expected %s", state, expected);
        }
        g_usleep(2000);
    }
}

/* --- memory --- */

static uint8_t *mapping(QTestState *s)
{
    return g_hash_table_lookup(mappings, s);
}

void ram_write(QTestState *s, uint64_t addr, const void *data, size_t size)
{
    if (mapping(s)) {
        memcpy(mapping(s) + addr, data, size);
    } else {
        qtest_bufwrite(s, addr, data, size);
    }
}

void ram_read(QTestState *s, uint64_t addr, void *data, size_t size)
{
    if (mapping(s)) {
        memcpy(data, mapping(s) + addr, size);
    } else {
        qtest_bufread(s, addr, data, size);
    }
}

void ram_set(QTestState *s, uint64_t addr, uint8_t pattern, size_t size)
{
    if (mapping(s)) {
        memset(mapping(s) + addr, pattern, size);
    } else {
        qtest_memset(s, addr, pattern, size);
    }
}

static uint64_t random_next(uint64_t *state)
{
    *state ^= *state << 13;
    *state ^= *state >> 7;
    *state ^= *state << 17;
    return *state;
}

static void fill_chunk(uint8_t *buf, size_t chunk, uint64_t *rng)
{
    static const char text[] = "It was migrated while nobody looked; nobody noticed. ";

    switch (chunk % 5) {
    case 0:
        for (size_t i = 0; i < MIB; i += 8) {
            uint64_t v = random_next(rng);

            memcpy(buf + i, &v, 8);
        }
        break;
    case 1:
        for (size_t i = 0; i < MIB; i++) {
            buf[i] = text[(i + chunk) % (sizeof(text) - 1)];
        }
        break;
    case 2:
        memset(buf, 0, MIB);
        break;
    case 3:
        /* One byte a page, at every place within it, the first and the last too. */
        memset(buf, 0, MIB);
        for (size_t page = 0; page < MIB / 4096; page++) {
            buf[page * 4096 + page * 16 + (page & 15)] = page + 1;
        }
        break;
    default:
        for (size_t page = 0; page < MIB / 4096; page++) {
            memset(buf + page * 4096, page, 4096);
        }
    }
}

void ram_fill(QTestState *s)
{
    g_autofree uint8_t *buf = g_malloc(MIB);
    uint64_t rng = 88172645463325252ull;

    for (size_t chunk = 0; chunk < RAM_MIB; chunk++) {
        fill_chunk(buf, chunk, &rng);
        if (chunk % 5 != 2) {
            ram_write(s, chunk * MIB, buf, MIB);
        }
    }
}

void ram_compare(QTestState *a, QTestState *b)
{
    g_autofree uint8_t *one = g_malloc(MIB);
    g_autofree uint8_t *other = g_malloc(MIB);

    for (size_t chunk = 0; chunk < RAM_MIB; chunk++) {
        ram_read(a, chunk * MIB, one, MIB);
        ram_read(b, chunk * MIB, other, MIB);
        if (memcmp(one, other, MIB)) {
            size_t i = 0;

            while (one[i] == other[i]) {
                i++;
            }
            g_error("memory differs at 0x%zx: 0x%02x and 0x%02x", chunk * MIB + i, one[i],
                    other[i]);
        }
    }
}

/* --- other --- */

char *migration_events(QTestState *s)
{
    GString *out = g_string_new(NULL);
    json_object *all = qtest_qmp_events_take(s);

    for (size_t i = 0; i < json_object_array_length(all); i++) {
        json_object *e = json_object_array_get_idx(all, i);

        if (g_str_equal(qtest_get_str(e, "event"), "MIGRATION")) {
            g_string_append_printf(out, "%s%s", out->len ? " " : "",
                                   qtest_get_str(e, "data/status"));
        }
    }
    json_object_put(all);
    return g_string_free(out, FALSE);
}

void assert_text_has(char *text, const char *part)
{
    if (!strstr(text, part)) {
        g_error("text is '%s', expected '%s' in it", text, part);
    }
    g_free(text);
}
