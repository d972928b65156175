# SPDX-License-Identifier: GPL-2.0-or-later
"""Cases of interoperation: what a test shows, and what came of it.

A test method says with the decorator `case` what it shows; several say several things. A class
that makes its methods in a loop sets `method.cases` itself. The test may leave figures in
`self.figures`, a dictionary. tap.main() lists the cases (--cases) and, where INTEROP_RESULTS
names a directory, writes them there with their results. scripts/interop-matrix makes a page of
them.
"""

import json
import os
import sys
from typing import NamedTuple


class Case(NamedTuple):
    """A row of the matrix."""
    source: str         # one of programs.NAMES
    destination: str
    machine: str        # the type, and what matters of its options
    cpu: str            # vCPUs and model, '-' where there is none that runs
    accel: str          # kvm, tcg, qtest, '-' where it does not matter
    transport: str
    feature: str


def case(**members):
    """Decorator of a test method."""
    def mark(method):
        method.cases = [Case(**members), *getattr(method, 'cases', [])]
        return method
    return mark


def of_test(test):
    """The cases of an instance of TestCase."""
    return getattr(getattr(test, test._testMethodName, None), 'cases', [])


class Results:
    """One JSON object a line for each case, in a file named after the test program."""

    def __init__(self, directory):
        self.file = None
        if directory:
            os.makedirs(directory, exist_ok=True)
            program = os.path.splitext(os.path.basename(sys.argv[0]))[0]
            self.file = open(os.path.join(directory, program + '.jsonl'), 'w', encoding='utf-8')

    def add(self, test, name, result, reason=''):
        if self.file is None:
            return
        for row in of_test(test):
            line = {**row._asdict(), 'test': name, 'result': result}
            if reason:
                line['reason'] = reason
            if getattr(test, 'figures', None):
                line['figures'] = test.figures
            self.file.write(json.dumps(line) + '\n')
        self.file.flush()
