"""Wrap an existing image: one more layer with auto-reload, which becomes its first process; no container engine needed.

    python -m reload.image --base registry.example:5000/nginx:1.22 --to registry.example:5000/nginx:1.22-reload

The base's own entry point stays, after `auto-reload --`; settings come from RELOAD_* or from the chart.  Works on the
registry's API (OCI distribution 1.1): layers are mounted from the base where both are in one registry, else copied.
Logs in by password or token, as the registry asks.  A public image needs no password; Docker Hub's are
registry-1.docker.io/library/NAME:TAG.
"""

from __future__ import annotations

import argparse
import hashlib
import io
import json
import re
import sys
import tarfile
import tempfile
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import IO, Any
from urllib.parse import urljoin, urlsplit

import requests

from reload.bundle import bundle
from reload.registry_login import TIMEOUT_S, Login, LoginError

PROGRAM = "usr/local/bin/auto-reload"
_INDEXES = ("application/vnd.oci.image.index.v1+json", "application/vnd.docker.distribution.manifest.list.v2+json")
_MANIFEST = "application/vnd.oci.image.manifest.v1+json"
_DOCKER = "application/vnd.docker.distribution.manifest.v2+json"
_CONFIG = "application/vnd.oci.image.config.v1+json"
_LAYER = "application/vnd.oci.image.layer.v1.tar"
_REFERENCE = re.compile(
    r"(?P<host>[^/]+)/(?P<name>[a-z0-9._/-]+?)(?:@(?P<digest>sha256:[0-9a-f]{64})|:(?P<tag>[\w.-]+))?\Z"
)
_PYTHON = re.compile(r"(\./)?(usr/(local/)?)?bin/python3(\.\d+)?\Z")
_CHUNK = 1 << 20


class ImageError(Exception):
    """The image cannot be wrapped; one sentence that says what to do."""


@dataclass(frozen=True)
class Reference:
    """host/name:tag or host/name@digest."""

    host: str
    name: str
    version: str

    @classmethod
    def parse(cls, text: str) -> Reference:
        """Raises ImageError."""
        found = _REFERENCE.match(text)
        if found is None:
            raise ImageError(f"{text!r} is no image: write host[:port]/name:tag")
        return cls(found["host"], found["name"], found["digest"] or found["tag"] or "latest")


