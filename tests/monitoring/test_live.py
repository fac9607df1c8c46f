"""Every query of every dashboard, asked of a real Prometheus that has scraped a real run: each must give series.

The run: an eNB sets up, UEs attach and leave again, one has a wrong key, one answers wrongly; timers come and go; a
stranger calls, and an eNB for another one.
Gateway, functions, ticker and caller are scraped, with the rules of k8s/monitoring loaded.
"""

from __future__ import annotations

import os
import subprocess
import sys
import time
from collections import Counter
from collections.abc import Callable, Iterator
from contextlib import ExitStack
from dataclasses import dataclass
from typing import Any

import pytest
import requests
import yaml

from bench.stub import kept_port
from enb_app.cli import BROKEN
from laptop.site import ROOT, Site
from mme.codec import envelope
from mme.enums import EmmState
from mme.rows import ue_context
from mme.store.base import Table
from mme.store.opening import open_store
from tests.mme.assembled import OTHER_ENB, headers, initial_item
from tools.monitoring import thresholds
from tools.monitoring.dashboards import DASHBOARDS

pytestmark = [pytest.mark.e2e, pytest.mark.timeout(900)]

ELSEWHERE = "placement-and-reload"  # test_live_placement.py
UES = 15
# So low that a run of a minute has reasons to scale.
LOW: dict[str, dict[str, float]] = {
    "mme-initial-ue": dict.fromkeys((*thresholds.SCALING, *thresholds.HEALTH), 0.01),
    "mme-uplink-nas": dict.fromkeys((*thresholds.SCALING, *thresholds.HEALTH), 0.01),
}

QUERIES = [
    pytest.param(panel.title, query.expr, id=f"{name}: {panel.title}: {query.legend}")
    for name, dashboard in DASHBOARDS.items()
    if name != ELSEWHERE
    for panel in dashboard.panels
    for query in panel.queries
]


@dataclass
class Prometheus:
    url: str

    def ask(self, path: str, **parameters: str | float) -> Any:
        answer = requests.get(f"{self.url}/api/v1/{path}", params=parameters, timeout=20)
        told = answer.json()
        assert told["status"] == "success", told
        return told["data"]

    def series(self, expr: str, begin_s: float) -> list[dict[str, Any]]:
        """As a panel asks: over the time since, every 5 s; only series with a number somewhere."""
        data = self.ask("query_range", query=expr, start=begin_s, end=time.time(), step="5s")
        return [each for each in data["result"] if any(value not in ("NaN", "+Inf") for _, value in each["values"])]


def until(what: str, condition: Callable[[], bool], within_s: float) -> None:
    assert comes(condition, within_s), f"not within {within_s:.0f} s: {what}"


def comes(condition: Callable[[], bool], within_s: float) -> bool:
    give_up = time.monotonic() + within_s
    while not condition():
        if time.monotonic() > give_up:
            return False
        time.sleep(0.25)
    return True


def until_it_left(
    what: str, condition: Callable[[], bool], within_s: float, run: Callable[[], subprocess.CompletedProcess[str]]
) -> None:
    """Run a caller, anew where a busy machine breaks it, refuses its UEs or misses each scrape of it."""
    said = []
    for _ in range(5):
        try:
            done = run()
        except subprocess.TimeoutExpired as e:
            said.append(str(e))
            continue
        said.append(done.stderr)
        if done.returncode != BROKEN and comes(condition, within_s):
            return
    pytest.fail(f"nothing left this: {what}; the caller said {said}")


