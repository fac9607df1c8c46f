"""The stub's HTTP server: needs in, answers in line or later (docstring of mme/remote_port.py has the exchange).

Paths: POST /hss, POST /sgw, GET /healthz.  An answer that takes longer than the caller waits is POSTed to its
answer_url as an invocation of `mme-answer`, signed as "port/hss" or "port/sgw".
"""

from __future__ import annotations

import asyncio
import logging
import random
import time
from collections.abc import Awaitable, Callable
from dataclasses import dataclass, field
from ipaddress import ip_address
from typing import Any, Final
from urllib.parse import urlsplit

import aiohttp
import msgspec
from aiohttp import web

from mme.codec.needs import decode_need, encode_answer
from mme.errors import ConfigError, StoreError
from mme.needs import (
    Answer,
    DeleteSession,
    ModifySession,
    Need,
    NeedProfile,
    NeedSession,
    NeedVector,
    Pending,
    Port,
    Refused,
    Session,
)
from mme.remote_port import KEY_NAME
from mme.routing import ANSWER
from spgw_hss_stub.behaviour import Behaviour
from trust.signing import (
    KEY_HEADER,
    SIGNATURE_HEADER,
    TIMESTAMP_HEADER,
    Signed,
    Way,
    derive_key,
    headers,
    verify,
)

TRIES: Final = 6
"""Of one late answer."""
FIRST_PAUSE_S: Final = 0.1
"""Between the first two tries; doubled each time, with jitter."""
LOST_HOLD_S: Final = 1.0
"""How long a lost request's connection stays silent before it is closed."""
WINDOW_S: Final = 300
"""Age of a signature at most."""
_LARGEST_NEED: Final = 64 * 1024
_POST_TIMEOUT_S: Final = 5.0
_LONGEST_WAIT_MS: Final = 10_000

_ANSWERED: Final[dict[str, tuple[type[Need], ...]]] = {
    "hss": (NeedVector, NeedProfile),
    "sgw": (NeedSession, ModifySession, DeleteSession),
}

log = logging.getLogger(__name__)


@dataclass(frozen=True)
class Stub:
    """What the server works with.

    ports: by path ("hss", "sgw").  signing_masters: the first signs answers, needs come under any; none = nothing is
    signed or checked.
    answer_urls: where answers may go, exactly; empty = to loopback addresses only, for answers carry keys.
    sleep: waits that many seconds.
    """

    ports: dict[str, Port]
    behaviour: Behaviour
    signing_masters: tuple[bytes, ...] = ()
    answer_urls: frozenset[str] = frozenset()
    sleep: Callable[[float], Awaitable[None]] = asyncio.sleep


