# SPDX-License-Identifier: GPL-2.0-or-later
"""What a schema consists of: types, commands, events and their parts."""

from typing import Dict, List, Optional, Tuple, Union

from .common import Cond, c_enum_const, c_name
from .docs import Doc
from .source import Pos, Text


class Feature:
    def __init__(self, name: str, pos: Pos, cond: Cond):
        self.name, self.pos, self.cond = name, pos, cond


class Definition:
    """Whatever has a name of its own: a type, a command or an event."""
    meta = '?'

    def __init__(self, name: str, pos: Optional[Pos], module: Optional[str], doc: Optional[Doc],
                 cond: Cond, features: List[Feature]):
        self.name = name
        self.pos = pos
        self.module = module
        self.doc = doc
        self.cond = cond
        self.features = features


class Type(Definition):
    """c_type() is how C declares a variable of the type; json is its kind on the wire."""
    is_builtin = False

    @property
    def json(self) -> str:
        raise NotImplementedError

    def c_type(self) -> str:
        raise NotImplementedError

    @property
    def is_pointer(self) -> bool:
        return self.c_type().endswith('*')

    def doc_name(self) -> str:
        return self.name


class BuiltinType(Type):
    meta = 'builtin'
    is_builtin = True

    def __init__(self, name: str, json: str, c_type: str):
        super().__init__(name, None, None, None, Cond(), [])
        self._json, self._c_type = json, c_type

    @property
    def json(self) -> str:
        return self._json

    def c_type(self) -> str:
        return self._c_type


class EnumMember:
    def __init__(self, name: str, pos: Pos, cond: Cond, features: List[Feature]):
        self.name, self.pos, self.cond, self.features = name, pos, cond, features


class EnumType(Type):
    meta = 'enum'
    json = 'string'

    def __init__(self, *args, members: List[EnumMember], prefix: Optional[str]):
        super().__init__(*args)
        self.members = members
        self.prefix = prefix

    def c_type(self) -> str:
        return c_name(self.name, False)

    def const(self, value: str) -> str:
        return c_enum_const(self.name, value, self.prefix)

    def value_names(self) -> List[str]:
        return [m.name for m in self.members]


class ArrayType(Type):
    meta = 'array'
    json = 'array'

    def __init__(self, element: Type):
        super().__init__(element.name + 'List', element.pos, element.module, None, element.cond,
                         [])
        self.element = element
        self.is_builtin = element.is_builtin

    def c_type(self) -> str:
        return c_name(self.name, False) + ' *'

    def doc_name(self) -> str:
        return f'[{self.element.doc_name()}]'


class Member:
    """A member of an object. TYPE is filled in by the second pass."""

    def __init__(self, name: str, pos: Pos, type_ref: Union[str, Tuple[str]], optional: bool,
                 cond: Cond, features: List[Feature]):
        self.name, self.pos, self.type_ref = name, pos, type_ref
        self.optional, self.cond, self.features = optional, cond, features
        self.type: Type = None      # type: ignore
        self.owner = ''

    @property
    def c_name(self) -> str:
        return c_name(self.name)

    @property
    def needs_has(self) -> bool:
        """
        Pointers are NULL when absent; everything else has a has_ member beside it. So have arrays:
        their NULL is the empty list.
        """
        return self.optional and (not self.type.is_pointer or isinstance(self.type, ArrayType))


class Variant:
    def __init__(self, case: str, pos: Pos, type_ref: str, cond: Cond):
        self.case, self.pos, self.type_ref, self.cond = case, pos, type_ref, cond
        self.type: 'ObjectType' = None      # type: ignore

    @property
    def c_name(self) -> str:
        return c_name(self.case)


class ObjectType(Type):
    """A struct, a union, or the nameless object of a command's or an event's data."""
    meta = 'object'
    json = 'object'

    def __init__(self, *args, members: List[Member], base_ref: Optional[Text] = None,
                 base_members: Optional[List[Member]] = None, tag_name: Optional[Text] = None,
                 variants: Optional[List[Variant]] = None, implicit: bool = False):
        super().__init__(*args)
        self.own_members = (base_members or []) + members
        self.base_ref = base_ref
        self.base: Optional[ObjectType] = None
        self.tag_name = tag_name
        self.tag: Optional[Member] = None
        self.variants = variants or []
        self.is_union = variants is not None
        self.implicit = implicit

    def c_type(self) -> str:
        return c_name(self.name, False) + ' *'

    def c_struct(self) -> str:
        return c_name(self.name)

    def all_members(self) -> List[Member]:
        """Its members and its base's, the base's first; variants not."""
        return (self.base.all_members() if self.base else []) + self.own_members

    def is_empty(self) -> bool:
        return not self.all_members() and not self.is_union


class AlternateType(Type):
    meta = 'alternate'
    json = 'value'

    def __init__(self, *args, choices: List[Member]):
        super().__init__(*args)
        self.choices = choices

    def c_type(self) -> str:
        return c_name(self.name, False) + ' *'


class Command(Definition):
    meta = 'command'
    FLAGS = {'gen': True, 'success-response': True, 'boxed': False, 'allow-oob': False,
             'allow-preconfig': False, 'coroutine': False}

    def __init__(self, *args, arg, returns, flags: Dict[str, bool]):
        super().__init__(*args)
        self.arg_ref = arg
        self.returns_ref = returns
        self.arg: Optional[Type] = None
        self.returns: Optional[Type] = None
        self.gen = flags['gen']
        self.success_response = flags['success-response']
        self.boxed = flags['boxed']
        self.allow_oob = flags['allow-oob']
        self.allow_preconfig = flags['allow-preconfig']
        self.coroutine = flags['coroutine']

    def c_func(self) -> str:
        return 'qmp_' + c_name(self.name, False)


class Event(Definition):
    meta = 'event'

    def __init__(self, *args, arg, boxed: bool):
        super().__init__(*args)
        self.arg_ref = arg
        self.arg: Optional[Type] = None
        self.boxed = boxed


BUILTINS = [
    ('str', 'string', 'char *'), ('number', 'number', 'double'), ('bool', 'boolean', 'bool'),
    ('int', 'int', 'int64_t'), ('size', 'int', 'uint64_t'),
    *[(f'{u}int{n}', 'int', f'{u}int{n}_t') for u in ('', 'u') for n in (8, 16, 32, 64)],
    ('any', 'value', 'QObject *'), ('null', 'null', 'QNull *'),
]
QTYPES = ['none', 'qnull', 'qnum', 'qstring', 'qdict', 'qlist', 'qbool']
QTYPE_OF_JSON = {'string': 'QTYPE_QSTRING', 'number': 'QTYPE_QNUM', 'int': 'QTYPE_QNUM',
                 'boolean': 'QTYPE_QBOOL', 'object': 'QTYPE_QDICT', 'array': 'QTYPE_QLIST',
                 'null': 'QTYPE_QNULL'}


def kind_of(definition: Definition) -> str:
    """What the schema calls it."""
    if isinstance(definition, ObjectType):
        return 'union' if definition.is_union else 'struct'
    return definition.meta
