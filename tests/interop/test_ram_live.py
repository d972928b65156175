#!/usr/bin/python3
# SPDX-License-Identifier: GPL-2.0-or-later
"""A guest that writes its memory all the time moves in every way in which pages can travel.

Multifd with its compressions, zero-page detections and flush points, zero copy, XBZRLE, and pages
compressed one by one; over tcp and unix; between two Godwits and with each QEMU that has it. The
source is not let go before it has gone through several passes, and then all of the guest's memory
is checked: each page says from which round it is.
"""

import os
import sys
import tempfile
import unittest

HERE = os.path.dirname(os.path.abspath(__file__))
TOP = os.path.join(HERE, '..', '..')
sys.path[:0] = [os.path.join(TOP, 'scripts'), os.path.join(TOP, 'tests', 'guest'), HERE]

import check                                                    # noqa: E402
from vmtools import interop, migrate, programs, tap             # noqa: E402
from vmtools.machine import MICROVM, Machine, SerialTap, for_older      # noqa: E402
from vmtools.programs import GODWIT, NEWER, OLDER               # noqa: E402

MIB = 1 << 20
MEMORY = 40
HOT = 5
GUESTS = os.environ.get('GUEST_DIR') or os.path.join(TOP, 'build', 'tests', 'guest')
KVM = os.access('/dev/kvm', os.R_OK | os.W_OK)
BINARIES = {name: programs.find(name) for name in programs.NAMES}
TIMEOUT = 100
PASSES = 4
SLOW = 120 * MIB        # bytes a second, until the passes are over
OVERHEAD_MAX = 64 * MIB
MULTIFD = ('multifd',)


