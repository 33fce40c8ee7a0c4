#!/usr/bin/env python3
# SPDX-License-Identifier: MIT
"""The targets of the schedule explorer, measured: bench/explore.py BUILD [--rounds N] [--quick]

Prints one line a target: its number, what was measured, what is asked for, and "met", "NOT MET" or "not measured" with the reason.
Speeds (1 to 6 and 12) are processor time of this machine, so that what else runs on it counts less, best of the rounds; proofs of 5
and 8 are by the clock, with two processes a processor at most. All others are the same everywhere. Steps and executions are whole ones, from setup to
finish, although a beginning that an execution shares with the one before is not run again (docs/explorer.md, Inside). Exit status 1: one is not met.

    --quick    leaves out what takes minutes: the proofs of the real code, its broken forms, a thousand replays of each report
"""
import argparse
import json
import os
import re
import resource
import subprocess
import sys
import tempfile
import time

ROOT = os.path.dirname(os.path.dirname(os.path.abspath(__file__)))
SEEDS = ["seed-a0", "seed-a1", "seed-a2", "seed-b0", "seed-b2"]
# The same faults in the library itself, by the mutants that put them back.
REAL = {"A0": "mem-A0-close-flushes-as-well", "A1": "mem-A1-shadow-mmus-freed-twice", "A2": "mem-A2-split-cache-freed-twice",
        "B0": "mem-I26-unbind-gives-up-on-a-dying-file", "B2": "mem-I32-release-in-section-unchecked"}
PROBES = 12
CORES = 4


class Missing(Exception):
    """Why a target cannot be measured."""


class Done:
    def __init__(self, status, out, err, wall, cpu):
        self.status, self.out, self.err, self.wall, self.cpu = status, out, err, wall, cpu

    def stats(self):
        """Lines of --stats by scenario."""
        rows = [json.loads(line) for line in self.err.splitlines() if line.startswith("{")]
        if not rows:
            raise Missing("no figures: " + (self.err or self.out).strip()[-200:])
        return {row["scenario"]: row for row in rows}


class Bench:
    def __init__(self, build, rounds, quick):
        self.build, self.rounds, self.quick = build, rounds, quick
        self.corpus = os.path.join(build, "explore", "tests", "explore-corpus")
        self.kvm = os.path.join(build, "explore", "kvm", "anykvm-explore")

    def run(self, program, *arguments, timeout=600):
        if not os.path.exists(program):
            raise Missing(f"{os.path.relpath(program, self.build)} is not built")
        before, start = resource.getrusage(resource.RUSAGE_CHILDREN), time.monotonic()
        try:
            done = subprocess.run([program, *arguments], stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True,
                                  errors="replace", timeout=timeout, check=False)
        except subprocess.TimeoutExpired:
            raise Missing(f"{' '.join(arguments)} took more than {timeout} s")
        wall = time.monotonic() - start
        after = resource.getrusage(resource.RUSAGE_CHILDREN)
        cpu = after.ru_utime + after.ru_stime - before.ru_utime - before.ru_stime
        if done.returncode not in (0, 1):
            raise Missing(f"{os.path.basename(program)} {' '.join(arguments)} ended with status {done.returncode}: {done.stderr.strip()[-200:]}")
        return Done(done.returncode, done.stdout, done.stderr, wall, cpu)

    def figures(self, program, scenario, *arguments):
        """Of the quickest round."""
        rows = [self.run(program, "run", scenario, "-q", "--stats", *arguments).stats()[scenario] for _ in range(self.rounds)]
        return min(rows, key=lambda row: row["seconds"])

    def names(self, program, pattern=""):
        return [line.split()[0] for line in self.run(program, "list").out.splitlines() if re.match(pattern, line)]

    def with_fault(self, name):
        tool = subprocess.run([os.path.join(ROOT, "tools", "explore-mutant"), "--build", self.build, name], stdout=subprocess.PIPE,
                              stderr=subprocess.PIPE, text=True, check=False)
        if tool.returncode:
            raise Missing(f"{name}: {tool.stderr.strip()[-200:]}")
        return tool.stdout.splitlines()[-1]

    def mutants(self):
        """Scenario: its broken forms."""
        found, name = {}, None
        for line in self.run(self.kvm, "list", "--long").out.splitlines():
            if not line.startswith(" "):
                name = line.split()[0]
                found[name] = []
            elif line.strip().startswith("mutants:"):
                found[name] = [m.strip() for m in line.split(":", 1)[1].split(",")]
        return found


