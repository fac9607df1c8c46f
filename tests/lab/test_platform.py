"""charts/edge-platform on a real cluster: it works, and outlives killed pods, an upgrade and an uninstall.

All on one installation, which each leaves as it found it.  Commands are the pages' own where these have them.
"""

from __future__ import annotations

import base64
import contextlib
import re
import secrets
import time
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from laptop.site import Site as LaptopSite
from tests.lab import oci, platform_images
from tests.lab.documented import OPERATIONS, WALK, block
from tests.lab.errors import LabError
from tests.lab.installed import CLIENT, READY_S, RELEASE, Platform, platform, tool_pod
from tests.lab.kubectl import Cluster, eventually
from tests.lab.policies import enforced
from tests.lab.reaching import prober
from tests.lab.site import Site
from tests.lab.stored import fires, rows

pytestmark = [pytest.mark.lab, pytest.mark.beside(cluster="a"), pytest.mark.timeout(900)]

# Programs that run in a pod with the tools' image.  argv: the store's URL, then as each says.
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
PUT = """
import sys
from mme.store.base import Saved, Table
from mme.store.opening import open_store

store = open_store(sys.argv[1])
for number in range(int(sys.argv[2])):
    done = store.save(Table.UE_CONTEXT, f"{sys.argv[3]}{number}", bytes(400), expect=None, writer="put")
    assert isinstance(done, Saved), done
"""

KEYS = ("edge-signing-key", "subscriber-key", "m-tmsi-key")
UES = 8
ENDS = ("cql", "storage", "function")


@pytest.fixture(scope="module")
def one(site: Site, cluster: Cluster, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Platform]:
    with platform(site, cluster, f"platform-{secrets.token_hex(3)}", tmp_path_factory.mktemp("platform")) as running:
        yield running


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


def test_the_walk_goes_on_to_the_first_attach(one: Platform, tmp_path: Path) -> None:
    """k8s/README.md from its keys on, with localfaas here as the gateway, and no eNB but enb-app."""
    before, here = rows(one), one.shell
    here.run(block(WALK, "edge secrets init keys").splitlines()[0])
    here.run(block(WALK, "get secret $name"), {"-n edge": f"-n {one.namespace}"})
    assert (here.folder / "keys/subscriber-key").read_text() == one.key("subscriber-key")
    with one.forwarded() as store:
        here.run(block(WALK, "edge subscribers import"), {"cassandra://127.0.0.1:9042/edge": store.partition("?")[0]})
        serving = LaptopSite(tmp_path / "site", store)
        serving.folder.mkdir()
        serving.secrets.symlink_to(here.folder / "keys")
        with serving.serve(port=0, ticker=False) as gateway:
            places = {"http://GATEWAY:8080": gateway.url, "192.0.2.7": "127.0.0.1", "--ues 1": f"--ues {UES}"}
            here.run(block(WALK, "enb-app attach"), places, timeout_s=300)
    made = rows(one).keys() - before.keys()
    assert len([key for key in made if key.startswith("ue_context ")]) == UES