class Live(unittest.TestCase):
    """A guest, and the way that it takes."""

    def setUp(self):
        self.directory = tempfile.TemporaryDirectory(prefix='godwit-')
        self.addCleanup(self.directory.cleanup)
        self.serials = []
        self.figures = {}

    def machine(self, kind, name, *more, binary=None):
        serial = SerialTap(os.path.join(self.directory.name, name + '.serial'))
        self.addCleanup(serial.close)
        self.serials.append(serial)
        kernel = os.path.join(GUESTS, 'dirty64.elf' if KVM else 'dirty32.elf')
        words = (f'start=2M size={MEMORY - 6}M hot={HOT}M fill=text ring=3 words=8 every=8')
        machine = Machine(binary or BINARIES[kind],
                          ['-machine', MICROVM, '-accel', 'kvm' if KVM else 'tcg', '-m',
                           f'{MEMORY}M', '-kernel', kernel, '-append', words, *more],
                          name, self.directory.name, serial=serial)
        self.addCleanup(machine.end)
        return machine

    def source(self, kinds, *more, binary=None):
        source = self.machine(kinds[0], 'source', *for_older(BINARIES[kinds[0]],
                                                             BINARIES[kinds[1]]),
                              *more, binary=binary)
        self.wait_letters(source, 1)
        return source

    def destination(self, kinds, capabilities=(), parameters=None, transport='unix', name='there'):
        there = self.machine(kinds[1], name, '-incoming', 'defer')
        migrate.set_up(there, capabilities, parameters)
        uri = 'tcp:127.0.0.1:0' if transport == 'tcp' \
            else 'unix:' + os.path.join(self.directory.name, name + '.socket')
        there.command('migrate-incoming', uri=uri)
        return there, migrate.listening_uri(there) if transport == 'tcp' else uri

    def wait_letters(self, machine, number):
        self.assertTrue(machine.serial.wait(
            lambda text: 'E' in text or sum(c.islower() for c in text) >= number, TIMEOUT,
            machine.alive), f'{machine.serial.text()!r} {machine.stderr()}')
        self.assertNotIn('E', machine.serial.text())

    def go(self, source, there, uri, actions=(), kind=GODWIT):
        """Several passes, with an action in each as long as there are any, then the switchover."""
        # With 0 we wait for ever; QEMU does not wait at all, and with 1 nearly always long enough.
        migrate.set_up(source, (), {'downtime-limit': 0 if kind == GODWIT else 1,
                                    'max-bandwidth': SLOW})
        actions = [*actions, lambda: migrate.set_up(
            source, (), {'downtime-limit': 2000, 'max-bandwidth': 1 << 40})]
        # For a machine so busy that a pass of the slowest encoding takes longer than that.
        patient = [lambda: migrate.set_up(source, (), {'downtime-limit': 60000})]
        last = 0

        def progress(info):
            nonlocal last
            passes = info.get('ram', {}).get('dirty-sync-count', 0)
            if actions and passes > last and (len(actions) > 1 or passes >= PASSES):
                last = passes
                actions.pop(0)()
            elif not actions and patient and passes > last + 3:
                patient.pop()()
        source.command('migrate', uri=uri)
        info = migrate.wait_status(source, timeout=TIMEOUT, every=0.005, progress=progress)
        self.assertEqual(info['status'], 'completed', f'{info} {there.stderr()}')
        self.assertEqual(migrate.wait_status(there)['status'], 'completed')
        # A host that is busy may not let the guest write for a while: then the end comes earlier.
        self.several = not actions and info['ram']['dirty-sync-count'] >= PASSES
        self.assertGreaterEqual(info['ram']['dirty-sync-count'], 2)
        return info

    def verify(self, there):
        """It goes on counting where it was, and each page is as it left it."""
        self.wait_letters(there, 2)
        there.command('stop')
        there.serial.settle()
        self.assertGreater(check.check_memory(there.read_memory).pages, (MEMORY - 6) * 255)
        check.check_serial(''.join(s.text() for s in self.serials), 1)

    def memory_bounded(self, machine, more=0):
        """What an end uses besides the guest's memory."""
        over = machine.memory()['VmHWM'] - MEMORY * MIB
        self.figures['over-mib-' + machine.name] = round(over / MIB, 1)
        if os.environ.get('SHOW_FIGURES'):
            print('#', self.figures, flush=True)
        if 'ASAN_OPTIONS' not in os.environ:    # there memory has a shadow
            self.assertLess(over, OVERHEAD_MAX + more)

    def move(self, kinds, capabilities, parameters, only_source=None, transport='unix',
             arguments=(), actions=None, extra=0):
        source = self.source(kinds, *arguments)
        if kinds[1] == OLDER and 'multifd' in capabilities:
            if not (only_source or {}).get('zero-page-detection') and kinds[0] != OLDER:
                only_source = {**(only_source or {}), 'zero-page-detection': 'legacy'}
        migrate.set_up(source, capabilities, {**parameters, **(only_source or {})})
        there, uri = self.destination(kinds, [c for c in capabilities
                                              if c not in ('zero-copy-send', 'auto-converge')],
                                      parameters, transport)
        info = self.go(source, there, uri, actions(source) if actions else (), kinds[0])
        self.assertEqual(info['ram']['multifd-bytes'] > 0, 'multifd' in capabilities)
        for end, kind in ((source, kinds[0]), (there, kinds[1])):
            if kind == GODWIT:
                self.memory_bounded(end, extra)
        self.verify(there)
        return info


def has(kind, what):
    """Which program has which method: `compress` ended with 9.0, the detection began with it."""
    return {'compress': kind != NEWER, 'zero-page-detection': kind != OLDER}.get(what, True)


def add(cls, kinds, name, feature, capabilities, parameters=None, transport='unix', check_info=None,
        **more):
    def test(self):
        info = self.move(kinds, capabilities, parameters or {}, transport=transport, **more)
        if check_info:
            check_info(self, info)
    test.__name__ = 'test_' + name
    if kinds != (GODWIT, GODWIT):
        test.cases = [interop.Case(kinds[0], kinds[1], 'microvm', '1 vCPU',
                                   'kvm' if KVM else 'tcg', transport,
                                   'live guest, ' + feature)]
    setattr(cls, test.__name__, test)


