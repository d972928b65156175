/*
 * The object model: types, interfaces, properties, references, the tree, user-creatable objects,
 * and what happens to bad input.
 *
 * SPDX-License-Identifier: GPL-2.0-or-later
 */
#include "qemu/osdep.h"
#include <json-c/json.h>
#include "qapi/error.h"
#include "qapi/qobject-input-visitor.h"
#include "qapi/util.h"
#include "qapi/visitor.h"
#include "qemu/module.h"
#include "qom/object.h"
#include "qom/object_interfaces.h"
#include "qom/qom-qobject.h"

/* ---- the types under test --------------------------------------------------------------- */

#define TYPE_SOUND "test-sound"
typedef struct SoundClass {
    InterfaceClass parent_class;
    const char *(*noise)(Object *obj);
} SoundClass;
DECLARE_CLASS_CHECKERS(SoundClass, SOUND, TYPE_SOUND)

#define TYPE_ANIMAL "test-animal"
OBJECT_DECLARE_TYPE(Animal, AnimalClass, ANIMAL)
struct AnimalClass {
    ObjectClass parent_class;
    int legs;
};
struct Animal {
    Object parent_obj;
    char *name;
    bool tame;
    int mood;
    uint8_t age;
    uint64_t weight;
    Object *friend;
    Object *owner;
    Object embedded;                    /* made a child on demand */
};

#define TYPE_DOG "test-dog"
OBJECT_DECLARE_SIMPLE_TYPE(Dog, DOG)
struct Dog {
    Animal parent_obj;
    int64_t bones;
};
#define TYPE_PUPPY "test-puppy"
#define TYPE_BLOB "test-blob"           /* a plain, concrete type */

static GString *trail;                  /* what ran, in order */
static int alive;

static const char *const mood_names[] = { "calm", "wild" };
static const QEnumLookup mood_lookup = { .array = mood_names, .size = 2 };

static char *animal_get_name(Object *obj, Error **errp)
{
    return g_strdup(ANIMAL(obj)->name);
}

static void animal_set_name(Object *obj, const char *value, Error **errp)
{
    if (!*value) {
        error_setg(errp, "an animal wants a name");
        return;
    }
    g_free(ANIMAL(obj)->name);
    ANIMAL(obj)->name = g_strdup(value);
}

static bool animal_get_tame(Object *obj, Error **errp)
{
    return ANIMAL(obj)->tame;
}

static void animal_set_tame(Object *obj, bool value, Error **errp)
{
    ANIMAL(obj)->tame = value;
}

static int animal_get_mood(Object *obj, Error **errp)
{
    return ANIMAL(obj)->mood;
}

static void animal_set_mood(Object *obj, int value, Error **errp)
{
    ANIMAL(obj)->mood = value;
}

static void animal_get_secret(Object *obj, Visitor *v, const char *name, void *opaque,
                              Error **errp)
{
    error_setg(errp, "not telling");
}

static void refuse_cats(const Object *obj, const char *name, Object *val, Error **errp)
{
    if (val && g_strcmp0(ANIMAL(val)->name, "cat") == 0) {
        error_setg(errp, "no cats");
    }
}

static void animal_init(Object *obj)
{
    Animal *animal = ANIMAL(obj);

    g_string_append(trail, "A");
    alive++;
    animal->weight = UINT64_MAX - 1;
    object_property_add_uint8_ptr(obj, "age", &animal->age, OBJ_PROP_FLAG_READWRITE);
    object_property_add_uint64_ptr(obj, "weight", &animal->weight, OBJ_PROP_FLAG_READ);
    object_property_add_link(obj, "friend", TYPE_ANIMAL, &animal->friend, refuse_cats,
                             OBJ_PROP_LINK_STRONG);
}

static void animal_post_init(Object *obj)
{
    g_string_append(trail, "P");
}

static void animal_finalize(Object *obj)
{
    g_string_append(trail, "a");
    alive--;
    g_free(ANIMAL(obj)->name);
}

