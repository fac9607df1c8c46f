"""Items to functions and answers back: signs, checks signatures, correlates, and has lost messages sent again.

No sockets: `post` starts an HTTP request and what comes of it is told by on_response, on_failure and on_callback.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from random import Random
from typing import Protocol

import msgspec

from enb_app.keys import KeyRing
from enb_app.outbox import Call, Entry, Outbox, Policy
from mme.codec import envelope
from mme.codec.envelope import Cost, Downlink, Item, Reply
from mme.enums import ItemResult
from trust import signing
from trust.signing import Signed, Way

CALL_ID = "X-Call-Id"
CALLBACK_URL = "X-Callback-Url"
FUNCTION_NAME = "X-Function-Name"
FUNCTION_STATUS = "X-Function-Status"
PUSHING_FUNCTION = "X-Edge-Function"
WINDOW_S = 300
"""A reply or push whose timestamp is further away is refused: it was recorded, or a clock is wrong."""
_ASK_AGAIN = frozenset({408, 425, 429})
_SENTENCE = 160
CONGESTION = "congestion"
"""Label of a reply to an item that was refused because there are too many (docs/overload.md)."""


class Handle(Protocol):
    def cancel(self) -> None: ...


class Clock(Protocol):
    """What of an event loop is needed."""

    def time(self) -> float: ...

    def call_at(self, when: float, callback: Callable[[], None], /) -> Handle: ...


Post = Callable[[Call, dict[str, str], bytes], None]


@dataclass(frozen=True, slots=True)
class Answer:
    """reply None: given up, why says it.  posted, answered: the clock's seconds; waiting for
    a batch counts.  tries: how often it was sent.

    broken: it is the run that is broken, not this message: no gateway there, no such function.
    """

    reply: Reply | None
    function: str
    posted: float
    answered: float
    tries: int
    why: str = ""
    broken: bool = False
    cost: Cost | None = None


@dataclass(slots=True)
class Counters:
    """What happened on HTTP.  calls: requests made, each one invocation.  late: answers that nobody waited for."""

    calls: int = 0
    items: int = 0
    answers: int = 0
    failed_calls: int = 0
    refused_signatures: int = 0
    late: int = 0
    retries: int = 0
    pushes: int = 0
    results: dict[str, int] = field(default_factory=dict)


class Exchange:
    """One for all eNBs of a run."""

    def __init__(
        self,
        *,
        policy: Policy,
        random: Random,
        clock: Clock,
        unix_s: Callable[[], float],
        keys: KeyRing,
        enbs: frozenset[str],
        callback_url: str,
        downlink_url: Callable[[str], str],
        post: Post,
        on_downlink: Callable[[Downlink], None],
        on_end: Callable[[str, Answer], None] | None = None,
    ) -> None:
        """callback_url: "" = synchronous calls.  downlink_url: of an eNB, as told in its S1 SETUP REQUEST.

        on_end: told of each item, by its id, that was answered or given up.
        """
        self.outbox = Outbox(policy, random)
        self.counters = Counters()
        self._clock = clock
        self._unix_s = unix_s
        self._keys = {enb: keys.keys_of(enb) for enb in enbs}
        self._callback_url = callback_url
        self._downlink_url = downlink_url
        self._post = post
        self._on_downlink = on_downlink
        self._on_end = on_end
        self._waiters: dict[str, Callable[[Answer], None]] = {}
        self._alarm: Handle | None = None
        self._alarm_at = 0.0

    # ------------------------------------------------------------------ up

    def submit(self, item: Item, function: str, waiter: Callable[[Answer], None]) -> None:
        """Send an item; waiter is called once, after the downlinks of its reply were handed out."""
        self._waiters[item.id] = waiter
        self.counters.items += 1
        self.outbox.add(item, function, self._clock.time())
        self._flush()

    def close(self) -> None:
        """Stop resending; no waiter is called any more."""
        self._waiters.clear()
        self.outbox.close()
        if self._alarm is not None:
            self._alarm.cancel()

    def _flush(self, now: float | None = None) -> None:
        for call in self.outbox.take(self._clock.time() if now is None else now):
            body = envelope.encode(envelope.Request(list(call.items)))
            timestamp = f"{self._unix_s():.3f}"
            signed = Signed(call.enb, timestamp, Way.UP, call.function, self._callback_url, body)
            headers = signing.headers(self._keys[call.enb][0], signed)
            headers["Content-Type"] = "application/json"
            headers[CALL_ID] = call.id
            if self._callback_url:
                headers[CALLBACK_URL] = self._callback_url
            self.counters.calls += 1
            self._post(call, headers, body)
        self._arm()

    def _arm(self) -> None:
        due = self.outbox.next_due()
        if due is None or (self._alarm is not None and self._alarm_at <= due):
            return
        if self._alarm is not None:
            self._alarm.cancel()
        self._alarm_at = due
        self._alarm = self._clock.call_at(due, self._on_alarm)

    def _on_alarm(self) -> None:
        self._alarm = None
        # The loop may wake up to a clock tick early; what is due at the time that was asked for counts as due.
        now = max(self._clock.time(), self._alarm_at)
        self._give_up(self.outbox.expire(now))
        self._flush(now)

    # ------------------------------------------------------------------ what HTTP says

    def on_failure(self, call: Call, why: str) -> None:
        """No HTTP answer at all.  When there never was one, the gateway is not there and nothing is tried again."""
        self.counters.failed_calls += 1
        if self.counters.answers == 0:
            self._give_up(self.outbox.refused(call.id), why, broken=True)
        else:
            self._give_up(self.outbox.call_failed(call.id, why, self._clock.time()))
        self._flush()

    def on_response(self, call: Call, status: int, headers: Mapping[str, str], body: bytes) -> None:
        """The HTTP answer to a request: the reply itself, or 202 that it was queued."""
        self.counters.answers += 1
        if status == 202 and self._callback_url:
            return
        self._on_reply(call, call.function, status, headers, body)

    def on_callback(self, headers: Mapping[str, str], body: bytes) -> int:
        """A callback came -> HTTP status for the queue worker, which only logs it."""
        call = self.outbox.call_of(headers.get(CALL_ID, ""))
        function = call.function if call else headers.get(FUNCTION_NAME, "").partition(".")[0]
        try:
            status = int(headers.get(FUNCTION_STATUS, "200"))
        except ValueError:
            status = 500
        return 200 if self._on_reply(call, function, status, headers, body) else 401

    def on_push(self, enb: str, headers: Mapping[str, str], body: bytes) -> int:
        """Downlinks that no call of this eNB asked for -> HTTP status; 200 = taken."""
        self.counters.pushes += 1
        if headers.get(signing.KEY_HEADER) != enb:
            self.counters.refused_signatures += 1
            return 401
        function = headers.get(PUSHING_FUNCTION, "")
        replies = self._verified(headers, function, self._downlink_url(enb), body)
        if replies is None:
            return 401
        for reply, _ in replies:
            self._hand_out(enb, reply)
        return 200

    def _on_reply(self, call: Call | None, function: str, status: int, headers: Mapping[str, str], body: bytes) -> bool:
        """False: the signature was refused."""
        if status != 200:
            if call is not None:
                self._on_bad_status(call, status, body)
            return True
        replies = self._verified(headers, function, "", body)
        if replies is None:
            if call is not None and not self._callback_url:
                self._give_up(self.outbox.call_failed(call.id, "reply wrongly signed", self._clock.time()))
                self._flush()
            return False
        enb = headers[signing.KEY_HEADER]
        for reply, cost in replies:
            if reply.id.startswith(f"{enb}/"):
                self._on_item(enb, reply, cost)
        if call is not None and not self._callback_url:  # items that a complete answer does not speak of
            self._give_up(self.outbox.call_failed(call.id, "not answered in the reply", self._clock.time()))
        self._flush()
        return True

    def _on_bad_status(self, call: Call, status: int, body: bytes) -> None:
        self.counters.failed_calls += 1
        sentence = body[:_SENTENCE].decode("utf-8", "replace").strip()
        why = f"{call.function} answered {status}" + (f" ({sentence})" if sentence else "")
        if status >= 500 or status in _ASK_AGAIN:
            self._give_up(self.outbox.call_failed(call.id, why, self._clock.time()))
        else:
            self._give_up(self.outbox.refused(call.id), why, broken=status == 404)
        self._flush()

    def _on_item(self, enb: str, reply: Reply, cost: Cost | None) -> None:
        now = self._clock.time()
        if reply.result == ItemResult.RETRY.value:
            entry = self.outbox.entry(reply.id)
            if entry is not None and entry.call is not None:
                self.counters.retries += 1
                given_up = self.outbox.item_failed(reply.id, f"{entry.function} says retry", now)
                self._give_up([given_up] if given_up else [])
            return
        entry = self.outbox.answered(reply.id, now)
        if entry is None:
            self.counters.late += 1
            self._hand_out(enb, reply)
            return
        if reply.label == CONGESTION:
            self.outbox.congested(enb, entry.function, now)
        self.counters.results[reply.result] = self.counters.results.get(reply.result, 0) + 1
        self._hand_out(enb, reply)
        self._tell(Answer(reply, entry.function, entry.added, now, entry.tries, cost=cost), reply.id)

    # ------------------------------------------------------------------ inside

    def _verified(
        self, headers: Mapping[str, str], function: str, url: str, body: bytes
    ) -> list[tuple[Reply, Cost | None]] | None:
        """The replies of a body that one of our eNBs' keys has signed for the way down; None = refused and counted."""
        name = headers.get(signing.KEY_HEADER, "")
        timestamp = headers.get(signing.TIMESTAMP_HEADER, "")
        keys = self._keys.get(name, ())
        fresh = timestamp.isdecimal() and abs(self._unix_s() - int(timestamp)) <= WINDOW_S
        signed = Signed(name, timestamp, Way.DOWN, function, url, body)
        signature = headers.get(signing.SIGNATURE_HEADER, "")
        if not fresh or not any(signing.verify(key, signed, signature) for key in keys):
            self.counters.refused_signatures += 1
            return None
        try:
            response = envelope.decode_response(body)
        except msgspec.DecodeError:
            self.counters.refused_signatures += 1
            return None
        costs: list[Cost | None] = [*response.costs]
        costs += [None] * (len(response.replies) - len(costs))
        return list(zip(response.replies, costs, strict=False))

    def _hand_out(self, enb: str, reply: Reply) -> None:
        for downlink in reply.downlink:
            if downlink.enb == enb:  # a key speaks for one eNB only
                self._on_downlink(downlink)

    def _give_up(self, entries: list[Entry], why: str = "", *, broken: bool = False) -> None:
        now = self._clock.time()
        for entry in entries:
            text = why or f"{entry.function}: {entry.why}, {entry.tries} times sent"
            answer = Answer(None, entry.function, entry.added, now, entry.tries, text, broken)
            self._tell(answer, entry.item.id)

    def _tell(self, answer: Answer, item_id: str) -> None:
        waiter = self._waiters.pop(item_id, None)
        if waiter is not None:
            if self._on_end is not None:
                self._on_end(item_id, answer)
            waiter(answer)
