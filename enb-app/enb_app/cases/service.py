"""Service request, paging, idle mode, GUTI reallocation (TS 24.301 5.6, 5.4.1)."""

from __future__ import annotations

import asyncio
from dataclasses import replace

from enb_app.cases.attach import heard
from enb_app.cases.case import Stage, case, check
from enb_app.cases.s1 import ids, status_taken
from enb_app.device import Device
from enb_app.effects import GutiTaken, SendNas
from enb_app.enb import UE_RADIO_CAPABILITY
from enb_app.initial_nas import s_tmsi
from enb_app.procedures import attach, detach, done, gone_idle, page, release, resulted, service_request, update_area
from mme.enums import EmmCause, ItemResult, S1apCause
from mme.messages import (
    Cause,
    DetachRequestToUe,
    GutiReallocationCommand,
    InitialContextSetupFailure,
    InitialContextSetupRequest,
    Paging,
    ServiceReject,
    UeContextReleaseCommand,
)


@case("service", "5.6.1.4", "service request from idle: the bearer is back, K_eNB from its count")
async def attach_service(stage: Stage) -> None:
    ue = await stage.idle()
    await service_request(ue)
    await status_taken(ue)


@case("service", "5.6.1.4, 5.5.2.2", "service request, then detach")
async def attach_detach_service(stage: Stage) -> None:
    ue = await stage.idle()
    await service_request(ue)
    await detach(ue)


@case("service", "5.6.1.4", "five UEs come back at once")
async def attach_service_multi_ue(stage: Stage) -> None:
    station = await stage.enb()
    ues = [await stage.idle(station) for _ in range(5)]
    async with asyncio.TaskGroup() as group:
        for ue in ues:
            group.create_task(service_request(ue, within=15))


@case("service", "5.6.1.4, 4.4.3.1", "forty service requests: the sequence number's five bits wrap")
async def service_request_looped(stage: Stage) -> None:
    ue = await stage.idle()
    for _ in range(40):
        await service_request(ue)
        await release(ue)


def radio_capability(ue: Device) -> bytes | None:
    """That of the last INITIAL CONTEXT SETUP REQUEST; without one the eNB asks the UE."""
    setups = [entry for entry in ue.journal.entries if isinstance(entry, InitialContextSetupRequest)]
    found: bytes | None = setups[-1].ue_radio_capability
    return found


@case(
    "service",
    "TS 36.413 8.3.1; TS 23.401 5.11.2",
    "the radio capability that the MME keeps is in the context setup of a service request, and never in an attach's",
)
async def attach_service_ue_radio_capability(stage: Stage) -> None:
    ue = await stage.attached()
    for _ in range(2):
        check(radio_capability(ue) is None, "no radio capability in the attach", "one")
        await release(ue)
        await service_request(ue)
        check(radio_capability(ue) == UE_RADIO_CAPABILITY, "the eNB's radio capability", radio_capability(ue))
        await attach(ue)


def _forged(ue: Device, octets: bytes) -> SendNas:
    honest = next(e for e in ue.ue.service_request() if isinstance(e, SendNas))
    return SendNas(octets or honest.octets, honest.name, True, honest.s_tmsi, honest.establishment_cause)


@case("service", "5.6.1.5, 4.4.4.3", "wrong short MAC: Service Reject #9; the registered UE is untouched")
async def attach_service_without_mac(stage: Stage) -> None:
    ue = await stage.idle()
    honest = _forged(ue, b"")
    forged = honest.octets[:3] + bytes((honest.octets[3] ^ 1,))
    forger = stage.ue(await stage.enb())
    await forger.say(SendNas(forged, honest.name, True, honest.s_tmsi))
    await forger.expect(ServiceReject, cause=EmmCause.UE_IDENTITY_CANNOT_BE_DERIVED)
    await service_request(ue)


@case("service", "5.6.1.5", "another key set identifier: Service Reject #9; the registered UE is untouched")
async def service_request_with_other_ksi(stage: Stage) -> None:
    ue = await stage.idle()
    honest = _forged(ue, b"")
    forged = honest.octets[:1] + bytes((honest.octets[1] ^ 0x40,)) + honest.octets[2:]
    forger = stage.ue(await stage.enb())
    await forger.say(SendNas(forged, honest.name, True, honest.s_tmsi))
    await forger.expect(ServiceReject, cause=EmmCause.UE_IDENTITY_CANNOT_BE_DERIVED)
    await service_request(ue)