def saw_xbzrle(self, info):
    cache = info['xbzrle-cache']
    if self.several:
        self.assertGreater(cache['pages'], 0)
        self.assertGreater(cache['bytes'], 0)
        self.assertLess(cache['bytes'], cache['pages'] * 4096)
        self.assertGreater(cache['cache-miss'], 0)
    for member in ('cache-size', 'cache-miss-rate', 'encoding-rate', 'overflow'):
        self.assertIn(member, cache)


def saw_compressed(self, info):
    compression = info['compression']
    self.assertGreater(compression['pages'], 0)
    self.assertLess(compression['compressed-size'], compression['pages'] * 4096)
    for member in ('busy', 'busy-rate', 'compression-rate'):
        self.assertIn(member, compression)


def common(cls, kinds):
    """What both ends have."""
    for method, level in (('none', {}), ('zlib', {'multifd-zlib-level': 3}),
                          ('zstd', {'multifd-zstd-level': 5})):
        add(cls, kinds, 'multifd_' + method, f'multifd, compression {method}', MULTIFD,
            {'multifd-channels': 2, 'multifd-compression': method, **level},
            transport='tcp' if method == 'zstd' else 'unix')
    if has(kinds[0], 'zero-page-detection'):
        for method in ('none', 'legacy') + (('multifd',) if kinds[1] != OLDER else ()):
            add(cls, kinds, f'zero_{method}', f'multifd, zero-page-detection {method}', MULTIFD,
                {'multifd-channels': 2}, only_source={'zero-page-detection': method})
    add(cls, kinds, 'zero_copy', 'multifd, zero-copy-send', ('multifd', 'zero-copy-send'),
        {'multifd-channels': 2}, transport='tcp')
    add(cls, kinds, 'xbzrle', 'xbzrle', ('xbzrle',), {'xbzrle-cache-size': 16 * MIB},
        check_info=saw_xbzrle, extra=16 * MIB)
    if has(kinds[0], 'compress') and has(kinds[1], 'compress'):
        add(cls, kinds, 'compress', 'compress', ('compress',), {'compress-level': 1,
                                                                'compress-threads': 2,
                                                                'decompress-threads': 2},
            check_info=saw_compressed)


class OlderQemuToGodwit(Live):
    pass


class GodwitToOlderQemu(Live):
    pass


class NewerQemuToGodwit(Live):
    pass


class GodwitToNewerQemu(Live):
    pass


