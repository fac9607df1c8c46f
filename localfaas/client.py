"""Calls to a running gateway, as the command line and tests make them."""

import base64
import http.client
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any
from urllib.parse import quote, urlencode, urlsplit

import msgspec

from localfaas.errors import LocalfaasError, NotRunningError


@dataclass(frozen=True, slots=True)
class Response:
    """What the gateway answered."""

    status: int
    headers: http.client.HTTPMessage
    body: bytes


class Client:
    """A gateway at `url`, with (user, password) for its management routes or None. timeout_s: for one answer."""

    def __init__(self, url: str, auth: tuple[str, str] | None = None, timeout_s: float = 75.0) -> None:
        self.url = url
        self.auth = auth
        self.timeout_s = timeout_s

    def request(
        self, method: str, path: str, body: bytes | None = None, headers: Mapping[str, str] | None = None
    ) -> Response:
        """Make one request.   Raises: NotRunningError when nobody listens, OSError when the connection breaks."""
        with self._open(method, path, body, headers or {}) as response:
            return Response(response.status, response.headers, response.read())

    def invoke(
        self,
        function: str,
        body: bytes = b"",
        *,
        headers: Mapping[str, str] | None = None,
        method: str = "POST",
        path: str = "",
        asynchronous: bool = False,
    ) -> Response:
        """Call a function. path: what follows its name, e.g. "/a?b=c"."""
        route = "async-function" if asynchronous else "function"
        return self.request(method, f"/{route}/{function}{path}", body, headers)

    def manage(self, method: str, path: str, value: Any = None) -> Any:
        """Use a management route or an extension; return its JSON, or None for an empty answer.

        Raises: LocalfaasError with the answer's text for a status of 300 and over.
        """
        body = None if value is None else msgspec.json.encode(value)
        response = self.request(method, path, body, {"Content-Type": "application/json"})
        if response.status >= 300:
            text = response.body.decode(errors="replace").strip()
            raise LocalfaasError(f"{method} {path}: {response.status} {text}".rstrip())
        return msgspec.json.decode(response.body) if response.body else None

    def logs(self, function: str, *, tail: int | None = None, follow: bool = False) -> Iterator[dict[str, str]]:
        """Give log lines: name, namespace, instance, timestamp, text.   Raises: LocalfaasError: unknown function."""
        query = {"name": function, "follow": "true" if follow else "false"}
        if tail is not None:
            query["tail"] = str(tail)
        with self._open("GET", f"/system/logs?{urlencode(query)}", None, {}, wait_forever=follow) as response:
            if response.status != 200:
                raise LocalfaasError(f"no logs of {function} ({response.status}); `localfaas list` shows the functions")
            while line := response.readline():
                yield msgspec.json.decode(line, type=dict[str, str])

    def kill(self, function: str, instance: str | None = None, *, busy: bool = False) -> dict[str, Any]:
        """Kill one replica's process (extension); give {"instance", "in_flight"}. None: the one with most calls.

        busy: only in the middle of a call.   Raises: LocalfaasError when there is none.
        """
        wanted: dict[str, Any] = {"function": function} | ({"instance": instance} if instance else {})
        if busy:
            wanted["busy"] = True
        killed: dict[str, Any] = self.manage("POST", "/localfaas/kill", wanted)
        return killed

    @contextmanager
    def _open(
        self, method: str, path: str, body: bytes | None, headers: Mapping[str, str], *, wait_forever: bool = False
    ) -> Iterator[http.client.HTTPResponse]:
        parts = urlsplit(self.url)
        timeout_s = None if wait_forever else self.timeout_s
        connection = http.client.HTTPConnection(parts.hostname or "", parts.port or 80, timeout=timeout_s)
        sent = dict(headers)
        if self.auth is not None and not path.startswith(("/function/", "/async-function/")):
            sent["Authorization"] = "Basic " + base64.b64encode(":".join(self.auth).encode()).decode()
        try:
            try:
                connection.request(method, quote(path, safe="/?&=%:+,;@-._~!$'()*"), body, sent)
            except ConnectionRefusedError as e:
                raise NotRunningError(f"nothing listens at {self.url}; is `localfaas up` still running?") from e
            yield connection.getresponse()
        finally:
            connection.close()
