"""charts/network-function and charts/open5gs: what they render, and what their schemas refuse."""

from __future__ import annotations

import copy
import json
import re
from pathlib import Path
from typing import Any

import fastjsonschema
import pytest
import yaml

from reload import edits, request
from reload.agent import settings
from reload.errors import ReloadError
from tests.charts.rendering import ROOT, Charts, Manifest, RefusedValuesError, of_kind, pod_of

NGINX: dict[str, Any] = {
    "image": {"repository": "registry.example/nginx", "tag": "1"},
    "command": ["nginx", "-c", "/etc/nf/nginx.conf", "-g", "daemon off;"],
    "config": {"files": {"nginx.conf": "events {}\n# 001 {{ not a template }}\n"}},
    "reload": {"mode": "wrapper", "policy": "signal", "checks": ["nginx -t -c {dir}/nginx.conf"]},
    "ports": [{"name": "http", "port": 8080}],
}
CORE: dict[str, Any] = {"image": {"repository": "registry.example/open5gs", "tag": "2.7"}}
SIDECAR = {"mode": "sidecar", "sidecar": {"image": "registry.example/auto-reload:1", "targetName": "nginx"}}


def with_values(base: dict[str, Any], **paths: object) -> dict[str, Any]:
    """A copy with `a__b=value` laid over it."""
    values = copy.deepcopy(base)
    for path, value in paths.items():
        holder = values
        *parents, last = path.split("__")
        for step in parents:
            holder = holder.setdefault(step, {})
        if isinstance(value, dict) and isinstance(holder.get(last), dict):
            holder[last] = {**holder[last], **value}
        else:
            holder[last] = value
    return values


def test_a_changed_configuration_leaves_the_pod_template_as_it_is(charts: Charts) -> None:
    """No checksum annotation and no content in the template: either would roll the pod."""
    for reload in ({"mode": "wrapper"}, SIDECAR):
        one = charts.render("network-function", with_values(NGINX, reload=reload))
        two = charts.render(
            "network-function", with_values(NGINX, reload=reload, config={"files": {"nginx.conf": "#"}})
        )
        assert pod_of(one) == pod_of(two)
        assert of_kind(one, "ConfigMap") != of_kind(two, "ConfigMap")
        assert not [key for key in pod_of(one)["metadata"]["annotations"] if "checksum" in key]


def test_no_pod_template_of_the_core_depends_on_plmns_tacs_or_slices(charts: Charts) -> None:
    day_2 = {"plmns": [{"mcc": "999", "mnc": "070"}], "tacs": [8, 16777215], "slices": [{"sst": 2}]}
    one, two = charts.render("open5gs", CORE), charts.render("open5gs", {**CORE, **day_2})
    assert of_kind(one, "Deployment") == of_kind(two, "Deployment")
    changed = {m["metadata"]["name"] for m in of_kind(two, "ConfigMap") if m not in of_kind(one, "ConfigMap")}
    assert changed == {"nf-amf-config", "nf-nrf-config", "nf-nssf-config"}


def test_a_checksum_annotation_is_refused(charts: Charts) -> None:
    with pytest.raises(RefusedValuesError, match=r"podAnnotations|checksum"):
        charts.render("network-function", with_values(NGINX, podAnnotations={"checksum/config": "1"}))


def test_configuration_files_are_kept_to_the_octet(charts: Charts) -> None:
    (config,) = of_kind(charts.render("network-function", NGINX), "ConfigMap")
    assert config["data"] == NGINX["config"]["files"]
    assert config["metadata"]["labels"]["reload.edge/config"] == "true"


