"""Command line and environment of the agent.  Every option has a variable: --status-port is RELOAD_STATUS_PORT."""

from __future__ import annotations

import argparse
import json
import shlex
import signal
from dataclasses import dataclass
from pathlib import Path
from typing import Mapping, Optional, Sequence, Tuple

from reload.agent.core import Plan, Policy

DESCRIPTION = """Keep a daemon on the last good configuration, and make it take a changed ConfigMap without a new pod.

  wrapper   auto-reload --config /reload/config --effective /etc/app --policy signal -- /usr/sbin/app -c /etc/app/a.conf
  sidecar   auto-reload --sidecar --target-name app --config /reload/config --effective /etc/app --policy signal
  once      auto-reload --once --config /reload/config --effective /etc/app      (init container of the sidecar's pod)

The daemon reads the effective directory, never the mounted one: it holds the last configuration that passed the check.
"""


class SettingsError(Exception):
    """A setting is missing or wrong: exit code 2."""


@dataclass(frozen=True)
class Settings:
    """What the agent was started with.  checks: argvs, "{dir}" in them is the staged copy."""

    plan: Plan
    config: Path
    effective: Path
    command: Tuple[str, ...]
    once: bool
    checks: Tuple[Tuple[str, ...], ...]
    schemas: Tuple[Tuple[str, str], ...]
    check_timeout_s: float
    signal_number: int
    stop_signal: int
    target_name: str
    target_pid_file: Optional[Path]
    http_url: str
    http_method: str
    http_timeout_s: float
    poll_s: float
    status_host: str
    status_port: int
    events: bool


def read(arguments: Sequence[str], environment: Mapping[str, str]) -> Settings:
    """Settings from the command line, and from RELOAD_* where an option is not given.  Raises SettingsError."""
    arguments = list(arguments)
    split = arguments.index("--") if "--" in arguments else len(arguments)
    options = _parser(environment).parse_args(arguments[:split])
    command = tuple(arguments[split + 1 :])
    policy = Policy(options.policy)
    sidecar = _truth(options.sidecar)
    once = _truth(options.once)
    if not options.config or not options.effective:
        raise SettingsError("--config and --effective are needed: the mounted directory, and the one the daemon reads")
    if (sidecar or once) and command:
        raise SettingsError("a sidecar starts no daemon: give either --sidecar or a command after --, not both")
    if not (sidecar or once or command):
        raise SettingsError(
            "no daemon: give its command after --, or --sidecar with --target-name or --target-pid-file"
        )
    if sidecar and policy is Policy.RESTART:
        raise SettingsError(
            "policy restart is for the wrapper only: a sidecar that ended another container's main process would make"
            " kubelet restart that container; use signal or http, or put auto-reload into the daemon's image"
        )
    if sidecar and policy is Policy.SIGNAL and not (options.target_name or options.target_pid_file):
        raise SettingsError("a sidecar with policy signal needs --target-name or --target-pid-file")
    if policy is Policy.HTTP and not options.http_url.startswith(("http://", "https://")):
        raise SettingsError("policy http needs --http-url http://…")
    # An init container has nobody to tell: the daemon starts after it.  It runs again where a pod is set up anew.
    policy = Policy.NONE if once else policy
    plan = Plan(policy, not (sidecar or once), options.debounce_ms, int(options.grace_s * 1000), options.prove_ms)
    return Settings(
        plan=plan,
        config=Path(options.config),
        effective=Path(options.effective),
        command=command,
        once=once,
        checks=tuple(_argv(text) for text in options.check),
        schemas=tuple(_pair(text) for text in options.schema),
        check_timeout_s=options.check_timeout_s,
        signal_number=_signal(options.signal),
        stop_signal=_signal(options.stop_signal),
        target_name=options.target_name,
        target_pid_file=Path(options.target_pid_file) if options.target_pid_file else None,
        http_url=options.http_url,
        http_method=options.http_method,
        http_timeout_s=options.http_timeout_s,
        poll_s=options.poll_s,
        status_host=options.status_host,
        status_port=options.status_port,
        events=_truth(options.events),
    )


class _Parser(argparse.ArgumentParser):
    def error(self, message: str) -> None:  # type: ignore[override]
        raise SettingsError(message)


