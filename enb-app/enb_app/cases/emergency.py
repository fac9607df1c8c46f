"""Emergency attach (TS 24.301 5.5.1; TS 23.401 4.3.12): what an MME does depends on its `emergency_attach`."""

from __future__ import annotations

import asyncio

from enb_app import subscribers
from enb_app.capability import WITH_NULL_INTEGRITY
from enb_app.cases.case import SkipError, Stage, case, check
from enb_app.device import PATIENCE_S, Device
from enb_app.effects import Ended
from enb_app.journal import UnexpectedError
from enb_app.procedures import attach, detach, release, service_request, update_area
from enb_app.ue import State
from enb_app.usim import Subscriber, Usim
from mme.enums import AttachType, EmmCause, RequestType
from mme.messages import AttachReject, AuthenticationRequest, SecurityModeCommand

_NULL = (0, 0)
_NOT_AUTHORIZED = EmmCause.REQUESTED_SERVICE_OPTION_NOT_AUTHORIZED


async def _caller(stage: Stage, *, request_type: int = RequestType.EMERGENCY, has_usim: bool = True) -> Device:
    return stage.ue(
        await stage.enb(),
        attach_type=AttachType.EMERGENCY,
        request_type=request_type,
        ue_network_capability=WITH_NULL_INTEGRITY,
        has_usim=has_usim,
    )


async def _end(ue: Device) -> Ended | None:
    """Attach; out: how it was refused, None = it was accepted."""
    ue.perform(ue.ue.attach())
    try:
        async with asyncio.timeout(PATIENCE_S):
            while ue.ue.state is State.REGISTERED_INITIATED:
                await ue.journal.changed()
    except TimeoutError:
        raise UnexpectedError("Attach Accept or Attach Reject", f"nothing within {PATIENCE_S:g} s") from None
    if ue.ue.state is State.REGISTERED:
        await ue.settled()
        return None
    return [entry for entry in ue.journal.entries if isinstance(entry, Ended)][-1]


async def _helped(ue: Device) -> None:
    """The emergency attach is accepted.  An MME whose policy is against it cannot be put to the test."""
    ended = await _end(ue)
    if ended is not None:
        raise SkipError(f"the MME does not serve this UE: {ended.cause} (emergency_attach)")


def _commanded(ue: Device) -> tuple[int, int]:
    """(EEA, EIA) of the last SECURITY MODE COMMAND."""
    commands = [entry for entry in ue.journal.entries if isinstance(entry, SecurityModeCommand)]
    check(bool(commands), "Security Mode Command", "none")
    return commands[-1].eea, commands[-1].eia


@case("attach", "5.5.1.2.5A", "emergency attach where the policy is off: Attach Reject #35; without a USIM #5")
async def attach_emergency(stage: Stage) -> None:
    for has_usim, cause in ((True, _NOT_AUTHORIZED), (False, EmmCause.IMEI_NOT_ACCEPTED)):
        ended = await _end(await _caller(stage, has_usim=has_usim))
        if ended is None:
            raise SkipError("the MME serves emergency attach (emergency_attach)")
        check(ended.emm_cause == cause, f"Attach Reject #{int(cause)}", ended.cause)


@case("attach", "TS 23.401 4.3.12.1", "emergency attach with an IMSI that can be proven: authenticated, not null")
async def attach_emergency_authenticated(stage: Stage) -> None:
    ue = await _caller(stage)
    await _helped(ue)
    check(any(isinstance(entry, AuthenticationRequest) for entry in ue.journal.entries), "a challenge", "none")
    check(_commanded(ue)[1] != 0, "integrity protection", "EIA0")
    await detach(ue)


@case("attach", "TS 23.401 4.3.12.1; TS 33.401 15.2.2", "emergency attach by IMEI alone: null algorithms, accepted")
async def attach_emergency_without_usim(stage: Stage) -> None:
    ue = await _caller(stage, has_usim=False)
    await _helped(ue)
    check(_commanded(ue) == _NULL, "EEA0 and EIA0", _commanded(ue))
    await detach(ue)


@case("attach", "5.4.2.5; TS 23.401 4.3.12.1", "emergency attach with an IMSI that no HSS has: null algorithms")
async def attach_emergency_unknown_imsi(stage: Stage) -> None:
    ue = await _caller(stage)
    ue.ue.usim = Usim(subscribers.unknown(1, ue.station.cell.plmn, stage.lab.random)[0])
    await _helped(ue)
    check(_commanded(ue) == _NULL, "EEA0 and EIA0", _commanded(ue))


@case("attach", "5.4.2.7", "emergency attach whose challenge fails: null algorithms; the subscriber is not affected")
async def attach_emergency_impostor(stage: Stage) -> None:
    subscriber = await stage.attached()
    impostor = await _caller(stage)
    card = subscriber.ue.usim.card
    impostor.ue.usim = Usim(Subscriber(card.imsi, bytes(16), card.opc))
    await _helped(impostor)
    check(_commanded(impostor) == _NULL, "EEA0 and EIA0", _commanded(impostor))
    await release(subscriber)
    await service_request(subscriber)


@case("attach", "6.5.1.4", "emergency attach for a PDN connection that is not: Attach Reject #19")
async def attach_emergency_for_another_pdn(stage: Stage) -> None:
    ue = await _caller(stage, request_type=RequestType.INITIAL)
    ue.perform(ue.ue.attach())
    reject = await ue.expect(AttachReject)
    if reject.cause == _NOT_AUTHORIZED:
        raise SkipError("the MME does not serve emergency attach (emergency_attach)")
    check(reject.cause == EmmCause.ESM_FAILURE, "Attach Reject #19", f"#{int(reject.cause)}")


@case("attach", "5.6.1.4, 5.5.3.2.4", "attached by IMEI alone: idle, service request, area update, detach")
async def emergency_ue_returns(stage: Stage) -> None:
    ue = await _caller(stage, has_usim=False)
    await _helped(ue)
    await release(ue)
    await service_request(ue)
    await release(ue)
    await update_area(ue)
    await service_request(ue)
    await detach(ue)


@case("attach", "4.4.4.3", "attached by IMEI alone, it attaches again: a context of its own, not by null integrity")
async def emergency_ue_attaches_again(stage: Stage) -> None:
    ue = await _caller(stage, has_usim=False)
    await _helped(ue)
    await release(ue)
    await attach(ue)
    check(_commanded(ue) == _NULL, "EEA0 and EIA0", _commanded(ue))
