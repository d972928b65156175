/*
 * Choosing an accelerator: what the command line asked for, tried in order.
 *
 * Relies on each accelerator being a QOM class NAME "-accel" with a class NAME "-accel-ops" beside
 * it. Everything happens on the main thread, before any vCPU exists.
 *
 * SPDX-License-Identifier: GPL-2.0-or-later
 */
#include "qemu/osdep.h"
#include <json-c/json.h>
#include "hw/boards.h"
#include "qapi/qapi-commands-machine.h"
#include "qemu/error-report.h"
#include "qemu/keyval.h"
#include "system/accel.h"
#include "system/accel-ops.h"
#include "system/cpus.h"
#include "system/kvm.h"

/* One alternative. */
typedef struct AccelOption {
    char *name;
    QObject *props;     /* the other keys of -accel; NULL: none */
} AccelOption;

typedef struct AccelProperty {
    char *driver, *name, *value;
} AccelProperty;

static GSList *options;         /* of AccelOption, in the order given */
static bool from_machine;       /* they came with -machine accel= */
static GSList *properties;      /* of AccelProperty, in the order given */
static AccelState *chosen;

AccelClass *accel_find(const char *opt_name)
{
    g_autofree char *class_name = g_strdup_printf("%s" ACCEL_CLASS_SUFFIX, opt_name);
    ObjectClass *oc = object_class_by_name(class_name);

    if (!oc || object_class_is_abstract(oc) || !object_class_dynamic_cast(oc, TYPE_ACCEL)) {
        return NULL;
    }
    return ACCEL_CLASS(oc);
}

AccelState *current_accel(void)
{
    return chosen;
}

const char *current_accel_name(void)
{
    static char *name;

    if (chosen && !name) {
        const char *type = object_get_typename(OBJECT(chosen));

        name = g_strndup(type, strlen(type) - strlen(ACCEL_CLASS_SUFFIX));
    }
    return name;
}

/* -- What the command line says -------------------------------------------------------------- */

static void print_help(void)
{
    GSList *classes = object_class_get_list_sorted(TYPE_ACCEL, false), *l;

    printf("Accelerators supported in this binary:\n");
    for (l = classes; l; l = l->next) {
        const char *type = object_class_get_name(l->data);

        /* qtest's is for tests: it runs nothing. */
        if (g_str_has_suffix(type, ACCEL_CLASS_SUFFIX) && !g_str_has_prefix(type, "qtest")) {
            printf("%.*s\n", (int)(strlen(type) - strlen(ACCEL_CLASS_SUFFIX)), type);
        }
    }
    g_slist_free(classes);
}

bool accel_option_add(const char *optarg, Error **errp)
{
    bool help = false;
    QObject *props = keyval_parse(optarg, "accel", &help, errp);
    struct json_object *name = NULL;
    AccelOption *opt;

    if (!props) {
        return false;
    }
    json_object_object_get_ex(props, "accel", &name);
    if (!name && help) {
        print_help();
        json_object_put(props);
        return false;
    }
    if (!name || json_object_get_type(name) != json_type_string) {
        error_setg(errp, "-accel %s: which one? Use -accel NAME[,option=value...]", optarg);
        json_object_put(props);
        return false;
    }
    if (from_machine) {
        error_setg(errp, "The -accel and \"-machine accel=\" options are incompatible");
        json_object_put(props);
        return false;
    }
    if (help) {
        g_autofree char *type = g_strdup_printf("%s" ACCEL_CLASS_SUFFIX,
                                                json_object_get_string(name));

        if (!accel_find(json_object_get_string(name)) || !type_print_class_properties(type)) {
            printf("No options for accelerator %s\n", json_object_get_string(name));
        }
        json_object_put(props);
        return false;
    }
    opt = g_new0(AccelOption, 1);
    opt->name = g_strdup(json_object_get_string(name));
    json_object_object_del(props, "accel");
    opt->props = props;
    options = g_slist_append(options, opt);
    return true;
}

bool accel_option_set_list(const char *list, Error **errp)
{
    g_auto(GStrv) names = g_strsplit(list, ":", -1);
    char **name;

    if (options && !from_machine) {
        error_setg(errp, "The -accel and \"-machine accel=\" options are incompatible");
        return false;
    }
    /* Said twice, the last one counts. */
    options = NULL;
    from_machine = true;
    for (name = names; *name; name++) {
        AccelOption *opt = g_new0(AccelOption, 1);

        opt->name = g_strdup(*name);
        options = g_slist_append(options, opt);
    }
    return true;
}

void accel_option_set_property(const char *driver, const char *prop, const char *value)
{
    AccelProperty *p = g_new0(AccelProperty, 1);

    p->driver = g_strdup(driver);
    p->name = g_strdup(prop);
    p->value = g_strdup(value);
    properties = g_slist_append(properties, p);
}

/* -- Choosing -------------------------------------------------------------------------------- */

