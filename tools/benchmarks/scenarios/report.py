# SPDX-License-Identifier: MIT
"""Results in words: a row for each contender of each scenario, and tables of them."""
import re
import statistics
import textwrap
from dataclasses import dataclass

from scenarios import catalog

ERRORS = {"refused": "refused", "reset": "reset", "closed_early": "closed", "timeout": "timed out"}


@dataclass
class Row:
    scenario: str
    contender: str
    ours: bool
    p50: float  # ms, as all latencies; medians over the rounds
    p99: float
    p999: float
    answered_p99: float  # of those that were answered alone
    session_p99: float  # 0 where there are no sessions
    requests: int       # sums over the rounds, as all counts
    errors: dict
    shares: list        # percent of the answers, by backend

    @property
    def failed(self):
        return sum(self.errors.values())


def rows(runs):
    """{scenario: [Row of each contender, ours first]}"""
    groups = {}
    for one in runs:
        groups.setdefault((one["scenario"], one["contender"]), []).append(one)
    result = {}
    for (scenario, _), group in groups.items():
        result.setdefault(scenario, []).append(_row(group))
    for scenario in result.values():
        scenario.sort(key=lambda row: (not row.ours, row.contender != "adaptive", row.contender))
    return {key: result[key] for key in sorted(result)}


def _row(group):
    def median(kind, name):
        return statistics.median(one[kind][name] for one in group)

    def total(name):
        return sum(one[kind][name] for one in group for kind in ("requests", "sessions"))

    answers = [sum(column) for column in zip(*(one["requests"]["answered_by"] for one in group))]
    errors = {name: total(name) for name in ERRORS}
    return Row(group[0]["scenario"], group[0]["contender"], group[0]["ours"], median("requests", "p50_ms"),
               median("requests", "p99_ms"), median("requests", "p999_ms"), median("requests", "answered_p99_ms"),
               median("sessions", "p99_ms"),
               total("answered") + sum(errors.values()), errors,
               [100 * count / max(1, sum(answers)) for count in answers])


def line(one):
    """One run on one line."""
    row = _row([one])
    shares = " ".join(f"{share:.0f}" for share in row.shares)
    return (f"{row.scenario} {row.contender:24}{row.p50:8.1f} {row.p99:8.1f} {row.p999:8.1f} ms   "
            f"errors {_errors(row) or '0':24} shares {shares}   late {one['lateness_ms']:.2f} ms")


def _errors(row):
    return ", ".join(f"{count} {ERRORS[name]}" for name, count in row.errors.items() if count)


def overview(all_rows):
    """p99 of every contender in every scenario, errors in brackets."""
    names = [row.contender for row in max(all_rows.values(), key=len)]
    head = "| p99 in ms (errors) | " + " | ".join(all_rows) + " |\n|---|" + "---|" * len(all_rows) + "\n"
    lines = []
    for name in names:
        cells = []
        for rows_of_one in all_rows.values():
            row = next((row for row in rows_of_one if row.contender == name), None)
            cells.append(_cell(row) if row else "")
        lines.append(f"| {_code(name)} | " + " | ".join(cells) + " |\n")
    return head + "".join(lines)


def _cell(row):
    return f"{row.p99:.0f}" + (f" ({row.failed})" if row.failed else "")


def _code(name):
    return name if " " in name else f"`{name}`"


def full(results, all_rows):
    """A page with everything."""
    harder = all(catalog.BY_KEY[key] in catalog.HARDER for key in all_rows)
    parts = [f"# {'Harder scenarios' if harder else 'Scenarios'}, in full\n\n{conditions(results)}\n"]
    for key, rows_of_one in all_rows.items():
        sessions = any(row.session_p99 for row in rows_of_one)
        extra = " sessions' p99 |" if sessions else ""
        parts.append(f"\n## {key}: {catalog.BY_KEY[key].title}\n\n"
                     f"| | p50 | p99 | p99.9 | p99 of the answered |{extra} errors | share of each backend, % |\n"
                     f"|---|---|---|---|---|{'---|' if sessions else ''}---|---|\n")
        for row in rows_of_one:
            extra = f" {row.session_p99:.1f} |" if sessions else ""
            shares = " ".join(f"{share:.1f}" for share in row.shares)
            parts.append(f"| {_code(row.contender)} | {row.p50:.1f} | {row.p99:.1f} | {row.p999:.1f} | "
                         f"{row.answered_p99:.1f} |{extra} {_errors(row) or 0} | {shares} |\n")
    return "".join(parts)


def conditions(results):
    machine = results["machine"]
    rounds = "" if results["rounds"] == 1 else f" {results['rounds']} rounds, medians."
    eight = any(catalog.BY_KEY[one["scenario"]] in catalog.EIGHT for one in results["runs"])
    work = f"work of shape {results['work_shape']:g}" if eight else "lognormal work, of variation 1 if nothing is said"
    # Of those that were handed in the name says the version.
    installed = [machine[name.lower()].removesuffix(" - https://haproxy.org/") for name in ("HAProxy", "nginx")
                 if any(re.match(rf"{name} \D", one["contender"]) for one in results["runs"])]
    machine_text = [f"{machine['date']}, {machine['cores']} cores of {machine['cpu']}", f"Linux {machine['kernel']}"]
    text = (f"{', '.join(machine_text + installed)}. Runs of "
            f"{results['seconds']:g} s, seed {results['seed']}, {work}.{rounds} "
            f"Latencies in ms, from when a client meant to come to its answer; who got none, or gave up after 3 s, "
            f"counts with 3 s and as an error.")
    return textwrap.fill(text, 120)
