#!/usr/bin/env python3
# SPDX-License-Identifier: GPL-2.0-or-later
"""The qtest protocol server, end to end: every command's answer, nonsense, long lines, speed, and
a machine that stays what it is while clients come and go.

QTEST_QEMU_BINARY names the emulator.
"""

import base64
import os
import random
import signal
import socket
import subprocess
import sys
import tempfile
import time
import unittest

sys.path.insert(0, os.path.join(os.path.dirname(os.path.abspath(__file__)), '..', '..', 'scripts'))

from vmtools import tap                                                         # noqa: E402

BINARY = os.environ.get('QTEST_QEMU_BINARY', 'build/godwit-system-x86_64')


class Client:
    """A connection: a line out, a line in."""

    def __init__(self, sock):
        self.sock = sock
        self.sock.settimeout(60)
        self.rest = bytearray()

    def line(self):
        while True:
            end = self.rest.find(b'\n')
            if end >= 0:
                out = bytes(self.rest[:end])
                del self.rest[:end + 1]
                return out.decode('latin-1')
            chunk = self.sock.recv(1 << 20)
            if not chunk:
                raise EOFError
            self.rest += chunk

    def __call__(self, text):
        self.sock.sendall((text.encode('latin-1') if isinstance(text, str) else text) + b'\n')
        return self.line()

    def close(self):
        self.sock.close()


class Base(unittest.TestCase):
    machine = 'none'
    accel = 'qtest'
    more = []

    def setUp(self):
        self.directory = tempfile.TemporaryDirectory(prefix='godwit-')
        self.addCleanup(self.directory.cleanup)
        self.path = os.path.join(self.directory.name, 'qtest.sock')
        self.log = os.path.join(self.directory.name, 'qtest.log')
        self.process = None
        self.start()

    def start(self):
        listener = socket.socket(socket.AF_UNIX)
        listener.bind(self.path)
        listener.listen(1)
        listener.settimeout(30)
        self.launch('unix:' + self.path)
        self.q = Client(listener.accept()[0])
        listener.close()

    def launch(self, chardev):
        self.errors = open(os.path.join(self.directory.name, 'stderr'), 'w+b')
        self.addCleanup(self.errors.close)
        self.process = subprocess.Popen(
            [BINARY, '-machine', self.machine, '-accel', self.accel, '-m', '64M', '-nodefaults',
             '-display', 'none', '-serial', 'null', '-qtest', chardev,
             '-qtest-log', self.log] + self.more,
            stdin=subprocess.DEVNULL, stdout=self.errors, stderr=self.errors,
            # With AddressSanitizer freed memory is kept for a while otherwise.
            env=os.environ | {'ASAN_OPTIONS': os.environ.get('ASAN_OPTIONS', '') +
                              ':quarantine_size_mb=1'})
        self.addCleanup(self.end)

    def end(self):
        if self.process.poll() is None:
            self.process.send_signal(signal.SIGTERM)
            status = self.process.wait(30)
            self.errors.seek(0)
            self.assertEqual(status, 0, self.errors.read().decode('utf-8', 'replace'))

    def tearDown(self):
        self.assertIsNone(self.process.poll(), 'the emulator ended')
        self.q.close()
        self.end()


