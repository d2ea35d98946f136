#!/usr/bin/env python3
# SPDX-License-Identifier: MIT
"""Compares the released headers, frozen in a folder, with the current ones: drift.py FROZEN CURRENT LAYOUT CC.

Every constant of the frozen headers must be in the current ones with the same value, and LAYOUT, which compares the
structs, must list every struct of the frozen ones. Exits 1 when that is not so."""
import pathlib
import re
import subprocess
import sys

GROWS = {"LEMONADE_ABI_MINOR"}  # what a later minor version changes by right
REWORDED = {"LEMONADE_STR(literal)"}  # what stands for the same in more places; the C plugins of before compile with it


def headers(folder):
    return sorted(path.relative_to(folder) for path in folder.glob("lemonade/*.h"))


def constants(folder, compiler):
    """Every macro of the headers and what it stands for, as the preprocessor has it."""
    source = "".join(f"#include <{header}>\n" for header in headers(folder))
    run = subprocess.run([compiler, "-std=c11", "-dM", "-E", f"-I{folder}", "-"], input=source, capture_output=True,
                         text=True, check=True)
    return dict(re.findall(r"^#define (LEMONADE_\w+(?:\([^)]*\))?) ?(.*)$", run.stdout, re.MULTILINE))


def constant_findings(frozen, current):
    for name, value in sorted(frozen.items()):
        if name not in current:
            yield f"{name} is gone"
        elif current[name] != value and name not in GROWS | REWORDED:
            yield f"{name} was {value}, is {current[name]}"


def struct_findings(frozen, layout):
    text = layout.read_text(encoding="utf-8")
    for header in headers(frozen):
        for name in re.findall(r"^} (lemonade_\w+_t);$", (frozen / header).read_text(encoding="utf-8"), re.MULTILINE):
            if not re.search(rf"\b(?:FIXED|GROWS)\({name}, ", text):
                yield f"{layout.name} does not list {name}"


def main():
    frozen, current, layout = (pathlib.Path(argument) for argument in sys.argv[1:4])
    known = constants(frozen, sys.argv[4])
    findings = [*constant_findings(known, constants(current, sys.argv[4])), *struct_findings(frozen, layout)]
    print("\n".join(findings) or f"{len(known)} constants are what they were")
    return 1 if findings else 0


if __name__ == "__main__":
    sys.exit(main())
