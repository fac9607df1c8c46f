"""Attach and detach (TS 24.301 5.5.1, 5.5.2)."""

from __future__ import annotations

import asyncio
from dataclasses import replace

from enb_app import subscribers
from enb_app.cases.case import Stage, case, check, discarded
from enb_app.cases.s1 import ids, status_taken
from enb_app.device import PATIENCE_S, Connection, Device
from enb_app.effects import Detached, Ended, Registered, SendNas
from enb_app.journal import Sent, UnexpectedError
from enb_app.procedures import (
    attach,
    detach,
    detached_by_network,
    done,
    gone_idle,
    page,
    release,
    resulted,
    service_request,
)
from enb_app.ue import State
from enb_app.usim import Usim
from mme.enums import (
    AttachType,
    CauseGroup,
    DetachType,
    EmmCause,
    EsmCause,
    IdentityType,
    ItemResult,
    PdnType,
    S1apCause,
    SecurityHeader,
)
from mme.ids import Ecgi, GlobalEnbId, Guti, Plmn, Tai
from mme.messages import (
    ActivateDefaultEpsBearerContextReject,
    ActivateDefaultEpsBearerContextRequest,
    AttachAccept,
    AttachComplete,
    AttachReject,
    AuthenticationRequest,
    Cause,
    DetachAccept,
    DetachRequestToUe,
    EmmStatus,
    ErabSetup,
    IdentityRequest,
    IdentityResponse,
    InitialContextSetupFailure,
    InitialContextSetupRequest,
    InitialContextSetupResponse,
    InitialUeMessage,
    PdnConnectivityReject,
    UeContextReleaseCommand,
    UeContextReleaseComplete,
    UeContextReleaseRequest,
)


async def refused(ue: Device, cause: EmmCause, esm: EsmCause | None = None) -> None:
    """The attach is answered by ATTACH REJECT, and the connection released."""
    ue.perform(ue.ue.attach())
    await attach_rejected(ue, cause, esm)


async def attach_rejected(ue: Device, cause: EmmCause, esm: EsmCause | None = None) -> None:
    """ATTACH REJECT comes, and the release.  esm: cause of the PDN CONNECTIVITY REJECT in it."""
    reject = await ue.expect(AttachReject, cause=cause)
    if esm is not None:
        found = reject.esm.cause if isinstance(reject.esm, PdnConnectivityReject) else None
        check(found == esm, f"ESM cause #{int(esm)}", f"#{int(found)}" if found else "none")
    await ue.idle()


async def released(old: Connection | None) -> None:
    """A connection that its UE has left behind is released by the MME."""
    if old is None:
        raise UnexpectedError("a connection", "none")
    try:
        async with asyncio.timeout(PATIENCE_S):
            while not old.side.released:
                await old.device.journal.changed()
    except TimeoutError:
        raise UnexpectedError("the old connection released", f"nothing within {PATIENCE_S:g} s") from None


def heard(ue: Device, kind: type) -> int:
    """How many messages of that type the UE has heard."""
    return sum(isinstance(entry, kind) for entry in ue.journal.entries)


def known_by_guti(ue: Device) -> None:
    """The UE was never asked for its IMSI; for its IMEISV it may be, where equipment is checked."""
    asked = [e for e in ue.journal.entries if isinstance(e, IdentityRequest) and e.identity_type is IdentityType.IMSI]
    check(not asked, "no Identity Request for the IMSI", "one")


@case("attach", "5.5.1.2, 5.5.2.2", "attach by IMSI with AKA and a default bearer; detach with Detach Accept")
async def attach_detach(stage: Stage) -> None:
    ue = await stage.attached()
    check(ue.ue.guti is not None and ue.ue.bearer is not None, "a GUTI and a bearer", "none")
    await detach(ue)


@case("attach", "5.5.1.2, 5.5.2.2", "three attaches of one UE, one after the other")
async def attach_detach_looped(stage: Stage) -> None:
    ue = await stage.attached()
    await detach(ue)
    for _ in range(2):
        await attach(ue)
        await detach(ue)


