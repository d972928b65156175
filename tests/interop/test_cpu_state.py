#!/usr/bin/env python3
# SPDX-License-Identifier: GPL-2.0-or-later
"""Every part that section "cpu" can have, written by hand into a stream, is taken by a real QEMU
and by this program alike, and comes out of both again with the same values under the same names.

The stream is that of a machine which has not run, under TCG: there nothing but the CPU's state
itself answers for a register, so that what the host has or lacks does not matter.

GODWIT_BINARY and QEMU_BINARY name the programs, QEMU_NEW_BINARY a second QEMU.
"""

import os
import random
import struct
import sys
import tempfile
import unittest

HERE = os.path.dirname(os.path.abspath(__file__))
TOP = os.path.join(HERE, '..', '..')
sys.path[:0] = [os.path.join(TOP, 'scripts'), HERE]

from vmtools import migrate, programs, tap                                # noqa: E402
from vmtools.machine import MICROVM, Machine, for_older, interface_version  # noqa: E402
from vmtools.qmp import QMPClosed                                # noqa: E402
from vmtools.stream import SUBSECTION, Stream, open_stream      # noqa: E402


BINARIES = {'godwit': programs.find('Godwit'), 'qemu': programs.find('QEMU 7.2'),
            'newer': programs.find('QEMU 10.0')}
MACHINE = ['-M', MICROVM, '-accel', 'tcg', '-m', '2M', '-S']
NEWER_ONLY = ('cpu/fred', 'cpu/msr_hwcr')
# Taken by QEMU, but told only where TCG or this CPU cannot bring it to: in a nested guest, with
# KVM's Hyper-V, with local machine checks, with FRED.
QEMU_KEEPS = ('cpu/exception_info', 'cpu/msr_hyperv_runtime', 'cpu/mcg_ext_ctl', 'cpu/fred')

# name: fields as (name, bytes, how many). Those that come only with others are left to the rest.
Q, D, W, B = 8, 4, 2, 1
SUBSECTIONS = {
    'cpu/exception_info': [('env.exception_pending', B, 1), ('env.exception_injected', B, 1),
                           ('env.exception_has_payload', B, 1), ('env.exception_payload', Q, 1)],
    'cpu/async_pf_msr': [('env.async_pf_en_msr', Q, 1)],
    'cpu/async_pf_int_msr': [('env.async_pf_int_msr', Q, 1)],
    'cpu/async_pv_eoi_msr': [('env.pv_eoi_en_msr', Q, 1)],
    'cpu/steal_time_msr': [('env.steal_time_msr', Q, 1)],
    'cpu/poll_control_msr': [('env.poll_control_msr', Q, 1)],
    'cpu/fpop_ip_dp': [('env.fpop', W, 1), ('env.fpip', Q, 1), ('env.fpdp', Q, 1)],
    'cpu/msr_tsc_adjust': [('env.tsc_adjust', Q, 1)],
    'cpu/msr_tscdeadline': [('env.tsc_deadline', Q, 1)],
    'cpu/msr_ia32_misc_enable': [('env.msr_ia32_misc_enable', Q, 1)],
    'cpu/msr_ia32_feature_control': [('env.msr_ia32_feature_control', Q, 1)],
    'cpu/msr_architectural_pmu': [
        ('env.msr_fixed_ctr_ctrl', Q, 1), ('env.msr_global_ctrl', Q, 1),
        ('env.msr_global_status', Q, 1), ('env.msr_global_ovf_ctrl', Q, 1),
        ('env.msr_fixed_counters', Q, 3), ('env.msr_gp_counters', Q, 18),
        ('env.msr_gp_evtsel', Q, 18)],
    'cpu/mpx': [('env.bnd_regs', Q, 8), ('env.bndcs_regs.cfgu', Q, 1),
                ('env.bndcs_regs.sts', Q, 1), ('env.msr_bndcfgs', Q, 1)],
    'cpu/msr_hyperv_hypercall': [('env.msr_hv_guest_os_id', Q, 1), ('env.msr_hv_hypercall', Q, 1)],
    'cpu/msr_hyperv_vapic': [('env.msr_hv_vapic', Q, 1)],
    'cpu/msr_hyperv_time': [('env.msr_hv_tsc', Q, 1)],
    'cpu/msr_hyperv_crash': [('env.msr_hv_crash_params', Q, 5)],
    'cpu/msr_hyperv_runtime': [('env.msr_hv_runtime', Q, 1)],
    'cpu/msr_hyperv_synic': [
        ('env.msr_hv_synic_control', Q, 1), ('env.msr_hv_synic_evt_page', Q, 1),
        ('env.msr_hv_synic_msg_page', Q, 1), ('env.msr_hv_synic_sint', Q, 16)],
    'cpu/msr_hyperv_stimer': [('env.msr_hv_stimer_config', Q, 4),
                              ('env.msr_hv_stimer_count', Q, 4)],
    'cpu/msr_hyperv_reenlightenment': [
        ('env.msr_hv_reenlightenment_control', Q, 1), ('env.msr_hv_tsc_emulation_control', Q, 1),
        ('env.msr_hv_tsc_emulation_status', Q, 1)],
    'cpu/avx512': [('env.opmask_regs', Q, 8), ('env.xmm_regs', Q, 16 * 4),
                   ('env.xmm_regs[16]', Q, 16 * 8)],
    'cpu/xss': [('env.xss', Q, 1)],
    'cpu/umwait': [('env.umwait', D, 1)],
    'cpu/tsc_khz': [('env.tsc_khz', Q, 1)],
    'cpu/msr_smi_count': [('env.msr_smi_count', Q, 1)],
    'cpu/pkru': [('env.pkru', D, 1)],
    'cpu/pkrs': [('env.pkrs', D, 1)],
    'cpu/spec_ctrl': [('env.spec_ctrl', Q, 1)],
    'cpu/amd_tsc_scale_msr': [('env.amd_tsc_scale_msr', Q, 1)],
    'cpu/mcg_ext_ctl': [('env.mcg_ext_ctl', Q, 1)],
    'cpu/intel_pt': [
        ('env.msr_rtit_ctrl', Q, 1), ('env.msr_rtit_status', Q, 1),
        ('env.msr_rtit_output_base', Q, 1), ('env.msr_rtit_output_mask', Q, 1),
        ('env.msr_rtit_cr3_match', Q, 1), ('env.msr_rtit_addrs', Q, 8)],
    'cpu/virt_ssbd': [('env.virt_ssbd', Q, 1)],
    'cpu/svn_npt': [('env.nested_cr3', Q, 1), ('env.nested_pg_mode', D, 1)],
    'cpu/svm_guest': [('env.int_ctl', D, 1)],
    'cpu/msr_tsx_ctrl': [('env.tsx_ctrl', D, 1)],
    'cpu/intel_sgx': [('env.msr_ia32_sgxlepubkeyhash', Q, 4)],
    'cpu/pdptrs': [('env.pdptrs', Q, 4)],
    'cpu/msr_xfd': [('env.msr_xfd', Q, 1), ('env.msr_xfd_err', Q, 1)],
    'cpu/intel_amx_xtile': [('env.xtilecfg', B, 64), ('env.xtiledata', B, 8192)],
    'cpu/arch_lbr': [('env.msr_lbr_ctl', Q, 1), ('env.msr_lbr_depth', Q, 1),
                     ('env.lbr_records', Q, 3 * 32)],
    'cpu/triple_fault': [('env.triple_fault_pending', B, 1)],
    'cpu/fred': [(f'env.fred_{x}', Q, 1) for x in
                 ('rsp0', 'rsp1', 'rsp2', 'rsp3', 'stklvls', 'ssp1', 'ssp2', 'ssp3', 'config')],
    'cpu/msr_hwcr': [('env.msr_hwcr', Q, 1)],
}
VALUES = {
    'cpu/exception_info': struct.pack('>BBBQ', 1, 0, 1, 0x1234567890),
    'cpu/triple_fault': b'\1',
    'cpu/tsc_khz': struct.pack('>Q', 2345678),
    'cpu/poll_control_msr': struct.pack('>Q', 0),
    'cpu/arch_lbr': struct.pack('>98Q', 1, 32, *range(100, 196)),
}

