# SPDX-License-Identifier: GPL-2.0-or-later
"""Runs unittest tests and prints TAP, so that meson and scripts/check see each test by name."""

import json
import os
import sys
import time
import traceback
import unittest

from . import interop

class _TapResult(unittest.TestResult):
    def __init__(self, out):
        super().__init__()
        self.out = out
        self.number = 0
        self.failed = 0
        self._sub_failed = False
        self.cases = interop.Results(os.environ.get('INTEROP_RESULTS'))

    @staticmethod
    def _name(test):
        return test.id().removeprefix('__main__.').replace('#', '')

    def startTest(self, test):
        super().startTest(test)
        self._sub_failed = False

    def _line(self, ok, test, note=''):
        self.number += 1
        self.out.write(f'{"ok" if ok else "not ok"} {self.number} {self._name(test)}{note}\n')
        self.out.flush()

    def _diagnose(self, err):
        for line in ''.join(traceback.format_exception(*err)).rstrip().splitlines():
            self.out.write('# ' + line + '\n')

    def _bad(self, test, err):
        self.failed += 1
        self._diagnose(err)
        self._line(False, test)
        self.cases.add(test, self._name(test), 'failed')

    def addSuccess(self, test):
        self._line(True, test)
        self.cases.add(test, self._name(test), 'passed')

    def addFailure(self, test, err):
        self._bad(test, err)

    addError = addFailure

    def addSubTest(self, test, subtest, err):
        if err is None:
            return
        self.out.write(f'# in {subtest._subDescription()}:\n')
        self._diagnose(err)
        if not self._sub_failed:            # unittest reports no verdict on the whole test then
            self._sub_failed = True
            self.failed += 1
            self._line(False, test)
            self.cases.add(test, self._name(test), 'failed')

    def addSkip(self, test, reason):
        self.cases.add(test, self._name(test), 'skipped', reason)
        self._line(True, test, f' # SKIP {reason}')

    def addExpectedFailure(self, test, err):
        self._line(True, test)

    def addUnexpectedSuccess(self, test):
        self.failed += 1
        self._line(False, test)


def run(tests, out=None):
    """Runs a suite; answers whether nothing failed."""
    out = out or sys.stdout
    result = _TapResult(out)
    began = time.monotonic()
    tests.run(result)
    out.write(f'1..{result.number}\n')
    out.write(f'# {time.monotonic() - began:.1f} s\n')
    out.flush()
    return result.failed == 0


def main(module='__main__', at_end=None):
    """For the end of a test program. Words on the command line choose tests by part of their
    names; -l lists the names, --cases what they show of interoperation. `at_end` is called when all have run."""
    tests = unittest.defaultTestLoader.loadTestsFromModule(sys.modules[module])
    flat = [t for suite in tests for t in suite]
    words = [a for a in sys.argv[1:] if not a.startswith('-')]
    if words:
        flat = [t for t in flat if any(w in _TapResult._name(t) for w in words)]
    if '-l' in sys.argv[1:]:
        for test in flat:
            print(_TapResult._name(test))
        return
    if '--cases' in sys.argv[1:]:
        for test in flat:
            for case in interop.of_test(test):
                print(json.dumps(case._asdict()))
        return
    # Grouped by class again, so that class set-up runs once and its skips are seen.
    ok = run(unittest.TestSuite(_regroup(flat)))
    if at_end is not None:
        at_end()
    sys.stdout.flush()
    os._exit(0 if ok else 1)


def _regroup(flat):
    groups = {}
    for test in flat:
        groups.setdefault(type(test), []).append(test)
    return [unittest.TestSuite(group) for group in groups.values()]
