#!/usr/bin/env python3
# SPDX-License-Identifier: MIT
"""Shows that tools/sdk-reference --check finds what it looks for: sdk_reference_finds.py ROOT. Changes a copy of the
headers or of the page in one way after the other. Exits 1 where one goes unnoticed."""
import pathlib
import re
import shutil
import subprocess
import sys
import tempfile

HEADERS = "plugin-api/include/lemonade"
CASES = [  # file, what is looked for, what is put in its place, what must be said
    (f"{HEADERS}/sdk/strategy.hpp", r"/// The backends to choose from;.*\n", "",
     "lemonade/sdk/strategy.hpp: View has no meaning"),
    (f"{HEADERS}/sdk/hash.hpp", r"/// 64 bits by .*\n", "", "lemonade/sdk/hash.hpp: hashText has no meaning"),
    (f"{HEADERS}/sdk/candidates.hpp", r"bool small\(\) const noexcept", "bool tiny() const noexcept",
     "docs/plugin-sdk.md is stale"),
    (f"{HEADERS}/sdk/zones.hpp", r"double tolerance = 1;", "double tolerance = 2;", "docs/plugin-sdk.md is stale"),
    (f"{HEADERS}/sdk/plugin.hpp", r"/// Thrown by importState", "/// Now thrown by importState",
     "docs/plugin-sdk.md is stale"),
    ("docs/plugin-sdk.md", r"(?m)^### `Pick`\n", "", "docs/plugin-sdk.md is stale"),
]


def main():
    root = pathlib.Path(sys.argv[1])
    wrong = []
    for file, old, new, expected in CASES:
        with tempfile.TemporaryDirectory() as folder:
            copy = pathlib.Path(folder)
            for part in (HEADERS, "docs", "tools"):
                shutil.copytree(root / part, copy / part)
            text, count = re.subn(old, new, (copy / file).read_text(encoding="utf-8"), count=1)
            (copy / file).write_text(text, encoding="utf-8")
            run = subprocess.run([copy / "tools/sdk-reference", "--check"], capture_output=True, text=True, check=False)
            if count != 1 or run.returncode != 1 or expected not in run.stdout:
                wrong.append(f"{file}: {expected}: exit code {run.returncode}: {run.stdout}")
    extra = pathlib.Path(tempfile.mkdtemp())
    try:
        for part in (HEADERS, "docs", "tools"):
            shutil.copytree(root / part, extra / part)
        (extra / HEADERS / "sdk/more.hpp").write_text("#pragma once\n", encoding="utf-8")
        run = subprocess.run([extra / "tools/sdk-reference", "--check"], capture_output=True, text=True, check=False)
        if "lemonade/sdk/more.hpp is not in the reference" not in run.stdout:
            wrong.append(f"a header that is new: {run.stdout}")
    finally:
        shutil.rmtree(extra)
    print("\n".join(wrong) or f"{len(CASES) + 1} changes were found")
    return 1 if wrong else 0


if __name__ == "__main__":
    sys.exit(main())
