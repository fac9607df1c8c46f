"""Does what the query says: tell=URL reports the call to a test's recorder, sleep=seconds, status=code, crash, raise.

The report goes out before anything else, so that a test may wait for "the call has begun".
"""

import os
import signal
import time
import urllib.request


def handle(event, _context):
    """Out: the request's body, with the status asked for; Content-Type only when type= names one."""
    query = event.query
    if tell := query.get("tell"):
        urllib.request.urlopen(tell, data=event.body, timeout=5).close()  # noqa: S310 - a test's own address
    time.sleep(float(query.get("sleep", "0")))
    if "crash" in query:
        os.kill(os.getpid(), signal.SIGKILL)
    if "raise" in query:
        raise RuntimeError("asked to")
    headers = {"Content-Type": query["type"]} if "type" in query else {}
    return event.body, int(query.get("status", "200")), headers
