# SPDX-License-Identifier: MIT
"""Starts backends of which one is slow and one resets, a balancer in front of them and load, has a reload refused and a
strategy quarantined, and lets a browser look at the page: live.py LEMONADE FOLDER MISFITS. Screenshots are left in the
folder; MISFITS is that of tests/bad_plugins. Exits 77 without a browser, or where npm cannot bring what drives it."""
import asyncio
import os
import pathlib
import re
import shutil
import signal
import socket
import struct
import subprocess
import sys
import tempfile
import threading
import time
import urllib.error
import urllib.request

HERE = pathlib.Path(__file__).resolve().parent
PACKAGES = ["playwright-core@1", "axe-core@4"]
ANSWER = b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok"
FAST_S, SLOW_S = 0.005, 0.25
CLIENTS = 24


def skip(why):
    print(f"skipped: {why}")
    sys.exit(77)


def modules(cache):
    """Where npm's packages are; downloaded once."""
    if not shutil.which("node") or not shutil.which("npm") or not shutil.which("chromium"):
        skip("needs node, npm and chromium (tools/setup --deploy)")
    if not cache.exists():
        making = cache.with_suffix(".making")
        done = subprocess.run(["npm", "install", "--silent", "--no-audit", "--no-fund", "--ignore-scripts", "--prefix",
                               making, *PACKAGES], capture_output=True, text=True)
        if done.returncode != 0:
            skip(f"npm cannot install {' '.join(PACKAGES)}: {done.stderr[-300:]}")
        making.rename(cache)
    return cache


class Backends:
    """HTTP backends on a thread of their own, by name: (seconds that an answer takes, whether it resets half of them)."""

    def __init__(self, behaviours):
        self.ports = {}
        self.loop = asyncio.new_event_loop()
        self.started = threading.Event()
        self.thread = threading.Thread(target=self._run, args=(behaviours,), daemon=True)
        self.thread.start()
        self.started.wait()

    def _run(self, behaviours):
        async def begin():
            for name, (seconds, resets) in behaviours.items():
                server = await asyncio.start_server(lambda r, w, s=seconds, x=resets: self._serve(r, w, s, x), "127.0.0.1", 0)
                self.ports[name] = server.sockets[0].getsockname()[1]
        self.loop.run_until_complete(begin())
        self.started.set()
        self.loop.run_forever()

    async def _serve(self, reader, writer, seconds, resets):
        try:
            while await reader.readuntil(b"\r\n\r\n"):
                await asyncio.sleep(seconds)
                if resets and time.monotonic_ns() // 1000 % 2:
                    writer.get_extra_info("socket").setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
                    return writer.transport.abort()
                writer.write(ANSWER)
        except (asyncio.IncompleteReadError, ConnectionError):
            writer.close()


def configuration(ports, plugins, strategy_key="algorithm"):
    backends = "".join(f'[[pools.web.backends]]\nid = "{name}"\naddress = "127.0.0.1:{port}"\n'
                       for name, port in ports.items())
    return (f'[runtime]\nsupervisor = "off"\n[plugins]\ndirectories = ["{plugins}"]\n'
            '[proxy]\nmax_connections = 1000\n[admin]\nlisten_address = "127.0.0.1:0"\n'
            '[ejection]\nenabled = false\n[[listeners]]\nname = "web"\naddress = "127.0.0.1:0"\npool = "web"\n'
            '[[listeners]]\nname = "turned"\naddress = "127.0.0.1:0"\npool = "turned"\n'
            f'[pools.turned]\nbackends = "127.0.0.1:{ports["web-1"]}"\nstrategy.algorithm = "com.example.turncoat"\n'
            f'[pools.web.strategy]\n{strategy_key} = "round_robin"\n[pools.web.shadow]\nalgorithm = "adaptive"\n'
            f'[pools.web.health]\nchecker = "tcp"\n{backends}')


class Balancer:
    def __init__(self, lemonade, folder, text):
        self.file = folder / "lemonade.toml"
        self.file.write_text(text)
        self.log = folder / "balancer.log"
        with self.log.open("wb") as log:
            self.process = subprocess.Popen([lemonade, "lb", "--config", self.file], stdout=log, stderr=log,
                                            env={**os.environ, "LEMONADE_TURNCOAT": "pick:segv"})
        self.front = self._logged(r"proxy: listening address=(\S+) .*listener=web")
        self.turned = self._logged(r"proxy: listening address=(\S+) .*listener=turned")
        self.admin = self._logged(r"admin: listening address=(\S+)")

    def _logged(self, pattern):
        end = time.monotonic() + 10
        while time.monotonic() < end:
            if found := re.search(pattern, self.log.read_text()):
                return found[1]
            time.sleep(0.02)
        raise AssertionError(f"no line {pattern} in:\n{self.log.read_text()}")

    def have_the_strategy_turn(self):
        """By a client of the address that sets it off."""
        host, port = self.turned.rsplit(":", 1)
        with socket.create_connection((host, int(port)), 10, source_address=("127.0.0.99", 0)) as client:
            client.sendall(b"GET / HTTP/1.1\r\nHost: x\r\n\r\n")
            assert client.recv(4096) == ANSWER
        self._logged("a call of a plugin was broken off()")

    def refuse_a_reload(self, text):
        self.file.write_text(text)
        request = urllib.request.Request(f"http://{self.admin}/api/v1/reload", method="POST")
        try:
            urllib.request.urlopen(request, timeout=30)
        except urllib.error.HTTPError as error:
            assert error.code == 422, error.read()
            return
        raise AssertionError("the reload was not refused")

    def stop(self):
        self.process.send_signal(signal.SIGTERM)
        try:
            self.process.wait(20)
        except subprocess.TimeoutExpired:
            self.process.kill()


class Load:
    """Clients of one request each, one after another."""

    def __init__(self, address):
        self.over = threading.Event()
        host, port = address.rsplit(":", 1)
        self.threads = [threading.Thread(target=self._ask, args=((host, int(port)),)) for _ in range(CLIENTS)]
        for thread in self.threads:
            thread.start()

    def _ask(self, address):
        while not self.over.wait(0.01):
            try:
                with socket.create_connection(address, 5) as client:
                    client.sendall(b"GET / HTTP/1.1\r\nHost: x\r\n\r\n")
                    client.recv(4096)
            except OSError:
                pass  # one backend resets

    def stop(self):
        self.over.set()
        for thread in self.threads:
            thread.join()


def main(lemonade, out, misfits):
    out.mkdir(parents=True, exist_ok=True)
    packages = modules(out / "modules")
    ports = Backends({**{f"web-{i}": (FAST_S, False) for i in range(1, 7)}, "slow": (SLOW_S, False),
                      "resets": (FAST_S, True)}).ports
    with tempfile.TemporaryDirectory(prefix="lemonade-page-") as name:
        plugins = pathlib.Path(name) / "plugins"
        plugins.mkdir()
        shutil.copy(misfits / "turncoat_1.so", plugins)
        balancer = Balancer(lemonade, pathlib.Path(name), configuration(ports, plugins))
        load = Load(balancer.front)
        try:
            balancer.have_the_strategy_turn()
            balancer.refuse_a_reload(configuration(ports, plugins, "strategyy"))
            shutil.copy(HERE / "page.mjs", packages / "page.mjs")  # node looks for packages beside the script
            done = subprocess.run(["node", packages / "page.mjs", f"http://{balancer.admin}/", out], timeout=240)
        finally:
            load.stop()
            balancer.stop()
    return done.returncode


if __name__ == "__main__":
    sys.exit(main(sys.argv[1], *map(pathlib.Path, sys.argv[2:4])))
