# SPDX-License-Identifier: MIT
"""Medians, spreads, targets and the chart of the speed measurements."""
import statistics
import subprocess

ORDER = ["Lemonade", "Lemonade epoll", "HAProxy", "nginx", "direct"]
PEERS = ["HAProxy", "nginx"]
GROWTH = 1.1  # of the cost of a connection that counts as none: what two runs of one thing differ by
UNITS = {"cpu_us": "CPU, us", "machine_us": "CPU of the whole machine, us", "rate": "throughput (requests/s, MiB/s)", "p50_us": "p50, us", "p99_us": "p99, us",
         "p999_us": "p99.9, us", "bytes": "memory of each, bytes", "cpu_percent": "CPU, % of a core"}


def median(samples, name, proxy, value):
    return statistics.median(one[value] for one in samples[name][proxy])


def tables(samples, picks):
    """One table for each unit; the spread is half the distance from least to most, in percent of the median."""
    parts = []
    for value, unit in UNITS.items():
        names = [name for name in samples if value in samples[name]["Lemonade"][0]]
        if not names:
            continue
        parts.append(f"| {unit} | " + " | ".join(ORDER) + " |\n|---|" + "---|" * len(ORDER) + "\n")
        for name in names:
            parts.append(f"| {name} | " + " | ".join(_cell(samples[name], proxy, value) for proxy in ORDER) + " |\n")
        parts.append("\n")
    if picks:
        sizes = list(next(iter(picks.values())))
        parts.append("| a pick, ns | " + " | ".join(f"{size:,}" for size in sizes) + " |\n|---|" + "---|" * len(sizes) + "\n")
        parts += [f"| {name} | " + " | ".join(f"{ns:.0f}" for ns in row.values()) + " |\n" for name, row in picks.items()]
    return "".join(parts)


def _cell(of_proxies, proxy, value):
    values = [one[value] for one in of_proxies.get(proxy, [])]
    if not values or (proxy == "direct" and value == "cpu_us"):
        return ""
    middle = statistics.median(values)
    spread = f" ± {50 * (max(values) - min(values)) / middle:.0f} %" if len(values) > 1 and middle else ""
    return f"{middle:,.{0 if middle >= 1000 else 1}f}{spread}"


def judge(samples, picks):
    """(text, whether it holds) of each target."""
    for name in samples:
        if "unpinned" in name:
            continue  # workers, the load and the backend share the cores: shown, not judged
        if name.startswith("request") or name == "connection":
            yield _ratio(samples, name, "cpu_us", ["nginx"], 0.9)
            yield _ratio(samples, name, "cpu_us", ["HAProxy"], 0.85)
        elif name.startswith("MiB"):
            yield _ratio(samples, name, "cpu_us", PEERS, 0.9)
        elif name == "latency":
            yield _ratio(samples, name, "p99_us", PEERS, 1.05)
        elif name.startswith("idle"):
            memory = median(samples, name, "Lemonade", "bytes")
            yield f"{name}: {memory:.0f} bytes each; allowed 1024", memory <= 1024
            cpu = median(samples, name, "Lemonade", "cpu_percent")
            yield f"{name}: {cpu:.2f} % of a core; allowed 1", cpu <= 1
        elif name.endswith("backends checked"):
            yield _ratio(samples, name, "cpu_percent", ["HAProxy"], 1)
    few, many = (f"connection beside {count}" for count in (100, 9000))
    if few in samples and many in samples:
        ratio = median(samples, many, "Lemonade", "cpu_us") / median(samples, few, "Lemonade", "cpu_us")
        yield f"{many}: {ratio:.2f} of beside 100; allowed {GROWTH:g}", ratio <= GROWTH
    for strategy, row in picks.items():
        if strategy == "bench_nothing" or strategy.endswith("+zones"):
            continue  # what measuring costs; what is searched twice
        limit = 60 if strategy == "adaptive" else 20
        yield f"{strategy}: {row[10]:.0f} ns a pick at 10 backends; allowed {limit}", row[10] <= limit
        ratio = row[10000] / row[100]
        yield f"{strategy}: {ratio:.1f} times as much at 10,000 backends as at 100; allowed 5", ratio <= 5


def _ratio(samples, name, value, peers, limit):
    best = min(peers, key=lambda peer: median(samples, name, peer, value))
    ratio = median(samples, name, "Lemonade", value) / median(samples, name, best, value)
    return f"{name}: {ratio:.2f} of {best}; allowed {limit:g}", ratio <= limit


def chart(samples, path):
    """CPU of every unit of work as a multiple of Lemonade's. Writes an SVG."""
    shown = [proxy for proxy in ORDER if proxy != "direct"]
    names = [name for name in samples if "cpu_us" in samples[name]["Lemonade"][0]]
    if not names:
        return
    rows = []
    for name in names:
        costs = [median(samples, name, proxy, "cpu_us") for proxy in shown]
        rows.append([f'"{name}"', *(f"{cost / costs[0]:.3f}" for cost in costs)])
    colours = ["#e69f00", "#f0c95a", "#999999", "#56b4e9"]
    plots = ", ".join(f'$data using {i + 2}{":xtic(1)" if i == 0 else ""} title "{proxy}" linecolor rgb "{colours[i]}"'
                      for i, proxy in enumerate(shown))
    script = ['set terminal svg noenhanced size 1300,520 font "sans-serif,11" background "white"',
              f'set output "{path}"', "$data << END", *(" ".join(row) for row in rows), "END",
              "set style data histograms",
              "set style histogram clustered gap 1", "set style fill solid", "set grid ytics", "set yrange [0:*]",
              "set xtics rotate by 30 right nomirror", 'set ylabel "CPU, Lemonade = 1"', "set key top left",
              f"plot {plots}"]
    subprocess.run(["gnuplot"], input="\n".join(script) + "\n", text=True, check=True)
    path.write_text("\n".join(line.rstrip() for line in path.read_text().splitlines()) + "\n")
