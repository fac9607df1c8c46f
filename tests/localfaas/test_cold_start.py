"""What a replica costs until it answers, and what becomes of the calls meanwhile: a function that imports the ASN.1."""

from __future__ import annotations

import asyncio
import itertools
import logging
import os
import secrets
import shutil
import time
from collections.abc import Iterator
from dataclasses import dataclass, replace
from pathlib import Path

import aiohttp
import pytest

from laptop.site import Site
from localfaas.gateway import Gateway
from localfaas.options import Options
from localfaas.replicas import Replica
from mme.codec import envelope, s1ap
from mme.codec.envelope import Item, Request
from mme.ids import Ecgi, Plmn, Tai
from mme.messages import UplinkNasTransport
from tests.localfaas.conftest import REPO
from tests.localfaas.test_gateway import play, post, until
from trust import signing
from trust.secrets import SIGNING_KEY, read_secret
from trust.signing import Signed, Way

pytestmark = pytest.mark.e2e

FUNCTION = "mme-uplink-nas"
FIRST_ANSWER_S = 2.0
CALLERS = 4
ENB = "00101-0019b"
HOME = Plmn("00101")
UPLINK = s1ap.encode(UplinkNasTransport(4711, 1, bytes.fromhex("075e"), Ecgi(HOME, 0x19B01), Tai(HOME, 7)))
log = logging.getLogger(__name__)


STORES = ["sqlite", pytest.param("cassandra", marks=pytest.mark.cassandra)]


@pytest.fixture
def options(tmp_path: Path, request: pytest.FixtureRequest) -> Options:
    """That function alone, from a copy of the repository's folders, on the embedded store or on a real Cassandra."""
    for name in ("template", "functions", "trust", "durable", "mme"):
        shutil.copytree(REPO / name, tmp_path / name, ignore=shutil.ignore_patterns("__pycache__"))
    store = None
    if getattr(request, "param", "sqlite") == "cassandra":
        store = f"cassandra://{request.getfixturevalue('cassandra_hosts')}/cold_start_{secrets.token_hex(4)}"
    site = Site(tmp_path / "site", store)
    site.provision(1)
    stack = tmp_path / "stack.yml"
    stack.write_text(
        "configuration:\n  copy: [trust, durable, mme]\n"
        f"functions:\n  {FUNCTION}:\n    lang: python3-flask-edge\n    handler: ./functions/{FUNCTION}\n    image: it\n"
        "    secrets: [edge-signing-key, subscriber-key, m-tmsi-key]\n"
    )
    env = {"store_url": site.store_url, "plmn": "00101", "tacs": "7"}
    return Options(stack, port=0, secrets_dir=site.secrets, env=env)


@dataclass(frozen=True, slots=True)
class Took:
    """Seconds from a process's beginning until now; of them so many on a core, and so many ready to run without one.

    With one call at a time one thread works at a time, so the latter do not overlap.  What ended threads have waited is
    not known: it counts as if no core had been missing.
    """

    wall_s: float
    on_a_core_s: float
    without_a_core_s: float

    @property
    def on_idle_cores_s(self) -> float:
        """What it takes where nothing else runs: its work, and whatever else it waits for."""
        return self.wall_s - self.without_a_core_s


def took(replica: Replica) -> Took:
    """Of its process (proc(5) on stat; the kernel's Documentation/scheduler/sched-stats.rst on schedstat)."""
    assert replica.process is not None
    folder, ticks = Path(f"/proc/{replica.process.pid}"), os.sysconf("SC_CLK_TCK")
    now_s = time.clock_gettime(time.CLOCK_BOOTTIME)
    waits = [int((thread / "schedstat").read_text().split()[1]) for thread in (folder / "task").iterdir()]
    fields = (folder / "stat").read_text().rpartition(")")[2].split()
    return Took(
        wall_s=now_s - int(fields[19]) / ticks,
        on_a_core_s=(int(fields[11]) + int(fields[12])) / ticks,
        without_a_core_s=sum(waits) / 1e9,
    )


