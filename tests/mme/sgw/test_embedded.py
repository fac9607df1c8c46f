"""Sessions and addresses: no address twice, a need has one session, what is deleted is free again."""

from __future__ import annotations

import dataclasses
import multiprocessing
from concurrent.futures import ProcessPoolExecutor
from ipaddress import IPv4Address, IPv4Network
from pathlib import Path

import pytest

from mme.errors import StoreContendedError, StoreUnavailableError
from mme.ids import Imsi, Plmn
from mme.needs import (
    DeleteSession,
    Done,
    ModifySession,
    NeedSession,
    NeedVector,
    Refusal,
    Refused,
    Session,
    session_id_of,
)
from mme.sgw.embedded import ABANDONED_S, DELETED_S, PROBES, EmbeddedGateway
from mme.store.base import RESOLVE_TRIES, Store, Table
from mme.store.counting import CountingStore, measure
from mme.store.faulty import (
    Applied,
    Fault,
    FaultConflict,
    FaultUnavailable,
    FaultUnknown,
    FaultyStore,
    Operation,
    Pass,
    on_save,
)
from mme.store.opening import open_store
from mme.store.sqlite import SqliteStore

IMSI = Imsi("001010123456780")
POOL = IPv4Network("10.45.0.0/16")
SMALL_POOL = IPv4Network("10.45.0.0/29")
"""Five addresses for UEs: .2 to .6."""
SGW = IPv4Address("127.0.0.9")
ENB = bytes((127, 0, 1, 1))


def gateway(store: Store, pool: IPv4Network = POOL, now_s: float = 1_800_000_000) -> EmbeddedGateway:
    return EmbeddedGateway(store, pool, SGW, [IPv4Address("192.0.2.1")], 1400, clock=lambda: now_s)


def need(number: object, **changes: object) -> NeedSession:
    wanted = NeedSession(f"enb/1/{number}/session", 7, IMSI, "internet", 1, 5)
    return dataclasses.replace(wanted, **changes)  # type: ignore[arg-type]


def ask(gw: EmbeddedGateway, number: object, **changes: object) -> Session:
    answer = gw.ask(need(number, **changes))
    assert isinstance(answer, Session)
    return answer


def delete(gw: EmbeddedGateway, session: Session | str) -> object:
    return gw.ask(DeleteSession("d", 7, session if isinstance(session, str) else session.session_id))


def addresses(store: Store) -> set[str]:
    return {key for key, _ in store.scan(Table.ADDRESS)}


def test_a_session(store: SqliteStore) -> None:
    session = ask(gateway(store), 1, pco=bytes.fromhex("80000d00"))
    assert session.session_id == session_id_of(need(1).id)
    assert session.sgw_address == SGW.packed
    assert session.ipv4 is not None
    assert IPv4Address(session.ipv4) in POOL
    assert session.sgw_teid == int.from_bytes(session.ipv4, "big")
    assert session.ipv6_interface_id is None
    assert session.pco == bytes.fromhex("80000d04c0000201")
    assert addresses(store) == {str(IPv4Address(session.ipv4))}


def test_pdn_types(store: SqliteStore) -> None:
    gw = gateway(store)
    both, ipv6 = ask(gw, 1, pdn_type=3), ask(gw, 2, pdn_type=2, pco=bytes.fromhex("80000d00"))
    assert both.ipv4 is not None
    assert both.ipv6_interface_id == bytes(4) + both.ipv4
    assert ipv6.ipv4 is None
    assert ipv6.pco is None
    assert ipv6.ipv6_interface_id is not None
    assert len(ipv6.ipv6_interface_id) == 8
    assert ipv6.sgw_teid not in (0, both.sgw_teid)


@pytest.mark.parametrize("pdn_type", [0, 4, 5, 7])
def test_a_pdn_type_that_is_none(store: SqliteStore, pdn_type: int) -> None:
    assert gateway(store).ask(need(1, pdn_type=pdn_type)) == Refused(Refusal.REJECTED)
    assert addresses(store) == set()


