#!/usr/bin/env python3
# SPDX-License-Identifier: GPL-2.0-or-later
"""The device state of microvm, as its own stream describes it, is what tests/data says it has to be:
sections, fields, their types and sizes, in that order.

QTEST_QEMU_BINARY names the emulator.
"""

import json
import os
import subprocess
import sys
import tempfile
import unittest

HERE = os.path.dirname(os.path.abspath(__file__))
TOP = os.path.join(HERE, '..', '..')
sys.path.insert(0, os.path.join(TOP, 'scripts'))

from vmtools import tap                                                         # noqa: E402
from vmtools.machine import Machine                                             # noqa: E402

BINARY = os.environ.get('QTEST_QEMU_BINARY', 'build/godwit-system-x86_64')
REFERENCE = os.path.join(HERE, '..', 'data', 'microvm-device-state.txt')


def lines_of(vmsd, depth):
    """A description's fields as lines of (depth, text); runs of equal ones are said once."""
    out = []
    for field in vmsd.get('fields', []):
        count = f" x{field['array_len']}" if 'array_len' in field else ''
        out.append((depth, f"{field['name']}{count}: {field['type']} ({field['size']} B)"))
        if 'struct' in field:
            out += lines_of(field['struct'], depth + 1)
    return out


def subsections_of(vmsd):
    """name -> lines, those within subsections too."""
    out = {}
    for sub in vmsd.get('subsections', []):
        name = sub.get('vmsd_name', sub.get('name'))
        out[name] = lines_of(sub, 0)
        out.update(subsections_of(sub))
    return out


def read_reference(path):
    """(section, instance) -> (version, lines, {subsection: lines})"""
    sections = {}
    with open(path, encoding='utf-8') as f:
        for raw in f:
            line = raw.rstrip()
            text = line.strip()
            depth = (len(line) - len(line.lstrip())) // 4
            if not text or text.startswith('#'):
                continue
            if text.startswith('section '):
                words = text.split()
                current = (words[-1], [], {})
                sections[words[1].strip('"'), int(words[3])] = current
                into, base = current[1], 1
            elif text.startswith('subsection '):
                into, base = current[2].setdefault(text.split()[1], []), depth + 1
            else:
                if depth < base:
                    into, base = current[1], 1
                into.append((depth - base, text))
    return sections


class DeviceState(unittest.TestCase):
    def describe(self, options, *more):
        with tempfile.TemporaryDirectory() as directory:
            path = os.path.join(directory, 'stream')
            with Machine(BINARY, ['-M', options, '-accel', 'kvm', '-accel', 'tcg', '-m', '16M', '-S',
                                  '-serial', 'null', *more]) as machine:
                self.accel = 'kvm' if machine.command('query-kvm')['enabled'] else 'tcg'
                machine.command('migrate', uri='file:' + path)
                while True:
                    info = machine.command('query-migrate')
                    if info.get('status') in ('completed', 'failed'):
                        break
                self.assertEqual(info['status'], 'completed', info.get('error-desc'))
            text = subprocess.run([sys.executable, os.path.join(TOP, 'scripts',
                                                                'analyze-migration.py'),
                                   '-f', path, '-d', 'desc'],
                                  capture_output=True, text=True, check=True).stdout
        return json.loads(text)['devices']

    def compare(self, devices):
        reference = read_reference(REFERENCE)
        names = []
        for device in devices:
            key = device['name'], device['instance_id']
            if key[0] == 'ram':
                continue
            names.append(key)
            self.assertIn(key, reference, f'section {key} is not one of microvm\'s')
            version, lines, subsections = reference[key]
            with self.subTest(section=key):
                self.assertEqual(f"v{device['version']}", version)
                self.assertEqual(lines_of(device, 0), lines)
                for name, its in subsections_of(device).items():
                    if name in subsections:
                        self.assertEqual(its, subsections[name], name)
        return names

    def test_small(self):
        names = self.compare(self.describe('microvm,acpi=off,pic=off,pit=off,rtc=off'))
        expected = [('timer', 0), ('fw_cfg', 0), ('cpu_common', 0), ('cpu', 0),
                    ('kvm-tpr-opt', 0), ('apic', 0), ('ioapic', 0), ('serial', 0),
                    ('globalstate', 0)]
        if self.accel == 'kvm':
            expected.insert(7, ('kvmclock', 0))
        self.assertEqual(names, expected)

    def test_with_pic_and_pit(self):
        names = self.compare(self.describe('microvm,acpi=off,pic=on,pit=on,rtc=off'))
        self.assertIn(('i8259', 0), names)
        self.assertIn(('i8259', 1), names)
        self.assertIn(('i8254', 0), names)

    def test_all_devices(self):
        """Sections in the order of the list, and the subsections that come with ACPI."""
        devices = self.describe('microvm,rtc=off')
        names = self.compare(devices)
        with open(REFERENCE, encoding='utf-8') as f:
            listed = [(words[1].strip('"'), int(words[3])) for words in map(str.split, f)
                      if words[:1] == ['section']]
        if self.accel != 'kvm':
            listed.remove(('kvmclock', 0))
        self.assertEqual(names, listed)
        there = {sub for device in devices for sub in subsections_of(device)}
        self.assertLessEqual({'fw_cfg/dma', 'fw_cfg/acpi_mr', 'acpi-ged/memhp'}, there)

    def test_two_cpus(self):
        devices = self.describe('microvm,acpi=off,pic=off,pit=off,rtc=off', '-smp', '2')
        names = [(d['name'], d['instance_id']) for d in devices]
        for name in 'cpu_common', 'cpu', 'apic':
            self.assertIn((name, 1), names)


if __name__ == '__main__':
    tap.main()
