#!/usr/bin/env python3
# SPDX-License-Identifier: MIT
"""Prints the changelog of the Debian packages, made of CHANGELOG.md: debian_changelog.py CHANGELOG CONTROL.

CONTROL is debian/control, which names the source and the maintainer."""
import datetime
import pathlib
import re
import sys
import textwrap

import changelog


def entry(release, source, maintainer):
    text = re.sub(r"^### .*\n", "", release.text, flags=re.MULTILINE)
    lines = [" ".join(item.split()) for item in re.split(r"^\* ", text, flags=re.MULTILINE) if item.strip()]
    items = "\n".join(textwrap.fill(line, 76, initial_indent="  * ", subsequent_indent="    ") for line in lines)
    day = datetime.date.fromisoformat(release.date).strftime("%a, %d %b %Y 12:00:00 +0000")
    return f"{source} ({release.version}) unstable; urgency=medium\n\n{items}\n\n -- {maintainer}  {day}\n"


def main():
    control = pathlib.Path(sys.argv[2]).read_text(encoding="utf-8")
    source, maintainer = (re.search(rf"^{field}: (.*)$", control, re.MULTILINE)[1]
                          for field in ("Source", "Maintainer"))
    releases = changelog.releases(pathlib.Path(sys.argv[1]))
    print("\n".join(entry(release, source, maintainer) for release in releases), end="")


if __name__ == "__main__":
    main()
