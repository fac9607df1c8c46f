"""A gateway (SGW and PGW in one) inside the MME's own process: addresses from a pool, no user plane.

Each session holds one address row, its slot, also an IPv6 one: TEID and interface identifier are made of it, so that
they are unique.  The address row is written before the session row that names it, and is a hint: a row whose session
does not name it, left by a process that died between the two writes, is taken over when free ones are scarce.
"""

from __future__ import annotations

import math
import secrets
import time
from collections.abc import Callable, Iterator, Sequence
from ipaddress import IPv4Address, IPv4Network
from typing import Final, assert_never

import msgspec

from mme.enums import PdnType
from mme.errors import StoreContendedError, StoreUnavailableError
from mme.needs import (
    Answer,
    DeleteSession,
    Done,
    ModifySession,
    Need,
    NeedSession,
    Pending,
    Refusal,
    Refused,
    Session,
    session_id_of,
)
from mme.sgw import pco
from mme.store.base import Conflict, Row, Saved, Store, Table, Unknown, WriteResult, save_resolved

PROBES: Final = 32
"""Addresses tried before NO_RESOURCES; a pool up to that size is searched whole.

With 70 % of a larger pool in use one need in 90,000 finds none free; plan pools to be no fuller.
"""
ABANDONED_S: Final = 60
"""Age from which an address row may belong to nobody."""
DELETED_S: Final = 600
"""How long a deleted session is remembered, so that a late copy of its need makes no second one."""
_TAKE_OVERS: Final = 4
"""Address rows whose session is looked at before NO_RESOURCES."""
_TRIES: Final = 8


class _Address(msgspec.Struct, frozen=True):
    """An address row: who holds it, since when (Unix seconds)."""

    session_id: str
    since_s: int


class _Session(msgspec.Struct, frozen=True, omit_defaults=True):
    """A session row.  slot: the address as a number, 0 once deleted.  address_version: of its address row."""

    slot: int = 0
    address_version: int = 0
    pdn_type: int = 0
    access_point_name: str = ""
    enb_address: bytes | None = None
    enb_teid: int | None = None
    pco: bytes | None = None


_encode = msgspec.json.Encoder().encode
_decode_address = msgspec.json.Decoder(_Address).decode
_decode_session = msgspec.json.Decoder(_Session).decode


