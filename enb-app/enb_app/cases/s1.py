"""S1 setup, reset, loss, errors (TS 36.413 8.7, 10)."""

from __future__ import annotations

from dataclasses import replace

from enb_app.cases.case import Deviation, Needs, Stage, case, check, deviates
from enb_app.device import Device
from enb_app.effects import Registered
from enb_app.journal import described
from enb_app.procedures import attach, detach, done, gone_idle, page, release, resulted, service_request
from enb_app.station import Station
from mme.codec import nas, s1ap
from mme.enums import EmmCause, ItemResult, S1apCause
from mme.ids import GlobalEnbId, Guti, Plmn
from mme.messages import (
    AuthenticationRequest,
    Cause,
    EmmMessage,
    EmmStatus,
    EnbConfigurationUpdate,
    EnbConfigurationUpdateAcknowledge,
    EnbConfigurationUpdateFailure,
    ErrorIndication,
    IdentityRequest,
    Paging,
    Reset,
    ResetAcknowledge,
    S1apMessage,
    S1SetupFailure,
    S1SetupRequest,
    S1SetupResponse,
    SecurityModeCommand,
    SupportedTa,
    UeContextReleaseComplete,
    UeContextReleaseRequest,
    UeS1apIds,
    UnhandledS1ap,
    UplinkNasTransport,
)

_OTHER_PLMN = Plmn("99999")
_OTHER_TAC = 0xFFF0
_INTERACTION = Cause(*S1apCause.MISC_UNSPECIFIED.value)


def setup(station: Station, *tas: SupportedTa, identity: GlobalEnbId | None = None) -> S1SetupRequest:
    cell = station.cell
    return S1SetupRequest(identity or cell.identity, tas or station.supported_tas(), cell.name, cell.paging_drx)


def ids(device: Device) -> tuple[int, int]:
    """(MME-UE-S1AP-ID, ENB-UE-S1AP-ID) of the UE's connection."""
    side = device.connection.side if device.connection else None
    check(side is not None and side.mme_ue_s1ap_id is not None, "a connection with both ids", "none")
    return (side.mme_ue_s1ap_id or 0, side.enb_ue_s1ap_id) if side is not None else (0, 0)


def uplink(device: Device, station: Station, mme_id: int, enb_id: int) -> S1apMessage:
    octets = device.ue.protected(EmmStatus(EmmCause.PROTOCOL_ERROR)).octets
    return UplinkNasTransport(mme_id, enb_id, octets, station.cell.ecgi, station.cell.tai)


async def status_taken(device: Device) -> None:
    """The UE's connection is alive: an EMM STATUS of its is processed."""
    done(await device.say(EmmStatus(EmmCause.PROTOCOL_ERROR)), "an uplink on the live connection")


async def on_dead_connection(device: Device, station: Station, old: tuple[int, int]) -> None:
    station.journal.skip()
    resulted(await station.send(uplink(device, station, *old)), ItemResult.STALE, "an uplink on the old connection")
    await station.expect(ErrorIndication, cause=S1apCause.UNKNOWN_MME_UE_S1AP_ID)


def not_answered(station: Station) -> None:
    """Nothing came for the eNB as a whole but Paging: the UEs of other cases are paged in its area too."""
    unread = station.journal.entries[station.journal.read :]
    came = [described(entry) for entry in unread if not isinstance(entry, Paging)]
    check(not came, "no answer", ", then ".join(came))


@case("s1", "TS 36.413 8.7.3.2", "S1 Setup Response with served GUMMEIs of the PLMN")
async def s1setup_success(stage: Stage) -> None:
    station = await stage.enb(set_up=False)
    answer = await station.set_up()
    check(isinstance(answer, S1SetupResponse), "S1SetupResponse", answer)
    plmns = [plmn for g in answer.served_gummeis for plmn in g.plmns] if isinstance(answer, S1SetupResponse) else []
    check(station.cell.plmn in plmns, "a served GUMMEI of the PLMN", plmns)


