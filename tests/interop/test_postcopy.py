#!/usr/bin/python3
# SPDX-License-Identifier: GPL-2.0-or-later
"""Postcopy: a guest that never stops writing is moved first and its memory afterwards, in every way
in which that can be asked for, between this program and real QEMUs.

Class Alone needs no other program. The classes RealOlder and RealNewer ask the same of the real ones,
to test the tests; they are run by hand: test_postcopy.py Real.
"""

import contextlib
import os
import struct
import sys
import tempfile
import threading
import time

HERE = os.path.dirname(os.path.abspath(__file__))
TOP = os.path.join(HERE, '..', '..')
sys.path[:0] = [os.path.join(TOP, 'scripts'), os.path.join(TOP, 'tests', 'guest'), HERE]

import check                                                    # noqa: E402
import postcopying                                              # noqa: E402
from postcopying import (BACK, FORWARD, GODWIT, KVM, MIB, NEWER, OLDER,  # noqa: E402
                         PREEMPT, Point, Postcopy)
from vmtools import interop, migrate, tap                       # noqa: E402
from vmtools.gate import Changed, Gate                                   # noqa: E402
from vmtools.machine import Machine, SerialTap                  # noqa: E402
from vmtools.qmp import QMP, QMPClosed, QMPError                           # noqa: E402

MEMFD = 'memory-backend-memfd,id=ram0,size={size},share=on'
SHM = 'memory-backend-file,id=ram0,size={size},share=on,mem-path=/dev/shm'
PRIVATE = 'memory-backend-ram,id=ram0,size={size}'
HUGE = 'memory-backend-memfd,id=ram0,size={size},share=on,hugetlb=on,hugetlbsize=2M'
PAGES_IN_POSTCOPY = 300                 # of a few thousand
LIMITED = {'max-postcopy-bandwidth': 4 * MIB}


