"""charts/open5gs on a real cluster: two of its functions, with a daemon that can be had in the place of Open5GS' own.

It reads the configuration that the chart made for AMF when it begins, as Open5GS' does, and serves what it has read.
"""

from __future__ import annotations

import re
import shutil
from pathlib import Path
from typing import Any

import pytest
import yaml

from reload import bundle
from tests.lab import images, oci
from tests.lab.placing import ROOT, Placing, push
from tests.lab.run import run

pytestmark = [pytest.mark.lab, pytest.mark.timeout(600)]
OTHERS = ("scp", "smf", "upf", "ausf", "udm", "udr", "pcf", "nssf", "bsf")
DAEMON = """\
import http.server, sys
text = open(sys.argv[1], "rb").read()
class Handler(http.server.BaseHTTPRequestHandler):
    def do_GET(self):
        self.send_response(200)
        self.end_headers()
        self.wfile.write(text)
http.server.ThreadingHTTPServer(("", 7777), Handler).serve_forever()
"""
ASK = "import urllib.request; print(urllib.request.urlopen('http://127.0.0.1:7777/', timeout=5).read().decode())"


@pytest.fixture
def core(placing: Placing) -> str:
    """The image; the chart is in the registry."""
    charts = placing.folder / "charts"
    shutil.copytree(ROOT / "charts", charts)
    run([placing.around.helm, "dependency", "build", charts / "open5gs"])
    push(placing, charts / "open5gs")
    files: dict[str, str | bytes | Path] = {"/usr/local/bin/auto-reload": bundle.bundle(), "/opt/daemon.py": DAEMON}
    return oci.push(images.build("core-under-reload", files=files), placing.around.registry)


def test_a_changed_tac_and_slice_reach_the_core_and_its_pods_stay(placing: Placing, core: str) -> None:
    cluster, namespace = placing.around.a, placing.namespace
    repository, _, tag = core.rpartition(":")

    def given(tacs: list[int | str], sd: str) -> str:
        functions: dict[str, Any] = dict.fromkeys(OTHERS)
        for name in ("nrf", "amf"):
            functions[name] = {"command": ["python3", "/opt/daemon.py", f"/etc/open5gs/{name}.yaml"]}
            if name == "amf":  # nodes need not have SCTP
                functions[name]["ports"] = [{"name": "sbi"}]
        values = {
            "image": {"repository": repository, "tag": tag},
            "plmns": [{"mcc": "001", "mnc": "01"}],
            "tacs": tacs,
            "slices": [{"sst": 1, "sd": sd}],
            "functions": functions,
            "network-function": {
                "reload": {"eventsRole": False},
                "podSecurityContext": {"runAsNonRoot": True, "runAsUser": 33, "runAsGroup": 33},
                "resources": {"requests": {"cpu": "10m", "memory": "32Mi"}},
            },
        }
        return placing.put("core/values.yaml", yaml.safe_dump(values))

    def placed(tacs: list[int | str], sd: str) -> dict[str, Any]:
        return placing.call(
            "core",
            cluster="edge-a",
            chart_repository=placing.chart("open5gs"),
            chart_version="0.1.0",
            values=None,
            values_yaml_file=given(tacs, sd),
            wait=True,
        )

    def pods() -> dict[str, tuple[str, int]]:
        """Each pod's uid and its containers' restarts."""
        found = cluster.get("pods", namespace=namespace, labels="app.kubernetes.io/instance=core")["items"]
        return {
            pod["metadata"]["name"]: (
                pod["metadata"]["uid"],
                sum(c["restartCount"] for c in pod["status"]["containerStatuses"]),
            )
            for pod in found
        }

    def served() -> Any:
        """What AMF's daemon has read, as YAML."""
        (name,) = [name for name in pods() if name.startswith("core-amf-")]
        said = cluster.kubectl("exec", "-n", namespace, name, "-c", "daemon", "--", "python3", "-c", ASK)
        return yaml.safe_load(said)["amf"]

    first = placed([7], "000001")
    assert (first["status"], first["error"]) == ("ready", None), first
    before = pods()
    assert len(before) == 2
    assert served()["tai"] == [{"plmn_id": {"mcc": "001", "mnc": "01"}, "tac": [7]}]
    again = placed([8, "9"], "00000a")
    assert (again["status"], again["revision"], again["error"]) == ("ready", 2, None), again
    read = served()
    assert [str(tac) for tac in read["tai"][0]["tac"]] == ["8", "9"]
    assert read["plmn_support"][0]["s_nssai"] == [{"sst": 1, "sd": "00000a"}]
    assert pods() == before
    broken = placed([8], "xyz")
    assert broken["status"] == "failed", broken
    assert re.search("sd", broken["error"]["message"]), broken
    assert served()["plmn_support"][0]["s_nssai"] == [{"sst": 1, "sd": "00000a"}]
    assert pods() == before
    placing.remove("core")
    assert placing.left_over() == []
