#!/usr/bin/env python3
# SPDX-License-Identifier: GPL-2.0-or-later
"""Ending a migration early: cancel, yank and the death of the peer, in every state that a source can be
in, over every kind of connection and with every way of sending memory.

The peers are sockets of this program, of which some never read. Whatever happened: the source answers
at once, says what it should in the end, keeps no thread and no descriptor, tells its states in
an order that is allowed, runs its guest, and the next migration works.

QTEST_QEMU_BINARY names the emulator.
"""

import os
import random
import re
import select
import socket
import struct
import sys
import tempfile
import threading
import time
import unittest

HERE = os.path.dirname(os.path.abspath(__file__))
sys.path.insert(0, os.path.join(HERE, '..', '..', 'scripts'))

from vmtools import migrate, tap                                                # noqa: E402
from vmtools.machine import Machine                                             # noqa: E402
from vmtools.qmp import QMPError                                                # noqa: E402

BINARY = os.environ.get('QTEST_QEMU_BINARY', 'build/godwit-system-x86_64')
MIB = 1 << 20
RAM = 24 * MIB
PING_ALL_SENT = b'\x08\0\2\0\4\0\0\0\5'
TRANSPORTS = ('tcp', 'unix')
METHODS = ((), ('multifd',), ('xbzrle',), ('compress',))
METHOD_NAMES = ('multifd', 'xbzrle', 'compress')

# Which status may follow which, on a source.
FOLLOWS = {
    None: ('setup',),
    'setup': ('active', 'failed', 'cancelling'),
    'active': ('pre-switchover', 'device', 'failed', 'cancelling'),
    'pre-switchover': ('device', 'failed', 'cancelling'),
    'device': ('completed', 'failed', 'cancelling'),
    'cancelling': ('cancelled',),
    'cancelled': ('setup',), 'failed': ('setup',), 'completed': ('setup',),
}


class Peer:
    """A destination that is none. `full`: it cannot even be connected to; `one`: to the first channel alone;
    `reads`: it takes what comes, and answers what `answer` (a function of the data) says."""

    def __init__(self, transport, directory, full=False, one=False, reads=False, answer=None):
        self.sockets = []
        self.lock = threading.Lock()
        self.reads, self.answer = reads, answer
        self.seen = b''                     # the end of what came on the first channel
        self.ended = False
        self.family = socket.AF_INET if transport == 'tcp' else socket.AF_UNIX
        self.listener = socket.socket(self.family, socket.SOCK_STREAM)
        if transport == 'tcp':
            self.listener.bind(('127.0.0.1', 0))
            self.address = self.listener.getsockname()
            self.uri = f'tcp:127.0.0.1:{self.address[1]}'
        else:
            self.address = tempfile.mktemp(prefix='peer-', dir=directory)
            self.listener.bind(self.address)
            self.uri = f'unix:{self.address}'
        # A queue of one: the kernel itself makes the first connection, and nobody else's.
        self.listener.listen(0 if full or one else 64)
        if full:
            self.sockets.append(socket.socket(self.family, socket.SOCK_STREAM))
            self.sockets[0].connect(self.address)
        self.thread = None
        if reads:
            self.read()

    def read(self):
        self.reads = True
        self.thread = threading.Thread(target=self.run, daemon=True)
        self.thread.start()

    def run(self):
        first = None
        while not self.ended:
            with self.lock:
                waiting = [self.listener, *self.sockets]
            for s in select.select(waiting, [], [], 0.05)[0]:
                if s is self.listener:
                    with self.lock:
                        self.sockets.append(s.accept()[0])
                    first = first or self.sockets[0]
                    continue
                try:
                    data = s.recv(1 << 20)
                except OSError:
                    data = b''
                if not data:
                    with self.lock:
                        self.sockets.remove(s)
                    s.close()
                elif s is first:
                    self.seen = (self.seen + data)[-256:]
                    reply = self.answer(self.seen) if self.answer else b''
                    if reply:
                        s.sendall(reply)
                        self.answer = None

    def close(self):
        if self.thread:
            self.ended = True
            self.thread.join()
            self.thread = None
        self.listener.close()
        for s in self.sockets:
            s.close()
        self.sockets = []


def open_things(machine):
    """Threads (but for GLib's, which it keeps for later) and descriptors of the process."""
    proc = f'/proc/{machine.process.pid}'
    threads = 0
    for task in os.listdir(proc + '/task'):
        try:
            with open(f'{proc}/task/{task}/comm', encoding='ascii') as f:
                threads += not f.read().startswith('pool-')
        except (FileNotFoundError, ProcessLookupError):
            pass
    return threads, len(os.listdir(proc + '/fd'))


