"""NAS COUNT almost used up (TS 33.401 6.5), the UE's side played by `enb-app life`: new keys, and nobody is lost."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from pathlib import Path

import pytest

from enb_app import procedures
from enb_app.device import Device
from enb_app.profile import Profile
from mme import context
from mme.enums import EmmCause, EmmState
from mme.messages import EmmStatus
from tests.mme.runtime.pair import PLMN
from tests.props.virtual_time import VirtualLoop
from tests.props.wire import Fates, Wire

Doing = Callable[[Wire, Device], Awaitable[object]]


async def _from_idle(wire: Wire, device: Device, act: Awaitable[object]) -> None:
    del wire
    await procedures.release(device)
    await act


async def _says_something(_: Wire, device: Device) -> None:
    await device.say(EmmStatus(EmmCause.PROTOCOL_ERROR))


async def _takes_a_guti(wire: Wire, device: Device) -> None:
    procedures.done(await wire.lab.command("reallocate-guti", device), "reallocate-guti")


DOING: dict[str, Doing] = {
    "service request": lambda w, d: _from_idle(w, d, procedures.service_request(d)),
    "update": lambda w, d: _from_idle(w, d, procedures.update_area(d)),
    "update, active": lambda w, d: _from_idle(w, d, procedures.update_area(d, active=True)),
    "update, connected": lambda _, d: procedures.update_area(d),
    "attach": lambda w, d: _from_idle(w, d, procedures.attach(d)),
    "status": _says_something,
    "GUTI reallocation": _takes_a_guti,
}


@pytest.mark.parametrize("doing", DOING)
def test_a_ue_gets_new_keys_in_time_whatever_it_does(
    doing: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The end of the count is set right before what it does, and back when the new keys are there."""

    async def play() -> None:
        wire = Wire(tmp_path, Fates())
        card = wire.network.subscribe()
        async with wire.opened():
            device = wire.lab.device(card, wire.lab.stations[0], Profile(PLMN))
            await procedures.attach(device)
            assert device.ue.security is not None
            old = device.ue.security.k_asme
            monkeypatch.setattr(context, "COUNT_ALMOST_USED_UP", device.ue.security.ul_count)
            await DOING[doing](wire, device)
            await asyncio.sleep(1)
            wire.faultless()
            monkeypatch.undo()
            await device.settled()
            (ctx,) = [ctx for ctx in wire.network.contexts() if ctx.emm is EmmState.REGISTERED]
            assert ctx.security is not None
            assert device.ue.security.k_asme == ctx.security.k_asme != old
            counts = (device.ue.security.ul_count, device.ue.security.dl_count)
            assert counts == (ctx.security.ul_count, ctx.security.dl_count)
            assert ctx.guti == device.ue.guti
            if device.connected:
                await procedures.release(device)
            await procedures.service_request(device)

    with asyncio.Runner(loop_factory=VirtualLoop) as runner:
        runner.run(play())
