"""Speak to a function by hand: sign a body for curl, and read the answer."""

from __future__ import annotations

import argparse
import dataclasses
import sys
import time
from collections.abc import Iterator
from enum import Enum
from pathlib import Path
from typing import Any

import msgspec

from mme.codec import envelope, nas, s1ap
from mme.enums import Direction
from mme.errors import ConfigError, PeerError
from mme.ids import Plmn
from trust import signing
from trust.secrets import SIGNING_KEY, read_secret
from trust.signing import Signed, Way


def sign(args: argparse.Namespace) -> int:
    """Print the headers."""
    key = signing.derive_key(read_secret(SIGNING_KEY, args.secrets), args.name)
    body = _read(args.body, "the body to sign")
    signed = Signed(args.name, str(int(time.time())), Way.UP, args.function, args.callback_url, body)
    for name, value in signing.headers(key, signed).items():
        sys.stdout.write(f"{name}: {value}\n")
    sys.stdout.write("Content-Type: application/json\n")
    if args.callback_url:
        sys.stdout.write(f"X-Callback-Url: {args.callback_url}\n")
    return 0


def _read(path: Path, what: str) -> bytes:
    try:
        return path.read_bytes()
    except OSError as e:
        raise ConfigError(str(path), f"cannot be read ({e.strerror}): name a file that holds {what}") from e


def decode(args: argparse.Namespace) -> int:
    """Print every reply, with its downlinks by name and field."""
    octets = sys.stdin.buffer.read() if str(args.answer) == "-" else _read(args.answer, "a function's answer")
    try:
        response = envelope.decode_response(octets)
    except msgspec.MsgspecError as e:
        raise ConfigError(str(args.answer), f"is no answer of a function: {e}") from e
    for reply in response.replies:
        sys.stdout.write(f"{reply.id}: {reply.result}{f' ({reply.label})' if reply.label else ''}\n")
        for downlink in reply.downlink:
            for line in _message(downlink.s1ap):
                sys.stdout.write(f"  {line}\n")
    return 0


def _message(pdu: bytes) -> Iterator[str]:
    try:
        yield from _lines(s1ap.decode(pdu), "")
    except PeerError as e:
        yield f"undecodable: {e}"


def _lines(value: Any, indent: str) -> Iterator[str]:
    """A message as lines; fields that the message itself keeps out of its repr stay out."""
    yield f"{indent}{type(value).__name__}"
    for field in dataclasses.fields(value):
        content = getattr(value, field.name)
        if content is None or not field.repr:
            continue
        if field.name == "nas_pdu" and isinstance(content, bytes):
            yield from _nas_lines(content, indent + "  ")
        else:
            yield f"{indent}  {field.name}: {_short(content)}"


def _nas_lines(octets: bytes, indent: str) -> Iterator[str]:
    if nas.open_envelope(octets) is not None:
        yield f"{indent}nas_pdu: protected, {len(octets)} octets"
        return
    try:
        yield from _lines(nas.decode(octets, Direction.DOWNLINK), indent)
    except PeerError as e:
        yield f"{indent}nas_pdu: undecodable: {e}"


def _short(value: Any) -> str:
    match value:
        case bytes():
            return value.hex()
        case Enum():
            return value.name
        case Plmn():
            return value.digits
        case tuple():
            return "[" + ", ".join(_short(part) for part in value) + "]"
        case _ if dataclasses.is_dataclass(value) and not isinstance(value, type):
            parts = ((f.name, getattr(value, f.name)) for f in dataclasses.fields(value) if f.repr)
            return " ".join(f"{name}={_short(part)}" for name, part in parts if part is not None)
        case _:
            return str(value)
