#!/usr/bin/env python3
# SPDX-License-Identifier: MIT
"""Assembles guest.S into a C header: the code as an array, the offset of each piece as a constant.

gen_guest.py AS LD OBJCOPY NM SOURCE OUTPUT
"""
import os
import subprocess
import sys
import tempfile

assembler, linker, objcopy, nm, source, output = sys.argv[1:]
with tempfile.TemporaryDirectory() as folder:
    obj, elf, blob = (os.path.join(folder, n) for n in ('g.o', 'g.elf', 'g.bin'))
    subprocess.run([assembler, '-o', obj, source], check=True)
    subprocess.run([linker, '-Ttext=0', '-e', '0', '-o', elf, obj], check=True)
    subprocess.run([objcopy, '-O', 'binary', '-j', '.text', elf, blob], check=True)
    names = subprocess.run([nm, elf], check=True, capture_output=True, text=True).stdout.split('\n')
    code = open(blob, 'rb').read()
with open(output, 'w') as f:
    f.write('/* Made by gen_guest.py from guest.S. */\n#include <stdint.h>\n')
    f.write('static const uint32_t guest_code[] = {\n')
    for i in range(0, len(code), 32):
        words = [code[k:k + 4].ljust(4, b'\0') for k in range(i, min(i + 32, len(code)), 4)]
        f.write('\t' + ' '.join('0x%08x,' % int.from_bytes(w, 'little') for w in words) + '\n')
    f.write('};\nenum guest_piece {\n')
    for line in names:
        part = line.split()
        if len(part) == 3 and part[1] == 'T':
            f.write('\tG_%s = 0x%x,\n' % (part[2], int(part[0], 16)))
    f.write('};\n')
