"""The dashboards.  Windows are fixed (20 s, 1 min): scrapes are 5 s apart, and a short burst must be seen.

What is rare is counted over ten minutes instead, from a series' first value on.
"""

from __future__ import annotations

from tools.monitoring.panels import Dashboard, Panel, Query

# Counters of replicas that are gone count too: a UE that one has registered is deregistered by another.
_EVER = "[15d]"
_FEW = "10m"
_AGE = "time() - (reload_last_applied_timestamp_seconds > 0)"  # 0: a pod that has not applied any yet


def _population(states: str) -> str:
    entered = f'sum by (state) (last_over_time(mme_ue_states_entered_total{{state=~"{states}"}}{_EVER}))'
    return f'{entered} - sum by (state) (last_over_time(mme_ue_states_left_total{{state=~"{states}"}}{_EVER}))'


def _since(series: str, window: str) -> str:
    """What was added in that time, and what a series had begun with if that was then.

    `increase` takes the first value for what was there before, and of rare events, in replicas that come and go, most
    are the first of their series.  Five minutes are looked back further, for a scrape that failed is no beginning.  The
    price: where there was none for as long, all that was ever counted is shown for the length of the window.
    """
    began = f"last_over_time({series}[{window}]) unless last_over_time({series}[5m] offset {window})"
    return f"({began} or increase({series}[{window}]))"


def _count(series: str, by: str) -> str:
    return f"sum by ({by}) {_since(series, _FEW)}"


def _quantile(share: float, metric: str, by: str, window: str = "1m") -> str:
    return f"histogram_quantile({share}, sum by ({by}, le) {_since(f'{metric}_bucket', window)})"


SCALING = Dashboard(
    "edge-scaling",
    "Edge functions: scaling",
    "Load of each function against its thresholds, and what the gateway made of it.",
    (
        (
            "Load",
            (
                Panel(
                    "Invocations and threshold",
                    "reqps",
                    "Invocations answered 200, all replicas together. Above its threshold for two evaluations, a "
                    "function gets more replicas. Calls that are queued are not in it: see the backlog.",
                    (
                        Query("function:invocations:rate", "{{function_name}}"),
                        Query('function:threshold{of="invocations"}', "threshold {{function_name}}"),
                    ),
                ),
                Panel(
                    "Messages and threshold",
                    "ops",
                    "Items that the functions worked off. Where callers batch, this grows and the invocations do not.",
                    (
                        Query("function:messages:rate", "{{function_name}}"),
                        Query('function:threshold{of="messages"}', "threshold {{function_name}}"),
                    ),
                ),
                Panel(
                    "Wait before a function begins",
                    "s",
                    "Mean time from the caller's signature to the function's first step: queue, gateway, cold start.",
                    (
                        Query("function:queue_seconds:mean", "{{function_name}}"),
                        Query('function:threshold{of="queue_seconds"}', "threshold {{function_name}}"),
                    ),
                ),
                Panel(
                    "Asynchronous backlog",
                    "short",
                    "Calls that callers have published and that no replica has begun. It grows while the queue workers "
                    "(one call each) are all busy; more replicas alone do not help then.",
                    (
                        Query("function:backlog", "{{function_name}}"),
                        Query('function:threshold{of="backlog"}', "threshold {{function_name}}"),
                    ),
                ),
            ),
        ),
        (
            "Replicas",
            (
                Panel(
                    "Replicas wanted and ready",
                    "short",
                    "Wanted: what the gateway has asked for. Ready: replicas whose /metrics answers.",
                    (
                        Query("function:replicas:wanted", "{{function_name}} wanted"),
                        Query("function:replicas:ready", "{{function_name}} ready"),
                    ),
                ),
                Panel(
                    "Cold replicas",
                    "short",
                    "Wanted and not serving yet. A minute of it is an alert: pods that cannot be placed, or die.",
                    (Query("function:replicas:cold", "{{function_name}}"),),
                ),
                Panel(
                    "Reasons to scale",
                    "short",
                    "1 while a function is above that threshold. The alert holds a minute longer than the last.",
                    (
                        Query(
                            "count by (function_name, reason) (function:wants_replicas)",
                            "{{function_name}}: {{reason}}",
                        ),
                    ),
                ),
                Panel(
                    "Alerts",
                    "short",
                    "Alerts that are pending or firing. docs/metrics.md says what each means and what to do.",
                    (
                        Query(
                            "count by (alertname, alertstate, function_name) (ALERTS)",
                            "{{alertname}} {{function_name}} {{alertstate}}",
                        ),
                    ),
                ),
            ),
        ),
        (
            "Quality",
            (
                Panel(
                    "Time of an invocation, 99 %",
                    "s",
                    "As the gateway measures it: function and network to it, without the queue before.",
                    (Query("function:seconds:p99", "{{function_name}}"),),
                ),
                Panel(
                    "Share of errors",
                    "percentunit",
                    "Answered 5xx, of all that were not refused (4xx). A refused UE is no error: it is answered 200.",
                    (Query("function:errors:share", "{{function_name}}"),),
                ),
                Panel(
                    "Share of refusals",
                    "percentunit",
                    "Answered 4xx, of all: a key that the caller does not share, a clock that is off, a stranger. "
                    "Above its threshold for a minute it is an alert. A function that has refused none has no line.",
                    (
                        Query("function:refusals:share", "{{function_name}}"),
                        Query('function:threshold{of="error_share"}', "threshold {{function_name}}"),
                    ),
                ),
                Panel(
                    "Items refused",
                    "short",
                    "In ten minutes, of calls that were answered 200: a key that spoke for another eNB, or a caller "
                    "with what only others may send. The function's log, event `item refused`, has both.",
                    (
                        Query(
                            _count('mme_items_refused_total{function_name!=""}', "function_name"), "{{function_name}}"
                        ),
                    ),
                ),
            ),
        ),
    ),
)