class Control(unittest.TestCase):
    size = RAM

    def setUp(self):
        self.directory = tempfile.TemporaryDirectory(prefix='godwit-control-')
        self.addCleanup(self.directory.cleanup)
        self.ram = os.path.join(self.directory.name, 'ram')
        with open(self.ram, 'wb') as f:
            f.write(random.Random(7).randbytes(self.size))
        self.count = 0

    def machine(self, name, *arguments):
        self.count += 1
        machine = Machine(BINARY, ['-machine', 'none', '-m', f'{self.size // MIB}M', *arguments],
                          name=f'{name}{self.count}', directory=self.directory.name)
        self.addCleanup(machine.end)
        return machine

    def source(self, capabilities):
        source = self.machine('source', '-machine', 'memory-backend=ram', '-object',
                              f'memory-backend-file,id=ram,mem-path={self.ram},size={self.size},'
                              'share=off', '-name', 'source,debug-threads=on')
        migrate.set_up(source, (*capabilities, 'events'))
        self.succeed(source)                # what is kept from the first time on, is there now
        source.things = open_things(source)
        return source

    @staticmethod
    def set(machine, *, on=(), off=(), **parameters):
        caps = [{'capability': c, 'state': True} for c in on]
        caps += [{'capability': c, 'state': False} for c in off]
        if caps:
            machine.command('migrate-set-capabilities', capabilities=caps)
        if parameters:
            machine.command('migrate-set-parameters', **parameters)

    def capabilities(self, machine):
        return [c['capability'] for c in machine.command('query-migrate-capabilities')
                if c['state'] and c['capability'] in METHOD_NAMES + ('return-path',)]

    def succeed(self, source):
        """Now, at once: a migration that completes; and the guest back in the source."""
        there = self.machine('destination', '-incoming', 'defer')
        migrate.set_up(there, self.capabilities(source))
        path = tempfile.mktemp(prefix='good-', dir=self.directory.name)
        there.command('migrate-incoming', uri='unix:' + path)
        self.set(source, max_bandwidth=0)
        migrate.run(source, there, 'unix:' + path, destination_capabilities=())
        self.assertEqual(there.quit(), 0)
        source.command('cont')

    def check_after(self, source, status):
        """The source is as if nothing had been."""
        events = [e['data']['status'] for e in source.qmp.poll_events() if e['event'] == 'MIGRATION']
        before = None
        for now in events:
            if before is None:
                self.assertEqual(now, 'setup', events)
            else:
                self.assertIn(now, FOLLOWS[before], events)
            before = now
        self.assertEqual(before, status, events)
        self.assertEqual(source.command('query-status')['status'], 'running')
        self.assertNotIn({'type': 'migration'}, source.command('query-yank'))
        self.assertEqual(source.command('query-migrationthreads'), [])
        self.succeed(source)
        source.qmp.poll_events()

    def check_things(self, source):
        deadline = time.monotonic() + 60
        while open_things(source) != source.things:
            if time.monotonic() > deadline:
                self.assertEqual(open_things(source), source.things, 'threads, descriptors')
            time.sleep(0.01)

    # ---- the states: each starts a migration, and answers the peer when it is there ----

    def new_peer(self, transport, **how):
        return Peer(transport, self.directory.name, **how)

    def connecting(self, source, transport):
        peer = self.new_peer(transport, full=True)
        source.command('migrate', uri=peer.uri)
        migrate.wait_status(source, ('setup',))
        return peer

    def connecting_channels(self, source, transport):
        if 'multifd' not in self.capabilities(source):
            return None
        peer = self.new_peer(transport, one=True)
        source.command('migrate', uri=peer.uri)
        deadline = time.monotonic() + 60
        # The main channel is there, its thread waits for the others.
        while not any(t['name'] == 'mig/src/main'
                      for t in source.command('query-migrationthreads')):
            self.assertLess(time.monotonic(), deadline)
        self.assertEqual(source.command('query-migrate')['status'], 'setup')
        return peer

    def throttled(self, source, transport):
        peer = self.new_peer(transport, reads=True)
        self.set(source, max_bandwidth=200000)
        source.command('migrate', uri=peer.uri)
        migrate.wait_status(source, ('active',))
        return peer

    def blocked(self, source, transport):
        """In a write to a peer which does not read."""
        peer = self.new_peer(transport)
        source.command('migrate', uri=peer.uri)
        migrate.wait_status(source, ('active',))
        deadline = time.monotonic() + 60
        last, since = -1, time.monotonic()
        while time.monotonic() - since < 0.3:       # nothing goes any more
            sent = source.command('query-migrate')['ram']
            sent = sent['transferred'] + sent['multifd-bytes']
            if sent != last:
                last, since = sent, time.monotonic()
            self.assertLess(time.monotonic(), deadline)
            time.sleep(0.02)
        return peer

    def pre_switchover(self, source, transport):
        peer = self.new_peer(transport, reads=True)
        self.set(source, on=('pause-before-switchover', 'return-path'))
        source.command('migrate', uri=peer.uri)
        migrate.wait_status(source, ('pre-switchover',))
        self.assertEqual(source.command('query-status')['status'], 'finish-migrate')
        return peer

    def device(self, source, transport):
        """All is sent but the end; the peer has read it, and does not say so."""
        peer = self.new_peer(transport, reads=True)
        self.set(source, on=('return-path',))
        source.command('migrate', uri=peer.uri)
        migrate.wait_status(source, ('device',))
        deadline = time.monotonic() + 60
        while PING_ALL_SENT not in peer.seen:
            self.assertLess(time.monotonic(), deadline)
            time.sleep(0.01)
        return peer

    STATES = ('connecting', 'connecting_channels', 'throttled', 'blocked', 'pre_switchover', 'device')

    def in_all_states(self, transport, method, act):
        source = self.source(method)
        for state in self.STATES:
            with self.subTest(state=state):
                self.set(source, off=('pause-before-switchover', 'return-path'), max_bandwidth=0)
                source.qmp.poll_events()
                peer = getattr(self, state)(source, transport)
                if peer is None:
                    continue
                self.addCleanup(peer.close)
                wanted = act(source, peer, state)
                info = migrate.wait_status(source, (wanted,), timeout=60)
                if wanted == 'failed':
                    self.assertTrue(info['error-desc'])
                else:
                    self.assertNotIn('error-desc', info)
                self.check_things(source)       # nobody is left who waits for the peer
                # It is over: this may be started at once.
                self.set(source, off=('pause-before-switchover', 'return-path'))
                self.check_after(source, wanted)
                peer.close()
                self.check_things(source)
        self.assertEqual(source.quit(), 0)

    # ---- what happens in them ----

    def cancel(self, source, peer, state):
        self.assertEqual(source.command('migrate_cancel'), {})
        self.assertEqual(source.command('migrate_cancel'), {})
        return 'cancelled'

    def yank(self, source, peer, state):
        self.assertIn({'type': 'migration'}, source.command('query-yank'))
        source.command('yank', instances=[{'type': 'migration'}])
        return 'failed'

    def death(self, source, peer, state):
        peer.close()
        return 'failed'


