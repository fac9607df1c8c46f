"""The OpenFaaS function config-reload: `handle = serve("config-reload")` is all that its handler.py says.

Environment: callback_allow, signature_window_s.  Secrets: edge-signing-key, edge-kubeconfigs, reload-policy
(reload.policy).  Every answer is JSON, signed; `error` holds code, message and hint.
"""

from __future__ import annotations

import os
import sys
import time
import traceback
from collections.abc import Callable, Mapping
from typing import Any, Protocol

import msgspec
from prometheus_client import Counter, Histogram

from reload.errors import ReloadError
from reload.policy import Clusters
from reload.request import parse
from reload.service import Service
from trust import signing
from trust.access import Access
from trust.errors import ConfigError, EnvelopeError
from trust.secrets import SIGNING_KEY, read_secret, secrets_directory
from trust.signing import Signed, Way

Answer = tuple[bytes, int, dict[str, str]]
DEFAULT_WINDOW_S = 180
REQUESTS = Counter("config_reload_requests_total", "Calls by action and outcome.", ("action", "status"))
SECONDS = Histogram(
    "config_reload_seconds", "Time of a call.", ("action",), buckets=(0.1, 0.25, 0.5, 1.0, 2.0, 3.0, 4.0, 5.0)
)


class Event(Protocol):
    """What the template hands over: see template/python3-flask-edge/index.py."""

    body: bytes
    headers: Mapping[str, str]
    method: str


class Function:
    """Authenticates the caller, works the request off, signs the answer."""

    def __init__(
        self,
        name: str,
        access: Access,
        clusters: Clusters,
        service: Service | None = None,
        clock: Callable[[], float] = time.time,
    ) -> None:
        self._name = name
        self._access = access
        self._clusters = clusters
        self._service = service or Service()
        self._clock = clock

    def handle(self, event: Event, _context: object = None) -> Answer:
        """(body, HTTP status, headers)."""
        begin_s = time.monotonic()
        try:
            if event.method != "POST":
                raise EnvelopeError(405, "this function takes POST with a signed JSON body")
            caller = self._access.authenticate(self._name, event.headers, event.body, self._clock())
        except EnvelopeError as e:
            _log("warning", "request refused", status=e.status, why=e.detail)
            body = msgspec.json.encode({"status": "error", "error": _fault("not_authenticated", e.detail, "")})
            return body, e.status, {"Content-Type": "application/json"}
        action, status, answer = self._worked(event, caller)
        outcome = str(answer["status"])
        REQUESTS.labels(action, outcome).inc()
        SECONDS.labels(action).observe(time.monotonic() - begin_s)
        error = answer.get("error") or {}
        _log("info", "reload", caller=caller, action=action, outcome=outcome, code=error.get("code"), status=status)
        body = msgspec.json.encode(answer)
        signed = Signed(caller, str(int(self._clock())), Way.DOWN, self._name, "", body)
        headers = signing.headers(self._access.key(caller), signed)
        return body, status, {"Content-Type": "application/json", **headers}

    def _worked(self, event: Event, caller: str) -> tuple[str, int, dict[str, Any]]:
        """Action, HTTP status, answer."""
        action = "unknown"
        try:
            request = parse(event.body)
            action = request.action
            if not request.call:
                request = msgspec.structs.replace(request, call=event.headers.get("X-Call-Id", "")[:160])
            cluster = self._clusters.for_caller(caller, request.cluster, request.namespace)
            return action, 200, self._service.work(cluster, request, caller)
        except ReloadError as e:
            return action, e.status, {"status": "error", "error": _fault(e.code, e.detail, e.hint)}
        except Exception:  # noqa: BLE001  a fault of ours: the trace is logged, the caller learns nothing of it
            _log("error", "fault", traceback=traceback.format_exc())
            return action, 500, {"status": "error", "error": _fault("internal", "internal error", "see the log")}


def _fault(code: str, message: str, hint: str) -> dict[str, str]:
    return {"code": code, "message": message, "hint": hint}


def _log(level: str, event: str, **fields: object) -> None:
    record = {"ts": round(time.time(), 3), "level": level, "event": event, **fields}
    sys.stderr.write(msgspec.json.encode({k: v for k, v in record.items() if v is not None}).decode() + "\n")
    sys.stderr.flush()


def build(name: str, environment: Mapping[str, str]) -> Function:
    """The function, from the environment and the secrets.  Raises ConfigError."""
    window = environment.get("signature_window_s", str(DEFAULT_WINDOW_S))
    if not window.isdecimal():
        raise ConfigError("signature_window_s", "must be a number")
    allowed = environment.get("callback_allow", "http://127.0.0.1,http://localhost")
    access = Access(read_secret(SIGNING_KEY), allowed, int(window))
    return Function(name, access, Clusters(secrets_directory()))


def serve(name: str) -> Callable[[Event, object], Answer]:
    """The `handle` of that function.  A wrong setting ends the process with the setting's name."""
    try:
        return build(name, os.environ).handle
    except ConfigError as e:
        _log("error", "configuration", why=str(e))
        sys.exit(1)
