"""The nemesis: the same seed strikes the same, victims come back, also when the run ends while they are down."""

from __future__ import annotations

import asyncio
import threading
from itertools import islice
from pathlib import Path
from typing import Any

import pytest

from chaos import nemesis as module
from chaos.history import Injected
from chaos.nemesis import KILL, PAUSE, Nemesis, Strike, kill_in_a_call, node_strikes, replica_strikes, ticker_strikes
from chaos.recorder import Recorder
from chaos.run import plan
from localfaas import faults
from localfaas.client import Client
from localfaas.errors import LocalfaasError

NODES = ["node 1", "node 2", "node 3"]


def strikes(seed: int) -> list[list[Strike]]:
    lanes = node_strikes(seed, NODES, 10), replica_strikes(seed), ticker_strikes(seed)
    return [list(islice(lane, 50)) for lane in lanes]


def test_a_seed_strikes_always_the_same_and_another_one_else() -> None:
    assert strikes(7) == strikes(7)
    assert all(one != other for one, other in zip(strikes(7), strikes(8), strict=True))


def test_everybody_is_struck() -> None:
    nodes, replicas, ticker = strikes(7)
    assert {strike.whom for strike in nodes} == set(NODES)
    assert {strike.whom for strike in replicas} == set(module.STRUCK)
    assert {strike.how for strike in ticker} == {PAUSE, KILL}


def test_a_short_run_sees_a_node_go_and_come_back() -> None:
    first = next(node_strikes(7, NODES, 2))
    assert first.rest_s + first.down_s < 60


def test_the_wire_loses_and_duplicates_2_and_delays_and_reorders_5_in_100() -> None:
    told = faults.parse(plan(7))
    assert told.seed == 7
    for shares in (told.call, told.callback):
        assert (shares.lose, shares.duplicate, shares.delay, shares.reorder) == (0.02, 0.02, 0.05, 0.05)


class FakeTicker:
    """Notes what is done to it.  struck: set with the first blow."""

    def __init__(self) -> None:
        self.done: list[str] = []
        self.struck = asyncio.Event()

    def start(self) -> None:
        self.done.append("start")

    def kill(self) -> None:
        self.done.append("kill")
        self.struck.set()

    def pause(self) -> None:
        self.done.append("pause")
        self.struck.set()

    def resume(self) -> None:
        self.done.append("resume")


@pytest.mark.parametrize(("how", "back"), [(KILL, "start"), (PAUSE, "resume")])
def test_a_ticker_that_is_down_when_the_run_ends_comes_back(
    how: str, back: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(module, "ticker_strikes", lambda _: iter([Strike(0.0, "ticker", how, 600.0)]))
    recorder = Recorder(lambda: 0.0)

    async def run() -> FakeTicker:
        ticker = FakeTicker()
        lane = asyncio.ensure_future(Nemesis(recorder, 7, 10).ticker(ticker))
        await asyncio.wait_for(ticker.struck.wait(), 10)
        await asyncio.sleep(0)
        lane.cancel()
        await asyncio.wait((lane,))
        return ticker

    assert asyncio.run(run()).done == [how, back]
    assert [event.whom for event in recorder.events if isinstance(event, Injected)] == ["ticker", "ticker"]


def test_the_end_of_a_run_waits_for_a_blow_that_is_under_way(tmp_path: Path) -> None:
    """Otherwise a node could be killed after everything was made whole."""
    done = tmp_path / "done"

    async def run() -> None:
        began = asyncio.Event()
        loop = asyncio.get_running_loop()
        go_on = threading.Event()

        def blow() -> None:
            loop.call_soon_threadsafe(began.set)
            go_on.wait(30)
            done.touch()

        task = asyncio.ensure_future(module._to_the_end(blow))
        await asyncio.wait_for(began.wait(), 10)
        task.cancel()
        loop.call_later(0.05, go_on.set)
        with pytest.raises(asyncio.CancelledError):
            await task
        assert done.exists()

    asyncio.run(run())


class FakeGateway(Client):
    """Has a call under way from the n-th look on."""

    def __init__(self, from_look: int) -> None:
        super().__init__("http://127.0.0.1:9")
        self.looks = 0
        self.from_look = from_look

    def kill(self, function: str, instance: str | None = None, *, busy: bool = False) -> dict[str, Any]:
        assert instance is None
        self.looks += 1
        under_way = self.looks >= self.from_look
        if busy and not under_way:
            raise LocalfaasError("no call under way")
        return {"instance": f"{function}-1", "in_flight": int(under_way)}


def test_a_replica_is_killed_in_the_middle_of_a_call() -> None:
    assert kill_in_a_call(FakeGateway(from_look=3), "mme-uplink-nas")["in_flight"] == 1


def test_a_function_that_is_never_called_loses_a_replica_all_the_same() -> None:
    assert kill_in_a_call(FakeGateway(from_look=10**9), "mme-timer", within_s=0.1)["in_flight"] == 0