@case("service", "5.6.1.5", "an S-TMSI that nobody has: Service Reject #9, and the UE attaches")
async def service_request_unknown_s_tmsi(stage: Stage) -> None:
    ue = await stage.idle()
    ue.ue.guti = replace(ue.ue.guti, m_tmsi=ue.ue.guti.m_tmsi ^ 0x3333) if ue.ue.guti else None
    ue.perform(ue.ue.service_request())
    await ue.expect(ServiceReject, cause=EmmCause.UE_IDENTITY_CANNOT_BE_DERIVED)
    await ue.idle()
    await attach(ue)


@case("service", "5.6.1.5", "a UE that has detached: Service Reject #9 or #10")
async def service_request_after_detach(stage: Stage) -> None:
    ue = await stage.attached()
    await detach(ue)
    ue.perform(ue.ue.service_request())
    reject = await ue.expect(ServiceReject)
    check(reject.cause in (9, 10), "cause #9 or #10", f"#{int(reject.cause)}")
    await ue.idle()
    await attach(ue)


@case("service", "4.4.3.2", "a replayed service request: refused; the connected UE is untouched")
async def service_request_replayed(stage: Stage) -> None:
    ue = await stage.idle()
    effects = ue.ue.service_request()
    message = next(e for e in effects if isinstance(e, SendNas))
    ue.perform(effects)
    await ue.expect(InitialContextSetupRequest)
    await ue.settled()
    thief = stage.ue(await stage.enb())
    await thief.say(message)
    await thief.expect(ServiceReject)
    await status_taken(ue)


@case("service", "5.6.1.5", "extended service request of a connected UE: Service Reject #18, it stays connected")
async def extended_service_request_connected(stage: Stage) -> None:
    ue = await stage.attached()
    ue.perform(ue.ue.extended_service_request())
    await ue.expect(ServiceReject, cause=EmmCause.CS_DOMAIN_NOT_AVAILABLE)
    await status_taken(ue)


@case("service", "5.6.1.5", "extended service request from idle: Service Reject #18, released, registered as before")
async def extended_service_request_idle(stage: Stage) -> None:
    ue = await stage.idle()
    ue.perform(ue.ue.extended_service_request())
    await ue.expect(ServiceReject, cause=EmmCause.CS_DOMAIN_NOT_AVAILABLE)
    await ue.idle()
    await service_request(ue)


@case("service", "TS 36.413 8.3.1.3", "Initial Context Setup Failure after a service request: idle, and pageable")
async def service_request_ics_failure(stage: Stage) -> None:
    ue = await stage.idle()
    ue.silent_enb.add(InitialContextSetupRequest)
    ue.journal.skip()
    ue.perform(ue.ue.service_request())
    await ue.expect(InitialContextSetupRequest)
    await ue.settled()
    await ue.send(InitialContextSetupFailure(*ids(ue), Cause(*S1apCause.UNSPECIFIED.value)))
    await gone_idle(ue)
    ue.silent_enb.clear()
    await page(stage.lab, ue)


@case("service", "TS 23.401 5.3.4.1", "service request on another eNB than the last one")
async def service_request_on_another_enb(stage: Stage) -> None:
    first, second = await stage.enb(), await stage.enb()
    ue = await stage.idle(first)
    ue.move(second)
    await service_request(ue)
    await release(ue)
    ue.move(first)
    await service_request(ue)


@case(
    "service",
    "TS 36.413 8.3.2; TS 23.401 5.3.5",
    "user inactivity: idle, and K_eNB changes with each return",
)
async def ue_context_release_user_inactivity(stage: Stage) -> None:
    ue = await stage.attached()
    keys = set()
    for _ in range(3):
        command = await release(ue)
        check(isinstance(command, UeContextReleaseCommand), "UEContextReleaseCommand", command)
        await service_request(ue)
        keys.add(ue.connection.side.k_enb if ue.connection else None)
    check(len(keys) == 3, "three different K_eNB", len(keys))


@case("service", "TS 36.413 8.3.2", "release asked for as the radio was lost: idle, and pageable")
async def ue_context_release_radio_lost(stage: Stage) -> None:
    ue = await stage.attached()
    await release(ue, S1apCause.RADIO_CONNECTION_WITH_UE_LOST)
    await page(stage.lab, ue)


