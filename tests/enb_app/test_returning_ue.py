"""The UE after its attach: idle, back, elsewhere, renamed, sent away."""

from __future__ import annotations

import pytest

from enb_app.effects import (
    AreaUpdated,
    DetachedByNetwork,
    Ended,
    GutiTaken,
    SendNas,
    ServiceGranted,
    StartTimer,
    UeEffect,
    Verdict,
)
from enb_app.profile import T3417, T3430, Profile, State
from enb_app.ue import Ue
from enb_app.usim import Usim
from mme.codec import nas
from mme.crypto import kdf, nas_security
from mme.enums import DetachType, Direction, EmmCause, IdentityType, SecurityHeader
from mme.ids import Guti, STmsi, Tai
from mme.messages import (
    AttachRequest,
    AuthenticationResponse,
    DetachAccept,
    DetachRequestToUe,
    EmmMessage,
    EmmStatus,
    GutiReallocationCommand,
    GutiReallocationComplete,
    IdentityRequest,
    IdentityResponse,
    ServiceReject,
    TrackingAreaUpdateAccept,
    TrackingAreaUpdateComplete,
    TrackingAreaUpdateReject,
    TrackingAreaUpdateRequest,
)
from tests.enb_app.fake_mme import GUTI, PLMN, SUBSCRIBER, FakeNetwork

NEW_GUTI = Guti(GUTI.gummei, GUTI.m_tmsi ^ 0xFFFF)


def attached() -> tuple[Ue, FakeNetwork]:
    ue, network = Ue(Usim(SUBSCRIBER), Profile(PLMN)), FakeNetwork()
    ue.attach()
    ue.receive(network.challenge())
    network.read(only(ue.receive(network.command())).octets)
    network.read(only(ue.receive(network.accept())).octets)
    return ue, network


def idle() -> tuple[Ue, FakeNetwork]:
    ue, network = attached()
    assert ue.connection_released("user-inactivity") == []
    return ue, network


def only(effects: list[UeEffect]) -> SendNas:
    (message,) = [effect for effect in effects if isinstance(effect, SendNas)]
    return message


def ended(effects: list[UeEffect]) -> Ended:
    (end,) = [effect for effect in effects if isinstance(effect, Ended)]
    return end


def signed(network: FakeNetwork, octets: bytes) -> EmmMessage:
    """A message under the network's next uplink count, signed and not ciphered."""
    envelope = nas.open_envelope(octets)
    assert envelope
    assert envelope.header is SecurityHeader.INTEGRITY
    key = kdf.k_nas_int(network.k_asme, 2)
    assert nas_security.mac(2, key, network.ul_count, 0, Direction.UPLINK, octets[5:]) == envelope.mac
    network.ul_count += 1
    return nas.decode(envelope.payload)


def test_service_request_carries_five_bits_of_the_count_and_half_a_mac() -> None:
    ue, network = idle()
    effects = ue.service_request(paged=True)
    message = only(effects)
    assert len(message.octets) == 4
    assert message.octets[0] == 0xC7
    assert message.octets[1] == network.ul_count & 0x1F  # key set 0
    key = kdf.k_nas_int(network.k_asme, 2)
    assert message.octets[2:] == nas_security.mac(2, key, network.ul_count, 0, 0, message.octets[:2])[2:]
    assert message.s_tmsi == STmsi(GUTI.gummei.mme_code, GUTI.m_tmsi)
    assert message.establishment_cause == "mt-Access"
    assert StartTimer(T3417, 5.0) in effects


def test_service_is_granted_by_bearers_under_the_ues_own_key_only() -> None:
    ue, network = idle()
    ue.service_request()
    other = Ue(Usim(SUBSCRIBER), Profile(PLMN))
    other.__dict__.update({**ue.__dict__})
    wrong = ended(other.bearers_established(bytes(32)))
    assert (wrong.verdict, wrong.connection_lost) == (Verdict.FAILED, True)
    assert ServiceGranted() in ue.bearers_established(kdf.k_enb(network.k_asme, network.ul_count))
    assert (ue.state, ue.secure) == (State.REGISTERED, True)


def test_five_bits_wrap_and_the_count_goes_on() -> None:
    ue, network = idle()
    seen = set()
    for _ in range(40):
        seen.add(only(ue.service_request()).octets)
        network.ul_count += 1
        assert ServiceGranted() in ue.bearers_established(kdf.k_enb(network.k_asme, network.ul_count - 1))
        ue.connection_released("user-inactivity")
    assert len(seen) == 40


