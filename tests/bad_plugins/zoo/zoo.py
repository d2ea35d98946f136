#!/usr/bin/env python3
# SPDX-License-Identifier: MIT
"""Judges every plugin of the zoo: zoo.py PLUGIN_VALIDATE TABLE FOLDER [FLAG...]. A row of the table is a plugin and the
one check that has to refuse it, or "one|another" where that depends on how fast the machine is. Prints each plugin of
which that is not true; exits 1 when there is one."""
import concurrent.futures
import json
import pathlib
import subprocess
import sys

BAD = {"fail", "crash", "hang"}
SECONDS = "6"  # of a check: what hangs hangs for that long


def refused_by(validator, flags, plugin):
    """The checks that refuse a plugin, as {id: what was found}."""
    run = subprocess.run([validator, "--json", "--limit", SECONDS, "--budget", "180", *flags, plugin],
                         capture_output=True, text=True, timeout=200, check=False)
    if run.returncode not in (0, 1):
        return {f"exit code {run.returncode}": run.stderr}
    (verdict,) = json.loads(run.stdout)["plugins"]
    found = {row["id"]: f'{row["status"]}: {row["found"]}' for row in verdict["checks"] if row["status"] in BAD}
    if silent := [row["id"] for row in verdict["checks"] if row["status"] in BAD and not row["mend"]]:
        return {"no mend": silent}
    if verdict["ok"] != (not found) or run.returncode != (1 if found else 0):
        return {"exit code and verdict disagree": run.stdout}
    return found


def main():
    validator, table, folder, flags = sys.argv[1], pathlib.Path(sys.argv[2]), pathlib.Path(sys.argv[3]), sys.argv[4:]
    rows = [line.split() for line in table.read_text(encoding="utf-8").splitlines() if line]
    with concurrent.futures.ThreadPoolExecutor(max_workers=2) as pool:
        results = list(pool.map(lambda row: refused_by(validator, flags, folder / f"{row[0]}.so"), rows))
    wrong = 0
    for (plugin, check), found in zip(rows, results):
        if len(found) != 1 or not set(found) <= set(check.split("|")):
            wrong += 1
            print(f"{plugin}: expected {check} alone, got {found}")
    print(f"{len(rows) - wrong} of {len(rows)} plugins were refused by the check that names their fault")
    return 1 if wrong else 0


if __name__ == "__main__":
    sys.exit(main())
