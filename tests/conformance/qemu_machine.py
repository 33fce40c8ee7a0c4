# SPDX-License-Identifier: MIT
"""A machine of QEMU's with KVM for qemu-operations.py, its monitor and its console. What is common to all of them is the command's:
sys.argv is FOLDER OPERATION QEMU... (the words that start QEMU); FOLDER has the guests, and takes what an operation writes."""
import json
import os
import re
import socket
import subprocess
import sys
import time

SECONDS = float(os.environ.get('ANYKVM_CLIENT_TIMEOUT', '600'))  # for one wait; an operation boots up to three times


def path_of(name):
    return f'{sys.argv[1]}/{name}'


class Machine:
    """Its guest is ticker.c: it tells whether memory is what it was, and both CPUs go on."""
    started = []

    def __init__(self, *options, gic='3', accel='', memory='128', cpus='2', kernel='ticker'):
        self.monitor_path = path_of(f'monitor-{len(Machine.started)}')
        self.monitor = None
        self.console = b''
        command = sys.argv[3:] + ['-accel', 'kvm' + accel, '-M', f'virt,gic-version={gic}', '-cpu', 'host', '-smp', cpus, '-m', memory,
                                  '-nodefaults', '-display', 'none', '-qmp', f'unix:{self.monitor_path},server=on,wait=off',
                                  '-serial', 'stdio', *(('-kernel', path_of(kernel)) if kernel else ()), *options]
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

    def type(self, characters):
        self.process.stdin.write(characters.encode())
        self.process.stdin.flush()

    def wait_until(self, is_so, otherwise):
        end = time.monotonic() + SECONDS
        while not is_so():
            if time.monotonic() > end:
                fail(otherwise, self)
            time.sleep(0.1)

    def ticks(self):
        self.type('c')
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

    def resident(self):
        """MiB of QEMU that take memory of the host."""
        with open(f'/proc/{self.process.pid}/status') as status:
            return int(re.search(r'VmRSS:\s+(\d+) kB', status.read()).group(1)) >> 10

    def expect_given_back(self, mebibytes, before):
        self.wait_until(lambda: self.resident() <= before - mebibytes, f'{before} MiB were resident, and {mebibytes} less were expected')

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
        self.wait_until(lambda: self.do('query-status')['status'] == 'running', 'it does not run again')

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
        self.type('o')
        self.wait_for_end()

    def wait_for_end(self):
        try:
            status = self.process.wait(SECONDS)
        except subprocess.TimeoutExpired:
            fail('it does not turn off', self)
        if status:
            fail(f'status {status}', self)

    def leave(self):
        self.ask('quit')
        self.process.wait(SECONDS)


class Linux(Machine):
    """Its guest is Debian's kernel with a shell at its console (client_shell_guest)."""

    def __init__(self, *options, memory='128', **properties):
        super().__init__('-initrd', path_of('shell.initrd'), '-append', 'quiet console=ttyAMA0 cma=0 panic=-1', *options, memory=memory, cpus='1',
                         kernel='shell.kernel', **properties)
        self.expect('@start')

    def tell(self, command):
        """What the command prints."""
        self.type(command + '\n')
        said, status = self.expect(r'(?s)(.*)@status (\d+)\r?\n').groups()
        said = said.decode().strip()
        if status != b'0':
            fail(f'{command}: status {status.decode()}, {said}', self)
        return said

    def off(self):
        self.type('poweroff -f\n')
        self.wait_for_end()


def fail(why, machine=None):
    print(f'failed: {why}')
    if machine:
        machine.process.kill()
        print(machine.console.decode('latin-1') + (machine.process.stdout.read() or b'').decode('latin-1'))
    sys.exit(1)


def skip(why):
    print(why)
    sys.exit(77)


def start(*options, **properties):
    """A machine with ticker.c, once it runs."""
    machine = Machine(*options, **properties)
    said = machine.expect(r'(?s)(.*)@start').group(1)
    if b'KVM dirty ring not available' in said:
        skip('this QEMU does not ask for the dirty ring that arm64 has, KVM_CAP_DIRTY_LOG_RING_ACQ_REL')
    machine.go_on()
    return machine


def end_late(number, frame):
    fail(f'it is not over after {3 * SECONDS:g} seconds', Machine.started[-1] if Machine.started else None)


