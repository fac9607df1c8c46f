"""The pure choice: a table of what forbids or prefers a cluster, and what holds for every question.

What a toleration matches: Kubernetes' documentation, "Taints and Tolerations", "Concepts".
"""

from __future__ import annotations

from itertools import pairwise

import pytest
from hypothesis import given
from hypothesis import strategies as st

from placement.cluster import Cluster, Node, Placed, Pods, Room, State, Taint, Unreachable, tolerates
from placement.errors import Code
from placement.plan import (
    HelmPlan,
    Refused,
    helm_argv,
    homes_of,
    misfit,
    plan,
    rollback_argv,
    template_argv,
    uninstall_argv,
)
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
    ("placed", "homes"),
    [
        ((Placed("a", "lab", "upf"), Placed("b", "lab", "upf", is_coming=True)), ["a"]),
        ((Placed("b", "lab", "upf", is_coming=True),), ["b"]),
        ((Placed("b", "lab", "upf"), Placed("a", "lab", "upf")), ["a", "b"]),
    ],
)
def test_a_call_under_way_takes_no_release_from_its_home(placed: tuple[Placed, ...], homes: list[str]) -> None:
    assert homes_of(Request("upf", "lab", "oci://r.test/c", "1.0.0"), (A, B), placed) == homes


TWICE = State({"c": ROOM}, (Placed("a", "lab", "upf"), Placed("b", "lab", "upf")))
C = Cluster("c", "hamburg", "h1", {"gpu": "yes"})


@pytest.mark.parametrize("choose", [Choose(), Choose(zone="h1"), Choose(labels={"ran": "no"})])
def test_a_release_on_several_clusters_gets_no_other_one_by_itself(choose: Choose) -> None:
    found = ask(TWICE, A, B, C, choose=choose)
    assert isinstance(found, Refused)
    assert found.code is Code.BAD_REQUEST
    assert found.detail == "The release is on a, b: name one of them, or another, as `cluster`."


@pytest.mark.parametrize(
    ("choose", "fields", "chosen"),
    [
        (Choose(), {"cluster": "b"}, "b"),
        (Choose(), {"cluster": "c"}, "c"),
        (Choose(), {"location": "berlin"}, "a"),
        (Choose(), {"location": "hamburg"}, "c"),
        (Choose(zone="m1"), {}, "b"),
        (Choose(labels={"gpu": "yes"}), {}, "a"),
    ],
)
def test_which_of_several_is_meant_may_be_told_in_any_way(
    choose: Choose, fields: dict[str, object], chosen: str
) -> None:
    found = ask(TWICE, A, B, C, choose=choose, **fields)
    assert isinstance(found, HelmPlan)
    assert found.cluster == chosen


FULL = State({"a": SMALL, "b": ROOM}, (Placed("a", "lab", "upf"),), (Pods(1, 200, 0),))
"""The release is on a, where there would be no room for it again."""


def test_a_release_stays_where_it_is_also_where_nothing_else_would_fit() -> None:
    for state in (FULL, State({}, FULL.placed)):
        found = ask(state)
        assert isinstance(found, HelmPlan)
        assert (found.cluster, found.why) == ("a", "the release is there already")


@pytest.mark.parametrize("choose", [Choose(zone="m1"), Choose(labels={"ran": "yes"}), Choose(anti_affinity=("amf",))])
def test_a_release_is_not_placed_a_second_time_where_its_cluster_is_forbidden_now(choose: Choose) -> None:
    found = ask(State(FULL.rooms, (*FULL.placed, Placed("a", "lab", "amf"))), choose=choose)
    assert isinstance(found, Refused)
    assert found.code is Code.PLACED_ELSEWHERE
    assert found.detail == f"The release is placed on a, which does not fit now: {found.why_not['a']}."


@pytest.mark.parametrize(
    ("placed", "fields"),
    [
        # another location's is another one
        (Placed("a", "lab", "upf"), {"location": "munich"}),
        # of another namespace or name
        (Placed("a", "core", "upf"), {}),
        (Placed("a", "lab", "amf"), {}),
    ],
)
def test_only_the_very_release_among_what_was_asked_for_is_its_home(placed: Placed, fields: dict[str, object]) -> None:
    found = ask(State({"a": SMALL, "b": ROOM}, (placed,), (Pods(1, 200, 0),)), **fields)
    assert isinstance(found, HelmPlan)
    assert found.cluster == "b"