@pytest.mark.parametrize("policy", ["none", "signal", "http", "restart"])
@pytest.mark.parametrize("mode", ["wrapper", "sidecar"])
def test_every_policy_becomes_arguments_that_the_agent_accepts(charts: Charts, policy: str, mode: str) -> None:
    reload = {**(SIDECAR if mode == "sidecar" else {"mode": "wrapper"}), "policy": policy}
    reload |= {"http": {"url": "http://127.0.0.1:8080/reload"}, "schemas": {"a.json": {"type": "object"}}}
    values = with_values(NGINX, reload=reload)
    if (policy, mode) == ("restart", "sidecar"):
        with pytest.raises(RefusedValuesError, match="wrapper only"):
            charts.render("network-function", values)
        return
    pod = pod_of(charts.render("network-function", values))["spec"]
    agents = [c for c in [*pod.get("initContainers", []), *pod["containers"]] if c.get("command") == ["auto-reload"]]
    assert len(agents) == (1 if mode == "wrapper" else 2)
    for agent in agents:
        read = settings.read(agent["args"], {})
        assert read.checks == (("nginx", "-t", "-c", "{dir}/nginx.conf"),)
        assert str(read.effective) == "/etc/nf"
        mounts = {mount["mountPath"] for mount in agent["volumeMounts"]}
        assert {str(read.config), str(read.effective), "/reload/schemas"} <= mounts
    read = settings.read(agents[-1]["args"], {})
    assert (read.plan.policy.value, read.plan.wrapper, read.events) == (policy, mode == "wrapper", True)
    assert (pod.get("shareProcessNamespace", False)) == (mode == "sidecar")
    if mode == "wrapper":
        assert read.command == tuple(NGINX["command"])


def test_the_configmap_is_mounted_whole_and_only_the_agent_sees_it(charts: Charts) -> None:
    pod = pod_of(charts.render("network-function", with_values(NGINX, reload=SIDECAR)))["spec"]
    daemon = next(container for container in pod["containers"] if container["name"] == "daemon")
    assert [mount["name"] for mount in daemon["volumeMounts"]] == ["effective"]
    mounts = [mount for c in pod["containers"] + pod["initContainers"] for mount in c["volumeMounts"]]
    assert not [mount for mount in mounts if "subPath" in mount]


def test_the_status_port_is_annotated_probed_and_let_through(charts: Charts) -> None:
    manifests = charts.render("network-function", with_values(NGINX, reload__statusPort=9900))
    template = pod_of(manifests)
    assert template["metadata"]["annotations"]["reload.edge/status-port"] == "9900"
    ports = {port["name"]: port["containerPort"] for port in template["spec"]["containers"][0]["ports"]}
    assert ports == {"http": 8080, "reload-status": 9900}
    (policy,) = of_kind(manifests, "NetworkPolicy")
    assert [port["port"] for rule in policy["spec"]["ingress"] for port in rule["ports"]] == [8080, 9900]
    assert template["spec"]["containers"][0]["readinessProbe"]["httpGet"]["port"] == "reload-status"


def test_the_pod_may_create_events_and_nothing_else(charts: Charts) -> None:
    manifests = charts.render("network-function", NGINX)
    (role,) = of_kind(manifests, "Role")
    assert role["rules"] == [{"apiGroups": [""], "resources": ["events"], "verbs": ["create"]}]
    assert not of_kind(manifests, "ClusterRole")
    without = charts.render("network-function", with_values(NGINX, reload__events=False))
    assert not of_kind(without, "Role")
    assert pod_of(without)["spec"]["automountServiceAccountToken"] is False


@pytest.mark.parametrize(
    ("chart", "values"),
    [
        ("network-function", with_values(NGINX, reload__eventsRole=False)),
        ("open5gs", {**CORE, "network-function": {"reload": {"eventsRole": False}}}),
    ],
)
def test_events_need_no_role_of_the_chart_where_the_namespace_grants_them(
    charts: Charts, chart: str, values: dict[str, Any]
) -> None:
    manifests = charts.render(chart, values)
    assert not [m for m in manifests if m["apiVersion"].startswith("rbac.")]
    for deployment in of_kind(manifests, "Deployment"):
        spec = deployment["spec"]["template"]["spec"]
        assert spec["automountServiceAccountToken"] is True
        assert "--events" in spec["containers"][0]["args"]
    (role,) = [
        role
        for role in of_kind(charts.render("placement-target", {"namespaces": ["lab"]}), "Role")
        if role["metadata"]["name"] == "placement-target-placement-events"
    ]
    assert role["metadata"]["namespace"] == "lab"
    assert role["rules"] == [{"apiGroups": [""], "resources": ["events"], "verbs": ["create"]}]


