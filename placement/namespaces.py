"""Namespaces that a call makes, each with an account and its rights in it, as charts/placement-target has them."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from placement.api import Api, ApiError
from placement.errors import Code, PlacementError
from placement.quantities import unix_s

MADE_BY = {"app.kubernetes.io/managed-by": "telco-edge-placement"}
LABELS = MADE_BY | {"pod-security.kubernetes.io/enforce": "baseline"}
"""Of a namespace: a pod that may read its node's disk would reach what the account does not."""
COUNTS_WITHIN_S = 30.0
"""Of rights that were written, in what the API server decides."""
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


def missing(api: Api, namespace: str) -> PlacementError:
    """That it is, as the caller is told."""
    return PlacementError(Code.NAMESPACE_MISSING, f"Cluster {api.cluster} has no namespace {namespace}.")


def make(api: Api, namespace: str) -> bool:
    """Make it, without an account; whether it was not there.  Raises PlacementError."""
    return _made(api, "/api/v1/namespaces", "v1", "Namespace", {"name": namespace, "labels": LABELS})


def is_to_be_finished(api: Api, namespace: str) -> bool:
    """Whether a call has made it, and its account is not let in yet: now it will be.  Raises PlacementError.

    Rights count a moment after they are written; and a call that was cut off has written some of them, or none.
    """
    try:
        metadata = _read(api, namespace).get("metadata") or {}
    except ApiError:
        return False
    if not (metadata.get("labels") or {}).items() >= MADE_BY.items():
        return False
    is_new = api.now() - unix_s(metadata.get("creationTimestamp")) < COUNTS_WITHIN_S
    return grant(api, namespace) or is_new


def grant(api: Api, namespace: str) -> bool:
    """Make its account and let that in, where there is to be one; whether any of it was not there.

    Raises PlacementError.
    """
    if not api.account.startswith(_ACCOUNT):
        return False
    home, name = api.account.removeprefix(_ACCOUNT).split(":")
    metadata = {"name": name, "namespace": home, "labels": MADE_BY}
    path = f"/api/v1/namespaces/{home}/serviceaccounts"
    is_new = _made(api, path, "v1", "ServiceAccount", metadata, automountServiceAccountToken=False)
    role = f"placement-target-{name.removesuffix(f'-{namespace}')}"
    path = f"/apis/{_RBAC}/v1/namespaces/{namespace}/rolebindings"
    account = {"kind": "ServiceAccount", "name": name, "namespace": home}
    pods = {"apiGroup": _RBAC, "kind": "Group", "name": f"system:serviceaccounts:{namespace}"}
    for binding, bound, subject in (
        (role, f"{role}-namespace", account),
        (f"{role}-events", f"{role}-events", pods),
    ):
        is_new |= _made(
            api,
            path,
            f"{_RBAC}/v1",
            "RoleBinding",
            {"name": binding, "namespace": namespace, "labels": MADE_BY},
            roleRef={"apiGroup": _RBAC, "kind": "ClusterRole", "name": bound},
            subjects=[subject],
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
