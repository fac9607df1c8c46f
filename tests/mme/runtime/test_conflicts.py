"""Two runtimes on one context: rerun with the same vector and the same address, and both items effective once."""

from __future__ import annotations

import threading

import pytest

from enb_app.enb import UE_RADIO_CAPABILITY
from mme.codec import s1ap
from mme.enums import EmmState, Step, TimerName
from mme.messages import DownlinkNasTransport, UeContextReleaseCommand
from mme.needs import NeedSession, NeedVector
from mme.store.base import Table
from mme.store.faulty import Applied, Fault, FaultConflict, FaultUnavailable, FaultUnknown, on_load, on_save
from mme.work import CONFLICT_TRIES
from tests.mme.runtime.pair import Exchange, Network, assert_no_count_used_twice
from tests.mme.runtime.test_attach import UPLINKS, assert_registered


def test_conflicts_at_every_write_of_an_attach(network: Network) -> None:
    """Each message meets two conflicts: reruns take no second SQN and no second address."""
    talk = network.ue(network.subscribe())
    sqn = network.sqn()
    while talk.queue:
        network.faults.plan = on_save(FaultConflict(), FaultConflict(), table=Table.UE_CONTEXT)
        talk.step()
        assert network.faults.plan == []
    assert_registered(network, talk)
    assert network.sqn() >> 5 == (sqn >> 5) + 1
    assert len(network.sessions()) == len(network.keys(Table.SESSION)) == 1
    for kind in (NeedVector, NeedSession):
        asked = [need for need in network.hss.asked + network.gateway.asked if isinstance(need, kind)]
        assert len(asked) == 3
        assert len({need.id for need in asked}) == 1


def test_rerun_challenges_with_the_same_vector(network: Network) -> None:
    network.faults.plan = on_save(FaultConflict(), table=Table.UE_CONTEXT)
    talk = network.ue(network.subscribe())
    exchange = talk.step()
    message = s1ap.decode(exchange.reply.downlink[0].s1ap)
    assert isinstance(message, DownlinkNasTransport)
    ctx = network.context(talk)
    assert ctx.vector is not None
    assert isinstance(message.nas_pdu, bytes)
    # AUTHENTICATION REQUEST 8.2.7: 07 52 KSI, RAND of 16 octets, length, AUTN of 16 octets.
    assert message.nas_pdu[3:19] == ctx.vector.rand
    assert message.nas_pdu[20:36] == ctx.vector.autn
    assert talk.ue.discarded == 0


def test_more_conflicts_than_the_bound(network: Network) -> None:
    talk = network.ue(network.subscribe())
    talk.until("Authentication Response")
    network.faults.plan = on_save(*[FaultConflict()] * CONFLICT_TRIES, table=Table.UE_CONTEXT)
    before = network.snapshot()
    exchange = talk.post()
    assert (exchange.reply.result, exchange.reply.downlink) == ("retry", [])
    after = network.snapshot()
    after["timer"] = before["timer"]
    assert after == before
    talk.take(network.again(exchange))
    talk.run()
    assert_registered(network, talk)


@pytest.mark.parametrize("first", [0, 1, 2])
@pytest.mark.parametrize("second", [0, 1, 2])
def test_two_items_of_one_ue_interleave(network: Network, first: int, second: int) -> None:
    """`second` comes in whole between load and write of `first`."""
    if first == second:
        pytest.skip("one item in flight per UE and message")
    talk = network.ue(network.subscribe())
    talk.until("UECapabilityInfoIndication")
    queue, talk.queue = list(talk.queue), []
    assert [m.nas or m.name for m in queue] == UPLINKS[3:]
    inner: list[Exchange] = []

    def meanwhile() -> None:
        talk.queue.append(queue[second])
        inner.append(talk.post())

    talk.queue.append(queue[first])
    network.between.act = (Table.UE_CONTEXT, meanwhile)
    outer = talk.post()
    assert [e.reply.result for e in (*inner, outer)] == ["done", "done"]
    for exchange in (*inner, outer):
        talk.take(exchange)
    talk.queue.append(queue[3 - first - second])
    talk.run()
    assert_registered(network, talk)
    ctx = network.context(talk)
    assert ctx.ue_radio_capability == UE_RADIO_CAPABILITY
    assert ctx.bearer is not None
    assert ctx.bearer.enb_teid == talk.number << 4 | 5
    assert len({r.id for r in ctx.recent}) == len(ctx.recent) == 6


