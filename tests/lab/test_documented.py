"""Every command of the pages that needs a cluster is run on one, or named here with what it needs besides."""

from __future__ import annotations

import re
import shlex
from pathlib import Path

import pytest
import yaml

from tests.lab.documented import OPERATIONS, WALK, Shell, block, blocks
from tests.lab.errors import LabError

RUN = {
    OPERATIONS: (
        *("get secret $name", "backup-now", "k8s/restore.yaml", "for namespace in edge openfaas-fn"),
        *("cat > keys/edge-kubeconfigs", "edge clusters check", "second-token.yaml", "delete secret placement-token"),
        "create secret generic people",
    ),
    WALK: (
        *("helm upgrade --install edge ", "get secret $name", "svc/cassandra"),
        *("edge subscribers import", "enb-app attach"),
    ),
}
"""Words of the blocks that `test_platform.py` and `test_edge_cluster.py` run (the forwarding by another port)."""
ON_OPENFAAS = {
    OPERATIONS: (
        *("192.0.2.7 faas-cli deploy", "STORE_URL='cassandra://", "logs -l faas_function"),
        *("secret update edge-kubeconfigs", "secret update placement-credentials", "secret update placement-policy"),
        *("secret=placement-credentials", "create secret generic basic-auth", "faas-cli login"),
    ),
    WALK: ("gateway-drain.yaml", "svc/gateway", "faas-cli login", "edge secrets init keys"),
}
"""Words of those that `tests/e2e/test_operations_on_openfaas.py` runs, where there is an OpenFaaS."""
ON_LOCALFAAS = {OPERATIONS: ("cat > keys/placement-credentials",), WALK: ()}
"""Words of those that need no cluster, but secrets of a server's: `tests/e2e/test_logins.py` runs them."""
LEFT = {OPERATIONS: (), WALK: ("helm upgrade --install openfaas ", "make images")}
"""OpenFaaS' chart and images for it are in no registry that tests could take them from."""


@pytest.mark.parametrize("page", list(RUN), ids=lambda page: page.name)
def test_every_block_that_needs_a_cluster_is_run_or_named_as_left(page: Path) -> None:
    found = re.findall(r"^ *```console\n(.*?)^ *```$", page.read_text(), re.M | re.S)
    known = (*RUN[page], *ON_OPENFAAS[page], *ON_LOCALFAAS[page], *LEFT[page])
    assert [one for one in found if not any(words in one for words in known)] == []
    for words in known:
        assert words in block(page, words)


@pytest.mark.parametrize("page", list(RUN), ids=lambda page: page.name)
def test_a_deployment_of_functions_says_all_that_they_are_to_have(page: Path) -> None:
    """It replaces what they have: without these, images of no registry, and callbacks to nobody but themselves."""
    lines = [line for one in blocks(page) for line in one.splitlines() if "faas-cli deploy" in line]
    assert lines
    for line in lines:
        told = dict(word.split("=", 1) for word in shlex.split(line.partition(" faas-cli")[0]))
        assert {"REGISTRY", "TAG", "CALLBACK_ALLOW"} <= told.keys(), line


def test_a_job_begun_by_hand_has_another_name_each_time() -> None:
    """A second one of the same name is refused, and its caller would wait for the first."""
    made = [one for one in blocks(OPERATIONS) if "create job" in one]
    assert len(made) == 2
    for one in made:
        name = re.search(r"^(\w+)=[a-z-]+-\$\(date \+%s\)$", one, re.M)
        assert name is not None
        assert one.count(f"${name[1]}") == 3


def test_openfaas_comes_from_a_place_that_is_named_in_a_release_that_is_pinned() -> None:
    """Unpinned it would be one that deploys only images that can be pulled without a login."""
    commands = block(WALK, "helm upgrade --install openfaas ")
    assert "helm repo add openfaas https://" in commands
    release = re.search(r"^helm upgrade --install openfaas .*--version (\d+\.\d+\.\d+) ", commands, re.M)
    assert release is not None
    assert f"OpenFaaS chart itself, {release[1]}:" in (WALK.parent / "openfaas-values.yaml").read_text()


def test_a_gateway_that_is_replaced_goes_on_for_longer_than_a_call_may_take() -> None:
    values = yaml.safe_load((WALK.parent / "openfaas-values.yaml").read_text())
    pod = yaml.safe_load((WALK.parent / "gateway-drain.yaml").read_text())["spec"]["template"]["spec"]
    goes_on_s = {one["name"]: one["lifecycle"]["preStop"]["sleep"]["seconds"] for one in pod["containers"]}
    assert set(goes_on_s) == {"gateway", "faas-netes"}  # the one calls functions by the other
    call_s = int(values["gateway"]["upstreamTimeout"].removesuffix("s"))
    for seconds in goes_on_s.values():
        assert call_s < seconds < pod["terminationGracePeriodSeconds"]


def test_a_gateway_is_reached_and_logged_in_to_before_faas_cli_is_given_anything_to_do() -> None:
    commands = "".join(blocks(WALK))
    order = ("port-forward svc/gateway", "faas-cli login", "faas-cli secret create", "faas-cli deploy")
    assert sorted(order, key=commands.index) == list(order)


def test_a_block_is_without_its_indent_and_found_once() -> None:
    assert block(WALK, "svc/cassandra") == "kubectl -n edge port-forward svc/cassandra 9042\n"
    assert len(blocks(OPERATIONS)) >= 12
    with pytest.raises(LabError, match=r"README.md has 0 blocks with 'nothing like it'"):
        block(WALK, "nothing like it")


def test_words_of_the_page_are_replaced_and_have_to_be_there(tmp_path: Path) -> None:
    one = Shell(tmp_path, {"NAME": "x"})
    assert one.run('pwd\necho "$NAME" -n edge', {"-n edge": "-n mine"}) == f"{tmp_path}\nx -n mine\n"
    with pytest.raises(LabError, match="the page has no '-n edge' any more"):
        one.run("true", {"-n edge": "-n mine"})
    with pytest.raises(LabError, match="ended with 1"):
        one.run("false | true\ntrue")
