# SPDX-License-Identifier: GPL-2.0-or-later
"""The checks that a schema must pass, and the result.

Two passes: the first takes each expression by itself (its keys, the shape of their values, its
names) and enters its name, the second resolves types and checks what spans definitions.
"""

import re
from typing import Dict, Iterator, List, Optional

from .common import Cond, c_enum_const, c_name
from .model import (BUILTINS, QTYPE_OF_JSON, QTYPES, AlternateType, ArrayType, BuiltinType,
                    Command, Definition, EnumMember, EnumType, Event, Feature, Member, ObjectType,
                    Type, Variant, kind_of)
from .parser import Expr, SchemaReader
from .source import Array, Flag, Pos, SchemaError, Table, Text


class Schema:
    """A schema that has passed all checks."""

    def __init__(self, path: str):
        reader = SchemaReader(path)
        self.pragmas = reader.pragmas
        self.free_docs = reader.free_docs
        self.modules: List[Optional[str]] = reader.modules
        self.types: Dict[str, Type] = {}
        self.commands: Dict[str, Command] = {}
        self.events: Dict[str, Event] = {}
        self.order: List[Definition] = []
        self._arrays: Dict[str, ArrayType] = {}
        self._add_builtins()
        first = _FirstPass(self)
        for expr in reader.exprs:
            first.enter(expr)
        _SecondPass(self).run()

    def _add_builtins(self) -> None:
        for name, json, c_type in BUILTINS:
            self.types[name] = BuiltinType(name, json, c_type)
        pos = Pos('<built-in>', 0)
        qtype = EnumType('QType', None, None, None, Cond(), [], prefix='QTYPE',
                         members=[EnumMember(n, pos, Cond(), []) for n in QTYPES])
        qtype.is_builtin = True
        self.types['QType'] = qtype

    def array_of(self, element: Type) -> ArrayType:
        if element.name not in self._arrays:
            self._arrays[element.name] = ArrayType(element)
        return self._arrays[element.name]

    def in_module(self, module: Optional[str], kind) -> Iterator[Definition]:
        """Definitions of MODULE that are of the class(es) KIND, in the order of the schema."""
        return (d for d in self.order if d.module == module and isinstance(d, kind))


# ---------------------------------------------------------------------------------------------
# First pass: one expression at a time

_KEYS = {       # what -> (keys it must have, keys it may have)
    'enum': (['data'], ['if', 'features', 'prefix']),
    'struct': (['data'], ['base', 'if', 'features']),
    'union': (['base', 'discriminator', 'data'], ['if', 'features']),
    'alternate': (['data'], ['if', 'features']),
    'command': ([], ['data', 'returns', 'if', 'features', *Command.FLAGS]),
    'event': ([], ['data', 'boxed', 'if', 'features']),
}

_NAME = r'(?:__[a-z0-9.-]+_)?(?:x-)?'
_TYPE_NAME = re.compile(_NAME + r'[A-Z][A-Za-z0-9]*$')
_LOWER_NAME = re.compile(_NAME + r'[a-z][a-z0-9-]*$')
_VALUE_NAME = re.compile(_NAME + r'[a-z0-9][a-z0-9-]*$')
_EVENT_NAME = re.compile(r'(?:__[A-Z0-9.-]+_)?(?:X_)?[A-Z][A-Z0-9_]*$')
_LOOSE_NAME = re.compile(_NAME + r'[A-Za-z0-9][A-Za-z0-9_-]*$')


def _list_names(names) -> str:
    quoted = [f"'{n}'" for n in names]
    return quoted[0] if len(quoted) == 1 else ', '.join(quoted[:-1]) + ' or ' + quoted[-1]


