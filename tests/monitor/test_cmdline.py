# SPDX-License-Identifier: GPL-2.0-or-later
"""The command line: what is taken, what is refused and how, and life and death of the process."""

import calendar
import json
import os
import re
import shutil
import signal
import subprocess
import time

from machine_process import BINARY, PLAIN, TIMEOUT, MachineTest, connect, main

TOP = os.path.join(os.path.dirname(os.path.abspath(__file__)), '..', '..')

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
    ('-M foo', 'unsupported machine type: "foo"'),
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
    ('-device device', "'driver' expects a non-abstract device type"),
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
    ('-chardev udp,id=a,host=h,port=1', "kind 'udp' are known, not supported"),
    ('-chardev socket,id=a,path=/x,websocket=on,server=on', 'websocket'),
    ('-chardev socket,id=a,host=h,port=1,tls-creds=x', 'TLS'),
    ('-serial udp:h:1', "'udp:h:1' are known, not supported"),
    ('-serial websocket:h:1,server=on', 'known, not supported'),
    ('-serial /dev/ttyS0', 'known, not supported'),
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
    ('-D /nonexistent/log', 'Error opening logfile /nonexistent/log'),
    ('-D /tmp/%s', 'Bad logfile template'),
    ('-d tid', "'tid' needs a log file"),
    ('-d foo', "unknown log item 'foo'"),
    ('-kernel /nonexistent', '-kernel'),
    ('-numa foo', '-numa foo'),
    ('-numa node,memdev=zz', "'zz'"),
    ('-machine memory-backend=zz', "'zz'"),
    ('-drive file=/nonexistent/x', "Could not open '/nonexistent/x'"),
    ('disk.img', 'disk.img'),
    ('-daemonize -monitor stdio', 'cannot use stdio with -daemonize'),
    ('-readconfig /nonexistent', "Could not open '/nonexistent': No such file"),
    ('-readconfig /dev/zero', 'is no configuration'),
    ('-sandbox foo', "'enable' expects 'on' or 'off'"),
    ('-sandbox on,foo=1', "Invalid parameter 'foo'"),
    ('-sandbox on,spawn=foo', 'invalid argument for spawn'),
    ('-sandbox on,spawn=children', 'invalid argument for spawn'),
    ('-sandbox on,elevateprivileges=deny -run-with user=0:0', 'elevateprivileges'),
    ('-run-with foo=1', "Invalid parameter 'foo'"),
    ('-run-with user=nobody-at-all', 'User "nobody-at-all" doesn\'t exist (and is not'),
    ('-run-with user=1:4294967295', "doesn't exist"),
    ('-run-with chroot=/nonexistent', "chroot to '/nonexistent' failed"),
    ('-set a.b.c=d', "There is no option group 'a'"),
    ('-set chardev.x.path=d', 'there is no chardev "x" defined'),
    ('-set foo', 'GROUP.ID.NAME=VALUE'),
    ('-echr 300', '0 to 255'),
    ('-compat foo=1', "'foo' is unexpected"),
    ('-compat deprecated-input=crash', "only 'accept'"),
    ('-fw_cfg name=opt/x', 'file=FILE or string=TEXT'),
    ('-fw_cfg name=opt/x,string=y', 'fw_cfg device not available'),
    ('-watchdog-action foo', "'watchdog' does not accept value 'foo'"),
    ('-overcommit mem-lock=foo', "one of 'on', 'off', 'on-fault'"),
    ('-rtc base=2006-06-31', 'invalid datetime format'),
    ('-rtc base=2006-06-17T25:00:00', 'invalid datetime format'),
    ('-rtc driftfix=foo', "'foo'"),
    ('-icount auto', "option '-icount' is known, not supported"),
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
    '-sandbox on',
    '-sandbox on,obsolete=deny,elevateprivileges=deny,spawn=deny,resourcecontrol=deny',
    '-sandbox on,obsolete=allow,elevateprivileges=children', '-run-with async-teardown=on',
    '-compat deprecated-input=accept', '-echr 0x14', '-mem-prealloc -m 4', '-watchdog-action none',
    '-rtc base=localtime,clock=rt,driftfix=none', '-d none', '-k de',
    '-nic none -audiodev none,id=a',
    '-object memory-backend-ram,id=m,size=16M -machine memory-backend=m -m 16',
    '-object {"qom-type":"memory-backend-ram","id":"m","size":4096}',
    '-object memory-backend-ram,id=m,size=16M -numa node,memdev=m -m 16',
    '-chardev null,id=a -serial chardev:a', '-chardev ringbuf,id=a,size=1k',
    '-serial mon:null',
]


