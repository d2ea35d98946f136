#!/usr/bin/env python3
# SPDX-License-Identifier: MIT
"""What operators are told where the kernel forwards: by the status, the command and the metrics."""
import json
import signal

import lab
from lab import Backend, Balancer, Network, configuration, connect, eventually, spread

lab.sys.path.insert(0, str(lab.pathlib.Path(__file__).resolve().parents[1] / "docs"))
import openapi  # noqa: E402  pylint: disable=wrong-import-position,import-error


def both_kinds(backends, more=""):
    """A listener that the kernel forwards for and one of a relay."""
    return configuration(backends, 'source = "keep"\n' + more) + (
        f'[[listeners]]\nname = "relayed"\naddress = "{lab.LISTENER}:9001"\nforward = "relay"\n')


def asks(balancer):
    return lambda: balancer.status()["kernel"]["asks"]


def status_and_command(lemonade, folder):
    Network(1)
    config = both_kinds([Backend(0)])
    balancer = Balancer(lemonade, folder, config)
    eventually(asks(balancer))
    client = connect()
    client.hello()
    eventually(lambda: balancer.status()["kernel"]["conntrack"]["entries"] > 0)
    status = balancer.status()
    listeners = {one["name"]: one for one in status["listeners"]}
    assert (listeners["default"]["forward"], listeners["default"]["source"]) == ("kernel", "keep"), listeners
    assert listeners["relayed"]["forward"] == "relay" and "source" not in listeners["relayed"], listeners
    kernel = status["kernel"]
    assert kernel["table"] == "lemonade" and kernel["tag"] == 0x4c4d and kernel["up_to_date"], kernel
    assert (kernel["unasked"], kernel["event_losses"], kernel["waiting"]) == (0, 0, 0), kernel
    queue = int(lab.run("cat", "/proc/net/netfilter/nfnetlink_queue", namespace="lb").split()[0])
    assert kernel["queue"] == queue, (kernel, queue)
    assert kernel["conntrack"]["limit"] == int(lab.run("sysctl", "-n", "net.netfilter.nf_conntrack_max", namespace="lb"))
    described = json.loads(balancer.get("/api/v1/openapi.json"))
    answer = (200, "application/json", balancer.get("/api/v1/status"))
    wrong = list(openapi.findings_of_answer(described, described["paths"]["/api/v1/status"]["get"], answer))
    assert not wrong, wrong
    said = lab.run(lemonade, "status", "--config", balancer.file, namespace="lb")
    assert f"the kernel forwards by the table inet lemonade, queue {queue}, mark 0x4c4d: up to date, asks; 0 conn" in said, said
    assert "FORWARD" in said and "kernel, keep" in said, said


def unasked(lemonade, folder):
    Network(2)
    balancer = Balancer(lemonade, folder, configuration([Backend(0), Backend(1)]))
    eventually(asks(balancer))
    spread(5)
    assert balancer.metric("lemonade_kernel_asks") == 1
    assert balancer.metric("lemonade_kernel_unasked_total") == 0
    balancer.signal(signal.SIGSTOP)
    lab.run("nft", "flush set inet lemonade alive", namespace="lb")  # at once, instead of after three seconds
    clients = [connect(timeout=20) for _ in range(3)]
    for client in clients:
        client.hello()
    balancer.signal(signal.SIGCONT)
    eventually(lambda: balancer.metric("lemonade_kernel_unasked_total", listener="default") == 3)
    assert balancer.status()["kernel"]["unasked"] == 3
    eventually(asks(balancer))


def table_of_somebody(lemonade, folder):
    Network(1)
    balancer = Balancer(lemonade, folder, configuration([Backend(0)]))
    eventually(asks(balancer))
    assert balancer.metric("lemonade_kernel_table_up_to_date") == 1
    lab.run("nft", "delete table inet lemonade; add table inet lemonade; add chain inet lemonade of_somebody", namespace="lb")
    eventually(lambda: balancer.metric("lemonade_kernel_table_up_to_date") == 0)
    assert balancer.metric("lemonade_kernel_asks") == 0
    said = lab.run(lemonade, "status", "--config", balancer.file, namespace="lb")
    assert "stale: the table inet lemonade cannot be changed" in said and "unasked: the kernel asks nobody" in said, said
    lab.run("nft", "delete table inet lemonade", namespace="lb")
    eventually(lambda: balancer.metric("lemonade_kernel_table_up_to_date") == 1)
    eventually(asks(balancer))
    connect().hello()


def series_of_forwarding(lemonade, folder):
    Network(1)
    backends = [Backend(0)]
    relayed = both_kinds(backends).replace('forward = "kernel"', 'forward = "relay"').replace('source = "keep"\n', "")
    balancer = Balancer(lemonade, folder, relayed)
    assert "lemonade_kernel" not in balancer.get("/metrics")
    assert balancer.status()["kernel"] is None
    balancer.reload(both_kinds(backends, "max_connections = 1\n"))
    eventually(asks(balancer))
    metrics = balancer.get("/metrics")
    assert 'lemonade_kernel_unasked_total{listener="default"} 0' in metrics, metrics
    assert 'lemonade_kernel_unasked_total{listener="relayed"}' not in metrics, metrics
    for name in ("event_losses_total", "queue_packets", "conntrack_entries", "conntrack_limit"):
        assert f"\nlemonade_kernel_{name} " in metrics, (name, metrics)
    first = connect()
    first.hello()
    try:
        connect(timeout=0.5)
        raise AssertionError("a second client was let in")
    except TimeoutError:
        pass
    assert balancer.metric("lemonade_kernel_first_packets_dropped_total", reason="listener_full") >= 1
    assert balancer.metric("lemonade_kernel_first_packets_dropped_total", reason="queue_full") == 0


TESTS = {test.__name__: test for test in (status_and_command, unasked, table_of_somebody, series_of_forwarding)}

if __name__ == "__main__":
    lab.main(TESTS)
