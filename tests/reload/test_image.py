"""The single file, and an image wrapped in a registry (a small one of ours; the lab has a real one)."""

from __future__ import annotations

import hashlib
import io
import json
import subprocess
import sys
import tarfile
import threading
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any
from urllib.parse import parse_qs, urlsplit

import pytest

from reload import bundle, image
from tests.reload.agent.test_run import Pod

MANIFEST = "application/vnd.oci.image.manifest.v1+json"


def digest(octets: bytes) -> str:
    return "sha256:" + hashlib.sha256(octets).hexdigest()


class Registry:
    """Distribution API: blobs and manifests per repository, uploads in one piece, mounts."""

    def __init__(self) -> None:
        self.blobs: dict[tuple[str, str], bytes] = {}
        self.manifests: dict[tuple[str, str], bytes] = {}
        self.uploads: list[str] = []
        registry = self

        class Handler(BaseHTTPRequestHandler):
            def _serve(self) -> None:
                body = self.rfile.read(int(self.headers.get("Content-Length") or 0))
                code, headers, answer = registry.answer(self.command, self.path, body)
                self.send_response(code)
                for name, value in headers.items():
                    self.send_header(name, value)
                self.send_header("Content-Length", str(len(answer)))
                self.end_headers()
                if self.command != "HEAD":
                    self.wfile.write(answer)

            do_GET = do_HEAD = do_POST = do_PUT = do_DELETE = _serve  # noqa: N815

            def log_message(self, format: str, *arguments: object) -> None:
                pass

        self.server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self.host = f"127.0.0.1:{self.server.server_address[1]}"
        threading.Thread(target=self.server.serve_forever, daemon=True).start()

    def answer(self, method: str, target: str, body: bytes) -> tuple[int, dict[str, str], bytes]:
        parts = urlsplit(target)
        query = {key: values[0] for key, values in parse_qs(parts.query).items()}
        name, _, rest = parts.path.removeprefix("/v2/").partition("/blobs/")
        if rest.startswith("uploads/"):
            if method == "PUT":
                if digest(body) != query["digest"]:
                    return 400, {}, b""
                self.blobs[name, query["digest"]] = body
                self.uploads.append(query["digest"])
                return 201, {}, b""
            source = (query.get("from", ""), query.get("mount", ""))
            if source in self.blobs:
                self.blobs[name, source[1]] = self.blobs[source]
                return 201, {}, b""
            return 202, {"Location": f"/v2/{name}/blobs/uploads/1"}, b""
        if rest:
            found = self.blobs.get((name, rest))
            return (404, {}, b"") if found is None else (200, {}, found)
        name, _, version = parts.path.removeprefix("/v2/").partition("/manifests/")
        if method == "PUT":
            wanted = json.loads(body)
            if any((name, blob["digest"]) not in self.blobs for blob in (wanted["config"], *wanted["layers"])):
                return 400, {}, b"MANIFEST_BLOB_UNKNOWN"
            self.manifests[name, version] = body
            return 201, {}, b""
        found = self.manifests.get((name, version))
        return (404, {}, b"") if found is None else (200, {"Content-Type": MANIFEST}, found)

    def put_image(self, name: str, tag: str, files: dict[str, bytes]) -> None:
        out = io.BytesIO()
        with tarfile.open(fileobj=out, mode="w:gz") as archive:
            for path, content in files.items():
                entry = tarfile.TarInfo(path)
                entry.size = len(content)
                archive.addfile(entry, io.BytesIO(content))
        layer = out.getvalue()
        config = json.dumps(
            {
                "architecture": "amd64",
                "os": "linux",
                "config": {"Entrypoint": ["/usr/sbin/nginx"], "Cmd": ["-g", "daemon off;"], "User": "101"},
                "rootfs": {"type": "layers", "diff_ids": [digest(b"unpacked")]},
            }
        ).encode()
        for octets in (layer, config):
            self.blobs[name, digest(octets)] = octets
        self.manifests[name, tag] = json.dumps(
            {
                "schemaVersion": 2,
                "mediaType": MANIFEST,
                "config": {"mediaType": image._CONFIG, "digest": digest(config), "size": len(config)},
                "layers": [{"mediaType": image._LAYER + "+gzip", "digest": digest(layer), "size": len(layer)}],
            }
        ).encode()


