#!/usr/bin/python3
# SPDX-License-Identifier: GPL-2.0-or-later
"""The documentation against the program: links lead somewhere, every option, capability, parameter
and field is explained, the list of what a host must supply is right, and the sessions work as
typed.

Sessions are fenced blocks in docs/migration.md. The words behind the fence say what a block is:
"sh source" and "sh destination" start a machine (and end the one before it), "json …" are lines of
QMP for it, "hmp …" lines for its monitor. After a block with a migration, the test waits until it
has ended well.
"""

import json
import os
import re
import shlex
import shutil
import subprocess
import sys
import tempfile
import time
import unittest

TOP = os.path.join(os.path.dirname(os.path.abspath(__file__)), '..', '..')
sys.path.insert(0, os.path.join(TOP, 'scripts'))

from vmtools import tap                                         # noqa: E402
from vmtools.qmp import QMP                                     # noqa: E402

BUILD = os.environ.get('GODWIT_BUILD_DIR', os.path.join(TOP, 'build'))
BINARY = os.path.abspath(os.environ.get('GODWIT_BINARY')
                         or os.path.join(BUILD, 'godwit-system-x86_64'))


def read(*path):
    with open(os.path.join(TOP, *path), encoding='utf-8') as f:
        return f.read()


def documents():
    """All Markdown files of the project, as paths relative to its top."""
    found = [name for name in os.listdir(TOP) if name.endswith('.md')]
    for folder in ('docs', 'tests'):
        for path, _, names in os.walk(os.path.join(TOP, folder)):
            found += [os.path.relpath(os.path.join(path, n), TOP)
                      for n in names if n.endswith('.md')]
    return sorted(found)


def without_code(text):
    text = re.sub(r'^```.*?^```', '', text, flags=re.S | re.M)
    return re.sub(r'`[^`\n]*`', lambda m: 'x' * len(m[0]), text)


def anchors(text):
    """The names that headings get where Markdown is shown."""
    names = []
    for heading in re.findall(r'^#+ +(.*)$', re.sub(r'^```.*?^```', '', text, flags=re.S | re.M),
                              flags=re.M):
        heading = re.sub(r'[^\w\- ]', '', heading.lower()).replace(' ', '-')
        names.append(heading if heading not in names else f'{heading}-{names.count(heading)}')
    return names


class Links(unittest.TestCase):
    def test_links(self):
        for doc in documents():
            for target in re.findall(r'\]\(([^)\s]+)\)', without_code(read(doc))):
                with self.subTest(document=doc, target=target):
                    if re.match(r'[a-z]+:', target):
                        self.fail('a link to elsewhere: it may be gone tomorrow')
                    path, _, anchor = target.partition('#')
                    there = os.path.normpath(os.path.join(os.path.dirname(doc), path)) \
                        if path else doc
                    self.assertTrue(os.path.exists(os.path.join(TOP, there)))
                    if anchor:
                        self.assertIn(anchor, anchors(read(there)))

    def test_index(self):
        """docs/README.md leads to every document."""
        index = read('docs', 'README.md')
        for doc in documents():
            if doc.startswith('docs/') and doc != 'docs/README.md':
                with self.subTest(document=doc):
                    self.assertIn(f']({doc[len("docs/"):]})', index)

    def test_paths(self):
        """Files named in the text exist."""
        for doc in documents():
            for path in re.findall(r'`((?:docs|include|migration|scripts|system|tests|util|hw|'
                                   r'monitor|qapi|qom|io)/[\w./-]+\.\w+)`', read(doc)):
                if 'MODULE' in path or 'NAME' in path:
                    continue
                with self.subTest(document=doc, path=path):
                    self.assertTrue(any(os.path.exists(os.path.join(p, path))
                                        for p in (TOP, os.path.join(TOP, 'include'), BUILD)) or
                                    path == 'docs/qmp-reference.md')

    def test_comments(self):
        """Documents and tests that the source refers to exist."""
        for folder in ('include', 'migration', 'system', 'util', 'io', 'monitor', 'scripts'):
            for path, _, names in os.walk(os.path.join(TOP, folder)):
                for name in names:
                    if name.endswith(('.c', '.h', '.py')):
                        for doc in re.findall(r'docs/[\w/-]+\.md', read(path, name)):
                            with self.subTest(file=name, document=doc):
                                self.assertTrue(os.path.exists(os.path.join(TOP, doc)) or
                                                doc == 'docs/qmp-reference.md')


