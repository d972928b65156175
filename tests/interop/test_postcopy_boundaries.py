#!/usr/bin/python3
# SPDX-License-Identifier: GPL-2.0-or-later
"""The network breaks at each boundary of messages while a guest is being switched over to postcopy.

A first migration is recorded: its messages from the first DISCARD to a few pages behind the moment in which the
guest runs there are the boundaries, in both directions; within the package there are a few more. For each
a migration of its own is broken right there. What may come of it:

- the source says `failed`, and its guest runs on, whole; the destination never runs it;
- both are `postcopy-paused`; joined again they complete, and the guest is whole over there.

The joined serial output of both tells of two guests that run, of one that went back, and of none. Class
Again does the same to the handshake of a recovery, which then has to be made once more.

Each class takes POSTCOPY_BOUNDARIES boundaries, spread over all ("all": every one, over each
transport, with FIN and RST, and with a break that only one side notices).
"""

import collections
import os
import random
import sys
import time
from typing import NamedTuple

HERE = os.path.dirname(os.path.abspath(__file__))
TOP = os.path.join(HERE, '..', '..')
sys.path[:0] = [os.path.join(TOP, 'scripts'), os.path.join(TOP, 'tests', 'guest'), HERE]

import postcopying                                              # noqa: E402
from postcopying import (BACK, FORWARD, GODWIT, KVM, MIB, NEWER, OLDER, PREEMPT,  # noqa: E402
                         Postcopy)
from vmtools import interop, tap                                # noqa: E402
from vmtools.gate import Changed, Part                                 # noqa: E402
from vmtools.qmp import QMPClosed, QMPError                                # noqa: E402

HOW_MANY = os.environ.get('POSTCOPY_BOUNDARIES', '')
SHOW = 'SHOW_FIGURES' in os.environ
ALL = HOW_MANY == 'all'
BEHIND = 3              # pages, and requests for some, behind the last message of the switch
PASSING = ('page', 'zero', 'part', 'eos')  # of which there are many
LATE = 120              # messages: what was to be broken at did not come this time
TRIES = 5


# Transport, how it breaks, and who notices
MANY = (('unix', 'fin', 'both'), ('tcp', 'rst', 'both'), ('tcp', 'fin', 'both'),
        ('unix', 'fin', 'source'), ('unix', 'fin', 'destination'))


class Boundary(NamedTuple):
    """A message of the switch. Those of which there are many count from the last other one on: the
    second page behind RUN, say. Of the message itself `size` bytes pass, all but so many if negative."""
    direction: str
    behind: str         # the other one, '' for messages that are themselves such
    message: str        # its kind, or a single one's name, as 'ping 0x2'
    nth: int
    size: int = 0


class Counter:
    """Names the messages from the first one on that belongs to the switch, and breaks at one."""

    def __init__(self, era=0, begin=('discard', 'switchover-start'), target=None):
        self.era, self.begin, self.target = era, begin, target
        self.cut = self.change = None
        self.begun = False
        self.behind = {FORWARD: '', BACK: ''}
        self.counts = collections.Counter()
        self.seen = []                      # (Boundary, bytes of it)
        self.hit = None

    def __call__(self, entry):
        message, direction = entry.message, entry.direction
        if entry.era != self.era or self.hit is not None or message.kind == 'closed':
            return None
        if direction == FORWARD and message.kind in self.begin:
            self.begun = True
        if not self.begun or entry.role != 'main':
            return None
        boundary = self._name(direction, message)
        self.seen.append((boundary, len(message.data)))
        if self.target is None or self.target[:4] != boundary[:4]:
            return None
        self.hit = str(message)
        if self.change is not None:
            return Changed(self.change(message))
        size = self.target.size
        if size == 0:
            self.cut()
            return None
        return Part(size if size > 0 else len(message.data) + size, self.cut)

    def _name(self, direction, message):
        if message.kind in PASSING:
            behind, name = self.behind[direction], message.kind
        else:
            behind = ''
            name = str(message) if message.kind in ('ping', 'pong') else message.kind
        self.counts[direction, behind, name] += 1
        nth = self.counts[direction, behind, name]
        if message.kind not in PASSING:
            self.behind[direction] = name
        return Boundary(direction, behind, name, nth)

    def saw(self, name):
        return any(b.message == name for b, _ in self.seen)

    def late(self):
        return len(self.seen) > LATE

    def size_of(self, name):
        return next(size for b, size in self.seen if b.message == name)


