# SPDX-License-Identifier: GPL-2.0
"""faults.py MOUNTPOINT [join]: a system call is made again and again, and its first, second, third... allocation or copy fails
(/proc/self/task/TID/fail-nth), until none is left that could. Each time it succeeds or says why not, and all works after it.
join: of a channel that is on another host."""
import errno
import fcntl
import gc
import os
import select
import struct
import sys
import threading

import vm
from vm import libc, ok, slurp, wait_until

ROOT = os.fsencode(sys.argv[1])
D = ROOT + b'/web'
KECHO_IOC_MODE = 1 << 30 | 4 << 16 | ord('k') << 8 | 1

nth = os.open('/proc/self/task/%d/fail-nth' % threading.get_native_id(), os.O_RDWR)
gc.disable()


def faulted(n, call):
    """What call() returned, or its OSError, with its nth fault; and whether there were so many."""
    os.pwrite(nth, b'%d' % n, 0)
    try:
        got = call()
    except OSError as e:
        got = e
    try:
        hit = os.pread(nth, 16, 0) == b'0\n'
        os.pwrite(nth, b'0', 0)
    except OSError as e:
        # It hit us.
        ok(e.errno == errno.EFAULT, e)
        hit = False
    return got, hit


def sweep(name, call, then, before=lambda: None, may=()):
    """then(result, None) or then(None, error) puts back what was before, or raises."""
    for n in range(1, 5000):
        before()
        got, hit = faulted(n, call)
        failed = got if isinstance(got, OSError) else None
        ok(hit or not failed, '%s failed by itself: %s' % (name, failed))
        ok(not failed or failed.errno in (errno.ENOMEM, errno.EFAULT) + may, '%s, fault %d: %s' % (name, n, failed))
        then(None if failed else got, failed)
        if not hit:
            print('# %s: %d faults' % (name, n - 1), flush=True)
            return
    ok(False, '%s: no end' % name)


def mount():
    vm.mount(ROOT, b'name=faults,listen=127.0.0.1:0')


def umount():
    vm.umount(ROOT)


class Mounted:
    def __enter__(self):
        mount()

    def __exit__(self, failed, *_):
        if not failed:
            umount()


class Channel(Mounted):
    """With one reader and one writer; at the end it must be possible to remove it, so nothing holds it."""
    def __init__(self, flags=0):
        self.flags = flags

    def __enter__(self):
        super().__enter__()
        os.mkdir(D)
        self.reader = os.open(D + b'/events', os.O_RDONLY | os.O_NONBLOCK | self.flags)
        self.writer = os.open(D + b'/events', os.O_WRONLY | self.flags)
        return self

    def __exit__(self, failed, *_):
        if not failed:
            os.close(self.reader)
            os.close(self.writer)
            os.rmdir(D)
        super().__exit__(failed)

    def get(self):
        """All that is queued."""
        got = b''
        while True:
            try:
                got += os.read(self.reader, 1 << 20)
            except BlockingIOError:
                return got

    def lost(self):
        return sum(int(f[5:]) for line in slurp(D + b'/members').split(b'\n') if line.startswith(b'  ')
                   for f in line.strip().split(b'\t') if f.startswith(b'lost='))

    def whole(self, want):
        """For sweep(): what write(2) said was written was read, or is counted as lost; of an error nothing was."""
        lost = [0]

        def then(n, e):
            got, missed = self.get(), self.lost() > lost[0]
            ok(got == b'' if e else got == want[:n] or missed, 'write said %s, was read: %s' % (e or n, got))
            if n is not None and n < len(want):
                # What went wrong behind the first line is told by the next write.
                try:
                    os.write(self.writer, b'three\n')
                    ok(missed, 'the rest of a write is missing, and nothing said so')
                except OSError:
                    pass
                self.get()
            self.works()
            lost[0] = self.lost()
        return then

    def works(self):
        os.write(self.writer, b'probe\n')
        ok(self.get().strip() == b'probe', 'the channel does not carry events any more')


def case_mount():
    # What socket(2) and bind(2) say without memory.
    sweep('mount', mount, lambda got, e: e or umount(), may=(errno.ENFILE, errno.EADDRINUSE))
    with Channel() as c:
        c.works()


def case_umount():
    def before():
        mount()
        os.mkdir(D)

    sweep('umount', umount, lambda got, e: e and umount(), before)


def case_mkdir():
    def undo(got, e):
        ok(os.path.exists(D) == (not e), 'mkdir said %s' % e)
        if not e:
            os.rmdir(D)
        ok(b'web' not in slurp(ROOT + b'/.node/channels'), 'the channel is still there')

    with Mounted():
        sweep('mkdir', lambda: os.mkdir(D), undo)


def case_rmdir():
    def again(got, e):
        ok(os.path.exists(D) == bool(e), 'rmdir said %s' % e)
        if e:
            os.rmdir(D)

    with Mounted():
        sweep('rmdir', lambda: os.rmdir(D), again, lambda: os.mkdir(D))


