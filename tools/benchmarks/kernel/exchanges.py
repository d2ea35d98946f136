# SPDX-License-Identifier: MIT
"""Times of exchanges, turned on and off in a balancer that forwards."""
import contextlib
import re
import signal

import namespaces
from processes import Failed


class Exchanges:
    """Has the balancer that forwards by the kernel time exchanges, and time none, by reloads."""

    def __init__(self, process, file, log):
        self.process, self.file, self.log = process, file, log

    def can_be_timed(self):
        try:
            with self.timed():
                return True
        except Failed as why:
            print(f"exchanges are not timed here: {why}", flush=True)
            self.file.write_text(self.file.read_text().replace('"on"', '"off"'))
            return False

    @contextlib.contextmanager
    def timed(self):
        self._turn("off", "on")
        yield
        self._turn("on", "off")

    def _turn(self, before, after):
        known = len(self.log())
        self.file.write_text(self.file.read_text().replace(f'exchanges = "{before}"', f'exchanges = "{after}"'))
        self.process.send_signal(signal.SIGHUP)
        namespaces.eventually(lambda: re.search("config: reload", self.log()[known:]))
        if refused := re.search("config: reload refused.*", self.log()[known:]):
            raise Failed(refused[0])
