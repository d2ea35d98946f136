# SPDX-License-Identifier: MIT
"""Clients that notice whatever happens to the connections of a balancer."""
import threading

from lab import connect, eventually


class Traffic:
    """Clients that keep a connection and ask on it, and others that come anew, until they are told to stop."""

    def __init__(self, keeping=8, coming=2):
        self.keeping = keeping
        self.going, self.asked, self.came, self.failed, self.by = True, 0, 0, [], {}
        self.threads = [threading.Thread(target=self._keep) for _ in range(keeping)]
        self.threads += [threading.Thread(target=self._come) for _ in range(coming)]
        for thread in self.threads:
            thread.start()

    def _keep(self):
        client = connect(timeout=5)
        client.hello()
        while self.going:
            try:
                client.echo(b"z" * 1000)
                self.asked += 1
            except OSError as error:
                self.failed.append(f"live: {error}")
                return

    def _come(self):
        while self.going:
            try:
                client = connect(timeout=5)
                name = client.hello()
                client.close()
                self.by[name] = self.by.get(name, 0) + 1
                self.came += 1
            except OSError as error:
                self.failed.append(f"new: {error}")

    def stop(self):
        self.going = False
        for thread in self.threads:
            thread.join()

    def more(self, count=200):
        """more came, and more was asked"""
        came, asked = self.came, self.asked
        eventually(lambda: self.came >= came + count and (
            self.asked >= asked + count or not self.keeping), 20)
