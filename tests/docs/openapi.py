#!/usr/bin/env python3
# SPDX-License-Identifier: MIT
"""Holds the description of the admin API to what the balancer answers: openapi.py ROOT LEMONADE.

A real balancer is started. Every path and method that it lists at / has to be described, and every described one has to
be there. Each is called with the examples that the description gives, and what it answers has to be as described: the
status, the type of the content, and every member of every object, so that none goes undescribed. Exits 1 otherwise."""
import json
import os
import pathlib
import re
import subprocess
import sys
import tempfile
import threading
import urllib.error
import urllib.parse
import urllib.request

import jsonschema

METHODS = ("get", "put", "post", "delete", "patch")
CONFIG = """[runtime]
workers = 1
supervisor = "off"
[proxy]
listen_address = "127.0.0.1:0"
[admin]
listen_address = "127.0.0.1:0"
socket = ""
[metrics]
sinks = ["prometheus"]
[shadow]
algorithm = "round_robin"
[[backends]]
id = "web-1"
address = "127.0.0.1:1"
[[backends]]
id = "web-2"
address = "127.0.0.1:2"
"""


class Balancer:
    """Runs until the end of a with block; url is that of its admin listener."""

    def __init__(self, lemonade):
        self.folder = tempfile.TemporaryDirectory()
        self.config = pathlib.Path(self.folder.name) / "lemonade.toml"
        self.config.write_text(CONFIG, encoding="utf-8")
        environment = {name: value for name, value in os.environ.items() if not name.startswith("LEMONADE_")}
        self.process = subprocess.Popen([lemonade, "lb", "--config", str(self.config)], stderr=subprocess.PIPE, text=True,
                                        env=environment)
        self.url, self.log = None, ""

    def __enter__(self):
        for line in self.process.stderr:
            self.log += line
            if "admin: listening" in line:
                self.url = "http://" + re.search(r"address=(\S+)", line)[1]
            if "app: ready" in line:
                threading.Thread(target=self.process.stderr.read, daemon=True).start()
                return self
        raise SystemExit(f"the balancer did not start:\n{self.log}")

    def __exit__(self, *_):
        self.process.terminate()
        self.process.wait(30)
        self.folder.cleanup()

    def ask(self, method, path, body=None):
        """Status, type of the content and the content."""
        request = urllib.request.Request(self.url + path, method=method.upper(), data=body)
        try:
            with urllib.request.urlopen(request, timeout=60) as answer:
                return answer.status, answer.headers.get_content_type(), answer.read().decode()
        except urllib.error.HTTPError as answer:
            return answer.code, answer.headers.get_content_type(), answer.read().decode()


def operations(document):
    for path, item in document["paths"].items():
        for method in METHODS:
            if method in item:
                yield path, method, item[method]


def covers(route, path):
    """Whether a route of the server, which may end in /*, is what a described path leads to."""
    return path.startswith(route[:-1]) and path != route[:-1] if route.endswith("/*") else path == route


def differences(document, listed):
    """What the server has and nobody describes, and the other way round."""
    routes = {("/", "get")}
    for endpoint in listed["endpoints"]:
        routes |= {(endpoint["path"], word.lower()) for word in endpoint["methods"].split(", ") if word != "HEAD"}
    described = [(path, method) for path, method, _ in operations(document)]
    for route, method in sorted(routes):
        if not any(covers(route, path) and method == other for path, other in described):
            yield f"{method.upper()} {route} is not described"
    for path, method in described:
        if not any(covers(route, path) and method == other for route, other in routes):
            yield f"{method.upper()} {path} is described, and the balancer has no such route"


def strict(schema):
    """The schema, which then takes no member that it does not name."""
    if isinstance(schema, dict):
        schema = {key: strict(value) for key, value in schema.items()}
        if "properties" in schema and schema.get("type") == "object":
            schema.setdefault("additionalProperties", False)
    return [strict(one) for one in schema] if isinstance(schema, list) else schema


def resolve(document, part):
    while "$ref" in part:
        found = document
        for name in part["$ref"].removeprefix("#/").split("/"):
            found = found[name]
        part = found
    return part


def target_of(path, operation):
    """The path and query with every example in its place; None where one has no example."""
    query = {}
    for parameter in operation.get("parameters", []):
        if "example" not in parameter:
            return None
        if parameter["in"] == "path":
            path = path.replace("{" + parameter["name"] + "}", urllib.parse.quote(str(parameter["example"]), safe=""))
        else:
            query[parameter["name"]] = parameter["example"]
    return path + ("?" + urllib.parse.urlencode(query) if query else "")


def body_of(operation):
    content = operation.get("requestBody", {}).get("content", {})
    return next((one["example"].encode() for one in content.values()), None)


def findings_of_answer(document, operation, answer):
    status, kind, text = answer
    if str(status) not in operation["responses"]:
        yield f"answers {status}, which is not described: {text[:200]}"
        return
    content = resolve(document, operation["responses"][str(status)]).get("content", {})
    if kind not in content:
        yield f"answers {status} with {kind}, described is {', '.join(content)}"
    elif kind == "application/json":
        whole = {**content[kind]["schema"], "components": document["components"]}
        checker = jsonschema.Draft202012Validator(strict(whole))
        for error in checker.iter_errors(json.loads(text)):
            place = "/".join(map(str, error.absolute_path))
            yield f"answers {status} with what is not as described at {place or 'the top'}: {error.message[:300]}"


def findings(balancer):
    status, _, text = balancer.ask("get", "/api/v1/openapi.json")
    assert status == 200, text
    document = json.loads(text)
    yield from differences(document, json.loads(balancer.ask("get", "/")[2]))
    # Streams have no end; what they send is held to its description by the tests of the dashboard.
    for path, method, operation in operations(document):
        target = target_of(path, operation)
        if target is None:
            yield f"{method.upper()} {path} has a parameter without an example"
        elif "text/event-stream" not in str(operation["responses"].get("200", "")):
            answer = balancer.ask(method, target, body_of(operation))
            yield from (f"{method.upper()} {target} {what}" for what in findings_of_answer(document, operation, answer))
            if answer[0] >= 500 and path != "/readyz":
                yield f"{method.upper()} {target} is answered with {answer[0]}: {answer[2][:200]}"
    yield from answers_that_refuse(document, balancer)


def answers_that_refuse(document, balancer):
    """What is answered to requests that are wrong is described as well."""
    for path, method, body in (("/api/v1/validate", "post", b"[proxy]\nretires = 1\n"), ("/api/v1/validate", "post", b"")):
        answer = balancer.ask(method, path, body)
        yield from (f"{method.upper()} {path} {what}"
                    for what in findings_of_answer(document, document["paths"][path][method], answer))
    answer = balancer.ask("put", "/api/v1/log-level?level=loud")
    yield from (f"PUT /api/v1/log-level {what}"
                for what in findings_of_answer(document, document["paths"]["/api/v1/log-level"]["put"], answer))


def main():
    with Balancer(sys.argv[2]) as balancer:
        found = list(findings(balancer))
    print("\n".join(found) or "the description is true")
    return 1 if found else 0


if __name__ == "__main__":
    sys.exit(main())