def sandbox_built(test):
    status, _, err = test.run_to_end('-sandbox', 'on', '-M', 'no-such-machine')
    test.assertEqual(status, 1)
    return 'not built in' not in err


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


class Taken(MachineTest):
    def test_each_runs_and_ends(self):
        sandbox = sandbox_built(self)
        for i, text in enumerate(TAKEN):
            if text.startswith('-sandbox on') and not sandbox:
                continue
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
                           ('-display help', 'none'), ('-audiodev help', 'none'),
                           ('-nic help', 'none'),
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


def options_of_help(text):
    """The names that a help text lists, without dashes."""
    found = set()
    for line in text.splitlines():
        for word in re.findall(r'^--?([\w-]+)|(?<=/)-([\w-]+)(?= )|(?<= or )-([\w-]+)', line):
            found.update(w for w in word if w)
    return found


class Known(MachineTest):
    """Every option of QEMU's is done, or refused by its name; none is swallowed."""

    def refused(self):
        with open(os.path.join(TOP, 'system', 'cmdline-refused.c'), encoding='utf-8') as f:
            return dict(re.findall(r'^    \{ "([\w-]+)", (true|false),', f.read(), re.M))

    def done(self):
        with open(os.path.join(TOP, 'system', 'cmdline-options.c'), encoding='utf-8') as f:
            table = f.read()
        table = table[table.index('const CmdlineOption cmdline_options[]'):]
        return dict(re.findall(r'^    \{ "([\w-]+)", (NULL|"[^"]*"),?', table, re.M))

    def test_tables_are_disjoint(self):
        self.assertEqual(set(self.refused()) & set(self.done()), set())
        self.assertGreater(len(self.refused()), 30)

    def test_options_of_the_real_program(self):
        programs = [p for p in (os.environ.get('QEMU_BINARY', 'qemu-system-x86_64'),
                                os.environ.get('QEMU_NEW_BINARY')) if p and shutil.which(p)]
        if not programs:
            self.skipTest('there is no QEMU to ask')
        for program in programs:
            text = subprocess.run([program, '-help'], stdout=subprocess.PIPE, check=True,
                                  stderr=subprocess.DEVNULL, timeout=TIMEOUT).stdout.decode()
            names = options_of_help(text)
            self.assertGreater(len(names), 90)
            for name in sorted(names):
                with self.subTest(program=program, option=name):
                    self.assertTrue(name in self.refused() or name in self.done())

    def test_refused_by_name(self):
        for name, has_arg in self.refused().items():
            for dash in ('-', '--'):
                with self.subTest(option=dash + name):
                    status, out, err = self.run_to_end(dash + name,
                                                       *(['x'] if has_arg == 'true' else []))
                    self.assertEqual((status, out), (1, ''))
                    self.assertIn(f"option '{dash}{name}' is known, not supported: ", err)

    def test_arguments_that_make_no_sense(self):
        """Whatever takes an argument looks at it: nothing is accepted blindly, nothing crashes."""
        anything = {'L', 'k', 'append', 'bios', 'cpu', 'initrd', 'kernel', 'name', 'mem-path', 'D',
                    'incoming', 'pidfile', 'dump-vmstate', 'qtest-log', 'trace', 'd'}
        for name, argument in self.done().items():
            if argument == 'NULL' or name in anything:
                continue
            for value in ('=,%n%s', 'x' * 3000, '{'):
                with self.subTest(option=name, value=value[:10]):
                    # What could be a name of something fails with the last option.
                    status, _, err = self.run_to_end('-' + name, value, '-uuid', 'foo')
                    self.assertEqual(status, 1, err)
                    self.assertTrue(err)


