"""The pure choice: a table of what forbids or prefers a cluster, and what holds for every question."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from placement.cluster import Cluster, Node, Placed, Pods, Room, State, Taint, Unreachable
from placement.plan import HelmPlan, Refused, home_of, misfit, plan
from placement.request import Choose, Request, Toleration

ROOM = Room((Node("n", 1000, 2**30, 10),))
SMALL = Room((Node("n", 100, 2**30, 10),))
A = Cluster("a", "berlin", "b1", {"gpu": "yes"}, latency_ms={"hq": 5, "site": 9})
B = Cluster("b", "munich", "m1", {"ran": "yes"}, latency_ms={"hq": 20, "site": 3})
BOTH = State({"a": ROOM, "b": ROOM})


def ask(state: State = BOTH, *clusters: Cluster, choose: Choose | None = None, **fields: object) -> HelmPlan | Refused:
    request = Request("upf", "lab", "oci://r.test/c", "1.0.0", choose=choose or Choose(), **fields)  # type: ignore[arg-type]
    return plan(request, clusters or (A, B), state)


@pytest.mark.parametrize(
    ("placed", "home"),
    [
        ((Placed("a", "lab", "upf"), Placed("b", "lab", "upf", is_coming=True)), "a"),
        ((Placed("b", "lab", "upf", is_coming=True),), "b"),
        ((Placed("a", "lab", "upf"), Placed("b", "lab", "upf")), None),
    ],
)
def test_a_call_under_way_takes_no_release_from_its_home(placed: tuple[Placed, ...], home: str | None) -> None:
    assert home_of(Request("upf", "lab", "oci://r.test/c", "1.0.0"), (A, B), placed) == home


@pytest.mark.parametrize(
    ("choose", "fields", "state", "chosen"),
    [
        (Choose(), {"location": "munich"}, BOTH, "b"),
        (Choose(), {"cluster": "b"}, State(), "b"),
        (Choose(zone="m1"), {}, BOTH, "b"),
        (Choose(labels={"ran": "yes"}), {}, BOTH, "b"),
        (Choose(labels={"gpu": "yes", "ran": "yes"}), {}, BOTH, None),
        (Choose(labels={"gpu": "no"}), {}, BOTH, None),
        (Choose(latency_from="site"), {}, State({"a": ROOM, "b": SMALL}), "b"),
        (Choose(latency_from="nowhere"), {}, BOTH, "a"),
        (Choose(latency_from="site", max_latency_ms=3), {}, BOTH, "b"),
        (Choose(latency_from="hq"), {}, BOTH, "a"),
        (Choose(latency_from="hq", max_latency_ms=4), {}, BOTH, None),
        (Choose(), {}, State({"a": SMALL, "b": ROOM}), "b"),
        (Choose(), {}, State({"a": Unreachable("down"), "b": ROOM}), "b"),
        (Choose(anti_affinity=("x",)), {}, State(BOTH.rooms, (Placed("a", "lab", "x"),)), "b"),
        (Choose(spread="cluster", group="g"), {}, State(BOTH.rooms, (Placed("a", "lab", "x", "g"),)), "b"),
        (Choose(), {}, State({"a": SMALL, "b": SMALL}, (), (Pods(1, 200, 0),)), None),
        (Choose(), {}, State({"a": ROOM, "b": ROOM}, (Placed("b", "lab", "upf"),)), "b"),
    ],
)
def test_what_decides(choose: Choose, fields: dict[str, object], state: State, chosen: str | None) -> None:
    found = ask(state, choose=choose, **fields)
    assert (found.cluster if isinstance(found, HelmPlan) else None) == chosen
    assert set(found.why_not) == {"a", "b"} - {chosen}


def test_a_taint_keeps_away_who_does_not_tolerate_it() -> None:
    tainted = Cluster("a", "berlin", taints=(Taint("only", "ran"),))
    state = State({"a": ROOM})
    assert isinstance(ask(state, tainted), Refused)
    tolerant = Choose(tolerations=(Toleration("only", "Exists"),))
    assert isinstance(ask(state, tainted, choose=tolerant), HelmPlan)


def named(name: str, **fields: object) -> Cluster:
    return Cluster(name, "berlin", **fields)  # type: ignore[arg-type]


@pytest.mark.parametrize(
    ("worse", "better", "choose", "placed", "why_not"),
    [
        (
            named("a", taints=(Taint("busy", effect="PreferNoSchedule"),)),
            named("b"),
            Choose(),
            (),
            "fits, but 1 PreferNoSchedule taints; b: no PreferNoSchedule taint",
        ),
        (
            named("a", latency_ms={"hq": 5}),
            named("b", latency_ms={"hq": 2.5}),
            Choose(latency_from="hq"),
            (),
            "fits, but 5 ms from hq; b: 2.5 ms from hq",
        ),
        (
            named("a"),
            named("b", latency_ms={"hq": 900}),
            Choose(latency_from="hq"),
            (),
            "fits, but latency not known; b: 900 ms from hq",
        ),
        (
            named("a", zone="z1"),
            named("b", zone="z2"),
            Choose(spread="zone", group="g"),
            (Placed("other", "lab", "x", "g"),),  # in zone z1
            "fits, but 1 of g in its zone z1; b: 0 of g in its zone z2",
        ),
        (
            named("a", labels={"rack": "1"}),
            named("b", labels={"rack": "2"}),
            Choose(spread="rack", group="g"),
            (Placed("other", "lab", "x", "g"), Placed("b", "lab", "y", "of-others")),  # in rack 1
            "fits, but 1 of g in its rack 1; b: 0 of g in its rack 2",
        ),
    ],
)
def test_what_makes_one_better_than_another_that_would_come_first_by_name(
    worse: Cluster, better: Cluster, choose: Choose, placed: tuple[Placed, ...], why_not: str
) -> None:
    other = named("other", zone="z1", labels={"rack": "1"})
    state = State({"a": ROOM, "b": ROOM, "other": SMALL}, placed, (Pods(1, 500, 0),))
    found = ask(state, worse, better, other, choose=choose)
    assert isinstance(found, HelmPlan)
    assert found.cluster == "b"
    assert found.why_not["a"] == why_not


def test_spread_by_location_counts_all_clusters_there() -> None:
    munich = Cluster("b", "munich")
    placed = (Placed("other", "lab", "x", "g"),)
    state = State({"a": ROOM, "b": ROOM, "other": ROOM}, placed)
    found = ask(state, named("a"), munich, named("other"), choose=Choose(spread="location", group="g"))
    assert isinstance(found, HelmPlan)
    assert found.cluster == "b"


RAN = Taint("only", "ran")
NO_TAKER = "no node has the labels or lacks the taints that the pods need"


@pytest.mark.parametrize(
    ("nodes", "workload", "reason"),
    [
        ([Node("n", 100, 10, 1, taints=(RAN,))], [Pods(1, 1, 1)], NO_TAKER),
        ([Node("n", 100, 10, 1, taints=(RAN,))], [Pods(1, 1, 1, (Toleration("only", value="ran"),))], None),
        ([Node("n", 100, 10, 1, taints=(RAN,))], [Pods(1, 1, 1, (Toleration("only", value="core"),))], NO_TAKER),
        ([Node("n", 100, 10, 1, taints=(Taint("busy", effect="PreferNoSchedule"),))], [Pods(1, 1, 1)], None),
        ([Node("n", 100, 10, 1, {"disk": "hdd"})], [Pods(1, 1, 1, node_selector={"disk": "ssd"})], NO_TAKER),
        ([Node("n", 100, 10, 1, {"disk": "ssd"})], [Pods(1, 1, 1, node_selector={"disk": "ssd"})], None),
        # One on every node that takes it: a tainted node wants none, a full one is one too few.
        ([Node("n", 9, 9, 1), Node("m", 0, 0, 0, taints=(RAN,))], [Pods(0, 9, 9, every_node=True)], None),
        ([Node("n", 9, 9, 1), Node("m", 8, 9, 1)], [Pods(0, 9, 9, every_node=True)], "too full: pod 2 of 2"),
        # What every node runs is taken off before the rest is laid out.
        ([Node("n", 9, 9, 2)], [Pods(1, 5, 0), Pods(0, 6, 0, every_node=True)], "too full: pod 1 of 1 asks for 5m"),
        # Two of 6 fit into 12 in all, but not into 7 and 5.
        ([Node("n", 7, 9, 9), Node("m", 5, 9, 9)], [Pods(2, 6, 0)], "too full: pod 2 of 2"),
        ([Node("n", 9, 9, 1)], [Pods(2, 1, 1)], "too full: pod 2 of 2"),
        ([Node("n", 9, 9, 9)], [Pods(1, 1, 10)], "too full: pod 1 of 1"),
    ],
)
def test_which_nodes_take_a_pod_and_how_many_fit(nodes: list[Node], workload: list[Pods], reason: str | None) -> None:
    found = misfit(nodes, workload)
    assert found is None if reason is None else found is not None and found.startswith(reason)


pods = st.builds(Pods, st.integers(0, 6), st.integers(0, 800), st.integers(0, 800))
nodes = st.lists(st.tuples(*[st.integers(0, 1500)] * 2, st.integers(0, 6)), max_size=3).map(
    lambda made: tuple(Node(f"n{i}", *free) for i, free in enumerate(made))
)


@given(nodes, st.lists(pods, max_size=4))
def test_what_fits_is_within_the_sum_of_what_is_free(room: tuple[Node, ...], workload: list[Pods]) -> None:
    if misfit(room, workload) is None:
        assert sum(p.replicas * p.cpu_m for p in workload) <= sum(n.free_cpu_m for n in room)
        assert sum(p.replicas * p.memory_b for p in workload) <= sum(n.free_memory_b for n in room)
        assert sum(p.replicas for p in workload) <= sum(n.free_pods for n in room)


@given(nodes, nodes, st.lists(pods, max_size=3), st.permutations([A, B]))
def test_every_cluster_is_chosen_or_told_why_not_in_any_order(
    one: tuple[Node, ...], two: tuple[Node, ...], workload: list[Pods], order: list[Cluster]
) -> None:
    state = State({"a": Room(one), "b": Room(two)}, (), tuple(workload))
    found = ask(state, *order)
    assert found == ask(state, A, B)
    chosen = {found.cluster} if isinstance(found, HelmPlan) else set()
    assert chosen | set(found.why_not) == {"a", "b"}
    assert not chosen & set(found.why_not)
    assert all(found.why_not.values())