def test_three_items_in_three_threads(network: Network) -> None:
    for round_ in range(3):
        talk = network.ue(network.subscribe(f"00101000000020{round_}"))
        talk.until("UECapabilityInfoIndication")
        messages, talk.queue = list(talk.queue), []
        barrier = threading.Barrier(3)
        exchanges: list[Exchange] = []

        def run(n: int, octets: bytes, name: str, barrier: threading.Barrier, into: list[Exchange]) -> None:
            barrier.wait(10)
            into.append(network.s1ap(octets, run=name, number=10 + n))

        threads = [
            threading.Thread(target=run, args=(n, m.octets, talk.run_name, barrier, exchanges))
            for n, m in enumerate(messages)
        ]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join(30)
        assert sorted(e.reply.result for e in exchanges) == ["done"] * 3
        for exchange in sorted(exchanges, key=lambda e: e.item.id):
            talk.posted[exchange.item.id] = messages[int(exchange.item.id.rpartition("/")[2]) - 10]
            talk.take(exchange)
        assert talk.done is not None
        assert_registered(network, talk)


def test_ue_given_up_between_load_and_write_of_its_session_leaves_no_session(network: Network) -> None:
    """The loser's rerun finds the attach gone: what it asked the gateway for must not stay (design: guard timer)."""
    talk = network.ue(network.subscribe())
    talk.until("Security Mode Complete")
    connection = network.context(talk).connection
    assert connection is not None
    network.between.act = (
        Table.UE_CONTEXT,
        lambda: talk.take(network.event("release-ue", mme_ue_s1ap_id=connection.mme_ue_s1ap_id)),
    )
    talk.step()
    talk.flow()
    network.wait(60)
    assert network.context(talk).emm is EmmState.DEREGISTERED
    assert network.sessions() == []


# ------------------------------------------------------------------ Unknown and unavailable


def writes_of_an_attach(network: Network) -> list[tuple[str, Table]]:
    """(message, table) of every conditional write of an attach, in order."""
    seen: list[tuple[str, Table]] = []
    talk = network.ue(network.subscribe("001010000000999"))
    save = network.faults.save

    def noted(table: Table, key: str, value: bytes | None, **rest: object) -> object:
        seen.append((talk.names[-1], table))
        return save(table, key, value, **rest)  # type: ignore[arg-type]

    network.faults.save = noted  # type: ignore[method-assign,assignment]
    talk.run()
    network.faults.save = save  # type: ignore[method-assign]
    return seen


WRITES = [
    ("Attach Request", Table.SUBSCRIBER),
    ("Attach Request", Table.UE_CONTEXT),
    ("Authentication Response", Table.UE_CONTEXT),
    ("Security Mode Complete", Table.ADDRESS),
    ("Security Mode Complete", Table.SESSION),
    ("Security Mode Complete", Table.IMSI),
    ("Security Mode Complete", Table.UE_CONTEXT),
    ("UECapabilityInfoIndication", Table.UE_CONTEXT),
    ("InitialContextSetupResponse", Table.UE_CONTEXT),
    ("Attach Complete", Table.SESSION),
    ("Attach Complete", Table.UE_CONTEXT),
]


def test_writes_of_an_attach(network: Network) -> None:
    assert writes_of_an_attach(network) == WRITES


@pytest.mark.parametrize("applied", [Applied.YES, Applied.NO, Applied.LATER])
@pytest.mark.parametrize(("message", "table"), WRITES)
def test_unknown_outcome_of_each_write(network: Network, message: str, table: Table, applied: Applied) -> None:
    """A write whose answer is lost: the attach completes at once, with one SQN and one address."""
    talk = network.ue(network.subscribe())
    sqn = network.sqn()
    talk.until(message)
    network.faults.plan = on_save(FaultUnknown(applied), table=table)
    exchange = talk.step()
    assert exchange.reply.result == "done"
    assert network.faults.plan == []
    talk.run()
    assert_registered(network, talk)
    assert network.sqn() >> 5 == (sqn >> 5) + 1
    assert len(network.sessions()) == len(network.keys(Table.SESSION)) == 1


