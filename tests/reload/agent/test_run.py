"""The agent as a process, with a real daemon and real `..data` swaps."""

from __future__ import annotations

import contextlib
import http.client
import json
import os
import queue
import shlex
import shutil
import signal
import socket
import subprocess
import sys
import threading
from collections.abc import Callable, Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

import pytest
import requests

from reload.agent import core, events
from reload.agent.digest import digest_of
from tests.reload.volumes import MountedConfig, eventually

ROOT = Path(__file__).resolve().parents[3]
DAEMON = Path(__file__).with_name("daemon.py")
REFUSE_BAD = f"{sys.executable} -c " + shlex.quote(
    "import sys; sys.exit('error: app.conf says bad') if 'bad' in open(sys.argv[1] + '/app.conf').read() else None"
)


class Pod:
    """One agent process, its mounted configuration and its daemon's log."""

    def __init__(self, folder: Path, text: str = "greeting=one\n") -> None:
        self.folder = folder
        self.mounted = MountedConfig(folder / "config", {"app.conf": text})
        self.effective = folder / "effective"
        self.log = folder / "daemon.log"
        self.said = folder / "agent.log"
        self.process: subprocess.Popen[bytes] | None = None
        self.port = 0

    def start(
        self,
        *options: str,
        how: str = "",
        command: tuple[str, ...] | None = None,
        environment: dict[str, str] | None = None,
        program: tuple[str, ...] = (sys.executable, "-m", "reload.agent"),
        check: str | None = REFUSE_BAD,
    ) -> Pod:
        daemon = command if command is not None else (sys.executable, str(DAEMON), str(self.effective), str(self.log))
        checks = ("--check", f"{check} {{dir}}") if check else ()
        argv = [*program, "--config", str(self.mounted.directory), "--effective", str(self.effective)]
        argv += ["--status-port", "0", "--status-host", "127.0.0.1", *checks, *options]
        if daemon:
            argv += ["--", *daemon, *([how] if how else [])]
        served = len(self.events("serving"))
        with self.said.open("ab") as said:
            process = self.process = subprocess.Popen(
                argv, stderr=said, cwd=ROOT, env={**os.environ, "PYTHONPATH": str(ROOT), **(environment or {})}
            )
        eventually(lambda: len(self.events("serving")) > served or process.poll() is not None, "it did not start")
        self.port = self.events("serving")[-1]["port"] if len(self.events("serving")) > served else 0
        return self

    def events(self, name: str) -> list[dict[str, Any]]:
        """What the agent said."""
        lines = self.said.read_text().splitlines() if self.said.is_file() else []
        read = [json.loads(line.removeprefix("auto-reload ")) for line in lines if line.startswith("auto-reload {")]
        return [event for event in read if event["event"] == name]

    def get(self, path: str) -> requests.Response:
        return requests.get(f"http://127.0.0.1:{self.port}{path}", timeout=10)

    def status(self) -> dict[str, Any]:
        body: dict[str, Any] = self.get("/status").json()
        return body

    def verdicts(self) -> list[str]:
        return [event["verdict"] for event in self.events("config")]

    def daemon_said(self) -> list[str]:
        return self.log.read_text().splitlines() if self.log.is_file() else []

    def starts(self) -> list[dict[str, str]]:
        """`port`, `pid`, `greeting` and, of one that has any, `worker` of every start of the daemon."""
        words = [line.split() for line in self.daemon_said() if line.startswith("port ")]
        return [dict(zip(line[::2], line[1::2], strict=False)) for line in words]

    def greeting(self) -> str:
        return requests.get(f"http://127.0.0.1:{self.starts()[-1]['port']}/", timeout=10).text

    def until_verdicts(self, count: int) -> None:
        eventually(lambda: len(self.verdicts()) >= count, f"{self.verdicts()} after {self.said.read_text()}")

    def until_daemon(self, line: str) -> None:
        eventually(lambda: line in self.daemon_said(), f"{line!r} not in {self.daemon_said()}")

    def until_started(self, count: int) -> None:
        eventually(lambda: len(self.starts()) >= count, f"{self.daemon_said()}, {self.said.read_text()}")

    def end(self, number: int = signal.SIGTERM) -> int:
        assert self.process is not None
        self.process.send_signal(number)
        return self.process.wait(30)

    def close(self) -> None:
        """End the agent, and a daemon that outlived it."""
        if self.process is not None and self.process.poll() is None:
            self.process.send_signal(signal.SIGTERM)
            try:
                self.process.wait(20)
            except subprocess.TimeoutExpired:
                self.process.kill()
                self.process.wait()
        for start in self.starts():
            for name in {"pid", "worker"} & start.keys():
                with contextlib.suppress(ProcessLookupError):
                    os.kill(int(start[name]), signal.SIGKILL)