@case("attach", "5.5.1.2, 5.5.2.2", "eight UEs at once: each its own GUTI and address")
async def attach_detach_multi_ue(stage: Stage) -> None:
    station = await stage.enb()
    ues = [stage.ue(station) for _ in range(8)]
    async with asyncio.TaskGroup() as group:
        for ue in ues:
            group.create_task(attach(ue, 15))
    names = {ue.ue.guti for ue in ues}
    addresses = {ue.ue.bearer.pdn_address.ipv4 for ue in ues if ue.ue.bearer}
    check(len(names) == 8 and len(addresses) == 8, "8 GUTIs and 8 addresses", f"{len(names)} and {len(addresses)}")
    for ue in ues:
        await detach(ue)


@case("attach", "5.5.1.2, 5.5.2.2", "four UEs at once, three times: each detached and attached anew")
async def attach_detach_multi_ue_looped(stage: Stage) -> None:
    station = await stage.enb()
    ues = [stage.ue(station) for _ in range(4)]
    for _ in range(3):
        async with asyncio.TaskGroup() as group:
            for ue in ues:
                group.create_task(attach(ue, 15))
        async with asyncio.TaskGroup() as group:
            for ue in ues:
                group.create_task(detach(ue, within=15))


@case("attach", "5.5.2.2.2", "switch-off: no Detach Accept, the connection is released")
async def attach_detach_switch_off(stage: Stage) -> None:
    ue = await stage.attached()
    ue.journal.skip()
    ue.perform(ue.ue.detach(switch_off=True))
    await ue.expect(UeContextReleaseCommand, cause=S1apCause.DETACH)
    await ue.idle()
    check(not heard(ue, DetachAccept), "no Detach Accept", "one")


@case("attach", "5.5.2.2", "detach in the initial message of an idle UE")
async def attach_idle_detach(stage: Stage) -> None:
    ue = await stage.idle()
    await detach(ue)


@case("attach", "5.5.2.2.3", "IMSI detach (non-EPS services): accepted, the UE stays registered")
async def imsi_detach_stays_registered(stage: Stage) -> None:
    ue = await stage.attached()
    ue.perform(ue.ue.detach(switch_off=False, detach_type=DetachType.IMSI))
    await ue.expect(DetachAccept)
    await status_taken(ue)


@case("attach", "5.7, 7.4", "EMM STATUS of the UE changes nothing")
async def attach_detach_emm_status(stage: Stage) -> None:
    ue = await stage.attached()
    done(await ue.say(EmmStatus(EmmCause.MESSAGE_TYPE_NOT_COMPATIBLE_WITH_STATE)), "EMM Status")
    await detach(ue)


@case("attach", "7.4", "a message that does not exist: EMM STATUS #97, the UE stays registered")
async def emm_status_for_unknown_message(stage: Stage) -> None:
    ue = await stage.attached()
    security = ue.ue.security
    check(security is not None, "a security context", "none")
    if security is not None:
        octets = security.protect(bytes.fromhex("07ff"), SecurityHeader.INTEGRITY_CIPHERED)
        await ue.say(SendNas(octets, "(message type ff)", protected=True))
    await ue.expect(EmmStatus, cause=EmmCause.MESSAGE_TYPE_NON_EXISTENT)
    await detach(ue)


@case("attach", "TS 36.413 8.3.1.3", "Initial Context Setup Failure: the attach ends, a new one works")
async def attach_ics_failure(stage: Stage) -> None:
    ue = stage.ue(await stage.enb())
    ue.silent_enb.add(InitialContextSetupRequest)
    ue.perform(ue.ue.attach())
    await ue.expect(InitialContextSetupRequest)
    await ue.settled()
    await ue.send(InitialContextSetupFailure(*ids(ue), Cause(*S1apCause.UNSPECIFIED.value)))
    await ue.expect(UeContextReleaseCommand)
    await ue.idle()
    ue.silent_enb.clear()
    ue.ue.forget()
    await attach(ue)


