# SPDX-License-Identifier: MIT
"""Programs of a build folder with a fault in them, for tools/explore-mutant and tools/mutants.

Only the objects that the fault changes are compiled again, with the commands of the build folder, and what they are part of is made a
second time, in a folder of its own; neither the checkout nor the build folder is written to. So many can be made at once.
"""
import concurrent.futures
import difflib
import json
import os
import re
import shlex
import shutil
import subprocess
import threading

ROOT = os.path.realpath(os.path.join(os.path.dirname(os.path.abspath(__file__)), ".."))
NOT_COMPILED, MISUSE, NO_DIFFERENCE = 1, 2, 3


class Problem(Exception):
    def __init__(self, message, status=MISUSE):
        super().__init__(message)
        self.status = status


def output_of(command, cwd=None):
    try:
        done = subprocess.run(command, cwd=cwd, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True, errors="replace", check=False)
    except OSError as e:
        raise Problem(f"{command[0]} cannot be started: {e.strerror}")
    if done.returncode:
        raise Problem(f"{' '.join(command[:4])}: {(done.stderr or done.stdout).strip()[:500]}")
    return done.stdout


class Fault:
    """The changed files, by their path in the checkout, and how to get their text into a copy."""

    def __init__(self, name=None, overlay=None):
        """name: of a patch of tests/mutants, or a patch; or overlay: a folder with the changed files."""
        self.patch = None
        self.overlay = os.path.realpath(overlay) if overlay else None
        if self.overlay:
            if not os.path.isdir(self.overlay):
                raise Problem(f"{overlay}: no such folder")
            self.files = sorted(os.path.relpath(os.path.join(folder, name), self.overlay)
                                for folder, _, names in os.walk(self.overlay) for name in names)
            texts = []
            for name in self.files:
                with open(os.path.join(self.overlay, name), "rb") as f:
                    texts.append(name.encode() + b"\0" + f.read())
            self.text = b"\0".join(texts)
        else:
            self.patch = self.find(name)
            with open(self.patch, "rb") as f:
                self.text = f.read()
            self.files = sorted(set(re.findall(r"^\+\+\+ b/(\S+)", self.text.decode(errors="replace"), re.M)))
        if not self.files:
            raise Problem("the fault changes no file")
        for name in self.files:
            if os.path.isabs(name) or ".." in name.split("/") or not os.path.isfile(os.path.join(ROOT, name)):
                raise Problem(f"{name}, which the fault changes, is no file of the checkout")

    @staticmethod
    def find(name):
        if name.endswith(".patch"):
            if not os.path.isfile(name):
                raise Problem(f"{name}: no such file")
            return os.path.realpath(name)
        folder = os.path.join(ROOT, "tests", "mutants")
        path = os.path.join(folder, name + ".patch")
        if "/" not in name and os.path.isfile(path):
            return path
        names = [f[:-6] for f in os.listdir(folder) if f.endswith(".patch")]
        near = [n for n in names if name and name in n][:3] or difflib.get_close_matches(name, names, 3, 0.5)
        raise Problem("there is no tests/mutants/%s.patch%s" % (name, "; near to it: " + ", ".join(near) if near else ""))

    def put(self, tree):
        """Replaces the links to the changed files in tree by changed copies."""
        for name in self.files:
            target = os.path.join(tree, name)
            os.makedirs(os.path.dirname(target), exist_ok=True)
            if os.path.lexists(target):
                os.unlink(target)
            shutil.copy(os.path.join(self.overlay or ROOT, name), target)
        if self.patch:
            # A folder inside some checkout is none of it: there git would skip the patch and say nothing.
            env = dict(os.environ, GIT_CEILING_DIRECTORIES=os.path.dirname(tree))
            done = subprocess.run(["git", "apply", "--recount", self.patch], cwd=tree, env=env, stdout=subprocess.PIPE,
                                  stderr=subprocess.STDOUT, text=True, check=False)
            if done.returncode:
                raise Problem("the patch does not apply: " + done.stdout.strip().splitlines()[-1])


class Command:
    """A command of the build, what it makes, and where among its words that is named."""

    def __init__(self, line, output):
        # "rm -f X && ar csrDT X a.o b.o": the archive is made new anyway.
        self.words = shlex.split(line.split(" && ")[-1])
        if os.path.basename(self.words[0]) in ("ccache", "sccache") and len(self.words) > 1:
            self.words = self.words[1:]
        self.output = os.path.normpath(output)
        self.named = [i for i, word in enumerate(self.words) if os.path.normpath(word) == self.output]
        self.compiles = "-c" in self.words and "-o" in self.words


class Build:
    """A build folder that is up to date in what is asked for. Several threads may use it."""

    def __init__(self, folder):
        self.folder = os.path.realpath(folder)
        self.lock = threading.Lock()
        self.of_target, self.made_from = {}, {}
        try:
            with open(os.path.join(self.folder, "meson-info", "meson-info.json"), encoding="utf-8") as f:
                source = json.load(f)["directories"]["source"]
        except (OSError, ValueError, KeyError):
            raise Problem(f"{folder}: no build folder of meson: a fault needs the sources and a compiler")
        if os.path.realpath(source) != ROOT:
            raise Problem(f"{folder} is the build folder of {source}, not of this checkout")
        edges = json.loads(output_of(["ninja", "-C", self.folder, "-t", "compdb"]))
        self.makes = {e["command"]: e["output"] for e in edges}

    def path(self, target):
        return os.path.join(self.folder, target)

    def commands(self, target):
        """What is run to make the target, in order."""
        with self.lock:
            if target not in self.of_target:
                if not os.path.isfile(self.path(target)):
                    raise Problem(f"{target} is not built in {self.folder}: ninja -C {self.folder} {target}")
                lines = output_of(["ninja", "-C", self.folder, "-t", "commands", target]).splitlines()
                commands = [Command(l, self.makes[l]) for l in lines if l in self.makes]
                if not any(c.output == target for c in commands):
                    raise Problem(f"{self.folder} does not say how {target} is made")
                self.read_headers([c.output for c in commands if c.compiles and c.output not in self.made_from])
                self.of_target[target] = commands
            return self.of_target[target]

    def read_headers(self, objects):
        """What each object was made from, as paths in the checkout."""
        current = None
        # -n: the log of the build folder is only read, so that it may be read-only.
        for line in output_of(["ninja", "-C", self.folder, "-n", "-t", "deps", *objects]).splitlines() if objects else ():
            if line and not line[0].isspace() and ": #deps" in line:
                current = self.made_from.setdefault(os.path.normpath(line.split(": #deps")[0]), set())
            elif line.strip() and current is not None:
                current.add(os.path.relpath(os.path.join(self.folder, line.strip()), ROOT))


