# SPDX-License-Identifier: GPL-2.0-or-later
"""A proxy between the ends of a migration that lets messages through one by one.

It listens on a unix socket or a TCP port and opens a connection to the destination for each that comes.
Both directions are taken apart into messages (messages.py). A test says at which message, of which
direction and how manieth of its kind, something shall happen before or after it has passed: the network
breaks (both ways or one, with a FIN or a RST), or stands still. New connections after that are
a new era; the target may be another one then.

`log` has all messages in the order in which they passed. Line.delay() is the other use: nothing is
understood, each byte arrives a while later, as on a long line.
"""

import collections
import os
import socket
import struct
import threading
import time
from typing import NamedTuple

from . import messages

CHUNK = 1 << 16
FORWARD, BACK = 'forward', 'back'       # from the source, from the destination


class Entry(NamedTuple):
    time: float
    era: int
    wire: int           # number of the connection
    role: str           # main, pages, multifd, tls, silent (nothing from the source yet)
    direction: str
    message: messages.Message
    nth: int            # of its kind, in its era, role and direction

    @property
    def point(self):
        return Point(self.direction, self.message.kind, self.nth, self.role, self.era)

    def __str__(self):
        arrow = '->' if self.direction == FORWARD else '<-'
        return f'{self.era}/{self.wire} {self.role:5} {arrow} {self.message}'


class Point(NamedTuple):
    """A message. `nth` counts from 1 those of its kind in its era."""
    direction: str
    kind: str
    nth: int = 1
    role: str = 'main'
    era: int = 0


class Part(NamedTuple):
    """What a hook may answer: so many bytes of the message pass, then `action` is called, and nothing
    more passes in that direction."""
    size: int
    action: object


class Changed(NamedTuple):
    """The other answer of a hook."""
    data: bytes


def parse(uri):
    """(family, address) of unix:PATH or tcp:HOST:PORT."""
    kind, _, rest = uri.partition(':')
    if kind == 'unix':
        return socket.AF_UNIX, rest
    host, _, port = rest.rpartition(':')
    return socket.AF_INET, (host, int(port))


def listen(where):
    """A listener, and the URI under which it is reached: where is tcp or unix:PATH."""
    if where == 'tcp':
        listener = socket.socket(socket.AF_INET, socket.SOCK_STREAM)
        listener.bind(('127.0.0.1', 0))
        uri = f'tcp:127.0.0.1:{listener.getsockname()[1]}'
    else:
        listener = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
        listener.bind(parse(where)[1])
        uri = where
    listener.listen(64)
    return listener, uri


def connect(uri):
    family, address = parse(uri)
    peer = socket.socket(family, socket.SOCK_STREAM)
    try:
        peer.connect(address)
        if family == socket.AF_INET:
            peer.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
    except OSError:
        peer.close()
        raise
    return peer


def finish(peer, how):
    """Ends a connection. A RST throws away what the other side has not read."""
    try:
        if how == 'rst' and peer.family == socket.AF_INET:
            # close() alone would wait for the thread that reads; a new address breaks it at once
            peer.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack('ii', 1, 0))
            unspecified = struct.pack('=H14x', socket.AF_UNSPEC)
            _libc().connect(peer.fileno(), unspecified, len(unspecified))
        peer.shutdown(socket.SHUT_RDWR)
    except OSError:
        pass                            # it was already


def _libc():
    import ctypes
    return ctypes.CDLL(None, use_errno=True)


class Wire:
    """One connection, and the one to the destination that belongs to it."""

    def __init__(self, number, era, source, target):
        self.number, self.era = number, era
        self.source, self.target = source, target
        self.role = 'silent'
        self.dead = set()               # directions in which nothing passes any more
        self.threads = []

    def ends(self, direction):
        return (self.source, self.target) if direction == FORWARD else (self.target, self.source)


