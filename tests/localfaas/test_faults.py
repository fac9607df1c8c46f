"""The fault plan: checked when read, repeatable when drawn."""

import asyncio
import random
from pathlib import Path

import pytest

from localfaas import faults
from localfaas.errors import LocalfaasError
from localfaas.faults import Fault, FaultStream, Shares


def test_file_in_json_or_yaml(tmp_path: Path) -> None:
    json_file, yaml_file = tmp_path / "plan.json", tmp_path / "plan.yml"
    json_file.write_text('{"seed": 7, "call": {"lose": 0.1}, "callback": {"delay": 0.2, "delay_ms": 30}}')
    yaml_file.write_text("seed: 7\ncall: {lose: 0.1}\ncallback: {delay: 0.2, delay_ms: [30, 30]}\n")
    plan = faults.load(json_file)
    assert plan == faults.load(yaml_file)
    assert plan.call == Shares(lose=0.1)
    assert plan.callback == Shares(delay=0.2, delay_ms=(30.0, 30.0))


@pytest.mark.parametrize(
    ("raw", "told"),
    [
        ([], "must be a map"),
        ({"calls": {}}, "no section calls"),
        ({"call": 1}, "call must be a map"),
        ({"call": {"loose": 0.1}}, "call has no loose; it knows delay, delay_ms, duplicate, lose, reorder, reorder_ms"),
        ({"sync": {"reorder": 0.1}}, "sync has no reorder"),
        ({"call": {"lose": "many"}}, "not a number"),
        ({"call": {"lose": 0.6, "delay": 0.6}}, "add up to 1 or less"),
        ({"call": {"lose": -0.1}}, "0 or more"),
        ({"call": {"delay_ms": [5, 1]}}, "least, most"),
        ({"seed": "x"}, "seed must be a whole number"),
    ],
)
def test_what_is_wrong_is_named(raw: object, told: str) -> None:
    with pytest.raises(LocalfaasError, match=told):
        faults.parse(raw)


def test_shares_are_kept_and_a_seed_repeats() -> None:
    shares = Shares(lose=0.1, duplicate=0.2, delay=0.3, reorder=0.1)
    drawn = [shares.draw(rng) for rng in [random.Random("7/call")] for _ in range(10_000)]
    again = [shares.draw(rng) for rng in [random.Random("7/call")] for _ in range(10_000)]
    other = [shares.draw(rng) for rng in [random.Random("8/call")] for _ in range(10_000)]
    assert drawn == again != other
    for fault, share in ((Fault.LOSE, 0.1), (Fault.DUPLICATE, 0.2), (Fault.DELAY, 0.3), (Fault.NONE, 0.3)):
        assert drawn.count(fault) / 10_000 == pytest.approx(share, abs=0.02)


@pytest.mark.parametrize(("shares", "times"), [(Shares(lose=1), 0), (Shares(duplicate=1), 2), (Shares(), 1)])
def test_how_often_a_message_happens(shares: Shares, times: int) -> None:
    assert asyncio.run(FaultStream(shares, 1, "call").passes()) == times


def test_reordered_message_waits_for_the_next() -> None:
    async def run() -> list[int]:
        # reorder_ms is far longer than the test: only being overtaken lets the first one go.
        stream = FaultStream(Shares(reorder=1, reorder_ms=60_000), 1, "call")
        order: list[int] = []

        async def message(number: int) -> None:
            await stream.passes()
            order.append(number)
            stream.passed()

        first = asyncio.create_task(message(1))
        await asyncio.sleep(0)
        order.append(2)
        stream.passed()
        await first
        return order

    assert asyncio.run(asyncio.wait_for(run(), 10)) == [2, 1]


def test_reordered_message_goes_alone_when_nothing_follows() -> None:
    stream = FaultStream(Shares(reorder=1, reorder_ms=1), 1, "call")
    assert asyncio.run(stream.passes()) == 1
    assert stream.counts["reorder"] == 1
