"""An OCI registry that serves charts (distribution specification, pull only), with or without a password."""

from __future__ import annotations

import base64
import gzip
import hashlib
import io
import json
import ssl
import tarfile
import threading
from collections import Counter
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

import yaml

DEPLOYMENT = """apiVersion: apps/v1
kind: Deployment
metadata:
  name: {{ .Release.Name }}
spec:
  replicas: {{ .Values.replicas }}
  selector:
    matchLabels: {app: {{ .Release.Name }}}
  template:
    metadata:
      labels: {app: {{ .Release.Name }}}
    spec:
      containers:
        - name: c
          image: {{ .Values.image | quote }}
          resources: {requests: {cpu: {{ .Values.cpu }}, memory: 64Mi}}
"""
CONFIGMAP = """apiVersion: v1
kind: ConfigMap
metadata:
  name: {{ .Release.Name }}-config
data:
  tac: {{ .Values.tac | quote }}
"""
SECRET = """apiVersion: v1
kind: Secret
metadata:
  name: {{ .Release.Name }}-secret
stringData:
  password: {{ .Values.password | quote }}
"""
VALUES = {"replicas": 1, "image": "registry.test/nf:1", "cpu": "100m", "tac": "7", "password": "chart-default"}
FILES = {
    "templates/deployment.yaml": DEPLOYMENT,
    "templates/configmap.yaml": CONFIGMAP,
    "templates/secret.yaml": SECRET,
}


def package(name: str, version: str, files: Mapping[str, str] = FILES, values: Mapping[str, Any] = VALUES) -> bytes:
    """A chart as helm packages it."""
    chart = {"apiVersion": "v2", "name": name, "version": version, "type": "application"}
    content = {"Chart.yaml": yaml.safe_dump(chart), "values.yaml": yaml.safe_dump(dict(values)), **files}
    packed = io.BytesIO()
    with tarfile.open(fileobj=packed, mode="w") as tar:
        for path, text in content.items():
            entry = tarfile.TarInfo(f"{name}/{path}")
            entry.size = len(text.encode())
            tar.addfile(entry, io.BytesIO(text.encode()))
    return gzip.compress(packed.getvalue())


class FakeRegistry:
    """logins: user and password of each; none = open to all.  used: requests by user.

    refused: requests with a wrong login.  pulls: number of charts given out.
    tls: from the next start, None = plain HTTP.
    """

    def __init__(self) -> None:
        self.blobs: dict[str, bytes] = {}
        self.manifests: dict[tuple[str, str], bytes] = {}
        self.logins: set[tuple[str, str]] = set()
        self.used: Counter[str] = Counter()
        self.refused = 0
        self.pulls = 0
        self.tls: ssl.SSLContext | None = None
        self._server: ThreadingHTTPServer | None = None
        self.port = 0

    @property
    def host(self) -> str:
        return f"127.0.0.1:{self.port}"

    def oci(self, name: str = "nf") -> str:
        return f"oci://{self.host}/charts/{name}"

    def push(self, name: str, version: str, **content: Any) -> None:
        chart = package(name, version, **content)
        config = json.dumps({"name": name, "version": version, "apiVersion": "v2"}).encode()
        layer = {"mediaType": "application/vnd.cncf.helm.chart.content.v1.tar+gzip", **self._blob(chart)}
        manifest = {
            "schemaVersion": 2,
            "mediaType": "application/vnd.oci.image.manifest.v1+json",
            "config": {"mediaType": "application/vnd.cncf.helm.config.v1+json", **self._blob(config)},
            "layers": [layer],
        }
        octets = json.dumps(manifest).encode()
        for reference in (version, self._blob(octets)["digest"]):
            self.manifests[f"charts/{name}", reference] = octets

    def _blob(self, octets: bytes) -> dict[str, Any]:
        digest = "sha256:" + hashlib.sha256(octets).hexdigest()
        self.blobs[digest] = octets
        return {"digest": digest, "size": len(octets)}

    def start(self) -> None:
        self._server = ThreadingHTTPServer(("127.0.0.1", self.port), _handler(self))
        self.port = self._server.server_address[1]
        if self.tls is not None:
            self._server.socket = self.tls.wrap_socket(self._server.socket, server_side=True)
        threading.Thread(target=self._server.serve_forever, args=(0.02,), daemon=True).start()

    def stop(self) -> None:
        if self._server is not None:
            self._server.shutdown()
            self._server.server_close()
            self._server = None


@contextmanager
def running() -> Iterator[FakeRegistry]:
    registry = FakeRegistry()
    registry.start()
    registry.push("nf", "1.0.0")
    try:
        yield registry
    finally:
        registry.stop()


def _user(logins: set[tuple[str, str]], authorization: str) -> str | None:
    for user, password in logins:
        if authorization == "Basic " + base64.b64encode(f"{user}:{password}".encode()).decode():
            return user
    return None


def _handler(registry: FakeRegistry) -> type[BaseHTTPRequestHandler]:
    class Handler(BaseHTTPRequestHandler):
        protocol_version = "HTTP/1.1"

        def log_message(self, *_: Any) -> None:
            return

        def answer(self, status: int, octets: bytes, **headers: str) -> None:
            self.send_response(status)
            for name, value in headers.items():
                self.send_header(name.replace("_", "-"), value)
            self.send_header("Content-Length", str(len(octets)))
            self.end_headers()
            if self.command != "HEAD":
                self.wfile.write(octets)

        def do_GET(self) -> None:
            if registry.logins:
                given = self.headers.get("Authorization", "")
                user = _user(registry.logins, given)
                if user is None:
                    registry.refused += bool(given)  # helm asks without a login first
                    error = {"errors": [{"code": "UNAUTHORIZED", "message": "authentication required"}]}
                    self.answer(401, json.dumps(error).encode(), WWW_Authenticate='Basic realm="test"')
                    return
                registry.used[user] += 1
            path = self.path.split("?")[0]
            if path in ("/v2/", "/v2"):
                self.answer(200, b"{}")
                return
            repository, _, rest = path.removeprefix("/v2/").partition("/manifests/")
            if rest:
                found = registry.manifests.get((repository, rest))
                kind = "application/vnd.oci.image.manifest.v1+json"
            else:
                repository, _, rest = path.removeprefix("/v2/").partition("/blobs/")
                found = registry.blobs.get(rest)
                kind = "application/octet-stream"
                registry.pulls += self.command == "GET"
            if found is None:
                error = {"errors": [{"code": "MANIFEST_UNKNOWN", "message": "manifest unknown"}]}
                self.answer(404, json.dumps(error).encode(), Content_Type="application/json")
                return
            digest = "sha256:" + hashlib.sha256(found).hexdigest()
            self.answer(200, found, Content_Type=kind, Docker_Content_Digest=digest)

        do_HEAD = do_GET  # noqa: N815  the base class's name

    return Handler
