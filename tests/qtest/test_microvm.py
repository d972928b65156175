#!/usr/bin/env python3
# SPDX-License-Identifier: GPL-2.0-or-later
"""microvm seen from outside: firmware of any length that a stream brings, ACPI tables as firmware and guests find
them, the event device, the second I/O APIC, and Debian's own firmware for this machine starting.

QTEST_QEMU_BINARY names the emulator; MICROVM_FIRMWARE the firmware, which is not needed
[/usr/share/seabios/bios-microvm.bin].
"""

import os
import random
import re
import shutil
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
from vmtools.machine import Machine, MachineError                               # noqa: E402

BINARY = os.environ.get('QTEST_QEMU_BINARY', 'build/godwit-system-x86_64')
FIRMWARE = os.environ.get('MICROVM_FIRMWARE', '/usr/share/seabios/bios-microvm.bin')
KIB, MIB, GIB = 1 << 10, 1 << 20, 1 << 30
SMALL = 'microvm,acpi=off,pic=off,pit=off,rtc=off'
GED, GED_REGS = 0xfea00000, 0xfea00200


class Driven(Machine):
    """A machine with a qtest connection."""

    def __init__(self, machine, *arguments, directory, accel=('qtest',), **keywords):
        path = tempfile.mktemp(prefix='qtest-', dir=directory)
        with socket.socket(socket.AF_UNIX) as listener:
            listener.bind(path)
            listener.listen()
            listener.settimeout(30)
            accelerators = [word for name in accel for word in ('-accel', name)]
            super().__init__(BINARY, ['-M', machine, *accelerators, '-qtest', f'unix:{path}',
                                      '-qtest-log', '/dev/null', *arguments],
                             name=os.path.basename(path), directory=directory, **keywords)
            self.connection = listener.accept()[0]
        self.connection.settimeout(30)
        self.file = self.connection.makefile('rw')
        self.lines = []                         # interrupts: (line, up)

    def __exit__(self, *exc):
        self.file.close()
        self.connection.close()
        super().__exit__(*exc)

    def ask(self, line):
        self.file.write(line + '\n')
        self.file.flush()
        while True:
            words = self.file.readline().split()
            if words[:1] == ['IRQ']:
                self.lines.append((int(words[2]), words[1] == 'raise'))
                continue
            assert words[:1] == ['OK'], (line, words)
            return words[1] if len(words) > 1 else None

    def read(self, address, length):
        return bytes.fromhex(self.ask(f'read {address:#x} {length:#x}')[2:])

    def number(self, line):
        return int(self.ask(line), 0)

    def save(self, path):
        self.command('migrate', uri='file:' + path)
        while True:
            info = self.command('query-migrate')
            if info.get('status') in ('completed', 'failed'):
                break
        assert info['status'] == 'completed', info

    def ramblocks(self):
        text = self.qmp.hmp('info ramblock')
        return {words[0]: int(words[4], 0) for words in map(str.split, text.splitlines()[1:])}

    def wait_arrived(self):
        deadline = time.monotonic() + 60
        while self.command('query-status')['status'] == 'inmigrate':
            assert time.monotonic() < deadline
            time.sleep(0.01)

    def event(self, name):
        return self.qmp.wait_event(name, 30)


class Case(unittest.TestCase):
    def setUp(self):
        self.directory = tempfile.mkdtemp(prefix='godwit-microvm-')
        self.addCleanup(shutil.rmtree, self.directory)

    def path(self, name):
        return os.path.join(self.directory, name)

    def machine(self, machine, *arguments, **keywords):
        return Driven(machine, '-m', '4M', *arguments, directory=self.directory, **keywords)


