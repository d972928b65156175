#!/usr/bin/env python3
# SPDX-License-Identifier: GPL-2.0-or-later
"""Disks: the ATA controller driven by its ports through qtest, also across a migration and by nonsense; images and what
the options make of them; what QMP and HMP say.

QTEST_QEMU_BINARY names the emulator.
"""

import json
import os
import random
import socket
import struct
import subprocess
import sys
import tempfile
import time
import unittest

HERE = os.path.dirname(os.path.abspath(__file__))
sys.path.insert(0, os.path.join(HERE, '..', '..', 'scripts'))

from vmtools import tap                                                         # noqa: E402

BINARY = os.environ.get('QTEST_QEMU_BINARY', 'build/godwit-system-x86_64')
SECTOR = 512
SECTORS = 2048
READY, DRQ, ERR, BUSY, FAULT = 0x50, 0x08, 0x01, 0x80, 0x20
NO_SECTOR, ABORT = 0x10, 0x04
LBA = 0xe0


class Machine:
    """An emulator without CPUs at work, its ports, and its QMP monitor."""

    count = 0

    def __init__(self, directory, *arguments, machine='pc'):
        Machine.count += 1
        paths = [os.path.join(directory, f'{kind}-{Machine.count}') for kind in ('qtest', 'qmp')]
        listeners = [socket.socket(socket.AF_UNIX) for _ in paths]
        for path, listener in zip(paths, listeners):
            listener.bind(path)
            listener.listen()
            listener.settimeout(20)
        self.process = subprocess.Popen(
            [BINARY, '-M', machine, '-accel', 'qtest', '-m', '16M', '-nodefaults', '-display', 'none',
             '-qtest', f'unix:{paths[0]}', '-qtest-log', '/dev/null', '-qmp', f'unix:{paths[1]}', *arguments],
            stdin=subprocess.DEVNULL, stdout=subprocess.DEVNULL, stderr=subprocess.PIPE, text=True)
        self.files = []
        for listener in listeners:
            with listener:
                connection = listener.accept()[0]
            connection.settimeout(20)
            self.files.append((connection.makefile('r'), connection.makefile('w'), connection))
        self.files[1][0].readline()
        self.qmp('qmp_capabilities')

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self.process.terminate()
        self.process.wait(20)
        for reader, writer, connection in self.files:
            reader.close()
            try:
                writer.close()
            except OSError:
                pass
            connection.close()
        self.process.stderr.close()

    def ask(self, line):
        reader, writer, _ = self.files[0]
        writer.write(line + '\n')
        writer.flush()
        words = reader.readline().split()
        assert words and words[0] == 'OK', (line, words)
        return int(words[1], 16) if len(words) > 1 else None

    def qmp(self, command, **arguments):
        reader, writer, _ = self.files[1]
        writer.write(json.dumps({'execute': command, 'arguments': arguments}) + '\n')
        writer.flush()
        while True:
            reply = json.loads(reader.readline())
            if 'event' not in reply:
                return reply.get('return', reply.get('error'))

    def hmp(self, line):
        return self.qmp('human-monitor-command', **{'command-line': line})

    def migrate(self, path):
        """To a file; the machine stays behind."""
        self.qmp('migrate', uri=f'file:{path}')
        deadline = time.monotonic() + 60
        while (status := self.qmp('query-migrate').get('status')) not in ('completed', 'failed') \
                and time.monotonic() < deadline:
            time.sleep(0.005)
        assert status == 'completed', self.qmp('query-migrate')

    def inb(self, port):
        return self.ask(f'inb {port:#x}')

    def outb(self, port, value):
        self.ask(f'outb {port:#x} {value:#x}')

    def inw(self, port=0x1f0):
        return self.ask(f'inw {port:#x}')

    def outw(self, value, port=0x1f0):
        self.ask(f'outw {port:#x} {value:#x}')

    # ---- the disk ----

    def command(self, command, lba=0, count=1, select=LBA, base=0x1f0):
        self.outb(base + 6, select | (lba >> 24 & 0xf))
        for register, value in ((2, count), (3, lba), (4, lba >> 8), (5, lba >> 16)):
            self.outb(base + register, value & 0xff)
        self.outb(base + 7, command)
        return self.inb(base + 7)

    def data_in(self, size=SECTOR):
        return b''.join(struct.pack('<H', self.inw()) for _ in range(size // 2))

    def data_out(self, data):
        for (word,) in struct.iter_unpack('<H', data):
            self.outw(word)

    def forget_interrupts(self):
        """Set up the second PIC anew: edges count from now on."""
        self.outb(0xa0, 0x11)
        for value in (0x70, 0x02, 0x01):
            self.outb(0xa1, value)

    def interrupt(self):
        """Whether line 14 has risen, as the second PIC has it."""
        self.outb(0xa0, 0x0a)
        return bool(self.inb(0xa0) & 0x40)


class Disks(unittest.TestCase):
    def setUp(self):
        self.temporary = tempfile.TemporaryDirectory()
        self.addCleanup(self.temporary.cleanup)
        self.directory = self.temporary.name
        self.image = os.path.join(self.directory, 'disk')
        self.content = bytearray(random.Random(1).randbytes(SECTORS * SECTOR))
        with open(self.image, 'wb') as f:
            f.write(self.content)

    def drive(self, options='', device=''):
        return ['-drive', f'if=none,id=d0,file={self.image},format=raw{options}', '-device', f'ide-hd,drive=d0{device}']

    def start(self, *arguments, options='', device='', machine='pc'):
        return Machine(self.directory, *self.drive(options, device), *arguments, machine=machine)

    def sector(self, n):
        with open(self.image, 'rb') as f:
            f.seek(n * SECTOR)
            return f.read(SECTOR)

    def test_identify(self):
        with self.start(device=',bus=ide.0,serial=abc,model=A disk,cyls=32,heads=4,secs=16') as m:
            self.assertEqual(m.command(0xec), READY | DRQ)
            words = struct.unpack('<256H', m.data_in())
            self.assertEqual(m.inb(0x1f7), READY)
            self.assertEqual((words[1], words[3], words[6]), (32, 4, 16))
            self.assertEqual(words[60] | words[61] << 16, SECTORS)
            self.assertEqual(words[100] | words[101] << 16, SECTORS)
            text = b''.join(struct.pack('>H', w) for w in words[10:20]).decode().rstrip()
            self.assertEqual(text, 'abc')

    def test_read(self):
        for machine in ('pc', 'q35'):
            with self.subTest(machine), self.start(device=',bus=ide.0', machine=machine) as m:
                for lba, count in ((0, 1), (5, 3), (SECTORS - 1, 1)):
                    self.assertEqual(m.command(0x20, lba, count), READY | DRQ)
                    self.assertEqual(m.data_in(count * SECTOR), self.content[lba * SECTOR:(lba + count) * SECTOR])
                    self.assertEqual(m.inb(0x1f7), READY)

    def test_read_chs(self):
        with self.start(device=',bus=ide.0,cyls=32,heads=4,secs=16') as m:
            # cylinder 2, head 3, sector 5
            self.assertEqual(m.command(0x20, 2 << 8 | 5, 1, select=0xa3), READY | DRQ)
            lba = (2 * 4 + 3) * 16 + 4
            self.assertEqual(m.data_in(), self.content[lba * SECTOR:(lba + 1) * SECTOR])
            self.assertEqual(m.command(0x20, 0, 1, select=0xa0), READY | ERR)  # there is no sector 0
            self.assertEqual(m.inb(0x1f1), NO_SECTOR)

    def test_read_48_bits(self):
        with self.start(device=',bus=ide.0') as m:
            m.outb(0x1f6, LBA)
            for register, value in ((2, 0), (3, 0), (4, 0), (5, 0), (2, 1), (3, 7), (4, 1), (5, 0)):
                m.outb(0x1f0 + register, value)
            m.outb(0x1f7, 0x24)
            self.assertEqual(m.data_in(), self.content[0x107 * SECTOR:0x108 * SECTOR])

    def test_multiple(self):
        with self.start(device=',bus=ide.0') as m:
            self.assertEqual(m.command(0xc4, 0, 4), READY | ERR)  # nobody said how many
            self.assertEqual(m.command(0xc6, 0, 5), READY | ERR)
            self.assertEqual(m.command(0xc6, 0, 8), READY)
            self.assertEqual(m.command(0xc4, 3, 11), READY | DRQ)
            self.assertEqual(m.data_in(11 * SECTOR), self.content[3 * SECTOR:14 * SECTOR])
            data = random.Random(2).randbytes(11 * SECTOR)
            m.command(0xc5, 100, 11)
            m.data_out(data)
            self.assertEqual(m.inb(0x1f7), READY)
            self.assertEqual(b''.join(self.sector(100 + i) for i in range(11)), data)

    def test_write(self):
        with self.start(device=',bus=ide.0') as m:
            data = random.Random(3).randbytes(2 * SECTOR)
            self.assertEqual(m.command(0x30, 17, 2), READY | DRQ)
            m.data_out(data)
            self.assertEqual(m.inb(0x1f7), READY)
            self.assertEqual(m.command(0xe7), READY)
            self.assertEqual(self.sector(17) + self.sector(18), data)
            self.assertEqual(self.sector(16), self.content[16 * SECTOR:17 * SECTOR])
            self.assertEqual(self.sector(19), self.content[19 * SECTOR:20 * SECTOR])

    def test_beyond_the_end(self):
        with self.start(device=',bus=ide.0') as m:
            for command in (0x20, 0x30):
                self.assertEqual(m.command(command, SECTORS), READY | ERR)
                self.assertEqual(m.inb(0x1f1), NO_SECTOR)
            # The second one is not there: its number is told.
            m.command(0x20, SECTORS - 1, 2)
            m.data_in()
            self.assertEqual(m.inb(0x1f7), READY | ERR)
            self.assertEqual(m.inb(0x1f3) | m.inb(0x1f4) << 8, SECTORS)
        self.assertEqual(os.path.getsize(self.image), SECTORS * SECTOR)

    def test_odd_size(self):
        with open(self.image, 'wb') as f:
            f.write(b'x' * 700)
        with self.start(device=',bus=ide.0') as m:
            m.command(0x20, 1)
            self.assertEqual(m.data_in(), b'x' * 188 + bytes(324))
            self.assertEqual(m.command(0x20, 2), READY | ERR)

    def test_interrupt(self):
        with self.start(device=',bus=ide.0') as m:
            m.forget_interrupts()
            self.assertFalse(m.interrupt())
            m.outb(0x1f6, LBA)
            m.outb(0x1f7, 0xec)
            self.assertTrue(m.interrupt())
            # Only the first of the two status registers lets the line fall: then it can't come back.
            for port, pending in ((0x3f6, True), (0x1f7, False)):
                m.inb(port)
                m.forget_interrupts()
                m.outb(0x3f6, 2)
                m.outb(0x3f6, 0)
                self.assertEqual(m.interrupt(), pending)
            m.forget_interrupts()
            m.outb(0x3f6, 2)                 # not wanted
            m.outb(0x1f7, 0xec)
            self.assertFalse(m.interrupt())
            m.outb(0x3f6, 0)                 # wanted after all
            self.assertTrue(m.interrupt())

    def test_reset(self):
        with self.start(device=',bus=ide.0') as m:
            m.command(0x20, 1, 5)
            m.outb(0x3f6, 4)
            self.assertEqual(m.inb(0x1f7), BUSY)
            m.outb(0x3f6, 0)
            self.assertEqual([m.inb(0x1f0 + r) for r in range(1, 8)], [1, 1, 1, 0, 0, 0xa0, READY])
            m.command(0x90)
            self.assertEqual(m.inb(0x1f1), 1)

    def test_absent(self):
        with self.start(device=',bus=ide.0') as m:
            m.outb(0x1f6, LBA | 0x10)
            self.assertEqual(m.inb(0x1f7), 0)
            m.outb(0x1f7, 0xec)
            self.assertEqual(m.inb(0x1f7), 0)
            self.assertEqual(m.command(0xec, base=0x170), 0)

    def test_second_channel(self):
        with Machine(self.directory, '-hdd', self.image) as m:
            m.outb(0x176, LBA | 0x10)
            m.outb(0x177, 0xec)
            self.assertEqual(m.inb(0x177), READY | DRQ)
            self.assertEqual(m.qmp('query-block')[0]['device'], 'ide1-hd1')

    def test_nonsense(self):
        """Any writes to any of its ports: it answers afterwards."""
        rng = random.Random(4)
        with self.start(device=',bus=ide.0', options=',snapshot=on') as m:
            for _ in range(20000):
                port = rng.choice((0x1f0, 0x1f1, 0x1f2, 0x1f3, 0x1f4, 0x1f5, 0x1f6, 0x1f7, 0x3f6))
                size = rng.choice('bwl')
                if rng.random() < 0.3:
                    m.ask(f'in{size} {port:#x}')
                else:
                    m.ask(f'out{size} {port:#x} {rng.getrandbits({"b": 8, "w": 16, "l": 32}[size]):#x}')
            m.outb(0x3f6, 4)
            m.outb(0x3f6, 0)
            self.assertEqual(m.command(0xec), READY | DRQ)
        self.assertEqual(os.path.getsize(self.image), SECTORS * SECTOR)

    def test_migration_in_the_middle(self):
        stream = os.path.join(self.directory, 'stream')
        data = random.Random(5).randbytes(3 * SECTOR)
        for reading in (True, False):
            with self.subTest(reading=reading):
                with self.start(device=',bus=ide.0') as m:
                    m.command(0x20 if reading else 0x30, 30, 3)
                    if reading:
                        first = m.data_in(700)
                    else:
                        m.data_out(data[:700])
                    m.migrate(stream)
                    self.assertEqual(m.qmp('query-block')[0]['inserted']['active'], False)
                with self.start('-incoming', f'file:{stream}', device=',bus=ide.0') as m:
                    while m.qmp('query-status')['status'] == 'inmigrate':
                        pass
                    if reading:
                        self.assertEqual(first + m.data_in(3 * SECTOR - 700), self.content[30 * SECTOR:33 * SECTOR])
                    else:
                        m.data_out(data[700:])
                        self.assertEqual(b''.join(self.sector(30 + i) for i in range(3)), data)
                    self.assertEqual(m.inb(0x1f7), READY)

    def test_destination_does_not_write(self):
        with self.start('-incoming', 'defer', device=',bus=ide.0') as m:
            self.assertFalse(m.qmp('query-block')[0]['inserted']['active'])
            m.command(0x30, 1)
            m.data_out(bytes(SECTOR))
            self.assertEqual(m.inb(0x1f7), READY | ERR | FAULT)
        self.assertEqual(self.sector(1), self.content[SECTOR:2 * SECTOR])

    def test_damaged_state(self):
        """Whatever the saved state says: it is loaded or refused, and the machine answers."""
        stream = os.path.join(self.directory, 'stream')
        with self.start(device=',bus=ide.0') as m:
            m.command(0x30, 30, 3)
            m.data_out(bytes(700))
            m.migrate(stream)
        with open(stream, 'rb') as f:
            good = f.read()
        start = good.index(b'\x0bata-channel') + 12
        buffer = good.index(b'\x11ata_disk/transfer') + 18
        places = list(range(start + 8, start + 50)) + list(range(buffer + 4, buffer + 30))
        outcomes = set()
        for place in places:
            bad = bytearray(good)
            bad[place] ^= 0xff
            with open(stream, 'wb') as f:
                f.write(bad)
            with self.subTest(place - start), self.start('-incoming', 'defer', device=',bus=ide.0') as m:
                m.qmp('migrate-incoming', uri=f'file:{stream}', **{'exit-on-error': False})
                while m.qmp('query-migrate')['status'] not in ('completed', 'failed'):
                    pass
                outcomes.add(m.qmp('query-migrate')['status'])
                for _ in range(600):
                    m.inw()
                    m.outw(0)
                m.outb(0x3f6, 4)
                m.outb(0x3f6, 0)
                self.assertEqual(m.command(0xec), READY | DRQ)
        self.assertEqual(outcomes, {'completed', 'failed'})

    def test_other_size_is_refused(self):
        stream = os.path.join(self.directory, 'stream')
        with self.start(device=',bus=ide.0') as m:
            m.migrate(stream)
        os.truncate(self.image, SECTOR)
        result = subprocess.run([BINARY, '-M', 'pc', '-accel', 'qtest', '-m', '16M', '-nodefaults', '-display', 'none',
                                 '-monitor', 'none', *self.drive(device=',bus=ide.0'), '-incoming', f'file:{stream}'],
                                stderr=subprocess.PIPE, text=True, timeout=20)
        self.assertEqual(result.returncode, 1, result.stderr)
        self.assertIn('sectors', result.stderr)

    def test_cache_modes(self):
        for cache in ('writeback', 'writethrough', 'none', 'directsync', 'unsafe'):
            with self.subTest(cache), self.start(device=',bus=ide.0', options=f',cache={cache}') as m:
                data = random.Random(cache).randbytes(SECTOR)
                m.command(0x30, 33)
                m.data_out(data)
                self.assertEqual(m.inb(0x1f7), READY)
                m.command(0x20, 33)
                self.assertEqual(m.data_in(), data)
                info = m.qmp('query-block')[0]['inserted']['cache']
                self.assertEqual(info, {'writeback': cache not in ('writethrough', 'directsync'),
                                        'direct': cache in ('none', 'directsync'), 'no-flush': cache == 'unsafe'})
                self.assertEqual(self.sector(33), data)

    def test_snapshot(self):
        for arguments, options in (([], ',snapshot=on'), (['-snapshot'], '')):
            with self.start(*arguments, device=',bus=ide.0', options=options) as m:
                data = random.Random(6).randbytes(SECTOR)
                m.command(0x30, 129)
                m.data_out(data)
                for n, expected in ((128, self.content[128 * SECTOR:129 * SECTOR]), (129, data)):
                    m.command(0x20, n)
                    self.assertEqual(m.data_in(), expected)
            self.assertEqual(self.sector(129), self.content[129 * SECTOR:130 * SECTOR])

    def test_unnamed_format(self):
        """Without format=raw nobody may turn the image into one of another format."""
        with Machine(self.directory, self.image) as m:
            m.command(0x30, 0)
            m.data_out(b'QFI\xfb' + bytes(SECTOR - 4))
            self.assertEqual(m.inb(0x1f7), READY | ERR | FAULT)
            m.command(0x30, 0)
            m.data_out(b'boot' + bytes(SECTOR - 4))
            self.assertEqual(m.inb(0x1f7), READY)
        with open(self.image, 'r+b') as f:
            f.write(b'QFI\xfb')
        self.refused(['-hda', self.image], 'qcow2')

    def test_query(self):
        with self.start() as m:
            (info,) = m.qmp('query-block')
            self.assertEqual(info['device'], 'd0')
            self.assertEqual(info['io-status'], 'ok')
            self.assertEqual(info['inserted']['image']['virtual-size'], SECTORS * SECTOR)
            self.assertEqual(info['inserted']['file'], self.image)
            self.assertIn('/machine/peripheral-anon/device[0]', info['qdev'])
            text = m.hmp('info block').replace('\r', '')
            self.assertRegex(text, rf'^d0 \(#block\d+\): {self.image} \(raw\)\n    Attached to:      '
                                   r'/machine/peripheral-anon/device\[0\]\n    Cache mode:       writeback\n$')
            m.command(0x20, 1, base=0x1f0)
            (stats,) = m.qmp('query-blockstats')
            self.assertEqual(stats['device'], 'd0')
            self.assertIn('d0: rd_bytes=', m.hmp('info blockstats'))

    def refused(self, arguments, message):
        result = subprocess.run([BINARY, '-M', 'pc', '-accel', 'qtest', '-m', '16M', '-nodefaults', '-display', 'none',
                                 '-monitor', 'none', *arguments], stderr=subprocess.PIPE, text=True, timeout=20)
        self.assertEqual(result.returncode, 1, arguments)
        self.assertIn(message, result.stderr, arguments)

    def test_refused(self):
        f = f'file={self.image}'
        d = f'-drive if=none,id=d0,{f},format=raw'
        for arguments, message in (
                ('-drive if=none,id=d0,file=/nonexistent,format=raw', "Could not open '/nonexistent'"),
                (f'-drive {f},format=qcow2', "'qcow2' are not supported"),
                (f'-drive {f},format=foo', "Unknown driver 'foo'"),
                (f'-drive {f},format=raw,bogus=1', 'bogus'),
                (f'-drive {f},format=raw,if=virtio', 'if=virtio'),
                (f'-drive {f},format=raw,if=foo', "unsupported bus type 'foo'"),
                (f'-drive {f},format=raw,media=cdrom', 'media=cdrom is not supported'),
                (f'-drive {f},format=raw,media=foo', "'foo' invalid media"),
                (f'-drive {f},format=raw,cache=foo', 'invalid cache option'),
                (f'-drive {f},format=raw,aio=foo', 'invalid aio option'),
                (f'-drive {f},format=raw,readonly=on', 'Block node is read-only'),
                ('-drive if=none,id=d0,format=raw', 'A block device must be specified for "file"'),
                (f'-drive {f},format=raw,index=7', 'machine type does not support if=ide,bus=3,unit=1'),
                (f'-drive {f},format=raw,index=1,bus=0', 'index cannot be used with bus and unit'),
                (f'-drive {f},format=raw,unit=2', 'unit 2 too big (max is 1)'),
                (f'-drive {f},format=raw,index=0 -drive {f},format=raw,index=0', '(index=0) exists'),
                (f'{d} {d}', "Duplicate ID 'd0' for drive"),
                ('-device ide-hd', 'No drive specified'),
                ('-device ide-hd,drive=d9', "Property 'ide-hd.drive' can't find value 'd9'"),
                (f'{d} -device ide-hd,drive=d0 -device ide-hd,drive=d0', "Drive 'd0' is already in use"),
                (f'{d} -device ide-hd,drive=d0,unit=2', "Can't create IDE unit 2, bus supports only 2 units"),
                (f'{d} -device ide-hd,drive=d0,cyls=1', 'heads must be between 1 and 16'),
                (f'{d} -drive if=none,id=d1,{f},format=raw -device ide-hd,drive=d0,bootindex=1 '
                 '-device ide-hd,drive=d1,bootindex=1', 'The bootindex 1 has already been used'),
                (f'-M microvm -hda {self.image}', 'machine type does not support if=ide'),
                ('-cdrom x', 'CD-ROM')):
            with self.subTest(arguments):
                self.refused(arguments.split(), message)


if __name__ == '__main__':
    tap.main()