def test_each_namespace_has_an_account_that_lives_elsewhere_and_is_let_into_no_other(charts: Charts) -> None:
    manifests = charts.render("placement-target", {"namespaces": ["lab"], "existingNamespaces": ["core"]})
    accounts = {(m["metadata"]["namespace"], m["metadata"]["name"]) for m in of_kind(manifests, "ServiceAccount")}
    home = "placement-system"
    assert accounts == {(home, "placement"), (home, "placement-lab"), (home, "placement-core")}
    bound = {
        (m["metadata"]["namespace"], m["roleRef"]["name"]): [(s.get("namespace"), s["name"]) for s in m["subjects"]]
        for m in of_kind(manifests, "RoleBinding")
        if not m["metadata"]["name"].endswith("-events")
    }
    assert bound == {
        (home, "placement"): [(home, "placement")],
        ("lab", "placement-target-placement"): [(home, "placement-lab")],
        ("core", "placement-target-placement"): [(home, "placement-core")],
    }
    (own,) = [m for m in of_kind(manifests, "Role") if m["metadata"]["namespace"] == home]
    names = ["placement-lab", "placement-core"]
    wanted = {"apiGroups": [""], "resources": ["serviceaccounts"], "resourceNames": names, "verbs": ["impersonate"]}
    assert own["rules"] == [wanted]
    (everywhere,) = of_kind(manifests, "ClusterRole")
    assert {verb for rule in everywhere["rules"] for verb in rule["verbs"]} == {"get", "list"}


def test_what_may_make_namespaces_still_places_by_their_accounts(charts: Charts) -> None:
    manifests = charts.render("placement-target", {"createNamespaces": True})
    roles = {m["metadata"]["name"]: m["rules"] for m in of_kind(manifests, "ClusterRole")}
    names = ("", "-events", "-namespace")
    assert set(roles) == {f"placement-target-placement{name}" for name in names}
    mine = [(rule["resources"], rule["verbs"]) for rule in roles["placement-target-placement"]]
    assert (["namespaces"], ["create"]) in mine
    assert (["rolebindings"], ["create"]) in mine
    assert not [resources for resources, _ in mine if "secrets" in resources]
    (binds,) = [rule for rule in roles["placement-target-placement"] if rule["verbs"] == ["bind"]]
    assert binds["resourceNames"] == ["placement-target-placement-namespace", "placement-target-placement-events"]
    assert roles["placement-target-placement-events"] == [
        {"apiGroups": [""], "resources": ["events"], "verbs": ["create"]}
    ]
    (own,) = [m for m in of_kind(manifests, "Role") if m["metadata"]["namespace"] == "placement-system"]
    assert own["rules"] == [{"apiGroups": [""], "resources": ["serviceaccounts"], "verbs": ["create", "impersonate"]}]


def test_no_pod_of_a_namespace_that_is_made_reads_its_nodes_disk(charts: Charts) -> None:
    for given, label in ((None, "baseline"), ("privileged", "privileged"), ("", None)):
        values = {"namespaces": ["lab"]} | ({"podSecurity": given} if given is not None else {})
        made = {
            m["metadata"]["name"]: m["metadata"]
            for m in of_kind(charts.render("placement-target", values), "Namespace")
        }
        assert made["lab"].get("labels", {}).get("pod-security.kubernetes.io/enforce") == label


def test_the_account_lives_in_no_namespace_that_is_placed_in(charts: Charts) -> None:
    for key in ("namespaces", "existingNamespaces"):
        with pytest.raises(RefusedValuesError, match="lives in no namespace that is placed in"):
            charts.render("placement-target", {key: ["placement-system"]})


def test_a_disruption_budget_from_two_replicas_on(charts: Charts) -> None:
    assert not of_kind(charts.render("network-function", NGINX), "PodDisruptionBudget")
    assert of_kind(charts.render("network-function", with_values(NGINX, replicas=2)), "PodDisruptionBudget")


