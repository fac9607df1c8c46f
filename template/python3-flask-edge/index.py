"""Serve one OpenFaaS function: HTTP from the watchdog in, handler.handle(event, context), HTTP out.

Environment, all optional:
  PORT             port on 127.0.0.1, default 5000; 0 = any free one (its number is the readiness lock's content)
  READY_LOCK       file written once the handler serves, removed on SIGTERM; default /tmp/.lock, as /_/health wants
  READY_WITHIN_S   seconds after which it is written although the handler is still being imported; default 0 = never
  WAITRESS_THREADS calls handled at the same time, default 4
  DRAIN_DELAY_S    seconds to go on accepting after SIGTERM, default 0
  DRAIN_TIMEOUT_S  seconds to wait for held requests after that, default 20

handler.py: handle(event, context) with event.body (bytes), .headers (case-insensitive), .method, .query, .path.
It returns None (200, empty) | (body, status[, headers]) | {"statusCode", "body", "headers"}; body is bytes, str, None,
or a dict or list (sent as JSON). Without a Content-Type of its own the answer gets the gateway's rule.

stderr is the log, one JSON object a line: also what libraries log, warnings, and what ends a thread or the process.
"""

# The first thing done is to listen: the watchdog answers /_/health before Python does, and what is sent until then must
# wait in the backlog instead of being refused. Hence nothing slow is imported above this block.
import os
import socket
import threading

BACKLOG = 2048
READY_LOCK = os.environ.get("READY_LOCK", "/tmp/.lock")  # noqa: S108 - the watchdog's own choice
listener = socket.socket(socket.AF_INET, socket.SOCK_STREAM)


def say_ready() -> None:
    """Write the lock. It appears under its name only when complete, because its readers poll."""
    partial = f"{READY_LOCK}.{os.getpid()}"
    with open(partial, "w") as file:  # noqa: PTH123 - pathlib is slow to import
        file.write(str(listener.getsockname()[1]))
    os.replace(partial, READY_LOCK)  # noqa: PTH105


# OpenFaaS asks /_/health for liveness, too, and kills a container that has no lock about 6 s after its start: on a busy
# node in the middle of its imports, again and again. A container that says ready early keeps its calls waiting instead.
early = threading.Timer(float(os.environ.get("READY_WITHIN_S", "0")), say_ready)
early.daemon = True

if __name__ == "__main__":
    # What a killed container left: /tmp is the pod's.
    if os.path.exists(READY_LOCK):  # noqa: PTH110
        os.unlink(READY_LOCK)  # noqa: PTH108
    listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
    listener.bind(("127.0.0.1", int(os.environ.get("PORT", "5000"))))
    listener.listen(BACKLOG)
    if early.interval:
        early.start()

import contextlib  # noqa: E402
import json  # noqa: E402
import logging  # noqa: E402
import signal  # noqa: E402
import sys  # noqa: E402
import time  # noqa: E402
import traceback  # noqa: E402
from types import FrameType, TracebackType  # noqa: E402
from typing import Any  # noqa: E402


def write_line(level: str, event: str, **fields: object) -> None:
    """Write one line of the log."""
    line = {"ts": round(time.time(), 3), "level": level, "event": event, **fields}
    sys.stderr.write(json.dumps(line) + "\n")
    sys.stderr.flush()


class Lines(logging.Handler):
    """What libraries log; without it their warnings and errors would be bare text, and tracebacks many lines."""

    def emit(self, record: logging.LogRecord) -> None:
        """Write one line. What does not fit its own arguments is said as it stands: it must not break the call."""
        try:
            try:
                event = record.getMessage()
            except Exception:  # noqa: BLE001 - whatever an argument raises when it is made text
                event = str(record.msg)
            fields = {"traceback": "".join(traceback.format_exception(*record.exc_info))} if record.exc_info else {}
            write_line(record.levelname.lower(), event, logger=record.name, **fields)
        except Exception:  # noqa: BLE001 - nor may it where there is no text of it at all
            self.handleError(record)