class Commands(Base):
    def test_endianness(self):
        self.assertEqual(self.q('endianness'), 'OK little')

    def test_sizes(self):
        q = self.q
        self.assertEqual(q('writeq 0x1000 0x0102030405060708'), 'OK')
        self.assertEqual(q('readb 0x1000'), 'OK 0x0000000000000008')
        self.assertEqual(q('readw 0x1000'), 'OK 0x0000000000000708')
        self.assertEqual(q('readl 0x1000'), 'OK 0x0000000005060708')
        self.assertEqual(q('readq 0x1000'), 'OK 0x0102030405060708')
        self.assertEqual(q('writeb 0x1000 0x1ff'), 'OK')
        self.assertEqual(q('writew 0x1002 0xabcd'), 'OK')
        self.assertEqual(q('writel 0x1004 0xdeadbeef'), 'OK')
        self.assertEqual(q('readq 0x1000'), 'OK 0xdeadbeefabcd07ff')
        self.assertEqual(q('readq 4096'), 'OK 0xdeadbeefabcd07ff')
        self.assertEqual(q('readl 010004'), 'OK 0x00000000deadbeef')

    def test_read_and_write(self):
        q = self.q
        self.assertEqual(q('write 0x1000 0x4 0x0102030A'), 'OK')
        self.assertEqual(q('read 0x1000 0x4'), 'OK 0x0102030a')
        self.assertEqual(q('write 0x1000 0x4 0x55'), 'OK')
        self.assertEqual(q('read 0x1000 0x4'), 'OK 0x55000000')
        self.assertEqual(q('write 0x1000 0x2 0x0102030405'), 'OK')
        self.assertEqual(q('read 0x1000 0x4'), 'OK 0x01020000')
        self.assertEqual(q('write 0x1000 0x0 0x'), 'ERR invalid argument size')
        self.assertTrue(q('read 0x1000 0').startswith('FAIL'))
        self.assertTrue(q('write 0x1000 2 0x12zz').startswith('FAIL'))
        self.assertEqual(q('read 0x1000 0x4'), 'OK 0x01020000')

    def test_memset(self):
        q = self.q
        self.assertEqual(q('memset 0x1000 0x10 0xaa'), 'OK')
        self.assertEqual(q('read 0xfff 0x12'), 'OK 0x00' + 'aa' * 16 + '00')
        self.assertEqual(q('memset 0x1000 0x0 0xbb'), 'OK')
        self.assertEqual(q('readb 0x1000'), 'OK 0x00000000000000aa')

    def test_base64(self):
        q = self.q
        data = bytes(range(256)) * 64
        text = base64.b64encode(data).decode()
        self.assertEqual(q(f'b64write 0x3000 {len(data):#x} {text}'), 'OK')
        self.assertEqual(q(f'b64read 0x3000 {len(data):#x}'), 'OK ' + text)
        self.assertEqual(q(f'read 0x3000 {len(data):#x}'), 'OK 0x' + data.hex())
        self.assertEqual(q('b64read 0x3000 0x0'), 'OK ')
        self.assertEqual(q('b64write 0x3000 0x2 /////w=='), 'OK')
        self.assertEqual(q('read 0x3000 0x4'), 'OK 0xffff0203')

    def test_beyond_memory(self):
        self.assertEqual(self.q('read 0xfffffffffffff000 0x10'), 'OK 0x' + '00' * 16)
        self.assertEqual(self.q('write 0x100000000000 0x2 0x1234'), 'OK')
        self.assertEqual(self.q('read 0x100000000000 0x2'), 'OK 0x0000')
        self.assertEqual(self.q('writeb 0x3ffffff 0x77'), 'OK')
        self.assertEqual(self.q('read 0x3ffffff 0x2'), 'OK 0x7700')

    def test_ports(self):
        q = self.q
        self.assertEqual(q('inb 0x9999'), 'OK 0x00ff')
        self.assertEqual(q('inw 0x9999'), 'OK 0xffff')
        self.assertEqual(q('inl 0x9999'), 'OK 0xffffffff')
        for command in ('outb', 'outw', 'outl'):
            self.assertEqual(q(f'{command} 0x9999 0x12'), 'OK')
        self.assertTrue(q('inb 0x10000').startswith('FAIL'))
        self.assertTrue(q('outb 0x10000 1').startswith('FAIL'))

    def test_clock(self):
        q = self.q
        self.assertEqual(q('clock_step 1000'), 'OK 1000')
        self.assertEqual(q('clock_step 500'), 'OK 1500')
        self.assertEqual(q('clock_set 99'), 'OK 1500')      # never back
        self.assertEqual(q('clock_set 2000000000'), 'OK 2000000000')
        self.assertEqual(q('clock_step'), 'OK 2000000000')  # no timer is waiting
        for bad in ('clock_step -1', 'clock_step x', 'clock_set', 'clock_set -1',
                    'clock_step 9223372036854775807'):
            self.assertTrue(q(bad).startswith('FAIL'), bad)
        self.assertEqual(q('clock_step'), 'OK 2000000000')

    def test_irq_without_device(self):
        self.assertEqual(self.q('irq_intercept_in nothing'), 'FAIL Unknown device')
        self.assertEqual(self.q('irq_intercept_out /machine'), 'FAIL Unknown device')
        self.assertEqual(self.q('set_irq_in nothing unnamed-gpio-in 0 1'), 'FAIL Unknown device')

    def test_the_rest(self):
        self.assertEqual(self.q('module_load anything at-all'), 'OK')
        self.assertEqual(self.q('rtas a 1 1 1 1 1'), "FAIL Unknown command 'rtas'")

    def test_log(self):
        self.q('endianness')
        with open(self.log, encoding='ascii') as f:
            lines = f.read().splitlines()
        self.assertRegex(lines[0], r'^\[I \d+\.\d{6}\] OPENED$')
        self.assertRegex(lines[1], r'^\[R \+\d+\.\d{6}\] endianness$')
        self.assertRegex(lines[2], r'^\[S \+\d+\.\d{6}\] OK little$')


