"""`edge clusters`: the registry of clusters that the placement function chooses from."""

from __future__ import annotations

import argparse
import math
import sys
from collections.abc import Iterator, Sequence
from contextlib import closing, contextmanager
from pathlib import Path

from durable.opening import open_store
from edge.table import columns
from placement.api import Api, ApiError
from placement.capacity import read_room
from placement.cluster import Cluster, Taint, Unreachable
from placement.errors import PlacementError
from placement.inventory import Clusters
from placement.request import is_dns_label
from placement.settings import Secrets
from placement.tables import TABLES
from trust.errors import ConfigError
from trust.secrets import secrets_directory

NEEDED: tuple[tuple[str, str, str], ...] = (
    ("get", "", "secrets"),
    ("create", "", "secrets"),
    ("create", "", "configmaps"),
    ("create", "apps", "deployments"),
    ("patch", "", "pods"),
    ("get", "", "pods/proxy"),
    ("create", "coordination.k8s.io", "leases"),
)
"""Verb, API group and resource that placing in a namespace needs at least; charts may need more."""
UNWANTED: tuple[tuple[str, str, str], ...] = (
    ("*", "*", "*"),
    ("create", "rbac.authorization.k8s.io", "clusterroles"),
    ("impersonate", "", "users"),
    ("impersonate", "", "groups"),
)
EVERYWHERE: tuple[tuple[str, str, str], ...] = (
    ("get", "", "secrets"),
    ("create", "rbac.authorization.k8s.io", "rolebindings"),
)
"""Either, in a namespace that is nobody's to place in, leads to all (charts/placement-target, createNamespaces)."""
BY_ITSELF = ("get", "", "secrets")
"""What a token may not by itself in a namespace where another account acts for it."""
_EFFECTS = ("NoSchedule", "PreferNoSchedule", "NoExecute")


def add_commands(group: argparse.ArgumentParser) -> None:
    """The group's command line."""
    commands = group.add_subparsers(dest="command", required=True, metavar="COMMAND")
    p = commands.add_parser(
        "add",
        help="register a cluster, or replace its entry",
        epilog="The kubeconfig itself goes into an OpenFaaS secret: a context of that name in edge-kubeconfigs, or a "
        "secret of its own (--secret), which stack.yml must then give to the function.",
    )
    p.add_argument("name", help="lower-case letters, digits and hyphens")
    p.add_argument("--location", required=True, help="where it is; callers ask for it, the policy grants it")
    p.add_argument("--zone", default="", help="a part of the location")
    p.add_argument("--label", action="append", default=[], metavar="KEY=VALUE", help="may be repeated")
    p.add_argument(
        "--taint", action="append", default=[], metavar="KEY[=VALUE]:EFFECT", help="keeps intolerant workloads away"
    )
    p.add_argument(
        "--latency", action="append", default=[], metavar="PLACE=MS", help="score, as measured from that place"
    )
    p.add_argument("--secret", default="edge-kubeconfigs", help="with its kubeconfig (default: %(default)s)")
    p.add_argument("--context", default="", help="of the kubeconfig (default: the one called like the cluster)")
    _add_store(p)
    p.set_defaults(run=add)
    p = commands.add_parser("list", help="show the registered clusters")
    _add_store(p)
    p.set_defaults(run=list_all)
    p = commands.add_parser("remove", help="forget a cluster; what is placed there stays")
    p.add_argument("name")
    _add_store(p)
    p.set_defaults(run=remove)
    p = commands.add_parser("check", help="ask clusters whether they answer, how much room they have, what is granted")
    p.add_argument("name", nargs="?", help="(default: all)")
    p.add_argument("--namespace", help="also check the rights in that namespace")
    p.add_argument("--secrets", type=Path, metavar="DIR", help="directory of the secrets with the kubeconfigs")
    _add_store(p)
    p.set_defaults(run=check)


def _add_store(p: argparse.ArgumentParser) -> None:
    p.add_argument("--store", metavar="URL", help="the functions' store (default: variable STORE_URL)")


@contextmanager
def _registry(args: argparse.Namespace) -> Iterator[Clusters]:
    """In the store that the command line names."""
    with closing(open_store(args.store, TABLES)) as store:
        yield Clusters(store)


def _pairs(entries: Sequence[str], what: str) -> dict[str, str]:
    found = {}
    for entry in entries:
        key, separator, value = entry.partition("=")
        if not key or not separator:
            raise ConfigError(what, f"{entry!r} is not like key=value")
        found[key] = value
    return found


def _taint(text: str) -> Taint:
    rest, _, effect = text.rpartition(":")
    key, _, value = rest.partition("=")
    if not key or effect not in _EFFECTS:
        raise ConfigError("--taint", f"{text!r} is not like key=value:NoSchedule; effects are {', '.join(_EFFECTS)}")
    return Taint(key, value, effect)


