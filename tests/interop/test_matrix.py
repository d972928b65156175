#!/usr/bin/python3
# SPDX-License-Identifier: GPL-2.0-or-later
"""docs/interop.md has exactly the rows that the interop tests define, and scripts/interop-matrix
makes them from results and from nothing else."""

import importlib.machinery
import importlib.util
import json
import os
import sys
import tempfile
import unittest

HERE = os.path.dirname(os.path.abspath(__file__))
SCRIPTS = os.path.join(HERE, '..', '..', 'scripts')
sys.path[:0] = [SCRIPTS, HERE]

from vmtools import interop, tap                                # noqa: E402
from vmtools.interop import Case                                # noqa: E402


def load_script():
    loader = importlib.machinery.SourceFileLoader(
        'interop_matrix', os.path.join(SCRIPTS, 'interop-matrix'))
    module = importlib.util.module_from_spec(importlib.util.spec_from_loader(loader.name, loader))
    loader.exec_module(module)
    return module


sys.dont_write_bytecode = True
matrix = load_script()

ONE = Case('QEMU 7.2', 'Godwit', 'none', '-', '-', 'tcp', 'one')
TWO = Case('Godwit', 'QEMU 10.0', 'microvm', '2', 'kvm', 'unix', 'two')


def result(case, outcome='passed', **more):
    return {**case._asdict(), 'result': outcome, **more}


def page(lines):
    return '\n'.join([matrix.BEGIN, *lines, matrix.END])


class Matrix(unittest.TestCase):
    def test_the_page_has_the_rows_that_tests_define(self):
        cases = matrix.defined()
        self.assertGreater(len(cases), 20)
        with open(matrix.PAGE, encoding='utf-8') as f:
            problems = matrix.check(f.read(), cases)
        self.assertEqual(problems, [], 'see docs/interop.md, "What is tested"')

    def test_rows_from_results(self):
        lines = matrix.table({ONE: 2, TWO: 1}, {ONE: [result(ONE), result(ONE)],
                                               TWO: [result(TWO, 'failed')]})
        self.assertEqual(lines[2:], [
            '| QEMU 7.2 | Godwit | none | - | - | tcp | one | passed (2) |',
            '| Godwit | QEMU 10.0 | microvm | 2 | kvm | unix | two | failed |'])
        self.assertEqual(matrix.page_rows(page(lines)), [(ONE, 'passed (2)'), (TWO, 'failed')])

    def test_differences(self):
        lines = matrix.table({ONE: 1}, {ONE: [result(ONE)]})
        self.assertEqual(matrix.check(page(lines), {ONE: 1}), [])
        self.assertEqual([p.split(':')[0] for p in matrix.check(page(lines), {TWO: 1})],
                         ['no test', 'not in the page'])
        self.assertEqual([p.split(':')[0] for p in matrix.check(page(lines + lines), {ONE: 1})],
                         ['twice'])
        failed = matrix.table({ONE: 1}, {ONE: [result(ONE, 'failed')]})
        self.assertEqual([p.split(':')[0] for p in matrix.check(page(failed), {ONE: 1})],
                         ['result "failed"'])
        with self.assertRaises(matrix.MatrixError):
            matrix.check('no table', {})

    def test_what_was_not_run_makes_no_row(self):
        for found in ([], [result(ONE, 'skipped', reason='no KVM')], [result(ONE)]):
            with self.assertRaises(matrix.MatrixError):
                matrix.table({ONE: 2}, {ONE: found})
        with self.assertRaises(matrix.MatrixError):
            matrix.table({ONE: 1}, {ONE: [result(ONE)], TWO: [result(TWO)]})

    def test_results_files(self):
        with tempfile.TemporaryDirectory() as directory:
            with self.assertRaises(matrix.MatrixError):
                matrix.results(directory)
            os.mkdir(os.path.join(directory, 'a'))
            path = os.path.join(directory, 'a', 'x.jsonl')
            with open(path, 'w', encoding='utf-8') as f:
                f.write(json.dumps(result(ONE)) + '\n' + json.dumps(result(ONE)) + '\n')
            self.assertEqual(len(matrix.results(directory)[ONE]), 2)
            for nonsense in ('{', '[]', '{"source": "x"}', '7'):
                with open(path, 'w', encoding='utf-8') as f:
                    f.write(nonsense + '\n')
                with self.assertRaises(matrix.MatrixError):
                    matrix.results(directory)

    def test_a_test_leaves_its_result(self):
        class Inner(unittest.TestCase):
            @interop.case(**ONE._asdict())
            def test_good(self):
                self.figures = {'n': 7}

            @interop.case(**TWO._asdict())
            def test_bad(self):
                self.fail('on purpose')

            @unittest.skip('a reason')
            @interop.case(**TWO._asdict())
            def test_left_out(self):
                pass

        with tempfile.TemporaryDirectory() as directory, open(os.devnull, 'w') as out:
            before = os.environ.get('INTEROP_RESULTS')
            os.environ['INTEROP_RESULTS'] = directory
            try:
                tap.run(unittest.defaultTestLoader.loadTestsFromTestCase(Inner), out)
            finally:
                if before is None:
                    del os.environ['INTEROP_RESULTS']
                else:
                    os.environ['INTEROP_RESULTS'] = before
            found = matrix.results(directory)
        self.assertEqual([r['figures'] for r in found[ONE]], [{'n': 7}])
        self.assertEqual(sorted((r['result'], r.get('reason')) for r in found[TWO]),
                         [('failed', None), ('skipped', 'a reason')])


if __name__ == '__main__':
    tap.main()
