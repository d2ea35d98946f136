#!/usr/bin/env python3
# SPDX-License-Identifier: MIT
"""Has a running balancer take each plugin of the zoo that turns late, with clients: turns.py LEMONADE TABLE FOLDER. A row
of the table is a plugin, a check of plugin-validate, which tells its kind, and words that the log has once it has turned.
The balancer lives, clients are served before, meanwhile and after, and the status says that the plugin is quarantined.
Prints each plugin of which that is not true; exits 1 when there is one."""
import concurrent.futures
import json
import pathlib
import socket
import sys
import tempfile
import threading
import time
import urllib.error
import urllib.request

from survives import Balancer, Echo, Server

PLUGIN = "com.example.turncoat"
KEYS = {
    "late.probes": f'[health]\nchecker = "{PLUGIN}"\ninterval = "50ms"\nfall = 2\n',
    "late.flushes": f'[metrics]\nsinks = ["{PLUGIN}"]\ninterval = "200ms"\n',
}
STRATEGY = f'[strategy]\nalgorithm = "{PLUGIN}"\n'
# What is no fault of a call: answers that the plugin may give cost clients, until probation ends them or for as long as
# a checker says so; a text that cannot be rendered costs who reads it.
ANSWERS = {"turn_and_pick_none", "turn_and_reject"}
VERDICTS = {"turn_and_throw_in_probe"}
NO_FAULTS = VERDICTS | {"turn_and_throw_in_render"}
SECONDS = 40


class Clients(threading.Thread):
    """Clients that come one after the other until end()."""

    def __init__(self, address, pause):
        super().__init__()
        self.address, self.pause = address, pause
        self.served, self.failures, self.ends = 0, [], False
        self.start()

    def run(self):
        while not self.ends:
            try:
                with socket.create_connection(self.address, 10) as client:
                    client.sendall(b"hello\n")
                    if client.recv(100) != b"hello\n":
                        raise OSError("a client got no answer")
                self.served += 1
            except OSError as failure:
                self.failures.append(str(failure))
            time.sleep(self.pause)

    def end(self):
        self.ends = True
        self.join()


def ask(balancer, path, method="GET"):
    """The answer of the admin listener, or its code where that is no good one."""
    request = urllib.request.Request("http://{}:{}{}".format(*balancer.admin, path), method=method)
    try:
        with urllib.request.urlopen(request, timeout=10) as answer:
            return answer.read().decode()
    except urllib.error.HTTPError as refused:
        return refused.code


def provoke(balancer, plugin, number):
    """What an operator or a monitoring does meanwhile, which calls the plugin."""
    if plugin == "spin_in_later_prepare":
        ask(balancer, f"/api/v1/pools/default/backends/0/weight?value={number % 7 + 1}", "POST")
    if plugin == "turn_and_throw_in_render":
        ask(balancer, f"/metrics/{PLUGIN}")


def wait_for(balancer, plugin, words):
    """True where the log has the words in time."""
    deadline = time.monotonic() + SECONDS
    for number in range(1_000_000):
        if words in balancer.text():
            return True
        if time.monotonic() > deadline or balancer.process.poll() is not None:
            return False
        provoke(balancer, plugin, number)
        time.sleep(0.05)
    return False


def fault_of(balancer, clients, plugin, words):
    """What is not as it should be, or None."""
    if not wait_for(balancer, plugin, words):
        return "the log does not have the words"
    time.sleep(1)  # in which what ran before has to be back
    if plugin not in NO_FAULTS:
        quarantined = json.loads(ask(balancer, "/api/v1/status"))["quarantined"]
        if [one["plugin"] for one in quarantined] != [PLUGIN]:
            return f"quarantined: {quarantined}"
    allowed = ANSWERS | VERDICTS
    if clients.failures and plugin not in allowed:
        return f"{len(clients.failures)} clients failed: {clients.failures[0]}"
    if plugin not in VERDICTS:
        return balancer.clients()
    return None


def row_fault(lemonade, folder, backends, row):
    """What is not true of a row, or None."""
    try:
        return try_row(lemonade, folder, backends, *row)
    except (OSError, RuntimeError, KeyError) as failure:
        return f"{row[0]}: {failure!r}"


def try_row(lemonade, folder, backends, plugin, check, words):
    """The same, unless the balancer cannot be asked."""
    with tempfile.TemporaryDirectory(prefix="lemonade-test-") as own:
        balancer = Balancer(lemonade, own, backends, 'hang_limit = "1s"\n')
        try:
            (balancer.plugins / f"{plugin}.so").write_bytes((folder / f"{plugin}.so").read_bytes())
            if not balancer.reload(KEYS.get(check, STRATEGY)):
                return f"{plugin}: it was refused\n{balancer.text()}"
            clients = Clients(balancer.front, 0 if plugin == "crash_after_5000" else 0.005)
            try:
                fault = fault_of(balancer, clients, plugin, words)
            finally:
                clients.end()
        finally:
            code = balancer.end()
        fault = fault or (f"exit code {code}" if code else None) or (None if clients.served else "nobody was served")
        return fault and f"{plugin}: {fault}\n{balancer.text()}"


def main():
    lemonade, table, folder = sys.argv[1], pathlib.Path(sys.argv[2]), pathlib.Path(sys.argv[3])
    rows = [line.split(maxsplit=2) for line in table.read_text(encoding="utf-8").splitlines() if line]
    with Server(("127.0.0.1", 0), Echo) as one, Server(("127.0.0.1", 0), Echo) as other:
        for server in (one, other):
            threading.Thread(target=server.serve_forever, daemon=True).start()
        backends = ["{}:{}".format(*server.server_address) for server in (one, other)]
        with concurrent.futures.ThreadPoolExecutor(max_workers=4) as pool:
            wrong = list(filter(None, pool.map(lambda row: row_fault(lemonade, folder, backends, row), rows)))
        for server in (one, other):
            server.shutdown()
    print("\n".join(wrong) or f"{len(rows)} plugins that turn late were named, and no client failed that need not")
    return 1 if wrong else 0


if __name__ == "__main__":
    sys.exit(main())
