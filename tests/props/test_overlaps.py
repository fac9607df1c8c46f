"""Two procedures of one UE that overlap, over a network that loses, repeats and reorders: in the end both sides agree.

The check is that of `enb-app life` (`enb_app.checker`), and besides what the store shows.  A UE that gave up, or was
let go without hearing of it, does what TS 24.301 has it do next; it may need that only where something was lost.
OVERLAPS=n runs n schedules instead of those of the suite; a failure prints its schedule.
"""

from __future__ import annotations

import asyncio
import os
import shutil
import tempfile
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import pytest
from hypothesis import HealthCheck, Phase, example, given, settings
from hypothesis import strategies as st

from enb_app import procedures
from enb_app.checker import check_device
from enb_app.device import Device
from enb_app.effects import DetachedByNetwork
from enb_app.journal import Sent, UnexpectedError
from enb_app.names import of_nas_class
from enb_app.profile import Profile, State
from mme.context import UeContext
from mme.enums import DetachType, EmmState, Step, TimerName
from mme.messages import (
    AttachAccept,
    GutiReallocationCommand,
    GutiReallocationComplete,
    TrackingAreaUpdateAccept,
    TrackingAreaUpdateComplete,
)
from tests.mme.runtime.pair import PLMN
from tests.props.virtual_time import VirtualLoop
from tests.props.wire import AIR, CALL, PUSH, Fate, Fates, Wire

SETTLE_S = 60.0
PATIENCE_S = 40.0
Act = Callable[[Wire, Device], None]
GIVES_A_GUTI = (AttachAccept, GutiReallocationCommand, TrackingAreaUpdateAccept)
COMPLETES = [of_nas_class(kind.__name__) for kind in (TrackingAreaUpdateComplete, GutiReallocationComplete)]
LASTING = {TimerName.MOBILE_REACHABLE.value, TimerName.IMPLICIT_DETACH.value}


def _attach(_: Wire, device: Device) -> None:
    if device.ue.state in (State.DEREGISTERED, State.REGISTERED):
        device.perform(device.ue.attach())


def _attach_anew(_: Wire, device: Device) -> None:
    """As with a new battery: no context, no connection."""
    device.close()
    device.lose_radio()
    device.ue.forget()
    device.perform(device.ue.attach())


def _update(active: bool) -> Act:
    def act(_: Wire, device: Device) -> None:
        if device.ue.state is State.REGISTERED:
            device.perform(device.ue.update_area(active=active and not device.connected))

    return act


def _move(wire: Wire, device: Device) -> None:
    """In another eNB's cell, from idle."""
    if device.ue.state is State.REGISTERED and not device.connected:
        device.move(next(station for station in wire.lab.stations if station is not device.station))
        device.perform(device.ue.update_area())


def _service_request(_: Wire, device: Device) -> None:
    if device.ue.state is State.REGISTERED and not device.connected:
        device.perform(device.ue.service_request())


def _extended_service_request(_: Wire, device: Device) -> None:
    """For CS fallback, from idle or connected."""
    if device.ue.state is State.REGISTERED:
        device.perform(device.ue.extended_service_request())


def _imsi_detach(_: Wire, device: Device) -> None:
    """Of non-EPS services: the UE stays registered."""
    if device.ue.state is State.REGISTERED:
        device.perform(device.ue.detach(switch_off=False, detach_type=DetachType.IMSI))


def _detach(switch_off: bool) -> Act:
    def act(_: Wire, device: Device) -> None:
        if device.ue.state not in (State.DEREGISTERED, State.DEREGISTERED_INITIATED):
            device.perform(device.ue.detach(switch_off=switch_off))

    return act


def _release(_: Wire, device: Device) -> None:
    device.request_release()


def _lose_radio(_: Wire, device: Device) -> None:
    device.lose_radio()


def _command(action: str) -> Act:
    def act(wire: Wire, device: Device) -> None:
        wire.background(wire.lab.command(action, device))

    return act


ACTS: dict[str, Act] = {
    "attach": _attach,
    "attach anew": _attach_anew,
    "update": _update(False),
    "update, active": _update(True),
    "update elsewhere": _move,
    "service request": _service_request,
    "extended service request": _extended_service_request,
    "detach": _detach(False),
    "IMSI detach": _imsi_detach,
    "switch off": _detach(True),
    "release": _release,
    "radio lost": _lose_radio,
    "page": _command("page"),
    "reallocate GUTI": _command("reallocate-guti"),
    "authenticate": _command("authenticate"),
    "network detach": _command("detach"),
    "network detach, re-attach": _command("detach-and-reattach"),
}


