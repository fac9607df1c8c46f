"""A UE that the MME knows comes back on a new connection: what its integrity proves, and what a forger gets."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import pytest

from mme.codec import nas, s1ap
from mme.config import MmeConfig
from mme.enums import EmmCause, EmmState, SecurityHeader, Step
from mme.m_tmsi import context_of
from mme.messages import (
    ActivateDefaultEpsBearerContextAccept,
    AttachAccept,
    AttachComplete,
    DetachAccept,
    EmmStatus,
    ErrorIndication,
    IdentityRequest,
    InitialContextSetupRequest,
    ServiceReject,
    TrackingAreaUpdateAccept,
    TrackingAreaUpdateComplete,
    TrackingAreaUpdateReject,
    UeContextReleaseCommand,
    UeContextReleaseRequest,
)
from mme.needs import ModifySession
from mme.rows import pack
from mme.store.base import Table
from tests.mme.procedures.conftest import RADIO_LOST
from tests.mme.runtime.pair import ENB, M_TMSI_KEY, OTHER_ENB, Exchange, Network
from tests.mme.runtime.returning import Returning, attached, idle


def downlinks(exchange: Exchange) -> list[object]:
    return [s1ap.decode(d.s1ap) for d in exchange.reply.downlink]


def plain_nas(exchange: Exchange) -> object:
    first = s1ap.decode(exchange.reply.downlink[0].s1ap)
    octets = first.nas_pdu  # type: ignore[attr-defined]
    return nas.decode(octets, 1)


# --------------------------------------------------------------------------- the ordinary case


def test_service_request_from_idle_brings_the_bearer_back(network: Network) -> None:
    back = idle(network)
    exchange = back.comes(back.service_request())
    assert (exchange.message, exchange.reply.result, exchange.reply.label) == (
        "ServiceRequest",
        "done",
        "service request",
    )
    (setup,) = back.heard
    assert isinstance(setup, InitialContextSetupRequest)
    assert [e.e_rab_id for e in setup.e_rabs] == [5]
    assert (back.context().emm, back.context().connection.enb_ue_s1ap_id) == (EmmState.REGISTERED, back.number)
    back.set_up()
    told = network.gateway.asked[-1]
    assert isinstance(told, ModifySession)
    assert told.enb_teid == back.number << 4 | 5
    assert len(network.contexts()) == 1, "no context of its own is made"


def test_tracking_area_update_from_idle_gives_a_guti_and_goes_back_to_idle(network: Network) -> None:
    back = idle(network)
    old = back.guti
    back.comes(back.sealed(back.update_request()))
    (accept,) = back.told
    assert isinstance(accept, TrackingAreaUpdateAccept)
    assert accept.guti not in (None, old)
    back.says(TrackingAreaUpdateComplete())
    assert isinstance(back.heard[-1], UeContextReleaseCommand)
    ctx = back.context()
    assert (ctx.emm, ctx.connection, ctx.guti, ctx.old_guti) == (EmmState.REGISTERED, None, accept.guti, None)


@pytest.mark.parametrize("elsewhere", [False, True], ids=["same connection", "new connection"])
def test_an_update_while_the_enb_sets_the_context_up_ends_only_a_connection_of_its_own(
    network: Network, elsewhere: bool
) -> None:
    """The one that the service request was for stays; a new one, for the update alone, is released after it."""
    back = idle(network)
    back.comes(back.service_request())
    update = back.update_request()
    if elsewhere:
        back.comes(back.sealed(update))
    else:
        back.says(update)
    assert isinstance(back.told[-1], TrackingAreaUpdateAccept)
    back.says(TrackingAreaUpdateComplete())
    ctx = back.context()
    assert ctx.emm is EmmState.REGISTERED
    if elsewhere:
        assert isinstance(back.heard[-1], UeContextReleaseCommand)
        assert ctx.connection is None
        return
    assert not any(isinstance(message, UeContextReleaseCommand) for message in back.heard)
    assert back.set_up().reply.label == "context set up"
    told = network.gateway.asked[-1]
    assert isinstance(told, ModifySession)
    assert told.enb_teid == back.number << 4 | 5
    network.wait(60)
    assert back.context().on_the_radio, "neither T3450 nor the guard of the setup runs any more"


def test_the_new_guti_is_good_and_the_old_one_is_void_after_complete(network: Network) -> None:
    back = idle(network)
    old = back.guti
    back.comes(back.sealed(back.update_request()))
    new = back.told[0].guti  # type: ignore[attr-defined]
    back.says(TrackingAreaUpdateComplete())
    back.release_complete()
    back.guti = new
    assert back.comes(back.service_request()).reply.label == "service request"
    back.guti = old
    assert back.comes(back.service_request()).reply.label == "no context"


def test_until_complete_the_old_guti_is_good_too(network: Network) -> None:
    back = idle(network)
    back.comes(back.sealed(back.update_request()))
    assert back.context().step is Step.TAU_COMPLETE
    assert back.comes(back.service_request()).reply.label == "service request"
    assert back.context().old_guti == back.guti


def test_a_guti_that_the_ue_never_lost_is_good_however_many_updates_were_lost(network: Network) -> None:
    """5.5.3.2.7 c: every accept is lost on the way, and the UE still goes by its first GUTI."""
    back = idle(network)
    for _ in range(4):
        assert back.comes(back.sealed(back.update_request())).reply.label == "tracking area update accept"
        network.wait(40)
        assert back.context().emm is EmmState.REGISTERED


def test_attach_by_known_guti_is_not_authenticated(network: Network) -> None:
    back = idle(network)
    asked = len(network.hss.asked)
    sqn = network.sqn()
    back.comes(back.sealed(back.attach_request()))
    (accept,) = back.told
    assert isinstance(accept, AttachAccept)
    back.set_up()
    back.says(AttachComplete(ActivateDefaultEpsBearerContextAccept(5, 0)))
    assert network.sqn() == sqn
    assert [type(n).__name__ for n in network.hss.asked[asked:]] == ["NeedProfile"]
    assert (back.context().emm, back.context().guti) == (EmmState.REGISTERED, accept.guti)
    assert len(network.sessions()) == 1
    assert len(network.contexts()) == 1


def test_detach_from_idle_ends_it(network: Network) -> None:
    back = idle(network)
    back.comes(back.sealed(back.detach_request()))
    assert back.told == [DetachAccept()]
    assert isinstance(back.heard[-1], UeContextReleaseCommand)
    assert back.context().emm is EmmState.DEREGISTERED
    assert network.sessions() == []


def test_attach_accept_is_accepted_by_the_use_of_its_guti(network: Network) -> None:
    """ATTACH COMPLETE is lost; the UE goes idle and comes back with the GUTI that only ATTACH ACCEPT told it."""
    talk = network.ue(network.subscribe())
    talk.until("UECapabilityInfoIndication")
    talk.queue.clear()
    back = Returning(network, talk)
    back.ul_count += 1  # the complete that was lost had a count
    assert network.context(talk).step is Step.ATTACH_COMPLETE
    back.comes(back.service_request())
    back.set_up()
    ctx = back.context()
    assert (ctx.emm, ctx.step) == (EmmState.REGISTERED, Step.NONE)
    network.wait(60)
    assert back.context().emm is EmmState.REGISTERED, "T3450 is over"
    assert ctx.tai_list == network.config.tai_list(network.cells[ENB].tai)


@pytest.mark.parametrize("elsewhere", [False, True], ids=["same connection", "new connection"])
def test_an_update_before_attach_complete_is_told_10_and_the_attach_is_over(network: Network, elsewhere: bool) -> None:
    """TS 24.301 5.5.1.2.7 g.  That its GUTI is good for the next attach: test_deregistered_ue.py."""
    talk = network.ue(network.subscribe())
    talk.until("UECapabilityInfoIndication")
    talk.queue.clear()
    back = Returning(network, talk)
    if elsewhere:
        back.comes(back.sealed(back.update_request()))
    else:
        back.says(back.update_request())
    assert back.told == [TrackingAreaUpdateReject(EmmCause.IMPLICITLY_DETACHED)]
    assert isinstance(back.heard[-1], UeContextReleaseCommand)
    assert (back.context().emm, network.sessions()) == (EmmState.DEREGISTERED, [])
    network.pushes.attempts.clear()
    network.wait(60)
    assert [c.step for c in network.contexts()] in ([], [Step.NONE]), "T3450 is over"


# --------------------------------------------------------------------------- forged


def _service(back: Returning) -> bytes:
    return back.service_request(wrong=True)


def _attach(back: Returning) -> bytes:
    return back.sealed(back.attach_request(), wrong=True)


def _update(back: Returning) -> bytes:
    return back.sealed(back.update_request(), wrong=True)


def _detach(back: Returning) -> bytes:
    return back.sealed(back.detach_request(), wrong=True)


def _switch_off(back: Returning) -> bytes:
    return back.sealed(back.detach_request(switch_off=True), wrong=True)


def _plain_detach(back: Returning) -> bytes:
    return nas.encode(back.detach_request())


def _plain_update(back: Returning) -> bytes:
    return nas.encode(back.update_request())


def _plain_attach(back: Returning) -> bytes:
    return nas.encode(back.attach_request())


FORGED = [_service, _attach, _update, _detach, _switch_off, _plain_detach, _plain_update, _plain_attach]


@pytest.mark.parametrize("state", [idle, attached], ids=["idle", "connected"])
@pytest.mark.parametrize("forge", FORGED, ids=lambda f: f.__name__.strip("_"))
def test_a_forger_with_the_right_guti_leaves_the_registered_ue_untouched(
    network: Network, forge: Callable[[Returning], bytes], state: Callable[[Network], Returning]
) -> None:
    back = state(network)
    before = network.snapshot()
    key = str(back.context().key)
    network.pushes.attempts.clear()
    exchange = back.comes(forge(back))
    after = network.snapshot()
    assert after["ue_context"][key] == before["ue_context"][key]
    assert {t: after[t] for t in ("imsi", "address", "subscriber")} == {
        t: before[t] for t in ("imsi", "address", "subscriber")
    }
    assert network.pushes.attempts == []
    assert not any(isinstance(m, InitialContextSetupRequest) for m in downlinks(exchange))


@pytest.mark.parametrize(
    ("forge", "answer"),
    [
        (_service, ServiceReject(EmmCause.UE_IDENTITY_CANNOT_BE_DERIVED)),
        (_update, TrackingAreaUpdateReject(EmmCause.UE_IDENTITY_CANNOT_BE_DERIVED)),
        (_attach, IdentityRequest(1)),  # type: ignore[arg-type]
        (_detach, DetachAccept()),
    ],
)
def test_what_a_forger_is_told(network: Network, forge: Callable[[Returning], bytes], answer: object) -> None:
    """TS 24.301 4.4.4.3: #9 and the context unchanged; an attach is identified anew."""
    back = idle(network)
    assert plain_nas(back.comes(forge(back))) == answer


