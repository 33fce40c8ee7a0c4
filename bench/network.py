#!/usr/bin/env python3
# SPDX-License-Identifier: MIT
"""Throughput of user networking: bench/network.py ANYKVM [--mib N] [--rounds N]

Debian's kernel with two CPUs and virtio-net; its busybox fetches N MiB from this script over the host's loopback (wget), and sends as many
(nc). Beside it qemu-system-aarch64 (TCG) with `-netdev user -device virtio-net-pci`, whose device has what QEMU gives it: mergeable
buffers, event indices; libslirp uses none of its offloads. One JSON line for each direction: the best MiB a second of the guest's clock, rounds alternating.
"""
import argparse
import http.server
import json
import os
import re
import shutil
import socket
import subprocess
import tempfile
import threading

ROOT = os.path.dirname(os.path.dirname(os.path.abspath(__file__)))
QEMU = ['qemu-system-aarch64', '-M', 'virt,gic-version=3', '-accel', 'tcg,thread=multi', '-cpu', 'cortex-a76', '-nographic', '-nodefaults',
        '-serial', 'stdio', '-no-reboot', '-netdev', 'user,id=n', '-device', 'virtio-net-pci,netdev=n,romfile=']
INIT = r'''#!/bin/busybox sh
/bin/busybox --install -s /bin
export PATH=/bin
mount -t proc proc /proc
mount -t sysfs sysfs /sys
mount -t devtmpfs devtmpfs /dev
for module in /modules/*; do insmod $module; done
ip link set eth0 up
ip addr add 10.0.2.15/24 dev eth0
now() { cut -d' ' -f1 /proc/uptime; }
sleep 1
echo 1 >/proc/sys/kernel/printk
start=$(now); wget -q -O /dev/null http://10.0.2.2:WEB/; echo "@fetch $start $(now)"
start=$(now); dd if=/dev/zero bs=65536 count=BLOCKS 2>/dev/null | nc 10.0.2.2 SINK >/dev/null; echo "@send $start $(now)"
poweroff -f
'''


def serve(mib):
    class Handler(http.server.BaseHTTPRequestHandler):
        def do_GET(self):
            self.send_response(200)
            self.send_header('Content-Length', str(mib << 20))
            self.end_headers()
            for _ in range(mib):
                self.wfile.write(bytes(1 << 20))

        def log_message(self, *_):
            pass

    web = http.server.ThreadingHTTPServer(('127.0.0.1', 0), Handler)
    threading.Thread(target=web.serve_forever, daemon=True).start()
    sink = socket.create_server(('127.0.0.1', 0))

    def drain():
        while True:
            client, _ = sink.accept()
            left = mib << 20
            with client:
                while left and (data := client.recv(1 << 18)):
                    left -= len(data)

    threading.Thread(target=drain, daemon=True).start()
    return web.server_port, sink.getsockname()[1]


def initramfs(folder, guest, mib, ports):
    root = os.path.join(folder, 'root')
    for name in ('bin', 'dev', 'proc', 'sys'):
        os.makedirs(os.path.join(root, name))
    shutil.copy(guest['busybox'], os.path.join(root, 'bin/busybox'))
    shutil.copytree(guest['modules'], os.path.join(root, 'modules'))
    with open(os.path.join(root, 'init'), 'w', encoding='ascii') as file:
        file.write(INIT.replace('WEB', str(ports[0])).replace('SINK', str(ports[1])).replace('BLOCKS', str(mib * 16)))
    os.chmod(os.path.join(root, 'init'), 0o755)
    path = os.path.join(folder, 'initrd')
    subprocess.run(f'find . | cpio -o -H newc --quiet >{path}', shell=True, cwd=root, check=True)
    return path


def measure(command, mib):
    done = subprocess.run(command, stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, timeout=600, check=False)
    text = done.stdout.decode(errors='replace')
    found = dict((name, mib / (float(end) - float(start))) for name, start, end in re.findall(r'@(fetch|send) ([0-9.]+) ([0-9.]+)', text))
    if len(found) != 2:
        raise SystemExit(f'{command[0]}: the guest tells no times:\n{text[-2000:]}')
    return found


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument('anykvm')
    parser.add_argument('--mib', type=int, default=64)
    parser.add_argument('--rounds', type=int, default=3)
    args = parser.parse_args()
    told = subprocess.run([os.path.join(ROOT, 'tools/fetch-guest')], stdout=subprocess.PIPE, check=True).stdout.decode()
    guest = dict(line.split('=', 1) for line in told.splitlines() if '=' in line)
    best = {'anykvm': {}, 'qemu': {}}
    with tempfile.TemporaryDirectory() as folder:
        initrd = initramfs(folder, guest, args.mib, serve(args.mib))
        for _ in range(args.rounds):
            commands = {'anykvm': [args.anykvm, 'run', '-n', '-m', '256', '-c', '2', '-k', guest['kernel'], '-i', initrd, '-p', 'quiet panic=-1']}
            if shutil.which(QEMU[0]):
                commands['qemu'] = QEMU + ['-m', '256', '-smp', '2', '-kernel', guest['kernel'], '-initrd', initrd, '-append',
                                           'console=ttyAMA0 quiet panic=-1']
            for name, command in commands.items():
                for what, rate in measure(command, args.mib).items():
                    best[name][what] = max(rate, best[name].get(what, 0))
    for what in ('fetch', 'send'):
        print(json.dumps({'bench': f'network ({what})', 'unit': 'MiB/s', 'anykvm': round(best['anykvm'][what], 2),
                          'qemu': round(best['qemu'][what], 2) if best['qemu'] else None}))


main()
