"""A Kubernetes API server small enough for a test, real enough for helm: objects, versions, conflicts, selectors.

It checks no schema and no rights, and its one controller makes a Deployment's pods at once, in the state that the test
asks for.  What a real API server adds is tested in tests/lab.
"""

from __future__ import annotations

import base64
import json
import socket
import sys
import threading
import time
import uuid
from collections.abc import Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any
from urllib.parse import parse_qs, urlsplit

from placement.api import Api
from placement.kubeconfig import credentials
from tests.placement import kubernetes_protobuf

RBAC = "rbac.authorization.k8s.io/v1"
KINDS = {
    "v1": {
        "namespaces": "Namespace",
        "nodes": "Node",
        "pods": "Pod",
        "secrets": "Secret",
        "configmaps": "ConfigMap",
        "services": "Service",
        "serviceaccounts": "ServiceAccount",
    },
    "apps/v1": {"deployments": "Deployment"},
    "coordination.k8s.io/v1": {"leases": "Lease"},
    RBAC: {"rolebindings": "RoleBinding"},
}
CLUSTER_WIDE = {"namespaces", "nodes"}


class Server(ThreadingHTTPServer):
    """Silent about clients that leave before they are answered, as a helm that is killed does."""

    request_queue_size = 128  # as an API server; the library's five are fewer than are asked at once

    def handle_error(self, request: Any, client_address: Any) -> None:
        if not isinstance(sys.exception(), BrokenPipeError):
            super().handle_error(request, client_address)


