"""k8s/openfaas-values.yaml fits the functions of stack.yml, the MME's settings and charts/edge-platform."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any

import yaml

from mme.config import MmeConfig
from tests.layout.test_resources import functions

VALUES: dict[str, Any] = yaml.safe_load((Path(__file__).resolve().parents[2] / "k8s/openfaas-values.yaml").read_text())
GATEWAY, QUEUE_WORKER = VALUES["gateway"], VALUES["queueWorker"]


def seconds(text: str) -> int:
    found = re.fullmatch(r"([0-9]+)s", text)
    assert found, text
    return int(found[1])


def test_a_call_may_take_as_long_at_the_gateway_as_at_its_function() -> None:
    """Each who waits does so for longer than who is waited for: whose time is over first must be the function's."""
    for name, told in functions().items():
        of = {each: seconds(told["environment"][f"{each}_timeout"]) for each in ("exec", "read", "write")}
        assert of["exec"] < of["write"] < seconds(GATEWAY["upstreamTimeout"]), name
        assert of["exec"] < of["read"], name
    assert seconds(GATEWAY["upstreamTimeout"]) < min(seconds(GATEWAY[f"{each}Timeout"]) for each in ("read", "write"))


def test_a_queued_call_is_delivered_again_only_after_it_has_ended_and_while_it_is_known() -> None:
    assert seconds(GATEWAY["upstreamTimeout"]) < seconds(QUEUE_WORKER["ackWait"]) <= MmeConfig().ack_wait_s


def test_every_replica_of_the_largest_function_can_hold_a_queued_call() -> None:
    """A queue worker holds one: with fewer of them, replicas stand idle (docs/scaling.md)."""
    most = max(int(told["labels"]["com.openfaas.scale.max"]) for told in functions().values())
    assert QUEUE_WORKER["replicas"] >= most > 1


def test_nobody_but_charts_edge_platform_tells_the_gateway_to_scale() -> None:
    """The chart's own Alertmanager would undo its steps; its Prometheus counts what the gateway shows."""
    assert VALUES["alertmanager"]["create"] is False
    assert VALUES["prometheus"]["create"] is True
