"""What the codec makes of wrong octets: TS 36.413 clause 10, TS 24.301 clause 7."""

from __future__ import annotations

import pytest

from mme.codec import nas, s1ap
from mme.enums import CauseGroup, Direction, EmmCause, EsmCause, S1apCause
from mme.errors import NasError, S1apError
from mme.ids import Imsi
from mme.messages import (
    ActivateDefaultEpsBearerContextAccept,
    AttachComplete,
    AttachRequest,
    Cause,
    DetachRequestFromUe,
    DetachRequestToUe,
    EsmContainer,
    EsmStatus,
    InitialContextSetupResponse,
    InitialUeMessage,
    SecurityModeComplete,
    ServiceReject,
    ServiceRequest,
    UeContextReleaseRequest,
    UndecodableEsm,
)
from tests.mme.codec.outside import vectors

LAB = vectors("s1ap/lab")
ATTACH = bytes.fromhex("07417108091010103254760802f07000040201d011")

# --------------------------------------------------------------------------- S1AP

MME_ID, ENB_ID = "00000002000f", "000800020007"
CAUSE_INACTIVE = "00024002" + "0280"


def pdu(head: str, *ies: str) -> bytes:
    """head: choice, procedure code and criticality, for example "001240"."""
    body = bytes((0,)) + len(ies).to_bytes(2) + bytes.fromhex("".join(ies))
    return bytes.fromhex(head) + bytes((len(body),)) + body


def refused(octets: bytes) -> S1apError:
    with pytest.raises(S1apError) as caught:
        s1ap.decode(octets)
    return caught.value


def test_the_messages_below_are_right_before_something_is_broken() -> None:
    expected = UeContextReleaseRequest(15, 7, Cause(CauseGroup.RADIO_NETWORK, "user-inactivity"))
    assert s1ap.decode(pdu("001240", MME_ID, ENB_ID, CAUSE_INACTIVE)) == expected


def test_a_missing_mandatory_ie_is_named() -> None:
    error = refused(pdu("001240", ENB_ID, CAUSE_INACTIVE))
    assert error.cause is S1apCause.ABSTRACT_SYNTAX_ERROR_REJECT
    assert error.missing_ies == (0,)
    assert (error.procedure_code, error.triggering_message) == (18, "initiating-message")
    assert (error.mme_ue_s1ap_id, error.enb_ue_s1ap_id) == (None, 7)


def test_every_missing_ie_is_named() -> None:
    assert refused(pdu("001240")).missing_ies == (0, 8)


def test_a_missing_ie_of_criticality_ignore_is_done_without() -> None:
    expected = UeContextReleaseRequest(15, 7, Cause(CauseGroup.MISC, "unspecified"))
    assert s1ap.decode(pdu("001240", MME_ID, ENB_ID)) == expected
    ids = (MME_ID.replace("000000", "000040", 1), ENB_ID.replace("000800", "000840", 1))
    assert s1ap.decode(pdu("200900", *ids)) == InitialContextSetupResponse(15, 7, ())


def test_ies_out_of_order_or_twice_are_falsely_constructed() -> None:
    for ies in ((ENB_ID, MME_ID, CAUSE_INACTIVE), (MME_ID, ENB_ID, ENB_ID, CAUSE_INACTIVE)):
        error = refused(pdu("001240", *ies))
        assert error.cause is S1apCause.ABSTRACT_SYNTAX_ERROR_FALSELY
        assert (error.mme_ue_s1ap_id, error.enb_ue_s1ap_id) == (15, 7)


@pytest.mark.parametrize(("criticality", "is_refused"), [("00", True), ("40", False), ("80", False)])
def test_an_unknown_ie_goes_by_its_criticality(criticality: str, is_refused: bool) -> None:
    octets = pdu("001240", MME_ID, ENB_ID, CAUSE_INACTIVE, f"7777{criticality}03010203")
    if is_refused:
        assert refused(octets).cause is S1apCause.ABSTRACT_SYNTAX_ERROR_REJECT
    else:
        assert isinstance(s1ap.decode(octets), UeContextReleaseRequest)


@pytest.mark.parametrize(
    "octets", [b"", b"\x00", b"\x00\x0c", b"\x80\x0c\x40\x00", b"\x60\x0c\x40\x00", b"\x00\x0c\x40"]
)
def test_what_does_not_begin_like_a_pdu(octets: bytes) -> None:
    error = refused(octets)
    assert error.cause is S1apCause.TRANSFER_SYNTAX_ERROR
    assert error.missing_ies == ()


