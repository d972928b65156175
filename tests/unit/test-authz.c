/*
 * Who is let in: authz-simple, authz-list, authz-list-file, authz-pam.
 *
 * SPDX-License-Identifier: GPL-2.0-or-later
 */
#include "qemu/osdep.h"
#include "crypto/authz.h"
#include "qapi/error.h"
#include "qemu/module.h"
#include "qom/object_interfaces.h"
#ifdef CONFIG_AUTH_PAM
#include <security/pam_appl.h>
#endif

static void add(const char *text)
{
    g_assert_true(user_creatable_add_from_str(text, &error_abort));
}

static void del(void)
{
    g_assert_true(user_creatable_del("a", &error_abort));
}

static void check(const char *identity, bool expected)
{
    g_assert_true(qauthz_is_allowed_by_id("a", identity, &error_abort) == expected);
}

static void check_refused(const char *text, const char *part)
{
    Error *err = NULL;

    g_assert_false(user_creatable_add_from_str(text, &err));
    g_assert_nonnull(err);
    if (!strstr(error_get_pretty(err), part)) {
        g_error("expected '%s', found '%s'", part, error_get_pretty(err));
    }
    error_free(err);
}

static void test_simple(void)
{
    add("authz-simple,id=a,identity=CN=me");
    check("CN=me", true);
    check("CN=me2", false);
    check("CN=m", false);
    check("", false);
    del();
    check_refused("authz-simple,id=a", "identity");
}

static void test_unknown(void)
{
    Error *err = NULL;

    g_assert_false(qauthz_is_allowed_by_id("nobody", "x", &err));
    g_assert_cmpstr(error_get_pretty(err), ==, "Cannot find QAuthZ object ID nobody");
    g_clear_pointer(&err, error_free);
    add("secret,id=a,data=x");
    g_assert_false(qauthz_is_allowed_by_id("a", "x", &err));
    g_assert_nonnull(strstr(error_get_pretty(err), "not a QAuthZ subclass"));
    error_free(err);
    del();
}

static void test_list(void)
{
    add("authz-list,id=a");
    check("anybody", false);
    del();
    add("authz-list,id=a,policy=allow");
    check("anybody", true);
    del();
    add("authz-list,id=a,rules.0.match=*@example,rules.0.policy=deny,rules.1.match=fred*,"
        "rules.1.policy=allow,rules.1.format=glob,rules.2.match=eve,rules.2.policy=allow");
    check("fred@example", true);        /* without a format the first rule is exact */
    check("*@example", false);
    check("eve", true);
    check("eve2", false);
    check("bob", false);
    del();
    /* The first rule decides. */
    add("authz-list,id=a,policy=allow,rules.0.match=f?o,rules.0.policy=deny,rules.0.format=glob,"
        "rules.1.match=foo,rules.1.policy=allow");
    check("foo", false);
    check("fo", true);
    del();
    check_refused("authz-list,id=a,rules.0.match=x", "policy");
    check_refused("authz-list,id=a,policy=perhaps", "perhaps");
}

static char *path;

static void put(const char *text)
{
    g_assert_true(g_file_set_contents(path, text, -1, NULL));
}

static void check_list_file(const char *type)
{
    g_autofree char *text = g_strdup_printf("%s,id=a,filename=%s", type, path);
    g_autofree char *once = g_strdup_printf("%s,refresh=off", text);
    Error *err = NULL;

    unlink(path);
    check_refused(text, "Unable to read");
    put("[]");
    check_refused(text, "must contain a JSON object");
    put("{ \"rules\": [ { \"match\": \"x\" } ] }");
    check_refused(text, "policy");
    put("{ \"rules\": [ { \"match\": \"fred\", \"policy\": \"allow\" } ] }");
    add(text);
    check("fred", true);
    check("bob", false);
    put("{ \"rules\": [ { \"match\": \"b*\", \"policy\": \"allow\", \"format\": \"glob\" } ] }");
    check("fred", false);
    check("bob", true);
    put("{ \"policy\": \"allow\" }");
    check("fred", true);
    /* What makes no sense lets nobody in. */
    put("{ nonsense");
    g_assert_false(qauthz_is_allowed_by_id("a", "fred", &err));
    g_assert_nonnull(err);
    g_clear_pointer(&err, error_free);
    unlink(path);
    g_assert_false(qauthz_is_allowed_by_id("a", "fred", &err));
    g_assert_nonnull(err);
    error_free(err);
    put("{ \"policy\": \"allow\" }");
    check("fred", true);
    del();
    add(once);
    put("{ \"policy\": \"deny\" }");
    check("fred", true);
    del();
}