class Complete(unittest.TestCase):
    def names_in(self, document, names):
        text = read('docs', document)
        self.assertTrue(names)
        for name in names:
            with self.subTest(name=name):
                self.assertTrue(re.search(r'`[^`]*(?<![\w-])' + re.escape(name) + r'(?![\w-])',
                                          text))

    def enum(self, name):
        schema = read('qapi', 'migration.json')
        body = re.search(r"'enum': '%s',.*?'data': \[(.*?)\] \}\n" % name, schema, re.S)[1]
        body = re.sub(r"'(features|if)': (\[[^]]*\]|'[^']*')", '', body)
        return [n for n in re.findall(r"'([\w-]+)'", body) if n != 'name']

    def members(self, name):
        schema = read('qapi', 'migration.json')
        body = re.search(r"'struct': '%s',\s*'data': \{(.*?)\} \}\n" % name, schema, re.S)[1]
        body = re.sub(r"\{ 'type': '(\w+)'[^}]*\}", r"'\1'", body)
        return re.findall(r"'\*?([\w-]+)':", body)

    def test_options(self):
        table = read('system', 'cmdline-options.c')
        table = table[table.index('const CmdlineOption cmdline_options[]'):]
        self.names_in('invocation.md', ['-' + n for n in re.findall(r'^    \{ "([\w-]+)",', table,
                                                                    re.M)])

    def test_refused_options(self):
        self.names_in('invocation.md', ['-' + n for n in re.findall(
            r'^    \{ "([\w-]+)", (?:true|false),', read('system', 'cmdline-refused.c'), re.M)])

    def test_hmp_commands(self):
        names = re.findall(r'^    \{ "([\w?|-]+)", \{', read('monitor', 'hmp-table.c'), re.M)
        self.names_in('monitor.md', [n for name in names for n in name.split('|')
                                     if n not in ('info', '?')])

    def test_capabilities(self):
        self.names_in('migration.md', self.enum('MigrationCapability'))

    def test_built_capabilities(self):
        """The table says "yes" where the program does."""
        table = read('migration', 'options.c')
        missing = set(re.findall(r'\[MIGRATION_CAPABILITY_(\w+)\] = "', table))
        for line in re.findall(r'^\| `.*\| (?:yes|no) \|.*$', read('docs', 'migration.md'), re.M):
            names, built = line.split('|')[1:3]
            for name in re.findall(r'`([\w-]+)`', names):
                with self.subTest(capability=name):
                    self.assertEqual(name.upper().replace('-', '_') not in missing,
                                     built.strip() == 'yes')

    def test_parameters(self):
        self.names_in('migration.md', self.enum('MigrationParameter'))

    def test_statuses(self):
        statuses = [s for s in self.enum('MigrationStatus')
                    if not s.startswith(('postcopy', 'colo', 'wait-unplug'))]
        self.names_in('migration.md', statuses)

    def test_statistics(self):
        self.names_in('migration.md', self.members('MigrationStats'))
        self.names_in('migration.md', ['status', 'total-time', 'setup-time', 'expected-downtime',
                                       'downtime', 'error-desc', 'blocked-reasons',
                                       'socket-address', 'x-downtime'])
        self.names_in('migration.md', self.members('MigrationDowntime'))
        self.names_in('migration.md', self.members('XBZRLECacheStats'))
        self.names_in('migration.md', self.members('CompressionStats'))

    def test_globals(self):
        source = read('migration', 'options.c')
        self.names_in('migration.md', re.findall(r'FLAG\("([\w-]+)"', source))

    def test_commands_on_the_wire(self):
        source = read('migration', 'savevm-command.c') + read('migration', 'return-path.c')
        names = re.findall(r'\[MIG_(?:CMD|RP_MSG)_(\w+)\] = \{', source)
        text = read('docs', 'stream-format.md')
        for name in names:
            if name not in ('INVALID', 'MAX'):
                with self.subTest(name=name):
                    self.assertTrue(f'| {name} |' in text)


