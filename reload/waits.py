"""Changes whose pods take longer than a call: waited for in short steps, and a last answer to the caller's URL.

The change itself is written when a wait begins: a step only nudges the pods, looks at them, and tells.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping
from enum import StrEnum
from typing import Any

import msgspec

from durable import callbacks
from durable.call_ids import call_id_of
from durable.callbacks import Callbacks, To
from durable.journal import Call, Hand, Journal, Next
from reload import apply
from reload.apply import Target
from reload.cluster import Cluster, Config
from reload.errors import ReloadError
from reload.policy import Clusters
from reload.service import CALL_S, LOOK_S, UNASKED, as_answer, written_but

STEP_S = 2.0
"""Until when a step looks at pods again."""
AGAIN_S = 1.0
NOTE = "the last answer comes to the callback URL"

Answer = dict[str, Any]
Tell = Callable[[str, Answer], None]
"""Told of each wait's end: caller and last answer."""


class State(StrEnum):
    """What the next step does."""

    WAIT = "wait"
    NOTIFY = "notify"
    OVER = "over"


class Wait(Call, frozen=True, kw_only=True):
    """A row of the store; nothing of the configuration's content is in it but what a check says of a line.

    target: its ConfigMap and the digest that its pods should report.  answer: the first one's fields, then the last's.
    """

    caller: str
    call_id: str
    callback_url: str
    cluster: str
    target: Target
    answer: Answer
    begun_ms: int
    deadline_ms: int
    state: State = State.WAIT
    notified: int = 0

    @property
    def is_over(self) -> bool:
        """Whether no step is left."""
        return self.state is State.OVER


class Waits:
    """Begins waits and works their steps off.  clock: Unix seconds.  timer: grows, for waiting."""

    def __init__(
        self,
        journal: Journal[Wait],
        clusters: Clusters,
        to: Callbacks,
        *,
        tell: Tell = lambda _caller, _answer: None,
        clock: Callable[[], float] = time.time,
        timer: Callable[[], float] = time.monotonic,
    ) -> None:
        self._journal = journal
        self._clusters = clusters
        self._to = to
        self._tell = tell
        self._clock = clock
        self._timer = timer

    def call_id(self, caller: str, own: str, headers: Mapping[str, str]) -> str:
        """The id that a call goes by (durable.call_ids).  Raises StoreError."""
        return call_id_of(self._journal, caller, own, headers)

    def answer_of(self, key: str) -> Answer | None:
        """What an earlier delivery of the same call has come to; None = nothing is waited for under this key.

        Raises StoreError.
        """
        held = self._journal.load(key)
        return None if held is None else held.call.answer

    def begin(self, to: To, cluster: str, target: Target, answer: Answer, *, key: str, timeout_s: int) -> Answer:
        """Go on waiting after this answer, until timeout_s after the call began; what to answer meanwhile.

        Raises StoreError.
        """
        now_ms = self._now_ms()
        begun_ms = now_ms - int(1000 * float(answer["time_taken_s"]))
        wait = Wait(
            key=key,
            caller=to.caller,
            call_id=to.call_id,
            callback_url=to.url,
            cluster=cluster,
            target=target,
            answer={**answer, "status": "progressing", "error": None, "note": NOTE},
            begun_ms=begun_ms,
            deadline_ms=begun_ms + 1000 * timeout_s,
        )
        return self._journal.open(wait, due_ms=now_ms).call.answer

    def advance(self, key: str) -> float | None:
        """One step.  In how many seconds the next is due; None = there is none.  Raises StoreError."""
        return self._journal.advance(key, self._now_ms, self._step)

    def _now_ms(self) -> int:
        return int(self._clock() * 1000)

    def _step(self, hand: Hand[Wait]) -> Next[Wait]:
        return self._wait(hand.call) if hand.call.state is State.WAIT else self._notify(hand.call)

    def _wait(self, wait: Wait) -> Next[Wait]:
        is_late = self._now_ms() >= wait.deadline_ms
        try:
            # The policy is asked again: what was allowed then may be forbidden now.
            cluster = self._clusters.for_caller(wait.caller, wait.cluster, wait.target.namespace)
            begin_s = self._timer()
            cluster = cluster.until(begin_s + CALL_S, self._timer)
            config = self._newest(cluster, wait.target)
            pods = apply.pods_of(cluster, [wait.target])
            apply.nudge_pods(cluster, pods)
            until_s = begin_s + STEP_S
            progress = apply.wait(
                cluster, [wait.target], until_s=until_s, clock=self._timer, timeout_s=LOOK_S, pods=pods
            )
            progress = progress.without_secrets(config.files)
        except ReloadError as e:
            if e.code == "cluster_unreachable" and not is_late:
                return Next(wait, AGAIN_S)
            is_about_it = e.code in ("superseded", "configmap_missing")
            error = e.as_json() if is_about_it else written_but(wait.target.config, UNASKED, e)
            return self._end(wait, {"status": "error", "error": error})
        if not progress.settled and not is_late:
            return Next(wait, AGAIN_S)
        return self._end(wait, as_answer(progress, changed=bool(wait.answer["changed"]), wait=True))

    @staticmethod
    def _newest(cluster: Cluster, target: Target) -> Config:
        config = cluster.config(target.namespace, target.config)
        if config is None:
            raise ReloadError("configmap_missing", f"ConfigMap {target.config} was removed meanwhile")
        if config.digest != target.digest:
            detail = f"ConfigMap {target.config} was changed again before every pod ran with this change"
            raise ReloadError("superseded", detail, "action history shows by whom")
        return config

    def _end(self, wait: Wait, told: Answer) -> Next[Wait]:
        answer = {key: value for key, value in wait.answer.items() if key != "note"} | told
        answer["time_taken_s"] = round((self._now_ms() - wait.begun_ms) / 1000, 3)
        self._tell(wait.caller, answer)
        return Next(msgspec.structs.replace(wait, answer=answer, state=State.NOTIFY))

    def _notify(self, wait: Wait) -> Next[Wait]:
        to = To(wait.callback_url, wait.caller, wait.call_id)
        tries = wait.notified + 1
        if self._to.send(to, msgspec.json.encode(wait.answer)) or (pause_s := callbacks.pause_s(tries)) is None:
            return Next(msgspec.structs.replace(wait, state=State.OVER, notified=tries))
        return Next(msgspec.structs.replace(wait, notified=tries), pause_s)
