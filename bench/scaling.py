"""Load that makes a function grow and shrink, under a real Prometheus and Alertmanager, and what is seen meanwhile."""

from __future__ import annotations

import contextlib
import math
import threading
import time
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field, replace
from typing import Any

from prometheus_client import start_http_server

from bench.bench import Bench, Ground
from bench.monitoring import INTERVAL_S, Prometheus, watched
from bench.section import Figures
from bench.stub import in_line, kept_port, stub
from enb_app.measure import distribution
from enb_app.outbox import Policy
from enb_app.result import Result
from localfaas.client import Client
from localfaas.process import Running
from localfaas.remote import Remote, from_environment

FUNCTION = "mme-uplink-nas"
MESSAGES_PER_ATTACH = 3
"""Of one attach, for FUNCTION: Authentication Response, Security Mode Complete, Attach Complete."""
WINDOW_S = 10.0
RULES_WINDOW_S = 20.0
"""Of the rates in k8s/monitoring/rules."""
WAIT = "queue_seconds"
"""The threshold that no rate tells of."""
GROUP_WAIT_S = 5.0
"""Of k8s/monitoring/alertmanager.yml."""
_LOOK_S = 0.25
_SHRINK_WITHIN_S = 180.0
_KEPT = {
    "invocations": 'function:invocations:rate{{function_name="{name}"}}',
    "messages": 'function:messages:rate{{function_name="{name}"}}',
    "queue_s": 'function:queue_seconds:mean{{function_name="{name}"}}',
    "backlog": 'function:backlog{{function_name="{name}"}}',
    "firing": 'count(ALERTS{{alertname="FunctionWantsReplicas", alertstate="firing", function_name="{name}"}})',
}


@dataclass(frozen=True, slots=True)
class Step:
    """So many attaches begun a second for so long; with at_once, so many UEs at a time, and the rate is a guess."""

    rate_per_s: float
    seconds: float
    at_once: int | None = None

    @property
    def ues(self) -> int:
        return max(1, round(self.rate_per_s * self.seconds))


@dataclass(frozen=True, slots=True)
class Plan:
    """steps: the last one is gone on with until the function is back at one replica, and once more after that.

    thresholds: of FUNCTION, which alone is scaled; by: the one that the load is to pass.
    most, factor: its com.openfaas.scale labels; the edition is classic, and there are as many queue workers.
    others: replicas of other functions, for the whole run.  delay_ms: how late HSS and gateway answer, 0 = they are in
    the function's process; a replica then handles one call at a time and waits in line.
    """

    steps: tuple[Step, ...]
    thresholds: Mapping[str, float]
    by: str
    most: int
    factor: int
    policy: Policy = field(default=Policy())
    others: Mapping[str, int] = field(default_factory=dict)
    delay_ms: int = 0

    @property
    def subscribers(self) -> int:
        """More than a run can use."""
        last = self.steps[-1]
        return sum(step.ues for step in self.steps) + math.ceil(last.rate_per_s * (_SHRINK_WITHIN_S + 60)) + 10

    def passes(self, step: Step) -> bool:
        """Whether so many attaches are above the threshold: of a wait, where several are under way at a time."""
        if self.by == WAIT:
            return step.at_once is not None and step.at_once > 1
        return step.rate_per_s * MESSAGES_PER_ATTACH > self.thresholds[self.by]


@dataclass(slots=True)
class Watch:
    """Replicas of FUNCTION as the gateway's API tells them.  seen: (unix s, wanted, ready), when they change."""

    gateway: Client
    seen: list[tuple[float, int, int]] = field(default_factory=list)
    _over: threading.Event = field(default_factory=threading.Event)

    @property
    def wanted(self) -> int:
        return self.seen[-1][1] if self.seen else 0

    @contextmanager
    def looking(self) -> Iterator[None]:
        """Look until the block ends."""
        thread = threading.Thread(target=self._look, daemon=True)
        thread.start()
        try:
            yield
        finally:
            self._over.set()
            thread.join()

    def _look(self) -> None:
        while not self._over.is_set():
            status = self.gateway.manage("GET", f"/system/function/{FUNCTION}")
            now = (int(status.get("replicas", 0)), int(status.get("availableReplicas", 0)))
            if not self.seen or self.seen[-1][1:] != now:
                self.seen.append((time.time(), *now))
            self._over.wait(_LOOK_S)


def run(bench: Bench, plan: Plan) -> Figures:
    """Figures of the run; times in seconds from its beginning.

    On the gateway that OPENFAAS_URL names, where it does: with the limits that FUNCTION is deployed with there.
    """
    with kept_port() as ticker_port, kept_port() as caller_port:
        return _run_with(bench, plan, ticker_port, caller_port)


