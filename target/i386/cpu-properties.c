/*
 * Options of CPUs: properties for features and for who the CPU says it is, and -cpu's list of them.
 *
 * Each feature has a boolean property of its name; other spellings are properties too. Features of
 * nested VMX that are MSRs, and Hyper-V's enlightenments, are known by name and can only be off:
 * what can't be had is refused, not forgotten.
 *
 * SPDX-License-Identifier: GPL-2.0-or-later
 */
#include "qemu/osdep.h"
#include "cpu-models.h"
#include "hw/qdev-properties.h"
#include "qapi/error.h"
#include "qapi/qapi-builtin-visit.h"
#include "qapi/visitor.h"
#include "qemu/bswap.h"
#include "qemu/cutils.h"
#include "qemu/error-report.h"

/* ---- features ---- */

typedef struct FeatureBit {
    FeatureWord word;
    uint32_t mask;
} FeatureBit;

static void get_feature(Object *obj, Visitor *v, const char *name, void *opaque, Error **errp)
{
    const FeatureBit *f = opaque;
    bool value = (X86_CPU(obj)->env.features[f->word] & f->mask) == f->mask;

    visit_type_bool(v, name, &value, errp);
}

static void set_feature(Object *obj, Visitor *v, const char *name, void *opaque, Error **errp)
{
    const FeatureBit *f = opaque;
    X86CPU *cpu = X86_CPU(obj);
    bool value;

    if (!visit_type_bool(v, name, &value, errp)) {
        return;
    }
    if (DEVICE(obj)->realized) {
        error_setg(errp, "Attempt to set property '%s' on device '%s' after it was realized", name,
                   object_get_typename(obj));
        return;
    }
    if (value) {
        cpu->env.features[f->word] |= f->mask;
    } else {
        cpu->env.features[f->word] &= ~f->mask;
    }
    cpu->env.user_features[f->word] |= f->mask;
}

static void get_off(Object *obj, Visitor *v, const char *name, void *opaque, Error **errp)
{
    bool value = false;

    visit_type_bool(v, name, &value, errp);
}

static void set_off(Object *obj, Visitor *v, const char *name, void *opaque, Error **errp)
{
    bool value;

    if (visit_type_bool(v, name, &value, errp) && value) {
        error_setg(errp, "CPU feature '%s' is not available: %s", name,
                   g_str_has_prefix(name, "hv-") ? "Hyper-V's enlightenments are not built"
                   : "what KVM offers of nested VMX can't be changed");
    }
}

static void add_off(ObjectClass *oc, const char *name)
{
    object_class_property_add(oc, name, "bool", get_off, set_off, NULL, NULL);
}

/* ---- identity ---- */

static void get_version(Object *obj, Visitor *v, const char *name, void *opaque, Error **errp)
{
    uint32_t version = X86_CPU(obj)->env.cpuid_version;
    int64_t value;

    switch (*name) {
    case 'f':
        value = version >> 8 & 0xf;
        value += value == 0xf ? version >> 20 & 0xff : 0;
        break;
    case 'm':
        value = (version >> 4 & 0xf) | (version >> 12 & 0xf0);
        break;
    default:
        value = version & 0xf;
        break;
    }
    visit_type_int(v, name, &value, errp);
}

static void set_version(Object *obj, Visitor *v, const char *name, void *opaque, Error **errp)
{
    uint32_t *version = &X86_CPU(obj)->env.cpuid_version;
    int64_t value, max = *name == 'f' ? 0xff + 0xf : *name == 'm' ? 0xff : 0xf;

    if (!visit_type_int(v, name, &value, errp)) {
        return;
    }
    if (value < 0 || value > max) {
        error_setg(errp, "Property '%s' doesn't take value %" PRId64 " (minimum: 0, maximum: %"
                   PRId64 ")", name, value, max);
        return;
    }
    switch (*name) {
    case 'f':
        *version = (*version & ~0x0ff00f00u) | MIN(value, 0xf) << 8 |
            (value > 0xf ? (value - 0xf) << 20 : 0);
        break;
    case 'm':
        *version = (*version & ~0xf00f0u) | (value & 0xf) << 4 | (value >> 4) << 16;
        break;
    default:
        *version = (*version & ~0xfu) | value;
        break;
    }
}

static char *get_vendor(Object *obj, Error **errp)
{
    char *value = g_malloc(13);

    x86_cpu_vendor_string(&X86_CPU(obj)->env, value);
    return value;
}

static void set_vendor(Object *obj, const char *value, Error **errp)
{
    CPUX86State *env = &X86_CPU(obj)->env;

    if (strlen(value) != 12) {
        error_setg(errp, "Property 'vendor' doesn't take value '%s': twelve characters are needed",
                   value);
        return;
    }
    for (int i = 0; i < 3; i++) {
        env->cpuid_vendor[i] = ldl_le_p(value + 4 * i);
    }
}

