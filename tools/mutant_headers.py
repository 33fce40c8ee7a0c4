# SPDX-License-Identifier: MIT
"""What the patches of tests/mutants say about themselves, in header lines before the diff:

    Test: sync-rcu srcu_synchronize_waits     a meson test, then what its program gets as argument (may be empty)
    Expect: expected .*synced                 a regular expression that its output then must match
    Build: checked                            plain | checked | asan | tsan (default: checked)
    Timeout: 60                               seconds until a hang counts as failure (default: 60)
    Explore: gmem-dying-file use after free   a scenario of the schedule explorer that finds it, and a regular expression that the
                                              verdict must match; may be given several times, and without Test: and Expect:
    Why: ...                                  any other line is for people
"""
import os
import re

# What a build is set up with, so that the fault can show.
KINDS = {
    "checked": ["-Dchecked=true"],
    "plain": ["-Dchecked=false"],
    "asan": ["-Dchecked=true", "-Db_sanitize=address,undefined", "-Db_lundef=false"],
    "tsan": ["-Dchecked=true", "-Db_sanitize=thread", "-Db_lundef=false"],
}


class HeaderError(Exception):
    """What is missing or wrong."""


class Mutant:
    def __init__(self, path):
        self.path, self.name = path, os.path.basename(path)[:-len(".patch")]
        head, self.scenarios = {}, []
        with open(path, encoding="utf-8") as f:
            for line in f:
                if line.startswith(("diff ", "--- ")):
                    break
                m = re.match(r"([A-Z][a-z]+): *(.*)$", line.rstrip("\n"))
                if m and m.group(1) == "Explore":
                    scenario, _, expected = m.group(2).strip().partition(" ")
                    self.scenarios.append((scenario, self.pattern(expected, "Explore: " + scenario)))
                elif m:
                    head[m.group(1)] = m.group(2).strip()
        self.test, _, self.argument = head.get("Test", "").partition(" ")
        self.argument = self.argument.strip()
        if not self.test and not self.scenarios:
            raise HeaderError("neither Test: nor Explore:")
        self.expect = self.pattern(head.get("Expect", ""), "Expect:") if self.test else None
        self.build = head.get("Build", "checked")
        if self.build not in KINDS:
            raise HeaderError("Build: %s is none of %s" % (self.build, ", ".join(KINDS)))
        timeout = head.get("Timeout", "60")
        if not timeout.isdigit():
            raise HeaderError("Timeout: %s is no number" % timeout)
        self.timeout = int(timeout)

    @staticmethod
    def pattern(text, where):
        if not text:
            raise HeaderError("%s does not say what is found" % where)
        try:
            return re.compile(text.strip())
        except re.error as e:
            raise HeaderError("%s: %s" % (where, e))


def read_mutants(root, complain=None):
    """All of the checkout at root, by name. Headers that are wrong: complain(name, HeaderError), or it is raised."""
    folder, mutants = os.path.join(root, "tests", "mutants"), []
    for name in sorted(os.listdir(folder)):
        if not name.endswith(".patch"):
            continue
        try:
            mutants.append(Mutant(os.path.join(folder, name)))
        except HeaderError as e:
            if not complain:
                raise HeaderError("%s: %s" % (name, e))
            complain(name, e)
    return mutants