@case("attach", "5.5.2.2; TS 23.401 5.3.5", "detach after the S1 release")
async def attach_detach_after_ue_context_release(stage: Stage) -> None:
    ue = await stage.attached()
    await release(ue)
    await detach(ue)


@case("attach", "TS 36.413 8.3.2; 5.5.2.2", "release as the UE is not there for PS service; then switch-off from idle")
async def attach_detach_ps_service_not_available(stage: Stage) -> None:
    ue = await stage.attached()
    cause = Cause(CauseGroup.RADIO_NETWORK, "ue-not-available-for-ps-service")
    done(await ue.send(UeContextReleaseRequest(*ids(ue), cause)), "UE Context Release Request")
    await ue.expect(UeContextReleaseCommand)
    await ue.idle()
    await detach(ue, switch_off=True)
    resulted(await stage.command("page", ue), ItemResult.REJECTED, "paging a UE that is switched off")


@case("attach", "TS 36.413 8.3.3", "no Release Complete of the eNB: the UE comes back all the same")
async def attach_detach_no_ue_context_release_comp(stage: Stage) -> None:
    ue = await stage.attached()
    ue.silent_enb.add(UeContextReleaseCommand)
    ue.request_release()
    await ue.expect(UeContextReleaseCommand)
    await ue.settled()
    ue.lose_radio()
    ue.silent_enb.clear()
    await service_request(ue)
    await detach(ue)


@case("attach", "TS 36.413 8.3.3", "Release Complete after the UE is back on a new connection")
async def attach_ue_ctxt_release_cmp_delay(stage: Stage) -> None:
    ue = await stage.attached()
    old = ids(ue)
    ue.silent_enb.add(UeContextReleaseCommand)
    ue.request_release()
    await ue.expect(UeContextReleaseCommand)
    await ue.settled()
    ue.lose_radio()
    ue.silent_enb.clear()
    await service_request(ue)
    await ue.station.send(UeContextReleaseComplete(*old))
    await status_taken(ue)


@case("attach", "4.4.3.2", "each protected answer sent twice: the copies are discarded, the attach completes")
async def attach_detach_duplicate_nas_resp_messages(stage: Stage) -> None:
    ue = stage.ue(await stage.enb())
    ue.ue.silent_to = {AttachAccept}
    ue.perform(ue.ue.attach())
    accept = await ue.expect(AttachAccept)
    await ue.settled()
    check(isinstance(accept.esm, ActivateDefaultEpsBearerContextRequest), "a bearer in Attach Accept", accept.esm)
    complete = next(e for e in ue.ue.react(accept) if isinstance(e, SendNas))
    done(await ue.say(complete), "Attach Complete")
    copy = await ue.say(complete)
    discarded(copy, "the copy of Attach Complete")
    ue.ue.silent_to.clear()
    await detach(ue)


@case("attach", "TS 36.413 8.6.2.1", "radio link failure: a new connection releases the one left behind")
async def attach_detach_enb_rlf_initial_ue_msg(stage: Stage) -> None:
    ue = await stage.attached()
    old = ue.connection
    ue.connection = None  # the UE is gone from the eNB's old connection, which the eNB still has
    ue.ue.connection_released("radio link failure")
    await service_request(ue)
    check(old is not None and old.side.released, "the old connection released", "it is still there")
    await detach(ue)


@case("attach", "5.5.1.3.4.3", "combined attach: EPS only, with cause #18")
async def attach_combined_eps_imsi(stage: Stage) -> None:
    ue = await stage.attached(attach_type=AttachType.COMBINED)
    accepts = [entry for entry in ue.journal.entries if isinstance(entry, AttachAccept)]
    check(accepts[0].attach_result == 1, "attach result EPS only", accepts[0].attach_result)
    check(accepts[0].cause == EmmCause.CS_DOMAIN_NOT_AVAILABLE, "cause #18", accepts[0].cause)