def test_every_pod_selects_itself_and_nobody_else(charts: Charts) -> None:
    manifests = charts.render("open5gs", CORE)
    labels = {
        m["metadata"]["name"]: m["spec"]["template"]["metadata"]["labels"] for m in of_kind(manifests, "Deployment")
    }
    assert len(labels) == 11
    for service in of_kind(manifests, "Service"):
        selector = service["spec"]["selector"].items()
        assert [name for name, has in labels.items() if selector <= has.items()] == [service["metadata"]["name"]]
    for deployment in of_kind(manifests, "Deployment"):
        selector = deployment["spec"]["selector"]["matchLabels"].items()
        assert [n for n, has in labels.items() if selector <= has.items()] == [deployment["metadata"]["name"]]
        assert deployment["spec"]["template"]["spec"]["containers"][0]["args"][-3].startswith("open5gs-")


def configs_of(manifests: list[Manifest]) -> dict[str, Any]:
    """Each function's configuration, as a YAML 1.1 parser reads it."""
    found = {}
    for manifest in of_kind(manifests, "ConfigMap"):
        if "reload.edge/config" in manifest["metadata"]["labels"]:
            ((name, text),) = manifest["data"].items()
            found[name.removesuffix(".yaml")] = yaml.safe_load(text)
    return found


def test_what_reload_md_shows_can_be_set_in_the_cores_configuration(charts: Charts) -> None:
    """Both of the page's calls, and the path of the hint that a wrong one gets."""
    page = (ROOT / "docs" / "reload.md").read_text()
    shown = [json.loads(text) for text in re.findall(r'\{"[^{}`]*"set": \{[^{}]*\}[^{}]*\}', page)]
    assert len(shown) == 2
    with pytest.raises(ReloadError) as refused:
        edits.split_target("")
    shown.append({"configmap": "core-amf-config", "set": {refused.value.hint.split('"')[1]: "8"}})
    configs = {m["metadata"]["name"]: m["data"] for m in of_kind(charts.render("open5gs", CORE, "core"), "ConfigMap")}
    for call in shown:
        asked = request.parse(json.dumps({"cluster": "edge-a", "namespace": "open5gs", **call}).encode())
        for target, value in asked.set.items():
            file, path = edits.split_target(target)
            before = configs[asked.configmap][file]
            after = edits.edited(file, before.encode(), {path: value}).decode()
            old, new = before.splitlines(), after.splitlines()
            assert [str(value) in line for line, was in zip(new, old, strict=True) if line != was] == [True]


def test_plmns_tacs_and_slices_reach_the_functions_as_what_they_are(charts: Charts) -> None:
    values = {
        **CORE,
        "plmns": [{"mcc": "001", "mnc": "01"}, {"mcc": "010", "mnc": "070"}],
        "tacs": [7, "8", "16777215"],
    }
    values["slices"] = [{"sst": 1, "sd": "000001"}, {"sst": 2}]
    configs = configs_of(charts.render("open5gs", values, release="core"))
    amf = configs["amf"]["amf"]
    assert [tai["plmn_id"] for tai in amf["tai"]] == values["plmns"]
    assert [tai["tac"] for tai in amf["tai"]] == [[7, "8", "16777215"]] * 2
    assert amf["plmn_support"][1] == {"plmn_id": {"mcc": "010", "mnc": "070"}, "s_nssai": values["slices"]}
    assert [served["plmn_id"] for served in configs["nrf"]["nrf"]["serving"]] == values["plmns"]
    assert [nsi["s_nssai"] for nsi in configs["nssf"]["nssf"]["sbi"]["client"]["nsi"]] == values["slices"]
    assert configs["smf"]["smf"]["sbi"]["client"]["scp"] == [{"uri": "http://core-scp:7777"}]


def test_every_configuration_of_the_core_fits_the_schema_that_its_agent_checks(charts: Charts) -> None:
    manifests = charts.render("open5gs", CORE)
    configs = configs_of(manifests)
    schemas = {
        name.removesuffix(".yaml.json"): json.loads(text)
        for manifest in of_kind(manifests, "ConfigMap")
        if manifest["metadata"]["name"].endswith("-schemas")
        for name, text in manifest["data"].items()
    }
    assert set(schemas) == set(configs)
    for name, schema in schemas.items():
        fastjsonschema.compile(schema)(configs[name])
    configs["amf"]["amf"]["tai"][0]["plmn_id"]["mnc"] = 1
    with pytest.raises(fastjsonschema.JsonSchemaValueException, match="mnc must be string"):
        fastjsonschema.compile(schemas["amf"])(configs["amf"])


