"""What a call comes and goes in: POST with a signed body, and a signed answer to the same party."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Protocol

from trust import signing
from trust.access import Access, Caller
from trust.errors import EnvelopeError
from trust.signing import Signed, Way

Answer = tuple[bytes, int, dict[str, str]]
"""Body, HTTP status, headers."""
CALL_ID_HEADER = "X-Call-Id"
MAX_CALL_ID_CHARACTERS = 128
ID_CHARACTERS = f"1 to {MAX_CALL_ID_CHARACTERS} printable ASCII characters"
JSON = {"Content-Type": "application/json"}


def is_call_id(text: str) -> bool:
    """Whether a caller may give it: it goes back in a callback's header, which holds no other alphabets."""
    return 0 < len(text) <= MAX_CALL_ID_CHARACTERS and text.isascii() and text.isprintable()


class Event(Protocol):
    """What the template hands over: see template/python3-flask-edge/index.py."""

    body: bytes
    headers: Mapping[str, str]
    method: str


class Envelope:
    """Opens the calls of one function and seals its answers.  clock: Unix seconds."""

    def __init__(self, function: str, access: Access, clock: Callable[[], float]) -> None:
        self._function = function
        self._access = access
        self._clock = clock

    def opened(self, event: Event) -> Caller:
        """Who calls.  Raises EnvelopeError 401, 405 or 413."""
        if event.method != "POST":
            raise EnvelopeError(405, "this function takes POST with a signed JSON body")
        return self._access.authenticate(self._function, event.headers, event.body, self._clock())

    def sealed(self, caller: Caller, body: bytes, status: int = 200) -> Answer:
        """That answer, signed with the key that the call was signed with."""
        signed = Signed(caller.name, str(int(self._clock())), Way.DOWN, self._function, "", body)
        return body, status, JSON | signing.headers(caller.key, signed)