class ConfigurationFile(MachineTest):
    def config(self, text):
        path = self.path('config')
        with open(path, 'w', encoding='utf-8') as f:
            f.write(text)
        return path

    def test_a_machine_from_a_file(self):
        qmp, log = self.path('qmp'), self.path('serial,with comma')
        path = self.config(f"""
            # a machine
            [machine]
              type = "none"
              memory-backend = "ram"
            [memory]
              size = "8M"
            [accel]
              accel = "qtest"
            [object "ram"]
              qom-type = "memory-backend-ram"
              size = "8M"
            [name]
              guest = "from a file"
            [chardev "out"]
              backend = "file"
              path = "{log}"
            [chardev "mon0"]
              backend = "socket"
              path = "{qmp}"
              server = "on"
              wait = "off"
            [mon "m"]
              chardev = "mon0"
              mode = "control"
            [global]
              driver = "migration"
              property = "x-events"
              value = "on"
            [action]
              reboot = "shutdown"
            [msg]
              timestamp = "off"
            """)
        process = self.start('-nodefaults', '-display', 'none', '-readconfig', path, plain=False)
        c = self.new_client(qmp)
        self.assertEqual(c.run('query-name')['return'], {'name': 'from a file'})
        self.assertEqual([m['id'] for m in c.run('query-memdev')['return']], ['ram'])
        self.assertEqual(c.run('query-memory-size-summary')['return']['base-memory'], 8 << 20)
        capabilities = {x['capability']: x['state'] for x in
                        c.run('query-migrate-capabilities')['return']}
        self.assertTrue(capabilities['events'])
        self.assertTrue(os.path.exists(log))
        self.assert_quits(process, c)

    def test_the_command_line_adds(self):
        process, c = self.start_qmp('-readconfig', self.config('[name]\nguest = "a"\n'),
                                    '-name', 'b')
        self.assertEqual(c.run('query-name')['return'], {'name': 'b'})
        self.assert_quits(process, c)

    def test_what_is_wrong(self):
        for text, says in (('[foo]\n', "line 1: There is no option group 'foo'"),
                           ('x = "y"\n', 'line 1: no group defined'),
                           ('[name]\nguest = x\n', 'line 2: parse error'),
                           ('[name]\nguest "x"\n', 'line 2: parse error'),
                           ('[name]\nguest = "x" y\n', 'line 2: parse error'),
                           ('[name]\nfoo = "x"\n', "Invalid parameter 'foo'"),
                           ('[name\n', 'a group is written'),
                           ('[chardev "a,b"]\nbackend = "null"\n', "'id' expects an identifier"),
                           ('\n\n[chardev "a"]\nbackend = "foo"\n', "'foo' is not a valid char"),
                           ('[chardev]\nbackend = "null"\n', 'chardev: no id specified'),
                           ('[machine]\nfoo = "bar"\n', "'none-machine.foo' not found"),
                           ('[smp-opts]\ncpus = "2"\n', 'Invalid SMP CPUs 2'),
                           ('[sandbox]\nenable = "x"\n', "'enable' expects 'on' or 'off'"),
                           ('[rtc]\nbase = "x"\n', 'invalid datetime format'),
                           ('[fw_cfg]\nname = "x"\n', 'file=FILE or string=TEXT')):
            with self.subTest(text=text):
                status, out, err = self.run_to_end('-readconfig', self.config(text))
                self.assertEqual((status, out), (1, ''), err)
                self.assertIn(says, err)


