#!/usr/bin/python3
# SPDX-License-Identifier: GPL-2.0-or-later
"""What query-migrate says, against what went over the wire.

A proxy (scripts/vmtools/wire.py) between the two ends records all connections; its records are
counted here and compared with the figures, in every state that can be held still: before there is
a connection, while it runs, before the switchover, at the devices, and when it is completed, failed
or cancelled, and once more for a second migration by the same program.

The same measurements are made with the newer QEMU, so that a mistake in the measuring shows. Where
its figures mean something else than ours, Newer says what.
"""

import os
import random
import socket
import sys
import tempfile
import threading
import time
import unittest

HERE = os.path.dirname(os.path.abspath(__file__))
TOP = os.path.join(HERE, '..', '..')
sys.path[:0] = [os.path.join(TOP, 'scripts'), HERE]

from vmtools import migrate, programs, tap                      # noqa: E402
from vmtools.machine import MICROVM, Machine                    # noqa: E402
from vmtools.programs import GODWIT, NEWER                      # noqa: E402
from vmtools.stream import Stream                               # noqa: E402
from vmtools.wire import Proxy                                  # noqa: E402

MIB, PAGE = 1 << 20, 4096
RAM_SIZE = 16 * MIB
FILLED = 4 * MIB                            # with random data; the rest was never touched
KINDS = ('zero', 'normal', 'xbzrle', 'compressed')
RAM_MEMBERS = {'transferred', 'remaining', 'total', 'duplicate', 'normal', 'normal-bytes',
               'dirty-pages-rate', 'mbps', 'dirty-sync-count', 'postcopy-requests', 'page-size',
               'multifd-bytes', 'pages-per-second', 'precopy-bytes', 'downtime-bytes',
               'postcopy-bytes', 'dirty-sync-missed-zero-copy'}
RUNNING_MEMBERS = {'status', 'ram', 'total-time', 'setup-time', 'expected-downtime'}
SOURCE_STEPS = ['stop', 'pause', 'ram', 'devices', 'transfer', 'end']
STEPS = SOURCE_STEPS + ['load-devices', 'start']


class Qtest:
    """The qtest protocol, for writing to a machine's memory as a device would."""

    def __init__(self, path):
        self.socket = socket.socket(socket.AF_UNIX)
        self.socket.connect(path)
        self.lines = self.socket.makefile('rb')

    def write(self, address, data):
        self.socket.sendall(f'write {address:#x} {len(data):#x} 0x{data.hex()}\n'.encode())
        answer = self.lines.readline()
        if not answer.startswith(b'OK'):
            raise RuntimeError(f'qtest: {answer!r}')

    def close(self):
        self.lines.close()
        self.socket.close()


class Wire:
    """What a proxy's records of a whole migration come to."""

    def __init__(self, proxy):
        self.records = dict.fromkeys(KINDS, 0)      # pages in the main stream
        self.repeated = dict.fromkeys(KINDS, 0)     # of these, in a later pass than the first
        self.sizes = dict.fromkeys(KINDS, 0)        # what follows the records' headers
        self.sent = {}                              # (block, offset) -> how often
        self.stream = Stream(proxy.main, records=self._record).parse()
        self.main = proxy.main_bytes()
        self.multifd = proxy.multifd_bytes()
        self.channels = proxy.channels()
        self.total = self.main + self.multifd
        self.memory = sum(block.length for block in self.stream.blocks.values())
        ram = [s for s in self.stream.sections if s.get('name') == 'ram']
        self.parts = sum(s['size'] for s in ram if s['type'] == 'PART')
        self.end, = [s['size'] for s in ram if s['type'] == 'END']
        self.flushes = sum(s.get('multifd-flushes', 0) for s in ram)
        self.normal = self.records['normal'] + sum(c.normal for c in self.channels)
        self.zero = self.records['zero'] + sum(c.zero for c in self.channels)
        self.pages = (self.normal + self.zero + self.records['xbzrle'] +
                      self.records['compressed'])

    def _record(self, record):
        kind, page = record['kind'], (record['block'], record['address'])
        self.records[kind] += 1
        self.repeated[kind] += page in self.sent
        self.sizes[kind] += record['size']
        self.sent[page] = self.sent.get(page, 0) + 1


