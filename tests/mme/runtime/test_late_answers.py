"""Ports that answer late, or never: pushes by `mme-answer`, causes by the guard timer, and no session left over."""

from __future__ import annotations

from dataclasses import replace

import pytest

from enb_app.effects import Verdict
from mme.codec import nas
from mme.enums import EmmState, EsmCause, Step, TimerName
from mme.messages import AttachReject, DownlinkNasTransport, PdnConnectivityReject
from mme.needs import (
    Answer,
    DeleteSession,
    ModifySession,
    Need,
    NeedProfile,
    NeedSession,
    NeedVector,
    Refusal,
    Refused,
)
from mme.store.base import Table
from tests.mme.runtime.pair import Network, Talk, assert_no_count_used_twice, protected_downlinks
from tests.mme.runtime.test_attach import assert_registered

KINDS: list[type[Need]] = [NeedVector, NeedProfile, NeedSession]


def late(network: Network, *kinds: type[Need]) -> None:
    network.hss.late = network.gateway.late = kinds


def held(network: Network) -> tuple[Need, Answer]:
    [one] = network.hss.held + network.gateway.held
    return one


def go_on(network: Network, talk: Talk, limit: int = 10) -> None:
    """Answer, push, send, until nothing moves."""
    for _ in range(limit):
        talk.flow()
        if not (network.hss.held or network.gateway.held):
            return
        network.answer_held()
        network.deliver()


@pytest.mark.parametrize("kinds", [(NeedVector,), (NeedProfile,), (NeedSession,), tuple(KINDS)])
def test_attach_completes_by_pushes(network: Network, kinds: tuple[type[Need], ...]) -> None:
    late(network, *kinds)
    talk = network.ue(network.subscribe())
    sqn = network.sqn()
    go_on(network, talk)
    assert talk.done is not None
    assert talk.done.verdict is Verdict.ATTACHED
    assert_registered(network, talk)
    assert [d.order for d in talk.heard] == list(range(len(talk.heard)))
    assert network.context(talk).outbox == ()
    assert network.sqn() >> 5 == (sqn >> 5) + 1
    assert len(network.sessions()) == 1
    pushed = {i for _, ids in network.pushes.attempts for i in ids}
    assert pushed
    assert pushed <= {d.id for d in talk.heard}


@pytest.mark.parametrize("kind", KINDS)
def test_while_it_waits_the_context_has_a_need_and_a_guard(network: Network, kind: type[Need]) -> None:
    late(network, kind)
    talk = network.ue(network.subscribe())
    talk.flow()
    ctx = network.context(talk)
    need, _ = held(network)
    assert ctx.waiting_for == need.id
    assert need.owner == ctx.key
    assert ctx.step in (Step.VECTOR, Step.PROFILE, Step.SESSION)
    guard = ctx.timers[TimerName.NEED.value]
    assert guard.due_ms <= (network.clock.now_s + network.config.need_s) * 1000


@pytest.mark.parametrize("kind", KINDS)
def test_the_same_answer_twice(network: Network, kind: type[Need]) -> None:
    """Under its own id: the same reply; under another: stale.  No second message to the UE."""
    late(network, kind)
    talk = network.ue(network.subscribe())
    talk.flow()
    need, answer = held(network)
    first = network.answer(need, answer)
    assert first.reply.result == "done"
    attempts = list(network.pushes.attempts)
    assert network.again(first).reply == first.reply
    before = network.snapshot()
    assert network.answer(need, answer, 2).reply.result == "stale"
    assert network.snapshot() == before
    assert network.pushes.attempts == attempts
    network.hss.held, network.gateway.held = [], []
    late(network)
    network.deliver()
    talk.run()
    assert_registered(network, talk)


@pytest.mark.parametrize(
    ("kind", "expected"),
    [
        (NeedVector, AttachReject(17)),  # type: ignore[arg-type]
        (NeedProfile, AttachReject(17)),  # type: ignore[arg-type]
        (NeedSession, AttachReject(19, PdnConnectivityReject(0, 1, EsmCause.NETWORK_FAILURE))),  # type: ignore[arg-type]
    ],
)
def test_never_answered(network: Network, kind: type[Need], expected: AttachReject) -> None:
    """HSS silent: #17.  Gateway silent: #19 with ESM #38 (TS 24.301 9.9.4.4, network failure).  Then a late answer."""
    late(network, kind)
    talk = network.ue(network.subscribe())
    talk.flow()
    need, answer = held(network)
    network.wait(network.config.need_s + 2)
    talk.flow()
    rejects = [nas.decode(plain) for _, _, plain in protected_downlinks(talk)]
    for message in talk.messages():
        if isinstance(message, DownlinkNasTransport) and isinstance(message.nas_pdu, bytes) and message.nas_pdu[0] == 7:
            rejects.append(nas.decode(message.nas_pdu))
    assert expected in rejects
    assert talk.done is not None
    assert (talk.done.verdict, talk.done.emm_cause) == (Verdict.REJECTED, int(expected.cause))
    assert network.context(talk).emm is EmmState.DEREGISTERED
    attempts = len(network.pushes.attempts)
    assert network.answer(need, answer).reply.result == "stale"
    assert len(network.pushes.attempts) == attempts
    assert_no_count_used_twice(talk)


