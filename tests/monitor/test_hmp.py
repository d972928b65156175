# SPDX-License-Identifier: GPL-2.0-or-later
"""HMP: what commands print, how lines are edited, and the same through QMP."""

import os
import re
import sys
import time

from machine_process import BINARY, TIMEOUT, MachineTest, connect, main

sys.path.insert(0, os.path.join(os.path.dirname(__file__), '..', '..', 'scripts'))

from vmtools import programs                                    # noqa: E402

PROMPT = b'(qemu) '


class Hmp(MachineTest):
    def start_hmp(self, *args):
        path = self.path('hmp')
        process = self.start('-monitor', f'unix:{path},server=on,wait=off', *args)
        c = connect(path)
        self.addCleanup(c.close)
        c.read_until(PROMPT)
        return process, c

    def command(self, c, line):
        """What a command printed, without its echo and the prompt."""
        c.send(line + '\n')
        c.read_until(line.encode() + b'\r\n')
        return c.read_until(PROMPT)[:-len(PROMPT)].decode().replace('\r\n', '\n')


class Commands(Hmp):
    def test_banner(self):
        path = self.path('hmp')
        process = self.start('-monitor', f'unix:{path},server=on,wait=off')
        c = connect(path)
        self.addCleanup(c.close)
        self.assertRegex(c.read_until(PROMPT), rb'^QEMU 10\.0\.2 monitor - type .help. for more')
        self.assert_terminates(process)

    def test_status(self):
        process, c = self.start_hmp('-S')
        self.assertEqual(self.command(c, 'info status'), 'VM status: paused (prelaunch)\n')
        self.assertEqual(self.command(c, 'cont'), '')
        self.assertEqual(self.command(c, 'info status'), 'VM status: running\n')
        self.assertEqual(self.command(c, 's'), '')
        self.assertEqual(self.command(c, 'info status'), 'VM status: paused\n')
        self.assertEqual(self.command(c, 'c'), '')
        c.send('quit\n')
        self.assertEqual(process.wait(10), 0)

    def test_info(self):
        process, c = self.start_hmp('-name', 'x', '-m', '16', '-uuid',
                                    '11111111-2222-3333-4444-555555555555')
        self.assertEqual(self.command(c, 'info name'), 'x\n')
        self.assertEqual(self.command(c, 'info uuid'), '11111111-2222-3333-4444-555555555555\n')
        self.assertIn('10.0.2', self.command(c, 'info version'))
        self.assertRegex(self.command(c, 'info kvm'), '^kvm support: (disabled|not compiled)\n$')
        self.assertEqual(self.command(c, 'info cpus'), '')
        self.assertIn('compat_monitor0: filename=unix:', self.command(c, 'info chardev'))
        self.assertIn('16777216', self.command(c, 'info memory_size_summary'))
        self.assertIn('0x0000000001000000', self.command(c, 'info ramblock'))
        self.assertIn('address-space: memory\n', self.command(c, 'info mtree'))
        self.assertIn('/machine (none-machine)\n', self.command(c, 'info qom-tree'))
        self.assertEqual(self.command(c, 'info qtree'), 'bus: main-system-bus\n  type System\n')
        self.assertEqual(self.command(c, 'info foo'), "unknown command: 'info foo'\n")
        self.assertEqual(self.command(c, 'info registers'), 'No CPU available\n')
        self.assertIn("0: 'info name'\n", self.command(c, 'info history'))
        self.assert_terminates(process)

    def test_help(self):
        process, c = self.start_hmp()
        everything = self.command(c, 'help')
        for name in ('migrate [-d] [-r] uri', 'info ', 'quit|q', 'stop|s', 'cont|c'):
            self.assertIn(f'\n{name}', everything)
        names = re.findall(r'^([a-z_-]+)', everything, re.MULTILINE)
        self.assertEqual(names, sorted(names))
        self.assertRegex(self.command(c, 'help stop'), r'^stop\|s  -- ')
        self.assertRegex(self.command(c, '? info status'), r'^info status  -- ')
        self.assertIn('\ninfo migrate  -- ', self.command(c, 'info'))
        self.assertEqual(self.command(c, 'help foo'), "unknown command: 'foo'\n")
        self.assert_terminates(process)

    def test_wrong_arguments(self):
        process, c = self.start_hmp()
        for line, says in (
                ('foo', "unknown command: 'foo'"),
                ('stop x', 'stop|s: extraneous characters at the end of line'),
                ('migrate', 'migrate: string expected'),
                ('migrate -x a', 'migrate: unsupported option -x'),
                ('migrate foo', 'Error: '),
                ('migrate_set_parameter foo 1', 'Error: invalid parameter value: foo'),
                ('migrate_set_parameter max-bandwidth x', "Error: Invalid size x"),
                ('migrate_set_parameter downtime-limit x', "'downtime-limit'"),
                ('migrate_set_capability foo on', 'Error: invalid parameter value: foo'),
                ('migrate_set_capability events x', "Expected 'on' or 'off'"),
                ('migrate_continue foo', 'Error: invalid parameter value: foo'),
                ('x/4x 0', 'Can not dump without CPU'),
                ('x/z 0', "invalid char in format: 'z'"),
                ('xp', 'unexpected end of expression'),
                ('xp 1 2', 'xp: extraneous characters at the end of line'),
                ('print 1+', 'unexpected end of expression'),
                ('print (1', "')' expected"),
                ('print 1/0', 'division by zero'),
                ('print 99999999999999999999', 'number too large'),
                ('memsave 0 1 "a', 'unterminated string'),
                ('pmemsave 0 1 /tmp/x"y', ''),
                ('closefd a', "Error: File descriptor named 'a' not found"),
                ('getfd a', 'Error: No file descriptor supplied via SCM_RIGHTS'),
                ('chardev-remove q', "Error: Chardev 'q' not found"),
                ('object_del q', "Error: object 'q' not found"),
                ('object_add foo', "Error: Parameter 'qom-type' does not accept value 'foo'"),
                ('qom-get /machine foo', "Error: Property 'none-machine.foo' not found"),
                ('cpu 3', 'invalid CPU index'),
                ('system_wakeup', 'Error: wake-up from suspend is not supported'),
                ('trace-event nope on', 'unknown event "nope"')):
            with self.subTest(line=line):
                self.assertIn(says, self.command(c, line))
        self.assert_terminates(process)

    def test_expressions(self):
        process, c = self.start_hmp()
        for expression, value in (('1+2', 3), ('2*(3+4)', 14), ('-1&0xff', 255), ('~0 & 15', 15),
                                  ("'a'", 97), ('0x10|1', 17), ('7%4', 3), ('010', 8),
                                  ('1 - 2 - 3 + 10', 6), ('9223372036854775807', 2**63 - 1)):
            self.assertEqual(self.command(c, f'print/x {expression}'), f'{value:#x}\n')
        self.assertEqual(self.command(c, 'p/d -5'), '-5\n')
        self.assertEqual(self.command(c, 'p/o 8'), '010\n')
        self.assertEqual(self.command(c, "p/c 65"), "'A'\n")
        self.assert_terminates(process)

    def test_memory(self):
        process, c = self.start_hmp('-m', '16')
        path = self.path('memory')
        self.assertEqual(self.command(c, 'xp/10xb 0'),
                         '0000000000000000: ' + ' '.join(['0x00'] * 8) + '\n'
                         '0000000000000008: 0x00 0x00\n')
        self.assertEqual(self.command(c, 'xp/2xg 0x10'),
                         '0000000000000010: 0x0000000000000000 0x0000000000000000\n')
        self.assertEqual(self.command(c, 'xp/1dw 0'), '0000000000000000:          0\n')
        self.assertEqual(self.command(c, f'pmemsave 0 4096 "{path}"'), '')
        with open(path, 'rb') as f:
            self.assertEqual(f.read(), bytes(4096))
        self.assertEqual(self.command(c, 'sum 0 16'), '00000\n')
        self.assert_terminates(process)

    def test_objects(self):
        process, c = self.start_hmp()
        self.assertEqual(self.command(c, 'object_add memory-backend-ram,id=m,size=1M'), '')
        self.assertIn('memory backend: m\n  size:  1048576\n', self.command(c, 'info memdev'))
        self.assertIn('objects (child<container>)\n', self.command(c, 'qom-list /'))
        self.assertEqual(self.command(c, 'qom-get /objects/m size'), '1048576\n')
        self.assertEqual(self.command(c, 'object_del m'), '')
        self.assertEqual(self.command(c, 'chardev-add ringbuf,id=r,size=64'), '')
        self.assertEqual(self.command(c, 'ringbuf_write r abc'), '')
        self.assertEqual(self.command(c, 'ringbuf_read r 10'), 'abc\n')
        self.assertEqual(self.command(c, 'chardev-remove r'), '')
        self.assert_terminates(process)


