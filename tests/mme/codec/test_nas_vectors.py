"""NAS messages of others.  The expected fields were read from tshark 4.0's dissection, not from this codec."""

from __future__ import annotations

import pytest

from mme.codec import nas, s1ap
from mme.enums import Direction, EmmCause, EsmCause, IdentityType, SecurityHeader
from mme.errors import NasError
from mme.ids import Gummei, Guti, Imsi, Plmn, Tai
from mme.messages import (
    ActivateDefaultEpsBearerContextAccept,
    ActivateDefaultEpsBearerContextRequest,
    AttachAccept,
    AttachComplete,
    AttachReject,
    AttachRequest,
    AuthenticationFailure,
    AuthenticationRequest,
    AuthenticationResponse,
    DetachAccept,
    DetachRequestFromUe,
    EmmInformation,
    EmmMessage,
    EmmStatus,
    EsmContainer,
    EsmInformationRequest,
    EsmInformationResponse,
    ExtendedServiceRequest,
    IdentityRequest,
    IdentityResponse,
    InitialUeMessage,
    PdnAddress,
    PdnConnectivityRequest,
    SecuredEnvelope,
    SecurityModeCommand,
    SecurityModeComplete,
    ServiceRequest,
    TrackingAreaUpdateAccept,
    TrackingAreaUpdateComplete,
    TrackingAreaUpdateRequest,
    UndecodableEsm,
    UplinkNasTransport,
)
from tests.mme.codec.outside import vectors

PYCRATE, OPEN5GS, SRSRAN = vectors("nas/pycrate"), vectors("nas/open5gs"), vectors("nas/srsran")
LAB, NEXTEPC, PCAPR = vectors("s1ap/lab"), vectors("s1ap/nextepc"), vectors("s1ap/pcapr")
TEST, ORANGE, ATT = Plmn("00101"), Plmn("20801"), Plmn("310410")
ORANGE_GUTI = Guti(Gummei(ORANGE, 32771, 200), 0xC2E65E9A)
UP, DOWN = Direction.UPLINK, Direction.DOWNLINK


def inner(octets: bytes) -> bytes:
    envelope = nas.open_envelope(octets)
    return octets if envelope is None else envelope.payload


def uplink(pdu: bytes) -> bytes:
    message = s1ap.decode(pdu)
    assert isinstance(message, InitialUeMessage | UplinkNasTransport)
    assert isinstance(message.nas_pdu, bytes)
    return message.nas_pdu


