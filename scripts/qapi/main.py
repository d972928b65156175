# SPDX-License-Identifier: GPL-2.0-or-later
"""The command line of the generator."""

import argparse
import os
import re
import sys
from typing import Dict, List

from . import commands, events, introspect, manual, types, visit
from .schema import Schema
from .source import SchemaError


def write_if_changed(path: str, text: str) -> None:
    """Leave a file alone that already says TEXT, so that what includes it isn't rebuilt."""
    try:
        with open(path, encoding='utf-8') as handle:
            if handle.read() == text:
                return
    except OSError:
        pass
    os.makedirs(os.path.dirname(path) or '.', exist_ok=True)
    with open(path, 'w', encoding='utf-8') as handle:
        handle.write(text)


def code(schema: Schema, prefix: str, include_dir: str, builtins: bool,
         unmask: bool) -> Dict[str, str]:
    files: Dict[str, str] = {}
    files.update(types.generate(schema, prefix, include_dir, builtins))
    files.update(visit.generate(schema, prefix, include_dir, builtins))
    files.update(commands.generate(schema, prefix, include_dir))
    files.update(events.generate(schema, prefix, include_dir))
    files.update(introspect.generate(schema, prefix, include_dir, unmask))
    return files


def main(argv: List[str]) -> int:
    parser = argparse.ArgumentParser(prog='qapi-gen', description=__doc__)
    parser.add_argument('schema', help='the schema; it may include others')
    parser.add_argument('-o', '--output-dir', default='.', help='where the files go')
    parser.add_argument('-p', '--prefix', default='', help='put before file and function names')
    parser.add_argument('-I', '--include-dir', default='',
                        help='how the generated files are reached in #include, as "qapi/"')
    parser.add_argument('-b', '--builtins', action='store_true',
                        help='also write the files for the built-in types')
    parser.add_argument('-u', '--unmask-non-abi-names', action='store_true',
                        help='keep the names of types in the introspection data')
    parser.add_argument('--check', action='store_true', help='only check the schema')
    parser.add_argument('--list', action='store_true', help='print what would be written')
    parser.add_argument('--manual', action='store_true',
                        help='write qmp-reference.md instead of code')
    args = parser.parse_args(argv[1:])
    if not re.fullmatch(r'([A-Za-z_][A-Za-z0-9_-]*)?', args.prefix):
        parser.error(f"prefix '{args.prefix}' can't begin a C identifier")
    try:
        schema = Schema(args.schema)
    except SchemaError as err:
        print(err, file=sys.stderr)
        return 1
    if args.check:
        return 0
    if args.manual:
        files = manual.generate(schema)
    else:
        files = code(schema, args.prefix, args.include_dir, args.builtins,
                     args.unmask_non_abi_names)
    if args.list:
        print('\n'.join(sorted(files)))
        return 0
    for name, text in files.items():
        write_if_changed(os.path.join(args.output_dir, name), text)
    return 0