class Migration(Hmp):
    def test_options(self):
        process, c = self.start_hmp()
        self.assertIn('max-bandwidth: 134217728 bytes/second\n',
                      self.command(c, 'info migrate_parameters'))
        for line in ('migrate_set_parameter max-bandwidth 10',
                     'migrate_set_parameter downtime-limit 250',
                     'migrate_set_parameter multifd-channels 4',
                     'migrate_set_capability events on'):
            self.assertEqual(self.command(c, line), '')
        shown = self.command(c, 'info migrate_parameters')
        self.assertIn('max-bandwidth: 10485760 bytes/second\n', shown)
        self.assertIn('downtime-limit: 250 ms\n', shown)
        self.assertIn('multifd-channels: 4\n', shown)
        self.assertEqual(self.command(c, 'migrate_set_parameter max-bandwidth 1k'), '')
        self.assertIn('max-bandwidth: 1024 bytes', self.command(c, 'info migrate_parameters'))
        capabilities = self.command(c, 'info migrate_capabilities')
        self.assertIn('events: on\n', capabilities)
        self.assertIn('xbzrle: off\n', capabilities)
        self.assert_terminates(process)

    def test_migrate(self):
        process, c = self.start_hmp('-m', '16')
        self.assertNotIn('status', self.command(c, 'info migrate').split('globals:')[0])
        self.assertEqual(self.command(c, 'migrate exec:cat>/dev/null'), '')
        shown = self.command(c, 'info migrate')
        self.assertTrue(shown.startswith('globals:\nstore-global-state: on\n'))
        for text in ('Migration status: completed\n', 'total time: ', 'downtime: ', 'setup: ',
                     'transferred ram: ', 'throughput: ', 'remaining ram: 0 kbytes\n',
                     'total ram: 16384 kbytes\n', 'duplicate: ', 'normal: ', 'normal bytes: ',
                     'dirty sync count: ', 'page size: 4 kbytes\n', 'pages-per-second: '):
            self.assertIn('\n' + text, shown)
        self.assertEqual(self.command(c, 'info status'), 'VM status: paused (postmigrate)\n')
        self.assert_terminates(process)

    def test_detached_and_cancelled(self):
        process, c = self.start_hmp('-m', '64')
        self.command(c, 'migrate_set_parameter max-bandwidth 1k')
        self.assertEqual(self.command(c, 'migrate -d "exec:cat >/dev/null"'), '')
        self.assertEqual(self.command(c, 'migrate_cancel'), '')
        for _ in range(500):
            shown = self.command(c, 'info migrate')
            if 'status: cancel' in shown and 'cancelling' not in shown:
                break
        self.assertIn('Migration status: cancelled\n', shown)
        self.assertEqual(self.command(c, 'info status'), 'VM status: running\n')
        self.assert_terminates(process)

    def test_failure_is_told(self):
        process, c = self.start_hmp()
        said = self.command(c, f'migrate unix:{self.path("nobody")}')
        self.assertIn('Error: ', said)
        self.assertIn('Migration status: failed', self.command(c, 'info migrate'))
        self.assert_terminates(process)


