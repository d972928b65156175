#!/usr/bin/python3
# SPDX-License-Identifier: GPL-2.0-or-later
"""Machines moving between this program and a real QEMU, over every transport, both ways.

The machine is `none`: RAM and the few sections that every machine has. RAM is filled through a
memory-backend-file, and read back by pmemsave on the destination; it has to be the same byte for
byte. Which programs: scripts/vmtools/programs.py.
"""

import os
import random
import signal
import socket
import sys
import tempfile
import time
import unittest

HERE = os.path.dirname(os.path.abspath(__file__))
TOP = os.path.join(HERE, '..', '..')
sys.path[:0] = [os.path.join(TOP, 'scripts'), HERE]

from vmtools import interop, migrate, programs, tap             # noqa: E402
from vmtools.machine import Machine, for_older                  # noqa: E402
from vmtools.programs import GODWIT, NEWER, OLDER               # noqa: E402
from vmtools.stream import Stream, open_stream                  # noqa: E402

MIB = 1 << 20
RAM_SIZE = 32 * MIB
PAGE = 4096
DATA = os.path.join(HERE, '..', 'data')
CONTENTS = ('random', 'text', 'zero', 'sparse')
TRANSPORTS = ('tcp', 'tcp6', 'unix', 'fd', 'exec', 'file', 'file_offset')
OFFSET = 0x3000
UUID = '5d0ab6a1-7e4c-4c5c-9f6b-1f2d3c4b5a69'

BINARIES = {name: programs.find(name) for name in programs.NAMES}

# What query-migrate has to say when all is over.
SOURCE_MEMBERS = ('status', 'total-time', 'downtime', 'setup-time', 'ram')
RAM_MEMBERS = ('transferred', 'remaining', 'total', 'duplicate', 'normal',
               'normal-bytes', 'dirty-pages-rate', 'mbps', 'dirty-sync-count',
               'postcopy-requests', 'page-size', 'multifd-bytes', 'pages-per-second',
               'precopy-bytes', 'downtime-bytes', 'postcopy-bytes')


