# SPDX-License-Identifier: MIT
"""Forwarding by the kernel beside relays: client, proxy and web server in network namespaces that veth pairs join, and
what the whole machine works for a request and for a connection, since the kernel's part is in nobody's account. All
proxies are up at once and are measured by turns; "timed" is the one of "kernel" while it times exchanges. Then, of
forwarding alone, what many flows at once take."""
import contextlib
import json
import pathlib
import re
import statistics
import tempfile
import time

import namespaces
from kernel import crowd
from kernel.exchanges import Exchanges
from processes import Failed, Processes, anonymous_bytes, cpu_seconds, machine_seconds
from speed import proxies

PORTS = {"kernel": 9001, "relay": 9002, "HAProxy": 9003, "nginx": 9004}
BACKEND = "10.77.2.2"
# Each has its own: connections of two come from the same ports of the same address, and in TIME_WAIT one is in the way of
# the other.
BACKEND_PORTS = {"direct": 8000, "kernel": 8001, "relay": 8002, "HAProxy": 8003, "nginx": 8004}
KEPT, LONE, FRESH = "request, 64 connections", "request, 1 connection", "connection"
LOADS = {KEPT: (64, False), LONE: (1, False), FRESH: (64, True)}
CROWD = 100_000
MOST_BYTES = 256  # of the process, for a flow
MOST_IDLE = 1.0   # percent of a core, with all flows at rest
REST = 60         # seconds, in which conntrack is asked about all of them at least once


def add_options(parser):
    group = parser.add_argument_group("kernel")
    group.add_argument("--kernel", action="store_true",
                       help="instead: forwarding by the kernel beside relays, in network namespaces; wants root")
    group.add_argument("--flows", type=int, default=CROWD, metavar="N",
                       help=f"so many at once (default: {CROWD:,}; 0: none)")


def main(options, build, out):
    """Returns 0 where every target holds."""
    rounds, seconds = options.rounds or (2 if options.quick else 7), options.seconds or (1 if options.quick else 3)
    try:
        namespaces.enter()
    except namespaces.Skip as why:
        raise Failed(f"--kernel: {why}") from why
    namespaces.Network(1)
    crowded = many_flows(build, options.flows) if options.flows else {}
    taken = {}
    with stand(build) as (running, exchanges):
        everyone = ["direct", *running, *(["timed"] if exchanges.can_be_timed() else [])]
        for number in range(rounds):
            for what, (connections, close) in LOADS.items():
                first = number % len(everyone)
                for who in everyone[first:] + everyone[:first]:
                    with exchanges.timed() if who == "timed" else contextlib.nullcontext():
                        values = measure(who, seconds, connections, close)
                    taken.setdefault(what, {}).setdefault(who, []).append(values)
                    shown = ", ".join(f"{key} {value:,.1f}" for key, value in values.items())
                    print(f"{time.strftime('%H:%M:%S')} {what:24} {who:10} {shown}", flush=True)
    results = {"rounds": rounds, "seconds": seconds, "samples": taken, "crowd": crowded}
    out.mkdir(parents=True, exist_ok=True)
    (out / "kernel.json").write_text(json.dumps(results, indent=1))
    (out / "kernel.md").write_text(table(taken))
    verdicts = list(judge(taken, crowded))
    print("\n" + table(taken) + "\n" + "\n".join(f"{'holds ' if holds else 'MISSED'}  {text}" for text, holds in verdicts))
    print(f"\nIn {out}: kernel.json, kernel.md")
    return 0 if all(holds for _, holds in verdicts) else 1


def inside(namespace, command):
    return ["ip", "netns", "exec", namespace, *command]


@contextlib.contextmanager
def stand(build):
    """The proxies, each with one worker, and the web server; gives the process of each proxy by name, and Exchanges."""
    with tempfile.TemporaryDirectory(prefix="lemonade-bench-") as name, Processes(name) as processes:
        folder = pathlib.Path(name)
        folder.chmod(0o755)  # nginx workers are somebody else
        processes.start("backend", inside("b0", proxies.backend(folder, list(BACKEND_PORTS.values()), BACKEND)), real_time=False)
        running = {}
        for who, port in PORTS.items():
            own = folder / who
            own.mkdir(mode=0o755)
            running[who] = processes.start(who, inside("lb", command(who, build, own, port)), real_time=False)
        for who in running:
            _await(who, running[who], processes)
        yield running, Exchanges(running["kernel"], folder / "kernel/lemonade.toml", lambda: processes.log("kernel"))


def command(who, build, folder, port):
    if who in ("kernel", "relay"):
        return lemonade(build, folder, port, who, '[kernel]\nexchanges = "off"\n')
    prepare = {"HAProxy": proxies.haproxy, "nginx": proxies.nginx}[who]
    return prepare(folder, port, [BACKEND_PORTS[who]], 1, namespaces.LISTENER, BACKEND)


def lemonade(build, folder, port, forward, more=""):
    file = folder / "lemonade.toml"
    file.write_text(f'[runtime]\nworkers = 1\nsupervisor = "off"\n[admin]\nlisten_address = ""\n[proxy]\n'
                    f'listen_address = "{namespaces.LISTENER}:{port}"\nforward = "{forward}"\n'
                    f'max_connections = 200000\n[health]\nchecker = "none"\n{more}'
                    f'[[backends]]\nid = "a"\naddress = "{BACKEND}:{BACKEND_PORTS[forward]}"\n')
    return [build / "bin/lemonade", "lb", "--config", file]


