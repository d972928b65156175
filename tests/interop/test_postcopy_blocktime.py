#!/usr/bin/python3
# SPDX-License-Identifier: GPL-2.0-or-later
"""postcopy-blocktime: pages are held back for a while that is known, and whoever waits for them has to
have waited at least that long.

Class Alone needs no other program; NewerQemu has a real QEMU as the source. Real asks the real one what
it can answer, to test the tests; it is run by hand: test_postcopy_blocktime.py Real.
"""

import os
import sys
import time

HERE = os.path.dirname(os.path.abspath(__file__))
TOP = os.path.join(HERE, '..', '..')
sys.path[:0] = [os.path.join(TOP, 'scripts'), os.path.join(TOP, 'tests', 'guest'), HERE]

from postcopying import (FORWARD, GODWIT, KVM, MIB, NEWER, PREEMPT, TIMEOUT,  # noqa: E402
                         Postcopy)
from vmtools import tap                                         # noqa: E402

BLOCKTIME = ('postcopy-blocktime',)
LIMITED = {'max-postcopy-bandwidth': 4 * MIB}
HELD = 0.3                              # seconds for which nothing arrives
MEMBERS = ('postcopy-latency', 'postcopy-latency-dist', 'postcopy-vcpu-latency',
           'postcopy-non-vcpu-latency')


class Waiting(Postcopy):

    def held(self, vcpus=1, then=lambda: None, **options):
        """In postcopy with all vCPUs waiting, for longer than HELD; then goes on to the end. Answers
        query-migrate of the destination."""
        self.begin(there_capabilities=BLOCKTIME, parameters=LIMITED, vcpus=vcpus,
                   there=['-name', 'debug-threads=on'], **options)
        self.precopy()
        self.switch()
        self.in_postcopy()
        self.assertNotIn('postcopy-blocktime', self.there.command('query-migrate'))
        self.gate.hold(FORWARD)
        self.all_wait(vcpus)
        then()
        time.sleep(HELD)
        self.gate.go_on()
        self.fast()
        there = self.finish()[1]
        self.figures_hold(there, vcpus)
        return there

    def waits(self, names):
        """How many threads whose names begin so wait for a page, as the kernel tells."""
        pid = self.there.process.pid
        number = 0
        for task in os.listdir(f'/proc/{pid}/task'):
            values = []
            try:
                for file in ('comm', 'wchan'):
                    with open(f'/proc/{pid}/task/{task}/{file}', encoding='ascii') as f:
                        values.append(f.read())
            except OSError:                 # it has ended meanwhile
                continue
            if values[1] == '0':
                self.zeros += 1
            number += values[0].startswith(names) and 'userfault' in values[1]
        return number

    def all_wait(self, vcpus):
        """What was on its way when the gate closed may set one free again: all have to be found
        waiting many times in a row."""
        deadline = time.monotonic() + TIMEOUT
        self.zeros = found = 0
        while found < 40:
            found = found + 1 if self.waits('CPU ') == vcpus else 0
            if self.zeros > 10000:
                self.skipTest('the kernel does not tell what threads wait for')
            self.assertLess(time.monotonic(), deadline, 'the vCPUs do not wait for pages')
            time.sleep(0.005)

    def figures_hold(self, there, vcpus):
        blocked = there['postcopy-vcpu-blocktime']
        self.assertEqual(len(blocked), vcpus)
        for ms in blocked:
            self.assertGreaterEqual(ms, int(HELD * 1000) - 1)
            self.assertGreaterEqual(ms + 1, there['postcopy-blocktime'])
        self.assertGreaterEqual(there['postcopy-blocktime'], int(HELD * 1000) - 1)
        if self.KINDS[1] != GODWIT:
            return
        dist = there['postcopy-latency-dist']
        self.assertEqual(len(dist), 24)
        # From 262 ms on: those that were held up.
        self.assertGreaterEqual(sum(dist[18:]), vcpus)
        self.assertEqual(len(there['postcopy-vcpu-latency']), vcpus)
        waits = sum(dist)
        self.assertGreaterEqual(waits, vcpus)
        # The mean of all lies among the means of each; together they are what was waited for.
        means = there['postcopy-vcpu-latency'] + [there['postcopy-non-vcpu-latency']]
        self.assertLessEqual(min(x for x in means if x), there['postcopy-latency'])
        self.assertGreaterEqual(max(means), there['postcopy-latency'])
        if not there['postcopy-non-vcpu-latency']:
            total = there['postcopy-latency'] * waits / 1e6
            self.assertLessEqual(abs(total - sum(blocked)), vcpus + waits / 1e6 + 1)

    def test_one(self):
        there = self.held()
        # One vCPU is all of them.
        self.assertEqual([there['postcopy-blocktime']], there['postcopy-vcpu-blocktime'])

    def test_two(self):
        self.held(vcpus=2)

    def test_preempt(self):
        self.held(vcpus=2, capabilities=PREEMPT)

    def test_tls(self):
        self.held(tls=True)

    def test_pause(self):
        """Who waits goes on waiting while there is no connection."""
        def pause():
            since = self.mark()
            self.there.qmp.command('migrate-pause', oob=True)
            self.gate.cut()
            self.paused(since)
            time.sleep(HELD)
            self.recover()
        there = self.held(then=pause)
        self.assertGreaterEqual(there['postcopy-blocktime'], int(2000 * HELD) - 1)

    def test_others(self):
        """The main thread waits too: it is no vCPU."""
        def block():
            self.there.qmp._send(b'{"execute": "pmemsave", "id": "p", "arguments": {"val": 0, '
                                 b'"size": %d, "filename": "%s"}}\n'
                                 % (self.memory * MIB, self.path('memory').encode()), (),
                                 time.monotonic() + TIMEOUT)
            deadline = time.monotonic() + TIMEOUT
            name = os.path.basename(self.there.argv[0])[:15]
            while not self.waits(name):
                self.assertLess(time.monotonic(), deadline, 'the main thread does not wait')
                time.sleep(0.005)
        there = self.held(then=block)
        if self.KINDS[1] == GODWIT:
            self.assertGreater(there['postcopy-non-vcpu-latency'], 0)

    def test_typed(self):
        there = self.held()
        text = self.there.qmp.hmp('info migrate')
        self.assertIn(f'postcopy blocktime: {there["postcopy-blocktime"]}', text)
        self.assertIn(f'postcopy vcpu blocktime: {there["postcopy-vcpu-blocktime"][0]}', text)
        if self.KINDS[1] == GODWIT:
            self.assertIn(f'postcopy latency: {there["postcopy-latency"]} ns', text)
            self.assertIn('  262144 us to 524288 us: ' if there['postcopy-latency-dist'][18]
                          else ' us to ', text)

    def test_off(self):
        self.begin()
        self.precopy()
        self.switch()
        there = self.finish()[1]
        for name in ('postcopy-blocktime', 'postcopy-vcpu-blocktime', *MEMBERS):
            self.assertNotIn(name, there)


class Alone(Waiting):
    pass


class NewerQemu(Waiting):
    KINDS = (NEWER, GODWIT)


class Real(Waiting):
    KINDS = (NEWER, NEWER)


del Waiting, Postcopy

if __name__ == '__main__':
    if not KVM:
        print('1..0 # SKIP a vCPU of TCG waits under the name of another: KVM is needed')
        sys.exit(0)
    tap.main()
