/*
 * What the stream's envelope refuses: sections and commands that make no sense, another machine's
 * configuration, streams cut short; and machines that must not be migrated.
 *
 * SPDX-License-Identifier: GPL-2.0-or-later
 */
#include "qemu/osdep.h"
#include "savevm-helpers.h"

/* Sections that make no sense. */
static void test_bad_sections(void)
{
    Iter it = {.active = true}, it2 = {.active = true};
    static const uint8_t zero[DEV_SIZE + 8];
    QEMUFile *f;
    Dev d;

    dev_fill(&d, 1);
    vmstate_register(NULL, 0, &vmstate_dev, &d);
    register_savevm_live("iter", 0, 2, &iter_handlers, &it);
    register_savevm_live("iter2", 0, 2, &iter_handlers, &it2);

    f = hand_begin();
    put_dev_section(f, "dev", 1, 3, zero, DEV_SIZE);
    hand_end(f);
    load_fails("'dev' 1");
    f = hand_begin();
    put_dev_section(f, "deva", 0, 3, zero, DEV_SIZE);
    hand_end(f);
    load_fails("'deva' 0");
    f = hand_begin();
    put_dev_section(f, "", 0, 3, zero, DEV_SIZE);
    hand_end(f);
    load_fails("has no name");
    f = hand_begin();
    put_dev_section(f, "dev", 0, 3, zero, DEV_SIZE + 1); /* one byte too many */
    hand_end(f);
    load_fails("Missing section footer");
    f = hand_begin();
    put_dev_section(f, "dev", 0, 3, zero, DEV_SIZE - 1);
    hand_end(f);
    load_fails("Missing section footer");

    /* A name with a NUL in it is not the name before the NUL. */
    f = hand_begin();
    qemu_put_byte(f, QEMU_VM_SECTION_FULL);
    qemu_put_be32(f, 1);
    qemu_put_byte(f, 5);
    qemu_put_buffer(f, "dev\0x", 5);
    qemu_put_be32(f, 0);
    qemu_put_be32(f, 3);
    qemu_put_buffer(f, zero, DEV_SIZE);
    qemu_put_byte(f, QEMU_VM_SECTION_FOOTER);
    qemu_put_be32(f, 1);
    hand_end(f);
    load_fails("a name of 5 bytes has a zero byte in it");

    /* A PART before its START, and one of another id. */
    f = hand_begin();
    qemu_put_byte(f, QEMU_VM_SECTION_PART);
    qemu_put_be32(f, 5);
    hand_end(f);
    load_fails("Unknown section id 5");
    /* A device in rounds. */
    f = hand_begin();
    qemu_put_byte(f, QEMU_VM_SECTION_START);
    qemu_put_be32(f, 5);
    qemu_put_counted_string(f, "dev");
    qemu_put_be32(f, 0);
    qemu_put_be32(f, 3);
    hand_end(f);
    load_fails("section 'dev' begins in rounds, but is a device's");
    /* Two with the same id. */
    f = hand_begin();
    for (int i = 0; i < 2; i++) {
        qemu_put_byte(f, QEMU_VM_SECTION_START);
        qemu_put_be32(f, 5);
        qemu_put_counted_string(f, i ? "iter2" : "iter");
        qemu_put_be32(f, 0);
        qemu_put_be32(f, 2);
        qemu_put_byte(f, 'S');
        qemu_put_byte(f, QEMU_VM_SECTION_FOOTER);
        qemu_put_be32(f, 5);
    }
    hand_end(f);
    load_fails("section 'iter2' has id 5, which 'iter' has already");

    /* A subsection that nobody knows, under a known device. */
    f = hand_begin();
    qemu_put_byte(f, QEMU_VM_SECTION_FULL);
    qemu_put_be32(f, 1);
    qemu_put_counted_string(f, "dev");
    qemu_put_be32(f, 0);
    qemu_put_be32(f, 3);
    qemu_put_buffer(f, zero, DEV_SIZE);
    qemu_put_byte(f, QEMU_VM_SUBSECTION);
    qemu_put_counted_string(f, "dev/news");
    qemu_put_be32(f, 1);
    hand_end(f);
    load_fails("unknown subsection 'dev/news'");

    vmstate_unregister(NULL, &vmstate_dev, &d);
    unregister_savevm(NULL, "iter", &it);
    unregister_savevm(NULL, "iter2", &it2);
}

/* Commands between the sections. */

static void put_command(QEMUFile *f, uint16_t cmd, const void *data, uint16_t len)
{
    qemu_put_byte(f, QEMU_VM_COMMAND);
    qemu_put_be16(f, cmd);
    qemu_put_be16(f, len);
    qemu_put_buffer(f, data, len);
}

static void command_fails(uint16_t cmd, const void *data, uint16_t len, const char *what)
{
    QEMUFile *f = hand_begin();

    put_command(f, cmd, data, len);
    hand_end(f);
    load_fails(what);
}

