# SPDX-License-Identifier: GPL-2.0-or-later
"""Where the programs under test are, by the names that they have in docs/interop.md.

| name | variable | otherwise |
| Godwit | GODWIT_BINARY | build/godwit-system-x86_64 of this source tree |
| QEMU 7.2 | QEMU_BINARY | qemu-system-x86_64 from the path |
| QEMU 10.0 | QEMU_NEW_BINARY | what scripts/fetch-qemu has put into build/qemu-backports |

The second and third are an older and a newer QEMU, whatever their versions are: the names are
those of the releases that the results in the documentation are from.
"""

import os
import shutil
import subprocess

TOP = os.path.normpath(os.path.join(os.path.dirname(os.path.abspath(__file__)), '..', '..'))
GODWIT, OLDER, NEWER = 'Godwit', 'QEMU 7.2', 'QEMU 10.0'
NAMES = (OLDER, NEWER, GODWIT)

_WHERE = {
    GODWIT: ('GODWIT_BINARY', os.path.join(TOP, 'build', 'godwit-system-x86_64')),
    OLDER: ('QEMU_BINARY', 'qemu-system-x86_64'),
    NEWER: ('QEMU_NEW_BINARY',
            os.path.join(TOP, 'build', 'qemu-backports', 'qemu-system-x86_64')),
}
_MISSING = {
    GODWIT: 'this program is not built',
    OLDER: 'the real QEMU is not installed (qemu-system-x86_64, or QEMU_BINARY)',
    NEWER: 'there is no newer QEMU (./scripts/fetch-qemu gets it, or QEMU_NEW_BINARY)',
}


def find(name):
    """The program's path, None if there is none."""
    variable, otherwise = _WHERE[name]
    return shutil.which(os.environ.get(variable) or otherwise)


def why_missing(*names):
    """The reason to skip a test that needs these programs; None if all are there."""
    for name in names:
        if find(name) is None:
            return _MISSING[name]
    return None


def version(name):
    """What it says of itself, in one line."""
    out = subprocess.run([find(name), '--version'], capture_output=True, text=True, check=False)
    return out.stdout.splitlines()[0] if out.stdout else ''
