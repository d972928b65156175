# SPDX-License-Identifier: GPL-2.0-or-later
"""The command line: what is taken, what is refused and how, and life and death of the process."""

import json
import os
import signal
import subprocess
import time

from machine_process import BINARY, PLAIN, MachineTest, connect, main

# Arguments, and words that the one line about them has to have.
REFUSED = [
    ('-foo', '-foo: invalid option'),
    ('--foo', '--foo: invalid option'),
    ('-', 'invalid option'),
    ('-m', '-m: requires an argument'),
    ('-m 12x', '-m 12x: invalid size'),
    ('-m -1', '-m -1'),
    ('-m 1E', 'RAM'),
    ('-m size=1,foo=2', "'foo'"),
    ('-m 16,slots=2,maxmem=8M', 'maxmem'),
    ('-M foo', "unsupported machine type 'foo'"),
    ('-machine none,foo=1', "-machine: Property 'none-machine.foo' not found"),
    ('-smp 0', '-smp 0'),
    ('-smp foo', '-smp foo'),
    ('-smp 2', "The max CPUs supported by machine 'none' is 1"),
    ('-smp 2,foo=2', "'foo'"),
    ('-uuid x', '-uuid x: failed to parse UUID string'),
    ('-incoming foo', '-incoming foo: unknown migration protocol: foo'),
    ('-incoming tcp:127.0.0.1', '-incoming tcp:127.0.0.1'),
    ('-incoming unix:', 'unix:PATH'),
    ('-incoming fd:99', 'not open'),
    ('-incoming file:/nonexistent', "Could not open '/nonexistent'"),
    ('-incoming cpr,addr.transport=socket,addr.type=unix,addr.path=/x', 'cpr channel'),
    ('-object foo,id=a', "-object foo,id=a: Parameter 'qom-type' does not accept value 'foo'"),
    ('-object memory-backend-ram', "'id' is missing"),
    ('-object memory-backend-ram,id=a,size=0', "'size'"),
    ('-object memory-backend-ram,id=a,size=1M,foo=1', "'foo' is unexpected"),
    ('-object {', '-object {'),
    ('-device foo', "-device foo: 'foo' is not a valid device model name"),
    ('-device device', 'pluggable device type'),
    ('-chardev foo,id=a', "'foo' is not a valid char driver name"),
    ('-chardev null', 'no id specified'),
    ('-chardev null,id=1', 'expects an identifier'),
    ('-chardev null,id=a,foo=1', "Invalid parameter 'foo'"),
    ('-chardev null,id=a -chardev null,id=a', "Duplicate ID 'a' for chardev"),
    ('-chardev socket,id=a', "'path'"),
    ('-chardev socket,id=a,host=h', 'no port given'),
    ('-chardev socket,id=a,path=/nonexistent/s', "Failed to connect to '/nonexistent/s'"),
    ('-chardev socket,id=a,path=/nonexistent/s,server=on,wait=off', '/nonexistent/s'),
    ('-chardev socket,id=a,path=/x,server=on,reconnect=1', "'reconnect'"),
    ('-chardev socket,id=a,path=/x,server=foo', "'server' expects 'on' or 'off'"),
    ('-chardev file,id=a', 'no filename given'),
    ('-mon foo', 'chardev "foo" not found'),
    ('-chardev null,id=a -mon a,mode=foo', "'mode' does not accept value 'foo'"),
    ('-chardev null,id=a -mon a,pretty=on', "'pretty' is not compatible"),
    ('-monitor foo', "-monitor foo: 'foo' is not a valid char driver"),
    ('-serial foo', "-serial foo: 'foo' is not a valid char driver"),
    ('-serial tcp:foo', 'HOST:PORT'),
    ('-serial file:/nonexistent/f', '/nonexistent/f'),
    ('-qmp foo', '-qmp foo'),
    ('-qmp mon:stdio', 'mon:'),
    ('-name a,b=c', "Invalid parameter 'b'"),
    ('-global x', '-global x'),
    ('-global migration.foo=1', "Property 'migration.foo' not found"),
    ('-global migration.x-events=3', "'x-events' expects 'on' or 'off'"),
    ('-pidfile /nonexistent/p', 'cannot create PID file'),
    ('-display gtk', "-display gtk"),
    ('-vga std', '-vga std'),
    ('-net user', '-net user'),
    ('-parallel stdio', '-parallel stdio'),
    ('-cpu foo', "unable to find CPU model 'foo'"),
    ('-msg foo=1', "Invalid parameter 'foo'"),
    ('-msg timestamp=x', "'timestamp' expects 'on' or 'off'"),
    ('-rtc base=foo', 'invalid datetime format'),
    ('-rtc clock=foo', "'foo'"),
    ('-add-fd fd=99,set=1', 'fd is not valid'),
    ('-add-fd fd=0,set=1', 'standard I/O'),
    ('-add-fd set=1', 'fd=NUMBER'),
    ('-boot 9', 'Invalid boot device'),
    ('-action reboot=foo', "'reboot' does not accept value 'foo'"),
    ('-qtest foo', '-qtest foo'),
    ('-D /nonexistent/log', '/nonexistent/log'),
    ('-d foo', "unknown log item 'foo'"),
    ('-kernel /nonexistent', '-kernel'),
    ('-numa foo', '-numa foo'),
    ('-numa node,memdev=zz', "'zz'"),
    ('-machine memory-backend=zz', "'zz'"),
    ('-drive file=x', 'disks are not supported'),
    ('disk.img', 'disk.img'),
    ('-daemonize -monitor stdio', 'cannot use stdio with -daemonize'),
    ('-readconfig x', '-readconfig x'),
    ('-sandbox on', '-sandbox on'),
    ('-dump-vmstate /nonexistent/v', '-dump-vmstate /nonexistent/v'),
    ('-mem-path /nonexistent/m -m 16', '/nonexistent/m'),
]

