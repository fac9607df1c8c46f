"""What a replica costs until it answers, and what becomes of the calls meanwhile: a function that imports the ASN.1."""

from __future__ import annotations

import asyncio
import os
import shutil
from collections import Counter
from pathlib import Path

import aiohttp
import pytest

from laptop.site import Site
from localfaas.gateway import Gateway
from localfaas.options import Options
from localfaas.replicas import Replica
from tests.localfaas.conftest import REPO
from tests.localfaas.test_gateway import play, post, until

pytestmark = pytest.mark.e2e

FUNCTION = "mme-uplink-nas"
FIRST_ANSWER_S = 2.0
REFUSED = 'mme_requests_refused_total{status="401"}'
CALLERS = 4


@pytest.fixture
def options(tmp_path: Path) -> Options:
    """That function alone, from a copy of the repository's folders."""
    for name in ("template", "functions", "trust", "durable", "mme"):
        shutil.copytree(REPO / name, tmp_path / name, ignore=shutil.ignore_patterns("__pycache__"))
    site = Site(tmp_path / "site")
    site.provision(1)
    stack = tmp_path / "stack.yml"
    stack.write_text(
        "configuration:\n  copy: [trust, durable, mme]\n"
        f"functions:\n  {FUNCTION}:\n    lang: python3-flask-edge\n    handler: ./functions/{FUNCTION}\n    image: it\n"
        "    secrets: [edge-signing-key, subscriber-key, m-tmsi-key]\n"
    )
    env = {"store_url": site.store_url, "plmn": "00101", "tacs": "7"}
    return Options(stack, port=0, secrets_dir=site.secrets, env=env)


def cpu_s(replica: Replica) -> float:
    """Processor time of its process so far: what its start takes on a core of its own, however busy the machine is."""
    assert replica.process is not None
    fields = Path(f"/proc/{replica.process.pid}/stat").read_text().rpartition(")")[2].split()
    return (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")


async def answered(session: aiohttp.ClientSession, replica: Replica) -> bool:
    """Whether it has answered a call (unsigned ones are refused, and counted)."""
    if not replica.ready:
        return False
    async with session.get(f"http://127.0.0.1:{replica.port}/metrics") as response:
        return REFUSED in await response.text()


def test_calls_while_a_second_replica_starts(options: Options) -> None:
    """None is lost, and the new one answers its first after less than FIRST_ANSWER_S of an idle core."""

    async def scenario(gateway: Gateway, session: aiohttp.ClientSession) -> None:
        url = f"{gateway.url}/function/{FUNCTION}"
        replicas = gateway.deployments.by_name[FUNCTION].replicas
        over = asyncio.Event()
        statuses: Counter[int] = Counter()

        async def call() -> None:
            while not over.is_set():
                status, _ = await post(session, url, b"{}")
                statuses[status] += 1

        calls = [asyncio.create_task(call()) for _ in range(CALLERS)]
        replicas.scale(2)
        new = replicas.replicas[-1]
        await until(lambda: answered(session, new), within_s=50)
        took_s = cpu_s(new)
        over.set()
        await asyncio.gather(*calls)
        assert set(statuses) == {401}
        assert took_s < FIRST_ANSWER_S

    play(options, scenario)


def test_calls_while_the_only_replica_starts_again(options: Options) -> None:
    """They are held, and answered by the new process."""

    async def scenario(gateway: Gateway, session: aiohttp.ClientSession) -> None:
        (replica,) = gateway.deployments.by_name[FUNCTION].replicas.replicas
        replica.kill()
        calls = (post(session, f"{gateway.url}/function/{FUNCTION}", b"{}") for _ in range(CALLERS))
        assert [status for status, _ in await asyncio.gather(*calls)] == [401] * CALLERS
        assert replica.starts == 2
        assert cpu_s(replica) < FIRST_ANSWER_S

    play(options, scenario)
