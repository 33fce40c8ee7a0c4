#!/usr/bin/env python3
# SPDX-License-Identifier: MIT
"""A debugger at a VMM's gdb stub that starts Linux: gdb-steps.py SOCKET IMAGE. Waits for the socket, then goes through what a person
debugging a kernel does, from the guest's first instruction on, and lets the guest go. Whether a step was right is told from the
instruction that was read at the old address; what memory holds, from IMAGE. A line for each thing that was right; the first that is
not ends it with status 1."""
import socket
import sys
import time

CONNECT_SECONDS = 120
REPLY_SECONDS = 300
KERNEL_HALF = 1 << 63
PC, CPSR = 32, 33


class Gdb:
    """The remote protocol, as far as it is needed here."""

    def __init__(self, path):
        self.socket = socket.socket(socket.AF_UNIX)
        self.received = b''
        for _ in range(CONNECT_SECONDS * 10):
            try:
                self.socket.connect(path)
                break
            except OSError:
                time.sleep(0.1)
        else:
            sys.exit(f'nobody listens on {path}')
        self.socket.settimeout(REPLY_SECONDS)

    def reply(self):
        while True:
            start = self.received.find(b'$')
            end = self.received.find(b'#', start)
            if start >= 0 and 0 <= end <= len(self.received) - 3:
                text = self.received[start + 1:end]
                if int(self.received[end + 1:end + 3], 16) != sum(text) & 255:
                    sys.exit('a reply with a wrong checksum')
                self.received = self.received[end + 3:]
                self.socket.sendall(b'+')
                return text.decode('latin-1')
            more = self.socket.recv(65536)
            if not more:
                sys.exit('the stub hung up')
            self.received += more

    def ask(self, text):
        self.socket.sendall(f'${text}#{sum(text.encode()) & 255:02x}'.encode())
        return self.reply()

    def expect_ok(self, text):
        answer = self.ask(text)
        if answer != 'OK':
            sys.exit(f'{text}: {answer or "not known to the stub"}')

    def interrupt(self):
        self.socket.sendall(b'\x03')
        return self.reply()

    def registers(self):
        """x0 to x30, sp, pc and cpsr by number."""
        raw = bytes.fromhex(self.ask('g'))
        return [int.from_bytes(raw[i * 8:i * 8 + 8], 'little') for i in range(33)] + [int.from_bytes(raw[264:268], 'little')]

    def read(self, address, size):
        return bytes.fromhex(self.ask(f'm{address:x},{size:x}'))

    def word(self, address):
        return int.from_bytes(self.read(address, 4), 'little')


def signed(value, bits):
    return value - (1 << bits) if value >> (bits - 1) & 1 else value


def holds(condition, cpsr):
    n, z, c, v = (cpsr >> bit & 1 for bit in (31, 30, 29, 28))
    met = (z, c, n, v, c and not z, n == v, n == v and not z, True)[condition >> 1]
    return bool(met) != (condition & 1 and condition != 15)


def successor(word, registers):
    """Where the guest is after this instruction; None for an exception return."""
    pc, r = registers[PC], registers[:31] + [0]
    if word >> 26 in (0b000101, 0b100101):  # B, BL
        return pc + signed(word & 0x3ffffff, 26) * 4
    jump = False
    offset = signed(word >> 5 & 0x7ffff, 19) * 4
    if word >> 24 == 0b01010100:  # B.cond
        jump = holds(word & 15, registers[CPSR])
    elif word >> 25 & 0x3f == 0b011010:  # CBZ, CBNZ
        value = r[word & 31] & ((1 << 64 if word >> 31 else 1 << 32) - 1)
        jump = (value != 0) == (word >> 24 & 1)
    elif word >> 25 & 0x3f == 0b011011:  # TBZ, TBNZ
        bit = word >> 19 & 31 | word >> 31 << 5
        jump, offset = (r[word & 31] >> bit & 1) == (word >> 24 & 1), signed(word >> 5 & 0x3fff, 14) * 4
    elif word & 0xff9ffc1f == 0xd61f0000:  # BR, BLR, RET
        return r[word >> 5 & 31]
    elif word >> 25 == 0b1101011:  # exception returns, and branches to signed addresses
        return None
    return pc + (offset if jump else 4)


