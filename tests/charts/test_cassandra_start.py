"""charts/edge-platform/files/cassandra_start.py: by whom a node joins, and what it waits for."""

from __future__ import annotations

import importlib.util
import socket
import struct
import threading
from collections.abc import Callable, Iterator
from pathlib import Path
from types import ModuleType

import pytest

from tests.charts.rendering import ROOT

HERE = "10.0.0.9"
NAMES = [f"cassandra-{number}.cassandra-nodes.edge.svc" for number in range(3)]


@pytest.fixture
def start() -> ModuleType:
    spec = importlib.util.spec_from_file_location("start", ROOT / "charts/edge-platform/files/cassandra_start.py")
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


class Ring:
    """What DNS and the others say.  counts: by node, how many it knows; None where it does not serve."""

    def __init__(self, start: ModuleType, own: int, counts: dict[int, int | None], *, dns: str = HERE) -> None:
        self.start, self.own = start, NAMES[own]
        self.there = {NAMES[number]: count for number, count in counts.items()}
        known = {name: {"10.0.0.1"} for name in self.there} | {self.own: {dns}}
        start.addresses = lambda name: known.get(name, set())
        start.members = self._members

    def _members(self, name: str) -> int:
        count = self.there[name]
        if count is None:
            raise ConnectionRefusedError
        return count

    def seeds(self, *, founded: bool = True, begun: bool = False) -> list[int]:
        found = self.start.seeds(self.own, NAMES, HERE, founded=founded, begun=begun)
        return [NAMES.index(name) for name in found]

    def waits(self, for_what: str, *, founded: bool = True, begun: bool = False) -> None:
        with pytest.raises(self.start.WaitError, match=for_what):
            self.seeds(founded=founded, begun=begun)


def test_the_first_start_founds_a_ring_and_the_others_join_it(start: ModuleType) -> None:
    assert Ring(start, 0, {}).seeds(founded=False) == [0]
    assert Ring(start, 1, {0: 1}).seeds(founded=False) == [0]
    assert Ring(start, 2, {0: 2, 1: 2}).seeds(founded=False) == [0, 1]
    assert Ring(start, 2, {0: 2, 1: 2}).seeds() == [0, 1]


def test_only_cassandra_0_founds_and_only_once_and_not_while_dns_knows_nothing(start: ModuleType) -> None:
    Ring(start, 1, {}).waits("no other node is there", founded=False)
    Ring(start, 0, {}).waits("no other node is there")
    Ring(start, 0, {}, dns="10.0.0.8").waits("does not lead", founded=False)
    Ring(start, 0, {1: 3, 2: 3}).waits("has to be removed", founded=False)
    Ring(start, 0, {2: None}).waits("does not serve", founded=False)


@pytest.mark.parametrize("own", [0, 1, 2])
def test_an_empty_volume_waits_until_its_node_is_removed_and_all_others_serve(start: ModuleType, own: int) -> None:
    one, other = (number for number in range(3) if number != own)
    Ring(start, own, {one: 3, other: 3}).waits("counts 3 nodes where 2 others are there")
    Ring(start, own, {one: 2, other: 3}).waits("counts 3 nodes")
    Ring(start, own, {one: 2, other: None}).waits("does not serve")
    Ring(start, own, {one: 2}).waits("counts 2 nodes where 1 others")
    Ring(start, own, {one: 1, other: 1}).waits("counts 1 nodes")  # each a ring of its own
    assert Ring(start, own, {one: 2, other: 2}).seeds() == [one, other]


def test_who_was_let_in_before_goes_on_by_the_others_though_they_count_it(start: ModuleType) -> None:
    assert Ring(start, 0, {1: 3, 2: 3}).seeds(begun=True) == [1, 2]
    assert Ring(start, 1, {0: None}).seeds(begun=True) == [0]
    Ring(start, 0, {}).waits("no other node is there", begun=True)


class StartedError(Exception):
    """In place of the image's entry point.  With what seeds and JVM_EXTRA_OPTS."""


