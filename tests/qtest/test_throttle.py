#!/usr/bin/env python3
# SPDX-License-Identifier: GPL-2.0-or-later
"""Guests that are kept from writing: auto-converge, dirty-limit, and how fast they write as
calc-dirty-rate tells. What a guest gets done is its own counter of pages, in its memory.

QTEST_QEMU_BINARY names the emulator, QTEST_GUEST_DIR where the guests are built.
"""

import os
import subprocess
import sys
import tempfile
import time
import unittest

HERE = os.path.dirname(os.path.abspath(__file__))
sys.path[:0] = [os.path.join(HERE, '..', '..', 'scripts'), os.path.join(HERE, '..', 'guest')]

import check                                                                    # noqa: E402
from vmtools import migrate, programs, tap                                      # noqa: E402
from vmtools.machine import MICROVM, Machine, SerialTap                         # noqa: E402
from vmtools.qmp import QMPError                                                # noqa: E402

BINARY = os.environ.get('QTEST_QEMU_BINARY', 'build/godwit-system-x86_64')
GUESTS = os.environ.get('QTEST_GUEST_DIR', 'build/tests/guest')
TIMEOUT = 120
MIB = 1 << 20
NOWHERE = 'exec:cat >/dev/null'


def kvm_usable():
    return os.access('/dev/kvm', os.R_OK | os.W_OK)


class Base(unittest.TestCase):
    def setUp(self):
        self.directory = tempfile.TemporaryDirectory(prefix='godwit-')
        self.addCleanup(self.directory.cleanup)

    def guest(self, name, accel, append, vcpus=2, extra=()):
        kind = accel.split(',')[0]
        if kind == 'kvm' and not kvm_usable():
            self.skipTest('/dev/kvm cannot be used')
        found = subprocess.run([BINARY, '-accel', 'help'], capture_output=True, text=True)
        if kind not in found.stdout.split():
            self.skipTest(f'the emulator was built without {kind}')
        serial = SerialTap(os.path.join(self.directory.name, name + '.serial'))
        self.addCleanup(serial.close)
        m = Machine(BINARY, ['-machine', MICROVM, '-accel', accel, '-m', '128', '-smp', str(vcpus),
                             '-kernel', f'{GUESTS}/dirty64.elf', '-append', f'vcpus={vcpus} {append}',
                             *extra], name=name, directory=self.directory.name, serial=serial)
        self.addCleanup(m.end)
        if '-incoming' not in extra:
            self.wait(m, lambda: 'b' in serial.text(), 'the guest starts')
        return m

    def wait(self, machine, condition, what):
        end = time.monotonic() + TIMEOUT
        while not condition():
            if time.monotonic() > end or not machine.alive():
                self.fail(f'{machine.name}: {what}: not within {TIMEOUT} s; {machine.stderr()} '
                          f'{machine.command("query-migrate")}')
            time.sleep(0.02)

    def done(self, machine):
        """Pages that the guest has written since it began."""
        control = check.Control(machine.read_memory)
        return sum(v.round * v.hot_pages + v.pos for v in control.vcpus)

    def speed(self, machine, seconds):
        """What it gets done in a second."""
        begin, before = time.monotonic(), self.done(machine)
        time.sleep(seconds)
        return (self.done(machine) - before) / (time.monotonic() - begin)

    def wait_speed(self, machine, enough, what):
        self.wait(machine, lambda: self.speed(machine, 0.5) > enough, what)

    def info(self, machine):
        return machine.command('query-migrate')

    def refused(self, machine, name, /, **arguments):
        with self.assertRaises(QMPError) as e:
            machine.command(name, **arguments)
        return str(e.exception)

    def check_moved(self, source, destination):
        """What was written arrived, and the guest goes on."""
        self.wait(destination, lambda: destination.command('query-status')['status'] == 'running',
                  'the guest runs')
        before = self.done(destination)
        self.wait(destination, lambda: self.done(destination) > before + 100, 'the guest goes on')
        destination.command('stop')
        check.check_memory(destination.read_memory)
        check.check_serial(source.serial.text() + destination.serial.text())


