#!/usr/bin/env python3
# SPDX-License-Identifier: GPL-2.0-or-later
"""The real-time clock of microvm (rtc=on), driven through qtest: the host's time in both number forms, setting
it, memory, alarm and periodic flags, and all of it after a migration to a file and back.

QTEST_QEMU_BINARY names the emulator.
"""

import calendar
import os
import socket
import struct
import subprocess
import sys
import tempfile
import time
import unittest

HERE = os.path.dirname(os.path.abspath(__file__))
sys.path.insert(0, os.path.join(HERE, '..', '..', 'scripts'))

from vmtools import tap                                                         # noqa: E402
from vmtools.stream import Stream                                               # noqa: E402

BINARY = os.environ.get('QTEST_QEMU_BINARY', 'build/godwit-system-x86_64')
TIME = (0, 2, 4, 7, 8, 9)


class Clock:
    """An emulator whose clock is read and written by port I/O."""

    def __init__(self, directory, *more):
        path = os.path.join(directory, f'qtest-{id(self):x}')
        with socket.socket(socket.AF_UNIX) as listener:
            listener.bind(path)
            listener.listen()
            listener.settimeout(20)
            self.process = subprocess.Popen(
                [BINARY, '-M', 'microvm,rtc=on', '-accel', 'qtest', '-m', '16M', '-nodefaults',
                 '-display', 'none', '-qtest', f'unix:{path}', '-qtest-log', '/dev/null',
                 '-monitor', 'stdio', *more],
                stdin=subprocess.PIPE, stdout=subprocess.DEVNULL)
            self.connection = listener.accept()[0]
        self.connection.settimeout(20)
        self.file = self.connection.makefile('rw')

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self.process.terminate()
        self.process.wait(20)
        self.file.close()
        self.connection.close()
        self.process.stdin.close()

    def ask(self, line):
        self.file.write(line + '\n')
        self.file.flush()
        words = self.file.readline().split()
        assert words[:1] == ['OK'], (line, words)
        return int(words[1], 0) if len(words) > 1 else None

    def read(self, register):
        self.ask(f'outb 0x70 {register:#x}')
        return self.ask('inb 0x71')

    def write(self, register, value):
        self.ask(f'outb 0x70 {register:#x}')
        self.ask(f'outb 0x71 {value:#x}')

    def seconds(self):
        """The time since 1970 that the registers show, read so that no update falls between."""
        while True:
            first, second = ([self.read(r) for r in TIME] for _ in range(2))
            if first == second:
                break
        if not self.read(11) & 4:
            first = [(v >> 4) * 10 + (v & 15) for v in first]
        sec, minute, hour, day, month, year = first
        return calendar.timegm((2000 + year, month, day, hour, minute, sec))

    def wait_flag(self, bit):
        end = time.monotonic() + 20
        while time.monotonic() < end:
            if self.read(12) & bit:
                return True
            time.sleep(0.02)
        return False


class Rtc(unittest.TestCase):
    def setUp(self):
        self.directory = tempfile.TemporaryDirectory(prefix='godwit-rtc-')
        self.addCleanup(self.directory.cleanup)

    def clock(self, *more):
        return Clock(self.directory.name, *more)

    def test_host_time(self):
        with self.clock() as c:
            for form in (2, 6):         # BCD, binary; 24 hours
                c.write(11, form)
                before = int(time.time())
                shown = c.seconds()
                self.assertLessEqual(before - 2, shown)
                self.assertLessEqual(shown, time.time() + 2)

    def test_set_time(self):
        with self.clock() as c:
            c.write(11, 0x82)
            for register, value in ((0, 0x50), (2, 0x59), (4, 0x23), (7, 0x31), (8, 0x12),
                                    (9, 0x29), (0x32, 0x20)):
                c.write(register, value)
            c.write(11, 2)
            want = calendar.timegm((2029, 12, 31, 23, 59, 50))
            self.assertLessEqual(0, c.seconds() - want)
            self.assertLess(c.seconds() - want, 10)

    def test_memory_and_flags(self):
        with self.clock() as c:
            c.write(0x40, 0xa5)
            self.assertEqual(c.read(0x40), 0xa5)
            self.assertEqual(c.read(13), 0x80)
            c.write(11, 0x42)           # periodic interrupt
            self.assertTrue(c.wait_flag(0x40))
            c.write(11, 0x02)
            for register in (1, 3, 5):
                c.write(register, 0xff)
            c.write(11, 0x22)           # an alarm that matches every second
            self.assertTrue(c.wait_flag(0x20))

    def wait_loaded(self, c):
        end = time.monotonic() + 20
        while c.read(0x40) != 0x5a and time.monotonic() < end:
            time.sleep(0.02)
        self.assertEqual(c.read(0x40), 0x5a)

    def test_migration(self):
        path = os.path.join(self.directory.name, 'stream')
        with self.clock() as c:
            c.write(0x40, 0x5a)
            c.write(11, 0x82)
            c.write(9, 0x40)
            c.write(11, 2)
            shown = c.seconds()
            c.process.stdin.write(f'migrate file:{path}\nquit\n'.encode())
            c.process.stdin.flush()
            c.process.wait(20)
        with self.clock('-incoming', f'file:{path}') as c:
            self.wait_loaded(c)
            self.assertLessEqual(0, c.seconds() - shown)
            self.assertLess(c.seconds() - shown, 30)

    def test_ticks_that_another_made_up_for(self):
        """A count that only others keep comes in a subsection, and goes on with the machine."""
        name = 'mc146818rtc/irq_reinject_on_ack_count'
        one, two, three = (os.path.join(self.directory.name, n) for n in ('one', 'two', 'three'))
        with self.clock() as c:
            c.write(0x40, 0x5a)
            c.process.stdin.write(f'migrate file:{one}\nquit\n'.encode())
            c.process.stdin.flush()
            c.process.wait(20)
        with open(one, 'rb') as f:
            data = f.read()
        sections = Stream(data).parse().sections
        self.assertNotIn(name.encode(), data)
        at = next(i for i, s in enumerate(sections) if s.get('name') == 'mc146818rtc')
        footer = sections[at + 1]['offset'] - 5
        more = b'\5' + bytes([len(name)]) + name.encode() + struct.pack('>IH', 1, 7)
        with open(two, 'wb') as f:
            f.write(data[:footer] + more + data[footer:])
        with self.clock('-incoming', f'file:{two}') as c:
            self.wait_loaded(c)
            end = time.monotonic() + 20
            while not os.path.exists(three) and time.monotonic() < end:
                # Refused until the rest of the stream has been read, too
                c.process.stdin.write(f'migrate file:{three}\n'.encode())
                c.process.stdin.flush()
                time.sleep(0.05)
            c.process.stdin.write(b'quit\n')
            c.process.stdin.flush()
            self.assertEqual(c.process.wait(20), 0)
        with open(three, 'rb') as f:
            rtc = next(d for d in Stream(f.read()).parse().devices if d['name'] == 'mc146818rtc')
        self.assertEqual(rtc['subsections'][name]['fields'], {'irq_reinject_on_ack_count': 7})


if __name__ == '__main__':
    tap.main()
