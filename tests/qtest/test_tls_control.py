#!/usr/bin/env python3
# SPDX-License-Identifier: GPL-2.0-or-later
"""Ending a migration over TLS early: cancel, yank and the death of the peer, from the handshake to the
switchover, main channel alone and with multifd; and the destination whose clients get stuck.

The states of test_migration_control.py, and those that only TLS has. The peers speak TLS by Python's own
library.

QTEST_QEMU_BINARY names the emulator, MAKE_TLS_CERTS the program that makes certificates.
"""

import os
import select
import socket
import ssl
import struct
import subprocess
import sys
import tempfile
import threading
import time

HERE = os.path.dirname(os.path.abspath(__file__))
sys.path.insert(0, HERE)
sys.path.insert(0, os.path.join(HERE, '..', '..', 'scripts'))

import test_migration_control as control                                        # noqa: E402
from vmtools import migrate, tap                                                # noqa: E402
from vmtools.qmp import QMPClosed                                               # noqa: E402

MAKE_TLS_CERTS = (os.environ.get('MAKE_TLS_CERTS') or
                  os.path.join(HERE, '..', '..', 'build', 'tests', 'unit', 'make-tls-certs'))
HALF = 100                      # bytes of a server's answer, which is much longer
HEADER = b'QEVM\0\0\0\3\7\0\0\0\4none'
MULTIFD_MAGIC = struct.pack('>I', 0x11223344)


def hello(number):
    """What a multifd channel of a guest without UUID says first."""
    return MULTIFD_MAGIC + struct.pack('>I16xB39x', 1, number)


def server_context(certs):
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(f'{certs}/server/server-cert.pem', f'{certs}/server/server-key.pem')
    context.num_tickets = 0
    return context


def client_context(certs):
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    context.check_hostname, context.verify_mode = False, ssl.CERT_NONE
    context.load_cert_chain(f'{certs}/client/client-cert.pem', f'{certs}/client/client-key.pem')
    return context


class TlsPeer(control.Peer):
    """A destination that is none. `shakes`: how many channels get through their handshakes; of the next one's
    hello it hears, and says nothing or, with `half`, a part of the answer."""

    def __init__(self, certs, transport, directory, full=False, one=False, reads=False, answer=None,
                 shakes=None, half=False):
        super().__init__(transport, directory, full=full)
        self.context = server_context(certs)
        self.shakes = 1 if one else 1000 if shakes is None else shakes
        self.half, self.reads, self.answer = half, reads, answer
        self.heard = threading.Event()          # the hello of one that gets no answer
        self.over = threading.Event()
        self.threads = []
        if not full:
            self.thread = threading.Thread(target=self.accept, daemon=True)
            self.thread.start()

    def accept(self):
        for number in range(1000):
            try:
                conn = self.listener.accept()[0]
            except OSError:
                return
            # What can be shut down, whatever becomes of the other.
            self.sockets.append(socket.socket(fileno=os.dup(conn.fileno())))
            thread = threading.Thread(target=self.serve, args=(conn, number), daemon=True)
            self.threads.append(thread)
            thread.start()

    def serve(self, conn, number):
        try:
            with conn:
                if number >= self.shakes:
                    self.get_stuck(conn)
                else:
                    self.talk(conn, number)
        except OSError:
            pass                                # the source has gone

    def get_stuck(self, conn):
        into, out = ssl.MemoryBIO(), ssl.MemoryBIO()
        session = self.context.wrap_bio(into, out, server_side=True)
        while not out.pending:
            data = conn.recv(1 << 16)
            if not data:
                return
            into.write(data)
            try:
                session.do_handshake()
            except ssl.SSLWantReadError:
                pass
        if self.half:
            conn.sendall(out.read()[:HALF])
        self.heard.set()
        self.over.wait()

    def talk(self, conn, number):
        with self.context.wrap_socket(conn, server_side=True) as tls:
            while self.reads:
                data = tls.recv(1 << 16)
                if not data:
                    return
                if number == 0:
                    self.seen = (self.seen + data)[-256:]
            self.over.wait()

    def close(self):
        self.over.set()
        for s in (self.listener, *self.sockets):
            try:
                s.shutdown(socket.SHUT_RDWR)
            except OSError:
                pass
        if self.thread:
            self.thread.join()
            self.thread = None
        for thread in self.threads:
            thread.join()
        self.threads = []
        super().close()