@pytest.fixture
def registry() -> Iterator[Registry]:
    made = Registry()
    yield made
    made.server.shutdown()
    made.server.server_close()


def wrap(registry: Registry, base: str, to: str = "") -> int:
    arguments = ["--base", f"{registry.host}/{base}", "--plain-http"]
    return image.main([*arguments, *(["--to", f"{registry.host}/{to}"] if to else [])])


@pytest.mark.parametrize("to", ["", "other/nginx:2"])
def test_an_image_gets_one_layer_and_keeps_its_command(registry: Registry, to: str) -> None:
    registry.put_image("lab/nginx", "1.22", {"usr/bin/python3.11": b"", "usr/sbin/nginx": b"n"})
    assert wrap(registry, "lab/nginx:1.22", to) == 0
    name, _, tag = (to or "lab/nginx:1.22-reload").rpartition(":")
    manifest: dict[str, Any] = json.loads(registry.manifests[name, tag])
    base = json.loads(registry.manifests["lab/nginx", "1.22"])
    assert manifest["layers"][:-1] == base["layers"]
    assert base["layers"][0]["digest"] not in registry.uploads
    config = json.loads(registry.blobs[name, manifest["config"]["digest"]])
    assert config["config"]["Entrypoint"] == ["/usr/local/bin/auto-reload", "--", "/usr/sbin/nginx"]
    assert (config["config"]["Cmd"], config["config"]["User"]) == (["-g", "daemon off;"], "101")
    layer = registry.blobs[name, manifest["layers"][-1]["digest"]]
    assert config["rootfs"]["diff_ids"][-1] == digest(layer)
    with tarfile.open(fileobj=io.BytesIO(layer)) as archive:
        (entry,) = archive.getmembers()
    assert (entry.name, entry.mode, entry.uid) == ("usr/local/bin/auto-reload", 0o755, 0)


def test_an_image_without_python_is_refused(registry: Registry, capsys: pytest.CaptureFixture[str]) -> None:
    registry.put_image("lab/static", "1", {"usr/bin/daemon": b""})
    assert wrap(registry, "lab/static:1") == 1
    assert "no python3" in capsys.readouterr().err
    assert ("lab/static", "1-reload") not in registry.manifests


@pytest.mark.parametrize("base", ["lab/nothing:1", "/:x"])
def test_a_missing_image_and_a_name_that_is_none(
    registry: Registry, base: str, capsys: pytest.CaptureFixture[str]
) -> None:
    assert wrap(registry, base) == 1
    assert len(capsys.readouterr().err.splitlines()) == 1


def test_a_registry_that_is_down(capsys: pytest.CaptureFixture[str]) -> None:
    assert image.main(["--base", "127.0.0.1:1/a:1", "--plain-http"]) == 1
    assert "did not answer" in capsys.readouterr().err


def test_the_single_file_needs_nothing_installed(tmp_path: Path) -> None:
    """`-I -S`: no site-packages, no PYTHONPATH; the schema's libraries come out of the file."""
    program = tmp_path / "auto-reload"
    bundle.write(program)
    assert bundle.bundle() == program.read_bytes()
    schema = tmp_path / "schema.json"
    schema.write_text('{"type": "object", "properties": {"mnc": {"type": "string"}}}')
    pod = Pod(tmp_path / "pod")
    pod.mounted.swap({"app.conf": "greeting=one\n", "a.yaml": "mnc: 001\n"})
    isolated = (sys.executable, "-I", "-S", str(program))
    try:
        pod.start("--schema", f"a.yaml={schema}", program=isolated, environment={"PYTHONPATH": ""}, check=None)
        pod.until_verdicts(1)
        assert "mnc must be string" in pod.status()["reason"]
        pod.mounted.swap({"app.conf": "greeting=one\n", "a.yaml": 'mnc: "001"\n'})
        pod.until_started(1)
    finally:
        pod.close()
    shown = subprocess.run([str(program), "--help"], capture_output=True, text=True, timeout=60, check=True)
    assert "auto-reload" in shown.stdout
