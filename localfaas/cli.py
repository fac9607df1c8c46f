"""The `localfaas` command."""

import argparse
import asyncio
import contextlib
import os
import re
import shutil
import signal
import sys
from collections.abc import Callable, Sequence
from pathlib import Path

from localfaas import faults, state
from localfaas.client import Client
from localfaas.durations import seconds
from localfaas.errors import LocalfaasError
from localfaas.gateway import Gateway
from localfaas.options import EDITIONS, Options


def _say(text: str) -> None:
    sys.stdout.write(text + "\n")
    sys.stdout.flush()


def _duration(text: str) -> float:
    try:
        return seconds(text)
    except ValueError as e:
        raise argparse.ArgumentTypeError(str(e)) from e


def _pair(kind: str) -> Callable[[str], tuple[str, str]]:
    def parse(text: str) -> tuple[str, str]:
        name, sign, value = text.partition("=")
        if not sign or not name:
            raise argparse.ArgumentTypeError(f"{text!r} is not {kind}")
        return name, value

    return parse


def _replicas(text: str) -> tuple[str, int]:
    name, count = _pair("FN=N")(text)
    if not count.isdecimal():
        raise argparse.ArgumentTypeError(f"{text!r} is not FN=N with a whole number")
    return name, int(count)


def _positive(text: str) -> int:
    if not text.isdecimal() or int(text) < 1:
        raise argparse.ArgumentTypeError(f"{text!r} is not a whole number above 0")
    return int(text)


def _port(text: str) -> int:
    if not text.isdecimal() or int(text) > 65535:
        raise argparse.ArgumentTypeError(f"{text!r} is not a port (0 to 65535, 0 = a free one)")
    return int(text)


def parser() -> argparse.ArgumentParser:
    """Describe the command line; its --help is the reference."""
    top = argparse.ArgumentParser(
        prog="localfaas",
        description="Run the functions of a stack.yml behind an OpenFaaS-compatible gateway on this machine.",
        epilog="Example: localfaas up -f stack.yml --workers 4   then, elsewhere: localfaas invoke mme-enb -d '{}'",
    )
    commands = top.add_subparsers(dest="command", required=True, metavar="COMMAND")
    common = argparse.ArgumentParser(add_help=False)
    common.add_argument(
        "--state",
        type=Path,
        default=state.DEFAULT_DIR,
        metavar="DIR",
        help="where the gateway leaves its address and password (default %(default)s)",
    )

    up = commands.add_parser(
        "up",
        parents=[common],
        help="start the gateway and the functions, until Ctrl-C",
        description="Build the functions of a stack file, start them and the gateway, print a table when all are ready "
        "and run until Ctrl-C or SIGTERM; everything that was started is stopped then.",
        epilog="Durations: 30, 30s, 1m5s, 250ms. Of a function's environment, exec_timeout and max_inflight are obeyed "
        "as of-watchdog would.",
    )
    up.add_argument("-f", "--yaml", type=Path, default=Path("stack.yml"), metavar="FILE", help="default %(default)s")
    up.add_argument(
        "--replicas",
        type=_replicas,
        action="append",
        default=[],
        metavar="FN=N",
        help="replicas at the start; repeatable",
    )
    up.add_argument(
        "--workers", type=_positive, default=1, metavar="W", help="async calls in flight (default 1, as in CE)"
    )
    up.add_argument("--port", type=_port, default=8080, metavar="P", help="default %(default)s; 0 = a free one")
    up.add_argument("--metrics-port", type=_port, metavar="P", help="default: --port + 2, or a free one")
    up.add_argument("--host", default="127.0.0.1", help="address to listen on (default %(default)s)")
    up.add_argument(
        "--edition", choices=sorted(EDITIONS), default="ce", help="ce: 5 replicas, 15 functions; classic: 20"
    )
    up.add_argument(
        "--secrets", type=Path, metavar="DIR", help="a file per secret that functions name in the stack file"
    )
    up.add_argument(
        "--env",
        type=_pair("K=V"),
        action="append",
        default=[],
        metavar="K=V",
        help="laid over every function's environment and used for ${K} in the stack file; repeatable",
    )
    auth = up.add_mutually_exclusive_group()
    auth.add_argument(
        "--basic-auth",
        metavar="USER:FILE",
        help="user and file with the password for /system/* (default: admin and a random one, kept in --state)",
    )
    auth.add_argument("--no-basic-auth", action="store_true", help="leave /system/* open to every user of this machine")
    up.add_argument(
        "--fault-plan", type=Path, metavar="FILE", help="lose, duplicate, delay, reorder; see docs/localfaas.md"
    )
    up.add_argument(
        "--ack-wait", type=_duration, default=60.0, metavar="T", help="async redelivery after (default 60s)"
    )
    up.add_argument("--upstream-timeout", type=_duration, default=60.0, metavar="T", help="502 after (default 60s)")
    up.add_argument("--provider-timeout", type=_duration, default=65.0, metavar="T", help="500 after (default 65s)")
    up.add_argument(
        "--write-timeout", type=_duration, default=65.0, metavar="T", help="drop a call that waits for a replica (65s)"
    )
    up.add_argument("--start-timeout", type=_duration, default=60.0, metavar="T", help="for a replica (default 60s)")
    up.add_argument("--drain", type=_duration, default=20.0, metavar="T", help="for calls in flight at a stop (20s)")
    up.add_argument("--no-scale-from-zero", action="store_true", help="503 at once when no replica is ready")
    up.add_argument(
        "--no-tickers",
        action="store_true",
        help="do not run the programs that functions name in their annotation edge.ticker: timers will not fire",
    )
    up.add_argument("--stop-with-stdin", action="store_true", help="also stop when standard input ends (for tests)")
    up.set_defaults(run=_up)

    invoke = commands.add_parser("invoke", parents=[common], help="call a function", description="Call a function.")
    invoke.add_argument("function", metavar="FN")
    invoke.add_argument("-d", "--data", default="", help="body; @FILE reads a file, - standard input")
    invoke.add_argument("--async", dest="asynchronous", action="store_true", help="queue it; prints the call id")
    invoke.add_argument("--callback", metavar="URL", help="X-Callback-Url of an --async call")
    invoke.add_argument("-H", "--header", type=_pair("NAME=VALUE"), action="append", default=[], metavar="NAME=VALUE")
    invoke.add_argument("--method", default="POST")
    invoke.add_argument("--path", default="", help="path and query behind the name, e.g. /a?b=c")
    invoke.set_defaults(run=_invoke)

    logs = commands.add_parser("logs", parents=[common], help="print a function's log lines")
    logs.add_argument("function", metavar="FN")
    logs.add_argument("--tail", type=int, metavar="N", help="only the last N lines")
    logs.add_argument("--follow", action="store_true", help="go on as lines come, until Ctrl-C")
    logs.set_defaults(run=_logs)

    listing = commands.add_parser("list", parents=[common], help="list functions with replicas and invocations")
    listing.set_defaults(run=_list)

    kill = commands.add_parser("kill", parents=[common], help="kill one replica without notice; another is started")
    kill.add_argument("function", metavar="FN")
    kill.add_argument("--instance", metavar="NAME", help="default: the replica with most calls in flight")
    kill.set_defaults(run=_kill)
    return top


