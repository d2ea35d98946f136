#!/usr/bin/env python3
# SPDX-License-Identifier: MIT
"""Writes the code blocks of a page that begin with their file name: code_blocks.py PAGE FOLDER.

A block belongs when its first line is a comment that is a file name, as `// first.cpp` or `# CMakeLists.txt`. Prints the
names; leaves a file alone that has the text already, so that nothing is built twice."""
import pathlib
import re
import sys

import pages

NAME = re.compile(r"^(?://|#) ([\w.-]+\.(?:cpp|c|txt|toml))$")


def main():
    page, folder = pathlib.Path(sys.argv[1]), pathlib.Path(sys.argv[2])
    folder.mkdir(parents=True, exist_ok=True)
    for block in pages.blocks(page):
        match = NAME.match(block.text.partition("\n")[0])
        if not match:
            continue
        file = folder / match[1]
        if not file.is_file() or file.read_text(encoding="utf-8") != block.text:
            file.write_text(block.text, encoding="utf-8")
        print(match[1])


if __name__ == "__main__":
    main()
