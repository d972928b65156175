#!/usr/bin/env python3
# SPDX-License-Identifier: GPL-2.0-or-later
"""Device state that one program saved, another loads and saves again without letting the guest run:
what comes out is what went in, field by field, and RAM byte for byte.

The guest is hop64.elf of tests/guest, stopped in the midst of its work, so that hardly a register
of the CPUs, of timers, interrupt controllers and serial port is as a reset leaves it. Streams are
decoded by the description that they carry. GUEST_DIR says where the guests are built.
"""

import json
import os
import sys
import tempfile
import unittest

HERE = os.path.dirname(os.path.abspath(__file__))
sys.path[:0] = [os.path.join(HERE, '..', '..', 'scripts'), HERE]

from vmtools import interop, migrate, programs, tap                             # noqa: E402
from vmtools.machine import Machine, SerialSocket                               # noqa: E402
from vmtools.programs import GODWIT, NEWER, OLDER                               # noqa: E402
from vmtools.stream import SparseMemory, Stream, open_stream                    # noqa: E402
from hopping import ALL, ALL_PIC, SHORT, SMALL, machine_arguments, why_not      # noqa: E402


WRITTEN_BY_KVM = 0x110000           # the guest has KVM's clock and steal time in that page


def flatten(value, path, out):
    """Nested fields as a dictionary of paths."""
    if isinstance(value, dict):
        for key, inner in value.items():
            flatten(inner, f'{path}.{key}' if path else key, out)
    elif isinstance(value, list):
        for i, inner in enumerate(value):
            flatten(inner, f'{path}[{i}]', out)
    else:
        out[path] = value
    return out


def fields_of(path):
    """(section, instance) -> {path of the field: value}, and what RAM holds."""
    memory = SparseMemory(path + '.ram')
    try:
        stream = Stream(open_stream(path), memory=memory).parse()
        ram = {name: (block.length, memory.read(name, 0, block.length))
               for name, block in stream.blocks.items()}
    finally:
        memory.close()
        os.unlink(path + '.ram')
    devices = {}
    for device in stream.devices:
        fields = flatten(device['fields'], '', {})
        for name, sub in device.get('subsections', {}).items():
            flatten({k: v for k, v in sub.items() if k != 'version'}, name, fields)
        fields['version'] = device['version']
        devices[device['name'], device['instance']] = fields
    return devices, ram


def runs_alike(fields):
    """7.2 has a part of globalstate as one buffer, in which the name of the run state is first."""
    raw = fields['runstate']
    if len(raw) == 200:
        raw = bytes.fromhex(raw).split(b'\0')[0].decode('ascii')
    return raw


def explained(section, instance, name, fields, old, new, through):
    """Whether a difference is one of the few that there may be, and as big as it may be."""
    if section == 'globalstate' and name in ('runstate', 'has_vm_was_suspended',
                                             'vm_was_suspended', 'unused'):
        # Only where one of the two is 7.2; the run state itself is compared besides.
        return old is None or new is None or name == 'runstate'
    if section == 'kvmclock' and name == 'clock':
        # QEMU asks the kernel, which hears of what was loaded only when the machine runs.
        return through != GODWIT
    if section == 'apic' and name in ('initial_count_load_time', 'next_time', 'timer_expiry'):
        # QEMU begins a period when it saves, we say when it began.
        period = fields['initial_count'] << fields['count_shift']
        return through != GODWIT and 0 <= new - old <= period + 1
    if section == 'i8259' and instance == 0 and name == 'last_irr':
        # The line from the second PIC to the first: QEMU's kernel is told that it is up.
        return old ^ new == 1 << 2
    if section == 'mc146818rtc' and name in ('periodic_timer', 'next_periodic_time'):
        # Whoever loads it counts from there with a divider of its own: by less than a period.
        return abs(new - old) < 10 ** 9 // 64
    if section == 'mc146818rtc' and name == 'update_timer':
        # It runs in QEMU also when nobody wants its interrupt.
        return through == GODWIT and new == -1
    return False


class Saving(unittest.TestCase):
    def setUp(self):
        reason = why_not('kvm')
        if reason:
            self.skipTest(reason)
        self.directory = tempfile.TemporaryDirectory(prefix='godwit-')
        self.addCleanup(self.directory.cleanup)
        self.figures = {}

    def machine(self, program, name, chain, machine, vcpus, *more):
        missing = programs.why_missing(program)
        if missing:
            self.skipTest(missing)
        serial = SerialSocket(os.path.join(self.directory.name, name + '.serial'))
        self.addCleanup(serial.close)
        m = Machine(programs.find(program),
                    [*machine_arguments(program, chain, machine, vcpus, 'kvm'),
                     '-rtc', 'clock=vm', *more], name,
                    self.directory.name, serial=serial)
        self.addCleanup(m.end)
        return m

    def save(self, machine, name):
        path = os.path.join(self.directory.name, name)
        migrate.run(machine, None, 'exec:cat >' + path)
        return path