def test_the_real_ue_is_served_after_any_number_of_forgeries(network: Network) -> None:
    back = idle(network)
    for forge in FORGED:
        back.comes(forge(back))
    assert back.comes(back.service_request()).reply.label == "service request"


# --------------------------------------------------------------------------- again


def test_a_replayed_service_request_is_refused_and_changes_nothing(network: Network) -> None:
    back = idle(network)
    octets = back.service_request()
    back.comes(octets)
    back.set_up()
    before = network.snapshot()["ue_context"][str(back.context().key)]
    exchange = back.comes(octets)
    assert exchange.reply.result == "rejected"
    assert plain_nas(exchange) == ServiceReject(EmmCause.UE_IDENTITY_CANNOT_BE_DERIVED)
    assert network.snapshot()["ue_context"][str(back.context().key)] == before


@pytest.mark.parametrize("kind", ["service", "update", "attach", "detach"])
def test_every_protected_first_message_counts_once(network: Network, kind: str) -> None:
    back = idle(network)
    octets = {
        "service": back.service_request,
        "update": lambda: back.sealed(back.update_request()),
        "attach": lambda: back.sealed(back.attach_request()),
        "detach": lambda: back.sealed(back.detach_request()),
    }[kind]()
    back.comes(octets)
    key = str(back.context().key)
    before = network.snapshot()["ue_context"][key]
    back.comes(octets)
    assert network.snapshot()["ue_context"][key] == before


