"""Starting, stopping and killing nodes, and what is said where that cannot be."""

from __future__ import annotations

import os
import socket
import subprocess
import sys
from pathlib import Path

import pytest

from cassandra_lab import cluster, jars, node
from cassandra_lab.__main__ import main
from cassandra_lab.cluster import Cluster, Layout
from cassandra_lab.jars import LabError
from cassandra_lab.node import Node

ROOT = Path(__file__).resolve().parents[2]


def a_node(folder: Path, **fields: int) -> Node:
    ports = {"cql_port": 1, "storage_port": 2, "jmx_port": 3} | fields
    return Node(folder, number=1, of=1, address="127.0.0.1", seed="127.0.0.1", **ports)


@pytest.mark.cassandra
@pytest.mark.timeout(400)
def test_a_node_is_killed_started_again_and_stopped(own_node: Cluster) -> None:
    one = own_node.nodes[0]
    first = node.pid_of(one)
    assert first is not None
    node.kill(one)
    assert node.pid_of(one) is None
    with pytest.raises(OSError, match="refused"):
        socket.create_connection((one.address, one.cql_port), timeout=1)
    own_node.start()
    second = node.pid_of(one)
    assert second not in (None, first)
    node.start(one, own_node.cache)
    assert node.pid_of(one) == second, "a node that runs is left alone"
    node.stop(one)
    assert not Path(f"/proc/{second}").exists()
    own_node.start()


@pytest.mark.parametrize(
    ("missing", "say"), [("java", "Java 17 is missing"), ("mvn", "Maven is missing")], ids=["java", "maven"]
)
def test_what_is_missing_is_one_line_with_its_cure(
    missing: str, say: str, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str], tmp_path: Path
) -> None:
    for name in {"java", "mvn"} - {missing}:
        stand_in = tmp_path / name
        stand_in.write_text("#!/bin/sh\necho 'openjdk version \"17.0.1\"' >&2\n")
        stand_in.chmod(0o755)
    monkeypatch.setenv("PATH", str(tmp_path))
    monkeypatch.delenv("JAVA_HOME", raising=False)
    (tmp_path / "sh").symlink_to("/bin/sh")
    assert main(["check"]) == 2
    told = capsys.readouterr().err
    assert say in told
    assert "apt-get install openjdk-17-jre-headless maven" in told
    assert told.count("\n") == 1


def test_another_java_is_refused_by_its_version(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    java = tmp_path / "bin" / "java"
    java.parent.mkdir()
    java.write_text("#!/bin/sh\necho 'openjdk version \"21.0.2\" 2024-01-16' >&2\n")
    java.chmod(0o755)
    monkeypatch.setenv("JAVA_HOME", str(tmp_path))
    with pytest.raises(LabError, match=r"Java 17 is missing, .* is version 21"):
        jars.java()


def test_the_version_is_pinned_and_no_host_is_named() -> None:
    assert jars.version() == "5.0.6"
    assert "http" not in jars.POM.read_text().replace("http://maven.apache.org/POM/4.0.0", "")


def test_a_port_in_use_is_named_with_its_cure(tmp_path: Path) -> None:
    with socket.socket() as listener:
        listener.bind(("127.0.0.1", 0))
        listener.listen()
        port = listener.getsockname()[1]
        with pytest.raises(LabError, match=rf"port {port} of 127\.0\.0\.1 is in use.*CQL_PORT="):
            node.start(a_node(tmp_path, cql_port=port), tmp_path)


def test_a_pid_that_is_another_programs_by_now_is_not_ours(tmp_path: Path) -> None:
    other = subprocess.Popen([sys.executable, "-c", "input()"], stdin=subprocess.PIPE)
    try:
        one = a_node(tmp_path)
        one.pid_file.write_text(str(other.pid))
        # Until the other program has taken over from the one that starts it, it has no command line.
        while not Path(f"/proc/{other.pid}/cmdline").read_bytes():
            pass
        assert node.pid_of(one) is None
        node.kill(one)
        assert other.poll() is None
    finally:
        other.communicate(b"\n")


def test_data_of_another_number_of_nodes_is_not_touched(tmp_path: Path) -> None:
    three = Cluster(tmp_path / "c", Layout(nodes=3), {}, tmp_path)
    three._agree()
    with pytest.raises(LabError, match="CLEAN=1"):
        Cluster(tmp_path / "c", Layout(nodes=1), {}, tmp_path)._agree()
    assert cluster.read(tmp_path / "c") == Layout(nodes=3)


def test_nothing_to_stop(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["--folder", str(tmp_path), "down"]) == 0
    assert "no Cassandra has been started" in capsys.readouterr().out


def test_nodes_have_their_own_addresses_and_jmx_ports(tmp_path: Path) -> None:
    nodes = Cluster(tmp_path, Layout(nodes=3, cql_port=9142), {}, tmp_path).nodes
    assert [n.contact for n in nodes] == ["127.0.0.1:9142", "127.0.0.2:9142", "127.0.0.3:9142"]
    assert len({n.jmx_port for n in nodes}) == 3
    assert len({n.folder for n in nodes}) == 3


def make_without_java(folder: Path, **told: str) -> subprocess.CompletedProcess[str]:
    """`make test-cassandra` where no Java is found; told: more of its environment."""
    left = ("CI", "JAVA_HOME", "CASSANDRA_HOSTS")
    environment = {name: value for name, value in os.environ.items() if name not in left}
    return subprocess.run(
        ["make", "-s", "test-cassandra", "STAMP="],  # noqa: S607
        check=False,
        cwd=ROOT,
        env=environment | {"JAVA_HOME": str(folder)} | told,
        capture_output=True,
        text=True,
        timeout=110,
    )


@pytest.mark.parametrize("ci", [True, False])
def test_make_fails_without_java_only_where_ci_says_so(ci: bool, tmp_path: Path) -> None:
    run = make_without_java(tmp_path, **({"CI": "true"} if ci else {}))
    assert run.stderr.startswith("cassandra: Java 17 is missing")
    assert (run.returncode != 0) is ci
    assert "passed" not in run.stdout


def test_without_java_a_named_cluster_is_tested_all_the_same(tmp_path: Path) -> None:
    """What starts nodes is left out, and said so."""
    with socket.socket() as bound:
        bound.bind(("127.0.0.1", 0))
        hosts = f"127.0.0.1:{bound.getsockname()[1]}"
        run = make_without_java(tmp_path, CASSANDRA_HOSTS=hosts, PYTEST_ADDOPTS="--collect-only")
    assert run.returncode == 0, run.stdout + run.stderr
    assert "left out: what starts nodes of its own" in run.stdout
    assert "tests/mme/store/test_contract.py::" in run.stdout
    for module in ("test_unknown", "test_access", "test_restart"):
        assert f"{module}.py::" not in run.stdout