@case("service", "5.6.2; TS 36.413 8.5", "paging by S-TMSI in the TAI list, answered by a service request")
async def paging_request(stage: Stage) -> None:
    ue = await stage.idle()
    ue.journal.skip()
    done(await stage.command("page", ue), "page")
    paging = await ue.expect(Paging)
    check(ue.station.cell.tai in paging.tai_list, "the UE's area in the TAI list", paging.tai_list)
    index = int(ue.imsi) % 1024
    check(paging.ue_identity_index == index, f"UE identity index {index}", paging.ue_identity_index)
    await service_request(ue, paged=True)


@case("service", "TS 23.401 5.13; TS 36.413 9.2.1.16", "the UE's own DRX cycle, of attach or update, is in PAGING")
async def paging_ue_specific_drx(stage: Stage) -> None:
    ue = await stage.idle(drx_parameter=bytes.fromhex("0a70"))
    for told, cycle in ((None, "v64"), ("0a90", "v256"), (None, "v256"), ("0a00", None)):
        await update_area(ue, drx_parameter=bytes.fromhex(told) if told else None)
        ue.journal.skip()
        done(await stage.command("page", ue), "page")
        paging = await ue.expect(Paging)
        check(paging.paging_drx == cycle, f"paging DRX {cycle}", paging.paging_drx)
        await service_request(ue, paged=True)
        await release(ue)


@case("service", "5.6.2.2.1", "paging a connected UE: nothing to do")
async def paging_of_connected_ue(stage: Stage) -> None:
    ue = await stage.attached()
    ue.station.journal.skip()
    done(await stage.command("page", ue), "page")
    pagings = [e for e in ue.station.journal.entries[ue.station.journal.read :] if isinstance(e, Paging)]
    own = [paging for paging in pagings if paging.ue_paging_id == s_tmsi(ue.ue.guti)]
    check(not own, "no Paging", f"{len(own)}")


@case("service", "docs/northbound.md", "paging an IMSI that nobody has: refused")
async def paging_of_unknown_ue(stage: Stage) -> None:
    resulted(await stage.command("page", "001019999999998"), ItemResult.REJECTED, "the command")


@case("service", "docs/northbound.md", "a command that does not exist is refused")
async def unknown_command(stage: Stage) -> None:
    ue = await stage.attached()
    resulted(await stage.command("dance", ue), ItemResult.REJECTED, "the command")


@case("service", "5.6.2", "paged, released and paged again: each paging has its answer")
async def paging_looped(stage: Stage) -> None:
    ue = await stage.idle()
    for _ in range(4):
        await page(stage.lab, ue)
        await release(ue)


@case("service", "5.4.1", "GUTI reallocation by command: the UE takes it, is paged and returns under the new one")
async def guti_reallocation(stage: Stage) -> None:
    ue = await stage.attached()
    old = ue.ue.guti
    done(await stage.command("reallocate-guti", ue), "reallocate-guti")
    await ue.expect(GutiTaken)
    await ue.settled()
    check(ue.ue.guti != old, "another GUTI", "the same")
    await release(ue)
    await page(stage.lab, ue)


@case("service", "5.4.1.5", "the UE is lost before it answers the reallocation: both GUTIs serve")
async def guti_reallocation_lost(stage: Stage) -> None:
    ue = await stage.attached()
    ue.ue.silent_to.add(GutiReallocationCommand)
    done(await stage.command("reallocate-guti", ue), "reallocate-guti")
    await ue.expect(GutiReallocationCommand)
    ue.lose_radio()
    ue.ue.silent_to.clear()
    await service_request(ue)


@case("service", "5.4.1.5; TS 36.413 8.3.2", "released before the reallocation is answered: still registered")
async def guti_reallocation_released(stage: Stage) -> None:
    ue = await stage.attached()
    ue.ue.silent_to.add(GutiReallocationCommand)
    done(await stage.command("reallocate-guti", ue), "reallocate-guti")
    await ue.expect(GutiReallocationCommand)
    await release(ue, S1apCause.RADIO_CONNECTION_WITH_UE_LOST)
    ue.ue.silent_to.clear()
    await service_request(ue)


@case("service", "5.4.1.2", "GUTI reallocation of an idle UE is refused, the UE is untouched")
async def guti_reallocation_of_idle_ue(stage: Stage) -> None:
    ue = await stage.idle()
    resulted(await stage.command("reallocate-guti", ue), ItemResult.REJECTED, "the command")
    await service_request(ue)
    check(heard(ue, DetachRequestToUe) == 0, "no detach", "one")
