"""Nothing secret leaves: words of secret values are struck from texts, secret fields from objects.  Pure."""

from __future__ import annotations

import re
from collections.abc import Iterable
from typing import Any

STRUCK = "***"
_SECRET_KEY = re.compile(
    r"pass(?:w(?:or)?d|phrase)?|secret|token|credential|api_?-?key|private_?-?key|auth|\bk\b|\bopc?\b|^ki$|cert|key$",
    re.IGNORECASE,
)
_SHORTEST = 4
LONGEST_TEXT = 400


def secret_words(values: object, *, under_secret: bool = False) -> set[str]:
    """Every scalar of four characters or more that stands under a key that names something secret."""
    found: set[str] = set()
    if isinstance(values, dict):
        for key, value in values.items():
            found |= secret_words(value, under_secret=under_secret or bool(_SECRET_KEY.search(str(key))))
    elif isinstance(values, list):
        for value in values:
            found |= secret_words(value, under_secret=under_secret)
    elif under_secret and values is not None and not isinstance(values, bool) and len(str(values)) >= _SHORTEST:
        text = str(values)
        found |= {text, *(line.strip() for line in text.splitlines() if len(line.strip()) >= _SHORTEST)}
    return found


def all_words(values: object) -> set[str]:
    """Every scalar text of eight characters or more: values are the caller's, and none of them belongs in an error."""
    found: set[str] = set()
    if isinstance(values, dict | list):
        for value in values.values() if isinstance(values, dict) else values:
            found |= all_words(value)
    elif isinstance(values, str):
        found |= {line.strip() for line in values.splitlines() if len(line.strip()) >= 2 * _SHORTEST}
    return found


def strike(text: str, words: Iterable[str]) -> str:
    """The text without the words, longest first, shortened to LONGEST_TEXT characters."""
    for word in sorted(words, key=len, reverse=True):
        text = text.replace(word, STRUCK)
    return text if len(text) <= LONGEST_TEXT else text[: LONGEST_TEXT - 1] + "…"


def masked(thing: dict[str, Any]) -> dict[str, Any]:
    """An object to be shown: a Secret without its content, other kinds without fields and variables named as secret."""
    if thing.get("kind") == "Secret":
        return {
            **thing,
            **{part: dict.fromkeys(thing[part], STRUCK) for part in ("data", "stringData") if thing.get(part)},
        }
    found = _masked(thing)
    return found if isinstance(found, dict) else {}


def _masked(value: Any) -> Any:
    if isinstance(value, list):
        return [_masked(part) for part in value]
    if not isinstance(value, dict):
        return value
    shown = {key: _masked(part) for key, part in value.items()}
    # A container's environment: the name beside the value tells.
    if isinstance(value.get("name"), str) and "value" in value and _SECRET_KEY.search(value["name"]):
        shown["value"] = STRUCK
    for key, part in value.items():
        if key not in ("name", "secretName") and _SECRET_KEY.search(str(key)):
            shown[key] = _hidden(part, shown[key])
    return shown


def _hidden(value: Any, shown: Any) -> Any:
    """A scalar, or a list of them, is the secret itself; what has fields of its own, for example a reference, stays."""
    if isinstance(value, list):
        return [_hidden(part, seen) for part, seen in zip(value, shown, strict=True)]
    return STRUCK if isinstance(value, str | int | float) and not isinstance(value, bool) else shown
