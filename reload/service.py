"""The actions of config-reload on one cluster."""

from __future__ import annotations

import difflib
import time
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from typing import Any

from reload import apply, edits, history
from reload.apply import Target
from reload.cluster import Cluster, Config
from reload.errors import ReloadError
from reload.kubernetes_cluster import READ_S
from reload.request import Request
from trust import hiding

CALL_S = 4.5
"""Until when an invocation asks its cluster: with everything around it, none lasts over about 5 s.

Only of a write that is begun the answer is waited for longer: for the ConfigMap within READ_S, for its history until
WRITTEN_BY_S.
"""
WRITTEN_BY_S = 5.25
"""Until when an invocation that has written a ConfigMap waits for its history.

At least a second, as the ConfigMap is answered for by WRITE_BY_S + READ_S.
"""
IN_LINE_S = 3.5
"""Until when it looks at pods again: the last look has a second to end in."""
WRITE_BY_S = CALL_S / 2
"""Until when it begins to write.

Two answers of the API server come before, and two, for the ConfigMap and its history, after: where that is so slow that
they might not come in time, nothing is written.
"""
LOOK_S = READ_S
"""How long one pod may take to answer: a slow API server, which hands the question on, makes no pod silent."""

Answer = dict[str, Any]


@dataclass(frozen=True, slots=True)
class Worked:
    """answer: its fields.  open: whose pods are to be waited for longer, None = nothing is left to do."""

    answer: Answer
    open: Target | None = None


class _CallClock:
    """Seconds since a call began, without those in which it works by itself: files of a megabyte may take some."""

    def __init__(self, timer: Callable[[], float]) -> None:
        self._timer = timer
        self._begin_s = timer()

    def __call__(self) -> float:
        return self._timer() - self._begin_s

    def aside(self, change: Callable[[apply.Files], apply.Files]) -> Callable[[apply.Files], apply.Files]:
        """The same change, whose time does not count."""

        def changed(files: apply.Files) -> apply.Files:
            begin_s = self._timer()
            try:
                return change(files)
            finally:
                self._begin_s += self._timer() - begin_s

        return changed


