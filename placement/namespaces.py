"""Namespaces that a call makes, each with an account and its rights in it, as charts/placement-target has them."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from placement.api import Api, ApiError
from placement.errors import Code, PlacementError
from placement.quantities import unix_s

LABELS = {"app.kubernetes.io/managed-by": "telco-edge-placement"}
FINISHED_WITHIN_S = 30.0
"""Rights count a moment after they are written, and a function that was killed has written half: longer, never."""
_ACCOUNT = "system:serviceaccount:"
_RBAC = "rbac.authorization.k8s.io"


def is_missing(api: Api, namespace: str) -> bool:
    """Whether it is known to be: not where that is refused as well."""
    try:
        _read(api, namespace)
    except ApiError as e:
        return e.status == 404
    except PlacementError:
        return False
    return False


def is_being_made(api: Api, namespace: str) -> bool:
    """Whether a call has made it just now: its account may not be let in yet.  Raises PlacementError."""
    try:
        metadata = _read(api, namespace).get("metadata") or {}
    except ApiError:
        return False
    is_ours = (metadata.get("labels") or {}).items() >= LABELS.items()
    return is_ours and api.now() - unix_s(metadata.get("creationTimestamp")) < FINISHED_WITHIN_S


def make(api: Api, namespace: str) -> bool:
    """Make what is missing of it; whether all was, the namespace too.  Raises PlacementError."""
    is_new = _made(api, "/api/v1/namespaces", "v1", "Namespace", {"name": namespace, "labels": LABELS})
    if api.account.startswith(_ACCOUNT):
        home, name = api.account.removeprefix(_ACCOUNT).split(":")
        metadata = {"name": name, "namespace": home, "labels": LABELS}
        path = f"/api/v1/namespaces/{home}/serviceaccounts"
        _made(api, path, "v1", "ServiceAccount", metadata, automountServiceAccountToken=False)
        role = f"placement-target-{name.removesuffix(f'-{namespace}')}"
        _made(
            api,
            f"/apis/{_RBAC}/v1/namespaces/{namespace}/rolebindings",
            f"{_RBAC}/v1",
            "RoleBinding",
            {"name": role, "namespace": namespace, "labels": LABELS},
            roleRef={"apiGroup": _RBAC, "kind": "ClusterRole", "name": f"{role}-namespace"},
            subjects=[{"kind": "ServiceAccount", "name": name, "namespace": home}],
        )
    return is_new


def _read(api: Api, namespace: str) -> dict[str, Any]:
    return api.itself().get(f"/api/v1/namespaces/{namespace}")


def _made(api: Api, path: str, version: str, kind: str, metadata: Mapping[str, Any], **rest: Any) -> bool:
    """Whether it was not there."""
    try:
        api.itself().post(path, {"apiVersion": version, "kind": kind, "metadata": metadata, **rest})
    except ApiError as e:
        if e.status != 409:
            raise PlacementError(Code.CLUSTER_REFUSED, f"{api.cluster} refused: {e.message}.") from e
        return False
    return True
