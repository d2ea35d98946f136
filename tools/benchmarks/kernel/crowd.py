# SPDX-License-Identifier: MIT
"""Very many connections at rest: clients of many addresses and servers at many ports, in processes that share them, since
one process may have only so many descriptors."""
import contextlib
import pathlib
import socket
import sys

import namespaces
from processes import Failed

EACH = 15_000      # connections of a process
PER_PORT = 12_500  # and of a port of a backend
PROGRAM = pathlib.Path(__file__).with_name("connections.py")


def ports(count):
    return list(range(10_000, 10_000 + max(1, -(-count // PER_PORT))))


@contextlib.contextmanager
def backends(processes, at):
    """Servers that take whoever comes."""
    # A server that is slow to accept must not look as if it did not answer.
    namespaces.run("sysctl", "-w", "net.core.somaxconn=65535", namespace="b0")
    for port in at:
        processes.start(f"server {port}", _within("b0", "serve", "10.77.2.2", port), real_time=False)
    for port in at:
        namespaces.eventually(lambda port=port: reaches("10.77.2.2", port, "b0"))
    yield


def reaches(host, port, namespace="client"):
    """somebody answers there"""
    def connect():
        with socket.socket() as client:
            client.settimeout(1)
            return client.connect_ex((host, port)) == 0
    return namespaces.within(namespace, connect)


@contextlib.contextmanager
def clients(processes, host, port, count):
    """Connects so many clients, and gives how many are there."""
    connected = 0
    for number, first in enumerate(range(0, count, EACH)):
        address = f"10.77.1.{number + 10}"
        namespaces.run("ip", "-n", "client", "addr", "add", f"{address}/24", "dev", "eth0", check=False)
        process = processes.start(f"clients {number}",
                                  _within("client", "connect", host, port, address, min(EACH, count - first)),
                                  real_time=False, stdout=-1)
        line = process.stdout.readline()
        if not line:
            raise Failed(f"clients ended: {processes.log(f'clients {number}')}the balancer says:\n{processes.log('kernel')}")
        connected += int(line)
    yield connected


def _within(namespace, *arguments):
    return ["ip", "netns", "exec", namespace, sys.executable, "-B", PROGRAM, *map(str, arguments)]
