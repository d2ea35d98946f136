#!/usr/bin/env python3
# SPDX-License-Identifier: MIT
"""Keeps connections: keeps.py ADDRESS PORT COUNT opens so many and sends a request over each; for each line that it
reads it sends another over those that are left. Prints each time how many were answered."""
import http.client
import sys


def answered(connection):
    try:
        connection.request("GET", "/work")
        return b'"worker"' in connection.getresponse().read()
    except (OSError, http.client.HTTPException):
        connection.close()
        return False


def main():
    address, port, count = sys.argv[1], int(sys.argv[2]), int(sys.argv[3])
    connections = [http.client.HTTPConnection(address, port, timeout=2) for _ in range(count)]
    for connection in connections:
        connection.connect()
        connection.auto_open = 0  # one that is lost stays lost
    print(sum(map(answered, connections)), flush=True)
    for _ in sys.stdin:
        print(sum(map(answered, connections)), flush=True)


if __name__ == "__main__":
    main()
