#!/usr/bin/python3
# SPDX-License-Identifier: GPL-2.0-or-later
"""Signals to the destination of a postcopy whose main thread waits for a page: with the source gone there
is no other way to end it than by them. The source is test_postcopy_incoming.py's.
"""

import os
import signal
import tempfile
import time
import unittest

import test_postcopy_incoming as incoming
from test_postcopy_incoming import PAGE, TIMEOUT
from vmtools import tap


@unittest.skipIf(incoming.no_userfaultfd(), incoming.no_userfaultfd())
class Signals(incoming.Case):
    """The main thread waits for a page of a source that is gone, and the user wants the program to end."""

    def stuck(self):
        """Within a command of the monitor's, with the big lock."""
        source = self.precopy()
        self.switch(source, range(0, 64))
        self.touch(9 * PAGE, quiet=True)
        self.assertEqual(source.hear(), ('request', ('ram', 9 * PAGE, PAGE)))
        source.close()

    def ended(self, *signals):
        for number in signals:
            self.there.process.send_signal(number)
        self.assertEqual(self.there.wait(TIMEOUT), 1)
        self.assertRegex(self.there.stderr(), f'terminating on signal ({"|".join(map(str, signals))}) ')
        self.assertRegex(self.there.stderr(), 'the main thread does not answer: in postcopy 64 pages '
                                              "have not come, the first at 0x0 of block 'ram'")

    def test_one(self):
        self.stuck()
        self.ended(signal.SIGTERM)

    def test_two(self):
        self.stuck()
        self.ended(signal.SIGINT, signal.SIGHUP)

    def test_page_comes(self):
        """And so the program ends as it always does."""
        source = self.precopy()
        self.switch(source, range(0, 64))
        touch = self.touch(9 * PAGE, quiet=True)
        self.assertEqual(source.hear(), ('request', ('ram', 9 * PAGE, PAGE)))
        self.there.process.terminate()
        source.send(incoming.part(incoming.pages([9])))
        touch[0].join(TIMEOUT)
        self.assertEqual(self.there.wait(TIMEOUT), 0)
        self.assertNotIn('does not answer', self.there.stderr())

    def test_before_the_guest_runs(self):
        """Nothing brings the page but a LISTEN that never comes."""
        source = self.precopy()
        source.send(incoming.discard((0, 64 * PAGE)), incoming.ping(2))
        self.assertEqual(source.hear(), ('pong', 2))
        self.touch(9 * PAGE, quiet=True)
        self.wait_in_fault()
        self.ended(signal.SIGHUP)

    def wait_in_fault(self):
        """Nobody asks for the page yet; the kernel says what the main thread waits for, if it tells."""
        end = time.monotonic() + 5
        while time.monotonic() < end:
            with open(f'/proc/{self.there.process.pid}/wchan', encoding='ascii') as f:
                if 'userfault' in f.read():
                    return
            time.sleep(0.005)
        self.skipTest('this kernel does not say what a thread waits for')

    def test_files(self):
        """What it would remove, it does."""
        pidfile = os.path.join(tempfile.gettempdir(), f'godwit-{os.getpid()}.pid')
        self.addCleanup(lambda: os.path.exists(pidfile) and os.unlink(pidfile))
        self.ram = [*self.ram, '-pidfile', pidfile]
        self.stuck()
        self.assertTrue(os.path.exists(pidfile))
        self.ended(signal.SIGTERM, signal.SIGHUP)
        self.assertFalse(os.path.exists(pidfile))


if __name__ == '__main__':
    tap.main()
