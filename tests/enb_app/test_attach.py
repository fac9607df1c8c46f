"""Whole runs over real HTTP against the fake MME."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from enb_app import load
from enb_app.association import Leave
from enb_app.attach import RunBrokeError, attach
from enb_app.failures import cure
from enb_app.measure import UeOutcome
from enb_app.options import AttachOptions, Fault, Mode
from enb_app.outbox import Policy
from enb_app.result import Result
from enb_app.usim import Subscriber
from mme.codec.envelope import Reply
from mme.enums import EmmCause
from mme.ids import Plmn
from mme.messages import OverloadStart, OverloadStop
from tests.enb_app.fake_gateway import FakeGateway, healthy
from tests.enb_app.fake_mme import FakeMme

QUICK = Policy(first_wait_s=0.005, longest_wait_s=0.02, first_silence_s=0.1, least_silence_s=0.1)


class Lab:
    """A fake gateway and options that fit to it."""

    def __init__(self, directory: Path, subscribers: dict[str, Subscriber]) -> None:
        self.directory = directory
        self.mme = FakeMme(subscribers)
        self.gateway = FakeGateway(self.mme)
        self.options = AttachOptions(
            ues=10,
            concurrency=5,
            subscribers=directory / "subscribers.csv",
            secrets=directory / "secrets",
        )

    def run(
        self,
        gateway_fault: Callable[[int], str] = healthy,
        on_outcome: Callable[[UeOutcome], None] = lambda _: None,
        **changed: Any,
    ) -> Result:
        """Make a run with those options changed."""

        async def go() -> Result:
            self.gateway.fault = gateway_fault
            async with self.gateway.running() as gateway, asyncio.timeout(30):
                return await attach(replace(self.options, gateway=gateway.url, **changed), on_outcome)

        return asyncio.run(go())


@pytest.fixture(name="bench")
def bench_fixture(lab: Path, subscribers: dict[str, Subscriber]) -> Lab:
    return Lab(lab, subscribers)


@pytest.mark.parametrize("mode", list(Mode))
@pytest.mark.parametrize("eager", [False, True])
def test_every_ue_attaches(bench: Lab, mode: Mode, eager: bool) -> None:
    seen: list[UeOutcome] = []
    result = bench.run(mode=mode, eager=eager, on_outcome=seen.append)
    assert (result.attached, result.failed, result.exit_code) == (10, 0, 0)
    assert len(seen) == 10
    assert result.counters.calls == 61
    assert len(result.attach_ms) == 10
    assert result.store.reads == 60


def test_item_ids_are_enb_run_and_number_and_each_run_counts_from_one(bench: Lab) -> None:
    bench.run(ues=2)
    runs: dict[str, list[int]] = {}
    for item_id in bench.mme.ids:
        enb, run, number = item_id.split("/")
        assert enb == "00101-0019b"
        runs.setdefault(run, []).append(int(number))
    assert sorted(runs.values(), key=len) == [[1], [1, 2, 3, 4, 5, 6], [1, 2, 3, 4, 5, 6]]


@pytest.mark.parametrize("eager", [False, True])
def test_one_message_of_a_ue_is_in_flight_unless_eager(bench: Lab, eager: bool) -> None:
    bench.run(ues=3, eager=eager)
    assert (bench.gateway.most_in_flight > 1) is eager


def test_batches(bench: Lab) -> None:
    policy = Policy(batch=8, calls=1)
    result = bench.run(concurrency=10, policy=policy)
    assert result.attached == 10
    assert result.counters.calls < 61
    assert max(bench.gateway.batches) > 1


def test_ues_that_are_refused_for_congestion_attach_again_on_connections_of_their_own(bench: Lab) -> None:
    bench.mme.congested = 4
    result = bench.run(ues=3, concurrency=3, t3411_s=0.01)
    assert (result.attached, result.refused_before) == (3, 4)
    assert len(result.outcomes) == 3
    initial = [item_id for item_id in bench.mme.ids if item_id.endswith("/1") and "setup" not in item_id]
    assert len(set(initial)) == len(initial) == 7


def test_after_five_refusals_a_ue_gives_up_for_t3402(bench: Lab) -> None:
    """TS 24.301 5.5.1.2.6: the attach attempt counter."""
    bench.mme.congested = 100
    result = bench.run(ues=1, t3411_s=0.01)
    assert (result.attached, result.refused_before) == (0, 4)
    assert [outcome.emm_cause for outcome in result.outcomes] == [EmmCause.CONGESTION.value]
    assert bench.mme.congested == 95


def test_a_ue_that_has_more_attempts_waits_for_t3402_after_each_fifth(bench: Lab) -> None:
    bench.mme.congested = 5
    result = bench.run(ues=1, attempts=6, t3411_s=0.01, t3402_s=1.5)
    assert (result.attached, result.refused_before) == (1, 5)
    assert result.duration_s >= 1.5
    assert bench.mme.congested == 0


@pytest.mark.parametrize(("numbers", "stops"), [((2, 1), 1), ((1, 2), 1)], ids=["overtaken", "in order"])
def test_an_overload_start_that_was_overtaken_by_its_stop_rejects_nobody(
    bench: Lab, numbers: tuple[int, int], stops: int
) -> None:
    """Both ways round STOP is the later decision; nobody's RRC connection is rejected."""
    told = [(2, OverloadStop()), (1, OverloadStart("reject-rrc-cr-signalling"))]
    bench.mme.with_setup = [entry for number in numbers for entry in told if entry[0] == number]
    result = bench.run(ues=2, ask_for_s=0.0)
    assert (result.attached, result.rrc_rejected, result.overload_stops) == (2, 0, stops)


