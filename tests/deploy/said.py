#!/usr/bin/env python3
# SPDX-License-Identifier: MIT
"""Prints what the deployment guide tells the reader to type: said.py ROOT HEADING [LANGUAGE [NUMBER]].

That is the NUMBERth block of the LANGUAGE (default: the first of sh) beneath the heading, up to the next heading of any
kind. Exits 1 where there is none."""
import pathlib
import re
import sys


def blocks(text, heading, language):
    section = re.search(rf"^#+ {re.escape(heading)}\n(.*?)(?=^#+ [^\n]*\n\n|\Z)", text, re.MULTILINE | re.DOTALL)
    return re.findall(rf"^```{language}\n(.*?)^```$", section[1], re.MULTILINE | re.DOTALL) if section else []


def main():
    root, heading, language, number = (*sys.argv[1:], *("sh", "1")[len(sys.argv) - 3:])
    found = blocks((pathlib.Path(root) / "docs/deployment.md").read_text(encoding="utf-8"), heading, language)
    if len(found) < int(number):
        print(f"the deployment guide has no block {number} of {language} under '{heading}'", file=sys.stderr)
        return 1
    print(found[int(number) - 1], end="")
    return 0


if __name__ == "__main__":
    sys.exit(main())