@pytest.mark.parametrize("forged", [False, True])
def test_a_duplicate_item_gets_the_same_bytes_and_changes_nothing(network: Network, forged: bool) -> None:
    back = idle(network)
    first = back.comes(back.service_request(wrong=forged))
    before = network.snapshot()
    again = network.again(first)
    assert again.reply == first.reply
    assert network.snapshot() == before


def test_an_id_that_was_used_for_another_message_is_refused(network: Network) -> None:
    back = idle(network)
    first = back.comes(back.service_request())
    before = network.snapshot()
    other = replace(first, item=_with(first, back.initial(back.service_request())))
    assert network.again(other).reply.label == "id reused"
    assert network.snapshot() == before


def _with(exchange: Exchange, octets: bytes) -> object:
    import msgspec  # noqa: PLC0415

    return msgspec.structs.replace(exchange.item, s1ap=octets)


# --------------------------------------------------------------------------- on another eNB


def test_on_another_enb_the_old_connection_is_released_by_a_push(network: Network) -> None:
    network.set_up("there", enb=OTHER_ENB)
    back = attached(network)
    old = back.talk
    exchange = back.comes(back.service_request(), enb=OTHER_ENB)
    assert [type(m) for m in downlinks(exchange)] == [InitialContextSetupRequest]
    assert [enb for enb, _ in network.pushes.attempts] == [ENB]
    network.deliver()
    assert isinstance(old.messages()[-1], UeContextReleaseCommand)
    old.flow()
    assert [c.enb for c in back.context().connections] == [OTHER_ENB]


