#!/usr/bin/python3
# SPDX-License-Identifier: GPL-2.0-or-later
"""Postcopy, and recoveries of it, over commands (exec:) and descriptors (fd:).

A command is a relay between its standard streams and a socket; a descriptor is an end of a connection
that was made before. Either way a gate stands between, as in test_postcopy.py. The classes with Real in
their names are QEMU on both sides, run by hand.
"""

import os
import socket
import sys

HERE = os.path.dirname(os.path.abspath(__file__))
TOP = os.path.join(HERE, '..', '..')
sys.path[:0] = [os.path.join(TOP, 'scripts'), os.path.join(TOP, 'tests', 'guest'), HERE]

import postcopying                                              # noqa: E402
from postcopying import FORWARD, GODWIT, MIB, NEWER, PREEMPT, Postcopy  # noqa: E402
from vmtools import migrate, tap                       # noqa: E402
from vmtools.qmp import QMPError                                # noqa: E402

LIMITED = {'max-postcopy-bandwidth': 4 * MIB}
# Standard streams to and from a socket; when one side has ended, all has. Who listens shows its socket
# only when it does.
RELAY = '''
import os, select, socket, sys, threading
how, path = sys.argv[1:]
peer = socket.socket(socket.AF_UNIX)
if how == 'listen':
    listener = peer
    listener.bind(path + '.new')
    listener.listen(1)
    os.rename(path + '.new', path)
    poll = select.poll()
    poll.register(0, 0)                 # the program has gone
    poll.register(listener, select.POLLIN)
    if any(fd == 0 for fd, _ in poll.poll()):
        sys.exit()
    peer = listener.accept()[0]
else:
    peer.connect(path)

def copy(read, write):
    try:
        while data := read(65536):
            write(data)
    except OSError:
        pass
    os._exit(0)

def out(data):
    while data:
        data = data[os.write(1, data):]

threading.Thread(target=copy, args=(peer.recv, out)).start()
copy(lambda n: os.read(0, n), peer.sendall)
'''


class Way(Postcopy):
    transport = None

    def relay(self, how, path):
        script = self.path('relay.py')
        if not os.path.exists(script):
            with open(script, 'w', encoding='ascii') as f:
                f.write(RELAY)
        return f'exec:exec {sys.executable} {script} {how} {path}'

    def pass_descriptor(self, machine, end):
        machine.qmp.command('getfd', fds=[end.fileno()], fdname='way')
        end.close()
        return 'fd:way'

    def listen(self, command):
        if self.transport == 'exec':
            self.sockets += 1
            path = self.path(f'relay{self.sockets}')
            command(self.relay('listen', path))
            self.wait_exists(path)
            return 'unix:' + path
        end, there = socket.socketpair()
        command(self.pass_descriptor(self.there, there))
        return end

    def wait_exists(self, path):
        deadline = postcopying.time.monotonic() + postcopying.TIMEOUT
        while not os.path.exists(path):
            self.assertLess(postcopying.time.monotonic(), deadline, 'the relay does not listen')
            postcopying.time.sleep(0.005)

    def source_uri(self):
        path = self.gate.uri.removeprefix('unix:')
        if self.transport == 'exec':
            return self.relay('connect', path)
        end = socket.socket(socket.AF_UNIX)
        end.connect(path)
        return self.pass_descriptor(self.source, end)


class Transports(Way):
    def test_plain(self):
        self.begin()
        self.precopy()
        self.switch()
        self.finish()

    def recovers(self, times=1, pause=None):
        self.begin(parameters=LIMITED)
        self.precopy()
        self.hold_in_postcopy(30)
        self.switch()
        mark = self.in_postcopy()
        for i in range(times):
            self.gate.wait_held()
            if pause is None:
                self.gate.cut()
            else:
                getattr(self, pause).command('migrate-pause', oob=True)
                self.gate.next_era()
            mark = self.paused(mark)
            if i == times - 1:
                self.fast()
            else:
                self.gate.hold_behind(postcopying.Point(FORWARD, 'resume', era=i + 1), 30)
            self.recover()
            self.wait_both('postcopy-recover', since=mark)
            mark = self.wait_both('postcopy-active', since=mark) if i < times - 1 else mark
        self.finish()
        told = self.statuses(self.source)
        self.assertEqual(told.count('postcopy-recover'), times)
        self.assertEqual(self.statuses(self.there).count('RESUME'), 1)

    def test_recovery(self):
        self.recovers()

    def test_recovery_thrice(self):
        self.recovers(3)

    def pauses(self, end, kind):
        if self.transport == 'exec' and kind == NEWER:
            self.skipTest('QEMU cannot: it does not end what a command has begun')
        self.recovers(pause=end)

    def test_pause_at_the_source(self):
        self.pauses('source', self.KINDS[0])

    def test_pause_at_the_destination(self):
        self.pauses('there', self.KINDS[1])


class ExecAlone(Transports):
    transport = 'exec'


class FdAlone(Transports):
    transport = 'fd'


class AnswersLikeNewerQemu(Way):
    """What transports are refused, for postcopy and for its recovery: the answers are QEMU's."""
    transport = 'fd'
    KINDS = (GODWIT, NEWER)

    def ask(self, machine, name, oob=False, **arguments):
        try:
            machine.command(name, oob=oob, **arguments)
            answer = 'done'
        except QMPError as e:
            answer = f'{e.error_class}: {e.desc}'
        return machine.name, name, str(arguments), answer

    def answers(self, kind):
        self.doCleanups()
        self.setUp()
        self.KINDS = (kind, kind)
        self.begin(parameters=LIMITED)
        nowhere = ('exec:cat', 'fd:nothing')
        found = []
        migrate.set_up(self.source, PREEMPT)
        migrate.set_up(self.there, PREEMPT)
        for uri in nowhere:
            found.append(self.ask(self.source, 'migrate', uri=uri))
        for machine in (self.source, self.there):
            machine.command('migrate-set-capabilities', capabilities=[
                {'capability': 'postcopy-preempt', 'state': False}])
        for uri in nowhere[1:]:
            found.append(self.ask(self.source, 'migrate', uri=uri))
        mark = self.mark()
        self.precopy()
        self.hold_in_postcopy(30)
        self.switch()
        self.wait_status(self.there, 'RESUME')
        mark = self.wait_both('postcopy-active', since=mark)
        self.gate.wait_held()
        self.gate.cut()
        self.paused(mark)
        for uri in nowhere[1:]:
            found.append(self.ask(self.source, 'migrate', uri=uri, resume=True))
            found.append(self.ask(self.there, 'migrate-recover', True, uri=uri))
        mark = self.mark()
        self.recover()
        self.wait_both('postcopy-active', since=mark)
        return found

    def test_answers(self):
        theirs = self.answers(NEWER)
        for ours, expected in zip(self.answers(GODWIT), theirs, strict=True):
            with self.subTest(expected):
                self.assertEqual(ours, expected)


def add_classes():
    """A class for each pair and each transport."""
    names = {GODWIT: 'Godwit', NEWER: 'NewerQemu'}
    for source, there in ((NEWER, GODWIT), (GODWIT, NEWER), (NEWER, NEWER)):
        for transport in ('exec', 'fd'):
            name = ('Real' if source == there else f'{names[source]}To{names[there]}') \
                + transport.capitalize()
            globals()[name] = type(name, (Transports,), {
                'KINDS': (source, there), 'transport': transport, '__module__': __name__})


add_classes()
del Transports, Way, Postcopy


if __name__ == '__main__':
    tap.main()
