#!/usr/bin/env python3
# SPDX-License-Identifier: MIT
"""What operators are told where the kernel forwards: by the status and the command."""
import json

import lab
from lab import Backend, Balancer, Network, configuration, connect, eventually

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


TESTS = {test.__name__: test for test in (status_and_command,)}

if __name__ == "__main__":
    lab.main(TESTS)
