#!/usr/bin/env python3
# SPDX-License-Identifier: GPL-2.0-or-later
"""What must not happen when something breaks at the worst moment: a guest that runs on both sides, a
program that stops answering, a reason that is not the one.

The peers are sockets and relays of this program. QTEST_QEMU_BINARY names the emulator.
"""

import array
import fcntl
import os
import random
import select
import signal
import socket
import struct
import sys
import tempfile
import termios
import threading
import time
import unittest

HERE = os.path.dirname(os.path.abspath(__file__))
sys.path.insert(0, HERE)
sys.path.insert(0, os.path.join(HERE, '..', '..', 'scripts'))

import test_migration_control as control                                        # noqa: E402
from vmtools import migrate, tap                                                # noqa: E402
from vmtools.machine import Machine                                             # noqa: E402
from vmtools.qmp import QMP                                                     # noqa: E402

MIB = 1 << 20
PONG = struct.pack('>HHI', 2, 4, 5)
SHUT_OK, SHUT_FAILED = struct.pack('>HHI', 1, 4, 0), struct.pack('>HHI', 1, 4, 1)
# A stream without memory, as far as a question for an answer.
BEGIN = b'QEVM\0\0\0\3\7\0\0\0\4none\x08\0\1\0\0'
PING = control.PING_ALL_SENT


class Faults(unittest.TestCase):
    def setUp(self):
        self.directory = tempfile.TemporaryDirectory(prefix='godwit-faults-')
        self.addCleanup(self.directory.cleanup)
        self.count = 0

    def path(self, name):
        self.count += 1
        return os.path.join(self.directory.name, f'{name}{self.count}')

    def machine(self, name, *arguments, capabilities=()):
        self.count += 1
        machine = Machine(control.BINARY, ['-machine', 'none', '-m', '4M', *arguments],
                          name=f'{name}{self.count}', directory=self.directory.name)
        self.addCleanup(machine.end)
        migrate.set_up(machine, capabilities)
        return machine

    def there(self, *capabilities):
        there = self.machine('there', '-incoming', 'defer', capabilities=capabilities)
        there.in_path = self.path('in')
        there.command('migrate-incoming', uri='unix:' + there.in_path, exit_on_error=False)
        return there

    def listener(self):
        path = self.path('peer')
        s = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
        self.addCleanup(s.close)
        s.bind(path)
        s.listen(8)
        s.settimeout(60)
        return s, 'unix:' + path

    def connect(self, path):
        s = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
        self.addCleanup(s.close)
        s.connect(path)
        s.settimeout(60)
        return s

    def until(self, condition, what):
        deadline = time.monotonic() + 60
        while not condition():
            self.assertLess(time.monotonic(), deadline, what)
            time.sleep(0.01)

    def runs(self, machine):
        return machine.command('query-status')['running']

    @staticmethod
    def receive(s, size):
        data = b''
        while len(data) < size:
            more = s.recv(size - len(data))
            if not more:
                break
            data += more
        return data

    def check_undecided(self, source, status='failed'):
        """Nobody here can know who has the guest: whoever knows says so."""
        info = migrate.wait_status(source, (status,))
        self.assertIn("may run the guest: it stays stopped here; 'cont' resumes it", info['error-desc'])
        self.assertEqual(source.command('query-status')['status'], 'postmigrate')
        source.command('cont')
        self.assertTrue(self.runs(source))
        return info


