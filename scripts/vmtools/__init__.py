# SPDX-License-Identifier: GPL-2.0-or-later
"""What the project's own programs share: a QMP client, processes under it, migrations.

Used by scripts/demo, tests/guest, tests/interop and tests/bench; standard library only.
"""
