"""The UE against hand-written message sequences."""

from __future__ import annotations

import pytest

from enb_app import capability
from enb_app.effects import Detached, Ended, NasReceived, Registered, SendNas, StartTimer, StopTimer, UeEffect, Verdict
from enb_app.ue import T3410, T3421, Profile, State, Ue
from enb_app.usim import Usim
from mme.codec import nas
from mme.crypto import milenage
from mme.enums import EmmCause, EsmCause, IdentityType, SecurityHeader
from mme.ids import Imei
from mme.messages import (
    AttachComplete,
    AttachReject,
    AttachRequest,
    AuthenticationFailure,
    AuthenticationReject,
    AuthenticationResponse,
    DetachAccept,
    DetachRequestFromUe,
    EmmInformation,
    EmmMessage,
    EmmStatus,
    EsmContainer,
    EsmInformationRequest,
    EsmInformationResponse,
    IdentityRequest,
    IdentityResponse,
    PdnConnectivityReject,
    PdnConnectivityRequest,
    SecurityModeCommand,
    SecurityModeComplete,
    SecurityModeReject,
)
from tests.enb_app.fake_mme import GUTI, PLMN, RAND, SUBSCRIBER, FakeNetwork

CAPTURED_ATTACH_REQUEST = bytes.fromhex("07417108091010103254760802f07000040201d011")
"""Of a real UE, see the captured InitialUEMessage in test_enb.py."""


def ue(**profile: object) -> Ue:
    return Ue(Usim(SUBSCRIBER), Profile(PLMN, **profile))  # type: ignore[arg-type]


def sent(effects: list[UeEffect]) -> list[SendNas]:
    return [effect for effect in effects if isinstance(effect, SendNas)]


def only(effects: list[UeEffect]) -> bytes:
    (message,) = sent(effects)
    return message.octets


def secured(subject: Ue, network: FakeNetwork) -> None:
    """Attach up to the security context."""
    subject.attach()
    subject.receive(network.challenge())
    assert network.read(only(subject.receive(network.command()))) == SecurityModeComplete()


def attached() -> tuple[Ue, FakeNetwork]:
    subject, network = ue(), FakeNetwork()
    secured(subject, network)
    assert isinstance(network.read(only(subject.receive(network.accept()))), AttachComplete)
    return subject, network


def test_attach_request_is_octet_for_octet_that_of_a_real_ue() -> None:
    effects = ue().attach()
    assert only(effects) == CAPTURED_ATTACH_REQUEST
    assert StartTimer(T3410, 15.0) in effects


def test_a_drx_parameter_is_in_the_attach_request() -> None:
    """TS 24.301 table 8.2.4.1: IEI 5C, 2 octets."""
    assert only(ue(drx_parameter=bytes.fromhex("0a70")).attach()) == CAPTURED_ATTACH_REQUEST + bytes.fromhex("5c0a70")


def test_an_imeisv_that_is_held_back_is_told_when_it_is_asked_for_by_itself() -> None:
    subject, network = ue(tells_imeisv=False), FakeNetwork()
    subject.attach()
    subject.receive(network.challenge())
    assert network.read(only(subject.receive(network.command(imeisv=True)))) == SecurityModeComplete()
    asked = network.send(IdentityRequest(IdentityType.IMEISV))
    assert network.read(only(subject.receive(asked))) == IdentityResponse(Imei(subject.profile.imeisv))


def test_a_whole_attach() -> None:
    subject, network = ue(), FakeNetwork()
    subject.attach()
    response = network.read(only(subject.receive(network.challenge())))
    assert network.vector
    assert response == AuthenticationResponse(network.vector.xres)
    complete = only(subject.receive(network.command(imeisv=True)))
    envelope = nas.open_envelope(complete)
    assert envelope
    assert envelope.header is SecurityHeader.INTEGRITY_CIPHERED_NEW
    assert network.read(complete) == SecurityModeComplete(subject.profile.imeisv)
    effects = subject.receive(network.accept())
    assert StopTimer(T3410) in effects
    assert Registered() in effects
    done = network.read(only(effects))
    assert isinstance(done, AttachComplete)
    assert (done.esm.eps_bearer_identity, done.esm.pti) == (5, 1)
    assert (subject.state, subject.guti) == (State.REGISTERED, GUTI)
    subject.receive(network.send(EmmInformation(full_name="Fake")))
    assert subject.information == EmmInformation(full_name="Fake")


