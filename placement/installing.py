"""The step that changes a cluster: one run of helm under the release's lease; what an interrupted one left, mended."""

from __future__ import annotations

import json
import time
import uuid
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Protocol

from placement import helm_warnings, hooks, manifest, namespaces, releases, step_time
from placement.api import Api, ApiError, as_told
from placement.errors import Code, NotNowError, PlacementError
from placement.helm import Helm, Keepalive, Ran, Turn
from placement.helm_errors import meaning
from placement.leases import DURATION_S, HeldError, Lease
from placement.masking import all_words
from placement.releases import Revision

RENEW_EVERY_S = 2.0
PATIENCE_S = 6.0
"""From when the lease was written last, before helm begins as well; shorter than the lease by more than helm's grace,
so that no other run begins beside one dying."""


@dataclass(frozen=True, slots=True)
class Run:
    """What helm is to do.  mark: description that its revision will carry, "" for rollback and uninstall.

    until: when helm is to be over, by the monotonic clock: it has less where what comes before took long.
    """

    argv: tuple[str, ...]
    files: Mapping[str, str]
    namespace: str
    release: str
    holder: str
    until: float
    mark: str = ""
    create_namespace: bool = False
    struck: frozenset[str] = frozenset()


@dataclass(frozen=True, slots=True)
class Installed:
    """before, after: the newest revisions around the run; None = no release.  repeated: an earlier run had done it.

    overtaken: another call has changed the release since.
    """

    before: Revision | None
    after: Revision | None
    repeated: bool = False
    overtaken: bool = False


class Book(Protocol):
    """Where a run is written down."""

    def namespace_made(self) -> None:
        """The run's namespace was not there and has been made."""

    def begins(self, kept: Sequence[Revision]) -> Installed | None:
        """Helm begins now.  kept: the revisions there are, oldest first, under the lease.

        Or it does not: what an earlier run has done already.
        """

    def is_ours(self, kept: Sequence[Revision]) -> bool:
        """Whether a run of this call, which has ended, may have left the newest of these, which is pending."""

    def warned(self, warnings: tuple[str, ...]) -> None:
        """Helm has ended, and warned of these, without what is secret."""


class Installer:
    """Runs helm on clusters."""

    def __init__(self, helm: Helm, *, timeout_s: float) -> None:
        self._helm = helm
        self._timeout_s = timeout_s

    def run(self, api: Api, run: Run, book: Book) -> Installed:
        """Do it.  Raises NotNowError, PlacementError before helm has begun, FailedRunError afterwards.

        PlacementError busy: another run has the lease, or somebody's helm works on the release without one.
        """
        lease = self._lease(api, run, book)
        try:
            # Renewed also while helm's turn and a slow cluster are waited for.
            with self._kept(lease) as keepalive, self._helm.turn() as turn:
                return self._under(api, run, keepalive, turn, book)
        finally:
            _release(api, lease, run.until + step_time.AFTER_S)

    def mend(
        self, api: Api, namespace: str, release: str, holder: str, is_ours: Callable[[Sequence[Revision]], bool]
    ) -> list[Revision]:
        """After an interrupted run: under the lease, mark what it left pending as failed; every one, oldest first.

        Raises NotNowError, PlacementError.
        """
        lease = self._lease(api, Run((), {}, namespace, release, holder, until=0.0))
        try:
            return releases.recover(api, namespace, release, is_ours)
        finally:
            _release(api, lease)

    def _lease(self, api: Api, run: Run, book: Book | None = None) -> Lease:
        lease = Lease(api, run.namespace, run.release, f"{run.holder}/{uuid.uuid4().hex[:8]}", DURATION_S)
        ended_s: float | None = None
        try:
            ended_s = lease.take()
        except HeldError as e:
            # Our own earlier run was killed with the function; its lease ends by itself.
            if e.holder.startswith(f"{run.holder}/"):
                raise NotNowError from e
            raise
        except PlacementError as e:
            if book is None or not self._made_namespace(api, run, book, e.code):
                raise
            if api.account:
                raise NotNowError from e  # its rights do not count at once
            lease.take()
        if ended_s is not None:
            # The function that held it was killed, and its helm with it; what helm began since then is somebody else's.
            # Where this fails the lease runs out again, and the next run sees the same.
            releases.recover(api, run.namespace, run.release, lambda _: False, ended_s=ended_s)
        return lease

    @staticmethod
    def _made_namespace(api: Api, run: Run, book: Book, told: Code) -> bool:
        """Whether the namespace is there now, and its account is let in, or will be in a moment."""
        if not run.create_namespace:
            return False
        if told is Code.NAMESPACE_MISSING:
            if namespaces.make(api, run.namespace):
                book.namespace_made()
            namespaces.grant(api, run.namespace)
            return True
        return told is Code.CLUSTER_REFUSED and bool(api.account) and namespaces.is_to_be_finished(api, run.namespace)

    def _kept(self, lease: Lease) -> Keepalive:
        return Keepalive(lease.renew, since=lease.written, every_s=RENEW_EVERY_S, patience_s=PATIENCE_S)

    def _under(self, api: Api, run: Run, keepalive: Keepalive, turn: Turn, book: Book) -> Installed:
        kept = releases.recover(api, run.namespace, run.release, book.is_ours)
        if releases.is_pending(kept):
            raise _occupied(kept[-1])
        if keepalive.is_lost():
            raise NotNowError
        done = book.begins(kept)
        if done is not None:
            return done
        before = _newest(kept)
        argv = (*run.argv, "--description", run.mark) if run.mark else run.argv
        timeout_s = step_time.helm_has_s(self._timeout_s, run.until)
        api.until = run.until + step_time.AFTER_S  # before helm began it had less time: helm's own was kept free
        ran = turn.run(argv, run.files, timeout_s=timeout_s, keepalive=keepalive)
        # What is gone back to has values of its own, and whoever goes back need not know them.
        struck = run.struck.union(*(all_words(revision.config) for revision in kept))
        book.warned(helm_warnings.warnings(ran.stderr, struck))
        if ran.stopped is None and ran.exit_code == 0:
            return Installed(before, _revision_of(ran) or _newest(_looked(api, run, lambda _: False)))
        error = PlacementError(ran.stopped) if ran.stopped is not None else meaning(ran.stderr, struck)
        if ran.stopped is not None or error.code is Code.CLUSTER_DOWN:
            raise FailedRunError(error, starved=ran.starved and ran.stopped is Code.TIMEOUT)
        if error.code is Code.BUSY:  # somebody's helm was there first, and ours has done nothing
            raise FailedRunError(error, kept)
        raise FailedRunError(error, _looked(api, run, book.is_ours, error))


