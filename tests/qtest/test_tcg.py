#!/usr/bin/env python3
# SPDX-License-Identifier: GPL-2.0-or-later
"""Guests under TCG in the microvm, with either kind of dirty tracking: they run, stop and go on,
are reset, and migrate, and no write of theirs is lost.

QTEST_QEMU_BINARY names the emulator, QTEST_GUEST_DIR where the guests are built.
"""

import contextlib
import ctypes
import os
import re
import shutil
import subprocess
import sys
import tempfile
import time
import unittest

HERE = os.path.dirname(os.path.abspath(__file__))
sys.path[:0] = [os.path.join(HERE, '..', '..', 'scripts'), os.path.join(HERE, '..', 'guest')]

import check                                                                    # noqa: E402
from vmtools import migrate, tap                                                # noqa: E402
from vmtools.machine import MICROVM, Machine, SerialTap, for_older              # noqa: E402

BINARY = os.environ.get('QTEST_QEMU_BINARY', 'build/godwit-system-x86_64')
GUESTS = os.environ.get('QTEST_GUEST_DIR', 'build/tests/guest')
QEMU = shutil.which(os.environ.get('QEMU_BINARY', 'qemu-system-x86_64'))


LIBC = ctypes.CDLL(None, use_errno=True)
LIBC.ptrace.argtypes = (ctypes.c_long, ctypes.c_long, ctypes.c_void_p, ctypes.c_void_p)
LIBC.ptrace.restype = ctypes.c_long
PTRACE_DETACH, PTRACE_SEIZE, PTRACE_INTERRUPT = 17, 0x4206, 0x4207
WAIT_ALL = 0x40000000                   # __WALL: threads too


def ptrace(request, thread):
    if LIBC.ptrace(request, thread, None, None) == -1:
        raise OSError(ctypes.get_errno(), os.strerror(ctypes.get_errno()))


@contextlib.contextmanager
def held(thread):
    """One thread gets no processor, as when a host runs the others only."""
    try:
        ptrace(PTRACE_SEIZE, thread)
    except OSError as e:
        raise unittest.SkipTest(f'a thread cannot be held: {e}') from e
    ptrace(PTRACE_INTERRUPT, thread)
    os.waitpid(thread, WAIT_ALL)
    try:
        yield
    finally:
        ptrace(PTRACE_DETACH, thread)


class Base(unittest.TestCase):
    @classmethod
    def setUpClass(cls):
        found = subprocess.run([BINARY, '-accel', 'help'], capture_output=True, text=True)
        if 'tcg' not in found.stdout.split():
            raise unittest.SkipTest('the emulator was built without TCG')

    def setUp(self):
        self.directory = tempfile.TemporaryDirectory(prefix='godwit-')
        self.addCleanup(self.directory.cleanup)

    def microvm(self, name, append, bits=32, vcpus=1, accel='tcg', extra=(), machine=MICROVM,
                binary=BINARY):
        serial = SerialTap(os.path.join(self.directory.name, name + '.serial'))
        self.addCleanup(serial.close)
        m = Machine(binary, ['-machine', machine, '-accel', accel, '-m', '64',
                             '-smp', str(vcpus), '-kernel', f'{GUESTS}/dirty{bits}.elf',
                             '-append', append, *extra],
                    name=name, directory=self.directory.name, serial=serial)
        self.addCleanup(m.end)
        return m

    def expect(self, machine, accepts, timeout=60):
        """Waits until the guest has said what is wanted; an error that it reports ends the wait."""
        came = machine.serial.wait(lambda t: 'E' in t or accepts(t), timeout, machine.alive)
        if came and 'E' in machine.serial.text():
            machine.serial.wait(lambda t: t.endswith('\n'), 5, machine.alive)
            came = False
        if not came:
            self.fail(f'{machine.name}: serial port said only {machine.serial.text()[-200:]!r}; '
                      f'{machine.stderr()}\n{self.state(machine)}')

    def state(self, machine):
        """What a machine is at that does not go on, in the few lines that CI shows of a test."""
        lines = []
        with contextlib.suppress(Exception):    # as far as it goes: it may hang, or be gone
            for task in sorted(os.listdir(f'/proc/{machine.process.pid}/task'), key=int):
                with open(f'/proc/{machine.process.pid}/task/{task}/stat', encoding='ascii') as f:
                    fields = f.read().rpartition(') ')[2].split()
                lines.append(f'{fields[0]} {fields[11]}+{fields[12]}')
            lines = ['threads (state, user + system time): ' + ', '.join(lines)]
            for name in 'query-status', 'query-migrate':
                lines.append(f'{name}: {machine.command(name, timeout=5)}')
            registers = machine.command('human-monitor-command', timeout=5,
                                        **{'command-line': 'info registers -a'})
            lines += [x for x in registers.splitlines() if re.match(r'CPU#|[ER][A-Z][A-Z]=|R8', x)]
            for v in check.Control(machine.read_memory).vcpus:
                lines.append(f'vCPU {v.number} {v.state}: round {v.round} page {v.pos}, '
                             f'{v.late} times late, TSC {v.tsc_last}')
        return '\n'.join(lines)


