#!/usr/bin/python3
# SPDX-License-Identifier: GPL-2.0-or-later
"""Out of band in postcopy: the destination's main thread waits for a page that does not come, and holds
the big lock, while its monitor pauses, yanks and recovers the migration.

Class Alone needs no other program; NewerQemu has a real QEMU as the source. Real asks the same of the
real one, to test the tests; it is run by hand: test_postcopy_oob.py Real.
"""

import json
import os
import socket
import sys
import threading
import time
import unittest

HERE = os.path.dirname(os.path.abspath(__file__))
TOP = os.path.join(HERE, '..', '..')
sys.path[:0] = [os.path.join(TOP, 'scripts'), os.path.join(TOP, 'tests', 'guest'), HERE]

from postcopying import (BACK, FORWARD, GODWIT, MIB, NEWER, PREEMPT, TIMEOUT,  # noqa: E402
                         Postcopy)
from vmtools import gate, tap                                   # noqa: E402
from vmtools.qmp import QMP, QMPError                           # noqa: E402

LIMITED = {'max-postcopy-bandwidth': 4 * MIB}
YANK = [{'type': 'migration'}]


class Stuck(Postcopy):
    """A destination that is stuck, and what gets it out of that."""

    def setUp(self):
        super().setUp()
        self.order = []                     # replies of the stuck machine: the ids, as they came

    def begin_stuck(self, how='pmemsave', more=(), **options):
        """In postcopy; nothing of the source arrives; the main thread waits for a page. A command that
        is in its queue shows when it is free again."""
        self.begin(parameters=LIMITED, there=more, **options)
        self.precopy()
        self.hold_in_postcopy(50)
        self.switch()
        self.mark_ = self.in_postcopy()
        self.gate.hold(FORWARD)
        qmp = self.there.qmp
        read = qmp._read

        def record(deadline):
            message = read(deadline)
            if 'event' not in message:
                self.order.append(message.get('id'))
            return message
        qmp._read = record
        getattr(self, 'block_by_' + how)()
        if how != 'stop':
            self.wait_blocked()
        self.send('query-status', 'behind')

    def send(self, name, ident, **arguments):
        """In band, without waiting for the reply."""
        request = {'execute': name, 'id': ident, 'arguments': arguments}
        self.there.qmp._send(json.dumps(request).encode() + b'\n', (), time.monotonic() + TIMEOUT)

    # Ways of getting stuck

    def block_by_pmemsave(self):
        self.send('pmemsave', 'stuck', val=0, size=self.memory * MIB, filename=self.path('memory'))

    def block_by_hmp(self):
        self.send('human-monitor-command', 'stuck',
                  **{'command-line': f'pmemsave 0 {self.memory * MIB} "{self.path("memory")}"'})

    def block_by_qtest(self):
        """Answered on another connection: it ends before what is behind it in the monitor's queue."""
        self.qtest = self.listener.accept()[0]
        self.addCleanup(self.qtest.close)
        self.qtest.sendall(f'read 0x200000 0x{(self.memory - 6) * MIB:x}\n'.encode())

    def block_by_stop(self):
        """The main thread waits for a vCPU, which waits for a page."""
        self.wait_blocked(lambda name: name.startswith('CPU '))
        self.send('stop', 'stuck')
        self.send('cont', 'after')

    def wait_blocked(self, named=None):
        """Until the kernel says that the main thread (or one of that name) waits for a page. One that
        does not tell says 0, as of any thread that runs."""
        pid = task = self.there.process.pid
        if named:
            for task in os.listdir(f'/proc/{pid}/task'):
                with open(f'/proc/{pid}/task/{task}/comm', encoding='ascii') as f:
                    if named(f.read()):
                        break
            else:
                self.fail('there is no such thread')
        deadline = time.monotonic() + TIMEOUT
        silent = time.monotonic() + 3
        where = ''
        while 'userfault' not in where:
            with open(f'/proc/{pid}/task/{task}/wchan', encoding='ascii') as f:
                where = f.read()
            if where != '0':
                silent = time.monotonic() + 3
            if time.monotonic() > silent:
                return
            self.assertLess(time.monotonic(), deadline, f'the main thread is in {where}')
            time.sleep(0.005)

    # What is done about it

    def oob(self, name, **arguments):
        """Executed at once, while what was sent before it is not."""
        result = self.there.qmp.command(name, oob=True, timeout=TIMEOUT, **arguments)
        self.assertNotIn('behind', self.order)
        self.assertNotIn('stuck', self.order)
        return result

    def refused(self, words, name, **arguments):
        with self.assertRaises(QMPError) as caught:
            self.oob(name, **arguments)
        self.assertIn(words, caught.exception.desc)
        self.assertNotIn('behind', self.order)

    def released(self):
        """All comes, and the replies with it."""
        self.fast()
        deadline = time.monotonic() + TIMEOUT
        while 'behind' not in self.order:
            message = self.there.qmp._read(deadline)
            if 'event' in message:
                self.there.qmp.events.append(message)
        if 'stuck' in self.order:
            self.assertLess(self.order.index('stuck'), self.order.index('behind'))
        return self.finish()

    def recovered(self, since):
        """From paused on both sides to the end."""
        self.assertIn({'type': 'migration'}, self.oob('query-yank'))
        self.gate.go_on()               # into connections that are gone
        self.recover()
        self.wait_both('postcopy-active', since=since)
        self.released()

    def broken(self, pause):
        """The whole of it, with one way of breaking the connection."""
        pause()
        self.recovered(self.paused(self.mark_))

    def pause(self):
        self.oob('migrate-pause')
        self.give_up()

    def yank(self):
        self.oob('yank', instances=YANK)
        self.give_up()

    def give_up(self):
        """What is held at the gate would keep a source writing for ever, which does not listen then."""
        self.gate.cut()


    def killed(self, times=1):
        """Its guest is lost, and so nothing that it would do is. What it says it has not said in
        vain."""
        self.source.kill()
        self.gate.cut()
        self.wait_status(self.there, 'postcopy-paused', since=self.mark_[1])
        for _ in range(times):
            self.there.process.terminate()
        self.assertEqual(self.there.wait(TIMEOUT), 1)
        self.assertIn('the main thread does not answer: in postcopy', self.there.stderr())


