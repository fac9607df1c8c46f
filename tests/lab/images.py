"""Images for the lab's pods, made of Debian packages and files without a container engine, and cached by content."""

from __future__ import annotations

import hashlib
import os
import shutil
import tempfile
from collections.abc import Mapping, Sequence
from pathlib import Path

from tests.lab import artefacts, oci
from tests.lab.artefacts import COREDNS, NODE, PAUSE, PROMETHEUS, GoPrograms, debian_release
from tests.lab.errors import LabError
from tests.lab.plan import cache_folder
from tests.lab.run import run

_INSTALL = Path(__file__).with_name("install_packages.sh")
_PRIVATE = ["unshare", "--mount", "--propagation=private", "--pid", "--fork", "--kill-child"]
_RECIPE = "1"  # raise it when the Debian base is made in another way, so that nobody uses a cached old one

Files = Mapping[str, str | bytes | Path]


def build(
    name: str,
    *,
    packages: Sequence[str] = (),
    layers: Sequence[oci.Layer] = (),
    files: Files | None = None,
    entrypoint: Sequence[str] = (),
    command: Sequence[str] = (),
    environment: Mapping[str, str] | None = None,
    user: str = "",
    folder: str = "/",
    from_scratch: bool = False,
) -> oci.Image:
    """Give an image of Debian (minimal, with python3), these packages and these files; made once, then from the cache.

    files: absolute path in the image -> text or bytes (executable when they begin with "#!"), or a file or folder of
    this machine to copy.  layers: over the packages, below the files.  from_scratch: no Debian below, for static
    programs.  `oci.push` publishes it.
    Raises LabError when a package cannot be had.
    """
    all_layers: list[oci.Layer] = []
    if not from_scratch:
        all_layers.append(_base())
    if packages:
        all_layers.append(_packages(packages))
    all_layers += layers
    if files:
        all_layers.append(_files(files))
    return oci.Image(name, all_layers, entrypoint, command, environment or {}, user, folder)


def pause() -> oci.Image:
    """Hold a pod's namespaces."""
    return _static("pause", PAUSE, "pause")


def coredns() -> oci.Image:
    """Answer the cluster's DNS."""
    return _static("coredns", COREDNS, "coredns")


def debian() -> oci.Image:
    """Stay running until it is told to end, with python3 and a shell at hand."""
    return build("debian", entrypoint=["/bin/sleep", "infinity"])


def nginx() -> oci.Image:
    """Serve port 80 with Debian's default page."""
    return build("nginx", packages=["nginx-light"], entrypoint=["/usr/sbin/nginx", "-g", "daemon off;"])


def prometheus() -> oci.Image:
    """Prometheus with service discovery in Kubernetes, which Debian's lacks; its words are the pod's."""
    artefacts.provide((PROMETHEUS,))
    # Where its own image has it: at /prometheus is the volume.
    program = {"/bin/prometheus": artefacts.program(PROMETHEUS, "prometheus")}
    return build("prometheus", files=program, entrypoint=list(program), from_scratch=True)


def alertmanager() -> oci.Image:
    """Debian's Alertmanager; its words are the pod's."""
    return build("alertmanager", packages=["prometheus-alertmanager"], entrypoint=["/usr/bin/prometheus-alertmanager"])


def freediameter() -> oci.Image:
    """Run Debian's freeDiameter daemon on /etc/freeDiameter/freeDiameter.conf, which a ConfigMap has to bring."""
    return build(
        "freediameter",
        packages=["freediameter", "freediameter-extensions"],
        entrypoint=["/usr/bin/freeDiameterd", "-c", "/etc/freeDiameter/freeDiameter.conf"],
    )


def _static(name: str, artefact: GoPrograms, program: str, *words: str) -> oci.Image:
    artefacts.provide((artefact,))
    return build(
        name,
        files={f"/{program}": artefacts.program(artefact, program)},
        entrypoint=[f"/{program}", *words],
        from_scratch=True,
    )


def _layer(kind: str, key: str) -> Path:
    return cache_folder() / f"layer-{kind}-{hashlib.sha256(f'{_RECIPE} {key}'.encode()).hexdigest()[:16]}"


def python_version() -> tuple[int, int]:
    """The Python of the Debian base, as sys.version_info begins."""
    (found,) = (_base_folder() / "root/usr/bin").glob("python3.[0-9]*[0-9]")
    major, minor = found.name.removeprefix("python").split(".")
    return int(major), int(minor)


def _base() -> oci.Layer:
    return oci.layer(_base_folder() / "layer.tar")


