#!/usr/bin/env python3
# SPDX-License-Identifier: MIT
"""Puts all mutable data of code under test into one section: gather.py CC OBJCOPY READELF OUT OBJECT...

Each execution starts from the same state, so the explorer must know all of it. The objects are linked into one object, whose data
sections become the section explore_state. Data in a section that is not known here is an error.
"""
import re
import subprocess
import sys

STATE = ("data", "data.rel", "data.rel.local", "bss")
# Written by the dynamic linker only; by the start of the program only; the state itself; what belongs to threads.
KNOWN = re.compile(r"\.data\.rel\.ro(\..*)?|\.(init|fini)_array(\..*)?|explore_state|explore_tls")


def mutable_sections(readelf, path):
    """Names and types of writable sections that are not empty."""
    out = subprocess.run([readelf, "-SW", path], check=True, capture_output=True, text=True).stdout
    found = []
    for line in out.splitlines():
        m = re.match(r"\s*\[\s*\d+\] (\S+)\s+(\w+)\s+[0-9a-f]+ [0-9a-f]+ ([0-9a-f]+) \d+\s+(\w*)\s", line)
        if m and "W" in m.group(4) and int(m.group(3), 16):
            found.append((m.group(1), m.group(2)))
    return found


def main():
    if len(sys.argv) < 6:
        print(__doc__, file=sys.stderr)
        return 2
    cc, objcopy, readelf, out = sys.argv[1].split(), sys.argv[2], sys.argv[3], sys.argv[4]
    subprocess.run(cc + ["-r", "-nostdlib", "-o", out] + sys.argv[5:], check=True)
    rename = ["--rename-section=.%s=explore_state,alloc,load,data,contents" % s for s in STATE]
    subprocess.run([objcopy] + rename + [out], check=True)
    bad = [name for name, kind in mutable_sections(readelf, out) if not KNOWN.fullmatch(name) or kind == "NOBITS"]
    if bad:
        print("%s: mutable data that would outlive an execution: %s" % (out, ", ".join(bad)), file=sys.stderr)
        return 1
    return 0


if __name__ == "__main__":
    sys.exit(main())
