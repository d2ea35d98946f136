# SPDX-License-Identifier: MIT
"""The access log: what a line for each session adds to the CPU of a connection. One worker on a core of its own, load and
backend on another; without a log, with one in text and with one in JSON are measured by turns."""
import contextlib
import json
import statistics
import tempfile
import time

from processes import Failed, Processes, free_port
from speed import measures, proxies

COST_LIMIT = 1.05  # of a connection, with a line for each
KINDS = {"no log": None, "text": "text", "JSON": "json"}
WHAT = "CPU of a connection, us"


def add_options(parser):
    parser.add_argument("--access-log", action="store_true",
                        help="instead: what a line for each session costs a connection")


def main(options, build, out):
    """Returns 0 where the target holds."""
    rounds, seconds = options.rounds or (3 if options.quick else 15), options.seconds or (1 if options.quick else 3)
    taken = {who: [] for who in KINDS}
    with _stand(build) as targets:
        turn = list(targets.items())
        for number in range(rounds):
            for who, target in turn[number % len(turn):] + turn[:number % len(turn)]:
                taken[who].append(measures.connection_cpu(target, seconds)["cpu_us"])
                print(f"{time.strftime('%H:%M:%S')} {WHAT:26} {who:8} {taken[who][-1]:10,.1f}", flush=True)
        for who, target in targets.items():
            _require_lines(who, target)
    out.mkdir(parents=True, exist_ok=True)
    (out / "access_log.json").write_text(json.dumps({"rounds": rounds, "seconds": seconds, "samples": taken}, indent=1))
    return 0 if all([_judge(taken, who) for who in KINDS if KINDS[who]]) else 1


def _judge(taken, who):
    # What both met in the same round: the machine is not the same in all of them.
    ratio = statistics.median(one / base for one, base in zip(taken[who], taken["no log"]))
    print(f"{'holds ' if ratio <= COST_LIMIT else 'MISSED'}  {WHAT}: no log {statistics.median(taken['no log']):,.1f}, "
          f"{who} {statistics.median(taken[who]):,.1f}, ratio {ratio:.3f}, at most {COST_LIMIT}")
    return ratio <= COST_LIMIT


def _require_lines(who, target):
    if target.log is not None and target.log.stat().st_size == 0:
        raise Failed(f"{who}: nothing was logged")


@contextlib.contextmanager
def _stand(build):
    """A target for each kind of log, in front of one backend."""
    with tempfile.TemporaryDirectory(prefix="lemonade-bench-") as name, Processes(name) as processes:
        processes.folder.chmod(0o755)  # nginx workers are somebody else
        shared = free_port()
        backend = processes.start("backend", proxies.backend(processes.folder, [shared]), core=measures.LOAD_CORE)
        processes.wait_listening("backend", backend, shared)
        targets = {}
        for who, kind in KINDS.items():
            folder = processes.folder / who.replace(" ", "-")
            folder.mkdir()
            port, log = free_port(), folder / "access.log" if kind else None
            file = folder / "lemonade.toml"
            file.write_text(_configuration(port, shared, kind, log))
            process = processes.start(folder.name, [build / "bin/lemonade", "lb", "--config", file], core=0)
            processes.wait_listening(folder.name, process, port)
            targets[who] = measures.Target(process, port, processes, True)
            targets[who].log = log
        yield targets


def _configuration(port, backend, kind, log):
    sinks = f'["access_log"]\n[metrics.options.access_log]\nto = "{log}"\nformat = "{kind}"' if kind else "[]"
    return (f'[runtime]\nworkers = 1\nsupervisor = "off"\n[admin]\nlisten_address = ""\n[health]\nchecker = "none"\n'
            f'[proxy]\nlisten_address = "127.0.0.1:{port}"\n[metrics]\nsinks = {sinks}\n'
            f'[[backends]]\nid = "a"\naddress = "127.0.0.1:{backend}"\n')
