"""S1AP PDUs of others.  The expected fields were read from tshark 4.0's dissection, not from this codec."""

from __future__ import annotations

import pytest

from mme.codec import s1ap
from mme.enums import CauseGroup, S1apCause
from mme.errors import S1apError
from mme.ids import Ecgi, GlobalEnbId, Gummei, Imsi, Plmn, STmsi, Tai
from mme.messages import (
    Cause,
    DownlinkNasTransport,
    ErabSetup,
    ErabToBeSetup,
    InitialContextSetupRequest,
    InitialContextSetupResponse,
    InitialUeMessage,
    Paging,
    S1apMessage,
    S1SetupRequest,
    S1SetupResponse,
    ServedGummei,
    SupportedTa,
    UeCapabilityInfoIndication,
    UeContextReleaseCommand,
    UeContextReleaseComplete,
    UeContextReleaseRequest,
    UnhandledS1ap,
    UplinkNasTransport,
)
from tests.mme.codec.outside import vectors

TEST = Plmn("00101")
ATT = Plmn("310410")
CLEMENTVALE = Plmn("90170")
INACTIVE = Cause(CauseGroup.RADIO_NETWORK, "user-inactivity")
LAB, SRSRAN, OPEN5GS = vectors("s1ap/lab"), vectors("s1ap/srsran"), vectors("s1ap/open5gs")
NEXTEPC, PCAPR = vectors("s1ap/nextepc"), vectors("s1ap/pcapr")

EXPECTED: list[tuple[bytes, S1apMessage]] = [
    (
        LAB["s1_setup_request"],
        S1SetupRequest(GlobalEnbId(TEST, 0x19B), (SupportedTa(7, (TEST,)),), "srsenb01", "v128"),
    ),
    (
        LAB["initial_ue_message_attach"],
        InitialUeMessage(
            1,
            bytes.fromhex("07417108091010103254760802f07000040201d011"),
            Tai(TEST, 7),
            Ecgi(TEST, 0x19B01),
            "mo-Data",
        ),
    ),
    (
        SRSRAN["s1_setup_request"],
        S1SetupRequest(GlobalEnbId(CLEMENTVALE, 0x19B), (SupportedTa(7, (CLEMENTVALE,)),), "enb0019b", "v128"),
    ),
    (
        OPEN5GS["s1_setup_request"],
        S1SetupRequest(GlobalEnbId(TEST, 0x54F6401, 28), (SupportedTa(12345, (TEST,)),), "JLT-621", "v32"),
    ),
    (
        SRSRAN["s1_setup_response"],
        S1SetupResponse((ServedGummei((TEST,), (256,), (26,)),), 255, "srsmme01"),
    ),
    (
        SRSRAN["s1_setup_response_six_plmns"],
        S1SetupResponse((ServedGummei((TEST,) * 6, (0x8888,), (0x7B,)),), 255),
    ),
    (
        SRSRAN["initial_context_setup_request_plain_nas"],
        InitialContextSetupRequest(
            mme_ue_s1ap_id=1,
            enb_ue_s1ap_id=1,
            ue_ambr_dl_bps=1_000_000_000,
            ue_ambr_ul_bps=1_000_000_000,
            e_rabs=(
                ErabToBeSetup(
                    e_rab_id=5,
                    qci=9,
                    priority_level=15,
                    transport_layer_address=bytes((127, 0, 1, 100)),
                    gtp_teid=1,
                    nas_pdu=bytes.fromhex(
                        "279b6de942010742013e060000f1100007001d5201c10109070673727361706e0501c0a80a02270880000d0408080808"
                        "500bf600f11000011a32dd59351300f1100001230"
                        "5f432dd5935"
                    ),
                ),
            ),
            encryption_algorithms=0xC000,
            integrity_algorithms=0xC000,
            k_enb=bytes.fromhex("84a4ea1555b3e0f455be1f415292fc04d802380de08129e1aad7c47b129572be"),
        ),
    ),
    (
        SRSRAN["initial_context_setup_response"],
        InitialContextSetupResponse(1, 1, (ErabSetup(5, bytes((127, 0, 1, 1)), 1),)),
    ),
    (
        OPEN5GS["initial_context_setup_response"],
        InitialContextSetupResponse(33554623, 1, (ErabSetup(5, bytes((10, 1, 35, 198)), 0x01000908),)),
    ),
    (
        SRSRAN["paging"],
        Paging(723, Imsi("452040038647507"), (Tai(Plmn("45204"), 1234),)),
    ),
    (SRSRAN["ue_context_release_request"], UeContextReleaseRequest(1, 1, INACTIVE)),
    (NEXTEPC["ue_context_release_request_0"], UeContextReleaseRequest(16777373, 1, INACTIVE)),
    (NEXTEPC["ue_context_release_complete_6"], UeContextReleaseComplete(33554632, 2)),
    (
        NEXTEPC["authentication_failure_5"],
        UplinkNasTransport(
            3,
            33,
            bytes.fromhex("075c15300e61640edcfb605d25911423ee1f9e"),
            Ecgi(TEST, 0x19B01),
            Tai(TEST, 1),
        ),
    ),
    (
        NEXTEPC["service_request_0"],
        InitialUeMessage(
            1792,
            bytes.fromhex("c7049551"),
            Tai(TEST, 12345),
            Ecgi(TEST, 0x787B80),
            "mo-Data",
            STmsi(1, 1),
        ),
    ),
    (
        PCAPR["frame_01"],
        DownlinkNasTransport(
            211, 1, bytes.fromhex("075200e80526e22caab2fc9a4dda558c612e6a109113c6e1085c9001df93421ca180ebe5")
        ),
    ),
    (
        PCAPR["frame_14"],
        UplinkNasTransport(211, 1, bytes.fromhex("273df71ae5046200c2"), Ecgi(ATT, 0x1A2D001), Tai(ATT, 1)),
    ),
    (PCAPR["frame_16"], UeContextReleaseCommand(211, 1, INACTIVE)),
    (PCAPR["frame_17"], UeContextReleaseComplete(211, 1)),
    (
        PCAPR["frame_18"],
        InitialUeMessage(2, bytes.fromhex("c7055ac8"), Tai(ATT, 1), Ecgi(ATT, 0x1A2D001), "mo-Data", STmsi(1, 1)),
    ),
]


