"""Change one value in a YAML or JSON file, and nothing else in it: comments, quotes, order and spacing stay in YAML.

A path is `path.to.key`, `list[0].key`, or `["key.with.dots"]`.  A scalar is replaced where it stands in the text; only
a value that is a list or a mapping, or a new key, makes the file be written anew (by ruamel.yaml, comments kept).
JSON is always written anew, in its order and with its first indentation; what would not be the same then is refused.
Whatever was done, the result is parsed again and must differ from the original in that path and nowhere else.
"""

from __future__ import annotations

import io
import json
import math
import re
from collections.abc import Mapping, Sequence
from decimal import Decimal
from typing import Any

from ruamel.yaml import YAML
from ruamel.yaml.error import YAMLError
from ruamel.yaml.nodes import MappingNode, Node, ScalarNode, SequenceNode
from ruamel.yaml.scalarstring import DoubleQuotedScalarString

from reload.aliases import MOST_NODES, are_too_many
from reload.errors import ReloadError

Path = tuple[str | int, ...]
_STEP = re.compile(r'\.?([^.\[\]"]+)|\[(\d{1,6})\]|\["((?:[^"\\]|\\.)*)"\]')
_PLAIN = re.compile(r"[A-Za-z_][A-Za-z0-9_./-]*\Z")
_NOT_TEXT = {"yes", "no", "on", "off", "true", "false", "null", "y", "n"}
_MOST_STEPS = 32


def split_target(target: str) -> tuple[str, Path]:
    """`file.yaml:path.to.key` as file and path.  Raises ReloadError request_invalid."""
    file, mark, text = target.partition(":")
    steps: list[str | int] = []
    at = 0
    while at < len(text) and len(steps) <= _MOST_STEPS:
        found = _STEP.match(text, at)
        if found is None or (at == 0 and text.startswith(".")):
            break
        name, index, quoted = found.groups()
        step = name if name is not None else int(index) if index is not None else _unquoted(quoted)
        if step is None:
            break
        steps.append(step)
        at = found.end()
    if not (file and mark and steps) or at < len(text) or len(steps) > _MOST_STEPS:
        raise ReloadError(
            "request_invalid", f"{target[:200]!r} is not file:path", 'write "amf.yaml:amf.tai[0].tac[0]", for example'
        )
    return file, tuple(steps)


def _unquoted(text: str) -> str | None:
    r"""A key as JSON writes it; None where it is none: `\x`, a bare line break, half a surrogate pair."""
    try:
        key: str = json.loads(f'"{text}"')
        key.encode()
    except ValueError:
        return None
    return key


def edited(name: str, content: bytes, changes: Mapping[Path, object], *, create: bool = False) -> bytes:
    """The file with these paths set.  create: a missing last key of a mapping is added.

    Raises ReloadError: path_unknown; values_invalid (another type of scalar, a file that cannot be parsed or is neither
    YAML nor JSON, a value shared by an anchor, aliases that stand for too much).
    """
    try:
        text = content.decode()
    except UnicodeDecodeError:
        raise ReloadError("values_invalid", f"{name} is no text: give it whole under `files`") from None
    if name.endswith((".yaml", ".yml")):
        text = _in_yaml(name, text, changes, create)
    elif name.endswith(".json"):
        text = _in_json(name, text, changes, create)
    else:
        raise ReloadError("values_invalid", f"{name} is neither YAML nor JSON", "give it whole under `files`")
    return text.encode()


def require_parsable(name: str, content: bytes) -> None:
    """A file given whole must at least be what its name says.  Raises ReloadError values_invalid."""
    if not name.endswith((".yaml", ".yml", ".json")):
        return
    try:
        text = content.decode()
    except UnicodeDecodeError:
        raise ReloadError("values_invalid", f"{name} is no UTF-8 text") from None
    if name.endswith(".json"):
        _json(name, text)
    else:
        try:
            if "*" in text and any(are_too_many(root) for root in _reader().compose_all(text)):
                raise _too_large(name)
            list(_reader().load_all(text))
        except (YAMLError, ValueError, RecursionError) as e:
            raise _unparsable(name, e) from None


def _reader(kind: str = "safe") -> YAML:
    reader = YAML(typ=kind, pure=True)
    reader.preserve_quotes = True
    reader.width = 1 << 16
    return reader


