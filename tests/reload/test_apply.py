"""Writing a ConfigMap and asking its pods, on a cluster that a test plays."""

from __future__ import annotations

import zlib
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from dataclasses import replace as changed

import pytest

from reload import apply, history
from reload.apply import MAX_OCTETS, WRITE_TRIES, Files, Target
from reload.cluster import Config, Pod
from reload.errors import ReloadError, StaleVersionError
from reload.history import ENTRIES, Entry

CONFIG = Config("core", "amf", {"a.conf": b"one"}, "1", uid="u")
NEW = Config("core", "amf", {"a.conf": b"two"}, "2").digest


def pod(name: str, **fields: object) -> Pod:
    made = Pod("core", name, f"u-{name}", "Running", True, 0, False, frozenset({"amf"}), 9797)
    return changed(made, **fields)  # type: ignore[arg-type]


@dataclass
class Played:
    """status: what a pod's agent says, by name; None = it does not answer.  stale: writes that come too late.

    fails: raised by the next write.
    """

    held: Config | None = CONFIG
    there: list[Pod] = field(default_factory=list)
    status: dict[str, Mapping[str, object] | None] = field(default_factory=dict)
    stale: int = 0
    fails: ReloadError | None = None
    reads: int = 0
    written: list[Files] = field(default_factory=list)
    notes: list[tuple[str, str]] = field(default_factory=list)
    past: tuple[bytes, str] | None = None
    selectors: list[str] = field(default_factory=list)

    def until(self, until_s: float, clock: Callable[[], float]) -> Played:  # noqa: ARG002
        return self

    def config(self, namespace: str, name: str) -> Config | None:  # noqa: ARG002
        self.reads += 1
        return self.held

    def configs(self, namespace: str, selector: str) -> list[Config]:  # noqa: ARG002
        self.selectors.append(selector)
        return [self.held] if self.held else []

    def replace_config(self, config: Config, files: Mapping[str, bytes]) -> Config:
        if self.stale:
            self.stale -= 1
            raise StaleVersionError
        if self.fails is not None:
            raise self.fails
        self.written.append(files)
        self.held = changed(config, files=files, version="2")
        return self.held

    def pods(self, namespace: str, selector: str = "") -> list[Pod]:  # noqa: ARG002
        return self.there

    def annotate_pod(self, namespace: str, name: str, annotations: Mapping[str, str]) -> bool:  # noqa: ARG002
        self.notes.append((name, annotations["reload.edge/wanted-digest"]))
        return name != "gone"

    def pod_status(self, pod: Pod, timeout_s: float) -> Mapping[str, object] | None:  # noqa: ARG002
        return self.status.get(pod.name)

    def load_history(self, namespace: str, name: str) -> tuple[bytes, str] | None:  # noqa: ARG002
        self.reads += 1
        return self.past

    def save_history(self, namespace: str, name: str, octets: bytes, version: str | None, config: Config) -> None:  # noqa: ARG002
        if self.stale:
            self.stale -= 1
            self.past = (history._packed([]), str(int(version or 0) + 1))  # as another has written it
            raise StaleVersionError
        assert version == (self.past[1] if self.past else None)
        self.past = (octets, str(int(version or 0) + 1))


def two(files: Files) -> Files:
    return {**files, "a.conf": b"two"}


def test_a_write_is_under_the_version_that_was_read_and_told_with_both() -> None:
    cluster = Played()
    written = apply.write(cluster, "core", "amf", two, selector="s")
    assert (written.changed, written.before, written.target) == (True, CONFIG, Target("core", "amf", NEW, "s"))
    assert cluster.written == [{"a.conf": b"two"}]
    again = apply.write(cluster, "core", "amf", two)
    assert (again.changed, len(cluster.written), again.target.digest) == (False, 1, NEW)


def test_what_is_known_is_not_read_again_unless_it_was_stale() -> None:
    cluster = Played()
    apply.write(cluster, "core", "amf", two, known=CONFIG)
    assert cluster.reads == 0
    cluster = Played(stale=2)
    apply.write(cluster, "core", "amf", two, known=CONFIG)
    assert (cluster.reads, len(cluster.written)) == (2, 1)


@pytest.mark.parametrize("stale", [WRITE_TRIES - 1, WRITE_TRIES])
def test_conflicts_are_tried_again_five_times_in_all(stale: int) -> None:
    cluster = Played(stale=stale)
    if stale < WRITE_TRIES:
        assert apply.write(cluster, "core", "amf", two).changed
        return
    with pytest.raises(ReloadError) as refused:
        apply.write(cluster, "core", "amf", two)
    assert (refused.value.code, cluster.reads) == ("conflict", 5)


