"""`edge placements`: what is placed, and what was done to it, as tables."""

from __future__ import annotations

from pathlib import Path

import pytest

from durable.opening import open_store
from edge.cli import main
from placement.inventory import Event, Inventory, Placement
from placement.tables import TABLES

MORNING = 1_774_343_045_000
"""date -u -d @1774343045: 2026-03-24 09:04:05."""


def event(at_ms: int, action: str = "apply", outcome: str = "ready", call_id: str = "1", revision: int = 1) -> Event:
    digest = "0123456789abcdef" if action == "apply" else ""
    return Event(at_ms, "operator/alice", action, "upf-1.4.2", digest, revision, outcome, 2.345, call_id)


@pytest.fixture
def url(tmp_path: Path) -> str:
    """An inventory: one placed twice, one elsewhere whose pods crash, one that was removed."""
    made = f"sqlite:///{tmp_path / 'edge.db'}"
    store = open_store(made, TABLES)
    inventory = Inventory(store)

    def placed(cluster: str, namespace: str, release: str, *events: Event, is_placed: bool = True) -> None:
        for each in events:
            digest = each.values_digest
            row = (cluster, namespace, release, "upf-1.4.2", "oci://r/upf", each.revision, digest, "", is_placed)
            inventory.remember(Placement(*row), each)

    placed("edge-a", "core", "upf-1", event(MORNING), event(MORNING + 60_000, call_id="2", revision=2))
    placed("edge-b", "ran", "du", event(MORNING + 1000, outcome="pods_crash"))
    gone = (event(MORNING), event(MORNING + 9000, "uninstall", "uninstalled", "2", 0))
    placed("edge-a", "core", "old", *gone, is_placed=False)
    store.close()
    return made


def shown(capsys: pytest.CaptureFixture[str], *arguments: str) -> list[list[str]]:
    """The table's lines as words, without the titles."""
    assert main(["placements", *arguments]) == 0
    titles, *lines = capsys.readouterr().out.splitlines()
    assert titles.startswith(("CLUSTER", "AT (UTC)"))
    return [line.split() for line in lines]


def test_what_is_there_now_is_shown_with_its_last_operation(url: str, capsys: pytest.CaptureFixture[str]) -> None:
    assert shown(capsys, "--store", url) == [
        [
            "edge-a",
            "core/upf-1",
            "upf-1.4.2",
            "2",
            "0123456789abcdef",
            "ready",
            "operator/alice",
            "2026-03-24",
            "09:05:05",
        ],
        [
            "edge-b",
            "ran/du",
            "upf-1.4.2",
            "1",
            "0123456789abcdef",
            "pods_crash",
            "operator/alice",
            "2026-03-24",
            "09:04:06",
        ],
    ]


@pytest.mark.parametrize(
    ("options", "releases"),
    [
        (["--all"], ["core/old", "core/upf-1", "ran/du"]),
        (["--cluster", "edge-a"], ["core/upf-1"]),
        (["--cluster", "edge-a", "--all"], ["core/old", "core/upf-1"]),
        (["--namespace", "ran"], ["ran/du"]),
        (["--namespace", "ran", "--cluster", "edge-a"], []),
        (["--cluster", "nowhere"], []),
    ],
)
def test_it_can_be_narrowed(
    url: str, capsys: pytest.CaptureFixture[str], options: list[str], releases: list[str]
) -> None:
    assert [line[1] for line in shown(capsys, *options, "--store", url)] == releases


def test_the_history_is_in_the_order_of_time_over_all_releases(url: str, capsys: pytest.CaptureFixture[str]) -> None:
    assert [" ".join(line) for line in shown(capsys, "--history", "--all", "--store", url)] == [
        "2026-03-24 09:04:05 edge-a core/old apply upf-1.4.2 1 0123456789abcdef ready 2.3 operator/alice",
        "2026-03-24 09:04:05 edge-a core/upf-1 apply upf-1.4.2 1 0123456789abcdef ready 2.3 operator/alice",
        "2026-03-24 09:04:06 edge-b ran/du apply upf-1.4.2 1 0123456789abcdef pods_crash 2.3 operator/alice",
        "2026-03-24 09:04:14 edge-a core/old uninstall upf-1.4.2 - - uninstalled 2.3 operator/alice",
        "2026-03-24 09:05:05 edge-a core/upf-1 apply upf-1.4.2 2 0123456789abcdef ready 2.3 operator/alice",
    ]


def test_a_repeated_event_is_one_line(url: str, capsys: pytest.CaptureFixture[str]) -> None:
    store = open_store(url, TABLES)
    old = Inventory(store).get("edge-b", "ran", "du")
    assert old is not None
    Inventory(store).remember(old, old.history[-1])
    store.close()
    assert len(shown(capsys, "--history", "--namespace", "ran", "--store", url)) == 1


def test_an_empty_inventory_is_a_table_without_lines(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert shown(capsys, "--store", f"sqlite:///{tmp_path}/new.db") == []
    assert shown(capsys, "--history", "--store", f"sqlite:///{tmp_path}/new.db") == []


def test_without_a_store_or_with_one_that_is_not_there_it_says_what_to_do(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.delenv("STORE_URL", raising=False)
    assert main(["placements"]) == 2
    assert "--store" in capsys.readouterr().err
    assert main(["placements", "--store", f"sqlite:///{tmp_path}/missing/x.db"]) == 1
    told = capsys.readouterr().err
    assert told.startswith("edge: ")
    assert "Traceback" not in told