class EmbeddedGateway:
    """`mme.needs.Port` for NeedSession, ModifySession and DeleteSession.

    Store operations without collisions: NeedSession 2 conditional writes (address, session), 1 more for each address
    found taken; ModifySession 1 read and 1 conditional write (none when nothing changes); DeleteSession 1 read and 2
    conditional writes, repeated 1 read.
    pool: addresses for UEs; its first one is the gateway's own.  dns: at most 2.  clock: Unix seconds.
    """

    def __init__(
        self,
        store: Store,
        pool: IPv4Network,
        sgw_address: IPv4Address,
        dns: Sequence[IPv4Address],
        mtu: int = 1400,
        *,
        clock: Callable[[], float] = time.time,
    ) -> None:
        if pool.num_addresses < 4:
            raise ValueError("a pool has 4 addresses or more")
        if not 68 <= mtu <= 0xFFFF:
            raise ValueError("an MTU is from 68 to 65535 octets")
        self._store = store
        self._first = int(pool.network_address) + 2
        self._size = pool.num_addresses - 3  # without network, gateway and broadcast address
        self._sgw_address = sgw_address.packed
        self._dns = tuple(dns[:2])
        self._mtu = mtu
        self._clock = clock

    def ask(self, need: Need) -> Answer | Pending:
        """Answer at once."""
        match need:
            case NeedSession():
                return self._create(need)
            case ModifySession():
                return self._modify(need)
            case DeleteSession():
                return self._delete(need)
            case _:
                raise TypeError(f"a gateway has no answer to {type(need).__name__}")

    def _create(self, need: NeedSession) -> Answer:
        """Source: TS 29.274 7.2.1-2; TS 23.401 5.3.1 (addresses), 5.10.2."""
        if need.pdn_type not in (PdnType.IPV4, PdnType.IPV6, PdnType.IPV4V6):
            return Refused(Refusal.REJECTED)
        session_id = session_id_of(need.id)
        taken = self._take_address(session_id)
        if taken is None:
            # A repeated need whose session stands may find the pool full: its answer is the session it has.
            row = self._store.load(Table.SESSION, session_id)
            standing = None if row is None else _decode_session(row.value)
            if standing is None or not standing.slot:
                return Refused(Refusal.NO_RESOURCES)
            return self._session(session_id, standing)
        slot, address_version, is_new = taken
        wanted = _Session(
            slot=slot,
            address_version=address_version,
            pdn_type=need.pdn_type,
            access_point_name=need.access_point_name,
            pco=pco.answer(
                need.pco, slot.to_bytes(4, "big") if need.pdn_type & PdnType.IPV4 else None, self._dns, self._mtu
            ),
        )
        result = self._save(Table.SESSION, session_id, _encode(wanted), expect=None)
        match result:
            case Saved():
                return self._session(session_id, wanted)
            case Conflict(row=row):
                standing = _Session() if row is None else _decode_session(row.value)
                if is_new and standing.slot != slot:
                    self._save(Table.ADDRESS, str(IPv4Address(slot)), None, expect=address_version)
                # No slot: deleted before this need came, or came again.
                return self._session(session_id, standing) if standing.slot else Refused(Refusal.REJECTED)
            case Unknown():
                raise _unknown()
            case _:
                assert_never(result)

    def _modify(self, need: ModifySession) -> Answer:
        """Source: TS 29.274 7.2.7-8."""
        row = self._store.load(Table.SESSION, need.session_id)
        for _ in range(_TRIES):
            old = None if row is None else _decode_session(row.value)
            if row is None or old is None or not old.slot:
                return Refused(Refusal.REJECTED)
            new = msgspec.structs.replace(old, enb_address=need.enb_address, enb_teid=need.enb_teid)
            if new == old:
                return Done()
            match self._save(Table.SESSION, need.session_id, _encode(new), expect=row.version):
                case Saved():
                    return Done()
                case Conflict(row=row):
                    continue
                case Unknown():
                    raise _unknown()
        raise StoreContendedError(f"the session's row changed {_TRIES} times")

    def _delete(self, need: DeleteSession) -> Answer:
        """Done also for a session that never was: its need may still come.   Source: TS 29.274 7.2.9-10.

        The session row goes first: whoever changed it to deleted frees the address, nobody else.
        """
        row = self._store.load(Table.SESSION, need.session_id)
        for _ in range(_TRIES):
            old = _Session() if row is None else _decode_session(row.value)
            if row is not None and not old.slot:
                return Done()
            expect = None if row is None else row.version
            match self._save(Table.SESSION, need.session_id, _encode(_Session()), expect=expect, ttl_s=DELETED_S):
                case Saved():
                    if old.slot:
                        # A Conflict here: somebody took an address over that this session no longer named.
                        self._save(Table.ADDRESS, str(IPv4Address(old.slot)), None, expect=old.address_version)
                    return Done()
                case Conflict(row=row):
                    continue
                case Unknown():
                    raise _unknown()
        raise StoreContendedError(f"the session's row changed {_TRIES} times")

    def _take_address(self, session_id: str) -> tuple[int, int, bool] | None:
        """Take a free address; None: none found.  -> (address, version of its row, it was not ours before)."""
        now_s = int(self._clock())
        mine = _encode(_Address(session_id, now_s))
        old: list[tuple[int, Row]] = []
        for slot in self._probes(session_id):
            match self._save(Table.ADDRESS, str(IPv4Address(slot)), mine, expect=None):
                case Saved(version=version):
                    return slot, version, True
                case Conflict(row=None):
                    continue
                case Conflict(row=Row() as row):
                    holder = _decode_address(row.value)
                    if holder.session_id == session_id:
                        return slot, row.version, False
                    if holder.since_s < now_s - ABANDONED_S:
                        old.append((slot, row))
                case Unknown():
                    raise _unknown()
        for slot, row in old[:_TAKE_OVERS]:
            if not self._is_held(slot, _decode_address(row.value).session_id):
                match self._save(Table.ADDRESS, str(IPv4Address(slot)), mine, expect=row.version):
                    case Saved(version=version):
                        return slot, version, True
                    case Unknown():
                        raise _unknown()
                    case Conflict():
                        continue
        return None

    def _probes(self, session_id: str) -> Iterator[int]:
        """Different addresses in an order of this session's own: start and stride from its id."""
        seed = int(session_id, 16)
        start, stride = seed % self._size, (seed >> 64) % self._size or 1
        while math.gcd(stride, self._size) != 1:
            stride = stride + 1 if stride < self._size else 1
        for number in range(min(PROBES, self._size)):
            yield self._first + (start + number * stride) % self._size

    def _is_held(self, slot: int, session_id: str) -> bool:
        row = self._store.load(Table.SESSION, session_id, serial=True)
        return row is not None and _decode_session(row.value).slot == slot

    def _save(
        self, table: Table, key: str, value: bytes | None, *, expect: int | None, ttl_s: int | None = None
    ) -> WriteResult:
        return save_resolved(
            self._store, table, key, value, expect=expect, writer=f"sgw/{secrets.token_hex(16)}", ttl_s=ttl_s
        )

    def _session(self, session_id: str, stored: _Session) -> Session:
        slot = stored.slot.to_bytes(4, "big")
        return Session(
            session_id=session_id,
            sgw_address=self._sgw_address,
            sgw_teid=stored.slot,
            ipv4=slot if stored.pdn_type & PdnType.IPV4 else None,
            ipv6_interface_id=bytes(4) + slot if stored.pdn_type & PdnType.IPV6 else None,
            pco=stored.pco,
        )


def _unknown() -> StoreUnavailableError:
    return StoreUnavailableError("a write of the gateway timed out and cannot be found out")
