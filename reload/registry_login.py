"""Who asks, as a registry wants to know it: by password, or by a token that another server gives for that password.

Token login is that of the distribution project ("Docker Registry v2 authentication via central service"): the registry
answers 401 with `WWW-Authenticate: Bearer realm="...",service="...",scope="..."`, the realm gives a token for that
scope, also to nobody in particular where anybody may pull, and the request is sent again with it.
"""

from __future__ import annotations

import re
from base64 import b64encode
from urllib.parse import urlsplit

import requests

_BEARER = re.compile(r'\bBearer\s+((?:\w+="[^"]*"[,\s]*)+)', re.IGNORECASE)
_BASIC = re.compile(r"\bBasic\b", re.IGNORECASE)
_PARAMETER = re.compile(r'(\w+)="([^"]*)"')
TIMEOUT_S = 60


class LoginError(Exception):
    """No token is to be had; one sentence that says what to do."""


class Login:
    """authorization: the header for the next request, "" = none.  credentials: user:password, "" = none.

    Nothing is told before it is asked for, and the password to nobody but the registry and the realm that it names.
    """

    def __init__(self, session: requests.Session, host: str, *, plain_http: bool, credentials: str = "") -> None:
        self.authorization = ""
        self._session = session
        self._host = host
        self._plain_http = plain_http
        self._credentials = credentials

    def take(self, challenge: str) -> bool:
        """Whether another `authorization` is there for the request that was answered so.  Raises LoginError."""
        bearer = _BEARER.search(challenge)
        if bearer is not None:
            self.authorization = f"Bearer {self._token(dict(_PARAMETER.findall(bearer[1])))}"
            return True
        if self._credentials and _BASIC.search(challenge):
            is_new, self.authorization = self.authorization != self._basic(), self._basic()
            return is_new
        return False

    def _token(self, wanted: dict[str, str]) -> str:
        realm = wanted.get("realm", "")
        if urlsplit(realm).scheme not in (("http", "https") if self._plain_http else ("https",)):
            raise LoginError(
                f"registry {self._host} sends for a token to where there is no TLS: nothing was sent there"
            )
        query = [(name, wanted[name]) for name in ("service", "scope") if name in wanted]
        headers = {"Authorization": self._basic()} if self._credentials else {}
        try:
            answer = self._session.get(realm, params=query, headers=headers, timeout=TIMEOUT_S)
            found = answer.json() if answer.status_code == 200 else {}
        except requests.RequestException as e:
            raise LoginError(f"registry {self._host}'s login did not answer ({type(e).__name__}): is it up?") from e
        token = (found.get("token") or found.get("access_token")) if isinstance(found, dict) else None
        if not isinstance(token, str):
            raise LoginError(
                f"registry {self._host}'s login answered {answer.status_code} and no token: {self._hint()}"
            )
        return token

    def _basic(self) -> str:
        return f"Basic {b64encode(self._credentials.encode()).decode()}"

    def _hint(self) -> str:
        return "is the password right?" if self._credentials else "it may want CREDENTIALS=file"
