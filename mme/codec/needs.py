"""Needs and answers as JSON, between the MME and ports in other processes.  Octets are base64.

A need: {"kind": "vector", "id": ..., "owner": ..., ...}.  An answer: {"need": <need's id>, "owner": ..., "kind":
"vector", ...}, as `Item.answer` carries it to `mme-answer`, so that it finds its UE without an index.
"""

from __future__ import annotations

from typing import Any, Final, assert_never

import msgspec

from mme.ids import Imsi, Plmn
from mme.needs import (
    Answer,
    DeleteSession,
    Done,
    ModifySession,
    Need,
    NeedProfile,
    NeedSession,
    NeedVector,
    Profile,
    Refusal,
    Refused,
    Session,
    Vector,
)

_HIGHEST_OWNER: Final = (1 << 28) - 1


class _Need(msgspec.Struct, tag_field="kind", forbid_unknown_fields=True, omit_defaults=True, kw_only=True):
    id: str
    owner: int


class _NeedVector(_Need, tag="vector"):
    imsi: str
    serving_plmn: str
    resync_rand: bytes | None = None
    resync_auts: bytes | None = None


class _NeedProfile(_Need, tag="profile"):
    imsi: str


class _NeedSession(_Need, tag="session"):
    access_point_name: str
    pdn_type: int
    eps_bearer_identity: int
    imsi: str | None = None
    pco: bytes | None = None
    imei: str | None = None


class _ModifySession(_Need, tag="modify-session"):
    session_id: str
    enb_address: bytes | None = None
    enb_teid: int | None = None


class _DeleteSession(_Need, tag="delete-session"):
    session_id: str


class _Answer(msgspec.Struct, tag_field="kind", forbid_unknown_fields=True, omit_defaults=True, kw_only=True):
    need: str
    owner: int


class _Vector(_Answer, tag="vector"):
    rand: bytes
    xres: bytes
    autn: bytes
    k_asme: bytes


class _Profile(_Answer, tag="profile"):
    profile: Profile


class _Session(_Answer, tag="session"):
    session_id: str
    sgw_address: bytes
    sgw_teid: int
    ipv4: bytes | None = None
    ipv6_interface_id: bytes | None = None
    pco: bytes | None = None


class _Done(_Answer, tag="done"):
    pass


class _Refused(_Answer, tag="refused"):
    reason: Refusal


_WireNeed = _NeedVector | _NeedProfile | _NeedSession | _ModifySession | _DeleteSession
_WireAnswer = _Vector | _Profile | _Session | _Done | _Refused


class LateAnswer(msgspec.Struct, frozen=True):
    """An answer with what it answers.  need: the need's id.  owner: the UE context's key."""

    need: str
    owner: int
    answer: Answer


def encode_need(need: Need) -> dict[str, Any]:
    """The need as JSON's dict, for `msgspec.json.encode` or `json.dumps`."""
    match need:
        case NeedVector():
            return _builtins(
                _NeedVector(
                    id=need.id,
                    owner=need.owner,
                    imsi=need.imsi.digits,
                    serving_plmn=need.serving_plmn.digits,
                    resync_rand=need.resync_rand,
                    resync_auts=need.resync_auts,
                )
            )
        case NeedProfile():
            return _builtins(_NeedProfile(id=need.id, owner=need.owner, imsi=need.imsi.digits))
        case NeedSession():
            return _builtins(
                _NeedSession(
                    id=need.id,
                    owner=need.owner,
                    imsi=need.imsi.digits if need.imsi is not None else None,
                    access_point_name=need.access_point_name,
                    pdn_type=need.pdn_type,
                    eps_bearer_identity=need.eps_bearer_identity,
                    pco=need.pco,
                    imei=need.imei,
                )
            )
        case ModifySession():
            return _builtins(
                _ModifySession(
                    id=need.id,
                    owner=need.owner,
                    session_id=need.session_id,
                    enb_address=need.enb_address,
                    enb_teid=need.enb_teid,
                )
            )
        case DeleteSession():
            return _builtins(_DeleteSession(id=need.id, owner=need.owner, session_id=need.session_id))
        case _:
            raise TypeError(f"{type(need).__name__} has no JSON form")