class Tls(control.Control):
    def setUp(self):
        super().setUp()
        self.certs = os.path.join(self.directory.name, 'certs')
        subprocess.run([MAKE_TLS_CERTS, self.certs], check=True)

    def machine(self, name, *arguments):
        end = 'client' if name == 'source' else 'server'
        machine = super().machine(name, *arguments, '-object',
                                  f'tls-creds-x509,id=tls,endpoint={end},dir={self.certs}/{end}')
        self.set(machine, tls_creds='tls', tls_hostname='localhost')
        return machine

    def new_peer(self, transport, **how):
        return TlsPeer(self.certs, transport, self.directory.name, **how)


class Source(Tls):
    def stuck(self, source, transport, **how):
        peer = self.new_peer(transport, **how)
        source.command('migrate', uri=peer.uri)
        self.assertTrue(peer.heard.wait(60))
        self.assertEqual(source.command('query-migrate')['status'], 'setup')
        return peer

    def silent(self, source, transport):
        return self.stuck(source, transport, shakes=0)

    def half(self, source, transport):
        return self.stuck(source, transport, shakes=0, half=True)

    def silent_channels(self, source, transport):
        if 'multifd' not in self.capabilities(source):
            return None
        return self.stuck(source, transport, shakes=2)

    def half_channels(self, source, transport):
        if 'multifd' not in self.capabilities(source):
            return None
        return self.stuck(source, transport, shakes=1, half=True)

    STATES = ('connecting', 'silent', 'half', 'silent_channels', 'half_channels', 'throttled', 'blocked',
              'pre_switchover', 'device')


class TlsCancel(Source):
    pass


class TlsYank(Source):
    pass


class TlsDeath(Source):
    pass


class TlsMainGone(Source):
    """The main channel's peer goes; multifd's channels stay in the midst of their handshakes."""

    STATES = ('silent_channels', 'half_channels')
    main_goes = control.MainGone.main_goes
    test_unix = control.MainGone.test_unix
    test_tcp = control.MainGone.test_tcp


def add_tests():
    for cls, act in ((TlsCancel, 'cancel'), (TlsYank, 'yank'), (TlsDeath, 'death')):
        for transport in control.TRANSPORTS:
            for method in ((), ('multifd',)):
                def test(self, transport=transport, method=method, act=act):
                    self.in_all_states(transport, method, getattr(self, act))
                setattr(cls, f'test_{transport}_{method[0] if method else "plain"}', test)


add_tests()


class Listening(Tls):
    """A destination, and clients that get so far with it."""

    def listen(self, *capabilities, **how):
        there = self.machine('there', '-incoming', 'defer')
        migrate.set_up(there, (*capabilities, 'events'))
        self.path = tempfile.mktemp(prefix='tls-', dir=self.directory.name)
        there.command('migrate-incoming', uri='unix:' + self.path, **how)
        return there

    def connect(self):
        s = socket.socket(socket.AF_UNIX)
        self.addCleanup(s.close)
        s.connect(self.path)                    # waits while the queue is full
        s.settimeout(60)
        return s

    def silent(self):
        return self.connect()

    def half(self):
        """The first half of a hello."""
        s = self.connect()
        into, out = ssl.MemoryBIO(), ssl.MemoryBIO()
        try:
            client_context(self.certs).wrap_bio(into, out).do_handshake()
        except ssl.SSLWantReadError:
            pass
        s.sendall(out.read()[:HALF])
        return s

    def answered(self):
        """A whole hello, and nothing after the answer."""
        s = self.connect()
        into, out = ssl.MemoryBIO(), ssl.MemoryBIO()
        try:
            client_context(self.certs).wrap_bio(into, out).do_handshake()
        except ssl.SSLWantReadError:
            pass
        s.sendall(out.read())
        self.assertTrue(s.recv(1 << 16))
        return s

    def shaken(self, data=b''):
        """Through with it."""
        s = client_context(self.certs).wrap_socket(self.connect())
        self.addCleanup(s.close)
        s.sendall(data)
        return s

    def assert_closed(self, s):
        """It has no more to say, and neither waits for more."""
        try:
            while s.recv(1 << 16):
                pass
        except (ConnectionError, ssl.SSLError):
            pass

    def yank(self, there):
        self.assertIn({'type': 'migration'}, there.command('query-yank'))
        there.command('yank', instances=[{'type': 'migration'}])

    def takes_another(self, there, *capabilities):
        self.assertEqual(there.command('query-migrate')['status'], 'setup')
        source = self.source(capabilities)
        migrate.run(source, there, 'unix:' + self.path, destination_capabilities=())
        self.assertEqual(there.quit(), 0)

    def loading(self, *capabilities, **how):
        there = self.listen(*capabilities, **how)
        main = self.shaken(HEADER)
        migrate.wait_status(there, ('active',))
        return there, main