def _base_folder() -> Path:
    """Give the folder with the base's unpacked root file system (`root`) and its layer (`layer.tar`)."""
    target = _layer("debian", debian_release())
    artefacts.once(target, "building the Debian base image", _make_base, "1 min")
    return target


def _make_base(into: Path) -> None:
    artefacts.provide((NODE,))
    tool = artefacts.folder(NODE)
    root = into / "root"
    script = tool / "usr/sbin/debootstrap"
    run(
        [*_PRIVATE, "sh", script, "--variant=minbase", "--include=python3", debian_release(), root, _mirror()],
        env={"DEBOOTSTRAP_DIR": str(tool / "usr/share/debootstrap")},
        timeout_s=1200,
        cure="does this machine reach its Debian mirror?",
    )
    for folder in ("var/cache/apt", "var/lib/apt/lists", "var/log", "usr/share/doc", "usr/share/man"):
        shutil.rmtree(root / folder)
        (root / folder).mkdir()
    shutil.rmtree(root / "usr/share/locale")
    (root / "etc/resolv.conf").write_text("")
    (root / "etc/hostname").unlink(missing_ok=True)
    (root / "etc/dpkg/dpkg.cfg.d/lab").write_text(
        "path-exclude=/usr/share/doc/*\npath-exclude=/usr/share/man/*\npath-exclude=/usr/share/locale/*\n"
    )
    refusal = root / "usr/sbin/policy-rc.d"
    refusal.write_text("#!/bin/sh\nexit 101\n")
    refusal.chmod(0o755)
    oci.pack(root, into / "layer.tar")


def _packages(packages: Sequence[str]) -> oci.Layer:
    wanted = sorted(packages)
    base = _base_folder()

    def make(into: Path) -> None:
        upper = into / "root"
        with tempfile.TemporaryDirectory(dir=into.parent, prefix=".overlay.") as scratch:
            work, mounted = Path(scratch) / "work", Path(scratch) / "mounted"
            for folder in (upper, work, mounted):
                folder.mkdir()
            run(["apt-get", "update", "-q"], cure="does this machine reach its Debian mirror?")
            run(
                [*_PRIVATE, "sh", _INSTALL, base / "root", upper, work, mounted, *wanted],
                timeout_s=1200,
                cure=f"does Debian {debian_release()} have these packages?",
            )
        oci.pack(upper, into / "layer.tar")
        shutil.rmtree(upper)

    target = _layer("packages", " ".join([base.name, _INSTALL.read_text(), *wanted]))
    artefacts.once(target, f"installing {' '.join(wanted)} into an image", make, "20 s")
    return oci.layer(target / "layer.tar")


def _files(files: Files) -> oci.Layer:
    """Pack the files; their layer is made each time (it is small) and kept under its own digest."""
    parent = cache_folder()
    parent.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory(dir=parent, prefix=".files.") as scratch:
        root = Path(scratch) / "root"
        root.mkdir()
        for name, content in files.items():
            _place(root / name.lstrip("/"), content)
        return kept(root)


def kept(root: Path) -> oci.Layer:
    """Pack this folder and keep the layer in the cache, under its own digest."""
    parent = cache_folder()
    for path in [root, *root.rglob("*")]:
        # When a file was made says nothing about its content, and would give the same content another tag.
        os.utime(path, (0, 0), follow_symlinks=False)
    with tempfile.TemporaryDirectory(dir=parent, prefix=".layer.") as scratch:
        made = oci.pack(root, Path(scratch) / "layer.tar")
        target = parent / f"layer-files-{made.digest.removeprefix('sha256:')[:16]}" / "layer.tar"
        if not target.exists():
            target.parent.mkdir(exist_ok=True)
            made.path.rename(target)
    return oci.Layer(target, made.digest, made.size)


def _place(target: Path, content: str | bytes | Path) -> None:
    target.parent.mkdir(parents=True, exist_ok=True)
    if isinstance(content, Path):
        if content.is_dir():
            shutil.copytree(content, target, ignore=shutil.ignore_patterns("__pycache__"), dirs_exist_ok=True)
        else:
            shutil.copy(content, target)
        return
    data = content.encode() if isinstance(content, str) else content
    target.write_bytes(data)
    target.chmod(0o755 if data.startswith(b"#!") else 0o644)


def _mirror() -> str:
    """Give the mirror that this machine's own apt uses for its release."""
    lines = run(["apt-get", "indextargets", "--format", "$(CODENAME) $(COMPONENT) $(REPO_URI)", "Created-By: Packages"])
    for line in lines.splitlines():
        codename, component, address = line.split(" ", 2)
        if codename == debian_release() and component == "main":
            return address
    raise LabError(
        f"this machine's apt has no source for Debian {debian_release()} main: look at /etc/apt/sources.list*"
    )
