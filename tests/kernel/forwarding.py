#!/usr/bin/env python3
# SPDX-License-Identifier: MIT
"""What clients and backends meet where the kernel forwards: bytes, ends, shares, limits, feedback."""
import errno
import re
import socket
import time
import types

import lab
from lab import Backend, Balancer, Network, configuration, connect, eventually, spread


def bytes_and_ends(lemonade, folder):
    Network(2)
    backends = [Backend(0), Backend(1)]
    Balancer(lemonade, folder, configuration(backends))
    client = connect()
    client.hello()
    client.echo(bytes(range(256)) * 4096)
    client.shutdown(socket.SHUT_WR)  # half closed: the answer to what was sent still comes
    assert client.how_it_ended() == "closed"
    resetting = connect()
    owner = backends[int(resetting.hello()[1])]
    resetting.reset()
    eventually(lambda: "Connection reset by peer" in owner.endings)
    by_backend = connect()
    owner = backends[int(by_backend.hello()[1])]
    last = owner.sockets[-1]
    last.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, lab.struct.pack("ii", 1, 0))
    last.shutdown(socket.SHUT_RD)
    last.close()
    assert by_backend.how_it_ended() == "Connection reset by peer"


def half_closed(lemonade, folder):
    Network(1)
    address = f"10.77.2.2:{lab.BACKEND_PORT}"
    server = lab.within("b0", lambda: socket.create_server(("10.77.2.2", lab.BACKEND_PORT)))
    server.settimeout(10)
    balancer = Balancer(lemonade, folder, configuration([types.SimpleNamespace(name="b0", address=address)],
                                                        'idle_timeout = "0s"\nhalf_close_timeout = "1s"'))
    waiting = connect()
    asked = server.accept()[0]
    waiting.shutdown(socket.SHUT_WR)  # and an answer comes, some time
    staying = connect()
    done = server.accept()[0]
    done.shutdown(socket.SHUT_WR)
    assert staying.recv(1) == b""
    eventually(lambda: failure(done) == errno.ECONNRESET, 30)
    eventually(lambda: failure(staying) == errno.EPIPE)  # which is a reset of who was told of an end
    eventually(lambda: balancer.metric("lemonade_proxy_sessions") == 1)
    known = lab.connections()
    assert int(re.search(r" (\d+) CLOSE_WAIT", known).group(1)) > 20 * 86400, known
    assert asked.recv(1) == b""
    asked.sendall(b"late")
    assert waiting.recv(4) == b"late"


def failure(sock):
    return sock.getsockopt(socket.SOL_SOCKET, socket.SO_ERROR)


def shares(lemonade, folder):
    Network(3)
    backends = [Backend(i) for i in range(3)]
    balancer = Balancer(lemonade, folder, configuration(backends))
    got = spread(10_000)
    assert sorted(got.values()) == [3333, 3333, 3334], got
    assert balancer.metric("lemonade_backend_sessions_total") == 10_000
    weighted = configuration(backends).replace('"round_robin"', '"weighted_round_robin"').replace(
        'id = "b2"', 'id = "b2"\nweight = 2')
    balancer.reload(weighted)
    got = spread(4_000)
    assert got == {"b0": 1000, "b1": 1000, "b2": 2000}, got
    balancer.reload(configuration(backends).replace('"round_robin"', '"consistent_hash"'))
    names = set()
    for _ in range(10):
        client = connect()
        names.add(client.hello())
        client.close()
        # One that is still closing counts, and the load of a backend is bounded.
        eventually(lambda: balancer.metric("lemonade_backend_active_sessions") == 0)
    assert len(names) == 1, "one client is one key"


def limits(lemonade, folder):
    Network(2)
    backends = [Backend(0), Backend(1)]
    limited = configuration(backends, 'queue_timeout = "30s"')
    for backend in backends:
        limited = limited.replace(f'id = "{backend.name}"', f'id = "{backend.name}"\nmax_connections = 3')
    balancer = Balancer(lemonade, folder, limited)
    clients = [connect() for _ in range(6)]
    for client in clients:
        client.hello()
    assert balancer.metric("lemonade_backend_active_sessions") == 6
    waiting = lab.within("client", lambda: lab.Client(socket.AF_INET, socket.SOCK_STREAM))
    waiting.setblocking(False)
    waiting.connect_ex((lab.LISTENER, lab.PORT))
    eventually(lambda: balancer.metric("lemonade_proxy_queued_sessions") == 1)
    clients[0].close()
    waiting.settimeout(10)
    assert waiting.hello() == clients[0].backend
    balancer.reload(limited.replace('queue_timeout = "30s"', 'queue_timeout = "0s"'))
    try:
        connect()
        raise AssertionError("a client was let in beyond the limits")
    except ConnectionRefusedError:
        pass


