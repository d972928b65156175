#!/usr/bin/python3
# SPDX-License-Identifier: GPL-2.0-or-later
"""Looks at the memory of a stopped test guest and says whether every write is where it was.

The guest (dirty.c) describes itself in its control page: what it writes, how far it is. From
that follows what each page must hold; anything else is reported with what it looks like: a
write that was lost, a page from another place, a page of which only a part came.

Memory is read through a function reader(address, size) -> bytes, so it may come from a
running program's monitor, from a file or from a test's own bytes.
"""

import argparse
import array
import os
import re
import struct
import sys

CONTROL = 0x110000
MAGIC = b'GODWITG1'
PAGE = 4096
WORDS = PAGE // 4
MASK = 0xffffffff
KEY_PAGE = 0x9e3779b1
KEY_SLOT = 0x85ebca6b
KEY_PAGE_INVERSE = pow(KEY_PAGE, -1, 1 << 32)
POOL_WORDS = 2048
FILLS = ('zero', 'random', 'text')
STATES = ('off', 'filling', 'running', 'bad', 'done')
CHUNK_PAGES = 16384

HEADER = struct.Struct('<8s10I')
VCPU = struct.Struct('<12IQ')


class GuestError(Exception):
    """What is wrong, one line a finding; `findings` holds them, `count` how many there are."""

    def __init__(self, findings, count=None):
        self.findings = findings
        self.count = count or len(findings)
        more = self.count - len(findings)
        super().__init__('\n'.join(findings) + (f'\n… and {more} more' if more > 0 else ''))


class Vcpu:
    """One vCPU's share as the guest describes it; names as in guest.h."""

    def __init__(self, number, data):
        (self.pos, self.round, self.first_page, self.pages, self.hot_pages, self.stride,
         state, self.bad_address, self.bad_expected, self.bad_found, self.tsc_backwards,
         self.late, self.tsc_last) = VCPU.unpack(data)
        self.number = number
        self.state = STATES[state] if state < len(STATES) else f'unknown state {state}'


