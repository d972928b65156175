#!/usr/bin/python3
# SPDX-License-Identifier: GPL-2.0-or-later
"""scripts/vmstate-static-checker.py: made-up pairs of dumps, nonsense, and what programs dump.

Each made-up pair differs in one thing, of which is known whether it breaks a migration.
"""

import copy
import json
import os
import subprocess
import sys
import tempfile
import unittest

HERE = os.path.dirname(os.path.abspath(__file__))
SCRIPTS = os.path.join(HERE, '..', '..', 'scripts')
sys.path[:0] = [SCRIPTS, HERE]

from vmtools import interop, programs, tap                              # noqa: E402
from vmtools.programs import GODWIT, NEWER, OLDER                       # noqa: E402
from vmtools.statecompare import BREAK, NOTE, UNSURE, Comparison        # noqa: E402
from vmtools.statedump import BadDump, Dump                             # noqa: E402


def field(name, size=4, version=0, exists=False, num=None, struct=None):
    out = {'field': name, 'version_id': version, 'field_exists': exists}
    if num is not None:
        out['num'] = num
    out['size'] = size
    if struct is not None:
        out['Description'] = struct
    return out


def description(name, *fields, version=1, minimum=1, subsections=()):
    out = {'name': name, 'version_id': version, 'minimum_version_id': minimum}
    if fields:
        out['Fields'] = list(fields)
    if subsections:
        out['Subsections'] = list(subsections)
    return out


def device(desc):
    return {'Name': desc['name'], 'version_id': desc['version_id'],
            'minimum_version_id': desc['minimum_version_id'], 'Description': desc}


def dump(*descriptions, machine='none', **named):
    devices = {d['name']: device(d) for d in descriptions}
    devices.update({k.replace('_', '-'): device(d) for k, d in named.items()})
    # Makes the dump one that tells the lengths of arrays
    return {'vmschkmachine': {'Name': machine}, **devices,
            'other': device(description('other', field('table', 2, num=8)))}


A, B, C = field('a'), field('b', 2), field('c', 8)