static void animal_class_init(ObjectClass *oc, void *data)
{
    ObjectProperty *prop;

    ANIMAL_CLASS(oc)->legs = 4;
    prop = object_class_property_add_str(oc, "name", animal_get_name, animal_set_name);
    object_property_set_default_str(prop, "nobody");
    object_class_property_set_description(oc, "name", "what it is called");
    prop = object_class_property_add_bool(oc, "tame", animal_get_tame, animal_set_tame);
    object_property_set_default_bool(prop, true);
    object_class_property_add_enum(oc, "mood", "Mood", &mood_lookup, animal_get_mood,
                                   animal_set_mood);
    object_class_property_add(oc, "secret", "int", animal_get_secret, NULL, NULL, NULL);
    object_class_property_add_link(oc, "owner", TYPE_ANIMAL, offsetof(Animal, owner),
                                   object_property_allow_set_link, 0);
}

static const char *dog_noise(Object *obj)
{
    return "woof";
}

static const char *puppy_noise(Object *obj)
{
    return "yip";
}

static void dog_init(Object *obj)
{
    g_string_append(trail, "D");
}

static void dog_finalize(Object *obj)
{
    g_string_append(trail, "d");
}

static void dog_class_init(ObjectClass *oc, void *data)
{
    SOUND_CLASS(oc)->noise = dog_noise;
}

static void puppy_class_init(ObjectClass *oc, void *data)
{
    SOUND_CLASS(oc)->noise = puppy_noise;
    ANIMAL_CLASS(oc)->legs = GPOINTER_TO_INT(data);
}

static bool in_use;
static bool refuse_complete;

static void dog_complete(UserCreatable *uc, Error **errp)
{
    g_string_append(trail, "C");
    if (refuse_complete) {
        error_setg(errp, "bad dog");
    }
}

static bool dog_can_be_deleted(UserCreatable *uc)
{
    return !in_use;
}

static void pet_class_init(ObjectClass *oc, void *data)
{
    UserCreatableClass *ucc = USER_CREATABLE_CLASS(oc);

    ucc->complete = dog_complete;
    ucc->can_be_deleted = dog_can_be_deleted;
}

static const TypeInfo test_types_[] = {
    {
        .name = TYPE_SOUND, .parent = TYPE_INTERFACE, .class_size = sizeof(SoundClass),
    }, {
        .name = TYPE_ANIMAL, .parent = TYPE_OBJECT, .abstract = true,
        .instance_size = sizeof(Animal), .class_size = sizeof(AnimalClass),
        .instance_init = animal_init, .instance_post_init = animal_post_init,
        .instance_finalize = animal_finalize, .class_init = animal_class_init,
    }, {
        .name = TYPE_DOG, .parent = TYPE_ANIMAL, .instance_size = sizeof(Dog),
        .instance_init = dog_init, .instance_finalize = dog_finalize,
        .class_init = dog_class_init,
        .interfaces = (InterfaceInfo[]) { { TYPE_SOUND }, { NULL } },
    }, {
        .name = TYPE_PUPPY, .parent = TYPE_DOG, .class_init = puppy_class_init,
        .class_data = GINT_TO_POINTER(3),
    }, {
        .name = "test-pet", .parent = TYPE_DOG, .class_init = pet_class_init,
        .interfaces = (InterfaceInfo[]) { { TYPE_USER_CREATABLE }, { NULL } },
    }, {
        .name = TYPE_BLOB, .parent = TYPE_OBJECT,
    }, {
        .name = "test-aligned", .parent = TYPE_OBJECT, .instance_size = 4096,
        .instance_align = 4096,
    },
};
DEFINE_TYPES(test_types_)

static void expect_error(Error **err, const char *text)
{
    g_assert_nonnull(*err);
    g_assert_cmpstr(error_get_pretty(*err), ==, text);
    error_free(*err);
    *err = NULL;
}

/* ---- types and classes ------------------------------------------------------------------ */

