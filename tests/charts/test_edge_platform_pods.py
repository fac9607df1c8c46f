"""charts/edge-platform: what its pods are told, by when they end, and where they may run."""

from __future__ import annotations

import subprocess
from pathlib import Path
from typing import Any

import pytest
import yaml

from durable.cassandra import TIMEOUT_S
from mme import ticker
from tests.charts.rendering import ROOT, Charts, Manifest, named, of_kind, pods

CASES = sorted((ROOT / "charts/edge-platform/ci").glob("*-values.yaml"))


def checksums(manifests: list[Manifest]) -> dict[str, dict[str, str]]:
    return {
        name: notes
        for name, pod in pods(manifests).items()
        if (notes := pod["metadata"].get("annotations", {})) and any(key.startswith("checksum/") for key in notes)
    }


@pytest.mark.parametrize(
    ("values", "renewed"),
    [
        ({}, set()),
        ({"monitoring": {"thresholds": {"mme-enb": {"invocations": 8}}}}, {"StatefulSet edge-prometheus"}),
        ({"monitoring": {"callers": ["192.0.2.7:9200"]}}, {"StatefulSet edge-prometheus"}),
        (
            {"monitoring": {"alertmanager": {"people": {"slack_configs": [{"channel": "#edge"}]}}}},
            {"StatefulSet edge-prometheus", "StatefulSet edge-alertmanager"},  # one template holds both configurations
        ),
    ],
    ids=["nothing", "a threshold", "a caller", "who gets alerts"],
)
def test_who_reads_its_configuration_at_the_start_only_is_replaced_when_it_changes(
    charts: Charts, default: list[Manifest], values: dict[str, Any], renewed: set[str]
) -> None:
    before, after = checksums(default), checksums(charts.render("edge-platform", values, release="edge"))
    assert set(before) == set(after) == {"StatefulSet edge-prometheus", "StatefulSet edge-alertmanager"}
    assert {name for name in before if before[name] != after[name]} == renewed


def test_the_ticker_is_told_its_settings_and_the_other_one_none_of_them(charts: Charts) -> None:
    settings = {"ticker": {"settings": {"clock_bound_ms": 100, "timer_outage_s": "60"}}}
    found = pods(charts.render("edge-platform", settings, release="edge"))
    told = {
        name: {each["name"]: each["value"] for each in found[f"Deployment edge-{name}"]["spec"]["containers"][0]["env"]}
        for name in ("ticker", "placement-ticker")
    }
    own = {"clock_bound_ms": "100", "timer_outage_s": "60"}
    assert told["ticker"] == told["placement-ticker"] | own
    assert not own.keys() & told["placement-ticker"].keys()


@pytest.mark.parametrize("name", ["ticker", "placement-ticker"])
def test_a_ticker_has_the_time_to_end_its_tick_and_give_its_leases_back(default: list[Manifest], name: str) -> None:
    """A tick's parts, the one call to the store that it is in, and the one that gives the leases back."""
    longest_s = ticker.PART_LIMIT_S + ticker.TROUBLE_LIMIT_S + 2 * TIMEOUT_S
    assert pods(default)[f"Deployment edge-{name}"]["spec"]["terminationGracePeriodSeconds"] >= longest_s


def test_a_backup_may_take_hours_and_is_over_before_the_next_and_its_volume_stays(default: list[Manifest]) -> None:
    spec = named(default, "CronJob", "edge-backup")["spec"]
    assert spec["schedule"] == "17 2 * * *"
    assert 4 * 3600 <= spec["jobTemplate"]["spec"]["activeDeadlineSeconds"] < 24 * 3600
    assert spec["concurrencyPolicy"] == "Forbid"
    claim = named(default, "PersistentVolumeClaim", "edge-backups")
    assert claim["metadata"]["annotations"] == {"helm.sh/resource-policy": "keep"}


def test_tables_are_made_after_the_first_install_and_before_the_programs_that_want_them(
    default: list[Manifest],
) -> None:
    hooks = named(default, "Job", "edge-migrate")["metadata"]["annotations"]["helm.sh/hook"]
    assert hooks == "post-install,pre-upgrade"