@case("attach", "5.5.1.2.5", "IMSI that the HSS does not know: Attach Reject #8")
async def attach_unknown_imsi(stage: Stage) -> None:
    ue = stage.ue(await stage.enb())
    ue.ue.usim = Usim(subscribers.unknown(1, ue.station.cell.plmn, stage.lab.random)[0])
    await refused(ue, EmmCause.EPS_SERVICES_AND_NON_EPS_SERVICES_NOT_ALLOWED)


@case("attach", "5.5.1.2.5", "a tracking area that is not served: Attach Reject #12")
async def attach_restricted_tracking_area(stage: Stage) -> None:
    station = await stage.enb()
    station.cell = replace(station.cell, tac=0xFFF1)
    await refused(stage.ue(station), EmmCause.TRACKING_AREA_NOT_ALLOWED)


@case("attach", "5.5.1.2.5", "a PLMN that is not served: Attach Reject #11, #12 or #15")
async def attach_restricted_plmn(stage: Stage) -> None:
    station = await stage.enb()
    ue = stage.ue(station)
    message = next(e for e in ue.ue.attach() if isinstance(e, SendNas))
    ue.open()
    other = GlobalEnbId(Plmn("99999"), station.cell.identity.enb_id)
    enb_id = ue.connection.side.enb_ue_s1ap_id if ue.connection else 0
    tai = Tai(other.plmn, station.cell.tac)
    await ue.send(InitialUeMessage(enb_id, message.octets, tai, Ecgi(other.plmn, 1)))
    reject = await ue.expect(AttachReject)
    check(reject.cause in (11, 12, 15), "cause #11, #12 or #15", f"#{int(reject.cause)}")


@case("attach", "5.5.1.2.3, 5.4.4", "a GUTI that nobody has: Identity Request, and the attach goes on with the IMSI")
async def attach_via_guti(stage: Stage) -> None:
    other = await stage.attached()
    ue = stage.ue(other.station)
    ue.ue.guti = replace(other.ue.guti, m_tmsi=other.ue.guti.m_tmsi ^ 0x1234567) if other.ue.guti else None
    await attach(ue)
    check(heard(ue, IdentityRequest) == 1, "one Identity Request", heard(ue, IdentityRequest))


@case("attach", "5.5.1.2.3, 5.4.4", "GUTI with an M-TMSI of zero: Identity Request, then as usual")
async def guti_attach_with_zero_mtmsi(stage: Stage) -> None:
    other = await stage.attached()
    ue = stage.ue(other.station)
    ue.ue.guti = replace(other.ue.guti, m_tmsi=0) if other.ue.guti else None
    await attach(ue)
    check(heard(ue, IdentityRequest) == 1, "one Identity Request", heard(ue, IdentityRequest))


@case("attach", "5.5.1.2.3, 5.4.4", "GUTI of another MME: Identity Request, then as usual")
async def attach_via_guti_of_another_mme(stage: Stage) -> None:
    other = await stage.attached()
    ue = stage.ue(other.station)
    if other.ue.guti is not None:
        gummei = replace(other.ue.guti.gummei, mme_code=(other.ue.guti.gummei.mme_code + 7) % 256)
        ue.ue.guti = Guti(gummei, other.ue.guti.m_tmsi)
    await attach(ue)
    check(heard(ue, IdentityRequest) == 1, "one Identity Request", heard(ue, IdentityRequest))
    await status_taken(other)


@case("attach", "5.4.4.4, 5.5.1.2.5", "the UE has no identity to give: Attach Reject #9")
async def attach_missing_imsi(stage: Stage) -> None:
    ue = stage.ue(await stage.enb())
    other = await stage.attached(ue.station)
    ue.ue.guti = replace(other.ue.guti, m_tmsi=1) if other.ue.guti else None
    ue.ue.silent_to.add(IdentityRequest)
    ue.perform(ue.ue.attach())
    await ue.expect(IdentityRequest)
    await ue.settled()
    await ue.say(IdentityResponse(None))
    await ue.expect(AttachReject, cause=EmmCause.UE_IDENTITY_CANNOT_BE_DERIVED)


