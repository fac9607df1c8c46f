"""Batches, resends and silence, with time as an argument."""

from __future__ import annotations

from dataclasses import replace
from random import Random

import pytest
from prometheus_client import REGISTRY

from enb_app.outbox import BODY_LIMIT, Call, Entry, Outbox, Policy
from mme.codec.envelope import Item

ENB = "00101-0019b"
FN = "mme-uplink-nas"


def item(run: int, number: int = 1, octets: int = 10) -> Item:
    return Item(f"{ENB}/r-{run}/{number}", ENB, "e", 1, bytes(octets))


def outbox(**policy: float) -> Outbox:
    return Outbox(replace(Policy(), **policy), Random(7))  # type: ignore[arg-type]


def one(calls: list[Call]) -> Call:
    (call,) = calls
    return call


def ids(call: Call) -> list[str]:
    return [item.id for item in call.items]


def fail_until_given_up(box: Outbox) -> tuple[list[Entry], list[float], set[str]]:
    """Fail every call -> what was given up, the waits between sendings, the ids that were sent."""
    now = 0.0
    waits: list[float] = []
    sent: set[str] = set()
    for _ in range(50):
        call = one(box.take(now))
        sent |= set(ids(call))
        given_up = box.call_failed(call.id, "500", now)
        if given_up:
            return given_up, waits, sent
        due = box.next_due()
        assert due is not None
        while not box.expire(due) and not box._queues[ENB, FN].waiting:
            due = box.next_due()
            assert due is not None
        waits.append(due - now)
        now = due
    raise AssertionError("resent without end")


def test_without_batching_each_item_goes_at_once() -> None:
    box = outbox()
    for run in range(3):
        box.add(item(run), FN, 0.0)
    assert [ids(call) for call in box.take(0.0)] == [[f"{ENB}/r-{run}/1"] for run in range(3)]
    assert box.take(0.0) == []


def test_a_failed_item_is_sent_again_under_its_own_id_bounded_with_growing_jittered_waits() -> None:
    box = outbox()
    box.add(item(1), FN, 0.0)
    given_up, waits, sent = fail_until_given_up(box)
    assert sent == {f"{ENB}/r-1/1"}
    assert [(entry.tries, entry.why) for entry in given_up] == [(8, "500")]
    full = [min(3.0, 0.1 * 2**n) for n in range(7)]
    assert all(most / 2 <= wait <= most for wait, most in zip(waits, full, strict=True))
    assert box.resends == 7
    assert box.entry(f"{ENB}/r-1/1") is None


def test_jitter_differs_between_items() -> None:
    box = outbox()
    for run in range(5):
        box.add(item(run), FN, 0.0)
    for call in box.take(0.0):
        box.call_failed(call.id, "500", 0.0)
    due = sorted(at for at, _, kind, _ in box._alarms if kind == "send")
    assert len(set(due)) == 5


def test_silence_has_the_item_sent_again() -> None:
    box = outbox()
    box.add(item(1), FN, 0.0)
    first = one(box.take(0.0))
    assert box.expire(4.9) == []
    assert box.silences == 0
    box.expire(5.0)
    assert box.silences == 1
    box.expire(5.2)
    second = one(box.take(5.2))
    assert ids(second) == ids(first)
    assert second.id != first.id


def test_an_answer_while_waiting_to_be_sent_again_counts() -> None:
    box = outbox()
    box.add(item(1), FN, 0.0)
    call = one(box.take(0.0))
    box.call_failed(call.id, "500", 0.0)
    assert box.answered(f"{ENB}/r-1/1", 0.01)
    box.expire(1.0)
    assert box.take(1.0) == []
    assert box.answered(f"{ENB}/r-1/1", 1.0) is None


def test_slow_answers_make_it_more_patient_and_resends_teach_nothing() -> None:
    box = outbox()
    for run in range(20):
        box.add(item(run), FN, 0.0)
        box.take(0.0)
        box.answered(f"{ENB}/r-{run}/1", 6.0)
    box.add(item(99), FN, 10.0)
    box.take(10.0)
    box.expire(15.0)
    assert box.silences == 0
    box.expire(23.0)
    assert box.silences == 1


def test_a_batch_holds_one_item_of_a_ue_and_not_more_than_told() -> None:
    box = outbox(batch=3, calls=9)
    for run, number in ((1, 1), (1, 2), (2, 1), (3, 1), (4, 1)):
        box.add(item(run, number), FN, 0.0)
    first = one(box.take(0.0))
    assert ids(first) == [f"{ENB}/r-{run}/1" for run in (1, 2, 3)]
    assert ids(one(box.take(0.003))) == [f"{ENB}/r-1/2", f"{ENB}/r-4/1"]


def test_a_small_batch_waits_for_others_a_few_milliseconds_and_no_longer() -> None:
    box = outbox(batch=16)
    box.add(item(1), FN, 0.0)
    assert box.take(0.0029) == []
    assert box.next_due() == 0.003
    assert len(one(box.take(0.003)).items) == 1


