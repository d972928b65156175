#!/usr/bin/python3
# SPDX-License-Identifier: GPL-2.0-or-later
"""Multifd streams that lie: the destination ends with status 1 and a reason that names the channel.

A good migration is recorded through sockets of our own. Each test changes the record (a field, a
packet, the order, an end) and plays it to a destination of its own, which must neither crash nor
hang nor take it for a machine. What changes nothing that matters is taken, with the same memory.
"""

import os
import re
import shutil
import socket
import ssl
import struct
import subprocess
import sys
import tempfile
import threading
import time
import unittest

HERE = os.path.dirname(os.path.abspath(__file__))
TOP = os.path.join(HERE, '..', '..')
sys.path.insert(0, os.path.join(TOP, 'scripts'))

from vmtools import migrate, programs, tap                      # noqa: E402
from vmtools.machine import Machine                             # noqa: E402

BINARY = os.environ.get('QTEST_QEMU_BINARY') or programs.find(programs.GODWIT)
MAKE_TLS_CERTS = (os.environ.get('MAKE_TLS_CERTS')
                  or os.path.join(TOP, 'build', 'tests', 'unit', 'make-tls-certs'))
RAM = os.path.join(HERE, '..', 'data', 'ram-2m.bin')
RAM_SIZE = 2 << 20
PAGE = 4096
MAGIC = 0x11223344
INIT, HEADER = 64, 320 + 128 * 8
# Members of a packet: offset and format
FIELDS = {'magic': (0, '>I'), 'version': (4, '>I'), 'flags': (8, '>I'), 'alloc': (12, '>I'),
          'normal': (16, '>I'), 'size': (20, '>I'), 'number': (24, '>Q'), 'zero': (32, '>I')}
BLOCK, OFFSETS = 64, 320
SYNC = 1
FLUSH, EOS = struct.pack('>Q', 0x200), struct.pack('>Q', 0x10)
BLOCK_LIST = struct.pack('>Q', RAM_SIZE | 4)
TIMEOUT = 60.0


class Packet:
    def __init__(self, header, payload=b''):
        self.header = bytearray(header)
        self.payload = bytes(payload)

    def __getattr__(self, name):
        at, form = FIELDS[name]
        return struct.unpack_from(form, self.header, at)[0]

    def set(self, name, value):
        struct.pack_into(FIELDS[name][1], self.header, FIELDS[name][0], value)

    def set_offset(self, index, value):
        struct.pack_into('>Q', self.header, OFFSETS + 8 * index, value)

    def data(self):
        return bytes(self.header) + self.payload

    def copy(self):
        return Packet(self.header, self.payload)


class Channel:
    """What one multifd channel carries: the hello, the packets, and what follows them."""

    def __init__(self, data):
        self.hello = bytearray(data[:INIT])
        self.packets = []
        self.tail = b''
        at = INIT
        while at < len(data):
            packet = Packet(data[at:at + HEADER])
            at += HEADER
            if packet.normal:
                packet.payload = bytes(data[at:at + packet.size])
                at += packet.size
            self.packets.append(packet)

    def pages(self):
        """The first packet with pages that have to be written."""
        return next(p for p in self.packets if p.normal)

    def syncs(self):
        return [i for i, p in enumerate(self.packets) if p.flags & SYNC]

    def data(self):
        return bytes(self.hello) + b''.join(p.data() for p in self.packets) + self.tail


class Record:
    """A migration: the main stream, and two channels. Changed freely by a test."""

    def __init__(self, main, channels):
        self.main = bytearray(main)
        self.channels = channels
        self.mute = set()       # channels that stay open when all has been said
        self.order = None       # who connects when; default: main first


def settings(compression):
    return {'multifd-channels': 2, 'multifd-compression': compression}


