# SPDX-License-Identifier: GPL-2.0-or-later
"""C types: enums with their lookup tables, structs, lists, and the functions that free them."""

from typing import Dict, List, Optional, Set

from .common import Cond, CWriter, c_name, c_string, file_head, guard_name
from .model import (AlternateType, ArrayType, BuiltinType, Command, EnumType, Event, Member,
                    ObjectType, Type)
from .schema import Schema


def value_c_type(type_: Type) -> str:
    """C type of a struct's member or a list's value, ready to be followed by the name."""
    text = type_.c_type()
    return text if text.endswith('*') else text + ' '


def module_types(schema: Schema, module: Optional[str]) -> List[Type]:
    """Types that MODULE defines, nameless objects of its commands and events included."""
    found: List[Type] = []
    for definition in schema.in_module(module, (EnumType, ObjectType, AlternateType, Command,
                                                Event)):
        if isinstance(definition, Type):
            found.append(definition)
        elif isinstance(definition.arg, ObjectType) and definition.arg.implicit:
            found.append(definition.arg)
    return found


def modules_used(schema: Schema, module: Optional[str], definitions) -> List[Optional[str]]:
    """Other modules whose types DEFINITIONS mention; a main module's None is left out."""
    used: Dict[Optional[str], None] = {}

    def note(type_: Optional[Type]) -> None:
        while isinstance(type_, ArrayType):
            type_ = type_.element
        if type_ and not type_.is_builtin and type_.module != module:
            used[type_.module] = None

    for item in definitions:
        if isinstance(item, ObjectType):
            note(item.base)
            for member in item.own_members:
                note(member.type)
            for variant in item.variants:
                note(variant.type)
        elif isinstance(item, AlternateType):
            for choice in item.choices:
                note(choice.type)
        elif isinstance(item, (Command, Event)):
            note(item.arg)
            note(getattr(item, 'returns', None))
    return [m for m in schema.modules if m in used]


def file_stem(prefix: str, what: str, module: Optional[str]) -> str:
    return f'{prefix}qapi-{what}' + (f'-{module}' if module else '')


# ---------------------------------------------------------------------------------------------


def enum_decl(out: CWriter, enum: EnumType) -> None:
    name = c_name(enum.name, False)
    with out.when(enum.cond):
        with out.block(f'typedef enum {name}', f'}} {name};'):
            for member in enum.members:
                with out.when(member.cond):
                    out(f'{enum.const(member.name)},')
            out(f'{enum.const("")}_MAX,')
        out()
        out(f'extern const QEnumLookup {name}_lookup;')
        out()
        with out.function(f'static inline const char *{name}_str({name} value)'):
            out(f'return qapi_enum_lookup(&{name}_lookup, value);')


def enum_table(out: CWriter, enum: EnumType) -> None:
    name = c_name(enum.name, False)
    with out.when(enum.cond):
        with out.block(f'const QEnumLookup {name}_lookup =', '};'):
            with out.block('.array = (const char *const[])', '},'):
                for member in enum.members:
                    with out.when(member.cond):
                        out(f'[{enum.const(member.name)}] = {c_string(member.name)},')
                out(f'[{enum.const("")}_MAX] = NULL,')
            out(f'.size = {enum.const("")}_MAX,')
        out()


def _member_decl(out: CWriter, member: Member) -> None:
    with out.when(member.cond):
        if member.needs_has:
            out(f'bool has_{c_name(member.name, False)};')
        out(f'{value_c_type(member.type)}{member.c_name};')


def _struct_decl(out: CWriter, obj: ObjectType) -> None:
    with out.when(obj.cond):
        with out.block(f'struct {obj.c_struct()}', '};'):
            if obj.base:
                out(f'/* As in {obj.base.c_struct()}, so that one may be read as the other. */')
                for member in obj.base.all_members():
                    _member_decl(out, member)
                if obj.own_members:
                    out('/* Its own. */')
            for member in obj.own_members:
                _member_decl(out, member)
            if obj.variants:
                with out.block('union', '} u;'):
                    for variant in obj.variants:
                        if not variant.type.is_empty():
                            with out.when(variant.cond):
                                out(f'{variant.type.c_struct()} {variant.c_name};')
            if obj.is_empty():
                out('char qapi_dummy_for_empty_struct;')
        out()
        if obj.base:
            base = obj.base.c_struct()
            with out.function(f'static inline {base} *qapi_{obj.c_struct()}_base('
                              f'const {obj.c_struct()} *obj)'):
                out(f'return ({base} *)obj;')


def _alternate_decl(out: CWriter, alt: AlternateType) -> None:
    with out.when(alt.cond):
        with out.block(f'struct {c_name(alt.name, False)}', '};'):
            out('QType type;')
            with out.block('union', '} u;'):
                for choice in alt.choices:
                    with out.when(choice.cond):
                        out(choice_decl(choice))
        out()


def choice_decl(choice: Member) -> str:
    """A branch of an alternate holds structs by value, the rest as a member would."""
    if isinstance(choice.type, ObjectType):
        return f'{choice.type.c_struct()} {choice.c_name};'
    return f'{value_c_type(choice.type)}{choice.c_name};'


def _list_decl(out: CWriter, type_: Type) -> None:
    name = c_name(type_.name, False)
    with out.when(type_.cond):
        with out.block(f'struct {name}List', '};'):
            out(f'{name}List *next;')
            out(f'{value_c_type(type_)}value;')
        out()


def _free_decl(out: CWriter, name: str, cond: Cond) -> None:
    with out.when(cond):
        out(f'void qapi_free_{name}({name} *obj);')
        out(f'G_DEFINE_AUTOPTR_CLEANUP_FUNC({name}, qapi_free_{name})')