@pytest.mark.parametrize("cut", [4, 10, 20, 40, 65])
def test_a_pdu_cut_off_is_a_transfer_syntax_error(cut: int) -> None:
    error = refused(LAB["initial_ue_message_attach"][:cut])
    assert error.cause is S1apCause.TRANSFER_SYNTAX_ERROR
    assert error.procedure_code == 12
    assert error.enb_ue_s1ap_id == (1 if cut > 13 else None)


def test_an_unhandled_procedure_cut_off_is_a_transfer_syntax_error() -> None:
    assert refused(bytes.fromhex("00c840070000")).cause is S1apCause.TRANSFER_SYNTAX_ERROR


def test_a_plmn_that_is_none_is_a_semantic_error() -> None:
    octets = LAB["initial_ue_message_attach"].replace(bytes.fromhex("00f1100007"), bytes.fromhex("0ef1100007"))
    error = refused(octets)
    assert error.cause is S1apCause.SEMANTIC_ERROR
    assert error.enb_ue_s1ap_id == 1


def test_octets_after_the_pdu_are_ignored() -> None:
    assert isinstance(s1ap.decode(LAB["initial_ue_message_attach"] + b"\0\0"), InitialUeMessage)


# --------------------------------------------------------------------------- NAS


def cause_of(octets: bytes, direction: Direction = Direction.UPLINK) -> EmmCause | None:
    with pytest.raises(NasError) as caught:
        nas.decode(octets, direction)
    return caught.value.cause


@pytest.mark.parametrize("text", ["", "07", "02", "0201", "c705", "0601", "0341"])
def test_what_is_too_short_or_of_another_protocol_is_to_be_ignored(text: str) -> None:
    assert cause_of(bytes.fromhex(text)) is None


@pytest.mark.parametrize("text", ["2701020304050743", "57010203040507", "b7010203040507"])
def test_a_sealed_message_is_not_decoded(text: str) -> None:
    assert cause_of(bytes.fromhex(text)) is EmmCause.PROTOCOL_ERROR


@pytest.mark.parametrize("cut", range(2, len(ATTACH)))
def test_a_mandatory_part_cut_off_is_96(cut: int) -> None:
    assert cause_of(ATTACH[:cut]) is EmmCause.INVALID_MANDATORY_INFORMATION


@pytest.mark.parametrize(
    "text",
    [
        "0741710809a010103254760802f07000040201d011",  # a digit above 9
        "07417108091010103254760801f000040201d011",  # a UE network capability of 1 octet
        "07417105f40102030402f07000040201d011",  # a TMSI, which is no EPS mobile identity
        "075303aabbcc",  # RES of 3 octets
        "075507",  # a reserved identity type
        "075201" + "00" * 16 + "0f" + "00" * 15,  # AUTN of 15 octets
    ],
)
def test_a_mandatory_ie_that_is_wrong_is_96(text: str) -> None:
    assert cause_of(bytes.fromhex(text)) is EmmCause.INVALID_MANDATORY_INFORMATION


def test_a_message_type_unknown_is_97_and_named() -> None:
    with pytest.raises(NasError) as caught:
        nas.decode(bytes.fromhex("077f"))
    assert (caught.value.cause, caught.value.message_type) == (EmmCause.MESSAGE_TYPE_NON_EXISTENT, 0x7F)


@pytest.mark.parametrize("unknown", ["81", "2a03010203", "790003010203"])
def test_an_unknown_optional_ie_is_skipped(unknown: str) -> None:
    message = nas.decode(ATTACH + bytes.fromhex(unknown + "5c0a00"))
    assert isinstance(message, AttachRequest)
    assert message.drx_parameter == bytes.fromhex("0a00")


@pytest.mark.parametrize("tag", range(16))
def test_an_unknown_ie_that_wants_comprehension_is_96(tag: int) -> None:
    assert cause_of(ATTACH + bytes((tag, 1, 0))) is EmmCause.INVALID_MANDATORY_INFORMATION


def test_of_a_repeated_ie_the_first_counts() -> None:
    message = nas.decode(ATTACH + bytes.fromhex("5c0a005c0b01"))
    assert isinstance(message, AttachRequest)
    assert message.drx_parameter == bytes.fromhex("0a00")