class LastMoment(Faults):
    """The end mark is out."""

    def test_relay_dies(self):
        """With the destination's word in its hands: the guest runs there."""
        source = self.machine('source', capabilities=('return-path',))
        there = self.there('return-path')
        listener, uri = self.listener()
        source.command('migrate', uri=uri)
        ours, theirs = listener.accept()[0], self.connect(there.in_path)
        self.addCleanup(ours.close)

        def forward():
            while True:
                data = ours.recv(MIB)
                if not data:
                    return
                theirs.sendall(data)
        thread = threading.Thread(target=forward, daemon=True)
        thread.start()
        while True:
            message = self.receive(theirs, 8)
            if message[:2] == SHUT_OK[:2]:
                break
            ours.sendall(message)
        self.assertEqual(message, SHUT_OK)
        ours.shutdown(socket.SHUT_RDWR)
        thread.join()
        self.assertIn('end of the stream', self.check_undecided(source)['error-desc'])
        migrate.wait_status(there, ('completed',))
        self.assertTrue(self.runs(there))

    def answered(self, reply):
        """A peer that has it all says `reply` (None: it goes)."""
        source = self.machine('source', capabilities=('return-path',))
        peer = control.Peer('unix', self.directory.name, reads=True,
                            answer=lambda seen: PONG if PING in seen else b'')
        self.addCleanup(peer.close)
        source.command('migrate', uri=peer.uri)
        self.until(lambda: b'"page_size"' in peer.seen or peer.seen.endswith(b'}'), 'the end')
        if reply is None:
            peer.close()
        else:
            with peer.lock:
                peer.sockets[0].sendall(reply)
        return source

    def test_it_goes(self):
        self.check_undecided(self.answered(None))

    def test_it_says_nonsense(self):
        for reply in b'\0\x63\0\0', b'\0\1\0\5\0\0\0\0\1', b'\0\4\0\1\0':
            with self.subTest(reply=reply):
                self.check_undecided(self.answered(reply))

    def test_it_failed(self):
        """Its word is enough: the guest goes on."""
        source = self.answered(SHUT_FAILED)
        info = migrate.wait_status(source, ('failed',))
        self.assertIn('failed to load', info['error-desc'])
        self.assertNotIn('may run', info['error-desc'])
        self.assertTrue(self.runs(source))

    def test_destination_ends(self):
        """Whoever ends before the guest is its own says so while it can."""
        for how in 'quit', 'term':
            with self.subTest(how=how):
                there = self.there('return-path')
                s = self.connect(there.in_path)
                s.sendall(BEGIN + PING)
                self.assertEqual(self.receive(s, 8), PONG)
                if how == 'quit':
                    self.assertEqual(there.quit(), 0)
                else:
                    there.process.send_signal(signal.SIGTERM)
                    self.assertEqual(there.wait(), 0)
                self.assertEqual(self.receive(s, 16), SHUT_FAILED)

    def test_bad_end(self):
        """The end comes, and it was not all."""
        there = self.there('return-path')
        s = self.connect(there.in_path)
        s.sendall(BEGIN + control.Waiting.MAIN[len(BEGIN) - 5:].replace(
            struct.pack('>Q', control.RAM | 4), struct.pack('>Q', 4 * MIB | 4)).replace(
                struct.pack('>Q', control.RAM), struct.pack('>Q', 4 * MIB)).replace(
                    struct.pack('>Q', 0x200), struct.pack('>Q', 0x10)) + b'\x7e\0\0\0\1' + b'\0' * 64)
        self.assertEqual(self.receive(s, 8), SHUT_FAILED)
        self.assertIn('has not ended', migrate.wait_status(there, ('failed',))['error-desc'])


class Command(Faults):
    """exec: a command that is ended has not kept the guest, whatever it has read."""

    def stuck(self):
        source = self.machine('source')
        kept = self.path('kept')
        source.command('migrate', uri=f'exec:cat > {kept}.part; sleep 1000; mv {kept}.part {kept}')
        # All of it is written, and the command does not end.
        migrate.wait_status(source, ('device',))
        self.until(lambda: os.path.exists(kept + '.part') and os.path.getsize(kept + '.part'), 'data')
        return source, kept

    def test_cancel(self):
        source, kept = self.stuck()
        source.command('migrate_cancel')
        info = self.check_undecided(source, 'cancelled')
        self.assertIn('Command was shut down before it had ended', info['error-desc'])
        self.assertFalse(os.path.exists(kept))

    def test_yank(self):
        source, kept = self.stuck()
        source.command('yank', instances=[{'type': 'migration'}])
        info = self.check_undecided(source)
        self.assertIn('shut down', info['error-desc'])
        self.assertFalse(os.path.exists(kept))


