#!/usr/bin/env python3
# SPDX-License-Identifier: MIT
"""Checks that includes only look down: layers.py ROOT. Prints each include that does not; exits 1 when there is one."""
import pathlib
import re
import sys

# What each folder of host/ may include besides itself. docs/architecture.md draws it.
BELOW_SIBLINGS = {"base", "config", "plugin", "balance"}
SIBLINGS = {"proxy", "health", "metrics", "admin", "demo"}
MAY_INCLUDE = {
    "base": set(),
    "config": {"base"},
    "supervisor": {"base"},
    "plugin": {"base", "config"},
    "balance": {"base", "config", "plugin"},
    "validate": {"base", "config", "plugin"},
    "kernel": BELOW_SIBLINGS,
    **{sibling: BELOW_SIBLINGS for sibling in SIBLINGS},
    "proxy": BELOW_SIBLINGS | {"kernel"},
    "cli": {"base", "config", "admin"},
    "watch": {"base", "config", "plugin"},
    "dashboard": {"base", "admin"},
    "process": {"base", "config", "admin"},
    "doctor": BELOW_SIBLINGS | {"kernel", "health", "process"},
    "observe": BELOW_SIBLINGS | {"metrics"},
    "rehearsal": BELOW_SIBLINGS | {"metrics", "observe"},
    "upgrade": BELOW_SIBLINGS | {"health", "metrics", "supervisor"},
    "simulation": BELOW_SIBLINGS | {"health"},
    "app": BELOW_SIBLINGS | SIBLINGS | {"kernel", "supervisor", "dashboard", "watch", "process", "doctor", "observe",
                                         "rehearsal", "upgrade", "simulation", "cli"},
}
INCLUDE = re.compile(r'^\s*#\s*include\s*(["<])([^">]+)[">]', re.MULTILINE)


def includes(path):
    """(line, is_quoted, name) of each include of a file."""
    text = path.read_text(encoding="utf-8")
    for match in INCLUDE.finditer(text):
        yield text.count("\n", 0, match.start(2)) + 1, match[1] == '"', match[2]


def sources(folder):
    return sorted(path for path in folder.rglob("*") if path.suffix in {".h", ".hpp", ".c", ".cpp"})


def host_findings(root):
    for path in sources(root / "host"):
        inside = path.relative_to(root / "host").parts
        layer = inside[0] if len(inside) > 1 else None
        if layer is not None and layer not in MAY_INCLUDE:
            yield f"{path.relative_to(root)}: host/{layer} is no layer that tests/docs/layers.py knows"
            continue
        allowed = MAY_INCLUDE[layer] | {layer} if layer else {"app"}
        for line, quoted, name in includes(path):
            target = name.split("/")[0]
            if quoted and target not in allowed:
                yield f"{path.relative_to(root)}:{line}: {layer or 'main'} must not include {name}"


def outside_findings(root, folder):
    """Plugins and the plugin API see the plugin API, the system, and files beside them."""
    for path in sources(root / folder):
        for line, quoted, name in includes(path):
            beside = quoted and (path.parent / name).is_file() and ".." not in name
            if (quoted and not beside) or name.split("/")[0] in MAY_INCLUDE:
                yield f"{path.relative_to(root)}:{line}: {folder} must not include {name}"


def main():
    root = pathlib.Path(sys.argv[1])
    findings = [*host_findings(root), *outside_findings(root, "plugins"), *outside_findings(root, "plugin-api")]
    print("\n".join(findings) or "all includes look down")
    return 1 if findings else 0


if __name__ == "__main__":
    sys.exit(main())