def decode_need(value: object) -> Need:
    """The need of a JSON dict.  Raises ValueError with the field's name, never its value."""
    try:
        wire = msgspec.convert(value, _WireNeed)
    except msgspec.ValidationError as e:
        raise ValueError(f"no need: {e}") from None
    if not 0 <= wire.owner <= _HIGHEST_OWNER:
        raise ValueError("no need: owner is no UE context's key")
    match wire:
        case _NeedVector():
            _octets("resync_rand", wire.resync_rand, 16)
            _octets("resync_auts", wire.resync_auts, 14)
            return NeedVector(
                wire.id, wire.owner, Imsi(wire.imsi), Plmn(wire.serving_plmn), wire.resync_rand, wire.resync_auts
            )
        case _NeedProfile():
            return NeedProfile(wire.id, wire.owner, Imsi(wire.imsi))
        case _NeedSession():
            if wire.imsi is None and wire.imei is None:
                raise ValueError("no need: a session is for an imsi or an imei")
            return NeedSession(
                wire.id,
                wire.owner,
                Imsi(wire.imsi) if wire.imsi is not None else None,
                wire.access_point_name,
                wire.pdn_type,
                wire.eps_bearer_identity,
                wire.pco,
                wire.imei,
            )
        case _ModifySession():
            _octets("enb_address", wire.enb_address, 4)
            return ModifySession(wire.id, wire.owner, wire.session_id, wire.enb_address, wire.enb_teid)
        case _DeleteSession():
            return DeleteSession(wire.id, wire.owner, wire.session_id)
        case _:
            assert_never(wire)


def encode_answer(need: Need, answer: Answer) -> dict[str, Any]:
    """The answer to that need as JSON's dict.  It may hold keys: for the wire only, never for a log."""
    match answer:
        case Vector():
            wire: _Answer = _Vector(
                need=need.id,
                owner=need.owner,
                rand=answer.rand,
                xres=answer.xres,
                autn=answer.autn,
                k_asme=answer.k_asme,
            )
        case Profile():
            wire = _Profile(need=need.id, owner=need.owner, profile=answer)
        case Session():
            wire = _Session(
                need=need.id,
                owner=need.owner,
                session_id=answer.session_id,
                sgw_address=answer.sgw_address,
                sgw_teid=answer.sgw_teid,
                ipv4=answer.ipv4,
                ipv6_interface_id=answer.ipv6_interface_id,
                pco=answer.pco,
            )
        case Done():
            wire = _Done(need=need.id, owner=need.owner)
        case Refused():
            wire = _Refused(need=need.id, owner=need.owner, reason=answer.reason)
        case _:
            assert_never(answer)
    return _builtins(wire)


def decode_answer(value: object) -> LateAnswer:
    """The answer of a JSON dict.  Raises ValueError with the field's name, never its value."""
    try:
        wire = msgspec.convert(value, _WireAnswer)
    except msgspec.ValidationError as e:
        raise ValueError(f"no answer: {e}") from None
    if not 0 <= wire.owner <= _HIGHEST_OWNER:
        raise ValueError("no answer: owner is no UE context's key")
    return LateAnswer(wire.need, wire.owner, _answer(wire))


def _answer(wire: _WireAnswer) -> Answer:
    match wire:
        case _Vector():
            _octets("rand", wire.rand, 16)
            _octets("autn", wire.autn, 16)
            _octets("k_asme", wire.k_asme, 32)
            if not 4 <= len(wire.xres) <= 16:
                raise ValueError("no answer: xres must be 4 to 16 octets")
            return Vector(wire.rand, wire.xres, wire.autn, wire.k_asme)
        case _Profile():
            if not wire.profile.apns:
                raise ValueError("no answer: a profile has one APN or more")
            return wire.profile
        case _Session():
            _octets("sgw_address", wire.sgw_address, 4)
            _octets("ipv4", wire.ipv4, 4)
            _octets("ipv6_interface_id", wire.ipv6_interface_id, 8)
            if not 0 < wire.sgw_teid < 1 << 32:
                raise ValueError("no answer: sgw_teid must be 32 bits and not 0")
            return Session(
                wire.session_id, wire.sgw_address, wire.sgw_teid, wire.ipv4, wire.ipv6_interface_id, wire.pco
            )
        case _Done():
            return Done()
        case _Refused():
            return Refused(wire.reason)
        case _:
            assert_never(wire)


def _octets(name: str, value: bytes | None, size: int) -> None:
    if value is not None and len(value) != size:
        raise ValueError(f"{name} must be {size} octets, not {len(value)}")


def _builtins(wire: msgspec.Struct) -> dict[str, Any]:
    # The base classes have no tag, so msgspec writes the one of the class itself.
    value: dict[str, Any] = msgspec.to_builtins(wire)
    return value