def refused(cluster: Played, change: Callable[[Files], Files] = two, begin_by_s: float = 10.0) -> ReloadError:
    with pytest.raises(ReloadError) as caught:
        apply.write(cluster, "core", "amf", change, begin_by_s=begin_by_s, clock=lambda: 5.0)
    assert cluster.written == []
    return caught.value


def test_nothing_is_written_where_it_cannot_or_must_not_be() -> None:
    assert refused(Played(held=None)).code == "configmap_missing"
    immutable = changed(CONFIG, immutable=True)
    assert refused(Played(held=immutable)).code == "values_invalid"
    assert not apply.write(Played(held=immutable), "core", "amf", lambda files: files).changed
    # names count, too: etcd's limit is for the object
    size = MAX_OCTETS - len("a.conf")
    assert refused(Played(), lambda _: {"a.conf": b"x" * (size + 1)}).code == "too_large"
    assert apply.write(Played(), "core", "amf", lambda _: {"a.conf": b"x" * size}).changed
    late = refused(Played(), begin_by_s=5.0)
    assert (late.code, "no time left" in late.detail) == ("cluster_unreachable", True)


def test_a_write_whose_answer_was_lost_is_told_as_one_that_nobody_knows_of() -> None:
    lost = refused(Played(fails=ReloadError("cluster_unreachable", "it did not answer")))
    assert (lost.code, "is written nobody knows" in lost.detail) == ("cluster_unreachable", True)
    denied = refused(Played(fails=ReloadError("cluster_denied", "it may not")))
    assert (denied.code, denied.detail) == ("cluster_denied", "it may not")


def test_of_a_release_only_what_is_under_reload_counts() -> None:
    cluster = Played()
    assert apply.targets_of_release(cluster, "core", "amf")[0].digest == CONFIG.digest
    assert cluster.selectors == ["app.kubernetes.io/instance=amf,reload.edge/config"]


@pytest.mark.parametrize(
    "fields", [{"terminating": True}, {"phase": "Succeeded"}, {"phase": "Failed"}, {"configs": frozenset({"other"})}]
)
def test_only_pods_that_mount_it_and_stay_are_asked(fields: dict[str, object]) -> None:
    cluster = Played(there=[pod("b"), pod("x", **fields), pod("a", phase="Pending")])
    asked = apply.pods_of(cluster, [Target("core", "amf", NEW)])
    assert [one.name for _, one in asked] == ["a", "b"]


def test_a_nudge_is_another_one_each_time_and_counts_who_is_there() -> None:
    cluster = Played(there=[pod("a"), pod("gone")])
    target = Target("core", "amf", NEW)
    assert apply.nudge(cluster, target) == 1
    first = dict(cluster.notes)["a"]
    while apply.nudge(cluster, target) and dict(cluster.notes)["a"] == first:
        pass  # a millisecond has not gone by: what changes nothing would reach no kubelet
    assert first.split()[:2] == dict(cluster.notes)["a"].split()[:2] == [NEW, "amf"]
    assert apply.nudge(Played(), target) == 0


@pytest.mark.parametrize(
    ("fields", "status", "state", "detail"),
    [
        ({}, {"digest": NEW}, "applied", ""),
        ({}, {"digest": "old"}, "waiting", ""),
        ({}, {"digest": "old", "candidate": NEW, "verdict": "rejected", "reason": "line 1"}, "rejected", "line 1"),
        ({}, {"digest": "old", "candidate": NEW, "verdict": "failed", "reason": "it ended"}, "failed", "it ended"),
        ({}, {"digest": "old", "candidate": NEW, "verdict": "waiting", "reason": "none"}, "waiting", ""),
        # of the candidate before
        ({}, {"digest": "old", "candidate": "older", "verdict": "rejected", "reason": "line 1"}, "waiting", ""),
        ({}, {}, "waiting", ""),
        ({}, None, "silent", "its reload agent does not answer"),
        ({"status_port": None}, {"digest": NEW}, "unmanaged", ""),
        (
            {},
            {"digest": "old", "candidate": NEW, "verdict": "rejected", "reason": "password=hidden in line 1"},
            "rejected",
            "password=*** in line 1",
        ),
        (
            {},
            {"digest": "old", "candidate": NEW, "verdict": "rejected", "reason": "x" * 600},
            "rejected",
            "x" * 500,
        ),
    ],
)
def test_how_far_a_pod_is(
    fields: dict[str, object], status: Mapping[str, object] | None, state: str, detail: str
) -> None:
    cluster = Played(there=[pod("a", restarts=3, **fields)], status={"a": status})
    [report] = apply.look(cluster, [Target("core", "amf", NEW)]).pods
    assert (report.state, report.detail, report.restarts, report.uid) == (state, detail, 3, "u-a")


