#!/usr/bin/env python3
# SPDX-License-Identifier: MIT
"""Checks the table that opens docs/architecture.md: where_table.py PAGE. Each row links a file and may name symbols in
backquotes; the file must exist and hold each of them. Exits 1 when a row is stale."""
import pathlib
import re
import sys

ROW = re.compile(r"^\| (?P<question>where [^|]+?) \| \[[^\]]+\]\((?P<file>[^)]+)\)(?P<symbols>[^|]*)\|$", re.MULTILINE)


def stale(page, row):
    """Why a row is stale, or None."""
    path = (page.parent / row["file"]).resolve()
    if not path.is_file():
        return f"{row['file']} does not exist"
    text = path.read_text(encoding="utf-8")
    missing = [symbol for symbol in re.findall(r"`([^`]+)`", row["symbols"]) if symbol not in text]
    return f"{row['file']} does not hold {', '.join(missing)}" if missing else None


def main():
    page = pathlib.Path(sys.argv[1])
    rows = list(ROW.finditer(page.read_text(encoding="utf-8")))
    findings = [f"{row['question']}: {why}" for row in rows if (why := stale(page, row))]
    if not rows:
        findings = [f"{page}: no row that starts with 'where' was found"]
    print("\n".join(findings) or f"{len(rows)} rows hold")
    return 1 if findings else 0


if __name__ == "__main__":
    sys.exit(main())