class FirmwareLength(Case):
    """Block pc.bios has the length that the stream says."""

    def firmware(self, length):
        data = random.Random(length).randbytes(length)
        with open(self.path(f'firmware-{length:x}'), 'wb') as f:
            f.write(data)
        return f.name, data

    def check_mapped(self, machine, data):
        isa = min(len(data), 128 * KIB)
        self.assertEqual(machine.ramblocks()['pc.bios'], len(data))
        self.assertEqual(machine.read(4 * GIB - len(data), len(data)), data)
        self.assertEqual(machine.read(MIB - isa, isa), data[-isa:])
        if len(data) < 16 * MIB:
            below = 4 * GIB - len(data) - 16
            self.assertNotEqual(machine.read(below, 16), data[:16])
        # What of RAM it does not cover is RAM.
        machine.ask(f'writeb {MIB - isa - 1:#x} 0x5a')
        self.assertEqual(machine.number(f'readb {MIB - isa - 1:#x}'), 0x5a)

    def make_stream(self, length):
        name, data = self.firmware(length)
        stream = self.path(f'stream-{length:x}')
        with self.machine(SMALL, '-bios', name) as source:
            self.check_mapped(source, data)
            source.save(stream)
        return stream, data

    def travel(self, length, *own):
        stream, data = self.make_stream(length)
        onward = self.path('onward')
        with self.machine(SMALL, '-incoming', 'defer', *own) as machine:
            rom = machine.read(4 * GIB - 64 * KIB, 64 * KIB)
            machine.command('migrate-incoming', uri='file:' + stream)
            machine.wait_arrived()
            self.check_mapped(machine, data)
            machine.ask(f'writeb {4 * GIB - 1:#x} 0x77')        # both views are one memory
            self.assertEqual(machine.number(f'readb {MIB - 1:#x}'), 0x77)
            machine.save(onward)
        with self.machine(SMALL, '-incoming', f'file:{onward}') as machine:
            machine.wait_arrived()
            self.check_mapped(machine, data[:-1] + b'\x77')
            # A reset puts this machine's own into the end, whatever was there.
            machine.command('system_reset')
            machine.event('RESET')
            self.assertEqual(machine.ramblocks()['pc.bios'], length)
            self.assertEqual(machine.read(4 * GIB - 16, 16)[:1], b'\xe9')
            if length > 64 * KIB:
                self.assertEqual(machine.read(4 * GIB - length, length - 64 * KIB),
                                 bytes(length - 64 * KIB))
        return rom

    def test_64k(self):
        self.travel(64 * KIB)

    def test_128k(self):
        self.travel(128 * KIB)

    def test_192k(self):
        self.travel(192 * KIB)

    def test_largest(self):
        self.travel(16 * MIB)

    def test_smaller_than_ours(self):
        name, _ = self.firmware(128 * KIB)
        stream, data = self.make_stream(64 * KIB)
        with self.machine(SMALL, '-bios', name, '-incoming', f'file:{stream}') as machine:
            machine.wait_arrived()
            self.check_mapped(machine, data)
            machine.command('system_reset')
            machine.event('RESET')
            self.check_mapped(machine, data)            # ours does not fit
            self.assertIn('firmware of 0x10000 bytes', machine.stderr())

    def refused(self, length, *words):
        stream, _ = self.make_stream(64 * KIB)
        with open(stream, 'rb') as f:
            data = bytearray(f.read())
        at = data.index(b'\x07pc.bios') + 8
        total = data.index(b'\x03ram') + 12
        change = length - 64 * KIB
        data[at:at + 8] = struct.pack('>Q', length)
        data[total:total + 8] = struct.pack('>Q', struct.unpack_from('>Q', data, total)[0] + change)
        with open(stream, 'wb') as f:
            f.write(data)
        result = subprocess.run([BINARY, '-M', SMALL, '-accel', 'qtest', '-m', '4M', '-nodefaults',
                                 '-display', 'none', '-incoming', f'file:{stream}'],
                                capture_output=True, text=True, timeout=60, check=False)
        self.assertEqual(result.returncode, 1, result.stderr)
        for word in ('pc.bios', f'{length:#x}', *words):
            self.assertIn(word, result.stderr)

    def test_no_multiple(self):
        self.refused(0x18000, 'multiple of 0x10000')

    def test_too_long(self):
        self.refused(16 * MIB + 64 * KIB, '0x1000000')

    def test_a_page(self):
        self.refused(0x1000, 'multiple of 0x10000')