def configuration(gateway: Any, ticker_port: int, caller_port: int) -> dict[str, Any]:
    user, password = gateway.auth
    at = "127.0.0.1"
    return {
        "global": {"scrape_interval": "2s", "evaluation_interval": "2s"},
        "rule_files": [
            *(str(ROOT / f"k8s/monitoring/rules/{name}.yml") for name in ("scaling", "health")),
            "thresholds.yml",
        ],
        "scrape_configs": [
            {
                "job_name": "gateway",
                "static_configs": [{"targets": [gateway.metrics_url.removeprefix("http://").removesuffix("/metrics")]}],
            },
            {
                "job_name": "functions",
                "http_sd_configs": [
                    {
                        "url": f"{gateway.url}/localfaas/targets",
                        "refresh_interval": "2s",
                        "basic_auth": {"username": user, "password": password},
                    }
                ],
            },
            {"job_name": "ticker", "static_configs": [{"targets": [f"{at}:{ticker_port}"]}]},
            {"job_name": "caller", "static_configs": [{"targets": [f"{at}:{caller_port}"]}]},
        ],
    }


def attach(site: Site, gateway: Any, port: int, first: int, ues: int, *more: str) -> subprocess.CompletedProcess[str]:
    argv = [sys.executable, "-m", "enb_app.cli", "attach", "--quiet", "--gateway", gateway.url]
    argv += ["--secrets", str(site.secrets), "--subscribers", str(site.subscribers), "--metrics-port", str(port)]
    argv += ["--first-ue", str(first), "--ues", str(ues), *more]
    environment = {**os.environ, "PYTHONPATH": f"{ROOT}{os.pathsep}{ROOT / 'enb-app'}"}
    return subprocess.run(argv, check=False, capture_output=True, text=True, env=environment, timeout=200)


def stranger(gateway: Any) -> bool:
    """Call a function without a signature; whether it refused."""
    answer = requests.post(f"{gateway.url}/function/mme-enb", data=b'{"items": []}', timeout=20)
    return answer.status_code == requests.codes.unauthorized


def impostor(site: Site, gateway: Any) -> bool:
    """Call with an eNB's key and an item of another eNB; whether the item, and not the call, was refused."""
    body = envelope.encode(envelope.Request([initial_item(enb=OTHER_ENB)]))
    master = bytes.fromhex((site.secrets / "edge-signing-key").read_text())
    answer = requests.post(
        f"{gateway.url}/function/mme-initial-ue",
        data=body,
        headers=headers("mme-initial-ue", body, master=master),
        timeout=20,
    )
    assert answer.status_code == requests.codes.ok, answer.text
    return [reply["result"] for reply in answer.json()["replies"]] == ["rejected"]


# What a run that goes well may never, or for one moment only, be above 0 with.
MAY_BE_NOTHING = {"Asynchronous backlog", "Cold replicas", "Share of errors", "Timers due"}


def is_above_0(series: list[dict[str, Any]]) -> bool:
    return any(float(value) > 0 for each in series for _, value in each["values"])