TAKEN = [
    '-machine none,', '-M none -machine none', 
    '-m 0', '-m 1', '-m 64M', '-m size=1G', '-m 16,slots=2,maxmem=32M', '-smp 1', '-S',
    '-no-user-config', '-L /nonexistent', '-vga none', '-net none', '-nic none', '-audio none',
    '-parallel none', '-serial none', '-monitor none', '-boot order=c,menu=off', '-boot cd',
    '-rtc base=utc,clock=vm', '-rtc base=2006-06-17T16:01:21', '-no-reboot', '-no-shutdown',
    '-action reboot=shutdown,panic=none', '-msg timestamp=on', '-name a,debug-threads=on',
    '-only-migratable', '-global migration.x-events=on', '-trace migration*', '-sandbox off',
    '-incoming defer', '-d guest_errors', '-overcommit mem-lock=off',
    '-object memory-backend-ram,id=m,size=16M -machine memory-backend=m -m 16',
    '-object {"qom-type":"memory-backend-ram","id":"m","size":4096}',
    '-object memory-backend-ram,id=m,size=16M -numa node,memdev=m -m 16',
    '-chardev null,id=a -serial chardev:a', '-chardev ringbuf,id=a,size=1k',
    '-serial mon:null',
]


class Refused(MachineTest):
    def test_each_with_one_line_and_status_1(self):
        for text, says in REFUSED:
            with self.subTest(arguments=text):
                status, out, err = self.run_to_end(*text.split())
                self.assertEqual((status, out), (1, ''), err)
                self.assertIn(says, err.splitlines()[0])
                self.assertTrue(err.startswith(os.path.basename(BINARY) + ': '), err)

    def test_accelerator(self):
        status, _, err = self.run_to_end('-M', 'none', '-accel', 'foo', plain=False)
        self.assertEqual(status, 1)
        self.assertIn('invalid accelerator foo', err)

    def test_machine_without_a_default(self):
        status, _, err = self.run_to_end('-display', 'none', '-nodefaults', '-M', '',
                                         plain=False)
        self.assertEqual(status, 1, err)


class Taken(MachineTest):
    def test_each_runs_and_ends(self):
        for i, text in enumerate(TAKEN):
            with self.subTest(arguments=text):
                path = self.path(f'qmp{i}')
                process = self.start('-qmp', f'unix:{path},server=on,wait=off', *text.split(),
                                     stderr=subprocess.PIPE)
                c = self.new_client(path)
                self.assertIn('return', c.run('query-status'))
                self.assert_quits(process, c)


    def test_accelerators_are_alternatives(self):
        path = self.path('qmp')
        process = self.start('-M', 'none', '-nodefaults', '-display', 'none', '-accel', 'foo',
                             '-accel', 'qtest', '-qmp', f'unix:{path},server=on,wait=off',
                             plain=False)
        self.assert_quits(process, self.new_client(path))


class Information(MachineTest):
    def test_version(self):
        status, out, _ = self.run_to_end('-version', plain=False)
        self.assertEqual(status, 0)
        self.assertRegex(out, r'^QEMU emulator version 10\.0\.2 \(Godwit [0-9.]+\)\n$')
        self.assertEqual(self.run_to_end('--version', plain=False)[1], out)

    def test_help(self):
        status, out, _ = self.run_to_end('-help', plain=False)
        self.assertEqual(status, 0)
        for name in ('-machine', '-accel', '-incoming', '-qmp', '-object'):
            self.assertIn(f'\n{name} ', out)
        self.assertTrue(all(len(line) < 130 for line in out.splitlines()))

    def test_lists(self):
        for args, says in (('-machine help', 'none'), ('-accel help', ''),
                           ('-chardev help', 'socket'), ('-object help', 'memory-backend-ram'),
                           ('-M none,help', ''), ('-device help', ''), ('-trace help', ''),
                           ('-object memory-backend-ram,help', 'size'), ('-cpu help', '')):
            with self.subTest(args=args):
                status, out, err = self.run_to_end(*args.split(), plain=False)
                self.assertEqual(status, 0, err)
                self.assertIn(says, out)

    def test_dump_vmstate(self):
        path = self.path('vmstate.json')
        self.assertEqual(self.run_to_end('-dump-vmstate', path)[0], 0)
        with open(path, encoding='utf-8') as f:
            self.assertIn('vmschkmachine', json.load(f))