@pytest.mark.parametrize(("pdu", "message"), EXPECTED, ids=[type(message).__name__ for _, message in EXPECTED])
def test_a_pdu_of_others_is_read_and_written_as_they_wrote_it(pdu: bytes, message: S1apMessage) -> None:
    assert s1ap.decode(pdu) == message
    assert s1ap.encode(message) == pdu


@pytest.mark.parametrize(("name", "pdu"), PCAPR.items(), ids=PCAPR)
def test_a_whole_capture_comes_back_octet_for_octet(name: str, pdu: bytes) -> None:
    message = s1ap.decode(pdu)
    if isinstance(message, UnhandledS1ap):
        assert message.procedure_code in (5, 7), "the E-RAB procedures"
        assert (message.mme_ue_s1ap_id, message.enb_ue_s1ap_id) in ((211, 1), (215, 5))
    else:
        assert s1ap.encode(message) == pdu


@pytest.mark.parametrize(
    ("pdu", "expected"),
    [
        (SRSRAN["handover_request"], UnhandledS1ap(1, "initiating-message", "reject", 100, None)),
        (OPEN5GS["enb_direct_information_transfer"], UnhandledS1ap(37, "initiating-message", "reject", None, None)),
        (NEXTEPC["handover_notify_0"], UnhandledS1ap(2, "initiating-message", "ignore", 33554629, 8)),
        (NEXTEPC["e_rab_release_response_0"], UnhandledS1ap(7, "successful-outcome", "reject", 1, 1)),
    ],
)
def test_a_procedure_that_is_not_ours_is_unhandled(pdu: bytes, expected: UnhandledS1ap) -> None:
    assert s1ap.decode(pdu) == expected


def test_mnc_digits_stand_in_another_order_than_in_nas() -> None:
    """The same PLMN, 310-410, as AT&T's eNB wrote it in S1AP and the phone in NAS of one PDU."""
    pdu = PCAPR["frame_00"]
    message = s1ap.decode(pdu)
    assert isinstance(message, InitialUeMessage)
    assert isinstance(message.nas_pdu, bytes)
    assert message.tai.plmn == ATT
    assert bytes.fromhex("134001") in pdu
    assert ATT.octets() == bytes.fromhex("130014") in message.nas_pdu


def test_optional_ies_and_a_gummei() -> None:
    message = s1ap.decode(OPEN5GS["initial_ue_message_attach"])
    assert isinstance(message, InitialUeMessage)
    assert message.gummei == Gummei(TEST, 2, 1)
    assert message.ecgi == Ecgi(TEST, 0x8C33782)
    assert s1ap.encode(message) == OPEN5GS["initial_ue_message_attach"]


def test_the_radio_capability_is_kept_as_it_is() -> None:
    message = s1ap.decode(PCAPR["frame_08"])
    assert isinstance(message, UeCapabilityInfoIndication)
    assert message.ue_radio_capability == PCAPR["frame_08"][-len(message.ue_radio_capability) :]


@pytest.mark.parametrize("length", [0, 127, 128, 16_383, 16_384, 70_000])
def test_a_long_radio_capability_is_written_in_fragments(length: int) -> None:
    message = UeCapabilityInfoIndication(70_000, 300, bytes(length))
    pdu = s1ap.encode(message)
    assert s1ap.decode(pdu) == message
    assert s1ap.peek_ue_ids(pdu) == (70_000, 300)


def test_ids_in_a_longer_form_than_needed_are_read() -> None:
    assert s1ap.decode(NEXTEPC["ue_context_release_complete_0"]) == UeContextReleaseComplete(16777374, 2)


def test_ies_given_twice_are_refused() -> None:
    five_ies = OPEN5GS["initial_ue_message_repeated_ies"]  # more of them follow as octets after the PDU
    assert isinstance(s1ap.decode(five_ies), InitialUeMessage)
    six_ies = five_ies[:3] + bytes((five_ies[3] + 12, 0, 0, 6)) + five_ies[7:]
    with pytest.raises(S1apError) as caught:
        s1ap.decode(six_ies)
    assert caught.value.cause is S1apCause.ABSTRACT_SYNTAX_ERROR_FALSELY
    assert caught.value.enb_ue_s1ap_id == 0x71


def test_an_id_with_an_octet_too_many_is_a_transfer_syntax_error() -> None:
    with pytest.raises(S1apError) as caught:
        s1ap.decode(NEXTEPC["detach_request_0"])
    assert caught.value.cause is S1apCause.TRANSFER_SYNTAX_ERROR
    assert (caught.value.procedure_code, caught.value.triggering_message) == (12, "initiating-message")
