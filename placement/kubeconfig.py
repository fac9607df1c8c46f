"""Kubeconfigs: the one context that a cluster's entry names, checked to be usable by a function."""

from __future__ import annotations

import base64
import binascii
import functools
import json
from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from typing import Any
from urllib.parse import urlsplit

import yaml

from placement.errors import Code, PlacementError
from reload import account


@dataclass(frozen=True, slots=True)
class Credentials:
    """How to reach one API server, and as whom.  server: without a slash at the end.  PEM texts as octets.

    acts_as: whose rights the calls have (reload.account), "" = the token's or certificate's own.
    namespace: which one they are for, "" = none.
    """

    server: str
    authority: bytes | None
    server_name: str | None
    token: str | None = field(repr=False)
    certificate: bytes | None = field(repr=False)
    key: bytes | None = field(repr=False)
    acts_as: str = ""
    namespace: str = ""

    def within(self, namespace: str) -> Credentials:
        """The same, for what is in that namespace."""
        return replace(self, namespace=namespace)

    @property
    def account(self) -> str:
        """Whose rights the calls have, "" = the token's or certificate's own."""
        return account.account_of(self.acts_as, self.namespace)

    def as_kubeconfig(self) -> str:
        """A kubeconfig with nothing but this, for helm."""
        cluster: dict[str, Any] = {"server": self.server}
        if self.authority is not None:
            cluster["certificate-authority-data"] = base64.b64encode(self.authority).decode()
        if self.server_name is not None:
            cluster["tls-server-name"] = self.server_name
        user: dict[str, Any] = {}
        if self.token is not None:
            user["token"] = self.token
        if self.certificate is not None and self.key is not None:
            user["client-certificate-data"] = base64.b64encode(self.certificate).decode()
            user["client-key-data"] = base64.b64encode(self.key).decode()
        if self.account:
            user["as"] = self.account
        return json.dumps(  # which is YAML, and made a hundred times as fast
            {
                "apiVersion": "v1",
                "kind": "Config",
                "current-context": "target",
                "contexts": [{"name": "target", "context": {"cluster": "target", "user": "target"}}],
                "clusters": [{"name": "target", "cluster": cluster}],
                "users": [{"name": "target", "user": user}],
            }
        )


@functools.lru_cache(maxsize=256)  # each step asks, and reading YAML takes milliseconds
def credentials(text: str, context: str, cluster: str) -> Credentials:
    """The credentials of a kubeconfig's context.

    context: "" = the one called like the cluster if there is one, else the current one.  Raises PlacementError
    cluster_credentials, which names the field and never its content.  Commands (exec, auth-provider) and files are
    refused: nothing beside this text may decide what runs in the function or is read there.
    """
    try:
        config = yaml.safe_load(text)
    except yaml.YAMLError:
        raise _wrong(cluster, "is no YAML") from None
    if not isinstance(config, dict):
        raise _wrong(cluster, "is no mapping")
    contexts = _named(config, "contexts")
    name = context or (cluster if cluster in contexts else str(config.get("current-context") or ""))
    if name not in contexts:
        raise _wrong(cluster, f"has no context {name!r}" if name else "has no context of that name and no current one")
    chosen = _part(contexts[name], "context")
    server = _part(_named(config, "clusters").get(str(chosen.get("cluster"))), "cluster")
    user = _part(_named(config, "users").get(str(chosen.get("user"))), "user")
    for field_name in ("exec", "auth-provider", "tokenFile", "client-certificate", "client-key", "username"):
        if field_name in user:
            raise _wrong(cluster, f"uses {field_name}; only a token or client-certificate-data with its key will do")
    for field_name in account.UNUSABLE:
        if user.get(field_name):
            raise _wrong(cluster, f"uses {field_name}; of those only `as` will do")
    if "certificate-authority" in server or server.get("insecure-skip-tls-verify") or "proxy-url" in server:
        raise _wrong(cluster, "must carry certificate-authority-data, and no file, proxy or unverified TLS")
    url = str(server.get("server") or "")
    if urlsplit(url).scheme not in ("https", "http") or not urlsplit(url).hostname:
        raise _wrong(cluster, "has no usable server URL")
    certificate, key = (_octets(user, f, cluster) for f in ("client-certificate-data", "client-key-data"))
    if (certificate is None) != (key is None):
        raise _wrong(cluster, "has a client certificate without its key, or the key alone")
    return Credentials(
        server=url.rstrip("/"),
        authority=_octets(server, "certificate-authority-data", cluster),
        server_name=str(server["tls-server-name"]) if server.get("tls-server-name") else None,
        token=str(user["token"]) if user.get("token") else None,
        certificate=certificate,
        key=key,
        acts_as=str(user.get("as") or ""),
    )


def _named(config: Mapping[str, Any], part: str) -> dict[str, Any]:
    entries = config.get(part)
    return {str(e.get("name")): e for e in entries if isinstance(e, dict)} if isinstance(entries, list) else {}


def _part(entry: object, name: str) -> dict[str, Any]:
    found = entry.get(name) if isinstance(entry, dict) else None
    return found if isinstance(found, dict) else {}


def _octets(part: Mapping[str, Any], name: str, cluster: str) -> bytes | None:
    if not part.get(name):
        return None
    try:
        return base64.b64decode(str(part[name]), validate=True)
    except (binascii.Error, ValueError):
        raise _wrong(cluster, f"has a {name} that is no base64") from None


def _wrong(cluster: str, what: str) -> PlacementError:
    return PlacementError(Code.CLUSTER_CREDENTIALS, f"The kubeconfig of {cluster} {what}.")
