# SPDX-License-Identifier: GPL-2.0-or-later
"""Commands: prototypes of the functions that implement them, the marshallers between those and
JSON, and the table from which the dispatcher calls the marshallers."""

from typing import Dict, List, Optional, Tuple

from .common import CWriter, c_name, c_string, file_head
from .model import Command, Member, ObjectType
from .schema import Schema
from .types import file_stem, header, modules_used


def parameters(arg: Optional[ObjectType], boxed: bool) -> List[Tuple[str, Optional[Member]]]:
    """Parameters of the C function, each with the member that it comes from."""
    if arg is None:
        return []
    if boxed:
        return [(f'{c_name(arg.name, False)} *arg', None)]
    result: List[Tuple[str, Optional[Member]]] = []
    for member in arg.all_members():
        if member.needs_has:
            result.append((f'bool has_{c_name(member.name, False)}', member))
        type_ = member.type.c_type()
        if type_ == 'char *':
            type_ = 'const char *'
        space = '' if type_.endswith('*') else ' '
        result.append((f'{type_}{space}{member.c_name}', member))
    return result


def _prototype(command: Command) -> str:
    returns = command.returns.c_type() if command.returns else 'void'
    space = '' if returns.endswith('*') else ' '
    params = ', '.join([p for p, _ in parameters(command.arg, command.boxed)] + ['Error **errp'])
    return f'{returns}{space}{command.c_func()}({params})'


def _marshal_prototype(command: Command) -> str:
    return (f'void qmp_marshal_{c_name(command.name, False)}(QDict *args, QObject **ret, '
            'Error **errp)')


def _call(command: Command) -> str:
    args: List[str] = []
    if command.arg is not None:
        if command.boxed:
            args.append('&arg' if isinstance(command.arg, ObjectType) else 'arg')
        else:
            for member in command.arg.all_members():
                if member.needs_has:
                    args.append(f'arg.has_{c_name(member.name, False)}')
                args.append(f'arg.{member.c_name}')
    return f'{command.c_func()}({", ".join([*args, "&err"])})'


def _marshal_body(out: CWriter, command: Command) -> None:
    arg, returns = command.arg, command.returns
    is_object = isinstance(arg, ObjectType)
    with out.function(_marshal_prototype(command)):
        out('Error *err = NULL;')
        out('bool ok = false;')
        out('Visitor *v;')
        if arg is not None:
            name = c_name(arg.name, False)
            out(f'{name} arg = {{0}};' if is_object else f'{name} *arg = NULL;')
        if returns:
            space = '' if returns.c_type().endswith('*') else ' '
            out(f'{returns.c_type()}{space}retval;')
        out()
        out('v = qobject_input_visitor_new(args);')
        if arg is not None and not is_object:
            out(f'ok = visit_type_{c_name(arg.name, False)}(v, "arguments", &arg, errp);')
        else:
            with out.block('if (visit_start_struct(v, NULL, NULL, 0, errp))'):
                if arg is None:
                    out('ok = visit_check_struct(v, errp);')
                else:
                    out(f'ok = visit_type_{c_name(arg.name, False)}_members(v, &arg, errp) &&')
                    out('     visit_check_struct(v, errp);')
                out('visit_end_struct(v, NULL);')
        out('visit_free(v);')
        with out.block('if (ok)'):
            out(f'retval = {_call(command)};' if returns else f'{_call(command)};')
            with out.block('if (err)'):
                out('error_propagate(errp, err);')
            if returns:
                visit = f'visit_type_{c_name(returns.name, False)}(v, "unused", &retval'
                with out.block('else'):
                    out('v = qobject_output_visitor_new(ret);')
                    with out.block(f'if ({visit}, errp))'):
                        out('visit_complete(v, ret);')
                    out('visit_free(v);')
                    if returns.is_pointer:
                        out('v = qapi_dealloc_visitor_new();')
                        out(f'{visit}, NULL);')
                        out('visit_free(v);')
        if arg is not None:
            if is_object:
                out()
                out('v = qapi_dealloc_visitor_new();')
                out('visit_start_struct(v, NULL, NULL, 0, NULL);')
                out(f'visit_type_{c_name(arg.name, False)}_members(v, &arg, NULL);')
                out('visit_end_struct(v, NULL);')
                out('visit_free(v);')
            else:
                out(f'qapi_free_{c_name(arg.name, False)}(arg);')


