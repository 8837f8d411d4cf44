# SPDX-License-Identifier: GPL-2.0
"""garbage.py LISTEN TARGET...: a peer that breaks the protocol in every way, towards who calls LISTEN and at each TARGET
(ADDR:PORT). Status 0 if every connection was cut off in time."""
import concurrent.futures
import os
import random
import select
import socket
import struct
import sys
import time

SLOW = int(os.environ.get("KECHO_SLOW", "1"))
LIMIT = 12 + 3 * SLOW	# seconds; longer than a node waits for a hello and then for a heartbeat
AT_ONCE = 32	# fewer than a node takes that have not said hello

random.seed(7325)
rand = random.randbytes


def addr(s):
    host, port = s.rsplit(':', 1)
    return host, int(port)


def reap(waiting, stay):
    """Takes out of {socket: (until when, what)} those that the other side has closed, and what has not been in time."""
    for s in select.select(list(waiting), [], [], 0.2)[0]:
        try:
            more = s.recv(65536)
        except OSError:
            more = b''
        if not more:
            del waiting[s]
            s.close()
    for s, (end, what) in list(waiting.items()):
        if time.monotonic() > end:
            stay.append(what)
            del waiting[s]
            s.close()


def cases(hello):
    head, body = hello[:24], hello[24:]
    yield 'nothing', b''
    yield 'http', b'GET / HTTP/1.0\r\n\r\n'
    for c in b'\0', b'\xff', b'\n':
        yield 'all %r' % c, c * 4096
    for n in 1, 3, 4, 23, 24, 100, 5000, 100000:
        yield 'random %d' % n, rand(n)
    for n in 1, 4, 23, 24, 25, len(hello) - 1:
        yield 'hello cut at %d' % n, hello[:n]
    for n in 0, 1, len(body) - 1, len(body) + 1, 1 << 20, 16 << 20, 0x7fffffff, 0x80000000, 0xffffffff:
        yield 'hello says length %d' % n, struct.pack('<I', n) + hello[4:] + rand(64)
    for i in range(len(hello)):
        yield 'hello with byte %d wrong' % i, hello[:i] + bytes([hello[i] ^ 1 << i % 8]) + hello[i + 1:]
    for kind in range(48):
        rec = struct.pack('<IBBHQQ', 40, kind, 0, 0, 1, 0) + rand(40)
        yield 'record %d first' % kind, rec
        yield 'record %d' % kind, hello + rec
        yield 'empty record %d' % kind, hello + struct.pack('<IBBHQQ', 0, kind, 0, 0, 1, 0)
    yield 'hello and a huge record', hello + struct.pack('<IBBHQQ', 0xffffffff, 39, 0, 0, 1, 0)
    yield 'hello and an ack of the future', hello + struct.pack('<IBBHQQ', 0, 5, 0, 0, 0, 1 << 60)
    yield 'hello twice', hello + hello
    yield 'hello and a flood', hello + rand(1 << 18)


def attack(target, hello, stay):
    waiting, n = {}, 0
    for what, data in cases(hello):
        while len(waiting) >= AT_ONCE:
            reap(waiting, stay)
        s = socket.create_connection(target, 5)
        s.settimeout(5)
        try:
            s.sendall(data)
        except OSError:
            pass
        waiting[s] = time.monotonic() + LIMIT, '%s:%d: %s' % (*target, what)
        n += 1
    while waiting:
        reap(waiting, stay)
    for _ in range(50):		# gone before they are looked at
        s = socket.create_connection(target, 5)
        s.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack('ii', 1, 0))
        s.send(hello[:random.randrange(len(hello))])
        s.close()
        n += 1
    print('%s:%d: %d malformed connections' % (*target, n), flush=True)


def main():
    stay = []
    server = socket.create_server(addr(sys.argv[1]))
    server.settimeout(30)
    print('listening', flush=True)
    hello = b''
    # A node may take its own hello for a call to itself and not call again: that one comes last.
    for what in 'garbage', 'random', 'a cut hello', 'a huge hello', 'its own hello':
        s, _ = server.accept()
        s.settimeout(5)
        hello = s.recv(65536)
        reply = {'garbage': b'\xff' * 4096, 'random': rand(500), 'a cut hello': hello[:20],
                 'a huge hello': struct.pack('<I', 0xfffffff0) + hello[4:], 'its own hello': hello}[what]
        waiting = {s: (time.monotonic() + LIMIT, 'who called, after ' + what)}
        try:
            s.sendall(reply)
        except OSError:
            pass
        while waiting:
            reap(waiting, stay)
    server.close()
    print('a hello of %d bytes' % len(hello), flush=True)
    with concurrent.futures.ThreadPoolExecutor() as pool:
        for attacks in [pool.submit(attack, addr(t), hello, stay) for t in sys.argv[2:]]:
            attacks.result()
    for what in stay:
        print('not cut off:', what)
    return bool(stay)


sys.exit(main())
