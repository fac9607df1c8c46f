"""Which cluster, and the helm call for it.  Pure: no clock, no I/O; the same question has the same answer.

First what forbids a cluster (name, location, zone, labels, taints, anti-affinity, latency bound, unreachable, room),
then what makes one better than another, in this order: where the release is already, PreferNoSchedule taints not
tolerated, how many of the group its spread domain has, latency, CPU left, memory left, name.
"""

from __future__ import annotations

from collections.abc import Collection, Sequence

import msgspec

from placement.cluster import Cluster, Node, Placed, Pods, Room, State, Unreachable, is_coming_to, tolerates
from placement.errors import Code
from placement.request import Request


class HelmPlan(msgspec.Struct, frozen=True):
    """Do this.  argv: after `helm`, files relative to a private directory.  why: this one; why_not: each other one."""

    cluster: str
    argv: tuple[str, ...]
    why: str
    why_not: dict[str, str]


class Refused(msgspec.Struct, frozen=True):
    """Nothing is done.  why_not: by cluster."""

    code: Code
    detail: str
    why_not: dict[str, str]


KUBECONFIG = "kubeconfig"
VALUES_FILE = "values-file.yaml"
VALUES = "values.yaml"
REGISTRY_CONFIG = "registry.json"
RENDERED_FOR = "1.34.0"
"""The Kubernetes that a chart is rendered for where no cluster is asked: a helm that is built from its module takes
1.20, which many charts refuse.  The cluster's own version decides when it is installed."""


def helm_argv(
    request: Request, *, timeout_s: float, registry: tuple[str, ...] = (), dry_run: bool = False
) -> tuple[str, ...]:
    """`helm upgrade --install` without --wait: readiness is watched afterwards, in short steps.

    registry: flags that tell how to reach it.
    """
    argv = ["upgrade", "--install", request.function_name, request.chart_repository]
    argv += ["--version", request.chart_version, "--namespace", request.run_namespace]
    argv += ["--kubeconfig", KUBECONFIG, "--registry-config", REGISTRY_CONFIG]
    if request.values_yaml_file is not None:
        argv += ["--values", VALUES_FILE]
    argv += ["--values", VALUES]  # the later file wins
    # Given values decide, never what an earlier call left: `null` means the chart's defaults.
    argv += ["--reset-values", "--history-max", "10", "--timeout", f"{max(1, round(timeout_s))}s", "--output", "json"]
    # The API server checks fields by itself (Kubernetes 1.27); helm would only read what it could check, which costs
    # more than all the rest of the run (docs/decisions/0014-who-checks-fields.md).
    argv += ["--disable-openapi-validation", *registry]
    if dry_run:
        argv.append("--dry-run=server")  # with its Secrets, or each would seem to go; differences masks them
    return tuple(argv)


def template_argv(request: Request, *, registry: tuple[str, ...] = ()) -> tuple[str, ...]:
    """Render without the cluster, to learn what the workload needs.  registry: as above."""
    argv = ["template", request.function_name, request.chart_repository, "--version", request.chart_version]
    argv += ["--namespace", request.run_namespace, "--registry-config", REGISTRY_CONFIG]
    argv += ["--kube-version", RENDERED_FOR]
    if request.values_yaml_file is not None:
        argv += ["--values", VALUES_FILE]
    argv += ["--values", VALUES]
    return (*argv, *registry)


def rollback_argv(release: str, namespace: str, revision: int, *, timeout_s: float) -> tuple[str, ...]:
    """Back to a revision; without --wait, as above."""
    argv = ("rollback", release, str(revision), "--namespace", namespace, "--kubeconfig", KUBECONFIG)
    return (*argv, "--history-max", "10", "--timeout", f"{max(1, round(timeout_s))}s")


def uninstall_argv(release: str, namespace: str, *, timeout_s: float) -> tuple[str, ...]:
    """Remove a release; one that is not there is removed already."""
    argv = ("uninstall", release, "--namespace", namespace, "--kubeconfig", KUBECONFIG, "--ignore-not-found")
    return (*argv, "--timeout", f"{max(1, round(timeout_s))}s")


def candidates(request: Request, clusters: Sequence[Cluster], placed: Sequence[Placed]) -> list[Cluster]:
    """The clusters that nothing forbids but what must be asked of them: room and reachability."""
    return [cluster for cluster in clusters if _forbidden(request, cluster, placed) is None]


