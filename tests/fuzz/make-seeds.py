#!/usr/bin/python3
# SPDX-License-Identifier: GPL-2.0-or-later
"""Makes the seed corpus of the fuzz targets: make-seeds.py TARGET DIRECTORY.

Streams that QEMU has written (tests/data), shortened to a few pages, and packets and records made
by hand of pages of them; postcopy's messages, made by hand.
"""

import os
import re
import struct
import sys
import zlib

DATA = os.path.join(os.path.dirname(os.path.abspath(__file__)), '..', 'data')
PAGE = 4096
PAGES_KEPT = 2


def data(name):
    with open(os.path.join(DATA, name), 'rb') as f:
        return f.read()


def shortened(stream):
    """Without most of its pages: those with contents that only continue a block."""
    out, at, kept = bytearray(), 0, {}
    for match in re.finditer(rb'\0\0\0\0\0[\0-\x1f].([\x22\x28])', stream, re.S):
        record = 9 if match[1] == b'\x22' else 8 + PAGE
        if match.start() < at or struct.unpack('>Q', match[0])[0] >= 2 << 20:
            continue
        kept[record] = kept.get(record, 0) + 1
        end = match.end() if kept[record] <= PAGES_KEPT else match.start()
        out += stream[at:end]
        at = match.start() + (record if kept[record] > PAGES_KEPT else 8)
    return bytes(out + stream[at:])


def page(number):
    return data('ram-2m.bin')[number * PAGE:(number + 1) * PAGE]


def zstd_raw(content):
    """A frame that goes on, with blocks which are not compressed."""
    out = struct.pack('<IBB', 0xFD2FB528, 0, 9 << 3)
    return out + struct.pack('<I', len(content) << 3)[:3] + content


def zlib_flushed(content):
    z = zlib.compressobj()
    return z.compress(content) + z.flush(zlib.Z_SYNC_FLUSH)


PACKERS = (lambda content: content, zlib_flushed, zstd_raw)


def packet(method, normal=(), zero=(), flags=0, block=b'ram'):
    payload = PACKERS[method](b''.join(page(n) for n in normal)) if normal else b''
    head = struct.pack('>IIIIIIQI28x', 0x11223344, 1, flags | method << 1, 128, len(normal),
                       len(payload), 1, len(zero)) + block.ljust(256, b'\0')
    offsets = [n * PAGE for n in (*normal, *zero)]
    return head + struct.pack('>128Q', *offsets, *[0] * (128 - len(offsets))) + payload


def seeds_of_multifd():
    for method in range(3):
        lead = bytes([method])
        yield lead
        yield lead + packet(method, [1])
        yield lead + packet(method, [1, 2, 5], [7, 8]) + packet(0, flags=1)
        yield lead + packet(method, [], [3, 4, 5]) + packet(0, flags=1) + packet(method, [3])
        yield lead + packet(method, [1], block=b'other')


def seeds_of_codecs():
    for method in (1, 2):
        lead = bytes([method - 1 | 1 << 1])
        packed = PACKERS[method](page(1) + page(2))
        yield lead + struct.pack('>H', len(packed)) + packed
        packed = PACKERS[method](bytes(2 * PAGE))
        yield lead + struct.pack('>H', len(packed)) + packed


def seeds_of_xbzrle():
    yield b'\x00\x01x'
    yield b'\x80\x10\x04abcd\x05\x02xy'
    yield page(1) + page(1)[:100] + b'changed' + page(1)[107:]
    yield bytes(2000) + bytes(1000) + b'x' * 1000


def seeds_of_stream():
    for name in sorted(os.listdir(DATA)):
        if name.endswith('.bin') and name.startswith('qemu') and 'offset' not in name:
            stream = data(name)
            if len(shortened(stream)) < 1 << 16:
                yield shortened(stream)
    # Records of the other kinds, in the first section of pages
    stream = shortened(data('qemu-7.2-none-2m.bin'))
    at = 0x48
    name = b'\3ram'
    packed = zlib.compress(page(1))
    for record in (
            struct.pack('>Q', 0x1040) + name + b'\1' + struct.pack('>H', 3) + b'\0\1x',
            struct.pack('>Q', 0x1100) + name + struct.pack('>I', len(packed)) + packed,
            struct.pack('>Q', 0x1100) + name + struct.pack('>I', len(packed)) + packed
            + struct.pack('>Q', 0x1060) + b'\1' + struct.pack('>H', 3) + b'\5\1y'
            + struct.pack('>Q', 0x1022) + b'\0',
            struct.pack('>Q', 0x200)):
        yield stream[:at] + record + stream[at:]
    # A device, with an array and a subsection, in front of the end mark
    end = stream.index(b'\4', stream.index(b'globalstate') - 7)
    device = struct.pack('>BI', 4, 9) + b'\4fuzz' + struct.pack('>III', 0, 0, 3)
    device = struct.pack('>BIB', 4, 9, 4) + b'fuzz' + struct.pack('>II', 0, 3)
    device += struct.pack('>4HI', 1, 2, 3, 4, 5) + b'array'
    device += b'\5\x09fuzz/flag' + struct.pack('>IB', 1, 1) + struct.pack('>BI', 0x7e, 9)
    yield stream[:end] + device + stream[end:]