class Caller:
    """An eNB that the store does not have, which is asked for it with each item."""

    def __init__(self, secrets: Path | None) -> None:
        self._key = signing.derive_key(read_secret(SIGNING_KEY, secrets), ENB)
        self._numbers: Iterator[int] = itertools.count(1)

    async def call(self, session: aiohttp.ClientSession, url: str) -> None:
        """One item, signed, which is answered, and for which the store was read."""
        item = Item(id=f"{ENB}/start/{next(self._numbers)}", enb=ENB, epoch="e1", stream=1, s1ap=UPLINK)
        body = envelope.encode(Request([item]))
        signed = Signed(ENB, str(int(time.time())), Way.UP, FUNCTION, "", body)
        status, answer = await post(session, url, body, **signing.headers(self._key, signed))
        assert status == 200, answer
        response = envelope.decode_response(answer)
        assert [reply.id for reply in response.replies] == [item.id]
        assert [reply.result for reply in response.replies] == ["stale"]
        assert [cost.reads > 0 for cost in response.costs] == [True]


async def answered(session: aiohttp.ClientSession, replica: Replica) -> bool:
    """Whether it has worked off an item."""
    if not replica.ready:
        return False
    async with session.get(f"http://127.0.0.1:{replica.port}/metrics") as response:
        return "mme_messages_total{" in await response.text()


def test_calls_while_a_second_replica_starts(options: Options) -> None:
    """None is lost."""
    caller = Caller(options.secrets_dir)

    async def scenario(gateway: Gateway, session: aiohttp.ClientSession) -> None:
        url = f"{gateway.url}/function/{FUNCTION}"
        replicas = gateway.deployments.by_name[FUNCTION].replicas
        over = asyncio.Event()

        async def call() -> None:
            while not over.is_set():
                await caller.call(session, url)

        calls = [asyncio.create_task(call()) for _ in range(CALLERS)]
        replicas.scale(2)
        new = replicas.replicas[-1]
        await until(lambda: answered(session, new), within_s=50)
        over.set()
        await asyncio.gather(*calls)

    play(options, scenario)


@pytest.mark.parametrize("options", STORES, indirect=True)
def test_first_answer_of_a_second_replica(options: Options) -> None:
    """It comes within FIRST_ANSWER_S of an idle core, with a driver's import and its connections.

    The call is there from the start, as it may be in an image.
    """
    caller = Caller(options.secrets_dir)
    early = replace(options, env={**options.env, "READY_WITHIN_S": "0.01"})

    async def scenario(gateway: Gateway, session: aiohttp.ClientSession) -> None:
        replicas = gateway.deployments.by_name[FUNCTION].replicas
        await caller.call(session, f"{gateway.url}/function/{FUNCTION}")  # the first one has started, and rests
        replicas.scale(2)
        new = replicas.replicas[-1]

        async def ready() -> bool:
            return new.ready

        await until(ready, within_s=50)
        await caller.call(session, f"http://127.0.0.1:{new.port}/")
        start = took(new)
        log.info("%s", start)
        assert start.on_a_core_s < FIRST_ANSWER_S
        assert start.on_idle_cores_s < FIRST_ANSWER_S, start

    play(early, scenario)


def test_calls_while_the_only_replica_starts_again(options: Options) -> None:
    """They are held, and answered by the new process."""
    caller = Caller(options.secrets_dir)

    async def scenario(gateway: Gateway, session: aiohttp.ClientSession) -> None:
        (replica,) = gateway.deployments.by_name[FUNCTION].replicas.replicas
        replica.kill()
        url = f"{gateway.url}/function/{FUNCTION}"
        await asyncio.gather(*(caller.call(session, url) for _ in range(CALLERS)))
        assert replica.starts == 2
        assert took(replica).on_a_core_s < FIRST_ANSWER_S

    play(options, scenario)
