# SPDX-License-Identifier: GPL-2.0
"""netns.py DIRECTORY CASE: network namespaces that are deleted under traffic. This process is on host 1, whose node publishes and
reads all the while, connected with host 2's."""
import os
import signal
import sys

import vm
from vm import Publisher, Reader, ok, slurp, wait_until

H1, H2 = (os.fsencode(sys.argv[1]) + h for h in (b'/h1', b'/h2'))
WEB1, WEB2 = H1 + b'/web', H2 + b'/web'
ROUNDS = 3
PEER = b',peer=10.77.0.1'


def cut_off():
    """Nothing holds host 2's network any more: its end of the cable has gone, and so has ours."""
    return b'eth0' not in slurp('/proc/thread-self/net/dev')


def processes():
    """The namespace goes with the processes, the mount and the traffic in it."""
    ready, here = os.pipe()

    def host2():
        os.setsid()
        vm.enter(2)
        vm.checked(vm.libc.unshare(vm.CLONE_NEWNS))
        vm.checked(vm.libc.mount(None, b'/', None, vm.MS_PRIVATE_ALL, None))
        vm.node(H2, 2, PEER)
        os.mkdir(WEB2)
        Publisher(WEB2, b'h2')
        for _ in range(2):
            vm.in_child(lambda: slurp(WEB2 + b'/events'))
        Reader(WEB2).flows(b'h1')
        os.write(here, b'!')
        signal.pause()

    pid = vm.in_child(host2)
    os.read(ready, 1)
    reader.flows(b'h2')
    os.killpg(pid, signal.SIGKILL)
    vm.delete(2)
    os.waitpid(pid, 0)
    os.close(ready)
    os.close(here)


def mount():
    """It lives as long as the mount."""
    vm.node_on(H2, 2, PEER)
    os.mkdir(WEB2)
    p, r = Publisher(WEB2, b'h2'), Reader(WEB2)
    vm.delete(2)
    r.flows(b'h1')
    reader.flows(b'h2')
    ok(not cut_off(), 'the namespace has gone before its mount')
    vm.umount(H2, vm.MNT_DETACH)
    p.stop()
    r.close()


def cable():
    """What it has to say yet goes nowhere: its socket may neither live for ever nor outlive its network."""
    def retries():
        with open('/proc/sys/net/ipv4/tcp_orphan_retries', 'w') as f:
            f.write('1\n')

    retries()
    vm.done(vm.in_child(lambda: (vm.enter(2), retries())))
    vm.node_on(H2, 2, PEER)
    os.mkdir(WEB2)
    r = Reader(WEB2)
    r.flows(b'h1')
    vm.ip('link set eth0 down')
    with open(WEB2 + b'/events', 'wb', 0) as f:
        f.write(b'last\n')
    r.close()
    vm.umount(H2)
    vm.delete(2)


def orphans():
    return int(slurp('/proc/net/sockstat').split(b' orphan ')[1].split()[0])


for i in range(ROUNDS):
    vm.cable()
    vm.enter(1)
    vm.node(H1, 1)
    os.mkdir(WEB1)
    reader, publisher = Reader(WEB1), Publisher(WEB1, b'h1')
    globals()[sys.argv[2]]()
    wait_until(cut_off, 'the network namespace has not gone', 60)
    reader.flows(b'h1')
    wait_until(lambda: vm.members(WEB1) == [b'h1'], 'the member has not gone')
    reader.flows(b'h1')
    publisher.stop()
    reader.close()
    vm.umount(H1)
    vm.delete(1)
    wait_until(lambda: not orphans(), 'sockets without an owner', 60)
