# SPDX-License-Identifier: MIT
"""Capacity: what the balancer holds and does, for docs/deployment.md: memory at rest, of a connection that is idle and
of one whose client does not read, and how much one core does of each kind of work. One worker on a core of its own,
load and backend on another, as for the speed measurements."""
import json
import os
import pathlib
import platform
import re
import resource
import statistics
import time

from capacity import measures as own
from speed import measures, proxies
from speed.suite import stand

IDLE = 9000
SLOW = 100
MARKED = re.compile(r"(<!-- tools/bench: capacity -->\n).*?(<!-- tools/bench: end -->)", re.DOTALL)


def add_options(parser):
    parser.add_argument("--capacity", action="store_true",
                        help="instead: what the balancer holds and does, in five minutes; with --docs for the "
                             "deployment guide")


def main(options, root, build, out):
    rounds, seconds = options.rounds or (1 if options.quick else 5), options.seconds or (1 if options.quick else 3)
    proxy = proxies.all_proxies(build)[0]
    taken = {}
    for _ in range(rounds):
        for name, values in _round(proxy, seconds):
            taken.setdefault(name, []).append(values)
            shown = ", ".join(f"{key} {value:,.1f}" for key, value in values.items())
            print(time.strftime("%H:%M:%S"), name, shown, flush=True)
    out.mkdir(parents=True, exist_ok=True)
    (out / "capacity.json").write_text(json.dumps({"rounds": rounds, "seconds": seconds, "samples": taken}, indent=1))
    text = table(taken) + "\n" + conditions(rounds, seconds)
    (out / "capacity.md").write_text(text)
    print("\n" + text + f"\nIn {out}: capacity.json, capacity.md")
    if options.docs:
        _write(root / "docs/deployment.md", text)
    return 0


def _round(proxy, seconds):
    """(name, values) of each measurement."""
    with stand([proxy], 1) as targets:
        target = targets[proxy.name]
        yield "at rest", own.at_rest(target, seconds)
        yield "idle", own.idle(target, IDLE)
    with stand([proxy], 1) as targets:
        yield "slow", own.slow(targets[proxy.name], SLOW, seconds)
    with stand([proxy], 1) as targets:
        target = targets[proxy.name]
        yield "request, 64 connections", measures.request_cpu(target, seconds, 64)
        yield "request, 1000 connections", measures.request_cpu(target, seconds, 1000)
        yield "connection", measures.connection_cpu(target, seconds)
        yield "connection beside 9000", measures.connection_cpu(target, seconds, 9000)
        for size, label in enumerate(proxies.SIZES):
            if size > 0:
                yield f"MiB in {label}", measures.bulk_cpu(target, seconds, size)


NAMES = {
    "idle": "idle connection",
    "slow": "connection whose client does not read",
    "request, 64 connections": "requests on 64 connections",
    "request, 1000 connections": "requests on 1,000 connections",
    "connection": "connections with one request each",
    "connection beside 9000": "the same beside 9,000 idle ones",
}


def table(taken):
    """Two of them: memory, and the work of one core."""

    def median(name, value):
        return statistics.median(one[value] for one in taken[name])

    def memory(name):
        process, sockets, queued = (median(name, value) / 1024 for value in ("process", "sockets", "queued"))
        return _row(name, f"{process:,.1f} KiB, and {sockets + queued:,.0f} KiB of the kernel for its two sockets")

    anonymous, resident = (median("at rest", value) / 2**20 for value in ("anonymous", "resident"))
    rest = f"{anonymous:.0f} MiB of its own, {resident:.0f} MiB with what it maps"
    work = [_row(name, f"{_rounded(1e6 / median(name, 'cpu_us')):,}") for name in taken if "cpu_us" in taken[name][0]]
    return "".join(["| | memory |\n|---|---|\n", _row("process at rest", rest), memory("idle"), memory("slow"),
                    "\n| | of one core, a second |\n|---|---|\n", *work])


def _row(name, value):
    return f"| {NAMES.get(name, name.replace('MiB in', 'MiB, in answers of'))} | {value} |\n"


def _rounded(value):
    """To two digits, which is as exact as a machine repeats it."""
    digits = max(0, len(str(int(value))) - 2)
    return round(value / 10 ** digits) * 10 ** digits


def conditions(rounds, seconds):
    model = re.search(r"model name\s*: (.*)", pathlib.Path("/proc/cpuinfo").read_text())
    limit = resource.getrlimit(resource.RLIMIT_NOFILE)[1]
    return (f"Measured on {time.strftime('%Y-%m-%d')}: {os.cpu_count()} cores of {model[1] if model else 'unknown make'}, "
            f"Linux {platform.release().split('-')[0]}, medians of {rounds} rounds of {seconds} s, one worker, answers "
            f"of 1 KiB where nothing else is said, everything over loopback. At most {limit:,} descriptors may be had "
            f"there.\n")


def _write(page, text):
    written, count = MARKED.subn(lambda match: match[1] + text + match[2], page.read_text())
    if count != 1:
        raise SystemExit(f"tools/bench: {page} has no place for the results")
    page.write_text(written)
