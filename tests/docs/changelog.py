#!/usr/bin/env python3
# SPDX-License-Identifier: MIT
"""Checks that CHANGELOG.md tells of the version that is built: changelog.py CHANGELOG VERSION.

Its headings are versions with their dates, the newest first, and the first one is VERSION; above it may stand what is
not released yet, under "Unreleased". Exits 1 when not."""
import datetime
import pathlib
import re
import sys

HEADING = re.compile(r"^## (.*)$", re.MULTILINE)
RELEASE = re.compile(r"(\d+)\.(\d+)\.(\d+) - (\d{4}-\d{2}-\d{2})")


def findings(text, version):
    releases = []
    headings = HEADING.findall(text)
    for heading in headings[1:] if headings[:1] == ["Unreleased"] else headings:
        match = RELEASE.fullmatch(heading)
        if not match:
            yield f"'{heading}' is not VERSION - YEAR-MONTH-DAY"
            continue
        releases.append((tuple(map(int, match.groups()[:3])), datetime.date.fromisoformat(match[4])))
    if not releases or ".".join(map(str, releases[0][0])) != version:
        yield f"the newest version is not {version}, which CMakeLists.txt builds"
    for newer, older in zip(releases, releases[1:]):
        if newer[0] <= older[0] or newer[1] < older[1]:
            yield f"{newer} stands before {older}"


def main():
    found = list(findings(pathlib.Path(sys.argv[1]).read_text(encoding="utf-8"), sys.argv[2]))
    print("\n".join(found) or "the changelog tells of this version")
    return 1 if found else 0


if __name__ == "__main__":
    sys.exit(main())
