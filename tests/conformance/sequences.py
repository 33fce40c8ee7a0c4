#!/usr/bin/env python3
# SPDX-License-Identifier: MIT
"""Holds the answers to sequences of requests against those of the real KVM.

sequences.py REFERENCE PROGRAM...      runs the program on what the file has answers for
sequences.py REFERENCE --log FILE      compares what a run on the real KVM printed, and says nothing of sequences it did not do
sequences.py REFERENCE --record FILE   takes all answers of such a run over

Exit status 1 if answers differ.
"""
import os
import re
import shlex
import subprocess
import sys

LIMIT = 3600  # seconds for the program: meson is the judge
SHOWN = 20
LINE = re.compile(r'((?:gic|insn)[23]|its) (\d+) (\S+)$')
CODE = re.compile(r'#[0-9a-f]{4}|.')


def answers_in(lines):
    found = (LINE.match(line) for line in lines)
    return {(match[1], int(match[2])): match[3] for match in found if match}


def read_answers(path):
    with open(path, encoding='utf-8', errors='replace') as text:
        return answers_in(line.rstrip('\n') for line in text)


def output_of(program, *arguments):
    command = shlex.split(os.environ.get('MESON_EXE_WRAPPER', '')) + program + list(arguments)
    done = subprocess.run(command, stdout=subprocess.PIPE, stdin=subprocess.DEVNULL, timeout=LIMIT, text=True, check=False)
    if done.returncode:
        sys.exit(f'{" ".join(arguments)}: the program ended with status {done.returncode}: {done.stdout[-200:]}')
    return done.stdout.splitlines()


def ranges(seeds):
    """Runs of numbers that follow each other."""
    start = None
    for seed in sorted(seeds):
        if start is not None and seed == last + 1:
            last = seed
            continue
        if start is not None:
            yield start, last
        start = last = seed
    if start is not None:
        yield start, last


def ask(program, wanted):
    got = {}
    for gic in sorted({gic for gic, _ in wanted}):
        for first, last in ranges(seed for g, seed in wanted if g == gic):
            got.update(answers_in(output_of(program, '-c', gic, str(first), str(last - first + 1))))
    return got


def show(program, sequence, theirs, ours):
    """The first answer that differs, with the call if it can be asked for."""
    theirs, ours = CODE.findall(theirs), CODE.findall(ours)
    pairs = enumerate(zip(theirs + ['-'] * len(ours), ours + ['-'] * len(theirs)))
    at, (real, code) = next((i, pair) for i, pair in pairs if pair[0] != pair[1])
    print(f'{sequence[0]} {sequence[1]}, call {at}: the reference has {real}, here it is {code}')
    if program:
        lines = output_of(program, sequence[0], str(sequence[1]), '1')[1:]
        print(f'    {lines[at] if at < len(lines) else "-"}')


def record(path, answers):
    with open(path, encoding='utf-8') as text:
        head = [line for line in text if line.startswith('#')]
    kept = read_answers(path)
    kept.update(answers)
    with open(path, 'w', encoding='utf-8') as text:
        text.writelines(head)
        text.writelines(f'{gic} {seed} {codes}\n' for (gic, seed), codes in sorted(kept.items()))


def main():
    if len(sys.argv) < 3:
        sys.exit(__doc__)
    path, program = sys.argv[1], sys.argv[2:]
    if program[0] == '--record':
        record(path, read_answers(program[1]))
        return
    reference = read_answers(path)
    if program[0] == '--log':
        got, program = read_answers(program[1]), None
        reference = {sequence: codes for sequence, codes in reference.items() if sequence in got}
    else:
        got = ask(program, reference)
    wrong = [sequence for sequence in sorted(reference) if got.get(sequence) != reference[sequence]]
    for sequence in wrong[:SHOWN]:
        show(program, sequence, reference[sequence], got.get(sequence, ''))
    print(f'{len(reference)} sequences, {sum(len(CODE.findall(codes)) for codes in reference.values())} answers; '
          f'{len(wrong)} sequences differ')
    sys.exit(1 if wrong or not reference else 0)


main()
