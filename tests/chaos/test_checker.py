"""The judge itself: a faultless history passes, each planted violation is found, and its witnesses alone show it."""

from __future__ import annotations

from dataclasses import dataclass, field

import msgspec
import pytest

from chaos.checker import INVARIANTS, Violation, check
from chaos.history import (
    DOWN,
    UP,
    Answered,
    Began,
    Challenged,
    Context,
    Ended,
    Event,
    HomeSqn,
    Injected,
    Last,
    Named,
    Nas,
    Opened,
    Refused,
)

END = 900.0


def a_life(ue: int) -> list[Event]:
    """Attached, idle, back, gone, attached anew: nothing is wrong with it."""
    guti, again, address, key = f"guti-{ue}", f"guti-{ue}-again", f"10.45.0.{ue}", f"key-{ue}"
    return [
        Began(10, ue, procedure="attach"),
        Opened(11, ue, connection=f"c{ue}-1"),
        Challenged(12, ue, connection=f"c{ue}-1", sqn=33, octets="r1"),
        Nas(13, ue, way=DOWN, key=key, count=0, octets="a"),
        Nas(14, ue, way=UP, key=key, count=0, octets="b"),
        Nas(15, ue, way=DOWN, key=key, count=1, octets="c"),
        Nas(16, ue, way=DOWN, key=key, count=1, octets="c"),
        Named(16, ue, guti=guti, address=address),
        Answered(18, ue, message="Attach Complete", result="done"),
        Ended(19, ue, procedure="attach"),
        Began(50, ue, procedure="return"),
        Ended(52, ue, procedure="return", fault="no answer"),
        Began(60, ue, procedure="return"),
        Ended(62, ue, procedure="return"),
        Began(100, ue, procedure="detach"),
        Ended(101, ue, procedure="detach"),
        Began(200, ue, procedure="attach"),
        Opened(201, ue, connection=f"c{ue}-2"),
        Challenged(202, ue, connection=f"c{ue}-2", sqn=66, octets="r2"),
        Named(206, ue, guti=again, address=address),
        Answered(208, ue, message="Attach Complete", result="duplicate"),
        Ended(209, ue, procedure="attach"),
        Last(
            END,
            ue,
            registered=True,
            guti=again,
            address=address,
            key=key,
            uplink_count=4,
            downlink_count=3,
            enb="enb-1",
            enb_ue_s1ap_id=ue,
        ),
        Context(
            END,
            ue,
            context=1000 + ue,
            indexed=True,
            registered=True,
            timers={"T3450": 4000},
            rows=("T3450",),
            guti=again,
            old_guti=guti,
            address=address,
            key=key,
            uplink_count=4,
            downlink_count=3,
            enb="enb-1",
            enb_ue_s1ap_id=ue,
        ),
        HomeSqn(END, ue, sqn=66),
    ]


def faultless() -> list[Event]:
    strike = Injected(30, what="node killed", whom="node 2")
    return [strike, *a_life(1), *a_life(2)]


def changed(events: list[Event], kind: type[Event], ue: int, **fields: object) -> list[Event]:
    """The last event of that kind and UE with other fields."""
    at = max(n for n, event in enumerate(events) if type(event) is kind and event.ue == ue)
    return [*events[:at], msgspec.structs.replace(events[at], **fields), *events[at + 1 :]]


@dataclass
class Planted:
    """invariant: the only one that is violated.  witnesses: how many events show it."""

    name: str
    invariant: str
    witnesses: int
    events: list[Event] = field(default_factory=list)


def with_more(*events: Event) -> list[Event]:
    return [*faultless(), *events]


def without(kind: type[Event], ue: int) -> list[Event]:
    return [event for event in faultless() if not (type(event) is kind and event.ue == ue)]


def last_and_context(**fields: object) -> list[Event]:
    return changed(changed(faultless(), Last, 1, **fields), Context, 1, **fields)


def never_taken_in(ue: int, served: str = "no answer", **fields: object) -> list[Event]:
    """No ATTACH COMPLETE of that UE was taken: one was lost, one came too late.  served: fault of its return."""
    results = iter(("lost", "stale"))
    return [
        msgspec.structs.replace(event, result=next(results))
        if isinstance(event, Answered) and event.ue == ue
        else msgspec.structs.replace(event, fault=served)
        if isinstance(event, Ended) and event.ue == ue and event.procedure == "return"
        else event
        for event in changed(faultless(), Last, ue, **fields)
    ]


