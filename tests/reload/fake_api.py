"""A server that behaves like the Kubernetes API server for ConfigMaps, Secrets and pods, as far as a reload goes.

Objects have resourceVersions; a merge patch (RFC 7396) with a stale one is 409; an unknown name 404; another token 401.
`kubelets`: called with each pod whose annotations were patched.  A pod's proxy forwards to 127.0.0.1:<its port>.
"""

from __future__ import annotations

import copy
import itertools
import json
import re
import threading
import time
import urllib.error
import urllib.request
from collections.abc import Callable
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any
from urllib.parse import parse_qs, unquote, urlsplit

TOKEN = "token-of-the-function"
_PATH = re.compile(r"/api/v1/namespaces/([^/]+)/(configmaps|secrets|pods)(?:/([^/]+))?(/proxy/status)?\Z")

Object = dict[str, Any]


def merged(target: Any, patch: Any) -> Any:
    """RFC 7396, section 2."""
    if not isinstance(patch, dict):
        return patch
    result = dict(target) if isinstance(target, dict) else {}
    for key, value in patch.items():
        if value is None:
            result.pop(key, None)
        else:
            result[key] = merged(result.get(key), value)
    return result


class FakeApi:
    """url: where it listens.  before_patch: called before each patch of a ConfigMap is judged.

    denied: kinds that are refused.  refuse: HTTP status for a method and kind.
    """

    def __init__(self) -> None:
        self.objects: dict[tuple[str, str, str], Object] = {}
        self.kubelets: list[Callable[[Object], None]] = []
        self.before_patch: Callable[[], None] = lambda: None
        self.delay_s = 0.0
        self.accounts: dict[str, str] | None = None
        """By namespace, as whom alone it may be asked; None = as whoever comes."""
        self.denied: set[str] = set()
        self.refuse: dict[tuple[str, str], int] = {}
        self.calls: list[tuple[str, str]] = []
        self.lock = threading.RLock()
        self._versions = itertools.count(100)
        fake = self

        class Handler(BaseHTTPRequestHandler):
            protocol_version = "HTTP/1.1"
            disable_nagle_algorithm = True

            def do_GET(self) -> None:
                fake._serve(self, None)

            def do_POST(self) -> None:
                fake._serve(self, json.loads(self.rfile.read(int(self.headers["Content-Length"]))))

            def do_PATCH(self) -> None:
                self.do_POST()

            def log_message(self, format: str, *arguments: object) -> None:
                pass

        self._server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self._server.daemon_threads = True
        self.url = f"http://127.0.0.1:{self._server.server_address[1]}"
        threading.Thread(target=self._server.serve_forever, daemon=True).start()

    def close(self) -> None:
        self._server.shutdown()
        self._server.server_close()

    def kubeconfig(self, *names: str, token: str = TOKEN, acts_as: str = "") -> str:
        return json.dumps(
            {
                "apiVersion": "v1",
                "kind": "Config",
                "current-context": names[0],
                "clusters": [{"name": "c", "cluster": {"server": self.url}}],
                "users": [{"name": "u", "user": {"token": token, "as": acts_as}}],
                "contexts": [{"name": name, "context": {"cluster": "c", "user": "u"}} for name in names],
            }
        )

    def put(self, kind: str, namespace: str, name: str, body: Object, labels: dict[str, str] | None = None) -> Object:
        """Create or replace, as kubectl would."""
        with self.lock:
            metadata = {"name": name, "namespace": namespace, "uid": f"uid-{name}", "labels": labels or {}}
            metadata["resourceVersion"] = str(next(self._versions))
            body = {**body, "metadata": {**metadata, **body.get("metadata", {})}}
            self.objects[kind, namespace, name] = body
            return body

    def touch(self, namespace: str, name: str) -> None:
        """Somebody else writes the ConfigMap."""
        with self.lock:
            self.objects["configmaps", namespace, name]["metadata"]["resourceVersion"] = str(next(self._versions))

    def data(self, namespace: str, name: str) -> dict[str, str]:
        with self.lock:
            found: dict[str, str] = dict(self.objects["configmaps", namespace, name]["data"])
            return found

    def _serve(self, handler: BaseHTTPRequestHandler, body: Object | None) -> None:
        parts = urlsplit(handler.path)
        self.calls.append((handler.command, parts.path))
        time.sleep(self.delay_s)
        code, answer = self._answer(handler, unquote(parts.path), parse_qs(parts.query), body)
        octets = json.dumps(answer).encode()
        try:
            handler.send_response(code)
            handler.send_header("Content-Type", "application/json")
            handler.send_header("Content-Length", str(len(octets)))
            handler.end_headers()
            handler.wfile.write(octets)
        except OSError:
            handler.close_connection = True

    def _answer(
        self, handler: BaseHTTPRequestHandler, path: str, query: dict[str, list[str]], body: Object | None
    ) -> tuple[int, Object]:
        if handler.headers["Authorization"] != f"Bearer {TOKEN}":
            return 401, {"kind": "Status", "message": "Unauthorized"}
        found = _PATH.match(path)
        if found is None:
            return 404, {"kind": "Status"}
        namespace, kind, name, proxy = found.groups()
        if self.accounts is not None and handler.headers["Impersonate-User"] != self.accounts.get(namespace):
            return 403, {"kind": "Status", "message": "forbidden"}
        if kind in self.denied:
            return 403, {"kind": "Status", "message": "forbidden"}
        if (handler.command, kind) in self.refuse:
            return self.refuse[handler.command, kind], {"kind": "Status"}
        if proxy:
            return self._proxied(namespace, name)
        if handler.command == "GET":
            return self._read(kind, namespace, name, query)
        if body is None:
            return 400, {}
        if handler.command == "POST":
            with self.lock:
                if (kind, namespace, body["metadata"]["name"]) in self.objects:
                    return 409, {"kind": "Status", "reason": "AlreadyExists"}
                return 201, self.put(kind, namespace, body["metadata"]["name"], body)
        if handler.headers["Content-Type"] != "application/merge-patch+json":
            return 415, {"kind": "Status"}
        return self._patched(kind, namespace, name, body)

    def _read(self, kind: str, namespace: str, name: str | None, query: dict[str, list[str]]) -> tuple[int, Object]:
        with self.lock:
            if name is not None:
                found = self.objects.get((kind, namespace, name))
                return (404, {"kind": "Status"}) if found is None else (200, copy.deepcopy(found))
            wanted = [part.partition("=") for part in ",".join(query.get("labelSelector", [])).split(",") if part]
            items = [
                copy.deepcopy(body)
                for (its, where, _), body in self.objects.items()
                if (its, where) == (kind, namespace)
                and all(key in body["metadata"]["labels"] for key, _, _ in wanted)
                and all(not mark or body["metadata"]["labels"][key] == value for key, mark, value in wanted)
            ]
            return 200, {"kind": "List", "items": items}

    def _patched(self, kind: str, namespace: str, name: str, patch: Object) -> tuple[int, Object]:
        if kind == "configmaps":
            self.before_patch()
        with self.lock:
            found = self.objects.get((kind, namespace, name))
            if found is None:
                return 404, {"kind": "Status"}
            version = patch.get("metadata", {}).get("resourceVersion")
            if version is not None and version != found["metadata"]["resourceVersion"]:
                return 409, {"kind": "Status", "reason": "Conflict"}
            after = merged(found, patch)
            after["metadata"]["resourceVersion"] = str(next(self._versions))
            self.objects[kind, namespace, name] = after
        if kind == "pods":
            for kubelet in self.kubelets:
                kubelet(after)
        return 200, copy.deepcopy(after)

    def _proxied(self, namespace: str, name: str) -> tuple[int, Object]:
        pod, _, port = name.partition(":")
        if ("pods", namespace, pod) not in self.objects:
            return 404, {"kind": "Status"}
        try:
            with urllib.request.urlopen(f"http://127.0.0.1:{port}/status", timeout=5) as answer:
                body: Object = json.loads(answer.read())
                return 200, body
        except (OSError, urllib.error.URLError):
            return 503, {"kind": "Status", "message": "error trying to reach service"}