# --- postcopy: parts as fuzz-pipe.h and the heads of the targets have them ---

ZERO, CONTENT, EOS, CONTINUE, COMPRESSED = 0x02, 0x08, 0x10, 0x20, 0x100
LARGE = 4 * PAGE                # a page of block `large`
ASK, BITMAP_END = 0x476f6477, 0x0123456789abcdef
ONES = b'\1' * PAGE


def part(kind, *content):
    return b'\xf5\x5a\x23' + kind + b''.join(content)


def be64(*values):
    return struct.pack(f'>{len(values)}Q', *values)


def str8(name):
    return bytes([len(name)]) + name


def command(number, *content):
    content = b''.join(content)
    return struct.pack('>BHH', 8, number, len(content)) + content


def ping(value):
    return command(2, struct.pack('>I', value))


LISTEN, RUN, RESUME = command(4), command(5), command(9)


def advise():
    return command(3, be64(PAGE | LARGE, PAGE))


def recv_bitmap(block):
    return command(10, str8(block))


def discard(*pairs, block=b'ram'):
    return command(6, b'\0', str8(block), b'\0', *(be64(*pair) for pair in pairs))


def device(touched):
    return struct.pack('>BI', 4, 5) + str8(b'fuzz') + struct.pack('>III', 0, 1, touched) + \
        struct.pack('>BI', 0x7e, 5)


def record(number, flag, block=None):
    content = b'\0'
    if flag == CONTENT:
        content = ONES
    if flag == COMPRESSED:
        content = zlib.compress(ONES)
        content = struct.pack('>I', len(content)) + content
    return be64(number * PAGE | flag | (0 if block else CONTINUE)) + \
        (str8(block) if block else b'') + content


def records(block, flag, numbers):
    return b''.join(record(n, flag, None if i else block) for i, n in enumerate(numbers))


def section(*content, kind=2):
    return struct.pack('>BI', kind, 2) + b''.join(content) + be64(EOS) + \
        struct.pack('>BI', 0x7e, 2)


def seeds_of_postcopy():
    ends = section(kind=3) + b'\0'
    away = discard((PAGE, 4 * PAGE)) + ping(2)
    both = discard((0, PAGE), (8 * PAGE, 2 * PAGE)) + discard((LARGE, LARGE), block=b'large')
    package = part(b'k', LISTEN, ping(3), RUN)
    back = section(records(b'ram', COMPRESSED, range(1, 5)))
    large = section(records(b'large', ZERO, range(4, 8)))
    content = section(records(b'ram', CONTENT, range(1, 5)))
    mixed = section(records(b'ram', ZERO, (8, 9)), record(0, COMPRESSED))
    # All at once; a page behind the other; zeroes, compressed ones, host pages in parts
    yield b'\2' + away + package + part(b'm', content, ends)
    yield b'\2' + ping(ASK) + away + part(b'k', LISTEN, ping(3)) + part(b'm', RUN, back, ends)
    yield b'\2' + both + package + part(b'm', mixed, large, ends)
    # The same by the preempt channel, or by both
    yield b'\3' + away + package + part(b'p', records(b'ram', ZERO, range(1, 5))) + part(b'm', ends)
    yield b'\3' + both + package + \
        part(b'p', records(b'large', COMPRESSED, (4, 6)), be64(EOS)) + \
        part(b'm', section(records(b'large', CONTENT, (5, 7)), records(b'ram', ZERO, (0, 8, 9))),
             ends)
    # More host pages at a time than a source has under way; one that is not zero, and not content
    several = discard((0, 6 * LARGE), block=b'large')
    yield b'\2' + several + package + part(b'm', section(records(b'large', ZERO, range(0, 24, 4))))
    yield b'\2' + several + package + \
        part(b'm', section(records(b'large', ZERO, range(8))[:-1], b'\7',
                           records(b'large', COMPRESSED, range(8, 24))), ends)
    # Both channels at once
    yield b'\3' + several + package + part(b'P', records(b'large', ZERO, range(0, 24, 2))) + \
        part(b'm', section(records(b'large', ZERO, range(23, 0, -2))), ends)
    # A device that needs a page
    yield b'\6' + away + part(b'k', LISTEN, device(2 * PAGE), ping(3), RUN) + part(b'm', back, ends)
    # The connection breaks, in a device or behind the package, and is made again
    for options, made in ((2, (LISTEN, device(PAGE), RUN)), (3, (LISTEN, ping(3), RUN))):
        yield bytes([options]) + away + part(b'k', *made) + \
            part(b'm', section(record(1, ZERO, b'ram'))[:-4]) + \
            part(b'r', recv_bitmap(b'ram'), recv_bitmap(b'large'), RESUME, RUN, back, ends)
    yield b'\3' + both + package + part(b'y') + part(b'r', RESUME) + part(b'y') + \
        part(b'r', recv_bitmap(b'ram'), RESUME) + part(b'p', records(b'ram', ZERO, (8, 9))) + \
        part(b'm', large, section(record(0, ZERO, b'ram')), ends)
    # What has no place: before the switch, in the package, behind it
    for item in (LISTEN, RUN, RESUME, recv_bitmap(b'ram'), command(1), command(8), command(11),
                 advise(), command(7, struct.pack('>I', 5)) + LISTEN, away, device(0), back, b'\0'):
        yield b'\2' + item + away
        yield b'\2' + away + part(b'k', LISTEN, item, RUN)
        yield b'\2' + away + package + part(b'm', item, back, ends)
    # From the first byte on
    blocks = struct.pack('>BI', 1, 2) + str8(b'ram') + struct.pack('>II', 0, 4) + be64(0x220004) + \
        str8(b'ram') + be64(0x200000) + str8(b'large') + be64(0x20000, LARGE) + be64(EOS) + \
        struct.pack('>BI', 0x7e, 2)
    yield b'\0QEVM\0\0\0\3\7\0\0\0\4none' + command(1) + advise() + blocks + away + \
        command(7, struct.pack('>I', len(LISTEN + RUN))) + LISTEN + RUN + back + ends


