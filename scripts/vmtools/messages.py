# SPDX-License-Identifier: GPL-2.0-or-later
"""Takes what goes over a migration's connections apart into messages, as it comes.

A message is the least that can be cut off without tearing something: a command, a record of RAM, the
beginning or the end of a section, an answer on the return path. Bytes go in as they arrive; messages come
out as soon as they are whole, each with its bytes, so that joined they are what went in.

What cannot be taken apart without knowing the devices (a section FULL outside of a package) ends this:
from there on each piece is a message of kind 'raw'. Unlike stream.py this reads what is under way
and does not judge it.
"""

import struct
from typing import NamedTuple

MAGIC = b'QEVM'
MULTIFD_MAGIC = b'\x11\x22\x33\x44'
BITMAP_END = 0x0123456789abcdef
COMMANDS = {1: 'open-return-path', 2: 'ping', 3: 'advise', 4: 'listen', 5: 'run', 6: 'discard',
            7: 'packaged', 8: 'enable-colo', 9: 'resume', 10: 'recv-bitmap', 11: 'switchover-start'}
COMMAND_NUMBERS = {name: number for number, name in COMMANDS.items()}
REPLIES = {1: 'shut', 2: 'pong', 3: 'req-pages', 4: 'req-pages', 5: 'recv-bitmap', 6: 'resume-ack',
           7: 'switchover-ack'}
ZERO, MEM_SIZE, PAGE, EOS, CONTINUE, XBZRLE, COMPRESS, FLUSH = (
    0x02, 0x04, 0x08, 0x10, 0x20, 0x40, 0x100, 0x200)
PAGE_SIZE = 4096


class NotUnderstood(Exception):
    """The bytes are no message that is known here."""


class Message(NamedTuple):
    kind: str           # 'page', 'ping', 'recv-bitmap', …
    detail: object      # what it is about: a number, (block, offset), …; None for most
    data: bytes

    def __str__(self):
        if self.detail is None:
            return self.kind
        if self.kind in ('page', 'zero', 'xbzrle', 'compressed'):
            return f'{self.kind} {self.detail[0]}+{self.detail[1]:#x}'
        if isinstance(self.detail, int):
            return f'{self.kind} {self.detail:#x}'
        return f'{self.kind} {self.detail}'


class Splitter:
    """Common to all: `feed` takes bytes and answers what became whole. The walk is a generator that
    yields whenever it needs more than there is."""

    def __init__(self):
        self._buffer = bytearray()
        self._at = 0
        self._ready = []
        self._walking = self._walk()
        next(self._walking)

    def feed(self, data):
        self._buffer += data
        if self._walking is not None:
            try:
                next(self._walking)
            except NotUnderstood:
                self._walking = None
        if self._walking is None and self._buffer:
            self._at = len(self._buffer)
            self._done('raw', None)
        ready, self._ready = self._ready, []
        return ready

    def rest(self):
        """The beginning of a message of which more has to come."""
        return bytes(self._buffer)

    def _take(self, size):
        while len(self._buffer) - self._at < size:
            yield
        self._at += size
        return bytes(self._buffer[self._at - size:self._at])

    def _number(self, form):
        return struct.unpack(form, (yield from self._take(struct.calcsize(form))))[0]

    def _name(self):
        length = yield from self._number('>B')
        return (yield from self._take(length)).decode('latin-1')

    def _done(self, kind, detail=None):
        self._ready.append(Message(kind, detail, bytes(self._buffer[:self._at])))
        del self._buffer[:self._at]
        self._at = 0

    def _walk(self):
        raise NotImplementedError
        yield


class Pages(Splitter):
    """The channel for urgent pages: records of RAM and nothing else."""

    def _walk(self):
        self._block = None
        while True:
            kind, detail = yield from self._record()
            self._done(kind, detail)

    def _record(self):
        word = yield from self._number('>Q')
        flags, offset = word & (PAGE_SIZE - 1), word & ~(PAGE_SIZE - 1)
        if flags & MEM_SIZE:
            yield from self._block_list(offset)
            return 'blocks', offset
        if flags == EOS:
            return 'eos', None
        if flags == FLUSH:
            return 'flush', None
        if not flags & CONTINUE:
            self._block = yield from self._name()
        kind = flags & ~CONTINUE
        if kind == ZERO:
            yield from self._take(1)
            return 'zero', (self._block, offset)
        if kind == PAGE:
            yield from self._take(PAGE_SIZE)
            return 'page', (self._block, offset)
        if kind == XBZRLE:
            yield from self._take(1)
            yield from self._take((yield from self._number('>H')))
            return 'xbzrle', (self._block, offset)
        if kind == COMPRESS:
            yield from self._take((yield from self._number('>I')))
            return 'compressed', (self._block, offset)
        raise NotUnderstood(f'RAM record {word:#x}')

    def _block_list(self, total):
        while total > 0:
            yield from self._name()
            total -= yield from self._number('>Q')
            # A page size follows where it is not the host's. Else the next name, whose first byte
            # says how long it is, or a mark that is less than any page.
            yield from self._take(8)
            word = int.from_bytes(self._buffer[self._at - 8:self._at], 'big')
            if not (word > PAGE_SIZE and word & (word - 1) == 0):
                self._at -= 8


