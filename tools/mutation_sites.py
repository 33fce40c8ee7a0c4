# SPDX-License-Identifier: MIT
"""Where tools/mutation-score may change the lifetime code, and how: one small change each, found in the text of the sources.

The sources are formatted (one statement begins a line, a function's braces are in the first column), so statements are found by
counting parentheses. Comments and strings are blanked first. A change keeps the number of lines: no line number moves.
"""
import glob
import os
import re

# The code that decides who may still follow which pointer.
FILES = [
    "src/mem/gmem.c", "src/mem/gmem_ops.c", "src/mem/file.c", "src/mem/teardown.c", "src/mem/mem.c", "src/mem/memslot.c",
    "src/mem/memslot_set.c", "src/mem/notifier.c", "src/mem/inval.c", "src/mem/vm_list.c", "src/mem/nested_tlbi.c", "src/mem/mmu.c",
]
# The code around it.
WIDER = [
    "src/mem/vma_cache.c", "src/mem/nested_mmu.c", "src/mem/tlb.c", "src/mem/fault.c", "src/mem/prefault.c", "src/mem/dirty_log.c",
    "src/mem/dirty_ring.c", "src/mem/stage2_table.c", "src/mem/stage2_unmap.c", "src/mem/stage2_split.c", "src/mem/attrs.c",
    "src/api/fd.c", "src/api/gmem_calls.c", "src/api/calls.c", "src/api/pairs.c", "src/api/mapping.c", "src/api/ioctl_vm.c",
    "src/api/ioctl_vcpu.c", "src/vm/vm.c", "src/irq/irqfd.c", "src/irq/route.c", "src/irq/irq.c", "src/io/bus.c", "src/io/ioeventfd.c",
    "src/io/coalesced.c",
]

LOCKS = {
    "mutex_lock": "mutex_unlock", "write_lock": "write_unlock", "read_lock": "read_unlock",
    "process_lock": "process_unlock", "queue_lock": "queue_unlock", "map_lock": "map_unlock", "turn_take": "turn_give",
    "library_enter": "library_exit", "library_pair_begin": "library_pair_end",
}
SECTIONS = {"rcu_read_lock": "rcu_read_unlock", "srcu_read_lock": "srcu_read_unlock"}
ASSERTIONS = re.compile(r"^(mutex_assert_held|rwlock_assert_held|rwlock_assert_write_held|thread_assert_unlocked|assert_no_section)$")
COUNTS = re.compile(r"^(?!report|seq|host_eventfd)\w*_(get|put)$")
FLUSHES = re.compile(
    r"^(tlb_(shootdown|torn_down|post|flush\w*)|mmu_unmap_gfns|mmu_write_protect_gfns|mmu_flush_changed|flush_\w+|stage2_flush"
    r"|stage2_unmap\w*|stage2_detach|nested_detach_all|inval_(raise|add|lower)|gmem_zap_\w+|vma_cache_(drop|begin|end)|gmem_unbind"
    r"|wake_word_\w+|mem_flush_all|unmap_\w+|release_bindings|mem_stop_notifier|irq_vm_stop|irqfd_stop|vm_file_closed|apply_posted"
    r"|mem_invalidate_(start|end)|dirty_log_start|zap|end_vm|file_pairs_start|pairs_end|client_wait|tlb_client_attach)$")
FREES = re.compile(r"^(DELETE|host_free|list_del|itree_remove|list_free|free_list|stage2_pgt_destroy|stage2_table_free|gmem_poison_free"
                   r"|memslot_bitmap_destroy|ioeventfd_destroy|coalesced_destroy|io_table_free|route_drop)$")
GRACE = re.compile(r"^(srcu_synchronize|rcu_synchronize|rcu_barrier)$")
ORDERED = re.compile("|".join(["^(%s)$" % "|".join(list(LOCKS) + list(LOCKS.values()) + list(SECTIONS) + list(SECTIONS.values())),
                               COUNTS.pattern, FLUSHES.pattern, FREES.pattern, GRACE.pattern,
                               r"^(aptr_store_\w+|a(32|64)_(store\w*|fetch_\w+)|itree_insert|list_add\w*|rcu_call|rcu_store|memslot_replace"
                               r"|wait_on_word|fd_install|fd_unlink|host_close|stage2_try_replace|memslot_swap|publish)$"]))