@case("attach", "5.5.1.2.7 e", "an equal Attach Request before Attach Accept is ignored, the first one goes on")
async def duplicate_attach(stage: Stage) -> None:
    ue = stage.ue(await stage.enb())
    ue.ue.silent_to.add(AuthenticationRequest)
    request = next(e for e in ue.ue.attach() if isinstance(e, SendNas))
    await ue.say(request)
    challenge = await ue.expect(AuthenticationRequest)
    done(await ue.say(request), "the equal Attach Request")
    check(heard(ue, AuthenticationRequest) == 1, "no second challenge", heard(ue, AuthenticationRequest))
    ue.perform(ue.ue.react(challenge))
    await ue.expect(Registered)
    await ue.settled()


@case("attach", "5.5.1.2.7 e", "an Attach Request with other IEs before Attach Accept: the first attach is aborted")
async def attach_with_other_ies_before_accept(stage: Stage) -> None:
    ue = stage.ue(await stage.enb())
    ue.ue.silent_to.add(AuthenticationRequest)
    ue.perform(ue.ue.attach())
    await ue.expect(AuthenticationRequest)
    await ue.settled()
    ue.ue.silent_to.clear()
    ue.ue.profile = replace(ue.ue.profile, attach_type=AttachType.COMBINED, pti=9)
    ue.perform(ue.ue.attach())
    accept = await ue.expect(AttachAccept, cause=EmmCause.CS_DOMAIN_NOT_AVAILABLE)
    check(accept.esm.pti == 9, "the second request's PTI", accept.esm.pti)
    await ue.settled()


@case("attach", "5.5.1.2.7 e", "attach on another eNB while the first is in progress: the later one completes")
async def attach_on_another_enb_while_in_progress(stage: Stage) -> None:
    first, second = await stage.enb(), await stage.enb()
    ue = stage.ue(first)
    ue.ue.silent_to.add(AuthenticationRequest)
    ue.perform(ue.ue.attach())
    await ue.expect(AuthenticationRequest)
    await ue.settled()
    ue.lose_radio()
    ue.ue.silent_to.clear()
    ue.move(second)
    await attach(ue)
    await status_taken(ue)


@case("attach", "5.5.1.2.7 f, 4.4.2.3", "re-attach of a registered UE with its context: no authentication, a new GUTI")
async def reattach_with_old_context(stage: Stage) -> None:
    ue = await stage.idle()
    before, challenges = ue.ue.guti, heard(ue, AuthenticationRequest)
    await attach(ue)
    check(heard(ue, AuthenticationRequest) == challenges, "no Authentication Request", "one")
    check(ue.ue.guti != before, "a new GUTI", "the old one")
    await status_taken(ue)


async def _attached_by_guti(ue: Device, before: Guti | None) -> None:
    """The UE that was detached attaches by its GUTI `before`, and is known by it and by its keys."""
    await attach(ue)
    known_by_guti(ue)
    check(heard(ue, AuthenticationRequest) == 1, "no second challenge", "one")
    check(ue.ue.guti != before, "a new GUTI", "the old one")
    await status_taken(ue)


@case("attach", "TS 23.401 4.6.2; 5.5.1.2.3", "attach by GUTI after a detach: not authenticated, a new GUTI")
async def attach_by_guti_after_detach(stage: Stage) -> None:
    ue = await stage.attached()
    before = ue.ue.guti
    await detach(ue)
    await _attached_by_guti(ue, before)


@case("attach", "TS 23.401 4.6.2; 5.5.1.2.3", "attach by GUTI after a switch-off from idle: as after any other detach")
async def attach_by_guti_after_switch_off(stage: Stage) -> None:
    ue = await stage.idle()
    before = ue.ue.guti
    await detach(ue, switch_off=True)
    await _attached_by_guti(ue, before)


