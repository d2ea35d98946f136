#!/usr/bin/env python3
# SPDX-License-Identifier: MIT
"""Tries plugins of the zoo as a start would: preflight.py LEMONADE TABLE FOLDER. A row of the table is a plugin, a check of
plugin-validate, which tells its kind, and the words with which a preflight refuses it, or "passes". Prints each plugin of
which that is not true; exits 1 when there is one."""
import concurrent.futures
import os
import pathlib
import re
import shutil
import subprocess
import sys
import tempfile

KEYS = {
    "late.probes": '[health]\nchecker = "{}"\n',
    "late.flushes": '[metrics]\nsinks = ["{}"]\n',
}
STRATEGY = '[strategy]\nalgorithm = "{}"\n'
BACKENDS = '[[backends]]\nid = "a"\naddress = "127.0.0.1:1"\n[[backends]]\nid = "b"\naddress = "127.0.0.1:2"\n'
ID = re.compile(rb"com\.example\.(beast|trespasser|turncoat)\0")


def fault_of(lemonade, plugin, check, words):
    """What is not as the table has it, or None."""
    name = ID.search(plugin.read_bytes())[0].rstrip(b"\0").decode()
    with tempfile.TemporaryDirectory(prefix="lemonade-test-") as own:
        shutil.copy2(plugin, own)
        config = pathlib.Path(own) / "lemonade.toml"
        config.write_text(KEYS.get(check, STRATEGY).format(name) + '[plugins]\ndirectories = ["."]\n' + BACKENDS,
                          encoding="utf-8")
        run = subprocess.run([lemonade, "lb", "--validate", "--config", config], capture_output=True, text=True,
                             timeout=60, check=False, env={**os.environ, "LEMONADE_PREFLIGHT": "3s"})
    if words == "passes":
        return None if run.returncode == 0 else run.stderr
    return None if run.returncode == 1 and words in run.stderr else f"exit code {run.returncode}: {run.stderr}"


def main():
    lemonade, table, folder = sys.argv[1], pathlib.Path(sys.argv[2]), pathlib.Path(sys.argv[3])
    rows = [line.split(maxsplit=2) for line in table.read_text(encoding="utf-8").splitlines() if line]
    with concurrent.futures.ThreadPoolExecutor(max_workers=2) as pool:
        faults = list(pool.map(lambda row: fault_of(lemonade, folder / f"{row[0]}.so", row[1], row[2]), rows))
    wrong = [f"{row[0]}: {fault}" for row, fault in zip(rows, faults) if fault]
    print("\n".join(wrong) or f"a preflight says of {len(rows)} plugins what it should")
    return 1 if wrong else 0


if __name__ == "__main__":
    sys.exit(main())