class Service:
    """clock: Unix seconds, for history.  timer: grows, for waiting.  in_line_s: how long a call waits for pods."""

    def __init__(
        self,
        clock: Callable[[], float] = time.time,
        timer: Callable[[], float] = time.monotonic,
        *,
        in_line_s: float = IN_LINE_S,
    ) -> None:
        self._clock = clock
        self._timer = timer
        self._in_line_s = in_line_s

    def work(self, cluster: Cluster, request: Request, caller: str) -> Worked:
        """Do it, and wait for pods for as long as a call may.  Raises ReloadError."""
        begin_s = self._timer()
        clock = _CallClock(self._timer)
        cluster = cluster.until(CALL_S, clock)
        target: Target | None = None
        known = None if request.configmap else self._only_config(cluster, request)
        name = known.name if known else request.configmap
        selector = f"app.kubernetes.io/instance={request.release}" if request.release else ""
        match request.action:
            case "diff":
                answer = self._diff(request, known or cluster.config(request.namespace, name))
            case "history":
                answer = self._history(cluster, request, name)
            case "status":
                written = self._read(cluster, request, name, selector, known)
                answer, target = self._waited(cluster, written, clock, wait=request.wait)
            case _:
                answer, target = self._changed(
                    cluster, request, name, known, selector=selector, caller=caller, clock=clock
                )
        return Worked({**answer, "configmap": name, "time_taken_s": round(self._timer() - begin_s, 3)}, target)

    def _only_config(self, cluster: Cluster, request: Request) -> Config:
        found = apply.configs_of_release(cluster, request.namespace, request.release)
        if len(found) == 1:
            return found[0]
        names = ", ".join(config.name for config in found)
        raise ReloadError(
            "configmap_missing",
            f"release {request.release} has {len(found)} ConfigMaps under reload in {request.namespace}",
            f"name one as configmap: {names}" if found else "is it installed there, from charts/network-function?",
        )

    def _change(self, request: Request) -> Callable[[apply.Files], apply.Files]:
        paths: dict[str, dict[edits.Path, object]] = {}
        for target, value in request.set.items():
            file, path = edits.split_target(target)
            paths.setdefault(file, {})[path] = value

        def change(files: apply.Files) -> apply.Files:
            after = dict(files)
            for name, text in request.files.items():
                self._require_known(name, after, request)
                if text is None:
                    after.pop(name, None)
                else:
                    after[name] = text.encode()
                    edits.require_parsable(name, after[name])
            for name, wanted in paths.items():
                if name not in after:
                    raise ReloadError("file_unknown", f"the ConfigMap has no file {name}", _those(after))
                after[name] = edits.edited(name, after[name], wanted, create=request.create)
            return after

        return change

    @staticmethod
    def _require_known(name: str, files: Mapping[str, bytes], request: Request) -> None:
        if name not in files and not request.create:
            hint = "`create: true` adds a file"
            raise ReloadError("file_unknown", f"the ConfigMap has no file {name}", f"{_those(files)}; {hint}")

    def _changed(
        self,
        cluster: Cluster,
        request: Request,
        name: str,
        known: Config | None,
        *,
        selector: str,
        caller: str,
        clock: _CallClock,
    ) -> tuple[Answer, Target | None]:
        past = history.load(cluster, request.namespace, name)
        done = past.of(caller, request.call) if request.call else None
        if done is not None:
            # The same call again: what it wrote is written; the answer tells how far the pods are with what is there.
            written = self._read(cluster, request, name, selector)
            answer, target = self._nudged(cluster, written, clock, wait=request.wait)
            return {**answer, "revision": done.revision} if done.changed else answer, target
        change = self._back(past.entries, request.revision) if request.action == "rollback" else self._change(request)
        written = apply.write(
            cluster,
            request.namespace,
            name,
            clock.aside(change),
            selector=selector,
            known=known,
            begin_by_s=WRITE_BY_S,
            clock=clock,
        )
        if not written.changed:
            noted = self._noted(cluster.until(WRITTEN_BY_S, clock), written, caller, request.call, past)
            answer, target = self._nudged(cluster, written, clock, wait=request.wait)
            return {**answer, **noted}, target
        # Before anything else that may fail: what is not in the history, rollback cannot go back to.
        remembered = self._remembered(cluster.until(WRITTEN_BY_S, clock), written, caller, request.call, past)
        if request.action == "rollback" and not _is_known(past.entries, written.before):
            hint = "another rollback returns to what it held"
            remembered = {"warning": _unknown(name, "held", hint), **remembered}
        answer, target = self._nudged(cluster, written, clock, wait=request.wait)
        return {**answer, **remembered}, target

    def _remembered(
        self, cluster: Cluster, written: apply.Written, caller: str, call: str, past: history.Past
    ) -> Answer:
        """The new revision of the history, or why there is none: pods take the change all the same."""
        at = int(self._clock())
        try:
            revision = history.add(cluster, written.before, written.after, at=at, by=caller, call=call, past=past)
            return {"revision": revision}
        except ReloadError as e:
            hint = "rollback would go back past it: to undo it, apply what was there before"
            what = "its history is not"
            if e.code == "cluster_unreachable":  # an answer that is late is no refusal
                what, hint = "perhaps its history is not", f"action history shows whether; if it is not, {hint}"
            return {"revision": None, "warning": written_but(written.target.config, what, e, hint)}

    def _noted(self, cluster: Cluster, written: apply.Written, caller: str, call: str, past: history.Past) -> Answer:
        """Have the history know a call that found nothing to write, or a warning: later it might find something."""
        if not call:
            return {}
        try:
            history.note_unchanged(cluster, written.after, at=int(self._clock()), by=caller, call=call, past=past)
        except ReloadError as e:
            message = f"perhaps the history of ConfigMap {written.target.config} does not know this call: {e.detail}"
            hint = "sent again after another change it would be done anew"
            return {"warning": {"code": e.code, "message": message, "hint": hint}}
        return {}

    def _nudged(
        self, cluster: Cluster, written: apply.Written, clock: _CallClock, *, wait: bool
    ) -> tuple[Answer, Target | None]:
        """Have the pods take what is written, also where an earlier call wrote it and could not nudge them."""
        target = written.target
        try:
            pods = apply.pods_of(cluster, [target])
            apply.nudge_pods(cluster, pods)
            return self._waited(cluster, written, clock, wait=wait, pods=pods)
        except ReloadError as e:
            answer: Answer = {
                "status": "waiting",
                "changed": written.changed,
                "applied": 0,
                "of": None,
                "pods": [],
                "error": written_but(target.config, UNASKED, e),
                "digest": target.digest,
            }
            return answer, target if wait else None

    @staticmethod
    def _back(past: list[history.Entry], revision: int | None) -> Callable[[apply.Files], apply.Files]:
        entry = next((e for e in past if revision is None or e.revision == revision), None)
        if entry is None or not entry.files:
            known = ", ".join(str(e.revision) for e in past if e.files)
            raise ReloadError(
                "revision_unknown",
                "there is nothing to go back to" if revision is None else f"the history has no revision {revision}",
                f"there are: {known}" if known else "",
            )
        contents = entry.contents()
        return lambda _files: contents

    @staticmethod
    def _read(
        cluster: Cluster, request: Request, name: str, selector: str, known: Config | None = None
    ) -> apply.Written:
        return apply.write(cluster, request.namespace, name, lambda files: files, selector=selector, known=known)

    def _waited(
        self,
        cluster: Cluster,
        written: apply.Written,
        clock: _CallClock,
        *,
        wait: bool,
        pods: apply.Asked | None = None,
    ) -> tuple[Answer, Target | None]:
        until_s = self._in_line_s if wait else clock()
        target = written.target
        progress = apply.wait(cluster, [target], until_s=until_s, clock=clock, timeout_s=LOOK_S, pods=pods)
        progress = progress.without_secrets(written.after.files)
        answer = {**as_answer(progress, changed=written.changed, wait=wait), "digest": target.digest}
        return answer, target if wait and not progress.settled else None

    def _diff(self, request: Request, config: Config | None) -> Answer:
        if config is None:
            detail = f"namespace {request.namespace} has no ConfigMap {request.configmap}"
            raise ReloadError("configmap_missing", detail)
        after = self._change(request)(config.files)
        return {"status": "diff", "diff": _difference(config.files, after), "digest": config.digest}

    @staticmethod
    def _history(cluster: Cluster, request: Request, name: str) -> Answer:
        past = history.load(cluster, request.namespace, name).entries
        config = cluster.config(request.namespace, name)
        shown = [
            {
                "revision": e.revision,
                "at": e.at,
                "by": e.by,
                "call": e.call,
                "digest": e.digest,
                "replaced": e.replaced,
                "kept": bool(e.files),
            }
            for e in past[: history.ENTRIES]
        ]
        answer: Answer = {"status": "history", "history": shown}
        if config is not None and not _is_known(past, config):
            hint = "Helm, kubectl, or a call that was killed half way: rollback would go back past it"
            answer["warning"] = _unknown(name, "holds", hint)
        return answer


