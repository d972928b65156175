# SPDX-License-Identifier: GPL-2.0-or-later
"""Starts and drives emulators as QEMU's C test library does, for test_driving.py and test_suite.py.

The program is started by a shell, connects to two sockets on which we listen, one for the qtest
protocol and one for QMP, and is ended by SIGTERM, upon which its status has to be 0. There is also
the usual guest of such suites, a boot sector that is written here byte by byte: it relies on
nothing but what a PC's firmware leaves, and on none of this project's own guests.
"""

import array
import json
import os
import select
import signal
import socket
import struct
import subprocess
import sys
import tempfile
import time
import unittest

from vmtools import programs

TIMEOUT = 60
MIB, PAGE = 1 << 20, 4096
GUEST_START = MIB
ENDED = ('completed', 'failed', 'cancelled')


class Refused(Exception):
    """A command was answered with an error."""

    def __init__(self, command, error):
        super().__init__(f'{command}: {error}')
        self.error_class = error['class']
        self.desc = error['desc']


class Gone(Exception):
    """The program has closed a connection, or ended."""


def boot_sector(start=GUEST_START, end=8 * MIB, rounds=1, suspend=False):
    """A guest that writes `A`, adds one to the first byte of each page of a range for ever, and
    writes `B` after each `rounds` rounds (up to 255). With `suspend` it falls asleep (S3) instead
    of the first letter of its first life; a word behind the range says that there was one."""
    base = 0x7c00
    gdt = struct.pack('<QQQ', 0, 0x00cf9b000000ffff, 0x00cf93000000ffff)

    def word(value):
        return struct.pack('<I', value & 0xffffffff)

    def real_mode(protected, pointer):
        return (b'\xfa\x31\xc0\x8e\xd8'                                 # cli; ds = 0
                b'\x66\x0f\x01\x16' + struct.pack('<H', pointer) +      # lgdt
                b'\x0f\x20\xc0\x0c\x01\x0f\x22\xc0'                     # cr0 |= 1
                b'\x66\xea' + word(protected) + b'\x08\x00')            # far jump
    size = len(real_mode(0, 0))
    code = bytearray(b'\x66\xb8\x10\x00\x8e\xd8'                        # ds = flat data
                     b'\xe4\x92\x0c\x02\xe6\x92'                        # A20 by port 0x92
                     b'\x66\xba\xf8\x03\xb0A\xee')                      # 'A' to port 0x3f8
    clear = b'\xc6\x07\x00'                                             # byte [edi] = 0
    step = b'\x81\xc7' + word(PAGE) + b'\x81\xff' + word(end)           # edi += PAGE; edi : end

    def loop(body):
        inner = body + step
        return b'\xbf' + word(start) + inner + b'\x72' + struct.pack('b', -(len(inner) + 2))
    code += loop(clear) + b'\xb3' + bytes([rounds])                     # bl = rounds
    once = len(code)
    code += loop(b'\xfe\x07')                                           # inc byte [edi]
    tail = b'\xb0B\xee\xb3' + bytes([rounds])                          # 'B'; bl = rounds
    if suspend:
        asleep = (b'\xc7\x05' + word(end) + word(0x5a5a5a5a) +          # remember it
                  b'\xb0\xf1\xe6\xb2'                                   # 0xf1 to port 0xb2
                  b'\x66\xb8\x01\x24\x66\xba\x04\x06\x66\xef'           # 0x2401 to port 0x604
                  b'\xeb\xfe')                                          # for ever, if need be
        tail = (b'\x81\x3d' + word(end) + word(0x5a5a5a5a) + b'\x74' + bytes([len(asleep)]) +
                asleep + tail)
    code += b'\xfe\xcb\x75' + bytes([len(tail)]) + tail                # each `rounds` rounds
    code += b'\xe9' + word(once - (len(code) + 5))
    table = base + size + len(code) + 6
    sector = real_mode(base + size, table - 6) + code + struct.pack('<HI', len(gdt) - 1, table) + gdt
    assert len(sector) <= 510
    return sector.ljust(510, b'\0') + b'\x55\xaa'


