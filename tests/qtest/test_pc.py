#!/usr/bin/env python3
# SPDX-License-Identifier: GPL-2.0-or-later
"""The machines pc and q35, from outside: where RAM lies, what each device answers at its ports, how
the machine falls asleep, wakes up, is reset and switched off, and that its state survives a
migration.

QTEST_QEMU_BINARY names the emulator. What QEMU has as well (class Ports) can be run with it. For
one without an accelerator "qtest" say QTEST_ACCEL=tcg: it is stopped before its first instruction.
"""

import os
import socket
import sys
import tempfile
import time
import unittest

HERE = os.path.dirname(os.path.abspath(__file__))
sys.path.insert(0, os.path.join(HERE, '..', '..', 'scripts'))

from vmtools import tap                                                         # noqa: E402
from vmtools.machine import Machine                                             # noqa: E402

BINARY = os.environ.get('QTEST_QEMU_BINARY', 'build/godwit-system-x86_64')
HAS_QTEST = os.environ.get('QTEST_ACCEL', 'qtest') == 'qtest'
MACHINES = ('pc', 'q35')
GIB, MIB = 1 << 30, 1 << 20

EVENT, ENABLE, CONTROL, TIMER = 0x600, 0x602, 0x604, 0x608
STS_TIMER, STS_POWER, STS_RTC, STS_WAKE = 0x1, 0x100, 0x400, 0x8000
TICKS_PER_SECOND = 3579545


class PC:
    """A machine with a monitor (.qmp) and a qtest connection (calling the object)."""

    def __init__(self, directory, machine, *more, accel='qtest', memory='16M', name='pc'):
        path = os.path.join(directory, name + '.qtest')
        with socket.socket(socket.AF_UNIX) as listener:
            listener.bind(path)
            listener.listen()
            listener.settimeout(60)
            accel = ['-accel', accel] if accel != 'qtest' or HAS_QTEST else ['-accel', 'tcg', '-S']
            self.machine = Machine(BINARY, ['-machine', machine, *accel, '-m', memory,
                                            '-qtest', f'unix:{path}', '-qtest-log', '/dev/null',
                                            *more], name, directory)
            self.connection = listener.accept()[0]
        self.connection.settimeout(60)
        self.file = self.connection.makefile('rw')
        self.qmp = self.machine.qmp

    def ask(self, line):
        self.file.write(line + '\n')
        self.file.flush()
        words = self.file.readline().split()
        assert words[:1] == ['OK'], (line, words)
        return int(words[1], 0) if len(words) > 1 else None

    def read(self, port, width='b'):
        return self.ask(f'in{width} {port:#x}')

    def write(self, port, value, width='b'):
        self.ask(f'out{width} {port:#x} {value:#x}')

    def cmos(self, register):
        self.write(0x70, register)
        return self.read(0x71)

    def status(self):
        return self.machine.command('query-status')['status']

    def command(self, *args, **kwargs):
        return self.machine.command(*args, **kwargs)

    def ended(self):
        return self.machine.process.wait(60)

    def end(self):
        self.file.close()
        self.connection.close()
        self.machine.end()


class Base(unittest.TestCase):
    def setUp(self):
        self.directory = tempfile.TemporaryDirectory(prefix='godwit-pc-')
        self.addCleanup(self.directory.cleanup)
        self.count = 0

    def pc(self, machine='pc', *more, **kind):
        self.count += 1
        pc = PC(self.directory.name, machine, *more, name=f'pc{self.count}', **kind)
        self.addCleanup(pc.end)
        return pc

    def path(self, name):
        return os.path.join(self.directory.name, name)

    def wait_status(self, pc, wanted):
        deadline = time.monotonic() + 60
        while pc.status() != wanted and time.monotonic() < deadline:
            time.sleep(0.01)
        self.assertEqual(pc.status(), wanted)

    def wait_migrated(self, pc):
        deadline = time.monotonic() + 60
        while time.monotonic() < deadline:
            status = pc.command('query-migrate').get('status')
            if status in ('completed', 'failed'):
                break
            time.sleep(0.01)
        self.assertEqual(status, 'completed')