static void test_commands(void)
{
    static const uint8_t data[16] = {0};
    QEMUFile *f = hand_begin();

    put_command(f, 11, NULL, 0); /* SWITCHOVER_START */
    hand_end(f);
    g_assert_cmpint(load(&error_abort), ==, 0);

    command_fails(2, data, 4, "command PING (0x0) came, but no return path is open");
    command_fails(2, data, 3, "command PING has 3 bytes of data, expected 4");
    command_fails(11, data, 1, "SWITCHOVER_START has 1 bytes");
    command_fails(0, data, 0, "command 0x0 (with 0x0 bytes of data) is unknown");
    command_fails(12, data, 2, "command 0xc (with 0x2 bytes of data) is unknown");
    command_fails(0xffff, data, 0, "command 0xffff");

    f = hand_begin();
    put_command(f, 1, NULL, 0);
    put_command(f, 1, NULL, 0);
    hand_end(f);
    load_fails("command OPEN_RETURN_PATH came, but the return path is open");
}

/* What the configuration section compares. */
static void test_configuration(void)
{
    MigrationState *s = migrate_get_current();
    QEMUFile *f;

    migration_set_machine_name("microvm");
    g_assert_cmpint(save(&error_abort), ==, 0);
    migration_set_machine_name("none");
    load_fails("Machine type received is 'microvm' and local is 'none'");

    s->capabilities[MIGRATION_CAPABILITY_VALIDATE_UUID] = true;
    g_assert_cmpint(save(&error_abort), ==, 0); /* no UUID was given: none is sent */
    g_assert_cmpint(load(&error_abort), ==, 0);
    qemu_uuid_generate(&qemu_uuid);
    qemu_uuid_set = true;
    g_assert_cmpint(save(&error_abort), ==, 0);
    g_assert_nonnull(memmem(stream->data, stream->usage, "configuration/uuid", 18));
    g_assert_cmpint(load(&error_abort), ==, 0);
    qemu_uuid.data[3] ^= 1;
    load_fails("UUID received is ");
    qemu_uuid_set = false;
    g_assert_cmpint(load(&error_abort), ==, 0); /* nothing to compare it with */
    s->capabilities[MIGRATION_CAPABILITY_VALIDATE_UUID] = false;

    /* A capability that changes the form of the stream must be on at both ends. */
    f = stream_begin();
    qemu_put_be32(f, QEMU_VM_FILE_MAGIC);
    qemu_put_be32(f, 3);
    qemu_put_byte(f, QEMU_VM_CONFIGURATION);
    qemu_put_be32(f, 4);
    qemu_put_buffer(f, "none", 4);
    qemu_put_byte(f, QEMU_VM_SUBSECTION);
    qemu_put_counted_string(f, "configuration/capabilities");
    qemu_put_be32(f, 1);
    qemu_put_be32(f, 1);
    qemu_put_counted_string(f, "x-ignore-shared");
    hand_end(f);
    load_fails("Capability x-ignore-shared is off, but received capability is on");
    /* Any number of them may be claimed, but not paid for. */
    f = stream_begin();
    qemu_put_be32(f, QEMU_VM_FILE_MAGIC);
    qemu_put_be32(f, 3);
    qemu_put_byte(f, QEMU_VM_CONFIGURATION);
    qemu_put_be32(f, 4);
    qemu_put_buffer(f, "none", 4);
    qemu_put_byte(f, QEMU_VM_SUBSECTION);
    qemu_put_counted_string(f, "configuration/capabilities");
    qemu_put_be32(f, 1);
    qemu_put_be32(f, UINT32_MAX);
    hand_end(f);
    load_fails("capabilities");
    f = stream_begin();
    qemu_put_be32(f, QEMU_VM_FILE_MAGIC);
    qemu_put_be32(f, 3);
    qemu_put_byte(f, QEMU_VM_CONFIGURATION);
    qemu_put_be32(f, 4);
    qemu_put_buffer(f, "none", 4);
    qemu_put_byte(f, QEMU_VM_SUBSECTION);
    qemu_put_counted_string(f, "configuration/target-page-bits");
    qemu_put_be32(f, 1);
    qemu_put_be32(f, 16);
    hand_end(f);
    load_fails("Received TARGET_PAGE_BITS is 16 but local is 12");
}

/* -global migration.send-configuration=off, send-section-footer=off: both sides must agree. */
static void test_globals(void)
{
    MigrationState *s = migrate_get_current();
    Dev d, want;

    dev_fill(&d, 9);
    want = d;
    vmstate_register(NULL, 0, &vmstate_dev, &d);
    s->send_section_footer = false;
    g_assert_cmpint(save(&error_abort), ==, 0);
    g_assert_cmphex(stream->data[get_section("dev", 0).payload + DEV_SIZE], !=,
                    QEMU_VM_SECTION_FOOTER);
    memset(&d, 0, sizeof(d));
    g_assert_cmpint(load(&error_abort), ==, 0);
    dev_same(&d, &want);
    s->send_section_footer = true;
    load_fails("Missing section footer");

    s->send_configuration = false;
    g_assert_cmpint(save(&error_abort), ==, 0);
    g_assert_cmphex(stream->data[8], ==, QEMU_VM_SECTION_START);
    g_assert_cmpint(load(&error_abort), ==, 0);
    s->send_configuration = true;
    load_fails("Configuration section missing");
    vmstate_unregister(NULL, &vmstate_dev, &d);
}

