#!/usr/bin/python3
# SPDX-License-Identifier: GPL-2.0-or-later
"""The test guests and their checker, tested.

A checker that never complains proves nothing, so its complaints come first: memory as the
guest would leave it, modelled here, with every kind of fault put in. Then the real guests, in
the emulator of GUEST_BINARY (default: QEMU_BINARY, qemu-system-x86_64), alone and migrating.
"""

import contextlib
import mmap
import os
import shutil
import struct
import sys
import tempfile
import time
import unittest

HERE = os.path.dirname(os.path.abspath(__file__))
sys.path[:0] = [os.path.join(HERE, '..', '..', 'scripts'), HERE]

import check                                                    # noqa: E402
from vmtools import migrate, tap                                # noqa: E402
from vmtools.machine import (MICROVM, Machine, SerialSocket, SerialTap,  # noqa: E402
                             interface_version)

GUESTS = os.environ.get('GUEST_DIR', HERE)
PROGRAM = (os.environ.get('GUEST_BINARY')
           or os.environ.get('QEMU_BINARY', 'qemu-system-x86_64'))
BINARY = shutil.which(PROGRAM)
PAGE = check.PAGE
# QEMU's machines run a BIOS first, for which nested KVM needs a minute, and q35's disks another.
OURS = os.path.basename(PROGRAM).startswith('godwit')
MACHINES = ('pc', 'q35') if OURS else ('pc',)


class Model:
    """Memory of a guest stopped in `round` with `pos` pages of it done."""

    def __init__(self, words=4, fill='zero', pages=64, hot=None, stride=1, number=7, pos=20,
                 torn=None, vcpus=1, seed=5, state='running'):
        hot = hot or pages
        fill_number = check.FILLS.index(fill)
        control = check.HEADER.pack(check.MAGIC, 64, check.VCPU.size, vcpus, 3, seed, words,
                                    fill_number, 1000000, 0, 0)
        control = control.ljust(64, b'\0')
        self.first = 0x200
        for v in range(vcpus):
            control += check.VCPU.pack(pos, number, self.first + v * pages, pages, hot, stride,
                                       check.STATES.index(state), 0, 0, 0, 0, 0, 0)
        self.memory = bytearray((self.first + vcpus * pages) * PAGE)
        self.memory[check.CONTROL:check.CONTROL + len(control)] = control
        self.control = check.Control(self.read)
        pool = self.control.pool()
        visited = {i * stride % hot: i for i in range(hot)}
        for v in range(vcpus):
            for i in range(pages):
                page = self.first + v * pages + i
                at = page * PAGE
                if fill != 'zero':
                    start = page * 7 % 1024 * 4
                    self.memory[at:at + PAGE] = pool[start:start + PAGE]
                if i < hot:
                    r = number if visited[i] < pos else number - 1
                else:
                    r = 0
                for slot in range(words):
                    here = r + 1 if torn and visited.get(i) == pos and slot < torn else r
                    self.put(page, slot, here)

    def put(self, page, slot, number, like=None):
        key = ((page if like is None else like) * check.KEY_PAGE & check.MASK
               ^ self.control.seed ^ slot * check.KEY_SLOT & check.MASK)
        struct.pack_into('<I', self.memory, page * PAGE + self.control.slot_word(slot) * 4,
                         (key + number) & check.MASK)

    def read(self, address, size):
        return self.memory[address:address + size]


class CheckerAccepts(unittest.TestCase):
    def test_every_form(self):
        for kind in (dict(), dict(words=1), dict(words=1024, pages=8, pos=3), dict(fill='random'),
                     dict(fill='text', words=16), dict(hot=16, pos=16), dict(hot=16, pos=0),
                     dict(stride=11), dict(vcpus=3), dict(torn=1), dict(torn=3),
                     dict(torn=2, stride=13), dict(number=1, pos=0), dict(state='done', pos=64)):
            with self.subTest(**kind):
                report = check.check_memory(Model(**kind).read)
                self.assertEqual(report.torn, 1 if kind.get('torn') else 0)

    def test_while_filling(self):
        model = Model(number=0, pos=10, state='filling')
        for page in range(model.first + 10, model.first + 64):
            model.memory[page * PAGE:(page + 1) * PAGE] = bytes(PAGE)
        check.check_memory(model.read)

    def test_serial(self):
        self.assertEqual(check.check_serial('A.a..b<00ff>.c'), 3)
        self.assertEqual(check.check_serial('A' + ''.join(chr(97 + i % 26) for i in range(60))),
                         60)

    def test_boot_sector(self):
        memory = bytearray(0x140000)
        for page in range(0x100, 0x140):
            memory[page * PAGE] = 0 if page < 0x120 else 255
        self.assertEqual(check.check_boot_sector(lambda a, n: memory[a:a + n], end=0x140000),
                         (0, 0x120000))


