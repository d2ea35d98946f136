#!/usr/bin/env python3
# SPDX-License-Identifier: MIT
"""Checks that what the pages link to in this repository exists: links.py ROOT. Exits 1 when something does not."""
import pathlib
import re
import sys

import pages

LINK = re.compile(r"\]\(([^)\s]+)\)")


def anchor(heading):
    """The anchor that renderers make of a heading."""
    return re.sub(r"[^\w\- ]", "", heading.lower()).replace(" ", "-")


def anchors(page):
    return {anchor(heading) for heading in re.findall(r"^#+ (.+)$", page.read_text(encoding="utf-8"), re.MULTILINE)}


def broken(page, target):
    """Why a link leads nowhere, or None."""
    if "://" in target:
        return None
    file, _, section = target.partition("#")
    path = (page.parent / file).resolve() if file else page
    if not path.exists():
        return "does not exist"
    if section and path.suffix == ".md" and section not in anchors(path):
        return "has no such section"
    return None


def main():
    root = pathlib.Path(sys.argv[1])
    findings = [
        f"{page.relative_to(root)}: {target} {why}"
        for page in pages.all_pages(root)
        for target in LINK.findall(page.read_text(encoding="utf-8"))
        if (why := broken(page, target))
    ]
    print("\n".join(findings) or "all links lead somewhere")
    return 1 if findings else 0


if __name__ == "__main__":
    sys.exit(main())
