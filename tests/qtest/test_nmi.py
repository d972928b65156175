#!/usr/bin/env python3
# SPDX-License-Identifier: GPL-2.0-or-later
"""inject-nmi: a guest gets it as its APIC's pin LINT1 says, with every accelerator.

GODWIT_BINARY names the program (the real QEMU will do), GUEST_DIR where the guests are.
"""

import os
import sys
import tempfile
import unittest

HERE = os.path.dirname(os.path.abspath(__file__))
TOP = os.path.join(HERE, '..', '..')
sys.path.insert(0, os.path.join(TOP, 'scripts'))

from vmtools import tap                                                         # noqa: E402
from vmtools.machine import Machine, SerialSocket                               # noqa: E402
from vmtools.qmp import QMPError                                                # noqa: E402

BINARY = os.environ.get('GODWIT_BINARY', os.path.join(TOP, 'build', 'godwit-system-x86_64'))
GUEST = os.path.join(os.environ.get('GUEST_DIR', os.path.join(TOP, 'build', 'tests', 'guest')),
                     'nmi.bin')
TIMEOUT = 60


class Nmi(unittest.TestCase):
    def setUp(self):
        directory = tempfile.TemporaryDirectory(prefix='godwit-nmi-')
        self.addCleanup(directory.cleanup)
        self.directory = directory.name

    def machine(self, *arguments):
        machine = Machine(BINARY, arguments, 'nmi', self.directory)
        self.addCleanup(machine.end)
        return machine

    def guest(self, machine, accel):
        if accel == 'kvm' and not os.access('/dev/kvm', os.R_OK | os.W_OK):
            self.skipTest('KVM cannot be used')
        serial = SerialSocket(os.path.join(self.directory, 'serial'))
        self.addCleanup(serial.close)
        started = self.machine('-machine', machine, '-accel', accel, '-m', '16M', '-drive',
                               f'file={GUEST},format=raw', *serial.arguments())
        self.wait(serial, started, 'R')
        return started, serial

    def wait(self, serial, machine, text):
        self.assertTrue(serial.wait(lambda got: got == text, TIMEOUT, machine.alive),
                        f'{serial.text()!r}, not {text!r}')

    def check(self, machine_type, accel):
        machine, serial = self.guest(machine_type, accel)
        for count in (1, 2):
            self.assertEqual(machine.command('inject-nmi'), {})
            self.wait(serial, machine, 'R' + 'N' * count)
        serial.send(b'm')
        self.wait(serial, machine, 'RNNm')
        machine.command('inject-nmi')
        serial.send(b'o')
        self.wait(serial, machine, 'RNNmo')     # masked: it did not come, and does not wait
        machine.command('human-monitor-command', **{'command-line': 'nmi'})
        self.wait(serial, machine, 'RNNmoN')

    def test_pc_tcg(self):
        self.check('pc', 'tcg')

    def test_pc_kvm(self):
        self.check('pc', 'kvm')

    def test_q35_tcg(self):
        self.check('q35', 'tcg')

    def test_microvm_has_the_line(self):
        """It is there before a guest is."""
        machine = self.machine('-machine', 'microvm', '-accel', 'tcg', '-S')
        self.assertEqual(machine.command('inject-nmi'), {})

    def test_none_has_not(self):
        machine = self.machine('-machine', 'none')
        with self.assertRaises(QMPError) as caught:
            machine.command('inject-nmi')
        self.assertIn('machine does not provide NMIs', str(caught.exception))


if __name__ == '__main__':
    tap.main()
