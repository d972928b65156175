#!/usr/bin/python3
# SPDX-License-Identifier: GPL-2.0-or-later
"""Programs that drive QEMU over QMP find here what they count on.

An asyncio client that pipelines requests and matches replies by id, as the package qemu.qmp does;
a shell that completes commands from what the program tells about itself, as qmp-shell does.
Every test runs against this program and, where they are installed, against the real QEMUs, so that
none asks for more than QEMU gives.
"""

import asyncio
import contextlib
import itertools
import json
import logging
import os
import select
import socket
import sys
import tempfile
import time
import unittest

HERE = os.path.dirname(os.path.abspath(__file__))
sys.path[:0] = [os.path.join(HERE, '..', '..', 'scripts'), HERE]

from vmtools import programs, tap                               # noqa: E402

TIMEOUT = 30
# Debug mode, which unittest switches on, would report that this machine is slow.
logging.getLogger('asyncio').setLevel(logging.ERROR)


class Disconnected(Exception):
    pass


class CommandFailed(Exception):
    def __init__(self, error):
        super().__init__(f"{error['class']}: {error['desc']}")
        self.error = error


class Client:
    """Sends at once whatever it is told to; a reader sorts what comes into replies and events."""

    def __init__(self, reader, writer):
        self.reader, self.writer = reader, writer
        self.greeting = None
        self.negotiation = None             # all that came up to and with the reply
        self.events = asyncio.Queue()
        self.order = []                     # ids of replies as they came
        self._waiting = {}
        self._numbers = itertools.count()
        self._task = None

    @classmethod
    async def connect(cls, path, oob=True):
        client = cls(*await asyncio.open_unix_connection(path, limit=1 << 24))
        await client.negotiate(oob)
        return client

    async def receive(self):
        line = await asyncio.wait_for(self.reader.readline(), TIMEOUT)
        if not line:
            raise Disconnected
        return json.loads(line)

    def send(self, message):
        self.writer.write(json.dumps(message).encode())

    async def negotiate(self, oob):
        self.greeting = await self.receive()
        request = {'execute': 'qmp_capabilities'}
        if oob and 'oob' in self.greeting['QMP']['capabilities']:
            request['arguments'] = {'enable': ['oob']}
        self.send(request)
        self.negotiation = await self.receive()     # whatever comes first has to be the reply
        if 'return' not in self.negotiation:
            raise CommandFailed(self.negotiation['error'])
        self._task = asyncio.get_running_loop().create_task(self._run())

    async def _run(self):
        with contextlib.suppress(Disconnected, ConnectionError, asyncio.CancelledError,
                                 asyncio.TimeoutError):
            while True:
                line = await self.reader.readline()
                if not line:
                    break
                message = json.loads(line)
                if 'event' in message:
                    await self.events.put(message)
                else:
                    self.order.append(message.get('id'))
                    self._waiting.pop(message.get('id')).set_result(message)
        for future in self._waiting.values():
            future.cancel()

    def start(self, name, arguments=None, oob=False):
        """Sends a request; answers a future for the reply."""
        number = f'client#{next(self._numbers):05}'
        request = {'exec-oob' if oob else 'execute': name, 'id': number}
        if arguments is not None:
            request['arguments'] = arguments
        self._waiting[number] = asyncio.get_running_loop().create_future()
        self.send(request)
        return self._waiting[number]

    async def run(self, name, oob=False, **arguments):
        reply = await asyncio.wait_for(self.start(name, arguments, oob), TIMEOUT)
        if 'error' in reply:
            raise CommandFailed(reply['error'])
        return reply['return']

    async def event(self, name):
        while True:
            event = await asyncio.wait_for(self.events.get(), TIMEOUT)
            if event['event'] == name:
                return event

    async def stop_reading(self):
        """From here on only receive() does."""
        if self._task:
            self._task.cancel()
            await asyncio.wait([self._task])

    async def close(self):
        await self.stop_reading()
        self.writer.close()
        with contextlib.suppress(ConnectionError):
            await self.writer.wait_closed()