@case("attach", "TS 23.401 4.6.2; 5.5.1.2.3", "attach by GUTI after a detach by the network: as after any other detach")
async def attach_by_guti_after_detach_by_the_network(stage: Stage) -> None:
    ue = await stage.attached()
    before = ue.ue.guti
    await detached_by_network(stage.lab, ue, reattach=True)
    await _attached_by_guti(ue, before)


@case("attach", "5.5.1.2.7 f", "re-attach by IMSI without the old context: authentication, the old connection released")
async def reattach_without_old_context(stage: Stage) -> None:
    ue = await stage.attached()
    old = ue.connection
    ue.connection = None
    ue.ue.forget()
    await attach(ue)
    check(heard(ue, AuthenticationRequest) == 2, "a second challenge", heard(ue, AuthenticationRequest))
    await released(old)
    await status_taken(ue)


@case("attach", "5.5.1.2.7 f", "re-attach on the same connection, integrity right: attached anew")
async def reattach_on_the_same_connection(stage: Stage) -> None:
    ue = await stage.attached()
    await attach(ue)
    await status_taken(ue)


@case("attach", "5.5.1.2.7 f; TS 33.401 7.2.5", "a forged attach under a UE's IMSI leaves the registered UE untouched")
async def forged_attach_leaves_the_ue_alone(stage: Stage) -> None:
    ue = await stage.attached()
    forger = stage.ue(await stage.enb(), wrong_res=True)
    forger.ue.usim = Usim(ue.ue.usim.card, ue.ue.usim.highest_sqn)
    forger.perform(forger.ue.attach())
    await forger.expect(Ended)
    await forger.idle()
    await status_taken(ue)
    await release(ue)
    await service_request(ue)


@case("attach", "5.5.1.2.3", "a UE's GUTI with a wrong MAC: identified and authenticated, the registered one untouched")
async def forged_attach_by_guti(stage: Stage) -> None:
    ue = await stage.idle()
    forger = stage.ue(await stage.enb())
    forger.ue.guti = ue.ue.guti
    forger.ue.silent_to.add(IdentityRequest)
    request = next(e for e in forger.ue.attach() if isinstance(e, SendNas))
    sealed = SendNas(bytes.fromhex("17deadbeef07") + request.octets, request.name, protected=True)
    await forger.say(sealed)
    await forger.expect(IdentityRequest)
    await service_request(ue)


@case("attach", "5.5.2.2", "a forged detach under a UE's GUTI leaves the registered UE untouched")
async def forged_detach_leaves_the_ue_alone(stage: Stage) -> None:
    ue = await stage.idle()
    forger = stage.ue(await stage.enb())
    forger.ue.guti = ue.ue.guti
    forger.perform(forger.ue.detach(switch_off=True))
    await forger.settled()
    await service_request(ue)


@case("attach", "5.5.2.3", "network detach of a connected UE: Detach Request, Accept, release; #9 or #10 afterwards")
async def attach_nw_initiated_detach(stage: Stage) -> None:
    ue = await stage.attached()
    await detached_by_network(stage.lab, ue, reattach=False)
    check(ue.ue.state is State.DEREGISTERED, "the UE deregistered", ue.ue.state)
    await attach(ue)


@case("attach", "5.5.2.3", "network detach, re-attach required: the UE attaches again")
async def attach_nw_initiated_detach_reattach(stage: Stage) -> None:
    ue = await stage.attached()
    await detached_by_network(stage.lab, ue, reattach=True)
    await attach(ue)
    await status_taken(ue)


@case("attach", "5.5.2.3.1; TS 23.401 5.3.8.3", "network detach of an idle UE: it is paged, then detached")
async def nw_initiated_detach_of_idle_ue(stage: Stage) -> None:
    ue = await stage.idle()
    ue.journal.skip()
    ue.answers_paging = True
    done(await stage.command("detach", ue), "detach")
    await ue.expect(DetachRequestToUe)
    await gone_idle(ue)