# -- ACPI ---------------------------------------------------------------------------------------------

class Tables:
    """Tables in memory, from the RSDP on, every one with its sum checked."""

    def __init__(self, test, read, rsdp):
        self.test = test
        self.read = read
        head = read(rsdp, 36)
        test.assertEqual(head[:8], b'RSD PTR ')
        test.assertEqual(sum(head[:20]) & 0xff, 0)
        test.assertEqual(sum(head) & 0xff, 0)
        test.assertEqual(head[15], 2)
        xsdt = self.table(struct.unpack_from('<Q', head, 24)[0], b'XSDT')
        self.found = {}
        for (address,) in struct.iter_unpack('<Q', xsdt[36:]):
            table = self.table(address)
            self.found[table[:4]] = table
        fadt = self.found[b'FACP']
        test.assertEqual(struct.unpack_from('<I', fadt, 40)[0],
                         struct.unpack_from('<Q', fadt, 140)[0])
        self.found[b'DSDT'] = self.table(struct.unpack_from('<Q', fadt, 140)[0], b'DSDT')

    def table(self, address, name=None):
        length = struct.unpack('<I', self.read(address + 4, 4))[0]
        self.test.assertLess(length, 64 * KIB)
        table = self.read(address, length)
        self.test.assertEqual(sum(table) & 0xff, 0, table[:4])
        if name:
            self.test.assertEqual(table[:4], name)
        return table

    def check(self, cpus=1, ioapics=2):
        fadt, madt, dsdt = (self.found[x] for x in (b'FACP', b'APIC', b'DSDT'))
        flags = struct.unpack_from('<I', fadt, 112)[0]
        self.test.assertTrue(flags & 1 << 20 and flags & 1 << 10)
        self.test.assertEqual(fadt[128], 0x42)
        for at, address in (116, GED_REGS + 2), (244, GED_REGS), (256, GED_REGS + 1):
            self.test.assertEqual(struct.unpack_from('<BBBBQ', fadt, at), (0, 8, 0, 1, address))
        kinds = []
        at = 44
        while at < len(madt):
            kinds.append(madt[at])
            at += madt[at + 1]
        self.test.assertEqual(at, len(madt))
        self.test.assertEqual(kinds.count(0), cpus)
        self.test.assertEqual(kinds.count(1), ioapics)
        for word in b'_EVT', b'PWRB', b'_S5_', b'ACPI0013', b'QEMU0002':
            self.test.assertIn(word, dsdt)


class FwCfg:
    """What the guest reads at port 0x510."""

    def __init__(self, machine):
        self.machine = machine
        count = struct.unpack('>I', self.entry(0x19, 4))[0]
        rows = self.entry(0x19, 4 + 64 * count)[4:]
        self.names = {}
        for length, key, name in struct.iter_unpack('>IHxx56s', rows):
            self.names[name.rstrip(b'\0').decode()] = key, length

    def entry(self, key, length):
        self.machine.ask(f'outw 0x510 {key:#x}')
        return bytes(self.machine.number('inb 0x511') for _ in range(length))

    def file(self, name):
        return bytearray(self.entry(*self.names[name]))


def link(fw_cfg, addresses):
    """Does what the table loader's commands say; the files as they then are in memory."""
    files = {name: fw_cfg.file(name) for name in addresses}
    loader = fw_cfg.file('etc/table-loader')
    for at in range(0, len(loader), 128):
        command = struct.unpack_from('<I', loader, at)[0]
        if command == 2:
            dest, src, offset, size = struct.unpack_from('<56s56sIB', loader, at + 4)
            dest, src = (x.rstrip(b'\0').decode() for x in (dest, src))
            value = int.from_bytes(files[dest][offset:offset + size], 'little') + addresses[src]
            files[dest][offset:offset + size] = value.to_bytes(size, 'little')
        elif command == 3:
            name, offset, start, length = struct.unpack_from('<56sIII', loader, at + 4)
            data = files[name.rstrip(b'\0').decode()]
            data[offset] = (data[offset] - sum(data[start:start + length])) & 0xff
    return files


