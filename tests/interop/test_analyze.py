#!/usr/bin/python3
# SPDX-License-Identifier: GPL-2.0-or-later
"""scripts/analyze-migration.py: recorded streams taken apart, made-up ones, and damage found.

The streams of real programs, of machines with everything in them, are recorded anew where these
programs are there, and what ours says in its description is compared with what QEMU says.

Every damaged stream has to end in a Damage or in a different result, and in nothing else: no
other exception, no endless loop. The work per stream is bounded by its length, and so is this.
"""

import json
import os
import struct
import subprocess
import sys
import tempfile
import unittest
import zlib

HERE = os.path.dirname(os.path.abspath(__file__))
SCRIPTS = os.path.join(HERE, '..', '..', 'scripts')
DATA = os.path.join(HERE, '..', 'data')
sys.path[:0] = [SCRIPTS, HERE]

from vmtools import interop, migrate, programs, tap                       # noqa: E402
from vmtools.machine import MICROVM, Machine                              # noqa: E402
from vmtools.programs import GODWIT, NEWER                                # noqa: E402
from vmtools.stream import Damage, SparseMemory, Stream                   # noqa: E402

RECORDED = {
    'qemu-7.2-none-2m.bin': 0,
    'qemu-7.2-none-2m-compress.bin': 0,
    'qemu-10.0-none-2m.bin': 0,
    'qemu-10.0-none-2m-file-offset.bin': 4096,
    'qemu-10.0-none-2m-mapped-ram.bin': 0,
}


def load(name):
    with open(os.path.join(DATA, name), 'rb') as f:
        return f.read()


class Memory:
    """RAM in a dictionary."""

    def __init__(self):
        self.blocks = {}

    def block(self, name, length):
        self.blocks[name] = bytearray(length)

    def write(self, name, at, data):
        self.blocks[name][at:at + len(data)] = data

    def read(self, name, at, size):
        return bytes(self.blocks[name][at:at + size])


def outcome(data, offset=0):
    """What a stream comes to, in a form to compare: its content or its damage."""
    records = []
    stream = Stream(data, offset, records=lambda r: records.append((r['address'], r['kind'])))
    try:
        stream.parse()
    except Damage as e:
        return 'damaged', e.offset, e.where, e.text
    return 'sound', stream.summary(), stream.devices, stream.vmdesc, records


# Made-up streams

def str8(text):
    return bytes([len(text)]) + text.encode()


def be32(n):
    return struct.pack('>I', n)


def be64(n):
    return struct.pack('>Q', n)


def header(machine='none', subsections=b''):
    return b'QEVM' + be32(3) + b'\x07' + be32(len(machine)) + machine.encode() + subsections


def capabilities(*names):
    return (b'\x05' + str8('configuration/capabilities') + be32(1) + be32(len(names))
            + b''.join(map(str8, names)))


def footer(number):
    return b'\x7e' + be32(number)


def ram_start(*blocks, number=2, more=b''):
    total = sum(length for _, length in blocks)
    return (b'\x01' + be32(number) + str8('ram') + be32(0) + be32(4) + be64(total | 4)
            + b''.join(str8(name) + be64(length) for name, length in blocks) + more + be64(0x10)
            + footer(number))


def ram_part(records, kind=2, number=2):
    return bytes([kind]) + be32(number) + records + be64(0x10) + footer(number)


def command(number, data=b''):
    return b'\x08' + struct.pack('>HH', number, len(data)) + data


def device(name, payload, number=5, version=1):
    return b'\x04' + be32(number) + str8(name) + be32(0) + be32(version) + payload + footer(number)


def vmdesc(*devices):
    text = json.dumps({'page_size': 4096, 'devices': devices}).encode()
    return b'\0\x06' + be32(len(text)) + text