@case("attach", "5.5.2.3", "a command for an IMSI that is not registered is refused")
async def nw_initiated_detach_of_unknown_ue(stage: Stage) -> None:
    resulted(await stage.command("detach", "001019999999999"), ItemResult.REJECTED, "the command")
    ue = await stage.attached()
    await detach(ue)
    resulted(await stage.command("detach", ue), ItemResult.REJECTED, "the command for a detached UE")


@case("attach", "5.5.1.2.4; TS 36.413 8.3.1", "Attach Complete before Initial Context Setup Response")
async def outoforder_attach_complete_icsr(stage: Stage) -> None:
    ue = stage.ue(await stage.enb())
    ue.silent_enb.add(InitialContextSetupRequest)
    ue.perform(ue.ue.attach())
    request = await ue.expect(InitialContextSetupRequest)
    await ue.settled()
    ue.perform(ue.ue.receive(nas_of(request)))
    await ue.expect(Registered)
    await ue.settled()
    await set_up(ue, request)
    await status_taken(ue)
    await release(ue)
    await service_request(ue)


def nas_of(request: InitialContextSetupRequest) -> bytes:
    """The NAS message in it."""
    pdu = request.e_rabs[0].nas_pdu
    return pdu if isinstance(pdu, bytes) else b""


async def set_up(ue: Device, request: InitialContextSetupRequest) -> None:
    """The eNB's answer to INITIAL CONTEXT SETUP REQUEST."""
    ue.silent_enb.clear()
    e_rabs = tuple(ErabSetup(e.e_rab_id, ue.station.cell.gtp_address, 77) for e in request.e_rabs)
    done(await ue.send(InitialContextSetupResponse(*ids(ue), e_rabs)), "Initial Context Setup Response")


@case("attach", "6.4.1.4", "the UE refuses its default bearer: the attach ends, the connection is released")
async def attach_act_dflt_ber_ctxt_rej(stage: Stage) -> None:
    ue = stage.ue(await stage.enb())
    ue.ue.silent_to.add(AttachAccept)
    ue.perform(ue.ue.attach())
    accept = await ue.expect(AttachAccept)
    await ue.settled()
    refusal = ActivateDefaultEpsBearerContextReject(
        accept.esm.eps_bearer_identity, accept.esm.pti, int(EsmCause.INSUFFICIENT_RESOURCES)
    )
    await ue.say(AttachComplete(refusal))
    await gone_idle(ue)


def _bearer(ue: Device) -> ActivateDefaultEpsBearerContextRequest:
    """What the UE was told of its bearer.  Raises UnexpectedError."""
    if ue.ue.bearer is None:
        raise UnexpectedError("a bearer", "none")
    return ue.ue.bearer


_NOTES: dict[tuple[bool, bool], tuple[EsmCause | None, ...]] = {
    (True, True): (None,),
    (True, False): (EsmCause.PDN_TYPE_IPV4_ONLY_ALLOWED, EsmCause.SINGLE_ADDRESS_BEARERS_ONLY_ALLOWED),
    (False, True): (EsmCause.PDN_TYPE_IPV6_ONLY_ALLOWED, EsmCause.SINGLE_ADDRESS_BEARERS_ONLY_ALLOWED),
}
"""By (an IPv4 address, an IPv6 one) for who asked for both: the causes that the UE may be told (6.5.1.3)."""


@case(
    "attach", "6.5.1.3", "PDN type IPv4v6: two addresses and no cause, or one and the ESM cause #50, #51, #52 to match"
)
async def attach_ipv4v6_pdn_type(stage: Stage) -> None:
    bearer = _bearer(await stage.attached(pdn_type=PdnType.IPV4V6))
    address = bearer.pdn_address
    given = (address.ipv4 is not None, address.ipv6_interface_id is not None)
    check(given in _NOTES, "an address", address)
    check(bearer.cause in _NOTES[given], f"one of the ESM causes {_NOTES[given]}", bearer.cause)


