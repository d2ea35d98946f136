#!/usr/bin/env python3
# SPDX-License-Identifier: MIT
"""What clients meet: connects.py ADDRESS PORT SECONDS [PATIENCE] begins a connection every 10 ms, each with one request.

Prints one line: how many there were; how many of them failed, getting no answer within PATIENCE (a second); how many of
these were refused, not even connecting; and the outage: the time from the beginning of the first that failed to the
beginning of the first after which none failed. Exits 0 whatever they met."""
import asyncio
import contextlib
import sys
import time

EVERY = 0.01
PATIENCE = float(sys.argv[4]) if len(sys.argv) > 4 else 1.0


class Client:
    """One connection and what became of it."""

    def __init__(self):
        self.begun, self.connected, self.answered = time.monotonic(), False, False

    async def come(self, address, port):
        with contextlib.suppress(OSError, asyncio.TimeoutError):
            await asyncio.wait_for(self._exchange(address, port), PATIENCE)

    async def _exchange(self, address, port):
        reader, writer = await asyncio.open_connection(address, port)
        self.connected = True
        try:
            writer.write(b"GET /work HTTP/1.1\r\nHost: lb\r\nConnection: close\r\n\r\n")
            self.answered = b'"worker"' in await reader.read()
        finally:
            writer.close()


async def clients(address, port, seconds):
    """All of them, in the order of their beginning."""
    came, running = [], []
    end = time.monotonic() + seconds
    while time.monotonic() < end:
        came.append(Client())
        running.append(asyncio.create_task(came[-1].come(address, port)))
        await asyncio.sleep(EVERY)
    await asyncio.gather(*running)
    return came


def main():
    seconds = float(sys.argv[3])
    came = asyncio.run(clients(sys.argv[1], int(sys.argv[2]), seconds))
    failed = [client.begun for client in came if not client.answered]
    refused = sum(not client.connected for client in came)
    after = [client.begun for client in came if failed and client.begun > max(failed)]
    outage = min(after) - min(failed) if after else seconds if failed else 0
    print(f"connects={len(came)} failed={len(failed)} refused={refused} outage_ms={outage * 1000:.0f}")


if __name__ == "__main__":
    main()
