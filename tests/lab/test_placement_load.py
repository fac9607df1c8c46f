"""Many placements: a hundred in a row, twenty at once, twenty beside UEs that attach; next to bare helm.

LAB_RESULTS names a folder for the raw figures (tests/lab/figures.py).
"""

from __future__ import annotations

import asyncio
import contextlib
import json
import statistics
import sys
import threading
import time
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest

from enb_app.attach import attach
from enb_app.options import AttachOptions
from laptop.site import Site as LaptopSite
from localfaas.process import Running, running
from tests.lab import machine
from tests.lab.figures import p99, told
from tests.lab.placing import ROOT, Placing
from tests.lab.test_placement import states

pytestmark = [pytest.mark.lab, pytest.mark.timeout(900)]
IN_A_ROW = 100
AT_ONCE = 20
UES = 200
CONCURRENCY = 4
MOST_UES = 30 * UES


def listed(placing: Placing) -> list[dict[str, Any]]:
    """The whole inventory."""
    found: list[dict[str, Any]] = placing.post("placement", {"action": "list"})["placements"]
    return found


def test_a_hundred_in_a_row_cost_little_more_than_bare_helm(
    placing: Placing, record_property: Callable[[str, object], None]
) -> None:
    """Each is uninstalled before the next; bare helm takes its turn in between, so that both meet the same load.

    It yields as the function's helm does, because what the function adds is asked for, not what yielding costs.
    """
    ours, bare = [], []
    for number in range(IN_A_ROW):
        begun = time.monotonic()
        # On a machine that is too slow for one call, the same call again: that is this one's time, too.
        answer = placing.call("row", cluster="edge-a")
        ours.append(round(time.monotonic() - begun, 3))
        assert (answer["error"], answer["revision"]) == (None, 1), (number, answer)
        placing.remove("row")
        bare.append(placing.bare_helm("row-bare", yields=True))
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
    """The MME's functions, the placement function and the ticker share one gateway, its queue, and one store.

    The clusters stand for other machines, and yield here.  The control is bare helm, begun when the placement function
    began it: what that costs the attaches, the cluster and helm cost, and not the function.
    """
    plan = placing.around.plan
    yielding = contextlib.nullcontext() if plan is None else machine.yielding(plan.namespaces)
    with yielding, beside(placing, tmp_path) as mme:
        mme.attach()
        alone = mme.attach()
        begun = time.time()
        paths = [
            placing.send(placing.request(f"beside-{number}", cluster="edge-a", values={"image": placing.image}))
            for number in range(AT_ONCE)
        ]
        with_placements = mme.attach_until(lambda: all(placing.callbacks.has_ended(path) for path in paths))
        for path in paths:
            end = placing.callbacks.end(path, within_s=1)
            assert end["error"] is None, end
        moments = [moment - begun for moment in helm_begins(placing, "beside-")]
        assert len(moments) >= AT_ONCE
        alone += mme.attach()
        with bare_runs(placing, moments[:AT_ONCE]) as running:
            with_bare_helm = mme.attach_until(lambda: not running.is_alive())
        alone += mme.attach()
        for number in range(AT_ONCE):
            placing.remove(f"beside-{number}")
            placing.bare_uninstall(f"control-{number}")
    figures = {"alone_s": alone, "beside_s": with_placements, "beside_bare_helm_s": with_bare_helm}
    told("attaches beside", record_property, **figures, helm_begins_s=moments)
    ratio, control = (p99(found) / p99(alone) for found in (with_placements, with_bare_helm))
    sys.stderr.write(f"p99 beside placements {ratio:.2f} x, beside bare helm {control:.2f} x\n")
    assert placing.left_over() == []
    assert ratio <= 1.5


@dataclass
class Mme:
    """The functions with UEs that attach, never one twice."""

    gateway: Running
    site: LaptopSite
    used: int = 0

    def attach(self) -> list[float]:
        """Seconds of UES attaches, CONCURRENCY at a time."""
        options = AttachOptions(
            gateway=self.gateway.url,
            secrets=self.site.secrets,
            subscribers=self.site.subscribers,
            first_ue=self.used,
            ues=UES,
            concurrency=CONCURRENCY,
        )
        self.used += UES
        result = asyncio.run(attach(options, lambda _: None))
        assert (result.attached, result.failed) == (UES, 0)
        return [ms / 1000 for ms in result.attach_ms]

    def attach_until(self, is_over: Callable[[], bool]) -> list[float]:
        """Attach for as long as it is not over."""
        found = self.attach()
        while not is_over():
            found += self.attach()
        return found


@contextlib.contextmanager
def beside(placing: Placing, folder: Path) -> Iterator[Mme]:
    """All functions of stack.yml on one gateway, for `placing` too as long as the block lasts."""
    site = LaptopSite(folder / "site", placing.store_url)
    site.provision(MOST_UES)
    for name in ("edge-signing-key", "edge-kubeconfigs", "placement-policy", "placement-credentials"):
        (site.secrets / name).write_text((placing.secrets / name).read_text())
    environment = {
        "store_url": placing.store_url,
        "helm_binary": str(placing.around.helm),
        "helm_timeout_s": "10",
        "TMPDIR": str(placing.temporary),
    }
    kept = placing.gateway
    with running(ROOT / "stack.yml", workers=4, env=environment, secrets_dir=site.secrets, port=0) as gateway:
        placing.gateway = gateway
        placing.ticker.terminate()
        placing.ticker.wait(30)
        placing.run_ticker()
        try:
            yield Mme(gateway, site)
        finally:
            placing.ticker.terminate()
            placing.ticker.wait(30)
            placing.gateway = kept
            placing.run_ticker()


def helm_begins(placing: Placing, prefix: str) -> list[float]:
    """When the placement function began helm for releases so called: Unix seconds, by its own log."""
    lines = [line["text"] for line in placing.gateway.logs("placement") if line["text"].startswith("{")]
    steps = [step for step in map(json.loads, lines) if step.get("phase") == "helm" != step.get("next")]
    mine = [step for step in steps if step["release"].partition("/")[2].startswith(prefix)]
    return sorted(step["ts"] - step["ms"] / 1000 for step in mine)


@contextlib.contextmanager
def bare_runs(placing: Placing, moments: Sequence[float]) -> Iterator[threading.Thread]:
    """Bare helm at these moments from now, one after the other."""
    begun = time.monotonic()

    def run() -> None:
        for number, moment in enumerate(moments):
            time.sleep(max(0.0, begun + moment - time.monotonic()))  # the cadence is what is tried
            placing.bare_helm(f"control-{number}")

    thread = threading.Thread(target=run)
    thread.start()
    try:
        yield thread
    finally:
        thread.join()
