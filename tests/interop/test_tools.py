#!/usr/bin/python3
# SPDX-License-Identifier: GPL-2.0-or-later
"""The project's own tools: counting of test results, the QMP client, the proxy of postcopy's
tests, configure, demo's options."""

import contextlib
import io
import json
import os
import shutil
import socket
import struct
import subprocess
import sys
import tempfile
import threading
import time
import unittest

HERE = os.path.dirname(os.path.abspath(__file__))
TOP = os.path.join(HERE, '..', '..')
sys.path[:0] = [os.path.join(TOP, 'scripts'), HERE]

from vmtools import gate, messages, results, tap                # noqa: E402
from vmtools.qmp import QMP, QMPClosed, QMPError, QMPTimeout    # noqa: E402


class Results(unittest.TestCase):
    def count(self, *entries):
        count = results.Count()
        for entry in entries:
            results.count_test(dict({'name': 'suite / t', 'returncode': 0}, **entry), count)
        return count.passed, [what for what, _ in count.failed], count.skipped

    def test_points_of_a_tap_test(self):
        out = '1..4\nok 1 a\nok 2 - b # SKIP no KVM\nnot ok 3 c\nnot ok 4 d # TODO later\n# x\n'
        self.assertEqual(self.count({'result': 'FAIL', 'stdout': out}),
                         (2, ['t: c'], [('t', 'b', 'no KVM')]))

    def test_tests_that_are_no_tap(self):
        self.assertEqual(self.count({'result': 'OK', 'stdout': 'fine\n'}, {'result': 'OK'}),
                         (2, [], []))
        self.assertEqual(self.count({'result': 'FAIL', 'returncode': 3}),
                         (0, ['t: fail, status 3'], []))
        self.assertEqual(self.count({'result': 'SKIP', 'stdout': 'a\nno disk\n'}),
                         (0, [], [('t', '', 'no disk')]))
        self.assertEqual(self.count({'result': 'SKIP', 'stdout': '# none\n1..0\n'}),
                         (0, [], [('t', '', 'there was nothing to run')]))

    def test_a_test_that_breaks_off(self):
        self.assertEqual(self.count({'result': 'ERROR', 'stdout': '1..3\nok 1 a\n'}),
                         (1, ['t: 2 of 3 tests did not run'], []))
        self.assertEqual(self.count({'result': 'TIMEOUT', 'stdout': 'ok 1 a\n'}),
                         (1, ['t: did not end in time'], []))
        self.assertEqual(self.count({'result': 'FAIL', 'stdout': 'ok 1 a\nBail out! gone\n'}),
                         (1, ['t: Bail out! gone'], []))

    def test_a_whole_test_skipped(self):
        self.assertEqual(self.count({'result': 'SKIP', 'stdout': '1..0 # SKIP nothing here\n'}),
                         (0, [], [('t', '', 'nothing here')]))

    def test_what_is_said_of_failures_and_skips(self):
        out = ('1..4\n# before\nok 1 a\n' + '# line\n' * 40 + '# why\nnot ok 2 b\n'
               'ok 3 c # SKIP no\nok 4 d # SKIP no\n')
        with tempfile.NamedTemporaryFile('w', suffix='.json') as f:
            for entry in ({'name': 'x', 'result': 'FAIL', 'stdout': out},
                          {'name': 'y', 'result': 'FAIL', 'returncode': 3, 'stderr': 'gone\n'}):
                f.write(json.dumps(entry) + '\n')
            f.flush()
            r = subprocess.run([sys.executable, results.__file__, f.name], capture_output=True,
                               text=True)
        self.assertEqual(r.stdout.splitlines(), [
            'skipped: x: c, d: no', 'failed: x: b', *['    # line'] * 29, '    # why',
            'failed: y: fail, status 3', '    gone', '1 passed, 2 failed, 2 skipped'])

    def test_last_line_and_status(self):
        with tempfile.NamedTemporaryFile('w', suffix='.json') as f:
            f.write(json.dumps({'name': 'x', 'result': 'OK', 'stdout': '1..2\nok 1\nok 2\n'}))
            f.flush()
            r = subprocess.run([sys.executable, results.__file__, f.name], capture_output=True,
                               text=True)
            self.assertEqual((r.returncode, r.stdout), (0, '2 passed, 0 failed, 0 skipped\n'))
            r = subprocess.run([sys.executable, results.__file__, f.name, '/nonexistent'],
                               capture_output=True, text=True)
        self.assertEqual(r.returncode, 1)
        self.assertEqual(r.stdout.splitlines()[-1], '2 passed, 1 failed, 0 skipped')


