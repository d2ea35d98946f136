# SPDX-License-Identifier: MIT
"""What is measured of one proxy that is up: costs of its process, in its own accounts, per unit of work."""
import contextlib
import math
import re
import resource
import socket
import subprocess
import time
from dataclasses import dataclass

from processes import Failed, anonymous_bytes, cpu_seconds, machine_seconds
from speed import proxies

LOAD_CORE = 1
MIB = {"": 2.0 ** -20, "K": 2.0 ** -10, "M": 1.0, "G": 1024.0}  # units of wrk


@dataclass
class Target:
    """A proxy that is up; process is None where clients reach the backend directly."""
    process: object
    port: int
    processes: object
    real_time: bool
    load_core: int = LOAD_CORE  # None: any

    def cpu(self):
        return cpu_seconds(self.process.pid) if self.process else 0.0


@dataclass
class Work:
    """What was done in a run of load, and what it took."""
    requests: int
    mib: float
    cpu: float      # seconds of the proxy
    machine: float  # seconds of everything on this machine


def load(target, seconds, connections, path, close=False):
    """Runs wrk. Raises Failed on any error."""
    before, machine = target.cpu(), machine_seconds()
    headers = ["-H", "Connection: close"] if close else []
    text = _output(target, ["wrk", "-t1", f"-c{connections}", f"-d{seconds}s", *headers,
                            f"http://127.0.0.1:{target.port}/{path}"])
    errors = re.search(r"Socket errors.*|Non-2xx.*", text)
    # wrk calls it a read error when a server closes as it was asked to.
    if errors and not (close and re.search(r"connect 0, read \d+, write 0, timeout 0", errors[0])):
        raise Failed(f"wrk: {errors[0]}")
    requests = int(re.search(r"(\d+) requests in", text)[1])
    if requests == 0:
        raise Failed("wrk got no answer")
    amount, unit = re.search(r"([\d.]+)([KMG]?)B read", text).groups()
    return Work(requests, float(amount) * MIB[unit], target.cpu() - before, machine_seconds() - machine)


def request_cpu(target, seconds, connections):
    return _each(load(target, seconds, connections, "0"), seconds)


def connection_cpu(target, seconds, beside=0, at_once=64):
    """Connections of one request each, while so many others are open and idle."""
    with idle_clients(target, beside):
        return _each(load(target, seconds, at_once, "0", close=True), seconds)


def _each(work, seconds):
    return {"cpu_us": 1e6 * work.cpu / work.requests, "machine_us": 1e6 * work.machine / work.requests,
            "rate": work.requests / seconds}


def bulk_cpu(target, seconds, number):
    size = list(proxies.SIZES.values())[number]
    work = load(target, seconds, 2 if size > 1 << 24 else 8, str(number))
    return {"cpu_us": 1e6 * work.cpu / work.mib, "machine_us": 1e6 * work.machine / work.mib,
            "rate": work.mib / seconds}


def latency(target, seconds, rate):
    """Percentiles of the response time at so many requests a second over 64 connections."""
    log = target.processes.folder / "requests.tsv"
    log.unlink(missing_ok=True)
    text = _output(target, ["h2load", "--h1", "-t1", "-c64", f"--rps={max(1, round(rate / 64))}", f"-D{seconds}",
                            f"--log-file={log}", f"http://127.0.0.1:{target.port}/0"])
    failed = re.search(r"(\d+) failed, (\d+) errored, (\d+) timeout", text)
    if not failed or any(int(count) for count in failed.groups()):
        raise Failed(f"h2load: {text[-300:]}")
    times = sorted(int(line.split()[2]) for line in log.read_text().splitlines())
    return {f"{name}_us": times[math.ceil(share * len(times)) - 1]
            for name, share in (("p50", 0.5), ("p99", 0.99), ("p999", 0.999))}


def idle(target, count, seconds):
    """Memory of a connection on which nothing happens, and CPU of so many, as a share of a core."""
    time.sleep(0.5)
    before = anonymous_bytes(target.process.pid)
    with idle_clients(target, count):
        time.sleep(1)
        memory = anonymous_bytes(target.process.pid) - before
        cpu = target.cpu()
        time.sleep(seconds)
        cpu = target.cpu() - cpu
    return {"bytes": memory / count, "cpu_percent": 100 * cpu / seconds}


def checking(target):
    """CPU of health checks alone, as a share of a core."""
    time.sleep(proxies.CHECK_SECONDS)  # the first ones come close together
    cpu = target.cpu()
    time.sleep(proxies.CHECK_SECONDS)
    return {"cpu_percent": 100 * (target.cpu() - cpu) / proxies.CHECK_SECONDS}


@contextlib.contextmanager
def idle_clients(target, count):
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    resource.setrlimit(resource.RLIMIT_NOFILE, (hard, hard))
    clients = []
    try:
        for _ in range(count):
            clients.append(socket.create_connection(("127.0.0.1", target.port), 10))
            # One exchange each: a connection counts as idle once it has been used.
            clients[-1].sendall(b"GET /0 HTTP/1.1\r\nHost: x\r\n\r\n")
            _read_answer(clients[-1])
        yield
    finally:
        for client in clients:
            client.close()
        resource.setrlimit(resource.RLIMIT_NOFILE, (soft, hard))


def _read_answer(client):
    answer = b""
    while b"\r\n\r\n" not in answer or len(answer.partition(b"\r\n\r\n")[2]) < 1024:
        piece = client.recv(4096)
        if not piece:
            raise Failed("an idle connection was closed")
        answer += piece


def _output(target, command):
    process = target.processes.start("load", command, core=target.load_core, real_time=target.real_time,
                                     stdout=subprocess.PIPE)
    output, _ = process.communicate(timeout=300)
    target.processes.running.remove(process)
    if process.returncode != 0:
        raise Failed(f"{command[0]} failed:\n{target.processes.log('load')}")
    return output.decode()