class Cancel(Control):
    pass


class Yank(Control):
    pass


class Death(Control):
    pass


def add_tests():
    for cls, act in ((Cancel, 'cancel'), (Yank, 'yank'), (Death, 'death')):
        for transport in TRANSPORTS:
            for method in METHODS:
                def test(self, transport=transport, method=method, act=act):
                    self.in_all_states(transport, method, getattr(self, act))
                setattr(cls, f'test_{transport}_{method[0] if method else "plain"}', test)


add_tests()


class Draining(Control):
    """Memory is small enough to be in channels' hands altogether when the guest is stopped, since that
    seems to take no time; and then nobody reads."""

    size = 2 * MIB

    def draining(self, source, transport):
        peer = Peer(transport, self.directory.name)
        self.set(source, avail_switchover_bandwidth=1 << 40)
        source.command('migrate', uri=peer.uri)
        migrate.wait_status(source, ('device',))
        return peer

    STATES = ('draining',)

    def test_cancel(self):
        self.in_all_states('unix', ('multifd',), self.cancel)

    def test_yank(self):
        self.in_all_states('unix', ('multifd',), self.yank)

    def test_death(self):
        self.in_all_states('unix', ('multifd',), self.death)


class MainGone(Control):
    """The main channel's peer goes; multifd's channels stay, and nobody reads them."""

    def blocked(self, source, transport):
        peer = super().blocked(source, transport)
        peer.sockets.append(peer.listener.accept()[0])      # the main channel is the first
        return peer

    STATES = ('blocked',)

    def main_goes(self, source, peer, state):
        peer.sockets[0].shutdown(socket.SHUT_RDWR)
        info = migrate.wait_status(source, ('failed',), timeout=60)
        self.assertIn('the destination has closed the main channel', info['error-desc'])
        return 'failed'

    def test_unix(self):
        self.in_all_states('unix', ('multifd',), self.main_goes)

    def test_tcp(self):
        self.in_all_states('tcp', ('multifd',), self.main_goes)


