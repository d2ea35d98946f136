#!/usr/bin/env python3
# SPDX-License-Identifier: MIT
"""What a build with -DLEMONADE_KERNEL_FORWARDING=OFF does: absent.py LEMONADE.

It is linked with none of the libraries under the GPL. Whoever wants forwarding by the kernel is refused at a start, by
--validate, by the doctor and at a reload, and told how to get it. Exits 1 where something is not so."""
import os
import pathlib
import subprocess
import sys
import tempfile
import time

REFUSAL = ('forward = "kernel": this build has no forwarding by the kernel', "-DLEMONADE_KERNEL_FORWARDING=OFF",
           "LEMONADE_KERNEL_FORWARDING=ON")
CONFIG = """[proxy]
listen_address = "127.0.0.1:0"
forward = "{}"
[runtime]
workers = 1
supervisor = "off"
[admin]
listen_address = ""
socket = "{}/admin.sock"
[health]
checker = "none"
[[backends]]
id = "one"
address = "127.0.0.1:1"
"""


def refuses(*command):
    environment = {name: value for name, value in os.environ.items() if not name.startswith("LEMONADE_")}
    done = subprocess.run(command, capture_output=True, text=True, timeout=60, check=False, env=environment)
    said = done.stdout + done.stderr
    assert done.returncode != 0, f"{command} is content: {said}"
    for words in REFUSAL:
        assert words in said, f"{command} does not say {words!r}: {said}"


def refuses_at_a_reload(lemonade, folder, config):
    config.write_text(CONFIG.format("relay", folder), encoding="utf-8")
    log = pathlib.Path(folder, "log")
    with log.open("w", encoding="utf-8") as to, subprocess.Popen([lemonade, "lb", "--config", config], stderr=to) as process:
        try:
            end = time.monotonic() + 30
            while "app: ready" not in log.read_text(encoding="utf-8"):
                assert process.poll() is None and time.monotonic() < end, log.read_text(encoding="utf-8")
                time.sleep(0.01)
            config.write_text(CONFIG.format("kernel", folder), encoding="utf-8")
            refuses(lemonade, "reload", "--config", config)
        finally:
            process.terminate()


def main():
    lemonade = sys.argv[1]
    linked = subprocess.run(["ldd", lemonade], capture_output=True, text=True, check=True).stdout
    for library in ("libnetfilter_queue", "libnetfilter_conntrack", "libnftnl", "libnftables"):
        assert library not in linked, f"it is linked with {library}"
    with tempfile.TemporaryDirectory(prefix="lemonade-test-") as folder:
        config = pathlib.Path(folder, "lemonade.toml")
        config.write_text(CONFIG.format("kernel", folder), encoding="utf-8")
        refuses(lemonade, "lb", "--config", config)
        refuses(lemonade, "lb", "--config", config, "--validate")
        refuses(lemonade, "doctor", "--config", config)
        refuses_at_a_reload(lemonade, folder, config)
    print("a build without forwarding refuses it and says how to get one")


if __name__ == "__main__":
    main()
