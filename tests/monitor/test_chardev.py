# SPDX-License-Identifier: GPL-2.0-or-later
"""Character devices, through a machine that has monitors on them."""

import os
import pty
import select
import socket
import time

from machine_process import Line, MachineTest, connect, main


class Chardevs(MachineTest):
    def add(self, c, name, kind, **data):
        return c.run('chardev-add', {'id': name, 'backend': {'type': kind, 'data': data}})

    def listing(self, c):
        return {e['label']: e for e in c.run('query-chardev')['return']}

    def test_kinds(self):
        process, c = self.start_qmp()
        kinds = {e['name'] for e in c.run('query-chardev-backends')['return']}
        self.assertLessEqual({'file', 'pipe', 'socket', 'pty', 'null', 'mux', 'stdio', 'ringbuf',
                              'memory'}, kinds)
        self.assert_quits(process, c)

    def test_add_and_remove(self):
        process, c = self.start_qmp()
        unix = {'type': 'unix', 'data': {'path': self.path('s')}}
        inet = {'type': 'inet', 'data': {'host': '127.0.0.1', 'port': '0'}}
        self.assertEqual(self.add(c, 'null', 'null'), {'return': {}})
        self.assertEqual(self.add(c, 'file', 'file', out=self.path('out')), {'return': {}})
        self.assertEqual(self.add(c, 'ring', 'ringbuf'), {'return': {}})
        self.assertEqual(self.add(c, 'unix', 'socket', addr=unix, wait=False), {'return': {}})
        self.assertEqual(self.add(c, 'inet', 'socket', addr=inet, wait=False), {'return': {}})
        terminal = self.add(c, 'pty', 'pty')['return']['pty']
        self.assertTrue(os.path.exists(terminal))
        listing = self.listing(c)
        self.assertEqual(listing['null']['filename'], 'null')
        self.assertEqual(listing['unix']['filename'],
                         f'disconnected:unix:{self.path("s")},server=on')
        self.assertRegex(listing['inet']['filename'],
                         r'^disconnected:tcp:127\.0\.0\.1:[1-9][0-9]*,server=on$')
        self.assertEqual(listing['pty']['filename'], f'pty:{terminal}')
        self.assertFalse(listing['ring']['frontend-open'])
        self.assertTrue(listing['compat_monitor0']['frontend-open'])
        self.assert_error(self.add(c, 'null', 'null'), 'GenericError', 'already exists')
        self.assert_error(c.run('chardev-remove', {'id': 'compat_monitor0'}), 'GenericError',
                          'is busy')
        for name in ('null', 'file', 'ring', 'unix', 'inet', 'pty'):
            self.assertEqual(c.run('chardev-remove', {'id': name}), {'return': {}})
        self.assert_error(c.run('chardev-remove', {'id': 'null'}), 'GenericError', 'not found')
        self.assertFalse(os.path.exists(self.path('s')))
        self.assert_quits(process, c)

    def test_bad_ones(self):
        process, c = self.start_qmp()
        unix = {'type': 'unix', 'data': {'path': '/nonexistent/s'}}
        for kind, data in (('file', {'out': '/nonexistent/f'}), ('file', {}),
                           ('pipe', {'device': '/nonexistent/p'}),
                           ('socket', {'addr': unix, 'wait': False}),
                           ('socket', {'addr': unix, 'server': False}),
                           ('socket', {'addr': unix, 'reconnect': 1}),
                           ('socket', {'addr': unix, 'server': False, 'reconnect': -1}),
                           ('ringbuf', {'size': 3}), ('ringbuf', {'size': -1}),
                           ('ringbuf', {'size': 1 << 60}), ('mux', {'chardev': 'nope'}),
                           ('udp', {'remote': unix}), ('nope', {})):
            reply = self.add(c, 'bad', kind, **data)
            self.assertIn('error', reply, (kind, data))
        self.assertNotIn('bad', self.listing(c))
        self.assert_quits(process, c)

    def test_ringbuf(self):
        process, c = self.start_qmp()
        self.add(c, 'r', 'ringbuf', size=8)
        self.assertEqual(c.run('ringbuf-write', {'device': 'r', 'data': '0123456789'}),
                         {'return': {}})
        self.assertEqual(c.run('ringbuf-read', {'device': 'r', 'size': 3}), {'return': '234'})
        self.assertEqual(c.run('ringbuf-read', {'device': 'r', 'size': 1 << 60,
                                                'format': 'base64'}), {'return': 'NTY3ODk='})
        self.assertEqual(c.run('ringbuf-read', {'device': 'r', 'size': 3}), {'return': ''})
        self.assertEqual(c.run('ringbuf-write', {'device': 'r', 'data': '/wA=',
                                                 'format': 'base64'}), {'return': {}})
        self.assertIn('return', c.run('ringbuf-read', {'device': 'r', 'size': 9}))
        self.assertIn('error', c.run('ringbuf-read', {'device': 'r', 'size': 0}))
        self.assertIn('error', c.run('ringbuf-read', {'device': 'compat_monitor0', 'size': 1}))
        self.assert_quits(process, c)


