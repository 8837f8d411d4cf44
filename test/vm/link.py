# SPDX-License-Identifier: GPL-2.0
"""link.py DIRECTORY: a link is cut and restored under traffic: nothing is lost, nothing comes twice."""
import os
import re
import subprocess
import sys
import time

import vm
from vm import Publisher, Reader, ok, slurp, wait_until

H1, H2 = (os.fsencode(sys.argv[1]) + h for h in (b'/h1', b'/h2'))
WEB1, WEB2 = H1 + b'/web', H2 + b'/web'


def resumes():
    return int(slurp(H1 + b'/.node/stats').split(b'\nresumes=')[1].split()[0])


def reset(host, other):
    subprocess.run(['ip', 'netns', 'exec', 'host%d' % host, 'ss', '-K', 'dst', '10.77.0.%d' % other], stdout=subprocess.DEVNULL)


def outage(host):
    """Nor can a connection be made anew."""
    vm.ip('link set eth0 down', host='host%d' % host)
    reset(host, 3 - host)
    time.sleep(1)
    vm.ip('link set eth0 up', host='host%d' % host)


vm.cable()
vm.node_on(H1, 1, heartbeat=2000)
vm.node_on(H2, 2, b',peer=10.77.0.1', heartbeat=2000)
os.mkdir(WEB1)
os.mkdir(WEB2)
wait_until(lambda: len(vm.members(WEB1)) == 2, 'no member')
with open(WEB1 + b'/attrs', 'wb', 0) as f:
    f.write(b'kecho.overflow=block\n')
wait_until(lambda: b'kecho.overflow=block\n' in slurp(WEB2 + b'/attrs'), 'the setting does not arrive')
reader = Reader(WEB2)
wait_until(lambda: b'\tsinks=1\t' in slurp(WEB1 + b'/members'), 'the sink is not known')
p = Publisher(WEB1, b'h1', pause=0)
for cut in [lambda: reset(1, 2), lambda: outage(2), lambda: reset(2, 1), lambda: outage(1)] * (2 if vm.SLOW < 10 else 1):
    before, had = resumes(), len(reader.poll().lines)
    cut()
    wait_until(lambda: len(reader.poll().lines) > had and resumes() > before, 'no event comes any more')
    print('# %d events, %d resumes' % (len(reader.lines), resumes()), flush=True)
p.going = False
wait_until(lambda: len(reader.poll().lines) >= p.n and not p.is_alive(), 'events are missing')
ok(reader.lines == [b'h1 %d\n' % (n + 1) for n in range(p.n)], 'not the events that were published')
ok(re.search(rb'\tnode=h1\t.*\tlost=0(\t|$)', slurp(WEB2 + b'/members'), re.M), 'something counted as lost')
reader.close()