PLANTED = [
    Planted("a registered UE without a context", "agreement", 1, without(Context, 1)),
    Planted("a context that is not indexed", "agreement", 1, changed(faultless(), Context, 1, indexed=False)),
    Planted("a detached UE that the MME keeps", "agreement", 2, changed(faultless(), Last, 1, registered=False)),
    Planted("a context that is not registered", "agreement", 2, changed(faultless(), Context, 1, registered=False)),
    Planted("another GUTI", "agreement", 2, changed(faultless(), Context, 1, guti="x", old_guti="")),
    Planted("another address", "agreement", 2, changed(faultless(), Context, 1, address="10.45.9.9")),
    Planted("another key", "agreement", 2, changed(faultless(), Context, 1, key="x")),
    Planted("an uplink count ahead", "agreement", 2, changed(faultless(), Context, 1, uplink_count=5)),
    Planted("a downlink count behind", "agreement", 2, changed(faultless(), Context, 1, downlink_count=2)),
    Planted("idle here, connected there", "agreement", 2, changed(faultless(), Last, 1, enb="enb-1", enb_ue_s1ap_id=0)),
    Planted("another connection", "agreement", 2, changed(faultless(), Context, 1, enb_ue_s1ap_id=77)),
    Planted("another eNB", "agreement", 2, changed(faultless(), Context, 1, enb="enb-2")),
    Planted(
        "two registered contexts",
        "agreement",
        3,
        with_more(Context(END, 1, context=9, registered=True, guti="else", address="10.45.9.1")),
    ),
    Planted("one GUTI for two", "gutis", 2, with_more(Named(300, 2, guti="guti-1-again", address="10.45.0.2"))),
    Planted("one GUTI in two contexts", "gutis", 2, with_more(Context(END, 3, context=9, guti="guti-1-again"))),
    Planted("one address for two", "addresses", 2, with_more(Named(300, 2, guti="guti-2-again", address="10.45.0.1"))),
    Planted("one address in two contexts", "addresses", 2, with_more(Context(END, 3, context=9, address="10.45.0.1"))),
    Planted(
        "a downlink count for two messages",
        "counts",
        2,
        with_more(Nas(40, 1, way=DOWN, key="key-1", count=1, octets="other")),
    ),
    Planted(
        "an uplink count for two messages",
        "counts",
        2,
        with_more(Nas(40, 1, way=UP, key="key-1", count=0, octets="other")),
    ),
    Planted("one SQN for two challenges", "sqn", 2, changed(faultless(), Challenged, 1, sqn=33)),
    Planted("an SQN that falls", "sqn", 3, changed(faultless(), Challenged, 1, sqn=32)),
    Planted("a row behind its vectors", "sqn", 2, changed(faultless(), HomeSqn, 1, sqn=65)),
    Planted(
        "a procedure without a timer", "timers", 1, with_more(Context(END, 0, context=9, waits_for="Identity Response"))
    ),
    Planted("a timer that never fired", "timers", 1, changed(faultless(), Context, 1, timers={"T3450": -16_000})),
    Planted("a timer without a row", "timers", 1, changed(faultless(), Context, 1, rows=())),
    Planted(
        "forgotten after its Attach Complete",
        "forgotten",
        2,
        with_more(Refused(300, 1, message="Service Reject", cause=9)),
    ),
    Planted("never attached", "attached", 1, never_taken_in(1, fault="silence")),
    Planted("an attach whose end the MME did not take", "attached", 1, never_taken_in(1)),
    Planted("not done at the end", "attached", 1, changed(faultless(), Last, 1, fault="silence")),
]


def test_a_faultless_history_passes() -> None:
    assert check(faultless()) == []


@pytest.mark.parametrize("planted", PLANTED, ids=lambda planted: planted.name.replace(" ", "-"))
def test_a_planted_violation_is_found_once_and_told_from_the_others(planted: Planted) -> None:
    (found,) = check(planted.events)
    assert found.invariant == planted.invariant
    assert 1 in found.ues or planted.name == "a procedure without a timer"
    assert len(found.witnesses) == planted.witnesses


@pytest.mark.parametrize("planted", PLANTED, ids=lambda planted: planted.name.replace(" ", "-"))
def test_the_witnesses_alone_show_it_and_no_fewer_do(planted: Planted) -> None:
    (found,) = check(planted.events)
    assert told(check(found.witnesses)) >= told([found])
    for left_out in found.witnesses:
        fewer = [event for event in found.witnesses if event is not left_out]
        assert told([found]).isdisjoint(told(check(fewer)))


def told(violations: list[Violation]) -> set[tuple[str, str]]:
    return {(violation.invariant, violation.text) for violation in violations}


def test_every_invariant_has_a_planted_violation() -> None:
    assert {planted.invariant for planted in PLANTED} == set(INVARIANTS)


@pytest.mark.parametrize(
    "harmless",
    [
        with_more(Named(150, 2, guti="guti-1", address="10.45.9.9"), Began(151, 2, procedure="attach")),
        with_more(Refused(105, 1, message="Service Reject", cause=9)),
        with_more(Refused(300, 1, message="Tracking Area Update Reject", cause=12)),
        with_more(Nas(40, 1, way=UP, key="key-1", count=1, octets="other")),
        with_more(Nas(40, 1, way=DOWN, key="key-2", count=3, octets="other")),
        with_more(Challenged(203, 1, connection="c1-1", sqn=34, octets="late")),
        with_more(Challenged(203, 1, connection="c1-2", sqn=66, octets="r2")),
        changed(faultless(), Context, 1, uplink_count=3, downlink_count=5),
        changed(faultless(), Last, 1, guti="guti-1"),
        never_taken_in(1, tried=False, fault="silence"),
        never_taken_in(1, served=""),
        changed(faultless(), Ended, 1, at_ms=207, fault="silence"),
        with_more(Context(END, 0, context=9, waits_for="Identity Response", timers={"T3470": 3000}, rows=("T3470",))),
        changed(faultless(), Context, 1, timers={"T3450": -14_000}, rows=()),
    ],
    ids=[
        "a GUTI of one who has let it go",
        "rejected after its detach",
        "refused for another cause",
        "another count",
        "another key",
        "a late challenge of an older connection",
        "the same challenge again",
        "messages lost on their way",
        "the GUTI before",
        "one that gave up",
        "an attach whose end was lost, and a service request that was served after it",
        "an attach whose last answer came after its patience",
        "a procedure with its timer",
        "a timer that fires any moment",
    ],
)
def test_what_is_no_violation(harmless: list[Event]) -> None:
    assert check(harmless) == []


def test_two_idle_ends_agree() -> None:
    assert check(last_and_context(enb="", enb_ue_s1ap_id=0)) == []


def test_the_order_of_the_file_does_not_matter() -> None:
    assert check(reversed(faultless())) == []