def plan(
    request: Request,
    clusters: Sequence[Cluster],
    state: State,
    *,
    timeout_s: float = 4.0,
    registry: tuple[str, ...] = (),
) -> HelmPlan | Refused:
    """Choose a cluster.

    state.rooms must hold every one of `candidates` unless the request names its cluster; one that is missing there
    counts as unreachable.  Release placed already: stays where it is, or Refused when that cluster is forbidden now, or
    when it is on several of which the request tells none.
    """
    if request.named is not None and request.named not in {cluster.name for cluster in clusters}:
        return Refused(Code.UNKNOWN_CLUSTER, f"No cluster {request.named!r} is registered.", {})
    homes_there = homes_of(request, clusters, state.placed)
    if len(homes_there) > 1:
        detail = f"The release is on {', '.join(homes_there)}: name one of them, or another, as `cluster`."
        return Refused(Code.BAD_REQUEST, detail, {})
    home = homes_there[0] if homes_there else None
    why_not: dict[str, str] = {}
    good: list[Cluster] = []
    for cluster in sorted(clusters, key=lambda c: c.name):
        reason = _forbidden(request, cluster, state.placed)
        if reason is None and request.named is None and cluster.name != home:
            reason = _no_room(state.rooms.get(cluster.name), state.workload)
        if reason is None:
            good.append(cluster)
        else:
            why_not[cluster.name] = reason
    if home in why_not:
        detail = f"The release is placed on {home}, which does not fit now: {why_not[home]}."
        return Refused(Code.PLACED_ELSEWHERE, detail, why_not)
    if not good:
        detail = "No registered cluster fits." if clusters else "No cluster is registered."
        return Refused(Code.NO_CLUSTER_FITS, detail, why_not)
    argv = helm_argv(request, timeout_s=timeout_s, registry=registry)
    return _best(request, clusters, good, state, home=home, why_not=why_not, argv=argv)


def homes_of(request: Request, clusters: Sequence[Cluster], placed: Sequence[Placed]) -> list[str]:
    """The clusters that the release is on, among those where the request asks for it; with several, those that fit.

    The same release may be at several locations.
    """
    asked = {c.name for c in clusters if request.location in (None, c.location)}
    if request.named is not None:
        return homes(request, placed, asked & {request.named})
    found = homes(request, placed, asked)
    fitting = {cluster.name for cluster in candidates(request, clusters, ())}
    return [name for name in found if name in fitting] or found if len(found) > 1 else found


def homes(request: Request, placed: Sequence[Placed], among: Collection[str]) -> list[str]:
    """Those of the clusters that the release is on; where it is on none, those that calls under way bring it to."""
    which = (request.run_namespace, request.function_name)
    found = [p for p in placed if (p.namespace, p.release) == which and p.cluster in among]
    there = [p.cluster for p in found if not p.is_coming]
    return sorted(there or [p.cluster for p in found])


def _forbidden(request: Request, cluster: Cluster, placed: Sequence[Placed]) -> str | None:
    choose = request.choose
    if request.named is not None and cluster.name != request.named:
        return f"the request names {request.named}"
    if request.location is not None and cluster.location != request.location:
        return f"its location is {cluster.location}, not {request.location}"
    if choose.zone is not None and cluster.zone != choose.zone:
        return f"its zone is {cluster.zone or 'not set'}, not {choose.zone}"
    for key, value in sorted(choose.labels.items()):
        if cluster.labels.get(key) != value:
            return f"its label {key} is {cluster.labels.get(key, 'not set')}, not {value}"
    for taint in cluster.taints:
        if taint.repels and not tolerates(choose.tolerations, taint):
            return f"its taint {taint} is not tolerated"
    for other in placed:
        names = {other.group, other.release} - {""}
        is_itself = (other.namespace, other.release) == (request.run_namespace, request.function_name)
        if other.cluster == cluster.name and not is_itself and names & set(choose.anti_affinity):
            return f"{other.namespace}/{other.release} is there (anti_affinity)"
    if choose.max_latency_ms is not None:
        latency = cluster.latency_ms.get(choose.latency_from or "")
        if latency is None:
            return f"its latency from {choose.latency_from} is not known"
        if latency > choose.max_latency_ms:
            return f"its latency from {choose.latency_from} is {latency:g} ms, above {choose.max_latency_ms:g}"
    return None


def _no_room(room: Room | Unreachable | None, workload: Sequence[Pods]) -> str | None:
    if room is None:
        return "its room is not known"
    if isinstance(room, Unreachable):
        return f"it does not answer: {room.why}"
    if not room.nodes:
        return "it has no node that takes pods"
    return misfit(room.nodes, workload)


