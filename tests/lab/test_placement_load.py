"""Many placements: a hundred in a row, twenty at once, twenty beside UEs that attach; next to bare helm.

LAB_RESULTS names a folder for the raw figures (tests/lab/figures.py).
"""

from __future__ import annotations

import asyncio
import contextlib
import statistics
import sys
import time
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest

from enb_app.attach import attach
from enb_app.options import AttachOptions
from laptop.site import Site as LaptopSite
from localfaas.process import Running, running
from tests.lab import cgroups, machine
from tests.lab.figures import p99, told
from tests.lab.kubectl import eventually
from tests.lab.placing import ROOT, Placing
from tests.lab.test_placement import states

pytestmark = [pytest.mark.lab, pytest.mark.timeout(900)]
IN_A_ROW = 100
AT_ONCE = 20
UES = 200
CONCURRENCY = 4
ALONE = 6
"""Attach runs without placements, of UES each: twelve of their attaches are slower than their p99."""
MOST_UES = 150 * UES
"""Twice as many as are attached while twenty placements rest for as long as they ever do (placement/pacing.py)."""


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
    """Next to twenty bare ones at once, and all until their pods are ready: told, without a bound.

    Those take all of the processors; the function's run one by one and rest (placement/pacing.py).
    """
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
    for number, name in enumerate(names):
        assert states(placing.clusters[number % 2], placing.namespace, name) == [(1, "deployed")]
    placed = {r["release"] for r in listed(placing) if r["is_placed"]}
    assert set(names) <= placed
    for number, name in enumerate(names):
        placing.remove(name, placing.clusters[number % 2].name)
    assert placing.left_over() == []
    begun = time.monotonic()

    def place_bare(number: int) -> float:
        return placing.bare_helm(names[number], cluster=placing.clusters[number % 2].name)

    with ThreadPoolExecutor(AT_ONCE) as pool:
        bare = list(pool.map(place_bare, range(AT_ONCE)))
    eventually(
        lambda: all(available(placing, "once-", c.name) == AT_ONCE // 2 for c in placing.clusters),
        "pods of bare helm's",
        within_s=300,
    )
    bare_took = round(time.monotonic() - begun, 3)
    for number, name in enumerate(names):
        placing.bare_uninstall(name, cluster=placing.clusters[number % 2].name)
    ours = [end["time_taken_s"] for end in ends]
    told("at once", record_property, placement_s=ours, all_s=[took], bare_helm_s=bare, bare_all_s=[bare_took])


def test_twenty_placements_leave_the_attaches_beside_them_their_time(
    placing: Placing, tmp_path: Path, record_property: Callable[[str, object], None]
) -> None:
    """The MME's functions, the placement function and the ticker share one gateway, its queue, and one store.

    The clusters stand for other machines, and yield here.  Half of the attaches alone come before, and half after, so
    that both meet the same machine.
    """
    plan = placing.around.plan
    clusters = {} if plan is None else {name: machine.processes_in(name) for name in plan.namespaces}
    yielding = cgroups.yielding(clusters) if clusters else contextlib.nullcontext()
    with yielding, beside(placing, tmp_path) as mme:
        mme.attach()
        alone = mme.attach_times(ALONE // 2)
        paths = [
            placing.send(placing.request(f"beside-{number}", cluster="edge-a", values={"image": placing.image}))
            for number in range(AT_ONCE)
        ]
        with_placements = mme.attach_until(lambda: all(placing.callbacks.has_ended(path) for path in paths))
        ends = [placing.callbacks.end(path, within_s=1) for path in paths]
        assert [end["error"] for end in ends] == [None] * AT_ONCE
        eventually(lambda: available(placing, "beside-") == AT_ONCE, "the pods of those placed", within_s=300)
        alone += mme.attach_times(ALONE // 2)
        for number in range(AT_ONCE):
            placing.remove(f"beside-{number}")
    took = [end["time_taken_s"] for end in ends]
    told("attaches beside", record_property, alone_s=alone, beside_s=with_placements, placement_s=took)
    ratio = p99(with_placements) / p99(alone)
    sys.stderr.write(f"p99 beside placements {ratio:.2f} x\n")
    assert placing.left_over() == []
    assert ratio <= 1.5


def available(placing: Placing, prefix: str, cluster: str = "edge-a") -> int:
    """Deployments called so whose pods run."""
    (where,) = (one for one in placing.clusters if one.name == cluster)
    found = where.get("deployments", namespace=placing.namespace)["items"]
    mine = [one for one in found if one["metadata"]["name"].startswith(prefix)]
    return sum(one["status"].get("availableReplicas", 0) == one["spec"]["replicas"] for one in mine)


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

    def attach_times(self, times: int) -> list[float]:
        return [took for _ in range(times) for took in self.attach()]

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
