#!/usr/bin/env python3
# SPDX-License-Identifier: MIT
"""Compares a library with a stored description of the ABI by abidiff: abi_diff.py DESCRIPTION LIBRARY FROZEN.

A struct may have got fields behind its last one, unless the frozen header says that it never grows; every other
difference is one too many. abidiff's own suppressions are not used: version 2.2 suppresses with a field at the end also
what moved. Exits 1 when the ABI is not what it was."""
import pathlib
import re
import subprocess
import sys

CHANGED = 4  # abidiff's exit code for differences of any kind


def fixed_structs(frozen):
    """The structs whose comment says so."""
    text = "\n".join(path.read_text(encoding="utf-8") for path in frozen.glob("lemonade/*.h"))
    comments = re.findall(r"/\*((?:(?!\*/).)*)\*/\ntypedef struct (lemonade_\w+) \{", text, re.DOTALL)
    return {name for comment, name in comments if "Never grows" in re.sub(r"\s+\*?\s*", " ", comment)}


def harmless(change, fixed):
    """True where a paragraph of the report tells of fields at the end of a struct that may grow, and of nothing else."""
    first, *rest = change.splitlines()
    name = re.fullmatch(r"'struct (lemonade_\w+)' changed:", first)
    size = rest and re.fullmatch(r"  type size changed from (\d+) to \d+ \(in bits\)", rest[0])
    if not name or name[1] in fixed or not size:
        return False
    offsets = [re.fullmatch(r"    '.*', at offset (\d+) \(in bits\)", line) for line in rest[2:]]
    return bool(re.fullmatch(r"  \d+ data member insertions?:", rest[1]) and offsets and
                all(offset and int(offset[1]) >= int(size[1]) for offset in offsets))


def main():
    description, library, frozen = sys.argv[1], sys.argv[2], pathlib.Path(sys.argv[3])
    run = subprocess.run(["abidiff", "--leaf-changes-only", "--no-show-locs", "--no-linkage-name", description, library],
                         capture_output=True, text=True, check=False)
    if run.returncode == 0:
        print("the ABI is what it was")
        return 0
    summary, *changes = re.split(r"\n\n+", run.stdout.strip())
    symbols_stayed = all(f"0 Removed, 0 Changed, 0 Added {kind}" in summary for kind in ("function", "variable"))
    if run.returncode == CHANGED and symbols_stayed and changes:
        fixed = fixed_structs(frozen)
        changes = [change for change in changes if not harmless(change, fixed)]
        if not changes:
            print(f"structs have grown at their end:\n{run.stdout}")
            return 0
    print(f"abidiff exited with {run.returncode}:\n{run.stdout}{run.stderr}")
    return 1


if __name__ == "__main__":
    sys.exit(main())