def test_an_overload_start_that_overtakes_the_answer_to_s1_setup_is_not_taken_for_it(bench: Lab) -> None:
    """A push may be faster than the reply; what it tells counts."""
    bench.mme.with_setup = [(1, OverloadStart("reject-rrc-cr-signalling")), (2, OverloadStop())]
    bench.mme.overtaking = True
    result = bench.run(ues=2, ask_for_s=0.0)
    assert (result.attached, result.overload_starts, result.overload_stops) == (2, 1, 1)


def test_open_loop(bench: Lab, monkeypatch: pytest.MonkeyPatch) -> None:
    asked: list[float] = []

    async def passes_at_once(seconds: float) -> None:
        asked.append(seconds)

    monkeypatch.setattr(load, "sleep", passes_at_once)
    result = bench.run(rate_per_s=0.001)
    assert result.attached == 10
    assert all(1000 * n - 500 < seconds <= 1000 * n for n, seconds in enumerate(asked))
    assert len(asked) == 10


@pytest.mark.parametrize("leave", [Leave.DETACH, Leave.SWITCH_OFF])
def test_detach(bench: Lab, leave: Leave) -> None:
    result = bench.run(leave=leave)
    assert (result.attached, result.detached) == (10, 10)


@pytest.mark.parametrize(
    ("fault", "cause"),
    [
        (Fault.WRONG_KEY, "Authentication Reject"),
        (Fault.WRONG_RES, "Authentication Reject"),
        (Fault.UNKNOWN_IMSI, "Attach Reject #8"),
    ],
)
def test_bad_ues_are_refused(bench: Lab, fault: Fault, cause: str) -> None:
    result = bench.run(ues=2, fault=fault)
    assert (result.attached, result.exit_code) == (0, 1)
    assert {outcome.cause for outcome in result.outcomes} == {cause}
    if fault is Fault.WRONG_KEY:
        sent = [message.title for message in result.outcomes[0].messages]
        assert sent[1:3] == ["Authentication Failure", "Identity Response"]


def test_replayed_messages_are_discarded_and_counted(bench: Lab) -> None:
    result = bench.run(replay=True)
    assert (result.attached, result.exit_code) == (10, 0)
    assert result.copies == {"discarded": 20}