class Ports(Base):
    """What QEMU's machines have too, and as far as they have it."""

    def test_ram(self):
        for machine, size, below in (
                ('pc', 2 * GIB, 2 * GIB), ('pc', 3 * GIB, 3 * GIB), ('pc', 4 * GIB, 3 * GIB),
                ('pc', 3583 * MIB, 3583 * MIB), ('pc', 3584 * MIB, 3 * GIB),
                ('q35', 2 * GIB, 2 * GIB), ('q35', 2815 * MIB, 2815 * MIB),
                ('q35', 2816 * MIB, 2 * GIB), ('q35', 6 * GIB, 2 * GIB),
                ('pc,max-ram-below-4g=1G', 2 * GIB, GIB)):
            with self.subTest(machine=machine, size=size):
                pc = self.pc(machine, memory=f'{size >> 20}M')
                addresses = [0, below - 4096]
                if size > below:
                    addresses += [4 * GIB, 4 * GIB + size - below - 4096]
                for n, address in enumerate(addresses):
                    pc.ask(f'writeq {address:#x} {0x1122334455667700 + n:#x}')
                for n, address in enumerate(addresses):
                    self.assertEqual(pc.ask(f'readq {address:#x}'), 0x1122334455667700 + n)
                # One page further there is none.
                for address in (below, 4 * GIB + size - below):
                    pc.ask(f'writeq {address:#x} 0x1122334455667788')
                    self.assertNotEqual(pc.ask(f'readq {address:#x}'), 0x1122334455667788)
                pc.end()

    def test_cmos(self):
        for machine, memory, cpus, order, expected in (
                ('pc', 64 * MIB, 1, None, {0x18: 0xfc, 0x35: 3, 0x38: 0x30, 0x3d: 0x12}),
                ('pc', GIB, 2, 'nca', {0x17: 0xff, 0x18: 0xff, 0x30: 0xff, 0x31: 0xff,
                                       0x35: 0x3f, 0x38: 0x10, 0x3d: 0x24, 0x5f: 1}),
                ('q35', 4 * GIB, 1, 'c', {0x17: 0xff, 0x18: 0xff, 0x34: 0, 0x35: 0x7f, 0x3d: 2,
                                          0x5b: 0, 0x5c: 0x80, 0x5d: 0})):
            with self.subTest(machine=machine, memory=memory):
                more = ['-boot', f'order={order}'] if order else []
                pc = self.pc(machine, '-smp', str(cpus), *more, memory=f'{memory >> 20}M')
                self.assertEqual((pc.cmos(0x15), pc.cmos(0x16)), (0x80, 2))     # 640 KiB
                for register, value in expected.items():
                    self.assertEqual(pc.cmos(register), value, f'register {register:#x}')
                pc.end()

    def test_keyboard_controller(self):
        for machine in MACHINES:
            with self.subTest(machine=machine):
                pc = self.pc(machine)

                def controller(command, *data):
                    pc.write(0x64, command)
                    for byte in data:
                        pc.write(0x60, byte)

                def answer():
                    self.assertTrue(pc.read(0x64) & 1, 'no byte to read')
                    value = pc.read(0x60)
                    self.assertFalse(pc.read(0x64) & 1)
                    return value

                self.assertEqual(pc.read(0x64), 0x18)
                controller(0xaa)
                self.assertEqual(answer(), 0x55)
                self.assertEqual(pc.read(0x64) & 0x1c, 0x1c)
                for command in (0xab, 0xa9):
                    controller(command)
                    self.assertEqual(answer(), 0)
                controller(0x60, 0x64)                  # mode without interrupts
                controller(0x20)
                self.assertEqual(answer(), 0x64)
                controller(0xad)
                controller(0x20)
                self.assertEqual(answer(), 0x74)
                controller(0xae)
                controller(0xa7)
                controller(0x20)
                self.assertEqual(answer(), 0x64)
                controller(0xd0)
                self.assertEqual(answer(), 0xcf)
                controller(0xdd)                        # A20 closed
                controller(0xd0)
                self.assertEqual(answer(), 0xcd)
                controller(0xd1, 0xdf)
                controller(0xd0)
                self.assertEqual(answer(), 0xdf)
                controller(0xc0)
                self.assertEqual(answer(), 0x80)
                controller(0xd2, 0x33)
                self.assertEqual(pc.read(0x64) & 0x21, 0x01)
                self.assertEqual(answer(), 0x33)
                controller(0xd3, 0x44)
                self.assertEqual(pc.read(0x64) & 0x21, 0x21)
                self.assertEqual(answer(), 0x44)
                pc.end()

    def test_keyboard_controller_interrupts(self):
        pc = self.pc()
        pc.write(0x20, 0x11)                            # the PIC, so that it takes requests
        for value in (8, 4, 1):
            pc.write(0x21, value)
        pc.write(0x20, 0x0a)                            # port 0x20 shows requests
        pc.write(0x64, 0x60)
        pc.write(0x60, 0x65)                            # interrupts of the first socket
        pc.write(0x64, 0xd2)
        pc.write(0x60, 0x12)
        self.assertEqual(pc.read(0x20) & 2, 2)
        self.assertEqual(pc.read(0x60), 0x12)

    def test_port_92(self):
        for machine in MACHINES:
            with self.subTest(machine=machine):
                pc = self.pc(machine)
                self.assertEqual(pc.read(0x92), 0)
                for value in (2, 0, 2):
                    pc.write(0x92, value)
                    self.assertEqual(pc.read(0x92), value)
                pc.end()

    def test_resets(self):
        for machine in MACHINES:
            pc = self.pc(machine)
            for port, value in ((0x92, 1), (0x64, 0xfe), (0xcf9, 6)):
                with self.subTest(machine=machine, port=port):
                    pc.write(0x64, 0xdd)
                    pc.write(port, value)
                    event = pc.qmp.wait_event('RESET', 60)
                    self.assertEqual(event['data'], {'guest': True, 'reason': 'guest-reset'})
                    pc.write(0x64, 0xd0)
                    self.assertEqual(pc.read(0x60), 0xcf)
            pc.end()

    def test_reset_control_remembers(self):
        pc = self.pc()
        self.assertEqual(pc.read(0xcf9), 0)
        pc.write(0xcf9, 2)
        self.assertEqual(pc.read(0xcf9), 2)

    def test_speaker_port(self):
        pc = self.pc()
        pc.write(0x43, 0xb0)                            # third channel, one shot
        pc.write(0x61, 1)
        pc.write(0x42, 0x10)
        pc.write(0x42, 0)
        self.assertEqual(pc.read(0x61) & 0x23, 1)
        if HAS_QTEST:
            pc.ask('clock_step 1000000')
            self.assertEqual(pc.read(0x61) & 0x23, 0x21)    # has come
        pc.write(0x61, 3)
        self.assertEqual(pc.read(0x61) & 3, 3)
        self.assertNotEqual(pc.read(0x61) & 0x10, pc.read(0x61) & 0x10)
        pc.write(0x61, 0)
        self.assertEqual(pc.read(0x61) & 3, 0)

    def test_serial_ports(self):
        ports = (0x3f8, 0x2f8, 0x3e8, 0x2e8)
        files = [self.path(f'serial{n}') for n in range(4)]
        pc = self.pc('q35', *[a for f in files for a in ('-serial', 'file:' + f)])
        for n, port in enumerate(ports):
            for letter in f'port {n}':
                pc.write(port, ord(letter))
        for n, name in enumerate(files):
            deadline = time.monotonic() + 60
            while os.path.getsize(name) < 6 and time.monotonic() < deadline:
                time.sleep(0.01)
            with open(name, encoding='latin-1') as f:
                self.assertEqual(f.read(), f'port {n}')

    def test_debug_exit(self):
        for value, more, port, status in ((0x10, '', 0x501, 0x21), (0, '', 0x502, 1),
                                          (3, ',iobase=0xf4,iosize=0x04', 0xf7, 7)):
            with self.subTest(value=value, port=port):
                pc = self.pc('pc', '-device', 'isa-debug-exit' + more)
                try:
                    pc.write(port, value)
                except (AssertionError, ConnectionError):
                    pass                                # it may be gone before it answers
                self.assertEqual(pc.ended(), status)
                pc.end()

    def test_debug_console(self):
        name = self.path('console')
        pc = self.pc('pc', '-chardev', f'file,id=c0,path={name}', '-device',
                     'isa-debugcon,iobase=0x402,chardev=c0')
        self.assertEqual(pc.read(0x402), 0xe9)
        for letter in 'Hello':
            pc.write(0x402, ord(letter))
        with open(name, encoding='latin-1') as f:
            self.assertEqual(f.read(), 'Hello')

    def test_firmware_configuration(self):
        pc = self.pc()
        pc.write(0x510, 0, 'w')
        self.assertEqual(bytes(pc.read(0x511) for _ in range(4)), b'QEMU')
        pc.write(0x510, 3, 'w')
        size = bytes(pc.read(0x511) for _ in range(8))
        self.assertEqual(int.from_bytes(size, 'little'), 16 * MIB)

    def test_system_reset_restores_devices(self):
        pc = self.pc()
        pc.write(0x64, 0xd1)
        pc.write(0x60, 0xdd)
        pc.command('system_reset')
        pc.qmp.wait_event('RESET', 60)
        pc.write(0x64, 0xd0)
        self.assertEqual(pc.read(0x60), 0xcf)


