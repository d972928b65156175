# SPDX-License-Identifier: GPL-2.0-or-later
"""Two machines and a gate between them (vmtools/gate.py), for tests of postcopy.

The guest writes and checks all of its memory (tests/guest, dirty64.elf), so that a page which did not
come, came twice or is an old one stops it; verify() then looks at every page from outside.
Everything is waited for by events, because a destination's main thread may itself wait for a page.
"""

import ctypes
import os
import tempfile
import time
import unittest

import check
from vmtools import migrate, programs
from vmtools.gate import BACK, FORWARD, Gate, Point
from vmtools.machine import MICROVM, Machine, SerialTap, for_older
from vmtools.programs import GODWIT, NEWER, OLDER

MIB = 1 << 20
TOP = os.path.normpath(os.path.join(os.path.dirname(os.path.abspath(__file__)), '..', '..'))
GUESTS = os.environ.get('GUEST_DIR') or os.path.join(TOP, 'build', 'tests', 'guest')
KVM = os.access('/dev/kvm', os.R_OK | os.W_OK) and os.environ.get('POSTCOPY_ACCEL') != 'tcg'
TIMEOUT = float(os.environ.get('POSTCOPY_TIMEOUT') or 60)
BINARIES = {name: programs.find(name) for name in programs.NAMES}
PREEMPT = ('postcopy-ram', 'postcopy-preempt')
SLOW, FAST = 20 * MIB, 1 << 40
FINAL = ('completed', 'failed', 'cancelled')
__all__ = ['BACK', 'FORWARD', 'Point', 'GODWIT', 'KVM', 'NEWER', 'OLDER', 'MIB', 'PREEMPT', 'Postcopy']


def why_not():
    """Why this host cannot do postcopy, or None. Pages are missed by the kernel on behalf of the guest,
    so it takes a userfaultfd that is not limited to user mode."""
    fd = ctypes.CDLL(None).syscall(323, os.O_CLOEXEC | os.O_NONBLOCK)
    if fd >= 0:
        os.close(fd)
        return None
    if os.access('/dev/userfaultfd', os.R_OK | os.W_OK):
        return None
    return 'the kernel gives no userfaultfd to this user (vm.unprivileged_userfaultfd)'


def huge_pages_free():
    with open('/proc/meminfo', encoding='ascii') as f:
        values = dict(line.split(':') for line in f)
    if int(values.get('Hugepagesize', '0 kB').split()[0]) != 2048:
        return 0
    return int(values.get('HugePages_Free', '0'))


