"""Login and TLS against a real server that asks for both: what lets the store in, and what does not."""

from __future__ import annotations

import datetime
import ipaddress
import re
import socket
import time
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest
from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.serialization import pkcs12
from cryptography.x509.oid import NameOID

from cassandra_lab.cluster import Cluster, running
from edge.cli import main
from mme.errors import StoreUnavailableError
from mme.store.base import Row, Saved, Table
from mme.store.cassandra import CassandraStore
from mme.store.opening import open_store
from tests.cassandra.proxy import Proxy

pytestmark = [pytest.mark.cassandra, pytest.mark.nodes, pytest.mark.timeout(600)]
KEYSPACE = "edge_access"
PASSWORD = "p455 w0rd of this test"
UE = Table.UE_CONTEXT


@dataclass(frozen=True)
class Authority:
    """A CA of our own.  pem: its certificate."""

    key: ec.EllipticCurvePrivateKey
    certificate: x509.Certificate

    @property
    def pem(self) -> bytes:
        return self.certificate.public_bytes(serialization.Encoding.PEM)

    @classmethod
    def made(cls, name: str) -> Authority:
        key = ec.generate_private_key(ec.SECP256R1())
        subject = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, name)])
        builder = _certificate(subject, subject, key).add_extension(x509.BasicConstraints(True, None), critical=True)
        return cls(key, builder.sign(key, hashes.SHA256()))

    def keystore(self, address: str, password: str) -> bytes:
        """A server's key and certificate that names that address, as PKCS #12."""
        key = ec.generate_private_key(ec.SECP256R1())
        subject = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, "node")])
        names = x509.SubjectAlternativeName([x509.IPAddress(ipaddress.ip_address(address))])
        builder = _certificate(subject, self.certificate.subject, key).add_extension(names, critical=False)
        certificate = builder.sign(self.key, hashes.SHA256())
        hidden = serialization.BestAvailableEncryption(password.encode())
        return pkcs12.serialize_key_and_certificates(b"node", key, certificate, [self.certificate], hidden)


def _certificate(subject: x509.Name, issuer: x509.Name, key: ec.EllipticCurvePrivateKey) -> x509.CertificateBuilder:
    now = datetime.datetime.now(datetime.UTC)
    return (
        x509.CertificateBuilder()
        .subject_name(subject)
        .issuer_name(issuer)
        .public_key(key.public_key())
        .serial_number(x509.random_serial_number())
        .not_valid_before(now - datetime.timedelta(days=1))
        .not_valid_after(now + datetime.timedelta(days=2))
    )


@dataclass(frozen=True)
class Guarded:
    """A node that asks for TLS and a login, and where the files lie.  The role `edge` may read and write rows only."""

    cluster: Cluster
    folder: Path

    def url(self, **changes: str) -> str:
        options = {"user": "edge", "password_file": "password", "ca_file": "ca.pem"} | changes
        files = {name: f"{self.folder}/{value}" for name, value in options.items() if name.endswith("_file") and value}
        query = "&".join(f"{name}={value}" for name, value in (options | files).items() if value)
        return f"cassandra://{self.cluster.hosts}/{KEYSPACE}?{query}"


def migrated_as_the_superuser(store: CassandraStore) -> None:
    """A fresh node makes its first user a little after it has begun to serve."""
    deadline = time.monotonic() + 120
    while True:
        try:
            store.migrate()
        except StoreUnavailableError:
            if time.monotonic() > deadline:
                raise
        else:
            return