def record(compression):
    """Streams as a source sends them, sorted: main, channel 0, channel 1."""
    with tempfile.TemporaryDirectory(prefix='godwit-') as directory:
        ram = os.path.join(directory, 'ram')
        shutil.copy(RAM, ram)
        path = os.path.join(directory, 'migration')
        listener = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
        listener.bind(path)
        listener.listen(8)
        listener.settimeout(TIMEOUT)
        streams = []

        def read(peer):
            data = bytearray()
            while chunk := peer.recv(1 << 16):
                data += chunk
            streams.append(data)

        with listener, Machine(BINARY, [
                '-machine', 'none,memory-backend=ram', '-m', '2M', '-object',
                f'memory-backend-file,id=ram,mem-path={ram},size=2M,share=on'],
                'source', directory) as source:
            migrate.set_up(source, ['multifd'], settings(compression))
            source.command('migrate', uri='unix:' + path)
            threads = []
            for _ in range(3):
                peer = listener.accept()[0]
                peer.settimeout(TIMEOUT)
                threads.append(threading.Thread(target=read, args=(peer,)))
                threads[-1].start()
            migrate.wait_status(source, wanted=['completed'])
            for thread in threads:
                thread.join()
    main = [s for s in streams if s[:4] == b'QEVM']
    others = sorted((Channel(s) for s in streams if s[:4] != b'QEVM'), key=lambda c: c.hello[24])
    return main[0], others


class Played:
    """What became of a destination that heard a record."""

    def __init__(self, status, text, same):
        self.status, self.text, self.same = status, text, same


def end(sock):
    """Nothing more is written."""
    if isinstance(sock, ssl.SSLSocket):
        sock.settimeout(0)
        try:
            sock.unwrap()       # says good-bye, and does not wait for an answer
        except OSError:
            pass
    try:
        sock.shutdown(socket.SHUT_WR)
    except OSError:
        pass


class Case(unittest.TestCase):
    compression = 'none'
    tls = False

    @classmethod
    def setUpClass(cls):
        # Which channel carries what, chance decides: both shall have pages that are written.
        for _ in range(50):
            cls.main, cls.recorded = record(cls.compression)
            if all(any(p.normal for p in c.packets) for c in cls.recorded):
                return
        raise AssertionError('one channel carries all the pages')

    def record(self):
        return Record(self.main, [Channel(c.data()) for c in self.recorded])

    def send(self, sock, data, others):
        """The main channel's last mark is written when all of the others have been."""
        at = max(data.rfind(FLUSH + EOS), 0) if others else 0
        try:
            sock.sendall(data[:at])
            for thread in others:
                thread.join(2)
            sock.sendall(data[at:])
        except OSError:
            pass                # it has heard enough

    def play(self, rec, capabilities=('multifd',), channels=2, exit_on_error=True, before=None):
        """Plays the record; answers when the destination has come to an end. `before`: a function that is
        given the path of the listening socket first."""
        directory = tempfile.TemporaryDirectory(prefix='godwit-')
        self.addCleanup(directory.cleanup)
        arguments = ['-machine', 'none', '-m', '2M', '-S', '-incoming', 'defer']
        if self.tls:
            certs = os.path.join(directory.name, 'certs')
            subprocess.run([MAKE_TLS_CERTS, certs], check=True)
            arguments += ['-object', 'tls-creds-x509,id=tls,endpoint=server,verify-peer=off,'
                          f'dir={certs}/server']
        there = Machine(BINARY, arguments, 'destination', directory.name)
        self.addCleanup(there.end)
        parameters = {**settings(self.compression), 'multifd-channels': channels} \
            if capabilities else {}
        if self.tls:
            parameters['tls-creds'] = 'tls'
        migrate.set_up(there, capabilities, parameters)
        path = os.path.join(directory.name, 'migration')
        there.command('migrate-incoming', uri='unix:' + path,
                      **({} if exit_on_error else {'exit-on-error': False}))
        if before:
            before(path)
        sources = {'main': bytes(rec.main), **{i: c.data() for i, c in enumerate(rec.channels)}}
        sockets, threads = {}, {}
        for who in rec.order or sources:
            sock = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
            sock.settimeout(TIMEOUT)
            self.addCleanup(sock.close)
            try:
                sock.connect(path)
                if self.tls:
                    context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
                    context.check_hostname, context.verify_mode = False, ssl.CERT_NONE
                    sock = context.wrap_socket(sock)
                    self.addCleanup(sock.close)
            except OSError:
                continue        # it listens no more
            sockets[who] = sock
        # A source connects all that it has first.
        for who in sorted(sockets, key=lambda who: who == 'main'):
            thread = threading.Thread(
                target=self.send, args=(sockets[who], sources[who],
                                        [*threads.values()] if who == 'main' else []))
            thread.start()
            threads[who] = thread
        result = self.outcome(there, threads, sockets, rec)
        for sock in sockets.values():
            sock.close()
        for thread in threads.values():
            thread.join()
        return result

    def outcome(self, there, threads, sockets, rec):
        deadline = time.monotonic() + TIMEOUT
        closed = set()
        while time.monotonic() < deadline:
            for who, thread in threads.items():
                if not thread.is_alive() and who not in closed | rec.mute:
                    closed.add(who)
                    end(sockets[who])
            if not there.alive():
                return Played(there.wait(), there.stderr(), False)
            try:
                info = there.command('query-migrate')
            except Exception:   # it is ending
                return Played(there.wait(), there.stderr(), False)
            if info.get('status') == 'completed':
                with open(RAM, 'rb') as f:
                    return Played(None, there.stderr(),
                                  there.read_memory(0, RAM_SIZE) == f.read())
            if info.get('status') == 'failed':
                return Played('failed', info.get('error-desc', ''), False)
            time.sleep(0.005)
        self.fail(f'the destination hangs: {info}; {there.stderr()}')

    def refused(self, rec, *patterns, **how):
        result = self.play(rec, **how)
        self.assertEqual(result.status, 1, result.text or 'the stream was taken')
        for pattern in patterns:
            self.assertTrue(re.search(pattern, result.text),
                            f'{result.text!r} does not say {pattern!r}')
        return result

    def taken(self, rec, **how):
        result = self.play(rec, **how)
        self.assertIsNone(result.status, result.text)
        self.assertTrue(result.same, 'RAM differs')
        return result


