#!/usr/bin/python3
# SPDX-License-Identifier: GPL-2.0-or-later
"""libvirt looks at this program, as it looks at every QEMU before it uses it.

virsh loads libvirt's QEMU driver into itself ("qemu:///embed"): there is no daemon, and all that it
writes is in the test's own directory. As root the driver wants a system user that only the daemon's
package makes, so it runs in a user namespace as nobody in particular.

Needs Debian's libvirt-clients and libvirt-daemon-driver-qemu; skips without them.
"""

import os
import shutil
import subprocess
import sys
import tempfile
import unittest
import xml.etree.ElementTree as ET

HERE = os.path.dirname(os.path.abspath(__file__))
sys.path[:0] = [os.path.join(HERE, '..', '..', 'scripts'), HERE]

from vmtools import programs, tap                               # noqa: E402
from vmtools.machine import Machine                             # noqa: E402

VIRSH = shutil.which('virsh')
NAMESPACE = ['unshare', '--user', '--map-user=1000', '--map-group=1000'] \
    if os.geteuid() == 0 else []
TIMEOUT = 120


def why_not():
    """The reason to skip all of this; None if there is none."""
    if VIRSH is None:
        return 'libvirt is not installed (libvirt-clients)'
    if NAMESPACE and shutil.which(NAMESPACE[0]) is None:
        return 'there is no unshare (util-linux)'
    with tempfile.TemporaryDirectory(prefix='godwit-libvirt-') as directory:
        done = virsh(directory, 'uri')      # starts the driver, and asks no emulator
    if done.returncode:
        return ('the driver (libvirt-daemon-driver-qemu) does not start: '
                + done.stderr.strip()[-300:])
    return None


def virsh(directory, *arguments):
    """Runs it with the embedded driver. Its PATH has one emulator, this program."""
    for name in ('bin', 'home', 'run', 'root'):
        os.makedirs(os.path.join(directory, name), exist_ok=True)
    link = os.path.join(directory, 'bin', 'qemu-system-x86_64')
    if not os.path.lexists(link):
        os.symlink(os.path.abspath(programs.find(programs.GODWIT)), link)
    environment = {**os.environ, 'LC_ALL': 'C', 'HOME': os.path.join(directory, 'home'),
                   'XDG_RUNTIME_DIR': os.path.join(directory, 'run'),
                   'PATH': os.path.join(directory, 'bin')}
    for name in ('XDG_CACHE_HOME', 'XDG_CONFIG_HOME', 'XDG_DATA_HOME', 'LIBVIRT_DEFAULT_URI'):
        environment.pop(name, None)
    namespace = [shutil.which(NAMESPACE[0]), *NAMESPACE[1:]] if NAMESPACE else []
    return subprocess.run(
        [*namespace, VIRSH, '-q', '-c', f'qemu:///embed?root={directory}/root', *arguments],
        env=environment, stdin=subprocess.DEVNULL, capture_output=True, text=True,
        timeout=TIMEOUT, check=False)


REASON = why_not() if programs.find(programs.GODWIT) else programs.why_missing(programs.GODWIT)


