"""Fires due timers: reads (shard, second) partitions, calls `mme-timer` in batches, judges each timer by its own reply.

Any number of tickers divide the shards by leases (mme.lease): each shard is one's at a time, and another's as soon
as its lease has run out.  What a paused one still sends then is answered `stale`, for each timer has a token.

Rows are never deleted: one whose timer was stopped is dropped by a read of its context, and one whose context may only
not be there yet is looked at again (mme.settling).  A ticker that takes over a shard reads on from its lease's mark, as
far back as rows live beyond their time (timer_outage_s and the time that ids are remembered): what is recent at once,
what is before that a step at a time (mme.timer_shard).  So it fires from its first second on, however slow the store is
and however soon it is killed.
"""

from __future__ import annotations

import argparse
import contextlib
import os
import signal
import sys
import threading
import time
from collections.abc import Callable, Iterable, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field

import msgspec
import requests

from mme import config, logs, metrics, overload_guard
from mme.backups import LastBackup
from mme.codec import envelope
from mme.codec.envelope import Item, Request, Timer
from mme.enums import ItemResult
from mme.errors import ClockOffError, ConfigError, NewerRowError, StoreError, StoreNotMigratedError
from mme.lease_holder import LENGTH_S, LeaseHolder
from mme.overload import Limits
from mme.overload_guard import OverloadGuard
from mme.routing import DOWNLINK, TIMER
from mme.rows import ue_context
from mme.settling import Verdict, judged, read_and_judged, settled_ms
from mme.store.base import Store, Table, TimerRow
from mme.store.opening import open_store
from mme.timer_shard import RECENT_S, STEP_S, Pending, Shard
from mme.work import TIMER_SHARDS
from trust import signing
from trust.access import TICKER
from trust.lines import log_in_lines
from trust.probes import UNREADY_AFTER_S, Readiness, serve
from trust.secrets import SIGNING_KEY, read_secret
from trust.signing import Signed, Way

LOOK_BACK_S = 240
CATCH_UP_S = 60
"""Seconds of a shard's past that a tick reads at most."""
PART_LIMIT_S = 2.0
"""So long a tick reads the past, or judges and fires, at most: what has become due meanwhile does not wait for it."""
TROUBLE_LIMIT_S = 2.0
"""After so long spent on what could not be read a part of a tick tries no more: each try may last until a timeout."""
BATCH = 50
TRIES = 8
"""After so many without an answer somebody is to look at it; it is tried every minute for as long as its row lives."""
TICK_S = 0.25
SHARD_LEASES = {f"timer-{number}": number for number in range(TIMER_SHARDS)}
_SAY_AGAIN_S = 30.0

Fire = Callable[[list[Item]], dict[str, str]]
"""Items to `mme-timer`; out: result by item id, without those that got no answer."""
Shards = Callable[[], Mapping[int, int]]
"""This ticker's shards of now: number to the first second to be read.  May raise ClockOffError and StoreError."""


def all_shards() -> Mapping[int, int]:
    """Where there is one ticker only."""
    return dict.fromkeys(range(TIMER_SHARDS), 0)


_Due = tuple[int, str, Pending]
"""Number of the shard, item id, and the timer."""


@dataclass(slots=True)
class Trouble:
    """What could not be read in a tick: borne, so that others are served all the same, and told at the end."""

    clock: Callable[[], float]
    first: StoreError | None = None
    _begin_s: float = 0.0
    _spent_s: float = 0.0

    def __enter__(self) -> None:
        """Bear what the store does not answer."""
        self._begin_s = self.clock()

    def __exit__(self, _kind: object, error: BaseException | None, _trace: object) -> bool:
        if not isinstance(error, StoreError):
            return False
        self.first = self.first or error
        self._spent_s += self.clock() - self._begin_s
        return True

    def is_enough(self) -> bool:
        """Nothing more is to be tried in this part of the tick."""
        return self._spent_s >= TROUBLE_LIMIT_S

    def in_part(self) -> Trouble:
        """Another part of the tick begins, which has its own time to lose."""
        self._spent_s = 0.0
        return self

    def tell(self) -> None:
        """Raise what was borne first."""
        if self.first is not None:
            raise self.first


