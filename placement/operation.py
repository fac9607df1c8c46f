"""An operation: one accepted call, worked off in short steps, each a row's next state; and what it answers."""

from __future__ import annotations

import hashlib
from enum import StrEnum
from typing import Any

import msgspec

from durable.journal import Call
from placement.errors import PlacementError
from placement.hooks import Hook
from placement.readiness import Pod

_LEFT = " Left on the cluster: "


class Phase(StrEnum):
    """What the next step does."""

    PLAN = "plan"
    PREVIEW = "preview"
    HELM = "helm"
    MEND = "mend"
    RELOAD = "reload"
    WATCH = "watch"
    UNDO = "undo"
    WATCH_UNDO = "watch-undo"
    NOTIFY = "notify"
    DONE = "done"


class ErrorAnswer(msgspec.Struct, frozen=True):
    """code: of docs/errors.md.  message: one sentence, and what is left on the cluster if anything is."""

    code: str
    message: str
    hint: str


class Why(msgspec.Struct, frozen=True):
    """this: why the cluster was chosen.  others: why each other one was not."""

    this: str = ""
    others: dict[str, str] = {}


class Answer(msgspec.Struct, frozen=True, omit_defaults=False):
    """What a caller gets, at the end and on the way.

    status: accepted, progressing | planned, deployed, ready, rolled-back, uninstalled, absent, listed | failed,
    refused.
    deployed: helm is done and nobody waited for the pods.  diff, drift and placements belong to diff, status and list;
    left: what hooks made and an uninstall has not removed, or would not.
    warnings: helm's and the API server's, where there are any.
    """

    status: str
    cluster: str | None = None
    release: str | None = None
    revision: int | None = None
    chart: str | None = None
    time_taken_s: float = 0.0
    pods: tuple[Pod, ...] = ()
    why: Why = Why()
    error: ErrorAnswer | None = None
    diff: list[str] | None = None
    drift: list[str] | None = None
    placements: list[dict[str, Any]] | None = None
    left: list[str] | None = None
    warnings: tuple[str, ...] | None = None


class Operation(Call, frozen=True, kw_only=True):
    """A row of the store.

    request: sealed, "" once it is needed no more.  digest: of the request's body.
    target: revision to roll back to, 0 = the one before; of an apply the one that it goes back to, 0 = none.
    before: the newest revision when helm began that was not this call's, 0 = none; None = helm never began.
    install: when the release was installed that was there then.  namespace_made: for this call.
    configs: ConfigMaps whose new content is waited for.  under_pods: those that helm changed under pods that live on.
    hooks: what hooks of revisions that helm takes back may have made.  warnings: what its runs have warned of.
    is_seen: the last look found every pod ready, and had no time left to ask what they run with.
    attempt: runs of helm begun.  again: the last one was stopped for want of a processor, and another is to follow.
    undoing: whether one has begun to go back.  since_s: when the last one began, by the cluster's clock.
    """

    caller: str
    call_id: str
    digest: str
    request: str
    action: str
    namespace: str
    release: str
    phase: Phase
    begun_ms: int
    callback_url: str = ""
    create_namespaces: bool = False
    waits: bool = False
    atomic: bool = False
    timeout_s: int = 120
    attempt: int = 0
    again: bool = False
    undoing: bool = False
    since_s: float = 0.0
    cluster: str = ""
    chart: str = ""
    repository: str = ""
    values_digest: str = ""
    group: str = ""
    why: Why = Why()
    target: int = 0
    revision: int = 0
    before: int | None = None
    install: str = ""
    namespace_made: bool = False
    configs: tuple[str, ...] = ()
    under_pods: tuple[str, ...] = ()
    hooks: tuple[Hook, ...] = ()
    warnings: tuple[str, ...] = ()
    is_seen: bool = False
    deadline_ms: int = 0
    error: ErrorAnswer | None = None
    answer: Answer = Answer("accepted")
    notified: int = 0

    @property
    def is_over(self) -> bool:
        """Whether no step is left."""
        return self.phase is Phase.DONE

    @property
    def is_done(self) -> bool:
        """Whether its answer is final."""
        return self.phase in (Phase.DONE, Phase.NOTIFY)

    @property
    def mark(self) -> str:
        """Helm's description of the revision that this operation makes: a repeat finds it and does nothing twice."""
        return f"placement {hashlib.sha256(self.key.encode()).hexdigest()[:24]}"


def error_answer(error: PlacementError) -> ErrorAnswer:
    """As JSON tells it."""
    return ErrorAnswer(error.code.value, with_left(error.detail, error.left), error.hint)


def with_left(message: str, left: str) -> str:
    """A message with what is left on the cluster, "" = nothing."""
    return f"{message}{_LEFT}{left}." if left else message


def without_left(message: str) -> str:
    """The message that `with_left` was given."""
    return message.split(_LEFT, maxsplit=1)[0]


def left_of(message: str) -> str:
    """What `with_left` was given beside the message, "" = nothing."""
    return message.partition(_LEFT)[2].removesuffix(".")


def encode_answer(answer: Answer) -> bytes:
    """JSON; the fields of diff, status, list and uninstall, and warnings, only where they are."""
    fields = msgspec.to_builtins(answer)
    for name in ("diff", "drift", "placements", "left", "warnings"):
        if fields[name] is None:
            del fields[name]
    return msgspec.json.encode(fields)