def case_type():
    t = D + b'/alarm'

    def undo(got, e):
        ok(os.path.exists(t) == (not e), 'mkdir said %s' % e)
        if not e:
            os.rmdir(t)

    with Channel() as c:
        sweep('mkdir of a type', lambda: os.mkdir(t), undo)
        os.mkdir(t)
        sweep('open of a type', lambda: os.open(t + b'/events', os.O_RDWR), lambda fd, e: e or os.close(fd))
        sweep('rmdir of a type', lambda: os.rmdir(t), lambda got, e: e and os.rmdir(t), lambda: os.path.exists(t) or os.mkdir(t))
        c.works()


def case_open():
    with Channel() as c:
        for name, flags in ('read', os.O_RDONLY), ('write', os.O_WRONLY), ('both', os.O_RDWR), ('packets', os.O_RDWR | os.O_DIRECT):
            sweep('open to ' + name, lambda: os.open(D + b'/events', flags), lambda fd, e: e or os.close(fd))
        for name in b'attrs', b'members', b'filter':
            sweep('open of ' + name.decode(), lambda: os.open(D + b'/' + name, os.O_RDONLY), lambda fd, e: e or os.close(fd))
        c.works()


def case_write():
    text = b'one\ntwo\n'
    for flags, what in (0, 'text'), (os.O_DIRECT, 'a packet'):
        with Channel(flags) as c:
            sweep('write of ' + what, lambda: os.write(c.writer, text), c.whole(text))
            os.set_blocking(c.writer, False)
            sweep('write of %s, nonblocking' % what, lambda: os.write(c.writer, text), c.whole(text))
    with Channel() as c:
        big = b'x' * 300000 + b'\n'
        sweep('write of a long line', lambda: os.write(c.writer, big), lambda n, e: (c.get(), reopen(c)))
        c.works()


def reopen(c):
    """Whatever part of a line was left."""
    os.close(c.writer)
    c.writer = os.open(D + b'/events', os.O_WRONLY)
    c.get()


def case_close():
    with Channel() as c:
        fds = []

        def before():
            fds.append(os.open(D + b'/events', os.O_RDWR))
            os.write(fds[-1], b'tail')

        sweep('close', lambda: os.close(fds.pop()), lambda got, e: ok(c.get() in (b'', b'tail\n'), 'another line'), before)
        c.works()


def case_attrs():
    with Channel() as c:
        fd = os.open(D + b'/attrs', os.O_RDWR)
        old, new = b'load=1\nzone=a\n', b'load=2\nzone=b\n'

        def then(n, e):
            now = slurp(D + b'/attrs')
            ok(all(x in now for x in (old if e else new).split()), 'not all or nothing: write said %s, attrs are %s' % (e or n, now))

        sweep('write of attrs', lambda: os.pwrite(fd, new, 0), then, lambda: os.pwrite(fd, old, 0))
        sweep('write of settings', lambda: os.pwrite(fd, b'kecho.retain=3\nkecho.queue=77\n', 0), lambda n, e: None,
              lambda: os.pwrite(fd, b'kecho.retain=\nkecho.queue=\n', 0))
        os.close(fd)
        fd = os.open(ROOT + b'/.node/config', os.O_WRONLY)
        sweep('write of config', lambda: os.pwrite(fd, b'queue=100\n', 0), lambda n, e: None)
        os.close(fd)
        c.works()


def case_filter():
    path = D + b'/filter'

    def chain():
        return slurp(path).count(b'\n')

    with Channel() as c:
        fd = os.open(path, os.O_WRONLY)

        def write(line):
            os.pwrite(fd, line, 0)

        def added(got, e):
            ok(chain() == (not e), 'write said %s, and there are %d filters' % (e, chain()))
            if not e:
                write(b'-0')

        def changed(got, e):
            ok(slurp(path).split(b'expr=')[1].strip(b'"\'\n') == (b'1 < 2' if e else b'2 < 3'), 'not all or nothing: %s' % slurp(path))
            write(b'=0 expr="1 < 2"')

        for line in b'type only=alarm', b'in expr expr="1 < 2"', b'in dedup size=4', b'least attr=load from=web', b'in sample every=2':
            sweep('filter: ' + line.decode(), lambda: write(line), added)
        write(b'in expr expr="1 < 2"')
        sweep('change of a filter', lambda: write(b'=0 expr="2 < 3"'), changed)
        sweep('write through a filter', lambda: os.write(c.writer, b'one\ntwo\n'), c.whole(b'one\ntwo\n'))
        sweep('removal of a filter', lambda: write(b'-0'), lambda got, e: ok(chain() == bool(e), 'neither removed nor there'),
              lambda: chain() or write(b'in expr expr="1 < 2"'))
        os.close(fd)
        c.works()


