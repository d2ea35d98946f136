#!/usr/bin/env python3
# SPDX-License-Identifier: MIT
"""A real Prometheus watches real balancers while faults are injected: live.py ROOT LEMONADE STRANGERS MISFITS.

Prometheus runs with what config/prometheus ships, but for the targets and the durations: a minute of the rules is
a few seconds here, so all alerts come and go within minutes. Shown is that no alert fires while all is well; that each
fires for the cause it is meant for, stays without a gap while that lasts, and clears after it; that what is well beside
it brings none; and that every query of the dashboard has data. STRANGERS and MISFITS are folders of test plugins. All of it
runs in a network namespace of its own, where the kernel may forward. Exits 77 where there is no prometheus or that may
not be made."""
import contextlib
import pathlib
import re
import shutil
import sys
import tempfile
import time

import dashboard
import faults
from processes import Prometheus, eventually

MINUTE = 4.0  # seconds that a minute of the rules takes
DURATION = re.compile(r"(?P<before>\[|for: |interval: )(?P<number>\d+)(?P<unit>[smh])\b")
SECONDS = {"s": 1, "m": 60, "h": 3600}
LAST = "LemonadeNoInstance"  # its cause is that Prometheus sees none of the others


def shortened(text):
    """The same with each duration, of ranges and of waiting, as short as a minute is here."""
    def replace(match):
        seconds = int(match["number"]) * SECONDS[match["unit"]]
        return f"{match['before']}{int(seconds * MINUTE / 60 * 1000)}ms"
    return DURATION.sub(replace, text)


def configuration(shipped, targets):
    """The shipped scrape configuration with these targets, scraped every second."""
    listed = ", ".join(f'"{target}"' for target in targets)
    text = re.sub(r"_interval: 15s", "_interval: 1s", shipped)
    return re.sub(r"targets: \[.*?\]", f"targets: [{listed}]", text)


def has(alert, name, labels):
    return alert["labels"]["alertname"] == name and labels.items() <= alert["labels"].items()


