"""What a call would change, as a unified diff without secrets.  Pure."""

from __future__ import annotations

import difflib
from collections.abc import Iterable, Sequence

import yaml

from placement import masking
from placement.manifest import Object, name_of

MOST_LINES = 2000


def between(before: Sequence[Object], after: Sequence[Object], words: Iterable[str] = ()) -> list[str]:
    """Lines of a unified diff, object by object.  words: struck wherever they stand.

    A Secret whose content differs is told as changed, never shown.
    """
    old, new = ({name_of(thing): thing for thing in things} for things in (before, after))
    words = sorted(words, key=len, reverse=True)  # or a word within another would leave the other's rest
    lines: list[str] = []
    for name in sorted(old.keys() | new.keys()):
        label = "/".join(part for part in name if part)
        was, will = (_shown(things.get(name)) for things in (old, new))
        found = list(difflib.unified_diff(was, will, f"a/{label}", f"b/{label}", lineterm="", n=3))
        if not found and old.get(name) != new.get(name):
            found = [f"--- a/{label}", f"+++ b/{label}", " (secret content changed)"]
        lines += [_struck(line, words) for line in found]
    if len(lines) > MOST_LINES:
        lines[MOST_LINES:] = [f"… {len(lines) - MOST_LINES} more lines"]
    return lines


def _struck(line: str, words: Iterable[str]) -> str:
    for word in words:
        line = line.replace(word, masking.STRUCK)
    return line


def _shown(thing: Object | None) -> list[str]:
    if thing is None:
        return []
    return yaml.safe_dump(masking.masked(thing), sort_keys=True, width=200).splitlines()