def fill(path, content):
    """Makes the file that is the source's RAM."""
    rng = random.Random(content)
    with open(path, 'wb') as f:
        if content == 'random':
            for _ in range(RAM_SIZE // MIB):
                f.write(rng.randbytes(MIB))
        elif content == 'text':
            line = b''.join(b'%08d the quick brown fox moves to another host\n' % i
                            for i in range(MIB // 50))
            while f.tell() < RAM_SIZE:
                f.write(line)
        elif content == 'sparse':
            pages = RAM_SIZE // PAGE
            for page in {0, 1, 2, pages // 2, pages - 1, *range(5, pages, 97)}:
                f.seek(page * PAGE + rng.choice((0, 1, 2047, PAGE - 1)))
                f.write(b'\1')
            for page in rng.sample(range(pages), 40):
                f.seek(page * PAGE)
                f.write(rng.randbytes(PAGE))
        f.truncate(RAM_SIZE)


def same(path, other):
    """Compares two files; answers the offset of the first difference, None when equal."""
    with open(path, 'rb') as a, open(other, 'rb') as b:
        for at in range(0, RAM_SIZE, MIB):
            x, y = a.read(MIB), b.read(MIB)
            if x != y:
                return at + next((i for i in range(min(len(x), len(y))) if x[i] != y[i]),
                                 min(len(x), len(y)))
        return None if not a.read(1) and not b.read(1) else RAM_SIZE


class Interop(unittest.TestCase):
    """A directory, machines that are gone afterwards, and both ends of each transport."""

    def setUp(self):
        self.directory = tempfile.TemporaryDirectory(prefix='godwit-')
        self.addCleanup(self.directory.cleanup)

    def path(self, name):
        return os.path.join(self.directory.name, name)

    def machine(self, kind, name, *more, ram=None, memory=RAM_SIZE):
        arguments = ['-m', f'{memory // MIB}M']
        if ram is not None:
            arguments += ['-machine', 'none,memory-backend=ram', '-object',
                          f'memory-backend-file,id=ram,mem-path={ram},size={memory},share=on']
        else:
            arguments += ['-machine', 'none']
        machine = Machine(BINARIES[kind], [*arguments, *more], name, self.directory.name)
        self.addCleanup(machine.end)
        return machine

    def source(self, kinds, ram):
        compatible = for_older(BINARIES[kinds[0]], BINARIES[kinds[1]])
        return self.machine(kinds[0], 'source', *compatible, ram=ram)

    def pair(self, kinds, transport, ram):
        """Source and destination, ready; and the URI for the source."""
        source = self.source(kinds, ram)

        def destination(uri):
            return self.machine(kinds[1], 'destination', '-incoming', uri)

        if transport == 'tcp':
            there = destination('tcp:127.0.0.1:0')
            return source, there, migrate.listening_uri(there)
        if transport == 'tcp6':
            there = destination('tcp:[::1]:0')
            return source, there, migrate.listening_uri(there)
        if transport == 'unix':
            there = destination('unix:' + self.path('migration'))
            return source, there, migrate.listening_uri(there)
        if transport == 'fd':
            ours, theirs = socket.socketpair()
            with ours, theirs:
                there = destination('defer')
                there.qmp.command('getfd', fds=[theirs.fileno()], fdname='mig')
                there.command('migrate-incoming', uri='fd:mig')
                source.qmp.command('getfd', fds=[ours.fileno()], fdname='mig')
            return source, there, 'fd:mig'
        if transport == 'exec':
            os.mkfifo(self.path('fifo'))
            there = destination(f'exec:cat {self.path("fifo")}')
            return source, there, f'exec:cat >{self.path("fifo")}'
        raise AssertionError(transport)

    def through_file(self, kinds, transport, ram):
        """Source writes a file and ends; the destination reads it. 7.2 has no file: URIs, so there
        a command writes or reads it."""
        source_kind, destination_kind = kinds
        offset = OFFSET if transport == 'file_offset' else 0
        path = self.path('stream')
        suffix = f',offset={offset:#x}' if offset else ''
        source = self.source(kinds, ram)
        if source_kind != OLDER:
            uri = f'file:{path}{suffix}'
        elif offset:
            uri = f'exec:dd of={path} bs=4096 seek={offset // 4096} iflag=fullblock status=none'
        else:
            uri = f'exec:cat >{path}'
        info, _ = migrate.run(source, None, uri)
        Stream(open_stream(path), offset).parse()
        if destination_kind != OLDER:
            uri = f'file:{path}{suffix}'
        else:
            uri = f'exec:tail -c +{offset + 1} {path}'
        there = self.machine(destination_kind, 'destination', '-incoming', uri)
        return info, there, migrate.wait_status(there)

    def move(self, kinds, transport, content):
        ram = self.path('ram')
        fill(ram, content)
        if transport.startswith('file'):
            info, there, there_info = self.through_file(kinds, transport, ram)
        else:
            source, there, uri = self.pair(kinds, transport, ram)
            info, there_info = migrate.run(source, there, uri)
        self.check_figures(info, there_info, kinds, content)
        there.save_memory(0, RAM_SIZE, self.path('arrived'))
        where = same(ram, self.path('arrived'))
        self.assertIsNone(where, f'RAM differs at {where or 0:#x}')
        self.assertIn(there.command('query-status')['status'], ('running', 'paused'))
        self.figures = {'content': content, 'total-ms': info['total-time'],
                        'downtime-ms': info['downtime'],
                        'transferred': info['ram']['transferred']}
        self.assertEqual(there.quit(), 0)

    def check_figures(self, info, there_info, kinds, content, compressed=False):
        for member in SOURCE_MEMBERS:
            self.assertIn(member, info)
        for member in RAM_MEMBERS:
            self.assertIn(member, info['ram'])
        ram = info['ram']
        self.assertEqual(there_info['status'], 'completed')
        self.assertEqual(ram['total'], RAM_SIZE)
        self.assertEqual(ram['remaining'], 0)
        self.assertEqual(ram['page-size'], PAGE)
        self.assertEqual(ram['normal-bytes'], ram['normal'] * PAGE)
        self.assertGreaterEqual(ram['dirty-sync-count'], 1)
        if not compressed:
            self.assertGreaterEqual(ram['transferred'], ram['normal-bytes'])
        if content == 'zero':
            self.assertEqual(ram['normal'], 0)
        if content in ('random', 'text'):
            self.assertGreaterEqual(ram['normal'], RAM_SIZE // PAGE)


def row(kinds, transport, feature):
    return interop.Case(kinds[0], kinds[1], 'none', '-', '-', transport.replace('_', ', '), feature)


def skip_where_missing(cls, *names):
    why = programs.why_missing(*names)
    return unittest.skip(why)(cls) if why else cls


def add_cases(name, kinds):
    """A test class with a test for each transport and content."""
    def make(transport, content):
        def test(self):
            self.move(kinds, transport, content)
        test.__name__ = f'test_{transport}_{content}'
        test.cases = [row(kinds, transport, 'RAM the same: random, text, zero, sparse')]
        return test
    tests = {}
    for transport in TRANSPORTS:
        for content in CONTENTS:
            test = make(transport, content)
            tests[test.__name__] = test
    tests.update(special_cases(kinds))
    cls = type(name, (Interop,), tests)
    cls.__module__ = __name__
    globals()[name] = skip_where_missing(cls, *kinds)


def with_options(kinds, name, feature, arguments=(), capabilities=(), uri=True, **parameters):
    """A test over a socket with something switched on."""
    # What 7.2 does not know is not sent to it.
    only_source = {'zero-page-detection': 'legacy'} if kinds[1] == OLDER else {}

    def test(self):
        ram = self.path('ram')
        fill(ram, 'text')
        compatible = for_older(BINARIES[kinds[0]], BINARIES[kinds[1]])
        source = self.machine(kinds[0], 'source', *compatible, *arguments, ram=ram)
        there = self.machine(kinds[1], 'destination', '-incoming', 'defer')
        migrate.set_up(source, capabilities, {**parameters, **only_source})
        migrate.set_up(there, capabilities, parameters)
        address = {'transport': 'socket', 'type': 'unix', 'path': self.path('migration')}
        where = {'uri': 'unix:' + address['path']} if uri else \
            {'channels': [{'channel-type': 'main', 'addr': address}]}
        there.command('migrate-incoming', **where)
        source.command('migrate', **where)
        info = migrate.wait_status(source)
        self.assertEqual(info['status'], 'completed', info)
        compressed = parameters.get('multifd-compression', 'none') != 'none'
        self.check_figures(info, migrate.wait_status(there), kinds, 'text', compressed)
        self.assertEqual(info['ram']['multifd-bytes'] > 0, 'multifd' in capabilities)
        there.save_memory(0, RAM_SIZE, self.path('arrived'))
        self.assertIsNone(same(ram, self.path('arrived')))
    test.__name__ = 'test_' + name
    test.cases = [row(kinds, 'unix', feature)]
    return {test.__name__: test}


def shared_memory(kinds):
    """x-ignore-shared: what both map from the same file is not sent."""
    def test(self):
        ram = self.path('ram')
        fill(ram, 'random')
        source = self.machine(kinds[0], 'source', *for_older(BINARIES[kinds[0]], BINARIES[kinds[1]]),
                              ram=ram)
        there = self.machine(kinds[1], 'destination', '-incoming', 'defer', ram=ram)
        migrate.set_up(source, ['x-ignore-shared'])
        migrate.set_up(there, ['x-ignore-shared'])
        there.command('migrate-incoming', uri='unix:' + self.path('migration'))
        info, _ = migrate.run(source, there, 'unix:' + self.path('migration'),
                              destination_capabilities=())
        self.assertEqual(info['ram']['normal'] + info['ram']['duplicate'], 0)
        self.assertLess(info['ram']['transferred'], 65536)
        there.save_memory(0, RAM_SIZE, self.path('arrived'))
        self.assertIsNone(same(ram, self.path('arrived')))
        self.figures = {'transferred': info['ram']['transferred'], 'total-ms': info['total-time']}
    test.cases = [row(kinds, 'unix', 'x-ignore-shared')]
    return {'test_ignore_shared': test}


def special_cases(kinds):
    """With what can be switched on in both programs."""
    tests = {}
    for method in ('none', 'zlib', 'zstd'):
        tests |= with_options(kinds, f'multifd_{method}', f'multifd, compression {method}',
                              capabilities=['multifd'],
                              **{'multifd-compression': method, 'multifd-channels': 3})
    tests |= with_options(kinds, 'return_path', 'return-path', capabilities=['return-path'])
    tests |= shared_memory(kinds)
    tests |= with_options(kinds, 'uuid', 'validate-uuid', ['-uuid', UUID], ['validate-uuid'])
    if NEWER in kinds:
        tests |= with_options(kinds, 'switchover_ack', 'switchover-ack',
                              capabilities=['return-path', 'switchover-ack'])
        tests |= with_options(kinds, 'channels', 'address as a list of channels', uri=False)
        tests |= with_options(kinds, 'switchover_start', 'SWITCHOVER_START and return path',
                              ['-global', 'migration.send-switchover-start=on'], ['return-path'])
    return tests


for _qemu, _name in ((OLDER, 'OlderQemu'), (NEWER, 'NewerQemu')):
    add_cases(f'{_name}ToGodwit', (_qemu, GODWIT))
    add_cases(f'GodwitTo{_name}', (GODWIT, _qemu))


older_missing, newer_missing = ((bool(programs.why_missing(name)), programs.why_missing(name))
                                for name in (OLDER, NEWER))


class LateWrites(Interop):
    """Multifd, and memory that the source itself writes (a reset, say) when its guest stands: what the last
    section finds written, and what is written while that section goes. The destination sleeps then,
    and has each page's last content in the end."""

    EACH_SECTION = ('-global', 'migration.multifd-flush-after-each-section=on')
    NOT_SENT_YET = 16 * MIB     # more than the sockets hold

    def qtest(self, text):
        self.monitor.sendall(text.encode() + b'\n')
        self.assertEqual(self.answers.readline(), 'OK\n')

    def memset(self, address, size, value):
        self.qtest(f'memset {address:#x} {size:#x} {value:#x}')

    def stop(self, process):
        """Not one of its threads runs any more."""
        process.send_signal(signal.SIGSTOP)
        deadline = time.monotonic() + 60
        while not os.waitid(os.P_PID, process.pid, os.WSTOPPED | os.WNOHANG):
            self.assertLess(time.monotonic(), deadline)
            time.sleep(0.001)

    def passes(self, source):
        return source.command('query-migrate')['ram']['dirty-sync-count']

    def with_tls(self, source, there):
        """The channels end with a good-bye, behind which no page may come."""
        with open(self.path('keys.psk'), 'w', encoding='ascii') as f:
            f.write('qemu:' + 32 * 'a5' + '\n')
        for machine, end in ((source, 'client'), (there, 'server')):
            machine.command('object-add', **{'qom-type': 'tls-creds-psk', 'id': 'tls',
                                             'dir': self.directory.name, 'endpoint': end})
            migrate.set_up(machine, (), {'tls-creds': 'tls'})

    def write_late(self, kind, *arguments, tls=False):
        ram = self.path('ram')
        fill(ram, 'text')
        listener = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
        self.addCleanup(listener.close)
        listener.bind(self.path('qtest'))
        listener.listen(1)
        source = self.machine(GODWIT, 'source', *for_older(BINARIES[GODWIT], BINARIES[kind]), *arguments,
                              '-accel', 'qtest', '-qtest', 'unix:' + self.path('qtest'), ram=ram)
        self.monitor = listener.accept()[0]
        self.addCleanup(self.monitor.close)
        self.answers = self.monitor.makefile('r')
        self.addCleanup(self.answers.close)
        # QEMU does not see by itself which form comes; 7.2 has but one, and not the option.
        there = self.machine(kind, 'destination', *(arguments if kind == NEWER else ()),
                             '-incoming', 'defer')
        migrate.set_up(there, ['multifd'], {'multifd-channels': 3})
        migrate.set_up(source, ['multifd', 'pause-before-switchover'], {'multifd-channels': 3})
        if kind == OLDER:
            migrate.set_up(source, (), {'zero-page-detection': 'legacy'})
        if tls:
            self.with_tls(source, there)
        there.command('migrate-incoming', uri='unix:' + self.path('migration'))
        source.command('migrate', uri='unix:' + self.path('migration'))
        migrate.wait_status(source, ('pre-switchover',))
        # For the last section. What lies in the sockets is read no more until its pages fill them.
        self.memset(2 * MIB, self.NOT_SENT_YET, 0x5a)
        before = self.passes(source)
        self.stop(there.process)
        try:
            source.command('migrate-continue', state='pre-switchover')
            deadline = time.monotonic() + 60
            while self.passes(source) == before:
                self.assertLess(time.monotonic(), deadline)
                time.sleep(0.01)
            self.assertEqual(source.command('query-migrate')['status'], 'device')
            # It answers although it sends; so this comes in the midst of that. One page has gone long
            # since, one had nothing to go for, one becomes zero.
            self.memset(2 * MIB, PAGE, 0x11)
            self.memset(24 * MIB + 5, 7, 0x22)
            self.memset(2 * MIB + 2 * PAGE, PAGE, 0)
        finally:
            there.process.send_signal(signal.SIGCONT)
        info = migrate.wait_status(source)
        self.assertEqual(info['status'], 'completed', info)
        self.assertTrue(there.alive(), there.stderr())
        self.assertEqual(migrate.wait_status(there)['status'], 'completed')
        there.save_memory(0, RAM_SIZE, self.path('arrived'))
        where = same(ram, self.path('arrived'))
        self.assertIsNone(where, f'RAM differs at {where or 0:#x}')
        with open(ram, 'rb') as f:
            f.seek(2 * MIB)
            self.assertEqual(f.read(3 * PAGE), b'\x11' * PAGE + b'\x5a' * PAGE + bytes(PAGE))
        self.assertGreater(info['ram']['multifd-bytes'], RAM_SIZE)
        self.assertLess(info['ram']['multifd-bytes'], RAM_SIZE + self.NOT_SENT_YET)
        self.assertEqual(there.quit(), 0)

    def test_marks(self):
        self.write_late(GODWIT)

    def test_each_section(self):
        self.write_late(GODWIT, *self.EACH_SECTION)

    def test_tls(self):
        self.write_late(GODWIT, tls=True)

    def test_tls_each_section(self):
        self.write_late(GODWIT, *self.EACH_SECTION, tls=True)

    @unittest.skipIf(*newer_missing)
    def test_tls_newer(self):
        self.write_late(NEWER, tls=True)

    @unittest.skipIf(*older_missing)
    def test_older(self):
        self.write_late(OLDER)

    @unittest.skipIf(*newer_missing)
    def test_newer(self):
        self.write_late(NEWER)

    @unittest.skipIf(*newer_missing)
    def test_newer_each_section(self):
        self.write_late(NEWER, *self.EACH_SECTION)


LateWrites = skip_where_missing(LateWrites, GODWIT)

RECORDED = {'destination': GODWIT, 'machine': 'none', 'cpu': '-', 'accel': '-',
            'feature': 'recorded stream loads'}


class RecordedStreams(Interop):
    """Streams that real QEMUs wrote load, from a file and from a pipe."""

    def load(self, uri):
        there = self.machine(GODWIT, 'destination', '-incoming', uri, memory=2 * MIB)
        self.assertEqual(migrate.wait_status(there)['status'], 'completed')
        there.save_memory(0, 2 * MIB, self.path('arrived'))
        with open(self.path('arrived'), 'rb') as a, \
                open(os.path.join(DATA, 'ram-2m.bin'), 'rb') as b:
            self.assertEqual(a.read() == b.read(), True, 'RAM differs')

    @interop.case(**RECORDED, source=OLDER, transport='file')
    def test_from_7_2(self):
        self.load('file:' + os.path.join(DATA, 'qemu-7.2-none-2m.bin'))

    @interop.case(**RECORDED, source=NEWER, transport='file')
    def test_from_10_0(self):
        self.load('file:' + os.path.join(DATA, 'qemu-10.0-none-2m.bin'))

    @interop.case(**RECORDED, source=NEWER, transport='file, offset')
    def test_from_10_0_at_an_offset(self):
        self.load('file:' + os.path.join(DATA, 'qemu-10.0-none-2m-file-offset.bin')
                  + ',offset=0x1000')

    @interop.case(**RECORDED, source=NEWER, transport='exec')
    def test_from_a_pipe(self):
        self.load('exec:cat ' + os.path.join(DATA, 'qemu-10.0-none-2m.bin'))


RecordedStreams = skip_where_missing(RecordedStreams, GODWIT)


if __name__ == '__main__':
    tap.main()
