#!/usr/bin/env python3
# SPDX-License-Identifier: MIT
"""Shows that tools/abi-reference --check finds what it looks for: abi_reference_finds.py ROOT. Changes a copy of the
headers or of the page in one way after the other. Exits 1 where one goes unnoticed."""
import pathlib
import sys

from reference_finds import HEADERS, check

CASES = [  # file, what is looked for, what is put in its place, what must be said
    (f"{HEADERS}/strategy.h", r"  uint64_t serial; +/\*.*\*/", "  uint64_t serial;",
     "lemonade_view_t.serial has no meaning"),
    (f"{HEADERS}/strategy.h", r"(?s)Ends an instance(.*?) \[control\]", r"Ends an instance\1",
     "lemonade_strategy_t.destroy has no thread tag"),
    (f"{HEADERS}/health_checker.h", r"Anything but LEMONADE_OK: no instance was made", "No instance was made",
     "lemonade_health_checker_t.create: what does a status mean?"),
    (f"{HEADERS}/metrics_sink.h", r"owned as its snapshot. Grows", "Grows",
     "lemonade_series_t does not say whose it is"),
    (f"{HEADERS}/host.h", r"/\* The level of a line of the log. \*/\n(.*?) +/\*.*\*/", r"\n\1",
     "LEMONADE_LOG_ERROR has no meaning"),
    (f"{HEADERS}/host.h", r"Ends a timer", "Stops a timer", "docs/plugin-abi.md is stale"),
    (f"{HEADERS}/strategy.h", r"(?m)^} lemonade_strategy_t;",
     "  /* More. [any] */\n  void (*more)(void* self);\n} lemonade_strategy_t;", "docs/plugin-abi.md is stale"),
    ("docs/plugin-abi.md", r"(?m)^\| `LEMONADE_OK`.*\n", "", "docs/plugin-abi.md is stale"),
]


if __name__ == "__main__":
    sys.exit(check(pathlib.Path(sys.argv[1]), "tools/abi-reference", CASES))