class Run(Base):
    def test_every_form(self):
        for bits, ring, vcpus in ((32, 0, 1), (32, 3, 1), (64, 0, 1), (64, 3, 1),
                                  (32, 0, 2), (64, 3, 3)):
            with self.subTest(bits=bits, ring=ring, vcpus=vcpus):
                m = self.microvm(f'm{bits}r{ring}v{vcpus}',
                                 f'ring={ring} vcpus={vcpus} size=768K rounds=3 words=8',
                                 bits, vcpus)
                self.expect(m, lambda t: '!' in t)
                self.assertEqual(check.letters(m.serial.text()), 'Aabc!')
                m.command('stop')
                report = check.check_memory(m.read_memory)
                self.assertEqual(report.rounds[0], 3)
                m.end()

    def test_stop_and_cont(self):
        m = self.microvm('stop', 'ring=0 size=1M', bits=64)
        self.expect(m, lambda t: 'b' in t)
        for _ in range(10):
            m.command('stop')
            self.assertEqual(m.command('query-status')['status'], 'paused')
            m.serial.settle()
            before = m.serial.text()
            check.check_memory(m.read_memory)
            time.sleep(0.05)
            self.assertEqual(m.serial.text(), before)
            m.command('cont')
            self.expect(m, lambda t: len(t) > len(before) + 1)
        check.check_serial(m.serial.text())

    def test_reset(self):
        m = self.microvm('reset', 'ring=0 size=1M', vcpus=2)
        self.expect(m, lambda t: 'b' in t)
        m.command('system_reset')
        self.expect(m, lambda t: t.count('A') == 2 and t.rstrip().endswith('b'))
        m.command('stop')
        check.check_memory(m.read_memory)

    def test_late_vcpus(self):
        """The host runs the first vCPU's thread alone for a while: it waits for the others."""
        m = self.microvm('late', 'ring=3 vcpus=3 size=1M', vcpus=3, extra=('-S',))
        threads = [c['thread-id'] for c in m.command('query-cpus-fast')]
        with contextlib.ExitStack() as first, contextlib.ExitStack() as second:
            first.enter_context(held(threads[1]))
            second.enter_context(held(threads[2]))
            m.command('cont')
            self.expect(m, lambda t: 'A' in t)
            time.sleep(0.5)
            first.close()
            time.sleep(0.5)
        self.expect(m, lambda t: 'b' in t)
        m.command('stop')
        check.check_memory(m.read_memory)

    def test_queries(self):
        m = self.microvm('queries', 'ring=0 size=1M', vcpus=2)
        self.expect(m, lambda t: 'a' in t)
        self.assertEqual(m.command('query-kvm')['enabled'], False)
        cpus = m.command('query-cpus-fast')
        self.assertEqual(len({c['thread-id'] for c in cpus}), 2)
        text = m.command('human-monitor-command', **{'command-line': 'info registers'})
        self.assertRegex(text, '[ER]IP=')
        m.command('stop')
        check.check_memory(m.read_memory)

    def test_quick_stop(self):
        """A guest that runs without a break stops at once, with several vCPUs too."""
        m = self.microvm('quick', 'ring=0 vcpus=4 size=4M', vcpus=4)
        self.expect(m, lambda t: 'a' in t)
        worst = 0
        for _ in range(20):
            began = time.monotonic()
            m.command('stop')
            worst = max(worst, time.monotonic() - began)
            m.command('cont')
        print(f'# slowest of 20 stops: {worst * 1e3:.1f} ms')
        self.assertLess(worst, 1)


