"""A site on this machine: its secrets, subscribers and store under one folder, and the processes that serve it."""

from __future__ import annotations

import contextlib
import io
import os
import sys
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from types import MappingProxyType

from edge import cli as edge
from edge.secrets import add_empty
from laptop import programs
from localfaas.process import Running, running

ROOT = Path(__file__).resolve().parents[1]
FIRST_IMSI = "001010000000001"


@dataclass(frozen=True, slots=True)
class Site:
    """folder: where everything of the site lies.  store: URL of another store than the embedded one in that folder."""

    folder: Path
    store: str | None = None

    @property
    def secrets(self) -> Path:
        return self.folder / "secrets"

    @property
    def subscribers(self) -> Path:
        return self.folder / "subscribers.csv"

    @property
    def state(self) -> Path:
        """localfaas's own state: where `localfaas list`, `invoke` and `logs` look by default."""
        return self.folder

    @property
    def store_url(self) -> str:
        return self.store or f"sqlite:///{(self.folder / 'edge.db').resolve()}"

    def provision(self, subscribers: int, first_imsi: str = FIRST_IMSI) -> None:
        """Make what is missing: keys, subscribers from `first_imsi` on with random keys, their rows in the store."""
        self.folder.mkdir(parents=True, exist_ok=True)
        if not self.secrets.is_dir():
            _edge("secrets", "init", str(self.secrets))
        _edge("store", "migrate", "--store", self.store_url)
        add_empty(self.secrets)  # a site of an earlier version has fewer
        if not self.subscribers.is_file():
            count, start, out = str(subscribers), first_imsi, str(self.subscribers)
            _edge("subscribers", "generate", "--count", count, "--start-imsi", start, "--out", out)
            shared = ("--store", self.store_url, "--secrets", str(self.secrets))
            _edge("subscribers", "import", str(self.subscribers), *shared)

    @contextlib.contextmanager
    def serve(
        self,
        *,
        port: int = 8080,
        metrics_port: int | None = None,
        workers: int = 4,
        replicas: Mapping[str, int] | None = None,
        edition: str = "ce",
        settings: Mapping[str, str] | None = None,
        ticker: bool = True,
        ticker_options: Sequence[str] = (),
    ) -> Iterator[Running]:
        """localfaas with the functions of stack.yml, and the tickers, until the block ends.

        metrics_port: None = the gateway's own choice, 0 = a free one.  edition: whose limits the gateway keeps, see
        localfaas.  settings: laid over every function's environment, and for ${NAME} in stack.yml.  ticker_options:
        more of the ticker's arguments.
        Raises localfaas.errors.StartError.
        """
        environment = {"store_url": self.store_url, **(settings or {})}
        gateway = running(
            ROOT / "stack.yml",
            replicas=replicas,
            workers=workers,
            env=environment,
            secrets_dir=self.secrets,
            edition=edition,
            port=port,
            state_dir=self.state,
            options=() if metrics_port is None else ("--metrics-port", str(metrics_port)),
        )
        with gateway, contextlib.ExitStack() as stack:
            if ticker:
                stack.enter_context(
                    self._ticker("mme.ticker", "ticker.log", gateway.url, settings or {}, ticker_options)
                )
                stack.enter_context(self._ticker("placement.ticker", "placement-ticker.log", gateway.url))
            yield gateway

    @contextlib.contextmanager
    def _ticker(
        self,
        module: str,
        log_name: str,
        gateway: str,
        settings: Mapping[str, str] = MappingProxyType({}),
        options: Sequence[str] = (),
    ) -> Iterator[None]:
        command = [sys.executable, "-m", module, "--gateway", gateway, "--store", self.store_url, *options]
        environment = {**os.environ, **settings, "EDGE_SECRETS_DIR": str(self.secrets), "PYTHONPATH": str(ROOT)}
        log = self.folder / log_name
        log.unlink(missing_ok=True)
        with programs.running(command, log, environment=environment):
            yield


class ProvisioningError(Exception):
    """A step of provisioning failed; `edge` has said why."""


def _edge(*arguments: str) -> None:
    with contextlib.redirect_stdout(io.StringIO()):
        status = edge.main(arguments)
    if status:
        raise ProvisioningError(f"edge {' '.join(arguments[:2])} failed")