class Program:
    """One emulator. Events are kept in `events`, in their order, until somebody takes them."""

    def __init__(self, binary, arguments, directory, name='vm', qtest_accel=True):
        self.name = name
        self.events = []
        self._buffer = b''
        self.stdout = open(os.path.join(directory, name + '.stdout'), 'w+b')
        self._stderr = open(os.path.join(directory, name + '.stderr'), 'w+b')
        listeners, paths = [], []
        for kind in ('qtest', 'qmp'):
            path = os.path.join(directory, f'{name}.{kind}')
            listener = socket.socket(socket.AF_UNIX)
            listener.bind(path)
            listener.listen(1)
            paths.append(path)
            listeners.append(listener)
        line = (f'exec {binary} -qtest unix:{paths[0]} -qtest-log /dev/null '
                f'-chardev socket,path={paths[1]},id=char0 -mon chardev=char0,mode=control '
                f'-display none -audio none {arguments}' + (' -accel qtest' if qtest_accel else ''))
        self.process = subprocess.Popen(['/bin/sh', '-c', line], stdin=subprocess.DEVNULL,
                                        stdout=self.stdout, stderr=self._stderr)
        try:
            self.qtest, self.qmp = (self._accept(listener) for listener in listeners)
        except BaseException:
            self.process.kill()
            self.process.wait()
            raise
        finally:
            for listener in listeners:
                listener.close()
            for path in paths:
                os.unlink(path)
        self._lines = self.qtest.makefile('rb')
        # Before anybody has read the greeting
        self.endianness = self.ask('endianness')
        self.greeting = self.message()
        self.negotiation = None

    def _accept(self, listener):
        deadline = time.monotonic() + TIMEOUT
        while time.monotonic() < deadline:
            if select.select([listener], [], [], 0.02)[0]:
                connection = listener.accept()[0]
                connection.settimeout(TIMEOUT)
                return connection
            if self.process.poll() is not None:
                raise Gone(f'{self.name} ended with {self.process.returncode}: {self.stderr()}')
        raise Gone(f'{self.name} does not connect: {self.stderr()}')

    def stderr(self):
        with open(self._stderr.name, encoding='utf-8', errors='replace') as f:
            return f.read()

    # ---- qtest ----

    def ask(self, line):
        """The words behind OK."""
        self.qtest.sendall(line.encode() + b'\n')
        reply = self._lines.readline()
        if not reply.endswith(b'\n'):
            raise Gone(f'{self.name}: qtest ended')
        words = reply.decode().split()
        if words[:1] != ['OK']:
            raise AssertionError(f'{line}: {words}')
        return words[1] if len(words) > 1 else None

    def read_byte(self, address):
        return int(self.ask(f'readb {address:#x}'), 16)

    # ---- QMP ----

    def message(self, timeout=TIMEOUT):
        deadline = time.monotonic() + timeout
        while b'\n' not in self._buffer:
            left = deadline - time.monotonic()
            if left <= 0 or not select.select([self.qmp], [], [], left)[0]:
                raise AssertionError(f'{self.name}: nothing comes from QMP')
            data = self.qmp.recv(1 << 16)
            if not data:
                raise Gone(f'{self.name}: QMP ended')
            self._buffer += data
        line, self._buffer = self._buffer.split(b'\n', 1)
        return json.loads(line)

    def send(self, request, fds=()):
        rights = [(socket.SOL_SOCKET, socket.SCM_RIGHTS, array.array('i', fds))] if fds else []
        self.qmp.sendmsg([json.dumps(request).encode()], rights)

    def reply(self):
        """The first object that is no event."""
        while True:
            message = self.message()
            if 'event' not in message:
                return message
            self.events.append(message)

    def negotiate(self, arguments=None):
        request = {'execute': 'qmp_capabilities'}
        if arguments:
            request['arguments'] = arguments
        self.send(request)
        self.negotiation = self.message()       # no event may come before
        return self

    def execute(self, name, /, fds=(), oob=False, **arguments):
        request = {'exec-oob' if oob else 'execute': name}
        if arguments:
            request['arguments'] = {k.replace('_', '-'): v for k, v in arguments.items()}
        self.send(request, fds)
        return self.reply()

    def command(self, name, /, **kwargs):
        reply = self.execute(name, **kwargs)
        if 'error' in reply:
            raise Refused(name, reply['error'])
        return reply['return']

    def error(self, name, /, **kwargs):
        """The error that a command has to give."""
        reply = self.execute(name, **kwargs)
        if 'error' not in reply:
            raise AssertionError(f'{name} {kwargs} succeeded: {reply}')
        return reply['error']

    def hmp(self, line):
        return self.command('human-monitor-command', command_line=line)

    def wait_event(self, name, timeout=TIMEOUT, **data):
        """Takes the first such event; those before it stay."""
        while True:
            for i, event in enumerate(self.events):
                if event['event'] == name and data.items() <= event.get('data', {}).items():
                    return self.events.pop(i)
            message = self.message(timeout)
            if 'event' not in message:
                raise AssertionError(f'a reply that nobody waits for: {message}')
            self.events.append(message)

    def take_events(self, *names):
        """All that have come so far with these names, or any."""
        self.command('query-name')
        taken = [e for e in self.events if not names or e['event'] in names]
        self.events = [e for e in self.events if e not in taken]
        return taken

    def run_state(self):
        return self.command('query-status')['status']

    # ---- migration, as such suites do it ----

    def set_capability(self, name, state=True):
        self.command('migrate-set-capabilities', capabilities=[{'capability': name, 'state': state}])

    def set_parameter(self, name, value):
        self.command('migrate-set-parameters', **{name: value})
        got = self.command('query-migrate-parameters')[name]
        if got != value:
            raise AssertionError(f'{name} is {got!r}, not {value!r}')

    def migration(self):
        return self.command('query-migrate')

    def wait_migration(self, goal, not_these=()):
        """Asks until the status is `goal`; a status that cannot lead there is an error."""
        deadline = time.monotonic() + TIMEOUT
        while time.monotonic() < deadline:
            info = self.migration()
            status = info.get('status')
            if status == goal:
                return info
            if status in not_these or (status in ENDED and not (status == 'cancelled' and goal in ENDED)):
                break
            time.sleep(0.001)
        raise AssertionError(f'{self.name}: {goal} was expected: {info}')

    def wait_run_state(self, goal):
        deadline = time.monotonic() + TIMEOUT
        while self.run_state() != goal:
            if time.monotonic() > deadline:
                raise AssertionError(f'{self.name}: {goal} was expected: {self.run_state()}')
            time.sleep(0.001)

    def bound_address(self):
        """Where an incoming migration listens, as a URI."""
        address = self.migration()['socket-address'][0]
        if address['type'] == 'unix':
            return 'unix:' + address['path']
        return f"tcp:{address['host']}:{address['port']}"

    # ---- end ----

    def wait_end(self, timeout=TIMEOUT):
        """The exit status of a program that ends by itself."""
        try:
            return self.process.wait(timeout)
        finally:
            self._close()

    def terminate(self, timeout=20):
        """SIGTERM; answers the status, which has to be 0."""
        if self.process.poll() is None:
            self.process.send_signal(signal.SIGTERM)
        try:
            return self.wait_end(timeout)
        except subprocess.TimeoutExpired:
            self.process.kill()
            self.process.wait()
            return 'killed: SIGTERM was not enough'

    def _close(self):
        for file in (self._lines, self.qtest, self.qmp, self._stderr, self.stdout):
            file.close()


