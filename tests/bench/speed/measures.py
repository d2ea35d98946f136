# SPDX-License-Identifier: MIT
"""What is measured of one proxy that is up: costs of its process, in its own accounts, per unit of work."""
import math
import re
import resource
import socket
import subprocess
import time
from dataclasses import dataclass

from processes import Failed, anonymous_bytes, cpu_seconds
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

    def cpu(self):
        return cpu_seconds(self.process.pid) if self.process else 0.0


def load(target, seconds, connections, path, close=False):
    """Runs wrk; returns (requests, MiB received, CPU seconds of the proxy). Raises Failed on any error."""
    before = target.cpu()
    headers = ["-H", "Connection: close"] if close else []
    text = _output(target, ["wrk", "-t1", f"-c{connections}", f"-d{seconds}s", *headers,
                            f"http://127.0.0.1:{target.port}/{path}"])
    errors = re.search(r"Socket errors.*|Non-2xx.*", text)
    # wrk calls it a read error when a server closes as it was asked to.
    if errors and not (close and re.search(r"connect 0, read \d+, write 0, timeout 0", errors[0])):
        raise Failed(f"wrk: {errors[0]}")
    requests = int(re.search(r"(\d+) requests in", text)[1])
    amount, unit = re.search(r"([\d.]+)([KMG]?)B read", text).groups()
    return requests, float(amount) * MIB[unit], target.cpu() - before


def request_cpu(target, seconds, connections):
    requests, _, cpu = load(target, seconds, connections, "0")
    return {"cpu_us": 1e6 * cpu / requests, "rate": requests / seconds}


def connection_cpu(target, seconds):
    connections, _, cpu = load(target, seconds, 64, "0", close=True)
    return {"cpu_us": 1e6 * cpu / connections, "rate": connections / seconds}


def bulk_cpu(target, seconds, number):
    size = list(proxies.SIZES.values())[number]
    _, mib, cpu = load(target, seconds, 2 if size > 1 << 24 else 8, str(number))
    return {"cpu_us": 1e6 * cpu / mib, "rate": mib / seconds}


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
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    resource.setrlimit(resource.RLIMIT_NOFILE, (hard, hard))
    time.sleep(0.5)
    before = anonymous_bytes(target.process.pid)
    clients = []
    try:
        for i in range(count):
            clients.append(socket.create_connection(("127.0.0.1", target.port), 10))
            # One exchange each: a connection counts as idle once it has been used.
            clients[-1].sendall(b"GET /0 HTTP/1.1\r\nHost: x\r\n\r\n")
            _read_answer(clients[-1])
        time.sleep(1)
        memory = anonymous_bytes(target.process.pid) - before
        cpu = target.cpu()
        time.sleep(seconds)
        cpu = target.cpu() - cpu
    finally:
        for client in clients:
            client.close()
        resource.setrlimit(resource.RLIMIT_NOFILE, (soft, hard))
    return {"bytes": memory / count, "cpu_percent": 100 * cpu / seconds}


def _read_answer(client):
    answer = b""
    while b"\r\n\r\n" not in answer or len(answer.partition(b"\r\n\r\n")[2]) < 1024:
        piece = client.recv(4096)
        if not piece:
            raise Failed("an idle connection was closed")
        answer += piece


def _output(target, command):
    process = target.processes.start("load", command, core=LOAD_CORE, real_time=target.real_time,
                                     stdout=subprocess.PIPE)
    output, _ = process.communicate(timeout=300)
    target.processes.running.remove(process)
    if process.returncode != 0:
        raise Failed(f"{command[0]} failed:\n{target.processes.log('load')}")
    return output.decode()
