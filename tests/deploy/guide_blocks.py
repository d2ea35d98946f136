#!/usr/bin/env python3
# SPDX-License-Identifier: MIT
"""The commands of a page: guide_blocks.py PAGE lists the sections that have some, guide_blocks.py PAGE SECTION prints
those of a section, as the page has them. A section is what stands under a heading of any level."""
import pathlib
import re
import sys

FENCE = re.compile(r"^```sh\n(.*?)^```$", re.MULTILINE | re.DOTALL)
HEADING = re.compile(r"^#+ (.+)$", re.MULTILINE)


def sections(text):
    """{heading: commands}. A comment within a block is no heading."""
    outside = re.sub(r"^```.*?^```$", lambda block: " " * len(block[0]), text, flags=re.MULTILINE | re.DOTALL)
    headings = list(HEADING.finditer(outside))
    ends = [heading.start() for heading in headings[1:]] + [len(text)]
    found = {heading[1]: "".join(FENCE.findall(text[heading.end():end])) for heading, end in zip(headings, ends)}
    return {name: commands for name, commands in found.items() if commands}


def main():
    found = sections(pathlib.Path(sys.argv[1]).read_text(encoding="utf-8"))
    print(found[sys.argv[2]] if len(sys.argv) > 2 else "\n".join(found), end="\n" if len(sys.argv) == 2 else "")


if __name__ == "__main__":
    main()