class Lines(Base):
    machine = 'microvm'

    def test_watching_inputs(self):
        """The serial port asks for an interrupt when its transmitter is empty."""
        q = self.q
        self.assertEqual(q('irq_intercept_in ioapic'), 'OK')
        self.assertEqual(q('irq_intercept_in ioapic'), 'OK')
        self.assertEqual(q('irq_intercept_in /machine/ioapic'), 'OK')
        self.assertEqual(q('outb 0x3fc 0x8'), 'OK')         # OUT2 lets interrupts through
        self.assertEqual(q('outb 0x3f9 0x2'), 'IRQ raise 4')
        self.assertEqual(q.line(), 'OK')
        self.assertEqual(q('outb 0x3f9 0x0'), 'IRQ lower 4')
        self.assertEqual(q.line(), 'OK')
        self.assertEqual(q('set_irq_in ioapic unnamed-gpio-in 5 1'), 'IRQ raise 5')
        self.assertEqual(q.line(), 'OK')
        self.assertTrue(q('set_irq_in ioapic unnamed-gpio-in 99 1').startswith('FAIL'))
        self.assertTrue(q('set_irq_in ioapic nothing 0 1').startswith('FAIL'))

    def test_interrupt_timer(self):
        """100 Hz from the interval timer, by a clock that moves when it is told to."""
        q = self.q
        self.assertEqual(q('irq_intercept_in ioapic'), 'OK')
        for port, value in ((0x43, 0x34), (0x40, 11932 & 0xff), (0x40, 11932 >> 8)):
            q.sock.sendall(b'outb %#x %#x\n' % (port, value))
            while q.line() != 'OK':
                pass
        rises = 0
        for _ in range(20):
            q.sock.sendall(b'clock_step 10000000\n')
            while not (line := q.line()).startswith('OK'):
                rises += line == 'IRQ raise 2'      # where PCs have interrupt 0
        self.assertIn(rises, (19, 20, 21))


class Nonsense(Base):
    def test_bad_words(self):
        q = self.q
        for bad in ('', ' ', 'foo', 'foo bar', ' readb 0x1000', 'readb', 'readb x',
                    'readb  0x1000', 'readb 0x1000\r', 'readb\t0x1000', 'writeb 0x1000',
                    'writeb 0x1000 ', 'read 0x1000', 'memset 0x1000 1', 'memset 0x1000 1 x',
                    'b64read', 'b64write 0 4', 'endianness\r', 'irq_intercept_in', 'set_irq_in a',
                    'readb 0x10000000000000000', 'readb -1', 'in', 'inq 0', 'a' * 70000,
                    'read 0 0x7fffffffffffffff', 'b64read 0 0xffffffffffffffff',
                    'memset 0 0x7fffffffffffffff 1', 'readb 0x\x00', '\xff\xfe'):
            self.assertTrue(q(bad).startswith('FAIL'), repr(bad[:50]))
        self.assertEqual(q('foo'), "FAIL Unknown command 'foo'")
        self.assertEqual(q('endianness'), 'OK little')

    def test_pieces(self):
        """A line may come byte by byte, and many may come at once."""
        for c in b'endianness\n':
            self.q.sock.sendall(bytes([c]))
            time.sleep(0.001)
        self.assertEqual(self.q.line(), 'OK little')
        self.q.sock.sendall(b'readb 0x1000\n' * 10000)
        for _ in range(10000):
            self.assertEqual(self.q.line(), 'OK 0x0000000000000000')

    def test_long_lines(self):
        data = os.urandom(8 << 20)
        self.assertEqual(self.q(f'write 0x100000 {len(data):#x} 0x' + data.hex()), 'OK')
        self.assertEqual(self.q(f'read 0x100000 {len(data):#x}'), 'OK 0x' + data.hex())
        self.assertTrue(self.q(b'x' * (200 << 20)).startswith('FAIL'))
        self.assertEqual(self.q('endianness'), 'OK little')

    def resident(self):
        with open(f'/proc/{self.process.pid}/statm', encoding='ascii') as f:
            return int(f.read().split()[1]) * os.sysconf('SC_PAGE_SIZE')

    def test_bounded_memory(self):
        """What one client sends does not stay."""
        self.q('endianness')
        before = self.resident()
        self.q(b'y' * (100 << 20))
        self.q('endianness')
        self.assertLess(self.resident(), before + (60 << 20))

    def test_unread_answers(self):
        """A client that sends and does not read is held back, and nothing is lost."""
        self.q.sock.setblocking(False)
        sent = 0
        deadline = time.monotonic() + 2
        request = b'read 0x0 0x8000\n'
        left = request
        while time.monotonic() < deadline:
            try:
                n = self.q.sock.send(left)
            except BlockingIOError:
                time.sleep(0.01)
                continue
            left = left[n:]
            if not left:
                sent += 1
                left = request
        self.q.sock.settimeout(60)
        if left != request:
            # The rest of the line that was begun, once there is room: read as we go.
            expected = 'OK 0x' + '00' * 0x8000
            self.assertEqual(self.q.line(), expected)
            sent -= 1
            for _ in range(min(sent, 50)):
                self.assertEqual(self.q.line(), expected)
                sent -= 1
            self.q.sock.sendall(left)
            sent += 1
        for _ in range(sent):
            self.assertEqual(len(self.q.line()), 5 + 2 * 0x8000)
        self.assertEqual(self.q('endianness'), 'OK little')

    def test_random(self):
        rand = random.Random(1)
        words = [b'read', b'readb', b'write', b'writeq', b'memset', b'b64read', b'b64write',
                 b'inb', b'outl', b'clock_step', b'irq_intercept_in', b'set_irq_in', b'0x1000',
                 b'0x10', b'-1', b'0xffffffffffffffff', b'', b'\xff', b'/machine', b'99', b'AAAA',
                 b'0x', b'\0', b'machine', b'unnamed-gpio-in', b'%s%n']
        for _ in range(5000):
            line = b' '.join(rand.choice(words) for _ in range(rand.randrange(7)))
            self.assertRegex(self.q(line), r'^(OK|FAIL|ERR)')


