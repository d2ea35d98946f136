#!/usr/bin/env python3
# SPDX-License-Identifier: MIT
"""The commands of a page: guide_blocks.py PAGE lists the sections that have some, guide_blocks.py PAGE SECTION prints
those of a section, as the page has them. A section is what stands under a heading of any level. With a NUMBER behind
it, that block alone, and with a LANGUAGE behind that, of the blocks that are not of sh. Exits 1 where there is none."""
import pathlib
import re
import sys

FENCE = r"^```{}\n(.*?)^```$"
HEADING = re.compile(r"^#+ (.+)$", re.MULTILINE)


def sections(text, language):
    """{heading: its blocks}. A comment within a block is no heading."""
    outside = re.sub(r"^```.*?^```$", lambda block: " " * len(block[0]), text, flags=re.MULTILINE | re.DOTALL)
    headings = list(HEADING.finditer(outside))
    ends = [heading.start() for heading in headings[1:]] + [len(text)]
    fence = re.compile(FENCE.format(language), re.MULTILINE | re.DOTALL)
    found = {heading[1]: fence.findall(text[heading.end():end]) for heading, end in zip(headings, ends)}
    return {name: blocks for name, blocks in found.items() if blocks}


def main():
    page, section, number, language = [*sys.argv[1:], *(None, None, "sh")[len(sys.argv) - 2:]]
    found = sections(pathlib.Path(page).read_text(encoding="utf-8"), language)
    if section is None:
        print("\n".join(found))
        return 0
    blocks = found.get(section, [])[int(number) - 1:int(number)] if number else found.get(section, [])
    print("".join(blocks), end="")
    return 0 if blocks else f"{page} has no such block of {language} under '{section}'"


if __name__ == "__main__":
    sys.exit(main())
