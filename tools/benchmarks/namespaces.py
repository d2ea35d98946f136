# SPDX-License-Identifier: MIT
"""A small network of namespaces, in which the kernel of the balancer's machine forwards: a client, the balancer, and
backends.

    client 10.77.1.2 -- 10.77.1.1 balancer 10.77.2.1 -- 10.77.2.2 and on: backends, one address each

and the same with fd77:1:: and fd77:2::. All of it lives in namespaces of the process that calls enter(), and is gone
with it."""
import ctypes
import os
import subprocess
import threading
import time

CLONE_NEWNS, CLONE_NEWNET = 0x00020000, 0x40000000
LIBC = ctypes.CDLL(None, use_errno=True)
LISTENER, LISTENER6 = "10.77.1.1", "fd77:1::1"


class Skip(Exception):
    """The machine cannot show it."""


def enter():
    """Has this process live in namespaces of its own. Raises Skip where it may not."""
    if LIBC.unshare(CLONE_NEWNS | CLONE_NEWNET) != 0:
        raise Skip(f"no namespaces of our own: {os.strerror(ctypes.get_errno())}")
    run("mount", "--make-rprivate", "/")
    run("mount", "-t", "tmpfs", "tmpfs", "/run")
    run("ip", "link", "set", "lo", "up")


def run(*command, namespace=None, check=True):
    """What the command says; with check its failure is an error that shows it."""
    inside = ["ip", "netns", "exec", namespace] if namespace else []
    done = subprocess.run([*inside, *map(str, command)], capture_output=True, text=True, check=False)
    if check and done.returncode != 0:
        raise AssertionError(f"{' '.join(map(str, command))} ended with {done.returncode}: {done.stdout}{done.stderr}")
    return done.stdout


def within(namespace, call):
    """The result of call(), made by a thread that is in the namespace: its sockets stay there."""
    result = []

    def body():
        with open(f"/run/netns/{namespace}") as file:
            if LIBC.setns(file.fileno(), CLONE_NEWNET) != 0:
                result.append(OSError(ctypes.get_errno(), "setns"))
                return
        try:
            result.append(call())
        except Exception as error:  # pylint: disable=broad-except
            result.append(error)

    thread = threading.Thread(target=body)
    thread.start()
    thread.join()
    if isinstance(result[0], Exception):
        raise result[0]
    return result[0]


def eventually(what, seconds=10):
    """Waits until what() is true, and returns it."""
    end = time.monotonic() + seconds
    while True:
        value = what()
        if value:
            return value
        if time.monotonic() > end:
            raise AssertionError(f"not within {seconds} s: {getattr(what, '__doc__', None) or what}")
        time.sleep(0.01)


class Network:
    def __init__(self, backends=2):
        self.backends = backends
        self.namespaces = ["client", "lb"] + [f"b{i}" for i in range(backends)]
        for name in self.namespaces:
            run("ip", "netns", "add", name)
            run("ip", "-n", name, "link", "set", "lo", "up")
        run("ip", "-n", "lb", "link", "add", "back", "type", "bridge")
        run("ip", "-n", "lb", "link", "set", "back", "up")
        self._join("client", "front", "10.77.1.2/24", "fd77:1::2/64")
        self._address("lb", "front", f"{LISTENER}/24", f"{LISTENER6}/64")
        self._address("lb", "back", "10.77.2.1/24", "fd77:2::1/64")
        for i in range(backends):
            self._join(f"b{i}", f"to{i}", f"10.77.2.{i + 2}/24", f"fd77:2::{i + 2}/64")
            run("ip", "-n", "lb", "link", "set", f"to{i}", "master", "back")
        run("ip", "-n", "client", "route", "add", "10.77.2.0/24", "via", LISTENER)
        for name in self.namespaces[2:]:
            run("ip", "-n", name, "route", "add", "10.77.1.0/24", "via", "10.77.2.1")
            run("ip", "-n", name, "-6", "route", "add", "fd77:1::/64", "via", "fd77:2::1")
        for key in ("net.ipv4.ip_forward", "net.ipv6.conf.all.forwarding"):
            run("sysctl", "-w", f"{key}=1", namespace="lb")
        # Where it is on, the bridge hands a packet that comes back out of it to itself, before its source is changed.
        run("sysctl", "-w", "net.bridge.bridge-nf-call-iptables=0", namespace="lb", check=False)

    def _join(self, name, peer, *addresses):
        run("ip", "link", "add", "eth0", "netns", name, "type", "veth", "peer", "name", peer, "netns", "lb")
        run("ip", "-n", "lb", "link", "set", peer, "up")
        self._address(name, "eth0", *addresses)

    @staticmethod
    def _address(name, device, *addresses):
        for address in addresses:
            nodad = ["nodad"] if ":" in address else []
            run("ip", "-n", name, "addr", "add", address, "dev", device, *nodad)
        run("ip", "-n", name, "link", "set", device, "up")