@pytest.mark.parametrize(
    ("chart", "change"),
    [
        ("open5gs", {"plmns": [{"mcc": 1, "mnc": "01"}]}),
        ("open5gs", {"plmns": [{"mcc": "001", "mnc": 1}]}),
        ("open5gs", {"plmns": []}),
        ("open5gs", {"tacs": [16777216]}),
        ("open5gs", {"tacs": ["16777216"]}),
        ("open5gs", {"tacs": ["000012"]}),
        ("open5gs", {"tacs": ["0x7"]}),
        ("open5gs", {"slices": [{"sst": 256}]}),
        ("open5gs", {"slices": [{"sst": 1, "sd": 1}]}),
        ("open5gs", {"functions": {"mme": {}}}),
        ("open5gs", {"image__repository": ""}),
        ("open5gs", {"unknown": 1}),
        ("network-function", {"image__repository": ""}),
        ("network-function", {"image__tag": ""}),
        ("network-function", {"config": {"files": {}}, "config__files": {}}),
        ("network-function", {"config__files": {"a/b": "x"}}),
        ("network-function", {"config__effective": "relative"}),
        ("network-function", {"reload__policy": "reboot"}),
        ("network-function", {"reload": {"mode": "sidecar"}}),
        ("network-function", {"reload__policy": "http"}),
        ("network-function", {"command": []}),
        ("network-function", {"ports": [{"name": "http", "port": 0}]}),
        ("network-function", {"unknown": 1}),
    ],
)
def test_wrong_values_are_refused(charts: Charts, chart: str, change: dict[str, object]) -> None:
    values = with_values(CORE if chart == "open5gs" else NGINX, **change)
    if change.get("config__files") == {}:
        values["config"]["files"] = {}
    with pytest.raises(RefusedValuesError):
        charts.render(chart, values)


def test_they_lint(charts: Charts, tmp_path: Path) -> None:
    """charts/edge-platform, with each of its cases: tests/charts/test_edge_platform.py."""
    cases = {"network-function": NGINX, "open5gs": CORE, "placement-target": {"existingNamespaces": ["core"]}}
    assert {*cases, "edge-platform"} == {path.parent.name for path in charts.folder.glob("*/Chart.yaml")}
    for chart, values in cases.items():
        file = tmp_path / "values.json"
        file.write_text(json.dumps(values))
        assert "0 chart(s) failed" in charts.run("lint", "--strict", str(charts.folder / chart), "-f", str(file))


def test_further_containers_stand_beside_the_daemon(charts: Charts) -> None:
    beside = {"name": "beside", "image": "registry.example/beside:1"}
    pod = pod_of(charts.render("network-function", with_values(NGINX, containers=[beside])))
    assert [container["name"] for container in pod["spec"]["containers"]] == ["daemon", "beside"]
    with pytest.raises(RefusedValuesError):
        charts.render("network-function", with_values(NGINX, containers=[{"name": "no-image"}]))


@pytest.mark.parametrize("reload", [{"mode": "wrapper"}, SIDECAR], ids=["wrapper", "sidecar"])
def test_probes_resources_and_secrets_reach_the_daemons_container(charts: Charts, reload: dict[str, Any]) -> None:
    probes: dict[str, Any] = {
        "liveness": {"tcpSocket": {"port": "http"}, "periodSeconds": 11},
        "readiness": {"httpGet": {"path": "/ready", "port": "http"}, "periodSeconds": 12},
        "startup": {"exec": {"command": ["true"]}, "failureThreshold": 13},
    }
    resources = {"requests": {"cpu": "75m", "memory": "1Gi"}, "limits": {"memory": "2Gi"}}
    more = {"probes": probes, "resources": resources, "envFromSecrets": ["one", "two"], "env": {"LEVEL": "1"}}
    daemon = pod_of(charts.render("network-function", with_values(NGINX, reload=reload, **more)))["spec"]["containers"][
        0
    ]
    assert daemon["name"] == "daemon"
    assert {kind: daemon.get(f"{kind}Probe") for kind in probes} == probes
    assert daemon["resources"] == resources
    assert daemon["envFrom"] == [{"secretRef": {"name": "one"}}, {"secretRef": {"name": "two"}}]
    assert {"name": "LEVEL", "value": "1"} in daemon["env"]
    bare = pod_of(charts.render("network-function", with_values(NGINX, reload=reload)))["spec"]["containers"]
    defaults = yaml.safe_load((charts.folder / "network-function/values.yaml").read_text())
    expected = [defaults["resources"], defaults["reload"]["sidecar"]["resources"]][: len(bare)]
    assert [container["resources"] for container in bare] == expected


