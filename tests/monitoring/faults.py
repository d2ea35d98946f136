# SPDX-License-Identifier: MIT
"""Everything that goes wrong in live.py: each fault is a cause that begins and ends, and the alert that it brings.

The stage is balancers with pools and listeners that are well, and clients of each; a fault makes one of them unwell."""
import contextlib
import json
import os
import pathlib
import resource
import shutil
import signal
import socket
import subprocess
import threading
import urllib.request

from peers import Backend, Clients, kept_open
from processes import Balancer, eventually

FAULTS = []  # of (the alert, labels that it has, the name of the balancer, the function)
# Conntrack has one limit for all namespaces of a machine, which no test lowers; its rule is tried by promtool.
UNSHOWN = {"LemonadeConntrackFull"}


def fault(alert, balancer, **labels):
    """The function is a context manager of the stage: the cause lasts while it is open."""
    def add(function):
        FAULTS.append((alert, labels, balancer, contextlib.contextmanager(function)))
        return function
    return add


def pool(name, backends, more="", of_backends=""):
    """A pool with a listener of the same name."""
    text = f'[[listeners]]\nname = "{name}"\naddress = LISTEN({name})\npool = "{name}"\n{more}[pools.{name}]\n'
    for number, backend in enumerate(backends, 1):
        text += f'[[pools.{name}.backends]]\nid = "{name}-{number}"\naddress = "{backend.address}"\n{of_backends}'
    return text


def by_kernel(name, backends, tag):
    """A pool with a listener that the kernel forwards for, by a table of the same name."""
    return pool(name, backends, 'forward = "kernel"\n') + f'[kernel]\ntable = "{name}"\ntag = {tag}\n'


def nft(commands):
    subprocess.run(["nft", commands], check=True)


CHECKS = '[health]\nchecker = "tcp"\ninterval = "200ms"\nrise = 1\nfall = 1\n'
BEHAVED = 'strategy.algorithm = "round_robin"\n'


class Stage:
    """All balancers with their backends and clients, while all is well."""

    def __init__(self, folder, lemonade, strangers, misfits):
        self.backends = {name: [Backend() for _ in range(count)] for name, count in
                         {"steady": 2, "down": 2, "resets": 1, "slow": 1, "ejected": 2, "full": 1, "limited": 1,
                          "alone": 1}.items()}
        slow_picks = folder / "slow_picks"
        slow_picks.mkdir()
        shutil.copy(pathlib.Path(misfits) / "slow_pick.so", slow_picks)
        lags = folder / "lags"
        lags.mkdir()
        shutil.copy(pathlib.Path(misfits) / "slower_pick.so", lags)
        late = folder / "late"
        late.mkdir()
        shutil.copy(pathlib.Path(misfits) / "turncoat_1.so", late)
        shutil.copy(pathlib.Path(misfits).parent / "late" / "1.0.0" / "late_checker.so", late)
        self.turns_bad = folder / "turns_bad"
        alone = self.backends["alone"]

        def balancer(name, listeners, text, misfit=slow_picks):
            return Balancer(folder, name, lemonade, listeners, [strangers, str(misfit)], text)

        self.single = {name: BEHAVED + CHECKS + pool(name, alone)
                       for name in ("descriptors", "restarted", "gone", "upgraded", "lags", "died", "turned", "slows")}
        for tag, name in enumerate(("stale", "unasked"), 1):
            self.single[name] = BEHAVED + CHECKS + by_kernel(name, alone, tag)

        self.limited = 3
        self.pools = BEHAVED + CHECKS + "".join(
            pool(name, self.backends[name], *more) for name, more in {
                "steady": (), "down": (), "resets": (), "slow": (),
                "limited": (f"max_connections = {self.limited}\n",), "full": ("", "max_connections = 1\n"),
            }.items()) + pool("ejected", self.backends["ejected"]) + (
                '[pools.ejected.health]\nchecker = "com.example.optimist"\n')
        self.pools = self.pools.replace("[pools.full]\n", '[pools.full]\nqueue_timeout = "1h"\n')
        self.plugged = "".join(pool(name, alone) for name in ("picks", "answers", "checks"))
        self.balancers = {
            "pools": balancer("pools", list(self.backends)[:-1], self.pools),
            "plugins": balancer("plugins", ["picks", "answers", "checks"], BEHAVED + CHECKS + self.plugged),
            **{name: balancer(name, [name], text, late if name in ("turned", "slows") else lags)
               for name, text in self.single.items()},
        }
        for name in ("upgraded", "died"):
            self.balancers[name].set_supervised()
        self.clients = []

    def start(self):
        for balancer in self.balancers.values():
            balancer.start()
            for name, port in balancer.ports.items():
                if name not in ("limited", "full"):  # whose limits count clients
                    self.clients.append(Clients(port))

    def stop(self):
        for clients in self.clients:
            clients.stop()
        for balancer in self.balancers.values():
            balancer.stop()


