# SPDX-License-Identifier: MIT
"""Shows that a tool that writes a page of the headers finds, with --check, what it looks for."""
import pathlib
import re
import shutil
import subprocess
import tempfile

HEADERS = "plugin-api/include/lemonade"


def check(root, tool, cases, more=()):
    """Changes a copy of the headers or of the page in one way after the other. A case is a file, what is looked for in it,
    what is put in its place, and what must be said; one of more is a file, what it holds from then on, and what must be
    said. Returns the exit code of the test."""
    wrong = []
    for file, old, new, expected in cases:
        wrong += _finds(root, tool, file, lambda text, old=old, new=new: re.subn(old, new, text, count=1), expected)
    for file, text, expected in more:
        wrong += _finds(root, tool, file, lambda _, text=text: (text, 1), expected)
    print("\n".join(wrong) or f"{len(cases) + len(more)} changes were found")
    return 1 if wrong else 0


def _finds(root, tool, file, change, expected):
    with tempfile.TemporaryDirectory() as folder:
        copy = pathlib.Path(folder)
        for part in (HEADERS, "docs", "tools"):
            shutil.copytree(root / part, copy / part)
        changed = copy / file
        text, count = change(changed.read_text(encoding="utf-8") if changed.exists() else "")
        changed.write_text(text, encoding="utf-8")
        run = subprocess.run([copy / tool, "--check"], capture_output=True, text=True, check=False)
        if count == 1 and run.returncode == 1 and expected in run.stdout:
            return []
        return [f"{file}: {expected}: exit code {run.returncode}: {run.stdout}"]