class Gate:
    """Use as a context manager, or end with close()."""

    def __init__(self, target, where, hook=None):
        """`target`: URI of the destination, or a connection to it that was made already, for the next who
        comes; None while there is none: who connects is sent away then.
        `where`: see listen(). `hook`: called with each Entry before it passes, by the thread through
        which it does. It may answer Part: then no more than so many of its bytes pass; or Changed:
        then others pass instead."""
        self.target = target
        self.hook = hook
        self.era = 0
        self.wires = []
        self.log = []
        self.changed = threading.Condition(threading.RLock())
        self._actions = {}              # (Point, before) -> function
        self._held = set()              # (role or None, direction)
        self._last_page = None          # of an era: (era, number)
        self._counts = collections.Counter()
        self._listener, self.uri = listen(where)
        self._path = parse(where)[1] if where != 'tcp' else None
        self._thread = threading.Thread(target=self._accept, daemon=True)
        self._thread.start()

    # What a test says

    def at(self, point, action, before=False):
        """`action` is called by the thread through which the message passes, before or after it has."""
        with self.changed:
            if (point, before) in self._actions:
                raise ValueError(f'at {point} something happens already')
            self._actions[point, before] = action

    def cut(self, how='fin', side='both', roles=None):
        """The network is gone, for all that is connected now. `side`: 'source' or 'destination' alone
        sees it, the other one hears nothing any more. `roles`: only those connections."""
        with self.changed:
            wires = [w for w in self.wires if w.era == self.era
                     and (roles is None or w.role in roles)]
            if roles is None:
                self.era += 1
            for wire in wires:
                wire.dead |= {FORWARD, BACK}
            self._go_on()
        for wire in wires:
            if side in ('both', 'source'):
                finish(wire.source, how)
            if side in ('both', 'destination'):
                finish(wire.target, how)

    def end_half(self, direction):
        """Of all that is connected now that direction ends, for who reads it; the other one is as it
        was."""
        with self.changed:
            wires = [w for w in self.wires if w.era == self.era]
            for wire in wires:
                wire.dead.add(direction)
        for wire in wires:
            try:
                wire.ends(direction)[1].shutdown(socket.SHUT_WR)
            except OSError:
                pass                    # it has ended

    def hang_up(self):
        """Ends what an earlier cut() left open on one side."""
        with self.changed:
            wires = [w for w in self.wires if w.dead]
        for wire in wires:
            finish(wire.source, 'fin')
            finish(wire.target, 'fin')

    def hold(self, direction, role=None):
        """Nothing passes in that direction any more, until go_on()."""
        with self.changed:
            self._held.add((role, direction))

    def hold_behind(self, point, pages):
        """From the source nothing passes any more once so many pages have behind that message of
        its: what a test does then it does in the midst, however late it comes to it."""
        def count():
            with self.changed:
                self._last_page = point.era, self.pages(point.era) + pages
        # Before it has passed: who hears of what it does, and says go_on(), says it after this.
        self.at(point, count, before=True)

    def wait_held(self, timeout=60.0):
        """Waits until a direction is held."""
        self.wait(lambda: self._held, timeout, 'what the gate was to stop at')

    def next_era(self):
        """An end has broken the connections itself."""
        with self.changed:
            self.era += 1
            self._go_on()

    def go_on(self):
        with self.changed:
            self._go_on()

    def _go_on(self):
        self._held.clear()
        self._last_page = None
        self.changed.notify_all()

    def wait(self, accepts, timeout=60.0, what='what was waited for'):
        """Waits until accepts() is true. For what has to be exact there is at()."""
        deadline = time.monotonic() + timeout
        while not accepts():
            if time.monotonic() > deadline:
                raise TimeoutError(f'{what} did not pass; the last were: '
                                   + '; '.join(str(e) for e in self.log[-8:]))
            time.sleep(0.002)

    def wait_for(self, point, timeout=60.0):
        """Waits until that message has begun to pass."""
        key = (point.era, point.role, point.direction, point.kind)
        self.wait(lambda: self._counts[key] >= point.nth, timeout, str(point))

    def pages(self, era=None):
        """How many pages have come from the source, or pieces of what is not understood."""
        with self.changed:
            return sum(n for (e, _, direction, kind), n in self._counts.items()
                       if direction == FORWARD and kind in ('page', 'raw') and era in (None, e))

    def wait_pages(self, number, era=None, timeout=60.0):
        self.wait(lambda: self.pages(era) >= number, timeout, f'page {number}')

    # What it does

    def _accept(self):
        while True:
            try:
                source = self._listener.accept()[0]
            except OSError:
                return
            try:
                if self.target is None:
                    raise OSError('nobody there')
                if isinstance(self.target, socket.socket):
                    target, self.target = self.target, None
                else:
                    target = connect(self.target)
            except OSError:
                source.close()
                continue
            if source.family == socket.AF_INET:
                source.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
            with self.changed:
                wire = Wire(len(self.wires), self.era, source, target)
                self.wires.append(wire)
                self._log(wire, FORWARD, messages.Message('connected', None, b''))
                for direction in (FORWARD, BACK):
                    thread = threading.Thread(target=self._pass, args=(wire, direction),
                                              daemon=True)
                    wire.threads.append(thread)
                    thread.start()
                self.changed.notify_all()

    def _role(self, first):
        if first[:1] in b'Q\x08':       # the header; a command, after a pause
            return 'main'
        if first[:1] == b'\x16':        # a handshake of TLS
            return 'tls'
        return 'multifd' if first[:1] == messages.MULTIFD_MAGIC[:1] else 'pages'

    def _splitter(self, wire, direction, chunk):
        if direction == BACK:
            return messages.ReturnPath()
        wire.role = self._role(chunk)
        return {'main': messages.MainStream, 'pages': messages.Pages}.get(wire.role, _Raw)()

    def _pass(self, wire, direction):
        origin, target = wire.ends(direction)
        splitter = None
        while True:
            try:
                chunk = origin.recv(CHUNK)
            except OSError:
                chunk = b''
            if not chunk:
                break
            if splitter is None:
                splitter = self._splitter(wire, direction, chunk)
            for message in splitter.feed(chunk):
                if not self._one(wire, direction, target, message):
                    return self._drain(wire, direction)
        with self.changed:
            if direction in wire.dead:
                return None
            wire.dead.add(direction)
            self._log(wire, direction, messages.Message('closed', None, b''))
        try:
            if splitter is not None and splitter.rest():
                target.sendall(splitter.rest())
            target.shutdown(socket.SHUT_WR)
        except OSError:
            pass
        return None

    def _drain(self, wire, direction):
        """One side of a connection that was cut for the other one alone: what comes is lost. It
        ends with hang_up()."""
        origin = wire.ends(direction)[0]
        try:
            while origin.recv(CHUNK):
                pass
        except OSError:
            pass

    def _log(self, wire, direction, message):
        key = (wire.era, wire.role, direction, message.kind)
        self._counts[key] += 1
        entry = Entry(time.monotonic(), wire.era, wire.number, wire.role, direction, message,
                      self._counts[key])
        self.log.append(entry)
        return entry

    def _waits(self, wire, direction):
        return direction not in wire.dead and any(
            (role, direction) in self._held for role in (None, wire.role))

    def _one(self, wire, direction, target, message):
        """Lets a message pass; False when the wire is dead."""
        with self.changed:
            if self._last_page is not None and self._last_page[0] == wire.era \
                    and direction == FORWARD and self.pages(wire.era) >= self._last_page[1]:
                self._held.add((None, FORWARD))
            while self._waits(wire, direction):
                self.changed.wait(0.5)
            if direction in wire.dead:
                return False
            key = (wire.era, wire.role, direction, message.kind)
            point = Point(direction, message.kind, self._counts[key] + 1, wire.role, wire.era)
            before = self._actions.pop((point, True), None)
            after = self._actions.pop((point, False), None)
        if before is not None:
            before()
        part = None
        if self.hook is not None:
            part = self.hook(Entry(time.monotonic(), wire.era, wire.number, wire.role, direction,
                                   message, point.nth))
        with self.changed:
            while self._waits(wire, direction):
                self.changed.wait(0.5)
            if direction in wire.dead:
                return False
            self._log(wire, direction, message)     # before what it causes
        try:
            target.sendall(part.data if isinstance(part, Changed) else
                           message.data[:part.size] if part else message.data)
        except OSError:
            with self.changed:
                wire.dead.add(direction)
            finish(wire.ends(direction)[0], 'fin')
            return False
        if after is not None:
            after()
        if isinstance(part, Part):
            part.action()
            return False
        return direction not in wire.dead

    def close(self):
        if isinstance(self.target, socket.socket):
            self.target.close()
        self.target = None
        self._listener.shutdown(socket.SHUT_RDWR)
        self._listener.close()
        self._thread.join()
        self.cut()
        self.hang_up()
        for wire in self.wires:
            for thread in wire.threads:
                thread.join()
            wire.source.close()
            wire.target.close()
        if self._path is not None and os.path.exists(self._path):
            os.unlink(self._path)

    def __enter__(self):
        return self

    def __exit__(self, *exc):
        self.close()