def test_a_backup_made_at_once_is_restored_beside_what_runs(one: Platform) -> None:
    one.python(PUT, one.store, "50", "kept-")
    before = rows(one)
    where = {"-n edge": f"-n {one.namespace}"}
    backup, restore = block(OPERATIONS, "backup-now"), block(OPERATIONS, "patch=k8s/restore.yaml")
    said = one.shell.run(backup + block(OPERATIONS, "logs job/$backup"), where)
    assert re.search(r"^backup-now-\d+ +Complete ", said, re.M), said
    one.python(PUT, one.store, "1", "later-")
    said = one.shell.run(restore + block(OPERATIONS, "logs job/$restore"), where)
    taken = re.search(r"^restoring (\S+) into the keyspace restored$", said, re.M)
    assert taken is not None, said
    assert f"{taken[1]}/manifest.json" in said.splitlines()
    restored = rows(one, one.store.replace("/edge?", "/restored?"))
    assert restored == before
    assert len([key for key in restored if key.startswith("ue_context kept-")]) == 50
    # Into what is there now it fails, at once and for good, and the page's commands say so.
    began = time.monotonic()
    # The page's last wait is for a job about to be complete; nobody here has to wait so long for one that never is.
    short = {"condition=complete job/$restore --timeout=1m": "condition=complete job/$restore --timeout=10s"}
    with pytest.raises(LabError, match="timed out waiting for the condition on jobs/restore-"):
        one.shell.run(restore, where | short)
    assert time.monotonic() - began < READY_S
    ended = jobs(one, "restore-")
    failed = [name for name, job in ended.items() if job["status"].get("failed")]
    assert len(failed) == 1
    assert ended[failed[0]]["status"]["failed"] == 1
    assert "is not empty" in one.kubectl("logs", f"job/{failed[0]}")
    # A second backup is another job.
    one.shell.run(backup, where)
    # As after a loss: no table is left, and the first of the two backups is the one to be had.
    dropping = block(OPERATIONS, "DROP KEYSPACE restored")
    there = {"BACKUP=20260122T021700Z": f"BACKUP={taken[1]}"}
    one.shell.run(block(OPERATIONS, "edge-ticker --replicas=0"), where | there)
    assert {pod["metadata"]["labels"]["app.kubernetes.io/component"] for pod in tickers(one)} == {"placement-ticker"}
    one.shell.run(dropping, {**where, "KEYSPACE restored": "KEYSPACE edge"})
    with pytest.raises(LabError, match="keyspace edge has schema 0"):
        rows(one)
    one.shell.run(restore, {**where, "patch=k8s/restore.yaml": "patch=restore-edge.yaml"})
    assert rows(one) == before
    one.shell.run(block(OPERATIONS, "edge-ticker --replicas=2"), where)
    fires(one, "after-a-loss")
    # What was restored beside it is away, and another one finds its place empty.
    one.shell.run(dropping, where)
    with pytest.raises(LabError, match="keyspace restored has schema 0"):
        rows(one, one.store.replace("/edge?", "/restored?"))
    for name in (*jobs(one, "backup-now-"), *jobs(one, "restore-")):
        # The CronJob takes away all but the last of its jobs that ended well, whoever began them.
        one.kubectl("delete", "job", name, "--ignore-not-found")


def jobs(one: Platform, prefix: str) -> dict[str, dict[str, Any]]:
    found = {job["metadata"]["name"]: job for job in one.cluster.get("jobs", namespace=one.namespace)["items"]}
    return {name: job for name, job in found.items() if name.startswith(prefix)}


def test_a_replaced_key_reaches_tickers_and_functions_by_the_pages_commands(one: Platform) -> None:
    """With a Deployment in a function's place, which has the secret where functions have it."""
    where, name = "/var/openfaas/secrets", "edge-signing-key"
    pod = tool_pod(one, "function", one.functions, {"faas_function": "function"})
    main = pod["spec"]["containers"][0] | {"volumeMounts": [{"name": "secrets", "mountPath": where}]}
    spec = pod["spec"] | {"restartPolicy": "Always", "containers": [main]}
    spec["volumes"] = [{"name": "secrets", "secret": {"secretName": name}}]
    labels = pod["metadata"]["labels"]
    template = {"metadata": {"labels": labels}, "spec": spec}
    deployment = {
        "apiVersion": "apps/v1",
        "kind": "Deployment",
        "metadata": {"name": "function", "namespace": one.functions},
        "spec": {"selector": {"matchLabels": labels}, "template": template},
    }
    old, here = tickers(one), one.shell
    one.cluster.apply(deployment)
    one.cluster.wait("-n", one.functions, "--for=condition=Available", "deployment/function", within_s=READY_S)
    (here.folder / "keys").mkdir(exist_ok=True)
    here.run(block(OPERATIONS, "get secret $name"), {"-n edge ": f"-n {one.namespace} "})
    here.run(f"edge secrets add-key {name} --secrets keys")
    new = (here.folder / "keys" / name).read_text()
    namespaces = {"edge openfaas-fn": f"{one.namespace} {one.functions}"}
    namespaces |= {"-n edge ": f"-n {one.namespace} ", "-n openfaas-fn": f"-n {one.functions}"}
    here.run(block(OPERATIONS, "for namespace in edge openfaas-fn"), namespaces)
    assert one.cluster.exec("deployment/function", "cat", f"{where}/{name}", namespace=one.functions) == new
    assert len(tickers(one)) == len(old)
    for ticker in tickers(one):
        assert ticker["metadata"]["uid"] not in {pod["metadata"]["uid"] for pod in old}
        said = one.cluster.exec(ticker["metadata"]["name"], "cat", f"/var/secrets/edge/{name}", namespace=one.namespace)
        assert said == new
    one.cluster.kubectl("-n", one.functions, "delete", "deployment", "function")
    fires(one, "after-a-key")


