#!/usr/bin/python3
# SPDX-License-Identifier: GPL-2.0-or-later
"""Pairs of programs as a migration test suite runs them: the usual guest counts in memory and
writes letters to its serial port, moves, and afterwards every page is looked at, byte by byte.

Both sides are this program; or both are the newer real QEMU, so that no test asks for more than QEMU
gives. SUITE_ROUNDS=N repeats every test N times, SUITE_PARALLEL=N runs N pairs at once: what depends
on luck shows. test_driving.py has the table of what is tested where.
"""

import itertools
import os
import re
import socket
import sys
import threading
import time

HERE = os.path.dirname(os.path.abspath(__file__))
sys.path[:0] = [os.path.join(HERE, '..', '..', 'scripts'), HERE]

from driving import (GUEST_START, MIB, PAGE, TIMEOUT, DrivingTest, boot_sector,         # noqa: E402
                     with_both)
from vmtools import programs, tap                               # noqa: E402

ROUNDS = int(os.environ.get('SUITE_ROUNDS', '1'))
PARALLEL = int(os.environ.get('SUITE_PARALLEL', '3'))
MACHINES = ('pc-q35-10.0,', 'pc-i440fx-10.0,')
SOURCE = [['setup', 'active', 'device', 'completed']]


class Pair:
    """A source whose guest runs, and a destination that waits."""

    def __init__(self, test, machine, end=8 * MIB, suspend=False, source='', target='', both='',
                 rounds=1, incoming='-incoming defer'):
        self.test, self.end, self.suspend, self.uri = test, end, suspend, None
        self.number = next(test.numbers)
        self.disk = test.path(f'bootsect{self.number}')
        with open(self.disk, 'wb') as f:
            f.write(boot_sector(end=end, suspend=suspend, rounds=rounds))
        self.machine, self.both = machine, both
        self.source = self._launch('source', source)
        self.target_options = f'{incoming} {target}'
        self.target = self._launch('target', self.target_options)

    def _launch(self, role, more):
        name = f'{role}{next(self.test.numbers)}'
        serial = self.test.path(name + '.serial')
        vm = self.test.launch(
            f'{self.test.accel} -machine {self.machine} -name {role},debug-threads=on -m 150M '
            f'-serial file:{serial} -drive if=none,id=d0,file={self.disk},format=raw '
            f'-device ide-hd,drive=d0,secs=1,cyls=1,heads=1 {self.both} {more}', name)
        vm.serial = serial
        return vm

    def renew_target(self):
        self.target = self._launch('target', self.target_options)

    def letters(self, vm):
        with open(vm.serial, 'rb') as f:
            text = f.read().decode('latin-1')
        # Nothing but what the guest wrote
        self.test.assertRegex(text, r'\A[AB]*\Z')
        return text

    def wait_letter(self, vm, letter, more=1):
        goal = more if more == 1 else self.letters(vm).count(letter) + more - 1
        deadline = time.monotonic() + TIMEOUT
        while self.letters(vm).count(letter) < goal:
            if time.monotonic() > deadline:
                raise AssertionError(f'{vm.name} does not get on: {self.letters(vm)!r}')
            time.sleep(0.001)

    def check_memory(self, vm):
        """All first bytes are equal, but for one step down by one where the guest stood."""
        last = first = vm.read_byte(GUEST_START)
        steps = []
        for address in range(GUEST_START, self.end, PAGE):
            byte = vm.read_byte(address)
            if byte != last:
                steps.append((hex(address), last, byte))
                last = byte
        good = not steps or (len(steps) == 1 and last == (first - 1) & 0xff)
        self.test.assertTrue(good, f'{vm.name}: {steps[:10]}')

    def begin(self):
        self.wait_letter(self.source, 'A')
        if self.suspend:
            self.source.wait_event('SUSPEND')
            self.test.assertEqual(self.source.run_state(), 'suspended')

    def slow(self):
        self.source.set_parameter('max-bandwidth', 3000000)
        self.source.set_parameter('downtime-limit', 1)

    def fast(self):
        self.source.set_parameter('max-bandwidth', 0)
        self.source.set_parameter('downtime-limit', 300000)

    def listen(self, transport='unix', channels=False):
        """migrate-incoming; afterwards `uri` is where to go."""
        uri = 'tcp:127.0.0.1:0' if transport == 'tcp' else 'unix:' + self.test.path(f'mig{self.number}')
        if channels:
            self.target.command('migrate-incoming', channels=self.channels(uri))
        else:
            self.target.command('migrate-incoming', uri=uri)
        self.target.wait_migration('setup')
        self.uri = self.target.bound_address()

    @staticmethod
    def channels(uri):
        kind, _, rest = uri.partition(':')
        if kind == 'unix':
            address = {'transport': 'socket', 'type': 'unix', 'path': rest}
        elif kind == 'tcp':
            host, _, port = rest.rpartition(':')
            address = {'transport': 'socket', 'type': 'inet', 'host': host, 'port': port}
        elif kind == 'exec':
            address = {'transport': 'exec', 'args': ['/bin/sh', '-c', rest]}
        else:
            name, _, offset = rest.partition(',offset=')
            address = {'transport': 'file', 'filename': name, 'offset': int(offset or 0)}
        return [{'channel-type': 'main', 'addr': address}]

    def migrate(self, channels=False):
        if channels:
            self.source.command('migrate', channels=self.channels(self.uri))
        else:
            self.source.command('migrate', uri=self.uri)

    def wait_passes(self, passes):
        """The source asks itself for this many passes more; never completed meanwhile."""
        self.test.assertTrue(self.passes_or_end(passes), 'it has completed')

    def passes_or_end(self, passes):
        """The same; False when it completes before."""
        goal = None
        deadline = time.monotonic() + TIMEOUT
        while True:
            info = self.source.migration()
            if info['status'] in ('device', 'completed'):
                return False
            self.test.assertIn(info['status'], ('setup', 'active'))
            count = info.get('ram', {}).get('dirty-sync-count')
            if count is not None:
                goal = count + passes if goal is None else goal
                if count >= goal:
                    return True
            self.test.assertLess(time.monotonic(), deadline)
            time.sleep(0.001)

    def finish(self, events=False):
        """Both have completed; the guest runs on, and nothing is lost."""
        test, source, target = self.test, self.source, self.target
        source.wait_migration('completed')
        target.wait_migration('completed')
        source.wait_run_state('postmigrate')     # the real program is a moment late
        source.wait_event('STOP')
        target.wait_event('RESUME')
        if events:
            test.assertIn(test.statuses(source), SOURCE)
            test.assertEqual(test.statuses(target), ['setup', 'active', 'completed'])
        if self.suspend:
            test.assertEqual(target.run_state(), 'suspended')
            self.check_memory(target)
            test.assertEqual(self.letters(target), '')
            target.command('system_wakeup')
            target.wait_event('WAKEUP')
            self.wait_letter(target, 'A')
        else:
            target.wait_run_state('running')
        self.wait_letter(target, 'B', 3 if not self.suspend else 1)
        target.command('stop')
        target.wait_event('STOP')
        self.check_memory(target)
        for vm in (source, target):
            test.assertEqual(vm.take_events('STOP', 'RESUME'), [])
        test.assertEqual(self.letters(target).count('A'), 1 if self.suspend else 0)
        self.end_both()

    def end_both(self):
        for vm in (self.source, self.target):
            self.test.assertEqual(vm.terminate(), 0, self.test.whole_stderr(vm))


