#!/usr/bin/env python3
# SPDX-License-Identifier: MIT
"""Compares the structs and constants of the Rust crate with what a C compiler makes of the headers.

  layout.py INCLUDE C_COMPILER PROGRAM    PROGRAM prints "struct 0 SIZE", "struct.field OFFSET SIZE", "CONSTANT VALUE SIZE"

Exits 1 where one differs, or where plugin.h, host.h or strategy.h have a struct, a field or a number that Rust lacks."""
import pathlib
import re
import subprocess
import sys
import tempfile

HEADERS = ("plugin", "host", "strategy")
STRUCT = re.compile(r"^typedef struct \w+ \{\n(.*?)^\} (\w+);", re.MULTILINE | re.DOTALL)
FIELD = re.compile(r"^  [\w ]+?[ *]+(\w+)(?:\[\d+\])?;|\(\*(\w+)\)\(", re.MULTILINE)
NUMBER = re.compile(r"^#define (LEMONADE_\w+) (?:UINT(?:32|64)_C\()?(?:0x)?[0-9a-f]+\)?(?:\s|$)", re.MULTILINE)


def of_headers(include):
    """The names of all structs, "struct.field" and constants."""
    names = set()
    for header in HEADERS:
        text = (include / f"lemonade/{header}.h").read_text(encoding="utf-8")
        for body, struct in STRUCT.findall(text):
            names.add(struct)
            body = re.sub(r"/\*.*?\*/", "", body, flags=re.DOTALL)
            # Arguments of functions are none of its fields.
            body = re.sub(r"\(\*(\w+)\)\(.*?;\n", r"(*\1)(;\n", body, flags=re.DOTALL)
            names.update(f"{struct}.{a or b}" for a, b in FIELD.findall(body))
        names.update(NUMBER.findall(text))
    return names


def of_c(include, compiler, names):
    """What a C program says of these names, in the words of the Rust program."""
    lines = []
    for name in sorted(names):
        struct, _, field = name.partition(".")
        if field:
            values = f"offsetof({struct}, {field}), sizeof((({struct}*)0)->{field})"
        elif name.startswith("LEMONADE_"):
            values = f"(unsigned long long){name}, (size_t)0"
        else:
            values = f"(size_t)0, sizeof({struct})"
        form = "%llu" if name.startswith("LEMONADE_") else "%zu"
        lines.append(f'  printf("{name} {form} %zu\\n", {values});')
    source = "\n".join([*(f"#include <lemonade/{header}.h>" for header in HEADERS), "#include <stdio.h>",
                        "int main(void) {", *lines, "  return 0;", "}", ""])
    with tempfile.TemporaryDirectory() as folder:
        program = pathlib.Path(folder) / "layout"
        program.with_suffix(".c").write_text(source, encoding="utf-8")
        subprocess.run([compiler, "-std=c11", "-I", include, "-o", program, program.with_suffix(".c")], check=True)
        return parsed(subprocess.run([program], check=True, capture_output=True, text=True).stdout)


def parsed(text):
    rows = {}
    for line in text.splitlines():
        name, number, size = line.split()
        # A constant has a type in Rust alone.
        rows[name] = (int(number), 0 if name.startswith("LEMONADE_") else int(size))
    return rows


def main():
    include, compiler, program = pathlib.Path(sys.argv[1]), sys.argv[2], sys.argv[3]
    wanted = of_c(include, compiler, of_headers(include))
    found = parsed(subprocess.run([program], check=True, capture_output=True, text=True).stdout)
    findings = [f"Rust lacks {name}" for name in sorted(wanted.keys() - found.keys())]
    findings += [f"no header has {name}" for name in sorted(found.keys() - wanted.keys())]
    findings += [f"{name}: at {found[name][0]} with {found[name][1]} bytes in Rust, at {wanted[name][0]} with "
                 f"{wanted[name][1]} in C" for name in sorted(wanted.keys() & found.keys()) if wanted[name] != found[name]]
    print("\n".join(findings) or f"{len(found)} names are the same in both")
    return 1 if findings else 0


if __name__ == "__main__":
    sys.exit(main())