@case("s1", "TS 36.413 8.7.3.3", "S1 Setup Failure, unknown PLMN, with time to wait")
async def s1setup_failure_incorrect_plmn(stage: Stage) -> None:
    station = await stage.enb(set_up=False)
    answer = await station.set_up(message=setup(station, SupportedTa(station.cell.tac, (_OTHER_PLMN,))))
    refused = isinstance(answer, S1SetupFailure) and answer.cause.value == "unknown-PLMN"
    check(
        refused and getattr(answer, "time_to_wait_s", None) is not None,
        "S1SetupFailure (unknown-PLMN), time to wait",
        answer,
    )


@case("s1", "TS 36.413 8.7.3.3", "S1 Setup Failure for a TAC that is not served")
async def s1setup_failure_incorrect_tac(stage: Stage) -> None:
    station = await stage.enb(set_up=False)
    answer = await station.set_up(message=setup(station, SupportedTa(_OTHER_TAC, (station.cell.plmn,))))
    check(isinstance(answer, S1SetupFailure), "S1SetupFailure", answer)


@case("s1", "TS 36.413 8.7.3.2", "S1 Setup Response where one of several broadcast PLMNs is served")
async def s1setup_success_secondary_plmn(stage: Stage) -> None:
    station = await stage.enb(set_up=False)
    ta = SupportedTa(station.cell.tac, (_OTHER_PLMN, station.cell.plmn))
    answer = await station.set_up(message=setup(station, ta))
    check(isinstance(answer, S1SetupResponse), "S1SetupResponse", answer)
    await stage.attached(station)


@case("s1", "docs/envelope.md", "an eNB's key does not speak for another eNB's identity")
async def s1setup_other_identity_than_the_key(stage: Stage) -> None:
    station = await stage.enb(set_up=False)
    other = replace(station.cell.identity, enb_id=0x7)
    station.epoch = "forged"
    reply = await station.post(s1ap.encode(setup(station, identity=other)), "S1SetupRequest")
    resulted(reply, ItemResult.REJECTED, "S1 Setup in another's name")


@case("s1", "TS 36.413 8.7.3.2", "the same S1 Setup again within its association: same answer, UEs stay connected")
async def s1setup_repeated(stage: Stage) -> None:
    ue = await stage.attached()
    ue.station.journal.skip()
    done(await ue.station.send(setup(ue.station)), "the repeated S1 Setup")
    await ue.station.expect(S1SetupResponse)
    await status_taken(ue)


@case("s1", "TS 36.413 8.7.3.1", "Error Indication for an Initial UE Message before S1 Setup")
async def attach_without_s1setup(stage: Stage) -> None:
    station = await stage.enb(set_up=False)
    station.epoch = "never-set-up"
    ue = stage.ue(station)
    ue.perform(ue.ue.attach())
    await ue.expect(ErrorIndication, cause=S1apCause.MESSAGE_NOT_COMPATIBLE)


@case("s1", "TS 36.413 8.7.3.2; TS 23.401 5.3.5", "new association: its UEs are idle, old ids unknown, all come back")
async def sctp_shutdown_after_attach(stage: Stage) -> None:
    ue = await stage.attached()
    old = ids(ue)
    done(await ue.station.lose_association(), "association lost")
    await ue.station.set_up()
    await on_dead_connection(ue, ue.station, old)
    await service_request(ue)


@case("s1", "TS 36.413 8.7.3.2", "association lost with four UEs: one write, all of them idle and paged back")
async def sctp_shutdown_after_multi_ue_attach(stage: Stage) -> None:
    station = await stage.enb()
    ues = [await stage.attached(station) for _ in range(4)]
    done(await station.lose_association(), "association lost")
    await station.set_up()
    for ue in ues:
        await page(stage.lab, ue)


