"""Functions' processes: started, watched, replaced, drained."""

import asyncio
import contextlib
import ctypes
import os
import random
import secrets
import shlex
import signal
import sys
import time
from collections.abc import Callable, Coroutine, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from localfaas.buildtree import BuildTree
from localfaas.functionlogs import FunctionLog, capture

_INHERITED = (
    "PATH",
    "HOME",
    "LANG",
    "LC_ALL",
    "TZ",
    "TMPDIR",
    "SSL_CERT_FILE",
    "VIRTUAL_ENV",
    "COVERAGE_PROCESS_START",
)
"""A container has an environment of its own; only what Python needs on this machine is passed on."""

_RESTART_DELAYS_S = (0.0, 0.1, 0.5, 2.0, 5.0)
"""Before the 1st, 2nd ... restart of a replica that never became ready; the last one repeats. A replica that had been
ready is started again at once."""


def die_with_parent() -> Callable[[], None] | None:
    """Give a hook that has the kernel end a child whose gateway was killed (Linux; elsewhere None)."""
    if not sys.platform.startswith("linux"):
        return None
    # Loaded before the fork: after it only the call itself is safe.
    prctl = ctypes.CDLL(None, use_errno=True).prctl
    pr_set_pdeathsig = 1
    return lambda: prctl(pr_set_pdeathsig, signal.SIGKILL)


@dataclass(frozen=True, slots=True)
class Launch:
    """How the replicas of one function are started."""

    function: str
    tree: BuildTree
    env: Mapping[str, str]
    secrets_folder: Path
    lock_folder: Path
    start_timeout_s: float
    drain_s: float

    def argv(self) -> list[str]:
        """Give the command, with our own interpreter for "python"."""
        words = shlex.split(self.tree.fprocess)
        if words[0] in ("python", "python3"):
            words[0] = sys.executable
        return words

    def environment(self, instance: str, lock: Path) -> dict[str, str]:
        """Give the process's whole environment: a few of ours, what the image sets, the function's, the replica's."""
        return {
            **self._shared(),
            "DRAIN_TIMEOUT_S": str(self.drain_s),
            **self.env,
            "EDGE_SECRETS_DIR": str(self.secrets_folder),
            "HOSTNAME": instance,
            "OPENFAAS_NAME": self.function,
            "PORT": "0",
            "READY_LOCK": str(lock),
        }

    def beside(self) -> dict[str, str]:
        """Give the environment of a program beside the function, with its code, settings, secrets and store."""
        store = {"STORE_URL": self.env["store_url"]} if "store_url" in self.env else {}
        return {**self._shared(), **self.env, **store, "EDGE_SECRETS_DIR": str(self.secrets_folder)}

    def _shared(self) -> dict[str, str]:
        return {
            **{name: os.environ[name] for name in _INHERITED if name in os.environ},
            "PYTHONPATH": str(self.tree.function_folder),
            "PYTHONUNBUFFERED": "1",
        }


class Replica:
    """One process of a function, and its successors when it dies: what a pod is to its container.

    instance: its name, also HOSTNAME inside.  port: where it listens, 0 while not ready.  in_flight: calls it holds.
    """

    def __init__(self, launch: Launch, log: FunctionLog) -> None:
        self.launch = launch
        self.instance = f"{launch.function}-{secrets.token_hex(4)}"
        self.port = 0
        self.in_flight = 0
        self.starts = 0
        self.first_ready = asyncio.Event()
        self.process: asyncio.subprocess.Process | None = None
        self._log = log
        self._idle = asyncio.Event()
        self._idle.set()
        self._output: asyncio.Task[None] | None = None

    @property
    def ready(self) -> bool:
        """Whether calls may be sent to it."""
        return self.port != 0

    @property
    def alive(self) -> bool:
        """Whether its process runs."""
        return self.process is not None and self.process.returncode is None

    def enter(self) -> None:
        """Count a call in."""
        self.in_flight += 1
        self._idle.clear()

    def leave(self) -> None:
        """Count a call out."""
        self.in_flight -= 1
        if self.in_flight == 0:
            self._idle.set()

    async def start(self) -> bool:
        """Start the process and wait until it serves; False when it died or took too long (then it is killed)."""
        self.starts += 1
        lock = self.launch.lock_folder / f"{self.instance}-{self.starts}.lock"
        self.process = process = await asyncio.create_subprocess_exec(
            *self.launch.argv(),
            cwd=self.launch.tree.folder,
            env=self.launch.environment(self.instance, lock),
            stdin=asyncio.subprocess.DEVNULL,
            stdout=asyncio.subprocess.PIPE,
            stderr=asyncio.subprocess.STDOUT,
            start_new_session=True,  # Ctrl-C in the terminal is for the gateway, which drains them
            preexec_fn=die_with_parent(),
        )
        if process.stdout is None:
            raise AssertionError("the output is a pipe")
        self._output = asyncio.create_task(capture(process.stdout, self.instance, self._log))
        give_up = time.monotonic() + self.launch.start_timeout_s
        while process.returncode is None and time.monotonic() < give_up:
            with contextlib.suppress(FileNotFoundError, ConnectionError):
                port = int(lock.read_text())
                _, writer = await asyncio.open_connection("127.0.0.1", port)
                writer.close()
                self.port = port
                self.first_ready.set()
                return True
            await asyncio.sleep(0.02)
        if process.returncode is None:
            self._log.add(self.instance, f"localfaas: not ready after {self.launch.start_timeout_s:g} s, killed")
            self.kill()
            await self.ended()
        return False

    async def ended(self) -> int:
        """Wait for the process's end and the last of its output; return its exit code (-N: signal N)."""
        if self.process is None or self._output is None:
            raise AssertionError("never started")
        code = await self.process.wait()
        self.port = 0
        # Shielded: who waits here may be cancelled, the reading of the last lines must not be.
        await asyncio.shield(self._output)
        return code

    def kill(self) -> None:
        """End the process without notice, as a lost node would."""
        self.port = 0
        if self.alive and self.process is not None:
            self.process.kill()

    async def stop(self) -> None:
        """Take it out, let the calls it holds finish for drain_s at most, and end the process."""
        self.port = 0
        process = self.process
        if process is None:
            return
        if process.returncode is None:
            with contextlib.suppress(TimeoutError):
                await asyncio.wait_for(self._idle.wait(), self.launch.drain_s)
        if process.returncode is None:
            process.terminate()
            try:
                # Its own drain has the same limit; the rest is for leaving.
                await asyncio.wait_for(process.wait(), self.launch.drain_s + 2)
            except TimeoutError:
                process.kill()
        await self.ended()


