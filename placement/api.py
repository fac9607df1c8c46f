"""A cluster's API server over HTTPS: JSON in, JSON out, short timeouts, errors that tell whose fault it is."""

from __future__ import annotations

import copy
import math
import ssl
import tempfile
import time
from collections.abc import Mapping
from email.utils import parsedate_to_datetime
from pathlib import Path
from typing import Any
from urllib.parse import urlencode

import msgspec
import urllib3
from urllib3.exceptions import HTTPError

from placement.errors import Code, PlacementError
from placement.kubeconfig import Credentials
from placement.receiving import MOST_OCTETS, received
from reload import account
from reload.kubernetes_cluster import Call

CONNECT_S = 1.0
READ_S = 2.5
CONNECTIONS = 16
"""What is asked at once, by a look at a release or by reload.apply."""
MERGE_PATCH = "application/merge-patch+json"


class ApiError(Exception):
    """The API server answered with another status than 2xx.  message: its own sentence."""

    def __init__(self, status: int, message: str) -> None:
        super().__init__(f"{status}: {message}")
        self.status = status
        self.message = message

    def told(self) -> PlacementError:
        """As the caller of a placement is told it."""
        return PlacementError(Code.APPLY_FAILED, f"The cluster answers: {self.message}.")


def as_told(error: ApiError | PlacementError) -> PlacementError:
    """Either as the caller of a placement is told it."""
    return error.told() if isinstance(error, ApiError) else error


