#!/usr/bin/python3
# SPDX-License-Identifier: GPL-2.0-or-later
"""Makes the seed corpus of the fuzz targets: make-seeds.py TARGET DIRECTORY.

Streams that QEMU has written (tests/data), shortened to a few pages, and packets and records made by
hand of pages of them.
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


def main():
    target, directory = sys.argv[1:]
    os.makedirs(directory, exist_ok=True)
    for i, seed in enumerate(globals()['seeds_of_' + target]()):
        with open(os.path.join(directory, f'seed-{i:02}'), 'wb') as f:
            f.write(seed)


if __name__ == '__main__':
    main()