class InHand(Control):
    """What channels have in hand is not sent yet, and counts where it is decided whether to stop the guest."""

    size = 2 * MIB

    def looks(self, source, at_least):
        """Waits until nothing was dirty any more in that many looks at it."""
        deadline = time.monotonic() + 60
        while len(re.findall(r'ram_save_iterate .*left 0\n', source.stderr())) < at_least:
            self.assertLess(time.monotonic(), deadline, source.stderr())
            time.sleep(0.01)

    def in_hand(self, channels, bandwidth, max_bandwidth=0):
        source = self.source(('multifd',))
        self.set(source, multifd_channels=channels, downtime_limit=300,
                 avail_switchover_bandwidth=bandwidth, max_bandwidth=max_bandwidth)
        source.command('trace-event-set-state', name='ram_save_iterate', enable=True)
        peer = Peer('unix', self.directory.name)
        self.addCleanup(peer.close)
        source.command('migrate', uri=peer.uri)
        return source, peer

    def test_too_much(self):
        """0.3 s × 1 MiB/s is less than what waits: the guest goes on, until the peer has read it."""
        for channels in 1, 2, 32:
            with self.subTest(channels=channels):
                source, peer = self.in_hand(channels, MIB)
                self.looks(source, 3)
                info = source.command('query-migrate')
                self.assertEqual(info['status'], 'active')
                self.assertGreater(info['ram']['remaining'], 0.3 * MIB)
                self.assertTrue(source.command('query-status')['running'])
                peer.read()
                migrate.wait_status(source, ('completed',))
                self.assertEqual(source.command('query-migrate')['ram']['remaining'], 0)
                self.assertEqual(source.quit(), 0)

    def test_limit(self):
        """And in what max-bandwidth lets through: however many channels, no more is sent in any time. (Less is,
        where the machine is busy.)"""
        limit = 1 << 19
        for channels in 1, 32:
            with self.subTest(channels=channels):
                source = self.source(('multifd',))
                self.set(source, multifd_channels=channels, avail_switchover_bandwidth=1,
                         max_bandwidth=limit)
                peer = Peer('unix', self.directory.name, reads=True)
                self.addCleanup(peer.close)
                began = time.monotonic()
                source.command('migrate', uri=peer.uri)
                sent = 0
                while sent < MIB:
                    info = source.command('query-migrate')
                    sent = info.get('ram', {}).get('transferred', 0)
                    # What a window has too much, a packet's header say, is little.
                    self.assertLess(sent, 1.1 * limit * (time.monotonic() - began + 0.2), info)
                    self.assertLess(time.monotonic(), began + 60)
                    time.sleep(0.05)
                source.command('migrate_cancel')
                migrate.wait_status(source, ('cancelled',))
                self.assertEqual(source.quit(), 0)

    def test_slow(self):
        """It comes to an end with hardly any bandwidth, too."""
        source, peer = self.in_hand(32, 100000, max_bandwidth=1000000)
        peer.read()
        migrate.wait_status(source, ('completed',))
        self.assertEqual(source.quit(), 0)


class Late(Control):
    """The end mark is out: only the destination knows."""

    def late(self, act):
        source = self.source(())
        self.set(source, on=('return-path',))
        source.qmp.poll_events()
        peer = Peer('unix', self.directory.name, reads=True, answer=lambda seen:
                    struct.pack('>HHI', 2, 4, 5) if PING_ALL_SENT in seen else b'')
        self.addCleanup(peer.close)
        source.command('migrate', uri=peer.uri)
        migrate.wait_status(source, ('device',))
        deadline = time.monotonic() + 60
        while peer.answer:
            self.assertLess(time.monotonic(), deadline)
            time.sleep(0.01)
        deadline = time.monotonic() + 60
        while b'"page_size"' not in peer.seen and not peer.seen.endswith(b'}'):
            self.assertLess(time.monotonic(), deadline)
            time.sleep(0.01)
        wanted = act(source, peer)
        info = migrate.wait_status(source, (wanted,), timeout=60)
        self.assertIn('may run the guest', info['error-desc'])
        # Two guests would be worse than none.
        self.assertEqual(source.command('query-status')['status'], 'postmigrate')
        source.command('cont')
        self.set(source, off=('return-path',))
        peer.close()
        self.check_after(source, wanted)
        self.check_things(source)

    def test_cancel(self):
        self.late(lambda source, peer: self.cancel(source, peer, None))

    def test_yank(self):
        self.late(lambda source, peer: self.yank(source, peer, None))


class Idle(Control):
    def test_nothing_to_end(self):
        source = self.source(())
        for status in ('completed', 'failed', 'cancelled'):
            with self.subTest(status=status):
                if status == 'failed':
                    source.command('migrate', uri='unix:/nonexistent/socket')
                    migrate.wait_status(source, ('failed',))
                elif status == 'cancelled':
                    peer = self.throttled(source, 'unix')
                    source.command('migrate_cancel')
                    migrate.wait_status(source, ('cancelled',))
                    peer.close()
                source.qmp.poll_events()
                self.assertEqual(source.command('migrate_cancel'), {})
                self.assertEqual(source.command('query-migrate')['status'], status)
                with self.assertRaisesRegex(QMPError, 'Instance not found'):
                    source.command('yank', instances=[{'type': 'migration'}])
                self.assertEqual(source.qmp.poll_events(), [])
        fresh = self.machine('fresh')
        self.assertEqual(fresh.command('migrate_cancel'), {})
        self.assertEqual(fresh.command('query-migrate'), {})

    def test_yank_of_sockets(self):
        """Character devices with a socket are there too: the monitor's own, for instance."""
        path = os.path.join(self.directory.name, 'other')
        with socket.socket(socket.AF_UNIX) as listener:
            listener.bind(path)
            listener.listen(1)
            machine = self.machine('sockets', '-chardev', f'socket,id=other,path={path}',
                                   '-chardev', 'null,id=null')
            peer = listener.accept()[0]
            with peer:
                self.assertEqual(machine.command('query-yank'),
                                 [{'type': 'chardev', 'id': 'qmp0'},
                                  {'type': 'chardev', 'id': 'other'}])
                for wrong in ([{'type': 'chardev', 'id': 'null'}],
                              [{'type': 'chardev', 'id': 'other'}, {'type': 'migration'}],
                              [{'type': 'block-node', 'node-name': 'x'}]):
                    with self.assertRaisesRegex(QMPError, 'Instance not found'):
                        machine.command('yank', instances=wrong)
                self.assertEqual(select.select([peer], [], [], 0)[0], [])
                machine.command('yank', instances=[{'type': 'chardev', 'id': 'other'}])
                peer.settimeout(30)
                self.assertEqual(peer.recv(1), b'')


