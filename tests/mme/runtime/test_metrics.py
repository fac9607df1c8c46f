"""What the functions count: states, procedures, refusals, store operations; each once, however often it is tried."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, field, replace

import pytest
from prometheus_client import REGISTRY

from enb_app.association import Leave
from mme import metrics
from mme.store.base import Table
from mme.store.faulty import FaultConflict, FaultUnavailable, on_save
from mme.store.sqlite import SqliteStore
from mme.work import CONFLICT_TRIES
from tests.mme.runtime.pair import Network
from tests.mme.runtime.returning import attached, idle
from tests.mme.runtime.test_commands import command
from tests.mme.runtime.test_congestion import congested as congested  # noqa: PLC0414  the fixture

REGISTERED, IDLE, CONNECTED = "EMM-REGISTERED", "ECM-IDLE", "ECM-CONNECTED"


@dataclass
class Counted:
    """What the registry has gained since."""

    _before: dict[tuple[str, tuple[tuple[str, str], ...]], float] = field(default_factory=dict)

    def __post_init__(self) -> None:
        self._before = dict(self._now())

    @staticmethod
    def _now() -> Iterator[tuple[tuple[str, tuple[tuple[str, str], ...]], float]]:
        for family in REGISTRY.collect():
            for sample in family.samples:
                yield (sample.name, tuple(sorted(sample.labels.items()))), sample.value

    def gained(self, name: str, **labels: str) -> float:
        wanted = set(labels.items())
        return sum(
            value - self._before.get((found, pairs), 0.0)
            for (found, pairs), value in self._now()
            if found == name and wanted <= set(pairs)
        )

    def population(self, state: str) -> float:
        entered = self.gained("mme_ue_states_entered_total", state=state)
        return entered - self.gained("mme_ue_states_left_total", state=state)


@pytest.fixture
def counted(network: Network) -> Counted:
    assert network.contexts() == []
    return Counted()


def test_with_a_message_s_first_item_its_other_results_begin() -> None:
    """So that the first of them is a step, which `rate` sees; and not a series that begins with it."""
    before = Counted()
    metrics.worked("a message", "done")
    for result in ("done", "duplicate", "stale", "discarded", "rejected", "retry"):
        told = REGISTRY.get_sample_value("mme_messages_total", {"message": "a message", "result": result})
        assert told == (result == "done")
    metrics.worked("a message", "retry")
    assert before.gained("mme_messages_total", message="a message") == 2
    assert before.gained("mme_messages_total", message="a message", result="retry") == 1


def test_an_attach_is_counted_once_and_its_duration_is_its_own(network: Network, counted: Counted) -> None:
    talk = network.ue(network.subscribe())
    talk.post()
    assert counted.population("EMM-COMMON-PROCEDURE-INITIATED") == 1
    network.clock.now_s += 0.4
    network.talks.clear()
    talk = network.ue(network.subscribe("001010000000003"))
    while talk.queue:
        network.clock.now_s += 0.25
        talk.step()
    assert counted.gained("mme_procedures_total", procedure="attach") == 1
    assert counted.gained("mme_procedures_total", procedure="attach", result="completed") == 1
    assert counted.gained("mme_procedure_seconds_count", procedure="attach") == 1
    # Five messages of the UE after its first, each a quarter of a second later (TS 23.401 5.3.2.1).
    assert 1.0 < counted.gained("mme_procedure_seconds_sum", procedure="attach") < 1.8
    assert (counted.population(REGISTERED), counted.population("EMM-COMMON-PROCEDURE-INITIATED")) == (1, 1)
    assert counted.population(CONNECTED) == 2


def test_conflicts_and_duplicates_count_nothing_twice(network: Network, counted: Counted) -> None:
    talk = network.ue(network.subscribe())
    while talk.queue:
        network.faults.plan = on_save(FaultConflict(), FaultConflict(), table=Table.UE_CONTEXT)
        exchange = talk.step()
        network.again(exchange)
    assert counted.gained("mme_procedures_total") == 1
    assert (counted.population(REGISTERED), counted.population(CONNECTED), counted.population(IDLE)) == (1, 1, 0)
    assert counted.gained("mme_cas_total", result="conflict") >= 2


def test_what_was_not_saved_is_not_counted(network: Network, counted: Counted) -> None:
    talk = network.ue(network.subscribe())
    network.faults.plan = on_save(*[FaultUnavailable()] * CONFLICT_TRIES, table=Table.UE_CONTEXT)
    assert talk.post().reply.result == "retry"
    assert counted.gained("mme_ue_states_entered_total") == 0


def test_idle_and_gone(network: Network, counted: Counted) -> None:
    idle(network)
    assert (counted.population(CONNECTED), counted.population(IDLE), counted.population(REGISTERED)) == (0, 1, 1)
    assert counted.gained("mme_ue_states_left_total", state=CONNECTED) == 1
    network.ue(network.subscribe("001010000000003"), leave=Leave.DETACH).run()
    assert (counted.population(CONNECTED), counted.population(IDLE), counted.population(REGISTERED)) == (0, 1, 1)
    assert counted.gained("mme_procedures_total", procedure="detach", result="completed") == 1


def test_a_reallocation_that_a_detach_aborts_is_abandoned(network: Network, counted: Counted) -> None:
    attached(network)
    command(network, "reallocate-guti")
    command(network, "detach", n=2)
    assert counted.gained("mme_procedures_total", procedure="GUTI reallocation", result="abandoned") == 1
    assert counted.gained("mme_procedures_total", procedure="GUTI reallocation") == 1


def test_a_refusal_is_counted_by_its_cause(network: Network, counted: Counted) -> None:
    """TS 24.301 5.5.1.2.5: an IMSI that the HSS does not know, #8; 5.4.2.5: a wrong key, AUTHENTICATION REJECT."""
    network.ue(replace(network.subscribe(), imsi=type(network.subscribe().imsi)("001010999999999"))).run()
    reject = {"message": "AttachReject", "cause": "8 eps services and non eps services not allowed"}
    assert counted.gained("mme_nas_rejects_total", **reject) == 1
    assert counted.gained("mme_procedures_total", procedure="attach", result="rejected") == 1
    network.ue(replace(network.subscribe("001010000000003"), k=bytes(16))).run()
    assert counted.gained("mme_nas_rejects_total", message="AuthenticationReject", cause="none") == 1
    assert counted.gained("mme_procedures_total", procedure="attach", result="rejected") == 2
    assert counted.gained("mme_procedure_seconds_count", procedure="attach") == 0
    assert counted.population("EMM-COMMON-PROCEDURE-INITIATED") == 0