def log_uncaught(
    kind: type[BaseException], error: BaseException | None, frames: TracebackType | None, **fields: object
) -> None:
    """Write what ended the process, a thread (never by SystemExit, which is an end as wanted) or a finalizer."""
    if not issubclass(kind, SystemExit):
        text = "".join(traceback.format_exception(kind, error, frames))
        write_line("error", "uncaught exception", **fields, traceback=text)


def log_in_lines() -> None:
    """Make lines of all that would be text otherwise."""
    logging.getLogger().addHandler(Lines())
    logging.captureWarnings(True)
    sys.excepthook = log_uncaught
    threading.excepthook = lambda of: log_uncaught(
        of.exc_type, of.exc_value, of.exc_traceback, thread=of.thread.name if of.thread else None
    )
    sys.unraisablehook = lambda of: log_uncaught(of.exc_type, of.exc_value, of.exc_traceback)


if __name__ == "__main__":
    log_in_lines()

import prometheus_client  # noqa: E402
from flask import Flask, Request, Response, request  # noqa: E402
from waitress import wasyncore  # noqa: E402
from waitress.server import TcpWSGIServer, create_server  # noqa: E402

MAX_BODY_BYTES = 1 << 20
METHODS = ["GET", "POST", "PUT", "PATCH", "DELETE", "OPTIONS", "HEAD"]

try:
    import handler
except BaseException:  # noqa: BLE001 - whatever it is, its traceback helps, and the exit code tells the watchdog
    write_line("error", "handler cannot be imported", traceback=traceback.format_exc())
    sys.exit(1)


class Event:
    """One call. body: bytes as sent. headers: case-insensitive mapping. query: multi-dict. path: from "/" on."""

    __slots__ = ("body", "headers", "method", "path", "query")

    def __init__(self, received: Request) -> None:
        self.body: bytes = received.get_data(cache=False)
        self.headers = received.headers
        self.method = received.method
        self.path = received.path
        self.query = received.args


class Context:
    """Where the call runs. hostname: name of the pod or replica."""

    __slots__ = ("hostname",)

    def __init__(self) -> None:
        self.hostname = os.environ.get("HOSTNAME", "localhost")


def to_response(result: Any) -> Response:
    """Turn what a handler returned into a response, without touching bytes.

    Raises: TypeError for a shape the contract above does not name; the caller sees 500 like for any error of a handler.
    """
    status: int = 200
    headers: Any = None
    if result is None:
        body: Any = b""
    elif isinstance(result, tuple):
        if len(result) not in (2, 3):
            raise TypeError(f"handle() returned a tuple of {len(result)}, not (body, status[, headers])")
        body, status = result[:2]
        headers = result[2] if len(result) == 3 else None
    elif isinstance(result, dict):
        body, status, headers = result.get("body", b""), result.get("statusCode", 200), result.get("headers")
    else:
        raise TypeError(f"handle() returned {type(result).__name__}, not None, a tuple or a dict")

    content_type = None
    if body is None:
        body = b""
    elif isinstance(body, dict | list):
        body, content_type = json.dumps(body, separators=(",", ":")).encode(), "application/json"
    elif isinstance(body, str):
        body = body.encode()
    elif not isinstance(body, bytes | bytearray):
        raise TypeError(f"handle() returned a body of type {type(body).__name__}")
    response = Response(bytes(body), status=int(status))
    # Flask's own default would be text/html, and would hide the gateway's rule for functions that name no type.
    del response.headers["Content-Type"]
    response.headers.extend(headers or {})
    if content_type is not None and "Content-Type" not in response.headers:
        response.headers["Content-Type"] = content_type
    return response


def log_error(received: Request) -> None:
    """Write the exception at hand. `trace` is not its name: that is an item's way through the functions."""
    write_line(
        "error",
        "handler raised",
        method=received.method,
        path=received.path,
        call_id=received.headers.get("X-Call-Id", ""),
        traceback=traceback.format_exc(),
    )


app = Flask(__name__, static_folder=None)
app.url_map.merge_slashes = False  # the path belongs to the handler


