/*
 * Migration addresses in both forms.
 *
 * SPDX-License-Identifier: GPL-2.0-or-later
 */
#include "io-helpers.h"
#include "qemu/module.h"
#include "qapi/qapi-visit-migration.h"
/* Text work alone: it is taken without the rest of its floor. */
#include "migration/address.c"

static MigrationAddress *parse(const char *uri, MigrationChannel **c)
{
    g_assert_true(migrate_uri_parse(uri, c, &error_abort));
    g_assert_cmpint((*c)->channel_type, ==, MIGRATION_CHANNEL_TYPE_MAIN);
    return (*c)->addr;
}

static void test_socket(void)
{
    g_autoptr(MigrationChannel) a = NULL;
    g_autoptr(MigrationChannel) b = NULL;
    g_autoptr(MigrationChannel) c = NULL;
    g_autoptr(MigrationChannel) d = NULL;
    MigrationAddress *addr;

    addr = parse("tcp:[::1]:4444,to=4450", &a);
    g_assert_cmpint(addr->transport, ==, MIGRATION_ADDRESS_TYPE_SOCKET);
    g_assert_cmpint(addr->u.socket.type, ==, SOCKET_ADDRESS_TYPE_INET);
    g_assert_cmpstr(addr->u.socket.u.inet.host, ==, "::1");
    g_assert_cmpstr(addr->u.socket.u.inet.port, ==, "4444");
    g_assert_cmpint(addr->u.socket.u.inet.to, ==, 4450);

    addr = parse("unix:/a/b", &b);
    g_assert_cmpint(addr->u.socket.type, ==, SOCKET_ADDRESS_TYPE_UNIX);
    g_assert_cmpstr(addr->u.socket.u.q_unix.path, ==, "/a/b");

    addr = parse("vsock:3:9", &c);
    g_assert_cmpint(addr->u.socket.type, ==, SOCKET_ADDRESS_TYPE_VSOCK);
    g_assert_cmpstr(addr->u.socket.u.vsock.cid, ==, "3");

    addr = parse("fd:fd-mig", &d);
    g_assert_cmpint(addr->u.socket.type, ==, SOCKET_ADDRESS_TYPE_FD);
    g_assert_cmpstr(addr->u.socket.u.fd.str, ==, "fd-mig");
}

static void test_exec(void)
{
    g_autoptr(MigrationChannel) c = NULL;
    MigrationAddress *addr = parse("exec:cat > /dev/null, with=commas", &c);
    strList *args = addr->u.exec.args;

    g_assert_cmpint(addr->transport, ==, MIGRATION_ADDRESS_TYPE_EXEC);
    g_assert_cmpstr(args->value, ==, "/bin/sh");
    g_assert_cmpstr(args->next->value, ==, "-c");
    g_assert_cmpstr(args->next->next->value, ==, "cat > /dev/null, with=commas");
    g_assert_null(args->next->next->next);
}

static void test_file(void)
{
    static const struct {
        const char *uri;
        const char *name;
        uint64_t offset;
    } cases[] = {
        { "file:/a/b", "/a/b", 0 },
        { "file:/a/b,offset=0", "/a/b", 0 },
        { "file:/a/b,offset=4096", "/a/b", 4096 },
        { "file:/a/b,offset=0x1000", "/a/b", 4096 },
        { "file:/a/b,offset=20M", "/a/b", 20 << 20 },
        { "file:/a,b,offset=1k", "/a,b", 1024 },
        { "file:/dev/fdset/1,offset=4096", "/dev/fdset/1", 4096 },
    };

    for (size_t i = 0; i < ARRAY_SIZE(cases); i++) {
        g_autoptr(MigrationChannel) c = NULL;
        MigrationAddress *addr = parse(cases[i].uri, &c);

        g_assert_cmpint(addr->transport, ==, MIGRATION_ADDRESS_TYPE_FILE);
        g_assert_cmpstr(addr->u.file.filename, ==, cases[i].name);
        g_assert_cmpuint(addr->u.file.offset, ==, cases[i].offset);
    }
}