class Moving(Postcopy):
    """What every pair of programs is asked."""

    def figures_hold(self, source, asked=False):
        """What the source says against what went over the wires. `asked`: a page for certain while it
        was missing."""
        ram = source['ram']
        requests = len(self.passed('req-pages', BACK))
        # What is asked for when all has been sent already, it need not count.
        self.assertLessEqual(ram['postcopy-requests'], requests)
        # QEMU 7.2 does not count them before its switch is done.
        if self.KINDS[0] != OLDER and asked:
            self.assertGreater(ram['postcopy-requests'], 0)
        self.assertEqual(ram['remaining'], 0)
        self.assertGreater(ram['postcopy-bytes'], 0)
        sent = sum(len(e.message.data) for e in list(self.gate.log) if e.direction == FORWARD
                   and e.role in ('main', 'pages'))
        self.assertLess(abs(ram['transferred'] - sent), 0.25 * sent)
        if self.KINDS[0] == GODWIT:
            self.assertEqual(ram['normal'], len(self.passed('page')))
            self.assertEqual(ram['transferred'], sent)
        self.figures.update(requests=requests, downtime=source.get('downtime'))

    def order_holds(self):
        """The order in which the switch is made."""
        kinds = [e.message for e in list(self.gate.log)
                 if e.direction == FORWARD and e.role == 'main']
        names = [m.kind for m in kinds]
        at = names.index('discard')
        self.assertNotIn('full', names)
        after = [n for n in names[at:] if n not in ('page', 'zero', 'part', 'eos', 'discard')]
        pings = [m.detail for m in kinds[at:] if m.kind == 'ping']
        self.assertEqual(pings[:2], [2, 4])
        package = next(m for m in kinds if m.kind == 'packaged')
        self.assertEqual(package.detail[0], 'listen')
        self.assertIn('ping', package.detail)
        # RUN is in the package or behind it, and there is one.
        self.assertEqual(package.detail.count('run') + names.count('run'), 1)
        self.assertEqual([n for n in after if n not in ('ping', 'run')],
                         ['packaged', 'end', 'eof', 'closed'])

    def states_hold(self):
        """What both told, in order."""
        told = self.statuses(self.source)
        if self.KINDS[0] == OLDER:
            self.assertEqual(told, ['setup', 'active', 'postcopy-active', 'STOP', 'completed'])
        else:
            self.assertEqual(told, ['setup', 'active', 'STOP', 'device', 'postcopy-active',
                                    'completed'])
        there = self.statuses(self.there)
        there = [s for s in there if s != 'STOP']
        self.assertEqual([s for s in there if s != 'RESUME'],
                         ['setup', 'active', 'postcopy-active', 'completed'])
        self.assertEqual(there.count('RESUME'), 1)
        self.assertGreater(there.index('RESUME'), there.index('postcopy-active'))

    def plain(self, **how):
        self.begin(**how)
        self.precopy(20 if how.get('tls') else 300)     # encrypted, it is larger pieces
        self.switch()
        source, there = self.finish()
        return source, there

    def test_plain(self):
        source, _ = self.plain()
        self.figures_hold(source)
        self.order_holds()
        self.states_hold()

    def test_tcp(self):
        source, _ = self.plain(where='tcp')
        self.figures_hold(source)

    def test_preempt(self):
        self.begin(capabilities=PREEMPT, parameters=LIMITED)
        self.precopy()
        self.switch()
        if self.KINDS == (GODWIT, GODWIT):
            # Whatever is asked for while it is missing comes over the second channel.
            self.gate.wait(lambda: self.passed('page', role='pages'), what='an urgent page')
        else:
            self.gate.wait(lambda: self.passed('req-pages', BACK), what='a request')
        self.fast()
        source, _ = self.finish()
        self.figures_hold(source, True)
        self.assertEqual(len(self.gate.wires), 2)

    def test_preempt_tcp(self):
        self.plain(capabilities=PREEMPT, where='tcp')

    def test_two_vcpus(self):
        self.plain(vcpus=2)

    def test_two_vcpus_preempt(self):
        self.plain(vcpus=2, capabilities=PREEMPT)

    def test_shared_memfd(self):
        self.plain(ram=MEMFD)

    def test_shared_file(self):
        self.plain(ram=SHM)

    def test_memory_backend_ram(self):
        self.plain(ram=PRIVATE)

    def test_huge_pages(self):
        if postcopying.huge_pages_free() < self.memory:
            self.skipTest('no huge pages are set aside (vm.nr_hugepages)')
        self.plain(ram=HUGE)
        lengths = {e.message.detail[2] for e in self.passed('req-pages', BACK)
                   if e.message.detail[0] != 'pc.bios'}
        self.assertLessEqual(lengths, {2 * MIB})

    def test_huge_pages_preempt(self):
        if postcopying.huge_pages_free() < self.memory:
            self.skipTest('no huge pages are set aside (vm.nr_hugepages)')
        self.plain(ram=HUGE, capabilities=PREEMPT)

    def test_release_ram(self):
        self.plain(source_capabilities=('release-ram',))

    def test_blocktime(self):
        _, there = self.plain(there_capabilities=('postcopy-blocktime',), vcpus=2)
        self.assertIn('postcopy-blocktime', there)
        self.assertEqual(len(there['postcopy-vcpu-blocktime']), 2)

    def test_bandwidth(self):
        """max-postcopy-bandwidth limits the background, not what is asked for."""
        self.begin(parameters=LIMITED)
        self.precopy()
        self.switch()
        self.in_postcopy()
        self.gate.wait_pages(self.gate.pages() + 50)
        self.assertEqual(self.source.command('query-migrate')['status'], 'postcopy-active')
        self.fast()
        self.finish()

    def test_at_once(self):
        """Asked for before anything was sent."""
        self.begin()
        self.gate.hold(FORWARD)
        self.precopy(0)
        self.wait_status(self.source, 'active', 'setup')
        self.switch()
        self.gate.go_on()
        self.finish()

    def test_while_limited(self):
        self.begin(parameters={'max-bandwidth': MIB})
        self.precopy(50)
        self.switch()
        self.finish()

    def test_after_passes(self):
        self.begin()
        self.precopy(0)
        self.gate.wait_pages(7000)
        self.switch()
        self.finish()

    def recovers(self, where='unix', cut='fin', times=1, pause=None, multifd=False, **how):
        """Broken in the midst of postcopy, and joined again."""
        if OLDER in self.KINDS and how.get('capabilities') == PREEMPT \
                and 'POSTCOPY_CRASHES' not in os.environ:
            self.skipTest('QEMU 7.2 now and then crashes when it recovers with postcopy-preempt '
                          '(POSTCOPY_CRASHES=1 tries it)')
        self.begin(where=where, parameters={**LIMITED, **({'multifd-channels': 2} if multifd
                                                           else {})}, **how)
        self.precopy(20 if multifd or how.get('tls') else 300)
        seen = not how.get('tls')       # what it is that passes
        if seen:
            self.hold_in_postcopy(30)
        self.switch()
        mark = self.in_postcopy()
        for i in range(times):
            if seen:
                self.gate.wait_held()
            else:
                self.gate.wait_pages(self.gate.pages(i) + 30, era=i)
            if pause is None:
                self.gate.cut(cut)
            else:
                getattr(self, pause).command('migrate-pause', oob=True)
                self.gate.next_era()
            mark = self.paused(mark)
            status = self.source.command('query-status')
            self.assertFalse(status['running'])
            if i == times - 1:
                self.fast()
            elif seen:
                self.gate.hold_behind(Point(FORWARD, 'resume', era=i + 1), 30)
            self.recover()
            self.wait_both('postcopy-recover', since=mark)
            if i < times - 1:
                mark = self.wait_both('postcopy-active', since=mark)
        self.finish()
        told = self.statuses(self.source)
        if self.KINDS[0] != OLDER:
            self.assertEqual(told.count('postcopy-recover-setup'), times)
        self.assertEqual(told.count('postcopy-recover'), times)
        self.assertEqual(self.statuses(self.there).count('RESUME'), 1)

    def test_recovery(self):
        self.recovers()
        kinds = [e.message.kind for e in self.gate.log if e.era == 1 and e.direction == FORWARD
                 and e.message.kind not in ('page', 'zero', 'part', 'eos', 'connected')]
        # Where RUN is said apart it is said again, since it may have been lost; and which one it is.
        apart = self.KINDS == (GODWIT, GODWIT)
        which, again = (['ping', 'ping'], ['run']) if apart else ([], [])
        self.assertEqual(kinds, [*which, 'recv-bitmap', 'recv-bitmap', 'resume', *again, 'end', 'eof',
                                 'closed'])

    def test_recovery_tcp(self):
        self.recovers('tcp', 'rst')

    def test_recovery_preempt(self):
        self.recovers(capabilities=PREEMPT)

    def test_recovery_preempt_tcp(self):
        self.recovers('tcp', 'rst', capabilities=PREEMPT)

    def test_recovery_thrice(self):
        self.recovers(times=3, vcpus=2)

    def test_recovery_thrice_preempt(self):
        self.recovers(times=3, capabilities=PREEMPT)

    def test_recovery_memfd(self):
        self.recovers(ram=MEMFD)

    def test_recovery_release_ram(self):
        if self.KINDS[0] != GODWIT:
            self.skipTest('QEMU cannot: it has given back what may be needed again')
        self.recovers(source_capabilities=('release-ram',))

    def test_pause_at_the_source(self):
        self.recovers(pause='source')

    def test_pause_at_the_destination(self):
        if self.KINDS[1] == OLDER:
            self.skipTest('QEMU 7.2 cannot')
        self.recovers(pause='there')

    def test_tls(self):
        self.plain(tls=True)

    def test_tls_preempt(self):
        self.plain(tls=True, capabilities=PREEMPT)

    def test_tls_recovery(self):
        self.recovers(tls=True)

    def test_tls_recovery_preempt(self):
        self.recovers(tls=True, capabilities=PREEMPT)

    def test_pause_before_switchover(self):
        self.begin(source_capabilities=('pause-before-switchover',))
        self.precopy()
        self.switch()
        self.wait_status(self.source, 'pre-switchover')
        self.source.command('migrate-continue', state='pre-switchover')
        self.finish()
        self.assertEqual(len(self.passed('packaged')), 1)

    def test_switchover_ack(self):
        """The switch waits for the destination's leave as precopy's end does."""
        if OLDER in self.KINDS:
            self.skipTest('QEMU 7.2 has no switchover-ack')
        self.begin(capabilities=('postcopy-ram', 'return-path', 'switchover-ack'))
        leave = threading.Event()
        self.addCleanup(leave.set)
        self.gate.at(Point(BACK, 'switchover-ack'), lambda: leave.wait(postcopying.TIMEOUT), True)
        self.precopy()
        self.switch()
        self.gate.wait_pages(self.gate.pages() + 1000)
        self.assertEqual(self.passed('discard'), [])
        self.assertEqual(self.source.command('query-migrate')['status'], 'active')
        leave.set()
        self.finish()