class Process(MachineTest):
    def test_signals(self):
        for number in (signal.SIGTERM, signal.SIGINT, signal.SIGHUP):
            path = self.path(f'qmp{number}')
            process = self.start('-qmp', f'unix:{path},server=on,wait=off')
            c = self.new_client(path)
            process.send_signal(number)
            self.assertEqual(c.event('SHUTDOWN')['data'],
                             {'guest': False, 'reason': 'host-signal'})
            self.assertEqual(process.wait(10), 0)

    def test_termination_in_every_state(self):
        for i, args in enumerate((['-S'], ['-incoming', 'defer'],
                                  ['-incoming', f'unix:{self.path("in")}'],
                                  ['-incoming', 'tcp:127.0.0.1:0'], ['-no-shutdown'])):
            path = self.path(f'qmp{i}')
            process = self.start('-qmp', f'unix:{path},server=on,wait=off', *args)
            self.new_client(path)
            self.assert_terminates(process)

    def test_pidfile(self):
        path = self.path('pid')
        process, c = self.start_qmp('-pidfile', path)
        with open(path, encoding='ascii') as f:
            self.assertEqual(int(f.read()), process.pid)
        self.assert_quits(process, c)
        self.assertFalse(os.path.exists(path))

    def test_daemonize(self):
        """It returns once the sockets are there, and the child answers on them."""
        qmp, pid = self.path('qmp'), self.path('pid')
        command = [BINARY, *PLAIN, '-qmp', f'unix:{qmp},server=on,wait=off', '-pidfile', pid,
                   '-daemonize']
        done = subprocess.run(command, timeout=20, check=False, stdin=subprocess.DEVNULL,
                              stdout=subprocess.PIPE, stderr=subprocess.STDOUT)
        self.assertEqual((done.returncode, done.stdout), (0, b''))
        self.assertTrue(os.path.exists(qmp))
        with open(pid, encoding='ascii') as f:
            child = int(f.read())
        c = self.new_client(qmp)
        self.assertIn('return', c.run('query-status'))
        c.send({'execute': 'quit'})
        end = time.monotonic() + 10
        while os.path.exists(pid):
            self.assertLess(time.monotonic(), end)
            time.sleep(0.01)
        self.assertNotEqual(child, os.getpid())

    def test_daemonize_fails(self):
        status, _, err = self.run_to_end('-daemonize', '-chardev', 'socket,id=a,path=/nonexistent')
        self.assertEqual(status, 1)
        self.assertIn('/nonexistent', err)

    def test_as_a_management_program_starts_it(self):
        qmp, pid = self.path('qmp'), self.path('pid')
        done = subprocess.run(
            [BINARY, '-S', '-no-user-config', '-nodefaults', '-nographic', '-machine',
             'none,accel=kvm:tcg', '-qmp', f'unix:{qmp},server=on,wait=off', '-pidfile', pid,
             '-daemonize'], timeout=20, check=False, stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE, stderr=subprocess.STDOUT)
        self.assertEqual(done.returncode, 0, done.stdout)
        c = self.new_client(qmp)
        self.assertEqual(c.run('query-status')['return']['status'], 'prelaunch')
        c.send({'execute': 'quit'})

    def test_add_fd(self):
        fd = os.open(self.path('f'), os.O_RDWR | os.O_CREAT)
        os.set_inheritable(fd, True)
        path = self.path('qmp')
        process = self.start('-add-fd', f'fd={fd},set=5,opaque=x', '-serial',
                             'file:/dev/fdset/5', '-qmp', f'unix:{path},server=on,wait=off',
                             close_fds=False)
        os.close(fd)
        # Opened for writing only, so a descriptor open for both does not do.
        self.assertEqual(process.wait(10), 1)
        fd = os.open(self.path('f'), os.O_WRONLY)
        os.set_inheritable(fd, True)
        process = self.start('-add-fd', f'fd={fd},set=5,opaque=x', '-serial',
                             'file:/dev/fdset/5', '-qmp', f'unix:{path},server=on,wait=off',
                             close_fds=False)
        os.close(fd)
        c = self.new_client(path)
        sets = c.run('query-fdsets')['return']
        self.assertEqual([(s['fdset-id'], s['fds'][0]['opaque']) for s in sets], [(5, 'x')])
        self.assert_quits(process, c)

    def test_messages_with_time(self):
        status, _, err = self.run_to_end('-msg', 'timestamp=on', '-M', 'foo')
        self.assertEqual(status, 1)
        self.assertRegex(err, r'^[0-9]{4}-[0-9]{2}-[0-9]{2}T[0-9:.]+Z ')


if __name__ == '__main__':
    main()
