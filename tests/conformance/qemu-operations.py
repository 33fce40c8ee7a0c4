#!/usr/bin/env python3
# SPDX-License-Identifier: MIT
"""What QEMU does to a running machine, at its monitor: qemu-operations.py FOLDER TICKER OPERATION QEMU...; --list names the operations.
QEMU... are the words that start QEMU with KVM, TICKER is ticker.c's program, which tells whether memory is what it was and both CPUs
go on. Status 0 if all is right, else 1 and why."""
import json
import os
import re
import signal
import socket
import subprocess
import sys
import time

SECONDS = float(os.environ.get('ANYKVM_CLIENT_TIMEOUT', '600'))  # for one wait; an operation boots up to three times


class Machine:
    started = []

    def __init__(self, *options, gic='3', accel=''):
        folder, self.number = sys.argv[1], len(Machine.started)
        self.monitor_path = f'{folder}/monitor-{self.number}'
        self.monitor = None
        self.console = b''
        command = sys.argv[4:] + ['-accel', 'kvm' + accel, '-M', f'virt,gic-version={gic}', '-cpu', 'host', '-smp', '2', '-m', '128',
                                  '-nodefaults', '-display', 'none', '-qmp', f'unix:{self.monitor_path},server=on,wait=off',
                                  '-serial', 'stdio', '-kernel', sys.argv[2], *options]
        self.process = subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=subprocess.STDOUT)
        os.set_blocking(self.process.stdout.fileno(), False)
        Machine.started.append(self)

    def ask(self, command, **arguments):
        """The answer to a command of the monitor: what it returns, or the error."""
        if not self.monitor:
            self.connect()
        self.monitor.write(json.dumps({'execute': command, 'arguments': arguments}).encode() + b'\n')
        self.monitor.flush()
        while True:
            line = self.monitor.readline()
            if not line:
                fail(f'QEMU hung up at {command}', self)
            answer = json.loads(line)
            if 'event' not in answer:
                return answer

    def connect(self):
        end = time.monotonic() + SECONDS
        connection = socket.socket(socket.AF_UNIX)
        connection.settimeout(SECONDS)
        while True:
            try:
                connection.connect(self.monitor_path)
                break
            except OSError:
                if self.process.poll() is not None:
                    fail('QEMU ended', self)
                if time.monotonic() > end:
                    fail('nobody listens at the monitor', self)
                time.sleep(0.1)
        self.monitor = connection.makefile('rwb')
        self.monitor.readline()
        self.ask('qmp_capabilities')

    def do(self, command, **arguments):
        answer = self.ask(command, **arguments)
        if 'error' in answer:
            fail(f"{command}: {answer['error']['desc']}", self)
        return answer['return']

    def say(self, line):
        """A command of the monitor for people."""
        return self.do('human-monitor-command', **{'command-line': line})

    def expect(self, pattern):
        end = time.monotonic() + SECONDS
        while True:
            found = re.search(pattern.encode(), self.console)
            if found:
                self.console = self.console[found.end():]
                return found
            self.console += self.process.stdout.read() or b''
            if time.monotonic() > end or self.process.poll() is not None:
                self.console += self.process.stdout.read() or b''
                if not re.search(pattern.encode(), self.console):
                    fail(f'no {pattern} on the console', self)
            time.sleep(0.02)

    def ticks(self):
        self.process.stdin.write(b'c')
        self.process.stdin.flush()
        first, second, wrong = (int(number) for number in self.expect(r'@ticks (\d+) (\d+) wrong (\d+)\n').groups())
        if wrong:
            fail(f'{wrong} words of memory are wrong', self)
        return min(first, second)

    def run_until(self, ticks):
        while self.ticks() < ticks:
            time.sleep(0.1)

    def go_on(self):
        """Both CPUs make ticks, enough to have come by most pages."""
        self.run_until(self.ticks() + 200)

    def wait_for_migration(self):
        """Whether it is over, with its counts."""
        while True:
            state = self.do('query-migrate')
            if state.get('status') in ('failed', 'cancelled'):
                fail(f"migration {state['status']}: {state.get('error-desc')}", self)
            if state.get('status') == 'completed':
                return state
            time.sleep(0.1)

    def wait_until_running(self):
        end = time.monotonic() + SECONDS
        while self.do('query-status')['status'] != 'running':
            if time.monotonic() > end:
                fail('it does not run again', self)
            time.sleep(0.1)

    def job(self, command, **arguments):
        self.do(command, **{'job-id': command}, **arguments)
        while True:
            state = next(job for job in self.do('query-jobs') if job['id'] == command)
            if state['status'] == 'concluded':
                if 'error' in state:
                    fail(f"{command}: {state['error']}", self)
                self.do('job-dismiss', id=command)
                return
            time.sleep(0.1)

    def off(self):
        self.process.stdin.write(b'o')
        self.process.stdin.flush()
        try:
            status = self.process.wait(SECONDS)
        except subprocess.TimeoutExpired:
            fail('it does not turn off', self)
        if status:
            fail(f'status {status}', self)

    def leave(self):
        self.ask('quit')
        self.process.wait(SECONDS)