class Run:
    def __init__(self, root, folder, stage):
        self.stage = stage
        self.folder = folder
        self.shipped = (root / "config/prometheus/prometheus.yml").read_text(encoding="utf-8")
        self.rules = (root / "config/prometheus/lemonade.rules.yml").read_text(encoding="utf-8")
        (folder / "lemonade.rules.yml").write_text(shortened(self.rules), encoding="utf-8")
        self.set_targets(balancer.admin for balancer in stage.balancers.values())
        self.prometheus = Prometheus(folder)
        self.began = time.time()
        self.causes_began = self.causes_ended = 0.0

    def set_targets(self, targets):
        (self.folder / "prometheus.yml").write_text(configuration(self.shipped, targets), encoding="utf-8")

    def labels(self, balancer, labels):
        return {**labels, "instance": self.stage.balancers[balancer].admin}

    def is_firing(self, name, labels):
        return any(has(alert, name, labels) for alert in self.prometheus.firing())

    def wait_firing(self, name, labels, seconds=120):
        eventually(f"{name} {labels} fires", lambda: self.is_firing(name, labels), seconds)

    def wait_cleared(self, name, labels, seconds=180):
        eventually(f"{name} {labels} clears", lambda: not self.is_firing(name, labels), seconds)

    def all_is_well(self):
        """Longer than any alert waits, with clients and scrapes."""
        eventually("every balancer is scraped", lambda: self.prometheus.targets_up() == len(self.stage.balancers), 30)
        until = time.monotonic() + 6 * MINUTE
        eventually("a quiet while is over", lambda: time.monotonic() > until, 60)
        assert not self.prometheus.firing(), f"all is well, and there fire {self.prometheus.firing()}"

    def all_goes_wrong(self):
        expected = [(alert, self.labels(balancer, labels)) for alert, labels, balancer, _ in faults.FAULTS]
        with contextlib.ExitStack() as causes:
            self.causes_began = time.time()
            for _, _, _, begin in faults.FAULTS:
                causes.enter_context(begin(self.stage))
            for alert, labels in expected:
                self.wait_firing(alert, labels)
            until = time.monotonic() + 6 * MINUTE
            eventually("the causes go on", lambda: time.monotonic() > until, 60)
            missing = [(alert, labels) for alert, labels in expected if not self.is_firing(alert, labels)]
            assert not missing, f"the cause lasts, and there do not fire any more {missing}"
            for alert in self.prometheus.firing():
                said = " ".join(alert["annotations"].values())
                assert "<error" not in said and "<no value>" not in said, said
            self.causes_ended = time.time()
        for alert, labels in expected:
            self.wait_cleared(alert, labels)
        eventually("nothing fires any more", lambda: not self.prometheus.firing(), 120)
        return expected

    def nothing_is_seen(self):
        self.set_targets([])
        self.prometheus.reread()
        self.wait_firing(LAST, {})
        self.set_targets(balancer.admin for balancer in self.stage.balancers.values())
        self.prometheus.reread()
        self.wait_cleared(LAST, {})

    def history(self):
        """Of each alert that fired in this run its labels and the seconds at which it did."""
        data = self.prometheus.ask("query_range", query='ALERTS{alertstate="firing"}', start=self.began,
                                   end=time.time(), step=1)
        return [(series["metric"], [int(when) for when, _ in series["values"]]) for series in data["result"]]

    def judge_history(self, expected):
        """Every alert had its fault and fired once, without a gap from when it was seen to when its cause ended."""
        wanted = set(re.findall(r"- alert: (\w+)", self.rules)) - {LAST} - faults.UNSHOWN
        assert wanted == {alert for alert, _ in expected}, "not every alert has a fault"
        history = self.history()
        for alert, labels in expected:
            [times] = [when for metric, when in history if has({"labels": metric}, alert, labels)]
            gaps = [(a, b) for a, b in zip(times, times[1:]) if b - a > 5]
            assert not gaps, f"{alert} {labels} flapped: {gaps}"
            first, last, ended = (when - self.causes_began for when in (times[0], times[-1], self.causes_ended))
            assert last >= ended - 3, f"{alert} {labels} cleared before its cause had ended"
            print(f"{alert}: fired from {first:.0f} s to {last:.0f} s, its cause lasted to {ended:.0f} s")
        sound = [metric for metric, _ in history if "steady" in (metric.get("pool"), metric.get("listener"))]
        assert not sound, f"what is well brought {sound}"

    def judge_dashboard(self, root):
        empty = list(dashboard.without_data(root / "config/grafana/lemonade.json", self.prometheus, self.began))
        assert not empty, "without data in this run:\n" + "\n".join(empty)


def main():
    if shutil.which("prometheus") is None:
        print("skipped: prometheus is not installed (tools/setup --test installs it)")
        return 77
    root = pathlib.Path(sys.argv[1])
    sys.path.insert(0, str(root / "tools/benchmarks"))
    import namespaces  # pylint: disable=import-error,import-outside-toplevel
    try:
        namespaces.enter()
    except namespaces.Skip as why:
        print(f"skipped: {why}")
        return 77
    namespaces.run("sysctl", "-w", "net.ipv4.ip_forward=1")
    with tempfile.TemporaryDirectory(prefix="lemonade-monitoring-") as name, contextlib.ExitStack() as ends:
        folder = pathlib.Path(name)
        stage = faults.Stage(folder, *sys.argv[2:5])
        run = Run(root, folder, stage)
        ends.callback(stage.stop)
        ends.callback(run.prometheus.stop)
        try:
            stage.start()
            run.prometheus.start()
            run.all_is_well()
            expected = run.all_goes_wrong()
            run.nothing_is_seen()
            run.judge_history(expected)
            assert "Evaluating rule failed" not in run.prometheus.said(), "a rule could not be evaluated"
            run.judge_dashboard(root)
        except BaseException:
            for process in (run.prometheus, *stage.balancers.values()):
                if process.log.exists():
                    print(f"--- {process.log.name}\n" + "\n".join(process.said().splitlines()[-25:]))
            raise
    print("every alert fired and cleared, and every query of the dashboard had data")
    return 0


if __name__ == "__main__":
    sys.exit(main())