class Power(Base):
    """The power management registers, where firmware would have put them."""

    def sci(self, pc):
        """Whether the line is high: with level triggering the PIC's request follows it."""
        pc.write(0x4d1, 2)
        pc.write(0xa0, 0x0a)
        return bool(pc.read(0xa0) & 2)

    def test_timer(self):
        for machine in MACHINES:
            with self.subTest(machine=machine):
                pc = self.pc(machine)
                first = pc.read(TIMER, 'l')
                pc.ask('clock_step 1000000000')
                ticks = (pc.read(TIMER, 'l') - first) % (1 << 24)
                self.assertLessEqual(abs(ticks - TICKS_PER_SECOND), 1)
                # Its highest bit changes every 2.34 seconds.
                pc.ask('clock_step 2500000000')
                self.assertEqual(pc.read(EVENT, 'w'), STS_TIMER)
                pc.write(EVENT, STS_TIMER, 'w')
                self.assertEqual(pc.read(EVENT, 'w'), 0)
                self.assertFalse(self.sci(pc))
                pc.write(ENABLE, STS_TIMER, 'w')
                pc.ask('clock_step 2500000000')
                self.assertTrue(self.sci(pc))
                pc.write(EVENT, STS_TIMER, 'w')
                self.assertFalse(self.sci(pc))
                pc.end()

    def test_widths(self):
        pc = self.pc()
        pc.write(ENABLE + 1, 0x05)
        pc.write(ENABLE, 0x21)
        self.assertEqual(pc.read(ENABLE, 'w'), 0x521)
        self.assertEqual(pc.read(EVENT, 'l') >> 16, 0x521)
        pc.write(CONTROL, 0xdfff, 'w')
        self.assertEqual(pc.read(CONTROL, 'w'), 0xdfff)
        self.assertEqual(pc.read(CONTROL + 1), 0xdf)

    def test_acpi_on_and_off(self):
        for machine, on, off in (('pc', 0xf1, 0xf0), ('q35', 2, 3)):
            with self.subTest(machine=machine):
                pc = self.pc(machine)
                self.assertEqual(pc.read(CONTROL, 'w'), 0)
                pc.write(0xb2, on)
                self.assertEqual(pc.read(CONTROL, 'w'), 1)
                self.assertEqual(pc.read(0xb2), on)
                pc.write(0xb2, off)
                self.assertEqual(pc.read(CONTROL, 'w'), 0)
                pc.write(0xb3, 0x5a)
                self.assertEqual(pc.read(0xb3), 0x5a)
                pc.end()

    def test_power_button(self):
        for machine in MACHINES:
            with self.subTest(machine=machine):
                pc = self.pc(machine)
                pc.command('system_powerdown')
                pc.qmp.wait_event('POWERDOWN', 60)
                self.assertEqual(pc.read(EVENT, 'w') & STS_POWER, 0)
                pc.write(ENABLE, STS_POWER, 'w')
                self.assertFalse(self.sci(pc))
                pc.command('system_powerdown')
                pc.qmp.wait_event('POWERDOWN', 60)
                self.assertEqual(pc.read(EVENT, 'w') & STS_POWER, STS_POWER)
                self.assertTrue(self.sci(pc))
                pc.write(EVENT, STS_POWER, 'w')
                self.assertEqual(pc.read(EVENT, 'w') & STS_POWER, 0)
                self.assertFalse(self.sci(pc))
                pc.end()

    def test_general_purpose_events(self):
        for machine, port, width in (('pc', 0xafe0, 2), ('q35', 0x620, 8)):
            with self.subTest(machine=machine):
                pc = self.pc(machine)
                for n in range(width):
                    pc.write(port + width + n, 0x11 * (n + 1))
                self.assertEqual([pc.read(port + n) for n in range(2 * width)],
                                 [0] * width + [0x11 * (n + 1) for n in range(width)])
                pc.end()

    def test_sleep_and_wake_up(self):
        for machine in MACHINES:
            with self.subTest(machine=machine):
                pc = self.pc(machine)
                self.assertTrue(pc.command('query-current-machine')['wakeup-suspend-support'])
                pc.ask('write 0x100000 4 0x01020304')
                pc.write(0xb2, 0xf1)
                pc.write(0x92, 2)
                pc.write(CONTROL, 0x2401, 'w')
                pc.qmp.wait_event('SUSPEND', 60)
                self.assertEqual(pc.status(), 'suspended')
                self.assertEqual(pc.read(CONTROL, 'w') & 0x2000, 0)
                pc.command('system_wakeup')
                pc.qmp.wait_event('WAKEUP', 60)
                self.assertEqual(pc.status(), 'running')
                self.assertEqual(pc.read(EVENT, 'w') & (STS_WAKE | STS_POWER),
                                 STS_WAKE | STS_POWER)
                self.assertEqual(pc.read(CONTROL, 'w'), 0)      # devices were reset,
                self.assertEqual(pc.ask('readl 0x100000'), 0x04030201)  # memory was not
                pc.end()

    def test_alarm_wakes_up(self):
        for enabled in (True, False):
            with self.subTest(enabled=enabled):
                pc = self.pc()
                for register in (1, 3, 5):              # an alarm every second
                    pc.write(0x70, register)
                    pc.write(0x71, 0xff)
                pc.write(0x70, 11)
                pc.write(0x71, 0x22)
                pc.write(ENABLE, STS_RTC if enabled else 0, 'w')
                pc.write(CONTROL, 0x2400, 'w')
                pc.qmp.wait_event('SUSPEND', 60)
                if enabled:
                    pc.qmp.wait_event('WAKEUP', 60)
                    self.assertEqual(pc.read(EVENT, 'w') & (STS_WAKE | STS_RTC),
                                     STS_WAKE | STS_RTC)
                else:
                    while not pc.cmos(12) & 0x20:       # it has come, and woke nobody
                        time.sleep(0.02)
                    self.assertEqual(pc.status(), 'suspended')
                pc.end()

    def test_timer_wakes_up(self):
        pc = self.pc()
        pc.write(ENABLE, STS_TIMER, 'w')
        pc.write(CONTROL, 0x2400, 'w')
        pc.qmp.wait_event('SUSPEND', 60)
        pc.ask('clock_step 2500000000')
        pc.qmp.wait_event('WAKEUP', 60)
        self.assertEqual(pc.read(EVENT, 'w') & (STS_WAKE | STS_TIMER), STS_WAKE | STS_TIMER)

    def test_reset_while_asleep(self):
        pc = self.pc()
        pc.write(CONTROL, 0x2400, 'w')
        pc.qmp.wait_event('SUSPEND', 60)
        pc.command('system_reset')
        pc.qmp.wait_event('RESET', 60)
        self.assertEqual(pc.read(CONTROL, 'w'), 0)

    def test_switch_off(self):
        for machine, value, disk in (('pc', 0x2000, False), ('q35', 0x2001, False),
                                     ('pc', 0x2800, True)):
            with self.subTest(machine=machine, value=value):
                pc = self.pc(machine)
                pc.write(CONTROL, value, 'w')
                if disk:
                    pc.qmp.wait_event('SUSPEND_DISK', 60)
                event = pc.qmp.wait_event('SHUTDOWN', 60)
                self.assertEqual(event['data'], {'guest': True, 'reason': 'guest-shutdown'})
                self.assertEqual(pc.ended(), 0)
                pc.end()

    def test_without_acpi(self):
        pc = self.pc('pc,acpi=off')
        self.assertEqual(pc.read(CONTROL, 'w'), 0xffff)
        self.assertFalse(pc.command('query-current-machine')['wakeup-suspend-support'])