def address(who):
    return (BACKEND, BACKEND_PORTS[who]) if who == "direct" else (namespaces.LISTENER, PORTS.get(who, PORTS["kernel"]))


def _await(who, process, processes):
    host, port = address(who)
    deadline = time.monotonic() + 10
    while time.monotonic() < deadline and process.poll() is None:
        said = namespaces.run("curl", "--silent", "--max-time", "1", "--output", "/dev/null", "--write-out",
                              "%{http_code}", f"http://{host}:{port}/0", namespace="client", check=False)
        if said == "200":
            return
        time.sleep(0.05)
    raise Failed(f"{who} did not come up; its log:\n{processes.log(who)}")


def measure(who, seconds, connections, close):
    host, port = address(who)
    headers = ["-H", "Connection: close"] if close else []
    before = machine_seconds()
    text = namespaces.run("wrk", "-t1", f"-c{connections}", f"-d{seconds}s", "--latency", *headers,
                          f"http://{host}:{port}/0", namespace="client")
    worked = machine_seconds() - before
    errors = re.search(r"Socket errors: connect (\d+), read \d+, write (\d+), timeout (\d+)|Non-2xx.*", text)
    if errors and not (close and errors[1] == errors[2] == errors[3] == "0"):
        raise Failed(f"{who}: wrk: {errors[0]}")
    requests = int(re.search(r"(\d+) requests in", text)[1])
    middle, unit = re.search(r"50%\s+([\d.]+)(us|ms|s)", text).groups()
    return {"machine_us": 1e6 * worked / requests, "rate": requests / seconds,
            "p50_us": float(middle) * {"us": 1, "ms": 1e3, "s": 1e6}[unit]}


def many_flows(build, count):
    """Memory and CPU of the process while so many connections are there and at rest."""
    with tempfile.TemporaryDirectory(prefix="lemonade-bench-") as name, Processes(name) as processes:
        folder = pathlib.Path(name)
        ports = crowd.ports(count)
        tables = "".join(f'[[backends]]\nid = "{port}"\naddress = "{BACKEND}:{port}"\n' for port in ports)
        process = processes.start("kernel", inside("lb", lemonade(build, folder, PORTS["kernel"], "kernel")[:-1]
                                                   + [_with(folder, tables)]), real_time=False)
        with crowd.backends(processes, ports):
            namespaces.eventually(lambda: crowd.reaches(namespaces.LISTENER, PORTS["kernel"]))
            before = anonymous_bytes(process.pid)
            with crowd.clients(processes, namespaces.LISTENER, PORTS["kernel"], count) as connected:
                time.sleep(2)
                memory = anonymous_bytes(process.pid) - before
                cpu = cpu_seconds(process.pid)
                time.sleep(REST)
                cpu = cpu_seconds(process.pid) - cpu
    values = {"flows": connected, "bytes": memory / max(connected, 1), "cpu_percent": 100 * cpu / REST}
    print(f"{time.strftime('%H:%M:%S')} many flows               kernel     "
          + ", ".join(f"{key} {value:,.1f}" for key, value in values.items()), flush=True)
    return values


def _with(folder, tables):
    file = folder / "lemonade.toml"
    text = file.read_text()
    file.write_text(text[:text.index("[[backends]]")] + tables)
    return file


def middle(taken, what, who, key):
    return statistics.median(values[key] for values in taken[what][who])


def table(taken):
    rows = ["| | whole machine, us | a second | p50, us |", "|---|---|---|---|"]
    for what, contenders in taken.items():
        rows += [f"| {what}: {who} | {middle(taken, what, who, 'machine_us'):.1f} | {middle(taken, what, who, 'rate'):,.0f} "
                 f"| {middle(taken, what, who, 'p50_us'):.0f} |" for who in contenders]
    return "\n".join(rows) + "\n"


def judge(taken, crowded):
    """Texts, and whether each holds."""
    for what, key, most in ((KEPT, "machine_us", 0.65), (LONE, "p50_us", 0.6), (FRESH, "machine_us", 0.7)):
        ratio = middle(taken, what, "kernel", key) / middle(taken, what, "HAProxy", key)
        yield f"{what}, {key}: {ratio:.2f} of HAProxy, at most {most}", ratio <= most
    ratio = middle(taken, KEPT, "kernel", "rate") / middle(taken, KEPT, "HAProxy", "rate")
    yield f"{KEPT}, a second: {ratio:.2f} times HAProxy, at least 1.5", ratio >= 1.5
    if crowded:
        yield (f"memory of the process for a flow: {crowded['bytes']:.0f} bytes with {crowded['flows']:,} flows, at most "
               f"{MOST_BYTES}"), crowded["bytes"] <= MOST_BYTES
        yield (f"CPU of the process at rest: {crowded['cpu_percent']:.2f} % of a core, at most {MOST_IDLE}",
               crowded["cpu_percent"] <= MOST_IDLE)
