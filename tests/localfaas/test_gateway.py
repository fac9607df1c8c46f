"""The gateway embedded in an event loop, and what tests beside the checklist need of it."""

import asyncio
import json
from collections import Counter
from collections.abc import Awaitable, Callable, Coroutine
from pathlib import Path
from typing import Any

import aiohttp
import pytest
from aiohttp import web

from localfaas import faults
from localfaas.functionlogs import FunctionLog
from localfaas.gateway import Gateway
from localfaas.options import EDITIONS, Options
from localfaas.replicas import Replica
from tests.localfaas.conftest import REPO

pytestmark = pytest.mark.e2e

STACK = REPO / "tests" / "contract" / "stack" / "stack.yml"

Scenario = Callable[[Gateway, aiohttp.ClientSession], Coroutine[Any, Any, None]]


def play(options: Options, scenario: Scenario) -> None:
    """Run a scenario against a gateway, within a bound."""

    async def run() -> None:
        async with Gateway(options) as gateway, aiohttp.ClientSession() as session:
            await scenario(gateway, session)

    asyncio.run(asyncio.wait_for(run(), 60))


async def until(condition: Callable[[], Awaitable[bool]], within_s: float = 20) -> None:
    async with asyncio.timeout(within_s):
        while not await condition():
            await asyncio.sleep(0.02)


async def post(session: aiohttp.ClientSession, url: str, body: bytes = b"", **headers: str) -> tuple[int, bytes]:
    async with session.post(url, data=body, headers=headers) as response:
        return response.status, await response.read()


async def instances(gateway: Gateway, session: aiohttp.ClientSession, calls: int) -> Counter[str]:
    told = await asyncio.gather(*(post(session, f"{gateway.url}/function/echo") for _ in range(calls)))
    assert {status for status, _ in told} == {200}
    return Counter(json.loads(body)["instance"] for _, body in told)


def test_calls_spread_over_the_replicas() -> None:
    async def scenario(gateway: Gateway, session: aiohttp.ClientSession) -> None:
        assert len(await instances(gateway, session, 60)) == 3

    play(Options(STACK, port=0, replicas={"echo": 3}), scenario)


def test_scaling_down_and_updating_lose_no_call() -> None:
    async def scenario(gateway: Gateway, session: aiohttp.ClientSession) -> None:
        echo = gateway.deployments.by_name["echo"]
        before = set(await instances(gateway, session, 40))
        over = asyncio.Event()

        async def load() -> Counter[str]:
            seen: Counter[str] = Counter()
            while not over.is_set():
                seen += await instances(gateway, session, 8)
            return seen

        loading = asyncio.create_task(load())
        url = f"{gateway.url}/system/functions"
        body = {"service": "echo", "image": echo.spec.image, "envVars": {"EDGE_NEW": "1"}}
        async with session.put(url, json=body) as response:
            assert response.status == 202

        async def replaced() -> bool:
            now = {replica.instance for replica in echo.replicas.replicas}
            return not now & before and len(echo.replicas.ready()) == 3

        await until(replaced)
        url = f"{gateway.url}/system/scale-function/echo"
        assert (await post(session, url, b'{"serviceName": "echo", "replicas": 1}'))[0] == 202
        assert len(echo.replicas.replicas) == 1
        over.set()
        assert set(await loading) > before  # old ones and new ones answered, and none failed
        _, told = await post(session, f"{gateway.url}/function/echo")
        assert json.loads(told)["environment"]["EDGE_NEW"] == "1"
        async with session.get(f"{gateway.url}/system/function/echo") as response:
            assert "uid" in (await response.json())["labels"]

    play(Options(STACK, port=0, replicas={"echo": 3}), scenario)


def test_killed_replica_is_replaced_and_held_calls_wait_for_it() -> None:
    async def scenario(gateway: Gateway, session: aiohttp.ClientSession) -> None:
        url = f"{gateway.url}/localfaas/kill"
        status, killed = await post(session, url, b'{"function": "echo"}')
        assert status == 200
        # No replica is ready now; scale_from_zero holds the call until there is one.
        assert await instances(gateway, session, 1) == Counter([json.loads(killed)["instance"]])

    play(Options(STACK, port=0), scenario)


def test_stopping_replica_is_not_told_before_its_calls_are_over() -> None:
    # A call that has been given to a replica may not have reached its process yet, which then knows nothing to finish.
    async def scenario(gateway: Gateway, _session: aiohttp.ClientSession) -> None:
        launch = gateway.deployments.by_name["echo"].replicas.replicas[0].launch
        replica = Replica(launch, FunctionLog())
        assert await replica.start()
        replica.enter()
        stopping = asyncio.create_task(replica.stop())
        done, _ = await asyncio.wait({stopping}, timeout=0.5)
        assert not done
        assert replica.alive
        assert not replica.ready
        replica.leave()
        await stopping
        assert await replica.ended() == 0

    play(Options(STACK, port=0), scenario)