def test_a_release_keeps_no_distance_from_itself() -> None:
    placed = (Placed("a", "lab", "upf", "core"), Placed("b", "lab", "amf", "core"))
    found = ask(State(BOTH.rooms, placed), choose=Choose(group="core", anti_affinity=("core",)))
    assert isinstance(found, HelmPlan)
    assert found.cluster == "a"


@pytest.mark.parametrize(
    ("room", "why"),
    [
        (None, "its room is not known"),
        (Unreachable("connection refused"), "it does not answer: connection refused"),
        (Room(()), "it has no node that takes pods"),
    ],
)
def test_a_cluster_of_which_no_room_is_known_is_never_chosen(room: Room | Unreachable | None, why: str) -> None:
    for workload in ((), (Pods(1, 200, 0),)):
        found = ask(State({} if room is None else {"a": room}, (), workload), A)
        assert isinstance(found, Refused)
        assert (found.code, found.why_not) == (Code.NO_CLUSTER_FITS, {"a": why})


def test_who_bounds_the_latency_gets_no_cluster_whose_latency_nobody_knows() -> None:
    found = ask(choose=Choose(latency_from="nowhere", max_latency_ms=1000))
    assert isinstance(found, Refused)
    assert found.why_not == dict.fromkeys("ab", "its latency from nowhere is not known")


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


@pytest.mark.parametrize(
    ("toleration", "matches"),
    [
        # the operator is Exists, "in which case no value should be specified"
        (Toleration("key1", "Exists", effect="NoSchedule"), True),
        (Toleration("key2", "Exists", effect="NoSchedule"), False),
        # "the operator is Equal and the values should be equal"
        (Toleration("key1", "Equal", "value1", "NoSchedule"), True),
        (Toleration("key1", "Equal", "value2", "NoSchedule"), False),
        (Toleration("key2", "Equal", "value1", "NoSchedule"), False),
        # "if the keys are the same and the effects are the same"
        (Toleration("key1", "Equal", "value1", "NoExecute"), False),
        (Toleration("key1", "Exists", effect="PreferNoSchedule"), False),
        # "An empty key with operator Exists matches all keys, values and effects"
        (Toleration("", "Exists"), True),
        # "An empty effect matches all effects with key key1"
        (Toleration("key1", "Exists"), True),
        (Toleration("key1", "Equal", "value1"), True),
    ],
)
def test_a_toleration_matches_as_the_scheduler_has_it(toleration: Toleration, matches: bool) -> None:
    taint = Taint("key1", "value1", "NoSchedule")
    assert tolerates((toleration,), taint) is matches
    assert tolerates((Toleration("other", "Exists"), toleration), taint) is matches
    tainted, state = Cluster("a", "berlin", taints=(taint,)), State({"a": ROOM})
    assert isinstance(ask(state, tainted, choose=Choose(tolerations=(toleration,))), HelmPlan) is matches


@pytest.mark.parametrize(
    ("effect", "keeps_away"), [("NoSchedule", True), ("NoExecute", True), ("PreferNoSchedule", False)]
)
def test_which_effects_keep_pods_away(effect: str, keeps_away: bool) -> None:
    """ "The control plane will try to avoid" one that is PreferNoSchedule, "but it is not guaranteed"."""
    taint = Taint("key1", effect=effect)
    found = ask(State({"a": ROOM}), Cluster("a", "berlin", taints=(taint,)))
    assert isinstance(found, Refused) is keeps_away
    assert (misfit([Node("n", 9, 9, 9, taints=(taint,))], [Pods(1, 1, 1)]) is not None) is keeps_away


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
            named("a", taints=(Taint("busy", effect="PreferNoSchedule"),)),
            named("b", taints=(Taint("only", "ran", effect="PreferNoSchedule"),)),
            Choose(tolerations=(Toleration("only", "Exists"),)),
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