class AutoConverge(Base):
    """At 99 percent a guest gets done less than half of what it did: far from the truth, but certain
    on a machine that has other things to do."""

    def throttle(self, machine, bandwidth, **parameters):
        migrate.set_up(machine, ('auto-converge',),
                       {'cpu-throttle-initial': 99, 'throttle-trigger-threshold': 1,
                        'max-bandwidth': bandwidth, 'downtime-limit': 1, **parameters})

    def percentage(self, machine):
        return self.info(machine).get('cpu-throttle-percentage')

    def check_cancel(self, accel, append, bandwidth):
        m = self.guest('source', accel, append)
        free = self.speed(m, 2)
        self.throttle(m, bandwidth)
        m.command('migrate', uri=NOWHERE)
        self.assertIsNone(self.percentage(m))       # not before it throttles
        self.wait(m, lambda: self.percentage(m) == 99, 'it throttles')
        slow = self.speed(m, 4)
        self.assertLess(slow, free / 2)
        # It still does what it is asked.
        self.assertIn('RIP=', m.command('human-monitor-command', **{'command-line': 'info registers -a'}))
        m.command('stop')
        m.command('cont')
        m.command('migrate_cancel')
        self.wait(m, lambda: self.info(m)['status'] == 'cancelled', 'it is cancelled')
        self.assertIsNone(self.percentage(m))
        self.wait_speed(m, free / 3, 'the guest is free again')
        m.command('stop')
        check.check_memory(m.read_memory)

    def test_cancel_kvm(self):
        self.check_cancel('kvm', 'ring=3 size=64M', 8 * MIB)

    def test_cancel_tcg(self):
        self.check_cancel('tcg', 'size=4M', MIB)

    def test_failure(self):
        """The peer goes away: the guest is free again."""
        m = self.guest('source', 'tcg', 'size=4M')
        free = self.speed(m, 2)
        self.throttle(m, MIB)
        stop = os.path.join(self.directory.name, 'stop')
        m.command('migrate', uri=f'exec:while ! test -e {stop}; do head -c 10000; done >/dev/null')
        self.wait(m, lambda: self.percentage(m) == 99, 'it throttles')
        self.assertLess(self.speed(m, 4), free / 2)
        with open(stop, 'w', encoding='ascii'):
            pass
        self.wait(m, lambda: self.info(m)['status'] == 'failed', 'it fails')
        self.assertIsNone(self.percentage(m))
        self.wait_speed(m, free / 3, 'the guest is free again')

    def test_steps(self):
        """From initial by increment to max; what is changed meanwhile counts from then on."""
        m = self.guest('source', 'tcg', 'size=4M')
        self.throttle(m, MIB, **{'cpu-throttle-initial': 5, 'cpu-throttle-increment': 3,
                                 'max-cpu-throttle': 8})
        m.command('migrate', uri=NOWHERE)
        seen = []

        def has(last):
            now = self.percentage(m)
            if now is not None and now not in seen:
                seen.append(now)
            return last in seen

        self.wait(m, lambda: has(8), 'it throttles by steps')
        self.assertEqual(seen, [5, 8])
        m.command('migrate-set-parameters', **{'max-cpu-throttle': 90, 'cpu-throttle-increment': 40})
        self.wait(m, lambda: has(88), 'it throttles more')
        self.assertEqual(seen, [5, 8, 48, 88][:len(seen)])
        m.command('migrate_cancel')

    def test_moves(self):
        """A throttled guest moves as any, and runs freely where it comes to."""
        source = self.guest('source', 'tcg', 'size=4M words=16')
        free = self.speed(source, 2)
        destination = self.guest('destination', 'tcg', 'size=4M words=16',
                                 extra=('-incoming', 'defer'))
        self.throttle(source, MIB)
        destination.command('migrate-incoming', uri='tcp:127.0.0.1:0')
        source.command('migrate', uri=migrate.listening_uri(destination))
        self.wait(source, lambda: self.percentage(source) == 99, 'it throttles')
        source.command('migrate-set-parameters', **{'downtime-limit': 30000, 'max-bandwidth': 0})
        info = migrate.wait_status(source, timeout=TIMEOUT)
        self.assertEqual(info['status'], 'completed')
        self.assertNotIn('cpu-throttle-percentage', info)
        self.wait_speed(destination, free / 4, 'the guest is free')
        self.check_moved(source, destination)

    def test_long_pass(self):
        """Passes that take long are interrupted by a look at what is written, once it throttles."""
        m = self.guest('source', 'tcg', 'size=16M')
        self.throttle(m, 2 * MIB, **{'cpu-throttle-initial': 1, 'cpu-throttle-increment': 1})
        m.command('migrate', uri=NOWHERE)
        self.wait(m, lambda: self.percentage(m) is not None, 'it throttles')
        syncs = self.info(m)['ram']['dirty-sync-count']
        m.command('migrate-set-parameters', **{'max-bandwidth': 100000})    # a pass: two minutes
        self.wait(m, lambda: self.info(m)['ram']['dirty-sync-count'] >= syncs + 2, 'it looks again')
        m.command('migrate_cancel')


