# SPDX-License-Identifier: MIT
"""Records of a migration stream (cli/migrate_stream.h), taken apart and put together again; and damage."""
import random
import struct

PRIME = 0x9e3779b97f4a7c15
MASK = (1 << 64) - 1


def mix(value, word):
    value = (value ^ word) * PRIME & MASK
    return (value << 29 | value >> 35) & MASK


def add(lanes, data):
    whole = len(data) // 32 * 32
    for at in range(0, whole, 32):
        for i, word in enumerate(struct.unpack_from('<4Q', data, at)):
            lanes[i] = mix(lanes[i], word)
    left = len(data) - whole
    for i, word in enumerate(struct.unpack('<4Q', data[whole:].ljust(32, b'\0'))):
        lanes[i] = mix(lanes[i], (word + (0 if i else left << 56)) & MASK)


def checksum_of(head, payload):
    lanes = [1, 2, 3, 4]
    add(lanes, head)
    add(lanes, payload)
    value = PRIME
    for lane in lanes:
        value = mix(value ^ value >> 31, lane)
    return value ^ value >> 32


def records(data):
    at = 0
    while at < len(data):
        length = struct.unpack_from('<Q', data, at + 8)[0]
        yield bytearray(data[at:at + 32]), bytearray(data[at + 32:at + 32 + length])
        at += 32 + length


def sealed(parts):
    """Records with right numbers, lengths and checksums, whatever is in them."""
    out = b''
    for number, (head, payload) in enumerate(parts):
        struct.pack_into('<IQ', head, 4, number, len(payload))
        struct.pack_into('<Q', head, 24, checksum_of(bytes(head[:24]), bytes(payload)))
        out += head + payload
    return out


def mutate(data):
    for _ in range(random.randrange(1, 4)):
        at = random.randrange(len(data))
        how = random.randrange(4)
        if how == 0:
            data[at] ^= 1 << random.randrange(8)
        elif how == 1:
            data[at] = random.choice((0, 1, 0x7f, 0x80, 0xff))
        elif how == 2:
            data[at:at + 8] = struct.pack('<Q', random.choice((0, 1, MASK, 1 << 63, 4096, 1 << 32)))[:len(data) - at]
        else:
            data[at:at + 4] = struct.pack('<I', random.choice((0, 0xffffffff, 0x80000000, 2, 33)))[:len(data) - at]
