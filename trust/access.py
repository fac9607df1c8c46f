"""Who may call: signatures, their age, and the URLs that answers may go to."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from urllib.parse import urlsplit

from trust import signing
from trust.errors import ConfigError, EnvelopeError
from trust.signing import KEY_HEADER, SIGNATURE_HEADER, TIMESTAMP_HEADER, Signed, Way

MAX_BODY_OCTETS = 256_000
CALLBACK_HEADER = "X-Callback-Url"
TICKER = "ticker"
KEYS_KEPT = 4096
"""Parties whose derived keys a process remembers."""
_TIMESTAMP = re.compile(r"[0-9]{1,12}(?:\.[0-9]{3})?\Z")


@dataclass(frozen=True, slots=True)
class AllowedOrigin:
    """Scheme and host, and the port where one is given, that callbacks and pushes may go to."""

    scheme: str
    host: str
    port: int | None

    @classmethod
    def parse(cls, text: str) -> AllowedOrigin:
        """Raises ConfigError."""
        wrong = ConfigError("callback_allow", "entries look like https://enb.example:8443 or http://127.0.0.1")
        try:
            parts = urlsplit(text.strip())
            scheme, host, port = parts.scheme, parts.hostname, parts.port
        except ValueError:
            raise wrong from None
        if scheme not in ("http", "https") or not host:
            raise wrong
        return cls(scheme, host, port)

    def matches(self, url: str) -> bool:
        try:
            parts = urlsplit(url)
            port = parts.port
        except ValueError:
            return False
        if "@" in parts.netloc:
            return False
        return (parts.scheme, parts.hostname) == (self.scheme, self.host) and self.port in (None, port)


@dataclass(frozen=True, slots=True)
class Caller:
    """Who has signed a request.  key: what with; its reply is signed so, too, whichever key is in use here by now."""

    name: str
    key: bytes = field(repr=False)


class Access:
    """Judges requests.  window_s: longer than the oldest message a queue may hold.

    master: the signing master key in use.  others: those that requests may be signed under, too, while one is replaced.
    """

    def __init__(self, master: bytes, allowed: str, window_s: int, *, others: Sequence[bytes] = ()) -> None:
        self._masters = (master, *others)
        self._allowed = tuple(AllowedOrigin.parse(entry) for entry in allowed.split(",") if entry.strip())
        self._window_s = window_s
        self._keys: dict[str, tuple[bytes, ...]] = {}

    def authenticate(self, function: str, headers: Mapping[str, str], body: bytes, now_s: float) -> Caller:
        """Who calls.  Raises EnvelopeError 401 (with one sentence) or 413."""
        if len(body) > MAX_BODY_OCTETS:
            raise EnvelopeError(413, f"the body has more than {MAX_BODY_OCTETS} octets")
        name, timestamp, signature = (
            headers.get(header, "") for header in (KEY_HEADER, TIMESTAMP_HEADER, SIGNATURE_HEADER)
        )
        if not (name and timestamp and signature):
            raise EnvelopeError(401, f"the request is not signed: {KEY_HEADER}, {TIMESTAMP_HEADER}, {SIGNATURE_HEADER}")
        callback = headers.get(CALLBACK_HEADER, "")
        signed = Signed(name, timestamp, Way.UP, function, callback, body)
        keys = self._keys_of(name)
        key = next((key for key in keys if signing.verify(key, signed, signature)), None)
        if key is None:
            raise EnvelopeError(401, "the signature does not fit the key, function, callback URL and body")
        self._keep(name, keys)
        if not _TIMESTAMP.match(timestamp) or abs(now_s - float(timestamp)) > self._window_s:
            raise EnvelopeError(401, f"the timestamp is not within {self._window_s} s of now")
        if callback and not self.may_reach(callback):
            raise EnvelopeError(401, "the callback URL is not among those allowed")
        return Caller(name, key)

    def may_reach(self, url: str) -> bool:
        """Whether answers and pushes may go to that URL."""
        return any(origin.matches(url) for origin in self._allowed)

    def key(self, name: str) -> bytes:
        """Signing key of the party with that name, for what is no reply: of the master key in use."""
        return self._keys_of(name)[0]

    def _keys_of(self, name: str) -> tuple[bytes, ...]:
        return self._keys.get(name) or tuple(signing.derive_key(master, name) for master in self._masters)

    def _keep(self, name: str, keys: tuple[bytes, ...]) -> None:
        """Remember the keys of a party that has shown that it holds one: names made up by others fill no memory."""
        if name not in self._keys:
            if len(self._keys) >= KEYS_KEPT:
                self._keys.clear()
            self._keys[name] = keys
