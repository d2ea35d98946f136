# SPDX-License-Identifier: MIT
"""What live.py starts: balancers, and a Prometheus that scrapes them. Each is ended by its process id."""
import json
import os
import pathlib
import re
import signal
import socket
import subprocess
import time
import urllib.error
import urllib.parse
import urllib.request


def eventually(what, condition, seconds):
    """What the condition gives once that is true; fails where it is not within the time."""
    end = time.monotonic() + seconds
    while True:
        if outcome := condition():
            return outcome
        if time.monotonic() > end:
            raise AssertionError(f"not within {seconds} s: {what}")
        time.sleep(0.1)


def free_ports(count):
    sockets = [socket.create_server(("127.0.0.1", 0)) for _ in range(count)]
    ports = [one.getsockname()[1] for one in sockets]
    for one in sockets:
        one.close()
    return ports


class Process:
    """A program whose output goes into a file."""

    def __init__(self, log, *command):
        self.log = pathlib.Path(log)
        self.command = command
        self.child = None

    def start(self, environment=None):
        with self.log.open("ab") as log:
            self.child = subprocess.Popen(self.command, stdout=log, stderr=log, stdin=subprocess.DEVNULL,
                                          env={**os.environ, **(environment or {})})

    def said(self):
        return self.log.read_text(encoding="utf-8", errors="replace")

    def kill(self):
        self.child.kill()
        self.child.wait()

    def stop(self):
        if self.child is None or self.child.poll() is not None:
            return
        self.child.terminate()
        try:
            self.child.wait(20)
        except subprocess.TimeoutExpired:
            self.kill()


class Balancer(Process):
    """lemonade lb with a configuration that may change, on ports that stay the same over its restarts.

    The configuration may name listeners; where clients reach them is in ports, by name."""

    def __init__(self, folder, name, lemonade, listeners, plugins, text):
        self.name = name
        self.file = folder / f"{name}.toml"
        admin, *ports = free_ports(1 + len(listeners))
        self.admin = f"127.0.0.1:{admin}"
        self.ports = dict(zip(listeners, ports))
        self.head = (f'admin.listen_address = "{self.admin}"\nplugins.directories = {json.dumps(plugins)}\n'
                     'runtime.config_watch_interval_millis = 200\nruntime.workers = 2\nruntime.supervisor = "off"\n'
                     'proxy.max_connections = 200\nruntime.background_timeout_millis = 1000\n'
                     'runtime.drain_timeout_millis = 1000\n')
        self.write(text)
        super().__init__(folder / f"{name}.log", lemonade, "lb", "--config", str(self.file))

    def write(self, text):
        """The configuration; LISTEN(name) stands for the address of that listener."""
        text = re.sub(r"LISTEN\((\w+)\)", lambda match: f'"127.0.0.1:{self.ports[match[1]]}"', text)
        new = self.file.with_suffix(".new")
        new.write_text(self.head + text, encoding="utf-8")
        new.replace(self.file)

    def start(self, environment=None):
        starts = self.said().count("app: ready") if self.log.exists() else 0
        super().start(environment)
        eventually(f"{self.name} is ready", lambda: self.said().count("app: ready") > starts, 30)

    def set_supervised(self):
        """It has a supervisor, which can upgrade it; before it starts, or writes another configuration."""
        text = self.file.read_text(encoding="utf-8")
        self.head, off = self.head.replace('"off"', '"on"'), self.head
        self.file.write_text(text.replace(off, self.head), encoding="utf-8")

    def upgrade(self):
        """Asks for the next process; it need not come up."""
        self.child.send_signal(signal.SIGUSR2)

    def reload(self, text):
        """Fails where it is refused."""
        self.write(text)
        request = urllib.request.Request(f"http://{self.admin}/api/v1/reload", method="POST")
        with urllib.request.urlopen(request, timeout=30) as answer:
            answer.read()


class Prometheus(Process):
    """Prometheus with the configuration and the rules of a folder."""

    def __init__(self, folder):
        super().__init__(folder / "prometheus.log", "prometheus", f"--config.file={folder}/prometheus.yml",
                         f"--storage.tsdb.path={folder}/data", "--web.listen-address=127.0.0.1:0")
        self.address = None

    def start(self, environment=None):
        super().start(environment)
        found = eventually("Prometheus listens",
                           lambda: re.search(r'msg="Listening on" address=(\S+)', self.said()), 60)
        self.address = found[1]
        eventually("Prometheus is ready", lambda: "Server is ready" in self.said(), 60)

    def reread(self):
        """Has it read its configuration again."""
        before = self.said().count("Completed loading of configuration file")
        self.child.send_signal(signal.SIGHUP)
        eventually("Prometheus has read its configuration again",
                   lambda: self.said().count("Completed loading of configuration file") > before, 30)

    def ask(self, path, **parameters):
        query = urllib.parse.urlencode(parameters, doseq=True)
        try:
            with urllib.request.urlopen(f"http://{self.address}/api/v1/{path}?{query}", timeout=20) as answer:
                return json.load(answer)["data"]
        except urllib.error.HTTPError as error:
            raise AssertionError(f"{path}?{query}: {error.read().decode()}") from error

    def firing(self):
        """The labels and annotations of each alert that fires."""
        return [alert for alert in self.ask("alerts")["alerts"] if alert["state"] == "firing"]

    def targets_up(self):
        found = self.ask("query", query='up{job="lemonade"}')["result"]
        return sum(sample["value"][1] == "1" for sample in found)
