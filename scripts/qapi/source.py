# SPDX-License-Identifier: GPL-2.0-or-later
"""Positions in schema files, values that remember theirs, and the error that names one."""

from typing import NamedTuple, Optional


class Pos(NamedTuple):
    """A place in a schema file; line 0 means the file as a whole."""
    path: str
    line: int

    def __str__(self) -> str:
        return f'{self.path}:{self.line}' if self.line else self.path


class SchemaError(Exception):
    """What is wrong with a schema, and where."""

    def __init__(self, pos: Optional[Pos], message: str):
        super().__init__(message)
        self.pos = pos
        self.message = message

    def __str__(self) -> str:
        return f'{self.pos}: {self.message}' if self.pos else self.message


class Text(str):
    """A string of the schema that knows where it was written."""
    pos: Pos

    def __new__(cls, value: str, pos: Pos) -> 'Text':
        self = super().__new__(cls, value)
        self.pos = pos
        return self


class Flag:
    """true or false with a position (bool can't be subclassed)."""

    def __init__(self, value: bool, pos: Pos):
        self.value = value
        self.pos = pos

    def __bool__(self) -> bool:
        return self.value


class Array(list):
    """A list of the schema."""

    def __init__(self, pos: Pos):
        super().__init__()
        self.pos = pos


class Table(dict):
    """An object of the schema; its keys are Text, so they have positions too."""

    def __init__(self, pos: Pos):
        super().__init__()
        self.pos = pos

    def key_pos(self, key: str) -> Pos:
        for k in self:
            if k == key:
                return k.pos
        return self.pos
