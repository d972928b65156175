#!/usr/bin/env python3
# SPDX-License-Identifier: GPL-2.0-or-later
"""Makes target/i386/cpu-tables.c: names of CPU features and where CPUID has them, and CPU models.

Both are facts of an interface: a guest must find the same CPU after it moved, and what manages it
uses the same words. They are asked of a running QEMU, by QMP alone:

- the models: query-cpu-definitions, and query-cpu-model-expansion (full) of each;
- the place of a feature: which bit of a CPU's `feature-words` changes when it is turned on;
- caches of models that have their own: what CPUID says to the guest tests/guest/cpuid.S.

Usage: scripts/cpu-tables.py QEMU CPUID-GUEST > target/i386/cpu-tables.c
"""

import json
import os
import sys
import tempfile
import time
from concurrent.futures import ThreadPoolExecutor

sys.path.insert(0, os.path.dirname(os.path.abspath(__file__)))

from vmtools.machine import MICROVM, Machine, MachineError       # noqa: E402
from vmtools.qmp import QMPClosed                                # noqa: E402

# (leaf, sub-leaf or None, register) -> our name of the word
WORDS = {
    (0x1, None, 'EDX'): 'FEAT_1_EDX', (0x1, None, 'ECX'): 'FEAT_1_ECX',
    (0x6, None, 'EAX'): 'FEAT_6_EAX',
    (0x7, 0, 'EBX'): 'FEAT_7_0_EBX', (0x7, 0, 'ECX'): 'FEAT_7_0_ECX',
    (0x7, 0, 'EDX'): 'FEAT_7_0_EDX', (0x7, 1, 'EAX'): 'FEAT_7_1_EAX',
    (0x7, 1, 'EDX'): 'FEAT_7_1_EDX', (0x7, 2, 'EDX'): 'FEAT_7_2_EDX',
    (0xd, 0, 'EAX'): 'FEAT_XSAVE_XCR0_LO', (0xd, 0, 'EDX'): 'FEAT_XSAVE_XCR0_HI',
    (0xd, 1, 'EAX'): 'FEAT_XSAVE',
    (0xd, 1, 'ECX'): 'FEAT_XSAVE_XSS_LO', (0xd, 1, 'EDX'): 'FEAT_XSAVE_XSS_HI',
    (0x12, 0, 'EAX'): 'FEAT_SGX_12_0_EAX', (0x12, 0, 'EBX'): 'FEAT_SGX_12_0_EBX',
    (0x12, 1, 'EAX'): 'FEAT_SGX_12_1_EAX', (0x14, 0, 'ECX'): 'FEAT_14_0_ECX',
    (0x24, 0, 'EBX'): 'FEAT_24_0_EBX',
    (0x40000001, None, 'EAX'): 'FEAT_KVM', (0x40000001, None, 'EDX'): 'FEAT_KVM_HINTS',
    (0x80000001, None, 'EDX'): 'FEAT_8000_0001_EDX',
    (0x80000001, None, 'ECX'): 'FEAT_8000_0001_ECX',
    (0x80000007, None, 'EBX'): 'FEAT_8000_0007_EBX',
    (0x80000007, None, 'EDX'): 'FEAT_8000_0007_EDX',
    (0x80000008, None, 'EBX'): 'FEAT_8000_0008_EBX',
    (0x8000000a, None, 'EDX'): 'FEAT_8000_000A_EDX',
    (0x80000021, None, 'EAX'): 'FEAT_8000_0021_EAX',
    (0x80000021, None, 'EBX'): 'FEAT_8000_0021_EBX',
    (0x80000022, None, 'EAX'): 'FEAT_8000_0022_EAX',
    (0xc0000001, None, 'EDX'): 'FEAT_C000_0001_EDX',
}
# Words that are MSRs; `feature-words` does not show them. Bits as processors' manuals have them.
MSR_WORDS = {
    'FEAT_ARCH_CAPABILITIES': (0x10a, {
        'rdctl-no': 0, 'ibrs-all': 1, 'rsba': 2, 'skip-l1dfl-vmentry': 3, 'ssb-no': 4,
        'mds-no': 5, 'pschange-mc-no': 6, 'tsx-ctrl': 7, 'taa-no': 8, 'sbdr-ssdp-no': 13,
        'fbsdp-no': 14, 'psdp-no': 15, 'fb-clear': 17, 'bhi-no': 20, 'pbrsb-no': 24,
        'gds-no': 26, 'rfds-no': 27, 'rfds-clear': 28}),
    'FEAT_CORE_CAPABILITY': (0xcf, {'split-lock-detect': 5}),
    'FEAT_PERF_CAPABILITIES': (0x345, {'full-width-write': 13}),
}
# Bits that follow from others, so that none shows by itself when it is turned on.
DERIVED = {'fred': ('FEAT_7_1_EAX', 17), 'avx10': ('FEAT_7_1_EDX', 19),
           'avx10-128': ('FEAT_24_0_EBX', 16), 'avx10-256': ('FEAT_24_0_EBX', 17),
           'avx10-512': ('FEAT_24_0_EBX', 18), 'xsave': ('FEAT_1_ECX', 26)}
