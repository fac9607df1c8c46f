"""The synchronous route: gateway, provider and watchdog in one pass.   Source: contract section 2."""

import asyncio
import time
import uuid
from collections.abc import Awaitable, Callable
from dataclasses import dataclass

import aiohttp
from multidict import CIMultiDict, CIMultiDictProxy
from yarl import URL

from localfaas import VERSION, answers
from localfaas.alerts import BadScalingFactorError, Scaling, split_name
from localfaas.answers import Answer
from localfaas.deployments import Deployment, Deployments
from localfaas.faults import FaultStream
from localfaas.metrics import Metrics
from localfaas.options import NAMESPACE, Options
from localfaas.replicas import Replica

METHODS = frozenset({"POST", "PUT", "PATCH", "DELETE", "GET", "OPTIONS", "HEAD"})
SERVED_BY = f"openfaas-community/{VERSION}"

MAX_HEADER_BYTES = 1 << 16
"""Octets of a request line and of a header. Go allows 1 MiB for all of them; aiohttp's 8 KiB are short for a URL."""

_HOP_BY_HOP = (
    "Connection",
    "Proxy-Connection",
    "Keep-Alive",
    "Proxy-Authenticate",
    "Proxy-Authorization",
    "Te",
    "Trailer",
    "Transfer-Encoding",
    "Upgrade",
)
_HOLD_S = 100.0
"""1000 polls of 100 ms: how long the scaler holds a call for a function without a ready replica."""


@dataclass(slots=True)
class Call:
    """A request for a function.

    function: name as in the URL, perhaps with a namespace.  target: path and query as the function shall see them,
    still percent-encoded, with "/" in front.  headers: owned by the call, which adds to them.  remote: "ip:port".
    """

    function: str
    method: str
    target: str
    headers: CIMultiDict[str]
    body: bytes
    host: str
    remote: str


def identify(headers: CIMultiDict[str]) -> CIMultiDict[str]:
    """Do what the call-id middleware does: complete the request's headers, return the response's.

    A caller's own X-Call-Id stays and is not echoed; X-Start-Time (unix ns) is added even beside one that is there.
    """
    start_time = str(time.time_ns())
    response = CIMultiDict({"X-Start-Time": start_time, "X-Served-By": SERVED_BY})
    if not headers.get("X-Call-Id"):
        call_id = str(uuid.uuid4())
        headers["X-Call-Id"] = call_id
        response["X-Call-Id"] = call_id
    headers.add("X-Start-Time", start_time)
    return response


def strip_hop_by_hop(headers: CIMultiDict[str] | CIMultiDictProxy[str]) -> CIMultiDict[str]:
    """Copy headers without those of one connection; lengths are set anew by whoever sends."""
    kept = CIMultiDict(headers)
    for name in (*_HOP_BY_HOP, "Content-Length"):
        kept.popall(name, None)
    return kept


def _non_200(status: int, name: str, body: str) -> str:
    return f"server returned non-200 status code ({status}) for function, {name}, body: {body}"


def _internal(answer: Answer, part: str) -> Answer:
    answer.headers["X-OpenFaaS-Internal"] = part
    return answer


def _unreachable(function: str) -> Answer:
    return _internal(answers.error(500, f"Can't reach service for: {function}."), "proxy")


async def _still_alive(replica: Replica) -> bool:
    """Tell a process that closed a connection from one that died: the news of a death comes a moment later."""
    process = replica.process
    if process is None:
        return False
    try:
        await asyncio.wait_for(process.wait(), 0.05)
    except TimeoutError:
        return True
    return False


