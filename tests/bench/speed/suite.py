# SPDX-License-Identifier: MIT
"""Speed: what a request, a connection, a MiB and an idle connection cost each proxy, pinned to a core of its own. Each
round measures one thing of every proxy in turn, so that drift of this machine falls on all of them."""
import json
import pathlib
import tempfile
import time

from processes import Processes, free_port
from speed import measures, proxies, report

PROXY_CORE = 0
CONNECTIONS = (1, 64, 1000)
IDLE = (1000, 9000)


def main(quick, build, out):
    """Returns 0 where every target holds."""
    rounds, seconds = (2, 1) if quick else (7, 3)
    samples = {}

    def sample(name, proxy, function, *arguments):
        values = _with(build, proxy, function, *arguments)
        samples.setdefault(name, {}).setdefault(proxy.name, []).append(values)
        shown = ", ".join(f"{key} {value:,.1f}" for key, value in values.items())
        print(f"{time.strftime('%H:%M:%S')} {name:28} {proxy.name:10} {shown}", flush=True)

    everyone = proxies.all_proxies(build)
    real = [proxy for proxy in everyone if proxy.prepare]
    for number in range(rounds):
        turn = everyone[number % len(everyone):] + everyone[:number % len(everyone)]
        for connections in CONNECTIONS:
            for proxy in turn:
                sample(f"request, {connections} connections", proxy, measures.request_cpu, seconds, connections)
        for proxy in turn:
            sample("connection", proxy, measures.connection_cpu, seconds)
        for size, label in enumerate(proxies.SIZES):
            for proxy in turn:
                sample(f"MiB in {label}", proxy, measures.bulk_cpu, seconds, size)
        slowest = min(values["rate"] for proxy in real for values in samples["request, 64 connections"][proxy.name])
        for proxy in turn:
            sample("latency", proxy, measures.latency, 2 * seconds, slowest / 2)
    for count in IDLE:
        for proxy in real:
            sample(f"idle, {count} connections", proxy, measures.idle, count, seconds)
    out.mkdir(parents=True, exist_ok=True)
    (out / "speed.json").write_text(json.dumps({"rounds": rounds, "seconds": seconds, "samples": samples}, indent=1))
    (out / "speed.md").write_text(report.tables(samples))
    report.chart(samples, out / "speed.svg")
    verdicts = list(report.judge(samples))
    print("\n" + report.tables(samples))
    print("\n".join(f"{'holds ' if holds else 'MISSED'}  {text}" for text, holds in verdicts))
    print(f"\nIn {out}: speed.json, speed.md, speed.svg")
    return 0 if all(holds for _, holds in verdicts) else 1


def _with(build, proxy, function, *arguments):
    """Starts backend and proxy afresh, warms them up and measures."""
    with tempfile.TemporaryDirectory(prefix="lemonade-bench-") as name, Processes(name) as processes:
        folder = pathlib.Path(name)
        folder.chmod(0o755)  # nginx workers are somebody else
        # Latency is of a moderate load, which may go before all other work; the others take all they get.
        real_time = function is measures.latency
        ports = [free_port(), free_port()]
        process = processes.start("backend", proxies.backend(folder, ports), measures.LOAD_CORE, real_time)
        processes.wait_listening("backend", process, ports[0])
        target = measures.Target(None, ports[0], processes, real_time)
        if proxy.prepare:
            port = free_port()
            process = processes.start("proxy", proxy.prepare(folder, port, ports), PROXY_CORE, real_time)
            processes.wait_listening(proxy.name, process, port)
            target = measures.Target(process, port, processes, real_time)
        measures.load(target, 1, 16, "0")
        return function(target, *arguments)
