"""As much of Kubernetes' protobuf as newer helms speak, which write their Secrets so (k8s.io/api/core/v1)."""

from __future__ import annotations

import base64
from collections.abc import Iterator
from typing import Any

MAGIC = b"k8s\x00"


def _varint(octets: bytes, at: int) -> tuple[int, int]:
    value = shift = 0
    while True:
        octet = octets[at]
        value |= (octet & 0x7F) << shift
        at, shift = at + 1, shift + 7
        if octet < 0x80:
            return value, at


def _fields(octets: bytes) -> Iterator[tuple[int, Any]]:
    at = 0
    while at < len(octets):
        tag, at = _varint(octets, at)
        if tag & 7 == 0:
            value, at = _varint(octets, at)
            yield tag >> 3, value
        else:
            assert tag & 7 == 2, "only varints and lengths are in these messages"
            length, at = _varint(octets, at)
            yield tag >> 3, octets[at : at + length]
            at += length


def _map(entries: list[bytes]) -> dict[str, bytes]:
    pairs = [dict(_fields(entry)) for entry in entries]
    return {pair[1].decode(): pair.get(2, b"") for pair in pairs}


def _all(octets: bytes) -> dict[int, list[Any]]:
    found: dict[int, list[Any]] = {}
    for number, value in _fields(octets):
        found.setdefault(number, []).append(value)
    return found


def secret(octets: bytes) -> dict[str, Any]:
    """A Secret in its envelope (runtime.Unknown) as JSON's shape."""
    envelope = _all(octets[len(MAGIC) :])
    kind = _all(envelope[1][0])
    assert kind[2][0] == b"Secret", kind
    message = _all(envelope[2][0])
    fields = _all(message[1][0])
    metadata: dict[str, Any] = {"name": fields[1][0].decode()}
    for name, number in (("namespace", 3), ("uid", 5), ("resourceVersion", 6)):
        if fields.get(number, [b""])[0]:
            metadata[name] = fields[number][0].decode()
    for name, number in (("labels", 11), ("annotations", 12)):
        if number in fields:
            metadata[name] = {key: value.decode() for key, value in _map(fields[number]).items()}
    data = {key: base64.b64encode(value).decode() for key, value in _map(message.get(2, [])).items()}
    kind_of = message.get(3, [b""])[0].decode()
    return {"apiVersion": "v1", "kind": "Secret", "metadata": metadata, "data": data, "type": kind_of}
