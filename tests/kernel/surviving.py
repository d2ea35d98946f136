#!/usr/bin/env python3
# SPDX-License-Identifier: MIT
"""What becomes of flows, and of new clients, while backends leave and while the balancer stops, dies, hangs or is
replaced."""
import errno
import os
import select
import signal
import socket
import time

import lab
from lab import Backend, Balancer, Network, configuration, connect, eventually, spread
from traffic import Traffic

RESET = "Connection reset by peer"


def drain_of_a_backend(lemonade, folder):
    Network(2)
    backends = [Backend(0), Backend(1)]
    balancer = Balancer(lemonade, folder, configuration(backends))
    clients = [connect() for _ in range(4)]
    for client in clients:
        client.hello()
    balancer.reload(configuration(backends[:1]))
    assert set(spread(20)) == {"b0"}
    for client in clients:
        if client.backend == "b1":
            assert client.how_it_ended() == RESET
        else:
            client.echo()
    eventually(lambda: backends[1].endings.count(RESET) == 2)
    assert balancer.metric("lemonade_backend_active_sessions") == 2


def client_that_is_gone(lemonade, folder):
    Network(2)
    backends = [Backend(0), Backend(1)]
    listener = 'source = "keep"\nidle_timeout = "1h"'
    balancer = Balancer(lemonade, folder, configuration(backends, listener))
    clients = [connect() for _ in range(2)]
    for client in clients:
        client.hello()
    lab.run("ip", "-n", "client", "link", "set", "eth0", "down")  # what is sent to it is answered by nobody
    balancer.reload(configuration(backends[:1], listener))
    eventually(lambda: backends[1].endings == [RESET])
    balancer.stop()
    eventually(lambda: backends[0].endings == [RESET])


def backend_down(lemonade, folder):
    Network(2)
    backends = [Backend(0), Backend(1)]
    checked = configuration(backends).replace(
        'checker = "none"', 'checker = "tcp"\ninterval = "100ms"\nfall = 2\nrise = 1\nclose_sessions_when_down = true')
    Balancer(lemonade, folder, checked)
    clients = [connect() for _ in range(2)]
    for client in clients:
        client.hello()
    backends[1].close()
    gone = next(client for client in clients if client.backend == "b1")
    assert gone.how_it_ended() == RESET
    assert set(spread(20)) == {"b0"}
    next(client for client in clients if client.backend == "b0").echo()


def removed_listener(lemonade, folder):
    Network(1)
    backends = [Backend(0)]
    other = configuration(backends) + f'[[listeners]]\nname = "other"\naddress = "{lab.LISTENER}:9001"\nforward = "kernel"\n'
    balancer = Balancer(lemonade, folder, other)
    staying, going = connect(), connect(port=9001)
    staying.hello()
    going.hello()
    balancer.reload(configuration(backends))
    assert going.how_it_ended() == RESET
    staying.echo()
    refused(9001)


def refused(port=lab.PORT):
    try:
        connect(port=port, timeout=3)
    except ConnectionRefusedError:
        return
    raise AssertionError(f"port {port} is still served")


def stop(lemonade, folder):
    Network(1)
    lab.run("nft", "add", "table", "inet", "somebody", namespace="lb")
    balancer = Balancer(lemonade, folder, configuration([Backend(0)]))
    client = connect()
    client.hello()
    assert "table inet lemonade" in tables()
    balancer.signal(signal.SIGTERM)
    assert client.how_it_ended() == RESET  # after the drain timeout
    balancer.process.wait(30)
    assert tables() == ["table inet somebody"], tables()
    refused()


def tables():
    return [line for line in lab.run("nft", "list", "tables", namespace="lb").splitlines() if line]


def stop_while_clients_wait(lemonade, folder):
    Network(1)
    backends = [Backend(0)]
    text = configuration(backends, 'queue_timeout = "60s"').replace('id = "b0"', 'id = "b0"\nmax_connections = 1')
    balancer = Balancer(lemonade, folder, text.replace("drain_timeout_millis = 2000", "drain_timeout_millis = 60000"))
    served = connect()
    served.hello()
    waiting = lab.within("client", lambda: lab.Client(socket.AF_INET, socket.SOCK_STREAM))
    waiting.setblocking(False)
    waiting.connect_ex((lab.LISTENER, lab.PORT))
    eventually(lambda: balancer.metric("lemonade_proxy_queued_sessions") == 1)
    balancer.signal(signal.SIGTERM)
    assert select.select([], [waiting], [], 5)[1], "who waits is left waiting"
    assert waiting.getsockopt(socket.SOL_SOCKET, socket.SO_ERROR) == errno.ECONNREFUSED
    served.echo()
    served.close()
    assert balancer.process.wait(4) == 0


