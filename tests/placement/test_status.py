"""A status tells of the release as it is now: also what its pods run with, and a helm that was killed long ago."""

from __future__ import annotations

import time

import pytest

from placement import settling
from placement.releases import STALE_S, decode, encode
from tests.placement import agents
from tests.placement.agents import digest, let_say, once
from tests.placement.conftest import Answered, Site


def status(site: Site) -> Answered:
    return once(site, site.request(action="status", id="status", chart_repository=None, chart_version=None))


@pytest.fixture
def chart(site: Site) -> str:
    """Placed, with one ConfigMap under reload."""
    chart = agents.push(site, "amf")
    assert site.call(cluster="a", chart_repository=chart).status == "ready"
    return chart


def test_a_configuration_that_pods_refused_is_no_ready_release(site: Site, chart: str) -> None:
    text = "aud3g milenage k 465b5ce8b199b49faa5f0a2ee238a6bc\n"
    said = 'app.conf:1: unexpected "465b5ce8b199b49faa5f0a2ee238a6bc"'
    let_say(site, "amf", digest=digest("one"), candidate=digest(text), verdict="rejected", reason=said)
    applied = site.call(chart_repository=chart, values={"amf": text})
    assert (applied.status, applied.code) == ("failed", "config_rejected")
    asked = status(site)
    assert (asked.status, asked.code, asked.body["revision"]) == ("failed", "config_rejected", 2)
    message = asked.body["error"]["message"]
    assert "keeps its last good configuration: app.conf:1: unexpected" in message
    assert "465b" not in message
    let_say(site, "amf", digest=digest(text))
    assert (status(site).status, status(site).code) == ("ready", None)


@pytest.mark.parametrize("says", [{"digest": digest("one")}, {}], ids=["another", "nothing"])
def test_a_configuration_that_pods_have_not_confirmed_is_told(
    site: Site, chart: str, says: dict[str, str], monkeypatch: pytest.MonkeyPatch
) -> None:
    """As its hint says: ask again by action status."""
    monkeypatch.setattr(settling, "RELOAD_S", 1.0)
    let_say(site, "amf", **says)
    applied = site.call(chart_repository=chart, values={"amf": "two"}, wait=True)
    assert (applied.status, applied.code) == ("failed", "config_not_taken")
    assert "action status" in applied.body["error"]["hint"]
    [noted] = [pod["metadata"]["annotations"] for pod in agents.pods(site, "amf")]
    before = dict(noted)
    asked = status(site)
    assert (asked.status, asked.code, asked.body["drift"]) == ("progressing", "config_not_taken", [])
    assert "1 of 1 pods have not confirmed" in asked.body["error"]["message"]
    assert [pod["metadata"]["annotations"] for pod in agents.pods(site, "amf")] == [before], "a question"
    let_say(site, "amf", digest=digest("two"))
    assert (status(site).status, status(site).code) == ("ready", None)


def test_pods_that_may_not_be_asked_are_ready_as_far_as_anybody_knows(site: Site, chart: str) -> None:
    let_say(site, "amf", digest=digest("another"))
    site.clusters[0].refuse.add("/proxy/")
    assert (status(site).status, status(site).code) == ("ready", None)


@pytest.mark.parametrize(
    ("old_s", "word", "code"), [(STALE_S + 60, "failed", "apply_failed"), (60, "progressing", None)]
)
def test_a_release_that_a_killed_helm_left_pending_is_told_as_apply_takes_it(
    site: Site, old_s: float, word: str, code: str | None
) -> None:
    site.call(cluster="a")
    cluster, written = site.clusters[0], str(int(time.time() - old_s))
    [secret] = [s for s in cluster.things("secrets") if s["metadata"]["name"].startswith("sh.helm")]
    record = decode(secret)
    record["info"]["status"] = "pending-upgrade"
    secret["data"]["release"] = encode(record)
    secret["metadata"]["labels"] |= {"status": "pending-upgrade", "createdAt": written, "modifiedAt": written}
    secret["metadata"]["creationTimestamp"] = "2026-01-01T00:00:00Z"
    asked = status(site)
    assert (asked.status, asked.code) == (word, code)
    if code:
        assert asked.body["error"]["message"].startswith("Revision 1 has been pending-upgrade for more than 15 minutes")
    applied = site.call(id="next")
    assert (applied.status, applied.code) == (("ready", None) if code else ("failed", "busy"))
