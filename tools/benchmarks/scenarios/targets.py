# SPDX-License-Identifier: MIT
"""The bar: how `adaptive` has to do against our other strategies and against the peers."""
import math
from dataclasses import dataclass

from scenarios import catalog

EQUAL = 1.05      # within 5 %
NEVER_OVER = 2.0  # times the best of ours
SHARE_BEST = 6 / 8


@dataclass
class Verdict:
    text: str
    holds: bool
    judged: bool = True  # False for what is worth knowing besides


def judge(all_rows):
    """Verdicts on what was run; what lacks a side to compare with is left out."""
    verdicts, best_in, judged = [], [], 0
    for key, rows in all_rows.items():
        adaptive = next((row for row in rows if row.contender == "adaptive"), None)
        if not adaptive:
            continue
        others = [row for row in rows if row.ours and row is not adaptive]
        peers = [row for row in rows if not row.ours]
        if others:
            judged += 1
            best = min(others, key=lambda row: row.p99)
            if adaptive.p99 <= EQUAL * best.p99:
                best_in.append(key)
            verdicts.append(_ratio(key, adaptive.p99, best.p99, NEVER_OVER, f"p99 of our best other, {best.contender}"))
        if peers:
            verdicts += _against_peers(catalog.BY_KEY[key], adaptive, peers)
    if judged:
        verdicts.append(Verdict(f"all: adaptive is our best or within 5 % in {len(best_in)} of {judged} "
                                f"({' '.join(best_in)})", len(best_in) >= SHARE_BEST * judged))
    return verdicts


def _against_peers(scenario, adaptive, peers):
    best = min(peers, key=lambda row: row.p99)
    yield _ratio(scenario.key, adaptive.p99, best.p99, scenario.p99_target, f"p99 of the best peer, {best.contender}")
    alone = min(peers, key=lambda row: row.answered_p99)
    if alone.failed:
        note = _ratio(scenario.key, adaptive.answered_p99, alone.answered_p99, scenario.p99_target,
                      f"best p99 of the answered alone, {alone.contender} with {alone.failed} errors")
        yield Verdict(note.text.partition(";")[0], True, judged=False)
    fewest = min(peers, key=lambda row: row.failed)
    allowed = fewest.failed * scenario.errors_target
    # How many were in flight when a backend failed is luck; two standard deviations of it are let pass.
    chance = 2 * math.sqrt(allowed + 1)
    yield Verdict(f"{scenario.key}: {adaptive.failed} errors, of the best peer {fewest.failed} ({fewest.contender}); "
                  f"allowed {allowed:.0f}, and {chance:.0f} by chance", adaptive.failed <= allowed + chance)


def _ratio(key, value, base, limit, what):
    ratio = value / base if base else 1
    return Verdict(f"{key}: {value:.1f} ms is {ratio:.2f} of the {what}; allowed {limit:g}", ratio <= limit)


def text(verdicts):
    return "\n".join(f"{_word(verdict)}  {verdict.text}" for verdict in verdicts)


def _word(verdict):
    if not verdict.judged:
        return "note  "
    return "holds " if verdict.holds else "MISSED"
