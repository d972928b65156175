#!/usr/bin/env python3
# SPDX-License-Identifier: GPL-2.0-or-later
"""Generate C code, introspection data and the reference manual from a QAPI schema."""

import sys

from qapi.main import main

if __name__ == '__main__':
    sys.exit(main(sys.argv))