class CheckerFinds(unittest.TestCase):
    def refused(self, model, pattern):
        with self.assertRaisesRegex(check.GuestError, pattern):
            check.check_memory(model.read)

    def test_lost_write(self):
        model = Model()
        for slot in range(4):
            model.put(model.first + 3, slot, 6)
        self.refused(model, r'page 0x203000 .*expected round 7, found round 6 at offset 0x0')

    def test_write_from_the_future(self):
        model = Model()
        for slot in range(4):
            model.put(model.first + 40, slot, 7)
        self.refused(model, 'page 0x228000 .*expected round 6, found round 7')

    def test_page_of_zeroes(self):
        model = Model()
        at = (model.first + 50) * PAGE
        model.memory[at:at + PAGE] = bytes(PAGE)
        self.refused(model, 'expected round 6, found zero')

    def test_page_in_the_wrong_place(self):
        model = Model()
        a, b = (model.first + 1) * PAGE, (model.first + 2) * PAGE
        model.memory[a:a + PAGE] = model.memory[b:b + PAGE]
        self.refused(model, 'page 0x201000 .*round 7 of the page at 0x202000')

    def test_half_a_page(self):
        model = Model()
        model.put(model.first + 5, 2, 6)
        model.put(model.first + 5, 3, 6)
        self.refused(model, 'page 0x205000 .*expected round 7, found round 6 at offset 0x800')

    def test_torn_against_the_order(self):
        model = Model(torn=1)
        model.put(model.first + 20, 0, 6)
        model.put(model.first + 20, 3, 7)
        self.refused(model, 'page 0x214000 .*torn against the order')

    def test_torn_with_an_old_round(self):
        model = Model()
        model.put(model.first + 20, 3, 5)
        self.refused(model, 'page 0x214000 .*found round 5')

    def test_cold_page_changed(self):
        model = Model(hot=32)
        model.put(model.first + 60, 1, 1)
        self.refused(model, 'page 0x23c000 .*expected round 0, found round 1')

    def test_one_bit_between_the_stamps(self):
        for fill in check.FILLS:
            with self.subTest(fill=fill):
                model = Model(fill=fill)
                model.memory[(model.first + 9) * PAGE + 1000] ^= 16
                self.refused(model, 'page 0x209000 .*offset 0x3e8 between the stamps')

    def test_second_vcpu(self):
        model = Model(vcpus=2)
        model.put(model.first + 64 + 1, 0, 6)
        self.refused(model, r'page 0x241000 \(vcpu 1\)')

    def test_old_control_page(self):
        model = Model()
        struct.pack_into('<II', model.memory, check.CONTROL + 64, 25, 7)
        self.refused(model, 'expected round 7, found round 6')

    def test_guest_found_it_itself(self):
        model = Model(state='bad')
        self.refused(model, 'vcpu 0 itself found')

    def test_no_guest(self):
        model = Model()
        model.memory[check.CONTROL] ^= 1
        self.refused(model, 'no guest')

    def test_long_lists_are_cut(self):
        model = Model()
        model.memory[model.first * PAGE:] = bytes(64 * PAGE)
        with self.assertRaises(check.GuestError) as e:
            check.check_memory(model.read, limit=3)
        self.assertEqual((len(e.exception.findings), e.exception.count), (3, 64))

    def test_serial(self):
        for text, why in (('abc', 'does not begin'), ('Aabd', 'jumps at letter 2'),
                          ('Aabbc', 'jumps'), ('AaE: vcpu 0', 'the guest reports: E: vcpu 0')):
            with self.subTest(text=text), self.assertRaisesRegex(check.GuestError, why):
                check.check_serial(text)

    def test_boot_sector(self):
        memory = bytearray(0x140000)
        memory[0x120000] = 1
        with self.assertRaisesRegex(check.GuestError, '0x120000'):
            check.check_boot_sector(lambda a, n: memory[a:a + n], end=0x140000)


def accelerator():
    return 'kvm' if os.access('/dev/kvm', os.R_OK | os.W_OK) else 'tcg'


