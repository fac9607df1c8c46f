"""The same item twice: the same bytes at once, `duplicate` later, and never a second effect."""

from __future__ import annotations

import threading

import pytest

from enb_app.association import Leave
from enb_app.effects import SendNas
from mme.codec import envelope, nas, s1ap
from mme.enums import EmmState, SecurityHeader
from mme.ids import Imsi
from mme.messages import AttachRequest, EmmStatus, InitialUeMessage, PdnConnectivityRequest
from mme.needs import NeedVector
from mme.store.base import Table
from mme.store.faulty import FaultConflict, on_save
from tests.mme.runtime.pair import Exchange, Network, Talk, assert_no_count_used_twice
from tests.mme.runtime.test_attach import UPLINKS, assert_registered


def together(network: Network, exchange: Exchange, count: int = 2) -> list[Exchange]:
    """The same item at the same time in several threads."""
    barrier = threading.Barrier(count)
    done: list[Exchange] = []

    def run() -> None:
        barrier.wait(10)
        done.append(network.again(exchange))

    threads = [threading.Thread(target=run) for _ in range(count)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(30)
    assert len(done) == count
    return done


def test_every_message_of_an_attach_twice_at_once(network: Network) -> None:
    """An immediate duplicate gets the bytes of the first time and changes nothing."""
    talk = network.ue(network.subscribe(), leave=Leave.DETACH)
    while talk.queue:
        first = talk.post()
        before = network.snapshot()
        second = network.again(first)
        after = network.snapshot()
        after["timer"] = before["timer"]  # a duplicate that starts anew may write its own timer row once more
        assert envelope.encode(second.reply) == envelope.encode(first.reply), first.message
        assert after == before, first.message
        talk.take(second)
    assert talk.done is not None
    assert talk.done.detached
    assert_no_count_used_twice(talk)


def test_a_late_duplicate_is_told_so_and_changes_nothing(network: Network) -> None:
    talk = network.ue(network.subscribe())
    exchanges = talk.flow()
    assert talk.names == UPLINKS
    before = network.snapshot()
    for exchange in exchanges[:-1]:
        late = network.again(exchange)
        assert (late.reply.result, late.reply.downlink) == ("duplicate", []), exchange.message
    after = network.snapshot()
    after["timer"] = before[
        "timer"
    ]  # a copy of the first message may leave a timer row, which is stale by its due time
    assert after == before
    assert envelope.encode(network.again(exchanges[-1]).reply) == envelope.encode(exchanges[-1].reply)
    assert_registered(network, talk)


def test_late_duplicates_are_known_for_three_times_ack_wait(network: Network) -> None:
    talk = network.ue(network.subscribe())
    exchanges = talk.flow()
    network.clock.now_s += network.config.duplicates_s - 1
    talk.detach()
    talk.flow()
    for exchange in exchanges:
        assert network.again(exchange).reply.result == "duplicate", exchange.message


def test_the_same_id_with_other_content_is_refused(network: Network) -> None:
    talk = network.ue(network.subscribe())
    exchanges = talk.flow()
    before = network.snapshot()
    for this, other in zip(exchanges[1:], exchanges[2:] + exchanges[1:2], strict=True):
        if other.function != this.function:
            continue
        octets = other.item.s1ap
        assert octets is not None
        number = int(this.item.id.rpartition("/")[2])
        reused = network.s1ap(octets, run=talk.run_name, number=number)
        assert (reused.reply.result, reused.reply.downlink) == ("rejected", [])
        assert reused.reply.error
    assert network.snapshot() == before


@pytest.mark.parametrize("same_subscriber", [True, False])
def test_the_id_of_an_initial_message_with_other_content_is_refused(network: Network, same_subscriber: bool) -> None:
    network.subscribe("001010000000002")
    talk = network.ue(network.subscribe())
    exchange = talk.step()
    before = network.snapshot()
    identity = talk.ue.usim.imsi if same_subscriber else Imsi("001010000000002")
    request = AttachRequest(1, 7, identity, b"\xf0\x70", PdnConnectivityRequest(0, 3, 1, 1))
    message = InitialUeMessage(talk.number, nas.encode(request), network.cell.tai, network.cell.ecgi)
    reused = network.s1ap(s1ap.encode(message), run=talk.run_name, number=1)
    assert (reused.reply.result, reused.reply.downlink) == ("rejected", [])
    after = network.snapshot()
    after["timer"] = before["timer"]
    assert after == before
    assert network.again(exchange).reply == exchange.reply


def test_duplicated_initial_message_makes_one_context_and_one_sqn(network: Network) -> None:
    talk = network.ue(network.subscribe())
    sqn = network.sqn()
    exchange = talk.post()
    assert network.again(exchange).reply == exchange.reply
    assert len(network.contexts()) == 1
    assert network.sqn() >> 5 == (sqn >> 5) + 1
    talk.take(exchange)
    talk.run()
    assert_registered(network, talk)


def test_duplicated_initial_message_in_two_threads(network: Network) -> None:
    for round_ in range(4):
        imsi = f"00101000000010{round_}"
        talk = network.ue(network.subscribe(imsi))
        sqn = network.sqn(imsi)
        message = talk.queue[0]
        item = envelope.Item(
            id=f"{talk.enb}/{talk.run_name}/1", enb=talk.enb, epoch="epoch-1", stream=1, s1ap=message.octets
        )
        both = together(network, Exchange("mme-initial-ue", item, envelope.Reply("", ""), envelope.Cost(), ""))
        results = {envelope.encode(e.reply) for e in both if e.reply.result == "done"}
        assert len(results) == 1
        assert {e.reply.result for e in both} <= {"done", "duplicate"}
        assert len(network.contexts()) == round_ + 1
        assert network.sqn(imsi) >> 5 == (sqn >> 5) + 1
        exchange = next(e for e in both if e.reply.result == "done")
        talk.queue.pop(0)
        talk.sent = 1
        talk.names.append("Attach Request")
        talk.posted[exchange.item.id] = message
        talk.take(exchange)
        talk.run()
        assert_registered(network, talk)


@pytest.mark.parametrize("name", ["Authentication Response", "Security Mode Complete", "Attach Complete"])
def test_an_uplink_in_two_threads_takes_effect_once(network: Network, name: str) -> None:
    talk = network.ue(network.subscribe())
    talk.until(name)
    message = talk.queue.pop(0)
    talk.sent += 1
    item = envelope.Item(
        id=f"{talk.enb}/{talk.run_name}/{talk.sent}", enb=talk.enb, epoch="epoch-1", stream=1, s1ap=message.octets
    )
    both = together(network, Exchange("mme-uplink-nas", item, envelope.Reply("", ""), envelope.Cost(), ""), 3)
    assert len({envelope.encode(e.reply) for e in both}) == 1
    talk.posted[item.id] = message
    talk.take(both[0])
    talk.names.append(name)
    talk.run()
    assert_registered(network, talk)
    assert len(network.sessions()) == 1


def test_duplicate_after_detach_meets_the_stub_and_later_nothing(network: Network) -> None:
    talk = network.ue(network.subscribe(), leave=Leave.DETACH)
    exchanges = talk.flow()
    for exchange in exchanges[:-1]:
        assert network.again(exchange).reply.result == "duplicate", exchange.message
    network.pass_over(network.config.duplicates_s + 1)
    before = network.snapshot()
    for exchange in exchanges[1:]:
        gone = network.again(exchange)
        assert gone.reply.result == "stale", exchange.message
    assert network.snapshot() == before


def test_duplicate_of_an_attach_that_was_rejected(network: Network) -> None:
    talk = network.ue(network.subscribe())
    network.database.save(Table.SUBSCRIBER, "001010123456780", None, expect=1, writer="test")
    exchange = talk.post()
    assert exchange.reply.result == "rejected"
    assert network.again(exchange).reply == exchange.reply
    talk.take(exchange)
    talk.flow()
    assert network.again(exchange).reply.result == "duplicate"
    assert network.context(talk).emm is EmmState.DEREGISTERED


def test_key_of_a_fresh_context_that_is_anothers(network: Network) -> None:
    """A row of another origin under the first key: the next key is taken, and a duplicate finds its own way too."""
    talk = network.ue(network.subscribe())
    exchange = talk.post()
    [key] = network.keys(Table.UE_CONTEXT)
    row = network.database.load(Table.UE_CONTEXT, key)
    assert row is not None
    network.database.save(
        Table.UE_CONTEXT,
        key,
        row.value.replace(b"/ue1/1", b"/ueX/1"),
        expect=row.version,
        writer="another",
    )
    again = network.again(exchange)
    assert again.reply.result == "done"
    assert len(network.contexts()) == 2
    assert network.again(exchange).reply == again.reply
    assert [type(n) for n in network.hss.asked].count(NeedVector) >= 2


def test_conflict_without_a_row_starts_over(network: Network) -> None:
    network.faults.plan = on_save(FaultConflict(), table=Table.UE_CONTEXT)
    talk = network.ue(network.subscribe())
    sqn = network.sqn()
    talk.run()
    assert network.sqn() >> 5 == (sqn >> 5) + 1
    assert_registered(network, talk)


def test_memory_of_ids_is_bounded(network: Network) -> None:
    """At least 8 ids, and none older than three times ack_wait beyond these."""
    talk: Talk = network.ue(network.subscribe())
    talk.run()
    for _ in range(20):
        network.clock.now_s += 60
        assert talk.ue.security is not None
        status = talk.ue.security.protect(nas.encode(EmmStatus(111)), SecurityHeader.INTEGRITY_CIPHERED)
        talk.say(SendNas(status, "EMM Status", protected=True))
        talk.flow()
    recent = network.context(talk).recent
    assert 8 <= len(recent) <= 9