CANONICAL: list[tuple[bytes, EmmMessage, Direction]] = [
    (
        uplink(LAB["initial_ue_message_attach"]),
        AttachRequest(1, 7, Imsi("001010123456780"), bytes.fromhex("f070"), PdnConnectivityRequest(0, 1, 1, 1)),
        UP,
    ),
    (PYCRATE["security_mode_complete"], SecurityModeComplete("3598624297814540"), UP),
    (PYCRATE["esm_information_response"], EsmContainer(EsmInformationResponse(0, 2, "orange")), UP),
    (PYCRATE["attach_complete"], AttachComplete(ActivateDefaultEpsBearerContextAccept(5, 0)), UP),
    (PYCRATE["service_request"], ServiceRequest(0, 6, bytes.fromhex("0500")), UP),
    (OPEN5GS["service_request"], ServiceRequest(5, 8, bytes.fromhex("640c")), UP),
    (PYCRATE["detach_request_from_ue"], DetachRequestFromUe(3, False, 6, ORANGE_GUTI), UP),
    (PYCRATE["detach_accept"], DetachAccept(), DOWN),
    (PYCRATE["tracking_area_update_complete"], TrackingAreaUpdateComplete(), UP),
    (
        PYCRATE["extended_service_request"],
        ExtendedServiceRequest(0, 6, 0xC2E65E9A, eps_bearer_context_status=1 << 5),
        UP,
    ),
    (PYCRATE["identity_request"], IdentityRequest(IdentityType.IMSI), DOWN),
    (OPEN5GS["identity_response"], IdentityResponse(Imsi("001010123456815")), UP),
    (inner(PYCRATE["identity_response_secured"]), IdentityResponse(Imsi("000000000000000")), UP),
    (
        PYCRATE["authentication_request"],
        AuthenticationRequest(
            6, bytes.fromhex("905ada1e7da557ada1e72650e21ee5e3"), bytes.fromhex("4bfb73f6b4558000b1903ab88a27237f")
        ),
        DOWN,
    ),
    (
        SRSRAN["auth_request"],
        AuthenticationRequest(
            1, bytes.fromhex("0c63a85413e6a4ced986fbe5ce9b625e"), bytes.fromhex("6757b3c2b97090010c728a67579252b8")
        ),
        DOWN,
    ),
    (
        inner(PYCRATE["authentication_response_secured"]),
        AuthenticationResponse(bytes.fromhex("3ec3a476f829b414")),
        UP,
    ),
    (
        uplink(NEXTEPC["authentication_failure_5"]),
        AuthenticationFailure(21, bytes.fromhex("61640edcfb605d25911423ee1f9e")),
        UP,
    ),
    (
        inner(PYCRATE["security_mode_command_secured"]),
        SecurityModeCommand(2, 2, 6, bytes.fromhex("e060c04070"), imeisv_requested=True),
        DOWN,
    ),
    (
        inner(SRSRAN["sec_mode_command"]),
        SecurityModeCommand(0, 2, 1, bytes.fromhex("f070"), imeisv_requested=True),
        DOWN,
    ),
    (PYCRATE["esm_information_request"], EsmContainer(EsmInformationRequest(0, 2)), DOWN),
    (inner(SRSRAN["esm_info_req"]), EsmContainer(EsmInformationRequest(0, 0x5A)), DOWN),
    (OPEN5GS["attach_reject"], AttachReject(EmmCause.NETWORK_FAILURE), DOWN),
    (OPEN5GS["attach_complete"], AttachComplete(ActivateDefaultEpsBearerContextAccept(5, 0)), UP),
    (inner(uplink(NEXTEPC["emm_status_8"])), EmmStatus(101), UP),
    (inner(uplink(NEXTEPC["identity_response_10"])), IdentityResponse(Imsi("001010123456815")), UP),
    (inner(uplink(NEXTEPC["security_mode_complete_0"])), SecurityModeComplete(), UP),
    (uplink(NEXTEPC["authentication_response_6"]), AuthenticationResponse(bytes.fromhex("7dc78e7c421f9eb9")), UP),
]


@pytest.mark.parametrize(
    ("octets", "message", "direction"), CANONICAL, ids=[type(message).__name__ for _, message, _ in CANONICAL]
)
def test_a_message_of_others_is_read_and_written_as_they_wrote_it(
    octets: bytes, message: EmmMessage, direction: Direction
) -> None:
    assert nas.decode(octets, direction) == message
    assert nas.encode(message) == octets


