# SPDX-License-Identifier: MIT
"""Who takes part, each configured as its users would: its files, and the command that runs it in the foreground."""
import pathlib
import re
import subprocess
from dataclasses import dataclass
from typing import Callable

from processes import Failed

# The same for all who check: every 2 s, down after 3 failures, up after 2 successes. Sooner while that is under way
# only where it is the default.
INTERVAL_S, FALL, RISE = 2, 3, 2


@dataclass
class Contender:
    name: str
    ours: bool
    # Of (folder for its files, port to listen on, ports of the backends): the command.
    prepare: Callable[[pathlib.Path, int, list], list]


def lemonade(build, strategy):
    def prepare(folder, port, backends):
        tables = "".join(f'[[backends]]\nid = {i}\naddress = "127.0.0.1:{p}"\n' for i, p in enumerate(backends))
        text = (f'[proxy]\nlisten_address = "127.0.0.1:{port}"\n[strategy]\nalgorithm = "{strategy}"\n'
                f'[health]\ninterval = "{INTERVAL_S}s"\nfall = {FALL}\nrise = {RISE}\n'
                f'[admin]\nlisten_address = ""\n{tables}')
        return [build / "bin/lemonade", "lb", "--config", _write(folder, "lemonade.toml", text)]

    return Contender(strategy, True, prepare)


def haproxy(balance, program="haproxy", name="HAProxy"):
    """Active checks and passive ones of layer 4, ten errors in a row taking a server down; a connection that fails is
    tried on another server at once."""
    def prepare(folder, port, backends):
        servers = "".join(f"  server s{i} 127.0.0.1:{p}\n" for i, p in enumerate(backends))
        text = (f"global\n  maxconn 4000\ndefaults\n  mode tcp\n  timeout connect 5s\n  timeout client 1m\n"
                f"  timeout server 1m\n  retries 3\n  option redispatch 1\nfrontend in\n  bind 127.0.0.1:{port}\n"
                f"  default_backend servers\nbackend servers\n  balance {balance}\n"
                f"  default-server check inter {INTERVAL_S}s fall {FALL} rise {RISE} observe layer4 error-limit 10 "
                f"on-error mark-down\n{servers}")
        return [program, "-db", "-f", _write(folder, "haproxy.cfg", text)]

    return Contender(f"{name} {balance}", False, prepare)


def nginx(balance, program="nginx", name="nginx"):
    """Its own passive checks: one failed connect takes a server out for ten seconds, another server is tried."""
    built = _said_by(program, "-V")
    module = re.search(r"--modules-path=(\S+)", built) if "--with-stream=dynamic" in built else None
    load = f"load_module {module[1]}/ngx_stream_module.so;\n" if module else ""

    def prepare(folder, port, backends):
        servers = "".join(f"server 127.0.0.1:{p};\n" for p in backends)
        text = (f"{load}worker_processes auto;\n"
                f"pid {folder}/nginx.pid;\nerror_log {folder}/nginx-error.log crit;\n"
                f"events {{ worker_connections 4096; }}\nstream {{\nupstream servers {{\nzone servers 64k;\n"
                f"{balance};\n{servers}}}\nserver {{\nlisten 127.0.0.1:{port} backlog=4096;\n"
                f"proxy_connect_timeout 5s;\nproxy_pass servers;\n}}\n}}\n")
        return [program, "-e", f"{folder}/nginx-error.log", "-g", "daemon off;", "-c",
                _write(folder, "nginx.conf", text)]

    return Contender(f"{name} {balance}", False, prepare)


PEERS = ("haproxy", "nginx")
LEAST_TIME = (1, 31)  # the nginx whose stream balances by time


def all_contenders(root, build, others):
    """others: of each of PEERS, programs beside the one that is installed. They go by name and version."""
    strategies = sorted(folder.name for folder in (root / "plugins/strategies").iterdir() if folder.is_dir())
    everyone = [*(lemonade(build, strategy) for strategy in strategies), haproxy("roundrobin"), haproxy("leastconn"),
                haproxy("random(2)"), nginx("least_conn")]
    for program in others["haproxy"]:
        everyone.append(haproxy("leastconn", program.resolve(), f"HAProxy {version('haproxy', program)}"))
    for program in others["nginx"]:
        number = version("nginx", program)
        balances = ["least_conn"]
        if tuple(int(part) for part in number.split(".")[:2]) >= LEAST_TIME:
            balances += ["least_time first_byte inflight", "least_time first_byte"]
        everyone += [nginx(balance, program.resolve(), f"nginx {number}") for balance in balances]
    return everyone


def version(peer, program):
    """As "1.31.5" or "3.5-dev5". Raises Failed where the program is something else."""
    said = _said_by(program, "-v")
    found = re.search({"haproxy": r"HAProxy version (\d[\w.]*(?:-dev\d+)?)", "nginx": r"nginx/(\d[\d.]*)"}[peer], said)
    if not found:
        raise Failed(f"{program} -v says nothing of a version of {peer}: {said.strip()}")
    return found[1]


def _said_by(program, option):
    try:
        lines = subprocess.run([program, option], capture_output=True, text=True, check=False)
    except OSError as error:
        raise Failed(f"cannot run {program}: {error.strerror}") from error
    return lines.stdout + lines.stderr


def _write(folder, name, text):
    path = folder / name
    path.write_text(text)
    return path