@pytest.fixture
def pod(tmp_path: Path) -> Iterator[Pod]:
    made = Pod(tmp_path)
    yield made
    made.close()


def test_signal_reaches_the_same_process_and_an_open_connection_lives_on(pod: Pod) -> None:
    pod.start("--policy", "signal")
    pod.until_started(1)
    connection = http.client.HTTPConnection("127.0.0.1", int(pod.starts()[0]["port"]), timeout=30)
    connection.connect()
    connection.auto_open = 0  # a lost connection is an error, and not opened anew
    connection.request("GET", "/")
    assert connection.getresponse().read() == b"one"
    pod.mounted.swap({"app.conf": "greeting=two\n"})
    pod.until_daemon("hup two")
    connection.request("GET", "/")
    assert connection.getresponse().read() == b"two"
    connection.close()
    pod.until_verdicts(2)
    assert len(pod.starts()) == 1
    status = pod.status()
    assert status["verdict"] == "applied"
    assert status["digest"] == status["candidate"]
    assert status["applied_ms"] >= status["seen_ms"] > 1_700_000_000_000
    assert pod.end() == 0
    assert "term" in pod.daemon_said()


def test_the_digest_is_the_one_that_the_function_computes(pod: Pod) -> None:
    pod.start()
    pod.until_verdicts(1)
    assert pod.status()["digest"] == digest_of({"app.conf": b"greeting=one\n"})
    # sha256 over be64(8) "app.conf" be64(13) "greeting=one\n", computed with coreutils' sha256sum.
    assert pod.status()["digest"] == "558b6142fe7d181f32ab8b1b674a86cac38aa61623cfc036eea779244e3256c2"


def test_a_bad_candidate_leaves_the_last_good_one_to_a_crash_restart_too(pod: Pod) -> None:
    pod.start("--policy", "restart")
    pod.until_started(1)
    pod.mounted.swap({"app.conf": "greeting=bad\n"})
    pod.until_verdicts(2)
    status = pod.status()
    assert (status["verdict"], status["reason"]) == ("rejected", "error: app.conf says bad")
    assert (pod.effective / "app.conf").read_text() == "greeting=one\n"
    assert pod.greeting() == "one"
    os.kill(int(pod.starts()[0]["pid"]), signal.SIGKILL)
    assert pod.process is not None
    assert pod.process.wait(30) == 128 + signal.SIGKILL
    pod.start("--policy", "restart")
    pod.until_started(2)
    assert pod.greeting() == "one"
    assert pod.status()["verdict"] == "rejected"
    pod.mounted.swap({"app.conf": "greeting=three\n"})
    pod.until_started(3)
    assert pod.greeting() == "three"


def test_restart_replaces_the_daemon_and_not_the_agent(pod: Pod) -> None:
    pod.start("--policy", "restart")
    pod.until_started(1)
    pod.mounted.swap({"app.conf": "greeting=two\n"})
    pod.until_started(2)
    pod.until_verdicts(2)
    first, second = pod.starts()
    assert first["pid"] != second["pid"]
    assert pod.greeting() == "two"
    assert pod.process is not None
    assert pod.process.poll() is None


def test_restart_kills_a_daemon_that_does_not_end_within_the_grace(pod: Pod) -> None:
    pod.start("--policy", "restart", "--grace-s", "0.5", how="trap-term")
    pod.until_started(1)
    pod.mounted.swap({"app.conf": "greeting=two\n"})
    pod.until_started(2)
    assert pod.daemon_said().index("term") < len(pod.daemon_said()) - 1
    with pytest.raises(ProcessLookupError):
        os.kill(int(pod.starts()[0]["pid"]), 0)
    pod.until_verdicts(2)
    assert pod.process is not None
    pod.process.kill()