def test_an_update_from_idle_is_signed_and_not_ciphered_and_tells_the_bearers() -> None:
    ue, network = idle()
    effects = ue.update_area(active=True, bearers=ue.bearer_status())
    request = signed(network, only(effects).octets)
    assert isinstance(request, TrackingAreaUpdateRequest)
    assert (request.update_type, request.active, request.old_guti) == (0, True, GUTI)
    assert request.eps_bearer_context_status == 1 << 5
    assert StartTimer(T3430, 15.0) in effects


def test_an_update_while_connected_is_ciphered() -> None:
    ue, network = attached()
    octets = only(ue.update_area()).octets
    assert octets[0] >> 4 == SecurityHeader.INTEGRITY_CIPHERED
    assert isinstance(network.read(octets), TrackingAreaUpdateRequest)


def test_a_new_guti_in_the_accept_is_answered_each_time_it_comes() -> None:
    ue, network = idle()
    signed(network, only(ue.update_area()).octets)
    accept = TrackingAreaUpdateAccept(0, 3240, NEW_GUTI, (Tai(PLMN, 8),))
    for _ in range(2):
        effects = ue.receive(network.send(accept))
        assert AreaUpdated(accept) in effects
        assert network.read(only(effects).octets) == TrackingAreaUpdateComplete()
    assert (ue.guti, ue.tai_list, ue.state) == (NEW_GUTI, (Tai(PLMN, 8),), State.REGISTERED)


def test_without_a_new_guti_there_is_no_complete() -> None:
    ue, network = idle()
    ue.update_area()
    effects = ue.receive(network.send(TrackingAreaUpdateAccept(0, 3240)))
    assert not [effect for effect in effects if isinstance(effect, SendNas)]
    assert ue.guti == GUTI


def test_an_update_tells_what_has_changed() -> None:
    """TS 24.301 table 8.2.29.1: IEI 5C with 2 octets, IEI A with the flag in bit 1."""
    ue, network = idle()
    plain = signed(network, only(ue.update_area()).octets)
    told = signed(network, only(ue.update_area(drx_parameter=b"\x0a\x00", radio_capability_changed=True)).octets)
    assert nas.encode(told) == nas.encode(plain) + bytes.fromhex("5c0a00a1")


def test_a_bearer_that_the_network_has_not_is_dropped() -> None:
    ue, network = idle()
    ue.update_area()
    ue.receive(network.send(TrackingAreaUpdateAccept(0, 3240, eps_bearer_context_status=0)))
    assert ue.bearer is None


@pytest.mark.parametrize(
    ("reject", "keeps"),
    [
        (TrackingAreaUpdateReject(EmmCause.UE_IDENTITY_CANNOT_BE_DERIVED), False),
        (TrackingAreaUpdateReject(EmmCause.IMPLICITLY_DETACHED), True),
        (TrackingAreaUpdateReject(EmmCause.TRACKING_AREA_NOT_ALLOWED), False),
        (TrackingAreaUpdateReject(EmmCause.NO_EPS_BEARER_CONTEXT_ACTIVATED), True),
        (ServiceReject(EmmCause.UE_IDENTITY_CANNOT_BE_DERIVED), False),
        (ServiceReject(EmmCause.IMPLICITLY_DETACHED), True),
    ],
)
def test_a_refusal_deregisters_and_some_causes_take_name_and_keys(reject: EmmMessage, keeps: bool) -> None:
    ue, _ = idle()
    ue.update_area()
    assert ended(ue.receive(nas.encode(reject))).verdict is Verdict.REJECTED
    assert ue.state is State.DEREGISTERED
    assert ((ue.guti is not None), (ue.security is not None)) == (keeps, keeps)


def test_service_reject_18_leaves_the_ue_registered() -> None:
    ue, network = idle()
    signed(network, only(ue.extended_service_request()).octets)
    end = ended(ue.receive(network.send(ServiceReject(EmmCause.CS_DOMAIN_NOT_AVAILABLE))))
    assert end.emm_cause == EmmCause.CS_DOMAIN_NOT_AVAILABLE
    assert (ue.state, ue.guti) == (State.REGISTERED, GUTI)


def test_a_plain_reject_counts_only_before_secure_exchange() -> None:
    ue, network = idle()
    ue.service_request()
    ue.bearers_established(kdf.k_enb(network.k_asme, network.ul_count))
    assert ue.receive(nas.encode(ServiceReject(EmmCause.ILLEGAL_UE))) == []
    assert (ue.discarded, ue.state) == (1, State.REGISTERED)


