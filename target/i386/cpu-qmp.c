/*
 * What managers ask about CPU models: query-cpu-definitions, query-cpu-model-expansion.
 *
 * The answers come from CPUs that are made for the question and never realized.
 *
 * SPDX-License-Identifier: GPL-2.0-or-later
 */
#include "qemu/osdep.h"
#include "cpu-models.h"
#include "hw/boards.h"
#include "qapi/error.h"
#include "qapi/qapi-commands-machine-target.h"
#include "qapi/qobject-input-visitor.h"
#include "qapi/qobject.h"
#include "qom/qom-qobject.h"
#include "system/kvm.h"

static strList *unavailable_features(const char *typename)
{
    g_autoptr(Object) obj = object_new(typename);
    X86CPU *cpu = X86_CPU(obj);
    strList *list = NULL;
    Error *err = NULL;

    if (X86_CPU_GET_CLASS(cpu)->host_cpuid_required && !kvm_enabled()) {
        QAPI_LIST_PREPEND(list, g_strdup("kvm")); /* the one thing that stands in the way */
        return list;
    }
    if (!x86_cpu_expand_features(cpu, &err)) {
        error_free(err); /* only properties that were set can be wrong, and none was */
        return NULL;
    }
    x86_cpu_filter_features(cpu, false);
    return x86_cpu_unavailable_features(cpu);
}

static void add_definition(ObjectClass *oc, void *opaque)
{
    CpuDefinitionInfoList **list = opaque;
    X86CPUClass *xcc = X86_CPU_CLASS(oc);
    const X86CPUDefinition *m = x86_cpu_class_model(xcc);
    const char *typename = object_class_get_name(oc);
    CpuDefinitionInfo *info = g_new0(CpuDefinitionInfo, 1);

    info->q_typename = g_strdup(typename);
    info->name = g_strndup(typename, strlen(typename) - strlen(X86_CPU_TYPE_SUFFIX));
    info->q_static = g_str_equal(info->name, "base");
    info->has_migration_safe = true;
    info->migration_safe = !xcc->host_features;
    info->has_unavailable_features = true;
    info->unavailable_features = unavailable_features(typename);
    if (xcc->alias_of) {
        info->alias_of = g_strdup(m->name);
    }
    QAPI_LIST_PREPEND(*list, info);
}

CpuDefinitionInfoList *qmp_query_cpu_definitions(Error **errp)
{
    CpuDefinitionInfoList *list = NULL;

    object_class_foreach(add_definition, TYPE_X86_CPU, false, &list);
    return list;
}

/* -- Expansion ------------------------------------------------------------------------------- */

static bool set_props(Object *obj, const QDict *props, Error **errp)
{
    Visitor *v = qobject_input_visitor_new((QObject *)props);
    bool ok = visit_start_struct(v, NULL, NULL, 0, errp);

    if (ok) {
        json_object_object_foreach((QDict *)props, name, value) {
            (void)value;
            ok = ok && object_property_set(obj, name, v, errp);
        }
    }
    visit_free(v);
    return ok;
}

static X86CPU *expanded_cpu(const CpuModelInfo *model, Error **errp)
{
    g_autofree char *typename = g_strconcat(model->name, X86_CPU_TYPE_SUFFIX, NULL);
    ObjectClass *oc = object_class_by_name(typename);
    QDict *props = json_object_is_type(model->props, json_type_object) ? model->props : NULL;
    Object *obj;

    if (!oc || object_class_is_abstract(oc)) {
        error_setg(errp, "CPU model '%s' not found", model->name);
        return NULL;
    }
    if (model->props && !props) {
        error_setg(errp, "Invalid parameter type for 'model.props', expected: object");
        return NULL;
    }
    obj = object_new(typename);
    if ((props && !set_props(obj, props, errp)) || !x86_cpu_expand_features(X86_CPU(obj), errp)) {
        object_unref(obj);
        return NULL;
    }
    return X86_CPU(obj);
}

static void put_prop(X86CPU *cpu, QDict *props, const char *name)
{
    QObject *value = object_property_get_qobject(OBJECT(cpu), name, NULL);

    if (value) {
        qdict_put_obj(props, name, value);
    }
}

/* What tells this CPU from "base": who it is, and every feature. */
static void put_static(X86CPU *cpu, QDict *props)
{
    static const char *const identity[] = {
        "min-level", "min-xlevel", "family", "model", "stepping", "model-id", "vendor",
        "lmce",
    };

    for (size_t i = 0; i < ARRAY_SIZE(identity); i++) {
        put_prop(cpu, props, identity[i]);
    }
    for (int w = 0; w < FEATURE_WORDS; w++) {
        for (int b = 0; b < 32; b++) {
            const char *name = x86_feature_name(w, b);

            if (name) {
                put_prop(cpu, props, name);
            }
        }
    }
    for (const char *const *name = x86_vmx_feature_names; *name; name++) {
        put_prop(cpu, props, *name);
    }
}

static void put_full(X86CPU *cpu, QDict *props)
{
    ObjectPropertyIterator iter;
    ObjectProperty *prop;

    object_property_iter_init(&iter, OBJECT(cpu));
    while ((prop = object_property_iter_next(&iter))) {
        /* What a CPU has only once it is there, and what is not a setting. */
        if (prop->get && prop->set && !g_str_equal(prop->name, "realized") &&
            !g_str_equal(prop->name, "hotplugged")) {
            put_prop(cpu, props, prop->name);
        }
    }
}

CpuModelExpansionInfo *qmp_query_cpu_model_expansion(CpuModelExpansionType type,
                                                     CpuModelInfo *model, Error **errp)
{
    X86CPU *cpu = expanded_cpu(model, errp);
    CpuModelExpansionInfo *info;
    QDict *props;

    if (!cpu) {
        return NULL;
    }
    props = qdict_new();
    info = g_new0(CpuModelExpansionInfo, 1);
    info->model = g_new0(CpuModelInfo, 1);
    info->model->props = (QObject *)props;
    if (type == CPU_MODEL_EXPANSION_TYPE_STATIC) {
        info->model->name = g_strdup("base");
        put_static(cpu, props);
    } else {
        info->model->name = g_strdup(model->name);
        put_full(cpu, props);
    }
    object_unref(OBJECT(cpu));
    return info;
}