MME = Dashboard(
    "edge-mme",
    "Edge functions: MME",
    "What UEs get: procedures, their results and times, states, timers and the store.",
    (
        (
            "Procedures",
            (
                Panel(
                    "Attaches",
                    "ops",
                    "Attaches that have ended. Abandoned: the UE fell silent, or another attach took its place.",
                    (Query('sum by (result) (rate(mme_procedures_total{procedure="attach"}[20s]))', "{{result}}"),),
                ),
                Panel(
                    "Results by procedure",
                    "percentunit",
                    "Share of each result among the ended procedures of its kind, over a minute.",
                    (
                        Query(
                            "sum by (procedure, result) (rate(mme_procedures_total[1m]))"
                            " / on (procedure) group_left () (sum by (procedure) (rate(mme_procedures_total[1m])) > 0)",
                            "{{procedure}} {{result}}",
                        ),
                    ),
                ),
                Panel(
                    "Time of a procedure",
                    "s",
                    "From its first message to its last, of those completed: the UE's and the radio's times are in it.",
                    (
                        Query(_quantile(0.5, "mme_procedure_seconds", "procedure"), "{{procedure}} 50 %"),
                        Query(_quantile(0.99, "mme_procedure_seconds", "procedure"), "{{procedure}} 99 %"),
                    ),
                ),
                Panel(
                    "Time of a step, 99 %",
                    "s",
                    "Of one message inside a function: decoding, store, HSS or gateway, encoding.",
                    (Query(_quantile(0.99, "mme_item_seconds", "message"), "{{message}}"),),
                ),
            ),
        ),
        (
            "UEs",
            (
                Panel(
                    "UEs by EMM state",
                    "short",
                    "States entered less states left, of all replicas of the last 15 days. What a replica counted "
                    "after its last scrape is missing, and all that it counted before its container was started again "
                    "in the same pod: this drifts, also below 0; `edge ue` knows exactly.",
                    (Query(_population("EMM-.*"), "{{state}}"),),
                    signed=True,
                ),
                Panel(
                    "UEs by ECM state",
                    "short",
                    "As above, also below 0. A UE whose eNB has lost its association is ECM-IDLE, and counted so when "
                    "next touched.",
                    (Query(_population("ECM-.*"), "{{state}}"),),
                    signed=True,
                ),
                Panel(
                    "NAS rejects by cause",
                    "short",
                    "Messages that refuse a UE something, by EMM cause (TS 24.301 9.9.3.9), in ten minutes. #22 "
                    "congestion: overload.",
                    (Query(_count("mme_nas_rejects_total", "message, cause"), "{{message}} #{{cause}}"),),
                ),
                Panel(
                    "Results by message",
                    "ops",
                    "What became of each item. retry: the store did not answer, the caller sends it again.",
                    (Query("sum by (result) (rate(mme_messages_total[20s]))", "{{result}}"),),
                ),
            ),
        ),
        (
            "Timers and store",
            (
                Panel(
                    "Timers by result",
                    "ops",
                    "What became of due timers. stale row: stopped in time, as most are. overdue: no answer "
                    "in 8 tries, tried on. dead: given up over an hour after it was due. Both are an alert.",
                    (Query("sum by (result) (rate(mme_timers_total[1m]))", "{{result}}"),),
                ),
                Panel(
                    "Timers due",
                    "short",
                    "Due and not done with, of all tickers.",
                    (Query("sum(mme_timers_waiting)", "waiting"),),
                ),
                Panel(
                    "Timers late",
                    "s",
                    "From when a timer was due to its reply. A ticker looks four times a second.",
                    (
                        Query("histogram_quantile(0.5, sum by (le) (rate(mme_timer_late_seconds_bucket[5m])))", "50 %"),
                        Query(
                            "histogram_quantile(0.99, sum by (le) (rate(mme_timer_late_seconds_bucket[5m])))", "99 %"
                        ),
                    ),
                ),
                Panel(
                    "Time of a store operation",
                    "s",
                    "load: a read; save: a conditional write; insert timer: a plain write.",
                    (
                        Query(_quantile(0.5, "mme_store_seconds", "operation"), "{{operation}} 50 %"),
                        Query(_quantile(0.99, "mme_store_seconds", "operation"), "{{operation}} 99 %"),
                    ),
                ),
                Panel(
                    "Conditional writes",
                    "ops",
                    "conflict: somebody else was faster, the procedure runs again. unknown: no verdict came.",
                    (Query("sum by (result) (rate(mme_cas_total[1m]))", "{{result}}"),),
                ),
            ),
        ),
    ),
)

