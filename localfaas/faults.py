"""A seeded fault plan: what happens to calls and callbacks on their way.

File (JSON or YAML): {"seed": 7, "call": {...}, "callback": {...}, "sync": {...}}, each section with any of
  lose       share that gets lost. call: 202 was given, nothing runs. callback: the function ran, nobody hears of it.
             sync: 502; by turns of the dice before or after the function ran.
  duplicate  share that happens twice
  delay      share that is delayed by delay_ms, [least, most] or one number, default [50, 500]
  reorder    share that waits until the next one of its section has passed, reorder_ms at most (200); not in sync
One message gets one fault at most, so the shares of a section add up to 1 or less.
"""

import asyncio
import contextlib
import random
from collections.abc import Mapping
from dataclasses import dataclass, field
from enum import Enum
from pathlib import Path
from typing import Any

import yaml

from localfaas.errors import LocalfaasError


class Fault(Enum):
    """What is done to one message."""

    NONE = "none"
    LOSE = "lose"
    DUPLICATE = "duplicate"
    DELAY = "delay"
    REORDER = "reorder"


@dataclass(frozen=True, slots=True)
class Shares:
    """Fault shares of one section, each 0..1."""

    lose: float = 0.0
    duplicate: float = 0.0
    delay: float = 0.0
    reorder: float = 0.0
    delay_ms: tuple[float, float] = (50.0, 500.0)
    reorder_ms: float = 200.0

    def draw(self, rng: random.Random) -> Fault:
        """Pick the fault of the next message: one number of the generator, whatever the shares are."""
        point = rng.random()
        for fault, share in (
            (Fault.LOSE, self.lose),
            (Fault.DUPLICATE, self.duplicate),
            (Fault.DELAY, self.delay),
            (Fault.REORDER, self.reorder),
        ):
            if point < share:
                return fault
            point -= share
        return Fault.NONE


@dataclass(frozen=True, slots=True)
class FaultPlan:
    """Shares by section and the seed that makes a run repeatable, for the same order of messages."""

    seed: int = 0
    call: Shares = field(default_factory=Shares)
    callback: Shares = field(default_factory=Shares)
    sync: Shares = field(default_factory=Shares)


def _shares(section: str, raw: Any) -> Shares:
    if not isinstance(raw, Mapping):
        raise LocalfaasError(f"fault plan: {section} must be a map of shares, e.g. {{lose: 0.01}}")
    known = {"lose", "duplicate", "delay", "delay_ms"} | (set() if section == "sync" else {"reorder", "reorder_ms"})
    if unknown := sorted(str(key) for key in raw.keys() - known):
        raise LocalfaasError(f"fault plan: {section} has no {', '.join(unknown)}; it knows {', '.join(sorted(known))}")
    try:
        share = {name: float(raw.get(name, 0.0)) for name in ("lose", "duplicate", "delay", "reorder")}
        delay = raw.get("delay_ms", (50.0, 500.0))
        low, high = (delay, delay) if isinstance(delay, int | float) else delay
        shares = Shares(**share, delay_ms=(float(low), float(high)), reorder_ms=float(raw.get("reorder_ms", 200.0)))
    except (TypeError, ValueError) as e:
        raise LocalfaasError(f"fault plan: {section} holds something that is not a number: {e}") from e
    if min(share.values()) < 0 or sum(share.values()) > 1 + 1e-9:
        raise LocalfaasError(f"fault plan: shares of {section} must be 0 or more and add up to 1 or less")
    if not 0 <= shares.delay_ms[0] <= shares.delay_ms[1]:
        raise LocalfaasError(f"fault plan: delay_ms of {section} must be [least, most]")
    return shares


def parse(raw: Any) -> FaultPlan:
    """Check a plan that was read from a file.   Raises: LocalfaasError naming the section and key."""
    if not isinstance(raw, Mapping):
        raise LocalfaasError("fault plan: must be a map with seed, call, callback, sync")
    if unknown := sorted(str(key) for key in raw.keys() - {"seed", "call", "callback", "sync"}):
        raise LocalfaasError(f"fault plan: no section {', '.join(unknown)}; there are seed, call, callback, sync")
    try:
        seed = int(raw.get("seed", 0))
    except (TypeError, ValueError) as e:
        raise LocalfaasError("fault plan: seed must be a whole number") from e
    sections = {name: _shares(name, raw.get(name, {})) for name in ("call", "callback", "sync")}
    return FaultPlan(seed, **sections)


def load(path: Path) -> FaultPlan:
    """Read a plan from a JSON or YAML file.   Raises: LocalfaasError."""
    try:
        return parse(yaml.safe_load(path.read_text()))
    except OSError as e:
        raise LocalfaasError(f"fault plan {path}: {e.strerror}") from e
    except yaml.YAMLError as e:
        raise LocalfaasError(f"fault plan {path}: neither JSON nor YAML") from e


class FaultStream:
    """The faults of one section, in the order its messages come. counts: messages by fault so far."""

    def __init__(self, shares: Shares, seed: int, section: str) -> None:
        self._shares = shares
        # A string seed is hashed alike in every process, unlike hash() of one.
        self._rng = random.Random(f"{seed}/{section}")
        self._overtaken: list[asyncio.Event] = []
        self.counts = dict.fromkeys((fault.value for fault in Fault), 0)
        self.quiet = shares.lose + shares.duplicate + shares.delay + shares.reorder == 0

    def coin(self) -> bool:
        """Toss for what the plan leaves open."""
        return self._rng.random() < 0.5

    async def passes(self) -> int:
        """Wait as the plan says; how often the message then happens: 0, 1 or 2 times."""
        if self.quiet:
            return 1
        fault = self._shares.draw(self._rng)
        self.counts[fault.value] += 1
        if fault is Fault.REORDER:
            event = asyncio.Event()
            self._overtaken.append(event)
            with contextlib.suppress(TimeoutError):
                await asyncio.wait_for(event.wait(), self._shares.reorder_ms / 1000)
            if event in self._overtaken:
                self._overtaken.remove(event)
            return 1
        if fault is Fault.DELAY:
            await asyncio.sleep(self._rng.uniform(*self._shares.delay_ms) / 1000)
        return {Fault.LOSE: 0, Fault.DUPLICATE: 2}.get(fault, 1)

    def passed(self) -> None:
        """Tell that a message has gone by: those that wait to be overtaken follow now."""
        waiting, self._overtaken = self._overtaken, []
        for event in waiting:
            event.set()