async def _abort_after(stage: Stage, kind: type[EmmMessage]) -> None:
    station = await stage.enb()
    ue = stage.ue(station)
    ue.ue.silent_to.add(kind)
    if kind is IdentityRequest:
        ue.ue.guti = await _foreign_guti(stage, station)
    ue.perform(ue.ue.attach())
    await ue.expect(kind)
    await ue.settled()
    old = ids(ue)
    done(await station.lose_association(), "association lost")
    await station.set_up()
    await on_dead_connection(ue, station, old)
    ue.ue.silent_to.clear()
    ue.ue.forget()
    await attach(ue)


async def _foreign_guti(stage: Stage, station: Station) -> Guti | None:
    other = await stage.attached(station)
    guti = other.ue.guti
    check(guti is not None, "a GUTI", "none")
    return replace(guti, m_tmsi=guti.m_tmsi ^ 0x5A5A5A5A) if guti else None


@case("s1", "TS 36.413 8.7.3", "association lost while the challenge is out: the UE attaches anew")
async def sctp_abort_after_auth_req(stage: Stage) -> None:
    await _abort_after(stage, AuthenticationRequest)


@case("s1", "TS 36.413 8.7.3", "association lost while the identity is asked for: the UE attaches anew")
async def sctp_abort_after_identity_req(stage: Stage) -> None:
    await _abort_after(stage, IdentityRequest)


@case("s1", "TS 36.413 8.7.3", "association lost while security mode is commanded: the UE attaches anew")
async def sctp_abort_after_smc(stage: Stage) -> None:
    await _abort_after(stage, SecurityModeCommand)


@case("s1", "TS 36.413 8.7.1.2.1", "Reset Acknowledge; all UEs of the eNB are idle and return by service request")
async def enb_complete_reset(stage: Stage) -> None:
    station = await stage.enb()
    ues = [await stage.attached(station) for _ in range(2)]
    await reset(station)
    for ue in ues:
        await page(stage.lab, ue)


@case("s1", "TS 36.413 8.7.1.2.1, 10.6", "after a reset the old ids mean nothing any more: Error Indication")
async def enb_complete_reset_voids_the_ids(stage: Stage) -> None:
    ue = await stage.attached()
    old = ids(ue)
    await reset(ue.station)
    await on_dead_connection(ue, ue.station, old)
    await service_request(ue)


async def reset(station: Station, *connections: UeS1apIds) -> ResetAcknowledge:
    """RESET of the whole interface, or of these connections."""
    gone = [c.enb_ue_s1ap_id for c in connections]
    for number, connection in list(station.connections.items()):
        if number in gone:
            connection.device.lose_radio()
    station.journal.skip()
    reply = await station.send(Reset(_INTERACTION, connections)) if connections else await station.reset()
    done(reply, "RESET")
    return await station.expect(ResetAcknowledge)


@case("s1", "TS 36.413 8.7.1.2.1", "Reset Acknowledge lists the connection; only its UE is idle")
async def enb_partial_reset(stage: Stage) -> None:
    station = await stage.enb()
    first, second = await stage.attached(station), await stage.attached(station)
    asked = UeS1apIds(*ids(first))
    ack = await reset(station, asked)
    check(ack.connections == (asked,), "the connection in Reset Acknowledge", ack.connections)
    await status_taken(second)
    await service_request(first)


@case("s1", "TS 36.413 8.7.1.2.1", "Reset Acknowledge lists all of several connections in the same order")
async def enb_partial_reset_multi_ue(stage: Stage) -> None:
    station = await stage.enb()
    ues = [await stage.attached(station) for _ in range(3)]
    asked = tuple(UeS1apIds(*ids(ue)) for ue in ues)
    ack = await reset(station, *asked)
    check(ack.connections == asked, "the connections in the same order", ack.connections)
    for ue in ues:
        await service_request(ue)


