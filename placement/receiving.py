"""An HTTP answer's octets, all of them by a time: a timeout of a socket counts from one octet to the next."""

from __future__ import annotations

import time

import urllib3

MOST_OCTETS = 64 << 20


def received(answer: urllib3.BaseHTTPResponse, until: float, most: int = MOST_OCTETS) -> bytes:
    """At most that many octets and one, which is too much.  until: by the monotonic clock.

    Gives the connection back, or closes it where not all has come.  Raises TimeoutError, urllib3's HTTPError, OSError.
    """
    parts: list[bytes] = []
    size = 0
    try:
        while size <= most and (more := answer.read1(most + 1 - size)):
            if time.monotonic() > until:
                raise TimeoutError
            parts.append(more)
            size += len(more)
    except BaseException:
        answer.close()
        raise
    if size > most:
        answer.close()
    answer.release_conn()
    return b"".join(parts)