class Migrate(Base):
    def move(self, append, accel='tcg', hops=1, **kind):
        machine = self.microvm('hop0', append, accel=accel, **kind)
        self.expect(machine, lambda t: 'b' in t)
        text = ''
        for hop in range(1, hops + 1):
            there = self.microvm(f'hop{hop}', append, accel=accel,
                                 **dict(kind, extra=('-incoming', 'tcp:127.0.0.1:0')))
            migrate.run(machine, there, migrate.listening_uri(there),
                        parameters={'max-bandwidth': 1 << 32, 'downtime-limit': 300})
            machine.serial.settle()
            text += machine.serial.text()
            moved = check.check_serial(text)
            machine.end()
            self.expect(there, lambda t: len(check.letters(t)) > 1)
            machine = there
        machine.command('stop')
        machine.serial.settle()
        report = check.check_memory(machine.read_memory)
        self.assertGreater(check.check_serial(text + machine.serial.text()), moved)
        self.assertGreaterEqual(report.rounds[0], moved)

    def test_wp_async(self):
        self.move('ring=0 size=4M rate=4000 words=8', accel='tcg,dirty-tracking=wp-async')

    def test_hooks(self):
        self.move('ring=3 size=4M rate=4000 words=8', accel='tcg,dirty-tracking=hooks')

    def test_long_mode(self):
        self.move('ring=3 size=8M rate=4000 fill=random stride=77', bits=64)

    def test_three_vcpus(self):
        self.move('ring=3 vcpus=3 size=6M hot=3M rate=2000 words=64', vcpus=3)

    def test_unpaced(self):
        """As fast as it goes, over a small range: every page is dirty in every pass."""
        self.move('ring=0 size=1M words=16', bits=64)

    def test_hops(self):
        self.move('ring=0 size=2M rate=4000', hops=4, vcpus=2)

    def test_shared_memory(self):
        self.move('ring=0 size=4M rate=4000', machine=MICROVM + ',memory-backend=ram0',
                  bits=64)

    def microvm(self, name, append, machine=MICROVM, extra=(), **kind):
        if 'memory-backend' in machine:
            extra = ('-object', 'memory-backend-memfd,id=ram0,size=64M,share=on', *extra)
        return super().microvm(name, append, machine=machine, extra=extra, **kind)

    def test_devices(self):
        """With interrupt controllers and timer, whose state moves along."""
        self.move('ring=0 size=2M rate=4000', machine='microvm')

    def test_failed_migration(self):
        """The source goes on when there is nobody to take it."""
        m = self.microvm('stays', 'ring=0 size=1M')
        self.expect(m, lambda t: 'b' in t)
        m.command('migrate', uri=f'unix:{self.directory.name}/nobody')
        self.assertEqual(migrate.wait_status(m)['status'], 'failed')
        before = len(m.serial.text())
        self.expect(m, lambda t: len(t) > before + 2)
        m.command('stop')
        check.check_memory(m.read_memory)


@unittest.skipIf(QEMU is None, 'qemu-system-x86_64 is not installed')
class WithQemu(Base):
    """Between this TCG and the real one."""

    def move(self, binaries, append, **kind):
        extra = for_older(*binaries)
        source = self.microvm('source', append, binary=binaries[0], extra=extra, **kind)
        self.expect(source, lambda t: 'b' in t)
        there = self.microvm('destination', append, binary=binaries[1],
                             extra=['-incoming', 'tcp:127.0.0.1:0'], **kind)
        migrate.run(source, there, migrate.listening_uri(there),
                    parameters={'max-bandwidth': 1 << 32})
        source.serial.settle()
        self.expect(there, lambda t: len(check.letters(t)) > 1)
        there.command('stop')
        there.serial.settle()
        check.check_memory(there.read_memory)
        check.check_serial(source.serial.text() + there.serial.text())

    def test_from_qemu(self):
        self.move((QEMU, BINARY), 'ring=0 size=4M rate=4000')

    def test_from_qemu_long_mode(self):
        # One vCPU: of several QEMU 7.2 now and then loses writes on a busy machine (to itself too).
        self.move((QEMU, BINARY), 'ring=3 size=4M rate=2000', bits=64)

    def test_to_qemu(self):
        self.move((BINARY, QEMU), 'ring=3 size=4M rate=4000')

    def test_to_qemu_long_mode(self):
        self.move((BINARY, QEMU), 'ring=3 vcpus=2 size=4M rate=2000', bits=64, vcpus=2)

    def test_all_devices_from_qemu(self):
        self.move((QEMU, BINARY), 'ring=0 size=2M rate=4000',
                  machine='microvm,acpi=off,rtc=off,pic=on,pit=on')

    def test_all_devices_to_qemu(self):
        self.move((BINARY, QEMU), 'ring=0 size=2M rate=4000',
                  machine='microvm,acpi=off,rtc=off,pic=on,pit=on')


if __name__ == '__main__':
    tap.main()
