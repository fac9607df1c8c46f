"""The other end of a site whose functions run elsewhere, behind a gateway of OPENFAAS_URL (see localfaas.remote).

OPENFAAS_STORE_URL   the functions' store, as this machine reaches it
OPENFAAS_SECRETS     folder with the functions' keys: edge-signing-key, subscriber-key, m-tmsi-key
"""

from __future__ import annotations

import os
import shutil
import time
from collections.abc import Mapping
from pathlib import Path

from laptop.site import Site
from localfaas.errors import StartError
from trust.secrets import NAMES


def provisioned(folder: Path, subscribers: int, environment: Mapping[str, str] = os.environ) -> Site:
    """A site in `folder` with that store and those keys, and with subscribers that nobody has used before.

    Raises StartError: what is not set, or not there.
    """
    missing = [name for name in ("OPENFAAS_STORE_URL", "OPENFAAS_SECRETS") if not environment.get(name)]
    if missing:
        raise StartError(f"OPENFAAS_URL is set and {' and '.join(missing)} not: see laptop/elsewhere.py")
    keys = Path(environment["OPENFAAS_SECRETS"])
    site = Site(folder, environment["OPENFAAS_STORE_URL"])
    # Copies, because a site adds what it misses to its own folder.
    site.secrets.mkdir(mode=0o700, parents=True)
    for name in NAMES:
        try:
            shutil.copyfile(keys / name, site.secrets / name)
        except OSError as e:
            raise StartError(f"OPENFAAS_SECRETS={keys} has no readable {name}: {e.strerror}") from e
        (site.secrets / name).chmod(0o600)
    # The store keeps the subscribers of earlier runs, whose keys are gone: begin where none of them did.
    site.provision(subscribers, first_imsi=f"00101{int(time.time() * 100) % 10**10:010d}")
    return site