@case("s1", "TS 36.413 8.7.1.2.1", "unknown ids are listed in Reset Acknowledge too; known ones are reset")
async def enb_partial_reset_with_unknown_ue_s1ap_ids(stage: Stage) -> None:
    ue = await stage.attached()
    asked = (UeS1apIds(0x0FFFFFF0, 0xFFFFF0), UeS1apIds(*ids(ue)), UeS1apIds(0x0FFFFFE0, None))
    ack = await reset(ue.station, *asked)
    check(ack.connections == asked, "all three connections in the same order", ack.connections)
    await service_request(ue)


@case("s1", "TS 36.413 8.7.1.2.1", "a connection named by its eNB UE S1AP ID alone is reset as well: the UE is paged")
async def enb_partial_reset_by_enb_id(stage: Stage) -> None:
    ue = await stage.attached()
    await reset(ue.station, UeS1apIds(None, ids(ue)[1]))
    await page(stage.lab, ue)


@case("s1", "TS 36.413 8.7.1.2.1", "partial reset of a UE in the middle of its attach: it attaches anew")
async def enb_partial_reset_con_dereg(stage: Stage) -> None:
    ue = stage.ue(await stage.enb())
    ue.ue.silent_to.add(SecurityModeCommand)
    ue.perform(ue.ue.attach())
    await ue.expect(SecurityModeCommand)
    await ue.settled()
    await reset(ue.station, UeS1apIds(*ids(ue)))
    ue.ue.silent_to.clear()
    ue.ue.forget()
    await attach(ue)


@case("s1", "TS 36.413 8.7.1.2.1", "a reset of one eNB leaves the other's UEs connected")
async def multi_enb_complete_reset(stage: Stage) -> None:
    first, second = await stage.enb(), await stage.enb()
    one, other = await stage.attached(first), await stage.attached(second)
    await reset(first)
    await status_taken(other)
    await service_request(one)


@case("s1", "TS 36.413 8.7.1.2.1", "partial reset at two eNBs: each resets its own connection only")
async def multi_enb_partial_reset(stage: Stage) -> None:
    first, second = await stage.enb(), await stage.enb()
    one, other = await stage.attached(first), await stage.attached(second)
    foreign = UeS1apIds(ids(other)[0], 0xFFFFF1)
    await reset(first, UeS1apIds(*ids(one)), foreign)
    await status_taken(other)
    await service_request(one)


@case("s1", "TS 36.413 8.7.3", "one eNB's association is lost: the other's UEs stay connected")
async def multi_enb_sctp_shutdown(stage: Stage) -> None:
    first, second = await stage.enb(), await stage.enb()
    one, other = await stage.attached(first), await stage.attached(second)
    done(await first.lose_association(), "association lost")
    await status_taken(other)
    one.move(second)
    await service_request(one)


@case("s1", "TS 36.413 8.5.2", "PAGING goes to every eNB of the UE's tracking areas")
async def multi_enb_paging_request(stage: Stage) -> None:
    first, second = await stage.enb(), await stage.enb()
    ue = await stage.idle(first)
    second.journal.skip()
    done(await stage.command("page", ue), "page")
    await second.expect(Paging)
    ue.move(second)
    await service_request(ue, paged=True)


@case("s1", "TS 36.413 8.7.3", "three eNBs with two UEs each: all attach and detach")
async def multi_enb_multi_ue(stage: Stage) -> None:
    stations = [await stage.enb() for _ in range(3)]
    ues = [await stage.attached(station) for station in stations for _ in range(2)]
    for ue in ues:
        await detach(ue)


@case("s1", "TS 36.413 8.7.3", "eNBs in different tracking areas: UEs of both attach")
async def multi_enb_multi_ue_diff_tac(stage: Stage) -> None:
    stations = [await stage.enb(), await stage.enb(tac_offset=1)]
    for station in stations:
        ue = await stage.attached(station)
        check(ue.ue.tai_list[0] == station.cell.tai, f"TAI list beginning with TAC {station.cell.tac}", ue.ue.tai_list)


@case("s1", "TS 36.413 8.6.2.1", "the same UE attaches again under another eNB UE S1AP ID")
async def different_enb_s1ap_id_same_ue(stage: Stage) -> None:
    ue = await stage.attached()
    await detach(ue)
    ue.ue.forget()
    await attach(ue)
    await detach(ue)


