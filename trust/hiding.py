"""What is secret in a text, known by the name it is given to, and by URLs, headers and PEM blocks: struck.  Pure."""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator, Sequence

from trust import scalars
from trust.secret_names import PARTS, WORD

STRUCK = "***"
_ASSIGNED = re.compile(
    rf"""(?ix) ( ["']? (?<![a-z0-9_.-])
    [a-z0-9_.-]{{0,60}} (?: pass | {PARTS} | {WORD} ) [a-z0-9_.-]{{0,60}} ["']? \s* [:=] \s* )
    ( "[^"]*" | '[^']*' | [^\s"',;]+ )"""
)
_URL = re.compile(r"""(://[^\s:/@"']{0,200}:)([^\s/"']+)(?=@)""")
_AUTHORIZATION = re.compile(
    r"""(?ix) ( authorization [\w.-]{0,60} ["'>]? \s{0,8} [:=,]? \s{0,8} ["']? (?:basic|bearer|negotiate) \s{1,8} )
    ( [^\s"';,<]+ )"""
)
"""The header field, in a configuration or a sentence (RFC 7617, 2; RFC 6750, 2.1; RFC 4559, 4).

Only behind its name: a bearer is also what a session of a subscriber's has.
"""
_BEGIN, _END = "-----BEGIN ", "-----END "
_PEM = re.compile(r"(?s)(-----BEGIN [A-Z0-9 ]{0,60}-----).+?(?=-----END |\Z)")
_PEM_EDGE = re.compile(r"-----(?:BEGIN|END) [A-Z0-9 ]{0,60}-----")
_NAME = rf"(?:{PARTS})[\w.-]{{0,60}}"
_SIGN = rf"""(?: {_NAME} | {WORD}[\w.-]{{0,60}} | key ) ["'\]]? \s* [:=>] \s*"""
_NAMED = re.compile(rf"(?ix) {_SIGN}")
_WITH_SIGN = re.compile(rf"(?ix) ^ (.*? {_SIGN}) (.*) $")
_WITH_SPACE = re.compile(
    rf"""(?ix) ^ (.*? (?: {_NAME} | (?<![a-z_])(?:pass|pwd?|psk|pin[12]?|puk[12]?) | [_-]key
    | (?: (?!(?<=_)pass) {WORD}[\w.-]{{0,60}} | (?<![\w-])key ) (?= ["']? \s+ \S*\d ) ) ["']? \s+) ([^\s:=>].*) $"""
)
"""As routers and osmo-hlr have it: `enable password …`, `key 7 …`, `aud3g milenage k …`: these before digits only."""
_COMMENT = ("#", ";", "//", "!")
_START = re.compile(r"(?:\s|-\s)*")
_SHORTEST = 4
_SHORTEST_PART = 5
"""Of one word of several.  With four, `line`, `file`, `with` and `from` would be struck, and hardly a check's sentence
is without them; a word that is shorter tells little of the others."""
_SHORTEST_ROW = 8
"""Of words in a row: `in the` and `is not` stay, `46 5b 5c` of a key does not."""
_NO_SECRETS = ("true", "false", "null", "none")


def without_assigned(text: str) -> str:
    """A sentence without what it assigns to names of something secret (password=…, "token": …, k: …).

    And without the passwords in its URLs, the credentials of a header Authorization, and the contents of PEM blocks.
    """
    text = _AUTHORIZATION.sub(rf"\1{STRUCK}", _ASSIGNED.sub(rf"\1{STRUCK}", text))
    return _PEM.sub(rf"\1{STRUCK}", _URL.sub(rf"\1{STRUCK}", text))


