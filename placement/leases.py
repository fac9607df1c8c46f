"""A Lease on the target cluster for each release: one caller at a time, over all installations of this code."""

from __future__ import annotations

import time
from collections.abc import Mapping
from datetime import UTC, datetime
from typing import Any

from placement import namespaces
from placement.api import Api, ApiError
from placement.errors import Code, PlacementError
from placement.quantities import unix_s

DURATION_S = 10


class HeldError(PlacementError):
    """Another run holds the lease.  holder: its name, "" = not known."""

    def __init__(self, holder: str = "") -> None:
        super().__init__(Code.BUSY)
        self.holder = holder


class Lease:
    """The lease on (namespace, release), once taken.  holder: unique to one run.  duration_s: without a renewal.

    written: when it was taken, by the monotonic clock: its time counts from then.
    """

    def __init__(self, api: Api, namespace: str, release: str, holder: str, duration_s: int = DURATION_S) -> None:
        self.holder = holder
        self.duration_s = duration_s
        self._api = api
        self._folder = f"/apis/coordination.k8s.io/v1/namespaces/{namespace}/leases"
        self._namespace = namespace
        self._name = f"placement.{release}"
        self._held: dict[str, Any] | None = None
        self.written = 0.0

    def take(self) -> float | None:
        """Take it; when it had ended, in Unix seconds, where another holder's had, None = it was free.

        Raises PlacementError: busy while another run holds it, namespace_missing, and what the API says.
        Expiry is judged by the server's clock, so that callers need not agree on the time.
        """
        before: float | None = None
        try:
            current = self._api.get(f"{self._folder}/{self._name}")
        except ApiError as e:
            if e.status != 404:
                raise
            self._held = self._written("POST", self._folder, self._body(None))
            return None
        except PlacementError as e:
            # Where a namespace is gone the rights in it are, too: who has none elsewhere is refused and not told.
            if e.code is Code.CLUSTER_REFUSED and namespaces.is_missing(self._api, self._namespace):
                raise namespaces.missing(self._api, self._namespace) from e
            raise
        spec = current.get("spec") or {}
        if spec.get("holderIdentity") and spec["holderIdentity"] != self.holder:
            ends = unix_s(spec.get("renewTime")) + int(spec.get("leaseDurationSeconds") or 0)
            if self._api.now() < ends:
                raise HeldError(str(spec["holderIdentity"]))
            before = ends
        self._held = self._written("PUT", f"{self._folder}/{self._name}", self._body(current))
        return before

    def renew(self) -> None:
        """Raises PlacementError: lease_lost when another run has it, cluster_down and so on when nobody answers."""
        path = f"{self._folder}/{self._name}"
        try:
            self._held = self._api.put(path, self._body(self._held))
        except ApiError as e:
            # A renewal whose answer was lost has moved the version on: what counts is whose name is there.
            try:
                current = self._api.get(path)
                if e.status == 409 and (current.get("spec") or {}).get("holderIdentity") == self.holder:
                    self._held = self._api.put(path, self._body(current))
                    return
            except ApiError:
                pass
            raise PlacementError(Code.LEASE_LOST) from e

    def release(self) -> None:
        """Remove it, if it is still ours.  What fails here ends with the lease's time."""
        if self._held is None:
            return
        metadata = self._held["metadata"]
        condition = {"uid": metadata.get("uid"), "resourceVersion": metadata.get("resourceVersion")}
        try:
            self._api.delete(f"{self._folder}/{self._name}", {"preconditions": condition})
        except (ApiError, PlacementError):
            return
        finally:
            self._held = None

    def _written(self, method: str, path: str, body: Mapping[str, Any]) -> dict[str, Any]:
        self.written = time.monotonic()
        try:
            return self._api.post(path, body) if method == "POST" else self._api.put(path, body)
        except ApiError as e:
            if e.status == 409:
                raise HeldError from e
            if e.status == 404 and "namespaces" in e.message:
                raise namespaces.missing(self._api, self._namespace) from e
            if e.status == 404:  # removed by its holder between our read and our write
                raise HeldError from e
            raise

    def _body(self, current: Mapping[str, Any] | None) -> dict[str, Any]:
        now = datetime.fromtimestamp(self._api.now(), UTC).strftime("%Y-%m-%dT%H:%M:%S.%fZ")
        spec = dict((current or {}).get("spec") or {})
        if spec.get("holderIdentity") != self.holder:
            spec["acquireTime"] = now
            spec["leaseTransitions"] = int(spec.get("leaseTransitions") or 0) + (1 if current else 0)
        spec |= {"holderIdentity": self.holder, "leaseDurationSeconds": self.duration_s, "renewTime": now}
        metadata = {"name": self._name, "namespace": self._namespace}
        if current is not None:
            metadata["resourceVersion"] = current["metadata"]["resourceVersion"]
        return {"apiVersion": "coordination.k8s.io/v1", "kind": "Lease", "metadata": metadata, "spec": spec}
