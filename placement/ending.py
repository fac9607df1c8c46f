"""How an operation ends: what its caller is told on the way and at the end, and what the inventory remembers."""

from __future__ import annotations

import msgspec

from durable import callbacks
from placement import logs, metrics
from placement.errors import Code, PlacementError
from placement.inventory import Event, Placement
from placement.operation import (
    ErrorAnswer,
    Operation,
    Phase,
    Why,
    encode_answer,
    error_answer,
    left_of,
    with_left,
)
from placement.parts import Next, Parts
from placement.releases import Revision

UNDO_S = 120.0
_UNDOABLE = (Phase.HELM, Phase.MEND, Phase.WATCH, Phase.RELOAD)
_replace = msgspec.structs.replace


class Ending:
    """The end of an operation, and each state's answer."""

    def __init__(self, parts: Parts) -> None:
        self._parts = parts

    def failed(self, operation: Operation, error: ErrorAnswer, newest: Revision | None = None) -> Next:
        """The operation has failed; atomic ones go back first, if there is anything to go back from.

        newest: the release's newest revision, where it was looked at; None = as helm has left it.
        """
        error = _with_standing(operation, error, newest)
        operation = _replace(operation, error=error, is_seen=False)
        began = operation.revision > 0
        if operation.atomic and operation.action == "apply" and operation.phase in _UNDOABLE and began:
            deadline_ms = self._parts.now_ms() + int(UNDO_S * 1000)
            undoing = _replace(operation, phase=Phase.UNDO, deadline_ms=deadline_ms)
            return Next(self.progress(self.telling(undoing, "progressing")))
        status = "failed" if began or operation.attempt else "refused"
        return self.finish(operation, status, error=error)

    def telling(self, operation: Operation, status: str) -> Operation:
        """With the answer of its present state."""
        answer = _replace(
            operation.answer,
            status=status,
            cluster=operation.cluster or None,
            release=operation.release,
            revision=operation.revision or None,
            chart=operation.chart or None,
            time_taken_s=self._taken_s(operation),
            why=operation.why,
            warnings=operation.warnings or None,
        )
        return _replace(operation, answer=answer)

    def progress(self, operation: Operation) -> Operation:
        """Tell the caller where it is; nobody waits for, or repeats, what is not the end."""
        if operation.callback_url:
            self._send(operation, timeout_s=callbacks.PROGRESS_S)
        return operation

    def finish(
        self,
        operation: Operation,
        status: str,
        *,
        error: ErrorAnswer | None = None,
        why: Why | None = None,
        diff: list[str] | None = None,
        left: list[str] | None = None,
        is_unknown: bool = False,
        overtaken: bool = False,
    ) -> Next:
        """The last answer, remembered and counted; what is left is to tell it.

        left: what hooks made and an uninstall has not removed, or would not.
        is_unknown: helm had begun, and what it left could not be looked at: the release counts as being there.
        overtaken: another call has changed the release since: what the inventory knows of it stays.
        """
        error = _with_namespace(operation, error) if error is not None else None
        told = self.telling(operation, status).answer
        answer = _replace(told, error=error, why=why or operation.why, diff=diff, left=left or None)
        if operation.action in ("uninstall",) or status in ("refused", "planned") or not operation.revision:
            answer = _replace(answer, pods=())
        done = _replace(operation, answer=answer, error=error, request="", notified=0, phase=Phase.NOTIFY)
        self._remember(done, status, is_unknown=is_unknown, overtaken=overtaken)
        outcome = error.code if error is not None else status
        metrics.ended(operation.action, operation.cluster, outcome, self._taken_s(operation))
        if not operation.callback_url:
            return Next(_replace(done, phase=Phase.DONE))
        return Next(done)

    def notify(self, operation: Operation) -> Next:
        """The step that tells the end, until it is taken or given up."""
        if self._send(operation):
            metrics.CALLBACKS.labels("taken").inc()
            return Next(_replace(operation, phase=Phase.DONE))
        tries = operation.notified + 1
        pause_s = callbacks.pause_s(tries)
        if pause_s is None:
            metrics.CALLBACKS.labels("given up").inc()
            logs.log("error", "callback given up", call=operation.call_id, caller=operation.caller, tries=tries)
            return Next(_replace(operation, phase=Phase.DONE, notified=tries))
        return Next(_replace(operation, notified=tries), pause_s)

    def _send(self, operation: Operation, *, timeout_s: float = callbacks.TIMEOUT_S) -> bool:
        to = callbacks.To(operation.callback_url, operation.caller, operation.call_id)
        return self._parts.callbacks.send(to, encode_answer(operation.answer), timeout_s=timeout_s)

    def _taken_s(self, operation: Operation) -> float:
        return round(max(0, self._parts.now_ms() - operation.begun_ms) / 1000, 3)

    def _remember(self, operation: Operation, status: str, *, is_unknown: bool, overtaken: bool) -> None:
        if status == "planned" or not operation.cluster:
            return
        cluster, namespace, release = operation.cluster, operation.namespace, operation.release
        old = self._parts.inventory.get(cluster, namespace, release)
        is_there = operation.revision > 0 or is_unknown or (old is not None and old.is_placed)
        gone = status in ("uninstalled", "absent") or (status == "rolled-back" and not operation.revision)
        gone = gone or (operation.error is not None and operation.error.code == Code.NO_SUCH_RELEASE)
        # What helm has gone back to has its target's values, not those of before nor those that the call brought.
        went_back = operation.revision > 0 and operation.target > 0
        digest = _digest_of(old, operation.target) if went_back else operation.values_digest
        kept_digest = old.values_digest if old and not went_back else ""
        placement = Placement(
            cluster,
            namespace,
            release,
            operation.chart or (old.chart if old else ""),
            ("" if went_back else operation.repository) or (old.repository if old else ""),
            operation.revision or (old.revision if old else 0),
            (digest if operation.revision else "") or kept_digest,
            operation.group or (old.group if old else ""),
            is_there and not gone,
        )
        event = Event(
            self._parts.now_ms(),
            operation.caller,
            operation.action,
            operation.chart,
            digest,
            operation.revision,
            operation.error.code if operation.error is not None else status,
            self._taken_s(operation),
            operation.call_id,
        )
        self._parts.inventory.remember(old if overtaken and old is not None else placement, event)