class FailedRunError(Exception):
    """Helm began and failed.  error: why.  kept: the revisions there are since; None = they must be looked at yet.

    starved: it did not end in its time, for want of a processor.
    """

    def __init__(self, error: PlacementError, kept: Sequence[Revision] | None = None, *, starved: bool = False) -> None:
        super().__init__(str(error))
        self.error = error
        self.kept = kept
        self.starved = starved


def _release(api: Api, lease: Lease, until: float = 0.0) -> None:
    if api.until is not None:
        api.until = max(api.until, until, time.monotonic() + step_time.RELEASE_S)
    lease.release()


def _occupied(pending: Revision) -> PlacementError:
    return PlacementError(
        Code.BUSY,
        f"Another helm works on revision {pending.number} ({pending.status}), or was killed while it did: "
        f"it counts as killed {releases.STALE_S / 60:g} minutes after it has written there last.",
    )


def _looked(
    api: Api, run: Run, is_ours: Callable[[Sequence[Revision]], bool], error: PlacementError | None = None
) -> list[Revision]:
    """The revisions after a run.  Raises FailedRunError, with the run's own error if it had one."""
    try:
        return releases.recover(api, run.namespace, run.release, is_ours)
    except (ApiError, PlacementError) as e:
        raise FailedRunError(error or as_told(e)) from e


def _newest(kept: Sequence[Revision]) -> Revision | None:
    return kept[-1] if kept else None


def left(before: Revision | None, after: Revision | None, of_hooks: Sequence[str] = ()) -> str:
    """What a failed run left on the cluster, "" = nothing.

    after: the newest revision that it made.  of_hooks: what is there of its hooks.
    """
    if after is None:
        return ""
    names = ["/".join((kind, name)) for kind, _, name in map(manifest.name_of, manifest.objects(after.manifest))]
    shown = hooks.listed(names) or "no objects"
    beside = f", and {hooks.told(of_hooks)}" if of_hooks else ""
    kept = f"; revision {before.number} was there before" if before is not None else ""
    return f"revision {after.number} marked {after.status}, with some or all of {shown}{beside}{kept}"


def _revision_of(ran: Ran) -> Revision | None:
    """What `helm upgrade --output json` tells; rollback and uninstall tell nothing."""
    try:
        record = json.loads(ran.stdout)
    except ValueError:
        return None
    return releases.revision_of(record) if isinstance(record, dict) else None