def test_session_that_came_after_the_guard_timer_is_given_back(network: Network) -> None:
    """design.md: "an unused session is deleted by a guard timer"."""
    late(network, NeedSession)
    talk = network.ue(network.subscribe())
    talk.flow()
    need, answer = held(network)
    network.wait(network.config.need_s + 2)
    talk.flow()
    network.answer(need, answer)
    network.wait(60)
    assert network.sessions() == []


@pytest.mark.parametrize(
    ("kind", "reason", "emm", "esm"),
    [
        (NeedVector, Refusal.UNKNOWN_SUBSCRIBER, 8, None),
        (NeedVector, Refusal.UNREACHABLE, 17, None),
        (NeedProfile, Refusal.NOT_ALLOWED, 7, None),
        (NeedSession, Refusal.NO_RESOURCES, 19, 26),
        (NeedSession, Refusal.REJECTED, 19, 31),
    ],
)
def test_late_refusal(network: Network, kind: type[Need], reason: Refusal, emm: int, esm: int | None) -> None:
    late(network, kind)
    talk = network.ue(network.subscribe())
    talk.flow()
    need, _ = held(network)
    assert network.answer(need, Refused(reason)).reply.result == "rejected"
    network.deliver()
    talk.flow()
    assert talk.done is not None
    assert talk.done.emm_cause == emm
    assert esm is None or f"ESM #{esm}" in talk.done.cause


def test_answer_of_the_wrong_kind_changes_nothing(network: Network) -> None:
    late(network, NeedVector, NeedSession)
    other = network.ue(network.subscribe("001010000000002"))
    other.flow()
    network.hss.late = ()
    network.answer_held()
    network.deliver()
    other.flow()
    need, session = held(network)
    assert isinstance(need, NeedSession)
    network.gateway.held = []
    network.hss.late = (NeedVector,)
    talk = network.ue(network.subscribe())
    talk.flow()
    vector_need, _ = held(network)
    before = network.snapshot()
    exchange = network.answer(vector_need, session)
    assert exchange.reply.result == "stale"
    assert network.snapshot() == before


def test_answer_for_nobody(network: Network) -> None:
    before = network.snapshot()
    need = NeedVector("00101-0019b/x/1/vector", 12345, network.subscribe().imsi, network.cell.plmn)
    assert network.answer(need, Refused(Refusal.REJECTED)).reply.result == "stale"
    after = network.snapshot()
    assert after["ue_context"] == before["ue_context"]


def test_modify_and_delete_that_are_not_answered_hold_nobody(network: Network) -> None:
    late(network, ModifySession, DeleteSession)
    talk = network.ue(network.subscribe())
    talk.run()
    assert_registered(network, talk)
    talk.detach()
    talk.flow()
    assert talk.side.released
    assert network.context(talk).emm is EmmState.DEREGISTERED


def test_detach_while_a_session_is_awaited(network: Network) -> None:
    """The UE leaves before the gateway answers: the answer is stale, and its session goes too."""
    late(network, NeedSession)
    talk = network.ue(network.subscribe())
    talk.flow()
    talk.detach(switch_off=True)
    talk.flow()
    need, answer = held(network)
    assert network.answer(need, answer).reply.result == "stale"
    network.wait(30)
    assert network.keys(Table.IMSI) == [need.imsi.digits] if isinstance(need, NeedSession) else False
    assert network.sessions() == []


@pytest.mark.parametrize("kind", KINDS)
def test_answer_to_an_earlier_need_of_the_same_kind(network: Network, kind: type[Need]) -> None:
    """Of an attach that was begun anew, or before a resynchronisation: only the need that is waited for counts."""
    late(network, kind)
    talk = network.ue(network.subscribe())
    talk.flow()
    need, answer = held(network)
    before = network.snapshot()
    earlier = replace(need, id=need.id.replace("/", "/x", 1))
    assert network.answer(earlier, answer).reply.result == "stale"
    assert network.snapshot() == before
    assert network.pushes.attempts == []
