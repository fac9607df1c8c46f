"""The loop around `core.decide`: one thread that owns the children; what may block runs elsewhere and reports back."""

from __future__ import annotations

import contextlib
import ctypes
import errno
import http.client
import json
import os
import queue
import select
import signal
import subprocess
import sys
import tempfile
import threading
import time
import urllib.error
import urllib.request
from pathlib import Path
from types import FrameType
from typing import IO, Callable, Dict, List, Mapping, Optional, Sequence, Tuple

from reload.agent import core, events, process_group, settings, target, volume
from reload.agent.digest import digest_of
from reload.agent.inotify import Inotify
from reload.agent.settings import Settings, SettingsError
from reload.agent.status import Counters, Server, Snapshot

_UNCATCHABLE = ("KILL", "STOP")
_OWN_FAULTS = ("SEGV", "BUS", "FPE", "ILL", "TRAP", "SYS", "ABRT")  # a handler would return into the fault
_OWN_LIMITS = ("PIPE", "XCPU", "XFSZ")  # the kernel's word on what this process did, not the daemon
_OWN_JOBS = ("CHLD", "TSTP")  # whoever types Ctrl-Z wants the shell back: an agent that went on could not be left
_KEPT = {getattr(signal, "SIG" + name) for name in (*_UNCATCHABLE, *_OWN_FAULTS, *_OWN_LIMITS, *_OWN_JOBS)}
FORWARDED = tuple(sorted(int(number) for number in signal.valid_signals() - _KEPT))  # with SIGRTMIN to SIGRTMAX
ENDING = (signal.SIGTERM, signal.SIGINT, signal.SIGQUIT)
LOOK_ANYWAY_S = 10.0  # a watch that fell silent costs this much, never a lost change
_SUBREAPER = 36  # PR_SET_CHILD_SUBREAPER, prctl(2)
_OUTPUT_OCTETS = 4096
CANNOT_START = 127


class _Check:
    """The checks of one candidate, one child after the other, under one time limit."""

    def __init__(self, argvs: Sequence[Sequence[str]], until_s: float) -> None:
        self.left = list(argvs)
        self.until_s = until_s
        self.process: Optional[subprocess.Popen[bytes]] = None
        self.output: Optional[IO[bytes]] = None
        self.late = False


