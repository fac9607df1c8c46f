"""Contexts as programs of before wrote them, read and upgraded; those of a program to come, refused.

The vectors are rows of the store as they were: `1-first` written by commit 63c94cb, `1-last` by 26d0f53 (the first and
the last that wrote schema 1), `2` to `5` by the first that wrote those, `2-last` by d4bd8d2 (the attach of a UE
when one of UE and eNB had answered).  No newer program makes them anew.
"""

from __future__ import annotations

from pathlib import Path
from typing import Any

import msgspec
import pytest

from mme import upgrades
from mme.context import SCHEMA
from mme.enums import EmmState, Owed, S1apCause
from mme.errors import NewerRowError
from mme.ids import Plmn, Tai
from mme.rows import pack, ue_context_in
from mme.store.base import Row, Saved, Table
from tests.mme.runtime.pair import IMSI, Network
from tests.mme.runtime.returning import attached
from tests.mme.runtime.test_commands import command

VECTORS = Path(__file__).resolve().parents[2] / "vectors" / "contexts"
NAMES = sorted(file.stem for file in VECTORS.glob("*.hex"))
HERE = Tai(Plmn("00101"), 7)


def vector(name: str) -> bytes:
    return bytes.fromhex((VECTORS / f"{name}.hex").read_text())


def raw(value: bytes) -> dict[str, Any]:
    found: dict[str, Any] = msgspec.msgpack.decode(value)
    return found


def test_every_schema_has_vectors_and_an_upgrade() -> None:
    assert {int(name.partition("-")[0]) for name in NAMES} == set(range(1, SCHEMA + 1))
    assert sorted(upgrades.UE_CONTEXT) == list(range(1, SCHEMA))


@pytest.mark.parametrize("name", NAMES)
def test_a_context_of_any_schema_is_read_and_nothing_of_it_is_lost(name: str) -> None:
    old, new = raw(vector(name)), raw(pack(ue_context_in(vector(name))))
    assert new.pop("schema") == SCHEMA
    old.pop("schema")
    no_more = {".supersedes", ".attaching.resynchronised"} if name.startswith("1-first") else set()
    if name[0] in "123":
        no_more |= {".attaching.context_set_up", ".attaching.complete"}
    if name == "2-last-complete":
        no_more |= {".attaching"}
    assert lost(old, new) <= no_more


def lost(old: Any, new: Any, path: str = "") -> set[str]:
    """Paths of what is in `old` and not, or otherwise, in `new`."""
    if isinstance(old, dict) and isinstance(new, dict):
        gone = {f"{path}.{name}" for name in old.keys() - new.keys()}
        return gone.union(*(lost(old[name], new[name], f"{path}.{name}") for name in old.keys() & new.keys()))
    if isinstance(old, list) and isinstance(new, list) and len(old) == len(new):
        return set().union(*(lost(a, b, f"{path}[{n}]") for n, (a, b) in enumerate(zip(old, new, strict=True))))
    return set() if old == new else {path}


@pytest.mark.parametrize(
    ("name", "state", "supersedes", "proven"),
    [
        ("1-first-authenticating", EmmState.COMMON_PROCEDURE_INITIATED, (), False),
        ("1-first-superseding", EmmState.COMMON_PROCEDURE_INITIATED, (35981745,), True),
        ("1-first-registered", EmmState.REGISTERED, (), True),
        ("1-first-detached", EmmState.DEREGISTERED, (), False),
        ("1-last-registered", EmmState.REGISTERED, (), True),
    ],
)
def test_what_schema_1_said_otherwise(name: str, state: EmmState, supersedes: tuple[int, ...], proven: bool) -> None:
    ctx = ue_context_in(vector(name))
    assert (ctx.emm, ctx.supersedes, ctx.proven, ctx.tai_list) == (state, supersedes, proven, (HERE,))


def test_a_ue_of_before_is_paged_with_the_cells_cycle() -> None:
    assert (ue_context_in(vector("2-idle")).paging_drx, ue_context_in(vector("3-idle")).paging_drx) == (None, "v64")


def test_an_attach_that_had_resynchronised_still_has() -> None:
    old = raw(vector("1-first-authenticating"))
    old["attaching"]["resynchronised"] = True
    assert ue_context_in(msgspec.msgpack.encode(old)).resynchronised


