"""The command line: what it says when something is wrong, and a whole life of a gateway."""

import os
import re
import signal
import socket
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from localfaas import state
from localfaas.cli import main
from localfaas.errors import LocalfaasError, StartError
from localfaas.process import Running, running
from tests.localfaas.conftest import REPO, wait_for

Capture = pytest.CaptureFixture[str]


def said(capsys: Capture, *argv: str) -> str:
    """Run a command that fails with one line; give the line."""
    assert main(argv) == 1
    out, err = capsys.readouterr()
    assert out == ""
    assert err.startswith("localfaas: ")
    assert err.count("\n") == 1
    return err


@pytest.mark.parametrize("command", ["invoke", "logs", "list", "kill"])
def test_without_a_gateway(capsys: Capture, tmp_path: Path, command: str) -> None:
    arguments = [] if command == "list" else ["fn"]
    told = said(capsys, command, *arguments, "--state", str(tmp_path))
    assert f"no gateway runs from {tmp_path}; start one with `localfaas up -f stack.yml`" in told


def up(project: Path, *more: str) -> list[str]:
    return ["up", "-f", str(project / "stack.yml"), "--state", str(project / "state"), "--port", "0", *more]


@pytest.mark.parametrize(
    ("more", "told"),
    [
        (["-f", "nothing.yml"], "nothing.yml: No such file or directory; name the stack file with -f"),
        (["--replicas", "other=1"], "--replicas other: no such function; the stack has hello"),
        (["--replicas", "hello=6"], "--replicas hello=6: edition ce allows 1 to 5"),
        (["--basic-auth", "me"], "--basic-auth me: must be USER:FILE"),
        (["--basic-auth", "me:nothing"], "password file nothing: No such file"),
        (["--fault-plan", "nothing"], "fault plan nothing: No such file"),
        (["--secrets", "nothing"], "secrets folder nothing: No such file"),
    ],
)
def test_up_says_what_is_wrong(capsys: Capture, project: Path, more: list[str], told: str) -> None:
    assert told in said(capsys, *up(project), *more)


def test_up_names_a_missing_secret(capsys: Capture, project: Path) -> None:
    with (project / "stack.yml").open("a") as file:
        file.write("    secrets: [key]\n")
    assert "function hello needs the secret key; put it into a file" in said(capsys, *up(project))


def test_up_refuses_what_a_deploy_would(capsys: Capture, project: Path) -> None:
    with (project / "stack.yml").open("a") as file:
        file.write("    labels: {com.openfaas.scale.max: 20}\n")
    assert "function hello: com.openfaas.scale.max is set too high" in said(capsys, *up(project))


def test_port_in_use_is_one_line_with_the_cure(capsys: Capture, project: Path) -> None:
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = str(taken.getsockname()[1])
        assert f"port {port} is in use; choose another with --port N" in said(capsys, *up(project), "--port", port)
        told = said(capsys, *up(project), "--metrics-port", port)
        assert f"port {port} is in use; choose another with --metrics-port N" in told


def test_function_that_cannot_start_shows_its_last_lines(project: Path) -> None:
    (project / "functions" / "hello" / "handler.py").write_text("import nothing_like_this\n")
    told = (
        r"(?s)function hello does not start.*\n +handler cannot be imported\n +Traceback.*\n"
        r" +ModuleNotFoundError: No module named 'nothing_like_this'\n"
    )
    with pytest.raises(StartError, match=told):
        running(project / "stack.yml")


def test_a_gateway_that_is_not_ready_in_time_says_what_to_do(project: Path) -> None:
    with pytest.raises(StartError, match=r"not ready after 0 s; its log is empty.* try again"):
        running(project / "stack.yml", ready_within_s=0)


@pytest.mark.parametrize(
    "argv",
    [
        ["up", "--workers", "0"],
        ["up", "--replicas", "a"],
        ["up", "--env", "a"],
        ["up", "--port", "x"],
        ["up", "--ack-wait", "soon"],
    ],
)
def test_wrong_arguments_are_2(capsys: Capture, argv: list[str]) -> None:
    with pytest.raises(SystemExit) as exit_info:
        main(argv)
    assert exit_info.value.code == 2
    assert f"argument {argv[1]}" in capsys.readouterr().err


@pytest.mark.parametrize("command", [[], ["up"], ["invoke"], ["logs"], ["list"], ["kill"]])
def test_help(capsys: Capture, command: list[str]) -> None:
    with pytest.raises(SystemExit) as exit_info:
        main([*command, "--help"])
    assert exit_info.value.code == 0
    assert "--help" in capsys.readouterr().out


@pytest.fixture(scope="module")
def gateway(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Running]:
    folder = tmp_path_factory.mktemp("life")
    secrets = folder / "secrets"
    secrets.mkdir()
    (secrets / "key").write_text("k")
    stack = REPO / "tests" / "contract" / "stack" / "stack.yml"
    with running(stack, env={"EDGE_A": "b=c"}, secrets_dir=secrets, replicas={"echo": 2}) as started:
        yield started


