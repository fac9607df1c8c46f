"""Tracking area update (TS 24.301 5.5.3)."""

from __future__ import annotations

from dataclasses import replace

from enb_app.cases.attach import heard, known_by_guti, released
from enb_app.cases.case import Stage, case, check
from enb_app.cases.s1 import ids, status_taken
from enb_app.cases.security import authenticated_up_to
from enb_app.cases.service import radio_capability
from enb_app.device import Device
from enb_app.effects import SendNas
from enb_app.initial_nas import area_update_request
from enb_app.journal import UnexpectedError
from enb_app.procedures import attach, detach, done, gone_idle, page, release, service_request, update_area
from enb_app.ue import COMBINED, NORMAL, PERIODIC
from mme.codec import nas
from mme.enums import EmmCause, S1apCause
from mme.messages import (
    AttachAccept,
    AuthenticationRequest,
    Cause,
    ErabSetup,
    InitialContextSetupFailure,
    InitialContextSetupRequest,
    InitialContextSetupResponse,
    SecurityModeCommand,
    ServiceReject,
    TrackingAreaUpdateAccept,
    TrackingAreaUpdateReject,
    UeContextModificationRequest,
)


@case("tau", "5.5.3.2.4", "periodic update from idle: accepted, released again, registered and pageable")
async def tau_periodic_inactive(stage: Stage) -> None:
    ue = await stage.idle()
    accept = await update_area(ue, PERIODIC)
    check(accept.update_result == 0, "TA updated", accept.update_result)
    await page(stage.lab, ue)


@case("tau", "5.5.3.2.4", "periodic update with the active flag: the bearers are established")
async def tau_periodic_active(stage: Stage) -> None:
    ue = await stage.idle()
    setups = heard(ue, InitialContextSetupRequest)
    await update_area(ue, PERIODIC, active=True)
    check(heard(ue, InitialContextSetupRequest) == setups + 1, "Initial Context Setup Request", "none")
    await status_taken(ue)


@case("tau", "5.5.3.2.4", "update in a new tracking area from idle: TAI list begins with it, the UE is paged there")
async def tau_ta_updating(stage: Stage) -> None:
    first, second = await stage.enb(), await stage.enb(tac_offset=1)
    ue = await stage.idle(first)
    ue.move(second)
    accept = await update_area(ue, NORMAL)
    check(second.cell.tai in accept.tai_list, f"TAC {second.cell.tac} in the TAI list", accept.tai_list)
    await page(stage.lab, ue)


@case("tau", "5.5.3.2.4", "update in connected mode: accepted, the connection stays")
async def tau_ta_updating_connected_mode(stage: Stage) -> None:
    ue = await stage.attached()
    await update_area(ue, NORMAL)
    check(ue.connected, "the UE still connected", "idle")
    await status_taken(ue)


@case(
    "tau",
    "5.5.3.2.4; TS 23.401 5.11.2",
    "the UE's radio capability has changed: the MME forgets what it kept, and the eNB asks for the new one",
)
async def tau_ue_radio_capability_changed(stage: Stage) -> None:
    ue = await stage.idle()
    await update_area(ue, active=True, radio_capability_changed=True)
    check(radio_capability(ue) is None, "no radio capability", "the old one")
    await release(ue)
    await service_request(ue)
    check(radio_capability(ue) is not None, "the new radio capability", "none")


@case("tau", "5.5.3.2.5", "a tracking area that is not served: Reject #12; the UE attaches elsewhere")
async def tau_ta_updating_reject(stage: Stage) -> None:
    first, second = await stage.enb(), await stage.enb()
    ue = await stage.idle(first)
    second.cell = replace(second.cell, tac=0xFFF2)
    ue.move(second)
    ue.perform(ue.ue.update_area())
    await ue.expect(TrackingAreaUpdateReject, cause=EmmCause.TRACKING_AREA_NOT_ALLOWED)
    await ue.idle()
    ue.move(first)
    await attach(ue)