def table_is_kept(lemonade, folder):
    Network(2)
    backends = [Backend(0), Backend(1)]
    kept = configuration(backends, top="[kernel]\nkeep = true\n")
    balancer = Balancer(lemonade, folder, kept)
    client = connect()
    client.hello()
    balancer.stop()
    client.echo()
    assert set(spread(60)) == {"b0", "b1"}
    balancer.start()
    client.echo()
    eventually(lambda: balancer.metric("lemonade_backend_active_sessions") == 1)
    client.close()
    eventually(lambda: balancer.metric("lemonade_backend_active_sessions") == 0)


def table_is_kept_at_once(lemonade, folder):
    Network(2)
    kept = configuration([Backend(0), Backend(1)], top="[kernel]\nkeep = true\n").replace(
        "[runtime]\n", "[runtime]\ngrace_millis = 20000\n")
    balancer = Balancer(lemonade, folder, kept)
    client = connect()
    client.hello()
    balancer.signal(signal.SIGTERM)
    eventually(lambda: "clients are accepted for a while" in balancer.said())
    balancer.stop()
    client.echo()
    assert set(spread(20)) == {"b0", "b1"}


def table_that_is_not_wanted_any_more(lemonade, folder):
    Network(2)
    backends = [Backend(0), Backend(1)]
    everywhere = f"0.0.0.0:{lab.PORT}"
    there = f"{lab.LISTENER}:{lab.PORT}"
    for before, after in ((there, there), (everywhere, there), (there, everywhere)):
        balancer = Balancer(lemonade, folder, configuration(backends[:1], address=before))
        live = connect()
        assert live.hello() == "b0"
        balancer.signal(signal.SIGKILL)
        balancer.process.wait(10)
        balancer.write(configuration(backends[1:], address=after).replace('forward = "kernel"', 'forward = "relay"'))
        for said in ("does no more", "leads nobody in"):
            earlier = len(balancer.said())
            balancer.start()
            assert connect().hello() == "b1"  # by the relay that is configured now
            live.echo()
            assert said in balancer.said()[earlier:]
            balancer.stop()
        live.close()


def killed(lemonade, folder):
    Network(2)
    backends = [Backend(0), Backend(1)]
    balancer = Balancer(lemonade, folder, configuration(backends))
    traffic = Traffic()
    traffic.more()
    balancer.signal(signal.SIGKILL)
    balancer.process.wait(10)
    before = dict(traffic.by)
    traffic.more(500)
    after = {name: traffic.by[name] - before[name] for name in traffic.by}
    balancer.start()
    eventually(lambda: balancer.metric("lemonade_backend_active_sessions") >= 8)
    traffic.more()
    traffic.stop()
    assert not traffic.failed, traffic.failed[:5]
    assert min(after.values()) > 0.3 * sum(after.values()), after
    sessions = balancer.metric("lemonade_backend_sessions_total")
    assert sessions >= 8, sessions
    assert balancer.metric("lemonade_backend_bytes_total", direction="in") > 8 * 1000


def killed_supervisor(lemonade, folder):
    Network(2)
    backends = [Backend(0), Backend(1)]
    balancer = Balancer(lemonade, folder, configuration(backends).replace('supervisor = "off"', 'supervisor = "on"'))
    traffic = Traffic()
    traffic.more()
    child = balancer.pid()
    balancer.signal(signal.SIGKILL)
    balancer.process.wait(10)
    eventually(lambda: not lab.pathlib.Path(f"/proc/{child}").exists())
    traffic.more()
    balancer.start()
    eventually(lambda: balancer.metric("lemonade_backend_active_sessions") >= 8)
    traffic.more()
    traffic.stop()
    assert not traffic.failed, traffic.failed[:5]


def stopped_by_a_signal(lemonade, folder):
    Network(2)
    backends = [Backend(0), Backend(1)]
    balancer = Balancer(lemonade, folder, configuration(backends))
    live = connect()
    live.hello()
    balancer.signal(signal.SIGSTOP)
    began = time.monotonic()
    live.echo()
    client = connect(timeout=20)
    client.hello()
    waited = time.monotonic() - began
    assert waited < 8, waited
    assert spread(50)  # the kernel asks nobody any more
    balancer.signal(signal.SIGCONT)
    eventually(lambda: balancer.metric("lemonade_backend_active_sessions") >= 2)
    eventually(lambda: sorted(spread(20).values()) == [10, 10])  # as the strategy says, not by chance


