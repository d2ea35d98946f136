#!/usr/bin/env python3
# SPDX-License-Identifier: MIT
"""Exchanges that the kernel forwards, and a program in it times: what strategies and metrics learn of them."""
import contextlib
import pathlib
import platform
import re
import socket
import struct
import subprocess
import threading
import time

import lab
from lab import Balancer, Network, Skip, configuration, connect, eventually

ON = '[kernel]\nexchanges = "on"\n'
FOREVER = 3600
RIGHTS = ("net_admin", "net_raw", "bpf", "perfmon")


def need_programs():
    """Raises Skip where the kernel takes no program at its hooks of netfilter, or tells it no types."""
    release = tuple(int(part) for part in re.findall(r"\d+", platform.release())[:2])
    if release < (6, 4):
        raise Skip(f"Linux {platform.release()} takes no program at hooks of netfilter; 6.4 does")
    if not pathlib.Path("/sys/kernel/btf/vmlinux").exists():
        raise Skip("the kernel does not tell its types (CONFIG_DEBUG_INFO_BTF)")


class Answering(lab.Backend):
    """Says its name to whoever asks, so many seconds later."""

    def __init__(self, index, delay=0.0, **more):
        self.delay = delay
        super().__init__(index, **more)

    def _serve(self, client):
        with contextlib.suppress(OSError), client:
            while client.recv(65536):
                time.sleep(self.delay)
                client.sendall(self.name.encode() + b"\n")