@pytest.mark.parametrize("how", ["worker", "worker-trap-term"])
def test_restart_leaves_no_worker_to_hold_the_address(pod: Pod, how: str) -> None:
    """A daemon that ends on TERM, and one that has to be killed, each with a worker that would go on without it."""
    pod.mounted.swap({"app.conf": f"greeting=one\nport={free_port()}\n"})
    pod.start("--policy", "restart", "--grace-s", "0.5", "--prove-ms", "2000", how=how)
    pod.until_started(1)
    pod.mounted.swap({"app.conf": (pod.mounted.directory / "app.conf").read_text().replace("one", "two")})
    pod.until_verdicts(2)
    assert pod.verdicts() == ["applied", "applied"]
    assert pod.greeting() == "two"
    first, second = pod.starts()
    assert first["port"] == second["port"]
    for name in ("pid", "worker"):
        with pytest.raises(ProcessLookupError):
            os.kill(int(first[name]), 0)
    assert pod.process is not None
    assert pod.process.poll() is None
    os.kill(int(second["pid"]), signal.SIGKILL)
    assert pod.process.wait(30) == 128 + signal.SIGKILL


def test_signals_are_the_daemons_alone_and_not_its_workers(pod: Pod) -> None:
    """A worker of this daemon has the same handlers: what it caught would be in the log, too."""
    pod.start("--policy", "signal", "--prove-ms", "1000", how="worker")
    pod.until_started(1)
    assert pod.process is not None
    pod.process.send_signal(signal.SIGUSR1)
    pod.until_daemon("usr1")
    pod.mounted.swap({"app.conf": "greeting=two\n"})
    pod.until_verdicts(2)
    assert [line for line in pod.daemon_said() if not line.startswith("port ")] == ["usr1", "hup two"]
    assert pod.end() == 0


def test_a_daemon_that_cannot_start_with_it_gets_the_last_good_one_back(pod: Pod) -> None:
    pod.start("--policy", "restart", "--prove-ms", "5000")
    pod.until_started(1)
    pod.mounted.swap({"app.conf": "greeting=two\ndie=start\n"})
    pod.until_started(2)
    pod.until_verdicts(2)
    assert "died" in pod.daemon_said()
    assert pod.greeting() == "one"
    assert pod.status()["verdict"] == "failed"
    assert "code 3" in pod.status()["reason"]


def test_a_daemon_that_dies_of_the_signal_gets_the_last_good_one_back(pod: Pod) -> None:
    pod.start("--policy", "signal", "--prove-ms", "5000")
    pod.until_started(1)
    pod.mounted.swap({"app.conf": "greeting=two\ndie=hup\n"})
    pod.until_started(2)
    assert pod.greeting() == "one"
    pod.until_verdicts(2)
    assert pod.status()["verdict"] == "failed"


def test_a_daemon_that_the_signal_kills_at_once_gets_the_last_good_one_back_each_time(pod: Pod) -> None:
    """`sleep` has no handler: the kernel ends it, often before the agent has written down that it told it."""
    count = f"echo started >> {shlex.quote(str(pod.log))}; exec sleep 600"
    pod.start("--policy", "signal", "--prove-ms", "60000", command=("sh", "-c", count), check="true")
    pod.until_verdicts(1)
    pod.until_daemon("started")
    assert pod.process is not None
    for n in range(2, 12):
        pod.mounted.swap({"app.conf": f"greeting={n}\n"})
        pod.until_verdicts(n)
        assert pod.verdicts()[-1] == "failed"
        assert "code 129" in pod.status()["reason"]
        assert (pod.effective / "app.conf").read_text() == "greeting=one\n"
        eventually(lambda: len(pod.daemon_said()) == len(pod.verdicts()), "it was not started again")
    assert pod.process.poll() is None


def test_an_agent_killed_before_the_proof_leaves_the_last_good_one_to_the_next(pod: Pod) -> None:
    pod.start("--policy", "signal", "--prove-ms", "60000")
    pod.until_started(1)
    pod.mounted.swap({"app.conf": "greeting=two\ndie=start\n"})
    pod.until_daemon("hup two")
    assert pod.process is not None
    pod.process.kill()
    pod.process.wait()
    os.kill(int(pod.starts()[0]["pid"]), signal.SIGKILL)
    pod.start("--policy", "signal", "--prove-ms", "60000")
    pod.until_started(2)
    assert "died" in pod.daemon_said()
    assert pod.greeting() == "one"
    assert pod.status()["verdict"] == "failed"
    assert (pod.effective / "app.conf").read_text() == "greeting=one\n"


