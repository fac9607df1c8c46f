"""A cluster by its kubeconfig, over the official client.

The only module that imports it: of all images only those that need it hold its 126 MB (stack.yml, build_args).
"""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping
from dataclasses import replace
from typing import Any

import yaml

from reload import account
from reload.errors import ReloadError
from reload.kubernetes_cluster import CONNECT_S, Call, KubernetesCluster, Send

_FORBIDDEN_FIELDS = ("exec", "auth-provider", "tokenFile", "client-certificate", "client-key", "username", "password")
_IN_A_NAMESPACE = re.compile(r"/api/v1/namespaces/([^/]+)/")


def from_kubeconfig(name: str, text: str, context: str = "") -> KubernetesCluster:
    """context: "" = the one called like the cluster if there is one, else the current one.

    Commands and files in it are refused: nothing beside this text decides what runs or is read here.  Each call is made
    as the account of the namespace that it is about, where the context's user names one in `as` (reload.account).
    Raises ReloadError cluster_unknown, without a word of the content.
    """
    try:
        parsed = yaml.safe_load(text)
        users = [entry.get("user") or {} for entry in parsed["users"]]
        contexts = {entry["name"]: entry.get("context") or {} for entry in parsed["contexts"]}
        accounts = {entry.get("name"): str((entry.get("user") or {}).get("as") or "") for entry in parsed["users"]}
        chosen = context or (name if name in contexts else parsed.get("current-context", ""))
        acts_as = accounts.get(contexts.get(chosen, {}).get("user"), "")
    except (yaml.YAMLError, TypeError, KeyError, AttributeError):
        raise ReloadError("cluster_unknown", f"the kubeconfig of cluster {name} is broken") from None
    for user in users:
        wrong = sorted(set(user) & {*_FORBIDDEN_FIELDS, *account.UNUSABLE})
        if wrong:
            raise ReloadError(
                "cluster_unknown",
                f"the kubeconfig of cluster {name} uses {wrong[0]}",
                "give a token or certificate data in the text itself",
            )
    send, close = _official(name, parsed, chosen)
    return KubernetesCluster(name, _acting(send, acts_as), close)


def _acting(send: Send, acts_as: str) -> Send:
    def sent(call: Call) -> tuple[int, bytes]:
        where = _IN_A_NAMESPACE.match(call.path)
        headers = account.headers_of(acts_as, where[1] if where else "")
        return send(replace(call, headers={**call.headers, **headers}))

    return sent


def _official(name: str, kubeconfig: Mapping[str, Any], context: str) -> tuple[Send, Callable[[], None]]:
    """The official client's transport; its model objects are slow, so JSON stays JSON.  Raises ReloadError."""
    from kubernetes import client, config  # noqa: PLC0415  takes longer than all else of a function's start

    credentials = client.Configuration()
    try:
        config.load_kube_config_from_dict(  # type: ignore[no-untyped-call]
            kubeconfig, context, credentials, persist_config=False
        )
    except Exception:  # noqa: BLE001  the loader raises what it likes, with the content in it
        raise ReloadError("cluster_unknown", f"the kubeconfig of cluster {name} has no usable context") from None
    credentials.retries = False
    api = client.ApiClient(credentials)

    def send(call: Call) -> tuple[int, bytes]:
        request = api.param_serialize(
            call.method,
            call.path,
            query_params=list(call.query),
            header_params=dict(call.headers),
            body=call.body,
            auth_settings=["BearerToken"],
        )
        try:
            answer = api.call_api(*request, _request_timeout=(min(CONNECT_S, call.read_s), call.read_s))
            octets: bytes = answer.read()  # type: ignore[no-untyped-call]
        except client.ApiException as e:
            raise OSError("no answer") from e
        return answer.status, octets

    return send, api.close
