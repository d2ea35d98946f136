# SPDX-License-Identifier: MIT
"""connections.py serve HOST PORT | connect HOST PORT SOURCE COUNT: takes whoever comes, or makes so many connections and
says how many there are; either keeps them until it is ended."""
import resource
import signal
import socket
import sys


def _serve(host, port):
    listener = socket.socket()
    listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
    listener.bind((host, int(port)))
    listener.listen(65535)
    taken = []
    while True:
        taken.append(listener.accept()[0].detach())


def _connect(host, port, source, count):
    taken = []
    for _ in range(int(count)):
        client = socket.socket()
        client.settimeout(10)
        client.setsockopt(socket.IPPROTO_IP, 24, 1)  # IP_BIND_ADDRESS_NO_PORT
        client.bind((source, 0))
        client.connect((host, int(port)))
        taken.append(client.detach())
    print(len(taken), flush=True)
    signal.pause()


if __name__ == "__main__":
    hard = resource.getrlimit(resource.RLIMIT_NOFILE)[1]
    resource.setrlimit(resource.RLIMIT_NOFILE, (hard, hard))
    {"serve": _serve, "connect": _connect}[sys.argv[1]](*sys.argv[2:])
