# SPDX-License-Identifier: GPL-2.0-or-later
"""Doc comments: which text belongs to the definition, to a member, to a feature, to a section."""

import re
from typing import Dict, List, Optional, Tuple

from .source import Pos, SchemaError, Text

SECTIONS = ('Returns', 'Errors', 'Since', 'Note', 'Notes', 'Example', 'Examples', 'TODO')

_MEMBER = re.compile(r'@([A-Za-z0-9_.-]+):(?:\s+(.*)|\s*)$')
_SECTION = re.compile(r'(' + '|'.join(SECTIONS) + r'):(?:\s+(.*)|\s*)$')


class Doc:
    """What one ## block says. Text is kept as lists of lines, blank lines between paragraphs."""

    def __init__(self, pos: Pos):
        self.pos = pos
        self.symbol: Optional[str] = None
        self.heading: Optional[str] = None
        self.body: List[str] = []
        self.members: Dict[str, List[str]] = {}
        self.member_pos: Dict[str, Pos] = {}
        self.features: Dict[str, List[str]] = {}
        self.feature_pos: Dict[str, Pos] = {}
        self.sections: List[Tuple[str, List[str]]] = []


def parse_doc(lines: List[Text], pos: Pos) -> Doc:
    """LINES are those between the ## marks, each without its leading '# '."""
    doc = Doc(pos)
    rest = list(lines)
    while rest and not rest[0]:
        rest.pop(0)
    if not rest:
        raise SchemaError(pos, 'doc comment is empty')
    match = _MEMBER.match(rest[0])
    if match:
        if match.group(2):
            raise SchemaError(rest[0].pos, "text must not follow '@NAME:' in the first line")
        doc.symbol = match.group(1)
        rest.pop(0)
    elif rest[0].startswith('@'):
        raise SchemaError(rest[0].pos, "the first line must read '@NAME:'")
    elif rest[0].startswith('= '):
        doc.heading = rest.pop(0)[2:].strip()
    _fill(doc, rest)
    return doc


def _fill(doc: Doc, lines: List[Text]) -> None:
    chunk = doc.body            # where the current text goes
    in_features = False
    after_blank = False
    for line in lines:
        member = _MEMBER.match(line) if doc.symbol else None
        section = _SECTION.match(line) if doc.symbol else None
        if doc.symbol and line == 'Features:':
            if in_features:
                raise SchemaError(line.pos, "a second 'Features:' section")
            in_features, chunk = True, doc.body
        elif member:
            names, places = ((doc.features, doc.feature_pos) if in_features
                             else (doc.members, doc.member_pos))
            name = member.group(1)
            if name in names:
                raise SchemaError(line.pos, f"'{name}' is documented twice")
            chunk = names[name] = []
            places[name] = line.pos
            if member.group(2):
                chunk.append(member.group(2))
        elif section:
            chunk = []
            doc.sections.append((section.group(1), chunk))
            if section.group(2):
                chunk.append(section.group(2))
        else:
            # An unindented paragraph after a blank line ends what was being described.
            if after_blank and line and not line.startswith(' ') and chunk is not doc.body:
                chunk = doc.body
                if chunk:
                    chunk.append('')
            chunk.append(str(line))
        after_blank = not line
    for text in [doc.body, *doc.members.values(), *doc.features.values(),
                 *(lines for _, lines in doc.sections)]:
        while text and not text[0].strip():
            text.pop(0)
        while text and not text[-1].strip():
            text.pop()