CALL = re.compile(r"^(?:\(void\))?(\w+)\((.*)\);$", re.S)
CONTROL = re.compile(r"^(?:\}\s*)?(?:else\s+)?(if|while|for|switch)\s*\(")


class Mutation:
    """
    new: the whole text of the file. group: "lock", "count"...; "barrier" ones are scored apart. name has the line; key has the
    function instead, which stays when lines move.
    """

    def __init__(self, path, line, function, group, what, new):
        self.path, self.line, self.group, self.what, self.new = path, line, group, what, new
        self.name = "%s:%d %s" % (path[len("src/"):], line, what)
        self.key = "%s %s: %s" % (path[len("src/"):], function, what)


def blank(text):
    """text with comments and strings replaced by spaces."""
    def spaces(m):
        return re.sub(r"[^\n]", " ", m.group(0))
    return re.sub(r'/\*.*?\*/|//[^\n]*|"(?:\\.|[^"\\\n])*"|\'(?:\\.|[^\'\\\n])*\'', spaces, text, flags=re.S)


class Statement:
    """text[start:end] is one statement or the head of one (if, for...); depth counts braces."""

    def __init__(self, text, start, end, depth):
        self.start, self.end, self.depth = start, end, depth
        self.code = text[start:end]
        self.flat = re.sub(r"\s+", " ", self.code).strip()
        m = CALL.match(self.flat)
        self.callee, self.args = (m.group(1), m.group(2)) if m and balanced(m.group(2)) else (None, None)
        self.head = bool(CONTROL.match(self.flat)) and not self.flat.endswith(";")
        self.only = False  # the whole body of an if or a loop without braces


def balanced(s):
    depth = 0
    for c in s:
        depth += (c == "(") - (c == ")")
        if depth < 0:
            return False
    return depth == 0


def statements(text, start, end):
    """Those of a function's body, text[start:end] between its braces. text is blanked."""
    out, i, depth = [], start, 0
    while i < end:
        c = text[i]
        if c in " \t\n":
            i += 1
        elif c == "{":
            depth, i = depth + 1, i + 1
        elif c == "}":
            depth, i = depth - 1, i + 1
        else:
            j, paren, brace = i, 0, 0
            while j < end:
                c = text[j]
                paren += (c in "([") - (c in ")]")
                if c == "{":
                    # An initializer or a statement expression, unless a block begins here.
                    if not paren and not brace and not text[i:j].rstrip().endswith(("=", ")")) or \
                            not paren and not brace and CONTROL.match(text[i:j] + "("):
                        break
                    if not paren and not brace and CONTROL.match(text[i:j]):
                        break
                    brace += 1
                elif c == "}":
                    if not brace and not paren:
                        break
                    brace -= 1
                elif c == ";" and not paren and not brace:
                    j += 1
                    break
                elif c == ":" and not paren and not brace and re.match(r"(case\b.*|default|\w+)$", text[i:j], re.S) and text[j + 1] == "\n":
                    j += 1
                    break
                if c == ")" and not paren and not brace and CONTROL.match(text[i:j]) and complete(text[i:j + 1]):
                    j += 1
                    break
                if text[i:j + 1] in ("else", "do") and text[j + 1] in " \n\t":
                    j += 1
                    break
                j += 1
            s = Statement(text, i, j, depth)
            if out and out[-1].head or out and out[-1].flat in ("else", "do"):
                s.only = "{" not in text[out[-1].end:i]
            out.append(s)
            i = max(j, i + 1)
    return out


def complete(head):
    return head[head.index("("):].count("(") == head.count(")")


def functions(text):
    """(name, start of its head, start and end of its body) of a blanked text."""
    begin = 0
    for m in re.finditer(r"^\{\n(.*?)^\}", text, re.S | re.M):
        head_at = max(text.rfind("\n\n", 0, m.start()), text.rfind("\n}", 0, m.start()), begin)
        head = text[head_at:m.start()]
        name = re.search(r"(\w+)\(", head)
        if name:
            yield name.group(1), head_at, m.start(1), m.end(1)
        begin = m.end()