class Migration(Base):
    def test_devices(self):
        for machine in MACHINES:
            with self.subTest(machine=machine):
                name = self.path(machine + '.stream')
                a = self.pc(machine)
                a.write(0x64, 0xd1)
                a.write(0x60, 0xdd)
                a.write(0x64, 0xd2)
                a.write(0x60, 0x77)
                a.write(0x92, 2)
                a.write(0x61, 3)
                a.write(0xcf9, 2)
                a.write(ENABLE, 0x120, 'w')
                a.write(CONTROL, 0x0401, 'w')
                a.write(0xb3, 0x42)
                a.command('system_powerdown')
                a.qmp.wait_event('POWERDOWN', 60)
                a.command('migrate', uri='file:' + name)
                self.wait_migrated(a)
                b = self.pc(machine, '-incoming', 'file:' + name)
                self.wait_status(b, 'running')
                self.assertEqual(b.read(0x64) & 1, 1)
                self.assertEqual(b.read(0x60), 0x77)
                b.write(0x64, 0xd0)
                self.assertEqual(b.read(0x60), 0xdd)
                self.assertEqual(b.read(0x92), 2)
                self.assertEqual(b.read(0x61) & 3, 3)
                self.assertEqual(b.read(0xcf9), 2)
                self.assertEqual(b.read(ENABLE, 'w'), 0x120)
                self.assertEqual(b.read(EVENT, 'w') & STS_POWER, STS_POWER)
                self.assertEqual(b.read(CONTROL, 'w'), 0x401)
                self.assertEqual(b.read(0xb3), 0x42)
                a.end()
                b.end()

    def test_versions_differ(self):
        """What an old version does not send."""
        for machine, extended, speaker in (('pc-i440fx-10.0', True, True),
                                           ('pc-i440fx-6.0', False, True),
                                           ('pc-q35-2.7', False, False)):
            with self.subTest(machine=machine):
                name = self.path(machine + '.stream')
                pc = self.pc(machine)
                pc.command('migrate', uri='file:' + name)
                self.wait_migrated(pc)
                pc.end()
                with open(name, 'rb') as f:
                    content = f.read()
                self.assertEqual(b'pckbd/extended_state' in content, extended)
                self.assertEqual(b'pcspk' in content, speaker)
                self.assertIn(b'port92', content)


