# SPDX-License-Identifier: GPL-2.0-or-later
"""A proxy between two ends of a migration that records what goes over its connections.

It listens on a unix socket (or over TCP, for what only TCP has) and opens for each connection one of
its own to the destination. Bytes go on unchanged, both ways, and are kept. What they mean is found out afterwards: the first four
say whether a connection is the main stream or one of multifd's; the latter are read by Packets
here, the former by stream.Stream.
"""

import os
import socket
import struct
import threading
import time

from .stream import MAGIC

MULTIFD_MAGIC = 0x11223344
INIT_SIZE = 64
HEADER = struct.Struct('>IIIIIIQI28x256s')
CAPACITY = 128                          # offsets in a packet, used or not
FLAG_SYNC = 1
CHUNK = 1 << 18


def shut_down(*sockets):
    for end in sockets:
        try:
            end.shutdown(socket.SHUT_RDWR)
        except OSError:
            pass                            # it was already


class Connection:
    """One connection with what it carried."""

    def __init__(self, source, destination):
        self.sockets = (source, destination)
        self.sent = bytearray()             # from the source
        self.replies = bytearray()          # from the destination
        self.threads = []

    def is_main(self):
        return self.sent[:4] == MAGIC.to_bytes(4, 'big')

    def is_multifd(self):
        return self.sent[:4] == MULTIFD_MAGIC.to_bytes(4, 'big')


class Proxy:
    """Use as a context manager, or end with close()."""

    def __init__(self, directory, target, name='wire', tcp=False):
        self.connections = []
        self._target = target
        self._changed = threading.Condition()
        self._open = threading.Event()      # bytes of the source may pass
        self._open.set()
        if tcp:
            self._listener = socket.socket(socket.AF_INET, socket.SOCK_STREAM)
            self._listener.bind(('127.0.0.1', 0))
            self.uri = f'tcp:127.0.0.1:{self._listener.getsockname()[1]}'
        else:
            self.path = os.path.join(directory, name)
            self.uri = 'unix:' + self.path
            self._listener = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
            self._listener.bind(self.path)
        self._listener.listen(64)
        self._thread = threading.Thread(target=self._accept, daemon=True)
        self._thread.start()

    def _accept(self):
        while True:
            try:
                source = self._listener.accept()[0]
            except OSError:
                return
            destination = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
            try:
                destination.connect(self._target)
            except OSError:
                source.close()
                continue
            connection = Connection(source, destination)
            for origin, target, kept in ((source, destination, connection.sent),
                                         (destination, source, connection.replies)):
                thread = threading.Thread(target=self._pass, daemon=True,
                                          args=(origin, target, kept, origin is source))
                connection.threads.append(thread)
            with self._changed:             # whoever finds it here finds it at work
                for thread in connection.threads:
                    thread.start()
                self.connections.append(connection)

    def _pass(self, origin, target, kept, from_source):
        while True:
            if from_source:
                self._open.wait()
            try:
                chunk = origin.recv(CHUNK)
            except OSError:
                chunk = b''
            with self._changed:
                kept += chunk
                self._changed.notify_all()
            if from_source:
                self._open.wait()           # it may have been held meanwhile
            try:
                if not chunk:
                    target.shutdown(socket.SHUT_WR)
                    return
                target.sendall(chunk)
            except OSError:
                shut_down(origin, target)   # who writes here shall know that nobody reads
                return

    def hold(self):
        """From now on nothing of the source reaches the destination, and no more than a chunk
        of each connection is read."""
        self._open.clear()

    def go_on(self):
        self._open.set()

    def cut(self):
        """The network is gone."""
        with self._changed:
            for connection in self.connections:
                shut_down(*connection.sockets)
        self._open.set()

    def _of(self, accepts):
        return [c for c in self.connections if accepts(c)]

    @property
    def main(self):
        """All that went over the main stream."""
        with self._changed:
            found = self._of(Connection.is_main)
            return bytes(found[0].sent) if found else b''

    def main_bytes(self):
        with self._changed:
            return sum(len(c.sent) for c in self._of(Connection.is_main))

    def multifd_bytes(self):
        with self._changed:
            return sum(len(c.sent) for c in self._of(Connection.is_multifd))

    def channels(self):
        """What went over multifd's connections, a list of Packets."""
        with self._changed:
            raw = [bytes(c.sent) for c in self._of(Connection.is_multifd)]
        return [Packets(data) for data in raw]

    def settle(self, quiet=0.05, timeout=20.0):
        """Waits until nothing has come for a while."""
        deadline = time.monotonic() + timeout
        before = -1
        while time.monotonic() < deadline:
            now = self.main_bytes() + self.multifd_bytes()
            if now == before:
                return now
            before = now
            time.sleep(quiet)
        raise TimeoutError('bytes come without an end')

    def ended(self, timeout=20.0):
        """Waits until both ends have closed all connections."""
        deadline = time.monotonic() + timeout
        with self._changed:
            connections = list(self.connections)
        for connection in connections:
            for thread in connection.threads:
                thread.join(max(0.0, deadline - time.monotonic()))
                if thread.is_alive():
                    raise TimeoutError('a connection stays open')

    def close(self):
        self._listener.shutdown(socket.SHUT_RDWR)
        self._listener.close()
        self.cut()
        self._thread.join()
        for connection in self.connections:
            for thread in connection.threads:
                thread.join()
            for end in connection.sockets:
                end.close()

    def __enter__(self):
        return self

    def __exit__(self, *exc):
        self.close()


class Packets:
    """What a multifd connection carried, counted. An incomplete end is left out."""

    def __init__(self, data, page_size=4096):
        self.normal = self.zero = self.packets = self.syncs = self.payload = self.header = 0
        self.used_syncs = 0                 # with pages, not only zero ones, since the one before
        self.channel = None
        self.rest = len(data)               # bytes that belong to nothing complete
        if len(data) < INIT_SIZE:
            return
        magic, version = struct.unpack_from('>II', data)
        if (magic, version) != (MULTIFD_MAGIC, 1):
            raise ValueError(f'expected the beginning of a multifd channel, found {magic:#x} '
                             f'version {version}')
        self.channel = data[8 + 16]
        self.header = at = INIT_SIZE
        used = False
        while len(data) - at >= HEADER.size:
            (magic, version, flags, _allocated, normal, size, _number, zero,
             _block) = HEADER.unpack_from(data, at)
            if (magic, version) != (MULTIFD_MAGIC, 1):
                raise ValueError(f'offset {at:#x}: expected a packet, found {magic:#x} version '
                                 f'{version}')
            if normal + zero > CAPACITY:
                raise ValueError(f'offset {at:#x}: {normal} and {zero} pages in a packet')
            head = HEADER.size + 8 * CAPACITY
            if len(data) - at < head + size:
                break
            self.packets += 1
            used = used or normal > 0
            if flags & FLAG_SYNC:
                self.syncs += 1
                self.used_syncs += used
                used = False
            self.normal += normal
            self.zero += zero
            self.payload += size
            self.header += head
            at += head + size
        self.rest = len(data) - at
