# SPDX-License-Identifier: MIT
"""The suite: every contender in every scenario, in a random order within each, so that drift of this machine favours
nobody; then the table, the targets and the chart."""
import json
import os
import pathlib
import platform
import random
import subprocess
import sys
import time

from scenarios import catalog, chart, contenders, pages, report, run, targets

QUICK = ["adaptive", "least_connections", "HAProxy leastconn", "nginx least_conn"]


def add_options(parser):
    group = parser.add_argument_group("scenarios")
    group.add_argument("--scenario", default="".join(one.key for one in catalog.EIGHT), metavar="KEYS",
                       help="which, as 'ac' (default: the eight in which one fails)")
    group.add_argument("--harder", dest="scenario", action="store_const",
                       const="".join(one.key for one in catalog.HARDER),
                       help="the harder ones in which nobody fails, instead")
    for peer in contenders.PEERS:
        group.add_argument(f"--{peer}", action="append", default=[], type=pathlib.Path, metavar="PATH",
                           help=f"another {peer}, beside the one that is installed; may be repeated")
    group.add_argument("--contender", action="append", metavar="NAME",
                       help="who takes part; may be repeated (default: all strategies, HAProxy and nginx)")
    group.add_argument("--seed", type=int, default=1, metavar="N", help="of arrivals, work and order")
    group.add_argument("--work-shape", type=float, default=catalog.WORK_SHAPE, metavar="N",
                       help=f"of the gamma distribution of the work; 1 is exponential (default: {catalog.WORK_SHAPE})")
    group.add_argument("--docs", action="store_true", help="write the results into docs/ too")


def main(options, root, build, out):
    """Runs what the options ask for; returns 0 where every target that could be judged holds."""
    chosen, who = _choose(options, root, build)
    seconds, rounds = options.seconds or (3 if options.quick else 15), options.rounds or 1
    runs = []
    for number in range(rounds):
        for scenario in chosen:
            runs += _play(build, scenario, who, seconds, options, number)
    results = {"machine": _machine(), "seconds": seconds, "rounds": rounds, "seed": options.seed,
               "work_shape": options.work_shape, "runs": runs}
    out.mkdir(parents=True, exist_ok=True)
    (out / "scenarios.json").write_text(json.dumps(results, indent=1))
    rows = report.rows(runs)
    (out / "scenarios.md").write_text(report.full(results, rows))
    chart.draw(rows, out / "scenarios.svg")
    verdicts = targets.judge(rows)
    print("\n" + report.overview(rows) + "\n" + targets.text(verdicts))
    print(f"\nIn {out}: scenarios.json, scenarios.md, scenarios.svg")
    if options.docs:
        pages.write(root / "docs", results, rows, verdicts)
    return 0 if all(verdict.holds for verdict in verdicts) else 1


def _choose(options, root, build):
    unknown = sorted(set(options.scenario) - set(catalog.BY_KEY))
    if unknown:
        sys.exit(f"tools/bench: no scenario '{unknown[0]}'; there are {', '.join(catalog.BY_KEY)}")
    everyone = contenders.all_contenders(root, build, {peer: getattr(options, peer) for peer in contenders.PEERS})
    names = options.contender or (QUICK if options.quick else [one.name for one in everyone])
    for name in names:
        if name not in (one.name for one in everyone):
            sys.exit(f"tools/bench: no contender '{name}'; there are {', '.join(one.name for one in everyone)}")
    chosen = [scenario for scenario in catalog.ALL if scenario.key in options.scenario]
    return chosen, [one for one in everyone if one.name in names]


def _play(build, scenario, who, seconds, options, number):
    seed = options.seed + number
    order = list(who)
    random.Random(f"{seed} {scenario.key}").shuffle(order)
    for contender in order:
        result = run.run(build, scenario, contender, seconds, seed, options.work_shape)
        one = {"scenario": scenario.key, "contender": contender.name, "ours": contender.ours, "round": number, **result}
        print(f"{time.strftime('%H:%M:%S')} {report.line(one)}", flush=True)
        yield one


def _machine():
    def version(*command):
        lines = subprocess.run(command, capture_output=True, text=True, check=False)
        return (lines.stdout + lines.stderr).partition("\n")[0]

    model = next((line.partition(":")[2].strip() for line in pathlib.Path("/proc/cpuinfo").read_text().splitlines()
                  if line.startswith("model name")), platform.machine())
    return {"date": time.strftime("%Y-%m-%d"), "cpu": model, "cores": os.cpu_count(), "kernel": platform.release(),
            "haproxy": version("haproxy", "-v"), "nginx": version("nginx", "-v")}
