#!/usr/bin/python3
# SPDX-License-Identifier: GPL-2.0-or-later
"""What query-qmp-schema tells, compared with what the real QEMU tells.

Every command and event that this program declares has the same members there, of the same types,
equally optional; types are compared by their shape, as introspection gives no names. Whatever
differs is listed below with its reason, and an entry that no difference needs any more is an error.
Commands that are not declared here are no difference.
"""

import fnmatch
import os
import sys
import unittest

sys.path.insert(0, os.path.dirname(os.path.abspath(__file__)))

from machine_process import MachineTest, main                   # noqa: E402
from vmtools import programs                                    # noqa: E402

# Differences to the newer QEMU: (pattern of the place, pattern of the difference): reason.
ALLOWED_NEW = {
    ('object-add(arguments)*', 'lacks *'): 'objects that are not built',
    ('chardev-add(arguments).backend*', 'lacks *'): 'back ends that are not built',
    ('query-display-options(return)*', 'lacks value *'): 'displays that are not built',
    ('query-display-options(return)', 'has tag None, not type'): 'and their options',
    ('query-cpus-fast(return)[[]]', 'has tag None, not target'): 'the variant of another target',
    ('GUEST_PANICKED(data)', 'lacks optional member info'): 'of hypervisors that are not emulated',
    ('*migrate*', 'extra * *compress*'): 'the older QEMU has it: guests move there and back',
    ('query-block*(return)*', 'lacks optional member *'):
        'of formats, layers, throttling and statistics that are not built',
}
# What the older QEMU has otherwise, beyond that. What is newer than it needs no mention here.
ALLOWED_OLD = {
    ('*', 'extra *'): 'newer',
    ('migrate(arguments).uri', 'is optional'): 'there are channels',
    ('migrate-incoming(arguments).uri', 'is optional'): 'there are channels',
    ('migrate(arguments)', 'lacks optional member blk'): 'block migration was removed',
    ('migrate(arguments)', 'lacks optional member inc'): 'block migration was removed',
    ('migrate-set-capabilities(arguments).capabilities[[]].capability', 'lacks value block'):
        'block migration was removed',
    ('*migrate*-parameters(*)', 'lacks optional member block-incremental'):
        'block migration was removed',
    ('query-migrate(return)', 'lacks optional member disk'): 'block migration was removed',
    ('*migrate*compress*', 'has features *deprecated*'): 'replaced by multifd-compression',
    ('query-migrate(return).ram', 'lacks member skipped'): 'was always 0, and removed',
    ('chardev-add(arguments).backend:socket.data.reconnect',
     'has features *deprecated*'): 'there is reconnect-ms',
    ('query-cpus-fast(return)[[]].target', 'lacks value *'): 'targets that were removed',
    ('query-status(return)', 'lacks member singlestep'): 'removed',
    ('trace-event-*', 'lacks * vcpu'): 'removed',
}

# What neither has: (place, difference): reason. The names begin with x-, and are documented as ours;
# but for the type that QEMU has by this name, while its schema knows another that it has no type for.
OWN = {
    ('object-add(arguments)', 'extra variant authz-list-file'): 'makes the object usable',
    ('object-add(arguments).qom-type', 'extra value authz-list-file'): 'likewise',
    ('query-migrate(return)', 'extra member x-downtime'): 'where the downtime went',
    # QEMU has them since 10.1, after both that are compared here.
    ('query-migrate(return)', 'extra member postcopy-latency'): 'of a later QEMU',
    ('query-migrate(return)', 'extra member postcopy-latency-dist'): 'likewise',
    ('query-migrate(return)', 'extra member postcopy-vcpu-latency'): 'likewise',
    ('query-migrate(return)', 'extra member postcopy-non-vcpu-latency'): 'likewise',
}


class Schema:
    """The reply of query-qmp-schema."""

    def __init__(self, entries):
        self.entries = {entry['name']: entry for entry in entries}

    def of_kind(self, kind):
        return sorted(name for name, entry in self.entries.items() if entry['meta-type'] == kind)

    def kind(self, name):
        return self.entries[name]['meta-type']

    def members(self, name):
        return {m['name']: m for m in self.entries[name]['members']}

    def variants(self, name):
        return {v['case']: v['type'] for v in self.entries[name].get('variants', ())}

    def features(self, entry):
        return sorted(entry.get('features', ()))