class TlsDestination(Listening):
    """It listens; clients come and get stuck."""

    def stuck_clients(self):
        return [self.silent(), self.half(), self.answered()]

    def test_others_are_served(self):
        for capabilities in ((), ('multifd',)):
            with self.subTest(capabilities=capabilities):
                there = self.listen(*capabilities)
                clients = self.stuck_clients()
                self.assertEqual(there.command('migrate_cancel'), {})     # that is for sources
                self.takes_another(there, *capabilities)
                for s in clients:
                    self.assert_closed(s)

    def test_yank_in_the_handshake(self):
        for capabilities in ((), ('multifd',)):
            with self.subTest(capabilities=capabilities):
                there = self.listen(*capabilities)
                clients = self.stuck_clients()
                self.yank(there)
                for s in clients:
                    self.assert_closed(s)
                self.takes_another(there, *capabilities)

    def test_death_in_the_handshake(self):
        there = self.listen()
        for s in self.stuck_clients():
            s.close()
        self.takes_another(there)

    def test_quit_in_the_handshake(self):
        there = self.listen('multifd')
        clients = self.stuck_clients()
        self.assertEqual(there.quit(), 0)
        for s in clients:
            self.assert_closed(s)

    def test_yank_before_they_are_known(self):
        """Their handshakes are over, and they do not say what they are for."""
        there = self.listen('multifd')
        clients = [self.shaken(), self.shaken(b'QE'), self.shaken(MULTIFD_MAGIC)]
        self.yank(there)
        for s in clients:
            self.assert_closed(s)
        self.takes_another(there, 'multifd')

    def test_yank_while_loading(self):
        for capabilities in ((), ('multifd',)):
            with self.subTest(capabilities=capabilities):
                there, main = self.loading(*capabilities)
                others = [self.shaken(MULTIFD_MAGIC), self.half()] if capabilities else []
                there.qmp.wait_event(lambda e: e['event'] == 'MIGRATION'
                                     and e['data']['status'] == 'active')
                self.yank_and_go(there)
                for s in (main, *others):
                    self.assert_closed(s)
                self.assertEqual(there.wait(), 1)
                self.assertIn('load of migration failed', there.stderr())

    def yank_and_go(self, there):
        """It may end before it answers."""
        try:
            self.yank(there)
        except (OSError, QMPClosed):
            pass

    def test_yank_while_loading_and_stay(self):
        there, main = self.loading(exit_on_error=False)
        self.yank(there)
        info = migrate.wait_status(there, ('failed',))
        self.assertTrue(info['error-desc'])
        self.assert_closed(main)
        self.assertEqual(there.quit(), 0)

    def test_cancel_while_loading(self):
        """That is for sources."""
        there, main = self.loading()
        self.assertEqual(there.command('migrate_cancel'), {})
        self.assertEqual(there.command('query-migrate')['status'], 'active')
        self.assertEqual(select.select([main], [], [], 0)[0], [])
        self.assertEqual(there.quit(), 0)

    def test_main_dies_while_channels_are_awaited(self):
        """It is cut, or says good-bye; the channels stay, and say nothing."""
        for polite in (False, True):
            with self.subTest(polite=polite):
                there = self.listen('multifd', exit_on_error=False)
                main = self.shaken(HEADER)
                others = [self.shaken(MULTIFD_MAGIC), self.half()]
                migrate.wait_status(there, ('active',))
                if polite:
                    main.settimeout(0)
                    try:
                        main.unwrap()
                    except OSError:
                        pass
                main.close()
                info = migrate.wait_status(there, ('failed',), timeout=60)
                self.assertTrue(info['error-desc'])
                for s in others:
                    self.assert_closed(s)
                self.assertEqual(there.quit(), 0)

    def test_many_in_the_handshake(self):
        """More than are kept: the oldest make room, and a migration gets through."""
        for capabilities in ((), ('multifd',)):
            with self.subTest(capabilities=capabilities):
                there = self.listen(*capabilities)
                clients = [self.silent() if i % 2 else self.half() for i in range(310)]
                self.assert_closed(clients[0])
                self.takes_another(there, *capabilities)
                for s in clients:
                    self.assert_closed(s)
                    s.close()

    def test_short_and_gone(self):
        """Their handshakes are good, then they say too little, and hang up."""
        there = self.listen('multifd')
        for i in range(310):
            s = self.shaken(b'QEV'[:i % 4])
            if i % 2:
                s.shutdown(socket.SHUT_WR)
                self.assert_closed(s)
            s.close()
        self.takes_another(there, 'multifd')

    def test_another_protocol(self):
        there = self.listen('multifd')
        self.assert_closed(self.shaken(b'GET / HTTP/1.0\r\n\r\n'))
        self.takes_another(there, 'multifd')


