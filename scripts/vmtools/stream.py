# SPDX-License-Identifier: GPL-2.0-or-later
"""Reads migration streams and files: structure, RAM, device state; finds damage.

The format is described in docs/stream-format.md. Nothing read is believed: every length
and offset is checked against what holds it, so damage ends in Damage with the offset at which
the stream stops making sense, never in an endless loop or a huge allocation.

A stream does not say how long a device's section is; that follows from the description of
all fields (vmdescription) behind its end. It is looked for first. Where there is none, a device
section ends at the footer which is followed by something that can follow a footer.
"""

import json
import mmap
import os
import struct
import zlib

MAGIC = 0x5145564d
VERSION = 3
(EOF, START, PART, END, FULL, SUBSECTION, VMDESCRIPTION, CONFIGURATION, COMMAND,
 FOOTER) = 0, 1, 2, 3, 4, 5, 6, 7, 8, 0x7e
SECTION_NAMES = {EOF: 'EOF', START: 'START', PART: 'PART', END: 'END', FULL: 'FULL',
                 SUBSECTION: 'SUBSECTION', VMDESCRIPTION: 'VMDESCRIPTION',
                 CONFIGURATION: 'CONFIGURATION', COMMAND: 'COMMAND', FOOTER: 'FOOTER'}

RAM_ZERO, RAM_MEM_SIZE, RAM_PAGE, RAM_EOS = 0x02, 0x04, 0x08, 0x10
RAM_CONTINUE, RAM_XBZRLE, RAM_HOOK, RAM_COMPRESS, RAM_MULTIFD_FLUSH = 0x20, 0x40, 0x80, 0x100, 0x200
RAM_KINDS = {RAM_ZERO: 'zero', RAM_PAGE: 'normal', RAM_XBZRLE: 'xbzrle',
             RAM_COMPRESS: 'compressed'}

# command number -> name, allowed lengths of its data
COMMANDS = {
    1: ('OPEN_RETURN_PATH', (0,)), 2: ('PING', (4,)), 3: ('POSTCOPY_ADVISE', (0, 16)),
    4: ('POSTCOPY_LISTEN', (0,)), 5: ('POSTCOPY_RUN', (0,)), 6: ('POSTCOPY_RAM_DISCARD', None),
    7: ('PACKAGED', (4,)), 8: ('ENABLE_COLO', (0,)), 9: ('POSTCOPY_RESUME', (0,)),
    10: ('RECV_BITMAP', None), 11: ('SWITCHOVER_START', (0,)),
}
MAX_BLOCKS = 4096
MAX_VMDESC = 64 << 20


class Damage(Exception):
    """The stream is not as it must be. `offset` counts from the start of the file."""

    def __init__(self, offset, where, text):
        super().__init__(f'at offset {offset:#x}: {where}: {text}' if where
                         else f'at offset {offset:#x}: {text}')
        self.offset = offset
        self.where = where
        self.text = text


class Reader:
    """A position in bytes, with names for where it is."""

    def __init__(self, data, pos, end):
        self.data = data
        self.pos = pos
        self.end = end
        self.where = []

    def fail(self, text, at=None):
        raise Damage(self.pos if at is None else at, ': '.join(self.where), text)

    def need(self, size, what):
        if size > self.end - self.pos:
            self.fail(f'expected {what} ({size} bytes), found the end of the data after '
                      f'{self.end - self.pos}')

    def bytes(self, size, what):
        self.need(size, what)
        value = self.data[self.pos:self.pos + size]
        self.pos += size
        return value

    def skip(self, size, what):
        self.need(size, what)
        self.pos += size

    def number(self, size, what):
        return int.from_bytes(self.bytes(size, what), 'big')

    def u8(self, what):
        return self.number(1, what)

    def u16(self, what):
        return self.number(2, what)

    def u32(self, what):
        return self.number(4, what)

    def u64(self, what):
        return self.number(8, what)

    def name(self, what, length=None):
        """A name with its length before it; anything but plain text is damage."""
        at = self.pos
        raw = self.bytes(self.u8('the length of ' + what) if length is None else length, what)
        if not raw or any(c < 0x20 or c > 0x7e for c in raw):
            self.fail(f'expected {what}, found {bytes(raw[:40])!r}', at)
        return raw.decode('ascii')