class Porting(unittest.TestCase):
    """What libmigration.a needs beyond the lower floors is what the page lists."""

    def symbols(self, flag, *libraries):
        names = set()
        for lib in libraries:
            path = os.path.join(BUILD, lib)
            if os.path.exists(path):
                out = subprocess.run(['nm', flag, path], capture_output=True, text=True,
                                     check=True).stdout
                names |= {line.split()[-1] for line in out.splitlines()
                          if re.search(r' [A-TV-Zuw]? ?\w+$', line)}
        return names

    @unittest.skipUnless(shutil.which('nm'), 'nm is not installed')
    def test_host_functions(self):
        needed = self.symbols('-u', 'migration/libmigration.a')
        below = self.symbols('--defined-only', 'migration/libmigration.a', 'util/libutil.a',
                             'qapi/libqapi.a', 'qom/libqom.a', 'io/libio.a', 'crypto/libcrypto.a')
        host = self.symbols('--defined-only', 'system/libsystem.a', 'hw/libhw.a',
                            'accel/libaccel.a', 'target/i386/libtarget.a',
                            'chardev/libchardev.a', 'monitor/libmonitor.a')
        self.assertTrue(needed and below and host)
        missing = (needed - below) & host
        page = read('docs', 'devel', 'porting.md')
        page = page[page.index('## What a host must supply'):page.index('## What a host must do')]
        listed = set(re.findall(r'`(\w+)`', page))
        self.assertEqual(missing - listed, set(), 'needed, but not listed')
        stale = {n for n in listed if n in host and n not in missing}
        self.assertEqual(stale, set(), 'listed, but not needed')

    def test_includes(self):
        """migration/ sees nothing of the floors above it."""
        allowed_above = {'hmp-cmds.c', 'hmp-dirty.c'}      # built into the monitor's library
        folder = os.path.join(TOP, 'migration')
        for name in os.listdir(folder):
            if name.endswith(('.c', '.h')) and name not in allowed_above:
                for header in re.findall(r'#include "((?:hw|accel|target|monitor|chardev)/[^"]*)"',
                                         read('migration', name)):
                    with self.subTest(file=name):
                        self.fail(f'includes {header}')


class Claims(unittest.TestCase):
    """Some sentences that are easily made untrue."""

    def run_program(self, *args, typed='', status=0):
        done = subprocess.run([BINARY, '-machine', 'none', '-m', '16', '-display', 'none', *args],
                              input=typed, capture_output=True, text=True, timeout=60,
                              check=False)
        self.assertEqual(done.returncode, status, done.stderr)
        return done.stdout + done.stderr

    def test_suppress_vmdesc(self):
        with tempfile.TemporaryDirectory() as directory:
            for value, there in (('off', True), ('on', False)):
                path = os.path.join(directory, value)
                self.run_program('-machine', 'suppress-vmdesc=' + value, '-monitor', 'stdio',
                                 typed=f'migrate file:{path}\nquit\n')
                with open(path, 'rb') as f:
                    self.assertEqual(b'"devices"' in f.read(), there)

    def test_messages(self):
        """Messages that are quoted."""
        text = self.run_program('-monitor', 'stdio',
                                typed='migrate_set_capability mapped-ram on\n'
                                      'migrate_set_capability switchover-ack on\nquit\n')
        for message in re.findall(r'`(Capability [^`]*)`', read('docs', 'migration.md')):
            self.assertIn(message, text)

    def test_exit_status(self):
        self.run_program('-incoming', 'exec:true', status=1)
        self.run_program('-bogus', status=1)
        self.run_program('-monitor', 'stdio', typed='quit\n')
        self.run_program('-version')

    def test_accepted_without_effect(self):
        table = read('docs', 'invocation.md')
        table = table[table.index('## Accepted because'):]
        for options, value in re.findall(r'^\| (`-.*`) \| `(\w+)`', table, re.M):
            for option in re.findall(r'`(-\w+)`', options):
                with self.subTest(option=option):
                    self.run_program('-monitor', 'stdio', option, value, typed='quit\n')