class Alone(Moving):
    """Between two of this program."""

    def test_xbzrle(self):
        """No page is sent as a difference once the destination may not have it any more."""
        self.begin(source_capabilities=('xbzrle',))
        self.precopy(7000)
        self.switch()
        self.finish()
        names = [e.message.kind for e in list(self.gate.log) if e.direction == FORWARD]
        self.assertNotIn('xbzrle', names[names.index('packaged'):])

    def test_compress(self):
        self.begin(capabilities=('postcopy-ram', 'compress'))
        self.precopy(0)
        self.gate.wait(lambda: len(self.passed('compressed')) > 300)
        self.switch()
        self.finish()
        names = [e.message.kind for e in list(self.gate.log) if e.direction == FORWARD]
        self.assertNotIn('compressed', names[names.index('packaged'):])

    def test_auto_converge(self):
        self.plain(source_capabilities=('auto-converge',))

    def test_multifd(self):
        """The first pass goes through its channels, what comes after the switch does not."""
        self.begin(capabilities=('postcopy-ram', 'multifd'), parameters={'multifd-channels': 2})
        self.precopy(0)
        self.gate.wait(lambda: self.gate.pages() > 20)
        self.switch()
        self.finish()
        self.assertGreater(len(self.passed('page', role='main')), 0)

    def test_multifd_recovery(self):
        self.recovers(capabilities=('postcopy-ram', 'multifd'), multifd=True)

    def test_no_postcopy_after_all(self):
        """The capability alone changes nothing."""
        self.begin(parameters={'downtime-limit': 2000})
        self.fast()
        self.precopy(0)
        self.finish()
        self.assertEqual(self.passed('discard'), [])
        self.assertNotIn('postcopy-active', self.statuses(self.there))

    def test_shared_by_both(self):
        """Memory of one kind at the source and of another at the destination."""
        self.plain(ram=SHM, ram_there=MEMFD)

    def test_out_of_band(self):
        """The destination's main thread waits for a page, and the network is gone."""
        path = self.path('second')
        self.begin(parameters=LIMITED, there=(
            '-chardev', f'socket,id=second,path={path},server=on,wait=off',
            '-mon', 'chardev=second,mode=control'))
        self.precopy()
        self.hold_in_postcopy(50)
        self.switch()
        mark = self.in_postcopy()
        self.gate.hold(FORWARD)
        reads = []

        def save():
            with contextlib.closing(QMP.connect(path, postcopying.TIMEOUT)) as second:
                second.command('pmemsave', val=2 * MIB, size=(self.memory - 6) * MIB,
                               filename=self.path('saved'))
                reads.append(True)
        thread = threading.Thread(target=save)
        thread.start()
        self.addCleanup(thread.join)
        # It has begun to: something was asked for on its behalf, and nothing comes.
        self.gate.wait(lambda: os.path.exists(self.path('saved')))
        self.there.command('migrate-pause', oob=True)
        self.wait_status(self.there, 'postcopy-paused', since=mark[1])
        self.gate.cut()
        self.wait_status(self.source, 'postcopy-paused', since=mark[0])
        self.assertEqual(reads, [])
        self.recover()
        self.fast()
        thread.join()
        self.assertEqual(reads, [True])
        self.finish()

    def paused_once(self, **how):
        self.begin(parameters=LIMITED, **how)
        self.precopy()
        self.hold_in_postcopy(50)
        self.switch()
        mark = self.in_postcopy()
        self.gate.wait_held()
        self.gate.cut()
        return self.paused(mark)

    def test_yank_out_of_band(self):
        self.begin(parameters=LIMITED)
        self.precopy()
        self.hold_in_postcopy(50)
        self.switch()
        mark = self.in_postcopy()
        for machine in (self.source, self.there):
            machine.command('yank', instances=[{'type': 'migration'}], oob=True)
            self.gate.next_era()
            mark = self.paused(mark)
            self.recover()
            self.wait_both('postcopy-active', since=mark)
            mark = self.mark()
        self.fast()
        self.finish()

    def test_calc_dirty_rate(self):
        """What reads memory to measure waits for a page that is missing, and nobody waits for it."""
        self.begin(parameters=LIMITED)
        self.precopy()
        self.hold_in_postcopy(50)
        self.switch()
        self.in_postcopy()
        self.gate.wait_held()

        def missing():
            asked = set()
            for e in list(self.gate.log):
                if e.message.kind == 'req-pages':
                    asked.add(e.message.detail[:2])
                elif e.message.kind == 'page':
                    asked.discard(e.message.detail[:2])
            return asked
        # The guest waits for one page. A second one is a sample's.
        self.gate.wait(missing)
        self.there.command('calc-dirty-rate', **{'calc-time': 1, 'sample-pages': 16384})
        self.gate.wait(lambda: len(missing()) > 1)
        self.assertEqual(self.there.command('query-dirty-rate')['status'], 'measuring')
        self.gate.go_on()
        self.fast()
        self.finish()
        deadline = postcopying.time.monotonic() + postcopying.TIMEOUT
        while self.there.command('query-dirty-rate')['status'] != 'measured':
            self.assertLess(postcopying.time.monotonic(), deadline)
            postcopying.time.sleep(0.02)

    def test_nobody_to_recover(self):
        """Joining again fails in every way that it can, and works in the end."""
        mark = self.paused_once()
        nowhere = 'unix:' + self.path('nowhere')
        self.gate.target = None             # it hangs up at once
        for uri in (nowhere, self.gate.uri, nowhere, self.gate.uri):
            self.source.command('migrate', uri=uri, resume=True)
            mark = self.wait_status(self.source, 'postcopy-paused', since=mark[0]), mark[1]
            self.assertIn('error-desc', self.source.command('query-migrate'))
        self.assertFalse(self.source.command('query-status')['running'])
        for uri in ('unix:' + self.path('missing/there'), 'bogus:1'):
            with self.assertRaises(QMPError):
                self.there.command('migrate-recover', uri=uri, oob=True)
        # The second listener replaces the first.
        self.there.command('migrate-recover', uri='unix:' + self.path('first'), oob=True)
        self.recover()
        self.fast()
        self.finish()

    def test_several_blocks(self):
        """A pc, whose firmware and option ROMs are blocks of their own, with a boot sector for a guest."""
        self.where = 'unix'
        image = os.path.join(postcopying.GUESTS, 'bootsect.bin')
        ends = []
        for name in ('source', 'there'):
            serial = SerialTap(self.path(name + '.serial'))
            self.addCleanup(serial.close)
            machine = Machine(postcopying.BINARIES[GODWIT], [
                '-machine', 'pc', '-accel', self.accel, '-m', '128M', '-drive',
                f'file={image},format=raw,snapshot=on',
                *(['-incoming', 'defer'] if name == 'there' else [])],
                name, self.directory.name, postcopying.TIMEOUT, serial=serial, oob=True)
            self.addCleanup(machine.end)
            self.told[machine] = []
            migrate.set_up(machine, ('events', 'postcopy-ram'))
            ends.append(machine)
        self.source, self.there = ends
        self.assertTrue(self.source.serial.wait(lambda t: t.startswith('AB'), postcopying.TIMEOUT))
        migrate.set_up(self.source, (), {'max-bandwidth': 20 * MIB, 'downtime-limit': 1, **LIMITED})
        uri = self.listen(lambda uri: self.there.command('migrate-incoming', uri=uri))
        self.gate = Gate(uri, 'unix:' + self.path('gate'))
        self.addCleanup(self.gate.close)
        self.precopy()
        self.hold_in_postcopy(50)
        self.switch()
        mark = self.in_postcopy()
        blocks = {e.message.detail[0] for e in self.passed('discard')}
        self.assertGreaterEqual(len(blocks), 3, blocks)
        self.gate.cut()
        self.paused(mark)
        self.recover()
        self.fast()
        self.finish(verify=False)
        self.assertEqual(len(self.passed('recv-bitmap', BACK)), len(blocks))
        self.assertTrue(self.there.serial.wait(lambda t: 'BB' in t, postcopying.TIMEOUT))
        self.there.command('stop')
        check.check_boot_sector(self.there.read_memory)
        self.assertEqual(set(self.source.serial.text()[1:] + self.there.serial.text()), {'B'})

    def test_cancel_and_cont_are_refused(self):
        self.paused_once()
        for command in ('migrate_cancel', 'cont'):
            with self.assertRaises(QMPError):
                self.source.command(command)
        with self.assertRaises(QMPError):
            self.source.command('migrate', uri='unix:' + self.path('elsewhere'))
        self.recover()
        self.fast()
        self.finish()

    def test_refused_while_it_runs(self):
        """What makes no sense in a state is refused and does no harm."""
        self.begin(parameters=LIMITED)
        never = [('migrate-recover', {'uri': 'unix:' + self.path('no')}), ('migrate-pause', {})]

        def refused(machine, name, arguments):
            with self.assertRaises(QMPError, msg=(machine.name, name)):
                machine.command(name, oob=name in ('migrate-recover', 'migrate-pause'),
                                **arguments)
        for name, arguments in [*never, ('migrate-start-postcopy', {}),
                                ('migrate', {'uri': self.gate.uri, 'resume': True})]:
            refused(self.source, name, arguments)
        self.precopy(100)
        for machine in (self.source, self.there):
            for name, arguments in never:
                refused(machine, name, arguments)
        refused(self.there, 'migrate-start-postcopy', {})
        refused(self.source, 'migrate', {'uri': self.gate.uri, 'resume': True})
        self.hold_in_postcopy(50)
        self.switch()
        self.switch()                       # once more is no more than once
        self.in_postcopy()
        self.switch()
        for machine in (self.source, self.there):
            refused(machine, *never[0])
            refused(machine, 'migrate-set-capabilities',
                    {'capabilities': [{'capability': 'postcopy-ram', 'state': False}]})
        for name, arguments in (('cont', {}), ('migrate_cancel', {}),
                                ('migrate', {'uri': self.gate.uri}),
                                ('migrate', {'uri': self.gate.uri, 'resume': True})):
            refused(self.source, name, arguments)
        refused(self.there, 'migrate', {'uri': 'unix:' + self.path('no')})
        self.gate.go_on()
        self.fast()
        self.finish()
        for machine in (self.source, self.there):
            for name, arguments in never:
                refused(machine, name, arguments)

    def test_destination_dies(self):
        """Then the guest is gone; but the source does not run an old one of its own accord."""
        self.begin(parameters=LIMITED)
        self.precopy()
        self.hold_in_postcopy(50)
        self.switch()
        mark = self.in_postcopy()
        self.source.serial.settle()
        before = self.letters(self.source)
        self.there.kill()
        self.gate.go_on()
        self.wait_status(self.source, 'postcopy-paused', since=mark[0])
        with self.assertRaises(QMPError):
            self.source.command('cont')
        self.assertFalse(self.source.command('query-status')['running'])
        self.assertEqual(self.letters(self.source), before)
        self.assertEqual(self.source.quit(), 0)

    def test_reset_of_a_guest_that_is_gone(self):
        """Asked for at the source, it waits; and then there is nothing here that it could be for."""
        self.begin(parameters=LIMITED)
        self.precopy()
        self.hold_in_postcopy(50)
        self.switch()
        self.in_postcopy()
        self.source.command('system_reset')
        self.gate.go_on()
        self.fast()
        self.finish()
        self.source.command('query-status')     # the main loop has come round
        self.assertEqual(self.source.command('query-status')['status'], 'postmigrate')

    def test_somebody_elses_destination(self):
        """A source that is told to resume where another guest is waited for. Both keep theirs."""
        pairs = []
        for _ in range(2):
            self.paused_once()
            pairs.append((self.source, self.there, self.gate, self.directory))
            self.directory = tempfile.TemporaryDirectory(prefix='godwit-')
            self.addCleanup(self.directory.cleanup)
        self.source, self.there = pairs[0][0], pairs[1][1]
        mark = self.mark()
        self.recover()
        self.paused(mark)
        told = [m.command('query-migrate')['error-desc'] for m in (self.source, self.there)]
        self.assertIn('not the one to which this guest went', told[0])
        self.assertIn('another migration than this one', told[1])
        for pair in pairs:
            self.source, self.there, self.gate, self.directory = pair
            self.fast()
            self.recover()
            self.finish()

    def test_terminated_when_refused(self):
        """The destination refuses the devices when the source's main loop is about to end."""
        refuse = threading.Event()
        self.addCleanup(refuse.set)

        def hook(entry):
            message = entry.message
            if entry.direction == BACK and message.kind == 'pong':
                if message.detail == 0x476f6478:        # as one that does not know RUN apart
                    return Changed(struct.pack('>HHI', 2, 4, 0x476f6477))
                if message.detail == 2:
                    refuse.wait(postcopying.TIMEOUT)
                    return Changed(struct.pack('>HHI', 1, 4, 1))
            return None
        self.begin(parameters=LIMITED, hook=hook)
        self.precopy()
        self.switch()
        self.wait_status(self.source, 'postcopy-active')
        fifo = self.path('fifo')
        os.mkfifo(fifo)

        def save():
            with contextlib.suppress(QMPError, QMPClosed):
                self.source.command('pmemsave', val=0, size=MIB, filename=fifo)
        thread = threading.Thread(target=save)
        thread.start()
        with open(fifo, 'rb') as pipe:
            pipe.read(1)                # its main thread is in the midst of it
            self.source.process.terminate()
            refuse.set()
            time.sleep(0.2)             # for the migration thread, to come to the end before the main one
            pipe.read()
        thread.join()
        self.assertEqual(self.source.wait(), 0, self.source.stderr())

    def test_source_dies(self):
        """The destination keeps what it has, and can be ended."""
        self.begin(parameters=LIMITED)
        self.precopy()
        self.hold_in_postcopy(50)
        self.switch()
        mark = self.in_postcopy()
        self.source.kill()
        self.gate.go_on()
        self.wait_status(self.there, 'postcopy-paused', since=mark[1])
        self.there.process.terminate()
        self.assertEqual(self.there.wait(), 0)

    def test_both_ended_in_the_midst(self):
        for end in ('source', 'there'):
            with self.subTest(end):
                self.doCleanups()
                self.setUp()
                self.begin(parameters=LIMITED)
                self.precopy()
                self.hold_in_postcopy(50)
                self.switch()
                self.in_postcopy()
                machine = getattr(self, end)
                machine.process.terminate()
                self.assertEqual(machine.wait(), 0)


