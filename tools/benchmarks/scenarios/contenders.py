# SPDX-License-Identifier: MIT
"""Who takes part, each configured as its users would: its files, and the command that runs it in the foreground."""
import pathlib
from dataclasses import dataclass
from typing import Callable

# The same for all who check: every 2 s, down after 3 failures, up after 2 successes. Sooner while that is under way only
# where it is the default.
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


def haproxy(balance):
    """Active checks and passive ones of layer 4, ten errors in a row taking a server down; a connection that fails is
    tried on another server at once."""
    def prepare(folder, port, backends):
        servers = "".join(f"  server s{i} 127.0.0.1:{p}\n" for i, p in enumerate(backends))
        text = (f"global\n  maxconn 4000\ndefaults\n  mode tcp\n  timeout connect 5s\n  timeout client 1m\n"
                f"  timeout server 1m\n  retries 3\n  option redispatch 1\nfrontend in\n  bind 127.0.0.1:{port}\n"
                f"  default_backend servers\nbackend servers\n  balance {balance}\n"
                f"  default-server check inter {INTERVAL_S}s fall {FALL} rise {RISE} observe layer4 error-limit 10 "
                f"on-error mark-down\n{servers}")
        return ["haproxy", "-db", "-f", _write(folder, "haproxy.cfg", text)]

    return Contender(f"HAProxy {balance}", False, prepare)


def nginx(balance):
    """Its own passive checks: one failed connect takes a server out for ten seconds, another server is tried."""
    def prepare(folder, port, backends):
        servers = "".join(f"server 127.0.0.1:{p};\n" for p in backends)
        text = (f"load_module /usr/lib/nginx/modules/ngx_stream_module.so;\nworker_processes auto;\n"
                f"pid {folder}/nginx.pid;\nerror_log {folder}/nginx-error.log crit;\n"
                f"events {{ worker_connections 4096; }}\nstream {{\nupstream servers {{\nzone servers 64k;\n"
                f"{balance};\n{servers}}}\nserver {{\nlisten 127.0.0.1:{port} backlog=4096;\n"
                f"proxy_connect_timeout 5s;\nproxy_pass servers;\n}}\n}}\n")
        return ["nginx", "-e", f"{folder}/nginx-error.log", "-g", "daemon off;", "-c",
                _write(folder, "nginx.conf", text)]

    return Contender(f"nginx {balance}", False, prepare)


def all_contenders(root, build):
    strategies = sorted(folder.name for folder in (root / "plugins/strategies").iterdir() if folder.is_dir())
    return [*(lemonade(build, strategy) for strategy in strategies), haproxy("roundrobin"), haproxy("leastconn"),
            haproxy("random(2)"), nginx("least_conn")]


def _write(folder, name, text):
    path = folder / name
    path.write_text(text)
    return path