@app.get("/metrics")
def metrics() -> Response:
    """Answer this process's metrics; the handler never sees this path.

    Only to who reaches the pod itself, as Prometheus does.  Through the gateway, which adds X-Start-Time to every call,
    comes anybody: without a signature it would show what the function does, and count for its growth.
    """
    if "X-Start-Time" in request.headers:
        return Response(b"", status=404)
    return Response(prometheus_client.generate_latest(), content_type=prometheus_client.CONTENT_TYPE_LATEST)


@app.route("/", defaults={"path": ""}, methods=METHODS, provide_automatic_options=False)
@app.route("/<path:path>", methods=METHODS, provide_automatic_options=False)
def call(path: str) -> Response:
    """Run the handler. An exception is logged and answered by 500 without a word of it."""
    if path == "metrics":
        return Response(b"", status=405, headers={"Allow": "GET, HEAD"})
    try:
        return to_response(handler.handle(Event(request), Context()))
    except Exception:  # noqa: BLE001 - the boundary of the process: nothing above could do better
        log_error(request)
        return Response(b"", status=500, content_type="text/plain; charset=utf-8")


def accept_waiting(server: TcpWSGIServer) -> None:
    """Take what the kernel has accepted already: closing the listener would reset those connections."""
    waiting = True
    while waiting:
        before = len(server.active_channels)
        server.handle_accept()
        waiting = len(server.active_channels) > before


def held(server: TcpWSGIServer) -> int:
    """Count connections with a request being received, handled or answered."""
    channels = list(server.active_channels.values())
    return sum(1 for c in channels if c.requests or c.request is not None or c.total_outbufs_len)


def serve(sock: socket.socket) -> None:
    """Serve until SIGTERM, then finish what is held and return, DRAIN_DELAY_S + DRAIN_TIMEOUT_S later at most."""
    # "Task queue depth" once per queued request is waitress's way to log load; metrics tell it better.
    logging.getLogger("waitress.queue").setLevel(logging.ERROR)
    sockets: dict[int, Any] = {}
    server = create_server(
        app,
        map=sockets,
        sockets=[sock],
        threads=int(os.environ.get("WAITRESS_THREADS", "4")),
        backlog=BACKLOG,
        connection_limit=1000,
        channel_timeout=300,  # longer than any caller keeps an idle connection, so that it is never us who drop one
        max_request_body_size=MAX_BODY_BYTES + 1,  # waitress refuses the limit itself
        clear_untrusted_proxy_headers=False,  # X-Forwarded-* come from the gateway, and the handler may want them
        asyncore_use_poll=True,
    )
    stopping = False

    def on_sigterm(_signum: int, _frame: FrameType | None) -> None:
        nonlocal stopping
        stopping = True
        server.pull_trigger()  # or the poll below would sleep its second out

    signal.signal(signal.SIGTERM, on_sigterm)
    early.cancel()
    if early.ident is not None:
        early.join()
    say_ready()

    while not stopping:
        wasyncore.poll2(1.0, sockets)
    with contextlib.suppress(FileNotFoundError):
        os.unlink(READY_LOCK)  # noqa: PTH108
    accept_until = time.monotonic() + float(os.environ.get("DRAIN_DELAY_S", "0"))
    while (left := accept_until - time.monotonic()) > 0:
        wasyncore.poll2(min(left, 1.0), sockets)
    give_up = time.monotonic() + float(os.environ.get("DRAIN_TIMEOUT_S", "20"))
    accept_waiting(server)
    server.accepting = False
    server.del_channel(sockets)
    sock.close()
    # Two empty looks in a row, with a read between them: a request may sit in a socket nobody has read from yet.
    empty = 0
    while empty < 2 and time.monotonic() < give_up:
        wasyncore.poll2(0.02, sockets)
        empty = 0 if held(server) else empty + 1


if __name__ == "__main__":
    serve(listener)
    # Not sys.exit: threads of a handler that hangs past the time limit must not keep the process.
    sys.stdout.flush()
    sys.stderr.flush()
    os._exit(0)