static char *get_model_id(Object *obj, Error **errp)
{
    CPUX86State *env = &X86_CPU(obj)->env;
    char *value = g_malloc0(49);

    for (int i = 0; i < 12; i++) {
        stl_le_p(value + 4 * i, env->cpuid_model[i]);
    }
    return value;
}

static void set_model_id(Object *obj, const char *value, Error **errp)
{
    CPUX86State *env = &X86_CPU(obj)->env;
    char text[48] = { 0 };

    memcpy(text, value, MIN(strlen(value), sizeof(text)));
    for (int i = 0; i < 12; i++) {
        env->cpuid_model[i] = ldl_le_p(text + 4 * i);
    }
}

static void get_tsc_frequency(Object *obj, Visitor *v, const char *name, void *opaque, Error **errp)
{
    int64_t value = X86_CPU(obj)->env.tsc_khz * 1000;

    visit_type_int(v, name, &value, errp);
}

static void set_tsc_frequency(Object *obj, Visitor *v, const char *name, void *opaque, Error **errp)
{
    X86CPU *cpu = X86_CPU(obj);
    int64_t value;

    if (!visit_type_int(v, name, &value, errp)) {
        return;
    }
    if (value < 0) {
        error_setg(errp, "Property '%s' expects a frequency in Hz, not %" PRId64, name, value);
        return;
    }
    cpu->env.tsc_khz = cpu->env.user_tsc_khz = value / 1000;
}

/* The names of what was asked for and can't be had. */
static void get_unavailable(Object *obj, Visitor *v, const char *name, void *opaque, Error **errp)
{
    strList *list = x86_cpu_unavailable_features(X86_CPU(obj));

    visit_type_strList(v, name, &list, errp);
    qapi_free_strList(list);
}

static const Property properties[] = {
    DEFINE_PROP_UINT32("apic-id", X86CPU, apic_id, UINT32_MAX),
    DEFINE_PROP_BOOL("check", X86CPU, check_cpuid, true),
    DEFINE_PROP_BOOL("enforce", X86CPU, enforce_cpuid, false),
    DEFINE_PROP_BOOL("kvm", X86CPU, expose_kvm, true),
    DEFINE_PROP_BOOL("pmu", X86CPU, enable_pmu, false),
    DEFINE_PROP_BOOL("lmce", X86CPU, enable_lmce, false),
    DEFINE_PROP_BOOL("x-force-features", X86CPU, force_features, false),
    DEFINE_PROP_UINT32("phys-bits", X86CPU, phys_bits, 0),
    DEFINE_PROP_UINT32("guest-phys-bits", X86CPU, guest_phys_bits, UINT32_MAX),
    DEFINE_PROP_BOOL("host-phys-bits", X86CPU, host_phys_bits, false),
    DEFINE_PROP_UINT32("host-phys-bits-limit", X86CPU, host_phys_bits_limit, 0),
    DEFINE_PROP_UINT32("level", X86CPU, env.cpuid_level, UINT32_MAX),
    DEFINE_PROP_UINT32("xlevel", X86CPU, env.cpuid_xlevel, UINT32_MAX),
    DEFINE_PROP_UINT32("xlevel2", X86CPU, env.cpuid_xlevel2, UINT32_MAX),
    DEFINE_PROP_UINT32("min-level", X86CPU, env.cpuid_min_level, 0),
    DEFINE_PROP_UINT32("min-xlevel", X86CPU, env.cpuid_min_xlevel, 0),
    DEFINE_PROP_UINT32("min-xlevel2", X86CPU, env.cpuid_min_xlevel2, 0),
    DEFINE_PROP_BOOL("full-cpuid-auto-level", X86CPU, full_cpuid_auto_level, true),
    DEFINE_PROP_BOOL("l3-cache", X86CPU, l3_cache, true),
    DEFINE_PROP_BOOL("legacy-cache", X86CPU, legacy_cache, true),
    DEFINE_PROP_BOOL("cpuid-0xb", X86CPU, cpuid_0xb, true),
    DEFINE_PROP_BOOL("fill-mtrr-mask", X86CPU, fill_mtrr_mask, true),
    DEFINE_PROP_BOOL("vmware-cpuid-freq", X86CPU, vmware_cpuid_freq, true),
};

/* Enlightenments: known names, refused when turned on. */
static const char *const hv_features[] = {
    "hv-apicv", "hv-avic", "hv-crash", "hv-emsr-bitmap", "hv-enforce-cpuid", "hv-evmcs",
    "hv-frequencies", "hv-ipi", "hv-passthrough", "hv-reenlightenment", "hv-relaxed", "hv-reset",
    "hv-runtime", "hv-stimer", "hv-stimer-direct", "hv-syndbg", "hv-synic", "hv-time",
    "hv-tlbflush", "hv-tlbflush-direct", "hv-tlbflush-ext", "hv-vapic", "hv-vpindex",
    "hv-xmm-input",
};

