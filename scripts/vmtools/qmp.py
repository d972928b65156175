# SPDX-License-Identifier: GPL-2.0-or-later
"""A QMP client over one connected socket: commands, events, descriptors, bounded waits.

Every wait has an end: a peer that does not answer raises QMPTimeout, one that went away
raises QMPClosed. Not thread-safe; one client belongs to one thread.
"""

import array
import json
import select
import socket
import time


class QMPError(Exception):
    """The command was refused. `error_class` and `desc` are the reply's own."""

    def __init__(self, command, error_class, desc):
        super().__init__(f'{command}: {desc}')
        self.command = command
        self.error_class = error_class
        self.desc = desc


class QMPTimeout(Exception):
    """Nothing came in time."""


class QMPClosed(Exception):
    """The connection ended."""


class QMP:
    """One monitor. Events that came meanwhile wait in `events`, oldest first."""

    def __init__(self, sock, timeout=30.0, oob=False):
        self.sock = sock
        self.timeout = timeout
        self.events = []
        self._buffer = b''
        self._serial = 0
        sock.setblocking(False)
        self.greeting = self._read(time.monotonic() + timeout)
        if 'QMP' not in self.greeting:
            raise QMPError('greeting', 'GenericError', f'not a QMP server: {self.greeting}')
        self.command('qmp_capabilities', **({'enable': ['oob']} if oob else {}))

    @classmethod
    def connect(cls, path, timeout=30.0):
        """Connects to a unix socket on which a monitor listens."""
        sock = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
        sock.settimeout(timeout)
        sock.connect(path)
        return cls(sock, timeout)

    def close(self):
        self.sock.close()

    def _read(self, deadline):
        while b'\n' not in self._buffer:
            left = deadline - time.monotonic()
            if left <= 0 or not select.select([self.sock], [], [], left)[0]:
                raise QMPTimeout('the monitor does not answer')
            try:
                data = self.sock.recv(1 << 16)
            except BlockingIOError:
                continue
            except OSError as e:
                raise QMPClosed(f'the monitor connection broke: {e}') from e
            if not data:
                raise QMPClosed('the monitor connection was closed')
            self._buffer += data
        line, self._buffer = self._buffer.split(b'\n', 1)
        return json.loads(line)

    def _send(self, data, fds, deadline):
        ancillary = []
        if fds:
            ancillary = [(socket.SOL_SOCKET, socket.SCM_RIGHTS, array.array('i', fds))]
        while data:
            left = deadline - time.monotonic()
            if left <= 0 or not select.select([], [self.sock], [], left)[1]:
                raise QMPTimeout('the monitor does not read')
            try:
                sent = self.sock.sendmsg([data], ancillary)
            except BlockingIOError:
                continue
            except OSError as e:
                raise QMPClosed(f'the monitor connection broke: {e}') from e
            data = data[sent:]
            ancillary = []

    def command(self, name, /, fds=(), timeout=None, oob=False, **arguments):
        """Runs a command and answers what it returned. Underscores in argument names are
        hyphens there."""
        self._serial += 1
        request = {'exec-oob' if oob else 'execute': name, 'id': self._serial}
        if arguments:
            request['arguments'] = {k.replace('_', '-'): v for k, v in arguments.items()}
        deadline = time.monotonic() + (timeout or self.timeout)
        self._send(json.dumps(request).encode() + b'\n', fds, deadline)
        while True:
            reply = self._read(deadline)
            if 'event' in reply:
                self.events.append(reply)
            elif reply.get('id') != self._serial:
                continue                    # of a command given up earlier
            elif 'error' in reply:
                raise QMPError(name, reply['error'].get('class'), reply['error'].get('desc'))
            else:
                return reply['return']

    def hmp(self, line):
        return self.command('human-monitor-command', command_line=line)

    def wait_event(self, match, timeout=None):
        """Takes and answers the first event that `match` (a name or a predicate) accepts."""
        accepts = match if callable(match) else lambda e: e['event'] == match
        deadline = time.monotonic() + (timeout or self.timeout)
        while True:
            for i, event in enumerate(self.events):
                if accepts(event):
                    return self.events.pop(i)
            message = self._read(deadline)
            if 'event' in message:
                self.events.append(message)

    def poll_events(self):
        """Takes what has come so far without waiting."""
        while True:
            if b'\n' not in self._buffer and not select.select([self.sock], [], [], 0)[0]:
                break
            message = self._read(time.monotonic() + self.timeout)
            if 'event' in message:
                self.events.append(message)
        events, self.events = self.events, []
        return events
