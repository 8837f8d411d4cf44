# SPDX-License-Identifier: GPL-2.0
"""What the tests of the modules' life call: modules, mounts, hosts; with few processes, for a debug kernel takes long to start one."""
import ctypes
import fcntl
import mmap
import os
import re
import struct
import subprocess
import threading
import time
import traceback

SLOW = int(os.environ['KECHO_SLOW'])
MODULES = os.environ['KECHO_MODULES'].split()
FINIT_MODULE, DELETE_MODULE = 313, 176  # x86-64

libc = ctypes.CDLL(None, use_errno=True)


def ok(cond, what):
    if not cond:
        raise SystemExit('failed: %s' % (what,))


def checked(ret):
    if ret < 0:
        raise OSError(ctypes.get_errno(), os.strerror(ctypes.get_errno()))
    return ret


def wait_until(fn, what, limit=20):
    end = time.monotonic() + limit * SLOW
    while not fn():
        ok(time.monotonic() < end, what)
        time.sleep(0.01)


def slurp(path):
    with open(path, 'rb', 0) as f:
        return f.read()


def mount(where, options=b''):
    checked(libc.mount(b'kecho', where, b'kechofs', 0, options))


def umount(where, flags=0):
    checked(libc.umount2(where, flags))


def load():
    for name in MODULES:
        fd = os.open('%s/kmod/%s/%s.ko' % (os.environ['KECHO_BUILD'], os.uname().release, name), os.O_RDONLY)
        checked(libc.syscall(FINIT_MODULE, fd, b'', 0))
        os.close(fd)


def unload(name=None):
    """All, in reverse; BlockingIOError if one is in use."""
    for m in [name] if name else reversed(MODULES):
        checked(libc.syscall(DELETE_MODULE, m.encode(), os.O_NONBLOCK))


def stays(name):
    try:
        unload(name)
    except BlockingIOError:
        return
    ok(False, '%s could be unloaded' % name)


# --- rings of an open events file, by /dev/kecho: see <linux/kecho.h> ---

KECHO_IOC_ATTACH = 3 << 30 | 40 << 16 | ord('k') << 8 | 3
KECHO_IOC_KICK = ord('k') << 8 | 4
KECHO_RING_VERSION = 2


class Rings:
    """For a few small events: they do not go around."""
    PUBLISH, RECEIVE = 64, 256  # struct kecho_ring's place; @head is there, @tail 64 bytes further

    def __init__(self):
        self.dev = os.open('/dev/kecho', os.O_RDWR)

    def attach(self, events, size=65536):
        a = bytearray(struct.pack('=IiQIIIIQ', KECHO_RING_VERSION, events, 0, size, size, 0, 0, 0))
        fcntl.ioctl(self.dev, KECHO_IOC_ATTACH, a)
        self.bytes = struct.unpack('=IiQIIIIQ', a)[7]

    def map(self):
        self.mem = mmap.mmap(self.dev, self.bytes)

    def word(self, at):
        return struct.unpack_from('=I', self.mem, at)[0]

    def put(self, data):
        head = self.word(self.PUBLISH)
        frame = struct.pack('=IHBBQQQQIHH', 48 + len(data), 48, 0, 0, 0, 0, 0, 0, 0, 0, 0) + data
        at = self.word(12) + head
        self.mem[at:at + len(frame)] = frame
        struct.pack_into('=I', self.mem, self.PUBLISH, head + (len(frame) + 7) // 8 * 8)

    def get(self):
        """The payload of the next event, or None."""
        tail = self.word(self.RECEIVE + 64)
        if tail == self.word(self.RECEIVE):
            return None
        at = self.word(20) + tail
        size = self.word(at)
        data = self.mem[at + 48:at + size]
        struct.pack_into('=I', self.mem, self.RECEIVE + 64, tail + (size + 7) // 8 * 8)
        return data

    def kick(self):
        fcntl.ioctl(self.dev, KECHO_IOC_KICK)

    def close(self):
        if hasattr(self, 'mem'):
            self.mem.close()
        os.close(self.dev)


# --- hosts: network namespaces, 10.77.0.N ---

CLONE_NEWNS, CLONE_NEWNET = 0x20000, 0x40000000
MS_PRIVATE_ALL = 1 << 18 | 1 << 14
MNT_DETACH = 2


def ip(*lines, host=None):
    subprocess.run(['ip'] + (['-n', host] if host else []) + ['-batch', '-'], input='\n'.join(lines), text=True, check=True)


def cable():
    """host1 and host2, joined by a cable"""
    ip('netns add host1', 'netns add host2', 'link add eth0 netns host1 type veth peer name eth0 netns host2')
    for n in 1, 2:
        ip('link set lo up', 'addr add 10.77.0.%d/24 dev eth0' % n, 'link set eth0 up', host='host%d' % n)


def enter(n):
    fd = os.open('/run/netns/host%d' % n, os.O_RDONLY)
    checked(libc.setns(fd, CLONE_NEWNET))
    os.close(fd)


def delete(n):
    ip('netns del host%d' % n)


def in_child(fn):
    """fn() in a process of its own; its id"""
    pid = os.fork()
    if pid:
        return pid
    try:
        fn()
        os._exit(0)
    except BaseException:
        traceback.print_exc()
    finally:
        os._exit(1)


def done(pid):
    status = os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1])
    ok(not status, 'a child: status %d' % status)


def node(where, n, more=b'', heartbeat=300):
    """A node on host n, where the caller is."""
    os.makedirs(where, exist_ok=True)
    mount(where, b'name=h%d,listen=10.77.0.%d,insecure,heartbeat=%d' % (n, n, heartbeat * SLOW) + more)


def node_on(where, n, more=b'', **kw):
    """Likewise, where the caller is not."""
    done(in_child(lambda: (enter(n), node(where, n, more, **kw))))


def members(d):
    return re.findall(rb'^id=.*\tnode=([^\t]*)\t', slurp(d + b'/members'), re.M)


class Publisher(threading.Thread):
    """Publishes TAG 1, TAG 2, ... TAG n until it is stopped."""

    def __init__(self, d, tag, pause=0.005):
        super().__init__(daemon=True)
        self.d, self.tag, self.n, self.pause, self.going = d, tag, 0, pause, True
        self.start()

    def run(self):
        with open(self.d + b'/events', 'wb', 0) as f:
            while self.going:
                self.n += 1
                f.write(b'%s %d\n' % (self.tag, self.n))
                time.sleep(self.pause)

    def stop(self):
        self.going = False
        self.join()


class Reader:
    def __init__(self, d):
        self.fd = os.open(d + b'/events', os.O_RDONLY | os.O_NONBLOCK)
        self.lines = []

    def poll(self):
        try:
            while True:
                self.lines.append(os.read(self.fd, 1000))
        except BlockingIOError:
            pass
        return self

    def has(self, tag):
        """An event of that publisher has come."""
        return any(line.startswith(tag) for line in self.poll().lines)

    def flows(self, tag):
        """Another one comes."""
        self.poll().lines.clear()
        wait_until(lambda: self.has(tag), 'no event of %s comes any more' % tag)

    def close(self):
        os.close(self.fd)
