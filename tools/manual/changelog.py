# SPDX-License-Identifier: MIT
"""The releases that CHANGELOG.md tells of."""
import re
from typing import NamedTuple

HEADING = re.compile(r"^## (\S+) - (\d{4}-\d{2}-\d{2})$", re.MULTILINE)


class Release(NamedTuple):
    version: str
    date: str  # year-month-day
    text: str  # what changed, as Markdown


def releases(path):
    """The newest first."""
    text = path.read_text(encoding="utf-8")
    found = list(HEADING.finditer(text))
    ends = [match.start() for match in found[1:]] + [len(text)]
    return [Release(match[1], match[2], text[match.end():end].strip()) for match, end in zip(found, ends)]