static void test_types(void)
{
    ObjectClass *oc = object_class_by_name(TYPE_PUPPY);

    g_assert_null(object_class_by_name("test-unicorn"));
    g_assert_null(object_class_by_name(""));
    g_assert_cmpstr(object_class_get_name(oc), ==, TYPE_PUPPY);
    g_assert_cmpstr(object_class_get_name(object_class_get_parent(oc)), ==, TYPE_DOG);
    g_assert_false(object_class_is_abstract(oc));
    g_assert_true(object_class_is_abstract(object_class_by_name(TYPE_ANIMAL)));
    g_assert_true(object_class_is_abstract(object_class_by_name(TYPE_SOUND)));
    g_assert_cmpint(ANIMAL_CLASS(object_class_by_name(TYPE_DOG))->legs, ==, 4);
    g_assert_cmpint(ANIMAL_CLASS(oc)->legs, ==, 3);
    g_assert_nonnull(object_class_dynamic_cast(oc, TYPE_OBJECT));
    g_assert_null(object_class_dynamic_cast(oc, TYPE_BLOB));
    g_assert_null(object_class_dynamic_cast(NULL, TYPE_OBJECT));
}

static void test_lists(void)
{
    GSList *all = object_class_get_list(TYPE_ANIMAL, true);
    GSList *concrete = object_class_get_list_sorted(TYPE_ANIMAL, false);
    GSList *noisy = object_class_get_list(TYPE_SOUND, false);

    g_assert_cmpint(g_slist_length(all), ==, 4);
    g_assert_cmpint(g_slist_length(concrete), ==, 3);
    g_assert_cmpstr(object_class_get_name(concrete->data), ==, TYPE_DOG);
    g_assert_cmpint(g_slist_length(noisy), ==, 3);
    g_assert_null(object_class_get_list("test-unicorn", true));
    g_slist_free(all);
    g_slist_free(concrete);
    g_slist_free(noisy);
}

static void test_interfaces(void)
{
    g_autoptr(Object) dog = object_new(TYPE_DOG);
    g_autoptr(Object) puppy = object_new(TYPE_PUPPY);
    g_autoptr(Object) blob = object_new(TYPE_BLOB);

    g_assert_cmpstr(SOUND_GET_CLASS(dog)->noise(dog), ==, "woof");
    g_assert_cmpstr(SOUND_GET_CLASS(puppy)->noise(puppy), ==, "yip");
    g_assert_true(object_dynamic_cast(puppy, TYPE_SOUND) == puppy);
    g_assert_null(object_dynamic_cast(blob, TYPE_SOUND));
    g_assert_true(INTERFACE_CLASS(SOUND_GET_CLASS(puppy))->concrete_class ==
                  object_get_class(puppy));
}

/* ---- life ------------------------------------------------------------------------------- */

static void test_life(void)
{
    Object *puppy;
    Object *aligned = object_new("test-aligned");

    g_string_truncate(trail, 0);
    puppy = object_new(TYPE_PUPPY);
    g_assert_cmpstr(trail->str, ==, "ADP");
    g_assert_cmpint(alive, ==, 1);
    object_ref(puppy);
    object_unref(puppy);
    g_assert_cmpint(alive, ==, 1);
    object_unref(puppy);
    g_assert_cmpstr(trail->str, ==, "ADPda");
    g_assert_cmpint(alive, ==, 0);
    object_unref(NULL);

    g_assert_true(QEMU_PTR_IS_ALIGNED(aligned, 4096));
    object_unref(aligned);
}

static void test_embedded(void)
{
    Animal *dog = ANIMAL(object_new(TYPE_DOG));

    object_initialize_child(OBJECT(dog), "heart", &dog->embedded, TYPE_BLOB);
    g_assert_true(dog->embedded.parent == OBJECT(dog));
    g_assert_cmpint(dog->embedded.ref, ==, 1);
    object_unref(dog);
    g_assert_cmpint(alive, ==, 0);
}

