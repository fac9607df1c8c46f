"""A placement call: its JSON, in the shape that users of the earlier function know, and what it must satisfy."""

from __future__ import annotations

import re
from typing import Any, Literal

import msgspec

from placement import quantities
from placement.errors import Code, PlacementError
from trust.envelope import ID_CHARACTERS, is_call_id

Action = Literal["apply", "status", "diff", "rollback", "uninstall", "list"]
MAX_RELEASE = 53  # Helm's own limit: names of objects are made from it
MAX_WAIT_S = 1800
_LABEL = re.compile(r"[a-z0-9](?:[-a-z0-9]{0,61}[a-z0-9])?\Z")
_REPOSITORY = re.compile(r"oci://[a-zA-Z0-9.-]+(?::[0-9]{1,5})?(?:/[a-z0-9]+(?:[._-]+[a-z0-9]+)*)+\Z")
_VERSION = re.compile(r"v?[0-9]+\.[0-9]+\.[0-9]+(?:-[0-9A-Za-z.-]+)?(?:\+[0-9A-Za-z.-]+)?\Z")
_VALUES_FILE = re.compile(r"s3://([a-z0-9][a-z0-9.-]{1,61}[a-z0-9])/([^\x00-\x1f\x7f]{1,1024})\Z")


class Toleration(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """As in a pod: key "" with operator Exists tolerates everything; effect "" means every effect."""

    key: str = ""
    operator: Literal["Equal", "Exists"] = "Equal"
    value: str = ""
    effect: str = ""


class Needs(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """What the workload asks of a cluster, declared instead of read from the rendered chart; quantities per pod."""

    cpu: str = "0"
    memory: str = "0"
    replicas: int = 1


class Choose(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """How to choose where the request names no cluster.

    zone: exactly this one.  labels: the cluster must carry all.  latency_from: the place to measure from, a key of the
    clusters' latency scores; max_latency_ms then bounds it.  spread: "cluster", "zone", "location" or a label key:
    prefer the domain with fewest placements of `group`.  anti_affinity: groups or releases that must not be there.
    """

    zone: str | None = None
    labels: dict[str, str] = {}
    latency_from: str | None = None
    max_latency_ms: float | None = None
    spread: str | None = None
    group: str = ""
    anti_affinity: tuple[str, ...] = ()
    tolerations: tuple[Toleration, ...] = ()
    needs: Needs | None = None


class Request(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """One call.  function_name: the release.  cluster and eks_cluster_name are the same; null leaves it to policy.

    id: makes repeats harmless; without it the gateway's X-Call-Id does.  timeout_s: how long `wait` lasts.
    """

    function_name: str = ""
    run_namespace: str = ""
    chart_repository: str = ""
    chart_version: str = ""
    location: str | None = None
    cluster: str | None = None
    eks_cluster_name: str | None = None
    values_yaml_file: str | None = None
    values: dict[str, Any] | None = msgspec.field(default=None)
    action: Action = "apply"
    choose: Choose = Choose()
    id: str | None = None
    wait: bool = False
    atomic: bool = False
    dry_run: bool = False
    timeout_s: int = 120
    revision: int | None = None

    @property
    def named(self) -> str | None:
        """The cluster that the caller names."""
        return self.cluster or self.eks_cluster_name

    @property
    def waits(self) -> bool:
        """Whether the answer tells of readiness; atomic cannot judge without it."""
        return self.wait or self.atomic

    def __repr__(self) -> str:
        """Without values, which may hold secrets."""
        return f"Request({self.action} {self.run_namespace}/{self.function_name})"


def is_dns_label(text: str) -> bool:
    """RFC 1123, as Kubernetes wants names of namespaces and many objects."""
    return _LABEL.match(text) is not None


def decode(body: bytes) -> Request:
    """The request, checked by itself.  Raises PlacementError bad_request, bad_name."""
    try:
        request = msgspec.json.decode(body, type=Request)
    except (msgspec.MsgspecError, UnicodeDecodeError, RecursionError) as e:
        # msgspec's words name a field and a type, never a value of `values`.
        raise PlacementError(Code.BAD_REQUEST, f"The body is not a placement request: {e}.") from None
    check(request)
    return request


def check(request: Request) -> None:
    """Raises PlacementError bad_request or bad_name, for the first thing wrong."""
    if request.id is not None and not is_call_id(request.id):
        raise _bad(f"id has {ID_CHARACTERS}")
    if request.cluster and request.eks_cluster_name and request.cluster != request.eks_cluster_name:
        raise _bad("cluster and eks_cluster_name name two clusters: give one")
    if not 1 <= request.timeout_s <= MAX_WAIT_S:
        raise _bad(f"timeout_s is 1 to {MAX_WAIT_S}")
    if request.action == "list":
        return
    _check_name("function_name", request.function_name, MAX_RELEASE)
    _check_name("run_namespace", request.run_namespace, 63)
    if request.revision is not None and (request.action != "rollback" or request.revision < 1):
        raise _bad("revision goes with action rollback and counts from 1")
    if request.action in ("apply", "diff"):
        _check_chart(request)
    _check_choose(request.choose)


def _check_name(field: str, text: str, limit: int) -> None:
    if not is_dns_label(text) or len(text) > limit:
        shown = text[:64] + ("…" if len(text) > 64 else "")
        raise PlacementError(
            Code.BAD_NAME,
            f"{field} {shown!r} is no DNS label: lower-case letters, digits and hyphens, at most {limit}.",
        )


def _check_chart(request: Request) -> None:
    if not _REPOSITORY.match(request.chart_repository):
        raise _bad("chart_repository is like oci://registry.example:5000/charts/upf")
    if not _VERSION.match(request.chart_version):
        raise _bad("chart_version is one exact version, like 1.2.3")
    if request.values_yaml_file is not None:
        values_file(request.values_yaml_file)


def _check_choose(choose: Choose) -> None:
    if choose.max_latency_ms is not None and choose.latency_from is None:
        raise _bad("choose.max_latency_ms goes with choose.latency_from")
    if choose.needs is not None:
        try:
            quantities.cpu_m(choose.needs.cpu)
            quantities.memory_b(choose.needs.memory)
        except ValueError as e:
            raise _bad(f"choose.needs: {e}") from None
        if not 1 <= choose.needs.replicas <= 1000:
            raise _bad("choose.needs.replicas is 1 to 1000")


def values_file(url: str) -> tuple[str, str]:
    """Bucket and key of s3://bucket/key.  Raises PlacementError bad_request."""
    found = _VALUES_FILE.match(url)
    if found is None:
        raise _bad("values_yaml_file is like s3://bucket/key, or null for the chart's defaults")
    return found[1], found[2]


def _bad(what: str) -> PlacementError:
    return PlacementError(Code.BAD_REQUEST, f"The body is not a placement request: {what}.")