class _FirstPass:
    def __init__(self, schema: Schema):
        self.schema = schema
        self.pragmas = schema.pragmas
        self.c_names: Dict[str, Definition] = {}

    def enter(self, expr: Expr) -> None:
        table = expr.table
        kinds = [k for k in _KEYS if k in table]
        if len(kinds) != 1:
            what = 'says nothing of what it is' if not kinds else \
                'is ' + ' and '.join(f"'{k}'" for k in kinds) + ' at once'
            raise SchemaError(table.pos, f'definition {what}; it needs exactly one of '
                              + _list_names([*_KEYS, 'include', 'pragma']))
        kind = kinds[0]
        name = table[kind]
        if not isinstance(name, Text):
            raise SchemaError(table.key_pos(kind), f"the name of '{kind}' must be a string")
        self.what = f"{kind} '{name}'"
        self.pos = name.pos
        self._keys(table, kind)
        self._doc_matches(expr, name)
        common = (name, name.pos, expr.module, expr.doc, self._cond(table, self.what),
                  self._features(table, self.what))
        definition = getattr(self, '_' + kind)(table, name, common)
        self._register(definition)
        self._check_doc(definition)

    # -- small shapes ------------------------------------------------------------------------

    def _fail(self, pos: Optional[Pos], message: str) -> SchemaError:
        return SchemaError(pos or self.pos, message)

    def _keys(self, table: Table, kind: str) -> None:
        required, allowed = _KEYS[kind]
        for key in table:
            if key != kind and key not in required and key not in allowed:
                raise self._fail(key.pos, f"{self.what} has unknown key '{key}'; allowed are "
                                 + _list_names(sorted(required + allowed)))
        for key in required:
            if key not in table:
                raise self._fail(table.pos, f"{self.what} lacks key '{key}'")

    def _sub_keys(self, table: Table, what: str, required: str, allowed: List[str]) -> None:
        for key in table:
            if key != required and key not in allowed:
                raise self._fail(key.pos, f"{what} has unknown key '{key}'; allowed are "
                                 + _list_names([required, *allowed]))
        if required not in table:
            raise self._fail(table.pos, f"{what} lacks key '{required}'")

    def _cond(self, table: Table, what: str) -> Cond:
        if 'if' not in table:
            return Cond()
        return Cond(self._cond_tree(table['if'], what, table.key_pos('if')))

    def _cond_tree(self, value, what: str, pos: Pos):
        if isinstance(value, Text):
            if not re.fullmatch(r'[A-Z][A-Z0-9_]*', value):
                raise self._fail(value.pos, f"condition '{value}' of {what} is not the name of "
                                 'a build macro, as CONFIG_KVM is')
            return str(value)
        if not isinstance(value, Table) or len(value) != 1:
            raise self._fail(pos, f"'if' of {what} must be a macro's name or an object with one "
                             "of 'all', 'any' or 'not'")
        (oper, operand), = value.items()
        if oper == 'not':
            return {'not': self._cond_tree(operand, what, oper.pos)}
        if oper not in ('all', 'any'):
            raise self._fail(oper.pos, f"unknown condition '{oper}' of {what}; "
                             "there are 'all', 'any' and 'not'")
        if not isinstance(operand, Array) or not operand:
            raise self._fail(oper.pos, f"condition '{oper}' of {what} must be a list that is "
                             'not empty')
        return {str(oper): [self._cond_tree(v, what, oper.pos) for v in operand]}

    def _features(self, table: Table, what: str) -> List[Feature]:
        if 'features' not in table:
            return []
        value = table['features']
        if not isinstance(value, Array):
            raise self._fail(table.key_pos('features'), f"'features' of {what} must be a list")
        features: List[Feature] = []
        for item in value:
            cond = Cond()
            if isinstance(item, Table):
                self._sub_keys(item, f'a feature of {what}', 'name', ['if'])
                cond = self._cond(item, f'a feature of {what}')
                item = item['name']
            if not isinstance(item, Text):
                raise self._fail(value.pos, f'a feature of {what} must be a string or an object')
            if not _LOWER_NAME.match(item):
                raise self._fail(item.pos, f"feature '{item}' of {what} has a name that is not "
                                 'lower-case letters, digits and hyphens')
            if any(f.name == item for f in features):
                raise self._fail(item.pos, f"feature '{item}' of {what} is listed twice")
            features.append(Feature(item, item.pos, cond))
        return features

    def _type_ref(self, value, what: str, pos: Pos, arrays: bool = True):
        """A type's name, or a tuple that holds the name of an array's element."""
        if isinstance(value, Text):
            return value
        if arrays and isinstance(value, Array):
            if len(value) != 1 or not isinstance(value[0], Text):
                raise self._fail(value.pos, f'the array type of {what} must be '
                                 "['NAME'], with one name")
            return (value[0],)
        wanted = "a type's name or ['NAME']" if arrays else "a type's name"
        raise self._fail(pos, f'the type of {what} must be {wanted}')

    # -- names -------------------------------------------------------------------------------

    def _type_name(self, name: Text) -> None:
        if not _TYPE_NAME.match(name):
            raise self._fail(name.pos, f"{self.what}: the name of a type must be CamelCase")
        if name.endswith('List'):
            raise self._fail(name.pos, f"{self.what}: names that end in 'List' are reserved for "
                             'arrays')

    def _member_name(self, name: Text, owner: str, what: str) -> None:
        plain = name[1:] if name.startswith('*') else name
        shape = _LOWER_NAME
        if owner in self.pragmas.lists['member-name-exceptions']:
            shape = _LOOSE_NAME
        if not shape.match(plain):
            raise self._fail(name.pos, f"{what} has a name that is not lower-case letters, "
                             'digits and hyphens')
        lowered = plain.lower().replace('-', '_')
        if lowered == 'u' or lowered.startswith(('has_', 'q_')) or lowered == 'has':
            raise self._fail(name.pos, f"{what} has a reserved name ('u', 'has', 'has-*', "
                             "'q-*')")

    def _register(self, definition: Definition) -> None:
        schema = self.schema
        space = {'command': schema.commands, 'event': schema.events}.get(
            definition.meta, schema.types)
        name = definition.name
        for table in (schema.types, schema.commands, schema.events):
            if name in table:
                other = table[name]
                where = f', defined at {other.pos}' if other.pos else ''
                kind = 'a built-in type' if getattr(other, 'is_builtin', False) else \
                    f"{kind_of(other)} '{name}'"
                raise self._fail(None, f'{self.what} collides with {kind}{where}')
        folded = ('type ' if space is schema.types else definition.meta + ' ') + c_name(name)
        if folded in self.c_names:
            other = self.c_names[folded]
            raise self._fail(None, f"{self.what} has the same C name as {kind_of(other)} "
                             f"'{other.name}', defined at {other.pos}")
        self.c_names[folded] = definition
        space[name] = definition        # type: ignore
        schema.order.append(definition)

    # -- definitions -------------------------------------------------------------------------

    def _enum(self, table: Table, name: Text, common) -> EnumType:
        self._type_name(name)
        data = table['data']
        if not isinstance(data, Array):
            raise self._fail(table.key_pos('data'), f"'data' of {self.what} must be a list")
        prefix = table.get('prefix')
        if prefix is not None and not (isinstance(prefix, Text)
                                       and re.fullmatch(r'[A-Z][A-Z0-9_]*', prefix)):
            raise self._fail(table.key_pos('prefix'), f"'prefix' of {self.what} must be "
                             'upper-case')
        members: List[EnumMember] = []
        seen: Dict[str, str] = {}
        for item in data:
            cond, features, what = Cond(), [], f'a value of {self.what}'
            if isinstance(item, Table):
                self._sub_keys(item, what, 'name', ['if', 'features'])
                cond, features = self._cond(item, what), self._features(item, what)
                item = item['name']
            if not isinstance(item, Text):
                raise self._fail(data.pos, f'{what} must be a string or an object')
            shape = _VALUE_NAME
            if name in self.pragmas.lists['member-name-exceptions']:
                shape = _LOOSE_NAME
            if not shape.match(item):
                raise self._fail(item.pos, f"value '{item}' of {self.what} has a name that is "
                                 'not lower-case letters, digits and hyphens')
            const = c_enum_const(name, item)
            if item == '-max' or const.endswith('__MAX'):
                raise self._fail(item.pos, f"value '{item}' of {self.what} is reserved")
            if const in seen:
                how = 'is listed twice' if seen[const] == item else \
                    f"has the same C name as '{seen[const]}'"
                raise self._fail(item.pos, f"value '{item}' of {self.what} {how}")
            seen[const] = item
            members.append(EnumMember(item, item.pos, cond, features))
        return EnumType(*common, members=members, prefix=prefix)

    def _members(self, data: Table, owner: str) -> List[Member]:
        members: List[Member] = []
        for key, value in data.items():
            optional = key.startswith('*')
            plain = key[1:] if optional else str(key)
            what = f"member '{plain}' of {self.what}"
            self._member_name(key, owner, what)
            cond, features = Cond(), []
            if isinstance(value, Table):
                self._sub_keys(value, what, 'type', ['if', 'features'])
                cond, features = self._cond(value, what), self._features(value, what)
                value = value['type']
            members.append(Member(plain, key.pos, self._type_ref(value, what, key.pos), optional,
                                  cond, features))
        return members

    def _struct(self, table: Table, name: Text, common) -> ObjectType:
        self._type_name(name)
        data = table['data']
        if not isinstance(data, Table):
            raise self._fail(table.key_pos('data'), f"'data' of {self.what} must be an object")
        base = table.get('base')
        if base is not None and not isinstance(base, Text):
            raise self._fail(table.key_pos('base'), f"'base' of {self.what} must be the name of "
                             'a struct')
        return ObjectType(*common, members=self._members(data, name), base_ref=base)

    def _union(self, table: Table, name: Text, common) -> ObjectType:
        self._type_name(name)
        base, tag, data = table['base'], table['discriminator'], table['data']
        if not isinstance(tag, Text):
            raise self._fail(table.key_pos('discriminator'), f"'discriminator' of {self.what} "
                             'must be the name of a member')
        if not isinstance(data, Table):
            raise self._fail(table.key_pos('data'), f"'data' of {self.what} must be an object")
        base_ref, base_members = None, None
        if isinstance(base, Text):
            base_ref = base
        elif isinstance(base, Table):
            base_members = self._members(base, name)
        else:
            raise self._fail(table.key_pos('base'), f"'base' of {self.what} must be a struct's "
                             'name or an object')
        variants: List[Variant] = []
        for key, value in data.items():
            cond, what = Cond(), f"branch '{key}' of {self.what}"
            if isinstance(value, Table):
                self._sub_keys(value, what, 'type', ['if'])
                cond, value = self._cond(value, what), value['type']
            variants.append(Variant(key, key.pos,
                                    self._type_ref(value, what, key.pos, arrays=False), cond))
        if not variants:
            raise self._fail(table.key_pos('data'), f'{self.what} has no branches')
        return ObjectType(*common, members=[], base_ref=base_ref, base_members=base_members,
                          tag_name=tag, variants=variants)

    def _alternate(self, table: Table, name: Text, common) -> AlternateType:
        self._type_name(name)
        data = table['data']
        if not isinstance(data, Table) or not data:
            raise self._fail(table.key_pos('data'), f"'data' of {self.what} must be an object "
                             'that is not empty')
        for key in data:
            if key.startswith('*'):
                raise self._fail(key.pos, f"choice '{key}' of {self.what} can't be optional")
        choices = self._members(data, name)
        for choice in choices:
            if choice.features:
                raise self._fail(choice.pos, f"choice '{choice.name}' of {self.what} can't have "
                                 'features')
        return AlternateType(*common, choices=choices)

    def _data(self, table: Table, name: Text, common, boxed: bool):
        """The 'data' of a command or event: None, a type's name, or a nameless object."""
        data = table.get('data')
        if data is None:
            if boxed:
                raise self._fail(table.pos, f"{self.what} is 'boxed' but has no 'data'")
            return None
        if isinstance(data, Text):
            return data
        if not isinstance(data, Table):
            raise self._fail(table.key_pos('data'), f"'data' of {self.what} must be an object or "
                             "a type's name")
        if boxed:
            raise self._fail(table.key_pos('boxed'), f"{self.what} is 'boxed', so its 'data' "
                             'must name a type')
        _, pos, module, _, cond, _ = common
        return ObjectType(f'q_obj_{name}-arg', pos, module, None, cond, [],
                          members=self._members(data, name), implicit=True)

    def _flag(self, table: Table, key: str, default: bool) -> bool:
        if key not in table:
            return default
        value = table[key]
        if not isinstance(value, Flag):
            raise self._fail(table.key_pos(key), f"'{key}' of {self.what} must be true or false")
        if bool(value) == default:
            raise self._fail(value.pos, f"'{key}' of {self.what} may only be "
                             f'{str(not default).lower()}; leave it out otherwise')
        return bool(value)

    def _command(self, table: Table, name: Text, common) -> Command:
        loose = name in self.pragmas.lists['command-name-exceptions']
        if not (_LOOSE_NAME if loose else _LOWER_NAME).match(name):
            raise self._fail(name.pos, f"{self.what}: the name of a command must be lower-case "
                             'letters, digits and hyphens')
        flags = {key: self._flag(table, key, default) for key, default in Command.FLAGS.items()}
        if flags['allow-oob'] and flags['coroutine']:
            raise self._fail(table.key_pos('coroutine'), f"{self.what} can't have both "
                             "'allow-oob' and 'coroutine'")
        returns = table.get('returns')
        if returns is not None:
            returns = self._type_ref(returns, f"'returns' of {self.what}",
                                     table.key_pos('returns'))
        return Command(*common, arg=self._data(table, name, common, flags['boxed']),
                       returns=returns, flags=flags)

    def _event(self, table: Table, name: Text, common) -> Event:
        if not _EVENT_NAME.match(name):
            raise self._fail(name.pos, f"{self.what}: the name of an event must be upper-case "
                             'letters, digits and underscores')
        boxed = self._flag(table, 'boxed', False)
        return Event(*common, arg=self._data(table, name, common, boxed), boxed=boxed)

    # -- documentation -----------------------------------------------------------------------

    def _doc_matches(self, expr: Expr, name: Text) -> None:
        doc = expr.doc
        if doc and doc.symbol != name:
            raise SchemaError(doc.pos, f"documentation of '{doc.symbol}' stands before "
                              f'{self.what}')
        if not doc and self.pragmas.doc_required:
            raise self._fail(None, f'{self.what} is not documented')

    def _check_doc(self, definition: Definition) -> None:
        doc = definition.doc
        if not doc:
            return
        members: List = []
        if isinstance(definition, EnumType):
            members = definition.members
        elif isinstance(definition, AlternateType):
            members = definition.choices
        elif isinstance(definition, ObjectType):
            members = definition.own_members
        elif isinstance(definition, (Command, Event)) and \
                isinstance(definition.arg_ref, ObjectType):
            members = definition.arg_ref.own_members
        names = {m.name for m in members}
        for name, pos in doc.member_pos.items():
            if name not in names:
                raise SchemaError(pos, f"'{name}' is documented but is no member of {self.what}")
        features = {f.name for f in definition.features}
        for member in members:
            features.update(f.name for f in member.features)
        for name, pos in doc.feature_pos.items():
            if name not in features:
                raise SchemaError(pos, f"'{name}' is documented but is no feature of "
                                  f'{self.what}')
        if self.pragmas.doc_required and \
                definition.name not in self.pragmas.lists['documentation-exceptions']:
            for member in members:
                if member.name not in doc.members:
                    raise self._fail(member.pos, f"member '{member.name}' of {self.what} is not "
                                     'documented')
            for feature in sorted(features - set(doc.features)):
                raise self._fail(None, f"feature '{feature}' of {self.what} is not documented")