class Hello(Case):
    def test_good(self):
        self.taken(self.record())

    def test_any_order(self):
        rec = self.record()
        rec.order = [1, 0, 'main']
        self.taken(rec)

    def test_version(self):
        rec = self.record()
        rec.channels[0].hello[7] = 2
        self.refused(rec, 'multifd channel', 'version 2, expected 1')

    def test_magic(self):
        rec = self.record()
        rec.channels[1].hello[0] = 0x55     # now it looks like a main channel
        self.refused(rec, 'channel|Not a migration stream: it begins with 0x55223344')

    def test_uuid(self):
        rec = self.record()
        rec.channels[1].hello[8] = 1
        self.refused(rec, 'channel 1 is of the guest with UUID 01000000')

    def test_number(self):
        for number in (2, 255):
            with self.subTest(number):
                rec = self.record()
                rec.channels[1].hello[24] = number
                self.refused(rec, f'it is number {number}, but only 2 channels')

    def test_number_twice(self):
        rec = self.record()
        rec.channels[1].hello[24] = 0
        self.refused(rec, 'number 0, which is there already')

    def test_cut(self):
        for length in (4, 63):
            with self.subTest(length):
                rec = self.record()
                channel = rec.channels[0]
                channel.hello, channel.packets = channel.hello[:length], []
                self.refused(rec, 'multifd channel that has not said its number')

    def test_before_the_main_channel(self):
        rec = self.record()
        rec.channels[0].hello[7] = 2
        rec.order = [0]                     # and nobody else comes
        self.refused(rec, 'version 2, expected 1')

    def test_not_fatal(self):
        rec = self.record()
        rec.channels[0].hello[7] = 2
        result = self.play(rec, exit_on_error=False)
        self.assertEqual(result.status, 'failed')
        self.assertIn('version 2, expected 1', result.text)


