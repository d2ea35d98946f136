#!/usr/bin/env python3
# SPDX-License-Identifier: MIT
"""Holds manifests to what no schema knows: fits.py FILE DOCKERFILE CONFIG [OVERLAY].

That names lead to what they name, that the pod is as restricted as it may be, and that times and limits suit the
configuration, which is written to CONFIG as the pod would see it. With OVERLAY, resources and scaling too. Prints what
does not fit; exits 1 where something does not."""
import pathlib
import re
import sys
import tomllib

import yaml

RESTRICTED = {"allowPrivilegeEscalation": False, "capabilities": {"drop": ["ALL"]}, "readOnlyRootFilesystem": True}
# Of a pod whose node's kernel forwards for it.
FORWARDING = {**RESTRICTED, "runAsUser": 0, "runAsNonRoot": False,
              "capabilities": {"drop": ["ALL"], "add": ["NET_ADMIN", "NET_RAW"]}}


def labels_match(selector, labels):
    return selector.items() <= labels.items()


def pod_findings(pod, dockerfile, config):
    container = pod["containers"][0]
    security = pod["securityContext"]
    user = re.search(r"^USER (\d+):(\d+)$", dockerfile, re.MULTILINE)
    if (str(security["runAsUser"]), str(security["runAsGroup"])) != user.groups():
        yield "the pod runs as another user than the image"
    if not security["runAsNonRoot"] or security["seccompProfile"]["type"] != "RuntimeDefault":
        yield "the pod is not restricted"
    for each in (container, *pod.get("initContainers", [])):
        if each["securityContext"] != (FORWARDING if pod.get("hostNetwork") else RESTRICTED):
            yield f"the container {each['name']} is not restricted"
    stop = config["runtime"]["accept_timeout_millis"] / 1000
    if pod["terminationGracePeriodSeconds"] <= stop:
        yield f"a stop takes up to {stop} s, and is cut short after {pod['terminationGracePeriodSeconds']} s"
    if config["runtime"]["grace_millis"] < 1000 * container["readinessProbe"]["periodSeconds"]:
        yield "the grace is over before a probe has seen it"
    ports = {port["name"]: port["containerPort"] for port in container["ports"]}
    if config["proxy"]["listen_address"] != f"0.0.0.0:{ports['http']}":
        yield "the balancer listens elsewhere than the container says"
    if config["admin"]["listen_address"] != f"0.0.0.0:{ports['admin']}":
        yield "the admin listener listens elsewhere than the container says"
    for probe, path in (("livenessProbe", "/healthz"), ("readinessProbe", "/readyz")):
        if container[probe]["httpGet"] != {"path": path, "port": "admin"}:
            yield f"the {probe} asks {container[probe]['httpGet']}"
    mounted = {mount["name"]: mount for mount in container["volumeMounts"]}
    if "subPath" in mounted["config"] or mounted["config"]["mountPath"] != "/etc/lemonade":
        yield "the configuration is not mounted as a folder"
    for mount in (mount for each in (container, *pod.get("initContainers", [])) for mount in each["volumeMounts"]):
        if mount["name"] not in (volume["name"] for volume in pod["volumes"]):
            yield f"there is no volume {mount['name']}"


