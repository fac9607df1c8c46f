"""The OpenFaaS function config-reload: `handle = serve("config-reload")` is all that its handler.py says.

Environment: callback_allow, signature_window_s, store_url.  Secrets: edge-signing-key, edge-kubeconfigs, reload-policy
(reload.policy).  Every answer is JSON, signed; `error` holds code, message and hint.
A call with an X-Callback-Url whose pods take longer than a call may last is answered `progressing`; the ticker calls
with {"step": key} until they are settled, and the last answer goes to that URL.
"""

from __future__ import annotations

import hashlib
import os
import sys
import time
import traceback
from collections.abc import Callable, Mapping
from typing import Any

import msgspec
from prometheus_client import Counter, Histogram

from durable.callbacks import HttpCallbacks, To
from durable.errors import StoreError
from durable.journal import Journal, key_of
from durable.opening import open_store
from durable.ticker import answer_step
from reload.errors import ReloadError
from reload.policy import Clusters
from reload.request import Request, parse
from reload.service import Service, Worked
from reload.tables import TABLES, Table
from reload.waits import Wait, Waits
from trust.access import CALLBACK_HEADER, TICKER, Access
from trust.envelope import JSON, Answer, Envelope, Event
from trust.errors import ConfigError, EnvelopeError
from trust.secrets import SIGNING_KEY, read_keys, secrets_directory

DEFAULT_WINDOW_S = 180
REQUESTS = Counter("config_reload_requests_total", "Calls by action and outcome.", ("action", "status"))
WAITS = Counter("config_reload_waits_total", "Waits beyond a call that ended, by outcome.", ("status",))
SECONDS = Histogram(
    "config_reload_seconds", "Time of a call.", ("action",), buckets=(0.1, 0.25, 0.5, 1.0, 2.0, 3.0, 4.0, 5.0)
)


class Function:
    """Authenticates the caller, works the request off, signs the answer."""

    def __init__(
        self,
        name: str,
        access: Access,
        clusters: Clusters,
        waits: Waits,
        *,
        service: Service | None = None,
        clock: Callable[[], float] = time.time,
    ) -> None:
        self._envelope = Envelope(name, access, clock)
        self._clusters = clusters
        self._waits = waits
        self._service = service or Service()

    def handle(self, event: Event, _context: object = None) -> Answer:
        """(body, HTTP status, headers)."""
        begin_s = time.monotonic()
        try:
            signer = self._envelope.opened(event)
        except EnvelopeError as e:
            _log("warning", "request refused", status=e.status, why=e.detail)
            body = msgspec.json.encode({"status": "error", "error": _fault("not_authenticated", e.detail, "")})
            return body, e.status, dict(JSON)
        caller = signer.name
        if caller == TICKER:
            return self._envelope.sealed(signer, *answer_step(self._waits.advance, event.body))
        action, status, answer = self._worked(event, caller)
        outcome = str(answer["status"])
        REQUESTS.labels(action, outcome).inc()
        SECONDS.labels(action).observe(time.monotonic() - begin_s)
        error = answer.get("error") or {}
        _log("info", "reload", caller=caller, action=action, outcome=outcome, code=error.get("code"), status=status)
        return self._envelope.sealed(signer, msgspec.json.encode(answer), status)

    def _worked(self, event: Event, caller: str) -> tuple[str, int, dict[str, Any]]:
        """Action, HTTP status, answer."""
        action = "unknown"
        try:
            request = parse(event.body)
            action = request.action
            cluster = self._clusters.for_caller(caller, request.cluster, request.namespace)
            request = self._identified(request, caller, event)
            to = To(event.headers.get(CALLBACK_HEADER, ""), caller, request.call)
            # The same call under the same id is one wait; another body under that id is another call.
            key = f"{key_of(caller, request.call)}\n{hashlib.sha256(event.body).hexdigest()[:16]}"
            before = self._before(key) if to.url else None
            if before is not None:
                return action, 200, before
            return action, 200, self._going_on(self._service.work(cluster, request, caller), request, to, key)
        except ReloadError as e:
            return action, e.status, {"status": "error", "error": e.as_json()}
        except Exception:  # noqa: BLE001  a fault of ours: the trace is logged, the caller learns nothing of it
            _log("error", "fault", traceback=traceback.format_exc())
            return action, 500, {"status": "error", "error": _fault("internal", "internal error", "see the log")}

    def _identified(self, request: Request, caller: str, event: Event) -> Request:
        """With the id that it goes by, where it changes or begins something.  Raises ReloadError store_down."""
        if not request.changes and not event.headers.get(CALLBACK_HEADER):
            return request
        try:
            return msgspec.structs.replace(request, call=self._waits.call_id(caller, request.call, event.headers))
        except StoreError as e:
            _log("error", "store", why=str(e))
            hint = "try again later, or give the call an id of its own as `call`"
            raise ReloadError("store_down", "whether this call was made before cannot be told now", hint) from e

    def _before(self, key: str) -> dict[str, Any] | None:
        """What an earlier delivery of this call has come to, as far as it still waits or has waited."""
        try:
            return self._waits.answer_of(key)
        except StoreError as e:
            _log("warning", "store", why=str(e))  # the change is made, or found in the history, all the same
            return None

    def _going_on(self, worked: Worked, request: Request, to: To, key: str) -> dict[str, Any]:
        if worked.open is None or not to.url:
            return worked.answer
        try:
            return self._waits.begin(
                to, request.cluster, worked.open, worked.answer, key=key, timeout_s=request.timeout_s
            )
        except StoreError as e:
            _log("error", "store", why=str(e))
            return worked.answer  # `waiting`, and its hint: ask again


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
    url = environment.get("store_url")
    if not url:
        raise ConfigError("store_url", "must name a store, for example sqlite:////var/lib/edge/edge.db")
    master, *others = read_keys(SIGNING_KEY)
    access = Access(master, allowed, int(window), others=others)
    clusters = Clusters(secrets_directory())
    journal = Journal(open_store(url, TABLES), Table.WAIT, Wait)
    return Function(name, access, clusters, Waits(journal, clusters, HttpCallbacks(name, access), tell=_ended))


def _ended(caller: str, answer: dict[str, Any]) -> None:
    outcome = str(answer["status"])
    WAITS.labels(outcome).inc()
    code = (answer["error"] or {}).get("code")
    _log("info", "waited", caller=caller, outcome=outcome, code=code, seconds=answer["time_taken_s"])


def serve(name: str) -> Callable[[Event, object], Answer]:
    """The `handle` of that function.  A wrong setting ends the process with the setting's name."""
    try:
        return build(name, os.environ).handle
    except ConfigError as e:
        _log("error", "configuration", why=str(e))
        sys.exit(1)