class DirtyLimit(Base):
    ACCEL = 'kvm,dirty-ring-size=65536'

    def ring_guest(self, name, append='ring=3 size=64M', extra=()):
        return self.guest(name, self.ACCEL, append, extra=extra)

    def limits(self, machine):
        return {x['cpu-index']: x['limit-rate'] for x in machine.command('query-vcpu-dirty-limit')}

    def test_commands(self):
        m = self.ring_guest('source')
        free = self.speed(m, 2)
        m.command('set-vcpu-dirty-limit', **{'cpu-index': 1, 'dirty-rate': 3})
        self.assertEqual(self.limits(m), {1: 3})
        m.command('set-vcpu-dirty-limit', **{'dirty-rate': 2})
        self.assertEqual(self.limits(m), {0: 2, 1: 2})
        self.wait(m, lambda: all(x['current-rate'] for x in
                                 m.command('query-vcpu-dirty-limit')), 'the rates are measured')
        self.assertLess(self.speed(m, 6), free / 2)
        self.assertIn('RIP=', m.command('human-monitor-command',
                                        **{'command-line': 'info registers -a'}))
        m.command('cancel-vcpu-dirty-limit', **{'cpu-index': 0})
        self.assertEqual(self.limits(m), {1: 2})
        m.command('set-vcpu-dirty-limit', **{'cpu-index': 1, 'dirty-rate': 0})
        self.assertEqual(self.limits(m), {})
        self.wait_speed(m, free / 3, 'the guest is free again')
        m.command('stop')
        check.check_memory(m.read_memory)

    def test_migration(self):
        """A migration limits the guest; what a user has set is there again afterwards."""
        m = self.ring_guest('source')
        migrate.set_up(m, ('dirty-limit',),
                       {'vcpu-dirty-limit': 2, 'max-bandwidth': 8 * MIB, 'downtime-limit': 1,
                        'throttle-trigger-threshold': 1})
        m.command('set-vcpu-dirty-limit', **{'cpu-index': 0, 'dirty-rate': 500})
        m.command('cancel-vcpu-dirty-limit')
        m.command('migrate', uri=NOWHERE)
        self.assertNotIn('dirty-limit-ring-full-time', self.info(m))
        self.wait(m, lambda: self.limits(m) == {0: 2, 1: 2}, 'it limits')
        self.wait(m, lambda: self.info(m).get('dirty-limit-throttle-time-per-round'), 'they sleep')
        self.assertGreater(self.info(m)['dirty-limit-ring-full-time'], 0)
        for name, arguments in (('set', {'dirty-rate': 3}), ('cancel', {})):
            self.assertIn(f"can't {name} dirty page rate limit while migration is running",
                          self.refused(m, f'{name}-vcpu-dirty-limit', **arguments))
        m.command('migrate-set-parameters', **{'vcpu-dirty-limit': 7})
        self.assertEqual(self.limits(m), {0: 7, 1: 7})
        m.command('migrate_cancel')
        self.wait(m, lambda: self.info(m)['status'] == 'cancelled', 'it is cancelled')
        self.wait(m, lambda: not self.limits(m), 'the limits are gone')
        self.assertNotIn('dirty-limit-ring-full-time', self.info(m))

    def test_moves(self):
        """What does not get done without a limit gets done with it, and all memory arrives."""
        source = self.ring_guest('source', 'ring=3 size=64M words=16')
        destination = self.ring_guest('destination', 'ring=3 size=64M words=16',
                                      extra=('-incoming', 'defer'))
        migrate.set_up(source, ('dirty-limit',),
                       {'vcpu-dirty-limit': 1, 'max-bandwidth': 24 * MIB, 'downtime-limit': 300})
        destination.command('migrate-incoming', uri='tcp:127.0.0.1:0')
        source.command('migrate', uri=migrate.listening_uri(destination))
        self.wait(source, lambda: self.info(source)['status'] == 'completed', 'it converges')
        self.assertEqual(self.limits(source), {})
        self.check_moved(source, destination)