class TlsKept(Listening):
    """The parameters change in the middle: a migration goes on with what it began with."""

    def clear(self, data=b''):
        s = self.connect()
        s.sendall(data)
        return s

    def channels(self, there, count):
        deadline = time.monotonic() + 60
        while count != sum(t['name'].startswith('mig/dst/recv')
                           for t in there.command('query-migrationthreads')):
            self.assertLess(time.monotonic(), deadline, f'{count} channels')
            time.sleep(0.01)

    def test_destination_with(self):
        for change in ({'tls_creds': ''}, {'tls_creds': 'other'}, {'tls_authz': 'nobody'}):
            with self.subTest(change):
                there, _ = self.loading('multifd')
                self.set(there, **change)
                first = self.shaken(hello(0))
                self.channels(there, 1)
                self.assert_closed(self.clear(hello(1)))        # that is no hello of TLS
                second = self.shaken(hello(1))
                self.channels(there, 2)
                for s in (first, second):
                    self.assertEqual(select.select([s], [], [], 0)[0], [])
                self.assertEqual(there.quit(), 0)

    def test_destination_without(self):
        there = self.listen('multifd')
        self.set(there, tls_creds='')
        main = self.clear(HEADER)
        migrate.wait_status(there, ('active',))
        self.set(there, tls_creds='tls')
        channel = self.clear(hello(0))
        self.channels(there, 1)
        for s in (main, channel):
            self.assertEqual(select.select([s], [], [], 0)[0], [])
        self.assertEqual(there.quit(), 0)

    def test_destination_too_early(self):
        """Who came before there were credentials is not let in without."""
        there = self.listen('multifd')
        self.set(there, tls_creds='')
        early = self.clear()
        self.set(there, tls_creds='tls')
        early.sendall(HEADER)
        self.assert_closed(early)
        self.takes_another(there, 'multifd')

    def pump(self, a, b, first):
        try:
            while data := a.recv(1 << 16):
                first.setdefault(a, data[:2])
                b.sendall(data)
            b.shutdown(socket.SHUT_WR)
        except OSError:
            pass

    def test_source(self):
        """Somebody between the two: the other channels come through when all has been changed."""
        for change in ({'tls_creds': ''}, {'tls_creds': 'nothing'}, {'tls_hostname': 'elsewhere'}):
            with self.subTest(change):
                there = self.listen('multifd')
                source = self.source(('multifd',))
                self.set(source, max_bandwidth=0)
                path = tempfile.mktemp(prefix='between-', dir=self.directory.name)
                listener = socket.socket(socket.AF_UNIX)
                self.addCleanup(listener.close)
                listener.bind(path)
                listener.listen(8)
                listener.settimeout(60)
                source.command('migrate', uri='unix:' + path)
                first, threads, ours = {}, [], []
                for number in range(3):
                    if number == 1:             # the next one waits for us
                        self.assertTrue(select.select([listener], [], [], 60)[0])
                        self.set(source, **change)
                    near, far = listener.accept()[0], self.connect()
                    far.settimeout(None)
                    self.addCleanup(near.close)
                    ours.append(near)
                    for a, b in ((near, far), (far, near)):
                        threads.append(threading.Thread(target=self.pump, args=(a, b, first),
                                                        daemon=True))
                        threads[-1].start()
                self.assertEqual(migrate.wait_status(source, timeout=60)['status'], 'completed')
                migrate.wait_status(there, timeout=60)
                self.assertEqual([first[s] for s in ours], [b'\x16\x03'] * 3)
                self.assertEqual(there.quit(), 0)
                source.quit()
                for thread in threads:
                    thread.join()


if __name__ == '__main__':
    tap.main()