class Block:
    """A RAM block, and what of it the stream carries."""

    def __init__(self, name, length, offset):
        self.name = name
        self.length = length
        self.offset = offset
        self.page_size = None
        self.address = None
        self.mapped = None                  # dict of the mapped-ram header
        self.counts = dict.fromkeys(RAM_KINDS.values(), 0)

    def describe(self):
        d = {'name': self.name, 'length': self.length}
        if self.page_size is not None:
            d['page-size'] = self.page_size
        if self.address is not None:
            d['address'] = self.address
        if self.mapped:
            d['mapped-ram'] = self.mapped
        d['pages'] = {k: v for k, v in self.counts.items() if v}
        return d


class Stream:
    """A parsed stream. Parsing stops at damage; what came before it stays to be looked at."""

    def __init__(self, data, offset=0, memory=None, records=None):
        """`memory`: an object with block(name, length) and write(name, at, bytes) and
        read(name, at, size), or None. `records`: called with every RAM record, or None."""
        self.data = data
        self.base = offset
        self.memory = memory
        self.records = records
        self.config = {}
        self.page_size = 4096
        self.sections = []                  # in stream order, dicts
        self.devices = []                   # decoded device state
        self.blocks = {}
        self.vmdesc = None
        self.vmdesc_offset = None
        self.notes = []
        self.damage = None
        self.footers = None                 # unknown until the first section ended
        self._started = {}                  # section id -> (name, instance, offset)
        self._described = {}
        self._advised = 0
        self._block = None                  # that the last RAM record was of
        self._filled = False
        self._size = 0

    def parse(self):
        """Reads all of it. Raises Damage."""
        try:
            self._parse()
        except Damage as e:
            self.damage = e
            raise
        return self

    # The envelope

    def _parse(self):
        r = Reader(self.data, self.base, len(self.data))
        if self.base > len(self.data):
            r.end = r.pos
            r.fail(f'the file ends at {len(self.data):#x}')
        self._find_vmdesc(r)
        r.where = ['file header']
        at = r.pos
        magic = r.u32('the magic number')
        if magic != MAGIC:
            r.fail(f'expected "QEVM" ({MAGIC:#x}), found {magic:#010x}' + self._hint(at), at)
        version = r.u32('the version')
        if version != VERSION:
            r.fail(f'expected version {VERSION}, found {version}'
                   + (', which is obsolete' if version == 2 else ''), at + 4)
        if r.pos < r.end and r.data[r.pos] == CONFIGURATION:
            self._configuration(r)
        self._body(r)
        self._end(r)

    def _hint(self, at):
        found = self.data[at:at + (1 << 20)].find(b'QEVM\0\0\0\x03')
        return f'; a stream begins at offset {at + found:#x}' if found > 0 else ''

    def _configuration(self, r):
        r.where = ['configuration']
        self.sections.append({'type': 'CONFIGURATION', 'offset': r.pos})
        r.pos += 1
        at = r.pos
        length = r.u32('the length of the machine type')
        if not 0 < length < 256:
            r.fail(f'expected the length of a machine type, found {length}', at)
        self.config['machine'] = r.name('the machine type', length)
        while r.pos < r.end and r.data[r.pos] == SUBSECTION:
            at = r.pos
            r.pos += 1
            name = r.name('the name of a subsection')
            r.where = ['configuration', name]
            version = r.u32('the version')
            if version != 1:
                r.fail(f'expected version 1, found {version}')
            if name == 'configuration/target-page-bits':
                at = r.pos
                bits = r.u32('the page bits')
                if not 10 <= bits <= 24:
                    r.fail(f'expected page bits of 10 to 24, found {bits}', at)
                self.page_size = 1 << bits
                self.config['target-page-bits'] = bits
            elif name == 'configuration/capabilities':
                at = r.pos
                count = r.u32('the number of capabilities')
                if count > 64:
                    r.fail(f'expected a small number of capabilities, found {count}', at)
                self.config['capabilities'] = [r.name('a capability') for _ in range(count)]
            elif name == 'configuration/uuid':
                raw = bytes(r.bytes(16, 'the UUID')).hex()
                self.config['uuid'] = '-'.join((raw[:8], raw[8:12], raw[12:16], raw[16:20],
                                                raw[20:]))
            else:
                r.fail('expected target-page-bits, capabilities or uuid, found an unknown '
                       'subsection', at)
        r.where = []

    def _body(self, r, packaged=False):
        """Sections and commands up to the end byte, or up to the end of a package."""
        while True:
            r.where = ['package'] if packaged else []
            if packaged and r.pos == r.end:
                return
            at = r.pos
            kind = r.u8('a section type')
            if kind == EOF and not packaged:
                self.sections.append({'type': 'EOF', 'offset': at})
                return
            if kind in (START, FULL):
                self._new_section(r, kind, at)
            elif kind in (PART, END):
                self._next_section(r, kind, at)
            elif kind == COMMAND:
                self._command(r, at)
            else:
                last = self.sections[-1] if self.sections else None
                behind = f' behind {section_title(last)}' if last else ''
                r.fail(f'expected a section type{behind}, found {kind:#04x}'
                       + (f' ({SECTION_NAMES[kind]})' if kind in SECTION_NAMES else ''), at)

    def _new_section(self, r, kind, at):
        number = r.u32('the section id')
        name = r.name('the section\'s name')
        instance = r.u32('the instance id')
        version = r.u32('the version')
        section = {'type': SECTION_NAMES[kind], 'offset': at, 'id': number, 'name': name,
                   'instance': instance, 'version': version}
        self.sections.append(section)
        r.where = [f'section {number} "{name}"']
        if number in self._started:
            other = self._started[number]
            r.fail(f'expected a section id not used before, found {number}, which is "{other[0]}" '
                   f'since {other[2]:#x}', at + 1)
        self._started[number] = (name, instance, at, kind)
        self._payload(r, kind, section, number)

    def _next_section(self, r, kind, at):
        number = r.u32('the section id')
        if number not in self._started or self._started[number][3] != START:
            r.fail(f'expected the id of a section that was started, found {number}', at + 1)
        name, instance, _, _ = self._started[number]
        section = {'type': SECTION_NAMES[kind], 'offset': at, 'id': number, 'name': name,
                   'instance': instance}
        self.sections.append(section)
        r.where = [f'section {number} "{name}"']
        self._payload(r, kind, section, number)

    def _payload(self, r, kind, section, number):
        section['payload'] = r.pos
        if section['name'] == 'ram' and kind != FULL:
            if kind == START and section['version'] != 4:
                r.fail(f'expected version 4, found {section["version"]}')
            self._ram(r, section)
        elif kind == FULL:
            self._device(r, section, number)
        else:
            self._skip_to_footer(r, number)
        section['size'] = r.pos - section['payload']
        self._footer(r, number)

    def _footer(self, r, number):
        at = r.pos
        if self.footers is None:
            self.footers = r.pos == r.end or r.data[r.pos] not in (EOF, START, PART, END, FULL,
                                                                   COMMAND)
            if not self.footers:
                self.notes.append('the stream has no section footers')
        if not self.footers:
            return
        kind = r.u8('a section footer')
        if kind != FOOTER:
            r.fail(f'expected the section\'s footer ({FOOTER:#x}), found {kind:#04x}', at)
        found = r.u32('the section id in the footer')
        if found != number:
            r.fail(f'expected section id {number} in the footer, found {found}', at)

    def _skip_to_footer(self, r, number):
        """The end of a section of unknown content: a footer with something sane behind it."""
        mark = bytes([FOOTER]) + number.to_bytes(4, 'big')
        at = r.pos
        while True:
            at = self.data.find(mark, at, r.end)
            if at < 0:
                r.fail('expected the section\'s footer, found none up to the end of the data')
            after = at + len(mark)
            if after == r.end or self.data[after] in (EOF, START, PART, END, FULL, COMMAND):
                break
            at += 1
        r.pos = at

    # Commands

    def _command(self, r, at):
        number = r.u16('the command')
        length = r.u16('the length of the command\'s data')
        known = COMMANDS.get(number)
        r.where = ['command ' + (known[0] if known else str(number))]
        section = {'type': 'COMMAND', 'offset': at, 'command': known[0] if known else number}
        self.sections.append(section)
        if known is None:
            r.fail(f'expected a command of 1 to {max(COMMANDS)}, found {number}', at + 1)
        if known[1] is not None and length not in known[1]:
            wanted = ' or '.join(map(str, known[1]))
            r.fail(f'expected {wanted} bytes of data, found {length}', at + 3)
        r.need(length, 'the command\'s data')
        inner = Reader(r.data, r.pos, r.pos + length)
        inner.where = r.where
        if number == 2:
            section['value'] = inner.u32('the value')
        elif number == 3 and length:
            section['page-sizes'] = self._advised = inner.u64('the page sizes')
            section['target-page-size'] = inner.u64('the target page size')
        elif number == 3:
            self._advised = self.page_size
        elif number == 6:
            self._discard(inner, section)
        elif number == 10:
            section['block'] = self._known_block(inner, inner.name('a block name'), at + 5)
        elif number == 7:
            size = inner.u32('the package\'s length')
            section['size'] = size
            r.pos += length
            r.need(size, 'the package')
            package = Reader(r.data, r.pos, r.pos + size)
            self._body(package, packaged=True)
            self.sections.append({'type': 'PACKAGE END', 'offset': package.pos})
            r.pos += size
            return
        if inner.pos != inner.end:
            inner.fail(f'expected the end of the command\'s data, found {inner.end - inner.pos} '
                       'bytes more')
        r.pos += length

    def _known_block(self, r, name, at):
        if name not in self.blocks:
            r.fail(f'expected the name of a RAM block, found "{name}"', at)
        return name

    def _discard(self, r, section):
        at = r.pos
        version = r.u8('the version')
        if version != 0:
            r.fail(f'expected version 0, found {version}', at)
        name = section['block'] = self._known_block(r, r.name('a block name'), at + 1)
        r.skip(1, 'the byte behind the name')
        if (r.end - r.pos) % 16 or r.end == r.pos:
            r.fail(f'expected pairs of start and length, found {r.end - r.pos} bytes')
        section['ranges'] = []
        while r.pos < r.end:
            at = r.pos
            start, length = r.u64('a start'), r.u64('a length')
            if start > self.blocks[name].length or length > self.blocks[name].length - start:
                r.fail(f'expected a range within block "{name}" of {self.blocks[name].length:#x} '
                       f'bytes, found {start:#x} and {length:#x} from there', at)
            section['ranges'].append([start, length])

    # RAM

    def _ram(self, r, section):
        block = self._block                 # goes on through the sections
        counts = dict.fromkeys(RAM_KINDS.values(), 0)
        page_size, end, data = self.page_size, r.end, self.data
        mask = page_size - 1
        unpack = struct.Struct('>Q').unpack_from
        base = list(r.where)
        while True:
            at = r.pos
            if end - at < 8:
                r.fail('expected a RAM record or its end mark, found the end of the data')
            value, = unpack(data, at)
            r.pos = at + 8
            flags, where = value & mask, value & ~mask
            if flags == RAM_EOS:
                if where:
                    r.fail(f'expected the end mark {RAM_EOS:#x}, found {value:#x}', at)
                break
            if flags == RAM_MEM_SIZE:
                if section['type'] != 'START' or self.blocks:
                    r.fail('expected a RAM record, found a second list of blocks', at)
                self._block_list(r, where, at)
                continue
            if flags == RAM_MULTIFD_FLUSH:
                section['multifd-flushes'] = section.get('multifd-flushes', 0) + 1
                continue
            if flags & RAM_HOOK:
                r.fail('a record of another transport (RDMA), which a stream cannot hold', at)
            kind = RAM_KINDS.get(flags & ~RAM_CONTINUE)
            if kind is None:
                r.fail(f'expected a RAM record, found flags {flags:#x}', at)
            if not flags & RAM_CONTINUE:
                r.where = base
                name = r.name('a block name')
                block = self._block = self.blocks.get(name)
                if block is None:
                    r.fail(f'expected the name of a RAM block ({self._block_names()}), found '
                           f'"{name}"', at + 8)
                r.where = base + [f'block "{name}"']
            elif block is None:
                r.fail('a record that goes on with a block, and none was named before',
                       at)
            if where >= block.length or block.length - where < page_size:
                r.fail(f'expected a page within {block.length:#x} bytes, found offset {where:#x}',
                       at)
            counts[kind] += 1
            block.counts[kind] += 1
            payload = r.pos
            self._page(r, kind, block, where)
            if self.records:
                self.records({'offset': at, 'block': block.name, 'address': where, 'kind': kind,
                              'payload': payload, 'size': r.pos - payload})
        section['pages'] = {k: v for k, v in counts.items() if v}
        r.where = base

    def _block_names(self):
        names = ', '.join(f'"{n}"' for n in list(self.blocks)[:8])
        return names or 'there are none'

    def _block_list(self, r, total, at):
        caps = self.config.get('capabilities', ())
        base = list(r.where)
        left = total
        while left > 0:
            here = r.pos
            r.where = base + ['list of blocks']
            name = r.name('a block name')
            if name in self.blocks:
                r.fail(f'expected a new block, found "{name}" again', here)
            if len(self.blocks) >= MAX_BLOCKS:
                r.fail(f'expected at most {MAX_BLOCKS} blocks', here)
            r.where = base + [f'block "{name}"']
            here = r.pos
            length = r.u64('the block\'s length')
            if not length or length % self.page_size:
                r.fail(f'expected a length in pages of {self.page_size}, found {length:#x}', here)
            if length > left:
                r.fail(f'expected at most {left:#x} bytes, what is left of {total:#x} in all, '
                       f'found {length:#x}', here)
            left -= length
            block = self.blocks[name] = Block(name, length, here)
            size = int.from_bytes(r.data[r.pos:r.pos + 8], 'big') if r.pos + 8 <= r.end else 0
            if size & self._advised and not size & (size - 1):
                # A name would begin with its length, which is not 0: a block of huge pages.
                block.page_size = r.u64('the block\'s page size')
            if 'x-ignore-shared' in caps:
                block.address = r.u64('the block\'s address')
            if self.memory is not None:
                self.memory.block(name, length)
            if 'mapped-ram' in caps:
                self._mapped(r, block)
        r.where = base
        if total == 0:
            self.notes.append('the list of blocks is empty')

    def _mapped(self, r, block):
        """A block of a mapped-ram file: pages at their place, a bitmap of those that are not 0."""
        at = r.pos
        version = r.u32('the version of the mapped-ram header')
        if version != 1:
            r.fail(f'expected version 1 of the mapped-ram header, found {version}', at)
        page_size = r.u64('the page size')
        if page_size != self.page_size:
            r.fail(f'expected page size {self.page_size}, found {page_size}', at + 4)
        bitmap, pages = r.u64('the bitmap\'s offset'), r.u64('the pages\' offset')
        count = block.length // page_size
        size = (count + 63) // 64 * 8
        if bitmap < r.pos or bitmap + size > pages:
            r.fail(f'expected the bitmap ({size} bytes) between {r.pos:#x} and the pages at '
                   f'{pages:#x}, found it at {bitmap:#x}', at + 12)
        if pages % (1 << 20):
            r.fail(f'expected the pages at a multiple of 1 MiB, found {pages:#x}', at + 20)
        r.need(bitmap + size - r.pos, 'the bitmap')
        bits = int.from_bytes(r.data[bitmap:bitmap + size], 'little')
        if bits >> count:
            r.fail(f'expected a bitmap of {count} pages, found bits behind them', bitmap)
        block.mapped = {'bitmap-offset': bitmap, 'pages-offset': pages}
        block.counts['normal'] += bits.bit_count() if hasattr(bits, 'bit_count') \
            else bin(bits).count('1')
        block.counts['zero'] += count - block.counts['normal']
        if block.length > r.end - pages:
            r.fail(f'expected the block\'s pages, {block.length:#x} bytes at {pages:#x}, found the '
                   f'end of the data at {r.end:#x}', at + 20)
        if self.memory is not None:
            for i in range(count):
                if bits >> i & 1:
                    start = pages + i * page_size
                    self.memory.write(block.name, i * page_size,
                                      r.data[start:start + page_size])
        r.pos = pages + block.length

    def _page(self, r, kind, block, where):
        size = self.page_size
        memory = self.memory
        if kind == 'normal':
            if memory is None:
                if size > r.end - r.pos:
                    r.need(size, 'a page')
                r.pos += size
            else:
                memory.write(block.name, where, r.bytes(size, 'a page'))
        elif kind == 'zero':
            value = r.u8('the byte that fills the page')
            if value and not self._filled:
                self._filled = True         # said once: old sources did it throughout
                self.notes.append(f'page {where:#x} of "{block.name}" is filled with {value:#04x}')
            if memory is not None:
                memory.write(block.name, where, bytes([value]) * size)
        elif kind == 'compressed':
            at = r.pos
            length = r.u32('the compressed length')
            if not 0 < length <= size + size // 1000 + 64:
                r.fail(f'expected the length of a compressed page, found {length}', at)
            inflate = zlib.decompressobj()
            try:
                page = inflate.decompress(r.bytes(length, 'a compressed page'), size + 1)
            except zlib.error as e:
                r.fail(f'expected a zlib stream: {e}', at + 4)
            if len(page) != size or not inflate.eof or inflate.unused_data:
                r.fail(f'expected {size} bytes in the compressed page, found '
                       f'{"more" if len(page) > size else len(page)}', at + 4)
            if memory is not None:
                memory.write(block.name, where, page)
        else:
            at = r.pos
            mark = r.u8('the XBZRLE mark')
            if mark != 1:
                r.fail(f'expected the XBZRLE mark 1, found {mark}', at)
            length = r.u16('the XBZRLE length')
            if length > size:
                r.fail(f'expected at most {size} bytes of XBZRLE, found {length}', at + 1)
            old = memory.read(block.name, where, size) if memory is not None else bytes(size)
            page = xbzrle(r, r.bytes(length, 'XBZRLE data'), old, size)
            if memory is not None:
                memory.write(block.name, where, page)

    # Devices

    def _find_vmdesc(self, r):
        """Looks from the end of the data for the end byte with a description behind it."""
        at, tries = r.end, 0
        while tries < 64:
            at = self.data.rfind(b'\0\x06', r.pos, at)
            if at < 0:
                return
            length = int.from_bytes(self.data[at + 2:at + 6], 'big')
            if (self.data[at + 6:at + 7] == b'{' and length <= MAX_VMDESC
                    and at + 6 + length <= r.end):
                tries += 1
                try:
                    desc = json.loads(bytes(self.data[at + 6:at + 6 + length]))
                except (ValueError, RecursionError):
                    continue
                if isinstance(desc, dict) and isinstance(desc.get('devices'), list):
                    self.vmdesc = desc
                    self.vmdesc_offset = at + 1
                    break
        for device in (self.vmdesc or {}).get('devices', ()):
            if isinstance(device, dict):
                self._described[(device.get('name'), device.get('instance_id'))] = device

    def _device(self, r, section, number):
        described = self._described.get((section['name'], section['instance']))
        if described is None:
            if self.vmdesc is not None:
                self.notes.append(f'{section_title(section)} is not in the vmdescription')
            self._skip_to_footer(r, number)
            return
        device = {'name': section['name'], 'instance': section['instance'],
                  'version': section['version'], 'offset': section['offset']}
        self.devices.append(device)
        if described.get('version') not in (None, section['version']):
            r.fail(f'expected version {described.get("version")}, found {section["version"]}')
        try:
            device.update(self._fields(r, described, 0))
        except RecursionError:
            r.fail('the vmdescription nests too deeply')

    def _fields(self, r, described, depth):
        result = {'fields': {}}
        base = list(r.where)
        if depth > 32:
            r.fail('the vmdescription nests too deeply')
        for field in self._list(r, described, 'fields'):
            name = str(field.get('name'))
            r.where = base + [f'field "{name}"']
            count = field.get('array_len')
            if count is not None:
                if not isinstance(count, int) or not 0 <= count <= 1 << 24:
                    r.fail(f'the vmdescription says array length {count!r}')
                value = []
                for i in range(count):
                    before = r.pos
                    value.append(self._value(r, field, depth))
                    if r.pos == before:     # nothing in it: a count is no reason to go round
                        break
            else:
                value = self._value(r, field, depth)
            index = field.get('index')
            if index is not None:
                result['fields'].setdefault(name, []).append(value)
            elif name in result['fields']:
                key = next(f'{name}#{i}' for i in range(2, 1 << 30)
                           if f'{name}#{i}' not in result['fields'])
                result['fields'][key] = value
            else:
                result['fields'][name] = value
        for sub in self._list(r, described, 'subsections'):
            name = str(sub.get('vmsd_name'))
            r.where = base + [f'subsection "{name}"']
            at = r.pos
            if r.u8('a subsection') != SUBSECTION:
                r.fail(f'expected subsection "{name}", found {self.data[at]:#04x}', at)
            found = r.name('the subsection\'s name')
            if found != name:
                r.fail(f'expected subsection "{name}", found "{found}"', at)
            version = r.u32('the subsection\'s version')
            if version != sub.get('version', version):
                r.fail(f'expected version {sub["version"]} of the subsection, found {version}',
                       r.pos - 4)
            result.setdefault('subsections', {})[name] = dict(
                version=version, **self._fields(r, sub, depth + 1))
        r.where = base
        return result

    @staticmethod
    def _list(r, described, key):
        value = described.get(key, [])
        if not isinstance(value, list) or not all(isinstance(x, dict) for x in value):
            r.fail(f'the vmdescription\'s "{key}" is no list of objects')
        return value

    def _value(self, r, field, depth):
        if isinstance(field.get('struct'), dict):
            at = r.pos
            value = self._fields(r, field['struct'], depth + 1)
            size = field.get('size')
            # Of an array whose elements differ in length, the size is that of the first.
            if isinstance(size, int) and r.pos - at != size and field.get('array_len') is None:
                r.fail(f'expected {size} bytes of structure "{field.get("name")}", found '
                       f'{r.pos - at}', at)
            return value['fields'] if len(value) == 1 else value
        size = field.get('size')
        if not isinstance(size, int) or not 0 <= size <= r.end - r.pos:
            r.need(size if isinstance(size, int) and size > 0 else r.end - r.pos + 1, 'the field')
        at = r.pos
        raw = bytes(r.bytes(size, 'the field'))
        kind = str(field.get('type'))
        if kind == 'bool' and size == 1:
            if raw[0] > 1:
                r.fail(f'expected a bool, found {raw[0]:#04x}', at)
            return bool(raw[0])
        if kind == 'nullptr':
            if raw not in (b'0', b'1'):
                r.fail(f'expected a pointer\'s mark 0x30 or 0x31, found {raw.hex()}', at)
            return None if raw == b'0' else True
        if size in (1, 2, 4, 8) and 'buffer' not in kind and kind != 'bitmap':
            signed = kind.startswith('int') or kind in ('timer', 'size')
            return int.from_bytes(raw, 'big', signed=signed and kind != 'size')
        text = raw.rstrip(b'\0')
        if text and all(0x20 <= c < 0x7f for c in text) and 'unused' not in kind:
            return text.decode('ascii')
        return raw.hex()

    # The end

    def _end(self, r):
        r.where = ['vmdescription']
        at = r.pos
        if r.pos == r.end:
            self.notes.append('there is no vmdescription')
            return
        if r.data[at] != VMDESCRIPTION:
            self.notes.append(f'{r.end - at} bytes follow the end of the stream at {at:#x}')
            return
        r.pos += 1
        length = r.u32('the length of the vmdescription')
        if length > MAX_VMDESC:
            r.fail(f'expected a vmdescription of at most {MAX_VMDESC} bytes, found {length}',
                   at + 1)
        text = bytes(r.bytes(length, 'the vmdescription'))
        if at != self.vmdesc_offset:
            try:
                json.loads(text)
            except (ValueError, RecursionError) as e:
                r.fail(f'expected JSON: {e}', at + 5 + getattr(e, 'pos', 0))
            r.fail('expected an object with a list of devices', at + 5)
        if self.vmdesc.get('page_size') not in (None, self.page_size):
            r.fail(f'expected page size {self.page_size}, found {self.vmdesc["page_size"]}', at)
        sent = [(s['name'], s['instance']) for s in self.sections if s['type'] == 'FULL']
        for device in self.vmdesc['devices']:
            key = (device.get('name'), device.get('instance_id')) if isinstance(device, dict) \
                else (None, None)
            if key not in sent:
                r.fail(f'expected only devices that were sent, found "{key[0]}" {key[1]}', at)
        if r.pos != r.end:
            self.notes.append(f'{r.end - r.pos} bytes follow the stream at {r.pos:#x}')
        self._size = r.pos - self.base

    def summary(self):
        """What came, as plain data."""
        return {
            'offset': self.base,
            'size': self._size or None,
            'configuration': self.config,
            'page-size': self.page_size,
            'blocks': [b.describe() for b in self.blocks.values()],
            'sections': self.sections,
            'devices': [d['name'] for d in self.devices],
            'notes': self.notes,
        }