class Postcopy(unittest.TestCase):
    """One migration of each test, from KINDS[0] to KINDS[1]."""
    KINDS = (GODWIT, GODWIT)
    accel = 'kvm' if KVM else 'tcg'
    memory = 24             # MiB; the guest writes all of it but for the first 2 and the last 4…
    written = None          # …unless this says how many from the second on

    @classmethod
    def setUpClass(cls):
        missing = why_not() or programs.why_missing(*cls.KINDS)
        if missing:
            raise unittest.SkipTest(missing)

    def setUp(self):
        self.directory = tempfile.TemporaryDirectory(prefix='godwit-')
        self.addCleanup(self.directory.cleanup)
        self.sockets = 0
        self.figures = {}
        self.told = {}                      # machine -> all statuses that it has told so far

    def path(self, name):
        return os.path.join(self.directory.name, name)

    # The machines

    def machine(self, kind, name, vcpus=1, guest='', ram=None, more=()):
        serial = SerialTap(self.path(name + '.serial'))
        self.addCleanup(serial.close)
        accel = self.accel
        kernel = os.path.join(GUESTS, 'dirty64.elf' if accel == 'kvm' else 'dirty32.elf')
        words = (f'start=2M size={self.written or self.memory - 6}M fill=text ring={3 if accel == "kvm" else 0} '
                 f'words=8 every=1 vcpus={vcpus} peek=1 stride=37 {guest}')
        backend = []
        machine = MICROVM
        if ram:
            backend = ['-object', ram.format(name=name, dir=self.directory.name, size=f'{self.memory}M')]
            machine += ',memory-backend=ram0'
        result = Machine(BINARIES[kind],
                         ['-machine', machine, '-accel', accel, '-m', f'{self.memory}M', '-smp',
                          str(vcpus), '-kernel', kernel, '-append', words, *backend, *more],
                         name, self.directory.name, TIMEOUT, serial=serial, oob=True)
        self.addCleanup(result.end)
        self.told[result] = []
        return result

    def begin(self, capabilities=('postcopy-ram',), parameters=None, where='unix', vcpus=1, guest='',
              ram=None, ram_there=None, source=(), there=(), source_capabilities=(),
              there_capabilities=(), tls=False, hook=None):
        """Source with its guest at work, a destination that waits, and a gate between them."""
        kinds = self.KINDS
        source = [*for_older(BINARIES[kinds[0]], BINARIES[kinds[1]]), *source]
        if OLDER in kinds and 'postcopy-preempt' in capabilities and kinds[0] != OLDER:
            source += ['-global', 'migration.x-preempt-pre-7-2=on']
        ends = []
        if tls:
            with open(self.path('keys.psk'), 'w', encoding='ascii') as f:
                f.write('qemu:0123456789abcdef0123456789abcdef\n')
            for end in ('client', 'server'):
                ends.append(['-object', f'tls-creds-psk,id=tls0,dir={self.directory.name},'
                                        f'endpoint={end}'])
            parameters = {**(parameters or {}), 'tls-creds': 'tls0'}
        else:
            ends = [[], []]
        self.where = where
        self.source = self.machine(kinds[0], 'source', vcpus, guest, ram, [*source, *ends[0]])
        self.there = self.machine(kinds[1], 'there', vcpus, guest, ram_there or ram,
                                  ['-incoming', 'defer', *there, *ends[1]])
        self.wait_letters(self.source, 1)
        migrate.set_up(self.source, ('events', *capabilities, *source_capabilities),
                       {'max-bandwidth': SLOW, 'downtime-limit': 1, **(parameters or {})})
        migrate.set_up(self.there, ('events', *capabilities, *there_capabilities),
                       {k: v for k, v in (parameters or {}).items() if k.startswith(('tls', 'multifd'))})
        uri = self.listen(lambda uri: self.there.command('migrate-incoming', uri=uri))
        self.gate = Gate(uri, where if where == 'tcp' else 'unix:' + self.path('gate'), hook)
        self.addCleanup(self.gate.close)

    def listen(self, command):
        """Lets the destination listen with `command`, and answers where."""
        if self.where == 'tcp':
            command('tcp:127.0.0.1:0')
            return migrate.listening_uri(self.there)
        self.sockets += 1
        uri = f'unix:{self.path("socket")}{self.sockets}'
        command(uri)
        return uri

    def source_uri(self):
        """Where the source goes: to the gate."""
        return self.gate.uri

    def wait_letters(self, machine, number):
        found = machine.serial.wait(
            lambda text: 'E' in text or sum(c.islower() for c in text) >= number, TIMEOUT,
            machine.alive)
        self.assertTrue(found, f'{machine.name}: {machine.serial.text()[-100:]!r} '
                               f'{machine.stderr()}')
        self.assertNotIn('E', machine.serial.text())

    def letters(self, machine):
        return len(check.letters(machine.serial.text()))

    # What happens to them

    def statuses(self, machine):
        """All statuses that it has told."""
        for event in machine.qmp.poll_events():
            self._note(machine, event)
        return self.told[machine]

    def _note(self, machine, event):
        if event['event'] == 'MIGRATION':
            self.told[machine].append(event['data']['status'])
        elif event['event'] in ('STOP', 'RESUME'):
            self.told[machine].append(event['event'])

    def wait_status(self, machine, *wanted, since=0):
        """Waits until it tells one of these, not counting the first `since`; answers the position
        behind it."""
        told = self.told[machine]
        for event in machine.qmp.events:
            self._note(machine, event)
        machine.qmp.events.clear()
        while True:
            for i in range(since, len(told)):
                if told[i] in wanted:
                    return i + 1
                if told[i] in FINAL:
                    reason = machine.command('query-migrate').get('error-desc') \
                        if machine.alive() else machine.stderr()
                    self.fail(f'{machine.name}: {told[i]} instead of {wanted}: {reason}')
            try:
                self._note(machine, machine.qmp.wait_event(lambda e: True, TIMEOUT))
            except Exception as e:
                self.fail(f'{machine.name}: {e!r} while waiting for {wanted} after {told}; '
                          f'{machine.stderr()}')

    def precopy(self, pages=300):
        """Starts, and waits until so many pages have passed."""
        self.source.command('migrate', uri=self.source_uri())
        if pages:
            self.gate.wait_pages(pages, timeout=TIMEOUT)

    def switch(self):
        self.source.command('migrate-start-postcopy')

    def wait_both(self, *wanted, since=(0, 0)):
        return tuple(self.wait_status(m, *wanted, since=s)
                     for m, s in zip((self.source, self.there), since))

    def hold_in_postcopy(self, pages):
        """To be said before switch(): so many pages behind the guest's start there the gate lets
        nothing of the source pass, so that the migration cannot end before the test breaks it. The
        guest would otherwise ask for all its pages, however slow the rest comes."""
        apart = self.KINDS == (GODWIT, GODWIT)      # else RUN is in the package
        self.gate.hold_behind(Point(FORWARD, 'run' if apart else 'packaged'), pages)

    def in_postcopy(self):
        """Both sides are in postcopy and the guest runs there. Answers a mark for later waits."""
        self.wait_both('postcopy-active')
        self.wait_status(self.there, 'RESUME')
        return self.mark()

    def mark(self):
        return len(self.statuses(self.source)), len(self.statuses(self.there))

    def paused(self, since):
        self.wait_both('postcopy-paused', since=since)
        return self.mark()

    def recover_there(self):
        """The destination listens anew; the gate leads there."""
        self.gate.hang_up()
        self.gate.target = self.listen(
            lambda uri: self.there.command('migrate-recover', uri=uri, oob=True))

    def recover(self):
        self.recover_there()
        self.source.command('migrate', uri=self.source_uri(), resume=True)

    def fast(self):
        migrate.set_up(self.source, (), {'max-bandwidth': FAST, 'max-postcopy-bandwidth': 0})

    def finish(self, verify=True):
        """Both complete; answers query-migrate of both."""
        self.wait_status(self.source, 'completed')
        self.wait_status(self.there, 'completed')
        infos = tuple(m.command('query-migrate') for m in (self.source, self.there))
        self.postmigrate()
        if verify:
            self.verify()
        return infos

    def postmigrate(self):
        """The source does not run. The state of that name may follow the event."""
        deadline = time.monotonic() + TIMEOUT
        while (status := self.source.command('query-status'))['status'] != 'postmigrate':
            self.assertFalse(status['running'])
            self.assertLess(time.monotonic(), deadline, status)
            time.sleep(0.005)
        self.assertFalse(status['running'])

    def verify(self):
        """The guest goes on where it was, and each page is as it left it."""
        self.source.serial.settle()
        before = self.letters(self.source)
        self.wait_letters(self.there, self.letters(self.there) + 2)
        self.assertEqual(self.letters(self.source), before, 'the source goes on')
        self.there.command('stop')
        self.there.serial.settle()
        report = check.check_memory(self.there.read_memory)
        self.assertGreater(report.pages, (self.written or self.memory - 6) * 250)
        check.check_serial(self.source.serial.text() + self.there.serial.text(), 1)

    def runs_on(self):
        """The source's guest does, and its memory is whole."""
        self.wait_letters(self.source, self.letters(self.source) + 2)
        self.source.command('stop')
        self.source.serial.settle()
        check.check_memory(self.source.read_memory)
        check.check_serial(self.source.serial.text(), 1)

    def passed(self, kind, direction=FORWARD, role=None, era=None):
        """What of a kind went over the wire."""
        return [e for e in list(self.gate.log) if e.message.kind == kind
                and e.direction == direction and role in (None, e.role)
                and era in (None, e.era)]
