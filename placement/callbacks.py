"""Answers to callback URLs: signed, with a short timeout; the last one is repeated until it is taken."""

from __future__ import annotations

import time
from typing import Protocol

import urllib3
from urllib3.exceptions import HTTPError

from placement.operation import Answer, Operation, encode_answer
from trust import signing
from trust.access import Access
from trust.signing import Signed, Way

TIMEOUT_S = 1.0
FUNCTION = "placement"


class Callbacks(Protocol):
    """Where answers go."""

    def send(self, operation: Operation, answer: Answer) -> bool:
        """Whether the caller took it (2xx)."""


class HttpCallbacks:
    """Over HTTP, as the gateway's own callbacks come: X-Call-Id, X-Function-Name, X-Function-Status."""

    def __init__(self, access: Access) -> None:
        self._access = access
        self._pool = urllib3.PoolManager(timeout=TIMEOUT_S, retries=False)

    def send(self, operation: Operation, answer: Answer) -> bool:
        """See Callbacks.  A URL that is no longer allowed is never reached."""
        if not self._access.may_reach(operation.callback_url):
            return False
        body = encode_answer(answer)
        signed = Signed(operation.caller, str(int(time.time())), Way.DOWN, FUNCTION, operation.callback_url, body)
        headers = signing.headers(self._access.key(operation.caller), signed) | {
            "Content-Type": "application/json",
            "X-Call-Id": operation.call_id,
            "X-Function-Name": FUNCTION,
            "X-Function-Status": "200",
        }
        try:
            taken = self._pool.request("POST", operation.callback_url, body=body, headers=headers, redirect=False)
        except (HTTPError, OSError, ValueError):
            return False
        return 200 <= taken.status < 300