@pytest.mark.parametrize("applied", [Applied.YES, Applied.NO])
@pytest.mark.parametrize(("message", "table"), WRITES)
def test_outcome_that_stays_unknown(network: Network, message: str, table: Table, applied: Applied) -> None:
    """Neither the write nor the reads after it are answered: `retry` without a downlink, and the resend completes."""
    talk = network.ue(network.subscribe())
    sqn = network.sqn()
    talk.until(message)
    network.between.act = (
        table,
        lambda: setattr(
            network.faults,
            "plan",
            on_save(FaultUnknown(applied), table=table) + on_load(FaultUnavailable(), table=table),
        ),
    )
    exchange = talk.post()
    assert (exchange.reply.result, exchange.reply.downlink) == ("retry", [])
    network.faults.plan = []
    again = network.again(exchange)
    assert again.reply.result == "done"
    talk.take(again)
    talk.run()
    assert_registered(network, talk)
    assert network.sqn() >> 5 == (sqn >> 5) + 1
    assert len(network.sessions()) == len(network.keys(Table.SESSION)) == 1


def operations(network: Network) -> list[int]:
    """Number of store operations of each message of an attach."""
    talk = network.ue(network.subscribe("001010000000998"))
    costs = [e.cost for e in talk.flow()]
    return [c.reads + c.writes + c.conditional_writes for c in costs]


@pytest.mark.parametrize("number", range(6))
def test_store_unavailable_at_each_operation(network: Network, number: int) -> None:
    """`retry` each time, nothing sent; the resend of the same item id completes the attach."""
    total = operations(network)[number]
    for broken in range(total):
        imsi = f"0010100000{number}{broken:04}"
        talk = network.ue(network.subscribe(imsi))
        sqn = network.sqn(imsi)
        for _ in range(number):
            talk.step()
        count = 0
        before = network.faults._before

        def break_one(*arguments: object, at: int = broken, before: object = before) -> object:
            nonlocal count
            count += 1
            if count == at + 1:
                network.faults.plan.insert(0, Fault(arguments[0], FaultUnavailable()))  # type: ignore[arg-type]
            return before(*arguments)  # type: ignore[operator]

        network.faults._before = break_one  # type: ignore[method-assign,assignment]
        exchange = talk.post()
        network.faults._before = before  # type: ignore[method-assign]
        assert network.faults.plan == []
        assert (exchange.reply.result, exchange.reply.downlink) == ("retry", []), broken
        again = network.again(exchange)
        assert again.reply.result == "done", broken
        talk.take(again)
        talk.run()
        assert_registered(network, talk)
        assert network.sqn(imsi) >> 5 == (sqn >> 5) + 1
    assert total >= 2


def test_session_of_an_item_that_died_before_its_save_and_never_came_again(network: Network) -> None:
    """The gateway gave an address, the context could not be saved, the UE gave up: the address comes back."""
    talk = network.ue(network.subscribe())
    talk.until("Security Mode Complete")
    network.faults.plan = on_save(FaultUnavailable(), table=Table.UE_CONTEXT)
    assert talk.post().reply.result == "retry"
    network.faults.plan = []
    network.wait(120)
    assert network.context_of(talk) is None or network.context(talk).emm is EmmState.DEREGISTERED
    assert network.sessions() == []


def test_expired_wait_and_uplink_race(network: Network) -> None:
    """T3460 fires while the answer is being worked off: one of them wins, the counts stay right."""
    talk = network.ue(network.subscribe())
    talk.until("Security Mode Complete")
    ctx = network.context(talk)
    timer = ctx.timers[TimerName.T3460.value]
    network.clock.now_s = timer.due_ms / 1000 + 0.001
    network.between.act = (Table.UE_CONTEXT, lambda: void(network.ticker.tick()))
    exchange = talk.post()
    network.deliver()
    talk.take(exchange)
    talk.run()
    assert network.context(talk).step is Step.NONE
    assert_registered(network, talk)
    assert_no_count_used_twice(talk)
    assert not any(isinstance(m, UeContextReleaseCommand) for m in talk.messages())


def void(_value: object) -> None:
    return None
