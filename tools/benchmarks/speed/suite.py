# SPDX-License-Identifier: MIT
"""Speed: what a request, a connection, a MiB and an idle connection cost each proxy. All proxies of a round are up at once
and are measured in turn, for a moment each, so that drift of this machine falls on all of them: first with one worker on a
core of its own and the load on another, then with two and with many workers wherever the kernel puts them."""
import contextlib
import json
import pathlib
import subprocess
import tempfile
import time

from processes import Processes, free_port
from speed import measures, proxies, report

PROXY_CORE = 0
CONNECTIONS = (1, 64, 1000)
IDLE = (1000, 9000)
BESIDE = (100, 9000)
CHECKED = 5000


def add_options(parser):
    group = parser.add_argument_group("speed")
    group.add_argument("--only", metavar="TEXT", help="measure only what has this in its name, as 'request, 64'")


def main(options, build, out):
    """Returns 0 where every target that could be judged holds."""
    rounds, seconds = options.rounds or (2 if options.quick else 7), options.seconds or (1 if options.quick else 3)
    samples = Samples(options.only or "", proxies.all_proxies(build))
    for number in range(rounds):
        _round(samples, number, seconds)
    for count in IDLE:
        for proxy in samples.proxies:
            if proxy.prepare and samples.wants(f"idle, {count} connections"):
                with stand([proxy], 1) as targets:
                    samples.take(f"idle, {count} connections", targets, [proxy], measures.idle, count, seconds)
    for proxy in samples.proxies:
        if proxy.checks and samples.wants(f"{CHECKED} backends checked"):
            with stand([proxy], 1, backends=CHECKED) as targets:
                samples.take(f"{CHECKED} backends checked", targets, [proxy], measures.checking)
    picks = _picks(build) if samples.wants("pick") else {}
    out.mkdir(parents=True, exist_ok=True)
    (out / "speed.json").write_text(json.dumps(
        {"rounds": rounds, "seconds": seconds, "samples": samples.taken, "picks": picks}, indent=1))
    (out / "speed.md").write_text(report.tables(samples.taken, picks))
    report.chart(samples.taken, out / "speed.svg")
    verdicts = list(report.judge(samples.taken, picks))
    print("\n" + report.tables(samples.taken, picks))
    print("\n".join(f"{'holds ' if holds else 'MISSED'}  {text}" for text, holds in verdicts))
    print(f"\nIn {out}: speed.json, speed.md, speed.svg")
    return 0 if all(holds for _, holds in verdicts) else 1


class Samples:
    """What was measured: by name, then by proxy, a list of dictionaries of values."""

    def __init__(self, only, everyone):
        self.only, self.proxies, self.taken = only, everyone, {}

    def wants(self, name):
        return self.only in name

    def take(self, name, targets, turn, function, *arguments):
        """One sample of each proxy in this turn, the function called with its target."""
        for proxy in turn if self.wants(name) else []:
            values = function(targets[proxy.name], *arguments)
            self.taken.setdefault(name, {}).setdefault(proxy.name, []).append(values)
            shown = ", ".join(f"{key} {value:,.1f}" for key, value in values.items())
            print(f"{time.strftime('%H:%M:%S')} {name:34} {proxy.name:15} {shown}", flush=True)


def _round(samples, number, seconds):
    everyone = samples.proxies
    turn = everyone[number % len(everyone):] + everyone[:number % len(everyone)]
    real = [proxy for proxy in turn if proxy.prepare]
    with stand(turn, 1) as targets:
        for connections in CONNECTIONS:
            samples.take(f"request, {connections} connections", targets, turn, measures.request_cpu, seconds, connections)
        samples.take("connection", targets, turn, measures.connection_cpu, seconds)
        for beside in BESIDE:
            samples.take(f"connection beside {beside}", targets, real, measures.connection_cpu, seconds, beside)
        samples.take("flood of 1000 at once", targets, turn, measures.connection_cpu, seconds, 0, 1000)
        for size, label in enumerate(proxies.SIZES):
            samples.take(f"MiB in {label}", targets, turn, measures.bulk_cpu, seconds, size)
        rates = [measures.request_cpu(targets[proxy.name], seconds, 64)["rate"] for proxy in real
                 if samples.wants("latency")]
    for proxy in turn if rates else []:
        # Of a moderate load, which may go before all other work of this machine.
        with stand([proxy], 1, real_time=True) as targets:
            samples.take("latency", targets, [proxy], measures.latency, 2 * seconds, min(rates) / 2)
    with stand(turn, 2) as targets:
        samples.take("request, two workers unpinned", targets, turn, measures.request_cpu, seconds, 64)
        samples.take("connection, two workers unpinned", targets, turn, measures.connection_cpu, seconds)
    with stand(turn, 16) as targets:  # more than there are cores: most have nothing to do
        samples.take("connection one by one, 16 workers unpinned", targets, turn, measures.connection_cpu, seconds, 0, 1)


@contextlib.contextmanager
def stand(everyone, workers, real_time=False, backends=2):
    """Starts the web server and these proxies afresh and warms them up; gives the target of each by name. One worker:
    pinned. More than two backends are the two ports of that server again and again."""
    proxy_core, load_core = (PROXY_CORE, measures.LOAD_CORE) if workers == 1 else (None, None)
    with tempfile.TemporaryDirectory(prefix="lemonade-bench-") as name, Processes(name) as processes:
        folder = pathlib.Path(name)
        folder.chmod(0o755)  # nginx workers are somebody else
        ports = [free_port(), free_port()]
        process = processes.start("backend", proxies.backend(folder, ports), load_core, real_time)
        processes.wait_listening("backend", process, ports[0])
        targets = {}
        for proxy in everyone:
            target = measures.Target(None, ports[0], processes, real_time, load_core)
            if proxy.prepare:
                own = folder / proxy.name.replace(" ", "-")
                own.mkdir(mode=0o755)
                target.port = free_port()
                command = proxy.prepare(own, target.port, ports * (backends // 2), workers)
                target.process = processes.start(proxy.name, command, proxy_core, real_time)
                processes.wait_listening(proxy.name, target.process, target.port)
            measures.load(target, 1, 16, "0")
            targets[proxy.name] = target
        yield targets


def _picks(build):
    """Nanoseconds of a pick: {strategy: {backends: ns}}."""
    lines = subprocess.run([build / "bin/bench_pick"], check=True, capture_output=True, text=True).stdout.splitlines()
    sizes = [int(word) for word in lines[0].partition(":")[2].split()]
    print("\n".join(lines), flush=True)
    return {line.split()[0]: dict(zip(sizes, map(float, line.split()[1:]))) for line in lines[1:] if line.strip()}
