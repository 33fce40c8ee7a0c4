#!/usr/bin/env python3
# SPDX-License-Identifier: MIT
"""Whether gather.py finds all mutable data, and tells of what it does not know: gather_test.py CC OBJCOPY READELF"""
import os
import subprocess
import sys
import tempfile

GOOD = """
static int counter, table[3] = {1, 2, 3};
static const char *const name = "constant";
static const char *message = "mutable pointer";
__attribute__((section("explore_tls"))) int own;
int f(int i) { counter++; return table[i]++ + (message++ == name) + own++; }
"""
BAD = '__attribute__((section("stray"))) int hidden = 1;\nint g(void) { return hidden++; }\n'


def gather(tools, folder, source):
    cc, objcopy, readelf = tools
    path = os.path.join(folder, "x")
    with open(path + ".c", "w", encoding="utf-8") as f:
        f.write(source)
    subprocess.run(cc.split() + ["-fPIC", "-c", path + ".c", "-o", path + ".o"], check=True)
    here = os.path.dirname(os.path.abspath(__file__))
    r = subprocess.run([sys.executable, os.path.join(here, "gather.py"), cc, objcopy, readelf, path + ".out.o", path + ".o"],
                       check=False, capture_output=True, text=True)
    sections = subprocess.run([readelf, "-SW", path + ".out.o"], check=True, capture_output=True, text=True).stdout
    symbols = subprocess.run([readelf, "-sW", path + ".out.o"], check=True, capture_output=True, text=True).stdout
    return r, sections, symbols


def section_of(name, sections, symbols):
    number = next(line.split()[6] for line in symbols.splitlines() if line.split()[-1:] == [name])
    return next(line.split("]")[1].split()[0] for line in sections.splitlines() if line.strip().startswith("[%2s]" % number))


def main():
    with tempfile.TemporaryDirectory() as folder:
        r, sections, symbols = gather(sys.argv[1:4], folder, GOOD)
        assert r.returncode == 0, r.stderr
        for name in ("counter", "table", "message"):
            assert section_of(name, sections, symbols) == "explore_state", name
        assert section_of("own", sections, symbols) == "explore_tls"
        r, _, _ = gather(sys.argv[1:4], folder, GOOD + BAD)
        assert r.returncode == 1 and "stray" in r.stderr, (r.returncode, r.stderr)
    return 0


if __name__ == "__main__":
    sys.exit(main())