@dataclass(frozen=True)
class Schedule:
    """connected: how the UE begins.  gap_ms: from the first procedure to the second.  Then what becomes of messages."""

    connected: bool
    first: str
    second: str
    gap_ms: int
    eager: bool = False
    air: tuple[Fate, ...] = ()
    call: tuple[Fate, ...] = ()
    push: tuple[Fate, ...] = ()


def fates(of: tuple[Fate, ...], most: int) -> st.SearchStrategy[tuple[Fate, ...]]:
    usual = st.sampled_from((Fate.ARRIVES, Fate.ARRIVES, *of))
    return st.lists(usual, max_size=most).map(tuple)


schedules = st.builds(
    Schedule,
    connected=st.booleans(),
    first=st.sampled_from(sorted(ACTS)),
    second=st.sampled_from(sorted(ACTS)),
    gap_ms=st.sampled_from([0, 2, 4, 6, 8, 12, 20, 700, 6100]),
    eager=st.booleans(),
    air=fates(AIR, 8),
    call=fates(CALL, 8),
    push=fates(PUSH, 4),
)


def play(schedule: Schedule) -> None:
    """Run it, and assert that both sides agree afterwards."""
    folder = Path(tempfile.mkdtemp())
    try:
        with asyncio.Runner(loop_factory=VirtualLoop) as runner:
            runner.run(_play(schedule, folder))
    finally:
        shutil.rmtree(folder)


async def _play(schedule: Schedule, folder: Path) -> None:
    wire = Wire(folder, Fates())
    card = wire.network.subscribe()
    async with wire.opened():
        device = wire.lab.device(card, wire.lab.stations[0], Profile(PLMN))
        device.answers_paging = True
        await procedures.attach(device)
        if not schedule.connected:
            await procedures.release(device)
        begun = len(device.journal.entries)
        wire.fates.air, wire.fates.call, wire.fates.push = map(iter, (schedule.air, schedule.call, schedule.push))
        device.eager = schedule.eager
        ACTS[schedule.first](wire, device)
        await asyncio.sleep(schedule.gap_ms / 1000)
        ACTS[schedule.second](wire, device)
        await asyncio.sleep(SETTLE_S)
        wire.fates.air, wire.fates.call, wire.fates.push = iter(()), iter(()), iter(())
        device.eager = device.answers_paging = False
        story = [str(entry) for entry in device.journal.entries[begun:]]
        try:
            lossy = wire.fates.lost_on_air > 0 or _lossy(schedule, device.journal.entries[begun:])
            await _settle(wire, device, begun, lossy=lossy)
            if not lossy and _completed(device.journal.entries[begun:]):
                assert {ctx.old_guti for ctx in _registered(wire)} <= {None}, "the old GUTI outlives its reallocation"
            await _agree(wire, device)
            wire.faultless()
        except (AssertionError, UnexpectedError) as e:
            raise AssertionError("\n".join([str(schedule), *story, repr(e)])) from e


def _lossy(schedule: Schedule, happened: list[object]) -> bool:
    """Whether a message was lost for good between eNB and MME: overtaken, or too late for its connection.

    An eager UE is no such thing by itself: what came in another order than it was sent is one only if it was not taken.
    """
    if "radio lost" in (schedule.first, schedule.second):
        return True
    taken = ("done", "rejected")
    return any(isinstance(entry, Sent) and entry.result not in taken for entry in happened)


def _completed(happened: list[object]) -> bool:
    """Whether the last GUTI that the UE was given is one that the MME has heard it has taken (5.4.1.4, 5.5.3.2.4)."""
    given = [at for at, entry in enumerate(happened) if isinstance(entry, GIVES_A_GUTI)]
    heard = [at for at, entry in enumerate(happened) if isinstance(entry, Sent) and entry.name in COMPLETES]
    done = [at for at in heard if happened[at].result == "done"]  # type: ignore[attr-defined]
    return bool(given and done) and done[-1] > given[-1] and done[-1] == heard[-1]


def _registered(wire: Wire) -> list[UeContext]:
    return [ctx for ctx in wire.network.contexts() if ctx.emm is EmmState.REGISTERED]