class Confined(MachineTest):
    def setUp(self):
        super().setUp()
        if self._testMethodName not in self.WITHOUT_SANDBOX and not sandbox_built(self):
            self.skipTest('built without libseccomp')

    WITHOUT_SANDBOX = ('test_another_user_and_root', 'test_everything_in_the_background',
                       'test_async_teardown', 'test_old_names')
    ALL = 'on,obsolete=deny,elevateprivileges=deny,spawn=deny,resourcecontrol=deny'

    def status_of(self, process):
        with open(f'/proc/{process.pid}/status', encoding='ascii') as f:
            return dict(line.rstrip('\n').split(':', 1) for line in f)

    def test_all_threads(self):
        process, c = self.start_qmp('-sandbox', self.ALL)
        for task in os.listdir(f'/proc/{process.pid}/task'):
            with open(f'/proc/{process.pid}/task/{task}/status', encoding='ascii') as f:
                self.assertIn('Seccomp:\t2\n', f.read())
        self.assertEqual(self.status_of(process)['NoNewPrivs'].strip(), '1')
        self.assert_quits(process, c)

    def test_no_processes(self):
        process, c = self.start_qmp('-sandbox', 'on,spawn=deny')
        reply = c.run('migrate', {'uri': 'exec:cat >/dev/null'})
        self.assert_error(reply, 'GenericError', 'Operation not permitted')
        self.assertEqual(c.run('query-status')['return']['status'], 'running')
        self.assert_quits(process, c)
        status, _, err = self.run_to_end('-sandbox', 'on,spawn=deny', '-incoming', 'exec:true')
        self.assertEqual(status, 1)
        self.assertIn('Operation not permitted', err)

    def test_processes_by_default(self):
        process, c = self.start_qmp('-sandbox', 'on')
        self.assertEqual(c.run('migrate', {'uri': 'exec:cat >/dev/null'}), {'return': {}})
        self.wait_for_migration(c)
        self.assert_quits(process, c)

    def wait_for_migration(self, c, status='completed'):
        end = time.monotonic() + TIMEOUT
        while True:
            got = c.run('query-migrate')['return'].get('status')
            if got == status:
                return
            self.assertNotIn(got, ('failed', 'cancelled', 'completed'))
            self.assertLess(time.monotonic(), end)

    def migrate_confined(self, *args):
        there, path = self.path('there'), self.path('incoming')
        destination = self.start('-qmp', f'unix:{there},server=on,wait=off', '-sandbox', self.ALL,
                                 '-incoming', f'unix:{path}', *args, plain=False)
        d = self.new_client(there)
        here = self.path('here')
        source = self.start('-qmp', f'unix:{here},server=on,wait=off', '-sandbox', self.ALL,
                            *args, plain=False)
        c = self.new_client(here)
        self.assertEqual(c.run('migrate', {'uri': f'unix:{path}'}), {'return': {}})
        self.wait_for_migration(c)
        d.event('RESUME')
        self.assert_quits(source, c)
        self.assert_quits(destination, d)

    def test_migration(self):
        self.migrate_confined(*PLAIN, '-m', '16')

    def test_migration_with_kvm(self):
        if not os.access('/dev/kvm', os.R_OK | os.W_OK):
            self.skipTest('there is no KVM')
        self.migrate_confined('-M', 'microvm', '-accel', 'kvm', '-m', '16', '-nodefaults',
                              '-display', 'none')

    def test_another_user_and_root(self):
        if os.geteuid():
            self.skipTest('only root can become another user')
        os.chmod(self.dir.name, 0o755)
        process, c = self.start_qmp('-run-with', f'user=1234:2345,chroot={self.dir.name}',
                                    '-run-with', 'async-teardown=on')
        status = self.status_of(process)
        self.assertEqual(status['Uid'].split(), ['1234'] * 4)
        self.assertEqual(status['Gid'].split(), ['2345'] * 4)
        self.assertEqual(status['Groups'].split(), ['2345'])
        self.assertEqual(os.readlink(f'/proc/{process.pid}/root'), self.dir.name)
        self.assert_quits(process, c)

    def test_everything_in_the_background(self):
        if os.geteuid():
            self.skipTest('only root can become another user')
        os.chmod(self.dir.name, 0o755)
        qmp, pidfile = self.path('qmp'), self.path('pid')
        done = subprocess.run([BINARY, *PLAIN, '-daemonize', '-pidfile', pidfile, '-qmp',
                               f'unix:{qmp},server=on,wait=off', '-run-with',
                               f'async-teardown=on,user=1234:2345,chroot={self.dir.name}'],
                              timeout=TIMEOUT, check=False, stdin=subprocess.DEVNULL,
                              stdout=subprocess.PIPE, stderr=subprocess.STDOUT)
        self.assertEqual((done.returncode, done.stdout), (0, b''))
        c = self.new_client(qmp)
        with open(pidfile, encoding='ascii') as f:
            pid = int(f.read())
        for fd in range(3):
            self.assertEqual(os.readlink(f'/proc/{pid}/fd/{fd}'), '/dev/null')
        self.assertEqual(os.readlink(f'/proc/{pid}/cwd'), self.dir.name)
        c.send({'execute': 'quit'})
        end = time.monotonic() + TIMEOUT
        while os.path.exists(f'/proc/{pid}') and \
                os.path.exists(f'/proc/{pid}/exe'):
            self.assertLess(time.monotonic(), end)

    def test_async_teardown(self):
        """A helper that shares memory, and nothing else, and goes when the program has gone."""
        process, c = self.start_qmp('-run-with', 'async-teardown=on')
        with open(f'/proc/{process.pid}/task/{process.pid}/children', encoding='ascii') as f:
            helper = int(f.read())
        end = time.monotonic() + TIMEOUT
        while True:
            with open(f'/proc/{helper}/comm', encoding='ascii') as f:
                if f.read() == f'cleanup/{process.pid}'[:15] + '\n':
                    break
            self.assertLess(time.monotonic(), end)
        while len(os.listdir(f'/proc/{helper}/fd')) > 1:
            self.assertLess(time.monotonic(), end)
        process.kill()
        process.wait(TIMEOUT)
        while True:
            try:
                with open(f'/proc/{helper}/stat', encoding='ascii') as f:
                    if f.read().rsplit(')', 1)[1].split()[0] == 'Z':
                        break
            except (FileNotFoundError, ProcessLookupError):
                break
            self.assertLess(time.monotonic(), end)

    def test_old_names(self):
        status, _, err = self.run_to_end('-chroot', '/nonexistent')
        self.assertEqual(status, 1)
        self.assertIn("use '-run-with chroot=...' instead", err)
        status, _, err = self.run_to_end('-runas', 'nobody-at-all')
        self.assertIn("doesn't exist", err)


