"""Layers and configurations of images, held against GNU tar and the OCI image specification; no lab is needed."""

from __future__ import annotations

import hashlib
import json
import os
import stat
import subprocess
import tarfile
from pathlib import Path

import pytest

from tests.lab import oci


def tree(root: Path) -> Path:
    (root / "bin").mkdir(parents=True)
    (root / "bin/tool").write_text("#!/bin/sh\n")
    (root / "bin/tool").chmod(0o4755)
    (root / "bin/same").hardlink_to(root / "bin/tool")
    (root / "bin/link").symlink_to("tool")
    (root / "etc").mkdir()
    (root / "etc/empty").write_text("")
    return root


def test_gnu_tar_unpacks_what_pack_wrote(tmp_path: Path) -> None:
    made = oci.pack(tree(tmp_path / "root"), tmp_path / "layer.tar")
    out = tmp_path / "out"
    out.mkdir()
    subprocess.run(["/usr/bin/tar", "-xpf", made.path, "-C", out], check=True)
    assert (out / "bin/tool").read_text() == "#!/bin/sh\n"
    assert stat.S_IMODE((out / "bin/tool").stat().st_mode) == 0o4755
    assert (out / "bin/same").stat().st_ino == (out / "bin/tool").stat().st_ino
    assert (out / "bin/link").readlink() == Path("tool")
    assert (out / "etc/empty").read_bytes() == b""
    assert made.digest == "sha256:" + hashlib.sha256(made.path.read_bytes()).hexdigest()
    assert made.size == made.path.stat().st_size


def test_the_same_content_gives_the_same_digest(tmp_path: Path) -> None:
    root = tree(tmp_path / "root")
    first = oci.pack(root, tmp_path / "1.tar").digest
    assert oci.pack(root, tmp_path / "2.tar").digest == first
    (root / "etc/empty").write_text("x")
    assert oci.pack(root, tmp_path / "3.tar").digest != first


@pytest.mark.skipif(os.geteuid() != 0, reason="only root may make overlay's whiteouts")
def test_overlay_whiteouts_become_those_of_oci_layers(tmp_path: Path) -> None:
    # image-spec layer.md, "Whiteouts" and "Opaque Whiteout"
    root = tree(tmp_path / "root")
    os.mknod(root / "etc/gone", 0o600 | stat.S_IFCHR, os.makedev(0, 0))
    try:
        os.setxattr(root / "bin", "trusted.overlay.opaque", b"y")
    except OSError:
        pytest.skip("this file system keeps no trusted attributes")
    made = oci.pack(root, tmp_path / "layer.tar")
    with tarfile.open(made.path) as archive:
        names = archive.getnames()
        assert "etc/.wh.gone" in names
        assert "etc/gone" not in names
        assert "bin/.wh..wh..opq" in names
        assert archive.getmember("etc/.wh.gone").isreg()


def test_configuration_and_manifest_name_the_layers(tmp_path: Path) -> None:
    one = oci.pack(tree(tmp_path / "root"), tmp_path / "layer.tar")
    image = oci.Image("thing", [one], entrypoint=["/bin/tool"], user="1000", environment={"A": "b"})
    configuration, manifest = json.loads(image.configuration()), json.loads(image.manifest())
    # image-spec config.md: diff_ids are digests of the uncompressed layers, and ours are never compressed.
    assert configuration["rootfs"] == {"type": "layers", "diff_ids": [one.digest]}
    assert configuration["config"]["Entrypoint"] == ["/bin/tool"]
    assert configuration["config"]["User"] == "1000"
    assert "A=b" in configuration["config"]["Env"]
    assert manifest["schemaVersion"] == 2
    assert manifest["config"]["digest"] == "sha256:" + hashlib.sha256(image.configuration()).hexdigest()
    assert [(entry["digest"], entry["size"]) for entry in manifest["layers"]] == [(one.digest, one.size)]
