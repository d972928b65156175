#!/usr/bin/python3
# SPDX-License-Identifier: GPL-2.0-or-later
"""The destination of a postcopy, with a source that does what the test wants.

The source is this file: it writes the stream, reads the return path, breaks off, lies. The machine has
2 MiB of memory and no devices, so that everything that happens is what the test makes happen. Whoever
waits for a page is the destination's main thread, which was told to save memory to a file.
"""

import os
import re
import socket
import struct
import sys
import tempfile
import threading
import time
import unittest
import zlib

HERE = os.path.dirname(os.path.abspath(__file__))
TOP = os.path.join(HERE, '..', '..')
sys.path.insert(0, os.path.join(TOP, 'scripts'))

from vmtools import migrate, programs, tap                      # noqa: E402
from vmtools.machine import Machine, MachineError               # noqa: E402
from vmtools.qmp import QMP, QMPClosed, QMPError                         # noqa: E402

BINARY = os.environ.get('QTEST_QEMU_BINARY') or programs.find(programs.GODWIT)
PAGE, MiB = 4096, 1 << 20
RAM_SIZE = 2 * MiB
TIMEOUT = 60.0
ZERO, MEM_SIZE, CONTENT, EOS, CONTINUE, COMPRESSED = 0x02, 0x04, 0x08, 0x10, 0x20, 0x100
BITMAP_END = 0x0123456789abcdef
SEPARATE_RUN, CAN_SEPARATE_RUN = 0x476f6477, 0x476f6478
NAMES, TOKEN, TAKEN, OTHER = 0x476f6479, 0x87654321, 0x476f647a, 0x476f647b


def no_userfaultfd():
    """What is missing, or None."""
    if os.geteuid() == 0 or os.access('/dev/userfaultfd', os.R_OK | os.W_OK):
        return None
    try:
        with open('/proc/sys/vm/unprivileged_userfaultfd', encoding='ascii') as f:
            if f.read().strip() == '1':
                return None
    except OSError:
        pass
    return 'userfaultfd is not for this user'


def no_huge_pages():
    try:
        with open('/sys/kernel/mm/hugepages/hugepages-2048kB/free_hugepages',
                  encoding='ascii') as f:
            return None if int(f.read()) >= 4 else 'fewer than 4 free huge pages of 2 MiB'
    except OSError:
        return 'no huge pages of 2 MiB'


def be32(value):
    return struct.pack('>I', value)


def be64(*values):
    return struct.pack(f'>{len(values)}Q', *values)


def str8(text):
    return bytes([len(text)]) + text.encode()


def command(number, data=b''):
    return struct.pack('>BHH', 8, number, len(data)) + data


def ping(value):
    return command(2, be32(value))


def advise(page_sizes=PAGE, target=PAGE):
    return command(3, be64(page_sizes, target))


LISTEN, RUN, RESUME = command(4), command(5), command(9)


def discard(*pairs, block='ram', version=0):
    return command(6, bytes([version]) + str8(block) + b'\0' + be64(*(n for p in pairs for n in p)))


def packaged(data):
    return command(7, be32(len(data))) + data


def recv_bitmap(block='ram'):
    return command(10, str8(block))