class ClientsBase(unittest.IsolatedAsyncioTestCase):
    program = None
    monitors = 2

    async def asyncSetUp(self):
        reason = programs.why_missing(self.program)
        if reason:
            self.skipTest(reason)
        directory = tempfile.TemporaryDirectory(prefix='godwit-clients-')
        self.addCleanup(directory.cleanup)
        self.paths = [os.path.join(directory.name, f'qmp{i}') for i in range(self.monitors)]
        arguments = ['-M', 'none', '-display', 'none', '-S', '-m', '16M', '-name', 'guest']
        for path in self.paths:
            arguments += ['-qmp', f'unix:{path},server=on,wait=off']
        self.directory = directory.name
        self.process = await asyncio.create_subprocess_exec(
            programs.find(self.program), *arguments, stdin=asyncio.subprocess.DEVNULL)
        self.addAsyncCleanup(self.end)
        self.clients = []

    async def end(self):
        for client in self.clients:
            await client.close()
        if self.process.returncode is None:
            self.process.kill()
        await self.process.wait()

    async def client(self, which=0, oob=True):
        deadline = asyncio.get_running_loop().time() + TIMEOUT
        while True:
            try:
                client = await Client.connect(self.paths[which], oob)
                break
            except (FileNotFoundError, ConnectionRefusedError):
                # The program is still on its way
                self.assertIsNone(self.process.returncode)
                self.assertLess(asyncio.get_running_loop().time(), deadline)
                await asyncio.sleep(0.01)
        self.clients.append(client)
        return client


