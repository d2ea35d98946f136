#!/usr/bin/env python3
# SPDX-License-Identifier: MIT
"""Hands listening sockets to a program as systemd does: activate.py NAME=ADDRESS:PORT... -- COMMAND... listens there and
becomes the command. Of two with one address the second is the same socket once more."""
import os
import socket
import sys

FIRST = 3


def main():
    end = sys.argv.index("--")
    names, sockets, known = [], [], {}
    for word in sys.argv[1:end]:
        name, _, address = word.partition("=")
        host, _, port = address.rpartition(":")
        if address not in known:
            known[address] = socket.create_server((host, int(port)))
        names.append(name)
        sockets.append(known[address])
    # Out of the way first, so that none is overwritten before it has its place.
    high = [os.dup(one.fileno()) for one in sockets]
    while min(high) < FIRST + len(high):
        high = [os.dup(fd) for fd in high]
    for place, fd in enumerate(high, FIRST):
        os.dup2(fd, place, inheritable=True)
    os.environ.update(LISTEN_PID=str(os.getpid()), LISTEN_FDS=str(len(names)), LISTEN_FDNAMES=":".join(names))
    os.execvp(sys.argv[end + 1], sys.argv[end + 1:])


if __name__ == "__main__":
    main()
