#!/usr/bin/env python3
# SPDX-License-Identifier: MIT
"""Turns the instruction tables into the decoder: gen_decode.py OUT.h OUT.c TABLE...

A line is a set of words. Its fixed bits and constraints become a list of cubes (mask, value); all work below is on cubes.
"""
import re
import sys

FULL = 0xFFFFFFFF


class Line:
    pass


def fail(where, what):
    sys.exit(f"{where}: {what}")


def int_auto(s):
    return int(s.strip(), 0)


def split_bits(allowed, width):
    """Cubes over width bits that cover exactly the values v with allowed[v]; a trie, most significant bit first."""

    def walk(base, bit):
        n = 1 << (bit + 1)
        part = allowed[base:base + n]
        if all(part):
            return [(0, 0)]
        if not any(part):
            return []
        out = []
        for b in (0, 1):
            for m, v in walk(base | b << bit, bit - 1):
                out.append((m | 1 << bit, v | b << bit))
        return out

    return walk(0, width - 1)


OPS = {
    "!=": lambda a, b: a != b,
    "<=": lambda a, b: a <= b,
    ">=": lambda a, b: a >= b,
    "<": lambda a, b: a < b,
    ">": lambda a, b: a > b,
    "=": lambda a, b: a == b,
}


def parse_constraint(text, fields, where):
    m = re.fullmatch(r"\s*([\w:]+)\s*(?:&\s*(\w+)\s*)?(!=|<=|>=|<|>|=)\s*([\w|]+)\s*", text)
    if not m:
        fail(where, f"constraint not understood: {text!r}")
    names, mask, op, values = m.groups()
    mask = int_auto(mask) if mask else ~0
    values = [int_auto(v) for v in values.split("|")]
    bits = []  # positions in the word, least significant of the concatenation first
    for name in reversed(names.split(":")):
        if name not in fields:
            fail(where, f"constraint on unknown field {name}")
        lo, width = fields[name]
        bits += range(lo, lo + width)
    if op == "!=":
        ok = lambda x: all(x != v for v in values)
    else:
        ok = lambda x: any(OPS[op](x, v) for v in values)
    allowed = [ok(x & mask) for x in range(1 << len(bits))]
    cubes = []
    for m, v in split_bits(allowed, len(bits)):
        wm = sum(1 << bits[i] for i in range(len(bits)) if m >> i & 1)
        wv = sum(1 << bits[i] for i in range(len(bits)) if v >> i & 1)
        cubes.append((wm, wv))
    return cubes


def intersect(a, b):
    if (a[1] ^ b[1]) & a[0] & b[0]:
        return None
    return (a[0] | b[0], a[1] | b[1])


def covered(cube, cubes):
    """Whether every word of cube is in the union of cubes."""
    cubes = [c for c in cubes if intersect(cube, c)]
    if not cubes:
        return False
    for m, v in cubes:
        if m & ~cube[0] == 0:
            return True
    bit = cubes[0][0] & ~cube[0]
    bit &= -bit
    return all(covered((cube[0] | bit, cube[1] | v), cubes) for v in (0, bit))


def parse_line(text, where):
    parts = [p.strip() for p in text.split(" | ")]
    if len(parts) != 5:
        fail(where, "five columns separated by ' | ' expected")
    l = Line()
    l.where = where
    l.name, pattern, l.feature, l.cls, l.mnemonics = parts
    if not re.fullmatch(r"[A-Za-z]\w*", l.name):
        fail(where, "bad name")
    pattern, _, constraints = pattern.partition(";")
    pos = 32
    l.fields = {}
    mask = value = 0
    for tok in pattern.split():
        m = re.fullmatch(r"([A-Za-z]\w*):(\d+)", tok)
        if m:
            width = int(m.group(2))
            pos -= width
            if m.group(1) in l.fields:
                fail(where, f"field {m.group(1)} twice")
            l.fields[m.group(1)] = (pos, width)
        elif re.fullmatch(r"[01x]+", tok):
            for ch in tok:
                pos -= 1
                if ch != "x":
                    mask |= 1 << pos
                    value |= int(ch) << pos
        else:
            fail(where, f"token {tok!r}")
    if pos != 0:
        fail(where, f"{32 - pos} bits instead of 32")
    l.mask, l.value = mask, value
    l.cubes = [(mask, value)]
    for c in filter(None, (c.strip() for c in constraints.split(","))):
        more = parse_constraint(c, l.fields, where)
        l.cubes = [x for a in l.cubes for b in more if (x := intersect(a, b))]
    if not l.cubes:
        fail(where, "no word matches")
    return l


def read_tables(paths):
    lines, names = [], {}
    for path in paths:
        with open(path) as f:
            for nr, text in enumerate(f, 1):
                text = text.rstrip("\n")
                if not text.strip() or text.lstrip().startswith("#"):
                    continue
                l = parse_line(text, f"{path}:{nr}")
                if l.name in names:
                    fail(l.where, f"name {l.name} is also at {names[l.name].where}")
                names[l.name] = l
                lines.append(l)
    return lines


def rank_lines(lines):
    """Lines that overlap must nest; the inner one gets the higher rank."""
    errors = []
    for l in lines:
        l.inside = 0
    for i, a in enumerate(lines):
        for b in lines[i + 1:]:
            if (a.value ^ b.value) & a.mask & b.mask:
                continue
            if not any(intersect(x, y) for x in a.cubes for y in b.cubes):
                continue
            a_in_b = all(covered(c, b.cubes) for c in a.cubes)
            b_in_a = all(covered(c, a.cubes) for c in b.cubes)
            if a_in_b == b_in_a:
                errors.append(f"{b.where}: {b.name} overlaps {a.name} ({a.where})")
            elif a_in_b:
                a.inside += 1
            else:
                b.inside += 1
    if errors:
        sys.exit("\n".join(errors))