class FakeCluster:
    """pods: "ready", "pending" or "crash", for Deployments written from then on.

    stall: (method, part of a path) whose requests hang until `release` is set.  refuse: paths' parts answered 403.
    refuse_bodies: a text whose Deployments are answered 422 with `invalid`.  slow_s: how long every answer takes.
    trouble: (method, part of a path, status) answered so once each.  forbidden: (verb, resource, namespace, "" = all),
    which an access review tells so; all else is allowed.
    mighty: as whom a review tells that all is allowed.  acts_as: what the user of the kubeconfig has in `as`.
    accounts: by namespace, who alone is let in, beside those whom RoleBindings name, and they nowhere else (`lets_in`);
    None = whoever comes.
    """

    def __init__(self) -> None:
        self.objects: dict[str, dict[str, Any]] = {}
        self.pods = "ready"
        self.stall: tuple[str, str] | None = None
        self.stalled = threading.Event()
        self.go_on = threading.Event()
        self.refuse: set[str] = set()
        self.refuse_bodies = ""
        self.invalid = "Deployment in version v1 cannot be handled: spec.replicas is no number"
        self.warnings: list[str] = []
        self.slow_s = 0.0
        self.trouble: list[tuple[str, str, int]] = []
        self.forbidden: set[tuple[str, str, str]] = set()
        self.acts_as = ""
        self.mighty = "nobody"
        self.accounts: dict[str, str] | None = None
        self.calls: list[tuple[str, str]] = []
        self.lock = threading.RLock()
        self._version = 0
        self._server: Server | None = None
        self.port = 0
        self.put("/api/v1/namespaces/lab", {"apiVersion": "v1", "kind": "Namespace", "metadata": {"name": "lab"}})
        self.node("node-1", cpu="4", memory="8Gi")

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.port}"

    @property
    def kubeconfig(self) -> str:
        return json.dumps(
            {
                "apiVersion": "v1",
                "kind": "Config",
                "current-context": "x",
                "contexts": [{"name": "x", "context": {"cluster": "x", "user": "x"}}],
                "clusters": [{"name": "x", "cluster": {"server": self.url}}],
                "users": [{"name": "x", "user": {"token": "t0ken-of-the-test", "as": self.acts_as}}],
            }
        )

    def lets_in(self, path: str, account: str) -> bool:
        """Whether the token (account: "") or whom it acts as may ask for that: as charts/placement-target has it."""
        _, _, inside = path.partition("/namespaces/")
        namespace, _, what = inside.partition("/")
        if self.accounts is None:
            return True
        bound = {
            f"system:serviceaccount:{subject.get('namespace')}:{subject['name']}"
            for binding in self.things("rolebindings")
            if binding["metadata"]["namespace"] == namespace
            for subject in binding["subjects"]
        }
        if not what:
            return not account
        if not account:
            return what in ("serviceaccounts", "rolebindings")  # no names: what `createNamespaces` lets the token make
        return account in bound | {self.accounts.get(namespace, "nobody")}

    def start(self) -> None:
        self._server = Server(("127.0.0.1", self.port), _handler(self))
        self.port = self._server.server_address[1]
        threading.Thread(target=self._server.serve_forever, args=(0.02,), daemon=True).start()

    def stop(self) -> None:
        """As an API server that is down: the port refuses."""
        self.go_on.set()
        if self._server is not None:
            self._server.shutdown()
            self._server.server_close()
            self._server = None

    def node(self, name: str, *, cpu: str, memory: str, pods: str = "110") -> None:
        status = {
            "allocatable": {"cpu": cpu, "memory": memory, "pods": pods},
            "conditions": [{"type": "Ready", "status": "True"}],
        }
        self.put(
            f"/api/v1/nodes/{name}",
            {"apiVersion": "v1", "kind": "Node", "metadata": {"name": name}, "spec": {}, "status": status},
        )

    def fill(self, cpu: str) -> None:
        """A pod that requests that much CPU of node-1."""
        container = {"name": "c", "image": "i", "resources": {"requests": {"cpu": cpu}}}
        self.put(
            "/api/v1/namespaces/lab/pods/filler",
            {
                "apiVersion": "v1",
                "kind": "Pod",
                "metadata": {"name": "filler", "namespace": "lab"},
                "spec": {"nodeName": "node-1", "containers": [container]},
                "status": {"phase": "Running"},
            },
        )

    def put(self, path: str, thing: dict[str, Any]) -> dict[str, Any]:
        with self.lock:
            self._version += 1
            if texts := thing.pop("stringData", None):  # never read back from a real one either
                coded = {key: base64.b64encode(str(text).encode()).decode() for key, text in texts.items()}
                thing["data"] = {**(thing.get("data") or {}), **coded}
            old = self.objects.get(path)
            metadata = thing.setdefault("metadata", {})
            metadata.setdefault("uid", old["metadata"]["uid"] if old else str(uuid.uuid4()))
            metadata["resourceVersion"] = str(self._version)
            changed = old is None or old.get("spec") != thing.get("spec")
            metadata["generation"] = (old["metadata"]["generation"] if old else 0) + changed
            self.objects[path] = thing
            if thing.get("kind") == "Deployment" and changed:
                self._roll(path, thing)
            return thing

    def things(self, resource: str) -> list[dict[str, Any]]:
        with self.lock:
            return [thing for path, thing in sorted(self.objects.items()) if path.split("/")[-2] == resource]

    def let_crash(self) -> None:
        """The pods of every Deployment, from now on."""
        self.pods = "crash"
        with self.lock:
            there = [(path, thing) for path, thing in self.objects.items() if path.split("/")[-2] == "deployments"]
            for path, deployment in there:
                self._roll(path, deployment)

    def _roll(self, path: str, deployment: dict[str, Any]) -> None:
        """Replace the Deployment's pods, at once."""
        namespace, name = path.split("/")[-3], path.rsplit("/", maxsplit=1)[-1]
        self.drop_pods(namespace, name)
        spec = deployment["spec"]
        count = spec.get("replicas", 1)
        for _ in range(count):
            pod = f"{name}-{uuid.uuid4().hex[:5]}"
            container = spec["template"]["spec"]["containers"][0]
            state = {
                "ready": {"running": {}},
                "pending": {"waiting": {"reason": "ContainerCreating"}},
                "crash": {"waiting": {"reason": "CrashLoopBackOff"}},
            }[self.pods]
            is_ready = self.pods == "ready"
            statuses = [
                {"name": "c", "restartCount": 3 if self.pods == "crash" else 0, "ready": is_ready, "state": state}
            ]
            self.put(
                f"/api/v1/namespaces/{namespace}/pods/{pod}",
                {
                    "apiVersion": "v1",
                    "kind": "Pod",
                    "metadata": {
                        "name": pod,
                        "namespace": namespace,
                        "labels": spec["template"]["metadata"]["labels"],
                        "annotations": {"owner": name},
                    },
                    "spec": {"nodeName": "node-1", "containers": [container]},
                    "status": {
                        "phase": "Pending" if self.pods == "pending" else "Running",
                        "conditions": [{"type": "Ready", "status": "True" if is_ready else "False"}],
                        "containerStatuses": statuses,
                    },
                },
            )
        have = count if self.pods == "ready" else 0
        deployment["status"] = {
            "observedGeneration": deployment["metadata"]["generation"],
            "replicas": count,
            "updatedReplicas": count,
            "readyReplicas": have,
            "availableReplicas": have,
        }

    def drop_pods(self, namespace: str, owner: str) -> None:
        for path, thing in list(self.objects.items()):
            if f"/{namespace}/pods/" in path and thing["metadata"].get("annotations", {}).get("owner") == owner:
                del self.objects[path]


