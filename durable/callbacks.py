"""Answers to callback URLs: signed, with a short timeout; the last one is repeated until it is taken."""

from __future__ import annotations

import time
from dataclasses import dataclass
from typing import Protocol
from urllib.parse import quote

import urllib3
from urllib3.exceptions import HTTPError

from trust import signing
from trust.access import Access
from trust.envelope import CALL_ID_HEADER
from trust.signing import Signed, Way

TIMEOUT_S = 1.0
PROGRESS_S = 0.3
"""For what is told on the way, at the end of a step that has done something else."""
TRIES = 8
_LONGEST_PAUSE_S = 60.0


@dataclass(frozen=True, slots=True)
class To:
    """Where an answer goes.  call_id: the caller's, or the gateway's X-Call-Id."""

    url: str
    caller: str
    call_id: str


class Callbacks(Protocol):
    """Where answers go."""

    def send(self, to: To, body: bytes, *, timeout_s: float = TIMEOUT_S) -> bool:
        """Whether the caller took it (2xx).  timeout_s: to connect, and as much to answer."""


def pause_s(tries: int) -> float | None:
    """How long to wait before the next try after so many in vain; None = give up."""
    return None if tries >= TRIES else min(_LONGEST_PAUSE_S, 0.5 * 2**tries)


def _in_header(call_id: str) -> str:
    """As a header can hold it: percent-encoded (RFC 3986, UTF-8) where it has letters beyond Latin-1.

    No new call's id has any; one that was taken earlier would never be told of its end.
    """
    try:
        call_id.encode("latin-1")
    except UnicodeEncodeError:
        return quote(call_id)
    return call_id


class HttpCallbacks:
    """Over HTTP, as the gateway's own callbacks come: X-Call-Id, X-Function-Name, X-Function-Status."""

    def __init__(self, function: str, access: Access) -> None:
        self._function = function
        self._access = access
        self._pool = urllib3.PoolManager(retries=False)

    def send(self, to: To, body: bytes, *, timeout_s: float = TIMEOUT_S) -> bool:
        """See Callbacks.  A URL that is no longer allowed is never reached."""
        if not self._access.may_reach(to.url):
            return False
        signed = Signed(to.caller, str(int(time.time())), Way.DOWN, self._function, to.url, body)
        headers = signing.headers(self._access.key(to.caller), signed) | {
            "Content-Type": "application/json",
            CALL_ID_HEADER: _in_header(to.call_id),
            "X-Function-Name": self._function,
            "X-Function-Status": "200",
        }
        try:
            # What it says beside its status is not waited for: that could come in drops.
            taken = self._pool.request(
                "POST",
                to.url,
                body=body,
                headers=headers,
                redirect=False,
                timeout=timeout_s,
                preload_content=False,
            )
            taken.close()
        except (HTTPError, OSError, ValueError):
            return False
        return 200 <= taken.status < 300