class Fields(Saving):
    def compare(self, before, after, through):
        """Answers the differences as texts, and how many fields were compared."""
        differences, count = [], 0
        if set(before) != set(after):
            differences.append(f'sections: {list(before)} became {list(after)}')
        for key in before:
            old, new = before[key], after.get(key, {})
            for name in {**old, **new}:
                count += 1
                a, b = old.get(name), new.get(name)
                if a != b and not explained(*key, name, old, a, b, through):
                    differences.append(f'{key[0]} {key[1]}: {name}: {show(a)} became {show(b)}')
        states = [runs_alike(x['globalstate', 0]) for x in (before, after)]
        if states[0] != states[1]:
            differences.append(f'run state: {states[0]} became {states[1]}')
        return differences, count

    def go(self, source, through, machine, vcpus):
        chain = (source, through)
        here = self.machine(source, 'source', chain, machine, vcpus)
        self.assertTrue(here.serial.wait(lambda t: t.count('h n=') > 4 or 'E:' in t, 60,
                                         here.alive), here.serial.text() + here.stderr())
        here.command('stop')
        here.serial.send(b'!"#$%&')
        first = self.save(here, 'first')
        there = self.machine(through, 'through', chain, machine, vcpus, '-S', '-incoming',
                             'exec:cat ' + first)
        migrate.wait_status(there)
        second = self.save(there, 'second')
        before, ram_before = fields_of(first)
        after, ram_after = fields_of(second)
        differences, count = self.compare(before, after, through)
        self.assertEqual(differences, [], '\n'.join(['', *differences]))
        self.assertEqual(set(ram_before), set(ram_after))
        for name, (length, data) in ram_before.items():
            self.assertEqual(length, ram_after[name][0], f'length of {name}')
            now = ram_after[name][1]
            pages = [hex(at) for at in range(0, length, 4096)
                     if data[at:at + 4096] != now[at:at + 4096]
                     and (name, at) != ('microvm.ram', WRITTEN_BY_KVM)]
            self.assertEqual(pages, [], f'pages of RAM block {name} differ')
        self.figures['fields'] = count


class Patched(Saving):
    """The guest itself notices when a program brings it a register that is another one."""

    def test_patched_registers(self):
        # What the guest has in there, as it stands in the stream, and what it says then.
        for value, what in ((0x00007fffdeadbee0, 'msr at 00000000c0000083'),
                            (0x0000123456789ab0, 'msr at 0000000000000175'),
                            (0x0000333344445550, 'dr at 0000000000000002')):
            with self.subTest(what=what):
                self.patched(value, what)

    def patched(self, value, what):
        chain = (GODWIT, GODWIT)
        name = f'{value:x}'
        here = self.machine(GODWIT, 'from' + name, chain, SMALL, 1)
        self.assertTrue(here.serial.wait(lambda t: t.count('h n=') > 1, 60, here.alive))
        here.command('stop')
        path = self.save(here, 'stream' + name)
        with open(path, 'r+b') as f:
            data = f.read()
            self.assertEqual(data.count(value.to_bytes(8, 'big')), 1)
            f.seek(data.index(value.to_bytes(8, 'big')))
            f.write((value ^ 0x1000).to_bytes(8, 'big'))
        there = self.machine(GODWIT, 'to' + name, chain, SMALL, 1, '-incoming', 'exec:cat ' + path)
        migrate.wait_status(there)
        there.command('cont')
        self.assertTrue(there.serial.wait(lambda t: 'E:' in t and t.endswith('\n'), 60, there.alive),
                        there.serial.text() + there.stderr())
        self.assertIn(what, there.serial.text())


def show(value):
    return 'nothing' if value is None else f'{value:#x}' if isinstance(value, int) \
        and not isinstance(value, bool) else json.dumps(value)


def add_tests():
    def make(source, through, machine, vcpus):
        def test(self):
            self.go(source, through, machine, vcpus)
        name = {OLDER: '7_2', NEWER: '10_0', GODWIT: 'godwit'}
        test.__name__ = (f'test_{name[source]}_{name[through]}_'
                         f'{SHORT[machine]}_{vcpus}')
        test.cases = [interop.Case(source, through, machine, f'{vcpus} vCPU{"s" * (vcpus > 1)}',
                                   'kvm', 'exec', 'saved again: all fields equal')]
        return test
    for pair in ((GODWIT, OLDER), (GODWIT, NEWER), (OLDER, GODWIT), (NEWER, GODWIT)):
        for machine in (SMALL, ALL, ALL_PIC):
            for vcpus in (1, 2):
                test = make(*pair, machine, vcpus)
                setattr(Fields, test.__name__, test)


add_tests()


if __name__ == '__main__':
    tap.main()
