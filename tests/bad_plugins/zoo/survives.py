#!/usr/bin/env python3
# SPDX-License-Identifier: MIT
"""Shows every plugin of the zoo to the balancer: survives.py LEMONADE TABLE FOLDER. `--validate` loads and rehearses each,
and has to come to an end of its own with exit code 0 or 1. Prints each plugin of which that is not true."""
import concurrent.futures
import os
import pathlib
import shutil
import subprocess
import sys
import tempfile

KEYS = {
    "health.": '[health]\nchecker = "com.example.beast"',
    "sink.": '[metrics]\nsinks = ["com.example.beast"]',
    "exceptions.": '[strategy]\nalgorithm = "com.example.thrower"',
}


def outcome(lemonade, plugin, check):
    """What is wrong with how the balancer took it, or None."""
    key = next((key for family, key in KEYS.items() if check.startswith(family)),
               '[strategy]\nalgorithm = "com.example.beast"')
    with tempfile.TemporaryDirectory() as folder:
        shutil.copy2(plugin, folder)
        config = pathlib.Path(folder, "lemonade.toml")
        config.write_text(f'{key}\n[[backends]]\nid = 0\naddress = "127.0.0.1:1"\n', encoding="utf-8")
        run = subprocess.run([lemonade, "lb", "--config", config, "--plugin-dir", folder, "--validate"],
                             env={**os.environ, "LEMONADE_PREFLIGHT": "1s"}, capture_output=True, text=True, timeout=60,
                             check=False)
    return None if run.returncode in (0, 1) else f"exit code {run.returncode}: {run.stderr}"


def main():
    lemonade, table, folder = sys.argv[1], pathlib.Path(sys.argv[2]), pathlib.Path(sys.argv[3])
    rows = [line.split() for line in table.read_text(encoding="utf-8").splitlines() if line]
    with concurrent.futures.ThreadPoolExecutor(max_workers=2) as pool:
        results = list(pool.map(lambda row: outcome(lemonade, folder / f"{row[0]}.so", row[1]), rows))
    wrong = [f"{plugin}: {found}" for (plugin, _), found in zip(rows, results) if found is not None]
    print("\n".join(wrong) or f"{len(rows)} plugins did the balancer no harm")
    return 1 if wrong else 0


if __name__ == "__main__":
    sys.exit(main())
