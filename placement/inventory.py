"""What was placed where, by whom, with which values (their digest) and how it ended; and the registry of clusters."""

from __future__ import annotations

import uuid

import msgspec

from durable.errors import StoreError
from durable.rows import Conflict, Saved, save_resolved
from durable.store import Store
from placement.cluster import Cluster, Placed
from placement.errors import Code, PlacementError
from placement.tables import Table

HISTORY = 20
_TRIES = 10


class Event(msgspec.Struct, frozen=True):
    """One operation on a release.  at_ms: when it ended.  duration_s: from its call."""

    at_ms: int
    who: str
    action: str
    chart: str
    values_digest: str
    revision: int
    outcome: str
    duration_s: float
    call_id: str


class Placement(msgspec.Struct, frozen=True):
    """A release on a cluster.  is_placed: False once it was uninstalled.  history: the newest last."""

    cluster: str
    namespace: str
    release: str
    chart: str
    repository: str
    revision: int
    values_digest: str
    group: str
    is_placed: bool
    history: tuple[Event, ...] = ()


class Inventory:
    """Placements in the store."""

    def __init__(self, store: Store) -> None:
        self._store = store

    def all(self) -> list[Placement]:
        """Every one that was ever placed, by cluster, namespace and release."""
        rows = self._store.scan(Table.PLACEMENT)
        return [msgspec.json.decode(row.value, type=Placement) for _, row in rows]

    def placed(self) -> tuple[Placed, ...]:
        """Those that are there now, as `plan` wants them."""
        return tuple(Placed(p.cluster, p.namespace, p.release, p.group) for p in self.all() if p.is_placed)

    def get(self, cluster: str, namespace: str, release: str) -> Placement | None:
        """One of them."""
        row = self._store.load(Table.PLACEMENT, _key(cluster, namespace, release))
        return None if row is None else msgspec.json.decode(row.value, type=Placement)

    def remember(self, placement: Placement, event: Event) -> None:
        """Write the placement with the event added to its history; an event that is there already is not added."""
        key = _key(placement.cluster, placement.namespace, placement.release)
        for _ in range(_TRIES):
            row = self._store.load(Table.PLACEMENT, key)
            old = msgspec.json.decode(row.value, type=Placement) if row is not None else None
            history = tuple(e for e in old.history if (e.who, e.call_id) != (event.who, event.call_id)) if old else ()
            new = msgspec.structs.replace(placement, history=(*history, event)[-HISTORY:])
            expect = row.version if row is not None else None
            writer = uuid.uuid4().hex
            result = save_resolved(
                self._store, Table.PLACEMENT, key, msgspec.json.encode(new), expect=expect, writer=writer
            )
            if isinstance(result, Saved):
                return
        raise StoreError("the inventory's row kept changing")


def _key(cluster: str, namespace: str, release: str) -> str:
    return f"{cluster}/{namespace}/{release}"


class Clusters:
    """The registry of clusters."""

    def __init__(self, store: Store) -> None:
        self._store = store

    def all(self) -> list[Cluster]:
        """By name."""
        return [msgspec.json.decode(row.value, type=Cluster) for _, row in self._store.scan(Table.CLUSTER)]

    def get(self, name: str) -> Cluster:
        """Raises PlacementError unknown_cluster."""
        row = self._store.load(Table.CLUSTER, name)
        if row is None:
            raise PlacementError(Code.UNKNOWN_CLUSTER, f"No cluster {name!r} is registered.")
        return msgspec.json.decode(row.value, type=Cluster)

    def put(self, cluster: Cluster) -> bool:
        """Add it, or replace its entry; whether it is new."""
        for _ in range(_TRIES):
            row = self._store.load(Table.CLUSTER, cluster.name)
            expect = row.version if row is not None else None
            octets, writer = msgspec.json.encode(cluster), uuid.uuid4().hex
            result = save_resolved(self._store, Table.CLUSTER, cluster.name, octets, expect=expect, writer=writer)
            if isinstance(result, Saved):
                return row is None
        raise StoreError("the cluster's row kept changing")

    def remove(self, name: str) -> bool:
        """Whether it was there."""
        row = self._store.load(Table.CLUSTER, name)
        if row is None:
            return False
        result = save_resolved(self._store, Table.CLUSTER, name, None, expect=row.version, writer=uuid.uuid4().hex)
        if isinstance(result, Conflict):
            raise StoreError("the cluster's row was changed meanwhile")
        return True