class Strangers(Case):
    """Whoever else comes to the listening socket does not keep the migration out."""

    MANY = 310                  # more than it keeps waiting

    def come(self, path, data):
        s = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
        self.addCleanup(s.close)
        s.connect(path)         # waits while the queue is full
        s.settimeout(TIMEOUT)
        s.sendall(data)
        return s

    def closed(self, s):
        try:
            return s.recv(1) == b''
        except ConnectionError:
            return True

    def test_another_protocol(self):
        for data in (b'GET / HTTP/1.0\r\n\r\n', b'QEVN', b'\x16\x03\x01\x02\0\1\0', bytes(64)):
            with self.subTest(data):
                result = self.taken(self.record(),
                                    before=lambda path: self.closed(self.come(path, data)))
                self.assertIn(f'it begins with 0x{data[:4].hex()}, as no channel of a migration',
                              result.text)

    def test_short_and_gone(self):
        def before(path):
            last = None
            for i in range(self.MANY):
                last = self.come(path, b'QEV'[:i % 4])
                if i < self.MANY - 1:
                    last.close()
            last.shutdown(socket.SHUT_WR)       # it can still hear
            self.assertTrue(self.closed(last))
        result = self.taken(self.record(), before=before)
        self.assertIn('closed it before it said what it is for', result.text)

    def test_silent(self):
        strangers = []

        def before(path):
            strangers.extend(self.come(path, b'QEV'[:i % 4]) for i in range(self.MANY))
            self.assertTrue(self.closed(strangers[self.MANY - 300 - 1]))    # the last one is in
        result = self.taken(self.record(), before=before)
        self.assertIn('refused: it says nothing, as ', result.text)
        self.assertTrue(all(self.closed(s) for s in strangers))     # when all is over


class Count(Case):
    """Channels that there are not, or too many."""

    def test_no_capability(self):
        self.refused(self.record(), "capability 'multifd'", capabilities=())

    def test_one_expected(self):
        self.refused(self.record(), 'another multifd channel comes, but only 1 are expected|'
                     'number 1, but only 1 channels', channels=1)

    def test_more_expected(self):
        self.refused(self.record(), 'multifd channels 2, 3 do not come: 2 have come, 4 are expected',
                     channels=4)

    def test_one_missing(self):
        rec = self.record()
        rec.order = ['main', 1]
        self.refused(rec, 'multifd channels 0 do not come')

    def test_one_dies(self):
        rec = self.record()
        rec.channels[1].packets = []
        self.refused(rec, 'multifd channel 1 ended before the main stream did')

    def test_one_is_silent(self):
        rec = self.record()
        del rec.channels[1].packets[rec.channels[1].syncs()[-1]:]
        rec.mute = {1}
        self.refused(rec, 'multifd channel 1 says nothing any more')

    def test_all_are_silent(self):
        rec = self.record()
        for channel in rec.channels:
            channel.packets = []
        rec.mute = {0, 1}
        self.refused(rec, 'multifd channel [01] says nothing any more')

    def test_all_end_and_main_is_silent(self):
        rec = self.record()
        del rec.main[8:]
        for channel in rec.channels:
            channel.packets = []
        rec.mute = {'main'}
        self.refused(rec, 'all multifd channels have ended, and the main channel says nothing')

    def test_more_come(self):
        rec = self.record()
        rec.channels.append(Channel(rec.channels[0].data()))
        rec.channels[2].packets = []
        self.refused(rec, 'another multifd channel comes|number 0, which is there already')


