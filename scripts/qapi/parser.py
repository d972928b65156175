# SPDX-License-Identifier: GPL-2.0-or-later
"""Read schema files: JSON-like text with 'single quotes', # comments and ## doc blocks.

The result is a flat list of top-level expressions in the order in which they are met, each with
the module (file) that it came from. Includes are followed here, pragmas collected.
"""

import os
import re
from typing import Dict, List, NamedTuple, Optional, Set

from .docs import Doc, parse_doc
from .source import Array, Flag, Pos, SchemaError, Table, Text


class Expr(NamedTuple):
    """One top-level definition."""
    table: Table
    module: Optional[str]       # None for the file that was given on the command line
    doc: Optional[Doc]


class Pragmas:
    """Settings by the schema for its own checking. They hold for all its files."""

    LISTS = ('command-name-exceptions', 'command-returns-exceptions', 'member-name-exceptions',
             'documentation-exceptions')

    def __init__(self) -> None:
        self.doc_required = False
        self.lists: Dict[str, Set[str]] = {name: set() for name in self.LISTS}

    def apply(self, table: Table) -> None:
        for key, value in table.items():
            if key == 'doc-required':
                if not isinstance(value, Flag):
                    raise SchemaError(key.pos, "pragma 'doc-required' must be true or false")
                self.doc_required = bool(value)
            elif key in self.LISTS:
                if not isinstance(value, Array) or not all(isinstance(v, Text) for v in value):
                    raise SchemaError(key.pos, f"pragma '{key}' must be a list of strings")
                self.lists[key].update(value)
            else:
                raise SchemaError(key.pos, f"unknown pragma '{key}'")


class Token(NamedTuple):
    kind: str                   # one of { } [ ] , : or 'string', 'flag', 'doc', 'end'
    value: object
    pos: Pos


_LEX = re.compile(r"""
    (?P<blank>[ \t\r]+)
  | (?P<newline>\n)
  | (?P<comment>\#[^\n]*)
  | (?P<punct>[{}\[\],:])
  | (?P<string>'(?P<chars>(?:[^'\\\n]|\\.)*)')
  | (?P<word>[A-Za-z0-9_]+)
""", re.VERBOSE)


def _unquote(raw: str, pos: Pos) -> str:
    def plain(match: 're.Match[str]') -> str:
        if match.group(1) not in "'\\/\"":
            raise SchemaError(pos, f"unknown escape \\{match.group(1)}")
        return match.group(1)

    for char in raw:
        if not 0x20 <= ord(char) < 0x7f:
            raise SchemaError(pos, 'strings may hold printable ASCII only')
    return re.sub(r'\\(.)', plain, raw)


def tokenize(path: str, text: str) -> List[Token]:
    """Split TEXT into tokens. A doc block is one token, holding its lines without the '#'."""
    tokens: List[Token] = []
    at, line, line_start = 0, 1, 0
    while at < len(text):
        match = _LEX.match(text, at)
        pos = Pos(path, line)
        if not match:
            if text[at] == "'":
                raise SchemaError(pos, "missing closing ' of a string")
            raise SchemaError(pos, f'stray {text[at]!r}')
        kind = match.lastgroup if match.lastgroup != 'chars' else 'string'
        if match.group('string') is not None:
            tokens.append(Token('string', Text(_unquote(match.group('chars'), pos), pos), pos))
        elif kind == 'punct':
            tokens.append(Token(match.group(), None, pos))
        elif kind == 'word':
            if match.group() not in ('true', 'false'):
                raise SchemaError(pos, f"stray '{match.group()}'; strings need single quotes")
            tokens.append(Token('flag', Flag(match.group() == 'true', pos), pos))
        elif kind == 'newline':
            line, line_start = line + 1, match.end()
        elif kind == 'comment' and match.group().rstrip() == '##' and at == line_start:
            token, at, line = _doc_block(path, text, match.end(), line)
            tokens.append(token)
            line_start = at
            continue
        at = match.end()
    tokens.append(Token('end', None, Pos(path, line)))
    return tokens


def _doc_block(path: str, text: str, at: int, first: int):
    """Collect the lines of the block that the '##' ending at AT began."""
    lines: List[Text] = []
    start = Pos(path, first)
    line = first
    while True:
        newline = text.find('\n', at)
        if newline < 0:
            raise SchemaError(start, "doc comment is not closed by '##'")
        at, line = newline + 1, line + 1
        if at == len(text):
            raise SchemaError(start, "doc comment is not closed by '##'")
        end = text.find('\n', at)
        current = text[at:end if end >= 0 else len(text)].rstrip()
        pos = Pos(path, line)
        if current == '##':
            return Token('doc', lines, start), at + 2, line
        if not current.startswith('#'):
            raise SchemaError(pos, "every line of a doc comment begins with '#'")
        if len(current) > 1 and current[1] != ' ':
            raise SchemaError(pos, "a space is missing after '#'")
        lines.append(Text(current[2:], pos))