def test_of_two_alike_the_one_with_more_room_is_better() -> None:
    def room(cpu_m: int, memory_b: int) -> Room:
        return Room((Node("n", cpu_m, memory_b, 10),))

    for more, less in ((room(2000, 2**30), room(1000, 2**31)), (room(1000, 2**31), room(1000, 2**30))):
        found = ask(State({"a": less, "b": more}))
        assert isinstance(found, HelmPlan)
        assert found.cluster == "b"


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
        ([Node("n", 9, 9, 9)], [Pods(2, 1, 5)], "too full: pod 2 of 2"),
        # The largest first: 5 would else be laid where 9 has to go, whichever is named first.
        ([Node("n", 9, 9, 9), Node("m", 8, 9, 9)], [Pods(1, 5, 0), Pods(1, 9, 0)], None),
        ([Node("n", 9, 9, 9), Node("m", 8, 9, 9)], [Pods(1, 9, 0), Pods(1, 5, 0)], None),
        # Who wants no pods needs no node.
        ([Node("n", 9, 9, 9, taints=(RAN,))], [Pods(0, 1, 1)], None),
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


REQUEST = Request("upf", "lab", "oci://r.test/c", "1.0.0", values_yaml_file="s3://b/values.yaml")


def flag(argv: tuple[str, ...], name: str) -> list[str]:
    """What follows it, each time."""
    return [value for word, value in pairwise(argv) if word == name]


def test_helm_is_told_which_chart_and_values_and_keeps_ten_revisions() -> None:
    """Helm's documentation, `helm upgrade`: "the priority will be given to the last (right-most) file specified";
    --reset-values: "when upgrading, reset the values to the ones built into the chart"."""
    argv = helm_argv(REQUEST, timeout_s=3.5, registry=("--plain-http",))
    assert argv[:4] == ("upgrade", "--install", "upf", "oci://r.test/c")
    assert (flag(argv, "--version"), flag(argv, "--namespace"), flag(argv, "--history-max")) == (
        ["1.0.0"],
        ["lab"],
        ["10"],
    )
    assert flag(argv, "--values") == ["values-file.yaml", "values.yaml"]
    assert {"--reset-values", "--plain-http", "--disable-openapi-validation"} < set(argv)
    for never in ("--wait", "--atomic", "--create-namespace", "--force", "--dry-run=server"):
        assert never not in argv
    assert flag(helm_argv(Request("upf", "lab", "oci://r.test/c", "1.0.0"), timeout_s=3.5), "--values") == [
        "values.yaml"
    ]
    assert "--dry-run=server" in helm_argv(REQUEST, timeout_s=3.5, dry_run=True)


def test_rendering_is_told_the_same_chart_and_values_and_no_cluster() -> None:
    argv = template_argv(REQUEST, registry=("--plain-http",))
    assert argv[:3] == ("template", "upf", "oci://r.test/c")
    assert (flag(argv, "--version"), flag(argv, "--namespace")) == (["1.0.0"], ["lab"])
    assert flag(argv, "--values") == ["values-file.yaml", "values.yaml"]
    assert "--plain-http" in argv
    assert "--kubeconfig" not in argv
    assert len(flag(argv, "--kube-version")) == 1


def test_the_ways_back_are_told_release_namespace_and_bounds() -> None:
    """`helm rollback --history-max`: "limit the maximum number of revisions saved per release. Use 0 for no limit";
    `helm uninstall --ignore-not-found`: 'treat "release not found" as a successful uninstall'."""
    back, gone = rollback_argv("upf", "lab", 3, timeout_s=3.5), uninstall_argv("upf", "lab", timeout_s=0.2)
    assert back[:3] == ("rollback", "upf", "3")
    assert gone[:2] == ("uninstall", "upf")
    assert flag(back, "--history-max") == ["10"]
    assert "--ignore-not-found" in gone
    for argv in (back, gone):
        assert (flag(argv, "--namespace"), flag(argv, "--kubeconfig")) == (["lab"], ["kubeconfig"])
        assert "--wait" not in argv
    # 0 s would be no bound
    assert flag(gone, "--timeout") == ["1s"]
