"""A replica's memory does not grow with the attaches it has served."""

from __future__ import annotations

import os
from dataclasses import replace
from pathlib import Path

import pytest

from bench import replicas
from enb_app.outbox import Policy
from laptop.site import Site
from tests.e2e.conftest import Core

pytestmark = [pytest.mark.e2e, pytest.mark.xdist_group("e2e-memory"), pytest.mark.timeout(300)]

LIMIT_KIB = 4 * 1024
POLICY = replace(Policy(), batch=50, calls=1)


@pytest.mark.skipif(os.environ.get("CI") != "true", reason="takes a minute or two: run with CI=true")
def test_rss_after_1500_attaches_against_500(tmp_path: Path) -> None:
    site = Site(tmp_path / "site")
    site.provision(1500)
    with site.serve(port=0) as gateway:
        core = Core(site, gateway)
        assert core.attach(ues=500, concurrency=50, policy=POLICY).failed == 0
        few = replicas.resident(gateway)
        assert core.attach(ues=1000, concurrency=50, policy=POLICY).failed == 0
        many = replicas.resident(gateway)
    assert set(few) == set(many) >= {"mme-initial-ue", "mme-uplink-nas", "mme-ue-context"}
    growth = {name: many[name] - few[name] for name in few}
    assert max(growth.values()) <= LIMIT_KIB, growth