def test_the_secret_of_receivers_is_made_where_alertmanager_reads_it(one: Platform) -> None:
    keys = one.shell.folder / "keys"
    keys.mkdir(exist_ok=True)
    (keys / "slack-url").write_text("http://192.0.2.9/hook\n")
    one.shell.run(block(OPERATIONS, "create secret generic people"), {"-n openfaas ": f"-n {one.gateway} "})
    made = one.cluster.get("secret", "people", namespace=one.gateway)["data"]
    one.cluster.kubectl("-n", one.gateway, "delete", "secret", "people")
    assert {name: base64.b64decode(text) for name, text in made.items()} == {"url": b"http://192.0.2.9/hook\n"}


@pytest.mark.parametrize("death", ["pod", "process"])
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
    (before,), (container,) = (pod["status"].get("containerStatuses", [{"restartCount": 0}]) for pod in (old, new))
    restarted = container["restartCount"] > before["restartCount"]
    other = new["metadata"]["uid"] != old["metadata"]["uid"] if death == "pod" else restarted
    ready = {c["type"]: c["status"] for c in new["status"].get("conditions", [])}.get("Ready")
    return other and container.get("ready", False) and ready == "True"


def test_policies_refuse_strangers_and_let_the_platform_work(one: Platform, site: Site) -> None:
    """Enforced by tests/lab/policies.py: the lab's network does not, and no engine of other makers could be had."""
    if site.plan is None:
        pytest.skip("LAB_KUBECONFIGS names clusters whose nodes' rules are out of reach")
    labels = {"app.kubernetes.io/name": "edge-platform", "app.kubernetes.io/instance": RELEASE}
    part = "app.kubernetes.io/component"
    # Under the names of who is let in, but in the wrong place or with a part of the labels.
    cast = {
        "app-beside-functions": (one.functions, {"app": "gateway"}),
        "function-beside-gateway": (one.gateway, {"faas_function": "mme-enb"}),
        "function-of-others": (one.functions, {"faas_function": "f"}),
        "ticker-of-nobody": (one.namespace, {"faas_function": "mme-enb", part: "ticker"}),
        "ticker-beside-functions": (one.functions, {**labels, part: "ticker"}),
        "prometheus": (one.namespace, {**labels, part: "prometheus"}),
        "ticker": (one.namespace, {**labels, part: "ticker"}),
        "function": (one.functions, {"faas_function": "mme-enb"}),
    }
    made = list(cast)
    serving = ["python", "-m", "http.server", "8080", "--directory", "/tmp"]  # noqa: S108
    with contextlib.ExitStack() as stack:
        for name, (namespace, _) in cast.items():
            stack.callback(one.cluster.kubectl, "-n", namespace, "delete", "pod", name, "--ignore-not-found")
        one.cluster.apply(*(tool_pod(one, name, *where, command=serving) for name, where in cast.items()))
        for name in made:
            one.cluster.wait("-n", cast[name][0], "--for=condition=Ready", f"pod/{name}", within_s=READY_S)
        cast |= {"gateway": (one.gateway, {}), CLIENT: (one.functions, {})}
        function = one.cluster.get("pod", "function", namespace=one.functions)["status"]["podIP"]
        node = one.pod("cassandra-0")["status"]["podIP"]
        ask = {
            name: stack.enter_context(prober(one.cluster, namespace, name)).ask for name, (namespace, _) in cast.items()
        }

        def reached() -> dict[str, set[str]]:
            """Who reaches what; whom neither lets in nor refuses is in neither."""
            found: dict[str, set[str]] = {f"{what} {how}": set() for what in ENDS for how in ("open", "refused")}
            for name, tries in ask.items():
                told = tries([(node, 9042), (node, 7000), (function, 8080)])
                for what, how in zip(ENDS, told, strict=True):
                    found.setdefault(f"{what} {how}", set()).add(name)
            return found

        everybody = set(cast)
        open_to_all = {f"{what} open": everybody for what in ENDS} | {f"{what} refused": set() for what in ENDS}
        eventually(lambda: reached() == open_to_all, "everybody to reach everything", within_s=60)
        with enforced(one.cluster):
            # No policy keeps a pod from itself.
            allowed = {
                "cql": {"ticker", "function", CLIENT},
                "storage": set(),
                "function": {"gateway", "function"},
            }
            told = reached()
            for what, who in allowed.items():
                assert told[f"{what} open"] == who
                assert told[f"{what} refused"] == everybody - who
            fires(one, "under-policies")
            # A job's pod is let in some seconds after it is there, as with any engine: it has to wait for its store.
            one.kubectl("create", "job", f"--from=cronjob/{RELEASE}-backup", "backup-under-policies")
            one.kubectl(
                "wait", "--for=condition=complete", "job/backup-under-policies", "--timeout=240s", timeout_s=250
            )
            one.kubectl("delete", "job", "backup-under-policies", "--ignore-not-found")
            one.install()  # its migration has to reach the store
        eventually(lambda: reached() == open_to_all, "everybody to reach everything again", within_s=60)