class AloneTcg(Postcopy):
    """Without KVM the program itself misses the pages."""
    accel = 'tcg'
    memory = 12
    KINDS = (GODWIT, GODWIT)

    def move(self, recover=False, **how):
        self.begin(parameters=LIMITED, **how)
        self.precopy()
        if recover:
            self.hold_in_postcopy(50)
        self.switch()
        mark = self.in_postcopy()
        if recover:
            self.gate.wait_held()
            self.gate.cut()
            self.paused(mark)
            self.recover()
        self.fast()
        self.finish()

    def test_plain(self):
        self.move()

    def test_two_vcpus_preempt(self):
        self.move(vcpus=2, capabilities=PREEMPT)

    def test_recovery(self):
        self.move(True, vcpus=2)


class AnswersLikeNewerQemu(Postcopy):
    """Commands in all states that they are for, and that they are not for: the answers are QEMU's."""
    KINDS = (GODWIT, NEWER)
    NOWHERE = 'unix:/nonexistent/socket'

    def ask(self, state, machine, name, oob=False, **arguments):
        try:
            machine.command(name, oob=oob, **arguments)
            answer = 'done'
        except QMPError as e:
            answer = f'{e.error_class}: {e.desc.replace(self.directory.name, "DIRECTORY")}'
        told = {k: str(v).replace(self.directory.name, 'DIRECTORY') for k, v in arguments.items()}
        self.answers.append((state, machine.name, name, told, answer))

    def everywhere(self, state):
        """What may be asked in each state, and has to be refused in nearly all."""
        for machine in (self.source, self.there):
            if state != 'postcopy-active':
                self.ask(state, machine, 'migrate-pause', True)
            self.ask(state, machine, 'migrate-start-postcopy') \
                if state != 'active' or machine is self.there else None
            if machine is self.source or state != 'paused':
                self.ask(state, machine, 'migrate-recover', True, uri='unix:' + self.path('no'))
        if state != 'paused':
            self.ask(state, self.source, 'migrate', uri=self.NOWHERE, resume=True)
        if state not in ('none', 'completed'):
            self.ask(state, self.source, 'migrate', uri=self.NOWHERE)
            self.ask(state, self.source, 'migrate-set-capabilities',
                     capabilities=[{'capability': 'events', 'state': True}])
        if state in ('postcopy-active', 'paused'):
            for name in ('cont', 'migrate_cancel'):
                self.ask(state, self.source, name)

    def capabilities(self):
        def set_to(*names, state=True):
            self.ask('none', self.source, 'migrate-set-capabilities', capabilities=[
                {'capability': name, 'state': state} for name in names])
        set_to('postcopy-ram', state=False)
        self.ask('capability off', self.source, 'migrate-start-postcopy')
        set_to('postcopy-preempt')
        for name in ('x-ignore-shared', 'zero-copy-send', 'switchover-ack'):
            for names in (('postcopy-ram', name), (name, 'postcopy-ram')):
                set_to(*names)
        set_to('postcopy-ram', 'postcopy-preempt')
        set_to('postcopy-ram', state=False)
        set_to('postcopy-preempt', state=False)
        for name in ('release-ram', 'xbzrle', 'auto-converge', 'validate-uuid',
                     'late-block-activate', 'postcopy-blocktime'):
            set_to(name)
            set_to(name, state=False)
        for name in ('background-snapshot', 'mapped-ram'):  # whichever reason comes first
            with self.assertRaises(QMPError):
                self.source.command('migrate-set-capabilities', capabilities=[
                    {'capability': name, 'state': True}])

    def all_answers(self, kind):
        self.KINDS = (kind, kind)
        self.answers = []
        self.begin(parameters=LIMITED)
        self.everywhere('none')
        self.capabilities()
        self.precopy(100)
        self.everywhere('active')
        self.switch()
        mark = self.in_postcopy()
        self.everywhere('postcopy-active')
        self.ask('postcopy-active', self.there, 'migrate-incoming', uri='unix:' + self.path('no'))
        self.ask('postcopy-active', self.source, 'migrate-pause', True)
        mark = self.paused(mark)
        self.everywhere('paused')
        for uri in ('bogus:1', self.NOWHERE):
            self.ask('paused', self.there, 'migrate-recover', True, uri=uri)
        self.ask('paused', self.source, 'migrate', uri='bogus:1', resume=True)
        self.ask('paused', self.source, 'migrate', uri=self.NOWHERE, resume=True)
        self.wait_status(self.source, 'postcopy-paused', since=mark[0])
        self.answers.append(self.source.command('query-migrate')['error-desc'])
        self.recover_there()
        self.ask('listening', self.there, 'migrate-pause', True)
        self.gate.next_era()
        self.source.command('migrate', uri=self.gate.uri, resume=True)
        self.fast()
        self.finish()
        self.everywhere('completed')
        return self.answers

    def test_answers(self):
        theirs = self.all_answers(NEWER)
        self.doCleanups()
        self.setUp()
        for ours, expected in zip(self.all_answers(GODWIT), theirs, strict=True):
            with self.subTest(expected):
                self.assertEqual(ours, expected)