class _Body(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    need: dict[str, Any]
    answer_url: str
    wait_ms: int = 50


_STUB: Final = web.AppKey("stub", Stub)
_CLIENT: Final = web.AppKey("client", aiohttp.ClientSession)
_TASKS: Final[web.AppKey[set[asyncio.Task[None]]]] = web.AppKey("tasks", set)


def application(stub: Stub) -> web.Application:
    """The aiohttp application."""
    app = web.Application(client_max_size=_LARGEST_NEED)
    app[_STUB] = stub
    app[_TASKS] = set()
    app.router.add_post("/{port:hss|sgw}", _on_need)
    app.router.add_get("/healthz", _on_healthz)
    app.on_startup.append(_start)
    app.on_cleanup.append(_stop)
    return app


async def _start(app: web.Application) -> None:
    app[_CLIENT] = aiohttp.ClientSession(timeout=aiohttp.ClientTimeout(total=_POST_TIMEOUT_S))


async def _stop(app: web.Application) -> None:
    running = app[_TASKS]
    for task in running:
        task.cancel()
    await asyncio.gather(*running, return_exceptions=True)
    await app[_CLIENT].close()


async def _on_healthz(_: web.Request) -> web.Response:
    return web.Response(text="OK")


def _error(status: int, detail: str) -> web.Response:
    return web.json_response({"error": detail}, status=status)


async def _on_need(request: web.Request) -> web.StreamResponse:
    begin = time.monotonic()
    stub, name = request.app[_STUB], request.match_info["port"]
    octets = await request.read()
    try:
        body = msgspec.json.decode(octets, type=_Body)
        need = decode_need(body.need)
    except (msgspec.DecodeError, ValueError) as e:
        return _error(400, f"no need: {e}")
    if not isinstance(need, _ANSWERED[name]):
        return _error(400, f"{name} has no answer to such a need")
    if not 0 <= body.wait_ms <= _LONGEST_WAIT_MS:
        return _error(400, f"wait_ms must be from 0 to {_LONGEST_WAIT_MS}")
    if not is_allowed(body.answer_url, stub.answer_urls):
        return _error(400, "answer_url is not one that answers may go to")
    if stub.signing_masters and not _is_signed(request, octets, name, body.answer_url, stub.signing_masters):
        return _error(401, "the need is not signed by the MME, or too long ago")
    if stub.behaviour.loses():
        await stub.sleep(LOST_HOLD_S)
        if request.transport is not None:
            request.transport.abort()
        return web.Response(status=504)
    try:
        answer = await _answer(stub, name, need)
    except StoreError:
        log.warning("the store cannot be used", extra={"need": need.id})
        return _error(503, "the subscriber store cannot be used")
    except ConfigError as e:
        log.error("%s", e, extra={"need": need.id})
        return _error(500, "the stub is set up wrongly: its log says how")
    log.info("%s: %s is answered %s", name, type(need).__name__, type(answer).__name__, extra={"need": need.id})
    late = encode_answer(need, answer)
    left_s = stub.behaviour.delay_of(need) / 1000 - (time.monotonic() - begin)
    if stub.behaviour.delay_of(need) > body.wait_ms:
        post = _Late(name, body.answer_url, f"{need.id}/answer", late)
        task = asyncio.create_task(_answer_later(request.app, post, max(0.0, left_s)))
        request.app[_TASKS].add(task)
        task.add_done_callback(request.app[_TASKS].discard)
        return web.Response(status=202)
    if left_s > 0:
        await stub.sleep(left_s)
    return web.json_response({"answer": late})


async def _answer(stub: Stub, name: str, need: Need) -> Answer:
    refusal = stub.behaviour.refusal_of(need)
    if refusal is not None:
        return Refused(refusal)
    answer = await asyncio.get_running_loop().run_in_executor(None, stub.ports[name].ask, need)
    if isinstance(answer, Pending):
        raise RuntimeError("an embedded port answers at once")
    if isinstance(need, NeedSession) and isinstance(answer, Session):
        stub.behaviour.remember(answer.session_id, need)
    return answer


@dataclass(frozen=True)
class _Late:
    """An answer under way.  port: "hss" or "sgw".  item_id: stays the same in each try."""

    port: str
    url: str
    item_id: str
    answer: dict[str, Any] = field(repr=False)


async def _answer_later(app: web.Application, late: _Late, pause_s: float) -> None:
    """POST the answer after a pause, a bounded number of times: again on a connection error, 429 or 5xx."""
    stub = app[_STUB]
    await stub.sleep(pause_s)
    body = msgspec.json.encode({"items": [{"id": late.item_id, "answer": late.answer}]})
    outcome = ""
    for attempt in range(TRIES):
        try:
            async with app[_CLIENT].post(
                late.url, data=body, headers=_headers(stub.signing_masters, late.port, body), allow_redirects=False
            ) as response:
                if response.status < 300:
                    return
                outcome = f"status {response.status}"
                if response.status < 500 and response.status != 429:
                    break
        except (aiohttp.ClientError, TimeoutError) as e:
            outcome = type(e).__name__
        if attempt < TRIES - 1:
            await stub.sleep(FIRST_PAUSE_S * 2**attempt * random.uniform(0.5, 1.5))
    log.error("the answer was not taken: %s", outcome, extra={"need": late.item_id})


def _headers(masters: tuple[bytes, ...], name: str, body: bytes) -> dict[str, str]:
    plain = {"Content-Type": "application/json"}
    if not masters:
        return plain
    key_name = f"port/{name}"
    signed = Signed(key_name, str(int(time.time())), Way.UP, ANSWER, "", body)
    return plain | headers(derive_key(masters[0], key_name), signed)


def _is_signed(request: web.Request, body: bytes, name: str, answer_url: str, masters: tuple[bytes, ...]) -> bool:
    timestamp = request.headers.get(TIMESTAMP_HEADER, "")
    if not timestamp.isascii() or not timestamp.isdecimal() or abs(time.time() - int(timestamp)) > WINDOW_S:
        return False
    if request.headers.get(KEY_HEADER) != KEY_NAME:
        return False
    signed = Signed(KEY_NAME, timestamp, Way.UP, name, answer_url, body)
    signature = request.headers.get(SIGNATURE_HEADER, "")
    return any(verify(derive_key(master, KEY_NAME), signed, signature) for master in masters)


def is_allowed(url: str, allowed: frozenset[str]) -> bool:
    """True when answers, which carry keys, may go there."""
    if allowed:
        return url in allowed
    try:
        parts = urlsplit(url)
        host = parts.hostname or ""
        return (
            parts.scheme in ("http", "https")
            and parts.username is None
            and (host == "localhost" or ip_address(host).is_loopback)
        )
    except ValueError:
        return False