class Tree:
    """
    Nodes in one u32 array. Inner node: word shift | width << 8, then 1 << width indices of children. Leaves: index with the top
    bit set into the list of cubes, which ends with op 0.
    """

    def __init__(self, lines):
        self.nodes = []
        self.leaves = []
        self.leaf_index = {}
        self.memo = {}
        cubes = []
        for op, l in enumerate(lines, 1):
            cubes += [(m, v, op, l.inside) for m, v in l.cubes]
        cubes.sort(key=lambda c: (-c[3], c[2]))
        self.root = self.build(cubes, 0)

    def leaf(self, cubes, known):
        key = tuple((m & ~known, v & ~known, op) for m, v, op, _ in cubes)
        if key not in self.leaf_index:
            self.leaf_index[key] = len(self.leaves)
            self.leaves += key + ((0, 0, 0),)
        return self.leaf_index[key] | 1 << 31

    def build(self, cubes, known):
        # A cube with no undecided bit hides all after it.
        for i, c in enumerate(cubes):
            if c[0] & ~known == 0:
                cubes = cubes[:i + 1]
                break
        if len(cubes) <= 2:
            return self.leaf(cubes, known)
        # The window with the smallest mean bucket; wide tables cost a little.
        best = None
        for width in range(1, 9):
            for shift in range(0, 33 - width):
                window = ((1 << width) - 1) << shift
                if window & known:
                    continue
                total = sum(1 << (width - (c[0] & window).bit_count()) for c in cubes)
                if total == len(cubes) << width:
                    continue
                score = total / (1 << width) + 0.05 * (1 << width)
                if best is None or score < best[0]:
                    best = (score, shift, width)
        if best is None:
            return self.leaf(cubes, known)
        _, shift, width = best
        window = ((1 << width) - 1) << shift
        kids = []
        for val in range(1 << width):
            sub = [c for c in cubes if not (c[1] ^ (val << shift)) & c[0] & window]
            kids.append(self.build(sub, known | window))
        key = (shift, width, tuple(kids))
        if key in self.memo:
            return self.memo[key]
        at = len(self.nodes)
        self.nodes += [shift | width << 8] + kids
        self.memo[key] = at
        return at


def features_of(lines):
    """Names of the feature column, base (0) first."""
    return ["base"] + sorted({l.feature for l in lines} - {"base"})


def write_header(path, lines):
    with open(path, "w") as f:
        f.write("/* SPDX-License-Identifier: MIT */\n/* Made by gen_decode.py from the tables. */\n")
        f.write("#ifndef ANYKVM_ARCH_A64_OPS_H\n#define ANYKVM_ARCH_A64_OPS_H\n\n")
        f.write("#define A64_FOR_EACH_OP(X) \\\n")
        for l in lines:
            f.write(f"\tX({l.name}) \\\n")
        f.write("\n\nenum a64_op {\n\tA64_UNALLOCATED,\n")
        for l in lines:
            f.write(f"\tA64_{l.name},\n")
        f.write("\tNR_A64_OPS\n};\n\n")
        f.write("enum a64_feature {\n")
        for name in features_of(lines):
            f.write(f"\tA64_FEATURE_{name},\n")
        f.write("\tNR_A64_FEATURES\n};\n\n#endif\n")


def write_source(path, lines):
    tree = Tree(lines)
    with open(path, "w") as f:
        f.write("/* SPDX-License-Identifier: MIT */\n/* Made by gen_decode.py from the tables. */\n")
        f.write('#include "arch/decode.h"\n\n')
        f.write("static const u32 tree[] = {\n")
        for i in range(0, len(tree.nodes), 8):
            f.write("\t" + " ".join(f"0x{n:x}," for n in tree.nodes[i:i + 8]) + "\n")
        f.write("};\n\nstatic const struct {\n\tu32 mask, value;\n\tu16 op;\n} leaves[] = {\n")
        for m, v, op in tree.leaves:
            f.write(f"\t{{ 0x{m:08x}, 0x{v:08x}, {op} }},\n")
        f.write("};\n\n")
        f.write(f"""enum a64_op a64_decode(u32 insn)
{{
	u32 at = 0x{tree.root:x};

	while (!(at & 0x80000000))
		at = tree[at + 1 + ((insn >> (tree[at] & 0xff)) & ((1u << (tree[at] >> 8)) - 1))];
	for (at &= 0x7fffffff; leaves[at].op; at++) {{
		if ((insn & leaves[at].mask) == leaves[at].value)
			return (enum a64_op)leaves[at].op;
	}}
	return A64_UNALLOCATED;
}}

""")
        f.write("const u8 a64_feature[NR_A64_OPS] = {\n")
        for l in lines:
            if l.feature != "base":
                f.write(f"\t[A64_{l.name}] = A64_FEATURE_{l.feature},\n")
        f.write("};\n\n")
        f.write("const struct a64_insn_info a64_info[NR_A64_OPS] = {\n")
        for l in lines:
            f.write(f'\t[A64_{l.name}] = {{ "{l.name}", 0x{l.mask:08x}, 0x{l.value:08x}, "{l.feature}", "{l.cls}", '
                    f'"{l.mnemonics}", {len(l.fields)},\n\t\t{{ ')
            f.write(" ".join(f'{{ "{n}", {lo}, {w} }},' for n, (lo, w) in l.fields.items()))
            f.write(" } },\n")
        f.write("};\n")
    return tree


def main():
    out_h, out_c, *tables = sys.argv[1:]
    lines = read_tables(tables)
    rank_lines(lines)
    write_header(out_h, lines)
    write_source(out_c, lines)


if __name__ == "__main__":
    main()
