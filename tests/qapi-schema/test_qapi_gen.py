#!/usr/bin/env python3
# SPDX-License-Identifier: GPL-2.0-or-later
"""Tests of the interface generator, in TAP.

Every file in bad/ is a schema with one mistake; its first line is "# expect: " and the complaint.
FILE there stands for the file itself, DIR for its directory; names that begin with neither are
of files in that directory. Every file in good/ must pass; its lines "# wants: NAME: TEXT" say what
the file NAME that is generated from it must contain (in one line, spaces at its ends left out),
and "# rejects: NAME: TEXT" what not.
"""

import json
import re
import subprocess
import sys
import tempfile
from pathlib import Path

HERE = Path(__file__).resolve().parent
SCRIPTS = HERE.parent.parent / 'scripts'
sys.path.insert(0, str(SCRIPTS))
sys.dont_write_bytecode = True

# pylint: disable=wrong-import-position
from qapi import main as qapi_main              # noqa: E402
from qapi.common import c_enum_const, c_name    # noqa: E402
from qapi.schema import Schema                  # noqa: E402
from qapi.source import SchemaError             # noqa: E402


def check_bad(path: Path) -> None:
    first = path.read_text(encoding='utf-8').split('\n', 1)[0]
    assert first.startswith('# expect: '), 'the file does not say what to expect'
    expected = first[len('# expect: '):]
    if not expected.startswith('FILE'):
        expected = f'{path.parent}/{expected}'
    expected = expected.replace('FILE', str(path)).replace('DIR', str(path.parent))
    try:
        Schema(str(path))
    except SchemaError as err:
        assert str(err) == expected, f'complaint:\n  {err}\nexpected:\n  {expected}'
        return
    raise AssertionError(f'passed, expected:\n  {expected}')


def check_good(path: Path) -> None:
    wants = re.findall(r'^# (wants|rejects): (\S+): (.*)$', path.read_text(encoding='utf-8'),
                       re.MULTILINE)
    schema = Schema(str(path))
    files = qapi_main.code(schema, '', '', True, True)
    files.update(qapi_main.manual.generate(schema))
    for how, name, text in wants:
        assert name in files, f'{name} is not generated'
        there = text in [line.strip() for line in files[name].split('\n')] or \
            (how == 'rejects' and text in files[name])
        assert there == (how == 'wants'), f'{name} {how}: {text}\n{files[name]}'


def introspection(path: Path, mask: bool) -> list:
    """The entries of the introspection data, if nothing in it is conditional."""
    text = qapi_main.code(Schema(str(path)), '', '', True, not mask)['qapi-introspect.c']
    body = text[text.index('= {') + 3:text.rindex('NULL')]
    entries, current = [], ''
    for line in body.split('\n'):
        line = line.strip()
        assert not line.startswith('#'), 'conditional data'
        if line == ',':
            entries.append(json.loads(current))
            current = ''
        elif line:
            current += json.loads(line)
    return entries


def check_introspection() -> None:
    entries = introspection(HERE / 'good' / 'introspection.json', mask=True)
    by_name = {e['name']: e for e in entries}
    command = by_name['do-it']
    assert command['allow-oob'] is True and command['features'] == ['fast']
    arg = by_name[command['arg-type']]
    assert re.fullmatch('[0-9]+', arg['name']) and arg['meta-type'] == 'object'
    assert [m['name'] for m in arg['members']] == ['i', 'when', 'what']
    assert arg['members'][0] == {'name': 'i', 'type': 'int'}
    assert arg['members'][1]['default'] is None and arg['members'][1]['type'] == 'int'
    union = by_name[by_name[arg['members'][2]['type']]['element-type']]
    assert union['tag'] == 'kind' and len(union['variants']) == 3
    empty = by_name[union['variants'][2]['type']]
    assert empty['members'] == [] and by_name[command['ret-type']] == empty
    event = by_name['HAPPENED']
    assert by_name[event['arg-type']]['members'][0]['features'] == ['deprecated']
    assert not any('Unused' in json.dumps(e) for e in entries)
    assert sum(1 for e in entries if e['meta-type'] == 'builtin') == 4
    names = [e['name'] for e in introspection(HERE / 'good' / 'introspection.json', mask=False)]
    assert 'Thing' in names and 'Unused' not in names


