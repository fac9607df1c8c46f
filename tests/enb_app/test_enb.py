"""The eNB's side against captured octets and hand-written PDUs."""

from __future__ import annotations

import pytest

from enb_app.effects import DeliverNas, EnbEffect, Released, S1apReceived, SendNas, SendS1ap
from enb_app.enb import UE_RADIO_CAPABILITY, Cell, EnbUe, setup_answer, ue_of
from mme.codec import s1ap
from mme.enums import CauseGroup, S1apCause
from mme.ids import GlobalEnbId, Plmn
from mme.messages import (
    Cause,
    DownlinkNasTransport,
    ErabToBeSetup,
    ErrorIndication,
    InitialContextSetupRequest,
    InitialContextSetupResponse,
    S1apMessage,
    S1SetupFailure,
    UeCapabilityInfoIndication,
    UeContextReleaseCommand,
    UeContextReleaseComplete,
    UeContextReleaseRequest,
    UplinkNasTransport,
)

PLMN = Plmn("00101")
CELL = Cell(GlobalEnbId(PLMN, 0x19B), 7, "srsenb01")
CAPTURED_SETUP = bytes.fromhex(
    "0011002d000004003b00080000f110000019b0003c400a0380737273656e62303100400007000001c000f1100089400140"
)
CAPTURED_INITIAL = bytes.fromhex(
    "000c403e000005000800020001001a00161507417108091010103254760802f07000040201d01100"
    "4300060000f1100007006440080000f1100019b0100086400140"
)
"""Both of srsRAN's eNB and UE (shared lab facts)."""
ATTACH_REQUEST = bytes.fromhex("07417108091010103254760802f07000040201d011")
CAUSE = Cause(CauseGroup.NAS, "normal-release")


def receive(side: EnbUe, message: S1apMessage) -> list[EnbEffect]:
    octets = s1ap.encode(message)
    read = side.read(octets)
    return read if isinstance(read, list) else side.receive(octets, read)


def sent(effects: list[EnbEffect]) -> list[S1apMessage]:
    return [s1ap.decode(effect.octets) for effect in effects if isinstance(effect, SendS1ap)]


def connected() -> EnbUe:
    side = EnbUe(CELL, 1)
    side.uplink(SendNas(ATTACH_REQUEST, "Attach Request"))
    receive(side, DownlinkNasTransport(4711, 1, b"\x07\x52"))
    return side


def context_setup(**more: bytes) -> InitialContextSetupRequest:
    bearer = ErabToBeSetup(5, 9, 8, bytes((127, 0, 0, 1)), 77, b"\x07\x42\x00")
    return InitialContextSetupRequest(4711, 1, 10**9, 10**9, (bearer,), 0xE000, 0xE000, bytes(32), **more)


def test_setup_request_is_octet_for_octet_that_of_a_real_enb() -> None:
    assert CELL.setup_request().octets == CAPTURED_SETUP
    assert CELL.enb == "00101-0019b"


def test_initial_ue_message_is_that_of_a_real_enb_up_to_the_establishment_cause() -> None:
    octets = EnbUe(CELL, 1).uplink(SendNas(ATTACH_REQUEST, "Attach Request")).octets
    assert octets[:-1] == CAPTURED_INITIAL[:-1]
    assert (octets[-1], CAPTURED_INITIAL[-1]) == (0x30, 0x40)  # mo-Signalling (TS 24.301 annex D), mo-Data


def test_later_messages_travel_in_uplink_nas_transport() -> None:
    message = s1ap.decode(connected().uplink(SendNas(b"\x07\x53", "Authentication Response")).octets)
    assert message == UplinkNasTransport(4711, 1, b"\x07\x53", CELL.ecgi, CELL.tai)


def test_context_setup_is_answered_and_its_nas_delivered() -> None:
    side = connected()
    effects = receive(side, context_setup())
    capability, response = sent(effects)
    assert capability == UeCapabilityInfoIndication(4711, 1, UE_RADIO_CAPABILITY)
    assert isinstance(response, InitialContextSetupResponse)
    assert [e_rab.e_rab_id for e_rab in response.e_rabs] == [5]
    assert effects[-1] == DeliverNas(b"\x07\x42\x00")


def test_the_capability_is_not_sent_to_an_mme_that_has_it() -> None:
    effects = receive(connected(), context_setup(ue_radio_capability=b"\x01"))
    assert [type(message) for message in sent(effects)] == [InitialContextSetupResponse]


def test_release() -> None:
    side = connected()
    effects = receive(side, UeContextReleaseCommand(4711, 1, CAUSE))
    assert sent(effects) == [UeContextReleaseComplete(4711, 1)]
    assert effects[-1] == Released("normal-release")
    assert side.released


def test_a_release_of_another_connection_is_not_carried_out() -> None:
    side = connected()
    effects = receive(side, UeContextReleaseCommand(4712, 1, CAUSE))
    cause = Cause(*S1apCause.UNKNOWN_PAIR_UE_S1AP_ID.value)
    assert sent(effects) == [ErrorIndication(4712, 1, cause)]
    assert not side.released


def test_an_error_indication_about_the_ids_releases_here_and_sends_nothing() -> None:
    side = connected()
    indication = ErrorIndication(4711, 1, Cause(*S1apCause.UNKNOWN_MME_UE_S1AP_ID.value))
    effects = receive(side, indication)
    assert sent(effects) == []
    assert side.released
    assert isinstance(effects[-1], Released)


def test_octets_that_are_no_s1ap_get_an_error_indication() -> None:
    read = connected().read(b"\x00\xff\xff")
    assert isinstance(read, list)
    (message,) = sent(read)
    assert isinstance(message, ErrorIndication)
    assert isinstance(read[0], S1apReceived)


def test_release_can_only_be_asked_for_where_the_mme_is_known() -> None:
    assert EnbUe(CELL, 1).request_release(S1apCause.USER_INACTIVITY) is None
    asked = connected().request_release(S1apCause.USER_INACTIVITY)
    assert asked
    message = s1ap.decode(asked.octets)
    assert message == UeContextReleaseRequest(4711, 1, Cause(*S1apCause.USER_INACTIVITY.value))


@pytest.mark.parametrize("octets", [b"", b"\xff" * 8, CAPTURED_INITIAL])
def test_what_is_no_answer_to_setup(octets: bytes) -> None:
    assert setup_answer(octets) is None


def test_setup_failure_is_an_answer() -> None:
    failure = S1SetupFailure(Cause(CauseGroup.MISC, "unknown-PLMN"))
    assert setup_answer(s1ap.encode(failure)) == failure


def test_the_ue_of_an_error_indication() -> None:
    assert ue_of(s1ap.encode(ErrorIndication(4711, 9, CAUSE))) == 9
    assert ue_of(b"\xff") is None