@pytest.mark.e2e
def test_invoke(capfd: pytest.CaptureFixture[str], gateway: Running, tmp_path: Path) -> None:
    where = ["--state", str(gateway.state_dir)]
    body = tmp_path / "body"
    body.write_text("from a file")
    assert main(["invoke", "behave", "-d", f"@{body}", *where]) == 0
    assert capfd.readouterr().out == "from a file"
    assert main(["invoke", "echo", "--path", "/x?y=1", "--method", "PUT", "-H", "X-Mine=1", *where]) == 0
    told = capfd.readouterr().out
    assert '"path":"/x"' in told
    assert '["X-Mine","1"]' in told
    assert '"EDGE_A":"b=c"' in told
    assert main(["invoke", "behave", "--async", *where]) == 0
    assert re.fullmatch(r"[-0-9a-f]{36}\n", capfd.readouterr().out)
    assert main(["invoke", "nobody", *where]) == 1
    assert "localfaas: nobody answered 404" in capfd.readouterr().err


@pytest.mark.e2e
def test_list_logs_kill(capfd: pytest.CaptureFixture[str], gateway: Running) -> None:
    where = ["--state", str(gateway.state_dir)]
    assert main(["list", *where]) == 0
    assert re.search(r"(?m)^echo +2/2 +\d+ +localhost:5000/contract-echo:dev$", capfd.readouterr().out)
    assert main(["kill", "echo", *where]) == 0
    killed = re.match(r"killed (echo-\w+) with 0 call", capfd.readouterr().out)
    assert killed
    wait_for(lambda: "process ended with -9" in "".join(line["text"] for line in gateway.logs("echo")))
    assert main(["logs", "echo", "--tail", "5", *where]) == 0
    assert f"{killed[1]} localfaas: process ended with -9, starting another" in capfd.readouterr().out
    wait_for(lambda: gateway.manage("GET", "/system/function/echo").get("availableReplicas") == 2)
    assert main(["logs", "nobody", *where]) == 1
    with pytest.raises(LocalfaasError, match="no function nobody"):
        gateway.kill("nobody")
    with pytest.raises(LocalfaasError, match="409 function echo has no call under way"):
        gateway.kill("echo", busy=True)


@pytest.mark.e2e
def test_second_up_in_the_same_state_directory(capsys: Capture, gateway: Running, project: Path) -> None:
    told = said(capsys, *up(project), "--state", str(gateway.state_dir))
    assert f"already runs from {gateway.state_dir}, at {gateway.url}; stop it with `kill {gateway.pid}`" in told


def children(pid: int) -> set[int]:
    """List the processes whose parent is pid."""
    found = set()
    for stat in Path("/proc").glob("[0-9]*/stat"):
        try:
            if int(stat.read_text().rpartition(")")[2].split()[1]) == pid:
                found.add(int(stat.parent.name))
        except (FileNotFoundError, ProcessLookupError):
            continue
    return found


def gone(pids: set[int]) -> bool:
    return not any(Path(f"/proc/{pid}/cmdline").exists() and Path(f"/proc/{pid}/cmdline").read_bytes() for pid in pids)


@pytest.mark.e2e
@pytest.mark.parametrize("how", [signal.SIGINT, signal.SIGTERM, signal.SIGKILL])
def test_everything_that_was_started_ends(project: Path, how: signal.Signals) -> None:
    command = [sys.executable, "-m", "localfaas", *up(project, "--replicas", "hello=2")]
    process = subprocess.Popen(command, cwd=REPO, stdout=subprocess.PIPE, text=True)
    assert process.stdout is not None
    with process.stdout:
        wait_for((project / "state" / "gateway.json").exists)
        found = state.find(project / "state")
        assert (project / "state" / "basic-auth-password").stat().st_mode & 0o077 == 0
        functions = children(process.pid)
        assert len(functions) == 2
        process.send_signal(how)
        code = process.wait(timeout=30)
        table = process.stdout.read()
    assert re.search(rf"(?m)^hello +2 +{re.escape(found.url)}/function/hello$", table)
    wait_for(lambda: gone(functions))
    if how is not signal.SIGKILL:
        assert code == 0
        assert not (project / "state" / "gateway.json").exists()
        assert not (project / "state" / "run").exists()


@pytest.mark.e2e
def test_signal_while_functions_start(project: Path) -> None:
    (project / "functions" / "hello" / "handler.py").write_text("import time\ntime.sleep(60)\n")
    process = subprocess.Popen([sys.executable, "-m", "localfaas", *up(project)], cwd=REPO)
    wait_for(lambda: len(children(process.pid)) == 1)
    functions = children(process.pid)
    os.kill(process.pid, signal.SIGTERM)
    assert process.wait(timeout=30) == 130
    assert gone(functions)
