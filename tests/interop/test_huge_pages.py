#!/usr/bin/python3
# SPDX-License-Identifier: GPL-2.0-or-later
"""Memory of huge pages of 1 GiB: all of the guest's is one page, which in postcopy is there only when the
last of its 262144 parts is.

They have to be set aside before (as root: echo 2 >/sys/kernel/mm/hugepages/hugepages-1048576kB/nr_hugepages):
one for precopy, where only the destination has one, two for postcopy, where both do. What is missing is
skipped. The class with Real in its name is QEMU on both sides, run by hand.
"""

import os
import sys

HERE = os.path.dirname(os.path.abspath(__file__))
TOP = os.path.join(HERE, '..', '..')
sys.path[:0] = [os.path.join(TOP, 'scripts'), os.path.join(TOP, 'tests', 'guest'), HERE]

from postcopying import BACK, GODWIT, NEWER, PREEMPT, Postcopy  # noqa: E402
from vmtools import tap                                         # noqa: E402

GIB = 1 << 30
FREE = '/sys/kernel/mm/hugepages/hugepages-1048576kB/free_hugepages'
HUGE = 'memory-backend-memfd,id=ram0,size={size},share=on,hugetlb=on,hugetlbsize=1G'
SMALL = 'memory-backend-ram,id=ram0,size={size}'


class HugePages(Postcopy):
    memory = 1024
    written = 12

    def need(self, number):
        """So many pages. Those of an earlier test may be on their way back."""
        free = 0
        if os.path.exists(FREE):
            with open(FREE, encoding='ascii') as f:
                free = int(f.read())
        if free < number:
            self.skipTest(f'{free} huge pages of 1 GiB are free, {number} are needed (nr_hugepages of '
                          'hugepages-1048576kB)')

    def precopies(self, **how):
        self.need(1)
        self.begin(ram=SMALL, ram_there=HUGE, **how)
        self.fast()
        self.precopy(0)
        self.gate.wait_pages(20)
        self.source.command('migrate-set-parameters', **{'downtime-limit': 30000})
        self.finish()
        self.assertEqual(self.passed('discard'), [])

    def test_precopy(self):
        self.precopies(capabilities=())

    def test_multifd(self):
        self.precopies(capabilities=('multifd',), parameters={'multifd-channels': 2})

    def moves(self, recover=False, **how):
        """`recover`: the network breaks when a part of the page is there."""
        self.need(2)
        self.begin(ram=HUGE, **how)
        self.precopy(300)
        if recover:
            self.hold_in_postcopy(50)
        self.switch()
        if recover:
            mark = self.in_postcopy()
            self.gate.wait_held()
            self.gate.cut()
            self.paused(mark)
            self.fast()
            self.recover()
        else:
            self.fast()
        self.finish()
        asked = {e.message.detail[2] for e in self.passed('req-pages', BACK)
                 if e.message.detail[0] != 'pc.bios'}
        self.assertLessEqual(asked, {GIB})

    def test_postcopy(self):
        self.moves()

    def test_postcopy_preempt(self):
        self.moves(capabilities=PREEMPT)

    def test_recovery(self):
        self.moves(True)

    def test_recovery_preempt(self):
        self.moves(True, capabilities=PREEMPT)


class Alone(HugePages):
    """Between two of this program."""


class NewerQemuToGodwit(HugePages):
    KINDS = (NEWER, GODWIT)


class GodwitToNewerQemu(HugePages):
    KINDS = (GODWIT, NEWER)


class RealNewer(HugePages):
    KINDS = (NEWER, NEWER)


del HugePages, Postcopy


if __name__ == '__main__':
    tap.main()
