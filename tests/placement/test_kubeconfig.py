"""What a kubeconfig may hold, and which of its contexts counts.

Its fields: Kubernetes' reference, "kubeconfig (v1)".
"""

from __future__ import annotations

import base64
from typing import Any

import pytest
import yaml

from placement.errors import Code, PlacementError
from placement.kubeconfig import credentials

HIDDEN = "token-that-is-hidden"
CERTIFICATE, KEY = b"-----BEGIN CERTIFICATE-----\n", b"-----BEGIN EC PRIVATE KEY-----\nhidden\n"


def data(octets: bytes) -> str:
    return base64.b64encode(octets).decode()


def kubeconfig(
    user: dict[str, Any] | None = None, cluster: dict[str, Any] | None = None, current: str = "edge-a"
) -> dict[str, Any]:
    """Two contexts: edge-a, and edge-b of another server."""
    server = {"server": "https://a.example:6443", "certificate-authority-data": data(b"ca")} | (cluster or {})
    return {
        "clusters": [
            {"name": "one", "cluster": server},
            {"name": "two", "cluster": {"server": "https://b.example/"}},
        ],
        "users": [{"name": "u", "user": {"token": HIDDEN} if user is None else user}],
        "contexts": [
            {"name": "edge-a", "context": {"cluster": "one", "user": "u"}},
            {"name": "edge-b", "context": {"cluster": "two", "user": "u"}},
        ],
        "current-context": current,
    }


def refused(config: object, context: str = "", cluster: str = "edge-a") -> str:
    with pytest.raises(PlacementError) as caught:
        credentials(config if isinstance(config, str) else yaml.safe_dump(config), context, cluster)
    assert caught.value.code is Code.CLUSTER_CREDENTIALS
    assert "hidden" not in repr(caught.value)
    return caught.value.detail


@pytest.mark.parametrize(
    ("context", "cluster", "current", "server"),
    [
        # the one that the entry names, else the one called like the cluster, else the current one
        ("edge-b", "edge-a", "edge-a", "https://b.example"),
        ("", "edge-b", "edge-a", "https://b.example"),
        ("", "another", "edge-a", "https://a.example:6443"),
        ("", "another", "edge-b", "https://b.example"),
    ],
)
def test_which_context_counts(context: str, cluster: str, current: str, server: str) -> None:
    assert credentials(yaml.safe_dump(kubeconfig(current=current)), context, cluster).server == server


def test_without_a_context_that_fits_it_is_refused() -> None:
    assert refused(kubeconfig(), "edge-c") == "The kubeconfig of edge-a has no context 'edge-c'."
    assert refused(kubeconfig(current=""), cluster="c").endswith("has no context of that name and no current one.")


@pytest.mark.parametrize(
    "field",
    ["exec", "auth-provider", "tokenFile", "client-certificate", "client-key", "username"],
)
def test_what_runs_a_command_or_reads_a_file_is_refused(field: str) -> None:
    assert f"uses {field};" in refused(kubeconfig({"token": HIDDEN, field: "hidden"}))


@pytest.mark.parametrize(
    "field",
    [{"certificate-authority": "/hidden"}, {"insecure-skip-tls-verify": True}, {"proxy-url": "http://hidden"}],
)
def test_a_server_is_judged_by_what_the_text_itself_holds_and_asked_directly(field: dict[str, Any]) -> None:
    assert "no file, proxy or unverified TLS" in refused(kubeconfig(cluster=field))


@pytest.mark.parametrize("server", ["", "a.example:6443", "ftp://hidden.example", "https://", "file:///hidden"])
def test_a_server_is_a_url_of_http(server: str) -> None:
    assert "no usable server URL" in refused(kubeconfig(cluster={"server": server}))


def test_a_certificate_goes_with_its_key() -> None:
    user = {"client-certificate-data": data(CERTIFICATE), "client-key-data": data(KEY)}
    found = credentials(yaml.safe_dump(kubeconfig(user)), "", "edge-a")
    assert (found.certificate, found.key, found.token) == (CERTIFICATE, KEY, None)
    for field, text in user.items():
        assert "without its key" in refused(kubeconfig({field: text}))


@pytest.mark.parametrize("text", ["a: [", "[]", "just hidden text", "{}"])
def test_what_is_no_kubeconfig_is_refused(text: str) -> None:
    assert refused(text).startswith("The kubeconfig of edge-a ")


def test_what_is_no_base64_is_told_by_its_field() -> None:
    said = refused(kubeconfig(cluster={"certificate-authority-data": "hidd!en0="}))
    assert said == "The kubeconfig of edge-a has a certificate-authority-data that is no base64."


def test_helm_acts_as_the_account_of_its_namespace() -> None:
    user = {"token": HIDDEN, "as": "system:serviceaccount:placement-system:placement-{namespace}"}
    found = credentials(yaml.safe_dump(kubeconfig(user)), "", "edge-a")
    assert "as" not in yaml.safe_load(found.as_kubeconfig())["users"][0]["user"]
    inside = yaml.safe_load(found.within("lab").as_kubeconfig())["users"][0]["user"]
    assert inside == {"token": HIDDEN, "as": "system:serviceaccount:placement-system:placement-lab"}


@pytest.mark.parametrize("field", ["as-groups", "as-uid", "as-user-extra"])
def test_what_widens_an_account_is_refused(field: str) -> None:
    assert f"uses {field};" in refused(kubeconfig({"token": HIDDEN, "as": "jane", field: ["hidden"]}))


def test_helm_gets_this_and_nothing_else_and_a_message_gets_no_secret_of_it() -> None:
    user = {"token": HIDDEN, "client-certificate-data": data(CERTIFICATE), "client-key-data": data(KEY)}
    config = kubeconfig(user, {"tls-server-name": "kubernetes.default"})
    config["users"].append({"name": "other", "user": {"token": "of-another"}})
    found = credentials(yaml.safe_dump(config), "", "edge-a")
    assert "hidden" not in repr(found)
    assert "of-another" not in found.as_kubeconfig()
    assert credentials(found.as_kubeconfig(), "", "whatever") == found
    assert (found.server_name, found.authority) == ("kubernetes.default", b"ca")