class Editing(Hmp):
    def last_line(self, c, keys):
        """The line that was entered by @keys, as the history has it."""
        c.send(keys + b'\n')
        c.read_until(PROMPT)
        lines = self.command(c, 'info history').splitlines()
        return lines[-2].split(': ', 1)[1].strip("'")

    def test_keys(self):
        process, c = self.start_hmp()
        for keys, line in ((b'abc\x7fd', 'abd'), (b'abc\x01X', 'Xabc'),
                           (b'abc\x1b[D\x1b[DX', 'aXbc'), (b'one two\x17three', 'one three'),
                           (b'abc\x15def', 'def'), (b'abc\x01\x0bxyz', 'xyz'),
                           (b'abc\x1b[H\x1b[3~', 'bc'), (b'abc\x02\x04', 'ab'),
                           (b'abc\x01\x05d', 'abcd'), (b'abc\x1b[1~x\x1b[4~y', 'xabcy'),
                           (b'q\x1b[999999Zw', 'qw')):
            with self.subTest(keys=keys):
                self.assertEqual(self.last_line(c, keys), line)
        self.assert_terminates(process)

    def test_history(self):
        process, c = self.start_hmp()
        self.command(c, 'info name')
        self.command(c, 'info uuid')
        c.send(b'\x1b[A\x1b[A\n')
        c.read_until(b'info name\x1b[K\r\n')
        c.send(b'half\x10\x0e line\n')
        c.read_until(b"unknown command: 'half'")
        self.assert_terminates(process)

    def test_completion(self):
        process, c = self.start_hmp()
        for keys, echo in ((b'info uu\t', b'info uuid '), (b'qui\t', b'quit '),
                           (b'migrate_set_cap\t', b'migrate_set_capability '),
                           (b'migrate_set_capability even\t', b'events '),
                           (b'migrate_set_capability events of\t', b'off '),
                           (b'migrate_set_parameter downt\t', b'downtime-limit '),
                           (b'help sto\t', b'help stop '), (b'watchdog_action pow\t', b'poweroff '),
                           (b'info trace-events migrate_set_s\t', b'migrate_set_state '),
                           (b'trace-event migrate_set_state of\t', b'off ')):
            with self.subTest(keys=keys):
                c.send(keys)
                c.read_until(echo)
                c.send(b'\x15')
        c.send(b'info migrate_\t\t')
        text = c.read_until(b'migrate_parameters')
        self.assertIn(b'migrate_capabilities', text)
        self.assert_terminates(process)

    def test_any_bytes(self):
        process, c = self.start_hmp()
        for start in range(0, 256, 16):
            c.send(bytes(b for b in range(start, start + 16)) * 3)
        c.send(b'\x1b\x1b\x15\n' + b'x' * 20000 + b'\n')
        c.read_until(b'unknown command')
        c.send(b'\x15info status\n')
        c.read_until(b'VM status: running')
        self.assert_terminates(process)


