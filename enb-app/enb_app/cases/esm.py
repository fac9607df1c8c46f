"""ESM inside the attach (TS 24.301 6.5, 6.6, 6.7)."""

from __future__ import annotations

from enb_app.cases.attach import heard, refused
from enb_app.cases.case import Stage, case, check, discarded
from enb_app.cases.s1 import status_taken
from enb_app.effects import Registered
from enb_app.procedures import attach, done, release, service_request
from mme.enums import EmmCause, EsmCause
from mme.messages import (
    AttachReject,
    EsmContainer,
    EsmInformationRequest,
    EsmInformationResponse,
    EsmStatus,
    PdnConnectivityRequest,
)


@case("esm", "6.6.1.2", "the APN is kept back: ESM Information Request after security mode, then as usual")
async def attach_esm_information(stage: Stage) -> None:
    ue = await stage.attached(esm_information=True, access_point_name="internet")
    requests = [
        entry
        for entry in ue.journal.entries
        if isinstance(entry, EsmContainer) and isinstance(entry.esm, EsmInformationRequest)
    ]
    check(len(requests) == 1, "one ESM Information Request", len(requests))


@case("esm", "6.5.1.4", "ESM information with an APN that is not subscribed: Attach Reject #19, ESM #27")
async def attach_esm_information_wrong_apn(stage: Stage) -> None:
    ue = stage.ue(await stage.enb(), esm_information=True, access_point_name="nowhere")
    await refused(ue, EmmCause.ESM_FAILURE, EsmCause.MISSING_OR_UNKNOWN_APN)


@case("esm", "6.6.1.2.4", "ESM information without an APN: the subscription's default one")
async def attach_esm_information_without_apn(stage: Stage) -> None:
    ue = await stage.attached(esm_information=True, access_point_name=None)
    check(ue.ue.bearer is not None and bool(ue.ue.bearer.access_point_name), "a bearer with an APN", ue.ue.bearer)


@case("esm", "7.3.1", "ESM Information Response with another PTI: ignored; the right one completes the attach")
async def attach_esm_information_wrong_pti(stage: Stage) -> None:
    ue = stage.ue(await stage.enb(), esm_information=True)
    ue.ue.silent_to.add(EsmContainer)
    ue.perform(ue.ue.attach())
    request = await ue.expect(EsmInformationRequest)
    await ue.settled()
    reply = await ue.say(EsmContainer(EsmInformationResponse(0, request.pti + 1)))
    discarded(reply, "the response with another PTI")
    await ue.say(EsmContainer(EsmInformationResponse(0, request.pti)))
    await ue.expect(Registered)


@case("esm", "6.7", "ESM STATUS #97 for ESM Information Request: the attach is rejected with ESM #53")
async def attach_esm_information_refused(stage: Stage) -> None:
    ue = stage.ue(await stage.enb(), esm_information=True)
    ue.ue.silent_to.add(EsmContainer)
    ue.perform(ue.ue.attach())
    request = await ue.expect(EsmInformationRequest)
    await ue.settled()
    await ue.say(EsmContainer(EsmStatus(0, request.pti, int(EsmCause.MESSAGE_TYPE_NON_EXISTENT))))
    await ue.expect(AttachReject, cause=EmmCause.ESM_FAILURE)


@case("esm", "6.7", "ESM STATUS of a registered UE changes nothing")
async def esm_status_of_registered_ue(stage: Stage) -> None:
    ue = await stage.attached()
    done(await ue.say(EsmContainer(EsmStatus(5, 0, int(EsmCause.PROTOCOL_ERROR)))), "ESM Status")
    await release(ue)
    await service_request(ue)


@case("esm", "7.3.1", "PDN CONNECTIVITY REQUEST with the reserved PTI 0: ESM #81")
async def pdn_connectivity_without_pti(stage: Stage) -> None:
    await refused(stage.ue(await stage.enb(), pti=0), EmmCause.ESM_FAILURE, EsmCause.INVALID_PTI_VALUE)


@case("esm", "6.5.1.4", "an unknown PDN type: ESM #28")
async def pdn_connectivity_unknown_pdn_type(stage: Stage) -> None:
    await refused(stage.ue(await stage.enb(), pdn_type=7), EmmCause.ESM_FAILURE, EsmCause.UNKNOWN_PDN_TYPE)


@case("esm", "6.5.1.4", "a second PDN connection on a registered UE: not served, the UE is told and stays registered")
async def standalone_pdn_conn_req(stage: Stage) -> None:
    ue = await stage.attached()
    ue.journal.skip()
    await ue.say(EsmContainer(PdnConnectivityRequest(0, 7, 1, 1, access_point_name="ims")))
    await ue.expect(EsmStatus, cause=int(EsmCause.MESSAGE_TYPE_NON_EXISTENT))
    await status_taken(ue)


@case("esm", "6.5.1.2", "the APN in the bearer is the subscription's, in an attach with ESM information and without")
async def attach_with_default_apn(stage: Stage) -> None:
    first = await stage.attached()
    second = stage.ue(first.station, esm_information=True, access_point_name="INTERNET")
    await attach(second)
    names = [ue.ue.bearer.access_point_name for ue in (first, second) if ue.ue.bearer]
    check(len(set(names)) == 1 and heard(first, AttachReject) == 0, "the same APN twice", names)
