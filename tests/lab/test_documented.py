"""Every command of the pages that needs a cluster is run on one, or named here with what it needs besides."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

from tests.lab.documented import OPERATIONS, WALK, Shell, block, blocks
from tests.lab.errors import LabError

RUN = {
    OPERATIONS: ("backup-now", "k8s/restore.yaml", "cat > keys/edge-kubeconfigs", "edge clusters check"),
    WALK: (
        *("helm upgrade --install edge ", "get secret subscriber-key", "port-forward"),
        *("edge subscribers import", "enb-app attach"),
    ),
}
"""Words of the blocks that `test_platform.py` and `test_edge_cluster.py` run (the forwarding by another port)."""
NEED_OPENFAAS = ("faas-cli ", "openfaas", "make images")


@pytest.mark.parametrize("page", list(RUN), ids=lambda page: page.name)
def test_every_block_that_needs_a_cluster_is_run_or_needs_openfaas(page: Path) -> None:
    found = re.findall(r"^ *```console\n(.*?)^ *```$", page.read_text(), re.M | re.S)
    left = [one for one in found if not any(words in one for words in RUN[page])]
    assert all(any(words in one for words in NEED_OPENFAAS) for one in left), left
    for words in RUN[page]:
        assert words in block(page, words)


def test_a_block_is_without_its_indent_and_found_once() -> None:
    assert block(WALK, "port-forward") == "kubectl -n edge port-forward svc/cassandra 9042\n"
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
