"""A release that somebody's own helm works on is left to it; what a helm that was killed has left is taken over."""

from __future__ import annotations

import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import pytest

from placement.helm import Helm, Ran
from placement.operation import Phase
from placement.releases import decode, encode
from tests.placement.conftest import Site
from tests.placement.fake_cluster import wait_for
from tests.placement.test_apply import release_states
from tests.placement.test_interrupted import LEASES, begun, operation, turn_to_end

RECORD = "/api/v1/namespaces/lab/secrets/sh.helm.release.v1.upf.v{}"
LEASE = f"{LEASES}/placement.upf"
TAKEN_OVER = [(1, "superseded"), (2, "failed"), (3, "deployed")]
BY_HAND = ("upgrade", "--install", "upf", "--version", "1.0.0", "--namespace", "lab", "--kubeconfig", "kubeconfig")


def run_by_hand(site: Site) -> Ran:
    """Somebody's helm, which changes the image."""
    argv = (*BY_HAND, site.registry.oci(), "--plain-http", "--set", "image=registry.test/nf:by-hand")
    with Helm(site.environment["helm_binary"], folder=site.folder).turn() as turn:
        return turn.run(argv, {"kubeconfig": site.clusters[0].kubeconfig}, timeout_s=120)


@contextmanager
def helm_by_hand(site: Site) -> Iterator[list[Ran]]:
    """Somebody's helm hangs in its middle until the block ends; then how it ended."""
    cluster, ran = site.clusters[0], list[Ran]()
    cluster.stall = ("PATCH", "/deployments")
    thread = threading.Thread(target=lambda: ran.append(run_by_hand(site)))
    thread.start()
    try:
        wait_for(cluster.stalled.is_set, "somebody's helm in its middle")
        yield ran
    finally:
        cluster.stall = None
        cluster.go_on.set()
        thread.join()
    assert ran[0].exit_code == 0, ran[0].stderr


def image(site: Site) -> str:
    [deployment] = site.clusters[0].things("deployments")
    return str(deployment["spec"]["template"]["spec"]["containers"][0]["image"])


@pytest.mark.parametrize("action", ["apply", "rollback", "uninstall"])
@pytest.mark.parametrize("atomic", [False, True])
def test_a_release_that_somebodys_helm_works_on_is_busy_and_left_to_it(
    site: Site, action: str, *, atomic: bool
) -> None:
    site.call(cluster="a", values={"tac": "1"})
    site.call(cluster="a", values={"tac": "2"})
    with helm_by_hand(site):
        answer = site.call(cluster="a", action=action, atomic=atomic)
        assert (answer.status, answer.code, answer.body["revision"]) == ("failed", "busy", None)
        assert "revision 3 (pending-upgrade)" in answer.body["error"]["message"]
        assert "15 minutes" in answer.body["error"]["hint"]
        assert release_states(site)[-1] == (3, "pending-upgrade")
    assert release_states(site) == [(1, "superseded"), (2, "superseded"), (3, "deployed")]
    assert image(site) == "registry.test/nf:by-hand"
    assert site.call(cluster="a").body["revision"] == 4


@pytest.mark.parametrize(("is_refused", "code"), [(False, "pods_crash"), (True, "apply_failed")])
def test_going_back_waits_for_somebodys_helm_and_leaves_its_revision(
    site: Site, code: str, *, is_refused: bool
) -> None:
    site.call(cluster="a")
    site.clusters[0].pods = "crash"
    site.clusters[0].refuse_bodies = "nf:bad" if is_refused else ""
    begun(site, "bad", atomic=True, values={"image": "registry.test/nf:bad"})
    site.turn_until(lambda: operation(site, "bad").phase is Phase.UNDO, "the way back")
    site.clusters[0].pods = "ready"
    with helm_by_hand(site):
        tries = site.clusters[0].calls.count(("POST", LEASES))
        site.turn_until(lambda: site.clusters[0].calls.count(("POST", LEASES)) > tries + 1, "two tries to go back")
        assert operation(site, "bad").phase is Phase.UNDO
    answer = turn_to_end(site, "bad")
    assert (answer.status, answer.code) == ("failed", code)
    assert "another call has changed it meanwhile" in answer.body["error"]["message"]
    assert release_states(site) == [(1, "superseded"), (2, "failed" if is_refused else "superseded"), (3, "deployed")]
    assert image(site) == "registry.test/nf:by-hand"


