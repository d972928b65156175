#!/usr/bin/python3
# SPDX-License-Identifier: GPL-2.0-or-later
"""Prints what a migration stream or file holds, and says where it is damaged."""

import argparse
import json
import os
import sys

sys.path.insert(0, os.path.dirname(os.path.abspath(__file__)))

from vmtools.stream import Damage, SparseMemory, Stream, open_stream, section_title  # noqa: E402


def print_fields(content, indent):
    for name, value in content.get('fields', {}).items():
        print_value(name, value, indent)
    for name, sub in content.get('subsections', {}).items():
        print(f'{indent}subsection {name} v{sub["version"]}')
        print_fields(sub, indent + '    ')


def print_value(name, value, indent):
    if isinstance(value, dict) and 'fields' in value:
        print(f'{indent}{name}:')
        print_fields(value, indent + '    ')
    elif isinstance(value, dict):
        print(f'{indent}{name}:')
        for key, inner in value.items():
            print_value(key, inner, indent + '    ')
    elif isinstance(value, list) and any(isinstance(x, dict) for x in value):
        for i, inner in enumerate(value):
            print_value(f'{name}[{i}]', inner, indent)
    elif isinstance(value, list):
        print(f'{indent}{name}: ' + ' '.join(
            f'{x:#x}' if isinstance(x, int) and not isinstance(x, bool) else str(x)
            for x in value))
    elif isinstance(value, int) and not isinstance(value, bool):
        print(f'{indent}{name}: {value:#x}')
    else:
        print(f'{indent}{name}: {value}')


def print_state(stream):
    for device in stream.devices:
        print(f'{device["name"]} instance {device["instance"]} v{device["version"]} '
              f'at {device["offset"]:#x}')
        print_fields(device, '    ')


def print_summary(stream):
    config = stream.config
    print(f'machine type: {config.get("machine", "not sent")}')
    for key in ('target-page-bits', 'uuid'):
        if key in config:
            print(f'{key}: {config[key]}')
    if 'capabilities' in config:
        print('capabilities: ' + ', '.join(config['capabilities']))
    for block in stream.blocks.values():
        d = block.describe()
        pages = ', '.join(f'{n} {kind}' for kind, n in d['pages'].items()) or 'none'
        more = ''.join(f', {key} {d[key]:#x}' for key in ('page-size', 'address') if key in d)
        if 'mapped-ram' in d:
            more += (f', bitmap at {d["mapped-ram"]["bitmap-offset"]:#x}, pages at '
                     f'{d["mapped-ram"]["pages-offset"]:#x}')
        print(f'block {block.name}: {block.length:#x} bytes{more}; pages: {pages}')
    for s in stream.sections:
        words = f'{s["offset"]:#10x}  {section_title(s)}'
        if s['type'] in ('START', 'FULL'):
            words += f' instance {s["instance"]} v{s["version"]}'
        if 'size' in s:
            words += f' {s["size"]} bytes'
        for kind, count in s.get('pages', {}).items():
            words += f', {count} {kind}'
        for key in ('value', 'block', 'ranges', 'page-sizes', 'multifd-flushes'):
            if key in s:
                words += f' {key} {s[key]}'
        print(words)
    for note in stream.notes:
        print(f'note: {note}')


def main():
    p = argparse.ArgumentParser(
        description='Prints what a migration stream or file holds, and says where it is damaged. '
        'Exits with 0 when it is sound, 1 when it is damaged, 2 when it cannot be read.')
    p.add_argument('-f', '--file', required=True, help='the stream; /dev/stdin for a pipe')
    p.add_argument('--offset', type=lambda t: int(t, 0), default=0,
                   help='where in the file it begins (file:…,offset=)')
    p.add_argument('-d', '--dump', default='summary',
                   choices=('summary', 'state', 'desc', 'records', 'all'),
                   help='structure; device state; the stream\'s own description of it; every RAM '
                   'record; everything but the records')
    p.add_argument('-m', '--memory', metavar='FILE',
                   help='write the RAM to FILE, blocks one behind the other')
    p.add_argument('-j', '--json', action='store_true', help='print JSON (records: one a line)')
    p.add_argument('-q', '--quiet', action='store_true', help='only verify')
    o = p.parse_args()

    def record(r):
        if o.json:
            print(json.dumps(r))
        else:
            print(f'{r["offset"]:#10x}  {r["block"]} {r["address"]:#x} {r["kind"]} {r["size"]}')

    memory = None
    try:
        data = open_stream(o.file)
        memory = SparseMemory(o.memory) if o.memory else None
        stream = Stream(data, o.offset, memory,
                        record if o.dump == 'records' and not o.quiet else None)
    except OSError as e:
        print(f'{p.prog}: {e.filename or o.file}: {e.strerror}', file=sys.stderr)
        sys.exit(2)
    damage = None
    try:
        stream.parse()
    except Damage as e:
        damage = e
    finally:
        if memory is not None:
            memory.close()

    if o.quiet or o.dump == 'records':
        pass
    elif o.json:
        out = stream.summary() if o.dump in ('summary', 'all') else {}
        if o.dump == 'state':
            out = {'devices': stream.devices}
        elif o.dump == 'desc':
            out = stream.vmdesc
        elif o.dump == 'all':
            out.update(devices=stream.devices, vmdescription=stream.vmdesc)
        if damage is not None and isinstance(out, dict):
            out['damage'] = {'offset': damage.offset, 'where': damage.where, 'text': damage.text}
        print(json.dumps(out, indent=2))
    else:
        if o.dump in ('summary', 'all'):
            print_summary(stream)
        if o.dump in ('state', 'all'):
            print_state(stream)
        if o.dump in ('desc', 'all'):
            print(json.dumps(stream.vmdesc, indent=2))
    if damage is not None:
        sys.stdout.flush()
        print(f'{o.file}: {damage}', file=sys.stderr)
        sys.exit(1)


if __name__ == '__main__':
    try:
        main()
    except BrokenPipeError:
        os.dup2(os.open(os.devnull, os.O_WRONLY), 1)
        sys.exit(141)
