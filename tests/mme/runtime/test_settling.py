"""A timer's row is there before its context: slow, killed and stopped functions, and a database that finishes later.

"No context left in a procedure without a timer" (issue 5), whenever the write of the context takes effect.
"""

from __future__ import annotations

from dataclasses import replace

import pytest

from mme.codec.envelope import Item, Timer
from mme.config import MmeConfig
from mme.context import Remembered, RunningTimer, UeContext
from mme.enums import EmmState, TimerName
from mme.messages import DownlinkNasTransport
from mme.needs import SESSION_NEED, Answer, Need, NeedSession, NeedVector, Pending
from mme.settling import FRESH_S, LATE_S, SETTLED_S, Verdict, judged, settled_ms, too_late_ms
from mme.store.base import RESOLVE_TRIES, Table, TimerRow
from mme.store.cassandra_policies import CLIENT_TIMEOUT_S
from mme.store.faulty import Applied, FaultUnavailable, FaultUnknown, Pass, on_load, on_save
from tests.mme.runtime.pair import IMSI, Exchange, Network, Talk
from tests.mme.runtime.test_attach import assert_registered

UE = Table.UE_CONTEXT
CONFIG = MmeConfig()
LEFT_OPEN = FaultUnknown(Applied.AT_SERIAL)


def dies_in_its_write(network: Network) -> None:
    """Its next write of a context is left open, and it is not there any more to look what became of it."""
    network.faults.plan = on_save(LEFT_OPEN, table=UE) + on_load(Pass(), FaultUnavailable(), table=UE)


def writes_slowly(network: Network, seconds: float) -> None:
    """So long passes, with the ticker at work, between the next write's beginning and the moment it takes effect."""
    network.between.act = (UE, lambda: network.wait(seconds))


def challenges(talk: Talk) -> int:
    return [type(m) for m in talk.messages()].count(DownlinkNasTransport)


def runs_out(network: Network, talk: Talk) -> None:
    """T3460 and its retransmissions; nobody answers (TS 24.301 10.2.2: 5 times 6 s)."""
    for _ in range(40):
        network.wait(1)
        talk.queue.clear()
    ctx = network.context(talk)
    assert (ctx.emm, ctx.timers) == (EmmState.DEREGISTERED, {})


def test_a_write_that_its_function_left_open_is_completed_and_its_timer_fires(network: Network) -> None:
    talk = network.ue(network.subscribe())
    dies_in_its_write(network)
    assert talk.post().reply.result == "retry"
    assert network.context_of(talk) is None
    network.wait(6.5)
    assert network.context(talk).emm is EmmState.COMMON_PROCEDURE_INITIATED
    runs_out(network, talk)


def test_a_known_context_is_no_proof_that_a_timer_was_stopped(network: Network) -> None:
    """The network's detach of a UE that is there: the row of T3422 is written, the context is as it was before."""
    talk = network.ue(network.subscribe())
    talk.run()
    assert_registered(network, talk)
    dies_in_its_write(network)
    item = Item(id="operator/detach/1", command={"action": "detach", "imsi": IMSI})
    assert network.send("mme-downlink", item).reply.result == "retry"
    assert TimerName.T3422.value not in network.context(talk).timers
    network.wait(6.5)
    assert network.context(talk).timers[TimerName.T3422.value].expiries == 1
    runs_out(network, talk)


@pytest.mark.parametrize("seconds", [8, 20, SETTLED_S - FRESH_S - 1])
def test_a_timer_that_was_due_before_its_context_was_there_fires(network: Network, seconds: float) -> None:
    talk = network.ue(network.subscribe())
    writes_slowly(network, seconds)
    talk.step()
    talk.queue.clear()
    assert network.context(talk).timers[TimerName.T3460.value].due_ms < network.clock.now_s * 1000
    network.wait(SETTLED_S)
    talk.queue.clear()
    runs_out(network, talk)


def test_a_function_asked_too_early_says_so_and_completes_the_write(network: Network) -> None:
    """As a ticker of an older program does: it has read no context, or one of a newer schema."""
    talk = network.ue(network.subscribe())
    dies_in_its_write(network)
    assert talk.post().reply.result == "retry"
    [row] = [row for row in rows(network) if row.name == "T3460"]
    network.clock.now_s += 6.1
    network.faults.plan = on_load(Pass(), FaultUnavailable(), table=UE)
    assert fire(network, row, 1) == "retry"
    assert network.context_of(talk) is None
    assert fire(network, row, 2) == "done"
    assert network.context(talk).timers["T3460"].expiries == 1


def test_a_row_that_nobody_ever_knows_is_open_and_then_stale(network: Network) -> None:
    due_ms = int(network.clock.now_s * 1000)
    row = TimerRow(1, due_ms, "T3460", "00101-0019b/ue9/1", "17")
    assert fire(network, row, 1) == "retry"
    network.clock.now_s = due_ms / 1000 + SETTLED_S - 0.5
    assert fire(network, row, 2) == "retry"
    network.clock.now_s += 1
    assert fire(network, row, 3) == "stale"