def test_an_attach_refused_for_congestion_counts_though_nothing_is_stored(congested: Network, counted: Counted) -> None:
    congested.ue(congested.subscribe()).post()
    assert counted.gained("mme_procedures_total", procedure="attach", result="rejected") == 1
    assert counted.gained("mme_nas_rejects_total", message="AttachReject", cause="22 congestion") == 1
    assert counted.gained("mme_ue_states_entered_total") == 0


def test_a_ue_that_goes_silent_is_an_abandoned_attach(network: Network, counted: Counted) -> None:
    """T3460 expires for the fifth time (TS 24.301 5.4.2.7 b): the procedure is aborted."""
    network.ue(network.subscribe()).post()
    network.wait(40)
    assert counted.gained("mme_procedures_total", procedure="attach", result="abandoned") == 1
    assert counted.population("EMM-COMMON-PROCEDURE-INITIATED") == 0
    assert counted.gained("mme_timer_late_seconds_count") >= 5
    assert counted.gained("mme_timers_waiting") == 0


def test_every_store_operation_is_timed(network: Network, counted: Counted) -> None:
    assert isinstance(network.database, SqliteStore)
    first = network.ue(network.subscribe()).post()
    timed = {
        operation: counted.gained("mme_store_seconds_count", operation=operation)
        for operation in ("load", "save", "insert timer")
    }
    cost = first.cost
    assert timed == {"load": cost.reads, "save": cost.conditional_writes, "insert timer": cost.writes}
