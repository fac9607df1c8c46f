"""The whole cluster stops and starts while UEs are idle: they come back by service request, not by a new attach."""

from __future__ import annotations

import asyncio
import contextlib
import uuid
from pathlib import Path

import pytest

from bench.replicas import pids
from cassandra_lab import node
from cassandra_lab.cluster import Cluster
from enb_app import procedures, subscribers
from enb_app.device import Device
from enb_app.journal import UnexpectedError
from enb_app.lab import Lab, LabOptions
from enb_app.profile import T3417_S, Profile
from laptop.site import Site
from localfaas.process import Running

pytestmark = [pytest.mark.cassandra, pytest.mark.timeout(600)]
UES = 4
PATIENCE_S = 90.0
TRY_S = 2 * T3417_S
STRANGER = "001019999999999"


def test_idle_ues_survive_their_database(own_node: Cluster, tmp_path: Path) -> None:
    site = Site(tmp_path, f"cassandra://{own_node.hosts}/edge_{uuid.uuid4().hex[:12]}")
    site.provision(UES)
    try:
        with site.serve(port=0) as gateway:
            asyncio.run(lives(site, gateway, own_node))
    finally:
        own_node.start()


async def lives(site: Site, gateway: Running, cluster: Cluster) -> None:
    options = LabOptions(gateway=gateway.url, secrets=site.secrets, subscribers=site.subscribers, seed=1)
    async with Lab(options, 1).opened() as lab:
        [station] = lab.stations
        await station.set_up()
        cards = subscribers.load(site.subscribers, UES)
        devices = [lab.device(card, station, Profile(station.cell.plmn)) for card in cards]
        for device in devices:
            await procedures.attach(device, PATIENCE_S)
            await procedures.release(device, within=PATIENCE_S)
        gutis = [device.ue.guti for device in devices]
        assert None not in gutis
        replicas = set(pids(gateway))

        await asyncio.to_thread(cluster.stop)
        retries = lab.exchange.counters.retries
        asked = asyncio.create_task(lab.command("page", STRANGER))
        async with asyncio.timeout(PATIENCE_S):
            while lab.exchange.counters.retries == retries:
                assert not asked.done(), "nothing can be known of this UE while the store is down"
                await asyncio.sleep(0.05)
        await asyncio.to_thread(cluster.start)
        assert node.pid_of(cluster.nodes[0]) is not None

        for device in devices:
            async with asyncio.timeout(PATIENCE_S):
                while not await came_back(device):
                    pass
        assert [device.ue.guti for device in devices] == gutis, "the same contexts"
        assert set(pids(gateway)) == replicas, "no function has been started anew"
        with contextlib.suppress(UnexpectedError):
            await asked


async def came_back(device: Device) -> bool:
    """One try: the first may end with T3417 while the functions still find their way back to the store."""
    try:
        await procedures.service_request(device, within=TRY_S)
    except UnexpectedError:
        return False
    return True