class Slow:
    """A port that answers the first need of that kind after so many seconds, in which the ticker is at work."""

    def __init__(self, network: Network, kind: type[Need], seconds: float) -> None:
        self.network, self.kind, self.seconds = network, kind, seconds
        self.port = network.hss.port

    def ask(self, need: Need) -> Answer | Pending:
        answer = self.port.ask(need)
        if isinstance(need, self.kind) and self.seconds:
            seconds, self.seconds = self.seconds, 0.0
            self.network.wait(seconds)
        return answer


@pytest.mark.parametrize("seconds", [FRESH_S + 5, 6 + LATE_S + 2])
def test_an_item_that_was_too_slow_for_its_timers_rows_begins_anew(network: Network, seconds: float) -> None:
    """The second of its first row has been read for the last time when it is written."""
    network.hss.port = Slow(network, NeedVector, seconds)
    talk = network.ue(network.subscribe())
    begun_s = network.clock.now_s
    talk.step()
    talk.queue.clear()
    due_ms = network.context(talk).timers["T3460"].due_ms
    assert due_ms / 1000 == pytest.approx(begun_s + seconds + CONFIG.t3460_s, abs=0.1)
    assert challenges(talk) == 1
    runs_out(network, talk)


def test_an_item_that_is_always_too_slow_says_retry(network: Network) -> None:
    class Ever(Slow):
        def ask(self, need: Need) -> Answer | Pending:
            self.seconds = FRESH_S + 1.0
            return super().ask(need)

    network.hss.port, port = Ever(network, NeedVector, 1), network.hss.port
    talk = network.ue(network.subscribe())
    exchange = talk.post()
    assert exchange.reply.result == "retry"
    assert network.contexts() == []
    network.hss.port = port
    talk.take(network.again(exchange))
    talk.run()
    assert_registered(network, talk)


class Overtaken:
    """A port that has a copy of the item worked off while the item waits for it, at a time so much later."""

    def __init__(self, network: Network, talk: Talk, later_s: float) -> None:
        self.network, self.talk, self.later_s = network, talk, later_s
        self.port, self.octets = network.hss.port, talk.queue[0].octets
        self.copy: Exchange | None = None
        self.is_asked = False

    def ask(self, need: Need) -> Answer | Pending:
        answer = self.port.ask(need)
        if isinstance(need, NeedVector) and not self.is_asked:
            self.is_asked = True
            self.network.clock.now_s += self.later_s
            self.copy = self.network.s1ap(self.octets, run=self.talk.run_name, number=1, enb=self.talk.enb)
            self.network.clock.now_s -= self.later_s
        return answer


@pytest.mark.parametrize("later_s", [-0.3, 0.3, 1.5])
def test_a_copy_that_lost_does_not_hide_the_timer_of_the_one_that_won(network: Network, later_s: float) -> None:
    """Both write a row of the same name and token, within a second the same row, with two times."""
    network.clock.now_s = int(network.clock.now_s) + 0.5
    talk = network.ue(network.subscribe())
    port = network.hss.port = Overtaken(network, talk, later_s)
    exchange = talk.post()
    assert port.copy is not None
    assert exchange.item.id == port.copy.item.id
    assert exchange.reply.downlink == port.copy.reply.downlink
    due_ms = network.context(talk).timers["T3460"].due_ms
    assert due_ms == pytest.approx((network.clock.now_s + later_s + CONFIG.t3460_s) * 1000, abs=10)
    network.wait(due_ms / 1000 - network.clock.now_s - CONFIG.clock_bound_ms / 1000 - 0.05, step_s=0.05)
    assert network.context(talk).timers["T3460"].expiries == 0
    runs_out(network, talk)


def test_a_session_whose_context_is_written_after_its_guard_is_kept(network: Network) -> None:
    """Its address given back, another UE would get it: an item's write may be under way longer than the guard runs."""
    talk = network.ue(network.subscribe())
    talk.until("Security Mode Complete")
    network.between.act = (UE, lambda: quietly(network, CONFIG.unused_session_s + 5))
    talk.step()
    address = network.sessions()
    assert len(address) == 1
    talk.run()
    assert_registered(network, talk)
    network.wait(2 * SETTLED_S)
    assert network.sessions() == address


def test_a_session_whose_context_was_left_open_is_kept(network: Network) -> None:
    talk = network.ue(network.subscribe())
    talk.until("Security Mode Complete")
    network.faults.plan = on_save(LEFT_OPEN, table=UE) + on_load(Pass(), FaultUnavailable(), table=UE)
    exchange = talk.post()
    assert exchange.reply.result == "retry"
    [row] = [row for row in rows(network) if row.name == TimerName.UNUSED_SESSION.value]
    network.clock.now_s += CONFIG.unused_session_s + 0.1
    assert fire(network, row, 1) == "stale"
    ctx = network.context(talk)
    assert ctx.uses_session(row.token)
    assert len(network.sessions()) == 1