def test_a_daemon_that_reloads_by_itself_sees_the_effective_directory_change(pod: Pod) -> None:
    pod.start("--policy", "none", how="watch")
    pod.until_started(1)
    pod.mounted.swap({"app.conf": "greeting=two\n"})
    pod.until_daemon("watched two")
    pod.mounted.swap({"app.conf": "greeting=bad\n"})
    pod.until_verdicts(3)
    assert pod.greeting() == "two"
    assert len(pod.starts()) == 1


def free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port: int = probe.getsockname()[1]
    return port


def http_options(pod: Pod) -> tuple[str, ...]:
    port = free_port()
    pod.mounted.swap({"app.conf": f"greeting=one\nport={port}\n"})
    return ("--policy", "http", "--http-url", f"http://127.0.0.1:{port}/reload")


def test_http_tells_the_daemon_and_goes_back_when_it_refuses(pod: Pod) -> None:
    options = http_options(pod)
    pod.start(*options)
    pod.until_started(1)
    pod.mounted.swap({"app.conf": "greeting=two\n"})
    pod.until_daemon("post two")
    pod.until_verdicts(2)
    assert pod.status()["verdict"] == "applied"
    pod.mounted.swap({"app.conf": "greeting=three\nrefuse=yes\n"})
    pod.until_verdicts(3)
    assert pod.status()["verdict"] == "failed"
    assert "500" in pod.status()["reason"]
    assert (pod.effective / "app.conf").read_text() == "greeting=two\n"


def test_http_starts_a_daemon_that_dies_of_it_with_the_last_good_one(pod: Pod) -> None:
    pod.start(*http_options(pod), "--prove-ms", "60000")
    pod.until_started(1)
    before = (pod.mounted.directory / "app.conf").read_text()
    pod.mounted.swap({"app.conf": before.replace("one", "two") + "die=post\n"})
    pod.until_daemon("post two")
    pod.until_started(2)
    pod.until_verdicts(2)
    assert pod.process is not None
    assert pod.process.poll() is None
    assert pod.verdicts() == ["applied", "failed"]
    assert pod.greeting() == "one"
    assert (pod.effective / "app.conf").read_text() == before


class Holding:
    """Keeps each POST until it is told what to answer.  held: where each takes its status from."""

    def __init__(self) -> None:
        held = self.held = []  # type: list[queue.Queue[int]]

        class Handler(BaseHTTPRequestHandler):
            def do_POST(self) -> None:
                answer: queue.Queue[int] = queue.Queue()
                held.append(answer)
                self.send_response(answer.get(timeout=60))
                self.send_header("Content-Length", "0")
                self.end_headers()
                self.rfile.read()  # until the agent has read it
                answer.task_done()

            def log_message(self, format: str, *arguments: object) -> None:
                pass

        self.server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        threading.Thread(target=self.server.serve_forever, daemon=True).start()
        self.url = f"http://127.0.0.1:{self.server.server_address[1]}/reload"

    def until(self, count: int) -> None:
        eventually(lambda: len(self.held) == count, f"{len(self.held)} requests")

    def answer(self, number: int, code: int) -> None:
        self.held[number].put(code)
        self.held[number].join()


def test_an_answer_for_a_daemon_that_is_gone_says_nothing_of_the_next_configuration(pod: Pod) -> None:
    holding = Holding()
    pod.start("--policy", "http", "--http-url", holding.url, "--http-timeout-s", "60")
    pod.until_started(1)
    pod.mounted.swap({"app.conf": "greeting=two\n"})
    holding.until(1)
    os.kill(int(pod.starts()[0]["pid"]), signal.SIGKILL)
    pod.until_started(2)
    pod.mounted.swap({"app.conf": "greeting=three\n"})
    holding.until(2)
    holding.answer(0, 500)
    holding.answer(1, 200)
    pod.until_verdicts(3)
    assert pod.verdicts() == ["applied", "failed", "applied"]
    assert (pod.effective / "app.conf").read_text() == "greeting=three\n"
    holding.server.shutdown()
    holding.server.server_close()


