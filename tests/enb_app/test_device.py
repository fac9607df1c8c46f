"""A UE on its connections, without sockets: order, loss, paging, resets."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any, cast

import pytest

from enb_app import procedures
from enb_app.checker import check_device
from enb_app.device import Device
from enb_app.effects import BearersUp, Registered, SendNas, SendS1ap
from enb_app.enb import Cell, EnbUe
from enb_app.exchange import Answer, Exchange
from enb_app.journal import Journal, UnexpectedError, described
from enb_app.lab import Lab
from enb_app.measure import MessageSample
from enb_app.profile import Profile, State
from enb_app.station import Network, Station
from enb_app.ue import Ue
from enb_app.usim import Usim
from mme.codec import s1ap
from mme.codec.envelope import Cost, Downlink, Item, Reply
from mme.enums import EmmCause, ItemResult, S1apCause
from mme.ids import Gummei, Guti, STmsi
from mme.messages import (
    AttachAccept,
    AuthenticationRequest,
    Cause,
    DownlinkNasTransport,
    ErrorIndication,
    InitialUeMessage,
    NasNonDeliveryIndication,
    Paging,
    S1apMessage,
    ServiceReject,
    UeContextModificationRequest,
    UeContextModificationResponse,
    UeContextReleaseCommand,
    UeContextReleaseRequest,
)
from tests.enb_app.fake_clock import FakeClock
from tests.enb_app.fake_mme import PLMN, SUBSCRIBER, FakeMme
from tests.enb_app.test_enb import CELL

GUTI = Guti(Gummei(PLMN, 1, 1), 0xCAFE)


@dataclass
class DirectExchange:
    """`submit` straight into a fake MME.  held: answers wait for `release`.  answer: instead of the fake MME's."""

    mme: FakeMme
    down: Callable[[Downlink], None] = lambda _: None
    held: list[Callable[[], None]] | None = None
    items: list[Item] = field(default_factory=list)
    answer: Callable[[Item], Reply | None] | None = None

    def submit(self, item: Item, function: str, waiter: Callable[[Answer], None]) -> None:
        self.items.append(item)

        def answer() -> None:
            reply = self.mme.work(item) if item.s1ap is not None else Reply(item.id, "done")
            if self.answer is not None:
                said = self.answer(item)
                waiter(Answer(said, function, 0.0, 0.001, 1, cost=Cost(), why="" if said else "silence"))
                return
            for downlink in reply.downlink:
                self.down(downlink)
            waiter(Answer(reply, function, 0.0, 0.001, 1, cost=Cost()))

        if self.held is None:
            asyncio.get_running_loop().call_soon(answer)
        else:
            self.held.append(answer)


@dataclass
class Ground:
    exchange: DirectExchange
    station: Station
    device: Device
    samples: list[MessageSample]
    paged: list[Paging]


def ground(cell: Cell = CELL) -> Ground:
    exchange = DirectExchange(FakeMme({SUBSCRIBER.imsi.digits: SUBSCRIBER}))
    samples: list[MessageSample] = []
    paged: list[Paging] = []
    network = Network(
        cast("Exchange", exchange),
        FakeClock(),
        "run",
        lambda enb: f"http://x/{enb}",
        lambda _station, message: paged.append(message),
        samples.append,
        0.0,
    )
    station = Station(cell, network)
    exchange.down = station.on_downlink
    return Ground(exchange, station, Device(Ue(Usim(SUBSCRIBER), Profile(PLMN)), station), samples, paged)


def run(script: Callable[[Ground], Any]) -> Ground:
    async def go() -> Ground:
        made = ground()
        await made.station.set_up()
        async with asyncio.timeout(10):
            await script(made)
        return made

    return asyncio.run(go())


def test_a_ue_attaches_and_each_message_waits_for_the_answer_to_the_last() -> None:
    made = run(lambda g: procedures.attach(g.device))
    assert made.device.ue.state is State.REGISTERED
    ids = [item.id for item in made.exchange.items[1:]]
    assert ids == [f"{CELL.enb}/run-1-1/{n}" for n in range(1, len(ids) + 1)]
    assert next(sample.nas for sample in made.samples if sample.nas) == "Attach Request"


def test_one_item_in_flight() -> None:
    async def script(g: Ground) -> None:
        g.exchange.held = []
        g.device.perform(g.device.ue.attach())
        connection = g.device.connection
        assert connection is not None
        connection.send(connection.side.associated(ErrorIndication(cause=Cause(*S1apCause.UNSPECIFIED.value))))
        assert len(g.exchange.held) == 1
        g.exchange.held.pop()()
        assert len(g.exchange.held) == 1

    run(script)