@unittest.skipIf(BINARY is None, f'{PROGRAM} is not there')
class Emulated(unittest.TestCase):
    def setUp(self):
        self.directory = tempfile.TemporaryDirectory(prefix='godwit-')
        self.addCleanup(self.directory.cleanup)

    def machine(self, name, *arguments):
        serial = SerialTap(os.path.join(self.directory.name, name + '.serial'))
        self.addCleanup(serial.close)
        machine = Machine(BINARY, arguments, name, self.directory.name, serial=serial)
        self.addCleanup(machine.end)
        return machine

    def expect(self, machine, accepts):
        if not machine.serial.wait(accepts, 60, machine.alive):
            self.fail(f'{machine.name} printed {machine.serial.text()[-80:]!r} '
                      f'{machine.stderr()}')


class Guests(Emulated):
    def microvm(self, name, append, bits=64, vcpus=1, memory=64, extra=()):
        return self.machine(name, '-machine', MICROVM, '-accel', accelerator(), '-m', str(memory),
                            '-smp', str(vcpus), '-kernel',
                            os.path.join(GUESTS, f'dirty{bits}.elf'), '-append', append, *extra)

    def test_every_form_runs(self):
        for bits, ring, vcpus in ((32, 0, 1), (32, 3, 1), (64, 0, 2), (64, 3, 2)):
            with self.subTest(bits=bits, ring=ring, vcpus=vcpus):
                name = f'm{bits}r{ring}'
                m = self.microvm(name, f'ring={ring} vcpus={vcpus} size=256K rounds=3 words=8',
                                 bits, vcpus)
                self.expect(m, lambda t: '!' in t)
                self.assertEqual(check.letters(m.serial.text()), 'Aabc!')
                m.command('stop')
                report = check.check_memory(m.read_memory)
                self.assertEqual(report.rounds[0], 3)
                self.assertEqual(report.control.ring, ring)
                m.end()

    def test_pace(self):
        m = self.microvm('pace', 'ring=3 size=4M rate=2048 every=1')
        self.expect(m, lambda t: 'd' in t)
        times = [t for c, t in zip(m.serial.data, m.serial.times) if c >= ord('a')]
        rate = 3 * 1024 / (times[3] - times[0])
        self.assertLess(rate, 2048 * 1.25)

    def test_wrong_options_are_refused(self):
        for append, why in (('vcpus=99', 'vcpus='), ('ring=1', 'ring='), ('words=3', 'words='),
                            ('start=1M', 'start='), ('size=1', 'size=')):
            with self.subTest(append=append):
                m = self.microvm('m' + append.replace('=', ''), append)
                self.expect(m, lambda t: t.startswith('E: ' + why) and t.endswith('\n'))
                m.end()

    def test_guest_notices_a_changed_word(self):
        path = os.path.join(self.directory.name, 'ram')
        m = self.microvm('noticed', 'ring=0 size=1M rate=2000', extra=(
            '-object', f'memory-backend-file,id=ram0,mem-path={path},size=64M,share=on',
            '-machine', 'memory-backend=ram0'))
        self.expect(m, lambda t: 'a' in t)
        with open(path, 'r+b') as f, mmap.mmap(f.fileno(), 0) as ram:
            ram[0x240000] ^= 0xff
        self.expect(m, lambda t: 'E: vcpu 00000000' in t and t.endswith('\n'))
        self.assertIn('at 00240000', m.serial.text())
        m.command('stop')
        with self.assertRaisesRegex(check.GuestError, 'itself found .* at 0x240000'):
            check.check_memory(m.read_memory)

    def migrate(self, append, **kind):
        source = self.microvm('source', append, **kind)
        self.expect(source, lambda t: 'b' in t)
        destination = self.microvm('destination', append,
                                   **dict(kind, extra=('-incoming', 'tcp:127.0.0.1:0')))
        migrate.run(source, destination, migrate.listening_uri(destination))
        moved = check.check_serial(source.serial.text())
        self.expect(destination, lambda t: len(check.letters(t)) > 1)
        destination.command('stop')
        destination.serial.settle()
        report = check.check_memory(destination.read_memory)
        self.assertGreater(check.check_serial(source.serial.text() + destination.serial.text()),
                           moved)
        self.assertGreaterEqual(report.rounds[0], moved)

    def test_migrate_level_0(self):
        self.migrate('ring=0 size=2M rate=5000 words=8 fill=text', bits=32)

    def test_migrate_level_3(self):
        self.migrate('ring=3 size=8M rate=8000 stride=77 fill=random tick=1000')

    def test_migrate_two_vcpus(self):
        self.migrate('ring=3 vcpus=2 size=8M hot=4M rate=4000 words=1024', vcpus=2)


