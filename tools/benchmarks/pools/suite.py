# SPDX-License-Identifier: MIT
"""Pools: what it costs to have many of them, and what clients of one notice of another whose backends hang. One worker
on a core of its own, load and backend on another; what is compared is measured by turns."""
import contextlib
import json
import statistics
import subprocess
import tempfile
import time

from processes import Failed, Processes, free_port
from scenarios.catalog import BACKENDS, WORK_MS, WORK_SHAPE
from speed import measures, proxies

POOLS = 100
RATE = 1000          # clients a second of the healthy pool, each with one request
OTHER_RATE = 200     # of the other pool
PATIENCE_S = 1       # of clients who get no answer
SETTLE_S = 1.2       # from the start of the backends to the first client
COST_LIMIT = 1.02    # of a request and of a connection, in one of many pools
DELAY_LIMIT = 1.1    # of the p99 beside a pool that hangs


def add_options(parser):
    parser.add_argument("--pools", action="store_true",
                        help="instead: what many pools cost, and whether one that hangs delays another")


def main(options, build, out):
    """Returns 0 where both targets hold."""
    rounds, seconds = options.rounds or (2 if options.quick else 7), options.seconds or (1 if options.quick else 3)
    taken = {}

    def take(name, who, value):
        taken.setdefault(name, {}).setdefault(who, []).append(value)
        print(f"{time.strftime('%H:%M:%S')} {name:26} {who:14} {value:10,.1f}", flush=True)

    for number in range(rounds):
        _costs(build, number, seconds, take)
        _delay(build, number, seconds, take)
    out.mkdir(parents=True, exist_ok=True)
    (out / "pools.json").write_text(json.dumps({"rounds": rounds, "seconds": seconds, "samples": taken}, indent=1))
    held = [_judge(taken, name, *contenders) for name, *contenders in (
        ("CPU of a request, us", "one pool", f"{POOLS} pools", COST_LIMIT),
        ("CPU of a connection, us", "one pool", f"{POOLS} pools", COST_LIMIT),
        ("p99 of an answer, us", "alone", "beside hanging", DELAY_LIMIT))]
    return 0 if all(held) else 1


def _judge(taken, name, base, other, limit):
    medians = {who: statistics.median(values) for who, values in taken[name].items()}
    ratio = medians[other] / medians[base]
    print(f"{'holds ' if ratio <= limit else 'MISSED'}  {name}: {base} {medians[base]:,.1f}, "
          f"{other} {medians[other]:,.1f}, ratio {ratio:.3f}, at most {limit}")
    return ratio <= limit


def _costs(build, number, seconds, take):
    """CPU of the balancer with one pool, and with many, of which one is used."""
    with _stand(build, {"one pool": ["0"], f"{POOLS} pools": [str(n) for n in range(POOLS)]}) as targets:
        turn = list(targets.items())[::-1 if number % 2 else 1]
        for who, target in turn:
            take("CPU of a request, us", who, measures.request_cpu(target, seconds, 64)["cpu_us"])
        for who, target in turn:
            take("CPU of a connection, us", who, measures.connection_cpu(target, seconds)["cpu_us"])


def _delay(build, number, seconds, take):
    """The 99th percentile of clients of a healthy pool: alone, beside a pool whose backends accept and never answer, and,
    so that the connections alone do not pass for it, beside a second healthy pool with as many clients."""
    cases = ("alone", "beside hanging", "beside healthy")
    for case in cases[::-1 if number % 2 else 1]:
        take("p99 of an answer, us", case, 1000 * _p99_ms(build, number, seconds, case))


def _p99_ms(build, seed, seconds, case):
    with tempfile.TemporaryDirectory(prefix="lemonade-bench-") as name, Processes(name) as processes:
        start = time.monotonic_ns() + int(SETTLE_S * 1e9)
        hang = [word for i in range(BACKENDS) for word in ("--at", f"0 {i} hang")] if case == "beside hanging" else []
        backends = {"healthy": _backends(build, processes, "healthy", start, []),
                    "other": _backends(build, processes, "other", start, hang)}
        ports = dict(zip(backends, _free_ports(len(backends))))
        file = processes.folder / "lemonade.toml"
        file.write_text(_configuration(ports, backends))
        balancer = processes.start("balancer", [build / "bin/lemonade", "lb", "--config", file], core=0)
        for port in ports.values():
            processes.wait_listening("balancer", balancer, port)
        clients = _clients(build, processes, "clients", ports["healthy"], start, seconds, RATE, seed, 3)
        if case != "alone":
            _clients(build, processes, "others", ports["other"], start, seconds, OTHER_RATE, seed + 1000, PATIENCE_S)
        output, _ = clients.communicate(timeout=SETTLE_S + 4 * seconds + 60)
        if clients.returncode != 0:
            raise Failed(f"the clients failed:\n{processes.log('clients')}")
        return json.loads(output)["requests"]["p99_ms"]


def _backends(build, processes, name, start, timetable):
    process = processes.start(name, [build / "bin/bench_backends", "--count", BACKENDS, "--start", start, *timetable],
                              stdin=subprocess.PIPE, stdout=subprocess.PIPE)
    return [int(port) for port in process.stdout.readline().split()]


def _clients(build, processes, name, port, start, seconds, rate, seed, patience):
    return processes.start(name, [
        build / "bin/bench_load", "--port", port, "--start", start, "--seconds", seconds, "--rate", rate, "--work", WORK_MS,
        "--work-shape", WORK_SHAPE, "--backends", BACKENDS, "--seed", seed, "--limit", patience], stdout=subprocess.PIPE)


@contextlib.contextmanager
def _stand(build, balancers):
    """Targets by name: a balancer each, with pools of these names, which share one backend."""
    with tempfile.TemporaryDirectory(prefix="lemonade-bench-") as name, Processes(name) as processes:
        processes.folder.chmod(0o755)  # nginx workers are somebody else
        shared = free_port()
        backend = processes.start("backend", proxies.backend(processes.folder, [shared]), core=measures.LOAD_CORE)
        processes.wait_listening("backend", backend, shared)
        targets = {}
        for who, pools in balancers.items():
            ports = dict(zip(pools, _free_ports(len(pools))))
            folder = processes.folder / who.replace(" ", "-")
            folder.mkdir()
            file = folder / "lemonade.toml"
            file.write_text(_configuration(ports, {pool: [shared] for pool in pools}))
            process = processes.start(folder.name, [build / "bin/lemonade", "lb", "--config", file], core=0)
            for port in ports.values():
                processes.wait_listening(folder.name, process, port)
            targets[who] = measures.Target(process, ports["0"], processes, True)
            targets[who].ports = ports
        yield targets


def _free_ports(count):
    ports = set()
    while len(ports) < count:
        ports.add(free_port())
    return ports


def _configuration(ports, backends):
    text = ('[runtime]\nworkers = 1\nsupervisor = "off"\n[admin]\nlisten_address = ""\n[health]\nchecker = "none"\n'
            '[ejection]\nenabled = false\n')
    for pool, port in ports.items():
        text += (f'[[listeners]]\nname = "{pool}"\naddress = "127.0.0.1:{port}"\npool = "{pool}"\n'
                 f'[pools.{pool}]\nbackends = {json.dumps([f"127.0.0.1:{one}" for one in backends[pool]])}\n')
    return text