def misfit(nodes: Sequence[Node], workload: Sequence[Pods]) -> str | None:
    """Why the pods do not all fit, None = they do.

    Pods are laid on the nodes largest first, each on the node with most CPU left: an estimate of what the scheduler
    will find, without its scores.
    """
    free = {node.name: [node.free_cpu_m, node.free_memory_b, node.free_pods] for node in nodes}
    for pods in sorted(workload, key=lambda p: (not p.every_node, -p.cpu_m, -p.memory_b)):
        takers = [node for node in nodes if _takes(node, pods)]
        if not takers and not pods.every_node and pods.replicas:
            return "no node has the labels or lacks the taints that the pods need"
        turns = [[node] for node in takers] if pods.every_node else [takers] * pods.replicas
        for number, choice in enumerate(turns):
            fitting = [n for n in choice if _fits(free[n.name], pods)]
            if not fitting:
                return _full(free, choice, pods, number, len(turns))
            left = free[max(fitting, key=lambda n: (free[n.name], n.name)).name]
            left[0] -= pods.cpu_m
            left[1] -= pods.memory_b
            left[2] -= 1
    return None


def _takes(node: Node, pods: Pods) -> bool:
    if any(node.labels.get(key) != value for key, value in pods.node_selector.items()):
        return False
    return all(not taint.repels or tolerates(pods.tolerations, taint) for taint in node.taints)


def _fits(free: list[int], pods: Pods) -> bool:
    return pods.cpu_m <= free[0] and pods.memory_b <= free[1] and free[2] >= 1


def _full(free: dict[str, list[int]], choice: Sequence[Node], pods: Pods, number: int, of: int) -> str:
    most = [max(free[node.name][index] for node in choice) for index in range(3)]
    return (
        f"too full: pod {number + 1} of {of} asks for {pods.cpu_m}m CPU and {pods.memory_b // 2**20} MiB, "
        f"and a node has at most {most[0]}m, {most[1] // 2**20} MiB and {most[2]} pods left"
    )


def _best(
    request: Request,
    clusters: Sequence[Cluster],
    good: list[Cluster],
    state: State,
    *,
    home: str | None,
    why_not: dict[str, str],
    argv: tuple[str, ...],
) -> HelmPlan:
    if request.named is not None:
        return HelmPlan(request.named, argv, "the request names it", why_not)
    if home is not None:
        is_coming = is_coming_to(home, request.run_namespace, request.function_name, state.placed)
        says = f"another call places the release on {home}" if is_coming else f"the release is on {home} already"
        why = "another call places the release there" if is_coming else "the release is there already"
        others = {cluster.name: says for cluster in good if cluster.name != home}
        return HelmPlan(home, argv, why, why_not | others)
    ranks = {cluster.name: _rank(request, cluster, clusters, state) for cluster in good}
    chosen = min(good, key=lambda cluster: ([key for key, _ in ranks[cluster.name]], cluster.name))
    for cluster in good:
        if cluster.name != chosen.name:
            why_not[cluster.name] = _worse(ranks[cluster.name], ranks[chosen.name], chosen.name)
    if len(good) == 1:
        return HelmPlan(chosen.name, argv, "the only cluster that fits", why_not)
    why = ", ".join(text for _, text in ranks[chosen.name] if text)
    return HelmPlan(chosen.name, argv, f"the best of {len(good)} that fit: {why}", why_not)


Rank = list[tuple[float, str]]


def _rank(request: Request, cluster: Cluster, clusters: Sequence[Cluster], state: State) -> Rank:
    """Smaller is better; each with its words."""
    choose = request.choose
    unwanted = sum(not t.repels and not tolerates(choose.tolerations, t) for t in cluster.taints)
    rank: Rank = [(unwanted, f"{unwanted} PreferNoSchedule taints" if unwanted else "")]
    if choose.spread is not None:
        domain = cluster.domain(choose.spread)
        of_domain = {other.name for other in clusters if other.domain(choose.spread) == domain}
        count = sum(p.cluster in of_domain and p.group == choose.group for p in state.placed)
        rank.append((count, f"{count} of {choose.group or 'the group without name'} in its {choose.spread} {domain}"))
    if choose.latency_from is not None:
        latency = cluster.latency_ms.get(choose.latency_from)
        shown = f"{latency:g} ms from {choose.latency_from}" if latency is not None else "latency not known"
        rank.append((latency if latency is not None else float("inf"), shown))
    room = state.rooms.get(cluster.name)
    nodes = room.nodes if isinstance(room, Room) else ()
    cpu_m, memory_b = sum(n.free_cpu_m for n in nodes), sum(n.free_memory_b for n in nodes)
    rank.append((-cpu_m, f"{cpu_m}m CPU free"))
    rank.append((-memory_b, f"{memory_b // 2**20} MiB free"))
    return rank


def _worse(rank: Rank, best: Rank, chosen: str) -> str:
    for (mine, text), (theirs, other) in zip(rank, best, strict=True):
        if mine != theirs:
            return f"fits, but {text or 'more of the rest'}; {chosen}: {other or 'no PreferNoSchedule taint'}"
    return f"fits as well; {chosen} comes first by name"