class Registry:
    """One repository of a registry.  credentials: user:password for it, "" = none."""

    def __init__(self, reference: Reference, *, plain_http: bool, credentials: str = "") -> None:
        self.reference = reference
        self._base = f"{'http' if plain_http else 'https'}://{reference.host}/v2/{reference.name}"
        self._session = requests.Session()
        self._session.trust_env = False
        self._login = Login(self._session, reference.host, plain_http=plain_http, credentials=credentials)

    def manifest(self, version: str, architecture: str) -> dict[str, Any]:
        """The manifest; of an index, the one for that architecture.  Raises ImageError."""
        accept = ", ".join((*_INDEXES, _MANIFEST, _DOCKER))
        found: dict[str, Any] = self._call("GET", f"/manifests/{version}", headers={"Accept": accept}).json()
        if found.get("mediaType") not in _INDEXES and "manifests" not in found:
            return found
        for entry in found["manifests"]:
            platform = entry.get("platform", {})
            if (platform.get("os"), platform.get("architecture")) == ("linux", architecture):
                return self.manifest(entry["digest"], architecture)
        raise ImageError(f"{self.reference.name} has no image for linux/{architecture}")

    def blob(self, digest: str, to: IO[bytes]) -> None:
        """Write a blob there, and check its digest.  Raises ImageError."""
        state = hashlib.sha256()
        with self._call("GET", f"/blobs/{digest}", stream=True) as answer:
            for chunk in answer.iter_content(_CHUNK):
                state.update(chunk)
                to.write(chunk)
        if f"sha256:{state.hexdigest()}" != digest:
            raise ImageError(f"the registry gave another blob than {digest[:19]}…")
        to.seek(0)

    def mount(self, digest: str, source: str) -> bool:
        """Take a blob over from another repository of this registry; whether it is there now."""
        if self._answer("HEAD", f"{self._base}/blobs/{digest}").status_code == 200:
            return True
        answer = self._call("POST", "/blobs/uploads/", params={"mount": digest, "from": source})
        if answer.status_code == 201:
            return True
        self._answer("DELETE", self._url(answer.headers["Location"]))
        return False

    def push(self, content: IO[bytes], digest: str) -> None:
        """Upload a blob.  Raises ImageError."""
        begun = self._call("POST", "/blobs/uploads/")
        headers = {"Content-Type": "application/octet-stream"}
        url = self._url(begun.headers["Location"])
        self._checked(self._answer("PUT", url, params={"digest": digest}, data=content, headers=headers))

    def tag(self, manifest: Mapping[str, Any], version: str) -> str:
        """Push the manifest under that tag; its digest.  Raises ImageError."""
        octets = json.dumps(manifest).encode()
        headers = {"Content-Type": str(manifest["mediaType"])}
        self._call("PUT", f"/manifests/{version}", data=octets, headers=headers)
        return _digest(octets)

    def _url(self, location: str) -> str:
        return urljoin(self._base, location)

    def _call(self, method: str, path: str, **options: Any) -> requests.Response:
        return self._checked(self._answer(method, self._base + path, **options))

    def _answer(self, method: str, url: str, **options: Any) -> requests.Response:
        """Whatever is answered, once who asks is told where that is wanted.  Raises ImageError, LoginError."""
        answer = self._sent(method, url, **options)
        wanted = answer.headers.get("WWW-Authenticate", "")
        # Where the registry sends on to (its storage, say) has no right to ask who this is.
        if answer.status_code != 401 or not self._is_own(answer.url) or not self._login.take(wanted):
            return answer
        answer.close()
        if hasattr(options.get("data"), "seek"):
            options["data"].seek(0)
        return self._sent(method, url, **options)

    def _sent(self, method: str, url: str, **options: Any) -> requests.Response:
        headers = dict(options.pop("headers", {}))
        if self._login.authorization and self._is_own(url):
            headers["Authorization"] = self._login.authorization
        try:
            return self._session.request(method, url, headers=headers, timeout=TIMEOUT_S, **options)
        except requests.RequestException as e:
            hint = "with PLAIN_HTTP=1 when it has no TLS" if self._base.startswith("https") else "is it up?"
            raise ImageError(f"registry {self.reference.host} did not answer ({type(e).__name__}): {hint}") from e

    def _is_own(self, url: str) -> bool:
        return _origin(url) == _origin(self._base)

    def _checked(self, answer: requests.Response) -> requests.Response:
        if answer.status_code >= 400:
            hint = ": may this user do that?" if answer.status_code in (401, 403) else ""
            told = f"registry {self.reference.host} answered {answer.status_code} for {self.reference.name}{hint}"
            raise ImageError(told)
        return answer


def _origin(url: str) -> tuple[str, str | None, int | None]:
    parts = urlsplit(url)
    return parts.scheme, parts.hostname, parts.port or {"http": 80, "https": 443}.get(parts.scheme)


def wrap(base: Registry, to: Registry, *, architecture: str = "amd64", same_registry: bool) -> str:
    """Push `base` with auto-reload as its first process under `to`'s tag; the digest.  Raises ImageError."""
    manifest = base.manifest(base.reference.version, architecture)
    with tempfile.TemporaryFile() as file:
        base.blob(manifest["config"]["digest"], file)
        config = json.load(file)
    has_python = False
    for layer in manifest["layers"]:
        mounted = same_registry and to.mount(layer["digest"], base.reference.name)
        if has_python and mounted:
            continue
        with tempfile.TemporaryFile() as file:
            base.blob(layer["digest"], file)
            has_python = has_python or _has_python(file)
            file.seek(0)
            if not mounted:
                to.push(file, layer["digest"])
    if not has_python:
        raise ImageError(
            f"{base.reference.name} has no python3: add it, or use mode sidecar, which needs nothing in it"
        )
    octets = layer_octets()
    to.push(io.BytesIO(octets), _digest(octets))
    wrapped = _wrapped(config, _digest(octets))
    to.push(io.BytesIO(wrapped), _digest(wrapped))
    docker = manifest.get("mediaType") == _DOCKER
    layer_type = "application/vnd.docker.image.rootfs.diff.tar" if docker else _LAYER
    return to.tag(
        {
            "schemaVersion": 2,
            "mediaType": _DOCKER if docker else _MANIFEST,
            "config": {
                "mediaType": manifest["config"].get("mediaType", _CONFIG),
                "digest": _digest(wrapped),
                "size": len(wrapped),
            },
            "layers": [*manifest["layers"], {"mediaType": layer_type, "digest": _digest(octets), "size": len(octets)}],
        },
        to.reference.version,
    )