class Recorded(unittest.TestCase):
    def test_memory_is_what_was_sent(self):
        for name, offset in RECORDED.items():
            with self.subTest(name):
                memory = Memory()
                stream = Stream(load(name), offset, memory).parse()
                self.assertEqual(memory.blocks['ram'], load('ram-2m.bin'))
                self.assertEqual(stream.notes, [])

    def test_structure(self):
        for name, offset in RECORDED.items():
            with self.subTest(name):
                s = Stream(load(name), offset).parse().summary()
                self.assertEqual(s['configuration']['machine'], 'none')
                self.assertEqual([(b['name'], b['length']) for b in s['blocks']],
                                 [('ram', 1 << 21)])
                self.assertEqual(s['blocks'][0]['pages']['zero'], 320)
                self.assertEqual(s['devices'], ['timer', 'globalstate'])
                self.assertEqual(s['offset'] + s['size'], len(load(name)))

    def test_device_state(self):
        stream = Stream(load('qemu-10.0-none-2m.bin')).parse()
        timer, state = stream.devices
        self.assertEqual(list(timer['fields']), ['cpu_ticks_offset', 'unused', 'cpu_clock_offset'])
        self.assertEqual(state['fields']['runstate'], 'running')
        self.assertIn('SWITCHOVER_START', [s.get('command') for s in stream.sections])

    def test_compressed_pages(self):
        stream = Stream(load('qemu-7.2-none-2m-compress.bin')).parse()
        self.assertEqual(stream.blocks['ram'].counts['compressed'], 191)

    def test_mapped_ram(self):
        block = Stream(load('qemu-10.0-none-2m-mapped-ram.bin')).parse().blocks['ram']
        self.assertEqual(block.mapped, {'bitmap-offset': 0x81, 'pages-offset': 0x100000})