class DrivingTest(unittest.TestCase):
    """A directory, and programs that have to end with status 0 when they are told to."""
    program = programs.GODWIT
    accel = os.environ.get('DRIVING_ACCEL', '-accel kvm -accel tcg')

    @property
    def binary(self):
        return programs.find(self.program)

    @property
    def is_godwit(self):
        return self.program == programs.GODWIT

    def setUp(self):
        reason = programs.why_missing(self.program)
        if reason:
            self.skipTest(reason)
        holder = tempfile.TemporaryDirectory(prefix='godwit-driving-')
        self.addCleanup(holder.cleanup)
        self.directory = holder.name
        self.count = 0

    def path(self, name):
        return os.path.join(self.directory, name)

    def launch(self, arguments='-machine none', name=None, negotiate=True):
        self.count += 1
        vm = Program(self.binary, arguments, self.directory, name or f'vm{self.count}',
                     qtest_accel=self.is_godwit or '-accel' in arguments)
        self.addCleanup(self.end, vm)
        return vm.negotiate() if negotiate else vm

    def end(self, vm):
        if vm.process.returncode is None and vm.process.poll() is None:
            self.assertEqual(vm.terminate(), 0, f'{vm.name}: {self.whole_stderr(vm)}')
        elif not vm.stdout.closed:
            vm.wait_end()
            self.fail(f'{vm.name} ended by itself: {vm.process.returncode} {self.whole_stderr(vm)}')

    def whole_stderr(self, vm):
        with open(self.path(vm.name + '.stderr'), encoding='utf-8', errors='replace') as f:
            return f.read()


def with_both(base):
    """Makes two classes of tests of one: with this program and with the newer real QEMU."""
    module = sys.modules[base.__module__]
    for name, suffix, accel in (
            (programs.GODWIT, 'Godwit', DrivingTest.accel),
            # Firmware takes long in real QEMU on a nested KVM
            (programs.NEWER, 'NewerQemu', '-accel tcg')):
        made = type(base.__name__ + suffix, (base, DrivingTest),
                    {'program': name, 'accel': accel, '__module__': base.__module__})
        setattr(module, made.__name__, made)
    return base