def content(number):
    """What page `number` holds: nothing else does."""
    return struct.pack('<I', number * 0x9e3779b1 & 0xffffffff | 1) * (PAGE // 4)


def record(number, flag, again=True, block='ram', data=None):
    if data is None:
        data = content(number) if flag == CONTENT else b'\0'
    return be64(number * PAGE | flag | (CONTINUE if again else 0)) + \
        (b'' if again else str8(block)) + data


def pages(numbers, flag=CONTENT, block='ram'):
    return b''.join(record(n, flag, i > 0, block) for i, n in enumerate(numbers))


def part(data, kind=2):
    return struct.pack('>BI', kind, 1) + data + be64(EOS) + struct.pack('>BI', 0x7e, 1)


def end():
    return part(b'', 3) + b'\0'


class Source:
    """One connection, as a source has it."""

    def __init__(self, path):
        self.sock = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
        self.sock.settimeout(TIMEOUT)
        self.sock.connect(path)
        self.block = None

    def send(self, *data):
        self.sock.sendall(b''.join(data))

    def take(self, size):
        data = b''
        while len(data) < size:
            chunk = self.sock.recv(size - len(data))
            if not chunk:
                raise EOFError(f'the return path ended, {size - len(data)} bytes too early')
            data += chunk
        return data

    def hear(self):
        """The next message: its name and what it says."""
        kind, size = struct.unpack('>HH', self.take(4))
        data = self.take(size)
        if kind == 1:
            return 'shut', struct.unpack('>I', data)[0]
        if kind == 2:
            return 'pong', struct.unpack('>I', data)[0]
        if kind in (3, 4):
            if kind == 3:
                self.block = data[13:].decode()
            return 'request', (self.block, *struct.unpack('>QI', data[:12]))
        if kind == 5:
            bits = self.take(struct.unpack('>Q', self.take(8))[0])
            if struct.unpack('>Q', self.take(8))[0] != BITMAP_END:
                raise ValueError('the bitmap has no end mark')
            return 'bitmap', (data[1:].decode(), int.from_bytes(bits, 'little'), len(bits))
        if kind == 6:
            return 'ack', struct.unpack('>I', data)[0]
        return kind, data

    def header(self):
        self.send(b'QEVM' + be32(3), b'\x07' + be32(4) + b'none', command(1), ping(1))

    def blocks(self, page_size=PAGE, name='ram'):
        """The set-up section of RAM."""
        self.send(b'\x01' + be32(1) + str8('ram') + be32(0) + be32(4),
                  be64(RAM_SIZE | MEM_SIZE) + str8(name) + be64(RAM_SIZE),
                  be64(page_size) if page_size != PAGE else b'',
                  be64(EOS), b'\x7e' + be32(1))

    def close(self):
        self.sock.close()


class Case(unittest.TestCase):
    """ADVISE, all pages once (those up to 63 with content, the rest zero), then the test."""
    ram = ['-object', f'memory-backend-ram,id=ram,size={RAM_SIZE}']
    page_size = PAGE
    name = 'ram'

    def destination(self, *capabilities, exit_on_error=True):
        directory = tempfile.TemporaryDirectory(prefix='godwit-')
        self.addCleanup(directory.cleanup)
        self.directory = directory.name
        # A second monitor, which answers when the main thread does not.
        listener = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
        self.addCleanup(listener.close)
        listener.settimeout(TIMEOUT)
        listener.bind(os.path.join(directory.name, 'oob'))
        listener.listen(1)
        self.there = Machine(BINARY, [
            '-machine', 'none,memory-backend=ram', '-m', '2M', *self.ram, '-incoming', 'defer',
            '-chardev', 'socket,id=oob,path=' + listener.getsockname(), '-mon',
            'chardev=oob,mode=control'], 'destination', directory.name)
        self.addCleanup(self.there.end)
        self.oob = QMP(listener.accept()[0], TIMEOUT, oob=True)
        self.addCleanup(self.oob.close)
        migrate.set_up(self.there, ['postcopy-ram', *capabilities])
        self.path = os.path.join(directory.name, 'migration')
        self.there.command('migrate-incoming', uri='unix:' + self.path,
                           **({} if exit_on_error else {'exit-on-error': False}))

    def connect(self, path=None):
        source = Source(path or self.path)
        self.addCleanup(source.close)
        return source

    def precopy(self, *capabilities, separate=False, **how):
        self.destination(*capabilities, **how)
        return self.precopy_there(separate)

    def precopy_there(self, separate=False):
        source = self.connect()
        source.header()
        self.assertEqual(source.hear(), ('pong', 1))
        if separate:
            source.send(ping(SEPARATE_RUN))
            self.assertEqual(source.hear(), ('pong', CAN_SEPARATE_RUN))
        source.send(advise(self.page_size))
        source.blocks(self.page_size)
        source.send(part(pages(range(64)) + pages(range(64, 512), ZERO)))
        return source

    def switch(self, source, missing, separate=False, package=LISTEN + ping(3)):
        """RAM of the page numbers `missing`, which is a range, comes again."""
        source.send(discard((missing.start * PAGE, len(missing) * PAGE)), ping(2),
                    packaged(package + (b'' if separate else RUN)), ping(4))
        self.assertEqual(source.hear(), ('pong', 2))
        self.assertEqual({source.hear(), source.hear()}, {('pong', 3), ('pong', 4)})

    def status(self):
        return self.there.command('query-migrate')

    def wait(self, *wanted):
        return migrate.wait_status(self.there, wanted, TIMEOUT)

    def touch(self, address, size=1, quiet=False):
        """Starts to read guest memory; the result is there when it has been joined. `quiet`: the
        program may end meanwhile."""
        def read():
            try:
                result.append(self.there.read_memory(address, size))
            except (QMPClosed, OSError):
                if not quiet:
                    raise
        result = []
        thread = threading.Thread(target=read, daemon=True)
        thread.start()
        self.addCleanup(thread.join, TIMEOUT)
        return thread, result

    def touched(self, touch, expected):
        touch[0].join(TIMEOUT)
        self.assertTrue(touch[1], 'the page came, but nobody was woken')
        self.assertEqual(touch[1][0], expected)

    def finish(self, source, last):
        source.send(end())
        self.assertEqual(source.hear(), ('shut', 0))
        self.wait('completed')
        memory = self.there.read_memory(0, RAM_SIZE)
        for number in range(512):
            expected = content(number) if number < last else bytes(PAGE)
            self.assertEqual(memory[number * PAGE:(number + 1) * PAGE], expected, number)

    def refused(self, source, pattern, *data):
        try:
            source.send(*data)
        except OSError:
            pass                # it has heard enough
        self.assertEqual(self.there.wait(TIMEOUT), 1)
        self.assertTrue(re.search(pattern, self.there.stderr()), self.there.stderr())

    def recover(self, name='again'):
        path = os.path.join(self.directory, name)
        self.there.command('migrate-recover', uri='unix:' + path)
        return self.connect(path)

    def resume(self, source, waiting=()):
        source.send(RESUME)
        self.assertEqual(source.hear(), ('ack', 1))
        for number in waiting:
            self.assertEqual(source.hear(), ('request', ('ram', number * PAGE, self.page_size)))
        self.assertNotIn('error-desc', self.status() if not waiting else {})


@unittest.skipIf(no_userfaultfd(), no_userfaultfd())
class Pages(Case):
    def test_all(self):
        source = self.precopy()
        self.switch(source, range(0, 128))
        self.assertEqual(self.wait('postcopy-active')['status'], 'postcopy-active')
        self.there.qmp.wait_event('RESUME', TIMEOUT)
        self.assertTrue(self.there.command('query-status')['running'])
        touch = self.touch(100 * PAGE)
        self.assertEqual(source.hear(), ('request', ('ram', 100 * PAGE, PAGE)))
        source.send(part(pages([100])))
        self.touched(touch, content(100)[:1])
        source.send(part(pages(range(0, 128))))
        self.finish(source, 128)

    def test_zero_of_precopy(self):
        """Never touched and not discarded: nobody is asked."""
        source = self.precopy()
        self.switch(source, range(0, 64))
        self.assertEqual(self.there.read_memory(300 * PAGE, PAGE), bytes(PAGE))
        source.send(part(pages(range(0, 64))))
        self.finish(source, 64)

    def test_zero_of_postcopy(self):
        source = self.precopy()
        self.switch(source, range(60, 256))
        touch = self.touch(255 * PAGE, PAGE)
        self.assertEqual(source.hear()[1], ('ram', 255 * PAGE, PAGE))
        source.send(part(pages(range(60, 64)) + pages(range(64, 256), ZERO)))
        self.touched(touch, bytes(PAGE))
        self.finish(source, 64)

    def test_several_pages(self):
        """One after the other, over the limit between what has come and what has not."""
        source = self.precopy()
        self.switch(source, range(8, 12))
        touch = self.touch(7 * PAGE, 6 * PAGE)
        for number in range(8, 12):
            self.assertEqual(source.hear(), ('request', ('ram', number * PAGE, PAGE)))
            source.send(part(pages([number])))
        self.touched(touch, b''.join(content(n) for n in range(7, 13)))
        self.finish(source, 64)

    def test_compressed(self):
        """As QEMU up to 9.0 sends them."""
        source = self.precopy()
        self.switch(source, range(0, 64))
        packed = [zlib.compress(content(n)) for n in range(64)]
        source.send(part(b''.join(record(n, COMPRESSED, n > 0, data=be32(len(p)) + p)
                                  for n, p in enumerate(packed))))
        self.finish(source, 64)

    def test_duplicates(self):
        """What came already stays, whatever is sent."""
        source = self.precopy()
        self.switch(source, range(0, 64))
        source.send(part(pages(range(0, 64))))
        lie = b''.join(record(n, CONTENT, n > 0, data=b'?' * PAGE) for n in range(0, 64))
        source.send(part(lie + pages(range(0, 64), ZERO)))
        self.finish(source, 64)

    def test_section_stays_open(self):
        """A page is placed when it has come, not when its section has ended."""
        source = self.precopy()
        self.switch(source, range(0, 64))
        source.send(struct.pack('>BI', 2, 1))
        for number in (40, 3):
            touch = self.touch(number * PAGE)
            self.assertEqual(source.hear()[1], ('ram', number * PAGE, PAGE))
            source.send(pages([number]))
            self.touched(touch, content(number)[:1])
        source.send(pages(range(0, 64)) + be64(EOS) + struct.pack('>BI', 0x7e, 1))
        self.finish(source, 64)

    def test_run_apart(self):
        source = self.precopy(separate=True)
        self.switch(source, range(0, 64), separate=True)
        source.send(part(pages(range(0, 32))))
        self.assertEqual(self.there.command('query-status')['status'], 'inmigrate')
        source.send(RUN, RUN, part(pages(range(32, 64))))
        self.finish(source, 64)
        self.assertTrue(self.there.command('query-status')['running'])

    def test_fault_before_listen(self):
        """Whoever touches memory when it has been discarded waits, too."""
        source = self.precopy()
        source.send(discard((0, 64 * PAGE)), ping(2))
        self.assertEqual(source.hear(), ('pong', 2))
        touch = self.touch(5 * PAGE)
        source.send(packaged(LISTEN + ping(3) + RUN))
        # Most often the main thread waits by now with the lock that loading needs.
        said = [source.hear()]
        if said[0][0] == 'pong':
            said.append(source.hear())
        self.assertEqual(said[-1], ('request', ('ram', 5 * PAGE, PAGE)))
        source.send(part(pages(range(0, 64))))
        self.touched(touch, content(5)[:1])
        if len(said) == 1:
            self.assertEqual(source.hear(), ('pong', 3))
        self.finish(source, 64)

    def test_nothing_missing(self):
        source = self.precopy()
        source.send(ping(2), packaged(LISTEN + ping(3) + RUN))
        self.assertEqual([source.hear(), source.hear()], [('pong', 2), ('pong', 3)])
        self.finish(source, 64)

    def test_precopy_after_all(self):
        """ADVISE is no promise."""
        source = self.precopy()
        source.send(part(b'', 3), b'\0', b'\x06' + be32(0))
        self.assertEqual(source.hear(), ('shut', 0))
        self.wait('completed')


class SharedPages(Pages):
    ram = ['-object', f'memory-backend-memfd,id=ram,size={RAM_SIZE},share=on']


@unittest.skipIf(no_userfaultfd(), no_userfaultfd())
@unittest.skipIf(no_huge_pages(), no_huge_pages())
class HugePages(Case):
    ram = ['-object', f'memory-backend-memfd,id=ram,size={RAM_SIZE},hugetlb=on,hugetlbsize=2M']
    page_size = 2 * MiB

    def test_in_parts(self):
        """In any order, and over both channels; nobody sees it before it is whole."""
        source = self.precopy('postcopy-preempt')
        urgent = self.connect()
        self.switch(source, range(0, 512))
        touch = self.touch(PAGE, PAGE)
        self.assertEqual(source.hear(), ('request', ('ram', 0, 2 * MiB)))
        urgent.send(pages(range(500, 511)))
        source.send(part(pages(range(0, 500)) + pages(range(0, 3), ZERO)))
        source.send(ping(7))
        self.assertEqual(source.hear(), ('pong', 7))
        self.assertTrue(touch[0].is_alive())
        urgent.send(pages([511]))
        touch[0].join(TIMEOUT)
        # A record that comes again counts until the page is placed.
        self.assertEqual(touch[1], [bytes(PAGE)])
        source.send(end())
        self.assertEqual(source.hear(), ('shut', 0))
        self.wait('completed')
        self.assertEqual(self.there.read_memory(3 * PAGE, PAGE), content(3))
        self.assertEqual(self.there.read_memory(511 * PAGE, PAGE), content(511))

    def test_zero(self):
        source = self.precopy()
        self.switch(source, range(0, 512))
        source.send(part(pages(range(0, 512), ZERO)))
        self.finish(source, 0)

    def test_half_a_page_is_forgotten(self):
        source = self.precopy()
        self.switch(source, range(0, 512))
        source.send(part(pages(range(0, 300))))
        source.close()
        self.wait('postcopy-paused')
        source = self.recover()
        source.send(recv_bitmap())
        self.assertEqual(source.hear(), ('bitmap', ('ram', 0, 64)))
        self.resume(source)
        source.send(part(pages(range(0, 512))))
        self.finish(source, 512)

    def test_discard_of_a_part(self):
        source = self.precopy(exit_on_error=False)
        source.send(discard((0, PAGE)))
        self.assertEqual(source.hear(), ('shut', 1))
        self.assertRegex(self.wait('failed')['error-desc'], 'no whole pages')

    def test_other_size(self):
        self.destination(exit_on_error=False)
        source = self.connect()
        source.header()
        self.assertEqual(source.hear(), ('pong', 1))
        source.send(advise())
        self.assertEqual(source.hear(), ('shut', 1))
        self.assertRegex(self.wait('failed')['error-desc'], '0x1000 .* at the source, but 0x200000 here')


@unittest.skipIf(no_userfaultfd(), no_userfaultfd())
class Urgent(Case):
    """The second channel."""

    def begin(self, missing=range(0, 64)):
        source = self.precopy('postcopy-preempt')
        urgent = self.connect()
        self.switch(source, missing)
        return source, urgent

    def test_page(self):
        source, urgent = self.begin()
        source.send(struct.pack('>BI', 2, 1) + pages([1])[:100])     # is in the middle of something
        touch = self.touch(50 * PAGE)
        self.assertEqual(source.hear(), ('request', ('ram', 50 * PAGE, PAGE)))
        urgent.send(pages([50]))
        self.touched(touch, content(50)[:1])
        source.send(pages([1])[100:] + pages(range(0, 64)), be64(EOS), struct.pack('>BI', 0x7e, 1))
        self.finish(source, 64)

    def test_before_the_main_one(self):
        """Who says nothing is the second channel, also when it comes first. Multifd is off."""
        self.destination('postcopy-preempt')
        stranger, urgent = self.connect(), self.connect()
        stranger.send(be32(0x11223344))
        with self.assertRaises((ConnectionError, EOFError)):
            stranger.take(1)
        source = self.precopy_there()
        self.switch(source, range(0, 64))
        touch = self.touch(50 * PAGE)
        self.assertEqual(source.hear(), ('request', ('ram', 50 * PAGE, PAGE)))
        urgent.send(pages([50]))
        self.touched(touch, content(50)[:1])
        source.send(part(pages(range(0, 64))))
        self.finish(source, 64)
        self.assertIn('a channel of multifd does, which is off here', self.there.stderr())

    def test_ends(self):
        """With and without a mark, before or behind the main channel's end."""
        for mark, late in ((True, False), (False, False), (True, True), (False, True)):
            with self.subTest(mark=mark, late=late):
                source, urgent = self.begin()
                source.send(part(pages(range(0, 63))))
                if late:
                    source.send(end())
                urgent.send(pages([63]), be64(EOS) if mark else b'')
                urgent.close()
                if not late:
                    source.send(end())
                self.assertEqual(source.hear(), ('shut', 0))
                self.wait('completed')
                self.assertEqual(self.there.read_memory(63 * PAGE, PAGE), content(63))

    def test_breaks(self):
        """In the middle of a page: the main channel is given up, too."""
        source, urgent = self.begin()
        urgent.send(pages([63])[:1000])
        urgent.close()
        self.assertRegex(self.wait('postcopy-paused')['error-desc'], 'preempt channel')
        source = self.recover()
        source.send(recv_bitmap())
        self.assertEqual(source.hear()[1][1], 2 ** 512 - 2 ** 64)
        urgent = self.connect(os.path.join(self.directory, 'again'))
        self.resume(source)
        urgent.send(pages(range(0, 32)))
        source.send(part(pages(range(32, 64))))
        self.finish(source, 64)

    def test_lies(self):
        source, urgent = self.begin()
        urgent.send(pages([512]))
        self.assertRegex(self.wait('postcopy-paused')['error-desc'],
                         "preempt channel: .*outside block 'ram'")

    def test_main_thread_waits(self):
        """It accepts the channel, and so must not wait for a page before it has."""
        source = self.precopy('postcopy-preempt')
        source.send(ping(9))
        self.assertEqual(source.hear(), ('pong', 9))                # precopy's pages are there
        source.send(discard((0, 64 * PAGE)), ping(2))
        self.touched(self.touch(50 * PAGE), content(50)[:1])        # not thrown away yet
        urgent = self.connect()
        self.assertEqual(source.hear(), ('pong', 2))
        touch = self.touch(50 * PAGE)
        source.send(packaged(LISTEN + ping(3) + RUN), ping(4))
        heard = set()
        while ('request', ('ram', 50 * PAGE, PAGE)) not in heard:
            heard.add(source.hear())
        urgent.send(pages([50]))        # the devices are loaded when the main thread is free again
        self.touched(touch, content(50)[:1])
        while not heard >= {('pong', 3), ('pong', 4)}:
            heard.add(source.hear())
        source.send(part(pages(range(64))))
        self.finish(source, 64)

    def test_does_not_come(self):
        source = self.precopy('postcopy-preempt', exit_on_error=False)
        source.send(packaged(LISTEN + ping(3) + RUN))
        self.assertEqual(source.hear(), ('shut', 1))
        self.assertRegex(self.wait('failed')['error-desc'], 'second channel')


@unittest.skipIf(no_userfaultfd(), no_userfaultfd())
class Recovery(Case):
    def begin(self, missing=range(0, 64), **how):
        source = self.precopy(**how)
        self.switch(source, missing, **how)
        return source

    def test_waiting_page(self):
        """What was waited for before and during the pause is asked for again."""
        source = self.begin()
        touch = self.touch(9 * PAGE)
        self.assertEqual(source.hear()[0], 'request')
        source.send(part(pages(range(0, 8))))
        source.send(ping(7))
        self.assertEqual(source.hear(), ('pong', 7))
        source.close()
        source = self.recover_oob()
        source.send(recv_bitmap())
        self.assertEqual(source.hear(), ('bitmap', ('ram', 2 ** 512 - 2 ** 64 + 2 ** 8 - 1, 64)))
        self.resume(source, [9])
        source.send(part(pages(range(8, 64))))
        self.touched(touch, content(9)[:1])
        self.finish(source, 64)

    def recover_oob(self):
        """The main thread waits for a page and answers nothing, not even what the status is."""
        path = os.path.join(self.directory, 'again')
        deadline = time.monotonic() + TIMEOUT
        while True:
            try:
                self.oob.command('migrate-recover', oob=True, uri='unix:' + path)
                return self.connect(path)
            except QMPError as e:   # it is not paused yet
                if time.monotonic() > deadline:
                    raise
                self.assertIn('paused', e.desc)

    def test_again_and_again(self):
        source = self.begin()
        for i in range(6):
            source.send(part(pages([i])), ping(7))
            self.assertEqual(source.hear(), ('pong', 7))
            source.send(part(pages([60]))[:50])
            source.close()
            self.assertIn('error-desc', self.wait('postcopy-paused'))
            source = self.recover(f'again{i}')
            if i % 3 == 1:      # breaks before, and within the handshake
                self.wait('postcopy-recover')
                source.close()
                self.wait('postcopy-paused')
                source = self.recover(f'anew{i}')
            if i % 3 == 2:
                source.send(recv_bitmap())
                source.hear()
                source.close()
                self.wait('postcopy-paused')
                source = self.recover(f'anew{i}')
            source.send(recv_bitmap())
            self.assertEqual(source.hear()[1][1], 2 ** 512 - 2 ** 64 + 2 ** (i + 1) - 1)
            self.resume(source)
        source.send(part(pages(range(0, 64))))
        self.finish(source, 64)

    def test_lies_in_the_stream(self):
        """They do not cost the guest its life."""
        outside, flags = pages([512]), be64(5 * PAGE | 0x40) + str8('ram')
        for name, data, pattern in (
                ('outside', part(outside), "outside block 'ram'"),
                ('flags', part(flags), 'flags 0x40 .* no place in postcopy'),
                ('block', part(pages([1], block='rom')), "block 'rom' does not exist"),
                ('no block', part(pages([1, 2])[len(pages([1])):]), ''),
                ('compressed', part(record(1, COMPRESSED, data=be32(10) + bytes(10))),
                 'its 10 bytes do not decompress'),
                ('compressed too much', part(record(1, COMPRESSED, data=be32(9000))),
                 '9000 bytes, expected 1 to'),
                ('compressed too little',
                 part(record(1, COMPRESSED, data=be32(11) + zlib.compress(b'abc'))),
                 'its 11 bytes do not decompress'),
                ('section', b'\x04' + be32(9) + str8('timer') + be32(0) + be32(2), 'no place here'),
                ('type', b'\x55', '0x55'),
                ('command', command(77), 'command 0x4d'),
                ('discard', discard((0, PAGE)), 'behind POSTCOPY_LISTEN'),
                ('listen', LISTEN, 'outside of a package'),
                ('package', packaged(RUN), 'PACKAGED came'),
                ('resume', RESUME, 'nothing is being resumed'),
                ('bitmap', recv_bitmap(), 'nothing is being resumed'),
                ('end', end(), '64 pages have not come, the first at 0x0')):
            with self.subTest(name):
                source = self.begin()
                source.send(data)
                if name == 'no block':  # the block of precopy goes on: it is taken
                    source.send(part(pages(range(0, 64))))
                    self.finish(source, 64)
                    continue
                self.assertRegex(self.wait('postcopy-paused')['error-desc'], pattern)
                source = self.recover()
                source.send(recv_bitmap())
                self.assertEqual(source.hear()[0], 'bitmap')
                self.resume(source)
                source.send(part(pages(range(0, 64))))
                self.finish(source, 64)

    def test_lies_in_the_handshake(self):
        source = self.begin()
        source.close()
        self.wait('postcopy-paused')
        for name, data, pattern in (
                ('block', recv_bitmap('rom'), "block 'rom' does not exist"),
                ('length', command(10, str8('ram') + b'x'), '5 bytes of data for a name of 3'),
                ('no name', command(10), 'RECV_BITMAP'),
                ('magic', b'QEVM', '0x51')):
            with self.subTest(name):
                source = self.recover(name.replace(' ', ''))
                self.wait('postcopy-recover')
                source.send(data)
                if name == 'no name':
                    source.send(bytes(1))
                self.assertRegex(self.wait('postcopy-paused')['error-desc'], pattern)
        source = self.recover()
        self.resume(source)
        source.send(part(pages(range(0, 64))))
        self.finish(source, 64)

    def test_somebody_elses_source(self):
        """A source names its migration. Another one, or one that does not, cannot go on with it."""
        source = self.precopy(separate=True)
        source.send(ping(NAMES), ping(TOKEN))
        self.assertEqual([source.hear(), source.hear()], [('pong', NAMES), ('pong', TAKEN)])
        self.switch(source, range(0, 64), separate=True)
        source.send(RUN)
        self.there.qmp.wait_event('RESUME', TIMEOUT)
        source.close()
        self.wait('postcopy-paused')
        for name, data, answers, pattern in (
                ('other', ping(NAMES) + ping(TOKEN + 1), [('pong', NAMES), ('pong', OTHER)],
                 'another migration than this one, which is 0x87654321: 0x87654322'),
                ('half', ping(NAMES) + recv_bitmap(), [('pong', NAMES)], 'RECV_BITMAP came, but the source'),
                ('none', recv_bitmap(), [], 'RECV_BITMAP came, but the source has not said'),
                ('nothing', RESUME, [], 'POSTCOPY_RESUME came, but the source has not said')):
            with self.subTest(name):
                source = self.recover(name)
                self.wait('postcopy-recover')
                source.send(data)
                self.assertEqual([source.hear() for _ in answers], answers)
                self.assertRegex(self.wait('postcopy-paused')['error-desc'], pattern)
                source.close()
        source = self.recover()
        source.send(ping(NAMES), ping(TOKEN))
        self.assertEqual([source.hear(), source.hear()], [('pong', NAMES), ('pong', TAKEN)])
        self.resume(source)
        source.send(part(pages(range(0, 64))))
        self.finish(source, 64)

    def test_block_named_anew(self):
        """A new connection knows no block."""
        source = self.begin()
        source.send(part(pages(range(0, 32))))
        source.close()
        self.wait('postcopy-paused')
        source = self.recover()
        self.resume(source)
        source.send(part(pages([32, 33])[len(pages([32])):]))
        self.assertRegex(self.wait('postcopy-paused')['error-desc'], 'none was named yet')

    def test_before_run(self):
        """The devices are loaded, and whether it shall run nobody has said: it waits."""
        source = self.begin(separate=True)
        source.close()
        self.wait('postcopy-paused')
        self.assertEqual(self.there.command('query-status')['status'], 'inmigrate')
        source = self.recover()
        source.send(recv_bitmap())
        self.assertEqual(source.hear()[0], 'bitmap')
        self.resume(source)
        source.send(RUN, part(pages(range(0, 64))))
        self.finish(source, 64)
        self.assertTrue(self.there.command('query-status')['running'])

    def test_broken_behind_the_package(self):
        """It was told to run, and nobody else can: it does, whatever has become of the source."""
        for i in range(8):
            source = self.precopy()
            source.send(discard((0, 64 * PAGE)), ping(2), packaged(LISTEN + ping(3) + RUN))
            source.close()
            self.wait('postcopy-paused')
            self.there.qmp.wait_event('RESUME', TIMEOUT)
            source = self.recover()
            self.resume(source)
            source.send(part(pages(range(0, 64))))
            self.finish(source, 64)

    def test_not_told_to_run(self):
        source = self.begin(separate=True)
        source.send(part(pages(range(0, 64))), end())
        self.assertRegex(self.wait('postcopy-paused')['error-desc'], 'not told to run')

    def test_quit_while_paused(self):
        source = self.begin()
        source.close()
        self.wait('postcopy-paused')
        self.assertEqual(self.there.quit(), 0)

    def test_signal_while_paused(self):
        source = self.begin()
        source.close()
        self.wait('postcopy-paused')
        self.there.process.terminate()
        self.assertEqual(self.there.wait(TIMEOUT), 0)


@unittest.skipIf(no_userfaultfd(), no_userfaultfd())
class Refused(Case):
    """Before the guest's devices are loaded: the destination says so and ends."""

    def test_order(self):
        timer = b'\x04' + be32(9) + str8('timer') + be32(0) + be32(2)
        good = LISTEN + ping(3) + RUN
        for name, data, pattern in (
                ('advise twice', advise(), 'POSTCOPY_ADVISE came, but it came already'),
                ('listen alone', LISTEN, 'outside of a package'),
                ('run', RUN, 'POSTCOPY_RUN came, but POSTCOPY_LISTEN has not'),
                ('run in front', packaged(RUN), 'POSTCOPY_RUN came'),
                ('resume', RESUME, 'nothing is being resumed'),
                ('bitmap', recv_bitmap(), 'nothing is being resumed'),
                ('package in package', packaged(LISTEN + packaged(good)), 'within a package'),
                ('listen twice', packaged(LISTEN + LISTEN), 'it came already'),
                ('no listen', packaged(ping(3)), 'a package begins with POSTCOPY_LISTEN'),
                ('device first', packaged(timer), 'begins with POSTCOPY_LISTEN'),
                ('device too late', packaged(LISTEN + ping(3) + timer), 'loaded already'),
                ('unknown device', packaged(LISTEN + timer.replace(b'timer', b'tomer')), 'tomer'),
                ('pages', packaged(LISTEN + part(pages([0]))), 'devices that come whole'),
                ('end', packaged(LISTEN + b'\0'), 'devices that come whole'),
                ('empty', command(7, be32(0)), 'PACKAGED announces 0 bytes'),
                ('large', command(7, be32(1 << 31)), 'PACKAGED announces 2147483648 bytes'),
                ('inner length', packaged(LISTEN + command(3)[:3]), 'package: ')):
            with self.subTest(name):
                self.refused(self.precopy(), pattern, data)

    def test_cut_package(self):
        source = self.precopy()
        source.send(command(7, be32(200 * MiB)), bytes(100))
        source.close()
        self.refused(source, 'Unexpected end of the stream')

    def test_discards(self):
        two = discard((0, PAGE))
        for name, data, pattern in (
                ('outside', discard((RAM_SIZE, PAGE)), 'no whole pages'),
                ('over the end', discard((RAM_SIZE - PAGE, 2 * PAGE)), 'no whole pages'),
                ('around', discard(((1 << 64) - PAGE, 2 * PAGE)), 'no whole pages'),
                ('start', discard((1, PAGE)), 'no whole pages'),
                ('length', discard((0, 1)), 'no whole pages'),
                ('nothing', discard((0, 0)), 'no whole pages'),
                ('block', discard((0, PAGE), block='rom'), "block 'rom' does not exist"),
                ('no pairs', discard(), 'not understood'),
                ('version', discard((0, PAGE), version=1), 'not understood'),
                ('half a pair', command(6, b'\0' + str8('ram') + b'\0' + be64(0, PAGE, 5)),
                 'not understood'),
                ('pages behind it', two + part(pages([5])), 'nothing but the package'),
                ('end behind it', two + part(b'', 3) + b'\0', 'nothing but the package'),
                ('device behind it', two + b'\x04' + be32(9) + str8('timer') + be32(0) + be32(2),
                 'nothing but the package')):
            with self.subTest(name):
                self.refused(self.precopy(), pattern, data)

    def test_without_advise(self):
        for name, data, pattern in (
                ('discard', discard((0, PAGE)), 'no POSTCOPY_ADVISE before it'),
                ('package', packaged(LISTEN), 'no POSTCOPY_ADVISE before it')):
            with self.subTest(name):
                self.destination()
                source = self.connect()
                source.header()
                self.refused(source, pattern, data)

    def test_advise(self):
        for name, data, pattern in (
                ('target', advise(target=8192), 'pages of 0x2000 bytes'),
                ('sizes', advise(0x201000), '0x201000 .* at the source, but 0x1000 here'),
                ('short', command(3, be64(PAGE)), '8 bytes of data, expected 16'),
                ('empty', command(3), '0 bytes of data, expected 16')):
            with self.subTest(name):
                self.destination()
                source = self.connect()
                source.header()
                self.refused(source, pattern, data)

    def test_before_the_blocks(self):
        for data in (discard((0, PAGE)), packaged(LISTEN)):
            self.destination()
            source = self.connect()
            source.header()
            self.refused(source, 'the list of RAM blocks has not', advise(), data)

    def test_nobody_is_left_waiting(self):
        """The main thread waits for a page, and the load fails: it must hear of it all the same."""
        for name, data in (('package', packaged(ping(3))), ('cut', b'')):
            with self.subTest(name):
                source = self.precopy()
                source.send(discard((0, 64 * PAGE)), ping(2))
                self.assertEqual(source.hear(), ('pong', 2))
                touch = self.touch(5 * PAGE, quiet=True)
                touch[0].join(0.05)     # most often it waits then
                source.send(data)
                if data:
                    self.assertEqual(source.hear(), ('shut', 1))
                else:
                    source.close()
                self.assertEqual(self.there.wait(TIMEOUT), 1)

    def test_garbage_behind_run(self):
        """Then the guest must not have been started."""
        source = self.precopy(exit_on_error=False)
        source.send(discard((0, PAGE)), packaged(LISTEN + ping(3) + RUN + command(77)))
        while source.hear() != ('shut', 1):
            pass
        self.assertRegex(self.wait('failed')['error-desc'], 'package: .*command 0x4d')
        self.assertEqual(self.there.command('query-status')['status'], 'inmigrate')

    def test_load_fails(self):
        """The source hears of it, and keeps its guest."""
        source = self.precopy(exit_on_error=False, separate=True)
        source.send(discard((0, PAGE)), packaged(LISTEN + command(77) + ping(3)))
        self.assertEqual(source.hear(), ('shut', 1))
        self.assertRegex(self.wait('failed')['error-desc'], 'package: .*command 0x4d')

    def test_capability_off(self):
        self.destination()
        self.there.command('migrate-set-capabilities',
                           capabilities=[{'capability': 'postcopy-ram', 'state': False}])
        source = self.connect()
        source.header()
        self.refused(source, 'capability postcopy-ram is off here', advise())


@unittest.skipIf(no_userfaultfd(), no_userfaultfd())
class Blocks(Case):
    """Memory that cannot take part is named."""

    def check(self, backend, pattern):
        self.ram = ['-object', backend]
        self.destination()
        source = self.connect()
        source.header()
        self.refused(source, pattern, advise())

    def test_private_file(self):
        with tempfile.NamedTemporaryFile(prefix='godwit-') as f:
            f.truncate(RAM_SIZE)
            self.check(f'memory-backend-file,id=ram,size={RAM_SIZE},mem-path={f.name},share=off',
                       "block 'ram' cannot take part in postcopy: it is a private mapping")

    @unittest.skipIf('ASAN_OPTIONS' in os.environ, "AddressSanitizer's shadow would be locked as well")
    def test_locked(self):
        self.ram = [*self.ram, '-overcommit', 'mem-lock=on-fault']
        try:
            self.destination()
        except MachineError as e:   # the user may not
            self.skipTest(str(e))
        source = self.connect()
        source.header()
        self.refused(source, 'locked', advise())

    def test_private_memfd(self):
        self.check(f'memory-backend-memfd,id=ram,size={RAM_SIZE},share=off',
                   "block 'ram' cannot take part in postcopy: it is a private mapping")


if __name__ == '__main__':
    tap.main()