@case("tau", "5.5.3.2.4, 9.9.3.33", "a TAI list of several areas is understood, and an update in each is accepted")
async def tau_mixed_partial_lists(stage: Stage) -> None:
    first, second = await stage.enb(), await stage.enb(tac_offset=1)
    ue = await stage.idle(first)
    check(len(ue.ue.tai_list) > 1, "several TAIs", len(ue.ue.tai_list))
    for station in (second, first):
        ue.move(station)
        await update_area(ue)


@case("tau", "5.5.3.3.4", "combined update from idle: EPS only, #18; re-attach works")
async def attach_inactive_tau_with_combined_tala_update_reattach(stage: Stage) -> None:
    ue = await stage.idle()
    accept = await update_area(ue, COMBINED)
    check(accept.cause == EmmCause.CS_DOMAIN_NOT_AVAILABLE, "cause #18", accept.cause)
    check(accept.update_result == 0, "TA updated", accept.update_result)
    await attach(ue)


@case("tau", "5.5.3.3.4", "combined update with the active flag: EPS only, #18, bearers established")
async def attach_active_tau_with_combined_tala_update_reattach(stage: Stage) -> None:
    ue = await stage.idle()
    accept = await update_area(ue, COMBINED, active=True)
    check(accept.cause == EmmCause.CS_DOMAIN_NOT_AVAILABLE, "cause #18", accept.cause)
    await release(ue)
    await attach(ue)


@case("tau", "5.5.3.2.4", "bearer status told: the accept tells the network's, and they agree")
async def tau_bearer_status(stage: Stage) -> None:
    ue = await stage.idle()
    accept = await update_area(ue, bearers=ue.ue.bearer_status())
    check(
        accept.eps_bearer_context_status == ue.ue.bearer_status(), "bearer 5 active", accept.eps_bearer_context_status
    )


@case("tau", "5.5.3.2.4, 5.5.3.2.5", "bearer status without any bearer: Reject #40, the UE attaches again")
async def tau_without_bearer(stage: Stage) -> None:
    ue = await stage.idle()
    ue.perform(ue.ue.update_area(bearers=0))
    await ue.expect(TrackingAreaUpdateReject, cause=EmmCause.NO_EPS_BEARER_CONTEXT_ACTIVATED)
    await ue.idle()
    await attach(ue)


@case("tau", "5.5.3.2.5", "GUTI that nobody has: Reject #9")
async def tau_unknown_guti(stage: Stage) -> None:
    ue = await stage.idle()
    ue.ue.guti = replace(ue.ue.guti, m_tmsi=ue.ue.guti.m_tmsi ^ 0x777) if ue.ue.guti else None
    ue.perform(ue.ue.update_area())
    await ue.expect(TrackingAreaUpdateReject, cause=EmmCause.UE_IDENTITY_CANNOT_BE_DERIVED)
    await ue.idle()
    await attach(ue)


@case("tau", "5.5.3.2.5", "a UE that has detached: Reject #9 or #10")
async def tau_after_detach(stage: Stage) -> None:
    ue = await stage.attached()
    await detach(ue)
    ue.perform(ue.ue.update_area())
    reject = await ue.expect(TrackingAreaUpdateReject)
    check(reject.cause in (9, 10), "cause #9 or #10", f"#{int(reject.cause)}")
    await ue.idle()


async def _before_attach_complete(ue: Device) -> None:
    """The UE has taken Attach Accept, with its GUTI and bearer; its Attach Complete is lost on the air."""
    ue.ue.silent_to.add(AttachAccept)
    ue.perform(ue.ue.attach())
    accept = await ue.expect(AttachAccept)
    await ue.settled()
    ue.ue.silent_to.clear()
    ue.perform([effect for effect in ue.ue.react(accept) if not isinstance(effect, SendNas)])


async def _attaches_again(ue: Device) -> None:
    """The update is refused with #10, and the GUTI that the UE holds is good for the next attach."""
    ue.perform(ue.ue.update_area())
    await ue.expect(TrackingAreaUpdateReject, cause=EmmCause.IMPLICITLY_DETACHED)
    await ue.idle()
    await attach(ue)
    known_by_guti(ue)
    await status_taken(ue)


