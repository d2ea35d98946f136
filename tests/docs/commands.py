#!/usr/bin/env python3
# SPDX-License-Identifier: MIT
"""Checks that what the pages tell the reader to type is true: commands.py ROOT LEMONADE.

Every flag of a lemonade or tools/ command in a page is in that command's --help, every LEMONADE_ variable is read by the
host, and every TOML block is accepted by `lemonade lb --validate`, or by `lemonade simulate` where it says that it is a
scenario. A block without backends is lent one through the
environment; one of a [worker] is not for the balancer. Exits 1 when something is not true."""
import functools
import os
import pathlib
import re
import subprocess
import sys
import tempfile

import pages

WORDS = ("lb|load-balancer|worker|w|upgrade|status|backends|drain|disable|enable|weight|max_connections|plugins|"
         "release|reload|reopen|events|top|check|doctor|simulate|why|shadow")
COMMAND = re.compile(rf"(?:^|[\s`/(=])(lemonade (?:{WORDS})\b|lemonade|tools/[\w-]+)((?: +[^\s`|;&]+)*)")
FLAG = re.compile(r"--[a-z][a-z-]+")
SCENARIO = re.compile(r"# \w+\.scenario\.toml\n")
VARIABLE = re.compile(r"\bLEMONADE_(?:LB_|WORKER_|LOG)\w*")


@functools.cache
def help_of(root, lemonade, command):
    program = [lemonade, *command.split()[1:]] if command.startswith("lemonade") else [str(root / command)]
    if not pathlib.Path(program[0]).is_file():
        return None
    return subprocess.run([*program, "--help"], capture_output=True, text=True, timeout=30, check=False).stdout


def command_findings(root, lemonade, page):
    text = page.read_text(encoding="utf-8").replace("\\\n", " ")
    for match in COMMAND.finditer(text):
        command, arguments = match[1], match[2]
        flags = FLAG.findall(arguments)
        if (command == "lemonade" and not flags) or (root / command).is_dir():
            continue
        shown = help_of(root, lemonade, command)
        if shown is None:
            yield f"{command} does not exist"
            continue
        yield from (f"{command} has no {flag}" for flag in flags if flag != "--help" and flag not in shown)


@functools.cache
def variables_of_host(root):
    """And the constants of the ABI, some of which are named alike."""
    files = [*(root / "host").rglob("*.cpp"), *(root / "plugin-api/include/lemonade").glob("*.h")]
    texts = (path.read_text(encoding="utf-8") for path in files)
    return set(re.findall(r"\b(?:LEMONADE_\w+|_[A-Z]\w+)", " ".join(texts)))


def variable_findings(root, page):
    known = variables_of_host(root)
    for name in sorted(set(VARIABLE.findall(page.read_text(encoding="utf-8")))):
        if name not in known and not name.endswith("_"):
            yield f"the host reads no {name}"


def toml_findings(lemonade, page):
    for block in pages.blocks(page):
        if block.language != "toml" or re.search(r"^\[worker\]", block.text, re.MULTILINE):
            continue
        environment = dict(os.environ)
        if "[[backends]]" not in block.text:
            environment["LEMONADE_LB_BACKEND_ADDRESSES"] = "127.0.0.1:1"
        with tempfile.TemporaryDirectory() as logs, tempfile.NamedTemporaryFile("w", suffix=".toml") as file:
            file.write(block.text.replace("/var/log/lemonade", logs))
            file.flush()
            takes = (["simulate", "--strategy", "round_robin", "--scenario", file.name] if SCENARIO.match(block.text)
                     else ["lb", "--validate", "--config", file.name])
            run = subprocess.run([lemonade, *takes], env=environment, capture_output=True, text=True, timeout=60,
                                 check=False)
        # A stranger's plugin of an example is not installed here.
        if run.returncode != 0 and "com.example." not in block.text:
            yield f"the TOML of line {block.line} is refused:\n{run.stdout}{run.stderr}"


def main():
    root, lemonade = pathlib.Path(sys.argv[1]), sys.argv[2]
    findings = [
        f"{page.relative_to(root)}: {finding}"
        for page in pages.all_pages(root)
        for finding in (*command_findings(root, lemonade, page), *variable_findings(root, page),
                        *toml_findings(lemonade, page))
    ]
    print("\n".join(findings) or "all commands are true")
    return 1 if findings else 0


if __name__ == "__main__":
    sys.exit(main())