def per_second(row, what):
    return row[what] / max(row["seconds"], 1e-9)


def steps_a_second(b):
    bound = per_second(b.figures(b.corpus, "seed-b1-5-threads", "--bound", "2"), "steps")
    wander = per_second(b.figures(b.corpus, "seed-b1-5-threads", "--seed", "1", "--runs", "200000"), "steps")
    dpor = per_second(b.figures(b.corpus, "seed-b1-6-threads", "--exhaustive"), "steps")
    return (f"bound {bound / 1e6:.1f} M, random {wander / 1e6:.1f} M, DPOR {dpor / 1e6:.1f} M steps/s", ">= 10 M; DPOR >= 3 M",
            min(bound, wander) >= 10e6 and dpor >= 3e6)


def executions_a_second(b):
    small = b.figures(b.corpus, "seed-b1-5-threads", "--bound", "2")
    text = f"{per_second(small, 'executions') / 1e3:.0f} k/s at {small['steps'] / small['executions']:.0f} steps"
    met = per_second(small, "executions") >= 200e3
    rows = [b.run(b.kvm, "run", name, "-q", "--stats", "--seed", "1", "--runs", "500").stats()[name] for name in b.names(b.kvm)]
    rows.sort(key=lambda row: row["steps"] / row["executions"])
    # The library's scenario of about 1,000 steps by each of two modes, and the largest.
    name = next((row for row in rows if row["steps"] >= 1000 * row["executions"]), rows[-1])["scenario"]
    for what, row in (("random", next(row for row in rows if row["scenario"] == name)),
                      ("bound 2", b.figures(b.kvm, name, "--bound", "2", "--runs", "2000")), ("largest, random", rows[-1])):
        text += f"; {per_second(row, 'executions') / 1e3:.1f} k/s at {row['steps'] / row['executions']:.0f} ({row['scenario']}, {what})"
        met &= per_second(row, "executions") >= 10e3 or row is rows[-1]
    return text, ">= 200 k at 50, >= 10 k at 1,000", met


def seeds_found(b):
    worst, most, missed = 0, 0, []
    for name in SEEDS:
        rounds = [b.run(b.corpus, "run", name, "--stats") for _ in range(b.rounds)]
        if rounds[0].status != 1:
            missed.append(name)
            continue
        worst = max(worst, min(r.cpu for r in rounds))
        most = max(most, rounds[0].stats()[name]["found_at"])
    if missed:
        return "not found: " + ", ".join(missed), "each found", False
    return (f"slowest {worst * 1e3:.0f} ms of processor time from start to report, first seen in execution {most} at the latest", "<= 50 ms, <= 100 executions",
            worst <= 0.05 and most <= 100)


def seeds_proved(b):
    times = {}
    for name in ("seed-a3", "seed-b1"):
        row = b.figures(b.corpus, name, "--exhaustive")
        if "proved" not in b.run(b.corpus, "run", name, "--exhaustive").out:
            return f"{name} is not proved", "proved", False
        times[name] = row
    slowest = max(row["seconds"] for row in times.values())
    equal = not b.run(os.path.join(b.build, "explore", "tests", "test-explore-reduction")).status
    return (f"slower one {slowest * 1e3:.1f} ms; B has {times['seed-b1']['classes']} classes; the test of the reduction against all "
            f"orders {'passes' if equal else 'FAILS'}", "<= 10 ms, equal counts", slowest <= 0.01 and equal)


def fixed_code(b, names):
    """Of these scenarios: those proved in a minute, those proved or with bound 2 exhausted, false alarms."""
    proved, reached, alarms = [], [], []
    for name in names:
        done = b.run(b.kvm, "run", name, "--json", "-", "--seconds", "60", "-j", str(CORES))
        row = json.loads(done.out)
        if done.status:
            alarms.append(name)
            continue
        if row["verdict"] == "proved":
            proved.append(name)
        if row["verdict"] == "proved" or (row["exhausted_bound"] or 0) >= 2:
            reached.append(name)
    return proved, reached, alarms