def _in_yaml(name: str, text: str, changes: Mapping[Path, object], create: bool) -> str:
    """All of them at once where they are apart: parsing 100 KB takes most of a second."""
    done = _at_once(name, text, changes, create) if _are_apart(changes) else None
    if done is not None:
        return done
    for path, value in changes.items():
        done = _at_once(name, text, {path: value}, create)
        if done is None:
            raise ReloadError(
                "values_invalid",
                f"{name}: {shown(path)} is shared by an anchor, or stands where it cannot be changed alone",
                "give the file whole under `files`",
            )
        text = done
    return text


def _are_apart(changes: Mapping[Path, object]) -> bool:
    """Whether none of these paths leads through another's end."""
    names = {tuple(map(str, path)) for path in changes}
    return len(names) == len(changes) and not any(name[:n] in names for name in names for n in range(len(name)))


def _at_once(name: str, text: str, changes: Mapping[Path, object], create: bool) -> str | None:
    """The text with them, None = it would differ elsewhere too.  Raises ReloadError."""
    try:
        root = _reader().compose(text)
        if are_too_many(root):
            raise _too_large(name)
        wanted = _reader().load(text)
    except (YAMLError, ValueError, RecursionError) as e:
        raise _unparsable(name, e) from None
    shared = set() if root is None else _shared(root)
    pieces: list[tuple[int, int, str]] = []
    anew: dict[Path, object] = {}
    for path, value in changes.items():
        is_new = _put(name, wanted, path, value, create)
        on_the_way = [] if root is None else _nodes(root, path)
        if any(id(node) in shared for node in on_the_way[: len(path)]):
            return None
        node = None if is_new or len(on_the_way) <= len(path) else on_the_way[-1]
        if isinstance(node, ScalarNode) and not isinstance(value, dict | list) and node.style not in ("|", ">"):
            pieces.append((node.start_mark.index, node.end_mark.index, _scalar(node, value)))
        else:
            anew[path] = value
    for start, end, piece in sorted(pieces, reverse=True):  # from the end: the places before stay where they are
        text = text[:start] + piece + text[end:]
    if anew:
        text = _rewritten(text, anew)
    return text if _loaded(text) == wanted else None


def _loaded(text: str) -> object:
    """Parsed data; the error itself where it cannot be parsed any more, which equals nothing."""
    try:
        return _reader().load(text)
    except (YAMLError, ValueError) as e:
        return e


def _nodes(root: Node, path: Path) -> list[Node]:
    """The nodes that this path leads through, the root first, as far as there are."""
    found = [root]
    for step in path:
        node, inner = found[-1], None
        if isinstance(node, MappingNode):
            inner = next((held for key, held in node.value if _same(key, step)), None)
        elif isinstance(node, SequenceNode) and isinstance(step, int) and step < len(node.value):
            inner = node.value[step]
        if inner is None:
            break
        found.append(inner)
    return found


def _shared(root: Node) -> set[int]:
    """Identities of the nodes that stand in several places, by an anchor."""
    seen: set[int] = set()
    shared: set[int] = set()
    left = [root]
    while left:
        node = left.pop()
        if id(node) in seen:
            shared.add(id(node))
            continue
        seen.add(id(node))
        if isinstance(node, MappingNode):
            left += [part for pair in node.value for part in pair]
        elif isinstance(node, SequenceNode):
            left += node.value
    return shared


def _same(key: Node, step: str | int) -> bool:
    return isinstance(key, ScalarNode) and key.value == str(step)


def _scalar(node: ScalarNode, value: object) -> str:
    """As the old one was written; text that a parser could take for something else is always quoted."""
    if not isinstance(value, str):
        return json.dumps(value)
    if node.style == "'" and "\n" not in value and value.isprintable():
        return "'" + value.replace("'", "''") + "'"
    if node.style is None and _PLAIN.match(value) and value.lower() not in _NOT_TEXT:
        return value
    return json.dumps(value, ensure_ascii=False)


def _rewritten(text: str, changes: Mapping[Path, object]) -> str:
    writer = _reader("rt")
    found = re.search(r"^( *)[^\s#-][^\n]*:[ \t]*(?:#[^\n]*)?\n(?:[ \t]*(?:#[^\n]*)?\n)*( *)- ", text, re.MULTILINE)
    offset = max(0, len(found[2]) - len(found[1])) if found else 0
    writer.indent(mapping=2, sequence=offset + 2, offset=offset)
    document = writer.load(text)
    for path, value in changes.items():
        holder = document
        for step in path[:-1]:
            holder = holder[_key(holder, step)]
        holder[_key(holder, path[-1])] = _quoted(value)
    out = io.StringIO()
    writer.dump(document, out)
    return out.getvalue()