def test_detach_then_a_new_connection_under_new_ids() -> None:
    async def script(g: Ground) -> None:
        await procedures.attach(g.device)
        await procedures.detach(g.device)
        assert not g.device.connected
        g.device.ue.forget()
        g.device.ue.usim = Usim(SUBSCRIBER)  # the fake network begins with the same SQN each time
        await procedures.attach(g.device)
        connection = g.device.connection
        assert connection is not None
        assert (connection.side.enb_ue_s1ap_id, connection.run) == (2, "run-1-2")

    run(script)


def test_a_lost_association_leaves_the_ue_idle_and_late_downlinks_find_nobody() -> None:
    async def script(g: Ground) -> None:
        await procedures.attach(g.device)
        before = g.station.epoch
        await g.station.lose_association()
        assert (g.device.connected, g.station.connections) == (False, {})
        assert g.exchange.items[-1].event == "association-lost"
        await g.station.set_up()
        assert g.station.epoch != before
        late = UeContextReleaseCommand(1001, 1, Cause(*S1apCause.NORMAL_RELEASE.value))
        g.station.on_downlink(Downlink("x", CELL.enb, 1, s1ap.encode(late), 1, 9))
        assert g.station.journal.entries[-1] == late

    run(script)


def test_an_expectation_that_fails_says_what_came() -> None:
    async def script(g: Ground) -> None:
        g.device.ue.profile = Profile(PLMN, wrong_res=True)
        g.device.perform(g.device.ue.attach())
        with pytest.raises(UnexpectedError, match=r"expected Registered, came .*Authentication Reject"):
            await g.device.expect(Registered, 0.2)

    run(script)


def test_a_message_held_back_stops_the_attach() -> None:
    async def script(g: Ground) -> None:
        g.device.ue.silent_to.add(AuthenticationRequest)
        g.device.perform(g.device.ue.attach())
        await g.device.expect(AuthenticationRequest)
        await g.device.settled()
        with pytest.raises(UnexpectedError):
            await g.device.expect(AttachAccept, 0.05)

    run(script)


@pytest.mark.parametrize(
    "answer", [Reply("x", ItemResult.STALE.value), None], ids=["the MME knows no such connection", "silence"]
)
def test_an_enb_that_asks_in_vain_for_the_release_ends_the_connection_by_itself(answer: Reply | None) -> None:
    """Otherwise its UE would go on speaking on a connection that the MME does not have (TS 36.413 8.3.2)."""

    async def script(g: Ground) -> None:
        await procedures.attach(g.device)
        g.exchange.held = []
        g.exchange.answer = lambda _: answer
        g.device.request_release()
        assert g.device.connected
        g.exchange.held.pop()()
        assert not g.device.connected
        assert g.station.connections == {}
        assert g.device.ue.state is State.REGISTERED

    run(script)


def test_a_late_release_request_of_a_scripts_own_does_not_end_the_connection() -> None:
    async def script(g: Ground) -> None:
        await procedures.attach(g.device)
        g.exchange.answer = lambda item: Reply(item.id, ItemResult.STALE.value)
        reply = await g.device.send(UeContextReleaseRequest(1, 1, Cause(*S1apCause.USER_INACTIVITY.value)))
        assert reply.result == ItemResult.STALE.value
        assert g.device.connected

    run(script)


def test_paging_and_error_indications_of_the_enb_reach_its_journal() -> None:
    async def script(g: Ground) -> None:
        paging = Paging(1, STmsi(1, 2), (CELL.tai,))
        g.station.on_downlink(Downlink("p", CELL.enb, 0, s1ap.encode(paging)))
        assert g.paged == [paging]
        g.station.on_downlink(Downlink("g", CELL.enb, 0, b"\xff"))
        assert isinstance(g.station.journal.entries[-1], ErrorIndication)

    run(script)


def test_a_gap_in_the_downlinks_is_waited_for() -> None:
    async def script(g: Ground) -> None:
        g.exchange.held = []
        g.device.perform(g.device.ue.attach())
        reply = g.exchange.mme.work(g.exchange.items[-1])
        (challenge,) = reply.downlink
        g.station.on_downlink(Downlink("late", CELL.enb, 1, challenge.s1ap, 1, 1))
        assert not g.device.journal.entries
        cast("FakeClock", g.station.clock).pass_s(0.3)
        assert isinstance(g.device.journal.entries[0], DownlinkNasTransport)

    run(script)


