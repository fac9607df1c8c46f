"""Vectors and profiles: the USIM accepts them, SQN strictly grows, a need has one answer."""

from __future__ import annotations

import dataclasses
import logging
import multiprocessing
from concurrent.futures import ProcessPoolExecutor
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from mme.crypto import milenage
from mme.errors import StoreContendedError, StoreUnavailableError
from mme.hss.embedded import IND_BITS, TRIES, EmbeddedHss, next_sqn, provision
from mme.hss.subscribers import DEFAULT_PROFILE, RECENT_VECTORS, KeyCipher, Keys, Subscriber, decode
from mme.ids import Imsi, Plmn
from mme.needs import NeedProfile, NeedSession, NeedVector, Refusal, Refused, Vector
from mme.store.base import RESOLVE_TRIES, Table
from mme.store.counting import CountingStore, measure
from mme.store.faulty import Applied, FaultConflict, FaultUnavailable, FaultUnknown, FaultyStore, on_load, on_save
from mme.store.opening import open_store
from mme.store.sqlite import SqliteStore

CIPHER_KEY = bytes(range(32))
IMSI = Imsi("001010123456780")
KEYS = Keys(bytes.fromhex("465b5ce8b199b49faa5f0a2ee238a6bc"), bytes.fromhex("cd63cb71954a9f4e48a5994e37a02baf"))
PLMN = Plmn("00101")
UNKNOWN = Imsi("001010000000001")


def need(number: object, **changes: object) -> NeedVector:
    return dataclasses.replace(NeedVector(f"enb/1/{number}/vector", 7, IMSI, PLMN), **changes)  # type: ignore[arg-type]


def ask(hss: EmbeddedHss, wanted: NeedVector) -> Vector:
    answer = hss.ask(wanted)
    assert isinstance(answer, Vector)
    return answer


def sqn_of(vector: Vector) -> int:
    """What the USIM sees: SQN from AUTN."""
    accepted = milenage.check_autn(KEYS.k, KEYS.opc, vector.rand, vector.autn, bytes(6))
    assert isinstance(accepted, milenage.Accepted)
    return int.from_bytes(accepted.sqn, "big")


def test_the_usim_accepts_a_vector_and_both_sides_have_the_same_keys(hss: EmbeddedHss) -> None:
    vector = ask(hss, need(1))
    accepted = milenage.check_autn(KEYS.k, KEYS.opc, vector.rand, vector.autn, bytes(6))
    assert isinstance(accepted, milenage.Accepted)
    assert accepted.res == vector.xres
    again = milenage.generate_eutran_vector(KEYS.k, KEYS.opc, vector.rand, accepted.sqn, b"\x80\x00", PLMN.octets())
    assert again.k_asme == vector.k_asme


def test_the_sequence_number_is_seq_and_ind(hss: EmbeddedHss) -> None:
    """TS 33.102 C.1.1.1: SQN = SEQ || IND; SEQ grows by 1, IND goes round."""
    sqns = [sqn_of(ask(hss, need(number))) for number in range(40)]
    assert [sqn >> IND_BITS for sqn in sqns] == list(range(1, 41))
    assert [sqn & 31 for sqn in sqns] == [(number + 1) % 32 for number in range(40)]


@given(st.integers(0, (1 << 48) - 1))
def test_the_next_sequence_number_is_greater_and_has_48_bits(sqn: int) -> None:
    following = next_sqn(sqn)
    if following is None:
        assert sqn >> IND_BITS == (1 << 43) - 1
    else:
        assert sqn < following < 1 << 48


def test_a_used_up_sequence_number_is_refused(store: SqliteStore) -> None:
    last = Imsi("001010000000099")
    provision(store, KeyCipher(CIPHER_KEY), Subscriber(last, b"", sqn=((1 << 43) - 1) << 5), KEYS)
    assert EmbeddedHss(store, CIPHER_KEY).ask(need(1, imsi=last)) == Refused(Refusal.REJECTED)


def test_rand_comes_from_the_given_source(store: SqliteStore) -> None:
    hss = EmbeddedHss(store, CIPHER_KEY, random_octets=lambda size: b"R" * size)
    assert ask(hss, need(1)).rand == b"R" * 16


def test_the_same_need_gets_the_same_vector_and_takes_no_sequence_number(hss: EmbeddedHss) -> None:
    first = ask(hss, need(1))
    second = ask(hss, need(2))
    assert ask(hss, need(1)) == first
    assert ask(hss, need(2)) == second != first
    assert sqn_of(ask(hss, need(3))) >> IND_BITS == 3