def _run_with(bench: Bench, plan: Plan, ticker_port: int, caller_port: int) -> Figures:
    """`run`, with the ports on which the ticker and this process tell their metrics."""
    remote = from_environment()
    if remote is not None:
        plan = _as_deployed(plan, remote)
    server, thread = start_http_server(caller_port, addr="127.0.0.1")
    try:
        with (
            _serving(bench, plan, ticker_port) if remote is None else _elsewhere(bench, plan, remote) as (
                ground,
                gateway,
            ),
            watched(
                gateway,
                ground.site.folder / "monitoring",
                {FUNCTION: plan.thresholds},
                {"caller": caller_port} if remote is not None else {"ticker": ticker_port, "caller": caller_port},
            ) as prometheus,
        ):
            scraped = (
                'job="gateway"' if remote is not None else f'job="functions", function_name="{FUNCTION}.openfaas-fn"'
            )
            prometheus.waits_for(f"up{{{scraped}}} == 1", 60)
            watch = Watch(gateway)
            with watch.looking():
                results = _load(bench, ground, gateway, plan, watch)
            told = {"gateway": _name(gateway), "workers": plan.most if remote is None else None}
            return {**told, **_figures(plan, results, watch, prometheus)}
    finally:
        server.shutdown()
        server.server_close()
        thread.join()


@contextmanager
def _serving(bench: Bench, plan: Plan, ticker_port: int) -> Iterator[tuple[Ground, Running | Remote]]:
    """A localfaas of its own."""
    told = {"SCALE_MAX": str(plan.most), "SCALE_FACTOR": str(plan.factor)}
    ticker = ("--metrics-port", str(ticker_port))
    with contextlib.ExitStack() as stack:
        ground = stack.enter_context(bench.ground(plan.subscribers))
        port = 0
        if plan.delay_ms:
            port, stub_port = stack.enter_context(kept_port()), stack.enter_context(kept_port())
            told |= in_line(port, stub_port)
            stack.enter_context(stub(ground.site, stub_port, ("--delay-ms", str(plan.delay_ms))))
        gateway = ground.site.serve(
            port=port,
            metrics_port=0,
            workers=plan.most,
            replicas=plan.others,
            edition="classic",
            settings=told,
            ticker_options=ticker,
        )
        yield ground, stack.enter_context(gateway)


@contextmanager
def _elsewhere(bench: Bench, plan: Plan, gateway: Remote) -> Iterator[tuple[Ground, Running | Remote]]:
    with bench.ground_elsewhere(plan.subscribers, gateway) as ground:
        yield ground, gateway


def _as_deployed(plan: Plan, gateway: Remote) -> Plan:
    """The plan with FUNCTION's own labels; OpenFaaS' defaults are 5 and 10."""
    labels = gateway.manage("GET", f"/system/function/{FUNCTION}").get("labels", {})
    most, factor = (int(labels.get(f"com.openfaas.scale.{of}", usual)) for of, usual in (("max", 5), ("factor", 10)))
    return replace(plan, most=most, factor=factor)


def _name(gateway: Client) -> str:
    info = gateway.manage("GET", "/system/info")
    return f"{info['version']['release']}, {info['provider']['provider']} {info['provider']['version']['release']}"


def _load(bench: Bench, ground: Ground, gateway: Client, plan: Plan, watch: Watch) -> list[tuple[Step, Result]]:
    found: list[tuple[Step, Result]] = []

    def play(step: Step) -> None:
        loop = {"rate_per_s": step.rate_per_s} if step.at_once is None else {"concurrency": step.at_once}
        attached = ground.attach(gateway, ues=step.ues, policy=plan.policy, **loop)
        found.append((step, attached.result))
        result = attached.result
        bench.say(
            f"{_shape(step)}: {result.failed} of {len(result.outcomes)} failed, "
            f"p50 {result.times.p50_ms if result.times else math.nan:.0f} ms, {watch.wanted} replicas wanted"
        )

    for step in plan.steps:
        play(step)
    give_up = time.monotonic() + _SHRINK_WITHIN_S
    while watch.wanted > 1 and time.monotonic() < give_up:
        play(replace(plan.steps[-1], seconds=WINDOW_S))
    play(replace(plan.steps[-1], seconds=WINDOW_S))
    return found


def _shape(step: Step) -> str:
    if step.at_once is not None:
        return f"{step.ues} attaches, {step.at_once} at a time"
    return f"{step.rate_per_s:g} attaches/s for {step.seconds:g} s"