class Moving(Stuck):

    def test_pause(self):
        self.begin_stuck()
        self.broken(self.pause)
        with open(self.path('memory'), 'rb') as f:
            self.assertEqual(len(f.read()), self.memory * MIB)

    def test_yank(self):
        self.begin_stuck()
        self.broken(self.yank)

    def test_hmp(self):
        self.begin_stuck('hmp')
        self.broken(self.pause)

    def test_qtest(self):
        self.listener = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
        self.addCleanup(self.listener.close)
        self.listener.bind(self.path('qtest'))
        self.listener.listen(1)
        self.begin_stuck('qtest', more=['-qtest', 'unix:' + self.path('qtest'), '-qtest-log',
                                        '/dev/null'])
        self.broken(self.pause)

    def test_source_pauses(self):
        """The other side is not stuck; it hears it all the same."""
        self.begin_stuck()
        self.source.qmp.command('migrate-pause', oob=True)
        # What is held at the gate keeps the end from passing too.
        self.gate.cut()
        self.recovered(self.paused(self.mark_))

    def test_network(self):
        self.begin_stuck()
        self.gate.cut()
        self.recovered(self.paused(self.mark_))

    def test_queue(self):
        """As many requests wait as may."""
        self.begin_stuck()
        for i in range(5):
            self.send('query-status', f'also {i}')
        self.broken(self.pause)

    def test_preempt(self):
        self.begin_stuck(capabilities=PREEMPT)
        self.broken(self.pause)

    def test_tls(self):
        self.begin_stuck(tls=True)
        self.broken(self.pause)

    def test_tls_preempt(self):
        self.begin_stuck(tls=True, capabilities=PREEMPT)
        self.broken(self.yank)

    def test_vcpus(self):
        """Many of those that wait are vCPUs."""
        self.begin_stuck(vcpus=2)
        self.broken(self.pause)

    def test_again(self):
        """It breaks while it is recovered, by either command, and while it is paused nothing breaks."""
        self.begin_stuck()
        self.refused('can only be run when postcopy is paused', 'migrate-recover',
                     uri='unix:' + self.path('early'))
        self.pause()
        since = self.paused(self.mark_)
        self.refused('only supported during postcopy', 'migrate-pause')
        for way in (self.pause, self.yank, self.pause):
            self.yank()                     # nothing is there to be broken
            self.gate.hang_up()
            self.gate.hold(FORWARD)
            self.recover()
            self.wait_both('postcopy-recover', since=since)
            self.refused('can only be run when postcopy is paused', 'migrate-recover',
                         uri='unix:' + self.path('late'))
            way()
            self.gate.cut()
            since = self.paused(since)
        self.recovered(since)

    def test_other_address(self):
        """The first address was a mistake, and so was the second one."""
        self.begin_stuck()
        self.pause()
        since = self.paused(self.mark_)
        self.oob('migrate-recover', uri='unix:' + self.path('mistake'))
        self.refused('nonexistent', 'migrate-recover', uri='unix:/nonexistent/socket')
        self.refused('protocol', 'migrate-recover', uri='nothing')
        self.recovered(since)

    def test_in_band(self):
        """As commands like any other, in JSON and typed; the address is told while it listens, and no
        longer."""
        self.begin(parameters=LIMITED)
        there = self.there.qmp
        uri = 'unix:' + self.path('again')

        def told():
            return self.there.command('query-migrate').get('socket-address')

        def typed(line):
            self.assertEqual(there.hmp(line).strip(), '')
        ways = ((lambda: there.command('migrate-pause'),
                 lambda: there.command('migrate-recover', uri=uri),
                 lambda: self.source.command('migrate', uri=self.gate.uri, resume=True)),
                (lambda: typed('migrate_pause'), lambda: typed('migrate_recover ' + uri),
                 lambda: self.source.qmp.hmp(f'migrate -d -r {self.gate.uri}')))
        self.precopy()
        self.hold_in_postcopy(50)
        self.switch()
        since = self.in_postcopy()
        for pause, listen, resume in ways:
            pause()
            self.give_up()
            since = self.paused(since)
            if self.KINDS[1] == GODWIT:
                self.assertIsNone(told())
            listen()
            self.assertEqual(told(), [{'type': 'unix', 'path': self.path('again')}])
            self.assertIn(uri, there.hmp('info migrate'))
            self.gate.hang_up()
            self.gate.target = uri
            resume()
            self.wait_both('postcopy-active', since=since)
            since = self.mark()
        self.fast()
        self.finish()
        for name, words in (('migrate-pause', 'only supported during postcopy'),
                            ('migrate-recover', 'only be run when postcopy is paused')):
            with self.assertRaises(QMPError) as caught:
                there.command(name, **({'uri': uri} if name == 'migrate-recover' else {}))
            self.assertIn(words, caught.exception.desc)

    def test_passed_in(self):
        """A connection that somebody else has made, and has given to both."""
        pair = socket.socketpair()
        for end in pair:
            self.addCleanup(end.close)
        self.begin(parameters=LIMITED)
        self.there.qmp.command('getfd', fds=[pair[0].fileno()], fdname='again')
        self.source.qmp.command('getfd', fds=[pair[1].fileno()], fdname='again')
        self.precopy()
        self.hold_in_postcopy(50)
        self.switch()
        self.in_postcopy()
        self.there.qmp.command('migrate-pause', oob=True)
        self.gate.go_on()
        since = self.mark()
        self.paused((0, 0))
        self.there.qmp.command('migrate-recover', oob=True, uri='fd:again')
        self.source.command('migrate', uri='fd:again', resume=True)
        for end in pair:
            end.close()
        self.wait_both('postcopy-recover', since=since)
        self.fast()
        self.finish()

    def test_other_monitor(self):
        """One whose thread is the same has its own commands executed as well."""
        self.begin_stuck(more=['-qmp', f'unix:{self.path("second")},server=on,wait=off'])
        peer = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
        peer.connect(self.path('second'))
        second = QMP.__new__(QMP)
        self.addCleanup(peer.close)
        ready = threading.Event()

        def negotiate():
            second.__init__(peer, TIMEOUT, True)    # in band: answered when it is free again
            ready.set()
        thread = threading.Thread(target=negotiate, daemon=True)
        thread.start()
        self.broken(self.pause)
        self.assertTrue(ready.wait(TIMEOUT))
        thread.join()