class OlderQemuToGodwit(Moving):
    KINDS = (OLDER, GODWIT)

    def test_tls_preempt_overtakes(self):
        """The network holds up the end of the first connection's handshake, which for its client is
        over: it makes the second connection, and there the handshake ends first. Only the main
        channel begins by saying something."""
        sent = {0: bytearray(), 1: bytearray()}
        held = []

        def hook(entry):
            if entry.direction != FORWARD or entry.message.kind != 'raw':
                return
            sent[entry.wire] += entry.message.data
            if entry.wire == 0 and not held and b'\x17\x03\x03' in sent[0]:  # what is encrypted
                held.append(entry)
                self.gate.wait(lambda: b'\x17\x03\x03' in sent[1], postcopying.TIMEOUT,
                               'the other handshake')
                time.sleep(0.1)             # it shows nothing when it is over
        self.plain(tls=True, capabilities=PREEMPT, hook=hook)
        self.assertTrue(held)


class GodwitToOlderQemu(Moving):
    KINDS = (GODWIT, OLDER)


class NewerQemuToGodwit(Moving):
    KINDS = (NEWER, GODWIT)


class GodwitToNewerQemu(Moving):
    KINDS = (GODWIT, NEWER)


class RealOlder(Moving):
    KINDS = (OLDER, OLDER)


