"""Who may place what where: the secret `placement-policy`, a YAML file.  Nobody may do what it does not grant.  Pure.

    callers:
      operator/alice:
        locations: [berlin, "munich-*"]
        namespaces: ["edge-*"]
        repositories: ["oci://registry.example/charts/*"]
        values_files: ["s3://configs/upf/*"]   # all that the function's keys can read, where it is left out
        actions: [apply, status, diff, rollback, uninstall, list]   # all, where it is left out
        create_namespaces: false

A caller's own entry counts, else the first whose name, a pattern with *, fits.
"""

from __future__ import annotations

from collections.abc import Mapping
from fnmatch import fnmatchcase

import msgspec
import yaml

from placement.cluster import Cluster
from placement.errors import Code, PlacementError
from placement.request import Request

ACTIONS = ("apply", "status", "diff", "rollback", "uninstall", "list")


class Grant(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """What a caller may do; patterns with *, which also stands for slashes."""

    locations: tuple[str, ...] = ()
    namespaces: tuple[str, ...] = ()
    repositories: tuple[str, ...] = ()
    actions: tuple[str, ...] = ACTIONS
    create_namespaces: bool = False
    values_files: tuple[str, ...] = ("*",)

    def may_use(self, cluster: Cluster) -> bool:
        """Whether the cluster's location is among those granted."""
        return _any(self.locations, cluster.location)

    def may_see(self, namespace: str) -> bool:
        """Whether the namespace is among those granted."""
        return _any(self.namespaces, namespace)


def _any(patterns: tuple[str, ...], text: str) -> bool:
    return any(fnmatchcase(text, pattern) for pattern in patterns)


def parse(text: str) -> dict[str, Grant]:
    """The grants by caller.  Raises PlacementError configuration."""
    try:
        raw = yaml.safe_load(text) or {}
        callers = raw.get("callers") if isinstance(raw, dict) else None
        if not isinstance(raw, dict) or raw.keys() - {"callers"} or not isinstance(callers or {}, dict):
            raise ValueError("it must be a mapping with `callers`")
        return {str(name): msgspec.convert(grant or {}, Grant) for name, grant in (callers or {}).items()}
    except (yaml.YAMLError, ValueError) as e:
        # Neither YAML's nor msgspec's words repeat values; a policy holds no secrets anyway.
        raise PlacementError(Code.CONFIGURATION, f"The secret placement-policy cannot be read: {_one_line(e)}.") from e


def _one_line(error: Exception) -> str:
    return " ".join(str(error).split())


def grant_of(grants: Mapping[str, Grant], caller: str) -> Grant:
    """The caller's grant.  Raises PlacementError not_allowed."""
    found = grants.get(caller) or next((g for name, g in grants.items() if fnmatchcase(caller, name)), None)
    if found is None:
        raise PlacementError(Code.NOT_ALLOWED, f"The policy has no entry for {caller}.")
    return found


def check(grant: Grant, caller: str, request: Request) -> None:
    """Raises PlacementError not_allowed for the first thing that the grant lacks; locations are judged by cluster."""
    if request.action not in grant.actions:
        raise _refused(caller, f"use action {request.action}")
    if request.action == "list":
        return
    if not grant.may_see(request.run_namespace):
        raise _refused(caller, f"use namespace {request.run_namespace}")
    if request.location is not None and not _any(grant.locations, request.location):
        raise _refused(caller, f"use location {request.location}")
    if request.action in ("apply", "diff") and not _any(grant.repositories, request.chart_repository):
        raise _refused(caller, f"use charts of {request.chart_repository}")
    if request.values_yaml_file is not None and not _any(grant.values_files, request.values_yaml_file):
        raise _refused(caller, f"use values of {request.values_yaml_file}")


def check_cluster(grant: Grant, caller: str, cluster: Cluster) -> None:
    """Raises PlacementError not_allowed when the cluster's location is not granted."""
    if not grant.may_use(cluster):
        raise _refused(caller, f"use cluster {cluster.name}")


def _refused(caller: str, what: str) -> PlacementError:
    return PlacementError(Code.NOT_ALLOWED, f"The policy does not let {caller} {what}.")