@pytest.mark.parametrize("optional", ["5c0a", "3103e5e0", "31", "310100", "52aaaaaa0007", "5200f1", "5003f60000"])
def test_an_optional_ie_that_is_wrong_counts_as_absent(optional: str) -> None:
    message = nas.decode(ATTACH + bytes.fromhex(optional))
    assert isinstance(message, AttachRequest)
    assert message.identity == Imsi("001010123456780")
    optional_fields = (message.drx_parameter, message.ms_network_capability, message.last_visited_tai)
    assert (*optional_fields, message.additional_guti) == (None, None, None, None)


def test_optional_ies_of_one_message_do_not_stay_for_the_next() -> None:
    nas.decode(ATTACH + bytes.fromhex("5c0a00"))
    message = nas.decode(ATTACH)
    assert isinstance(message, AttachRequest)
    assert message.drx_parameter is None
    long = nas.encode(SecurityModeComplete("1234567890123456"))
    assert len(nas.encode(SecurityModeComplete())) < len(long)


def test_an_imeisv_that_is_none_counts_as_absent() -> None:
    assert nas.decode(bytes.fromhex("075e2303395684")) == SecurityModeComplete(None)


@pytest.mark.parametrize(
    ("container", "expected"),
    [
        ("5200d0", UndecodableEsm(5, 0, EsmCause.INVALID_MANDATORY_INFORMATION, 0xD0)),
        ("5209ff", UndecodableEsm(5, 9, EsmCause.MESSAGE_TYPE_NON_EXISTENT, 0xFF)),
        ("5709d011", UndecodableEsm(5, 9, EsmCause.PROTOCOL_ERROR, 0xD0)),
        ("5200", UndecodableEsm(5, 0, EsmCause.INVALID_MANDATORY_INFORMATION)),
        ("", UndecodableEsm(0, 0, EsmCause.INVALID_MANDATORY_INFORMATION)),
        ("5200c2", ActivateDefaultEpsBearerContextAccept(5, 0)),
    ],
)
def test_an_esm_message_that_cannot_be_decoded_stands_in_its_place(container: str, expected: object) -> None:
    octets = bytes.fromhex(container)
    message = nas.decode(b"\x07\x43" + len(octets).to_bytes(2) + octets)
    assert isinstance(message, AttachComplete)
    assert message.esm == expected


def test_esm_alone() -> None:
    assert nas.decode(bytes.fromhex("5205e86f")) == EsmContainer(EsmStatus(5, 5, 111))
    expected = EsmContainer(UndecodableEsm(5, 5, EsmCause.INVALID_MANDATORY_INFORMATION, 0xE8))
    assert nas.decode(bytes.fromhex("5205e8")) == expected


def test_the_direction_tells_the_detach_requests_apart() -> None:
    assert isinstance(nas.decode(bytes.fromhex("074571080910101032547608")), DetachRequestFromUe)
    assert nas.decode(bytes.fromhex("074502"), Direction.DOWNLINK) == DetachRequestToUe(2)


@pytest.mark.parametrize("first", ["c7", "d7", "e7", "f7"])
def test_reserved_headers_above_12_count_as_service_request(first: str) -> None:
    octets = bytes.fromhex(first + "a8640c")
    assert nas.decode(octets) == ServiceRequest(5, 8, bytes.fromhex("640c"))
    assert nas.open_envelope(octets) is None


def test_an_unknown_cause_counts_as_protocol_error() -> None:
    assert nas.decode(bytes.fromhex("074ec8")) == ServiceReject(EmmCause.PROTOCOL_ERROR)


@pytest.mark.parametrize(
    ("text", "cause"), [("", None), ("17", None), ("170102030405", None), ("57", EmmCause.PROTOCOL_ERROR)]
)
def test_an_envelope_that_is_none(text: str, cause: EmmCause | None) -> None:
    with pytest.raises(NasError) as caught:
        nas.open_envelope(bytes.fromhex(text))
    assert caught.value.cause is cause


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("", None),
        ("07", None),
        ("0741", 0x41),
        ("0201d011", 0xD0),
        ("c7060500", None),
        ("1701020304050741", 0x41),
        ("2701020304050741", None),
        ("37010203040507", None),
    ],
)
def test_peeking_at_the_type(text: str, expected: int | None) -> None:
    assert nas.peek_type(bytes.fromhex(text)) == expected