class Protocol:
    """What qemu.qmp does."""

    async def test_greeting(self):
        client = await self.client()
        self.assertEqual(sorted(client.greeting), ['QMP'])
        hello = client.greeting['QMP']
        self.assertEqual(sorted(hello), ['capabilities', 'version'])
        self.assertEqual(hello['capabilities'], ['oob'])
        self.assertEqual(sorted(hello['version']), ['package', 'qemu'])
        for part in ('major', 'minor', 'micro'):
            self.assertIsInstance(hello['version']['qemu'][part], int)
        self.assertEqual(await client.run('query-version'), hello['version'])

    async def test_negotiation(self):
        for oob in (False, True):
            client = await self.client(oob=oob)
            self.assertEqual(client.negotiation, {'return': {}})
            with self.assertRaises(CommandFailed) as caught:
                await client.run('qmp_capabilities')
            self.assertEqual(caught.exception.error['class'], 'CommandNotFound')
            reply = await client.start('query-yank', oob=True)
            self.assertEqual('return' in reply, oob, reply)
            await client.close()

    async def test_no_event_before_the_reply(self):
        """Events are under way all the time while a second client says hello."""
        busy = await self.client(0)
        over = asyncio.Event()

        async def make_events():
            while not over.is_set():
                await busy.run('cont')
                await busy.run('stop')
        maker = asyncio.get_running_loop().create_task(make_events())
        try:
            for _ in range(20):
                reader, writer = await asyncio.open_unix_connection(self.paths[1])
                client = Client(reader, writer)
                greeting = await client.receive()
                await busy.event('STOP')            # one has been sent since the greeting
                client.send({'execute': 'qmp_capabilities'})
                self.assertIn('QMP', greeting)
                reply = await client.receive()
                while 'event' in reply and self.program != programs.GODWIT:
                    reply = await client.receive()  # seldom, but the real program does that
                self.assertEqual(reply, {'return': {}})
                self.assertIn((await client.receive())['event'], ('STOP', 'RESUME'))
                await client.close()
        finally:
            over.set()
            await maker

    async def test_pipelined(self):
        """Many requests in one go: one reply each, in their order."""
        for oob in (False, True):
            client = await self.client(oob=oob)
            names = [('query-status', 'query-version', 'query-name', 'no-such-command')[i % 4]
                     for i in range(200)]
            futures = [client.start(name) for name in names]
            replies = await asyncio.wait_for(asyncio.gather(*futures), TIMEOUT)
            self.assertEqual(client.order, sorted(client.order))
            for name, reply in zip(names, replies):
                if name == 'no-such-command':
                    self.assertEqual(reply['error']['class'], 'CommandNotFound')
                elif name == 'query-name':
                    self.assertEqual(reply['return'], {'name': 'guest'})
                else:
                    self.assertIn('return', reply)
            await client.close()

    async def test_out_of_band(self):
        """A command that waits for a pipe does not hold up what comes out of band."""
        client = await self.client()
        fifo = os.path.join(self.directory, 'fifo')
        os.mkfifo(fifo)
        slow = client.start('pmemsave', {'val': 0, 'size': 1 << 20, 'filename': fifo})
        queued = client.start('query-status')
        for _ in range(3):
            self.assertIsInstance(await client.run('query-yank', oob=True), list)
        with self.assertRaises(CommandFailed):
            await client.run('migrate-pause', oob=True)
        self.assertFalse(slow.done() or queued.done())
        received = await asyncio.to_thread(self.read_all, fifo)
        self.assertEqual(received, 1 << 20)
        self.assertEqual((await asyncio.wait_for(slow, TIMEOUT))['return'], {})
        self.assertIn('status', (await asyncio.wait_for(queued, TIMEOUT))['return'])
        self.assertEqual(client.order[-2:], ['client#00000', 'client#00001'])

    @staticmethod
    def read_all(path):
        """How much comes out of a pipe, up to its end."""
        fd = os.open(path, os.O_RDONLY | os.O_NONBLOCK)
        size = 0
        try:
            deadline = time.monotonic() + TIMEOUT
            while time.monotonic() < deadline and select.select([fd], [], [], TIMEOUT)[0]:
                data = os.read(fd, 1 << 16)
                if not data and size:
                    break
                size += len(data)
                if not data:
                    time.sleep(0.001)       # nobody has opened the other end so far
        finally:
            os.close(fd)
        return size

    async def test_events_interleaved(self):
        client = await self.client()
        futures = [client.start(name) for _ in range(20) for name in ('cont', 'stop')]
        for reply in await asyncio.wait_for(asyncio.gather(*futures), TIMEOUT):
            self.assertEqual(reply['return'], {})
        before = 0
        for _ in range(20):
            for name in ('RESUME', 'STOP'):
                event = await asyncio.wait_for(client.events.get(), TIMEOUT)
                self.assertEqual(event['event'], name)
                stamp = event['timestamp']
                at = stamp['seconds'] * 1000000 + stamp['microseconds']
                self.assertGreaterEqual(at, before)
                before = at

    async def test_reconnect(self):
        """Gone in the middle of requests and of a message; the next one starts afresh."""
        for left in (b'', b'{"execute": "query-st', b'{"execute": "query-status"}' * 50,
                     b'\xff{{['):
            client = await self.client()
            client.writer.write(left)
            await client.close()
        client = await self.client(oob=False)
        self.assertEqual(client.negotiation, {'return': {}})
        self.assertEqual((await client.run('query-status'))['running'], False)
        reply = await client.start('query-yank', oob=True)
        self.assertIn('error', reply)

    async def test_ids(self):
        client = await self.client()
        await client.stop_reading()
        for value in (0, -1, 1.5, '', 'x', None, True, [], [1, [2]], {}, {'a': {'b': None}}):
            client.send({'execute': 'query-name', 'id': value})
            self.assertEqual(await client.receive(), {'return': {'name': 'guest'}, 'id': value})

    async def test_descriptors(self):
        """They come with the bytes of the request that takes them."""
        def talk():
            with socket.socket(socket.AF_UNIX) as sock:
                sock.settimeout(TIMEOUT)
                sock.connect(self.paths[0])
                lines = sock.makefile('rb')
                replies = [json.loads(lines.readline())]
                ends = os.pipe()
                for request, fds in (
                        ({'execute': 'qmp_capabilities'}, ()),
                        ({'execute': 'getfd', 'arguments': {'fdname': 'pipe'}}, ends[1:]),
                        ({'execute': 'getfd', 'arguments': {'fdname': 'none'}}, ()),
                        ({'execute': 'closefd', 'arguments': {'fdname': 'pipe'}}, ()),
                        ({'execute': 'closefd', 'arguments': {'fdname': 'pipe'}}, ()),
                        ({'execute': 'add-fd', 'arguments': {'fdset-id': 7, 'opaque': 'it'}},
                         ends[1:]),
                        ({'execute': 'query-fdsets'}, ()),
                        ({'execute': 'remove-fd', 'arguments': {'fdset-id': 7}}, ()),
                        ({'execute': 'query-fdsets'}, ())):
                    socket.send_fds(sock, [json.dumps(request).encode()], list(fds))
                    replies.append(json.loads(lines.readline()))
                os.close(ends[1])
                # Nobody holds the other end any more; the older QEMU does while there are clients
                if self.program != programs.OLDER:
                    self.assertTrue(select.select(ends[:1], [], [], TIMEOUT)[0])
                    self.assertEqual(os.read(ends[0], 1), b'')
                os.close(ends[0])
                return replies
        await (await self.client(1)).run('query-status')
        replies = await asyncio.wait_for(asyncio.to_thread(talk), TIMEOUT)
        self.assertEqual(replies[2], {'return': {}})
        self.assertEqual(replies[3]['error'],
                         {'class': 'GenericError',
                          'desc': 'No file descriptor supplied via SCM_RIGHTS'})
        self.assertEqual(replies[4], {'return': {}})
        self.assertEqual(replies[5]['error'],
                         {'class': 'GenericError',
                          'desc': "File descriptor named 'pipe' not found"})
        self.assertEqual(replies[6]['return']['fdset-id'], 7)
        self.assertEqual(replies[7]['return'][0]['fds'],
                         [{'fd': replies[6]['return']['fd'], 'opaque': 'it'}])
        if self.program != programs.OLDER:
            self.assertEqual(replies[9], {'return': []})

    async def test_quit(self):
        client = await self.client()
        self.assertEqual(await client.run('quit'), {})
        event = await client.event('SHUTDOWN')
        self.assertEqual(event['data'], {'guest': False, 'reason': 'host-qmp-quit'})
        self.assertEqual(await asyncio.wait_for(self.process.wait(), TIMEOUT), 0)


