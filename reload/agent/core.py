"""What to do next: `decide(state, observation) -> (state, actions)`.  No clock, no process, no file in here.

One cycle: Changed, a pause in which changes settle, Look, Check on a staged copy, Take (the effective directory
changes), the policy's own step, a moment in which the daemon must not die, applied.  Whatever fails before Take leaves
everything as it was; whatever fails after it goes back to the last good configuration.  Between Take and Keep
(`placed` is not `applied`) the wrapper's daemon may die at any time: what is in place is proven by a start, or left.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from enum import Enum
from typing import Optional, Tuple, Union

RETRY_MS = 1000
MOST_SETTLING = 10  # times debounce_ms: a directory that never rests is read all the same


class Policy(Enum):
    """How the daemon takes a new configuration."""

    NONE = "none"
    SIGNAL = "signal"
    HTTP = "http"
    RESTART = "restart"


class Verdict(Enum):
    """What became of the last candidate."""

    STARTING = "starting"
    APPLIED = "applied"
    REJECTED = "rejected"  # the check refused it: nothing was changed
    FAILED = "failed"  # the check passed, the daemon did not take it: back on the last good one
    WAITING = "waiting"  # in place, but there is no daemon to tell


class Phase(Enum):
    """Where in the cycle."""

    WATCHING = "watching"
    SETTLING = "settling"
    READING = "reading"
    CHECKING = "checking"
    ACTING = "acting"
    ABSENT = "absent"
    STOPPING = "stopping"
    PROVING = "proving"


@dataclass(frozen=True)
class Plan:
    """What does not change.  wrapper: the daemon is our child.  prove_ms: how long it must live after a change."""

    policy: Policy
    wrapper: bool
    debounce_ms: int = 100
    grace_ms: int = 10_000
    prove_ms: int = 300


@dataclass(frozen=True)
class State:
    """applied: digest that the daemon runs with ("" = none yet).  placed: digest in the effective directory.

    candidate: digest last judged, verdict and reason: what became of it.  running: the daemon is our living child.
    due_ms: when the phase wants a Tick.  again: something changed while the cycle was busy.
    ending: a signal told us to end.  seen_ms, applied_ms: when the candidate was seen, and the last one applied.
    spared_until_ms: a daemon that ends before died of the candidate that was just gone back from.
    """

    plan: Plan
    phase: Phase = Phase.WATCHING
    applied: str = ""
    placed: str = ""
    candidate: str = ""
    verdict: Verdict = Verdict.STARTING
    reason: str = ""
    running: bool = False
    due_ms: Optional[int] = None
    settle_by_ms: int = 0
    again: bool = False
    ending: Optional[int] = None
    seen_ms: int = 0
    applied_ms: int = 0
    spared_until_ms: int = 0
    generation: int = 0


# Observations.  now_ms: any clock that only grows.


@dataclass(frozen=True)
class Started:
    """The agent runs.  good: digest of the effective directory, "" = it is empty."""

    now_ms: int
    good: str


@dataclass(frozen=True)
class Changed:
    """The watched directory may have changed."""

    now_ms: int


@dataclass(frozen=True)
class Tick:
    """Time has passed."""

    now_ms: int


@dataclass(frozen=True)
class Read:
    """The directory was read and staged.  fault: why it could not be."""

    now_ms: int
    digest: str
    fault: str = ""


@dataclass(frozen=True)
class Checked:
    """The staged candidate was checked.  fault: why it is bad, "" = it is good."""

    now_ms: int
    fault: str = ""


@dataclass(frozen=True)
class Acted:
    """The daemon was told, or looked for.  absent: there was none to tell."""

    now_ms: int
    fault: str = ""
    absent: bool = False


@dataclass(frozen=True)
class DaemonExited:
    """Our child is gone.  code: as a shell would say it, 128 + n for signal n."""

    now_ms: int
    code: int


@dataclass(frozen=True)
class Told:
    """A signal for the daemon, or for us.  ends: TERM, INT and QUIT."""

    now_ms: int
    number: int
    ends: bool


Observation = Union[Started, Changed, Tick, Read, Checked, Acted, DaemonExited, Told]


# Actions, done in their order.


@dataclass(frozen=True)
class Look:
    """Read and stage the directory; answer by Read."""


@dataclass(frozen=True)
class Check:
    """Check the staged candidate; answer by Checked."""


@dataclass(frozen=True)
class Take:
    """Make the staged candidate the effective directory."""


@dataclass(frozen=True)
class Keep:
    """What was taken is good: forget what was before it."""


@dataclass(frozen=True)
class GoBack:
    """Make the effective directory what it was at the last Keep."""


@dataclass(frozen=True)
class Tell:
    """Do the policy's step, signal or HTTP; answer by Acted."""


@dataclass(frozen=True)
class Find:
    """See whether the daemon told last still lives; answer by Acted."""


@dataclass(frozen=True)
class StartDaemon:
    """Start our child, when nothing is left of the one before."""


