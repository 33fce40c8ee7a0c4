#!/usr/bin/env python3
# SPDX-License-Identifier: MIT
"""Holds the answers of this library against those of the real KVM: compare.py REFERENCE DIFFERENCES PROBE [ARGUMENT...]

Runs the probe and compares its lines with the reference's, in order. Every line that one side alone has must be matched by an
entry of the file of differences, and every entry there must match something: `-PATTERN` a line of the reference, `+PATTERN` one
of ours (`*` and `?` as in file names), below a `# reason` that says why.
Exit status 1 if there is an unexplained difference or a stale entry.
"""
import difflib
import fnmatch
import os
import shlex
import subprocess
import sys

LIMIT = 60  # seconds for the probe


def content(path):
    with open(path, encoding='utf-8') as text:
        return [line.rstrip('\n') for line in text if not line.startswith('#') and line.strip()]


def answers_of(command):
    emulator = shlex.split(os.environ.get('MESON_EXE_WRAPPER', ''))
    done = subprocess.run(emulator + command, stdout=subprocess.PIPE, stdin=subprocess.DEVNULL, timeout=LIMIT, text=True, check=False)
    if done.returncode:
        sys.exit(f'the probe ended with status {done.returncode}: {done.stdout[-200:]}')
    return done.stdout.splitlines()


def main():
    if len(sys.argv) < 4:
        sys.exit(__doc__)
    reference, entries = content(sys.argv[1]), content(sys.argv[2])
    for entry in entries:
        if entry[0] not in '+-':
            sys.exit(f'{sys.argv[2]}: neither + nor -: {entry}')
    try:
        ours = answers_of(sys.argv[3:])
    except subprocess.TimeoutExpired:
        sys.exit('the probe did not end')
    diff = difflib.unified_diff(reference, ours, n=0, lineterm='')
    lines = [line for line in diff if line[0] in '+-' and line[:3] not in ('---', '+++')]
    stale = [entry for entry in entries if not any(fnmatch.fnmatchcase(line, entry) for line in lines)]
    unexplained = [line for line in lines if not any(fnmatch.fnmatchcase(line, entry) for entry in entries)]
    for line in unexplained:
        print('not explained:', line)
    for entry in stale:
        print('explains nothing:', entry)
    print(f'{len(ours)} answers; {len(lines) - len(unexplained)} lines differ as explained, {len(unexplained)} do not, '
          f'{len(stale)} stale entries')
    sys.exit(1 if unexplained or stale else 0)


main()
