# SPDX-License-Identifier: GPL-2.0-or-later
"""QMP on the wire: greeting, negotiation, order, errors, nonsense, descriptors, several clients."""

import json
import os
import random
import socket
import time

from machine_process import MachineTest, connect, main


class Negotiation(MachineTest):
    def test_greeting(self):
        process, c = self.start_qmp(negotiate=False)
        qmp = c.greeting['QMP']
        self.assertEqual(qmp['capabilities'], ['oob'])
        self.assertEqual(qmp['version']['qemu'], {'major': 10, 'minor': 0, 'micro': 2})
        self.assertIn('Godwit', qmp['version']['package'])
        self.assert_terminates(process)

    def test_commands_wait_for_it(self):
        process, c = self.start_qmp(negotiate=False)
        self.assert_error(c.run('query-version'), 'CommandNotFound', 'qmp_capabilities')
        self.assertEqual(c.run('qmp_capabilities', id=7), {'return': {}, 'id': 7})
        self.assert_error(c.run('qmp_capabilities'), 'CommandNotFound', 'already complete')
        self.assertIn('return', c.run('query-version'))
        self.assert_quits(process, c)

    def test_unknown_capability(self):
        process, c = self.start_qmp(negotiate=False)
        self.assertIn('error', c.run('qmp_capabilities', {'enable': ['foo']}))
        self.assertEqual(c.run('qmp_capabilities', {'enable': ['oob']}), {'return': {}})
        self.assert_quits(process, c)

    def test_no_event_before_the_reply(self):
        path, other = self.path('qmp'), self.path('other')
        process = self.start('-qmp', f'unix:{path},server=on,wait=off',
                             '-qmp', f'unix:{other},server=on,wait=off')
        busy = self.new_client(other)
        c = connect(path)
        self.addCleanup(c.close)
        self.assertIn('QMP', c.message())
        for _ in range(20):
            busy.send({'execute': 'stop'})
            busy.send({'execute': 'cont'})
        for _ in range(40):
            busy.reply()
        self.assertTrue(c.silent(0.2))
        c.send({'execute': 'qmp_capabilities'})
        self.assertEqual(c.message(), {'return': {}})
        busy.send({'execute': 'stop'})
        self.assertEqual(c.message()['event'], 'STOP')
        self.assert_quits(process, c)

    def test_pretty(self):
        path = self.path('qmp')
        process = self.start('-qmp-pretty', f'unix:{path},server=on,wait=off')
        c = connect(path)
        self.addCleanup(c.close)
        text = c.read_until(b'\n}\r\n')
        self.assertIn(b'\n    "QMP": {', text)
        json.loads(text)
        self.assert_terminates(process)


