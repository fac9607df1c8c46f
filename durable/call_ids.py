"""Which calls are one and the same: those under one id, and those under one signature."""

from __future__ import annotations

from collections.abc import Mapping

from durable.journal import C, Journal, key_of
from trust.envelope import CALL_ID_HEADER, MAX_CALL_ID_CHARACTERS
from trust.signing import SIGNATURE_HEADER


def call_id_of(journal: Journal[C], caller: str, own: str, headers: Mapping[str, str]) -> str:
    """The id that an authenticated call goes by, of bounded length.  own: of its signed body, "" without one.

    Without one it is the gateway's X-Call-Id, else the signature.  X-Call-Id is not signed, and a captured call could
    be sent again under a new one: the first under a signature counts, for as long as a call is remembered, which is
    longer than a signature is taken.  Raises StoreError.
    """
    if own:
        return own
    signature = headers[SIGNATURE_HEADER]
    given = (headers.get(CALL_ID_HEADER) or signature)[:MAX_CALL_ID_CHARACTERS]
    # No id holds a line feed, so that this name is no call's key.
    return journal.first_under(key_of(caller, f"\n{signature}"), given)
