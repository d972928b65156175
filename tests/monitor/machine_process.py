# SPDX-License-Identifier: GPL-2.0-or-later
"""The emulator as a child process, and raw access to its monitors.

The tests look at bytes on the wire, so they do not use the well-behaved clients of scripts/vmtools.
"""

import json
import os
import select
import signal
import socket
import subprocess
import sys
import tempfile
import time
import unittest

sys.path.insert(0, os.path.join(os.path.dirname(__file__), '..', '..', 'scripts'))

BINARY = os.environ.get('GODWIT_BINARY', 'build/godwit-system-x86_64')
PLAIN = ['-M', 'none', '-nodefaults', '-display', 'none', '-accel', 'qtest']
TIMEOUT = 20


class Line:
    """A socket read by lines, with an end to every wait."""

    def __init__(self, sock):
        self.sock = sock
        self.buffer = b''

    def send(self, data, fds=()):
        if isinstance(data, (dict, list)):
            data = json.dumps(data)
        if isinstance(data, str):
            data = data.encode() + b'\n'
        if fds:
            socket.send_fds(self.sock, [data], list(fds))
        else:
            self.sock.sendall(data)

    def read_until(self, mark, timeout=TIMEOUT):
        end = time.monotonic() + timeout
        while mark not in self.buffer:
            left = end - time.monotonic()
            if left <= 0 or not select.select([self.sock], [], [], left)[0]:
                raise TimeoutError(f'no {mark!r}; got {self.buffer[:2000]!r}')
            data = self.sock.recv(65536)
            if not data:
                raise EOFError(f'closed; got {self.buffer[:2000]!r}')
            self.buffer += data
        at = self.buffer.index(mark) + len(mark)
        text, self.buffer = self.buffer[:at], self.buffer[at:]
        return text

    def message(self, timeout=TIMEOUT):
        return json.loads(self.read_until(b'\n', timeout))

    def reply(self, timeout=TIMEOUT):
        """The next message that is no event."""
        while True:
            message = self.message(timeout)
            if 'event' not in message:
                return message

    def event(self, name, timeout=TIMEOUT):
        while True:
            message = self.message(timeout)
            if message.get('event') == name:
                return message

    def run(self, name, arguments=None, fds=(), **more):
        request = {'execute': name, **more}
        if arguments is not None:
            request['arguments'] = arguments
        self.send(request, fds)
        return self.reply()

    def silent(self, seconds):
        return not self.buffer and not select.select([self.sock], [], [], seconds)[0]

    def close(self):
        self.sock.close()


def connect(path, timeout=TIMEOUT):
    end = time.monotonic() + timeout
    while True:
        sock = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
        try:
            sock.connect(path)
            return Line(sock)
        except OSError:
            sock.close()
            if time.monotonic() > end:
                raise
            time.sleep(0.01)


class MachineTest(unittest.TestCase):
    def setUp(self):
        self.dir = tempfile.TemporaryDirectory(prefix='godwit-monitor-')
        self.addCleanup(self.dir.cleanup)
        self.processes = []

    def path(self, name):
        return os.path.join(self.dir.name, name)

    def start(self, *args, plain=True, binary=BINARY, **popen):
        command = [binary] + (PLAIN if plain else []) + list(args)
        popen.setdefault('stderr', subprocess.PIPE)
        popen.setdefault('stdin', subprocess.DEVNULL)
        popen.setdefault('stdout', subprocess.PIPE)
        process = subprocess.Popen(command, **popen)
        self.addCleanup(self.finish, process)
        return process

    def finish(self, process):
        if process.poll() is None:
            process.kill()
        process.wait()
        for stream in (process.stdin, process.stdout, process.stderr):
            if stream:
                stream.close()

    def run_to_end(self, *args, plain=True, **popen):
        """(status, standard output, standard error)"""
        process = self.start(*args, plain=plain, **popen)
        out, err = process.communicate(timeout=TIMEOUT)
        return process.returncode, (out or b'').decode(), (err or b'').decode()

    def start_qmp(self, *args, oob=False, negotiate=True):
        """A machine and a client of its monitor."""
        path = self.path('qmp')
        process = self.start('-qmp', f'unix:{path},server=on,wait=off', *args)
        return process, self.new_client(path, oob, negotiate)

    def new_client(self, path, oob=False, negotiate=True):
        client = connect(path)
        self.addCleanup(client.close)
        client.greeting = client.message()
        if negotiate:
            arguments = {'enable': ['oob']} if oob else None
            self.assertEqual(client.run('qmp_capabilities', arguments), {'return': {}})
        return client

    def assert_quits(self, process, client):
        client.send({'execute': 'quit'})
        self.assertEqual(process.wait(TIMEOUT), 0)

    def assert_terminates(self, process):
        process.send_signal(signal.SIGTERM)
        self.assertEqual(process.wait(TIMEOUT), 0)

    def assert_error(self, reply, error_class, words):
        self.assertIn('error', reply)
        self.assertEqual(reply['error']['class'], error_class)
        self.assertIn(words, reply['error']['desc'])


def main():
    from vmtools import tap
    tap.main()
