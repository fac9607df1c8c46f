"""Build the images of stack.yml's functions and of edge-tools, or of another stack, and keep an inventory of each.

    python -m tools.images --registry registry.example:5000 --tag 1.2.0 --push
    python -m tools.images --only mme-enb --build-arg PYTHON_IMAGE=registry.example:5000/python:3.12
    python -m tools.images --registry registry.example:5000 --push --stack tests/contract/stack/stack.yml

Each is built from a folder of its own, build/images/NAME: for a function what `faas-cli build --shrinkwrap` makes.
Any builder with docker's command line does (--builder podman).  Inventories in build/inventories:
NAME.json of Python's packages, by pip; NAME.tsv of Debian's: package, version, architecture, source and its version.
"""

from __future__ import annotations

import argparse
import json
import os
import re
import shutil
import subprocess
import sys
import time
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from urllib.parse import urlsplit

from localfaas import buildtree, stack
from localfaas.errors import StackError

ROOT = Path(__file__).resolve().parents[1]
TOOLS = "edge-tools"
PLACEMENT = "placement"
BUILT = Path("build/images")
INVENTORIES = Path("build/inventories")
INVENTORY = "/home/app/inventory.json"
SYSTEM = "/home/app/system.tsv"
_BUILD_S = 1800
_SHORT_S = 600


class ImageError(Exception):
    """An image cannot be built; the text says what to do."""


@dataclass(frozen=True, slots=True)
class Image:
    """folder: with its Dockerfile and all that goes in.  reference: registry/name:tag.  arguments: of its own, K=V."""

    name: str
    folder: Path
    reference: str
    arguments: tuple[str, ...] = ()


def parser() -> argparse.ArgumentParser:
    """The command line."""
    p = argparse.ArgumentParser(
        prog="python -m tools.images",
        description=(__doc__ or "").partition("\n")[0],
        epilog="Build arguments: PYTHON_IMAGE and WATCHDOG_IMAGE name the base images, best by digest; PIP_OPTIONS, as "
        "--no-index with wheels in template/python3-flask-edge/wheels and images/edge-tools/wheels, where the builder "
        "reaches no index.",
    )
    p.add_argument("--registry", default="registry.edge.local:5000", help="host, and path if wanted (%(default)s)")
    p.add_argument("--tag", default="dev", help="(%(default)s)")
    p.add_argument(
        "--stack", type=Path, metavar="FILE", help="the functions of this file, and no edge-tools (default: stack.yml)"
    )
    p.add_argument("--only", action="append", metavar="NAME", help="only this image; repeatable (default: all)")
    p.add_argument("--build-arg", action="append", default=[], metavar="K=V", help="for the Dockerfile; repeatable")
    p.add_argument("--builder", default="docker", help="program with docker's command line (%(default)s)")
    p.add_argument("--push", action="store_true", help="push each once it is built")
    p.add_argument("--contexts-only", action="store_true", help="lay out build/images and build nothing")
    return p


def main(arguments: Sequence[str] | None = None) -> int:
    """Build -> exit status: 0, or 2 and one sentence."""
    options = parser().parse_args(arguments)
    try:
        every = laid_out(options.registry, options.tag, BUILT, options.stack)
        images = [image for image in every if _wanted(image, options.only)]
        if options.contexts_only:
            return 0
        builder = shutil.which(options.builder)
        if builder is None:
            raise ImageError(f"no {options.builder} on PATH: install one, or name another with --builder")
        for image in images:
            if image.name == PLACEMENT and not (image.folder / "function/helm").is_file():
                sys.stderr.write(
                    f"images: {PLACEMENT} gets no helm and will place nothing: `make placement-helm` first\n"
                )
        for number, image in enumerate(images, start=1):
            begun = time.monotonic()
            _say(f"[{number}/{len(images)}] {image.reference}")
            _build(builder, image, options.tag, options.build_arg)
            packages, debian = _inventory(builder, image)
            if options.push:
                _run([builder, "push", image.reference], _SHORT_S)
            _say(f"  {packages} Python packages, {debian} of Debian, {time.monotonic() - begun:.0f} s")
    except (ImageError, StackError) as e:
        sys.stderr.write(f"images: {e}\n")
        return 2
    return 0