class Alone(Live):
    """What needs no other program."""
    KINDS = (GODWIT, GODWIT)

    def test_two_in_a_row(self):
        parameters = {'multifd-channels': 3}
        source = self.source(self.KINDS)
        migrate.set_up(source, MULTIFD, parameters)
        middle, uri = self.destination(self.KINDS, MULTIFD, parameters, name='middle')
        self.go(source, middle, uri)
        self.wait_letters(middle, 2)
        there, uri = self.destination(self.KINDS, MULTIFD, parameters)
        self.go(middle, there, uri)
        self.verify(there)

    def test_again_after_a_cancel(self):
        """Channels of a migration that was cancelled do not disturb the next one."""
        parameters = {'multifd-channels': 4}
        source = self.source(self.KINDS)
        migrate.set_up(source, MULTIFD, {**parameters, 'max-bandwidth': MIB})
        nobody, uri = self.destination(self.KINDS, MULTIFD, parameters, name='nobody')
        source.command('migrate', uri=uri)
        migrate.wait_status(source, wanted=['active'])
        source.command('migrate_cancel')
        migrate.wait_status(source, wanted=['cancelled'])
        self.assertEqual(nobody.wait(), 1)
        self.serials.remove(nobody.serial)
        there, uri = self.destination(self.KINDS, MULTIFD, parameters)
        self.go(source, there, uri)
        self.verify(there)

    def test_zero_copy_is_counted(self):
        info = self.move(self.KINDS, ('multifd', 'zero-copy-send'), {'multifd-channels': 2},
                         transport='tcp')
        # Over the loopback device the kernel copies after all, and says so.
        self.assertGreater(info['ram']['dirty-sync-missed-zero-copy'], 0)

    def test_zero_copy_without_memory_to_lock(self):
        wrapper = os.path.join(self.directory.name, 'limited')
        with open(wrapper, 'w', encoding='ascii') as f:
            f.write('#!/bin/sh\nexec prlimit --memlock=4096:4096 setpriv --inh-caps=-ipc_lock '
                    f'--bounding-set=-ipc_lock {BINARIES[GODWIT]} "$@"\n')
        os.chmod(wrapper, 0o755)
        if os.geteuid() != 0:
            self.skipTest('taking a capability away needs root')
        source = self.source(self.KINDS, binary=wrapper)
        parameters = {'multifd-channels': 2}
        migrate.set_up(source, ('multifd', 'zero-copy-send'), parameters)
        there, uri = self.destination(self.KINDS, MULTIFD, parameters, 'tcp')
        source.command('migrate', uri=uri)
        info = migrate.wait_status(source)
        self.assertEqual(info['status'], 'failed')
        self.assertRegex(info['error-desc'], "multifd channel [01]: .*lock enough memory")
        self.assertEqual(there.wait(), 1)
        letters = len(check.letters(source.serial.text()))
        self.wait_letters(source, letters + 2)      # it goes on

    def test_xbzrle_resized(self):
        """Larger, smaller and too small, while pages go through it."""
        def actions(source):
            for size in (32 * MIB, MIB, 64 * 1024, 16 * MIB):
                yield lambda size=size: source.command('migrate-set-parameters',
                                                       xbzrle_cache_size=size)
        info = self.move(self.KINDS, ('xbzrle',), {'xbzrle-cache-size': 4 * MIB},
                         actions=actions, extra=48 * MIB)
        self.assertIn(info['xbzrle-cache']['cache-size'],
                      (16 * MIB,) if self.several else (32 * MIB, MIB, 64 * 1024, 16 * MIB, 4 * MIB))

    def test_xbzrle_too_small(self):
        info = self.move(self.KINDS, ('xbzrle',), {'xbzrle-cache-size': 64 * 1024})
        cache = info['xbzrle-cache']
        self.assertEqual(cache['cache-size'], 64 * 1024)
        # Nearly every page finds its place taken.
        self.assertGreater(cache['cache-miss'], cache['pages'])

    def test_compress_does_not_wait(self):
        info = self.move(self.KINDS, ('compress',),
                         {'compress-level': 9, 'compress-threads': 1, 'decompress-threads': 3,
                          'compress-wait-thread': False})
        self.assertGreater(info['compression']['busy'], 0)


common(Alone, Alone.KINDS)
for _channels in (1, 16, 255):
    add(Alone, Alone.KINDS, f'multifd_{_channels}_channels', '', MULTIFD,
        {'multifd-channels': _channels}, transport='tcp' if _channels == 16 else 'unix')
add(Alone, Alone.KINDS, 'multifd_16_channels_zstd', '', MULTIFD,
    {'multifd-channels': 16, 'multifd-compression': 'zstd'})
for _method, _levels in (('zlib', (0, 9)), ('zstd', (0, 12))):
    for _level in _levels:
        add(Alone, Alone.KINDS, f'multifd_{_method}_level_{_level}', '', MULTIFD,
            {'multifd-channels': 2, 'multifd-compression': _method,
             f'multifd-{_method}-level': _level})
add(Alone, Alone.KINDS, 'flush_after_each_section', '', MULTIFD, {'multifd-channels': 2},
    arguments=('-global', 'migration.multifd-flush-after-each-section=on'))
add(Alone, Alone.KINDS, 'auto_converge', '', ('multifd', 'auto-converge'),
    {'multifd-channels': 2})
for _cls, _kinds in ((OlderQemuToGodwit, (OLDER, GODWIT)), (GodwitToOlderQemu, (GODWIT, OLDER)),
                     (NewerQemuToGodwit, (NEWER, GODWIT)), (GodwitToNewerQemu, (GODWIT, NEWER))):
    common(_cls, _kinds)
    _why = programs.why_missing(*_kinds)
    if _why:
        globals()[_cls.__name__] = unittest.skip(_why)(_cls)
del _cls        # it would be found as a class of tests, once more


if __name__ == '__main__':
    tap.main()