def as_answer(progress: apply.Progress, *, changed: bool, wait: bool) -> Answer:
    """How far the pods are, as an answer's fields.  wait: whether the caller wants them all."""
    return {
        "status": _status(progress, changed),
        "changed": changed,
        "applied": progress.applied,
        "of": progress.of,
        "pods": progress.as_json(),
        "error": _error(progress) if wait else None,
    }


UNASKED = "its pods could not be nudged, or not be asked"


def written_but(config: str, what: str, error: ReloadError, hint: str = "action status asks again") -> dict[str, str]:
    """An answer's `error` for what failed once the ConfigMap held the change."""
    message = f"ConfigMap {config} is written, but {what}: {error.detail}"
    return {"code": error.code, "message": message, "hint": hint}


def _is_known(past: list[history.Entry], config: Config) -> bool:
    """Whether it holds what the newest write wrote; nothing is said of a ConfigMap without a history."""
    return not past or past[0].digest == config.digest


def _unknown(config: str, holds: str, hint: str) -> dict[str, str]:
    message = f"ConfigMap {config} {holds} what no write in its history has written"
    return {"code": "write_unknown", "message": message, "hint": hint}


def _those(files: Mapping[str, bytes]) -> str:
    return "there are: " + ", ".join(sorted(files))


def _status(progress: apply.Progress, changed: bool) -> str:
    states = {report.state for report in progress.pods}
    if not states:
        return "written"  # nobody runs with it
    for state in ("rejected", "failed"):
        if state in states:
            return state
    if states & {"waiting", "silent"}:
        return "waiting"
    if "unmanaged" in states:
        return "unmanaged"  # nobody can say what it runs with
    return "applied" if changed else "unchanged"