class Party:
    """One side of a session."""

    def __init__(self, argv, directory):
        self.stderr = tempfile.TemporaryFile()
        self.process = subprocess.Popen(argv, cwd=directory, stdin=subprocess.PIPE,
                                        stdout=self.stderr, stderr=self.stderr)
        self.qmp = None

    def connect(self, path):
        deadline = time.monotonic() + 30
        while True:
            try:
                self.qmp = QMP.connect(path)
                return
            except (FileNotFoundError, ConnectionRefusedError):
                if time.monotonic() > deadline or self.process.poll() is not None:
                    raise AssertionError('no monitor: ' + self.messages()) from None
                time.sleep(0.01)

    def messages(self):
        self.stderr.seek(0)
        return self.stderr.read().decode('utf-8', 'replace')

    def end(self):
        if self.qmp:
            self.qmp.close()
        self.process.terminate()
        self.process.wait(30)
        self.process.stdin.close()
        self.stderr.close()


class Sessions(unittest.TestCase):
    def setUp(self):
        self.directory = tempfile.mkdtemp(prefix='godwit-docs-')
        self.parties = {}
        self.addCleanup(shutil.rmtree, self.directory)

    def end(self, name):
        party = self.parties.pop(name, None)
        if party:
            party.end()

    def start(self, name, text):
        argv = shlex.split(text.replace('\\\n', ' '))
        self.assertEqual(argv[0], 'godwit-system-x86_64')
        self.end(name)
        path = os.path.join(self.directory, name + '.qmp')
        if os.path.exists(path):
            os.unlink(path)
        self.parties[name] = Party([BINARY] + argv[1:], self.directory)
        self.addCleanup(self.end, name)
        self.parties[name].connect(path)

    def wait(self, name, wanted):
        deadline = time.monotonic() + 60
        info = {}
        while time.monotonic() < deadline:
            info = self.parties[name].qmp.command('query-migrate')
            if info.get('status') == wanted:
                return
            self.assertNotIn(info.get('status'), ('failed', 'cancelled'), info)
            time.sleep(0.01)
        self.fail(f'{name}: {info}')

    def type_json(self, name, text):
        for line in text.splitlines():
            request = json.loads(line)
            if request['execute'] == 'qmp_capabilities':
                continue                    # connecting did that
            self.parties[name].qmp.command(request['execute'], **request.get('arguments', {}))
            if request['execute'] == 'migrate':
                self.migrated(name)

    def type_hmp(self, name, text):
        for line in text.splitlines():
            out = self.parties[name].qmp.command('human-monitor-command',
                                                 **{'command-line': line})
            self.assertNotIn('Error', out, line)
            self.assertNotIn('unknown command', out, line)
            if line.startswith('migrate '):
                self.migrated(name)

    def migrated(self, name):
        self.wait(name, 'completed')
        other = self.parties.get('destination')
        if other and other.qmp.command('query-migrate').get('status') == 'active':
            self.wait('destination', 'completed')

    def test_migration(self):
        text = read('docs', 'migration.md')
        blocks = re.findall(r'^```(sh|json|hmp) (source|destination)\n(.*?)^```', text,
                            flags=re.S | re.M)
        self.assertGreater(len(blocks), 10)
        for kind, name, body in blocks:
            with self.subTest(kind=kind, name=name, body=body.splitlines()[0]):
                if kind == 'sh':
                    self.start(name, body)
                elif kind == 'json':
                    self.type_json(name, body)
                else:
                    self.type_hmp(name, body)

    def test_blocks_are_known(self):
        """No session is left out because of a slip behind its fence."""
        for words in re.findall(r'^```(.+)$', read('docs', 'migration.md'), re.M):
            self.assertRegex(words, r'^(sh|json|hmp) (source|destination)$')


if __name__ == '__main__':
    tap.main()
