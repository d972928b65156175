#!/usr/bin/env python3
# SPDX-License-Identifier: GPL-2.0-or-later
"""The delays of tests/delays/run come, in the emulator (GODWIT_BINARY, with DELAYS_LIBRARY before it) and in a
test's own threads, and only there."""

import os
import re
import subprocess
import sys
import unittest

HERE = os.path.dirname(os.path.abspath(__file__))
sys.path.insert(0, os.path.join(HERE, '..', '..', 'scripts'))

from vmtools import tap                                                         # noqa: E402

BINARY = os.environ.get('GODWIT_BINARY', 'build/godwit-system-x86_64')
LIBRARY = os.environ.get('DELAYS_LIBRARY', 'build/tests/delays/libdelays.so')


class Delays(unittest.TestCase):
    def waits(self, **environment):
        r = subprocess.run([BINARY, '-machine', 'none', '-nodefaults', '-display', 'none', '-monitor', 'stdio'],
                           input='quit\n', capture_output=True, text=True, timeout=60,
                           env=dict(os.environ, LD_PRELOAD=LIBRARY, DELAYS_TELL='1', DELAYS_US='100',
                                    **environment))
        self.assertEqual(r.returncode, 0, r.stderr)
        told = re.search(r'^delays: (\d+)$', r.stderr, re.MULTILINE)
        return told and int(told[1])

    def test_in_the_emulator(self):
        self.assertGreater(self.waits(DELAYS='1000000'), 0)
        self.assertEqual(self.waits(DELAYS='0'), 0)

    def test_not_in_others(self):
        self.assertIsNone(self.waits(DELAYS='1000000', DELAYS_PROGRAM='another'))

    def test_in_python(self):
        for probability, expected in (('1', '_Socket'), ('0', 'socket')):
            r = subprocess.run([sys.executable, '-c', 'import socket; print(socket.socket.__name__)'], text=True,
                               capture_output=True, timeout=60,
                               env=dict(os.environ, PYTHONPATH=HERE, DELAYS_PYTHON=probability))
            self.assertEqual(r.stdout.strip(), expected, r.stderr)


if __name__ == '__main__':
    tap.main()
