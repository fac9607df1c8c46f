"""UEs and eNBs that must not get in, or are not who they say: the specification's cause, and nothing left behind."""

from __future__ import annotations

from dataclasses import replace

import pytest

from enb_app.association import Leave
from enb_app.effects import SendNas, Verdict
from enb_app.ue import Profile
from mme.codec import nas, s1ap
from mme.enums import Direction, EmmCause, EmmState, S1apCause, SecurityHeader, Step
from mme.ids import Imsi
from mme.messages import (
    AttachReject,
    AttachRequest,
    AuthenticationReject,
    Cause,
    CriticalityDiagnostics,
    DetachRequestFromUe,
    DownlinkNasTransport,
    EmmMessage,
    EmmStatus,
    ErabSetup,
    ErrorIndication,
    InitialContextSetupResponse,
    InitialUeMessage,
    PdnConnectivityRequest,
    S1apMessage,
    ServiceReject,
    TrackingAreaUpdateReject,
    UeCapabilityInfoIndication,
    UeContextReleaseCommand,
    UeContextReleaseComplete,
    UeContextReleaseRequest,
    UplinkNasTransport,
)
from mme.store.base import Table
from tests.mme.runtime.pair import EPOCH, IMSI, OTHER_ENB, PLMN, Exchange, Network, Talk, assert_no_count_used_twice
from tests.mme.runtime.returning import attached
from tests.mme.runtime.test_attach import assert_registered

WRONG_K = bytes(16)


def causes(exchange: Exchange) -> list[str]:
    """The cause of each Error Indication in the reply."""
    found = []
    for downlink in exchange.reply.downlink:
        message = s1ap.decode(downlink.s1ap)
        assert isinstance(message, ErrorIndication)
        assert message.cause is not None
        found.append(message.cause.value)
    return found


def assert_left_nothing(network: Network, talk: Talk) -> None:
    """Only the stub for duplicates remains, with a time to live, and no timer of it counts."""
    ctx = network.context(talk)
    assert (ctx.emm, ctx.step, ctx.timers, ctx.bearer) == (EmmState.DEREGISTERED, Step.NONE, {}, None)
    assert network.sessions() == []
    network.clock.now_s += network.config.duplicates_s + 1
    assert network.keys(Table.UE_CONTEXT) == []


def test_wrong_key(network: Network) -> None:
    """AUTN does not fit the card: #20, identity, Authentication Reject (TS 24.301 5.4.2.7 c)."""
    network.subscribe()
    talk = network.ue(replace(network.subscribe("001010000000003"), k=WRONG_K))
    done = talk.run()
    assert talk.names[:3] == ["Attach Request", "Authentication Failure", "Identity Response"]
    assert (done.verdict, done.cause) == (Verdict.REJECTED, "Authentication Reject")
    assert network.indexed("001010000000003") is None
    assert_left_nothing(network, talk)


def test_wrong_res(network: Network) -> None:
    talk = network.ue(network.subscribe(), profile=Profile(plmn=PLMN, wrong_res=True))
    done = talk.run()
    assert (done.verdict, done.cause) == (Verdict.REJECTED, "Authentication Reject")
    nas_pdus = [m.nas_pdu for m in talk.messages() if isinstance(m, DownlinkNasTransport)]
    assert nas_pdus[-1] == nas.encode(AuthenticationReject())
    assert network.indexed() is None
    assert_left_nothing(network, talk)


def test_unknown_imsi(network: Network) -> None:
    sim = replace(network.subscribe(), imsi=Imsi("001010999999999"))
    talk = network.ue(sim)
    done = talk.run()
    # 24.301 9.9.3.9: EPS services and non-EPS services not allowed.
    assert (done.verdict, done.emm_cause) == (Verdict.REJECTED, 8)
    assert isinstance(talk.messages()[-1], UeContextReleaseCommand)
    assert_left_nothing(network, talk)


def test_replayed_messages_are_discarded_and_the_attach_completes(network: Network) -> None:
    talk = network.ue(network.subscribe(), replay=True, leave=Leave.DETACH)
    done = talk.run()
    assert done.detached
    # Security Mode Complete, Attach Complete, Detach Request: the last meets a released connection.
    assert talk.association.copies.get("discarded", 0) == 2
    assert sum(talk.association.copies.values()) == 3
    assert "done" not in talk.association.copies
    assert_no_count_used_twice(talk)