@case("tau", "5.5.1.2.7 g", "update before Attach Complete: Reject #10; its GUTI is good for the next attach")
async def tau_before_attach_complete(stage: Stage) -> None:
    ue = stage.ue(await stage.enb())
    await _before_attach_complete(ue)
    await _attaches_again(ue)


@case("tau", "5.5.1.2.7 g", "the same on another connection: Reject #10; its GUTI is good for the next attach")
async def tau_before_attach_complete_elsewhere(stage: Stage) -> None:
    first, second = await stage.enb(), await stage.enb()
    ue = stage.ue(first)
    await _before_attach_complete(ue)
    ue.lose_radio()
    ue.move(second)
    await _attaches_again(ue)


@case("tau", "5.5.3.2.4; TS 36.413 8.3.1", "update while the eNB sets the context up: accepted, the connection stays")
async def tau_while_the_context_is_set_up(stage: Stage) -> None:
    ue = await stage.idle()
    ue.silent_enb.add(InitialContextSetupRequest)
    ue.journal.skip()
    ue.perform(ue.ue.service_request())
    setup = await ue.expect(InitialContextSetupRequest)
    await ue.settled()
    await update_area(ue)
    check(ue.connected, "the UE still connected", "idle")
    e_rabs = tuple(ErabSetup(e.e_rab_id, ue.station.cell.gtp_address, 88) for e in setup.e_rabs)
    done(await ue.send(InitialContextSetupResponse(*ids(ue), e_rabs)), "Initial Context Setup Response")
    await status_taken(ue)


@case(
    "tau", "5.4.2.7", "update in the middle of an authentication: that is aborted, the update accepted, the keys stay"
)
async def tau_crosses_authentication(stage: Stage) -> None:
    ue = await stage.attached()
    keys = ue.ue.security.k_asme if ue.ue.security else None
    await authenticated_up_to(stage, ue, AuthenticationRequest)
    await update_area(ue)
    await status_taken(ue)
    check(not heard(ue, UeContextModificationRequest), "no new K_eNB", "one")
    check(ue.ue.security is not None and ue.ue.security.k_asme == keys, "the old keys", "others")
    await release(ue)
    await service_request(ue)


@case("tau", "5.4.3.7 c, 5.5.3.2.3", "update in the middle of a security mode control: commanded anew, then accepted")
async def tau_crosses_security_mode(stage: Stage) -> None:
    ue = await stage.attached()
    keys = ue.ue.security.k_asme if ue.ue.security else None
    commands = heard(ue, SecurityModeCommand)
    await authenticated_up_to(stage, ue, SecurityModeCommand)
    ue.perform(ue.ue.update_area())
    await ue.expect(SecurityModeCommand)
    await ue.expect(UeContextModificationRequest)
    await ue.expect(TrackingAreaUpdateAccept)
    await ue.settled()
    check(heard(ue, SecurityModeCommand) == commands + 2, "two commands", heard(ue, SecurityModeCommand) - commands)
    check(ue.ue.security is not None and ue.ue.security.k_asme != keys, "new keys", "the old ones")
    await status_taken(ue)
    await release(ue)
    await service_request(ue)


def forged_update(ue: Device) -> SendNas:
    """A TRACKING AREA UPDATE REQUEST with the UE's GUTI under a wrong MAC."""
    if ue.ue.guti is None:
        raise UnexpectedError("a GUTI", "none")
    request = area_update_request(
        ue.ue.profile, ue.ue.guti, ue.ue.security, update_type=NORMAL, active=False, bearers=None
    )
    return SendNas(bytes.fromhex("17deadbeef09") + nas.encode(request), "Tracking Area Update Request", protected=True)


@case("tau", "5.5.3.2.5, 4.4.4.3", "wrong MAC: Reject #9 or a new authentication; the registered UE is untouched")
async def tau_with_wrong_mac(stage: Stage) -> None:
    ue = await stage.idle()
    forger = stage.ue(await stage.enb())
    await forger.say(forged_update(ue))
    await forger.expect(TrackingAreaUpdateReject, cause=EmmCause.UE_IDENTITY_CANNOT_BE_DERIVED)
    await update_area(ue)


