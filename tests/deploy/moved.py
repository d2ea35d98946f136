#!/usr/bin/env python3
# SPDX-License-Identifier: MIT
"""What becomes of connections whose address moves: moved.py ADDRESS PORT COUNT opens so many, sends a request over each
and prints how many were answered. For each line that it reads it sends another one, and prints how many were answered,
reset, and neither within 5 s; connections that were reset are opened again, at once and from the same ports."""
import http.client
import socket
import sys

PATIENCE = 5


class Connection:
    """One from a port of its own, which it keeps."""

    def __init__(self, where):
        self.where, self.port = where, 0
        self.open()

    def open(self):
        self.http = http.client.HTTPConnection(*self.where, timeout=PATIENCE)
        self.http.sock = socket.socket()
        self.http.sock.settimeout(PATIENCE)
        self.http.sock.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        self.http.sock.bind(("", self.port))
        self.port = self.http.sock.getsockname()[1]
        self.http.sock.connect(self.where)
        self.http.auto_open = 0  # one that is lost stays lost

    def ask(self):
        try:
            self.http.request("GET", "/work")
            return "answered" if b'"worker"' in self.http.getresponse().read() else "neither"
        except ConnectionResetError:
            return "reset"
        except (OSError, http.client.HTTPException):
            return "neither"


def main():
    address, port, count = sys.argv[1], int(sys.argv[2]), int(sys.argv[3])
    connections = [Connection((address, port)) for _ in range(count)]
    print(sum(one.ask() == "answered" for one in connections), flush=True)
    for _ in sys.stdin:
        became = [one.ask() for one in connections]
        for one, how in zip(connections, became):
            if how == "reset":
                one.http.close()
                one.open()
        print(*(became.count(how) for how in ("answered", "reset", "neither")), flush=True)


if __name__ == "__main__":
    main()
