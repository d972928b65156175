#!/usr/bin/env python3
# SPDX-License-Identifier: GPL-2.0-or-later
"""The same -cpu makes the same CPU: CPUID as this program and as a real QEMU give it to KVM, and as
a guest finds it.

What goes to KVM is seen by a library that is preloaded into both (kvm-cpuid-log.c); the guest is
tests/guest/cpuid.S. Some models make QEMU set an MSR that not every host's KVM takes, and then it
ends: those are compared without their feature arch-capabilities.

GODWIT_BINARY, QEMU_BINARY and QEMU_NEW_BINARY name the programs, CPUID_LOG_LIBRARY the library,
GUEST_DIR the directory of the guests.
"""

import os
import sys
import tempfile
import time
import unittest

HERE = os.path.dirname(os.path.abspath(__file__))
TOP = os.path.join(HERE, '..', '..')
sys.path[:0] = [os.path.join(TOP, 'scripts'), HERE]

from vmtools import programs, tap                                   # noqa: E402
from vmtools.machine import Machine, MachineError               # noqa: E402

GODWIT, QEMU, NEWER = (programs.find(n) for n in ('Godwit', 'QEMU 7.2', 'QEMU 10.0'))
LIBRARY = os.environ.get('CPUID_LOG_LIBRARY',
                         os.path.join(TOP, 'build', 'tests', 'interop', 'libkvm-cpuid-log.so'))
GUEST = os.path.join(os.environ.get('GUEST_DIR', os.path.join(TOP, 'build', 'tests', 'guest')),
                     'cpuid.elf')
MICROVM = 'microvm,acpi=off,pic=on,pit=off,rtc=off'
TOPOLOGY = ('-smp', '4,cores=2,threads=2')
# CPUs with options; names of the newer program's.
OPTIONS = ('qemu64,+avx,-sse4a,family=20,model=200,stepping=3,model-id=abc', 'Nehalem-v1,kvm=off',
           'Nehalem-v1,level=5,xlevel=0x80000001', 'Nehalem-v1,l3-cache=off', 'Nehalem,+la57',
           'Nehalem-v1,guest-phys-bits=40', 'EPYC-v4,-topoext', 'base,+sse2,+lm',
           'Skylake-Server-v1,vendor=GenuineIntel', 'max,arch-capabilities=off')
# The older one has other contents of some, and takes ERMS from hosts only that say they have it.
OLD_MODELS = ('qemu64', 'kvm64', 'qemu32', 'Nehalem', 'Opteron_G5', 'Westmere')


def table(binary, cpu, more=()):
    """The table for the first CPU: {(leaf, sub-leaf): registers}."""
    with tempfile.TemporaryDirectory() as directory:
        path = os.path.join(directory, 'cpuid')
        wrapper = os.path.join(directory, os.path.basename(binary))
        with open(wrapper, 'w', encoding='utf-8') as f:
            f.write(f"#!/bin/sh\nLD_PRELOAD='{LIBRARY}' CPUID_LOG='{path}' "
                    f"exec '{binary}' \"$@\"\n")
        os.chmod(wrapper, 0o755)
        with Machine(wrapper, ['-M', MICROVM, '-accel', 'kvm', '-m', '16M', '-S', '-cpu', cpu,
                               *more], directory=directory):
            with open(path, encoding='ascii') as f:
                rows = [line.split() for line in f]
    # Leaves that say nothing may be left out.
    return {(r[0], r[1]): r[3:] for r in rows if any(int(x, 16) for x in r[3:])}


def seen(binary, cpu, more=()):
    """What the guest prints."""
    with tempfile.TemporaryDirectory() as directory:
        path = os.path.join(directory, 'serial')
        text = ''
        with Machine(binary, ['-M', MICROVM, '-accel', 'kvm', '-m', '16M', '-cpu', cpu,
                              '-kernel', GUEST, '-serial', 'file:' + path, *more]):
            end = time.monotonic() + 60
            while not text.endswith('end\n') and time.monotonic() < end:
                time.sleep(0.02)
                with open(path, encoding='ascii') as f:
                    text = f.read()
    return text.splitlines()