def add(args: argparse.Namespace) -> int:
    """Register."""
    if not is_dns_label(args.name):
        raise ConfigError("cluster", f"{args.name!r} is not made of lower-case letters, digits and hyphens")
    try:
        latency_ms = {place: float(ms) for place, ms in _pairs(args.latency, "--latency").items()}
    except ValueError:
        raise ConfigError("--latency", "is like place=12.5, in milliseconds") from None
    if not all(0 <= ms < math.inf for ms in latency_ms.values()):
        raise ConfigError("--latency", "is a number of milliseconds, 0 or more")
    if not args.location.strip():
        raise ConfigError("--location", "must not be empty: callers ask for it, the policy grants it")
    cluster = Cluster(
        args.name,
        args.location,
        args.zone,
        _pairs(args.label, "--label"),
        tuple(_taint(text) for text in args.taint),
        latency_ms,
        args.secret,
        args.context,
    )
    with _registry(args) as registry:
        is_new = registry.put(cluster)
    sys.stdout.write(
        f"{'added' if is_new else 'replaced'} {cluster.name}; `edge clusters check {cluster.name}` asks it\n"
    )
    return 0


def remove(args: argparse.Namespace) -> int:
    """Forget."""
    with _registry(args) as registry:
        is_removed = registry.remove(args.name)
    if not is_removed:
        raise ConfigError("cluster", f"{args.name!r} is not registered")
    sys.stdout.write(f"removed {args.name}\n")
    return 0


def list_all(args: argparse.Namespace) -> int:
    """Show."""
    with _registry(args) as registry:
        clusters = registry.all()
    rows = [
        (
            c.name,
            c.location,
            c.zone or "-",
            " ".join(f"{key}={value}" for key, value in sorted(c.labels.items())) or "-",
            " ".join(map(str, c.taints)) or "-",
            " ".join(f"{place}={ms:g}ms" for place, ms in sorted(c.latency_ms.items())) or "-",
            c.secret,
        )
        for c in clusters
    ]
    sys.stdout.write(columns(("NAME", "LOCATION", "ZONE", "LABELS", "TAINTS", "LATENCY", "SECRET"), rows))
    return 0


def check(args: argparse.Namespace) -> int:
    """Ask; exit 1 when one of them cannot be used."""
    with _registry(args) as registry:
        clusters = [registry.get(args.name)] if args.name else registry.all()
    secrets = Secrets(args.secrets or secrets_directory())
    rows, bad = [], 0
    for cluster in clusters:
        room, told = _asked(secrets, cluster, args.namespace)
        bad += told != "ok"
        rows.append((cluster.name, room, told))
    sys.stdout.write(columns(("NAME", "ROOM", "STATE"), rows))
    return 1 if bad else 0


def _asked(secrets: Secrets, cluster: Cluster, namespace: str | None) -> tuple[str, str]:
    try:
        credentials = secrets.kubeconfig(cluster)
        api = Api(cluster.name, credentials)
        room = read_room(api)
        if isinstance(room, Unreachable):
            return "-", room.why
        cpu_m, memory_b = sum(n.free_cpu_m for n in room.nodes), sum(n.free_memory_b for n in room.nodes)
        shown = f"{len(room.nodes)} nodes, {cpu_m}m CPU, {memory_b // 2**20} MiB"
        told, asked = [], [api]
        if namespace:
            inside = Api(cluster.name, credentials.within(namespace))
            asked.append(inside)
            lacks = [_named(right) for right in NEEDED if not _may(inside, namespace, right)]
            told += [f"lacks in {namespace}: {', '.join(lacks)}"] if lacks else []
        if any(_may(one, None, right) for one in asked for right in UNWANTED):
            told.append("its account may do everything: give it charts/placement-target's instead")
        elif any(_may(api, "kube-system", right) for right in EVERYWHERE):
            shown += "; may place in every namespace, kube-system too (createNamespaces)"
        if namespace and _may(api, namespace, BY_ITSELF):
            told.append("one account for all its namespaces, so that a chart placed in one reaches the others")
        return shown, "; ".join(told) or "ok"
    except (PlacementError, ApiError) as e:
        return "-", e.detail if isinstance(e, PlacementError) else str(e)


def _named(right: tuple[str, str, str]) -> str:
    return f"{right[0]} {right[2]}"


def _may(api: Api, namespace: str | None, right: tuple[str, str, str]) -> bool:
    verb, group, resource = right
    resource, _, part = resource.partition("/")
    asked = {"verb": verb, "group": group, "resource": resource, "subresource": part, "namespace": namespace or ""}
    review = {
        "apiVersion": "authorization.k8s.io/v1",
        "kind": "SelfSubjectAccessReview",
        "spec": {"resourceAttributes": asked},
    }
    answer = api.post("/apis/authorization.k8s.io/v1/selfsubjectaccessreviews", review)
    return bool((answer.get("status") or {}).get("allowed"))