@dataclass
class LyingLab:
    """Answers commands as told, and the UE's service request by SERVICE REJECT."""

    result: str

    async def command(self, _action: str, _device: Device) -> Reply:
        return Reply("x", self.result)


def test_the_checker_finds_a_detached_ue_that_the_mme_still_has() -> None:
    async def script(g: Ground) -> None:
        found = await check_device(cast("Lab", LyingLab("done")), g.device, 7)
        assert [(d.ue, d.about) for d in found] == [(7, "detached")]
        assert "rejected" in found[0].expected
        assert await check_device(cast("Lab", LyingLab("rejected")), g.device, 7) == []

    run(script)


def test_the_checker_finds_a_registered_ue_that_the_mme_has_lost() -> None:
    async def script(g: Ground) -> None:
        await procedures.attach(g.device)
        g.device.lose_radio()
        (found,) = await check_device(cast("Lab", LyingLab("rejected")), g.device, 1)
        assert found.about.startswith("state idle")
        assert str(SUBSCRIBER.imsi) == found.imsi
        assert SUBSCRIBER.imsi.digits not in repr(found)

    run(script)


# --------------------------------------------------------------------------- the eNB's side


def test_initial_message_of_a_returning_ue_names_it() -> None:
    side = EnbUe(CELL, 4)
    sent = side.uplink(SendNas(b"\xc7\x00\x00\x00", "Service Request", True, STmsi(1, 2), "mt-Access"))
    message = s1ap.decode(sent.octets)
    assert isinstance(message, InitialUeMessage)
    assert (message.s_tmsi, message.rrc_establishment_cause) == (STmsi(1, 2), "mt-Access")


def connected() -> EnbUe:
    side = EnbUe(CELL, 4)
    side.uplink(SendNas(b"\x07\x41", "Attach Request"))
    side.receive(b"", DownlinkNasTransport(9, 4, b"\x07\x52"))
    return side


def message_of(effect: object) -> S1apMessage:
    assert isinstance(effect, SendS1ap)
    return s1ap.decode(effect.octets)


def test_nas_not_delivered_is_reported_with_the_pdu() -> None:
    cause = S1apCause.RADIO_CONNECTION_WITH_UE_LOST
    assert EnbUe(CELL, 4).not_delivered(b"\x07\x52", cause) is None
    report = message_of(connected().not_delivered(b"\x07\x52", cause))
    assert report == NasNonDeliveryIndication(9, 4, b"\x07\x52", Cause(*cause.value))


def test_context_modification_with_a_key_is_answered_and_told_to_the_ue() -> None:
    side = connected()
    _, response, told = side.receive(b"", UeContextModificationRequest(9, 4, k_enb=bytes(32)))
    assert message_of(response) == UeContextModificationResponse(9, 4)
    assert told == BearersUp(bytes(32))
    assert side.k_enb == bytes(32)
    assert len(side.receive(b"", UeContextModificationRequest(9, 4, 10, 10))) == 2


def test_a_release_that_the_enb_does_not_answer_is_only_noted() -> None:
    side = connected()
    side.silent_to.add(UeContextReleaseCommand)
    command = UeContextReleaseCommand(9, 4, Cause(*S1apCause.NORMAL_RELEASE.value))
    assert len(side.receive(b"", command)) == 1
    assert not side.released
    request = message_of(side.request_release(S1apCause.USER_INACTIVITY))
    assert isinstance(request, UeContextReleaseRequest)


# --------------------------------------------------------------------------- journal


def test_journal_finds_by_kind_and_fields_and_forgets_what_was_read() -> None:
    journal = Journal()
    journal.write(ServiceReject(EmmCause.IMPLICITLY_DETACHED))
    journal.write(ServiceReject(EmmCause.ILLEGAL_UE))
    assert journal.find(ServiceReject, {"cause": EmmCause.ILLEGAL_UE}) is not None
    assert journal.find(ServiceReject, {}) is None
    assert journal.unread() == ""


def test_entries_in_words() -> None:
    assert described(ServiceReject(EmmCause.ILLEGAL_UE)) == "Service Reject #3"
    unknown = ErrorIndication(cause=Cause(*S1apCause.UNKNOWN_MME_UE_S1AP_ID.value))
    assert described(unknown) == "ErrorIndication (unknown-mme-ue-s1ap-id)"
    assert ItemResult.DONE.value not in described(unknown)