def test_a_replay_changes_nothing(network: Network) -> None:
    talk = network.ue(network.subscribe(), replay=True)
    for _ in range(12):
        if not talk.queue:
            break
        copy = talk.queue[0].copy
        before = network.snapshot()
        exchange = talk.step()
        if copy:
            assert (exchange.reply.result, exchange.reply.downlink) == ("discarded", [])
            assert network.snapshot() == before
    assert_registered(network, talk)


def test_initial_message_before_s1_setup(network: Network) -> None:
    network.cells[OTHER_ENB] = network._cell(0x19C)
    network.epochs[OTHER_ENB] = "never"
    talk = network.ue(network.subscribe(), enb=OTHER_ENB)
    before = network.snapshot()
    exchange = talk.post()
    assert exchange.reply.result == "rejected"
    assert causes(exchange) == ["message-not-compatible-with-receiver-state"]
    assert network.snapshot() == before


def test_initial_message_of_an_older_association(network: Network) -> None:
    talk = network.ue(network.subscribe())
    network.set_up("epoch-2")
    before = network.snapshot()
    exchange = network.s1ap(talk.queue[0].octets, run="old", epoch=EPOCH)
    assert exchange.reply.result == "rejected"
    assert network.snapshot() == before


@pytest.mark.parametrize("stops_at", ["Authentication Response", "Security Mode Complete", "Attach Complete"])
def test_enb_that_lost_its_association(network: Network, stops_at: str) -> None:
    """A connection of an older epoch is stale: Error Indication, and no change to the context."""
    talk = network.ue(network.subscribe())
    talk.until(stops_at)
    network.event("association-lost")
    network.set_up("epoch-2")
    before = network.snapshot()
    exchange = talk.post()
    assert exchange.reply.result == "stale"
    assert causes(exchange) == ["unknown-mme-ue-s1ap-id"]
    assert network.snapshot() == before


def test_after_a_lost_association_no_new_connection_on_it(network: Network) -> None:
    network.event("association-lost")
    talk = network.ue(network.subscribe())
    exchange = talk.post()
    assert exchange.reply.result == "rejected"


def test_losing_an_older_association_changes_nothing(network: Network) -> None:
    network.set_up("epoch-2")
    before = network.snapshot()
    network.epochs[network.cell.enb] = EPOCH
    assert network.event("association-lost").reply.result == "done"
    assert network.snapshot() == before


def test_uplink_with_an_unknown_or_a_wrong_id(network: Network) -> None:
    """TS 36.413 10.6: Error Indication, the cause says which id; nothing is stored."""
    talk = network.ue(network.subscribe())
    talk.run()
    network.set_up("other", enb=OTHER_ENB)
    mme_id, enb_id = talk.side.mme_ue_s1ap_id or 0, talk.side.enb_ue_s1ap_id
    pdu = nas.encode(EmmStatus(111))
    cell = network.cell
    before = network.snapshot()
    cases = {
        "unknown MME id": (mme_id ^ 0x10, enb_id, "unknown-mme-ue-s1ap-id"),
        "unlisted connection": (mme_id ^ 1, enb_id, "unknown-mme-ue-s1ap-id"),
    }
    for name, (mme_ue, enb_ue, cause) in cases.items():
        for message in (
            UplinkNasTransport(mme_ue, enb_ue, pdu, cell.ecgi, cell.tai),
            InitialContextSetupResponse(mme_ue, enb_ue, (ErabSetup(5, bytes(4), 1),)),
            UeCapabilityInfoIndication(mme_ue, enb_ue, b"\x01"),
        ):
            exchange = network.s1ap(s1ap.encode(message), run=f"{name}-{type(message).__name__}")
            assert (exchange.reply.result, causes(exchange)) == ("stale", [cause]), name
            indication = s1ap.decode(exchange.reply.downlink[0].s1ap)
            assert isinstance(indication, ErrorIndication)
            assert (indication.mme_ue_s1ap_id, indication.enb_ue_s1ap_id) == (mme_ue, enb_ue)
    elsewhere = network.s1ap(
        s1ap.encode(UplinkNasTransport(mme_id, enb_id, pdu, cell.ecgi, cell.tai)), run="theirs", enb=OTHER_ENB
    )
    assert causes(elsewhere) == ["unknown-mme-ue-s1ap-id"]
    assert network.snapshot() == before
    assert_registered(network, talk)


