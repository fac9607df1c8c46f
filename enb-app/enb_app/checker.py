"""Do a UE and the MME agree on state, GUTI, keys, counts and bearers?  Found out over the wire only."""

from __future__ import annotations

from dataclasses import dataclass

from enb_app import procedures
from enb_app.device import Device
from enb_app.journal import UnexpectedError
from enb_app.lab import Lab
from enb_app.profile import State
from mme.enums import EmmCause, ItemResult
from mme.messages import EmmStatus, ServiceReject

PATIENCE_S = 15.0


@dataclass(frozen=True, slots=True)
class Disagreement:
    """imsi: masked.  about: what was looked at."""

    ue: int
    imsi: str
    about: str
    expected: str
    came: str


async def check_device(lab: Lab, device: Device, number: int) -> list[Disagreement]:
    """One registered UE: connected, idle, paged by its GUTI, back with its count and K_eNB, bearers as told.

    A detached one: commands for it are refused, and its service request is answered #9 or #10.
    """
    about = "?"
    try:
        if device.ue.state is State.DEREGISTERED:
            about = "detached"
            await _detached(lab, device)
            return []
        if device.connected:
            about = "connection, uplink count"
            procedures.done(await device.say(EmmStatus(EmmCause.PROTOCOL_ERROR)), "an uplink on the live connection")
            await procedures.release(device, within=PATIENCE_S)
        about = "state idle, GUTI, service request count, K_eNB"
        await procedures.page(lab, device, PATIENCE_S)
        about = "downlink count, bearers, new GUTI"
        before, status = device.ue.discarded, device.ue.bearer_status()
        accept = await procedures.update_area(device, bearers=status, within=PATIENCE_S)
        if accept.eps_bearer_context_status != status:
            raise UnexpectedError(f"bearer status {status:#x}", f"{accept.eps_bearer_context_status}")
        if device.ue.discarded != before:
            raise UnexpectedError("no downlink discarded", f"{device.ue.discarded - before}")
        about = "GUTI after the update"
        await procedures.release(device, within=PATIENCE_S)
        await procedures.service_request(device, within=PATIENCE_S)
        await procedures.release(device, within=PATIENCE_S)
    except UnexpectedError as e:
        return [Disagreement(number, str(device.ue.usim.imsi), about, e.expected, e.came)]
    return []


async def _detached(lab: Lab, device: Device) -> None:
    procedures.resulted(await lab.command("page", device), ItemResult.REJECTED, "paging a detached UE")
    if device.ue.security is None or device.ue.guti is None:
        return
    device.journal.skip()
    device.perform(device.ue.service_request())
    reject = await device.expect(ServiceReject, PATIENCE_S)
    if reject.cause not in (EmmCause.UE_IDENTITY_CANNOT_BE_DERIVED, EmmCause.IMPLICITLY_DETACHED):
        raise UnexpectedError("Service Reject #9 or #10", f"#{int(reject.cause)}")
    await device.idle(PATIENCE_S)
