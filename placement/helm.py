"""Runs helm: by argv, in a directory of its own that is gone afterwards, for a bounded time, and never unwatched."""

from __future__ import annotations

import base64
import contextlib
import json
import os
import select
import shutil
import signal
import stat
import subprocess
import tempfile
import threading
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path

from placement import metrics, pacing
from placement.errors import Code, NotNowError, PlacementError
from placement.pacing import Share
from placement.plan import REGISTRY_CONFIG

TERM_GRACE_S = 0.8
"""Helm marks an interrupted release as failed when it gets SIGTERM; then it is killed."""
MAX_OUTPUT_OCTETS = 8 << 20
POLL_S = 0.02
LOOK_S = 0.08
"""How often the kernel is asked what a run has had: each thread is a file."""
TURN_WAIT_S = 0.5
TURN_SOON_S = 0.3
"""When to ask again for helm while another operation has it."""
NICE = 10
"""A tenth of a usual share where all cores are wanted: less, and a run of 0.2 s would not end in its time."""
_PREFIX = "placement-helm-"


@dataclass(frozen=True, slots=True)
class Registry:
    """How to reach one chart registry.  host: with its port.  authority: PEM, "" = those that the system trusts."""

    host: str
    username: str = ""
    password: str = field(default="", repr=False)
    plain_http: bool = False
    authority: str = ""


@dataclass(frozen=True, slots=True)
class Ran:
    """How a run ended.  stopped: None = helm ended by itself, else why it was stopped.

    starved: it had hardly a processor (placement.pacing).
    """

    exit_code: int
    stdout: str = field(repr=False)
    stderr: str = field(repr=False)
    seconds: float
    stopped: Code | None = None
    starved: bool = False


class Keepalive:
    """Renews something while helm lives, in a thread of its own.

    renew: raises PlacementError.  lease_lost ends it at once; any other failure when nothing succeeded for
    patience_s, which must be shorter than the lease, so that helm is dead before another may begin.
    since: when it was written first, by the monotonic clock.
    """

    def __init__(self, renew: Callable[[], None], *, since: float, every_s: float, patience_s: float) -> None:
        self.lost = threading.Event()
        self._renew = renew
        self._every_s = every_s
        self._patience_s = patience_s
        self._stop = threading.Event()
        self._good = since
        self._thread = threading.Thread(target=self._run, name="lease", daemon=True)

    def __enter__(self) -> Keepalive:
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._stop.set()
        self._thread.join()

    def is_lost(self) -> bool:
        """Whether helm must be stopped now: a renewal that hangs counts as one that failed."""
        return self.lost.is_set() or time.monotonic() - self._good > self._patience_s

    def _run(self) -> None:
        while not self._stop.wait(self._every_s):
            begun = time.monotonic()
            try:
                self._renew()
            except PlacementError as e:
                if e.code is Code.LEASE_LOST:
                    self.lost.set()
                    return
            else:
                self._good = begun


class Helm:
    """The helm binary, one run at a time: beside other functions on few cores, more would only be slower.

    folder: where the runs' directories are made, None = the system's place for temporary files.
    """

    def __init__(self, binary: str = "helm", *, folder: Path | None = None) -> None:
        self._binary = binary
        self._folder = folder
        self._turn = threading.Lock()
        self._rests_until = 0.0

    def free_in_s(self) -> float:
        """In how many seconds to ask again, 0 = helm is free: who has to wait does it before anything is done for it.

        After a run that others' work kept waiting it rests (placement.pacing), for all who can come again; a caller who
        waits for the answer takes its turn all the same.
        """
        return TURN_SOON_S if self._turn.locked() else max(0.0, self._rests_until - time.monotonic())

    @contextmanager
    def turn(self) -> Iterator[Turn]:
        """Be the one who runs helm.  Raises NotNowError: somebody else was, for TURN_WAIT_S or until a rest began."""
        self._take_turn()
        turn = Turn(self._binary, self._folder)
        try:
            yield turn
        finally:
            self._rests_until = time.monotonic() + turn.rest_s
            metrics.HELM_REST_SECONDS.observe(turn.rest_s)
            self._turn.release()

    def _take_turn(self) -> None:
        if self._turn.acquire(blocking=False):
            return
        if not self._turn.acquire(timeout=TURN_WAIT_S):
            raise NotNowError
        if time.monotonic() < self._rests_until:
            # Who came when the last rest was over comes in a crowd, and they would run with no rest between them.
            self._turn.release()
            raise NotNowError