@pytest.mark.parametrize("kind", ["NAS", "context setup", "capability", "release request"])
def test_a_wrong_pair_of_ids_is_told_and_ends_the_connection_of_the_mmes_id(network: Network, kind: str) -> None:
    """TS 36.413 10.6: local release of the connection that has the erroneous id; no RELEASE COMMAND."""
    talk = network.ue(network.subscribe())
    talk.run()
    mme_id, enb_id = talk.side.mme_ue_s1ap_id or 0, talk.side.enb_ue_s1ap_id + 1
    cell = network.cell
    message: S1apMessage = {
        "NAS": UplinkNasTransport(mme_id, enb_id, nas.encode(EmmStatus(111)), cell.ecgi, cell.tai),
        "context setup": InitialContextSetupResponse(mme_id, enb_id, (ErabSetup(5, bytes(4), 1),)),
        "capability": UeCapabilityInfoIndication(mme_id, enb_id, b"\x01"),
        "release request": UeContextReleaseRequest(mme_id, enb_id, Cause(*S1apCause.USER_INACTIVITY.value)),
    }[kind]
    exchange = network.s1ap(s1ap.encode(message), run="wrong")
    assert (exchange.reply.result, causes(exchange)) == ("stale", ["unknown-pair-ue-s1ap-id"])
    indication = s1ap.decode(exchange.reply.downlink[0].s1ap)
    assert isinstance(indication, ErrorIndication)
    assert (indication.mme_ue_s1ap_id, indication.enb_ue_s1ap_id) == (mme_id, enb_id)
    ctx = network.context(talk)
    assert (ctx.emm, ctx.connections) == (EmmState.REGISTERED, ())
    assert ctx.bearer is not None
    assert ctx.bearer.enb_teid is None
    assert ctx.ue_radio_capability != b"\x01"


@pytest.mark.parametrize("kind", [UeContextReleaseComplete, ErrorIndication])
def test_a_release_complete_or_an_error_indication_ends_nothing_under_a_wrong_pair(
    network: Network, kind: type[S1apMessage]
) -> None:
    talk = network.ue(network.subscribe())
    talk.run()
    mme_id, enb_id = talk.side.mme_ue_s1ap_id or 0, talk.side.enb_ue_s1ap_id + 1
    before = network.snapshot()
    cause = Cause(*S1apCause.USER_INACTIVITY.value)
    message = kind(mme_id, enb_id) if kind is UeContextReleaseComplete else kind(mme_id, enb_id, cause)  # type: ignore[call-arg]
    exchange = network.s1ap(s1ap.encode(message), run="late")
    assert (exchange.reply.result, exchange.reply.downlink) == ("stale", [])
    assert network.snapshot() == before


def test_error_indication_is_never_answered_by_one(network: Network) -> None:
    before = network.snapshot()
    message = ErrorIndication(0x1230, 3, Cause(*S1apCause.UNKNOWN_PAIR_UE_S1AP_ID.value))
    exchange = network.s1ap(s1ap.encode(message))
    assert (exchange.reply.result, exchange.reply.downlink) == ("stale", [])
    assert network.snapshot() == before


def test_enb_that_forgot_the_ue(network: Network) -> None:
    """Error Indication of a registered UE's connection: ECM-IDLE without a command (10.6)."""
    talk = network.ue(network.subscribe())
    talk.run()
    cause = Cause(*S1apCause.UNKNOWN_ENB_UE_S1AP_ID.value)
    message = ErrorIndication(talk.side.mme_ue_s1ap_id, talk.side.enb_ue_s1ap_id, cause)
    exchange = network.s1ap(s1ap.encode(message), run="error")
    assert exchange.reply.downlink == []
    ctx = network.context(talk)
    assert (ctx.emm, ctx.connections) == (EmmState.REGISTERED, ())


def initial(network: Network, pdu: bytes, run: str) -> Exchange:
    message = InitialUeMessage(77, pdu, network.cell.tai, network.cell.ecgi)
    return network.s1ap(s1ap.encode(message), run=run)


@pytest.mark.parametrize(
    "pdu",
    [
        b"\x07",
        b"\x07\x00",
        b"\x07\x41",
        b"\x17\x00\x00\x00\x00\x00\x07\x43\x00\x03\x52\x00\xc2",
        bytes.fromhex("27807d6aa1016b8354"),
        bytes.fromhex("074300035200c2"),
        b"\xff" * 20,
    ],
)
def test_initial_nas_that_no_context_can_come_from(network: Network, pdu: bytes) -> None:
    """docs/decisions/0006: answered, the connection released, nothing stored."""
    before = network.snapshot()
    exchange = initial(network, pdu, "bad")
    assert exchange.reply.result in ("discarded", "rejected")
    messages = [s1ap.decode(d.s1ap) for d in exchange.reply.downlink]
    assert isinstance(messages[-1], UeContextReleaseCommand)
    assert network.snapshot() == before
    assert network.again(exchange).reply == exchange.reply