class Requests(MachineTest):
    def test_ids(self):
        process, c = self.start_qmp()
        for value in (1, 'x', None, [1, {'a': None}], {'b': 1.5}, True):
            reply = c.run('query-status', id=value)
            self.assertIn('return', reply)
            self.assertEqual(reply['id'], value)
            reply = c.run('no-such-command', id=value)
            self.assertEqual(reply['id'], value)
        self.assertNotIn('id', c.run('query-status'))
        self.assert_quits(process, c)

    def test_error_classes(self):
        process, c = self.start_qmp()
        self.assert_error(c.run('foo'), 'CommandNotFound', 'The command foo has not been found')
        self.assert_error(c.run('qom-list', {'path': '/nope'}), 'DeviceNotFound', 'not found')
        self.assert_error(c.run('qom-list', {'path': 5}), 'GenericError', "'path'")
        self.assert_error(c.run('qom-list', {}), 'GenericError', "'path' is missing")
        self.assert_error(c.run('query-status', {'x': 1}), 'GenericError', "'x' is unexpected")
        self.assert_error(c.run('query-status', foo=1), 'GenericError', "'foo' is unexpected")
        for request in ([], 5, 'text', {}, {'execute': 5}, {'execute': 'quit', 'arguments': []}):
            c.send(json.dumps(request))
            self.assertEqual(c.reply()['error']['class'], 'GenericError', request)
        self.assertIn('return', c.run('query-status'))
        self.assert_quits(process, c)

    def test_order(self):
        process, c = self.start_qmp()
        count = 500
        c.send(b''.join(json.dumps({'execute': 'query-name', 'id': i}).encode()
                        for i in range(count)))
        self.assertEqual([c.reply()['id'] for _ in range(count)], list(range(count)))
        self.assert_quits(process, c)

    def test_bytes_one_at_a_time(self):
        process, c = self.start_qmp()
        for byte in b'{"execute"\n:\t"query-status", "id": "\\u00e4\xc3\xa4"}':
            c.send(bytes([byte]))
            time.sleep(0.001)
        self.assertEqual(c.reply()['id'], 'ää')
        self.assert_quits(process, c)

    def test_single_quotes(self):
        process, c = self.start_qmp()
        c.send("{'execute': 'query-status', 'id': 'a\"b'}")
        self.assertEqual(c.reply()['id'], 'a"b')
        self.assert_quits(process, c)

    def test_all_commands_are_described(self):
        process, c = self.start_qmp()
        names = {entry['name'] for entry in c.run('query-commands')['return']}
        schema = c.run('query-qmp-schema')['return']
        described = {e['name'] for e in schema if e['meta-type'] == 'command'}
        self.assertEqual(names, described)
        wanted = {'query-version', 'query-commands', 'query-qmp-schema', 'query-name',
                  'query-uuid', 'query-machines', 'query-kvm', 'query-cpus-fast',
                  'query-memory-size-summary', 'query-memdev', 'query-chardev', 'qom-list',
                  'qom-get', 'qom-set', 'qom-list-types', 'qom-list-properties',
                  'device-list-properties', 'getfd', 'closefd', 'add-fd', 'remove-fd',
                  'query-fdsets', 'memsave', 'pmemsave', 'query-command-line-options', 'stop',
                  'cont', 'quit', 'system_reset', 'query-status', 'human-monitor-command',
                  'migrate', 'migrate-incoming', 'migrate_cancel', 'query-migrate'}
        self.assertEqual(wanted - names, set())
        self.assert_quits(process, c)

    def test_queries_of_a_start_up(self):
        """What a management program asks first is answered, in the right shape."""
        process, c = self.start_qmp('-name', 'guest,debug-threads=on', '-uuid',
                                    '11111111-2222-3333-4444-555555555555')
        self.assertEqual(c.run('query-name')['return'], {'name': 'guest'})
        self.assertEqual(c.run('query-uuid')['return']['UUID'],
                         '11111111-2222-3333-4444-555555555555')
        self.assertEqual(c.run('query-target')['return'], {'arch': 'x86_64'})
        self.assertIn('present', c.run('query-kvm')['return'])
        self.assertIn('none', [m['name'] for m in c.run('query-machines')['return']])
        types = c.run('qom-list-types', {'implements': 'accel', 'abstract': False})['return']
        self.assertLessEqual({'qtest-accel'}, {t['name'] for t in types})
        options = {o['option']: o['parameters']
                   for o in c.run('query-command-line-options')['return']}
        self.assertIn('type', [p['name'] for p in options['machine']])
        one = c.run('query-command-line-options', {'option': 'chardev'})['return']
        self.assertEqual([o['option'] for o in one], ['chardev'])
        self.assertIn({'name': 'server', 'type': 'boolean'}, one[0]['parameters'])
        self.assertIn('error', c.run('query-command-line-options', {'option': 'nope'}))
        self.assertEqual(c.run('query-iothreads')['return'], [])
        self.assert_quits(process, c)

    def test_event_timestamps(self):
        process, c = self.start_qmp()
        c.send({'execute': 'stop'})
        before = time.time()
        stamp = c.event('STOP')['timestamp']
        self.assertLess(abs(stamp['seconds'] + stamp['microseconds'] / 1e6 - before), 10)
        c.send({'execute': 'quit'})
        self.assertEqual(c.event('SHUTDOWN')['data'],
                         {'guest': False, 'reason': 'host-qmp-quit'})
        self.assertEqual(process.wait(10), 0)


