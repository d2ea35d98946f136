#!/usr/bin/env python3
# SPDX-License-Identifier: MIT
"""Checks that the parts of the scenarios work together: smoke.py BUILD. One second of one that resets."""
import pathlib
import sys

sys.dont_write_bytecode = True
sys.path.insert(0, str(pathlib.Path(__file__).resolve().parent.parent))

from processes import Failed  # noqa: E402
from scenarios import catalog, contenders, report, run, targets  # noqa: E402


def main():
    build = pathlib.Path(sys.argv[1])
    seen = run.run(build, catalog.BY_KEY["c"], contenders.lemonade(build, "adaptive"), 1, 1)
    one = {"scenario": "c", "contender": "adaptive", "ours": True, "round": 0, **seen}
    row = report.rows([one])["c"][0]
    print(report.line(one))
    quicker = {**one, "contender": "nobody", "ours": False,
              "requests": {**seen["requests"], "p99_ms": row.p99 / 2, "reset": 0}}
    verdicts = targets.judge(report.rows([one, quicker]))
    wrong = [what for what, true in {
        "about 1,000 clients come": 850 < row.requests < 1150,
        "at least nine of ten are answered": row.failed <= row.requests / 10,
        "the median is the time of some work": 2 < row.p50 < 100,
        "others than the first backend answer": sum(share > 5 for share in row.shares) >= 7,
        "a target that is missed is found": any(not verdict.holds for verdict in verdicts),
    }.items() if not true]
    print("\n".join(f"not so: {what}" for what in wrong) or "the scenarios work")
    return 1 if wrong else 0


if __name__ == "__main__":
    try:
        sys.exit(main())
    except Failed as error:
        sys.exit(str(error))