# Messages that carry optional IEs for which ours have no field: read only.
READ_ONLY: list[tuple[bytes, EmmMessage, Direction]] = [
    (
        inner(uplink(PCAPR["frame_00"])),
        AttachRequest(
            attach_type=2,
            nas_ksi=0,
            identity=Guti(Gummei(ATT, 32769, 1), 1),
            ue_network_capability=bytes.fromhex("e060c04019"),
            esm=PdnConnectivityRequest(
                0,
                4,
                1,
                1,
                esm_information_transfer_flag=True,
                protocol_configuration_options=bytes.fromhex(
                    "8080211001000010810600000000830600000000000d00000a00001000"
                ),
            ),
            last_visited_tai=Tai(ATT, 1),
            ms_network_capability=bytes.fromhex("e5e03e"),
            drx_parameter=bytes.fromhex("0a00"),
            old_guti_is_native=True,
        ),
        UP,
    ),
    (
        OPEN5GS["attach_request"],
        AttachRequest(
            attach_type=2,
            nas_ksi=0,
            identity=Guti(Gummei(TEST, 2, 1), 0x030003E6),
            ue_network_capability=bytes.fromhex("f070000010"),
            esm=PdnConnectivityRequest(0, 21, 1, 1, esm_information_transfer_flag=True),
            last_visited_tai=Tai(TEST, 12345),
            ms_network_capability=bytes.fromhex("e5e034"),
            drx_parameter=bytes.fromhex("0a00"),
            old_guti_is_native=True,
        ),
        UP,
    ),
    (
        PYCRATE["attach_accept"],
        AttachAccept(
            attach_result=2,
            t3412_s=54 * 60,
            tai_list=tuple(Tai(ORANGE, tac) for tac in (50368, 50369, 50370, 50371)),
            esm=ActivateDefaultEpsBearerContextRequest(
                5,
                2,
                qci=8,
                access_point_name="orange.mnc001.mcc208.gprs",
                pdn_address=PdnAddress(ipv4=bytes((10, 116, 86, 65))),
                apn_ambr_dl_bps=4_294_000_000,
                apn_ambr_ul_bps=4_294_000_000,
                protocol_configuration_options=bytes.fromhex(
                    "80000d04c0a80a6e80210a0300000a8106c0a80a6e80210a0400000a83060000000000100205dc"
                ),
            ),
            guti=ORANGE_GUTI,
            eps_network_feature_support=b"\x03",
        ),
        DOWN,
    ),
    (
        OPEN5GS["attach_accept"],
        AttachAccept(
            attach_result=2,
            t3412_s=180,
            tai_list=(Tai(Plmn("41799"), 12345),),
            esm=ActivateDefaultEpsBearerContextRequest(
                5,
                1,
                qci=9,
                access_point_name="internet",
                pdn_address=PdnAddress(ipv4=bytes((10, 225, 0, 10))),
                protocol_configuration_options=bytes.fromhex("80802110020200108106c0a8a8018306c0a8a801000d04c0a8a801"),
            ),
            guti=Guti(Gummei(Plmn("41799"), 9029, 225), 0x456),
            eps_network_feature_support=b"\x23",
        ),
        DOWN,
    ),
    (
        PYCRATE["tracking_area_update_request"],
        TrackingAreaUpdateRequest(
            update_type=1,
            active=False,
            nas_ksi=6,
            old_guti=ORANGE_GUTI,
            ue_network_capability=bytes.fromhex("e060c040"),
            eps_bearer_context_status=1 << 5,
            drx_parameter=bytes.fromhex("0a00"),
            ms_network_capability=bytes.fromhex("e5e034"),
        ),
        UP,
    ),
    (
        inner(uplink(NEXTEPC["tau_request_0"])),
        TrackingAreaUpdateRequest(
            update_type=1,
            active=False,
            nas_ksi=0,
            old_guti=Guti(Gummei(TEST, 2, 1), 0xD900A79E),
            ue_network_capability=bytes.fromhex("f0f0c04000"),
            eps_bearer_context_status=1 << 5,
            drx_parameter=bytes.fromhex("1004"),
            ms_network_capability=bytes.fromhex("e56124"),
        ),
        UP,
    ),
    (
        PYCRATE["tracking_area_update_accept"],
        TrackingAreaUpdateAccept(
            update_result=1,
            t3412_s=54 * 60,
            tai_list=tuple(Tai(ORANGE, tac) for tac in (50336, 50337, 50338)),
            eps_bearer_context_status=1 << 5,
        ),
        DOWN,
    ),
    (PYCRATE["emm_information"], EmmInformation("Orange F", "Orange F", 1508404576), DOWN),
]


@pytest.mark.parametrize(
    ("octets", "message", "direction"), READ_ONLY, ids=[type(message).__name__ for _, message, _ in READ_ONLY]
)
def test_a_message_with_ies_that_we_do_not_keep_is_read(
    octets: bytes, message: EmmMessage, direction: Direction
) -> None:
    assert nas.decode(octets, direction) == message


def test_an_envelope_is_opened_and_sealed_again() -> None:
    octets = PYCRATE["security_mode_command_secured"]
    envelope = nas.open_envelope(octets)
    assert envelope == SecuredEnvelope(
        SecurityHeader.INTEGRITY_NEW, bytes.fromhex("e8a14bcf"), 0, bytes.fromhex("075d220605e060c04070c1")
    )
    assert nas.seal(envelope.header, envelope.mac, envelope.sequence_number, envelope.payload) == octets
    assert nas.peek_type(octets) == 0x5D
    assert nas.peek_type(PYCRATE["ciphered"]) is None


@pytest.mark.parametrize("name", ["service_request", "attach_complete", "esm_information_request"])
def test_what_has_no_envelope_is_not_opened(name: str) -> None:
    assert nas.open_envelope(PYCRATE[name]) is None


def test_a_message_type_that_we_do_not_have() -> None:
    with pytest.raises(NasError) as caught:
        nas.decode(PYCRATE["uplink_nas_transport"])
    assert caught.value.cause is EmmCause.MESSAGE_TYPE_NON_EXISTENT
    assert caught.value.message_type == 0x63


def test_an_esm_message_type_that_we_do_not_have() -> None:
    octets = inner(SRSRAN["deactivate_eps_bearer"])
    expected = EsmContainer(UndecodableEsm(6, 0, EsmCause.MESSAGE_TYPE_NON_EXISTENT, 0xCD))
    assert nas.decode(octets, DOWN) == expected