class ReplicaSet:
    """The replicas of one function. desired: how many there should be; changed: set when a replica becomes ready.

    launch: how the next one is started.
    """

    def __init__(self, launch: Launch, log: FunctionLog, starts: asyncio.Semaphore) -> None:
        self.desired = 0
        self.log = log
        self.replicas: list[Replica] = []
        self.changed = asyncio.Condition()
        self.launch = launch
        self._starts = starts
        self._keepers: dict[Replica, asyncio.Task[None]] = {}
        self._background: set[asyncio.Task[None]] = set()
        self._rolling: asyncio.Task[None] | None = None

    def ready(self) -> list[Replica]:
        """List the replicas that calls may be sent to."""
        return [replica for replica in self.replicas if replica.port]

    def pick(self) -> Replica | None:
        """Pick a ready replica at random, as the provider does; None when there is none."""
        ready = self.ready()
        return random.choice(ready) if ready else None

    async def wait_ready(self, count: int = 1) -> None:
        """Wait until at least `count` replicas are ready."""
        async with self.changed:
            await self.changed.wait_for(lambda: len(self.ready()) >= count)

    def scale(self, desired: int) -> None:
        """Set how many there should be; processes follow in the background."""
        self.desired = desired
        if self._rolling is None:
            self._reconcile()

    def update(self, launch: Launch) -> None:
        """Replace the replicas one by one, each new one ready before an old one goes (maxSurge 1, maxUnavailable 0)."""
        self.launch = launch
        if self._rolling is not None:
            self._rolling.cancel()
        self._rolling = asyncio.create_task(self._roll(launch))

    async def close(self) -> None:
        """Stop all of them, in parallel."""
        if self._rolling is not None:
            self._rolling.cancel()
            self._rolling = None
        self.desired = 0
        self._reconcile()
        while self._background:
            await asyncio.gather(*self._background)

    def _reconcile(self) -> None:
        while len(self.replicas) < self.desired:
            self._add()
        while len(self.replicas) > self.desired:
            # Kubernetes' order: those that are not ready first, then the youngest.
            waiting = [replica for replica in self.replicas if not replica.ready]
            self._retire((waiting or self.replicas)[-1])

    def _add(self) -> Replica:
        replica = Replica(self.launch, self.log)
        self.replicas.append(replica)
        self._keepers[replica] = asyncio.create_task(self._keep(replica))
        return replica

    def _retire(self, replica: Replica) -> None:
        self.replicas.remove(replica)
        keeper = self._keepers.pop(replica)
        keeper.cancel()
        self._spawn(self._end(replica, keeper))

    async def _end(self, replica: Replica, keeper: asyncio.Task[None]) -> None:
        await asyncio.gather(keeper, return_exceptions=True)
        await replica.stop()

    async def _keep(self, replica: Replica) -> None:
        """Keep a process running behind the replica for as long as it is wanted."""
        failures = 0
        while True:
            async with self._starts:
                ready = await replica.start()
            if ready:
                failures = 0
                async with self.changed:
                    self.changed.notify_all()
            else:
                failures += 1
            code = await replica.ended()
            self.log.add(replica.instance, f"localfaas: process ended with {code}, starting another")
            await asyncio.sleep(_RESTART_DELAYS_S[min(failures, len(_RESTART_DELAYS_S) - 1)])

    async def _roll(self, launch: Launch) -> None:
        for old in [replica for replica in self.replicas if replica.launch is not launch]:
            if len(self.replicas) <= self.desired:
                await self._add().first_ready.wait()
            if old in self.replicas:
                self._retire(old)
        self._rolling = None
        self._reconcile()

    def _spawn(self, work: Coroutine[Any, Any, None]) -> None:
        task = asyncio.create_task(work)
        self._background.add(task)
        task.add_done_callback(self._background.discard)