class _Raw:
    """For connections of which only the bytes matter."""

    def feed(self, chunk):
        return [messages.Message('raw', None, chunk)]

    def rest(self):
        return b''


def summary(log):
    """The log in lines, runs of pages as one."""
    lines, run = [], None
    for entry in log:
        m = entry.message
        if m.kind in ('page', 'zero'):
            key = (entry.era, entry.wire, entry.role, entry.direction, m.kind, m.detail[0])
            if run and run[0] == key:
                run[1] += 1
                continue
            run = [key, 1, entry]
            lines.append(run)
        else:
            run = None
            lines.append([None, 1, entry])
    return [f'{line[2]}' + (f' and {line[1] - 1} more' if line[1] > 1 else '') for line in lines]


class Line:
    """A long line: each byte arrives `delay` seconds after it was written, in both directions. As
    much as `window` bytes of a direction are under way. `buffers`: of the line's own sockets, where
    what is sent queues up as well; 0: the kernel's choice, which may be megabytes."""

    def __init__(self, target, where, delay, window=64 << 20, buffers=0):
        self.target, self.delay, self.window, self.buffers = target, delay, window, buffers
        self._sockets = []
        self._threads = []
        self._lock = threading.Lock()
        self._listener, self.uri = listen(where)
        if buffers:
            # What is accepted inherits it, and with it the window that its peer is told.
            self._listener.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, buffers)
        self._start(self._accept)

    def _start(self, function, *args):
        thread = threading.Thread(target=function, args=args, daemon=True)
        with self._lock:
            self._threads.append(thread)
        thread.start()

    def _accept(self):
        while True:
            try:
                source = self._listener.accept()[0]
            except OSError:
                return
            try:
                target = connect(self.target)
            except OSError:
                source.close()
                continue
            if source.family == socket.AF_INET:
                source.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
            if self.buffers:
                target.setsockopt(socket.SOL_SOCKET, socket.SO_SNDBUF, self.buffers)
            with self._lock:
                self._sockets += [source, target]
            for origin, end in ((source, target), (target, source)):
                pipe = _Pipe(self.window)
                self._start(self._read, origin, pipe)
                self._start(self._write, end, pipe)

    def _read(self, origin, pipe):
        while True:
            try:
                chunk = origin.recv(CHUNK)
            except OSError:
                chunk = b''
            if not pipe.put(time.monotonic() + self.delay, chunk) or not chunk:
                return

    def _write(self, end, pipe):
        while True:
            due, chunk = pipe.get()
            left = due - time.monotonic()
            if left > 0:
                time.sleep(left)
            try:
                if not chunk:
                    end.shutdown(socket.SHUT_WR)
                    return
                end.sendall(chunk)
            except OSError:
                pipe.break_off()
                return

    def close(self):
        self._listener.shutdown(socket.SHUT_RDWR)
        self._listener.close()
        with self._lock:
            sockets, threads = list(self._sockets), list(self._threads)
        for end in sockets:
            finish(end, 'fin')
        for thread in threads:
            thread.join()
        for end in sockets:
            end.close()

    def __enter__(self):
        return self

    def __exit__(self, *exc):
        self.close()


class _Pipe:
    """What is under way on a line."""

    def __init__(self, window):
        self.window = window
        self.size = 0
        self.queue = collections.deque()
        self.broken = False
        self.changed = threading.Condition()

    def put(self, due, chunk):
        with self.changed:
            while self.size > self.window and not self.broken:
                self.changed.wait()
            self.queue.append((due, chunk))
            self.size += len(chunk)
            self.changed.notify_all()
            return not self.broken

    def get(self):
        with self.changed:
            while not self.queue:
                self.changed.wait()
            due, chunk = self.queue.popleft()
            self.size -= len(chunk)
            self.changed.notify_all()
            return due, chunk

    def break_off(self):
        with self.changed:
            self.broken = True
            self.changed.notify_all()
