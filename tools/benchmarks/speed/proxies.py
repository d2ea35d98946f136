# SPDX-License-Identifier: MIT
"""Who is measured: Lemonade over each of its relays, HAProxy and nginx, each in front of one web server with two ports; and
that server alone."""
import pathlib
from dataclasses import dataclass
from typing import Callable, Optional

SIZES = {"1 KiB": 1 << 10, "64 KiB": 1 << 16, "1 MiB": 1 << 20, "100 MiB": 100 << 20}
LIMIT = 9500  # connections of a proxy and backends to check; each connection takes two descriptors
CHECK_SECONDS = 10


@dataclass
class Proxy:
    name: str
    # Of (folder for its files, port to listen on, ports of the backend, workers): the command; None for no proxy.
    prepare: Optional[Callable[[pathlib.Path, int, list, int], list]]
    checks: bool = False  # its backends, every CHECK_SECONDS, by connecting


def all_proxies(build):
    return [Proxy("Lemonade", lambda *where: _lemonade(build, "auto", *where), checks=True),
            Proxy("Lemonade epoll", lambda *where: _lemonade(build, "epoll", *where)),
            Proxy("HAProxy", haproxy, checks=True), Proxy("nginx", nginx), Proxy("direct", None)]


def _lemonade(build, relay, folder, port, backends, workers):
    tables = "".join(f'[[backends]]\nid = {i}\naddress = "127.0.0.1:{p}"\n' for i, p in enumerate(backends))
    text = (f'[runtime]\nworkers = {workers}\nsupervisor = "off"\n[proxy]\nlisten_address = "127.0.0.1:{port}"\n'
            f'max_connections = {LIMIT - len(backends)}\nrelay = "{relay}"\n[health]\ninterval = "{CHECK_SECONDS}s"\n'
            f'[admin]\nlisten_address = ""\n{tables}')
    return [build / "bin/lemonade", "lb", "--config", _write(folder, "lemonade.toml", text)]


def haproxy(folder, port, backends, workers, host="127.0.0.1", backend_host="127.0.0.1"):
    servers = "".join(f"  server s{i} {backend_host}:{p} check inter {CHECK_SECONDS}s\n" for i, p in enumerate(backends))
    text = (f"global\n  maxconn {LIMIT - len(backends)}\n  nbthread {workers}\ndefaults\n  mode tcp\n  timeout connect 5s\n"
            f"  timeout client 1h\n  timeout server 1h\nlisten all\n  bind {host}:{port}\n"
            f"  balance leastconn\n{servers}")
    return ["haproxy", "-db", "-f", _write(folder, "haproxy.cfg", text)]


def nginx(folder, port, backends, workers, host="127.0.0.1", backend_host="127.0.0.1"):
    servers = "".join(f"server {backend_host}:{p};\n" for p in backends)
    text = (f"load_module /usr/lib/nginx/modules/ngx_stream_module.so;\n{_nginx_head(folder, 'proxy', workers)}"
            f"stream {{\nupstream servers {{\nleast_conn;\n{servers}}}\nserver {{\n"
            f"listen {host}:{port} backlog=4096;\nproxy_timeout 1h;\nproxy_pass servers;\n}}\n}}\n")
    return _nginx_command(folder, "proxy", text)


def backend(folder, ports, host="127.0.0.1"):
    """The command of a web server of files named 0 to 3, of the SIZES in their order, in folder/www."""
    www = folder / "www"
    www.mkdir()
    for number, size in enumerate(SIZES.values()):
        (www / str(number)).write_bytes(bytes(size))
    listens = "".join(f"listen {host}:{port} backlog=4096;\n" for port in ports)
    text = (f"{_nginx_head(folder, 'backend')}http {{\naccess_log off;\nsendfile on;\ntcp_nodelay on;\n"
            f"keepalive_requests 100000000;\nkeepalive_timeout 1h;\nclient_header_timeout 1h;\n"
            f"open_file_cache max=10;\nserver {{\n{listens}root {www};\n}}\n}}\n")
    return _nginx_command(folder, "backend", text)


def _nginx_head(folder, name, workers=1):
    return (f"worker_processes {workers};\nworker_rlimit_nofile 20000;\npid {folder}/{name}.pid;\n"
            f"error_log {folder}/{name}-error.log crit;\nevents {{ worker_connections 19900; }}\n")


def _nginx_command(folder, name, text):
    return ["nginx", "-e", f"{folder}/{name}-error.log", "-g", "daemon off;", "-c",
            _write(folder, f"{name}.conf", text)]


def _write(folder, name, text):
    path = folder / name
    path.write_text(text)
    return path
