"""The northbound door (docs/northbound.md): who may command, whom, and what comes of it."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from enb_app.ue import Profile
from mme.access import fault_of
from mme.codec import nas, s1ap
from mme.codec.envelope import Item
from mme.enums import EmmCause, EmmState, Step
from mme.messages import (
    AttachReject,
    DetachAccept,
    DetachRequestToUe,
    DownlinkNasTransport,
    GutiReallocationCommand,
    GutiReallocationComplete,
    InitialContextSetupRequest,
    Paging,
    UeContextReleaseCommand,
)
from mme.routing import DOWNLINK
from mme.runtime import COMMANDS, CONFIGURATION_UPDATE, OVERLOAD
from mme.store.base import Table
from tests.mme.runtime.pair import ENB, IMSI, PLMN, Exchange, Network
from tests.mme.runtime.returning import attached, idle

ACTIONS = ["page", "detach", "detach-and-reattach", "reallocate-guti"]


def command(
    network: Network, action: object, imsi: object = IMSI, *, n: int = 1, function: str = DOWNLINK, **more: Any
) -> Exchange:
    body = {"action": action, "imsi": imsi, **more}
    return network.send(function, Item(id=f"operator/ana/{n}", command=body))


def test_the_page_names_every_action() -> None:
    page = (Path(__file__).resolve().parents[3] / "docs/northbound.md").read_text("utf-8")
    for action in (*COMMANDS, CONFIGURATION_UPDATE, OVERLOAD):
        assert f"| `{action}`" in page, action


# --------------------------------------------------------------------------- who may


@pytest.mark.parametrize("caller", [ENB, "ticker", "port/hss", "operator", "", "mme", "xoperator/ana", "Operator/ana"])
def test_only_operators_send_commands(caller: str) -> None:
    item = Item(id="operator/ana/1", enb=caller, epoch="e", command={"action": "page", "imsi": IMSI})
    assert fault_of(item, caller) == "only operators send commands"


def test_an_operator_sends_commands_and_nothing_else() -> None:
    body = {"action": "page", "imsi": IMSI}
    assert fault_of(Item(id="operator/ana/1", command=body), "operator/ana") is None
    assert fault_of(Item(id="operator/ana/1", event="association-lost"), "operator/ana") is not None
    assert fault_of(Item(id="operator/ana/1", enb=ENB, epoch="e", s1ap=b"x", command=body), "operator/ana") is not None


@pytest.mark.parametrize("function", ["mme-enb", "mme-initial-ue", "mme-uplink-nas", "mme-ue-context", "mme-timer"])
def test_another_function_takes_no_command(network: Network, function: str) -> None:
    attached(network)
    before = network.snapshot()
    exchange = command(network, "page", function=function)
    assert (exchange.reply.result, exchange.reply.label) == ("rejected", "wrong function")
    assert network.snapshot() == before


# --------------------------------------------------------------------------- bad ones


@pytest.mark.parametrize(
    ("action", "imsi"),
    [
        ("reboot", IMSI),
        (None, IMSI),
        (7, IMSI),
        ("", IMSI),
        ("page", None),
        ("page", 1),
        ("page", ""),
        ("page", "12a"),
        ("page", "0" * 16),
        ("page", [IMSI]),
    ],
)
def test_a_bad_command_is_refused_in_one_sentence_and_changes_nothing(
    network: Network, action: object, imsi: object
) -> None:
    attached(network)
    before = network.snapshot()
    reply = command(network, action, imsi).reply
    assert (reply.result, reply.label) == ("rejected", "bad command")
    assert reply.error
    assert IMSI not in reply.error
    assert network.snapshot() == before


@pytest.mark.parametrize("action", [["page"], {"page": 1}])
def test_an_action_that_is_no_text_is_refused_as_any_other(network: Network, action: object) -> None:
    assert command(network, action).reply.label == "bad command"


@pytest.mark.parametrize("action", ACTIONS)
def test_an_unknown_subscriber_is_refused(network: Network, action: str) -> None:
    attached(network)
    before = network.snapshot()
    reply = command(network, action, "001010000099999").reply
    assert (reply.result, reply.label) == ("rejected", "unknown UE")
    assert network.snapshot() == before


@pytest.mark.parametrize("action", ACTIONS)
def test_an_index_row_that_names_anothers_context_hits_nobody(network: Network, action: str) -> None:
    """Index rows are hints, checked by the reader: the key may have been given to another UE."""
    idle(network)
    other = idle(network, "001010123456781")
    row = network.database.load(Table.IMSI, IMSI)
    theirs = network.database.load(Table.IMSI, "001010123456781")
    assert row is not None
    assert theirs is not None
    network.database.save(Table.IMSI, IMSI, theirs.value, expect=row.version, writer="test")
    mine = other.context()
    reply = command(network, action).reply
    assert (reply.result, reply.label) == ("rejected", "unknown UE")
    assert other.context() == mine
    assert network.pushes.attempts == []


@pytest.mark.parametrize("action", ["page", "detach", "detach-and-reattach"])
def test_one_that_has_left_is_refused(network: Network, action: str) -> None:
    back = attached(network)
    back.says(back.detach_request())
    reply = command(network, action).reply
    assert (reply.result, reply.label) == ("rejected", "not registered")


# --------------------------------------------------------------------------- good ones


def test_page_and_the_answer(network: Network) -> None:
    back = idle(network)
    exchange = command(network, "page")
    assert (exchange.reply.result, exchange.reply.label, exchange.reply.downlink) == ("done", "paging", [])
    (page,) = [s1ap.decode(d.s1ap) for d in network.pushes.taken]
    assert isinstance(page, Paging)
    assert page.ue_paging_id.m_tmsi == back.guti.m_tmsi  # type: ignore[union-attr]
    assert page.ue_identity_index == int(IMSI) % 1024
    back.comes(back.service_request())
    assert isinstance(back.heard[-1], InitialContextSetupRequest)
    back.set_up()
    network.pushes.attempts.clear()
    network.wait(30)
    assert network.pushes.attempts == [], "T3413 is over"


def test_page_of_a_connected_ue_sends_nothing(network: Network) -> None:
    attached(network)
    assert command(network, "page").reply.label == "already connected"
    assert network.pushes.attempts == []


@pytest.mark.parametrize(("action", "detach_type"), [("detach", 2), ("detach-and-reattach", 1)])
def test_detach_of_a_connected_ue(network: Network, action: str, detach_type: int) -> None:
    back = attached(network)
    assert command(network, action).reply.label == "detach request"
    back.pushed()
    assert back.told == [DetachRequestToUe(detach_type)]
    back.says(DetachAccept())
    assert isinstance(back.heard[-1], UeContextReleaseCommand)
    assert back.context().emm is EmmState.DEREGISTERED
    assert network.sessions() == []


@pytest.mark.parametrize(("action", "detach_type"), [("detach", 2), ("detach-and-reattach", 1)])
def test_detach_of_an_idle_ue_pages_it_first(network: Network, action: str, detach_type: int) -> None:
    """TS 23.401 5.3.8.3."""
    back = idle(network)
    assert command(network, action).reply.label == "paging"
    assert [type(s1ap.decode(d.s1ap)) for d in network.pushes.taken] == [Paging]
    back.comes(back.service_request())
    assert back.told == [DetachRequestToUe(detach_type)]
    back.says(DetachAccept())
    assert (back.context().emm, network.sessions()) == (EmmState.DEREGISTERED, [])


def test_detach_of_a_ue_whose_guti_is_being_reallocated_aborts_that(network: Network) -> None:
    back = attached(network)
    command(network, "reallocate-guti")
    assert command(network, "page", n=2).reply.label == "already connected"
    assert command(network, "detach", n=3).reply.label == "detach request"
    back.pushed()
    assert [type(told) for told in back.told] == [GutiReallocationCommand, DetachRequestToUe]
    back.says(GutiReallocationComplete())
    assert back.context().step is Step.DETACH, "a late answer"
    back.says(DetachAccept())
    assert (back.context().emm, network.sessions()) == (EmmState.DEREGISTERED, [])


def test_detach_in_the_middle_of_a_security_mode_control_is_to_be_asked_again(network: Network) -> None:
    """The same item once more, as whoever is told `retry` sends it, does what the first one could not."""
    back = attached(network)
    command(network, "authenticate")
    network.deliver()
    back.talk.step()
    assert network.context(back.talk).step is Step.SECURITY_MODE
    refused = command(network, "detach", n=2)
    assert (refused.reply.result, refused.reply.label) == ("retry", "busy: security mode command")
    back.talk.flow()
    assert network.context(back.talk).emm is EmmState.REGISTERED
    assert network.again(refused).reply.label == "detach request"


def test_new_keys_for_a_ue_that_has_no_configured_algorithm_any_more_end_in_its_detach(network: Network) -> None:
    """It is served under what it has until then; after it, its GUTI is void, and an attach tells what is wrong."""
    profile = Profile(plmn=PLMN, ue_network_capability=bytes.fromhex("8020"))  # EEA0 and EIA2
    sim = network.subscribe()
    talk = network.ue(sim, profile=profile)
    talk.run()
    network.config = replace(network.config, eea_order=(2,))
    assert command(network, "authenticate").reply.result == "done"
    network.deliver()
    talk.flow()
    assert talk.names[-3:] == ["Authentication Response", "Detach Accept", "UEContextReleaseComplete"]
    ctx = network.context(talk)
    assert (ctx.emm, ctx.guti, ctx.old_guti) == (EmmState.DEREGISTERED, None, None)
    assert network.sessions() == []
    again = network.ue(sim, profile=profile, usim=talk.ue.usim)
    again.flow()
    refused = [nas.decode(m.nas_pdu, 1) for m in again.messages() if isinstance(m, DownlinkNasTransport)][-1]
    assert refused == AttachReject(EmmCause.SECURITY_CAPABILITIES_MISMATCH)


def test_detach_without_an_answer_is_sent_five_times_each_under_a_count_of_its_own(network: Network) -> None:
    """TS 24.301 5.5.2.3.4 a: T3422 expires five times."""
    back = attached(network)
    command(network, "detach")
    begin = network.clock.now_s
    network.ticker.tick()
    for _ in range(60):
        network.clock.now_s += 1
        network.ticker.tick()
        back.pushed()
    assert back.told == [DetachRequestToUe(2)] * 5
    assert back.context().emm is EmmState.DEREGISTERED
    assert isinstance(back.heard[-1], UeContextReleaseCommand)
    assert network.clock.now_s - begin > 30


def test_reallocate_guti_and_its_complete(network: Network) -> None:
    back = attached(network)
    command(network, "reallocate-guti")
    back.pushed()
    (told,) = back.told
    assert isinstance(told, GutiReallocationCommand)
    assert (back.context().guti, back.context().old_guti) == (told.guti, back.guti)
    back.says(GutiReallocationComplete())
    assert (back.context().guti, back.context().old_guti, back.context().step) == (told.guti, None, Step.NONE)


def test_reallocate_guti_without_complete_leaves_both_valid(network: Network) -> None:
    """TS 24.301 5.4.1.6 b: the fifth expiry of T3450."""
    back = attached(network)
    command(network, "reallocate-guti")
    for _ in range(40):
        network.clock.now_s += 1
        network.ticker.tick()
        back.pushed()
    assert len(back.told) == 5
    assert len(set(map(repr, back.told))) == 1
    assert back.context().emm is EmmState.REGISTERED
    for guti in (back.guti, back.told[0].guti):  # type: ignore[attr-defined]
        back.guti = guti
        assert back.comes(back.service_request()).reply.label == "service request"


def test_reallocate_guti_of_an_idle_ue_is_refused(network: Network) -> None:
    back = idle(network)
    mine = back.context()
    assert command(network, "reallocate-guti").reply.result == "rejected"
    assert back.context().guti == mine.guti


@pytest.mark.parametrize("action", ACTIONS)
def test_the_same_command_again_begins_nothing_twice(network: Network, action: str) -> None:
    attached(network) if action == "reallocate-guti" else idle(network)
    first = command(network, action)
    before = network.snapshot()
    attempts = len(network.pushes.attempts)
    again = network.again(first)
    assert again.reply == first.reply
    assert (network.snapshot(), len(network.pushes.attempts)) == (before, attempts)