class Log(MachineTest):
    def test_items(self):
        status, out, _ = self.run_to_end('-d', 'help')
        self.assertEqual(status, 0)
        for item in ('in_asm', 'guest_errors', 'unimp', 'cpu_reset', 'tid', 'trace:PATTERN'):
            self.assertRegex(out, rf'(?m)^{item} ')
        status, _, err = self.run_to_end('-d', 'exec', '-M', 'foo')
        self.assertIn("warning: log item 'exec' has no effect here", err)

    def test_what_the_guest_does(self):
        """Items are on or off; HMP changes them while the program runs."""
        qmp, qtest, log = self.path('qmp'), self.path('qtest'), self.path('log')
        process = self.start('-M', 'microvm', '-accel', 'qtest', '-m', '16', '-nodefaults',
                             '-qtest', f'unix:{qtest},server=on,wait=off', '-qmp',
                             f'unix:{qmp},server=on,wait=off', '-display', 'none', '-D', log, '-d',
                             'unimp,cpu_reset', plain=False)
        c = self.new_client(qmp)
        q = connect(qtest)
        self.addCleanup(q.close)

        def say(line):
            q.send(line)
            q.read_until(b'\n')
            with open(log, encoding='utf-8') as f:
                return f.read()
        self.assertTrue(say('clock_step').startswith('CPU Reset (CPU 0)\nEAX='))
        self.assertIn('read of port 0x333: there is nothing\n', say('inb 0x333'))
        self.assertIn('write of 0x7 to port 0x334', say('outb 0x334 7'))
        self.assertNotIn('0xf0000000', say('readl 0xf0000000'))
        c.run('human-monitor-command', {'command-line': 'log invalid_mem'})
        self.assertIn('read at 0xf0000000: there is nothing\n', say('readl 0xf0000000'))
        self.assertNotIn('0x335', say('inb 0x335'))
        c.run('human-monitor-command', {'command-line': 'log none'})
        self.assertNotIn('0xf0000010', say('readl 0xf0000010'))
        self.assert_quits(process, c)

    def test_file_with_process_id(self):
        process, c = self.start_qmp('-D', self.path('log-%d'), '-d', 'trace:migrate_set_state')
        c.run('migrate', {'uri': 'exec:cat >/dev/null'})
        while c.run('query-migrate')['return'].get('status') != 'completed':
            pass
        self.assert_quits(process, c)
        with open(self.path(f'log-{process.pid}'), encoding='utf-8') as f:
            lines = f.read().splitlines()
        self.assertTrue(lines)
        for line in lines:
            self.assertRegex(line, r'^\d+@\d+\.\d{6}:migrate_set_state ')

    def test_file_for_each_thread(self):
        process, c = self.start_qmp('-D', self.path('log-%d'), '-d', 'tid,trace:migrat*')
        c.run('migrate', {'uri': 'exec:cat >/dev/null'})
        while c.run('query-migrate')['return'].get('status') != 'completed':
            pass
        self.assert_quits(process, c)
        logs = [name for name in os.listdir(self.dir.name) if name.startswith('log-')]
        self.assertGreater(len(logs), 1)
        for name in logs:
            with open(self.path(name), encoding='utf-8') as f:
                for line in f:
                    self.assertTrue(line.startswith(name[4:] + '@'), line)

    def test_events_from_a_file(self):
        events = self.path('events')
        with open(events, 'w', encoding='utf-8') as f:
            f.write('# what we want\nmigrate_set_st*\n\n')
        process, c = self.start_qmp('-trace', f'events={events},file={self.path("log")}')
        states = {e['name']: e['state'] for e in
                  c.run('trace-event-get-state', {'name': 'migrat*'})['return']}
        self.assertEqual(states.pop('migrate_set_state'), 'enabled')
        self.assertNotIn('enabled', states.values())
        self.assert_quits(process, c)

    def test_guest_name_in_messages(self):
        status, _, err = self.run_to_end('-msg', 'guest-name=on', '-name', 'mine', '-M', 'foo')
        self.assertEqual(status, 1)
        self.assertTrue(err.startswith('mine '), err)


