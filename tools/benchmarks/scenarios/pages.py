# SPDX-License-Identifier: MIT
"""Writes results into the documentation: a section of docs/balancing.md, a page with everything, and the chart."""
import re

from scenarios import catalog, chart, report, targets

def write(docs, results, rows, verdicts):
    harder = all(catalog.BY_KEY[key] in catalog.HARDER for key in rows)
    name = "harder-scenarios" if harder else "scenarios"
    (docs / f"{name}.md").write_text(report.full(results, rows))
    chart.draw(rows, docs / f"{name}.svg")
    page = docs / "balancing.md"
    marked = re.compile(rf"(<!-- tools/bench: {name} -->\n).*?(<!-- tools/bench: end -->)", re.DOTALL)
    section = "\n".join([report.overview(rows), report.conditions(results), "",
                         *(_item(catalog.BY_KEY[key]) for key in rows), "", "```text",
                         targets.text(verdicts), "```", ""])
    text, count = marked.subn(lambda match: match[1] + section + match[2], page.read_text())
    if count != 1:
        raise SystemExit(f"tools/bench: {page} has no place for the results")
    page.write_text(text)


def _item(scenario):
    return f"* {scenario.key}: {scenario.title}" + (f" ({scenario.detail})" if scenario.detail else "")