class Proxy:
    """Calls functions. `session` is made by start(), because it belongs to the running loop."""

    def __init__(self, options: Options, deployments: Deployments, metrics: Metrics, faults: FaultStream) -> None:
        self._options = options
        self._deployments = deployments
        self._metrics = metrics
        self._faults = faults
        self._session: aiohttp.ClientSession | None = None

    async def start(self) -> None:
        """Open the connection pool to the replicas."""
        # Replicas keep idle connections for 300 s; ours are given up long before, so that a call never meets a close.
        connector = aiohttp.TCPConnector(limit=0, keepalive_timeout=60)
        self._session = aiohttp.ClientSession(
            connector=connector,
            cookie_jar=aiohttp.DummyCookieJar(),
            timeout=aiohttp.ClientTimeout(total=None),
            auto_decompress=False,
            max_line_size=MAX_HEADER_BYTES,
            max_field_size=MAX_HEADER_BYTES,
            skip_auto_headers=("User-Agent", "Accept", "Accept-Encoding", "Content-Type"),
        )

    async def close(self) -> None:
        """Close the pool."""
        if self._session is not None:
            await self._session.close()

    async def call(self, call: Call) -> Answer:
        """Answer one call of /function/{name}, as its caller sees it. call.headers: without hop-by-hop ones."""
        name, namespace = split_name(call.function)
        if self._options.scale_from_zero:
            refused = await self._scale(name, namespace)
            if refused is not None:
                return refused
        set_before = identify(call.headers)
        if not call.headers.get("X-Forwarded-Host"):
            call.headers["X-Forwarded-Host"] = call.host
        if not call.headers.get("X-Forwarded-For"):
            call.headers["X-Forwarded-For"] = call.remote
        label = call.function if "." in call.function else f"{call.function}.{NAMESPACE}"
        self._metrics.started(label)
        begun = time.perf_counter()
        answer = await self._with_faults(lambda: self._provide(call, name, namespace))
        self._metrics.completed(label, answer.status, time.perf_counter() - begun)
        for key, value in set_before.items():
            if key not in answer.headers:
                answer.headers[key] = value
        return answer

    async def _scale(self, name: str, namespace: str) -> Answer | None:
        """Look the function up and hold the call until a replica is ready; None = go on."""
        deployment = self._deployments.by_name.get(name) if namespace == NAMESPACE else None
        why = ""
        if namespace != NAMESPACE:
            why = _non_200(400, name, f"namespace must be: {NAMESPACE}\n")
        elif deployment is None:
            why = _non_200(404, name, "404 page not found\n" if "%2f" in name.lower() else "")
        else:
            try:
                Scaling.of(deployment.spec.labels, self._options.edition)
            except BadScalingFactorError as e:
                why = str(e)
        if deployment is None or why:
            return answers.written(404, f"error finding function {name}.{namespace}: {why}")
        if deployment.replicas.ready():
            return None
        # The scaler would wait for _HOLD_S, but the server drops the caller's connection at its write_timeout.
        limit_s = min(_HOLD_S, self._options.write_timeout_s)
        try:
            await asyncio.wait_for(deployment.replicas.wait_ready(), limit_s)
        except TimeoutError:
            return None if limit_s == _HOLD_S else Answer(502, cut=True)
        return None

    async def _with_faults(self, invoke: Callable[[], Awaitable[Answer]]) -> Answer:
        times = await self._faults.passes()
        if times == 1:
            return await invoke()
        if times == 0:
            if self._faults.coin():
                await invoke()
            return answers.empty(502)
        first, _ = await asyncio.gather(invoke(), invoke())
        return first

    async def _provide(self, call: Call, name: str, namespace: str) -> Answer:
        """Do the provider's part, within the gateway's time limit."""
        if call.method not in METHODS:
            return answers.empty(405)
        deployment = self._deployments.by_name.get(name) if namespace == NAMESPACE else None
        replica = deployment.replicas.pick() if deployment is not None else None
        if deployment is None or replica is None:
            return _internal(answers.error(503, f"No endpoints available for: {call.function}."), "proxy")
        answer = await self._watchdog(call, deployment, replica)
        if "Content-Type" not in answer.headers:
            answer.headers["Content-Type"] = call.headers.get("Content-Type") or "text/plain"
        return answer

    async def _watchdog(self, call: Call, deployment: Deployment, replica: Replica) -> Answer:
        """Do the watchdog's part: limits of the function, then its process."""
        limit = deployment.watchdog.max_inflight
        if limit and replica.in_flight >= limit:
            text = f"Concurrent request limit exceeded. Max concurrent requests: {limit}"
            return _internal(answers.error(429, text), "faas-middleware")
        options = self._options
        # Whoever's patience ends first answers.
        timeout_s, late = min(
            (
                (deployment.watchdog.exec_timeout_s, "watchdog"),
                (options.provider_timeout_s, "provider"),
                (options.upstream_timeout_s, "gateway"),
            ),
            key=lambda pair: pair[0] if pair[0] > 0 else float("inf"),
        )
        begun = time.perf_counter()
        replica.enter()
        try:
            async with asyncio.timeout(timeout_s if timeout_s > 0 else None):
                answer = await self._send(call, replica)
        except TimeoutError:
            if late == "gateway":
                return answers.empty(502)
            if late == "provider":
                return _unreachable(call.function)
            answer = answers.empty(504)
        except aiohttp.ClientError:
            # A replica that died is a pod that is gone; one that lives has closed the connection on us.
            if replica.port == 0 or not replica.alive or not await _still_alive(replica):
                return _unreachable(call.function)
            answer = answers.empty(500)
        finally:
            replica.leave()
        answer.headers["X-Duration-Seconds"] = f"{time.perf_counter() - begun:f}"
        return answer

    async def _send(self, call: Call, replica: Replica) -> Answer:
        if self._session is None:
            raise AssertionError("start() was not called")
        url = URL(f"http://127.0.0.1:{replica.port}{call.target}", encoded=True)
        async with self._session.request(
            call.method, url, headers=call.headers, data=call.body or None, allow_redirects=False
        ) as response:
            body = await response.read()
            headers = strip_hop_by_hop(response.headers)
            if body and "Content-Type" not in headers:
                headers["Content-Type"] = answers.sniff(body)
            return Answer(response.status, body, headers)