class OutOfBand(MachineTest):
    def test_needs_the_capability(self):
        process, c = self.start_qmp()
        c.send({'exec-oob': 'query-yank', 'id': 1})
        self.assert_error(c.reply(), 'GenericError', "'exec-oob' is unexpected")
        self.assert_quits(process, c)

    def test_runs(self):
        process, c = self.start_qmp(oob=True)
        c.send({'exec-oob': 'query-yank', 'id': 1})
        self.assertEqual(c.reply(), {'return': [{'type': 'chardev', 'id': 'compat_monitor0'}],
                                     'id': 1})
        c.send({'exec-oob': 'query-status', 'id': 2})
        self.assert_error(c.reply(), 'GenericError', 'does not support OOB')
        c.send({'exec-oob': 'query-yank', 'execute': 'quit', 'id': 3})
        self.assert_error(c.reply(), 'GenericError', 'clashes')
        self.assert_quits(process, c)

    def test_overtakes_a_busy_main_thread(self):
        """Opening a FIFO for reading blocks the main thread until somebody writes."""
        process, c = self.start_qmp('-incoming', 'defer', oob=True)
        fifo = self.path('fifo')
        os.mkfifo(fifo)
        c.send({'execute': 'chardev-add', 'id': 'slow', 'arguments': {
            'id': 'x', 'backend': {'type': 'file', 'data': {'in': fifo, 'out': '/dev/null'}}}})
        time.sleep(0.2)
        c.send({'execute': 'query-status', 'id': 'behind'})
        c.send({'exec-oob': 'query-yank', 'id': 'fast'})
        self.assertEqual(c.reply()['id'], 'fast')
        self.assertTrue(c.silent(0.1))
        with open(fifo, 'w'):
            self.assertEqual(c.reply()['id'], 'slow')
            self.assertEqual(c.reply()['id'], 'behind')
        self.assert_quits(process, c)

    def test_full_queue(self):
        process, c = self.start_qmp(oob=True)
        for i in range(200):
            c.send({'execute': 'query-name', 'id': i})
        self.assertEqual([c.reply()['id'] for _ in range(200)], list(range(200)))
        self.assert_quits(process, c)


class Nonsense(MachineTest):
    def survives(self, c):
        """After whatever was sent, a newline and a command on its own line work again."""
        c.send(b'\n')
        c.send({'execute': 'query-name', 'id': 'still here'})
        while c.message().get('id') != 'still here':
            pass

    def test_broken_texts(self):
        process, c = self.start_qmp()
        for text in (b'}', b']', b'{"execute":"query-status" "id"}', b'{]', b'[}', b'{"a":}',
                     b'\x01', b'\xff\xfe', b'{"execute":"x\x01"}', b'{"execute":"x\n', b'nul',
                     b'{"a":1,}', b'[1,]', b'{"a" 1}', b'{1:2}', b'"\\x"', b'"\\u12"', b'-', b'+1',
                     b'0x10', b'01', b'{"a":"\\u0000"}', b'{"a":"\xc3\x28"}', b'%d', b'/* */',
                     b'NaN', b'{"execute":NaN}', b"{'a':'\\q'}"):
            c.send(text + b'\n')
            self.assertIn('error', c.reply(), text)
            self.survives(c)
        self.assert_quits(process, c)

    def test_depth(self):
        process, c = self.start_qmp()
        c.send(b'[' * 100000 + b'\n')
        self.assert_error(c.reply(), 'GenericError', 'nesting')
        self.survives(c)
        c.send(b'{"execute":"query-status","arguments":' + b'{"a":' * 900 + b'1' + b'}' * 901 +
               b'\n')
        self.assertIn('error', c.reply())
        self.survives(c)
        self.assert_quits(process, c)

    def test_large_message(self):
        process, c = self.start_qmp()
        name = 'x' * (8 << 20)
        c.sock.settimeout(20)
        c.send({'execute': 'qom-list', 'arguments': {'path': name}, 'id': 1})
        self.assert_error(c.reply(), 'DeviceNotFound', 'not found')
        self.survives(c)
        self.assert_quits(process, c)

    def test_too_large_message(self):
        process, c = self.start_qmp()
        c.sock.settimeout(60)
        chunk = b'x' * (1 << 20)
        c.send(b'{"execute":"')
        for _ in range(70):
            c.send(chunk)
        c.send(b'"}\n')
        self.assert_error(c.reply(60), 'GenericError', 'limit')
        self.survives(c)
        self.assert_quits(process, c)

    def test_random_bytes(self):
        process, c = self.start_qmp()
        c.sock.settimeout(20)
        rng = random.Random(1)
        for _ in range(50):
            c.send(rng.randbytes(2000))
        self.survives(c)
        self.assert_quits(process, c)

    def test_random_edits(self):
        """A good request with bytes changed is answered or refused, and nothing else happens."""
        process, c = self.start_qmp()
        good = b'{"execute": "qom-list", "arguments": {"path": "/machine"}, "id": [1, "a"]}'
        rng = random.Random(2)
        for _ in range(1000):
            text = bytearray(good)
            for _ in range(rng.randint(1, 3)):
                text[rng.randrange(len(text))] = rng.randrange(256)
            c.send(bytes(text) + b'\n')
        self.survives(c)
        self.assert_quits(process, c)

    def test_client_that_does_not_read(self):
        """Its requests wait; nobody else is disturbed."""
        path, other = self.path('qmp'), self.path('other')
        process = self.start('-qmp', f'unix:{path},server=on,wait=off',
                             '-qmp', f'unix:{other},server=on,wait=off')
        deaf = self.new_client(path)
        deaf.sock.setblocking(False)
        try:
            for _ in range(100000):
                deaf.sock.send(b'{"execute":"query-qmp-schema"}')
        except BlockingIOError:
            pass
        c = self.new_client(other)
        for _ in range(10):
            self.assertIn('return', c.run('query-status'))
        self.assert_quits(process, c)