class HopGuests(Emulated):
    """The hopping guest runs, and notices whatever is wrong."""

    def hop(self, name, append, machine='microvm,acpi=off,pit=on,pic=on,rtc=on', vcpus=1):
        serial = SerialSocket(os.path.join(self.directory.name, name + '.serial'))
        self.addCleanup(serial.close)
        m = Machine(BINARY, ['-M', machine, '-accel', accelerator(), '-m', '32M', '-smp',
                             str(vcpus), '-kernel', os.path.join(GUESTS, 'hop64.elf'), '-append',
                             f'vcpus={vcpus} every=10 avx=0 dead=60000 jump=60000 {append}'],
                    name, self.directory.name, serial=serial)
        self.addCleanup(m.end)
        return m

    def test_runs(self):
        for vcpus, machine, append in ((1, MICROVM, ''),
                                       (2, 'microvm,acpi=off,pit=on,pic=on,rtc=on',
                                        'pit=pic rtc=pic serial=pic'),
                                       (2, 'microvm,acpi=off,pit=on,pic=on,rtc=on',
                                        'pit=ioapic rtc=ioapic')):
            with self.subTest(vcpus=vcpus, append=append):
                m = self.hop(f'm{vcpus}{append[4:6]}', append, machine, vcpus)
                self.expect(m, lambda t: t.count('\n') > 4 or 'E:' in t)
                m.serial.send(bytes(0x21 + i % 93 for i in range(100)))
                self.expect(m, lambda t: 'rx=100 ' in t or 'E:' in t)
                self.assertNotIn('E:', m.serial.text())
                m.end()

    def test_notices_faults(self):
        """Each thing that it looks at is made wrong once, from inside."""
        for fault, says in (('gpr', 'gpr'), ('x87', 'x87 tags'), ('xmm', 'xmm'), ('fs', 'fs base'),
                            ('memory', 'memory'), ('tsc', 'tsc back'), ('timer', 'timer silent'),
                            ('msr', 'msr'), ('dr', 'dr'), ('lapic', 'lapic'), ('ipi', 'ipi count'),
                            ('ioapic', 'ioapic'), ('pit', 'pit mode'), ('cmos', 'cmos'),
                            ('scratch', 'serial scratch')):
            with self.subTest(fault=fault):
                m = self.hop('f-' + fault, f'pit=ioapic rtc=ioapic fault={fault} at=2')
                self.expect(m, lambda t: 'E:' in t and t.endswith('\n'))
                self.assertRegex(m.serial.text(), rf'E: vcpu 0 turn \d+ {says} at')
                m.end()

    def test_notices_wrong_input(self):
        m = self.hop('input', '')
        self.expect(m, lambda t: t.count('\n') > 2)
        m.serial.send(b'!"$')
        self.expect(m, lambda t: 'E:' in t and t.endswith('\n'))
        self.assertIn('serial in at 0000000000000002', m.serial.text())