@case("tau", "4.4.3.2", "a replayed update is refused; the registered UE is untouched")
async def tau_replayed(stage: Stage) -> None:
    ue = await stage.idle()
    message = next(e for e in ue.ue.update_area() if isinstance(e, SendNas))
    ue.perform([message])
    await gone_idle(ue)
    thief = stage.ue(await stage.enb())
    await thief.say(message)
    await thief.expect(TrackingAreaUpdateReject)
    await update_area(ue)


@case("tau", "5.5.3.2.4, 5.4.1", "a new GUTI in the accept: after Complete the old one is void, the new one serves")
async def tau_reallocates_guti(stage: Stage) -> None:
    ue = await stage.idle()
    old = ue.ue.guti
    accept = await update_area(ue)
    if accept.guti is None:
        return
    new, ue.ue.guti = ue.ue.guti, old
    ue.perform(ue.ue.service_request())
    await ue.expect(ServiceReject)
    await ue.idle()
    check(new is not None and new != old, "another GUTI", "the same")


@case("tau", "5.5.3.2.7", "the UE is lost before Complete: both GUTIs serve")
async def tau_lost_before_complete(stage: Stage) -> None:
    ue = await stage.idle()
    ue.ue.silent_to.add(TrackingAreaUpdateAccept)
    ue.perform(ue.ue.update_area())
    await ue.expect(TrackingAreaUpdateAccept)
    await ue.settled()
    ue.lose_radio()
    ue.ue.silent_to.clear()
    await service_request(ue)


@case("tau", "5.5.3.2.7; TS 36.413 8.3.2", "released at the eNB's wish before Complete: registered, both GUTIs serve")
async def tau_released_before_complete(stage: Stage) -> None:
    ue = await stage.idle()
    ue.ue.silent_to.add(TrackingAreaUpdateAccept)
    ue.perform(ue.ue.update_area())
    await ue.expect(TrackingAreaUpdateAccept)
    await ue.settled()
    ue.request_release(S1apCause.RADIO_CONNECTION_WITH_UE_LOST)
    await ue.idle()
    ue.ue.silent_to.clear()
    await service_request(ue)


@case("tau", "5.5.3.2.4; TS 36.413 8.3.1.3", "bearers of an active update fail before Complete: still registered")
async def tau_ics_failure_before_complete(stage: Stage) -> None:
    ue = await stage.idle()
    ue.ue.silent_to.add(TrackingAreaUpdateAccept)
    ue.silent_enb.add(InitialContextSetupRequest)
    ue.perform(ue.ue.update_area(active=True))
    await ue.expect(InitialContextSetupRequest)
    await ue.settled()
    await ue.send(InitialContextSetupFailure(*ids(ue), Cause(*S1apCause.UNSPECIFIED.value)))
    await ue.idle()
    ue.ue.silent_to.clear()
    ue.silent_enb.clear()
    await service_request(ue)


@case("tau", "TS 23.401 5.3.3", "update on another eNB while connected on the first: the old connection is released")
async def tau_on_another_enb_while_connected(stage: Stage) -> None:
    first, second = await stage.enb(), await stage.enb()
    ue = await stage.attached(first)
    old = ue.connection
    ue.connection = None
    ue.perform(ue.ue.connection_released("radio link failure"))
    ue.move(second)
    await update_area(ue, active=True)
    await released(old)
    await status_taken(ue)


@case("tau", "5.5.3.2.4", "five updates in a row from idle, each with its own count and GUTI")
async def tau_looped(stage: Stage) -> None:
    ue = await stage.idle()
    names = {ue.ue.guti}
    for _ in range(5):
        await update_area(ue)
        names.add(ue.ue.guti)
    check(heard(ue, AuthenticationRequest) == 1, "no authentication", heard(ue, AuthenticationRequest))
    check(heard(ue, AttachAccept) == 1, "one attach", heard(ue, AttachAccept))
    done(await stage.command("page", ue), "page")
