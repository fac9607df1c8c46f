"""The lock of pycrate, whose objects are global singletons and not thread-safe.

Held from the first touch of a pycrate object to the last; what leaves the `with` block is made of int, str, bytes,
dict, list and tuple, or of our own messages.
"""

from __future__ import annotations

import threading

PYCRATE_LOCK = threading.Lock()