@case("attach", "6.5.1.3, 6.5.1.4", "PDN type IPv6: an IPv6 address alone, or Attach Reject #19 with ESM #50")
async def attach_detach_ipv6(stage: Stage) -> None:
    ue = stage.ue(await stage.enb(), pdn_type=PdnType.IPV6)
    ue.perform(ue.ue.attach())
    await ue.until(lambda: ue.ue.state is not State.REGISTERED_INITIATED, "an answer to the attach")
    if ue.ue.state is not State.REGISTERED:
        await attach_rejected(ue, EmmCause.ESM_FAILURE, EsmCause.PDN_TYPE_IPV4_ONLY_ALLOWED)
        return
    await ue.settled()
    address = _bearer(ue).pdn_address
    check(address.ipv4 is None and address.ipv6_interface_id is not None, "an IPv6 address alone", address)
    await detach(ue)


def _options(ue: Device) -> dict[int, bytes]:
    """The protocol configuration options of the bearer (TS 24.008 10.5.6.3), the last one of each identifier."""
    value, found, at = _bearer(ue).protocol_configuration_options or b"", {}, 1
    check(value[:1] == b"\x80", "options for use with IP", value.hex())
    while at < len(value):
        end = at + 3 + value[at + 2] if at + 3 <= len(value) else len(value) + 1
        check(end <= len(value), "options to their end", value.hex())
        found[int.from_bytes(value[at : at + 2], "big")] = value[at + 3 : end]
        at = end
    return found


def _is_address(octets: bytes) -> bool:
    return len(octets) == 4 and any(octets)


@case("attach", "6.5.1.2; TS 24.008 10.5.6.3", "PCO: DNS servers and MTU come with the bearer when asked for")
async def attach_with_pco_dns_and_mtu(stage: Stage) -> None:
    options = _options(await stage.attached(pco=bytes.fromhex("80000d00001000")))
    dns, mtu = options.get(0x000D, b""), int.from_bytes(options.get(0x0010, b""), "big")
    check(_is_address(dns), "a DNS server", dns.hex())
    check(68 <= mtu <= 0xFFFF, "an MTU of 68 at least (RFC 791)", mtu)


@case("attach", "6.5.1.2; RFC 1877 1", "PCO with IPCP: Configure-Nak with the DNS servers; detach")
async def attach_detach_with_pco_ipcp(stage: Stage) -> None:
    asked = bytes.fromhex("0107000a810600000000")  # Configure-Request 7: primary DNS 0.0.0.0
    ue = await stage.attached(pco=b"\x80\x80\x21" + bytes((len(asked),)) + asked)
    answer = _options(ue).get(0x8021, b"")
    check(answer[:6] == bytes.fromhex("0307000a8106"), "Configure-Nak with the primary DNS server", answer.hex())
    check(_is_address(answer[6:]), "its address", answer.hex())
    await detach(ue)


@case("attach", "5.4.5", "EMM Information with the network's names after the attach")
async def emm_information_after_attach(stage: Stage) -> None:
    ue = await stage.attached()
    information = ue.ue.information
    names = (information.full_name, information.short_name) if information is not None else ()
    check(any(names), "EMM Information with a name of the network", information)


@case("attach", "5.5.2.2", "a UE detached by itself and one that never was: paging commands are refused")
async def page_after_detach(stage: Stage) -> None:
    ue = await stage.attached()
    never = stage.ue(ue.station)
    resulted(await stage.command("page", never), ItemResult.REJECTED, "paging a UE that never attached")
    await detach(ue)
    resulted(await stage.command("page", ue), ItemResult.REJECTED, "paging a detached UE")
    await attach(ue)
    await release(ue)
    await page(stage.lab, ue)
    results = [entry.result for entry in ue.journal.entries if isinstance(entry, Sent)]
    check("lost" not in results and heard(ue, Detached) == 1, "no lost messages", results)
