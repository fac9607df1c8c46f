"""Nothing secret leaves: words of secret values are struck from texts, secret fields from objects.  Pure."""

from __future__ import annotations

import base64
import json
from collections.abc import Iterable, Mapping
from typing import Any

from trust import hiding
from trust.hiding import STRUCK
from trust.secret_names import is_secret

_LONGEST_NUMBER = 40
_RAISED = str.maketrans("0123456789", "⁰¹²³⁴⁵⁶⁷⁸⁹")
_SHORTEST = 4
LONGEST_TEXT = 400


def secret_words(values: object, *, under_secret: bool = False) -> set[str]:
    """Every scalar of four characters or more that stands under a key that names something secret."""
    found: set[str] = set()
    if isinstance(values, dict):
        for key, value in values.items():
            found |= secret_words(value, under_secret=under_secret or is_secret(str(key)))
    elif isinstance(values, list | tuple):
        for value in values:
            found |= secret_words(value, under_secret=under_secret)
    elif under_secret and values is not None and not isinstance(values, bool) and len(str(values)) >= _SHORTEST:
        text = str(values)
        found |= {text, *(line.strip() for line in text.splitlines() if len(line.strip()) >= _SHORTEST)}
    return found


def all_words(values: object) -> set[str]:
    """What must not be in an error: values are the caller's, whatever their keys.

    Texts of eight characters or more, line by line; numbers of four digits or more, as helm writes them; shorter texts
    as far as they stand in quotes; and every secret word.
    """
    return secret_words(values) | _every_word(values)


def words_of_files(objects: Iterable[Mapping[str, Any]]) -> set[str]:
    """What the files of ConfigMaps give to names of something secret, as config-reload strikes it from what is said of
    them.  objects: of a manifest, of any kind."""
    found: set[str] = set()
    for thing in objects:
        if thing.get("kind") != "ConfigMap":
            continue
        for text in (thing.get("data") or {}).values():
            found |= hiding.assigned(str(text))
        for encoded in (thing.get("binaryData") or {}).values():
            found |= hiding.assigned(_decoded(str(encoded)))
    return found


def _decoded(encoded: str) -> str:
    try:
        return base64.b64decode(encoded).decode("utf-8", "replace")
    except ValueError:
        return ""  # the cluster would not take it


def _every_word(values: object) -> set[str]:
    found: set[str] = set()
    if isinstance(values, dict | list | tuple):
        for value in values.values() if isinstance(values, dict) else values:
            found |= _every_word(value)
    elif isinstance(values, str):
        found |= {line.strip() for line in values.splitlines() if len(line.strip()) >= 2 * _SHORTEST}
        if values.strip() and len(values) < 2 * _SHORTEST:
            found |= {f"'{values}'", f'"{values}"'}
    elif isinstance(values, int | float) and not isinstance(values, bool) and len(str(values)) >= _SHORTEST:
        found.add(str(values))
    return found


def _forms(word: str) -> set[str]:
    """A word as it may stand in a sentence of helm's or a document: quoted by Go, JSON or YAML, or in base64."""
    as_json = json.dumps(word, ensure_ascii=False)[1:-1]
    found = {word, as_json, json.dumps(word)[1:-1], as_json.replace('\\"', '"').replace("'", "\\'")}
    found |= {word.replace("'", "''")}
    if len(word) >= _SHORTEST and word[0] not in "'\"":
        found.add(base64.b64encode(word.encode()).decode())
    if word.lstrip("-").isdecimal() and len(word) < _LONGEST_NUMBER:
        # helm knows every number as a float, and its schemas' errors write 123,456 and 1.234567×10⁰⁶
        digits = word.lstrip("-")
        mantissa, exponent = f"{digits[0]}.{digits[1:]}".rstrip("0").rstrip("."), f"{len(digits) - 1:02d}"
        found |= {f"{int(word):,}", f"{mantissa}e+{exponent}", f"{mantissa}×10{exponent.translate(_RAISED)}"}
    return found


def forms(words: Iterable[str]) -> frozenset[str]:
    """The words in every form, as hiding.without is to strike them."""
    return frozenset(form for word in words for form in _forms(word))


def strike(text: str, words: Iterable[str]) -> str:
    """The text without the words, shortened to LONGEST_TEXT characters."""
    text = hiding.without(text, forms(words))
    return text if len(text) <= LONGEST_TEXT else text[: LONGEST_TEXT - 1] + "…"


def masked(thing: dict[str, Any]) -> dict[str, Any]:
    """An object to be shown: a Secret without its content, other kinds without fields and variables named as secret.

    And a ConfigMap without its octets: in base64 nothing tells what is secret among them.
    """
    unreadable = {"Secret": ("data", "stringData"), "ConfigMap": ("binaryData",)}.get(str(thing.get("kind")), ())
    thing = {**thing, **{part: dict.fromkeys(thing[part], STRUCK) for part in unreadable if thing.get(part)}}
    if thing.get("kind") == "Secret":
        return thing
    found = _masked(thing)
    return found if isinstance(found, dict) else {}


def _masked(value: Any) -> Any:
    if isinstance(value, list):
        return [_masked(part) for part in value]
    if not isinstance(value, dict):
        return value
    shown = {key: _masked(part) for key, part in value.items()}
    # A container's environment: the name beside the value tells.
    if isinstance(value.get("name"), str) and "value" in value and is_secret(value["name"]):
        shown["value"] = STRUCK
    for key, part in value.items():
        if key not in ("name", "secretName") and is_secret(str(key)):
            shown[key] = _hidden(part, shown[key])
    return shown


def _hidden(value: Any, shown: Any) -> Any:
    """A scalar, or a list of them, is the secret itself; what has fields of its own, for example a reference, stays."""
    if isinstance(value, list):
        return [_hidden(part, seen) for part, seen in zip(value, shown, strict=True)]
    return STRUCK if isinstance(value, str | int | float) and not isinstance(value, bool) else shown