# ---------------------------------------------------------------------------------------------
# Second pass: what spans definitions


class _SecondPass:
    def __init__(self, schema: Schema):
        self.schema = schema
        self.state: Dict[str, str] = {}     # of the walk through bases and branches

    def run(self) -> None:
        for definition in list(self.schema.order):
            self.what = f"{kind_of(definition)} '{definition.name}'"
            if isinstance(definition, ObjectType):
                self._resolve_object(definition)
            elif isinstance(definition, AlternateType):
                self._resolve_alternate(definition)
            elif isinstance(definition, Command):
                definition.arg = self._resolve_data(definition)
                self._resolve_returns(definition)
            elif isinstance(definition, Event):
                definition.arg = self._resolve_data(definition)
        for definition in self.schema.order:
            if isinstance(definition, ObjectType):
                self._check_cycle(definition, [])
        # Only now are all bases known, and free of loops.
        for definition in self.schema.order:
            self.what = f"{kind_of(definition)} '{definition.name}'"
            if isinstance(definition, ObjectType):
                self._check_members(definition)
            elif isinstance(definition, (Command, Event)) and definition.arg:
                self._check_data(definition)

    def _lookup(self, ref, what: str, pos: Optional[Pos]) -> Type:
        name = ref[0] if isinstance(ref, tuple) else ref
        if name not in self.schema.types:
            raise SchemaError(getattr(name, 'pos', pos), f"{what} has unknown type '{name}'")
        found = self.schema.types[name]
        return self.schema.array_of(found) if isinstance(ref, tuple) else found

    def _resolve_object(self, obj: ObjectType) -> None:
        if obj.base_ref:
            base = self._lookup(obj.base_ref, f"'base' of {self.what}", obj.pos)
            if not isinstance(base, ObjectType) or base.is_union:
                raise SchemaError(obj.base_ref.pos, f"'base' of {self.what} must be a struct, "
                                  f"and '{base.name}' is not")
            obj.base = base
        for member in obj.own_members:
            member.owner = obj.name
            member.type = self._lookup(member.type_ref, f"member '{member.name}' of {self.what}",
                                       member.pos)
        for variant in obj.variants:
            branch = self._lookup(variant.type_ref, f"branch '{variant.case}' of {self.what}",
                                  variant.pos)
            if not isinstance(branch, ObjectType):
                raise SchemaError(variant.pos, f"branch '{variant.case}' of {self.what} must be "
                                  f"a struct or union, and '{branch.name}' is not")
            variant.type = branch

    def _check_cycle(self, obj: ObjectType, path: List[str]) -> None:
        """Bases and branches are laid out within the object, so none may contain itself."""
        if self.state.get(obj.name) == 'done':
            return
        if self.state.get(obj.name) == 'open':
            raise SchemaError(obj.pos, f"{kind_of(obj)} '{obj.name}' contains itself, through "
                              + ' -> '.join([*path[path.index(obj.name):], obj.name]))
        self.state[obj.name] = 'open'
        for inner in ([obj.base] if obj.base else []) + [v.type for v in obj.variants]:
            self._check_cycle(inner, [*path, obj.name])
        self.state[obj.name] = 'done'

    def _check_members(self, obj: ObjectType) -> None:
        seen: Dict[str, Member] = {}
        self._claim(seen, obj.all_members(), obj.pos)
        if not obj.is_union:
            return
        tag = next((m for m in obj.all_members() if m.name == obj.tag_name), None)
        where = obj.tag_name.pos        # type: ignore
        if not tag:
            raise SchemaError(where, f"discriminator '{obj.tag_name}' of {self.what} is not a "
                              'member of its base')
        if not isinstance(tag.type, EnumType):
            raise SchemaError(where, f"discriminator '{obj.tag_name}' of {self.what} must be of "
                              'an enum type')
        if tag.optional:
            raise SchemaError(where, f"discriminator '{obj.tag_name}' of {self.what} can't be "
                              'optional')
        if tag.cond:
            raise SchemaError(where, f"discriminator '{obj.tag_name}' of {self.what} can't be "
                              'conditional')
        obj.tag = tag
        for variant in obj.variants:
            if variant.case not in tag.type.value_names():
                raise SchemaError(variant.pos, f"branch '{variant.case}' of {self.what} is not a "
                                  f"value of enum '{tag.type.name}'")
            self._check_branch(seen, variant.type, variant.pos, f"branch '{variant.case}'")

    def _check_branch(self, outer: Dict[str, Member], obj: ObjectType, pos, via: str) -> None:
        """Members of a branch, and of its own branches, stand beside those in OUTER."""
        seen = dict(outer)
        self._claim(seen, obj.all_members(), pos, via)
        for variant in obj.variants:
            self._check_branch(seen, variant.type, pos, via)

    def _claim(self, seen: Dict[str, Member], members: List[Member], pos, via: str = '') -> None:
        for member in members:
            other = seen.get(member.c_name)
            if other is None or other is member:
                seen[member.c_name] = member
                continue
            clash = 'twice' if other.name == member.name else \
                f"and '{other.name}', which is the same name in C"
            holder = f'{self.what}, {via},' if via else self.what
            raise SchemaError(pos if via else member.pos,
                              f"{holder} has member '{member.name}' {clash}")

    def _resolve_alternate(self, alt: AlternateType) -> None:
        taken: Dict[str, str] = {}
        for choice in alt.choices:
            choice.owner = alt.name
            what = f"choice '{choice.name}' of {self.what}"
            choice.type = self._lookup(choice.type_ref, what, choice.pos)
            qtype = QTYPE_OF_JSON.get(choice.type.json)
            if not qtype:
                raise SchemaError(choice.pos, f"{what} can't be of type "
                                  f"'{choice.type.doc_name()}'")
            if qtype in taken:
                raise SchemaError(choice.pos, f"{what} can't be told from choice "
                                  f"'{taken[qtype]}': both are JSON {choice.type.json}s")
            taken[qtype] = choice.name

    def _resolve_data(self, definition) -> Optional[Type]:
        ref = definition.arg_ref
        if ref is None:
            return None
        if isinstance(ref, ObjectType):
            if definition.meta == 'command' or ref.own_members:
                self._resolve_object(ref)
            if not ref.own_members:
                return None
            return ref
        found = self._lookup(ref, f"'data' of {self.what}", definition.pos)
        boxable = isinstance(found, ObjectType) or \
            (definition.boxed and isinstance(found, AlternateType))
        if not boxable:
            raise SchemaError(ref.pos, f"'data' of {self.what} must be an object type, and "
                              f"'{found.name}' is not")
        if isinstance(found, ObjectType) and found.is_union and not definition.boxed:
            raise SchemaError(ref.pos, f"'data' of {self.what} is a union, so it must be "
                              "'boxed'")
        return found

    def _check_data(self, definition) -> None:
        if not isinstance(definition.arg, ObjectType):
            return
        if definition.arg.implicit:
            self._claim({}, definition.arg.all_members(), definition.pos)
        if not definition.boxed:
            for member in definition.arg.all_members():
                if member.cond:     # a C function can't have a parameter only sometimes
                    raise SchemaError(member.pos, f"member '{member.name}' of {self.what} is "
                                      f"conditional, so the {definition.meta} must be 'boxed'")

    def _resolve_returns(self, command: Command) -> None:
        if command.returns_ref is None:
            return
        command.returns = self._lookup(command.returns_ref, f"'returns' of {self.what}",
                                       command.pos)
        core = command.returns
        if isinstance(core, ArrayType):
            core = core.element
        if not isinstance(core, ObjectType) and \
                command.name not in self.schema.pragmas.lists['command-returns-exceptions']:
            raise SchemaError(command.pos, f"'returns' of {self.what} must be an object type or "
                              'an array of one, so that it can grow (pragma '
                              "'command-returns-exceptions' allows others)")
        if not command.success_response:
            raise SchemaError(command.pos, f"{self.what} returns something, but has "
                              "'success-response' false")
