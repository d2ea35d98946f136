#!/usr/bin/env python3
# SPDX-License-Identifier: MIT
"""Checks that nobody changed what was frozen: frozen.py FOLDER. Every file of the folder is as SHA256SUMS says, none is
new, none is gone. Exits 1 when that is not so."""
import hashlib
import pathlib
import sys


def main():
    folder = pathlib.Path(sys.argv[1])
    lines = (folder / "SHA256SUMS").read_text(encoding="utf-8").splitlines()
    known = {name: digest for digest, name in (line.split("  ", 1) for line in lines)}
    found = {str(path.relative_to(folder)): hashlib.sha256(path.read_bytes()).hexdigest()
             for path in folder.rglob("*") if path.is_file() and path.name != "SHA256SUMS"}
    wrong = [f"{name}: {'is new' if name not in known else 'is gone' if name not in found else 'was changed'}"
             for name in sorted({*known, *found}) if known.get(name) != found.get(name)]
    print("\n".join(wrong) or f"{len(known)} files are as they were released")
    return 1 if wrong else 0


if __name__ == "__main__":
    sys.exit(main())