@pytest.mark.parametrize("eea", [0, 2])
def test_ciphers_as_the_network_chose(eea: int) -> None:
    subject, network = ue(), FakeNetwork()
    subject.attach()
    subject.receive(network.challenge())
    complete = only(subject.receive(network.command(eea=eea)))
    readable = nas.encode(SecurityModeComplete()) in complete
    assert readable is (eea == 0)
    assert network.read(complete) == SecurityModeComplete()


def test_wrong_autn_is_answered_by_mac_failure_and_the_third_time_ends_it() -> None:
    subject, network = ue(), FakeNetwork()
    subject.attach()
    for _ in range(2):
        wrong = network.challenge()[:-1] + b"\x00"
        assert network.read(only(subject.receive(wrong))) == AuthenticationFailure(EmmCause.MAC_FAILURE)
    effects = subject.receive(network.challenge()[:-1] + b"\x00")
    assert any(isinstance(e, Ended) and e.emm_cause == EmmCause.MAC_FAILURE for e in effects)


def test_stale_sqn_is_answered_with_auts() -> None:
    subject, network = ue(), FakeNetwork()
    subject.usim.highest_sqn = (9).to_bytes(6, "big")
    subject.attach()
    failure = network.read(only(subject.receive(network.challenge(sqn=9))))
    assert isinstance(failure, AuthenticationFailure)
    assert failure.cause == EmmCause.SYNCH_FAILURE
    assert failure.auts
    assert milenage.verify_auts(SUBSCRIBER.k, SUBSCRIBER.opc, RAND, failure.auts) == (9).to_bytes(6, "big")
    again = network.read(only(subject.receive(network.challenge(sqn=10))))
    assert isinstance(again, AuthenticationResponse)


def test_the_same_challenge_again_gets_the_same_res() -> None:
    subject, network = ue(), FakeNetwork()
    subject.attach()
    challenge = network.challenge()
    assert only(subject.receive(challenge)) == only(subject.receive(challenge))


def test_wrong_res() -> None:
    subject, network = ue(wrong_res=True), FakeNetwork()
    subject.attach()
    response = network.read(only(subject.receive(network.challenge())))
    assert network.vector
    assert isinstance(response, AuthenticationResponse)
    assert response.res != network.vector.xres


def test_authentication_reject_ends_it() -> None:
    subject = ue()
    subject.attach()
    effects = subject.receive(nas.encode(AuthenticationReject()))
    assert Ended(Verdict.REJECTED, "Authentication Reject", EmmCause.ILLEGAL_UE) in effects


@pytest.mark.parametrize("replayed", [b"\xf0\x60", b"\xe0\x70", b"\xf0\x70\x00\x00"])
def test_other_replayed_capabilities_are_refused_with_cause_23(replayed: bytes) -> None:
    subject, network = ue(), FakeNetwork()
    subject.attach()
    subject.receive(network.challenge())
    effects = subject.receive(network.command(replayed=replayed))
    assert nas.decode(only(effects)) == SecurityModeReject(EmmCause.SECURITY_CAPABILITIES_MISMATCH)
    assert subject.security is None


def test_a_command_with_a_wrong_mac_is_refused_with_cause_24() -> None:
    subject, network = ue(), FakeNetwork()
    subject.attach()
    subject.receive(network.challenge())
    command = bytearray(network.command())
    command[1] ^= 1
    assert nas.decode(only(subject.receive(bytes(command)))) == SecurityModeReject(EmmCause.SECURITY_MODE_REJECTED)


