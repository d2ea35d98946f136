#!/usr/bin/env python3
# SPDX-License-Identifier: MIT
"""Shows that the checks of this folder find what they look for: doctored.py ROOT CC CXX.

Changes a copy of the current headers in one way after the other and gives it to each check: what breaks plugins of an
earlier minor version must be refused by those named, and what 1.x may append must be accepted by all. Exits 1 when that
is not so."""
import pathlib
import re
import shutil
import subprocess
import sys
import tempfile

MINORS = (0, 1)  # those that are frozen
# What is changed, header, what is looked for, what is put in its place, and the checks that refuse it.
CASES = [
    ("nothing", "plugin", r"\A", "", set()),
    ("a field in the middle", "strategy", r"(?m)^  uint32_t attempt;", r"  uint64_t extra;\n\g<0>",
     {"layout", "abidiff"}),
    ("two fields in another order", "strategy", r"(?m)^(  uint64_t bytes_in;).*\n(  uint64_t bytes_out;).*$",
     r"\2\n\1", {"layout", "abidiff"}),
    ("a field that is gone", "health_checker", r"(?m)^  uint64_t timeout_ns;.*\n", "", {"layout", "abidiff"}),
    ("a field of another type", "strategy", r"(?m)^  uint64_t serial;", "  int64_t serial;", {"abidiff"}),
    ("a field at the end of what never grows", "metrics_sink", r"(?m)^} lemonade_bucket_t;",
     r"  uint64_t extra;\n\g<0>", {"layout", "abidiff"}),
    ("a function with another argument", "strategy", r"uint32_t worker, void", "uint64_t worker, void", {"abidiff"}),
    ("a function in the middle", "metrics_sink", r"(?m)^  lemonade_str_t \(\*content_type\)",
     r"  void (*extra)(void* self);\n\g<0>", {"layout", "abidiff"}),
    ("a constant of another value", "strategy", r"LEMONADE_EVENT_CLOSED UINT32_C\(8\)",
     "LEMONADE_EVENT_CLOSED UINT32_C(64)", {"drift"}),
    ("a constant that is gone", "host", r"(?m)^#define LEMONADE_LOG_DEBUG .*\n", "", {"drift"}),
    ("another layout hash", "plugin", r"(LEMONADE_LAYOUT_HASH UINT64_C\(0x)\w", r"\g<1>0", {"layout", "drift"}),
    ("a field in the middle of what 1.1 appended", "strategy", r"(?m)^  uint32_t local_family;",
     r"  uint64_t extra;\n\g<0>", {"layout", "abidiff"}),
    ("a field of 1.1 that is gone", "strategy", r"(?m)^  uint32_t needs;.*\n", "", {"layout", "abidiff"}),
    ("a field of a session record that is gone", "metrics_sink", r"(?m)^  uint64_t queue_ns;.*\n", "",
     {"layout", "abidiff"}),
    ("a constant of 1.1 of another value", "strategy", r"LEMONADE_NEED_LOCAL_ADDRESS UINT32_C\(1\)",
     "LEMONADE_NEED_LOCAL_ADDRESS UINT32_C(2)", {"drift"}),
    ("a field at the end", "strategy", r"(?m)^} lemonade_connection_t;", r"  uint64_t extra;\n\g<0>", set()),
    ("a function at the end", "strategy", r"(?m)^} lemonade_strategy_t;", r"  void (*extra)(void* self);\n\g<0>", set()),
    ("a function of the host", "host", r"(?m)^} lemonade_host_t;", r"  void (*extra)(void* context);\n\g<0>", set()),
    ("a field at the end of what lies in arrays", "strategy", r"(?m)^} lemonade_backend_t;",
     r"  uint64_t extra;\n\g<0>", set()),
    ("a new constant and minor version", "plugin", r"LEMONADE_ABI_MINOR \d+",
     "LEMONADE_ABI_MINOR 99\n#define LEMONADE_ERROR_EXTRA 7", set()),
]


# What is done to a copy of the frozen folder; frozen.py refuses each.
def edit(folder):
    with (folder / "include/lemonade/plugin.h").open("a", encoding="utf-8") as header:
        header.write("\n")


def add(folder):
    (folder / "include/lemonade/extra.h").write_text("", encoding="utf-8")


def remove(folder):
    (folder / "abi.xml").unlink()


def accepts(command):
    return subprocess.run([str(word) for word in command], capture_output=True, check=False).returncode == 0


def refusals(root, compilers, include, library):
    """The names of the checks that refuse these headers, compared with any minor version."""
    here, (c, cxx) = root / "tests/abi", compilers
    surface = [c, "-std=c11", "-g", "-shared", "-fPIC", "-fvisibility=hidden", f"-I{include}", here / "surface.c", "-o",
               library]
    if not accepts(surface):
        return {"the compiler"}
    found = set()
    for minor in MINORS:
        frozen = here / f"1.{minor}"
        checks = {
            "layout": [cxx, "-std=c++20", "-fsyntax-only", f"-DFROZEN_MINOR={minor}", f"-I{include}",
                       f"-I{root / 'host'}", here / "layout.cpp"],
            "drift": [sys.executable, "-B", here / "drift.py", frozen / "include", include, here / "layout.cpp", c],
            "abidiff": [sys.executable, "-B", here / "abi_diff.py", frozen / "abi.xml", library, frozen / "include"],
        }
        found |= {name for name, command in checks.items() if not accepts(command)}
    return found


def frozen_is_guarded(here, change):
    with tempfile.TemporaryDirectory() as folder:
        copy = pathlib.Path(folder, "1.0")
        shutil.copytree(here / "1.0", copy)
        before = accepts([sys.executable, "-B", here / "frozen.py", copy])
        change(copy)
        return before and not accepts([sys.executable, "-B", here / "frozen.py", copy])


def main():
    root, compilers = pathlib.Path(sys.argv[1]), sys.argv[2:4]
    wrong = 0
    for change in (edit, add, remove):
        if not frozen_is_guarded(root / "tests/abi", change):
            wrong += 1
            print(f"{change.__name__}: the frozen folder can be changed")
    for what, header, old, new, expected in CASES:
        with tempfile.TemporaryDirectory() as folder:
            include = pathlib.Path(folder, "include")
            shutil.copytree(root / "plugin-api/include", include)
            path = include / f"lemonade/{header}.h"
            text, count = re.subn(old, new, path.read_text(encoding="utf-8"), count=1)
            path.write_text(text, encoding="utf-8")
            library = pathlib.Path(folder, "surface.so")
            found = refusals(root, compilers, include, library) if count else {"nobody: there is no such place"}
        if found != expected:
            wrong += 1
            print(f"{what}: expected to be refused by {sorted(expected)}, is by {sorted(found)}")
    print(f"{len(CASES) + 3 - wrong} of {len(CASES) + 3} changes were judged rightly")
    return 1 if wrong else 0


if __name__ == "__main__":
    sys.exit(main())