def layer_octets() -> bytes:
    """A tar with auto-reload in it; the same input gives the same bytes."""
    program = bundle()
    out = io.BytesIO()
    with tarfile.open(fileobj=out, mode="w", format=tarfile.USTAR_FORMAT) as archive:
        entry = tarfile.TarInfo(PROGRAM)
        entry.size, entry.mode = len(program), 0o755
        archive.addfile(entry, io.BytesIO(program))
    return out.getvalue()


def _wrapped(config: dict[str, Any], diff_id: str) -> bytes:
    running = dict(config.get("config") or {})
    running["Entrypoint"] = ["/" + PROGRAM, "--", *(running.get("Entrypoint") or [])]
    running["Cmd"] = running.get("Cmd") or []
    rootfs = {**config["rootfs"], "diff_ids": [*config["rootfs"]["diff_ids"], diff_id]}
    history = [*config.get("history", []), {"created_by": "auto-reload"}] if config.get("history") else []
    return json.dumps({**config, "config": running, "rootfs": rootfs, "history": history}).encode()


def _has_python(layer: IO[bytes]) -> bool:
    try:
        with tarfile.open(fileobj=layer, mode="r:*") as archive:
            return any(_PYTHON.match(member.name) for member in archive)
    except tarfile.TarError:
        return True  # zstd, which Python 3.11 cannot open: give it the benefit of the doubt


def _digest(octets: bytes) -> str:
    return "sha256:" + hashlib.sha256(octets).hexdigest()


def main(arguments: Sequence[str] | None = None) -> int:
    """Exit code: 1 with one sentence when the image cannot be wrapped."""
    parser = argparse.ArgumentParser(
        prog="python -m reload.image", description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--base", required=True, help="the image to wrap: host[:port]/name:tag")
    parser.add_argument("--to", default="", help="where to push it (default: the base with -reload after its tag)")
    parser.add_argument("--architecture", default="amd64", help="of an image for several (default: amd64)")
    parser.add_argument("--plain-http", action="store_true", help="the registries have no TLS")
    parser.add_argument(
        "--credentials", type=Path, help="file with user:password for the registry pushed to, and for the base in it"
    )
    parser.add_argument(
        "--base-credentials", type=Path, help="file with user:password for the base's registry, where it is another"
    )
    options = parser.parse_args(arguments)
    try:
        base = Reference.parse(options.base)
        to = Reference.parse(options.to) if options.to else _suffixed(base)
        same = base.host == to.host
        files = (options.base_credentials or (options.credentials if same else None), options.credentials)
        ends = [
            Registry(end, plain_http=options.plain_http, credentials=file.read_text().strip() if file else "")
            for end, file in zip((base, to), files, strict=True)
        ]
        digest = wrap(*ends, architecture=options.architecture, same_registry=same)
    except (ImageError, LoginError, OSError) as e:
        sys.stderr.write(f"reload-image: {e}\n")
        return 1
    sys.stdout.write(f"{to.host}/{to.name}:{to.version}@{digest}\n")
    return 0


def _suffixed(base: Reference) -> Reference:
    if base.version.startswith("sha256:"):
        raise ImageError("a base given by its digest needs TO=host/name:tag")
    return Reference(base.host, base.name, base.version + "-reload")


if __name__ == "__main__":
    sys.exit(main())