@fault("LemonadeAllBackendsDown", "pools", pool="down")
def backends_killed(stage):
    for backend in stage.backends["down"]:
        backend.stop()
    yield
    for backend in stage.backends["down"]:
        backend.restart()


@fault("LemonadeBackendDown", "pools", pool="down", backend="down-1")
def backend_killed(stage):
    del stage
    yield  # as above


@fault("LemonadeHighErrorRate", "pools", pool="resets")
def backend_resets(stage):
    stage.backends["resets"][0].resets = True
    yield
    stage.backends["resets"][0].resets = False


@fault("LemonadeHighLatency", "pools", pool="slow")
def backend_slow(stage):
    stage.backends["slow"][0].delay = 0.9
    yield
    stage.backends["slow"][0].delay = 0.0


@fault("LemonadeBackendEjected", "pools", pool="ejected", backend="ejected-1")
def backend_refuses_though_its_checks_pass(stage):
    stage.backends["ejected"][0].stop()
    yield
    stage.backends["ejected"][0].restart()


@fault("LemonadeConnectionLimitReached", "pools", listener="limited")
def listener_full(stage):
    with kept_open(stage.balancers["pools"].ports["limited"], stage.limited):
        yield


@fault("LemonadeBackendsFull", "pools", pool="full")
def backends_full(stage):
    with kept_open(stage.balancers["pools"].ports["full"], 3):
        yield


@fault("LemonadeConfigReloadFailed", "pools")
def reload_refused(stage):
    balancer = stage.balancers["pools"]
    balancer.write(stage.pools + "nonsense\n")
    yield
    balancer.reload(stage.pools)


BAD_PLUGINS = """
runtime.metrics_cap = 1
metrics.interval = "100ms"
metrics.sinks = ["prometheus", "com.example.slow"]
metrics.options."com.example.slow" = {delay = "500ms"}
"""
BAD_POOLS = """
[pools.picks.strategy]
algorithm = "com.example.misfit"
[pools.answers.strategy]
algorithm = "com.example.stubborn"
options = {answer = "out_of_range"}
[pools.checks.health]
checker = "com.example.clumsy"
"""


@fault("LemonadeMetricsLost", "plugins", sink="com.example.slow")
def plugins_misbehave(stage):
    balancer = stage.balancers["plugins"]
    balancer.stop()  # a reload would try these plugins first, and refuse some of them
    balancer.write(BAD_PLUGINS + BEHAVED + CHECKS + stage.plugged + BAD_POOLS)
    balancer.start({"LEMONADE_PREFLIGHT": "off"})
    yield
    balancer.reload(BEHAVED + CHECKS + stage.plugged)


def as_above(stage):
    del stage
    yield


fault("LemonadeSlowStrategy", "plugins", pool="picks")(as_above)
fault("LemonadeInvalidPicks", "plugins", pool="answers")(as_above)
fault("LemonadeHealthCheckerFails", "plugins", pool="checks")(as_above)


@fault("LemonadeOutOfDescriptors", "descriptors")
def descriptor_limit_lowered(stage):
    pid = stage.balancers["descriptors"].child.pid
    before = resource.prlimit(pid, resource.RLIMIT_NOFILE)
    in_use = len(os.listdir(f"/proc/{pid}/fd"))
    resource.prlimit(pid, resource.RLIMIT_NOFILE, (max(in_use - 30, 4), before[1]))
    yield
    resource.prlimit(pid, resource.RLIMIT_NOFILE, before)


