"""An OpenFaaS function of the MME: `handle = serve("mme-initial-ue")` is all that a handler.py says.

Environment beside the settings of mme.config: store_url, callback_allow (origins that callbacks and pushes may go to),
signature_window_s, hss_url and sgw_url ("embedded", or where a port listens), answer_url (this gateway's
/async-function/mme-answer), port_wait_ms, ue_pool, sgw_address, dns, mtu.
Secrets: edge-signing-key, subscriber-key, m-tmsi-key.
"""

from __future__ import annotations

import os
import sys
import time
import traceback
from collections.abc import Callable, Mapping
from functools import partial
from ipaddress import IPv4Address, IPv4Network

import msgspec

from mme import config, logs, metrics
from mme.access import fault_of
from mme.codec import envelope
from mme.codec.envelope import Cost, Item, Refusal, Reply, Response
from mme.enums import ItemResult
from mme.errors import ConfigError, EnvelopeError
from mme.hss.embedded import EmbeddedHss
from mme.load import LoadMeter
from mme.needs import Port
from mme.overload import Limits
from mme.push import HttpPusher
from mme.remote_port import RemotePort
from mme.runtime import Runtime
from mme.sgw.embedded import EmbeddedGateway
from mme.store.base import Store
from mme.store.counting import CountingStore
from mme.store.opening import open_store
from mme.work import NO_LOAD, Load, Ports
from trust import signing
from trust.access import TICKER, Access, Caller
from trust.envelope import JSON, Answer, Envelope, Event
from trust.secrets import M_TMSI_KEY, SIGNING_KEY, SUBSCRIBER_KEY, read_keys

_HALF_A_SECOND = 0.5
"""What a timestamp of whole seconds has been cut by, on average."""
_SHOWN_OF_ID = 200
"""Characters of an id that may be of any length: more than those of one that is taken."""
MOST_WAIT_MS = 2000
"""An item asks at most four times in line, and has mme.settling.FRESH_S from its beginning to its write."""
DEFAULT_WINDOW_S = 180  # no longer than the ids of items are remembered (three times ack_wait)


class Function:
    """Judges the envelope, works off the items, signs the reply."""

    def __init__(
        self,
        name: str,
        runtime: Runtime,
        access: Access,
        clock: Callable[[], float] = time.time,
        meter: LoadMeter | None = None,
    ) -> None:
        self._meter = meter
        self._name = name
        self._runtime = runtime
        self._envelope = Envelope(name, access, clock)
        self._clock = clock

    def handle(self, event: Event, _context: object = None) -> Answer:
        """(body, HTTP status, headers): 200 with replies, or 400, 401, 405, 413 with one sentence."""
        try:
            caller, items = self._opened(event)
        except EnvelopeError as e:
            metrics.REFUSED_REQUESTS.labels(str(e.status)).inc()
            logs.log("warning", "request refused", function=self._name, status=e.status, why=e.detail)
            return envelope.encode(Refusal(e.detail)), e.status, dict(JSON)
        waited_ms = self._waited_ms(event, caller.name)
        if self._meter is not None and waited_ms is not None:
            self._meter.began(len(items), waited_ms)
        worked = [self._worked(item, caller.name, waited_ms) for item in items]
        body = envelope.encode(Response([reply for reply, _ in worked], [cost for _, cost in worked]))
        return self._envelope.sealed(caller, body)

    def _opened(self, event: Event) -> tuple[Caller, list[Item]]:
        caller = self._envelope.opened(event)
        try:
            items = envelope.decode_request(event.body).items
        except (msgspec.MsgspecError, ValueError, RecursionError) as e:
            raise EnvelopeError(400, f"the body is not a request: {e}") from e
        if not items:
            raise EnvelopeError(400, "the body holds no item")
        return caller, items

    def _waited_ms(self, event: Event, caller: str) -> float | None:
        """From the eNB's signature to now; None for other callers, which do not come through the queue."""
        if caller == TICKER or "/" in caller:
            return None
        timestamp = event.headers.get(signing.TIMESTAMP_HEADER, "")
        signed_s = float(timestamp) if "." in timestamp else int(timestamp) + _HALF_A_SECOND
        return max(0.0, (self._clock() - signed_s) * 1000)

    def _load(self, item: Item, waited_ms: float | None) -> Load:
        if self._meter is None or waited_ms is None:
            return NO_LOAD
        return Load(self._meter.refuses(item.id, waited_ms), *self._meter.told())

    def _worked(self, item: Item, caller: str, waited_ms: float | None = None) -> tuple[Reply, Cost]:
        fault = fault_of(item, caller)
        if fault is not None:
            shown = item.id[:_SHOWN_OF_ID]
            metrics.REFUSED_ITEMS.inc()
            logs.log(
                "warning",
                "item refused",
                function=self._name,
                trace=logs.trace_of(shown),
                item=shown,
                caller=caller,
                why=fault,
            )
            return Reply(shown, ItemResult.REJECTED.value, label="not allowed", error=fault), Cost()
        try:
            load = self._load(item, waited_ms)
            reply, cost, message = self._runtime.work(item, load)
        except Exception:  # noqa: BLE001  the one place where a fault of ours is kept from the batch's other items
            logs.log(
                "error",
                "fault",
                function=self._name,
                trace=logs.trace_of(item.id),
                item=item.id,
                traceback=traceback.format_exc(),
            )
            return Reply(item.id, ItemResult.RETRY.value, label="internal error", error="internal error"), Cost()
        logs.log(
            "info",
            "item",
            function=self._name,
            trace=logs.trace_of(item.id),
            item=item.id,
            message=message,
            result=reply.result,
            label=reply.label,
            ms=cost.total_ms,
            store_ms=cost.store_ms,
            reads=cost.reads,
            writes=cost.writes,
            conditional_writes=cost.conditional_writes,
        )
        return reply, cost