def real_seeds(b):
    times, missed, homes = {}, [], []
    for seed, mutant in REAL.items():
        program = b.with_fault(mutant)
        scenarios = [name for name, mutants in b.mutants().items() if mutant in mutants]
        homes += [name for name in scenarios if name not in homes]
        for name in scenarios:
            rounds = [b.run(program, "run", name, "--mutated", mutant, "-j", "1", "--seconds", "60") for _ in range(b.rounds)]
            if rounds[0].status != 1:
                missed.append(f"{seed} in {name}")
                continue
            cpu = min(r.cpu for r in rounds)
            times[seed] = min(times.get(seed, cpu), cpu)
    text = ", ".join(f"{seed} {cpu:.2f} s" for seed, cpu in times.items())
    text += f"; not found: {', '.join(missed)}" if missed else ""
    met = not missed and max(times.values()) <= 2
    if b.quick:
        return text + "; proofs left out", "bug <= 2 s", met
    proved, reached, alarms = fixed_code(b, homes)
    text += f"; of {len(homes)} scenarios {len(proved)} proved, {len(reached) - len(proved)} others with bound 2 exhausted"
    text += f", not {', '.join(n for n in homes if n not in reached)}" if len(reached) < len(homes) else ""
    return text, "bug <= 2 s; proof, or bound 2, in 60 s on 4 cores", met and len(reached) == len(homes) and not alarms


def five_threads(b):
    five, six = (b.figures(b.corpus, f"seed-b1-{n}-threads", "--exhaustive") for n in (5, 6))
    return (f"5 threads: {five['executions']} runs, {five['classes']} classes, {five['seconds']:.3f} s; 6: {six['executions']} runs, "
            f"{six['seconds']:.1f} s", "<= 5,100 runs, <= 0.1 s; 6 threads <= 10 s",
            five["executions"] <= 5100 and five["seconds"] <= 0.1 and six["seconds"] <= 10)


def minimal_reports(b):
    worse, looked = [], 0
    for name in SEEDS + b.names(b.corpus, "probe_"):
        done = b.run(b.corpus, "run", name, "--json", "-")
        if done.status != 1:
            continue
        looked += 1
        switches = json.loads(done.out)["switches"]
        for bound in range(switches):
            if b.run(b.corpus, "run", name, "-q", "--bound", str(bound)).status == 1:
                worse.append(f"{name} ({switches}, bound {bound} finds it)")
                break
    return (f"{looked - len(worse)} of {looked} reports have the fewest preemptions" + (": not " + ", ".join(worse) if worse else ""), "all",
            looked > 0 and not worse)


def corpus_covered(b):
    if b.quick:
        raise Missing("left out by --quick")
    missed, total = [], 0
    for scenario, mutants in b.mutants().items():
        for mutant in mutants:
            total += 1
            try:
                if b.run(b.with_fault(mutant), "run", scenario, "--mutated", mutant, "-q").status != 1:
                    missed.append(f"{scenario} + {mutant}")
            except Missing as e:
                missed.append(f"{scenario} + {mutant} ({e})")
    names = b.names(b.kvm)
    proved, reached, alarms = fixed_code(b, names)
    text = f"{total - len(missed)} of {total} broken forms found, {len(proved)} of {len(names)} fixed ones proved, " \
           f"{len(reached) - len(proved)} others with bound 2 exhausted"
    text += f"; missed {', '.join(missed[:5])}" if missed else ""
    text += f"; alarms {', '.join(alarms)}" if alarms else ""
    return (text, "all found; >= 60 % proved, bound 2 for the rest",
            not missed and len(proved) >= 0.6 * len(names) and len(reached) == len(names) and not alarms)


def mutation_score(b):
    if b.quick:
        raise Missing("left out by --quick")
    done = subprocess.run([os.path.join(ROOT, "tools", "mutation-score"), "--sample", "20", "--build", b.build], stdout=subprocess.PIPE,
                          stderr=subprocess.STDOUT, text=True, timeout=3600, check=False)
    score = re.search(r"^score of .*?: ([\d.]+) % of those that are not equivalent, ([\d.]+) % of all", done.stdout, re.M)
    if not score:
        raise Missing("tools/mutation-score: " + done.stdout.strip()[-200:])
    return (f"{score.group(1)} % of a sample of 20, equivalent ones left out (tools/mutation-score without --sample: all of them, hours)",
            ">= 95 % of 200", float(score.group(1)) >= 95)


def false_alarms(b):
    good = b.names(b.corpus, "ok-|fixed_|seed-a3|seed-b1")
    done = b.run(b.corpus, "run", *good, "--seconds", "20")
    alarms = re.search(r"^(\d+) violations?,", done.out, re.M)
    return (f"{alarms.group(1)} in {len(good)} correct programs", "0 in >= 40", alarms.group(1) == "0" and not done.status and len(good) >= 40)