class Suite:
    def setUp(self):
        super().setUp()
        self.numbers = itertools.count()

    def statuses(self, vm):
        return [e['data']['status'] for e in vm.take_events('MIGRATION')]

    def each_machine(self, run):
        for n in range(ROUNDS):
            for machine in MACHINES:
                with self.subTest(machine=machine, round=n):
                    run(machine)

    def precopy(self, machine, transport='unix', channels=False, capabilities=(), parameters=(),
                both_parameters=(), hmp=False, **kind):
        pair = Pair(self, machine, **kind)
        pair.begin()
        for name in capabilities:
            pair.source.set_capability(name)
            pair.target.set_capability(name)
        for name, value in both_parameters:
            pair.target.set_parameter(name, value)
        for name, value in (*parameters, *both_parameters):
            pair.source.set_parameter(name, value)
        events = 'events' in capabilities or 'x-events' in kind.get('both', '')
        self.transfer(pair, transport, channels, hmp)
        pair.finish(events)

    def transfer(self, pair, transport, channels=False, hmp=False):
        source, target = pair.source, pair.target
        pair.fast()
        if transport in ('tcp', 'unix'):
            pair.listen(transport, channels)
        elif transport == 'fd':
            for vm, end in zip((source, target), socket.socketpair()):
                vm.command('getfd', fdname='fd-mig', fds=[end.fileno()])
                end.close()
            target.command('migrate-incoming', uri='fd:fd-mig')
            pair.uri = 'fd:fd-mig'
        elif transport == 'exec':
            fifo = self.path(f'fifo{pair.number}')
            os.mkfifo(fifo)
            incoming = f'exec:cat {fifo}'
            target.command('migrate-incoming', **({'channels': pair.channels(incoming)} if channels
                                                  else {'uri': incoming}))
            pair.uri = f'exec:cat > {fifo}'
        else:
            pair.uri = f'file:{self.path(f"file{pair.number}")}' + transport.removeprefix('file')
        if hmp:
            self.assertEqual(source.hmp('migrate -d ' + pair.uri), '')
        else:
            pair.migrate(channels)
        if transport.startswith('file'):
            source.wait_migration('completed')
            target.command('migrate-incoming', **({'channels': pair.channels(pair.uri)} if channels
                                                  else {'uri': pair.uri}))


