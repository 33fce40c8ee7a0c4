#!/usr/bin/env python3
# SPDX-License-Identifier: MIT
"""Downtime of live migration: bench/migrate.py ANYKVM [--count N] [--mib N] [--mib-per-second N] [-- OPTION OF RUN...]

A guest of 1 GiB whose memory is all in use dirties 50 MiB a second, pages at random, and goes back and forth between processes ten
times. One JSON line: the median downtime and what it consists of. The guest is tests/cli/migrate_guest.S, which would say if its
memory did not add up.
"""
import argparse
import json
import os
import re
import statistics
import struct
import subprocess
import sys
import tempfile
import time

ROOT = os.path.dirname(os.path.dirname(os.path.abspath(__file__)))
RESERVED_MIB = 96  # below the guest's region, and to spare


def image(folder, mib, rate, cpus):
    prefix = '' if os.uname().machine == 'aarch64' else 'aarch64-linux-gnu-'
    plain, name = os.path.join(folder, 'guest.o'), os.path.join(folder, 'guest')
    subprocess.run([prefix + 'as', '-o', plain, os.path.join(ROOT, 'tests/cli/migrate_guest.S')], check=True)
    subprocess.run([prefix + 'objcopy', '-O', 'binary', plain, name], check=True)
    with open(name, 'rb') as file:
        data = bytearray(file.read())
    data[64:96] = struct.pack('<4Q', (mib - RESERVED_MIB) * 256 // cpus, round(rate * 256 / 1000 / cpus), cpus, 4095)
    with open(name, 'wb') as file:
        file.write(data)
    return name


class Machine:
    """One anykvm run."""

    def __init__(self, anykvm, folder, number, args):
        self.control = os.path.join(folder, f'control-{number}')
        self.process = subprocess.Popen([anykvm, 'run', '--control', self.control, '--quiet', '--timeout', '600', *args],
                                        stdin=subprocess.PIPE, stdout=subprocess.PIPE)

    def status(self, command=b's'):
        """Counters of the guest: it answers when it has got that far."""
        self.process.stdin.write(command)
        self.process.stdin.flush()
        line = self.process.stdout.readline()
        if not re.fullmatch(rb's( [0-9a-f]{16}){6}\n', line):
            sys.exit(f'migrate.py: the guest says {line!r}')
        return [int(word, 16) for word in line.split()[1:]]


def wait_path(name):
    while not os.path.exists(name):
        time.sleep(0.005)


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument('anykvm')
    parser.add_argument('--count', type=int, default=10)
    parser.add_argument('--mib', type=int, default=1024)
    parser.add_argument('--mib-per-second', type=float, default=50)
    parser.add_argument('--cpus', type=int, default=1)
    # What follows -- is for anykvm run.
    end = sys.argv.index('--') if '--' in sys.argv else len(sys.argv)
    args = parser.parse_args(sys.argv[1:end])
    args.options = sys.argv[end + 1:]
    with tempfile.TemporaryDirectory(prefix='anykvm-bench-') as folder:
        run = ['-m', str(args.mib), '-c', str(args.cpus), *args.options]
        source = Machine(args.anykvm, folder, 0, ['-k', image(folder, args.mib, args.mib_per_second, args.cpus), *run])
        wait_path(source.control)
        results, dirtied = [], []
        source.status()
        for number in range(1, args.count + 1):
            path = os.path.join(folder, f'in-{number}')
            target = Machine(args.anykvm, folder, number, ['--incoming', 'unix:' + path, *run])
            wait_path(path)
            start, before = time.monotonic(), source.status()[5]
            time.sleep(0.5)
            dirtied.append((source.status()[5] - before) * args.cpus / 256 / (time.monotonic() - start))
            done = subprocess.run([args.anykvm, 'migrate', '--json', source.control, 'unix:' + path], stdout=subprocess.PIPE, timeout=300,
                                  check=True)
            results.append(json.loads(done.stdout.splitlines()[-1]))
            if source.process.wait(60):
                sys.exit('migrate.py: the source failed')
            source = target
        source.status(b'q')
        source.process.wait(60)
    print(json.dumps({
        'bench': 'migrate', 'mib': args.mib, 'cpus': args.cpus, 'options': args.options,
        'dirty_mib_per_second': round(statistics.median(dirtied), 1),
        'downtime_ms_median': round(statistics.median(r['downtime_ms'] for r in results), 2),
        'downtime_ms_max': round(max(r['downtime_ms'] for r in results), 2),
        'seconds_median': round(statistics.median(r['seconds'] for r in results), 3),
        'rounds_median': statistics.median(r['rounds'] for r in results),
        'mib_median': round(statistics.median(r['mib'] for r in results), 1), 'count': args.count,
    }))


main()
