#!/usr/bin/env python3
# SPDX-License-Identifier: MIT
"""flood.py ADDRESS PORT SECONDS: sends first packets of connections from addresses that are not there, and prints how
many. For a namespace of its own."""
import os
import random
import socket
import struct
import sys
import time


def checksum(data):
    total = sum(struct.unpack(f"!{len(data) // 2}H", data))
    while total >> 16:
        total = (total & 0xffff) + (total >> 16)
    return ~total & 0xffff


def syn(source, source_port, destination, port):
    tcp = struct.pack("!HHIIBBHHH", source_port, port, random.getrandbits(32), 0, 5 << 4, 2, 65535, 0, 0)
    pseudo = source + destination + struct.pack("!BBH", 0, socket.IPPROTO_TCP, len(tcp))
    tcp = tcp[:16] + struct.pack("!H", checksum(pseudo + tcp)) + tcp[18:]
    return struct.pack("!BBHHHBBH", 0x45, 0, 20 + len(tcp), 0, 0, 64, socket.IPPROTO_TCP, 0) + source + destination + tcp


def main():
    destination, port, seconds = socket.inet_aton(sys.argv[1]), int(sys.argv[2]), float(sys.argv[3])
    raw = socket.socket(socket.AF_INET, socket.SOCK_RAW, socket.IPPROTO_RAW)
    random.seed(os.getpid())
    sent, end = 0, time.monotonic() + seconds
    while time.monotonic() < end:
        source = bytes([198, 18, random.randrange(256), random.randrange(1, 255)])
        raw.sendto(syn(source, random.randrange(1024, 65536), destination, port), (sys.argv[1], 0))
        sent += 1
    print(sent)


if __name__ == "__main__":
    main()
