# SPDX-License-Identifier: MIT
"""Machines and guests for the migration tests."""
import json
import os
import re
import select
import shutil
import socket
import struct
import subprocess
import sys
import tempfile
import time

ANYKVM = os.path.abspath(sys.argv[1])
SOURCE = os.path.abspath(sys.argv[2])
TMP = tempfile.mkdtemp(prefix='anykvm-migrate-')
SOAK_PERCENT = int(os.environ.get('ANYKVM_SOAK') or ([word[8:] for word in sys.argv if word.startswith('percent:')] + [0])[0])
PATIENCE = 60
COMMIT, ACCEPT, READY, STARTED, FAILED = 6, 7, 8, 9, 10  # enum stream_kind


class Failed(Exception):
    pass


def expect(condition, *what):
    if not condition:
        raise Failed(' '.join(str(w) for w in what))


def rounds(quick, soak):
    return max(quick, soak * SOAK_PERCENT // 100)


def path(name):
    return os.path.join(TMP, name)


def fresh_socket():
    Machine.count += 1
    return 'unix:' + path(f'in-{Machine.count}')


def assemble():
    prefix = '' if os.uname().machine == 'aarch64' else 'aarch64-linux-gnu-'
    if not shutil.which(prefix + 'as') or not shutil.which(prefix + 'objcopy'):
        print('skip - no assembler for arm64')
        sys.exit(77)
    subprocess.run([prefix + 'as', '-o', path('guest.o'), SOURCE], check=True)
    subprocess.run([prefix + 'objcopy', '-O', 'binary', path('guest.o'), path('guest')], check=True)


def guest(cpus=1, pages=4096, writes=13):
    """An Image with these numbers in it."""
    with open(path('guest'), 'rb') as file:
        data = bytearray(file.read())
    data[64:88] = struct.pack('<3Q', pages, writes, cpus)
    name = path(f'guest-{cpus}-{pages}-{writes}')
    with open(name, 'wb') as file:
        file.write(data)
    return name


UART = [0xd2a02009, 0x52806021, 0xb9003121, 0x52800201, 0xb9003921]  # x9 = the UART; it and its receive interrupt are on


def small_guest(name, *words):
    """An Image of these instructions after UART."""
    words = UART + list(words)
    with open(path(name), 'wb') as file:
        file.write(struct.pack('<IIQQQQQQ4sI', 0x14000010, 0, 0, 0x10000, 0, 0, 0, 0, b'ARMd', 0) + struct.pack(f'<{len(words)}I', *words))
    return path(name)


def reset_guest():
    """Prints '>', and after one character resets itself."""
    return small_guest('reset', 0x528007c1, 0xb9000121, 0xb9401921, 0x3727ffe1, 0xb9400122, 0xd2b08000, 0xf2800120, 0xd4000002, 0x14000000)


def free_port():
    with socket.socket() as probe:
        probe.bind(('127.0.0.1', 0))
        return probe.getsockname()[1]


def listens(port):
    with socket.socket() as client:
        client.settimeout(20)
        return client.connect_ex(('127.0.0.1', port)) == 0


def wait_listens(port):
    end = time.monotonic() + PATIENCE
    while not listens(port):
        expect(time.monotonic() < end, 'nobody listens at', port)
        time.sleep(0.02)


def has_network():
    done = subprocess.run([ANYKVM, 'run', '-n'], stdout=subprocess.PIPE, stderr=subprocess.PIPE, timeout=20, check=False)
    return b'without libslirp' not in done.stderr


class Machine:
    """One anykvm run."""
    count = 0

    def __init__(self, *args, kernel=None, incoming=None, timeout=100):
        Machine.count += 1
        self.control = path(f'control-{Machine.count}')
        self.text = b''
        command = [ANYKVM, 'run', '--control', self.control, '--timeout', str(timeout), *args]
        if kernel:
            command += ['-k', kernel]
        if incoming:
            command += ['--incoming', incoming]
        self.messages = path(f'messages-{Machine.count}')
        with open(self.messages, 'wb') as messages:
            self.process = subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=messages)
        if incoming and incoming.startswith('unix:'):
            self.wait_path(incoming[5:])
        self.wait_path(self.control)

    def wait_path(self, name):
        end = time.monotonic() + PATIENCE
        while not os.path.exists(name) and self.process.poll() is None:
            expect(time.monotonic() < end, 'no', name)
            time.sleep(0.005)

    def said(self):
        with open(self.messages, encoding='utf-8', errors='replace') as file:
            return file.read()

    def send(self, data):
        try:
            self.process.stdin.write(data)
            self.process.stdin.flush()
        except BrokenPipeError as error:
            raise Failed(f'it ended too early: {self.rest()}') from error

    def rest(self):
        """All that is left to be told, of a machine that has ended."""
        try:
            self.process.wait(5)
            self.text += self.process.stdout.read()
        except subprocess.TimeoutExpired:
            pass
        return f'{self.text} {self.said()}'

    def wait_for(self, pattern):
        """Takes what the guest prints up to and including the pattern."""
        end = time.monotonic() + PATIENCE
        while not (found := re.search(pattern, self.text)):
            expect(b'BAD' not in self.text or not re.search(rb'BAD \w+\n', self.text), 'the guest says', self.text)
            ready = select.select([self.process.stdout], [], [], max(0, end - time.monotonic()))[0]
            expect(ready, f'no {pattern!r}, but', self.text, self.said())
            data = os.read(self.process.stdout.fileno(), 65536)
            expect(data, f'no {pattern!r} before the end, but', self.text, self.said())
            self.text += data
        self.text = self.text[found.end():]
        return found

    def status(self, command=b's'):
        """Checks, ticks and so on, as the guest prints them."""
        self.send(command)
        return [int(word, 16) for word in self.wait_for(rb's( [0-9a-f]{16}){6}\n').group(0).split()[1:]]

    def advance(self, before, cpus=1):
        """The guest goes on, and everything adds up at least once more on each CPU."""
        end = time.monotonic() + PATIENCE
        while True:
            now = self.status()
            if now[0] > before[0] and now[2] > before[2] and now[4] > before[4] and (cpus < 2 or (now[1] > before[1] and now[3] > before[3])):
                return now
            expect(time.monotonic() < end, 'the guest does not go on:', before, now)
            time.sleep(0.02)

    def migrate(self, where, *args, check=True):
        done = subprocess.run([ANYKVM, 'migrate', '--json', *args, self.control, where], stdout=subprocess.PIPE, stderr=subprocess.PIPE,
                              timeout=PATIENCE, check=False)
        lines = [json.loads(line) for line in done.stdout.decode().splitlines()]
        if check:
            if done.returncode or not lines[-1]['done']:
                raise Failed(f'{lines[-1:]} {done.stderr} {self.rest()}')
            return lines[-1]
        expect(done.returncode == 1 and not lines[-1]['done'], done, self.said())
        return lines[-1]['error']

    def end(self, status=0):
        got = self.process.wait(PATIENCE)
        expect(got == status, f'status {got}, not {status}:', self.said())
        self.close()

    def close(self):
        if self.process.poll() is None:
            self.process.kill()
            self.process.wait()
        for stream in (self.process.stdin, self.process.stdout):
            try:
                stream.close()
            except BrokenPipeError:
                pass

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self.close()