static void test_new_with_props(void)
{
    Object *parent = object_get_objects_root();
    Error *err = NULL;
    Object *dog;

    dog = object_new_with_props(TYPE_DOG, parent, "rex", &err, "name", "Rex", "tame", "off",
                                "mood", "wild", NULL);
    g_assert_null(err);
    g_assert_true(object_resolve_path_component(parent, "rex") == dog);
    g_assert_cmpstr(ANIMAL(dog)->name, ==, "Rex");
    g_assert_false(ANIMAL(dog)->tame);
    g_assert_cmpint(ANIMAL(dog)->mood, ==, 1);

    g_assert_null(object_new_with_props(TYPE_DOG, parent, "rex", &err, NULL));
    expect_error(&err, "attempt to add duplicate property 'rex' to object (type 'container')");
    g_assert_null(object_new_with_props(TYPE_DOG, parent, "r2", &err, "name", "", NULL));
    expect_error(&err, "an animal wants a name");
    g_assert_null(object_new_with_props(TYPE_ANIMAL, parent, "r3", &err, NULL));
    expect_error(&err, "object type 'test-animal' is abstract");
    g_assert_null(object_new_with_props("test-unicorn", parent, "r4", &err, NULL));
    expect_error(&err, "invalid object type: test-unicorn");
    g_assert_cmpint(alive, ==, 1);
    object_unparent(dog);
    g_assert_cmpint(alive, ==, 0);
}

/* ---- properties ------------------------------------------------------------------------- */

static void test_properties(void)
{
    g_autoptr(Object) dog = object_new(TYPE_DOG);
    g_autofree char *name = NULL;
    Error *err = NULL;

    name = object_property_get_str(dog, "name", &error_abort);
    g_assert_cmpstr(name, ==, "nobody");
    g_assert_true(object_property_get_bool(dog, "tame", &error_abort));

    g_assert_true(object_property_set_str(dog, "name", "Fido", &error_abort));
    g_assert_cmpstr(ANIMAL(dog)->name, ==, "Fido");
    g_assert_true(object_property_set_bool(dog, "tame", false, &error_abort));
    g_assert_false(ANIMAL(dog)->tame);
    g_assert_true(object_property_set_int(dog, "age", 255, &error_abort));
    g_assert_cmpint(object_property_get_uint(dog, "age", &error_abort), ==, 255);
    g_assert_cmpuint(object_property_get_uint(dog, "weight", &error_abort), ==, UINT64_MAX - 1);
    g_assert_true(object_property_parse(dog, "age", "17", &error_abort));
    g_assert_cmpint(ANIMAL(dog)->age, ==, 17);
    g_assert_true(object_property_parse(dog, "mood", "wild", &error_abort));
    g_assert_cmpint(object_property_get_enum(dog, "mood", "Mood", &error_abort), ==, 1);
    g_assert_cmpstr(object_property_get_type(dog, "mood", &error_abort), ==, "Mood");

    g_assert_false(object_property_set_str(dog, "wings", "2", &err));
    expect_error(&err, "Property 'test-dog.wings' not found");
    g_assert_false(object_property_set_int(dog, "weight", 2, &err));
    expect_error(&err, "Property 'test-dog.weight' is not writable");
    g_assert_cmpint(object_property_get_int(dog, "secret", &err), ==, -1);
    expect_error(&err, "not telling");
    g_assert_null(object_property_get_str(dog, "tame", &err));
    expect_error(&err, "Invalid parameter type for 'tame', expected: string");

    /* Refused values change nothing. */
    const struct {
        const char *name, *text;
    } bad[] = {
        { "age", "256" }, { "age", "-1" }, { "age", "x" }, { "age", "" }, { "age", "1x" },
        { "tame", "perhaps" }, { "mood", "sleepy" }, { "mood", "" }, { "name", "" },
        { "friend", "nobody" },
    };
    for (size_t i = 0; i < ARRAY_SIZE(bad); i++) {
        g_assert_false(object_property_parse(dog, bad[i].name, bad[i].text, &err));
        g_assert_nonnull(err);
        error_free(err);
        err = NULL;
    }
    g_assert_cmpint(ANIMAL(dog)->age, ==, 17);
    g_assert_cmpint(ANIMAL(dog)->mood, ==, 1);
    g_assert_cmpstr(ANIMAL(dog)->name, ==, "Fido");
    g_assert_false(object_property_set_bool(dog, "age", true, NULL));
    g_assert_false(object_property_set_str(dog, "tame", "on", NULL));
}