void x86_cpu_add_properties(ObjectClass *oc)
{
    device_class_set_props(DEVICE_CLASS(oc), properties);
    object_class_property_add(oc, "tsc-frequency", "int", get_tsc_frequency, set_tsc_frequency,
                              NULL, NULL);
    object_class_property_add(oc, "family", "int", get_version, set_version, NULL, NULL);
    object_class_property_add(oc, "model", "int", get_version, set_version, NULL, NULL);
    object_class_property_add(oc, "stepping", "int", get_version, set_version, NULL, NULL);
    object_class_property_add_str(oc, "vendor", get_vendor, set_vendor);
    object_class_property_add_str(oc, "model-id", get_model_id, set_model_id);
    object_class_property_add(oc, "unavailable-features", "strList", get_unavailable, NULL, NULL,
                              NULL);
    for (int w = 0; w < FEATURE_WORDS; w++) {
        for (int b = 0; b < 32; b++) {
            const char *name = x86_feature_name(w, b);
            ObjectProperty *known = name ? object_class_property_find(oc, name) : NULL;
            FeatureBit *f;

            if (known) {
                /* Two bits of one name (kvmclock). */
                ((FeatureBit *)known->opaque)->mask |= 1u << b;
            } else if (name) {
                f = g_new0(FeatureBit, 1); /* as long as the class */
                *f = (FeatureBit) { w, 1u << b };
                object_class_property_add(oc, name, "bool", get_feature, set_feature, NULL, f);
            }
        }
    }
    for (const X86FeatureAlias *a = x86_feature_aliases; a->alias; a++) {
        ObjectProperty *known = object_class_property_find(oc, a->name);

        if (known && !object_class_property_find(oc, a->alias)) {
            object_class_property_add(oc, a->alias, "bool", get_feature, set_feature, NULL,
                                      known->opaque);
        }
    }
    for (const char *const *name = x86_vmx_feature_names; *name; name++) {
        add_off(oc, *name);
    }
    for (size_t i = 0; i < ARRAY_SIZE(hv_features); i++) {
        add_off(oc, hv_features[i]);
    }
}

/* ---- -cpu ---- */

static void set_global(const char *typename, const char *name, const char *value)
{
    GlobalProperty *global = g_new0(GlobalProperty, 1);

    global->driver = g_strdup(typename);
    global->property = g_strdup(name);
    global->value = g_strdup(value);
    qdev_prop_register_global(global);
}

/* The property of that name, '_' and '-' being the same. */
static const char *find_property(ObjectClass *oc, const char *name)
{
    g_autofree char *dashed = g_strdelimit(g_strdup(name), "_", '-');
    ObjectProperty *prop = object_class_property_find(oc, name);

    prop = prop ? prop : object_class_property_find(oc, dashed);
    return prop ? prop->name : NULL;
}

void x86_cpu_parse_features(const char *typename, char *str, Error **errp)
{
    g_auto(GStrv) words = g_strsplit(str ? str : "", ",", -1);
    ObjectClass *oc = object_class_by_name(typename);
    g_autoptr(GPtrArray) last = g_ptr_array_new(); /* +x and -x come after all of x=… */

    for (char **word = words; *word; word++) {
        char *name = *word, *value = strchr(name, '=');
        bool sign = *name == '+' || *name == '-';
        const char *property;

        if (!*name) {
            continue;
        }
        if (!sign && value) {
            *value++ = '\0';
        }
        property = find_property(oc, name + sign);
        if (!property) {
            error_setg(errp, "Property '%s.%s' not found", typename, name + sign);
            return;
        }
        if (sign) {
            g_ptr_array_add(last, (char *)(*name == '+' ? "on" : "off"));
            g_ptr_array_add(last, (char *)property);
        } else {
            int64_t hz;

            if (value && g_str_equal(property, "tsc-frequency") &&
                qemu_strtosz_metric(value, NULL, (uint64_t *)&hz) == 0) {
                g_autofree char *number = g_strdup_printf("%" PRId64, hz);

                set_global(typename, property, number);
                continue;
            }
            set_global(typename, property, value ? value : "on");
        }
    }
    /* Whoever says both means "off": the order among them does not count. */
    for (int pass = 0; pass < 2; pass++) {
        for (guint i = 0; i < last->len; i += 2) {
            const char *value = g_ptr_array_index(last, i);

            if (g_str_equal(value, pass ? "off" : "on")) {
                set_global(typename, g_ptr_array_index(last, i + 1), value);
            }
        }
    }
}