class MainStream(Pages):
    """The main stream, from its header on or from where it goes on after a pause."""

    def _walk(self):
        self._block = None
        self._sections = {}
        while True:
            yield from self._item()

    def _item(self):
        what = yield from self._take(1)
        if what == b'Q':
            yield from self._take(7)
            self._done('header')
        elif what == b'\x00':
            self._done('eof')
        elif what in b'\x01\x02\x03\x04':
            yield from self._section(what)
        elif what == b'\x06':
            yield from self._take((yield from self._number('>I')))
            self._done('vmdescription')
        elif what == b'\x07':
            yield from self._configuration()
        elif what == b'\x08':
            yield from self._command()
        else:
            raise NotUnderstood(f'item {what!r}')

    def _configuration(self):
        yield from self._take((yield from self._number('>I')))
        while True:
            follows = yield from self._take(1)
            if follows != b'\x05':
                self._at -= 1
                break
            name = yield from self._name()
            yield from self._take(4)
            if name == 'configuration/capabilities':
                for _ in range((yield from self._number('>I'))):
                    yield from self._name()
            elif name == 'configuration/target-page-bits':
                yield from self._take(4)
            elif name == 'configuration/uuid':
                yield from self._take(16)
            else:
                raise NotUnderstood(name)
        self._done('configuration')

    def _section(self, what):
        number = yield from self._number('>I')
        if what in b'\x01\x04':
            name = yield from self._name()
            yield from self._take(8)
            self._sections[number] = name
        name = self._sections.get(number, 'ram')        # it was named before the pause
        if what == b'\x04' or name != 'ram':
            raise NotUnderstood(f'section {name}')
        self._done({b'\x01': 'start', b'\x02': 'part', b'\x03': 'end'}[what], name)
        while True:
            kind, detail = yield from self._record()
            if kind == 'eos':
                break
            self._done(kind, detail)
        if (yield from self._take(1)) == b'\x7e':
            yield from self._take(4)
        else:
            self._at -= 1
        self._done('eos')

    def _command(self):
        number = yield from self._number('>H')
        data = yield from self._take((yield from self._number('>H')))
        name = COMMANDS.get(number, f'command-{number}')
        detail = None
        if name == 'ping':
            detail = int.from_bytes(data, 'big')
        elif name == 'packaged':
            package = yield from self._take(int.from_bytes(data, 'big'))
            detail = package_contents(package)
        elif name == 'recv-bitmap':
            detail = data[1:].decode('latin-1')
        elif name == 'discard':
            detail = discarded(data)
        elif name == 'advise' and data:
            detail = struct.unpack('>QQ', data)
        self._done(name, detail)


class ReturnPath(Splitter):
    """What a destination answers."""

    def _walk(self):
        block = None
        while True:
            number = yield from self._number('>H')
            kind = REPLIES.get(number)
            detail = None
            if kind is None:
                raise NotUnderstood(f'reply {number}')
            data = yield from self._take((yield from self._number('>H')))
            if kind in ('pong', 'shut', 'resume-ack'):
                detail = int.from_bytes(data, 'big')
            elif kind == 'req-pages':
                start, length = struct.unpack('>QI', data[:12])
                if number == 3:
                    block = data[13:].decode('latin-1')
                detail = (block, start, length)
            elif kind == 'recv-bitmap':
                detail = data[1:].decode('latin-1')
                yield from self._take((yield from self._number('>Q')) + 8)
            self._done(kind, detail)


def package_contents(package):
    """The commands at either end of a package, what is between them as 'devices'."""
    found, at = [], 0
    while package[at:at + 1] == b'\x08':
        number, length = struct.unpack_from('>HH', package, at + 1)
        found.append(COMMANDS.get(number, f'command-{number}'))
        at += 5 + length
    found.append('devices')
    for tail in ((b'\x08\0\x02\0\x04\0\0\0\x03' + b'\x08\0\x05\0\0', ['ping', 'run']),
                 (b'\x08\0\x02\0\x04\0\0\0\x03', ['ping']), (b'\x08\0\x05\0\0', ['run'])):
        if package.endswith(tail[0]):
            found += tail[1]
            break
    return tuple(found)


def discarded(data):
    """Block and (start, length) pairs of a DISCARD."""
    length = data[1]
    at = 2 + length + 1
    return (data[2:2 + length].decode('latin-1'),
            *(struct.unpack_from('>QQ', data, i) for i in range(at, len(data) - 15, 16)))


# What a fake peer says

def command(name, data=b''):
    return b'\x08' + struct.pack('>HH', COMMAND_NUMBERS[name], len(data)) + data


def reply(number, data=b''):
    return struct.pack('>HH', number, len(data)) + data
