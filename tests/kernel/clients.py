#!/usr/bin/env python3
# SPDX-License-Identifier: MIT
"""Programs that people use, through a balancer whose kernel forwards: each finds nothing unusual."""
import base64
import hashlib
import json
import os
import pathlib
import pwd
import re
import shutil
import socket
import subprocess

import lab
from lab import Balancer, Network, Skip, configuration, connect, eventually, run

SERVER = "10.77.2.2"


class Server:
    """A program in the namespace of the first backend, at its port; ended with the test."""

    def __init__(self, folder, *command, port=lab.BACKEND_PORT):
        self.name, self.address = "b0", f"{SERVER}:{port}"
        with open(f"{folder}/server.log", "wb") as log:
            self.process = lab.start(["ip", "netns", "exec", "b0", *command], log)

        def answers():
            with socket.socket() as client:
                return client.connect_ex((SERVER, port)) == 0

        eventually(lambda: lab.within("b0", answers), 30)


def need(*programs):
    for program in programs:
        if not shutil.which(program):
            raise Skip(f"{program} is not installed (tools/setup --test installs it)")


def redis(lemonade, folder):
    need("redis-server", "redis-benchmark")
    Network(1)
    server = Server(folder, "redis-server", "--bind", SERVER, "--port", lab.BACKEND_PORT, "--save", "",
                    "--protected-mode", "no")
    Balancer(lemonade, folder, configuration([server]))
    for more in ([], ["-k", "0"]):  # over connections that stay, and each over one of its own
        said = run("redis-benchmark", "-h", lab.LISTENER, "-p", lab.PORT, "-n", 2000, "-c", 20, "-q", "-t", "set,get", *more,
                   namespace="client")
        assert said.count("requests per second") == 2 and "rror" not in said, said


def postgresql(lemonade, folder):
    found = sorted(pathlib.Path("/usr/lib/postgresql").glob("*/bin/initdb"))
    if not found:
        raise Skip("postgresql is not installed (tools/setup --test installs it)")
    programs = found[-1].parent
    Network(1)
    user = pwd.getpwnam("postgres")
    data = pathlib.Path("/run/data")
    data.mkdir()
    os.chown(data, user.pw_uid, user.pw_gid)
    subprocess.run([programs / "initdb", "-D", data, "--auth=trust"], user=user.pw_uid, check=True, stdout=subprocess.DEVNULL,
                   cwd="/")
    with open(data / "pg_hba.conf", "a", encoding="ascii") as file:
        file.write("host all all 0.0.0.0/0 trust\n")
    server = Server(folder, "setpriv", "--reuid=postgres", "--regid=postgres", "--clear-groups", programs / "postgres", "-D",
                    data, "-k", data, "-p", lab.BACKEND_PORT, "-c", f"listen_addresses={SERVER}")
    Balancer(lemonade, folder, configuration([server]))
    bench = programs / "pgbench"
    where = ["-h", lab.LISTENER, "-p", lab.PORT, "-U", "postgres", "postgres"]
    run(bench, "-i", "-q", *where, namespace="client")
    said = run(bench, "-c", 8, "-t", 50, *where, namespace="client")
    assert "400/400" in said and "failed transactions: 0" in said, said
    said = run(bench, "-C", "-S", "-c", 4, "-t", 25, *where, namespace="client")  # a connection for each
    assert "100/100" in said, said


def iperf(lemonade, folder):
    need("iperf3")
    Network(1)
    server = Server(folder, "iperf3", "-s", "-p", lab.BACKEND_PORT)
    Balancer(lemonade, folder, configuration([server]))
    for more in ([], ["-R"]):  # to the backend, and back
        said = json.loads(run("iperf3", "-c", lab.LISTENER, "-p", lab.PORT, "-t", 2, "-P", 4, "-J", *more,
                              namespace="client"))
        assert said["end"]["sum_received"]["bits_per_second"] > 1e8, said["end"]


def h2load(lemonade, folder):
    need("h2load", "nghttpd")
    Network(1)
    pathlib.Path(folder, "www").mkdir(exist_ok=True)
    pathlib.Path(folder, "www/file").write_bytes(bytes(10_000))
    server = Server(folder, "nghttpd", "--no-tls", "-a", SERVER, "-d", f"{folder}/www", lab.BACKEND_PORT)
    Balancer(lemonade, folder, configuration([server]))
    said = run("h2load", "-n", 2000, "-c", 20, "-m", 10, f"http://{lab.LISTENER}:{lab.PORT}/file", namespace="client")
    assert re.search(r"2000 succeeded, 0 failed, 0 errored", said), said


def web_socket(lemonade, folder):
    """The handshake of RFC 6455 and two frames, which then waits, idle, for another one."""
    Network(1)
    backend = lab.Backend(0)
    Balancer(lemonade, folder, configuration([backend]))
    client = connect()
    client.hello()
    key = base64.b64encode(os.urandom(16))
    client.sendall(b"GET /chat HTTP/1.1\r\nHost: lb\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n"
                   b"Sec-WebSocket-Key: " + key + b"\r\nSec-WebSocket-Version: 13\r\n\r\n")
    asked = client.recv(4096)
    assert key in asked  # it came to the backend as it was sent, and back
    accept = base64.b64encode(hashlib.sha1(key + b"258EAFA5-E914-47DA-95CA-C5AB0DC85B11").digest())
    client.echo(b"HTTP/1.1 101 Switching Protocols\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n"
                b"Sec-WebSocket-Accept: " + accept + b"\r\n\r\n")
    for text in (b"hello", bytes(60_000)):
        client.echo(frame(text))
    client.echo(frame(b"late"))


def frame(payload):
    """A masked text frame."""
    size = len(payload)
    head = bytes([0x81, 0x80 | size]) if size < 126 else bytes([0x81, 0x80 | 126]) + size.to_bytes(2, "big")
    mask = os.urandom(4)
    return head + mask + bytes(byte ^ mask[i % 4] for i, byte in enumerate(payload))


TESTS = {test.__name__: test for test in (redis, postgresql, iperf, h2load, web_socket)}

if __name__ == "__main__":
    lab.main(TESTS)
