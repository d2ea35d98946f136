# SPDX-License-Identifier: MIT
"""What it costs to be seen: what a line for each session adds to the CPU of a connection, and what everything on (sinks,
native histograms, an access log of errors, a scrape and a look at the status each second) adds to that of a request. One
worker on a core of its own, load and backend on another; what is compared is measured by turns."""
import contextlib
import json
import statistics
import tempfile
import threading
import time
import urllib.request

from processes import Failed, Processes, free_port, thread_cpu_seconds
from speed import measures, proxies

CONNECTION = "CPU of a connection, us"
REQUEST = "CPU of a request, us"
LIMITS = {(CONNECTION, "text"): 1.05, (CONNECTION, "JSON"): 1.05, (REQUEST, "everything"): 1.03}
BESIDE = ", of it beside the worker"
CONTENDERS = {CONNECTION: ("nothing", "text", "JSON"), REQUEST: ("nothing", "everything")}


def add_options(parser):
    parser.add_argument("--observing", action="store_true",
                        help="instead: what a line for each session costs a connection, and all that can be looked at "
                             "a request")


def main(options, build, out):
    """Returns 0 where the targets hold."""
    # Many short turns: what a round differs by from the next is more than what a turn does from the one beside it.
    rounds, seconds = options.rounds or (3 if options.quick else 60), options.seconds or 1
    taken = {}
    with _stand(build) as targets:
        for number in range(rounds):
            for what, contenders in CONTENDERS.items():
                first = number % len(contenders)
                for who in contenders[first:] + contenders[:first]:
                    value, beside = _measure(what, who, targets[who], seconds)
                    taken.setdefault((what, who), []).append(value)
                    taken.setdefault((what + BESIDE, who), []).append(beside)
                    print(f"{time.strftime('%H:%M:%S')} {what:26} {who:10} {value:10,.1f} {beside:10,.2f}", flush=True)
        for who, target in targets.items():
            _require_lines(who, target)
    out.mkdir(parents=True, exist_ok=True)
    samples = {f"{what}: {who}": values for (what, who), values in taken.items()}
    (out / "observing.json").write_text(json.dumps({"rounds": rounds, "seconds": seconds, "samples": samples}, indent=1))
    return 0 if all([_judge(taken, what, who, limit) for (what, who), limit in LIMITS.items()]) else 1


def _measure(what, who, target, seconds):
    """The value, and what of it other threads took than the worker."""
    before = _beside_the_worker(target)
    if what == CONNECTION:
        taken = measures.connection_cpu(target, seconds)
    else:
        with _looked_at(target):
            taken = measures.request_cpu(target, seconds, 64)
    return taken["cpu_us"], 1e6 * (_beside_the_worker(target) - before) / (taken["rate"] * seconds)


def _beside_the_worker(target):
    return target.cpu() - thread_cpu_seconds(target.process.pid, "worker")


@contextlib.contextmanager
def _looked_at(target):
    """A scrape and a look at the status each second, where there is an admin listener."""
    over = threading.Event()

    def look():
        while True:
            for path in ("metrics", "api/v1/status"):
                with urllib.request.urlopen(f"http://127.0.0.1:{target.admin}/{path}", timeout=5) as answer:
                    answer.read()
            if over.wait(1):
                return

    thread = threading.Thread(target=look) if target.admin else None
    if thread:
        thread.start()
    try:
        yield
    finally:
        over.set()
        if thread:
            thread.join()


def _judge(taken, what, who, limit):
    # What both met in the same round: the machine is not the same in all of them.
    base = taken[what, "nothing"]
    ratio = statistics.median(one / other for one, other in zip(taken[what, who], base))
    print(f"{'holds ' if ratio <= limit else 'MISSED'}  {what}: nothing {statistics.median(base):,.1f}, "
          f"{who} {statistics.median(taken[what, who]):,.1f}, ratio {ratio:.3f}, at most {limit}"
          f"{BESIDE} {statistics.median(taken[what + BESIDE, who]):,.2f}")
    return ratio <= limit


def _require_lines(who, target):
    if who in ("text", "JSON") and target.log.stat().st_size == 0:
        raise Failed(f"{who}: nothing was logged")


@contextlib.contextmanager
def _stand(build):
    """A target for each that is compared, in front of one backend."""
    with tempfile.TemporaryDirectory(prefix="lemonade-bench-") as name, Processes(name) as processes:
        processes.folder.chmod(0o755)  # nginx workers are somebody else
        shared = free_port()
        backend = processes.start("backend", proxies.backend(processes.folder, [shared]), core=measures.LOAD_CORE)
        processes.wait_listening("backend", backend, shared)
        targets = {}
        for who in ("nothing", "text", "JSON", "everything"):
            folder = processes.folder / who
            folder.mkdir()
            port, admin, log = free_port(), free_port() if who == "everything" else None, folder / "access.log"
            file = folder / "lemonade.toml"
            file.write_text(_configuration(port, admin, shared, _metrics(who, log)))
            process = processes.start(who, [build / "bin/lemonade", "lb", "--config", file], core=0)
            processes.wait_listening(who, process, port)
            targets[who] = measures.Target(process, port, processes, True)
            targets[who].admin, targets[who].log = admin, log
        yield targets


def _metrics(who, log):
    if who == "nothing":
        return "sinks = []\n"
    if who == "everything":
        return (f'sinks = ["prometheus", "access_log"]\n[metrics.options.prometheus]\nnative_histograms = true\n'
                f'[metrics.options.access_log]\nto = "{log}"\nonly = "errors"\n')
    return f'sinks = ["access_log"]\n[metrics.options.access_log]\nto = "{log}"\nformat = "{who.lower()}"\n'


def _configuration(port, admin, backend, metrics):
    address = f"127.0.0.1:{admin}" if admin else ""
    return (f'[runtime]\nworkers = 1\nsupervisor = "off"\n[admin]\nlisten_address = "{address}"\n'
            f'[health]\nchecker = "none"\n[proxy]\nlisten_address = "127.0.0.1:{port}"\n[metrics]\n{metrics}'
            f'[[backends]]\nid = "a"\naddress = "127.0.0.1:{backend}"\n')
