#!/usr/bin/python3
# SPDX-License-Identifier: GPL-2.0-or-later
"""Counts tests in meson's test logs (testlog.json): the points of a TAP test one by one.

Prints failures and the reasons of skips, then "N passed, N failed, N skipped". Exits 1 when
something failed or when nothing ran.
"""

import json
import re
import sys

POINT = re.compile(r'^(not )?ok\b(?:\s+\d+)?\s*(.*)$')
DIRECTIVE = re.compile(r'#\s*(SKIP|TODO)\b\S*\s*(.*)$', re.IGNORECASE)


class Count:
    def __init__(self):
        self.passed = 0
        self.failed = []                    # names
        self.skipped = []                   # (name, reason)


def count_tap(name, output, count):
    """Counts a TAP test's points; answers (points, of these failed)."""
    points = failed = 0
    planned = None
    for line in output.splitlines():
        line = line.strip()
        plan = re.match(r'^1\.\.(\d+)\s*(?:#\s*SKIP\S*\s*(.*))?$', line, re.IGNORECASE)
        if plan:
            planned = int(plan[1])
            if planned == 0 and plan[2]:
                count.skipped.append((name, plan[2]))
                points += 1
            continue
        if line.startswith('Bail out!'):
            count.failed.append(f'{name}: {line}')
            failed += 1
            continue
        point = POINT.match(line)
        if not point:
            continue
        points += 1
        directive = DIRECTIVE.search(point[2])
        title = DIRECTIVE.sub('', point[2]).strip(' -')
        if directive and directive[1].upper() == 'SKIP':
            count.skipped.append((f'{name}: {title}', directive[2] or 'no reason given'))
        elif point[1] and not directive:
            failed += 1
            count.failed.append(f'{name}: {title}')
        else:
            count.passed += 1
    # A test that gave up has said so already.
    if planned is not None and points < planned and 'Bail out!' not in output:
        failed += 1
        count.failed.append(f'{name}: {planned - points} of {planned} tests did not run')
    return points, failed


def count_test(entry, count):
    name = entry['name'].rpartition(' / ')[2]
    result = entry['result']
    points = failed = 0
    output = entry.get('stdout') or ''
    if re.search(r'^(not )?ok\b|^1\.\.\d', output, re.MULTILINE):
        points, failed = count_tap(name, output, count)
    if result in ('FAIL', 'TIMEOUT', 'ERROR', 'INTERRUPT', 'UNEXPECTEDPASS'):
        if not failed:
            why = {'TIMEOUT': 'did not end in time'}.get(result, f'{result.lower()}, status '
                                                         f'{entry.get("returncode")}')
            count.failed.append(f'{name}: {why}')
    elif not points:
        if result == 'SKIP':
            lines = [x for x in output.strip().splitlines() if not x.startswith(('#', '1..'))]
            count.skipped.append((name, lines[-1] if lines else 'there was nothing to run'))
        else:
            count.passed += 1


def main():
    count = Count()
    for path in sys.argv[1:]:
        try:
            with open(path, encoding='utf-8', errors='replace') as f:
                entries = [json.loads(line) for line in f if line.strip()]
        except (OSError, ValueError) as e:
            count.failed.append(f'{path}: {e}')
            continue
        if not entries:
            count.failed.append(f'{path}: no test ran')
        for entry in entries:
            count_test(entry, count)
    for name, reason in count.skipped:
        print(f'skipped: {name}: {reason}')
    for name in count.failed:
        print(f'failed: {name}')
    print(f'{count.passed} passed, {len(count.failed)} failed, {len(count.skipped)} skipped')
    sys.exit(bool(count.failed) or not count.passed)


if __name__ == '__main__':
    main()