def assigned(text: str) -> frozenset[str]:
    """What a configuration gives to names of something secret, to users in URLs, or to a header Authorization: four
    characters or more.

    For `without` in what is said of that configuration, which may quote it without its name, and only a part of it: of
    a scalar of several words the longer ones, and words in a row, stand for themselves, too.
    """
    found: set[str] = set()
    for line, in_block, is_below in _placed(text.splitlines()):
        found |= {value.strip("\"'") for _, value in _ASSIGNED.findall(line)}
        found |= {password for _, password in (*_URL.findall(line), *_AUTHORIZATION.findall(line))}
        for block in _PEM.finditer(line):
            found |= set(_PEM_EDGE.sub("", block[0]).split("\\n"))
        if in_block:
            found.add(line.partition(_END)[0].strip())
            continue
        for scalar in _below(line) if is_below else _named(line):
            value = _PEM_EDGE.sub("", scalar).strip()
            found |= {value, *_parts(value)}
    return frozenset(word for word in found if len(word) >= _SHORTEST and word.lower() not in _NO_SECRETS)


def without(text: str, words: Iterable[str]) -> str:
    """The text without these words: no rest is left where they overlap, nor at its end, where one may be cut off."""
    told: list[str] = []
    done = 0
    for start, end in sorted(span for word in words for span in _spans(text, word)):
        if start >= done:
            told += (text[done:start], STRUCK)
        done = max(done, end)
    return "".join((*told, text[done:]))


def shown(lines: Sequence[str]) -> list[str]:
    """A configuration's lines, one for one, to be shown: rather one too many struck than one too few.

    Struck is the rest of a line behind a name of something secret, also where only a space is between them, the lines
    below that are indented deeper (YAML), the contents of PEM blocks, and passwords in URLs.
    """
    found: list[str] = []
    for line, in_block, is_below in _placed(lines):
        if in_block:
            found.append(STRUCK + line[line.index(_END) :] if _END in line else STRUCK)
        elif is_below:
            found.append(STRUCK if line.strip() else line)
        else:
            found.append(without_assigned(_without_rest(line)))
    return found


def _placed(lines: Iterable[str]) -> Iterator[tuple[str, bool, bool]]:
    """Each line, whether it begins within a PEM block, and whether it stands below a name of something secret."""
    in_block = False
    column: int | None = None
    for line in lines:
        start = _start(line)
        if column is not None and start <= column and line.strip():
            column = None
        yield line, in_block, column is not None
        if not in_block and column is None and _WITH_SIGN.match(line) and not _is_comment(line):
            column = start
        in_block = line.rfind(_BEGIN) > line.rfind(_END) or (in_block and _END not in line)


def _named(line: str) -> Iterator[str]:
    """The scalars behind names of something secret."""
    if _is_comment(line):
        return
    spaced = _WITH_SPACE.match(line)
    if spaced is not None:
        yield line.rsplit(maxsplit=1)[-1].strip("\"',;")
        yield from scalars.of_rest(spaced[2])
    at = depth = 0
    while (name := _NAMED.search(line, at)) is not None:
        before = line[at : name.end()]
        depth += sum(before.count(sign) for sign in "[{") - sum(before.count(sign) for sign in "]}")
        is_tag = name[0].rstrip().endswith(">")
        found, at = scalars.of_value(line, name.end(), in_brackets=depth > 0, in_markup=is_tag)
        yield from found


def _below(line: str) -> list[str]:
    """The scalars of a line below such a name."""
    start = _start(line)
    return [] if line.startswith("# ", start) else scalars.of_rest(line, start)


def _parts(value: str) -> Iterator[str]:
    """What may be quoted of a value of several words: one of them, or some in a row, as far as they are long enough."""
    words = [found.span() for found in re.finditer(r"\S+", value)]
    for number, (start, end) in enumerate(words if len(words) > 1 else ()):
        word = value[start:end].strip("\"',;")
        if len(word) >= _SHORTEST_PART:
            yield word
        behind = words[number + 1 : number + _SHORTEST_ROW]
        last = next((last for _, last in behind if last - start >= _SHORTEST_ROW), None)
        if last is not None:
            yield value[start:last]


def _spans(text: str, word: str) -> Iterator[tuple[int, int]]:
    at = text.find(word[:_SHORTEST])
    while word and at >= 0:
        if text.startswith(word, at):
            yield at, at + len(word)
        elif word.startswith(text[at:]):
            yield at, len(text)
        at = text.find(word[:_SHORTEST], at + 1)


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