def test_on_the_same_enb_it_is_released_in_the_reply(network: Network) -> None:
    back = attached(network)
    exchange = back.comes(back.service_request())
    assert [type(m) for m in downlinks(exchange)] == [UeContextReleaseCommand, InitialContextSetupRequest]
    assert [d.ue for d in exchange.reply.downlink] == [back.talk.number, back.number]
    assert network.pushes.attempts == []


def test_two_enbs_may_use_one_ue_id(network: Network) -> None:
    """ENB-UE-S1AP-ID is unique within an eNB only (TS 36.413 9.2.3.4): the push is for the old one all the same."""
    network.set_up("there", enb=OTHER_ENB)
    back = attached(network)
    number = back.talk.number
    back.comes(back.service_request(), enb=OTHER_ENB, number=number)
    assert [enb for enb, _ in network.pushes.attempts] == [ENB]
    assert [d.enb for d in network.pushes.taken] == [ENB]


@pytest.mark.parametrize("there", [True, False], ids=["another eNB", "the same eNB"])
def test_of_an_older_association_nothing_is_released(network: Network, there: bool) -> None:
    """Its UE ids may be other UEs' by now."""
    network.set_up("there", enb=OTHER_ENB)
    back = attached(network)
    network.event("association-lost")
    network.set_up("epoch-2")
    exchange = back.comes(back.service_request(), enb=OTHER_ENB if there else ENB)
    assert [type(m) for m in downlinks(exchange)] == [InitialContextSetupRequest]
    network.wait(5)
    assert network.pushes.attempts == []
    assert back.context().outbox == ()


def test_a_ue_on_a_lost_association_comes_back_by_service_request(network: Network) -> None:
    back = attached(network)
    network.event("association-lost")
    network.set_up("epoch-2")
    back.comes(back.service_request())
    back.set_up()
    ctx = back.context()
    assert (ctx.emm, ctx.connection.epoch, ctx.connection.enb_ue_s1ap_id) == (
        EmmState.REGISTERED,
        "epoch-2",
        back.number,
    )
    assert len(network.sessions()) == 1


# --------------------------------------------------------------------------- late messages of the old connection


def test_late_messages_of_the_old_connection_change_nothing(network: Network) -> None:
    back = attached(network)
    old = Returning(network, back.talk)
    old.ul_count = back.ul_count + 10
    back.comes(back.service_request())
    back.set_up()
    mine = back.context()
    request = UeContextReleaseRequest(old.mme_id, old.number, RADIO_LOST)  # type: ignore[arg-type]
    for exchange in (old.sends(request), old.says(EmmStatus(97))):
        assert (exchange.reply.result, exchange.reply.downlink) == ("stale", [])
    assert back.context() == mine


def test_release_complete_of_the_old_connection_takes_it_off_the_list_and_nothing_else(network: Network) -> None:
    back = attached(network)
    old = Returning(network, back.talk)
    back.comes(back.service_request())
    mine = back.context()
    assert old.release_complete().reply.result == "done"
    after = back.context()
    assert (after.connection, after.emm, len(after.connections)) == (mine.connection, EmmState.REGISTERED, 1)


def test_after_that_an_uplink_on_it_is_answered_by_error_indication(network: Network) -> None:
    """TS 36.413 10.6."""
    back = attached(network)
    old = Returning(network, back.talk)
    back.comes(back.service_request())
    old.release_complete()
    old.ul_count += 20
    exchange = old.says(EmmStatus(97))
    (indication,) = downlinks(exchange)
    assert isinstance(indication, ErrorIndication)
    assert (indication.cause.value, exchange.reply.result) == ("unknown-mme-ue-s1ap-id", "stale")  # type: ignore[union-attr]


def test_ids_of_a_ues_connections_are_not_used_again_at_once(network: Network) -> None:
    back = attached(network)
    seen = [back.mme_id]
    for _ in range(20):
        back.comes(back.service_request())
        listed = [c.mme_ue_s1ap_id for c in back.context().connections]
        assert len(listed) == len(set(listed))
        assert back.mme_id not in seen[-10:]
        seen.append(back.mme_id)


