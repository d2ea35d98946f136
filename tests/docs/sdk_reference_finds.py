#!/usr/bin/env python3
# SPDX-License-Identifier: MIT
"""Shows that tools/sdk-reference --check finds what it looks for: sdk_reference_finds.py ROOT. Changes a copy of the
headers or of the page in one way after the other. Exits 1 where one goes unnoticed."""
import pathlib
import sys

from reference_finds import HEADERS, check

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
MORE = [(f"{HEADERS}/sdk/more.hpp", "#pragma once\n", "lemonade/sdk/more.hpp is not in the reference")]


if __name__ == "__main__":
    sys.exit(check(pathlib.Path(sys.argv[1]), "tools/sdk-reference", CASES, MORE))