def pointer_members(root):
    """Names of members that are pointers in every struct that has one of that name."""
    pointers, others = set(), set()
    for path in glob.glob(os.path.join(root, "src/*/*.[ch]")):
        with open(path, encoding="utf-8") as f:
            text = blank(f.read())
        for m in re.finditer(r"^\t+(?:const )?(?:struct |enum )?\w+ ([^;()={}]+);", text, re.M):
            for name in m.group(1).split(","):
                found = re.match(r"\s*(\**)\s*(\w+)", name)
                if found:
                    (pointers if found.group(1) else others).add(found.group(2))
    return pointers - others


class Source:
    def __init__(self, root, path, members):
        self.path, self.members, self.function = path, members, None
        with open(os.path.join(root, path), encoding="utf-8") as f:
            self.text = f.read()
        self.clean = blank(self.text)
        self.found = []

    def line(self, at):
        return self.text.count("\n", 0, at) + 1

    def add(self, at, group, what, *edits):
        """edits: (start, end, new)."""
        new = self.text
        for start, end, put in sorted(edits, reverse=True):
            old = new[start:end]
            new = new[:start] + put + "\n" * (old.count("\n") - put.count("\n")) + new[end:]
        m = Mutation(self.path, self.line(at), self.function, group, what, new)
        m.at = at
        self.found.append(m)

    def pairs(self, body, table, group):
        """Every lock of one object in a function, with every unlock of it."""
        seen = []
        for s in body:
            m = re.match(r"^(?:(.+?) = )?(%s)\(([^()]*)\);$" % "|".join(list(table) + list(table.values())), s.flat)
            if not m:
                continue
            put = {v: k for k, v in table.items()}
            lock = m.group(2) if m.group(2) in table else put[m.group(2)]
            what = (lock, m.group(3).split(",")[0])
            edit = (s.start, s.end, "%s = 0;" % m.group(1) if m.group(1) else ";")
            for entry in seen:
                if entry[0] == what:
                    entry[2].append(edit)
                    break
            else:
                seen.append((what, s.start, [edit], m.group(2)))
        for (_, arg), at, edits, first in seen:
            self.add(at, group, "drop %s(%s)%s" % (first, arg, " and its other half" if len(edits) > 1 else ""), *edits)

    def simple(self, s):
        """Statements that are dropped as a whole."""
        for group, pattern in (("assertion", ASSERTIONS), ("count", COUNTS), ("flush", FLUSHES), ("free", FREES), ("grace period", GRACE)):
            if s.callee and pattern.match(s.callee):
                self.add(s.start, group, "drop " + s.flat.rstrip(";"), (s.start, s.end, ";"))
                return
        if re.match(r"^[\w>.\[\]-]+ = NULL;$", s.flat) or re.match(r"^aptr_store_\w+\(.*, NULL\);$", s.flat):
            self.add(s.start, "free", "drop " + s.flat.rstrip(";"), (s.start, s.end, ";"))
        m = re.match(r"^a64_fetch_add\(&(\w+->)+inv_seq, 1\);$", s.flat)
        if m:
            self.add(s.start, "flush", "drop " + s.flat.rstrip(";"), (s.start, s.end, ";"))
        if s.callee == "rcu_call":
            head, fn = s.args.rsplit(", ", 1)
            self.add(s.start, "grace period", "%s at once" % s.flat.rstrip(";"), (s.start, s.end, "%s(%s);" % (fn, head)))
        if s.callee and s.callee.endswith("_table_free_rcu"):
            new = "stage2_table_free(%s);" % s.args.split(",")[0]
            self.add(s.start, "grace period", "%s at once" % s.flat.rstrip(";"), (s.start, s.end, new))

    def tries(self, s):
        """Counts in conditions: a try that never fails, a put that is always or never the last."""
        for m in re.finditer(r"\b(\w*ref|file)_try_get\(([^()]*)\)", s.code):
            get = m.group(0).replace("_try_get", "_get")
            at = s.start + m.start()
            self.add(at, "count", "%s never fails" % m.group(0), (at, s.start + m.end(), "(%s, true)" % get))
        for m in re.finditer(r"\bref_put\(([^()]*)\)", s.code):
            at = s.start + m.start()
            for word in ("true", "false"):
                self.add(at, "count", "%s is %s the last" % (m.group(0), "always" if word == "true" else "never"),
                         (at, s.start + m.end(), "(%s, %s)" % (m.group(0), word)))

    def is_pointer(self, term, local):
        name = re.search(r"(\w+)$", term)
        if re.match(r"^aptr_load\w*\([^()]*\)$", term):
            return True
        if not re.match(r"^\w+(?:(?:->|\.)\w+)*$", term) or not name:
            return False
        return name.group(1) in (self.members if "->" in term or "." in term else local)

    def null_checks(self, s, local):
        """Each pointer that is looked at for NULL: the look removed (as if it always went well), and inverted."""
        if not CONTROL.match(s.flat):
            return
        begin = s.code.index("(") + 1
        cond, offset = s.code[begin:s.code.rindex(")")], begin
        if s.flat.startswith("for"):
            parts = cond.split(";")
            if len(parts) != 3:
                return
            offset += len(parts[0]) + 1
            cond = parts[1]
        for m in re.finditer(r"(?:^|(?<=&&)|(?<=\|\|)|(?<=[(]))(\s*)(!?)((?:aptr_load\w*\([^()]*\))|[\w>.-]+)(?=\s*(?:$|&&|\|\||\)))", cond):
            term = m.group(3)
            if not self.is_pointer(term, local):
                continue
            at, end = s.start + offset + m.start(2), s.start + offset + m.end()
            neg = m.group(2) == "!"
            # A look in a call's arguments or in (!a) != b is none.
            if cond[:m.start()].count("(") != cond[:m.start()].count(")"):
                continue
            if s.flat.startswith(("while", "for")) and neg is False and cond.strip() == term:
                continue  # the end of a list, no guard
            self.add(at, "null check", "drop the look at %s%s" % (m.group(2), term), (at, end, "false" if neg else "true"))
            self.add(at, "null check", "invert the look at %s%s" % (m.group(2), term), (at, end, term if neg else "!" + term))

    def swap(self, a, b):
        if a.depth != b.depth or a.only or b.only or not a.callee or not b.callee:
            return
        if not ORDERED.match(a.callee) or not ORDERED.match(b.callee) or "}" in self.clean[a.end:b.start] or "{" in self.clean[a.end:b.start]:
            return
        first, second = self.text[a.start:a.end], self.text[b.start:b.end]
        # In one edit each the lines would not keep their number.
        self.add(a.start, "order", "swap %s and %s" % (a.flat.rstrip(";"), b.flat.rstrip(";")),
                 (a.start, b.end, second + self.text[a.end:b.start] + first))

    def barriers(self, s):
        if re.match(r"^fence_\w+\(\);$", s.flat):
            self.add(s.start, "barrier", "drop " + s.flat.rstrip(";"), (s.start, s.end, ";"))
        for m in re.finditer(r"\b(aptr|a32|a64)_(load_acquire|store_release|load|store)\(", s.code):
            at = s.start + m.start()
            new = "%s_%s_relaxed(" % (m.group(1), m.group(2).split("_")[0])
            call = re.match(r"[^()]*\((?:[^()]|\([^()]*\))*\)", s.code[m.start():])
            name = re.sub(r"\s+", " ", call.group(0)) if call else m.group(0) + "...)"
            self.add(at, "barrier", "relax " + name, (at, at + len(m.group(0)), new))

    def run(self):
        for self.function, head_at, start, end in functions(self.clean):
            whole = self.clean[head_at:end]
            local = set(re.findall(r"\*\s*(?:const )?(\w+)(?=\s*[,;)=])", whole))
            body = statements(self.clean, start, end)
            self.pairs(body, LOCKS, "lock")
            self.pairs(body, SECTIONS, "section")
            last = None
            for s in body:
                self.simple(s)
                self.tries(s)
                self.null_checks(s, local)
                self.barriers(s)
                if last:
                    self.swap(last, s)
                last = s
        self.found.sort(key=lambda m: (m.at, m.what))
        return self.found


def all_mutations(root, wide):
    """In a fixed order, with names that are unique."""
    members = pointer_members(root)
    out, count = [], {}
    for path in FILES + (WIDER if wide else []):
        for m in Source(root, path, members).run():
            for attribute in ("name", "key"):
                text = getattr(m, attribute)
                count[text] = count.get(text, 0) + 1
                if count[text] > 1:
                    setattr(m, attribute, "%s (%d)" % (text, count[text]))
            out.append(m)
    return out
