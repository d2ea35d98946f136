#!/usr/bin/env python3
# SPDX-License-Identifier: MIT
"""Checks that rules, dashboards and pages ask for what there is: metric_names.py METRICS.md RULES PAGE [FILE...].

METRICS.md lists the families with their labels; a unit test holds it to the code. RULES are Prometheus rules, and PAGE
says what to do when their alerts fire. Checked are the names of families, and of what RULES record, in RULES, PAGE and
each FILE; the labels that a family is asked by, in RULES and each FILE; and that PAGE has a section and a row for each
alert, with its severity, and for no other. Exits 1 when something is not so."""
import pathlib
import re
import sys

FAMILY = re.compile(r"^\| `(?P<name>(?:lemonade|process)_\w+)` \| (?P<type>\w+) \|(?P<labels>[^|]*)\|", re.MULTILINE)
SECTION = re.compile(r"^## ", re.MULTILINE)
NAME = re.compile(r"\b(?:lemonade[_:]|process_)[\w:]+")
SELECTOR = re.compile(r"\b(?P<name>(?:lemonade|process)_\w+)\{(?P<labels>[^}]*)\}")
LABEL = re.compile(r"(\w+) *(?:=~|!~|!=|=)")
RECORD = re.compile(r"^ *- record: (\S+)$", re.MULTILINE)
ALERT = re.compile(r"^ *- alert: (?P<name>\w+)$.*?severity: (?P<severity>\w+).*?^ *runbook: (?P<runbook>\S+)$",
                   re.MULTILINE | re.DOTALL)
ROW = re.compile(r"^\| \[(\w+)\]\(#(\w+)\) \| (\w+) \|", re.MULTILINE)
HEADING = re.compile(r"^### (Lemonade\w+)$", re.MULTILINE)
OF_TARGETS = {"job", "instance", "le"}


def families(text):
    """Of each name that Prometheus shows of a family the labels that it has."""
    found = {}
    for section in SECTION.split(text):
        common = re.search(r"Every series has the labels? (.*?)\.(?:\s|$)", section, re.DOTALL)
        shared = re.findall(r"`(\w+)`", common[1]) if common else []
        for match in FAMILY.finditer(section):
            labels = {*shared, *re.findall(r"`(\w+)`", match["labels"].split(":")[0]), *OF_TARGETS}
            endings = ("_bucket", "_sum", "_count") if match["type"] == "histogram" else ("",)
            found.update({match["name"] + ending: labels for ending in endings})
    return found


def name_findings(text, known, recorded):
    for name in sorted(set(NAME.findall(text))):
        if name not in known and name not in recorded:
            yield f"there is no {name}"


def label_findings(text, known):
    for match in SELECTOR.finditer(text):
        for label in LABEL.findall(match["labels"]):
            if label not in known.get(match["name"], {label}):
                yield f"{match['name']} has no label {label}"


def page_findings(rules, page):
    alerts = {match["name"]: (match["severity"], match["runbook"]) for match in ALERT.finditer(rules)}
    rows = {name: (anchor, severity) for name, anchor, severity in ROW.findall(page.read_text(encoding="utf-8"))}
    headings = HEADING.findall(page.read_text(encoding="utf-8"))
    for name, (severity, runbook) in alerts.items():
        if runbook != f"docs/{page.name}#{name.lower()}":
            yield f"the runbook of {name} is {runbook}"
        if name not in headings:
            yield f"{page.name} has no section {name}"
        if rows.get(name) != (name.lower(), severity):
            yield f"{page.name} has no row for {name}, {severity}"
    yield from (f"there is no alert {name}" for name in {*rows, *headings} - {*alerts})
    if len(alerts) != len(re.findall(r"- alert:", rules)):
        yield "an alert has no severity or no runbook"


def main():
    metrics, rules_file, page, *files = map(pathlib.Path, sys.argv[1:])
    rules = rules_file.read_text(encoding="utf-8")
    known, recorded = families(metrics.read_text(encoding="utf-8")), set(RECORD.findall(rules))
    # Pages say the name of a histogram, whose series have longer ones.
    said = known | {name.removesuffix("_bucket"): labels for name, labels in known.items()}
    findings = [f"{page.name}: {one}" for one in name_findings(page.read_text(encoding="utf-8"), said, recorded)]
    for file in (rules_file, *files):
        text = file.read_text(encoding="utf-8").replace("docs/", "")
        findings += [f"{file.name}: {one}" for one in name_findings(text, known, recorded)]
        findings += [f"{file.name}: {one}" for one in label_findings(text, known)]
    findings += page_findings(rules, page)
    print("\n".join(findings) or f"every name of {len(known)} series is true")
    return 1 if findings else 0


if __name__ == "__main__":
    sys.exit(main())
