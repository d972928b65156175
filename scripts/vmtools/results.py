#!/usr/bin/python3
# SPDX-License-Identifier: GPL-2.0-or-later
"""Counts tests in meson's test logs (testlog.json): the points of a TAP test one by one.

Prints the reasons of skips, failures with what they said last, then "N passed, N failed, N skipped".
Exits 1 when something failed or when nothing ran.
"""

import collections
import json
import re
import sys

POINT = re.compile(r'^(not )?ok\b(?:\s+\d+)?\s*(.*)$')
SAID_LINES = 30                             # of a failure, its last ones
DIRECTIVE = re.compile(r'#\s*(SKIP|TODO)\b\S*\s*(.*)$', re.IGNORECASE)


class Count:
    def __init__(self):
        self.passed = 0
        self.failed = []                    # (name, what it said)
        self.skipped = []                   # (name of the program, title, reason)


def count_tap(name, output, said_elsewhere, count):
    """Counts a TAP test's points; answers (points, of these failed)."""
    points = failed = 0
    planned = None
    said = []                               # since the last point
    for line in output.splitlines():
        line = line.strip()
        plan = re.match(r'^1\.\.(\d+)\s*(?:#\s*SKIP\S*\s*(.*))?$', line, re.IGNORECASE)
        if plan:
            planned = int(plan[1])
            if planned == 0 and plan[2]:
                count.skipped.append((name, '', plan[2]))
                points += 1
            continue
        if line.startswith('Bail out!'):
            count.failed.append((f'{name}: {line}', said + said_elsewhere))
            failed += 1
            continue
        point = POINT.match(line)
        if not point:
            said.append(line)
            continue
        points += 1
        directive = DIRECTIVE.search(point[2])
        title = DIRECTIVE.sub('', point[2]).strip(' -')
        if directive and directive[1].upper() == 'SKIP':
            count.skipped.append((name, title, directive[2] or 'no reason given'))
        elif point[1] and not directive:
            failed += 1
            count.failed.append((f'{name}: {title}', said or said_elsewhere))
        else:
            count.passed += 1
        said = []
    # A test that gave up has said so already.
    if planned is not None and points < planned and 'Bail out!' not in output:
        failed += 1
        count.failed.append((f'{name}: {planned - points} of {planned} tests did not run',
                             said + said_elsewhere))
    return points, failed


def count_test(entry, count):
    name = entry['name'].rpartition(' / ')[2]
    result = entry['result']
    points = failed = 0
    output = entry.get('stdout') or ''
    said = (entry.get('stderr') or '').strip().splitlines()
    if re.search(r'^(not )?ok\b|^1\.\.\d', output, re.MULTILINE):
        points, failed = count_tap(name, output, said, count)
    if result in ('FAIL', 'TIMEOUT', 'ERROR', 'INTERRUPT', 'UNEXPECTEDPASS'):
        if not failed:
            why = {'TIMEOUT': 'did not end in time'}.get(result, f'{result.lower()}, status '
                                                         f'{entry.get("returncode")}')
            count.failed.append((f'{name}: {why}', output.strip().splitlines() + said))
    elif not points:
        if result == 'SKIP':
            lines = [x for x in output.strip().splitlines() if not x.startswith(('#', '1..'))]
            count.skipped.append((name, '', lines[-1] if lines else 'there was nothing to run'))
        else:
            count.passed += 1


def report(count):
    by_reason = collections.defaultdict(list)
    for name, title, reason in count.skipped:
        by_reason[name, reason].append(title)
    for (name, reason), titles in by_reason.items():
        which = ', '.join(filter(None, titles))
        print(f'skipped: {name}: {which + ": " if which else ""}{reason}')
    for name, said in count.failed:
        print(f'failed: {name}')
        for line in said[-SAID_LINES:]:
            print(f'    {line}')
    print(f'{count.passed} passed, {len(count.failed)} failed, {len(count.skipped)} skipped')


def main():
    count = Count()
    for path in sys.argv[1:]:
        try:
            with open(path, encoding='utf-8', errors='replace') as f:
                entries = [json.loads(line) for line in f if line.strip()]
        except (OSError, ValueError) as e:
            count.failed.append((f'{path}: {e}', []))
            continue
        if not entries:
            count.failed.append((f'{path}: no test ran', []))
        for entry in entries:
            count_test(entry, count)
    report(count)
    sys.exit(bool(count.failed) or not count.passed)


if __name__ == '__main__':
    main()
