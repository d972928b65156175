#!/usr/bin/python3
# SPDX-License-Identifier: GPL-2.0-or-later
"""Compares what two programs say of their devices' state (-dump-vmstate) before a guest has to."""

import argparse
import json
import os
import sys

sys.path.insert(0, os.path.dirname(os.path.abspath(__file__)))

from vmtools.statecompare import BREAK, NOTE, UNSURE, Comparison       # noqa: E402
from vmtools.statedump import BadDump, Dump                            # noqa: E402


def load(path):
    try:
        return Dump.load(path)
    except OSError as e:
        why = e.strerror
    except BadDump as e:
        why = e
    print(f'vmstate-static-checker: {path}: {why}', file=sys.stderr)
    sys.exit(2)


def main():
    p = argparse.ArgumentParser(
        description='Compares two files of -dump-vmstate and reports what would break if a guest '
        'moved from the program that wrote the one to the program that wrote the other.',
        epilog='Status 0: compatible; 1: not, the report says why; 2: a file could not be used.')
    p.add_argument('-s', '--src', required=True, metavar='FILE', help='what the source says')
    p.add_argument('-d', '--dest', required=True, metavar='FILE', help='what the destination says')
    p.add_argument('--reverse', action='store_true', help='both directions, not only from source '
                   'to destination')
    p.add_argument('--common', action='store_true', help='a device that the destination does not '
                   'have is listed, but is no failure')
    p.add_argument('--device', action='append', metavar='TYPE', help='only this device type '
                   '(may be repeated)')
    p.add_argument('--strict', action='store_true', help='what the dumps cannot tell for sure is '
                   'a failure too')
    p.add_argument('-v', '--verbose', action='store_true', help='also differences without harm')
    p.add_argument('--json', action='store_true', help='the report as JSON')
    o = p.parse_args()

    src, dest = load(o.src), load(o.dest)
    for name in o.device or ():
        if name not in src.devices and name not in dest.devices:
            print(f'vmstate-static-checker: no device "{name}" in {o.src} or {o.dest}',
                  file=sys.stderr)
            sys.exit(2)
    ways = [(o.src, o.dest, Comparison(src, dest, o.common, o.device))]
    if o.reverse:
        ways.append((o.dest, o.src, Comparison(dest, src, o.common, o.device)))
    failed = any(c.count(BREAK) or o.strict and c.count(UNSURE) for _, _, c in ways)

    if o.json:
        print(json.dumps({'compatible': not failed, 'directions': [
            {'source': a, 'destination': b, 'devices-compared': c.compared,
             'findings': [f.as_dict() for f in c.findings]} for a, b, c in ways]}, indent=2))
        sys.exit(failed)
    for a, b, c in ways:
        print(f'{a} -> {b}: {c.compared} devices compared, {c.count(BREAK)} breaks, '
              f'{c.count(UNSURE)} unsure, {c.count(NOTE)} notes')
        for f in c.findings:
            if f.severity != NOTE or o.verbose:
                print('  ' + f.line())
    print('not compatible' if failed else 'compatible')
    sys.exit(failed)


if __name__ == '__main__':
    try:
        main()
    except BrokenPipeError:
        os.dup2(os.open(os.devnull, os.O_WRONLY), 1)
        sys.exit(141)
