"""What the agent tells: GET /status (JSON), /metrics (Prometheus text), /healthz.  Never a file's content."""

from __future__ import annotations

import json
import sys
import threading
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any, Callable, Dict, Tuple

from reload.agent.core import Phase, State, Verdict

ALIVE_S = 30.0
_JUDGING = (Phase.CHECKING, Phase.ACTING, Phase.PROVING, Phase.STOPPING)


@dataclass
class Counters:
    """Counted by the loop, read by the server."""

    verdicts: Dict[str, int] = field(default_factory=lambda: {v.value: 0 for v in Verdict if v is not Verdict.STARTING})
    daemon_starts: int = 0
    reaped: int = 0
    events_lost: int = 0
    polling: bool = False
    last_apply_s: float = 0.0


@dataclass(frozen=True)
class Snapshot:
    """One moment.  wall_ms: Unix milliseconds of the state's zero."""

    state: State
    counters: Counters
    wall_ms: int
    mode: str
    beat_s: float


def status(snapshot: Snapshot) -> Dict[str, Any]:
    """The body of /status."""
    state = snapshot.state
    verdict, reason = state.verdict, state.reason
    if state.phase in _JUDGING and verdict in (Verdict.APPLIED, Verdict.REJECTED, Verdict.FAILED):
        # That was the verdict on the candidate before.
        verdict, reason = Verdict.WAITING, ""
    return {
        "digest": state.applied,
        "candidate": state.candidate,
        "verdict": verdict.value,
        "reason": reason,
        "policy": state.plan.policy.value,
        "mode": snapshot.mode,
        "phase": state.phase.value,
        "generation": state.generation,
        "daemon_running": state.running if state.plan.wrapper else None,
        "watch": "poll" if snapshot.counters.polling else "inotify",
        "seen_ms": state.seen_ms + snapshot.wall_ms if state.seen_ms else None,
        "applied_ms": state.applied_ms + snapshot.wall_ms if state.applied_ms else None,
        "apply_s": round(snapshot.counters.last_apply_s, 3),
    }


def metrics(snapshot: Snapshot) -> str:
    """The body of /metrics, in Prometheus's text format 0.0.4."""
    state, counters = snapshot.state, snapshot.counters
    lines = []

    def family(name: str, kind: str, text: str, *samples: Tuple[str, float]) -> None:
        lines.append(f"# HELP {name} {text}")
        lines.append(f"# TYPE {name} {kind}")
        lines.extend(f"{name}{labels} {value:g}" for labels, value in samples)

    family(
        "reload_verdicts_total",
        "counter",
        "Candidates by what became of them.",
        *((f'{{verdict="{verdict}"}}', count) for verdict, count in sorted(counters.verdicts.items())),
    )
    bad = state.verdict in (Verdict.REJECTED, Verdict.FAILED, Verdict.WAITING)
    family(
        "reload_on_last_good", "gauge", "1 while the newest configuration is not what the daemon runs with.", ("", bad)
    )
    applied_s = (state.applied_ms + snapshot.wall_ms) / 1000 if state.applied_ms else 0
    lines.append("# HELP reload_last_applied_timestamp_seconds When a configuration was applied last.")
    lines.append("# TYPE reload_last_applied_timestamp_seconds gauge")
    lines.append(f"reload_last_applied_timestamp_seconds {applied_s:.3f}")
    family("reload_last_apply_seconds", "gauge", "From seeing it to having it applied.", ("", counters.last_apply_s))
    family(
        "reload_daemon_starts_total", "counter", "Starts of the daemon by the wrapper.", ("", counters.daemon_starts)
    )
    family("reload_reaped_total", "counter", "Orphans reaped as process 1.", ("", counters.reaped))
    family("reload_events_lost_total", "counter", "Kubernetes events that were not taken.", ("", counters.events_lost))
    family("reload_polling", "gauge", "1 while inotify is out of instances.", ("", counters.polling))
    family("reload_config_info", "gauge", "The digest that the daemon runs with.", (f'{{digest="{state.applied}"}}', 1))
    return "\n".join(lines) + "\n"


def health(snapshot: Snapshot, now_s: float) -> Tuple[int, str]:
    """Status and sentence of /healthz: the loop turns, and the daemon has a good configuration to run with."""
    if now_s - snapshot.beat_s > ALIVE_S:
        return 503, f"the agent has not looked for {ALIVE_S:.0f} s"
    if not snapshot.state.placed:
        return 503, snapshot.state.reason or "no configuration has been applied yet"
    if snapshot.state.plan.wrapper and not snapshot.state.running:
        return 503, "the daemon does not run"
    return 200, "ok"


class _Server(ThreadingHTTPServer):
    daemon_threads = True

    def handle_error(self, request: Any, client_address: Any) -> None:
        """Write what broke a connection, as socketserver does; but not that a client went away."""
        if not isinstance(sys.exc_info()[1], ConnectionError):
            super().handle_error(request, client_address)


class Server:
    """Serves on a thread of its own.  port: where, once it is open.  Raises OSError."""

    def __init__(self, host: str, port: int, look: Callable[[], Snapshot], clock: Callable[[], float]) -> None:
        class Handler(BaseHTTPRequestHandler):
            timeout = 5
            server_version = "auto-reload"
            sys_version = ""

            def do_GET(self) -> None:
                snapshot = look()
                if self.path == "/status":
                    self._answer(200, json.dumps(status(snapshot)) + "\n", "application/json")
                elif self.path == "/metrics":
                    self._answer(200, metrics(snapshot), "text/plain; version=0.0.4; charset=utf-8")
                elif self.path == "/healthz":
                    code, text = health(snapshot, clock())
                    self._answer(code, text + "\n", "text/plain; charset=utf-8")
                else:
                    self._answer(404, "here are /status, /metrics and /healthz\n", "text/plain; charset=utf-8")

            def _answer(self, code: int, text: str, kind: str) -> None:
                body = text.encode()
                self.send_response(code)
                self.send_header("Content-Type", kind)
                self.send_header("Content-Length", str(len(body)))
                self.end_headers()
                self.wfile.write(body)

            def log_message(self, format: str, *args: object) -> None:
                """Probes come every few seconds: nobody reads them."""

        self._server = _Server((host, port), Handler)
        self.port = int(self._server.server_address[1])
        threading.Thread(target=self._server.serve_forever, daemon=True, name="status").start()

    def close(self) -> None:
        """Stop listening."""
        self._server.shutdown()
        self._server.server_close()
