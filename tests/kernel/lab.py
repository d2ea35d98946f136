# SPDX-License-Identifier: MIT
"""A real balancer that forwards by the kernel, clients and backends, each in a namespace of its own."""
import contextlib
import json
import os
import pathlib
import shutil
import signal
import socket
import struct
import subprocess
import sys
import threading
import traceback
import urllib.request

sys.dont_write_bytecode = True
sys.path.insert(0, str(pathlib.Path(__file__).resolve().parents[2] / "tools/benchmarks"))
# pylint: disable=wrong-import-position,unused-import
from namespaces import LIBC, LISTENER, LISTENER6, Network, Skip, enter, eventually, run, within  # noqa: E402,F401

SKIPPED = 77
PR_SET_PDEATHSIG = 1
PORT = 9000
ADMIN = 9090
BACKEND_PORT = 8000


STARTED = []


def start(command, log, **options):
    """A process that ends with the test."""
    process = subprocess.Popen([str(word) for word in command], stdout=log, stderr=log,
                               preexec_fn=lambda: LIBC.prctl(PR_SET_PDEATHSIG, signal.SIGTERM), **options)
    STARTED.append(process)
    return process


def end_all():
    for number in (signal.SIGCONT, signal.SIGTERM):
        for process in STARTED:
            if process.poll() is None:
                process.send_signal(number)
    for process in STARTED:
        try:
            process.wait(20)
        except subprocess.TimeoutExpired:
            process.kill()


class Backend:
    """Says its name to whoever connects, and then sends back what it gets. Knows who has come."""

    def __init__(self, index, port=BACKEND_PORT, family=socket.AF_INET):
        self.name, self.index, self.port, self.family = f"b{index}", index, port, family
        self.host = f"10.77.2.{index + 2}" if family == socket.AF_INET else f"fd77:2::{index + 2}"
        self.address = f"{self.host}:{port}" if family == socket.AF_INET else f"[{self.host}]:{port}"
        self.peers, self.sockets, self.endings = [], [], []
        self.listener = None
        self.listen()

    def listen(self):
        def make():
            listener = socket.socket(self.family, socket.SOCK_STREAM)
            listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
            listener.bind((self.host, self.port))
            listener.listen(4096)
            return listener

        self.listener = within(self.name, make)
        threading.Thread(target=self._accept, args=(self.listener,), daemon=True).start()

    def close(self):
        """Refuses whoever comes."""
        self.listener.shutdown(socket.SHUT_RDWR)
        self.listener.close()

    def _accept(self, listener):
        with contextlib.suppress(OSError):
            while True:
                client, peer = listener.accept()
                self.peers.append(peer[0])
                self.sockets.append(client)
                threading.Thread(target=self._serve, args=(client,), daemon=True).start()

    def _serve(self, client):
        try:
            client.sendall(self.name.encode() + b"\n")
            while data := client.recv(65536):
                client.sendall(data)
            client.close()
            self.endings.append("closed")
        except OSError as error:
            self.endings.append(os.strerror(error.errno))
            client.close()


def connect(host=LISTENER, port=PORT, namespace="client", timeout=10):
    """A connection; whoever answered is in its `backend`."""
    family = socket.AF_INET6 if ":" in host else socket.AF_INET

    def make():
        client = Client(family, socket.SOCK_STREAM)
        client.settimeout(timeout)
        return client

    client = within(namespace, make)
    client.connect((host, port))
    return client


class Client(socket.socket):
    backend = None

    def hello(self):
        """The name of the backend, which says it first."""
        line = b""
        while not line.endswith(b"\n"):
            data = self.recv(1)
            if not data:
                raise ConnectionError("closed before it said its name")
            line += data
        self.backend = line.decode().strip()
        return self.backend

    def echo(self, data=b"ping"):
        self.sendall(data)
        got = b""
        while len(got) < len(data):
            part = self.recv(65536)
            if not part:
                raise ConnectionError(f"closed after {len(got)} of {len(data)} bytes")
            got += part
        assert got == data, got
        return got

    def how_it_ended(self):
        """Reads on; 'closed', or the error."""
        try:
            while self.recv(65536):
                pass
            return "closed"
        except OSError as error:
            return os.strerror(error.errno) if error.errno else str(error)

    def reset(self):
        self.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
        self.close()


