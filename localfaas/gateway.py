"""The gateway: its routes, and the life of all its parts in one event loop."""

import asyncio
import base64
import contextlib
import errno
import hmac
import os
import re
import shutil
import socket
import tempfile
from collections.abc import Awaitable, Callable, Mapping
from pathlib import Path
from types import TracebackType
from typing import Any, Self
from urllib.parse import quote, unquote

import msgspec
from aiohttp import web
from multidict import CIMultiDict

from localfaas import answers, buildtree, stack
from localfaas.answers import Answer
from localfaas.deployments import Deployments, Spec
from localfaas.errors import QueueError, StartError
from localfaas.faults import FaultStream
from localfaas.functionlogs import for_people
from localfaas.management import Management, RefusedError, validate
from localfaas.metrics import CONTENT_TYPE, Metrics
from localfaas.options import NAMESPACE, Options
from localfaas.proxy import MAX_HEADER_BYTES, Call, Proxy, identify, strip_hop_by_hop
from localfaas.queue import Broker, Workers
from localfaas.replicas import ReplicaSet
from localfaas.secretfiles import SecretFiles
from localfaas.tickers import Ticker

MAX_REQUEST_BYTES = 64 << 20
STARTS_BEFORE_GIVING_UP = 2

_INVOKE = re.compile(r"/(async-)?function/([-a-zA-Z_0-9.]+)(?:/(.*))?", re.DOTALL)
_SYSTEM = re.compile(r"/system/(function|scale-function|namespace)/([-a-zA-Z_0-9.]*)")