class Comparison:
    """Walks through two schemas side by side and collects (place, difference)."""

    def __init__(self, ours, theirs):
        self.ours, self.theirs = ours, theirs
        self.found = []
        self.seen = set()

    def note(self, place, difference):
        self.found.append((place, difference))

    def sets(self, place, what, ours, theirs):
        for name in sorted(set(ours) - set(theirs)):
            self.note(place, f'extra {what} {name}')
        for name in sorted(set(theirs) - set(ours)):
            self.note(place, f'lacks {what} {name}')
        return sorted(set(ours) & set(theirs))

    def types(self, place, ours, theirs):
        if (ours, theirs) in self.seen:
            return
        self.seen.add((ours, theirs))
        kind, other = self.ours.kind(ours), self.theirs.kind(theirs)
        if kind != other:
            self.note(place, f'is {kind}, not {other}')
        elif kind == 'builtin':
            json_type = self.ours.entries[ours]['json-type']
            expected = self.theirs.entries[theirs]['json-type']
            if json_type != expected:
                self.note(place, f'is {json_type}, not {expected}')
        elif kind == 'array':
            self.types(place + '[]', self.ours.entries[ours]['element-type'],
                       self.theirs.entries[theirs]['element-type'])
        elif kind == 'enum':
            self.sets(place, 'value', self.ours.members(ours), self.theirs.members(theirs))
        elif kind == 'alternate':
            self.alternates(place, ours, theirs)
        else:
            self.objects(place, ours, theirs)

    def alternates(self, place, ours, theirs):
        """Branches have no names; they differ in what they are in JSON."""
        def branches(schema, name):
            return {schema.entries[m['type']].get('json-type', schema.kind(m['type'])): m['type']
                    for m in schema.entries[name]['members']}
        mine, other = branches(self.ours, ours), branches(self.theirs, theirs)
        for name in self.sets(place, 'branch', mine, other):
            self.types(f'{place}<{name}>', mine[name], other[name])

    def objects(self, place, ours, theirs):
        mine, other = self.ours.members(ours), self.theirs.members(theirs)
        for name in sorted(set(other) - set(mine)):
            if 'default' in other[name]:
                self.note(place, f'lacks optional member {name}')
        needed = {name: m for name, m in other.items() if name in mine or 'default' not in m}
        for name in self.sets(place, 'member', mine, needed):
            member, expected = mine[name], other[name]
            here = f'{place}.{name}'
            if ('default' in member) != ('default' in expected):
                self.note(here, 'is optional' if 'default' in member else 'is not optional')
            if self.ours.features(member) != self.theirs.features(expected):
                self.note(here, f'has features {self.ours.features(member)}, '
                                f'not {self.theirs.features(expected)}')
            self.types(here, member['type'], expected['type'])
        tags = [schema.entries[name].get('tag')
                for schema, name in ((self.ours, ours), (self.theirs, theirs))]
        if tags[0] != tags[1]:
            self.note(place, f'has tag {tags[0]}, not {tags[1]}')
            return
        mine, other = self.ours.variants(ours), self.theirs.variants(theirs)
        for case in self.sets(place, 'variant', mine, other):
            self.types(f'{place}:{case}', mine[case], other[case])

    def command(self, name):
        mine, other = self.ours.entries[name], self.theirs.entries[name]
        if mine.get('allow-oob') != other.get('allow-oob'):
            self.note(name, 'differs in allow-oob')
        if self.ours.features(mine) != self.theirs.features(other):
            self.note(name, f'has features {self.ours.features(mine)}, '
                            f'not {self.theirs.features(other)}')
        self.types(f'{name}(arguments)', mine['arg-type'], other['arg-type'])
        self.types(f'{name}(return)', mine['ret-type'], other['ret-type'])

    def event(self, name):
        self.types(f'{name}(data)', self.ours.entries[name]['arg-type'],
                   self.theirs.entries[name]['arg-type'])

    def run(self):
        for name in self.ours.of_kind('command'):
            if name in self.theirs.entries:
                self.command(name)
            else:
                self.note(name, 'extra command')
        for name in self.ours.of_kind('event'):
            if name in self.theirs.entries:
                self.event(name)
            else:
                self.note(name, 'extra event')
        return self.found


def allowed(entries, place, difference):
    """The entry that explains a difference, if there is one."""
    return next((key for key in entries if fnmatch.fnmatchcase(place, key[0]) and
                 fnmatch.fnmatchcase(difference, key[1])), None)


class SchemaTest(MachineTest):
    def schema(self, role):
        binary = programs.find(role)
        if binary is None:
            self.skipTest(programs.why_missing(role))
        path = self.path('qmp')
        process = self.start('-M', 'none', '-display', 'none', '-S', '-qmp',
                             f'unix:{path},server=on,wait=off', plain=False, binary=binary)
        client = self.new_client(path)
        schema = Schema(client.run('query-qmp-schema')['return'])
        self.assert_quits(process, client)
        return schema

    def differences(self, role):
        return Comparison(self.schema(programs.GODWIT), self.schema(role)).run()

    def check(self, found, entries):
        """All of @found is explained; answers the entries that were needed."""
        explained = [(place, what, allowed(entries, place, what)) for place, what in found]
        surprises = [f'{place}: {what}' for place, what, key in explained if key is None]
        self.assertEqual(surprises, [], 'differences that nobody has explained')
        return {key for _, _, key in explained}

    def test_new(self):
        used = self.check(self.differences(programs.NEWER), {**ALLOWED_NEW, **OWN})
        self.assertEqual(sorted(set(ALLOWED_NEW) - used), [], 'explained, but no longer so')

    def test_old(self):
        used = self.check(self.differences(programs.OLDER), {**ALLOWED_NEW, **ALLOWED_OLD})
        self.assertEqual(sorted(set(ALLOWED_OLD) - used), [], 'explained, but no longer so')

    def test_nothing_is_invented(self):
        """What the newer QEMU does not have, the older one had."""
        extra = [{difference for difference in self.differences(role)
                  if difference[1].startswith('extra ')}
                 for role in (programs.NEWER, programs.OLDER)]
        self.assertEqual(sorted(extra[0] & extra[1]), sorted(OWN))

    def test_the_comparison_sees(self):
        """A schema is equal to itself, and differs from one that was changed."""
        ours = self.schema(programs.GODWIT)
        self.assertEqual(Comparison(ours, ours).run(), [])
        entry = ours.entries['migrate']
        members = [m for m in ours.entries[entry['arg-type']]['members'] if m['name'] != 'uri']
        changed = Schema([*ours.entries.values(),
                          {'name': 'other', 'meta-type': 'object', 'members': members},
                          {**entry, 'arg-type': 'other', 'features': ['deprecated']}])
        self.assertEqual(Comparison(ours, changed).run(),
                         [('migrate', "has features [], not ['deprecated']"),
                          ('migrate(arguments)', 'extra member uri')])


if __name__ == '__main__':
    main()