class ThroughQmp(MachineTest):
    def hmp(self, c, line):
        return c.run('human-monitor-command', {'command-line': line})['return']

    def test_output(self):
        process, c = self.start_qmp()
        self.assertEqual(self.hmp(c, 'info status'), 'VM status: running\r\n')
        self.assertEqual(self.hmp(c, 'stop'), '')
        self.assertEqual(self.hmp(c, 'foo'), "unknown command: 'foo'\r\n")
        self.assertEqual(self.hmp(c, ''), '')
        self.assertEqual(self.hmp(c, 'memsave 0 1 "/tmp/x"'), 'No CPU available\r\n')
        self.assertEqual(self.hmp(c, 'migrate_set_parameter foo 1'),
                         'Error: invalid parameter value: foo\r\n')
        self.assert_error(c.run('human-monitor-command',
                                {'command-line': 'info cpus', 'cpu-index': 5}),
                          'GenericError', 'cpu-index')
        self.assert_quits(process, c)

    def test_migrate_does_not_wait(self):
        process, c = self.start_qmp('-m', '16')
        self.assertIn('continuing detached', self.hmp(c, 'migrate exec:cat>/dev/null'))
        while 'completed' not in self.hmp(c, 'info migrate'):
            pass
        self.assert_quits(process, c)