class MadeUp(unittest.TestCase):
    """`same`, `breaks`, `harmless` say what has to come of a pair, source first."""

    def findings(self, src, dst, **options):
        made = Comparison(Dump(json.dumps(src)), Dump(json.dumps(dst)), **options)
        return [(f.severity, f.kind, f.field) for f in made.findings]

    def fields(self, src, dst):
        return self.findings(dump(description('x', *src)), dump(description('x', *dst)))

    def descriptions(self, src, dst):
        return self.findings(dump(src), dump(dst))

    def test_equal(self):
        d = dump(description('x', A, B, field('s', 40, struct=description('s', C)),
                             field('n', 4, num=3), subsections=[description('x/sub', A)]))
        self.assertEqual(self.findings(d, copy.deepcopy(d)), [])

    def test_machine(self):
        self.assertEqual(self.findings(dump(machine='pc'), dump(machine='q35')),
                         [(BREAK, 'machine', None)])
        self.assertEqual(self.findings(dump(machine='pc-machine'), dump(machine='pc')), [])

    def test_device_missing(self):
        src, dst = dump(description('x', A)), dump()
        self.assertEqual(self.findings(src, dst), [(BREAK, 'device-missing', None)])
        self.assertEqual(self.findings(dst, src), [(NOTE, 'device-added', None)])
        self.assertEqual(self.findings(src, dst, only_common=True),
                         [(NOTE, 'device-missing', None)])

    def test_device_of_another_type_with_the_same_section(self):
        desc = description('x', A)
        self.assertEqual(self.findings(dump(x_old=desc), dump(x_new=desc)),
                         [(NOTE, 'type-renamed', None), (NOTE, 'device-added', None)])
        changed = description('x', field('a', 8))
        self.assertIn((BREAK, 'field-size', 'a'),
                      self.findings(dump(x_old=desc), dump(x_new=changed)))

    def test_section_name(self):
        self.assertEqual(self.findings(dump(x=description('x', A)), dump(x=description('y', A))),
                         [(BREAK, 'section-name', None)])

    def test_version_above_the_destinations(self):
        self.assertEqual(self.descriptions(description('x', A, version=3),
                                           description('x', A, version=2)),
                         [(BREAK, 'version', None)])

    def test_version_below_the_minimum(self):
        old, new = description('x', A, version=2), description('x', A, version=5, minimum=3)
        self.assertEqual(self.descriptions(old, new), [(BREAK, 'version', None)])
        self.assertEqual(self.descriptions(old, description('x', A, version=5, minimum=2)), [])

    def test_field_of_a_later_version(self):
        old = description('x', A, C, version=1)
        new = description('x', A, field('b', 2, version=2), C, version=2)
        self.assertEqual(self.descriptions(old, new), [])
        # The other way it is the section's version that breaks, and nothing else is said.
        self.assertEqual(self.descriptions(new, old), [(BREAK, 'version', None)])
        # Added without a new version
        self.assertEqual(self.descriptions(old, description('x', A, B, C)),
                         [(BREAK, 'field-added', 'b')])

    def test_field_missing_and_added(self):
        self.assertEqual(self.fields([A, B, C], [A, C]), [(BREAK, 'field-missing', 'b')])
        self.assertEqual(self.fields([A, C], [A, B, C]), [(BREAK, 'field-added', 'b')])
        self.assertEqual(self.fields([A, B], [A]), [(BREAK, 'field-missing', 'b')])
        self.assertEqual(self.fields([A], [A, B]), [(BREAK, 'field-added', 'b')])

    def test_field_moved(self):
        self.assertEqual(self.fields([A, B, C], [C, A, B])[0][:2], (BREAK, 'field-order'))
        self.assertEqual(self.fields([A, B], [B, A]), [(BREAK, 'field-order', 'a')])

    def test_field_resized(self):
        self.assertEqual(self.fields([A, field('b', 1), C], [A, B, C]),
                         [(BREAK, 'field-size', 'b')])

    def test_field_renamed(self):
        self.assertEqual(self.fields([A, field('new', 2), C], [A, field('old', 2), C]),
                         [(UNSURE, 'field-renamed', 'new')])
        self.assertEqual(self.fields([A, field('new', 2), C], [A, field('old', 4), C]),
                         [(BREAK, 'field-replaced', 'new')])

    def test_conditional_field(self):
        maybe = field('b', 2, exists=True)
        self.assertEqual(self.fields([A, maybe, C], [A, maybe, C]), [])
        self.assertEqual(self.fields([A, maybe, C], [A, C]), [(UNSURE, 'field-missing', 'b')])
        self.assertEqual(self.fields([A, C], [A, maybe, C]), [(UNSURE, 'field-added', 'b')])
        self.assertEqual(self.fields([A, maybe, C], [A, B, C]),
                         [(UNSURE, 'field-condition', 'b')])
        self.assertEqual(self.fields([A, maybe, C], [A, field('b', 4, exists=True), C]),
                         [(UNSURE, 'field-size', 'b')])

    def test_arrays(self):
        self.assertEqual(self.fields([field('a', 2, num=4)], [field('a', 2, num=4)]), [])
        self.assertEqual(self.fields([field('a', 2, num=4)], [field('a', 2, num=5)]),
                         [(BREAK, 'field-size', 'a')])
        self.assertEqual(self.fields([field('a', 2, num=4)], [field('a', 4, num=2)]),
                         [(BREAK, 'field-size', 'a')])
        self.assertEqual(self.fields([field('a', 2, num=4)], [field('a', 2)]),
                         [(BREAK, 'field-size', 'a')])

    def test_structs(self):
        inner = description('inner', B, C)
        src = [A, field('in', 16, struct=inner)]
        self.assertEqual(self.fields(src, [A, field('in', 16, struct=description('inner', B))]),
                         [(BREAK, 'field-missing', 'in/c')])
        # Its size in memory, its name and its version are not in the stream
        self.assertEqual(self.fields(src, [A, field('other', 99, struct=description(
            'renamed', B, C, version=7))]), [])
        # Nor is it itself
        self.assertEqual(self.fields(src, [A, B, C]), [])
        # But its own version decides which of its fields are there
        later = description('inner', B, C, field('d', 1, version=2), version=2)
        self.assertEqual(self.fields(src, [A, field('in', 16, struct=later)]),
                         [(BREAK, 'field-added', 'in/d')])

    def test_arrays_of_structs(self):
        def three(n):
            return [field('in', 16, num=n, struct=description('inner', B, C))]
        self.assertEqual(self.fields(three(3), three(3)), [])
        self.assertEqual(self.fields(three(3), three(2)), [(BREAK, 'field-size', 'in/b'),
                                                           (BREAK, 'field-size', 'in/c')])

    def test_padding(self):
        def unused(n):
            return field('unused', n)
        for other in ([unused(6), C], [unused(4), unused(2), C], [unused(4), B, C],
                      [A, unused(2), C]):
            with self.subTest(other=other):
                for kinds in (self.fields([A, B, C], other), self.fields(other, [A, B, C])):
                    self.assertEqual({k[0] for k in kinds} or {NOTE}, {NOTE})
        self.assertEqual(self.fields([unused(2), unused(4)], [unused(6)]), [])
        for other in ([unused(5), C], [unused(7), C], [C]):
            with self.subTest(other=other):
                self.assertIn(BREAK, {k[0] for k in self.fields([unused(6), C], other)})
                self.assertIn(BREAK, {k[0] for k in self.fields([A, B, C], other)})
        # A value must not lie over half of another one
        self.assertIn(BREAK, {k[0] for k in self.fields([unused(2), A], [field('z', 6)])})

    def test_padding_where_no_lengths_of_arrays_are_told(self):
        src = dump(description('x', field('list', 2), C))
        del src['other']
        dst = dump(description('x', field('unused', 8), C))
        self.assertEqual(self.findings(src, dst)[0], (NOTE, 'field-dropped', 'list'))
        self.assertNotIn(BREAK, {k[0] for k in self.findings(dst, src, only_common=True)})

    def test_subsections(self):
        sub = description('x/sub', A)
        src = description('x', A, subsections=[sub])
        self.assertEqual(self.descriptions(src, description('x', A)),
                         [(BREAK, 'subsection-missing', 'x/sub')])
        self.assertEqual(self.descriptions(description('x', A), src),
                         [(NOTE, 'subsection-added', 'x/sub')])
        self.assertEqual(self.descriptions(src, description(
            'x', A, subsections=[description('x/new', B), sub])),
            [(NOTE, 'subsection-added', 'x/new')])
        self.assertEqual(self.descriptions(src, description(
            'x', A, subsections=[description('x/sub', B)])),
            [(BREAK, 'field-replaced', 'x/sub/a')])
        self.assertEqual(self.descriptions(
            description('x', A, subsections=[description('x/sub', A, version=2)]), src),
            [(BREAK, 'version', 'x/sub')])
        self.assertEqual(self.descriptions(description('x', A, subsections=[description(
            'x/sub', A, subsections=[description('x/sub/deep', B)])]), src),
            [(BREAK, 'subsection-missing', 'x/sub/x/sub/deep')])

    def test_subsections_of_a_struct_within(self):
        def made(*subsections):
            return description('x', A, field('in', 8, struct=description(
                'inner', B, subsections=subsections)), C)
        self.assertEqual(self.descriptions(made(description('inner/s', A)), made()),
                         [(BREAK, 'subsection-missing', 'in/inner/s')])
        self.assertEqual(self.descriptions(made(), made(description('inner/s', A))),
                         [(NOTE, 'subsection-added', 'in/inner/s')])