def test_null_integrity_is_refused() -> None:
    subject, network = ue(ue_network_capability=b"\xf0\xf0"), FakeNetwork()
    subject.attach()
    subject.receive(network.challenge())
    effects = subject.receive(network.command(replayed=b"\xf0\xf0", eia=0))
    assert nas.decode(only(effects)) == SecurityModeReject(EmmCause.SECURITY_MODE_REJECTED)


def test_a_retransmitted_command_is_completed_again_a_replayed_one_is_not() -> None:
    subject, network = ue(), FakeNetwork()
    subject.attach()
    subject.receive(network.challenge())
    command = network.command()
    network.read(only(subject.receive(command)))
    assert subject.receive(command) == []
    again = network.send(SecurityModeCommand(2, 2, 0, b"\xf0\x70"), SecurityHeader.INTEGRITY_NEW)
    assert network.read(only(subject.receive(again))) == SecurityModeComplete()


def test_a_replayed_downlink_and_one_with_a_wrong_mac_are_discarded() -> None:
    subject, network = ue(), FakeNetwork()
    secured(subject, network)
    accept = network.accept()
    broken = bytearray(accept)
    broken[-1] ^= 1
    assert subject.receive(bytes(broken)) == []
    assert sent(subject.receive(accept))
    assert subject.receive(accept) == []
    assert subject.discarded == 2


def test_counts_go_past_an_octet_both_ways() -> None:
    subject, network = attached()
    for _ in range(300):
        assert subject.receive(network.send(EmmInformation(short_name="x")))
    answer = only(subject.receive(network.send(IdentityRequest(IdentityType.IMSI))))
    assert network.read(answer) == IdentityResponse(SUBSCRIBER.imsi)
    for _ in range(300):
        answer = only(subject.receive(network.send(IdentityRequest(IdentityType.IMSI))))
        assert network.read(answer) == IdentityResponse(SUBSCRIBER.imsi)
    assert subject.discarded == 0


@pytest.mark.parametrize(
    "message", [EmmInformation(), DetachAccept(), IdentityRequest(IdentityType.IMSI), AuthenticationReject()]
)
def test_nothing_plain_is_processed_once_there_is_security(message: EmmMessage) -> None:
    subject, _ = attached()
    assert subject.receive(nas.encode(message)) == []
    assert subject.state is State.REGISTERED


def test_identities() -> None:
    subject, network = ue(), FakeNetwork()
    subject.attach()
    asked = nas.encode(IdentityRequest(IdentityType.IMSI))
    assert network.read(only(subject.receive(asked))) == IdentityResponse(SUBSCRIBER.imsi)
    assert subject.receive(nas.encode(IdentityRequest(IdentityType.IMEISV))) == []
    subject, network = attached()
    answer = only(subject.receive(network.send(IdentityRequest(IdentityType.IMEISV))))
    assert network.read(answer) == IdentityResponse(Imei(subject.profile.imeisv))


def test_esm_information_is_told_when_asked_for() -> None:
    subject, network = ue(esm_information=True, access_point_name="iot"), FakeNetwork()
    request = nas.decode(only(subject.attach()))
    assert isinstance(request, AttachRequest)
    assert isinstance(request.esm, PdnConnectivityRequest)
    assert request.esm.esm_information_transfer_flag
    secured(subject, network)
    answer = only(subject.receive(network.send(EsmContainer(EsmInformationRequest(0, 1)))))
    assert network.read(answer) == EsmContainer(EsmInformationResponse(0, 1, access_point_name="iot"))


def test_attach_reject_with_esm_cause() -> None:
    subject, network = ue(), FakeNetwork()
    secured(subject, network)
    reject = AttachReject(EmmCause.ESM_FAILURE, PdnConnectivityReject(0, 1, EsmCause.NETWORK_FAILURE))
    effects = subject.receive(network.send(reject))
    assert Ended(Verdict.REJECTED, "Attach Reject #19 (ESM #38)", 19) in effects


