# SPDX-License-Identifier: MIT
"""The chart: one panel for each scenario, one bar for each contender, its errors above it; drawn by gnuplot."""
import subprocess

from scenarios import catalog

COLOURS = {"adaptive": "#e69f00", "ours": "#56b4e9", "peer": "#999999"}


def draw(all_rows, path):
    """Writes an SVG. Raises CalledProcessError where gnuplot fails."""
    columns = min(4, len(all_rows))
    lines = -(-len(all_rows) // columns)
    script = [f'set terminal svg noenhanced size {320 * columns},{330 * lines} font "sans-serif,11" background "white"',
              f'set output "{path}"', f"set multiplot layout {lines},{columns}", "set logscale y",
              "set style fill solid", "set boxwidth 0.8", "set grid ytics", "set xtics rotate by 60 right nomirror",
              "unset key", 'set format y "%.0f"', 'set ylabel "p99, ms"', "set yrange [10:40000]"]
    for key, rows in all_rows.items():
        script += _panel(key, rows)
    script.append("unset multiplot")
    subprocess.run(["gnuplot"], input="\n".join(script) + "\n", text=True, check=True)
    # gnuplot leaves blanks at the ends of lines.
    path.write_text("\n".join(line.rstrip() for line in path.read_text().splitlines()) + "\n")


def _panel(key, rows):
    bars = [f'{i} {max(row.p99, 10.5):.2f} {_colour(row)} "{row.contender}"' for i, row in enumerate(rows)]
    marks = [f"{i} {row.p99:.2f} {row.failed}" for i, row in enumerate(rows) if row.failed]
    return ["$bars << END", *bars, "END", "$marks << END", *(marks or ["-9 1 0"]), "END",
            f'set title "{key}: {catalog.BY_KEY[key].title}"', f"set xrange [-0.7:{len(rows) - 0.3}]",
            "plot $bars using 1:2:3:xtic(4) with boxes linecolor rgb variable, "
            '$marks using 1:2:3 with labels rotate by 90 left offset 0,0.3 font ",8" textcolor rgb "#cc0000"']


def _colour(row):
    kind = row.contender if row.contender in COLOURS else "ours" if row.ours else "peer"
    return int(COLOURS[kind][1:], 16)