class Acpi(Case):
    def linked(self, machine):
        addresses = {'etc/acpi/tables': 0x100000, 'etc/acpi/rsdp': 0xf0000}
        files = link(FwCfg(machine), addresses)

        def read(address, length):
            name = 'etc/acpi/tables' if address >= 0x100000 else 'etc/acpi/rsdp'
            at = address - addresses[name]
            return bytes(files[name][at:at + length])
        return Tables(self, read, 0xf0000)

    def test_tables(self):
        with self.machine('microvm', '-smp', '2,maxcpus=4') as machine:
            self.linked(machine).check(cpus=4)
        with self.machine('microvm,ioapic2=off') as machine:
            self.linked(machine).check(ioapics=1)

    def test_devices_in_tables(self):
        with self.machine('microvm,rtc=on,x-oem-id=ME', '-serial', 'null') as machine:
            tables = self.linked(machine).found
            self.assertIn(b'COM1', tables[b'DSDT'])
            self.assertIn(b'RTC_', tables[b'DSDT'])
            self.assertEqual(tables[b'DSDT'][10:16], b'ME    ')
        with self.machine('microvm,rtc=off,isa-serial=off', '-serial', 'null') as machine:
            tables = self.linked(machine).found
            self.assertNotIn(b'COM1', tables[b'DSDT'])
            self.assertNotIn(b'RTC_', tables[b'DSDT'])
            self.assertTrue(tables[b'FACP'][109] & 1 << 5)

    def test_many_cpus(self):
        with self.machine('microvm', '-smp', '1,maxcpus=288') as machine:
            tables = self.linked(machine)
            tables.check(cpus=255)
            self.assertEqual(machine.ramblocks()['/rom@etc/acpi/tables'], 0x1000)

    def test_disassembler(self):
        """What the reference implementation of ACPI thinks of it."""
        if not shutil.which('iasl'):
            self.skipTest('no iasl (package acpica-tools)')
        with self.machine('microvm,rtc=on', '-serial', 'null') as machine:
            tables = self.linked(machine).found
        for name, table in tables.items():
            path = self.path(name.decode() + '.aml')
            with open(path, 'wb') as f:
                f.write(table)
            for option, what in ('-d', path), ('-tc', path.replace('.aml', '.dsl')):
                result = subprocess.run(['iasl', option, what], capture_output=True, text=True,
                                        timeout=60, check=False)
                out = result.stdout + result.stderr
                self.assertEqual(result.returncode, 0, out)
                self.assertIsNone(re.search(r'Error\s+\d+|[1-9]\d* Errors|Incorrect|Warning  ',
                                            out), out)

    def test_numbers_follow_names(self):
        with self.machine('microvm') as machine:
            names = FwCfg(machine).names
        self.assertEqual([names[n][0] for n in sorted(names)],
                         list(range(0x20, 0x20 + len(names))))
        for name in ('bios-geometry', 'bootorder', 'etc/acpi/rsdp', 'etc/acpi/tables',
                     'etc/boot-fail-wait', 'etc/e820', 'etc/table-loader'):
            self.assertIn(name, names)

    def test_without(self):
        with self.machine('microvm,acpi=off,ioapic2=on') as machine:
            self.assertNotIn('etc/acpi/rsdp', FwCfg(machine).names)
            self.assertEqual([n for n in machine.ramblocks() if n.startswith('/rom')], [])
            flat = machine.qmp.hmp('info mtree -f')
            self.assertNotIn('acpi-ged', flat)
            self.assertNotIn('fec10000', flat)

    def test_in_start_up_rom(self):
        """A kernel that is started without firmware finds them, too."""
        with self.machine('microvm') as machine:
            low = machine.read(0xe0000, 0x20000)
            at = [x for x in range(0, len(low), 16) if low[x:x + 8] == b'RSD PTR ']
            self.assertEqual(len(at), 1)
            Tables(self, machine.read, 0xe0000 + at[0]).check()

    def test_tables_travel(self):
        """Bytes that are in use, and how many: as where the guest was born."""
        stream = self.path('stream')
        with self.machine('microvm,x-oem-id=OTHER', '-smp', '1,maxcpus=3') as source:
            old = FwCfg(source)
            lengths, tables = old.names, old.file('etc/acpi/tables')
            source.save(stream)
        with self.machine('microvm', '-incoming', f'file:{stream}') as machine:
            machine.wait_arrived()
            new = FwCfg(machine)
            self.assertEqual(new.names, lengths)
            self.assertEqual(new.file('etc/acpi/tables'), tables)
            machine.command('system_reset')
            machine.event('RESET')
            new = FwCfg(machine)
            self.assertLess(new.names['etc/acpi/tables'][1], len(tables))
            self.linked(machine).check()

    def damaged(self, change):
        stream = self.path('stream')
        with self.machine('microvm') as source:
            source.save(stream)
        with open(stream, 'rb') as f:
            data = bytearray(f.read())
        change(data)
        with open(stream, 'wb') as f:
            f.write(data)
        return stream

    def test_refused_length(self):
        def change(data):
            at = data.index(b'fw_cfg/acpi_mr') + 14 + 4
            data[at:at + 8] = struct.pack('>Q', 0x1001)
        self.assert_refused('microvm', self.damaged(change), 'etc/acpi/tables', '0x1001', '0x1000')

    def test_refused_without_acpi(self):
        stream = self.path('stream')
        with self.machine('microvm,ioapic2=off') as source:
            source.save(stream)
        self.assert_refused('microvm,acpi=off', stream, '/rom@etc/acpi/')

    def assert_refused(self, machine, stream, *words):
        result = subprocess.run([BINARY, '-M', machine, '-accel', 'qtest', '-m', '4M',
                                 '-nodefaults', '-display', 'none', '-incoming', f'file:{stream}'],
                                capture_output=True, text=True, timeout=60, check=False)
        self.assertEqual(result.returncode, 1, result.stderr)
        for word in words:
            self.assertIn(word, result.stderr)