def test_t3346_runs_as_told_under_protection_and_for_a_quarter_to_half_an_hour_without() -> None:
    """TS 24.301 5.5.1.2.5, #22; TS 24.008 11.2: the default range is 15 to 30 minutes."""
    subject, network = ue(), FakeNetwork()
    secured(subject, network)
    subject.receive(network.send(AttachReject(EmmCause.CONGESTION, t3346_s=40)))
    assert subject.back_off_s == (40, 40)
    subject.attach()
    assert subject.back_off_s is None
    stranger = ue()
    stranger.attach()
    stranger.receive(nas.encode(AttachReject(EmmCause.CONGESTION, t3346_s=40)))
    assert stranger.back_off_s == (900, 1800)


def test_t3402_is_taken_from_a_protected_reject_only() -> None:
    """TS 24.301 5.3.6."""
    subject, network = ue(), FakeNetwork()
    secured(subject, network)
    subject.receive(network.send(AttachReject(EmmCause.CONGESTION, t3402_s=360)))
    assert subject.t3402_s == 360
    stranger = ue()
    stranger.attach()
    stranger.receive(nas.encode(AttachReject(EmmCause.CONGESTION, t3402_s=360)))
    assert stranger.t3402_s is None


def test_without_t3346_a_congested_network_sets_no_back_off() -> None:
    """5.5.1.2.6 d: an abnormal case, T3411."""
    subject = ue()
    subject.attach()
    effects = subject.receive(nas.encode(AttachReject(EmmCause.CONGESTION)))
    assert Ended(Verdict.REJECTED, "Attach Reject #22", 22) in effects
    assert subject.back_off_s is None


def test_a_repeated_attach_accept_is_completed_again() -> None:
    subject, network = attached()
    assert isinstance(network.read(only(subject.receive(network.accept()))), AttachComplete)


def test_gives_up_when_t3410_expires_and_not_after() -> None:
    subject = ue()
    subject.attach()
    (ended,) = [e for e in subject.expire(T3410) if isinstance(e, Ended)]
    assert ended.verdict is Verdict.FAILED
    assert "T3410" in ended.cause
    subject, _ = attached()
    assert subject.expire(T3410) == []


def test_detach() -> None:
    subject, network = attached()
    effects = subject.detach(switch_off=False)
    request = network.read(only(effects))
    assert request == DetachRequestFromUe(1, False, 0, GUTI)
    assert StartTimer(T3421, 15.0) in effects
    assert Detached() in subject.receive(network.send(DetachAccept()))
    assert subject.state is State.DEREGISTERED


def test_switch_off_waits_for_nothing() -> None:
    subject, network = attached()
    effects = subject.detach(switch_off=True)
    request = network.read(only(effects))
    assert isinstance(request, DetachRequestFromUe)
    assert request.switch_off
    assert Detached() in effects


def test_status_is_never_answered_but_unknown_messages_are() -> None:
    subject, network = attached()
    assert subject.receive(network.send(EmmStatus(97))) == [NasReceived("EMM Status")]
    answer = only(subject.receive(network.send(SecurityModeComplete())))
    assert network.read(answer) == EmmStatus(EmmCause.MESSAGE_TYPE_NOT_COMPATIBLE_WITH_STATE)


@pytest.mark.parametrize(
    ("network_capability", "ms_capability", "expected"),
    [
        ("f070", None, "f070"),
        ("f070c040", None, "f070c040"),
        ("f070c0c0", None, "f070c040"),  # UCS2 is no capability of security
        ("f070c04019", None, "f070c040"),
        ("f070", "e5e0", "f070000070"),
        ("f070c040", "e560", "f070c04070"),
    ],
)
def test_replayed_capability(network_capability: str, ms_capability: str | None, expected: str) -> None:
    ms = bytes.fromhex(ms_capability) if ms_capability else None
    assert capability.replayed(bytes.fromhex(network_capability), ms).hex() == expected