@dataclass(slots=True)
class Ticker:
    """store: where the rows are.  fire: carries items to the function.  clock: Unix seconds.  shards: this ticker's.

    look_back_s: how long rows live beyond their time.  settings: those of the functions, for how long timers run.
    """

    store: Store
    fire: Fire
    clock: Callable[[], float] = time.time
    shards: Shards = all_shards
    look_back_s: int = LOOK_BACK_S
    settings: config.MmeConfig = field(default_factory=config.MmeConfig)
    dead: int = 0
    _turn: int = 0
    _shards: dict[int, Shard] = field(default_factory=dict)

    def tick(self) -> int:
        """Read what has become due, fire it, and return how many timers were done with.

        Raises ClockOffError and StoreError; what is not done yet is done by a later tick.  What one shard or context
        that cannot be read leaves to be done comes last, and the others do not wait for it.
        """
        try:
            return self._tick()
        except ClockOffError:
            # What that clock took for read lies ahead of the time.
            self._shards.clear()
            raise

    def _tick(self) -> int:
        now_ms = int(self.clock() * 1000)
        self._divide(now_ms // 1000)
        trouble = Trouble(self.clock)
        self._read_recent(now_ms // 1000, trouble)
        done = self._fire_due(now_ms, trouble.in_part())
        if self._catch_up(trouble.in_part()):
            done += self._fire_due(now_ms, trouble.in_part())
        metrics.TIMERS_WAITING.set(sum(len(shard.pending) for shard in self._shards.values()))
        trouble.tell()
        return done

    def marks(self) -> dict[int, int]:
        """The first second of each shard that a ticker which takes it over has to read."""
        return {number: shard.mark() for number, shard in self._shards.items()}

    def _divide(self, now_s: int) -> None:
        """Begin with the shards that have come, and forget those that have gone: they are another ticker's."""
        ours = self.shards()
        for number in self._shards.keys() - ours.keys():
            del self._shards[number]
        for number in ours.keys() - self._shards.keys():
            self._shards[number] = Shard(ours[number])
        for shard in self._shards.values():
            shard.next_s = max(shard.next_s, now_s - self.look_back_s)
            shard.forget(now_s - self.look_back_s)

    def _read_recent(self, now_s: int, trouble: Trouble) -> None:
        for number, shard in sorted(self._shards.items(), key=lambda item: item[1].unread):
            if trouble.is_enough():
                return
            if self._read(number, shard, shard.recent(now_s), trouble):
                shard.has_read(now_s)

    def _read(self, number: int, shard: Shard, seconds: Iterable[int], trouble: Trouble) -> bool:
        """Learn what is due in those seconds; False: not all was read, or the shard went to another ticker meanwhile.

        Reading may take longer than a lease lasts, so each second asks for it anew: asking is what prolongs it.
        """
        shard.unread = True
        with trouble:
            for second in seconds:
                if number not in self.shards():
                    return False
                for row in self.store.due_timers(number, second):
                    shard.learn(row)
            shard.unread = False
        return not shard.unread

    def _catch_up(self, trouble: Trouble) -> bool:
        """Read on in the past, at least one step; False: there was none.

        Shards take turns over all ticks, for a slow store lets some of them step only in each; at first the latest.
        """
        begin_s = self.clock()
        stepped = False
        for _ in range(CATCH_UP_S // STEP_S):
            behind = [(number, shard) for number, shard in self._shards.items() if shard.past and not shard.unread]
            for number, shard in sorted(behind, key=lambda item: (item[1].turn, -item[1].past[-1].stop)):
                if trouble.is_enough() or (stepped and self.clock() - begin_s >= PART_LIMIT_S):
                    return stepped
                stepped = True
                if self._read(number, shard, shard.step(), trouble):
                    self._turn += 1
                    shard.has_stepped(self._turn)
            if not behind:
                break
        return stepped

    def _judged(self, row: TimerRow, now_ms: int) -> Verdict:
        """What the row's context shows: in one read of nearly all rows, whose item it knows."""
        found = self.store.load(Table.UE_CONTEXT, row.owner)
        try:
            ctx = ue_context(found) if found is not None else None
            verdict = judged(ctx, row, settled_ms(row, self.settings))
            if verdict is Verdict.OPEN:
                verdict = read_and_judged(self.store, row.owner, row, now_ms, self.settings)
        except (NewerRowError, msgspec.MsgspecError):
            return Verdict.FIRE  # the function judges: it may be newer than this ticker
        return verdict

    def _fire_due(self, now_ms: int, trouble: Trouble) -> int:
        """Judge what is due and fire it, a batch at a time; what time is too short for is left to the next tick.

        First comes what is recent, of that what has been tried least, and of that what was due first.
        """
        begin_s = self.clock()
        recent_ms = now_ms - RECENT_S * 1000
        due = [
            (number, item, pending)
            for number, shard in self._shards.items()
            for item, pending in shard.pending.items()
            if pending.next_ms <= now_ms
        ]
        due.sort(
            key=lambda one: (
                one[2].unread,
                one[2].row.due_ms < recent_ms,
                one[2].looks + one[2].tries,
                one[2].row.due_ms,
            )
        )
        done = 0
        batch: list[_Due] = []
        for number, item, pending in due:
            if trouble.is_enough() or self.clock() - begin_s >= PART_LIMIT_S:
                break
            pending.unread = True
            with trouble:
                verdict = self._judged(pending.row, now_ms)
                if verdict is Verdict.FIRE:
                    batch.append((number, item, pending))
                else:
                    done += self._left(self._shards[number], item, verdict, now_ms)
                pending.unread = False
            if len(batch) == BATCH:
                done += self._fire(batch, trouble)
                batch = []
        return done + (self._fire(batch, trouble) if batch else 0)

    def _left(self, shard: Shard, item: str, verdict: Verdict, now_ms: int) -> int:
        """What is not to be fired: gone for good, or to be looked at again."""
        if verdict is Verdict.OVER:
            del shard.pending[item]
            metrics.TIMERS.labels("stale row").inc()
            return 1
        pending = shard.pending[item]
        pending.looks += 1
        settled = settled_ms(pending.row, self.settings)
        pending.next_ms = min(now_ms + _pause_ms(pending.looks), max(settled, now_ms + 1))
        metrics.TIMERS.labels("open row").inc()
        return 0

    def _fire(self, batch: Sequence[_Due], trouble: Trouble) -> int:
        """What is still ours: the batch before may have taken seconds."""
        ours: Mapping[int, int] = {}
        with trouble:
            ours = self.shards()
        held = [(self._shards[number], item, pending) for number, item, pending in batch if number in ours]
        if not held:
            return 0
        results = self.fire([_item(item, pending.row) for _, item, pending in held])
        now_ms = int(self.clock() * 1000)
        return sum(self._judge(shard, item, pending, results.get(item), now_ms) for shard, item, pending in held)

    def _judge(self, shard: Shard, item: str, pending: Pending, result: str | None, now_ms: int) -> int:
        metrics.TIMERS.labels(result or "no answer").inc()
        if result is not None and result != ItemResult.RETRY.value:
            metrics.TIMER_LATE_SECONDS.observe(max(0.0, self.clock() - pending.row.due_ms / 1000))
            del shard.pending[item]
            return 1
        pending.tries += 1
        pending.next_ms = now_ms + _pause_ms(pending.tries)
        if pending.tries == TRIES:
            metrics.TIMERS.labels("overdue").inc()
            logs.log("error", "timer is overdue", item=item, trace=logs.trace_of(pending.row.token))
        if now_ms - pending.row.due_ms > self.look_back_s * 1000:
            del shard.pending[item]
            self.dead += 1
            metrics.TIMERS.labels("dead").inc()
            logs.log("error", "timer is dead", item=item, trace=logs.trace_of(pending.row.token))
        return 0


def _pause_ms(tries: int) -> int:
    return int(250 * 2 ** min(tries, TRIES))


def _item(item: str, row: TimerRow) -> Item:
    return Item(id=item, timer=Timer(int(row.owner), row.name, row.token, row.due_ms))


class _Caller:
    """Calls a function by the gateway's synchronous route, signed as `name`."""

    def __init__(self, gateway: str, master: bytes, function: str, name: str, timeout_s: float) -> None:
        self._url = f"{gateway.rstrip('/')}/function/{function}"
        self._key = signing.derive_key(master, name)
        self._function, self._name, self._timeout_s = function, name, timeout_s
        self._session = requests.Session()
        self._session.trust_env = False

    def results(self, items: list[Item]) -> dict[str, str]:
        """Result by item id, without those that got no answer."""
        body = envelope.encode(Request(items))
        signed = Signed(self._name, str(int(time.time())), Way.UP, self._function, "", body)
        headers = signing.headers(self._key, signed) | {"Content-Type": "application/json"}
        try:
            answer = self._session.post(self._url, data=body, headers=headers, timeout=self._timeout_s)
            answer.raise_for_status()
            return {reply.id: reply.result for reply in envelope.decode_response(answer.content).replies}
        except (requests.RequestException, ValueError) as e:
            logs.log("warning", "no answer", function=self._function, count=len(items), why=type(e).__name__)
            return {}


class HttpFire:
    """Carries timers to `mme-timer`."""

    def __init__(self, gateway: str, master: bytes, timeout_s: float = LENGTH_S / 2) -> None:
        self._caller = _Caller(gateway, master, TIMER, TICKER, timeout_s)

    def __call__(self, items: list[Item]) -> dict[str, str]:
        return self._caller.results(items)


class HttpTell:
    """Has `mme-downlink` push OVERLOAD START or STOP to every eNB."""

    def __init__(self, gateway: str, master: bytes) -> None:
        self._caller = _Caller(gateway, master, DOWNLINK, "operator/overload", LENGTH_S / 2)

    def __call__(self, item_id: str, percent: int, number: int) -> bool:
        item = Item(id=item_id, command={"action": "overload", "reduction": percent, "number": number})
        return self._caller.results([item]).get(item_id) == ItemResult.DONE.value


def leased(holder: LeaseHolder) -> Shards:
    """The shards that a process holds, by leases "timer-<shard>"."""

    def shards() -> Mapping[int, int]:
        holder.keep()
        return {SHARD_LEASES[name]: holder.mark(name) for name in holder.held() if name in SHARD_LEASES}

    return shards


def parser() -> argparse.ArgumentParser:
    """The command line."""
    p = argparse.ArgumentParser(prog="python -m mme.ticker", description=__doc__)
    p.add_argument("--gateway", default=os.environ.get("OPENFAAS_URL", "http://127.0.0.1:8080"), help="(%(default)s)")
    p.add_argument("--store", default=os.environ.get("STORE_URL"), help="store URL, default: env STORE_URL")
    p.add_argument(
        "--lease-s",
        type=float,
        default=LENGTH_S,
        metavar="S",
        help="length of a lease, at least 1: so long after a ticker's death others take over its timers (%(default)s)",
    )
    p.add_argument(
        "--metrics-port",
        type=int,
        default=0,
        metavar="PORT",
        help="serve Prometheus metrics there, and /ready (0: not at all)",
    )
    p.add_argument(
        "--unready-after-s",
        type=float,
        default=UNREADY_AFTER_S,
        metavar="S",
        help="/ready is 503 once the store has not answered for so long (%(default)s)",
    )
    return p


def readiness_for(options: argparse.Namespace, clock: Callable[[], float] = time.monotonic) -> Readiness:
    """Leases are renewed four times in their length: of long ones a missed renewal is no silence yet."""
    return Readiness(max(options.unready_after_s, options.lease_s), clock=clock)


def main(arguments: Sequence[str] | None = None) -> int:
    """Run a ticker until SIGTERM or SIGINT; any number of them may run, and divide the timers among them.

    Whatever else it cannot go on from ends it, for whoever started it to start another.
    """
    options = parser().parse_args(arguments)
    log_in_lines(logs.log)
    try:
        if not options.store:
            raise ConfigError("STORE_URL", "must name the functions' store, or give --store")
        if options.lease_s < 1:
            raise ConfigError("--lease-s", "must be 1 or more")
        settings = config.load()
        store = open_store(options.store)
        fire = HttpFire(options.gateway, read_secret(SIGNING_KEY), options.lease_s / 2)
    except ConfigError as e:
        logs.log("error", "configuration", why=str(e))
        return 1
    readiness = readiness_for(options)
    if options.metrics_port:
        serve(options.metrics_port, readiness)
    stop = threading.Event()
    for number in (signal.SIGTERM, signal.SIGINT):
        signal.signal(number, lambda *_: stop.set())
    holder = LeaseHolder(
        store, (overload_guard.LEASE, *SHARD_LEASES), length_s=options.lease_s, bound_ms=settings.clock_bound_ms
    )
    ticker = Ticker(store, fire, shards=leased(holder), look_back_s=settings.timer_rows_s, settings=settings)
    # Not a tick that went well: one without leases asks the store nothing.
    holder.renewed = readiness.answered
    holder.marks = lambda: {f"timer-{number}": mark for number, mark in ticker.marks().items()}
    limits = Limits(settings.overload_start_ms, settings.overload_shed_ms, settings.overload_stop_ms)
    guard = OverloadGuard(store, holder, HttpTell(options.gateway, read_secret(SIGNING_KEY)), limits)
    # Asked when it is scraped: what a loop that hangs held has run out.
    metrics.LEASES.set_function(lambda: len(holder.held()))
    with ThreadPoolExecutor(1, "overload") as pool:
        watching = pool.submit(guard.run, stop)
        # Neither goes on without the other: whoever answers probes and does half of its work is not started anew.
        watching.add_done_callback(lambda _: stop.set())
        try:
            run(ticker, holder, stop, readiness)
        finally:
            stop.set()
    watching.result()
    with contextlib.suppress(StoreError):
        holder.leave()
    return 0


def run(ticker: Ticker, holder: LeaseHolder, stop: threading.Event, readiness: Readiness) -> None:
    """Tick until `stop`."""
    had: frozenset[str] = frozenset()
    said_s = 0.0
    last_backup = LastBackup(ticker.store)
    while not stop.wait(TICK_S):
        try:
            ticker.tick()
            last_backup.look()
        except StoreError as e:
            # What has answered and lacks tables does not answer better in another pod; and the job that makes them may
            # wait for this one to be ready (helm's --wait).
            if isinstance(e, StoreNotMigratedError):
                readiness.answered()
            else:
                readiness.failed(str(e))
            logs.log("warning", "the store did not answer", why=str(e))
        except ClockOffError as e:
            readiness.failed(str(e))
            if time.monotonic() - said_s >= _SAY_AGAIN_S:
                said_s = time.monotonic()
                logs.log("error", "clock is off, lease refused", why=str(e), member=holder.me)
        has = holder.held()
        if has != had:
            had = has
            logs.log("info", "leases", member=holder.me, held=sorted(has))


if __name__ == "__main__":
    sys.exit(main())