@unittest.skipIf(REASON, REASON)
class Libvirt(unittest.TestCase):
    @classmethod
    def setUpClass(cls):
        cls.directory = tempfile.TemporaryDirectory(prefix='godwit-libvirt-')
        cls.addClassCleanup(cls.directory.cleanup)
        machine = Machine(programs.find(programs.GODWIT), ['-M', 'none', '-accel', 'kvm',
                                                           '-accel', 'tcg', '-accel', 'qtest'],
                          'probe', cls.directory.name)
        try:
            cls.machines = machine.command('query-machines')
            cls.cpus = machine.command('query-cpu-definitions')
            cls.has_kvm = machine.command('query-kvm')['enabled']
            cls.has_tcg = any(accel['name'] == 'tcg-accel' for accel in
                              machine.command('qom-list-types', implements='accel', abstract=False))
        finally:
            machine.end()

    def virsh(self, *arguments):
        done = virsh(self.directory.name, *arguments)
        self.assertEqual(done.returncode, 0, done.stderr)
        return ET.fromstring(done.stdout)

    def capabilities(self, *arguments):
        return self.virsh('domcapabilities', '--emulatorbin',
                          os.path.join(self.directory.name, 'bin', 'qemu-system-x86_64'),
                          *arguments)

    def domains(self):
        return [name for name, there in (('kvm', self.has_kvm), ('qemu', self.has_tcg)) if there]

    def test_it_is_an_emulator_for_guests(self):
        """`virsh capabilities` finds it, with all machines and both ways to run them."""
        arch = self.virsh('capabilities').find("guest/arch[@name='x86_64']")
        self.assertIsNotNone(arch, 'libvirt takes it for no emulator of x86_64 guests')
        self.assertEqual(arch.findtext('emulator'),
                         os.path.join(self.directory.name, 'bin', 'qemu-system-x86_64'))
        listed = {machine.text: machine for machine in arch.findall('machine')}
        for machine in self.machines:
            if machine['name'] == 'none':
                self.assertNotIn('none', listed)    # libvirt's own for probing
                continue
            self.assertEqual(int(listed[machine['name']].get('maxCpus')), machine['cpu-max'])
            if 'alias' in machine:
                self.assertEqual(listed[machine['alias']].get('canonical'), machine['name'])
        self.assertEqual({name for name, entry in listed.items() if not entry.get('canonical')},
                         {machine['name'] for machine in self.machines} - {'none'})
        kinds = [domain.get('type') for domain in arch.findall('domain')]
        for kind in self.domains():
            self.assertIn(kind, kinds)

    def test_every_machine(self):
        """Each machine by its name and its alias, each way to run it."""
        names = [machine[key] for machine in self.machines for key in ('name', 'alias')
                 if key in machine and machine['name'] != 'none'
                 and (key == 'alias' or 'alias' in machine or machine['name'] == 'microvm')]
        canonical = {machine.get('alias'): machine['name'] for machine in self.machines}
        for kind in self.domains():
            for name in names:
                with self.subTest(domain=kind, machine=name):
                    found = self.capabilities('--virttype', kind, '--machine', name)
                    self.assertEqual(found.findtext('domain'), kind)
                    self.assertEqual(found.findtext('arch'), 'x86_64')
                    self.assertEqual(found.findtext('machine'), canonical.get(name, name))

    def test_default_machine(self):
        default = next((m['name'] for m in self.machines if m.get('is-default')), None)
        if default is None:
            self.skipTest('there is no default machine')
        self.assertEqual(self.capabilities('--virttype', self.domains()[0]).findtext('machine'),
                         default)

    def test_unknown_machine(self):
        done = virsh(self.directory.name, 'domcapabilities', '--emulatorbin',
                     os.path.join(self.directory.name, 'bin', 'qemu-system-x86_64'),
                     '--virttype', self.domains()[0], '--machine', 'wooden')
        self.assertNotEqual(done.returncode, 0)
        self.assertIn("machine 'wooden' is not supported", done.stderr)

    def modes(self, kind):
        found = self.capabilities('--virttype', kind)
        return {mode.get('name'): mode for mode in found.findall('cpu/mode')}

    def test_cpus(self):
        """Every model that libvirt knows is offered, as usable as the program says."""
        for kind in self.domains():
            with self.subTest(domain=kind):
                custom = self.modes(kind)['custom']
                self.assertEqual(custom.get('supported'), 'yes')
                models = {model.text: model.get('usable') for model in custom.findall('model')}
                self.assertIn('qemu64', models)
                self.assertLessEqual(set(models), {cpu['name'] for cpu in self.cpus})

    def test_usable_cpus(self):
        """With KVM, what query-cpu-definitions finds nothing missing for."""
        if not self.has_kvm:
            self.skipTest('KVM cannot be used')
        usable = {cpu['name'] for cpu in self.cpus if cpu.get('unavailable-features') == []}
        models = {model.text: model.get('usable')
                  for model in self.modes('kvm')['custom'].findall('model')}
        self.assertEqual({name for name, is_usable in models.items() if is_usable == 'yes'},
                         usable & set(models))

    def test_host_cpu(self):
        """With KVM: the host's CPU as it is, and as libvirt describes it by a model."""
        if not self.has_kvm:
            self.skipTest('KVM cannot be used')
        modes = self.modes('kvm')
        for name in ('host-passthrough', 'maximum', 'host-model'):
            self.assertEqual(modes[name].get('supported'), 'yes', name)
        self.assertIn(modes['host-model'].findtext('model'), {cpu['name'] for cpu in self.cpus})
        self.assertTrue(modes['host-model'].findall('feature'))

    def test_memory(self):
        found = self.capabilities('--virttype', self.domains()[0])
        sources = [v.text for v in found.findall("memoryBacking/enum[@name='sourceType']/value")]
        self.assertEqual(sorted(sources), ['anonymous', 'file', 'memfd'])

    def test_nothing_that_is_not_there(self):
        """What only QEMU has is not taken to be here."""
        found = self.capabilities('--virttype', self.domains()[0])
        for part in ('features/sev', 'features/sgx', 'devices/tpm', 'devices/redirdev'):
            self.assertEqual(found.find(part).get('supported'), 'no', part)


if __name__ == '__main__':
    tap.main()