class DirtyRate(Base):
    def measure(self, machine, **arguments):
        machine.command('calc-dirty-rate', **arguments)
        self.assertIn('already being measured', self.refused(machine, 'calc-dirty-rate', **arguments))
        self.assertEqual(machine.command('query-dirty-rate')['status'], 'measuring')
        self.assertNotIn('dirty-rate', machine.command('query-dirty-rate'))
        self.wait(machine, lambda: machine.command('query-dirty-rate')['status'] == 'measured',
                  'it is measured')
        return machine.command('query-dirty-rate')

    def check_modes(self, accel, append, most, log):
        m = self.guest('source', accel, append)
        for mode in ('page-sampling', log):
            with self.subTest(accel=accel, mode=mode):
                info = self.measure(m, mode=mode, **{'calc-time': 2})
                self.assertEqual((info['mode'], info['calc-time'], info['calc-time-unit']),
                                 (mode, 2, 'second'))
                self.assertEqual(info['sample-pages'], 512 if mode == 'page-sampling' else 0)
                self.assertGreater(info['dirty-rate'], 0)
                if log == 'dirty-bitmap':
                    # A page counts once: no more than the guest's range, and what it writes besides.
                    self.assertLessEqual(info['dirty-rate'], most / 2 + 2)
                self.assertLess(abs(info['start-time'] - time.time()), 3600)
        m.command('stop')
        self.assertEqual(self.measure(m, **{'calc-time': 1})['dirty-rate'], 0)
        self.assertEqual(self.measure(m, mode=log, **{'calc-time': 1})['dirty-rate'], 0)
        check.check_memory(m.read_memory)
        return m

    def test_kvm(self):
        self.check_modes('kvm', 'ring=3 size=64M', 64, 'dirty-bitmap')

    def test_tcg(self):
        self.check_modes('tcg', 'size=8M', 8, 'dirty-bitmap')

    def test_ring(self):
        m = self.check_modes('kvm,dirty-ring-size=65536', 'ring=3 size=64M', 64, 'dirty-ring')
        m.command('cont')
        info = self.measure(m, mode='dirty-ring', **{'calc-time': 1})
        self.assertEqual([v['id'] for v in info['vcpu-dirty-rate']], [0, 1])
        self.assertLessEqual(abs(sum(v['dirty-rate'] for v in info['vcpu-dirty-rate']) -
                                 info['dirty-rate']), 2)

    def test_units(self):
        m = self.guest('source', 'tcg', 'size=8M')
        info = self.measure(m, **{'calc-time': 700, 'calc-time-unit': 'millisecond',
                                  'sample-pages': 16384})
        self.assertEqual((info['calc-time'], info['sample-pages']), (0, 16384))
        info = m.command('query-dirty-rate', **{'calc-time-unit': 'millisecond'})
        self.assertEqual((info['calc-time'], info['calc-time-unit']), (700, 'millisecond'))

    def check_first_pass(self, accel, append):
        """While a migration has hardly begun, all memory is dirty: what is written counts nevertheless."""
        m = self.guest('source', accel, append)
        self.wait(m, lambda: 'c' in m.serial.text(), 'all has been written')
        migrate.set_up(m, (), {'max-bandwidth': 4096})
        m.command('migrate', uri=NOWHERE)
        self.wait(m, lambda: self.info(m)['status'] == 'active', 'the first pass')
        self.assertGreater(self.measure(m, mode='dirty-bitmap', **{'calc-time': 2})['dirty-rate'], 0)
        info = self.info(m)
        self.assertEqual((info['status'], info['ram']['dirty-sync-count']), ('active', 1))
        m.command('migrate_cancel')
        self.wait(m, lambda: self.info(m)['status'] == 'cancelled', 'it is cancelled')

    def test_first_pass_tcg(self):
        self.check_first_pass('tcg', 'size=8M words=16')

    def test_first_pass_kvm(self):
        self.check_first_pass('kvm', 'ring=3 size=64M words=16')

    def test_while_migrating_tcg(self):
        self.check_while_migrating('tcg', 'size=4M words=16')

    def test_while_migrating_kvm(self):
        self.check_while_migrating('kvm', 'ring=3 size=64M words=16')

    def check_while_migrating(self, accel, append):
        """A measurement takes nothing away from a migration that runs at the same time."""
        source = self.guest('source', accel, append)
        destination = self.guest('destination', accel, append, extra=('-incoming', 'defer'))
        migrate.set_up(source, (), {'max-bandwidth': 2 * MIB, 'downtime-limit': 1})
        destination.command('migrate-incoming', uri='tcp:127.0.0.1:0')
        source.command('calc-dirty-rate', mode='dirty-bitmap', **{'calc-time': 2})
        source.command('migrate', uri=migrate.listening_uri(destination))
        for _ in range(3):
            self.wait(source, lambda: source.command('query-dirty-rate')['status'] == 'measured',
                      'it is measured')
            source.command('calc-dirty-rate', mode='dirty-bitmap', **{'calc-time': 1})
        migrate.set_up(source, (), {'max-bandwidth': 0, 'downtime-limit': 30000})
        self.assertEqual(migrate.wait_status(source, timeout=TIMEOUT)['status'], 'completed')
        self.check_moved(source, destination)


