/*
 * What steers a migration from outside: who can be yanked, what blocks which mode, and who has to
 * agree to the switchover.
 *
 * SPDX-License-Identifier: GPL-2.0-or-later
 */
#include "qemu/osdep.h"
#include <sys/socket.h>
#include "io/channel-socket.h"
#include "qapi/qapi-commands-yank.h"
#include "qemu/yank.h"
#include "savevm-helpers.h"

/* --- yank --- */

static void count_call(void *opaque)
{
    (*(unsigned *)opaque)++;
}

/* The instances there are, in words. */
static char *list_yank(void)
{
    YankInstanceList *list = qmp_query_yank(&error_abort);
    GString *text = g_string_new(NULL);

    for (YankInstanceList *l = list; l; l = l->next) {
        g_string_append_printf(text, "%s%s", text->len ? " " : "",
                               l->value->type == YANK_INSTANCE_TYPE_CHARDEV
                                   ? l->value->u.chardev.id : YankInstanceType_str(l->value->type));
    }
    qapi_free_YankInstanceList(list);
    return g_string_free(text, FALSE);
}

static void assert_yank_list(const char *expected)
{
    g_autofree char *text = list_yank();

    g_assert_cmpstr(text, ==, expected);
}

static bool yank(YankInstance *a, YankInstance *b)
{
    YankInstanceList second = {.value = b}, first = {.value = a, .next = b ? &second : NULL};
    Error *err = NULL;

    qmp_yank(&first, &err);
    if (err) {
        g_assert_cmpint(error_get_class(err), ==, ERROR_CLASS_DEVICE_NOT_FOUND);
        g_assert_cmpstr(error_get_pretty(err), ==, "Instance not found");
        error_free(err);
        return false;
    }
    return true;
}

static void test_yank(void)
{
    unsigned a = 0, a2 = 0, m = 0;
    Error *err = NULL;

    assert_yank_list("");
    qmp_yank(NULL, &error_abort);
    g_assert_true(yank_register_instance(CHARDEV_YANK_INSTANCE((char *)"a"), &error_abort));
    g_assert_true(yank_register_instance(MIGRATION_YANK_INSTANCE, &error_abort));
    g_assert_true(yank_register_instance(CHARDEV_YANK_INSTANCE((char *)"b"), &error_abort));
    assert_yank_list("a migration b");
    g_assert_false(yank_register_instance(CHARDEV_YANK_INSTANCE((char *)"a"), &err));
    g_assert_cmpstr(error_get_pretty(err), ==, "duplicate yank instance");
    error_free_or_abort(&err);

    yank_register_function(CHARDEV_YANK_INSTANCE((char *)"a"), count_call, &a);
    yank_register_function(CHARDEV_YANK_INSTANCE((char *)"a"), count_call, &a2);
    yank_register_function(MIGRATION_YANK_INSTANCE, count_call, &m);
    g_assert_true(yank(CHARDEV_YANK_INSTANCE((char *)"a"), NULL));
    g_assert_true(yank(CHARDEV_YANK_INSTANCE((char *)"b"), NULL)); /* has nothing to break */
    g_assert_cmpuint(a + a2 * 10 + m * 100, ==, 11);
    /* One that is not there: nothing happens to the others. */
    g_assert_false(yank(MIGRATION_YANK_INSTANCE, CHARDEV_YANK_INSTANCE((char *)"c")));
    g_assert_cmpuint(m, ==, 0);
    g_assert_true(yank(MIGRATION_YANK_INSTANCE, CHARDEV_YANK_INSTANCE((char *)"a")));
    g_assert_cmpuint(a + a2 * 10 + m * 100, ==, 122);
    yank_unregister_function(CHARDEV_YANK_INSTANCE((char *)"a"), count_call, &a);
    yank_unregister_function(CHARDEV_YANK_INSTANCE((char *)"a"), count_call, &a); /* nothing */
    g_assert_true(yank(CHARDEV_YANK_INSTANCE((char *)"a"), NULL));
    g_assert_cmpuint(a + a2 * 10, ==, 32);

    yank_unregister_instance(CHARDEV_YANK_INSTANCE((char *)"a"));
    yank_unregister_instance(CHARDEV_YANK_INSTANCE((char *)"a"));
    assert_yank_list("migration b");
    g_assert_false(yank(CHARDEV_YANK_INSTANCE((char *)"a"), NULL));
    yank_unregister_instance(MIGRATION_YANK_INSTANCE);
    yank_unregister_instance(CHARDEV_YANK_INSTANCE((char *)"b"));
    assert_yank_list("");
}

/* --- blockers --- */

static unsigned count_blockers(MigMode mode)
{
    MigrationState *s = migrate_get_current();
    MigMode before = s->parameters.mode;
    MigrationInfo *info;
    unsigned n = 0;

    s->parameters.mode = mode;
    info = qmp_query_migrate(&error_abort);
    g_assert_true(info->has_blocked_reasons == (info->blocked_reasons != NULL));
    for (strList *l = info->blocked_reasons; l; l = l->next) {
        n++;
    }
    qapi_free_MigrationInfo(info);
    s->parameters.mode = before;
    return n;
}

static void assert_blockers(unsigned normal, unsigned reboot, unsigned transfer)
{
    g_assert_cmpuint(count_blockers(MIG_MODE_NORMAL), ==, normal);
    g_assert_cmpuint(count_blockers(MIG_MODE_CPR_REBOOT), ==, reboot);
    g_assert_cmpuint(count_blockers(MIG_MODE_CPR_TRANSFER), ==, transfer);
}