static void test_list_file(void)
{
    check_list_file("authz-list-file");
    check_list_file("authz-listfile");
    check_refused("authz-list-file,id=a", "filename");
}

#ifdef CONFIG_AUTH_PAM
static char *pam_dir;

/* The linker puts this in pam_start's place: the services are the test's own, not the host's. */
int __wrap_pam_start(const char *service, const char *user, const struct pam_conv *conversation,
                     pam_handle_t **handle);
int __wrap_pam_start(const char *service, const char *user, const struct pam_conv *conversation,
                     pam_handle_t **handle)
{
    return pam_start_confdir(service, user, conversation, pam_dir, handle);
}

static char *put_in_pam_dir(const char *name, const char *content)
{
    char *file = g_build_filename(pam_dir, name, NULL);

    g_assert_true(g_file_set_contents(file, content, -1, NULL));
    return file;
}

/* The reason names whom or what it is about and has @part. */
static void check_pam(const char *service, const char *identity, const char *part)
{
    g_autofree char *text = g_strdup_printf("authz-pam,id=a,service=%s", service);
    Error *err = NULL;
    bool allowed;

    add(text);
    allowed = qauthz_is_allowed_by_id("a", identity, &err);
    g_assert_true(allowed == !part);
    if (part) {
        g_assert_true(strstr(error_get_pretty(err), identity) ||
                      strstr(error_get_pretty(err), service));
        if (!strstr(error_get_pretty(err), part)) {
            g_error("expected '%s', found '%s'", part, error_get_pretty(err));
        }
    } else {
        g_assert_null(err);
    }
    error_free(err);
    del();
}
#endif

static void test_pam(void)
{
#ifdef CONFIG_AUTH_PAM
    g_autofree char *users = NULL, *listed = NULL, *permit = NULL, *deny = NULL, *wrong = NULL;
    g_autofree char *rule = NULL;

    check_refused("authz-pam,id=a", "service");
    pam_dir = g_dir_make_tmp("authz-pam-XXXXXX", NULL);
    check_pam("nowhere", "CN=fred", "Unable to start PAM transaction");
    users = put_in_pam_dir("users", "CN=fred\nCN=client,O=with a space\n");
    permit = put_in_pam_dir("permit", "account required pam_permit.so\n");
    /* Only the account rules count. */
    deny = put_in_pam_dir("deny", "auth required pam_permit.so\naccount required pam_deny.so\n");
    wrong = put_in_pam_dir("wrong", "account required pam_no_such_module.so\n");
    rule = g_strdup_printf("account required pam_listfile.so onerr=fail item=user sense=allow "
                           "file=%s\n", users);
    listed = put_in_pam_dir("listed", rule);
    check_pam("permit", "CN=fred", NULL);
    check_pam("deny", "CN=fred", "Authentication failure");
    check_pam("wrong", "CN=fred", "Module is unknown");
    check_pam("listed", "CN=fred", NULL);
    check_pam("listed", "CN=client,O=with a space", NULL);
    check_pam("listed", "CN=fre", "Authentication failure");
    unlink(users);
    check_pam("listed", "CN=fred", "Error in service module");
    unlink(listed);
    unlink(permit);
    unlink(deny);
    unlink(wrong);
    rmdir(pam_dir);
    g_free(pam_dir);
#else
    check_refused("authz-pam,id=a,service=x", "needs libpam");
#endif
}

int main(int argc, char **argv)
{
    g_autofree char *dir = NULL;
    int ret;

    g_test_init(&argc, &argv, NULL);
    module_call_init(MODULE_INIT_QOM);
    dir = g_dir_make_tmp("authz-XXXXXX", NULL);
    path = g_build_filename(dir, "rules.json", NULL);
    g_test_add_func("/authz/simple", test_simple);
    g_test_add_func("/authz/unknown", test_unknown);
    g_test_add_func("/authz/list", test_list);
    g_test_add_func("/authz/list-file", test_list_file);
    g_test_add_func("/authz/pam", test_pam);
    ret = g_test_run();
    unlink(path);
    rmdir(dir);
    g_free(path);
    return ret;
}