# Features that need others to be shown: looked for with these on.
CONTEXTS = (('tcg', ''), ('tcg', ',svm=on'), ('tcg', ',sgx=on,intel-pt=on'),
            ('kvm', ',kvmclock=off,kvm-steal-time=off,kvm-asyncpf=off,kvm-nopiodelay=off'
                    ',kvm-pv-eoi=off,kvmclock-stable-bit=off'))


class Asker:
    def __init__(self, qemu, guest):
        self.qemu = qemu
        self.guest = guest

    def feature_words(self, accel, options):
        with Machine(self.qemu, ['-M', MICROVM, '-accel', accel, '-m', '2M', '-S', '-cpu',
                                 'base,x-force-features=on' + options]) as machine:
            path = machine.command('query-cpus-fast')[0]['qom-path']
            words = machine.command('qom-get', path=path, property='feature-words')
        return {(w['cpuid-input-eax'], w.get('cpuid-input-ecx'), w['cpuid-register']):
                w['features'] for w in words}

    def places(self, names):
        """name -> (word, bit)"""
        found = {n: place for n, place in DERIVED.items() if n in names}
        for word, (_, bits) in MSR_WORDS.items():
            found.update({n: (word, b) for n, b in bits.items() if n in names})
        for accel, context in CONTEXTS:
            before = self.feature_words(accel, context)

            def ask(name):
                try:
                    after = self.feature_words(accel, f'{context},{name}=on')
                except (MachineError, QMPClosed):
                    return name, []
                return name, [(WORDS[k], after[k] ^ before[k])
                              for k in WORDS if after.get(k, 0) != before.get(k, 0)]

            with ThreadPoolExecutor(2) as pool:
                for name, change in pool.map(ask, [n for n in names if n not in found]):
                    if name == 'kvmclock' and change:
                        found[name] = 'FEAT_KVM', (0, 3)    # two bits with one name
                    elif len(change) == 1 and change[0][1] & (change[0][1] - 1) == 0:
                        found[name] = change[0][0], change[0][1].bit_length() - 1
        return found

    def models(self):
        with Machine(self.qemu, ['-M', 'none', '-accel', 'tcg', '-S']) as machine:
            definitions = machine.command('query-cpu-definitions')
            full = {}
            for d in definitions:
                if 'alias-of' not in d and d['name'] not in ('host', 'max', 'base'):
                    full[d['name']] = machine.command(
                        'query-cpu-model-expansion', type='full',
                        model={'name': d['name']})['model']['props']
            static = machine.command('query-cpu-model-expansion', type='static',
                                     model={'name': 'base'})['model']['props']
        with Machine(self.qemu, ['-M', 'none', '-accel', 'kvm', '-S']) as machine:
            properties = machine.command('qom-list-properties', typename='max-x86_64-cpu')
            for name, props in full.items():
                # TCG hides vme; SVM, which KVM hides by default, raises xlevel: see the rules
                # for accelerators in cpu-features.c.
                other = machine.command('query-cpu-model-expansion', type='full',
                                        model={'name': name})['model']['props']
                props['vme'] = other['vme']
                props['xlevel'] = min(props['xlevel'], other['xlevel'])
        return definitions, full, static, properties

    def cpuid(self, options):
        """What the guest sees: {(leaf, sub-leaf): [eax, ebx, ecx, edx]}"""
        with tempfile.TemporaryDirectory() as directory:
            path = os.path.join(directory, 'serial')
            text = ''
            with Machine(self.qemu, ['-M', MICROVM, '-accel', 'kvm', '-m', '16M', '-cpu', options,
                                     '-kernel', self.guest, '-serial', 'file:' + path]):
                end = time.monotonic() + 60
                while not text.endswith('end\n') and time.monotonic() < end:
                    time.sleep(0.02)
                    with open(path, encoding='ascii') as f:
                        text = f.read()
        rows = (line.split() for line in text.splitlines())
        return {(int(r[0], 16), int(r[1], 16)): [int(x, 16) for x in r[2:]]
                for r in rows if len(r) == 6}

    def caches(self, name, vendor):
        """L1 data, L1 instruction, L2, L3 as the initializers of X86CacheInfo."""
        leaves = self.cpuid(f'{name},vendor={vendor},+topoext')
        intel = self.cpuid(f'{name},vendor=GenuineIntel')       # tells of indexing, too
        l1 = leaves[0x80000005, 0]
        l2, l3 = leaves[0x80000006, 0][2:]
        out = []
        for i in range(4):
            eax, ebx, ecx, edx = leaves[0x8000001d, i]
            kind = {1: 'DATA', 2: 'INSTRUCTION', 3: 'UNIFIED'}[eax & 31]
            lines_per_tag = (l1[2] >> 8 & 0xff, l1[3] >> 8 & 0xff, l2 >> 8 & 15, l3 >> 8 & 15)[i]
            out.append(f'{{ CACHE_{kind}, {eax >> 5 & 7}, {(ebx & 0xfff) + 1}, '
                       f'{(ebx >> 12 & 0x3ff) + 1}, {(ebx >> 22) + 1}, {ecx + 1}, '
                       f'{lines_per_tag}, {eax >> 8 & 1}, {edx & 1}, {edx >> 1 & 1}, '
                       f'{intel[4, i][3] >> 2 & 1} }}')
        return tuple(out)


