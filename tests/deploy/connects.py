#!/usr/bin/env python3
# SPDX-License-Identifier: MIT
"""What clients meet: connects.py ADDRESS PORT SECONDS begins a connection every 10 ms, each with one request.

Prints one line: how many there were, how many of them got no answer within a second, and the outage: the time from the
beginning of the first that failed to the beginning of the first after which none failed. Exits 0 whatever they met."""
import asyncio
import sys
import time

EVERY = 0.01
PATIENCE = 1.0


async def answered(address, port):
    reader, writer = await asyncio.open_connection(address, port)
    try:
        writer.write(b"GET /work HTTP/1.1\r\nHost: lb\r\nConnection: close\r\n\r\n")
        return b'"worker"' in await reader.read()
    finally:
        writer.close()


async def client(address, port, met):
    begun = time.monotonic()
    try:
        met[begun] = await asyncio.wait_for(answered(address, port), PATIENCE)
    except (OSError, asyncio.TimeoutError):
        met[begun] = False


async def clients(address, port, seconds):
    """Whether each was answered, by the time it began."""
    met, running = {}, []
    end = time.monotonic() + seconds
    while time.monotonic() < end:
        running.append(asyncio.create_task(client(address, port, met)))
        await asyncio.sleep(EVERY)
    await asyncio.gather(*running)
    return met


def main():
    met = asyncio.run(clients(sys.argv[1], int(sys.argv[2]), float(sys.argv[3])))
    failed = [begun for begun, well in met.items() if not well]
    after = [begun for begun in met if failed and begun > max(failed)]
    outage = min(after) - min(failed) if after else float(sys.argv[3]) if failed else 0
    print(f"connects={len(met)} failed={len(failed)} outage_ms={outage * 1000:.0f}")


if __name__ == "__main__":
    main()