static void test_blocker_modes(void)
{
    Error *all = NULL, *normal = NULL, *two = NULL, *err = NULL;

    error_setg(&all, "all");
    error_setg(&normal, "normal");
    error_setg(&two, "two");
    g_assert_cmpint(migrate_add_blocker(&all, &error_abort), ==, 0);
    assert_blockers(1, 1, 1);
    g_assert_cmpint(migrate_add_blocker_normal(&normal, &error_abort), ==, 0);
    assert_blockers(2, 1, 1);
    g_assert_cmpint(migrate_add_blocker_modes(&two, &error_abort, MIG_MODE_CPR_REBOOT,
                                              MIG_MODE_CPR_TRANSFER, -1), ==, 0);
    assert_blockers(2, 2, 2);
    migrate_del_blocker(&all);
    assert_blockers(1, 1, 1);
    qmp_migrate("exec:true", false, NULL, false, false, false, false, &err);
    g_assert_cmpstr(error_get_pretty(err), ==, "normal");
    error_free_or_abort(&err);
    migrate_del_blocker(&normal);
    assert_blockers(0, 1, 1);
    migrate_del_blocker(&two);
    assert_blockers(0, 0, 0);
}

/* --- switchover-ack --- */

typedef struct Slow {
    int peer;          /* what reaches the source can be read there */
    unsigned approved; /* calls that were right */
    bool wants;
} Slow;

static bool slow_wants_ack(void *opaque)
{
    return ((Slow *)opaque)->wants;
}

static bool something_came(Slow *slow)
{
    char byte;

    return recv(slow->peer, &byte, 1, MSG_PEEK | MSG_DONTWAIT) == 1;
}

static int slow_load(QEMUFile *f, void *opaque, int version_id)
{
    Slow *slow = opaque;

    g_assert_false(something_came(slow)); /* the last one has not spoken yet */
    slow->approved += qemu_loadvm_approve_switchover() == 0;
    return 0;
}

static const SaveVMHandlers slow_handlers = {
    .switchover_ack_needed = slow_wants_ack,
    .load_state = slow_load,
};

static void set_ack(bool on)
{
    bool *caps = migrate_get_current()->capabilities;

    caps[MIGRATION_CAPABILITY_RETURN_PATH] = caps[MIGRATION_CAPABILITY_SWITCHOVER_ACK] = on;
}

/* A stream in which @n handlers are heard of in turn; what the source got to hear, its length. */
static size_t run_ack(Slow *slow, unsigned n, uint8_t *heard, size_t size)
{
    MigrationIncomingState *mis = migration_incoming_get_current();
    QEMUFile *f = hand_begin();
    QIOChannelSocket *sioc;
    ssize_t len;
    int fds[2];

    for (unsigned i = 0; i < n; i++) {
        g_autofree char *name = g_strdup_printf("slow%u", i);

        qemu_put_byte(f, QEMU_VM_SECTION_START);
        qemu_put_be32(f, 100 + i);
        qemu_put_counted_string(f, name);
        qemu_put_be32(f, 0);
        qemu_put_be32(f, 1);
        qemu_put_byte(f, QEMU_VM_SECTION_FOOTER);
        qemu_put_be32(f, 100 + i);
    }
    hand_end(f);
    g_assert_cmpint(socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, fds), ==, 0);
    sioc = qio_channel_socket_new_fd(fds[0], &error_abort);
    mis->to_src_file = qemu_file_new_output(QIO_CHANNEL(sioc));
    for (unsigned i = 0; i < n; i++) {
        slow[i].peer = fds[1];
        slow[i].approved = 0;
    }
    g_assert_cmpint(load(&error_abort), ==, 0);
    len = recv(fds[1], heard, size, MSG_DONTWAIT);
    close(fds[1]);
    return MAX(len, 0);
}

static void test_ack(void)
{
    static const uint8_t ack[] = {0, 7, 0, 0};
    Slow slow[2] = {{.wants = true}, {.wants = true}};
    uint8_t heard[64];

    register_savevm_live("slow0", 0, 1, &slow_handlers, &slow[0]);
    register_savevm_live("slow1", 0, 1, &slow_handlers, &slow[1]);
    set_ack(true);
    /* Both: the second one's word is passed on. */
    g_assert_cmpuint(run_ack(slow, 2, heard, sizeof(heard)), ==, sizeof(ack));
    g_assert_cmpmem(heard, sizeof(ack), ack, sizeof(ack));
    g_assert_cmpuint(slow[0].approved + 10 * slow[1].approved, ==, 11);
    /* One of two is missing. */
    g_assert_cmpuint(run_ack(slow, 1, heard, sizeof(heard)), ==, 0);
    g_assert_cmpuint(slow[0].approved, ==, 1);
    /* Who was not asked cannot approve. */
    slow[0].wants = slow[1].wants = false;
    g_assert_cmpuint(run_ack(slow, 1, heard, sizeof(heard)), ==, 0);
    g_assert_cmpuint(slow[0].approved, ==, 0);
    /* Without the capability the source hears nothing of it. */
    set_ack(false);
    slow[0].wants = slow[1].wants = true;
    g_assert_cmpuint(run_ack(slow, 2, heard, sizeof(heard)), ==, 0);
    g_assert_cmpuint(slow[0].approved + 10 * slow[1].approved, ==, 11);
    unregister_savevm(NULL, "slow0", &slow[0]);
    unregister_savevm(NULL, "slow1", &slow[1]);
}

int main(int argc, char **argv)
{
    g_test_init(&argc, &argv, NULL);
    set_up_machine();
    g_test_add_func("/control/yank", test_yank);
    g_test_add_func("/control/blocker-modes", test_blocker_modes);
    g_test_add_func("/control/ack", test_ack);
    return g_test_run();
}
