#!/usr/bin/env python3
# SPDX-License-Identifier: MIT
"""What becomes of clients while reloads and upgrades turn a listener of a relay into one of the kernel, and back."""
import contextlib

import lab
from lab import Backend, Balancer, Network, configuration, connect, eventually, spread
from traffic import Traffic


def both(backends, listener=""):
    """Configurations with a listener of a relay, and of the kernel."""
    kernel = configuration(backends, listener)
    return kernel.replace('forward = "kernel"', 'forward = "relay"'), kernel


def refuses():
    """the socket of the listener does not listen any more"""
    return lab.run("ss", "-Hltn", f"sport = :{lab.PORT}", namespace="lb") == ""


def has_table():
    return "table inet lemonade" in lab.run("nft", "list", "tables", namespace="lb")


def reloads(lemonade, folder):
    Network(2)
    relay, kernel = both([Backend(0), Backend(1)])
    balancer = Balancer(lemonade, folder, relay)
    traffic = Traffic(coming=4)
    traffic.more(50)
    for turn in range(5):
        balancer.reload(kernel)
        if turn % 2 == 0:  # else it turns back while the relay still takes clients in
            eventually(refuses)
        traffic.more(50)
        balancer.reload(relay)
        traffic.more(50)
    traffic.stop()
    assert not traffic.failed, traffic.failed[:5]


def leaves_nothing(lemonade, folder):
    Network(2)
    relay, kernel = both([Backend(0), Backend(1)])
    balancer = Balancer(lemonade, folder, kernel)
    for _ in range(2):
        client = connect()
        client.hello()
        balancer.reload(relay)
        spread(10)
        assert balancer.status()["kernel"], "it has a connection, and the status does not say how it is"
        client.echo()
        client.close()
        eventually(lambda: not has_table(), 30)
        assert balancer.status()["kernel"] is None, balancer.status()["kernel"]
        balancer.reload(kernel)
        eventually(refuses)
        spread(10)
        assert has_table() and balancer.status()["kernel"]["asks"], balancer.status()
    assert balancer.metric("lemonade_proxy_accepted_total") == 42, balancer.get("/metrics")
    assert balancer.metric("lemonade_kernel_unasked_total") == 0, balancer.get("/metrics")


def upgrades(lemonade, folder):
    Network(2)
    relay, kernel = [text.replace('supervisor = "off"', 'supervisor = "on"').replace(
        "drain_timeout_millis = 2000", "drain_timeout_millis = 60000") for text in both([Backend(0), Backend(1)])]
    balancer = Balancer(lemonade, folder, relay)
    traffic = Traffic(coming=4)
    traffic.more(50)
    for config in (kernel, relay, kernel):
        pid = balancer.pid()
        balancer.write(config)
        lab.run(lemonade, "upgrade", "--config", balancer.file, namespace="lb")
        eventually(lambda pid=pid: balancer.pid() != pid, 30)
        traffic.more(50)
    eventually(refuses)
    traffic.more(50)
    traffic.stop()
    assert not traffic.failed, traffic.failed[:5]


def waiting_for_room(lemonade, folder):
    Network(1)
    relay, kernel = both([Backend(0)], "max_connections = 2")
    balancer = Balancer(lemonade, folder, relay)
    clients = [connect() for _ in range(2)]
    for client in clients:
        client.hello()
    waiting = connect()  # the kernel has let it in, and the relay has no room for it
    balancer.reload(kernel)
    waiting.settimeout(6)  # longer than any handshake is waited for
    with contextlib.suppress(TimeoutError):
        raise AssertionError(f"it was to wait, and got {waiting.recv(1)}")
    clients[0].close()
    waiting.settimeout(10)
    waiting.hello()
    eventually(refuses)
    for client in (waiting, clients[1]):
        client.echo()


def handshake_under_way(lemonade, folder):
    Network(1)
    relay, kernel = both([Backend(0)])
    # Conntrack is at work before the listener is turned, so that it knows of the handshake.
    other = f'[[listeners]]\nname = "other"\naddress = "{lab.LISTENER}:9001"\nforward = "kernel"\n'
    balancer = Balancer(lemonade, folder, relay + other)
    lost = ["INPUT", "-p", "tcp", "--sport", str(lab.PORT), "-j", "DROP"]
    lab.run("iptables-nft", "-A", *lost, namespace="client")
    client = lab.within("client", lambda: lab.Client(lab.socket.AF_INET, lab.socket.SOCK_STREAM))
    client.setblocking(False)
    client.connect_ex((lab.LISTENER, lab.PORT))
    eventually(lambda: lab.run("ss", "-Htn", "state", "syn-recv", f"sport = :{lab.PORT}", namespace="lb"))
    balancer.reload(kernel + other)
    lab.run("iptables-nft", "-D", *lost, namespace="client")
    client.settimeout(10)
    client.hello()
    client.echo()


TESTS = {test.__name__: test for test in (reloads, leaves_nothing, upgrades, waiting_for_room, handshake_under_way)}

if __name__ == "__main__":
    lab.main(TESTS)
