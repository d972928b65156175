#!/usr/bin/env python3
# SPDX-License-Identifier: GPL-2.0-or-later
"""The machines that query-machines and -machine help list, against those of real QEMU.

Godwit has those of the newer QEMU, but for a few whole machines (MISSING); of the older QEMU it
lists all versions from 2.4 on. What it can't do it does not claim: CPUs can't be plugged, and NUMA
nodes have no memory of their own.
"""

import os
import re
import subprocess
import sys
import tempfile
import unittest

HERE = os.path.dirname(os.path.abspath(__file__))
sys.path.insert(0, os.path.join(HERE, '..', '..', 'scripts'))

from vmtools import programs, tap                                               # noqa: E402
from vmtools.machine import Machine                                             # noqa: E402

MISSING = {'isapc', 'x-remote'}
# Ours is honest about these; see above.
CLAIMS = {'hotpluggable-cpus', 'numa-mem-supported'}
COMPAT_TYPES = {'i8042', 'isa-pcspk'}


def need(*names):
    return unittest.skipIf(programs.why_missing(*names), programs.why_missing(*names) or '')


def machines(name, **arguments):
    with tempfile.TemporaryDirectory(prefix='godwit-') as directory:
        m = Machine(programs.find(name), ['-machine', 'none'], directory=directory)
        try:
            return {entry['name']: entry for entry in m.command('query-machines', **arguments)}
        finally:
            m.end()


def help_lines(name):
    out = subprocess.run([programs.find(name), '-machine', 'help'], capture_output=True, text=True,
                         check=True).stdout
    return [line for line in out.splitlines() if line.split()[0] not in MISSING]


def version(name):
    """(family, numbers) of a versioned name; None of another."""
    found = re.fullmatch(r'(pc-[a-z0-9]+)-([\d.]+)', name)
    return (found[1], tuple(map(int, found[2].split('.')))) if found else None


class Machines(unittest.TestCase):
    @need(programs.GODWIT, programs.NEWER)
    def test_as_the_newer_one(self):
        ours, theirs = machines(programs.GODWIT), machines(programs.NEWER)
        self.assertEqual(set(theirs) - set(ours), MISSING)
        self.assertEqual(set(ours) - set(theirs), set())
        for name, entry in sorted(ours.items()):
            with self.subTest(machine=name):
                self.assertEqual(set(entry) - {'is-default'}, set(theirs[name]) - {'is-default'})
                for key in set(entry) - CLAIMS:
                    self.assertEqual(entry[key], theirs[name].get(key, False), key)

    @need(programs.GODWIT, programs.OLDER)
    def test_those_of_the_older_one(self):
        ours, theirs = machines(programs.GODWIT), machines(programs.OLDER)
        wanted = {name for name in theirs if not version(name) or version(name)[1] >= (2, 4)}
        self.assertEqual(wanted - set(ours), MISSING)

    @need(programs.GODWIT, programs.NEWER)
    def test_help(self):
        self.assertEqual(help_lines(programs.GODWIT), help_lines(programs.NEWER))

    @need(programs.GODWIT, programs.NEWER)
    def test_compatibility_properties(self):
        """Of migration and of the PC's devices that have any: what each version says."""
        arguments = {'compat-props': True}
        ours = machines(programs.GODWIT, **arguments)
        theirs = machines(programs.NEWER, **arguments)

        def properties(entry):
            return {(p['qom-type'], p['property'], p['value']) for p in entry['compat-props']
                    if p['qom-type'] == 'migration' or p['qom-type'] in COMPAT_TYPES}

        for name in sorted(ours):
            if version(name):
                with self.subTest(machine=name):
                    self.assertEqual(properties(ours[name]), properties(theirs[name]))

    @need(programs.GODWIT)
    def test_what_is_not_claimed(self):
        for name, entry in machines(programs.GODWIT).items():
            with self.subTest(machine=name):
                self.assertFalse(any(entry[key] for key in CLAIMS))


if __name__ == '__main__':
    tap.main()