class Shell:
    """What qmp-shell does, and what others learn before they begin."""

    async def test_schema_is_whole(self):
        """All types that are named are there; commands are those of query-commands."""
        client = await self.client()
        schema = {entry['name']: entry for entry in await client.run('query-qmp-schema')}
        for entry in schema.values():
            named = [entry[key] for key in ('arg-type', 'ret-type', 'element-type') if key in entry]
            named += [m['type'] for m in entry.get('members', ()) if 'type' in m]
            named += [v['type'] for v in entry.get('variants', ())]
            for name in named:
                self.assertIn(name, schema)
            if 'tag' in entry:
                tag = {m['name']: m['type'] for m in entry['members']}[entry['tag']]
                self.assertEqual(sorted(v['case'] for v in entry['variants']),
                                 sorted(m['name'] for m in schema[tag]['members']))
        commands = [command['name'] for command in await client.run('query-commands')]
        self.assertEqual(sorted(commands),
                         sorted(name for name, entry in schema.items()
                                if entry['meta-type'] == 'command'))

    async def test_queries(self):
        """Every question that needs no argument is answered, with what the schema says."""
        client = await self.client()
        schema = {entry['name']: entry for entry in await client.run('query-qmp-schema')}
        for name, entry in sorted(schema.items()):
            if entry['meta-type'] != 'command' or not name.startswith('query-') or \
                    any('default' not in m for m in schema[entry['arg-type']]['members']):
                continue
            reply = await asyncio.wait_for(client.start(name), TIMEOUT)
            if 'error' in reply:
                self.assertNotEqual(reply['error']['class'], 'CommandNotFound', name)
            else:
                self.check_value(name, reply['return'], entry['ret-type'], schema)

    def check_value(self, place, value, name, schema):
        entry = schema[name]
        kind = entry['meta-type']
        if kind == 'builtin':
            types = {'string': str, 'int': int, 'number': (int, float), 'boolean': bool,
                     'null': type(None), 'object': dict, 'array': list, 'value': object}
            self.assertIsInstance(value, types[entry['json-type']], place)
        elif kind == 'enum':
            self.assertIn(value, [m['name'] for m in entry['members']], place)
        elif kind == 'array':
            self.assertIsInstance(value, list, place)
            for item in value:
                self.check_value(place + '[]', item, entry['element-type'], schema)
        elif kind == 'object':
            members = list(entry['members'])
            if 'tag' in entry:
                variant = {v['case']: v['type'] for v in entry['variants']}[value[entry['tag']]]
                members += schema[variant]['members']
            for member in members:
                if member['name'] in value:
                    self.check_value(f"{place}.{member['name']}", value[member['name']],
                                     member['type'], schema)
                else:
                    self.assertIn('default', member, f"{place} lacks {member['name']}")
            self.assertLessEqual(set(value), {m['name'] for m in members}, place)

    async def test_shell_for_people(self):
        """The other shell completes commands from these two texts."""
        client = await self.client()
        words = []
        for line in ('help', 'help info'):
            text = await client.run('human-monitor-command', **{'command-line': line})
            self.assertTrue(text.endswith('\r\n'), text[-20:])
            names = [name for row in text.splitlines() if ' -- ' in row
                     for name in row.split(' ')[0 if line == 'help' else 1].split('|')]
            self.assertTrue(names)
            words.append(names)
        for name in ('help', 'info', 'migrate', 'quit', 'cont', 'c', 'stop'):
            self.assertIn(name, words[0])
        for name in ('status', 'migrate', 'name', 'version', 'mtree'):
            self.assertIn(name, words[1])
        self.assertIn('paused', await client.run('human-monitor-command',
                                                 **{'command-line': 'info status'}))


class WithGodwit(ClientsBase, Protocol, Shell):
    program = programs.GODWIT


class WithOlderQemu(ClientsBase, Protocol, Shell):
    program = programs.OLDER


class WithNewerQemu(ClientsBase, Protocol, Shell):
    program = programs.NEWER


if __name__ == '__main__':
    tap.main()
