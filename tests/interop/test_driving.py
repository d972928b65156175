#!/usr/bin/python3
# SPDX-License-Identifier: GPL-2.0-or-later
"""What test suites written for QEMU count on, statement by statement, from outside.

Every test runs with this program and, where it is there, with the newer real QEMU: a statement that
does not hold there is a mistake in the test. What has tests elsewhere is not repeated here:

| statement | where |
| --- | --- |
| life: start by a shell, both sockets, `endianness` first, nothing on standard output | Life.test_start |
| SIGTERM ends with status 0 in every state | Life.test_sigterm_*, and DrivingTest.end() after every test |
| failed load: exit 1 by itself; alive without exit-on-error | Life.test_failed_load, migration/error/exit-on-error-off |
| a connection that is one too many is refused, and nothing else | Life.test_second_connection |
| options, each | CommandLine.test_*; monitor/test_cmdline.py; qtest/test_pc.py Options |
| the same image open on both sides | CommandLine.test_drives, test_suite.py |
| qom-list-types, query-machines | Probing; test_machines.py compares all machines |
| libvirt's start and questions, -daemonize | test_libvirt.py, monitor/test_cmdline.py Process |
| qtest protocol, each command, speed | Qtest.test_commands; qtest/test_qtest_proto.py |
| memory at any time: running, stopped, asleep, while loading; writes are dirty | Qtest.test_memory_*, test_suite.py |
| greeting, negotiation, no event before the reply, ids, descriptors | test_clients.py, monitor/test_qmp.py |
| exec-oob of migrate-recover, migrate-pause, yank | Qmp.test_out_of_band |
| parameters: at once, every one, in its own type; capabilities one at a time | Qmp.test_parameters, test_capabilities; test_suite.py Precopy.test_limited |
| migrate: what is an error at once, and what is a status later | Qmp.test_wrong_addresses, test_late_failures |
| migrate_cancel in every state, and again after it | Qmp.test_cancel_*, migration/cancel/* |
| migrate-incoming: setup at once, socket-address | Qmp.test_listening |
| getfd names, fdsets, file with an offset | Qmp.test_descriptor_name, test_fdset |
| members of query-migrate | Qmp.test_figures |
| TLS | tests of their own |
| events, on both sides, in order, none too many | Events.test_*, migration/events/*, migration/pc/*/suspend |
| a pass that cannot end does not; raised limits let it | test_suite.py Precopy.test_limited, migration/converge/* |
| the usual guest, falling asleep, waking up; memory as it has to be | test_suite.py, migration/pc/* |
| what is not built in is refused, with QEMU's error class | NotBuiltIn |
"""

import contextlib
import json
import os
import socket
import stat
import subprocess
import sys
import time

HERE = os.path.dirname(os.path.abspath(__file__))
sys.path[:0] = [os.path.join(HERE, '..', '..', 'scripts'), HERE]

from driving import MIB, PAGE, TIMEOUT, DrivingTest, boot_sector, with_both     # noqa: E402
from vmtools import programs, tap                               # noqa: E402

UUID = '12345678-90ab-cdef-1234-567890abcdef'
RECORDED = os.path.join(HERE, '..', 'data', 'qemu-10.0-none-2m.bin')


class Tools:
    """What several classes do."""
    # A machine that does not run, with memory to fill; QEMU's qtest needs one with a CPU for that
    big = '-machine pc -accel tcg -m 64M -S'

    def listening(self, arguments='-machine none', **more):
        """A destination that listens on a unix socket, and its address."""
        vm = self.launch(arguments + ' -incoming defer')
        path = self.path(f'mig{self.count}')
        vm.command('migrate-incoming', uri='unix:' + path, **more)
        return vm, 'unix:' + path

    def slow(self, vm):
        vm.set_parameter('max-bandwidth', 3000000)
        vm.set_parameter('downtime-limit', 1)

    def fast(self, vm):
        vm.set_parameter('max-bandwidth', 0)
        vm.set_parameter('downtime-limit', 300000)

    def fill(self, vm, size=16 * MIB):
        """Memory that takes its time: pages that are not zero."""
        vm.ask(f'memset {MIB:#x} {size:#x} 0x55')

    def ended_by_itself(self, vm, status):
        got = vm.wait_end()
        self.assertEqual(got, status, self.whole_stderr(vm))

    def statuses(self, vm):
        """Of the MIGRATION events so far."""
        return [e['data']['status'] for e in vm.take_events('MIGRATION')]