def _figures(plan: Plan, results: list[tuple[Step, Result]], watch: Watch, prometheus: Prometheus) -> Figures:
    begin_s, end_s = results[0][1].started_unix_s, time.time()
    outcomes = [
        (result.started_unix_s - begin_s + o.started_ms / 1000, o) for _, result in results for o in result.outcomes
    ]
    passed_s = next(
        (
            round(result.started_unix_s - begin_s + min(o.started_ms for o in result.outcomes) / 1000, 2)
            for step, result in results
            if plan.passes(step)
        ),
        None,
    )
    replicas = [[round(at - begin_s, 2), wanted, ready] for at, wanted, ready in watch.seen]
    first_s = next((at for at, _, ready in replicas if ready > 1), None)
    name = f"{FUNCTION}.openfaas-fn"
    kept = {
        of: [
            [round(at - begin_s, 1), value]
            for at, value in _numbers(prometheus, expr.format(name=name), begin_s, end_s)
        ]
        for of, expr in _KEPT.items()
    }
    return {
        "function": FUNCTION,
        "thresholds": dict(plan.thresholds),
        "by": plan.by,
        "most": plan.most,
        "factor": plan.factor,
        "batch": plan.policy.batch,
        "linger_s": plan.policy.linger_s,
        "delay_ms": plan.delay_ms,
        "interval_s": INTERVAL_S,
        "attached": sum(result.attached for _, result in results),
        "failed": sum(result.failed for _, result in results),
        "refused_before": sum(result.refused_before for _, result in results),
        "resends": sum(result.resends for _, result in results),
        "causes": sorted({o.cause[:120] for _, o in outcomes if o.attach_ms is None})[:10],
        "passed_s": passed_s,
        "intervals_allow_s": allowed_s(plan),
        "first_new_replica_s": None if passed_s is None or first_s is None else round(first_s - passed_s, 1),
        "most_wanted": max(wanted for _, wanted, _ in replicas),
        "most_ready": max(ready for _, _, ready in replicas),
        "last_wanted": replicas[-1][1],
        "wanted_in_turn": [wanted for number, (_, wanted, _) in enumerate(replicas) if _changed(replicas, number)],
        "steps": [_step(step, result, begin_s) for step, result in results],
        "replicas": replicas,
        "windows": windows([(at, o.attach_ms) for at, o in outcomes if o.attach_ms is not None]),
        "series": kept,
    }


def rate_passed_s(rates: Sequence[Sequence[float]], threshold: float) -> float | None:
    """When the rule's rate was last seen below before it was first seen above: where one replica cannot serve what is
    offered, much later than the first attach above.

    rates: (s, per second), as evaluated.
    """
    before_s = None
    for at_s, rate in rates:
        if rate > threshold:
            return before_s
        before_s = at_s
    return None


def allowed_s(plan: Plan) -> float:
    """How long the intervals alone may take from the first attach above the threshold to the gateway's order.

    Until the mean over the rules' window has passed it, which for a wait may be all of the window; a scrape and an
    evaluation that were just missed; the alert's `for`, which ends at the next evaluation; Alertmanager's group_wait.
    """
    return round(_rise_s(plan) + 3 * INTERVAL_S + GROUP_WAIT_S, 1)


def allowed_after_the_rate_s() -> float:
    """How long the intervals alone may take from the last look at which the rule's own figure was below to the order.

    The looks' distance, which is that of evaluations; the alert's `for`; Alertmanager's group_wait; and how often the
    gateway is asked.
    """
    return 2 * INTERVAL_S + GROUP_WAIT_S + _LOOK_S


def _rise_s(plan: Plan) -> float:
    if plan.by == WAIT:
        return RULES_WINDOW_S
    before, above = 0.0, 0.0
    for step in plan.steps:
        above = step.rate_per_s * MESSAGES_PER_ATTACH
        if plan.passes(step):
            break
        before = above
    return RULES_WINDOW_S * (plan.thresholds[plan.by] - before) / (above - before)


def _changed(replicas: list[list[Any]], number: int) -> bool:
    return number == 0 or replicas[number - 1][1] != replicas[number][1]


def _numbers(prometheus: Prometheus, expr: str, begin_s: float, end_s: float) -> list[list[float]]:
    found = prometheus.over(expr, begin_s, end_s, INTERVAL_S)
    return [[at, round(value, 4)] for at, value in found if math.isfinite(value)]


def _step(step: Step, result: Result, begin_s: float) -> dict[str, Any]:
    times = result.times
    return {
        "at_s": round(result.started_unix_s - begin_s, 1),
        "rate_per_s": step.rate_per_s if step.at_once is None else round(result.rate_per_s, 2),
        "at_once": step.at_once,
        "ues": len(result.outcomes),
        "attached": result.attached,
        "failed": result.failed,
        "resends": result.resends,
        "p50_ms": None if times is None else round(times.p50_ms, 1),
        "p99_ms": None if times is None else round(times.p99_ms, 1),
        "max_ms": None if times is None else round(times.max_ms, 1),
    }


def windows(attaches: list[tuple[float, float]]) -> list[dict[str, float]]:
    """p50 and p99 of the attaches that began in each WINDOW_S."""
    by_window: dict[int, list[float]] = {}
    for at_s, ms in attaches:
        by_window.setdefault(int(at_s / WINDOW_S), []).append(ms)
    return [
        {
            "at_s": number * WINDOW_S,
            "attaches": times.count,
            "p50_ms": round(times.p50_ms, 1),
            "p99_ms": round(times.p99_ms, 1),
        }
        for number, found in sorted(by_window.items())
        if (times := distribution(found)) is not None
    ]