class Agent:
    """Runs until the daemon ends, or a signal says so."""

    def __init__(self, chosen: Settings, environment: Mapping[str, str], say: Callable[[str], None]) -> None:
        self._settings = chosen
        self._say = say
        self._state = core.State(chosen.plan)
        self._counters = Counters()
        self._effective = volume.Effective(chosen.effective)
        self._writer = events.Writer.from_pod(environment) if chosen.events else None
        self._reports: queue.Queue[Tuple[core.Report, int]] = queue.Queue(64)
        self._seen: queue.SimpleQueue[Tuple[int, core.Acted]] = queue.SimpleQueue()
        self._asked = 0
        self._signals: List[int] = []
        self._check: Optional[_Check] = None
        self._daemon: Optional[subprocess.Popen[bytes]] = None
        self._group: Optional[int] = None
        self._told: Optional[target.Found] = None
        self._version: Optional[str] = None
        self._inotify: Optional[Inotify] = None
        self._looked_s = 0.0
        self._exit: Optional[int] = None
        self._zero_s = time.monotonic() - 1
        self._wall_ms = int((time.time() - (time.monotonic() - self._zero_s)) * 1000)
        self._beat_s = time.monotonic()
        self._wake_read, self._wake_write = os.pipe()
        os.set_blocking(self._wake_read, False)
        os.set_blocking(self._wake_write, False)

    def snapshot(self) -> Snapshot:
        """For the status server."""
        mode = "wrapper" if self._settings.plan.wrapper else "sidecar"
        return Snapshot(self._state, self._counters, self._wall_ms, mode, self._beat_s)

    def run(self) -> int:
        """The exit code.  Raises SettingsError for a directory that can never change, OSError for one of ours."""
        volume.require_updatable(self._settings.config, Path("/proc/self/mountinfo").read_text("utf-8", "replace"))
        good = self._effective.open()
        self._catch_signals()
        with contextlib.suppress(AttributeError):
            # As process 1 orphans come to us anyway; elsewhere this makes them.
            ctypes.CDLL(None).prctl(_SUBREAPER, 1, 0, 0, 0)
        server = None
        if not self._settings.once:
            server = Server(self._settings.status_host, self._settings.status_port, self.snapshot, time.monotonic)
            self._say(json.dumps({"event": "serving", "port": server.port}))
        if self._writer is not None:
            threading.Thread(target=self._write_events, daemon=True, name="events").start()
        self._watch()
        self._version = volume.version_of(self._settings.config)
        self._feed(core.Started(self._now_ms(), good))
        while self._exit is None:
            self._turn()
            if self._settings.once and self._state.phase is core.Phase.WATCHING:
                self._exit = 0 if self._state.placed else 1
        if server is not None:
            server.close()
        if self._inotify is not None:
            self._inotify.close()
        return self._exit

    # The loop

    def _now_ms(self) -> int:
        return int((time.monotonic() - self._zero_s) * 1000)

    def _turn(self) -> None:
        self._beat_s = time.monotonic()
        poller = select.poll()
        poller.register(self._wake_read, select.POLLIN)
        if self._inotify is not None:
            poller.register(self._inotify.fd, select.POLLIN)
        for fd, _ in poller.poll(self._pause_ms()):
            if fd == self._wake_read:
                with contextlib.suppress(BlockingIOError):
                    os.read(self._wake_read, 4096)
            elif self._inotify is not None and not self._inotify.drain():
                self._inotify.close()
                self._inotify = None
                self._counters.polling = True
        self._look_for_change()
        self._reap()
        while self._signals:
            number = self._signals.pop(0)
            self._feed(core.Told(self._now_ms(), number, number in ENDING))
        while not self._seen.empty():
            asked, acted = self._seen.get()
            if asked == self._asked:
                self._feed(acted)
        self._limit_check()
        self._feed(core.Tick(self._now_ms()))

    def _pause_ms(self) -> int:
        until = [self._looked_s + (self._settings.poll_s if self._inotify is None else LOOK_ANYWAY_S)]
        if self._state.due_ms is not None:
            until.append(self._zero_s + self._state.due_ms / 1000)
        if self._check is not None and not self._check.late:
            until.append(self._check.until_s)
        return max(0, int((min(until) - time.monotonic()) * 1000) + 1)

    def _look_for_change(self) -> None:
        now_s = time.monotonic()
        self._looked_s = now_s
        version = volume.version_of(self._settings.config)
        if version != self._version and version is not None:
            self._version = version
            self._feed(core.Changed(self._now_ms()))

    def _watch(self) -> None:
        try:
            self._inotify = Inotify(self._settings.config)
        except OSError as e:
            self._counters.polling = True
            name = errno.errorcode.get(e.errno or 0, str(e))
            self._say(json.dumps({"event": "polling", "why": name, "every_s": self._settings.poll_s}))

    def _feed(self, seen: core.Observation) -> None:
        self._state, actions = core.decide(self._state, seen)
        for action in actions:
            try:
                self._do(action)
            except OSError as e:
                self._say(json.dumps({"event": "fault", "action": type(action).__name__, "why": str(e)}))
                self._exit = 1

    # Actions

    def _do(self, action: core.Action) -> None:
        if isinstance(action, core.Look):
            self._look()
        elif isinstance(action, core.Check):
            self._begin_check()
        elif isinstance(action, core.Take):
            self._effective.take()
        elif isinstance(action, core.Keep):
            self._effective.keep()
        elif isinstance(action, core.GoBack):
            self._effective.go_back()
        elif isinstance(action, core.Tell):
            self._tell()
        elif isinstance(action, core.Find):
            alive = self._told is not None and target.lives(self._told)
            fault = "" if alive else "the daemon ended soon after it was told"
            self._acted(self._asked, fault)
        elif isinstance(action, core.StartDaemon):
            self._start_daemon()
        elif isinstance(action, (core.StopDaemon, core.Forward)):
            self._signal_daemon(action)
        elif isinstance(action, core.KillDaemon):
            self._kill_daemon()
        elif isinstance(action, core.Report):
            self._report(action)
        else:
            self._exit = action.code

    def _look(self) -> None:
        try:
            files = volume.read_files(self._settings.config)
            self._folder = self._effective.stage(files)
        except (volume.VolumeError, OSError) as e:
            self._feed(core.Read(self._now_ms(), "", str(e)))
            return
        self._feed(core.Read(self._now_ms(), digest_of(files)))
        if self._state.phase is not core.Phase.CHECKING:
            self._effective.drop()

    def _begin_check(self) -> None:
        folder = str(self._folder)
        argvs: List[Sequence[str]] = [
            [*_own_command(), "--check-schema", str(self._folder / name), schema]
            for name, schema in self._settings.schemas
        ]
        argvs += [[word.replace("{dir}", folder) for word in argv] for argv in self._settings.checks]
        self._check = _Check(argvs, time.monotonic() + self._settings.check_timeout_s)
        self._next_check()

    def _next_check(self) -> None:
        check = self._check
        if check is None:
            return
        if not check.left:
            self._end_check("")
            return
        argv = check.left.pop(0)
        check.output = tempfile.TemporaryFile()  # noqa: SIM115  lives as long as the child
        try:
            check.process = subprocess.Popen(
                argv, stdin=subprocess.DEVNULL, stdout=check.output, stderr=check.output, start_new_session=True
            )
        except OSError as e:
            self._end_check(f"the check {argv[0]} cannot be started: {e.strerror}")

    def _limit_check(self) -> None:
        check = self._check
        if check is not None and check.process is not None and not check.late and time.monotonic() >= check.until_s:
            check.late = True
            with contextlib.suppress(ProcessLookupError):
                os.killpg(check.process.pid, signal.SIGKILL)

    def _check_ended(self, check: _Check, code: int) -> None:
        output = b""
        if check.output is not None:
            size = check.output.seek(0, os.SEEK_END)
            check.output.seek(max(0, size - _OUTPUT_OCTETS))
            output = check.output.read()
            check.output.close()
        check.process = check.output = None
        if check.late:
            self._end_check(f"the check took longer than {self._settings.check_timeout_s:g} s")
        elif code:
            self._end_check(self._reason(output.decode("utf-8", "replace"), code))
        else:
            self._next_check()

    def _reason(self, output: str, code: int) -> str:
        lines = [line.strip() for line in output.splitlines() if line.strip()]
        # Daemons often end with "configuration file … test failed": the line with the reason comes first.
        telling = next((line for line in lines if any(w in line.lower() for w in ("emerg", "error", "fatal"))), "")
        line = telling or (lines[-1] if lines else f"the check ended with code {code}")
        return line.replace(str(self._folder) + "/", "")[:400]

    def _end_check(self, fault: str) -> None:
        if self._check is not None and self._check.output is not None:
            self._check.output.close()
        self._check = None
        self._feed(core.Checked(self._now_ms(), fault))
        if fault:
            self._effective.drop()

    def _tell(self) -> None:
        self._asked += 1
        if self._settings.plan.policy is core.Policy.HTTP:
            threading.Thread(target=self._post, args=(self._asked,), daemon=True, name="http").start()
            return
        number = self._settings.signal_number
        fault, absent = "", False
        try:
            if self._settings.plan.wrapper:
                if self._daemon is not None:
                    os.kill(self._daemon.pid, number)
            else:
                self._told = target.find(self._settings.target_name, self._settings.target_pid_file)
                os.kill(self._told.pid, number)
        except target.AbsentError as e:
            fault, absent = str(e), True
        except ProcessLookupError:
            fault, absent = "the daemon went away before it was told", True
        except PermissionError:
            fault = "may not signal the daemon: run the sidecar as the daemon's user, or give it CAP_KILL"
        self._acted(self._asked, fault, absent=absent)

    def _acted(self, asked: int, fault: str, *, absent: bool = False) -> None:
        """From any thread.  asked: which Tell this answers; a later one makes it nobody's."""
        self._seen.put((asked, core.Acted(self._now_ms(), fault, absent)))
        self._wake()

    def _post(self, asked: int) -> None:
        fault, absent = "", False
        request = urllib.request.Request(  # noqa: S310  settings accept http and https only
            self._settings.http_url, method=self._settings.http_method
        )
        try:
            opener = urllib.request.build_opener(urllib.request.ProxyHandler({}))
            with opener.open(request, timeout=self._settings.http_timeout_s):
                pass
        except urllib.error.HTTPError as e:
            fault = f"the daemon answered {e.code} to its reload request"
            e.close()
        except (OSError, http.client.HTTPException) as e:  # the latter for half an answer
            cause = getattr(e, "reason", e)
            absent = isinstance(cause, ConnectionRefusedError)
            fault = f"the daemon did not take its reload request: {type(cause).__name__}"
        self._acted(asked, fault, absent=absent)

    def _start_daemon(self) -> None:
        self._end_group()
        try:
            # A session and so a process group of its own, as that of a container's first process.  (process_group=
            # needs Python 3.11; and a group in the background of our terminal would be stopped when it reads.)
            self._daemon = subprocess.Popen(self._settings.command, start_new_session=True)
            self._group = self._daemon.pid
            self._counters.daemon_starts += 1
        except OSError as e:
            self._say(json.dumps({"event": "cannot start", "command": self._settings.command[0], "why": e.strerror}))
            self._exit = CANNOT_START

    def _end_group(self) -> None:
        """What the daemon before has left: a worker that holds its address would keep the next one from it."""
        group, self._group = self._group, None
        if group is None:
            return
        try:
            self._counters.reaped += process_group.end(group)
        except process_group.LeftError as e:
            self._say(json.dumps({"event": "left behind", "why": str(e)}))

    def _signal_daemon(self, action: core.Action) -> None:
        if self._daemon is None:
            return
        number = action.number if isinstance(action, core.Forward) else self._settings.stop_signal
        with contextlib.suppress(ProcessLookupError):
            os.kill(self._daemon.pid, number)

    def _kill_daemon(self) -> None:
        if self._daemon is None:
            return
        try:
            process_group.kill(self._daemon.pid)
        except process_group.LeftError as e:
            self._say(json.dumps({"event": "left behind", "why": str(e)}))

    def _report(self, report: core.Report) -> None:
        verdicts = self._counters.verdicts
        verdicts[report.verdict.value] += 1
        if report.verdict is core.Verdict.APPLIED and self._state.applied_ms and self._state.seen_ms:
            self._counters.last_apply_s = max(0, self._state.applied_ms - self._state.seen_ms) / 1000
        line: Dict[str, object] = {"event": "config", "verdict": report.verdict.value, "digest": report.digest}
        if report.reason:
            line["reason"] = report.reason
        self._say(json.dumps(line))
        if self._writer is not None:
            try:
                self._reports.put_nowait((report, sum(verdicts.values())))
            except queue.Full:
                self._counters.events_lost += 1

    def _write_events(self) -> None:
        while True:
            report, number = self._reports.get()
            if self._writer is not None and not self._writer.write(report, number):
                self._counters.events_lost += 1

    # Children and signals

    def _reap(self) -> None:
        """Everything that has ended: the daemon, a check, or an orphan that became ours."""
        while True:
            try:
                pid, wait_status = os.waitpid(-1, os.WNOHANG)
            except ChildProcessError:
                return
            if pid == 0:
                return
            code = os.waitstatus_to_exitcode(wait_status)
            if self._daemon is not None and pid == self._daemon.pid:
                self._daemon.returncode = code
                self._daemon = None
                self._feed(core.DaemonExited(self._now_ms(), code if code >= 0 else 128 - code))
            elif self._check is not None and self._check.process is not None and pid == self._check.process.pid:
                self._check.process.returncode = code
                self._check_ended(self._check, code)
            else:
                self._counters.reaped += 1

    def _catch_signals(self) -> None:
        signal.set_wakeup_fd(self._wake_write, warn_on_full_buffer=False)
        for number in (*FORWARDED, signal.SIGCHLD):
            signal.signal(number, self._on_signal)

    def _on_signal(self, number: int, _frame: Optional[FrameType]) -> None:
        if number != signal.SIGCHLD:
            self._signals.append(number)

    def _wake(self) -> None:
        with contextlib.suppress(BlockingIOError):
            os.write(self._wake_write, b"\0")