class Clients(MachineTest):
    def test_one_after_another(self):
        path = self.path('qmp')
        process = self.start('-qmp', f'unix:{path},server=on,wait=off')
        for i in range(20):
            c = self.new_client(path)
            self.assertIn('return', c.run('query-status', id=i))
            if i % 2:
                c.send('{"execute": "query-st')
            c.close()
        c = self.new_client(path)
        self.assertEqual(c.run('query-name', id=1)['id'], 1)
        self.assert_quits(process, c)

    def test_reply_goes_to_the_one_who_asked(self):
        path = self.path('qmp')
        process = self.start('-qmp', f'unix:{path},server=on,wait=off')
        for _ in range(50):
            c = self.new_client(path)
            c.send({'execute': 'query-qmp-schema', 'id': 'old'})
            c.close()
            c = connect(path)
            self.assertIn('QMP', c.message())
            c.send({'execute': 'qmp_capabilities', 'id': 'new'})
            self.assertEqual(c.message(), {'return': {}, 'id': 'new'})
            c.close()
        self.assert_terminates(process)

    def test_requests_before_the_end_are_run(self):
        path = self.path('qmp')
        process = self.start('-qmp', f'unix:{path},server=on,wait=off')
        c = connect(path)
        c.send(b'{"execute":"qmp_capabilities"}{"execute":"query-status"}{"execute":"quit"}')
        c.close()
        self.assertEqual(process.wait(10), 0)

    def test_half_closed(self):
        path = self.path('qmp')
        process = self.start('-qmp', f'unix:{path},server=on,wait=off')
        c = connect(path)
        self.addCleanup(c.close)
        c.send(b'{"execute":"qmp_capabilities"}{"execute":"query-name","id":9}')
        c.sock.shutdown(socket.SHUT_WR)
        self.assertIn('QMP', c.message())
        c.message()
        self.assertEqual(c.message()['id'], 9)
        self.assert_terminates(process)

    def test_several_monitors(self):
        paths = [self.path(f'qmp{i}') for i in range(5)]
        args = []
        for p in paths:
            args += ['-qmp', f'unix:{p},server=on,wait=off']
        process = self.start(*args)
        clients = [self.new_client(p) for p in paths]
        for i in range(50):
            for c in clients:
                c.send({'execute': 'query-name', 'id': i})
        for c in clients:
            self.assertEqual([c.reply()['id'] for _ in range(50)], list(range(50)))
        self.assert_quits(process, clients[0])

    def test_tcp(self):
        with socket.socket() as listener:
            listener.bind(('127.0.0.1', 0))
            listener.listen()
            port = listener.getsockname()[1]
            process = self.start('-qmp', f'tcp:127.0.0.1:{port}')
            sock, _ = listener.accept()
        from machine_process import Line
        c = Line(sock)
        self.addCleanup(c.close)
        self.assertIn('QMP', c.message())
        self.assertEqual(c.run('qmp_capabilities'), {'return': {}})
        self.assert_quits(process, c)

    def test_stdio(self):
        status, out, err = self.run_to_end(
            '-qmp', 'stdio', stdin=self.file_of(
                '{"execute":"qmp_capabilities"}\n{"execute":"query-status","id":1}\n'
                '{"execute":"quit"}\n'))
        self.assertEqual(status, 0, err)
        lines = [json.loads(line) for line in out.splitlines()]
        self.assertIn('QMP', lines[0])
        self.assertEqual([line['id'] for line in lines if 'id' in line], [1])

    def file_of(self, text):
        with open(self.path('input'), 'w', encoding='utf-8') as f:
            f.write(text)
        f = open(self.path('input'), 'rb')
        self.addCleanup(f.close)
        return f