def test_a_digest_names_the_image_before_a_tag_does(charts: Charts) -> None:
    digest = f"sha256:{'0a' * 32}"
    for image, expected in (
        ({}, ":1"),
        ({"digest": digest}, f"@{digest}"),
        ({"digest": digest, "tag": ""}, f"@{digest}"),
    ):
        pod = pod_of(charts.render("network-function", with_values(NGINX, image=image)))
        assert pod["spec"]["containers"][0]["image"] == f"registry.example/nginx{expected}"


def test_the_network_policy_lets_in_its_peers_and_nobody_else(charts: Charts) -> None:
    peers = [{"namespaceSelector": {"matchLabels": {"of": "core"}}}, {"ipBlock": {"cidr": "192.0.2.0/24"}}]
    nodes = [{"ipBlock": {"cidr": "198.51.100.0/24"}}]
    radio = [{"ipBlock": {"cidr": "203.0.113.0/24"}}]
    ports = [{"name": "http", "port": 8080}, {"name": "ngap", "port": 38412, "protocol": "SCTP", "from": radio}]
    for given, expected, status in (
        ({}, [{"podSelector": {}}], {}),
        ({"from": peers, "statusFrom": nodes}, peers, {"from": nodes}),
    ):
        manifests = charts.render("network-function", with_values(NGINX, ports=ports, networkPolicy=given))
        (policy,) = of_kind(manifests, "NetworkPolicy")
        assert policy["spec"] == {
            "podSelector": of_kind(manifests, "Deployment")[0]["spec"]["selector"],
            "policyTypes": ["Ingress"],
            "ingress": [
                {"from": expected, "ports": [{"port": 8080, "protocol": "TCP"}]},
                {"from": radio, "ports": [{"port": 38412, "protocol": "SCTP"}]},
                {"ports": [{"port": 9797, "protocol": "TCP"}], **status},
            ],
        }


def test_who_is_outside_of_the_cluster_reaches_n2_and_n3_of_the_core_and_nothing_else(charts: Charts) -> None:
    """gNBs are, and pods of other namespaces are for their policies."""
    reached = {
        (policy["metadata"]["name"], port["port"])
        for policy in of_kind(charts.render("open5gs", CORE, release="core"), "NetworkPolicy")
        for rule in policy["spec"]["ingress"]
        for port in rule["ports"]
        if rule.get("from") != [{"podSelector": {}}] and port["port"] != 9797
    }
    assert reached == {("core-amf", 38412), ("core-upf", 2152)}


@pytest.mark.parametrize(("given", "expected"), [({}, 1), ({"maxUnavailable": "25%"}, "25%")])
def test_a_disruption_budget_keeps_all_but_that_many(charts: Charts, given: dict[str, Any], expected: object) -> None:
    manifests = charts.render("network-function", with_values(NGINX, replicas=4, podDisruptionBudget=given))
    (budget,) = of_kind(manifests, "PodDisruptionBudget")
    (deployment,) = of_kind(manifests, "Deployment")
    assert deployment["spec"]["replicas"] == 4
    assert budget["spec"] == {"maxUnavailable": expected, "selector": deployment["spec"]["selector"]}


