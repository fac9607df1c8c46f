"""What a call would change, as a unified diff without secrets.  Pure."""

from __future__ import annotations

import difflib
from collections.abc import Iterable, Sequence
from typing import Any

import yaml

from placement import masking
from placement.manifest import Object, name_of
from trust import hiding

MOST_LINES = 2000


def between(before: Sequence[Object], after: Sequence[Object], words: Iterable[str] = ()) -> list[str]:
    """Lines of a unified diff, object by object.  words: struck wherever they stand, in any form.

    A Secret, or a word, whose content differs is told as changed, never shown.
    """
    old, new = ({name_of(thing): thing for thing in things} for things in (before, after))
    forms = masking.forms(words)
    lines: list[str] = []
    for name in sorted(old.keys() | new.keys()):
        label = "/".join(part for part in name if part)
        was, will = (_shown(things.get(name), forms) for things in (old, new))
        found = list(difflib.unified_diff(was, will, f"a/{label}", f"b/{label}", lineterm="", n=3))
        if not found and old.get(name) != new.get(name):
            found = [f"--- a/{label}", f"+++ b/{label}", " (secret content changed)"]
        lines += [hiding.without(line, forms) for line in found]
    if len(lines) > MOST_LINES:
        lines[MOST_LINES:] = [f"… {len(lines) - MOST_LINES} more lines"]
    return lines


def _shown(thing: Object | None, forms: frozenset[str]) -> list[str]:
    if thing is None:
        return []
    is_configuration = thing.get("kind") == "ConfigMap"
    struck = _struck(masking.masked(thing), forms, is_configuration=is_configuration)
    return yaml.safe_dump(struck, sort_keys=True, width=200).splitlines()


def _struck(value: Any, forms: frozenset[str], *, is_configuration: bool) -> Any:
    """Before it becomes YAML, which quotes, escapes and folds: a word would have more forms there than one can name.

    is_configuration: what is of one line is a file as well, as config-reload's diff has it; of several, it is anyway.
    """
    if isinstance(value, dict):
        return {key: _struck(part, forms, is_configuration=is_configuration) for key, part in value.items()}
    if isinstance(value, list):
        return [_struck(part, forms, is_configuration=is_configuration) for part in value]
    if isinstance(value, str):
        text = hiding.without(value, forms)
        if is_configuration or "\n" in text:
            return "\n".join(hiding.shown(text.split("\n")))
        return hiding.without_assigned(text)
    is_number = isinstance(value, int | float) and not isinstance(value, bool)
    return hiding.STRUCK if is_number and str(value) in forms else value