def fail(why, machine=None):
    print(f'failed: {why}')
    if machine:
        machine.process.kill()
        print(machine.console.decode('latin-1') + (machine.process.stdout.read() or b'').decode('latin-1'))
    sys.exit(1)


def end_late(number, frame):
    fail(f'it is not over after {3 * SECONDS:g} seconds', Machine.started[-1] if Machine.started else None)


def start(*options, **properties):
    machine = Machine(*options, **properties)
    machine.expect('@start')
    machine.go_on()
    return machine


def migrate(**properties):
    """a running machine migrates to a file and from there"""
    source = start(**properties)
    saved = f'{sys.argv[1]}/saved'
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
    path = f'unix:{sys.argv[1]}/migration'
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
    path = f'{sys.argv[1]}/snapshots'
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
    machine.process.stdin.write(b'r')
    machine.process.stdin.flush()
    machine.expect('@start')
    machine.go_on()
    machine.off()


def inspect():
    """registers, statistics, a dump of memory; stop and continue"""
    machine = start()
    machine.do('stop')
    stopped = machine.say('info registers -a')
    if len(set(re.findall(r'\bPC=([0-9a-f]+)', stopped))) < 1 or stopped != machine.say('info registers -a'):
        fail('registers of a stopped machine change', machine)
    dump = f'{sys.argv[1]}/dump'
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
        machine.process.stdin.write(b'f')
        machine.process.stdin.flush()
        if machine.expect(r'@flash (\w+)\n').group(1) != b'right':
            fail('flash memory does not hold what was written', machine)
    machine.go_on()
    machine.off()


def dirty_rate():
    """the rate at which pages get dirty, by bitmap and by ring; limits of it"""
    machine = start(accel=',dirty-ring-size=1024')
    machine.do('calc-dirty-rate', **{'calc-time': 1, 'mode': 'dirty-ring'})
    while machine.do('query-dirty-rate')['status'] != 'measured':
        time.sleep(0.1)
    rates = machine.do('query-dirty-rate')['vcpu-dirty-rate']
    if len(rates) != 2:
        fail(f'rates {rates}', machine)
    machine.do('set-vcpu-dirty-limit', **{'dirty-rate': 1})
    machine.go_on()
    machine.do('cancel-vcpu-dirty-limit')
    machine.go_on()
    machine.off()


OPERATIONS = {function.__name__.replace('_', '-'): function for function in (migrate, dirty_ring, postcopy, snapshot, reset, inspect, gicv2, no_its, flash, dirty_rate)}

if sys.argv[1] == '--list':
    print('\n'.join(f'{name} {function.__doc__}' for name, function in OPERATIONS.items()))
    sys.exit()
signal.signal(signal.SIGTERM, lambda number, frame: sys.exit(1))
# Not every wait has an end of its own: a machine may answer for ever and come no further.
signal.signal(signal.SIGALRM, end_late)
signal.setitimer(signal.ITIMER_REAL, 3 * SECONDS)
try:
    OPERATIONS[sys.argv[3]]()
finally:
    for one in Machine.started:
        one.process.kill()