class Header(Case):
    """Every field of a packet with pages."""

    def check(self, change, *patterns):
        rec = self.record()
        change(rec.channels[0].pages())
        self.refused(rec, 'multifd channel 0, behind packet ', *patterns)

    def check_field(self, name, value, *patterns):
        self.check(lambda p: p.set(name, value), *patterns)

    def test_magic(self):
        self.check_field('magic', 0x51454d55, 'begins with 0x51454d55')

    def test_version(self):
        self.check_field('version', 7, 'has version 7, expected 1')

    def test_room(self):
        self.check_field('alloc', 129, 'room for 129')

    def test_pages(self):
        for value in (129, 0xffffffff, 0x80000000):
            with self.subTest(value):
                self.check_field('normal', value, r'has \d+ pages')
                self.check_field('zero', value, r'has \d+ pages')

    def test_size(self):
        for value in (0, 1, 0x7fffffff, 0xffffffff):
            with self.subTest(value):
                self.check_field('size', value, f'{value} bytes for')

    def test_fewer_pages_than_payload(self):
        self.check(lambda p: p.set('normal', p.normal - 1), 'bytes for')

    def test_more_pages_than_payload(self):
        self.check(lambda p: (p.set('normal', p.normal + 1), p.set('zero', 0)), 'bytes for')

    def test_compression(self):
        for method in (1, 2, 3, 31):
            with self.subTest(method):
                self.check_field('flags', method << 1, f'compressed by method {method}, expected 0')

    def test_block(self):
        def change(packet):
            packet.header[BLOCK:BLOCK + 4] = b'rom\0'
        self.check(change, "block 'rom' does not exist")

    def test_block_without_end(self):
        def change(packet):
            packet.header[BLOCK:BLOCK + 256] = b'x' * 256
        self.check(change, 'block name without an end')

    def test_offset(self):
        for value in (RAM_SIZE, RAM_SIZE + PAGE, 1 << 63, (1 << 64) - PAGE):
            with self.subTest(value):
                self.check(lambda p: p.set_offset(0, value), "outside block 'ram'", f'{value:#x}')
                self.check(lambda p: p.set_offset(p.normal + p.zero - 1, value),
                           "outside block 'ram'")

    def test_offset_of_no_page(self):
        self.check(lambda p: p.set_offset(0, 0x1001), 'is not that of a page')

    def test_number(self):
        """Only for people."""
        rec = self.record()
        rec.channels[0].pages().set('number', (1 << 64) - 1)
        self.taken(rec)


class Order(Case):
    """Packets that are missing, repeated, cut off, or where they should not be."""

    def test_cut(self):
        for keep in (1, HEADER - 1, HEADER, HEADER + 1, HEADER + 5000):
            with self.subTest(keep):
                rec = self.record()
                channel = rec.channels[0]
                at = channel.packets.index(channel.pages())
                channel.tail = channel.packets[at].data()[:keep]
                del channel.packets[at:]
                self.refused(rec, 'multifd channel 0')

    def test_payload_missing(self):
        rec = self.record()
        rec.channels[0].pages().payload = b''
        self.refused(rec, 'multifd channel 0')

    def test_payload_longer(self):
        rec = self.record()
        rec.channels[0].pages().payload += bytes(PAGE)
        self.refused(rec, 'multifd channel 0', 'begins with 0x00000000')

    def test_repeated(self):
        rec = self.record()
        channel = rec.channels[0]
        at = channel.packets.index(channel.pages())
        channel.packets.insert(at, channel.packets[at].copy())
        self.taken(rec)

    def test_pages_too_early(self):
        rec = self.record()
        channel = rec.channels[0]
        channel.packets.insert(0, channel.pages().copy())
        self.refused(rec, 'multifd channel 0', 'before the main stream has announced them')

    def test_sync_missing(self):
        rec = self.record()
        del rec.channels[0].packets[0]
        self.refused(rec, 'multifd channel 0', 'before the main stream has announced them')

    def test_last_sync_missing(self):
        rec = self.record()
        del rec.channels[0].packets[rec.channels[0].syncs()[-1]]
        self.refused(rec, 'multifd channel 0 ended before')

    def test_sync_too_often(self):
        for where in (0, -1):
            with self.subTest(where):
                rec = self.record()
                channel = rec.channels[0]
                sync = channel.packets[channel.syncs()[0]]
                for _ in range(4):
                    channel.packets.insert(channel.syncs()[where], sync.copy())
                self.refused(rec, 'multifd channel 0', 'more than the main stream has waited for')

    def test_pages_after_the_end(self):
        rec = self.record()
        for channel in rec.channels:
            channel.packets += [channel.pages().copy() for _ in range(20)]
        self.refused(rec, 'multifd channel [01]')

    def test_noise_after_the_end(self):
        rec = self.record()
        rec.channels[1].tail = b'\xaa' * 100000
        self.refused(rec, 'multifd channel 1')

    def test_mark_missing(self):
        rec = self.record()
        at = rec.main.rindex(FLUSH + EOS)
        del rec.main[at:at + 8]
        self.refused(rec, 'multifd channel [01]', 'more than the main stream has waited for')

    def test_mark_too_often(self):
        rec = self.record()
        at = rec.main.rindex(FLUSH + EOS)
        rec.main[at:at] = FLUSH
        self.refused(rec, 'multifd channel [01] ended before')

    def test_mark_before_the_blocks(self):
        rec = self.record()
        at = rec.main.index(BLOCK_LIST)
        rec.main[at:at] = FLUSH
        self.refused(rec, 'before the list of blocks')

    def test_page_before_the_blocks(self):
        rec = self.record()
        at = rec.main.index(BLOCK_LIST)
        rec.main[at:at] = struct.pack('>Q', 2) + b'\3ram\0'
        self.refused(rec, 'before the list of blocks')

    def test_main_ends(self):
        rec = self.record()
        for at in (rec.main.index(FLUSH + EOS), rec.main.index(FLUSH + EOS) + 8, rec.main.rindex(FLUSH + EOS) + 8):
            with self.subTest(at):
                rec = self.record()
                del rec.main[at:]
                self.refused(rec, 'load of migration failed')