static void test_json(void)
{
    g_autoptr(Object) dog = object_new(TYPE_DOG);
    QObject *value = object_property_get_qobject(dog, "tame", &error_abort);
    Error *err = NULL;

    g_assert_cmpint(json_object_get_type(value), ==, json_type_boolean);
    json_object_put(value);
    value = json_object_new_string("Bello");
    g_assert_true(object_property_set_qobject(dog, "name", value, &error_abort));
    g_assert_cmpstr(ANIMAL(dog)->name, ==, "Bello");
    g_assert_false(object_property_set_qobject(dog, "age", value, &err));
    g_assert_nonnull(err);
    error_free(err);
    json_object_put(value);
}

static void test_iterate(void)
{
    g_autoptr(Object) dog = object_new(TYPE_DOG);
    ObjectPropertyIterator iter;
    ObjectProperty *prop;
    g_autoptr(GHashTable) seen = g_hash_table_new(g_str_hash, g_str_equal);

    object_property_iter_init(&iter, dog);
    while ((prop = object_property_iter_next(&iter))) {
        g_assert_true(g_hash_table_add(seen, prop->name));
    }
    g_assert_true(g_hash_table_contains(seen, "age"));
    g_assert_true(g_hash_table_contains(seen, "mood"));
    g_assert_true(g_hash_table_contains(seen, "type"));
    g_assert_cmpint(g_hash_table_size(seen), ==, 9);

    prop = object_property_find(dog, "name");
    g_assert_cmpstr(prop->description, ==, "what it is called");
    g_assert_cmpstr(json_object_get_string(prop->defval), ==, "nobody");
}

static void test_numbered_and_deleted(void)
{
    g_autoptr(Object) blob = object_new(TYPE_BLOB);
    Error *err = NULL;

    for (int i = 0; i < 3; i++) {
        object_property_add(blob, "slot[*]", "int", NULL, NULL, NULL, NULL);
    }
    g_assert_nonnull(object_property_find(blob, "slot[2]"));
    g_assert_null(object_property_find(blob, "slot[3]"));
    object_property_del(blob, "slot[1]");
    g_assert_null(object_property_find(blob, "slot[1]"));
    object_property_del(blob, "slot[1]");
    object_property_add(blob, "slot[*]", "int", NULL, NULL, NULL, NULL);
    g_assert_nonnull(object_property_find(blob, "slot[1]"));
    g_assert_null(object_property_try_add(blob, "type", "int", NULL, NULL, NULL, NULL, &err));
    expect_error(&err, "attempt to add duplicate property 'type' to object (type 'test-blob')");
}

static void test_alias(void)
{
    g_autoptr(Object) blob = object_new(TYPE_BLOB);
    Object *dog = object_new(TYPE_DOG);

    object_property_add_child(blob, "dog", dog);
    object_unref(dog);
    object_property_add_alias(blob, "dogs-name", dog, "name");
    object_property_add_alias(blob, "the-dog", blob, "dog");
    g_assert_true(object_property_set_str(blob, "dogs-name", "Laika", &error_abort));
    g_assert_cmpstr(ANIMAL(dog)->name, ==, "Laika");
    g_assert_cmpstr(object_property_get_type(blob, "the-dog", NULL), ==, "link<test-dog>");
    g_assert_true(object_resolve_path_component(blob, "the-dog") == dog);
}

