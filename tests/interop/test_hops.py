#!/usr/bin/env python3
# SPDX-License-Identifier: GPL-2.0-or-later
"""A running guest hops from program to program, between real QEMUs and this one, and does not
notice. The guest is hop64.elf of tests/guest: it uses levels 0 and 3, all registers, timers,
interrupts and the serial port both ways, and checks all of it all the time.

What the serial ports of all processes said is one text in the end: each line tells how many
characters went before it, so that none can be lost or repeated. What is sent to the port is
known to the guest, which counts it.

GUEST_DIR says where the guests are built.
"""

import os
import re
import sys
import tempfile
import unittest

HERE = os.path.dirname(os.path.abspath(__file__))
TOP = os.path.join(HERE, '..', '..')
sys.path[:0] = [os.path.join(TOP, 'scripts'), HERE]

from vmtools import interop, migrate, programs, tap                             # noqa: E402
from vmtools.machine import Machine, SerialSocket                               # noqa: E402
from vmtools.programs import GODWIT, NEWER, OLDER                               # noqa: E402
from hopping import ALL, ALL_PIC, SHORT, SMALL, machine_arguments, why_not      # noqa: E402

HOPS = 10
LINE = re.compile(r'h n=(\d+) tx=(\d+) ms=(\d+) rx=(\d+) pit=(\d+) rtc=(\d+) s=(\d+) '
                  r'((?:v\d=[\d,]+ )+)tsc=(\d+)\n')


class Story:
    """What the guest said up to now, wherever it was."""

    def __init__(self, case, vcpus):
        self.case = case
        self.vcpus = vcpus
        self.before = ''                    # by processes that have ended
        self.sent = 0                       # bytes to its serial port
        self.lines = 0

    def text(self, machine):
        return self.before + machine.serial.text()

    def next_input(self, count):
        data = bytes(0x21 + (self.sent + i) % 93 for i in range(count))
        self.sent += count
        return data

    def wait_lines(self, machine, count, received=0):
        """Waits for so many lines more, the last of which has that much input counted."""
        def there(text):
            text = self.before + text
            if '\nE: ' in text and text.endswith('\n'):
                return True
            lines = LINE.findall(text)
            return len(lines) >= wanted and int(lines[-1][3]) >= received
        wanted = len(LINE.findall(self.text(machine))) + count
        self.case.assertTrue(
            machine.serial.wait(there, 60, machine.alive),
            f'{machine.name}: the guest said no more than {self.text(machine)[-300:]!r}; '
            f'{machine.stderr()}')
        self.check(machine)

    def check(self, machine):
        """All that was said is one story, and nothing in it goes back."""
        text = self.text(machine)
        if 'E: ' in text:
            self.case.fail(f'{machine.name}: {text[text.index("E: "):].splitlines()[0]}')
        at, last = 0, None
        for number, line in enumerate(LINE.finditer(text)):
            self.case.assertEqual(line.start(), at, f'{machine.name}: not a line of the guest\'s: '
                                  f'{text[at:line.start()]!r}')
            at = line.end()
            values = [int(x) for x in re.findall(r'[=,](\d+)', line[0])]
            self.case.assertEqual((values[0], values[1]), (number, line.start()),
                                  f'{machine.name}: characters were lost or came twice before '
                                  f'{line[0]!r}')
            if last is not None:
                self.case.assertTrue(all(new >= old for old, new in zip(last, values)),
                                     f'{machine.name}: {last} was followed by {values}')
            last = values
        self.lines = number + 1
        return last

    def moved(self, machine):
        machine.serial.settle()
        self.before += machine.serial.text()


class Hop(unittest.TestCase):
    accel = 'kvm'
    extra = ''

    def setUp(self):
        reason = why_not(self.accel)
        if reason:
            self.skipTest(reason)
        self.directory = tempfile.TemporaryDirectory(prefix='godwit-')
        self.addCleanup(self.directory.cleanup)
        self.figures = {}
        self.count = 0

    def process(self, program, chain, machine, vcpus, *more):
        """A process that could be any of the chain."""
        missing = programs.why_missing(program)
        if missing:
            self.skipTest(missing)
        self.count += 1
        name = f'{self.count}-{program.replace(" ", "-")}'
        serial = SerialSocket(os.path.join(self.directory.name, name + '.serial'))
        self.addCleanup(serial.close)
        options = machine_arguments(program, chain, machine, vcpus, self.accel, self.extra)
        m = Machine(programs.find(program), [*options, *more], name, self.directory.name,
                    serial=serial)
        self.addCleanup(m.end)
        return m

    def hop(self, story, here, program, chain, machine, vcpus, stopped):
        """One move; with `stopped`, of a guest that stands and has input in its port's FIFO."""
        there = self.process(program, chain, machine, vcpus, '-incoming',
                             f'unix:{self.directory.name}/{self.count}.migration')
        if stopped:
            here.command('stop')
        here.serial.send(story.next_input(9))
        info, _ = migrate.run(here, there, f'unix:{self.directory.name}/{self.count - 1}.migration')
        story.moved(here)
        if stopped:
            self.assertEqual(there.command('query-status')['status'], 'paused')
            there.command('cont')
        here.quit()
        story.wait_lines(there, 2, story.sent)
        self.figures.setdefault('downtime-ms', []).append(info['downtime'])
        return there

    def chain(self, chain, machine, vcpus, hops=HOPS):
        """From program to program, round and round, and back at the first in the end."""
        story = Story(self, vcpus)
        here = self.process(chain[0], chain, machine, vcpus)
        story.wait_lines(here, 2)
        for n in range(1, hops + 1):
            here = self.hop(story, here, chain[n % len(chain)], chain, machine, vcpus,
                            stopped=n % 3 == 0)
        last = story.check(here)
        here.quit()
        return last


def add_chains(name, accel, chains):
    """A test for each chain: (programs, machine, vCPUs)."""
    def make(chain, machine, vcpus):
        def test(self):
            last = self.chain(chain, machine, vcpus)
            if machine != SMALL:
                self.assertGreater(last[4], 0, 'no interrupt of the PIT')
                self.assertGreater(last[5], 0, 'no interrupt of the RTC')
        short = ''.join({OLDER: '_7_2', NEWER: '_10_0', GODWIT: '_godwit'}[p] for p in chain)
        test.__name__ = f'test{short}_{SHORT[machine]}_{vcpus}'
        test.cases = [interop.Case(source, destination, machine,
                                   f'{vcpus} vCPU{"s" * (vcpus > 1)}', accel, 'unix',
                                   'running guest, ten hops')
                      for source, destination in
                      dict.fromkeys(zip(chain, chain[1:] + chain[:1]))]
        return test
    tests = {'accel': accel}
    for one in chains:
        test = make(*one)
        tests[test.__name__] = test
    globals()[name] = type(name, (Hop,), tests)
    globals()[name].__module__ = __name__


add_chains('Kvm', 'kvm', [
    ((OLDER, GODWIT), SMALL, 1),
    ((NEWER, GODWIT), SMALL, 2),
    ((OLDER, GODWIT, NEWER, GODWIT), ALL, 1),
    ((NEWER, GODWIT, OLDER, GODWIT), ALL, 2),
    ((GODWIT, GODWIT), ALL_PIC, 2),
])
add_chains('Tcg', 'tcg', [
    ((GODWIT, GODWIT), SMALL, 1),
    ((GODWIT, GODWIT), ALL_PIC, 2),
])
del add_chains


if __name__ == '__main__':
    tap.main()