class Tap(unittest.TestCase):
    def test_output(self):
        class Inner(unittest.TestCase):
            def test_good(self):
                pass

            def test_not_here(self):
                self.skipTest('no reason')

            def test_sub(self):
                for i in range(3):
                    with self.subTest(i=i):
                        self.assertEqual(i, 0)

            def test_wrong(self):
                self.fail('because')

        out = io.StringIO()
        tests = unittest.defaultTestLoader.loadTestsFromTestCase(Inner)
        self.assertFalse(tap.run(tests, out))
        lines = [x for x in out.getvalue().splitlines() if not x.startswith('#')]
        self.assertEqual([x.split(' ', 1)[0] for x in lines], ['ok', 'ok', 'not', 'not', '1..4'])
        self.assertTrue(lines[1].endswith('test_not_here # SKIP no reason'))


class Server:
    """The other end of a monitor, which says what it is told to."""

    def __init__(self, *replies):
        self.ours, theirs = socket.socketpair()
        self.seen = []
        self.thread = threading.Thread(target=self._run, args=(theirs, list(replies)), daemon=True)
        self.thread.start()

    def _run(self, sock, replies):
        with sock, sock.makefile('rw') as f:
            f.write('{"QMP": {"version": {}, "capabilities": ["oob"]}}\n')
            f.flush()
            for line in f:
                request = json.loads(line)
                self.seen.append(request)
                if request['execute'] == 'qmp_capabilities':
                    reply = [{'return': {}, 'id': request['id']}]
                elif not replies:
                    return
                else:
                    reply = replies.pop(0)
                for message in reply:
                    if 'id' not in message and 'event' not in message:
                        message['id'] = request['id']
                    text = json.dumps(message) + '\n'
                    f.write(text[:5])
                    f.flush()
                    f.write(text[5:])
                f.flush()


class Monitor(unittest.TestCase):
    def client(self, *replies, timeout=10):
        server = Server(*replies)
        client = QMP(server.ours, timeout)
        self.addCleanup(client.close)
        return client, server

    def test_replies_events_and_errors(self):
        stop = {'event': 'STOP', 'timestamp': {}}
        client, server = self.client([stop, {'return': 5}],
                                     [{'return': 1, 'id': 'old'},
                                      {'error': {'class': 'GenericError', 'desc': 'no'}}])
        self.assertEqual(client.command('query-x', some_name=1), 5)
        self.assertEqual(server.seen[1]['arguments'], {'some-name': 1})
        self.assertEqual(client.wait_event('STOP'), stop)
        with self.assertRaisesRegex(QMPError, 'query-y: no') as e:
            client.command('query-y')
        self.assertEqual((e.exception.error_class, client.events), ('GenericError', []))

    def test_end_and_silence(self):
        client, _ = self.client()
        with self.assertRaises(QMPClosed):
            client.command('quit')
        client, _ = self.client([])
        with self.assertRaises(QMPTimeout):
            client.command('quit', timeout=0.1)


def page(offset, block=None):
    name = bytes([len(block)]) + block.encode() if block else b''
    return struct.pack('>Q', offset | 8 | (0 if block else 0x20)) + name + bytes(range(256)) * 16


def command(name, data=b''):
    return messages.command(name, data)