fault("LemonadeFewDescriptors", "descriptors")(as_above)
fault("LemonadeLimitLowered", "descriptors", listener="descriptors")(as_above)


@fault("LemonadeWorkerLags", "lags")
def picks_hold_a_worker_up(stage):
    balancer, text = stage.balancers["lags"], stage.single["lags"]
    balancer.stop()
    balancer.write(text.replace("round_robin", "com.example.misfit"))
    balancer.start({"LEMONADE_PREFLIGHT": "off"})
    yield
    balancer.reload(text)


@fault("LemonadeKernelTableStale", "stale")
def somebody_has_the_table(stage):
    del stage
    nft("delete table inet stale; add table inet stale; add chain inet stale of_somebody")
    yield
    nft("delete table inet stale")


@fault("LemonadeKernelUnasked", "unasked", listener="unasked")
def table_forgets_what_it_heard(stage):
    del stage
    over = threading.Event()

    def forget():
        while not over.wait(0.05):
            nft("flush set inet unasked alive")

    thread = threading.Thread(target=forget, daemon=True)
    thread.start()
    yield
    over.set()
    thread.join(10)


@fault("LemonadePluginQuarantined", "turned", plugin="com.example.turncoat", version="2.0.0")
def strategy_turns(stage):
    balancer, text = stage.balancers["turned"], stage.single["turned"]
    balancer.stop()
    balancer.write(text.replace("round_robin", "com.example.turncoat"))
    balancer.start({"LEMONADE_TURNCOAT": "pick:segv"})
    with socket.create_connection(("127.0.0.1", balancer.ports["turned"]), 10, source_address=("127.0.0.99", 0)) as client:
        client.sendall(b"GET / HTTP/1.1\r\nHost: x\r\n\r\n")
        assert client.recv(100), "the client whose pick faulted is served"
    yield
    balancer.reload(text)


@fault("LemonadeSlowPlugin", "slows", plugin="com.example.late_checker")
def checker_is_slow(stage):
    balancer, text = stage.balancers["slows"], stage.single["slows"]
    options = f'options = {{when = "{stage.turns_bad}", misdeed = "slow"}}\n'
    balancer.reload(text.replace('checker = "tcp"\n', f'checker = "com.example.late_checker"\n{options}'))
    stage.turns_bad.touch()
    yield
    balancer.reload(text)


@fault("LemonadeProcessDied", "died")
def dies_under_its_supervisor(stage):
    balancer = stage.balancers["died"]
    over = threading.Event()

    def serving():
        with urllib.request.urlopen(f"http://{balancer.admin}/api/v1/status", timeout=10) as answer:
            return json.load(answer)["pid"]

    def die():
        while True:
            os.kill(serving(), signal.SIGKILL)
            if over.wait(20):  # the supervisor gives up at five within a minute
                return

    thread = threading.Thread(target=die, daemon=True)
    thread.start()
    yield
    over.set()
    thread.join(60)


@fault("LemonadeUpgradeFailed", "upgraded")
def upgrade_fails(stage):
    balancer, text = stage.balancers["upgraded"], stage.single["upgraded"]
    balancer.write(text + "nonsense\n")
    balancer.upgrade()
    yield
    balancer.reload(text)
    balancer.upgrade()


@fault("LemonadeInstanceGone", "gone")
def instance_killed(stage):
    balancer = stage.balancers["gone"]
    balancer.kill()
    yield
    balancer.start()


@fault("LemonadeRestarts", "restarted")
def dies_again_and_again(stage):
    balancer = stage.balancers["restarted"]
    over = threading.Event()

    def die():
        while not over.wait(3):
            balancer.kill()
            balancer.start()

    thread = threading.Thread(target=die, daemon=True)
    thread.start()
    yield
    over.set()
    thread.join(60)
    eventually("it runs", lambda: balancer.child.poll() is None, 10)