@contextmanager
def running(count: int = 1) -> Iterator[list[FakeCluster]]:
    clusters = [FakeCluster() for _ in range(count)]
    for cluster in clusters:
        cluster.start()
    try:
        yield clusters
    finally:
        for cluster in clusters:
            cluster.stop()


def api(cluster: FakeCluster) -> Api:
    """Placement's way to it."""
    return Api("a", credentials(cluster.kubeconfig, "", "a"))


def _selected(thing: dict[str, Any], selector: str) -> bool:
    labels = thing["metadata"].get("labels") or {}
    for term in filter(None, selector.split(",")):
        key, _, value = term.partition("!=") if "!=" in term else term.partition("=")
        if (labels.get(key) == value) == ("!=" in term):
            return False
    return True


def _merge(old: Any, new: Any) -> Any:
    if not isinstance(old, dict) or not isinstance(new, dict):
        return new
    merged = {**old}
    for key, value in new.items():
        if value is None:
            merged.pop(key, None)
        else:
            merged[key] = _merge(merged.get(key), value)
    return {key: value for key, value in merged.items() if not key.startswith("$")}


def _openapi(root: str) -> dict[str, Any]:
    """As much as helm asks: that the server itself validates fields."""
    name = root.removeprefix("apis/").removeprefix("api/")
    group, _, version = name.rpartition("/")
    paths = {}
    for plural, kind in KINDS.get(name, {}).items():
        patch = {
            "parameters": [{"name": "fieldValidation", "in": "query", "schema": {"type": "string"}}],
            "x-kubernetes-group-version-kind": {"group": group, "version": version, "kind": kind},
            "responses": {},
        }
        paths[f"/{root}/namespaces/{{namespace}}/{plural}/{{name}}"] = {"patch": patch}
    return {"openapi": "3.0.0", "info": {"title": "fake", "version": "1"}, "paths": paths}


