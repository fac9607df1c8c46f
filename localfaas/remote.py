"""A gateway that somebody else runs, a real OpenFaaS above all, told by the environment: for suites that take either.

OPENFAAS_URL             the gateway
OPENFAAS_USER            of /system/*, default admin
OPENFAAS_PASSWORD_FILE   file with the password
OPENFAAS_METRICS_URL     the gateway's :8082/metrics
OPENFAAS_CALLBACK_HOST   address by which the cluster reaches this machine, default 127.0.0.1
"""

from __future__ import annotations

import os
from collections.abc import Mapping
from pathlib import Path

from localfaas.client import Client
from localfaas.errors import StartError


class Remote(Client):
    """A Client of it.  metrics_url: "" = not known.  callback_host: how the cluster reaches this machine."""

    def __init__(self, url: str, auth: tuple[str, str] | None, metrics_url: str, callback_host: str) -> None:
        super().__init__(url, auth)
        self.metrics_url = metrics_url
        self.callback_host = callback_host


def from_environment(environment: Mapping[str, str] = os.environ) -> Remote | None:
    """None: OPENFAAS_URL is not set.  Raises StartError: the password cannot be read."""
    url = environment.get("OPENFAAS_URL", "").rstrip("/")
    if not url:
        return None
    auth = None
    if file := environment.get("OPENFAAS_PASSWORD_FILE"):
        try:
            auth = (environment.get("OPENFAAS_USER", "admin"), Path(file).read_text().strip())
        except OSError as e:
            raise StartError(f"OPENFAAS_PASSWORD_FILE={file}: {e.strerror}") from e
    host = environment.get("OPENFAAS_CALLBACK_HOST", "127.0.0.1")
    return Remote(url, auth, environment.get("OPENFAAS_METRICS_URL", ""), host)