def upgrade(lemonade, folder):
    Network(2)
    backends = [Backend(0), Backend(1)]
    balancer = Balancer(lemonade, folder, configuration(backends).replace('supervisor = "off"', 'supervisor = "on"'))
    traffic = Traffic()
    traffic.more()
    for _ in range(3):
        pid = balancer.pid()
        lab.run(lemonade, "upgrade", "--config", balancer.file, namespace="lb")
        eventually(lambda pid=pid: balancer.pid() != pid, 30)
        traffic.more()
    traffic.stop()
    assert not traffic.failed, traffic.failed[:5]
    eventually(lambda: balancer.metric("lemonade_backend_active_sessions") == 0)
    # Each is counted by the process that was asked about it, and by no other.
    came = traffic.came + 8
    counted = {name: balancer.metric(name) for name in (
        "lemonade_proxy_accepted_total", "lemonade_backend_sessions_total", "lemonade_backend_connect_seconds_count",
        "lemonade_backend_session_duration_seconds_count", "lemonade_backend_bytes_total")}
    moved = moved_at(backends)
    print(came, moved, counted)
    assert counted["lemonade_proxy_accepted_total"] == came, (counted, came)
    assert counted["lemonade_backend_sessions_total"] == came, (counted, came)
    assert counted["lemonade_backend_connect_seconds_count"] == came, (counted, came)
    # But for what falls between the last look of the one process and the first of the next.
    assert 0.95 * came <= counted["lemonade_backend_session_duration_seconds_count"] <= came, (counted, came)
    assert 0.8 * moved <= counted["lemonade_backend_bytes_total"] <= moved, (counted, moved)
    balancer.stop()


def moved_at(backends):
    """Bytes of IP packets that backends have received and sent, as their machines count."""
    total = 0
    for backend in backends:
        link = lab.json.loads(lab.run("ip", "-s", "-j", "link", "show", "dev", "eth0", namespace=backend.name))[0]
        for way in ("rx", "tx"):
            total += link["stats64"][way]["bytes"] - 14 * link["stats64"][way]["packets"]
    return total


def without_the_right(lemonade, folder):
    Network(1)
    path = f"{folder}/lemonade.toml"
    lab.pathlib.Path(path).write_text(configuration([Backend(0)]))
    done = lab.subprocess.run(["ip", "netns", "exec", "lb", "setpriv", "--bounding-set=-net_admin",
                               "--inh-caps=-net_admin", lemonade, "lb", "--config", path],
                              capture_output=True, text=True, check=False, timeout=30)
    assert done.returncode != 0
    assert "CAP_NET_ADMIN" in done.stdout + done.stderr, done.stdout + done.stderr


def flood(lemonade, folder):
    Network(1)
    backend = Backend(0)
    balancer = Balancer(lemonade, folder, configuration([backend], "max_connections = 2000"))
    before = memory(balancer)
    seconds = 5
    syn = lab.subprocess.Popen(["ip", "netns", "exec", "client", lab.sys.executable, "-B",
                                lab.pathlib.Path(__file__).parent / "flood.py", lab.LISTENER, str(lab.PORT), str(seconds)],
                               stdout=lab.subprocess.PIPE, text=True)
    slowest = 0.0
    while syn.poll() is None:
        began = time.monotonic()
        assert balancer.get("/healthz") is not None
        slowest = max(slowest, time.monotonic() - began)
        time.sleep(0.02)
    sent = int(syn.stdout.read())
    assert sent > 20_000, sent
    assert slowest < 0.1, slowest
    if not os.environ.get("LEMONADE_TEST_SANITIZER"):  # which keeps what is freed
        assert memory(balancer) - before < 8 << 20, (before, memory(balancer))
    client = eventually(lets_in, 30)
    client.echo()


def lets_in():
    """a client is let in after the flood"""
    try:
        client = connect(timeout=3)
        client.hello()
        return client
    except OSError:
        return None


def memory(balancer):
    for line in open(f"/proc/{balancer.pid()}/status", encoding="ascii"):
        if line.startswith("VmRSS"):
            return int(line.split()[1]) << 10
    raise AssertionError("no VmRSS")


TESTS = {test.__name__: test for test in (
    drain_of_a_backend, client_that_is_gone, backend_down, removed_listener, stop, stop_while_clients_wait, table_is_kept,
    table_is_kept_at_once, table_that_is_not_wanted_any_more, killed, killed_supervisor, stopped_by_a_signal, upgrade,
    without_the_right, flood)}

if __name__ == "__main__":
    lab.main(TESTS)