@pytest.mark.parametrize(
    ("states", "settled"),
    [
        (("applied", "rejected", "failed", "unmanaged"), True),
        (("applied", "waiting"), False),
        (("applied", "silent"), False),
        ((), True),
    ],
)
def test_when_waiting_longer_changes_nothing(states: tuple[str, ...], settled: bool) -> None:
    reports = tuple(apply.PodReport(f"p{n}", "u", "amf", state) for n, state in enumerate(states))
    progress = apply.Progress(reports)
    assert (progress.settled, progress.of, progress.applied) == (settled, len(states), states.count("applied"))


class Clock:
    """Goes on by what is slept, and by a hundredth of a second for each look at it."""

    def __init__(self) -> None:
        self.now_s = 0.0

    def __call__(self) -> float:
        self.now_s += 0.01
        return self.now_s

    def sleep(self, seconds: float) -> None:
        self.now_s += seconds


def test_only_pods_that_wait_are_nudged_again_about_once_a_second() -> None:
    cluster, clock = Played(there=[pod("a"), pod("s")], status={"a": {"digest": "old"}, "s": None}), Clock()
    other = Played(there=[pod("s")], status={"s": None})
    target = Target("core", "amf", NEW)
    assert not apply.wait(cluster, [target], until_s=3.5, clock=clock, sleep=clock.sleep).settled
    assert 2 <= [name for name, _ in cluster.notes].count("a") <= 3
    clock = Clock()
    apply.wait(other, [target], until_s=3.5, clock=clock, sleep=clock.sleep)
    assert other.notes == []
    settled, clock = Played(there=[pod("b"), pod("a")], status={name: {"digest": NEW} for name in "ab"}), Clock()
    progress = apply.wait(settled, [target], until_s=3.5, clock=clock, sleep=clock.sleep)
    assert [report.name for report in progress.pods] == ["a", "b"]
    assert settled.notes == []
    assert clock.now_s < 0.1  # what is settled is waited for no longer


def added(cluster: Played, n: int, at: int = 1000) -> int:
    before, after = (changed(CONFIG, files={"a.conf": str(number).encode()}) for number in (n, n + 1))
    return history.add(cluster, before, after, at=at, by="operator/alice", call=f"call-{n}")


def entries(cluster: Played) -> list[Entry]:
    return history.load(cluster, "core", "amf").entries


def test_the_newest_ten_can_be_gone_back_to_and_more_are_known_for_an_hour() -> None:
    cluster = Played()
    assert [added(cluster, n) for n in range(15)] == list(range(1, 16))
    kept = entries(cluster)
    assert [entry.revision for entry in kept] == list(range(15, 0, -1))
    assert [bool(entry.files) for entry in kept] == [True] * 10 + [False] * 5
    assert kept[0].contents() == {"a.conf": b"14"}
    assert kept[0].digest == changed(CONFIG, files={"a.conf": b"15"}).digest
    assert kept[0].replaced == kept[1].digest
    # an hour later only those that can be gone back to are left
    added(cluster, 15, at=1000 + 3601)
    assert [entry.revision for entry in entries(cluster)] == list(range(16, 6, -1))


def test_so_many_calls_are_known_and_no_more() -> None:
    cluster = Played()
    for n in range(history.KNOWN + 3):
        added(cluster, n)
    assert len(entries(cluster)) == history.KNOWN
    assert entries(cluster)[0].revision == history.KNOWN + 3


def test_a_history_that_another_wrote_meanwhile_is_read_again() -> None:
    cluster = Played(stale=4)
    past = history.load(cluster, "core", "amf")
    before, after = CONFIG, changed(CONFIG, files={})
    assert history.add(cluster, before, after, at=1, by="a", call="c", past=past) == 1
    cluster.stale = 5
    with pytest.raises(ReloadError) as refused:
        added(cluster, 1)
    assert refused.value.code == "conflict"


def test_a_history_that_is_none_is_said() -> None:
    # a few octets may stand for more than fits into memory
    bomb = zlib.compress(b" " * (ENTRIES * 1_400_000 + 1) + b"[]")
    for octets in (b"", b"no zlib", history._packed([])[:-6] + b"??????", bomb):
        with pytest.raises(ReloadError) as refused:
            entries(Played(past=(octets, "1")))
        assert refused.value.code == "cluster_failed"