class Gateway:
    """An OpenFaaS gateway with its functions, for `async with`:

        async with Gateway(Options(stack=Path("stack.yml"), port=0, workers=4)) as gateway:
            ... requests to gateway.url ...

    Entering it builds the trees, starts the functions and returns once every replica is ready; leaving it lets calls in
    flight finish (options.drain_s at most) and ends every process it started.
    Raises on entering: StackError, StartError (both LocalfaasError), one line each with what to do.
    """

    def __init__(self, options: Options) -> None:
        self.options = options
        self.url = ""
        """http://host:port, set on entering, like metrics_url."""
        self.metrics_url = ""
        self.tickers: list[Ticker] = []
        self._metrics = Metrics()
        self._exits = contextlib.AsyncExitStack()

    async def __aenter__(self) -> Self:
        try:
            await self._start()
        except BaseException:
            await self._exits.aclose()
            raise
        return self

    async def __aexit__(
        self, _type: type[BaseException] | None, _error: BaseException | None, _trace: TracebackType | None
    ) -> None:
        await self._exits.aclose()

    # Parts, in the order they depend on each other.

    async def _start(self) -> None:
        options = self.options
        description = stack.load(options.stack, {**os.environ, **options.env})
        # Ports first: what is most likely to be wrong should not wait for builds.
        api_socket, metrics_socket = self._listen()
        work_dir = self._work_dir()
        secret_files = SecretFiles(work_dir / "secrets")
        if options.secrets_dir is not None:
            try:
                secret_files.take_from(options.secrets_dir)
            except OSError as e:
                raise StartError(f"secrets folder {options.secrets_dir}: {e.strerror}") from e
        faults = {
            name: FaultStream(getattr(options.faults, name), options.faults.seed, name)
            for name in ("call", "callback", "sync")
        }
        self.faults = faults
        self.deployments = Deployments(options, work_dir, secret_files)
        specs = self._specs(description, secret_files)
        for function in description.functions.values():
            tree = buildtree.assemble(description, function, work_dir / "build")
            self.deployments.add_image(function.name, function.image, tree)
        self._management = Management(options.edition, self.deployments, secret_files, self._metrics)
        self._proxy = Proxy(options, self.deployments, self._metrics, faults["sync"])
        self.broker = Broker(options.ack_wait_s)
        host = self.url.removeprefix("http://")
        self.workers = Workers(options.workers, self.broker, self._proxy.call, host, faults["callback"])
        self._exits.push_async_callback(self.deployments.close)
        await self._proxy.start()
        self._exits.push_async_callback(self._proxy.close)
        # From here on parts are stopped in the reverse order: no new calls, workers, then processes.
        for spec in specs:
            self.deployments.create(spec, options.replicas.get(spec.service))
        await self._all_ready()
        await self.workers.start()
        self._exits.push_async_callback(self.workers.close)
        self._late: set[asyncio.Task[None]] = set()
        await self._serve(metrics_socket, self._answer_metrics)
        await self._serve(api_socket, self._answer)
        if options.tickers:
            self._start_tickers()

    def _start_tickers(self) -> None:
        for deployment in self.deployments.by_name.values():
            ticker = Ticker.of(deployment, self.url)
            if ticker is not None:
                self.tickers.append(ticker)
                ticker.start()
        # All at once: each may take seconds to let go of what it holds.
        self._exits.push_async_callback(lambda: asyncio.gather(*(ticker.close() for ticker in self.tickers)))

    def _work_dir(self) -> Path:
        if self.options.work_dir is not None:
            self.options.work_dir.mkdir(mode=0o700, parents=True, exist_ok=True)
            return self.options.work_dir.resolve()
        folder = Path(tempfile.mkdtemp(prefix="localfaas-"))
        self._exits.callback(shutil.rmtree, folder, ignore_errors=True)
        return folder

    def _listen(self) -> tuple[socket.socket, socket.socket]:
        options = self.options
        metrics_port = options.metrics_port
        if metrics_port is None:
            metrics_port = options.port + 2 if options.port else 0
        sockets = []
        for port, option in ((options.port, "--port"), (metrics_port, "--metrics-port")):
            listener = socket.socket(socket.AF_INET, socket.SOCK_STREAM)
            self._exits.callback(listener.close)
            listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
            try:
                listener.bind((options.host, port))
                listener.listen(1024)
            except OSError as e:
                if e.errno == errno.EADDRINUSE:
                    raise StartError(
                        f"port {port} is in use; choose another with {option} N, or {option} 0 for a free one"
                    ) from e
                raise StartError(f"cannot listen on {options.host}:{port}: {e.strerror}") from e
            sockets.append(listener)
        self.url, self.metrics_url = (
            f"http://{options.host}:{each.getsockname()[1]}" + path
            for each, path in zip(sockets, ("", "/metrics"), strict=True)
        )
        return sockets[0], sockets[1]

    def _specs(self, description: stack.Stack, secret_files: SecretFiles) -> list[Spec]:
        options = self.options
        functions = description.functions
        if unknown := sorted(options.replicas.keys() - functions.keys()):
            raise StartError(f"--replicas {unknown[0]}: no such function; the stack has {', '.join(functions)}")
        most = options.edition.max_functions
        if most is not None and len(functions) > most:
            raise StartError(
                f"the stack has {len(functions)} functions, this edition allows {most}; try --edition classic"
            )
        specs = []
        for function in functions.values():
            wanted = options.replicas.get(function.name, 1)
            if not 1 <= wanted <= options.edition.max_replicas:
                raise StartError(
                    f"--replicas {function.name}={wanted}: edition {options.edition.name} allows 1 to "
                    f"{options.edition.max_replicas}"
                )
            if missing := secret_files.missing(function.secrets):
                raise StartError(
                    f"function {function.name} needs the secret {missing[0]}; put it into a file of that name in a "
                    "folder and give it with --secrets DIR"
                )
            spec = Spec(
                service=function.name,
                image=function.image,
                env_vars={**function.environment, **options.env},
                secrets=function.secrets,
                labels=function.labels,
                annotations=function.annotations,
            )
            try:
                validate(spec, options.edition)
            except ValueError as e:
                raise StartError(f"function {function.name}: {e}") from e
            specs.append(spec)
        return specs

    async def _all_ready(self) -> None:
        """Wait for every replica; give up on the first that fails twice, with the end of its log."""

        async def one(name: str, replicas: ReplicaSet) -> None:
            while len(replicas.ready()) < replicas.desired:
                for replica in replicas.replicas:
                    if replica.starts > STARTS_BEFORE_GIVING_UP and not replica.first_ready.is_set():
                        lines = [each for line in replicas.log.read(tail=15) for each in for_people(line.text)]
                        told = "\n  ".join(lines[-15:])
                        raise StartError(f"function {name} does not start; its last lines:\n  {told}")
                await asyncio.sleep(0.02)

        try:
            async with asyncio.TaskGroup() as group:
                for name, deployment in self.deployments.by_name.items():
                    group.create_task(one(name, deployment.replicas))
        except ExceptionGroup as errors:
            # One reason is enough, and it is a line for a person.
            raise errors.exceptions[0] from None

    async def _serve(
        self, listener: socket.socket, handler: Callable[[web.BaseRequest], Awaitable[web.StreamResponse]]
    ) -> None:
        loop = asyncio.get_running_loop()

        def make_request(*parts: Any) -> web.BaseRequest:
            message, payload, protocol, writer, task = parts
            return web.BaseRequest(message, payload, protocol, writer, task, loop, client_max_size=MAX_REQUEST_BYTES)

        server = web.Server(
            handler,
            request_factory=make_request,
            access_log=None,
            keepalive_timeout=75,
            max_line_size=MAX_HEADER_BYTES,
            max_field_size=MAX_HEADER_BYTES,
        )
        site = await loop.create_server(server, sock=listener)

        async def stop() -> None:
            site.close()
            server.pre_shutdown()
            await server.shutdown(self.options.drain_s)

        self._exits.push_async_callback(stop)

    # Routes.

    async def _answer(self, request: web.BaseRequest) -> web.StreamResponse:
        if request.headers.get("Expect", "").lower() == "100-continue":
            # Or curl waits a second before it sends a large body; the low-level server leaves this to us.
            await request.writer.write(b"HTTP/1.1 100 Continue\r\n\r\n")
            request.writer.output_size = 0
        try:
            body = await request.read()
        except web.HTTPRequestEntityTooLarge:
            return _send(answers.empty(413))
        raw_path, _, raw_query = request.raw_path.partition("?")
        path = unquote(raw_path)
        cleaned = answers.clean_path(path)
        if cleaned != path:
            return _send(answers.moved(cleaned + ("?" + raw_query if raw_query else "")))
        invoke = _INVOKE.fullmatch(path)
        if invoke is not None:
            # The function gets what stood in the URL, still encoded, from the slash behind its name on.
            behind_name = raw_path.split("/", 3)[3:] or [quote(invoke[3] or "")]
            target = "/" + behind_name[0] if invoke[3] is not None else ""
            if raw_query:
                target += "?" + raw_query
            headers = strip_hop_by_hop(request.headers)
            host = headers.popone("Host", "")
            headers.popall("Expect", None)
            if invoke[1]:
                return _send(await self._enqueue(request.method, invoke[2], target, headers, body))
            target = target if target.startswith("/") else "/" + target
            peer = request.transport.get_extra_info("peername") if request.transport else None
            remote = f"{peer[0]}:{peer[1]}" if peer else ""
            # The scaler reads the name from the URL as it was sent, the router from the decoded one.
            sent = raw_path.split("/", 3)[2]
            name = sent if self.options.scale_from_zero and "%2f" in sent.lower() else invoke[2]
            answer = await self._proxy.call(Call(name, request.method, target, headers, body, host, remote))
            if answer.cut:
                if request.transport is not None:
                    request.transport.abort()
                return web.Response(status=502)
            return _send(answer)
        if path == "/system/logs" and request.method == "GET":
            return await self._logs(request)
        return _send(self._manage(request, path, body))

    async def _enqueue(self, method: str, name: str, target: str, headers: CIMultiDict[str], body: bytes) -> Answer:
        if method != "POST":
            return answers.empty(405)
        set_before = identify(headers)
        callback_url = headers.get("X-Callback-Url", "")
        try:
            answers.check_url(callback_url)
            if self.faults["call"].quiet:
                self.broker.publish(name, target, headers, body, callback_url)
            else:
                self.broker.check(body)
                task = asyncio.create_task(self._enqueue_with_faults(name, target, headers, body, callback_url))
                self._late.add(task)
                task.add_done_callback(self._late.discard)
            answer = answers.empty(202)
        except answers.UrlError as e:
            answer = answers.error(400, str(e))
        except QueueError as e:
            answer = answers.error(500, f"Error queuing request: {e}")
        answer.headers.extend(set_before)
        return answer

    async def _enqueue_with_faults(
        self, name: str, target: str, headers: CIMultiDict[str], body: bytes, callback_url: str
    ) -> None:
        faults = self.faults["call"]
        for _ in range(await faults.passes()):
            self.broker.publish(name, target, headers, body, callback_url)
        faults.passed()

    def _manage(self, request: web.BaseRequest, path: str, body: bytes) -> Answer:
        """Answer everything that is neither a function nor a stream."""
        method, query, management = request.method, request.query, self._management
        if path == "/":
            return answers.moved("/ui/", with_body=True) if method == "GET" else answers.empty(405)
        if path == "/healthz":
            return answers.empty(200 if method == "GET" else 405)
        allowed = self._methods(path)
        if allowed is None:
            return answers.not_found()
        if method not in allowed:
            return answers.empty(405)
        if not self._authorized(request.headers):
            refused = answers.written(401, "invalid credentials")
            refused.headers["WWW-Authenticate"] = 'Basic realm="Restricted"'
            return refused
        named = _SYSTEM.fullmatch(path)
        if named is not None:
            if named[1] == "function":
                return management.function(named[2], query)
            if named[1] == "scale-function":
                return management.scale(named[2], body)
            return management.namespace(method)
        match method, path:
            case "GET", "/system/functions":
                return management.list_functions(query)
            case "POST", "/system/functions":
                return management.deploy(body)
            case "PUT", "/system/functions":
                return management.update(body)
            case "DELETE", "/system/functions":
                return management.delete(body, query)
            case _, "/system/alert":
                return management.alert(body)
            case _, "/system/info":
                return management.info()
            case _, "/system/namespaces":
                return management.namespaces()
            case "GET", "/system/secrets":
                return management.list_secrets(query)
            case _, "/system/secrets":
                return management.change_secret(method, body)
            case _, _ if path.startswith("/localfaas/"):
                return self._extension(path, body)
        # DEVIATES: there is no web page here.
        answer = answers.not_found()
        answer.headers["Access-Control-Allow-Origin"] = "raw.githubusercontent.com"
        return answer

    def _methods(self, path: str) -> frozenset[str] | None:
        """Give the methods of a path of ours; None = no such path."""
        if (named := _SYSTEM.fullmatch(path)) is not None:
            if named[1] == "namespace":
                return frozenset({"GET", "POST", "PUT", "DELETE"})
            return {"function": _GET, "scale-function": _POST}[named[1]] if named[2] else None
        if path.startswith("/ui/"):
            return _GET
        return _PATHS.get(path)

    def _authorized(self, headers: Mapping[str, str]) -> bool:
        if self.options.basic_auth is None:
            return True
        expected = base64.b64encode(":".join(self.options.basic_auth).encode())
        scheme, _, given = headers.get("Authorization", "").partition(" ")
        return scheme.lower() == "basic" and hmac.compare_digest(given.strip().encode(), expected)

    async def _logs(self, request: web.BaseRequest) -> web.StreamResponse:
        if not self._authorized(request.headers):
            return _send(self._manage(request, "/system/info", b""))  # answers 401
        try:
            wanted = self._management.log_request(request.query)
        except RefusedError as e:
            return _send(e.answer)
        response = web.StreamResponse(headers={"Content-Type": "application/x-ndjson", "Server": "localfaas"})
        response.enable_chunked_encoding()
        await response.prepare(request)
        async for line in self._management.log_lines(wanted):
            await response.write(line)
        await response.write_eof()
        return response

    # Extensions: not OpenFaaS. They do to this gateway what an operator would do to pods.

    def _extension(self, path: str, body: bytes) -> Answer:
        try:
            wanted = msgspec.json.decode(body) if body else {}
        except msgspec.DecodeError as e:
            return answers.error(400, f"not JSON: {e}")
        match path:
            case "/localfaas/kill":
                return self._kill(wanted)
            case "/localfaas/worker/kill":
                return answers.json(200, {"busy": self.workers.kill()})
            case "/localfaas/broker/restart":
                return answers.json(200, {"lost": self.broker.restart()})
            case "/localfaas/targets":
                return answers.json(200, self._targets())
        return answers.json(
            200,
            {
                "backlog": self.broker.backlog,
                "pending": self.broker.pending,
                "redelivered": self.broker.redelivered,
                "dropped": self.broker.dropped,
                "workers": self.options.workers,
                "busy": self.workers.busy,
                "failed_callbacks": self.workers.failed_callbacks,
                "faults": {name: stream.counts for name, stream in self.faults.items()},
            },
        )

    def _targets(self) -> list[dict[str, Any]]:
        """Give each ready replica as Prometheus' HTTP service discovery wants it: the functions serve /metrics."""
        return [
            {
                "targets": [f"127.0.0.1:{replica.port}"],
                "labels": {"function_name": f"{name}.{NAMESPACE}", "pod": replica.instance},
            }
            for name, deployment in sorted(self.deployments.by_name.items())
            for replica in deployment.replicas.ready()
        ]

    def _kill(self, wanted: object) -> Answer:
        name = wanted.get("function") if isinstance(wanted, dict) else None
        if not isinstance(wanted, dict) or name not in self.deployments.by_name:
            return answers.error(404, f"no function {name}")
        replica = self.deployments.find(name, wanted.get("instance"))
        if replica is None:
            return answers.error(404, f"function {name} has no such running replica")
        if wanted.get("busy") and not replica.in_flight:
            return answers.error(409, f"function {name} has no call under way")
        killed = {"instance": replica.instance, "in_flight": replica.in_flight}
        replica.kill()
        return answers.json(200, killed)

    async def _answer_metrics(self, request: web.BaseRequest) -> web.StreamResponse:
        if request.path == "/healthz":
            return _send(answers.written(200, "OK") if request.method == "GET" else answers.empty(405))
        if request.path != "/metrics":
            return _send(answers.not_found())
        body = self._metrics.render(self._management.desired())
        return _send(Answer(200, body, CIMultiDict({"Content-Type": CONTENT_TYPE})))


_GET = frozenset({"GET"})
_POST = frozenset({"POST"})
_ALL = frozenset({"GET", "POST", "PUT", "DELETE"})
_PATHS = {
    "/system/info": _GET,
    "/system/alert": _POST,
    "/system/functions": _ALL,
    "/system/secrets": _ALL,
    "/system/logs": _GET,
    "/system/namespaces": _GET,
    "/localfaas/kill": _POST,
    "/localfaas/worker/kill": _POST,
    "/localfaas/broker/restart": _POST,
    "/localfaas/queue": _GET,
    "/localfaas/targets": _GET,
}


def _send(answer: Answer) -> web.Response:
    # Go sends no Server header; aiohttp sends one whatever we do, so it may as well be ours.
    answer.headers.setdefault("Server", "localfaas")
    return web.Response(status=answer.status, body=answer.body or None, headers=answer.headers)