def test_half_an_answer_is_a_refusal(pod: Pod) -> None:
    with socket.create_server(("127.0.0.1", 0)) as listening:
        url = f"http://127.0.0.1:{listening.getsockname()[1]}/reload"
        pod.start("--policy", "http", "--http-url", url)
        pod.until_started(1)
        pod.mounted.swap({"app.conf": "greeting=two\n"})
        listening.settimeout(60)
        with listening.accept()[0] as connection:
            assert connection.recv(65536).startswith(b"POST /reload")
            connection.sendall(b"HTT\r\n")
        pod.until_verdicts(2)
    assert pod.status()["verdict"] == "failed"
    assert (pod.effective / "app.conf").read_text() == "greeting=one\n"


NO_INOTIFY = ("unshare", "--user", "--map-root-user", "sh", "-c")
NO_INOTIFY += ('echo 0 > /proc/sys/user/max_inotify_instances && exec "$@"', "sh")


@pytest.mark.skipif(shutil.which("unshare") is None, reason="unshare is missing: apt-get install util-linux")
def test_without_inotify_it_polls_and_says_so(pod: Pod) -> None:
    """No instance left, as on busy nodes (prometheus/prometheus#11067), in a user namespace with a limit of its own."""
    pod.start("--policy", "signal", "--poll-s", "0.2", program=(*NO_INOTIFY, sys.executable, "-m", "reload.agent"))
    pod.until_started(1)
    assert pod.events("polling")[0]["why"] == "EMFILE"
    pod.mounted.swap({"app.conf": "greeting=two\n"})
    pod.until_daemon("hup two")
    assert pod.status()["watch"] == "poll"
    assert "reload_polling 1" in pod.get("/metrics").text.splitlines()


UNHURRIED = "import sys; from reload.agent import run; run.LOOK_ANYWAY_S = 3600.0; sys.exit(run.main())"


def test_with_inotify_a_change_is_seen_long_before_the_next_look(pod: Pod) -> None:
    """The look that is taken anyway comes after an hour, so that only the watch can tell."""
    pod.start("--policy", "signal", program=(sys.executable, "-c", UNHURRIED))
    pod.until_started(1)
    for greeting in ("two", "three"):  # what an earlier wake-up finds might hide the first
        eventually(lambda: pod.status()["phase"] == "watching", "the agent does not come to rest")
        pod.mounted.swap({"app.conf": f"greeting={greeting}\n"})
        pod.until_daemon(f"hup {greeting}")
    assert pod.status()["watch"] == "inotify"
    assert "reload_polling 0" in pod.get("/metrics").text.splitlines()


SIGNALS = ("HUP", "INT", "QUIT", "TERM", "USR1", "USR2", "WINCH", "CONT", "ALRM", "VTALRM", "PROF", "TTIN", "TTOU")
SIGNALS += ("URG", "IO", "PWR", "RTMIN", "RTMIN+3", "RTMIN+15", "RTMAX")


def numbered(name: str) -> int:
    """`QUIT`, or `RTMIN+3` as systemd has it."""
    base, _, more = name.partition("+")
    return int(getattr(signal, "SIG" + base)) + int(more or 0)


@pytest.mark.parametrize("name", SIGNALS)
def test_every_signal_arrives_at_the_daemon(pod: Pod, name: str) -> None:
    pod.start(how="signals")
    pod.until_started(1)
    assert pod.process is not None
    pod.process.send_signal(numbered(name))
    pod.until_daemon(f"signal {numbered(name)}")
    os.kill(int(pod.starts()[0]["pid"]), signal.SIGKILL)
    assert pod.process.wait(30) == 128 + signal.SIGKILL


def test_what_the_kernel_says_to_the_agent_alone_is_not_the_daemons(pod: Pod) -> None:
    """PIPE: whoever asked for its status hung up.  CHLD: a check has ended."""
    pod.start("--policy", "signal", how="signals")
    pod.until_started(1)
    assert pod.process is not None
    for number in (signal.SIGPIPE, signal.SIGXFSZ, signal.SIGCHLD, signal.SIGUSR1):
        pod.process.send_signal(number)
    pod.until_daemon(f"signal {int(signal.SIGUSR1)}")
    assert [line for line in pod.daemon_said() if line.startswith("signal ")] == [f"signal {int(signal.SIGUSR1)}"]
    assert pod.process.poll() is None
    os.kill(int(pod.starts()[0]["pid"]), signal.SIGKILL)
    assert pod.process.wait(30) == 128 + signal.SIGKILL