def step(gdb):
    """One instruction; returns the address that followed, and whether that is the next one."""
    before = gdb.registers()
    word = gdb.word(before[PC])
    stop = gdb.ask('s')
    after = gdb.registers()[PC]
    if stop[:3] != 'T05':
        sys.exit(f'a step ended with {stop}')
    next_one = successor(word, before)
    if next_one is None:
        return after, True
    if after != next_one:
        print(f'step from {before[PC]:#x} over {word:#010x}: at {after:#x}, not at {next_one:#x}')
    return after, after == next_one


def must(condition, text):
    if not condition:
        sys.exit(f'wrong: {text}')
    print(text)


def run_to(gdb, kind, address, name):
    gdb.expect_ok(f'Z{kind},{address:x},4')
    stop = gdb.ask('c')
    gdb.expect_ok(f'z{kind},{address:x},4')
    must(stop[:3] == 'T05' and gdb.registers()[PC] == address, f'{name} at {address:#x}: {stop[:3]}')


def early_boot(gdb, image):
    for count in range(1, 100):
        at, right = step(gdb)
        must(right, f'step {count} to {at:#x}')
        if gdb.read(at, 64) == image[:64]:
            break
    else:
        sys.exit('the kernel was not reached in 100 steps')
    base = at
    at, right = step(gdb)
    entry = successor(gdb.word(at), gdb.registers())
    run_to(gdb, 0, entry, "breakpoint in memory, at the kernel's entry")
    must(gdb.read(entry, 16) == image[entry - base:entry - base + 16], 'memory there is as in the image again')
    for _ in range(200):
        word = gdb.word(gdb.registers()[PC])
        if word & 0xffc00000 == 0xa9000000:  # STP of two X registers
            break
        at, right = step(gdb)
        must(right, f'step to {at:#x}')
    else:
        sys.exit('no store of a pair in 200 steps')
    watch(gdb, word)


def watch(gdb, word):
    """At a store: the watchpoint is hit before it, and a step makes it."""
    r = gdb.registers()
    address = r[word >> 5 & 31] + signed(word >> 15 & 127, 7) * 8
    values = r[:31] + [0]
    gdb.expect_ok(f'Z2,{address:x},8')
    stop = gdb.ask('c')
    gdb.expect_ok(f'z2,{address:x},8')
    must(stop[:3] == 'T05' and f'watch:{address:016x}' in stop.replace(f'watch:{address:x};', f'watch:{address:016x};'),
         f'watchpoint at {address:#x}: {stop}')
    gdb.expect_ok(f'Z1,{r[PC] + 4:x},4')
    gdb.expect_ok(f'z1,{r[PC] + 4:x},4')
    if gdb.registers()[PC] == r[PC]:
        at, right = step(gdb)
        must(right, f'step over the store to {at:#x}')
    stored = gdb.read(address, 16)
    must(stored == b''.join(values[n & 31].to_bytes(8, 'little') for n in (word, word >> 10)), 'the pair is stored')


def running_kernel(gdb):
    """Amid the boot, with the MMU on: addresses are the guest's virtual ones, and interrupts may come between."""
    run_to(gdb, 1, gdb.registers()[PC] + 4, 'breakpoint in hardware')
    for _ in range(100):
        gdb.socket.sendall(b'$c#63')
        time.sleep(1)
        stop = gdb.interrupt()
        if gdb.registers()[PC] >= KERNEL_HALF:
            break
    else:
        sys.exit('the kernel never ran at its own addresses')
    must(stop[:3] in ('T02', 'T05'), f'stopped at {gdb.registers()[PC]:#x}: {stop[:3]}')
    right = sum(step(gdb)[1] for _ in range(20))
    must(right >= 10, f'{right} of 20 steps there to the next instruction, the others to an exception vector')
    registers = gdb.registers()
    run_to(gdb, 1, successor(gdb.word(registers[PC]), registers) or registers[PC], 'breakpoint in hardware')


def main():
    path, name = sys.argv[1:]
    with open(name, 'rb') as f:
        image = f.read()
    gdb = Gdb(path)
    gdb.ask('qSupported:multiprocess+')
    must(gdb.ask('?')[:3] == 'T05', 'stopped before the first instruction')
    early_boot(gdb, image)
    running_kernel(gdb)
    gdb.expect_ok('D;1')
    print('let go')


main()
