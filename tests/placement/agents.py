"""A chart under reload, and pods whose agents answer what a test lets them, on the fake cluster."""

from __future__ import annotations

import json
from typing import Any

from reload.agent.digest import digest_of
from tests.placement.conftest import CALLER, Answered, Event, Site, signed

CONFIG = """apiVersion: v1
kind: ConfigMap
metadata:
  name: {name}
  labels: {{app.kubernetes.io/instance: {{{{ .Release.Name }}}}, reload.edge/config: ""}}
data:
  app.conf: {{{{ .Values.{value} | quote }}}}
"""
WORKLOAD = """apiVersion: apps/v1
kind: Deployment
metadata: {{name: {name}}}
spec:
  selector: {{matchLabels: {{app: {name}}}}}
  template:
    metadata:
      labels: {{app: {name}, app.kubernetes.io/instance: {{{{ .Release.Name }}}}}}
    spec:
      containers: [{{name: c, image: {{{{ .Values.{name}Image | quote }}}}}}]
      volumes: [{{name: config, configMap: {{name: {name}-config}}}}]
"""
PORT = "8901"


def push(site: Site, *names: str) -> str:
    """A chart with a Deployment and its ConfigMap for each name; values: <name>, its app.conf, and <name>Image."""
    files = {}
    for name in names:
        files[f"templates/{name}-config.yaml"] = CONFIG.format(name=f"{name}-config", value=name)
        files[f"templates/{name}.yaml"] = WORKLOAD.format(name=name)
    values = dict.fromkeys(names, "one") | {f"{name}Image": "registry.test/nf:1" for name in names}
    site.registry.push("managed", "1.0.0", files=files, values=values)
    return site.registry.oci("managed")


def digest(text: str) -> str:
    """Of a ConfigMap that push made."""
    return digest_of({"app.conf": text.encode()})


def let_say(site: Site, name: str, **status: str) -> None:
    """The agents in the pods of a Deployment answer this from now on; without anything, they do not answer."""
    cluster = site.clusters[0]
    for pod in pods(site, name):
        metadata = pod["metadata"]
        answer = f"/api/v1/namespaces/lab/pods/{metadata['name']}:{PORT}/proxy/status"
        with cluster.lock:
            pod["spec"]["volumes"] = [{"name": "config", "configMap": {"name": f"{name}-config"}}]
            metadata["annotations"]["reload.edge/status-port"] = PORT
            cluster.objects.pop(answer, None)
            if status:
                cluster.objects[answer] = {"metadata": {}, **status}


def pods(site: Site, name: str) -> list[dict[str, Any]]:
    """Those of a Deployment."""
    return [
        thing
        for thing in site.clusters[0].things("pods")
        if thing["metadata"].get("annotations", {}).get("owner") == name
    ]


def nudged(site: Site, name: str, text: str) -> bool:
    """Whether every pod of a Deployment was, to this app.conf."""
    notes = [pod["metadata"]["annotations"].get("reload.edge/wanted-digest", "") for pod in pods(site, name)]
    return bool(notes) and all(note.startswith(f"{digest(text)} {name}-config ") for note in notes)


def once(site: Site, body: dict[str, Any]) -> Answered:
    """One call, which is not asked again while it is progressing."""
    octets = json.dumps(body).encode()
    return site.post(Event(octets, signed(octets, CALLER) | {"X-Call-Id": str(body["id"])}))
