# SPDX-License-Identifier: MIT
"""Medians, spreads, targets and the chart of the speed measurements."""
import statistics
import subprocess

ORDER = ["Lemonade", "HAProxy", "nginx", "direct"]
PEERS = ["HAProxy", "nginx"]
UNITS = {"cpu_us": "CPU, us", "rate": "throughput (requests/s, MiB/s)", "p50_us": "p50, us", "p99_us": "p99, us",
         "p999_us": "p99.9, us", "bytes": "memory of each, bytes", "cpu_percent": "CPU, % of a core"}


def median(samples, name, proxy, value):
    return statistics.median(one[value] for one in samples[name][proxy])


def tables(samples):
    """One table for each unit; the spread is half the distance from least to most, in percent of the median."""
    parts = []
    for value, unit in UNITS.items():
        names = [name for name in samples if value in samples[name]["Lemonade"][0]]
        parts.append(f"| {unit} | " + " | ".join(ORDER) + " |\n|---|" + "---|" * len(ORDER) + "\n")
        for name in names:
            parts.append(f"| {name} | " + " | ".join(_cell(samples[name], proxy, value) for proxy in ORDER) + " |\n")
        parts.append("\n")
    return "".join(parts)


def _cell(of_proxies, proxy, value):
    values = [one[value] for one in of_proxies.get(proxy, [])]
    if not values or (proxy == "direct" and value == "cpu_us"):
        return ""
    middle = statistics.median(values)
    spread = f" ± {50 * (max(values) - min(values)) / middle:.0f} %" if len(values) > 1 and middle else ""
    return f"{middle:,.{0 if middle >= 1000 else 1}f}{spread}"


def judge(samples):
    """(text, whether it holds) of each target."""
    for name in samples:
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


def _ratio(samples, name, value, peers, limit):
    best = min(peers, key=lambda peer: median(samples, name, peer, value))
    ratio = median(samples, name, "Lemonade", value) / median(samples, name, best, value)
    return f"{name}: {ratio:.2f} of {best}; allowed {limit:g}", ratio <= limit


def chart(samples, path):
    """CPU of every unit of work as a multiple of Lemonade's. Writes an SVG."""
    names = [name for name in samples if "cpu_us" in samples[name]["Lemonade"][0]]
    rows = []
    for name in names:
        costs = [median(samples, name, proxy, "cpu_us") for proxy in ORDER[:3]]
        rows.append([f'"{name}"', *(f"{cost / costs[0]:.3f}" for cost in costs)])
    script = ['set terminal svg noenhanced size 1100,480 font "sans-serif,11" background "white"',
              f'set output "{path}"', "$data << END", *(" ".join(row) for row in rows), "END",
              "set style data histograms",
              "set style histogram clustered gap 1", "set style fill solid", "set grid ytics", "set yrange [0:*]",
              "set xtics rotate by 30 right nomirror", 'set ylabel "CPU, Lemonade = 1"', "set key top left",
              'plot $data using 2:xtic(1) title "Lemonade" linecolor rgb "#e69f00", '
              '$data using 3 title "HAProxy" linecolor rgb "#999999", '
              '$data using 4 title "nginx" linecolor rgb "#56b4e9"']
    subprocess.run(["gnuplot"], input="\n".join(script) + "\n", text=True, check=True)
    path.write_text("\n".join(line.rstrip() for line in path.read_text().splitlines()) + "\n")
