"""The OpenFaaS function: `handle = serve()` is all that functions/placement/handler.py says.

A call is POST with a signed JSON body (trust.signing).  With an X-Callback-Url it is answered `accepted` at once and
worked off by the ticker, because the queue's slot is shared with the MME; without one it is worked off while the caller
waits, for at most INLINE_S, and goes on without it after that.  The ticker calls with {"step": key}.
HTTP status: 200 with an answer, whatever it says; 400, 403 for a request refused before it was an operation, 401, 405,
413 for one that was not opened: its answer is not signed.
"""

from __future__ import annotations

import os
import sys
import time
import traceback
from collections.abc import Callable, Mapping

from durable.call_ids import call_id_of
from durable.callbacks import HttpCallbacks
from durable.errors import StoreError
from durable.journal import Journal
from durable.opening import open_store
from durable.ticker import answer_step
from placement import logs, metrics, policy
from placement.errors import Code, PlacementError
from placement.helm import Helm, remove_left_over
from placement.inventory import Clusters, Inventory
from placement.operation import Answer, Operation, encode_answer, error_answer
from placement.parts import Parts
from placement.request import Request, decode
from placement.sealing import Sealer
from placement.settings import Secrets, number
from placement.status import listing, status
from placement.steps import Placer
from placement.tables import TABLES, Table
from placement.underway import Underway
from trust.access import CALLBACK_HEADER, TICKER, Access
from trust.envelope import JSON, Envelope, Event
from trust.envelope import Answer as HttpAnswer
from trust.errors import ConfigError, EnvelopeError
from trust.secrets import SIGNING_KEY, read_keys, secrets_directory

FUNCTION = "placement"
DEFAULT_WINDOW_S = 180
_UNOPENED = {405: Code.BAD_REQUEST, 413: Code.TOO_LARGE}
_REFUSED = {Code.BAD_REQUEST: 400, Code.BAD_NAME: 400, Code.NOT_ALLOWED: 403, Code.CALL_ID_REUSED: 409}


def _sentence(detail: str) -> str:
    return f"{detail[:1].upper()}{detail[1:].rstrip('.')}."


class Function:
    """Judges the envelope and answers, signed."""

    def __init__(self, placer: Placer, access: Access, clock: Callable[[], float] = time.time) -> None:
        self._placer = placer
        self._envelope = Envelope(FUNCTION, access, clock)

    def handle(self, event: Event, _context: object = None) -> HttpAnswer:
        """(body, HTTP status, headers)."""
        try:
            signer = self._envelope.opened(event)
        except EnvelopeError as e:
            metrics.REFUSED_REQUESTS.labels(str(e.status)).inc()
            logs.log("warning", "request refused", status=e.status, why=e.detail)
            refusal = PlacementError(_UNOPENED.get(e.status, Code.NOT_AUTHENTICATED), _sentence(e.detail))
            return encode_answer(Answer("refused", error=error_answer(refusal))), e.status, dict(JSON)
        caller = signer.name
        if caller == TICKER:
            return self._envelope.sealed(signer, *answer_step(self._placer.advance, event.body))
        answer, http_status = self._answer(caller, event)
        return self._envelope.sealed(signer, encode_answer(answer), http_status)

    def _answer(self, caller: str, event: Event) -> tuple[Answer, int]:
        try:
            request = decode(event.body)
            grant = policy.grant_of(self._placer.parts.secrets.grants(), caller)
            policy.check(grant, caller, request)
            return self._worked(caller, event, request, grant), 200
        except PlacementError as e:
            return Answer("refused", error=error_answer(e)), _REFUSED.get(e.code, 200)
        except StoreError as e:
            logs.log("error", "store", why=str(e))
            return Answer("refused", error=error_answer(PlacementError(Code.STORE_DOWN))), 200
        except Exception:  # noqa: BLE001  the boundary: the caller is told a code, the log the trace
            logs.log("error", "fault", caller=caller, traceback=traceback.format_exc())
            return Answer("failed", error=error_answer(PlacementError(Code.INTERNAL))), 200

    def _worked(self, caller: str, event: Event, request: Request, grant: policy.Grant) -> Answer:
        if request.action == "list":
            return listing(self._placer, grant, request)
        if request.action == "status":
            return status(self._placer, grant, caller, request)
        call_id = call_id_of(self._placer.parts.journal, caller, request.id or "", event.headers)
        callback_url = event.headers.get(CALLBACK_HEADER, "")
        operation = self._placer.accept(
            caller,
            call_id,
            event.body,
            request,
            create_namespaces=grant.create_namespaces,
            callback_url=callback_url,
        )
        return operation.answer if callback_url else self._placer.work(operation.key)


def build(environment: Mapping[str, str]) -> Function:
    """The function with all its parts.  Raises ConfigError."""
    master, *others = read_keys(SIGNING_KEY)
    window_s = int(number(environment, "signature_window_s", DEFAULT_WINDOW_S, most=3600))
    access = Access(
        master, environment.get("callback_allow", "http://127.0.0.1,http://localhost"), window_s, others=others
    )
    url = environment.get("store_url")
    if not url:
        raise ConfigError("store_url", "must name a store, for example sqlite:////var/lib/edge/edge.db")
    store = open_store(url, TABLES)
    journal = Journal(store, Table.OPERATION, Operation)
    parts = Parts(
        journal=journal,
        inventory=Inventory(store),
        underway=Underway(store, journal),
        clusters=Clusters(store),
        secrets=Secrets(secrets_directory()),
        sealer=Sealer(master, *others),
        helm=Helm(environment.get("helm_binary", "helm")),
        callbacks=HttpCallbacks(FUNCTION, access),
        helm_timeout_s=number(environment, "helm_timeout_s", 3.5, most=60),
    )
    remove_left_over()
    return Function(Placer(parts), access)


def serve() -> Callable[[Event, object], HttpAnswer]:
    """The function's `handle`.  A wrong setting ends the process with the setting's name."""
    try:
        function = build(os.environ)
    except ConfigError as e:
        logs.log("error", "configuration", function=FUNCTION, why=str(e))
        sys.exit(1)
    return function.handle
