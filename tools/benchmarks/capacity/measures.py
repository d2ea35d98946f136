# SPDX-License-Identifier: MIT
"""What a balancer holds: memory of its process and of the kernel for its connections, idle ones and such whose clients
do not read."""
import contextlib
import pathlib
import re
import resource
import socket
import time

from processes import anonymous_bytes, family
from speed import measures

LARGE = b"GET /3 HTTP/1.1\r\nHost: x\r\n\r\n"  # 100 MiB
SOCKETS = 4  # of a connection on this machine: client, balancer's two, backend


def at_rest(target, seconds):
    """Of a process that has nothing to do but check its backends."""
    time.sleep(1)
    cpu = target.cpu()
    time.sleep(seconds)
    return {"anonymous": anonymous_bytes(target.process.pid), "resident": resident_bytes(target.process.pid),
            "cpu_percent": 100 * (target.cpu() - cpu) / seconds}


def idle(target, count):
    """Bytes of each of so many connections, on which nothing happens after a first exchange."""
    before = _now(target)
    with measures.idle_clients(target, count):
        time.sleep(1)
        return _each(before, _now(target), count)


def slow(target, count, seconds):
    """Bytes of each of so many connections whose backend has 100 MiB to send and whose client reads nothing."""
    before = _now(target)
    with contextlib.ExitStack() as clients:
        for _ in range(count):
            client = clients.enter_context(socket.create_connection(("127.0.0.1", target.port), 10))
            client.sendall(LARGE)
        time.sleep(seconds)
        return _each(before, _now(target), count)


def resident_bytes(pid):
    """Of the balancer and its supervisor; what both map counts twice."""
    pages = (pathlib.Path(f"/proc/{one}/statm").read_text().split()[1] for one in family(pid))
    return sum(map(int, pages)) * resource.getpagesize()


def _now(target):
    """(of the process, of the kernel): what sockets are made of, and what waits in them."""
    slab = re.search(r"^SUnreclaim:\s+(\d+)", pathlib.Path("/proc/meminfo").read_text(), re.MULTILINE)
    pages = re.search(r"^TCP:.* mem (\d+)", pathlib.Path("/proc/net/sockstat").read_text(), re.MULTILINE)
    return anonymous_bytes(target.process.pid), int(slab[1]) * 1024, int(pages[1]) * 4096


def _each(before, after, count):
    process, slab, queued = (max(0, now - then) / count for then, now in zip(before, after))
    return {"process": process, "sockets": slab * 2 / SOCKETS, "queued": queued * 2 / SOCKETS}
