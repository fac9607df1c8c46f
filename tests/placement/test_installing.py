"""One run under a release's lease, with a program in helm's place: what it is told, what is kept and given back."""

from __future__ import annotations

import json
import time
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import pytest
import yaml

from placement import installing
from placement.api import Api
from placement.errors import Code, NotNowError, PlacementError
from placement.helm import Helm
from placement.installing import FailedRunError, Installed, Installer, Run
from placement.kubeconfig import credentials
from placement.releases import Revision, revisions
from tests.placement.fake_cluster import FakeCluster
from tests.placement.test_leases import left
from tests.placement.test_releases import put, record, states

HOLDER = "placement abc"
LEASE = "/apis/coordination.k8s.io/v1/namespaces/{}/leases/placement.upf"


class Notes:
    """A book that only notes.  done: what an earlier run has come to.  ours: whether what is pending is ours."""

    def __init__(self, done: Installed | None = None, *, ours: bool = False) -> None:
        self.made = False
        self.begun: list[list[int]] = []
        self.warnings: tuple[str, ...] = ()
        self._done = done
        self._ours = ours

    def namespace_made(self) -> None:
        self.made = True

    def begins(self, kept: Sequence[Revision]) -> Installed | None:
        self.begun.append([revision.number for revision in kept])
        return self._done

    def is_ours(self, kept: Sequence[Revision]) -> bool:  # noqa: ARG002
        return self._ours

    def warned(self, warnings: tuple[str, ...]) -> None:
        self.warnings = warnings


class Place:
    """A program that is run as helm: it notes its arguments, and then does what `script` says."""

    def __init__(self, folder: Path, cluster: FakeCluster) -> None:
        self.folder = folder
        self.cluster = cluster
        self.said = folder / "argv"
        self.script = "exit 0"

    def api(self) -> Api:
        return Api("a", credentials(self.cluster.kubeconfig, "", "a"))

    def installer(self) -> Installer:
        program = self.folder / "helm"
        program.write_text(f'#!/bin/sh\nprintf "%s\\n" "$@" > {self.said}\n{self.script}\n')
        program.chmod(0o755)
        return Installer(Helm(str(program), folder=self.folder), timeout_s=60)

    def run(self, book: Notes, **changes: Any) -> Installed:
        fields = {"argv": ("upgrade",), "files": {}, "namespace": "lab", "release": "upf", "holder": HOLDER}
        return self.installer().run(self.api(), Run(**(fields | {"until": time.monotonic() + 60} | changes)), book)

    @property
    def argv(self) -> list[str] | None:
        """None = helm did not begin."""
        return self.said.read_text().split("\n")[:-1] if self.said.exists() else None

    def lease(self, namespace: str = "lab") -> str:
        """Whose it is; "" = nobody's."""
        found = self.cluster.objects.get(LEASE.format(namespace))
        return str(found["spec"]["holderIdentity"]) if found else ""


@pytest.fixture
def place(tmp_path: Path, cluster: FakeCluster) -> Place:
    return Place(tmp_path, cluster)


def test_a_run_is_written_down_marked_and_leaves_no_lease(place: Place) -> None:
    put(place.cluster, 1, "deployed")
    book = Notes()
    done = place.run(book, mark="placement abc")
    assert place.argv == ["upgrade", "--description", "placement abc"]
    assert book.begun == [[1]]
    assert (done.before and done.before.number, done.after and done.after.number) == (1, 1)
    assert (place.lease(), book.made) == ("", False)
    place.run(Notes())
    assert place.argv == ["upgrade"]  # rollback and uninstall carry none


def test_what_helm_tells_of_its_revision_counts(place: Place) -> None:
    (place.folder / "told").write_text(json.dumps(record(7, "deployed")))
    place.script = f"cat {place.folder}/told"
    done = place.run(Notes())
    assert (done.before, done.after and done.after.number) == (None, 7)


def test_what_an_earlier_run_has_done_is_not_done_again(place: Place) -> None:
    before = Installed(None, None, repeated=True)
    assert place.run(Notes(before)) is before
    assert (place.argv, place.lease()) == (None, "")


def test_somebodys_helm_is_left_alone(place: Place) -> None:
    put(place.cluster, 1, "pending-install", made_s=time.time())
    with pytest.raises(PlacementError, match="Another helm works on revision 1") as busy:
        place.run(Notes())
    assert busy.value.code is Code.BUSY
    assert (place.argv, place.lease(), states(place.cluster)) == (None, "", [(1, "pending-install")])


