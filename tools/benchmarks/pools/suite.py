# SPDX-License-Identifier: MIT
"""Pools: what it costs to have many of them, and what clients of one notice of another whose backends hang. One worker
on a core of its own, load and backend on another; what is compared is measured by turns."""
import collections
import contextlib
import json
import os
import socket
import statistics
import tempfile
import threading
import time

from processes import Processes, free_port
from speed import measures, proxies

POOLS = 100
RATE = 4000          # requests a second to the healthy pool
HANGING = 200        # clients at once of the pool that hangs; each gives up after a while and comes again
PATIENCE_S = 0.5
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
    """The 99th percentile of a healthy pool, while clients get no answer: at another pool of the balancer, or, so that the
    load's core has the same to do, straight from the server that gives none."""
    with contextlib.ExitStack() as stack:
        silent_port = stack.enter_context(_silent_server())
        targets = stack.enter_context(_stand(build, {"balancer": ["0", "silent"]}, {"silent": silent_port}))
        target, = targets.values()
        for who, port in (("alone", silent_port), ("beside hanging", target.ports["silent"]))[::-1 if number % 2 else 1]:
            with _hanging_clients(port):
                take("p99 of an answer, us", who, measures.latency(target, seconds, RATE)["p99_us"])


@contextlib.contextmanager
def _stand(build, balancers, backends={}):
    """Targets by name: a balancer each, with pools of these names; those without a backend of their own share one."""
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
            file.write_text(_configuration(ports, {pool: backends.get(pool, shared) for pool in pools}))
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
                 f'[pools.{pool}]\nbackends = ["127.0.0.1:{backends[pool]}"]\n')
    return text


def _stand_back():
    """This thread runs on the load's core, when that has nothing else to do: what it is for is the balancer's work."""
    os.sched_setaffinity(0, {measures.LOAD_CORE})
    os.sched_setscheduler(0, os.SCHED_IDLE, os.sched_param(0))


@contextlib.contextmanager
def _silent_server():
    """The port of a server that accepts and never answers."""
    with socket.create_server(("127.0.0.1", 0), backlog=4096) as server:
        def accept():
            _stand_back()
            clients = collections.deque(maxlen=4 * HANGING)
            with contextlib.suppress(OSError):
                while True:
                    clients.append(server.accept()[0])

        thread = threading.Thread(target=accept)
        thread.start()
        try:
            yield server.getsockname()[1]
        finally:
            server.shutdown(socket.SHUT_RDWR)
            thread.join()


@contextlib.contextmanager
def _hanging_clients(port):
    """Clients that ask, get no answer, give up and come again: one after another, since a burst of connects would be a load
    of its own."""
    over = threading.Event()

    def keep_coming():
        _stand_back()
        clients = []
        while not over.wait(PATIENCE_S / HANGING):
            if len(clients) == HANGING:
                clients.pop(0).close()
            with contextlib.suppress(OSError):
                clients.append(socket.create_connection(("127.0.0.1", port), 1))
                clients[-1].sendall(b"GET /0 HTTP/1.1\r\nHost: x\r\n\r\n")
        for client in clients:
            client.close()

    thread = threading.Thread(target=keep_coming)
    thread.start()
    try:
        yield
    finally:
        over.set()
        thread.join()
