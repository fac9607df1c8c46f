"""Which names are those of something secret: one list, for the keys of values and for the names in a text.  Pure."""

from __future__ import annotations

import re

PARTS = (
    r"pass(?:w(?:or)?d|phrase)|secret|token|credential|community|(?:api|private|auth)[_-]?key"
    r"|requirepass|masterauth|(?:root|bind)pw"
)
"""A regular expression, whatever the case, of what says it wherever it stands in a name.

The last ones are those of redis.conf, slapd.conf(5) and ldap.conf(5), where no sign parts the words.
"""
_WORDS = ("pass", "pw", "pwd", "psk", "k", "ki", "kasme", "op", "opc", "adm1?", "pin[12]?", "puk[12]?")
_FIRST = r"(?-i:(?<![A-Za-z0-9])|(?<=[a-z0-9])(?=[A-Z]))"
_LAST = r"(?-i:(?![A-Za-z0-9])|(?<=[a-z0-9])(?=[A-Z]))"
WORD = rf"{_FIRST}(?:{'|'.join(_WORDS)}){_LAST}"
"""As PARTS, of what says it as one of a name's words: `usim_opc`, `subscriberK`.

What a subscriber is authenticated with is among them (TS 33.102, TS 35.206).
"""
_OF_VALUES = re.compile(rf"(?i){PARTS}|{WORD}|pass|auth|cert|key$")
"""The last ones only here: a sentence is about a certificate or an author without telling anything secret of it."""


def is_secret(key: str) -> bool:
    """Whether what stands under this key, of values or of an object, is secret."""
    return bool(_OF_VALUES.search(key))