def test_what_our_own_run_has_left_is_marked_first(place: Place) -> None:
    put(place.cluster, 1, "pending-install", made_s=time.time())
    place.run(Notes(ours=True))
    assert place.argv == ["upgrade"]
    assert states(place.cluster) == [(1, "failed")]


def test_a_lease_that_ran_out_gives_what_its_holder_has_left(place: Place) -> None:
    put(place.cluster, 1, "pending-install", made_s=time.time() - 60)
    left(place.cluster, time.time() - 40)
    place.run(Notes())
    assert states(place.cluster) == [(1, "failed")]


@pytest.mark.parametrize(("holder", "comes_later"), [(f"{HOLDER}/0a1b", True), (f"{HOLDER}d/0a1b", False)])
def test_an_earlier_run_of_the_same_call_is_waited_for_and_another_call_is_busy(
    place: Place, holder: str, *, comes_later: bool
) -> None:
    left(place.cluster, time.time(), holder, lasts_s=600)
    if comes_later:
        with pytest.raises(NotNowError):
            place.run(Notes())
    else:
        with pytest.raises(PlacementError) as busy:
            place.run(Notes())
        assert busy.value.code is Code.BUSY
    assert (place.argv, place.lease()) == (None, holder)


@pytest.mark.parametrize("granted", [True, False])
def test_a_namespace_is_made_where_that_is_granted_and_noted(place: Place, *, granted: bool) -> None:
    book = Notes()
    if granted:
        place.run(book, namespace="new", create_namespace=True)
        assert place.argv == ["upgrade"]
    else:
        with pytest.raises(PlacementError) as missing:
            place.run(book, namespace="new")
        assert missing.value.code is Code.NAMESPACE_MISSING
    assert book.made is granted
    assert ("/api/v1/namespaces/new" in place.cluster.objects) is granted
    assert place.lease("new") == ""


def test_a_namespace_that_another_makes_meanwhile_is_not_ours(place: Place, monkeypatch: pytest.MonkeyPatch) -> None:
    book, asking = Notes(), place.api()
    real = asking.post

    def made_meanwhile(path: str, body: Any) -> dict[str, Any]:
        if path == "/api/v1/namespaces":
            place.cluster.put("/api/v1/namespaces/new", {"kind": "Namespace", "metadata": {"name": "new"}})
        return real(path, body)

    monkeypatch.setattr(asking, "post", made_meanwhile)
    until = time.monotonic() + 60
    run = Run(("upgrade",), {}, "new", "upf", HOLDER, until, create_namespace=True)
    place.installer().run(asking, run, book)
    assert (book.made, place.argv) == (False, ["upgrade"])


def failed(place: Place, book: Notes, said: str, **changes: Any) -> FailedRunError:
    (place.folder / "said").write_text(f"Error: {said}\n")
    place.script = f"cat {place.folder}/said >&2; exit 1"
    with pytest.raises(FailedRunError) as caught:
        place.run(book, **changes)
    assert place.lease() == ""
    return caught.value


def test_a_run_that_failed_tells_what_there_is_since_and_no_word_of_the_values(place: Place) -> None:
    put(place.cluster, 1, "deployed")
    error = failed(place, Notes(), "the field hunter2-hunter2 is odd", struck=frozenset({"hunter2-hunter2"}))
    assert (error.error.code, error.error.detail) == (Code.APPLY_FAILED, "Helm says: the field *** is odd.")
    assert [revision.number for revision in error.kept or ()] == [1]


def test_what_a_failed_run_has_left_pending_is_marked(place: Place) -> None:
    put(place.cluster, 1, "deployed")
    book = Notes(ours=True)
    real = book.begins

    def begins(kept: Sequence[Revision]) -> Installed | None:
        put(place.cluster, 2, "pending-upgrade", made_s=time.time())  # as helm will
        return real(kept)

    book.begins = begins  # type: ignore[method-assign]
    error = failed(place, book, "it is odd")
    assert [(revision.number, revision.status) for revision in error.kept or ()] == [(1, "deployed"), (2, "failed")]


