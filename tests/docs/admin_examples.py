#!/usr/bin/env python3
# SPDX-License-Identifier: MIT
"""Runs the examples of the page about the admin API: admin_examples.py PAGE LEMONADE.

A real balancer takes the place of the one at localhost:9090, whose backend comes and goes meanwhile so that there are
events. Every command of a block of sh has to succeed, where a refusal by HTTP is none, and to print JSON; one that follows
the stream prints it. The answer that the page shows behind a block is what the block has printed: every member of it is
there, of the same kind, and with the same value where the page of another day would show the same. Exits 1 otherwise."""
import contextlib
import json
import os
import pathlib
import re
import subprocess
import sys
import tempfile
import threading

import openapi
import pages

PLACE = "http://localhost:9090"
FOLLOWS = 3  # seconds for which a stream is followed
VARYING = {"since", "until", "by"}


@contextlib.contextmanager
def changing(balancer):
    """Something happens again and again."""
    over = threading.Event()

    def change():
        while not over.wait(0.3):
            for action in ("disable", "enable"):
                balancer.ask("POST", f"/api/v1/pools/default/backends/web-2/{action}")

    thread = threading.Thread(target=change)
    thread.start()
    try:
        yield
    finally:
        over.set()
        thread.join()


def ran(balancer, folder, text):
    """What the commands print, and what is wrong with how they end."""
    commands = re.sub(r"^curl -N\b", f"timeout {FOLLOWS} curl -N", text.replace(PLACE, balancer.url), flags=re.MULTILINE)
    done = subprocess.run(["bash", "-eo", "pipefail", "-c", commands], env={**os.environ, "CURL_HOME": folder},
                          capture_output=True, text=True, timeout=90, check=False)
    ended = 124 if "timeout " in commands else 0
    return done.stdout, "" if done.returncode == ended else f"exit code {done.returncode}: {done.stderr}{done.stdout[-500:]}"


def documents(text):
    """The JSON documents that stand behind each other in a text."""
    decoder, found = json.JSONDecoder(), []
    while text := text.lstrip():
        document, end = decoder.raw_decode(text)
        found.append(document)
        text = text[end:]
    return found


def lacks(shown, answered, name=""):
    """What of a shown document is not in an answer."""
    if isinstance(shown, dict) and isinstance(answered, dict):
        for key, value in shown.items():
            if key not in answered:
                yield f"{name}{key} is not in the answer"
            else:
                yield from lacks(value, answered[key], f"{name}{key}.")
    elif type(shown) is not type(answered) or (shown != answered and name.split(".")[-2] not in VARYING):
        yield f"{name[:-1]} is {answered!r}, not {shown!r}"


def findings(page, balancer, folder):
    printed = []
    for block in pages.blocks(page):
        where = f"line {block.line}"
        if block.language == "sh":
            output, wrong = ran(balancer, folder, block.text)
            if wrong:
                yield f"{where}: {wrong}"
            elif "curl -N" in block.text:
                if "event: status" not in output or "event: event" not in output:
                    yield f"{where}: the stream has not both a status and an event:\n{output[:2000]}"
            else:
                printed = documents(output)
        if block.language == "json":
            shown = json.loads(block.text)
            if all(list(lacks(shown, one)) for one in printed):
                yield f"{where}: no command above has answered so: {[list(lacks(shown, one)) for one in printed]}"


def main():
    page, lemonade = pathlib.Path(sys.argv[1]), sys.argv[2]
    with tempfile.TemporaryDirectory(prefix="lemonade-test-") as folder:
        pathlib.Path(folder, ".curlrc").write_text("fail-with-body\nsilent\nshow-error\n", encoding="utf-8")
        with openapi.Balancer(lemonade) as balancer, changing(balancer):
            wrong = list(findings(page, balancer, folder))
    print("\n".join(wrong) or "every example does what the page says")
    return 1 if wrong else 0


if __name__ == "__main__":
    sys.exit(main())
