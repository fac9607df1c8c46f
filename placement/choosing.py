"""The first step: which cluster.  Reads what `plan` must be told, all clusters at once, and lets it decide."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor

from placement import manifest, registries, step_time, values
from placement.api import Api
from placement.capacity import read_room
from placement.cluster import Cluster, Placed, Pods, Room, State, Unreachable
from placement.errors import Code, PlacementError
from placement.helm import Helm, registry_files, registry_flags
from placement.helm_errors import meaning
from placement.masking import all_words
from placement.plan import (
    VALUES,
    VALUES_FILE,
    HelmPlan,
    Refused,
    candidates,
    homes,
    homes_of,
    plan,
    template_argv,
)
from placement.quantities import cpu_m, memory_b
from placement.request import Request
from placement.settings import Secrets

TEMPLATE_S = 2.5
_AT_ONCE = 32
NOTHING = State()


class Chooser:
    """connect: an Api to a cluster; raises PlacementError cluster_credentials."""

    def __init__(self, helm: Helm, secrets: Secrets, connect: Callable[[Cluster], Api]) -> None:
        self._helm = helm
        self._secrets = secrets
        self._connect = connect

    def look(
        self,
        request: Request,
        clusters: Sequence[Cluster],
        placed: Sequence[Placed],
        known: State = NOTHING,
        *,
        until: float,
    ) -> State:
        """What `plan` must be told.  known: an earlier look, of which nothing is asked twice.

        until: when helm is to be over, by the monotonic clock; a cluster that has not told its room by then counts as
        one that does not answer.
        Raises PlacementError: values, chart or registry.
        """
        rooms, workload = known.rooms, known.workload
        if request.named is None and not homes_of(request, clusters, placed):
            asked = [cluster for cluster in candidates(request, clusters, placed) if cluster.name not in rooms]
            with ThreadPoolExecutor(_AT_ONCE) as pool:
                found = {cluster.name: pool.submit(self._room, cluster, until) for cluster in asked}
                workload = self._workload(request, until) if asked and not workload else workload
                rooms = rooms | {name: room.result() for name, room in found.items()}
        return State(rooms, tuple(placed), workload)

    def choose(
        self, request: Request, clusters: Sequence[Cluster], state: State, *, timeout_s: float
    ) -> HelmPlan | Refused:
        """`plan` with what a look has found."""
        registry = self._secrets.registry(request.chart_repository)
        return plan(request, clusters, state, timeout_s=timeout_s, registry=registry_flags(registry))

    def locate(self, request: Request, clusters: Sequence[Cluster], placed: Sequence[Placed]) -> HelmPlan:
        """Where a release is that is to be rolled back, removed or looked at.

        Raises PlacementError: unknown_cluster, no_such_release (named clusters are believed: the inventory may have
        been lost).
        """
        names = {cluster.name for cluster in clusters}
        if request.named is not None:
            if request.named not in names:
                raise PlacementError(Code.UNKNOWN_CLUSTER, f"No cluster {request.named!r} is registered.")
            return HelmPlan(request.named, (), "the request names it", {})
        fitting = {cluster.name for cluster in candidates(request, clusters, ())}
        found = homes(request, placed, fitting)
        if not found:
            raise PlacementError(
                Code.NO_SUCH_RELEASE, f"No release {request.run_namespace}/{request.function_name} is placed there."
            )
        if len(found) > 1:
            raise PlacementError(
                Code.BAD_REQUEST, f"The release is on {', '.join(found)}: name one of them as `cluster`."
            )
        return HelmPlan(found[0], (), "the release is there", {})

    def _room(self, cluster: Cluster, until: float) -> Room | Unreachable:
        try:
            api = self._connect(cluster)
        except PlacementError as e:
            return Unreachable(e.detail.rstrip("."))
        api.until = until
        try:
            return read_room(api)
        finally:
            api.close()

    def _workload(self, request: Request, until: float) -> tuple[Pods, ...]:
        declared = request.choose.needs
        if declared is not None:
            return (Pods(declared.replicas, cpu_m(declared.cpu), memory_b(declared.memory)),)
        given = values.gather(request, self._secrets.object_store())
        registry = self._secrets.registry(request.chart_repository)
        argv = template_argv(request, registry=registry_flags(registry))
        with self._helm.turn() as turn:
            timeout_s = step_time.helm_has_s(TEMPLATE_S, until)
            ran = turn.run(argv, registry_files(registry) | values_files(given), timeout_s=timeout_s)
        if ran.stopped is not None:
            raise registries.stopped(ran.stopped, request.chart_repository, registry)
        if ran.exit_code != 0:
            raise meaning(ran.stderr, all_words(given.parsed) | self._secrets.secret_words())
        return manifest.needs(manifest.objects(ran.stdout))


def values_files(given: values.Values) -> dict[str, str]:
    """As helm reads them."""
    files = {VALUES: given.inline}
    if given.file is not None:
        files[VALUES_FILE] = given.file
    return files