def test_after_a_release_a_plain_challenge_is_answered_signed_again() -> None:
    ue, network = idle()
    request = signed(network, only(ue.attach()).octets)
    assert isinstance(request, AttachRequest)
    assert (request.identity, request.nas_ksi, request.last_visited_tai) == (GUTI, 0, Tai(PLMN, 7))
    fresh = FakeNetwork()
    answer = signed(network, only(ue.receive(fresh.challenge(sqn=9, ksi=1))).octets)
    assert isinstance(answer, AuthenticationResponse)


def test_reattach_with_the_context_takes_k_enb_from_the_attach_request() -> None:
    ue, network = idle()
    count = network.ul_count
    ue.attach()
    assert ue.bearers_established(kdf.k_enb(network.k_asme, count)) == []
    assert ended(ue.bearers_established(kdf.k_enb(network.k_asme, count + 1)))


def test_guti_reallocation() -> None:
    ue, network = attached()
    effects = ue.receive(network.send(GutiReallocationCommand(NEW_GUTI)))
    assert GutiTaken() in effects
    assert network.read(only(effects).octets) == GutiReallocationComplete()
    assert (ue.guti, ue.tai_list) == (NEW_GUTI, (Tai(PLMN, 7),))


@pytest.mark.parametrize(("kind", "reattach"), [(1, True), (2, False)])
def test_network_detach(kind: int, reattach: bool) -> None:
    ue, network = attached()
    effects = ue.receive(network.send(DetachRequestToUe(kind)))
    assert DetachedByNetwork(reattach) in effects
    assert network.read(only(effects).octets) == DetachAccept()
    assert (ue.state, ue.bearer) == (State.DEREGISTERED, None)
    assert ue.guti == GUTI


def test_network_imsi_detach_changes_nothing() -> None:
    ue, network = attached()
    effects = ue.receive(network.send(DetachRequestToUe(3)))
    assert network.read(only(effects).octets) == DetachAccept()
    assert (ue.state, ue.bearer is not None) == (State.REGISTERED, True)


def test_own_imsi_detach_leaves_it_registered() -> None:
    ue, network = attached()
    ue.detach(switch_off=False, detach_type=DetachType.IMSI)
    assert ue.state is State.REGISTERED
    ue.receive(network.send(DetachAccept()))
    assert ue.state is State.REGISTERED


def test_a_replayed_downlink_is_dropped() -> None:
    ue, network = attached()
    command = network.send(GutiReallocationCommand(NEW_GUTI))
    ue.receive(command)
    assert ue.receive(command) == []
    assert ue.discarded == 1


def test_identity_requests_are_answered_and_the_imeisv_only_when_secure() -> None:
    ue, network = attached()
    answer = network.read(only(ue.receive(network.send(IdentityRequest(IdentityType.IMEISV)))).octets)
    assert isinstance(answer, IdentityResponse)
    ue.connection_released("x")
    ue.attach()
    assert ue.receive(nas.encode(IdentityRequest(IdentityType.IMEISV))) == []


@pytest.mark.parametrize("timer", [T3417, T3430])
def test_no_answer_in_time_ends_it(timer: str) -> None:
    ue, _ = idle()
    _ = ue.service_request() if timer == T3417 else ue.update_area()
    end = ended(ue.expire(timer))
    assert (end.verdict, end.connection_lost) == (Verdict.FAILED, True)
    assert ue.expire(timer) == []


def test_a_message_that_it_is_told_not_to_answer_can_be_answered_later() -> None:
    ue, network = attached()
    ue.silent_to.add(GutiReallocationCommand)
    command = GutiReallocationCommand(NEW_GUTI)
    assert not [e for e in ue.receive(network.send(command)) if isinstance(e, SendNas)]
    assert ue.guti == GUTI
    assert GutiTaken() in ue.react(command)


def test_emm_status_is_never_answered() -> None:
    ue, network = attached()
    assert not [e for e in ue.receive(network.send(EmmStatus(97))) if isinstance(e, SendNas)]


def test_a_ue_without_context_cannot_return() -> None:
    ue = Ue(Usim(SUBSCRIBER), Profile(PLMN))
    with pytest.raises(ValueError, match="security context"):
        ue.service_request()
    with pytest.raises(ValueError, match="GUTI"):
        ue.update_area()