def c_string(text):
    return json.dumps(text)


def main(qemu, guest):
    asker = Asker(qemu, guest)
    definitions, full, static, properties = asker.models()
    booleans = [p['name'] for p in properties if p['type'] == 'bool']
    candidates = [n for n in booleans if not n.startswith(('vmx-', 'hv-', 'x-'))]
    places = asker.places(candidates)
    order = list(WORDS.values()) + list(MSR_WORDS)

    out = ["""/*
 * Names of CPU features, the bits that they are, and CPU models. Made by scripts/cpu-tables.py from
 * the answers of a QEMU; not edited by hand.
 *
 * SPDX-License-Identifier: GPL-2.0-or-later
 */
#include "qemu/osdep.h"
#include "cpu.h"
#include "cpu-models.h"

const X86FeatureWordInfo x86_feature_words[FEATURE_WORDS] = {"""]
    aliases = []
    by_word = {w: {} for w in order}
    for name, (word, bits) in sorted(places.items()):
        for bit in bits if isinstance(bits, tuple) else (bits,):
            by_word[word].setdefault(bit, []).append(name)
    locations = {name: key for key, name in WORDS.items()}
    for word in order:
        if word in locations:
            leaf, sub, reg = locations[word]
            where = (f'.leaf = {leaf:#x}, .subleaf = {sub or 0}, '
                     f'.reg = {"EAX EBX ECX EDX".split().index(reg)}')
        else:
            where = f'.msr = {MSR_WORDS[word][0]:#x}'
        out.append(f'    [{word}] = {{ {where}, .names = {{')
        for bit, names in sorted(by_word[word].items()):
            # The one that a static expansion uses is the name; the rest are other spellings.
            names.sort(key=lambda n: (n not in static, '_' in n, n))
            out.append(f'        [{bit}] = {c_string(names[0])},')
            aliases += [(n, names[0]) for n in names[1:]]
        out.append('    } },')
    out.append('};\n')
    out.append('const X86FeatureAlias x86_feature_aliases[] = {')
    out += [f'    {{ {c_string(a)}, {c_string(n)} }},' for a, n in sorted(set(aliases))]
    out.append('    { NULL, NULL },\n};\n')

    # Known by name, and refused or ignored by what they mean: see cpu-properties.c.
    others = sorted(n for n in booleans if n.startswith('vmx-'))
    out.append('const char *const x86_vmx_feature_names[] = {')
    out += [f'    {c_string(n)},' for n in others]
    out.append('    NULL,\n};\n')

    caches = {}
    for name, props in full.items():
        if not props['legacy-cache']:
            caches[name] = asker.caches(name, props['vendor'])
    kinds = sorted(set(caches.values()))
    for i, cache in enumerate(kinds):
        out.append(f'static const X86CacheInfo caches_{i}[4] = {{')
        out += [f'    {c},' for c in cache]
        out.append('};\n')

    out.append('static const X86CPUDefinition models[] = {')
    for name, props in sorted(full.items()):
        words = {}
        for feature, (word, bits) in places.items():
            if props.get(feature) is True:
                for bit in bits if isinstance(bits, tuple) else (bits,):
                    words[word] = words.get(word, 0) | 1 << bit
        out += [f'    {{',
                f'        .name = {c_string(name)},',
                f'        .level = {props["min-level"]:#x}, .xlevel = {props["xlevel"]:#x}, '
                f'.xlevel2 = {props["xlevel2"]:#x},',
                f'        .vendor = {c_string(props["vendor"])}, .family = {props["family"]}, '
                f'.model = {props["model"]}, .stepping = {props["stepping"]},',
                f'        .model_id = {c_string(props["model-id"])},']
        if props['avx10-version']:
            out.append(f'        .avx10_version = {props["avx10-version"]},')
        if name in caches:
            out.append(f'        .caches = caches_{kinds.index(caches[name])},')
        out.append('        .features = {')
        out += [f'            [{w}] = {words[w]:#010x},' for w in order if w in words]
        out += ['        },', '    },']
    out.append('};\n')
    out.append('const X86CPUDefinition *x86_cpu_models(unsigned *nr)\n{\n'
               '    *nr = ARRAY_SIZE(models);\n    return models;\n}\n')

    out.append('const X86CPUAlias x86_cpu_aliases[] = {')
    for d in sorted(definitions, key=lambda d: d['name']):
        if 'alias-of' in d:
            base = d['alias-of'].rpartition('-v')[0]
            fixed = 'NULL' if d['name'] == base else c_string(d['alias-of'])
            out.append(f'    {{ {c_string(d["name"])}, {fixed} }},')
    out.append('    { NULL, NULL },\n};')
    print('\n'.join(out))


if __name__ == '__main__':
    if len(sys.argv) != 3:
        sys.exit(__doc__)
    main(*sys.argv[1:])