def test_operations_of_each_need(store: SqliteStore) -> None:
    gw = gateway(CountingStore(store))
    counts = {}
    with measure() as tally:
        session = ask(gw, 1)
    counts["new session"] = tally
    modify = ModifySession("m", 7, session.session_id, ENB, 1)
    for name, later in (
        ("repeated session", need(1)),
        ("modify", modify),
        ("modify again", modify),
        ("delete", DeleteSession("d", 7, session.session_id)),
        ("delete again", DeleteSession("d", 7, session.session_id)),
    ):
        with measure() as tally:
            assert not isinstance(gw.ask(later), Refused)
        counts[name] = tally
    assert {name: (t.reads, t.writes, t.conditional_writes) for name, t in counts.items()} == {
        "new session": (0, 0, 2),
        "repeated session": (0, 0, 2),
        "modify": (1, 0, 1),
        "modify again": (1, 0, 0),
        "delete": (1, 0, 2),
        "delete again": (1, 0, 0),
    }


def test_a_repeated_need_gets_its_session_and_no_second_address(store: SqliteStore) -> None:
    gw = gateway(store)
    assert ask(gw, 1) == ask(gw, 1)
    assert len(addresses(store)) == 1


def test_a_repeated_need_keeps_its_address_when_a_better_one_became_free(store: SqliteStore) -> None:
    """Its first choice was taken when it came and is free when it comes again."""
    gw = gateway(store, SMALL_POOL)
    sessions = [ask(gw, number) for number in range(5)]
    pushed = {number: ask(gw, number) for number in range(5)}
    assert list(pushed.values()) == sessions
    for gone in range(4):
        delete(gw, sessions[gone])
        assert ask(gw, 4) == sessions[4]
    assert addresses(store) == {str(IPv4Address(sessions[4].ipv4 or b""))}


def test_no_address_twice_and_none_that_is_not_a_ues(store: SqliteStore) -> None:
    gw = gateway(store, SMALL_POOL)
    given = {str(IPv4Address(ask(gw, number).ipv4 or b"")) for number in range(5)}
    assert given == {f"10.45.0.{host}" for host in range(2, 7)}


def test_an_exhausted_pool(store: SqliteStore) -> None:
    gw = gateway(store, SMALL_POOL)
    sessions = [ask(gw, number) for number in range(5)]
    assert gw.ask(need(5)) == Refused(Refusal.NO_RESOURCES)
    assert [ask(gw, number) for number in range(5)] == sessions, "those who have one keep it"
    delete(gw, sessions[2])
    assert ask(gw, 6).ipv4 == sessions[2].ipv4


def test_probing_is_bounded(store: SqliteStore) -> None:
    """Every address of a large pool looks taken."""
    faulty = FaultyStore(store)

    class Full(FaultyStore):
        def save(self, *args: object, **kwargs: object) -> object:  # type: ignore[override]
            faulty.plan = on_save(FaultConflict(), table=Table.ADDRESS)
            return super().save(*args, **kwargs)  # type: ignore[arg-type]

    gw = gateway(CountingStore(Full(faulty)))  # type: ignore[arg-type]
    with measure() as tally:
        assert gw.ask(need(1)) == Refused(Refusal.NO_RESOURCES)
    assert tally.conditional_writes == PROBES


@pytest.mark.parametrize("prefix", [29, 25, 24, 16, 8])
def test_probes_are_different_addresses_of_the_pool(store: SqliteStore, prefix: int) -> None:
    """125 and 253 addresses, for example, have divisors that a stride may share."""
    pool = IPv4Network((0x0A000000, prefix))
    gw = gateway(store, pool)
    expected = min(PROBES, pool.num_addresses - 3)
    for number in range(300):
        probes = list(gw._probes(session_id_of(str(number))))
        assert len(set(probes)) == expected
        assert all(IPv4Address(probe) in pool for probe in probes)
        assert min(probes) >= int(pool.network_address) + 2
        assert max(probes) < int(pool.broadcast_address)