@case(
    "s1",
    "TS 36.413 8.7.3",
    "two associations under one eNB identity: the later one counts, the earlier is void",
    deviation=Deviation(
        "an uplink of the earlier association is worked off, to know better would cost every uplink a read",
        "docs/decisions/0008-voided-connections.md",
    ),
)
async def two_enbs_with_one_identity(stage: Stage) -> None:
    ue = await stage.attached()
    station, old, epoch = ue.station, ids(ue), ue.station.epoch
    await station.set_up()
    station.journal.skip()
    late = s1ap.encode(uplink(ue, station, *old))
    reply = await station.post(late, "UplinkNASTransport", epoch=epoch)
    await service_request(ue)
    await status_taken(ue)
    if reply.result == ItemResult.DONE.value:
        deviates("an uplink of the earlier association to be stale", "done")
    resulted(reply, ItemResult.STALE, "an uplink of the earlier association")


async def _not_delivered(
    ue: Device, kind: type[EmmMessage], within_s: float, cause: S1apCause = S1apCause.RADIO_CONNECTION_WITH_UE_LOST
) -> None:
    ue.ue.silent_to.add(kind)
    ue.perform(ue.ue.attach())
    message = await ue.expect(kind)
    await ue.settled()
    side = ue.connection.side if ue.connection else None
    report = side.not_delivered(nas.encode(message), cause) if side else None
    check(report is not None, "a connection", "none")
    if report is not None and ue.connection is not None:
        ue.connection.send(report)
    ue.ue.silent_to.clear()
    await ue.expect(kind, within_s)


@case("s1", "TS 36.413 8.6.2.4", "NAS Non Delivery of the challenge: T3460 sends it again", Needs.SHORT_TIMERS)
async def nas_non_delivery_for_auth(stage: Stage) -> None:
    await _not_delivered(stage.ue(await stage.enb()), AuthenticationRequest, stage.within(6))


@case("s1", "TS 36.413 8.6.2.4", "NAS Non Delivery of Security Mode Command: T3460 sends it again", Needs.SHORT_TIMERS)
async def nas_non_delivery_for_smc(stage: Stage) -> None:
    await _not_delivered(stage.ue(await stage.enb()), SecurityModeCommand, stage.within(6))


@case("s1", "TS 36.413 8.6.2.4", "NAS Non Delivery of Identity Request: T3470 sends it again", Needs.SHORT_TIMERS)
async def nas_non_delivery_for_identity_req(stage: Stage) -> None:
    ue = await stage.stranger()
    await _not_delivered(ue, IdentityRequest, stage.within(6))


@case("s1", "TS 36.413 8.6.2.4", "NAS Non Delivery of the challenge, link alive: sent again at once, not by T3460")
async def nas_non_delivery_sent_again_at_once(stage: Stage) -> None:
    ue = stage.ue(await stage.enb())
    await _not_delivered(ue, AuthenticationRequest, stage.timer_s(6), S1apCause.UNSPECIFIED)
    await ue.expect(Registered)


@case(
    "s1",
    "TS 36.413 8.7.2, 10.6",
    "Error Indication for the challenge, ids unknown: a new attach works",
)
async def send_error_ind_for_dl_nas_with_auth_req(stage: Stage) -> None:
    ue = stage.ue(await stage.enb())
    ue.ue.silent_to.add(AuthenticationRequest)
    ue.perform(ue.ue.attach())
    await ue.expect(AuthenticationRequest)
    await ue.settled()
    unknown = Cause(*S1apCause.UNKNOWN_PAIR_UE_S1AP_ID.value)
    done(await ue.send(ErrorIndication(*ids(ue), unknown)), "Error Indication")
    ue.lose_radio()
    ue.ue.silent_to.clear()
    await attach(ue)