# What prints the same here as in QEMU 10.0, on a machine that has no CPU and on one that has.
SAME = """
info status|info name|info uuid|info kvm|info memdev|info memory_size_summary|info numa
info iothreads|info migrate_parameters|info history|info pic|info tlb|info mem|info vnc
info spice|info mice
info block|info block-jobs|info snapshots|info hotpluggable-cpus|info balloon|info network|info pci
info usb|info tpm|info replay|info sev|info sgx|info dump|info vm-generation-id|info virtio
info vcpu_dirty_limit|info dirty_rate|set_vcpu_dirty_limit 5|set_vcpu_dirty_limit -1
set_vcpu_dirty_limit|cancel_vcpu_dirty_limit|cancel_vcpu_dirty_limit 9|calc_dirty_rate
calc_dirty_rate 0|calc_dirty_rate -r -b 1|calc_dirty_rate -r 1|calc_dirty_rate 61|calc_dirty_rate 1 5
info memory-devices|info foo|foo|help foo|help info foo|info registers
p $pc|p $cs.base|p $eip|p $eflags|p $foo|p 1+|p 'a'|p/c 65|p/x -1|p (1|p 1/0|x|xp|xp/foo 0|xp/4xw 0
xp/2dh 0|xp/3cb 0|xp/2oh 0|sum 0 100|gva2gpa 0xfffffff0|gpa2hva 0xf0000000|i|o|nmi|boot_set c
watchdog_action foo|watchdog_action none|cpu 0|cpu 5|cont foo|info cpus foo|info registers 3
info lapic 3|migrate|migrate_cancel|migrate_continue foo|migrate_continue pre-switchover
migrate_recover x|migrate_pause|migrate_set_capability foo on|migrate_set_capability events foo
migrate_set_capability events on|migrate_set_capability|migrate_set_parameter foo 1
migrate_set_parameter multifd-compression foo|migrate_set_parameter max-bandwidth 10
migrate_set_parameter max-bandwidth 1k|migrate_set_parameter downtime-limit 250
info migrate_parameters|savevm x|x_colo_lost_heartbeat|ringbuf_write foo x|ringbuf_read foo 1
ringbuf_write rb abc|ringbuf_read rb 10|object_add foo|object_add foo,id=x
object_add memory-backend-ram,id=x|object_add memory-backend-ram,id=mm,size=4k
object_add memory-backend-ram,id=mm,size=4k|object_del mm|object_del x|qom-list|qom-list /foo
qom-get /machine foo|qom-set /machine foo bar|getfd x|closefd x|chardev-add null,id=other
chardev-remove foo|chardev-send-break foo|chardev-send-break rb|device_add foo|device_add
device_del foo|client_migrate_info foo bar|announce_self|log none|logfile /nonexist/x
trace-event foo on|trace-event foo|balloon 3|exit_preconfig|sync-profile
memsave 0 16 "/nonexist/x"|pmemsave 0 16 "/nonexist/x"|memsave 0 16 /nonexist/x|system_powerdown
stop|info status|system_reset|cont|info status|info roms foo|info qtree foo|q foo
"""


