"""Whether a manifest is one that Kubernetes' API describes: the published Python client is generated from that API."""

from __future__ import annotations

import re
from typing import Any

from kubernetes import client

Manifest = dict[str, Any]

_LIST = re.compile(r"List\[(.+)\]")
_MAP = re.compile(r"Dict\[str, (.+)\]")
_PLAIN: dict[str, tuple[type, ...]] = {
    "str": (str,),
    "bytes": (str,),
    "int": (int,),
    "float": (int, float),
    "bool": (bool,),
    "object": (object,),
    "datetime": (str,),
}


class NotOfTheApiError(Exception):
    """Where in the manifest, and what is wrong there."""


def kind_of(manifest: Manifest) -> Any:
    """The class of its apiVersion and kind.  Raises NotOfTheApiError."""
    group, _, version = manifest["apiVersion"].rpartition("/")
    name = f"{version.capitalize()}{manifest['kind']}"
    found = getattr(client, name, None)
    if found is None or group.partition(".")[0] not in ("", "apps", "batch", "policy", "networking", "rbac"):
        raise NotOfTheApiError(f"{manifest['apiVersion']} {manifest['kind']}: no such kind")
    return found


def check(manifest: Manifest) -> None:
    """Every key is one of the API's, every value of its type, and nothing that is a must is missing."""
    _object(kind_of(manifest), manifest, manifest["kind"])


def _object(kind: Any, value: Any, where: str) -> None:
    if not isinstance(value, dict):
        raise NotOfTheApiError(f"{where}: must be an object")
    names = {key: name for name, key in kind.attribute_map.items()}
    for key in value:
        if key not in names:
            raise NotOfTheApiError(f"{where}.{key}: {kind.__name__} has no such key")
    for name, key in kind.attribute_map.items():
        if key in value:
            _value(kind.openapi_types[name], value[key], f"{where}.{key}")
    for name, field in kind.model_fields.items():
        if field.is_required() and (key := kind.attribute_map.get(name, name)) not in value:
            raise NotOfTheApiError(f"{where}.{key}: is missing")


def _value(type_name: str, value: Any, where: str) -> None:
    if (of_list := _LIST.fullmatch(type_name)) is not None:
        if not isinstance(value, list):
            raise NotOfTheApiError(f"{where}: must be a list")
        for number, each in enumerate(value):
            _value(of_list[1], each, f"{where}[{number}]")
    elif (of_map := _MAP.fullmatch(type_name)) is not None:
        if not isinstance(value, dict):
            raise NotOfTheApiError(f"{where}: must be a map")
        for key, each in value.items():
            _value(of_map[1], each, f"{where}.{key}")
    elif type_name in _PLAIN:
        if not isinstance(value, _PLAIN[type_name]) or (
            isinstance(value, bool) and type_name not in ("bool", "object")
        ):
            raise NotOfTheApiError(f"{where}: {value!r} is no {type_name}")
    else:
        _object(getattr(client, type_name), value, where)
