"""Whether a chart registry says anything: helm, stopped at its time's end, does not tell whom it waited for."""

from __future__ import annotations

from urllib.parse import urlsplit

import urllib3
from urllib3.exceptions import HTTPError, SSLError

from placement.errors import Code, PlacementError
from placement.helm import Registry

ANSWERS_WITHIN_S = 0.5


def stopped(code: Code, repository: str, registry: Registry | None) -> PlacementError:
    """The error of a run of helm that was stopped before it did anything.  repository: oci://…"""
    if code is Code.TIMEOUT and _is_silent(repository, registry):
        host = urlsplit(repository).netloc
        return PlacementError(Code.REGISTRY_DOWN, f"The registry {host} does not answer; helm waited for it in vain.")
    return PlacementError(code)


def _is_silent(repository: str, registry: Registry | None) -> bool:
    """Whether no answer of any status comes to OCI's question for its version (distribution-spec, end-1)."""
    scheme = "http" if registry is not None and registry.plain_http else "https"
    timeout = urllib3.Timeout(total=ANSWERS_WITHIN_S)
    # Nothing is sent that would have to be kept from others, and nothing that comes is believed.
    pool = urllib3.PoolManager(timeout=timeout, retries=False, cert_reqs="CERT_NONE", assert_hostname=False)
    try:
        pool.request("GET", f"{scheme}://{urlsplit(repository).netloc}/v2/", redirect=False, preload_content=False)
    except SSLError:
        return False
    except (HTTPError, OSError):
        return True
    finally:
        pool.clear()
    return False