def left_pending(
    site: Site, number: int = 2, status: str = "pending-upgrade", description: str = "Preparing upgrade", **labels: str
) -> None:
    """Write a revision as helm would when it begins, from what revision 1 was."""
    with site.clusters[0].lock:
        first = site.clusters[0].objects[RECORD.format(1)]
        record = decode(first)
        record |= {"version": number, "info": record["info"] | {"status": status, "description": description}}
        kept = {name: text for name, text in first["metadata"]["labels"].items() if name != "modifiedAt"}
        named = kept | {"status": status, "version": str(number)} | (labels or {"createdAt": ago(0)})
        metadata: dict[str, Any] = {"name": RECORD.format(number).rpartition("/")[2], "labels": named}
        site.clusters[0].put(
            RECORD.format(number), {**first, "metadata": metadata, "data": {"release": encode(record)}}
        )


def ago(minutes: int) -> str:
    """As helm writes a time into its record's labels."""
    return str(int(time.time() - minutes * 60))


@pytest.mark.parametrize(
    ("minutes", "is_taken_over"),
    [
        ({"createdAt": 13}, False),
        ({"createdAt": 17}, True),
        ({"createdAt": 60, "modifiedAt": 13}, False),
        ({"createdAt": 60, "modifiedAt": 17}, True),
    ],
)
def test_what_nobody_has_written_for_a_quarter_of_an_hour_was_left_by_a_killed_helm(
    site: Site, minutes: dict[str, int], *, is_taken_over: bool
) -> None:
    site.call(cluster="a")
    left_pending(site, **{name: ago(since) for name, since in minutes.items()})
    answer = site.call(cluster="a", values={"tac": "8"})
    assert (answer.status, answer.code) == (("ready", None) if is_taken_over else ("failed", "busy"))
    assert release_states(site) == (TAKEN_OVER if is_taken_over else [(1, "deployed"), (2, "pending-upgrade")])


def test_the_clusters_time_of_a_record_counts_where_somebodys_clock_is_behind(site: Site) -> None:
    site.call(cluster="a")
    left_pending(site, createdAt=ago(60))
    made = time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime())
    site.clusters[0].objects[RECORD.format(2)]["metadata"]["creationTimestamp"] = made
    assert site.call(cluster="a").code == "busy"


def left_lease(site: Site, holder: str) -> None:
    """Make the release's lease one that ended half a minute ago."""
    renewed = time.strftime("%Y-%m-%dT%H:%M:%S.000000Z", time.gmtime(time.time() - 40))
    spec = {"holderIdentity": holder, "leaseDurationSeconds": 10, "renewTime": renewed}
    site.clusters[0].put(LEASE, {"kind": "Lease", "metadata": {"name": "placement.upf"}, "spec": spec})


def test_a_lease_that_ended_before_gives_no_right_to_what_somebodys_helm_has_begun_since(site: Site) -> None:
    site.call(cluster="a")
    left_lease(site, "placement 1/1")
    with helm_by_hand(site):
        assert site.call(cluster="a").code == "busy"
        assert release_states(site)[-1] == (2, "pending-upgrade")
    assert release_states(site) == [(1, "superseded"), (2, "deployed")]


def test_what_a_killed_function_left_is_taken_over_at_once(site: Site) -> None:
    site.call(cluster="a")
    left_pending(site, createdAt=ago(1))
    left_lease(site, "placement 1/1")
    answer = site.call(cluster="a", values={"tac": "8"})
    assert (answer.status, answer.body["revision"]) == ("ready", 3)
    assert release_states(site) == TAKEN_OVER


def breaks_off(site: Site, call_id: str, method: str, path: str) -> None:
    """Have helm's first try to go back end where it asks for this."""
    site.clusters[0].trouble.append((method, path, 500))
    site.turn_until(lambda: operation(site, call_id).undoing, "a try to go back")


def test_a_rollback_by_hand_is_waited_for_where_none_of_ours_has_begun(site: Site) -> None:
    site.call(cluster="a")
    site.clusters[0].pods = "crash"
    begun(site, "bad", atomic=True, values={"image": "registry.test/nf:bad"})
    site.turn_until(lambda: operation(site, "bad").phase is Phase.UNDO, "the way back")
    left_pending(site, 3, "pending-rollback", "Rollback to 1")
    tries = site.clusters[0].calls.count(("POST", LEASES))
    site.turn_until(lambda: site.clusters[0].calls.count(("POST", LEASES)) > tries + 1, "two tries to go back")
    assert release_states(site)[-1] == (3, "pending-rollback")
    left_pending(site, 3, "deployed", "Rollback to 1")
    answer = turn_to_end(site, "bad")
    assert (answer.status, answer.body["revision"]) == ("rolled-back", 3)


