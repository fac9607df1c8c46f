"""config-reload's tables in the functions' store."""

from __future__ import annotations

from enum import Enum

from durable.store import Tables


class Table(Enum):
    """Rows by key."""

    WAIT = "reload_wait"


TABLES = Tables(Table, due="reload_due")
