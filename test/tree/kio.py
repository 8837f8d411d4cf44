# SPDX-License-Identifier: GPL-2.0
"""What the tests' scripts need of open, read, poll and errno, on the channel $D."""
import contextlib
import errno
import fcntl
import mmap
import os
import select
import signal
import stat
import struct
import subprocess
import sys
import threading
import time

D = os.environ['D']
CH = os.environ['CH']
ROOT = os.environ['KECHO_DIR']
SLOW = int(os.environ.get('KECHO_SLOW', '1'))
MAX = 1 << 20
IN, OUT, PRI, ERR, HUP = (select.POLLIN, select.POLLOUT, select.POLLPRI, select.POLLERR,
                          select.POLLHUP)
NB, DIRECT = os.O_NONBLOCK, os.O_DIRECT

# Unhandled, so a script that hangs dies of it.
signal.alarm(30 * SLOW)
# A parent in the background may have had it ignored.
signal.signal(signal.SIGINT, signal.SIG_DFL)


def eq(got, want, what=''):
    if got != want:
        def cut(v):
            v = repr(v)
            return v if len(v) < 400 else v[:400] + '... (%d)' % len(v)
        raise SystemExit('line %d: %s got %s, expected %s' %
                         (sys._getframe(1).f_lineno - 1, what, cut(got), cut(want)))


def ok(cond, what=''):
    if not cond:
        raise SystemExit('line %d: false: %s' % (sys._getframe(1).f_lineno - 1, what))


@contextlib.contextmanager
def raises(*codes):
    line = sys._getframe(2).f_lineno - 1
    names = [errno.errorcode[c] for c in codes]
    try:
        yield
    except OSError as e:
        if e.errno not in codes:
            raise SystemExit('line %d: %s, expected %s' % (line, e, names)) from None
    else:
        raise SystemExit('line %d: succeeded, expected %s' % (line, names))


def wait_until(fn, limit=10):
    end = time.monotonic() + limit * SLOW
    while not fn():
        ok(time.monotonic() < end, 'timed out: line %d' % (sys._getframe(1).f_lineno - 1))
        time.sleep(0.01)


def reader(flags=0, name='events'):
    return os.open(D + '/' + name, os.O_RDONLY | flags)


def writer(flags=0, name='events'):
    return os.open(D + '/' + name, os.O_WRONLY | flags)


def pub(data, flags=0, name='events'):
    """One open, one write, one close."""
    fd = writer(flags, name)
    try:
        eq(os.write(fd, data), len(data))
    finally:
        os.close(fd)


def write_all(fd, data):
    """As programs do: go on after a short write."""
    done = 0
    while done < len(data):
        done += os.write(fd, data[done:])


def get(fd, size=65536):
    return os.read(fd, size)


def get_aligned(fd, size):
    """Into pages: FUSE cuts a read of 1 MiB or more in two if its buffer begins within a page."""
    with mmap.mmap(-1, size) as m:
        return m[:os.readv(fd, [m])]


def drain(fd):
    """All that a non-blocking reader has."""
    got = []
    while True:
        try:
            got.append(os.read(fd, 65536))
        except BlockingIOError:
            return got


def slurp(name):
    with open(name if name[0] == '/' else D + '/' + name, 'rb', 0) as f:
        return f.read()


def put(name, data):
    """One write(2) to a file of the channel (or a path)."""
    fd = os.open(name if name[0] == '/' else D + '/' + name, os.O_WRONLY)
    try:
        eq(os.write(fd, data), len(data))
    finally:
        os.close(fd)


def settings(*lines):
    put('attrs', ''.join(x + '\n' for x in lines).encode())


def poll(fd, mask, ms=0):
    p = select.poll()
    p.register(fd, mask)
    got = p.poll(ms * SLOW if ms > 0 else ms)
    return got[0][1] if got else 0


def later(fn, secs=0.2):
    """fn() while the caller is blocked."""
    t = threading.Timer(secs, fn)
    t.daemon = True
    t.start()
    return t


def own(key):
    line = slurp('members').decode().split('\n')[0]
    return dict(f.split('=', 1) for f in line.split('\t'))[key]


def sinks():
    """The local readers: a dict of pid, comm, queued, lost, maybe type, for each."""
    return [dict(f.split('=', 1) for f in x.strip().split('\t'))
            for x in slurp('members').decode().split('\n') if x.startswith('  ')]


def state(pid):
    with open('/proc/%d/stat' % pid) as f:
        return f.read().rpartition(')')[2].split()[0]


def blocked(argv, **kw):
    """A child that sleeps in a read of the channel."""
    p = subprocess.Popen(argv, **kw)
    wait_until(lambda: any(s['pid'] == str(p.pid) for s in sinks()))
    wait_until(lambda: state(p.pid) == 'S')
    return p


def as_nobody(fn):
    """fn() in a child as user 65534; its errno, or 0."""
    pid = os.fork()
    if pid == 0:
        code = 255
        try:
            os.setgroups([])
            os.setresgid(65534, 65534, 65534)
            os.setresuid(65534, 65534, 65534)
            fn()
            code = 0
        except OSError as e:
            code = e.errno
        finally:
            os._exit(code)
    return os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1])


# include/uapi/linux/kecho.h
KECHO_IOC_MODE = 1 << 30 | 4 << 16 | ord('k') << 8 | 1
KECHO_IOC_ATTRS = 1 << 30 | 4096 << 16 | ord('k') << 8 | 2
TEXT, PACKET, FRAMED = 0, 1, 2
RETAINED, LOCAL = 1, 2
FRAME = struct.Struct('=IHBBQQQQIHH')
assert FRAME.size == 48


def set_mode(fd, mode):
    fcntl.ioctl(fd, KECHO_IOC_MODE, struct.pack('=I', mode))
    return fd


def set_attrs(fd, *lines):
    fcntl.ioctl(fd, KECHO_IOC_ATTRS, bytearray(''.join(x + '\n' for x in lines).encode().ljust(4096, b'\0')))
    return fd


def frame(payload, type=b'', attrs=b'', prio=0, deadline=0, size=None, header=48, flags=0):
    if size is None:
        size = 48 + len(type) + len(attrs) + len(payload)
    return FRAME.pack(size, header, len(type), prio, 0, 0, 0, 0, deadline, len(attrs),
                      flags) + type + attrs + payload


class Frame:
    def __init__(self, data):
        (self.size, self.header, tlen, self.prio, self.seq, self.time_ns, self.publisher,
         self.lost, self.deadline, alen, self.flags) = FRAME.unpack_from(data)
        at = self.header
        self.type, at = data[at:at + tlen], at + tlen
        self.attrs, at = data[at:at + alen], at + alen
        self.payload = data[at:]
        self.length = len(data)