@case("s1", "TS 36.413 8.7.2", "Error Indication with unknown ids for a registered UE: it is idle and can be paged")
async def send_error_ind_for_registered_ue(stage: Stage) -> None:
    ue = await stage.attached()
    unknown = Cause(*S1apCause.UNKNOWN_ENB_UE_S1AP_ID.value)
    done(await ue.send(ErrorIndication(*ids(ue), unknown)), "Error Indication")
    ue.lose_radio()
    await page(stage.lab, ue)


@case("s1", "TS 36.413 8.7.2", "Error Indication of the eNB as a whole is taken without a word")
async def send_error_ind_without_ids(stage: Stage) -> None:
    station = await stage.enb()
    done(await station.send(ErrorIndication(cause=_INTERACTION)), "Error Indication")


@case("s1", "TS 36.413 8.7.4.1.2", "eNB Configuration Update Acknowledge; UEs stay connected")
async def enb_configuration_update(stage: Stage) -> None:
    ue = await stage.attached()
    update = EnbConfigurationUpdate("renamed", ue.station.supported_tas(), "v64")
    done(await ue.station.send(update), "eNB Configuration Update")
    await ue.station.expect(EnbConfigurationUpdateAcknowledge)
    await status_taken(ue)


@case("s1", "TS 36.413 8.7.4.1.3", "eNB Configuration Update Failure where no area is served; nothing changes")
async def enb_configuration_update_failure(stage: Stage) -> None:
    ue = await stage.idle()
    update = EnbConfigurationUpdate(supported_tas=(SupportedTa(_OTHER_TAC, (ue.station.cell.plmn,)),))
    await ue.station.send(update)
    await ue.station.expect(EnbConfigurationUpdateFailure)
    await page(stage.lab, ue)


@case("s1", "TS 36.413 8.7.4.1.2; 8.5.2", "an eNB that has left a tracking area by its update is not paged there")
async def enb_configuration_update_moves_area(stage: Stage) -> None:
    first, second = await stage.enb(), await stage.enb(tac_offset=1)
    area = SupportedTa(first.cell.tac, (first.cell.plmn,))
    done(await second.send(EnbConfigurationUpdate(supported_tas=(area,))), "eNB Configuration Update")
    await second.expect(EnbConfigurationUpdateAcknowledge)
    ue = await stage.idle(first)
    second.journal.skip()
    done(await stage.command("page", ue), "page")
    await second.expect(Paging)


@case("s1", "TS 36.413 10.3.4.1", "a procedure that the MME lacks, criticality reject: Error Indication")
async def unknown_procedure_reject(stage: Stage) -> None:
    station = await stage.enb()
    await station.send(UnhandledS1ap(40, "initiating-message", "reject"))
    await station.expect(ErrorIndication, cause=S1apCause.ABSTRACT_SYNTAX_ERROR_REJECT)


@case("s1", "TS 36.413 10.3.4.1", "a procedure that the MME lacks, criticality ignore: no answer")
async def unknown_procedure_ignore(stage: Stage) -> None:
    station = await stage.enb()
    station.journal.skip()
    await station.send(UnhandledS1ap(40, "initiating-message", "ignore"))
    not_answered(station)


@case("s1", "TS 36.413 10.2", "octets that are no PDU: Error Indication, transfer syntax error")
async def transfer_syntax_error(stage: Stage) -> None:
    station = await stage.enb()
    await station.post(bytes.fromhex("000d4003000007ff"), "(cut off)")
    await station.expect(ErrorIndication, cause=S1apCause.TRANSFER_SYNTAX_ERROR)


@case("s1", "TS 36.413 10.3.5", "mandatory IEs missing: Error Indication with criticality diagnostics")
async def missing_mandatory_ies(stage: Stage) -> None:
    station = await stage.enb()
    await station.post(bytes.fromhex("000d4003000000"), "UplinkNASTransport")
    answer = await station.expect(ErrorIndication, cause=S1apCause.ABSTRACT_SYNTAX_ERROR_REJECT)
    told = answer.criticality_diagnostics
    check(told is not None and bool(told.ies), "the missing IEs in the diagnostics", told)


