"""OCI images as files, and the few calls of the distribution API that push them; no container engine is needed."""

from __future__ import annotations

import hashlib
import json
import os
import stat
import tarfile
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import requests

from tests.lab.errors import LabError

_MANIFEST = "application/vnd.oci.image.manifest.v1+json"
_CONFIG = "application/vnd.oci.image.config.v1+json"
_LAYER = "application/vnd.oci.image.layer.v1.tar"
_TIMEOUT_S = 120
_CHUNK = 1 << 20


@dataclass(frozen=True)
class Layer:
    """An uncompressed tar file: so its digest is its diff id too, and neither end spends time on compression."""

    path: Path
    digest: str
    size: int


@dataclass(frozen=True)
class Image:
    """layers from the lowest up, and how a container of it starts."""

    name: str
    layers: Sequence[Layer]
    entrypoint: Sequence[str] = ()
    command: Sequence[str] = ()
    environment: Mapping[str, str] = field(default_factory=dict)
    user: str = ""
    folder: str = "/"

    def configuration(self) -> bytes:
        """Give the image's configuration blob; the same content gives the same bytes."""
        environment = {"PATH": "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin", **self.environment}
        return _json(
            {
                "architecture": _architecture(),
                "os": "linux",
                "config": {
                    "Entrypoint": list(self.entrypoint),
                    "Cmd": list(self.command),
                    "Env": [f"{name}={value}" for name, value in environment.items()],
                    "User": self.user,
                    "WorkingDir": self.folder,
                },
                "rootfs": {"type": "layers", "diff_ids": [layer.digest for layer in self.layers]},
            }
        )

    def manifest(self) -> bytes:
        configuration = self.configuration()
        return _json(
            {
                "schemaVersion": 2,
                "mediaType": _MANIFEST,
                "config": {"mediaType": _CONFIG, "digest": _sha256(configuration), "size": len(configuration)},
                "layers": [{"mediaType": _LAYER, "digest": layer.digest, "size": layer.size} for layer in self.layers],
            }
        )

    def tag(self) -> str:
        """Name the content, so that a changed image is another tag and no node keeps a stale copy of it."""
        return _sha256(self.manifest()).removeprefix("sha256:")[:16]


def pack(root: Path, target: Path) -> Layer:
    """Write the folder as a layer: sorted, owned as on disk, overlay's whiteouts turned into OCI's.

    Sockets and extended attributes other than overlay's are left out.
    """
    links: dict[tuple[int, int], str] = {}
    with tarfile.open(target, "w", format=tarfile.PAX_FORMAT) as archive:
        for path in _walk(root):
            name = str(path.relative_to(root))
            status = path.lstat()
            if stat.S_ISSOCK(status.st_mode):
                continue
            if stat.S_ISCHR(status.st_mode) and status.st_rdev == 0:
                archive.addfile(tarfile.TarInfo(str(Path(name).with_name(f".wh.{path.name}"))))
                continue
            entry = archive.gettarinfo(path, name)
            entry.uname = entry.gname = ""
            # gettarinfo knows hard links only within what it has seen through this archive's own bookkeeping; ours
            # does not depend on the order in which the file system lists names.
            if stat.S_ISREG(status.st_mode):
                first = links.setdefault((status.st_dev, status.st_ino), name)
                entry.type, entry.linkname = (tarfile.REGTYPE, "") if first == name else (tarfile.LNKTYPE, first)
                entry.size = status.st_size if first == name else 0
            if entry.isreg():
                with path.open("rb") as content:
                    archive.addfile(entry, content)
            else:
                archive.addfile(entry)
            if entry.isdir() and _is_opaque(path):
                archive.addfile(tarfile.TarInfo(f"{name}/.wh..wh..opq"))
    return layer(target)


def layer(path: Path) -> Layer:
    """Describe a layer file."""
    digest = hashlib.sha256()
    with path.open("rb") as content:
        while chunk := content.read(_CHUNK):
            digest.update(chunk)
    return Layer(path, f"sha256:{digest.hexdigest()}", path.stat().st_size)


def push(image: Image, registry: str) -> str:
    """Push what the registry lacks and give the reference "registry/name:tag".  Raises LabError when it refuses."""
    reference = f"{registry}/{image.name}:{image.tag()}"
    base = f"http://{registry}/v2/{image.name}"
    manifest = image.manifest()
    with requests.Session() as session:
        try:
            there = session.head(f"{base}/manifests/{image.tag()}", headers={"Accept": _MANIFEST}, timeout=_TIMEOUT_S)
            if there.status_code == requests.codes.ok:
                return reference
            for one in image.layers:
                if not _has_blob(session, base, one.digest):
                    with one.path.open("rb") as content:
                        _put_blob(session, base, one.digest, content)
            configuration = image.configuration()
            if not _has_blob(session, base, _sha256(configuration)):
                _put_blob(session, base, _sha256(configuration), configuration)
            _expect(
                session.put(
                    f"{base}/manifests/{image.tag()}",
                    data=manifest,
                    headers={"Content-Type": _MANIFEST},
                    timeout=_TIMEOUT_S,
                ),
                requests.codes.created,
            )
        except requests.ConnectionError as error:
            raise LabError(f"the registry at {registry} cannot be reached: make lab-up") from error
    return reference


def _has_blob(session: requests.Session, base: str, digest: str) -> bool:
    return bool(session.head(f"{base}/blobs/{digest}", timeout=_TIMEOUT_S).status_code == requests.codes.ok)


def _put_blob(session: requests.Session, base: str, digest: str, content: Any) -> None:
    begun = _expect(session.post(f"{base}/blobs/uploads/", timeout=_TIMEOUT_S), requests.codes.accepted)
    _expect(
        session.put(
            begun.headers["Location"],
            params={"digest": digest},
            data=content,
            headers={"Content-Type": "application/octet-stream"},
            timeout=_TIMEOUT_S,
        ),
        requests.codes.created,
    )


def _expect(response: requests.Response, code: int) -> requests.Response:
    if response.status_code != code:
        raise LabError(
            f"the registry answered {response.status_code} to {response.request.method}: {response.text[:300]}"
        )
    return response


def _walk(root: Path) -> Iterator[Path]:
    for path in sorted(root.iterdir()):
        yield path
        if path.is_dir() and not path.is_symlink():
            yield from _walk(path)


def _is_opaque(path: Path) -> bool:
    try:
        return os.getxattr(path, "trusted.overlay.opaque") == b"y"
    except OSError:
        return False


def _architecture() -> str:
    return {"x86_64": "amd64", "aarch64": "arm64"}[os.uname().machine]


def _json(document: Any) -> bytes:
    return json.dumps(document, separators=(",", ":"), sort_keys=True).encode()


def _sha256(content: bytes) -> str:
    return f"sha256:{hashlib.sha256(content).hexdigest()}"
