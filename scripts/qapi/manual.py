# SPDX-License-Identifier: GPL-2.0-or-later
"""The reference manual, in Markdown, out of the schema and its doc comments."""

import re
from typing import Dict, List, Optional, Tuple

from .common import Cond
from .docs import Doc
from .model import (AlternateType, ArrayType, Command, Definition, EnumType, Event, Feature,
                    Member, ObjectType, Type)
from .schema import Schema

# @names in the text become code.
_AT = re.compile(r'@([A-Za-z0-9_-]*[A-Za-z0-9])')


def _prose(lines: List[str]) -> str:
    return _AT.sub(r'`\1`', '\n'.join(lines)).strip()


def _inline(lines: Optional[List[str]]) -> str:
    return ' '.join(_prose(lines or []).split())


def _anchor(meta: str, name: str) -> str:
    return f'{meta}-{name.lower()}'


class _Manual:
    def __init__(self, schema: Schema):
        self.schema = schema
        self.out: List[str] = []

    def type_link(self, type_: Type) -> str:
        if isinstance(type_, ArrayType):
            return 'array of ' + self.type_link(type_.element)
        if type_.is_builtin:
            return type_.name
        return f'[{type_.name}](#{_anchor("type", type_.name)})'

    def add(self, text: str = '') -> None:
        self.out.append(text)

    def run(self) -> str:
        self.add('# QMP reference')
        self.add()
        self.add('Every command, event and type of the machine protocol, made from the schema in')
        self.add('`qapi/`. "Optional" members may be left out; those marked *deprecated* will go')
        self.add('away, and those marked *unstable* may change at any time.')
        self.add()
        modules = [m for m in self.schema.modules if self._has_content(m)]
        for module in modules:
            self.add(f'- [{self._title(module)}](#module-{module or "main"})')
        self.add()
        for module in modules:
            self._module(module)
        return '\n'.join(self.out).rstrip('\n') + '\n'

    def _has_content(self, module: Optional[str]) -> bool:
        return any(True for _ in self.schema.in_module(module, Definition))

    def _title(self, module: Optional[str]) -> str:
        for owner, doc in self.schema.free_docs:
            if owner == module and doc.heading:
                return doc.heading
        return module or 'Main'

    def _module(self, module: Optional[str]) -> None:
        self.add(f'<a id="module-{module or "main"}"></a>')
        self.add(f'## {self._title(module)}')
        self.add()
        for owner, doc in self.schema.free_docs:
            if owner == module and doc.body:
                self.add(_prose(doc.body))
                self.add()
        for definition in self.schema.in_module(module, Definition):
            self._definition(definition)

    def _definition(self, item: Definition) -> None:
        meta = item.meta if isinstance(item, (Command, Event)) else 'type'
        shown = {'command': 'command', 'event': 'event'}.get(item.meta, item.meta)
        if isinstance(item, ObjectType):
            shown = 'union' if item.is_union else 'struct'
        self.add(f'<a id="{_anchor(meta, item.name)}"></a>')
        self.add(f'### {item.name} ({shown})')
        self.add()
        doc = item.doc or Doc(item.pos)     # type: ignore
        if doc.body:
            self.add(_prose(doc.body))
            self.add()
        if item.cond:
            self.add(f'Only if built with `{item.cond.text()}`.')
            self.add()
        if isinstance(item, EnumType):
            self._rows('Values', [(f'`{m.name}`', self._notes(m.cond, m.features, doc),
                                   doc.members.get(m.name)) for m in item.members])
        elif isinstance(item, AlternateType):
            self._rows('One of', [(self.type_link(c.type), '', doc.members.get(c.name))
                                  for c in item.choices])
        elif isinstance(item, ObjectType):
            self._object(item, doc, 'Members')
        elif isinstance(item, (Command, Event)):
            self._interface(item, doc)
        if item.features:
            self._rows('Features', [(f'`{f.name}`', '', doc.features.get(f.name))
                                    for f in item.features])
        for tag, lines in doc.sections:
            self._section(item, tag, lines)

    def _section(self, item: Definition, tag: str, lines: List[str]) -> None:
        if tag == 'TODO':
            return
        if tag in ('Example', 'Examples'):
            indent = min((len(x) - len(x.lstrip()) for x in lines if x.strip()), default=0)
            self.add(f'**{tag}**')
            self.add()
            self.add('```')
            self.add('\n'.join(x[indent:] for x in lines))
            self.add('```')
        elif tag == 'Returns' and isinstance(item, Command) and item.returns:
            self.add(f'**Returns** {self.type_link(item.returns)}: {_inline(lines)}')
        else:
            self.add(f'**{tag}** {_inline(lines)}')
        self.add()

    def _interface(self, item, doc: Doc) -> None:
        what = 'Arguments' if isinstance(item, Command) else 'Data'
        if isinstance(item.arg, ObjectType) and item.arg.implicit:
            self._object(item.arg, doc, what)
        elif item.arg is not None:
            self.add(f'**{what}**: the members of {self.type_link(item.arg)}')
            self.add()
        if isinstance(item, Command):
            if item.returns and not any(tag == 'Returns' for tag, _ in doc.sections):
                self.add(f'**Returns** {self.type_link(item.returns)}')
                self.add()
            notes = [text for on, text in [
                (item.allow_oob, 'may be executed out of band (`exec-oob`)'),
                (item.allow_preconfig, 'is available before the machine is built'),
                (not item.success_response, 'sends no reply when it succeeds')] if on]
            if notes:
                self.add('This command ' + '; '.join(notes) + '.')
                self.add()

    def _object(self, obj: ObjectType, doc: Doc, what: str) -> None:
        rows: List[Tuple[str, str, Optional[List[str]]]] = []
        for member in obj.own_members:
            rows.append((f'`{member.name}`: {self.type_link(member.type)}',
                         self._member_notes(member, doc), doc.members.get(member.name)))
        self._rows(what, rows)
        if obj.base:
            self.add(f'And the members of {self.type_link(obj.base)}.')
            self.add()
        if obj.variants and obj.tag:
            self.add(f'With `{obj.tag.name}`:')
            self.add()
            for variant in obj.variants:
                note = f' (if `{variant.cond.text()}`)' if variant.cond else ''
                self.add(f'- `{variant.case}`: the members of '
                         f'{self.type_link(variant.type)}{note}')
            self.add()

    def _member_notes(self, member: Member, doc: Doc) -> str:
        notes = self._notes(member.cond, member.features, doc)
        return ', '.join(x for x in ['optional' if member.optional else '', notes] if x)

    @staticmethod
    def _notes(cond: Cond, features: List[Feature], doc: Doc) -> str:
        notes = [f'*{f.name}*' for f in features]
        if cond:
            notes.append(f'if `{cond.text()}`')
        return ', '.join(notes)

    def _rows(self, title: str, rows) -> None:
        if not rows:
            return
        self.add(f'**{title}**')
        self.add()
        for head, notes, lines in rows:
            text = _inline(lines)
            self.add(f'- {head}' + (f' ({notes})' if notes else '') + (f' — {text}' if text
                                                                         else ''))
        self.add()


def generate(schema: Schema) -> Dict[str, str]:
    return {'qmp-reference.md': _Manual(schema).run()}
