"""Drives calls: reads which steps are due and calls their function for each, a few at a time.

Any number of tickers may run: a call is taken by one step at a time.
"""

from __future__ import annotations

import threading
import time
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor

import msgspec
import urllib3
from urllib3.exceptions import HTTPError

from durable.errors import StoreError
from durable.store import Store
from trust import signing
from trust.access import TICKER
from trust.signing import Signed, Way

AT_ONCE = 3
TIMEOUT_S = 15.0
NO_ANSWER_S = 1.0


class StepCall(msgspec.Struct, forbid_unknown_fields=True):
    """The ticker's body.  step: the call's key."""

    step: str


class StepDone(msgspec.Struct):
    """Its answer.  after_s: when the next step is due; null = there is none."""

    after_s: float | None


def answer_step(advance: Callable[[str], float | None], body: bytes) -> tuple[bytes, int]:
    """A function's answer to the ticker, and its HTTP status.  advance: one step of the call with that key."""
    try:
        after_s = advance(msgspec.json.decode(body, type=StepCall).step)
    except msgspec.MsgspecError:
        return msgspec.json.encode({"error": "the body is no step"}), 400
    except StoreError as e:
        return msgspec.json.encode({"error": str(e)}), 503
    return msgspec.json.encode(StepDone(after_s)), 200


Fire = Callable[[str], StepDone | None]
"""One step of the call with that key; None = the function did not answer."""


class Ticker:
    """store: where the due steps are.  fire: carries a step to the function."""

    def __init__(self, store: Store, fire: Fire, *, clock: Callable[[], float] = time.time) -> None:
        self._store = store
        self._fire = fire
        self._clock = clock
        self._pool = ThreadPoolExecutor(AT_ONCE, thread_name_prefix="step")
        self._lock = threading.Lock()
        self._busy: set[str] = set()
        self._not_before: dict[str, float] = {}

    def tick(self) -> int:
        """Fire what is due and not being fired; how many were begun.  Raises StoreError."""
        now = self._clock()
        begun = 0
        with self._lock:
            self._not_before = {key: at for key, at in self._not_before.items() if at > now}
        for key in self._store.due(int(now * 1000)):
            with self._lock:
                if key in self._busy or key in self._not_before or len(self._busy) >= AT_ONCE:
                    continue
                self._busy.add(key)
            self._pool.submit(self._one, key)
            begun += 1
        return begun

    def close(self) -> None:
        """Wait for the steps that run."""
        self._pool.shutdown(wait=True)

    def _one(self, key: str) -> None:
        # A function that has nothing to do yet says when, and leaves the row as it is.
        again_s: float | None = NO_ANSWER_S
        try:
            done = self._fire(key)
            again_s = NO_ANSWER_S if done is None else done.after_s
        finally:
            with self._lock:
                self._not_before.pop(key, None)
                if again_s:
                    self._not_before[key] = self._clock() + again_s
                self._busy.discard(key)


class HttpFire:
    """Over the gateway's synchronous route, signed as the ticker: the queue stays free for others.

    trouble: told why a step got no answer.
    """

    def __init__(self, gateway: str, function: str, master: bytes, trouble: Callable[[str], None]) -> None:
        self._url = f"{gateway.rstrip('/')}/function/{function}"
        self._function = function
        self._key = signing.derive_key(master, TICKER)
        self._trouble = trouble
        self._pool = urllib3.PoolManager(timeout=TIMEOUT_S, retries=False, maxsize=AT_ONCE)

    def __call__(self, key: str) -> StepDone | None:
        body = msgspec.json.encode(StepCall(key))
        signed = Signed(TICKER, str(int(time.time())), Way.UP, self._function, "", body)
        headers = signing.headers(self._key, signed) | {"Content-Type": "application/json"}
        try:
            answer = self._pool.request("POST", self._url, body=body, headers=headers)
            if answer.status == 200:
                return msgspec.json.decode(answer.data, type=StepDone)
            self._trouble(f"HTTP status {answer.status}")
        except (HTTPError, OSError, msgspec.MsgspecError) as e:
            self._trouble(type(e).__name__)
        return None