def accelerators():
    return ['tcg'] + (['kvm'] if os.access('/dev/kvm', os.R_OK | os.W_OK) else [])


class Boot(Base):
    """What the machine starts, and with what; the guests of tests/guest do the rest."""

    def sector(self, code, name='disk', signature=b'\x55\xaa'):
        path = self.path(name)
        with open(path, 'wb') as f:
            f.write(code.ljust(510, b'\0') + signature)
        return path

    def boot(self, machine, accel, *more):
        self.serial = self.path(f'serial{self.count}')
        return self.pc(machine, '-serial', 'file:' + self.serial, *more, accel=accel)

    def printed(self, length):
        deadline = time.monotonic() + 60
        while time.monotonic() < deadline:
            with open(self.serial, 'rb') as f:
                data = f.read()
            if len(data) >= length:
                break
            time.sleep(0.02)
        return data

    def halted(self, pc):
        """The CPU stands in the start-up program."""
        deadline = time.monotonic() + 60
        while time.monotonic() < deadline:
            if 'HLT=1' in pc.command('human-monitor-command', **{'command-line': 'info registers'}):
                return True
            time.sleep(0.02)
        return False

    def each(self):
        for machine in MACHINES:
            for accel in accelerators():
                yield machine, accel

    def test_services_are_refused(self):
        # int $0x13; print AH, and CF as 0 or 1
        code = bytes.fromhex('fa b80102 31db cd13 9c 5b 80e301 baf803 88e0 ee 88d8 ee f4 ebfd')
        path = self.sector(code)
        for machine, accel in self.each():
            with self.subTest(machine=machine, accel=accel):
                pc = self.boot(machine, accel, '-drive', f'file={path},format=raw')
                self.assertEqual(self.printed(2), b'\x86\x01')
                pc.end()

    def test_nothing_to_start(self):
        """The CPU halts, and the serial port stays silent."""
        for signature in (None, b'\0\0'):
            for machine, accel in self.each():
                with self.subTest(machine=machine, accel=accel, signature=signature):
                    more = []
                    if signature is not None:
                        path = self.sector(b'\xf4', signature=signature)
                        more = ['-drive', f'file={path},format=raw']
                    pc = self.boot(machine, accel, *more)
                    self.assertTrue(self.halted(pc))
                    self.assertEqual(pc.status(), 'running')
                    self.assertEqual(os.path.getsize(self.serial), 0)
                    pc.end()

    def test_read_anew(self):
        """A reset starts what the disk holds by then; the disk can be one given with -device."""
        def letter(c):
            return bytes.fromhex('baf803 b0') + c + bytes.fromhex('ee fa f4 ebfc')

        for accel in accelerators():
            with self.subTest(accel=accel):
                path = self.sector(letter(b'1'))
                pc = self.boot('q35', accel, '-drive', f'if=none,id=d0,file={path},format=raw',
                               '-device', 'ide-hd,drive=d0,secs=1,cyls=1,heads=1')
                self.assertEqual(self.printed(1), b'1')
                self.sector(letter(b'2'))
                pc.command('system_reset')
                self.assertEqual(self.printed(2), b'12')
                pc.end()

    def test_guest_uses_the_registers(self):
        """Suspends, is woken up by the clock's alarm, and switches the machine off."""
        # Print a letter; if that was the first start (a byte at 0x9000 is 0): alarm every second,
        # RTC_EN, S3. Otherwise print what woke it (high byte of the event register), S5.
        code = bytes.fromhex(
            'fa baf803 b04c ee 803e009000 7534 c606009001'
            'b001 e670 b0ff e671 b003 e670 b0ff e671 b005 e670 b0ff e671 b00b e670 b022 e671'
            'ba0206 b80004 ef ba0406 b80024 ef f4 ebfd'
            'ba0106 ec baf803 ee ba0406 b80020 ef f4 ebfd')
        jump = code.index(b'\x75\x34')
        target = code.index(bytes.fromhex('ba0106'))
        code = code[:jump + 1] + bytes([target - jump - 2]) + code[jump + 2:]
        for machine, accel in self.each():
            with self.subTest(machine=machine, accel=accel):
                path = self.sector(code)
                pc = self.boot(machine, accel, '-drive', f'file={path},format=raw')
                for event in ('SUSPEND', 'WAKEUP', 'SHUTDOWN'):
                    pc.qmp.wait_event(event, 60)
                self.assertEqual(pc.ended(), 0)
                self.assertEqual(self.printed(3), b'LL\x84')    # WAK and RTC
                pc.end()

    def test_speaker_port(self):
        """Whoever answers at port 0x61 (the kernel, with KVM): a count runs out; state moves."""
        # Third channel, mode 0, count 0x1000, gate open; wait for its output; print "o"; then
        # print bits 0 and 1 as a digit at every interrupt of the timer.
        code = bytes.fromhex('b0b0 e643 b003 e661 b000 e642 b010 e642 e461 a820 74fa'
                             'baf803 b06f ee e461 2403 0430 ee f4 ebf6')
        path = self.sector(code)
        disk = ['-drive', f'file={path},format=raw']
        for machine, accel in (('pc', 'tcg'), ('pc', 'kvm'), ('q35', 'kvm,kernel-irqchip=off'),
                               ('q35', 'kvm,kernel-irqchip=split')):
            if accel.split(',')[0] not in accelerators():
                continue
            with self.subTest(machine=machine, accel=accel):
                name = self.path('stream')
                a = self.boot(machine, accel, *disk)
                self.assertEqual(self.printed(3)[:3], b'o33')
                a.command('migrate', uri='file:' + name)
                self.wait_migrated(a)
                a.end()
                b = self.boot(machine, accel, *disk, '-incoming', 'file:' + name)
                self.assertEqual(set(self.printed(2)), {ord('3')})
                b.end()

    @unittest.skipUnless('QTEST_GUEST_DIR' in os.environ, 'QTEST_GUEST_DIR is not set')
    def test_kernel(self):
        guest = os.path.join(os.environ['QTEST_GUEST_DIR'], 'dirty32.elf')
        for machine, accel in self.each():
            with self.subTest(machine=machine, accel=accel):
                pc = self.boot(machine, accel, '-kernel', guest, '-append', 'size=256K rounds=1')
                self.assertEqual(self.printed(3)[:1], b'A')
                pc.end()