def case_read():
    buf = bytearray(100)
    text = b'one line of an event\n'

    def then(n, e):
        ok(e or bytes(buf[:n]) == text[:n], 'read %r' % bytes(buf[:n or 0]))
        got = c.get()
        ok(got.rstrip() == text[n or 0:].rstrip(), 'read said %s, then came %r' % (e or n, got))

    for flags, what in (0, 'text'), (os.O_DIRECT, 'a packet'):
        with Channel(flags) as c:
            sweep('read of ' + what, lambda: os.readv(c.reader, [buf]), then, lambda: os.write(c.writer, text))
    with Channel():
        for path in [D + b'/' + n for n in (b'attrs', b'members', b'filter')] + \
                    [ROOT + b'/.node/' + n for n in (b'config', b'peers', b'channels', b'stats')]:
            fd = os.open(path, os.O_RDONLY)
            sweep('read of ' + os.path.basename(path).decode(), lambda: os.preadv(fd, [buf], 0),
                  lambda n, e: ok(os.pread(fd, 100, 0)[:5] == slurp(path)[:5], 'another text afterwards'))
            os.close(fd)
        sweep('readdir', lambda: os.listdir(D), lambda names, e: ok(e or b'events' in names, names))
        sweep('stat', lambda: os.stat(D + b'/events'), lambda st, e: None)


def case_poll():
    with Channel() as c:
        p = select.poll()
        p.register(c.reader, select.POLLIN)
        sweep('poll', lambda: p.poll(0), lambda got, e: None)
        ep = select.epoll()
        sweep('epoll', lambda: ep.register(c.reader, select.EPOLLIN), lambda got, e: e or ep.unregister(c.reader),
              may=(errno.ENOSPC,))
        sweep('fasync', lambda: fcntl.fcntl(c.reader, fcntl.F_SETFL, os.O_NONBLOCK | os.O_ASYNC),
              lambda got, e: fcntl.fcntl(c.reader, fcntl.F_SETFL, os.O_NONBLOCK))
        sweep('ioctl', lambda: fcntl.ioctl(c.writer, KECHO_IOC_MODE, struct.pack('=I', 0)), lambda got, e: None)
        inotify = libc.inotify_init()

        def watch():
            wd = libc.inotify_add_watch(inotify, D, 2)
            return vm.checked(wd)

        sweep('inotify', watch, lambda wd, e: e or libc.inotify_rm_watch(inotify, wd), may=(errno.ENOSPC,))
        c.works()


def case_rings():
    with Channel() as c:
        sweep('open of /dev/kecho', vm.Rings, lambda r, e: e or r.close())
        made = []

        def before():
            made.append(vm.Rings())

        def then(got, e):
            r = made.pop()
            if e:
                r.attach(both)
            r.close()
            c.works()

        both = os.open(D + b'/events', os.O_RDWR)
        sweep('attach', lambda: made[0].attach(both), then, before)
        os.close(both)
        r = vm.Rings()
        r.attach(c.writer)
        # Not left to the next one: to unmap is not to fail, or the rings would stay.
        sweep('mmap', r.map, lambda got, e: e or r.mem.close())
        r.map()
        lost = [0]

        def taken(got, e):
            r.kick()
            got, missed = c.get(), c.lost() > lost[0]
            ok(got == b'x\n' or (got == b'' and missed), 'of a kick that said %s came %s' % (e, got))
            lost[0] = c.lost()

        sweep('kick', r.kick, taken, lambda: r.put(b'x'))
        r.close()
        c.works()


def case_join():
    """In the end the members see each other, whatever failed."""
    vm.cable()
    vm.node_on(ROOT + b'2', 2)
    other = ROOT + b'2/web'
    os.mkdir(other)
    far = os.open(other + b'/events', os.O_RDONLY | os.O_NONBLOCK)
    vm.node_on(ROOT, 1, b',peer=10.77.0.2')

    def are(n):
        return len(vm.members(other)) == n and (n == 1 or len(vm.members(D)) == n)

    def arrives():
        with open(D + b'/events', 'wb', 0) as f:
            f.write(b'hello\n')
        try:
            return b'hello' in os.read(far, 1 << 16)
        except BlockingIOError:
            return False

    def then(got, e):
        ok(os.path.exists(D) == (not e), 'mkdir said %s' % e)
        if e:
            return
        wait_until(lambda: are(2), 'the members do not find each other')
        wait_until(arrives, 'no event arrives')
        os.rmdir(D)
        wait_until(lambda: are(1), 'a member that left is still there')

    sweep('mkdir with a remote member', lambda: os.mkdir(D), then)
    os.mkdir(D)
    wait_until(lambda: are(2), 'the members do not find each other')
    fd = os.open(D + b'/events', os.O_WRONLY)
    sweep('write to a remote member', lambda: os.write(fd, b'event\n'), lambda n, e: None)
    os.close(fd)
    wait_until(lambda: are(2), 'the members have lost each other')
    wait_until(arrives, 'no event arrives')
    sweep('rmdir with a remote member', lambda: os.rmdir(D), lambda got, e: e and os.rmdir(D),
          lambda: os.path.exists(D) or os.mkdir(D))
    wait_until(lambda: are(1), 'a member that left is still there')
    os.close(far)


if len(sys.argv) > 2:
    case_join()
else:
    for name in [n for n in globals() if n.startswith('case_') and n != 'case_join']:
        globals()[name]()