# Fields outside of subsections that some of these are only told with.
CHANGES = {
    'env.hflags2': 1 << 6,              # with nested paging
    'env.exception_nr': 14,
    'env.mcg_cap': 1 << 27 | 10,        # local machine checks
}
# QEMU tells some parts only of a CPU that has the feature; TCG lacks these, and is not asked.
FEATURES = ('x-force-features=on,check=off,+tsc-scale,+arch-capabilities,+tsx-ctrl,+sgx,+sgxlc,'
            '+xsave,+xfd,+amx-tile,+arch-lbr')
FEATURES_10 = ',+fred'


def subsection(name):
    """A subsection as it travels, every value different from zero and from the others."""
    rng = random.Random(name)
    data = VALUES.get(name)
    if data is None:
        data = b''.join(rng.randrange(1, 1 << (8 * size - 1)).to_bytes(size, 'big')
                        for _, size, count in SUBSECTIONS[name] for _ in range(count))
    return struct.pack('>BB', SUBSECTION, len(name)) + name.encode() + struct.pack('>I', 1) + data


def save(machine, path):
    machine.command('migrate', uri='exec:cat >' + path)
    migrate.wait_status(machine)
    info = machine.command('query-migrate')
    if info['status'] != 'completed':
        raise AssertionError(f'{machine.name}: {info}: {machine.stderr()}')


def flat(value, path=''):
    """Fields as {path: value}; subsections among them."""
    if isinstance(value, dict):
        out = {}
        for key, inner in value.items():
            if key not in ('offset', 'instance'):
                out.update(flat(inner, f'{path}/{key}'))
        return out
    if isinstance(value, list):
        out = {}
        for i, inner in enumerate(value):
            out.update(flat(inner, f'{path}[{i}]'))
        return out
    return {path: value}


def cpu_section(path):
    """Section "cpu" of a saved machine, decoded."""
    stream = Stream(open_stream(path)).parse()
    return next(d for d in stream.devices if d['name'] == 'cpu')


