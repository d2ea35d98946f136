#!/usr/bin/env python3
# SPDX-License-Identifier: MIT
"""A real Prometheus that takes native histograms scrapes a balancer that has them: native.py LEMONADE.

Backends that take 20 ms and 200 ms are asked for a few seconds. Shown is that histogram_quantile over the native series,
of one backend and of the pool as a sum, is near these times; and that a Prometheus that does not take them is
answered with the classic ones. Exits 77 where there is no prometheus."""
import contextlib
import pathlib
import shutil
import sys
import tempfile

from peers import Backend, Clients
from processes import Balancer, Prometheus, eventually

FAMILY = "lemonade_backend_exchange_seconds"
TEXT = """
strategy.algorithm = "round_robin"
health.checker = "none"
metrics.options.prometheus = {native_histograms = true}
[[listeners]]
name = "in"
address = LISTEN(in)
pool = "default"
[[backends]]
id = "quick"
address = "QUICK"
[[backends]]
id = "slow"
address = "SLOW"
"""
SCRAPE = """
global: {scrape_interval: 1s}
scrape_configs:
  - job_name: lemonade
    static_configs: [{targets: ["ADMIN"]}]
"""


def prometheus(folder, admin, *flags):
    folder.mkdir()
    (folder / "prometheus.yml").write_text(SCRAPE.replace("ADMIN", admin), encoding="utf-8")
    process = Prometheus(folder)
    process.command += flags
    return process


def number(source, query):
    """The value of a query that has one sample; None where it has none yet."""
    samples = source.ask("query", query=query)["result"]
    return float(samples[0]["value"][1]) if samples and samples[0]["value"][1] != "NaN" else None


def near(source, query, seconds):
    """Within what a host's bucket leaves open, and the time that an answer takes beyond its delay."""
    def is_near():
        value = number(source, query)
        return value is not None and 0.82 * seconds <= value <= 1.5 * seconds
    eventually(f"{query} is near {seconds} (is {number(source, query)})", is_near, 30)


def main():
    if shutil.which("prometheus") is None:
        print("skipped: prometheus is not installed (tools/setup --test installs it)")
        return 77
    with tempfile.TemporaryDirectory(prefix="lemonade-native-") as name, contextlib.ExitStack() as ends:
        folder = pathlib.Path(name)
        backends = [Backend(), Backend()]
        for backend, delay in zip(backends, (0.02, 0.2)):
            backend.delay = delay
        text = TEXT.replace("QUICK", backends[0].address).replace("SLOW", backends[1].address)
        balancer = Balancer(folder, "native", sys.argv[1], ["in"], [], text)
        native = prometheus(folder / "native", balancer.admin, "--enable-feature=native-histograms")
        classic = prometheus(folder / "classic", balancer.admin)
        for process in (balancer, native, classic):
            ends.callback(process.stop)
            process.start()
        clients = Clients(balancer.ports["in"])
        ends.callback(clients.stop)
        for backend, seconds in (("quick", 0.02), ("slow", 0.2)):
            near(native, f'histogram_quantile(0.5, rate({FAMILY}{{backend="{backend}"}}[10s]))', seconds)
        near(native, f"histogram_quantile(0.99, sum by (pool) (rate({FAMILY}[10s])))", 0.2)
        assert number(native, f"count({FAMILY}_bucket)") is None, "classic buckets came along"
        eventually("the other one has classic buckets", lambda: number(classic, f"count({FAMILY}_bucket)"), 30)
        assert number(classic, f"count({FAMILY})") is None, "and native ones"
        assert number(native, "count(lemonade_backend_up)") == number(classic, "count(lemonade_backend_up)")
    print("percentiles of native histograms are right")
    return 0


if __name__ == "__main__":
    sys.exit(main())
