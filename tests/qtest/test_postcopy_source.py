#!/usr/bin/python3
# SPDX-License-Identifier: GPL-2.0-or-later
"""The source of a postcopy, with a destination that does what the test wants.

The destination is this file: it reads the stream, answers or does not, asks for pages, breaks off, lies. It
behaves like this program's destination, which takes RUN by itself, or like QEMU's, which finds it in
the package. The machine has 2 MiB of memory, no page of which is zero, and no devices. It is so slow in
precopy that nearly all pages are left for postcopy.
"""

import os
import socket
import struct
import sys
import tempfile
import threading
import time
import unittest

HERE = os.path.dirname(os.path.abspath(__file__))
TOP = os.path.join(HERE, '..', '..')
sys.path.insert(0, os.path.join(TOP, 'scripts'))

from vmtools import messages, migrate, programs, tap            # noqa: E402
from vmtools.machine import Machine                             # noqa: E402
from vmtools.qmp import QMPError                                # noqa: E402

BINARY = os.environ.get('QTEST_QEMU_BINARY') or programs.find(programs.GODWIT)
PAGE = 4096
TIMEOUT = 60.0
ASK, RUN_APART = 0x476f6477, 0x476f6478
NAMES, TOKEN_TAKEN, TOKEN_OTHER = 0x476f6479, 0x476f647a, 0x476f647b
SHUT, PONG, REQ_PAGES_ID, REQ_PAGES, RECV_BITMAP, RESUME_ACK = 1, 2, 3, 4, 5, 6
BITMAP_END = 0x0123456789abcdef
SLOW = 1                                # bytes a second: next to nothing goes unasked


