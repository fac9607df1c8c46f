"""charts/edge-platform on a real cluster: it works, and outlives killed pods, an upgrade and an uninstall.

The tests build on one installation and go in their order; each leaves it as it found it, but the last.
"""

from __future__ import annotations

import os
import secrets
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from edge import cli as edge
from laptop.site import Site as LaptopSite
from mme.codec import envelope
from tests.lab.installed import READY_S, RELEASE, ROOT, Platform, gateway_calls, platform
from tests.lab.kubectl import eventually
from tests.lab.site import Site

pytestmark = [pytest.mark.lab, pytest.mark.timeout(900)]

# Programs that run in a pod with the tools' image.  argv: the store's URL, then as each says.
ROWS = """
import sys
from mme.store.base import Table
from mme.store.opening import open_store

store = open_store(sys.argv[1])
for table in (Table.UE_CONTEXT, Table.SUBSCRIBER):
    for key, row in store.scan(table):
        print(table.value, key, row.version, row.value.hex())
"""
# Every 10 ms a row; prints its key once it is acknowledged, "-" where it is not or may not have been, "end" at last.
WRITER = """
import pathlib, sys, time
from mme.errors import StoreError
from mme.store.base import Saved, Table
from mme.store.opening import open_store

store = open_store(sys.argv[1])
for number in range(10**9):
    if pathlib.Path(sys.argv[2]).exists():
        break
    key = f"{sys.argv[3]}{number}"
    try:
        done = store.save(Table.UE_CONTEXT, key, key.encode(), expect=None, writer=key)
    except StoreError:
        done = None
    print(key if isinstance(done, Saved) else "-", flush=True)
    time.sleep(0.01)
print("end", flush=True)
"""
# Of a UE that is not there: the timer of a session, which mme-timer judges; any other would be taken for stale.
TIMER = """
import sys
from mme.enums import TimerName
from mme.store.base import TimerRow
from mme.store.opening import open_store

store = open_store(sys.argv[1])
due_ms = store.now_ms() + int(sys.argv[2])
store.insert_timer(TimerRow(0, due_ms, TimerName.UNUSED_SESSION.value, sys.argv[3], "4096"), ttl_s=600)
"""


KEYS = ("edge-signing-key", "subscriber-key", "m-tmsi-key")
UES = 8


@pytest.fixture(scope="module")
def one(site: Site, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Platform]:
    with platform(site, site.b, f"platform-{secrets.token_hex(3)}", tmp_path_factory.mktemp("platform")) as running:
        yield running


def rows(one: Platform, store: str = "") -> dict[str, str]:
    """Every UE context and subscriber of the store: version and value by table and key."""
    lines = one.python(ROWS, store or one.store).splitlines()
    return {" ".join(line.split()[:2]): " ".join(line.split()[2:]) for line in lines}


def test_cassandra_has_joined_when_it_is_ready_and_its_volume_is_a_claim(one: Platform) -> None:
    (node,) = one.cluster.get("pods", namespace=one.namespace, labels="app.kubernetes.io/component=cassandra")["items"]
    assert {c["type"]: c["status"] for c in node["status"]["conditions"]}["Ready"] == "True"
    assert "Mode: NORMAL" in one.cluster.exec("cassandra-0", "nodetool", "netstats", namespace=one.namespace)
    (line,) = [
        line
        for line in one.cluster.exec("cassandra-0", "nodetool", "status", namespace=one.namespace).splitlines()
        if node["status"]["podIP"] in line
    ]
    assert line.startswith("UN ")
    claims = {c["metadata"]["name"]: c for c in one.cluster.get("pvc", namespace=one.namespace)["items"]}
    assert claims["data-cassandra-0"]["status"]["phase"] == "Bound"


def test_the_migration_job_is_complete_and_the_store_has_all(one: Platform) -> None:
    job = one.cluster.get("job", f"{RELEASE}-migrate", namespace=one.namespace)
    assert job["status"]["succeeded"] == 1
    one.edge("store", "status", "--store", one.store)


def test_both_tickers_serve_and_a_due_timer_is_fired(one: Platform) -> None:
    for name in ("ticker", "placement-ticker"):
        found = one.cluster.get("deployment", f"{RELEASE}-{name}", namespace=one.namespace)
        assert found["status"]["readyReplicas"] == 2, name
    fires(one, "before")


def fires(one: Platform, token: str) -> None:
    """Write a timer, and wait until a ticker has called mme-timer with it."""
    one.python(TIMER, one.store, "1000", token)
    eventually(lambda: token in fired(one), f"timer {token} at the gateway", within_s=120)


def fired(one: Platform) -> set[str]:
    """Tokens of the timers that tickers have called mme-timer with."""
    return {
        item.timer.token
        for path, body in gateway_calls(one)
        if path == "/function/mme-timer"
        for item in envelope.decode_request(body).items
        if item.timer
    }


def test_ues_attach_on_this_cassandra(one: Platform, tmp_path: Path) -> None:
    """With localfaas here as the gateway, and the keys that the chart made.  What they leave is killed below."""
    with one.forwarded() as store:
        serving = LaptopSite(tmp_path / "site", store)
        assert edge.main(["secrets", "init", str(serving.secrets)]) == 0
        for name in KEYS:
            (serving.secrets / name).write_text(one.key(name))
        serving.provision(UES)
        with serving.serve(port=0, ticker=False) as gateway:
            words = ["attach", "--ues", str(UES), "--gateway", gateway.url, "--secrets", str(serving.secrets)]
            done = subprocess.run(
                [sys.executable, "-m", "enb_app.cli", *words, "--subscribers", str(serving.subscribers)],
                env={**os.environ, "PYTHONPATH": f"{ROOT}:{ROOT / 'enb-app'}"},
                check=False,
                capture_output=True,
                text=True,
                timeout=300,
            )
        assert done.returncode == 0, done.stdout + done.stderr
    assert len([key for key in rows(one) if key.startswith("ue_context ")]) == UES