class Messages(unittest.TestCase):
    """What goes over the wire is taken apart alike however it arrives."""
    SECTION = struct.pack('>BI', 2, 7)
    EOS = struct.pack('>QBI', 0x10, 0x7e, 7)
    MAIN = [
        ('header', b'QEVM\0\0\0\3'),
        ('configuration', b'\7\0\0\0\4none'),
        ('open-return-path', command('open-return-path')),
        ('ping', command('ping', b'\0\0\0\1')),
        ('advise', command('advise', struct.pack('>QQ', 4096, 4096))),
        ('start', struct.pack('>BIB3sII', 1, 7, 3, b'ram', 0, 4)),
        ('blocks', struct.pack('>QB1sQQB1sQ', 0x203000 | 4, 1, b'a', 0x200000, 0x200000, 1, b'b',
                               0x3000)),
        ('eos', EOS), ('part', SECTION), ('page', page(0, 'a')), ('page', page(0x1000)),
        ('zero', struct.pack('>QB', 0x2022, 0)), ('eos', EOS),
        ('discard', command('discard', struct.pack('>BB1sBQQ', 0, 1, b'a', 0, 0, 4096))),
        ('packaged', command('packaged', struct.pack('>I', 8)) + command('listen') + b'xyz'),
        ('recv-bitmap', command('recv-bitmap', b'\1a')),
        ('eof', b'\0'),
        ('vmdescription', b'\6\0\0\0\2{}'),
        ('raw', b'\x77 something else'),
    ]
    BACK = [
        ('pong', messages.reply(2, b'\0\0\0\3')),
        ('req-pages', messages.reply(3, struct.pack('>QIB1s', 0x1000, 4096, 1, b'a'))),
        ('req-pages', messages.reply(4, struct.pack('>QI', 0x2000, 4096))),
        ('recv-bitmap', messages.reply(5, b'\1a') + struct.pack('>QQQ', 8, 5, 0x0123456789abcdef)),
        ('resume-ack', messages.reply(6, b'\0\0\0\1')),
        ('shut', messages.reply(1, bytes(4))),
    ]

    def test_split(self):
        for splitter, parts in ((messages.MainStream, self.MAIN),
                                (messages.ReturnPath, self.BACK)):
            whole = b''.join(data for _, data in parts)
            for step in (len(whole), 1000, 7, 1):
                with self.subTest(splitter.__name__, step=step):
                    split, found = splitter(), []
                    for at in range(0, len(whole), step):
                        found += split.feed(whole[at:at + step])
                    self.assertEqual(split.rest(), b'')
                    found = [m for m in found if m.kind != 'raw'] + [
                        messages.Message('raw', None, b''.join(
                            m.data for m in found if m.kind == 'raw'))]
                    expected = parts if parts[-1][0] == 'raw' else [*parts, ('raw', b'')]
                    self.assertEqual([(m.kind, m.data) for m in found], expected)

    def test_details(self):
        split = messages.MainStream()
        found = split.feed(b''.join(data for _, data in self.MAIN))
        details = {m.kind: m.detail for m in found}
        self.assertEqual(details['page'], ('a', 0x1000))
        self.assertEqual(details['discard'], ('a', (0, 4096)))
        self.assertEqual(details['packaged'], ('listen', 'devices'))
        back = messages.ReturnPath().feed(b''.join(data for _, data in self.BACK))
        self.assertEqual([m.detail for m in back],
                         [3, ('a', 0x1000, 4096), ('a', 0x2000, 4096), 'a', 1, 0])