class EventDevice(Case):
    def test_power_button(self):
        with self.machine('microvm') as machine:
            machine.ask('irq_intercept_in ioapic')
            self.assertEqual(machine.number(f'readl {GED:#x}'), 0)
            for _ in range(2):
                machine.command('system_powerdown')
                machine.event('POWERDOWN')
            self.assertEqual(machine.number(f'readl {GED:#x}'), 2)
            self.assertEqual(machine.number(f'readl {GED:#x}'), 0)
            self.assertEqual(machine.lines, [(9, True), (9, False)] * 2)

    def test_sleep_and_reset(self):
        with self.machine('microvm', '-no-shutdown') as machine:
            for value in 0x00, 0x14, 0x20, 0x24, 0x30:          # not switched off by these
                machine.ask(f'writeb {GED_REGS:#x} {value:#x}')
            machine.ask(f'writeb {GED_REGS + 2:#x} 0x41')
            machine.ask(f'writeb {GED_REGS + 2:#x} 0x42')
            self.assertEqual(machine.event('RESET')['data'],
                             {'guest': True, 'reason': 'guest-reset'})
            machine.ask(f'writeb {GED_REGS:#x} 0x34')
            self.assertEqual(machine.event('SHUTDOWN')['data'],
                             {'guest': True, 'reason': 'guest-shutdown'})

    def test_event_travels(self):
        stream = self.path('stream')
        with self.machine('microvm') as machine:
            machine.command('system_powerdown')
            machine.event('POWERDOWN')
            machine.save(stream)
        with self.machine('microvm', '-incoming', f'file:{stream}') as machine:
            machine.wait_arrived()
            self.assertEqual(machine.number(f'readl {GED:#x}'), 2)