class Descriptors(MachineTest):
    def opened(self, flags=os.O_RDWR):
        fd = os.open(self.path('file'), flags | os.O_CREAT, 0o600)
        self.addCleanup(os.close, fd)
        return fd

    def test_getfd(self):
        process, c = self.start_qmp()
        self.assert_error(c.run('getfd', {'fdname': 'a'}), 'GenericError', 'SCM_RIGHTS')
        fd = self.opened()
        self.assertEqual(c.run('getfd', {'fdname': 'a'}, fds=[fd]), {'return': {}})
        self.assertEqual(c.run('getfd', {'fdname': 'a'}, fds=[fd]), {'return': {}})
        self.assert_error(c.run('getfd', {'fdname': '1a'}, fds=[fd]), 'GenericError', 'digit')
        self.assertEqual(c.run('closefd', {'fdname': 'a'}), {'return': {}})
        self.assert_error(c.run('closefd', {'fdname': 'a'}), 'GenericError',
                          "File descriptor named 'a' not found")
        self.assert_quits(process, c)

    def test_pipelined(self):
        process, c = self.start_qmp()
        for i in range(30):
            c.send({'execute': 'getfd', 'arguments': {'fdname': f'f{i}'}}, [self.opened()])
        for i in range(30):
            self.assertEqual(c.reply(), {'return': {}}, i)
        self.assert_quits(process, c)

    def test_gone_with_the_client(self):
        path = self.path('qmp')
        process = self.start('-qmp', f'unix:{path},server=on,wait=off')
        c = self.new_client(path)
        read_end, write_end = os.pipe()
        self.assertEqual(c.run('getfd', {'fdname': 'a'}, fds=[write_end]), {'return': {}})
        os.close(write_end)
        c.close()
        self.assertEqual(os.read(read_end, 1), b'')
        os.close(read_end)
        self.assert_terminates(process)

    def test_fdsets(self):
        process, c = self.start_qmp()
        self.assertEqual(c.run('query-fdsets'), {'return': []})
        first = c.run('add-fd', {'opaque': 'one'}, fds=[self.opened()])['return']
        again = c.run('add-fd', {'fdset-id': first['fdset-id']}, fds=[self.opened()])['return']
        self.assertEqual(again['fdset-id'], first['fdset-id'])
        other = c.run('add-fd', {'fdset-id': 7}, fds=[self.opened()])['return']
        self.assertEqual(other['fdset-id'], 7)
        self.assertEqual(c.run('query-fdsets')['return'],
                         [{'fdset-id': first['fdset-id'],
                           'fds': [{'fd': first['fd'], 'opaque': 'one'}, {'fd': again['fd']}]},
                          {'fdset-id': 7, 'fds': [{'fd': other['fd']}]}])
        self.assertEqual(c.run('remove-fd', {'fdset-id': first['fdset-id'],
                                             'fd': first['fd']}), {'return': {}})
        self.assertEqual(c.run('remove-fd', {'fdset-id': 7}), {'return': {}})
        self.assertEqual(len(c.run('query-fdsets')['return']), 1)
        self.assert_error(c.run('remove-fd', {'fdset-id': 7}), 'GenericError', 'not found')
        self.assert_error(c.run('add-fd', {'fdset-id': -1}, fds=[self.opened()]),
                          'GenericError', 'fdset-id')
        self.assert_error(c.run('add-fd'), 'GenericError', 'SCM_RIGHTS')
        self.assert_quits(process, c)

    def test_open_through_a_set(self):
        """A file named /dev/fdset/N is a duplicate of the member with the right access."""
        process, c = self.start_qmp()
        fd = self.opened(os.O_WRONLY)
        self.assertIn('return', c.run('add-fd', {'fdset-id': 3}, fds=[fd]))
        reply = c.run('chardev-add', {'id': 'f', 'backend': {
            'type': 'file', 'data': {'out': '/dev/fdset/3', 'append': True}}})
        self.assertEqual(reply, {'return': {}})
        self.assertEqual(c.run('remove-fd', {'fdset-id': 3}), {'return': {}})
        self.assertEqual(c.run('chardev-remove', {'id': 'f'}), {'return': {}})
        self.assertEqual(c.run('query-fdsets'), {'return': []})
        reply = c.run('chardev-add', {'id': 'f', 'backend': {
            'type': 'file', 'data': {'out': '/dev/fdset/9'}}})
        self.assertIn('error', reply)
        self.assert_quits(process, c)