def _error(progress: apply.Progress) -> dict[str, str] | None:
    """What the caller has to know when not every pod runs with it, or none is there to do so."""
    if not progress.pods:
        message = "the ConfigMap holds it, but there is no pod that mounts it"
        hint = "is it the one that the daemon reads, and its workload not scaled to 0?  action status asks again"
        return {"code": "pod_missing", "message": message, "hint": hint}
    for state, code, words, hint in (
        ("rejected", "candidate_rejected", "keeps running on its last good configuration", "rollback, or correct it"),
        ("failed", "candidate_failed", "went back to its last good configuration", "rollback, or correct it"),
        ("silent", "pod_silent", "does not say what it runs with", "is its reload agent up?  action status asks again"),
        ("waiting", "pod_waiting", "has not taken it yet", "action status asks again"),
        ("unmanaged", "pod_unmanaged", "has no reload agent", "deploy it from charts/network-function"),
    ):
        found = [report for report in progress.pods if report.state == state]
        if found:
            first = found[0]
            detail = f": {first.detail}" if first.detail else ""
            message = f"{len(found)} of {progress.of}: pod {first.name} {words}{detail}"
            return {"code": code, "message": message, "hint": hint}
    return None


def _difference(before: Mapping[str, bytes], after: Mapping[str, bytes]) -> str:
    """A unified diff, with what looks like a secret struck: that it changes is seen, and not to what."""
    lines: list[str] = []
    for name in sorted({*before, *after}):
        old, new = (files.get(name, b"").decode("utf-8", "replace").splitlines() for files in (before, after))
        if old != new:
            lines += [f"--- {name} (now)", f"+++ {name} (then)", *_hunks(old, new)]
    return "\n".join(lines)


def _hunks(old: list[str], new: list[str]) -> Iterator[str]:
    """Compared as they are and only then struck."""
    was, will = hiding.shown(old), hiding.shown(new)
    for hunk in difflib.SequenceMatcher(None, old, new).get_grouped_opcodes(2):
        (_, a, _, c, _), (_, _, b, _, d) = hunk[0], hunk[-1]
        yield f"@@ -{a + 1},{b - a} +{c + 1},{d - c} @@"
        for tag, i, j, m, n in hunk:
            if tag == "equal":  # it may stand in a PEM block in one of them only
                yield from (f" {x if x != raw else y}" for raw, x, y in zip(old[i:j], was[i:j], will[m:n], strict=True))
            else:
                yield from (f"-{line}" for line in was[i:j])
                yield from (f"+{line}" for line in will[m:n])
