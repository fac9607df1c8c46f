"""The scalars in a line of a configuration, whether it is YAML, JSON, `name = value` or markup.  Pure.

By signs alone, line by line: a configuration that is refused may be none that can be parsed.
"""

from __future__ import annotations

import re
from collections.abc import Iterator

_NAME = re.compile(r"""(?:"[^"]*"|'[^']*'|[\w./$-]{1,60})\s*:(?:\s+|$)""")
_COLON = re.compile(r"\s*:")
_TAGS = re.compile(r"(?:[&!]\S{0,200}\s+)*")
_QUOTED = re.compile(r""""((?:[^"\\]|\\.)*)"|'([^']*)'""")
_BRACKET = re.compile(r"[][{}]")
_PLAIN = re.compile(r"""[^][{},"']+""")
_END = re.compile(r"\s\#|$")
_END_IN_BRACKETS = re.compile(r"[],}]|$")
_END_IN_MARKUP = re.compile(r"<|$")
_OPENING = ("[", "{")
_QUOTES = ('"', "'")


def of_value(text: str, at: int, *, in_brackets: bool = False, in_markup: bool = False) -> tuple[list[str], int]:
    """The value that begins there, as its scalars, and where it ends.

    in_brackets: of a list or mapping, where a comma ends it.  in_markup: behind a tag, where the next one ends it.
    """
    at = _behind_tags(text, at)
    if text[at : at + 1] in _OPENING:
        return _listed(text, at)
    quoted = _QUOTED.match(text, at)
    if quoted is not None:
        return [quoted[1] or quoted[2] or ""], quoted.end()
    end = _END_IN_MARKUP if in_markup else _END_IN_BRACKETS if in_brackets else _END
    found = end.search(text, at)
    last = len(text) if found is None else found.start()
    return [text[at:last].strip().rstrip(",;").strip("\"'")], last


def of_rest(text: str, at: int = 0) -> list[str]:
    """Those of all that stands there and behind it, without its own name (`name: value`)."""
    name = _NAME.match(text, at)
    at = _behind_tags(text, at if name is None else name.end())
    if text[at : at + 1] in (*_OPENING, *_QUOTES):
        return _listed(text, at)[0]
    return of_value(text, at)[0]


def _listed(text: str, at: int) -> tuple[list[str], int]:
    """Those of the list or mapping whose bracket stands there, or of its items, without its names; where it ends."""
    found: list[str] = []
    depth = 0
    for token in _tokens(text, at):
        at, word = token.end(), token[0].strip()
        if word in ("[", "{"):
            depth += 1
        elif word in ("]", "}"):
            depth -= 1
            if depth == 0:
                break
        elif word.startswith("#"):
            break
        elif word.startswith(_QUOTES):
            if _COLON.match(text, at) is None:
                found.append(word[1:-1])
        else:
            word = word.lstrip(": ")
            name = _NAME.match(word)
            found.append(word if name is None else word[name.end() :])
    return found, at


def _tokens(text: str, at: int) -> Iterator[re.Match[str]]:
    """Brackets, what stands in quotes, and what stands between all these and commas.

    A quote that nothing closes is passed over, and is looked for once: a line of nothing else must not take long.
    """
    unclosed = ""
    while at < len(text):
        kind = _BRACKET if text[at] in "[]{}" else _QUOTED if text[at] in _QUOTES else _PLAIN
        token = None if text[at] in unclosed else kind.match(text, at)
        if token is None and kind is _QUOTED:
            unclosed += text[at]
        at = at + 1 if token is None else token.end()
        if token is not None:
            yield token


def _behind_tags(text: str, at: int) -> int:
    """Behind YAML's anchors and tags."""
    tags = _TAGS.match(text, at)
    return at if tags is None else tags.end()