AT_A_TERMINAL = """
import os, sys
from reload.agent.run import main
os.setsid()
os.dup2(os.open(os.environ["TERMINAL"], os.O_RDWR), 0)
sys.exit(main())
"""


def test_what_is_typed_arrives_once_and_by_the_agent(pod: Pod) -> None:
    """The terminal's group is the agent's: a daemon in it would get INT from the terminal and from the agent."""
    keyboard, terminal = os.openpty()
    program = (sys.executable, "-c", AT_A_TERMINAL)
    pod.start(how="signals", program=program, environment={"TERMINAL": os.ttyname(terminal)})
    pod.until_started(1)
    daemon = int(pod.starts()[0]["pid"])
    assert (os.getsid(daemon), os.getpgid(daemon)) == (daemon, daemon)
    os.write(keyboard, b"\x03")
    pod.until_daemon(f"signal {int(signal.SIGINT)}")
    assert pod.process is not None
    pod.process.send_signal(signal.SIGUSR1)
    pod.until_daemon(f"signal {int(signal.SIGUSR1)}")
    caught = [line for line in pod.daemon_said() if line.startswith("signal ")]
    assert caught == [f"signal {int(signal.SIGINT)}", f"signal {int(signal.SIGUSR1)}"]
    os.kill(daemon, signal.SIGKILL)
    assert pod.process.wait(30) == 128 + signal.SIGKILL
    os.close(keyboard)
    os.close(terminal)


@pytest.mark.parametrize(
    ("command", "code"),
    [
        (("sh", "-c", "exit 7"), 7),
        (("sh", "-c", "kill -KILL $$"), 128 + 9),
        (("sh", "-c", "kill -SEGV $$"), 128 + 11),
        (("/nowhere/daemon",), 127),
    ],
    ids=["exit", "killed", "segv", "missing"],
)
def test_exit_codes_are_kept(pod: Pod, command: tuple[str, ...], code: int) -> None:
    pod.start(command=command)
    assert pod.process is not None
    assert pod.process.wait(30) == code


def test_orphans_are_reaped(pod: Pod) -> None:
    """The daemon's grandchildren become the agent's; none stays a zombie."""
    pod.start(command=("sh", "-c", "for n in 1 2 3; do (sleep 0.05 &) ; done; sleep 60"))
    assert pod.process is not None
    agent = pod.process.pid

    def states() -> list[str]:
        children = Path(f"/proc/{agent}/task/{agent}/children").read_text().split()
        return [Path(f"/proc/{child}/stat").read_text().rsplit(")", 1)[1].split()[0] for child in children]

    eventually(lambda: "reload_reaped_total 3" in pod.get("/metrics").text.splitlines(), pod.get("/metrics").text)
    assert "Z" not in states()


def test_a_check_that_hangs_is_ended_with_everything_it_started(pod: Pod) -> None:
    pod.start("--policy", "signal", "--check-timeout-s", "0.5", check="sh -c 'sleep 612.375 & sleep 612.375'")
    pod.until_verdicts(1)
    assert pod.status()["reason"] == "the check took longer than 0.5 s"

    def sleepers() -> list[str]:
        found = []
        for entry in Path("/proc").iterdir():
            if entry.name.isdecimal():
                try:
                    found += [entry.name] if (entry / "cmdline").read_bytes() == b"sleep\x00612.375\x00" else []
                except OSError:
                    continue
        return found

    eventually(lambda: not sleepers(), "the check's children live on")


def test_a_check_that_is_not_there_is_a_refusal(pod: Pod) -> None:
    pod.start(check="/nowhere/check")
    pod.until_verdicts(1)
    assert "cannot be started" in pod.status()["reason"]
    response = pod.get("/healthz")
    assert response.status_code == 503
    assert "cannot be started" in response.text


def test_health_and_metrics(pod: Pod) -> None:
    pod.start("--policy", "signal")
    pod.until_started(1)
    assert pod.get("/healthz").status_code == 200
    pod.mounted.swap({"app.conf": "greeting=bad\n"})
    pod.until_verdicts(2)
    lines = pod.get("/metrics").text.splitlines()
    assert 'reload_verdicts_total{verdict="rejected"} 1' in lines
    assert 'reload_verdicts_total{verdict="applied"} 1' in lines
    assert "reload_on_last_good 1" in lines
    assert pod.get("/healthz").status_code == 200
    assert pod.get("/effective/app.conf").status_code == 404


