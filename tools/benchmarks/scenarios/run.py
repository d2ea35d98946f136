# SPDX-License-Identifier: MIT
"""One run: one contender between the clients and the backends of one scenario."""
import json
import pathlib
import subprocess
import tempfile
import time

from processes import Failed, Processes, free_port
from scenarios import catalog

SETTLE_S = 1.5        # from the start of the backends to the first client
TOO_LATE_MS = 3.0     # clients that connect later than this were held up by this machine, and the run says nothing
CLIENT_LIMIT_S = 3.0  # then a client gives up, which is an error


def run(build, scenario, contender, seconds, seed, shape=catalog.WORK_SHAPE):
    """What the clients saw: the JSON of bench_load. Raises Failed."""
    result = _run(build, scenario, contender, seconds, seed, shape)
    if result["lateness_ms"] > TOO_LATE_MS:
        result = min(result, _run(build, scenario, contender, seconds, seed, shape), key=lambda one: one["lateness_ms"])
    return result


def _run(build, scenario, contender, seconds, seed, shape):
    with tempfile.TemporaryDirectory(prefix="lemonade-bench-") as name, Processes(name) as processes:
        folder = pathlib.Path(name)
        folder.chmod(0o755)  # nginx workers are somebody else
        start = time.monotonic_ns() + int(SETTLE_S * 1e9)
        backend_ports = _start_backends(processes, build, scenario, seconds, start)
        balancers = [_start_balancer(processes, folder, f"contender{i}", contender, backend_ports)
                     for i in range(scenario.balancers)]
        if time.monotonic_ns() > start - 0.2e9:
            raise Failed(f"{contender.name} took too long to start")
        clients = processes.start("clients", [
            build / "bin/bench_load", *(word for port, _ in balancers for word in ("--port", port)), "--start", start,
            "--seconds", seconds, "--rate", scenario.rate, "--work", catalog.WORK_MS, "--work-shape", shape,
            "--backends", catalog.BACKENDS, "--seed", seed, "--limit", CLIENT_LIMIT_S, *scenario.load(seconds)],
            stdout=subprocess.PIPE)
        output, _ = clients.communicate(timeout=SETTLE_S + 4 * seconds + 60)
        if clients.returncode != 0:
            raise Failed(f"the clients failed:\n{processes.log('clients')}")
        for i, (_, process) in enumerate(balancers):
            if process.poll() is not None:
                raise Failed(f"{contender.name} ended during the run:\n{processes.log(f'contender{i}')}")
        return json.loads(output)


def _start_balancer(processes, folder, name, contender, backend_ports):
    own = folder / name
    own.mkdir(mode=0o755)
    port = free_port()
    process = processes.start(name, contender.prepare(own, port, backend_ports))
    processes.wait_listening(name, process, port)
    return port, process


def _start_backends(processes, build, scenario, seconds, start):
    entries = [word for line in scenario.timetable(seconds) for word in ("--at", line)]
    process = processes.start("backends", [build / "bin/bench_backends", "--count", catalog.BACKENDS, "--start", start,
                                           *entries], stdin=subprocess.PIPE, stdout=subprocess.PIPE)
    ports = [int(port) for port in process.stdout.readline().split()]
    if len(ports) != catalog.BACKENDS:
        raise Failed(f"the backends did not come up:\n{processes.log('backends')}")
    return ports
