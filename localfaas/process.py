"""A gateway as a process of its own, for tests and demonstrations."""

import os
import shutil
import subprocess
import sys
import tempfile
import time
from collections.abc import Mapping, Sequence
from pathlib import Path
from types import TracebackType
from typing import Any, Self

import msgspec

from localfaas import state
from localfaas.client import Client
from localfaas.errors import NotRunningError, StartError


class Running(Client):
    """A gateway process: a Client of it (invoke, kill, logs, manage), and its end by close() or `with`.

    url, metrics_url: where it listens.  auth: (user, password) of /system/*.  pid: of the gateway process.
    state_dir: its state directory; gateway.log in it holds what the gateway wrote.
    """

    def __init__(self, process: subprocess.Popen[bytes], state_dir: Path, *, temporary: bool) -> None:
        found = state.find(state_dir)
        super().__init__(found.url, found.auth())
        self.metrics_url = found.metrics_url
        self.state_dir = state_dir
        self.pid = process.pid
        self._process = process
        self._temporary = temporary

    def close(self) -> int:
        """Stop the gateway and everything it started; return its exit code. A second call does nothing."""
        code = _stop(self._process)
        if self._temporary:
            shutil.rmtree(self.state_dir, ignore_errors=True)
        return code

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, _type: type[BaseException] | None, _error: BaseException | None, _trace: TracebackType | None
    ) -> None:
        self.close()


def _with_this_package() -> dict[str, str]:
    """Give our environment with this package importable, whatever made it importable here."""
    paths = [str(Path(__file__).resolve().parents[1]), os.environ.get("PYTHONPATH", "")]
    return {**os.environ, "PYTHONPATH": os.pathsep.join(path for path in paths if path)}


def _stop(process: subprocess.Popen[bytes]) -> int:
    if process.stdin is not None and not process.stdin.closed:
        process.stdin.close()
    process.terminate()
    try:
        return process.wait(timeout=60)
    except subprocess.TimeoutExpired:
        process.kill()
        return process.wait()


def running(
    stack: str | Path,
    *,
    replicas: Mapping[str, int] | None = None,
    workers: int = 1,
    env: Mapping[str, str] | None = None,
    secrets_dir: str | Path | None = None,
    edition: str = "ce",
    fault_plan: Mapping[str, Any] | str | Path | None = None,
    port: int = 0,
    state_dir: str | Path | None = None,
    basic_auth: tuple[str, str] | None = None,
    tickers: bool = False,
    options: Sequence[str] = (),
    ready_within_s: float = 120.0,
) -> Running:
    """Start `localfaas up` for a stack file and return when every function is ready:

        with running("stack.yml", replicas={"mme-uplink-nas": 2}, workers=4, env={"K": "V"}) as gateway:
            gateway.invoke("mme-enb", body).status
            gateway.kill("mme-uplink-nas")

    replicas: by function, others start with one.  workers: queue-worker replicas.  env: laid over every function's.
    secrets_dir: a file per secret.  fault_plan: a mapping or a file, see localfaas.faults.  port: 0 = a free one.
    state_dir: None = a temporary one, so that any number of gateways run side by side.
    basic_auth: (user, file with the password); None = user "admin" and a random one, in .auth.
    tickers: whether those of the stack file run, too; False, as most callers bring their own or want none.
    options: more arguments of `localfaas up`, e.g. ["--ack-wait", "1s"].
    The gateway ends with close(), with the `with` block, and when this process dies.
    Raises: StartError with the gateway's own words; whatever was started is stopped.
    """
    temporary = state_dir is None
    folder = Path(tempfile.mkdtemp(prefix="localfaas-state-")) if state_dir is None else Path(state_dir)
    folder.mkdir(parents=True, exist_ok=True)
    if isinstance(fault_plan, Mapping):
        plan = folder / "fault-plan.json"
        plan.write_bytes(msgspec.json.encode(fault_plan))
        fault_plan = plan
    command = [sys.executable, "-m", "localfaas", "up", "-f", str(stack), "--port", str(port), "--state", str(folder)]
    command += ["--workers", str(workers), "--edition", edition, "--stop-with-stdin"]
    command += [word for name, count in (replicas or {}).items() for word in ("--replicas", f"{name}={count}")]
    command += [word for name, value in (env or {}).items() for word in ("--env", f"{name}={value}")]
    if secrets_dir is not None:
        command += ["--secrets", str(secrets_dir)]
    if fault_plan is not None:
        command += ["--fault-plan", str(fault_plan)]
    if basic_auth is not None:
        command += ["--basic-auth", ":".join(basic_auth)]
    if not tickers:
        command.append("--no-tickers")
    command += options
    log = folder / "gateway.log"
    with log.open("wb") as output:
        process = subprocess.Popen(
            command, stdin=subprocess.PIPE, stdout=output, stderr=subprocess.STDOUT, env=_with_this_package()
        )
    try:
        give_up = time.monotonic() + ready_within_s
        while time.monotonic() < give_up:
            if process.poll() is not None:
                told = log.read_text(errors="replace").strip().removeprefix("localfaas: ")
                raise StartError(told or f"localfaas ended with {process.returncode}")
            try:
                return Running(process, folder, temporary=temporary)
            except NotRunningError:
                time.sleep(0.02)
        told = log.read_text(errors="replace").strip()
        cure = "its log is empty: it has not come to start anything, try again when the machine is less busy"
        raise StartError(f"localfaas is not ready after {ready_within_s:g} s; {told or cure}")
    except BaseException:
        _stop(process)
        if temporary:
            shutil.rmtree(folder, ignore_errors=True)
        raise