class Threads(MachineTest):
    def names(self, process):
        found = []
        for task in os.listdir(f'/proc/{process.pid}/task'):
            try:
                with open(f'/proc/{process.pid}/task/{task}/comm', encoding='ascii') as f:
                    found.append(f.read().strip())
            except (FileNotFoundError, ProcessLookupError):
                pass
        return sorted(found)

    def test_names(self):
        """As QEMU 10.0 has them in the same situation."""
        there, path = self.path('there'), self.path('incoming')
        destination = self.start('-qmp', f'unix:{there},server=on,wait=off', '-m', '64', '-name',
                                 'b,debug-threads=on', '-incoming', f'unix:{path}')
        d = self.new_client(there)
        source, c = self.start_qmp('-m', '64', '-name', 'a,process=abc,debug-threads=on')
        for client in (c, d):
            client.run('migrate-set-capabilities', {'capabilities': [
                {'capability': 'return-path', 'state': True}]})
        c.run('migrate-set-parameters', {'max-bandwidth': 1})
        c.run('object-add', {'qom-type': 'memory-backend-ram', 'id': 'x', 'size': 4096})
        self.assertEqual(self.names(source), ['IO mon_iothread', 'abc'])
        c.run('migrate', {'uri': f'unix:{path}'})
        end = time.monotonic() + TIMEOUT
        while self.names(source) != ['IO mon_iothread', 'abc', 'mig/src/main', 'mig/src/return']:
            self.assertLess(time.monotonic(), end, self.names(source))
        while 'mig/dst/main' not in self.names(destination):
            self.assertLess(time.monotonic(), end, self.names(destination))
        c.run('migrate_cancel')
        self.assert_quits(source, c)

    def test_vcpus(self):
        for accel, name in (('tcg', 'CPU 0/TCG'), ('kvm', 'CPU 0/KVM')):
            if accel == 'kvm' and not os.access('/dev/kvm', os.R_OK | os.W_OK):
                continue
            path = self.path(accel)
            process = self.start('-M', 'microvm', '-accel', accel, '-m', '16', '-nodefaults', '-S',
                                 '-display', 'none', '-name', 'a,debug-threads=on', '-qmp',
                                 f'unix:{path},server=on,wait=off', plain=False)
            c = self.new_client(path)
            self.assertIn(name, self.names(process))
            self.assert_quits(process, c)

    def test_no_names(self):
        process, c = self.start_qmp()
        self.assertNotIn('IO mon_iothread', self.names(process))
        self.assert_quits(process, c)