class Options(Case):
    def test_refused(self):
        for option, word in (('pcie=on', 'PCI'), ('x-oem-id=SEVENER', '6 characters'),
                             ('acpi=maybe', 'acpi')):
            with self.subTest(option), self.assertRaisesRegex(MachineError, word):
                with self.machine('microvm,' + option):
                    pass

    def test_irqchips(self):
        if not os.access('/dev/kvm', os.R_OK | os.W_OK):
            self.skipTest('no KVM')
        for where, here, there in (('on', 'kvm-ioapic', 'kvm-pit'), ('split', 'ioapic', 'isa-pit'),
                                   ('off', 'ioapic', 'isa-pit')):
            with self.subTest(where), self.machine(f'microvm,kernel-irqchip={where}', '-S',
                                                   accel=('kvm',)) as machine:
                tree = machine.qmp.hmp('info qtree')
                self.assertIn(f'dev: {here}, ', tree)
                self.assertIn(f'dev: {there}, ', tree)


class Interrupts(Case):
    """irq.bin counts the timer's interrupts through the PICs, and those of the serial port by level through the I/O
    APIC, which come again only if their end is told: both go on, before and after a migration, whoever has the
    controllers."""

    def counts(self, machine):
        return struct.unpack('<II', machine.read_memory(0x500, 8))

    def wait_for_more(self, machine, n=15):
        start = self.counts(machine)
        deadline = time.monotonic() + 60
        while any(x < n for x in map(int.__sub__, self.counts(machine), start)):
            self.assertLess(time.monotonic(), deadline, (start, self.counts(machine)))
            self.assertTrue(machine.alive(), machine.stderr())
            time.sleep(0.02)

    def run_in(self, accel, *modes):
        image = os.path.join(os.environ.get('QTEST_GUEST_DIR', 'build/tests/guest'), 'irq.bin')
        if not os.path.exists(image):
            self.skipTest(f'no {image}')
        if accel == 'kvm' and not os.access('/dev/kvm', os.R_OK | os.W_OK):
            self.skipTest('no KVM')
        stream = ()
        for i, mode in enumerate(modes):
            with self.machine('microvm' + mode, '-bios', image, '-serial', 'null', *stream,
                              accel=(accel,)) as machine:
                if stream:
                    machine.wait_arrived()
                self.wait_for_more(machine)
                path = self.path(f'stream{i}')
                machine.save(path)
                stream = '-incoming', 'file:' + path

    def test_tcg(self):
        self.run_in('tcg', '', '', '')

    def test_kvm_split(self):
        self.run_in('kvm', '', *[',kernel-irqchip=split'] * 4)

    def test_kvm_on(self):
        self.run_in('kvm', *[',kernel-irqchip=on'] * 4)

    def test_kvm_off(self):
        self.run_in('kvm', *[',kernel-irqchip=off'] * 3)

    def test_kvm_in_turns(self):
        self.run_in('kvm', *[',kernel-irqchip=on', ',kernel-irqchip=split'] * 3)


class Firmware(Case):
    """Debian's firmware for this machine, package seabios."""

    def start(self, accel):
        if not os.path.exists(FIRMWARE):
            self.skipTest(f'no {FIRMWARE} (package seabios)')
        serial = self.path('serial')
        with self.machine('microvm,graphics=off', '-bios', FIRMWARE, '-m', '32M', '-serial',
                          'file:' + serial, accel=(accel,)) as machine:
            deadline = time.monotonic() + 120
            while True:
                with open(serial, encoding='latin-1') as f:
                    text = f.read()
                if 'No bootable device' in text:
                    break
                self.assertLess(time.monotonic(), deadline, text)
                self.assertTrue(machine.alive(), machine.stderr())
                time.sleep(0.05)
            self.assertIn('SeaBIOS (version', text)
            machine.command('stop')
            low = machine.read(0xe0000, 0x20000)
            at = [x for x in range(0, len(low), 16) if low[x:x + 8] == b'RSD PTR ']
            self.assertEqual(len(at), 1)
            Tables(self, machine.read, 0xe0000 + at[0]).check()

    def test_tcg(self):
        self.start('tcg')

    def test_kvm(self):
        if not os.access('/dev/kvm', os.R_OK | os.W_OK):
            self.skipTest('no KVM')
        self.start('kvm')


if __name__ == '__main__':
    tap.main()