@pytest.fixture(scope="module")
def guarded(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Guarded]:
    folder = tmp_path_factory.mktemp("guarded")
    ours, another = Authority.made("ours"), Authority.made("another")
    (folder / "ca.pem").write_bytes(ours.pem)
    (folder / "another.pem").write_bytes(another.pem)
    (folder / "node.p12").write_bytes(ours.keystore("127.0.0.1", "changeit"))
    for name, text in (("password", PASSWORD), ("first", "cassandra"), ("wrong", "no password of anybody")):
        (folder / name).write_text(text + "\n")
    options: dict[str, Any] = {
        "authenticator": "PasswordAuthenticator",
        "authorizer": "CassandraAuthorizer",
        "client_encryption_options": {
            "enabled": True,
            "optional": False,
            "keystore": str(folder / "node.p12"),
            "keystore_password": "changeit",
            "store_type": "PKCS12",
        },
    }
    with running(folder / "one", options=options) as cluster:
        guarded = Guarded(cluster, folder)
        store = open_store(guarded.url(user="cassandra", password_file="first"))
        assert isinstance(store, CassandraStore)
        migrated_as_the_superuser(store)
        with store._session_without_keyspace() as session:
            session.execute(f"CREATE ROLE edge WITH PASSWORD = '{PASSWORD}' AND LOGIN = true")
            session.execute(f"GRANT SELECT ON KEYSPACE {KEYSPACE} TO edge")
            session.execute(f"GRANT MODIFY ON KEYSPACE {KEYSPACE} TO edge")
        store.close()
        yield guarded


def test_with_its_login_over_tls_the_store_does_all_that_functions_need(guarded: Guarded) -> None:
    store = open_store(guarded.url())
    try:
        assert store.save(UE, "a", b"1", expect=None, writer="w") == Saved(1)
        assert store.save(UE, "a", b"2", expect=1, writer="w") == Saved(2)
        assert store.load(UE, "a") == store.load(UE, "a", serial=True) == Row(b"2", 2, "w")
        assert store.save(UE, "a", None, expect=2, writer="w") == Saved(0)
        assert store.now_ms() > 0
    finally:
        store.close()


def test_the_functions_login_cannot_change_the_schema(guarded: Guarded, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["store", "migrate", "--store", guarded.url()]) == 1
    told = capsys.readouterr().err
    assert "Unauthorized" in told
    assert PASSWORD not in told


