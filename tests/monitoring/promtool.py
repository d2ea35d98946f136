#!/usr/bin/env python3
# SPDX-License-Identifier: MIT
"""What promtool says of the files that are shipped: promtool.py config|rules ROOT.

config: the scrape configuration and the rules are sound. rules: each alert fires, holds and clears in the cases of
tests/monitoring/rules, and each has such a case. Exits 77 where there is no promtool."""
import pathlib
import re
import shutil
import subprocess
import sys

ALERT = re.compile(r"^ *- alert: (\w+)$", re.MULTILINE)
FIRING = re.compile(r'^ *expr: .*alertname="(\w+)", alertstate="firing".*\n( *exp_samples: .*)?', re.MULTILINE)


def run_promtool(*arguments):
    return subprocess.run(["promtool", *map(str, arguments)], check=False).returncode == 0


def untried(rules, cases):
    """What is missing: for each alert a case that expects it to fire, and one that expects it not to."""
    asked = FIRING.findall(cases)
    for alert in ALERT.findall(rules):
        for expected, what in ((True, "fires"), (False, "does not fire or clears")):
            if not any(name == alert and bool(samples) == expected for name, samples in asked):
                yield f"no case expects that {alert} {what}"


def main():
    if shutil.which("promtool") is None:
        print("skipped: promtool is not installed (tools/setup --test installs it)")
        return 77
    what, root = sys.argv[1], pathlib.Path(sys.argv[2])
    shipped = root / "config/prometheus"
    if what == "config":
        return 0 if run_promtool("check", "config", shipped / "prometheus.yml") else 1
    cases = sorted((root / "tests/monitoring/rules").glob("*_test.yml"))
    missing = list(untried((shipped / "lemonade.rules.yml").read_text(encoding="utf-8"),
                           "".join(path.read_text(encoding="utf-8") for path in cases)))
    print("\n".join(missing) or "every alert has its cases")
    return 0 if run_promtool("test", "rules", *cases) and not missing else 1


if __name__ == "__main__":
    sys.exit(main())
