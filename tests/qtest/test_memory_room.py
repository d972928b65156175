#!/usr/bin/python3
# SPDX-License-Identifier: GPL-2.0-or-later
"""A destination whose memory is a file on a file system that becomes full while pages arrive.

It ends with status 1 and a reason that names the block, the offset and, with multifd, the channel;
never by a signal. What has to fit does fit: zero pages take no room in shared memory. The file
system is a tmpfs in a mount namespace of the destination's own.
"""

import os
import re
import shutil
import subprocess
import sys
import tempfile
import unittest

HERE = os.path.dirname(os.path.abspath(__file__))
TOP = os.path.join(HERE, '..', '..')
sys.path.insert(0, os.path.join(TOP, 'scripts'))

from vmtools import migrate, programs, tap                      # noqa: E402
from vmtools.machine import Machine                             # noqa: E402

BINARY = os.environ.get('QTEST_QEMU_BINARY') or programs.find(programs.GODWIT)
MIB = 1 << 20
RAM_SIZE = 8 * MIB
TIMEOUT = 60.0
NO_SPACE = r"block 'ram': the host has no room for its page at 0x[0-9a-f]+: No space left on device"
UNSHARE = ['unshare', '--mount'] if os.geteuid() == 0 \
    else ['unshare', '--user', '--map-root-user', '--mount']


def why_not():
    if not shutil.which('unshare'):
        return 'there is no unshare (util-linux)'
    done = subprocess.run([*UNSHARE, 'mount', '-t', 'tmpfs', 'none', '/mnt'], check=False,
                          capture_output=True, text=True)
    return done.stderr.strip() if done.returncode else None


WHY_NOT = why_not()


@unittest.skipIf(WHY_NOT, WHY_NOT)
class Room(unittest.TestCase):
    def setUp(self):
        self.directory = tempfile.TemporaryDirectory(prefix='godwit-')
        self.addCleanup(self.directory.cleanup)

    def path(self, name):
        return os.path.join(self.directory.name, name)

    def machine(self, name, backend, *more, binary=BINARY):
        machine = Machine(binary, ['-m', f'{RAM_SIZE // MIB}M',
                                   '-machine', 'none,memory-backend=ram',
                                   '-object', f'{backend},id=ram,size={RAM_SIZE}', *more],
                          name, self.directory.name)
        self.addCleanup(machine.end)
        return machine

    def source(self, filled):
        """The first part of its memory has text that differs from page to page."""
        with open(self.path('ram'), 'wb') as f:
            for page in range(filled // 4096):
                f.write(b'page %011d' % page * (4096 // 16))
            f.truncate(RAM_SIZE)
        return self.machine('source', f'memory-backend-file,mem-path={self.path("ram")},share=on')

    def destination(self, room, share='on'):
        """With a file system of `room` bytes."""
        os.mkdir(self.path('small'))
        wrapper = self.path('wrapper')
        with open(wrapper, 'w', encoding='ascii') as f:
            f.write(f'#!/bin/sh\nmount -t tmpfs -o size={room} none {self.path("small")} &&\n'
                    f'exec {BINARY} "$@"\n')
        os.chmod(wrapper, 0o755)
        outer = self.path('outer')
        with open(outer, 'w', encoding='ascii') as f:
            f.write(f'#!/bin/sh\nexec {" ".join(UNSHARE)} {wrapper} "$@"\n')
        os.chmod(outer, 0o755)
        return self.machine('destination', f'memory-backend-file,mem-path={self.path("small/ram")},'
                            f'share={share}', '-incoming', 'defer', binary=outer)

    def go(self, capabilities=(), parameters=None, filled=RAM_SIZE, room=4 * MIB, share='on'):
        source = self.source(filled)
        there = self.destination(room, share)
        for machine in (source, there):
            # The source learns of it however little is on its way.
            migrate.set_up(machine, ('return-path', *capabilities), parameters)
        there.command('migrate-incoming', uri='unix:' + self.path('migration'))
        source.command('migrate', uri='unix:' + self.path('migration'))
        return source, there

    def refused(self, *words, reason=NO_SPACE, multifd=False, **more):
        source, there = self.go(*words, **more)
        self.assertEqual(there.wait(TIMEOUT), 1, there.stderr())
        self.assertRegex(there.stderr(), reason)
        if multifd:
            self.assertRegex(there.stderr(), r'multifd channel [01], behind packet \d+ of it: '
                             r'packet \d+: ')
        offset = int(re.search(r' at (0x[0-9a-f]+)', there.stderr())[1], 16)
        self.assertEqual(offset % 4096, 0)
        self.assertLess(offset, RAM_SIZE)
        self.assertEqual(migrate.wait_status(source, timeout=TIMEOUT)['status'], 'failed')

    def taken(self, *words, filled=RAM_SIZE, **more):
        source, there = self.go(*words, filled=filled, **more)
        for machine in (source, there):
            self.assertEqual(migrate.wait_status(machine, timeout=TIMEOUT)['status'], 'completed',
                             there.stderr())
        with open(self.path('ram'), 'rb') as f:
            # Not the holes: a look through the mapping would want room for them, too.
            self.assertEqual(there.read_memory(0, filled), f.read(filled))

    def test_stream(self):
        self.refused(reason=r"block 'ram': cannot write \d+ pages at 0x[0-9a-f]+ of its memory: "
                            r"(No space left on device|no room)")

    def test_stream_private(self):
        """The file's holes have to be filled before a page can be a private copy."""
        self.refused(share='off', reason=r"block 'ram': the host has no room for its page")

    def test_compress(self):
        self.refused(('compress',))

    def test_enough(self):
        self.taken(room=RAM_SIZE)

    def test_zero_pages(self):
        self.taken(filled=3 * MIB)

    def test_compress_zero_pages(self):
        self.taken(('compress',), filled=3 * MIB)


def add(method):
    parameters = {'multifd-channels': 2, 'multifd-compression': method}

    def refused(self):
        self.refused(('multifd',), parameters, multifd=True)

    def taken(self):
        self.taken(('multifd',), parameters, room=RAM_SIZE)

    def zero_pages(self):
        self.taken(('multifd',), parameters, filled=3 * MIB)
    for name, test in (('', refused), ('_enough', taken), ('_zero_pages', zero_pages)):
        test.__name__ = f'test_multifd_{method}{name}'
        setattr(Room, test.__name__, test)


for _method in ('none', 'zlib', 'zstd'):
    add(_method)


if __name__ == '__main__':
    tap.main()