def _options(command: Command) -> str:
    flags = [flag for on, flag in [
        (not command.success_response, 'QCO_NO_SUCCESS_RESP'),
        (command.allow_oob, 'QCO_ALLOW_OOB'),
        (command.allow_preconfig, 'QCO_ALLOW_PRECONFIG'),
        (command.coroutine, 'QCO_COROUTINE')] if on]
    return ' | '.join(flags) or 'QCO_NO_OPTIONS'


def _special_features(command: Command) -> str:
    named = [f'1u << QAPI_FEATURE_{f.name.upper()}' for f in command.features
             if f.name in ('deprecated', 'unstable')]
    return ' | '.join(named) or '0'


def generate(schema: Schema, prefix: str, include_dir: str) -> Dict[str, str]:
    files: Dict[str, str] = {}
    for module in schema.modules:
        commands: List[Command] = list(schema.in_module(module, Command))   # type: ignore
        stem = file_stem(prefix, 'commands', module)
        includes = [f'{include_dir}{file_stem(prefix, "types", module)}.h']
        includes += [f'{include_dir}{file_stem(prefix, "types", m)}.h'
                     for m in modules_used(schema, module, commands)]
        body, source = CWriter(), CWriter()
        source(file_head('From JSON arguments to the functions behind the commands.')
               .rstrip('\n'))
        source('#include "qemu/osdep.h"')
        source('#include "qapi/error.h"')
        source('#include "qapi/visitor.h"')
        source('#include "qapi/qobject-input-visitor.h"')
        source('#include "qapi/qobject-output-visitor.h"')
        source('#include "qapi/dealloc-visitor.h"')
        for used in [module, *modules_used(schema, module, commands)]:
            source(f'#include "{include_dir}{file_stem(prefix, "visit", used)}.h"')
        source(f'#include "{include_dir}{stem}.h"')
        source()
        for command in commands:
            if not command.gen:
                continue
            with body.when(command.cond):
                body(_prototype(command) + ';')
                body(_marshal_prototype(command) + ';')
            with source.when(command.cond):
                _marshal_body(source, command)
        files[stem + '.h'] = header(stem + '.h', includes, body, 'Commands of the interface.')
        files[stem + '.c'] = source.text()
    files.update(_init_files(schema, prefix, include_dir))
    return files


def _init_files(schema: Schema, prefix: str, include_dir: str) -> Dict[str, str]:
    stem = prefix + 'qapi-init-commands'
    function = f'void {c_name(prefix, False)}qmp_init_marshal(QmpCommandList *cmds)'
    body, source = CWriter(), CWriter()
    body('/* Enter every command that has a generated marshaller into CMDS. */')
    body(function + ';')
    source(file_head('The table of commands.').rstrip('\n'))
    source('#include "qemu/osdep.h"')
    source(f'#include "{include_dir}{stem}.h"')
    for module in schema.modules:
        source(f'#include "{include_dir}{file_stem(prefix, "commands", module)}.h"')
    source()
    with source.function(function):
        for command in schema.commands.values():
            if command.gen:
                with source.when(command.cond):
                    source(f'qmp_register_command(cmds, {c_string(command.name)}, '
                           f'qmp_marshal_{c_name(command.name, False)},')
                    source(f'                     {_options(command)}, '
                           f'{_special_features(command)});')
    return {stem + '.h': header(stem + '.h', ['qapi/qmp-registry.h'], body,
                                'The table of commands.'),
            stem + '.c': source.text()}