SET, CANCEL, CALC = 'set-vcpu-dirty-limit', 'cancel-vcpu-dirty-limit', 'calc-dirty-rate'
RING = ('-machine', MICROVM, '-accel', 'kvm,dirty-ring-size=4096', '-smp', '2', '-S')
# Machine, and what is asked: answers are the same here as in QEMU 10.0.
SAME = (
    (('-machine', 'none'), (
        ('query-dirty-rate', {}), (SET, {'dirty-rate': 1}), (SET, {'cpu-index': 7, 'dirty-rate': 0}),
        (CANCEL, {}), (CANCEL, {'cpu-index': 7}), ('query-vcpu-dirty-limit', {}),
        (CALC, {'calc-time': 0}), (CALC, {'calc-time': 61}), (CALC, {'calc-time': -5}),
        (CALC, {'calc-time': 1, 'sample-pages': 10}), (CALC, {'calc-time': 1, 'sample-pages': 20000}),
        (CALC, {'calc-time': 1, 'mode': 'dirty-ring'}),
        (CALC, {'calc-time': 1, 'mode': 'dirty-bitmap', 'sample-pages': 600}),
        (CALC, {'calc-time': 49, 'calc-time-unit': 'millisecond'}),
        (CALC, {'calc-time': 60001, 'calc-time-unit': 'millisecond'}),
        ('capability', {'dirty-limit': True}),
        ('migrate-set-parameters', {'vcpu-dirty-limit': 0}),
        ('migrate-set-parameters', {'x-vcpu-dirty-limit-period': 0}),
        ('migrate-set-parameters', {'x-vcpu-dirty-limit-period': 1001}))),
    (RING, (
        (CANCEL, {}), (CANCEL, {'cpu-index': 7}), (SET, {'cpu-index': 7, 'dirty-rate': 1}),
        (SET, {'cpu-index': -1, 'dirty-rate': 1}), ('query-vcpu-dirty-limit', {}),
        (SET, {'cpu-index': 0, 'dirty-rate': 3}), ('query-vcpu-dirty-limit', {}),
        (SET, {'cpu-index': 1, 'dirty-rate': 5}), ('query-vcpu-dirty-limit', {}),
        (SET, {'cpu-index': 0, 'dirty-rate': 0}), ('query-vcpu-dirty-limit', {}),
        (CANCEL, {'cpu-index': -1}), (CANCEL, {}), ('query-vcpu-dirty-limit', {}),
        (CALC, {'calc-time': 1, 'mode': 'dirty-bitmap'}),
        (CALC, {'calc-time': 1, 'mode': 'dirty-ring', 'sample-pages': 600}),
        ('capability', {'auto-converge': True}), ('capability', {'dirty-limit': True}),
        ('capability', {'auto-converge': False}), ('capability', {'dirty-limit': True}),
        ('capability', {'auto-converge': True}))),
)


class LikeTheRealProgram(Base):
    def answers(self, binary, arguments, commands):
        with Machine(binary, arguments) as m:
            for name, data in commands:
                try:
                    if name == 'capability':
                        (capability, state), = data.items()
                        yield m.command('migrate-set-capabilities', capabilities=[
                            {'capability': capability, 'state': state}])
                    else:
                        yield m.command(name, **data)
                except QMPError as e:
                    yield str(e)

    def test_answers(self):
        real = programs.find(programs.NEWER)
        if not real:
            self.skipTest(programs.why_missing(programs.NEWER))
        for arguments, commands in SAME:
            if 'kvm,dirty-ring-size=4096' in arguments and not kvm_usable():
                continue
            theirs = list(self.answers(real, arguments, commands))
            ours = list(self.answers(BINARY, arguments, commands))
            for command, a, b in zip(commands, theirs, ours):
                with self.subTest(machine=arguments[1], command=command):
                    self.assertEqual(b, a)


if __name__ == '__main__':
    tap.main()
