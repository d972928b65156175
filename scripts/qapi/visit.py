# SPDX-License-Identifier: GPL-2.0-or-later
"""Visitors: for every type a function that walks a value of it with any Visitor."""

from typing import Dict, List, Optional

from .common import CWriter, c_name, c_string, file_head
from .model import (QTYPE_OF_JSON, AlternateType, BuiltinType, EnumType, Member,
                    ObjectType, Type)
from .schema import Schema
from .types import file_stem, header, module_types, modules_used


def visit_call(member: Member, target: str) -> str:
    """The call that visits MEMBER, which lives at TARGET (an lvalue)."""
    return (f'visit_type_{c_name(member.type.name, False)}(v, {c_string(member.name)}, &{target}, errp)')


def _decl_members(obj: ObjectType) -> str:
    return (f'bool visit_type_{obj.c_struct()}_members(Visitor *v, {obj.c_struct()} *obj, '
            'Error **errp)')


def _decl(name: str, c_type: str) -> str:
    return (f'bool visit_type_{name}(Visitor *v, const char *name, {c_type}*obj, Error **errp)')


def _member_visit(out: CWriter, member: Member) -> None:
    with out.when(member.cond):
        if not member.optional:
            with out.block(f'if (!{visit_call(member, "obj->" + member.c_name)})'):
                out('return false;')
            return
        if member.needs_has:
            flag = f'obj->has_{c_name(member.name, False)}'
        else:
            flag = f'has_{c_name(member.name, False)}'
        with out.block(f'if (visit_optional(v, {c_string(member.name)}, &{flag}))'):
            with out.block(f'if (!{visit_call(member, "obj->" + member.c_name)})'):
                out('return false;')


def _members_body(out: CWriter, obj: ObjectType) -> None:
    with out.when(obj.cond), out.function(_decl_members(obj)):
        pointers = [m for m in obj.own_members if m.optional and not m.needs_has]
        for member in pointers:
            with out.when(member.cond):
                out(f'bool has_{c_name(member.name, False)} = !!obj->{member.c_name};')
        if pointers:
            out()
        if obj.base:
            base = obj.base.c_struct()
            with out.block(f'if (!visit_type_{base}_members(v, ({base} *)obj, errp))'):
                out('return false;')
        for member in obj.own_members:
            _member_visit(out, member)
        if obj.variants:
            _variants(out, obj)
        out('return true;')


def _variants(out: CWriter, obj: ObjectType) -> None:
    assert obj.tag and isinstance(obj.tag.type, EnumType)
    out(f'switch (obj->{obj.tag.c_name}) {{')
    for variant in obj.variants:
        if variant.type.is_empty():
            continue
        with out.when(variant.cond):
            out(f'case {obj.tag.type.const(variant.case)}:')
            with out.indent():
                out(f'return visit_type_{variant.type.c_struct()}_members(v, '
                    f'&obj->u.{variant.c_name}, errp);')
    out('default:')
    with out.indent():
        out('break;')
    out('}')


def _object_body(out: CWriter, obj: ObjectType) -> None:
    name = obj.c_struct()
    with out.when(obj.cond), out.function(_decl(name, name + ' *')):
        out('bool ok = false;')
        out()
        with out.block(f'if (!visit_start_struct(v, name, (void **)obj, sizeof({name}), errp))'):
            out('return false;')
        with out.block('if (!*obj)'):
            out('/* Nothing there to be freed. */')
            out('assert(visit_is_dealloc(v));')
            out('ok = true;')
        with out.block(f'else if (visit_type_{name}_members(v, *obj, errp))'):
            out('ok = visit_check_struct(v, errp);')
        out('visit_end_struct(v, (void **)obj);')
        with out.block('if (!ok && visit_is_input(v))'):
            out(f'qapi_free_{name}(*obj);')
            out('*obj = NULL;')
        out('return ok;')


def _list_body(out: CWriter, element: Type) -> None:
    base = c_name(element.name, False)
    name = base + 'List'
    with out.when(element.cond), out.function(_decl(name, name + ' *')):
        out(f'{name} *item;')
        out('bool ok = false;')
        out()
        with out.block('if (!visit_start_list(v, name, (GenericList **)obj, sizeof(**obj), '
                       'errp))'):
            out('return false;')
        with out.block(f'for (item = *obj; item; item = ({name} *)visit_next_list('
                       'v, (GenericList *)item, sizeof(**obj)))'):
            with out.block(f'if (!visit_type_{base}(v, NULL, &item->value, errp))'):
                out('goto out;')
        out('ok = visit_check_list(v, errp);')
        out.lines.append('out:')
        out('visit_end_list(v, (void **)obj);')
        with out.block('if (!ok && visit_is_input(v))'):
            out(f'qapi_free_{name}(*obj);')
            out('*obj = NULL;')
        out('return ok;')


