"""Many placements: a hundred in a row, twenty at once, twenty beside UEs that attach; next to bare helm.

LAB_RESULTS names a folder for the raw figures.
"""

from __future__ import annotations

import asyncio
import json
import os
import statistics
import sys
import time
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import pytest

from enb_app.attach import attach
from enb_app.options import AttachOptions
from laptop.site import Site as LaptopSite
from localfaas.process import running
from tests.lab.placing import ROOT, Placing
from tests.lab.test_placement import states

pytestmark = [pytest.mark.lab, pytest.mark.timeout(900)]
IN_A_ROW = 100
AT_ONCE = 20
UES = 200


def p99(values: Sequence[float]) -> float:
    return sorted(values)[max(0, round(len(values) * 0.99) - 1)]


def told(name: str, record: Callable[[str, object], None], **figures: Sequence[float]) -> None:
    """Keep the raw figures: in the report, in LAB_RESULTS, and shortly on standard error."""
    for key, values in figures.items():
        record(f"{name} {key}", list(values))
        short = f"p50 {statistics.median(values):.3f} p99 {p99(values):.3f} of {len(values)}"
        sys.stderr.write(f"\n{name}, {key}: {short}")
    sys.stderr.write("\n")
    folder = os.environ.get("LAB_RESULTS")
    if folder:
        Path(folder).mkdir(parents=True, exist_ok=True)
        raw = {"at": int(time.time()), "load": os.getloadavg(), **{key: list(v) for key, v in figures.items()}}
        (Path(folder) / f"{name.replace(' ', '-')}.json").write_text(json.dumps(raw, indent=1))


def listed(placing: Placing) -> list[dict[str, Any]]:
    """The whole inventory."""
    found: list[dict[str, Any]] = placing.post("placement", {"action": "list"})["placements"]
    return found


def test_a_hundred_in_a_row_cost_little_more_than_bare_helm(
    placing: Placing, record_property: Callable[[str, object], None]
) -> None:
    """Each is uninstalled before the next; bare helm takes its turn in between, so that both meet the same load."""
    ours, bare = [], []
    for number in range(IN_A_ROW):
        begun = time.monotonic()
        answer = placing.post("placement", placing.request("row", cluster="edge-a"))
        ours.append(round(time.monotonic() - begun, 3))
        if answer["status"] == "progressing":  # the machine was too slow for one call: that is this one's time, too
            answer = placing.call("row", cluster="edge-a", id=answer.get("id"))
        assert (answer["error"], answer["revision"]) == (None, 1), (number, answer)
        placing.remove("row")
        bare.append(placing.bare_helm("row-bare"))
        placing.bare_uninstall("row-bare")
    told("in a row", record_property, placement_s=ours, bare_helm_s=bare)
    assert placing.left_over() == []
    assert states(placing.around.a, placing.namespace, "row") == []
    [row] = [r for r in listed(placing) if r["release"] == "row"]
    assert row["is_placed"] is False
    assert statistics.median(ours) <= 1.5 * statistics.median(bare)


def test_twenty_at_once_all_come_to_their_end(placing: Placing, record_property: Callable[[str, object], None]) -> None:
    names = [f"once-{number}" for number in range(AT_ONCE)]
    begun = time.monotonic()

    def place(number: int) -> str:
        cluster = placing.clusters[number % 2].name
        return placing.send(placing.request(names[number], cluster=cluster, wait=True, timeout_s=300))

    with ThreadPoolExecutor(AT_ONCE) as pool:
        paths = list(pool.map(place, range(AT_ONCE)))
    ends = [placing.callbacks.end(path, within_s=400) for path in paths]
    took = round(time.monotonic() - begun, 3)
    assert [(end["status"], end["release"], end["revision"]) for end in ends] == [("ready", name, 1) for name in names]
    told("at once", record_property, placement_s=[end["time_taken_s"] for end in ends], all_s=[took])
    for number, name in enumerate(names):
        assert states(placing.clusters[number % 2], placing.namespace, name) == [(1, "deployed")]
    placed = {r["release"] for r in listed(placing) if r["is_placed"]}
    assert set(names) <= placed
    for number, name in enumerate(names):
        placing.remove(name, placing.clusters[number % 2].name)
    assert placing.left_over() == []


def test_twenty_placements_leave_the_attaches_beside_them_their_time(
    placing: Placing, tmp_path: Path, record_property: Callable[[str, object], None]
) -> None:
    """The MME's functions, the placement function and the ticker share one gateway, its queue, and one store."""
    site = LaptopSite(tmp_path / "site", placing.store_url)
    site.provision(3 * UES)
    for name in ("edge-signing-key", "edge-kubeconfigs", "placement-policy", "placement-credentials"):
        (site.secrets / name).write_text((placing.secrets / name).read_text())
    environment = {"store_url": placing.store_url, "helm_binary": str(placing.around.helm), "helm_timeout_s": "10"}
    kept = placing.gateway, placing.ticker
    with running(ROOT / "stack.yml", workers=4, env=environment, secrets_dir=site.secrets, port=0) as gateway:
        placing.gateway = gateway
        placing.ticker.terminate()
        placing.ticker.wait(30)
        placing.run_ticker()
        try:

            def attached(first_ue: int) -> list[float]:
                options = AttachOptions(
                    gateway=gateway.url,
                    secrets=site.secrets,
                    subscribers=site.subscribers,
                    first_ue=first_ue,
                    ues=UES,
                    concurrency=4,
                )
                result = asyncio.run(attach(options, lambda _: None))
                assert (result.attached, result.failed) == (UES, 0)
                return [ms / 1000 for ms in result.attach_ms]

            attached(0)
            alone = attached(UES)
            paths = [
                placing.send(placing.request(f"beside-{number}", cluster="edge-a", values={"image": placing.image}))
                for number in range(AT_ONCE)
            ]
            beside = attached(2 * UES)
            for path in paths:
                end = placing.callbacks.end(path, within_s=300)
                assert end["error"] is None, end
            told("attaches beside", record_property, alone_s=alone, beside_s=beside)
            for number in range(AT_ONCE):
                placing.remove(f"beside-{number}")
        finally:
            placing.ticker.terminate()
            placing.ticker.wait(30)
            placing.gateway = kept[0]
            placing.run_ticker()
    assert placing.left_over() == []
    assert p99(beside) <= 1.5 * p99(alone)
