"""Every command of the pages that needs a cluster is run on one, or named here with what it needs besides."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

from tests.lab.documented import OPERATIONS, WALK, Shell, block, blocks
from tests.lab.errors import LabError

RUN = ("cat > keys/edge-kubeconfigs", "edge clusters check")
"""Words of the blocks that `test_edge_cluster.py` runs."""
LEFT = ("faas-cli ", "openfaas", "backup-now")
"""Words of those that no test runs: without OpenFaaS they have nothing to do, but for the backup."""


def test_every_block_that_needs_a_cluster_is_run_or_named_as_left() -> None:
    found = re.findall(r"^ *```console\n(.*?)^ *```$", OPERATIONS.read_text(), re.M | re.S)
    rest = [one for one in found if not any(words in one for words in (*RUN, *LEFT))]
    assert rest == []
    for words in RUN:
        assert words in block(OPERATIONS, words)


def test_a_block_is_without_its_indent_and_found_once() -> None:
    assert block(WALK, "make placement-helm").startswith("make placement-helm\nmake images ")
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