def test_a_forgotten_need_gets_a_new_vector_never_an_old_sequence_number(hss: EmbeddedHss) -> None:
    vectors = [ask(hss, need(number)) for number in range(RECENT_VECTORS + 1)]
    late = ask(hss, need(0))
    assert sqn_of(late) > max(sqn_of(vector) for vector in vectors)


def test_the_serving_network_is_in_k_asme(hss: EmbeddedHss) -> None:
    assert ask(hss, need(1)).k_asme != ask(hss, need(1, serving_plmn=Plmn("00102"))).k_asme


def test_operations_of_a_need(store: SqliteStore) -> None:
    hss = EmbeddedHss(CountingStore(store), CIPHER_KEY)
    with measure() as vector:
        hss.ask(need(1))
    with measure() as repeated:
        hss.ask(need(1))
    with measure() as profile:
        hss.ask(NeedProfile("p", 7, IMSI))
    assert (vector.reads, vector.writes, vector.conditional_writes) == (1, 0, 1)
    assert (repeated.reads, repeated.writes, repeated.conditional_writes) == (1, 0, 0)
    assert (profile.reads, profile.writes, profile.conditional_writes) == (1, 0, 0)


def test_profile(hss: EmbeddedHss) -> None:
    assert hss.ask(NeedProfile("p", 7, IMSI)) == DEFAULT_PROFILE


def test_unknown_subscribers(hss: EmbeddedHss, store: SqliteStore) -> None:
    assert hss.ask(need(1, imsi=UNKNOWN)) == Refused(Refusal.UNKNOWN_SUBSCRIBER)
    assert hss.ask(NeedProfile("p", 7, UNKNOWN)) == Refused(Refusal.UNKNOWN_SUBSCRIBER)
    assert [key for key, _ in store.scan(Table.SUBSCRIBER)] == [IMSI.digits]


def test_a_need_that_is_not_for_an_hss(hss: EmbeddedHss) -> None:
    with pytest.raises(TypeError, match="NeedSession"):
        hss.ask(NeedSession("s", 7, IMSI, "internet", 1, 5))


def resync(hss: EmbeddedHss, sqn_ms: int, number: object = 2, **changes: object) -> object:
    """The USIM refuses the vector of need 1 with the SQN that it has, and the MME asks anew."""
    challenge = ask(hss, need(1))
    failure = milenage.check_autn(KEYS.k, KEYS.opc, challenge.rand, challenge.autn, sqn_ms.to_bytes(6, "big"))
    assert isinstance(failure, milenage.SyncFailure)
    wanted = need(number, resync_rand=challenge.rand, resync_auts=failure.auts)
    return hss.ask(dataclasses.replace(wanted, **changes))  # type: ignore[arg-type]


def test_resynchronisation_goes_on_from_the_usims_number(hss: EmbeddedHss) -> None:
    sqn_ms = 123_456 << IND_BITS | 9
    vector = resync(hss, sqn_ms)
    assert isinstance(vector, Vector)
    accepted = milenage.check_autn(KEYS.k, KEYS.opc, vector.rand, vector.autn, sqn_ms.to_bytes(6, "big"))
    assert isinstance(accepted, milenage.Accepted)
    assert int.from_bytes(accepted.sqn, "big") == 123_457 << IND_BITS | 10


def test_resynchronisation_repeated_gets_the_same_vector(hss: EmbeddedHss) -> None:
    assert resync(hss, 5000 << IND_BITS) == resync(hss, 5000 << IND_BITS)


def test_an_old_auts_never_sets_the_number_back(hss: EmbeddedHss) -> None:
    challenge = ask(hss, need(1))
    failure = milenage.check_autn(KEYS.k, KEYS.opc, challenge.rand, challenge.autn, (9999 << 5).to_bytes(6, "big"))
    assert isinstance(failure, milenage.SyncFailure)
    replay = {"resync_rand": challenge.rand, "resync_auts": failure.auts}
    sqns = [sqn_of(ask(hss, need(number, **replay))) for number in range(2, 6)]
    assert sqns == sorted(set(sqns))


@pytest.mark.parametrize(
    "changes",
    [{"resync_auts": bytes(14)}, {"resync_rand": bytes(16)}, {"resync_auts": b"short"}, {"resync_rand": b"short"}],
    ids=["wrong MAC-S", "RAND of another challenge", "short AUTS", "short RAND"],
)
def test_a_wrong_auts_changes_nothing(hss: EmbeddedHss, store: SqliteStore, changes: dict[str, bytes]) -> None:
    assert resync(hss, 5000 << IND_BITS, **changes) == Refused(Refusal.RESYNC_FAILED)
    row = store.load(Table.SUBSCRIBER, IMSI.digits)
    assert row is not None
    assert decode(IMSI, row.value).sqn >> IND_BITS == 1


