# SPDX-License-Identifier: MIT
"""Operations of qemu-operations.py about memory: given to a running machine and taken away, and of files, memfds and none."""
import os
import re

from qemu_machine import Linux, Machine, fail, path_of, start

MIB = 1 << 20
MEMORY = 0x40000000
TICKER_PAGES = 0x42000000
TICKER_DIMM = 0x80000000


class Counted(Linux):
    """Linux, a file of which tells whether memory is what it was."""

    def __init__(self, *options, **properties):
        super().__init__(*options, **properties)
        self.sum = self.tell('dd if=/dev/urandom of=/tmp/random bs=64k count=16 2>/dev/null; md5sum /tmp/random')

    def look(self):
        if self.tell('md5sum /tmp/random') != self.sum:
            fail('memory is not what it was', self)

    def use(self, mebibytes):
        """Touches that much of its memory until free() is called."""
        self.tell(f'fallocate -l {mebibytes}M /tmp/used')

    def free(self):
        self.tell('rm /tmp/used')

    def total(self):
        """MiB of memory that Linux has."""
        return int(re.search(r'MemTotal: +(\d+)', self.tell('head -1 /proc/meminfo')).group(1)) >> 10


def balloon():
    """a balloon takes memory from Linux and gives it back"""
    machine = Counted('-device', 'virtio-balloon-pci')
    everything = machine.total()
    for _ in range(2):
        machine.use(48)
        machine.free()
        before = machine.resident()
        machine.do('balloon', value=64 * MIB)
        machine.wait_until(lambda: machine.do('query-balloon')['actual'] == 64 * MIB, 'the balloon does not fill')
        machine.expect_given_back(40, before)
        machine.do('balloon', value=128 * MIB)
        machine.wait_until(lambda: machine.do('query-balloon')['actual'] == 128 * MIB, 'the balloon does not empty')
        if machine.total() != everything:
            fail(f'Linux had {everything} MiB, has {machine.total()}', machine)
        machine.look()
    machine.off()


def free_pages():
    """Linux reports its free pages, which the host gets back"""
    machine = Counted('-device', 'virtio-balloon-pci,free-page-reporting=on')
    for _ in range(2):
        machine.use(48)
        before = machine.resident()
        machine.free()
        machine.expect_given_back(32, before)
        machine.look()
    machine.off()


def virtio_mem():
    """virtio-mem plugs memory of Linux and unplugs it"""
    asked = Machine('-S')
    properties = asked.do('device-list-properties', typename='virtio-mem-pci')
    asked.leave()
    # A slot for each part that is plugged; QEMU 7.2 has one for all that may be.
    slots = ',dynamic-memslots=on' if any(one['name'] == 'dynamic-memslots' for one in properties) else ''
    machine = Counted('-object', 'memory-backend-memfd,id=memory,size=512M', '-device',
                      f'virtio-mem-pci,id=hot,memdev=memory,requested-size=0{slots}', memory='128,maxmem=1G')

    def plug(mebibytes):
        machine.do('qom-set', path='/machine/peripheral/hot', property='requested-size', value=mebibytes * MIB)
        machine.wait_until(lambda: machine.do('query-memory-devices')[0]['data']['size'] == mebibytes * MIB, f'there are never {mebibytes} MiB')

    everything = machine.total()
    for _ in range(2):
        plug(128)
        machine.wait_until(lambda: machine.total() == everything + 128, f'Linux does not get to {everything} + 128 MiB')
        machine.use(128)
        before = machine.resident()
        machine.free()
        plug(0)
        machine.expect_given_back(48, before)
        machine.look()
    machine.off()


def file_is_memory(machine, path):
    """Whether what the guest wrote is in the file."""
    machine.do('stop')
    saved = path_of('memory')
    machine.do('pmemsave', val=TICKER_PAGES, size=MIB, filename=saved)
    with open(saved, 'rb') as memory, open(path, 'rb') as file:
        file.seek(TICKER_PAGES - MEMORY)
        words = memory.read()
        if not any(words):
            fail('the guest wrote nothing', machine)
        same = words == file.read(MIB)
    os.unlink(saved)
    machine.do('cont')
    return same


def backends():
    """memory of files, memfds and none, shared and private, merged or not"""
    path = path_of('ram')
    for backend, in_file in ((f'file,mem-path={path},share=on,discard-data=on', True), (f'file,mem-path={path},share=off,dump=off', False),
                             ('memfd,share=on,hugetlb=off,merge=off', None), ('ram,merge=on,reserve=off', None)):
        machine = start('-object', f'memory-backend-{backend},id=ram,size=128M', '-machine', 'memory-backend=ram,dump-guest-core=off')
        if in_file is not None:
            if file_is_memory(machine, path) != in_file:
                fail(f'what the guest wrote is not where it should be with {backend}', machine)
            os.unlink(path)  # the next guest may come as far and write the same
        machine.off()


def shared_file():
    """a machine migrates, but its memory stays in a file"""
    options = ('-object', f"memory-backend-file,mem-path={path_of('ram')},share=on,id=ram,size=128M", '-machine', 'memory-backend=ram')
    saved = path_of('saved')
    capabilities = [{'capability': 'x-ignore-shared', 'state': True}]
    source = start(*options)
    source.do('migrate-set-capabilities', capabilities=capabilities)
    source.do('migrate', uri=f'exec:exec cat >{saved}')
    source.wait_for_migration()
    source.leave()
    if os.path.getsize(saved) > MIB:
        fail('memory was sent')
    target = Machine('-incoming', 'defer', *options)
    target.do('migrate-set-capabilities', capabilities=capabilities)
    target.do('migrate-incoming', uri=f'exec:exec cat {saved}')
    target.wait_until_running()
    target.go_on()
    target.off()


def dimm():
    """memory modules are plugged and ejected, each with new memory"""
    # A machine has slots for them if it has firmware, which need not do anything: the loader starts the guest.
    firmware = path_of('firmware')
    with open(firmware, 'wb') as file:
        file.write(bytes(4096))
    machine = Machine('-bios', firmware, '-device', f"loader,file={path_of('ticker')},cpu-num=0", memory='128,slots=2,maxmem=1G', kernel=None)
    machine.expect('@start')
    for backend in 'memory-backend-ram', 'memory-backend-memfd', 'memory-backend-ram':
        machine.do('object-add', **{'qom-type': backend, 'id': 'memory', 'size': 32 * MIB})
        machine.do('device_add', driver='pc-dimm', id='dimm', memdev='memory')
        if (address := machine.do('query-memory-devices')[0]['data']['addr']) != TICKER_DIMM:
            fail(f'the module is at {address:#x}', machine)
        machine.type('d')
        if (wrong := int(machine.expect(r'@dimm (\d+)\n').group(1))):
            fail(f'{wrong} pages of the module are wrong', machine)
        before = machine.resident()
        machine.do('device_del', id='dimm')
        machine.type('e')
        machine.expect('@ejected')
        machine.wait_until(lambda: not machine.do('query-memory-devices'), 'the module is never ejected')
        machine.do('object-del', id='memory')
        machine.expect_given_back(24, before)
        machine.go_on()
    machine.off()


OPERATIONS = (dimm, balloon, free_pages, virtio_mem, backends, shared_file)