class Control:
    """The guest's control page."""

    def __init__(self, reader):
        data = bytes(reader(CONTROL, PAGE))
        (magic, size, vcpu_size, vcpus, self.ring, self.seed, self.words, fill, self.tsc_khz,
         self.rounds, self.stop) = HEADER.unpack_from(data)
        if magic != MAGIC:
            raise GuestError([f'no guest at {CONTROL:#x}: found {magic!r}'])
        if vcpu_size != VCPU.size or not 1 <= vcpus <= 32 or fill >= len(FILLS):
            raise GuestError(['the control page is damaged'])
        if not self.words or WORDS % self.words:
            raise GuestError([f'the control page is damaged: {self.words} stamps a page'])
        self.fill = FILLS[fill]
        self.vcpus = [Vcpu(i, data[size + i * VCPU.size:size + (i + 1) * VCPU.size])
                      for i in range(vcpus)]

    def slot_word(self, slot):
        if self.words > 1 and slot == self.words - 1:
            return WORDS - 1
        return slot * (WORDS // self.words)

    def pool(self):
        """The bytes from which the guest copied what lies between the stamps."""
        words = array.array('I')
        x = (self.seed * 2 + 1) & MASK
        for _ in range(POOL_WORDS):
            x ^= x << 13 & MASK
            x ^= x >> 17
            x ^= x << 5 & MASK
            words.append((x & 0x03030303) + 0x61616161 if self.fill == 'text' else x)
        return words.tobytes()


class Report:
    """What a good guest showed."""

    def __init__(self, control):
        self.control = control
        self.pages = 0
        self.torn = 0
        self.rounds = [v.round for v in control.vcpus]

    def __str__(self):
        rounds = ', '.join(str(r) for r in self.rounds)
        return (f'{self.pages} pages as they must be (round {rounds}; '
                f'{self.torn} page{"" if self.torn == 1 else "s"} in the middle of being written)')


class _Checker:
    def __init__(self, reader, limit):
        self.reader = reader
        self.limit = limit
        self.control = Control(reader)
        self.findings = []
        self.count = 0
        self.templates = {}
        self.report = Report(self.control)
        self.pool = self.control.pool() if self.control.fill != 'zero' else b''

    def found(self, text):
        self.count += 1
        if len(self.findings) < self.limit:
            self.findings.append(text)

    def stamp(self, page, slot, number):
        return ((page * KEY_PAGE & MASK ^ self.control.seed ^ slot * KEY_SLOT & MASK)
                + number) & MASK

    def describe(self, page, slot, value):
        """What a wrong stamp most likely is."""
        zero = self.stamp(page, slot, 0)
        number = (value - zero) & MASK
        newest = max(v.round for v in self.control.vcpus)
        if number <= newest + 1:
            return f'round {number}'
        if value == 0:
            return 'zero'
        key = slot * KEY_SLOT & MASK ^ self.control.seed
        for number in range(max(0, newest - 3), newest + 2):
            other = ((value - number & MASK) ^ key) * KEY_PAGE_INVERSE & MASK
            for v in self.control.vcpus:
                if v.first_page <= other < v.first_page + v.pages:
                    return f'round {number} of the page at {other * PAGE:#x}'
        return f'{value:#010x}, no stamp at all'

    def expected_rounds(self, v, first, pages):
        """The round of each page from `first` on (counted in the share), None where unsure."""
        if v.round == 0:
            return [0 if p < v.pos else None for p in range(first, first + pages)]
        hot = min(max(v.hot_pages - first, 0), pages)
        if v.stride == 1:
            done = min(max(v.pos - first, 0), hot)
            rounds = [v.round] * done + [v.round - 1] * (hot - done)
            if 0 <= v.pos - first < hot:
                rounds[v.pos - first] = None
        else:
            inverse = pow(v.stride, -1, v.hot_pages)
            rounds = []
            for p in range(first, first + hot):
                visit = p * inverse % v.hot_pages
                rounds.append(v.round if visit < v.pos else
                              None if visit == v.pos else v.round - 1)
        return rounds + [0] * (pages - hot)

    def check_vcpu(self, v):
        if v.state == 'bad':
            self.found(f'vcpu {v.number} itself found {v.bad_found:#010x} at {v.bad_address:#x} '
                       f'in round {v.round}, expected {v.bad_expected:#010x}')
        elif v.state not in ('filling', 'running', 'done'):
            self.found(f'vcpu {v.number} is {v.state}')
            return
        if (v.hot_pages == 0 or v.hot_pages > v.pages or v.pos > max(v.pages, v.hot_pages)
                or (v.first_page + v.pages) * PAGE > 1 << 32):
            self.found(f'the control page is damaged: vcpu {v.number}')
            return
        for first in range(0, v.pages, CHUNK_PAGES):
            pages = min(CHUNK_PAGES, v.pages - first)
            self.check_pages(v, first, pages)

    def check_pages(self, v, first, pages):
        base = v.first_page + first
        data = bytearray(self.reader(base * PAGE, pages * PAGE))
        words = memoryview(data).cast('I')
        rounds = self.expected_rounds(v, first, pages)
        unsure = [i for i, r in enumerate(rounds) if r is None]
        numbers = [0 if r is None else r for r in rounds]
        seed = self.control.seed
        keys = [p * KEY_PAGE & MASK ^ seed for p in range(base, base + pages)]
        columns = []
        bad_pages = set()
        for slot in range(self.control.words):
            spread = slot * KEY_SLOT & MASK
            column = words[self.control.slot_word(slot)::WORDS].tolist()
            columns.append(column)
            want = [((k ^ spread) + r) & MASK for k, r in zip(keys, numbers)]
            if column != want:
                for i, (have, must) in enumerate(zip(column, want)):
                    if have != must and rounds[i] is not None and i not in bad_pages:
                        bad_pages.add(i)
                        self.report_page(v, base + i, rounds[i], slot, have)
        for i in unsure:
            if v.round > 0:
                self.check_torn(v, base + i, [column[i] for column in columns])
        self.check_between(v, base, data, words, [] if v.round else unsure)
        self.report.pages += pages - len(unsure)

    def report_page(self, v, page, number, slot, value):
        self.found(f'page {page * PAGE:#x} (vcpu {v.number}): expected round {number}, found '
                   f'{self.describe(page, slot, value)} at offset '
                   f'{self.control.slot_word(slot) * 4:#x}')

    def check_torn(self, v, page, values):
        """Low slots may hold this round, the rest then the last; never the other way about."""
        numbers = [(value - self.stamp(page, slot, 0)) & MASK
                   for slot, value in enumerate(values)]
        for slot, number in enumerate(numbers):
            if number not in (v.round, v.round - 1):
                self.found(f'page {page * PAGE:#x} (vcpu {v.number}): expected round '
                           f'{v.round - 1} or {v.round}, found '
                           f'{self.describe(page, slot, values[slot])} at offset '
                           f'{self.control.slot_word(slot) * 4:#x}')
                return
        if sorted(numbers, reverse=True) != numbers:
            self.found(f'page {page * PAGE:#x} (vcpu {v.number}): torn against the order in '
                       f'which the guest writes: rounds {numbers[:8]}')
        self.report.torn += len(set(numbers)) > 1

    def template(self, page):
        """A page's content between the stamps, with zeroes in place of the stamps."""
        start = page * 7 % (POOL_WORDS - WORDS)
        if start not in self.templates:
            content = bytearray(self.pool[start * 4:start * 4 + PAGE])
            for slot in range(self.control.words):
                at = self.control.slot_word(slot) * 4
                content[at:at + 4] = b'\0\0\0\0'
            self.templates[start] = bytes(content)
        return self.templates[start]

    def check_between(self, v, base, data, words, skip):
        pages = len(data) // PAGE
        nothing = memoryview(array.array('I', bytes(4 * pages)))
        for slot in range(self.control.words):
            words[self.control.slot_word(slot)::WORDS] = nothing
        for i in skip:
            data[i * PAGE:(i + 1) * PAGE] = bytes(PAGE)
        if self.control.fill == 'zero':
            if data.count(0) == len(data):
                return
            template = lambda page: bytes(PAGE)
        else:
            template = self.template
        for i in range(pages):
            if i in skip:
                continue
            have = data[i * PAGE:(i + 1) * PAGE]
            want = template(base + i)
            if have != want:
                at = next(k for k in range(PAGE) if have[k] != want[k])
                self.found(f'page {(base + i) * PAGE:#x} (vcpu {v.number}): byte at offset '
                           f'{at:#x} between the stamps is {have[at]:#04x}, expected '
                           f'{want[at]:#04x}')


def check_memory(reader, limit=20):
    """Checks all memory of a stopped guest. Answers a Report or raises GuestError."""
    checker = _Checker(reader, limit)
    for v in checker.control.vcpus:
        checker.check_vcpu(v)
    if checker.count:
        raise GuestError(checker.findings, checker.count)
    return checker.report


def letters(serial):
    """The letters of the serial output without dots and time stamps."""
    return re.sub(r'<[0-9a-f]*>?|\.', '', serial)


def check_serial(serial, letters_needed=0):
    """Checks that a serial output (source's and destination's, joined) is one unbroken count.
    Answers how many letters there are."""
    text = letters(serial)
    if 'E' in text:
        raise GuestError(['the guest reports: ' + text[text.index('E'):].strip()])
    text = text.rstrip('!')
    if not text.startswith('A'):
        raise GuestError([f'the serial output does not begin with A: {text[:20]!r}'])
    for i, c in enumerate(text[1:]):
        if c != chr(ord('a') + i % 26):
            raise GuestError([f'the serial output jumps at letter {i}: expected '
                              f'{chr(ord("a") + i % 26)!r}, found {text[1 + i:21 + i]!r}'])
    if len(text) - 1 < letters_needed:
        raise GuestError([f'the guest got to round {len(text) - 1}, expected {letters_needed}'])
    return len(text) - 1


def check_boot_sector(reader, start=0x100000, end=0x6400000):
    """The check for the boot sector form: all first bytes equal but for one step down by one.
    Answers the round's number (mod 256) and the address of the step."""
    values = bytearray()
    for at in range(start, end, CHUNK_PAGES * PAGE):
        values += bytes(reader(at, min(CHUNK_PAGES * PAGE, end - at)))[::PAGE]
    first = values[0]
    done = len(values) - len(values.lstrip(bytes([first])))
    rest = values[done:]
    if rest and rest.count((first - 1) & 255) != len(rest):
        wrong = next(i for i, b in enumerate(rest) if b != (first - 1) & 255)
        raise GuestError([f'page {start + (done + wrong) * PAGE:#x}: first byte '
                          f'{rest[wrong]:#04x}, expected {(first - 1) & 255:#04x} (the guest '
                          f'is at {start + done * PAGE:#x})'])
    return first, start + done * PAGE


def file_reader(path):
    """Reads guest memory from a file that holds it from address 0 on."""
    fd = os.open(path, os.O_RDONLY)

    def read(address, size):
        data = os.pread(fd, size, address)
        if len(data) != size:
            raise GuestError([f'{path} ends before {address + size:#x}'])
        return data
    return read


def qmp_reader(path):
    sys.path.insert(0, os.path.join(os.path.dirname(os.path.abspath(__file__)), '..', '..',
                                    'scripts'))
    import tempfile
    from vmtools.qmp import QMP
    monitor = QMP.connect(path)
    monitor.command('stop')

    def read(address, size):
        with tempfile.NamedTemporaryFile() as f:
            monitor.command('pmemsave', val=address, size=size, filename=f.name, timeout=300)
            return f.read()
    return read


def main():
    parser = argparse.ArgumentParser(description='Checks the memory of a stopped test guest.')
    source = parser.add_mutually_exclusive_group(required=True)
    source.add_argument('--file', help='a file with the guest\'s memory from address 0 on')
    source.add_argument('--qmp', metavar='PATH', help='a monitor socket; stops the guest')
    parser.add_argument('--serial', action='append', default=[], metavar='FILE',
                        help='serial output, source first')
    parser.add_argument('--boot-sector', action='store_true', help='the 512-byte guest')
    options = parser.parse_args()
    try:
        reader = file_reader(options.file) if options.file else qmp_reader(options.qmp)
        if options.boot_sector:
            number, at = check_boot_sector(reader)
            print(f'round {number}, at {at:#x}')
        else:
            print(check_memory(reader))
        if options.serial:
            text = ''.join(open(p, encoding='latin-1').read() for p in options.serial)
            print(f'{check_serial(text)} letters in order')
    except (GuestError, OSError) as e:
        sys.exit(f'{parser.prog}: {e}')


if __name__ == '__main__':
    main()
