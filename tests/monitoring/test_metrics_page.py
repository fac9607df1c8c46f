"""docs/metrics.md names every metric of the code with its type and labels, every recorded series and every alert."""

from __future__ import annotations

import ast
import re
from pathlib import Path
from types import ModuleType

import pytest
import yaml
from prometheus_client import Counter, Gauge, Histogram

from enb_app import metrics as enb_app_metrics
from localfaas.metrics import Metrics
from mme import metrics as mme_metrics
from placement import metrics as placement_metrics
from reload import function as config_reload
from reload.agent.core import Plan, Policy, State
from reload.agent.status import Counters, Snapshot
from reload.agent.status import metrics as reload_metrics

ROOT = Path(__file__).resolve().parents[2]
PAGE = (ROOT / "docs/metrics.md").read_text()
ROW = re.compile(r"^\| `([\w:]+)` \| (counter|gauge|histogram) \| ([\w, ]*)\|", re.M)

# Where metrics are made with prometheus_client; localfaas and the reload agent write theirs themselves.
MODULES = (mme_metrics, placement_metrics, enb_app_metrics, config_reload)
NO_PRODUCT = {"tests", "bench", "chaos", "build"}

Described = dict[str, tuple[str, frozenset[str]]]


def of_module(module: ModuleType) -> Described:
    found: Described = {}
    for each in vars(module).values():
        if isinstance(each, Counter | Gauge | Histogram):
            (family,) = each.describe()
            found[family.name] = (family.type, frozenset(each._labelnames))
    return found


def of_text(text: str) -> Described:
    """Of the text format: families by their TYPE lines, labels by their samples."""
    types = dict(re.findall(r"^# TYPE (\S+) (\w+)$", text, re.M))
    found: Described = {}
    for name, kind in types.items():
        labels = re.findall(rf"^{name}(?:_bucket|_sum|_count)?\{{(.*)\}} ", text, re.M)
        names = {label for pairs in labels for label in re.findall(r'(\w+)="', pairs)} - {"le"}
        found[name] = (kind, frozenset(names))
    return found


def of_the_code() -> Described:
    gateway = Metrics()
    gateway.started("f.openfaas-fn")
    gateway.completed("f.openfaas-fn", 200, 0.1)
    said = of_text(gateway.render({"f.openfaas-fn": 1}).decode())
    snapshot = Snapshot(State(Plan(Policy.NONE, wrapper=True)), Counters(), 0, "inotify", 0.0)
    return {
        **{name: each for module in MODULES for name, each in of_module(module).items()},
        **{name: each for name, each in said.items() if not name.startswith("process_")},
        **of_text(reload_metrics(snapshot)),
    }


MADE_WITH = re.compile(r"\*|Counter|Gauge|Histogram|Summary|Info|Enum|Metric|\w+MetricFamily")


def makes_metrics(source: str) -> bool:
    """Whether it names a class of prometheus_client that a metric is made with."""
    names: set[str] = set()
    taken: set[str] = set()
    nodes = list(ast.walk(ast.parse(source)))
    for node in nodes:
        if isinstance(node, ast.Import):
            theirs = [alias for alias in node.names if alias.name.partition(".")[0] == "prometheus_client"]
            names |= {alias.asname or "prometheus_client" for alias in theirs}
        elif isinstance(node, ast.ImportFrom) and (node.module or "").partition(".")[0] == "prometheus_client":
            names |= {alias.asname or alias.name for alias in node.names}
            taken |= {alias.name for alias in node.names}
    taken |= {node.attr for node in nodes if isinstance(node, ast.Attribute) and first_name(node) in names}
    return any(MADE_WITH.fullmatch(name) for name in taken)


def first_name(node: ast.expr) -> str:
    """Of `prometheus_client.metrics.Counter` the name that it begins with."""
    while isinstance(node, ast.Attribute):
        node = node.value
    return node.id if isinstance(node, ast.Name) else ""


@pytest.mark.parametrize(
    ("source", "makes"),
    [
        ("from prometheus_client import Counter", True),
        ("from prometheus_client import Counter as Tally", True),
        ("from prometheus_client.core import GaugeMetricFamily", True),
        ("from prometheus_client import *", True),
        ("from prometheus_client import metrics\nmetrics.Histogram('a', 'b')", True),
        ("import prometheus_client\nprometheus_client.Counter('a', 'b')", True),
        ("import prometheus_client as p\np.core.CounterMetricFamily('a', 'b')", True),
        ("import prometheus_client.core\nprometheus_client.core.Gauge('a', 'b')", True),
        ("def f():\n    from prometheus_client import Info", True),
        ("from prometheus_client import start_http_server", False),
        ("import prometheus_client\nprometheus_client.generate_latest()", False),
        ("from collections import Counter\nCounter()", False),
        ("import collections\ncollections.Counter()", False),
    ],
)
def test_what_makes_a_metric_is_seen_however_it_is_imported(source: str, makes: bool) -> None:
    assert makes_metrics(source) is makes


def test_no_other_module_makes_metrics() -> None:
    folders = [path for path in ROOT.iterdir() if path.is_dir() and path.name not in NO_PRODUCT and path.name[0] != "."]
    sources = {path for folder in folders for path in folder.rglob("*.py")}
    assert {ROOT / "template/python3-flask-edge/index.py", ROOT / "functions/placement/handler.py"} <= sources
    assert len(sources) > 100
    assert {path for path in sources if makes_metrics(path.read_text())} == {
        Path(str(module.__file__)) for module in MODULES
    }


def test_every_metric_with_its_type_and_labels_and_no_other() -> None:
    rows = ROW.findall(PAGE)
    told = {name: (kind, frozenset(filter(None, re.split(r"[, ]+", labels)))) for name, kind, labels in rows}
    assert len(told) == len(rows), "a metric is named twice"
    assert told == of_the_code()


def test_every_recorded_series_and_every_alert_and_no_other() -> None:
    rules = [
        rule
        for path in (ROOT / "k8s/monitoring/rules").glob("*.yml")
        for group in yaml.safe_load(path.read_text())["groups"]
        for rule in group["rules"]
    ]
    assert set(re.findall(r"^\| `(function:[\w:]+)` \|", PAGE, re.M)) == {r["record"] for r in rules if "record" in r}
    alerts = PAGE.partition("## Alerts")[2]
    assert set(re.findall(r"^\| `(\w+)` \|", alerts, re.M)) == {r["alert"] for r in rules if "alert" in r}


def test_what_somebody_is_to_do_stands_with_every_alert() -> None:
    for path in (ROOT / "k8s/monitoring/rules").glob("*.yml"):
        for group in yaml.safe_load(path.read_text())["groups"]:
            for rule in group["rules"]:
                if "alert" in rule:
                    assert {"summary", "action"} <= set(rule["annotations"]), rule["alert"]
                    assert rule["labels"]["severity"] in ("info", "warning", "critical")
