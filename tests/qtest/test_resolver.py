#!/usr/bin/env python3
# SPDX-License-Identifier: GPL-2.0-or-later
"""Names that nobody resolves: a migration to one can be cancelled, another one begun, the program ended.

The emulator runs in a network namespace of its own, in which the name server answers so many questions and
then no more, and in a mount namespace in which it is the one to be asked (root, or a user namespace;
skipped where neither is allowed).
"""

import os
import shutil
import subprocess
import sys
import tempfile
import time
import unittest

HERE = os.path.dirname(os.path.abspath(__file__))
sys.path[:0] = [os.path.join(HERE, '..', '..', 'scripts')]

from vmtools import migrate, tap                                                # noqa: E402
from vmtools.machine import Machine                                             # noqa: E402

BINARY = os.environ.get('QTEST_QEMU_BINARY', 'build/godwit-system-x86_64')
TIMEOUT = float(os.environ.get('QTEST_TIMEOUT') or 60)
NAME = 'godwit.example'
UNSHARE = ['unshare', '--mount', '--net'] if os.geteuid() == 0 \
    else ['unshare', '--user', '--map-root-user', '--mount', '--net']

# In the namespaces: DIRECTORY, how many questions are answered, and what to run then. Every question adds a
# byte to the file "asked". Port 4444 takes connections and says nothing.
INSIDE = r'''
import ctypes, fcntl, os, signal, socket, struct, subprocess, sys, threading
directory, answers = sys.argv[1], int(sys.argv[2])
lo = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
fcntl.ioctl(lo, 0x8914, struct.pack('16sH14x', b'lo', 0x41))            # SIOCSIFFLAGS: up, running
conf = directory + '/resolv.conf'
with open(conf, 'w') as f:
    f.write('nameserver 127.0.0.1\noptions timeout:30 attempts:5\n')
with open(directory + '/nsswitch.conf', 'w') as f:
    f.write('hosts: dns\n')
for name in ('resolv.conf', 'nsswitch.conf'):
    subprocess.run(['mount', '--bind', directory + '/' + name, os.path.realpath('/etc/' + name)], check=True)
server = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
server.bind(('127.0.0.1', 53))
listener = socket.socket(socket.AF_INET, socket.SOCK_STREAM)
listener.bind(('127.0.0.1', 4444))
listener.listen(64)
parent = os.getpid()
if os.fork():
    server.close()
    listener.close()
    os.execv(sys.argv[3], sys.argv[3:])
ctypes.CDLL(None).prctl(1, signal.SIGKILL)                              # with its parent
if os.getppid() != parent:
    sys.exit()
for fd in range(3):
    os.dup2(os.open('/dev/null', os.O_RDWR), fd)
kept = []

def accept():
    while True:
        kept.append(listener.accept())

threading.Thread(target=accept, daemon=True).start()
asked = os.open(directory + '/asked', os.O_CREAT | os.O_WRONLY | os.O_APPEND)
while True:
    query, peer = server.recvfrom(4096)
    os.write(asked, b'.')
    if answers > 0:
        answers -= 1
        end = query.index(b'\0', 12) + 5
        kind = query[end - 3]
        found = b'\xc0\x0c\0\1\0\1\0\0\0\0\0\4\x7f\0\0\1' if kind == 1 else b''
        server.sendto(query[:2] + b'\x81\x80\0\1' + (b'\0\1' if found else b'\0\0') + b'\0\0\0\0'
                      + query[12:end] + found, peer)
'''


def why_not():
    if not shutil.which('unshare') or not shutil.which('mount'):
        return 'there is no unshare (util-linux)'
    bind = ' && '.join(f'mount --bind {p} {p}' for p in ('/etc/resolv.conf', '/etc/nsswitch.conf'))
    done = subprocess.run([*UNSHARE, 'sh', '-c', bind], check=False, capture_output=True, text=True)
    return f'no namespaces here: {done.stderr.strip()}' if done.returncode else None


