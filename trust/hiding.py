"""What is secret in a text, known by the name that it is given to, and by URLs and PEM blocks: struck.  Pure."""

from __future__ import annotations

import re
from collections.abc import Iterable, Sequence

STRUCK = "***"
_ASSIGNED = re.compile(
    r"""(?ix) ( ["']? (?<![a-z0-9_.-])
    (?: [a-z0-9_.-]{0,60} (?:pass(?:w(?:or)?d|phrase)?|secret|token|credential) [a-z0-9_.-]{0,60}
    | (?:api|private|auth)[_-]?key | pwd? | k | ki | opc? ) ["']? \s* [:=] \s* )
    ( "[^"]*" | '[^']*' | [^\s"',;]+ )"""
)
_URL = re.compile(r"""(://[^\s:/@"']{0,200}:)([^\s/"']+)(?=@)""")
_BEGIN, _END = "-----BEGIN ", "-----END "
_PEM = re.compile(r"(?s)(-----BEGIN [A-Z0-9 ]{0,60}-----).+?(?=-----END |\Z)")
_NAME = r"(?:pass(?:w(?:or)?d|phrase)|secret|token|credential|community)[\w.-]{0,60}"
_WITH_SIGN = re.compile(
    rf"""(?ix) ^ (.*? (?: {_NAME} | key | (?<![a-z]) (?:pass|pwd?|ki?|opc?) ) ["'\]]? \s* [:=>] \s*) (.*) $"""
)
_WITH_SPACE = re.compile(rf"""(?ix) ^ (.*? (?: {_NAME} | (?<![a-z_])pass | [_-]key ) ["']? \s+) ([^\s:=>].*) $""")
"""As routers have it: `enable password …`."""
_COMMENT = ("#", ";", "//", "!")
_START = re.compile(r"(?:\s|-\s)*")
_SHORTEST = 4
_NO_SECRETS = ("true", "false", "null", "none")


def without_assigned(text: str) -> str:
    """A sentence without what it assigns to names of something secret (password=…, "token": …, k: …).

    And without the passwords in its URLs, and the contents of PEM blocks.
    """
    text = _ASSIGNED.sub(rf"\1{STRUCK}", text)
    return _PEM.sub(rf"\1{STRUCK}", _URL.sub(rf"\1{STRUCK}", text))


def assigned(text: str) -> frozenset[str]:
    """The words that a configuration gives to names of something secret, or to users in URLs: four characters or more.

    For `without` in what is said of that configuration, which may quote them without their names.
    """
    found: set[str] = set()
    for line in text.splitlines():
        found |= {value.strip("\"'") for _, value in _ASSIGNED.findall(line)}
        found |= {password for _, password in _URL.findall(line)}
        if not _is_comment(line) and _WITH_SPACE.match(line):
            found.add(line.split()[-1].strip("\"',;"))
    return frozenset(word for word in found if len(word) >= _SHORTEST and word.lower() not in _NO_SECRETS)


def without(text: str, words: Iterable[str]) -> str:
    """The text without these words, longest first: one within another must leave no rest."""
    for word in sorted(words, key=len, reverse=True):
        text = text.replace(word, STRUCK)
    return text


def shown(lines: Sequence[str]) -> list[str]:
    """A configuration's lines, one for one, to be shown: rather one too many struck than one too few.

    Struck is the rest of a line behind a name of something secret, also where only a space is between them, the lines
    below that are indented deeper (YAML), the contents of PEM blocks, and passwords in URLs.
    """
    found: list[str] = []
    in_block = False
    column: int | None = None
    for line in lines:
        start = _start(line)
        if column is not None and start <= column and line.strip():
            column = None
        if in_block:
            found.append(STRUCK + line[line.index(_END) :] if _END in line else STRUCK)
        elif column is not None:
            found.append(STRUCK if line.strip() else line)
        else:
            found.append(without_assigned(_without_rest(line)))
            if _WITH_SIGN.match(line) and not _is_comment(line):
                column = start
        in_block = line.rfind(_BEGIN) > line.rfind(_END) or (in_block and _END not in line)
    return found


def _without_rest(line: str) -> str:
    for form in (_WITH_SIGN, _WITH_SPACE):
        found = form.match(line)
        if found is not None and found[2]:
            line = found[1] + STRUCK
    return line


def _is_comment(line: str) -> bool:
    return line.lstrip().startswith(_COMMENT)


def _start(line: str) -> int:
    """The column of a line's first word; a YAML list's dash stands before it."""
    found = _START.match(line)
    return found.end() if found is not None else 0
