"""Layers of Python for the lab's images: wheels of a hashed requirements file, and folders of this repository."""

from __future__ import annotations

import compileall
import hashlib
import py_compile
import re
import shutil
import sys
import tempfile
from pathlib import Path

from tests.lab import artefacts, images, oci
from tests.lab.documented import ROOT
from tests.lab.errors import LabError
from tests.lab.plan import cache_folder
from tests.lab.run import run

_RECIPE = "2"  # raise it when the wheels are laid out in another way


def wheels(requirements: Path) -> oci.Layer:
    """Install what the file names, with its hashes and from wheels only, where Debian's Python looks.

    Made once for each content of the file.  Raises LabError: pip refuses, or this Python is not of the image's version.
    """
    version = _version()

    def make(into: Path) -> None:
        target = into / "root/usr/local/lib" / f"python{version}" / "dist-packages"
        pip = [sys.executable, "-m", "pip", "install", "-q", "--disable-pip-version-check", "--root-user-action=ignore"]
        wheels_only = ["--require-hashes", "--no-deps", "--only-binary=:all:", "--no-compile"]
        run(
            [*pip, *wheels_only, "-t", target, "-r", requirements],
            timeout_s=1200,
            cure="does pip reach its index?",
        )
        _leave_out_unused(target)
        _compile(into / "root")
        oci.pack(into / "root", into / "layer.tar")
        shutil.rmtree(into / "root")

    key = hashlib.sha256(f"{_RECIPE} {version} {requirements.read_text()}".encode()).hexdigest()[:16]
    folder = cache_folder() / f"layer-wheels-{key}"
    artefacts.once(folder, f"wheels of {requirements.parent.name}", make, "40 s")
    return oci.layer(folder / "layer.tar")


def code(place: str, folder: Path) -> oci.Layer:
    """Give what is in the folder, compiled, at this absolute path of the image.  Raises LabError as `wheels` does."""
    _version()
    parent = cache_folder()
    parent.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory(dir=parent, prefix=".code.") as scratch:
        root = Path(scratch) / "root"
        shutil.copytree(folder, root / place.lstrip("/"), ignore=shutil.ignore_patterns("__pycache__"))
        _compile(root)
        return images.kept(root)


def kept_asn1_modules(dockerfile: str) -> set[str]:
    """Those of pycrate's that its instructions do not delete."""
    return set(re.findall(r"! -name '(\w+)\.\*'", dockerfile))


def _leave_out_unused(packages: Path) -> None:
    """As images/edge-tools/Dockerfile does: most of pycrate's ASN.1 modules."""
    kept = kept_asn1_modules((ROOT / "images/edge-tools/Dockerfile").read_text())
    for path in (packages / "pycrate_asn1dir").glob("*.py"):
        if path.stem not in kept:
            path.unlink()


def _compile(root: Path) -> None:
    """A read-only root keeps no compiled file that Python makes at a start."""
    compileall.compile_dir(
        root,
        quiet=2,
        maxlevels=50,
        stripdir=str(root),
        invalidation_mode=py_compile.PycInvalidationMode.UNCHECKED_HASH,
    )


def _version() -> str:
    wanted = images.python_version()
    if sys.version_info[:2] != wanted:
        have = f"{sys.version_info.major}.{sys.version_info.minor}"
        need = ".".join(str(number) for number in wanted)
        raise LabError(f"the lab's images have Python {need}, this is {have}: make venv PYTHON=python{need}")
    return ".".join(str(number) for number in wanted)