class RealNewer(Moving):
    KINDS = (NEWER, NEWER)


class RealOlderToNewer(Moving):
    KINDS = (OLDER, NEWER)


class RealNewerToOlder(Moving):
    KINDS = (NEWER, OLDER)


# What a test shows, as a row of docs/interop.md. One that needs huge pages is none: they have to be set aside.
FEATURES = {
    'plain': 'plain', 'preempt': 'preempt', 'two_vcpus': 'plain', 'two_vcpus_preempt': 'preempt',
    'shared_memfd': 'memory-backend-memfd', 'shared_file': 'memory-backend-file, shared',
    'memory_backend_ram': 'memory-backend-ram', 'release_ram': 'release-ram',
    'blocktime': 'blocktime', 'bandwidth': 'max-postcopy-bandwidth',
    'at_once': 'started before the first page', 'while_limited': 'started in the first pass',
    'after_passes': 'started after several passes', 'recovery': 'recovery',
    'recovery_preempt': 'recovery, preempt', 'recovery_thrice': 'three recoveries',
    'recovery_thrice_preempt': 'three recoveries, preempt',
    'recovery_memfd': 'recovery, memory-backend-memfd',
    'recovery_release_ram': 'recovery, release-ram', 'pause_at_the_source': 'migrate-pause at the source',
    'pause_at_the_destination': 'migrate-pause at the destination', 'tls': 'TLS (PSK)',
    'tls_preempt': 'TLS (PSK), preempt', 'tls_recovery': 'TLS (PSK), recovery',
    'tls_recovery_preempt': 'TLS (PSK), recovery, preempt',
    'pause_before_switchover': 'pause-before-switchover',
}