class Monitors(MachineTest):
    """A monitor shows that a character device works in both directions."""

    def check(self, c):
        c.read_until(b'(qemu) ')
        c.send('info name\n')
        c.read_until(b'me-me-me\r\n')

    def test_pty(self):
        process, q = self.start_qmp('-name', 'me-me-me', '-monitor', 'pty')
        name = [e for e in q.run('query-chardev')['return'] if e['filename'][:4] == 'pty:'][0]
        for _ in range(2):
            fd = os.open(name['filename'][4:], os.O_RDWR | os.O_NOCTTY)
            try:
                text = b''
                end = time.monotonic() + 10
                os.write(fd, b'info name\n')
                while b'me-me-me' not in text and time.monotonic() < end:
                    if select.select([fd], [], [], 1)[0]:
                        text += os.read(fd, 1000)
                self.assertIn(b'me-me-me', text)
            finally:
                os.close(fd)
        self.assert_quits(process, q)

    def test_pipe(self):
        os.mkfifo(self.path('p.in'))
        os.mkfifo(self.path('p.out'))
        process = self.start('-name', 'me-me-me', '-monitor', f'pipe:{self.path("p")}')
        with open(self.path('p.in'), 'wb', buffering=0) as to, \
                open(self.path('p.out'), 'rb', buffering=0) as out:
            text = b''
            to.write(b'info name\n')
            while b'me-me-me' not in text:
                text += out.read(1000)
            to.write(b'quit\n')
            self.assertEqual(process.wait(10), 0)

    def test_terminal(self):
        """On a terminal keys arrive one by one, and its settings come back at the end."""
        import termios
        master, slave = pty.openpty()
        self.addCleanup(os.close, master)
        before = termios.tcgetattr(slave)
        process = self.start('-name', 'me-me-me', '-monitor', 'stdio', stdin=slave, stdout=slave)
        text = b''
        os.write(master, b'info nam')
        while b'info nam' not in text:
            text += os.read(master, 1000)
        os.write(master, b'e\n')
        while b'me-me-me' not in text:
            text += os.read(master, 1000)
        os.write(master, b'quit\n')
        self.assertEqual(process.wait(10), 0)
        self.assertEqual(termios.tcgetattr(slave), before)
        os.close(slave)

    def test_client_and_server(self):
        listener = socket.socket(socket.AF_UNIX)
        self.addCleanup(listener.close)
        listener.bind(self.path('s'))
        listener.listen()
        process = self.start('-name', 'me-me-me', '-monitor', f'unix:{self.path("s")}')
        c = Line(listener.accept()[0])
        self.addCleanup(c.close)
        self.check(c)
        self.assert_terminates(process)

    def test_abstract(self):
        name = f'godwit-test-{os.getpid()}'
        process = self.start('-name', 'me-me-me', '-chardev',
                             f'socket,id=a,path={name},abstract=on,server=on,wait=off',
                             '-mon', 'a')
        end = time.monotonic() + 10
        while True:
            sock = socket.socket(socket.AF_UNIX)
            try:
                sock.connect('\0' + name)
                break
            except OSError:
                sock.close()
                self.assertLess(time.monotonic(), end)
                time.sleep(0.01)
        c = Line(sock)
        self.addCleanup(c.close)
        self.check(c)
        self.assert_terminates(process)

    def test_reconnect(self):
        path = self.path('s')
        process = self.start('-name', 'me-me-me', '-chardev',
                             f'socket,id=a,path={path},reconnect-ms=50', '-mon', 'a')
        for _ in range(3):
            time.sleep(0.1)
            listener = socket.socket(socket.AF_UNIX)
            listener.bind(path)
            listener.listen()
            listener.settimeout(10)
            c = Line(listener.accept()[0])
            listener.close()
            os.unlink(path)
            self.check(c)
            c.close()
        self.assert_terminates(process)

    def test_wait(self):
        """With wait=on nothing starts before the client."""
        path, qmp = self.path('s'), self.path('qmp')
        process = self.start('-name', 'me-me-me', '-monitor', f'unix:{path},server=on',
                             '-qmp', f'unix:{qmp},server=on,wait=off')
        c = connect(path)
        self.addCleanup(c.close)
        self.check(c)
        self.assert_terminates(process)
        self.assertIn(b'waiting for connection', process.stderr.read())

    def test_telnet(self):
        process, q = self.start_qmp('-name', 'me-me-me', '-monitor',
                                    'telnet:127.0.0.1:0,server=on,wait=off')
        name = [e for e in q.run('query-chardev')['return'] if 'telnet' in e['filename']][0]
        port = int(name['filename'].split(':')[-1].split(',')[0])
        c = Line(socket.create_connection(('127.0.0.1', port)))
        self.addCleanup(c.close)
        self.assertEqual(c.read_until(b'\xff\xfd\x00')[:3], b'\xff\xfb\x01')
        c.send(b'\xff\xfd\x01\xff\xfb\x00')
        self.check(c)
        self.assert_quits(process, q)

    def test_mux(self):
        """Two front ends on one stream: Ctrl-a c moves between them."""
        path = self.path('s')
        process = self.start('-name', 'me-me-me',
                             '-chardev', f'socket,id=a,path={path},server=on,wait=off,mux=on',
                             '-mon', 'a', '-mon', 'chardev=a,mode=control')
        c = connect(path)
        self.addCleanup(c.close)
        c.read_until(b'{"QMP"')
        c.send('{"execute":"qmp_capabilities"}')
        c.read_until(b'{"return": {}}')
        c.send(b'\x01c')
        c.send('info name\n')
        c.read_until(b'me-me-me')
        c.send(b'\x01c')
        c.send('{"execute":"query-name"}')
        c.read_until(b'"me-me-me"}}')
        c.send(b'\x01h')
        c.read_until(b'C-a x')
        c.send(b'\x01x')
        self.assertEqual(process.wait(10), 0)

    def test_logfile(self):
        path, log = self.path('s'), self.path('log')
        process = self.start('-name', 'me-me-me', '-chardev',
                             f'socket,id=a,path={path},server=on,wait=off,logfile={log}',
                             '-mon', 'a')
        c = connect(path)
        self.addCleanup(c.close)
        self.check(c)
        self.assert_terminates(process)
        with open(log, 'rb') as f:
            self.assertIn(b'me-me-me', f.read())

    def test_hangup_while_held_back(self):
        """A client that goes while its monitor waits for a migration leaves room for the next."""
        path, qmp = self.path('s'), self.path('qmp')
        process = self.start('-m', '64', '-monitor', f'unix:{path},server=on,wait=off',
                             '-name', 'me-me-me', '-qmp', f'unix:{qmp},server=on,wait=off')
        c = connect(path)
        self.check(c)
        c.send('migrate_set_parameter max-bandwidth 1k\n')
        c.send('migrate "exec:cat >/dev/null"\n')
        q = self.new_client(qmp)
        while q.run('query-migrate')['return'].get('status') != 'active':
            time.sleep(0.01)
        c.close()
        q.run('migrate_cancel')
        c = connect(path)
        self.addCleanup(c.close)
        self.check(c)
        self.assert_quits(process, q)


class Serial(MachineTest):
    def test_files_are_made_at_start(self):
        process, c = self.start_qmp('-serial', f'file:{self.path("serial")}', '-serial', 'none',
                                    '-serial', 'null')
        self.assertTrue(os.path.exists(self.path('serial')))
        labels = {e['label'] for e in c.run('query-chardev')['return']}
        self.assertEqual(labels, {'serial0', 'serial2', 'compat_monitor0'})
        self.assert_quits(process, c)

    def test_stdio_once(self):
        status, _, err = self.run_to_end('-serial', 'stdio', '-monitor', 'stdio')
        self.assertEqual(status, 1)
        self.assertIn('cannot use stdio by multiple character devices', err)

    def test_nothing_on_standard_output(self):
        process = self.start(plain=False, *('-M none -display none -accel qtest '
                                            '-serial null').split())
        time.sleep(0.5)
        self.assert_terminates(process)
        self.assertEqual(process.stdout.read(), b'')


if __name__ == '__main__':
    main()
