"""A UE that is deregistered attaches by the GUTI and the keys that it holds (TS 23.401 4.6.2; TS 24.301 5.5.1.2.7)."""

from __future__ import annotations

from collections.abc import Callable

import pytest

from mme.codec import nas, s1ap
from mme.enums import Direction, EmmCause, EmmState, Step
from mme.ids import Guti
from mme.messages import (
    ActivateDefaultEpsBearerContextAccept,
    AttachAccept,
    AttachComplete,
    AttachReject,
    AuthenticationResponse,
    DetachAccept,
    DetachRequestToUe,
    DownlinkNasTransport,
    EmmMessage,
    IdentityRequest,
    TrackingAreaUpdateReject,
)
from tests.mme.runtime.pair import IMSI, Network
from tests.mme.runtime.returning import Returning, attached, idle
from tests.mme.runtime.test_commands import command
from tests.mme.runtime.test_congestion import congested as congested  # noqa: PLC0414  the fixture

COMPLETE = AttachComplete(ActivateDefaultEpsBearerContextAccept(5, 0))


def by_the_ue(network: Network) -> Returning:
    back = attached(network)
    back.says(back.detach_request())
    assert back.told == [DetachAccept()]
    back.release_complete()
    return back


def by_the_ue_from_idle(network: Network) -> Returning:
    back = idle(network)
    back.comes(back.sealed(back.detach_request()))
    return back


def by_the_network(network: Network) -> Returning:
    back = attached(network)
    command(network, "detach-and-reattach")
    back.pushed()
    assert back.told == [DetachRequestToUe(1)]
    back.says(DetachAccept())
    return back


def by_an_update_before_attach_complete(network: Network) -> Returning:
    talk = network.ue(network.subscribe())
    talk.until("UECapabilityInfoIndication")
    talk.queue.clear()
    back = Returning(network, talk)
    back.says(back.update_request())
    assert back.told == [TrackingAreaUpdateReject(EmmCause.IMPLICITLY_DETACHED)]
    return back


WAYS = [by_the_ue, by_the_ue_from_idle, by_the_network, by_an_update_before_attach_complete]


def attaches(back: Returning) -> AttachAccept:
    """By its GUTI, under its keys: taken at once, and completed."""
    network = back.network
    asked, sqn = len(network.hss.asked), network.sqn()
    back.told.clear()
    back.comes(back.sealed(back.attach_request()))
    (accept,) = back.told
    assert isinstance(accept, AttachAccept)
    back.set_up()
    back.says(COMPLETE)
    assert network.sqn() == sqn
    assert [type(need).__name__ for need in network.hss.asked[asked:]] == ["NeedProfile"]
    assert (back.context().emm, back.context().guti) == (EmmState.REGISTERED, accept.guti)
    assert len(network.sessions()) == len(network.contexts()) == 1
    return accept


def plain(back: Returning, octets: bytes) -> EmmMessage:
    """What it is told first, without protection: it is nobody."""
    first = s1ap.decode(back.comes(octets).reply.downlink[0].s1ap)
    assert isinstance(first, DownlinkNasTransport)
    assert isinstance(first.nas_pdu, bytes)
    return nas.decode(first.nas_pdu, Direction.DOWNLINK)


@pytest.mark.parametrize("leaves", WAYS)
def test_it_attaches_by_its_guti_without_authentication(
    network: Network, leaves: Callable[[Network], Returning]
) -> None:
    back = leaves(network)
    assert (back.context().emm, network.sessions()) == (EmmState.DEREGISTERED, [])
    attaches(back)
    assert command(network, "page", n=9).reply.label == "already connected", "the IMSI still leads there"
    network.wait(network.config.duplicates_s + 10, step_s=5)
    assert back.context().emm is EmmState.REGISTERED, "its row has no end any more"


@pytest.mark.parametrize("which", ["the old GUTI", "the new GUTI"])
def test_after_the_fifth_expiry_of_t3450_either_guti_will_do(network: Network, which: str) -> None:
    """5.5.1.2.7 c: "the network shall consider both the old and the new GUTI as valid"."""
    back = idle(network)
    old = back.guti
    back.told.clear()
    back.comes(back.sealed(back.attach_request()))
    back.set_up()
    (accept,) = back.told
    assert isinstance(accept, AttachAccept)
    for _ in range(40):
        network.clock.now_s += 1
        network.ticker.tick()
        back.pushed()
    gone = back.context()
    assert (gone.emm, gone.guti, gone.old_guti) == (EmmState.DEREGISTERED, accept.guti, old)
    back.guti = old if which == "the old GUTI" else accept.guti or old
    attaches(back)
    assert back.context().old_guti is None


def test_without_its_row_it_is_asked_who_it_is(network: Network) -> None:
    back = by_the_ue(network)
    network.wait(network.config.duplicates_s + 10, step_s=5)
    assert network.contexts() == []
    assert isinstance(plain(back, back.sealed(back.attach_request())), IdentityRequest)


def test_a_forger_with_its_guti_is_asked_who_it_is_and_leaves_it_alone(network: Network) -> None:
    back = by_the_ue(network)
    before = back.context()
    assert isinstance(plain(back, back.sealed(back.attach_request(), wrong=True)), IdentityRequest)
    assert back.context() == before
    attacher = back.network.contexts()
    assert [c.imsi for c in attacher if c.key != before.key] == [None]


def test_a_replayed_attach_request_is_that_of_a_forger(network: Network) -> None:
    back = by_the_ue(network)
    octets = back.sealed(back.attach_request())
    back.comes(octets)
    back.says(back.detach_request())
    assert back.context().old_guti == back.guti, "so that only its NAS COUNT is wrong"
    assert isinstance(plain(back, octets), IdentityRequest)


def test_where_attaches_are_refused_for_congestion_it_is_nobody(
    network: Network, request: pytest.FixtureRequest
) -> None:
    back = by_the_ue(network)
    before = back.context()
    request.getfixturevalue("congested")
    assert plain(back, back.sealed(back.attach_request())) == AttachReject(EmmCause.CONGESTION)
    assert back.context() == before


def test_who_has_attached_anew_with_other_keys_does_not_go_by_the_old_ones(network: Network) -> None:
    """Its old context was deregistered, and superseded by the new one: one subscriber, one context."""
    sim = network.subscribe()
    talk = network.ue(sim)
    talk.run()
    back = Returning(network, talk)
    back.says(back.detach_request())
    network.ue(sim, usim=talk.ue.usim).run()
    assert isinstance(plain(back, back.sealed(back.attach_request())), IdentityRequest)


def test_authentication_reject_takes_guti_and_keys_away(network: Network) -> None:
    """5.4.2.5: the UE deletes both."""
    back = attached(network)
    command(network, "authenticate")
    back.pushed()
    back.says(AuthenticationResponse(bytes(8)))
    gone = back.context()
    assert (gone.emm, gone.step, gone.guti) == (EmmState.DEREGISTERED, Step.NONE, None)
    assert isinstance(plain(back, back.sealed(back.attach_request())), IdentityRequest)


def test_any_other_message_finds_it_detached(network: Network) -> None:
    back = by_the_ue(network)
    told = plain(back, back.sealed(back.update_request()))
    assert told == TrackingAreaUpdateReject(EmmCause.IMPLICITLY_DETACHED)
    assert isinstance(back.guti, Guti)
    assert network.indexed(IMSI) == back.context().key