class Answering(Faults):
    """Nobody makes the program wait."""

    def test_cancel_and_yank(self):
        """While it connects, from two monitors at once."""
        path = self.path('full')
        with socket.socket(socket.AF_UNIX) as full, socket.socket(socket.AF_UNIX) as first:
            full.bind(path)
            full.listen(0)
            first.connect(path)
            other = self.path('monitor')
            source = self.machine('source', '-qmp', f'unix:{other},server=on,wait=off')
            ended = threading.Event()
            failures = []

            def yank():
                with socket.socket(socket.AF_UNIX) as s:
                    s.connect(other)
                    monitor = QMP(s, timeout=60, oob=True)
                    while not ended.is_set():
                        try:
                            monitor.command('yank', oob=True, instances=[{'type': 'migration'}])
                        except control.QMPError:
                            pass                # it does not run just now
                        except Exception as e:  # pylint: disable=broad-except
                            failures.append(e)
                            return
            thread = threading.Thread(target=yank)
            thread.start()
            try:
                deadline = time.monotonic() + 15
                for _ in range(20000):
                    source.command('migrate', uri='unix:' + path)
                    source.command('migrate_cancel')
                    if time.monotonic() > deadline:
                        break
            finally:
                ended.set()
                thread.join()
            self.assertEqual(failures, [])
            self.assertIn(source.command('query-migrate')['status'], ('cancelled', 'failed'))
            self.assertEqual(source.quit(), 0)

    def unread(self, s):
        value = array.array('i', [0])
        fcntl.ioctl(s, termios.FIONREAD, value)
        return value[0]

    def no_room_for_shut(self):
        """A destination that has loaded all when its way back is full to the last byte."""
        source = self.machine('source', capabilities=('return-path',))
        listener, uri = self.listener()
        source.command('migrate', uri=uri)
        s = listener.accept()[0]
        stream = b''
        while not stream.endswith(PING):
            data = s.recv(MIB)
            self.assertTrue(data)
            stream += data
        s.sendall(PONG)
        s.settimeout(60)
        tail = s.recv(MIB)
        while not tail.endswith(b'}'):
            tail += s.recv(MIB)
        s.close()
        source.end()

        # How many answers there is room for: as many as come.
        first = self.there('return-path')
        s = self.connect(first.in_path)
        s.sendall(stream + PING * 4000)
        fit, since = -1, time.monotonic()
        while time.monotonic() - since < 1:
            if self.unread(s) != fit:
                fit, since = self.unread(s), time.monotonic()
            time.sleep(0.01)
        s.close()
        first.end()
        self.assertLess(fit, 8 * 4000)

        there = self.there('return-path')
        s = self.connect(there.in_path)
        s.sendall(stream + PING * (fit // 8 - 2))       # the stream has two of its own
        self.until(lambda: self.unread(s) == fit, 'answers')
        s.sendall(tail)
        return there, s, fit

    def test_return_path_full(self):
        there, s, unread = self.no_room_for_shut()
        self.until(lambda: self.runs(there), 'the guest runs')
        there.command('query-migrate')
        self.assertEqual(self.receive(s, unread)[-8:], PONG)
        self.assertEqual(self.receive(s, 8), SHUT_OK)
        self.assertEqual(migrate.wait_status(there)['status'], 'completed')

    def test_return_path_yank(self):
        there, _, _ = self.no_room_for_shut()
        self.until(lambda: self.runs(there), 'the guest runs')
        there.command('yank', instances=[{'type': 'migration'}])
        self.assertEqual(migrate.wait_status(there)['status'], 'completed')
        self.assertTrue(self.runs(there))

    def test_return_path_given_up(self):
        """It is not waited for for ever."""
        there, _, _ = self.no_room_for_shut()
        self.assertEqual(migrate.wait_status(there)['status'], 'completed')
        self.assertTrue(self.runs(there))
        self.assertIn('does not read its return path', there.stderr())

    def test_return_path_quit(self):
        there, _, _ = self.no_room_for_shut()
        self.until(lambda: self.runs(there), 'the guest runs')
        self.assertEqual(there.quit(), 0)


class Meanwhile(Faults):
    """What users do while it runs."""

    def test_memory_objects(self):
        """They come and go while the migration looks at all memory, on either side."""
        ram = self.path('ram')
        with open(ram, 'wb') as f:
            f.write(random.Random(3).randbytes(4 * MIB))
        source = self.machine('source', '-machine', 'memory-backend=ram', '-object',
                              f'memory-backend-file,id=ram,mem-path={ram},size=4M')
        there = self.there()
        source.command('migrate-set-parameters', **{'max-bandwidth': 100000})
        source.command('migrate', uri='unix:' + there.in_path)
        migrate.wait_status(source, ('active',))
        migrate.wait_status(there, ('active',))
        for i in range(200):
            for machine in source, there:
                machine.command('object-add', **{'qom-type': 'memory-backend-ram', 'id': 'a',
                                                 'size': MIB + 4096 * i})
                machine.command('object-add', **{'qom-type': 'memory-backend-ram', 'id': 'b',
                                                 'size': 16 * MIB})
                machine.command('object-del', id='a')
                machine.command('object-del', id='b')
        self.assertEqual(source.command('query-migrate')['status'], 'active')
        source.command('migrate-set-parameters', **{'max-bandwidth': 0})
        for machine in source, there:
            self.assertEqual(migrate.wait_status(machine)['status'], 'completed')

    def test_stop_is_lost(self):
        """As in QEMU: while the guest stands for its migration 'stop' has nothing to do, and a migration that is
        cancelled lets it go on."""
        source = self.machine('source', capabilities=('pause-before-switchover',))
        source.command('migrate', uri='exec:cat > /dev/null')
        migrate.wait_status(source, ('pre-switchover',))
        source.command('stop')
        self.assertEqual(source.command('query-status')['status'], 'finish-migrate')
        source.command('migrate_cancel')
        migrate.wait_status(source, ('cancelled',))
        self.until(lambda: self.runs(source), 'it goes on')
        # Before, it counts.
        source.command('stop')
        source.command('migrate', uri='exec:cat > /dev/null')
        migrate.wait_status(source, ('pre-switchover',))
        source.command('migrate_cancel')
        migrate.wait_status(source, ('cancelled',))
        self.until(lambda: source.command('query-status')['status'] == 'paused', 'paused')


class Reason(Faults):
    def test_main_ends_while_channels_connect(self):
        """It is not the channels' fault."""
        source = self.machine('source', capabilities=('return-path', 'multifd'))
        with socket.socket(socket.AF_UNIX) as listener:
            path = self.path('one')
            listener.bind(path)
            listener.listen(0)      # one at a time, and the others wait in vain
            source.command('migrate-set-parameters', **{'multifd-channels': 4})
            source.command('migrate', uri='unix:' + path)
            self.assertTrue(select.select([listener], [], [], 60)[0])
            main = listener.accept()[0]
            self.until(lambda: any(t['name'] == 'mig/src/main' for t in
                                   source.command('query-migrationthreads')), 'the thread')
            main.close()
            info = migrate.wait_status(source, ('failed',))
            self.assertIn('return path: ', info['error-desc'])
            self.assertNotIn('multifd', info['error-desc'])
            self.assertTrue(self.runs(source))


if __name__ == '__main__':
    tap.main()