@pytest.mark.parametrize(
    ("pdu", "expected"),
    [
        ("0741", AttachReject(EmmCause.INVALID_MANDATORY_INFORMATION)),
        ("0748", TrackingAreaUpdateReject(EmmCause.INVALID_MANDATORY_INFORMATION)),
        ("074c", ServiceReject(EmmCause.INVALID_MANDATORY_INFORMATION)),
        ("074d", EmmStatus(EmmCause.MESSAGE_TYPE_NON_EXISTENT)),
        ("0756", EmmStatus(EmmCause.INVALID_MANDATORY_INFORMATION)),
    ],
)
def test_a_request_with_a_protocol_error_is_rejected_and_another_message_gets_a_status(
    network: Network, pdu: str, expected: EmmMessage
) -> None:
    """TS 24.301 5.5.1.2.7 b, 5.5.3.2.7 b, 5.6.1.7 b; 7.4 to 7.7; docs/decisions/0006: nothing is stored."""
    before = network.snapshot()
    exchange = initial(network, bytes.fromhex(pdu), "bad")
    said, release = [s1ap.decode(d.s1ap) for d in exchange.reply.downlink]
    assert isinstance(said, DownlinkNasTransport)
    assert isinstance(said.nas_pdu, bytes)
    assert nas.decode(said.nas_pdu, Direction.DOWNLINK) == expected
    assert isinstance(release, UeContextReleaseCommand)
    assert network.snapshot() == before


@pytest.mark.parametrize(
    ("pdu", "expected"),
    [
        ("0741", AttachReject(EmmCause.INVALID_MANDATORY_INFORMATION)),
        ("0748", TrackingAreaUpdateReject(EmmCause.INVALID_MANDATORY_INFORMATION)),
        ("074c", ServiceReject(EmmCause.INVALID_MANDATORY_INFORMATION)),
        ("0745", EmmStatus(EmmCause.INVALID_MANDATORY_INFORMATION)),
    ],
)
def test_a_protected_request_with_a_protocol_error_leaves_the_registered_ue_as_it_is(
    network: Network, pdu: str, expected: EmmMessage
) -> None:
    """5.5.1.2.6 d, 5.5.3.2.6 d: so does the UE; only the NAS COUNTs move on."""
    back = attached(network)
    before = back.context()
    back.says(bytes.fromhex(pdu))
    assert back.told[-1] == expected
    after = back.context()
    for name in ("emm", "step", "guti", "old_guti", "bearer", "connection", "attaching", "updating", "timers"):
        if name == "connection":
            assert (after.connection.mme_ue_s1ap_id, after.connection.releasing) == (back.mme_id, False)
        else:
            assert getattr(after, name) == getattr(before, name), name
    assert after.security.ul_count == before.security.ul_count + 1


def test_service_request_without_a_context(network: Network) -> None:
    """The octets of a published capture; 5.6.1.5: Service Reject #9, release."""
    exchange = initial(network, bytes.fromhex("c7a8640c"), "service")
    messages = [s1ap.decode(d.s1ap) for d in exchange.reply.downlink]
    assert exchange.reply.result == "rejected"
    assert isinstance(messages[0], DownlinkNasTransport)
    assert isinstance(messages[0].nas_pdu, bytes)
    assert nas.decode(messages[0].nas_pdu) == ServiceReject(EmmCause.UE_IDENTITY_CANNOT_BE_DERIVED)
    assert isinstance(messages[1], UeContextReleaseCommand)


@pytest.mark.parametrize("flip", range(2, 6))
def test_wrong_mac_on_a_live_connection_is_silent(network: Network, flip: int) -> None:
    talk = network.ue(network.subscribe())
    talk.run()
    assert talk.ue.security is not None
    talk.detach()
    octets = bytearray(talk.queue[-1].octets)
    good = s1ap.decode(bytes(octets))
    assert isinstance(good, UplinkNasTransport)
    assert isinstance(good.nas_pdu, bytes)
    bad = bytearray(good.nas_pdu)
    bad[flip] ^= 0x01
    before = network.snapshot()
    exchange = network.s1ap(s1ap.encode(replace(good, nas_pdu=bytes(bad))), run="forged")
    assert (exchange.reply.result, exchange.reply.downlink) == ("discarded", [])
    assert network.snapshot() == before
    talk.flow()
    assert network.context(talk).emm is EmmState.DEREGISTERED