def test_while_its_calls_are_under_way_items_gather() -> None:
    box = outbox(batch=16, calls=1)
    box.add(item(0), FN, 0.0)
    call = one(box.take(0.003))
    for run in range(1, 6):
        box.add(item(run), FN, 0.01)
    assert box.take(0.1) == []
    box.answered(call.items[0].id, 0.1)
    assert len(one(box.take(0.1)).items) == 5


def test_functions_and_enbs_do_not_share_a_batch() -> None:
    box = outbox(batch=16)
    box.add(item(1), FN, 0.0)
    box.add(item(2), "mme-ue-context", 0.0)
    box.add(Item("00101-0019c/r-3/1", "00101-0019c", "e", 1, b"x"), FN, 0.0)
    assert {(call.enb, call.function) for call in box.take(0.003)} == {
        (ENB, FN),
        (ENB, "mme-ue-context"),
        ("00101-0019c", FN),
    }


def test_a_batch_stays_below_the_size_of_an_asynchronous_body() -> None:
    box = outbox(batch=16)
    for run in range(3):
        box.add(item(run, octets=BODY_LIMIT // 2), FN, 0.0)
    assert [len(call.items) for call in box.take(0.003)] == [2, 1]


def test_only_what_a_failed_batch_left_unanswered_is_sent_again() -> None:
    box = outbox(batch=2)
    box.add(item(1), FN, 0.0)
    box.add(item(2), FN, 0.0)
    call = one(box.take(0.0))
    box.answered(f"{ENB}/r-1/1", 0.0)
    box.call_failed(call.id, "500", 0.0)
    box.expire(1.0)
    assert ids(one(box.take(2.0))) == [f"{ENB}/r-2/1"]


def test_a_refused_call_is_not_sent_again() -> None:
    box = outbox()
    box.add(item(1), FN, 0.0)
    call = one(box.take(0.0))
    assert [entry.item.id for entry in box.refused(call.id)] == ids(call)
    box.expire(60.0)
    assert box.take(60.0) == []


def test_an_id_is_used_once() -> None:
    box = outbox()
    box.add(item(1), FN, 0.0)
    with pytest.raises(ValueError, match="twice"):
        box.add(item(1), FN, 0.0)


def test_after_a_refusal_for_congestion_what_waits_travels_together() -> None:
    box = outbox(crowd=4, crowd_linger_s=0.1, crowd_s=5.0)
    box.congested(ENB, FN, 0.0)
    for run in range(6):
        box.add(item(run), FN, 0.0)
    assert [len(call.items) for call in box.take(0.0)] == [4]
    assert box.next_due() == 0.1
    box.expire(0.1)
    assert [len(call.items) for call in box.take(0.1)] == [2]
    box.add(item(6), "mme-ue-context", 0.2)
    assert [len(call.items) for call in box.take(0.2)] == [1], "only what was refused is held back"
    for run in range(7, 10):
        box.add(item(run), FN, 5.0)
    assert [len(call.items) for call in box.take(5.0)] == [1, 1, 1], "it is over"


def test_calls_are_not_held_back_in_a_crowd() -> None:
    """The MME judges by how long a call has waited: what waits here would not be seen."""
    box = outbox(crowd=2, batch=2, calls=1, crowd_s=5.0)
    box.congested(ENB, FN, 0.0)
    for run in range(6):
        box.add(item(run), FN, 0.0)
    assert [len(call.items) for call in box.take(0.0)] == [2, 2, 2]


def test_an_answer_is_missed_later_while_there_is_congestion() -> None:
    box = outbox(least_silence_s=4.0, first_silence_s=4.0, longest_silence_s=12.0, crowd_s=20.0)
    box.congested(ENB, "mme-initial-ue", 0.0)
    box.add(item(1), FN, 0.0)
    box.take(0.0)
    assert box.expire(11.9) == []
    assert box.silences == 0
    box.expire(12.0)
    assert box.silences == 1


def unanswered(function: str) -> float:
    return REGISTRY.get_sample_value("enb_app_unanswered_calls", {"function": function}) or 0.0


def test_calls_under_way_are_counted_until_they_are_answered_given_up_or_nobody_waits() -> None:
    box = outbox(tries=2)
    before = unanswered("mme-enb")
    for run in range(4):
        box.add(item(run), "mme-enb", 0.0)
    calls = box.take(0.0)
    assert unanswered("mme-enb") - before == 4
    box.answered(calls[0].items[0].id, 0.1)
    box.refused(calls[1].id)
    assert unanswered("mme-enb") - before == 2
    box.call_failed(calls[2].id, "503", 0.2)
    assert unanswered("mme-enb") - before == 1
    box.close()
    assert unanswered("mme-enb") == before
    assert box.answered(calls[3].items[0].id, 0.3) is None
    assert box.next_due() is None or box.expire(1e9) == []
    assert unanswered("mme-enb") == before