def check_names() -> None:
    assert c_name('a-b.c') == 'a_b_c' and c_name('unix') == 'q_unix' and c_name('1x') == 'q_1x'
    assert c_name('int', False) == 'int'
    for type_name, expected in [('RunState', 'RUN_STATE_A_B'), ('QMPCapability',
                                'QMP_CAPABILITY_A_B'), ('JSONType', 'JSON_TYPE_A_B'),
                                ('OnOffAuto', 'ON_OFF_AUTO_A_B')]:
        assert c_enum_const(type_name, 'a-b') == expected
    assert c_enum_const('MultiFD', 'x', 'MULTIFD') == 'MULTIFD_X'


def run_generator(*args: str) -> subprocess.CompletedProcess:
    return subprocess.run([sys.executable, '-B', str(SCRIPTS / 'qapi-gen.py'), *args],
                          capture_output=True, text=True, check=False)


def check_command_line() -> None:
    schema = str(HERE / 'test-schema.json')
    with tempfile.TemporaryDirectory() as where:
        listed = run_generator('--list', '-p', 'test-', schema).stdout.split()
        done = run_generator('-p', 'test-', '-o', where, schema)
        assert done.returncode == 0 and not done.stderr, done.stderr
        written = {p.name: p.stat().st_mtime_ns for p in Path(where).iterdir()}
        assert sorted(written) == sorted(listed), 'list and files differ'
        run_generator('-p', 'test-', '-o', where, schema)
        assert written == {p.name: p.stat().st_mtime_ns for p in Path(where).iterdir()}, \
            'files that had not changed were written'
    bad = run_generator('--check', str(HERE / 'bad' / 'enum-value-twice.json'))
    assert bad.returncode == 1 and bad.stderr.count('\n') == 1 and 'twice' in bad.stderr
    missing = run_generator('--check', 'no-such-schema.json')
    assert missing.returncode == 1 and "can't read no-such-schema.json" in missing.stderr
    assert run_generator('-p', '7', schema).returncode == 2


def check_project_schema() -> None:
    """Whatever is reachable from the project's own schema is documented and consistent."""
    path = HERE.parent.parent / 'qapi' / 'qapi-schema.json'
    schema = Schema(str(path))
    assert schema.pragmas.doc_required
    manual = qapi_main.manual.generate(schema)['qmp-reference.md']
    anchors = re.findall(r'<a id="([^"]+)">', manual)
    assert len(anchors) == len(set(anchors)), 'two things have the same anchor'
    for link in re.findall(r'\]\(#([^)]+)\)', manual):
        assert link in anchors, f'link to #{link} leads nowhere'
    for command in schema.commands:
        assert f'### {command} (command)' in manual
    entries = introspection(path, mask=True)
    names = [(e['name'], e['meta-type']) for e in entries]
    assert len(names) == len(set(names))


def main() -> int:
    cases = [('names', check_names), ('introspection', check_introspection),
             ('command line', check_command_line), ('project schema', check_project_schema)]
    cases += [(f'good/{p.stem}', lambda p=p: check_good(p))
              for p in sorted((HERE / 'good').glob('*.json'))]
    cases += [(f'bad/{p.stem}', lambda p=p: check_bad(p))
              for p in sorted((HERE / 'bad').glob('*.json'))]
    print(f'1..{len(cases)}')
    failed = 0
    for number, (name, check) in enumerate(cases, 1):
        try:
            check()
            print(f'ok {number} - {name}')
        except Exception as err:    # pylint: disable=broad-except
            failed += 1
            print(f'not ok {number} - {name}')
            print('\n'.join(f'# {type(err).__name__}: {line}' for line in str(err).split('\n')))
    return 1 if failed else 0


if __name__ == '__main__':
    sys.exit(main())
