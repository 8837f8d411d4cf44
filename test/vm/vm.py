# SPDX-License-Identifier: GPL-2.0
"""What the tests of the modules' life call: mount(2), modules; without a process for each, which takes long in a debug kernel."""
import ctypes
import os
import time

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