def section_title(section):
    """A section in words."""
    if section['type'] == 'COMMAND':
        return f'command {section["command"]}'
    if 'name' in section:
        return f'section {section["id"]} "{section["name"]}" ({section["type"]})'
    return section['type']


def xbzrle(r, data, old, size):
    """Applies XBZRLE data to a page. The format: count of bytes that stay, count of bytes that
    come, those bytes; again and again."""
    page = bytearray(old)
    pos = at = 0

    def count():
        nonlocal pos
        value = shift = 0
        while True:
            if pos >= len(data) or shift > 14:
                r.fail(f'expected a count in the XBZRLE data, found '
                       f'{"its end" if pos >= len(data) else "one that is too long"}')
            byte = data[pos]
            pos += 1
            value |= (byte & 0x7f) << shift
            shift += 7
            if not byte & 0x80:
                return value

    first = True
    while pos < len(data):
        stay = count()
        if not stay and not first:
            r.fail('expected a run of unchanged bytes in the XBZRLE data, found an empty one')
        first = False
        at += stay
        if at > size:
            r.fail(f'expected XBZRLE data within the page, found {at} bytes')
        if pos == len(data):
            break
        new = count()
        if not new or at + new > size or pos + new > len(data):
            r.fail(f'expected XBZRLE data within the page and its length, found a run of {new} '
                   f'bytes at {at}')
        page[at:at + new] = data[pos:pos + new]
        at += new
        pos += new
    return bytes(page)


class SparseMemory:
    """RAM taken out of a stream, in one file: blocks one behind the other, zero pages as holes."""

    def __init__(self, path):
        self.file = open(path, 'w+b')
        self.starts = {}
        self.size = 0

    def block(self, name, length):
        self.starts[name] = self.size
        self.size += length
        try:
            self.file.truncate(self.size)   # a hole: it costs nothing however long it claims to be
        except (OSError, OverflowError) as e:
            raise Damage(0, f'block "{name}"', f'{length:#x} bytes cannot be extracted: {e}') from e

    def write(self, name, at, data):
        self.file.seek(self.starts[name] + at)
        self.file.write(data)

    def read(self, name, at, size):
        self.file.seek(self.starts[name] + at)
        return self.file.read(size)

    def close(self):
        self.file.close()


def open_stream(path):
    """A file as bytes: mapped where it can be, read where it cannot (a pipe, /dev/stdin)."""
    with open(path, 'rb') as f:
        size = os.fstat(f.fileno()).st_size
        if size:
            try:
                return mmap.mmap(f.fileno(), 0, access=mmap.ACCESS_READ)
            except (OSError, ValueError):
                pass
        return f.read()