class Zlib(Case):
    """Payloads that no compressor made."""
    compression = 'zlib'

    def test_good(self):
        self.taken(self.record())

    def change(self, change):
        rec = self.record()
        packet = rec.channels[0].pages()
        payload = bytearray(packet.payload)
        change(packet, payload)
        packet.payload = bytes(payload)
        return rec

    def check(self, change, *patterns):
        self.refused(self.change(change), 'multifd channel 0, behind packet ', *patterns)

    def test_method(self):
        self.check(lambda p, _: p.set('flags', 0), 'compressed by method 0, expected')

    def test_damaged(self):
        def change(_, payload):
            payload[0:64] = bytes(x ^ 0xff for x in payload[0:64])
        self.check(change, f"block 'ram': {self.compression}:")

    def test_cut(self):
        def change(packet, payload):
            del payload[len(payload) // 2:]
            packet.set('size', len(payload))
        self.check(change, 'to less than its pages')

    def test_longer(self):
        def change(packet, payload):
            payload += b'\x5a' * 100
            packet.set('size', len(payload))
        self.check(change, "block 'ram'")

    def test_more_pages(self):
        self.check(lambda p, _: (p.set('normal', p.normal + 1), p.set('zero', 0)),
                   'to less than its pages')

    def test_fewer_pages(self):
        self.check(lambda p, _: p.set('normal', p.normal - 1), 'to more than its pages')

    def test_repeated(self):
        """A packet that goes on from another one: whatever it makes, it is no crash."""
        rec = self.record()
        channel = rec.channels[0]
        at = channel.packets.index(channel.pages())
        channel.packets.insert(at, channel.packets[at].copy())
        result = self.play(rec)
        if result.status is not None:
            self.assertEqual(result.status, 1)
            self.assertIn('multifd channel 0', result.text)

    def test_bytes(self):
        """Each of many places changed: what is refused says so."""
        size = len(self.record().channels[0].pages().payload)
        for at in range(0, size, max(1, size // 12)):
            with self.subTest(at):
                def change(_, payload):
                    payload[at] ^= 0x24
                result = self.play(self.change(change))
                if result.status is not None:
                    self.assertEqual(result.status, 1)
                    self.assertIn('multifd channel 0', result.text)


class Zstd(Zlib):
    compression = 'zstd'

    def test_window(self):
        """A frame that wants more memory than any level needs."""
        def change(packet, payload):
            payload[:] = struct.pack('<I', 0xFD2FB528) + bytes([0, (31 - 10) << 3]) + b'\1\0\0'
            packet.set('size', len(payload))
        self.check(change, 'zstd: ')


class TlsSequence(Order):
    tls = True

    def test_good(self):
        self.taken(self.record())


class TlsNumbers(Count):
    tls = True


if __name__ == '__main__':
    tap.main()