def findings(objects, dockerfile, config):
    deployment = objects["Deployment", "lemonade-lb"]
    labels = deployment["spec"]["template"]["metadata"]["labels"]
    pod = deployment["spec"]["template"]["spec"]
    yield from pod_findings(pod, dockerfile, config)
    ports = [port["name"] for port in pod["containers"][0]["ports"]]
    selectors = [deployment["spec"]["selector"]["matchLabels"]]
    for (kind, name), each in objects.items():
        spec = each.get("spec", {})
        if kind == "Service":
            selectors.append(spec["selector"])
            yield from (f"Service {name} leads to no port of the pod" for port in spec["ports"]
                        if port["targetPort"] not in ports)
        if kind == "PodDisruptionBudget":
            selectors.append(spec["selector"]["matchLabels"])
        if kind == "NetworkPolicy":
            selectors.append(spec["podSelector"]["matchLabels"])
            open_to = {port["port"]: rule.get("from") for rule in spec["ingress"] for port in rule["ports"]}
            if open_to.get("http", "closed") is not None or not open_to.get("admin"):
                yield f"the network policy opens {open_to}"
        if kind == "ServiceMonitor":
            found = [service for (other, _), service in objects.items() if other == "Service" and
                     labels_match(spec["selector"]["matchLabels"], service["metadata"]["labels"])]
            named = [port["name"] for service in found for port in service["spec"]["ports"]]
            if len(found) != 1 or spec["endpoints"][0]["port"] not in named:
                yield "the ServiceMonitor finds no port"
    yield from (f"{selector} selects no pod" for selector in selectors if not labels_match(selector, labels))
    yield from entry_findings(objects["Service", "lemonade-lb"]["spec"], deployment["spec"])
    if config["runtime"]["config_watch_interval_millis"] > 5000:
        yield "a change of the ConfigMap is noticed late"


def entry_findings(entry, deployment):
    pod = deployment["template"]["spec"]
    if not pod.get("hostNetwork"):
        if (entry["type"], entry["ports"][0]["port"]) != ("LoadBalancer", 80):
            yield "clients do not come by port 80 of a LoadBalancer"
        return
    # Clients that kube-proxy translates on the pod's own node are translated by nobody else.
    if (entry["type"], entry.get("clusterIP"), "externalTrafficPolicy" in entry) != ("ClusterIP", "None", False):
        yield "clients come by kube-proxy to a pod whose node forwards for it"
    ports = [port["containerPort"] for port in pod["containers"][0]["ports"] if port["name"] == "http"]
    if [port["port"] for port in entry["ports"]] != ports:
        yield "clients of the Service come to another port than the balancer's"
    if deployment["strategy"]["rollingUpdate"] != {"maxUnavailable": 1, "maxSurge": 0}:
        yield "a new pod waits for a node that has no other"


def overlay_findings(objects, config):
    spec = objects["Deployment", "lemonade-lb"]["spec"]
    resources = spec["template"]["spec"]["containers"][0]["resources"]
    if resources != {"requests": {"memory": "256Mi", "cpu": "500m"}, "limits": {"memory": "1Gi", "cpu": "2000m"}}:
        yield f"its resources are {resources}"
    if resources["limits"]["cpu"] != f"{config['runtime']['workers'] * 1000}m":
        yield "there are not as many workers as the limit of CPU time allows"
    scaler = objects["HorizontalPodAutoscaler", "lemonade-lb"]["spec"]
    if scaler["scaleTargetRef"]["name"] != "lemonade-lb" or scaler["minReplicas"] != 3 or "replicas" in spec:
        yield "the number of pods is not the autoscaler's, from 3"
    if ("ServiceMonitor", "lemonade-lb") not in objects:
        yield "there is no ServiceMonitor"


def main():
    manifests, dockerfile, target, *overlay = sys.argv[1:]
    objects = {(each["kind"], each["metadata"]["name"]): each
               for each in yaml.safe_load_all(pathlib.Path(manifests).read_text(encoding="utf-8"))}
    written = objects["ConfigMap", "lemonade-config"]["data"]["config.toml"]
    pathlib.Path(target).write_text(written, encoding="utf-8")
    config = tomllib.loads(written)
    wrong = list(findings(objects, pathlib.Path(dockerfile).read_text(encoding="utf-8"), config))
    wrong += overlay_findings(objects, config) if overlay else []
    if not overlay and objects["Deployment", "lemonade-lb"]["spec"]["replicas"] != 3:
        wrong.append("there are not three pods")
    print("\n".join(wrong) or "everything fits")
    return 1 if wrong else 0


if __name__ == "__main__":
    sys.exit(main())
