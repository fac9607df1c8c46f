"""Timers of the network side (TS 24.301 tables 10.2.2 and 10.3.2): resent four times, given up on the fifth expiry."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any, TypeVar

from enb_app.cases.attach import heard, nas_of, set_up
from enb_app.cases.case import Needs, Stage, case, check
from enb_app.cases.s1 import status_taken
from enb_app.device import Device
from enb_app.effects import GutiTaken, Registered, Released
from enb_app.journal import UnexpectedError
from enb_app.procedures import attach, done, page, release, service_request
from mme.codec.envelope import Reply
from mme.enums import EmmCause, EsmCause, ItemResult
from mme.messages import (
    AttachAccept,
    AttachReject,
    AuthenticationRequest,
    DetachRequestToUe,
    EmmMessage,
    EsmContainer,
    EsmInformationRequest,
    GutiReallocationCommand,
    IdentityRequest,
    InitialContextSetupRequest,
    Paging,
    SecurityModeCommand,
    ServiceReject,
    TrackingAreaUpdateAccept,
)

SHORT = Needs.SHORT_TIMERS
Message = TypeVar("Message")


@contextmanager
def _silent(silent_to: set[type[Message]], kind: type[Message]) -> Iterator[None]:
    """Messages of that type are heard and not answered.  silent_to: a UE's, or its eNB's."""
    silent_to.add(kind)
    yield
    silent_to.discard(kind)


async def _unanswered(stage: Stage, ue: Device, kind: type, specified_s: float, times: int = 5) -> None:
    """The message comes `times` times altogether, and the connection is released after the last expiry."""
    for _ in range(times):
        await ue.expect(kind, stage.within(specified_s))
    await ue.expect(Released, stage.within(specified_s))
    count = heard(ue, kind)
    check(count == times, f"{times} times {kind.__name__}", count)


async def _silent_attach(stage: Stage, kind: type[EmmMessage], specified_s: float) -> Device:
    ue = stage.ue(await stage.enb(), t3410_s=120.0)
    with _silent(ue.ue.silent_to, kind):
        ue.perform(ue.ue.attach())
        await _unanswered(stage, ue, kind, specified_s)
    ue.ue.forget()
    return ue


async def _second_answered(stage: Stage, kind: type[EmmMessage], specified_s: float, **profile: Any) -> Device:
    """An attach in which the UE answers that message when it comes again, and not before."""
    ue = stage.ue(await stage.enb(), **profile)
    with _silent(ue.ue.silent_to, kind):
        ue.perform(ue.ue.attach())
        await ue.expect(kind)
    await ue.expect(Registered, stage.within(specified_s))
    await ue.settled()
    return ue


@case("timers", "5.4.2.7 b", "T3460: Authentication Request 5 times, then release; a new attach works", SHORT)
async def no_auth_response(stage: Stage) -> None:
    await attach(await _silent_attach(stage, AuthenticationRequest, 6))


@case("timers", "5.4.2.7 b", "T3460: an answer to the second Authentication Request completes the attach", SHORT)
async def auth_response_after_retransmission(stage: Stage) -> None:
    await status_taken(await _second_answered(stage, AuthenticationRequest, 6))


@case("timers", "5.4.3.7 b", "T3460: Security Mode Command 5 times, each under a new count, then release", SHORT)
async def no_security_mode_complete(stage: Stage) -> None:
    await attach(await _silent_attach(stage, SecurityModeCommand, 6))


@case("timers", "5.4.3.7 b", "T3460: an answer to the second Security Mode Command completes the attach", SHORT)
async def security_mode_complete_after_retransmission(stage: Stage) -> None:
    ue = await _second_answered(stage, SecurityModeCommand, 6)
    await release(ue)
    await service_request(ue)


@case("timers", "5.4.4.6 b", "T3470: Identity Request 5 times, then release", SHORT)
async def identity_timer_3470_expiry(stage: Stage) -> None:
    ue = await stage.stranger(t3410_s=120.0)
    with _silent(ue.ue.silent_to, IdentityRequest):
        ue.perform(ue.ue.attach())
        await _unanswered(stage, ue, IdentityRequest, 6)


@case("timers", "6.6.1.2.6 a", "T3489: ESM Information Request 3 times, then Attach Reject #19 with ESM #53", SHORT)
async def attach_esm_info_timerexpiration_max_retries(stage: Stage) -> None:
    ue = stage.ue(await stage.enb(), esm_information=True, t3410_s=120.0)
    with _silent(ue.ue.silent_to, EsmContainer):
        ue.perform(ue.ue.attach())
        for _ in range(3):
            await ue.expect(EsmInformationRequest, stage.within(4))
        reject = await ue.expect(AttachReject, stage.within(4), cause=EmmCause.ESM_FAILURE)
    esm = getattr(reject.esm, "cause", None)
    check(esm == EsmCause.ESM_INFORMATION_NOT_RECEIVED, "ESM cause #53", esm)


@case("timers", "6.6.1.2.6 a", "T3489: an answer to the second ESM Information Request completes the attach", SHORT)
async def attach_esm_information_timerexpiration(stage: Stage) -> None:
    ue = await _second_answered(stage, EsmContainer, 4, esm_information=True, access_point_name="internet")
    await status_taken(ue)


@case("timers", "5.5.1.2.7 c", "T3450: Attach Accept again on expiries 1 to 4, aborted on the 5th", SHORT)
async def no_attach_complete(stage: Stage) -> None:
    await attach(await _silent_attach(stage, AttachAccept, 6))


@case("timers", "5.5.1.2.7 c", "T3450: the second Attach Accept is answered, and the attach completes", SHORT)
async def attach_complete_after_retransmission(stage: Stage) -> None:
    await status_taken(await _second_answered(stage, AttachAccept, 6))


@case("timers", "5.5.3.2.7 c", "T3450: Tracking Area Update Accept 5 times; then both GUTIs serve", SHORT)
async def no_tau_complete(stage: Stage) -> None:
    ue = await stage.idle()
    with _silent(ue.ue.silent_to, TrackingAreaUpdateAccept):
        ue.perform(ue.ue.update_area())
        await _unanswered(stage, ue, TrackingAreaUpdateAccept, 6)
    await service_request(ue)


@case("timers", "5.4.1.6 b", "T3450: GUTI Reallocation Command 5 times; then both GUTIs serve", SHORT)
async def guti_reallocation_unanswered(stage: Stage) -> None:
    ue = await stage.attached()
    with _silent(ue.ue.silent_to, GutiReallocationCommand):
        done(await stage.command("reallocate-guti", ue), "reallocate-guti")
        for _ in range(5):
            await ue.expect(GutiReallocationCommand, stage.within(6))
    await release(ue)
    await service_request(ue)


@case("timers", "5.4.1.6 b", "T3450: the second GUTI Reallocation Command is answered", SHORT)
async def guti_reallocation_answered_late(stage: Stage) -> None:
    ue = await stage.attached()
    with _silent(ue.ue.silent_to, GutiReallocationCommand):
        done(await stage.command("reallocate-guti", ue), "reallocate-guti")
        await ue.expect(GutiReallocationCommand)
    await ue.expect(GutiTaken, stage.within(6))
    await ue.settled()
    await release(ue)
    await page(stage.lab, ue)


@case("timers", "5.5.2.3.4 a", "T3422: Detach Request 5 times, then released and detached all the same", SHORT)
async def attach_nw_initiated_detach_fail(stage: Stage) -> None:
    ue = await stage.attached()
    with _silent(ue.ue.silent_to, DetachRequestToUe):
        done(await stage.command("detach", ue), "detach")
        await _unanswered(stage, ue, DetachRequestToUe, 6)
    ue.perform(ue.ue.service_request())
    reject = await ue.expect(ServiceReject)
    check(reject.cause in (9, 10), "cause #9 or #10", f"#{int(reject.cause)}")


async def _paged_anew(stage: Stage, ue: Device) -> bool:
    """Have the UE paged; False: the MME was paging it still."""
    reply = await stage.command("page", ue)
    done(reply, "page")
    return reply.label == "paging"


async def _until(stage: Stage, ue: Device, specified_s: float, came: Callable[[Reply], bool]) -> Reply:
    """Ask for paging again and again until the answer is as it should be.  Raises UnexpectedError after that timer."""
    reply = await stage.command("page", ue)
    try:
        async with asyncio.timeout(stage.within(specified_s)):
            while not came(reply):
                await asyncio.sleep(stage.timer_s(5.0))
                reply = await stage.command("page", ue)
    except TimeoutError:
        raise UnexpectedError("paging to be refused", f"{reply.result} ({reply.label})") from None
    return reply


@case("timers", "5.6.2.2.1.2, 5.6.2.4 a", "T3413: paging 3 times, then given up; the UE may still come back", SHORT)
async def paging_timer_expiry(stage: Stage) -> None:
    ue = await stage.idle()
    ue.journal.skip()
    check(await _paged_anew(stage, ue), "paging", "it is paged already")
    for _ in range(3):
        await ue.expect(Paging, stage.within(6))
    # Given up: it can be paged anew, and until then it was not paged once more.
    await _until(stage, ue, 6, lambda reply: reply.label == "paging")
    await ue.expect(Paging)
    check(heard(ue, Paging) == 4, "3 times Paging, and once anew", heard(ue, Paging))
    await service_request(ue, paged=True)


@case("timers", "5.6.2.2.1.2", "T3413: an answer to the second paging ends it", SHORT)
async def paging_answered_late(stage: Stage) -> None:
    ue = await stage.idle()
    ue.journal.skip()
    check(await _paged_anew(stage, ue), "paging", "it is paged already")
    await ue.expect(Paging)
    await ue.expect(Paging, stage.within(6))
    await service_request(ue, paged=True)
    await status_taken(ue)
    await release(ue)
    check(await _paged_anew(stage, ue), "T3413 stopped by the answer", "the UE is paged still")
    await ue.expect(Paging)
    await service_request(ue, paged=True)


@case("timers", "TS 36.413 8.3.1", "no answer to Initial Context Setup Request in an attach: released", SHORT)
async def ics_timer_expiry_ue_unregistered(stage: Stage) -> None:
    ue = stage.ue(await stage.enb(), t3410_s=120.0)
    with _silent(ue.silent_enb, InitialContextSetupRequest):
        ue.perform(ue.ue.attach())
        await ue.expect(InitialContextSetupRequest)
        await ue.expect(Released, stage.within(10))
    ue.ue.forget()
    await attach(ue)


@case(
    "timers", "TS 36.413 8.3.1", "no answer to Initial Context Setup Request of a registered UE: idle, pageable", SHORT
)
async def ics_timer_expiry_ue_registered(stage: Stage) -> None:
    ue = await stage.idle()
    ue.journal.skip()
    with _silent(ue.silent_enb, InitialContextSetupRequest):
        ue.perform(ue.ue.service_request())
        await ue.expect(InitialContextSetupRequest)
        await ue.expect(Released, stage.within(10))
    await page(stage.lab, ue)


@case("timers", "TS 36.413 8.3.1", "Attach Complete, but no Initial Context Setup Response in time: idle", SHORT)
async def attach_no_initial_context_resp(stage: Stage) -> None:
    ue = stage.ue(await stage.enb())
    with _silent(ue.silent_enb, InitialContextSetupRequest):
        ue.perform(ue.ue.attach())
        request = await ue.expect(InitialContextSetupRequest)
        await ue.settled()
        ue.perform(ue.ue.receive(nas_of(request)))
        await ue.expect(Registered)
        await ue.expect(Released, stage.within(10))
    await service_request(ue)


@case(
    "timers",
    "TS 36.413 8.3.1",
    "Initial Context Setup Response in time, Attach Complete after the guard: registered",
    SHORT,
)
async def attach_complete_after_ics_timer_expiry(stage: Stage) -> None:
    ue = stage.ue(await stage.enb(), t3410_s=120.0)
    with _silent(ue.ue.silent_to, AttachAccept):
        with _silent(ue.silent_enb, InitialContextSetupRequest):
            ue.perform(ue.ue.attach())
            request = await ue.expect(InitialContextSetupRequest)
            await ue.settled()
        await set_up(ue, request)
        for _ in range(2):
            await ue.expect(AttachAccept, stage.within(6))
    await ue.expect(Registered, stage.within(6))
    await ue.settled()
    await status_taken(ue)


@case("timers", "5.3.5", "mobile reachable timer: not paged any more; comes back by service request", Needs.PATIENCE)
async def attach_mobile_reachability_timer_expiry(stage: Stage) -> None:
    ue = await stage.idle()
    check(await _paged_anew(stage, ue), "paging", "it is paged already")
    reply = await _until(stage, ue, _mobile_reachable_s(ue, stage), _refused)
    check(reply.label == "not reachable", "a UE that is not reachable", reply.label)
    await service_request(ue)
    await release(ue)
    await page(stage.lab, ue)


@case("timers", "5.3.5, 5.5.2.1", "implicit detach timer: Service Reject #10 afterwards", Needs.PATIENCE)
async def attach_implicit_detach_timer_expiry(stage: Stage) -> None:
    ue = await stage.idle()
    await _until(stage, ue, _mobile_reachable_s(ue, stage), _refused)
    reply = await _until(stage, ue, 240.0, lambda reply: _refused(reply) and reply.label != "not reachable")
    check(reply.label in ("not registered", "unknown UE"), "a UE that is detached", reply.label)
    ue.perform(ue.ue.service_request())
    reject = await ue.expect(ServiceReject)
    check(reject.cause in (9, 10), "cause #9 or #10", f"#{int(reject.cause)}")


def _refused(reply: Reply) -> bool:
    return reply.result == ItemResult.REJECTED.value


def _mobile_reachable_s(ue: Device, stage: Stage) -> float:
    """In the specification's time: T3412 as the UE was told it, and 4 minutes."""
    accept = next(entry for entry in ue.journal.entries if isinstance(entry, AttachAccept))
    return accept.t3412_s / stage.timer_s(1.0) + 240.0
