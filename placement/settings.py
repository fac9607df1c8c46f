"""Settings and secrets of the placement function.

Environment: store_url, callback_allow, signature_window_s, helm_binary (default helm), helm_timeout_s (default 3.5:
with all that is around it, no call lasts over about 5 s).
Secrets: edge-signing-key, read at the start; read anew when their file changes: placement-policy,
placement-credentials, and the kubeconfigs that the registry's entries name (edge-kubeconfigs unless said otherwise).
"""

from __future__ import annotations

import ssl
import threading
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import msgspec
import yaml

from placement import policy
from placement.cluster import Cluster
from placement.errors import Code, PlacementError
from placement.helm import Registry
from placement.kubeconfig import Credentials, credentials
from placement.values import S3, ObjectStore, S3Settings
from trust.errors import ConfigError

POLICY = "placement-policy"
CREDENTIALS = "placement-credentials"
KUBECONFIGS = "edge-kubeconfigs"


class RegistrySettings(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """An entry of `registries` in the secret placement-credentials.  host: with the port.

    ca: the certificates by which its own is judged, PEM; "" = those that the system trusts.
    """

    host: str
    username: str = ""
    password: str = ""
    plain_http: bool = False
    ca: str = ""

    def __repr__(self) -> str:
        """Without the password."""
        return f"RegistrySettings({self.host})"


class CredentialsFile(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """The secret placement-credentials."""

    registries: tuple[RegistrySettings, ...] = ()
    s3: S3Settings | None = None


class Secrets:
    """The files of a secrets directory, parsed once per change."""

    def __init__(self, directory: Path) -> None:
        self._directory = directory
        self._lock = threading.Lock()
        self._parsed: dict[str, tuple[tuple[int, int, int], Any]] = {}

    def grants(self) -> dict[str, policy.Grant]:
        """Raises PlacementError configuration."""
        grants: dict[str, policy.Grant] = self._read(POLICY, policy.parse)
        return grants

    def registry(self, repository: str) -> Registry | None:
        """How to reach the registry of an oci:// URL, None = without credentials, by TLS."""
        host = urlsplit(repository).netloc
        for entry in self._read(CREDENTIALS, _parse_credentials)[0].registries:
            if entry.host == host:
                return Registry(entry.host, entry.username, entry.password, entry.plain_http, entry.ca)
        return None

    def object_store(self) -> ObjectStore | None:
        """The S3 server's client, kept until the secret changes."""
        kept: ObjectStore | None = self._read(CREDENTIALS, _parse_credentials)[1]
        return kept

    def secret_words(self) -> set[str]:
        """What must not be shown to anybody."""
        found = self._read(CREDENTIALS, _parse_credentials)[0]
        words = {entry.password for entry in found.registries}
        return (words | {found.s3.secret_key or ""} if found.s3 else words) - {""}

    def kubeconfig(self, cluster: Cluster) -> Credentials:
        """Raises PlacementError cluster_credentials."""
        name = cluster.secret
        if Path(name).name != name or not name:
            raise PlacementError(Code.CLUSTER_CREDENTIALS, f"The secret of {cluster.name} has no proper name.")
        try:
            text = (self._directory / name).read_text("utf-8")
        except (OSError, UnicodeDecodeError) as e:
            raise PlacementError(
                Code.CLUSTER_CREDENTIALS, f"The secret {name} of {cluster.name} cannot be read: {type(e).__name__}."
            ) from e
        return credentials(text, cluster.context, cluster.name)

    def _read(self, name: str, parse: Callable[[str], Any]) -> Any:
        path = self._directory / name
        try:
            stat = path.stat()
            stamp = (stat.st_mtime_ns, stat.st_size, stat.st_ino)
            with self._lock:
                known = self._parsed.get(name)
                if known is None or known[0] != stamp:
                    known = (stamp, parse(path.read_text("utf-8")))
                    self._parsed[name] = known
                return known[1]
        except (OSError, UnicodeDecodeError) as e:
            raise PlacementError(
                Code.CONFIGURATION,
                f"The secret {name} cannot be read: {type(e).__name__}; `edge secrets init` makes one.",
            ) from e


def _parse_credentials(text: str) -> tuple[CredentialsFile, ObjectStore | None]:
    try:
        found = msgspec.convert(yaml.safe_load(text) or {}, CredentialsFile)
    except yaml.YAMLError:
        raise PlacementError(Code.CONFIGURATION, f"The secret {CREDENTIALS} is no YAML.") from None
    except msgspec.ValidationError as e:
        # It names a field and a type, never a value.
        raise PlacementError(Code.CONFIGURATION, f"The secret {CREDENTIALS}: {e}.") from None
    for entry in found.registries:
        _check_authority(entry)
    return found, S3(found.s3) if found.s3 is not None else None


def _check_authority(entry: RegistrySettings) -> None:
    wrong = "goes with TLS, not with plain_http" if entry.ca and entry.plain_http else ""
    try:
        if entry.ca:
            ssl.create_default_context(cadata=entry.ca)
    except (ssl.SSLError, ValueError, TypeError):
        wrong = "holds no certificates as PEM"
    if wrong:
        raise PlacementError(Code.CONFIGURATION, f"The secret {CREDENTIALS}: ca of {entry.host} {wrong}.")


def number(environment: Mapping[str, str], key: str, default: float, *, most: float) -> float:
    """A setting that is a positive number.  Raises ConfigError."""
    text = environment.get(key, "") or str(default)
    try:
        value = float(text)
    except ValueError:
        raise ConfigError(key, "must be a number") from None
    if not 0 < value <= most:
        raise ConfigError(key, f"must be above 0 and at most {most:g}")
    return value