class Api:
    """One API server.  cluster: its name, for messages.  offset_s: its clock minus ours, after the first answer.

    account: whose rights its calls have, "" = the kubeconfig's own.
    until: when it is asked no more, by the monotonic clock; None = always.
    """

    def __init__(self, cluster: str, credentials: Credentials, *, read_s: float = READ_S) -> None:
        self.cluster = cluster
        self.account = credentials.account
        self._acts_as = credentials.acts_as
        self.offset_s = 0.0
        self.until: float | None = None
        self._server = credentials.server
        self._read_s = read_s
        self._headers = {"Accept": "application/json", "User-Agent": "telco-edge-placement"}
        if credentials.token is not None:
            self._headers["Authorization"] = f"Bearer {credentials.token}"
        if self.account:
            self._headers[account.HEADER] = self.account
        options: dict[str, Any] = {}
        if credentials.server.startswith("https:"):
            options["ssl_context"] = _tls(credentials, cluster)
            if credentials.server_name is not None:
                options |= {"assert_hostname": credentials.server_name, "server_hostname": credentials.server_name}
        self._pool = urllib3.PoolManager(retries=False, maxsize=CONNECTIONS, **options)

    def get(self, path: str, *, read_s: float | None = None, **query: str) -> dict[str, Any]:
        """read_s: None = as usual.  Raises ApiError, PlacementError."""
        return self._call("GET", path, query, None, read_s=read_s)

    def post(self, path: str, body: Mapping[str, Any]) -> dict[str, Any]:
        """Raises ApiError, PlacementError."""
        return self._call("POST", path, {}, body, "application/json")

    def put(self, path: str, body: Mapping[str, Any]) -> dict[str, Any]:
        """Raises ApiError, PlacementError."""
        return self._call("PUT", path, {}, body, "application/json")

    def patch(self, path: str, body: Mapping[str, Any]) -> dict[str, Any]:
        """A JSON merge patch.  Raises ApiError, PlacementError."""
        return self._call("PATCH", path, {}, body, MERGE_PATCH)

    def delete(self, path: str, body: Mapping[str, Any] | None = None) -> dict[str, Any]:
        """Raises ApiError, PlacementError."""
        return self._call("DELETE", path, {}, body, "application/json")

    def send(self, call: Call) -> tuple[int, bytes]:
        """Status and octets of any answer, for reload.kubernetes_cluster.  Raises HTTPError, OSError, TimeoutError."""
        read_s = min(call.read_s, self.left_s())
        if read_s <= 0:
            raise TimeoutError
        until = time.monotonic() + read_s
        url = f"{self._server}{call.path}{'?' + urlencode(call.query) if call.query else ''}"
        body = msgspec.json.encode(call.body) if call.body is not None else None
        timeout = urllib3.Timeout(connect=min(CONNECT_S, read_s), read=read_s)
        headers = {**self._headers, **call.headers}
        answer = self._pool.request(
            call.method, url, body=body, headers=headers, redirect=False, timeout=timeout, preload_content=False
        )
        return answer.status, received(answer, until)

    def itself(self) -> Api:
        """The same server over the same connections, for what is in no namespace: with the kubeconfig's own rights."""
        own = copy.copy(self)
        own.account = account.account_of(self._acts_as, "")
        own._headers = {name: value for name, value in self._headers.items() if name != account.HEADER}
        own._headers |= account.headers_of(self._acts_as, "")
        return own

    def left_s(self) -> float:
        """Seconds until it is asked no more."""
        return math.inf if self.until is None else self.until - time.monotonic()

    def too_slow(self) -> PlacementError:
        """The error of a step whose time does not suffice for what it asks."""
        return PlacementError(Code.CLUSTER_DOWN, f"The API server of {self.cluster} answers too slowly.")

    def close(self) -> None:
        """Give back connections."""
        self._pool.clear()

    def now(self) -> float:
        """Unix seconds by the server's clock, to a second."""
        return time.time() + self.offset_s

    def _call(
        self,
        method: str,
        path: str,
        query: Mapping[str, str],
        body: Mapping[str, Any] | None,
        content_type: str = "",
        *,
        read_s: float | None = None,
    ) -> dict[str, Any]:
        url = f"{self._server}{path}{'?' + urlencode(query) if query else ''}"
        headers = self._headers | ({"Content-Type": content_type} if body is not None else {})
        octets = msgspec.json.encode(body) if body is not None else None
        read_s = min(self._read_s if read_s is None else read_s, self.left_s())
        if read_s <= 0:
            raise self.too_slow()
        until = time.monotonic() + read_s if self.until is None else self.until  # a long list may take all of it
        timeout = urllib3.Timeout(connect=min(CONNECT_S, read_s), read=read_s)
        try:
            answer = self._pool.request(
                method, url, body=octets, headers=headers, redirect=False, timeout=timeout, preload_content=False
            )
            content = received(answer, until)
        except (HTTPError, OSError) as e:
            raise PlacementError(
                Code.CLUSTER_DOWN, f"The API server of {self.cluster} does not answer ({type(e).__name__})."
            ) from e
        if len(content) > MOST_OCTETS:  # cut off, a list would be none
            raise PlacementError(Code.CLUSTER_DOWN, f"The API server of {self.cluster} answers more than is read.")
        self._learn_clock(answer.headers.get("Date"))
        try:
            decoded: Any = msgspec.json.decode(content) if content else {}
        except msgspec.MsgspecError:
            decoded = {}
        found = decoded if isinstance(decoded, dict) else {}
        if 200 <= answer.status < 300:
            return found
        self._raise(answer.status, str(found.get("message") or answer.reason or ""))
        raise AssertionError

    def _raise(self, status: int, message: str) -> None:
        if status in (401, 403):
            # The server's sentence names the verb, the kind and the namespace, which is what the operator needs.
            raise PlacementError(Code.CLUSTER_REFUSED, f"{self.cluster} refused: {message or status}.")
        if status == 429 or status >= 500:
            raise PlacementError(Code.CLUSTER_DOWN, f"The API server of {self.cluster} answers {status}.")
        raise ApiError(status, message)

    def _learn_clock(self, date: str | None) -> None:
        if not date:
            return
        try:
            self.offset_s = parsedate_to_datetime(date).timestamp() - time.time()
        except ValueError:
            return


def _tls(credentials: Credentials, cluster: str) -> ssl.SSLContext:
    try:
        authority = credentials.authority.decode("ascii") if credentials.authority is not None else None
        context = ssl.create_default_context(cadata=authority)
        if credentials.certificate is not None and credentials.key is not None:
            # The standard library reads a client's key from a file only; it is gone when this block ends.
            with tempfile.TemporaryDirectory(prefix="placement-tls-") as folder:
                pem = Path(folder) / "client.pem"
                pem.touch(mode=0o600)
                pem.write_bytes(credentials.certificate.rstrip() + b"\n" + credentials.key)
                context.load_cert_chain(pem)
    except (ssl.SSLError, ValueError, OSError) as e:
        raise PlacementError(
            Code.CLUSTER_CREDENTIALS, f"The kubeconfig of {cluster} holds a certificate or key that cannot be read."
        ) from e
    return context
