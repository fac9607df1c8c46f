"""Push downlinks to an eNB that did not call: another eNB's, a timer's, a late answer's."""

from __future__ import annotations

import time
from typing import Protocol

import requests

from mme.codec import envelope
from mme.codec.envelope import Downlink, Reply, Response
from trust import signing
from trust.signing import Signed, Way

TIMEOUT_S = 1.0
FUNCTION_HEADER = "X-Edge-Function"


class Pusher(Protocol):
    """The adapter that carries pushes."""

    def push(self, url: str, enb: str, key: bytes, item_id: str, downlinks: list[Downlink]) -> bool:
        """Whether the eNB has taken the downlinks (2xx within 1 s).  Raises nothing."""


class HttpPusher:
    """Pushes by HTTP POST, signed as `function`'s word to that eNB and that URL."""

    def __init__(self, function: str) -> None:
        self._function = function
        self._session = requests.Session()
        self._session.trust_env = False

    def push(self, url: str, enb: str, key: bytes, item_id: str, downlinks: list[Downlink]) -> bool:
        """See Pusher."""
        body = envelope.encode(Response([Reply(id=item_id, result="done", downlink=downlinks)]))
        signed = Signed(enb, str(int(time.time())), Way.DOWN, self._function, url, body)
        headers = signing.headers(key, signed)
        headers |= {FUNCTION_HEADER: self._function, "Content-Type": "application/json"}
        try:
            answer = self._session.post(url, data=body, headers=headers, timeout=TIMEOUT_S, allow_redirects=False)
        except requests.RequestException:
            return False
        return 200 <= answer.status_code < 300
