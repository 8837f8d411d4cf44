# SPDX-License-Identifier: GPL-2.0
# drive.py RATE COUNT METHOD HOST...: COUNT requests, RATE a second however slow the answers are, to the hosts in turn. For each a line:
# host, number, status (0: no answer), milliseconds, and who has served it.
import concurrent.futures, http.client, sys, time

rate, count, method, hosts = float(sys.argv[1]), int(sys.argv[2]), sys.argv[3], sys.argv[4:]
start = time.monotonic()


def one(i):
    host, begun = hosts[i % len(hosts)], time.monotonic()
    status, served = 0, "-"
    try:
        c = http.client.HTTPConnection(host, 80, timeout=20)
        c.request(method, f"/name?{i}", b"data" if method == "POST" else None)
        answer = c.getresponse()
        answer.read()
        status, served = answer.status, answer.headers.get("X-Kecho-Served-By", "-")
    except (OSError, http.client.HTTPException):
        pass
    return f"h{host.rsplit('.', 1)[1]} {i} {status} {(time.monotonic() - begun) * 1000:.0f} {served}"


def at(i):
    time.sleep(max(0, start + i / rate - time.monotonic()))
    return i


with concurrent.futures.ThreadPoolExecutor(200) as pool:
    for line in [pool.submit(one, at(i)) for i in range(count)]:
        print(line.result(), flush=True)