def test_what_going_back_had_begun_is_gone_on_with(site: Site) -> None:
    site.call(cluster="a")
    site.clusters[0].pods = "crash"
    begun(site, "bad", atomic=True, values={"image": "registry.test/nf:bad"})
    site.turn_until(lambda: operation(site, "bad").phase is Phase.UNDO, "the way back")
    site.clusters[0].pods = "ready"
    breaks_off(site, "bad", "POST", "/secrets")
    left_pending(site, 3, "pending-rollback", "Rollback to 1")
    answer = turn_to_end(site, "bad")
    assert (answer.status, answer.code, answer.body["revision"]) == ("rolled-back", "pods_crash", 4)
    assert release_states(site)[2:] == [(3, "failed"), (4, "deployed")]


def test_an_uninstall_that_going_back_had_begun_is_gone_on_with(site: Site) -> None:
    site.clusters[0].pods = "crash"
    begun(site, "bad", atomic=True)
    site.turn_until(lambda: operation(site, "bad").phase is Phase.UNDO, "the way back")
    breaks_off(site, "bad", "DELETE", "/deployments")
    left_pending(site, 1, "uninstalling", "Deletion in progress (or silently failed)")
    assert turn_to_end(site, "bad").status == "rolled-back"
    assert release_states(site) == []


def test_that_a_function_was_killed_is_not_forgotten_where_helm_is_not_free(
    site: Site, monkeypatch: pytest.MonkeyPatch
) -> None:
    site.call(cluster="a")
    left_pending(site, createdAt=ago(1))
    left_lease(site, "placement 1/1")
    with site.function._placer.parts.helm.turn():
        begun(site, "waits")
        monkeypatch.setattr(Helm, "free_in_s", lambda _: 0.0)  # as if another replica ran it
        site.turn_until(lambda: release_states(site)[-1] == (2, "failed"), "the record's being marked")
    assert (turn_to_end(site, "waits").status, release_states(site)) == ("ready", TAKEN_OVER)


def test_that_a_function_was_killed_is_not_forgotten_where_the_cluster_refuses(site: Site) -> None:
    site.call(cluster="a")
    left_pending(site, createdAt=ago(1))
    left_lease(site, "placement 1/1")
    site.clusters[0].refuse.add("/secrets")
    assert site.call(cluster="a").code == "cluster_refused"
    site.clusters[0].refuse.clear()
    left_lease(site, site.clusters[0].objects[LEASE]["spec"]["holderIdentity"])  # as if its time were over
    assert site.call(cluster="a").status == "ready"
    assert release_states(site) == TAKEN_OVER


@pytest.mark.parametrize("moment", [("GET", "/version"), ("POST", "/secrets")])
def test_where_somebodys_helm_begins_a_moment_before_ours_it_is_left_alone(site: Site, moment: tuple[str, str]) -> None:
    site.call(cluster="a")
    cluster = site.clusters[0]
    begun(site, "second", atomic=True)
    cluster.stall = moment

    def turn() -> None:
        site.turn_until(lambda: operation(site, "second").phase not in (Phase.PLAN, Phase.HELM), "helm's end")

    ours = threading.Thread(target=turn)
    ours.start()
    wait_for(cluster.stalled.is_set, "our helm in its beginning")
    left_pending(site)
    cluster.stall = None
    cluster.go_on.set()
    ours.join()
    answer = turn_to_end(site, "second")
    assert (answer.status, answer.code, answer.body["revision"]) == ("failed", "busy", None)
    assert "Left" not in answer.body["error"]["message"]
    assert release_states(site) == [(1, "deployed"), (2, "pending-upgrade")]
    assert [p.revision for p in site.inventory.all()] == [1]


def test_a_rollback_to_what_somebodys_helm_has_made_is_of_values_that_nobody_knows(site: Site) -> None:
    site.call(cluster="a", values={"tac": "1"})
    site.call(action="uninstall")
    assert run_by_hand(site).exit_code == 0
    site.call(cluster="a", values={"tac": "2"})
    assert site.call(action="rollback").body["revision"] == 3
    assert image(site) == "registry.test/nf:by-hand"
    [placed] = site.inventory.all()
    assert (placed.values_digest, placed.history[-1].values_digest) == ("", "")
