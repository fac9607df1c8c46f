"""Contexts of an older schema: each upgrade takes the raw value of a schema to that of the next.

A raw value is what MessagePack holds: maps, arrays, texts, octets, numbers.  The number is `schema` in the value, the
newest is `mme.context.SCHEMA`.  Whoever changes the shape of a context so that an older value is no longer read, or so
that a program of before would lose something by writing it back, raises the number, adds an upgrade here, and keeps
contexts as they were among tests/vectors/contexts.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

from mme.context import SCHEMA

Raw = dict[str, Any]
Upgrade = Callable[[Raw], Raw]


def _from_1(raw: Raw) -> Raw:
    """A context superseded one other or none; what was resynchronised was the attach; nothing said what was proven.

    Within schema 1 these had changed already, so each is looked at by itself.  Proven is whoever has a security
    context: only SECURITY MODE COMPLETE gave one.  The tracking area list began with the area of the connection;
    without one the UE cannot be paged until it has come back.
    """
    new = dict(raw)
    supersedes = raw.get("supersedes")
    if not isinstance(supersedes, list):
        new["supersedes"] = [] if supersedes is None else [supersedes]
    attaching = raw.get("attaching")
    if attaching is not None and "resynchronised" in attaching:
        new["attaching"] = {name: value for name, value in attaching.items() if name != "resynchronised"}
        new["resynchronised"] = attaching["resynchronised"]
    if "proven" not in raw:
        new["proven"] = raw["security"] is not None
    if "tai_list" not in raw:
        new["tai_list"] = [connection["tai"] for connection in raw["connections"][-1:]]
    return new


def _from_2(raw: Raw) -> Raw:
    """What was added has its default: a UE whose DRX cycle was not kept is paged with the cell's, as before."""
    return raw


def _from_3(raw: Raw) -> Raw:
    """An attach was remembered until UE and eNB had both answered; now until ATTACH COMPLETE.

    That the eNB has answered, its end of the bearer says.
    """
    attaching = raw.get("attaching")
    if attaching is None:
        return raw
    kept = {name: value for name, value in attaching.items() if name not in ("context_set_up", "complete")}
    return raw | {"attaching": None if attaching["complete"] else kept}


def _from_4(raw: Raw) -> Raw:
    """What is owed after a security mode control has its default: nothing was put off until then before."""
    return raw


UE_CONTEXT: Mapping[int, Upgrade] = {1: _from_1, 2: _from_2, 3: _from_3, 4: _from_4}
"""By the schema that they take a context from; without a gap up to the newest."""


def upgraded(raw: Raw) -> Raw:
    """The raw value as a context of this program has it; `schema` says the newest.

    raw: of schema SCHEMA or older.  Raises KeyError: no program ever wrote such a schema.
    """
    for schema in range(raw["schema"], SCHEMA):
        raw = UE_CONTEXT[schema](raw) | {"schema": schema + 1}
    return raw