@with_both
class Life(Tools):
    def test_start(self):
        """`endianness` is answered before anybody has read QMP's greeting: the driver asks it first."""
        for machine in ('none', 'pc-q35-10.0,', 'pc'):
            with self.subTest(machine=machine):
                vm = self.launch(f'-machine {machine} {self.accel} -S')
                self.assertEqual(vm.endianness, 'little')
                self.assertEqual(list(vm.greeting), ['QMP'])
                self.assertEqual(vm.negotiation, {'return': {}})
                self.assertEqual(vm.command('query-status')['running'], False)
                with open(vm.stdout.name, 'rb') as f:
                    self.assertEqual(f.read(), b'')

    def test_negotiation_with_oob(self):
        vm = self.launch(negotiate=False)
        vm.negotiate({'enable': ['oob']})
        self.assertEqual(vm.negotiation, {'return': {}})
        self.assertIsInstance(vm.command('query-yank', oob=True), list)

    def test_sigterm_idle_and_waiting(self):
        for more in ('', ' -S', ' -incoming defer', f' -incoming unix:{self.path("wait")}',
                     ' -incoming tcp:127.0.0.1:0'):
            with self.subTest(more):
                self.assertEqual(self.launch('-machine none' + more).terminate(), 0)

    def test_sigterm_while_loading(self):
        vm, uri = self.listening('-machine none -m 2M')
        with socket.socket(socket.AF_UNIX) as peer:
            peer.connect(uri[5:])
            with open(RECORDED, 'rb') as f:
                peer.sendall(f.read(6000))
            vm.wait_migration('active')
            self.assertEqual(vm.terminate(), 0)

    def test_sigterm_while_sending(self):
        source, (destination, uri) = self.launch(self.big), self.listening(self.big)
        self.fill(source)
        self.slow(source)
        source.command('migrate', uri=uri)
        source.wait_migration('active')
        self.assertEqual(source.terminate(), 0)
        self.ended_by_itself(destination, 1)

    def test_sigterm_afterwards(self):
        """Completed on both sides, failed, cancelled."""
        source, (destination, uri) = self.launch(), self.listening()
        source.command('migrate', uri=uri)
        for vm in (source, destination):
            vm.wait_migration('completed')
        for vm in (source, destination):
            self.assertEqual(vm.terminate(), 0)
        failed = self.launch()
        failed.command('migrate', uri='unix:' + self.path('nobody'))
        failed.wait_migration('failed')
        self.assertEqual(failed.terminate(), 0)
        cancelled, (destination, uri) = self.launch(self.big), self.listening(self.big)
        self.fill(cancelled)
        self.slow(cancelled)
        cancelled.command('migrate', uri=uri)
        cancelled.wait_migration('active')
        cancelled.command('migrate_cancel')
        cancelled.wait_migration('cancelled')
        self.ended_by_itself(destination, 1)
        self.assertEqual(cancelled.terminate(), 0)

    def test_failed_load(self):
        for stays in (False, True):
            vm, uri = self.listening(exit_on_error=not stays)
            with socket.socket(socket.AF_UNIX) as peer:
                peer.connect(uri[5:])
                with contextlib.suppress(BrokenPipeError):
                    peer.sendall(b'no stream of ours' * 1000)
            if stays:
                self.assertTrue(vm.wait_migration('failed')['error-desc'])
                self.assertEqual(vm.run_state(), 'inmigrate')
                self.assertEqual(vm.terminate(), 0)
            else:
                self.ended_by_itself(vm, 1)

    def test_end_of_file_while_loading(self):
        vm, uri = self.listening('-machine none -m 2M')
        with socket.socket(socket.AF_UNIX) as peer:
            peer.connect(uri[5:])
            with open(RECORDED, 'rb') as f:
                peer.sendall(f.read(6000))
        self.ended_by_itself(vm, 1)

    def test_second_connection(self):
        """The listener takes one; who comes later is turned away, and does no harm."""
        source, (destination, uri) = self.launch(self.big), self.listening(self.big)
        self.fill(source)
        self.slow(source)
        source.command('migrate', uri=uri)
        source.wait_migration('active')
        destination.wait_migration('active')
        with socket.socket(socket.AF_UNIX) as late:
            with contextlib.suppress(ConnectionError, FileNotFoundError):
                late.settimeout(TIMEOUT)
                late.connect(uri[5:])
                late.sendall(b'x' * 100)
        self.fast(source)
        for vm in (source, destination):
            vm.wait_migration('completed')