async def _settle(wire: Wire, device: Device, begun: int, *, lossy: bool) -> None:
    """What the UE does next, where it has been let go: attach, if asked to or if it was not told to leave."""
    wire.quiet()
    wanted_back = any(isinstance(e, DetachedByNetwork) and e.reattach for e in device.journal.entries[begun:])
    if device.ue.state is State.DEREGISTERED and (wanted_back or lossy):
        await procedures.attach(device, PATIENCE_S)
    elif lossy:
        try:
            if device.connected:
                await procedures.release(device, within=PATIENCE_S)
            await procedures.service_request(device, within=PATIENCE_S)
        except UnexpectedError:
            assert device.ue.state is State.DEREGISTERED, device.ue.state
            await procedures.attach(device, PATIENCE_S)


async def _agree(wire: Wire, device: Device) -> None:
    ue = device.ue
    assert ue.state in (State.REGISTERED, State.DEREGISTERED)
    contexts = wire.network.contexts()
    registered = _registered(wire)
    assert all(ctx.emm in (EmmState.REGISTERED, EmmState.DEREGISTERED) for ctx in contexts)
    assert all(ctx.step is Step.NONE and not ctx.outbox and set(ctx.timers) <= LASTING for ctx in contexts)
    assert len(registered) == len(wire.network.sessions()) == (ue.state is State.REGISTERED)
    for ctx in registered:
        assert ue.security is not None
        assert ctx.security is not None
        assert ue.guti in (ctx.guti, ctx.old_guti)
        mine = (ue.security.k_asme, ue.security.ksi, ue.security.eea, ue.security.eia)
        assert mine == (ctx.security.k_asme, ctx.security.ksi, ctx.security.eea, ctx.security.eia)
        assert ctx.security.ul_count <= ue.security.ul_count
        assert ue.security.dl_count <= ctx.security.dl_count
        assert (ctx.connection is not None) == device.connected
    wrong = await check_device(wire.lab, device, 1)
    assert not wrong, wrong
    for ctx in _registered(wire):
        assert ue.security is not None
        assert ctx.security is not None
        assert (ctx.security.ul_count, ctx.security.dl_count) == (ue.security.ul_count, ue.security.dl_count)
        assert (ctx.guti, ctx.old_guti) == (ue.guti, None)


OVERTAKEN = (
    # ATTACH COMPLETE comes to the MME before the eNB's answer to the context setup, and nothing is lost.
    Schedule(False, "attach anew", "page", gap_ms=6100, eager=True, call=(*[Fate.ARRIVES] * 4, Fate.LATE)),
    # On the air GUTI REALLOCATION COMPLETE overtakes the update request, whose count is then an old one.
    Schedule(True, "update", "reallocate GUTI", gap_ms=12, eager=True, air=(Fate.LATE,)),
)

# What the UE says in the middle of a procedure of the network's, at each step of it: it stays registered all the while.
IN_THE_MIDDLE = tuple(
    Schedule(True, first, second, gap_ms=gap_ms)
    for first in ("reallocate GUTI", "authenticate")
    for second in ("extended service request", "IMSI detach")
    for gap_ms in (0, 2, 4, 6, 8)
)


def with_every_procedure(test: Callable[[Schedule], None]) -> Callable[[Schedule], None]:
    """Beside what is drawn: each procedure first and second once, of a connected and of an idle UE, nothing lost;
    what eager UEs and the air can put into another order; and what says of a UE that it stays.
    """
    names = sorted(ACTS)
    for number, first in enumerate(names):
        for connected in (False, True):
            second = names[(number + (4 if connected else 7)) % len(names)]
            test = example(Schedule(connected, first, second, gap_ms=12))(test)
    for schedule in (*OVERTAKEN, *IN_THE_MIDDLE):
        test = example(schedule)(test)
    return test


@with_every_procedure
@given(schedules)
@settings(
    max_examples=int(os.environ.get("OVERLAPS", "40")),
    phases=(Phase.explicit, Phase.generate, Phase.shrink),
    deadline=None,
    derandomize="OVERLAPS" not in os.environ,
    suppress_health_check=[HealthCheck.too_slow],
)
@pytest.mark.timeout(0)
def test_both_sides_agree_in_the_end(schedule: Schedule) -> None:
    play(schedule)
