"""What every section works with: a site of its own, subscribers not used before, and progress on the terminal."""

from __future__ import annotations

import asyncio
import contextlib
import sys
import tempfile
import time
from collections.abc import Iterator
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any
from unittest import mock

from bench.database import Database
from enb_app import attach as attach_module
from enb_app.attach import attach
from enb_app.exchange import Answer, Exchange
from enb_app.options import AttachOptions
from enb_app.result import Result
from laptop import elsewhere
from laptop.site import Site
from localfaas.client import Client
from localfaas.remote import Remote
from mme.codec.envelope import Cost, Item


@dataclass(frozen=True, slots=True)
class Sizes:
    """Of the sections on Cassandra.  rows: there when `operations` of each kind are timed, ascending.

    resident: UE contexts there when `attaches` are timed, ascending.
    """

    operations: int = 10_000
    rows: tuple[int, ...] = (0, 50_000, 100_000, 200_000)
    resident: tuple[int, ...] = (1_000, 10_000, 100_000, 1_000_000)
    attaches: int = 60


QUICK_SIZES = Sizes(operations=100, rows=(0, 1_000), resident=(100, 1_000), attaches=10)


@dataclass(frozen=True, slots=True)
class Bench:
    """quick: few samples, to see that everything runs.  database: Cassandra's; None: the embedded file of each site."""

    quick: bool = False
    sizes: Sizes = field(default_factory=Sizes)
    database: Database | None = None

    @property
    def cassandra(self) -> Database:
        """The database.  Raises RuntimeError: this measurement has none."""
        if self.database is None:
            raise RuntimeError("this section measures Cassandra: `make bench STORE=cassandra`")
        return self.database

    def pick(self, usual: int, quick: int) -> int:
        """How many: `usual`, or `quick` for a quick run."""
        return quick if self.quick else usual

    def say(self, text: str) -> None:
        """A line of progress."""
        sys.stdout.write(f"  {text}\n")
        sys.stdout.flush()

    @contextlib.contextmanager
    def ground(self, subscribers: int) -> Iterator[Ground]:
        """A fresh site with so many subscribers, gone afterwards."""
        with contextlib.ExitStack() as stack:
            folder = stack.enter_context(tempfile.TemporaryDirectory(prefix="bench-"))
            store = stack.enter_context(self.database.keyspace()) if self.database is not None else None
            site = Site(Path(folder), store)
            site.provision(subscribers)
            yield Ground(self, site)

    @contextlib.contextmanager
    def ground_elsewhere(self, subscribers: int, gateway: Remote) -> Iterator[Ground]:
        """The same for functions that somebody else runs; their store keeps what is written.

        Raises localfaas.errors.StartError: the environment does not tell enough about them.
        """
        with tempfile.TemporaryDirectory(prefix="bench-") as folder:
            site = elsewhere.provisioned(Path(folder) / "site", subscribers)
            yield Ground(self, site, callback_host=gateway.callback_host)


@dataclass(slots=True)
class Ground:
    """A site and how many of its subscribers have been used.  callback_host: where its gateway reaches this process."""

    bench: Bench
    site: Site
    used: int = 0
    callback_host: str = "127.0.0.1"

    def attach(self, gateway: Client, **options: Any) -> Attached:
        """Attach UEs that have not been seen before (options: see AttachOptions; ues is a must)."""
        told = replace(
            AttachOptions(
                gateway=gateway.url,
                secrets=self.site.secrets,
                subscribers=self.site.subscribers,
                first_ue=self.used,
                callback_host=self.callback_host,
                ladder_ues=0,
                seed=1,
            ),
            **options,
        )
        self.used += told.ues
        costs: dict[str, list[Cost]] = {}
        begin = time.perf_counter()
        with mock.patch.object(attach_module, "Exchange", _recording(costs)):
            result = asyncio.run(attach(told))
        return Attached(result, costs, time.perf_counter() - begin)


@dataclass(frozen=True, slots=True)
class Attached:
    """A run.  costs: by UE run, what each of its items took inside the functions."""

    result: Result
    costs: dict[str, list[Cost]] = field(repr=False)
    took_s: float = 0.0

    def figures(self) -> dict[str, Any]:
        """The row of a table, with the raw attach times."""
        result, times = self.result, self.result.times
        names = ("min_ms", "mean_ms", "p50_ms", "p95_ms", "p99_ms", "max_ms")
        inside = outside = 0.0
        for message in result.messages:
            if message.mme_ms is not None:
                inside += message.mme_ms
                outside += message.ms - message.mme_ms
        calls = sum(message.mme_ms is not None for message in result.messages) or 1
        return {
            "ues": len(result.outcomes),
            "attached": result.attached,
            "failed": result.failed,
            **{name: None if times is None else round(getattr(times, name), 2) for name in names},
            "rate_per_s": round(result.rate_per_s, 2),
            "duration_s": round(result.duration_s, 2),
            "invocations": result.counters.calls,
            "resends": result.resends,
            "retries": result.counters.retries,
            "refused_before": result.refused_before,
            "outside_ms_per_message": round(outside / calls, 3),
            "outside_share": round(outside / (inside + outside), 3) if inside else None,
            "simulator_cpu_ms_per_ue": round(result.cpu_s * 1000 / max(1, len(result.outcomes)), 2),
            "causes": _causes(result),
            "samples_ms": [round(ms, 2) for ms in result.attach_ms],
        }


def _causes(result: Result) -> dict[str, int]:
    causes: dict[str, int] = {}
    for outcome in result.outcomes:
        if outcome.cause != "attached":
            causes[outcome.cause[:120]] = causes.get(outcome.cause[:120], 0) + 1
    return causes


def _recording(costs: dict[str, list[Cost]]) -> type[Exchange]:
    """An Exchange that keeps each reply's whole cost: enb-app itself keeps its total and the store operations."""

    class Recording(Exchange):
        def submit(self, item: Item, function: str, waiter: Any) -> None:
            def heard(answer: Answer) -> None:
                if answer.cost is not None:
                    costs.setdefault(item.id.split("/")[1], []).append(answer.cost)
                waiter(answer)

            super().submit(item, function, heard)

    return Recording