def _credentials(args: argparse.Namespace) -> tuple[str, Path] | None:
    if args.no_basic_auth:
        return None
    if args.basic_auth is None:
        return "admin", state.new_password(args.state)
    user, colon, file = args.basic_auth.partition(":")
    if not colon or not user or not file:
        raise LocalfaasError(f"--basic-auth {args.basic_auth}: must be USER:FILE, a file with the password")
    return user, Path(file)


def _options(args: argparse.Namespace, credentials: tuple[str, Path] | None) -> Options:
    basic_auth = None
    if credentials is not None:
        user, file = credentials
        try:
            basic_auth = (user, file.read_text().strip())
        except OSError as e:
            raise LocalfaasError(f"--basic-auth: password file {file}: {e.strerror}") from e
    return Options(
        stack=args.yaml,
        host=args.host,
        port=args.port,
        metrics_port=args.metrics_port,
        edition=EDITIONS[args.edition],
        replicas=dict(args.replicas),
        workers=args.workers,
        env=dict(args.env),
        secrets_dir=args.secrets,
        work_dir=args.state / "run",
        basic_auth=basic_auth,
        scale_from_zero=not args.no_scale_from_zero,
        upstream_timeout_s=args.upstream_timeout,
        provider_timeout_s=args.provider_timeout,
        write_timeout_s=args.write_timeout,
        ack_wait_s=args.ack_wait,
        start_timeout_s=args.start_timeout,
        drain_s=args.drain,
        tickers=not args.no_tickers,
        faults=faults.load(args.fault_plan) if args.fault_plan else faults.FaultPlan(),
    )


def _table(rows: Sequence[Sequence[str]]) -> str:
    widths = [max(len(row[column]) for row in rows) for column in range(len(rows[0]))]
    return "\n".join(
        "  ".join(cell.ljust(width) for cell, width in zip(row, widths, strict=True)).rstrip() for row in rows
    )


def _up(args: argparse.Namespace) -> int:
    state.prepare(args.state)
    credentials = _credentials(args)
    options = _options(args, credentials)
    run_dir = args.state / "run"
    shutil.rmtree(run_dir, ignore_errors=True)
    try:
        return asyncio.run(_serve(args, options, credentials))
    finally:
        state.remove(args.state)
        shutil.rmtree(run_dir, ignore_errors=True)  # it holds copies of secrets