class Options(Base):
    def refused(self, why, *arguments):
        from vmtools.machine import MachineError
        with self.assertRaisesRegex(MachineError, why):
            Machine(BINARY, ['-accel', 'qtest', '-m', '16M', *arguments], 'refused',
                    tempfile.mkdtemp(dir=self.directory.name))

    def test_refused(self):
        self.refused('pc-i440fx-10.0,hpet=on: not built in', '-machine', 'pc,hpet=on')
        self.refused('smm=on: not built in', '-machine', 'q35,smm=on')
        self.refused('expected a multiple', '-machine', 'q35,max-ram-below-4g=5G')
        self.refused('beyond 0xffff', '-machine', 'pc', '-device', 'isa-debug-exit,iobase=0x10000')
        self.refused("'iosize' is 0", '-machine', 'pc', '-device', 'isa-debug-exit,iosize=0')
        self.refused('char', '-machine', 'pc', '-device', 'isa-debugcon')

    def test_libvirt_options(self):
        pc = self.pc('pc-i440fx-7.2,usb=off,vmport=off,hpet=off,smm=off,dump-guest-core=off,'
                     'acpi=on')
        self.assertEqual(pc.read(CONTROL, 'w'), 0)

    def test_merged_and_trailing_comma(self):
        pc = self.pc('pc-q35-10.0,', '-machine', 'i8042=off')
        self.assertEqual(pc.read(0x64), 0xff)
        machines = pc.command('query-machines')
        self.assertEqual([m['name'] for m in machines if m.get('alias') == 'q35'], ['pc-q35-10.0'])

    def test_default(self):
        path = self.path('default')
        os.mkdir(path)
        m = Machine(BINARY, ['-accel', 'qtest'], 'default', path)
        self.addCleanup(m.end)
        self.assertEqual(m.command('qom-get', path='/machine', property='type'),
                         'pc-i440fx-10.0-machine')

    def test_same_defaults_as_the_version(self):
        for machine, property_, value in (
                ('pc-i440fx-10.0', 'zero-page-detection', 'multifd'),
                ('pc-q35-8.2', 'zero-page-detection', 'legacy')):
            with self.subTest(machine=machine):
                pc = self.pc(machine)
                self.assertEqual(pc.command('query-migrate-parameters')[property_], value)
                pc.end()


if __name__ == '__main__':
    tap.main()