def test_an_attach_that_waited_for_the_enb_alone_is_over() -> None:
    ctx = ue_context_in(vector("2-last-complete"))
    assert (ctx.emm, ctx.attaching, ctx.on_the_radio) == (EmmState.REGISTERED, None, False)
    assert ctx.stays_registered


def test_an_attach_that_waits_for_the_ue_goes_on() -> None:
    ctx = ue_context_in(vector("2-last-set-up"))
    assert (ctx.emm, ctx.on_the_radio) == (EmmState.COMMON_PROCEDURE_INITIATED, True)
    assert ctx.attaching is not None
    assert not ctx.stays_registered


def test_what_is_owed_after_a_security_mode_control_is_kept_and_nothing_was_before() -> None:
    assert ue_context_in(vector("5-owing")).owed is Owed.SERVICE_REJECT
    assert ue_context_in(vector("4-registered")).owed is None


def test_upgrades_leave_what_they_are_given() -> None:
    old = raw(vector("1-first-superseding"))
    upgrades.upgraded(old)
    assert old == raw(vector("1-first-superseding"))


@pytest.mark.parametrize("other_shape", [False, True])
def test_a_newer_context_is_refused_in_one_sentence(other_shape: bool) -> None:
    newer = raw(vector("5-registered")) | {"schema": SCHEMA + 1} | ({"connections": 7} if other_shape else {})
    with pytest.raises(NewerRowError, match=f"has schema {SCHEMA + 1}, this program knows {SCHEMA}"):
        ue_context_in(msgspec.msgpack.encode(newer))


def test_a_damaged_context_of_this_schema_is_a_fault_and_no_older_one() -> None:
    damaged = raw(vector("5-registered")) | {"connections": 7}
    with pytest.raises(msgspec.ValidationError, match="connections"):
        ue_context_in(msgspec.msgpack.encode(damaged))


def aged(network: Network, schema: int, **changes: Any) -> Row:
    """Put the only context's row back to another schema."""
    [(key, row)] = network.database.scan(Table.UE_CONTEXT)
    value = msgspec.msgpack.encode(raw(row.value) | {"schema": schema} | changes)
    saved = network.database.save(Table.UE_CONTEXT, key, value, expect=row.version, writer="older program")
    assert isinstance(saved, Saved)
    return Row(value, saved.version, "older program")


def test_the_next_write_brings_the_row_up_to_date(network: Network) -> None:
    back = attached(network)
    old = aged(network, 1, supersedes=None)
    request = back.talk.side.request_release(S1apCause.USER_INACTIVITY)
    assert request is not None
    back.talk.queue.append(request)
    assert back.talk.post().reply.result == "done"
    [(_, row)] = network.database.scan(Table.UE_CONTEXT)
    assert row.version == old.version + 1, "one conditional write, as any message takes"
    new = raw(row.value)
    assert (new["schema"], new["supersedes"]) == (SCHEMA, [])


def test_a_read_alone_writes_nothing(network: Network) -> None:
    attached(network)
    aged(network, 1, supersedes=None)
    before = network.snapshot()
    exchange = network.exchanges[-1]
    assert network.again(exchange).reply.result in ("done", "duplicate")
    assert network.snapshot()["ue_context"] == before["ue_context"]


def test_a_message_for_a_newer_context_is_tried_again_later_and_leaves_it_alone(network: Network) -> None:
    attached(network)
    aged(network, SCHEMA + 1, connections=7)
    before = network.snapshot()
    assert command(network, "page", IMSI).reply.result == "retry"
    assert network.snapshot() == before


def test_a_newer_context_keeps_no_other_timer_from_being_fired(network: Network) -> None:
    """A ticker of before: it cannot see whether the row is stale, and leaves that to the function."""
    waiting = network.ue(network.subscribe())
    waiting.post()
    aged(network, SCHEMA + 1, connections=7)
    other = network.ue(network.subscribe("001010123456781"))
    other.post()
    network.wait(10)
    results = {exchange.item.id.partition("/")[0]: exchange.reply.result for exchange in network.fired}
    assert "retry" in [exchange.reply.result for exchange in network.fired]
    assert "done" in [exchange.reply.result for exchange in network.fired], results
