"""Every query of the dashboard *Placement and reload*, asked of a real Prometheus that has scraped a real run.

The run: the placement function places with the real helm, on a fake cluster, changes and removes a release, is refused,
meets drift, calls back; config-reload changes a configuration and refuses a caller; an agent takes a configuration,
refuses a bad one and starts its daemon anew for a third.
"""

from __future__ import annotations

import socketserver
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from http.server import BaseHTTPRequestHandler, HTTPServer
from pathlib import Path
from typing import Any

import pytest
from prometheus_client import REGISTRY, start_http_server

from bench import monitoring
from bench.monitoring import Prometheus
from tests.monitoring.conftest import program
from tests.monitoring.test_live import ELSEWHERE, is_above_0, until
from tests.placement.conftest import Event, Site
from tests.placement.conftest import helm_binary as helm_binary  # noqa: PLC0414  a fixture that make_site asks for
from tests.placement.conftest import make_site as make_site  # noqa: PLC0414  as above
from tests.placement.conftest import registry as registry  # noqa: PLC0414  as above
from tests.reload.agent.test_run import Pod
from tests.reload.conftest import Edge, edge_in
from tools.monitoring.dashboards import DASHBOARDS

pytestmark = pytest.mark.timeout(300)

CLUSTER = "a"
FOR_A_MOMENT = "Pods on their last good configuration"


@contextmanager
def callbacks() -> Iterator[str]:
    """URL of somebody who takes every answer."""

    class Taking(BaseHTTPRequestHandler):
        def do_POST(self) -> None:
            self.rfile.read(int(self.headers["Content-Length"]))
            self.send_response(200)
            self.end_headers()

        def log_message(self, format: str, *args: object) -> None:
            """Nobody reads it."""

    class Server(socketserver.ThreadingMixIn, HTTPServer):
        daemon_threads = True

    with Server(("127.0.0.1", 0), Taking) as server:
        thread = threading.Thread(target=server.serve_forever, daemon=True)
        thread.start()
        yield f"http://127.0.0.1:{server.server_address[1]}/"
        server.shutdown()
        thread.join()


def place(site: Site, callback: str) -> None:
    """Something of everything that the panels show."""
    # On a machine that is busy a cluster may answer too late to be chosen.
    until("it is placed", lambda: site.call(location="berlin", wait=True).status == "ready", 120)
    assert site.call(action="status").body["drift"] == []
    [config] = site.clusters[0].things("configmaps")
    config["data"]["tac"] = "changed by hand"
    assert site.call(action="status").body["drift"]
    assert site.call(location="nowhere").code is not None
    assert site.post(Event(b"{}", {})).http == 401
    site.call(action="uninstall", callback=callback)
    site.turn_until(lambda: site.clusters[0].things("deployments") == [], "the release is gone")
    site.turn_until(lambda: not site.store.due(int(time.time() * 1000) + 60_000), "the callback is made")


def change(edge: Edge) -> None:
    """A call of config-reload that is done, and one that is refused."""
    assert edge.call(set={"amf.yaml:amf.tac": 8})[0] == 200
    assert edge.call(caller="operator/nobody", set={"amf.yaml:amf.tac": 8})[0] == 403


def reload(pod: Pod) -> None:
    """Two good configurations and a bad one between them."""
    pod.until_verdicts(1)
    pod.mounted.swap({"app.conf": "bad\n"})
    pod.until_verdicts(2)
    pod.mounted.swap({"app.conf": "greeting=two\n"})
    pod.until_verdicts(3)
    pod.until_started(2)


def test_every_query_gives_series(
    make_site: Callable[..., Site], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    for name in ("prometheus", "promtool"):
        program(name)
    with ExitStack() as stack:
        pod = Pod(tmp_path / "pod")
        for folder in ("watching", "edge"):
            (tmp_path / folder).mkdir()
        edge = stack.enter_context(edge_in(tmp_path / "edge"))
        callback = stack.enter_context(callbacks())
        site = make_site(1, callback_allow=callback.rstrip("/"))
        before = {found: compared(found) for found in ("as placed", "drift")}
        server, thread = start_http_server(0, addr="127.0.0.1")
        stack.callback(thread.join)
        stack.callback(server.server_close)
        stack.callback(server.shutdown)
        pod.start("--policy", "restart")
        stack.callback(pod.end)
        jobs: dict[str, tuple[int, dict[str, str]]] = {
            "functions": (server.server_address[1], {"function_name": "placement.openfaas-fn"}),
            "reload": (pod.port, {"cluster": CLUSTER, "pod": "upf-0"}),
        }
        prometheus = stack.enter_context(monitoring.prometheus(tmp_path / "watching", configuration(jobs)))
        begin_s = time.time()
        until("both are scraped", lambda: len(asked(prometheus, "up == 1")) == 2, 60)
        place(site, callback)
        change(edge)
        reload(pod)

        # Each of it was once: that a series begins with its first event must not hide it.
        for panel in DASHBOARDS[ELSEWHERE].panels:
            for query in panel.queries:
                expr = query.expr

                def shown(expr: str = expr, title: str = panel.title) -> bool:
                    series = prometheus.series(expr, begin_s, time.time())
                    return bool(series) and (title == FOR_A_MOMENT or is_above_0(series))

                until(f"series above 0 for {expr}", shown, 60)
        clusters = {each["metric"]["cluster"] for each in asked(prometheus, "placement_operations_total")}
        assert {CLUSTER, "none"} <= clusters  # other tests of this process may have counted others
        for found, already in before.items():
            looks = f'placement_comparisons_total{{cluster="{CLUSTER}",found="{found}"}} == {already + 1}'
            until(f"the look that found {found} is scraped", lambda looks=looks: bool(asked(prometheus, looks)), 60)


def compared(found: str) -> float:
    """How often other tests of this process have already seen that on the same cluster's name."""
    return REGISTRY.get_sample_value("placement_comparisons_total", {"cluster": CLUSTER, "found": found}) or 0.0


def asked(prometheus: Prometheus, expr: str) -> Any:
    return prometheus.ask("query", query=expr)["result"]


def configuration(jobs: dict[str, tuple[int, dict[str, str]]]) -> dict[str, Any]:
    return {
        "global": {"scrape_interval": "1s", "evaluation_interval": "1s"},
        "scrape_configs": [
            {"job_name": job, "static_configs": [{"targets": [f"127.0.0.1:{port}"], "labels": labels}]}
            for job, (port, labels) in jobs.items()
        ],
    }