class Clients:
    """So many at a time, each of which connects, asks some times and leaves."""

    def __init__(self, count=4, requests=5):
        self.count, self.requests = count, requests
        self.by, self.took, self.failed, self.lock = {}, {}, [], threading.Lock()

    def run(self, connections):
        self.left = connections
        threads = [threading.Thread(target=self._go) for _ in range(self.count)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
        assert not self.failed, self.failed[:3]

    def _go(self):
        while self._takes_one():
            try:
                with connect() as client:
                    for _ in range(self.requests):
                        began = time.monotonic()
                        client.sendall(b"name\n")
                        name = client.hello()
                        with self.lock:
                            self.took.setdefault(name, []).append(time.monotonic() - began)
                with self.lock:
                    self.by[name] = self.by.get(name, 0) + 1
            except OSError as error:
                self.failed.append(str(error))

    def _takes_one(self):
        with self.lock:
            self.left -= 1
            return self.left >= 0


def exchanges(balancer, **labels):
    """How many, and their mean in seconds."""
    count = balancer.metric("lemonade_backend_exchange_seconds_count", **labels)
    assert count <= balancer.metric("lemonade_backend_exchanges_total", **labels)  # which is asked for later
    return count, balancer.metric("lemonade_backend_exchange_seconds_sum", **labels) / max(count, 1)


def waiting(balancer):
    return balancer.metric("lemonade_backend_waiting_exchanges")


def adaptive(backends, top=ON, **more):
    return configuration(backends, top=top, **more).replace('"round_robin"', '"adaptive"')


def strategies_learn(lemonade, folder):
    need_programs()
    Network(2)
    backends = [Answering(0, 0.02), Answering(1)]
    balancer = Balancer(lemonade, folder, adaptive(backends, top=""))
    Clients().run(20)
    assert exchanges(balancer)[0] == 0
    balancer.stop()
    balancer = Balancer(lemonade, folder, adaptive(backends))
    seeing = Clients(count=1)  # so that nothing but times tells the backends apart
    seeing.run(80)
    print(f"connections {seeing.by}")
    assert seeing.by["b1"] >= 70, seeing.by
    eventually(lambda: exchanges(balancer)[0] == 400)
    slow, quick = exchanges(balancer, backend="b0"), exchanges(balancer, backend="b1")
    said = {name: sum(times) / len(times) for name, times in seeing.took.items()}
    print(f"exchanges: b0 {slow}, b1 {quick}; as clients saw them {said}")
    assert slow[0] == 0 or 0.02 <= slow[1] < 0.05, slow
    assert quick[1] < 0.02 and quick[1] < said["b1"], (quick, said)
    eventually(lambda: waiting(balancer) == 0)

    backends[0].delay, backends[1].delay = 0, 0.1  # who was quick is the slow one from now on
    for _ in range(20):
        turned = Clients(count=1)
        turned.run(10)
        if turned.by.get("b0", 0) >= 9:
            return
    raise AssertionError(f"clients still go to b1, which has become slow: {turned.by}")


def families(lemonade, folder):
    """IPv6, IPv4, and backends that see the client's own address."""
    need_programs()
    Network(2)
    backends = [Answering(0, 0.02), Answering(1, 0.02, family=socket.AF_INET6)]
    both = [f"{lab.LISTENER}:{lab.PORT}", f"[{lab.LISTENER6}]:{lab.PORT}"]
    balancer = Balancer(lemonade, folder, configuration(backends, 'source = "keep"', top=ON, address=both))
    for host, count in ((lab.LISTENER, 3), (lab.LISTENER6, 5)):
        with connect(host) as client:
            for _ in range(count):
                client.sendall(b"name\n")
                client.hello()
    eventually(lambda: exchanges(balancer)[0] == 8)
    assert exchanges(balancer, backend="b0")[0] == 3
    for backend in backends:
        assert 0.02 <= exchanges(balancer, backend=backend.name)[1] < 0.05, exchanges(balancer, backend=backend.name)


def silent_is_ejected(lemonade, folder):
    """A backend that takes clients and answers none is found by a trial, as behind a relay."""
    need_programs()
    Network(3)
    backends = [Answering(0, FOREVER), Answering(1), Answering(2)]
    ejection = '[ejection]\nunanswered_timeout = "300ms"\nbase_time = "60s"\n'
    balancer = Balancer(lemonade, folder, configuration(backends, top=ON + ejection))
    clients = []

    def found():
        """the backend that says nothing is ejected"""
        for _ in range(20):
            client = connect(timeout=0.05)
            client.sendall(b"name\n")
            try:
                client.hello()
                client.close()  # as most clients do: the answer and the end come together
            except TimeoutError:
                clients.append(client)
        return balancer.metric("lemonade_backend_ejected", backend="b0") == 1

    eventually(found, 30)
    eventually(lambda: "answers and gave none for" in balancer.said())
    for name in ("b1", "b2"):
        assert balancer.metric("lemonade_backend_ejected", backend=name) == 0


def probe(client):
    """What some systems send to ask whether somebody is still there: the last byte once more, as garbage."""
    repair, queue, sequence = 19, 20, 21  # TCP_REPAIR, TCP_REPAIR_QUEUE, TCP_QUEUE_SEQ
    tcp = socket.IPPROTO_TCP
    client.setsockopt(tcp, repair, 1)
    client.setsockopt(tcp, queue, 2)
    sent = client.getsockopt(tcp, sequence) & 0xffffffff
    client.setsockopt(tcp, queue, 1)
    received = client.getsockopt(tcp, sequence) & 0xffffffff
    client.setsockopt(tcp, repair, -1)
    (source, source_port), (to, to_port) = client.getsockname(), client.getpeername()

    def segment(checksum):
        return struct.pack("!HHIIBBHHHB", source_port, to_port, (sent - 1) & 0xffffffff, received, 5 << 4, 0x10, 64, checksum,
                           0, 0)

    pseudo = socket.inet_aton(source) + socket.inet_aton(to) + struct.pack("!BBH", 0, tcp, 21) + segment(0) + b"\0"
    total = sum(struct.unpack(f"!{len(pseudo) // 2}H", pseudo))
    while total >> 16:
        total = (total & 0xffff) + (total >> 16)
    raw = lab.within("client", lambda: socket.socket(socket.AF_INET, socket.SOCK_RAW, tcp))
    with raw:
        raw.sendto(segment(~total & 0xffff), (to, 0))


def probed(lemonade, folder):
    """Who asks whether the backend is still there waits for no answer."""
    need_programs()
    Network(1)
    balancer = Balancer(lemonade, folder, configuration([Answering(0)], top=ON))
    with connect() as client:
        client.sendall(b"name\n")
        client.hello()
        eventually(lambda: exchanges(balancer)[0] == 1)
        forwarded = packets_to_backends()
        probe(client)
        eventually(lambda: packets_to_backends() > forwarded)
        for _ in range(30):  # where nothing stirs the balancer looks once a second
            assert waiting(balancer) == 0
            time.sleep(0.05)
        client.sendall(b"name\n")
        client.hello()
    eventually(lambda: exchanges(balancer)[0] == 2)


def packets_to_backends():
    """By the counters of the one connection that there is."""
    return int(re.search(r"packets=(\d+)", lab.connections())[1])


def nobody_waits_who_left(lemonade, folder):
    need_programs()
    Network(1)
    balancer = Balancer(lemonade, folder, configuration([Answering(0, FOREVER)], 'idle_timeout = "2s"', top=ON))
    clients = [connect() for _ in range(3)]
    for client in clients:
        client.sendall(b"name\n")
    eventually(lambda: waiting(balancer) == 3)
    clients[0].reset()
    eventually(lambda: waiting(balancer) == 2)
    lab.run("ip", "link", "set", "eth0", "down", namespace="client")  # the others say nothing any more
    eventually(lambda: waiting(balancer) == 0, 20)
    assert exchanges(balancer)[0] == 0


def drained(lemonade, folder):
    """Who waits at a backend that leaves is cut, and waits no more; so it is at a listener that goes."""
    need_programs()
    Network(1)
    backend = Answering(0, FOREVER)
    other = f'[[listeners]]\nname = "other"\naddress = "{lab.LISTENER}:9001"\nforward = "kernel"\n'
    balancer = Balancer(lemonade, folder, configuration([backend], top=ON) + other)
    staying, going = connect(), connect(port=9001)
    for client in (staying, going):
        client.sendall(b"name\n")
    eventually(lambda: waiting(balancer) == 2)
    balancer.reload(configuration([backend], top=ON))
    assert going.how_it_ended() == "Connection reset by peer"
    eventually(lambda: waiting(balancer) == 1)


def reloads(lemonade, folder):
    """A reload turns it on and off, and what was told as waiting is taken back."""
    need_programs()
    Network(1)
    backend = Answering(0)
    off = configuration([backend])
    balancer = Balancer(lemonade, folder, off)
    clients = Clients(count=1)
    clients.run(2)
    for turn in (1, 2):
        balancer.reload(configuration([backend], top=ON))
        clients.run(2)
        eventually(lambda turn=turn: exchanges(balancer)[0] == 10 * turn)
        backend.delay = FOREVER
        with connect() as client:
            client.sendall(b"name\n")
            eventually(lambda: waiting(balancer) == 1)
            balancer.reload(off)
            eventually(lambda: waiting(balancer) == 0)
            client.reset()
        backend.delay = 0.0
        clients.run(2)
        assert exchanges(balancer)[0] == 10 * turn


def upgrade(lemonade, folder):
    need_programs()
    Network(2)
    backends = [Answering(0, 0.005), Answering(1)]
    supervised = adaptive(backends).replace('supervisor = "off"', 'supervisor = "on"')
    balancer = Balancer(lemonade, folder, supervised)
    clients = Clients(count=6, requests=20)
    load = threading.Thread(target=lambda: clients.run(1_000_000))
    load.start()
    counted = []
    for _ in range(2):
        pid = balancer.pid()
        lab.run(lemonade, "upgrade", "--config", balancer.file, namespace="lb")
        eventually(lambda pid=pid: balancer.pid() != pid, 30)
        before = exchanges(balancer)[0]
        eventually(lambda before=before: exchanges(balancer)[0] > before + 100, 20)
        counted.append(before)
    clients.left = 0
    load.join()
    eventually(lambda: waiting(balancer) == 0)
    for backend in balancer.status()["backends"]:
        assert backend["waiting"] == 0, backend
    print(f"exchanges known at the upgrades {counted}, in the end {exchanges(balancer)}")


def without_the_right(lemonade, folder):
    """The start fails with one error, the doctor says the same, and four rights are enough."""
    need_programs()
    Network(1)
    file = pathlib.Path(folder, "lemonade.toml")
    file.write_text(configuration([Answering(0)], top=ON), encoding="utf-8")

    def said(command, rights):
        done = subprocess.run(
            ["ip", "netns", "exec", "lb", "setpriv", f"--bounding-set=-all,{','.join('+' + right for right in rights)}",
             lemonade, command, "--config", file], capture_output=True, text=True, check=False, timeout=60)
        return done.returncode, done.stdout + done.stderr

    for command in ("lb", "doctor"):
        code, text = said(command, RIGHTS[:2])
        assert code != 0, text
        assert "lacks CAP_BPF" in text and "lacks CAP_PERFMON" in text and "AmbientCapabilities=CAP_BPF" in text, text
    text = said("doctor", RIGHTS)[1].replace(str(file), "")
    assert "exchanges" not in text and "CAP_" not in text, text


def build_without(lemonade, folder):
    """A build without the program refuses it, and says how to get one that has it."""
    file = pathlib.Path(folder, "lemonade.toml")
    file.write_text('[proxy]\nforward = "kernel"\n[kernel]\nexchanges = "on"\n[[backends]]\naddress = "192.0.2.1:80"\n',
                    encoding="utf-8")
    for command in (["lb", "--validate"], ["lb"], ["doctor"]):
        done = subprocess.run([lemonade, *command, "--config", file], capture_output=True, text=True, check=False,
                              timeout=60)
        said = done.stdout + done.stderr
        assert done.returncode != 0 and "LEMONADE_EXCHANGE_TIMES=ON" in said, said


TESTS = {test.__name__: test for test in (strategies_learn, families, silent_is_ejected, probed, nobody_waits_who_left,
                                          drained, reloads, upgrade, without_the_right, build_without)}

if __name__ == "__main__":
    lab.main(TESTS)