def ports_from(environment: Mapping[str, str], store: Store, master: bytes) -> Ports:
    """The ports that the environment names.  Raises ConfigError."""
    wait_ms = _number(environment, "port_wait_ms", 50)
    if wait_ms > MOST_WAIT_MS:
        raise ConfigError("port_wait_ms", f"must be at most {MOST_WAIT_MS}")
    remote = partial(
        RemotePort,
        answer_url=environment.get("answer_url", "http://gateway.openfaas:8080/async-function/mme-answer"),
        in_line_ms=wait_ms,
        signing_master=master,
    )
    hss_url = environment.get("hss_url", "embedded")
    hss: Port = EmbeddedHss(store, *read_keys(SUBSCRIBER_KEY)) if hss_url == "embedded" else remote(hss_url)
    sgw_url = environment.get("sgw_url", "embedded")
    gateway: Port = gateway_from(environment, store) if sgw_url == "embedded" else remote(sgw_url)
    return Ports(hss, gateway)


def gateway_from(environment: Mapping[str, str], store: Store) -> EmbeddedGateway:
    """The embedded gateway as the environment describes it."""
    try:
        return EmbeddedGateway(
            store,
            pool=IPv4Network(environment.get("ue_pool", "10.45.0.0/16")),
            sgw_address=IPv4Address(environment.get("sgw_address", "127.0.0.1")),
            dns=tuple(IPv4Address(text) for text in environment.get("dns", "9.9.9.9").split(",") if text),
            mtu=_number(environment, "mtu", 1400),
        )
    except ValueError as e:
        raise ConfigError("ue_pool/sgw_address/dns", str(e)) from e


def _number(environment: Mapping[str, str], key: str, default: int) -> int:
    text = environment.get(key, str(default))
    if not text.isdecimal():
        raise ConfigError(key, "must be a number")
    return int(text)


def build(name: str, environment: Mapping[str, str]) -> Function:
    """The function with everything it needs, from the environment and the secrets.  Raises ConfigError."""
    master, *others = read_keys(SIGNING_KEY)
    access = Access(
        master,
        environment.get("callback_allow", "http://127.0.0.1,http://localhost"),
        _number(environment, "signature_window_s", DEFAULT_WINDOW_S),
        others=others,
    )
    url = environment.get("store_url")
    if not url:
        raise ConfigError("store_url", "must name a store, for example sqlite:////var/lib/edge/edge.db")
    store = CountingStore(open_store(url))
    m_tmsi_key, *other_m_tmsi_keys = read_keys(M_TMSI_KEY)
    settings = config.load(environment, m_tmsi_key=m_tmsi_key, other_m_tmsi_keys=tuple(other_m_tmsi_keys))
    runtime = Runtime(
        name,
        settings,
        store=store,
        ports=ports_from(environment, store, master),
        pusher=HttpPusher(name),
        key_of_party=access.key,
        may_reach=access.may_reach,
    )
    limits = Limits(settings.overload_start_ms, settings.overload_shed_ms, settings.overload_stop_ms)
    return Function(name, runtime, access, meter=LoadMeter(store, name, limits))


def serve(name: str) -> Callable[[Event, object], Answer]:
    """The `handle` of that function.  A wrong setting ends the process with the setting's name."""
    try:
        function = build(name, os.environ)
    except ConfigError as e:
        logs.log("error", "configuration", function=name, why=str(e))
        sys.exit(1)
    return function.handle