class SchemaReader:
    """Reads a schema file and everything it includes."""

    def __init__(self, path: str):
        self.exprs: List[Expr] = []
        self.pragmas = Pragmas()
        self.free_docs: List = []           # (module, Doc) of blocks that define nothing
        self.modules: List[Optional[str]] = []
        self.files: List[str] = []
        self._open: List[str] = []
        self._read(path, None, None)

    def _read(self, path: str, module: Optional[str], where: Optional[Pos]) -> None:
        real = os.path.realpath(path)
        if real in self._open:
            raise SchemaError(where, f"inclusion loop: '{os.path.basename(path)}' "
                                     'includes itself, directly or not')
        if real in self.files:
            return
        try:
            with open(path, encoding='utf-8') as handle:
                text = handle.read()
        except OSError as err:
            raise SchemaError(where or Pos(path, 0), f"can't read {path}: {err.strerror}") from err
        except UnicodeDecodeError as err:
            raise SchemaError(Pos(path, 0), 'the file is not UTF-8 text') from err
        self.files.append(real)
        self.modules.append(module)
        self._open.append(real)
        _FileParser(self, path, module, tokenize(path, text)).run()
        self._open.pop()

    def include(self, path: str, name: Text) -> None:
        target = os.path.join(os.path.dirname(path), name)
        module = os.path.splitext(os.path.basename(name))[0]
        self._read(target, module, name.pos)


class _FileParser:
    def __init__(self, reader: SchemaReader, path: str, module: Optional[str],
                 tokens: List[Token]):
        self.reader = reader
        self.path = path
        self.module = module
        self.tokens = tokens
        self.next = 0

    def peek(self) -> Token:
        return self.tokens[self.next]

    def take(self) -> Token:
        token = self.tokens[self.next]
        if token.kind != 'end':
            self.next += 1
        return token

    def run(self) -> None:
        doc: Optional[Doc] = None
        while True:
            token = self.peek()
            if token.kind == 'doc':
                self.take()
                self._orphan(doc)
                doc = parse_doc(token.value, token.pos)
                if not doc.symbol:
                    self.reader.free_docs.append((self.module, doc))
                    doc = None
                continue
            if token.kind == 'end':
                self._orphan(doc)
                return
            if token.kind != '{':
                raise SchemaError(token.pos, "a definition must begin with '{'")
            table = self.value()
            if 'include' in table:
                self._orphan(doc)
                self._include(table)
            elif 'pragma' in table:
                self._orphan(doc)
                if len(table) != 1 or not isinstance(table['pragma'], Table):
                    raise SchemaError(table.pos, "a pragma is { 'pragma': { ... } }")
                self.reader.pragmas.apply(table['pragma'])
            else:
                self.reader.exprs.append(Expr(table, self.module, doc))
            doc = None

    @staticmethod
    def _orphan(doc: Optional[Doc]) -> None:
        if doc:
            raise SchemaError(doc.pos, f"documentation of '{doc.symbol}' "
                                       'is not followed by its definition')

    def _include(self, table: Table) -> None:
        name = table['include']
        if len(table) != 1 or not isinstance(name, Text):
            raise SchemaError(table.pos, "an include is { 'include': 'PATH' }")
        self.reader.include(self.path, name)

    def value(self):
        token = self.take()
        if token.kind in ('string', 'flag'):
            return token.value
        if token.kind == '{':
            return self._table(token)
        if token.kind == '[':
            return self._array(token)
        raise self._unexpected(token, "a string, true, false, '[' or '{'")

    @staticmethod
    def _unexpected(token: Token, wanted: str) -> SchemaError:
        found = {'end': 'the end of the file', 'doc': 'a doc comment', 'string': 'a string',
                 'flag': 'true or false'}.get(token.kind, f"'{token.kind}'")
        return SchemaError(token.pos, f'expected {wanted}, found {found}')

    def _table(self, opening: Token) -> Table:
        table = Table(opening.pos)
        if self.peek().kind == '}':
            self.take()
            return table
        while True:
            token = self.take()
            if token.kind != 'string':
                raise self._unexpected(token, 'a string (the name of a member)')
            if token.value in table:
                raise SchemaError(token.pos, f"duplicate key '{token.value}'")
            colon = self.take()
            if colon.kind != ':':
                raise self._unexpected(colon, "':'")
            table[token.value] = self.value()
            token = self.take()
            if token.kind == '}':
                return table
            if token.kind != ',':
                raise self._unexpected(token, "',' or '}'")

    def _array(self, opening: Token) -> Array:
        array = Array(opening.pos)
        if self.peek().kind == ']':
            self.take()
            return array
        while True:
            array.append(self.value())
            token = self.take()
            if token.kind == ']':
                return array
            if token.kind != ',':
                raise self._unexpected(token, "',' or ']'")