class MadeUp(unittest.TestCase):
    def parse(self, *parts, memory=None):
        return Stream(b''.join(parts), memory=memory).parse()

    def damage(self, *parts):
        with self.assertRaises(Damage) as e:
            self.parse(*parts)
        return e.exception

    def test_xbzrle(self):
        memory = Memory()
        old = bytes(range(256)) * 16
        delta = b'\x05\x02ab' + b'\x80\x10\x01z'
        self.parse(header(), ram_start(('ram', 8192)),
                   ram_part(be64(0x1000 | 8) + str8('ram') + old
                            + be64(0x1000 | 0x60) + b'\x01' + struct.pack('>H', len(delta))
                            + delta), ram_part(b'', 3), b'\0', memory=memory)
        new = bytearray(old)
        new[5:7] = b'ab'
        new[7 + 2048] = ord('z')
        self.assertEqual(memory.blocks['ram'][4096:], new)

    def test_xbzrle_beyond_the_page(self):
        for delta in (b'\xff\x3f\x01z', b'\x80\x20\x01z', b'\x01\x05ab', b'\x01', b'\x80',
                      b'\x01\0', b'\x01\x01a\0\x01b', b'\xff\xff\xff\x7f\x01a', b'\xff\xff\xff\xff\xff'):
            with self.subTest(delta=delta.hex()):
                stream = (header(), ram_start(('ram', 4096)),
                          ram_part(be64(0x40) + str8('ram') + b'\x01'
                                   + struct.pack('>H', len(delta)) + delta))
                if delta == b'\x01':        # a run that stays and nothing behind it: allowed
                    self.parse(*stream, b'\0')
                else:
                    self.assertIn('XBZRLE', self.damage(*stream).text)

    def test_multifd_flush(self):
        s = self.parse(header(), ram_start(('ram', 4096), more=be64(0x200)),
                       ram_part(be64(0x200) + be64(0x200)), b'\0')
        part = next(x for x in s.sections if x['type'] == 'PART')
        self.assertEqual(part['multifd-flushes'], 2)

    def test_x_ignore_shared(self):
        start = (b'\x01' + be32(2) + str8('ram') + be32(0) + be32(4) + be64(4096 | 4)
                 + str8('ram') + be64(4096) + be64(0xc0000000) + be64(0x10) + footer(2))
        s = self.parse(header('none', capabilities('x-ignore-shared')), start, b'\0')
        self.assertEqual(s.blocks['ram'].address, 0xc0000000)

    def test_postcopy(self):
        inner = (command(4) + device('thing', b'1234') + command(2, be32(3)) + command(5))
        s = self.parse(
            header(), command(1), command(2, be32(1)), command(3, be64(0x201000) + be64(4096)),
            b'\x01' + be32(2) + str8('ram') + be32(0) + be32(4) + be64(0x201000 | 4)
            + str8('huge') + be64(0x200000) + be64(0x200000) + str8('small') + be64(4096)
            + be64(0x200) + be64(0x10) + footer(2),
            command(6, b'\0' + str8('huge') + b'\0' + be64(0) + be64(0x200000)),
            command(2, be32(2)), command(7, be32(len(inner))), inner, command(2, be32(4)),
            ram_part(be64(2) + str8('small') + b'\0'), ram_part(b'', 3), b'\0')
        self.assertEqual(s.blocks['huge'].page_size, 0x200000)
        self.assertIsNone(s.blocks['small'].page_size)
        names = [x.get('command') for x in s.sections if x['type'] == 'COMMAND']
        self.assertEqual(names, ['OPEN_RETURN_PATH', 'PING', 'POSTCOPY_ADVISE',
                                 'POSTCOPY_RAM_DISCARD', 'PING', 'PACKAGED', 'POSTCOPY_LISTEN',
                                 'PING', 'POSTCOPY_RUN', 'PING'])
        self.assertEqual(s.notes, ['there is no vmdescription'])

    def test_without_footers_and_configuration(self):
        s = self.parse(b'QEVM', be32(3), b'\x01' + be32(1) + str8('ram') + be32(0) + be32(4)
                       + be64(4096 | 4) + str8('ram') + be64(4096) + be64(0x10),
                       b'\x03' + be32(1) + be64(0x10), b'\0')
        self.assertEqual(s.footers, False)

    def test_fields(self):
        fields = [{'name': 'flag', 'type': 'bool', 'size': 1},
                  {'name': 'list', 'type': 'uint16', 'size': 2, 'array_len': 3},
                  {'name': 'down', 'type': 'int32', 'size': 4},
                  {'name': 'in', 'type': 'struct', 'size': 2, 'struct': {
                      'vmsd_name': 'in', 'version': 1,
                      'fields': [{'name': 'x', 'type': 'uint16', 'size': 2}]}},
                  {'name': 'each', 'index': 0, 'type': 'uint8', 'size': 1},
                  {'name': 'each', 'index': 1, 'type': 'uint8', 'size': 1}]
        subs = [{'vmsd_name': 'thing/more', 'version': 2,
                 'fields': [{'name': 'text', 'type': 'buffer', 'size': 4}]}]
        desc = {'name': 'thing', 'instance_id': 0, 'vmsd_name': 'thing', 'version': 1,
                'fields': fields, 'subsections': subs}
        payload = (b'\x01' + struct.pack('>3H', 1, 2, 3) + struct.pack('>i', -2) + b'\0\x09'
                   + b'\x05\x06' + b'\x05' + str8('thing/more') + be32(2) + b'abc\0')
        d = self.parse(header(), device('thing', payload), vmdesc(desc)).devices[0]
        self.assertEqual(d['fields'], {'flag': True, 'list': [1, 2, 3], 'down': -2,
                                       'in': {'x': 9}, 'each': [5, 6]})
        self.assertEqual(d['subsections'], {'thing/more': {'version': 2,
                                                           'fields': {'text': 'abc'}}})
        e = self.damage(header(), device('thing', b'\x02' + payload[1:]), vmdesc(desc))
        self.assertEqual((e.offset, e.where),
                         (len(header()) + 19, 'section 5 "thing": field "flag"'))
        e = self.damage(header(), device('thing', payload + b'x'), vmdesc(desc))
        self.assertIn('expected the section\'s footer', e.text)

    def test_hostile_descriptions(self):
        deep = {'fields': []}
        for _ in range(200):
            deep = {'fields': [{'name': 'x', 'type': 'struct', 'size': 0, 'struct': deep}]}
        for fields in ([{'name': 'x', 'type': 'u', 'size': 1 << 60}],
                       [{'name': 'x', 'type': 'u', 'size': -1}], [{'name': 'x'}], 'x', [1],
                       [{'name': 'x', 'size': 4, 'array_len': 1 << 23}],
                       [{'name': 'x', 'size': 1, 'array_len': -1}],
                       [{'name': 'x', 'size': 1, 'array_len': 'many'}], deep['fields']):
            desc = {'name': 'thing', 'instance_id': 0, 'version': 1, 'fields': fields}
            self.damage(header(), device('thing', b'1234'), vmdesc(desc))
        empty = {'name': 'thing', 'instance_id': 0, 'version': 1,
                 'fields': [{'name': 'x', 'size': 0, 'type': 'buffer', 'array_len': 1 << 24}] * 99}
        self.parse(header(), device('thing', b''), vmdesc(empty))

    def test_what_is_said_about_damage(self):
        start = len(header())
        ram = ram_start(('ram', 8192))
        page = start + len(ram) + 5
        cases = [
            ((b'QEVN',), 0, 'expected "QEVM" (0x5145564d), found 0x5145564e'),
            ((b'QEVM', be32(2)), 4, 'expected version 3, found 2, which is obsolete'),
            ((header(), b'\x09'), start, 'found 0x09'),
            ((header(), b'\x02' + be32(7)), start + 1,
             'expected the id of a section that was started, found 7'),
            ((header(), ram_start(('ram', 6144), ('x', 2048))), start + 29,
             'expected a length in pages'),
            ((header(), ram_start(('ram', 4096), ('ram', 4096))), start + 37,
             'expected a new block, found "ram" again'),
            ((header(), ram, ram_part(be64(8) + str8('rom'))), page + 8,
             'expected the name of a RAM block ("ram"), found "rom"'),
            ((header(), ram, ram_part(be64(0x2000 | 2) + str8('ram') + b'\0')), page,
             'expected a page within 0x2000 bytes, found offset 0x2000'),
            ((header(), ram, ram_part(be64(0x22) + b'\0')), page, 'none was named'),
            ((header(), ram, ram_part(be64(0x0a) + str8('ram'))), page, 'found flags 0xa'),
            ((header(), ram, ram_part(be64(8) + str8('ram') + b'x')), page + 12,
             'expected a page (4096 bytes), found the end of the data after'),
            ((header(), ram, ram_part(be64(0x100) + str8('ram') + be32(9) + b'not zlib!')),
             page + 16, 'expected a zlib stream'),
            ((header(), ram, ram_part(be64(0x100) + str8('ram')
              + be32(len(zlib.compress(bytes(9)))) + zlib.compress(bytes(9)))), page + 16,
             'expected 4096 bytes in the compressed page, found 9'),
            ((header(), ram, ram_part(be64(0x100) + str8('ram') + be32(1 << 31))), page + 12,
             'expected the length of a compressed page'),
            ((header(), command(99)), start + 1, 'expected a command of 1 to 11, found 99'),
            ((header(), command(2, b'')), start + 3, 'expected 4 bytes of data, found 0'),
            ((header(), command(7, be32(1000)), b'x'), start + 9, 'expected the package'),
            ((header(), ram, command(6, b'\0' + str8('ram') + b'\0' + be64(0) + be64(8193))),
             start + len(ram) + 11, 'expected a range within block "ram"'),
            ((header(), ram, command(10, str8('rom'))), start + len(ram) + 5, 'found "rom"'),
            ((header(), ram[:-4] + be32(3)), start + len(ram) - 5,
             'expected section id 2 in the footer, found 3'),
            ((header(), device('a', b''), device('b', b'')), start + len(device('a', b'')) + 1,
             'expected a section id not used before, found 5'),
        ]
        for parts, offset, text in cases:
            with self.subTest(text):
                e = self.damage(*parts)
                self.assertIn(text, e.text)
                self.assertEqual(e.offset, offset)
                self.assertTrue(str(e).startswith(f'at offset {offset:#x}: '))