class Turn:
    """What may run helm: see `Helm.turn`.  rest_s: how long nobody should, afterwards."""

    def __init__(self, binary: str, folder: Path | None) -> None:
        self.rest_s = 0.0
        self._binary = binary
        self._folder = folder

    def run(
        self,
        argv: tuple[str, ...],
        files: Mapping[str, str],
        *,
        timeout_s: float,
        keepalive: Keepalive | None = None,
    ) -> Ran:
        """Run `helm ARGV` with these files (mode 0600) in its directory.  Raises PlacementError configuration.

        After timeout_s, or when keepalive is lost: SIGTERM, TERM_GRACE_S later SIGKILL, for the whole process group.
        """
        binary = shutil.which(self._binary)
        if binary is None:
            raise PlacementError(Code.CONFIGURATION, f"There is no helm at {self._binary!r} (setting helm_binary).")
        with tempfile.TemporaryDirectory(prefix=f"{_PREFIX}{os.getpid()}-", dir=self._folder) as name:
            folder = Path(name)
            for file, text in files.items():
                _write_private(folder / file, text)
            with (folder / "stdout").open("wb") as out, (folder / "stderr").open("wb") as err:
                begun = time.monotonic()
                process = subprocess.Popen(
                    [*_dies_with_us(), *_yields(), binary, *argv],
                    cwd=folder,
                    env=_environment(folder, _discovery_cache(self._folder)),
                    stdin=subprocess.DEVNULL,
                    stdout=out,
                    stderr=err,
                    start_new_session=True,
                )
                _yield_as_a_session(process.pid)
                try:
                    stopped, share = _watch(process, begun + timeout_s, keepalive)
                    self.rest_s = max(self.rest_s, pacing.rest_s(share))
                finally:
                    _kill(process, signal.SIGKILL)
                    process.wait()
            seconds = time.monotonic() - begun
            said, wrong = _read(folder / "stdout"), _read(folder / "stderr")
            return Ran(process.returncode, said, wrong, seconds, stopped, pacing.is_starved(share, seconds))


def _watch(process: subprocess.Popen[bytes], give_up: float, keepalive: Keepalive | None) -> tuple[Code | None, Share]:
    """Why it was stopped, None = it ended by itself; and what it had of the processors until shortly before."""
    share = Share()
    next_look = 0.0
    while not _has_ended(process, POLL_S):
        if time.monotonic() >= next_look:
            # One that is ending has lost threads, and what they had.
            share = max(share, pacing.share_of(process.pid), key=lambda found: found.ran_s)
            next_look = time.monotonic() + LOOK_S
        lost = keepalive is not None and keepalive.is_lost()
        if lost or time.monotonic() > give_up:
            _kill(process, signal.SIGTERM)
            with contextlib.suppress(subprocess.TimeoutExpired):
                process.wait(timeout=TERM_GRACE_S)
            return (Code.LEASE_LOST if lost else Code.TIMEOUT), share
    return None, share


def _has_ended(process: subprocess.Popen[bytes], within_s: float) -> bool:
    """Told by the kernel at once: `wait` with a timeout sleeps and looks, which costs a placement milliseconds."""
    descriptor = os.pidfd_open(process.pid)
    try:
        is_over, _, _ = select.select([descriptor], [], [], within_s)
    finally:
        os.close(descriptor)
    if is_over:
        process.wait()
    return bool(is_over)


def _kill(process: subprocess.Popen[bytes], number: signal.Signals) -> None:
    try:
        os.killpg(process.pid, number)
    except ProcessLookupError:
        return


