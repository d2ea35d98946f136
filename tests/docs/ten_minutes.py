#!/usr/bin/env python3
# SPDX-License-Identifier: MIT
"""Follows a page word for word, as a stranger on a machine of their own: ten_minutes.py PAGE BUILD CMAKE.

Installs the build afresh, shows it as /opt/lemonade to a shell with file system, network and processes of its own, and
there, in one empty folder, runs every block of sh in order and writes every block that begins with a file name. A block of
text is what the commands above it printed; "..." stands for anything in a line or, alone, for any lines.
Exits 77 where the kernel does not let this user do so."""
import os
import pathlib
import re
import subprocess
import sys
import tempfile
import time

import code_blocks
import pages

MARK = "=== block of line "
# /opt may be read-only, be missing lemonade, or hold the checkout: another one is put over it.
ROOM = """
set -e
ip link set lo up
mount -t tmpfs tmpfs /mnt
mkdir /mnt/lemonade
mount --bind "$1" /mnt/lemonade
mount --rbind /mnt /opt
cd "$2"
exec bash "$3"
"""


def unshared():
    own = [] if os.geteuid() == 0 else ["--user", "--map-root-user"]
    return ["unshare", *own, "--mount", "--net", "--pid", "--fork", "--kill-child", "--mount-proc"]


def script(page):
    """All of the page as one script of bash; says before each block which it is."""
    lines = ["set -eo pipefail"]
    for block in pages.blocks(page):
        lines.append(f"echo '{MARK}{block.line}'")
        name = code_blocks.NAME.match(block.text.partition("\n")[0])
        if block.language == "sh":
            lines.append(block.text)
        elif name:
            lines.append(f"cat >{name[1]} <<'END OF FILE'\n{block.text}END OF FILE")
    lines.append(f"echo '{MARK}0'")
    return "\n".join(lines)


def printed(output):
    """What each block printed, by its line."""
    parts = re.split(rf"^{MARK}(\d+)\n", output, flags=re.MULTILINE)
    return {int(line): text for line, text in zip(parts[1::2], parts[2::2])}


def matches(shown, text):
    lines = [r"[\s\S]*" if line == "..." else r"[^\n]*".join(map(re.escape, line.split("...")))
             for line in shown.strip().split("\n")]
    return re.fullmatch("\n".join(lines), text.strip()) is not None


def findings(page, output):
    """Blocks of text that are not what was printed, and how far the script came."""
    outputs = printed(output)
    if 0 not in outputs:
        yield f"it ended in the block of line {max(outputs, default=0)}"
    before = None
    for block in pages.blocks(page):
        if block.language == "text" and not matches(block.text, outputs.get(before, "")):
            yield f"the block of line {block.line} was not printed, but:\n{outputs.get(before, '')}"
        before = block.line


def main():
    page, build, cmake = pathlib.Path(sys.argv[1]), sys.argv[2], sys.argv[3]
    if subprocess.run([*unshared(), "true"], check=False).returncode != 0:
        print("skipped: this user may not make namespaces")
        return 77
    with tempfile.TemporaryDirectory(prefix="lemonade-test-") as folder:
        prefix, room, commands = (pathlib.Path(folder, name) for name in ("prefix", "room", "commands"))
        subprocess.run([cmake, "--install", build, "--prefix", prefix], check=True, stdout=subprocess.DEVNULL)
        room.mkdir()
        commands.write_text(script(page), encoding="utf-8")
        begun = time.monotonic()
        ran = subprocess.run([*unshared(), "bash", "-c", ROOM, "bash", prefix, room, commands], check=False, text=True,
                             stdout=subprocess.PIPE, stderr=subprocess.STDOUT, timeout=400)
        wrong = list(findings(page, ran.stdout))
        if wrong:
            print(ran.stdout, *(log.read_text(errors="replace") for log in room.glob("choosy/*.log")), *wrong, sep="\n")
            return 1
    print(f"all of it is true, and took {time.monotonic() - begun:.0f} s")
    return 0


if __name__ == "__main__":
    sys.exit(main())
