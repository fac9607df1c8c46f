"""Questions that change nothing, answered at once: what is placed, and how a release is doing."""

from __future__ import annotations

import time
from collections.abc import Sequence
from typing import Any

import msgspec

from placement import manifest, masking, metrics, policy, releases, watching
from placement.api import ApiError
from placement.cluster import Cluster, is_coming_to
from placement.errors import Code, PlacementError
from placement.inventory import Placement
from placement.nudging import Reloads
from placement.operation import Answer, Why, error_answer
from placement.readiness import Verdict
from placement.request import Request
from placement.steps import Placer

WITHIN_S = 4.5
"""For a status; a cluster that has not told all by then is told as too slow."""


def listing(placer: Placer, grant: policy.Grant, request: Request) -> Answer:
    """The inventory, as far as the caller may see it; narrowed by what the request names."""
    clusters = {cluster.name: cluster for cluster in placer.parts.clusters.all()}
    found = [
        p
        for p in placer.parts.inventory.all()
        if (cluster := clusters.get(p.cluster)) is not None
        and _may_see(grant, cluster, p)
        and _asked(request, cluster, p)
    ]
    return Answer("listed", placements=[as_row(p) for p in found])


def _may_see(grant: policy.Grant, cluster: Cluster, placement: Placement) -> bool:
    return grant.may_use(cluster) and grant.may_see(placement.namespace)


def _asked(request: Request, cluster: Cluster, placement: Placement) -> bool:
    wanted = (
        (request.named, placement.cluster),
        (request.location, cluster.location),
        (request.run_namespace or None, placement.namespace),
        (request.function_name or None, placement.release),
    )
    return all(name is None or name == has for name, has in wanted)


def as_row(placement: Placement) -> dict[str, Any]:
    """A placement as JSON, its newest event beside it."""
    row: dict[str, Any] = msgspec.to_builtins(placement)
    return row


def status(placer: Placer, grant: policy.Grant, caller: str, request: Request) -> Answer:
    """How the release is, and what the cluster has otherwise than the inventory or the release's manifest.

    Raises PlacementError.
    """
    begun = time.monotonic()
    clusters = placer.planning.permitted(grant, caller, request)
    placed = placer.planning.placed()
    found = placer.planning.chooser.locate(request, clusters, placed)
    is_coming = is_coming_to(found.cluster, request.run_namespace, request.function_name, placed)
    api = placer.parts.connect(placer.parts.clusters.get(found.cluster), request.run_namespace)
    api.until = begun + WITHIN_S
    try:
        kept = releases.revisions(api, request.run_namespace, request.function_name)
        known = placer.parts.inventory.get(found.cluster, request.run_namespace, request.function_name)
        answer = Answer("absent", found.cluster, request.function_name, why=Why(found.why, found.why_not))
        if not kept:
            drift = ["the release is in the inventory and not on the cluster"] if known and known.is_placed else []
            metrics.compared(found.cluster, drift=bool(drift))
            missing = PlacementError(Code.NO_SUCH_RELEASE)
            return msgspec.structs.replace(answer, drift=drift, error=error_answer(missing), time_taken_s=_since(begun))
        newest = kept[-1]
        objects = manifest.objects(newest.manifest)
        look = watching.look(api, request.run_namespace, objects)
        behind: PlacementError | None = None
        if look.verdict is Verdict.READY:
            behind = Reloads(api).unconfirmed(request.run_namespace, request.function_name)
        is_abandoned = not is_coming and releases.is_abandoned(newest, api.now())
        drift = ([] if is_coming else _drift(known, newest)) + watching.drift(api, request.run_namespace, objects)
    except ApiError as e:
        raise e.told() from e
    finally:
        api.close()
    metrics.compared(found.cluster, drift=bool(drift))
    word, error = _judged(newest, look, behind, placer.parts.secrets.secret_words())
    if is_abandoned:
        word, error = "failed", _abandoned(newest)
    if is_coming and word == "progressing":
        error = None  # there is a call yet to tell
    return msgspec.structs.replace(
        answer,
        status=word,
        revision=newest.number,
        chart=newest.chart,
        pods=look.pods,
        drift=drift,
        error=error_answer(error) if error is not None else None,
        time_taken_s=_since(begun),
    )


def _since(begun: float) -> float:
    return round(time.monotonic() - begun, 3)


def _abandoned(newest: releases.Revision) -> PlacementError:
    since = f"has been {newest.status} for more than {releases.STALE_S / 60:g} minutes"
    then = "the helm that wrote it was killed, and the next apply goes on from there"
    return PlacementError(Code.APPLY_FAILED, f"Revision {newest.number} {since}: {then}.")


def _judged(
    newest: releases.Revision, look: watching.Look, behind: PlacementError | None, secret: set[str]
) -> tuple[str, PlacementError | None]:
    """behind: of pods that are ready, what keeps them from their configuration."""
    if newest.status in releases.PENDING:
        return "progressing", None
    if newest.status == "failed":
        # Helm's own words, which quote values: who may ask for a status is not who gave them.
        said = masking.strike(newest.description.rstrip("."), masking.all_words(newest.config) | secret)
        return "failed", PlacementError(Code.APPLY_FAILED, f"Revision {newest.number} failed: {said}.")
    if look.verdict is Verdict.FAILED:
        return "failed", PlacementError(Code.PODS_CRASH, f"Pods of the release crash or cannot start: {look.why}.")
    if look.verdict is Verdict.WAITING:
        return "progressing", None
    if behind is None:
        return "ready", None
    # A check tells of the line that it refuses, and any password in it.
    words = masking.secret_words(newest.config) | masking.words_of_files(manifest.objects(newest.manifest))
    told = PlacementError(behind.code, masking.strike(behind.detail, words | secret))
    return ("failed" if behind.code is Code.CONFIG_REJECTED else "progressing"), told


def _drift(known: Placement | None, newest: releases.Revision) -> list[str]:
    if known is None or not known.is_placed:
        return ["the release is on the cluster and not in the inventory"]
    found: list[str] = []
    pairs: Sequence[tuple[str, object, object]] = (
        ("revision", known.revision, newest.number),
        ("chart", known.chart, newest.chart),
    )
    for what, ours, theirs in pairs:
        if ours != theirs:
            found.append(f"{what}: the inventory has {ours}, the cluster {theirs}")
    return found