class Numbers(unittest.TestCase):
    """Machines, and the checks that hold for each program."""
    kinds = None                            # source and destination
    one_write = MIB // 10                   # what may be on its way to the kernel and not counted
    impossible_limit = 0                    # a downtime that a guest which writes does not allow
    tcp = False                             # how the source reaches the proxy

    def setUp(self):
        directory = tempfile.TemporaryDirectory(prefix='godwit-')
        self.addCleanup(directory.cleanup)
        self.directory = directory.name
        self.proxies = 0

    def path(self, name):
        return os.path.join(self.directory, name)

    def machine(self, kind, name, *arguments, microvm=False):
        """With microvm there are devices and a guest that stands still, else only memory."""
        type_ = [MICROVM, '-accel', 'tcg', '-S'] if microvm else ['none']
        machine = Machine(programs.find(kind), ['-m', f'{RAM_SIZE // MIB}M', '-machine',
                                                type_[0] + ',memory-backend=ram', *type_[1:],
                                                *arguments], name, self.directory)
        self.addCleanup(machine.end)
        return machine

    def start_source(self, *arguments, **more):
        rng = random.Random(1)
        with open(self.path('ram'), 'wb') as f:
            for _ in range(FILLED // MIB):
                f.write(rng.randbytes(MIB))
            f.truncate(RAM_SIZE)
        self.source = self.machine(
            self.kinds[0], 'source', '-object',
            f'memory-backend-file,id=ram,mem-path={self.path("ram")},size={RAM_SIZE},share=on',
            *arguments, **more)

    def start_destination(self, capabilities=(), parameters=None, **more):
        """Another destination, with a proxy before it."""
        self.proxies += 1
        name = f'destination{self.proxies}'
        self.destination = self.machine(self.kinds[1], name, '-object',
                                        f'memory-backend-ram,id=ram,size={RAM_SIZE}', '-incoming',
                                        'defer', **more)
        self.assertEqual(self.destination.command('query-migrate'), {})
        migrate.set_up(self.destination, capabilities, parameters)
        target = self.path(name + '.migration')
        self.destination.command('migrate-incoming', uri='unix:' + target)
        there = self.destination.command('query-migrate')
        self.assertEqual(there, {'status': 'setup',
                                 'socket-address': [{'type': 'unix', 'path': target}]})
        self.proxy = Proxy(self.directory, target, name + '.wire', tcp=self.tcp)
        self.addCleanup(self.proxy.close)

    def start(self, capabilities=(), parameters=None, arguments=(), **more):
        self.start_source(*arguments, **more)
        multifd = {k: v for k, v in (parameters or {}).items() if k.startswith('multifd')}
        self.start_destination([c for c in capabilities
                                if c not in ('pause-before-switchover', 'zero-copy-send')],
                               multifd, **more)
        migrate.set_up(self.source, capabilities, parameters)

    def qtest(self):
        """Of a source that was started with self.with_qtest()."""
        qtest = Qtest(self.path('qtest'))
        self.addCleanup(qtest.close)
        return qtest

    def with_qtest(self):
        return ['-qtest', f'unix:{self.path("qtest")},server=on,wait=off', '-qtest-log',
                '/dev/null']

    def completed(self):
        """Waits for both ends, checks all figures, and answers them and what was on the wire."""
        info = migrate.wait_status(self.source)
        self.assertEqual(info['status'], 'completed', info.get('error-desc'))
        there = migrate.wait_status(self.destination)
        self.proxy.ended()
        wire = Wire(self.proxy)
        self.check_source(info, wire)
        self.check_destination(there)
        self.assertEqual(self.source.command('query-migrate'), info, 'and it stays so')
        return info, wire

    def check_source(self, info, wire):
        ram = info['ram']
        self.assertEqual(set(ram), RAM_MEMBERS)
        self.assertEqual(ram['transferred'], wire.total)
        self.assertEqual(ram['multifd-bytes'], wire.multifd)
        self.assertEqual(ram['total'], wire.memory)
        self.assertEqual(ram['remaining'], 0)
        self.assertEqual(ram['page-size'], PAGE)
        self.assertEqual(ram['normal-bytes'], ram['normal'] * PAGE)
        self.assertEqual(ram['postcopy-bytes'], 0)
        self.assertEqual(ram['postcopy-requests'], 0)
        self.assertEqual(ram['dirty-pages-rate'], 0)
        self.assertEqual(ram['dirty-sync-missed-zero-copy'], self.missed_zero_copy(wire))
        if not wire.channels:               # each pass sends a page at most once
            self.assertGreaterEqual(ram['dirty-sync-count'], max(wire.sent.values()))
        for channel in wire.channels:
            self.assertEqual(channel.rest, 0)
            self.assertEqual(channel.syncs, wire.flushes)
        if wire.channels:
            self.check_flushes(ram, wire)
        # Times: of each other, and of the rate.
        self.assertGreaterEqual(info['total-time'], info['setup-time'])
        self.assertGreaterEqual(info['setup-time'], 0)
        spent = max(info['total-time'] - info['setup-time'], 1)
        self.assertAlmostEqual(ram['mbps'], wire.total * 8 / 1000 / spent, places=3)
        self.check_pages(ram, wire)
        self.check_parts(info, wire)

    def check_flushes(self, ram, wire):
        """One at the beginning, at the end, and for each pass."""
        self.assertGreaterEqual(ram['dirty-sync-count'] + 1, wire.flushes)

    def missed_zero_copy(self, wire):
        """Over TCP the source was told to send without copying; the loopback device always copies.
        Once for each channel at each synchronisation before which it had pages."""
        return sum(c.used_syncs for c in wire.channels) if self.tcp else 0

    def check_pages(self, ram, wire):
        self.assertEqual(ram['normal'], wire.normal)
        self.assertEqual(ram['duplicate'], wire.zero)

    def check_parts(self, info, wire):
        raise NotImplementedError

    def check_destination(self, info):
        raise NotImplementedError

    def check_running(self, info, status):
        """Some time between setup and the end."""
        self.assertEqual(info['status'], status)
        self.assertEqual(set(info), RUNNING_MEMBERS)
        self.assertEqual(set(info['ram']), RAM_MEMBERS)
        self.assertEqual(info['ram']['normal-bytes'], info['ram']['normal'] * PAGE)
        self.assertGreaterEqual(info['total-time'], info['setup-time'])

    def migrate_and_check(self, *arguments, **more):
        self.start(*arguments, **more)
        self.source.command('migrate', uri=self.proxy.uri)
        return self.completed()

    def pause(self):
        """Goes as far as pre-switchover. All that was sent by then is on the wire."""
        self.source.command('migrate', uri=self.proxy.uri)
        migrate.wait_status(self.source, ('pre-switchover',))
        info = self.source.command('query-migrate')
        self.check_running(info, 'pre-switchover')
        self.wait_for_bytes(info['ram']['transferred'])     # QEMU counts some before they are written
        self.proxy.settle()
        self.assertEqual(info['ram']['transferred'],
                         self.proxy.main_bytes() + self.proxy.multifd_bytes())
        self.assertEqual(info['ram']['multifd-bytes'], self.proxy.multifd_bytes())
        return info

    def go_on(self):
        self.source.command('migrate-continue', state='pre-switchover')

    def start_slowly(self, **more):
        """A migration that takes half a minute unless somebody intervenes."""
        self.start(parameters={'max-bandwidth': MIB // 2}, **more)
        self.source.command('migrate', uri=self.proxy.uri)

    def wait_for_bytes(self, wanted):
        deadline = time.monotonic() + 30
        while self.proxy.main_bytes() + self.proxy.multifd_bytes() < wanted:
            self.assertLess(time.monotonic(), deadline, 'nothing comes')
            time.sleep(0.005)

    # Tests for either program

    def test_plain(self):
        self.migrate_and_check()

    def test_return_path(self):
        self.migrate_and_check(['return-path'])

    def test_with_devices(self):
        _, wire = self.migrate_and_check(microvm=True)
        self.assertIn('cpu', [s.get('name') for s in wire.stream.sections])

    def test_multifd(self):
        info, wire = self.migrate_and_check(['multifd'], {'multifd-channels': 3})
        self.assertEqual(len(wire.channels), 3)
        self.assertEqual(sum(wire.records.values()), 0)
        self.assertGreater(info['ram']['multifd-bytes'], FILLED)

    def test_multifd_zlib(self):
        self.migrate_and_check(['multifd'], {'multifd-compression': 'zlib'})

    def test_multifd_zstd(self):
        self.migrate_and_check(['multifd'], {'multifd-compression': 'zstd'})

    def test_multifd_legacy_zero_pages(self):
        _, wire = self.migrate_and_check(['multifd'], {'zero-page-detection': 'legacy'})
        self.assertGreater(wire.records['zero'], 0)

    def test_zero_copy(self):
        self.tcp = True
        info, wire = self.migrate_and_check(['multifd', 'zero-copy-send'])
        self.assertGreater(info['ram']['dirty-sync-missed-zero-copy'], 0)
        self.assertLess(info['ram']['dirty-sync-missed-zero-copy'],
                        sum(c.syncs for c in wire.channels))

    def test_zero_copy_in_each_pass(self):
        self.tcp = True
        missed = 'dirty-sync-missed-zero-copy'
        info, _ = self.rewritten('multifd zero-copy-send', 6, lambda i: i['ram'][missed] >= 6)
        self.assertGreaterEqual(info['ram'][missed], 6)

    def test_setup(self):
        """The connection is not made yet."""
        self.start_source()
        listener = socket.socket(socket.AF_UNIX)
        self.addCleanup(listener.close)
        listener.bind(self.path('full'))
        listener.listen(0)
        first = socket.socket(socket.AF_UNIX)
        self.addCleanup(first.close)
        first.connect(self.path('full'))    # there is no room for a second
        self.assertEqual(self.source.command('query-migrate'), {})
        self.source.command('migrate', uri='unix:' + self.path('full'))
        self.assertEqual(self.source.command('query-migrate'), {'status': 'setup'})
        self.source.command('migrate_cancel')
        listener.accept()[0].close()
        self.assertEqual(migrate.wait_status(self.source), {'status': 'cancelled'})

    def test_active(self):
        """While it runs: never more than was sent, never less than what came but for one write."""
        self.start_slowly()
        last = None
        for step in range(1, 7):
            self.wait_for_bytes(step * MIB // 8)
            before = self.proxy.main_bytes()
            info = self.source.command('query-migrate')
            self.check_running(info, 'active')
            ram = info['ram']
            self.wait_for_bytes(ram['transferred'])
            self.assertGreaterEqual(ram['transferred'] + self.one_write, before)
            self.assertEqual(ram['dirty-sync-count'], 1)
            self.assertEqual(ram['downtime-bytes'], 0)
            self.assertEqual(ram['total'], RAM_SIZE)
            self.assertLessEqual(ram['remaining'] + (ram['normal'] + ram['duplicate']) * PAGE,
                                 RAM_SIZE)
            if last:
                for name in ('transferred', 'normal', 'duplicate', 'precopy-bytes'):
                    self.assertGreaterEqual(ram[name], last[name], name)
                self.assertLessEqual(ram['remaining'], last['remaining'])
            last = ram
        there = self.destination.command('query-migrate')
        self.assertEqual((there['status'], set(there)), ('active', {'status', 'socket-address'}))
        self.source.command('migrate-set-parameters', **{'max-bandwidth': 0})
        self.completed()

    def test_pre_switchover(self):
        self.start(['pause-before-switchover'])
        info = self.pause()
        self.assertEqual(info['ram']['downtime-bytes'], 0)
        self.go_on()
        after, _ = self.completed()
        self.assertEqual(after['ram']['precopy-bytes'], info['ram']['precopy-bytes'])

    def test_pre_switchover_multifd(self):
        self.start(['pause-before-switchover', 'multifd'])
        self.pause()
        self.go_on()
        self.completed()

    def test_device(self):
        """All has been sent, but the destination cannot read it."""
        self.start(['pause-before-switchover', 'return-path'], microvm=True)
        self.pause()
        self.proxy.hold()
        self.go_on()
        info = migrate.wait_status(self.source, ('device',))
        self.check_running(info, 'device')
        self.proxy.go_on()
        self.completed()

    def test_failed(self):
        self.start_slowly()
        self.wait_for_bytes(MIB // 4)
        self.proxy.cut()
        deadline = time.monotonic() + 30
        while (info := self.source.command('query-migrate'))['status'] not in migrate.FINAL:
            self.assertLess(time.monotonic(), deadline)
            time.sleep(0.01)
        self.assertEqual((info['status'], set(info)), ('failed', {'status', 'error-desc'}))
        self.again()

    def test_cancelled(self):
        self.start_slowly()
        self.wait_for_bytes(MIB // 4)
        self.source.command('migrate_cancel')
        self.assertEqual(migrate.wait_status(self.source), {'status': 'cancelled'})
        self.again()

    def again(self):
        """A second migration begins to count anew."""
        self.destination.kill()
        self.start_destination()
        self.source.command('migrate-set-parameters', **{'max-bandwidth': 0})
        self.source.command('migrate', uri=self.proxy.uri)
        info, _ = self.completed()
        self.assertNotIn('error-desc', info)

    def write_on(self, qtest, over):
        """200 pages change a little, 10 altogether, 10 are written as they were, 10 with zeroes."""
        rng = random.Random(2)
        round_ = 0
        while not over.is_set():
            round_ = round_ % 255 + 1
            for page in range(230):
                if page < 200:
                    qtest.write(page * PAGE + 64, bytes([round_]) * 16)
                elif page < 210:
                    qtest.write(page * PAGE, rng.randbytes(PAGE))
                elif page < 220:
                    qtest.write(page * PAGE + 64, b'same')
                else:
                    qtest.write(page * PAGE, bytes(PAGE))

    def rewritten(self, capabilities, passes, enough, slowly=2 * MIB, parameters=None):
        """The memory of a machine is written again and again, until it has been gone through so
        often and enough(query-migrate). A migration that comes upon a moment in which no page was
        written ends before that: its figures are checked, and there is another one."""
        deadline = time.monotonic() + 60
        while True:
            self.start(capabilities.split(), {**(parameters or {}), 'max-bandwidth': 16 * MIB,
                                              'downtime-limit': self.impossible_limit},
                       arguments=self.with_qtest(), microvm=True)
            over = threading.Event()
            writer = threading.Thread(target=self.write_on, args=(self.qtest(), over), daemon=True)
            writer.start()
            try:
                done = self.goes_through(passes, enough, slowly, deadline)
            finally:
                over.set()
                writer.join()
            self.source.command('migrate-set-parameters',
                                **{'max-bandwidth': 0, 'downtime-limit': 300})
            outcome = self.completed()
            if done:
                return outcome
            self.source.end()
            self.destination.end()
            self.setUp()                    # with a directory of its own

    def goes_through(self, passes, enough, slowly, deadline):
        """A migration up to there; False when it has ended before. After the first pass the rate
        is such that each takes several of the limit's windows, and finds all written again."""
        self.source.command('migrate', uri=self.proxy.uri)
        slow = False
        while True:
            info = self.source.command('query-migrate')
            if not slow and 'ram' in info and info['ram']['dirty-sync-count'] > 1:
                slow = True
                self.source.command('migrate-set-parameters', **{'max-bandwidth': slowly})
            if 'ram' in info and info['ram']['dirty-sync-count'] >= passes and enough(info):
                return True
            if info['status'] in migrate.FINAL:
                return False
            self.assertLess(time.monotonic(), deadline, info)
            time.sleep(0.01)

    def test_xbzrle(self):
        info, wire = self.rewritten('xbzrle', 6, lambda i: i['xbzrle-cache']['pages'] > 0,
                                    MIB // 4, {'xbzrle-cache-size': 2 * MIB})
        stats = info['xbzrle-cache']
        self.assertEqual(stats['cache-size'], 2 * MIB)
        self.check_xbzrle(stats, wire)
        # What went whole although it was not the first time was not in the cache, or did not pay.
        self.assertEqual(stats['cache-miss'] + stats['overflow'], wire.repeated['normal'])


class Godwit(Numbers):
    """What our figures say. All of them are exact."""
    kinds = (GODWIT, GODWIT)

    def check_parts(self, info, wire):
        ram = info['ram']
        # RAM over all channels: what its sections hold, and multifd's bytes.
        self.assertEqual(ram['precopy-bytes'] + ram['downtime-bytes'],
                         wire.parts + wire.end + wire.multifd)
        spent = max(info['total-time'] - info['setup-time'], 1)
        self.assertEqual(ram['pages-per-second'], wire.pages * 1000 // spent)
        self.assertGreaterEqual(info['total-time'], info['setup-time'] + info['downtime'])
        steps = info['x-downtime']
        self.assertEqual(set(steps), set(SOURCE_STEPS))
        # Their sum is the downtime before it was rounded up to milliseconds.
        self.assertEqual(-(-sum(steps.values()) // 1000), info['downtime'])

    def check_xbzrle(self, stats, wire):
        self.assertEqual(stats['pages'], wire.records['xbzrle'])
        self.assertEqual(stats['bytes'], wire.sizes['xbzrle'])
        self.assertGreater(stats['pages'], 0)
        self.assertAlmostEqual(stats['encoding-rate'],
                               wire.records['xbzrle'] * PAGE / wire.sizes['xbzrle'], places=3)
        self.assertGreater(stats['cache-miss-rate'], 0)
        self.assertLessEqual(stats['cache-miss-rate'], 1)

    def check_destination(self, info):
        self.assertEqual(info['status'], 'completed')
        self.assertEqual(set(info), {'status', 'total-time', 'x-downtime'})
        self.assertLessEqual(set(info['x-downtime']), {'load-devices', 'start'})

    def test_compress(self):
        info, wire = self.rewritten('compress', 5, lambda i: i['compression']['pages'] > 0,
                                    MIB // 4)
        stats = info['compression']
        self.assertGreater(wire.records['compressed'], 0)
        self.assertEqual(stats['pages'], wire.records['compressed'])
        self.assertEqual(stats['compressed-size'], wire.sizes['compressed'])
        self.assertAlmostEqual(stats['compression-rate'],
                               stats['pages'] * PAGE / stats['compressed-size'], places=3)
        self.assertEqual((stats['busy'], stats['busy-rate']), (0, 0))
        # The figures are those of the run, not of what is switched on afterwards.
        self.source.command('migrate-set-capabilities',
                            capabilities=[{'capability': 'compress', 'state': False}])
        self.assertEqual(self.source.command('query-migrate')['compression'], stats)

    def test_no_room_for_differences(self):
        """A cache of one page: nearly everything is a miss."""
        info, wire = self.rewritten('xbzrle', 4, lambda i: i['xbzrle-cache']['cache-miss'] > 200,
                                    parameters={'xbzrle-cache-size': PAGE})
        stats = info['xbzrle-cache']
        if wire.records['xbzrle']:
            self.check_xbzrle(stats, wire)
        else:
            self.assertEqual((stats['pages'], stats['encoding-rate']), (0, 0))
        self.assertEqual(stats['cache-miss'] + stats['overflow'], wire.repeated['normal'])
        self.assertGreater(stats['cache-miss'], 200)

    def test_bytes_of_the_downtime(self):
        """What is written once the guest has stopped is sent in the downtime, and counted there."""
        self.start(['pause-before-switchover'], arguments=['-accel', 'qtest', *self.with_qtest()])
        qtest = self.qtest()
        before = self.pause()['ram']
        for page in range(3):
            qtest.write((2000 + page) * PAGE, b'late')
        self.go_on()
        info, wire = self.completed()
        ram = info['ram']
        self.assertEqual(ram['precopy-bytes'], before['precopy-bytes'])
        self.assertEqual(ram['normal'], before['normal'] + 3)
        self.assertEqual(ram['downtime-bytes'],
                         wire.parts + wire.end - before['precopy-bytes'])
        self.assertGreaterEqual(ram['downtime-bytes'], 3 * PAGE)

    def test_stopped_guest(self):
        """All of it is sent while the guest stands still."""
        self.start(microvm=True)
        self.source.command('migrate', uri=self.proxy.uri)
        info, wire = self.completed()
        self.assertEqual(info['ram']['precopy-bytes'], 0)
        self.assertEqual(info['ram']['downtime-bytes'], wire.parts + wire.end)

    def test_passes(self):
        """dirty-sync-count is the number of the last MIGRATION_PASS."""
        self.start(['events', 'return-path'])
        self.source.command('migrate', uri=self.proxy.uri)
        info, _ = self.completed()
        passes = [e['data']['pass'] for e in self.source.qmp.events
                  if e['event'] == 'MIGRATION_PASS']
        self.assertEqual(passes, list(range(1, info['ram']['dirty-sync-count'] + 1)))

    def test_steps(self):
        """The steps of the downtime are where they belong."""
        self.start(['pause-before-switchover', 'return-path'], arguments=['-accel', 'qtest'])
        self.pause()
        began = time.monotonic()
        time.sleep(0.03)
        paused = time.monotonic() - began
        self.go_on()
        info, _ = self.completed()
        steps = info['x-downtime']
        there = self.destination.command('query-migrate')['x-downtime']
        self.assertGreaterEqual(steps['pause'], paused * 1e6)
        self.assertEqual(set(there), {'load-devices', 'start'})
        # The source waits for both.
        self.assertLessEqual(there['load-devices'], steps['devices'] + steps['transfer'])
        self.assertLessEqual(there['start'], steps['end'])
        for machine, known in ((self.source, steps), (self.destination, there)):
            text = machine.command('human-monitor-command', **{'command-line': 'info migrate'})
            line = text.splitlines()[-1]    # behind all that is QEMU's
            self.assertEqual(line, 'downtime steps: ' + ', '.join(
                f'{name} {known[name]} us' for name in STEPS if name in known))

    def stall(self, *capabilities):
        """The destination stops reading: all comes to a standstill. Answers what is said then."""
        self.start(capabilities, {'max-bandwidth': 0})
        self.proxy.hold()
        self.source.command('migrate', uri=self.proxy.uri)
        migrate.wait_status(self.source, ('active', 'device'))
        before, steady = None, 0
        while steady < 5:
            ram = self.source.command('query-migrate')['ram']
            steady = steady + 1 if ram == before else 0
            before = ram
            time.sleep(0.05)
        return ram

    def test_stalled(self):
        """What is in our buffers has not been transferred."""
        ram = self.stall()
        self.assertLess(ram['transferred'], MIB)    # the sockets' and the proxy's at most
        self.proxy.go_on()
        self.completed()

    def test_stalled_multifd(self):
        """Nor have batches been sent that wait for their channels."""
        ram = self.stall('multifd')
        self.assertGreater(ram['remaining'], 0)
        self.assertEqual(ram['remaining'] + (ram['normal'] + ram['duplicate']) * PAGE, RAM_SIZE)
        self.proxy.go_on()
        self.completed()


class Newer(Numbers):
    """How the newer QEMU counts, where it differs. It is the measuring that is tested by it."""
    kinds = (NEWER, NEWER)
    one_write = MIB // 4
    impossible_limit = 1                    # with 0 it does not look for written pages at all

    def check_parts(self, info, wire):
        ram = info['ram']
        # Without multifd's bytes and the marks at which its channels are brought together, and
        # without the end mark of the last RAM section.
        self.assertEqual(ram['precopy-bytes'] + ram['downtime-bytes'],
                         wire.parts + wire.end - 8 - 8 * self.marks(wire))

    def check_flushes(self, ram, wire):
        """There may be more than passes while the guest writes."""
        self.assertGreaterEqual(wire.flushes, 2)

    def marks(self, wire):
        return sum(s.get('multifd-flushes', 0) for s in wire.stream.sections
                   if s.get('name') == 'ram' and s['type'] != 'START')

    def check_xbzrle(self, stats, wire):
        # It counts pages that turned out to be as they had been sent before, too, and the bytes
        # of pages that went whole because their differences were too long.
        self.assertGreaterEqual(stats['pages'], wire.records['xbzrle'])
        self.assertEqual(stats['bytes'], wire.sizes['xbzrle'] + stats['overflow'] * PAGE)

    def check_destination(self, info):
        self.assertEqual(info, {'status': 'completed'})


class FromNewer(Newer):
    kinds = (NEWER, GODWIT)
    check_destination = Godwit.check_destination


class ToNewer(Godwit):
    kinds = (GODWIT, NEWER)
    check_destination = Newer.check_destination
    test_compress = None                    # it does not have it any more
    test_steps = None                       # it does not tell


def skip_where_missing():
    for cls in (Godwit, Newer, FromNewer, ToNewer):
        why = programs.why_missing(*cls.kinds)
        if why:
            globals()[cls.__name__] = unittest.skip(why)(cls)


skip_where_missing()
del Numbers


if __name__ == '__main__':
    tap.main()