@pytest.fixture
def started(start: ModuleType, monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Callable[[], str]:
    """Start on this volume as cassandra-1, which the two others count already; its seeds, or "waits"."""

    def begin(program: str, argv: list[str], environment: dict[str, str]) -> None:
        assert [program, *argv[1:]] == ["docker-entrypoint.sh", "cassandra", "-f"]
        raise StartedError(environment["CASSANDRA_SEEDS"], environment["JVM_EXTRA_OPTS"])

    def run() -> str:
        Ring(start, 1, {0: 3, 2: 3})
        with pytest.raises((StartedError, InterruptedError)) as found:
            start.main()
        return " ".join(map(str, found.value.args))

    def sleep(_: float) -> None:
        raise InterruptedError("waits")

    start.VOLUME = tmp_path
    monkeypatch.setattr("sys.argv", ["-c", str(tmp_path / "founded")])
    monkeypatch.setattr("signal.signal", lambda *_: None)
    monkeypatch.setattr("socket.gethostname", lambda: "cassandra-1")
    monkeypatch.setattr("os.execvpe", begin)
    monkeypatch.setattr("time.sleep", sleep)
    monkeypatch.setenv("CASSANDRA_SEEDS", ",".join(NAMES))
    monkeypatch.setenv("POD_IP", HERE)
    monkeypatch.setenv("JVM_EXTRA_OPTS", "-Xlog:gc")
    return run


def test_a_node_with_data_starts_by_all_and_one_that_has_not_joined_yet_by_the_others(
    started: Callable[[], str], tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert started() == "waits"
    assert "waiting: this volume is empty" in capsys.readouterr().out
    assert (tmp_path / "joining").exists()
    (tmp_path / "data/system").mkdir(parents=True)  # as Cassandra makes it before it joins
    fresh = "-Xlog:gc -Dcassandra.reset_bootstrap_progress=true"
    assert started() == f"{NAMES[0]},{NAMES[2]} {fresh}"
    (tmp_path / "joining").unlink()  # as the startup probe does
    assert started() == f"{','.join(NAMES)} -Xlog:gc"


def test_who_has_waited_for_long_begins_anew_so_that_it_has_all_the_time_to_join(
    start: ModuleType, started: Callable[[], str], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "data/system").mkdir(parents=True)
    (tmp_path / "joining").touch()
    now = iter((100.0, 100.0 + start.LONG_S + 1))
    monkeypatch.setattr("time.monotonic", lambda: next(now))
    with pytest.raises(SystemExit) as ended:
        started()
    assert ended.value.code == 0


@pytest.mark.parametrize(
    ("resolver", "asked"),
    [
        (
            "nameserver 10.96.0.10\nsearch edge.svc.cluster.local svc.cluster.local cluster.local example\n",
            ".cluster.local.",
        ),
        ("search edge.svc.site svc.site. site\noptions ndots:5\n", ".site."),
        ("nameserver 10.96.0.10\n", ""),
    ],
)
def test_names_are_asked_for_whole_so_that_nobody_outside_is_asked(
    start: ModuleType, monkeypatch: pytest.MonkeyPatch, tmp_path: Path, resolver: str, asked: str
) -> None:
    """resolv.conf as kubelet writes it (Kubernetes, "DNS for Services and Pods")."""
    start.RESOLVER = tmp_path / "resolv.conf"
    start.RESOLVER.write_text(resolver)

    def getaddrinfo(name: str, _: object) -> list[tuple[object, ...]]:
        assert name == NAMES[1] + asked
        return [(None, None, None, "", ("10.0.0.1", 0))]

    monkeypatch.setattr(socket, "getaddrinfo", getaddrinfo)
    assert start.addresses(NAMES[1]) == {"10.0.0.1"}


@pytest.mark.parametrize(("number", "known"), [(socket.EAI_NONAME, True), (socket.EAI_AGAIN, False)])
def test_a_dns_that_does_not_answer_is_no_word_that_nobody_is_there(
    start: ModuleType, monkeypatch: pytest.MonkeyPatch, number: int, known: bool
) -> None:
    def getaddrinfo(*_: object) -> None:
        raise socket.gaierror(number, "")

    start.RESOLVER = Path("/dev/null")
    monkeypatch.setattr(socket, "getaddrinfo", getaddrinfo)
    if known:
        assert start.addresses(NAMES[1]) == set()
    else:
        with pytest.raises(start.WaitError, match="does not answer"):
            start.addresses(NAMES[1])


@pytest.fixture
def server(start: ModuleType) -> Iterator[list[bytes]]:
    """Answers each connection's requests by these, a frame for a frame."""
    listening = socket.create_server(("127.0.0.1", 0))
    start.CQL_PORT = listening.getsockname()[1]
    answers: list[bytes] = []

    def serve() -> None:
        connection, _ = listening.accept()
        with connection:
            for answer in answers:
                head = connection.recv(9, socket.MSG_WAITALL)
                connection.recv(struct.unpack(">i", head[5:])[0], socket.MSG_WAITALL)
                connection.sendall(answer)

    thread = threading.Thread(target=serve, daemon=True)
    thread.start()
    with listening:
        yield answers
        thread.join(10)


# As a node of Cassandra 5.0.6 answers that knows another one.
ROWS = bytes.fromhex(
    "000000020000000100000001000673797374656d000870656572735f76320007686f73745f6964000c"
    "0000000100000010eb88666b4ec44788991bd81238053584"
)


def frame(opcode: int, body: bytes) -> bytes:
    return struct.pack(">BBhBi", 0x84, 0, 0, opcode, len(body)) + body


def test_a_node_counts_itself_and_its_peers(start: ModuleType, server: list[bytes]) -> None:
    server += [frame(2, b""), frame(8, ROWS)]
    assert start.members("127.0.0.1") == 2


def test_a_node_with_two_addresses_is_one(start: ModuleType, server: list[bytes]) -> None:
    row = ROWS[-20:]
    other = row[:-1] + b"\0"
    server += [frame(2, b""), frame(8, ROWS[:-24] + struct.pack(">i", 3) + row + other + row)]
    assert start.members("127.0.0.1") == 3


@pytest.mark.parametrize(
    "answers",
    [[], [frame(2, b"")], [frame(2, b""), frame(8, ROWS)[:-1]], [frame(2, b""), frame(0, b"no such table")]],
)
def test_a_node_that_does_not_answer_does_not_serve(
    start: ModuleType, server: list[bytes], answers: list[bytes]
) -> None:
    server += answers
    with pytest.raises(OSError, match=r"ends the connection|refuses|reset"):
        start.members("127.0.0.1")