PLACEMENT_AND_RELOAD = Dashboard(
    "edge-placement-and-reload",
    "Edge functions: placement and reload",
    "What became of workloads on edge clusters, and what configuration they run with.",
    (
        (
            "Placement",
            (
                Panel(
                    "Operations by cluster and outcome",
                    "short",
                    "Operations that ended in ten minutes. The outcome is a status, or the code of an error "
                    "(docs/errors.md); cluster none: it was refused before one was chosen.",
                    (
                        Query(
                            _count("placement_operations_total", "cluster, action, outcome"),
                            "{{cluster}}: {{action}} {{outcome}}",
                        ),
                    ),
                ),
                Panel(
                    "Duration by cluster",
                    "s",
                    "From the call to the end, of those that ended in ten minutes: waits for pods are in it. Slow on "
                    "one cluster: its API server, or its images.",
                    (
                        Query(
                            _quantile(0.5, "placement_operation_seconds", "cluster, action", _FEW),
                            "p50 {{cluster}} {{action}}",
                        ),
                        Query(
                            _quantile(0.99, "placement_operation_seconds", "cluster, action", _FEW),
                            "p99 {{cluster}} {{action}}",
                        ),
                    ),
                ),
                Panel(
                    "Steps",
                    "s",
                    "99 % of the steps of each phase, of ten minutes. A step may not last longer than a call may "
                    "(helm_timeout_s).",
                    (Query(_quantile(0.99, "placement_step_seconds", "phase", _FEW), "{{phase}}"),),
                ),
                Panel(
                    "Drift",
                    "short",
                    "Releases that were looked at (action status) in ten minutes, by whether the cluster has what was "
                    "placed. Drift on one cluster only: somebody changes it by hand.",
                    (Query(_count("placement_comparisons_total", "cluster, found"), "{{cluster}}: {{found}}"),),
                ),
                Panel(
                    "Requests refused whole",
                    "short",
                    "By HTTP status, in ten minutes; 401: no signature, a wrong one or an old one.",
                    (Query(_count("placement_requests_refused_total", "status"), "{{status}}"),),
                ),
                Panel(
                    "Final answers to callback URLs",
                    "short",
                    "In ten minutes. given up: the caller did not take it in all tries, and has to ask.",
                    (Query(_count("placement_callbacks_total", "result"), "{{result}}"),),
                ),
            ),
        ),
        (
            "Reload",
            (
                Panel(
                    "Calls by outcome",
                    "short",
                    "Calls of config-reload that were answered in ten minutes. error for one caller only: what it asks "
                    "for is not allowed, or not there; the answer's code says which.",
                    (Query(_count("config_reload_requests_total", "action, status"), "{{action}} {{status}}"),),
                ),
                Panel(
                    "Time of a call",
                    "s",
                    "Until config-reload has answered, of the calls of ten minutes. What takes longer goes on in the "
                    "ticker's steps, and is called back: pods that are slow to confirm are not in it.",
                    (
                        Query(_quantile(0.5, "config_reload_seconds", "action", _FEW), "p50 {{action}}"),
                        Query(_quantile(0.99, "config_reload_seconds", "action", _FEW), "p99 {{action}}"),
                    ),
                ),
                Panel(
                    "Verdicts by cluster",
                    "short",
                    "Candidates in ten minutes. rejected: a check or a schema refused them; failed: the daemon did not "
                    "live with them.",
                    (Query(_count("reload_verdicts_total", "cluster, verdict"), "{{cluster}}: {{verdict}}"),),
                ),
                Panel(
                    "Pods on their last good configuration",
                    "short",
                    "Not 0: the newest configuration is not what they run with. The agent's /status says why.",
                    (Query("sum by (cluster) (reload_on_last_good)", "{{cluster}}"),),
                ),
                Panel(
                    "Age of the digest",
                    "s",
                    "Since a configuration was applied last, oldest and newest pod. Far apart after a change: a pod "
                    "has not taken it. A pod that has never applied one is not in it.",
                    (
                        Query(f"max by (cluster) ({_AGE})", "oldest {{cluster}}"),
                        Query(f"min by (cluster) ({_AGE})", "newest {{cluster}}"),
                    ),
                ),
                Panel(
                    "Digests in use",
                    "short",
                    "Pods by what they run with. Two digests for one function for long: a change that is stuck.",
                    (Query("count by (cluster, digest) (reload_config_info == 1)", "{{cluster}}: {{digest}}"),),
                ),
                Panel(
                    "Time of the last change",
                    "s",
                    "From when a pod saw a configuration until it had applied it, slowest pod. The kubelet's part is "
                    "not in it.",
                    (Query("max by (cluster) (reload_last_apply_seconds)", "{{cluster}}"),),
                ),
                Panel(
                    "Daemons started again",
                    "short",
                    "By policy restart, and after a crash, in ten minutes.",
                    (Query("sum by (cluster) (increase(reload_daemon_starts_total[10m]))", "{{cluster}}"),),
                ),
            ),
        ),
    ),
)

DASHBOARDS = {"scaling": SCALING, "mme": MME, "placement-and-reload": PLACEMENT_AND_RELOAD}
"""By the name of their file."""
