"""Whole procedures of a UE as a script does them; each raises UnexpectedError where the network does something else."""

from __future__ import annotations

from typing import Any

from enb_app.device import PATIENCE_S, Device
from enb_app.effects import AreaUpdated, Detached, DetachedByNetwork, Registered, Released, ServiceGranted
from enb_app.journal import UnexpectedError
from enb_app.lab import Lab
from enb_app.ue import NORMAL, State
from mme.codec.envelope import Reply
from mme.enums import ItemResult, S1apCause
from mme.messages import Paging, TrackingAreaUpdateAccept, UeContextReleaseCommand


async def attach(device: Device, within: float = PATIENCE_S) -> None:
    """Attach, up to where the MME has taken the last message."""
    device.journal.skip()
    device.perform(device.ue.attach())
    await device.expect(Registered, within)
    await device.settled(within)


async def release(
    device: Device, cause: S1apCause = S1apCause.USER_INACTIVITY, within: float = PATIENCE_S
) -> UeContextReleaseCommand:
    """The eNB asks for the release: the UE is idle."""
    device.journal.skip()
    device.request_release(cause)
    command = await device.expect(UeContextReleaseCommand, within)
    await device.idle(within)
    return command


async def gone_idle(device: Device, within: float = PATIENCE_S) -> None:
    """The network releases the connection on its own."""
    await device.expect(Released, within)
    await device.idle(within)


async def service_request(device: Device, *, paged: bool = False, within: float = PATIENCE_S) -> None:
    """Back from idle, with bearers."""
    device.journal.skip()
    device.perform(device.ue.service_request(paged=paged))
    await device.expect(ServiceGranted, within)
    await device.settled(within)


async def update_area(
    device: Device,
    update_type: int = NORMAL,
    *,
    active: bool = False,
    within: float = PATIENCE_S,
    **told: Any,
) -> TrackingAreaUpdateAccept:
    """From wherever it is; one that came from idle without the active flag is idle again afterwards.

    told: what else the UE tells (`Ue.update_area`).
    """
    came_from_idle = not device.connected
    device.journal.skip()
    device.perform(device.ue.update_area(update_type, active=active, **told))
    accept = (await device.expect(AreaUpdated, within)).accept
    if came_from_idle and not active:
        await device.idle(within)
    else:
        await device.settled(within)
    if device.ue.state is not State.REGISTERED:
        raise UnexpectedError("a UE registered after its update", device.journal.unread() or device.ue.state.value)
    return accept


async def detach(device: Device, *, switch_off: bool = False, within: float = PATIENCE_S) -> None:
    """Detach from EPS, and the connection is released."""
    device.journal.skip()
    device.perform(device.ue.detach(switch_off=switch_off))
    await device.expect(Detached, within)
    await device.idle(within)


async def page(lab: Lab, device: Device, within: float = PATIENCE_S) -> None:
    """The operator's command, PAGING, and the service request that answers it."""
    device.journal.skip()
    done(await lab.command("page", device), "page")
    await device.expect(Paging, within)
    await service_request(device, paged=True, within=within)


async def detached_by_network(lab: Lab, device: Device, *, reattach: bool, within: float = PATIENCE_S) -> None:
    """The operator has a connected UE detached."""
    device.journal.skip()
    action = "detach-and-reattach" if reattach else "detach"
    done(await lab.command(action, device), action)
    await device.expect(DetachedByNetwork, within, reattach=reattach)
    await device.idle(within)


def done(reply: Reply, what: str) -> None:
    """Raises UnexpectedError for any result but `done`, and `duplicate`: it was done when it was sent before."""
    if reply.result != ItemResult.DUPLICATE.value:
        resulted(reply, ItemResult.DONE, what)


def resulted(reply: Reply, result: ItemResult, what: str) -> None:
    """Raises UnexpectedError for another result."""
    if reply.result != result.value:
        raise UnexpectedError(f"{what} to be {result.value}", f"{reply.result} ({reply.error or reply.label})")