def test_with_a_login_that_may_not_make_tables_a_backup_is_made_and_put_back(
    guarded: Guarded, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """Into tables that `edge store migrate` has made with one that may."""
    restored = f"{KEYSPACE}_restored"

    def beside(url: str) -> str:
        return url.replace(f"/{KEYSPACE}?", f"/{restored}?")

    superuser = guarded.url(user="cassandra", password_file="first")
    for url in (superuser, beside(superuser)):
        assert main(["store", "migrate", "--store", url]) == 0
    as_the_superuser(guarded, *(f"GRANT {right} ON KEYSPACE {restored} TO edge" for right in ("SELECT", "MODIFY")))
    backup = str(tmp_path / "backup")
    store = open_store(guarded.url())
    try:
        assert isinstance(store.save(Table.SUBSCRIBER, "backup", b"1", expect=None, writer="w"), Saved)
        assert main(["store", "status", "--store", guarded.url()]) == 0
        assert main(["store", "backup", backup, "--store", guarded.url()]) == 0, capsys.readouterr().err
    finally:
        store.close()
    assert main(["store", "status", "--store", beside(guarded.url())]) == 0
    assert main(["store", "restore", backup, "--store", beside(guarded.url())]) == 0, capsys.readouterr().err
    store = open_store(beside(guarded.url()))
    try:
        assert store.load(Table.SUBSCRIBER, "backup") == Row(b"1", 1, "w")
    finally:
        store.close()


def test_with_a_login_that_may_not_make_tables_clusters_are_registered_and_placements_shown(
    guarded: Guarded, capsys: pytest.CaptureFixture[str]
) -> None:
    def says(*command: str, url: str = guarded.url()) -> str:
        """A node that a busy machine makes slow is asked again."""
        give_up = time.monotonic() + 120
        while main([*command, "--store", url]) != 0:
            why = capsys.readouterr().err
            assert "Unauthorized" not in why
            assert time.monotonic() < give_up, why
        return capsys.readouterr().out

    says("store", "migrate", url=guarded.url(user="cassandra", password_file="first"))
    says("clusters", "add", "munich-1", "--location", "munich")
    assert "munich-1" in says("clusters", "list")
    assert says("placements").startswith("CLUSTER")


@pytest.mark.parametrize(
    "changes",
    [
        {"password_file": "wrong"},
        {"user": "nobody"},
        {"user": "", "password_file": ""},
        {"ca_file": "another.pem"},
        {"ca_file": ""},
    ],
    ids=["wrong password", "unknown user", "no login", "another CA", "no TLS"],
)
def test_who_does_not_fit_is_not_let_in_and_nothing_secret_is_said(guarded: Guarded, changes: dict[str, str]) -> None:
    store = open_store(guarded.url(**changes))
    try:
        with pytest.raises(StoreUnavailableError) as refused:
            store.load(UE, "a")
    finally:
        store.close()
    chain: list[BaseException] = [refused.value]
    while (cause := chain[-1].__cause__) is not None:
        chain.append(cause)
    assert not any(secret in repr(error) for error in chain for secret in (PASSWORD, "no password of anybody"))


def test_a_changed_password_is_found_by_the_next_session(guarded: Guarded) -> None:
    file = guarded.folder / "changing"
    file.write_text("not yet")
    store = open_store(guarded.url(password_file="changing"))
    try:
        with pytest.raises(StoreUnavailableError):
            store.load(UE, "b")
        file.write_text(PASSWORD)
        assert store.load(UE, "b") is None
    finally:
        store.close()


def as_the_superuser(guarded: Guarded, *statements: str) -> None:
    store = open_store(guarded.url(user="cassandra", password_file="first"))
    assert isinstance(store, CassandraStore)
    try:
        with store._session_without_keyspace() as session:
            for statement in statements:
                session.execute(statement)
    finally:
        store.close()


def statements_of_the_page(role: str) -> list[list[str]]:
    """The blocks of docs/operations.md on Cassandra's login, for the role that is to go, and for this keyspace."""
    page = (Path(__file__).resolve().parents[2] / "docs/operations.md").read_text()
    blocks = re.findall(r"^```cql\n(.*?)^```$", page, re.M | re.S)
    here = [block.replace("KEYSPACE edge ", f"KEYSPACE {KEYSPACE} ") for block in blocks]
    return [re.sub(r"\bROLE edge;", f"ROLE {role};", block).split(";\n")[:-1] for block in here]


def test_a_login_is_replaced_as_the_page_says_and_every_write_is_taken_meanwhile(guarded: Guarded) -> None:
    """The old session serves until the new one does; the old role is refused once it is gone."""
    make, drop = statements_of_the_page("edge_1")
    as_the_superuser(guarded, *(statement.replace("edge_2", "edge_1") for statement in make))
    (guarded.folder / "second").write_text(re.findall(r"PASSWORD = '(.*)' AND", make[0])[0] + "\n")
    old = open_store(guarded.url(user="edge_1", password_file="second"))
    new = open_store(guarded.url(user="edge_2", password_file="second"))
    try:
        assert old.save(UE, "login", b"1", expect=None, writer="w") == Saved(1)
        as_the_superuser(guarded, *make)
        assert new.save(UE, "login", b"2", expect=1, writer="w") == Saved(2)
        assert old.save(UE, "login", b"3", expect=2, writer="w") == Saved(3)
        as_the_superuser(guarded, *drop)
        version, give_up = 3, time.monotonic() + 120
        with pytest.raises(StoreUnavailableError):  # once the node no longer remembers what the role might do
            while time.monotonic() < give_up:
                assert new.save(UE, "login", b"4", expect=version, writer="w") == Saved(version + 1)
                version += 1
                old.load(UE, "login")
        assert new.save(UE, "login", b"5", expect=version, writer="w") == Saved(version + 1)
    finally:
        old.close()
        new.close()


def test_a_certificate_that_does_not_name_the_host_is_refused(guarded: Guarded) -> None:
    """Its CA is the right one; who answers under another address is not trusted for that."""
    one = guarded.cluster.nodes[0]
    relay = Proxy(one.address, one.cql_port, socket.create_server(("127.0.0.5", 0)))
    relay._begin(relay._accept)
    store = open_store(guarded.url().replace(guarded.cluster.hosts, relay.contact))
    try:
        with pytest.raises(StoreUnavailableError):
            store.load(UE, "a")
        assert relay._open, "it was asked"
    finally:
        store.close()
        relay.close()