def _dies_with_us() -> list[str]:
    """A killed function must not leave a helm behind that nobody renews a lease for (util-linux; part of the image)."""
    setpriv = shutil.which("setpriv")
    return [setpriv, "--pdeathsig", "KILL", "--"] if setpriv else []


def _yields() -> list[str]:
    """Others' messages have milliseconds, a placement has seconds: where cores are short, helm waits (coreutils)."""
    nice = shutil.which("nice")
    return [nice, "-n", str(NICE)] if nice else []


def _yield_as_a_session(session: int) -> None:
    """Where Linux shares processors out among sessions (sched_autogroup_enabled), `nice` only counts within one."""
    with contextlib.suppress(OSError):
        Path(f"/proc/{session}/autogroup").write_text(str(NICE), "ascii")


def _discovery_cache(folder: Path | None) -> Path | None:
    """What kinds the clusters know, kept between runs: half of a small install's time would go into asking again.

    One directory per user, which holds nothing secret; None = somebody else has one of that name there.
    """
    path = Path(folder or tempfile.gettempdir()) / f"edge-kube-cache-{os.getuid()}"
    try:
        path.mkdir(mode=0o700, exist_ok=True)
        found = path.lstat()
    except OSError:
        return None
    return path if stat.S_ISDIR(found.st_mode) and found.st_uid == os.getuid() else None


def _environment(folder: Path, cache: Path | None) -> dict[str, str]:
    """Nothing of the function's own environment but the path."""
    home = str(folder)
    return ({"KUBECACHEDIR": str(cache)} if cache else {}) | {
        "PATH": os.environ.get("PATH", os.defpath),
        "HOME": home,
        "TMPDIR": home,
        "HELM_CACHE_HOME": f"{home}/cache",
        "HELM_CONFIG_HOME": f"{home}/config",
        "HELM_DATA_HOME": f"{home}/data",
        "HELM_DRIVER": "secret",
        "GOMAXPROCS": "1",  # or its garbage collector takes every core for a moment
        "NO_PROXY": "*",
    }


def _write_private(path: Path, text: str) -> None:
    with os.fdopen(os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600), "w", encoding="utf-8") as file:
        file.write(text)


def _read(path: Path) -> str:
    with path.open("rb") as file:
        return file.read(MAX_OUTPUT_OCTETS).decode(errors="replace")


def registry_files(registry: Registry | None) -> dict[str, str]:
    """What helm is told of the registry, as a file: no password is ever an argument."""
    config: dict[str, object] = {}
    if registry is not None and registry.username:
        basic = base64.b64encode(f"{registry.username}:{registry.password}".encode()).decode()
        config = {"auths": {registry.host: {"auth": basic}}}
    files = {REGISTRY_CONFIG: json.dumps(config)}
    if registry is not None and registry.authority:
        files[CA_FILE] = registry.authority
    return files


def registry_flags(registry: Registry | None) -> tuple[str, ...]:
    """What helm is told of the registry by its arguments; the file is one of `registry_files`."""
    if registry is None:
        return ()
    if registry.plain_http:
        return ("--plain-http",)
    return ("--ca-file", CA_FILE) if registry.authority else ()


CA_FILE = "registry-ca.pem"


def remove_left_over(folder: Path | None = None) -> int:
    """Remove directories of runs whose function was killed; how many.  To be called before this process runs helm."""
    removed = 0
    for path in Path(folder or tempfile.gettempdir()).glob(f"{_PREFIX}*"):
        if path.is_dir() and not _may_be_in_use(path.name):
            shutil.rmtree(path, ignore_errors=True)
            removed += 1
    return removed


def _may_be_in_use(name: str) -> bool:
    """Whether the process that made it may live.  One of our own number was another, in a container started again."""
    owner = name.removeprefix(_PREFIX).partition("-")[0]
    if not owner.isdecimal() or int(owner) == os.getpid():
        return False
    try:
        os.kill(int(owner), 0)
    except ProcessLookupError:
        return False
    except PermissionError:
        return True
    return True
