# SPDX-License-Identifier: GPL-2.0
"""rounds.py MOUNTPOINT: twenty times the modules are loaded, used, unloaded; what is in use stays."""
import os
import select
import sys

import vm
from vm import ok, slurp

ROOT = os.fsencode(sys.argv[1])
D = ROOT + b'/web'


def put(path, data, flags=0):
    fd = os.open(path, os.O_WRONLY | flags)
    ok(os.write(fd, data) == len(data), 'a short write')
    os.close(fd)


def use():
    """One of everything that a mount serves."""
    os.mkdir(D)
    os.mkdir(D + b'/alarm')
    both = os.open(D + b'/events', os.O_RDWR)
    rings = vm.Rings()
    rings.attach(both)
    rings.map()
    rings.put(b'by memory')
    rings.kick()
    ok(rings.get() == b'by memory', 'rings')
    put(D + b'/attrs', b'load=0.5\nkecho.retain=1\n')
    ok(b'load=0.5\n' in slurp(D + b'/attrs'), 'no attribute')
    watch = vm.checked(vm.libc.inotify_init1(os.O_NONBLOCK))
    vm.checked(vm.libc.inotify_add_watch(watch, D, 2))  # IN_MODIFY
    reader = os.open(D + b'/events', os.O_RDONLY | os.O_NONBLOCK)
    typed = os.open(D + b'/alarm/events', os.O_RDONLY)
    p = select.poll()
    p.register(reader, select.POLLIN)
    ok(not p.poll(0), 'readable, with nothing to read')
    put(D + b'/events', b'up\n')
    put(D + b'/alarm/events', b'fire')
    ok(p.poll(0) and os.read(reader, 100) == b'up\n' and os.read(reader, 100) == b'fire\n', 'events')
    ok(os.read(typed, 100) == b'fire\n', 'a typed event')
    ok(os.read(watch, 4096), 'inotify')
    put(D + b'/events', b'x' * (1 << 20), os.O_DIRECT)
    ok(b'\tsent=4\t' in slurp(D + b'/members'), 'members')
    for d in D, ROOT + b'/.node':
        for name in os.listdir(d):
            if name not in (b'events', b'alarm'):
                slurp(d + b'/' + name)
    vm.stays('kechofs')
    vm.stays('kecho_ecalls')
    try:
        os.rmdir(D + b'/alarm')
        ok(False, 'removed, with a file open')
    except OSError:
        pass
    # The event that is queued goes with its reader, the retained one with the channel; a type is left to umount.
    for fd in watch, reader, typed, both:
        os.close(fd)
    rings.close()


for i in range(20):
    vm.load()
    for name in vm.MODULES[:-2]:  # the last two nobody uses yet
        vm.stays(name)
    vm.mount(ROOT)
    use()
    fd = os.open(D + b'/events', os.O_RDWR)
    vm.umount(ROOT, vm.MNT_DETACH)  # nobody sees it any more, but a file is open
    vm.stays('kechofs')
    os.close(fd)
    vm.unload()
