"""What ends a run before its time."""

from __future__ import annotations

from pathlib import Path


class RunBrokeError(Exception):
    """The run could not be made; the text says what to do next."""


def cure(why: str, key_file: Path) -> str:
    """What to do next about a first message that got no answer.

    why: as an Answer tells it.  key_file: where the key came from that it was signed with.
    """
    if " answered 401" in why:
        if "callback URL" in why and "signature" not in why:
            return "The functions' callback_allow must list this process: see --callback-host"
        if "timestamp" in why and "signature" not in why:
            return "Set the clocks of this machine and the gateway's right"
        return f"The key in {key_file} does not fit: use the secrets of the running site (--secrets DIR)"
    if " answered 404" in why:
        return "The gateway has no such function: deploy stack.yml there, or name another --gateway"
    return "Is the gateway up? Try `make up` (or `localfaas up -f stack.yml`), or name another --gateway"
