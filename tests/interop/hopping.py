# SPDX-License-Identifier: GPL-2.0-or-later
"""How the hopping guest (tests/guest/hop64.elf) is started, alike in all programs."""

import fcntl
import os
import struct

from vmtools.machine import MICROVM, for_older
from vmtools import programs

TOP = os.path.normpath(os.path.join(os.path.dirname(os.path.abspath(__file__)), '..', '..'))
GUEST = os.path.join(os.environ.get('GUEST_DIR', os.path.join(TOP, 'build', 'tests', 'guest')),
                     'hop64.elf')
SMALL, ALL, ALL_PIC = ('microvm, few devices', 'microvm, all devices',
                       'microvm, all devices, by the PICs')
SHORT = {SMALL: 'few', ALL: 'all', ALL_PIC: 'pic'}     # in names of tests
# Machine -> its options; the guest's, which say how its interrupts come.
#
# A guest whose interrupts come by the PICs does not move between QEMUs without harm. In this
# machine QEMU has the PICs outside of KVM, where a vector that KVM was given and that the guest has
# not taken yet is forgotten when the guest is stopped: for the PIC it stays in service for ever. With
# kernel-irqchip=on the guest uses those in the kernel, and QEMU saves those outside.
MACHINES = {
    SMALL: (MICROVM, ''),
    ALL: ('microvm,acpi=on,pic=on,pit=on,rtc=on', 'pit=ioapic rtc=ioapic serial=ioapic'),
    ALL_PIC: ('microvm,acpi=on,pic=on,pit=on,rtc=on', 'pit=pic rtc=pic serial=pic'),
}


def why_not(accel):
    """What is missing, in words, or None."""
    if not os.path.exists(GUEST):
        return f'{GUEST} is not built'
    if accel == 'kvm' and not os.access('/dev/kvm', os.R_OK | os.W_OK):
        return '/dev/kvm cannot be opened'
    return None


def kvm_vectors():
    """How wide registers are that KVM keeps for its guests: 0 SSE, 1 AVX, 2 AVX-512. A nested KVM
    may show its guests more than it keeps, and programs then do not move it."""
    get_supported_cpuid, entries = 0xc008ae05, 256
    buffer = bytearray(8 + 40 * entries)
    struct.pack_into('I', buffer, 0, entries)
    with open('/dev/kvm', 'rb', buffering=0) as kvm:
        fcntl.ioctl(kvm, get_supported_cpuid, buffer)
    leaves = {}
    for i in range(struct.unpack_from('I', buffer)[0]):
        leaf, index, _, *registers = struct.unpack_from('7I', buffer, 8 + 40 * i)
        leaves[leaf, index] = registers
    if not leaves[1, 0][2] >> 28 & 1:
        return 0
    return 2 if leaves.get((7, 0), [0] * 4)[1] >> 16 & 1 else 1


def guest_append(machine, vcpus, accel):
    """The guest's command line."""
    avx = f'avx={kvm_vectors()}' if accel == 'kvm' else ''
    return f'vcpus={vcpus} every=50 dead=15000 jump=20000 {avx} {MACHINES[machine][1]}'


def firmware():
    """One file for all: the block that it makes is a part of what moves."""
    for path in ('/usr/share/qemu/bios-microvm.bin', '/usr/share/seabios/bios-microvm.bin'):
        if os.path.exists(path):
            return ['-bios', path]
    return []


def machine_arguments(program, chain, machine, vcpus, accel, extra=''):
    """Arguments for one of a chain of programs between which the guest moves."""
    oldest = programs.OLDER if programs.OLDER in chain else program
    return ['-M', MACHINES[machine][0], '-accel', accel, '-m', '32M',
            '-smp', str(vcpus), '-kernel', GUEST, '-append',
            f'{guest_append(machine, vcpus, accel)} {extra}'.strip(),
            *for_older(programs.find(program), programs.find(oldest)),
            *(firmware() if machine != SMALL else [])]