def test_smf_finds_its_upf_and_both_serve_the_same_sessions(charts: Charts) -> None:
    sessions = [
        {"subnet": "10.46.0.0/16", "gateway": "10.46.0.1", "dnn": "internet"},
        {"subnet": "10.47.0.0/16", "gateway": "10.47.0.1", "dnn": "ims"},
    ]
    dns = ["192.0.2.1", "192.0.2.2"]
    manifests = charts.render("open5gs", {**CORE, "sessions": sessions, "dns": dns, "mtu": 1390}, release="core")
    configs = configs_of(manifests)
    smf, upf = configs["smf"]["smf"], configs["upf"]["upf"]
    assert smf["pfcp"] == {"server": [{"dev": "eth0"}], "client": {"upf": [{"address": "core-upf"}]}}
    assert (smf["session"], smf["dns"], smf["mtu"]) == (sessions, dns, 1390)
    assert (upf["pfcp"], upf["session"]) == ({"server": [{"dev": "eth0"}]}, sessions)
    (service,) = [service for service in of_kind(manifests, "Service") if service["metadata"]["name"] == "core-upf"]
    ports = {port["name"]: (port["port"], port["protocol"]) for port in service["spec"]["ports"]}
    assert ports == {"pfcp": (8805, "UDP"), "gtpu": (2152, "UDP")}


@pytest.mark.parametrize(
    "path",
    [
        *("smf.pfcp", "smf.pfcp.server", "smf.pfcp.client", "smf.pfcp.client.upf", "smf.pfcp.client.upf.0.address"),
        *("smf.gtpu", "smf.session", "smf.dns", "upf.pfcp", "upf.pfcp.server", "upf.gtpu", "upf.session"),
    ],
)
def test_a_configuration_without_a_user_plane_is_refused(charts: Charts, path: str) -> None:
    *parents, last = path.split(".")
    function = parents[0]
    schema = json.loads((charts.folder / f"open5gs/schemas/{function}.json").read_text())
    config = configs_of(charts.render("open5gs", CORE))[function]
    fastjsonschema.compile(schema)(config)
    holder = config
    for step in parents:
        holder = holder[int(step) if step.isdigit() else step]
    del holder[last]
    with pytest.raises(fastjsonschema.JsonSchemaValueException, match=last):
        fastjsonschema.compile(schema)(config)


def test_the_sbi_port_is_one_in_configurations_services_and_policies(charts: Charts) -> None:
    manifests = charts.render("open5gs", {**CORE, "sbiPort": 8000})
    configs = configs_of(manifests)
    listening = {name for name, config in configs.items() if "sbi" in config[name]}
    assert listening == set(configs) - {"upf"}
    for name in listening:
        (server,) = configs[name][name]["sbi"]["server"]
        assert server["port"] == 8000
    services = {
        service["metadata"]["labels"]["app.kubernetes.io/component"]: service["spec"]["ports"]
        for service in of_kind(manifests, "Service")
    }
    assert {
        name for name, ports in services.items() if {port["name"]: port["port"] for port in ports}.get("sbi") == 8000
    } == listening
    for deployment in of_kind(manifests, "Deployment"):
        ports = deployment["spec"]["template"]["spec"]["containers"][0]["ports"]
        component = deployment["metadata"]["labels"]["app.kubernetes.io/component"]
        assert [port["containerPort"] for port in ports if port["name"] == "sbi"] == [8000] * (component in listening)
    assert [port["port"] for port in services["amf"]] == [8000, 38412]
    assert [port["port"] for port in services["smf"]] == [8000, 8805, 2123]
    assert "7777" not in json.dumps(manifests)


@pytest.mark.parametrize(("without", "most"), [((), 45), (("ausf", "nssf"), 46)])
def test_a_release_whose_functions_names_would_be_cut_is_refused(
    charts: Charts, without: tuple[str, ...], most: int
) -> None:
    values = {**CORE, "functions": dict.fromkeys(without)}
    release = "r" * most
    names = {m["metadata"]["name"]: m for m in of_kind(charts.render("open5gs", values, release), "Deployment")}
    assert len(names) == 11 - len(without)
    for name, deployment in names.items():
        assert name == f"{release}-{deployment['metadata']['labels']['app.kubernetes.io/component']}"
    with pytest.raises(RefusedValuesError, match=f"has {most + 1} characters, and may have at most {most}:"):
        charts.render("open5gs", values, release + "r")
