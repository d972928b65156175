# SPDX-License-Identifier: GPL-2.0-or-later
"""Events: a function that sends each, and the enum of their names."""

from typing import Dict, List

from .commands import parameters
from .common import Cond, CWriter, c_name, c_string, file_head
from .model import EnumMember, EnumType, Event, ObjectType
from .schema import Schema
from .types import enum_decl, enum_table, file_stem, header, modules_used


def _prototype(event: Event) -> str:
    params = ', '.join(p for p, _ in parameters(event.arg, event.boxed)) or 'void'
    return f'void qapi_event_send_{c_name(event.name.lower(), False)}({params})'


def _body(out: CWriter, event: Event, prefix: str, enum: EnumType) -> None:
    with out.function(_prototype(event)):
        out(f'QDict *qmp = qmp_event_build_dict({c_string(event.name)});')
        if event.arg is not None:
            out('QObject *data = NULL;')
            out('Visitor *v = qobject_output_visitor_new(&data);')
            struct = c_name(event.arg.name, False)
            if not event.boxed:
                members = event.arg.all_members()
                with out.block(f'{struct} param =', '};'):
                    for member in members:
                        cast = '(char *)' if member.type.c_type() == 'char *' else ''
                        if member.needs_has:
                            has = 'has_' + c_name(member.name, False)
                            out(f'.{has} = {has},')
                        out(f'.{member.c_name} = {cast}{member.c_name},')
            out()
            if isinstance(event.arg, ObjectType):
                target = 'arg' if event.boxed else '&param'
                out(f'visit_start_struct(v, {c_string(event.name)}, NULL, 0, &error_abort);')
                out(f'visit_type_{struct}_members(v, {target}, &error_abort);')
                out('visit_check_struct(v, &error_abort);')
                out('visit_end_struct(v, NULL);')
            else:
                out(f'visit_type_{struct}(v, {c_string(event.name)}, &arg, &error_abort);')
            out('visit_complete(v, &data);')
            out('visit_free(v);')
            out('json_object_object_add(qmp, "data", data);')
        else:
            out()
        out(f'{c_name(prefix, False)}qapi_event_emit({enum.const(event.name)}, qmp);')
        out('json_object_put(qmp);')


def generate(schema: Schema, prefix: str, include_dir: str) -> Dict[str, str]:
    files: Dict[str, str] = {}
    c_prefix = c_name(prefix, False)
    enum = EnumType(f'{c_prefix}QAPIEvent', None, None, None, Cond(), [],
                    members=[EnumMember(e.name, e.pos, e.cond, [])      # type: ignore
                             for e in schema.events.values()],
                    prefix=f'{c_prefix.upper()}QAPI_EVENT')
    emit = prefix + 'qapi-emit-events'
    body = CWriter()
    enum_decl(body, enum)
    body('/* Where the events go. QMP is still the caller\'s afterwards. */')
    body(f'void {c_prefix}qapi_event_emit({c_prefix}QAPIEvent event, QDict *qmp);')
    files[emit + '.h'] = header(emit + '.h', ['qapi/qobject.h', 'qapi/util.h'], body,
                                'Names of the events.')
    source = CWriter()
    source(file_head('Names of the events.').rstrip('\n'))
    source('#include "qemu/osdep.h"')
    source(f'#include "{include_dir}{emit}.h"')
    source()
    enum_table(source, enum)
    files[emit + '.c'] = source.text()

    for module in schema.modules:
        events: List[Event] = list(schema.in_module(module, Event))     # type: ignore
        stem = file_stem(prefix, 'events', module)
        used = modules_used(schema, module, events)
        body, source = CWriter(), CWriter()
        source(file_head('Events of the interface.').rstrip('\n'))
        source('#include "qemu/osdep.h"')
        source('#include "qapi/error.h"')
        source('#include "qapi/qobject-output-visitor.h"')
        source('#include "qapi/qmp-event.h"')
        source(f'#include "{include_dir}{emit}.h"')
        source(f'#include "{include_dir}{stem}.h"')
        for other in [module, *used]:
            source(f'#include "{include_dir}{file_stem(prefix, "visit", other)}.h"')
        source()
        for event in events:
            with body.when(event.cond):
                body(_prototype(event) + ';')
            with source.when(event.cond):
                _body(source, event, prefix, enum)
        includes = [f'{include_dir}{file_stem(prefix, "types", m)}.h' for m in [module, *used]]
        files[stem + '.h'] = header(stem + '.h', includes, body, 'Events of the interface.')
        files[stem + '.c'] = source.text()
    return files