static void test_globals(void)
{
    GlobalProperty props[] = {
        { .driver = TYPE_ANIMAL, .property = "name", .value = "one" },
        { .driver = TYPE_DOG, .property = "name", .value = "two" },
        { .driver = TYPE_BLOB, .property = "name", .value = "three" },
        { .driver = TYPE_DOG, .property = "wings", .value = "2", .optional = true },
    };
    GlobalProperty bad = { .driver = TYPE_DOG, .property = "age", .value = "old" };
    g_autoptr(GPtrArray) list = g_ptr_array_new();
    g_autoptr(Object) dog = object_new(TYPE_DOG);
    Error *err = NULL;

    for (size_t i = 0; i < ARRAY_SIZE(props); i++) {
        g_ptr_array_add(list, &props[i]);
    }
    g_assert_true(object_apply_global_props(dog, list, &error_abort));
    g_assert_cmpstr(ANIMAL(dog)->name, ==, "two");
    g_assert_true(props[0].used && props[1].used && !props[2].used && !props[3].used);
    g_ptr_array_add(list, &bad);
    g_assert_false(object_apply_global_props(dog, list, &err));
    g_assert_true(g_str_has_prefix(error_get_pretty(err),
                                   "can't apply global test-dog.age=old: "));
    error_free(err);
}

/* ---- the tree --------------------------------------------------------------------------- */

static void test_tree(void)
{
    Object *root = object_get_root();
    Object *yard = object_property_add_new_container(root, "yard");
    Object *kennel = object_property_add_new_container(yard, "kennel");
    Object *rex = object_new(TYPE_DOG), *fido = object_new(TYPE_DOG);
    bool ambiguous = true;
    g_autofree char *path = NULL;

    object_property_add_child(kennel, "rex", rex);
    object_property_add_child(yard, "fido", fido);
    object_unref(rex);
    object_unref(fido);

    path = object_get_canonical_path(rex);
    g_assert_cmpstr(path, ==, "/yard/kennel/rex");
    g_assert_cmpstr(object_get_canonical_path_component(rex), ==, "rex");
    g_assert_true(object_resolve_path("/yard/kennel/rex", &ambiguous) == rex);
    g_assert_false(ambiguous);
    g_assert_true(object_resolve_path("//yard//kennel/rex/", NULL) == rex);
    g_assert_true(object_resolve_path("/", NULL) == root);
    g_assert_true(object_resolve_path("rex", &ambiguous) == rex);
    g_assert_true(object_resolve_path("kennel/rex", NULL) == rex);
    g_assert_null(object_resolve_path("/kennel/rex", &ambiguous));
    g_assert_null(object_resolve_path("/yard/kennel/rex/tail", NULL));
    g_assert_null(object_resolve_path("/yard/kennel/rex/name", NULL));
    g_assert_null(object_resolve_path("cat", &ambiguous));
    g_assert_false(ambiguous);
    g_assert_true(object_resolve_path_at(yard, "kennel/rex") == rex);
    g_assert_true(object_resolve_path_at(yard, "/yard") == yard);
    g_assert_null(object_resolve_path_type("rex", TYPE_BLOB, NULL));

    g_assert_null(object_resolve_type_unambiguous(TYPE_DOG, NULL));
    g_assert_null(object_resolve_path_type("", TYPE_DOG, &ambiguous));
    g_assert_true(ambiguous);
    object_unparent(rex);
    g_assert_true(object_resolve_type_unambiguous(TYPE_DOG, NULL) == fido);
    g_assert_null(object_resolve_type_unambiguous(TYPE_BLOB, NULL));
    g_assert_cmpint(alive, ==, 1);
    object_unparent(yard);
    g_assert_cmpint(alive, ==, 0);
}