def test_a_cluster_that_went_away_is_looked_at_later(place: Place) -> None:
    error = failed(place, Notes(), "Kubernetes cluster unreachable: connection refused")
    assert (error.error.code, error.kept) == (Code.CLUSTER_DOWN, None)


def test_where_somebodys_helm_was_first_nothing_of_it_is_ours(place: Place) -> None:
    put(place.cluster, 1, "deployed")
    book = Notes(ours=True)
    real = book.begins

    def begins(kept: Sequence[Revision]) -> Installed | None:
        put(place.cluster, 2, "pending-upgrade", made_s=time.time())  # a moment before ours
        return real(kept)

    book.begins = begins  # type: ignore[method-assign]
    error = failed(place, book, "another operation (install/upgrade/rollback) is in progress")
    assert error.error.code is Code.BUSY
    assert [revision.number for revision in error.kept or ()] == [1]
    assert states(place.cluster) == [(1, "deployed"), (2, "pending-upgrade")]


def test_helms_own_error_is_told_where_nobody_can_look_afterwards(place: Place) -> None:
    book = Notes()
    real = book.begins

    def begins(kept: Sequence[Revision]) -> Installed | None:
        place.cluster.refuse.add("/secrets")
        return real(kept)

    book.begins = begins  # type: ignore[method-assign]
    error = failed(place, book, "the field is odd")
    assert (error.error.code, error.kept) == (Code.APPLY_FAILED, None)


def test_a_run_whose_lease_another_has_taken_is_stopped(place: Place, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(installing, "RENEW_EVERY_S", 0.05)
    place.script = "sleep 60"
    book = Notes()
    real = book.begins

    def begins(kept: Sequence[Revision]) -> Installed | None:
        left(place.cluster, time.time(), lasts_s=600)
        return real(kept)

    book.begins = begins  # type: ignore[method-assign]
    begun = time.monotonic()
    with pytest.raises(FailedRunError) as lost:
        place.run(book)
    assert (lost.value.error.code, lost.value.kept) == (Code.LEASE_LOST, None)
    assert time.monotonic() < begun + 50
    assert place.lease() == "others/1"


def test_a_lease_that_is_too_old_begins_no_helm(place: Place, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(installing, "PATIENCE_S", 0.0)
    book = Notes()
    with pytest.raises(NotNowError):
        place.run(book)
    assert (place.argv, book.begun, place.lease()) == (None, [], "")


@pytest.mark.parametrize("ours", [True, False])
def test_mending_marks_what_is_ours_and_leaves_no_lease(place: Place, *, ours: bool) -> None:
    put(place.cluster, 1, "pending-install", made_s=time.time())

    def is_ours(_: Sequence[Revision]) -> bool:
        return ours

    kept = place.installer().mend(place.api(), "lab", "upf", HOLDER, is_ours)
    wanted = "failed" if ours else "pending-install"
    assert [revision.status for revision in kept] == [wanted]
    assert [revision.status for revision in revisions(place.api(), "lab", "upf")] == [wanted]
    assert place.lease() == ""
    place.cluster.refuse.add("/secrets")
    with pytest.raises(PlacementError):
        place.installer().mend(place.api(), "lab", "upf", HOLDER, is_ours)
    assert place.lease() == ""


def test_what_is_left_is_named_in_part_where_it_is_much() -> None:
    things = [{"kind": "ConfigMap", "metadata": {"name": f"c{n}"}} for n in range(12)]
    made = Revision(2, "failed", "nf-1.0.0", yaml.safe_dump_all(things), {}, "")
    said = installing.left(Revision(1, "deployed", "nf-1.0.0", "", {}, ""), made)
    assert said.startswith("revision 2 marked failed, with some or all of ConfigMap/c0, ")
    assert said.endswith("ConfigMap/c9 and 2 more; revision 1 was there before")
    assert installing.left(made, None) == ""


def test_what_is_there_of_hooks_is_named_beside_the_objects() -> None:
    made = Revision(1, "failed", "nf-1.0.0", "kind: ConfigMap\nmetadata: {name: c}", {}, "")
    said = "revision 1 marked failed, with some or all of ConfigMap/c"
    assert installing.left(None, made, []) == said
    hooks = ", and Job/migrate, perhaps Job/check of its hooks, which helm does not remove"
    assert installing.left(None, made, ["Job/migrate", "perhaps Job/check"]) == said + hooks