static void test_bad(void)
{
    static const struct {
        const char *uri;
        const char *error;
    } cases[] = {
        { "", "unknown migration protocol" },
        { "/some/path", "unknown migration protocol: /some/path" },
        { "xyz:1", "unknown migration protocol: xyz:1" },
        { "127.0.0.1:4444", "unknown migration protocol" },
        { "rdma:host:1", "RDMA" },
        { "tcp:", "address" },
        { "tcp:127.0.0.1", "error parsing address '127.0.0.1'" },
        { "tcp:h:1,to=x", "to=" },
        { "unix:", "invalid Unix socket address" },
        { "vsock:3", "vsock address '3'" },
        { "fd:", "file descriptor" },
        { "exec:", "no command" },
        { "file:", "no file name" },
        { "file:,offset=1", "no file name" },
        { "file:/a,offset=", "file URI has bad offset" },
        { "file:/a,offset=0x20M", "file URI has bad offset" },
        { "file:/a,offset=-1", "file URI has bad offset" },
        { "file:/a,offset=1Q", "file URI has bad offset" },
        { "file:/a,offset=9223372036854775808", "file URI has bad offset" },
        { "file:/a,offset=99999999999999999999", "file URI has bad offset" },
        { "file:/a,offset=1,offset=2", "file URI has bad offset" },
    };

    for (size_t i = 0; i < ARRAY_SIZE(cases); i++) {
        MigrationChannel *c = NULL;
        Error *err = NULL;

        g_assert_false(migrate_uri_parse(cases[i].uri, &c, &err));
        test_expect_error(&err, cases[i].error);
        g_assert_null(c);
    }
}

static MigrationChannel *channel(MigrationChannelType type, const char *uri)
{
    MigrationChannel *c = NULL;

    parse(uri, &c);
    c->channel_type = type;
    return c;
}

static void test_channels(void)
{
    MigrationChannelList *list = NULL;
    g_autoptr(MigrationChannel) main_channel = NULL;
    g_autoptr(MigrationChannel) cpr = NULL;
    MigrationChannel *none = NULL;
    Error *err = NULL;

    g_assert_false(migrate_channels_parse(NULL, false, NULL, &none, NULL, &err));
    test_expect_error(&err, "need either");
    g_assert_false(migrate_channels_parse(NULL, true, NULL, &none, NULL, &err));
    test_expect_error(&err, "need either");

    QAPI_LIST_PREPEND(list, channel(MIGRATION_CHANNEL_TYPE_CPR, "unix:/cpr"));
    g_assert_false(migrate_channels_parse("tcp:h:1", true, list, &none, NULL, &err));
    test_expect_error(&err, "need either");
    g_assert_false(migrate_channels_parse(NULL, true, list, &none, NULL, &err));
    test_expect_error(&err, "cpr");
    g_assert_false(migrate_channels_parse(NULL, true, list, &none, &cpr, &err));
    test_expect_error(&err, "no main entry");

    QAPI_LIST_PREPEND(list, channel(MIGRATION_CHANNEL_TYPE_MAIN, "unix:/main"));
    g_assert_true(migrate_channels_parse(NULL, true, list, &main_channel, &cpr, &error_abort));
    g_assert_cmpstr(main_channel->addr->u.socket.u.q_unix.path, ==, "/main");
    g_assert_cmpstr(cpr->addr->u.socket.u.q_unix.path, ==, "/cpr");

    QAPI_LIST_PREPEND(list, channel(MIGRATION_CHANNEL_TYPE_MAIN, "unix:/again"));
    g_assert_false(migrate_channels_parse(NULL, true, list, &none, NULL, &err));
    test_expect_error(&err, "more than one main");
    g_assert_null(none);
    qapi_free_MigrationChannelList(list);
}

static void test_empty_parts(void)
{
    MigrationChannelList *list = NULL;
    MigrationChannel *c = channel(MIGRATION_CHANNEL_TYPE_MAIN, "exec:x");
    MigrationChannel *none = NULL;
    Error *err = NULL;

    QAPI_LIST_PREPEND(list, c);
    qapi_free_strList(c->addr->u.exec.args);
    c->addr->u.exec.args = NULL;
    g_assert_false(migrate_channels_parse(NULL, true, list, &none, NULL, &err));
    test_expect_error(&err, "at least one argument");

    c->addr->transport = MIGRATION_ADDRESS_TYPE_FILE;
    c->addr->u.file.filename = g_strdup("");
    c->addr->u.file.offset = 0;
    g_assert_false(migrate_channels_parse(NULL, true, list, &none, NULL, &err));
    test_expect_error(&err, "needs a filename");
    qapi_free_MigrationChannelList(list);
}

int main(int argc, char **argv)
{
    module_call_init(MODULE_INIT_QOM);
    g_test_init(&argc, &argv, NULL);
    g_test_add_func("/migration/uri/socket", test_socket);
    g_test_add_func("/migration/uri/exec", test_exec);
    g_test_add_func("/migration/uri/file", test_file);
    g_test_add_func("/migration/uri/bad", test_bad);
    g_test_add_func("/migration/channels", test_channels);
    g_test_add_func("/migration/channels/empty-parts", test_empty_parts);
    return g_test_run();
}
