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
A = Cluster("a", "berlin", "b1", {"gpu": "yes"}, latency_ms={"hq": 5})
B = Cluster("b", "munich", "m1", latency_ms={"hq": 20})
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
        (Choose(labels={"gpu": "yes"}), {}, BOTH, "a"),
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