@with_both
class CommandLine(Tools):
    def boots(self, arguments):
        serial = self.path(f'serial{self.count}')
        vm = self.launch(f'{arguments} -serial file:{serial}')
        self.assertTrue(os.path.exists(serial))
        deadline = time.monotonic() + TIMEOUT
        while time.monotonic() < deadline:
            with open(serial, 'rb') as f:
                text = f.read()
            if b'B' in text:
                break
            time.sleep(0.01)
        self.assertRegex(text, rb'^AB+$')
        self.assertEqual(vm.terminate(), 0)

    def test_as_the_suites_start_it(self):
        disk = self.path('bootsect')
        with open(disk, 'wb') as f:
            f.write(boot_sector(end=4 * MIB))
        for machine, more in (('pc-q35-10.0,', ''), ('pc-i440fx-10.0,', '-smp 1 -nodefaults'),
                              ('q35', f'-uuid {UUID} -trace nothing_of_the_kind'),
                              ('pc', '-global migration.x-events=on')):
            with self.subTest(machine=machine):
                self.boots(f'{self.accel} -machine {machine} -name source,debug-threads=on -m 150M '
                           f'-drive if=none,id=d0,file={disk},format=raw '
                           f'-device ide-hd,drive=d0,secs=1,cyls=1,heads=1 {more}')

    def test_drives(self):
        """The short form; and while one program runs, a destination has the same image open."""
        disk = self.path('bootsect')
        with open(disk, 'wb') as f:
            f.write(boot_sector(end=4 * MIB))
        self.boots(f'{self.accel} -machine pc -m 150M -drive file={disk},format=raw')
        for drive in (f'-drive file={disk},format=raw',
                      f'-drive if=none,id=d0,file={disk},format=raw -device ide-hd,drive=d0'):
            arguments = f'{self.accel} -machine pc -m 150M {drive}'
            both = [self.launch(arguments + more) for more in ('', ' -incoming defer')]
            self.assertEqual([vm.run_state() for vm in both], ['running', 'inmigrate'])
            for vm in both:
                self.assertEqual(vm.terminate(), 0)

    def test_memory_objects(self):
        """-machine is repeated, and what it says adds up."""
        disk = self.path('bootsect')
        with open(disk, 'wb') as f:
            f.write(boot_sector(end=4 * MIB))
        for kind, more in (('ram', ''), ('memfd', ',share=on'),
                           ('file', f',share=on,mem-path={self.path("backing")}')):
            for use in ('-machine memory-backend=mem0', '-numa node,memdev=mem0',
                        '-machine memory-backend=mem0 -machine aux-ram-share=on'):
                with self.subTest(kind=kind, use=use):
                    self.boots(f'{self.accel} -machine q35, -m 150M '
                               f'-object memory-backend-{kind},id=mem0,size=150M{more} {use} '
                               f'-drive if=none,id=d0,file={disk},format=raw '
                               '-device ide-hd,drive=d0,secs=1,cyls=1,heads=1')

    def test_dirty_ring(self):
        """Alternatives: with KVM that one, without it the next."""
        vm = self.launch('-machine none -accel kvm,dirty-ring-size=4096 -accel tcg')
        kvm = vm.command('query-kvm')
        self.assertEqual(kvm['enabled'], kvm['present'] and os.access('/dev/kvm', os.R_OK | os.W_OK))

    def test_incoming(self):
        path = self.path('in')
        vm = self.launch(f'-machine none -incoming unix:{path}')
        self.assertTrue(stat.S_ISSOCK(os.stat(path).st_mode))
        self.assertEqual(vm.bound_address(), 'unix:' + path)
        vm = self.launch('-machine none -incoming tcp:127.0.0.1:0')
        self.assertRegex(vm.bound_address(), r'^tcp:127\.0\.0\.1:[1-9]\d*$')
        vm = self.launch('-machine none -incoming defer')
        self.assertEqual(vm.run_state(), 'inmigrate')
        self.assertNotIn('status', vm.migration())

    def test_uuid_and_name(self):
        vm = self.launch(f'-machine none -uuid {UUID} -name target,debug-threads=on')
        self.assertEqual(vm.command('query-uuid'), {'UUID': UUID})
        self.assertEqual(vm.command('query-name'), {'name': 'target'})

    def test_events_global(self):
        vm = self.launch('-machine none -global migration.x-events=on')
        capabilities = {c['capability']: c['state']
                        for c in vm.command('query-migrate-capabilities')}
        self.assertTrue(capabilities['events'])

    def test_what_cannot_start(self):
        """Suites look whether an option works by whether the program starts."""
        for arguments in ('-machine nothing', '-machine none -incoming nothing:x',
                          '-machine none -accel nothing', '-machine none -device nothing'):
            with self.subTest(arguments):
                done = subprocess.run(['/bin/sh', '-c', f'exec {self.binary} -display none '
                                       + arguments], stdin=subprocess.DEVNULL, timeout=TIMEOUT,
                                      capture_output=True, check=False)
                self.assertEqual(done.returncode, 1)
                self.assertEqual(done.stdout, b'')
                self.assertTrue(done.stderr)


@with_both
class Probing(Tools):
    def test_accelerators(self):
        vm = self.launch()
        names = {t['name'] for t in vm.command('qom-list-types', implements='accel', abstract=False)}
        self.assertLessEqual({'kvm-accel', 'tcg-accel'}, names)
        self.assertNotIn('accel', names)
        everything = {t['name'] for t in vm.command('qom-list-types', implements='accel', abstract=True)}
        self.assertLess(names, everything)

    def test_machines(self):
        vm = self.launch()
        machines = vm.command('query-machines')
        for alias, family in (('q35', 'pc-q35-'), ('pc', 'pc-i440fx-')):
            found = [m for m in machines if m.get('alias') == alias]
            self.assertEqual(len(found), 1)
            self.assertEqual(found[0]['name'], family + '10.0')
        self.assertIn('none', [m['name'] for m in machines])

    def test_devices(self):
        vm = self.launch()
        names = {t['name'] for t in vm.command('qom-list-types', implements='device')}
        self.assertIn('ide-hd', names)
        properties = {p['name'] for p in vm.command('device-list-properties', typename='ide-hd')}
        self.assertLessEqual({'drive', 'secs', 'cyls', 'heads'}, properties)

    def test_capabilities_and_schema(self):
        vm = self.launch()
        known = {c['capability'] for c in vm.command('query-migrate-capabilities')}
        schema = {e['name']: e for e in vm.command('query-qmp-schema')}
        self.assertTrue(any(known <= {m['name'] for m in e['members']}
                            for e in schema.values() if e['meta-type'] == 'enum'))
        commands = {c['name'] for c in vm.command('query-commands')}
        for name in ('migrate', 'migrate-incoming', 'migrate_cancel', 'migrate-continue', 'getfd',
                     'migrate-set-capabilities', 'migrate-set-parameters', 'query-migrate', 'add-fd',
                     'migrate-pause', 'migrate-recover', 'migrate-start-postcopy', 'yank',
                     'human-monitor-command', 'system_wakeup', 'query-migrationthreads'):
            self.assertIn(name, commands)