def reply(number, *content):
    content = b''.join(content)
    return struct.pack('>HH', number, len(content)) + content


def pong(value):
    return reply(2, struct.pack('>I', value))


def request(offset, length, block=None):
    name = str8(block) if block else b''
    return reply(3 if block else 4, struct.pack('>QI', offset, length), name)


def bitmap(block, pages, missing=()):
    words = [(1 << 64) - 1] * ((pages + 63) // 64)
    for n in missing:
        words[n // 64] &= ~(1 << n % 64)
    return reply(5, str8(block)) + be64(8 * len(words)) + \
        struct.pack(f'<{len(words)}Q', *words) + be64(BITMAP_END)


def seeds_of_return_path():
    shut, ack, switchover = reply(1, bytes(4)), reply(6, b'\0\0\0\1'), reply(7)
    asked = request(3 * PAGE, PAGE, b'ram') + request(2 * PAGE, 4 * PAGE) + \
        request(LARGE, LARGE, b'large') + request(5 * PAGE, 2 * PAGE, b'ram')
    bitmaps = bitmap(b'ram', 512, range(100, 512)) + bitmap(b'large', 32, range(4, 32))
    for options in range(4):
        lead = bytes([options])
        yield lead + pong(1) + pong(ASK + 1) + part(b's', pong(2), pong(3), asked, pong(4)) + \
            part(b'B') + part(b'e', shut)
        # It breaks, and goes on, with requests before the bitmaps and behind them
        yield lead + part(b's', pong(3), asked) + part(b'b') + part(b'B') + \
            part(b'r', request(101 * PAGE, PAGE), bitmaps, request(LARGE, PAGE, b'large')) + \
            part(b'a', ack, request(7 * PAGE, PAGE, b'ram')) + part(b'c', asked) + part(b'e', shut)
    # What was confirmed is given back, and must not be missing
    for missing in (100, 2):
        yield b'\2' + part(b's', pong(3), asked) + part(b'B') + part(b'q', pong(0x52000000)) + \
            part(b'g') + part(b'r', bitmap(b'ram', 512, range(missing, 512)),
                              bitmap(b'large', 32, range(8, 32))) + part(b'a', ack)
    yield b'\x0d' + switchover + part(b's', asked, reply(1, b'\0\0\0\1'))
    # What has no place, in each state
    for message in (ack, switchover, asked, bitmaps, request(0, PAGE), request(0, PAGE, b'none'),
                    request(1 << 21, PAGE, b'ram'), request(0, 0, b'ram'), reply(8), reply(0), shut,
                    bitmap(b'ram', 64), bitmap(b'ram', 512)[:-1] + b'\0', bitmap(b'none', 64)):
        yield b'\0' + message
        yield b'\0' + part(b's', pong(3), message)
        yield b'\0' + part(b's', pong(3)) + part(b'b') + part(b'r', message)


def main():
    target, directory = sys.argv[1:]
    os.makedirs(directory, exist_ok=True)
    for i, seed in enumerate(globals()['seeds_of_' + target.replace('-', '_')]()):
        with open(os.path.join(directory, f'seed-{i:02}'), 'wb') as f:
            f.write(seed)


if __name__ == '__main__':
    main()