@pytest.mark.parametrize("death", ["pod"])
def test_a_killed_cassandra_loses_nothing_and_everybody_finds_it_again(one: Platform, site: Site, death: str) -> None:
    if death == "process" and site.plan is None:
        pytest.skip("LAB_KUBECONFIGS names clusters whose nodes' processes are out of reach")
    before = rows(one)
    acknowledged, stop, errors = f"/tmp/{death}.acknowledged", f"/tmp/{death}.stop", f"/tmp/{death}.errors"  # noqa: S108
    writer = 'python -c "$1" "$2" "$3" "$4" > "$5" 2> "$6" &'
    words = [WRITER, one.store, stop, f"{death}-", acknowledged, errors]
    one.cluster.exec("client", "sh", "-c", writer, "writer", *words, namespace=one.functions)

    def written() -> list[str]:
        return one.cluster.exec("client", "cat", acknowledged, namespace=one.functions).split()

    eventually(lambda: len(written()) >= 50, "rows of the writer", within_s=60)
    old = one.pod("cassandra-0")
    if death == "pod":
        one.kubectl("delete", "pod", "cassandra-0", "--force", "--grace-period=0")
    else:
        one.kill_process("cassandra-0", "org.apache.cassandra.service.CassandraDaemon")

    eventually(lambda: came_back(one, old, death), "cassandra-0, new and Ready", within_s=READY_S)
    # The writer's process had a session before: it has to find the node at its new address by itself.
    eventually(lambda: written()[-1] != "-" and "-" in written(), "an acknowledged row after the kill", within_s=90)
    one.cluster.exec("client", "touch", stop, namespace=one.functions)
    eventually(lambda: written()[-1] == "end", "the writer's end", within_s=60)
    # Its name leads nowhere until it is Ready, and what a DNS remembers of that lasts some seconds.
    eventually(lambda: bool(one.edge("store", "status", "--store", one.store)), "the store", within_s=90)
    after = rows(one)
    lost = [key for key in written() if key not in ("-", "end") and f"ue_context {key}" not in after]
    assert lost == []
    assert before.items() <= after.items()
    for name in ("ticker", "placement-ticker"):
        one.kubectl("rollout", "status", f"deployment/{RELEASE}-{name}", "--timeout=60s", timeout_s=70)
    fires(one, f"after-{death}")


def came_back(one: Platform, old: dict[str, Any], death: str) -> bool:
    """Whether the pod, or the process in it, is another one and Ready."""
    new = one.pod("cassandra-0")
    (container,) = new["status"].get("containerStatuses", [{"restartCount": 0}])
    other = new["metadata"]["uid"] != old["metadata"]["uid"] if death == "pod" else container["restartCount"] > 0
    ready = {c["type"]: c["status"] for c in new["status"].get("conditions", [])}.get("Ready")
    return other and container.get("ready", False) and ready == "True"


def test_an_upgrade_migrates_first_and_leaves_cassandra_and_the_keys(one: Platform) -> None:
    before = {name: one.cluster.get("secret", name, namespace=one.functions)["data"] for name in KEYS}
    job = one.cluster.get("job", f"{RELEASE}-migrate", namespace=one.namespace)["metadata"]["uid"]
    node = one.pod("cassandra-0")["metadata"]["uid"]
    one.install("--set", "ticker.replicas=3")
    one.ready()
    assert one.cluster.get("job", f"{RELEASE}-migrate", namespace=one.namespace)["metadata"]["uid"] != job
    assert one.pod("cassandra-0")["metadata"]["uid"] == node
    found = one.cluster.get("deployment", f"{RELEASE}-ticker", namespace=one.namespace)
    assert found["status"]["readyReplicas"] == 3
    assert before == {name: one.cluster.get("secret", name, namespace=one.functions)["data"] for name in KEYS}


def test_after_an_uninstall_data_backups_and_keys_are_there_and_an_install_takes_them_over(one: Platform) -> None:
    before = rows(one)
    keys = {name: one.cluster.get("secret", name, namespace=one.namespace)["data"] for name in KEYS}
    one.uninstall()
    claims = {c["metadata"]["name"] for c in one.cluster.get("pvc", namespace=one.namespace)["items"]}
    assert claims == {"data-cassandra-0", f"{RELEASE}-backups"}
    for namespace in (one.namespace, one.functions):
        assert keys == {name: one.cluster.get("secret", name, namespace=namespace)["data"] for name in KEYS}
    of_jobs = (f"{RELEASE}-migrate", "restore", "backup-")

    def left() -> list[str]:
        names = [item["metadata"]["name"] for item in one.cluster.get("all", namespace=one.namespace)["items"]]
        return [name for name in names if not name.startswith(of_jobs)]

    eventually(lambda: left() == [], "the release's workloads to be gone", within_s=120)
    one.install()
    one.ready()
    assert rows(one) == before
    assert keys == {name: one.cluster.get("secret", name, namespace=one.functions)["data"] for name in KEYS}