@with_both
class Qtest(Tools):
    def test_commands(self):
        vm = self.launch(self.big)
        vm.ask(f'write {MIB:#x} 0x4 0x01aBfF80')
        self.assertEqual(vm.ask(f'read {MIB:#x} 0x4'), '0x01abff80')
        self.assertEqual(vm.ask(f'readb {MIB:#x}'), '0x0000000000000001')
        self.assertEqual(vm.ask(f'readw {MIB:#x}'), '0x000000000000ab01')
        self.assertEqual(vm.ask(f'readl {MIB:#x}'), '0x0000000080ffab01')
        self.assertEqual(vm.ask(f'readq {MIB:#x}'), '0x0000000080ffab01')
        for width, value in (('b', 0x12), ('w', 0x1234), ('l', 0x12345678), ('q', 1 << 63)):
            vm.ask(f'write{width} {MIB + 64:#x} {value:#x}')
            self.assertEqual(int(vm.ask(f'read{width} {MIB + 64:#x}'), 16), value)
        vm.ask(f'memset {2 * MIB:#x} 0x1000 0xa5')
        self.assertEqual(vm.ask(f'read {2 * MIB + 0xfff:#x} 0x2'), '0xa500')
        self.assertEqual(vm.ask(f'b64read {MIB:#x} 0x4'), 'Aav/gA==')
        vm.ask(f'b64write {MIB:#x} 0x4 AQIDBA==')
        self.assertEqual(vm.ask(f'readl {MIB:#x}'), '0x0000000004030201')
        vm.ask('outb 0x70 0x0f')
        self.assertEqual(int(vm.ask('inb 0x71'), 16), 0)
        for name in ('inw', 'inl'):
            int(vm.ask(f'{name} 0x70'), 16)

    def test_memory_while_loading(self):
        vm, uri = self.listening('-machine microvm -accel tcg -m 16M')
        with socket.socket(socket.AF_UNIX) as peer:
            peer.connect(uri[5:])
            peer.sendall(bytes.fromhex('5145564d00000003'))     # the magic number and the version
            vm.wait_migration('active')
            for n in range(1000):
                vm.ask(f'writeb {MIB + n:#x} {n & 255:#x}')
                self.assertEqual(vm.read_byte(MIB + n), n & 255)
            self.assertEqual(vm.terminate(), 0)

    def test_writes_are_dirty(self):
        """What is written by qtest while memory is sent, arrives."""
        source, (destination, uri) = self.launch(self.big), self.listening(self.big)
        self.fill(source)
        self.slow(source)
        source.command('migrate', uri=uri)
        deadline = time.monotonic() + TIMEOUT
        while source.migration().get('ram', {}).get('transferred', 0) < MIB:
            self.assertLess(time.monotonic(), deadline)
        # Early pages have gone once, the late ones have not
        for n in range(0, 16 * MIB, 64 * PAGE):
            source.ask(f'writeb {MIB + n:#x} 0xaa')
        self.assertEqual(source.migration()['status'], 'active')
        self.fast(source)
        for vm in (source, destination):
            vm.wait_migration('completed')
        for n in range(0, 16 * MIB, 32 * PAGE):
            self.assertEqual(destination.read_byte(MIB + n), 0x55 if n // (32 * PAGE) % 2 else 0xaa)

    def test_tens_of_thousands(self):
        vm = self.launch(self.big)
        self.fill(vm, 4 * MIB)
        for n in range(20000):
            self.assertEqual(vm.read_byte(MIB + n * 200), 0x55)


@with_both
class Qmp(Tools):
    def test_out_of_band(self):
        vm = self.launch(negotiate=False).negotiate({'enable': ['oob']})
        for name, arguments in (('migrate-pause', {}), ('migrate-recover', {'uri': 'tcp:127.0.0.1:0'}),
                                ('yank', {'instances': [{'type': 'migration'}]})):
            self.assertEqual(vm.error(name, oob=True, **arguments)['class'],
                             'DeviceNotFound' if name == 'yank' else 'GenericError')

    def test_yank(self):
        """It breaks the connection of a migration; the source says failed and goes on."""
        source = self.launch(self.big, negotiate=False).negotiate({'enable': ['oob']})
        destination, uri = self.listening(self.big, exit_on_error=False)
        self.fill(source)
        self.slow(source)
        source.command('migrate', uri=uri)
        source.wait_migration('active')
        self.assertIn({'type': 'migration'}, source.command('query-yank', oob=True))
        source.command('yank', oob=True, instances=[{'type': 'migration'}])
        self.assertTrue(source.wait_migration('failed')['error-desc'])
        destination.wait_migration('failed')
        self.assertEqual(source.run_state(), 'prelaunch')

    def test_ids(self):
        vm = self.launch()
        for number in ('libqmp-1', 7, {'a': [1]}):
            vm.send({'execute': 'query-migrate', 'id': number})
            self.assertEqual(vm.reply(), {'return': {}, 'id': number})
        vm.send({'execute': 'migrate', 'id': 8})
        reply = vm.reply()
        self.assertEqual((reply['error']['class'], reply['id']), ('GenericError', 8))

    def test_parameters(self):
        """Each can be set to what it is; numbers are numbers and booleans are booleans."""
        vm = self.launch()
        values = vm.command('query-migrate-parameters')
        for name, kind in (('max-bandwidth', int), ('downtime-limit', int), ('multifd-channels', int),
                           ('cpu-throttle-initial', int), ('cpu-throttle-increment', int),
                           ('max-cpu-throttle', int), ('cpu-throttle-tailslow', bool),
                           ('tls-creds', str), ('tls-hostname', str), ('tls-authz', str),
                           ('multifd-compression', str), ('multifd-zlib-level', int),
                           ('multifd-zstd-level', int), ('xbzrle-cache-size', int), ('mode', str),
                           ('zero-page-detection', str), ('direct-io', bool), ('announce-step', int),
                           ('max-postcopy-bandwidth', int), ('avail-switchover-bandwidth', int),
                           ('vcpu-dirty-limit', int), ('x-vcpu-dirty-limit-period', int)):
            self.assertIs(type(values[name]), kind, name)
            vm.command('migrate-set-parameters', **{name: values[name]})
        self.assertEqual(vm.command('query-migrate-parameters'), values)
        for name, value in (('max-bandwidth', 123456789), ('max-bandwidth', (1 << 64) - 1),
                            ('downtime-limit', 2000000), ('multifd-channels', 255),
                            ('xbzrle-cache-size', 1 << 30), ('multifd-compression', 'zstd'),
                            ('multifd-compression', 'zlib'), ('max-cpu-throttle', 20),
                            ('cpu-throttle-initial', 5), ('cpu-throttle-tailslow', True),
                            ('zero-page-detection', 'legacy'), ('tls-hostname', 'host.example')):
            vm.set_parameter(name, value)
        for name in 'max-bandwidth', 'avail-switchover-bandwidth':
            vm.command('migrate-set-parameters', **{name: -1})      # as much as there is
            self.assertEqual(vm.command('query-migrate-parameters')[name], (1 << 64) - 1)

    def test_parameter_errors(self):
        """Class and text as suites may compare them; nothing is changed."""
        vm = self.launch()
        before = vm.command('query-migrate-parameters')
        for name, value, text in (
                ('multifd-channels', 0, "Parameter 'multifd_channels' expects a value between 1 and 255"),
                ('multifd-channels', 256, "Parameter 'multifd-channels' expects uint8_t"),
                ('multifd-channels', 'x', "Parameter 'multifd-channels' expects uint64"),
                ('multifd-zlib-level', 10, "Parameter 'multifd_zlib_level' expects a value between 0 and 9"),
                ('multifd-zstd-level', 21, "Parameter 'multifd_zstd_level' expects a value between 0 and 20"),
                ('cpu-throttle-initial', 0,
                 "Parameter 'cpu_throttle_initial' expects an integer in the range of 1 to 99"),
                ('max-cpu-throttle', 1, "Parameter 'max_cpu_throttle' expects an integer in the range of "
                 'cpu_throttle_initial to 99'),
                ('xbzrle-cache-size', 5000, "Parameter 'xbzrle_cache_size' expects a power of two no less "
                 'than the target page size'),
                ('announce-rounds', 1001, "Parameter 'announce_rounds' expects a value between 0 and 1000"),
                ('announce-initial', -1,
                 "Parameter 'announce_initial' expects a value between 0 and 100000"),
                ('announce-step', 10001, "Parameter 'announce_step' expects a value between 0 and 10000"),
                ('announce-step', 0, "Parameter 'announce_step' expects a value between 0 and 10000"),
                ('downtime-limit', 2000001, "Parameter 'downtime_limit' expects an integer in the range of "
                 '0 to (2000 * 1000) ms'),
                ('downtime-limit', -1, "Parameter 'downtime_limit' expects an integer in the range of "
                 '0 to (2000 * 1000) ms'),
                ('multifd-compression', 'nothing',
                 "Parameter 'multifd-compression' does not accept value 'nothing'"),
                ('direct-io', 'x', "Invalid parameter type for 'direct-io', expected: boolean"),
                ('nothing', 1, "Parameter 'nothing' is unexpected")):
            with self.subTest(name=name, value=value):
                self.assertEqual(vm.error('migrate-set-parameters', **{name: value}),
                                 {'class': 'GenericError', 'desc': text})
        self.assertEqual(vm.command('query-migrate-parameters'), before)

    def test_capabilities(self):
        vm = self.launch()
        for name in ('xbzrle', 'auto-converge', 'events', 'return-path', 'pause-before-switchover',
                     'validate-uuid', 'release-ram', 'xbzrle-off', 'multifd'):
            state = not name.endswith('-off')
            vm.set_capability(name.removesuffix('-off'), state)
            now = {c['capability']: c['state'] for c in vm.command('query-migrate-capabilities')}
            self.assertEqual(now[name.removesuffix('-off')], state)
        self.assertEqual(vm.error('migrate-set-capabilities',
                                  capabilities=[{'capability': 'nothing', 'state': True}]),
                         {'class': 'GenericError',
                          'desc': "Parameter 'capability' does not accept value 'nothing'"})

    def test_wrong_addresses(self):
        """Errors of the command itself; the status is none afterwards."""
        vm, waiting = self.launch(), self.launch('-machine none -incoming defer')
        channel = {'channel-type': 'main', 'addr': {'transport': 'socket', 'type': 'unix', 'path': 'x'}}
        either = {'class': 'GenericError', 'desc': "need either 'uri' or 'channels' argument"}
        for command, program in (('migrate', vm), ('migrate-incoming', waiting)):
            self.assertEqual(program.error(command), either)
            self.assertEqual(program.error(command, channels=[]), either)
            self.assertEqual(program.error(command, uri='unix:x', channels=[channel]), either)
            for uri in ('nothing:x', 'tcp:x', f'file:{self.path("f")},offset=0x20M', ''):
                error = program.error(command, uri=uri)
                self.assertEqual(error['class'], 'GenericError', uri)
            for channels in ([{'channel-type': 'main'}], [dict(channel, addr={'transport': 'nothing'})],
                             [dict(channel, **{'channel-type': 'nothing'})]):
                self.assertEqual(program.error(command, channels=channels)['class'], 'GenericError')
            self.assertNotIn('status', program.migration())
        self.assertEqual(vm.error('migrate', uri='fd:nobody'),
                         {'class': 'GenericError',
                          'desc': "File descriptor named 'nobody' has not been found"})

    def test_late_failures(self):
        vm = self.launch('-machine none -global migration.x-events=on')
        with socket.socket() as unused:
            unused.bind(('127.0.0.1', 0))
            for uri in (f'unix:{self.path("nobody")}', f'tcp:127.0.0.1:{unused.getsockname()[1]}'):
                self.assertEqual(vm.execute('migrate', uri=uri), {'return': {}})
                self.assertTrue(vm.wait_migration('failed')['error-desc'])
                self.assertEqual(self.statuses(vm), ['setup', 'failed'])
                self.assertIn(vm.run_state(), ('running', 'prelaunch'))

    def test_cancel_in_every_state(self):
        """It has no effect on what has ended; and what was cancelled can be tried again."""
        vm = self.launch(self.big + ' -global migration.x-events=on')
        self.assertEqual(vm.execute('migrate_cancel'), {'return': {}})
        self.assertNotIn('status', vm.migration())
        vm.command('migrate', uri='unix:' + self.path('nobody'))
        vm.wait_migration('failed')
        self.assertEqual(vm.execute('migrate_cancel'), {'return': {}})
        self.assertEqual(vm.migration()['status'], 'failed')
        self.fill(vm)
        for _ in range(2):
            destination, uri = self.listening(self.big)
            self.slow(vm)
            vm.take_events()
            vm.command('migrate', uri=uri)
            vm.wait_migration('active')
            self.assertEqual(vm.execute('migrate_cancel'), {'return': {}})
            vm.wait_migration('cancelled')
            self.assertEqual(self.statuses(vm), ['setup', 'active', 'cancelling', 'cancelled'])
            self.ended_by_itself(destination, 1)
            self.assertEqual(vm.execute('migrate_cancel'), {'return': {}})
            self.assertEqual(vm.migration()['status'], 'cancelled')
        destination, uri = self.listening(self.big)
        self.fast(vm)
        vm.command('migrate', uri=uri)
        for side in (vm, destination):
            side.wait_migration('completed')
            self.assertEqual(side.execute('migrate_cancel'), {'return': {}})
            self.assertEqual(side.migration()['status'], 'completed')

    def test_cancel_before_the_switchover(self):
        source, (destination, uri) = self.launch(self.big), self.listening(self.big)
        source.set_capability('pause-before-switchover')
        source.command('migrate', uri=uri)
        source.wait_migration('pre-switchover')
        self.assertEqual(source.execute('migrate_cancel'), {'return': {}})
        source.wait_migration('cancelled')
        self.ended_by_itself(destination, 1)
        self.assertEqual(source.run_state(), 'prelaunch')

    def test_continue(self):
        source, (destination, uri) = self.launch(self.big), self.listening(self.big)
        for vm in (source, destination):
            vm.set_capability('events')
        source.set_capability('pause-before-switchover')
        source.command('migrate', uri=uri)
        source.wait_event('MIGRATION', status='pre-switchover')
        self.assertEqual(source.error('migrate-continue', state='active')['class'], 'GenericError')
        source.command('migrate-continue', state='pre-switchover')
        for vm in (source, destination):
            vm.wait_event('MIGRATION', status='completed')

    def test_listening(self):
        for uri, expected in (('tcp:127.0.0.1:0', 'inet'), ('unix:' + self.path('l'), 'unix')):
            vm = self.launch('-machine none -incoming defer')
            vm.set_capability('events')
            vm.command('migrate-incoming', uri=uri)
            vm.wait_event('MIGRATION', status='setup')
            info = vm.migration()
            self.assertEqual(info['status'], 'setup')
            address, = info['socket-address']
            self.assertEqual(address['type'], expected)
            if expected == 'inet':
                self.assertEqual(address['host'], '127.0.0.1')
                self.assertRegex(address['port'], r'^[1-9]\d*$')
            else:
                self.assertEqual(address['path'], uri[5:])
            self.assertEqual(vm.error('migrate-incoming', uri=uri)['class'], 'GenericError')

    def test_descriptor_name(self):
        """It is gone once a migration has used it."""
        source, destination = self.launch(), self.launch('-machine none -incoming defer')
        ends = socket.socketpair()
        for vm, end in zip((source, destination), ends):
            vm.command('getfd', fdname='fd-mig', fds=[end.fileno()])
            end.close()
        destination.command('migrate-incoming', uri='fd:fd-mig')
        source.command('migrate', uri='fd:fd-mig')
        for vm in (source, destination):
            vm.wait_migration('completed')
            self.assertEqual(vm.error('closefd', fdname='fd-mig'),
                             {'class': 'GenericError',
                              'desc': "File descriptor named 'fd-mig' not found"})

    def test_fdset(self):
        path = self.path('state')
        source, destination = self.launch(), self.launch('-machine none -incoming defer')
        with open(path, 'w+b') as f:
            f.write(b'x' * 5000)
        for vm, flags in ((source, os.O_WRONLY), (destination, os.O_RDONLY)):
            fd = os.open(path, flags)
            self.assertEqual(vm.command('add-fd', fdset_id=1, fds=[fd])['fdset-id'], 1)
            os.close(fd)
        source.command('migrate', uri='file:/dev/fdset/1,offset=4096')
        source.wait_migration('completed')
        destination.command('migrate-incoming', uri='file:/dev/fdset/1,offset=4096')
        destination.wait_migration('completed')
        with open(path, 'rb') as f:
            self.assertEqual(f.read(4100), b'x' * 4096 + b'QEVM')
        for vm in (source, destination):
            vm.command('remove-fd', fdset_id=1)
            self.assertEqual(vm.command('query-fdsets'), [])

    def test_figures(self):
        source, (destination, uri) = self.launch(self.big), self.listening(self.big)
        self.fill(source)
        self.slow(source)
        self.assertEqual(source.migration(), {})
        source.command('migrate', uri=uri)
        source.wait_migration('active')
        info = source.migration()
        for name in ('total-time', 'setup-time', 'expected-downtime'):
            self.assertIs(type(info[name]), int)
        members = ('total', 'remaining', 'transferred', 'normal', 'normal-bytes', 'duplicate', 'mbps',
                   'dirty-pages-rate', 'dirty-sync-count', 'page-size', 'pages-per-second',
                   'precopy-bytes', 'downtime-bytes', 'postcopy-bytes', 'multifd-bytes',
                   'postcopy-requests', 'dirty-sync-missed-zero-copy')
        for name in members:
            self.assertIn(type(info['ram'][name]), (int, float) if name == 'mbps' else (int,), name)
        self.fast(source)
        info = source.wait_migration('completed')
        self.assertEqual(info['ram']['remaining'], 0)
        self.assertIs(type(info['downtime']), int)
        destination.wait_migration('completed')

    def test_hmp(self):
        source, (destination, uri) = self.launch(self.big), self.listening(self.big)
        self.assertEqual(source.hmp('migrate_set_capability events on'), '')
        self.assertEqual(source.hmp('migrate_set_parameter multifd-channels 4'), '')
        self.assertEqual(source.hmp('migrate_set_parameter multifd-channels 0'),
                         "Error: Parameter 'multifd_channels' expects a value between 1 and 255\r\n")
        self.assertIn('multifd-channels: 4\r\n', source.hmp('info migrate_parameters'))
        self.assertIn('events: on\r\n', source.hmp('info migrate_capabilities'))
        self.assertEqual(source.hmp('migrate_start_postcopy'), 'Error: Enable postcopy with '
                         'migrate_set_capability before the start of migration\r\n')
        self.assertEqual(source.hmp(f'migrate -d {uri}'), '')
        source.wait_event('MIGRATION', status='completed')
        text = source.hmp('info migrate')
        self.assertIn('Migration status: completed\r\n', text)
        for name in ('total time: ', 'downtime: ', 'setup: ', 'transferred ram: ', 'duplicate: ',
                     'normal: ', 'dirty sync count: ', 'page size: '):
            self.assertIn('\r\n' + name, text)
        destination.wait_migration('completed')


@with_both
class Events(Tools):
    def test_both_sides(self):
        source, (destination, uri) = self.launch(self.big), self.listening(self.big)
        destination.terminate()
        destination = self.launch(self.big + ' -incoming defer')
        for vm in (source, destination):
            vm.set_capability('events')
        destination.command('migrate-incoming', uri=uri)
        source.command('cont')
        source.wait_event('RESUME')
        source.command('migrate', uri=uri)
        for vm in (source, destination):
            vm.wait_migration('completed')
        self.assertEqual(self.statuses(source), ['setup', 'active', 'device', 'completed'])
        self.assertEqual(self.statuses(destination), ['setup', 'active', 'completed'])
        self.assertEqual([e['event'] for e in source.take_events('STOP', 'RESUME')], ['STOP'])
        # It was told -S
        self.assertEqual(destination.take_events('STOP', 'RESUME'), [])
        self.assertEqual(destination.run_state(), 'paused')
        destination.command('cont')
        destination.wait_event('RESUME')
        self.assertEqual(destination.take_events('STOP', 'RESUME'), [])

    def test_resume_at_hand_over(self):
        arguments = '-machine pc -accel tcg -m 64M'
        source, (destination, uri) = self.launch(arguments), self.listening(arguments)
        source.set_capability('pause-before-switchover')
        source.command('migrate', uri=uri)
        source.wait_event('STOP')
        source.wait_migration('pre-switchover')
        self.assertEqual(destination.take_events('RESUME'), [])
        source.command('migrate-continue', state='pre-switchover')
        destination.wait_event('RESUME')
        self.assertEqual(destination.run_state(), 'running')
        self.assertEqual(source.take_events('STOP', 'RESUME'), [])
        source.wait_migration('completed')
        self.assertEqual(source.run_state(), 'postmigrate')

    def test_stopped_guest(self):
        """STOP at `stop`; no second one for the switchover, and no RESUME on the other side."""
        arguments = '-machine pc -accel tcg -m 64M'
        source, (destination, uri) = self.launch(arguments), self.listening(arguments)
        source.command('stop')
        source.wait_event('STOP')
        source.command('migrate', uri=uri)
        for vm in (source, destination):
            vm.wait_migration('completed')
        self.assertEqual(source.take_events('STOP', 'RESUME'), [])
        self.assertEqual(destination.take_events('RESUME'), [])
        self.assertEqual(destination.run_state(), 'paused')

    def test_cancelled_guest_goes_on(self):
        arguments = '-machine pc -accel tcg -m 64M'
        source, (destination, uri) = self.launch(arguments), self.listening(arguments)
        source.set_capability('events')
        source.set_capability('pause-before-switchover')
        source.command('migrate', uri=uri)
        source.wait_event('STOP')
        source.wait_event('MIGRATION', status='pre-switchover')
        source.command('migrate_cancel')
        source.wait_event('MIGRATION', status='cancelled')
        source.wait_event('RESUME')
        self.assertEqual(source.run_state(), 'running')
        self.ended_by_itself(destination, 1)


class NotBuiltIn(DrivingTest):
    """A suite sees at once, by an error of QEMU's class, that it need not go on."""

    def refused(self, vm, command, error_class='GenericError', **arguments):
        error = vm.error(command, **arguments)
        self.assertEqual(error['class'], error_class)
        self.assertTrue(error['desc'])
        return error['desc']

    def test_capabilities(self):
        """Every one can be switched on, or says that it is not built in."""
        vm = self.launch()
        for capability in vm.command('query-migrate-capabilities'):
            name = capability['capability']
            if name in ('postcopy-preempt', 'postcopy-blocktime', 'background-snapshot'):
                continue                    # these need others
            reply = vm.execute('migrate-set-capabilities',
                               capabilities=[{'capability': name, 'state': True}])
            if 'error' in reply:
                self.assertEqual(reply['error']['class'], 'GenericError')
                self.assertRegex(reply['error']['desc'], 'not built in|requires?|only available')
            vm.set_capability(name, False)
            self.assertEqual(vm.migration(), {})

    def test_postcopy(self):
        vm = self.launch()
        if 'error' not in vm.execute('migrate-set-capabilities',
                                     capabilities=[{'capability': 'postcopy-ram', 'state': True}]):
            self.skipTest('postcopy is built in')
        self.assertIn('Enable postcopy', self.refused(vm, 'migrate-start-postcopy'))
        self.refused(vm, 'migrate-pause')
        self.refused(vm, 'migrate-recover', uri='unix:x')
        self.refused(vm, 'migrate', uri='unix:x', resume=True)

    def test_modes_and_formats(self):
        vm = self.launch()
        for name, value in (('mode', 'cpr-reboot'), ('mode', 'cpr-transfer'), ('direct-io', True),
                            ('block-bitmap-mapping', []), ('multifd-compression', 'qpl')):
            reply = vm.execute('migrate-set-parameters', **{name: value})
            if 'error' in reply:
                self.assertEqual(reply['error']['class'], 'GenericError')
                self.assertIn(name, reply['error']['desc'])

    def test_cpr_channel(self):
        """A destination that is to take over by CPR ends at once and says why."""
        line = (f'exec {self.binary} -display none -machine none -incoming defer -incoming cpr,'
                f'addr.transport=socket,addr.type=unix,addr.path={self.path("cpr")}')
        done = subprocess.run(['/bin/sh', '-c', line], stdin=subprocess.DEVNULL, timeout=TIMEOUT,
                              capture_output=True, check=False)
        self.assertEqual(done.returncode, 1)
        self.assertIn(b'cpr', done.stderr.lower())


if __name__ == '__main__':
    tap.main()
