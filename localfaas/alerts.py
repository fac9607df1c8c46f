"""Alertmanager's webhook: how many replicas a function should get."""

import math
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from localfaas.deployments import SCALE_FACTOR, SCALE_MAX, SCALE_MIN, Deployments, whole_number
from localfaas.options import NAMESPACE, Edition


def replicas_after(status: str, current: int, most: int, least: int, factor: int, *, cap: int) -> int:
    """Decide the next replica count for one alert.

    status: "firing" steps up by ceil(most/100 * factor), anything else falls to `least` at once.
    most, least: labels scale.max and scale.min.  factor: percent of `most`; 0 makes even "firing" fall to `least`.
    cap: the edition's maximum.   Source: contract section 5 (gateway's CalculateReplicas).
    """
    most = min(most, cap)
    step = math.ceil(most / 100 * factor)
    if status == "firing" and step > 0:
        return min(current + step, most)
    return least


class BadScalingFactorError(ValueError):
    """com.openfaas.scale.factor is not within 1..100: such a function is not found by the gateway's scaler."""


@dataclass(frozen=True, slots=True)
class Scaling:
    """Scaling labels of a function with defaults filled in."""

    least: int
    most: int
    factor: int

    @classmethod
    def of(cls, labels: Mapping[str, str], edition: Edition) -> "Scaling":
        """Read the labels.   Raises: BadScalingFactorError with the gateway's text."""
        factor = whole_number(labels, SCALE_FACTOR, edition.default_factor)
        if not 0 < factor <= 100:
            # Go reads it into an unsigned number.
            raise BadScalingFactorError(f"bad scaling factor: {factor % 2**64}, is not in range of [0 - 100]")
        return cls(
            least=whole_number(labels, SCALE_MIN, 1),
            most=whole_number(labels, SCALE_MAX, edition.max_replicas),
            factor=factor,
        )


def split_name(name: str) -> tuple[str, str]:
    """Split "name" or "name.namespace" at the last dot."""
    function, dot, namespace = name.rpartition(".")
    return (function, namespace) if dot and function else (name, NAMESPACE)


def handle(payload: Any, deployments: Deployments, edition: Edition) -> None:
    """Scale the functions of a webhook's alerts. Unknown names and other namespaces are passed over.

    Raises: ValueError for a payload that is not of Alertmanager's shape.
    """
    if not isinstance(payload, dict) or not isinstance(payload.get("alerts") or [], list):
        raise ValueError("not an alert")
    for alert in payload.get("alerts") or []:
        labels = alert.get("labels") or {} if isinstance(alert, dict) else None
        if not isinstance(labels, dict) or not isinstance(labels.get("function_name", ""), str):
            raise ValueError("not an alert")
        name, namespace = split_name(labels.get("function_name", ""))
        deployment = deployments.by_name.get(name)
        if deployment is None or namespace != NAMESPACE:
            continue
        try:
            scaling = Scaling.of(deployment.spec.labels, edition)
        except BadScalingFactorError:
            continue
        current = deployment.replicas.desired
        wanted = replicas_after(
            alert.get("status", ""), current, scaling.most, scaling.least, scaling.factor, cap=edition.max_replicas
        )
        if wanted != current:
            deployment.replicas.scale(deployments.clamp(wanted))
