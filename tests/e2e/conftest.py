"""The real stack.yml behind localfaas, with a site of its own for each gateway that the tests need."""

from __future__ import annotations

import asyncio
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pytest

from bench.stub import kept_port, settings
from enb_app.attach import OnOutcome, attach
from enb_app.options import AttachOptions
from enb_app.result import Result
from enb_app.subscribers import load
from enb_app.usim import Subscriber
from laptop.elsewhere import provisioned
from laptop.site import ROOT, Site
from localfaas.process import Running, running
from localfaas.remote import Remote, from_environment
from mme.context import UeContext
from mme.enums import EmmState
from mme.rows import ue_context
from mme.store.base import Table
from mme.store.opening import open_store

FAULTS = {"lose": 0.03, "duplicate": 0.06, "delay": 0.06, "delay_ms": [20, 200], "reorder": 0.06, "reorder_ms": 100}


@dataclass
class Core:
    """A running gateway, its site, and how many of the site's subscribers have been used.  ports: of the stubs."""

    site: Site
    gateway: Running | Remote
    hss_port: int = 0
    sgw_port: int = 0
    used: int = field(default=0)

    def take(self, ues: int) -> int:
        """How many subscribers to skip, so that `ues` fresh ones follow."""
        first = self.used
        self.used += ues
        return first

    @property
    def callback_host(self) -> str:
        """Where the gateway reaches this process."""
        return self.gateway.callback_host if isinstance(self.gateway, Remote) else "127.0.0.1"

    def attach(self, on_outcome: OnOutcome = lambda _: None, **options: Any) -> Result:
        """Attach fresh subscribers; options: of AttachOptions, `ues` among them."""
        told = AttachOptions(
            gateway=self.gateway.url,
            secrets=self.site.secrets,
            subscribers=self.site.subscribers,
            first_ue=self.take(options["ues"]),
            callback_host=self.callback_host,
            **options,
        )
        return asyncio.run(attach(told, on_outcome))

    def arguments(self, ues: int) -> list[str]:
        """The same for the command line."""
        place = ["--gateway", self.gateway.url, "--secrets", str(self.site.secrets)]
        place += ["--subscribers", str(self.site.subscribers), "--first-ue", str(self.take(ues))]
        place += ["--callback-host", self.callback_host]
        return ["attach", *place, "--ues", str(ues)]

    def subscribers(self, first: int, count: int) -> list[Subscriber]:
        """Those of the list, with their keys."""
        return load(self.site.subscribers, first + count)[first:]

    def registered(self) -> list[UeContext]:
        """Every context of a registered UE that the MME holds."""
        store = open_store(self.site.store_url)
        try:
            contexts = [ue_context(row) for _, row in store.scan(Table.UE_CONTEXT)]
        finally:
            store.close()
        return [ctx for ctx in contexts if ctx.emm is EmmState.REGISTERED]


def _site(factory: pytest.TempPathFactory, subscribers: int) -> Site:
    site = Site(factory.mktemp("site"))
    site.provision(subscribers)
    return site


@pytest.fixture(scope="session")
def core(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Core]:
    """As a laptop has it: embedded HSS and gateway, four queue workers.  Or a real gateway, as it has been set up."""
    if (remote := from_environment()) is not None:
        yield Core(provisioned(tmp_path_factory.mktemp("site") / "elsewhere", 250), remote)
        return
    site = _site(tmp_path_factory, 250)
    with site.serve(port=0) as gateway:
        yield Core(site, gateway)


@pytest.fixture(scope="session")
def lossy_core(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Core]:
    """Some calls and callbacks are lost, doubled, late or overtaken.  No ticker: the caller's resends must do."""
    site = _site(tmp_path_factory, 80)
    with running(
        ROOT / "stack.yml",
        workers=4,
        env={"store_url": site.store_url},
        secrets_dir=site.secrets,
        fault_plan={"seed": 11, "call": FAULTS, "callback": FAULTS},
        state_dir=site.state,
    ) as gateway:
        yield Core(site, gateway)


@pytest.fixture(scope="session")
def stub_core(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Core]:
    """HSS and gateway elsewhere, one stub each, started by the tests; guard timer 1 s; NAS not ciphered."""
    site = _site(tmp_path_factory, 80)
    with kept_port() as port, kept_port() as hss_port, kept_port() as sgw_port:
        told = settings(port, hss_port, need_s="1", eea_order="0")
        told["sgw_url"] = f"http://127.0.0.1:{sgw_port}/sgw"
        with site.serve(port=port, metrics_port=0, settings=told) as gateway:
            yield Core(site, gateway, hss_port, sgw_port)


def pids_with(marker: str, folder: Path = Path("/proc")) -> list[int]:
    """Processes whose environment holds the text."""
    found = []
    for process in folder.iterdir():
        if process.name.isdecimal():
            try:
                if marker.encode() in (process / "environ").read_bytes():
                    found.append(int(process.name))
            except OSError:
                continue
    return found
