"""Random histories of one store against a dict."""

from __future__ import annotations

import tempfile
from pathlib import Path
from typing import Any

from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, invariant, rule

from mme.store.base import Conflict, Row, Saved, Table, save_resolved
from mme.store.faulty import Applied, FaultUnknown, FaultyStore, on_save
from mme.store.sqlite import SqliteStore

KEYS = st.sampled_from(["a", "b", "c"])
TABLES = st.sampled_from([Table.UE_CONTEXT, Table.IMSI])
VALUES = st.binary(max_size=20)


class StoreAgainstDict(RuleBasedStateMachine):
    """The model: {(table, key): (row, Unix milliseconds of its end or None)}."""

    @initialize()
    def open(self) -> None:
        self.now_s = 1_800_000_000
        self.number = 0
        self.model: dict[tuple[Table, str], tuple[Row, int | None]] = {}
        self.directory = tempfile.TemporaryDirectory()
        path = Path(self.directory.name) / "store.db"
        self.sqlite = SqliteStore(path, clock=lambda: self.now_s)
        self.store = FaultyStore(self.sqlite)

    def teardown(self) -> None:
        if hasattr(self, "sqlite"):
            self.sqlite.close()
            self.directory.cleanup()

    def row(self, table: Table, key: str) -> Row | None:
        row, end_s = self.model.get((table, key), (None, None))
        return row if end_s is None or end_s > self.now_s else None

    @rule(
        table=TABLES,
        key=KEYS,
        value=st.none() | VALUES,
        expect=st.none() | st.integers(1, 3) | st.just("current"),
        ttl_s=st.none() | st.integers(1, 5),
        fault=st.none() | st.sampled_from([Applied.YES, Applied.NO]),
    )
    def save(  # noqa: PLR0917  hypothesis passes them by name
        self, table: Table, key: str, value: bytes | None, expect: Any, ttl_s: int | None, fault: Applied | None
    ) -> None:
        current = self.row(table, key)
        if expect == "current":
            expect = current.version if current else None
        if value is None and expect is None:
            return
        self.number += 1
        writer = f"w{self.number}"
        self.store.plan = on_save(FaultUnknown(fault)) if fault else []
        result = save_resolved(self.store, table, key, value, expect=expect, writer=writer, ttl_s=ttl_s)
        if expect != (current.version if current else None):
            # A lost removal that finds no row cannot be told from one that happened.
            if not (fault and value is None and current is None):
                assert result == Conflict(current)
        elif value is None:
            assert result == Saved(0)
            self.model.pop((table, key))
        else:
            version = (expect or 0) + 1
            assert result == Saved(version)
            self.model[table, key] = (Row(value, version, writer), None if ttl_s is None else self.now_s + ttl_s)

    @rule(seconds=st.integers(1, 3))
    def wait(self, seconds: int) -> None:
        self.now_s += seconds

    @rule()
    def sweep(self) -> None:
        self.sqlite.sweep()

    @rule()
    def reopen(self) -> None:
        self.sqlite.close()
        path = Path(self.directory.name) / "store.db"
        self.sqlite = SqliteStore(path, clock=lambda: self.now_s)
        self.store = FaultyStore(self.sqlite)

    @invariant()
    def same_rows(self) -> None:
        if not hasattr(self, "sqlite"):
            return
        for table in (Table.UE_CONTEXT, Table.IMSI):
            alive = {key: row for key in ("a", "b", "c") if (row := self.row(table, key))}
            assert dict(self.store.scan(table)) == alive
            for key in ("a", "b", "c"):
                assert self.store.load(table, key) == alive.get(key)


TestStoreAgainstDict = StoreAgainstDict.TestCase
TestStoreAgainstDict.settings = settings(max_examples=40, stateful_step_count=30, deadline=None)