def has(kinds, name):
    """What one of them cannot do is no row."""
    return not (name == 'recovery_release_ram' and kinds[0] != GODWIT
                or name == 'pause_at_the_destination' and kinds[1] == OLDER
                or OLDER in kinds and 'recovery' in name and 'preempt' in name)


def add_rows(cls):
    for name in [n for n in dir(cls) if n.startswith('test_')]:
        short = name.removeprefix('test_')
        plain = short.removesuffix('_tcp') if short != 'tcp' else 'plain'
        if plain not in FEATURES or not has(cls.KINDS, plain):
            continue

        def test(self, inherited=getattr(cls, name)):
            inherited(self)
        test.cases = [interop.Case(
            *cls.KINDS, 'microvm', '2 vCPUs' if 'two_vcpus' in name or name in (
                'test_blocktime', 'test_recovery_thrice') else '1 vCPU',
            'kvm' if KVM else 'tcg', 'tcp' if short.endswith('tcp') else 'unix',
            'postcopy, ' + FEATURES[plain])]
        setattr(cls, name, test)


for _cls in (OlderQemuToGodwit, GodwitToOlderQemu, NewerQemuToGodwit, GodwitToNewerQemu):
    add_rows(_cls)
del _cls, Moving, Postcopy


if __name__ == '__main__':
    tap.main()