class Running(Control):
    """What may be changed while it runs."""

    def test_limits_at_once(self):
        """Slow enough never to end; then not."""
        source = self.source(())
        there = self.machine('there', '-incoming', f'unix:{self.directory.name}/limits')
        self.set(source, max_bandwidth=50000, downtime_limit=1)
        source.command('migrate', uri=f'unix:{self.directory.name}/limits')
        migrate.wait_status(source, ('active',))
        threads = source.command('query-migrationthreads')
        self.assertEqual([t['name'] for t in threads], ['mig/src/main'])
        self.assertTrue(os.path.isdir(f'/proc/{source.process.pid}/task/{threads[0]["thread-id"]}'))
        left = source.command('query-migrate')['ram']['remaining']
        self.assertGreater(left, RAM // 2)
        self.set(source, max_bandwidth=0, downtime_limit=300)
        # At the old rate this would take minutes.
        migrate.wait_status(source, timeout=60)
        self.assertEqual(migrate.wait_status(there)['status'], 'completed')

    def test_continue(self):
        source = self.source(())
        for how in ('qmp', 'hmp'):
            there = self.machine('there', '-incoming', f'unix:{self.directory.name}/{how}')
            self.set(source, on=('pause-before-switchover',))
            source.command('migrate', uri=f'unix:{self.directory.name}/{how}')
            migrate.wait_status(source, ('pre-switchover',))
            for wrong in ('active', 'device', 'setup', 'completed'):
                with self.assertRaisesRegex(QMPError, 'Migration not in expected state: '
                                                      'pre-switchover'):
                    source.command('migrate-continue', state=wrong)
            self.assertEqual(source.command('query-migrate')['status'], 'pre-switchover')
            if how == 'qmp':
                source.command('migrate-continue', state='pre-switchover')
            else:
                self.assertEqual(source.qmp.hmp('migrate_continue pre-switchover'), '')
            migrate.wait_status(source)
            self.assertEqual(migrate.wait_status(there)['status'], 'completed')
            with self.assertRaisesRegex(QMPError, 'Migration not in expected state: completed'):
                source.command('migrate-continue', state='pre-switchover')
            there.quit()
            source.command('cont')

    def test_capabilities_stay(self):
        """A migration that runs keeps its capabilities; blockers and a second one are refused."""
        source = self.source(())
        peer = self.throttled(source, 'unix')
        self.addCleanup(peer.close)
        with self.assertRaisesRegex(QMPError, "There's a migration process in progress"):
            self.set(source, on=('xbzrle',))
        with self.assertRaisesRegex(QMPError, "There's a migration process in progress"):
            source.command('migrate', uri=peer.uri)
        self.assertEqual(source.command('query-migrate')['status'], 'active')
        source.command('migrate_cancel')
        migrate.wait_status(source, ('cancelled',))


class Acknowledge(Control):
    """switchover-ack: the source waits for the destination's word."""

    def test_requires_return_path(self):
        machine = self.machine('ack')
        text = "Capability 'switchover-ack' requires capability 'return-path'"
        with self.assertRaisesRegex(QMPError, text):
            self.set(machine, on=('switchover-ack',))
        self.set(machine, on=('return-path', 'switchover-ack'))
        with self.assertRaisesRegex(QMPError, text):
            self.set(machine, off=('return-path',))

    def test_both(self):
        source = self.source(())
        there = self.machine('there', '-incoming', 'defer')
        for machine in (source, there):
            self.set(machine, on=('return-path', 'switchover-ack'))
        there.command('migrate-incoming', uri=f'unix:{self.directory.name}/ack')
        migrate.run(source, there, f'unix:{self.directory.name}/ack', destination_capabilities=())

    def peer(self, answer):
        source = self.source(())
        self.set(source, on=('return-path', 'switchover-ack'))
        peer = Peer('unix', self.directory.name, reads=True, answer=answer)
        self.addCleanup(peer.close)
        source.qmp.poll_events()
        source.command('migrate', uri=peer.uri)
        return source, peer

    def test_waits(self):
        """Everything is sent, and the switchover does not come; cancel ends it."""
        source, peer = self.peer(None)
        deadline = time.monotonic() + 60
        while True:
            info = source.command('query-migrate')
            self.assertIn(info['status'], ('setup', 'active'))
            if (info['status'] == 'active' and not info['ram']['remaining']
                    and info['ram']['transferred'] > RAM):
                break
            self.assertLess(time.monotonic(), deadline)
        # It does not come out of itself, and costs nothing meanwhile.
        before = source.cpu_seconds()
        sent = source.command('query-migrate')['ram']['transferred']
        for _ in range(50):
            time.sleep(0.01)
            info = source.command('query-migrate')
            self.assertEqual(info['status'], 'active')
        self.assertEqual(info['ram']['transferred'], sent)
        self.assertLess(source.cpu_seconds() - before, 0.4)
        self.cancel(source, peer, None)
        migrate.wait_status(source, ('cancelled',))
        self.set(source, off=('switchover-ack',))
        self.set(source, off=('return-path',))
        self.check_after(source, 'cancelled')

    def test_comes(self):
        source, _ = self.peer(lambda seen: b'\0\7\0\0')
        migrate.wait_status(source, ('device',))

    def test_nobody_asked(self):
        source = self.source(())
        self.set(source, on=('return-path',))
        peer = Peer('unix', self.directory.name, reads=True, answer=lambda seen: b'\0\7\0\0')
        self.addCleanup(peer.close)
        self.set(source, max_bandwidth=200000)
        source.command('migrate', uri=peer.uri)
        info = migrate.wait_status(source, ('failed',))
        self.assertIn('SWITCHOVER_ACK came, but was not asked for', info['error-desc'])

    def test_destination(self):
        """It says so as soon as there is a return path, if it is to."""
        for on in (True, False):
            there = self.machine('there', '-incoming', 'defer')
            self.set(there, on=('return-path', 'switchover-ack') if on else ('return-path',))
            path = f'{self.directory.name}/direct-{on}'
            there.command('migrate-incoming', uri='unix:' + path)
            with socket.socket(socket.AF_UNIX) as s:
                s.connect(path)
                s.settimeout(30)
                s.sendall(b'QEVM\0\0\0\3\7\0\0\0\4none\x08\0\1\0\0\x08\0\2\0\4\0\0\0\x2a')
                pong = b'\0\2\0\4\0\0\0\x2a'
                expected = (b'\0\7\0\0' if on else b'') + pong
                got = b''
                while len(got) < len(expected):
                    got += s.recv(64)
                self.assertEqual(got, expected)


class Shared(Control):
    """x-ignore-shared: memory that both map is not sent."""

    def pair(self, capabilities=(), there_backend='file'):
        backend = f'memory-backend-file,id=ram,mem-path={self.ram},size={RAM},share=on'
        other = backend if there_backend == 'file' else f'memory-backend-ram,id=ram,size={RAM}'
        source = self.machine('source', '-machine', 'memory-backend=ram', '-object', backend)
        there = self.machine('there', '-machine', 'memory-backend=ram', '-object', other,
                             '-incoming', 'defer')
        for machine in (source, there):
            self.set(machine, on=('x-ignore-shared', *capabilities))
        path = tempfile.mktemp(dir=self.directory.name)
        there.command('migrate-incoming', uri='unix:' + path)
        return source, there, 'unix:' + path

    def test_left_out(self):
        for capabilities in METHODS:
            with self.subTest(capabilities=capabilities):
                source, there, uri = self.pair(capabilities)
                before = os.stat(self.ram).st_mtime_ns
                info, _ = migrate.run(source, there, uri)
                self.assertEqual(info['ram']['total'], 0)
                self.assertEqual(info['ram']['normal'] + info['ram']['duplicate'], 0)
                self.assertLess(info['ram']['transferred'], 65536)
                with open(self.ram, 'rb') as f:
                    self.assertEqual(there.read_memory(RAM - MIB, MIB), f.read()[RAM - MIB:])
                self.assertEqual(os.stat(self.ram).st_mtime_ns, before)
                source.quit()
                there.quit()

    def test_not_shared_there(self):
        """Nobody brings that memory: silently going on without it would be worse."""
        source, there, uri = self.pair(there_backend='ram')
        self.set(source, on=('return-path',))
        source.command('migrate', uri=uri)
        migrate.wait_status(source, ('failed',))
        self.assertEqual(there.wait(), 1)
        self.assertIn("RAM block 'ram' was left out by the source", there.stderr())
        self.assertEqual(source.command('query-status')['status'], 'running')

    def test_one_side_only(self):
        for side in ('source', 'destination'):
            with self.subTest(side=side):
                source, there, uri = self.pair()
                self.set(source if side == 'destination' else there, off=('x-ignore-shared',))
                self.set(source, on=('return-path',))
                source.command('migrate', uri=uri)
                migrate.wait_status(source, ('failed',))
                self.assertEqual(there.wait(), 1)
                self.assertIn('Capability x-ignore-shared is', there.stderr())

    def test_wrong_address(self):
        _, there, uri = self.pair()
        with socket.socket(socket.AF_UNIX) as s:
            s.connect(uri[5:])
            name = b'\x0fx-ignore-shared'
            s.sendall(b'QEVM\0\0\0\3\7\0\0\0\4none' b'\5\x1aconfiguration/capabilities'
                      + struct.pack('>II', 1, 1) + name
                      + b'\1' + struct.pack('>I', 1) + b'\3ram' + struct.pack('>II', 0, 4)
                      + struct.pack('>Q', RAM | 4) + b'\3ram' + struct.pack('>QQ', RAM, 0x100000)
                      + struct.pack('>Q', 16))
            self.assertEqual(there.wait(), 1)
        self.assertIn('lies at 0x100000 in the source, but at 0x0 here', there.stderr())

    def test_page_comes_anyway(self):
        _, there, uri = self.pair()
        with socket.socket(socket.AF_UNIX) as s:
            s.connect(uri[5:])
            s.sendall(b'QEVM\0\0\0\3\7\0\0\0\4none' b'\5\x1aconfiguration/capabilities'
                      + struct.pack('>II', 1, 1) + b'\x0fx-ignore-shared'
                      + b'\1' + struct.pack('>I', 1) + b'\3ram' + struct.pack('>II', 0, 4)
                      + struct.pack('>Q', RAM | 4) + b'\3ram' + struct.pack('>QQ', RAM, 0)
                      + struct.pack('>Q', 2) + b'\3ram\0')
            self.assertEqual(there.wait(), 1)
        self.assertIn("block 'ram' is shared (x-ignore-shared): its pages must not be sent",
                      there.stderr())


class Accepted(Control):
    """Capabilities that change little, and combinations that are refused."""

    def test_combinations(self):
        machine = self.machine('combinations')
        for names, text in (
                (('postcopy-ram', 'x-ignore-shared'), 'Postcopy is not compatible with ignore-shared'),
                (('postcopy-preempt',), 'Postcopy preempt requires postcopy-ram'),
                (('background-snapshot', 'return-path'),
                 'Background-snapshot is not compatible with return-path'),
                (('background-snapshot', 'release-ram'),
                 'Background-snapshot is not compatible with release-ram'),
                (('background-snapshot', 'late-block-activate'),
                 'Background-snapshot is not compatible with late-block-activate'),
                (('background-snapshot', 'validate-uuid'),
                 'Background-snapshot is not compatible with validate-uuid'),
                (('background-snapshot', 'pause-before-switchover'),
                 'Background-snapshot is not compatible with pause-before-switchover'),
                (('background-snapshot', 'multifd'),
                 'Background-snapshot is not compatible with multifd'),
                (('background-snapshot', 'auto-converge'),
                 'Background-snapshot is not compatible with auto-converge'),
                (('mapped-ram', 'xbzrle'), 'Mapped-ram migration is incompatible with xbzrle'),
                (('switchover-ack',), "Capability 'switchover-ack' requires capability "
                                      "'return-path'")):
            with self.subTest(names=names):
                with self.assertRaises(QMPError) as raised:
                    self.set(machine, on=names)
                self.assertEqual(raised.exception.desc, text)
                self.assertFalse(any(c['state'] for c in
                                     machine.command('query-migrate-capabilities')))

    def test_release_ram(self):
        """In precopy it changes nothing."""
        source = self.source(())
        there = self.machine('there', '-incoming', f'unix:{self.directory.name}/release')
        self.set(source, on=('release-ram',))
        migrate.run(source, there, f'unix:{self.directory.name}/release',
                    destination_capabilities=())
        with open(self.ram, 'rb') as f:
            expected = f.read(MIB)
        self.assertEqual(source.read_memory(0, MIB), expected)
        self.assertEqual(there.read_memory(0, MIB), expected)

    def test_disks(self):
        """They are the destination's when its guest runs, late-block-activate or not."""
        image = os.path.join(self.directory.name, 'image')
        with open(image, 'wb') as f:
            f.truncate(MIB)

        def active(machine):
            return [b['inserted']['active'] for b in machine.command('query-block')]

        disk = ['-machine', 'pc', '-accel', 'qtest', '-drive', f'if=ide,format=raw,file={image}']
        for late in (False, True):
            for stopped, paused in ((False, False), (False, True), (True, False), (True, True)):
                with self.subTest(late=late, source_stopped=stopped, destination_paused=paused):
                    source = self.machine('source', *disk)
                    there = self.machine('there', *disk, '-incoming', 'defer',
                                         *(['-S'] if paused else []))
                    if late:
                        self.set(there, on=('late-block-activate',))
                    if stopped:
                        source.command('stop')
                    path = tempfile.mktemp(dir=self.directory.name)
                    there.command('migrate-incoming', uri='unix:' + path)
                    self.assertEqual((active(source), active(there)), ([True], [False]))
                    migrate.run(source, there, 'unix:' + path, destination_capabilities=())
                    self.assertEqual((active(source), active(there)),
                                     ([False], [not stopped and not paused]))
                    there.command('cont')
                    self.assertEqual(active(there), [True])
                    there.command('stop')
                    self.assertEqual(active(there), [True])
                    source.quit()
                    there.quit()

    def test_uuid(self):
        """Only two that are set and differ are refused."""
        uuids = (None, '5d0ab6a1-7e4c-4c5c-9f6b-1f2d3c4b5a69', '5d0ab6a1-7e4c-4c5c-9f6b-1f2d3c4b5a70')
        for ours in uuids[:2]:
            for theirs in uuids:
                for on in ((), ('source',), ('there',), ('source', 'there')):
                    with self.subTest(source=ours, destination=theirs, on=on):
                        source = self.machine('source', *(['-uuid', ours] if ours else []))
                        there = self.machine('there', '-incoming', 'defer',
                                             *(['-uuid', theirs] if theirs else []))
                        for name, machine in (('source', source), ('there', there)):
                            if name in on:
                                self.set(machine, on=('validate-uuid',))
                        self.set(source, on=('return-path',))
                        path = tempfile.mktemp(dir=self.directory.name)
                        there.command('migrate-incoming', uri='unix:' + path)
                        source.command('migrate', uri='unix:' + path)
                        sent = ours and 'source' in on
                        if sent and theirs and theirs != ours:
                            migrate.wait_status(source, ('failed',))
                            self.assertEqual(there.wait(), 1)
                            self.assertIn(f'UUID received is {ours} and local is {theirs}',
                                          there.stderr())
                        else:
                            migrate.wait_status(source)
                            migrate.wait_status(there)
                            self.assertEqual("but local uuid isn't set" in there.stderr(),
                                             bool(sent and not theirs))
                        source.end()
                        there.end()


class Waiting(Control):
    """A destination whose channels do not come, or say nothing."""

    def there(self, *arguments):
        there = self.machine('there', '-incoming', 'defer', *arguments)
        self.set(there, on=('multifd', 'events'))
        self.path = tempfile.mktemp(dir=self.directory.name)
        there.command('migrate-incoming', uri='unix:' + self.path, exit_on_error=False)
        self.assertIn({'type': 'migration'}, there.command('query-yank'))
        return there

    def channel(self, data=b''):
        s = socket.socket(socket.AF_UNIX)
        self.addCleanup(s.close)
        s.connect(self.path)
        s.settimeout(30)
        s.sendall(data)
        return s

    MAIN = (b'QEVM\0\0\0\3\7\0\0\0\4none\1\0\0\0\1\3ram' + struct.pack('>II', 0, 4)
            + struct.pack('>Q', RAM | 4) + b'\3ram' + struct.pack('>Q', RAM)
            + struct.pack('>Q', 0x200))

    def test_silent(self):
        """Channels that say nothing: asking, cancelling, quitting work; yank ends them."""
        there = self.there()
        silent = [self.channel() for _ in range(3)]
        self.assertEqual(there.command('migrate_cancel'), {})
        self.assertEqual(there.command('query-migrate')['status'], 'setup')
        there.command('yank', instances=[{'type': 'migration'}])
        for s in silent:
            self.assertEqual(s.recv(1), b'')
        # Nothing had begun: a source is still welcome.
        self.assertEqual(there.command('query-migrate')['status'], 'setup')
        source = self.machine('source')
        self.set(source, on=('multifd',))
        migrate.run(source, there, 'unix:' + self.path, destination_capabilities=())

    def test_main_waits(self):
        """The main channel is there, the others are not."""
        for end in ('yank', 'close', 'quit', 'term'):
            with self.subTest(end=end):
                there = self.there()
                main = self.channel(self.MAIN)
                migrate.wait_status(there, ('active',))
                silent = self.channel()
                if end == 'quit':
                    self.assertEqual(there.quit(), 0)
                    continue
                if end == 'term':
                    there.process.terminate()
                    self.assertEqual(there.wait(), 0)
                    continue
                if end == 'yank':
                    there.command('yank', instances=[{'type': 'migration'}])
                else:
                    main.close()
                info = migrate.wait_status(there, ('failed',))
                self.assertTrue(info['error-desc'])
                self.assertEqual(silent.recv(1), b'')
                self.assertEqual([e['data']['status'] for e in there.qmp.poll_events()
                                  if e['event'] == 'MIGRATION'], ['setup', 'active', 'failed'])
                self.assertEqual(there.command('query-yank'), [{'type': 'chardev', 'id': 'qmp0'}])
                self.assertEqual(there.command('query-migrationthreads'), [])
                self.assertEqual(there.quit(), 0)


class Repeated(Control):
    """Again and again to somebody who does not answer: nobody is left waiting for him."""

    TIMES = 30

    def repeat(self, transport, capabilities, how):
        source = self.source(capabilities)
        peer = self.new_peer(transport, **how)
        self.addCleanup(peer.close)
        for _ in range(self.TIMES):
            source.command('migrate', uri=peer.uri)
            self.assertEqual(source.command('query-migrate')['status'], 'setup')
            source.command('migrate_cancel')
            migrate.wait_status(source, ('cancelled',), timeout=60)
        self.check_things(source)               # and the peer has not answered yet
        self.assertEqual(source.command('query-migrationthreads'), [])
        self.succeed(source)

    def test_connecting(self):
        for transport in TRANSPORTS:
            for capabilities in ((), ('multifd',)):
                with self.subTest(transport=transport, capabilities=capabilities):
                    self.repeat(transport, capabilities, {'full': True})


if __name__ == '__main__':
    tap.main()
