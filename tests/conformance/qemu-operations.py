#!/usr/bin/env python3
# SPDX-License-Identifier: MIT
"""What QEMU does to a running machine, at its monitor: qemu-operations.py FOLDER OPERATION QEMU...; --list names the operations.
QEMU... are the words that start QEMU with KVM; FOLDER has the guests: ticker (ticker.c's program, which tells whether memory is what it
was and both CPUs go on), shell.kernel and shell.initrd (Debian's, with a shell at the console). Status 0 if all is right, 77 if QEMU
cannot do it, else 1; and why."""
import os
import re
import signal
import sys
import time

from qemu_machine import SECONDS, Machine, end_late, fail, path_of, start
import qemu_memory


def migrate(**properties):
    """a running machine migrates to a file and from there"""
    source = start(**properties)
    saved = path_of('saved')
    source.do('migrate', uri=f'exec:exec cat >{saved}')
    source.wait_for_migration()
    source.leave()
    target = Machine('-incoming', f'exec:exec cat {saved}', **properties)
    target.wait_until_running()
    target.go_on()
    target.off()


def dirty_ring():
    """the same, with dirty rings"""
    migrate(accel=',dirty-ring-size=4096')


def postcopy():
    """a running machine migrates, its memory after it (userfaultfd)"""
    source = start()
    path = 'unix:' + path_of('migration')
    target = Machine('-incoming', path)
    capabilities = [{'capability': 'postcopy-ram', 'state': True}]
    for machine in target, source:
        machine.do('migrate-set-capabilities', capabilities=capabilities)
    source.do('migrate-set-parameters', **{'max-bandwidth': 1 << 20})
    source.do('migrate', uri=path)
    while source.do('query-migrate').get('status') in (None, 'setup'):
        time.sleep(0.05)
    source.do('migrate-start-postcopy')
    if source.wait_for_migration()['ram']['postcopy-bytes'] == 0:
        fail('no memory was sent after the machine', source)
    source.leave()
    target.wait_until_running()
    target.go_on()
    target.off()


def snapshot():
    """a snapshot in a qcow2 file, and the machine loaded from it"""
    machine = start()
    path = path_of('snapshots')
    open(path, 'wb').close()
    machine.do('blockdev-add', **{'driver': 'file', 'node-name': 'file', 'filename': path})
    machine.job('blockdev-create', options={'driver': 'qcow2', 'file': 'file', 'size': 0})
    machine.do('blockdev-add', **{'driver': 'qcow2', 'node-name': 'disk', 'file': 'file'})
    machine.job('snapshot-save', tag='one', vmstate='disk', devices=['disk'])
    saved_before = machine.ticks()
    machine.run_until(saved_before + 400)
    machine.job('snapshot-load', tag='one', vmstate='disk', devices=['disk'])
    machine.wait_until_running()
    if machine.ticks() >= saved_before + 400:
        fail('it is not the machine of the snapshot', machine)
    machine.go_on()
    machine.off()


def reset():
    """resets by the monitor and by the guest"""
    machine = start()
    machine.do('system_reset')
    machine.expect('@start')
    machine.go_on()
    machine.type('r')
    machine.expect('@start')
    machine.go_on()
    machine.off()


def inspect():
    """registers, statistics, dirty rate by bitmap, a dump of memory; stop and continue"""
    machine = start()
    machine.do('stop')
    stopped = machine.say('info registers -a')
    if len(set(re.findall(r'\bPC=([0-9a-f]+)', stopped))) < 1 or stopped != machine.say('info registers -a'):
        fail('registers of a stopped machine change', machine)
    dump = path_of('dump')
    machine.do('dump-guest-memory', paging=False, protocol=f'file:{dump}')
    if os.path.getsize(dump) < 128 << 20:
        fail('the dump is shorter than memory', machine)
    os.unlink(dump)
    machine.do('cont')
    machine.go_on()
    exits = [next(value['value'] for value in vcpu['stats'] if value['name'] == 'exits')
             for vcpu in machine.do('query-stats', target='vcpu')]
    if len(exits) != 2 or not all(exits):
        fail(f'exits of the vCPUs: {exits}', machine)
    measure_dirty_rate(machine, 'dirty-bitmap')
    machine.go_on()
    if not machine.do('query-cpu-model-expansion', type='full', model={'name': 'host'})['model']['props'].get('aarch64'):
        fail('the model of the CPU', machine)
    machine.off()


def gicv2():
    """a GICv2 of KVM"""
    machine = start(gic='2')
    machine.do('system_reset')
    machine.expect('@start')
    machine.go_on()
    machine.off()


def no_its():
    """a GICv3 without ITS, memory of a shared memfd that is there from the start"""
    machine = start('-object', 'memory-backend-memfd,id=ram,size=128M,share=on,prealloc=on', '-machine', 'memory-backend=ram', gic='3,its=off')
    machine.off()


def flash():
    """flash memory, a read-only slot that comes and goes"""
    machine = start()
    for _ in range(3):
        machine.type('f')
        if machine.expect(r'@flash (\w+)\n').group(1) != b'right':
            fail('flash memory does not hold what was written', machine)
    machine.go_on()
    machine.off()


def measure_dirty_rate(machine, mode):
    machine.do('calc-dirty-rate', **{'calc-time': 1, 'mode': mode})
    machine.wait_until(lambda: machine.do('query-dirty-rate')['status'] == 'measured', 'the rate is never measured')
    return machine.do('query-dirty-rate')


def dirty_rate():
    """the rate at which vCPUs write pages, by dirty rings; limits of it, of one and of all"""
    machine = start(accel=',dirty-ring-size=1024')
    rates = measure_dirty_rate(machine, 'dirty-ring')['vcpu-dirty-rate']
    if len(rates) != 2:
        fail(f'rates {rates}', machine)
    machine.do('set-vcpu-dirty-limit', **{'cpu-index': 1, 'dirty-rate': 2})
    limits = [(limit['cpu-index'], limit['limit-rate']) for limit in machine.do('query-vcpu-dirty-limit')]
    if limits != [(1, 2)]:
        fail(f'limits {limits}', machine)
    machine.go_on()
    machine.do('set-vcpu-dirty-limit', **{'dirty-rate': 1})
    machine.go_on()
    machine.do('cancel-vcpu-dirty-limit')
    machine.go_on()
    machine.off()


OPERATIONS = {function.__name__.replace('_', '-'): function for function in (
    migrate, dirty_ring, postcopy, snapshot, reset, inspect, gicv2, no_its, flash, dirty_rate, *qemu_memory.OPERATIONS)}

if sys.argv[1] == '--list':
    print('\n'.join(f'{name} {function.__doc__}' for name, function in OPERATIONS.items()))
    sys.exit()
signal.signal(signal.SIGTERM, lambda number, frame: sys.exit(1))
# Not every wait has an end of its own: a machine may answer for ever and come no further.
signal.signal(signal.SIGALRM, end_late)
signal.setitimer(signal.ITIMER_REAL, 3 * SECONDS)
try:
    OPERATIONS[sys.argv[2]]()
finally:
    for one in Machine.started:
        one.process.kill()