def content(page):
    return (b'%08d' % page) * (PAGE // 8)


class Channel:
    """One connection, read by a thread of its own; PINGs are answered as `answer` says."""

    def __init__(self, sock, splitter, answer):
        self.sock = sock
        self.messages = []
        self.closed = False
        self._splitter = splitter
        self._answer = answer
        self.at_once = b''              # said when the package comes
        self._changed = threading.Condition()
        self.reading = threading.Event()
        self.reading.set()
        self._thread = threading.Thread(target=self._read, daemon=True)
        self._thread.start()

    def _read(self):
        while True:
            self.reading.wait()
            try:
                data = self.sock.recv(1 << 16)
            except OSError:
                data = b''
            if self.at_once and messages.command('packaged', bytes(4))[:5] in data:
                self.send_raw(self.at_once)
                self.at_once = b''
            with self._changed:
                if not data:
                    self.closed = True
                    self._changed.notify_all()
                    return
                fresh = self._splitter.feed(data)
            for message in fresh:           # before a test can answer something else
                if message.kind == 'ping':
                    self._pong(message.detail)
                elif message.kind == 'packaged' and 'ping' in message.detail:
                    self._pong(3)
            with self._changed:
                self.messages += fresh
                self._changed.notify_all()

    def _pong(self, value):
        value = self._answer(value)
        if value is not None:
            self.send(PONG, struct.pack('>I', value))

    def send(self, kind, data=b''):
        self.send_raw(messages.reply(kind, data))

    def send_raw(self, data):
        try:
            self.sock.sendall(data)
        except OSError:
            pass                        # the source has closed it, which the test will notice

    def kinds(self):
        with self._changed:
            return [m.kind for m in self.messages]

    def wait(self, kind, detail=None, count=1):
        """Waits for the count-th message of that kind; answers it."""
        def found():
            return [m for m in self.messages
                    if m.kind == kind and (detail is None or m.detail == detail)]
        with self._changed:
            if not self._changed.wait_for(lambda: len(found()) >= count or self.closed, TIMEOUT) \
                    or len(found()) < count:
                raise AssertionError(f'no {kind} {detail or ""} (number {count}) came, but '
                                     + ' '.join(str(m) for m in self.messages[-12:]))
            return found()[count - 1]

    def wait_closed(self):
        with self._changed:
            if not self._changed.wait_for(lambda: self.closed, TIMEOUT):
                raise AssertionError('the source does not close the connection')

    def pages(self):
        """(page, its content) in the order in which they came."""
        with self._changed:
            return [(m.detail[1] // PAGE, m.data[-PAGE:]) for m in self.messages
                    if m.kind == 'page']

    def close(self):
        try:
            self.sock.shutdown(socket.SHUT_RDWR)
        except OSError:
            pass
        self.reading.set()
        self._thread.join()
        self.sock.close()


class Postcopy(unittest.TestCase):
    capabilities = ()
    kind = 'godwit'
    size = 512                          # pages of memory
    token = TOKEN_TAKEN                 # what is said to it

    def setUp(self):
        directory = tempfile.TemporaryDirectory(prefix='godwit-')
        self.addCleanup(directory.cleanup)
        self.directory = directory.name
        self.memory = os.path.join(self.directory, 'memory')
        with open(self.memory, 'wb') as f:
            f.write(b''.join(content(page) for page in range(self.size)))
        self.source = Machine(BINARY, [
            '-machine', 'none,memory-backend=ram', '-m', f'{self.size * PAGE >> 20}M', '-object',
            f'memory-backend-file,id=ram,size={self.size * PAGE},mem-path={self.memory},share=on'], 'source',
            self.directory)
        self.addCleanup(self.source.end)
        self.silent = set()             # PINGs without an answer
        self.listener = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
        self.addCleanup(self.listener.close)
        self.path = os.path.join(self.directory, 'migration')
        self.listener.bind(self.path)
        self.listener.listen(8)
        self.listener.settimeout(TIMEOUT)
        migrate.set_up(self.source, ['postcopy-ram', *self.capabilities],
                       {'max-bandwidth': 1, 'downtime-limit': 0, 'max-postcopy-bandwidth': SLOW})

    def answer(self, value):
        if value in self.silent:
            return None
        if self.kind != 'godwit':
            return value
        return RUN_APART if value == ASK else self.token or value if value >> 31 else value

    def accept(self, splitter=None):
        sock = self.listener.accept()[0]
        channel = Channel(sock, splitter or messages.MainStream(), self.answer)
        self.addCleanup(channel.close)
        return channel

    def start(self):
        """Precopy has begun."""
        self.source.command('migrate', uri='unix:' + self.path)
        main = self.accept()
        main.wait('part')
        return main

    def switch(self):
        """The source does what leads to postcopy; how far it gets depends on our answers."""
        main = self.start()
        self.source.command('migrate-start-postcopy')
        return main

    def postcopy(self):
        """The guest is ours."""
        main = self.switch()
        main.wait('packaged')
        self.status('postcopy-active')
        self.loaded(main)
        return main

    def loaded(self, main):
        """The source has taken PONG 3: messages of the return path are taken in order."""
        main.send(REQ_PAGES_ID, struct.pack('>QI', 0, PAGE) + b'\3ram')
        end = time.monotonic() + TIMEOUT
        while not self.source.command('query-migrate')['ram']['postcopy-requests']:
            self.assertLess(time.monotonic(), end, 'the request is not counted')
            time.sleep(0.005)

    def status(self, *wanted):
        end = time.monotonic() + TIMEOUT
        while True:
            info = self.source.command('query-migrate')
            if info['status'] in wanted:
                return info
            self.assertLess(time.monotonic(), end, f'{info}, expected {wanted}')
            time.sleep(0.005)

    def speed_up(self, to=0):
        self.source.command('migrate-set-parameters', **{'max-postcopy-bandwidth': to})

    def runs(self):
        end = time.monotonic() + TIMEOUT
        while not self.source.command('query-status')['running']:
            self.assertLess(time.monotonic(), end, 'the guest does not run')
            time.sleep(0.005)

    def stands(self):
        self.assertFalse(self.source.command('query-status')['running'])

    def check_pages(self, *channels):
        """All pages that were discarded have come once, with what is in them."""
        found = {}
        for channel in channels:
            start = channel.kinds().index('packaged') if 'packaged' in channel.kinds() else 0
            with channel._changed:
                after = channel.messages[start:]
            for message in after:
                if message.kind == 'page':
                    page = message.detail[1] // PAGE
                    self.assertNotIn(page, found)
                    found[page] = message.data[-PAGE:]
        for page, data in found.items():
            self.assertEqual(data, content(page), f'page {page}')
        return found

    def finish(self, main):
        main.wait('eof')
        main.send(SHUT, struct.pack('>I', 0))
        info = self.status('completed')
        self.assertEqual(self.source.command('query-status')['status'], 'postmigrate')
        return info


class Switch(Postcopy):
    """What is sent, in which order, and when there is no way back."""

    def test_order(self):
        main = self.postcopy()
        self.stands()
        main.wait('run')
        kinds = [k for k in main.kinds() if k not in ('page', 'part', 'eos')]
        self.assertEqual(kinds[:8], ['header', 'configuration', 'open-return-path', 'ping', 'ping',
                                     'advise', 'start', 'blocks'])
        self.assertEqual(kinds[8:], ['ping', 'ping', 'discard', 'ping', 'packaged', 'ping', 'run'])
        self.assertEqual(main.wait('packaged').detail, ('listen', 'devices', 'ping'))
        pings = [m.detail for m in main.messages if m.kind == 'ping']
        self.assertEqual(pings.pop(3) >> 31, 1)
        self.assertEqual(pings, [1, ASK, NAMES, 2, 4])
        self.assertEqual(main.wait('advise').detail, (PAGE, PAGE))
        self.speed_up()
        info = self.finish(main)
        gone = {start // PAGE + i for _, *pairs in [main.wait('discard').detail]
                for start, length in pairs for i in range(length // PAGE)}
        self.assertEqual(set(self.check_pages(main)), gone)
        self.assertEqual(main.kinds()[-2:], ['eos', 'eof'])     # END, and no description
        self.assertGreater(info['ram']['postcopy-bytes'], len(gone) * PAGE)
        self.assertEqual(info['ram']['remaining'], 0)

    def test_run_in_the_package(self):
        self.kind = 'qemu'
        main = self.postcopy()
        self.assertEqual(main.wait('packaged').detail, ('listen', 'devices', 'ping', 'run'))
        self.speed_up()
        self.finish(main)
        self.assertNotIn('run', main.kinds())
        self.check_pages(main)

    def test_waits_for_the_answer(self):
        self.silent.add(ASK)
        main = self.switch()
        rounds = main.kinds().count('part')
        main.wait('part', count=rounds + 2)     # precopy goes on
        self.assertEqual(self.source.command('query-migrate')['status'], 'active')
        self.runs()
        main.send(PONG, struct.pack('>I', RUN_APART))
        main.wait('run')

    def test_run_waits_for_the_devices(self):
        self.silent.add(3)
        main = self.switch()
        main.wait('ping', 4)
        self.speed_up()
        main.wait('page', ('ram', (self.size - 1) * PAGE))
        self.assertNotIn('run', main.kinds())
        self.assertEqual(self.source.command('query-migrate')['status'], 'device')
        main.send(PONG, struct.pack('>I', 3))
        main.wait('run')
        self.finish(main)

    def test_break_before_run(self):
        self.silent.add(3)
        main = self.switch()
        main.wait('ping', 4)
        self.stands()
        main.close()
        info = self.status('failed')
        self.assertIn('return path: ', info['error-desc'])
        self.runs()

    def test_refused_before_run(self):
        for self.kind in ('godwit', 'qemu'):
            with self.subTest(kind=self.kind):
                self.silent.add(3)
                main = self.switch()
                main.wait('ping', 4)
                main.send(SHUT, struct.pack('>I', 1))
                info = self.status('failed')
                self.assertIn('the destination failed to load the stream', info['error-desc'])
                self.runs()

    def test_cancel_before_run(self):
        self.silent.add(3)
        main = self.switch()
        main.wait('ping', 4)
        self.source.command('migrate_cancel')
        self.status('cancelled')
        self.runs()

    def test_taken_back(self):
        """QEMU has the package with RUN in it, and is never heard of again."""
        self.kind = 'qemu'
        self.silent.add(3)
        main = self.switch()
        main.wait('ping', 4)
        self.status('postcopy-active')
        with self.assertRaisesRegex(QMPError, 'Postcopy migration in progress, cannot cancel'):
            self.source.command('migrate_cancel')
        main.close()
        self.status('postcopy-paused')
        self.stands()
        self.source.command('migrate_cancel')
        self.status('cancelled')
        self.runs()
        main = self.start()                     # and can move again
        self.source.command('migrate_cancel')
        self.status('cancelled')

    def test_not_taken_back(self):
        for self.kind in ('qemu', 'godwit'):
            with self.subTest(kind=self.kind):
                if self.kind == 'godwit':
                    self.doCleanups()
                    self.setUp()
                main = self.postcopy()
                main.close()
                self.assertIn('error-desc', self.status('postcopy-paused'))
                with self.assertRaisesRegex(QMPError, 'cannot cancel'):
                    self.source.command('migrate_cancel')
                self.stands()
                with self.assertRaisesRegex(QMPError, "There's a migration process in progress"):
                    self.source.command('migrate', uri='unix:' + self.path)
                self.assertEqual(self.source.quit(), 0)

    def test_break_behind_the_end(self):
        main = self.postcopy()
        self.speed_up()
        main.wait('eof')
        main.close()                            # without SHUT
        self.status('postcopy-paused')

    def test_end_too_early(self):
        main = self.postcopy()
        main.send(SHUT, struct.pack('>I', 0))
        info = self.status('postcopy-paused')
        self.assertIn('the stream has not ended yet', info['error-desc'])

    def test_paused_before(self):
        migrate.set_up(self.source, ['pause-before-switchover'])
        main = self.switch()
        self.status('pre-switchover')
        self.source.command('migrate_cancel')
        self.status('cancelled')
        self.runs()
        main = self.switch()
        self.status('pre-switchover')
        self.source.command('migrate-continue', state='pre-switchover')
        main.wait('run')

    def test_when_to_start(self):
        with self.assertRaisesRegex(QMPError, 'must be started after migration has been started'):
            self.source.command('migrate-start-postcopy')
        self.source.command('migrate-set-capabilities',
                            capabilities=[{'capability': 'postcopy-ram', 'state': False}])
        with self.assertRaisesRegex(QMPError, 'Enable postcopy with migrate_set_capability'):
            self.source.command('migrate-start-postcopy')
        migrate.set_up(self.source, ['postcopy-ram'])
        self.postcopy()
        self.source.command('migrate-start-postcopy')           # does nothing

    def test_file(self):
        with self.assertRaisesRegex(QMPError, "has no return path: turn capability 'postcopy-ram' off"):
            self.source.command('migrate', uri='file:' + os.path.join(self.directory, 'f'))


class Requests(Postcopy):
    """Pages that the destination asks for."""

    def ask(self, main, page, count=1, block='ram'):
        main.send(REQ_PAGES_ID, struct.pack('>QI', page * PAGE, count * PAGE)
                  + bytes([len(block)]) + block.encode())

    def test_asked_for(self):
        main = self.postcopy()
        before = self.source.command('query-migrate')['ram']['postcopy-requests']
        for page in (400, 300, 300, 301, 400):
            self.ask(main, page)
        main.send(REQ_PAGES, struct.pack('>QI', 200 * PAGE, 2 * PAGE))
        main.wait('page', ('ram', 201 * PAGE))
        came = [page for page, _ in main.pages()]
        self.assertEqual([p for p in came if p in (400, 300, 301, 200, 201)],
                         [400, 300, 301, 200, 201])
        info = self.source.command('query-migrate')
        self.assertEqual(info['ram']['postcopy-requests'] - before, 6)
        self.speed_up()
        self.finish(main)
        self.check_pages(main)

    def test_background_follows(self):
        main = self.postcopy()
        self.ask(main, 400)
        main.wait('page', ('ram', 400 * PAGE))
        before = len(main.pages())
        self.speed_up()
        main.wait('eof')
        self.assertEqual(main.pages()[before][0], 401)

    def test_before_the_devices_are_loaded(self):
        self.silent.add(3)
        main = self.switch()
        main.wait('packaged')
        self.ask(main, 333)
        main.wait('page', ('ram', 333 * PAGE))
        self.assertNotIn('run', main.kinds())

    def test_while_the_package_goes(self):
        """What is asked for the moment the package comes is sent behind all that belongs to it."""
        for number in range(10):
            with self.subTest(number=number):
                if number:
                    self.doCleanups()
                    self.setUp()
                self.kind = 'qemu'
                main = self.start()
                main.at_once = messages.reply(REQ_PAGES_ID,
                                              struct.pack('>QI', 333 * PAGE, PAGE) + b'\3ram')
                self.source.command('migrate-start-postcopy')
                main.wait('page', ('ram', 333 * PAGE))
                kinds = main.kinds()
                at = kinds.index('packaged')
                self.assertEqual(kinds[at:at + 3], ['packaged', 'ping', 'part'])
                self.assertNotIn('run', kinds)

    def test_asked_before_the_package(self):
        """A destination that asks all the time, which no honest one does, harms nobody else."""
        main = self.start()
        for _ in range(100):
            self.ask(main, 1)
        info = self.status('failed')
        self.assertIn('nothing was handed over yet', info['error-desc'])
        self.runs()

    def test_too_early(self):
        main = self.start()
        self.ask(main, 1)
        info = self.status('failed')
        self.assertIn('pages are asked for, but nothing was handed over yet', info['error-desc'])
        self.runs()

    def test_nonsense(self):
        def named(start, length, block=b'\3ram'):
            return REQ_PAGES_ID, struct.pack('>QI', start, length) + block
        for kind, data, text in (
                (*named(0, PAGE, b'\4lamb'), "pages of block 'lamb' are asked for"),
                (*named(1, PAGE), '0x1000 bytes at 0x1 of block'),
                (*named(0, 7), '0x7 bytes at 0x0 of block'),
                (*named(0, 0), '0x0 bytes at 0x0 of block'),
                (*named(self.size * PAGE, PAGE), '0x1000 bytes at 0x200000 of block'),
                (*named((self.size - 1) * PAGE, 2 * PAGE), '0x2000 bytes at 0x1ff000 of block'),
                (*named(2 ** 64 - PAGE, PAGE), '0x1000 bytes at 0xfffffffffffff000 of block'),
                (*named(0, PAGE, b''), 'names no block'),
                (*named(0, PAGE, b'\4ram'), 'names no block'),
                (*named(0, PAGE, b'\3ra\0'), 'names no block'),
                (*named(0, PAGE, b'\0'), 'names no block'),
                (REQ_PAGES, struct.pack('>Q', 0), 'REQ_PAGES has 8 bytes of data, expected 12'),
                (9, b'', 'unknown message 0x9'),
                (RECV_BITMAP, b'\3ram', "bitmap of block 'ram' came, but was not asked for"),
                (RECV_BITMAP, b'', 'RECV_BITMAP of 0 bytes names no block'),
                (RESUME_ACK, struct.pack('>I', 1), 'RESUME_ACK came, but was not asked for')):
            with self.subTest(text=text):
                main = self.postcopy()
                main.send(kind, data)
                info = self.status('postcopy-paused')
                self.assertRegex(info['error-desc'], text)
                self.doCleanups()
                self.setUp()

    def test_first_without_a_name(self):
        main = self.switch()
        main.wait('run')
        main.send(REQ_PAGES, struct.pack('>QI', 0, PAGE))
        info = self.status('postcopy-paused')
        self.assertIn('the first request for pages names no block', info['error-desc'])


class Preempt(Postcopy):
    """The second channel."""

    capabilities = ('postcopy-preempt',)

    def test_pages_go_there(self):
        main = self.switch()
        urgent = self.accept(messages.Pages())
        main.wait('run')
        for page in (77, 78, 300):
            main.send(REQ_PAGES_ID, struct.pack('>QI', page * PAGE, PAGE) + b'\3ram')
        urgent.wait('page', ('ram', 300 * PAGE))
        self.assertEqual([page for page, _ in urgent.pages()], [77, 78, 300])
        self.speed_up()
        self.finish(main)
        self.check_pages(main, urgent)
        urgent.wait_closed()
        self.assertNotIn('eos', urgent.kinds())

    def test_made_before_the_guest_stops(self):
        self.listener.close()                   # it cannot be made
        os.unlink(self.path)
        self.listener = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
        self.listener.bind(self.path)
        self.listener.listen(8)
        self.listener.settimeout(TIMEOUT)
        main = self.start()
        self.listener.close()
        os.unlink(self.path)
        self.source.command('migrate-start-postcopy')
        info = self.status('failed')
        self.assertIn('postcopy-preempt: cannot connect the second channel', info['error-desc'])
        self.assertNotIn('discard', main.kinds())
        self.runs()

    def test_broken(self):
        main = self.switch()
        urgent = self.accept(messages.Pages())
        main.wait('run')
        urgent.close()
        main.send(REQ_PAGES_ID, struct.pack('>QI', 77 * PAGE, PAGE) + b'\3ram')
        self.assertIn('error-desc', self.status('postcopy-paused'))


class Recovering(Postcopy):
    """What both sides do after a break."""

    def received(self, *channels):
        """The bitmap of what these have brought, and precopy's."""
        discarded = {start // PAGE + i for _, *pairs in [channels[0].wait('discard').detail]
                     for start, length in pairs for i in range(length // PAGE)}
        here = set(range(self.size)) - discarded
        for channel in channels:
            start = channel.kinds().index('packaged') if 'packaged' in channel.kinds() else 0
            here |= {m.detail[1] // PAGE for m in channel.messages[start:] if m.kind == 'page'}
        return here

    def bitmap(self, pages, size=None, end=BITMAP_END, block=b'\3ram'):
        size = self.size // 8 if size is None else size
        bits = bytearray(max(size, self.size // 8))
        for page in pages:
            bits[page // 8] |= 1 << page % 8
        return block, struct.pack('>Q', size) + bytes(bits[:size]) + struct.pack('>Q', end)

    def send_bitmap(self, channel, block, rest):
        channel.sock.sendall(messages.reply(RECV_BITMAP, block) + rest)

    def second_channel(self):
        pass

    def urgent_channel(self, main):
        return main

    def agree(self, channel, here):
        """We have these pages. The source says that it goes on."""
        self.send_bitmap(channel, *self.bitmap(here))
        self.second_channel()
        channel.wait('resume')

    def broken(self):
        main = self.postcopy()
        main.close()
        self.status('postcopy-paused')
        return main

    def resume(self):
        self.source.command('migrate', uri='unix:' + self.path, resume=True)
        again = self.accept()
        again.wait('recv-bitmap', 'ram')
        self.status('postcopy-recover')
        return again

    def go_on(self, *channels):
        again = self.resume()
        self.agree(again, self.received(*channels))
        again.send(RESUME_ACK, struct.pack('>I', 1))
        info = self.status('postcopy-active')
        self.assertNotIn('error-desc', info)
        return again


class Recovery(Recovering):
    """After a break."""

    steps = ('connected', 'asked', 'half a bitmap', 'bitmap', 'resume')

    def test_goes_on(self):
        main = self.broken()
        first = self.go_on(main)
        first.wait('run')                       # whether the first one arrived is not known
        self.assertEqual(first.kinds()[:5], ['ping', 'ping', 'recv-bitmap', 'resume', 'run'])
        first.send(REQ_PAGES_ID, struct.pack('>QI', 300 * PAGE, PAGE) + b'\3ram')
        self.urgent_channel(first).wait('page', ('ram', 300 * PAGE))
        first.close()
        self.status('postcopy-paused')
        second = self.go_on(main, first)
        self.speed_up()
        info = self.finish(second)
        self.check_pages(main, first, second)
        self.assertEqual(self.received(main, first, second), set(range(self.size)))
        self.assertEqual(info['ram']['remaining'], 0)

    def test_lost_on_the_way(self):
        """What the source has sent and we have not got comes again."""
        main = self.broken()
        again = self.resume()
        lost = {page for page, _ in main.pages()[-2:]} - {0}
        here = self.received(main) - lost
        self.agree(again, here)
        again.send(RESUME_ACK, struct.pack('>I', 1))
        self.speed_up()
        self.finish(again)
        self.assertEqual(set(self.check_pages(again)), set(range(self.size)) - here)

    def test_somebody_elses_destination(self):
        main = self.broken()
        for answer in TOKEN_OTHER, None:    # it says so, or does not know of tokens
            self.token = answer
            self.source.command('migrate', uri='unix:' + self.path, resume=True)
            again = self.accept()
            again.wait_closed()
            self.assertRegex(self.status('postcopy-paused')['error-desc'],
                             'not the one to which this guest went')
            self.assertEqual(again.kinds(), ['ping', 'ping'])
        self.token = TOKEN_TAKEN
        again = self.go_on(main)
        names = [[m.detail for m in c.messages if m.kind == 'ping' and m.detail >> 31]
                 for c in (main, again)]
        self.assertEqual(len(names[0]), 1)
        self.assertEqual(*names)

    def test_one_that_has_nothing(self):
        """Whatever a wrong destination says it has, the right one is believed later."""
        self.kind = 'qemu'
        main = self.broken()
        again = self.resume()
        self.agree(again, set())
        again.close()
        self.status('postcopy-paused')
        again = self.resume()
        self.send_bitmap(again, *self.bitmap(set(range(self.size - 1))))
        self.assertIn('was never sent', self.status('postcopy-paused')['error-desc'])
        again = self.go_on(main)
        self.speed_up()
        self.finish(again)
        self.check_pages(main, again)
        self.assertEqual(self.received(main, again), set(range(self.size)))

    def test_like_qemu(self):
        self.kind = 'qemu'
        main = self.broken()
        again = self.go_on(main)
        self.speed_up()
        self.finish(again)
        self.assertNotIn('run', again.kinds())

    def test_bad_bitmaps(self):
        main = self.broken()
        here = self.received(main)
        never = set(range(self.size)) - here
        for block, rest, text in (
                (*self.bitmap(here, size=72), 'has 0x48 bytes, expected 0x40'),
                (*self.bitmap([], size=8), 'has 0x8 bytes, expected 0x40'),
                (b'\3ram', struct.pack('>Q', 2 ** 63), 'has 0x8000000000000000 bytes'),
                (*self.bitmap(here, end=BITMAP_END + 1), 'ends with 0x123456789abcdf0'),
                (*self.bitmap(here, block=b'\4lamb'), "block 'lamb' came, but was not asked for"),
                (*self.bitmap(here, block=b'\3ra'), 'names no block'),
                (*self.bitmap(here | {max(never)}), 'has arrived, which was never sent')):
            with self.subTest(text=text):
                again = self.resume()
                self.send_bitmap(again, block, rest)
                again.wait_closed()
                info = self.status('postcopy-paused')
                self.assertIn(text, info['error-desc'])
                self.assertNotIn('resume', again.kinds())
        again = self.go_on(main)
        self.speed_up()
        self.finish(again)
        self.check_pages(main, again)

    def test_bitmap_twice(self):
        main = self.broken()
        again = self.resume()
        for _ in range(2):
            self.send_bitmap(again, *self.bitmap(self.received(main)))
        self.assertIn('came, but was not asked for', self.status('postcopy-paused')['error-desc'])

    def test_breaks_on_the_way(self):
        main = self.broken()
        here = self.received(main)
        for step in self.steps:
            with self.subTest(step=step):
                self.source.command('migrate', uri='unix:' + self.path, resume=True)
                again = self.accept()
                if step != 'connected':
                    again.wait('recv-bitmap')
                if step == 'half a bitmap':
                    block, rest = self.bitmap(here)
                    self.send_bitmap(again, block, rest[:30])
                if step == 'bitmap':
                    self.send_bitmap(again, *self.bitmap(here))
                if step == 'resume':
                    self.agree(again, here)
                again.close()
                self.assertIn('error-desc', self.status('postcopy-paused'))
        self.speed_up()
        self.finish(self.go_on(main))

    def test_wrong_acknowledgement(self):
        main = self.broken()
        again = self.resume()
        self.agree(again, self.received(main))
        again.send(RESUME_ACK, struct.pack('>I', 0))
        self.assertIn('RESUME_ACK came, but was not asked for',
                      self.status('postcopy-paused')['error-desc'])

    def test_nobody_there(self):
        self.broken()
        self.source.command('migrate', uri='unix:' + self.path + '-not', resume=True)
        info = self.status('postcopy-paused')
        end = time.monotonic() + TIMEOUT
        while 'Failed to connect' not in info.get('error-desc', ''):
            self.assertLess(time.monotonic(), end, info)
            info = self.status('postcopy-paused')
        self.status('postcopy-paused')

    def test_only_when_paused(self):
        for step in (self.start, lambda: self.source.command('migrate-start-postcopy')):
            step()
            with self.assertRaisesRegex(QMPError, 'Cannot resume if there is no paused migration'):
                self.source.command('migrate', uri='unix:' + self.path, resume=True)

    def test_asks_early(self):
        """QEMU's destination may ask before it has said what it has."""
        main = self.broken()
        again = self.resume()
        again.send(REQ_PAGES_ID, struct.pack('>QI', 300 * PAGE, PAGE) + b'\3ram')
        again.send(REQ_PAGES, struct.pack('>QI', 200 * PAGE, 2 * PAGE))
        self.agree(again, self.received(main))
        for page in (300, 200, 201):
            self.urgent_channel(again).wait('page', ('ram', page * PAGE))
        again.send(RESUME_ACK, struct.pack('>I', 1))
        self.status('postcopy-active')
        self.speed_up()
        self.finish(again)
        self.check_pages(main, again)

    def test_asks_early_without_end(self):
        self.broken()
        again = self.resume()
        request = messages.reply(REQ_PAGES_ID, struct.pack('>QI', 300 * PAGE, PAGE) + b'\3ram')
        again.send_raw(request * 65537)
        self.assertIn('requests for pages come before the bitmaps',
                      self.status('postcopy-paused')['error-desc'])

    def test_reset(self):
        """It waits until the memory is nobody else's."""
        def resets():
            self.source.command('query-status')
            return [e for e in self.source.qmp.poll_events() if e['event'] == 'RESET']
        self.lost_pong()
        self.source.command('system_reset')
        self.assertEqual(resets(), [])
        self.source.command('migrate_cancel')
        self.status('cancelled')
        end = time.monotonic() + TIMEOUT
        while not resets():
            self.assertLess(time.monotonic(), end, 'there is no reset')
            time.sleep(0.005)

    def lost_pong(self):
        self.kind = 'qemu'
        self.silent.add(3)
        main = self.switch()
        main.wait('ping', 4)
        self.status('postcopy-active')
        main.close()
        self.status('postcopy-paused')
        return main

    def stays(self):
        """Paused, and the guest is not to be had."""
        self.status('postcopy-paused')
        with self.assertRaisesRegex(QMPError, 'cannot cancel'):
            self.source.command('migrate_cancel')
        self.stands()

    def test_lost_pong(self):
        """Only PONG 3 was lost: who goes on has loaded the devices."""
        again = self.go_on(self.lost_pong())
        again.close()
        self.stays()
        again = self.resume()
        again.send(SHUT, struct.pack('>I', 1))
        self.stays()

    def test_lost_pong_met_again(self):
        main = self.lost_pong()
        again = self.resume()
        self.agree(again, self.received(main))
        again.close()
        self.stays()

    def test_refused_on_the_way(self):
        """QEMU has never said that it loaded the devices, and then says that it could not."""
        self.kind = 'qemu'
        self.silent.add(3)
        main = self.switch()
        main.wait('ping', 4)
        self.status('postcopy-active')
        main.close()
        self.status('postcopy-paused')
        again = self.resume()
        again.send(SHUT, struct.pack('>I', 1))
        self.assertIn('failed to load the stream', self.status('failed')['error-desc'])
        self.runs()

    def test_quit_on_the_way(self):
        self.broken()
        self.resume()
        self.assertEqual(self.source.quit(), 0)


class RecoveryPreempt(Recovery):
    """The same with the second channel, which is made anew as well."""

    capabilities = ('postcopy-preempt',)
    steps = ('connected', 'asked', 'half a bitmap', 'resume')

    def setUp(self):
        super().setUp()
        self.urgent = []

    def switch(self):
        main = super().switch()
        self.second_channel()
        return main

    def second_channel(self):
        self.urgent.append(self.accept(messages.Pages()))

    def urgent_channel(self, main):
        return self.urgent[-1]

    def received(self, *channels):
        return super().received(*channels, *self.urgent)

    def check_pages(self, *channels):
        return super().check_pages(*channels, *self.urgent)


class Release(Recovering):
    """release-ram: what was confirmed is given back, and nothing else."""

    capabilities = ('release-ram',)
    size = 4096
    question = 0x52000000

    def given_back(self):
        with open(self.memory, 'rb') as f:
            return {page for page in range(self.size) if f.read(PAGE) == bytes(PAGE)}

    def wait_given_back(self):
        """So slowly that the answer is heard before all has been sent."""
        self.speed_up(4 << 20)
        end = time.monotonic() + TIMEOUT
        while not self.given_back():
            self.assertLess(time.monotonic(), end, 'nothing is given back')
            time.sleep(0.01)
        return self.given_back()

    def test_confirmed(self):
        main = self.postcopy()
        gone = self.wait_given_back()
        before = {m.detail[1] // PAGE for m in
                  main.messages[:main.messages.index(main.wait('ping', self.question))]
                  if m.kind == 'page'}
        self.assertLessEqual(gone, before)
        self.speed_up()
        self.finish(main)

    def test_not_confirmed(self):
        self.silent.add(self.question)
        main = self.postcopy()
        self.speed_up()
        main.wait('ping', self.question)
        for wrong in (self.question + 1, self.question + 0xffffff, 0x52ffffff, 5):
            main.send(PONG, struct.pack('>I', wrong))
        self.finish(main)
        self.assertEqual(self.given_back(), set())

    def test_denied(self):
        main = self.postcopy()
        gone = self.wait_given_back()
        main.close()
        self.status('postcopy-paused')
        self.speed_up()
        here = self.received(main)
        again = self.resume()
        self.send_bitmap(again, *self.bitmap(here - {min(gone)}))
        self.assertIn('they are gone', self.status('postcopy-paused')['error-desc'])
        self.finish(self.go_on(main))


if __name__ == '__main__':
    tap.main()
