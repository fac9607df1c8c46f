"""Bytes on the wire to messages and back: the only importers of pycrate, behind one lock.

pycrate's loggers are kept at errors: at import they name an optional module that we do not use, and while decoding they
can quote identities out of a message.
"""

from __future__ import annotations

import logging

logging.getLogger("pycrate_mobile").setLevel(logging.ERROR)
