"""What a gateway is started with: values only."""

import os
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path

from localfaas.faults import FaultPlan

NAMESPACE = "openfaas-fn"
MAX_ASYNC_BODY_BYTES = 256_000


@dataclass(frozen=True, slots=True)
class Edition:
    """Limits of one OpenFaaS edition. Source: contract sections 0, 4 and 5."""

    name: str
    max_replicas: int
    """Cap of the scale API, of the alert handler and of the provider."""
    default_factor: int
    """Scaling step in percent of the maximum, where com.openfaas.scale.factor is absent."""
    max_functions: int | None
    refuses_pro_labels: bool
    """Whether a deploy with labels of the paid edition, or a scale.max over the cap, is refused."""


EDITIONS = {
    "ce": Edition("ce", max_replicas=5, default_factor=10, max_functions=15, refuses_pro_labels=True),
    "classic": Edition("classic", max_replicas=20, default_factor=20, max_functions=None, refuses_pro_labels=False),
}


@dataclass(frozen=True, slots=True)
class Options:
    """Options of one gateway; defaults are those of OpenFaaS's code or chart. Times in seconds."""

    stack: Path
    host: str = "127.0.0.1"
    port: int = 8080
    """0 = pick a free one."""
    metrics_port: int | None = None
    """None = 0 if port is 0, else port + 2, which makes 8082 of 8080; 0 = pick a free one."""
    edition: Edition = EDITIONS["ce"]
    replicas: Mapping[str, int] = field(default_factory=dict)
    """Replicas at the start by function; others begin with com.openfaas.scale.min or 1."""
    workers: int = 1
    """queue-worker replicas, each with one call in flight."""
    env: Mapping[str, str] = field(default_factory=dict)
    """Laid over every function's environment, and over ours for ${VAR} in stack.yml."""
    secrets_dir: Path | None = None
    work_dir: Path | None = None
    """Where build trees, locks and secrets of this run live; None = a temporary folder, removed at the end."""
    basic_auth: tuple[str, str] | None = None
    """(user, password) for /system/* and /ui/; None = open."""
    scale_from_zero: bool = True
    upstream_timeout_s: float = 60.0
    """Gateway's limit for one call of a function: 502."""
    provider_timeout_s: float = 65.0
    """Provider's read_timeout: 500 "Can't reach service"."""
    write_timeout_s: float = 65.0
    """Gateway's write_timeout: a call held for want of a ready replica loses its connection."""
    ack_wait_s: float = 60.0
    start_timeout_s: float = 60.0
    """How long a replica may take to become ready before it is started anew."""
    drain_s: float = 20.0
    """How long a replica that is scaled down may go on with the calls it holds."""
    parallel_starts: int = field(default_factory=lambda: os.cpu_count() or 2)
    """Cold starts are CPU; more at once than cores only makes the first ready one late."""
    tickers: bool = False
    """Whether programs that annotations name run beside the functions (localfaas.tickers)."""
    faults: FaultPlan = field(default_factory=FaultPlan)