def laid_out(registry: str, tag: str, into: Path, other: Path | None = None) -> list[Image]:
    """Make the folder of every image anew; of the first function, where several share one.  Raises StackError.

    other: a stack file whose functions are built instead of stack.yml's, and without edge-tools.
    """
    read = stack.load(other or ROOT / "stack.yml", {**os.environ, "REGISTRY": registry, "TAG": tag})
    first = {function.image: function for function in reversed(list(read.functions.values()))}
    images = [
        Image(
            function.name,
            buildtree.assemble(read, function, into).folder,
            function.image,
            tuple(f"{key}={value}" for key, value in function.build_args.items()),
        )
        for function in read.functions.values()
        if function is first[function.image]
    ]
    if other is not None:
        return images
    folder = into / TOOLS
    shutil.rmtree(folder, ignore_errors=True)
    compiled = shutil.ignore_patterns("__pycache__", "*.pyc")
    shutil.copytree(ROOT / "images" / TOOLS, folder, ignore=compiled)
    for package in (*read.copy, "edge"):
        shutil.copytree(ROOT / package, folder / "packages" / package, ignore=compiled)
    return [*images, Image(TOOLS, folder, f"{registry}/{TOOLS}:{tag}")]


def _wanted(image: Image, only: list[str] | None) -> bool:
    return only is None or image.name in only


def _build(builder: str, image: Image, tag: str, given: Sequence[str]) -> None:
    labels = [f"TITLE={image.name}", f"VERSION={tag}", f"REVISION={_revision()}", f"SOURCE={_source()}"]
    told = [*labels, *image.arguments, *given]
    arguments = [word for each in told for word in ("--build-arg", each)]
    _run([builder, "build", *arguments, "--tag", image.reference, str(image.folder)], _BUILD_S)


def _inventory(builder: str, image: Image) -> tuple[int, int]:
    """Take both out of the image; how many packages of Python's and of Debian's they name."""
    text, system = (_read(builder, image, path) for path in (INVENTORY, SYSTEM))
    try:
        installed = json.loads(text)["installed"]
    except (ValueError, KeyError) as e:
        raise ImageError(f"{image.reference}: {INVENTORY} in it is no inventory of pip's") from e
    INVENTORIES.mkdir(parents=True, exist_ok=True)
    (INVENTORIES / f"{image.name}.json").write_text(text)
    (INVENTORIES / f"{image.name}.tsv").write_text(system)
    return len(installed), len(system.splitlines())


def _read(builder: str, image: Image, path: str) -> str:
    argv = [builder, "run", "--rm", "--network", "none", "--entrypoint", "cat", image.reference, path]
    return _run(argv, _SHORT_S)


def _revision() -> str:
    return _git("rev-parse", "HEAD") or "unknown"


def _source() -> str:
    """Where the sources are, as a label tells it: see `address`."""
    return address(_git("remote", "get-url", "origin"))


def address(remote: str) -> str:
    """A repository's address on the web, of what git calls it; "" for a folder and whatever else is none.

    Without login and password, which a clone's own may hold.
    """
    if found := re.fullmatch(r"(?:[\w.-]+@)([\w.-]+):(?!/)([\w./~-]+)", remote):  # as scp takes it
        return f"https://{found[1]}/{found[2]}"
    try:
        told = urlsplit(remote)
        host, port = told.hostname, told.port
    except ValueError:
        return ""
    if not host or told.scheme not in ("http", "https", "ssh"):
        return ""
    if told.scheme == "ssh":  # its port is not that of the web
        return f"https://{host}{told.path}"
    return f"{told.scheme}://{host}{f':{port}' if port else ''}{told.path}"


def _git(*words: str) -> str:
    """What it says of this repository; "" where there is no git, or no repository."""
    git = shutil.which("git")
    if git is None:
        return ""
    argv = [git, "-C", str(ROOT), *words]
    return subprocess.run(argv, check=False, capture_output=True, text=True, timeout=30).stdout.strip()


def _run(argv: Sequence[str], within_s: float) -> str:
    """Its output.  Raises ImageError with the last of what it said."""
    try:
        done = subprocess.run(
            argv, check=False, capture_output=True, text=True, timeout=within_s, stdin=subprocess.DEVNULL
        )
    except subprocess.TimeoutExpired as e:
        raise ImageError(f"{Path(argv[0]).name} {argv[1]} is not done after {within_s:.0f} s") from e
    if done.returncode:
        said = " | ".join((done.stderr or done.stdout).strip().splitlines()[-3:])
        raise ImageError(f"{Path(argv[0]).name} {argv[1]} {argv[-1]} failed: {said}")
    return done.stdout


def _say(text: str) -> None:
    sys.stdout.write(text + "\n")
    sys.stdout.flush()


if __name__ == "__main__":
    sys.exit(main())