def test_modify_is_stored_and_a_release_too(store: SqliteStore) -> None:
    gw = gateway(store)
    session = ask(gw, 1)
    assert gw.ask(ModifySession("m", 7, session.session_id, ENB, 0xFFFFFFFF)) == Done()
    row = store.load(Table.SESSION, session.session_id)
    assert row is not None
    assert b"4294967295" in row.value
    assert gw.ask(ModifySession("m", 7, session.session_id, None, None)) == Done()
    assert ask(gw, 1) == session


def test_modify_of_no_session(store: SqliteStore) -> None:
    gw = gateway(store)
    assert gw.ask(ModifySession("m", 7, "no such session", ENB, 1)) == Refused(Refusal.REJECTED)
    session = ask(gw, 1)
    delete(gw, session)
    assert gw.ask(ModifySession("m", 7, session.session_id, ENB, 1)) == Refused(Refusal.REJECTED)


def test_delete_frees_the_address_and_may_be_repeated(store: SqliteStore) -> None:
    gw = gateway(store, SMALL_POOL)
    session = ask(gw, 1)
    assert delete(gw, session) == Done()
    assert addresses(store) == set()
    others = [ask(gw, number) for number in range(2, 7)]
    assert delete(gw, session) == Done()
    assert len(addresses(store)) == 5, "the repetition frees nobody else's address"
    assert len({other.ipv4 for other in others}) == 5


def test_a_late_copy_of_a_need_makes_no_second_session(store: SqliteStore) -> None:
    gw = gateway(store)
    delete(gw, ask(gw, 1))
    assert gw.ask(need(1)) == Refused(Refusal.REJECTED)
    assert addresses(store) == set()


def test_a_need_that_comes_after_its_deletion(store: SqliteStore) -> None:
    gw = gateway(store)
    assert delete(gw, session_id_of(need(1).id)) == Done()
    assert gw.ask(need(1)) == Refused(Refusal.REJECTED)
    assert addresses(store) == set()


def test_a_deleted_session_is_forgotten_in_the_end(tmp_path: Path) -> None:
    now_s = 1_800_000_000.0
    store = SqliteStore(tmp_path / "store.db", clock=lambda: now_s)
    gw = gateway(store)
    delete(gw, ask(gw, 1))
    now_s += DELETED_S + 1
    assert store.scan(Table.SESSION) == []
    store.close()


def test_an_address_of_a_process_that_died_is_taken_over(store: SqliteStore) -> None:
    """It died between the address row and the session row: five times, so that the pool is full of them."""
    dying = FaultyStore(store)
    gw = gateway(dying, SMALL_POOL)
    for number in range(5):
        dying.plan = on_save(FaultUnavailable(), table=Table.SESSION)
        with pytest.raises(StoreUnavailableError):
            gw.ask(need(number))
    assert len(addresses(store)) == 5
    soon = gateway(store, SMALL_POOL, 1_800_000_000 + ABANDONED_S)
    assert soon.ask(need(9)) == Refused(Refusal.NO_RESOURCES), "they may still come back"
    assert ask(soon, 4).ipv4 is not None, "one did"
    later = gateway(store, SMALL_POOL, 1_800_000_000 + ABANDONED_S + 1)
    taken = [later.ask(need(number)) for number in range(10, 15)]
    assert sum(isinstance(answer, Session) for answer in taken) == 4
    assert len({answer.ipv4 for answer in taken if isinstance(answer, Session)} | {ask(later, 4).ipv4}) == 5


def test_an_old_address_whose_session_stands_is_not_taken_over(store: SqliteStore) -> None:
    sessions = [ask(gateway(store, SMALL_POOL), number) for number in range(5)]
    later = gateway(store, SMALL_POOL, 1_900_000_000)
    assert later.ask(need(9)) == Refused(Refusal.NO_RESOURCES)
    assert [ask(later, number) for number in range(5)] == sessions