class Program(unittest.TestCase):
    def setUp(self):
        self.directory = tempfile.TemporaryDirectory(prefix='godwit-')
        self.addCleanup(self.directory.cleanup)

    def write(self, name, content):
        path = os.path.join(self.directory.name, name)
        with open(path, 'wb') as f:
            f.write(content if isinstance(content, bytes) else json.dumps(content).encode())
        return path

    def check(self, *arguments):
        return subprocess.run(
            [sys.executable, os.path.join(SCRIPTS, 'vmstate-static-checker.py'), *arguments],
            capture_output=True, text=True, timeout=60)

    def test_status_and_text(self):
        old = self.write('old', dump(description('x', A, B)))
        new = self.write('new', dump(description('x', A, field('b', 4), version=2)))
        r = self.check('-s', old, '-d', old, '--reverse')
        self.assertEqual((r.returncode, r.stderr), (0, ''))
        self.assertEqual(r.stdout.count('2 devices compared, 0 breaks'), 2)
        r = self.check('--src', old, '--dest', new)
        self.assertEqual(r.returncode, 1)
        self.assertIn('break: device "x", "b": expected 4 bytes, found 2 bytes', r.stdout)
        self.assertNotIn('version', r.stdout)
        r = self.check('-s', old, '-d', new, '--reverse')
        self.assertIn('section "x": expected version 1 at most, found 2', r.stdout)
        r = self.check('-s', old, '-d', new, '--device', 'other')
        self.assertEqual(r.returncode, 0)

    def test_strict(self):
        a = self.write('a', dump(description('x', A)))
        b = self.write('b', dump(description('x', field('z'))))
        self.assertEqual(self.check('-s', a, '-d', b).returncode, 0)
        self.assertEqual(self.check('-s', a, '-d', b, '--strict').returncode, 1)

    def test_json(self):
        a = self.write('a', dump(description('x', A, B)))
        b = self.write('b', dump(description('x', A)))
        r = self.check('-s', a, '-d', b, '--reverse', '--json')
        out = json.loads(r.stdout)
        self.assertEqual((r.returncode, out['compatible']), (1, False))
        self.assertEqual([[f['kind'] for f in d['findings']] for d in out['directions']],
                         [['field-missing'], ['field-added']])
        self.assertEqual(out['directions'][0]['findings'][0]['field'], 'b')

    def test_usage(self):
        r = self.check('--help')
        self.assertEqual(r.returncode, 0)
        for word in ('--src', '--dest', '--reverse', '--json', 'Status 0'):
            self.assertIn(word, r.stdout)
        good = self.write('good', dump())
        for arguments in ((), ('-s', good), ('-s', good, '-d', '/nonexistent'),
                          ('-s', good, '-d', good, '--device', 'none')):
            r = self.check(*arguments)
            self.assertEqual((r.returncode, r.stdout), (2, ''))
            self.assertNotIn('Traceback', r.stderr)

    def test_nonsense_is_an_error_with_a_reason(self):
        def of(change):
            made = copy.deepcopy(dump(description(
                'x', A, field('s', 8, struct=description('s', B)),
                subsections=[description('x/s', A)])))
            change(made['x'])
            return made
        deep = description('d', A)
        for _ in range(60):
            deep = description('d', field('s', 8, struct=deep))
        cases = {
            'empty': b'', 'no JSON': b'{', 'no text': b'\xff\xfe\0', 'list': b'[]',
            'number': b'7', 'brackets': b'[' * 100000, 'objects': b'{"a":' * 100000,
            'machine': {'vmschkmachine': 7}, 'machine name': {'vmschkmachine': {'Name': []}},
            'device': {'x': 'y'}, 'device without anything': {'x': {}}, 'deep': dump(deep),
            'no description': of(lambda d: d.pop('Description')),
            'version': of(lambda d: d.update(version_id='1')),
            'negative': of(lambda d: d.update(version_id=-1)),
            'huge': of(lambda d: d.update(minimum_version_id=1 << 80)),
            'bool for a number': of(lambda d: d.update(version_id=True)),
            'fraction': of(lambda d: d['Description']['Fields'][0].update(size=1.5)),
            'fields': of(lambda d: d['Description'].update(Fields={})),
            'field': of(lambda d: d['Description'].update(Fields=[7])),
            'field without a name': of(lambda d: d['Description']['Fields'][0].pop('field')),
            'struct': of(lambda d: d['Description']['Fields'][1].update(Description=None)),
            'exists': of(lambda d: d['Description']['Fields'][0].update(field_exists=0)),
            'array': of(lambda d: d['Description']['Fields'][0].update(num='3')),
            'subsections': of(lambda d: d['Description'].update(Subsections=['x'])),
            'twice': of(lambda d: d['Description']['Subsections'].append(
                description('x/s', B))),
        }
        good = self.write('good', dump())
        for name, content in cases.items():
            with self.subTest(name):
                bad = self.write('bad', content)
                for pair in (('-s', bad, '-d', good), ('-s', good, '-d', bad)):
                    r = self.check(*pair)
                    self.assertEqual((r.returncode, r.stdout), (2, ''), r.stderr)
                    self.assertTrue(r.stderr.startswith(f'vmstate-static-checker: {bad}: '))
                    self.assertEqual(r.stderr.count('\n'), 1)

    def test_refused_by_the_reader_alone(self):
        with self.assertRaises(BadDump):
            Dump('null')