def _quoted(value: object) -> object:
    """Every new text in double quotes, so that "001" stays one for every parser."""
    if isinstance(value, str):
        return DoubleQuotedScalarString(value)
    if isinstance(value, list):
        return [_quoted(item) for item in value]
    if isinstance(value, dict):
        return {key: _quoted(item) for key, item in value.items()}
    return value


def _in_json(name: str, text: str, changes: Mapping[Path, object], create: bool) -> str:
    _json(name, text)
    document = _as_it_will_be(name, text)
    for path, value in changes.items():
        _put(name, document, path, value, create)
    indent = re.match(r"\s*[\[{]\r?\n([ \t]+)", text)
    written = json.dumps(document, ensure_ascii=False, indent=indent[1] if indent else None)
    return written + ("\n" if text.endswith("\n") else "")


def _json(name: str, text: str) -> Any:
    try:
        return json.loads(text)
    except (ValueError, RecursionError) as e:
        raise _unparsable(name, e) from None


def _as_it_will_be(name: str, text: str) -> Any:
    """What is parsed, where nothing of it is lost when it is written.  Raises ReloadError values_invalid."""
    try:
        return json.loads(text, parse_float=_exact, parse_constant=_exact, object_pairs_hook=_each_once)
    except (ValueError, ArithmeticError):
        detail = f"{name} has a key twice, or a number that is none of JSON's or has more digits than a double"
        raise ReloadError("values_invalid", detail, "give the whole file under `files`") from None


def _exact(text: str) -> float:
    number = float(text)
    if not math.isfinite(number) or Decimal(text) != Decimal(repr(number)):
        raise ValueError
    return number


def _each_once(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    found = dict(pairs)
    if len(found) < len(pairs):
        raise ValueError
    return found


def _unparsable(name: str, error: Exception) -> ReloadError:
    mark = getattr(error, "problem_mark", None)
    line = mark.line + 1 if mark is not None else getattr(error, "lineno", None)
    where = f" (line {line})" if line is not None else ""
    return ReloadError("values_invalid", f"{name} cannot be parsed{where}", "give the whole file under `files`")


def _too_large(name: str) -> ReloadError:
    return ReloadError("values_invalid", f"{name} has more than {MOST_NODES} keys and values, aliases written out")


def _key(holder: object, step: str | int) -> str | int:
    """A mapping may have numbers for keys: `sessions.1` means 1 where there is no "1"."""
    if isinstance(holder, Mapping) and step not in holder:
        return next((key for key in holder if str(key) == str(step)), step)
    return step


def _put(name: str, document: object, path: Path, value: object, create: bool) -> bool:
    """Set the path in parsed data; whether it is new.  Raises ReloadError."""
    holder: Any = document
    for depth, given in enumerate(path):
        step = _key(holder, given)
        last = depth == len(path) - 1
        there = (isinstance(holder, dict) and step in holder) or (
            isinstance(holder, list) and isinstance(step, int) and step < len(holder)
        )
        if not there and not (last and create and isinstance(holder, dict)):
            raise ReloadError(
                "path_unknown",
                f"{name} has no {shown(path[: depth + 1])}",
                "`create: true` adds a missing last key" if isinstance(holder, dict) else "",
            )
        if last:
            if there:
                _require_same_kind(name, path, holder[step], value)
            holder[step] = value
            return not there
        holder = holder[step]
    return False


def _require_same_kind(name: str, path: Path, old: object, new: object) -> None:
    kinds = [_kind(thing) for thing in (old, new)]
    if "nothing" not in kinds and kinds[0] != kinds[1]:
        raise ReloadError(
            "values_invalid",
            f"{name}: {shown(path)} holds {kinds[0]}, and what it is to be set to is {kinds[1]}",
            'a PLMN is text: "001"; a TAC is a number: 7' if "text" in kinds else "",
        )


def _kind(thing: object) -> str:
    if thing is None:
        return "nothing"
    if isinstance(thing, bool):
        return "true or false"
    if isinstance(thing, int | float):
        return "a number"
    if isinstance(thing, Mapping):
        return "a mapping"
    return "text" if isinstance(thing, str) else "a list" if isinstance(thing, Sequence) else "something else"


def shown(path: Path) -> str:
    """A path as it is written."""
    text = ""
    for step in path:
        text += f"[{step}]" if isinstance(step, int) else f".{step}" if text else step
    return text
