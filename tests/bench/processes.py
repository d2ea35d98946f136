# SPDX-License-Identifier: MIT
"""Processes of a benchmark: all before other work on this machine, and always ended by the one who started them."""
import contextlib
import os
import pathlib
import random
import signal
import socket
import subprocess
import time


def _raise_priority():
    """So that other work on this machine is not measured; as far as the system lets us."""
    with contextlib.suppress(PermissionError):
        os.setpriority(os.PRIO_PROCESS, 0, -10)
        os.sched_setscheduler(0, os.SCHED_RR, os.sched_param(1))


class Failed(Exception):
    """A process that a benchmark needs did not do its part."""


class Processes:
    """Owns what it starts and ends it on leaving the with block, the last one first. Logs go to folder."""

    def __init__(self, folder):
        self.folder = pathlib.Path(folder)
        self.running = []

    def __enter__(self):
        return self

    def __exit__(self, *unused):
        for process in reversed(self.running):
            end(process)

    def start(self, name, command, **options):
        with open(self.folder / f"{name}.log", "wb") as log:
            process = subprocess.Popen([str(word) for word in command], stderr=log, preexec_fn=_raise_priority,
                                       **{"stdout": log, "stdin": subprocess.DEVNULL, **options})
        self.running.append(process)
        return process

    def log(self, name):
        return (self.folder / f"{name}.log").read_text(errors="replace")

    def wait_listening(self, name, process, port, seconds=5.0):
        """Returns when something accepts on the port; raises Failed with the log where the process ends before."""
        deadline = time.monotonic() + seconds
        while time.monotonic() < deadline and process.poll() is None:
            with contextlib.suppress(OSError), socket.create_connection(("127.0.0.1", port), 1):
                return
            time.sleep(0.02)
        raise Failed(f"{name} did not come up; its log:\n{self.log(name)}")


def end(process):
    if process.stdin:
        process.stdin.close()
    for signal_number, seconds in ((signal.SIGTERM, 3), (signal.SIGKILL, 5)):
        if process.poll() is None:
            process.send_signal(signal_number)
        with contextlib.suppress(subprocess.TimeoutExpired):
            process.wait(seconds)
            return


def free_port():
    """A port nobody uses, below those that the kernel gives to outgoing connections."""
    while True:
        port = random.randrange(20000, 32000)
        with socket.socket() as probe, contextlib.suppress(OSError):
            probe.bind(("127.0.0.1", port))
            return port
