"""An asynchronous placement on a laptop comes to its end: the site's own ticker takes its steps."""

from __future__ import annotations

import json
import time
from pathlib import Path

import pytest

from laptop.site import Site
from tests.lab.placing import callbacks
from trust import signing
from trust.secrets import SIGNING_KEY, read_secret
from trust.signing import Signed, Way

pytestmark = [pytest.mark.e2e, pytest.mark.timeout(300)]
CALLER = "operator/alice"


def test_an_async_placement_is_accepted_and_its_end_called_back(tmp_path: Path) -> None:
    site = Site(tmp_path / "site")
    site.provision(1)
    grant = {"locations": ["*"], "namespaces": ["lab"], "repositories": ["*"]}
    (site.secrets / "placement-policy").write_text(json.dumps({"callers": {CALLER: grant}}))
    body = json.dumps(
        {
            "function_name": "upf",
            "run_namespace": "lab",
            "cluster": "nowhere",
            "chart_repository": "oci://registry.example/charts/upf",
            "chart_version": "1.0.0",
        }
    ).encode()
    with callbacks() as kept, site.serve(port=0, workers=1) as gateway:
        url = f"{kept.url}/end"
        signed = Signed(CALLER, str(int(time.time())), Way.UP, "placement", url, body)
        key = signing.derive_key(read_secret(SIGNING_KEY, site.secrets), CALLER)
        headers = {**signing.headers(key, signed), "X-Callback-Url": url}
        assert gateway.invoke("placement", body, headers=headers, asynchronous=True).status == 202
        deadline = time.monotonic() + 120
        while not any((answer["error"] or {}).get("code") == "unknown_cluster" for answer in kept.answers("/end")):
            assert time.monotonic() < deadline, kept.answers("/end")
            with kept.changed:
                kept.changed.wait(1)
        assert kept.answers("/end")[0]["status"] in ("accepted", "refused")