def replays(b):
    count = 100 if b.quick else 1000
    reports = 0
    with tempfile.TemporaryDirectory() as folder:
        path = os.path.join(folder, "report.json")
        for name in SEEDS:
            b.run(b.corpus, "run", name, "--json", path)
            first = b.run(b.corpus, "replay", path).out
            reports += 1
            for _ in range(count - 1):
                if b.run(b.corpus, "replay", path).out != first:
                    return f"{name}: replays differ", "100 % of 1,000", False
    return (f"{reports} reports, {count} replays each, all the same bytes (this compiler and processor; .ci/run compares the others)",
            "100 % of 1,000" + (" (100 with --quick)" if b.quick else ""), True)


def cpu_of(command, folder):
    before = resource.getrusage(resource.RUSAGE_CHILDREN)
    subprocess.run(command, shell=True, cwd=folder, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL, check=False, timeout=600)
    after = resource.getrusage(resource.RUSAGE_CHILDREN)
    return after.ru_utime + after.ru_stime - before.ru_utime - before.ru_stime


def campaign(b, parts, arguments):
    """CPU time of the longest part of each round, all added, without merge."""
    with tempfile.TemporaryDirectory() as folder:
        lines = subprocess.run([b.corpus, "plan", "--parts", str(parts), *arguments], cwd=folder, stdout=subprocess.PIPE, text=True,
                               check=True).stdout.splitlines()
        total = 0
        while lines:
            total += max(cpu_of(line, folder) for line in lines)
            done = subprocess.run([b.corpus, "merge", "-q", "explore-campaign", "--next", "todo"], cwd=folder, stdout=subprocess.PIPE,
                                  stderr=subprocess.PIPE, text=True, check=False)
            if done.returncode not in (0, 3):
                raise Missing("merge: " + done.stderr.strip()[-200:])
            with open(os.path.join(folder, "todo"), encoding="utf-8") as f:
                lines = f.read().splitlines()
    return total


def sharding(b):
    arguments = ["seed-b1-5-threads", "--bound", "2"]
    whole = min(campaign(b, 1, arguments) for _ in range(b.rounds))
    parts = min(campaign(b, CORES, arguments) for _ in range(b.rounds))
    return (f"{whole / parts:.2f} x in {CORES} processes (CPU time of one part against that of the longest of {CORES}, round by round)",
            ">= 3.4 x", whole / parts >= 3.4)


def detectors(b):
    status = b.run(os.path.join(b.build, "explore", "tests", "test-explore-probes"))
    found = len([n for n in b.names(b.corpus, "probe_") if b.run(b.corpus, "run", n, "-q").status == 1])
    return (f"{found} probes reported; the test that each names its objects and places {'FAILS' if status.status else 'passes'}",
            f"{PROBES} of {PROBES}", not status.status and found >= PROBES)


TARGETS = [("steps a second", steps_a_second), ("executions a second", executions_a_second), ("seed bugs", seeds_found),
           ("seed proofs", seeds_proved), ("seeds in the library", real_seeds), ("growth with threads", five_threads),
           ("minimality", minimal_reports), ("corpus", corpus_covered), ("mutation score", mutation_score), ("false alarms", false_alarms),
           ("replay", replays), ("sharding", sharding), ("detectors", detectors)]


def main():
    p = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    p.add_argument("build")
    p.add_argument("--rounds", type=int, default=3)
    p.add_argument("--quick", action="store_true")
    p.add_argument("--json", action="store_true")
    p.add_argument("--only", type=int, action="append", help="number of a target")
    args = p.parse_args()
    b = Bench(os.path.abspath(args.build), args.rounds, args.quick)
    bad = False
    for number, (name, measure) in enumerate(TARGETS, 1):
        if args.only and number not in args.only:
            continue
        try:
            measured, asked, met = measure(b)
            verdict = "met" if met else "NOT MET"
            bad |= not met
        except Missing as e:
            measured, asked, verdict = str(e), "", "not measured"
        if args.json:
            print(json.dumps({"bench": f"explore {number} {name}", "measured": measured, "target": asked, "verdict": verdict}), flush=True)
        elif asked:
            print(f"{number:2} {name:22} {verdict:12} {measured}  [{asked}]", flush=True)
        else:
            print(f"{number:2} {name:22} {verdict}: {measured}", flush=True)
    return 1 if bad else 0


if __name__ == "__main__":
    sys.exit(main())