def test_three_hundred_swaps_end_with_the_last_one(pod: Pod) -> None:
    pod.start("--policy", "signal", "--debounce-ms", "5", "--prove-ms", "0")
    pod.until_started(1)
    for n in range(300):
        pod.mounted.swap({"app.conf": f"greeting={n}\n"})
    pod.until_daemon("hup 299")
    eventually(lambda: pod.greeting() == "299", "the daemon does not run with the last one")
    versions = [entry for entry in pod.effective.iterdir() if entry.name.startswith("..v")]
    eventually(lambda: pod.status()["phase"] == "watching", "the agent does not come to rest")
    versions = [entry for entry in pod.effective.iterdir() if entry.name.startswith("..v")]
    assert len(versions) == 1


@pytest.mark.parametrize("shape", ["file", "plain directory", "missing"])
def test_what_kubelet_never_updates_is_refused(tmp_path: Path, shape: str) -> None:
    path = tmp_path / "config"
    if shape == "file":
        path.write_text("greeting=one")
    elif shape == "plain directory":
        path.mkdir()
        (path / "app.conf").write_text("greeting=one")
    argv = [sys.executable, "-m", "reload.agent", "--config", str(path), "--effective", str(tmp_path / "e")]
    ended = subprocess.run([*argv, "--", "true"], cwd=ROOT, capture_output=True, text=True, timeout=60, check=False)
    assert ended.returncode == 2
    assert ("subPath" in ended.stderr) == (shape != "missing")
    assert len(ended.stderr.splitlines()) == 1


def test_a_sidecar_refuses_restart(tmp_path: Path) -> None:
    argv = [sys.executable, "-m", "reload.agent", "--sidecar", "--target-name", "x", "--policy", "restart"]
    argv += ["--config", str(tmp_path), "--effective", str(tmp_path / "e")]
    ended = subprocess.run(argv, cwd=ROOT, capture_output=True, text=True, timeout=60, check=False)
    assert ended.returncode == 2
    assert "wrapper only" in ended.stderr


@pytest.fixture
def beside(pod: Pod) -> Iterator[Callable[..., subprocess.Popen[bytes]]]:
    """A daemon that is not the agent's child, under a name of its own, as in a shared process namespace."""
    processes: list[subprocess.Popen[bytes]] = []

    def start(name: str) -> subprocess.Popen[bytes]:
        link = pod.folder / name
        if not link.exists():
            link.symlink_to(sys.executable)
        processes.append(subprocess.Popen([str(link), str(DAEMON), str(pod.effective), str(pod.log)]))
        pod.until_started(len(processes))
        return processes[-1]

    yield start
    for process in processes:
        process.kill()
        process.wait()


def test_a_sidecar_signals_by_name_and_by_pid_file(pod: Pod, beside: Callable[..., subprocess.Popen[bytes]]) -> None:
    ended = pod.start("--once", command=())
    assert ended.process is not None
    assert ended.process.wait(30) == 0
    daemon = beside("greeter-7d4f")
    pod.start("--sidecar", "--target-name", "greeter-7d4f", "--policy", "signal", command=())
    pod.mounted.swap({"app.conf": "greeting=two\n"})
    pod.until_daemon("hup two")
    eventually(lambda: pod.status()["verdict"] == "applied" and pod.greeting() == "two", "not applied")
    assert pod.end() == 0
    pid_file = pod.folder / "daemon.pid"
    pid_file.write_text(f"{daemon.pid}\n")
    pod.start("--sidecar", "--target-pid-file", str(pid_file), "--policy", "signal", command=())
    pod.mounted.swap({"app.conf": "greeting=three\n"})
    pod.until_daemon("hup three")


@pytest.mark.parametrize("policy", ["none", "signal", "http"])
def test_an_init_container_that_runs_again_takes_what_is_new_and_tells_nobody(pod: Pod, policy: str) -> None:
    told = ["--once", "--policy", policy, "--target-name", "greeter-e71b", "--http-url", "http://127.0.0.1:9/"]
    for greeting in ("one", "two"):
        pod.mounted.swap({"app.conf": f"greeting={greeting}\n"})
        ended = pod.start(*told, command=())
        assert ended.process is not None
        assert ended.process.wait(30) == 0
        assert (pod.effective / "app.conf").read_text() == f"greeting={greeting}\n"