def test_forged_detach_on_a_registered_ues_connection(network: Network) -> None:
    talk = network.ue(network.subscribe())
    talk.run()
    before = network.snapshot()
    plain = nas.encode(DetachRequestFromUe(1, True, 7, talk.ue.usim.imsi))
    for header in (b"", b"\x17\x00\x00\x00\x00\x09"):
        pdu = UplinkNasTransport(
            talk.side.mme_ue_s1ap_id or 0, talk.number, header + plain, network.cell.ecgi, network.cell.tai
        )
        exchange = network.s1ap(s1ap.encode(pdu), run=f"forged{len(header)}")
        assert (exchange.reply.result, exchange.reply.downlink) == ("discarded", [])
    assert network.snapshot() == before


def test_forged_detach_by_imsi_on_a_connection_of_its_own_leaves_the_registered_ue_alone(network: Network) -> None:
    talk = network.ue(network.subscribe())
    talk.run()
    initial(network, nas.encode(DetachRequestFromUe(1, True, 7, talk.ue.usim.imsi)), "forged")
    assert_registered(network, talk)
    assert network.pushes.attempts == []
    assert network.indexed() == network.context(talk).key


def test_reject_names_the_cause_on_the_wire(network: Network) -> None:
    talk = network.ue(replace(network.subscribe(), imsi=Imsi("001010999999998")))
    talk.run()
    first = talk.messages()[0]
    assert isinstance(first, DownlinkNasTransport)
    # TS 24.301 8.2.3: discriminator 07, message type 44, cause.
    assert first.nas_pdu == bytes.fromhex("074408")
    assert isinstance(first.nas_pdu, bytes)
    assert nas.decode(first.nas_pdu) == AttachReject(EmmCause.EPS_SERVICES_AND_NON_EPS_SERVICES_NOT_ALLOWED)


def test_s1ap_without_a_mandatory_ie(network: Network) -> None:
    """The lab's InitialUEMessage (lab-facts.md) less its TAI: Error Indication naming id 67, missing."""
    octets = bytes.fromhex(
        "000c4034000004000800020001001a00161507417108091010103254760802f07000040201d011"
        "006440080000f1100019b0100086400130"
    )
    before = network.snapshot()
    exchange = network.s1ap(octets)
    assert exchange.reply.result == "rejected"
    indication = s1ap.decode(exchange.reply.downlink[0].s1ap)
    assert isinstance(indication, ErrorIndication)
    assert isinstance(indication.criticality_diagnostics, CriticalityDiagnostics)
    assert [(ie, why) for ie, _, why in indication.criticality_diagnostics.ies] == [(67, "missing")]
    assert network.snapshot() == before


def test_attach_request_for_a_secured_connection_without_protection(network: Network) -> None:
    talk = network.ue(network.subscribe())
    talk.run()
    before = network.snapshot()
    esm = PdnConnectivityRequest(eps_bearer_identity=0, pti=9, request_type=1, pdn_type=1)
    request = AttachRequest(1, 7, talk.ue.usim.imsi, b"\xf0\x70", esm)
    plain = SendNas(nas.encode(request), "Attach Request")
    exchange = network.s1ap(talk.side.uplink(plain).octets, run="plain")
    assert (exchange.reply.result, exchange.reply.downlink) == ("discarded", [])
    assert network.snapshot() == before


def test_security_mode_complete_under_no_new_context(network: Network) -> None:
    """Header type 4 once the new context is in use: nothing (4.4.2.3)."""
    talk = network.ue(network.subscribe())
    talk.run()
    assert talk.ue.security is not None
    protected = talk.ue.security.protect(bytes.fromhex("075e"), SecurityHeader.INTEGRITY_CIPHERED_NEW)
    before = network.snapshot()
    sent = talk.side.uplink(SendNas(protected, "Security Mode Complete", protected=True))
    exchange = network.s1ap(sent.octets, run="again")
    assert (exchange.reply.result, exchange.reply.downlink) == ("discarded", [])
    assert network.snapshot() == before
    assert network.indexed(IMSI) is not None
