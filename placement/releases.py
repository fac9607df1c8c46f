"""Helm's own records on a cluster: one Secret per revision.  Read for status, mended after an interrupted run."""

from __future__ import annotations

import base64
import gzip
import json
import zlib
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Any

from placement import namespaces
from placement.api import Api, ApiError
from placement.errors import Code, PlacementError
from placement.quantities import unix_s

PENDING = ("pending-install", "pending-upgrade", "pending-rollback", "uninstalling")
GOOD = ("deployed", "superseded")
"""Statuses of revisions that helm had finished."""
RECOVERED = "interrupted; marked as failed by the placement function"
STALE_S = 900.0
"""A record that is pending and was not written for so long was left by a helm that was killed: helm's own --timeout, by
which it ends each of its waits, is 300 s unless said otherwise."""


@dataclass(frozen=True, slots=True)
class Revision:
    """One revision.  status: Helm's: deployed, superseded, failed, pending-…, uninstalling.  config: given values.

    installed: when the release's first revision was made, Helm's text: another one after an uninstall.
    hooks: their manifests, which are no part of the release's own.  written_s: when somebody's helm wrote it last.
    """

    number: int
    status: str
    chart: str
    manifest: str
    config: Mapping[str, Any]
    description: str
    installed: str = ""
    hooks: tuple[str, ...] = ()
    written_s: float = field(default=0.0, compare=False)


def decode(secret: Mapping[str, Any]) -> dict[str, Any]:
    """The record in a Secret: base64 of base64 of gzip of JSON.  Raises ValueError."""
    try:
        packed = base64.b64decode(base64.b64decode(secret["data"]["release"]))
        record = json.loads(gzip.decompress(packed) if packed[:2] == b"\x1f\x8b" else packed)
    except (KeyError, TypeError, OSError, EOFError, zlib.error, ValueError) as e:
        raise ValueError("a release record that is not Helm's") from e
    if not isinstance(record, dict):
        raise ValueError("a release record that is not Helm's")
    return record


def encode(record: Mapping[str, Any]) -> str:
    """As `decode` reads it."""
    return base64.b64encode(base64.b64encode(gzip.compress(json.dumps(record).encode()))).decode()


def revisions(api: Api, namespace: str, release: str) -> list[Revision]:
    """Every revision that Helm kept, oldest first.  Raises PlacementError."""
    found = [_read(secret, decode(secret)) for secret in _secrets(api, namespace, release)]
    return sorted(found, key=lambda r: r.number)


def target(kept: Sequence[Revision], number: int | None) -> Revision:
    """Where a rollback goes: to the revision of that number, None = to the last good one before the newest.

    kept: oldest first.  Raises PlacementError: no_such_release, no_such_revision.
    """
    if not kept:
        raise PlacementError(Code.NO_SUCH_RELEASE)
    if number is None:
        found = good_before(kept, kept[-1].number)
    else:
        found = next((r for r in kept if r.number == number), None)
    if found is None:
        raise PlacementError(Code.NO_SUCH_REVISION)
    return found


def good_before(kept: Sequence[Revision], number: int) -> Revision | None:
    """The newest revision before `number` that was once deployed."""
    return next((r for r in reversed(kept) if r.number < number and r.status in GOOD), None)


def latest(api: Api, namespace: str, release: str) -> Revision | None:
    """The newest revision, None = no such release."""
    newest = max(_secrets(api, namespace, release), key=_number, default=None)
    return None if newest is None else revision_of(decode(newest))


def recover(
    api: Api,
    namespace: str,
    release: str,
    is_ours: Callable[[Sequence[Revision]], bool],
    *,
    ended_s: float = 0.0,
) -> list[Revision]:
    """Mark a newest revision that a killed run left pending as failed; every revision that Helm kept, oldest first.

    is_ours: of these revisions, whether a run of ours, dead by now, has left the newest.  ended_s: when the lease of a
    run ended that was killed: what helm began before was that run's.  One that is not ours stays pending, somebody's
    helm may be at work on it, unless nobody has written it for STALE_S.
    `helm upgrade --install` goes on from a failed revision and removes what that one had made and the new one lacks;
    a pending one it refuses for ever.  Only for who holds the lease.
    """
    kept = sorted(_secrets(api, namespace, release), key=_number)
    records = [decode(secret) for secret in kept]
    found = [_read(secret, record) for secret, record in zip(kept, records, strict=True)]
    if not is_pending(found):
        return found
    if not (is_ours(found) or found[-1].written_s <= ended_s or is_abandoned(found[-1], api.now())):
        return found
    newest, record = kept[-1], records[-1]
    record["info"] = {**record["info"], "status": "failed", "description": RECOVERED}
    labels = {**(newest["metadata"].get("labels") or {}), "status": "failed"}
    changed = {
        **newest,
        "metadata": {**newest["metadata"], "labels": labels},
        "data": {**newest["data"], "release": encode(record)},
    }
    # With its resourceVersion: a helm that still lives would lose this race openly.
    api.put(f"/api/v1/namespaces/{namespace}/secrets/{newest['metadata']['name']}", changed)
    return [*found[:-1], revision_of(record)]


def is_pending(kept: Sequence[Revision]) -> bool:
    """Whether a helm works on the newest of these revisions, or was killed while it did."""
    return bool(kept) and kept[-1].status in PENDING


def is_abandoned(newest: Revision, now_s: float) -> bool:
    """Whether it is pending and was written so long ago that its helm counts as killed.  now_s: the server's clock."""
    return newest.status in PENDING and now_s - newest.written_s > STALE_S


def _read(secret: Mapping[str, Any], record: Mapping[str, Any]) -> Revision:
    return replace(revision_of(record), written_s=_written_s(secret))


def _secrets(api: Api, namespace: str, release: str) -> list[Mapping[str, Any]]:
    try:
        found = api.get(f"/api/v1/namespaces/{namespace}/secrets", labelSelector=f"owner=helm,name={release}")
    except ApiError as e:
        raise PlacementError(Code.CLUSTER_REFUSED, f"{api.cluster} refused to list releases: {e.message}.") from e
    except PlacementError as e:
        # Of a namespace that is gone the account has no rights; without one of its own the list would be empty.
        if e.code is not Code.CLUSTER_REFUSED or not api.account or not namespaces.is_missing(api, namespace):
            raise
        return []
    return list(found.get("items") or [])


def _number(secret: Mapping[str, Any]) -> int:
    text = str((secret["metadata"].get("labels") or {}).get("version", "0"))
    return int(text) if text.isdecimal() else 0


def _written_s(secret: Mapping[str, Any]) -> float:
    """When somebody's helm wrote a record last, by its own clock or the cluster's; 0.0 = nothing tells."""
    metadata = secret["metadata"]
    labels = metadata.get("labels") or {}
    told = [str(labels.get(name)) for name in ("createdAt", "modifiedAt")]
    return max(unix_s(metadata.get("creationTimestamp")), *(float(text) if text.isdecimal() else 0.0 for text in told))


def revision_of(record: Mapping[str, Any]) -> Revision:
    """A record of Helm as a value."""
    info, chart = record.get("info") or {}, (record.get("chart") or {}).get("metadata") or {}
    return Revision(
        number=int(record.get("version") or 0),
        status=str(info.get("status") or "unknown"),
        chart=f"{chart.get('name', '')}-{chart.get('version', '')}",
        manifest=str(record.get("manifest") or ""),
        config=record.get("config") or {},
        description=str(info.get("description") or ""),
        installed=str(info.get("first_deployed") or ""),
        hooks=tuple(str(hook.get("manifest") or "") for hook in record.get("hooks") or ()),
    )