class Gates(unittest.TestCase):
    """What is said to happen at a message happens there."""
    PINGS = [command('ping', struct.pack('>I', i)) for i in range(5)]

    def setUp(self):
        self.directory = tempfile.TemporaryDirectory(prefix='godwit-')
        self.addCleanup(self.directory.cleanup)

    def ends(self, where='unix', hook=None):
        """A source, a destination and the gate between."""
        there, uri = gate.listen('tcp' if where == 'tcp' else
                                 'unix:' + os.path.join(self.directory.name, 'there'))
        self.addCleanup(there.close)
        between = gate.Gate(uri, 'tcp' if where == 'tcp' else
                            'unix:' + os.path.join(self.directory.name, 'gate'), hook)
        self.addCleanup(between.close)
        source = gate.connect(between.uri)
        self.addCleanup(source.close)
        destination = there.accept()[0]
        self.addCleanup(destination.close)
        for end in (source, destination):
            end.settimeout(20)
        return source, destination, between

    @staticmethod
    def read_all(end):
        data = b''
        try:
            while chunk := end.recv(1 << 16):
                data += chunk
        except ConnectionError:
            data += b'(reset)'
        return data

    def test_passes(self):
        for where in ('unix', 'tcp'):
            with self.subTest(where):
                source, destination, between = self.ends(where)
                source.sendall(b''.join(self.PINGS))
                source.shutdown(socket.SHUT_WR)
                self.assertEqual(self.read_all(destination), b''.join(self.PINGS))
                destination.sendall(messages.reply(2, bytes(4)))
                destination.close()
                self.assertEqual(self.read_all(source), messages.reply(2, bytes(4)))
                kinds = [e.message.kind for e in between.log]
                self.assertEqual(kinds.count('ping'), 5)
                self.doCleanups()
                self.setUp()

    def test_cut(self):
        for before in (False, True):
            with self.subTest(before=before):
                source, destination, between = self.ends()
                between.at(gate.Point(gate.FORWARD, 'ping', 3), between.cut, before)
                source.sendall(b''.join(self.PINGS))
                passed = self.PINGS[:2 if before else 3]
                self.assertEqual(self.read_all(destination), b''.join(passed))
                self.assertIn(self.read_all(source), (b'', b'(reset)'))
                self.assertEqual(between.era, 1)
                self.doCleanups()
                self.setUp()

    def test_reset(self):
        source, destination, between = self.ends('tcp')
        source.sendall(self.PINGS[0])
        self.assertEqual(destination.recv(100), self.PINGS[0])
        between.cut('rst')
        for end in (source, destination):
            self.assertEqual(self.read_all(end), b'(reset)')

    def test_one_side(self):
        source, destination, between = self.ends()
        source.sendall(self.PINGS[0])
        self.assertEqual(destination.recv(100), self.PINGS[0])
        between.cut(side='source')
        self.assertEqual(self.read_all(source), b'')
        destination.setblocking(False)
        with self.assertRaises(BlockingIOError):
            destination.recv(1)
        between.hang_up()
        destination.settimeout(20)
        self.assertEqual(self.read_all(destination), b'')

    def test_hold(self):
        source, destination, between = self.ends()
        between.at(gate.Point(gate.FORWARD, 'ping', 2), lambda: between.hold(gate.FORWARD))
        source.sendall(b''.join(self.PINGS))
        between.wait_for(gate.Point(gate.FORWARD, 'ping', 2))
        destination.sendall(messages.reply(2, bytes(4)))    # the other direction goes on
        self.assertEqual(source.recv(100), messages.reply(2, bytes(4)))
        self.assertEqual([e.message.kind for e in between.log].count('ping'), 2)
        between.go_on()
        between.wait_for(gate.Point(gate.FORWARD, 'ping', 5))

    def test_part_and_change(self):
        def hook(entry):
            if entry.message.detail == 1:
                return gate.Changed(b'another')
            return gate.Part(4, between.cut) if entry.message.detail == 3 else None
        source, destination, between = self.ends(hook=hook)
        source.sendall(b''.join(self.PINGS))
        self.assertEqual(self.read_all(destination), self.PINGS[0] + b'another' + self.PINGS[2]
                         + self.PINGS[3][:4])

    def test_nobody_there(self):
        source, destination, between = self.ends()
        between.target = None
        with contextlib.closing(gate.connect(between.uri)) as late:
            late.settimeout(20)
            self.assertEqual(self.read_all(late), b'')

    def test_line(self):
        there, uri = gate.listen('tcp')
        with there, gate.Line(uri, 'tcp', 0.05) as line:
            with contextlib.closing(gate.connect(line.uri)) as source:
                destination = there.accept()[0]
                with destination:
                    destination.settimeout(20)
                    sent = os.urandom(300000)
                    began = time.monotonic()
                    source.sendall(sent)
                    source.shutdown(socket.SHUT_WR)
                    self.assertEqual(self.read_all(destination), sent)
                    # Not a measure of speed: nothing can come before its time.
                    self.assertGreaterEqual(time.monotonic() - began, 0.05)


