"""Read stack.yml as faas-cli does.

Scalars stay the text they are in the file (an environment value 010 is "010", as in Go's map[string]string), unknown
keys are ignored as faas-cli ignores them.
"""

import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import yaml

from localfaas.errors import StackError

_BRACE = re.compile(r"\$\{|\}")
_EXPRESSION = re.compile(r"([A-Za-z_][A-Za-z0-9_]*)(?:(:?[-=])(.*))?", re.DOTALL)


@dataclass(frozen=True, slots=True)
class Function:
    """One entry under functions:. Names and values as in the file."""

    name: str
    lang: str
    handler: Path
    """Relative to the root folder."""
    image: str
    environment: Mapping[str, str] = field(default_factory=dict)
    secrets: tuple[str, ...] = ()
    labels: Mapping[str, str] = field(default_factory=dict)
    annotations: Mapping[str, str] = field(default_factory=dict)
    fprocess: str = ""
    build_args: Mapping[str, str] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class Stack:
    """A stack file. root: the folder its paths start from, where template/ is; faas-cli is to be run there."""

    path: Path
    root: Path
    functions: Mapping[str, Function]
    copy: tuple[str, ...] = ()
    """configuration.copy: folders laid into every function's folder."""


def substitute(text: str, env: Mapping[str, str]) -> str:
    """Replace ${VAR}, ${VAR-default}, ${VAR:-default} (also with =); an unset name without default becomes empty.

    A default may hold references itself, as faas-cli takes them: ${ONE:-${ALL:-5}}.
    Raises: StackError for any other expression in ${}.
    """
    done: list[str] = []
    at = 0
    while (start := text.find("${", at)) >= 0:
        end = _closing(text, start)
        if end is None:
            raise StackError(f"stack file: {text[start : start + 60].splitlines()[0]} has no closing brace")
        done += text[at:start], _value(text[start + 2 : end], env)
        at = end + 1
    return "".join((*done, text[at:]))


def _closing(text: str, start: int) -> int | None:
    """Where the brace is that closes the reference at start; None = nowhere."""
    depth = 0
    for brace in _BRACE.finditer(text, start):
        depth += 1 if brace[0] == "${" else -1
        if depth == 0:
            return brace.start()
    return None


def _value(reference: str, env: Mapping[str, str]) -> str:
    expression = _EXPRESSION.fullmatch(reference)
    if expression is None:
        raise StackError(f"stack file: ${{{reference}}} is not understood; use ${{NAME}} or ${{NAME:-default}}")
    name, operator, default = expression.groups()
    found = env.get(name)
    if found is None or (not found and operator and operator.startswith(":")):
        return substitute(default or "", env)
    return found


def _map(raw: Any, where: str) -> dict[str, str]:
    if raw in (None, ""):
        return {}
    if not isinstance(raw, dict) or not all(isinstance(v, str) for v in raw.values()):
        raise StackError(f"stack file: {where} must be a map of names to single values")
    return {str(k): v for k, v in raw.items()}


def _list(raw: Any, where: str) -> tuple[str, ...]:
    if raw in (None, ""):
        return ()
    if not isinstance(raw, list) or not all(isinstance(v, str) for v in raw):
        raise StackError(f"stack file: {where} must be a list")
    return tuple(raw)


def _read_yaml(path: Path, env: Mapping[str, str]) -> dict[str, Any]:
    try:
        text = path.read_text()
    except OSError as e:
        raise StackError(f"{path}: {e.strerror}; name the stack file with -f") from e
    try:
        # BaseLoader is the safe loader that leaves every scalar a string.
        raw = yaml.load(substitute(text, env), Loader=yaml.BaseLoader)  # noqa: S506
    except yaml.YAMLError as e:
        raise StackError(f"{path}: not YAML: {' '.join(str(e).split())}") from e
    if not isinstance(raw, dict):
        raise StackError(f"{path}: must be a map")
    return raw


def _root(path: Path, langs: set[str]) -> Path:
    folder = path.resolve().parent
    for root in (folder, *folder.parents):
        if any((root / "template" / lang / "template.yml").is_file() for lang in langs):
            return root
    return folder


def load(path: Path, env: Mapping[str, str]) -> Stack:
    """Read a stack file, with env for its ${} references.

    The root is the nearest folder, from the file's own upwards, with template/<lang> of one of its functions.
    Raises: StackError naming the file, function and key.   Source: style part B, faas-cli's stack schema.
    """
    raw = _read_yaml(path, env)
    entries = raw.get("functions") or {}
    if not isinstance(entries, dict) or not entries:
        raise StackError(f"{path}: has no functions")
    for name, entry in entries.items():
        if not isinstance(entry, dict):
            raise StackError(f"{path}: function {name} must be a map")
        for key in ("lang", "handler", "image"):
            if not entry.get(key):
                raise StackError(f"{path}: function {name} needs {key}:")
    root = _root(path, {entry["lang"] for entry in entries.values()})
    functions = {}
    for name, entry in entries.items():
        environment = _map(entry.get("environment"), f"{name}.environment")
        for file in _list(entry.get("environment_file"), f"{name}.environment_file"):
            # Later wins, and the files win over the entry, as in faas-cli.
            environment |= _map(_read_yaml(root / file, env).get("environment"), file)
        functions[name] = Function(
            name=name,
            lang=entry["lang"],
            handler=Path(entry["handler"]),
            image=entry["image"],
            environment=environment,
            secrets=_list(entry.get("secrets"), f"{name}.secrets"),
            labels=_map(entry.get("labels"), f"{name}.labels"),
            annotations=_map(entry.get("annotations"), f"{name}.annotations"),
            fprocess=entry.get("fprocess", ""),
            build_args=_map(entry.get("build_args"), f"{name}.build_args"),
        )
    configuration = raw.get("configuration") or {}
    copy = _list(configuration.get("copy") if isinstance(configuration, dict) else None, "configuration.copy")
    return Stack(path=path.resolve(), root=root, functions=functions, copy=copy)