class Resolver(unittest.TestCase):
    @classmethod
    def setUpClass(cls):
        missing = why_not()
        if missing:
            raise unittest.SkipTest(missing)

    def setUp(self):
        self.directory = tempfile.TemporaryDirectory(prefix='godwit-')
        self.addCleanup(self.directory.cleanup)

    def path(self, name):
        return os.path.join(self.directory.name, name)

    def machine(self, name, answers=None, extra=()):
        binary, arguments = BINARY, ['-machine', 'none', '-m', '16M', *extra]
        if answers is not None:
            with open(self.path('inside.py'), 'w', encoding='ascii') as f:
                f.write(INSIDE)
            binary = self.path('run')
            with open(binary, 'w', encoding='ascii') as f:
                f.write(f'#!/bin/sh\nexec {" ".join(UNSHARE)} {sys.executable} '
                        f'{self.path("inside.py")} {self.directory.name} {answers} '
                        f'{os.path.abspath(shutil.which(BINARY))} "$@"\n')
            os.chmod(binary, 0o755)
        machine = Machine(binary, arguments, name, self.directory.name, TIMEOUT)
        self.addCleanup(machine.end)
        return machine

    def wait(self, condition, what):
        deadline = time.monotonic() + TIMEOUT
        while not condition():
            self.assertLess(time.monotonic(), deadline, what)
            time.sleep(0.01)

    def wait_asked(self, questions):
        path = self.path('asked')
        self.wait(lambda: os.path.exists(path) and os.path.getsize(path) >= questions,
                  'the name server is asked')

    def status(self, machine):
        return machine.command('query-migrate').get('status')

    def goes_on(self, source):
        """Another migration works, while the question is still open."""
        there = self.machine('there', extra=('-incoming', 'unix:' + self.path('socket')))
        source.command('migrate', uri='unix:' + self.path('socket'))
        self.assertEqual(migrate.wait_status(source, timeout=TIMEOUT)['status'], 'completed')
        self.assertEqual(migrate.wait_status(there, timeout=TIMEOUT)['status'], 'completed')

    def cancels(self, source, questions):
        source.command('migrate', uri=f'tcp:{NAME}:4444')
        self.wait_asked(questions)
        self.assertIn(self.status(source), ('setup', 'active'))
        source.command('migrate_cancel')
        self.wait(lambda: self.status(source) == 'cancelled', 'it is cancelled')

    def test_cancel(self):
        source = self.machine('source', 0)
        self.cancels(source, 1)
        self.goes_on(source)
        self.assertEqual(source.quit(), 0)

    def test_cancel_often(self):
        """Each leaves a question behind."""
        source = self.machine('source', 0)
        for i in range(20):
            self.cancels(source, i + 1)
        self.goes_on(source)
        self.assertEqual(source.quit(), 0)

    def test_quit(self):
        source = self.machine('source', 0)
        source.command('migrate', uri=f'tcp:{NAME}:4444')
        self.wait_asked(1)
        self.assertEqual(source.quit(), 0)

    def test_cancel_multifd(self):
        """The main channel is there. Its name is asked for again for the others."""
        source = self.machine('source', 2)
        migrate.set_up(source, ('multifd',), {'multifd-channels': 2})
        self.cancels(source, 3)
        migrate.set_up(source)
        source.command('migrate-set-capabilities',
                       capabilities=[{'capability': 'multifd', 'state': False}])
        self.goes_on(source)
        self.assertEqual(source.quit(), 0)

    def test_cancel_preempt(self):
        """Postcopy's second channel, here made before the first byte."""
        source = self.machine('source', 2, ('-global', 'migration.x-preempt-pre-7-2=on'))
        migrate.set_up(source, ('postcopy-ram', 'postcopy-preempt'))
        self.cancels(source, 3)
        source.command('migrate-set-capabilities', capabilities=[
            {'capability': name, 'state': False} for name in ('postcopy-preempt', 'postcopy-ram')])
        self.goes_on(source)
        self.assertEqual(source.quit(), 0)

    def test_quit_multifd(self):
        source = self.machine('source', 2)
        migrate.set_up(source, ('multifd',), {'multifd-channels': 2})
        source.command('migrate', uri=f'tcp:{NAME}:4444')
        self.wait_asked(3)
        self.assertEqual(source.quit(), 0)


if __name__ == '__main__':
    tap.main()