static void test_links(void)
{
    Object *root = object_get_objects_root();
    Object *rex = object_new(TYPE_DOG), *fido = object_new(TYPE_DOG);
    g_autoptr(Object) stray = object_new(TYPE_DOG);
    Object *blob = object_new(TYPE_BLOB);
    g_autofree char *path = NULL;
    Error *err = NULL;

    object_property_add_child(root, "rex", rex);
    object_property_add_child(root, "fido", fido);
    object_property_add_child(root, "blob", blob);
    object_unref(blob);

    g_assert_true(object_property_set_link(rex, "friend", fido, &error_abort));
    g_assert_true(ANIMAL(rex)->friend == fido);
    g_assert_cmpint(fido->ref, ==, 3);
    path = object_property_get_str(rex, "friend", &error_abort);
    g_assert_cmpstr(path, ==, "/objects/fido");
    g_assert_true(object_property_get_link(rex, "friend", &error_abort) == fido);
    g_assert_true(object_resolve_path("/objects/rex/friend", NULL) == fido);

    g_assert_false(object_property_set_link(rex, "friend", blob, &err));
    expect_error(&err, "Invalid parameter type for 'friend', expected: test-animal");
    g_assert_false(object_property_set_str(rex, "friend", "/objects/cat", &err));
    g_assert_cmpint(error_get_class(err), ==, ERROR_CLASS_DEVICE_NOT_FOUND);
    expect_error(&err, "Device '/objects/cat' not found");
    g_assert_false(object_property_set_link(rex, "friend", stray, &err));
    g_assert_nonnull(err);
    error_free(err);
    err = NULL;
    object_property_set_str(fido, "name", "cat", &error_abort);
    g_assert_false(object_property_set_str(rex, "friend", "fido", &err));
    expect_error(&err, "no cats");
    g_assert_true(ANIMAL(rex)->friend == fido);

    g_assert_true(object_property_set_link(rex, "owner", fido, &error_abort));
    g_assert_cmpint(fido->ref, ==, 3);
    g_assert_true(object_property_set_link(rex, "friend", NULL, &error_abort));
    g_assert_null(object_property_get_link(rex, "friend", &error_abort));
    g_assert_cmpint(fido->ref, ==, 2);

    object_property_set_str(fido, "name", "dog", &error_abort);
    object_property_set_link(rex, "friend", fido, &error_abort);
    object_unparent(fido);
    object_unref(fido);
    g_assert_cmpint(alive, ==, 3);      /* its friend still holds it */
    object_unparent(rex);
    object_unref(rex);
    g_assert_cmpint(alive, ==, 1);
    object_unparent(blob);
}

static int count_child(Object *child, void *opaque)
{
    (*(int *)opaque)++;
    return 0;
}

static int drop_child(Object *child, void *opaque)
{
    object_unparent(child);
    return 0;
}

static void test_foreach(void)
{
    g_autoptr(Object) top = object_new(TYPE_CONTAINER);
    int count = 0;

    for (int i = 0; i < 5; i++) {
        object_property_add_new_container(object_property_add_new_container(top, "c[*]"), "in");
    }
    object_child_foreach(top, count_child, &count);
    g_assert_cmpint(count, ==, 5);
    count = 0;
    object_child_foreach_recursive(top, count_child, &count);
    g_assert_cmpint(count, ==, 10);
    object_child_foreach_recursive(top, drop_child, NULL);
    count = 0;
    object_child_foreach(top, count_child, &count);
    g_assert_cmpint(count, ==, 0);
}

/* ---- user-creatable objects -------------------------------------------------------------- */

static Object *add(const char *type, const char *id, const char *json, Error **errp)
{
    QObject *props = json_tokener_parse(json);
    Visitor *v = qobject_input_visitor_new(props);
    Object *obj = user_creatable_add_type(type, id, props, v, errp);

    visit_free(v);
    json_object_put(props);
    object_unref(obj);
    return obj;
}

