# SPDX-License-Identifier: GPL-2.0-or-later
"""What `-dump-vmstate` writes, read with suspicion and brought into the order of the wire.

A dump is a description of structs in memory. What two programs have to agree on is the bytes:
structs stand in the stream without a mark of their own, so here they are dissolved into the
leaves that are really sent, each with the path by which a person finds it. Where a struct has
subsections a mark remains, since that is a place where the stream may have them.
"""

import json

MACHINE = 'vmschkmachine'
UNUSED = 'unused'
# Bounds for what a file may make us do. QEMU's own dumps have 10 000 fields, 8 levels deep.
MAX_FILE = 64 << 20
MAX_DEPTH = 32
MAX_FIELDS = 1 << 20


class BadDump(Exception):
    """The file is no dump; says where in it, what was expected and what is there."""


def _kind(value):
    return {dict: 'an object', list: 'a list', str: 'a string', bool: 'true or false',
            int: 'a number', float: 'a fraction', type(None): 'null'}[type(value)]


def _member(obj, name, kind, where, default=None, required=True):
    if name not in obj:
        if required:
            raise BadDump(f'{where}: expected a member "{name}", found none')
        return default
    value = obj[name]
    if type(value) is not kind:             # a bool is no number here
        raise BadDump(f'{where}: "{name}": expected {_kind(kind())}, found {_kind(value)}')
    if kind is int and not 0 <= value < 1 << 62:
        raise BadDump(f'{where}: "{name}": expected a number from 0 on, found {value}')
    return value


class Leaf:
    """A field that is sent as bytes of its own."""

    def __init__(self, path, name, size, num, around, version, conditional):
        self.path = path                    # from the device's description on
        self.name = name
        self.size = size                    # of an element
        self.num = num                      # elements; 1 for what is no array, None if not told
        self.around = around                # counts of the arrays of structs that it stands in
        self.version = version              # there since
        self.conditional = conditional      # there when a function says so

    unused = property(lambda self: self.name == UNUSED)

    def bytes(self):
        """Its length in the stream; None where the dump does not tell."""
        total = self.size
        for count in (self.num, *self.around):
            if count is None:
                return None
            total *= count
        return total

    def describe(self):
        words = f'{self.size} byte' + ('s' if self.size != 1 else '')
        for count in (self.num, *reversed(self.around)):
            if count not in (None, 1):
                words = f'{count} times {words}'
        return words


class Subsections:
    """A place where subsections may stand: name -> Description."""

    def __init__(self, path, of):
        self.path = path
        self.of = of


class Description:
    """A VMStateDescription."""

    def __init__(self, dump, obj, where, depth):
        if depth > MAX_DEPTH:
            raise BadDump(f'{where}: structs are nested more than {MAX_DEPTH} deep')
        if type(obj) is not dict:
            raise BadDump(f'{where}: expected an object, found {_kind(obj)}')
        self.name = _member(obj, 'name', str, where)
        self.version = _member(obj, 'version_id', int, where)
        self.minimum = _member(obj, 'minimum_version_id', int, where)
        self.fields = []                    # (name, version, conditional, size, num, Description)
        self.subsections = {}
        for i, field in enumerate(_member(obj, 'Fields', list, where, [], False)):
            self._add_field(dump, field, f'{where}: field {i}', depth)
        for i, sub in enumerate(_member(obj, 'Subsections', list, where, [], False)):
            sub = Description(dump, sub, f'{where}: subsection {i}', depth + 1)
            if sub.name in self.subsections:
                raise BadDump(f'{where}: subsection "{sub.name}" is there twice')
            self.subsections[sub.name] = sub

    def _add_field(self, dump, field, where, depth):
        dump.count += 1
        if dump.count > MAX_FIELDS:
            raise BadDump(f'{where}: the file has more than {MAX_FIELDS} fields')
        if type(field) is not dict:
            raise BadDump(f'{where}: expected an object, found {_kind(field)}')
        name = _member(field, 'field', str, where)
        where = f'{where} "{name}"'
        inner = None
        if 'Description' in field:
            inner = Description(dump, field['Description'], where, depth + 1)
        num = _member(field, 'num', int, where, None, False)
        dump.tells_counts |= num is not None
        self.fields.append((name, _member(field, 'version_id', int, where),
                            _member(field, 'field_exists', bool, where),
                            _member(field, 'size', int, where), num, inner))

    def wire(self, dump, version, path='', around=(), conditional=False, out=None):
        """Leaves and places of subsections in the order of the stream, as a program that has
        this description writes or reads them when the version is `version`."""
        out = [] if out is None else out
        for name, since, exists, size, num, inner in self.fields:
            if since > version:
                continue
            here = f'{path}/{name}' if path else name
            if num is None and dump.tells_counts:
                num = 1
            if inner is None:
                out.append(Leaf(here, name, size, num, around, since, conditional or exists))
                continue
            # The version of a struct within is not sent: each side goes by its own.
            more = around if num == 1 else (*around, num)
            inner.wire(dump, inner.version, here, more, conditional or exists, out)
        if self.subsections:
            out.append(Subsections(path, self.subsections))
        return out


class Device:
    def __init__(self, dump, name, obj):
        where = f'device "{name}"'
        if type(obj) is not dict:
            raise BadDump(f'{where}: expected an object, found {_kind(obj)}')
        self.name = name
        self.version = _member(obj, 'version_id', int, where)
        self.minimum = _member(obj, 'minimum_version_id', int, where)
        if 'Description' not in obj:
            raise BadDump(f'{where}: expected a member "Description", found none')
        self.description = Description(dump, obj['Description'], where, 0)


class Dump:
    """One file."""

    def __init__(self, text):
        self.count = 0
        self.tells_counts = False           # 7.2 writes no lengths of arrays
        try:
            obj = json.loads(text)
        except RecursionError:
            raise BadDump('it is nested too deeply') from None
        except ValueError as e:
            raise BadDump(f'this is not JSON: {e}') from None
        if type(obj) is not dict:
            raise BadDump(f'expected an object, found {_kind(obj)}')
        machine = _member(obj, MACHINE, dict, 'machine', {}, False)
        # Before 9.0 the name of the machine's class stands there, afterwards that of the machine.
        self.machine = _member(machine, 'Name', str, 'machine', '', False).removesuffix('-machine')
        self.devices = {name: Device(self, name, value) for name, value in obj.items()
                        if name != MACHINE}

    @classmethod
    def load(cls, path):
        with open(path, 'rb') as f:
            data = f.read(MAX_FILE + 1)
        if len(data) > MAX_FILE:
            raise BadDump(f'it has more than {MAX_FILE >> 20} MiB')
        try:
            return cls(data.decode('utf-8'))
        except UnicodeDecodeError as e:
            raise BadDump(f'this is not JSON: {e}') from None