def spread(count, host=LISTENER, port=PORT, namespace="client"):
    """How many of so many connections, one after the other, each backend got."""
    family = socket.AF_INET6 if ":" in host else socket.AF_INET
    got = {}

    def all_of_them():
        for _ in range(count):
            with Client(family, socket.SOCK_STREAM) as client:
                client.settimeout(10)
                client.connect((host, port))
                name = client.hello()
                got[name] = got.get(name, 0) + 1

    within(namespace, all_of_them)
    return got


class Balancer:
    """The real program, in the namespace of the balancer."""

    def __init__(self, lemonade, folder, config, wait=True, namespace="lb"):
        self.lemonade, self.folder, self.namespace = lemonade, pathlib.Path(folder), namespace
        self.file = self.folder / "lemonade.toml"
        self.log = self.folder / "log"
        self.process = None
        self.write(config)
        self.start(wait)

    def write(self, config):
        self.file.write_text(config)

    def start(self, wait=True):
        with open(self.log, "ab") as log:
            self.process = start(["ip", "netns", "exec", self.namespace, self.lemonade, "lb", "--config", self.file], log)
        if wait:
            eventually(self.ready, 30)

    def ready(self):
        """the balancer is ready"""
        assert self.process.poll() is None, f"the balancer has ended:\n{self.said()}"
        return self.get("/readyz", quiet=True) is not None

    def get(self, path, quiet=False):
        def ask():
            with urllib.request.urlopen(f"http://127.0.0.1:{ADMIN}{path}", timeout=5) as answer:
                return answer.read().decode()

        try:
            return within(self.namespace, ask)
        except OSError:
            if quiet:
                return None
            raise

    def status(self):
        return json.loads(self.get("/api/v1/status"))

    def metric(self, name, **labels):
        """The sum of a metric over the series that have these labels."""
        total = 0.0
        for line in self.get("/metrics").splitlines():
            series, _, value = line.rpartition(" ")
            if series.partition("{")[0] == name and all(f'{key}="{said}"' in series for key, said in labels.items()):
                total += float(value)
        return total

    def pid(self):
        """Of the process that serves, which is a child of its supervisor where it has one."""
        return json.loads(self.get("/api/v1/status"))["pid"]

    def signal(self, number):
        self.process.send_signal(number)

    def reload(self, config):
        self.write(config)
        return run(self.lemonade, "reload", "--config", self.file, namespace=self.namespace)

    def stop(self):
        self.signal(signal.SIGTERM)
        self.process.wait(60)

    def said(self):
        return self.log.read_text(errors="replace")


def configuration(backends, listener="", pool="", top="", address=f"{LISTENER}:{PORT}"):
    """With one listener that the kernel forwards for; the rest are lines of its tables."""
    tables = "".join(f'[[backends]]\nid = "{one.name}"\naddress = "{one.address}"\n' for one in backends)
    return (f'[proxy]\nlisten_address = {json.dumps(address)}\nforward = "kernel"\n{listener}\n'
            f'[strategy]\nalgorithm = "round_robin"\n[health]\nchecker = "none"\nslow_start = "0s"\n{pool}\n'
            f'[runtime]\nsupervisor = "off"\ndrain_timeout_millis = 2000\n[admin]\n'
            f'listen_address = "127.0.0.1:{ADMIN}"\n{top}\n{tables}')


def connections():
    """Those that the kernel forwards for the balancer, as conntrack lists them."""
    return conntrack("-L", "--mark", "0x4c4d0000/0xffff0000")


def conntrack(*arguments):
    return run("conntrack", *arguments, namespace="lb", check=False)


def main(tests):
    """run.py NAME LEMONADE FOLDER: runs the test of that name; exits 77 where the machine cannot show it."""
    name, lemonade, folder = sys.argv[1:4]
    code = 0
    shutil.rmtree(folder, ignore_errors=True)
    pathlib.Path(folder).mkdir(parents=True)
    try:
        enter()
        tests[name](pathlib.Path(lemonade), folder)
    except Skip as why:
        print(f"skipped: {why}")
        code = SKIPPED
    except BaseException:  # pylint: disable=broad-except
        traceback.print_exc()
        for log in pathlib.Path(folder).glob("*log"):
            print(f"---- {log.name}:\n{log.read_text(errors='replace')[-4000:]}")
        code = 1
    end_all()
    sys.stdout.flush()
    sys.stderr.flush()
    os._exit(code)  # threads of backends may still wait for somebody
