#!/usr/bin/python3
# SPDX-License-Identifier: GPL-2.0-or-later
"""Runs a group of tests/qtest/migration-test with a QEMU on one side, and leaves what came of it as
a row of docs/interop.md. What the program prints (TAP) goes through.

    test_migration_groups.py --list PROGRAM SIDE
    test_migration_groups.py --run PROGRAM SIDE GROUP MIGRATION-TEST
    test_migration_groups.py --cases

PROGRAM is older or newer, SIDE source or destination. The table of groups is here, and meson
takes it from here (--list).
"""

import json
import os
import re
import subprocess
import sys

HERE = os.path.dirname(os.path.abspath(__file__))
sys.path.insert(0, os.path.join(HERE, '..', '..', 'scripts'))

from vmtools import interop, programs                           # noqa: E402
from vmtools.programs import GODWIT, NEWER, OLDER               # noqa: E402

QEMU = {'older': OLDER, 'newer': NEWER}
SIDES = ('source', 'destination')
GUEST = ('microvm,acpi=off,pic=off,pit=off,rtc=off', '1 or 2, default', 'kvm, tcg')

# group -> feature, transport, what it is on
GROUPS = {
    'transport': ('all forms of addresses, failing commands', 'tcp, unix, fd, exec'),
    'channels': ('addresses as lists', 'tcp, unix, exec, file'),
    'cancel': ('cancelled in every phase, and again', 'tcp, unix, exec, fd'),
    'error': ('bad addresses, dead peers, garbage, other machines', 'tcp, unix'),
    'uuid': ('validate-uuid', 'tcp'),
    'parameters': ('parameters: defaults, set, refused', '-'),
    'events': ('events in order; pause-before-switchover', 'tcp'),
    'bandwidth': ('max-bandwidth', 'tcp'),
    'memory': ('into memory that was used before', 'tcp'),
    'guest': ('running guest, no write lost', 'unix', *GUEST),
    'hops': ('there, back and there again', 'unix'),
    'twice': ('the same source saved twice', 'tcp, exec'),
    'return-path': ('return-path', 'tcp'),
    'continue': ('migrate-continue after pause-before-switchover', 'tcp'),
    'end': ('ended in the middle', 'tcp'),
    'name': ('different -name', 'tcp'),
    'capabilities': ('capabilities: all names, refused ones', '-'),
    'autostart': ('-S on either side', 'tcp'),
    'early-cont': ('cont while the stream comes', 'tcp'),
    'hmp': ('driven by HMP', 'tcp'),
    'tls': ('TLS: x509, psk, anon; one channel and multifd; refusals', 'tcp, unix'),
}
# What is about the one program alone, and what it has nothing of
LEFT_OUT = {
    ('older', 'source'): {'channels'},
    ('older', 'destination'): {'channels'},
    ('newer', 'source'): {'cancel', 'error', 'parameters', 'capabilities'},
    ('newer', 'destination'): {'error', 'parameters', 'capabilities'},
}
# Single tests, likewise: QEMU takes no interest in the status of the command that its stream
# went to, hangs when it is cancelled in a TLS handshake, and has no place left for the real source
# when others connect and say nothing.
SKIP = {
    ('newer', 'source'): ['/migration/transport/exec/fails-late', '/migration/tls/cancel'],
    ('older', 'source'): ['/migration/tls/cancel'],
    ('newer', 'destination'): ['/migration/tls/silent-clients'],
    ('older', 'destination'): ['/migration/tls/silent-clients'],
}
# What may be skipped without the row becoming untrue
FEW_HAVE = ('/transport/vsock', '/transport/exec/fails-late', '/tls/cancel', '/tls/silent-clients')


def groups(which, side):
    return [g for g in GROUPS if g not in LEFT_OUT[which, side]]


def case(which, side, group):
    feature, transport, *more = GROUPS[group]
    pair = (QEMU[which], GODWIT) if side == 'source' else (GODWIT, QEMU[which])
    return interop.Case(*pair, *(more or ('none', '-', '-')), transport, feature)


def run(which, side, group, program):
    """Its status is the program's."""
    if group not in groups(which, side):
        sys.exit(f'group {group} is not in the table of {sys.argv[0]}')
    why = programs.why_missing(QEMU[which], GODWIT)
    if why:
        print(f'1..0 # SKIP {why}')
        return 0
    env = {**os.environ, 'QTEST_QEMU_BINARY': programs.find(GODWIT),
           f'QTEST_QEMU_BINARY_{"SRC" if side == "source" else "DST"}': programs.find(QEMU[which])}
    argv = [program, '-r', '/migration/' + group]
    for test in SKIP.get((which, side), ()):
        if test.startswith(f'/migration/{group}/'):
            argv += ['-s', test]
    passed = failed = 0
    reason = ''
    with subprocess.Popen(argv, env=env, stdout=subprocess.PIPE, text=True,
                          errors='replace') as process:
        for line in process.stdout:
            sys.stdout.write(line)
            sys.stdout.flush()
            passed += bool(re.match(r'ok\b(?!.*# *SKIP)', line, re.IGNORECASE))
            failed += bool(re.match(r'not ok\b|Bail out', line))
            if re.search(r'# *SKIP', line, re.IGNORECASE) and not any(x in line for x in FEW_HAVE):
                reason = line.rpartition('#')[2].strip()
    # A row does not say more than was seen.
    result = ('failed' if failed or process.returncode
              else 'skipped' if reason or not passed else 'passed')
    directory = os.environ.get('INTEROP_RESULTS')
    if directory:
        os.makedirs(directory, exist_ok=True)
        with open(os.path.join(directory, 'migration-test.jsonl'), 'w', encoding='utf-8') as f:
            f.write(json.dumps({**case(which, side, group)._asdict(), 'test': group,
                                'result': result, 'reason': reason,
                                'figures': {'points': passed}}) + '\n')
    return process.returncode if process.returncode >= 0 else 128 - process.returncode


def main():
    arguments = sys.argv[1:]
    if arguments == ['--cases']:
        for which, side in LEFT_OUT:
            for group in groups(which, side):
                print(json.dumps(case(which, side, group)._asdict()))
    elif len(arguments) == 3 and arguments[0] == '--list':
        print('\n'.join(groups(arguments[1], arguments[2])))
    elif len(arguments) == 5 and arguments[0] == '--run':
        sys.exit(run(*arguments[1:]))
    else:
        sys.exit(__doc__)


if __name__ == '__main__':
    main()