def test_an_upgrade_migrates_first_and_leaves_cassandra_the_keys_and_what_was_set(one: Platform, site: Site) -> None:
    before = {name: one.cluster.get("secret", name, namespace=one.functions)["data"] for name in KEYS}
    job = one.cluster.get("job", f"{RELEASE}-migrate", namespace=one.namespace)
    node = one.pod("cassandra-0")["metadata"]["uid"]
    image = platform_images.edge_tools()
    newer = oci.push(replace(image, environment={**image.environment, "NEWER": "1"}), site.registry)
    line = next(line for line in block(OPERATIONS, "tools.image.tag=1.1").splitlines() if line.startswith("helm "))
    tag = {"tools.image.tag=1.1": f"tools.image.tag={newer.rpartition(':')[2]}"}
    one.shell.run(line, {"--namespace edge": f"--namespace {one.namespace}", **tag})
    one.ready()
    newest = one.cluster.get("job", f"{RELEASE}-migrate", namespace=one.namespace)
    assert newest["status"]["succeeded"] == 1
    labels = "app.kubernetes.io/component=ticker"
    sets = one.cluster.get("replicasets", namespace=one.namespace, labels=labels)["items"]
    assert job["metadata"]["uid"] != newest["metadata"]["uid"]
    # By one machine's clock, in whole seconds.
    assert newest["status"]["completionTime"] <= max(each["metadata"]["creationTimestamp"] for each in sets)
    images = {container["image"] for pod in tickers(one) for container in pod["spec"]["containers"]}
    assert images == {newer}
    assert one.pod("cassandra-0")["metadata"]["uid"] == node
    assert before == {name: one.cluster.get("secret", name, namespace=one.functions)["data"] for name in KEYS}
    one.install()
    one.ready()


def tickers(one: Platform) -> list[dict[str, Any]]:
    """The pods of both tickers, but those that are on their way out."""
    found = one.cluster.get("pods", namespace=one.namespace)["items"]
    return [
        pod
        for pod in found
        if pod["metadata"]["labels"].get("app.kubernetes.io/component") in ("ticker", "placement-ticker")
        and "deletionTimestamp" not in pod["metadata"]
    ]


def test_an_uninstall_drains_and_leaves_data_backups_and_keys_which_an_install_takes_over(one: Platform) -> None:
    before = rows(one)
    keys = {name: one.cluster.get("secret", name, namespace=one.namespace)["data"] for name in KEYS}
    with one.followed("cassandra-0") as told:
        one.uninstall()
    # By `nodetool`, before anybody told the process to end: its own end flushes, too, but clients are not told first.
    assert re.search(r"\[RMI [^]]*\] .* DRAINED$", told(), re.M), told()[-3000:]
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