int accel_init_machine(AccelState *accel, MachineState *ms)
{
    AccelClass *ac = ACCEL_GET_CLASS(accel);
    int ret;

    ms->accelerator = accel;
    chosen = accel;
    if (ac->allowed) {
        *ac->allowed = true;
    }
    ret = ac->init_machine(ms);
    if (ret < 0) {
        ms->accelerator = NULL;
        chosen = NULL;
        if (ac->allowed) {
            *ac->allowed = false;
        }
        return ret;
    }
    object_set_accelerator_compat_props(ac->compat_props);
    accel_init_ops_interfaces(ac);
    return 0;
}

void accel_init_ops_interfaces(AccelClass *ac)
{
    g_autofree char *name = g_strdup_printf("%s" ACCEL_OPS_SUFFIX,
                                            object_class_get_name(OBJECT_CLASS(ac)));
    ObjectClass *oc = object_class_by_name(name);
    AccelOpsClass *ops;

    if (!oc) {
        /* It makes no CPUs. */
        return;
    }
    ops = ACCEL_OPS_CLASS(oc);
    qemu_init_cpu_loop();
    if (ops->ops_init) {
        ops->ops_init(ops);
    }
    cpus_register_accel(ops);
}

void accel_setup_post(MachineState *ms)
{
    AccelClass *ac = ACCEL_GET_CLASS(chosen);

    if (ac->setup_post) {
        ac->setup_post(ms, chosen);
    }
}

static bool apply_options(AccelState *accel, const AccelOption *opt, Error **errp)
{
    GSList *l;

    for (l = properties; l; l = l->next) {
        AccelProperty *p = l->data;

        if (object_dynamic_cast(OBJECT(accel), p->driver)
            && !object_property_parse(OBJECT(accel), p->name, p->value, errp)) {
            return false;
        }
    }
    if (opt->props) {
        json_object_object_foreach(opt->props, key, value) {
            if (json_object_get_type(value) != json_type_string) {
                error_setg(errp, "option '%s' takes one value", key);
                return false;
            }
            if (!object_property_parse(OBJECT(accel), key, json_object_get_string(value), errp)) {
                return false;
            }
        }
    }
    return true;
}

/* 1: it works; 0: it does not, try the next; -1: what the user wrote is wrong. */
static int try_option(const AccelOption *opt, MachineState *ms, bool quiet, Error **errp)
{
    AccelClass *ac = accel_find(opt->name);
    AccelState *accel;
    int ret;

    if (!ac) {
        if (!quiet) {
            error_report("invalid accelerator %s (-accel help lists those there are)", opt->name);
        }
        return 0;
    }
    accel = ACCEL(object_new(object_class_get_name(OBJECT_CLASS(ac))));
    if (!apply_options(accel, opt, errp)) {
        error_prepend(errp, "-accel %s: ", opt->name);
        object_unref(OBJECT(accel));
        return -1;
    }
    ret = accel_init_machine(accel, ms);
    if (ret < 0) {
        if (!quiet) {
            error_report("failed to initialize %s: %s", opt->name, strerror(-ret));
        }
        object_unref(OBJECT(accel));
        return 0;
    }
    return 1;
}

bool accel_configure(MachineState *ms, Error **errp)
{
    static const char *const defaults[] = { "tcg", "kvm" };
    bool asked = options != NULL;
    bool fell = false;
    GSList *l;
    int i;

    if (!asked) {
        for (i = 0; i < (int)ARRAY_SIZE(defaults); i++) {
            if (accel_find(defaults[i])) {
                AccelOption *opt = g_new0(AccelOption, 1);

                opt->name = g_strdup(defaults[i]);
                options = g_slist_append(options, opt);
            }
        }
    }
    for (l = options; l; l = l->next) {
        int ret = try_option(l->data, ms, false, errp);

        if (ret < 0) {
            return false;
        }
        if (ret > 0) {
            if (fell) {
                error_report("falling back to %s", current_accel_name());
            }
            return true;
        }
        fell = true;
    }
    error_setg(errp, options ? "no accelerator that was asked for works here"
                             : "no accelerator found: none is built into this binary");
    return false;
}

/* -- Types and queries ----------------------------------------------------------------------- */

KvmInfo *qmp_query_kvm(Error **errp)
{
    KvmInfo *info = g_new0(KvmInfo, 1);

    info->enabled = kvm_enabled();
    info->present = accel_find("kvm");
    return info;
}

static const TypeInfo accel_types[] = {
    {
        .name = TYPE_ACCEL,
        .parent = TYPE_OBJECT,
        .class_size = sizeof(AccelClass),
        .instance_size = sizeof(AccelState),
        .abstract = true,
    },
    {
        .name = TYPE_ACCEL_OPS,
        .parent = TYPE_OBJECT,
        .class_size = sizeof(AccelOpsClass),
        .abstract = true,
    },
};
DEFINE_TYPES(accel_types)