async def _serve(args: argparse.Namespace, options: Options, credentials: tuple[str, Path] | None) -> int:
    loop = asyncio.get_running_loop()
    stop = asyncio.Event()
    for signum in (signal.SIGINT, signal.SIGTERM):
        loop.add_signal_handler(signum, stop.set)
    if args.stop_with_stdin:
        loop.add_reader(sys.stdin.fileno(), lambda: None if os.read(sys.stdin.fileno(), 4096) else stop.set())
    stopped = asyncio.create_task(stop.wait())
    gateway = Gateway(options)
    starting = asyncio.create_task(gateway.__aenter__())
    await asyncio.wait((starting, stopped), return_when=asyncio.FIRST_COMPLETED)
    if args.stop_with_stdin and stop.is_set():
        loop.remove_reader(sys.stdin.fileno())
    if not starting.done():
        starting.cancel()
        with contextlib.suppress(asyncio.CancelledError):
            await starting
        return 130
    starting.result()
    try:
        found = state.State(
            pid=os.getpid(),
            url=gateway.url,
            metrics_url=gateway.metrics_url,
            stack=str(args.yaml.resolve()),
            user=credentials[0] if credentials else "",
            password_file=str(credentials[1].resolve()) if credentials else "",
        )
        rows = [("FUNCTION", "REPLICAS", "URL")]
        for name, deployment in sorted(gateway.deployments.by_name.items()):
            rows.append((name, str(deployment.replicas.desired), f"{gateway.url}/function/{name}"))
        _say(_table(rows))
        _say(f"\nasync: {gateway.url}/async-function/FN, {options.workers} worker(s)   metrics: {gateway.metrics_url}")
        for ticker in gateway.tickers:
            _say(f"ticker: {ticker.module}")
        if credentials:
            _say(f"/system/*: user {found.user}, password in {found.password_file}")
        _say("Stop with Ctrl-C.")
        state.write(args.state, found)
        await stop.wait()
        if args.stop_with_stdin:
            loop.remove_reader(sys.stdin.fileno())
    finally:
        await gateway.__aexit__(None, None, None)
    return 0


def _client(args: argparse.Namespace) -> Client:
    found = state.find(args.state)
    try:
        return Client(found.url, found.auth())
    except OSError as e:
        raise LocalfaasError(f"password file {found.password_file}: {e.strerror}") from e


def _data(text: str) -> bytes:
    if text == "-":
        return sys.stdin.buffer.read()
    if text.startswith("@"):
        try:
            return Path(text[1:]).read_bytes()
        except OSError as e:
            raise LocalfaasError(f"--data {text}: {e.strerror}") from e
    return text.encode()


def _invoke(args: argparse.Namespace) -> int:
    headers = dict(args.header)
    if args.callback:
        if not args.asynchronous:
            raise LocalfaasError("--callback goes with --async")
        headers["X-Callback-Url"] = args.callback
    if not re.fullmatch(r"(/.*|\?.*)?", args.path):
        raise LocalfaasError(f"--path {args.path}: must begin with / or ?")
    response = _client(args).invoke(
        args.function,
        _data(args.data),
        headers=headers,
        method=args.method,
        path=args.path,
        asynchronous=args.asynchronous,
    )
    sys.stdout.buffer.write(response.body)
    sys.stdout.buffer.flush()
    if args.asynchronous and response.status == 202:
        _say(response.headers.get("X-Call-Id") or headers.get("X-Call-Id", ""))
    if response.status >= 300:
        sys.stderr.write(f"\nlocalfaas: {args.function} answered {response.status}\n")
        return 1
    return 0


def _logs(args: argparse.Namespace) -> int:
    try:
        for line in _client(args).logs(args.function, tail=args.tail, follow=args.follow):
            _say(f"{line['timestamp']} {line['instance']} {line['text']}")
    except (KeyboardInterrupt, ConnectionError):
        pass  # the reader, or the gateway, has ended
    return 0


def _list(args: argparse.Namespace) -> int:
    rows = [("FUNCTION", "READY", "INVOCATIONS", "IMAGE")]
    for status in _client(args).manage("GET", "/system/functions"):
        ready = f"{status.get('availableReplicas', 0)}/{status.get('replicas', 0)}"
        rows.append((status["name"], ready, str(status.get("invocationCount", 0)), status["image"]))
    _say(_table(rows))
    return 0


def _kill(args: argparse.Namespace) -> int:
    killed = _client(args).kill(args.function, args.instance)
    _say(f"killed {killed['instance']} with {killed['in_flight']} call(s) in flight")
    return 0


def main(argv: Sequence[str] | None = None) -> int:
    """Run the command; return its exit code: 0, 1 with one line on stderr, 2 for a wrong command line."""
    args = parser().parse_args(argv)
    try:
        code: int = args.run(args)
    except LocalfaasError as e:
        sys.stderr.write(f"localfaas: {e}\n")
        return 1
    except KeyboardInterrupt:
        return 130
    return code
