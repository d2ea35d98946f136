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


def _prepare(core, real_time):
    """Runs in the child: before other work on this machine, so that this is not measured; as far as we are let."""
    if core is not None:
        os.sched_setaffinity(0, {core})
    with contextlib.suppress(PermissionError):
        os.setpriority(os.PRIO_PROCESS, 0, -10)
        if real_time:
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

    def start(self, name, command, core=None, real_time=True, **options):
        """core: the only one to run on. real_time: not for what would use all of a core."""
        with open(self.folder / f"{name}.log", "wb") as log:
            process = subprocess.Popen([str(word) for word in command], stderr=log,
                                       preexec_fn=lambda: _prepare(core, real_time),
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


def family(pid):
    """A process and those it started."""
    children = pathlib.Path(f"/proc/{pid}/task/{pid}/children").read_text().split()
    return [pid, *(one for child in children for one in family(int(child)))]


def cpu_seconds(pid):
    """What all threads of a process and of those it started have used."""
    return sum(used for one in family(pid) for _, used in _threads(one))


def thread_cpu_seconds(pid, prefix):
    """What the threads have used whose names start so, of one process."""
    return sum(used for name, used in _threads(pid) if name.startswith(prefix))


def _threads(pid):
    """Name and used seconds of each thread of a process, but of those that end meanwhile."""
    for path in pathlib.Path(f"/proc/{pid}/task").iterdir():
        try:
            yield (path / "comm").read_text(), int((path / "schedstat").read_text().split()[0]) / 1e9
        except (FileNotFoundError, ProcessLookupError):
            continue


def machine_seconds():
    """What all processors have worked since the machine started."""
    user, nice, system, _, _, irq, softirq = map(int, open("/proc/stat").readline().split()[1:8])
    return (user + nice + system + irq + softirq) / os.sysconf("SC_CLK_TCK")


def anonymous_bytes(pid):
    """Memory that is nobody else's and no file's."""
    lines = (line for one in family(pid) for line in open(f"/proc/{one}/smaps_rollup"))
    return sum(int(line.split()[1]) * 1024 for line in lines if line.startswith("Anonymous:"))
