"""The placement's tables in the functions' store."""

from __future__ import annotations

from enum import Enum

from durable.store import Tables


class Table(Enum):
    """Rows by key."""

    CLUSTER = "placement_cluster"
    OPERATION = "placement_operation"
    PLACEMENT = "placement_inventory"


TABLES = Tables(Table, due="placement_due")