def listener_limit(lemonade, folder):
    Network(1)
    balancer = Balancer(lemonade, folder, configuration([Backend(0)], "max_connections = 2"))
    clients = [connect() for _ in range(2)]
    for client in clients:
        client.hello()
    try:
        connect(timeout=0.5)
        raise AssertionError("a third client was let in")
    except TimeoutError:
        pass
    clients[0].close()
    eventually(lambda: balancer.metric("lemonade_proxy_sessions") == 1)
    connect().hello()


def feedback(lemonade, folder):
    Network(2)
    backends = [Backend(0), Backend(1)]
    balancer = Balancer(lemonade, folder, configuration(backends, 'connect_timeout = "1s"\nretries = 0'))
    client = connect()
    name = client.hello()
    client.echo(b"x" * 100_000)
    client.close()
    eventually(lambda: balancer.metric("lemonade_backend_active_sessions") == 0)
    into = balancer.metric("lemonade_backend_bytes_total", backend=name, direction="in")
    out = balancer.metric("lemonade_backend_bytes_total", backend=name, direction="out")
    assert 100_000 <= into <= 120_000 and 100_003 <= out <= 120_000, (into, out)
    assert balancer.metric("lemonade_backend_connect_seconds_count", backend=name) == 1
    backends[0].close()
    backends[1].close()
    for _ in range(2):
        try:
            connect()
            raise AssertionError("nobody listens")
        except ConnectionRefusedError:
            pass
    eventually(lambda: balancer.metric("lemonade_backend_connect_failures_total", reason="refused") == 2)
    lab.run("iptables-nft", "-A", "INPUT", "-p", "tcp", "--dport", "8000", "-j", "DROP", namespace="b0")
    lab.run("iptables-nft", "-A", "INPUT", "-p", "tcp", "--dport", "8000", "-j", "DROP", namespace="b1")
    try:
        connect(timeout=10)
        raise AssertionError("nobody answers")
    except ConnectionRefusedError:
        pass  # by the balancer, when the client has come again
    assert balancer.metric("lemonade_backend_connect_failures_total", reason="timeout") == 1


def refused_is_tried_elsewhere(lemonade, folder):
    Network(2)
    backends = [Backend(0), Backend(1)]
    balancer = Balancer(lemonade, folder, configuration(backends, pool="[ejection]\nenabled = false"))
    backends[0].close()
    for _ in range(2):
        assert connect().hello() == "b1"  # one of them a second later
    assert balancer.metric("lemonade_backend_connect_failures_total", reason="refused") >= 1
    backends[1].close()
    began = time.monotonic()
    try:
        connect(timeout=20)
        raise AssertionError("nobody listens")
    except ConnectionRefusedError:
        assert time.monotonic() - began < 9  # it has tried as often as retries say


def unanswered_is_tried_elsewhere(lemonade, folder):
    Network(2)
    backends = [Backend(0), Backend(1)]
    lab.run("iptables-nft", "-A", "INPUT", "-p", "tcp", "--dport", "8000", "-j", "DROP", namespace="b0")
    Balancer(lemonade, folder, configuration(backends, 'connect_timeout = "500ms"', "[ejection]\nenabled = false"))
    for _ in range(2):
        began = time.monotonic()
        assert connect().hello() == "b1"
        assert time.monotonic() - began < 4


def source_and_families(lemonade, folder):
    Network(1)
    four, six = Backend(0), Backend(0, family=socket.AF_INET6)
    addresses = [f"{lab.LISTENER}:{lab.PORT}", f"[{lab.LISTENER6}]:{lab.PORT}"]
    tables = configuration([four], address=addresses)
    tables += f'[[backends]]\nid = "six"\naddress = "{six.address}"\n'
    balancer = Balancer(lemonade, folder, tables)
    assert connect().hello() == "b0"
    assert four.peers[-1] == "10.77.2.1"
    assert connect(lab.LISTENER6).hello() == "b0"
    assert six.peers[-1] == "fd77:2::1"
    balancer.reload(tables.replace('forward = "kernel"', 'forward = "kernel"\nsource = "keep"'))
    connect().hello()
    assert four.peers[-1] == "10.77.1.2"
    connect(lab.LISTENER6).hello()
    assert six.peers[-1] == "fd77:1::2"


def local_clients(lemonade, folder):
    Network(1)
    Balancer(lemonade, folder, configuration([Backend(0)]))
    client = connect(namespace="lb")
    assert client.hello() == "b0"
    client.echo(b"from the same machine")


def wildcard(lemonade, folder):
    Network(1)
    Balancer(lemonade, folder, configuration([Backend(0)], address=f"0.0.0.0:{lab.PORT}"))
    assert connect().hello() == "b0"
    assert connect("10.77.2.1", namespace="b0").hello() == "b0"


