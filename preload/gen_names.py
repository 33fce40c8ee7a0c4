#!/usr/bin/env python3
# SPDX-License-Identifier: MIT
"""Names from the header: gen_names.py HEADER caps|requests

The capabilities of all machines, since a program of many machines asks for those of others, too; and all requests, those among
them that KVM/arm64 does not know.
"""
import re
import sys

with open(sys.argv[1], encoding='utf-8') as header:
    text = header.read()
print('/* Made by gen_names.py. */')
if sys.argv[2] == 'caps':
    for name, number in re.findall(r'^#define KVM_CAP_(\w+)\s+(\d+)$', text, re.M):
        print(f'[{number}] = "{name}",')
else:
    for name in re.findall(r'^#define (KVM_\w+)\s+_IO[RW]*\(KVMIO,', text, re.M):
        print(f'{{(uint32_t){name}, "{name}"}},')