class Alone(Moving):

    def test_connecting(self):
        """A source that cannot connect, or whose peer says nothing, gives up when it is told. (QEMU's does
        not.)"""
        self.begin(parameters=LIMITED, tls=True)
        self.precopy()
        self.switch()
        since = self.in_postcopy()
        source = self.source.qmp
        source.command('migrate-pause', oob=True)
        since = self.paused(since)
        peers = []
        for name in ('full', 'silent'):
            peer = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
            self.addCleanup(peer.close)
            peer.bind(self.path(name))
            peer.listen(0 if name == 'full' else 9)
            peers.append(peer)
        waiting = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
        self.addCleanup(waiting.close)
        waiting.connect(self.path('full'))
        for name in ('full', 'silent'):
            for end in ({'name': 'migrate-pause'}, {'name': 'yank', 'instances': YANK}):
                self.source.command('migrate', uri=f'unix:{self.path(name)}', resume=True)
                since = self.wait_status(self.source, 'postcopy-recover-setup', since=since[0]), since[1]
                if name == 'silent':
                    client = peers[1].accept()[0]
                    self.addCleanup(client.close)
                    client.recv(1)              # its first word
                source.command(end['name'], oob=True, **{k: v for k, v in end.items() if k != 'name'})
                since = self.wait_status(self.source, 'postcopy-paused', since=since[0]), since[1]
        self.recover()
        self.wait_both('postcopy-active', since=since)
        self.fast()
        self.finish()


    def test_quit(self):
        """While a destination listens, with a client that says nothing, and while a source connects."""
        self.begin(parameters=LIMITED, tls=True)
        self.precopy()
        self.switch()
        since = self.in_postcopy()
        self.there.command('migrate-pause')
        since = self.paused(since)
        uri = self.path('again')
        self.oob_there('migrate-recover', uri='unix:' + uri)
        client = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
        self.addCleanup(client.close)
        client.connect(uri)
        self.source.command('migrate', uri='unix:' + uri, resume=True)
        self.wait_both('postcopy-recover', since=since)
        self.gate.cut()
        self.assertEqual(self.there.quit(TIMEOUT), 0)
        self.assertFalse(os.path.exists(uri))
        self.wait_status(self.source, 'postcopy-paused', since=since[0])
        silent = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
        self.addCleanup(silent.close)
        silent.bind(self.path('silent'))
        silent.listen(1)
        self.source.command('migrate', uri='unix:' + self.path('silent'), resume=True)
        self.assertEqual(self.source.quit(TIMEOUT), 0)

    def test_silent_clients(self):
        """They connect all the time, also when the listener is just being replaced or is done."""
        self.begin(parameters=LIMITED, tls=True)
        self.precopy(20)
        self.switch()
        since = self.in_postcopy()
        self.gate.cut()
        self.paused(since)
        clients, address, done = [], [None], threading.Event()

        def connect():
            while not done.is_set() and len(clients) < 500:
                try:
                    clients.append(gate.connect(address[0]))
                except (OSError, AttributeError):
                    time.sleep(0.001)
        threads = [threading.Thread(target=connect) for _ in range(2)]
        for thread in threads:
            thread.start()
        try:
            for i in range(20):
                address[0] = f'unix:{self.path("again")}{i % 3}'
                self.oob_there('migrate-recover', uri=address[0])
        finally:
            done.set()
            for thread in threads:
                thread.join()
        self.there.process.terminate()
        self.assertEqual(self.there.wait(TIMEOUT), 0)
        for client in clients:
            client.close()

    def test_quit_listening(self):
        self.begin(parameters=LIMITED)
        self.precopy()
        self.hold_in_postcopy(50)
        self.switch()
        since = self.in_postcopy()
        self.there.command('migrate-pause')
        self.gate.go_on()
        self.paused(since)
        uri = self.path('again')
        self.oob_there('migrate-recover', uri='unix:' + uri)
        self.there.process.terminate()
        self.assertEqual(self.there.wait(TIMEOUT), 0)
        self.assertFalse(os.path.exists(uri))
        self.source.process.terminate()
        self.assertEqual(self.source.wait(TIMEOUT), 0)

    def test_one_way(self):
        self.end_one_way()

    def test_one_way_preempt(self):
        self.end_one_way(capabilities=PREEMPT)

    def test_one_way_tls(self):
        self.end_one_way(tls=True)

    def test_one_way_tls_preempt(self):
        self.end_one_way(tls=True, capabilities=PREEMPT)

    def end_one_way(self, **options):
        """The network takes no more of the source's pages, and the destination is gone for it: it waits
        no longer, also where it was about to send one that was asked for."""
        self.begin(parameters=LIMITED, **options)
        self.precopy()
        self.switch()
        since = self.in_postcopy()
        self.gate.hold(FORWARD)
        self.fast()
        self.wait_silent()
        self.gate.end_half(BACK)
        self.wait_status(self.source, 'postcopy-paused', since=since[0])
        self.assertFalse(self.source.command('query-status')['running'])
        self.gate.cut()
        since = self.paused(since)
        self.recover()
        self.wait_both('postcopy-active', since=since)
        self.finish()

    def wait_silent(self):
        """Until the source has filled what there is between it and what stands still."""
        same, before = 0, None
        deadline = time.monotonic() + TIMEOUT
        while same < 20:
            self.assertLess(time.monotonic(), deadline, 'the source goes on')
            ram = self.source.command('query-migrate')['ram']
            now = ram['postcopy-requests'], ram['transferred']
            same = same + 1 if now == before else 0
            before = now
            time.sleep(0.01)
        self.assertGreater(ram['remaining'], 0)

    def test_killed(self):
        """The source is gone for good, and there is nothing but a signal to end what waits for it."""
        self.begin_stuck()
        self.killed()

    def test_killed_vcpus(self):
        """Here and there, and one of them twice."""
        self.begin_stuck(vcpus=4)
        self.killed(2)

    def oob_there(self, name, **arguments):
        return self.there.qmp.command(name, oob=True, **arguments)


class AloneTcg(Stuck):
    """A vCPU that does not leave its fault to be stopped. KVM's do."""
    accel = 'tcg'

    def begin(self, there=(), **options):
        super().begin(there=['-name', 'debug-threads=on', *there], **options)

    def test_stop(self):
        self.begin_stuck('stop')
        self.broken(self.pause)

    def test_pmemsave(self):
        self.begin_stuck()
        self.broken(self.yank)

    def test_killed(self):
        self.begin_stuck('stop')
        self.killed()


class NewerQemu(Moving):
    KINDS = (NEWER, GODWIT)


class Real(Moving):
    KINDS = (NEWER, NEWER)


del Stuck, Moving, Postcopy

if __name__ == '__main__':
    tap.main()