def test_a_sidecar_waits_for_a_daemon_that_is_not_there(
    pod: Pod, beside: Callable[..., subprocess.Popen[bytes]]
) -> None:
    pod.start("--sidecar", "--target-name", "greeter-a91c", "--policy", "signal", command=())
    pod.until_verdicts(1)
    pod.mounted.swap({"app.conf": "greeting=two\n"})
    pod.until_verdicts(2)
    assert pod.status()["verdict"] == "waiting"
    assert "greeter-a91c" in pod.status()["reason"]
    beside("greeter-a91c")
    eventually(lambda: pod.status()["verdict"] == "applied", "the daemon was never told")


def test_a_sidecar_goes_back_when_the_daemon_dies_of_it(
    pod: Pod, beside: Callable[..., subprocess.Popen[bytes]]
) -> None:
    pod.start("--sidecar", "--target-name", "greeter-c22e", "--policy", "signal", command=())
    pod.until_verdicts(1)
    daemon = beside("greeter-c22e")
    pod.mounted.swap({"app.conf": "greeting=two\ndie=hup\n"})
    assert daemon.wait(30) == 4
    pod.until_verdicts(2)
    assert pod.status()["verdict"] == "failed"
    assert (pod.effective / "app.conf").read_text() == "greeting=one\n"


def test_a_schema_refuses_a_plmn_that_yaml_takes_for_a_number(pod: Pod) -> None:
    schema = pod.folder / "schema.json"
    schema.write_text(json.dumps({"type": "object", "properties": {"mnc": {"type": "string"}}, "required": ["mnc"]}))
    pod.mounted.swap({"app.conf": "greeting=one\n", "amf.yaml": 'mnc: "001"\n'})
    pod.start("--policy", "signal", "--schema", f"amf.yaml={schema}")
    pod.until_started(1)
    for text, reason in (
        ("mnc: 001\n", "amf.yaml: the document.mnc must be string"),
        ("mnc: [\n", "amf.yaml cannot be parsed"),
        ("{}\n", "amf.yaml: the document must contain ['mnc'] properties"),
    ):
        seen = len(pod.verdicts())
        pod.mounted.swap({"app.conf": "greeting=two\n", "amf.yaml": text})
        pod.until_verdicts(seen + 1)
        assert reason in pod.status()["reason"]
    assert pod.greeting() == "one"


class ApiServer:
    """Takes events as the API server does, or refuses."""

    def __init__(self, code: int) -> None:
        taken = self.taken = []  # type: list[tuple[str, str, dict[str, Any]]]

        class Handler(BaseHTTPRequestHandler):
            def do_POST(self) -> None:
                body = json.loads(self.rfile.read(int(self.headers["Content-Length"])))
                taken.append((self.path, self.headers["Authorization"], body))
                self.send_response(code)
                self.send_header("Content-Length", "0")
                self.end_headers()

            def log_message(self, format: str, *arguments: object) -> None:
                pass

        self.server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        threading.Thread(target=self.server.serve_forever, daemon=True).start()
        self.url = f"http://127.0.0.1:{self.server.server_address[1]}"


@pytest.mark.parametrize("code", [201, 403])
def test_an_event_is_written_with_the_pods_own_account(tmp_path: Path, code: int) -> None:
    (tmp_path / "token").write_text("abc\n")
    api = ApiServer(code)
    writer = events.Writer(api.url, tmp_path / "token", None, "edge", "amf-0", "uid-1")
    report = core.Report(core.Verdict.REJECTED, "d" * 64, "line 3")
    assert writer.write(report, 1) is (code == 201)
    path, authorization, body = api.taken[0]
    assert (path, authorization) == ("/api/v1/namespaces/edge/events", "Bearer abc")
    assert (body["type"], body["reason"]) == ("Warning", "ConfigRejected")
    assert body["involvedObject"]["uid"] == "uid-1"
    assert "line 3" in body["message"]
    api.server.shutdown()
    api.server.server_close()
    assert writer.write(report, 2) is False