class BootSector(Emulated):
    """On machines of the classic kind, where the sector comes from a disk."""

    # How a disk is given: each must start it.
    DRIVES = {
        'drive': lambda f: ['-drive', f'format=raw,file={f}'],
        'ide-hd': lambda f: ['-drive', f'if=none,id=d0,format=raw,file={f}',
                             '-device', 'ide-hd,drive=d0,secs=1,cyls=1,heads=1'],
        'snapshot': lambda f: ['-drive', f'format=raw,snapshot=on,file={f}'],
    }
    accelerator = None if OURS else 'tcg'

    def boot(self, name, sector, *extra, machine='pc', drive='drive', vcpus=1):
        # A copy, as QEMU locks what it may write to: tests run side by side.
        path = os.path.join(self.directory.name, sector)
        if not os.path.exists(path):
            shutil.copyfile(os.path.join(GUESTS, sector), path)
        return self.machine(name, '-machine', machine, '-accel', self.accelerator or accelerator(),
                            '-m', '128', '-smp', str(vcpus),
                            *self.DRIVES[drive](path), *extra)

    @contextlib.contextmanager
    def on(self, machine):
        with self.subTest(machine=machine):
            try:
                yield
            finally:
                for m in self.running:
                    m.end()
                self.running.clear()

    def setUp(self):
        super().setUp()
        self.running = []

    def machine(self, name, *arguments):
        m = super().machine(f'{name}{len(os.listdir(self.directory.name))}', *arguments)
        self.running.append(m)
        return m

    def test_registers(self):
        """What a BIOS leaves: DL, CS:IP, segments, interrupts on; and its timer counts."""
        for machine in MACHINES:
            with self.on(machine):
                m = self.boot('registers', 'bootregs.bin', machine=machine)
                self.expect(m, lambda t: 'T' in t)
                words = [int(w, 16) for w in m.serial.text().split()[:-1]]
                dx, cs, ip, ss, ds, es, flags, com, memory = words
                self.assertEqual((dx, cs, ip, ss, ds, es), (0x80, 0, 0x7c00, 0, 0, 0),
                                 m.serial.text())
                self.assertEqual(flags & 0x700, 0x200)      # IF; neither DF nor TF
                self.assertEqual((com, memory), (0x3f8, 639))

    def test_every_way_to_give_a_disk(self):
        for drive in self.DRIVES:
            with self.subTest(drive=drive):
                m = self.boot(drive, 'bootregs.bin', drive=drive)
                try:
                    self.expect(m, lambda t: 'T' in t)
                finally:
                    m.end()

    def test_migrates(self):
        for machine in MACHINES:
            with self.on(machine):
                source = self.boot('source', 'bootsect.bin', machine=machine)
                self.expect(source, lambda t: t.startswith('AB'))
                destination = self.boot('destination', 'bootsect.bin', '-incoming',
                                        'tcp:127.0.0.1:0', machine=machine)
                migrate.run(source, destination, migrate.listening_uri(destination),
                            parameters={'max-bandwidth': 1 << 34, 'downtime-limit': 20000})
                self.expect(destination, lambda t: 'BB' in t)
                destination.command('stop')
                check.check_boot_sector(destination.read_memory)
                self.assertEqual(set(source.serial.text()[1:] + destination.serial.text()), {'B'})

    def test_level_3(self):
        m = self.boot('level3', 'bootsect-ring3.bin')
        self.expect(m, lambda t: t.startswith('ABB'))
        m.command('stop')
        check.check_boot_sector(m.read_memory)

    def test_two_vcpus(self):
        """The second one waits, as nobody calls it."""
        m = self.boot('two', 'bootsect.bin', vcpus=2)
        self.expect(m, lambda t: t.startswith('ABB'))
        m.command('stop')
        check.check_boot_sector(m.read_memory)

    def test_reset(self):
        """The sector is loaded and started anew, as it was the first time."""
        for machine in MACHINES:
            with self.on(machine):
                m = self.boot('reset', 'bootregs.bin', machine=machine)
                self.expect(m, lambda t: t.endswith('T'))
                first = m.serial.text()
                m.command('system_reset')
                m.qmp.wait_event('RESET', 60)
                self.expect(m, lambda t: t.count('T') == 2)
                self.assertEqual(m.serial.text(), 2 * first)

    def test_suspends(self):
        for machine in MACHINES:
            with self.on(machine):
                m = self.boot('suspend', 'bootsect-suspend.bin', machine=machine)
                m.qmp.wait_event('SUSPEND', 60)
                self.assertEqual(m.command('query-status')['status'], 'suspended')
                # The letter and the event come by different ways: the letter may be the later one.
                self.expect(m, lambda t: t == 'AB')
                check.check_boot_sector(m.read_memory)
                m.command('system_wakeup')
                self.expect(m, lambda t: t.startswith('ABABB'))
                m.command('stop')
                check.check_boot_sector(m.read_memory)

    @unittest.skipIf(BINARY and interface_version(BINARY) < (9, 0),
                     'QEMU before 9.0 wakes the guest up')
    def test_suspended_guest_migrates(self):
        """It arrives asleep, and goes on from there when it is woken up."""
        for machine in MACHINES:
            with self.on(machine):
                source = self.boot('source', 'bootsect-suspend.bin', machine=machine)
                source.qmp.wait_event('SUSPEND', 60)
                self.expect(source, lambda t: t == 'AB')
                destination = self.boot('destination', 'bootsect-suspend.bin', '-incoming',
                                        'tcp:127.0.0.1:0', machine=machine)
                migrate.run(source, destination, migrate.listening_uri(destination),
                            parameters={'max-bandwidth': 1 << 34, 'downtime-limit': 20000})
                self.assertEqual(destination.command('query-status')['status'], 'suspended')
                check.check_boot_sector(destination.read_memory)
                destination.command('system_wakeup')
                self.expect(destination, lambda t: t.startswith('ABB'))
                destination.command('stop')
                check.check_boot_sector(destination.read_memory)


class BootSectorTcg(BootSector):
    """The same without KVM."""
    accelerator = 'tcg'


if __name__ == '__main__':
    tap.main()