# What is different on purpose: (kind, device, path) -> why. Between which programs it is, the
# first member says.
EXPLAINED = {
    # 10.0 sends it for machines of 8.0 and later when an 8259's trigger modes are set one by one,
    # and 7.2 does not have it.
    ('subsection-missing', 'isa-i8259', 'i8259/ltim'): {(GODWIT, OLDER)},
    ('subsection-missing', 'kvm-i8259', 'i8259/ltim'): {(GODWIT, OLDER)},
    # Sent only by machines whose CPUs can be plugged in this way, or that report hardware errors
    # by way of a GHES: of those of x86, none.
    ('subsection-missing', 'acpi-ged', 'acpi-ged/cpuhp'): {(NEWER, GODWIT)},
    ('subsection-missing', 'acpi-ged', 'acpi-ged/ghes'): {(NEWER, GODWIT), (OLDER, GODWIT)},
}
MACHINES = ('none', 'microvm', 'pc-q35-7.2', 'pc-i440fx-7.2')


class Programs(unittest.TestCase):
    """Devices in common are described alike, both ways."""

    def setUp(self):
        self.directory = tempfile.TemporaryDirectory(prefix='godwit-')
        self.addCleanup(self.directory.cleanup)

    def dump(self, name, machine):
        path = os.path.join(self.directory.name, f'{name}-{machine}')
        r = subprocess.run([programs.find(name), '-M', machine, '-accel', 'tcg', '-nodefaults',
                            '-display', 'none', '-dump-vmstate', path],
                           capture_output=True, text=True, timeout=60, check=False)
        self.assertEqual(r.returncode, 0, r.stderr)
        return Dump.load(path), path

    def agree(self, ours, theirs, machine):
        ours_dump, ours_path = self.dump(ours, machine)
        theirs_dump, theirs_path = self.dump(theirs, machine)
        common = set(ours_dump.devices) & set(theirs_dump.devices)
        self.assertGreaterEqual(len(common), 11)
        # A machine that has one of these cannot go there; no machine that is meant to has one.
        alone = sorted(set(ours_dump.devices) - set(theirs_dump.devices))
        print(f'# {machine}, {theirs}: {len(common)} devices in common; only here: '
              + (', '.join(alone) or 'none'))
        for pair, src, dst in (((ours, theirs), ours_dump, theirs_dump),
                               ((theirs, ours), theirs_dump, ours_dump)):
            made = Comparison(src, dst, only_common=True)
            left = [f.line() for f in made.findings if f.severity != NOTE
                    and pair not in EXPLAINED.get((f.kind, f.device, f.field), ())]
            self.assertEqual(left, [], f'{pair[0]} -> {pair[1]}')
        self.check_form(ours_path, theirs_path)
        self.figures = {'devices in common': len(common), 'only here': alone}

    def check_form(self, ours_path, theirs_path):
        """Members, their order and types in the file are the same."""
        def forms(node, out):
            if isinstance(node, dict):
                if node.keys() & {'field', 'name', 'Name'}:
                    out.add(tuple((k, type(v).__name__) for k, v in node.items()))
                for value in node.values():
                    forms(value, out)
            elif isinstance(node, list):
                for value in node:
                    forms(value, out)
            return out
        with open(ours_path, encoding='utf-8') as a, open(theirs_path, encoding='utf-8') as b:
            ours, theirs = forms(json.load(a), set()), forms(json.load(b), set())
        if not any(('num', 'int') in form for form in theirs):
            ours = {tuple(x for x in form if x[0] != 'num') for form in ours}
        self.assertEqual(ours - theirs, set())


def add_programs():
    for theirs, label in ((OLDER, 'older'), (NEWER, 'newer')):
        for machine in MACHINES:
            def test(self, theirs=theirs, machine=machine):
                self.agree(GODWIT, theirs, machine)
            test.__name__ = f'test_{label}_{machine.replace("-", "_").replace(".", "_")}'
            test.cases = [interop.Case(a, b, machine, '-', '-', '-dump-vmstate',
                                       'device state described alike')
                          for a, b in ((GODWIT, theirs), (theirs, GODWIT))]
            why = programs.why_missing(GODWIT, theirs)
            setattr(Programs, test.__name__, unittest.skip(why)(test) if why else test)


add_programs()


if __name__ == '__main__':
    tap.main()
