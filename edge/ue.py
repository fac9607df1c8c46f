"""`edge ue`: ask the MME to page, detach or rename a UE (docs/northbound.md)."""

from __future__ import annotations

import argparse
import getpass
import sys
import time
import uuid

import msgspec
import requests

from mme.codec import envelope
from mme.codec.envelope import Item, Request
from mme.errors import ConfigError
from mme.routing import DOWNLINK
from trust import signing
from trust.secrets import SIGNING_KEY, read_secret
from trust.signing import Signed, Way

ACTIONS = {
    "page": "call an idle UE back",
    "detach": "detach a UE",
    "detach-and-reattach": "detach a UE that shall attach again at once",
    "reallocate-guti": "give a connected UE another GUTI",
    "authenticate": "authenticate a connected UE again, with new keys",
}
_TIMEOUT_S = 10.0


def run(args: argparse.Namespace) -> int:
    """Send the command; exit 0: accepted, 1: refused."""
    caller = f"operator/{getpass.getuser()}"
    key = signing.derive_key(read_secret(SIGNING_KEY, args.secrets), caller)
    command = {"action": args.action} | ({"imsi": args.imsi} if args.imsi is not None else {})
    item = Item(id=f"{caller}/{uuid.uuid4().hex}", command=command)
    body = envelope.encode(Request([item]))
    signed = Signed(caller, str(int(time.time())), Way.UP, DOWNLINK, "", body)
    headers = signing.headers(key, signed) | {"Content-Type": "application/json"}
    url = f"{args.gateway.rstrip('/')}/function/{DOWNLINK}"
    try:
        answer = requests.post(url, data=body, headers=headers, timeout=_TIMEOUT_S)
    except requests.RequestException as e:
        raise ConfigError("--gateway", f"no answer from {url}: is the gateway up? ({type(e).__name__})") from e
    if answer.status_code != 200:
        raise ConfigError(DOWNLINK, f"refused the call with HTTP {answer.status_code}: {answer.text[:200]}")
    try:
        [reply] = envelope.decode_response(answer.content).replies
    except (msgspec.MsgspecError, ValueError) as e:
        raise ConfigError(DOWNLINK, "did not answer as an MME function does") from e
    sys.stdout.write(f"{reply.result}: {reply.error or reply.label}\n")
    return 0 if reply.result == "done" else 1