static void test_user_creatable(void)
{
    Error *err = NULL;
    Object *pet;

    g_string_truncate(trail, 0);
    pet = add("test-pet", "pet0", "{\"name\": \"Tom\", \"age\": 3}", &error_abort);
    g_assert_nonnull(pet);
    g_assert_cmpstr(trail->str, ==, "ADPC");
    g_assert_cmpint(ANIMAL(pet)->age, ==, 3);
    g_assert_true(object_resolve_path("/objects/pet0", NULL) == pet);

    g_assert_null(add("test-pet", "pet0", "{}", &err));
    expect_error(&err, "attempt to add duplicate property 'pet0' to object (type 'container')");
    g_assert_null(add("test-pet", "1bad id", "{}", &err));
    expect_error(&err, "Parameter 'id' expects an identifier");
    g_assert_null(add("test-unicorn", "x", "{}", &err));
    expect_error(&err, "invalid object type: test-unicorn");
    g_assert_null(add(TYPE_DOG, "x", "{}", &err));
    expect_error(&err, "object type 'test-dog' isn't supported by object-add");
    g_assert_null(add("test-pet", "x", "{\"wings\": 2}", &err));
    expect_error(&err, "Property 'test-pet.wings' not found");
    g_assert_null(add("test-pet", "x", "{\"age\": 1000}", &err));
    error_free(err);
    err = NULL;
    refuse_complete = true;
    g_assert_null(add("test-pet", "x", "{}", &err));
    expect_error(&err, "bad dog");
    refuse_complete = false;
    g_assert_cmpint(alive, ==, 1);
    g_assert_null(object_resolve_path("/objects/x", NULL));

    in_use = true;
    g_assert_false(user_creatable_del("pet0", &err));
    expect_error(&err, "object 'pet0' is in use, can not be deleted");
    in_use = false;
    g_assert_false(user_creatable_del("pet1", &err));
    expect_error(&err, "object 'pet1' not found");
    g_assert_true(user_creatable_del("pet0", &error_abort));
    g_assert_cmpint(alive, ==, 0);

    add("test-pet", "pet2", "{}", &error_abort);
    add("test-pet", "pet3", "{}", &error_abort);
    user_creatable_cleanup();
    g_assert_cmpint(alive, ==, 0);
}

static void test_object_text(void)
{
    static const char *const bad[] = {
        "", "memory-backend-ram", "memory-backend-ram,id=m", "memory-backend-ram,id=m,size=x",
        "no-such-type,id=m", "memory-backend-ram,id=m,size=1M,wings=2", "{", "[]", "{\"id\": 1}",
        "{\"qom-type\": \"memory-backend-ram\", \"id\": \"m\", \"size\": \"1M\"}",
    };
    Error *err = NULL;

    for (size_t i = 0; i < ARRAY_SIZE(bad); i++) {
        g_assert_null(user_creatable_parse_str(bad[i], &err));
        g_assert_nonnull(err);
        error_free(err);
        err = NULL;
    }
}

int main(int argc, char **argv)
{
    g_test_init(&argc, &argv, NULL);
    trail = g_string_new(NULL);
    module_call_init(MODULE_INIT_QOM);

    g_test_add_func("/qom/types", test_types);
    g_test_add_func("/qom/lists", test_lists);
    g_test_add_func("/qom/interfaces", test_interfaces);
    g_test_add_func("/qom/life", test_life);
    g_test_add_func("/qom/embedded", test_embedded);
    g_test_add_func("/qom/new-with-props", test_new_with_props);
    g_test_add_func("/qom/properties", test_properties);
    g_test_add_func("/qom/json", test_json);
    g_test_add_func("/qom/iterate", test_iterate);
    g_test_add_func("/qom/numbered-and-deleted", test_numbered_and_deleted);
    g_test_add_func("/qom/alias", test_alias);
    g_test_add_func("/qom/globals", test_globals);
    g_test_add_func("/qom/tree", test_tree);
    g_test_add_func("/qom/links", test_links);
    g_test_add_func("/qom/foreach", test_foreach);
    g_test_add_func("/qom/user-creatable", test_user_creatable);
    g_test_add_func("/qom/object-text", test_object_text);
    return g_test_run();
}