class CommandLines(unittest.TestCase):
    def run_program(self, *argv, **kinds):
        return subprocess.run([os.path.join(TOP, argv[0]), *argv[1:]], capture_output=True,
                              text=True, timeout=60, **kinds)

    def test_configure_says_what_is_missing(self):
        r = self.run_program('configure', '--build-dir=/nonexistent/b', '--meson=no-meson',
                             env=dict(os.environ, PKG_CONFIG_LIBDIR='/nonexistent'))
        self.assertEqual(r.returncode, 1)
        self.assertIn('apt-get install', r.stderr)
        for package in ('meson', 'libglib2.0-dev', 'libgnutls28-dev'):
            self.assertIn(package, r.stderr)

    def test_unknown_options(self):
        for program in ('configure', 'scripts/install-deps', 'scripts/check',
                        'scripts/fetch-qemu'):
            with self.subTest(program):
                r = self.run_program(program, '--no-such-option')
                self.assertEqual((r.returncode, r.stdout), (1, ''))
                self.assertIn('unknown option: --no-such-option', r.stderr)
                self.assertEqual(self.run_program(program, '--help').returncode, 0)

    def test_fetch_qemu(self):
        """What is there is left alone; what cannot be had is an error that says why."""
        fetch = os.path.join(TOP, 'scripts', 'fetch-qemu')
        with tempfile.TemporaryDirectory() as directory:
            program = os.path.join(directory, 'qemu-system-x86_64')
            with open(program, 'w', encoding='utf-8') as f:
                f.write('#!/bin/sh\nexit 0\n')
            os.chmod(program, 0o755)
            r = self.run_program(fetch, '--directory=' + directory)
            self.assertEqual((r.returncode, r.stdout.strip()), (0, os.path.realpath(program)))
            self.assertEqual(os.listdir(directory), ['qemu-system-x86_64'])
            os.unlink(program)
            # No apt-get on this path
            tools = os.path.join(directory, 'bin')
            os.mkdir(tools)
            for name in ('dirname', 'mkdir', 'sh'):
                os.symlink(shutil.which(name), os.path.join(tools, name))
            r = self.run_program(fetch, '--directory=' + directory, env={'PATH': tools})
            self.assertEqual((r.returncode, r.stdout), (1, ''))
            self.assertIn('fetch-qemu: there is no apt-get here', r.stderr)

    def test_packages_of_configure_are_installed(self):
        listed = self.run_program('scripts/install-deps', '--list').stdout.split()
        with open(os.path.join(TOP, 'configure'), encoding='utf-8') as f:
            named = [line.split()[3] for line in f
                     if line.strip().startswith('need_library ') and len(line.split()) > 3]
        self.assertGreater(len(named), 5)
        self.assertEqual([p for p in named if p.startswith('lib') and p not in listed], [])

    def test_demo_options(self):
        from vmtools import demo
        self.assertEqual(demo.size('1.5G'), 3 << 29)
        self.assertEqual(demo.size('512'), 512 << 20)
        self.assertEqual(demo.human(1536), '1.5 KiB')
        for wrong in (['--memory', '1M'], ['--memory', 'x'], ['--vcpus', '0'],
                      ['--dirty-rate', '1k'], ['--no-such']):
            with self.subTest(wrong), contextlib.redirect_stderr(io.StringIO()), \
                    self.assertRaises(SystemExit):
                demo.parse(wrong)


if __name__ == '__main__':
    tap.main()