class LikeTheRealProgram(MachineTest):
    """The same commands for both programs, on the same machine."""

    def setUp(self):
        super().setUp()
        self.real = programs.find(programs.NEWER)
        if not self.real:
            self.skipTest(programs.why_missing(programs.NEWER))

    def machine(self, binary, *args):
        path = self.path('qmp-real' if binary == self.real else 'qmp')
        process = self.start('-display', 'none', '-nodefaults', '-qmp',
                             f'unix:{path},server=on,wait=off', *args, plain=False, binary=binary)
        return process, self.new_client(path)

    def say(self, c, line):
        said = c.run('human-monitor-command', {'command-line': line})['return']
        return said.replace('\r\n', '\n')

    def compare(self, *args):
        machines = [self.machine(binary, *args) for binary in (self.real, BINARY)]
        for line in re.split(r'[|\n]', SAME.strip()):
            with self.subTest(command=line):
                theirs, ours = (self.say(c, line) for _, c in machines)
                self.assertEqual(ours, theirs)
        for process, c in machines:
            c.send({'execute': 'quit'})
            process.wait(TIMEOUT)

    def test_machine_none(self):
        self.compare('-M', 'none', '-m', '64', '-chardev', 'ringbuf,id=rb')

    def test_microvm(self):
        self.compare('-M', 'microvm,acpi=off', '-accel', 'tcg', '-m', '64', '-serial', 'null', '-S',
                     '-chardev', 'ringbuf,id=rb')

    def test_help_names(self):
        """No command of ours has a name that the real program does not know."""
        machines = [self.machine(binary, '-M', 'none') for binary in (self.real, BINARY)]
        for line in ('help', 'help info'):
            texts = [self.say(c, line) for _, c in machines]
            theirs, ours = ({re.split(r' ', row.removeprefix('info '))[0] for row in
                             text.splitlines() if ' -- ' in row} for text in texts)
            with self.subTest(line=line):
                self.assertLessEqual(ours, theirs)
                self.assertGreater(len(ours), 30)

    def test_migration(self):
        """info migrate before, after one that ends well and after one that fails."""
        figure = re.compile(r'[0-9.]+(?= (ms|kbytes|mbps|pages)|$)', re.M)
        machines = [self.machine(binary, '-M', 'none', '-m', '16')
                    for binary in (self.real, BINARY)]
        told = []
        for _, c in machines:
            said = [self.say(c, 'info migrate')]
            for uri in ('exec:cat >/dev/null', f'unix:{self.path("nobody")}'):
                c.run('migrate', {'uri': uri})
                end = time.monotonic() + TIMEOUT
                while c.run('query-migrate')['return'].get('status') not in ('completed', 'failed'):
                    self.assertLess(time.monotonic(), end)
                said.append(figure.sub('N', self.say(c, 'info migrate')))
            said = [re.sub(r'send-switchover-start: \w+\n', '', text) for text in said]
            told.append(said)
        for theirs, ours in zip(*told):
            lines = [text.splitlines() for text in (theirs, ours)]
            # Its figure is that of the last second, if there was one.
            lines = [[line for line in text if not line.startswith('dirty pages rate')]
                     for text in lines]
            if 'Migration status: completed' in lines[1]:
                self.assertRegex(lines[1].pop(), '^downtime steps: ')   # ours, behind the rest
            self.assertEqual(lines[1], lines[0])

    def test_page_tables(self):
        guest = os.path.join(os.environ.get('GUEST_DIR', 'build/tests/guest'), 'dirty64.elf')
        if not os.path.exists(guest):
            self.skipTest('the guest is not built')
        machines = [self.machine(binary, '-M', 'microvm,acpi=off', '-accel', 'tcg', '-m', '64',
                                 '-kernel', guest, '-append', 'mb=4', '-serial', 'null')
                    for binary in (self.real, BINARY)]
        said = []
        for _, c in machines:
            end = time.monotonic() + TIMEOUT
            while 'PG disabled' in self.say(c, 'info mem'):
                self.assertLess(time.monotonic(), end)
            self.say(c, 'stop')
            registers = self.say(c, 'info registers')
            # Values differ, as the guest is stopped anywhere; the form does not.
            said.append((self.say(c, 'info mem'), re.sub('[DA]', '-', self.say(c, 'info tlb')),
                         re.sub(r'\[[-A-Z]{7}\]', '', re.sub('[0-9a-f]{2,}', 'N', registers)),
                         self.say(c, 'p/x $cs'), self.say(c, 'gva2gpa 0x300123')))
        for theirs, ours in zip(*said):
            self.assertEqual(ours, theirs)


if __name__ == '__main__':
    main()
