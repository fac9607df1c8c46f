"""When the store was last backed up: whoever did it notes it in the store, and each ticker tells it as a metric.

The store is the only place that a backup's job and somebody who is scraped have in common.  A backup does not hold the
note: a store that was restored has had no backup yet.
"""

from __future__ import annotations

import secrets
import time
from collections.abc import Callable
from dataclasses import dataclass
from typing import Final

from mme import metrics
from mme.errors import StoreContendedError
from mme.store.base import Row, Saved, Store, Table, save_resolved

AGAIN_S: Final = 60.0
_KEY: Final = "backup"
_TRIES: Final = 8


def note(store: Store, begun_s: int) -> None:
    """Note a backup that is whole, unless one is noted that was begun later.

    begun_s: Unix seconds.  Raises StoreError.
    """
    for _ in range(_TRIES):
        row = store.load(Table.LEASE, _KEY, serial=True)
        if _begun_s(row) >= begun_s:
            return
        writer, expect = f"{_KEY}/{secrets.token_hex(8)}", row.version if row is not None else None
        written = save_resolved(store, Table.LEASE, _KEY, str(begun_s).encode(), expect=expect, writer=writer)
        if isinstance(written, Saved):
            return
    raise StoreContendedError("when the store was backed up could not be noted")


@dataclass(slots=True)
class LastBackup:
    """Tells of the store's last backup, looked up every AGAIN_S.  stop_watch: seconds that only grow."""

    store: Store
    stop_watch: Callable[[], float] = time.monotonic
    _next_s: float | None = None

    def look(self) -> None:
        """Look it up if it is time to.  Raises StoreError; what was known stays."""
        now_s = self.stop_watch()
        if self._next_s is None or now_s >= self._next_s:
            self._next_s = now_s + AGAIN_S
            metrics.LAST_BACKUP.set(_begun_s(self.store.load(Table.LEASE, _KEY)))


def _begun_s(row: Row | None) -> int:
    """0: there was none."""
    return int(row.value) if row is not None else 0