@with_both
class Precopy(Suite):
    def test_unix(self):
        self.each_machine(lambda m: self.precopy(m, 'unix', capabilities=('events',)))

    def test_all_memory(self):
        """From 1 MiB to 100 MiB, as the suites have it: 25344 bytes that are read one by one."""
        for n in range(ROUNDS):
            self.precopy(MACHINES[n % 2], 'tcp', end=100 * MIB)

    def test_tcp(self):
        self.each_machine(lambda m: self.precopy(m, 'tcp', both='-global migration.x-events=on'))

    def test_channels(self):
        for transport in ('tcp', 'unix', 'exec', 'file', 'file,offset=4096'):
            self.each_machine(lambda m, t=transport: self.precopy(m, t, channels=True))

    def test_fd(self):
        self.each_machine(lambda m: self.precopy(m, 'fd'))

    def test_exec(self):
        self.each_machine(lambda m: self.precopy(m, 'exec'))

    def test_file(self):
        for transport in ('file', 'file,offset=0x1000'):
            self.each_machine(lambda m, t=transport: self.precopy(m, t))

    def test_hmp(self):
        self.each_machine(lambda m: self.precopy(m, 'unix', hmp=True))

    def test_return_path(self):
        self.each_machine(lambda m: self.precopy(m, 'tcp', capabilities=('events', 'return-path')))

    def test_uuid(self):
        self.each_machine(lambda m: self.precopy(
            m, 'unix', capabilities=('validate-uuid',),
            both='-uuid 11111111-1111-1111-1111-111111111111'))

    def test_incoming_option(self):
        def run(machine):
            path = self.path(f'direct{next(self.numbers)}')
            pair = Pair(self, machine, incoming=f'-incoming unix:{path}')
            pair.begin()
            pair.fast()
            pair.uri = 'unix:' + path
            pair.migrate()
            pair.finish()
        self.each_machine(run)

    def test_memory_object(self):
        self.each_machine(lambda m: self.precopy(
            m, 'unix', both='-object memory-backend-memfd,id=mem0,size=150M,share=on '
            '-machine memory-backend=mem0 -machine aux-ram-share=on'))

    def test_limited(self):
        """A guest that writes faster than 3 MB/s does not complete; with new limits it does."""
        def run(machine):
            pair = Pair(self, machine, end=4 * MIB)
            pair.begin()
            pair.slow()
            pair.listen('tcp')
            pair.migrate()
            pair.wait_passes(2)
            pair.fast()
            pair.finish()
        self.each_machine(run)

    def test_cancelled_and_again(self):
        def run(machine):
            pair = Pair(self, machine)
            pair.begin()
            for vm in (pair.source, pair.target):
                vm.set_capability('events')
            pair.slow()
            pair.listen('tcp')
            pair.migrate()
            pair.source.wait_migration('active')
            pair.source.command('migrate_cancel')
            pair.source.wait_migration('cancelled')
            self.assertEqual(pair.target.wait_end(), 1)
            self.assertEqual(self.statuses(pair.source),
                             ['setup', 'active', 'cancelling', 'cancelled'])
            self.assertEqual(pair.source.run_state(), 'running')
            self.assertEqual(pair.source.take_events('STOP', 'RESUME'), [])
            pair.wait_letter(pair.source, 'B', 3)
            pair.renew_target()
            pair.target.set_capability('events')
            self.transfer(pair, 'unix')
            pair.finish(True)
        self.each_machine(run)

    def test_refused_and_again(self):
        def run(machine):
            pair = Pair(self, machine)
            pair.begin()
            pair.uri = 'unix:' + self.path('nobody')
            pair.migrate()
            self.assertTrue(pair.source.wait_migration('failed')['error-desc'])
            self.assertEqual(pair.source.run_state(), 'running')
            pair.wait_letter(pair.source, 'B', 3)
            self.transfer(pair, 'tcp')
            pair.finish()
        self.each_machine(run)

    def test_parallel(self):
        """Several pairs at once, each driven by a thread of its own."""
        failures = []

        def one(number):
            try:
                for _ in range(ROUNDS):
                    self.precopy(MACHINES[number % 2], ('tcp', 'unix', 'fd')[number % 3],
                                 capabilities=('events',), suspend=number % 3 == 1)
            except BaseException as e:
                failures.append((number, e))
        threads = [threading.Thread(target=one, args=(n,)) for n in range(PARALLEL)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
        if failures:
            raise failures[0][1]


@with_both
class Suspended(Suite):
    def test_moved(self):
        self.each_machine(lambda m: self.precopy(m, 'unix', capabilities=('events',), suspend=True))

    def test_file(self):
        self.each_machine(lambda m: self.precopy(m, 'file', suspend=True))

    def test_falls_asleep_on_the_way(self):
        """STOP comes for the switchover though it sleeps."""
        def run(machine):
            pair = Pair(self, machine, suspend=True, rounds=60)
            pair.slow()
            pair.listen('tcp')
            pair.migrate()
            pair.source.wait_migration('active')
            pair.begin()
            self.assertEqual(pair.source.migration()['status'], 'active')
            pair.fast()
            pair.finish()
        self.each_machine(run)

    def test_stopped_target(self):
        """With -S it arrives paused; `cont` takes it back to sleep."""
        def run(machine):
            pair = Pair(self, machine, suspend=True, target='-S')
            pair.begin()
            self.transfer(pair, 'unix')
            pair.source.wait_migration('completed')
            pair.target.wait_migration('completed')
            self.assertEqual(pair.target.run_state(), 'paused')
            self.assertEqual(pair.target.take_events('RESUME'), [])
            self.assertEqual(pair.target.error('system_wakeup')['class'], 'GenericError')
            pair.target.command('cont')
            pair.finish()
        self.each_machine(run)

    def test_wakes_up_on_the_way(self):
        def run(machine):
            pair = Pair(self, machine, suspend=True)
            pair.begin()
            pair.slow()
            pair.listen('tcp')
            pair.migrate()
            pair.source.wait_migration('active')
            pair.source.command('system_wakeup')
            pair.source.wait_event('WAKEUP')
            pair.wait_letter(pair.source, 'B')
            pair.suspend = False
            pair.fast()
            pair.finish()
        self.each_machine(run)

    def test_wake_up(self):
        def run(machine):
            pair = Pair(self, machine, suspend=True)
            wrong = {'class': 'GenericError',
                     'desc': 'Unable to wake up: guest is not in suspended state'}
            self.assertEqual(pair.target.error('system_wakeup'), wrong)
            pair.begin()
            self.assertEqual(pair.source.take_events('STOP', 'RESUME'), [])
            pair.source.command('stop')
            pair.source.wait_event('STOP')
            self.assertEqual(pair.source.error('system_wakeup'), wrong)
            pair.source.command('cont')
            pair.source.wait_event('RESUME')
            self.assertEqual(pair.source.run_state(), 'suspended')
            pair.source.command('system_wakeup')
            pair.source.wait_event('WAKEUP')
            pair.wait_letter(pair.source, 'B')
            self.assertEqual(re.sub('B+', 'B', pair.letters(pair.source)), 'AAB')
            self.assertEqual(pair.source.error('system_wakeup'), wrong)
            pair.source.command('stop')
            pair.check_memory(pair.source)
            pair.end_both()
        self.each_machine(run)


@with_both
class Methods(Suite):
    """What may be switched on for memory."""

    def test_multifd(self):
        for method, level in (('none', None), ('zlib', 'multifd-zlib-level'),
                              ('zstd', 'multifd-zstd-level')):
            for detection in ('multifd', 'legacy', 'none'):
                if method != 'none' and detection != 'multifd':
                    continue
                parameters = [('multifd-channels', 4), ('multifd-compression', method),
                              ('zero-page-detection', detection)]
                if level:
                    parameters.append((level, 2))
                self.each_machine(lambda m, p=tuple(parameters): self.precopy(
                    m, 'tcp', capabilities=('multifd', 'events'), both_parameters=p))

    def test_multifd_channels(self):
        self.each_machine(lambda m: self.precopy(
            m, 'unix', channels=True, capabilities=('multifd',),
            both_parameters=(('multifd-channels', 16),)))

    def test_multifd_cancelled(self):
        """The third try arrives; one that was cancelled in setup or later leaves nothing behind."""
        def run(machine):
            pair = Pair(self, machine)
            pair.begin()
            pair.slow()
            for attempt in range(2):
                for vm in (pair.source, pair.target):
                    vm.set_capability('multifd')
                    vm.set_parameter('multifd-channels', 8)
                pair.listen('tcp')
                pair.migrate()
                if attempt:
                    pair.source.wait_migration('active')
                pair.source.command('migrate_cancel')
                pair.source.wait_migration('cancelled')
                # Not a byte may have come, and then it waits on
                if attempt:
                    self.assertEqual(pair.target.wait_end(), 1)
                else:
                    if pair.target.process.poll() is None:
                        pair.target.process.terminate()
                    self.assertIn(pair.target.wait_end(), (0, 1))
                pair.renew_target()
            for vm in (pair.source, pair.target):
                vm.set_capability('multifd')
                vm.set_parameter('multifd-channels', 2)
            self.transfer(pair, 'tcp')
            pair.finish()
        self.each_machine(run)

    def test_xbzrle(self):
        def run(machine):
            pair = Pair(self, machine, end=4 * MIB)
            pair.begin()
            for vm in (pair.source, pair.target):
                vm.set_capability('xbzrle')
            pair.source.set_parameter('xbzrle-cache-size', 32 * MIB)
            pair.slow()
            pair.listen('unix')
            pair.migrate()
            # Where the guest gets no processor it writes nothing, and this may complete before.
            if pair.passes_or_end(2):
                pair.source.set_parameter('xbzrle-cache-size', 16 * MIB)
                if pair.passes_or_end(1):
                    cache = pair.source.migration()['xbzrle-cache']
                    self.assertEqual(cache['cache-size'], 16 * MIB)
                    self.assertGreater(cache['pages'], 0)
            pair.fast()
            pair.finish()
        for n in range(ROUNDS):
            run(MACHINES[n % 2])

    def test_auto_converge(self):
        """It slows the guest down, `cpu-throttle-percentage` says how much; then new limits."""
        def run(machine):
            pair = Pair(self, machine)
            pair.begin()
            pair.source.set_capability('auto-converge')
            for name, value in (('cpu-throttle-initial', 5), ('cpu-throttle-increment', 5),
                                ('max-cpu-throttle', 95)):
                pair.source.set_parameter(name, value)
            pair.slow()
            pair.listen('unix')
            pair.migrate()
            deadline = time.monotonic() + TIMEOUT
            while True:
                info = pair.source.migration()
                self.assertIn(info['status'], ('setup', 'active'))
                throttle = info.get('cpu-throttle-percentage', 0)
                if throttle:
                    break
                self.assertLess(time.monotonic(), deadline)
                time.sleep(0.01)
            self.assertGreaterEqual(throttle, 5)
            pair.fast()
            pair.finish()
        for n in range(ROUNDS):
            run(MACHINES[n % 2])


class Compress(Suite, DrivingTest):
    """Only what is older than the newer QEMU has it."""

    def test_compress(self):
        self.each_machine(lambda m: self.precopy(
            m, 'unix', capabilities=('compress',), parameters=(('compress-threads', 3),)))


if __name__ == '__main__':
    tap.main()
