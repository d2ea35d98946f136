#!/usr/bin/env python3
# SPDX-License-Identifier: MIT
"""The dashboard config/grafana/lemonade.json, and its queries as Grafana would send them with every variable at "All".

dashboard.py FILE checks what no query shows: ids, places, variables and where panels have their data from. live.py asks
a real Prometheus for all of it. Exits 1 when something is wrong."""
import json
import pathlib
import re
import sys
import time

ROWS = ["Overview", "Traffic", "Errors", "Latency", "Health and ejections", "Queue and limits",
        "Forwarding by the kernel", "Reloads, plugins, process"]
SOURCE = {"type": "prometheus", "uid": "${datasource}"}
LABEL_VALUES = re.compile(r"label_values\((?P<series>.+), *(?P<label>\w+)\)")
BUILT_IN = {"__rate_interval": "10s", "__interval": "5s", "__range": "60s"}


def load(path):
    return json.loads(path.read_text(encoding="utf-8"))


def panels(board):
    """All of them, those within rows, too."""
    for panel in board["panels"]:
        yield panel
        yield from panel.get("panels", [])


def filled(query):
    """The query without variables: each matches everything."""
    query = re.sub(r"\$\{?(\w+)(?::\w+)?\}?", lambda match: BUILT_IN.get(match[1], ".*"), query)
    assert "$" not in query, query
    return query


def queries(board):
    """The title of each panel with each of its queries, and the same of annotations."""
    for panel in panels(board):
        for target in panel.get("targets", []):
            yield panel["title"], target["expr"]
    for annotation in board["annotations"]["list"]:
        yield annotation["name"], annotation["expr"]


def variables(board):
    """Of each variable that is asked for: its name, the series and the label whose values it has."""
    for variable in board["templating"]["list"]:
        if variable["type"] == "query":
            match = LABEL_VALUES.fullmatch(variable["query"]["query"])
            yield variable["name"], match["series"], match["label"]


def without_data(path, prometheus, since):
    """What of the dashboard shows nothing since then."""
    board, now = load(path), time.time()
    for title, query in queries(board):
        data = prometheus.ask("query_range", query=filled(query), start=since, end=now, step=2)["result"]
        if not any(value != "NaN" for series in data for _, value in series["values"]):
            yield f"{title}: {query}"
    for name, series, label in variables(board):
        if not prometheus.ask(f"label/{label}/values", **{"match[]": filled(series)}):
            yield f"${name}: {series} has no {label}"


def overlap(a, b):
    return (a["x"] < b["x"] + b["w"] and b["x"] < a["x"] + a["w"] and a["y"] < b["y"] + b["h"]
            and b["y"] < a["y"] + a["h"])


def panel_findings(panel):
    if panel["type"] == "row":
        return
    if panel["datasource"] != SOURCE:
        yield f"{panel['title']} has its data from {panel['datasource']}"
    if not panel["targets"]:
        yield f"{panel['title']} asks nothing"
    for target in panel["targets"]:
        shown = set(re.findall(r"\{\{(\w+)\}\}", target.get("legendFormat", "")))
        by = re.search(r"by \(([^)]*)\)", target["expr"])
        if by and not shown <= set(by[1].split(", ")):
            yield f"{panel['title']} shows labels that {target['expr']} has not"


def findings(board):
    shown = list(panels(board))
    ids = [panel["id"] for panel in shown]
    if len(ids) != len(set(ids)):
        yield "two panels have the same id"
    rows = [panel["title"] for panel in shown if panel["type"] == "row"]
    if rows != ROWS:
        yield f"the rows are {rows}"
    for i, one in enumerate(shown):
        yield from panel_findings(one)
        yield from (f"{one['title']} lies over {other['title']}" for other in shown[:i]
                    if overlap(one["gridPos"], other["gridPos"]))
        if one["gridPos"]["x"] + one["gridPos"]["w"] > 24:
            yield f"{one['title']} is too wide"
    defined = {variable["name"] for variable in board["templating"]["list"]} | BUILT_IN.keys()
    used = set(re.findall(r"\$\{?(\w+)", " ".join(query for _, query in queries(board))))
    used |= set(re.findall(r"\$\{?(\w+)", " ".join(series for _, series, _ in variables(board))))
    yield from (f"there is no variable {name}" for name in used - defined)
    yield from (f"nothing uses the variable {name}" for name in defined - used - BUILT_IN.keys() - {"datasource"})


def main():
    found = list(findings(load(pathlib.Path(sys.argv[1]))))
    print("\n".join(found) or "the dashboard is sound")
    return 1 if found else 0


if __name__ == "__main__":
    sys.exit(main())
