#!/usr/bin/env python3
"""Decodes an archive: decode_archive.py ARCHIVE IMAGE

Writes every chunk to its place in IMAGE, which is made as large as the origin,
and prints what the archive says as one JSON object. Written from
docs/archive-format.md alone; any fault ends it with exit status 65.
"""
import json
import struct
import sys
import zlib


def check(condition, what):
    if not condition:
        print(f"damaged: {what}", file=sys.stderr)
        sys.exit(65)


def sealed(data, what):
    """The fields of data, which ends with a checksum of the rest."""
    check(zlib.crc32(data[:-4]) == struct.unpack("<I", data[-4:])[0], f"checksum of {what}")
    return data[:-4]


def read_header(archive):
    check(archive[:8] == b"\x89DMSZ\r\n\x1a", "magic")
    version, features, length, block, chunk, metadata, origin = struct.unpack(
        "<6IQ", archive[8:40])
    check(version == 1 and features == 0, "version or features")
    check(44 <= length <= len(archive) - 60 and metadata <= length - 44, "header's lengths")
    sealed(archive[:length], "header")
    return length, block, chunk, origin, json.loads(archive[40:40 + metadata])


def read_section(archive, offset, block_size):
    """Tag, number, contents, optional?, both checksums, and where the next section begins."""
    fields = sealed(archive[offset:offset + 40], f"section at {offset}")
    tag, method, flags, _, number, contents, payload, crc, payload_crc, _ = struct.unpack(
        "<4sBBHQ5I", fields)
    check(contents <= block_size, "length of contents")
    end = offset + 40 + payload
    data = archive[offset + 40:end]
    check(len(data) == payload and zlib.crc32(data) == payload_crc, f"payload at {offset}")
    if method == 1:
        inflate = zlib.decompressobj(wbits=-15)
        data = inflate.decompress(data, contents + 1)
        check(inflate.eof and not inflate.unused_data, f"stream at {offset}")
    elif method == 2:
        data = bytes(contents)
    check(method <= 2 and len(data) == contents, f"length at {offset}")
    check(zlib.crc32(data) == crc, f"contents at {offset}")
    return tag, number, data, flags & 1, (contents, payload, crc, payload_crc), end


def read_varint(data, place):
    value = shift = 0
    while True:
        check(place < len(data) and shift < 70, "varint")
        value |= (data[place] & 0x7F) << shift
        shift += 7
        place += 1
        if data[place - 1] < 0x80:
            return value, place


def read_runs(data):
    place = end = 0
    while place < len(data):
        gap, place = read_varint(data, place)
        word, place = read_varint(data, place)
        first, count = end + gap, (word >> 1) + 1
        end = first + count
        yield first, count, bool(word & 1)


def main(archive_path, image_path):
    with open(archive_path, "rb") as file:
        archive = file.read()
    check(len(archive) >= 104, "size")
    length, block_size, chunk, origin, metadata = read_header(archive)
    tag, index, size, data_chunks, zero_chunks, blocks, run_sections, block_sections, whole = (
        struct.unpack("<4s5Q3I", sealed(archive[-60:], "footer")))
    check(tag == b"FOOT" and size == len(archive), "footer")
    check(zlib.crc32(archive[:-60]) == whole, "checksum of the whole")

    runs, records, counts, offset = [], [], {b"RUNS": 0, b"BLKS": 0}, index
    while offset < len(archive) - 60:
        tag, number, contents, optional, _, offset = read_section(archive, offset, block_size)
        check(optional or tag in counts, f"unknown section {tag}")
        if tag in counts:
            check(number == counts[tag], "order of sections")
            counts[tag] += 1
        if tag == b"RUNS":
            runs += read_runs(contents)
        elif tag == b"BLKS":
            records += struct.iter_unpack("<Q4I", contents)
    check(counts == {b"RUNS": run_sections, b"BLKS": block_sections}, "number of sections")
    check(len(records) == blocks, "number of blocks")

    data = bytearray()
    for expected, record in enumerate(records):
        tag, number, contents, _, fields, end = read_section(archive, record[0], block_size)
        check(tag == b"DATA" and number == expected and fields == record[1:], "block")
        check(length <= record[0] and end <= index, "place of block")
        data += contents
    check(len(data) == data_chunks * chunk, "length of the data")

    taken = zeros = previous = 0
    with open(image_path, "wb") as image:
        image.truncate(origin)
        for first, count, is_zero in runs:
            check(previous <= first and (first + count - 1) * chunk < origin, "runs")
            previous = first + count
            size = count * chunk
            contents = bytes(size) if is_zero else data[taken:taken + size]
            taken, zeros = (taken, zeros + count) if is_zero else (taken + size, zeros)
            image.seek(first * chunk)
            image.write(contents[:origin - first * chunk])
    check(taken == len(data) and zeros == zero_chunks, "number of chunks")
    print(json.dumps({"metadata": metadata, "chunkSize": chunk, "originSize": origin,
                      "runs": [{"first": f, "count": c, "isZero": z} for f, c, z in runs]}))


main(*sys.argv[1:])