class Speed(Base):
    def test_one_byte_reads(self):
        start = time.monotonic()
        for i in range(20000):
            self.q(f'readb {i * 1000:#x}')
        each = (time.monotonic() - start) / 20000
        print(f'# {each * 1e6:.0f} us a read')
        self.assertLess(each, 1e-3)


class Server(Base):
    def start(self):
        self.launch(f'unix:{self.path},server=on,wait=off')
        self.q = self.connect()

    def connect(self):
        deadline = time.monotonic() + 30
        while True:
            sock = socket.socket(socket.AF_UNIX)
            try:
                sock.connect(self.path)
                return Client(sock)
            except OSError:
                sock.close()
                if time.monotonic() > deadline:
                    raise
                time.sleep(0.01)

    def test_clients_in_turn(self):
        self.assertEqual(self.q('writeb 0x1000 0x42'), 'OK')
        for i in range(20):
            self.q.sock.sendall(b'half a li' if i % 2 else b'read 0 0x100000\n')
            self.q.close()
            self.q = self.connect()
            self.assertEqual(self.q('readb 0x1000'), 'OK 0x0000000000000042')


class WithoutClock(Base):
    accel = 'tcg'

    def setUp(self):
        found = subprocess.run([BINARY, '-accel', 'help'], capture_output=True, text=True)
        if 'tcg' not in found.stdout.split():
            self.skipTest('built without TCG')
        super().setUp()

    def test_clock_is_not_ours(self):
        self.assertEqual(self.q('clock_step 1'), "FAIL Unknown command 'clock_step'")
        self.assertEqual(self.q('writeb 0x1000 1'), 'OK')
        self.assertEqual(self.q('readb 0x1000'), 'OK 0x0000000000000001')


class CommandLine(unittest.TestCase):
    def test_errors(self):
        for arguments, text in (
                (['-qtest', 'unix:/nonexistent/socket'], '/nonexistent/socket'),
                (['-qtest', 'nonsense:x'], 'nonsense'),
                (['-qtest', 'null', '-qtest-log', '/nonexistent/log'], '/nonexistent/log')):
            done = subprocess.run([BINARY, '-machine', 'none', '-accel', 'qtest', '-nodefaults',
                                   '-display', 'none'] + arguments, stdin=subprocess.DEVNULL,
                                  capture_output=True, text=True, timeout=30)
            self.assertEqual(done.returncode, 1, arguments)
            self.assertIn(text, done.stderr)
            self.assertEqual(done.stdout, '')


if __name__ == '__main__':
    tap.main()
