#!/usr/bin/env python3
# SPDX-License-Identifier: GPL-2.0-or-later
"""A microvm guest with all devices goes between QEMU and ours, with its firmware: irq.bin counts interrupts through PICs
and I/O APIC, and does so everywhere it comes; firmware that QEMU has of its own comes back to it as it went.

QEMU_BINARY, QEMU_NEW_BINARY and GODWIT_BINARY name the programs; GUEST_DIR where irq.bin is.
"""

import os
import re
import shutil
import struct
import sys
import tempfile
import time
import unittest

HERE = os.path.dirname(os.path.abspath(__file__))
sys.path.insert(0, os.path.join(HERE, '..', '..', 'scripts'))

from vmtools import interop, programs, tap                                      # noqa: E402
from vmtools.machine import Machine, for_older                                  # noqa: E402

IMAGE = os.path.join(os.environ.get('GUEST_DIR', 'build/tests/guest'), 'irq.bin')
OLD, NEW, OURS = 'QEMU 7.2', 'QEMU 10.0', 'Godwit'


class Firmware(unittest.TestCase):
    def setUp(self):
        if not os.access('/dev/kvm', os.R_OK | os.W_OK):
            self.skipTest('no KVM')
        self.directory = tempfile.mkdtemp(prefix='godwit-firmware-')
        self.addCleanup(shutil.rmtree, self.directory)

    def go(self, names, *arguments, visit=lambda machine: None):
        """The guest starts in the first and is taken to the next ones in turn."""
        missing = programs.why_missing(*names)
        if missing:
            self.skipTest(missing)
        binaries = [programs.find(name) for name in names]
        incoming = ()
        for i, binary in enumerate(binaries):
            following = binaries[min(i + 1, len(names) - 1)]
            with Machine(binary, ['-M', 'microvm', '-accel', 'kvm', '-m', '16M', '-serial', 'null', *arguments,
                                  *for_older(binary, following), *incoming], directory=self.directory,
                         name=f'machine{i}') as machine:
                deadline = time.monotonic() + 60
                while (status := machine.command('query-status')['status']) != 'running':
                    self.assertTrue(machine.alive() and time.monotonic() < deadline, machine.stderr())
                    if status == 'paused':
                        machine.command('cont')
                    time.sleep(0.01)
                visit(machine)
                if names[i] != OURS:
                    self.stop_between_interrupts(machine)
                path = os.path.join(self.directory, f'stream{i}')
                machine.command('migrate', uri=f'exec:cat >{path}')
                while True:
                    info = machine.command('query-migrate')
                    if info.get('status') in ('completed', 'failed'):
                        break
                    time.sleep(0.01)
                self.assertEqual(info['status'], 'completed', info)
                incoming = '-incoming', f'exec:cat {path}'

    def stop_between_interrupts(self, machine):
        """QEMU loses an interrupt that the PIC has handed over and the halted CPU has not begun with:
        one of its own saved so is as dead."""
        def says(line):
            return machine.command('human-monitor-command', **{'command-line': line})
        deadline = time.monotonic() + 60
        machine.command('stop')
        while re.search(r'pic0:.* isr=(?!00)', says('info pic')) and 'HLT=1' in says('info registers'):
            self.assertLess(time.monotonic(), deadline)
            machine.command('cont')
            time.sleep(0.003)
            machine.command('stop')

    def counting(self, machine):
        def counts():
            return struct.unpack('<II', machine.read_memory(0x500, 8))
        start = counts()
        deadline = time.monotonic() + 60
        while any(x < 10 for x in map(int.__sub__, counts(), start)):
            self.assertLess(time.monotonic(), deadline, (machine.name, start, counts()))
            time.sleep(0.02)

    def interrupts(self, *names):
        if not os.path.exists(IMAGE):
            self.skipTest(f'no {IMAGE}')
        self.go(names, '-bios', IMAGE, visit=self.counting)

    def own_firmware(self, qemu):
        """Without -bios anywhere: its length is the QEMU's own."""
        seen = []

        def visit(machine):
            if not seen:                # let it do something; not every one comes as far as this
                deadline = time.monotonic() + 3
                while machine.read_memory(0x410, 2) == b'\0\0' and time.monotonic() < deadline:
                    time.sleep(0.05)
                machine.command('stop')
                machine.command('cont')
            seen.append(machine.read_memory((4 << 30) - 16, 16))
        self.go([qemu, OURS, OURS, qemu], visit=visit)
        self.assertEqual(len(set(seen)), 1)


def add(kind, what, *names):
    def method(self):
        getattr(self, kind)(*(names if kind == 'interrupts' else names[:1]))
    method.cases = [interop.Case(source=a, destination=b, machine='microvm, all devices', cpu='1, default',
                                 accel='kvm', transport='exec', feature=what)
                    for a, b in sorted(set(zip(names, names[1:]))) if a != b]
    name = 'test_' + kind + '_' + '_'.join(n.replace(' ', '').replace('.', '').lower() for n in names)
    setattr(Firmware, name, method)


add('interrupts', 'interrupts through PICs and I/O APIC go on', OLD, OURS, OLD, OURS, OURS, OLD)
add('interrupts', 'interrupts through PICs and I/O APIC go on', NEW, OURS, NEW, OURS, OURS, NEW)
add('interrupts', 'interrupts through PICs and I/O APIC go on', OURS, OLD, OURS, NEW, OURS, OLD)
add('own_firmware', "QEMU's own firmware comes and goes", OLD, OURS, OLD)
add('own_firmware', "QEMU's own firmware comes and goes", NEW, OURS, NEW)

if __name__ == '__main__':
    tap.main()