def _handler(cluster: FakeCluster) -> type[BaseHTTPRequestHandler]:
    class Handler(BaseHTTPRequestHandler):
        protocol_version = "HTTP/1.1"

        def setup(self) -> None:
            super().setup()
            self.request.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)

        def log_message(self, *_: Any) -> None:
            return

        def answer(self, status: int, body: dict[str, Any]) -> None:
            octets = json.dumps(body).encode()
            self.send_response(status)
            self.send_header("Content-Type", "application/json")
            self.send_header("Content-Length", str(len(octets)))
            if self.command in ("POST", "PATCH") and "/deployments" in self.path:
                for text in cluster.warnings:
                    self.send_header("Warning", f"299 - {json.dumps(text)}")
            self.end_headers()
            self.wfile.write(octets)

        def fail(self, status: int, reason: str, message: str) -> None:
            self.answer(
                status,
                {
                    "kind": "Status",
                    "apiVersion": "v1",
                    "status": "Failure",
                    "reason": reason,
                    "message": message,
                    "code": status,
                },
            )

        def handle_any(self) -> None:
            parts = urlsplit(self.path)
            query = {key: values[-1] for key, values in parse_qs(parts.query).items()}
            length = int(self.headers.get("Content-Length") or 0)
            raw = self.rfile.read(length)
            if raw.startswith(kubernetes_protobuf.MAGIC):
                body = kubernetes_protobuf.secret(raw) if self.command != "DELETE" else {}
            else:
                body = json.loads(raw) if raw.strip() else {}
            with cluster.lock:
                cluster.calls.append((self.command, parts.path))
            if cluster.stall is not None and cluster.stall[0] == self.command and cluster.stall[1] in parts.path:
                cluster.stalled.set()
                cluster.go_on.wait(60)
            if cluster.slow_s:
                time.sleep(cluster.slow_s)
            with cluster.lock:
                trouble = next((t for t in cluster.trouble if t[0] == self.command and t[1] in parts.path), None)
                if trouble is not None:
                    cluster.trouble.remove(trouble)
            if trouble is not None:
                self.fail(trouble[2], "Trouble", "of a moment")
                return
            if any(part in parts.path for part in cluster.refuse):
                self.fail(403, "Forbidden", f"secrets is forbidden: User cannot {self.command} {parts.path}")
                return
            if cluster.refuse_bodies and cluster.refuse_bodies.encode() in raw and "deployments" in parts.path:
                self.fail(422, "Invalid", cluster.invalid)
                return
            if self.discover(parts.path):
                return
            if parts.path == "/apis/authorization.k8s.io/v1/selfsubjectaccessreviews":
                asked = body["spec"]["resourceAttributes"]
                may = (asked["verb"], asked["resource"], asked["namespace"]) not in cluster.forbidden
                if asked["namespace"]:
                    path = f"/api/v1/namespaces/{asked['namespace']}/{asked['resource']}"
                    may = may and cluster.lets_in(path, self.headers.get("Impersonate-User", ""))
                may = may or self.headers.get("Impersonate-User") == cluster.mighty
                self.answer(201, {**body, "status": {"allowed": may}})
                return
            account = self.headers.get("Impersonate-User", "")
            if not cluster.lets_in(parts.path, account):
                self.fail(403, "Forbidden", f"User {account or 'of the token'} cannot {self.command} {parts.path}")
                return
            with cluster.lock:
                getattr(self, f"on_{self.command.lower()}")(parts.path, query, body)

        do_GET = do_POST = do_PUT = do_PATCH = do_DELETE = handle_any  # noqa: N815  the base class's names

        def discover(self, path: str) -> bool:
            if path == "/version":
                self.answer(200, {"major": "1", "minor": "34", "gitVersion": "v1.34.4"})
            elif path == "/api":
                self.answer(200, {"kind": "APIVersions", "versions": ["v1"]})
            elif path == "/apis":
                groups = [name.split("/") for name in KINDS if "/" in name]
                listed = [
                    {
                        "name": group,
                        "versions": [{"groupVersion": f"{group}/{version}", "version": version}],
                        "preferredVersion": {"groupVersion": f"{group}/{version}", "version": version},
                    }
                    for group, version in groups
                ]
                self.answer(200, {"kind": "APIGroupList", "apiVersion": "v1", "groups": listed})
            elif path.removeprefix("/api/") in KINDS or path.removeprefix("/apis/") in KINDS:
                name = path.removeprefix("/apis/").removeprefix("/api/")
                verbs = ["create", "delete", "get", "list", "patch", "update"]
                listed = [
                    {
                        "name": plural,
                        "singularName": kind.lower(),
                        "namespaced": plural not in CLUSTER_WIDE,
                        "kind": kind,
                        "verbs": verbs,
                    }
                    for plural, kind in KINDS[name].items()
                ]
                self.answer(200, {"kind": "APIResourceList", "groupVersion": name, "resources": listed})
            elif path == "/openapi/v3":
                roots = [f"{'apis/' if '/' in name else 'api/'}{name}" for name in KINDS]
                self.answer(200, {"paths": {root: {"serverRelativeURL": f"/openapi/v3/{root}"} for root in roots}})
            elif path.startswith("/openapi/v3/"):
                self.answer(200, _openapi(path.removeprefix("/openapi/v3/")))
            else:
                return False
            return True

        def on_get(self, path: str, query: dict[str, str], _: Any) -> None:
            resource = path.rsplit("/", maxsplit=1)[-1]
            group = next((name for name, kinds in KINDS.items() if resource in kinds), None)
            if group is not None and path not in cluster.objects:
                whole = "/namespaces/" in path
                items = [
                    thing
                    for other, thing in sorted(cluster.objects.items())
                    if (other.rpartition("/")[0] == path if whole else other.split("/")[-2] == resource)
                    and _selected(thing, query.get("labelSelector", ""))
                ]
                self.answer(200, {"kind": f"{KINDS[group][resource]}List", "apiVersion": group, "items": items})
            elif path in cluster.objects:
                self.answer(200, cluster.objects[path])
            else:
                self.missing(path)

        def missing(self, path: str) -> None:
            parts = path.split("/")
            self.fail(404, "NotFound", f'{parts[-2]} "{parts[-1]}" not found')

        def on_post(self, path: str, _: Any, body: dict[str, Any]) -> None:
            parts = path.split("/")
            if parts[-1] == "namespaces":
                body["metadata"]["creationTimestamp"] = time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime())
            if "namespaces" in parts[:-1]:
                namespace = parts[parts.index("namespaces") + 1]
                if f"/api/v1/namespaces/{namespace}" not in cluster.objects:
                    self.fail(404, "NotFound", f'namespaces "{namespace}" not found')
                    return
                body["metadata"]["namespace"] = namespace
            target = f"{path}/{body['metadata']['name']}"
            if target in cluster.objects:
                self.fail(409, "AlreadyExists", f'{parts[-1]} "{body["metadata"]["name"]}" already exists')
                return
            self.answer(201, cluster.put(target, body))

        def on_put(self, path: str, _: Any, body: dict[str, Any]) -> None:
            old = cluster.objects.get(path)
            if old is None:
                self.missing(path)
                return
            wanted = body["metadata"].get("resourceVersion")
            if wanted and wanted != old["metadata"]["resourceVersion"]:
                self.fail(409, "Conflict", "the object has been modified")
                return
            body["metadata"].pop("uid", None)
            self.answer(200, cluster.put(path, {"status": old.get("status"), **body}))

        def on_patch(self, path: str, _: Any, body: dict[str, Any]) -> None:
            old = cluster.objects.get(path)
            if old is None:
                self.missing(path)
                return
            self.answer(200, cluster.put(path, _merge(old, body)))

        def on_delete(self, path: str, _: Any, body: dict[str, Any]) -> None:
            old = cluster.objects.get(path)
            if old is None:
                self.missing(path)
                return
            version = (body.get("preconditions") or {}).get("resourceVersion")
            if version and version != old["metadata"]["resourceVersion"]:
                self.fail(409, "Conflict", "the precondition does not hold")
                return
            del cluster.objects[path]
            if old.get("kind") == "Deployment":
                cluster.drop_pods(path.split("/")[-3], path.rsplit("/", maxsplit=1)[-1])
            self.answer(200, {"kind": "Status", "apiVersion": "v1", "status": "Success"})

    return Handler


def wait_for(condition: Any, what: str, within_s: float = 60) -> None:
    """Until the condition holds, for a loaded machine's patience."""
    give_up = time.monotonic() + within_s
    while not condition():
        assert time.monotonic() < give_up, f"waited {within_s:g} s for {what}"
        time.sleep(0.01)
