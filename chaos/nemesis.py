"""The nemesis: strikes by a seed.  Each lane strikes, waits until its victim serves again, rests, and strikes anew.

Whom it strikes, in what order, and for how long a victim stays down or a lane rests comes from the seed alone; when a
strike falls also depends on how long the victim before took to come back.
"""

from __future__ import annotations

import asyncio
import time
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from random import Random
from typing import Any, Protocol, TypeVar

from cassandra_lab import node
from cassandra_lab.cluster import Cluster
from chaos.history import Injected
from chaos.recorder import Recorder
from localfaas.client import Client
from localfaas.errors import LocalfaasError
from mme import routing

STRUCK = (routing.INITIAL_UE, routing.UPLINK_NAS, routing.UE_CONTEXT, routing.TIMER)
_SHARES = (3, 3, 3, 1)
PAUSE, KILL = "pause", "kill"
CALL_WITHIN_S, LOOK_EACH_S = 5.0, 0.02
T = TypeVar("T")


@dataclass(frozen=True, slots=True)
class Strike:
    """rest_s: before it.  down_s: for how long the victim stays down; 0 = it comes back by itself."""

    rest_s: float
    whom: str
    how: str
    down_s: float


def node_strikes(seed: int, nodes: Sequence[str], minutes: float) -> Iterator[Strike]:
    """Without end.  Short runs rest less, so that they too see a node go and come back."""
    random = Random(f"{seed}/nodes")
    scale = min(1.0, minutes / 5)
    while True:
        yield Strike(random.uniform(20, 50) * scale, random.choice(nodes), KILL, random.uniform(8, 25) * scale)


def replica_strikes(seed: int) -> Iterator[Strike]:
    """Without end."""
    random = Random(f"{seed}/replicas")
    while True:
        yield Strike(random.uniform(10, 30), random.choices(STRUCK, _SHARES)[0], KILL, 0.0)


def ticker_strikes(seed: int) -> Iterator[Strike]:
    """Without end: it is paused, or killed and started again, for longer and shorter than its lease is."""
    random = Random(f"{seed}/ticker")
    while True:
        yield Strike(random.uniform(15, 40), "ticker", random.choice((PAUSE, KILL)), random.uniform(3, 20))


class Ticker(Protocol):
    """What of a ticker's process is needed; all by its pid."""

    def start(self) -> None: ...

    def kill(self) -> None: ...

    def pause(self) -> None: ...

    def resume(self) -> None: ...


class Nemesis:
    """Runs its lanes until it is cancelled; then everything it has struck comes back."""

    def __init__(self, recorder: Recorder, seed: int, minutes: float) -> None:
        self._recorder = recorder
        self._seed = seed
        self._minutes = minutes

    def _tell(self, what: str, whom: str, hit: int = 0) -> None:
        self._recorder.write(Injected(self._recorder.now(), what=what, whom=whom, hit=hit))

    async def nodes(self, cluster: Cluster) -> None:
        """Kill a Cassandra node by its pid and start it again, one at a time."""
        by_name = {f"node {one.number}": one for one in cluster.nodes}
        for strike in node_strikes(self._seed, list(by_name), self._minutes):
            await asyncio.sleep(strike.rest_s)
            one = by_name[strike.whom]
            self._tell("node killed", strike.whom)
            await _to_the_end(node.kill, one)
            try:
                await asyncio.sleep(strike.down_s)
            finally:
                await _to_the_end(node.start, one, cluster.cache)
            await _to_the_end(node.wait_ready, one)
            self._tell("node serves again", strike.whom)

    async def replicas(self, gateway: Client) -> None:
        """Kill function replicas in the middle of a call; the gateway starts them again."""
        for strike in replica_strikes(self._seed):
            await asyncio.sleep(strike.rest_s)
            try:
                killed = await _to_the_end(kill_in_a_call, gateway, strike.whom)
            except LocalfaasError:
                continue  # the one before has not come back yet
            self._tell("replica killed", strike.whom, int(killed["in_flight"]))

    async def ticker(self, ticker: Ticker) -> None:
        """Stop the ticker and let it go on, or kill it and start another."""
        for strike in ticker_strikes(self._seed):
            await asyncio.sleep(strike.rest_s)
            paused = strike.how == PAUSE
            self._tell("ticker paused" if paused else "ticker killed", strike.whom)
            (ticker.pause if paused else ticker.kill)()
            try:
                await asyncio.sleep(strike.down_s)
            finally:
                (ticker.resume if paused else ticker.start)()
                self._tell("ticker goes on" if paused else "ticker started", strike.whom)


def kill_in_a_call(gateway: Client, function: str, within_s: float = CALL_WITHIN_S) -> dict[str, Any]:
    """Kill a replica as soon as one has a call under way; any replica, when none has had one within_s."""
    deadline = time.monotonic() + within_s
    while time.monotonic() < deadline:
        try:
            return gateway.kill(function, busy=True)
        except LocalfaasError:
            time.sleep(LOOK_EACH_S)
    return gateway.kill(function)


async def _to_the_end(act: Callable[..., T], *arguments: object) -> T:
    """In a thread, and not left halfway by a cancellation."""
    task = asyncio.ensure_future(asyncio.to_thread(act, *arguments))
    try:
        return await asyncio.shield(task)
    except asyncio.CancelledError:
        await asyncio.wait((task,))
        raise