def _digest_of(known: Placement | None, revision: int) -> str:
    """Of the values of a revision, "" = not known: somebody's own helm has made it, or it is too long ago."""
    for event in reversed(known.history if known is not None else ()):
        if event.outcome in ("uninstalled", "absent"):  # the numbers of before began anew
            break
        if event.revision == revision:
            return event.values_digest
    return ""


def _with_namespace(operation: Operation, error: ErrorAnswer) -> ErrorAnswer:
    """What was made for the release stays where the release failed, and is told once."""
    if not operation.namespace_made or operation.revision or left_of(error.message):
        return error
    return _replace(error, message=with_left(error.message, namespace_left(operation)))


def _with_standing(operation: Operation, error: ErrorAnswer, newest: Revision | None) -> ErrorAnswer:
    """What helm was done with stays where the release failed later, unless the error tells already what is left."""
    if not operation.revision or error.code == Code.NO_SUCH_RELEASE or left_of(error.message):
        return error
    number, status = (newest.number, newest.status) if newest is not None else (operation.revision, "deployed")
    return _replace(error, message=with_left(error.message, f"revision {number} marked {status}"))


def namespace_left(operation: Operation) -> str:
    """A clause for what was made for a release that is not there, "" = nothing."""
    return f"the namespace {operation.namespace}, made for this call" if operation.namespace_made else ""


def told(code: Code, why: str) -> ErrorAnswer:
    """The code's own sentence with the reason behind it."""
    error = PlacementError(code)
    return error_answer(PlacementError(code, f"{error.detail.rstrip('.')}: {why}."))
