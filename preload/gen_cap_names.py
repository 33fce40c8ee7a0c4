#!/usr/bin/env python3
# SPDX-License-Identifier: MIT
"""The names of all capabilities, from the header: a program of many machines asks for those of others, too."""
import re
import sys

with open(sys.argv[1], encoding='utf-8') as header:
    found = re.findall(r'^#define KVM_CAP_(\w+)\s+(\d+)$', header.read(), re.M)
print('/* Made by gen_cap_names.py. */')
for name, number in found:
    print(f'[{number}] = "{name}",')