@unittest.skipUnless(os.access('/dev/kvm', os.R_OK | os.W_OK), 'needs KVM')
@unittest.skipUnless(GODWIT, 'needs the emulator')
class CPUID(unittest.TestCase):
    maxDiff = None

    def same(self, qemu, cpu, more=()):
        try:
            theirs = table(qemu, cpu, more)
        except MachineError:
            cpu += ',arch-capabilities=off'
            theirs = table(qemu, cpu, more)
        with self.subTest(cpu=cpu, more=more):
            self.assertEqual(table(GODWIT, cpu, more), theirs)

    def models(self):
        with Machine(NEWER, ['-M', 'none', '-S']) as machine:
            return sorted(d['name'] for d in machine.command('query-cpu-definitions')
                          if d['name'] not in ('host', 'max'))

    @unittest.skipUnless(NEWER, 'needs a second QEMU')
    def test_every_model(self):
        for name in self.models():
            self.same(NEWER, name)

    @unittest.skipUnless(NEWER, 'needs a second QEMU')
    def test_topology(self):
        for name in ('qemu64', 'Skylake-Server-v1', 'EPYC-Genoa-v1', 'EPYC-v1', 'phenom-v1'):
            self.same(NEWER, name, TOPOLOGY)
            self.same(NEWER, name + ',vendor=GenuineIntel', TOPOLOGY)

    @unittest.skipUnless(NEWER, 'needs a second QEMU')
    def test_options(self):
        for cpu in OPTIONS:
            self.same(NEWER, cpu)

    @unittest.skipUnless(QEMU, 'needs a QEMU')
    def test_older_qemu(self):
        for name in OLD_MODELS:
            self.same(QEMU, name)

    @unittest.skipUnless(QEMU and os.path.exists(GUEST), 'needs a QEMU and the test guests')
    def test_guest_sees_the_same(self):
        for name in ('qemu64', 'Nehalem-v1', 'Opteron_G5'):
            with self.subTest(cpu=name):
                theirs, ours = seen(QEMU, name), seen(GODWIT, name)
                self.assertEqual(theirs[-1:], ['end'])
                self.assertEqual(ours, theirs)


@unittest.skipUnless(GODWIT and NEWER, 'needs both programs')
class Definitions(unittest.TestCase):
    """query-cpu-definitions and query-cpu-model-expansion answer as QEMU does."""

    def ask(self, binary):
        with Machine(binary, ['-M', 'none', '-accel', 'tcg', '-S']) as machine:
            definitions = {d['name']: d for d in machine.command('query-cpu-definitions')}
            for d in definitions.values():
                d.pop('unavailable-features')       # the accelerators are not the same
            models = {}
            for name, d in definitions.items():
                if 'alias-of' not in d and name not in ('max', 'host'):
                    model = machine.command('query-cpu-model-expansion', type='static',
                                            model={'name': name})['model']
                    self.assertEqual(model['name'], 'base')
                    models[name] = model['props']
        return definitions, models

    def test_models(self):
        (theirs, their_props), (ours, our_props) = self.ask(NEWER), self.ask(GODWIT)
        self.assertEqual(ours, theirs)
        for name, props in their_props.items():
            with self.subTest(model=name):
                got = our_props[name]
                self.assertEqual({k: v for k, v in got.items() if k in props},
                                 {k: v for k, v in props.items() if k in got})
                self.assertEqual(sorted(set(got) - set(props)), [])
                self.assertEqual(sorted(set(props) - set(got)), [])

    def test_errors(self):
        with Machine(GODWIT, ['-M', 'none', '-accel', 'tcg', '-S']) as machine:
            for model, words in (({'name': 'nope'}, 'nope'),
                                 ({'name': 'base', 'props': {'nope': True}}, 'nope'),
                                 ({'name': 'base', 'props': {'hv-time': True}}, 'hv-time'),
                                 ({'name': 'base', 'props': []}, 'props')):
                with self.assertRaises(Exception) as caught:
                    machine.command('query-cpu-model-expansion', type='full', model=model)
                self.assertIn(words, str(caught.exception))


if __name__ == '__main__':
    tap.main()
