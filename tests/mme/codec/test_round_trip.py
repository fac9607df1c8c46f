"""Every message comes back as it was.  A mistake made both ways would hide here: the outside vectors are for that."""

from __future__ import annotations

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from mme import messages
from mme.codec import nas, s1ap
from mme.enums import CauseGroup, Direction, EmmCause, EsmCause, S1apCause, SecurityHeader
from mme.ids import Gummei, Guti, Plmn, Tai
from mme.messages import Cause, DetachRequestToUe, EmmMessage, EsmContainer, EsmMessage, S1apMessage, UndecodableEsm
from tests.mme.codec.strategies import EMM, ESM, S1AP, octets

FEW = settings(max_examples=40, deadline=None, suppress_health_check=[HealthCheck.too_slow])


def leaves(base: type[object]) -> set[type[object]]:
    return {value for value in vars(messages).values() if isinstance(value, type) and issubclass(value, base)} - {base}


def test_no_message_is_forgotten() -> None:
    assert set(S1AP) == leaves(S1apMessage)
    assert set(EMM) == leaves(EmmMessage)
    assert set(ESM) == leaves(EsmMessage) - {UndecodableEsm}


@pytest.mark.parametrize("message_class", S1AP)
def test_s1ap(message_class: type[S1apMessage]) -> None:
    @FEW
    @given(S1AP[message_class])
    def check(message: S1apMessage) -> None:
        pdu = s1ap.encode(message)
        assert s1ap.decode(pdu) == message
        assert s1ap.procedure_code(pdu)[1] == pdu[1]
        if not isinstance(message, messages.UeContextReleaseCommand):  # its ids are one IE
            ids = (getattr(message, "mme_ue_s1ap_id", None), getattr(message, "enb_ue_s1ap_id", None))
            assert s1ap.peek_ue_ids(pdu) == ids

    check()


@pytest.mark.parametrize("message_class", EMM)
def test_emm(message_class: type[EmmMessage]) -> None:
    @FEW
    @given(EMM[message_class])
    def check(message: EmmMessage) -> None:
        direction = Direction.DOWNLINK if isinstance(message, DetachRequestToUe) else Direction.UPLINK
        assert nas.decode(nas.encode(message), direction) == message

    check()


@pytest.mark.parametrize("message_class", ESM)
def test_esm(message_class: type[EsmMessage]) -> None:
    @FEW
    @given(ESM[message_class])
    def check(message: EsmMessage) -> None:
        assert nas.decode(nas.encode(EsmContainer(message))) == EsmContainer(message)

    check()


@given(st.sampled_from(tuple(SecurityHeader)[1:5]), octets(4), st.integers(0, 255), st.binary(min_size=1, max_size=50))
def test_envelopes(header: SecurityHeader, mac: bytes, sequence_number: int, payload: bytes) -> None:
    sealed = nas.seal(header, mac, sequence_number, payload)
    assert nas.open_envelope(sealed) == messages.SecuredEnvelope(header, mac, sequence_number, payload)


@pytest.mark.parametrize("cause", S1apCause)
def test_every_cause_that_this_mme_gives_has_an_encoding(cause: S1apCause) -> None:
    group, value = cause.value
    message = messages.ErrorIndication(cause=Cause(group, value))
    assert s1ap.decode(s1ap.encode(message)) == message


REFUSED_S1AP = [
    messages.UeContextReleaseComplete(1 << 32, 1),
    messages.UeContextReleaseComplete(1, 1 << 24),
    messages.UeContextReleaseComplete(-1, 1),
    messages.ErrorIndication(cause=Cause(CauseGroup.NAS, "no such cause")),
    messages.S1SetupFailure(Cause(CauseGroup.MISC, "unspecified"), time_to_wait_s=3),
    messages.S1SetupResponse((), 255),
    messages.S1SetupResponse((messages.ServedGummei((), (1,), (1,)),), 255),
    messages.DownlinkNasTransport(1, 1, messages.Secured(messages.AuthenticationReject())),
    messages.UeContextReleaseCommand(1, 1 << 24, Cause(CauseGroup.NAS, "detach")),
]


@pytest.mark.parametrize("message", REFUSED_S1AP, ids=repr)
def test_s1ap_refuses_what_does_not_fit(message: S1apMessage) -> None:
    with pytest.raises(ValueError, match=r"."):
        s1ap.encode(message)
    good = messages.UeContextReleaseComplete(1, 1)
    assert s1ap.decode(s1ap.encode(good)) == good, "the shared objects are as good as before"


REFUSED_NAS = [
    messages.AuthenticationRequest(8, bytes(16), bytes(16)),
    messages.AuthenticationRequest(0, bytes(15), bytes(16)),
    messages.AuthenticationResponse(bytes(3)),
    messages.AuthenticationFailure(256),
    messages.SecurityModeComplete("123"),
    messages.EsmContainer(UndecodableEsm(0, 0, EsmCause.PROTOCOL_ERROR)),
    messages.TrackingAreaUpdateRequest(0, False, 0, None),
    messages.AttachReject(EmmCause.CONGESTION, t3346_s=1),
    messages.EmmInformation(full_name="x" * 400),
    messages.EmmInformation(universal_time_s=0),
    messages.IdentityResponse(Guti(Gummei(Plmn("00101"), 1, 1), 1)),
    messages.DetachRequestToUe(16),
]


@pytest.mark.parametrize("message", REFUSED_NAS, ids=repr)
def test_nas_refuses_what_does_not_fit(message: EmmMessage) -> None:
    with pytest.raises(ValueError, match=r"."):
        nas.encode(message)
    good = messages.AuthenticationRequest(1, bytes(range(16)), bytes(16))
    assert nas.decode(nas.encode(good)) == good


def test_a_tracking_area_list_keeps_its_order() -> None:
    plmn = Plmn("00101")
    tais = (Tai(plmn, 3), Tai(plmn, 1), Tai(plmn, 2))
    accept = messages.AttachAccept(1, 60, tais, messages.EsmInformationRequest(0, 1))
    assert nas.decode(nas.encode(accept)) == accept