def _parser(environment: Mapping[str, str]) -> argparse.ArgumentParser:
    parser = _Parser(
        prog="auto-reload", description=DESCRIPTION, formatter_class=argparse.RawDescriptionHelpFormatter, add_help=True
    )

    def option(name: str, default: str, text: str, **more: object) -> None:
        value = environment.get("RELOAD_" + name.upper().replace("-", "_"), default)
        parser.add_argument("--" + name, default=value, help=f"{text} (default: {default or 'none'})", **more)  # type: ignore[arg-type]

    def several(name: str, text: str) -> None:
        given = environment.get("RELOAD_" + name.upper(), "")
        parser.add_argument("--" + name, action="append", default=given.splitlines() if given else [], help=text)

    option("config", "", "the directory that the ConfigMap is mounted at")
    option("effective", "", "the directory that the daemon reads; an emptyDir, kept over restarts of the container")
    option("policy", "none", "none, signal, http or restart", choices=[policy.value for policy in Policy])
    option("signal", "HUP", "policy signal: which")
    option("stop-signal", "TERM", "policy restart: what asks the daemon to end")
    option("grace-s", "10", "policy restart: seconds until it is killed", type=_positive)
    option("http-url", "", "policy http: where to")
    option("http-method", "POST", "policy http: GET, POST or PUT", choices=["GET", "POST", "PUT"])
    option("http-timeout-s", "5", "policy http: seconds", type=_positive)
    option("prove-ms", "300", "how long the daemon must live after a change until it counts as applied", type=_count)
    several("check", 'command that refuses a bad copy, e.g. "nginx -t -c {dir}/nginx.conf"; repeatable; no shell')
    several("schema", "FILE=SCHEMA: a JSON schema for a JSON or YAML file; repeatable")
    option("check-timeout-s", "10", "seconds a check may take", type=_positive)
    option("debounce-ms", "100", "how long changes must rest", type=_count)
    option("poll-s", "2", "how often to look when inotify is out of instances", type=_positive)
    option("status-host", "", "address for /status, /metrics and /healthz; none = all")
    option("status-port", "9797", "port for them; 0 = any free one", type=_count)
    option("target-name", "", "sidecar: name of the daemon's process in the shared namespace")
    option("target-pid-file", "", "sidecar: file with its pid")
    for flag, text in (
        ("sidecar", "run beside the daemon, in a pod with shareProcessNamespace"),
        ("once", "fill the effective directory and end: an init container"),
        ("events", "write Kubernetes events with the pod's service account (POD_NAME, POD_UID)"),
    ):
        parser.add_argument("--" + flag, action="store_const", const="true", help=text)
        parser.set_defaults(**{flag: environment.get("RELOAD_" + flag.upper(), "")})
    return parser


def _truth(text: str) -> bool:
    if text in ("", "false", "0", "no"):
        return False
    if text in ("true", "1", "yes"):
        return True
    raise SettingsError(f"{text!r} is neither true nor false")


def _positive(text: str) -> float:
    number = float(text)
    if not 0 < number <= 3600:
        raise argparse.ArgumentTypeError("must be above 0 and at most 3600")
    return number


def _count(text: str) -> int:
    number = int(text)
    if not 0 <= number <= 65535:
        raise argparse.ArgumentTypeError("must be 0 to 65535")
    return number


def _signal(text: str) -> int:
    """HUP, SIGHUP or 1."""
    try:
        number = int(text) if text.isdecimal() else signal.Signals["SIG" + text.upper().replace("SIG", "", 1)].value
        return int(signal.Signals(number).value)
    except (KeyError, ValueError):
        raise SettingsError(f"no signal is called {text!r}: HUP, USR1, TERM …") from None


def _argv(text: str) -> tuple[str, ...]:
    """A JSON array, or words as a shell would split them."""
    try:
        words = json.loads(text) if text.lstrip().startswith("[") else shlex.split(text)
    except ValueError as e:
        raise SettingsError(f"--check {text!r}: {e}") from None
    if not words or not all(isinstance(word, str) for word in words):
        raise SettingsError(f"--check {text!r} is no command")
    return tuple(words)


def _pair(text: str) -> tuple[str, str]:
    name, mark, schema = text.partition("=")
    if not (name and mark and schema):
        raise SettingsError(f"--schema {text!r} is not FILE=SCHEMA")
    return name, schema