def test_an_mme_that_takes_a_replayed_message_fails_the_run(bench: Lab, monkeypatch: pytest.MonkeyPatch) -> None:
    work = bench.mme.work
    monkeypatch.setattr(bench.mme, "work", lambda item: taken(work(item)))
    result = bench.run(replay=True)
    assert (result.attached, result.copies_taken, result.exit_code) == (10, 20, 1)


def taken(reply: Reply) -> Reply:
    return Reply(reply.id, "done", reply.downlink)


@pytest.mark.parametrize("mode", list(Mode))
@pytest.mark.parametrize("fault", ["500", "forged"])
def test_failed_and_forged_answers_are_made_good_by_resends(bench: Lab, mode: Mode, fault: str) -> None:
    result = bench.run(lambda call: fault if call % 5 == 2 else "ok", mode=mode, policy=QUICK)
    assert (result.attached, result.failed) == (10, 0)
    assert result.resends > 0
    assert (result.counters.refused_signatures > 0) is (fault == "forged")
    assert len(set(bench.mme.ids)) == 61


def test_lost_invocations_are_made_good_by_resends(bench: Lab) -> None:
    result = bench.run(lambda call: "lost" if call % 7 == 3 else "ok", concurrency=10, policy=QUICK)
    assert (result.attached, result.failed) == (10, 0)
    assert result.silences > 0


def test_a_function_that_always_fails_fails_the_ue_in_bounded_time(bench: Lab) -> None:
    result = bench.run(lambda call: "ok" if call <= 2 else "500", ues=1, policy=replace(QUICK, tries=3))
    (outcome,) = result.outcomes
    assert outcome.cause == "mme-uplink-nas: mme-uplink-nas answered 500, 3 times sent"
    assert result.exit_code == 1


def test_several_enbs_share_the_ues(bench: Lab) -> None:
    result = bench.run(enbs=3, ues=6)
    assert result.attached == 6
    assert {outcome.enb for outcome in result.outcomes} == {"00101-0019b", "00101-0019c", "00101-0019d"}


def test_esm_information(bench: Lab) -> None:
    bench.mme.esm_information = True
    result = bench.run(esm_information=True)
    assert result.attached == 10
    assert "ESM Information Response" in {figures.title for figures in result.per_message()}


def test_no_gateway_breaks_the_run(bench: Lab) -> None:
    with pytest.raises(RunBrokeError, match="localfaas up"):
        asyncio.run(attach(replace(bench.options, gateway="http://127.0.0.1:9")))


def test_a_refused_setup_breaks_the_run(bench: Lab) -> None:
    (bench.directory / "secrets" / "edge-signing-key").write_text("00" * 32)
    with pytest.raises(RunBrokeError, match="401") as refused:
        bench.run()
    assert f"The key in {bench.directory / 'secrets' / 'edge-signing-key'} does not fit" in str(refused.value)
    assert "secrets of the running site" in str(refused.value)
    assert "gateway up" not in str(refused.value)


def test_the_cure_fits_what_went_wrong() -> None:
    key = Path("here/key")
    assert "clocks" in cure("mme-enb answered 401 (the timestamp is not within 300 s of now)", key)
    assert "--callback-host" in cure("mme-enb answered 401 (the callback URL is not among those allowed)", key)
    unfit = "mme-enb answered 401 (the signature does not fit the key, function, callback URL and body)"
    assert "here/key" in cure(unfit, key)
    assert "stack.yml" in cure("mme-enb answered 404", key)
    assert "Is the gateway up" in cure("mme-enb answered 503, 8 times sent", key)


def test_keys_and_whole_imsis_are_in_no_figure(bench: Lab) -> None:
    text = str(bench.run(ues=1).as_json())
    assert "001010000000001" not in text
    card = bench.mme.subscribers["001010000000001"]
    assert card.k.hex() not in text
    assert Plmn("00101").digits in text