@dataclass(frozen=True)
class StopDaemon:
    """SIGTERM, or the daemon's own stop signal, to our child."""


@dataclass(frozen=True)
class KillDaemon:
    """SIGKILL to our child and its own children: its grace is over."""


@dataclass(frozen=True)
class Forward:
    """This signal to our child."""

    number: int


@dataclass(frozen=True)
class Report:
    """Say it: log, event, metrics."""

    verdict: Verdict
    digest: str
    reason: str


@dataclass(frozen=True)
class Exit:
    """End with this code."""

    code: int


Action = Union[Look, Check, Take, Keep, GoBack, Tell, Find, StartDaemon, StopDaemon, KillDaemon, Forward, Report, Exit]
Actions = Tuple[Action, ...]
Step = Tuple[State, Actions]


def decide(state: State, seen: Observation) -> Step:
    """The next state, and what to do.  An observation that the phase does not wait for changes nothing."""
    if isinstance(seen, Told):
        return _told(state, seen)
    if isinstance(seen, DaemonExited):
        return _exited(replace(state, running=False), seen)
    if state.ending is not None:
        return (replace(state, due_ms=None), (KillDaemon(),)) if _is_due(state, seen, Phase.STOPPING) else (state, ())
    if isinstance(seen, Started):
        return replace(state, phase=Phase.READING, applied=seen.good, placed=seen.good), (Look(),)
    if isinstance(seen, Changed):
        return _changed(state, seen.now_ms)
    if isinstance(seen, Read) and state.phase is Phase.READING:
        return _read(state, seen)
    if isinstance(seen, Checked) and state.phase is Phase.CHECKING:
        return _checked(state, seen)
    if isinstance(seen, Acted) and (state.phase is Phase.ACTING or _is_finding(state)):
        return _acted(state, seen)
    if isinstance(seen, Tick):
        return _tick(state, seen.now_ms)
    return state, ()


def _is_finding(state: State) -> bool:
    """Whether an answer to Find is waited for: the wrapper has none to ask, it is told of its child's end."""
    return state.phase is Phase.PROVING and not state.plan.wrapper


def _is_due(state: State, seen: Observation, phase: Phase) -> bool:
    return isinstance(seen, Tick) and state.phase is phase and state.due_ms is not None and seen.now_ms >= state.due_ms


def _changed(state: State, now_ms: int) -> Step:
    if state.phase is Phase.SETTLING:
        return replace(state, due_ms=min(now_ms + state.plan.debounce_ms, state.settle_by_ms)), ()
    if state.phase in (Phase.WATCHING, Phase.ABSENT):
        return _settling(state, now_ms), ()
    return replace(state, again=True), ()


def _settling(state: State, now_ms: int) -> State:
    pause = state.plan.debounce_ms
    return replace(
        state,
        phase=Phase.SETTLING,
        again=False,
        due_ms=now_ms + pause,
        settle_by_ms=now_ms + pause * MOST_SETTLING,
    )


def _tick(state: State, now_ms: int) -> Step:
    if state.due_ms is None or now_ms < state.due_ms:
        return state, ()
    state = replace(state, due_ms=None)
    if state.phase is Phase.SETTLING:
        return replace(state, phase=Phase.READING), (Look(),)
    if state.phase is Phase.ABSENT:
        return replace(state, phase=Phase.ACTING), (Tell(),)
    if state.phase is Phase.STOPPING:
        return state, (KillDaemon(),)
    if state.phase is Phase.PROVING:
        return _applied(state, now_ms) if state.plan.wrapper else (state, (Find(),))
    return state, ()


def _read(state: State, seen: Read) -> Step:
    if seen.fault:
        return _refused(replace(state, candidate=""), seen.now_ms, seen.fault)
    if seen.digest == state.candidate and state.verdict in (Verdict.REJECTED, Verdict.FAILED):
        return _over(state, seen.now_ms), ()
    repeated = seen.digest == state.candidate and state.verdict is Verdict.WAITING
    state = replace(state, candidate=seen.digest, seen_ms=state.seen_ms if repeated else seen.now_ms)
    if seen.digest == state.applied == state.placed:
        start: Actions = () if state.running or not state.plan.wrapper else (StartDaemon(),)
        if state.verdict is Verdict.APPLIED:
            return _over(state, seen.now_ms), start
        after, reports = _applied(replace(state, running=state.running or bool(start)), seen.now_ms)
        return after, start + reports
    return replace(state, phase=Phase.CHECKING), (Check(),)


def _refused(state: State, now_ms: int, why: str) -> Step:
    """The candidate is bad: nothing changes, and a daemon that does not run yet starts with the last good one."""
    start = state.plan.wrapper and not state.running and bool(state.placed)
    # One that waits for a daemon is not wanted any more, and nobody would tell of it.
    back: Actions = (GoBack(),) if state.placed != state.applied else ()
    state = replace(state, placed=state.applied, verdict=Verdict.REJECTED, reason=why, running=state.running or start)
    report = Report(Verdict.REJECTED, state.candidate, why)
    return _over(state, now_ms), ((StartDaemon(), report) if start else (*back, report))


