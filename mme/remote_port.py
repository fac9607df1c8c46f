"""HSS or gateway in another process, over HTTP.

POST <url> {"need": {…}, "wait_ms": 50, "answer_url": "…"} -> 200 {"answer": {…}}, or 202: the answer will be POSTed to
answer_url, an invocation of `mme-answer`.  The need is as `mme.codec.needs` writes it; sending it twice is harmless.
"""

from __future__ import annotations

import threading
import time
from concurrent.futures import Future, ThreadPoolExecutor
from concurrent.futures import TimeoutError as FutureTimeoutError
from typing import Final
from urllib.parse import urlsplit

import msgspec
import requests
from requests.adapters import HTTPAdapter
from urllib3.exceptions import NewConnectionError

from mme.codec.needs import decode_answer, encode_need
from mme.errors import ConfigError
from mme.needs import Answer, Need, Pending, Refusal, Refused
from trust.signing import Signed, Way, derive_key, headers

MARGIN_MS: Final = 40
"""Beyond the port's own wait: the network's share, so that 50 ms stay below 100 ms."""
KEY_NAME: Final = "mme"
"""Who signs the needs."""
_THREADS: Final = 8
_LARGEST_ANSWER: Final = 64 * 1024


class RemotePort:
    """`mme.needs.Port` behind a URL; nothing is connected before the first need.

    url: where needs go, for example http://127.0.0.1:8490/hss.  answer_url: where late answers come.
    in_line_ms: how long an answer may take in line; `ask` takes at most MARGIN_MS longer, whatever the network does.
    signing_master: needs are signed as "mme" for the URL's path ("hss", "sgw"); None: not signed.
    """

    def __init__(self, url: str, answer_url: str, *, in_line_ms: int = 50, signing_master: bytes | None = None) -> None:
        parts = urlsplit(url)
        if parts.scheme not in ("http", "https") or not parts.hostname or parts.username is not None:
            raise ConfigError("port url", "must be like http://host:port/hss")
        self._url = url
        self._function = parts.path.strip("/")
        self._answer_url = answer_url
        self._in_line_ms = in_line_ms
        self._limit_s = (in_line_ms + MARGIN_MS) / 1000
        self._key = None if signing_master is None else derive_key(signing_master, KEY_NAME)
        self._threads = ThreadPoolExecutor(_THREADS, thread_name_prefix="port")
        self._local = threading.local()
        self._lock = threading.Lock()
        self._sessions: list[requests.Session] = []

    def ask(self, need: Need) -> Answer | Pending:
        """Answer in line; silence, also a connection that is not even refused, is Pending.

        Refused(UNREACHABLE): nobody listens, or the port says that it cannot (5xx).  Refused(REJECTED): it does not
        understand the need, or its answer is none.
        The thread that waits is not the one that talks, so that neither a name that takes long to resolve nor an answer
        that comes octet by octet holds the caller.
        """
        body = msgspec.json.encode(
            {"need": encode_need(need), "wait_ms": self._in_line_ms, "answer_url": self._answer_url}
        )
        call: Future[Answer | Pending] = self._threads.submit(self._exchange, need, body)
        try:
            return call.result(timeout=self._limit_s)
        except FutureTimeoutError:
            call.cancel()
            return Pending()

    def close(self) -> None:
        """Give back connections; a call under way ends by its own timeout."""
        self._threads.shutdown(wait=False, cancel_futures=True)
        with self._lock:
            sessions, self._sessions = self._sessions, []
        for session in sessions:
            session.close()

    def _exchange(self, need: Need, body: bytes) -> Answer | Pending:
        for attempt in (1, 2):
            try:
                response = self._session().post(
                    self._url, data=body, headers=self._headers(body), timeout=self._limit_s, allow_redirects=False
                )
            except requests.Timeout:
                return Pending()
            except requests.ConnectionError as e:
                # A kept connection that the other side closed meanwhile: a need may be sent twice, so once more.
                if attempt == 1 and not _is_refused(e):
                    continue
                return Refused(Refusal.UNREACHABLE)
            except requests.RequestException:
                return Refused(Refusal.UNREACHABLE)
            return _read(need, response)
        return Refused(Refusal.UNREACHABLE)

    def _session(self) -> requests.Session:
        session: requests.Session | None = getattr(self._local, "session", None)
        if session is None:
            session = requests.Session()
            session.trust_env = False  # no proxy between the MME and its HSS
            session.mount("http://", HTTPAdapter(pool_connections=1, pool_maxsize=1))
            session.mount("https://", HTTPAdapter(pool_connections=1, pool_maxsize=1))
            self._local.session = session
            with self._lock:
                self._sessions.append(session)
        return session

    def _headers(self, body: bytes) -> dict[str, str]:
        plain = {"Content-Type": "application/json"}
        if self._key is None:
            return plain
        signed = Signed(KEY_NAME, str(int(time.time())), Way.UP, self._function, self._answer_url, body)
        return plain | headers(self._key, signed)


def _is_refused(error: requests.ConnectionError) -> bool:
    cause = error.args[0] if error.args else None
    return isinstance(getattr(cause, "reason", cause), NewConnectionError)


def _read(need: Need, response: requests.Response) -> Answer | Pending:
    if response.status_code == 202:
        return Pending()
    if response.status_code >= 500:
        return Refused(Refusal.UNREACHABLE)
    if response.status_code != 200 or len(response.content) > _LARGEST_ANSWER:
        return Refused(Refusal.REJECTED)
    try:
        late = decode_answer(msgspec.json.decode(response.content)["answer"])
    except (ValueError, KeyError, TypeError, msgspec.DecodeError):
        return Refused(Refusal.REJECTED)
    if (late.need, late.owner) != (need.id, need.owner):
        return Refused(Refusal.REJECTED)
    return late.answer