def test_conflicts_are_tried_again_with_growing_jitter(store: SqliteStore) -> None:
    pauses: list[float] = []
    faulty = FaultyStore(store, on_save(*[FaultConflict()] * 3))
    hss = EmbeddedHss(faulty, CIPHER_KEY, pause=pauses.append)
    assert sqn_of(ask(hss, need(1))) >> IND_BITS == 1
    assert len(pauses) == 3
    assert all(0 <= pause <= 0.016 for pause in pauses)


def test_conflicts_are_bounded(store: SqliteStore) -> None:
    faulty = FaultyStore(store, on_save(*[FaultConflict()] * TRIES))
    with pytest.raises(StoreContendedError):
        EmbeddedHss(faulty, CIPHER_KEY, pause=lambda _: None).ask(need(1))
    assert faulty.plan == []


@pytest.mark.parametrize("applied", Applied)
def test_a_lost_answer_of_the_store(store: SqliteStore, applied: Applied) -> None:
    faulty = FaultyStore(store, on_save(FaultUnknown(applied)))
    hss = EmbeddedHss(faulty, CIPHER_KEY, pause=lambda _: None)
    first = ask(hss, need(1))
    assert sqn_of(first) >> IND_BITS == 1
    assert ask(hss, need(1)) == first
    assert sqn_of(ask(hss, need(2))) >> IND_BITS == 2


def test_no_vector_leaves_while_its_write_is_unknown(store: SqliteStore) -> None:
    faulty = FaultyStore(store, on_save(*[FaultUnknown(Applied.NO)] * (RESOLVE_TRIES + 1)))
    hss = EmbeddedHss(faulty, CIPHER_KEY, pause=lambda _: None)
    with pytest.raises(StoreUnavailableError):
        hss.ask(need(1))
    assert sqn_of(ask(hss, need(1))) >> IND_BITS == 1


def test_an_unavailable_store_is_said_so(store: SqliteStore) -> None:
    hss = EmbeddedHss(FaultyStore(store, on_load(FaultUnavailable())), CIPHER_KEY)
    with pytest.raises(StoreUnavailableError):
        hss.ask(need(1))


def test_two_copies_of_a_need_at_once_get_one_vector(store: SqliteStore) -> None:
    """Between the read and the write of one copy the other one is answered."""
    other = EmbeddedHss(store, CIPHER_KEY)
    answers: list[object] = []

    class Between(FaultyStore):
        def save(self, *args: object, **kwargs: object) -> object:  # type: ignore[override]
            if not answers:
                answers.append(other.ask(need(1)))
            return super().save(*args, **kwargs)  # type: ignore[arg-type]

    answers.append(EmbeddedHss(Between(store), CIPHER_KEY, pause=lambda _: None).ask(need(1)))  # type: ignore[arg-type]
    assert answers[0] == answers[1]


def take_vectors(url: str, worker: int, count: int) -> list[int]:
    store = open_store(url)
    hss = EmbeddedHss(store, CIPHER_KEY)
    try:
        sqns = []
        for number in range(count):
            for _ in range(50):
                try:
                    sqns.append(sqn_of(ask(hss, need(f"{worker}-{number}"))))
                    break
                except StoreContendedError:
                    continue
        return sqns
    finally:
        store.close()


def test_processes_share_no_sequence_number(store: SqliteStore, tmp_path: Path) -> None:
    url = f"sqlite:///{tmp_path / 'store.db'}"
    with ProcessPoolExecutor(3, mp_context=multiprocessing.get_context("spawn")) as pool:
        jobs = [pool.submit(take_vectors, url, worker, 60) for worker in range(3)]
        taken = [job.result(timeout=100) for job in jobs]
    assert all(sqns == sorted(sqns) for sqns in taken)
    everything = sorted(sqn for sqns in taken for sqn in sqns)
    assert [sqn >> IND_BITS for sqn in everything] == list(range(1, 181))


def test_no_key_in_logs_reprs_or_errors(hss: EmbeddedHss, store: SqliteStore, caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level(logging.DEBUG)
    vector = ask(hss, need(1))
    texts = [repr(vector), repr(hss), repr(need(1)), str(hss.ask(need(1, imsi=UNKNOWN)))]
    with pytest.raises(Exception, match="subscriber-key") as raised:
        EmbeddedHss(store, bytes(32)).ask(need(2))
    texts += [str(raised.value), repr(raised.value.__cause__), caplog.text]
    for secret in (KEYS.k, KEYS.opc, vector.k_asme, vector.xres, CIPHER_KEY):
        for text in texts:
            assert secret.hex() not in text.lower()
            assert repr(secret)[2:-1] not in text
    assert IMSI.digits not in "".join(texts)