@pytest.fixture(scope="module")
def run(tmp_path_factory: pytest.TempPathFactory, prometheus_program: str) -> Iterator[tuple[Prometheus, float, Site]]:
    """(Prometheus, when the run began, its site) once everything that the run was to leave has been scraped."""
    folder = tmp_path_factory.mktemp("monitoring")
    site = Site(folder / "site")
    site.provision(120)
    with ExitStack() as stack:
        # Between now and when they are listened on, a hundred connections are made and functions choose their ports.
        ticker_port, caller_port, port = (stack.enter_context(kept_port()) for _ in range(3))
        ticker = ("--metrics-port", str(ticker_port))
        gateway = stack.enter_context(site.serve(port=0, ticker_options=ticker, settings={"unused_session_s": "5"}))
        (folder / "thresholds.yml").write_text(thresholds.rules(LOW))
        (folder / "prometheus.yml").write_text(yaml.safe_dump(configuration(gateway, ticker_port, caller_port)))
        argv = [prometheus_program, f"--config.file={folder}/prometheus.yml", f"--storage.tsdb.path={folder}/data"]
        argv += [f"--web.listen-address=127.0.0.1:{port}", "--log.level=warn"]
        log = stack.enter_context((folder / "prometheus.log").open("wb"))
        process = subprocess.Popen(argv, stdout=log, stderr=log, stdin=subprocess.DEVNULL)
        stack.callback(process.wait, 30)
        stack.callback(process.terminate)
        prometheus = Prometheus(f"http://127.0.0.1:{port}")

        def found(expr: str) -> bool:
            try:
                return bool(prometheus.ask("query", query=expr)["result"])
            except requests.RequestException:
                assert process.poll() is None, (folder / "prometheus.log").read_text()
                return False

        # Each within the minute: on a busy machine hardly all at once.
        until("functions are scraped", lambda: found('count(max_over_time(up{job="functions"}[1m]) == 1) >= 9'), 120)
        begin_s = time.time()

        def calls(first: int, ues: int, *more: str) -> Callable[[], subprocess.CompletedProcess[str]]:
            return lambda: attach(site, gateway, caller_port, first, ues, *more)

        until_it_left("a reject", lambda: found("mme_nas_rejects_total > 0"), 30, calls(0, 1, "--wrong-key"))
        # A caller is scraped while it lasts only.
        backlog = "last_over_time(function:backlog[10m])"
        until_it_left("a backlog", lambda: found(backlog), 5, calls(1, UES, "--rate", "4"))
        given_back = "mme_timer_late_seconds_count > 2"
        leaving = calls(1 + UES, UES, "--concurrency", "3", "--detach")
        until_it_left("sessions that are given back", lambda: found(given_back), 60, leaving)
        until("a stranger is refused", lambda: stranger(gateway) and found("function:refusals:share > 0"), 60)
        refused = "mme_items_refused_total > 0"
        until("an impostor's item is refused", lambda: impostor(site, gateway) and found(refused), 60)
        until("there were reasons to scale", lambda: found("max_over_time(function:wants_replicas[10m])"), 60)
        yield prometheus, begin_s, site


def test_the_states_that_were_counted_are_those_in_the_store(run: tuple[Prometheus, float, Site]) -> None:
    """The transitions that the functions counted, added up by the panels' queries, against a look at every context."""
    prometheus, _, site = run
    panels = {panel.title: panel for panel in DASHBOARDS["mme"].panels}

    def counted(title: str) -> dict[str, int]:
        found = prometheus.ask("query", query=panels[title].queries[0].expr)["result"]
        return {each["metric"]["state"]: int(each["value"][1]) for each in found if each["value"][1] != "0"}

    def stored() -> tuple[dict[str, int], dict[str, int]]:
        store = open_store(site.store_url)
        try:
            contexts = [ue_context(row) for _, row in store.scan(Table.UE_CONTEXT)]
        finally:
            store.close()
        known = [ctx for ctx in contexts if ctx.emm is not EmmState.DEREGISTERED]
        return Counter(ctx.emm.value for ctx in known), Counter(ctx.ecm.value for ctx in known)

    until("the same", lambda: (counted("UEs by EMM state"), counted("UEs by ECM state")) == stored(), 60)
    assert stored()[0]["EMM-REGISTERED"] > UES // 2


@pytest.mark.parametrize(("title", "expr"), QUERIES)
def test_the_query_gives_series(title: str, expr: str, run: tuple[Prometheus, float, Site]) -> None:
    prometheus, begin_s, _ = run

    def shown() -> bool:
        series = prometheus.series(expr, begin_s)
        return bool(series) and (title in MAY_BE_NOTHING or is_above_0(series))

    until(f"series above 0 for {expr}", shown, 120)


@pytest.mark.parametrize("title", ["Attaches", "Results by procedure", "NAS rejects by cause"])
def test_the_one_ue_that_was_refused_is_shown(title: str, run: tuple[Prometheus, float, Site]) -> None:
    """The one with the wrong key: its attach is `rejected`, by an AUTHENTICATION REJECT, which has no cause."""
    prometheus, begin_s, _ = run
    (panel,) = (panel for panel in DASHBOARDS["mme"].panels if panel.title == title)
    refused = [
        each
        for each in prometheus.series(panel.queries[0].expr, begin_s)
        if each["metric"].get("result") == "rejected" or each["metric"].get("message") == "AuthenticationReject"
    ]
    assert is_above_0(refused)