@pytest.mark.parametrize(
    ("status", "migrate", "asked"),
    [("1 1 0", "1 0", ["status", "migrate", "status", "migrate"]), ("0", "1", ["status"])],
    ids=["Cassandra is not there yet", "a newer program has migrated"],
)
def test_the_job_that_makes_tables_waits_for_cassandra_and_leaves_a_newer_schema_alone(
    default: list[Manifest], tmp_path: Path, status: str, migrate: str, asked: list[str]
) -> None:
    """status, migrate: how `edge store` ends each time."""
    (container,) = pods(default)["Job edge-migrate"]["spec"]["containers"]
    (tmp_path / "status").write_text("\n".join(status.split()))
    (tmp_path / "migrate").write_text("\n".join(migrate.split()))
    edge = (
        'edge() { echo "$2" >> asked; code=$(head -n 1 "$2"); sed -i 1d "$2"; [ "$3 $4" = "--store url" ]; '
        'return "$code"; }; sleep() { :; }'
    )
    *shell, script = container["command"]
    environment = {"PATH": "/usr/bin:/bin", "STORE_URL": "url"}
    subprocess.run([*shell, f"{edge}\n{script}"], cwd=tmp_path, env=environment, check=True, timeout=20)
    assert (tmp_path / "asked").read_text().split() == asked


@pytest.mark.parametrize("path", CASES, ids=lambda path: path.name)
def test_no_pod_leaves_seccomp_and_secrets_are_for_its_group_only(charts: Charts, path: Any) -> None:
    found = pods(charts.render("edge-platform", yaml.safe_load(path.read_text()), release="edge"))
    for name, pod in found.items():
        spec = pod["spec"]
        assert spec["securityContext"]["seccompProfile"] == {"type": "RuntimeDefault"}, name
        for container in [*spec.get("initContainers", []), *spec["containers"]]:
            assert "seccompProfile" not in container["securityContext"], name
        for volume in spec.get("volumes", []):
            if "secret" in volume or "projected" in volume:
                assert (volume.get("secret") or volume["projected"])["defaultMode"] == 0o440, name
                assert spec["securityContext"]["fsGroup"] == spec["securityContext"]["runAsGroup"], name


def test_the_secrets_that_are_checked_are_there(charts: Charts, default: list[Manifest]) -> None:
    """Of tickers, of Alertmanager, and with a Cassandra of one's own of every program of the store."""
    own = yaml.safe_load((ROOT / "charts/edge-platform/ci/03-own-cassandra-values.yaml").read_text())

    def with_secrets(manifests: list[Manifest]) -> set[str]:
        return {
            name.rpartition(" edge-")[2]
            for name, pod in pods(manifests).items()
            if any(volume.keys() & {"secret", "projected"} for volume in pod["spec"].get("volumes", []))
        }

    assert with_secrets(default) == {"ticker", "placement-ticker", "alertmanager"}
    assert with_secrets(charts.render("edge-platform", own, release="edge")) >= {"ticker", "placement-ticker"}


def test_cassandras_nodes_begin_in_turn_and_keep_apart_and_are_not_killed_for_being_drained(charts: Charts) -> None:
    three = charts.render("edge-platform", {"cassandra": {"nodes": 3}}, release="edge")
    spec = named(three, "StatefulSet", "cassandra")["spec"]
    assert spec["podManagementPolicy"] == "OrderedReady"
    affinity = spec["template"]["spec"]["affinity"]
    assert set(affinity) == {"podAntiAffinity"}
    (apart,) = affinity["podAntiAffinity"]["preferredDuringSchedulingIgnoredDuringExecution"]
    assert apart["podAffinityTerm"]["topologyKey"] == "kubernetes.io/hostname"
    assert apart["podAffinityTerm"]["labelSelector"] == spec["selector"]
    (container,) = spec["template"]["spec"]["containers"]
    # A node that drains has closed its CQL port already.
    assert container["livenessProbe"]["tcpSocket"] == {"port": "storage"}
    # What it has at its first start it keeps.
    assert {"name": "CASSANDRA_NUM_TOKENS", "value": "16"} in container["env"]
    assert len(of_kind(three, "StatefulSet")) == 3