class Maker:
    """Compiles and links what differs, in a folder of its own."""

    def __init__(self, build, targets, fault, work, jobs):
        self.build, self.targets, self.fault, self.work, self.jobs = build, targets, fault, work, jobs
        self.tree, self.out = os.path.join(work, "tree"), os.path.join(work, "out")
        # One command may be part of several targets.
        self.commands = list({c.output: c for target in targets for c in build.commands(target)}.values())
        self.made = {}  # of the build folder: path here

    def link_tree(self):
        """Links to the sources in the folders they have there, so that each include finds its neighbours."""
        for top in {c for c in os.listdir(ROOT) if not c.startswith(".")}:
            folder = os.path.join(ROOT, top)
            if not os.path.isdir(folder) or os.path.isfile(os.path.join(folder, "build.ninja")):
                continue
            for path, folders, names in os.walk(folder):
                folders[:] = [f for f in folders if not f.startswith(".")]
                here = os.path.join(self.tree, os.path.relpath(path, ROOT))
                names = [n for n in names if n.endswith((".c", ".h", ".S", ".inc", ".def"))]
                if names:
                    os.makedirs(here, exist_ok=True)
                for name in names:
                    os.symlink(os.path.join(path, name), os.path.join(here, name))

    def moved(self, word):
        """A path of the checkout becomes that of the tree; one that was made again becomes the new one."""
        prefix = ""
        for flag in ("-I", "-isystem", "-Wl,--version-script="):
            if word.startswith(flag) and len(word) > len(flag):
                prefix, word = flag, word[len(flag):]
        if word.startswith("-"):
            return prefix + word
        new = self.made.get(os.path.normpath(word))
        if new:
            return prefix + new
        path = os.path.normpath(os.path.join(self.build.folder, word))
        inside = os.path.relpath(path, ROOT)
        if not inside.startswith("..") and os.path.commonpath([path, self.build.folder]) != self.build.folder:
            there = os.path.join(self.tree, inside)
            if os.path.exists(there):
                return prefix + there
        return prefix + word

    def run(self, command):
        new = os.path.join(self.out, command.output)
        os.makedirs(os.path.dirname(new), exist_ok=True)
        words, skip = [], 0
        for i, word in enumerate(command.words):
            if skip:
                skip -= 1
            elif i in command.named:
                words.append(new)
            elif word in ("-MQ", "-MF"):
                skip = 1
            elif word not in ("-MD", "-fdiagnostics-color=always"):
                # What names are called by in debug information stays what it was.
                words.append(self.moved(word))
        if os.path.basename(words[0]).endswith("ar"):
            # A thin archive keeps the paths of its members, which are in two folders now.
            words = words[:2] + [os.path.join(self.build.folder, word) for word in words[2:]]
        if command.compiles:
            relative = os.path.relpath(ROOT, self.build.folder)
            words.append(f"-ffile-prefix-map={self.tree}={relative}")
        try:
            done = subprocess.run(words, cwd=self.build.folder, stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=subprocess.STDOUT,
                                  text=True, errors="replace", check=False)
        except OSError as e:
            raise Problem(f"{words[0]} cannot be started: {e.strerror}")
        if done.returncode:
            errors = [l for l in done.stdout.splitlines() if "error" in l] or done.stdout.splitlines()
            raise Problem("does not compile: " + "; ".join(errors[:3]).replace(self.tree + "/", ""), NOT_COMPILED)
        return new

    def make(self):
        """The new path of each target that differs, by target."""
        changed = set(self.fault.files)
        objects = [c for c in self.commands if c.compiles and changed & self.build.made_from.get(c.output, set())]
        if not objects:
            raise Problem(f"nothing that {' and '.join(self.targets)} is made of is changed by the fault ({', '.join(self.fault.files)})")
        self.link_tree()
        self.fault.put(self.tree)
        with concurrent.futures.ThreadPoolExecutor(self.jobs) as pool:
            for c, new in zip(objects, pool.map(self.run, objects)):
                self.made[c.output] = new
        self.objects = [c.output for c in objects]
        for c in self.commands:
            if not c.compiles and any(os.path.normpath(w) in self.made for w in c.words):
                self.made[c.output] = self.run(c)
        return {target: self.made[target] for target in self.targets if target in self.made}

    def differs(self):
        """Whether an object differs in what is loaded; debug information always does."""
        for name in self.objects:
            pair = []
            for path in (os.path.join(self.build.folder, name), self.made[name]):
                bare = os.path.join(self.work, "bare.o")
                output_of(["objcopy", "--strip-debug", "--strip-unneeded", "-R", ".comment", path, bare])
                with open(bare, "rb") as f:
                    pair.append(f.read())
            if pair[0] != pair[1]:
                return True
        return False