def test_a_first_message_that_begins_nothing_is_turned_away(network: Network) -> None:
    back = attached(network)
    mine = back.context().connection
    exchange = back.comes(back.sealed(EmmStatus(97)))
    (command,) = downlinks(exchange)
    assert isinstance(command, UeContextReleaseCommand)
    assert command.enb_ue_s1ap_id == back.number
    assert exchange.reply.downlink[0].ue == back.number
    assert back.context().connection == mine
    assert back.release_complete().reply.result == "done"


# --------------------------------------------------------------------------- policy, counts


def test_policy_asks_a_known_ue_for_authentication(tmp_path: Path) -> None:
    made = Network(tmp_path, config=MmeConfig(m_tmsi_key=M_TMSI_KEY, authenticate_known=True))
    try:
        back = idle(made)
        sqn = made.sqn()
        back.comes(back.sealed(back.attach_request()))
        assert made.sqn() > sqn
        assert [type(m).__name__ for m in back.told] == ["AuthenticationRequest"]
    finally:
        made.close()


NEW_M_TMSI_KEY = bytes(range(7, 39))


def goes_idle(back: Returning) -> None:
    assert back.mme_id is not None
    back.sends(UeContextReleaseRequest(back.mme_id, back.number, RADIO_LOST))
    back.release_complete()


def test_the_key_of_the_m_tmsis_is_replaced_and_whoever_comes_back_meanwhile_need_not_attach(network: Network) -> None:
    """docs/operations.md, Replace a key: accepted, in use, alone."""
    early, late = idle(network), idle(network, "001010123456781")
    for keys in ((M_TMSI_KEY, NEW_M_TMSI_KEY), (NEW_M_TMSI_KEY, M_TMSI_KEY)):
        network.config = replace(network.config, m_tmsi_key=keys[0], other_m_tmsi_keys=keys[1:])
        assert early.comes(early.service_request()).reply.label == "service request"
        goes_idle(early)
    early.comes(early.sealed(early.update_request()))
    early.guti = early.told[-1].guti  # type: ignore[attr-defined]
    assert context_of(NEW_M_TMSI_KEY, early.guti.m_tmsi)[0] == early.context().key
    early.says(TrackingAreaUpdateComplete())
    early.release_complete()
    network.config = replace(network.config, m_tmsi_key=NEW_M_TMSI_KEY, other_m_tmsi_keys=())
    assert early.comes(early.service_request()).reply.label == "service request"
    late.comes(late.service_request())
    assert late.told[-1] == ServiceReject(EmmCause.UE_IDENTITY_CANNOT_BE_DERIVED), "it has slept through all of it"


def test_two_ues_with_one_m_tmsi_under_two_keys_are_told_apart_by_their_integrity(network: Network) -> None:
    mine, other = idle(network), idle(network, "001010123456781").context()
    key, _ = context_of(NEW_M_TMSI_KEY, mine.guti.m_tmsi)
    twin = replace(other, key=key, guti=mine.guti)
    network.database.save(Table.UE_CONTEXT, str(key), pack(twin), expect=None, writer="test")
    network.config = replace(network.config, m_tmsi_key=NEW_M_TMSI_KEY, other_m_tmsi_keys=(M_TMSI_KEY,))
    assert mine.comes(mine.service_request()).reply.label == "service request"
    assert mine.context().connection is not None


def test_a_ciphered_first_message_is_found_by_its_s_tmsi(network: Network) -> None:
    back = idle(network)
    octets = back.sealed(back.update_request(), SecurityHeader.INTEGRITY_CIPHERED)
    assert back.comes(octets).reply.label == "tracking area update accept"


def test_the_guti_that_a_service_request_shows_is_the_one_that_is_valid(network: Network) -> None:
    """5.4.1.6 a: "shall consider the new GUTI as valid if it is used by the UE"; the old one is then void."""
    back = idle(network)
    old = back.guti
    back.comes(back.sealed(back.update_request()))
    back.guti = back.told[0].guti  # type: ignore[attr-defined]  # the complete is lost
    back.comes(back.service_request())
    assert (back.context().guti, back.context().old_guti) == (back.guti, None)
    back.guti = old
    assert back.comes(back.service_request()).reply.label == "no context"


def test_an_attach_ends_the_update_that_it_crosses_so_that_the_next_update_is_answered(network: Network) -> None:
    back = attached(network)
    back.says(back.update_request())
    back.says(back.attach_request())
    back.guti = back.told[-1].guti
    back.set_up()
    back.says(AttachComplete(ActivateDefaultEpsBearerContextAccept(5, 0)))
    assert back.context().updating is None
    back.says(back.update_request())
    assert isinstance(back.told[-1], TrackingAreaUpdateAccept)