@unittest.skipUnless(BINARIES['qemu'] and BINARIES['godwit'], 'needs both programs')
class CpuState(unittest.TestCase):
    maxDiff = None

    @classmethod
    def setUpClass(cls):
        cls.directory = tempfile.TemporaryDirectory(prefix='cpu-state-')
        cls.base = os.path.join(cls.directory.name, 'base')
        # The oldest program's, which all of them read.
        with Machine(BINARIES['qemu'], MACHINE, 'base') as machine:
            save(machine, cls.base)
        with open(cls.base, 'rb') as f:
            cls.data = f.read()
        sections = Stream(cls.data).parse().sections
        at = next(i for i, s in enumerate(sections) if s.get('name') == 'cpu')
        cls.start = sections[at]['offset'] + 1 + 4 + 1 + len('cpu') + 4 + 4
        cls.end = sections[at + 1]['offset'] - 5            # before the footer
        first = cls.data.find(b'cpu/', cls.start, cls.end)
        cls.fields_end = first - 2 if first >= 0 else cls.end
        # Where each plain field is, so that it can be changed.
        cls.places, at = {}, 0
        for field in next(d for d in Stream(cls.data).parse().vmdesc['devices']
                          if d['name'] == 'cpu')['fields']:
            cls.places[field['name']] = at, field['size']
            at += field['size'] * field.get('array_len', 1)
        assert at == cls.fields_end - cls.start, (at, cls.fields_end - cls.start)

    @classmethod
    def tearDownClass(cls):
        cls.directory.cleanup()

    def make(self, names, path, changes=()):
        """The base stream, with these subsections in its CPU's section and without its own.
        `changes`: fields outside of subsections that get another value."""
        body = bytearray(self.data[self.start:self.fields_end])
        for name, value in dict(changes).items():
            at, size = self.places[name]
            body[at:at + size] = value.to_bytes(size, 'big')
        with open(path, 'wb') as f:
            f.write(self.data[:self.start] + body + b''.join(subsection(n) for n in names)
                    + self.data[self.end:])

    def through(self, which, names, changes=()):
        """What `which` has read from such a stream, as it saves it again; flattened."""
        into, out = (os.path.join(self.directory.name, which + x) for x in ('.in', '.out'))
        self.make(names, into, changes)
        options = ['-cpu', 'qemu64']
        if which != 'godwit':
            options[1] += ',' + FEATURES
            if interface_version(BINARIES[which]) >= (10, 0):
                options[1] += FEATURES_10
        with Machine(BINARIES[which], MACHINE + options + ['-incoming', 'exec:cat ' + into]
                     + for_older(BINARIES[which], BINARIES['qemu']), which) as machine:
            try:
                status = migrate.wait_status(machine)['status']
            except QMPClosed:
                status = 'ended'
            self.assertEqual(status, 'completed', machine.stderr())
            save(machine, out)
        return cpu_section(out)

    def values(self, name):
        """The words of a subsection, in the order in which they travel."""
        raw, out = subsection(name)[2 + len(name) + 4:], []
        for _, size, count in SUBSECTIONS[name]:
            for _ in range(count):
                out.append(int.from_bytes(raw[:size], 'big'))
                raw = raw[size:]
        return out

    def check(self, which):
        if BINARIES[which] is None:
            self.skipTest('needs a second QEMU')
        known = [n for n in SUBSECTIONS if n not in NEWER_ONLY
                 or interface_version(BINARIES[which]) >= (10, 0)]
        found = self.through(which, known, CHANGES)
        subs = found['subsections']
        if which != 'godwit':
            known = [n for n in known if n not in QEMU_KEEPS]
        self.assertEqual(sorted(subs), sorted(known))
        for name in known:
            mask = [(1 << (8 * size)) - 1 for _, size, count in SUBSECTIONS[name]
                    for _ in range(count)]
            got = []
            for value in flat(subs[name]['fields']).values():
                if isinstance(value, str):
                    got += bytes.fromhex(value)
                else:
                    got.append(value)
            with self.subTest(subsection=name):
                self.assertEqual([g & m for g, m in zip(got, mask)], self.values(name))
                self.assertEqual(len(got), len(mask))
        return found

    def test_qemu(self):
        self.check('qemu')

    def test_newer_qemu(self):
        self.check('newer')

    def test_godwit(self):
        self.check('godwit')

    def test_same_names(self):
        """Both programs describe all of it alike: names, types, sizes, order."""
        if BINARIES['newer'] is None:
            self.skipTest('needs a second QEMU')
        ours, theirs = (self.check(which) for which in ('godwit', 'newer'))
        for name in QEMU_KEEPS:
            ours['subsections'].pop(name, None)
        self.assertEqual(list(flat(ours)), list(flat(theirs)))
        for found in (ours, theirs):
            # QEMU delivers a waiting exception's payload when it saves, where no nested guest is
            # that could want it, and derives this from int_ctl; here both stay as they came.
            found['fields'].pop('env.cr[2]')
            found['fields'].pop('env.v_tpr')
        self.assertEqual(flat(ours), flat(theirs))


if __name__ == '__main__':
    tap.main()
