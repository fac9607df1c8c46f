"""Every key of the installation is replaced while UEs attach: docs/operations.md, Replace a key."""

from __future__ import annotations

import asyncio
import re
import shutil
import threading
import time
from pathlib import Path

import pytest
import requests

from edge.cli import main as edge
from enb_app.attach import attach
from enb_app.options import AttachOptions
from enb_app.result import Result
from laptop.site import ROOT, Site
from localfaas import stack
from localfaas.process import Running
from trust import signing
from trust.secrets import NAMES, SIGNING_KEY, read_secret
from trust.signing import Signed, Way

pytestmark = [pytest.mark.e2e, pytest.mark.timeout(600)]
# What an attach calls.
FUNCTIONS = ("mme-enb", "mme-initial-ue", "mme-uplink-nas", "mme-ue-context")
UES = 6
ROLLED_WITHIN_S = 180


def replicas(gateway: Running) -> dict[str, set[str]]:
    """The instances of each function that are ready."""
    found: dict[str, set[str]] = {}
    for target in gateway.manage("GET", "/localfaas/targets"):
        name = target["labels"]["function_name"].partition(".")[0]
        found.setdefault(name, set()).add(target["labels"]["pod"])
    return found


def codes(gateway: Running) -> set[str]:
    """With what the invocations have ended so far."""
    told = requests.get(gateway.metrics_url, timeout=20).text
    return set(re.findall(r'^gateway_function_invocation_total\{.*code="(\d+)"', told, re.M))


def give(site: Site, gateway: Running) -> None:
    """What `faas-cli secret update` and `faas-cli deploy` do: new files, and a rolling update of who reads them."""
    for name in NAMES:
        gateway.manage("PUT", "/system/secrets", {"name": name, "value": (site.secrets / name).read_text()})
    before = replicas(gateway)
    overlay = {"store_url": site.store_url}
    functions = stack.load(ROOT / "stack.yml", overlay).functions
    for name in FUNCTIONS:
        function = functions[name]
        image = gateway.manage("GET", f"/system/function/{name}")["image"]
        deployment = {
            "service": name,
            "image": image,
            "envVars": {**function.environment, **overlay},
            "secrets": list(function.secrets),
            "labels": dict(function.labels),
            "annotations": dict(function.annotations),
        }
        gateway.manage("PUT", "/system/functions", deployment)
    deadline = time.monotonic() + ROLLED_WITHIN_S
    while any(before[name] & replicas(gateway)[name] for name in FUNCTIONS):
        assert time.monotonic() < deadline, "the functions are not all new"
        time.sleep(0.2)


class Load:
    """UEs that attach, a few at a time, until it is told to stop; at least once over all of that time."""

    def __init__(self, site: Site, gateway: Running, secrets: Path, first_ue: int) -> None:
        self.results: list[Result] = []
        self.first_ue = first_ue
        self._stop = threading.Event()
        self._told = (gateway.url, secrets, site.subscribers)
        self._thread = threading.Thread(target=self._run)

    def _run(self) -> None:
        gateway, secrets, subscribers = self._told
        while not self.results or not self._stop.is_set():
            options = AttachOptions(
                gateway=gateway,
                secrets=secrets,
                subscribers=subscribers,
                ues=UES,
                concurrency=2,
                first_ue=self.first_ue,
            )
            self.first_ue += UES
            self.results.append(asyncio.run(attach(options, lambda _: None)))

    def __enter__(self) -> Load:
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._stop.set()
        self._thread.join()


def test_no_attach_fails_while_every_key_is_replaced_and_the_old_ones_are_refused_then(tmp_path: Path) -> None:
    site = Site(tmp_path / "site")
    site.provision(2000)
    first = read_secret(SIGNING_KEY, site.secrets)
    of_the_enbs = tmp_path / "enbs"
    shutil.copytree(site.secrets, of_the_enbs)
    first_ue = 0
    with site.serve(port=0, ticker=False) as gateway:
        for step in ("add-key", "use-key", "drop-keys"):
            if step == "drop-keys":
                given = ["--store", site.store_url, "--secrets", str(site.secrets)]
                assert edge(["subscribers", "reseal", *given]) == 0
            for name in NAMES:
                assert edge(["secrets", step, name, "--secrets", str(site.secrets)]) == 0
            # The eNBs' gateways have the file of the step before until all functions have the new one.
            with Load(site, gateway, of_the_enbs, first_ue) as load:
                give(site, gateway)
            first_ue = load.first_ue
            assert load.results
            assert [result.failed for result in load.results] == [0] * len(load.results), step
            assert sum(result.counters.refused_signatures for result in load.results) == 0, step
            assert sum(result.counters.failed_calls for result in load.results) == 0, step
            assert codes(gateway) == {"200"}, step
            for name in NAMES:
                shutil.copy(site.secrets / name, of_the_enbs / name)
        with Load(site, gateway, of_the_enbs, first_ue) as load:
            pass
        assert [result.attached for result in load.results] == [UES]
        body = b'{"items": []}'
        signed = Signed("00101-0019b", str(int(time.time())), Way.UP, "mme-enb", "", body)
        refused = gateway.invoke(
            "mme-enb", body, headers=signing.headers(signing.derive_key(first, signed.key_name), signed)
        )
        assert refused.status == 401
