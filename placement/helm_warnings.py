"""What helm warns of on stderr: unknown fields, deprecated APIs, values that it skips.  Pure; of helm 3.16 and 3.22."""

from __future__ import annotations

import json
import re
from collections.abc import Iterable

from placement.masking import strike
from trust import hiding

MOST_TOLD = 10
_FROM_CLUSTER = re.compile(r"[WI]\d{4} [\d:.]+ +\d+ warnings\.go:\d+\] (.+)")
"""The API server's, as its client logs them: quoted in newer ones."""
_FROM_HELM = re.compile(r"(?:[\w.-]+\.go:\d+: )?(?:WARNING|[Ww]arning): (.+)")
_MORE = re.compile(r"(\d+) more")


def warnings(stderr: str, words: Iterable[str] = ()) -> tuple[str, ...]:
    """Each warning once, MOST_TOLD at most, and how many more.  words: never shown."""
    words = tuple(words)
    found = (_text(line.strip()) for line in stderr.splitlines())
    return together((hiding.without_assigned(strike(text, words)) for text in found if text), ())


def together(first: Iterable[str], then: Iterable[str]) -> tuple[str, ...]:
    """Those of two runs, each once, as `warnings` bounds them."""
    told = list(dict.fromkeys((*first, *then)))
    more = sum(int(found[1]) for text in told if (found := _MORE.fullmatch(text)))
    told = [text for text in told if not _MORE.fullmatch(text)]
    more += max(0, len(told) - MOST_TOLD)
    return (*told[:MOST_TOLD], *([f"{more} more"] if more else []))


def _text(line: str) -> str:
    """A line's warning, "" = it is none."""
    if found := _FROM_CLUSTER.match(line):
        return _unquoted(found[1]).removeprefix("Warning: ")
    found = _FROM_HELM.match(line)
    return found[1] if found else ""


def _unquoted(text: str) -> str:
    try:
        return str(json.loads(text)) if text.startswith('"') else text
    except ValueError:
        return text.strip('"')