def _free_body(out: CWriter, name: str, cond: Cond) -> None:
    with out.when(cond):
        with out.function(f'void qapi_free_{name}({name} *obj)'):
            with out.block('if (obj)'):
                out('Visitor *v = qapi_dealloc_visitor_new();')
                out()
                out(f'visit_type_{name}(v, NULL, &obj, NULL);')
                out('visit_free(v);')


def _in_layout_order(types: List[Type]) -> List[Type]:
    """Structs that others hold by value come first."""
    done: Set[str] = set()
    result: List[Type] = []
    local = {t.name for t in types}

    def place(type_: Type) -> None:
        if type_.name in done or type_.name not in local:
            return
        done.add(type_.name)
        if isinstance(type_, ObjectType):
            for variant in type_.variants:
                place(variant.type)
        elif isinstance(type_, AlternateType):
            for choice in type_.choices:
                if isinstance(choice.type, ObjectType):
                    place(choice.type)
        result.append(type_)

    for type_ in types:
        place(type_)
    return result


def _declarations(out: CWriter, types: List[Type]) -> None:
    enums = [t for t in types if isinstance(t, EnumType)]
    structs = _in_layout_order([t for t in types if isinstance(t, (ObjectType, AlternateType))])
    for enum in enums:
        enum_decl(out, enum)
    for type_ in structs:
        with out.when(type_.cond):
            out(f'typedef struct {c_name(type_.name, False)} {c_name(type_.name, False)};')
    listed = [t for t in enums + structs if not getattr(t, 'implicit', False)]
    for type_ in listed:
        with out.when(type_.cond):
            out(f'typedef struct {c_name(type_.name, False)}List {c_name(type_.name, False)}List;')
    out()
    for type_ in structs:
        if isinstance(type_, ObjectType):
            _struct_decl(out, type_)
        else:
            _alternate_decl(out, type_)
    for type_ in listed:
        _list_decl(out, type_)
    for type_ in structs:
        if not getattr(type_, 'implicit', False):
            _free_decl(out, c_name(type_.name, False), type_.cond)
    for type_ in listed:
        _free_decl(out, c_name(type_.name, False) + 'List', type_.cond)
    out()


def _definitions(out: CWriter, types: List[Type]) -> None:
    for type_ in types:
        if isinstance(type_, EnumType):
            enum_table(out, type_)
        elif not getattr(type_, 'implicit', False):
            _free_body(out, c_name(type_.name, False), type_.cond)
        if not getattr(type_, 'implicit', False):
            _free_body(out, c_name(type_.name, False) + 'List', type_.cond)


def header(file_name: str, includes: List[str], body: CWriter, what: str) -> str:
    out = CWriter()
    guard = guard_name(file_name)
    out(file_head(what).rstrip('\n'))
    out(f'#ifndef {guard}')
    out(f'#define {guard}')
    out()
    for include in includes:
        out(f'#include "{include}"')
    out()
    out('\n'.join(body.lines).strip('\n'))
    out()
    out(f'#endif /* {guard} */')
    return out.text()


def generate(schema: Schema, prefix: str, include_dir: str, builtins: bool) -> Dict[str, str]:
    """File name -> text."""
    files: Dict[str, str] = {}
    if builtins:
        files.update(_builtin_files(schema, include_dir))
    for module in schema.modules:
        stem = file_stem(prefix, 'types', module)
        types = module_types(schema, module)
        wanted = modules_used(schema, module, types)
        if module is None:      # the main header brings everything
            wanted = [m for m in schema.modules if m]
        includes = ['qapi/qapi-builtin-types.h']
        includes += [f'{include_dir}{file_stem(prefix, "types", m)}.h' for m in wanted]
        body = CWriter()
        _declarations(body, types)
        files[stem + '.h'] = header(stem + '.h', includes, body, 'Types of the interface.')
        source = CWriter()
        source(file_head('Enum tables and free functions.').rstrip('\n'))
        source('#include "qemu/osdep.h"')
        source('#include "qapi/dealloc-visitor.h"')
        source(f'#include "{include_dir}{stem}.h"')
        source(f'#include "{include_dir}{file_stem(prefix, "visit", module)}.h"')
        source()
        _definitions(source, types)
        files[stem + '.c'] = source.text()
    return files


def _builtin_files(schema: Schema, include_dir: str) -> Dict[str, str]:
    qtype = schema.types['QType']
    plain = [t for t in schema.types.values() if isinstance(t, BuiltinType)]
    body = CWriter()
    enum_decl(body, qtype)
    for type_ in [*plain, qtype]:
        body(f'typedef struct {type_.name}List {type_.name}List;')
    body()
    for type_ in [*plain, qtype]:
        _list_decl(body, type_)
    for type_ in [*plain, qtype]:
        _free_decl(body, type_.name + 'List', Cond())
    source = CWriter()
    source(file_head('Lists of built-in types.').rstrip('\n'))
    source('#include "qemu/osdep.h"')
    source('#include "qapi/dealloc-visitor.h"')
    source('#include "qapi/qapi-builtin-types.h"')
    source('#include "qapi/qapi-builtin-visit.h"')
    source()
    enum_table(source, qtype)
    for type_ in [*plain, qtype]:
        _free_body(source, type_.name + 'List', Cond())
    name = 'qapi-builtin-types.h'
    return {name: header(name, ['qapi/qobject.h', 'qapi/util.h'], body,
                          'Types that every schema has.'),
            'qapi-builtin-types.c': source.text()}
