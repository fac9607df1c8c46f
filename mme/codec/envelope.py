"""The JSON around S1AP: items up, replies down (docs/envelope.md).  `s1ap` is base64 in JSON, octets here."""

from __future__ import annotations

from typing import Any

import msgspec


class Timer(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """A due timer of a UE context.  owner: its key.  token: id of the item that started it."""

    owner: int
    name: str
    token: str
    due_ms: int


class Item(msgspec.Struct, frozen=True, omit_defaults=True, forbid_unknown_fields=True):
    """One thing to do.  Exactly one of s1ap, event, timer, answer, command is set.

    id: "<enb>/<run of this UE>/<n>", kept on resends.  enb: the sender's name, "" for other parties than eNBs.
    epoch: the eNB's association.  stream: SCTP stream.  downlink_url: with S1 SETUP REQUEST only.
    event: "association-lost" | "release-ue" (with mme_ue_s1ap_id).
    answer: of a need, as mme.codec.needs writes it.
    """

    id: str
    enb: str = ""
    epoch: str = ""
    stream: int = 0
    s1ap: bytes | None = None
    downlink_url: str | None = None
    event: str | None = None
    mme_ue_s1ap_id: int | None = None
    timer: Timer | None = None
    answer: dict[str, Any] | None = None
    command: dict[str, Any] | None = None


class Request(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """One or more items, at most one per UE."""

    items: list[Item]


class Downlink(msgspec.Struct, frozen=True):
    """One S1AP message to an eNB.

    id: unique; a repeated one is dropped by the eNB.  ue: ENB-UE-S1AP-ID, None = the eNB as a whole.
    order: running number on this UE's connection from 0, so that a gap shows; of OVERLOAD START and STOP, which are for
    the eNB as a whole, the number of the decision: one that is lower than what came before was overtaken: dropped.
    """

    id: str
    enb: str
    stream: int
    s1ap: bytes
    ue: int | None = None
    order: int | None = None


class Cost(msgspec.Struct, frozen=True):
    """What one item took: store operations by kind, and milliseconds by part."""

    reads: int = 0
    writes: int = 0
    conditional_writes: int = 0
    total_ms: float = 0.0
    codec_ms: float = 0.0
    store_ms: float = 0.0
    port_ms: float = 0.0


class Reply(msgspec.Struct, frozen=True, omit_defaults=True):
    """What became of one item.  result: an ItemResult.  label: why, for people and metrics.  error: one sentence."""

    id: str
    result: str
    downlink: list[Downlink] = []
    label: str | None = None
    error: str | None = None


class Response(msgspec.Struct, frozen=True, omit_defaults=True):
    """The replies, in the items' order, and what each item took this time (equal replies may differ in cost)."""

    replies: list[Reply]
    costs: list[Cost] = []


class Refusal(msgspec.Struct, frozen=True):
    """Body of a 4xx or 503."""

    error: str


encode = msgspec.json.Encoder().encode
decode_request = msgspec.json.Decoder(Request).decode
decode_response = msgspec.json.Decoder(Response).decode