def translated_before(lemonade, folder):
    Network(1)
    Balancer(lemonade, folder, configuration([Backend(0)], address=f"0.0.0.0:{lab.PORT}"))
    lab.run("nft", "add table ip kube; add chain ip kube services { type nat hook prerouting priority dstnat; }; "
            f"add rule ip kube services ip daddr 10.77.9.9 tcp dport 80 dnat to {lab.LISTENER}:{lab.PORT}", namespace="lb")
    lab.run("ip", "-n", "client", "route", "add", "10.77.9.9", "via", lab.LISTENER)
    try:
        connect("10.77.9.9", port=80)
    except ConnectionRefusedError:
        pass
    else:
        raise AssertionError("the kernel translates a connection twice: the manual says it does not")
    assert connect().hello() == "b0"


def beside_a_relay(lemonade, folder):
    Network(2)
    kernel, relay = Backend(0), Backend(1)
    both = configuration([kernel]) + (
        f'[[listeners]]\nname = "relayed"\naddress = "{lab.LISTENER}:9001"\npool = "relayed"\n'
        f'[pools.relayed]\nbackends = "{relay.address}"\nhealth.checker = "none"\n')
    balancer = Balancer(lemonade, folder, both)
    one, other = connect(), connect(port=9001)
    assert one.hello() == "b0" and other.hello() == "b1"
    # Each becomes the other, and what lives goes on.
    swapped = both.replace('forward = "kernel"', 'forward = "relay"').replace(
        'name = "relayed"', 'name = "relayed"\nforward = "kernel"')
    balancer.reload(swapped)
    one.echo()
    other.echo()
    assert connect().hello() == "b0" and connect(port=9001).hello() == "b1"
    assert kernel.peers[-1] == "10.77.2.1" and relay.peers[-1] == "10.77.2.1"
    balancer.reload(both)
    assert connect().hello() == "b0" and connect(port=9001).hello() == "b1"


def port_is_kept(lemonade, folder):
    Network(1)
    backend = Backend(0)
    for address in (f"{lab.LISTENER}:{lab.PORT}", f"{lab.LISTENER}:0"):  # the system chooses the second one
        kernel = configuration([backend], address=address).replace('supervisor = "off"', 'supervisor = "on"')
        balancer = Balancer(lemonade, folder, kernel)
        port = port_of(balancer)
        connect(port=port).hello()
        assert not is_free(port)
        balancer.reload(kernel.replace('forward = "kernel"', 'forward = "relay"'))
        connect(port=port).hello()
        balancer.reload(kernel)
        pid = balancer.pid()
        lab.run(lemonade, "upgrade", "--config", balancer.file, namespace="lb")
        eventually(lambda pid=pid: balancer.pid() != pid, 30)
        connect(port=port).hello()
        assert port_of(balancer) == port
        eventually(lambda port=port: not listens(port))
        assert not is_free(port)
        balancer.stop()
        assert is_free(port)


def port_of(balancer):
    return int(balancer.status()["listeners"][0]["addresses"][0].rpartition(":")[2])


def is_free(port):
    """Another program can listen there, one that is willing to share like most."""
    def take():
        with socket.socket() as other:
            other.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
            try:
                other.bind((lab.LISTENER, port))
                other.listen()
                return True
            except OSError:
                return False

    return lab.within("lb", take)


def listens(port):
    """somebody listens there on the balancer's machine"""
    return lab.run("ss", "-Hltn", f"sport = :{port}", namespace="lb") != ""


def swap_of_the_strategy(lemonade, folder):
    Network(2)
    backends = [Backend(0), Backend(1)]
    balancer = Balancer(lemonade, folder, configuration(backends))
    live = connect()
    live.hello()
    for strategy in ("least_connections", "random_two", "adaptive", "round_robin"):
        balancer.reload(configuration(backends).replace('"round_robin"', f'"{strategy}"'))
        got = spread(200)
        # adaptive goes by how long connects have taken so far, and may have no use for one of the two.
        assert len(got) == 2 or strategy == "adaptive", (strategy, got)
        live.echo()


def access_log(lemonade, folder):
    Network(1)
    path = f"{folder}/access.log"
    balancer = Balancer(lemonade, folder, configuration(
        [Backend(0)], top=f'[metrics]\nsinks = ["prometheus", "access_log"]\ninterval = "100ms"\n'
        f'[metrics.options.access_log]\nto = "{path}"\nformat = "json"\n'))
    client = connect()
    client.hello()
    client.echo(b"y" * 10_000)
    client.close()

    def line():
        try:
            return open(path, encoding="utf-8").read()
        except FileNotFoundError:
            return ""

    said = lab.json.loads(eventually(line))
    assert said["backend"] == "b0" and said["reason"] == "done", said
    assert said["bytes_in"] >= 10_000 and said["bytes_out"] >= 10_000, said
    balancer.stop()


TESTS = {test.__name__: test for test in (
    bytes_and_ends, half_closed, shares, limits, listener_limit, feedback,
    refused_is_tried_elsewhere, unanswered_is_tried_elsewhere, source_and_families,
    local_clients, wildcard, translated_before, beside_a_relay, port_is_kept, swap_of_the_strategy, access_log)}

if __name__ == "__main__":
    lab.main(TESTS)