def _checked(state: State, seen: Checked) -> Step:
    if seen.fault:
        return _refused(state, seen.now_ms, seen.fault)
    first = not state.placed
    state = replace(state, placed=state.candidate, reason="")
    if state.plan.wrapper and not state.running and not first:
        # A last good one is there, so that a daemon which dies of this one need not take the container along.
        due_ms = seen.now_ms + state.plan.prove_ms
        return replace(state, running=True, phase=Phase.PROVING, due_ms=due_ms), (Take(), StartDaemon())
    if state.plan.wrapper and not state.running:
        after, reports = _applied(replace(state, running=True), seen.now_ms)
        return after, (Take(), StartDaemon(), *reports)
    if first or state.plan.policy is Policy.NONE:
        after, reports = _applied(state, seen.now_ms)
        return after, (Take(), *reports)
    if state.plan.policy is Policy.RESTART:
        due_ms = seen.now_ms + state.plan.grace_ms
        return replace(state, phase=Phase.STOPPING, due_ms=due_ms), (Take(), StopDaemon())
    return replace(state, phase=Phase.ACTING), (Take(), Tell())


def _acted(state: State, seen: Acted) -> Step:
    if seen.absent and state.phase is Phase.ACTING:
        # It will start with what is in place, so going back would only keep a daemon that cannot start from its cure.
        news = state.verdict is not Verdict.WAITING or state.reason != seen.fault
        state = replace(state, verdict=Verdict.WAITING, reason=seen.fault, phase=Phase.ABSENT)
        report = (Report(Verdict.WAITING, state.candidate, seen.fault),) if news else ()
        state = replace(state, due_ms=seen.now_ms + RETRY_MS)
        return (_settling(state, seen.now_ms) if state.again else state), report
    if seen.fault:
        # A lost answer is often the first sign of a daemon that is dying.
        return _failed(replace(state, spared_until_ms=seen.now_ms + state.plan.prove_ms), seen.now_ms, seen.fault)
    if state.phase is Phase.ACTING and (state.plan.wrapper or state.plan.policy is Policy.SIGNAL):
        return replace(state, phase=Phase.PROVING, due_ms=seen.now_ms + state.plan.prove_ms), ()
    return _applied(state, seen.now_ms)


def _applied(state: State, now_ms: int) -> Step:
    state = replace(
        state,
        applied=state.placed,
        verdict=Verdict.APPLIED,
        reason="",
        applied_ms=now_ms,
        generation=state.generation + 1,
    )
    return _over(state, now_ms), (Keep(), Report(Verdict.APPLIED, state.applied, ""))


def _failed(state: State, now_ms: int, why: str) -> Step:
    state = replace(state, placed=state.applied, verdict=Verdict.FAILED, reason=why)
    return _over(state, now_ms), (GoBack(), Report(Verdict.FAILED, state.candidate, why))


def _over(state: State, now_ms: int) -> State:
    """The cycle is over; what came in meanwhile begins the next one."""
    state = replace(state, phase=Phase.WATCHING, due_ms=None)
    return _settling(state, now_ms) if state.again else state


def _exited(state: State, seen: DaemonExited) -> Step:
    spared_until_ms, state = state.spared_until_ms, replace(state, spared_until_ms=0)
    if state.ending is not None:
        return state, (Exit(seen.code),)
    if state.phase in (Phase.STOPPING, Phase.ABSENT):
        # Nobody has told it of what is in place: the start shows whether that is good.
        due_ms = seen.now_ms + state.plan.prove_ms
        return replace(state, running=True, phase=Phase.PROVING, due_ms=due_ms), (StartDaemon(),)
    if state.phase in (Phase.ACTING, Phase.PROVING):
        within = f"within {state.plan.prove_ms} ms of taking it" if state.phase is Phase.PROVING else "when it was told"
        why = f"the daemon ended with code {seen.code} {within}"
        after, actions = _failed(replace(state, running=True), seen.now_ms, why)
        return after, (actions[0], StartDaemon(), *actions[1:])
    if state.placed != state.applied:
        # A newer candidate is on its way to replace what was waiting to be told.
        return replace(state, running=True, placed=state.applied), (GoBack(), StartDaemon())
    if seen.now_ms < spared_until_ms:
        return replace(state, running=True), (StartDaemon(),)
    return state, (Exit(seen.code),)


def _told(state: State, seen: Told) -> Step:
    if not seen.ends:
        return state, ((Forward(seen.number),) if state.running else ())
    state = replace(state, ending=seen.number)
    if state.running:
        return state, (Forward(seen.number),)
    return state, (Exit(128 + seen.number if state.plan.wrapper else 0),)