def _alternate_body(out: CWriter, alt: AlternateType) -> None:
    name = c_name(alt.name, False)
    with out.when(alt.cond), out.function(_decl(name, name + ' *')):
        out('bool ok = false;')
        out()
        with out.block('if (!visit_start_alternate(v, name, (GenericAlternate **)obj, '
                       'sizeof(**obj), errp))'):
            out('return false;')
        with out.block('if (!*obj)'):
            out('assert(visit_is_dealloc(v));')
            out('visit_end_alternate(v, (void **)obj);')
            out('return true;')
        out('switch ((*obj)->type) {')
        for choice in alt.choices:
            with out.when(choice.cond):
                out(f'case {QTYPE_OF_JSON[choice.type.json]}:')
                with out.indent():
                    _choice(out, choice)
                    out('break;')
        out('case QTYPE_NONE:')
        with out.indent():
            out('assert(visit_is_dealloc(v));')
            out('ok = true;')
            out('break;')
        out('default:')
        with out.indent():
            out('assert(visit_is_input(v));')
            out('error_setg(errp, "Invalid parameter type for \'%s\', expected: %s",')
            out(f'           name ? name : "null", {c_string(alt.name)});')
            out('/* Nothing was stored, so there is nothing of the branch to be freed. */')
            out('(*obj)->type = QTYPE_NONE;')
        out('}')
        out('visit_end_alternate(v, (void **)obj);')
        with out.block('if (!ok && visit_is_input(v))'):
            out(f'qapi_free_{name}(*obj);')
            out('*obj = NULL;')
        out('return ok;')


def _choice(out: CWriter, choice: Member) -> None:
    target = f'(*obj)->u.{choice.c_name}'
    if isinstance(choice.type, ObjectType):
        struct = choice.type.c_struct()
        with out.block('if (!visit_start_struct(v, name, NULL, 0, errp))'):
            out('break;')
        with out.block(f'if (visit_type_{struct}_members(v, &{target}, errp))'):
            out('ok = visit_check_struct(v, errp);')
        out('visit_end_struct(v, NULL);')
    else:
        out(f'ok = visit_type_{c_name(choice.type.name, False)}(v, name, &{target}, errp);')


def _enum_body(out: CWriter, enum: EnumType) -> None:
    name = c_name(enum.name, False)
    with out.when(enum.cond), out.function(_decl(name, name + ' ')):
        out('int value = *obj;')
        out(f'bool ok = visit_type_enum(v, name, &value, &{name}_lookup, errp);')
        out()
        out('*obj = value;')
        out('return ok;')


def _headers(out: CWriter, types: List[Type]) -> None:
    for type_ in types:
        with out.when(type_.cond):
            name = c_name(type_.name, False)
            if isinstance(type_, EnumType):
                out(_decl(name, name + ' ') + ';')
            else:
                if isinstance(type_, ObjectType):
                    out(_decl_members(type_) + ';')
                if not getattr(type_, 'implicit', False):
                    out(_decl(name, name + ' *') + ';')
            if not getattr(type_, 'implicit', False):
                out(_decl(name + 'List', name + 'List *') + ';')


def _bodies(out: CWriter, types: List[Type]) -> None:
    for type_ in types:
        implicit = getattr(type_, 'implicit', False)
        if isinstance(type_, EnumType):
            _enum_body(out, type_)
        elif isinstance(type_, AlternateType):
            _alternate_body(out, type_)
        elif isinstance(type_, ObjectType):
            _members_body(out, type_)
            if not implicit:
                _object_body(out, type_)
        if not implicit:
            _list_body(out, type_)


def generate(schema: Schema, prefix: str, include_dir: str, builtins: bool) -> Dict[str, str]:
    files: Dict[str, str] = {}
    if builtins:
        files.update(_builtin_files(schema))
    for module in schema.modules:
        stem = file_stem(prefix, 'visit', module)
        types = module_types(schema, module)
        wanted: List[Optional[str]] = modules_used(schema, module, types)
        if module is None:
            wanted = [m for m in schema.modules if m]
        includes = ['qapi/qapi-builtin-visit.h',
                    f'{include_dir}{file_stem(prefix, "types", module)}.h']
        includes += [f'{include_dir}{file_stem(prefix, "visit", m)}.h' for m in wanted]
        body = CWriter()
        _headers(body, types)
        files[stem + '.h'] = header(stem + '.h', includes, body, 'Visitors of the interface.')
        source = CWriter()
        source(file_head('Visitors of the interface.').rstrip('\n'))
        source('#include "qemu/osdep.h"')
        source('#include "qapi/error.h"')
        source(f'#include "{include_dir}{stem}.h"')
        source()
        _bodies(source, types)
        files[stem + '.c'] = source.text()
    return files


def _builtin_files(schema: Schema) -> Dict[str, str]:
    qtype = schema.types['QType']
    plain = [t for t in schema.types.values() if isinstance(t, BuiltinType)]
    body = CWriter()
    body(_decl('QType', 'QType ') + ';')
    for type_ in [*plain, qtype]:
        body(_decl(type_.name + 'List', type_.name + 'List *') + ';')
    source = CWriter()
    source(file_head('Visitors of the lists of built-in types.').rstrip('\n'))
    source('#include "qemu/osdep.h"')
    source('#include "qapi/error.h"')
    source('#include "qapi/qapi-builtin-visit.h"')
    source()
    _enum_body(source, qtype)
    for type_ in [*plain, qtype]:
        _list_body(source, type_)
    name = 'qapi-builtin-visit.h'
    return {name: header(name, ['qapi/visitor.h', 'qapi/qapi-builtin-types.h'], body,
                         'Visitors of the lists of built-in types.'),
            'qapi-builtin-visit.c': source.text()}