@pytest.mark.parametrize("applied", Applied)
@pytest.mark.parametrize("table", [Table.ADDRESS, Table.SESSION])
def test_a_lost_answer_of_the_store(store: SqliteStore, table: Table, applied: Applied) -> None:
    faulty = FaultyStore(store, on_save(FaultUnknown(applied), table=table))
    gw = gateway(faulty)
    session = ask(gw, 1)
    assert ask(gw, 1) == session
    faulty.plan = on_save(FaultUnknown(applied), table=table)
    assert delete(gw, session) == Done()
    assert addresses(store) == set()


@pytest.mark.parametrize("table", [Table.ADDRESS, Table.SESSION])
def test_an_outcome_that_stays_unknown_is_no_session_and_a_repetition_heals(store: SqliteStore, table: Table) -> None:
    lost = FaultUnknown(Applied.NO)
    faulty = FaultyStore(store, on_save(*[lost] * (RESOLVE_TRIES + 1), table=table))
    gw = gateway(faulty)
    with pytest.raises(StoreUnavailableError):
        gw.ask(need(1))
    ask(gw, 1)
    assert len(addresses(store)) == 1


def test_conflicts_of_modify_and_delete_are_bounded(store: SqliteStore) -> None:
    faulty = FaultyStore(store)
    gw = gateway(faulty)
    session = ask(gw, 1)
    for later in (ModifySession("m", 7, session.session_id, ENB, 1), DeleteSession("d", 7, session.session_id)):
        faulty.plan = on_save(FaultConflict(), FaultConflict())
        assert gw.ask(later) == Done()
    session = ask(gw, 2)
    faulty.plan = on_save(*[FaultConflict()] * 50)
    with pytest.raises(StoreContendedError):
        gw.ask(ModifySession("m", 7, session.session_id, ENB, 1))
    with pytest.raises(StoreContendedError):
        delete(gw, session)


def test_a_deletion_between_the_two_writes_of_a_need_leaves_nothing(store: SqliteStore) -> None:
    class Between(FaultyStore):
        def save(self, table: Table, *args: object, **kwargs: object) -> object:  # type: ignore[override]
            if table is Table.SESSION:
                assert delete(gateway(store), session_id_of(need(1).id)) == Done()
            return super().save(table, *args, **kwargs)  # type: ignore[arg-type]

    assert gateway(Between(store)).ask(need(1)) == Refused(Refusal.REJECTED)  # type: ignore[arg-type]
    assert addresses(store) == set()


def test_an_unavailable_store(store: SqliteStore) -> None:
    faults = [Fault(Operation.SAVE, FaultUnavailable()), Fault(Operation.SAVE, Pass())]
    gw = gateway(FaultyStore(store, faults))
    with pytest.raises(StoreUnavailableError):
        gw.ask(need(1))
    ask(gw, 1)


def test_settings_that_make_no_gateway(store: SqliteStore) -> None:
    with pytest.raises(ValueError, match="pool"):
        gateway(store, IPv4Network("10.0.0.0/31"))
    with pytest.raises(ValueError, match="MTU"):
        EmbeddedGateway(store, POOL, SGW, [], 67)
    with pytest.raises(TypeError, match="NeedVector"):
        gateway(store).ask(NeedVector("v", 7, IMSI, Plmn("00101")))


def take_addresses(url: str, worker: int, count: int) -> list[bytes]:
    store = open_store(url)
    try:
        gw = gateway(store, IPv4Network("10.46.0.0/24"))
        return [ask(gw, f"{worker}-{number}").ipv4 or b"" for number in range(count)]
    finally:
        store.close()


def test_processes_give_no_address_twice(tmp_path: Path) -> None:
    """A pool of 253 with 180 taken: many first choices collide."""
    url = f"sqlite:///{tmp_path / 'race.db'}"
    with ProcessPoolExecutor(3, mp_context=multiprocessing.get_context("spawn")) as pool:
        jobs = [pool.submit(take_addresses, url, worker, 60) for worker in range(3)]
        taken = [address for job in jobs for address in job.result(timeout=100)]
    assert len(taken) == len(set(taken)) == 180
