#!/usr/bin/env python3
# SPDX-License-Identifier: MIT
"""Shows every plugin of the zoo to a running balancer with clients: survives.py LEMONADE TABLE FOLDER. A reload names the
plugin, another takes it away; the balancer refuses it, or lives with it and goes on to answer. Prints each plugin of which
that is not true, and exits 1 when there is one."""
import contextlib
import os
import pathlib
import re
import shutil
import socket
import socketserver
import subprocess
import sys
import tempfile
import threading
import time
import urllib.error
import urllib.request

SOUND = "[strategy]\nalgorithm = \"round_robin\"\n"
KEYS = {
    "health.": '[health]\nchecker = "com.example.beast"\ninterval = "20ms"\n',
    "sink.": '[metrics]\nsinks = ["com.example.beast"]\n',
    "exceptions.": '[strategy]\nalgorithm = "com.example.thrower"\n',
}
CLIENTS = 20


def key_for(check):
    family = next((name for name in KEYS if check.startswith(name)), None)
    return KEYS[family] if family else '[strategy]\nalgorithm = "com.example.beast"\n'


class Echo(socketserver.BaseRequestHandler):
    """A backend: answers each line with itself."""

    def handle(self):
        with contextlib.suppress(OSError):
            while data := self.request.recv(4096):
                self.request.sendall(data)


class Server(socketserver.ThreadingTCPServer):
    daemon_threads = True
    request_queue_size = 128


class Balancer:
    """One balancer before some backends, its folder of plugins, and a reload that waits for its end."""

    def __init__(self, lemonade, folder, backends, more=""):
        self.folder = pathlib.Path(folder)
        self.plugins = self.folder / "plugins"
        self.plugins.mkdir()
        self.config = self.folder / "lemonade.toml"
        self.rest = ('[runtime]\nconfig_watch_interval_millis = "1h"\n[proxy]\nlisten_address = "127.0.0.1:0"\n'
                     f'[admin]\nlisten_address = "127.0.0.1:0"\n[plugins]\ndirectories = ["{self.plugins}"]\n{more}')
        for number, address in enumerate(backends):
            self.rest += f'[[backends]]\nid = {number}\naddress = "{address}"\n'
        self.config.write_text(SOUND + self.rest, encoding="utf-8")
        self.log = self.folder / "log"
        with open(self.log, "wb") as log:
            self.process = subprocess.Popen([lemonade, "lb", "--config", self.config], stderr=log, stdout=log,
                                            env={**os.environ, "LEMONADE_PREFLIGHT": "1s"})
        try:
            self.front, self.admin = self.address_of("proxy"), self.address_of("admin")
        except BaseException:
            self.end()
            raise

    def text(self):
        return self.log.read_text(errors="replace")

    def address_of(self, what):
        """Where it listens, which it says in its log."""
        while not (found := re.search(rf"{what}: listening.*?address=\"?([\d.]+):(\d+)", self.text())):
            if self.process.poll() is not None:
                code = self.process.returncode
                raise RuntimeError(f"the balancer ended with code {code} before it was up:\n{self.text()}")
            time.sleep(0.01)
        return found[1], int(found[2])

    def reload(self, key):
        """True where the new configuration was taken, False where it was refused."""
        self.config.write_text(key + self.rest, encoding="utf-8")
        request = urllib.request.Request("http://{}:{}/api/v1/reload".format(*self.admin), method="POST")
        try:
            with urllib.request.urlopen(request, timeout=30):
                return True
        except urllib.error.HTTPError as refused:
            if refused.code != 422:
                raise
            return False

    def clients(self):
        """What went wrong with some clients, or None."""
        for _ in range(CLIENTS):
            with socket.create_connection(self.front, 10) as client:
                client.sendall(b"hello\n")
                if client.recv(100) != b"hello\n":
                    return "a client got no answer"
        return None

    def meet(self, plugin, check):
        """What went wrong while it was shown this plugin, or None."""
        shutil.copy2(plugin, self.plugins)
        try:
            taken = self.reload(key_for(check))
            wrong = self.clients()
            (self.plugins / plugin.name).unlink()
            if not self.reload(SOUND):
                return "it does not come back from it"
            return wrong and f"{wrong} {'with it' if taken else 'after it was refused'}" or self.clients()
        except OSError as failure:
            return f"{failure}; the balancer {'lives' if self.process.poll() is None else 'has ended'}"

    def end(self):
        """Its exit code."""
        self.process.terminate()
        try:
            return self.process.wait(30)
        except subprocess.TimeoutExpired:
            self.process.kill()
            return self.process.wait()


def findings(lemonade, rows, folder, backends):
    """One balancer meets them one after the other; a new one takes over where it did not survive."""
    rest = list(rows)
    while rest:
        with tempfile.TemporaryDirectory(prefix="lemonade-test-") as own:
            balancer = Balancer(lemonade, own, backends)
            wrong = None
            try:
                while rest and wrong is None:
                    plugin, check = rest.pop(0)
                    if wrong := balancer.meet(folder / f"{plugin}.so", check):
                        yield f"{plugin}: {wrong}"
            finally:
                code = balancer.end()
            if code:
                yield f"exit code {code}"
            if wrong:
                yield balancer.text()


def main():
    lemonade, table, folder = sys.argv[1], pathlib.Path(sys.argv[2]), pathlib.Path(sys.argv[3])
    rows = [line.split() for line in table.read_text(encoding="utf-8").splitlines() if line]
    with Server(("127.0.0.1", 0), Echo) as one, Server(("127.0.0.1", 0), Echo) as other:
        for server in (one, other):
            threading.Thread(target=server.serve_forever, daemon=True).start()
        backends = ["{}:{}".format(*server.server_address) for server in (one, other)]
        wrong = list(findings(lemonade, rows, folder, backends))
        for server in (one, other):
            server.shutdown()
    print("\n".join(wrong) or f"{len(rows)} plugins did the running balancer no harm")
    return 1 if wrong else 0


if __name__ == "__main__":
    sys.exit(main())
