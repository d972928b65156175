# SPDX-License-Identifier: GPL-2.0-or-later
"""What query-qmp-schema returns: the schema as clients see it.

Names of types are no part of the interface, so they become numbers; the built-in integer types
are all 'int'. The data is JSON text in C strings, cut up by #if where parts are conditional.
"""

import json
from typing import Dict, List, Optional, Tuple

from .common import Cond, CWriter, c_name, c_string, file_head
from .model import (AlternateType, ArrayType, BuiltinType, Command, Definition, EnumType, Event,
                    Feature, ObjectType, Type)
from .schema import Schema
from .types import header

# A piece is text, or a list [(condition, pieces)] to be joined by commas.
Piece = object


def _text(value) -> str:
    return json.dumps(value, separators=(', ', ': '))


def _object(*pairs: Tuple[str, Optional[List[Piece]]]) -> List[Piece]:
    out: List[Piece] = ['{']
    first = True
    for key, value in pairs:
        if value is None:
            continue
        out.append(('' if first else ', ') + _text(key) + ': ')
        out += value
        first = False
    return [*out, '}']


def _list(items: List[Tuple[Cond, List[Piece]]]) -> List[Piece]:
    return ['[', items, ']']


class _Introspection:
    def __init__(self, schema: Schema, unmask: bool):
        self.schema = schema
        self.unmask = unmask
        self.used: List[Type] = []
        self.numbers: Dict[str, int] = {}
        self.empty = ObjectType('q_empty', None, None, None, Cond(), [], members=[])
        self.entries: List[Tuple[Cond, List[Piece]]] = []
        for definition in schema.order:
            if isinstance(definition, Command):
                self._command(definition)
            elif isinstance(definition, Event):
                self._event(definition)
        done = 0
        while done < len(self.used):
            self._type(self.used[done])
            done += 1

    def _ref(self, type_: Optional[Type]) -> str:
        type_ = self._visible(type_ or self.empty)
        if type_.name not in self.numbers:
            self.numbers[type_.name] = len(self.used)
            self.used.append(type_)
        if isinstance(type_, BuiltinType):
            return type_.name
        if isinstance(type_, ArrayType):
            return f'[{self._ref(type_.element)}]'
        return type_.name if self.unmask else str(self.numbers[type_.name])

    def _visible(self, type_: Type) -> Type:
        """All integers look alike."""
        if isinstance(type_, ArrayType):
            return self.schema.array_of(self._visible(type_.element))
        if isinstance(type_, BuiltinType) and type_.json == 'int':
            return self.schema.types['int']
        return type_

    @staticmethod
    def _features(features: List[Feature]) -> Optional[List[Piece]]:
        if not features:
            return None
        return _list([(f.cond, [_text(f.name)]) for f in features])

    def _entry(self, definition: Definition, name: str, meta: str, *pairs) -> None:
        self.entries.append((definition.cond, _object(
            ('name', [_text(name)]), ('meta-type', [_text(meta)]), *pairs,
            ('features', self._features(definition.features)))))

    def _command(self, command: Command) -> None:
        self._entry(command, command.name, 'command',
                    ('arg-type', [_text(self._ref(command.arg))]),
                    ('ret-type', [_text(self._ref(command.returns))]),
                    ('allow-oob', ['true'] if command.allow_oob else None))

    def _event(self, event: Event) -> None:
        self._entry(event, event.name, 'event', ('arg-type', [_text(self._ref(event.arg))]))

    def _type(self, type_: Type) -> None:
        name = self._ref(type_)
        if isinstance(type_, ArrayType):
            self._entry(type_, name, 'array', ('element-type', [_text(self._ref(type_.element))]))
        elif isinstance(type_, EnumType):
            self._entry(type_, name, 'enum', (
                'members', _list([(m.cond, _object(('name', [_text(m.name)]),
                                                   ('features', self._features(m.features))))
                                  for m in type_.members])),
                ('values', _list([(m.cond, [_text(m.name)]) for m in type_.members])))
        elif isinstance(type_, ObjectType):
            self._object_type(name, type_)
        elif isinstance(type_, AlternateType):
            self._entry(type_, name, 'alternate', ('members', _list(
                [(c.cond, _object(('type', [_text(self._ref(c.type))])))
                 for c in type_.choices])))
        else:
            self._entry(type_, name, 'builtin', ('json-type', [_text(type_.json)]))

    def _object_type(self, name: str, obj: ObjectType) -> None:
        members = [(m.cond, _object(('name', [_text(m.name)]),
                                    ('type', [_text(self._ref(m.type))]),
                                    ('default', ['null'] if m.optional else None),
                                    ('features', self._features(m.features))))
                   for m in obj.all_members()]
        pairs = [('members', _list(members))]
        if obj.tag:
            assert isinstance(obj.tag.type, EnumType)
            branches = {v.case: v for v in obj.variants}
            variants = []
            for value in obj.tag.type.members:
                branch = branches.get(value.name)
                cond = (branch.cond or value.cond) if branch else value.cond
                variants.append((cond, _object(
                    ('case', [_text(value.name)]),
                    ('type', [_text(self._ref(branch.type if branch else None))]))))
            pairs += [('tag', [_text(obj.tag.name)]), ('variants', _list(variants))]
        self._entry(obj, name, 'object', *pairs)


def _emit(out: CWriter, pieces: List[Piece]) -> None:
    """Write PIECES as adjacent C strings; plain neighbours are joined."""
    pending = ''

    def flush() -> None:
        nonlocal pending
        while pending:
            out(c_string(pending[:76]))
            pending = pending[76:]

    def walk(pieces_: List[Piece]) -> None:
        nonlocal pending
        for piece in pieces_:
            if isinstance(piece, str):
                pending += piece
                continue
            before: List[Cond] = []         # conditions of the elements so far
            for cond, inner in piece:       # type: ignore
                if cond:
                    flush()
                    out(f'#if {cond.c_expr()}')
                if before and all(before):
                    flush()
                    out(f'#if {" || ".join(c.c_expr() for c in before)}')
                    out('", "')
                    out('#endif')
                elif before:
                    pending += ', '
                walk(inner)
                if cond:
                    flush()
                    out('#endif')
                before.append(cond)

    walk(pieces)
    flush()


def generate(schema: Schema, prefix: str, include_dir: str, unmask: bool) -> Dict[str, str]:
    data = _Introspection(schema, unmask)
    stem = prefix + 'qapi-introspect'
    variable = f'{c_name(prefix, False)}qmp_schema_json'
    body, source = CWriter(), CWriter()
    body('/* The entries of query-qmp-schema as JSON texts; NULL ends the array. */')
    body(f'extern const char *const {variable}[];')
    source(file_head('The schema as clients may ask for it.').rstrip('\n'))
    source('#include "qemu/osdep.h"')
    source(f'#include "{include_dir}{stem}.h"')
    source()
    with source.block(f'const char *const {variable}[] =', '};'):
        for cond, pieces in data.entries:
            with source.when(cond):
                _emit(source, pieces)
                source(',')
        source('NULL')
    return {stem + '.h': header(stem + '.h', [], body, 'The schema as clients may ask for it.'),
            stem + '.c': source.text()}