def test_a_need_for_a_session_has_the_id_of_its_item_in_front(network: Network) -> None:
    talk = network.ue(network.subscribe())
    talk.run()
    [need] = [need for need in network.gateway.asked if isinstance(need, NeedSession)]
    assert need.id.removesuffix(SESSION_NEED) in {e.item.id for e in network.exchanges}


def quietly(network: Network, seconds: float) -> None:
    """Only the session's guard fires meanwhile, and its context is as it was."""
    network.clock.now_s += seconds
    for row in rows(network):
        if row.name == TimerName.UNUSED_SESSION.value:
            fire(network, row, 7)


def rows(network: Network) -> list[TimerRow]:
    """All timers that have a row, due within two minutes."""
    now_s = int(network.clock.now_s)
    return [
        row for shard in range(16) for s in range(now_s - 60, now_s + 60) for row in network.store.due_timers(shard, s)
    ]


def fire(network: Network, row: TimerRow, number: int) -> str:
    item = Item(id=f"a/fired/{row.name}-{number}", timer=Timer(int(row.owner), row.name, row.token, row.due_ms))
    return network.send("mme-timer", item).reply.result


# ------------------------------------------------------------------ the rule itself

ROW = TimerRow(1, 1_000_000, "T3460", "e/ue1/1", "17")
SETTLED = settled_ms(ROW, CONFIG)
CTX = UeContext(17)
LATER = Remembered("e/ue1/9", b"", SETTLED)

CASES: dict[str, tuple[UeContext | None, Verdict]] = {
    "no context": (None, Verdict.OPEN),
    "an item of which it knows nothing": (CTX, Verdict.OPEN),
    "it runs": (replace(CTX, timers={"T3460": RunningTimer("e/ue1/1", 1_000_000)}), Verdict.FIRE),
    "it runs to another time": (replace(CTX, timers={"T3460": RunningTimer("e/ue1/1", 1_000_007)}), Verdict.FIRE),
    "another one runs": (replace(CTX, timers={"T3460": RunningTimer("e/ue1/2", 1_000_000)}), Verdict.OPEN),
    "its item was worked off": (replace(CTX, recent=(Remembered("e/ue1/1", b"", 0),)), Verdict.OVER),
    "an item was worked off that began long after": (replace(CTX, recent=(LATER,)), Verdict.OVER),
    "an item was worked off that began soon after": (
        replace(CTX, recent=(replace(LATER, at_ms=SETTLED - 1),)),
        Verdict.OPEN,
    ),
}


@pytest.mark.parametrize("case", CASES)
def test_what_a_context_shows_of_a_timer(case: str) -> None:
    ctx, verdict = CASES[case]
    assert judged(ctx, ROW, SETTLED) is verdict


@pytest.mark.parametrize(
    ("name", "length_s"),
    [
        (TimerName.T3460, 0),
        (TimerName.OUTBOX, 0),
        (TimerName.MOBILE_REACHABLE, CONFIG.t3412_s),
        (TimerName.IMPLICIT_DETACH, CONFIG.implicit_detach_s),
        (TimerName.UNUSED_SESSION, CONFIG.unused_session_s),
    ],
)
def test_settled_counts_from_the_items_beginning_where_that_is_known(name: TimerName, length_s: float) -> None:
    row = TimerRow(1, 10_000_000, name.value, "e/ue1/1", "17")
    assert settled_ms(row, CONFIG) == 10_000_000 - length_s * 1000 + SETTLED_S * 1000


def test_an_item_is_too_late_for_the_first_of_its_own_timers() -> None:
    """A row is found until its second is read for the last time; a second and two clocks' errors are to spare."""
    timers = {"outbox": RunningTimer("e/1", 2000), "T3460": RunningTimer("e/1", 6000), "need": RunningTimer("e/0", 1)}
    assert too_late_ms(0, "e/1", replace(CTX, timers=timers)) == 2000 + (LATE_S - 2) * 1000
    assert too_late_ms(500, "e/1", replace(CTX, timers={})) == 500 + FRESH_S * 1000


def test_all_that_a_write_may_take_is_over_when_it_counts_as_settled() -> None:
    """FRESH_S; every try of `save_resolved` with the read before it and after a conflict; and 5 s in a node's hand.

    A node refuses a request by itself after cas_contention_timeout and write_request_timeout (1.8 and 2 s).
    """
    longest_s = (1 + 2 * RESOLVE_TRIES + 1) * CLIENT_TIMEOUT_S
    assert FRESH_S + longest_s + 5 <= SETTLED_S