def _own_command() -> Sequence[str]:
    """How to start this program again: as a module, or as the single file."""
    first = Path(sys.argv[0])
    return (
        [sys.executable, str(first)]
        if first.is_file() and first.suffix != ".py"
        else [sys.executable, "-m", __package__]
    )


def say(line: str) -> None:
    """One line on standard error, beside the daemon's own."""
    sys.stderr.write(f"auto-reload {line}\n")
    sys.stderr.flush()


def main(arguments: Optional[Sequence[str]] = None) -> int:
    """Exit code: the daemon's (128 + n for signal n); 2 for a wrong setting, 127 when the daemon cannot be started."""
    arguments = sys.argv[1:] if arguments is None else list(arguments)
    if arguments[:1] == ["--check-schema"] and len(arguments) == 3:
        from reload.agent import schema  # noqa: PLC0415  its libraries are optional

        fault = schema.fault_of(Path(arguments[1]), Path(arguments[2]))
        if fault:
            sys.stderr.write(fault + "\n")
        return 1 if fault else 0
    try:
        return Agent(settings.read(arguments, os.environ), os.environ, say).run()
    except SettingsError as e:
        sys.stderr.write(f"auto-reload: {e}\n")
        return 2
    except OSError as e:
        sys.stderr.write(f"auto-reload: {e}\n")
        return 1