class Boundaries(Postcopy):
    memory = 10
    capabilities = ('postcopy-ram',)
    variants = (('unix', 'fin', 'both'),)
    few = 12
    lost = 0            # guests that QEMU's own source lost

    def start(self, counter, where='unix'):
        self.begin(capabilities=self.capabilities, where=where, hook=counter,
                   parameters={'max-postcopy-bandwidth': MIB})

    def record(self):
        counter = Counter()
        self.start(counter)
        self.precopy(100)
        self.switch()
        self.in_postcopy()
        self.gate.wait(counter.late)
        self.gate.hook = None
        self.fast()
        self.finish()
        return self.boundaries(counter)

    def boundaries(self, counter):
        """All that matter, of those that a whole migration had."""
        found = [b for b, _ in counter.seen if b.nth <= BEHIND or not (
            b.message in PASSING or b.message == 'req-pages')]
        size = counter.size_of('packaged')
        package = Boundary(FORWARD, '', 'packaged', 1)
        found += [package._replace(size=n) for n in (5, 9, 9 + 5, size // 2, -16, -5, -1)]
        found.append(Boundary(BACK, '', 'pong 0x3', 1, 3))
        return found

    def chosen(self, found):
        """All, or some that are spread over them."""
        if ALL:
            return [(b, v) for b in found for v in self.variants]
        many = int(HOW_MANY or self.few)
        if len(found) <= many:
            return [(b, self.variants[0]) for b in found]
        return [(found[i * len(found) // many], self.variants[0]) for i in range(many)]

    def test_each(self):
        """The test of each class."""
        found = self.record()
        outcomes = {}
        for boundary, variant in self.chosen(found):
            with self.subTest(boundary=boundary, variant=variant):
                self.doCleanups()
                self.setUp()
                began = time.monotonic()
                outcome = 'wrong'
                try:
                    outcome, hit = self.broken(boundary, variant)
                finally:
                    outcomes[outcome] = outcomes.get(outcome, 0) + 1
                if SHOW:
                    print(f'# {boundary} {variant} {hit}: {outcome}, '
                          f'{time.monotonic() - began:.1f} s', flush=True)
        print(f'# {len(found)} boundaries; {outcomes}', flush=True)
        self.check_outcomes(outcomes)

    def check_outcomes(self, outcomes):
        # A test in which nothing is ever broken, or always at the same side of the line, shows nothing.
        self.assertGreater(outcomes.get('failed', 0), 0)
        self.assertGreater(outcomes.get('recovered', 0), 0)
        # Pages that go before RUN does need not be there each time.
        self.assertLess(outcomes.get('missed', 0), sum(outcomes.values()) / 4)

    def broken(self, boundary, variant):
        where, how, side = variant
        for _ in range(TRIES):
            counter = Counter(target=boundary)
            self.start(counter, where)
            counter.cut = lambda: self.gate.cut(how, side)
            self.precopy(100)
            self.switch()
            self.gate.wait(lambda: counter.hit or counter.late(), postcopying.TIMEOUT,
                           f'message {boundary}')
            if counter.hit:
                told = self.wait_end(self.source, side)
                return self.outcome(told, side, counter), counter.hit
            self.gate.hook = None
            self.fast()
            self.finish()
            self.doCleanups()
            self.setUp()
        return 'missed', None

    def wait_end(self, machine, side):
        if side not in ('both', 'source'):
            # It hears nothing any more and need not notice by itself.
            self.gate.hang_up()
        self.wait_status(machine, 'failed', 'postcopy-paused')
        return self.told[machine][-1]

    def there_status(self):
        """What became of the destination: 'postcopy-paused', 'completed', or None if it has ended."""
        deadline = time.monotonic() + postcopying.TIMEOUT
        told = []
        while time.monotonic() < deadline:
            if not self.there.alive():
                return None
            try:
                told = [s for s in self.statuses(self.there) if s not in ('STOP', 'RESUME')]
            except (QMPClosed, OSError):
                self.there.wait()
                return None
            if told[-1:] in (['postcopy-paused'], ['completed']):
                return told[-1]
            time.sleep(0.005)
        return self.fail(f'the destination is still {told}')

    def outcome(self, told, side, counter):
        """Checks what came of it, and answers what it was."""
        if side not in ('both', 'destination'):
            self.gate.hang_up()
        if told == 'failed':
            there = self.there_status()
            self.runs_on()
            if there is not None:
                self.assertFalse(self.there.command('query-status')['running'],
                                 'two guests run')
            self.assertEqual(self.there.serial.text(), '', 'the destination has run it too')
            self.in_time(counter)
            return 'failed'
        there = self.there_status()
        if there is None:
            return self.nobody_there(counter)
        if there == 'completed':
            return self.all_there()
        mark = self.mark()
        try:
            self.recover()
        except (QMPClosed, OSError):        # it was about to end
            self.there.wait()
            return self.nobody_there(counter)
        self.wait_both('postcopy-recover', since=mark)
        self.fast()
        self.finish()
        return 'recovered'

    def in_time(self, counter):
        """Going back is for those that had not said RUN."""
        self.assertFalse(counter.saw('run'))

    def nobody_there(self, counter):
        """The destination has given up, the source waits for it."""
        self.fail(f'the destination ended: {self.there.stderr()}')

    def all_there(self):
        """The destination has everything, only the source was not told any more."""
        self.fail(f'the destination has completed: {self.statuses(self.there)}')


class Alone(Boundaries):
    """Between two of this program."""
    variants = MANY
    few = 100


class AlonePreempt(Alone):
    capabilities = PREEMPT
    few = 100


class GodwitToNewerQemu(Boundaries):
    KINDS = (GODWIT, NEWER)

    def nobody_there(self, counter):
        """QEMU ends when it cannot load the whole package, and also when the connection breaks before
        it has read on behind it, even if it runs the guest by then. As long as it does not, who
        looks after it knows that nothing runs there, and takes the guest back."""
        if self.there.serial.text():
            # It had begun to run the guest. From PONG 3 on nobody is asked.
            return 'lost by QEMU'
        try:
            self.source.command('migrate_cancel')
        except QMPError:
            self.assertTrue(counter.saw('pong 0x3'))
            return 'lost by QEMU'
        self.wait_status(self.source, 'cancelled')
        self.runs_on()
        return 'taken back'

    def check_outcomes(self, outcomes):
        self.assertGreater(outcomes.get('taken back', 0), 0)
        self.assertGreater(outcomes.get('recovered', 0), 0)
        self.assertNotIn('wrong', outcomes)


class GodwitToOlderQemu(GodwitToNewerQemu):
    KINDS = (GODWIT, OLDER)


class NewerQemuToGodwit(Boundaries):
    KINDS = (NEWER, GODWIT)

    def wait_end(self, machine, side):
        """QEMU may stay in a state of which it then says itself that it does not know it."""
        if side == 'destination':
            self.gate.hang_up()
        deadline = time.monotonic() + postcopying.TIMEOUT
        while time.monotonic() < deadline:
            if self.statuses(machine)[-1] in ('failed', 'postcopy-paused'):
                return self.told[machine][-1]
            if 'Unknown ending state' in machine.stderr():
                return 'stuck'
            time.sleep(0.005)
        return self.fail(f'the source is still {self.told[machine]}')

    def outcome(self, told, side, counter):
        if told != 'postcopy-paused':       # it may have stopped its guest all the same
            self.assertIsNone(self.there_status(), 'the destination waits')
            return self.nobody_there(counter)
        return super().outcome(told, side, counter)

    def nobody_there(self, counter):
        """QEMU says that it is in postcopy as soon as the package is written, and mostly has no way
        back. Where it has, the guest must be whole."""
        self.assertEqual(self.there.serial.text(), '', 'the guest has run there')
        if SHOW:
            print(f'# {counter.hit}: destination: {self.there.stderr()}', flush=True)
        for command in ('migrate_cancel', 'cont'):
            if self.source.command('query-status')['running']:
                break
            try:
                self.source.command(command)
            except QMPError:
                pass
        if not self.source.command('query-status')['running']:
            return 'lost by QEMU'
        self.runs_on()
        return 'taken back'

    def check_outcomes(self, outcomes):
        self.assertGreater(outcomes.get('recovered', 0), 0)
        self.assertNotIn('wrong', outcomes)


class OlderQemuToGodwit(NewerQemuToGodwit):
    KINDS = (OLDER, GODWIT)


class RealNewer(NewerQemuToGodwit):
    KINDS = (NEWER, NEWER)


class Again(Boundaries):
    """The handshake of a recovery, between two of this program."""
    variants = MANY
    few = 100

    def record(self):
        counter = Counter(1, ('recv-bitmap',))
        self.paused_once(counter, 'unix')
        self.recover()
        mark = self.wait_both('postcopy-active', since=self.marks)
        del mark
        self.gate.wait(counter.late)
        self.gate.hook = None
        self.fast()
        self.finish()
        return self.boundaries(counter)

    def paused_once(self, counter, where):
        self.start(counter, where)
        self.precopy(100)
        self.hold_in_postcopy(20)
        self.switch()
        mark = self.in_postcopy()
        self.gate.wait_held()
        self.gate.cut()
        self.marks = self.paused(mark)

    def boundaries(self, counter):
        found = [b for b, _ in counter.seen if b.nth <= BEHIND or not (
            b.message in PASSING or b.message == 'req-pages')]
        found.append(Boundary(FORWARD, '', 'recv-bitmap', 1, 3))
        return found + [Boundary(BACK, '', 'recv-bitmap', 1, n) for n in (4, 20, 100, -4)]

    def broken(self, boundary, variant):
        where, how, side = variant
        counter = Counter(1, ('recv-bitmap',), boundary)
        self.paused_once(counter, where)
        counter.cut = lambda: self.gate.cut(how, side)
        self.recover()
        self.gate.wait(lambda: counter.hit or counter.late(), postcopying.TIMEOUT,
                       f'message {boundary}')
        if not counter.hit:
            self.gate.hook = None
            self.fast()
            self.finish()
            return 'missed', None
        if side != 'both':
            self.gate.hang_up()
        mark = self.paused(self.marks)
        self.recover()
        self.wait_both('postcopy-active', since=mark)
        self.fast()
        self.finish()
        return 'recovered', counter.hit

    def check_outcomes(self, outcomes):
        outcomes.pop('missed', None)
        self.assertEqual(list(outcomes), ['recovered'])


class Ending(Boundaries):
    """The last messages. Who has them all has the guest; who does not know waits, and runs nothing."""
    few = 8

    def record(self):
        counter = Counter(0, ('end',))
        self.start(counter)
        self.precopy(100)
        self.switch()
        self.fast()
        self.finish()
        return [b for b, _ in counter.seen if b.message in ('end', 'eos', 'eof', 'shut')]

    def broken(self, boundary, variant):
        where, how, side = variant
        counter = Counter(0, ('end',), boundary)
        self.start(counter, where)
        counter.cut = lambda: self.gate.cut(how, side)
        self.precopy(100)
        self.switch()
        mark = self.in_postcopy()
        self.fast()
        self.gate.wait(lambda: counter.hit, postcopying.TIMEOUT, f'message {boundary}')
        if side != 'both':
            self.gate.hang_up()
        self.wait_status(self.there, 'completed', 'postcopy-paused', since=mark[1])
        ended = self.told[self.there][-1] == 'completed'
        if ended:
            self.wait_source_ends(mark)
            self.assertFalse(self.source.command('query-status')['running'])
            if self.told[self.source][-1] == 'postcopy-paused':
                self.assertIn("if the destination's migration is 'completed'",
                              self.source.command('query-migrate')['error-desc'])
            self.verify()
            with self.assertRaises(QMPError):
                self.may_run_again()
            return 'completed there', counter.hit
        mark = self.paused(mark)
        self.recover()
        self.finish()
        return 'recovered', counter.hit

    def wait_source_ends(self, mark):
        self.wait_status(self.source, 'completed', 'postcopy-paused', since=mark[0])

    def may_run_again(self):
        """A guest that may run at the destination does not here."""
        self.source.command('cont')
        if self.told[self.source][-1] == 'completed':
            raise QMPError('cont', '', 'the operator says so')

    def check_outcomes(self, outcomes):
        self.assertGreater(outcomes.get('completed there', 0), 0)
        self.assertNotIn('wrong', outcomes)


class Changing(Boundaries):
    """A byte of a message is changed on the way, but for pages, devices and what is to be discarded, where
    nobody could know. It is noticed, or does no harm, or the connection is cut off soon
    after; neither side dies of it, and in the end the guest is whole."""
    few = 60
    rounds = 2
    QUIET = 0.2         # seconds in which it would be noticed

    def record(self):
        return [b for b in super().record() if b.size == 0 and b.message not in (
            'page', 'zero', 'packaged', 'discard')] * self.rounds

    def broken(self, boundary, variant):
        counter = Counter(target=boundary)
        counter.change = self.change
        self.start(counter)
        self.precopy(100)
        self.switch()
        self.gate.wait(lambda: counter.hit or counter.late(), postcopying.TIMEOUT,
                       f'message {boundary}')
        deadline = time.monotonic() + self.QUIET
        ends = {'failed', 'postcopy-paused', 'completed'}
        while time.monotonic() < deadline and not ends & set(self.statuses(self.source)):
            time.sleep(0.01)
        self.gate.cut()
        self.wait_status(self.source, *ends)
        told = self.told[self.source][-1]
        if told == 'completed':
            self.finish()
            return 'completed', counter.hit
        return self.outcome(told, 'both', counter), counter.hit

    def all_there(self):
        """The line is cut after a while, and the guest may have asked for all pages by then."""
        self.assertFalse(self.source.command('query-status')['running'])
        self.verify()
        return 'completed'

    def change(self, message):
        data = bytearray(message.data)
        data[self.random.randrange(len(data))] ^= 1 << self.random.randrange(8)
        return bytes(data)

    def test_each(self):
        seed = int(os.environ.get('POSTCOPY_SEED') or 1)
        print(f'# POSTCOPY_SEED={seed}')
        self.random = random.Random(seed)
        super().test_each()

    def check_outcomes(self, outcomes):
        self.assertNotIn('wrong', outcomes)
        self.assertGreater(outcomes.get('recovered', 0), 0)


class Cancelling(Boundaries):
    """migrate_cancel at each message of the switch: the guest runs on, or it is too late and is said so."""
    few = 100

    def record(self):
        return [b for b in super().record() if b.size == 0]

    def broken(self, boundary, variant):
        counter = Counter(target=boundary)
        self.start(counter)
        counter.cut = lambda: self.gate.hold(boundary.direction)
        self.precopy(100)
        self.switch()
        self.gate.wait(lambda: counter.hit or counter.late(), postcopying.TIMEOUT,
                       f'message {boundary}')
        told = self.statuses(self.source)[-1]
        try:
            self.source.command('migrate_cancel')
        except QMPError:
            self.gate.go_on()
            self.fast()
            self.finish()
            return f'refused in {told}', counter.hit
        self.gate.go_on()
        self.wait_status(self.source, 'cancelled', 'completed')
        if self.told[self.source][-1] == 'completed':       # before it was heard
            self.finish()
            return 'completed', counter.hit
        self.there_status()                 # it waits for RUN, where it has the devices
        self.runs_on()
        self.assertEqual(self.there.serial.text(), '', 'the destination has run it too')
        return 'cancelled', counter.hit

    def check_outcomes(self, outcomes):
        self.assertNotIn('wrong', outcomes)
        self.assertGreater(outcomes.get('cancelled', 0), 0)
        self.assertGreater(outcomes.get('refused in postcopy-active', 0), 0)


class AgainPreempt(Again):
    capabilities = PREEMPT


class EndingGodwitToNewerQemu(Ending):
    KINDS = (GODWIT, NEWER)


class EndingGodwitToOlderQemu(Ending):
    KINDS = (GODWIT, OLDER)


class AgainGodwitToNewerQemu(Again):
    KINDS = (GODWIT, NEWER)


class AgainNewerQemuToGodwit(Again):
    KINDS = (NEWER, GODWIT)


class AgainReal(Again):
    KINDS = (NEWER, NEWER)


def add_row(cls, feature, test):
    def test_each(self):
        test(self)
    test_each.cases = [interop.Case(*cls.KINDS, 'microvm', '1 vCPU', 'kvm' if KVM else 'tcg',
                                    'unix', f'postcopy, the network breaks: {feature}')]
    cls.test_each = test_each


for _cls in (GodwitToNewerQemu, NewerQemuToGodwit, GodwitToOlderQemu, OlderQemuToGodwit):
    add_row(_cls, 'at the messages of the switch', Boundaries.test_each)
for _cls in (AgainGodwitToNewerQemu, AgainNewerQemuToGodwit):
    add_row(_cls, 'again, at the messages of the recovery', Boundaries.test_each)
for _cls in (EndingGodwitToNewerQemu, EndingGodwitToOlderQemu):
    add_row(_cls, 'at the last messages', Boundaries.test_each)
RealNewer.test_each = Boundaries.test_each      # not a row
del _cls, Boundaries, Postcopy


if __name__ == '__main__':
    tap.main()
