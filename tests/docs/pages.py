# SPDX-License-Identifier: MIT
"""The pages of this project and their code blocks, for the checks beside this file."""
import pathlib
import re
from typing import NamedTuple

BLOCK = re.compile(r"^```(?P<language>\w+)\n(?P<text>.*?)^```$", re.MULTILINE | re.DOTALL)


class Block(NamedTuple):
    page: pathlib.Path
    line: int  # of the first line of text
    language: str
    text: str


def all_pages(root):
    return [
        *sorted(root.glob("*.md")), root / "plugin-api/template/README.md", root / "plugin-api/examples/README.md",
        *sorted((root / "docs").rglob("*.md"))
    ]


def blocks(page):
    text = page.read_text(encoding="utf-8")
    return [
        Block(page, text.count("\n", 0, match.start("text")) + 1, match["language"], match["text"])
        for match in BLOCK.finditer(text)
    ]