class Parts(MachineTest):
    """Questions about parts of a machine, those it has and those that no machine here has."""

    def test_absent(self):
        _, c = self.start_qmp()
        for name in ('query-jobs', 'query-pci', 'query-memory-devices', 'query-rx-filter',
                     'query-tpm', 'query-tpm-models', 'query-tpm-types', 'query-mice'):
            self.assertEqual(c.run(name), {'return': []}, name)
        self.assertEqual(c.run('query-replay'), {'return': {'mode': 'none', 'icount': 0}})
        self.assertEqual(c.run('query-display-options'), {'return': {'type': 'none'}})
        self.assert_error(c.run('query-balloon'), 'DeviceNotActive', 'No balloon device')
        self.assert_error(c.run('query-rx-filter', {'name': 'n'}), 'GenericError',
                          'invalid net client name: n')
        self.assert_error(c.run('client_migrate_info', {'protocol': 'spice', 'hostname': 'h'}),
                          'DeviceNotActive', 'SPICE is not in use')
        self.assertEqual(c.run('announce-self', {'initial': 50, 'max': 550, 'rounds': 5,
                                                 'step': 50}), {'return': {}})

    def test_this_machine(self):
        for machine, has_acpi, wakes in (('none', False, False), ('microvm', True, False),
                                         ('microvm,acpi=off', False, False), ('pc', True, True)):
            with self.subTest(machine=machine):
                process, c = self.start_qmp('-M', machine, '-S')
                self.assertEqual(c.run('query-current-machine')['return'],
                                 {'wakeup-suspend-support': wakes})
                reply = c.run('query-acpi-ospm-status')
                if has_acpi:
                    self.assertEqual(reply, {'return': []})
                else:
                    self.assert_error(reply, 'GenericError', 'missing ACPI device')
                self.assert_error(c.run('query-hotpluggable-cpus'), 'GenericError',
                                  'machine does not support hot-plugging CPUs')
                self.assert_quits(process, c)

    def test_plugging(self):
        """Every check has its own answer; the machine is as before afterwards."""
        _, c = self.start_qmp('-M', 'pc', '-S')
        before = c.run('qom-list', {'path': '/machine/unattached'})
        for arguments, words in (({}, "Parameter 'driver' is missing"),
                                 ({'driver': 'nope'}, 'is not a valid device model name'),
                                 ({'driver': 'device'}, 'expects a non-abstract device type'),
                                 ({'driver': 'kvmclock'}, 'expects a pluggable device type'),
                                 ({'driver': 'isa-debug-exit', 'bus': 'nope'},
                                  "Bus 'nope' not found"),
                                 ({'driver': 'isa-debug-exit', 'bus': 'main-system-bus'},
                                  "can't go on System bus"),
                                 ({'driver': 'isa-debug-exit', 'id': 'x'},
                                  "Bus 'isa.0' does not support hotplugging")):
            self.assert_error(c.run('device_add', arguments), 'GenericError', words)
        self.assert_error(c.run('device_del', {'id': 'x'}), 'DeviceNotFound',
                          "Device 'x' not found")
        self.assert_error(c.run('device_del', {'id': '/machine'}), 'GenericError',
                          '/machine is not a device')
        self.assertEqual(c.run('qom-list', {'path': '/machine/unattached'}), before)

    def test_cold_plugged_device_stays(self):
        _, c = self.start_qmp('-M', 'pc', '-S', '-device', 'isa-debug-exit,id=x')
        self.assert_error(c.run('device_del', {'id': 'x'}), 'GenericError',
                          "Bus 'isa.0' does not support hotplugging")

    def test_machine_options(self):
        """-machine's parameters are those of all machines, each once."""
        _, c = self.start_qmp()
        options = c.run('query-command-line-options', {'option': 'machine'})['return']
        self.assertEqual([option['option'] for option in options], ['machine'])
        parameters = [(p['name'], p['type']) for p in options[0]['parameters']]
        for name, kind in (('type', 'string'), ('pic', 'boolean'), ('isa-serial', 'boolean'),
                           ('memory-backend', 'string'), ('mem-merge', 'boolean')):
            self.assertIn((name, kind), parameters)
        self.assertEqual(len({name for name, _ in parameters}), len(parameters))


if __name__ == '__main__':
    main()
