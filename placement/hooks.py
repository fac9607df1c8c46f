"""What the hooks of a release's chart have made and helm never removes: it is no part of the release."""

from __future__ import annotations

import contextlib
from collections.abc import Iterable, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from typing import Any
from urllib.parse import quote

import msgspec

from placement import manifest
from placement.api import CONNECTIONS, Api, ApiError
from placement.errors import PlacementError

MOST_NAMED = 10


class Hook(msgspec.Struct, frozen=True):
    """An object that a hook makes.  namespace: "" = the release's.  name: ends in `*` where the server completes it."""

    api_version: str
    kind: str
    namespace: str
    name: str

    @property
    def is_generated(self) -> bool:
        """Whether only the server knows its name."""
        return self.name.endswith("*")


def of(manifests: Iterable[str]) -> tuple[Hook, ...]:
    """The objects of hooks' manifests, each once."""
    found: dict[Hook, None] = {}
    for text in manifests:
        with contextlib.suppress(PlacementError):  # somebody's own helm reads more as YAML than this
            found |= dict.fromkeys(map(_hook, manifest.objects(text)))
    return tuple(found)


def left_by_uninstall(manifests: Iterable[str]) -> tuple[Hook, ...]:
    """What hooks that an uninstall runs make, and helm does not remove after they have succeeded.

    manifests: of the newest revision's hooks.
    """
    return of(text for text in manifests if _runs_at_uninstall(text))


def _runs_at_uninstall(text: str) -> bool:
    with contextlib.suppress(PlacementError):
        for thing in manifest.objects(text):
            runs, goes = (manifest.annotation(thing, name) for name in ("hook", "hook-delete-policy"))
            if {"pre-delete", "post-delete"} & runs and "hook-succeeded" not in goes:
                return True
    return False


def _hook(thing: manifest.Object) -> Hook:
    kind, namespace, name = manifest.name_of(thing)
    metadata = thing.get("metadata")
    prefix = metadata.get("generateName", "") if isinstance(metadata, dict) else ""
    return Hook(str(thing.get("apiVersion", "")), kind, namespace, name or f"{prefix}*")


def there(api: Api, namespace: str, hooks: Sequence[Hook]) -> list[str]:
    """Kind/name of those that are on the cluster; "perhaps …" where it does not tell.  Those being removed are not.

    Asks for nothing where there are no hooks, and until api.until at the longest.
    """
    if not hooks:
        return []
    versions = sorted({hook.api_version for hook in hooks})
    with ThreadPoolExecutor(min(CONNECTIONS, len(hooks))) as pool:  # one by one takes too long
        kinds = dict(zip(versions, pool.map(lambda version: _kinds(api, version), versions), strict=True))
        are_there = list(pool.map(lambda hook: _is_there(api, namespace, hook, kinds[hook.api_version]), hooks))
    names = [f"{hook.kind}/{hook.name}" for hook in hooks]
    return [
        name if is_there else f"perhaps {name}"
        for name, is_there in zip(names, are_there, strict=True)
        if is_there is not False
    ]


def _root(version: str) -> str:
    return f"/{'apis' if '/' in version else 'api'}/{quote(version)}"


def _kinds(api: Api, version: str) -> Mapping[str, Any] | None:
    """The cluster's resources of an API version, by kind; None = it does not tell."""
    try:
        found = api.get(_root(version)).get("resources") or ()
    except ApiError as e:
        return {} if e.status == 404 else None
    except PlacementError:
        return None
    return {resource["kind"]: resource for resource in found if "/" not in resource["name"]}


def _is_there(api: Api, namespace: str, hook: Hook, kinds: Mapping[str, Any] | None) -> bool | None:
    """None = the cluster does not tell."""
    if kinds is None or hook.is_generated:
        return None
    resource = kinds.get(hook.kind)
    if resource is None:
        return False
    scope = f"/namespaces/{quote(hook.namespace or namespace, safe='')}" if resource.get("namespaced", True) else ""
    try:
        live = api.get(f"{_root(hook.api_version)}{scope}/{resource['name']}/{quote(hook.name, safe='')}")
    except ApiError as e:
        return False if e.status == 404 else None
    except PlacementError:
        return None
    return not (live.get("metadata") or {}).get("deletionTimestamp")


def told(names: Sequence[str]) -> str:
    """A clause for what is left by hooks, "" = nothing."""
    return f"{listed(names)} of its hooks, which helm does not remove" if names else ""


def listed(names: Sequence[str]) -> str:
    """The first MOST_NAMED of these names, and how many more."""
    more = len(names) - MOST_NAMED
    return ", ".join(names[:MOST_NAMED]) + (f" and {more} more" if more > 0 else "")