class Damaged(unittest.TestCase):
    def points(self, name, offset):
        """The offsets at which something other than a page's content stands."""
        data = load(name)
        skip = bytearray(len(data))

        def record(r):
            if r['kind'] == 'normal':
                start, size = r['payload'], r['size']
                skip[start:start + size] = b'\1' * size
            elif r['kind'] == 'compressed':     # zlib has bits of padding
                start, size = r['payload'] + 4, r['size'] - 4
                skip[start:start + size] = b'\1' * size
        stream = Stream(data, offset, records=record).parse()
        for block in stream.blocks.values():
            if block.mapped:
                start = block.mapped['pages-offset']
                skip[start:start + block.length] = b'\1' * block.length
                # Between the bitmap and the pages is nothing.
                end = block.mapped['bitmap-offset'] + block.length // 4096 // 8
                skip[end:start] = b'\1' * (start - end)
        return data, [i for i in range(offset, len(data)) if not skip[i]]

    def test_every_kind_of_prefix(self):
        for name, offset in RECORDED.items():
            data, points = self.points(name, offset)
            whole = outcome(data, offset)
            self.assertEqual(whole[0], 'sound')
            end = next(s['offset'] for s in whole[1]['sections'] if s['type'] == 'EOF') + 1
            spread = set(points[:200] + points[-1500:] + points[::len(points) // 150 + 1]
                         + list(range(offset, len(data), len(data) // 150)))
            for size in sorted(spread):
                with self.subTest(name, size=size):
                    result = outcome(data[:size], offset)
                    if size == end:
                        self.assertEqual(result[1]['notes'], ['there is no vmdescription'])
                    else:
                        self.assertEqual(result[0], 'damaged')
                        self.assertLessEqual(result[1], size)

    def test_single_bytes(self):
        for name, offset in RECORDED.items():
            data, points = self.points(name, offset)
            whole = outcome(data, offset)
            damaged = bytearray(data)
            few = (points[:150] + points[150:-1100:max(1, len(points) // 250)]
                   + points[max(150, len(points) - 1100)::3])
            for at in few:
                for change in (0x01, 0x80, 0xff):
                    damaged[at] ^= change
                    if outcome(bytes(damaged), offset) == whole:
                        self.fail(f'{name}: {change:#x} at {at:#x} goes unnoticed')
                    damaged[at] = data[at]

    def test_page_content_shows_in_memory(self):
        data = bytearray(load('qemu-7.2-none-2m.bin'))
        data[0x1000] ^= 1
        memory = Memory()
        Stream(bytes(data), 0, memory).parse()
        self.assertNotEqual(memory.blocks['ram'], load('ram-2m.bin'))


class Program(unittest.TestCase):
    def run_program(self, *arguments):
        return subprocess.run([sys.executable, os.path.join(SCRIPTS, 'analyze-migration.py'),
                               *arguments], capture_output=True, text=True, timeout=60)

    def test_text_and_json(self):
        path = os.path.join(DATA, 'qemu-10.0-none-2m.bin')
        for dump in ('summary', 'state', 'desc', 'all', 'records'):
            for form in ([], ['-j']):
                with self.subTest(dump, form=form):
                    r = self.run_program('-f', path, '-d', dump, *form)
                    self.assertEqual((r.returncode, r.stderr), (0, ''))
                    if form:
                        for text in r.stdout.splitlines() if dump == 'records' else [r.stdout]:
                            json.loads(text)
                    else:
                        self.assertTrue(r.stdout)
        self.assertEqual(len(r.stdout.splitlines()), 512)

    def test_memory_to_a_file(self):
        with tempfile.TemporaryDirectory() as directory:
            out = os.path.join(directory, 'ram')
            r = self.run_program('-f', os.path.join(DATA, 'qemu-10.0-none-2m-file-offset.bin'),
                                 '--offset', '0x1000', '-m', out, '-q')
            self.assertEqual((r.returncode, r.stdout, r.stderr), (0, '', ''))
            with open(out, 'rb') as f:
                self.assertEqual(f.read(), load('ram-2m.bin'))

    def test_damage_and_missing_files(self):
        r = self.run_program('-f', os.path.join(DATA, 'qemu-10.0-none-2m-file-offset.bin'))
        self.assertEqual(r.returncode, 1)
        self.assertIn('at offset 0x0: file header: expected "QEVM"', r.stderr)
        self.assertIn('a stream begins at offset 0x1000', r.stderr)
        r = self.run_program('-f', '/nonexistent')
        self.assertEqual((r.returncode, r.stdout), (2, ''))
        self.assertIn('/nonexistent: No such file', r.stderr)

    def test_sparse_memory(self):
        with tempfile.TemporaryDirectory() as directory:
            memory = SparseMemory(os.path.join(directory, 'ram'))
            memory.block('a', 1 << 40)
            memory.block('b', 4096)
            memory.write('b', 0, b'x')
            self.assertEqual(memory.read('b', 0, 2), b'x\0')
            memory.close()


class Machines(unittest.TestCase):
    """Streams of whole machines, stopped before their first instruction."""

    def setUp(self):
        self.directory = tempfile.TemporaryDirectory(prefix='godwit-')
        self.addCleanup(self.directory.cleanup)

    def record(self, program, machine, accel):
        """What the analysis says of a stream into a file."""
        name = program.replace(' ', '-')
        path = os.path.join(self.directory.name, name)
        with Machine(programs.find(program), ['-M', machine, '-accel', accel, '-m', '16M', '-S'],
                     name, self.directory.name) as source:
            migrate.run(source, None, f'exec:cat >{path}')
        r = subprocess.run([sys.executable, os.path.join(SCRIPTS, 'analyze-migration.py'),
                            '-f', path, '-d', 'all', '-j'], capture_output=True, text=True,
                           timeout=60, check=False)
        self.assertEqual((r.returncode, r.stderr), (0, ''), program)
        found = json.loads(r.stdout)
        self.assertEqual(found['notes'], [])
        return found

    def check_machine(self, program, machine, accel):
        found = self.record(program, machine, accel)
        self.assertTrue(found['configuration']['machine'])
        described = found['vmdescription']
        self.assertEqual(described['page_size'], 4096)
        self.assertEqual([d['name'] for d in described['devices']],
                         [s['name'] for s in found['sections'] if s['type'] == 'FULL'])
        self.assertEqual(len(found['devices']), len(described['devices']))

    def check_description(self, machine, accel):
        """Ours says of devices in common what 10.0 says."""
        ours = self.record(GODWIT, machine, accel)['vmdescription']
        theirs = self.record(NEWER, machine, accel)['vmdescription']
        self.assertEqual(list(ours), ['configuration', 'page_size', 'devices'])
        self.assertEqual(list(theirs), list(ours))
        self.assertEqual(ours['configuration'], theirs['configuration'])

        def by_name(described):
            return {(d['name'], d['instance_id']): d for d in described['devices']}
        ours, theirs = by_name(ours), by_name(theirs)
        common = [key for key in theirs if key in ours]
        # Of a PC there is only what a boot sector needs.
        whole = machine.startswith(('none', 'microvm'))
        if whole:
            self.assertEqual(sorted(ours), sorted(theirs))
        self.assertGreaterEqual(len(common), 2)
        for key in common:
            with self.subTest(key):
                self.same_state(ours[key], theirs[key], whole)
        self.figures = {'devices in common': len(common)}

    def same_state(self, ours, theirs, whole):
        """Fields, and which subsections are needed right after a reset."""
        self.assertEqual({k: v for k, v in ours.items() if k != 'subsections'},
                         {k: v for k, v in theirs.items() if k != 'subsections'})
        subs = [{s['vmsd_name']: s for s in x.get('subsections', ())} for x in (ours, theirs)]
        if whole:
            self.assertEqual(list(subs[0]), list(subs[1]))
        for name in subs[0].keys() & subs[1].keys():
            self.same_state(subs[0][name], subs[1][name], whole)


def add_machines():
    for machine, label in (('none', 'none'), ('microvm', 'microvm'), (MICROVM, 'microvm_bare'),
                           ('pc', 'pc'), ('q35', 'q35')):
        for accel in ('tcg', 'kvm'):
            no_kvm = '/dev/kvm cannot be used' \
                if accel == 'kvm' and not os.access('/dev/kvm', os.R_OK | os.W_OK) else None
            for program in programs.NAMES:
                def test(self, program=program, machine=machine, accel=accel):
                    self.check_machine(program, machine, accel)
                name = program.lower().replace(' ', '_').replace('.', '_')
                test.__name__ = f'test_{name}_{label}_{accel}'
                why = programs.why_missing(program) or no_kvm
                setattr(Machines, test.__name__, unittest.skip(why)(test) if why else test)

            def test(self, machine=machine, accel=accel):
                self.check_description(machine, accel)
            test.__name__ = f'test_description_{label}_{accel}'
            test.cases = [interop.Case(GODWIT, NEWER, machine, '1, default', accel, 'file',
                                       'the stream describes devices alike')]
            why = programs.why_missing(GODWIT, NEWER) or no_kvm
            setattr(Machines, test.__name__, unittest.skip(why)(test) if why else test)


add_machines()


if __name__ == '__main__':
    tap.main()
