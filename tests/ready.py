"""Whether a ticker's process is ready, as kubelet asks it."""

from __future__ import annotations

import requests


def ready(port: int) -> int:
    """The status of /ready; 0: nobody serves it."""
    try:
        return requests.get(f"http://127.0.0.1:{port}/ready", timeout=20).status_code
    except requests.RequestException:
        return 0