/* What forbids migrating. */

static void migrate_fails(const char *what)
{
    Error *err = NULL;

    qmp_migrate("unix:/nonexistent/socket", false, NULL, false, false, false, false, &err);
    g_assert_nonnull(err);
    g_assert_cmpstr(error_get_pretty(err), ==, what);
    error_free(err);
}

static void test_unmigratable(void)
{
    Error *err = NULL;

    g_assert_false(qemu_savevm_state_blocked(&error_abort));
    vmstate_register(NULL, 0, &vmstate_stuck, NULL);
    g_assert_true(qemu_savevm_state_blocked(&err));
    g_assert_cmpstr(error_get_pretty(err), ==, "State blocked by non-migratable device 'stuck'");
    error_free_or_abort(&err);
    migrate_fails("State blocked by non-migratable device 'stuck'");
    vmstate_unregister(NULL, &vmstate_stuck, NULL);
    g_assert_false(qemu_savevm_state_blocked(&error_abort));

    /* Under -only-migratable it does not even come in. */
    only_migratable = true;
    g_assert_false(vmstate_check_only_migratable(&vmstate_stuck));
    g_assert_true(vmstate_check_only_migratable(&vmstate_dev));
    g_assert_true(vmstate_check_only_migratable(NULL));
    g_assert_cmpint(vmstate_register_with_alias_id(NULL, 0, &vmstate_stuck, NULL, -1, 0, &err), <,
                    0);
    g_assert_cmpstr(error_get_pretty(err), ==,
                    "Device stuck is not migratable, but --only-migratable was specified");
    error_free(err);
    only_migratable = false;
}

static void test_blockers(void)
{
    Error *a = NULL, *b = NULL, *err = NULL;
    MigrationInfo *info;

    error_setg(&a, "the cat sleeps on it");
    error_setg(&b, "it is Sunday");
    g_assert_cmpint(migrate_add_blocker(&a, &error_abort), ==, 0);
    g_assert_cmpint(migrate_add_blocker(&b, &error_abort), ==, 0);
    info = qmp_query_migrate(&error_abort);
    g_assert_true(info->has_blocked_reasons);
    g_assert_nonnull(info->blocked_reasons->next);
    g_assert_null(info->blocked_reasons->next->next);
    qapi_free_MigrationInfo(info);
    migrate_fails("it is Sunday");
    migrate_del_blocker(&b);
    g_assert_null(b);
    migrate_del_blocker(&b); /* again: nothing */
    migrate_fails("the cat sleeps on it");
    migrate_del_blocker(&a);
    info = qmp_query_migrate(&error_abort);
    g_assert_false(info->has_blocked_reasons);
    qapi_free_MigrationInfo(info);

    only_migratable = true;
    error_setg(&a, "the cat");
    g_assert_cmpint(migrate_add_blocker(&a, &err), ==, -EACCES);
    g_assert_null(a); /* freed */
    g_assert_cmpstr(error_get_pretty(err), ==,
                    "disallowing migration blocker (--only-migratable) for: the cat");
    error_free_or_abort(&err);
    error_setg(&a, "the cat");
    g_assert_cmpint(migrate_add_blocker_internal(&a, &error_abort), ==, 0);
    migrate_del_blocker(&a);
    only_migratable = false;
}

/* A stream cut anywhere is refused, up to its end mark. */
static void test_cut(void)
{
    size_t end;
    Dev d;

    dev_fill(&d, 1);
    d.extra = 5;
    vmstate_register(NULL, 0, &vmstate_dev, &d);
    memset(block->host, 0, block->used_length);
    g_assert_cmpint(save(&error_abort), ==, 0);
    end = (uint8_t *)memmem(stream->data, stream->usage, "{\"configuration\"", 16) - stream->data -
          5;
    for (size_t len = 0; len < end; len++) {
        Error *err = NULL;

        if (load_bytes(stream->data, len, &err) == 0) {
            g_error("%zu bytes out of %zu load", len, end);
        }
        error_free_or_abort(&err);
    }
    g_assert_cmpint(load_bytes(stream->data, end, &error_abort), ==, 0);
    vmstate_unregister(NULL, &vmstate_dev, &d);
}

int main(int argc, char **argv)
{
    g_test_init(&argc, &argv, NULL);
    set_up_machine();
    g_test_add_func("/savevm-refuse/bad-sections", test_bad_sections);
    g_test_add_func("/savevm-refuse/commands", test_commands);
    g_test_add_func("/savevm-refuse/configuration", test_configuration);
    g_test_add_func("/savevm-refuse/globals", test_globals);
    g_test_add_func("/savevm-refuse/unmigratable", test_unmigratable);
    g_test_add_func("/savevm-refuse/blockers", test_blockers);
    g_test_add_func("/savevm-refuse/cut", test_cut);
    return g_test_run();
}