@case("s1", "TS 36.413 10.6", "an uplink under an MME UE S1AP ID that nobody has: Error Indication")
async def unknown_mme_ue_s1ap_id(stage: Stage) -> None:
    ue = await stage.attached()
    await on_dead_connection(ue, ue.station, (0x0FFFFFF0, 77))
    await status_taken(ue)


@case("s1", "TS 36.413 10.6", "both ids known, but not as a pair: Error Indication, the UE is idle and can be paged")
async def unknown_pair_of_ids(stage: Stage) -> None:
    ue = await stage.attached()
    old = ids(ue)
    ue.station.journal.skip()
    reply = await ue.station.send(uplink(ue, ue.station, old[0], 0xFFFFF2))
    resulted(reply, ItemResult.STALE, "an uplink under a wrong pair")
    await ue.station.expect(ErrorIndication, cause=S1apCause.UNKNOWN_PAIR_UE_S1AP_ID)
    ue.lose_radio()
    await on_dead_connection(ue, ue.station, old)
    await page(stage.lab, ue)


@case("s1", "TS 36.413 10.6", "an eNB speaks on another eNB's connection: refused, the UE is not affected")
async def connection_of_another_enb(stage: Stage) -> None:
    first, second = await stage.enb(), await stage.enb()
    ue = await stage.attached(first)
    await on_dead_connection(ue, second, ids(ue))
    await status_taken(ue)


@case("s1", "TS 36.413 8.3.3", "UE Context Release Complete for a connection long gone: stale, not a word, UE unharmed")
async def late_release_complete(stage: Stage) -> None:
    ue = await stage.attached()
    old = ids(ue)
    await release(ue)
    await service_request(ue)
    ue.station.journal.skip()
    reply = await ue.station.send(UeContextReleaseComplete(*old))
    resulted(reply, ItemResult.STALE, "the late Release Complete")
    not_answered(ue.station)
    await status_taken(ue)


@case("s1", "TS 36.413 8.3.2", "UE Context Release Request for a connection long gone changes nothing")
async def late_release_request(stage: Stage) -> None:
    ue = await stage.attached()
    old = ids(ue)
    await release(ue)
    await service_request(ue)
    late = UeContextReleaseRequest(*old, Cause(*S1apCause.USER_INACTIVITY.value))
    resulted(await ue.station.send(late), ItemResult.STALE, "the late Release Request")
    await status_taken(ue)


@case("s1", "docs/envelope.md", "the same item again gets the same answer; with other content it is refused")
async def duplicate_item_ids(stage: Stage) -> None:
    ue = stage.ue(await stage.enb())
    ue.ue.silent_to.add(AuthenticationRequest)
    message = ue.ue.attach()[0]
    connection = ue.open()
    request = connection.side.uplink(message)  # type: ignore[arg-type]  # the first effect is the message
    item_id = f"{ue.station.cell.enb}/{connection.run}/900"
    first = await ue.station.post(request.octets, request.name, item_id=item_id, stream=1)
    again = await ue.station.post(request.octets, request.name, item_id=item_id, stream=1)
    check(first == again, "the same reply", again.result)
    other = request.octets[:-1] + bytes((request.octets[-1] ^ 1,))
    reply = await ue.station.post(other, request.name, item_id=item_id, stream=1)
    resulted(reply, ItemResult.REJECTED, "another message under the same id")
    challenges = [entry for entry in ue.journal.entries if isinstance(entry, AuthenticationRequest)]
    check(len(challenges) == 1, "one Authentication Request", len(challenges))


@case("s1", "docs/envelope.md", "event release-ue: the UE is idle, and can be paged")
async def ue_given_up_by_the_gateway(stage: Stage) -> None:
    ue = await stage.attached()
    done(await ue.station.give_up(ids(ue)[0]), "release-ue")
    await gone_idle(ue)
    await page(stage.lab, ue)