def test_call_held_past_write_timeout_loses_its_connection(project: Path) -> None:
    async def scenario(gateway: Gateway, session: aiohttp.ClientSession) -> None:
        # What comes up next never becomes ready.
        tree = next(iter(gateway.deployments.by_name["hello"].replicas.replicas)).launch.tree
        (tree.function_folder / "handler.py").write_text("raise SystemExit(3)\n")
        await post(session, f"{gateway.url}/localfaas/kill", b'{"function": "hello"}')
        with pytest.raises(aiohttp.ServerDisconnectedError):
            await post(session, f"{gateway.url}/function/hello")

    play(Options(project / "stack.yml", port=0, write_timeout_s=0.3), scenario)


def test_fault_plan_acts_on_calls_and_callbacks() -> None:
    got: Counter[str] = Counter()

    async def recorder(request: web.BaseRequest) -> web.Response:
        got[request.headers["X-Call-Id"]] += 1
        return web.Response()

    async def scenario(gateway: Gateway, session: aiohttp.ClientSession) -> None:
        server = await asyncio.get_running_loop().create_server(web.Server(recorder), "127.0.0.1", 0)
        callback = f"http://127.0.0.1:{server.sockets[0].getsockname()[1]}/"
        for number in range(100):
            headers = {"X-Callback-Url": callback, "X-Call-Id": str(number)}
            status, _ = await post(session, f"{gateway.url}/async-function/behave", **headers)
            assert status == 202
        counts = {name: gateway.faults[name].counts for name in ("call", "callback")}

        async def over() -> bool:
            calls, callbacks = counts["call"], counts["callback"]
            ran = 100 - calls["lose"] + calls["duplicate"]
            expected = ran - callbacks["lose"] + callbacks["duplicate"]
            return sum(calls.values()) == 100 and sum(callbacks.values()) == ran and sum(got.values()) == expected

        await until(over)
        assert all(counts[name][fault] > 0 for name in counts for fault in ("lose", "duplicate"))
        server.close()

    plan = faults.parse(
        {"seed": 3, "call": {"lose": 0.2, "duplicate": 0.2}, "callback": {"lose": 0.2, "duplicate": 0.2}}
    )
    play(Options(STACK, port=0, workers=4, faults=plan), scenario)


def test_fault_plan_loses_synchronous_calls_before_or_after_they_ran() -> None:
    async def scenario(gateway: Gateway, session: aiohttp.ClientSession) -> None:
        answers = await asyncio.gather(*(post(session, f"{gateway.url}/function/behave") for _ in range(20)))
        assert {status for status, _ in answers} == {502}
        requests = [line for line in gateway.deployments.by_name["behave"].replicas.log.read() if "begun" in line.text]
        assert requests == []

    play(Options(STACK, port=0, faults=faults.parse({"sync": {"lose": 1}})), scenario)


def test_classic_edition_goes_to_twenty(project: Path) -> None:
    async def scenario(gateway: Gateway, session: aiohttp.ClientSession) -> None:
        url = f"{gateway.url}/system/alert"
        body = b'{"alerts": [{"status": "firing", "labels": {"function_name": "hello"}}]}'
        assert (await post(session, url, body))[0] == 200
        assert gateway.deployments.by_name["hello"].replicas.desired == 5  # 1 + 20 % of 20

    play(Options(project / "stack.yml", port=0, edition=EDITIONS["classic"]), scenario)


def test_ready_replicas_are_told_as_prometheus_discovers_targets() -> None:
    """prometheus.io, http_sd: a list of objects with "targets" and "labels", all strings, as application/json."""

    async def scenario(gateway: Gateway, session: aiohttp.ClientSession) -> None:
        async with session.get(f"{gateway.url}/localfaas/targets") as response:
            assert (response.status, response.content_type) == (200, "application/json")
            found = [group for group in await response.json() if group["labels"]["function_name"] == "echo.openfaas-fn"]
        assert {group["labels"]["pod"] for group in found} == set(await instances(gateway, session, 40))
        for group in found:
            (target,) = group["targets"]
            async with session.get(f"http://{target}/metrics") as response:
                assert b"process_start_time_seconds" in await response.read()

    play(Options(STACK, port=0, replicas={"echo": 2}), scenario)