class Clock(MachineTest):
    def cmos(self, *args):
        """What the real-time clock shows: (year, month, day, hour, minute, second)."""
        qmp, qtest = self.path('qmp'), self.path('qtest')
        process = self.start('-M', 'microvm,rtc=on', '-accel', 'qtest', '-m', '16', '-nodefaults',
                             '-display', 'none', '-qtest', f'unix:{qtest},server=on,wait=off',
                             '-qmp', f'unix:{qmp},server=on,wait=off', *args, plain=False,
                             env=dict(os.environ, TZ='XYZ-5'))
        c = self.new_client(qmp)
        q = connect(qtest)
        self.addCleanup(q.close)

        def register(index):
            q.send(f'outb 0x70 {index:#x}')
            q.read_until(b'OK\n')
            q.send('inb 0x71')
            value = int(q.read_until(b'\n').split()[1], 16)
            return value // 16 * 10 + value % 16
        shown = (register(0x32) * 100 + register(9), register(8), register(7), register(4),
                 register(2), register(0))
        self.assert_quits(process, c)
        for path in (qmp, qtest):
            if os.path.exists(path):
                os.unlink(path)
        return shown

    def seconds(self, shown):
        return calendar.timegm(shown + (0, 0, 0))

    def test_utc_and_local(self):
        for args, shift in (((), 0), (('-rtc', 'base=utc'), 0),
                            (('-rtc', 'base=localtime'), 5 * 3600)):
            before = int(time.time())
            shown = self.seconds(self.cmos(*args)) - shift
            self.assertTrue(before - 1 <= shown <= time.time() + 1, (args, shown - before))

    def test_date(self):
        # The guest's own clock stands still under qtest, so that the second is certain.
        self.assertEqual(self.cmos('-rtc', 'base=2006-06-17T16:01:21,clock=vm'),
                         (2006, 6, 17, 16, 1, 21))
        self.assertEqual(self.cmos('-rtc', 'base=1999-12-31,clock=vm'), (1999, 12, 31, 0, 0, 0))
        self.assertEqual(self.cmos('-rtc', 'base=2038-01-20')[:3], (2038, 1, 20))


class Firmware(MachineTest):
    def test_directories(self):
        status, out, _ = self.run_to_end('-L', '/a', '-L', '/b', '-L', 'help')
        self.assertEqual(status, 0)
        self.assertEqual(out.splitlines()[:2], ['/a', '/b'])
        self.assertIn('/usr/share/qemu', out.splitlines())

    def test_found_by_name(self):
        os.mkdir(self.path('firmware'))
        with open(self.path('firmware/mine.bin'), 'wb') as f:
            f.write(b'\xf4' * 65536)
        arguments = ['-M', 'microvm', '-accel', 'qtest', '-m', '16', '-nodefaults',
                     '-display', 'none', '-bios', 'mine.bin']
        status, _, err = self.run_to_end(*arguments, plain=False)
        self.assertEqual(status, 1)
        self.assertIn('mine.bin', err)
        qmp = self.path('qmp')
        process = self.start(*arguments, '-L', '/nonexistent', '-L', self.path('firmware'), '-qmp',
                             f'unix:{qmp},server=on,wait=off', plain=False)
        c = self.new_client(qmp)
        said = c.run('human-monitor-command', {'command-line': 'xp/2xb 0xfffffff0'})['return']
        self.assertIn('0xf4 0xf4', said)
        self.assert_quits(process, c)

    def test_named_file(self):
        """-fw_cfg, as a guest reads it."""
        qmp, qtest = self.path('qmp'), self.path('qtest')
        process = self.start('-M', 'microvm', '-accel', 'qtest', '-m', '16', '-nodefaults',
                             '-display', 'none', '-qtest', f'unix:{qtest},server=on,wait=off',
                             '-qmp', f'unix:{qmp},server=on,wait=off', '-fw_cfg',
                             'name=opt/test,string=hello,,you', plain=False)
        c = self.new_client(qmp)
        q = connect(qtest)
        self.addCleanup(q.close)

        def read(key, count):
            if key is not None:
                q.send(f'outw 0x510 {key:#x}')
                q.read_until(b'OK\n')
            data = bytearray()
            for _ in range(count):
                q.send('inb 0x511')
                data.append(int(q.read_until(b'\n').split()[1], 16))
            return bytes(data)
        for i in range(int.from_bytes(read(0x19, 4), 'big')):
            entry = read(None, 64)
            if entry[8:].rstrip(b'\0') == b'opt/test':
                size, key = int.from_bytes(entry[:4], 'big'), int.from_bytes(entry[4:6], 'big')
                break
        else:
            self.fail('the file is not in the directory')
        self.assertEqual(read(key, size), b'hello,you')
        self.assert_quits(process, c)


if __name__ == '__main__':
    main()
